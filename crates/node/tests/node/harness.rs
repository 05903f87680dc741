//! A machine: a disk that can be made to fail under the log, a directory for the rest, and as
//! many lives of a node as a test wants.

use crate::{files::GatedFiles, state_disk::StateDisk};
use evenkeel_domains::{
    Command, Found, Query, Reply, meta,
    reservations::{self, Action, EventsPage, HoldView, Places, ResourceView, Spec},
    route,
};
use evenkeel_engine::{Failure, Position};
use evenkeel_log::{Hash, PartitionId, faults::FaultFiles};
use evenkeel_node::{CallOptions, Called, Node, NodeError, NodeOptions, OpenError, ReadOptions};
use std::{path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub(crate) const PARTITIONS: u16 = 4;
const TTL_MS: u64 = 3_600_000;

pub(crate) type TestNode = Node<GatedFiles>;

/// How a life ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// As it should.
    Shutdown,
    /// The process is gone, the machine stays up.
    Kill,
    /// The machine is gone.
    PowerLoss,
}

pub(crate) struct Machine {
    pub(crate) disk: FaultFiles,
    pub(crate) files: GatedFiles,
    /// Where the state is, if not in a file.
    pub(crate) state: Option<StateDisk>,
    pub(crate) options: NodeOptions,
    directory: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = FaultFiles::new(7);
        let options = NodeOptions {
            init: true,
            partitions: PARTITIONS,
            segment_bytes: 64 << 10,
            ..NodeOptions::new(directory.path().to_owned())
        };
        let files = GatedFiles::new(disk.clone());
        Self { disk, files, state: None, options, directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn open(&self) -> Result<TestNode, OpenError> {
        let files = Arc::new(self.files.clone());
        let store = self.state.as_ref().map(StateDisk::store);
        Node::open_over(files, [3; 16], store, self.options.clone()).await
    }

    /// A node's life, from its opening to its end.
    pub(crate) fn life<R>(&self, end: End, work: impl AsyncFnOnce(&TestNode) -> R) -> R {
        let runtime = runtime();
        let done = runtime.block_on(async {
            let node = self.open().await.unwrap();
            let done = work(&node).await;
            if matches!(end, End::Shutdown) {
                assert!(node.shutdown().await, "everything is finished in time");
            }
            done
        });
        match end {
            End::Shutdown => {}
            End::Kill => self.disk.kill(),
            End::PowerLoss => self.disk.power_loss(),
        }
        drop(runtime);
        done
    }

    /// The log's segments.
    pub(crate) fn segments(&self) -> usize {
        let names = evenkeel_log::Files::list(&self.disk).unwrap();
        names.iter().filter(|name| name.starts_with("segment-")).count()
    }
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The `number`th resource whose partition is `partition`.
pub(crate) fn name_in(partition: u16, number: usize) -> String {
    let names = (0..).map(|index| format!("r{index}"));
    let mut within = names.filter(|name| {
        route("reservations", "default", name.as_str(), PARTITIONS) == PartitionId(partition)
    });
    within.nth(number).unwrap()
}

pub(crate) fn command(resource: &str, action: Action) -> Command {
    Command::Reservations(reservations::Command { resource: resource.to_owned(), action })
}

pub(crate) fn hold_of(resource: &str, units: u64) -> Command {
    let places = Places::Quantity(units);
    command(resource, Action::Hold { holder: "someone".to_owned(), ttl_ms: TTL_MS, places })
}

/// Sets how long a hold and a read may take.
pub(crate) fn set_contracts(deadline_ms: u64) -> Command {
    let settings = format!("{{\"deadline_ms\":{deadline_ms}}}");
    let paths = ["reservations.hold", "reservations.holds", "reservations.resource"];
    let settings = paths.map(|path| (path.to_owned(), settings.clone()));
    Command::Meta(meta::Command { action: meta::Action::SetContracts(settings.into()) })
}

pub(crate) async fn ask(
    node: &TestNode,
    command: Command,
    options: CallOptions,
) -> Result<Called<Reply>, NodeError> {
    let tenant = node.tenant("default").unwrap();
    node.command(&tenant, command, options).await
}

pub(crate) async fn put(node: &TestNode, resource: &str, capacity: u64) {
    let put = command(resource, Action::Put(Spec::Quantity(capacity)));
    ask(node, put, CallOptions::default()).await.unwrap();
}

pub(crate) async fn hold(node: &TestNode, resource: &str) -> Result<HoldView, NodeError> {
    let called = ask(node, hold_of(resource, 1), CallOptions::default()).await?;
    let Reply::Reservations(reservations::Reply::Hold(view)) = called.answer else {
        panic!("a hold is answered by a hold")
    };
    Ok(view)
}

pub(crate) async fn query(
    node: &TestNode,
    query: reservations::Query,
) -> Result<reservations::Found, NodeError> {
    let tenant = node.tenant("default").unwrap();
    let called = node.query(&tenant, Query::Reservations(query), ReadOptions::default()).await?;
    let Found::Reservations(found) = called.answer else {
        panic!("reservations are answered by reservations")
    };
    Ok(found)
}

pub(crate) async fn resource(node: &TestNode, name: &str) -> Result<ResourceView, NodeError> {
    let wanted = reservations::Query::Resource { resource: name.to_owned() };
    match query(node, wanted).await? {
        reservations::Found::Resource(view) => Ok(view),
        other => panic!("a resource is answered by a resource: {other:?}"),
    }
}

pub(crate) async fn events(node: &TestNode, name: &str, after: Option<Position>) -> EventsPage {
    let resource = name.to_owned();
    let from_start = after.is_none();
    let wanted = reservations::Query::Events { resource, after, from_start, limit: 1_000 };
    match query(node, wanted).await.unwrap() {
        reservations::Found::Events(page) => page,
        other => panic!("events are answered by events: {other:?}"),
    }
}

/// The state of every partition, as one hash each.
pub(crate) async fn hashes(node: &TestNode) -> Vec<(PartitionId, Hash)> {
    let hashes = node.state_hashes().await.unwrap();
    hashes.into_iter().map(|(partition, _, hash)| (partition, hash)).collect()
}

/// Why `result` is unavailable.
pub(crate) fn unavailable<T: std::fmt::Debug>(result: Result<T, NodeError>) -> String {
    match result {
        Err(NodeError::Failed(Failure::Unavailable(why))) => why,
        other => panic!("it should be unavailable: {other:?}"),
    }
}
