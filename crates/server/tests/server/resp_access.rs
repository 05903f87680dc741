//! Who may ask what, and from when on no more.

use crate::resp_harness::{RespServer, command};

const NO_AUTH: &str = "-NOAUTH Authentication required.";
const WRONG_PASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
const THROTTLE: &str = "CL.THROTTLE k 9 1 86400";
const ADMITTED: &str = "*5\n:0\n:10\n:9\n:-1\n:86400";

#[test]
fn a_stranger_may_say_who_they_are_and_little_else() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["admin"]);
    let mut client = server.connect();
    for line in ["PING", THROTTLE, "LIMIT.CHECK api k", "COMMAND", "CLIENT ID", "INFO", "TIME"] {
        client.ask(line, NO_AUTH);
    }
    client.ask("FOO", "-ERR unknown command 'FOO', with args beginning with: ");
    let hello = "-NOAUTH HELLO must be called with the client already authenticated, otherwise \
                 the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the \
                 client and select the RESP protocol version at the same time";
    client.ask("HELLO 3", hello);
    client.ask("HELLO", hello);
    client.ask("RESET", "+RESET");
    client.ask("AUTH", "-ERR wrong number of arguments for 'auth' command");
    let wrong =
        ["", "x", "ek_a", "ek_a_", "ek_b_secret-of-a-1", "ek_a_secret-of-b-1", "a_secret-of-a-1"];
    for wrong in wrong {
        client.ask(&format!("AUTH '{wrong}'"), WRONG_PASS);
        client.ask(&format!("AUTH default '{wrong}'"), WRONG_PASS);
        client.ask(&format!("HELLO 3 AUTH default '{wrong}'"), WRONG_PASS);
    }
    client.ask("AUTH \"\\xff\"", WRONG_PASS);
    client.ask("PING", NO_AUTH);
    client.ask(&format!("AUTH {key}"), "+OK");
    client.ask("PING", "+PONG");
    client.ask(THROTTLE, ADMITTED);
    client.ask("AUTH nonsense", WRONG_PASS);
    client.ask("PING", "+PONG");
    client.ask("RESET", "+RESET");
    client.ask("PING", NO_AUTH);
}

#[test]
fn a_key_is_said_in_three_ways() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["limits:write"]);
    server.connect().ask(&format!("AUTH {key}"), "+OK");
    let mut client = server.connect();
    client.ask(&format!("AUTH whoever {key}"), "+OK");
    client.ask("PING", "+PONG");
    let mut client = server.connect();
    client.send(format!("HELLO 3 AUTH default {key} SETNAME me\r\n"));
    client.hear("%7\r\n");
    let said = server.connect().whole(&format!("HELLO 3 AUTH default {key}\r\nCLIENT GETNAME\r\n"));
    assert!(said.starts_with("%7\r\n") && said.ends_with("*0\r\n_\r\n"), "{said}");
}

/// The bounds of strangers end with the command that says who they are, also in one pipeline.
#[test]
fn who_is_known_may_say_more_at_once() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["admin"]);
    let large = "x".repeat(20_000);
    let mut client = server.connect();
    client.send([command(&["AUTH", &key]), command(&["ECHO", &large])].concat());
    client.hear(format!("+OK\r\n$20000\r\n{large}\r\n"));
    for (bytes, said) in [
        ("*11\r\n", "unauthenticated multibulk length"),
        ("*1\r\n$20000\r\n", "unauthenticated bulk length"),
    ] {
        let mut stranger = server.connect();
        stranger.send(bytes);
        assert_eq!(stranger.rest(), format!("-ERR Protocol error: {said}\r\n"));
    }
}

