//! RTMP URLs and the stream names in them, by SRS's rules.
//!
//! Where the parameters stand is up to the client: after the app (`live?vhost=a/livestream`), after the
//! stream, or, for players that take no `?`, in the form `live...vhost...a/livestream`. The last `/`
//! outside of them splits the stream from its app.

use std::fmt;
use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use crate::wire::limits::{NAME_BYTES, PARAM_BYTES};

/// The vhost of streams whose URL names no host.
pub const DEFAULT_VHOST: &str = "__defaultVhost__";
/// The app of streams whose URL names none.
pub const DEFAULT_APP: &str = "__defaultApp__";
/// The port of RTMP (RTMP 1.0, 1).
pub const RTMP_PORT: u16 = 1935;
/// The port of RTMP over TLS.
pub const RTMPS_PORT: u16 = 443;

/// The instance that Flash puts after an app; it stands for none.
const DEFINST: &str = "_definst_";
/// What takes the place of `?`, `=` and `&` in the old form.
const DOTS: &str = "...";

/// What is wrong with a URL or with the names in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is missing, or not one of RTMP's.
    Scheme,
    /// There is no host.
    NoHost,
    /// The host's brackets don't match, or something other than a port follows it.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
    /// User or password are not percent-encoded UTF-8.
    UserInfo,
    /// There is no app, or no stream.
    NoStream,
    /// A part is longer than it may be.
    TooLong {
        /// Which part.
        what: &'static str,
        /// How long it is, in bytes.
        len: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// A part holds a control character.
    Control {
        /// Which part.
        what: &'static str,
        /// The character's code.
        code: u32,
    },
    /// A segment of a name is `.` or `..`, or a vhost holds a `/`: names become file names.
    Path {
        /// Which part.
        what: &'static str,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => write!(f, "the URL's scheme is not rtmp:// or rtmps://"),
            Self::NoHost => write!(f, "the URL has no host, rtmp://host[:port]/app/stream was expected"),
            Self::Host => write!(f, "the URL's host is malformed, name[:port] or [ipv6][:port] was expected"),
            Self::Port => write!(f, "the URL's port is not a number from 1 to 65535"),
            Self::UserInfo => write!(f, "the URL's user or password is not percent-encoded UTF-8"),
            Self::NoStream => write!(f, "there is no stream name, app/stream was expected"),
            Self::TooLong { what, len, limit } => {
                write!(f, "{what} has {len} bytes, at most {limit} are allowed")
            }
            Self::Control { what, code } => write!(f, "{what} holds the control character 0x{code:02x}"),
            Self::Path { what } => write!(f, "{what} holds a path, which is not allowed in a name"),
        }
    }
}

impl std::error::Error for UrlError {}

/// The full name of a stream on a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct StreamName {
    /// The virtual host: from the parameters, else the URL's host without its port.
    pub vhost: String,
    /// The app, of one or several levels (`a/b`).
    pub app: String,
    /// The stream, without its parameters; never holds a `/`.
    pub stream: String,
    /// The parameters as the client wrote them, without the leading `?`: `token=x&k=v`. Those of the app
    /// stand before those of the stream; the old form is turned into this one.
    pub param: String,
}

