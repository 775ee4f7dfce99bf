//! Validators: whether what a client has is still what there is (RFC 9110, 8.8 and 13).

use std::time::{Duration, UNIX_EPOCH};

use super::range::{self, Range};
use super::{Headers, Method, Request};

/// The first second that has five digits in its year, which a date has no room for.
const YEAR_10000: u64 = 253_402_300_800;

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validators {
    etag: String,
    modified: u64,
    len: u64,
}

impl Validators {
    /// Of a file changed last at `modified` (seconds since 1970) that has `len` bytes. The tag is weak:
    /// within one second a file may change and keep its length.
    pub fn new(modified: u64, len: u64) -> Self {
        Self { etag: format!("W/\"{modified:x}-{len:x}\""), modified, len }
    }

    /// The entity tag, `W/` and quotes included.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// Adds `ETag` and `Last-Modified`.
    pub fn write(&self, headers: &mut Headers) {
        headers.push("ETag", &self.etag);
        if let Some(modified) = date(self.modified) {
            headers.push("Last-Modified", &modified);
        }
    }

    /// Whether the client has this already, and is to get a 304: `If-None-Match` or, where there is none,
    /// `If-Modified-Since` (RFC 9110, 13.2.2).
    pub fn not_modified(&self, request: &Request) -> bool {
        if !matches!(request.method, Method::Get | Method::Head) {
            return false;
        }
        let mut tags = request.headers.all("If-None-Match").peekable();
        if tags.peek().is_some() {
            return tags.any(|list| self.is_in(list));
        }
        let since = request.header("If-Modified-Since").and_then(seconds);
        since.is_some_and(|since| self.modified <= since)
    }

    /// What of the file is asked for: `Range`, unless `If-Range` names another state of it. Ranges are
    /// defined for GET alone.
    pub fn range(&self, request: &Request) -> Range {
        match request.header("Range") {
            Some(field) if request.method == Method::Get && self.is_still(request) => {
                range::parse(field, self.len)
            }
            _ => Range::Whole,
        }
    }

    /// `If-Range` is absent or names this state by its date. A tag never does: only strong ones count
    /// (RFC 9110, 13.1.5), and ours are weak.
    fn is_still(&self, request: &Request) -> bool {
        request.header("If-Range").is_none_or(|state| seconds(state) == Some(self.modified))
    }

    /// Whether the tag is in a list of tags, by weak comparison (RFC 9110, 8.8.3.2).
    fn is_in(&self, list: &str) -> bool {
        // Ours holds no comma: where a tag with one is split, its parts are not ours.
        list.trim() == "*" || list.split(',').any(|tag| opaque(tag.trim()) == opaque(&self.etag))
    }
}

/// A tag without the mark of weakness.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// A date as HTTP writes it (RFC 9110, 5.6.7), of seconds since 1970; `None` from the year 10000 on.
pub fn date(seconds: u64) -> Option<String> {
    let point = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    point.filter(|_| seconds < YEAR_10000).map(httpdate::fmt_http_date)
}

/// Seconds since 1970 of a date in any of HTTP's three forms.
fn seconds(date: &str) -> Option<u64> {
    let point = httpdate::parse_http_date(date).ok()?;
    point.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 15 Nov 1994 12:45:26, the standard's own example.
    const MODIFIED: u64 = 784_903_526;
    const DATE: &str = "Tue, 15 Nov 1994 12:45:26 GMT";

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let mut request = Request { method, ..Request::default() };
        for (name, value) in fields {
            request.headers.push(name, value);
        }
        request
    }

    fn get(fields: &[(&str, &str)]) -> Request {
        request(Method::Get, fields)
    }

    #[test]
    fn dates_are_written_and_read() {
        assert_eq!(date(MODIFIED).as_deref(), Some(DATE));
        assert_eq!(date(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(date(YEAR_10000 - 1).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(date(YEAR_10000), None);
        assert_eq!(date(u64::MAX), None);
        for text in [DATE, "Tuesday, 15-Nov-94 12:45:26 GMT", "Tue Nov 15 12:45:26 1994"] {
            assert_eq!(seconds(text), Some(MODIFIED), "{text}");
        }
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn a_client_that_has_it_gets_304() {
        let v = Validators::new(MODIFIED, 1000);
        assert_eq!(v.etag(), "W/\"2ec8ad66-3e8\"");
        let strong = v.etag().trim_start_matches("W/");
        for (name, value, fresh) in [
            ("If-None-Match", v.etag(), true),
            ("If-None-Match", strong, true),
            ("If-None-Match", "*", true),
            ("If-None-Match", "\"a\", W/\"2ec8ad66-3e8\"", true),
            ("If-None-Match", "\"a\"", false),
            ("If-None-Match", "2ec8ad66-3e8", false),
            ("If-None-Match", "", false),
            ("If-Modified-Since", DATE, true),
            ("If-Modified-Since", "Tue, 15 Nov 1994 12:45:27 GMT", true),
            ("If-Modified-Since", "Tue, 15 Nov 1994 12:45:25 GMT", false),
            ("If-Modified-Since", "x", false),
        ] {
            assert_eq!(v.not_modified(&get(&[(name, value)])), fresh, "{name}: {value}");
            assert_eq!(v.not_modified(&request(Method::Head, &[(name, value)])), fresh);
            assert!(!v.not_modified(&request(Method::Post, &[(name, value)])));
        }
        assert!(!v.not_modified(&get(&[])));
        let both = get(&[("If-None-Match", "\"a\""), ("If-Modified-Since", DATE)]);
        assert!(!v.not_modified(&both), "the tag stands above the date");
        assert!(v.not_modified(&get(&[("If-None-Match", "\"a\""), ("If-None-Match", strong)])));
    }

    #[test]
    fn ranges_hold_for_the_state_that_they_name() {
        let v = Validators::new(MODIFIED, 1000);
        let part = Range::Part { offset: 1, len: 2 };
        let range = ("Range", "bytes=1-2");
        assert_eq!(v.range(&get(&[range])), part);
        assert_eq!(v.range(&get(&[range, ("If-Range", DATE)])), part);
        assert_eq!(v.range(&get(&[range, ("If-Range", "Tue, 15 Nov 1994 12:45:27 GMT")])), Range::Whole);
        assert_eq!(v.range(&get(&[range, ("If-Range", v.etag())])), Range::Whole);
        assert_eq!(v.range(&get(&[range, ("If-Range", "\"2ec8ad66-3e8\"")])), Range::Whole);
        assert_eq!(v.range(&get(&[])), Range::Whole);
        assert_eq!(v.range(&request(Method::Head, &[range])), Range::Whole);
        assert_eq!(v.range(&get(&[("Range", "bytes=1000-")])), Range::Unsatisfiable);
    }

    #[test]
    fn both_are_told() {
        let mut headers = Headers::new();
        Validators::new(MODIFIED, 1000).write(&mut headers);
        let expected = format!("ETag: W/\"2ec8ad66-3e8\"\r\nLast-Modified: {DATE}\r\n");
        assert_eq!(headers.as_str(), expected);
    }
}
