//! The client and the tower layer, against a real server, and against servers that are not well.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by failing")]

mod harness;

use crate::harness::{Canned, Evenkeel, answer, ask, service};
use evenkeel_client::{Check, CheckError, Client, ClientError, OnUnavailable, RateLimitLayer};
use hyper::{StatusCode, http::request::Parts};
use std::{net::TcpListener, time::Duration};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(30);
/// Shorter than anybody who does not answer takes.
const SHORT: Duration = Duration::from_millis(50);

fn user(head: &Parts) -> String {
    head.headers.get("x-user").map_or("", |user| user.to_str().unwrap()).to_owned()
}

#[tokio::test]
async fn requests_are_limited_by_their_key() {
    let evenkeel = Evenkeel::open().await;
    evenkeel.limit("hello", 2, false).await;
    let limit = RateLimitLayer::new(&evenkeel.client(), "hello").key(user).deadline(LONG);
    let (app, called) = service(limit);
    let first = ask(&app, &[("x-user", "ada")]).await;
    assert_eq!((first.status, first.body.as_str()), (StatusCode::OK, "hello"));
    assert_eq!(first.header("ratelimit-policy"), Some("\"hello\";q=2;w=3600"));
    assert!(first.header("ratelimit").unwrap().starts_with("\"hello\";r=1;"), "{first:?}");
    assert_eq!(ask(&app, &[("x-user", "ada")]).await.status, StatusCode::OK);
    assert_eq!(called(), 2);

    let refused = ask(&app, &[("x-user", "ada")]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(called(), 2, "what is refused does not go on");
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert!(refused.header("ratelimit").unwrap().starts_with("\"hello\";r=0;"), "{refused:?}");
    let after_s: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&after_s), "{after_s}");
    let problem = refused.problem();
    assert_eq!((&problem["code"], &problem["status"]), (&"limited".into(), &429.into()));
    assert_eq!(ask(&app, &[("x-user", "bob")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn scopes_and_keys_of_the_api_are_told() {
    let evenkeel = Evenkeel::keyed().await;
    evenkeel.limit("plan", 1, true).await;
    let strange = RateLimitLayer::new(&evenkeel.client(), "plan").deadline(LONG);
    assert_eq!(ask(&service(strange).0, &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let client = evenkeel.client().api_key(&evenkeel.key().await).unwrap();
    let limit = RateLimitLayer::new(&client, "plan").scope(user).deadline(LONG);
    let (app, _) = service(limit.clone());
    assert_eq!(ask(&app, &[("x-user", "acme")]).await.status, StatusCode::OK);
    assert_eq!(ask(&app, &[("x-user", "acme")]).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(&app, &[("x-user", "other")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_an_answer_it_is_as_was_said() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [&silent, &closed].map(|it| it.local_addr().unwrap().to_string());
    drop(closed);
    let evenkeel = Evenkeel::open().await;
    let [silent, closed] = addresses.map(|address| Client::new(&address).unwrap());
    let all = [(silent, SHORT), (closed, LONG), (evenkeel.client(), LONG)];
    // Of the last the limit is not there: nobody can count by it either.
    for (client, deadline) in all {
        let limit = RateLimitLayer::new(&client, "none").deadline(deadline);
        let (app, called) = service(limit.clone());
        let denied = ask(&app, &[]).await;
        assert_eq!((denied.status, called()), (StatusCode::SERVICE_UNAVAILABLE, 0));
        assert_eq!(denied.header("retry-after"), Some("1"));
        assert_eq!(denied.problem()["code"], "unavailable");
        let (app, called) = service(limit.on_unavailable(OnUnavailable::Allow));
        let allowed = ask(&app, &[]).await;
        assert_eq!((allowed.status, called()), (StatusCode::OK, 1));
        assert_eq!(allowed.header("ratelimit"), None);
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_counted_lets_nobody_through() {
    let evenkeel = Evenkeel::open().await;
    evenkeel.limit("hello", 1, false).await;
    let limit = RateLimitLayer::new(&evenkeel.client(), "hello").key(user).deadline(LONG);
    let (app, called) = service(limit.on_unavailable(OnUnavailable::Allow));
    let refused = ask(&app, &[("x-user", &"a".repeat(513))]).await;
    assert_eq!((refused.status, called()), (StatusCode::BAD_REQUEST, 0));
    assert_eq!(refused.problem()["code"], "invalid_request");
    let longest = "a".repeat(512);
    assert_eq!(ask(&app, &[("x-user", &longest)]).await.status, StatusCode::OK);
    assert_eq!(ask(&app, &[("x-user", &longest)]).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn the_limits_own_word_holds_where_nobody_counts() {
    let degraded = |allowed: bool| {
        let body = format!("{{\"allowed\":{allowed},\"degraded\":true,\"results\":[]}}");
        Canned::start(vec![vec![answer("200 OK", "Retry-After: 7\r\n", &body)]])
    };
    // Whatever is said here is for when there is no answer at all.
    for (allowed, other) in [(true, OnUnavailable::Deny), (false, OnUnavailable::Allow)] {
        let canned = degraded(allowed);
        let limit = RateLimitLayer::new(&canned.client(), "l").deadline(LONG).on_unavailable(other);
        let said = ask(&service(limit).0, &[]).await;
        let status = if allowed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!((said.status, said.header("retry-after")), (status, Some("7")));
    }
}

#[tokio::test]
async fn connections_are_used_again_until_they_end() {
    let fits = |rest: &str| answer("200 OK", rest, "{\"allowed\":true,\"degraded\":false}");
    // Two answers on the first connection, which then ends; one on the next.
    let first = vec![fits(""), fits("Connection: close\r\n")];
    let canned = Canned::start(vec![first, vec![fits("")]]);
    let client = canned.client();
    let check = Check { limit: "l", scope: None, key: "k" };
    for _ in 0..3 {
        assert!(client.check(&check, LONG).await.unwrap().allowed);
    }
    assert_eq!(canned.connections(), 2);
}

#[tokio::test]
async fn answers_of_others_are_errors() {
    let long = "x".repeat(100_000);
    let wrong = [
        answer("200 OK", "", "{\"allowed\":1}"),
        answer("200 OK", "", &long),
        "nonsense\r\n\r\n".to_owned(),
    ];
    let check = Check { limit: "l", scope: None, key: "k" };
    for wrong in wrong {
        let canned = Canned::start(vec![vec![wrong.clone()]]);
        let error = canned.client().check(&check, LONG).await.unwrap_err();
        let known = matches!(error, CheckError::Answer(_) | CheckError::Connection(_));
        assert!(known, "{error:?} of {wrong}");
    }
    let canned = Canned::start(vec![vec![answer("500 Internal Server Error", "", "")]]);
    let error = canned.client().check(&check, LONG).await.unwrap_err();
    assert!(matches!(error, CheckError::Refused { status, .. } if status == 500), "{error:?}");
}

#[test]
fn addresses_and_keys_are_looked_at_first() {
    for fine in ["127.0.0.1:7480", "http://127.0.0.1:7480/", "[::1]:7480", "evenkeel:80"] {
        assert!(Client::new(fine).is_ok(), "{fine}");
    }
    for wrong in ["", "evenkeel", "https://evenkeel:80", "evenkeel:80/v1", "a@evenkeel:80", "a b:1"]
    {
        assert!(matches!(Client::new(wrong), Err(ClientError::Address(_))), "{wrong}");
    }
    let client = Client::new("evenkeel:80").unwrap();
    for wrong in ["", "ek a", "ek\n", "ek\u{e9}"] {
        assert!(matches!(client.clone().api_key(wrong), Err(ClientError::Key)), "{wrong:?}");
    }
}
