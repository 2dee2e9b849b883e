//! What is offered and agreed about permessage-deflate (RFC 7692 sections 5 and 7.1).

/// The name of the only extension that is known here.
const NAME: &str = "permessage-deflate";

/// What was agreed about compression.
///
/// Neither side takes its window over from one message to the next, so nothing of the agreement
/// is needed to read. To write, this endpoint's window matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// The base-2 logarithm of the window that this endpoint may compress with, 8 to 15.
    window_bits: u8,
    /// Whether the peer named the window, so that the answer has to.
    window_was_offered: bool,
}

impl Deflate {
    const WIDEST: Self = Self { window_bits: 15, window_was_offered: false };

    /// The base-2 logarithm of the longest distance, in bytes, that this endpoint may refer back
    /// to when it compresses: 8 to 15, nearly always 15.
    #[must_use]
    pub const fn window_bits(self) -> u8 {
        self.window_bits
    }

    /// Whether the peer takes a payload of this many bytes that was compressed with a full window
    /// of 32 KiB. One that is no longer than the peer's own window cannot refer back beyond it;
    /// one that is longer goes out plain, or through a compressor of its own.
    #[must_use]
    pub const fn allows(self, payload_bytes: usize) -> bool {
        self.window_bits >= 15 || payload_bytes <= 1 << self.window_bits
    }

    /// A server's answer to the offer that it accepts.
    pub(super) fn answer(self) -> String {
        let mut answer = format!("{NAME}; server_no_context_takeover; client_no_context_takeover");
        if self.window_was_offered {
            answer.push_str(&format!("; server_max_window_bits={}", self.window_bits));
        }
        answer
    }
}

/// A client's offer: it takes any window, can keep to any, and wants no context on either side.
pub(super) const OFFER: &str = "permessage-deflate; server_no_context_takeover; \
     client_no_context_takeover; client_max_window_bits";

/// A header value that is not a list of extensions; it fails the handshake (RFC 6455 section 9.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Picks the first offer in a `Sec-WebSocket-Extensions` value that can be accepted.
///
/// An offer with an unknown, repeated or senseless parameter is declined, which leaves those
/// behind it (RFC 7692 section 7.1).
pub(super) fn choose_offer(value: &str) -> Result<Option<Deflate>, Malformed> {
    let mut chosen = None;
    for extension in extensions(value) {
        let extension = extension?;
        if chosen.is_none() && extension.name.eq_ignore_ascii_case(NAME) {
            chosen = judge_offer(&extension);
        }
    }
    Ok(chosen)
}

fn judge_offer(offer: &Extension) -> Option<Deflate> {
    let mut deflate = Deflate::WIDEST;
    for (name, value) in offer.distinct_params()? {
        match (name.as_str(), value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // Where a client's window could be limited: an inflater takes any, so nothing is asked.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => _ = window_bits(bits)?,
            ("server_max_window_bits", Some(bits)) => {
                deflate = Deflate { window_bits: window_bits(bits)?, window_was_offered: true };
            }
            _ => return None,
        }
    }
    Some(deflate)
}

/// Judges a server's answer to [`OFFER`]; `None` where it does not fit the offer.
pub(super) fn judge_answer(value: &str) -> Result<Option<Deflate>, Malformed> {
    let mut extensions = extensions(value);
    let Some(extension) = extensions.next().transpose()? else {
        return Err(Malformed);
    };
    if extensions.next().is_some() || !extension.name.eq_ignore_ascii_case(NAME) {
        return Ok(None);
    }
    let Some(params) = extension.distinct_params() else {
        return Ok(None);
    };
    let mut deflate = Deflate::WIDEST;
    let mut server_keeps_no_context = false;
    for (name, value) in params {
        match (name.as_str(), value.map(window_bits)) {
            ("server_no_context_takeover", None) => server_keeps_no_context = true,
            ("client_no_context_takeover", None) => {}
            ("server_max_window_bits", Some(Some(_))) => {}
            ("client_max_window_bits", Some(Some(bits))) => deflate.window_bits = bits,
            _ => return Ok(None),
        }
    }
    // A server that accepts has to repeat it (section 7.1.1.1); without it, its messages could
    // refer to earlier ones.
    Ok(server_keeps_no_context.then_some(deflate))
}

/// 8 to 15 in decimal without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        _ => value.parse().ok().filter(|bits| value.len() == 2 && (10..=15).contains(bits)),
    }
}

#[derive(Debug)]
struct Extension {
    name: String,
    params: Vec<(String, Option<String>)>,
}

