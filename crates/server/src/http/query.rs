use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::dialects::native::{
    BATCH_MS_MAX, HISTORY_EVENTS_MAX, LAST_EVENTS_MAX, NAME_BYTES_MAX, is_device, read_filter,
};
use protocol::{
    Command, Error, Hello, Mode, Pattern, Position, Request, SEQ_MAX, Start, Subscribe,
};

/// The parameters of a query, in order, decoded.
pub(super) fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// Decodes `%41` and `+` (the URL standard's form encoding); what is not UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes a part of a path, in which `+` is itself.
pub(super) fn decoded_path(text: &str) -> String {
    decoded(&text.replace('+', "%2B"))
}

/// The value of `limit`, in the bounds of every list that has one.
///
/// # Errors
/// `bad_request`.
pub(super) fn limit(value: &str) -> Result<u32, Error> {
    whole("limit", value, 1..=HISTORY_EVENTS_MAX)
}

/// What a query asks to be subscribed to, with `last_id` from an earlier connection; `None` where
/// it names no topics.
///
/// # Errors
/// `bad_request` or `invalid_pattern`, naming the parameter.
pub(super) fn subscription(
    query: Option<&str>,
    last_id: Option<&str>,
) -> Result<Option<Request>, Error> {
    let (topics, except, mode) = (Vec::new(), Vec::new(), Mode::EVERY);
    let mut body = Subscribe { topics, except, filter: None, start: Start::Now, mode };
    let mut starts = Vec::new();
    for (name, value) in pairs(query) {
        match name.as_str() {
            "topics" | "topic" => body.topics.extend(patterns(&value)?),
            "except" => body.except.extend(patterns(&value)?),
            "last" => starts.push(Start::Last(whole(&name, &value, 1..=LAST_EVENTS_MAX)?)),
            "since" => starts.push(Start::Since(time(&name, &value)?)),
            "after" => starts.push(Start::Positions(positions(&value)?)),
            "stored" if flag(&name, &value)? => starts.push(Start::Stored),
            "latest" => body.mode.latest = flag(&name, &value)?,
            "max_rate" => {
                body.mode.latest = true;
                body.mode.interval_ms =
                    body.mode.interval_ms.max(Mode::interval_of_rate(rate(&name, &value)?));
            }
            "batch_ms" => {
                body.mode.batch = true;
                body.mode.interval_ms =
                    body.mode.interval_ms.max(whole(&name, &value, 1..=BATCH_MS_MAX)?);
            }
            "filter" if body.filter.is_some() => {
                return Err(Error::bad_request("filter is given twice; join both with all or any"));
            }
            "filter" => body.filter = Some(Arc::new(read_filter(&value)?)),
            // Others may belong to somebody else: a cache breaker, a proxy.
            _ => {}
        }
    }
    if starts.len() > 1 {
        return Err(Error::bad_request(
            "at most one of last, since, after and stored, and that once",
        ));
    }
    body.start = starts.pop().unwrap_or_default();
    if body.start == Start::Stored && device(query)?.is_none() {
        return Err(Error::bad_request("stored needs the name of a device: `device`"));
    }
    if body.topics.is_empty() {
        return Ok(None);
    }
    Ok(Some(request(body, last_id)?))
}

/// The device that a query names.
///
/// # Errors
/// `bad_request` where it is no name.
pub(super) fn device(query: Option<&str>) -> Result<Option<Arc<str>>, Error> {
    let named = pairs(query).into_iter().find(|(name, _)| name == "device");
    let Some((_, device)) = named else { return Ok(None) };
    let wrong = || format!("device must be 1 to {NAME_BYTES_MAX} bytes without control characters");
    if is_device(&device) { Ok(Some(device.into())) } else { Err(Error::bad_request(wrong())) }
}

/// Whether a query asks to take the place of another device of the user.
pub(super) fn takeover(query: Option<&str>) -> bool {
    let mut pairs = pairs(query).into_iter();
    pairs.any(|(name, value)| name == "takeover" && flag(&name, &value).unwrap_or(false))
}

fn request(body: Subscribe, last_id: Option<&str>) -> Result<Request, Error> {
    let id = Some(0);
    let resume = last_id.filter(|id| !id.is_empty()).map(positions).transpose()?;
    let Some(resume) = resume else {
        return Ok(Request { id, command: Command::Subscribe(Box::new(body)) });
    };
    let hello = Hello { resume, subscriptions: vec![body], ..Hello::default() };
    Ok(Request { id, command: Command::Hello(Box::new(hello)) })
}

