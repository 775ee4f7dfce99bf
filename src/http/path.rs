//! Paths of requests, and which of them may become file names.

use percent_encoding::percent_decode_str;

use crate::wire::limits::NAME_BYTES;

/// The path that a request means: percent-decoded, without empty, `.` or `..` segments, beginning with `/`.
/// A `/` at the end stays. `None` if it doesn't begin with `/`, leads above the root, is not
/// percent-encoded UTF-8, or holds a control character.
///
/// Segments are looked at after decoding, so `%2e%2e%2f` is what it stands for.
pub fn normalise(raw: &str) -> Option<String> {
    if !raw.starts_with('/') || !is_percent_encoded(raw) {
        return None;
    }
    let decoded = String::from_utf8(percent_decode_str(raw).collect()).ok()?;
    if decoded.bytes().any(|b| b.is_ascii_control()) {
        return None;
    }
    let mut path = String::with_capacity(decoded.len());
    let mut is_folder = false;
    for segment in decoded.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => path.truncate(path.rfind('/')?),
            _ => {
                path.push('/');
                path.push_str(segment);
            }
        }
    }
    if is_folder {
        path.push('/');
    }
    Some(path)
}

/// The name, relative to a folder, of the file that a decoded path (as of [`normalise`]) means; with a `/`
/// at its end, or empty, it names a folder. `None` for what must not become a file name: hidden, parent and
/// empty segments, also such as would be after decoding twice, backslashes, colons, control characters, and
/// segments of more than [`NAME_BYTES`].
///
/// Links in the folder are for the caller to look at.
pub fn beneath(path: &str) -> Option<&str> {
    let relative = path.strip_prefix('/')?;
    let segments = relative.strip_suffix('/').unwrap_or(relative);
    let is_safe = segments.is_empty() && !relative.starts_with('/')
        || !segments.is_empty() && segments.split('/').all(is_safe_segment);
    is_safe.then_some(relative)
}

fn is_safe_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment.len() <= NAME_BYTES
        && !segment.starts_with('.')
        && !segment.contains(|c: char| c.is_control() || matches!(c, '\\' | ':'))
        && !segment.as_bytes().windows(3).any(is_encoded_trick)
}

/// `%2e`, `%2f`, `%5c` or `%00`: for whoever decodes a second time.
fn is_encoded_trick(window: &[u8]) -> bool {
    [b"%2e", b"%2f", b"%5c", b"%00"].iter().any(|trick| window.eq_ignore_ascii_case(*trick))
}

/// Whether each `%` stands before two hexadecimal digits.
fn is_percent_encoded(s: &str) -> bool {
    let hex = |b: Option<&u8>| b.is_some_and(u8::is_ascii_hexdigit);
    s.split('%').skip(1).all(|after| hex(after.as_bytes().first()) && hex(after.as_bytes().get(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_decoded_and_normalised() {
        for (raw, path) in [
            ("/", "/"),
            ("/live/a.flv", "/live/a.flv"),
            ("//live///a//", "/live/a/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2f%2E.%2fb", "/b"),
            ("/a%20b/%E4%BD%A0", "/a b/你"),
            ("/a/...", "/a/..."),
            ("/%252e%252e/a", "/%2e%2e/a"),
            ("/a\\..\\b", "/a\\..\\b"),
        ] {
            assert_eq!(normalise(raw).as_deref(), Some(path), "{raw}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for raw in [
            "",
            "a",
            "*",
            "/..",
            "/a/../../b",
            "/%2e%2e/etc/passwd",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/%00",
            "/a%0d%0ab",
            "/a%7f",
            "/%ff",
        ] {
            assert_eq!(normalise(raw), None, "{raw}");
        }
    }

    #[test]
    fn only_plain_names_become_files() {
        for (path, name) in [
            ("/", Some("")),
            ("/a.html", Some("a.html")),
            ("/live/a b.ts", Some("live/a b.ts")),
            ("/live/", Some("live/")),
            ("/a%b", Some("a%b")),
            ("/a..b", Some("a..b")),
            ("", None),
            ("a", None),
            ("//", None),
            ("//etc", None),
            ("/a//b", None),
            ("/a//", None),
            ("/..", None),
            ("/a/../b", None),
            ("/./a", None),
            ("/.htpasswd", None),
            ("/a/.git/config", None),
            ("/a\\..\\b", None),
            ("/c:/x", None),
            ("/a\0", None),
            ("/%2e%2E/a", None),
            ("/a%2Fb", None),
            ("/a%5c", None),
            ("/a%00", None),
        ] {
            assert_eq!(beneath(path), name, "{path:?}");
        }
        assert!(beneath(&format!("/{}", "a".repeat(NAME_BYTES))).is_some());
        assert!(beneath(&format!("/{}", "a".repeat(NAME_BYTES + 1))).is_none());
    }

    proptest! {
        /// The operating system's own notion of a path is the judge.
        #[test]
        fn no_path_leads_out(raw in "/([a.%/\\\\]|%2[eEfF]|%5c|%25|\\.\\.){0,12}") {
            use std::path::Component;
            if let Some(path) = normalise(&raw) {
                prop_assert!(path.starts_with('/') && !path.contains("//"));
                prop_assert!(path.split('/').all(|s| s != "." && s != ".."));
                if let Some(name) = beneath(&path) {
                    let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
                    prop_assert!(std::path::Path::new(name).components().all(normal));
                }
            }
        }

        #[test]
        fn anything_may_be_asked(raw in any::<String>()) {
            if let Some(path) = normalise(&format!("/{raw}")) {
                // What is normalised stays so, unless it would be decoded again.
                if !path.contains('%') {
                    prop_assert_eq!(normalise(&path), Some(path.clone()));
                }
                beneath(&path);
            }
            beneath(&raw);
        }
    }
}
