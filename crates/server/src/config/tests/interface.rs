use super::*;

/// The whole example of the interface, with what it only mentions switched on.
const EXAMPLE: &str = r#"
[listen]
public = "127.0.0.1:8080"      # clients
admin  = "127.0.0.1:8081"      # publish and admin API, metrics, dashboard
tls = { cert = "cert.pem", key = "key.pem" }
[admin]
token_env = "TIDINGS_ADMIN_TOKEN"
[log]
level = "info"
format = "text"
[broker]
kind = "embedded"              # embedded | nats | redis
dir = "./data"
[nats]
url = "nats://127.0.0.1:4222"
[redis]
url = "redis://127.0.0.1:6379"

[[stream]]
name = "studio"
topics = ["studio.>"]
retain = { count = 100_000, age = "24h", bytes = "256MiB" }
durability = "fsync"           # memory | buffered | fsync
priority = 1
deliver = "latest"             # every | latest
max_rate = 10
wait_for = { device = "recognizer", bytes = "1MiB" }

[auth]
keys = [{ id = "main", algorithm = "HS256", secret_env = "TIDINGS_SECRET" }]
jwks = "https://id.example/jwks"
http = "https://id.example/session"
[auth.roles.editor]
subscribe = ["studio.>"]
publish   = []
command   = ["studio.*"]

[[endpoint]]
path = "/api/v1/ws"
listen = "127.0.0.1:8010"
dialect = "studio"
root = "studio"
names = ["blob.created"]
auth = "required"              # required | optional | none
tokens = ["query", "header"]
origins = []
cors = []
heartbeat = "30s"
remember = "5m"
compression = { above = "1KiB", level = 6 }
limits = { message_bytes = "64KiB", devices_per_user = 5, messages = "100/min", connections_per_address = "10/min", concurrent_per_address = 100, subscriptions = 100 }

[[command]]
name = "studio.create_blob"
to = "nats:studio.commands.create_blob"
timeout = "5s"
retry = { attempts = 3 }
breaker = { failures = 10, open = "30s" }

[[source]]
kind = "nats"                  # nats | redis | host (CPU, memory, GPU)
subjects = ["blob.>", "processor.>", "book.>", "conversation.>"]
root = "studio"
user = "/user_id"

[[schema]]
topics = ["studio.blob.created"]
file = "blob.schema.json"
"#;

#[test]
fn every_key_of_the_example_is_known_and_what_is_missing_is_refused() {
    let env = variables(&[("TIDINGS_SECRET", "s"), ("TIDINGS_ADMIN_TOKEN", "t")]);
    let errors = load(&options(EXAMPLE), env).unwrap_err();
    let titles: Vec<&str> = errors.titles().collect();
    let refused = ["listen.tls", "auth.jwks"];
    let mut expected: Vec<String> =
        refused.map(|what| format!("`{what}` is not available in this version")).to_vec();
    expected.push("cannot read `blob.schema.json`".to_owned());
    assert_eq!(titles, expected);
}

#[test]
fn a_refusal_points_at_the_line() {
    check(
        "[broker]\nkind = \"nats\"\n",
        r#"
error: `broker.kind = "nats"` is not available in this version
 --> tidings.toml:2:8
  |
2 | kind = "nats"
  |        ^^^^^^
"#,
    );
}

#[test]
fn what_the_example_says_of_this_version_is_read() {
    let text = r#"
        [listen]
        public = "0.0.0.0:9000"
        [[stream]]
        name = "studio"
        topics = ["studio.>"]
        retain = { count = 100_000, age = "24h", bytes = "256MiB" }
        durability = "memory"
        priority = 1
        max_rate = 10
        [[endpoint]]
        path = "/api/v1/ws"
        listen = "127.0.0.1:8010"
        auth = "none"
        origins = ["https://app.example"]
        heartbeat = "20s"
        limits = { message_bytes = "64KiB", messages = "100/min", subscriptions = 100 }
        [[source]]
        kind = "host"
        root = "trainer"
    "#;
    let config = parse(text).unwrap().config;
    let [stream, default] = config.streams.as_slice() else { panic!("two streams") };
    assert_eq!(stream.retain.count, Some(100_000));
    assert_eq!(stream.retain.age, Some(Timespan::from_hours(24)));
    assert_eq!(stream.retain.bytes, ByteSize::from_mib(256));
    assert_eq!(stream.priority, 1);
    let spec = engine::StreamSpec::from(stream);
    assert!(spec.mode.latest);
    assert_eq!(spec.mode.interval_ms, 100);
    assert_eq!(spec.retention.age_ms, 86_400_000);
    assert_eq!(default.name.as_str(), "default");
    assert_eq!(default.topics[0].as_str(), ">");

    let [endpoint, native] = config.endpoints.as_slice() else { panic!("two endpoints") };
    assert_eq!(config.listener_of(endpoint).to_string(), "127.0.0.1:8010");
    assert_eq!(config.access_of(endpoint), Access::None);
    assert_eq!(endpoint.message_bytes(&config.limits), ByteSize::from_kib(64));
    assert_eq!(endpoint.subscriptions(&config.limits), 100);
    assert_eq!(endpoint.limits.messages.unwrap().to_string(), "100/min");
    assert_eq!(native.path.as_str(), "/v1/ws");
    assert_eq!(native.dialect, DialectName::NATIVE);
    assert_eq!(config.listener_of(native).to_string(), "0.0.0.0:9000");
    assert_eq!(native.message_bytes(&config.limits), ByteSize::from_mib(1));
    assert_eq!(config.sources[0].interval, Timespan::from_secs(2));
}

#[test]
fn with_nothing_configured_the_defaults_of_the_interface_hold() {
    let config = parse("").unwrap().config;
    assert_eq!(config.listen.public.to_string(), "127.0.0.1:8080");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:8081");
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.broker.kind, BrokerKind::Embedded);
    let spec = engine::StreamSpec::from(&config.streams[0]);
    assert_eq!(spec.name.as_str(), DEFAULT_STREAM);
    assert_eq!(spec.retention, engine::Retention::default());
    assert_eq!(spec.mode, protocol::Mode::EVERY);
    assert_eq!(config.endpoints.len(), 1);
    let anonymous = &config.auth.roles["anonymous"];
    assert_eq!(anonymous.subscribe[0].as_str(), ">");
    assert!(anonymous.publish.is_empty() && anonymous.command.is_empty());
    assert!(config.auth.roles["default"].subscribe.is_empty());
    assert!(config.server.worker_count() >= 1);
}

#[test]
fn a_role_that_is_given_is_taken_as_it_is() {
    let text = "[auth.roles.anonymous]\npublish = [\"chat.>\"]";
    let config = parse(text).unwrap().config;
    assert!(config.auth.roles["anonymous"].subscribe.is_empty());
    assert_eq!(config.auth.roles["anonymous"].publish[0].as_str(), "chat.>");
}
