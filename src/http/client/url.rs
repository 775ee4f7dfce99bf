//! URLs of HTTP, absolute and relative (RFC 3986).

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::super::request::split_authority;
use crate::wire::limits::HTTP_URL_BYTES;

/// What can't stand in a URL and is written all the same (RFC 3986, 2).
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Where something is on a server.
///
/// `Display` leaves user and password out: it is what may stand in a log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    tls: bool,
    user_info: Option<(String, String)>,
    host: String,
    port: u16,
    /// Path and query; begins with `/`, and has nothing in it that can't stand in a request line.
    target: String,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// The scheme is missing, or neither `http` nor `https`.
    Scheme,
    /// The host is missing or malformed.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// User or password are not percent-encoded UTF-8.
    UserInfo,
    /// It holds a control character.
    Control,
    /// It has more than [`HTTP_URL_BYTES`].
    TooLong,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("the URL's scheme is not http:// or https://"),
            Self::Host => {
                f.write_str("the URL's host is malformed, name[:port] or [ipv6][:port] was expected")
            }
            Self::Port => f.write_str("the URL's port is no number from 1 to 65535"),
            Self::UserInfo => f.write_str("the URL's user or password is not percent-encoded UTF-8"),
            Self::Control => f.write_str("the URL holds a control character"),
            Self::TooLong => write!(f, "the URL has more than {HTTP_URL_BYTES} bytes"),
        }
    }
}

impl std::error::Error for UrlError {}

