//! What a consumer may answer, and what becomes of the job.

use super::{
    Node,
    consumer::{Consumer, Reaction, ok, status},
    fake::{Fake, secret},
};
use crate::push::{PushOptions, Reach, signature::sign};
use evenkeel_domains::jobs::{LeaseId, PushRequest, State};
use hyper::header::HeaderValue;
use std::collections::BTreeSet;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_job_is_sent_with_all_that_is_known_of_it() {
    let consumer = Consumer::start(|_, _| Reaction::Answer(200, "", "[1, 2]\n".into())).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    jobs.change(|all| all.jobs.values_mut().for_each(|job| job.trace = Some(trace.to_owned())));
    jobs.put("mails", &consumer.url(), |_| {});
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    let [received] = &consumer.received()[..] else { panic!("sent once") };
    let job = jobs.job_of("mails", 7);
    assert_eq!((received.path.as_str(), &received.body), ("/hook?token=hidden", &job.payload));
    for (name, value) in [
        ("host", consumer.address.to_string().as_str()),
        ("content-type", "application/json"),
        ("webhook-id", "3.7"),
        ("evenkeel-job", "3.7"),
        ("evenkeel-queue", "mails"),
        ("evenkeel-kind", "mail"),
        ("evenkeel-attempt", "1"),
        ("evenkeel-fence", "1"),
        ("traceparent", trace),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    let timestamp_s = received.header("webhook-timestamp").parse().unwrap();
    let signed = sign([&secret(1)].into_iter(), "3.7", timestamp_s, received.body.as_bytes());
    assert_eq!(received.header("webhook-signature"), signed);
    assert_eq!(job.result.as_deref(), Some("[1, 2]"));
    assert_eq!(job.lease, LeaseId { attempt: 1, fence: 1 });
}

#[tokio::test]
async fn the_secret_before_signs_too() {
    let consumer = Consumer::start(|_, _| ok()).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    jobs.put("mails", &consumer.url(), |_| {});
    jobs.put("mails", &consumer.url(), |pushed| {
        let request = PushRequest {
            url: pushed.push.url.clone(),
            secret: Some(secret(2)),
            timeout_ms: 1_000,
            concurrency_max: 1,
        };
        let now = evenkeel_engine::Time(1_700_000_000_000);
        pushed.push = evenkeel_domains::jobs::Push::put(request, Some(&pushed.push), now).unwrap();
    });
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    let received = &consumer.received()[0];
    let timestamp_s = received.header("webhook-timestamp").parse().unwrap();
    let both = [secret(2), secret(1)];
    let signed = sign(both.iter(), "3.7", timestamp_s, received.body.as_bytes());
    assert_eq!(received.header("webhook-signature"), signed);
}

/// Each of these fails an attempt; the next one succeeds, as the same webhook.
#[tokio::test]
async fn what_is_no_success_fails_the_attempt_and_says_why() {
    let elsewhere = Consumer::start(|_, _| ok()).await;
    let location: &'static str =
        Box::leak(format!("location: {}\r\n", elsewhere.url()).into_boxed_str());
    let unfinished = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec();
    let text = format!("no such\x07 thing{}", "x".repeat(1_000));
    let quoted = format!("answered 404 Not Found: no such  thing{}…", "x".repeat(242));
    for (reaction, error) in [
        (status(500), "answered 500 Internal Server Error"),
        (Reaction::Answer(404, "", text), &quoted[..]),
        (Reaction::Answer(302, location, String::new()), "and redirects are not followed"),
        (Reaction::Answer(307, location, String::new()), "and redirects are not followed"),
        (status(503), "answered 503 Service Unavailable"),
        (Reaction::Answer(429, "retry-after: soon\r\n", String::new()), "answered 429"),
        (status(101), "answered 101"),
        (Reaction::Raw(Vec::new()), "no whole answer: "),
        (Reaction::Raw(b"HTTP/9.9 lies\r\n\r\n".to_vec()), "no whole answer: "),
        (
            Reaction::Raw(format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(99_999)).into()),
            "no whole answer: ",
        ),
        (Reaction::Raw(unfinished), "no whole answer: "),
        (Reaction::Reset, "no whole answer: "),
        (Reaction::Dawdle, "no whole answer within 200 ms"),
        (Reaction::Hang, "no whole answer within 200 ms"),
    ] {
        let shown = format!("{reaction:.80?}");
        let consumer =
            Consumer::start(move |number, _| if number == 0 { reaction.clone() } else { ok() });
        let consumer = consumer.await;
        let jobs = Fake::new();
        jobs.enqueue("mails", [7]);
        jobs.put("mails", &consumer.url(), |pushed| pushed.push.timeout_ms = 200);
        let node = Node::start(&jobs);
        jobs.until_done().await;
        node.stop().await;
        let job = jobs.job_of("mails", 7);
        let [said] = &job.errors[..] else { panic!("{shown}: {:?}", job.errors) };
        assert!(said.contains(error) && said.len() < 400, "{shown}: {said}");
        assert!(!said.contains("hidden") && !said.contains('\x07'), "{shown}: {said}");
        let received = consumer.received();
        assert_eq!(received.len(), 2, "{shown}");
        assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"), "{shown}");
        assert_eq!(received[1].header("evenkeel-attempt"), "2", "{shown}");
    }
    assert_eq!(elsewhere.seen().connections, 0, "nobody was sent there");
}

