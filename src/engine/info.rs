//! What the host can ask: totals, streams, clients.

use super::Engine;
use super::conn::Conn;
use super::event::{ClientInfo, Doing, Stats, StreamInfo};
#[cfg(all(feature = "hls", feature = "http"))]
use super::web::hls::HlsPlayer;
use crate::hub::{Name, Source, Stream};

impl Engine {
    /// What the engine has done and holds.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            uptime_us: self.now().as_micros(),
            connections: self.conns.len() as u32,
            accepted: self.totals.accepted,
            refused: self.totals.refused,
            streams: self.hub.len() as u32,
            received: self.totals.received,
            sent: self.totals.sent,
            ..Stats::default()
        };
        for (_, conn) in self.conns.iter() {
            stats.received = stats.received.saturating_add(conn.session.received());
            stats.sent = stats.sent.saturating_add(conn.sent);
        }
        for (_, stream) in self.hub.iter() {
            stats.publishers += u32::from(stream.publisher().is_some());
            stats.players += stream.viewers() as u32;
            stats.media_bytes += held(stream);
        }
        stats
    }

    /// All streams, published or waited for.
    pub fn streams(&self) -> Vec<StreamInfo> {
        self.hub.iter().map(|(id, stream)| self.stream_info(id, stream)).collect()
    }

    /// The ids of all streams.
    pub fn stream_ids(&self) -> Vec<u32> {
        self.hub.iter().map(|(id, _)| id).collect()
    }

    /// One stream.
    pub fn stream(&self, id: u32) -> Option<StreamInfo> {
        self.hub.stream(id).map(|stream| self.stream_info(id, stream))
    }

    /// All clients that have connected.
    pub fn clients(&self) -> Vec<ClientInfo> {
        let connected = self.connected().map(|(id, conn)| self.client_info(id, conn));
        #[cfg(all(feature = "hls", feature = "http"))]
        let connected =
            connected.chain(self.hls_clients().map(|(id, player)| self.hls_client_info(id, player)));
        connected.collect()
    }

    /// The ids of all clients that have connected.
    pub fn client_ids(&self) -> Vec<u32> {
        let connected = self.connected().map(|(id, _)| id);
        #[cfg(all(feature = "hls", feature = "http"))]
        let connected = connected.chain(self.hls_clients().map(|(id, _)| id));
        connected.collect()
    }

    /// One client.
    pub fn client(&self, id: u32) -> Option<ClientInfo> {
        let found = self.conns.find(id).filter(|conn| conn.is_client());
        let found = found.map(|conn| self.client_info(id, conn));
        #[cfg(all(feature = "hls", feature = "http"))]
        let found = found.or_else(|| {
            self.hls_clients()
                .find(|(hls, _)| *hls == id)
                .map(|(id, player)| self.hls_client_info(id, player))
        });
        found
    }

    #[cfg(all(feature = "hls", feature = "http"))]
    pub(super) fn hls_clients(&self) -> impl Iterator<Item = (u32, &HlsPlayer)> {
        self.hls_players.iter().filter(|(_, player)| !player.is_kicked())
    }

    #[cfg(all(feature = "hls", feature = "http"))]
    fn hls_client_info(&self, id: u32, player: &HlsPlayer) -> ClientInfo {
        ClientInfo {
            id,
            address: player.address,
            doing: Doing::Playing,
            stream: self.hub.find(&player.name).unwrap_or(0),
            name: player.name.clone(),
            received: 0,
            sent: player.sent,
            skips: 0,
            alive_us: u64::try_from(self.now().since(player.began).as_micros()).unwrap_or(u64::MAX),
        }
    }

    fn connected(&self) -> impl Iterator<Item = (u32, &Conn)> {
        self.conns.iter().filter(|(_, conn)| conn.is_client())
    }

    fn stream_info(&self, id: u32, stream: &Stream) -> StreamInfo {
        let totals = stream.totals();
        let live = stream.publisher().map_or(0, |_| {
            u64::try_from(self.now().since(stream.publish_began()).as_micros()).unwrap_or(u64::MAX)
        });
        StreamInfo {
            id,
            name: stream.name().clone(),
            published: stream.publisher().is_some(),
            publisher: if let Some(Source::Client(client, _)) = stream.publisher() { client } else { 0 },
            players: stream.viewers() as u32 + self.hls_viewers(stream.name()),
            video: stream.video().cloned(),
            audio: stream.audio().cloned(),
            video_frames: totals.video_frames,
            audio_frames: totals.audio_frames,
            received: totals.bytes,
            dropped: totals.dropped,
            held: held(stream),
            live_us: live,
            rate_hint: self.rate_hint(stream),
        }
    }

    /// The bitrate that was hinted to the encoder of a stream, 0 if none.
    pub(super) fn rate_hint(&self, stream: &Stream) -> u32 {
        let Some(Source::Encoder(id)) = stream.publisher() else { return 0 };
        let hint = self.encoders.find(id).and_then(|encoder| encoder.hint.as_ref());
        hint.map_or(0, |hint| hint.told())
    }

    /// Players of HLS, as far as they are known.
    pub(super) fn hls_viewers(&self, _name: &Name) -> u32 {
        #[cfg(all(feature = "hls", feature = "http"))]
        return self.hls_clients().filter(|(_, player)| player.name == *_name).count() as u32;
        #[cfg(not(all(feature = "hls", feature = "http")))]
        0
    }

    fn client_info(&self, id: u32, conn: &Conn) -> ClientInfo {
        let (doing, stream) = match (&conn.play, conn.publishes.first()) {
            (Some(playing), _) => (Doing::Playing, playing.stream),
            (None, Some((_, stream))) => (Doing::Publishing, *stream),
            (None, None) => (Doing::Idle, 0),
        };
        let name = self.hub.stream(stream).map(|s| s.name().clone()).unwrap_or_else(|| {
            let name = conn.session.name();
            let vhost = self.settings.vhost(&name.vhost).map_or(name.vhost, |v| v.name.clone());
            Name { vhost, app: name.app, stream: String::new() }
        });
        ClientInfo {
            id,
            address: conn.peer,
            doing,
            stream,
            name,
            received: conn.session.received(),
            sent: conn.sent,
            skips: conn.play.as_ref().map_or(0, |playing| playing.player.skips()),
            alive_us: u64::try_from(self.now().since(conn.began).as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn held(stream: &Stream) -> u64 {
    stream.ring().bytes() as u64 + stream.lane_bytes() as u64
}
