//! `CL.THROTTLE` and `LIMIT.*` from the bytes of a command to those of its answer, as a node counts
//! them. Periods are days, so that nothing comes back while a test runs.

use crate::resp_harness::RespServer;

const PUT: &str = "LIMIT.PUT api ALGORITHM gcra QUANTITY 2 PERIOD-MS 172800000 BURST 1";

#[test]
fn throttles_answer_five_numbers() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("CL.THROTTLE k 1 30 2592000", "*5\n:0\n:2\n:1\n:-1\n:86400");
    client.ask_masked("CL.THROTTLE k 1 30 2592000 0", "*5\n:0\n:2\n:1\n:-1\n:+");
    client.ask_masked("CL.THROTTLE k 1 30 2592000", "*5\n:0\n:2\n:0\n:-1\n:+");
    client.ask_masked("CL.THROTTLE k 1 30 2592000", "*5\n:1\n:2\n:0\n:+\n:+");
    client.ask_masked("CL.THROTTLE k 1 30 2592000 9", "*5\n:1\n:2\n:0\n:-1\n:+");
    client.ask("CL.THROTTLE other 1 30 2592000 9", "*5\n:1\n:2\n:2\n:-1\n:0");
    let usage = "cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";
    client.ask("CL.THROTTLE k", &format!("-Cell error: Usage: {usage}"));
    client.ask("CL.THROTTLE", &format!("-Cell error: Usage: {usage}"));
    client.ask("CL.THROTTLE k 1 x 60", "-Cell error: Couldn't parse as integer: x");
    client.ask(
        &format!("CL.THROTTLE {} 1 30 60", "k".repeat(513)),
        "-ERR a key may have at most 512 bytes",
    );
}

/// Where redis-cell is peculiar, and where it would answer nonsense.
#[test]
fn throttles_at_the_edges() {
    let server = RespServer::open();
    let mut client = server.connect();
    for zero in ["1 30 0", "1 0 60", "1 0 0", "1 2000000000 1", "-1 0 60"] {
        let line = format!("CL.THROTTLE k {zero}");
        client.ask(&line, "-Cell error: Zero rates are not supported");
    }
    // Less than a millisecond is nothing.
    client.ask("CL.THROTTLE quick 0 30000 3", "*5\n:0\n:1\n:0\n:-1\n:0");
    // Room for nothing.
    client.ask("CL.THROTTLE none -1 1 60", "*5\n:1\n:0\n:0\n:-1\n:0");
    client.ask("CL.THROTTLE none -1 1 60 0", "*5\n:0\n:0\n:0\n:-1\n:0");
    client.ask("CL.THROTTLE k -2 1 60", "-Cell error: max_burst must not be less than -1");
    client.ask(
        "CL.THROTTLE k 9223372036854775807 1 60",
        "-Cell error: a key that is used up would take more than 100 years to become full again",
    );
}

/// Those that are wrong have their answers in their places.
#[test]
fn a_pipeline_of_throttles_is_answered_in_its_order() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.send(
        "CL.THROTTLE a 0 1 86400\r\nCL.THROTTLE a 0 0 1\r\nCL.THROTTLE b -1 1 1\r\n\
         CL.THROTTLE b 4 1 86400\r\nCL.THROTTLE b 4 1 0\r\nCL.THROTTLE a 0 1 86400 2\r\n",
    );
    client.hear_masked(
        "*5\n:0\n:1\n:0\n:-1\n:+\n-Cell error: Zero rates are not supported\n\
         *5\n:1\n:0\n:0\n:-1\n:0\n*5\n:0\n:5\n:4\n:-1\n:+\n\
         -Cell error: Zero rates are not supported\n*5\n:1\n:1\n:0\n:-1\n:+",
    );
}

/// One limit in an answer of version 3.
fn limit(
    name: &str,
    allowed: &str,
    quantity: u8,
    remaining: u8,
    retry: &str,
    reset: &str,
) -> String {
    format!(
        "%6\n$5\nlimit\n$3\n{name}\n$7\nallowed\n{allowed}\n$8\nquantity\n:{quantity}\n\
         $9\nremaining\n:{remaining}\n$14\nretry_after_ms\n{retry}\n$14\nreset_after_ms\n{reset}"
    )
}

fn said(counted: bool, allowed: &str, limits: &[String]) -> String {
    let (head, counted) = match counted {
        true => ("%3", "\n$10\ncounted_at\n:+"),
        false => ("%2", ""),
    };
    let (count, limits) = (limits.len(), limits.join("\n"));
    format!("{head}\n$7\nallowed\n{allowed}{counted}\n$7\nresults\n*{count}\n{limits}")
}

#[test]
fn several_limits_admit_together_or_not_at_all() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask(PUT, "+OK");
    client.ask("LIMIT.PUT all ALGORITHM sliding_window QUANTITY 3 PERIOD-MS 864000000", "+OK");
    client.speak_3();
    let left =
        |remaining| limit("api", "#t", 2, remaining, "_", if remaining < 2 { ":+" } else { ":0" });
    let all = |allowed, retry| limit("all", allowed, 3, 1, retry, ":+");
    let both = "LIMIT.CHECK api alice all everyone COST 2";
    client.ask_masked(both, &said(true, "#t", &[left(1), all("#t", "_")]));
    client.ask_masked(both, &said(false, "#f", &[left(1), all("#f", ":+")]));
    client.ask_masked("LIMIT.PEEK api alice", &said(false, "#t", &[left(1)]));
    client.ask_masked("LIMIT.CHECK api bob", &said(true, "#t", &[left(1)]));
    client.ask("LIMIT.CHECK nope alice", "-NOT_FOUND there is no limit 'nope'");
    client.ask(
        "LIMIT.CHECK api alice SCOPE acme",
        "-INVALID_REQUEST the limit is not scoped: the check must not carry a scope",
    );
}

