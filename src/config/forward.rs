//! Where the streams of a vhost are sent on to.

use super::Warning;
use super::block::Block;
use super::cluster::Origin;
use super::table::DEFAULT_VHOST;
use crate::error::{Result, without_secrets};

/// What is sent on to other servers, and to which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forward {
    /// The servers.
    pub destinations: Vec<Destination>,
    /// The URL that is asked for more of them at each publish; empty for none.
    pub backend: String,
}

/// A server that streams are sent on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `host[:port]`, which gets each stream under its own name.
    Server(String),
    /// A URL with `[vhost]`, `[app]`, `[stream]` and `[param]` in it.
    Url(String),
}

impl Forward {
    pub(super) fn read(forward: &Block<'_>, warnings: &mut Vec<Warning>) -> Result<Option<Self>> {
        if !forward.switch("enabled")? {
            return Ok(None);
        }
        let mut read = Self::default();
        if let Some(node) = forward.find("destination") {
            // An empty word takes back what another place has set.
            for word in node.args.iter().filter(|word| !word.is_empty()) {
                let destination = Destination::parse(word).ok_or_else(|| {
                    node.source.error(format_args!(
                        "destination: \"{}\" is neither host[:port] nor rtmp[s]://host[:port]/app/stream",
                        without_secrets(word)
                    ))
                })?;
                read.destinations.push(destination);
            }
        }
        if let Some(node) = forward.find("backend").filter(|node| !node.arg().is_empty()) {
            let url = node.arg();
            let is_http = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
            if !is_http || Origin::of_url(url).is_none() {
                return Err(node.source.error(format_args!(
                    "backend: \"{}\" is not http[s]://host[:port]/path",
                    without_secrets(url)
                )));
            }
            if cfg!(feature = "http") {
                url.clone_into(&mut read.backend);
            } else {
                let message = "backend is ignored: this library is built without HTTP";
                warnings.push(Warning::new(&node.source, message));
            }
        }
        Ok(Some(read))
    }
}

impl Destination {
    fn parse(word: &str) -> Option<Self> {
        let Some((scheme, rest)) = word.split_once("://") else {
            return Origin::parse(word).map(|_| Self::Server(word.to_owned()));
        };
        let (_, path) = rest.split_once('/')?;
        let url = Self::Url(word.to_owned());
        Origin::of_url(&url.url("v", "a", "s", ""))?;
        (matches!(scheme, "rtmp" | "rtmps") && path.contains('/')).then_some(url)
    }

    /// The URL that one stream is sent on to. `param` are its publisher's parameters, without `?`. A server
    /// gets them with the stream, and the vhost where it isn't the default one and they don't name one.
    pub fn url(&self, vhost: &str, app: &str, stream: &str, param: &str) -> String {
        match self {
            Self::Server(server) => {
                let mut url = format!("rtmp://{server}/{app}/{stream}");
                let names_vhost =
                    param.split('&').any(|p| p.starts_with("vhost=") || p.starts_with("domain="));
                let mut parts = Vec::from_iter((!param.is_empty()).then(|| param.to_owned()));
                parts.extend((vhost != DEFAULT_VHOST && !names_vhost).then(|| format!("vhost={vhost}")));
                if !parts.is_empty() {
                    url.push('?');
                    url.push_str(&parts.join("&"));
                }
                url
            }
            Self::Url(template) => {
                filled(template, &[("vhost", vhost), ("app", app), ("stream", stream), ("param", param)])
            }
        }
    }
}

