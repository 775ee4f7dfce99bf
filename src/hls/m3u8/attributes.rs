//! Attribute lists (RFC 8216, 4.2), and the values in tags.

use std::ops::Range;

use smallvec::SmallVec;

use super::super::decimal;

/// The longest duration that is taken, in µs: a day.
const DURATION_MAX_US: i64 = 86_400_000_000;

/// The attributes of a tag: names and values, those without their quotes.
#[derive(Debug)]
pub(super) struct Attributes<'a>(SmallVec<[(&'a str, &'a str); 8]>);

impl<'a> Attributes<'a> {
    /// `None` for what is no attribute list: a name without a value, or a quote that isn't closed.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut list = SmallVec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => {
                    let (value, after) = quoted.split_once('"')?;
                    (value, if after.is_empty() { after } else { after.trim_start().strip_prefix(',')? })
                }
                None => after.split_once(',').unwrap_or((after, "")),
            };
            list.push((name.trim(), value.trim()));
            rest = after.trim_start();
        }
        Some(Self(list))
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    pub(super) fn is_yes(&self, name: &str) -> bool {
        self.value(name) == Some("YES")
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    /// A URI, which is not empty.
    pub(super) fn uri(&self) -> Option<String> {
        self.text("URI").filter(|uri| !uri.is_empty())
    }
}

/// A decimal-floating-point in seconds, as µs, to the nearest.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = i64::try_from(decimal(whole)?).ok()?;
    // Seven digits: the last one rounds.
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(7);
    let tenths = digits.fold(0i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(i64::from(digit.saturating_sub(b'0')))
    });
    let us = whole.checked_mul(1_000_000)?.checked_add(tenths.saturating_add(5) / 10)?;
    (us <= DURATION_MAX_US).then_some(us)
}

/// `n[@o]`: a length, and where it begins, if that is said (4.3.2.2).
pub(super) fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('@') {
        None => Some((decimal(text)?, None)),
        Some((len, offset)) => Some((decimal(len)?, Some(decimal(offset)?))),
    }
}

/// The bytes of a length from an offset on.
pub(super) fn range(len: u64, offset: u64) -> Option<Range<u64>> {
    Some(offset..offset.checked_add(len).filter(|_| len > 0)?)
}

/// A hexadecimal-sequence of 128 bits; leading zeros may be missing.
pub(super) fn initialization_vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// `1280x720`.
pub(super) fn resolution(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_quotes_and_commas_in_them() {
        let list =
            Attributes::parse("BANDWIDTH=1280000,CODECS=\"avc1.64001f,mp4a.40.2\", AUDIO=\"a=b\"").unwrap();
        assert_eq!(list.value("CODECS"), Some("avc1.64001f,mp4a.40.2"));
        assert_eq!((list.value("BANDWIDTH"), list.value("AUDIO")), (Some("1280000"), Some("a=b")));
        assert_eq!(list.value("NAME"), None);
        assert!(Attributes::parse("").unwrap().value("").is_none());
        for bad in ["URI", "URI=\"a", "A=1,B", "A=\"1\"x,B=2"] {
            assert!(Attributes::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        for (text, us) in [
            ("9", Some(9_000_000)),
            ("9.009", Some(9_009_000)),
            ("0.0000004", Some(0)),
            ("0.0000005", Some(1)),
            ("1.99999999", Some(2_000_000)),
            ("3.", Some(3_000_000)),
            ("86400", Some(86_400_000_000)),
            ("86400.000001", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.-5", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text), us, "{text}");
        }
    }

    #[test]
    fn ranges_vectors_and_resolutions() {
        assert_eq!(byte_range("75232@0"), Some((75232, Some(0))));
        assert_eq!(byte_range("5"), Some((5, None)));
        assert_eq!(byte_range("5@"), None);
        assert_eq!(range(5, 10), Some(10..15));
        assert_eq!(range(0, 10), None);
        assert_eq!(range(u64::MAX, 1), None);
        assert_eq!(initialization_vector("0x0a0B"), Some(0x0a0b_u128.to_be_bytes()));
        for bad in ["", "0x", "0x+1", "12", "0x100000000000000000000000000000000"] {
            assert_eq!(initialization_vector(bad), None, "{bad}");
        }
        assert_eq!(resolution("1280x720"), Some((1280, 720)));
        assert_eq!(resolution("1280"), None);
    }
}
