//! Promised beside delivered, over HTTP. The words are `evenkeel-contract`'s.

use crate::{answer::Answer, call::Call, code::Code, edge::Edge, problem::Problem};
use evenkeel_contract::{Contract, Delivered, Summary, explain, summarize};
use hyper::StatusCode;
use serde::Serialize;

/// Every contract.
#[derive(Serialize)]
struct ContractList {
    items: Vec<Summary>,
    /// Always null: there are few contracts, and all are on the first page.
    cursor: Option<String>,
}

/// `GET /v1/contracts`
pub(crate) fn list(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    call.read_options()?;
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
    call.read_options()?;
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
