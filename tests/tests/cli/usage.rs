use super::program::{file, run};

const COMMANDS: [&str; 16] = [
    "serve",
    "demo",
    "publish",
    "subscribe",
    "history",
    "streams",
    "connections",
    "health",
    "disconnect",
    "drain",
    "reload",
    "check",
    "config",
    "profile",
    "bench",
    "help",
];

#[test]
fn help_is_there_on_every_level() {
    let help = run(&["--help"]).ok();
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "no {command} in {help}");
        let help = run(&[command, "--help"]).ok();
        assert!(help.contains("Examples:") && help.contains("Usage:"), "{help}");
        assert!(help.contains("--json"), "{help}");
    }
    for part in ["list", "show"] {
        assert!(run(&["profile", part, "--help"]).ok().contains("Usage:"));
    }
    let help = run(&["help", "--help"]).ok();
    assert!(help.contains("Usage: tidings help"), "{help}");
    assert_eq!(run(&["help", "profile", "show"]).ok(), run(&["profile", "show", "--help"]).ok());
    assert_eq!(run(&["help"]).ok(), run(&["--help"]).ok());
    run(&["help", "nonsense"]).fails(2, &["nonsense", "--help"]);
    assert_eq!(run(&["--version"]).ok(), format!("tidings {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn commands_of_later_versions_are_unknown() {
    let help = run(&["--help"]).ok();
    for command in ["call", "handle", "token"] {
        assert!(!help.contains(&format!("\n  {command} ")), "{help}");
        run(&[command]).fails(2, &[command]);
    }
    run(&[]).fails(2, &["Usage:"]);
    run(&["serve", "--nonsense"]).fails(2, &["--nonsense"]);
}

#[test]
fn bounds_are_told_before_a_server_is_asked() {
    let wrong = |args: &[&str], words: &[&str]| drop(run(args).fails(2, words));
    wrong(&["subscribe", "a", "--max-rate", "5000"], &["--max-rate", "0.001 to 1000"]);
    wrong(&["subscribe", "a", "--max-rate", "0"], &["--max-rate", "0.001 to 1000"]);
    wrong(&["subscribe", "a", "--last", "0"], &["--last", "1..="]);
    wrong(&["history", "a", "--limit", "0"], &["--limit"]);
    wrong(&["connections", "--limit", "0"], &["--limit"]);
    wrong(&["publish", "a", "1", "--content-type", "text/plain"], &["--content-type"]);
}

#[test]
fn a_token_of_the_environment_is_not_shown() {
    let mut command = super::program::command(&["streams", "--help"]);
    command.env("TIDINGS_TOKEN", "s3cret").env("TIDINGS_ADMIN_TOKEN", "s3cret");
    let help = super::program::Running::start(command).finish().ok();
    assert!(help.contains("TIDINGS_TOKEN") && !help.contains("s3cret"), "{help}");
}

#[test]
fn a_configuration_is_checked() {
    let good = file("good.toml", b"[log]\nlevel = \"warn\"\n");
    let checked = run(&["check", "--config", good.to_str().unwrap()]);
    assert!(checked.err.contains("good.toml"), "{checked:?}");
    assert_eq!(checked.ok(), "ok\n");
    assert_eq!(run(&["check"]).ok(), "ok\n");
    let told = run(&["check", "--json", "--config", good.to_str().unwrap()]).json();
    assert_eq!(told[0]["ok"], true);

    let bad = file("bad.toml", b"[log]\nlevel = \"warm\"\nformat = \"xml\"\n");
    let told = run(&["check", "--config", bad.to_str().unwrap()]);
    let for_programs = run(&["check", "--json", "--config", bad.to_str().unwrap()]);
    let found: serde_json::Value = serde_json::from_str(&for_programs.out).unwrap();
    assert_eq!(found["ok"], false);
    assert!(found["errors"][1]["place"].as_str().unwrap().ends_with("bad.toml:3"), "{found}");
    for_programs.fails(2, &["bad.toml:2:9"]);
    told.fails(2, &["bad.toml:2:9", "bad.toml:3:10", "^", "warn"]);
    // The directory is used by a server only.
    assert_eq!(run(&["check", "--data", "/somewhere"]).ok(), "ok\n");
    let nowhere = b"[[stream]]\nname = \"a\"\ntopics = [\"a\"]\ndurability = \"fsync\"\n";
    let durable = file("durable.toml", nowhere);
    let durable = durable.to_str().unwrap();
    run(&["check", "--config", durable]).fails(2, &["durable.toml:4:14", "`--data`"]);
    assert_eq!(run(&["check", "--config", durable, "--data", "/somewhere"]).ok(), "ok\n");
}

#[test]
fn settings_are_printed_with_their_meaning_or_their_origin() {
    let reference = run(&["config"]).ok();
    assert!(reference.contains("[listen]") && reference.contains("# "), "{reference}");
    let path = file("reference.toml", reference.as_bytes());
    assert_eq!(run(&["check", "--config", path.to_str().unwrap()]).ok(), "ok\n");

    let path = file("mine.toml", b"[log]\nlevel = \"warn\"\n");
    let options = ["config", "--effective", "--listen", "127.0.0.1:1", "--config"];
    let effective = run(&[&options[..], &[path.to_str().unwrap()]].concat()).ok();
    for line in ["level = \"warn\"  # ", "mine.toml:2", "public = \"127.0.0.1:1\"  # --listen"] {
        assert!(effective.contains(line), "no {line} in {effective}");
    }
    let told = run(&["config", "--json"]).json();
    let public = told.iter().find(|setting| setting["key"] == "listen.public").unwrap();
    assert_eq!(public["default"], "127.0.0.1:8080");
    let told = run(&[&options[..], &[path.to_str().unwrap(), "--json"]].concat()).json();
    let level = told.iter().find(|setting| setting["key"] == "log.level").unwrap();
    assert_eq!(level["value"], "warn");
    assert!(level["origin"].as_str().unwrap().ends_with("mine.toml:2"), "{level}");
}
