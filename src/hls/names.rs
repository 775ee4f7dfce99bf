//! Names of files, and the URIs by which a playlist refers to them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Options;
use crate::template::{self, Calendar, Unsafe, Variables};

/// What stands as it is in a URI's path: the unreserved characters and the slash (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// A file of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) seq: u64,
    pub(super) duration_ms: u64,
    pub(super) timestamp: i64,
    pub(super) when: Calendar,
}

/// The name that `template` gives.
pub(super) fn expand(options: &Options, template: &str, facts: &Facts) -> Result<String, Unsafe> {
    template::expand(
        template.trim_start_matches("./"),
        &Variables {
            vhost: &options.vhost,
            app: &options.app,
            stream: &options.stream,
            seq: facts.seq,
            duration_ms: facts.duration_ms,
            timestamp: facts.timestamp,
            when: facts.when,
        },
    )
}

/// The URI of the file `name` in the playlist that is the file `playlist`: behind the prefix, or relative.
pub(super) fn uri(prefix: &str, playlist: &str, name: &str) -> String {
    let mut uri = String::with_capacity(prefix.len().saturating_add(name.len()).saturating_add(8));
    let rest = if prefix.is_empty() {
        let (up, rest) = relative(playlist, name);
        uri.extend(std::iter::repeat_n("../", up));
        rest
    } else {
        // It stands in a quoted string or on a line of its own.
        uri.extend(prefix.chars().filter(|c| !c.is_control() && *c != '"'));
        if !uri.ends_with('/') {
            uri.push('/');
        }
        name.trim_start_matches('/')
    };
    uri.extend(utf8_percent_encode(rest, ENCODED));
    uri
}

/// How many folders up, and then where, `name` is from the folder that `playlist` is in.
fn relative<'a>(playlist: &str, name: &'a str) -> (usize, &'a str) {
    let (mut from, mut to) = (playlist, name);
    while let (Some((a, from_rest)), Some((b, to_rest))) = (from.split_once('/'), to.split_once('/')) {
        if a != b {
            break;
        }
        (from, to) = (from_rest, to_rest);
    }
    (from.matches('/').count(), to)
}

/// The name with `mark` before its extension: `a/b.m4s` and `.3` give `a/b.3.m4s`.
pub(super) fn marked(name: &str, mark: &str) -> String {
    let (stem, extension) = split(name);
    [stem, mark, extension].concat()
}

/// The number of the part `name` of the segment `segment`, as [`marked`] with a dot and the number names it.
pub(super) fn part_of(segment: &str, name: &str) -> Option<usize> {
    let (stem, extension) = split(segment);
    let number = name.strip_prefix(stem)?.strip_suffix(extension)?.strip_prefix('.')?;
    let canonical = number == "0" || !number.starts_with(['0', '+']);
    number.parse().ok().filter(|_| canonical)
}

/// What is before the extension, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    let file = name.rfind('/').map_or(0, |at| at.saturating_add(1));
    let dot = name.rfind('.').filter(|dot| *dot > file).unwrap_or(name.len());
    name.split_at_checked(dot).unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_relative_to_the_playlist() {
        for (playlist, name, uri_) in [
            ("live/s.m3u8", "live/s-1.ts", "s-1.ts"),
            ("s.m3u8", "live/s-1.ts", "live/s-1.ts"),
            ("a/b/s.m3u8", "a/c/s-1.ts", "../c/s-1.ts"),
            ("a/b/s.m3u8", "x.ts", "../../x.ts"),
            ("live/s.m3u8", "live/s/init.mp4", "s/init.mp4"),
            ("live/s.m3u8", "live/a b:\n\"é#?.ts", "a%20b%3A%0A%22%C3%A9%23%3F.ts"),
        ] {
            assert_eq!(uri("", playlist, name), uri_);
        }
        assert_eq!(uri("http://h", "live/s.m3u8", "live/s-1.ts"), "http://h/live/s-1.ts");
        assert_eq!(uri("http://h/\n", "live/s.m3u8", "s-1.ts"), "http://h/s-1.ts");
    }

    #[test]
    fn parts_are_named_after_their_segment() {
        assert_eq!(marked("a.b/c.m4s", ".0"), "a.b/c.0.m4s");
        assert_eq!(marked("a.b/c", ".0"), "a.b/c.0");
        assert_eq!(marked("a/.c", "-1"), "a/.c-1");
        assert_eq!(part_of("a/c.m4s", "a/c.12.m4s"), Some(12));
        for other in ["a/c.m4s", "a/c.+1.m4s", "a/c.01.m4s", "a/c..m4s", "a/d.1.m4s", "a/c.1.ts", "a/c1.m4s"]
        {
            assert_eq!(part_of("a/c.m4s", other), None, "{other}");
        }
    }
}
