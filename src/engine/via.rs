//! Which servers a stream comes by: what keeps streams from going round in a ring.
//!
//! An engine has a tag for each stream. Every connection that it makes for one says its tag, and behind it the
//! tags that came with those it connects for: with the publisher whose stream is sent on, with the players
//! whose stream is fetched. It stands in RTMP's `connect` as `camrillVia`, in HTTP as [`HEADER`]: 16 hexadecimal
//! digits each, with commas between. Who finds its own tag among those that ask for this very stream refuses,
//! and so it does where a player and the publisher of one stream have come by the same server.

use std::fmt;
use std::hash::BuildHasher;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::clients::hub_name;
use super::session::Session;
use super::{Engine, Role};
use crate::amf::Value;
use crate::hub::{Name, Source};
use crate::rtmp::url::{self, RtmpUrl};
use crate::wire::limits::{RELAY_HOPS, RELAY_HOPS_BYTES};

/// The HTTP header field.
#[cfg(feature = "http")]
pub(super) const HEADER: &str = "Camrill-Via";
/// What a request that would close a ring is answered with: Loop Detected (RFC 5842, 7.2).
#[cfg(feature = "http")]
pub(super) const LOOP_DETECTED: u16 = 508;

/// What the reason of every refusal of a ring begins with.
const RING: &str = "a ring:";
/// A pull stands for all players, whose ways may be different ones: besides the shortest, others are named only
/// while the list is shorter than this, so that neither a crowd nor one player's long list counts as a long way.
const OTHERS_MAX: usize = RELAY_HOPS / 2;

/// A list of tags, the nearest server first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Via(SmallVec<[u64; 2]>);

