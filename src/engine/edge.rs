//! Edges: vhosts that have their streams from origins, and hand on to them what is published here.
//!
//! The first player of a stream begins a pull, an ingest that ends with the last one. A publisher waits until an
//! origin has let us publish its stream there; then the stream is played here directly and goes on to the
//! origin, by a forward that is tried again for as long as the publish lasts.

use std::collections::VecDeque;
use std::time::Duration;

use log::{log, warn};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Engine;
use super::clients::hub_name;
use super::conn::Wish;
use super::forward::Forward;
use super::retry::RetryPolicy;
use super::{Action, via};
use crate::config::table::DEFAULT_VHOST;
use crate::config::{Edge, OnConflict, Origin, Protocol};
use crate::error::{Code, Error, Result};
use crate::hub::{Name, Source};
use crate::rtmp::url::{RTMP_PORT, RtmpUrl};
use crate::time::Time;

/// How long a pull goes on when nobody plays any more.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// An origin that brings nothing for so long has failed.
pub(super) const POLICY: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(3),
    tries: 0,
    connect: Duration::from_secs(3),
    stall: Duration::from_secs(3),
    stable: Duration::from_secs(10),
};
/// What a name may have in it and a URL's path may not (RFC 3986, 3.3).
const IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?');

/// What the forward of an edge has besides.
#[derive(Debug)]
pub(super) struct Upstream {
    /// What it was made by.
    edge: Edge,
    /// The publisher's parameters.
    param: String,
    /// The other origins' URLs, the one to be tried next at the front.
    spare: VecDeque<RtmpUrl>,
    /// How many origins have failed since one has let us publish.
    tried: usize,
    /// The publisher who waits for the origin's word: the client and its ticket.
    asks: Option<(u32, u32)>,
}

impl Engine {
    /// Whom else a client's wish depends on is asked. The wish is given back where that is nobody.
    pub(super) fn ask_servers(&mut self, now: Time, id: u32, wish: Wish) -> Option<Wish> {
        let (action, asked) = wish.asked();
        let Some(vhost) = self.settings.vhost(&asked.vhost).cloned() else { return Some(wish) };
        let name = hub_name(&vhost.name, asked);
        #[cfg(all(feature = "http", feature = "dvr"))]
        if let Wish::Shift(_) = wish {
            return Some(wish);
        }
        match (action, &vhost.cluster.edge) {
            (Action::Publish, Some(edge)) => {
                self.ask_to_publish(now, id, &name, edge, wish);
                None
            }
            (Action::Play, Some(edge)) if edge.token_traverse => {
                self.ask_to_play(now, id, name, edge, wish);
                None
            }
            #[cfg(feature = "http")]
            (Action::Play, None) => self.ask_coworkers(now, id, name, &vhost, wish),
            _ => Some(wish),
        }
    }

    /// A client that others are asked about has gone.
    pub(super) fn unask(&mut self, now: Time, ticket: u32) {
        let asks = |forward: &Forward| {
            forward.upstream.as_ref().and_then(|upstream| upstream.asks).is_some_and(|(_, its)| its == ticket)
        };
        let forward = self.forwards.iter().find(|(_, forward)| asks(forward));
        if let Some((id, name)) = forward.map(|(id, forward)| (id, forward.name.clone())) {
            self.remove_forward(now, id, false);
            self.pull_again(now, &name);
        }
        self.drop_check(now, ticket);
    }

    /// Whether a stream comes when somebody plays it.
    #[cfg(feature = "http")]
    pub(super) fn is_pulled(&self, name: &Name) -> bool {
        let vhost = self.settings.vhost(&name.vhost);
        vhost.is_some_and(|vhost| vhost.cluster.edge.is_some()) || self.is_on_demand(name)
    }

    /// Somebody has begun to play a stream: it is fetched, if that is how it comes here. `param` are the
    /// player's parameters, which go along with the first one.
    pub(super) fn viewed(&mut self, now: Time, name: &Name, param: &str, over_http: bool) {
        self.pull(now, name, param, over_http);
        self.watched(now, name);
    }

