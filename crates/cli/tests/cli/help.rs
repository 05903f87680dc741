//! What is listed exists, and what does not exist is not listed.

use crate::process::run;

fn commands(help: &str) -> Vec<&str> {
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // What is indented further goes on with the line before.
    let names = listed.lines().filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn help_lists_what_there_is_and_nothing_else() {
    let help = run(&["--help"]).succeeds().out;
    let expected = [
        "dev",
        "serve",
        "key",
        "token-key",
        "contracts",
        "top",
        "explain",
        "config",
        "import",
        "jobs",
        "work",
        "bench",
        "drill",
        "log",
        "completions",
        "help",
    ];
    assert_eq!(commands(&help), expected);
    for command in commands(&help).iter().filter(|command| **command != "help") {
        let help = run(&[command, "--help"]).succeeds().out;
        let grpc = cfg!(feature = "grpc") && ["serve", "dev"].contains(command);
        assert_eq!(help.contains("--grpc"), grpc, "{command} names --grpc where there is gRPC");
        for later in ["--faktory", "nats://", "postgres://", "--peer"] {
            assert!(!help.contains(later), "{command} names {later}, which is not there yet");
        }
    }
}

#[test]
fn every_group_lists_its_own() {
    for (group, expected) in [
        ("key", &["create", "list", "revoke", "help"][..]),
        ("token-key", &["create", "list", "revoke", "help"]),
        ("config", &["init", "check", "show", "schema", "help"]),
        (
            "jobs",
            &[
                "list", "show", "retry", "cancel", "replay", "tail", "queues", "pause", "resume",
                "drain", "help",
            ],
        ),
        ("log", &["inspect", "verify", "help"]),
        ("bench", &["reservations", "limits", "jobs", "chat", "feed", "help"]),
        ("drill", &["list", "sim", "crash", "breakages", "price", "neighbours", "plot", "help"]),
    ] {
        assert_eq!(commands(&run(&[group, "--help"]).succeeds().out), expected, "{group}");
    }
}

#[test]
fn what_makes_no_sense_exits_with_2_and_says_what_was_meant() {
    run(&["sreve"]).fails(2, &["serve"]);
    run(&["import"]).fails(2, &["FILE"]);
    run(&["serve", "--dat", "x"]).fails(2, &["--data"]);
    run(&["key", "create", "--key", "ek_a_b"]).fails(2, &["--key"]);
    let mut command = crate::process::evenkeel(&["config", "schema"]);
    command.env("EVENKEEL_LOG", "evenkeel=loud");
    crate::process::ended(command).fails(2, &["EVENKEEL_LOG is no filter"]);
}

#[test]
fn completions_are_for_the_shell_that_was_asked_for() {
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef evenkeel"), ("fish", "-c evenkeel")]
    {
        assert!(run(&["completions", shell]).succeeds().out.contains(part), "{shell}");
    }
}