impl Via {
    /// Reads a list as it was sent.
    pub(super) fn parse(list: &str) -> Result<Self, String> {
        if list.is_empty() {
            return Ok(Self::default());
        }
        if list.len() > RELAY_HOPS_BYTES {
            return Err(too_far());
        }
        let tags = list.split(',').map(|tag| u64::from_str_radix(tag.trim(), 16));
        let tags = tags.collect::<Result<_, _>>();
        let tags =
            tags.map_err(|_| format!("{list:?} is no list of servers, hexadecimal numbers were expected"));
        tags.map(Self)
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|tag| other.0.contains(tag))
    }

    fn add(&mut self, tag: u64) {
        if !self.0.contains(&tag) {
            self.0.push(tag);
        }
    }

    /// The list with one more server before it.
    fn behind(&self, tag: u64) -> Self {
        let mut list = Self::default();
        list.add(tag);
        self.0.iter().for_each(|tag| list.add(*tag));
        list
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tag) in self.0.iter().enumerate() {
            write!(f, "{}{tag:016x}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Whether something has failed because it would close a ring: no soon try will help.
pub(super) fn is_ring(why: &str) -> bool {
    why.contains(RING)
}

/// A server has answered [`LOOP_DETECTED`].
#[cfg(feature = "http")]
pub(super) fn closes_ring(place: &impl fmt::Display) -> String {
    format!("{RING} {place} says that the stream comes from here")
}

fn too_far() -> String {
    format!("{RING} the stream would come by more than {RELAY_HOPS} servers")
}

fn from_here() -> String {
    format!("{RING} this stream comes from here")
}

impl Engine {
    /// Whether a client may publish or play this stream as far as its way goes; else why not.
    pub(super) fn check_way(&self, id: u32, name: &Name, publishes: bool) -> Result<(), String> {
        let via = self.via_of(id)?;
        if via.0.is_empty() {
            return Ok(());
        }
        if via.0.len() >= RELAY_HOPS {
            return Err(too_far());
        }
        if via.0.contains(&self.tag(name)) || via.0.contains(&self.check_tag(name)) {
            return Err(from_here());
        }
        let meets = match publishes {
            true => self.ways_of_players(name).any(|other| other.meets(&via)),
            false => self.way_of_publisher(name).meets(&via),
        };
        if meets { Err(from_here()) } else { Ok(()) }
    }

    /// What is said where a stream is fetched.
    pub(super) fn via_of_pull(&self, name: &Name) -> Via {
        let shortest = self.ways_of_players(name).min_by_key(|way| way.0.len()).unwrap_or_default();
        let mut via = shortest.behind(self.tag(name));
        for way in self.ways_of_players(name) {
            let room = OTHERS_MAX.saturating_sub(via.0.len());
            way.0.iter().take(room).for_each(|tag| via.add(*tag));
        }
        via
    }

    /// What is said where a stream is sent on that is published here, or is to be by `client`.
    pub(super) fn via_of_push(&self, name: &Name, client: Option<u32>) -> Via {
        let way = match client {
            Some(client) => self.via_of(client).unwrap_or_default(),
            None => self.way_of_publisher(name),
        };
        way.behind(self.tag(name))
    }

    /// What is said where an origin is only asked whether `client` may play. It is no way of the stream: who
    /// publishes through us may well be played through us.
    pub(super) fn via_of_check(&self, name: &Name, client: u32) -> Via {
        self.via_of(client).unwrap_or_default().behind(self.check_tag(name))
    }

    /// What servers are told of us in `connect` where the vhost wants that (`debug_srs_upnode`): SRS's names.
    pub(super) fn who_we_are(&self, name: &Name, id: u32) -> Vec<(&'static str, Value)> {
        if !self.settings.vhost(&name.vhost).is_some_and(|vhost| vhost.cluster.debug_upnode) {
            return Vec::new();
        }
        vec![
            ("srs_server", concat!("camrill/", env!("CARGO_PKG_VERSION")).into()),
            ("srs_version", env!("CARGO_PKG_VERSION").into()),
            ("srs_pid", f64::from(std::process::id()).into()),
            ("srs_id", id.to_string().into()),
        ]
    }

    /// Whether the URL is plainly that of this stream here.
    pub(super) fn check_place(&self, name: &Name, url: &RtmpUrl) -> Result<(), String> {
        let host = if url.host == "localhost" { "127.0.0.1" } else { &url.host };
        let Ok(ip) = host.parse::<IpAddr>() else { return Ok(()) };
        let is_ours = |ours: IpAddr| ours == ip || (ours.is_unspecified() && ip.is_loopback());
        let ours = self.addresses_of(|role| role == Role::Rtmp);
        if !ours.iter().any(|address| address.port() == url.port && is_ours(address.ip())) {
            return Ok(());
        }
        let found = url::resolve(&url.tc_url(), "", &url.stream_with_param());
        let found = found.ok().and_then(|found| {
            let vhost = self.settings.vhost(&found.vhost)?;
            Some(hub_name(&vhost.name, &found))
        });
        if found.as_ref() == Some(name) { Err(from_here()) } else { Ok(()) }
    }

    fn tag(&self, name: &Name) -> u64 {
        self.entropy.hash_one(name)
    }

    fn check_tag(&self, name: &Name) -> u64 {
        self.entropy.hash_one((name, "check"))
    }

    /// The way that a client has come, as it says itself.
    fn via_of(&self, id: u32) -> Result<Via, String> {
        match self.conns.find(id).map(|conn| &conn.session) {
            Some(Session::Rtmp(session)) => Via::parse(session.client().map_or("", |client| &client.via)),
            #[cfg(feature = "http")]
            Some(Session::Http(web)) => Via::parse(web.via()),
            _ => Ok(Via::default()),
        }
    }

    fn way_of_publisher(&self, name: &Name) -> Via {
        let stream = self.hub.find(name).and_then(|id| self.hub.stream(id));
        match stream.and_then(|stream| stream.publisher()) {
            Some(Source::Client(id, _)) => self.via_of(id).unwrap_or_default(),
            _ => Via::default(),
        }
    }

    /// The ways of those players who have come by servers.
    fn ways_of_players(&self, name: &Name) -> impl Iterator<Item = Via> {
        let stream = self.hub.find(name).and_then(|id| self.hub.stream(id));
        let players = stream.map_or(&[][..], |stream| stream.players());
        let ways = players.iter().filter_map(|id| self.via_of(*id).ok());
        #[cfg(all(feature = "hls", feature = "http"))]
        let ways = {
            let of_hls = self.hls_players.iter().filter(|(_, player)| player.name == *name);
            ways.chain(of_hls.filter_map(|(_, player)| Via::parse(&player.via).ok()))
        };
        ways.filter(|via| !via.0.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let via = Via::parse("00000000000000ff, 1").unwrap();
        assert_eq!(via.to_string(), "00000000000000ff,0000000000000001");
        assert_eq!(via.behind(2).to_string(), "0000000000000002,00000000000000ff,0000000000000001");
        assert_eq!(via.behind(1).to_string(), "0000000000000001,00000000000000ff");
        assert_eq!(Via::parse(""), Ok(Via::default()));
        for bad in [",", "x", "1,,2", "10000000000000000"] {
            assert!(Via::parse(bad).is_err_and(|why| !is_ring(&why)), "{bad}");
        }
        let full = vec!["0123456789abcdef"; RELAY_HOPS].join(",");
        assert!(Via::parse(&full).is_ok());
        assert!(Via::parse(&format!("{full},1")).is_err_and(|why| is_ring(&why)));
    }
}