    /// The configuration has changed: what an edge does for streams is done by the new one.
    pub(super) fn configure_edges(&mut self, now: Time) {
        for name in self.pulls() {
            let edge = self.edge_of(&name);
            if edge.is_none() || edge.as_ref() != self.edge_of_pull(&name) {
                self.drop_pull(now, &name);
                self.pull_again(now, &name);
            }
        }
        for id in self.forwards.ids() {
            let Some(forward) = self.forwards.find(id) else { continue };
            let Some(upstream) = &forward.upstream else { continue };
            let (name, param) = (forward.name.clone(), upstream.param.clone());
            if upstream.asks.is_none() && self.edge_of(&name).as_ref() != Some(&upstream.edge) {
                self.remove_forward(now, id, false);
                self.begin_upstream(&name, &param);
            }
        }
        let names: Vec<_> = self.hub.iter().map(|(_, stream)| stream.name().clone()).collect();
        for name in names {
            self.begin_upstream(&name, "");
            self.pull_again(now, &name);
        }
    }

    pub(super) fn edge_of(&self, name: &Name) -> Option<Edge> {
        self.settings.vhost(&name.vhost)?.cluster.edge.clone()
    }

    /// Fetches a stream from the origins, unless it is published or fetched already.
    fn pull(&mut self, now: Time, name: &Name, param: &str, over_http: bool) {
        let Some(edge) = self.edge_of(name) else { return };
        if self.is_published(name) || self.upstream_of(name).is_some() || self.has_ingest(name) {
            return;
        }
        let protocol = match edge.protocol {
            Protocol::Rtmp if edge.follow_client && over_http => Protocol::Flv,
            protocol => protocol,
        };
        let urls: Vec<_> =
            edge.origins.iter().map(|origin| url(&edge, origin, protocol, name, param)).collect();
        if let Err(e) = self.add_pull(now, name, &urls, edge) {
            warn!("{name} can't be fetched: {e}");
        }
    }

    /// Nobody publishes a stream here any longer: it is fetched for those who still play it.
    pub(super) fn pull_again(&mut self, now: Time, name: &Name) {
        if self.viewers(name) > 0 && !self.has_ingest(name) {
            let param = self.param_of_player(name);
            self.viewed(now, name, &param, false);
        }
    }

    /// The parameters of one who plays a stream.
    fn param_of_player(&self, name: &Name) -> String {
        let stream = self.hub.find(name).and_then(|id| self.hub.stream(id));
        let mut clients = stream.iter().flat_map(|stream| stream.players());
        clients.find_map(|id| self.conns.find(*id)).map_or(String::new(), |conn| conn.session.name().param)
    }

    // Publishing.

    /// Asks the origins whether a client may publish.
    fn ask_to_publish(&mut self, now: Time, id: u32, name: &Name, edge: &Edge, wish: Wish) {
        if self.is_taken(name) {
            warn!(id = id; "publish of {name} refused: the stream is being published");
            self.refuse(id, "The stream is being published.");
            return;
        }
        let param = wish.asked().1.param.clone();
        // The origin would take it for a ring: one who plays what he publishes.
        self.drop_pull(now, name);
        let Some(ticket) = self.hold(id, wish) else { return };
        if let Err(e) = self.add_upstream(name, edge, &param, Some((id, ticket))) {
            self.judge(now, ticket, Err(e.message()));
            self.pull_again(now, name);
        }
    }

    /// Whether nobody else may publish a stream now.
    fn is_taken(&self, name: &Name) -> bool {
        let asks =
            |forward: &Forward| forward.upstream.as_ref().is_some_and(|upstream| upstream.asks.is_some());
        if self.forwards.iter().any(|(_, forward)| forward.name == *name && asks(forward)) {
            return true;
        }
        // What comes from an origin is published there by somebody else.
        let replaces = self
            .settings
            .vhost(&name.vhost)
            .is_some_and(|vhost| vhost.publish.on_conflict == OnConflict::Replace);
        self.is_published(name) && (!replaces || self.edge_of_pull(name).is_some())
    }

