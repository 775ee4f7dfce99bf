//! What RTMP clients say, and what they are granted.

use log::{info, warn};

use super::clients::hub_name;
use super::conn::{Playing, STALL_MIN, Wish};
use super::format::{Format, Rtmp};
use super::{Engine, Event};
use crate::hub::{Refused, Source};
use crate::rtmp::server::{ConnectOptions, ConnectRequest, Event as Said, PublishOptions, StreamRequest};
use crate::time::Time;

impl Engine {
    pub(super) fn on_said(&mut self, now: Time, id: u32, said: Said) {
        match said {
            Said::Connect(request) => self.wish(now, id, Wish::Connect(request)),
            Said::Publish(request) => self.wish(now, id, Wish::Publish(request)),
            Said::Play(request) => self.wish(now, id, Wish::Play(request)),
            Said::Frame { stream, frame, atc } => {
                let Some(sid) = self.published_by(id, stream) else { return };
                let Some(found) = self.hub.stream_mut(sid) else { return };
                if atc {
                    found.metadata_says_atc(atc);
                }
                if found.write(now, frame) {
                    self.mark_dirty(sid);
                }
            }
            Said::Bad { kind, cause, .. } => {
                let Some(conn) = self.conns.find_mut(id) else { return };
                conn.bad_frames = conn.bad_frames.saturating_add(1);
                if conn.bad_frames.is_power_of_two() {
                    warn!(id = id; "{kind:?} frame left out: {cause} ({} so far)", conn.bad_frames);
                }
            }
            Said::Unpublish { stream } => self.unpublish(now, id, stream),
            Said::Stop { .. } => self.stop_play(now, id),
            Said::Pause { paused, .. } => {
                self.with_player(now, id, |player, head| player.pause(paused, head))
            }
            Said::Receive { kind, wanted, .. } => {
                self.with_player(now, id, |player, head| player.receive(kind, wanted, head));
            }
        }
    }

    pub(super) fn grant_connect(&mut self, now: Time, id: u32, request: &ConnectRequest) {
        let Some(vhost) = self.settings.vhost(&request.name.vhost).cloned() else {
            self.refuse(id, "the vhost is no longer served");
            return;
        };
        let Some(conn) = self.conns.find_mut(id) else { return };
        let options = ConnectOptions {
            chunk_size: vhost.chunk_size,
            in_ack_size: vhost.in_ack_size,
            out_ack_size: vhost.out_ack_size,
        };
        let Some(session) = conn.session.rtmp() else { return };
        session.accept_connect(now, &options);
        if !vhost.tcp_nodelay {
            // A failure costs latency, nothing else.
            let _ = conn.link.socket().set_nodelay(false);
        }
        conn.connected = true;
        info!(id = id; "connected to {}/{} by {:?}", vhost.name, request.name.app, request.flash_ver);
        let event =
            Event::Connected(self.subject(id, 0, &hub_name(&vhost.name, &request.name), &request.name.param));
        self.tell(event);
    }

    pub(super) fn grant_publish(&mut self, now: Time, id: u32, request: &StreamRequest) {
        let Some(vhost) = self.settings.vhost(&request.name.vhost).cloned() else {
            self.refuse(id, "the vhost is no longer served");
            return;
        };
        let name = hub_name(&vhost.name, &request.name);
        let source = Source::Client(id, request.stream);
        let stream = match self.begin_publish(now, &name, &vhost, source) {
            Ok(stream) => stream,
            Err(Refused::Busy) => {
                warn!(id = id; "publish of {name} refused: the stream is being published");
                self.refuse(id, "The stream is being published.");
                return;
            }
            Err(Refused::Full) => {
                warn!(id = id; "publish of {name} refused: too many streams");
                self.refuse(id, "Too many streams.");
                return;
            }
        };
        let Some(conn) = self.conns.find_mut(id) else { return };
        conn.publishes.push((request.stream, stream));
        let options =
            PublishOptions { first: vhost.publish.firstpkt_timeout, normal: vhost.publish.normal_timeout };
        let Some(session) = conn.session.rtmp() else { return };
        session.accept_publish(now, options);
        info!(id = id; "publishes {name}");
        self.watch_idle(stream);
        self.on_published(now, stream, &name, id, &request.name.param);
    }

    pub(super) fn grant_play(&mut self, now: Time, id: u32, request: &StreamRequest) {
        let Some(vhost) = self.settings.vhost(&request.name.vhost).cloned() else {
            self.refuse(id, "the vhost is no longer served");
            return;
        };
        let name = hub_name(&vhost.name, &request.name);
        let Some((stream, player)) = self.hub.play(now, &name, &vhost, id) else {
            warn!(id = id; "play of {name} refused: too many streams");
            self.refuse(id, "Too many streams.");
            return;
        };
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Some(session) = conn.session.rtmp() else { return };
        session.accept_play();
        let format = Format::Rtmp(Rtmp::player(request.stream, session.chunk_size()));
        conn.play(Playing::new(stream, player, format));
        conn.stall = vhost.play.queue_length.max(STALL_MIN);
        if let Some(found) = self.hub.stream_mut(stream) {
            found.attach(format.lane(), || format.mux());
        }
        info!(id = id; "plays {name}");
        self.viewed(now, &name, &request.name.param, false);
        self.ask_for_key(stream);
        let event = Event::Play(self.subject(id, stream, &name, &request.name.param));
        self.tell(event);
    }

    fn with_player(&mut self, now: Time, id: u32, change: impl FnOnce(&mut crate::hub::Player, u64)) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Some(playing) = &mut conn.play else { return };
        let Some(stream) = self.hub.stream(playing.stream) else { return };
        change(&mut playing.player, stream.ring().head());
        self.flush_conn(now, id);
    }

    fn published_by(&self, id: u32, message_stream: u32) -> Option<u32> {
        let conn = self.conns.find(id)?;
        conn.publishes.iter().find(|(ms, _)| *ms == message_stream).map(|(_, stream)| *stream)
    }
}
