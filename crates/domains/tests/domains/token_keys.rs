//! Token keys: whose they are, how many there may be, what is known of them and what is not shown.

use crate::driver::{Driver, meta};
use crate::facts::Seen;
use evenkeel_domains::{
    Command, Refusal, Reply,
    meta::{
        self as metas, Action, TOKEN_KEYS_MAX, TokenAlgorithm, TokenKeyView, TokenPublicKey,
        TokenSecret, TokenVerifier,
    },
};
use evenkeel_engine::{Failure, Options};

pub(crate) fn secret(byte: u8) -> TokenVerifier {
    TokenVerifier::Hs256(TokenSecret::new(vec![byte; 32]).unwrap())
}

pub(crate) fn public(byte: u8) -> TokenVerifier {
    TokenVerifier::EdDsa(TokenPublicKey::new(&[byte; 32]).unwrap())
}

pub(crate) fn create(kid: &str, tenant: &str, verifier: TokenVerifier) -> Command {
    let (kid, tenant, label) = (kid.to_owned(), tenant.to_owned(), "web".to_owned());
    meta(Action::CreateTokenKey { kid, tenant, verifier, drawn: false, label })
}

pub(crate) fn revoke(kid: &str, tenant: &str) -> Command {
    meta(Action::RevokeTokenKey { kid: kid.to_owned(), tenant: tenant.to_owned() })
}

/// One of each.
pub(crate) fn commands() -> [Command; 2] {
    [create("tk_1", "acme", secret(1)), revoke("tk_1", "acme")]
}

/// Everything that these commands do and refuse.
pub(crate) fn story(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    seen.run(driver, create("tk_1", "acme", secret(1))).unwrap();
    seen.run(driver, create("tk_1", "acme", public(2))).unwrap_err();
    seen.run(driver, revoke("tk_1", "acme")).unwrap();
    seen.run(driver, revoke("tk_1", "acme")).unwrap_err();
    fill(driver, "acme");
    seen.run(driver, create("one-more", "acme", public(2))).unwrap_err();
}

fn fill(driver: &mut Driver, tenant: &str) {
    for at in 0..TOKEN_KEYS_MAX {
        driver.ask(create(&format!("{tenant}-{at}"), tenant, public(2)), None).unwrap();
    }
}

fn refused(driver: &mut Driver, command: Command) -> metas::Refusal {
    match driver.ask(command, None) {
        Err(Failure::Refused(Refusal::Meta(refusal))) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_tenant_does_not_touch_the_keys_of_another() {
    let mut driver = Driver::new(Options::default());
    driver.ask(create("tk_1", "acme", secret(1)), None).unwrap();
    let taken = create("tk_1", "other", public(2));
    assert_eq!(refused(&mut driver, taken), metas::Refusal::KeyExists, "a kid names one tenant");
    assert_eq!(refused(&mut driver, revoke("tk_1", "other")), metas::Refusal::NoTokenKey);
    let known = metas::load(&driver.partition.view()).unwrap();
    assert_eq!(known.token_keys["tk_1"].tenant, "acme");
}

#[test]
fn a_tenant_has_so_many_and_another_as_many_again() {
    let mut driver = Driver::new(Options::default());
    fill(&mut driver, "acme");
    let one_more = || create("one-more", "acme", public(2));
    assert_eq!(refused(&mut driver, one_more()), metas::Refusal::TooManyTokenKeys);
    driver.ask(create("tk_1", "other", public(2)), None).unwrap();
    driver.ask(revoke("acme-7", "acme"), None).unwrap();
    driver.ask(one_more(), None).unwrap();
}

/// The copy that requests are checked against is kept by what each record changes.
#[test]
fn what_a_record_changes_is_what_is_read() {
    let mut driver = Driver::new(Options::default());
    let mut kept = metas::load(&driver.partition.view()).unwrap();
    let steps = [
        create("tk_1", "acme", secret(1)),
        create("tk_2", "acme", public(2)),
        revoke("tk_1", "acme"),
    ];
    for command in steps {
        let before = driver.log.len();
        driver.ask(command, None).unwrap();
        for record in &driver.log[before..] {
            let changes = metas::changes(record.body()).unwrap();
            assert!(changes.iter().all(|change| !change.is_for_decisions()));
            changes.into_iter().for_each(|change| kept.apply(change));
        }
        assert_eq!(kept, metas::load(&driver.partition.view()).unwrap());
    }
    assert_eq!(kept.token_keys.keys().collect::<Vec<_>>(), ["tk_2"]);
    assert!(kept.for_decisions().token_keys.is_empty(), "no decision needs a secret");
}

#[test]
fn no_secret_is_shown_or_answered() {
    let mut driver = Driver::new(Options::default());
    let command = create("tk_1", "acme", secret(177));
    let asked = format!("{command:?}");
    let reply = driver.ask(command, None).unwrap();
    let known: TokenKeyView =
        metas::load(&driver.partition.view()).unwrap().token_keys["tk_1"].clone();
    for shown in [asked, format!("{reply:?}"), format!("{known:?} {known:#?}")] {
        assert!(!shown.contains("177"), "{shown}");
    }
    let Reply::Meta(metas::Reply::TokenKey { kid, algorithm, label, created_at }) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((kid.as_str(), algorithm, label.as_str()), ("tk_1", TokenAlgorithm::Hs256, "web"));
    assert_eq!(created_at, known.created_at);
}

/// A secret that the edge drew is drawn anew for each try; one that was given is what was asked for.
#[test]
fn a_request_for_a_token_key_is_the_same_whatever_was_drawn_for_it() {
    let of = |kid: &str, tenant: &str, verifier, drawn, label: &str| {
        let (kid, tenant, label) = (kid.to_owned(), tenant.to_owned(), label.to_owned());
        let action = Action::CreateTokenKey { kid, tenant, verifier, drawn, label };
        meta(action).fingerprint_bytes()
    };
    let drawn = of("1", "acme", secret(1), true, "l");
    assert_eq!(of("2", "acme", secret(2), true, "l"), drawn);
    let given = of("1", "acme", secret(1), false, "l");
    assert_eq!(of("2", "acme", secret(1), false, "l"), given);
    for other in [
        drawn,
        of("1", "acme", secret(2), false, "l"),
        of("1", "acme", public(1), false, "l"),
        of("1", "acm", secret(1), false, "l"),
        of("1", "acme", secret(1), false, "k"),
    ] {
        assert_ne!(other, given);
    }
}
