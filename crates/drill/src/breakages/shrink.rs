//! Makes a failing run short: leaves out every fault and step that it fails without.

use crate::sim::{Broken, Plan, plan::Intent, run};

/// Runs that shrinking may take; each is a few milliseconds.
const RUNS_MAX: usize = 2_000;

/// A plan that still fails, in a way that clients can tell if `told`, and from which nothing more can be left out, one part at a time.
pub(super) fn shortest(mut plan: Plan, broken: Broken, told: bool) -> Plan {
    let mut runs = 0;
    loop {
        let before = plan.len();
        for candidate in smaller(&plan) {
            runs += 1;
            if runs > RUNS_MAX {
                return plan;
            }
            let verdict = run(&candidate, broken).verdict;
            if !verdict.violations.is_empty() && (!told || verdict.is_told_by_clients()) {
                plan = candidate;
                break;
            }
        }
        if plan.len() == before {
            return plan;
        }
    }
}

/// Every plan with one part less: a whole client, a fault, what the network loses, a client's steps from the end, or half of
/// the jobs that one enqueues.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut plans = Vec::new();
    for client in 0..plan.clients.len() {
        if !plan.clients[client].is_empty() {
            let mut less = plan.clone();
            less.clients[client].clear();
            plans.push(less);
        }
    }
    for fault in 0..plan.faults.len() {
        let mut less = plan.clone();
        less.faults.remove(fault);
        plans.push(less);
    }
    if plan.lossy {
        plans.push(Plan { lossy: false, ..plan.clone() });
    }
    for client in 0..plan.clients.len() {
        for step in (0..plan.clients[client].len()).rev() {
            let mut less = plan.clone();
            less.clients[client].remove(step);
            plans.push(less);
        }
    }
    for client in 0..plan.clients.len() {
        for step in 0..plan.clients[client].len() {
            let Intent::Enqueue(jobs) = &plan.clients[client][step].intent else { continue };
            for half in [&jobs[..jobs.len() / 2], &jobs[jobs.len() / 2..]] {
                if !half.is_empty() && half.len() < jobs.len() {
                    let mut less = plan.clone();
                    less.clients[client][step].intent = Intent::Enqueue(half.to_vec());
                    plans.push(less);
                }
            }
        }
    }
    plans
}
