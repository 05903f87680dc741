//! `evenkeel explain PATH`: one path in plain words.

use crate::{client::ServerArgs, config::registry, failure::Failure, output};
use evenkeel_contract::{Contract, ContractError, Explanation, explain};

/// Explain one path: what it promises, how it fails, what it costs, what to watch.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The path, such as reservations.hold; `evenkeel contracts` lists them.
    path: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let contract = find(&args.path)?;
    let mut api = args.server.api().await?;
    let name = contract.path.name;
    let live = api.call::<Explanation>("GET", &format!("/v1/contracts/{name}"), None).await;
    let explanation = live.unwrap_or_else(|error| {
        eprintln!("evenkeel: without live numbers, as it is without a config: {error}");
        explain(&contract, None)
    });
    if args.json { output::json(&explanation) } else { output::print(&explanation.to_string()) }
}

/// The contract of that name, or a sentence that helps to find it.
fn find(path: &str) -> Result<Contract, Failure> {
    let registry = registry();
    registry.get(path).map_err(|error| match error {
        ContractError::UnquotedPath { path, .. } => {
            let of_domain = registry
                .contracts()
                .map(|contract| contract.path.name)
                .filter(|name| name.split_once('.').is_some_and(|(domain, _)| domain == path));
            let names: Vec<_> = of_domain.collect();
            Failure::failed(format!("{path} has more than one path: {}", names.join(", ")))
        }
        error => Failure::failed(format!("{error} `evenkeel contracts` lists them all")),
    })
}
