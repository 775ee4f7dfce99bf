//! Vhosts, streams, clients, ingests and forwards: those of the API, and a client's end.

use std::time::Duration;

use super::{Engine, Found, NO_CLIENT, NO_STREAM, NO_VHOST, Word, names, now_ms};
use crate::config::Vhost;
use crate::engine::conn::Conn;
use crate::engine::format::Format;
use crate::engine::rates::{Rates, Traffic, Whose};
use crate::engine::relays::{Direction, RelayInfo, RelayState};
use crate::engine::session::Session;
use crate::engine::web::live::Container;
use crate::http::Request;
use crate::http::json::{Object, Value};
use crate::hub::{Source, Stream};
use crate::media::{AudioTrack, VideoTrack};
use crate::time::Time;

/// What a list has where nothing is said.
const COUNT: usize = 10;
/// What one list has at most.
const COUNT_MAX: usize = 10_000;

impl Engine {
    pub(super) fn vhosts(&self, now: Time, wanted: &str) -> Found {
        let Some(rates) = &self.rates else { return Found::Nothing };
        let mut all = self.settings.vhosts.values().filter(|vhost| vhost.enabled);
        if wanted.is_empty() {
            return Found::Text(self.envelope(|root| {
                let mut list = root.key("vhosts").array();
                all.for_each(|vhost| self.put_vhost(now, rates, vhost, &mut list.item().object()));
            }));
        }
        match all.find(|vhost| self.vhost_id(&vhost.name) == wanted) {
            Some(vhost) => Found::Text(self.envelope(|root| {
                self.put_vhost(now, rates, vhost, &mut root.key("vhost").object());
            })),
            None => Found::Code(NO_VHOST),
        }
    }

    pub(super) fn list_streams(&self, now: Time, wanted: &str, request: &Request) -> Found {
        let Some(rates) = &self.rates else { return Found::Nothing };
        if wanted.is_empty() {
            return Found::Text(self.envelope(|root| {
                let mut list = root.key("streams").array();
                for (id, stream) in page(self.hub.iter(), request) {
                    self.put_stream(now, rates, id, stream, request, &mut list.item().object());
                }
            }));
        }
        let id = wanted.strip_prefix("vid-").and_then(number);
        match id.and_then(|id| Some((id, self.hub.stream(id)?))) {
            Some((id, stream)) => Found::Text(self.envelope(|root| {
                self.put_stream(now, rates, id, stream, request, &mut root.key("stream").object());
            })),
            None => Found::Code(NO_STREAM),
        }
    }

    pub(super) fn list_clients(&self, now: Time, wanted: &str, request: &Request) -> Found {
        let Some(rates) = &self.rates else { return Found::Nothing };
        let with_stream = |id: u32| {
            let conn = self.conns.find(id).filter(|conn| !conn.dead)?;
            let stream = conn.stream()?;
            Some((id, conn, stream, self.hub.stream(stream)?))
        };
        if wanted.is_empty() {
            let ids = self.conns.iter().map(|(id, _)| id).filter(|id| with_stream(*id).is_some());
            #[cfg(feature = "hls")]
            let ids = ids.chain(self.hls_clients().map(|(id, _)| id));
            return Found::Text(self.envelope(|root| {
                let mut list = root.key("clients").array();
                for id in page(ids, request) {
                    match with_stream(id) {
                        Some((id, conn, sid, stream)) => {
                            self.put_client(now, rates, (id, conn), (sid, stream), &mut list.item().object());
                        }
                        #[cfg(feature = "hls")]
                        None => self.put_hls_client(now, rates, id, &mut list.item().object()),
                        #[cfg(not(feature = "hls"))]
                        None => {}
                    }
                }
            }));
        }
        let Some(id) = number(wanted) else { return Found::Code(NO_CLIENT) };
        match with_stream(id) {
            Some((id, conn, sid, stream)) => Found::Text(self.envelope(|root| {
                self.put_client(now, rates, (id, conn), (sid, stream), &mut root.key("client").object());
            })),
            #[cfg(feature = "hls")]
            None if self.hls_clients().any(|(hls, _)| hls == id) => Found::Text(self.envelope(|root| {
                self.put_hls_client(now, rates, id, &mut root.key("client").object());
            })),
            None => Found::Code(NO_CLIENT),
        }
    }