impl Url {
    /// Takes an absolute URL apart: `http[s]://[user[:password]@]host[:port][/path][?query]`. Spaces and what
    /// isn't ASCII are percent-encoded, dot segments resolved; a fragment is left out.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let url = checked(url)?;
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = scheme.eq_ignore_ascii_case("https");
        if !tls && !scheme.eq_ignore_ascii_case("http") {
            return Err(UrlError::Scheme);
        }
        let (authority, target) = split_before(rest, &['/', '?']);
        let (user_info, host_port) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user_info, host_port)) => {
                let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
                (Some((decoded(user)?, decoded(password)?)), host_port)
            }
        };
        let Some((host, port)) = split_authority(host_port) else {
            let before_port = host_port.rsplit_once(':').and_then(|(host, _)| split_authority(host));
            let is_port = before_port.is_some_and(|(host, port)| !host.is_empty() && port.is_none());
            return Err(if is_port { UrlError::Port } else { UrlError::Host });
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        if port == Some(0) {
            return Err(UrlError::Port);
        }
        let port = port.unwrap_or(default_port(tls));
        let (path, query) = split_before(target, &['?']);
        Ok(Self { tls, user_info, host: host.to_owned(), port, target: target_of(path, query)? })
    }

    /// What a reference means that stands in what this URL leads to (RFC 3986, 5.2): `a.ts`, `../a.ts?b`,
    /// `/a.ts`, `//host/a.ts`, or another absolute URL.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let reference = checked(reference)?;
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            return Self::parse(&format!("{}:{reference}", self.scheme()));
        }
        let (base_path, base_query) = split_before(&self.target, &['?']);
        let target = match split_before(reference, &['?']) {
            ("", "") => target_of(base_path, base_query)?,
            ("", query) => target_of(base_path, query)?,
            (path, query) if path.starts_with('/') => target_of(path, query)?,
            (path, query) => {
                let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
                target_of(&format!("{folder}/{path}"), query)?
            }
        };
        Ok(Self { target, ..self.clone() })
    }

    /// Whether it is to be asked for by TLS: `https`.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// A name or an address; an IPv6 address stands without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or 443 if the URL has none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password, decoded, if there are any.
    pub fn user_info(&self) -> Option<(&str, &str)> {
        self.user_info.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// Path and query as they stand in a request; begins with `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        split_before(&self.target, &['?']).0
    }

    /// Whether both are asked for over connections to the same place, so that one may serve for both.
    pub fn has_same_origin(&self, other: &Self) -> bool {
        self.tls == other.tls && self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// Host and port as `Host` has them: the port where it isn't the scheme's own.
    pub fn authority(&self) -> String {
        let port =
            if self.port == default_port(self.tls) { String::new() } else { format!(":{}", self.port) };
        // Only an address has colons.
        if self.host.contains(':') {
            format!("[{}]{port}", self.host)
        } else {
            format!("{}{port}", self.host)
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.target)
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Without what surrounds it and without its fragment, if it has nothing that no URL has.
fn checked(url: &str) -> Result<&str, UrlError> {
    let url = split_before(url.trim(), &['#']).0;
    if url.len() > HTTP_URL_BYTES {
        return Err(UrlError::TooLong);
    }
    if url.contains(char::is_control) { Err(UrlError::Control) } else { Ok(url) }
}

/// Whether it begins with a scheme (RFC 3986, 3.1): then it is no relative reference.
fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Splits before the first of these characters.
fn split_before<'a>(text: &'a str, at: &[char]) -> (&'a str, &'a str) {
    text.split_at_checked(text.find(at).unwrap_or(text.len())).unwrap_or((text, ""))
}

fn decoded(part: &str) -> Result<String, UrlError> {
    String::from_utf8(percent_decode_str(part).collect()).map_err(|_| UrlError::UserInfo)
}

/// A request's target, without dot segments (RFC 3986, 5.2.4). The query has its `?`.
fn target_of(path: &str, query: &str) -> Result<String, UrlError> {
    let mut segments: Vec<&str> = Vec::new();
    let all = path.strip_prefix('/').unwrap_or(path);
    let mut folder = true;
    for segment in all.split('/') {
        // One that is left out at the end leaves the folder that it stands for.
        folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut target = String::with_capacity(path.len().saturating_add(query.len()).saturating_add(2));
    for segment in &segments {
        target.push('/');
        target.extend(utf8_percent_encode(segment, ENCODED));
    }
    if folder {
        target.push('/');
    }
    target.extend(utf8_percent_encode(query, ENCODED));
    // Encoding makes three bytes of one.
    if target.len() > HTTP_URL_BYTES { Err(UrlError::TooLong) } else { Ok(target) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(url: &str) -> Url {
        Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = parse(" HTTPS://us%40er:p%3aw@a.b:8443/live/x.m3u8?a=b/../c#frag ");
        assert!(url.is_tls());
        assert_eq!((url.host(), url.port()), ("a.b", 8443));
        assert_eq!(url.user_info(), Some(("us@er", "p:w")));
        assert_eq!((url.target(), url.path()), ("/live/x.m3u8?a=b/../c", "/live/x.m3u8"));
        assert_eq!(url.to_string(), "https://a.b:8443/live/x.m3u8?a=b/../c");
        let url = parse("http://[fe80::1]");
        assert_eq!((url.is_tls(), url.host(), url.port(), url.target()), (false, "fe80::1", 80, "/"));
        assert_eq!(url.authority(), "[fe80::1]");
        assert_eq!(parse("http://[::1]:8080?x").to_string(), "http://[::1]:8080/?x");
        assert_eq!(parse("https://a:443/").authority(), "a");
        assert_eq!(parse("http://u@a/").user_info(), Some(("u", "")));
        assert_eq!(parse("http://a/ä b|c?d e").target(), "/%C3%A4%20b%7Cc?d%20e");
        assert_eq!(parse("http://a/%41/%2e%2e/b").target(), "/%41/%2e%2e/b");
    }

    #[test]
    fn what_is_no_url() {
        let long = format!("http://a/{}", "x".repeat(HTTP_URL_BYTES));
        let encoded = format!("http://a/{}", " x".repeat(HTTP_URL_BYTES / 3));
        for (url, error) in [
            ("", UrlError::Scheme),
            ("a/b", UrlError::Scheme),
            ("rtmp://a/b", UrlError::Scheme),
            ("http:/a", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///a", UrlError::Host),
            ("http://a b/", UrlError::Host),
            ("http://a:0/", UrlError::Port),
            ("http://a:65536/", UrlError::Port),
            ("http://a:b/", UrlError::Port),
            ("http://[::1]:b/", UrlError::Port),
            ("http://::1/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://%ff@a/", UrlError::UserInfo),
            ("http://a/\r\nX: y", UrlError::Control),
            ("http://a/\u{85}b", UrlError::Control),
            (&long, UrlError::TooLong),
            (&encoded, UrlError::TooLong),
        ] {
            assert_eq!(Url::parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn references_are_resolved_as_the_specification_has_it() {
        // RFC 3986, 5.4.1 and 5.4.2, without fragments and other schemes.
        let base = parse("http://a/b/c/d;p?q");
        for (reference, url) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://h:1/x", "https://h:1/x"),
            ("a b.ts", "http://a/b/c/a%20b.ts"),
            ("/12:30.ts", "http://a/12:30.ts"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), url, "{reference}");
        }
        assert_eq!(base.join("g:h"), Err(UrlError::Scheme));
        assert_eq!(base.join("data:,x"), Err(UrlError::Scheme));
        assert_eq!(parse("http://a").join("b").unwrap().to_string(), "http://a/b");
    }

    #[test]
    fn who_asks_stays_the_same_on_the_same_server() {
        let base = parse("https://u:p@a/b");
        assert_eq!(base.join("c").unwrap().user_info(), Some(("u", "p")));
        assert_eq!(base.join("//b/c").unwrap().user_info(), None);
        assert!(base.join("//b/c").unwrap().is_tls());
        assert!(base.has_same_origin(&parse("https://A:443/x")));
        assert!(!base.has_same_origin(&parse("http://a:443/x")));
        assert!(!base.has_same_origin(&parse("https://a:444/x")));
    }

    proptest! {
        #[test]
        fn any_reference_gives_a_target_that_stands_in_a_line(base in "\\PC{0,30}", reference in any::<String>()) {
            let base = Url::parse(&format!("http://h/{base}")).unwrap();
            if let Ok(url) = base.join(&reference) {
                prop_assert!(url.target().starts_with('/'));
                prop_assert!(url.target().bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(&Url::parse(&url.to_string()).unwrap().target, &url.target);
            }
        }
    }
}