impl Extension {
    /// The parameters, their names in lower case; `None` if a name comes twice.
    fn distinct_params(&self) -> Option<Vec<(String, Option<&str>)>> {
        let mut params: Vec<(String, Option<&str>)> = Vec::with_capacity(self.params.len());
        for (name, value) in &self.params {
            let name = name.to_ascii_lowercase();
            if params.iter().any(|(known, _)| *known == name) {
                return None;
            }
            params.push((name, value.as_deref()));
        }
        Some(params)
    }
}

/// The extensions of a header value, by the grammar of RFC 6455 section 9.1.
fn extensions(value: &str) -> impl Iterator<Item = Result<Extension, Malformed>> {
    let mut scanner = Scanner { rest: value };
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let extension = scanner.extension().transpose();
        failed = matches!(extension, Some(Err(_)));
        extension
    })
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The next extension; `None` at the end of the value.
    fn extension(&mut self) -> Result<Option<Extension>, Malformed> {
        while self.eat(',') {}
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut extension = Extension { name: self.token()?.to_owned(), params: Vec::new() };
        while self.eat(';') {
            let name = self.token()?.to_owned();
            let value = if self.eat('=') { Some(self.value()?) } else { None };
            extension.params.push((name, value));
        }
        if self.rest.is_empty() || self.eat(',') { Ok(Some(extension)) } else { Err(Malformed) }
    }

    fn eat(&mut self, separator: char) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let Some(rest) = self.rest.strip_prefix(separator) else {
            return false;
        };
        self.rest = rest.trim_start_matches([' ', '\t']);
        true
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let end = self.rest.find(|c| !is_token_char(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        if token.is_empty() {
            return Err(Malformed);
        }
        self.rest = rest.trim_start_matches([' ', '\t']);
        Ok(token)
    }

    /// A token, or a quoted string that is a token once its backslashes are taken out.
    fn value(&mut self) -> Result<String, Malformed> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut value = String::new();
        let mut chars = quoted.chars();
        loop {
            let c = match chars.next().ok_or(Malformed)? {
                '"' => break,
                '\\' => chars.next().ok_or(Malformed)?,
                c => c,
            };
            if !is_token_char(c) {
                return Err(Malformed);
            }
            value.push(c);
        }
        self.rest = chars.as_str().trim_start_matches([' ', '\t']);
        if value.is_empty() { Err(Malformed) } else { Ok(value) }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offers: &str) -> Option<String> {
        choose_offer(offers).unwrap().map(Deflate::answer)
    }

    const PLAIN: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn what_browsers_offer_is_accepted_without_context() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "Permessage-Deflate ;Client_Max_Window_Bits = \"1\\5\"",
            "x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover",
            ",, permessage-deflate; client_no_context_takeover; client_max_window_bits=8,",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(PLAIN), "{offer}");
        }
    }

    #[test]
    fn a_small_window_is_repeated_in_the_answer_and_kept_to() {
        let offer = "permessage-deflate; server_max_window_bits=10";
        assert_eq!(answer(offer), Some(format!("{PLAIN}; server_max_window_bits=10")));
        let deflate = choose_offer(offer).unwrap().unwrap();
        assert_eq!(deflate.window_bits(), 10);
        assert!(deflate.allows(1024) && !deflate.allows(1025));
        let wide = choose_offer("permessage-deflate; server_max_window_bits=15").unwrap().unwrap();
        assert!(wide.allows(usize::MAX));
    }

    #[test]
    fn an_offer_that_cannot_be_taken_leaves_the_next_one() {
        for declined in [
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=99",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=true",
            "permessage-deflate; mux=4",
            "permessage-bzip2",
        ] {
            assert_eq!(answer(declined), None, "{declined}");
            let with_fallback = format!("{declined}, permessage-deflate");
            assert_eq!(answer(&with_fallback).as_deref(), Some(PLAIN), "{declined}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_extensions_is_malformed() {
        for value in
            ["a b", "a;", "a; =1", "a; b=", "a; b=\"c", "a; b=\"c d\"", "a; b=\"\"", "ä", ";"]
        {
            assert_eq!(choose_offer(value), Err(Malformed), "{value}");
        }
        assert_eq!(choose_offer(""), Ok(None));
    }

    #[test]
    fn an_answer_must_fit_the_offer() {
        let bits = |value| judge_answer(value).unwrap().map(Deflate::window_bits);
        assert_eq!(bits(PLAIN), Some(15));
        assert_eq!(bits("permessage-deflate; server_no_context_takeover"), Some(15));
        let small = format!("{PLAIN}; client_max_window_bits=9; server_max_window_bits=12");
        assert_eq!(bits(&small), Some(9));
        for refused in [
            "permessage-deflate",
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
            "other",
        ] {
            assert_eq!(bits(refused), None, "{refused}");
        }
        assert_eq!(judge_answer(""), Err(Malformed));
    }
}
