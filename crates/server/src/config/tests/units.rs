use proptest::prelude::*;

use super::*;

fn why<T: std::str::FromStr<Err = ParseError>>(text: &str) -> String {
    text.parse::<T>().err().map_or_else(|| "fine".to_owned(), |error| error.to_string())
}

#[test]
fn durations() {
    for (text, ms, shown) in [
        ("500ms", 500, "500ms"),
        ("30s", 30_000, "30s"),
        ("90s", 90_000, "90s"),
        ("120s", 120_000, "2m"),
        ("10m", 600_000, "10m"),
        ("24h", 86_400_000, "24h"),
        ("1d", 86_400_000, "24h"),
        ("7d", 604_800_000, "7d"),
        ("1_000 ms", 1_000, "1s"),
        ("0s", 0, "0s"),
    ] {
        let span: Timespan = text.parse().unwrap();
        assert_eq!((span.as_ms(), span.to_string().as_str()), (ms, shown), "{text}");
    }
    for (text, expected) in [
        ("30", "the unit is missing: write `30s` for seconds"),
        ("5 parsecs", "`parsecs` is not a unit of time: use ms, s, m, h or d"),
        ("1.5h", "`.5h` is not a unit of time: use ms, s, m, h or d"),
        ("", "write a number and a unit, such as `500ms`, `30s`, `10m` or `24h`"),
        ("-5s", "write a number and a unit, such as `500ms`, `30s`, `10m` or `24h`"),
        ("1__0s", "write a number and a unit, such as `500ms`, `30s`, `10m` or `24h`"),
        ("99999999999999999d", "that is too long"),
    ] {
        assert_eq!(why::<Timespan>(text), expected, "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bytes, shown) in [
        ("64KiB", 65_536, "64KiB"),
        ("1MiB", 1 << 20, "1MiB"),
        ("1024KiB", 1 << 20, "1MiB"),
        ("500kB", 500_000, "500000B"),
        ("100_000", 100_000, "100000B"),
        ("1 GiB", 1 << 30, "1GiB"),
        ("0", 0, "0B"),
    ] {
        let size: ByteSize = text.parse().unwrap();
        assert_eq!((size.as_bytes(), size.to_string().as_str()), (bytes, shown), "{text}");
    }
    for (text, expected) in [
        ("64k", "`k` is not a unit of size: did you mean `KiB`?"),
        ("64mb", "`mb` is not a unit of size: did you mean `MiB`?"),
        ("64 bytes", "`bytes` is not a unit of size: use B, KiB, MiB or GiB"),
        ("MiB", "write a number and a unit, such as `64KiB` or `1MiB`"),
        ("99999999999TiB", "that is too large"),
    ] {
        assert_eq!(why::<ByteSize>(text), expected, "{text}");
    }
}

#[test]
fn rates() {
    let rate: Rate = "1_00 / min".parse().unwrap();
    assert_eq!((rate.count, rate.per), (100, Period::Minute));
    for (text, expected) in [
        ("100", "write how many in how long, such as `100/min` or `10/s`"),
        ("100/m", "`m` is not a time of a rate: use s, min or h"),
        ("0/s", "a rate of none would let nothing through"),
        ("5000000000/s", "that is too many"),
    ] {
        assert_eq!(why::<Rate>(text), expected, "{text}");
    }
}

#[test]
fn paths_origins_hosts_and_urls() {
    for (text, expected) in [
        ("/", "fine"),
        ("/api/v1/ws", "fine"),
        ("ws", "a path begins with `/`: write `/ws`"),
        ("/a b", "' ' may not be part of a path"),
        ("/a?b", "'?' may not be part of a path"),
        ("/a/", "a path has no empty part and no `/` at its end"),
    ] {
        assert_eq!(why::<EndpointPath>(text), expected, "{text}");
    }
    let form = "write it as browsers do, such as `https://app.example`, without a path";
    for (text, expected) in [
        ("*", "fine"),
        ("null", "fine"),
        ("https://app.example:8443", "fine"),
        ("app.example", form),
        ("https://app.example/", form),
        ("https://*.example", form),
    ] {
        assert_eq!(why::<WebOrigin>(text), expected, "{text}");
    }
    assert_eq!("HTTPS://App.Example".parse::<WebOrigin>().unwrap().as_str(), "https://app.example");
    assert_eq!(
        why::<HostName>("a.example:80"),
        "write a name such as `events.example`, without a port"
    );
    assert_eq!(why::<Url>("localhost:4222"), "write a URL, such as `https://host/path`");
}

#[test]
fn passwords_of_urls_are_not_shown() {
    for (url, shown) in [
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("redis://:hunter2@host:6379/0", "redis://:*******@host:6379/0"),
        ("nats://me:pass@host", "nats://me:****@host"),
        ("nats://token@host", "nats://*****@host"),
        ("https://me:p/a@ss@host", "https://me:******@host"),
    ] {
        let url: Url = url.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("{shown:?}"));
    }
    let text = "a = \"redis://:one@h\"\nb = \"x://y\"\nc = \"nats://u:two@h\"";
    let masked = super::super::units::without_password(text);
    assert_eq!(masked, "a = \"redis://:***@h\"\nb = \"x://y\"\nc = \"nats://u:***@h\"");
}

#[test]
fn values_are_text_in_serde_formats() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Values {
        span: Timespan,
        size: ByteSize,
        rate: Rate,
    }
    let text = "span = \"30s\"\nsize = \"64KiB\"\nrate = \"10/s\"\n";
    let values: Values = toml::from_str(text).unwrap();
    assert_eq!(toml::to_string(&values).unwrap(), text);
    assert!(toml::from_str::<Values>("span = \"30\"\nsize = \"1B\"\nrate = \"1/s\"").is_err());
}

#[test]
fn big_numbers_are_grouped() {
    use super::super::units::grouped;
    for (number, shown) in [(9_999, "9999"), (10_000, "10_000"), (1_234_567, "1_234_567")] {
        assert_eq!(grouped(number), shown);
    }
    assert_eq!(grouped("10000B"), "10000B");
}

proptest! {
    #[test]
    fn what_is_shown_can_be_read_back(
        ms in any::<u64>(),
        bytes in any::<u64>(),
        count in 1..=u32::MAX,
        per in prop::sample::select(vec![Period::Second, Period::Minute, Period::Hour]),
    ) {
        let (span, size, rate) = (Timespan::from_ms(ms), ByteSize::from_bytes(bytes), Rate { count, per });
        prop_assert_eq!(span.to_string().parse(), Ok(span));
        prop_assert_eq!(size.to_string().parse(), Ok(size));
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn paths_and_origins_can_be_read_back(path in "(/[a-z0-9._~-]{1,8}){1,4}", host in "[a-z0-9.-]{1,20}") {
        let path: EndpointPath = path.parse().unwrap();
        prop_assert_eq!(path.to_string().parse(), Ok(path));
        let host: HostName = host.parse().unwrap();
        let origin: WebOrigin = format!("https://{host}").parse().unwrap();
        prop_assert_eq!(origin.to_string().parse(), Ok(origin));
        prop_assert_eq!(host.to_string().parse(), Ok(host));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = text.parse::<Timespan>();
        let _ = text.parse::<ByteSize>();
        let _ = text.parse::<Rate>();
        let _ = text.parse::<EndpointPath>();
        let _ = text.parse::<WebOrigin>();
        let _ = text.parse::<Url>().map(|url| url.to_string());
        prop_assert_eq!(super::super::units::without_password(&text).len(), text.len());
    }
}
