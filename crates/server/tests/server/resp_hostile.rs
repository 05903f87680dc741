//! Connections that dawdle, flood, come too many or are no clients at all: they are held up or
//! closed, and the others are served.

use crate::resp_harness::{RespServer, command};
use evenkeel_server::{Auth, resp::RespOptions};
use std::{
    io::{Read, Write},
    thread,
    time::Duration,
};

fn options() -> RespOptions {
    RespOptions::new(Auth::Open)
}

#[test]
fn who_does_not_read_is_closed_and_nobody_else() {
    let mut options = options();
    options.write_timeout = Duration::from_millis(50);
    let server = RespServer::start(options);
    let mut flood = server.connect();
    let large = command(&["ECHO", &"x".repeat(500_000)]);
    let mut sent = 0;
    // The system takes some megabytes for either side; then nobody takes any more.
    while flood.stream.write_all(&large).is_ok() {
        sent += 1;
        assert!(sent < 10_000, "five gigabytes were taken of one who reads nothing");
    }
    server.connect().ask("PING", "+PONG");
}

#[test]
fn a_million_pings_that_nobody_reads_hold_only_their_sender_up() {
    let server = RespServer::open();
    let mut flood = server.connect();
    flood.stream.set_nonblocking(true).unwrap();
    let pings = command(&["PING"]).repeat(1_000_000);
    let mut other = server.connect();
    let (mut sent, mut refusals) = (0, 0);
    while sent < pings.len() && refusals < 100 {
        match flood.stream.write(&pings[sent..]) {
            Ok(bytes) => sent += bytes,
            Err(_) => refusals += 1,
        }
        other.ask("PING", "+PONG");
    }
    // What was sent is answered once it is read, to the last command that is whole.
    flood.stream.set_nonblocking(false).unwrap();
    let whole = sent / 14;
    let mut heard = vec![0; whole * 7];
    flood.stream.read_exact(&mut heard).unwrap();
    assert!(heard.chunks(7).all(|reply| reply == b"+PONG\r\n"));
}

#[test]
fn one_connection_too_many_is_told_so_and_closed() {
    let mut options = options();
    options.connections_max = 1;
    let server = RespServer::start(options);
    let mut first = server.connect();
    first.ask("PING", "+PONG");
    let mut second = server.connect();
    second.send("PING\r\n");
    assert_eq!(second.rest(), "-ERR max number of clients reached\r\n");
    assert_eq!(server.connect().rest(), "-ERR max number of clients reached\r\n");
    first.ask("PING", "+PONG");
    drop(first);
    loop {
        let mut next = server.connect();
        next.send("PING\r\n");
        let mut byte = [0];
        next.stream.read_exact(&mut byte).unwrap();
        if byte == *b"+" {
            break;
        }
    }
}

#[test]
fn very_many_connections_too_many_do_no_harm() {
    let mut options = options();
    options.connections_max = 1;
    let server = RespServer::start(options);
    let mut first = server.connect();
    first.ask("PING", "+PONG");
    let mut others: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let told = others.iter_mut().map(|client| {
        let mut byte = [0];
        usize::from(client.stream.read(&mut byte).is_ok_and(|bytes| bytes == 1 && byte == *b"-"))
    });
    assert!(told.sum::<usize>() >= 64);
    first.ask("PING", "+PONG");
}

#[test]
fn idle_connections_are_closed_if_they_are_to_be() {
    let mut options = options();
    options.idle_timeout = Duration::from_millis(20);
    let server = RespServer::start(options);
    let mut client = server.connect();
    client.send("PING\r\n");
    assert_eq!(client.rest(), "+PONG\r\n");
}

