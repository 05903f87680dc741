//! Promised beside delivered, over HTTP. The words are `evenkeel-contract`'s.

use crate::{answer::Answer, call::Call, code::Code, edge::Edge, problem::Problem};
use evenkeel_contract::{Contract, Delivered, Summary, explain, summarize};
use hyper::StatusCode;
use serde::Serialize;

/// Every contract.
#[derive(Serialize)]
struct ContractList {
    items: Vec<Summary>,
    /// Always null. The list has one item for each path that is compiled in, and each of these
    /// is bounded by what its path declares: it does not grow with what is stored or asked, so
    /// all of it is on one page. A test holds it against `PAGE_BYTES_MAX`.
    cursor: Option<String>,
}

/// `GET /v1/contracts`
pub(crate) fn list(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    call.check_session()?;
    let view = call.edge.node.meta();
    let items = view
        .registry
        .contracts()
        .map(|contract| summarize(&contract, delivered(&call.edge, &contract).as_ref()))
        .collect();
    Ok(Answer::json(StatusCode::OK, &ContractList { items, cursor: None }))
}

/// `GET /v1/contracts/{path}`
pub(crate) fn get(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    call.check_session()?;
    let name = call.name(0)?;
    let view = call.edge.node.meta();
    let contract = view
        .registry
        .get(&name)
        .map_err(|error| Problem::new(Code::NotFound, error.to_string()))?;
    let delivered = delivered(&call.edge, &contract);
    Ok(Answer::json(StatusCode::OK, &explain(&contract, delivered.as_ref())))
}

fn delivered(edge: &Edge, contract: &Contract) -> Option<Delivered> {
    let is_its = |path: &evenkeel_contract::Path| path.name == contract.path.name;
    let served = edge.served.iter().find(|served| served.path.is_some_and(is_its))?;
    Some(served.meter.as_ref()?.snapshot(edge.now_s()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use evenkeel_contract::{Failure, Registry};
    use evenkeel_domains::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};

    #[test]
    fn all_contracts_fit_on_one_page_whatever_was_delivered() {
        let registry = Registry::new(evenkeel_domains::paths()).unwrap();
        let everything = |contract: &Contract| {
            let failures = Failure::ALL.iter().map(|failure| failure.code());
            let codes = failures.chain(contract.path.facts.refusal_codes.iter().copied());
            let outcomes = codes.map(|code| (code.to_owned(), u64::MAX)).collect();
            Delivered { requests: u64::MAX, rate_per_s: f64::MAX, outcomes, ..Delivered::default() }
        };
        let items: Vec<Summary> = registry
            .contracts()
            .map(|contract| summarize(&contract, Some(&everything(&contract))))
            .collect();
        assert!(!items.is_empty() && items.len() <= PAGE_ROWS_MAX);
        let bytes = json::bytes(&ContractList { items, cursor: None });
        assert!(bytes <= PAGE_BYTES_MAX, "{bytes} bytes: the list must be paged now");
    }
}
