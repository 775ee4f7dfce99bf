//! Streams that are pulled by HLS: what the session wants is fetched, and what it gives is played in time.

use std::collections::HashMap;
use std::time::Duration;

use log::warn;

use super::State;
use super::http::{BARREN_BYTES, Body, Source, checked};
use crate::engine::Engine;
use crate::engine::fetch::{Fetched, Order, Purpose};
use crate::engine::via;
use crate::hls::client::{Failure, Fetch, Options, Output, PlaylistId, Resource, Session};
use crate::http::client::{ResponseHead, Url};
use crate::time::Time;

/// A stream that is pulled.
#[derive(Debug)]
pub(super) struct Hls {
    session: Session,
    /// What it is for.
    url: Url,
    /// Where its playlists are in the end.
    playlists: HashMap<PlaylistId, Url>,
    /// What is under way: two at the most.
    fetching: Vec<Fetching>,
    timeout: Option<Time>,
    /// Why the last segment was left out.
    left_out: Option<String>,
}

#[derive(Debug)]
struct Fetching {
    /// The request.
    fetch: u32,
    /// What the session calls it, and what it is.
    id: u32,
    resource: Resource,
    /// Of the answer.
    status: u16,
}

impl Engine {
    /// What is fetched is a playlist, and begins with these bytes.
    pub(super) fn start_hls(&mut self, now: Time, id: u32, first: &[u8]) {
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let State::Http(http) = &mut ingest.state else { return };
        let Source::Body(body) = &http.source else { return };
        let Some(mut hls) = Hls::new(now, body, ingest.is_live) else { return };
        hls.handle_body(now, body.fetch, first);
        http.source = Source::Hls(Box::new(hls));
        http.pacer.get_or_insert_default();
        self.play_http(now, id);
    }

    pub(super) fn on_hls_fetched(&mut self, now: Time, id: u32, fetch: u32, fetched: Fetched) {
        let Some(http) = self.http_of(id) else { return };
        let is_full = http.pacer.as_ref().is_some_and(|pacer| pacer.is_full());
        if let Fetched::Body(bytes) = &fetched {
            http.take_in(bytes);
        }
        let is_barren = http.barren > BARREN_BYTES;
        let Source::Hls(hls) = &mut http.source else { return };
        match fetched {
            Fetched::Head(head, url) => {
                if let Err(failure) = hls.handle_head(fetch, &head, url) {
                    self.abandon(now, fetch);
                    self.with_hls(id, |hls| hls.handle_failure(now, fetch, failure));
                }
            }
            Fetched::Body(_) if is_barren && hls.is_media(fetch) => {
                http.barren = 0;
                hls.handle_failure(now, fetch, Failure::Refused(format!("no frame in {BARREN_BYTES} bytes")));
                self.abandon(now, fetch);
            }
            Fetched::Body(bytes) => {
                hls.handle_body(now, fetch, &bytes);
                if is_full {
                    self.pause_fetch(now, fetch, true);
                }
            }
            Fetched::End => {
                hls.handle_end(now, fetch);
                if let Some(pacer) = &mut http.pacer {
                    pacer.settle();
                }
            }
            Fetched::Failed(why) => hls.handle_failure(now, fetch, Failure::Broken(why)),
            Fetched::Whole(..) => {}
        }
        self.play_http(now, id);
    }

    /// Does what the session says. `false` if the ingest had to be given up over it.
    pub(super) fn advance_hls(&mut self, now: Time, id: u32) -> bool {
        loop {
            let Some(ingest) = self.ingests.find_mut(id) else { return false };
            let State::Http(http) = &mut ingest.state else { return false };
            let Source::Hls(hls) = &mut http.source else { return true };
            match hls.session.poll_output() {
                Output::Fetch(wanted) => self.fetch_for_hls(now, id, wanted),
                Output::Cancel(asked) => {
                    if let Some(fetch) = hls.take_fetch(asked) {
                        self.abandon(now, fetch);
                    }
                }
                Output::Frame(frame) => {
                    http.barren = 0;
                    if let Some(pacer) = &mut http.pacer {
                        pacer.push(frame);
                    }
                }
                Output::LeftOut { uri, why } => {
                    let uri = uri.split('?').next().unwrap_or_default();
                    warn!("ingest of {}: segment {uri} is left out: {why}", ingest.name);
                    hls.left_out = Some(format!("of segment {uri}: {why}"));
                }
                Output::Failed(e) => {
                    let why = e.to_string();
                    self.fail_ingest(now, id, &why);
                    return false;
                }
                Output::End => {
                    (http.is_over, hls.timeout) = (true, None);
                    if let Some(pacer) = &mut http.pacer {
                        pacer.settle();
                    }
                    return true;
                }
                Output::Timeout(at) => {
                    hls.timeout = at;
                    ingest.is_live |= hls.session.is_live();
                    return true;
                }
            }
        }
    }