    /// Ingests and forwards, which SRS has no list of.
    pub(super) fn list_relays(&self, wanted: &str, request: &Request) -> Found {
        if wanted.is_empty() {
            return Found::Text(self.envelope(|root| {
                let mut list = root.key("relays").array();
                let all = page(self.relay_ids().into_iter(), request).filter_map(|id| self.relay(id));
                all.for_each(|relay| self.put_relay(&relay, &mut list.item().object()));
            }));
        }
        match number(wanted).and_then(|id| self.relay(id)) {
            Some(relay) => Found::Text(self.envelope(|root| {
                self.put_relay(&relay, &mut root.key("relay").object());
            })),
            None => Found::Code(NO_STREAM),
        }
    }

    pub(super) fn kick_client(&mut self, wanted: &str) -> Found {
        #[cfg(feature = "hls")]
        if number(wanted).is_some_and(|id| self.kick_hls(id)) {
            return Found::Text(self.envelope(|_| {}));
        }
        let is_there =
            |id: &u32| self.conns.find(*id).is_some_and(|conn| !conn.dead && conn.stream().is_some());
        let Some(id) = number(wanted).filter(is_there) else { return Found::Code(NO_CLIENT) };
        self.doom(id, "kicked through the API");
        Found::Text(self.envelope(|_| {}))
    }

    /// It stays the same as long as the engine runs.
    fn vhost_id(&self, name: &str) -> String {
        // FNV-1a: the engine's own hash wants a number.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("vid-{}", Word(self.entropy(hash), 7))
    }

    fn put_vhost(&self, now: Time, rates: &Rates, vhost: &Vhost, out: &mut Object<'_>) {
        let streams = || self.hub.iter().filter(|(_, stream)| stream.name().vhost == vhost.name);
        let (traffic, kbps) = self.traffic_of_vhost(now, &vhost.name, rates);
        out.key("id").str(&self.vhost_id(&vhost.name));
        out.key("name").str(&vhost.name);
        out.key("enabled").bool(vhost.enabled);
        let all = |stream: &Stream| clients(stream) + u64::from(self.hls_viewers(stream.name()));
        out.key("clients").uint(streams().map(|(_, stream)| all(stream)).sum());
        out.key("streams").uint(streams().count() as u64);
        put_traffic(traffic, kbps, out);
        let mut hls = out.key("hls").object();
        hls.key("enabled").bool(vhost.hls.is_some());
        if let Some(settings) = &vhost.hls {
            hls.key("fragment").fixed(settings.fragment.as_secs_f64(), 2);
        }
    }

    fn put_stream(
        &self,
        now: Time,
        rates: &Rates,
        id: u32,
        stream: &Stream,
        request: &Request,
        out: &mut Object<'_>,
    ) {
        let name = stream.name();
        let client = match stream.publisher() {
            Some(Source::Client(client, _)) => Some(client),
            _ => None,
        };
        let tc_url = client.and_then(|id| self.conns.find(id)).map(|conn| conn.session.urls().0);
        let (traffic, _) = self.traffic_of(id, stream, rates);
        let kbps = rates.kbps(now, Whose::Stream(id), stream.born(), traffic);
        out.key("id").str(&stream_id(id));
        out.key("name").str(&name.stream);
        out.key("vhost").str(&self.vhost_id(&name.vhost));
        out.key("app").str(&name.app);
        out.key("tcUrl").str(&tc_url.unwrap_or_else(|| format!("rtmp://{}/{}", request.host(), name.app)));
        out.key("url").str(&format!("/{}/{}", name.app, name.stream));
        // The time of this answer, as SRS has it.
        out.key("live_ms").uint(now_ms());
        out.key("clients").uint(clients(stream) + u64::from(self.hls_viewers(name)));
        out.key("frames").uint(stream.totals().video_frames);
        put_traffic(traffic, kbps, out);
        {
            let mut publish = out.key("publish").object();
            publish.key("active").bool(stream.publisher().is_some());
            publish.key("cid").str(&client.map(|id| id.to_string()).unwrap_or_default());
        }
        put_video(stream.video(), out.key("video"));
        let header = stream.ring().headers().audio.as_ref();
        put_audio(stream.audio(), header.map(|frame| frame.payload.bytes()).as_deref(), out.key("audio"));
        // SRS has no such keys: they are there only if something is wrong.
        let rate_hint = self.rate_hint(stream);
        if rate_hint > 0 {
            out.key("rate_hint").uint(rate_hint.into());
        }
        #[cfg(feature = "hls")]
        if let Some(why) = self.hls_trouble(name) {
            out.key("hls").object().key("error").str(why);
        }
    }