#[tokio::test]
async fn a_result_is_kept_if_it_is_one() {
    let long = format!("\"{}\"", "x".repeat(16 * 1_024));
    let longest = format!("\"{}\"", "x".repeat(16 * 1_024 - 2));
    for (body, result) in [
        (r#" {"a": [1, null]} "#.to_owned(), Some(r#"{"a": [1, null]}"#.to_owned())),
        (longest.clone(), Some(longest)),
        (String::new(), None),
        ("thank you".to_owned(), None),
        ("{\"a\": ".to_owned(), None),
        ("[".repeat(10_000), None),
        (long, None),
        // More than is ever read.
        (format!("\"{}\"", "x".repeat(3_000_000)), None),
        // The queue's settings have changed meanwhile.
        ("\"refuse me\"".to_owned(), None),
    ] {
        let shown = format!("{body:.40}");
        let consumer = Consumer::start(move |_, _| Reaction::Answer(201, "", body.clone())).await;
        let jobs = Fake::new();
        jobs.enqueue("mails", [7, 8]);
        jobs.put("mails", &consumer.url(), |pushed| pushed.push.concurrency_max = 1);
        let node = Node::start(&jobs);
        jobs.until_done().await;
        node.stop().await;
        let job = jobs.job_of("mails", 7);
        assert_eq!((job.result, job.errors), (result, vec![]), "{shown}");
        let connections = if shown.len() == 40 && shown.contains("xxx") { 2 } else { 1 };
        assert!(consumer.seen().connections <= connections, "{shown}: a connection is used again");
    }
}

#[tokio::test]
async fn one_who_is_gone_is_not_called_again_until_it_is_put_again() {
    let consumer = Consumer::start(|number, _| if number == 0 { status(410) } else { ok() }).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", [7, 8, 9]);
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.concurrency_max = 1);
    let node = Node::start(&jobs);
    jobs.until(|all| all.queues["mails"].push.disabled.is_some()).await;
    jobs.until_state("mails", 7, State::Ready).await;
    assert_eq!(jobs.disabled("mails").as_deref(), Some("answered 410 Gone"));
    assert_eq!(consumer.received().len(), 1);
    assert!(jobs.job_of("mails", 7).errors.is_empty(), "that was not the job's failure");
    jobs.put("mails", &consumer.url(), |_| {});
    jobs.until_done().await;
    node.stop().await;
    assert_eq!(consumer.received().len(), 4);
}

#[tokio::test]
async fn one_who_asks_for_it_is_left_alone() {
    for (code, after, delay_ms) in [
        (429, "retry-after: 1\r\n", 1_000),
        (503, "retry-after: 0\r\n", 1_000),
        (429, "retry-after: 86400\r\n", 3_600_000),
        (503, "retry-after: Fri, 31 Dec 2999 23:59:59 GMT\r\n", 3_600_000),
    ] {
        let consumer = Consumer::start(move |number, _| {
            if number == 0 { Reaction::Answer(code, after, String::new()) } else { ok() }
        });
        let consumer = consumer.await;
        let jobs = Fake::new();
        jobs.enqueue("mails", [7]);
        jobs.put("mails", &consumer.url(), |_| {});
        let node = Node::start(&jobs);
        jobs.until(|all| all.jobs.values().all(|job| !job.snoozes.is_empty())).await;
        let job = jobs.job_of("mails", 7);
        assert_eq!((job.errors.len(), job.snoozes), (0, vec![delay_ms]), "{after}");
        jobs.enqueue("mails", [8]);
        let standing = node.standing("mails");
        assert_eq!(standing.breaker, "closed", "{after}");
        if delay_ms > 1_000 {
            assert!(standing.wait_ms > 3_000_000, "{after}: all of it is left alone");
            assert_eq!(consumer.received().len(), 1, "{after}");
        } else {
            jobs.until_done().await;
        }
        node.stop().await;
    }
}