/// The name of the stream that a client means who connected to `app` at `tc_url` and publishes or plays
/// `stream`. Any of them may be empty; with an empty `stream` (at `connect`) the answer's is empty too.
///
/// The app is `app`'s, or else that of `tc_url`; a `vhost` or `domain` parameter counts in `stream`
/// first, then in `app`, then in `tc_url`. Nothing is percent-decoded.
pub fn resolve(tc_url: &str, app: &str, stream: &str) -> Result<StreamName, UrlError> {
    let (host, tc_path) = split_tc_url(tc_url)?;
    let (tc_app, tc_param) = split_app(tc_path);
    let (own_app, own_param) = split_app(app);
    let app = if own_app.is_empty() { tc_app } else { own_app };
    let (path, stream_param, _) = split_stream(stream, false);

    let vhost = [&stream_param, &own_param, &tc_param]
        .into_iter()
        .find_map(|p| vhost_in(p))
        .unwrap_or(if host.is_empty() { DEFAULT_VHOST } else { host })
        .to_owned();

    // Most clients write the app with its parameters into both: those count once.
    let app_param = if own_param.is_empty() { tc_param } else { own_param };
    let param = match (app_param.is_empty(), stream_param.is_empty()) {
        (_, true) => app_param,
        (true, false) => stream_param,
        (false, false) => format!("{app_param}&{stream_param}"),
    };

    let mut levels: Vec<&str> = segments(app).collect();
    let name = if stream.is_empty() {
        ""
    } else {
        levels.extend(segments(&path));
        if segments(&path).next().is_none() {
            return Err(UrlError::NoStream);
        }
        levels.pop().unwrap_or_default()
    };
    let mut app = levels.join("/");
    if app.is_empty() {
        app.push_str(DEFAULT_APP);
    }

    check_name("the vhost", &vhost)?;
    if vhost.contains('/') {
        return Err(UrlError::Path { what: "the vhost" });
    }
    check_name("the app", &app)?;
    check_name("the stream", name)?;
    check("the parameters", &param, PARAM_BYTES)?;
    Ok(StreamName { vhost, app, stream: name.to_owned(), param })
}

/// A stream's URL, as a client takes it: `rtmp://[user:password@]host[:port]/app/stream[?param]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RtmpUrl {
    /// `rtmp` or `rtmps`, in lower case.
    pub scheme: String,
    /// The user, percent-decoded, if there is one.
    pub user: Option<String>,
    /// The password, percent-decoded, if there is one.
    pub password: Option<String>,
    /// A name or an address; an IPv6 literal stands without its brackets.
    pub host: String,
    /// The port; 1935 if the URL has none, 443 for `rtmps`.
    pub port: u16,
    /// The app, of one or several levels, as it is to be sent: what stands in it in the old form
    /// (`live...vhost...a`) is left there for the server.
    pub app: String,
    /// The stream, without its parameters; never holds a `/`.
    pub stream: String,
    /// The parameters without the leading `?`, whether they stood after the app or the stream; those of the
    /// app first.
    pub param: String,
    /// How many bytes of `param` stood after the app.
    in_app: usize,
}

impl RtmpUrl {
    /// Takes a URL apart.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = default_port(&scheme).ok_or(UrlError::Scheme)?;
        let (authority, rest) = split_at_any(rest, &['/', '?']);
        let (user_info, host, port) = split_authority(authority)?;
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        // The zone of an address is a name of this machine's.
        let is_address = || host.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
        let is_literal =
            host.contains(':') || authority.rsplit('@').next().is_some_and(|h| h.starts_with('['));
        if host.contains(['[', ']', ' ']) || (is_literal && !is_address()) {
            return Err(UrlError::Host);
        }
        let port = match port {
            None | Some("") => default_port,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|p| *p != 0).ok_or(UrlError::Port)?
            }
            Some(_) => return Err(UrlError::Port),
        };
        let (user, password) = match user_info.map(|i| i.split_once(':').unwrap_or((i, ""))) {
            None => (None, None),
            Some((user, "")) => (Some(decode(user)?), None),
            Some((user, password)) => (Some(decode(user)?), Some(decode(password)?)),
        };

        let (path, param, in_app) = split_stream(rest, true);
        let mut levels: Vec<&str> = segments(&path).collect();
        let stream = levels.pop().ok_or(UrlError::NoStream)?;
        if levels.is_empty() {
            return Err(UrlError::NoStream);
        }
        let app = levels.join("/");

        check_name("the host", host)?;
        check_name("the app", &app)?;
        check_name("the stream", stream)?;
        check("the parameters", &param, PARAM_BYTES)?;
        for part in [&user, &password].into_iter().flatten() {
            check("the user or password", part, NAME_BYTES)?;
        }
        Ok(Self {
            scheme,
            user,
            password,
            host: host.to_owned(),
            port,
            app,
            stream: stream.to_owned(),
            param,
            in_app,
        })
    }

    /// The app with the parameters that stood after it, as `connect` takes it.
    pub fn app_with_param(&self) -> String {
        with_param(&self.app, self.param.get(..self.in_app).unwrap_or_default())
    }

    /// The stream with the parameters that stood after it, as `publish` and `play` take it.
    pub fn stream_with_param(&self) -> String {
        with_param(&self.stream, self.stream_param())
    }

    /// The URL of the app, without user and password: `rtmp://host[:port]/app[?param]`. The port is left
    /// out where it is the scheme's own.
    pub fn tc_url(&self) -> String {
        let mut url = format!("{}://", self.scheme);
        match self.host.contains(':') {
            true => {
                url.push('[');
                url.push_str(&self.host);
                url.push(']');
            }
            false => url.push_str(&self.host),
        }
        if default_port(&self.scheme) != Some(self.port) {
            url.push(':');
            url.push_str(&self.port.to_string());
        }
        url.push('/');
        url.push_str(&self.app_with_param());
        url
    }

    /// The URL of the same stream where a server sends its client: `tc_url` is the URL of an app, whole or
    /// relative to this one's (RFC 3986, 5.2.2). User and password are kept if it has none.
    pub fn moved_to(&self, tc_url: &str) -> Result<Self, UrlError> {
        let app = resolve_reference(&self.tc_url(), tc_url);
        let (path, param) = app.split_once('?').unwrap_or((&app, ""));
        let mut to = Self::parse(&format!("{}/{}", path.trim_end_matches('/'), self.stream))?;
        let (param, own) = (trim_param(param.trim_end_matches('/')), self.stream_param());
        let join = if param.is_empty() || own.is_empty() { "" } else { "&" };
        to.param = format!("{param}{join}{own}");
        to.in_app = param.len();
        check("the parameters", &to.param, PARAM_BYTES)?;
        to.keep_user_of(self);
        Ok(to)
    }

    /// Takes over user and password, if this URL has none.
    pub fn keep_user_of(&mut self, other: &Self) {
        if self.user.is_none() {
            (self.user, self.password) = (other.user.clone(), other.password.clone());
        }
    }

    fn stream_param(&self) -> &str {
        self.param.get(self.in_app..).unwrap_or_default().trim_start_matches('&')
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "rtmp" => Some(RTMP_PORT),
        "rtmps" => Some(RTMPS_PORT),
        _ => None,
    }
}