#[test]
fn what_was_counted_is_given_back_once() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask(PUT, "+OK");
    client.speak_3();
    client.send("LIMIT.CHECK api alice\r\n");
    let counted = [(); 30].map(|()| client.line());
    let at = counted[6].strip_prefix(':').unwrap();
    let left = |remaining, reset| limit("api", "#t", 2, remaining, "_", reset);
    client.ask_masked("LIMIT.CHECK api alice", &said(true, "#t", &[left(0, ":+")]));
    let refund = format!("LIMIT.REFUND api alice COUNTED-AT {at} ONCE r1");
    // What time has brought back by itself is not given back again.
    client.ask_masked(&refund, &said(false, "#t", &[left(1, ":+")]));
    client.ask_masked("LIMIT.CHECK api alice", &said(true, "#t", &[left(0, ":+")]));
    client.ask_masked(&refund, &said(false, "#t", &[left(1, ":+")]));
    client.ask_masked("LIMIT.PEEK api alice COST 0", &said(false, "#t", &[left(0, ":+")]));
    client.ask("LIMIT.RESET api alice", &said(false, "#t", &[left(2, ":0")]));
}

/// Checks that follow each other are under way together, and still see each other in order.
#[test]
fn a_pipeline_of_checks_is_counted_in_its_order() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000 BURST 99", "+OK");
    client.ask("LIMIT.PUT two ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000", "+OK");
    client.speak_3();
    let mut asked = String::new();
    let mut expected = Vec::new();
    for taken in 1..=40_u8 {
        asked.push_str("LIMIT.CHECK api k\r\n");
        expected.push(said(true, "#t", &[limit("api", "#t", 100, 100 - taken, "_", ":+")]));
    }
    // One of two limits, one that looks, and one of a limit that there is not.
    asked.push_str("LIMIT.CHECK api k two k\r\nLIMIT.PEEK api k\r\nLIMIT.CHECK no k\r\n");
    let two = limit("two", "#t", 1, 0, "_", ":+");
    expected.push(said(true, "#t", &[limit("api", "#t", 100, 59, "_", ":+"), two]));
    expected.push(said(false, "#t", &[limit("api", "#t", 100, 59, "_", ":+")]));
    expected.push("-NOT_FOUND there is no limit 'no'".to_owned());
    asked.push_str("CL.THROTTLE k 0 1 86400\r\nLIMIT.CHECK api k\r\n");
    expected.push("*5\n:0\n:1\n:0\n:-1\n:+".to_owned());
    expected.push(said(true, "#t", &[limit("api", "#t", 100, 58, "_", ":+")]));
    client.send(asked);
    client.hear_masked(&expected.join("\n"));
}

#[test]
fn checks_of_a_pipeline_share_records() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.PUT api ALGORITHM gcra QUANTITY 1 PERIOD-MS 86400000 BURST 999", "+OK");
    let before = server.records();
    let said = server.connect().whole(&"LIMIT.CHECK api k\r\n".repeat(200));
    assert_eq!(said.matches("$10\r\ncounted_at\r\n").count(), 200);
    let records = server.records() - before;
    assert!((1..200).contains(&records), "{records} records: one each is what they would be alone");
}

#[test]
fn slots_are_taken_kept_and_given_back_once() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.PUT slots ALGORITHM concurrency QUANTITY 1 PERIOD-MS 86400000", "+OK");
    client.send("LIMIT.CHECK slots job\r\n");
    let said = [(); 34].map(|()| client.line());
    assert_eq!(said[..3], ["*6", "$7", "allowed"]);
    assert_eq!(said[31..33], ["lease".to_owned(), format!("${}", said[33].len())]);
    let lease = &said[33];
    client.ask_masked(&format!("LIMIT.RENEW {lease} TTL-MS 86400000"), ":+");
    client.ask(&format!("LIMIT.RELEASE {lease}"), ":1");
    client.ask(&format!("LIMIT.RELEASE {lease}"), ":0");
    client.ask(&format!("LIMIT.RENEW {lease} TTL-MS 100"), "$-1");
}

#[test]
fn limits_are_put_got_listed_and_deleted() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("LIMIT.GET api", "$-1");
    client.ask(&format!("{PUT} SCOPED"), "+OK");
    let policy = "$9\nalgorithm\n$4\ngcra\n$8\nquantity\n:2\n$9\nperiod_ms\n:172800000\n$5\nburst\n:1\n\
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
    assert_eq!(lines[..3], ["-NOT_FOUND there is no limit 'api'", "+OK", "*6"]);
    assert_eq!(lines[lines.len() - 3..], [":1", "-NOT_FOUND there is no limit 'api'", ""]);
}