    fn fetch_for_hls(&mut self, now: Time, id: u32, wanted: Fetch) {
        let Some(ingest) = self.ingests.find(id) else { return };
        let via = self.via_of_pull(&ingest.name).to_string();
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let (connect, stall) = (ingest.policy.connect, ingest.policy.stall);
        let State::Http(http) = &mut ingest.state else { return };
        let Source::Hls(hls) = &mut http.source else { return };
        let Fetch { id: asked, resource, base, uri, range } = wanted;
        let base = base.and_then(|playlist| hls.playlists.get(&playlist)).unwrap_or(&hls.url);
        let url = match base.join(&uri) {
            Ok(url) => url,
            Err(e) => return hls.session.handle_failure(now, asked, Failure::Refused(e.to_string())),
        };
        let mut order = Order::get(url, connect, stall);
        order.headers.push(via::HEADER, &via);
        let mut status = 200;
        if let Some(last) = range.as_ref().and_then(|range| range.end.checked_sub(1)) {
            let first = range.map_or(0, |range| range.start);
            order.headers.push("Range", &format!("bytes={first}-{last}"));
            status = 206;
        }
        let fetch = self.fetch(now, Purpose::Ingest(id), order);
        self.with_hls(id, |hls| match fetch {
            Some(fetch) => hls.fetching.push(Fetching { fetch, id: asked, resource, status }),
            None => {
                let why = "too many connections are being made".to_owned();
                hls.session.handle_failure(now, asked, Failure::Broken(why));
            }
        });
    }

    fn with_hls(&mut self, id: u32, act: impl FnOnce(&mut Hls)) {
        if let Some(Source::Hls(hls)) = self.http_of(id).map(|http| &mut http.source) {
            act(hls);
        }
    }
}

impl Hls {
    /// A session whose first playlist is what `body` is fetched for.
    fn new(now: Time, body: &Body, live: bool) -> Option<Self> {
        let url = body.url()?.clone();
        let mut session = Session::new(now, Options { live, ..Options::default() });
        let Output::Fetch(Fetch { id, resource, .. }) = session.poll_output() else { return None };
        let fetching = vec![Fetching { fetch: body.fetch, id, resource, status: 200 }];
        let playlists = HashMap::from([(PlaylistId::Main, url.clone())]);
        Some(Self { session, url, playlists, fetching, timeout: None, left_out: None })
    }

    /// The requests that are under way.
    pub(super) fn fetches(&self) -> impl Iterator<Item = u32> {
        self.fetching.iter().map(|fetching| fetching.fetch)
    }

    /// Frames up to this DTS have been played.
    pub(super) fn played(&mut self, now: Time, dts: i64) {
        self.session.handle_position(now, dts);
    }

    pub(super) fn timeout(&self) -> Option<Time> {
        self.timeout
    }

    pub(super) fn handle_timeout(&mut self, now: Time) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.session.is_live()
    }

    /// How long it may be without a frame before the session says that it has stalled.
    pub(super) fn patience(&self) -> Duration {
        self.session.patience()
    }

    /// What may be the reason where there is no frame.
    pub(super) fn hint(&self) -> Option<String> {
        self.left_out.clone()
    }

    fn find(&mut self, fetch: u32) -> Option<&mut Fetching> {
        self.fetching.iter_mut().find(|fetching| fetching.fetch == fetch)
    }

    /// Whether frames are to come of it.
    fn is_media(&mut self, fetch: u32) -> bool {
        self.find(fetch)
            .is_some_and(|fetching| matches!(fetching.resource, Resource::Map | Resource::Segment))
    }

    /// The request is over.
    fn end(&mut self, fetch: u32) -> Option<Fetching> {
        let at = self.fetching.iter().position(|fetching| fetching.fetch == fetch)?;
        Some(self.fetching.swap_remove(at))
    }

    /// The request that the session has no more use for.
    fn take_fetch(&mut self, asked: u32) -> Option<u32> {
        let at = self.fetching.iter().position(|fetching| fetching.id == asked)?;
        Some(self.fetching.swap_remove(at).fetch)
    }

    fn handle_head(&mut self, fetch: u32, head: &ResponseHead, url: Url) -> Result<(), Failure> {
        let Some(fetching) = self.find(fetch) else { return Ok(()) };
        let resource = fetching.resource;
        checked(head, &url, fetching.status).map_err(|why| match head.status {
            // Too early, or too often: that may change.
            408 | 425 | 429 | 500.. => Failure::Broken(why),
            _ => Failure::Refused(why),
        })?;
        if let Resource::Playlist(playlist) = resource {
            self.playlists.insert(playlist, url);
        }
        Ok(())
    }

    fn handle_body(&mut self, now: Time, fetch: u32, bytes: &[u8]) {
        if let Some(id) = self.find(fetch).map(|fetching| fetching.id) {
            self.session.handle_body(now, id, bytes);
        }
    }

    fn handle_end(&mut self, now: Time, fetch: u32) {
        if let Some(Fetching { id, .. }) = self.end(fetch) {
            self.session.handle_end(now, id);
        }
    }

    fn handle_failure(&mut self, now: Time, fetch: u32, failure: Failure) {
        if let Some(Fetching { id, .. }) = self.end(fetch) {
            self.session.handle_failure(now, id, failure);
        }
    }
}