#[tokio::test]
async fn where_nobody_is_the_breaker_keeps_jobs_from_being_eaten() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let jobs = Fake::new();
    jobs.enqueue("mails", 0..200);
    jobs.put("mails", &format!("http://{address}/"), |_| {});
    let node = Node::start(&jobs);
    node.until("mails", |standing| standing.is_some_and(|it| it.breaker == "open")).await;
    let consumer = Consumer::start_on(TcpListener::bind(address).await.unwrap(), |_, _| ok());
    jobs.until_done().await;
    assert_eq!(node.standing("mails").breaker, "closed");
    let mut page = String::new();
    node.pushes.render(&mut page);
    assert!(
        page.contains("evenkeel_push_breaker{tenant=\"default\",queue=\"mails\"} 0\n"),
        "{page}"
    );
    assert!(page.contains(",outcome=\"succeeded\"} 200\n"), "{page}");
    node.stop().await;
    let eaten: usize = (0..200).map(|number| jobs.job_of("mails", number).errors.len()).sum();
    assert!((5..=12).contains(&eaten), "{eaten} attempts at nobody");
    let sent: BTreeSet<String> =
        consumer.received().iter().map(|received| received.job().to_owned()).collect();
    assert_eq!(sent.len(), 200);
}

#[tokio::test]
async fn a_job_that_its_consumer_chokes_on_does_not_block_others() {
    let consumer =
        Consumer::start(|_, received| if received.job() == "3.7" { status(500) } else { ok() });
    let consumer = consumer.await;
    let jobs = Fake::new();
    jobs.put("mails", &consumer.url(), |_| {});
    let node = Node::start(&jobs);
    jobs.enqueue("mails", [7]);
    jobs.until(|all| all.jobs.values().all(|job| job.errors.len() > 10)).await;
    assert_eq!(node.standing("mails").breaker, "closed");
    jobs.enqueue("mails", 8..20);
    for number in 8..20 {
        jobs.until_state("mails", number, State::Done).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn private_addresses_are_not_called() {
    let consumer = Consumer::start(|_, _| ok()).await;
    let port = consumer.address.port();
    for url in [format!("http://localhost:{port}/"), format!("http://127.0.0.1:{port}/")] {
        let jobs = Fake::new();
        jobs.enqueue("mails", [7]);
        jobs.put("mails", &url, |_| {});
        let node = Node::start_in_reach(&jobs, PushOptions::new(), Reach::Public);
        jobs.until(|all| all.jobs.values().all(|job| !job.errors.is_empty())).await;
        node.stop().await;
        let errors = jobs.job_of("mails", 7).errors;
        assert!(
            errors[0].ends_with("is not of the public internet, and webhooks may not go there")
        );
    }
    assert_eq!(consumer.seen().connections, 0);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let consumer = Consumer::start(|_, _| Reaction::AnswerAndClose(200)).await;
    let jobs = Fake::new();
    jobs.put("mails", &consumer.url(), |pushed| pushed.push.concurrency_max = 1);
    let node = Node::start(&jobs);
    for number in 0..20 {
        jobs.enqueue("mails", [number]);
        jobs.until_state("mails", number, State::Done).await;
    }
    node.stop().await;
    assert!((0..20).all(|number| jobs.job_of("mails", number).errors.is_empty()));
}

#[tokio::test]
async fn no_value_is_a_header_that_is_none() {
    // What a queue's rules let through as an address is legal in a request.
    let consumer = Consumer::start(|_, _| ok()).await;
    let jobs = Fake::new();
    jobs.enqueue("mails", [7]);
    jobs.change(|all| {
        all.jobs.values_mut().for_each(|job| job.trace = Some("a\r\nwebhook-id: forged".into()));
    });
    let url = format!("http://{}/%00?a[]=1&b='(*)'~;,:@!$", consumer.address);
    jobs.put("mails", &url, |_| {});
    let node = Node::start(&jobs);
    jobs.until_done().await;
    node.stop().await;
    let received = &consumer.received()[0];
    assert_eq!(received.path, "/%00?a[]=1&b='(*)'~;,:@!$");
    assert_eq!((received.header("traceparent"), received.header("webhook-id")), ("", "3.7"));
    assert!(HeaderValue::from_str("a\r\nb").is_err());
}
