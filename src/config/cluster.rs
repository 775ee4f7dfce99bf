//! Where a vhost stands in a cluster: an edge before origins, or an origin among others.

use std::net::Ipv6Addr;

use super::block::Block;
use crate::error::{Result, without_secrets};
use crate::wire::limits::{CLUSTER_SERVERS, NAME_BYTES};

/// A vhost that has its streams from other servers, and gives them what is published here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The servers, each tried when the one before it fails.
    pub origins: Vec<Origin>,
    /// Whether an origin is asked whether a player may play.
    pub token_traverse: bool,
    /// The vhost that is asked for at the origin; `[vhost]` stands for the stream's own.
    pub vhost: String,
    /// How streams are fetched.
    pub protocol: Protocol,
    /// Whether a stream is fetched by FLV over HTTP when its first player came by HTTP.
    pub follow_client: bool,
}

/// A server that an edge has its streams from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A name or an address; an IPv6 address stands without its brackets.
    pub host: String,
    /// The port, if one is named; otherwise the protocol's own.
    pub port: Option<u16>,
}

/// How an edge fetches streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP.
    Rtmp,
    /// FLV over HTTP.
    Flv,
    /// FLV over HTTPS.
    Https,
}

/// What a vhost's `cluster` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Where its streams come from, if it is an edge.
    pub edge: Option<Edge>,
    /// The APIs of other origins, `host:port`, that are asked for a stream that isn't here; none on an edge.
    pub coworkers: Vec<String>,
    /// Whether other servers are told who we are.
    pub debug_upnode: bool,
}

impl Cluster {
    pub(super) fn read(cluster: &Block<'_>) -> Result<Self> {
        let mut read =
            Self { edge: None, coworkers: Vec::new(), debug_upnode: cluster.switch("debug_srs_upnode")? };
        let is_edge = cluster.word("mode", |mode| mode == "remote")?;
        if is_edge {
            read.edge = Some(Edge::read(cluster)?);
        } else if cluster.switch("origin_cluster")? {
            read.coworkers = servers(cluster, "coworkers")?;
            for coworker in &read.coworkers {
                let origin = Origin::parse(coworker);
                origin.filter(|origin| origin.port.is_some()).ok_or_else(|| {
                    let source = cluster.source("coworkers");
                    source
                        .error(format_args!("coworkers: \"{}\" is not host:port", without_secrets(coworker)))
                })?;
            }
        }
        Ok(read)
    }
}

impl Edge {
    fn read(cluster: &Block<'_>) -> Result<Self> {
        let mut origins = Vec::new();
        for word in servers(cluster, "origin")? {
            let origin = Origin::parse(&word).ok_or_else(|| {
                let source = cluster.source("origin");
                source.error(format_args!("origin: \"{}\" is not host or host:port", without_secrets(&word)))
            })?;
            origins.push(origin);
        }
        if origins.is_empty() {
            let source = cluster.source("mode");
            return Err(source.error("mode remote needs origin HOST[:PORT]"));
        }
        let protocol = cluster.word("protocol", |word| match word {
            "flv" => Protocol::Flv,
            "https" => Protocol::Https,
            _ => Protocol::Rtmp,
        })?;
        if !cfg!(feature = "http") && protocol != Protocol::Rtmp {
            let source = cluster.source("protocol");
            return Err(source.error("protocol: rtmp is the only one in a build without HTTP"));
        }
        Ok(Self {
            origins,
            token_traverse: cluster.switch("token_traverse")?,
            vhost: cluster.text("vhost")?,
            protocol,
            follow_client: cluster.switch("follow_client")?,
        })
    }
}