/// A byte now and then is no command.
#[test]
fn who_never_finishes_a_command_is_closed() {
    let mut options = options();
    options.command_timeout = Duration::from_millis(50);
    let server = RespServer::start(options);
    let mut client = server.connect();
    client.send("PING\r\n*2\r\n$4\r\nECHO\r\n$500000\r\n");
    client.hear("+PONG\r\n");
    let mut dripping = client.stream.try_clone().unwrap();
    let drip = thread::spawn(move || while dripping.write_all(b"x").is_ok() {});
    assert_eq!(client.rest(), "");
    drip.join().unwrap();
    server.connect().ask("PING", "+PONG");
}

#[test]
fn who_does_not_say_who_they_are_is_closed() {
    let mut options = RespOptions::new(Auth::Keys);
    options.stranger_timeout = Duration::from_millis(50);
    let server = RespServer::start(options);
    let mut stranger = server.connect();
    let mut asking = stranger.stream.try_clone().unwrap();
    let ask = thread::spawn(move || while asking.write_all(b"RESET\r\n").is_ok() {});
    let said = stranger.rest();
    assert_eq!(said.replace("+RESET\r\n", ""), "");
    ask.join().unwrap();
    assert_eq!(server.connect().rest(), "");
}

#[test]
fn browsers_are_hung_up_on() {
    let server = RespServer::open();
    for text in [
        "POST / HTTP/1.1\r\nHost: localhost:6379\r\n\r\nCL.THROTTLE k 1 1 86400\r\n",
        "post / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(text);
        assert_eq!(client.rest(), "");
    }
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nCL.THROTTLE k 1 1 86400\r\n");
    let said = client.rest();
    assert!(said.is_empty() || said.starts_with("-ERR unknown command 'GET'"), "{said}");
    server.connect().ask("CL.THROTTLE k 1 1 86400 0", "*5\n:0\n:2\n:2\n:-1\n:0");
}

#[test]
fn a_connection_cut_off_anywhere_harms_nobody() {
    let server = RespServer::open();
    let whole = command(&["CL.THROTTLE", "k", "1", "1", "86400"]);
    for end in 0..whole.len() {
        server.connect().send(&whole[..end]);
    }
    server.connect().ask("CL.THROTTLE k 1 1 86400 0", "*5\n:0\n:2\n:2\n:-1\n:0");
}

#[test]
fn a_stop_answers_what_was_read_and_closes() {
    let server = RespServer::open();
    let (mut quiet, mut half) = (server.connect(), server.connect());
    quiet.ask("PING", "+PONG");
    half.send("PING\r\n*1\r\n$4\r\nPI");
    half.hear("+PONG\r\n");
    server.stop();
    assert_eq!((quiet.rest(), half.rest()), (String::new(), String::new()));
}

/// Any bytes: an answer or a closed connection, and never a failure of the server.
#[test]
fn hostile_bytes_harm_nobody() {
    let iterations = std::env::var("EVENKEEL_FUZZ_ITERATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_u64);
    let server = RespServer::open();
    let words = [
        "*3\r\n",
        "$11\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "CL.THROTTLE",
        "LIMIT.CHECK",
        "LIMIT.PUT",
        "HELLO 3",
        "COMMAND DOCS",
        "CLIENT",
        "QUIT",
        " k ",
        " 1 ",
        "\r\n",
        "\n",
        "\"",
        "'",
        "\\x",
        "\0",
        "é",
        "ALGORITHM gcra",
        "*1\r\n$4\r\nPING\r\n",
        "RESET",
        "99999999999999999999",
    ];
    for seed in 0..iterations {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = Vec::new();
        for _ in 0..random.usize(0..30) {
            bytes.extend_from_slice(random.choice(words).unwrap().as_bytes());
            if random.u8(0..8) == 0 {
                bytes.push(random.u8(..));
            }
        }
        let mut client = server.connect();
        // The server may have closed it before all was sent.
        let _ = client.stream.write_all(&bytes);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        let said = client.rest();
        assert!(!said.contains("-INTERNAL"), "seed {seed}: {said}");
    }
    server.connect().ask("PING", "+PONG");
}
