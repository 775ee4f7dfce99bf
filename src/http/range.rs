//! Byte ranges of something whose length is known (RFC 9110, 14).

/// What of a representation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All of it: 200. No range is asked for, or several, or in another unit, or not as the standard says.
    Whole,
    /// Some of it: 206.
    Part {
        /// Bytes before it.
        offset: u64,
        /// Its bytes, at least one; `offset + len` is never beyond the whole.
        len: u64,
    },
    /// Nothing that there is: 416.
    Unsatisfiable,
}

/// Reads a `Range` field for something of `total` bytes.
pub fn parse(field: &str, total: u64) -> Range {
    let Some((unit, set)) = field.split_once('=') else { return Range::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Range::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Range::Whole };
    match (first, number(first), number(last)) {
        ("", _, Some(suffix)) => part(total.saturating_sub(suffix), total.min(suffix)),
        (_, Some(first), None) if last.is_empty() => part(first, total.saturating_sub(first)),
        (_, Some(first), Some(last)) if first <= last => {
            part(first, last.saturating_add(1).min(total).saturating_sub(first))
        }
        _ => Range::Whole,
    }
}

/// The `Content-Range` field of a 206 (RFC 9110, 14.4).
pub fn content_range(offset: u64, len: u64, total: u64) -> String {
    format!("bytes {offset}-{}/{total}", offset.saturating_add(len).saturating_sub(1))
}

/// The `Content-Range` field of a 416.
pub fn content_range_unsatisfiable(total: u64) -> String {
    format!("bytes */{total}")
}

fn part(offset: u64, len: u64) -> Range {
    if len == 0 { Range::Unsatisfiable } else { Range::Part { offset, len } }
}

/// Digits and nothing else. What no 64 bits hold is beyond any end.
fn number(s: &str) -> Option<u64> {
    let is_number = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| s.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |offset, len| Range::Part { offset, len };
        for (field, range) in [
            ("bytes=0-499", part(0, 500)),
            ("bytes=500-999", part(500, 500)),
            ("bytes=0-0", part(0, 1)),
            ("bytes=999-999", part(999, 1)),
            ("bytes=0-", part(0, 1000)),
            ("bytes=9-99999", part(9, 991)),
            ("bytes=-1", part(999, 1)),
            ("bytes=-1000", part(0, 1000)),
            ("bytes=-5000", part(0, 1000)),
            ("BYTES = 1-2", part(1, 2)),
            ("bytes=0-99999999999999999999999", part(0, 1000)),
            ("bytes=1000-", Range::Unsatisfiable),
            ("bytes=1000-2000", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=0-1,5-6", Range::Whole),
            ("bytes=5-4", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("bytes=--1", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes", Range::Whole),
            ("", Range::Whole),
        ] {
            assert_eq!(parse(field, 1000), range, "{field}");
        }
        assert_eq!(parse("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse("bytes=-1", 0), Range::Unsatisfiable);
    }

    #[test]
    fn what_is_sent_is_named() {
        assert_eq!(content_range(0, 500, 1000), "bytes 0-499/1000");
        assert_eq!(content_range(999, 1, 1000), "bytes 999-999/1000");
        assert_eq!(content_range_unsatisfiable(1000), "bytes */1000");
    }

    proptest! {
        #[test]
        fn a_part_lies_within(first in any::<Option<u64>>(), last in any::<Option<u64>>(), total in any::<u64>()) {
            let text = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
            if let Range::Part { offset, len } = parse(&format!("bytes={}-{}", text(first), text(last)), total) {
                prop_assert!(len > 0 && offset.checked_add(len).is_some_and(|end| end <= total));
                if let Some(first) = first {
                    prop_assert_eq!(offset, first);
                }
            }
        }

        #[test]
        fn anything_may_be_asked(field in any::<String>(), total in any::<u64>()) {
            parse(&field, total);
        }
    }
}
