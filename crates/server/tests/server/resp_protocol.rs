//! Redis's protocol as clients speak it: pipelines, lines, both versions, and what every client
//! asks about the server. The expected bytes are Redis's.

use crate::resp_harness::{RespServer, command};
use redis_protocol::{resp2, resp3};
use std::io::Read;

#[test]
fn a_pipeline_is_answered_in_its_order() {
    let server = RespServer::open();
    let mut client = server.connect();
    let pipeline = [
        command(&["PING"]),
        command(&["ECHO", "a\r\nb"]),
        command(&["CL.THROTTLE", "k", "1", "1", "86400"]),
        command(&["PING", "hello"]),
        command(&["NOPE"]),
        command(&["CL.THROTTLE", "k", "1", "1", "86400"]),
        command(&["CL.THROTTLE", "k", "1", "1", "86400"]),
        command(&["CL.THROTTLE", "k", "1", "1", "86400", "3"]),
        command(&["ECHO", ""]),
    ];
    client.send(pipeline.concat());
    client.hear_masked(
        "+PONG\n$4\na\nb\n*5\n:0\n:2\n:1\n:-1\n:+\n$5\nhello\n\
         -ERR unknown command 'NOPE', with args beginning with: \n\
         *5\n:0\n:2\n:0\n:-1\n:+\n*5\n:1\n:2\n:0\n:+\n:+\n\
         *5\n:1\n:2\n:0\n:-1\n:+\n$0\n",
    );
}

#[test]
fn commands_may_come_a_byte_at_a_time() {
    let server = RespServer::open();
    let mut client = server.connect();
    for byte in command(&["ECHO", "slow"]) {
        client.send([byte]);
    }
    client.hear("$4\r\nslow\r\n");
    for byte in b"ECHO 'typed slowly'\r\n" {
        client.send([*byte]);
    }
    client.hear("$12\r\ntyped slowly\r\n");
}

#[test]
fn a_large_command_comes_whole() {
    let server = RespServer::open();
    let mut client = server.connect();
    let large = "x".repeat(500 * 1_024);
    let sent = command(&["ECHO", &large]);
    client.send(&sent);
    client.hear(format!("${}\r\n{large}\r\n", large.len()));
    client.ask("PING", "+PONG");
}

#[test]
fn lines_are_commands_too() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("\r\n  \r\nping", "+PONG");
    client.ask("echo \"a\\x41 \\t\"", "$4\naA \t");
    client.ask("PiNg 'it\\'s'", "$4\nit's");
    client.ask("\x0becho a\x0bb\x0cc", "$5\na\x0bb\x0cc");
    client.send("PING\nPING \"a\r\nPING\r\n");
    let said = client.rest();
    assert_eq!(said, "+PONG\r\n-ERR Protocol error: unbalanced quotes in request\r\n");
}

