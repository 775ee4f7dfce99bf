//! Streams that this process publishes itself, from encoders' threads; and what every publish begins and
//! ends.

use std::sync::Arc;

use log::info;

use super::encoder::Encoder;
use super::{Engine, Event, FrameSource};
use crate::config::table::DEFAULT_VHOST;
use crate::config::{OnConflict, Vhost};
use crate::error::{Code, Error, Result};
use crate::hub::{Name, Refused, Source};
use crate::time::Time;

impl Engine {
    /// Publishes what comes from `source` as `vhost/app/stream` (an empty vhost is the default one) and
    /// answers the encoder's id. It ends when the source does.
    pub fn publish(
        &mut self,
        vhost: &str,
        app: &str,
        stream: &str,
        source: Box<dyn FrameSource>,
    ) -> Result<u32> {
        let settings = self.vhost(vhost)?.clone();
        let name = Name { vhost: settings.name.clone(), app: app.to_owned(), stream: stream.to_owned() };
        let now = self.now();
        let mut source = Some(source);
        let id = self.encoders.insert_with(|_| Encoder {
            stream: 0,
            source: source.take(),
            asked: None,
            hint: None,
        });
        let id = id.ok_or_else(|| Error::new(Code::Limit, "too many encoders"))?;
        let Ok(stream) = self.begin_publish(now, &name, &settings, Source::Encoder(id)) else {
            self.encoders.remove(id);
            return Err(Error::new(Code::Busy, format!("{name} is being published")));
        };
        if let Some(encoder) = self.encoders.find_mut(id) {
            encoder.stream = stream;
        }
        info!("an encoder publishes {name}");
        self.on_published(now, stream, &name, 0, "");
        // What it had written before.
        self.drain_encoders(now);
        Ok(id)
    }

    /// An encoder will bring video, and audio, or not: players wait for no other track.
    pub fn declare_tracks(&mut self, encoder: u32, video: bool, audio: bool) {
        let stream = self.encoders.find(encoder).map_or(0, |encoder| encoder.stream);
        if let Some(stream) = self.hub.stream_mut(stream) {
            stream.declare(video, audio);
        }
    }

    /// The whole name of `vhost/app/stream`; an empty vhost is the default one, as is one that isn't
    /// configured.
    pub fn name(&self, vhost: &str, app: &str, stream: &str) -> Result<Name> {
        let vhost = self.vhost(vhost)?.name.clone();
        Ok(Name { vhost, app: app.to_owned(), stream: stream.to_owned() })
    }

    pub(super) fn vhost(&self, name: &str) -> Result<&Arc<Vhost>> {
        let asked = if name.is_empty() { DEFAULT_VHOST } else { name };
        let found = self.settings.vhost(asked);
        found.ok_or_else(|| Error::new(Code::NotFound, format!("vhost {asked} is not configured")))
    }

    /// Takes all frames that encoders have put into their queues.
    pub(super) fn drain_encoders(&mut self, now: Time) {
        for id in self.encoders.ids() {
            let Some(encoder) = self.encoders.find_mut(id) else { continue };
            let stream = encoder.stream;
            // Asked before the queue is emptied: what was written before the end is not lost.
            let ended = encoder.source.as_ref().is_none_or(|source| source.is_ended());
            let mut wrote = false;
            while let Some(frame) = encoder.source.as_mut().and_then(|source| source.pop()) {
                if frame.is_video_key() {
                    encoder.asked = None;
                }
                if let Some(stream) = self.hub.stream_mut(stream) {
                    wrote |= stream.write(now, frame);
                }
            }
            let dropped = encoder.source.as_mut().is_some_and(|source| source.take_dropped());
            if dropped && encoder.ask(now) {
                self.tell(Event::NeedKeyframe { encoder: id });
            }
            if wrote {
                self.mark_dirty(stream);
                self.begin_hints(now, id);
            }
            self.arm_lent(stream);
            self.ask_for_key(stream);
            if ended {
                self.finish_local(stream, Source::Encoder(id));
                self.end_encoder(id);
            }
        }
    }