    /// A stream is published here: it is handed on, if it doesn't come from there and nobody does it yet.
    pub(super) fn begin_upstream(&mut self, name: &Name, param: &str) {
        let Some(edge) = self.edge_of(name) else { return };
        if !self.is_published(name) || self.edge_of_pull(name).is_some() || self.upstream_of(name).is_some() {
            return;
        }
        if let Err(e) = self.add_upstream(name, &edge, param, None) {
            warn!("{name} can't be handed on to the origin: {e}");
        }
    }

    fn add_upstream(
        &mut self,
        name: &Name,
        edge: &Edge,
        param: &str,
        asks: Option<(u32, u32)>,
    ) -> Result<()> {
        let parse = |origin| {
            let text = url(edge, origin, Protocol::Rtmp, name, param);
            RtmpUrl::parse(&text).map_err(|e| Error::new(Code::InvalidArgument, e.to_string()))
        };
        let mut spare = edge.origins.iter().map(parse).collect::<Result<VecDeque<_>>>()?;
        let first = spare.pop_front().ok_or_else(|| Error::new(Code::Config, "there is no origin"))?;
        let upstream = Upstream { edge: edge.clone(), param: param.to_owned(), spare, tried: 0, asks };
        self.add_forward_upstream(name.clone(), first, POLICY, upstream)
    }

    /// An origin lets us publish. Whether there is something to be sent to it.
    pub(super) fn upstream_agrees(&mut self, now: Time, id: u32) -> bool {
        let Some(forward) = self.forwards.find_mut(id) else { return false };
        let name = forward.name.clone();
        let Some(upstream) = &mut forward.upstream else { return true };
        upstream.tried = 0;
        let Some((client, ticket)) = upstream.asks.take() else { return true };
        self.judge(now, ticket, Ok(()));
        let publisher = self.hub.find(&name).and_then(|id| self.hub.stream(id)?.publisher());
        let publishes = matches!(publisher, Some(Source::Client(id, _)) if id == client);
        let is_other = |other: &u32| (*other == id) != publishes;
        let of_name = |forward: &Forward| forward.upstream.is_some() && forward.name == name;
        // Of the publisher before, who has been replaced; or of this one, who is gone.
        let over: Vec<_> =
            self.forwards.iter().filter(|(_, forward)| of_name(forward)).map(|(id, _)| id).collect();
        over.into_iter().filter(is_other).for_each(|other| self.remove_forward(now, other, false));
        publishes
    }

    /// An origin has refused a publisher. `false` if none waits for its word.
    pub(super) fn refuse_publisher(&mut self, now: Time, id: u32, why: &str) -> bool {
        let Some(forward) = self.forwards.find_mut(id) else { return false };
        let name = forward.name.clone();
        let Some((_, ticket)) = forward.upstream.as_mut().and_then(|upstream| upstream.asks.take()) else {
            return false;
        };
        self.remove_forward(now, id, false);
        self.judge(now, ticket, Err(why));
        self.pull_again(now, &name);
        true
    }

    /// An origin has failed: the next one is tried at once. `false` if all have been, or there is none.
    pub(super) fn try_next_origin(&mut self, now: Time, id: u32, why: &str) -> bool {
        let Some(forward) = self.forwards.find_mut(id) else { return false };
        let Some(upstream) = &mut forward.upstream else { return false };
        upstream.tried = upstream.tried.saturating_add(1);
        if let Some(next) = upstream.spare.pop_front() {
            upstream.spare.push_back(std::mem::replace(&mut forward.url, next));
        }
        if upstream.tried <= upstream.spare.len() {
            log!(forward.level_of_failure(), "forward of {}: {why}; trying the next origin", forward.name);
            self.start_forward(now, id);
            return true;
        }
        upstream.tried = 0;
        let why = match via::is_ring(why) {
            true => why.to_owned(),
            false => format!("no origin can be reached: {why}"),
        };
        self.refuse_publisher(now, id, &why)
    }

    fn upstream_of(&self, name: &Name) -> Option<&Forward> {
        let mut all = self.forwards.iter().map(|(_, forward)| forward);
        all.find(|forward| forward.upstream.is_some() && forward.name == *name)
    }

