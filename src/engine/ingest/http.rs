//! Streams over HTTP, as they come: FLV and MPEG-TS. Which it is, the first bytes tell.

use bytes::Bytes;

use super::{Input, Server, State};
use crate::engine::Engine;
use crate::engine::fetch::{Fetched, Order, Purpose};
use crate::engine::ingest::Ingest;
use crate::engine::via;
use crate::flv;
use crate::media::{Frame, Unwrap};
use crate::mpegts;
use crate::time::Time;

/// What MPEG-TS begins with (ISO 13818-1, 2.4.3.2).
const TS_SYNC: u8 = 0x47;

/// A stream that is fetched.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) fetch: u32,
    /// Since when frames have come.
    pub(super) since: Option<Time>,
    pub(super) received: u64,
    demuxer: Demuxer,
}

#[derive(Debug)]
enum Demuxer {
    /// Too little has come to tell.
    Unknown(Vec<u8>),
    Flv(Box<flv::file::Demuxer>, Unwrap),
    Ts(Box<mpegts::Demuxer>),
}

impl Engine {
    /// Asks for the stream of the server whose turn it is. Whether that could be tried.
    pub(super) fn start_http(&mut self, now: Time, id: u32) -> bool {
        let Some(ingest) = self.ingests.find(id) else { return false };
        let Input::Servers(servers) = &ingest.input else { return false };
        let Some(Server::Http(url)) = servers.get(ingest.turn) else { return false };
        let mut order = Order::get((**url).clone(), ingest.policy.connect, ingest.policy.stall);
        order.headers.push(via::HEADER, &self.via_of_pull(&ingest.name).to_string());
        let Some(fetch) = self.fetch(now, Purpose::Ingest(id, 0), order) else { return false };
        let http = Http { fetch, since: None, received: 0, demuxer: Demuxer::Unknown(Vec::new()) };
        self.set_ingest(now, id, State::Http(Box::new(http)), "");
        true
    }

    pub(in crate::engine) fn on_ingest_fetched(&mut self, now: Time, id: u32, fetch: u32, fetched: Fetched) {
        let is_ours =
            |ingest: &&mut Ingest| matches!(&ingest.state, State::Http(http) if http.fetch == fetch);
        if self.ingests.find_mut(id).filter(is_ours).is_none() {
            return;
        }
        match fetched {
            Fetched::Head(head, _) if head.status == 200 => {}
            Fetched::Head(head, url) if head.status == via::LOOP_DETECTED => {
                self.fail_ingest(now, id, &via::closes_ring(&url));
            }
            Fetched::Head(head, url) => {
                let why = format!("{url} is answered with {}, 200 was expected", head.status);
                self.fail_ingest(now, id, &why);
            }
            Fetched::Body(bytes) => self.take_body(now, id, &bytes),
            Fetched::End | Fetched::Whole(..) => self.fail_ingest(now, id, "the stream is over"),
            Fetched::Failed(why) => self.fail_ingest(now, id, &why),
        }
    }

    fn take_body(&mut self, now: Time, id: u32, bytes: &Bytes) {
        let Some(State::Http(http)) = self.ingests.find_mut(id).map(|ingest| &mut ingest.state) else {
            return;
        };
        http.received = http.received.saturating_add(bytes.len() as u64);
        let first = http.demuxer.begin(bytes);
        let mut input = match &first {
            Ok(None) => &bytes[..],
            Ok(Some(first)) => first,
            Err(why) => {
                self.fail_ingest(now, id, why);
                return;
            }
        };
        loop {
            let Some(ingest) = self.ingests.find_mut(id) else { return };
            let State::Http(http) = &mut ingest.state else { return };
            match http.demuxer.next(&mut input) {
                Ok(Some(frame)) => {
                    if http.since.is_none() {
                        http.since = Some(now);
                        self.media_flows(now, id);
                    }
                    if !self.ingest_frame(now, id, frame) {
                        return;
                    }
                }
                Ok(None) => return,
                Err(why) => {
                    self.fail_ingest(now, id, &why);
                    return;
                }
            }
        }
    }
}

impl Demuxer {
    /// Looks what it is, if that isn't known yet. What had come before is given back with what comes now.
    fn begin(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Self::Unknown(held) = self else { return Ok(None) };
        held.extend_from_slice(bytes);
        let held = std::mem::take(held);
        *self = match held.as_slice() {
            [b'F', b'L', b'V', ..] => Self::Flv(Box::default(), Unwrap::default()),
            [TS_SYNC, _, _, ..] => Self::Ts(Box::default()),
            [_, _, _, ..] => return Err("neither FLV nor MPEG-TS, one of which was expected".to_owned()),
            _ => {
                *self = Self::Unknown(held);
                return Ok(Some(Vec::new()));
            }
        };
        Ok(Some(held))
    }

    /// The next frame of what has come.
    fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, String> {
        match self {
            Self::Unknown(_) => Ok(None),
            Self::Ts(demuxer) => {
                let no_sync = |_| "no transport stream: its packets don't begin with 0x47".to_owned();
                demuxer.handle_input(input).map_err(no_sync)
            }
            Self::Flv(demuxer, clock) => loop {
                let Some(tag) = demuxer.handle_input(input).map_err(|e| format!("FLV: {e}"))? else {
                    return Ok(None);
                };
                let dts = clock.extend(tag.timestamp_ms);
                // What is not as its codec says is left out, and the rest goes on.
                if let Ok(frame) = flv::frame(tag.kind, dts, tag.body) {
                    return Ok(Some(frame));
                }
            },
        }
    }
}
