//! `MULTI` to `EXEC`: what clients wrap their pipelines in. The expected bytes are Redis's.

use crate::resp_harness::{RespServer, command};

const NEXT: &str = "*5\n:0\n:1\n:0\n:-1\n:86400";

#[test]
fn what_was_queued_is_done_in_its_order() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("MULTI", "+OK");
    client.ask("CL.THROTTLE k 0 1 86400", "+QUEUED");
    client.ask("PING", "+QUEUED");
    client.ask("LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000", "+QUEUED");
    client.ask("LIMIT.GET nope", "+QUEUED");
    client.ask("CL.THROTTLE k x 1 1", "+QUEUED");
    client.ask("CL.THROTTLE k 0 1 86400", "+QUEUED");
    server.connect().ask("CL.THROTTLE k 0 1 86400 0", "*5\n:0\n:1\n:1\n:-1\n:0");
    client.ask_masked(
        "EXEC",
        &format!(
            "*6\n{}\n+PONG\n+OK\n$-1\n-Cell error: Couldn't parse as integer: x\n\
             *5\n:1\n:1\n:0\n:+\n:+",
            NEXT.replace("86400", "+")
        ),
    );
    client.ask("EXEC", "-ERR EXEC without MULTI");
    client.ask("PING", "+PONG");
}

#[test]
fn what_was_discarded_is_not_done() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("DISCARD", "-ERR DISCARD without MULTI");
    let throttle = "CL.THROTTLE k 0 1 86400";
    client.ask("MULTI", "+OK");
    client.ask(throttle, "+QUEUED");
    client.ask("MULTI", "-ERR MULTI calls can not be nested");
    client.ask("DISCARD", "+OK");
    client.ask("MULTI", "+OK");
    client.ask(throttle, "+QUEUED");
    client.ask("RESET", "+RESET");
    client.ask("EXEC", "-ERR EXEC without MULTI");
    client.ask("MULTI", "+OK");
    client.ask("EXEC", "*0");
    // One that is wrong breaks it for all.
    client.ask("MULTI", "+OK");
    client.ask(throttle, "+QUEUED");
    client.ask("FOO", "-ERR unknown command 'FOO', with args beginning with: ");
    client.ask(throttle, "+QUEUED");
    client.ask("EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    client.ask(throttle, NEXT);
    client.ask("MULTI", "+OK");
    client.ask(throttle, "+QUEUED");
    client.ask("QUIT", "+OK");
    assert_eq!(client.rest(), "");
}

/// As clients send it: all of it at once.
#[test]
fn a_whole_transaction_may_come_in_one_go() {
    let server = RespServer::open();
    let mut client = server.connect();
    let count = 1_500;
    let throttle = command(&["CL.THROTTLE", "k", "9999", "1", "86400"]);
    client.send([command(&["MULTI"]), throttle.repeat(count), command(&["EXEC"])].concat());
    let queued = "\n+QUEUED".repeat(count);
    client.hear(format!("+OK{queued}\n*{count}\n").replace('\n', "\r\n"));
    for _ in 0..count {
        client.hear_masked("*5\n:0\n:+\n:+\n:-1\n:+");
    }
    client.ask_masked("CL.THROTTLE k 1999 1 86400 0", "*5\n:0\n:+\n:500\n:-1\n:+");
}

#[test]
fn what_waits_is_bounded() {
    let server = RespServer::open();
    let mut client = server.connect();
    let full = "-ERR too much waits for EXEC: send it in smaller parts";
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    let large = "x".repeat(300_000);
    client.ask("MULTI", "+OK");
    client.send(command(&["ECHO", &large]).repeat(2));
    client.hear(format!("+QUEUED\r\n{full}\r\n"));
    client.ask("EXEC", aborted);
    client.ask("MULTI", "+OK");
    client.send(command(&["PING"]).repeat(4_097));
    client.hear("+QUEUED\r\n".repeat(4_096));
    client.hear(format!("{full}\r\n"));
    client.ask("EXEC", aborted);
}

#[test]
fn strangers_queue_nothing() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["limits:read"]);
    let mut client = server.connect();
    let refused = "-NOAUTH Authentication required.";
    client.ask("MULTI", refused);
    client.ask("EXEC", refused);
    client.ask(&format!("AUTH {key}"), "+OK");
    client.ask("MULTI", "+OK");
    client.ask(
        "CL.THROTTLE k 1 1 1",
        "-NOPERM this key has no permissions to run the 'cl.throttle' command: \
         it lacks the scope limits:write",
    );
    client.ask("EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    // Who asks is looked at again when it is done.
    client.ask("MULTI", "+OK");
    client.ask("PING", "+QUEUED");
    server.revoke_key("a");
    client.ask("EXEC", refused);
}