    pub(super) fn is_published(&self, name: &Name) -> bool {
        let stream = self.hub.find(name).and_then(|id| self.hub.stream(id));
        stream.is_some_and(|stream| stream.publisher().is_some())
    }
}

impl Upstream {
    /// The publisher who waits for the origin's word.
    pub(super) fn asks_for(&self) -> Option<u32> {
        self.asks.map(|(client, _)| client)
    }
}

/// A stream's URL at an origin.
pub(super) fn url(edge: &Edge, origin: &Origin, protocol: Protocol, name: &Name, param: &str) -> String {
    let vhost = edge.vhost.replace("[vhost]", &name.vhost);
    let vhost = if vhost == DEFAULT_VHOST { String::new() } else { format!("vhost={vhost}") };
    // The vhost that the player has named is one of ours.
    let is_vhost = |pair: &&str| matches!(pair.split('=').next(), Some("vhost" | "domain"));
    let param: Vec<_> = param.split('&').filter(|pair| !pair.is_empty() && !is_vhost(pair)).collect();
    let param = param.join("&");
    let query = |param: &str| if param.is_empty() { String::new() } else { format!("?{param}") };
    let (scheme, port) = match protocol {
        Protocol::Rtmp => {
            // Behind the app, where every server looks for it.
            let (place, vhost, param) = (origin.authority(RTMP_PORT), query(&vhost), query(&param));
            return format!("rtmp://{place}/{}{vhost}/{}{param}", name.app, name.stream);
        }
        Protocol::Flv => ("http", 80),
        Protocol::Https => ("https", 443),
    };
    let join = if vhost.is_empty() || param.is_empty() { "" } else { "&" };
    let (place, query) = (origin.authority(port), query(&format!("{vhost}{join}{param}")));
    let (app, stream) = (utf8_percent_encode(&name.app, IN_PATH), utf8_percent_encode(&name.stream, IN_PATH));
    format!("{scheme}://{place}/{app}/{stream}.flv{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(vhost: &str) -> Edge {
        Edge {
            origins: Vec::new(),
            token_traverse: false,
            vhost: vhost.into(),
            protocol: Protocol::Rtmp,
            follow_client: false,
        }
    }

    #[test]
    fn a_stream_has_a_url_at_the_origin() {
        let origin = Origin::parse("a.b:1936").unwrap();
        let bare = Origin::parse("a.b").unwrap();
        let default = Name { vhost: DEFAULT_VHOST.into(), app: "x/y".into(), stream: "s".into() };
        let named = Name { vhost: "v.w".into(), ..default.clone() };
        let param = "token=a/b&vhost=old&k=v";
        for (vhost, origin, protocol, name, param, expected) in [
            ("[vhost]", &origin, Protocol::Rtmp, &default, "", "rtmp://a.b:1936/x/y/s"),
            ("[vhost]", &bare, Protocol::Rtmp, &named, "", "rtmp://a.b:1935/x/y?vhost=v.w/s"),
            ("o.p", &bare, Protocol::Rtmp, &default, param, "rtmp://a.b:1935/x/y?vhost=o.p/s?token=a/b&k=v"),
            ("[vhost]", &origin, Protocol::Flv, &default, "", "http://a.b:1936/x/y/s.flv"),
            (
                "[vhost].o",
                &bare,
                Protocol::Flv,
                &named,
                param,
                "http://a.b:80/x/y/s.flv?vhost=v.w.o&token=a/b&k=v",
            ),
            ("[vhost]", &bare, Protocol::Https, &default, param, "https://a.b:443/x/y/s.flv?token=a/b&k=v"),
        ] {
            let text = url(&edge(vhost), origin, protocol, name, param);
            assert_eq!(text, expected);
            if protocol == Protocol::Rtmp {
                let url = RtmpUrl::parse(&text).unwrap();
                assert_eq!((url.app.as_str(), url.stream.as_str()), ("x/y", "s"));
            }
        }
        let odd = Name { stream: "a b%?#".into(), ..default };
        let text = url(&edge("[vhost]"), &bare, Protocol::Flv, &odd, "");
        assert_eq!(text, "http://a.b:80/x/y/a%20b%25%3F%23.flv");
    }
}