fn with_param(name: &str, param: &str) -> String {
    if param.is_empty() { name.to_owned() } else { format!("{name}?{param}") }
}

/// What `reference` means on a page at `base`. Steps up (`..`) are no part of a name and stay for the parser
/// to refuse.
fn resolve_reference(base: &str, reference: &str) -> String {
    let reference = reference.trim();
    let (scheme, rest) = base.split_once("://").unwrap_or(("rtmp", base));
    let (authority, path) = split_at_any(rest, &['/', '?']);
    if reference.is_empty() {
        base.to_owned()
    } else if reference.contains("://") {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{reference}")
    } else {
        let (path, _) = split_at_any(path, &['?']);
        let folder = match reference.starts_with('?') {
            true => path,
            false => path.rsplit_once('/').map_or("", |(folder, _)| folder),
        };
        let slash = if reference.starts_with('?') { "" } else { "/" };
        format!("{scheme}://{authority}{folder}{slash}{reference}")
    }
}

/// The host and what follows it in a `tcUrl`. Without a scheme it is taken the same.
fn split_tc_url(tc_url: &str) -> Result<(&str, &str), UrlError> {
    let tc_url = tc_url.trim();
    let rest = tc_url.split_once("://").map_or(tc_url, |(_, rest)| rest);
    let (authority, path) = split_at_any(rest, &['/', '?']);
    let (_, host, _) = split_authority(authority)?;
    Ok((host, path))
}

/// User and password, host without brackets, and port.
fn split_authority(authority: &str) -> Result<(Option<&str>, &str, Option<&str>), UrlError> {
    let (user_info, rest) = match authority.rsplit_once('@') {
        Some((user_info, rest)) => (Some(user_info), rest),
        None => (None, authority),
    };
    if let Some(rest) = rest.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        return match after.strip_prefix(':') {
            None if after.is_empty() => Ok((user_info, host, None)),
            None => Err(UrlError::Host),
            port => Ok((user_info, host, port)),
        };
    }
    match rest.split_once(':') {
        // An IPv6 literal without brackets: which colon would be the port's can't be told.
        Some((_, port)) if port.contains(':') => Ok((user_info, rest, None)),
        Some((host, port)) => Ok((user_info, host, Some(port))),
        None => Ok((user_info, rest, None)),
    }
}

