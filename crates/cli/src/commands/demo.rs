//! The demo that `dev` begins with: one resource of each kind, put there by commands.

use crate::failure::Failure;
use evenkeel_domains::{
    Command, Query, Refusal,
    reservations::{self, Action, Spec},
};
use evenkeel_node::{CallOptions, Node, NodeError, ReadOptions};

/// The resource of the first request to try.
pub(crate) const FIRST: &str = "gig";

fn resources() -> [(&'static str, Spec); 3] {
    let rows = ["A", "B", "C"].into_iter();
    let seats = rows.flat_map(|row| (1..=10).map(move |number| format!("{row}{number}"))).collect();
    let protects = "one nightly export at a time".to_owned();
    [
        (FIRST, Spec::Quantity(100)),
        ("hall", Spec::Seats(seats)),
        ("nightly-export", Spec::Lock { protects }),
    ]
}

/// Puts what is not there yet; what is there stays as it is.
pub(crate) async fn seed(node: &Node) -> Result<(), Failure> {
    let tenant = node.tenant("default")?;
    for (name, spec) in resources() {
        let resource = name.to_owned();
        let query = Query::Reservations(reservations::Query::Resource { resource });
        match node.query(&tenant, query, ReadOptions::default()).await {
            Ok(_) => continue,
            Err(NodeError::Refused {
                refusal: Refusal::Reservations(reservations::Refusal::NoResource),
                ..
            }) => {}
            Err(error) => return Err(Failure::because("cannot look at the demo", error)),
        }
        let command =
            reservations::Command { resource: name.to_owned(), action: Action::Put(spec) };
        node.command(&tenant, Command::Reservations(command), CallOptions::default())
            .await
            .map_err(|error| Failure::because("cannot create the demo", error))?;
    }
    Ok(())
}
