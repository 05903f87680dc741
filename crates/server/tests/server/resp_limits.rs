//! `CL.THROTTLE` and `LIMIT.*` from the bytes of a command to those of its answer.

use crate::resp_harness::{NOW_MS, RespServer};

const PUT: &str = "LIMIT.PUT api ALGORITHM gcra QUANTITY 2 PERIOD-MS 60000";

#[test]
fn throttles_answer_five_numbers() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("CL.THROTTLE k 1 30 60", "*5\n:0\n:2\n:1\n:-1\n:2");
    client.ask("CL.THROTTLE k 1 30 60 0", "*5\n:0\n:2\n:1\n:-1\n:2");
    client.ask("CL.THROTTLE k 1 30 60", "*5\n:0\n:2\n:0\n:-1\n:2");
    client.ask("CL.THROTTLE k 1 30 60", "*5\n:1\n:2\n:0\n:2\n:2");
    client.ask("CL.THROTTLE k 1 30 60 9", "*5\n:1\n:2\n:0\n:-1\n:2");
    client.ask("CL.THROTTLE other 1 30 60", "*5\n:0\n:2\n:1\n:-1\n:2");
    let usage = "cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";
    client.ask("CL.THROTTLE k", &format!("-Cell error: Usage: {usage}"));
    client.ask("CL.THROTTLE", &format!("-Cell error: Usage: {usage}"));
    client.ask("CL.THROTTLE k 1 x 60", "-Cell error: Couldn't parse as integer: x");
    let zero = "-Cell error: period must be greater than zero";
    client.ask("CL.THROTTLE k 1 30 0", zero);
    client.ask(
        &format!("CL.THROTTLE {} 1 30 60", "k".repeat(513)),
        "-ERR a key may have at most 512 bytes",
    );
}

#[test]
fn several_limits_admit_together_or_not_at_all() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask(PUT, "+OK");
    client.ask("LIMIT.PUT all ALGORITHM sliding_window QUANTITY 3 PERIOD-MS 1000 SHADOW", "+OK");
    client.speak_3();
    let limit = |name: &str, allowed: &str, quantity: u8, remaining: u8, retry: &str| {
        format!(
            "%6\n$5\nlimit\n$3\n{name}\n$7\nallowed\n{allowed}\n$8\nquantity\n:{quantity}\n\
             $9\nremaining\n:{remaining}\n$14\nretry_after_ms\n{retry}\n$14\nreset_after_ms\n:2000"
        )
    };
    let said = |counted: bool, allowed: &str, limits: &[String]| {
        let (head, counted) = match counted {
            true => ("%3", format!("\n$10\ncounted_at\n:{NOW_MS}")),
            false => ("%2", String::new()),
        };
        let (count, limits) = (limits.len(), limits.join("\n"));
        format!("{head}\n$7\nallowed\n{allowed}{counted}\n$7\nresults\n*{count}\n{limits}")
    };
    let left = |remaining| limit("api", "#t", 2, remaining, "_");
    client.ask(
        "LIMIT.CHECK api alice all everyone COST 2",
        &said(true, "#t", &[left(1), limit("all", "#t", 3, 1, "_")]),
    );
    client.ask(
        "LIMIT.CHECK api alice all everyone COST 2",
        &said(false, "#f", &[left(1), limit("all", "#f", 3, 1, ":1500")]),
    );
    client.ask("LIMIT.PEEK api alice", &said(false, "#t", &[left(1)]));
    client.ask("LIMIT.CHECK api alice SCOPE acme", &said(true, "#t", &[left(1)]));
    let refund = format!("LIMIT.REFUND api alice COUNTED-AT {NOW_MS} ONCE r1");
    client.ask(&refund, &said(false, "#t", &[left(2)]));
    client.ask("LIMIT.CHECK api alice", &said(true, "#t", &[left(1)]));
    client.ask(&refund, &said(false, "#t", &[left(1)]));
    client.ask("LIMIT.RESET api alice", &said(false, "#t", &[left(2)]));
    client.ask("LIMIT.CHECK nope alice", "-NOT_FOUND there is no limit nope");
}

#[test]
fn slots_are_taken_kept_and_given_back_once() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.PUT slots ALGORITHM concurrency QUANTITY 1 PERIOD-MS 5000", "+OK");
    let lease = "3.abababababababababababababababab.0000000000000001";
    client.ask(
        "LIMIT.CHECK slots job",
        &format!(
            "*6\n$7\nallowed\n:1\n$10\ncounted_at\n:{NOW_MS}\n$7\nresults\n*1\n*14\n\
             $5\nlimit\n$5\nslots\n$7\nallowed\n:1\n$8\nquantity\n:1\n$9\nremaining\n:0\n\
             $14\nretry_after_ms\n$-1\n$14\nreset_after_ms\n:2000\n$5\nlease\n${}\n{lease}",
            lease.len()
        ),
    );
    client.ask(&format!("LIMIT.RENEW {lease} TTL-MS 100"), &format!(":{}", NOW_MS + 100));
    client.ask(&format!("LIMIT.RELEASE {lease}"), ":1");
    client.ask(&format!("LIMIT.RELEASE {lease}"), ":0");
    client.ask(&format!("LIMIT.RENEW {lease} TTL-MS 100"), "$-1");
}

#[test]
fn limits_are_put_got_listed_and_deleted() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.GET api", "$-1");
    client.ask(&format!("{PUT} BURST 1 SCOPED"), "+OK");
    let policy = "$9\nalgorithm\n$4\ngcra\n$8\nquantity\n:2\n$9\nperiod_ms\n:60000\n$5\nburst\n:1\n\
                  $6\nscoped\n:1\n$4\nmode\n$5\nexact\n$10\ndurability\n$6\nsynced\n\
                  $14\non_unavailable\n$4\ndeny\n$6\nshadow\n:0";
    client.ask("LIMIT.GET api", &format!("*18\n{policy}"));
    client.ask("LIMIT.LIST", &format!("*1\n*20\n$5\nlimit\n$3\napi\n{policy}"));
    client.ask("LIMIT.LIST AFTER api", "*0");
    client.ask("LIMIT.DEL api", ":1");
    client.ask("LIMIT.DEL api", ":0");
    client.ask(
        "LIMIT.PUT api ALGORITHM gcra",
        "-ERR wrong number of arguments for 'limit.put' command",
    );
    client.ask("LIMIT.PUT cost ALGORITHM gcra QUANTITY 2 PERIOD-MS 60000", "-ERR syntax error");
}

/// What a connection asks in one go happens in its order, whatever kinds of commands there are.
#[test]
fn a_pipeline_sees_what_it_did() {
    let server = RespServer::open();
    let said = server.connect().whole(&format!(
        "LIMIT.CHECK api k\r\n{PUT}\r\nLIMIT.CHECK api k COST 2\r\nLIMIT.DEL api\r\nLIMIT.PEEK api k\r\n"
    ));
    let lines: Vec<_> = said.split("\r\n").collect();
    assert_eq!(lines[..3], ["-NOT_FOUND there is no limit api", "+OK", "*6"]);
    assert_eq!(lines[lines.len() - 3..], [":1", "-NOT_FOUND there is no limit api", ""]);
}