/// A template whose variables are filled; what a variable stands for is not looked at again.
fn filled(template: &str, variables: &[(&str, &str)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, from)) = rest.split_once('[') {
        out.push_str(before);
        let found = variables
            .iter()
            .find_map(|(name, value)| Some((value, from.strip_prefix(name)?.strip_prefix(']')?)));
        rest = match found {
            Some((value, after)) => {
                out.push_str(value);
                after
            }
            None => {
                out.push('[');
                from
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn read(body: &str) -> Result<(Option<Forward>, Vec<String>), String> {
        let mut config = Config::new();
        let text = format!("vhost a.b {{ forward {{ {body} }} }}");
        config.load_text("t", &text).map_err(|e| e.to_string())?;
        let (settings, warnings) = Settings::from_config(&config).map_err(|e| e.to_string())?;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok((settings.vhosts["a.b"].forward.clone(), warnings))
    }

    #[test]
    fn servers_and_urls_are_told_apart() {
        assert_eq!(read("destination 127.0.0.1:1936;").unwrap(), (None, vec![]));
        let words = "127.0.0.1:1936 cdn.example.com [::1]:19350 rtmps://u:p@h/live/[stream]?key=x \
            rtmp://[vhost].cdn:1936/[app]/[stream]";
        let (forward, warnings) = read(&format!("enabled on; destination {words};")).unwrap();
        let server = |word: &str| Destination::Server(word.into());
        let url = Destination::Url("rtmps://u:p@h/live/[stream]?key=x".into());
        let own = Destination::Url("rtmp://[vhost].cdn:1936/[app]/[stream]".into());
        let expected =
            vec![server("127.0.0.1:1936"), server("cdn.example.com"), server("[::1]:19350"), url, own];
        assert_eq!(forward.unwrap().destinations, expected);
        assert!(warnings.is_empty());
    }

    #[test]
    fn what_is_neither_is_refused() {
        for word in [
            "h:0",
            "h:x",
            "h:70000",
            ":1935",
            "[::1",
            "h/live",
            "[zz]",
            "a:b:c",
            "http://h/live/s",
            "rtmp://h/live",
            "rtmp:///live/s",
            "rtmp://h:70000/live/s",
            "rtmp://[zz]/[app]/[stream]",
        ] {
            let error = read(&format!("enabled on; destination {word};")).unwrap_err();
            let expected = format!(
                "t:1: destination: \"{word}\" is neither host[:port] nor rtmp[s]://host[:port]/app/stream"
            );
            assert_eq!(error, expected);
        }
        let error = read("enabled on; destination rtmp://u:secret@h:0/live/s?key=secret;").unwrap_err();
        let shown = "t:1: destination: \"rtmp://***@h:0/live/s?***\" is neither ";
        assert!(error.starts_with(shown), "{error}");
        let none = Some(Forward::default());
        assert_eq!(read("enabled on; destination \"\"; backend \"\";").unwrap(), (none, vec![]));
        for url in ["127.0.0.1:8085", "ftp://h/x", "http://h:70000/x"] {
            let error = read(&format!("enabled on; backend {url};")).unwrap_err();
            assert_eq!(error, format!("t:1: backend: \"{url}\" is not http[s]://host[:port]/path"));
        }
    }

    #[test]
    fn a_backend_needs_http() {
        let (forward, warnings) = read("enabled on; backend http://127.0.0.1:8085/api/v1/forward;").unwrap();
        let backend = forward.unwrap().backend;
        if cfg!(feature = "http") {
            assert_eq!((backend.as_str(), warnings), ("http://127.0.0.1:8085/api/v1/forward", vec![]));
        } else {
            let warning = "t:1: backend is ignored: this library is built without HTTP";
            assert_eq!((backend.as_str(), warnings), ("", vec![warning.to_owned()]));
        }
    }

    #[test]
    fn a_server_gets_vhost_and_parameters() {
        let server = Destination::Server("h:1936".into());
        for (vhost, param, expected) in [
            (DEFAULT_VHOST, "", "rtmp://h:1936/live/s"),
            (DEFAULT_VHOST, "token=x", "rtmp://h:1936/live/s?token=x"),
            ("a.b", "", "rtmp://h:1936/live/s?vhost=a.b"),
            ("a.b", "token=x", "rtmp://h:1936/live/s?token=x&vhost=a.b"),
            ("a.b", "token=x&vhost=c", "rtmp://h:1936/live/s?token=x&vhost=c"),
            ("a.b", "domain=c", "rtmp://h:1936/live/s?domain=c"),
        ] {
            assert_eq!(server.url(vhost, "live", "s", param), expected);
        }
    }

    #[test]
    fn a_url_is_filled_once() {
        let of = |template: &str| Destination::Url(template.into()).url("v", "a", "[app]", "k=[stream]");
        assert_eq!(of("rtmp://[vhost]/[app]/[stream]?[param]"), "rtmp://v/a/[app]?k=[stream]");
        assert_eq!(of("rtmp://[::1]/x/[[app]"), "rtmp://[::1]/x/[a");
        assert_eq!(of("rtmp://h/live/key"), "rtmp://h/live/key");
    }
}