/// `s` up to the first of `marks`, and from there.
fn split_at_any<'a>(s: &'a str, marks: &[char]) -> (&'a str, &'a str) {
    s.find(marks).and_then(|at| s.split_at_checked(at)).unwrap_or((s, ""))
}

/// An app and its parameters, in either form, the old one turned into the other.
fn split_app(app: &str) -> (&str, String) {
    let app = app.trim_matches('/');
    let (standard, old) = (app.find('?'), app.find(DOTS));
    match (standard, old) {
        (Some(at), old) if old.is_none_or(|o| at < o) => {
            let (app, param) = app.split_at_checked(at).unwrap_or((app, ""));
            (app, trim_param(param).to_owned())
        }
        (_, Some(at)) => {
            let (app, pairs) = app.split_at_checked(at).unwrap_or((app, ""));
            (app, old_pairs(pairs))
        }
        _ => (app, String::new()),
    }
}

/// `...vhost...a...token...b` as `vhost=a&token=b`. What a `?` opens after it is joined as it is.
fn old_pairs(pairs: &str) -> String {
    let (pairs, more) = pairs.split_once('?').unwrap_or((pairs, ""));
    let mut param = String::new();
    for (i, word) in pairs.split(DOTS).filter(|w| !w.is_empty()).enumerate() {
        match i {
            0 => {}
            i if i % 2 == 1 => param.push('='),
            _ => param.push('&'),
        }
        param.push_str(word);
    }
    let more = trim_param(more);
    if !param.is_empty() && !more.is_empty() {
        param.push('&');
    }
    param.push_str(more);
    param
}

/// A stream's or URL's path, its parameters, and how many bytes of them stood after the app. Some clients split a URL too early, so that the
/// parameters of its app stand before the last `/` (`live?vhost=a/livestream`). A token may hold a `/`
/// of its own; but a vhost can't, and a path of one level is no stream yet.
fn split_stream(s: &str, whole_url: bool) -> (String, String, usize) {
    let Some((path, param)) = s.split_once('?') else { return (s.to_owned(), String::new(), 0) };
    let param = trim_param(param);
    let one_level = whole_url && segments(path).nth(1).is_none();
    let in_vhost = pairs_of(param).any(|(k, v)| is_vhost(k) && v.trim_end_matches('/').contains('/'));
    let (first, own) = param.split_once('?').unwrap_or((param, ""));
    match first.rsplit_once('/') {
        Some((before, name)) if one_level || in_vhost => {
            let join = if before.is_empty() || own.is_empty() { "" } else { "&" };
            (format!("{path}/{name}"), format!("{before}{join}{own}"), before.len())
        }
        _ => (path.to_owned(), param.to_owned(), 0),
    }
}

fn trim_param(param: &str) -> &str {
    param.trim_start_matches(['?', '&']).trim_end_matches('&')
}

/// The keys and values in parameters.
fn pairs_of(param: &str) -> impl Iterator<Item = (&str, &str)> {
    param.split(['&', '?']).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn is_vhost(key: &str) -> bool {
    key == "vhost" || key == "domain"
}

/// The vhost that parameters name. The default one counts as none: web players write it beside a host.
fn vhost_in(param: &str) -> Option<&str> {
    let value = |key| pairs_of(param).find(|(k, v)| *k == key && !v.is_empty()).map(|(_, v)| v);
    value("vhost")
        .or_else(|| value("domain"))
        .map(|v| v.trim_matches('/'))
        .filter(|v| !v.is_empty() && *v != DEFAULT_VHOST)
}

/// The levels of a path that count.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty() && *s != DEFINST)
}

fn check_name(what: &'static str, name: &str) -> Result<(), UrlError> {
    check(what, name, NAME_BYTES)?;
    if name.split('/').any(|s| s == "." || s == "..") {
        return Err(UrlError::Path { what });
    }
    Ok(())
}

fn check(what: &'static str, text: &str, limit: usize) -> Result<(), UrlError> {
    if text.len() > limit {
        return Err(UrlError::TooLong { what, len: text.len(), limit });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(UrlError::Control { what, code: c.into() }),
        None => Ok(()),
    }
}