impl Origin {
    /// Takes `host`, `host:port` or `[IPv6 address]:port` apart.
    pub fn parse(word: &str) -> Option<Self> {
        let (host, port) = match word.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
                (host, port)
            }
            None => match word.split_once(':') {
                // An IPv6 address without brackets: which colon would be the port's can't be told.
                Some((_, port)) if port.contains(':') => (word, None),
                Some((host, port)) => (host, Some(port)),
                None => (word, None),
            },
        };
        let port = match port {
            None => None,
            Some(digits) => Some(digits.parse().ok().filter(|port| *port != 0)?),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        // The zone of an address is a name of this machine's.
        let is_address = |host: &str| host.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
        let ok = (1..=NAME_BYTES).contains(&host.len())
            && host.chars().all(is_host)
            && is_address(host) == (host.contains(':') || word.starts_with('['));
        ok.then(|| Self { host: host.to_owned(), port })
    }

    /// The server in a URL, before which a user and a password may stand.
    pub(super) fn of_url(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?']).next()?;
        Self::parse(authority.rsplit_once('@').map_or(authority, |(_, place)| place))
    }

    /// `host:port`, as it stands in a URL.
    pub fn authority(&self, default_port: u16) -> String {
        let port = self.port.unwrap_or(default_port);
        match self.host.contains(':') {
            true => format!("[{}]:{port}", self.host),
            false => format!("{}:{port}", self.host),
        }
    }
}

/// The words of a list of servers.
fn servers(cluster: &Block<'_>, name: &str) -> Result<Vec<String>> {
    let words = cluster.texts(name);
    if words.len() > CLUSTER_SERVERS {
        let message = format!("{name}: more than {CLUSTER_SERVERS} servers");
        return Err(cluster.source(name).error(message));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn cluster(body: &str) -> std::result::Result<Cluster, String> {
        let mut config = Config::new();
        let text = format!("vhost a.b {{ cluster {{ {body} }} }}");
        config.load_text("t", &text).map_err(|e| e.to_string())?;
        let (settings, _) = Settings::from_config(&config).map_err(|e| e.to_string())?;
        Ok(settings.vhosts["a.b"].cluster.clone())
    }

    #[test]
    fn an_edge_has_origins() {
        let edge = cluster(
            "mode remote; origin a:1935 [::1]:80 ::2 b.c; vhost x; token_traverse on; protocol https;
            follow_client on; debug_srs_upnode off; origin_cluster on; coworkers a:1;",
        );
        let edge = edge.unwrap();
        assert!(edge.coworkers.is_empty() && !edge.debug_upnode);
        let edge = edge.edge.unwrap();
        let places: Vec<_> = edge.origins.iter().map(|origin| origin.authority(443)).collect();
        assert_eq!(places, ["a:1935", "[::1]:80", "[::2]:443", "b.c:443"]);
        assert!(edge.token_traverse && edge.follow_client);
        assert_eq!((edge.vhost.as_str(), edge.protocol), ("x", Protocol::Https));
    }

    #[test]
    fn an_origin_may_have_coworkers() {
        let origin = cluster("origin_cluster on; coworkers a:9090 b:9091;").unwrap();
        assert_eq!((origin.edge, origin.coworkers.len()), (None, 2));
        let origin = cluster("coworkers a:9090;").unwrap();
        assert!(origin.coworkers.is_empty() && origin.debug_upnode);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, expected) in [
            ("mode remote;", "t:1: mode remote needs origin HOST[:PORT]"),
            ("mode remote; origin a:x;", "t:1: origin: \"a:x\" is not host or host:port"),
            ("mode remote; origin a:0;", "t:1: origin: \"a:0\" is not host or host:port"),
            ("mode remote; origin a/b;", "t:1: origin: \"a/b\" is not host or host:port"),
            ("mode remote; origin [zz]:1;", "t:1: origin: \"[zz]:1\" is not host or host:port"),
            ("mode remote; origin a:1:2;", "t:1: origin: \"a:1:2\" is not host or host:port"),
            ("mode remote; origin u:secret@a;", "t:1: origin: \"***@a\" is not host or host:port"),
            ("mode remote; origin [::1;", "t:1: origin: \"[::1\" is not host or host:port"),
            ("origin_cluster on; coworkers a;", "t:1: coworkers: \"a\" is not host:port"),
        ] {
            assert_eq!(cluster(body).unwrap_err(), expected, "{body}");
        }
        let many = "a ".repeat(CLUSTER_SERVERS + 1);
        let error = cluster(&format!("mode remote; origin {many};")).unwrap_err();
        assert_eq!(error, "t:1: origin: more than 64 servers");
    }
}