    /// Asks the encoder of a stream for a keyframe, if somebody waits for one.
    pub(super) fn ask_for_key(&mut self, stream: u32) {
        let Some(found) = self.hub.stream_mut(stream) else { return };
        if !found.take_wants_key() || !(found.ring().has_video() || found.totals().video_frames > 0) {
            return;
        }
        let Some(Source::Encoder(id)) = found.publisher() else { return };
        let now = self.now();
        if self.encoders.find_mut(id).is_some_and(|encoder| encoder.ask(now)) {
            self.tell(Event::NeedKeyframe { encoder: id });
        }
    }

    pub(super) fn end_encoder(&mut self, id: u32) {
        let Some(encoder) = self.encoders.remove(id) else { return };
        if let Some(mut source) = encoder.source {
            source.close();
        }
        self.tell(Event::EncoderEnded { encoder: id });
    }

    /// Lets `source` publish a stream, and answers the stream's id. Who has published it so far is told.
    pub(super) fn begin_publish(
        &mut self,
        now: Time,
        name: &Name,
        settings: &Arc<Vhost>,
        source: Source,
    ) -> std::result::Result<u32, Refused> {
        if settings.publish.on_conflict == OnConflict::Replace
            && let Some(stream) = self.hub.find(name)
        {
            self.begin_players(now, stream);
        }
        let published = self.hub.publish(now, name, settings, source)?;
        if let Some(replaced) = published.replaced {
            let by = if let Source::Client(client, _) = source { client } else { 0 };
            self.replaced(published.stream, replaced, by);
        }
        Ok(published.stream)
    }

    /// `source` no longer publishes. `false` if it wasn't the one: it had been replaced, or ended.
    pub(super) fn end_publish(&mut self, now: Time, stream: u32, source: Source) -> bool {
        if self.hub.stream(stream).is_some_and(|found| found.publisher() == Some(source)) {
            self.begin_players(now, stream);
        }
        self.hub.unpublish(now, stream, source)
    }

    /// A publish ends: players who wait to know more of its tracks begin.
    fn begin_players(&mut self, now: Time, stream: u32) {
        self.seat_players(stream);
        let Some(found) = self.hub.stream_mut(stream) else { return };
        let mut at = 0;
        while let Some(&player) = found.players().get(at) {
            at += 1;
            if let Some(conn) = self.conns.find_mut(player).filter(|conn| !conn.dead) {
                conn.begin_at_end(now, found, &mut self.frames);
            }
        }
    }

    /// A stream is being published: by `client`, or by this process if that is 0.
    pub(super) fn on_published(&mut self, now: Time, stream: u32, name: &Name, client: u32, param: &str) {
        if let Some(found) = self.hub.stream_mut(stream) {
            found.set_param(param);
        }
        self.begin_taps(now, stream);
        self.tell_players(stream, true);
        let event = Event::Published(self.subject(client, stream, name, param));
        self.tell(event);
        self.begin_forwards(now, stream, name);
    }

    /// It is published no longer.
    pub(super) fn on_unpublished(&mut self, now: Time, stream: u32, name: &Name, client: u32) {
        self.end_taps(now, stream);
        self.mark_dirty(stream);
        self.tell_players(stream, false);
        self.end_forwards(now, name);
        let event = Event::Unpublished(self.subject(client, stream, name, ""));
        self.tell(event);
        self.pull_again(now, name);
    }

    /// One of our own publishers has ended.
    pub(super) fn finish_local(&mut self, stream: u32, source: Source) {
        let Some(name) = self.hub.stream(stream).map(|s| s.name().clone()) else { return };
        let now = self.now();
        if self.end_publish(now, stream, source) {
            info!("{name} is published no longer");
            self.on_unpublished(now, stream, &name, 0);
        }
    }
}