    fn put_relay(&self, relay: &RelayInfo, out: &mut Object<'_>) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        out.key("id").str(&relay.id.to_string());
        out.key("type").str(match relay.direction {
            Direction::Ingest => "ingest",
            Direction::Forward => "forward",
        });
        out.key("vhost").str(&self.vhost_id(&relay.name.vhost));
        out.key("app").str(&relay.name.app);
        out.key("name").str(&relay.name.stream);
        out.key("stream").str(&Some(relay.stream).filter(|id| *id != 0).map(stream_id).unwrap_or_default());
        out.key("url").str(&relay.url);
        out.key("state").str(match relay.state {
            RelayState::Idle => "idle",
            RelayState::Connecting => "connecting",
            RelayState::Running => "running",
            RelayState::Waiting => "waiting",
            RelayState::Ended => "ended",
        });
        out.key("reason").str(&relay.reason);
        out.key("next_ms").uint(ms(relay.next));
        out.key("running_ms").uint(ms(relay.running));
        out.key("failures").uint(relay.failures.into());
        out.key("starts").uint(relay.starts.into());
        out.key("skips").uint(relay.skips.into());
        out.key("bytes").uint(relay.bytes);
    }

    /// A player of HLS, who has no connection of its own.
    #[cfg(feature = "hls")]
    fn put_hls_client(&self, now: Time, rates: &Rates, id: u32, out: &mut Object<'_>) {
        let Some((_, player)) = self.hls_clients().find(|(hls, _)| *hls == id) else { return };
        let name = &player.name;
        let traffic = Traffic { received: 0, sent: player.sent };
        out.key("id").str(&id.to_string());
        out.key("vhost").str(&self.vhost_id(&name.vhost));
        out.key("stream").str(&self.hub.find(name).map(stream_id).unwrap_or_default());
        out.key("ip").str(&player.address.ip().to_canonical().to_string());
        out.key("pageUrl").str(&player.page_url);
        out.key("swfUrl").str("");
        out.key("tcUrl").str(&player.tc_url);
        out.key("url").str(&format!("/{}/{}", name.app, name.stream));
        out.key("name").str(&format!("{}.m3u8", name.stream));
        out.key("type").str("hls-play");
        out.key("publish").bool(false);
        out.key("alive").fixed(now.since(player.began).as_secs_f64(), 2);
        out.key("send_bytes").uint(traffic.sent);
        out.key("recv_bytes").uint(traffic.received);
        put_kbps(rates.kbps(now, Whose::Client(id), player.began, traffic), out);
    }

    fn put_client(
        &self,
        now: Time,
        rates: &Rates,
        (id, conn): (u32, &Conn),
        (sid, stream): (u32, &Stream),
        out: &mut Object<'_>,
    ) {
        let name = stream.name();
        let (tc_url, page_url) = conn.session.urls();
        let traffic = Traffic { received: conn.session.received(), sent: conn.sent };
        out.key("id").str(&id.to_string());
        out.key("vhost").str(&self.vhost_id(&name.vhost));
        out.key("stream").str(&stream_id(sid));
        out.key("ip").str(&conn.peer.ip().to_canonical().to_string());
        out.key("pageUrl").str(&page_url);
        out.key("swfUrl").str("");
        out.key("tcUrl").str(&tc_url);
        out.key("url").str(&format!("/{}/{}", name.app, name.stream));
        let (kind, suffix) = kind_of(conn);
        out.key("name").str(&format!("{}{suffix}", name.stream));
        out.key("type").str(kind);
        out.key("publish").bool(conn.play.is_none());
        out.key("alive").fixed(now.since(conn.began).as_secs_f64(), 2);
        out.key("send_bytes").uint(traffic.sent);
        out.key("recv_bytes").uint(traffic.received);
        put_kbps(rates.kbps(now, Whose::Client(id), conn.began, traffic), out);
    }
}

impl Conn {
    /// What it plays, or else publishes.
    fn stream(&self) -> Option<u32> {
        let published = self.publishes.first().map(|(_, stream)| *stream);
        self.play.as_ref().map(|playing| playing.stream).or(published)
    }
}

