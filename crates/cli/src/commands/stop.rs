//! Told to stop: the first SIGINT or SIGTERM drains, the second ends the process at once.

use crate::failure::Failure;
use std::{path::PathBuf, pin::Pin};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// The exit code of a process that a signal ended, as shells report SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// Completes once the process is told to stop.
pub(super) type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Completes with the first signal. With the second, the process ends; `throw_away` is removed
/// first.
pub(super) fn stop_signal(throw_away: Option<PathBuf>) -> Result<Stop, Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (first, stopped) = oneshot::channel();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        eprintln!("evenkeel: finishing what was begun; interrupt again to end at once");
        // Nobody listens if the server has ended by itself.
        let _ = first.send(());
        either(&mut interrupt, &mut terminate).await;
        if let Some(directory) = throw_away {
            let _ = std::fs::remove_dir_all(directory);
        }
        std::process::exit(INTERRUPTED.into());
    });
    Ok(Box::pin(async move {
        let _ = stopped.await;
    }))
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