fn patterns(value: &str) -> Result<Vec<Pattern>, Error> {
    value.split(',').filter(|text| !text.is_empty()).map(Pattern::parse).collect()
}

fn positions(value: &str) -> Result<Vec<Position>, Error> {
    value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(Position::parse).collect()
}

/// A whole number within `bounds`.
fn whole(name: &str, value: &str, bounds: RangeInclusive<u32>) -> Result<u32, Error> {
    value.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        Error::bad_request(format!("{name} must be a whole number from {least} to {most}"))
    })
}

/// A time in ms since 1970, in the bounds of what JSON numbers keep exactly.
fn time(name: &str, value: &str) -> Result<u64, Error> {
    let time = value.parse().ok().filter(|time| *time <= SEQ_MAX);
    time.ok_or_else(|| Error::bad_request(format!("{name} must be a time in ms since 1970")))
}

pub(super) fn rate(name: &str, value: &str) -> Result<f64, Error> {
    let rate = value.parse().ok().filter(|rate| Mode::is_rate(*rate));
    rate.ok_or_else(|| Error::bad_request(format!("{name} must be {}", Mode::rate_rule())))
}

fn flag(name: &str, value: &str) -> Result<bool, Error> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Error::bad_request(format!("{name} must be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let pairs = pairs(Some("a=%3e&b=x+y&c&d=%zz&e=%"));
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("a", ">"), ("b", "x y"), ("c", ""), ("d", "%zz"), ("e", "%")]);
    }

    #[test]
    fn bounds_are_those_of_a_subscription() {
        let refusal = |query: &str| subscription(Some(query), None).unwrap_err().message;
        for (query, message) in [
            ("topics=a&last=0", "last must be a whole number from 1 to 100000"),
            ("topics=a&last=100001", "last must be a whole number from 1 to 100000"),
            ("topics=a&since=10m", "since must be a time in ms since 1970"),
            (
                "topics=a&last=1&since=1",
                "at most one of last, since, after and stored, and that once",
            ),
            (
                "topics=a&max_rate=1001",
                "max_rate must be a number of reads per second from 0.001 to 1000",
            ),
            ("topics=a&batch_ms=0", "batch_ms must be a whole number from 1 to 60000"),
            ("topics=a&filter=%7B%22field%22:%22/a%22%7D", "filter.op is missing"),
            (
                "topics=a&filter={\"field\":\"\",\"op\":\"exists\"}&filter={}",
                "filter is given twice; join both with all or any",
            ),
        ] {
            assert_eq!(refusal(query), message, "{query}");
        }
        assert_eq!(limit("0").unwrap_err().message, "limit must be a whole number from 1 to 10000");
        let slow = subscription(Some("topics=a&batch_ms=50&max_rate=10&other=1"), None).unwrap();
        let Some(Request { command: Command::Subscribe(body), .. }) = slow else {
            panic!("{slow:?}")
        };
        assert_eq!(body.mode, Mode { latest: true, interval_ms: 100, batch: true });
        let query = "topics=a&filter=%7B%22field%22%3A%22%2Fa%22%2C%22op%22%3A%22exists%22%7D";
        let filtered = subscription(Some(query), None).unwrap().unwrap();
        let Command::Subscribe(body) = filtered.command else { panic!("no subscribe") };
        assert_eq!(body.filter.unwrap().as_str(), r#"{"field":"/a","op":"exists"}"#);
    }

    #[test]
    fn an_earlier_id_resumes_every_stream_that_it_names() {
        let request = subscription(Some("topics=a.*,b.%3E"), Some("s:e1:5,t:e2:0")).unwrap();
        let Some(Request { command: Command::Hello(hello), .. }) = request else {
            panic!("{request:?}")
        };
        assert_eq!(hello.resume.len(), 2);
        assert_eq!(hello.subscriptions.first().unwrap().topics.len(), 2);
        assert!(subscription(Some("topics=a"), Some("nonsense")).is_err());
        assert!(subscription(Some("topics=a..b"), None).is_err());
        assert!(subscription(Some("last=3"), None).unwrap().is_none());
    }
}
