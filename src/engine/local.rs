//! Streams that this process publishes itself: from encoders' threads, and virtual live.

use std::sync::Arc;

use log::{info, warn};

use super::encoder::Encoder;
use super::ingest::{Ingest, RETRY};
use super::timers::Alarm;
use super::{Engine, Event, FrameSource};
use crate::config::table::DEFAULT_VHOST;
use crate::config::{Ingest as IngestSettings, Input, Vhost};
use crate::error::{Code, Error, Result};
use crate::hub::{Name, Source};
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
        let id = self.encoders.insert_with(|_| Encoder { stream: 0, source: source.take(), asked: None });
        let id = id.ok_or_else(|| Error::new(Code::Limit, "too many encoders"))?;
        let published = match self.hub.publish(now, &name, &settings, Source::Encoder(id)) {
            Ok(published) => published,
            Err(_) => {
                self.encoders.remove(id);
                return Err(Error::new(Code::Busy, format!("{name} is being published")));
            }
        };
        if let Some(encoder) = self.encoders.find_mut(id) {
            encoder.stream = published.stream;
        }
        if let Some(replaced) = published.replaced {
            self.replaced(published.stream, replaced, 0);
        }
        info!("an encoder publishes {name}");
        self.begin_taps(now, published.stream);
        let event = Event::Published(self.subject(0, published.stream, &name, ""));
        self.tell(event);
        // What it had written before.
        self.drain_encoders(now);
        Ok(id)
    }

    /// The whole name of `vhost/app/stream`; an empty vhost is the default one, as is one that isn't
    /// configured.
    pub fn name(&self, vhost: &str, app: &str, stream: &str) -> Result<Name> {
        let vhost = self.vhost(vhost)?.name.clone();
        Ok(Name { vhost, app: app.to_owned(), stream: stream.to_owned() })
    }

    fn vhost(&self, name: &str) -> Result<&Arc<Vhost>> {
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
            }
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

    /// The file is closed; it is tried again later.
    pub(super) fn end_ingest(&mut self, id: u32) {
        let now = self.now();
        if let Some(ingest) = self.ingests.find_mut(id) {
            ingest.close();
            ingest.stream = None;
            self.timers.set(now + RETRY, Alarm::Ingest(id));
        }
    }

    /// Starts, stops and leaves alone virtual lives, as the settings now have them.
    pub(super) fn configure_ingests(&mut self) {
        let all = self.settings.vhosts.values().flat_map(|v| v.ingests.iter().cloned());
        let wanted: Vec<_> = all.filter(is_run_here).collect();
        for id in self.ingests.ids() {
            if self.ingests.find(id).is_some_and(|ingest| !wanted.contains(&ingest.settings))
                && let Some(ingest) = self.ingests.remove(id)
            {
                info!("ingest {} of {} stopped", ingest.settings.name, ingest.settings.input);
                if let Some(stream) = ingest.stream {
                    self.finish_local(stream, Source::Ingest(id));
                }
            }
        }
        let now = self.now();
        for settings in wanted {
            if self.ingests.iter().any(|(_, ingest)| ingest.settings == settings) {
                continue;
            }
            if let Some(id) = self.ingests.insert_with(|_| Ingest::new(settings)) {
                self.run_ingest(now, id);
            }
        }
    }

    /// Gives what is due of a virtual live, or opens it.
    pub(super) fn run_ingest(&mut self, now: Time, id: u32) {
        let Some(ingest) = self.ingests.find(id) else { return };
        if !ingest.is_open() && !self.open_ingest(now, id) {
            self.timers.set(now + RETRY, Alarm::Ingest(id));
            return;
        }
        let Some(ingest) = self.ingests.find_mut(id) else { return };
        let Some(stream) = ingest.stream else { return };
        let mut wrote = false;
        let failed = loop {
            match ingest.poll(now) {
                Ok(Some(frame)) => {
                    if let Some(found) = self.hub.stream_mut(stream) {
                        wrote |= found.write(now, frame);
                    }
                }
                Ok(None) => {
                    if let Some(due) = ingest.due() {
                        self.timers.set(due, Alarm::Ingest(id));
                    }
                    break None;
                }
                Err(e) => break Some(e.to_string()),
            }
        };
        let settings = failed.as_ref().map(|_| ingest.settings.clone());
        if wrote {
            self.mark_dirty(stream);
        }
        if let (Some(why), Some(settings)) = (failed, settings) {
            warn!(
                "ingest {} of {}: {why}; trying again in {} ms",
                settings.name,
                settings.input,
                RETRY.as_millis()
            );
            self.finish_local(stream, Source::Ingest(id));
            self.end_ingest(id);
        }
    }

    fn open_ingest(&mut self, now: Time, id: u32) -> bool {
        let Some(ingest) = self.ingests.find_mut(id) else { return false };
        let settings = ingest.settings.clone();
        if let Err(e) = ingest.open(now) {
            ingest.close();
            warn!(
                "ingest {} of {}: {e}; trying again in {} ms",
                settings.name,
                settings.input,
                RETRY.as_millis()
            );
            return false;
        }
        let Some(vhost) = self.settings.vhost(&settings.vhost).cloned() else {
            warn!("ingest {}: vhost {} is not served", settings.name, settings.vhost);
            self.close_ingest(id);
            return false;
        };
        let name = Name { vhost: vhost.name.clone(), app: settings.app, stream: settings.stream };
        let published = match self.hub.publish(now, &name, &vhost, Source::Ingest(id)) {
            Ok(published) => published,
            Err(_) => {
                warn!("ingest {}: {name} is being published", settings.name);
                self.close_ingest(id);
                return false;
            }
        };
        if let Some(replaced) = published.replaced {
            self.replaced(published.stream, replaced, 0);
        }
        if let Some(ingest) = self.ingests.find_mut(id) {
            ingest.stream = Some(published.stream);
        }
        self.begin_taps(now, published.stream);
        info!("ingest {} plays {} as {name}", settings.name, settings.input);
        let event = Event::Published(self.subject(0, published.stream, &name, ""));
        self.tell(event);
        true
    }

    fn close_ingest(&mut self, id: u32) {
        if let Some(ingest) = self.ingests.find_mut(id) {
            ingest.close();
        }
    }

    /// One of our own publishers has ended.
    fn finish_local(&mut self, stream: u32, source: Source) {
        let Some(name) = self.hub.stream(stream).map(|s| s.name().clone()) else { return };
        let now = self.now();
        if self.hub.unpublish(now, stream, source) {
            self.end_taps(now, stream);
            info!("{name} is published no longer");
            self.mark_dirty(stream);
            let event = Event::Unpublished(self.subject(0, stream, &name, ""));
            self.tell(event);
        }
    }
}

/// Whether it is for the loop: a program is for the host.
fn is_run_here(ingest: &IngestSettings) -> bool {
    match &ingest.input {
        Input::Files(_) => true,
        Input::Url(url) => {
            warn!("ingest {} of {url} is left out: a URL is not pulled yet", ingest.name);
            false
        }
        Input::Program(_) => false,
    }
}
