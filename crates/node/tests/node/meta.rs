//! The node's copy of `meta`, which is kept by what each record changes, and read whole at a start.

use crate::harness::{End, Machine, TestNode};
use evenkeel_contract::Registry;
use evenkeel_domains::{
    Command,
    limits::{Algorithm, Policy},
    meta::{self, Action, Meta, TokenSecret, TokenVerifier},
};
use evenkeel_engine::TenantId;
use evenkeel_node::CallOptions;

fn put(tenant: u32, name: &str, quantity: u64) -> Action {
    let policy = Policy::of(Algorithm::SlidingWindow, quantity, 1_000);
    Action::PutLimit { tenant: TenantId(tenant), name: name.to_owned(), policy }
}

fn delete(tenant: u32, name: &str) -> Action {
    Action::DeleteLimit { tenant: TenantId(tenant), name: name.to_owned() }
}

fn key(id: &str, tenant: &str) -> Action {
    Action::CreateKey {
        id: id.to_owned(),
        secret_hash: [7; 32],
        tenant: tenant.to_owned(),
        scopes: vec!["admin".to_owned()],
        label: String::new(),
    }
}

fn token_key(kid: &str) -> Action {
    let verifier = TokenVerifier::Hs256(TokenSecret::new(vec![7; 32]).unwrap());
    let (kid, tenant, label) = (kid.to_owned(), "acme".to_owned(), String::new());
    Action::CreateTokenKey { kid, tenant, verifier, drawn: false, label }
}

fn contracts(deadline_ms: u64) -> Action {
    let settings = format!("{{\"deadline_ms\":{deadline_ms}}}");
    Action::SetContracts(vec![("limits.check".to_owned(), settings)])
}

async fn all_done(node: &TestNode, actions: Vec<Action>) {
    let tenant = node.tenant("default").unwrap();
    let command = |action| Command::Meta(meta::Command { action });
    let commands = actions.into_iter().map(command).collect();
    for done in node.commands(&tenant, commands, &CallOptions::default()).await {
        done.unwrap();
    }
}

fn deadline_ms(registry: &Registry) -> u64 {
    registry.get("limits.check").unwrap().settings.deadline_ms
}

#[test]
fn the_copy_is_what_is_read_at_the_next_start() {
    let machine = Machine::new();
    let copied: Meta = machine.life(End::Kill, async |node| {
        all_done(node, vec![key("a", "acme"), key("b", "acme"), put(0, "x", 1)]).await;
        let before = node.meta();
        all_done(node, vec![put(0, "x", 2), put(0, "y", 1), put(1, "x", 3), put(1, "y", 4)]).await;
        all_done(node, vec![delete(0, "x"), delete(0, "y"), delete(1, "y")]).await;
        let revoke = Action::RevokeKey { id: "a".to_owned(), tenant: None };
        all_done(node, vec![revoke, contracts(700)]).await;
        all_done(node, vec![token_key("a"), token_key("b")]).await;
        let revoke = Action::RevokeTokenKey { kid: "a".to_owned(), tenant: "acme".to_owned() };
        all_done(node, vec![revoke]).await;
        assert_eq!(before.meta.limits[&TenantId(0)].len(), 1, "what was read stays as it was");
        let view = node.meta();
        assert_eq!(deadline_ms(&view.registry), 700);
        assert!(!view.meta.limits.contains_key(&TenantId(0)) && !view.meta.keys.contains_key("a"));
        assert_eq!(view.meta.limit(TenantId(1), "x").unwrap().quantity, 3);
        assert_eq!(view.meta.token_keys.keys().collect::<Vec<_>>(), ["b"]);
        view.meta.clone()
    });
    machine.life(End::Shutdown, async |node| {
        let view = node.meta();
        assert_eq!(view.meta, copied);
        assert_eq!(deadline_ms(&view.registry), 700);
    });
}
