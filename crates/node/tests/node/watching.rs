//! Watchers: woken by every change, and nothing is missed between reading and waiting.

use crate::harness::{End, Machine, events, hold, name_in, put};
use evenkeel_domains::Scope;
use evenkeel_engine::Position;

const HOLDS: usize = 300;

fn of(resource: &str) -> Scope<'_> {
    Scope::Key { domain: "reservations", key: resource.into() }
}

#[test]
fn a_watcher_sees_every_event_once_and_in_order() {
    let machine = Machine::new();
    let name = name_in(2, 0);
    machine.life(End::Shutdown, async |node| {
        put(node, &name, 1_000_000).await;
        let tenant = node.tenant("default").unwrap();
        let first = events(node, &name, None).await;
        let mut grown = node.watch(&tenant, of(&name), first.entity).await.unwrap();
        let watching = tokio::spawn({
            let (node, name, mut next) = (node.clone(), name.clone(), first.next);
            async move {
                let mut seen: Vec<Position> = Vec::new();
                while seen.len() < HOLDS {
                    let page = events(&node, &name, Some(next)).await;
                    assert!(!page.reset);
                    next = page.next;
                    seen.extend(page.events.iter().map(|event| event.position));
                    if page.events.is_empty() {
                        grown.changed().await.unwrap();
                    }
                }
                seen
            }
        });
        for _ in 0..HOLDS {
            hold(node, &name).await.unwrap();
            tokio::task::yield_now().await;
        }
        let seen = watching.await.unwrap();
        let from = first.next.sequence + 1;
        let expected: Vec<u64> = (from..from + HOLDS as u64).collect();
        let sequences: Vec<u64> = seen.iter().map(|position| position.sequence).collect();
        assert_eq!(sequences, expected);
    });
}

#[test]
fn others_events_wake_nobody() {
    let machine = Machine::new();
    let (mine, other) = (name_in(2, 0), name_in(2, 1));
    machine.life(End::Shutdown, async |node| {
        put(node, &mine, 10).await;
        put(node, &other, 10).await;
        let tenant = node.tenant("default").unwrap();
        let entity = events(node, &mine, None).await.entity;
        let mut grown = node.watch(&tenant, of(&mine), entity).await.unwrap();
        hold(node, &other).await.unwrap();
        assert!(!grown.has_changed().unwrap());
        hold(node, &mine).await.unwrap();
        grown.changed().await.unwrap();
    });
}
