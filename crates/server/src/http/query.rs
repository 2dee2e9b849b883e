use protocol::{Command, Error, Hello, Mode, Pattern, Position, Request, Start, Subscribe};

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

/// What a query asks to be subscribed to, with `last_id` from an earlier connection; `None` where
/// it names no topics.
///
/// # Errors
/// `bad_request` or `invalid_pattern`, naming the parameter.
pub(super) fn subscription(
    query: Option<&str>,
    last_id: Option<&str>,
) -> Result<Option<Request>, Error> {
    let mut body =
        Subscribe { topics: Vec::new(), except: Vec::new(), start: Start::Now, mode: Mode::EVERY };
    for (name, value) in pairs(query) {
        match name.as_str() {
            "topics" | "topic" => body.topics.extend(patterns(&value)?),
            "except" => body.except.extend(patterns(&value)?),
            "last" => body.start = Start::Last(number(&name, &value)?),
            "since" => body.start = Start::Since(number(&name, &value)?),
            "after" => body.start = Start::Positions(positions(&value)?),
            "latest" => body.mode.latest = flag(&name, &value)?,
            "max_rate" => {
                let rate: f64 = number(&name, &value)?;
                if !(rate > 0.0 && rate.is_finite()) {
                    return Err(Error::bad_request("max_rate must be a number above 0"));
                }
                body.mode.latest = true;
                body.mode.interval_ms = Mode::interval_of_rate(rate);
            }
            "filter" => {
                return Err(Error::bad_request("filters are not available in this version"));
            }
            // Others may belong to somebody else: a cache breaker, a proxy.
            _ => {}
        }
    }
    if body.topics.is_empty() {
        return Ok(None);
    }
    Ok(Some(request(body, last_id)?))
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

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::bad_request(format!("{name} must be a number")))
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
