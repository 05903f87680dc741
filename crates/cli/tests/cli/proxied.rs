//! A worker whose server is behind a proxy that answers 502 while it reaches nobody.

use crate::process::{Server, Started, evenkeel, eventually};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

const BAD_GATEWAY: &[u8] =
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\n<bad>";

/// How often the last word of each address was asked for.
type Asked = Arc<Mutex<BTreeMap<String, u32>>>;

/// Passes requests on to `server`, but answers the first for each last word of an address itself.
fn proxy(server: &Server) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (server, counts) = (server.url.trim_start_matches("http://").to_owned(), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (server, asked) = (server.clone(), counts.clone());
            std::thread::spawn(move || pass_on(stream.unwrap(), &server, &asked));
        }
    });
    (url, asked)
}

/// Until either connection ends.
fn pass_on(mut client: TcpStream, server: &str, asked: &Asked) -> Option<()> {
    let mut requests = BufReader::new(client.try_clone().ok()?);
    let mut server = TcpStream::connect(server).ok()?;
    let mut answers = BufReader::new(server.try_clone().ok()?);
    loop {
        let request = message(&mut requests)?;
        let address = String::from_utf8_lossy(&request).split(' ').nth(1)?.to_owned();
        let word = address.rsplit('/').next()?.to_owned();
        let count = {
            let mut asked = asked.lock().unwrap();
            let count = asked.entry(word).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            client.write_all(BAD_GATEWAY).ok()?;
            continue;
        }
        server.write_all(&request).ok()?;
        client.write_all(&message(&mut answers)?).ok()?;
    }
}

/// One request or answer.
fn message(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut message, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        message.extend_from_slice(line.as_bytes());
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let head = message.len();
    message.resize(head + length, 0);
    from.read_exact(&mut message[head..]).ok()?;
    Some(message)
}

#[test]
fn a_proxy_that_reaches_nobody_is_waited_for_and_costs_no_job() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let server = Server::serve(&data, &["--init", "--insecure-no-auth"]);
    let ask = |method, path: &str, body: &Value| server.ask(method, path, Some(&body.to_string()));
    assert_eq!(ask("PUT", "/v1/queues/q", &json!({ "lease_ms": 2000 })).0, 201);
    let (_, put) = ask("POST", "/v1/queues/q/jobs", &json!({ "jobs": [{ "kind": "k" }] }));
    let job = format!("/v1/queues/q/jobs/{}", put["jobs"][0]["job"].as_str().unwrap());
    let (url, asked) = proxy(&server);
    let gate = directory.path().join("gate");
    let script = r#"until [ -e "$GATE" ]; do sleep 0.01; done; echo '"fine"'"#;
    let mut command =
        evenkeel(&["work", "--queue", "q", "--exec", script, "--max-jobs", "1", "--url", &url]);
    command.env("GATE", &gate);
    let mut worker = Started::new(command);
    eventually("the lease to be extended after a 502", || {
        (asked.lock().unwrap().get("extend") > Some(&1)).then_some(())
    });
    std::fs::write(&gate, "").unwrap();
    let ended = worker.ended().succeeds();
    assert!(ended.err.contains("(502 Bad Gateway); waiting for it"), "{ended:?}");
    assert!(ended.err.contains("answers again"), "{ended:?}");
    let (_, done) = server.ask("GET", &job, None);
    let became = (&done["state"], &done["attempt"], &done["crashes"], &done["result"]);
    assert_eq!(became, (&json!("done"), &json!(1), &json!(0), &json!("fine")), "{done}");
    for word in ["q", "lease", "extend", "complete"] {
        assert!(asked.lock().unwrap()[word] > 1, "{word} met a 502: {asked:?}");
    }
}