fn decode(part: &str) -> Result<String, UrlError> {
    String::from_utf8(percent_decode_str(part).collect()).map_err(|_| UrlError::UserInfo)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_resolved_as_srs_does() {
        let d = DEFAULT_VHOST;
        #[rustfmt::skip]
        let table = [
            // tcUrl, app, stream => vhost, app, stream, param
            ("rtmp://a.com/live", "live", "s", "a.com", "live", "s", ""),
            ("rtmp://a.com:1935/live/", "live/", "/s/", "a.com", "live", "s", ""),
            ("rtmp://user:p@ss@a.com:19350/live", "live", "s", "a.com", "live", "s", ""),
            ("rtmp://192.168.1.10/live", "live", "s", "192.168.1.10", "live", "s", ""),
            ("rtmp://localhost/live", "live", "s", "localhost", "live", "s", ""),
            ("rtmp://[::1]:1935/live", "live", "s", "::1", "live", "s", ""),
            ("rtmp://[fe80::2]/live", "live", "s", "fe80::2", "live", "s", ""),
            ("", "live", "s", d, "live", "s", ""),
            ("rtmp:///live", "", "s", d, "live", "s", ""),
            ("rtmp://a.com/x", "", "s", "a.com", "x", "s", ""),
            ("rtmp://a.com", "", "s", "a.com", DEFAULT_APP, "s", ""),
            // The vhost in parameters, wherever they stand.
            ("rtmp://h/live?vhost=a.com", "live?vhost=a.com", "s", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live?vhost=a.com", "live", "s", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live", "live?vhost=a.com", "s", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live", "live", "s?vhost=a.com", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live", "live", "s?token=x&vhost=a.com", "a.com", "live", "s", "token=x&vhost=a.com"),
            ("rtmp://h/live?vhost=b.com", "live?vhost=b.com", "s?vhost=a.com", "a.com", "live", "s",
                "vhost=b.com&vhost=a.com"),
            ("rtmp://h/live", "live?domain=a.com", "s", "a.com", "live", "s", "domain=a.com"),
            ("rtmp://h/live", "live?domain=b.com&vhost=a.com", "s", "a.com", "live", "s",
                "domain=b.com&vhost=a.com"),
            ("rtmp://h/live", "live?vhost=", "s", "h", "live", "s", "vhost="),
            ("rtmp://h/live", "live?vhost=__defaultVhost__", "s", "h", "live", "s", "vhost=__defaultVhost__"),
            ("rtmp://h?vhost=a.com", "live", "s", "a.com", "live", "s", "vhost=a.com"),
            // The old form.
            ("rtmp://h/live...vhost...a.com", "live...vhost...a.com", "s", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live...vhost...a.com/", "live", "s", "a.com", "live", "s", "vhost=a.com"),
            ("rtmp://h/live", "live...vhost...a.com...token...x", "s", "a.com", "live", "s",
                "vhost=a.com&token=x"),
            ("rtmp://h/live", "live...token...x...vhost...a.com", "s", "a.com", "live", "s",
                "token=x&vhost=a.com"),
            ("rtmp://h/live", "live...vhost...a.com?k=v", "s", "a.com", "live", "s", "vhost=a.com&k=v"),
            ("rtmp://h/live", "live?k=a...b", "s", "h", "live", "s", "k=a...b"),
            // Parameters of app and stream.
            ("rtmp://h/live?k=v", "live?k=v", "s?token=x", "h", "live", "s", "k=v&token=x"),
            ("rtmp://h/live", "live", "s?token=a/b==", "h", "live", "s", "token=a/b=="),
            ("rtmp://h/live", "live", "/s?token=a/b==", "h", "live", "s", "token=a/b=="),
            ("rtmp://h/live", "live", "s??token=x&", "h", "live", "s", "token=x"),
            ("rtmp://h/live", "live", "a?vhost=a.com/s", "a.com", "live/a", "s", "vhost=a.com"),
            ("rtmp://h/live", "live", "a?vhost=a.com/s?k=v", "a.com", "live/a", "s", "vhost=a.com&k=v"),
            // Levels.
            ("rtmp://h/a/b", "a/b", "s", "h", "a/b", "s", ""),
            ("rtmp://h/live", "live", "a/b/s", "h", "live/a/b", "s", ""),
            ("rtmp://h/live", "live", "//a//s", "h", "live/a", "s", ""),
            ("rtmp://h/live/_definst_", "live/_definst_", "s", "h", "live", "s", ""),
            ("rtmp://h/live/_definst_?k=v", "live/_definst_?k=v", "s", "h", "live", "s", "k=v"),
            ("rtmp://h/live", "live", "_definst_/s", "h", "live", "s", ""),
            // Names are kept as they are.
            ("rtmp://h/live", "live", "mp4:s.mp4", "h", "live", "mp4:s.mp4", ""),
            ("rtmp://h/live", "live", "a%2fb%20c", "h", "live", "a%2fb%20c", ""),
            ("rtmp://h/live", "live", "\u{6d41}..x", "h", "live", "\u{6d41}..x", ""),
            // At connect.
            ("rtmp://h/a/b?k=v", "a/b?k=v", "", "h", "a/b", "", "k=v"),
        ];
        for (tc_url, app, stream, vhost, to_app, to_stream, param) in table {
            let got = resolve(tc_url, app, stream).unwrap();
            let got = (&*got.vhost, &*got.app, &*got.stream, &*got.param);
            assert_eq!(got, (vhost, to_app, to_stream, param), "{tc_url} {app} {stream}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let long = "x".repeat(NAME_BYTES + 1);
        let long_param = format!("s?{}", "x".repeat(PARAM_BYTES + 1));
        let table = [
            ("rtmp://h/live", "live", "..", UrlError::Path { what: "the stream" }),
            ("rtmp://h/live", "live", "../s", UrlError::Path { what: "the app" }),
            ("rtmp://h/live", "a/../b", "s", UrlError::Path { what: "the app" }),
            ("rtmp://h/live", "live?vhost=a/b", "s", UrlError::Path { what: "the vhost" }),
            ("rtmp://h/live", "live?vhost=..", "s", UrlError::Path { what: "the vhost" }),
            ("rtmp://../live", "live", "s", UrlError::Path { what: "the vhost" }),
            ("rtmp://h/live", "live", "a\0b", UrlError::Control { what: "the stream", code: 0 }),
            ("rtmp://h/live", "live", "s?k=a\nb", UrlError::Control { what: "the parameters", code: 10 }),
            ("rtmp://h/live", "live", "?k=v", UrlError::NoStream),
            ("rtmp://h/live", "live", "/", UrlError::NoStream),
            ("rtmp://[::1/live", "live", "s", UrlError::Host),
            (
                "rtmp://h/live",
                "live",
                &long,
                UrlError::TooLong { what: "the stream", len: NAME_BYTES + 1, limit: NAME_BYTES },
            ),
            (
                "rtmp://h/live",
                "live",
                &long_param,
                UrlError::TooLong { what: "the parameters", len: PARAM_BYTES + 1, limit: PARAM_BYTES },
            ),
        ];
        for (tc_url, app, stream, error) in table {
            assert_eq!(resolve(tc_url, app, stream), Err(error), "{tc_url} {app} {stream}");
        }
    }

    #[test]
    fn whole_urls_are_taken_apart() {
        #[rustfmt::skip]
        let table = [
            // URL => scheme, host, port, app, stream, param
            ("rtmp://a.com/live/s", "rtmp", "a.com", 1935, "live", "s", ""),
            ("RTMP://a.com:19350/live/s", "rtmp", "a.com", 19350, "live", "s", ""),
            ("rtmps://a.com/live/s", "rtmps", "a.com", 443, "live", "s", ""),
            ("rtmp://a.com:/live/s", "rtmp", "a.com", 1935, "live", "s", ""),
            ("rtmp://[::1]:1936/live/s", "rtmp", "::1", 1936, "live", "s", ""),
            ("rtmp://[::1]/live/s", "rtmp", "::1", 1935, "live", "s", ""),
            ("rtmp://h/a/b/s/", "rtmp", "h", 1935, "a/b", "s", ""),
            ("rtmp://h/live/s?token=x&k=v", "rtmp", "h", 1935, "live", "s", "token=x&k=v"),
            ("rtmp://h/live/s?token=a/b", "rtmp", "h", 1935, "live", "s", "token=a/b"),
            ("rtmp://h/live?vhost=a.com/s", "rtmp", "h", 1935, "live", "s", "vhost=a.com"),
            ("rtmp://h/a/b?vhost=a.com/s", "rtmp", "h", 1935, "a/b", "s", "vhost=a.com"),
            ("rtmp://h/live?key=x/s?k=v", "rtmp", "h", 1935, "live", "s", "key=x&k=v"),
            ("rtmp://h/live?vhost=a.com/s?token=x/y", "rtmp", "h", 1935, "live", "s", "vhost=a.com&token=x/y"),
            ("rtmp://h/live...vhost...a.com/s", "rtmp", "h", 1935, "live...vhost...a.com", "s", ""),
        ];
        for (url, scheme, host, port, app, stream, param) in table {
            let got = RtmpUrl::parse(url).unwrap();
            let got = (&*got.scheme, &*got.host, got.port, &*got.app, &*got.stream, &*got.param);
            assert_eq!(got, (scheme, host, port, app, stream, param), "{url}");
        }
    }

    #[test]
    fn users_and_passwords_are_decoded() {
        let of = |url| RtmpUrl::parse(url).map(|u| (u.user, u.password, u.host));
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(of("rtmp://u:p%40%3a@h/a/s"), Ok((some("u"), some("p@:"), "h".into())));
        assert_eq!(of("rtmp://u@[::1]:1/a/s"), Ok((some("u"), None, "::1".into())));
        assert_eq!(of("rtmp://h/a/s@x"), Ok((None, None, "h".into())));
        assert_eq!(of("rtmp://%ff:p@h/a/s"), Err(UrlError::UserInfo));
    }

    #[test]
    fn parameters_go_where_they_stood() {
        let table = [
            // URL => tcUrl, app, stream
            ("rtmp://a.com/live/s", "rtmp://a.com/live", "live", "s"),
            ("RTMP://u:p@a.com:1935/live/s", "rtmp://a.com/live", "live", "s"),
            ("rtmp://a.com:19350/a/b/s?token=x/y", "rtmp://a.com:19350/a/b", "a/b", "s?token=x/y"),
            ("rtmps://[::1]:1935/live/s?k=v", "rtmps://[::1]:1935/live", "live", "s?k=v"),
            ("rtmp://h/live?vhost=a.com/s", "rtmp://h/live?vhost=a.com", "live?vhost=a.com", "s"),
            ("rtmp://h/live?key=x/s?k=v", "rtmp://h/live?key=x", "live?key=x", "s?k=v"),
            ("rtmp://h/live...vhost...a/s", "rtmp://h/live...vhost...a", "live...vhost...a", "s"),
        ];
        for (url, tc_url, app, stream) in table {
            let url = RtmpUrl::parse(url).unwrap();
            let got = (url.tc_url(), url.app_with_param(), url.stream_with_param());
            assert_eq!((&*got.0, &*got.1, &*got.2), (tc_url, app, stream), "{url:?}");
        }
    }

    #[test]
    fn a_server_sends_its_client_elsewhere() {
        let table = [
            // The app's new URL, by the examples of RFC 3986 and Enhanced RTMP v2 => the stream's
            ("rtmp://b.com/app", "rtmp://b.com/app/s?k=v"),
            ("rtmp://b.com:99/app/", "rtmp://b.com:99/app/s?k=v"),
            ("rtmps://b.com/a/b?vhost=c", "rtmps://b.com/a/b?vhost=c/s?k=v"),
            ("//192.0.2.1/app", "rtmp://192.0.2.1/app/s?k=v"),
            ("/app", "rtmp://h:19/app/s?k=v"),
            ("app", "rtmp://h:19/a/app/s?k=v"),
            ("?vhost=y", "rtmp://h:19/a/b?vhost=y/s?k=v"),
            ("", "rtmp://h:19/a/b?vhost=q/s?k=v"),
        ];
        for (to, expected) in table {
            let from = RtmpUrl::parse("rtmp://h:19/a/b?vhost=q/s?k=v").unwrap();
            let moved = from.moved_to(to).unwrap();
            let expected = RtmpUrl::parse(expected).unwrap();
            assert_eq!(moved, expected, "{to}");
            assert_eq!(moved.stream_with_param(), "s?k=v");
        }
        let from = RtmpUrl::parse("rtmp://u:p@h/a/s?token=x/y").unwrap();
        let moved = from.moved_to("rtmp://b.com/app?vhost=c").unwrap();
        assert_eq!((moved.user.as_deref(), moved.password.as_deref()), (Some("u"), Some("p")));
        assert_eq!((&*moved.app_with_param(), &*moved.stream_with_param()), ("app?vhost=c", "s?token=x/y"));
        let other = from.moved_to("rtmp://v@b.com/app").unwrap();
        assert_eq!((other.user.as_deref(), other.password), (Some("v"), None));
        // Which a URL as one text couldn't say.
        let deep = from.moved_to("rtmp://b.com/a/b?k=v").unwrap();
        assert_eq!((&*deep.app_with_param(), &*deep.stream_with_param()), ("a/b?k=v", "s?token=x/y"));
        assert_eq!(from.moved_to("http://b.com/app"), Err(UrlError::Scheme));
        assert_eq!(from.moved_to("/../app"), Err(UrlError::Path { what: "the app" }));
        assert_eq!(from.moved_to("rtmp://b.com"), Err(UrlError::NoStream));
    }

    #[test]
    fn urls_that_are_none_are_refused() {
        let table = [
            ("", UrlError::Scheme),
            ("http://h/a/s", UrlError::Scheme),
            ("h/a/s", UrlError::Scheme),
            ("rtmp:///a/s", UrlError::NoHost),
            ("rtmp://u:p@/a/s", UrlError::NoHost),
            ("rtmp://[::1/a/s", UrlError::Host),
            ("rtmp://[::1]x/a/s", UrlError::Host),
            ("rtmp://::1]/a/s", UrlError::Host),
            ("rtmp://[a:b]/a/s", UrlError::Host),
            ("rtmp://u:p@[a]/a/s", UrlError::Host),
            ("rtmp://a:1:2/a/s", UrlError::Host),
            ("rtmp://h h/a/s", UrlError::Host),
            ("rtmp://h:0/a/s", UrlError::Port),
            ("rtmp://h:65536/a/s", UrlError::Port),
            ("rtmp://h:+1/a/s", UrlError::Port),
            ("rtmp://h", UrlError::NoStream),
            ("rtmp://h/a", UrlError::NoStream),
            ("rtmp://h/a/../s", UrlError::Path { what: "the app" }),
            ("rtmp://h/a/s\u{7f}", UrlError::Control { what: "the stream", code: 0x7f }),
        ];
        for (url, error) in table {
            assert_eq!(RtmpUrl::parse(url), Err(error), "{url}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_names_are_clean(
            tc_url in "(rtmp://)?[a?&=/.:@\\[\\]é]{0,12}(vhost=)?[a/.]{0,5}",
            app in "[a?&=/.é]{0,10}(vhost=|\\.\\.\\.vhost\\.\\.\\.)?[a/.]{0,5}",
            stream in "[a?&=/.é\u{1}]{0,12}",
        ) {
            if let Ok(url) = RtmpUrl::parse(&format!("{tc_url}/{app}/{stream}")) {
                prop_assert!(!url.app_with_param().is_empty() && !url.stream_with_param().is_empty());
                let _ = url.moved_to(&tc_url);
                let same = url.moved_to("").unwrap();
                prop_assert_eq!((&same.app, &same.stream), (&url.app, &url.stream));
            }
            if let Ok(name) = resolve(&tc_url, &app, &stream) {
                prop_assert!(!name.vhost.is_empty() && !name.vhost.contains('/') && name.vhost != "..");
                prop_assert!(!name.app.is_empty() && name.app.split('/').all(|s| !s.is_empty() && s != ".."));
                prop_assert_eq!(name.stream.is_empty(), stream.is_empty());
                let clean = !name.stream.contains(['/', '?', '\u{1}']) && name.stream != "..";
                prop_assert!(clean);
                prop_assert!(!name.param.starts_with('?'));
            }
        }
    }
}