#[test]
fn a_protocol_error_follows_what_came_before_and_ends_it() {
    let server = RespServer::open();
    let large = "1".repeat(70_000);
    for (bytes, said) in [
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*x\r\n", "invalid multibulk length"),
        ("*2147483647\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870912\r\n", "invalid bulk length"),
        ("*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        ("*2\r\n$4\r\nPING\r\n$4\r\nPINGPING\r\n", "invalid bulk length"),
        (&format!("*{large}"), "invalid multibulk length"),
        (&"a".repeat(70_000), "too big inline request"),
    ] {
        let mut client = server.connect();
        client.send("PING\r\n");
        client.send(bytes);
        let expected = format!("+PONG\r\n-ERR Protocol error: {said}\r\n");
        assert_eq!(client.rest(), expected);
    }
    let mut client = server.connect();
    client.send(b"*1\r\n\xff");
    client.hear(b"-ERR Protocol error: expected '$', got '\xff'\r\n");
    server.connect().ask("PING", "+PONG");
}

#[test]
fn wrong_commands_are_told_so_in_the_words_of_redis() {
    let server = RespServer::open();
    let mut client = server.connect();
    let long = "a".repeat(200);
    let cut = "a".repeat(128);
    let (most, room) = ("a".repeat(120), "a".repeat(5));
    for (line, said) in [
        ("foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        ("foo", "-ERR unknown command 'foo', with args beginning with: "),
        ("\"f\\rn\" \"a\\nb\"", "-ERR unknown command 'f n', with args beginning with: 'a b' "),
        (
            &format!("foo {long} b"),
            &format!("-ERR unknown command 'foo', with args beginning with: '{cut}' "),
        ),
        (
            &format!("foo {most} {long} b"),
            &format!("-ERR unknown command 'foo', with args beginning with: '{most}' '{room}' "),
        ),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
        ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
        ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CONFIG", "-ERR wrong number of arguments for 'config' command"),
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command"),
        ("CONFIG SET save x", "-ERR unknown subcommand 'SET'. Try CONFIG HELP."),
        ("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."),
        ("LIMIT.CHECK api", "-ERR wrong number of arguments for 'limit.check' command"),
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("SELECT +0", "-ERR value is not an integer or out of range"),
        ("SELECT 00", "-ERR value is not an integer or out of range"),
        ("HELLO 02", "-ERR Protocol version is not an integer or out of range"),
        (
            "CLIENT SETINFO LIB-NAME \"a b\"",
            "-ERR LIB-NAME cannot contain spaces, newlines or special characters.",
        ),
        ("SELECT 1", "-ERR DB index is out of range"),
        ("SELECT -1", "-ERR DB index is out of range"),
        ("AUTH a b c", "-ERR syntax error"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"),
        ("CLIENT NO-EVICT maybe", "-ERR syntax error"),
        (
            "CLIENT SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
    ] {
        client.ask(line, said);
    }
    client.ask("PING", "+PONG");
}

#[test]
fn hello_changes_the_version_and_reset_changes_it_back() {
    let server = RespServer::open();
    let mut client = server.connect();
    let greeting = |map: &str, proto: u8| {
        format!(
            "{map}\n$6\nserver\n$8\nevenkeel\n$7\nversion\n$5\n7.0.0\n$5\nproto\n:{proto}\n\
             $2\nid\n:1\n$4\nmode\n$10\nstandalone\n$4\nrole\n$6\nmaster\n$7\nmodules\n*0"
        )
    };
    client.ask("HELLO", &greeting("*14", 2));
    client.ask("CLIENT GETNAME", "$-1");
    client.ask("HELLO 3 SETNAME me", &greeting("%7", 3));
    client.ask("CLIENT GETNAME", "$2\nme");
    client.ask("CONFIG GET none", "%0");
    client.ask("CLIENT SETNAME \"\"", "+OK");
    client.ask("CLIENT GETNAME", "_");
    client.ask("HELLO", &greeting("%7", 3));
    client.ask("RESET", "+RESET");
    client.ask("CLIENT GETNAME", "$-1");
    client.ask("HELLO 2 AUTH default whatever", &greeting("*14", 2));
}

#[test]
fn what_clients_ask_of_a_server_is_answered() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.ask("SELECT 0", "+OK");
    client.ask("CLIENT ID", ":1");
    client.ask("CLIENT SETNAME worker-1", "+OK");
    client.ask("CLIENT SETINFO LIB-NAME redis-py", "+OK");
    client.ask("client setinfo lib-ver 5.0", "+OK");
    client.ask("CLIENT SETINFO LIB-FOO x", "-ERR Unrecognized option 'LIB-FOO'");
    client.ask("CLIENT NO-EVICT on", "+OK");
    client.ask("CLIENT NO-TOUCH OFF", "+OK");
    client.ask("AUTH anything", "+OK");
    client.send("TIME\r\n");
    let time = [(); 5].map(|()| client.line());
    let [seconds, micros] = [&time[2], &time[4]].map(|text| text.parse::<u64>().unwrap());
    assert!((1_700_000_000..9_999_999_999).contains(&seconds) && micros < 1_000_000, "{time:?}");
    assert_eq!((time[0].as_str(), time[1].as_str()), ("*2", "$10"));
    // redis-benchmark asks for these.
    client.ask("CONFIG GET save", "*2\n$4\nsave\n$0\n");
    client.ask("CONFIG GET appendonly", "*2\n$10\nappendonly\n$3\nyes");
    client.ask("CONFIG GET maxmemory", "*0");
    client.ask("CONFIG GET APPEND* nothing", "*2\n$10\nappendonly\n$3\nyes");
    client.ask("INFO nothing", "$0\n");
    let replication = "# Replication\nrole:master\nconnected_slaves:0\n";
    client.ask("INFO replication", &format!("$48\n{replication}"));
    let mut other = server.connect();
    other.speak_3();
    other.ask("INFO replication", &format!("=52\ntxt:{replication}"));
    let address = client.stream.local_addr().unwrap();
    let line = format!(
        "id=1 addr={address} name=worker-1 db=0 user=default lib-name=redis-py lib-ver=5.0 resp=2\n"
    );
    client.send("CLIENT INFO\r\n");
    client.hear(format!("${}\r\n{line}\r\n", line.len()));
    let info = server.connect().whole("INFO\r\n");
    for line in
        ["role:master\r\n", "redis_version:7.0.0\r\n", "loading:0\r\n", "server_name:evenkeel\r\n"]
    {
        assert!(info.contains(line), "{info}");
    }
}

/// Every answer about commands has as many items as it says: another implementation reads them.
#[test]
fn commands_describe_themselves() {
    let server = RespServer::open();
    let asked = [
        "COMMAND\r\n",
        "COMMAND INFO\r\n",
        "COMMAND DOCS\r\n",
        "COMMAND LIST\r\n",
        "COMMAND DOCS limit.check client|setname nope\r\n",
        "COMMAND INFO limit.check nope client\r\n",
        "CLIENT HELP\r\nCOMMAND HELP\r\nCONFIG HELP\r\n",
    ];
    for asked in asked {
        let said = server.connect().whole(asked);
        let (mut rest, mut replies) = (said.as_bytes(), 0);
        while !rest.is_empty() {
            let (_, length) = resp2::decode::decode(rest).unwrap().unwrap();
            rest = &rest[length..];
            replies += 1;
        }
        assert_eq!(replies, asked.matches("\r\n").count(), "{asked}: {said}");
        let said = server.connect().whole(&format!("HELLO 3\r\n{asked}"));
        let (mut rest, mut replies) = (said.as_bytes(), 0);
        while !rest.is_empty() {
            let (_, length) = resp3::decode::complete::decode(rest).unwrap().unwrap();
            rest = &rest[length..];
            replies += 1;
        }
        assert_eq!(replies, asked.matches("\r\n").count() + 1, "{asked}: {said}");
    }
    let names = server.connect().whole("COMMAND COUNT\r\n");
    assert_eq!(names, format!(":{}\r\n", count(&server)));
    let info = server.connect().whole("COMMAND INFO cl.throttle nope\r\n");
    let expected = "*2\r\n*10\r\n$11\r\ncl.throttle\r\n:-1\r\n*2\r\n+write\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n$-1\r\n";
    assert_eq!(info, expected);
    let docs = server.connect().whole("COMMAND DOCS limit.check\r\n");
    for part in ["$11\r\nlimit.check\r\n", "$7\r\nsummary\r\n", "$5\r\nSCOPE\r\n", "+optional\r\n"]
    {
        assert!(docs.contains(part), "{docs}");
    }
    let many = format!("COMMAND DOCS{}\r\n", " client".repeat(65));
    let said = server.connect().whole(&many);
    assert_eq!(said, "-ERR at most 64 commands may be named at once\r\n");
}

fn count(server: &RespServer) -> usize {
    let said = server.connect().whole("COMMAND LIST\r\n");
    let (_, names) = said.split_once("\r\n").unwrap();
    names.matches('$').count()
}

#[test]
fn quit_ends_it_and_what_follows_is_not_answered() {
    let server = RespServer::open();
    let mut client = server.connect();
    client.send("PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(client.rest(), "+PONG\r\n+OK\r\n");
}

#[test]
fn a_million_pings_are_a_million_pongs() {
    const PINGS: usize = 1_000_000;
    let server = RespServer::open();
    let mut client = server.connect();
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut sender, &command(&["PING"]).repeat(PINGS)).unwrap();
    });
    let mut heard = vec![0; 7 * PINGS];
    client.stream.read_exact(&mut heard).unwrap();
    assert!(heard.chunks(7).all(|reply| reply == b"+PONG\r\n"));
    sending.join().unwrap();
    client.ask("PING", "+PONG");
}