#[test]
fn each_scope_opens_its_own_commands() {
    let server = RespServer::keyed();
    let keys = [
        server.add_key("reader", "acme", &["limits:read"]),
        server.add_key("writer", "acme", &["limits:write"]),
        server.add_key("both", "acme", &["limits:write", "limits:read"]),
        server.add_key("admin", "acme", &["admin"]),
        server.add_key("other", "acme", &["reservations:write"]),
    ];
    let mut clients = keys.map(|key| {
        let mut client = server.connect();
        client.ask(&format!("AUTH {key}"), "+OK");
        client
    });
    let gone = "-NOT_FOUND there is no limit 'api'";
    for (line, name, scope, said, may) in [
        ("LIMIT.CHECK api k", "limit.check", "write", gone, [false, true, true, true, false]),
        (
            "LIMIT.REFUND api k COUNTED-AT 1 ONCE a",
            "limit.refund",
            "write",
            gone,
            [false, true, true, true, false],
        ),
        (
            "LIMIT.RELEASE 1.00000000000000000000000000000000.0000000000000000",
            "limit.release",
            "write",
            ":0",
            [false, true, true, true, false],
        ),
        (
            "LIMIT.RENEW 1.00000000000000000000000000000000.0000000000000000 TTL-MS 1",
            "limit.renew",
            "write",
            "$-1",
            [false, true, true, true, false],
        ),
        ("LIMIT.DEL api", "limit.del", "write", ":0", [false, true, true, true, false]),
        ("LIMIT.PEEK api k", "limit.peek", "read", gone, [true, false, true, true, false]),
        ("LIMIT.GET api", "limit.get", "read", "$-1", [true, false, true, true, false]),
        ("LIMIT.LIST", "limit.list", "read", "*0", [true, false, true, true, false]),
        ("PING", "", "", "+PONG", [true; 5]),
    ] {
        let refused = format!(
            "-NOPERM this key has no permissions to run the '{name}' command: \
             it lacks the scope limits:{scope}"
        );
        for (client, may) in clients.iter_mut().zip(may) {
            client.ask(line, if may { said } else { &refused });
        }
    }
    let put = "LIMIT.PUT x ALGORITHM gcra QUANTITY 1 PERIOD-MS 1";
    let refused = "-NOPERM this key has no permissions to run the 'limit.put' command: \
                   it lacks the scope limits:write";
    clients[0].ask(put, refused);
    clients[1].ask(put, "+OK");
}

#[test]
fn a_revoked_key_is_refused_from_the_next_command_on() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["admin"]);
    let other = server.add_key("b", "acme", &["admin"]);
    let (mut client, mut stays) = (server.connect(), server.connect());
    client.ask(&format!("AUTH {key}"), "+OK");
    stays.ask(&format!("AUTH {other}"), "+OK");
    client.ask(THROTTLE, ADMITTED);
    server.revoke_key("a");
    client.ask(THROTTLE, NO_AUTH);
    client.ask("PING", NO_AUTH);
    client.ask(&format!("AUTH {key}"), WRONG_PASS);
    stays.ask("PING", "+PONG");
    client.ask(&format!("AUTH {other}"), "+OK");
    client.ask("PING", "+PONG");
}

#[test]
fn a_key_made_anew_or_with_other_scopes_is_another() {
    let server = RespServer::keyed();
    let key = server.add_key("a", "acme", &["admin"]);
    let mut client = server.connect();
    client.ask(&format!("AUTH {key}"), "+OK");
    client.ask("LIMIT.GET api", "$-1");
    server.revoke_key("a");
    server.add_key("a", "acme", &["limits:write"]);
    let refused = "-NOPERM this key has no permissions to run the 'limit.get' command: \
                   it lacks the scope limits:read";
    client.ask("LIMIT.GET api", refused);
    server.revoke_key("a");
    let anew = server.add_key("a", "acme", &["limits:write", "limits:read"]);
    client.ask("LIMIT.GET api", NO_AUTH);
    client.ask(&format!("AUTH {anew}"), "+OK");
    client.ask("LIMIT.GET api", "$-1");
}

/// What one tenant has, counts and deletes is nothing to another.
#[test]
fn tenants_do_not_see_each_other() {
    let server = RespServer::keyed();
    let keys =
        [("a", "acme"), ("b", "bolt")].map(|(id, tenant)| server.add_key(id, tenant, &["admin"]));
    let [mut acme, mut bolt] = keys.map(|key| {
        let mut client = server.connect();
        client.ask(&format!("AUTH {key}"), "+OK");
        client
    });
    let once = "CL.THROTTLE k 0 1 86400";
    acme.ask(once, "*5\n:0\n:1\n:0\n:-1\n:86400");
    acme.ask_masked(once, "*5\n:1\n:1\n:0\n:+\n:+");
    bolt.ask(once, "*5\n:0\n:1\n:0\n:-1\n:86400");
    acme.ask("LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000", "+OK");
    for unknown in ["LIMIT.CHECK api k", "LIMIT.PEEK api k", "LIMIT.RESET api k"] {
        bolt.ask(unknown, "-NOT_FOUND there is no limit 'api'");
    }
    bolt.ask("LIMIT.GET api", "$-1");
    bolt.ask("LIMIT.LIST", "*0");
    bolt.ask("LIMIT.DEL api", ":0");
    bolt.ask("LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000", "+OK");
    let counted = "*6\n$7\nallowed\n:1\n$10\ncounted_at\n:+\n$7\nresults\n*1\n*12\n$5\nlimit\n$3\napi\n\
                   $7\nallowed\n:1\n$8\nquantity\n:1\n$9\nremaining\n:0\n$14\nretry_after_ms\n$-1\n\
                   $14\nreset_after_ms\n:+";
    acme.ask_masked("LIMIT.CHECK api k", counted);
    bolt.ask_masked("LIMIT.CHECK api k", counted);
    bolt.ask("LIMIT.DEL api", ":1");
    acme.send("LIMIT.GET api\r\n");
    assert_eq!(acme.line(), "*18");
}
