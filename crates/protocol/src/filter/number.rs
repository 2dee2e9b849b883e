use std::cmp::Ordering;
use std::fmt::Write as _;

/// Exponents beyond this are taken for this: no two numbers that anybody writes differ by it.
const EXPONENT_MAX: i64 = 1 << 40;
/// Longer numbers of events are no numbers: they would have to be read for every filter.
const COMPARED_BYTES_MAX: usize = 1_000;
/// Numbers with at most so many digits before the point are written without an exponent.
const WHOLE_DIGITS_MAX: i64 = 21;
/// Numbers with fewer zeros than this behind the point are written without an exponent.
const ZEROS_MAX: i64 = 6;

/// A JSON number, kept as its decimal digits: neither large integers nor fractions are rounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    text: Box<str>,
}

impl Number {
    /// Reads the text of a JSON number; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        Decimal::read(text).map(|decimal| Self { text: decimal.to_text().into() })
    }

    /// Its canonical text, itself a JSON number.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the number that `text` spells compares with this one; `None` where it spells none.
    pub(super) fn compared(&self, text: &str) -> Option<Ordering> {
        if text.len() > COMPARED_BYTES_MAX {
            return None;
        }
        Some(Decimal::read(text)?.compare(&Decimal::read(&self.text)?))
    }
}

/// 0.DIGITS × 10^`point`, with neither leading nor trailing zeros among the digits; zero has none.
struct Decimal<'a> {
    is_negative: bool,
    /// Digits before the point, as they are written.
    whole: &'a [u8],
    /// Digits behind it.
    fraction: &'a [u8],
    point: i64,
}

impl<'a> Decimal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let mut whole = whole.trim_start_matches('0');
        let mut fraction = fraction.trim_end_matches('0');
        let mut point = exponent + whole.len() as i64;
        if whole.is_empty() {
            let digits = fraction.trim_start_matches('0');
            point -= (fraction.len() - digits.len()) as i64;
            fraction = digits;
        }
        if fraction.is_empty() {
            whole = whole.trim_end_matches('0');
        }
        let is_zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            whole: whole.as_bytes(),
            fraction: fraction.as_bytes(),
            point: if is_zero { 0 } else { point },
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn sign(&self) -> i8 {
        match (self.whole.is_empty() && self.fraction.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare(&self, other: &Decimal<'_>) -> Ordering {
        let magnitude =
            || self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits()));
        self.sign().cmp(&other.sign()).then_with(|| match self.sign() {
            0 => Ordering::Equal,
            1 => magnitude(),
            _ => magnitude().reverse(),
        })
    }

    fn to_text(&self) -> String {
        if self.sign() == 0 {
            return "0".into();
        }
        let digits: String = self.digits().map(char::from).collect();
        let (count, mut text) = (digits.len() as i64, String::new());
        if self.is_negative {
            text.push('-');
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        match self.point {
            point if point >= count && point <= WHOLE_DIGITS_MAX => {
                text += &digits;
                text += &zeros(point - count);
            }
            point if point > 0 && point < count => {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                text += whole;
                text.push('.');
                text += fraction;
            }
            point if point <= 0 && -point < ZEROS_MAX => {
                text += "0.";
                text += &zeros(-point);
                text += &digits;
            }
            point => {
                // Writing into a string cannot fail.
                let _ = write!(text, "{digits}e{}", point - count);
            }
        }
        text
    }
}

fn read_exponent(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits that do not fit are of a number beyond the bound.
    let size = digits.parse::<i64>().unwrap_or(EXPONENT_MAX).min(EXPONENT_MAX);
    Some(if is_negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(left: &str, right: &str) -> Ordering {
        Number::parse(right).unwrap().compared(left).unwrap()
    }

    #[test]
    fn numbers_compare_exactly() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            ("9007199254740992.0", "9007199254740993"),
            ("-9007199254740993", "-9007199254740992"),
            ("0.1", "0.10000000000000000001"),
            ("-1", "0"),
            ("-0.5", "0.5"),
            ("99", "1e2"),
            ("1e-400", "1e-399"),
            ("1e400", "1e401"),
            ("-1e401", "-1e400"),
            ("0", "1e-99999999999999999999"),
            ("1e99", "1e99999999999999999999"),
            ("0.09", "0.1"),
        ] {
            assert_eq!(compare(less, more), Ordering::Less, "{less} {more}");
            assert_eq!(compare(more, less), Ordering::Greater, "{less} {more}");
        }
    }

    #[test]
    fn spellings_of_a_number_are_one() {
        for spellings in [
            &["1", "1.0", "1e0", "10e-1", "0.1e1", "1.00E+0"][..],
            &["0", "-0", "0.0", "0e7", "-0.000"],
            &["-120", "-1.2e2", "-120.0"],
            &["0.05", "5e-2", "0.0500"],
            &["12.5", "125e-1"],
            &["1e30", "10E29", "1000000000000000000000000000000"],
            &["1e-9", "0.000000001"],
        ] {
            for text in spellings {
                let number = Number::parse(text).unwrap();
                assert_eq!(number, Number::parse(spellings[0]).unwrap(), "{text}");
                assert_eq!(Number::parse(number.as_str()).unwrap(), number);
                assert_eq!(compare(text, spellings[0]), Ordering::Equal, "{text}");
                assert!(serde_json::from_str::<f64>(number.as_str()).is_ok());
            }
        }
        for text in ["", "-", ".5", "1e", "1e+", "0x1", "true", "1 ", "--1", "1e5.5", "NaN"] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }
}