/// SRS's word for what a client does, and what stands behind the stream's name in the path it asked for.
fn kind_of(conn: &Conn) -> (&'static str, &'static str) {
    match &conn.play {
        Some(playing) => match playing.format {
            Format::Rtmp { .. } => ("rtmp-play", ""),
            Format::Http(live) => match live.container {
                Container::Flv => ("flv-play", ".flv"),
                Container::Ts => ("ts-play", ".ts"),
                Container::Aac => ("aac-play", ".aac"),
                Container::Mp3 => ("mp3-play", ".mp3"),
                Container::Mp4 => ("mp4-play", ".mp4"),
            },
        },
        None => {
            // Flash itself names a system and a version; all others call themselves an encoder.
            let flash = ["WIN ", "MAC ", "LNX ", "AND "];
            let is_flash = matches!(&conn.session, Session::Rtmp(session)
                if session.client().is_some_and(|c| flash.iter().any(|word| c.flash_ver.starts_with(word))));
            (if is_flash { "flash-publish" } else { "fmle-publish" }, "")
        }
    }
}

/// Players, and the publisher where it came over the network.
fn clients(stream: &Stream) -> u64 {
    let publisher = matches!(stream.publisher(), Some(Source::Client(..)));
    stream.viewers() as u64 + u64::from(publisher)
}

fn put_traffic(traffic: Traffic, kbps: [u64; 2], out: &mut Object<'_>) {
    out.key("send_bytes").uint(traffic.sent);
    out.key("recv_bytes").uint(traffic.received);
    put_kbps(kbps, out);
}

fn put_kbps([received, sent]: [u64; 2], out: &mut Object<'_>) {
    let mut kbps = out.key("kbps").object();
    kbps.key("recv_30s").uint(received);
    kbps.key("send_30s").uint(sent);
}

/// What is known of a video track; also for the page.
pub(in crate::engine::web) fn put_video(video: Option<&VideoTrack>, out: Value<'_>) {
    let Some(video) = video else { return out.null() };
    let mut out = out.object();
    out.key("codec").str(&video.codec.to_string());
    out.key("profile").str(names::video_profile(video));
    out.key("level").str(&names::video_level(video));
    out.key("width").uint(video.width.into());
    out.key("height").uint(video.height.into());
}

/// What is known of an audio track; also for the page.
pub(in crate::engine::web) fn put_audio(audio: Option<&AudioTrack>, header: Option<&[u8]>, out: Value<'_>) {
    let Some(audio) = audio else { return out.null() };
    let mut out = out.object();
    out.key("codec").str(&audio.codec.to_string());
    out.key("sample_rate").uint(audio.sample_rate.into());
    out.key("channel").uint(audio.channels.into());
    out.key("profile").str(names::audio_profile(audio, header));
}

/// The part of a list that is asked for by `start` and `count`.
fn page<T>(all: impl Iterator<Item = T>, request: &Request) -> impl Iterator<Item = T> {
    let asked = |name: &str| request.query_value(name).and_then(|value| value.parse::<usize>().ok());
    let count = asked("count").filter(|count| *count > 0).unwrap_or(COUNT);
    all.skip(asked("start").unwrap_or(0)).take(count.min(COUNT_MAX))
}

fn stream_id(id: u32) -> String {
    format!("vid-{id}")
}

/// An id in decimal, as it is written and no other way.
fn number(text: &str) -> Option<u32> {
    let id: u32 = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_as_asked() {
        let of = |query: &str| {
            let request = Request { query: query.into(), ..Request::default() };
            page(0..20_000, &request).fold((None, 0), |(first, n), i| (first.or(Some(i)), n + 1))
        };
        assert_eq!(of(""), (Some(0), 10));
        assert_eq!(of("start=5&count=2"), (Some(5), 2));
        assert_eq!(of("start=19998"), (Some(19_998), 2));
        assert_eq!(of("start=20000"), (None, 0));
        assert_eq!(of("count=0"), (Some(0), 10));
        assert_eq!(of("start=-1&count=x"), (Some(0), 10));
        assert_eq!(of("count=999999999"), (Some(0), COUNT_MAX));
    }

    #[test]
    fn an_id_has_one_form() {
        assert_eq!(number("1048577"), Some(1_048_577));
        for bad in ["", "+1", "01", "4294967296", "1/2", "x"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
