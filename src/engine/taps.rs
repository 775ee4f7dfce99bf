//! What is made of a stream in this process besides its players' images: HLS segments and recordings.
//!
//! A tap reads the stream's ring like a player, but whenever there is something, and is never behind.

use smallvec::SmallVec;

use super::Engine;
#[cfg(any(feature = "hls", feature = "dvr"))]
use super::sys;
#[cfg(any(feature = "hls", feature = "dvr"))]
use crate::hub::Name;
#[cfg(any(feature = "hls", feature = "dvr"))]
use crate::media::Headers;
use crate::time::Time;

/// What reads one stream while it is published.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// The frame that they are given next.
    cursor: u64,
    #[cfg(feature = "hls")]
    pub(super) hls: SmallVec<[u32; 1]>,
    #[cfg(feature = "dvr")]
    pub(super) dvr: SmallVec<[u32; 1]>,
}

impl Taps {
    fn is_empty(&self) -> bool {
        let empty = true;
        #[cfg(feature = "hls")]
        let empty = empty && self.hls.is_empty();
        #[cfg(feature = "dvr")]
        let empty = empty && self.dvr.is_empty();
        empty
    }
}

impl Engine {
    /// A publish of this stream has begun, or one that goes on is to be read from now on.
    pub(super) fn begin_taps(&mut self, now: Time, id: u32) {
        self.end_taps(now, id);
        let Some(stream) = self.hub.stream(id) else { return };
        if stream.publisher().is_none() {
            return;
        }
        let (name, vhost) = (stream.name().clone(), stream.settings().clone());
        let (headers, cursor) = (stream.ring().headers().clone(), stream.ring().head());
        let taps = Taps {
            cursor,
            #[cfg(feature = "hls")]
            hls: self.begin_hls(now, &name, &vhost, &headers),
            #[cfg(feature = "dvr")]
            dvr: self.begin_dvr(now, &name, &vhost, &headers),
        };
        if !taps.is_empty() {
            self.taps.insert(id, taps);
            self.hub.tap(id, true);
        }
    }

    /// One more reads a stream that is published, and the others go on as they were; `add` puts it among them
    /// and begins it with the headers in force.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn join_taps(&mut self, now: Time, id: u32, add: impl FnOnce(&mut Self, &mut Taps, &Headers)) {
        self.run_taps(now, id);
        let Some(stream) = self.hub.stream(id).filter(|stream| stream.publisher().is_some()) else { return };
        let (headers, cursor) = (stream.ring().headers().clone(), stream.ring().head());
        let mut taps = self.taps.remove(&id).unwrap_or(Taps { cursor, ..Taps::default() });
        add(self, &mut taps, &headers);
        self.taps.insert(id, taps);
        self.hub.tap(id, true);
    }

    /// One reads its stream no longer; `remove` takes it from among the others.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn leave_taps(&mut self, name: &Name, remove: impl FnOnce(&mut Taps)) {
        let Some(id) = self.hub.find(name) else { return };
        let Some(taps) = self.taps.get_mut(&id) else { return };
        remove(taps);
        if taps.is_empty() {
            self.taps.remove(&id);
            self.hub.tap(id, false);
        }
    }

    /// The publish of this stream has ended: what is left of it is read, and that is all.
    pub(super) fn end_taps(&mut self, now: Time, id: u32) {
        self.run_taps(now, id);
        let Some(taps) = self.taps.remove(&id) else { return };
        #[cfg(feature = "hls")]
        taps.hls.iter().for_each(|hls| self.end_hls(now, *hls));
        #[cfg(feature = "dvr")]
        taps.dvr.iter().for_each(|dvr| self.end_dvr(now, *dvr));
        drop(taps);
        self.hub.tap(id, false);
    }

    /// Gives the taps of a stream what has come.
    pub(super) fn run_taps(&mut self, now: Time, id: u32) {
        let Some(taps) = self.taps.get_mut(&id) else { return };
        let Some(stream) = self.hub.stream(id) else { return };
        let ring = stream.ring();
        let from = taps.cursor.max(ring.base());
        taps.cursor = ring.head();
        if from == ring.head() {
            return;
        }
        #[cfg(any(feature = "hls", feature = "dvr"))]
        let when = sys::calendar(self.settings.utc_time);
        for frame in (from..ring.head()).filter_map(|seq| ring.frame(seq)) {
            #[cfg(feature = "hls")]
            for hls in &taps.hls {
                if let Some(segments) = self.segments.find_mut(*hls) {
                    segments.writer.write(&when, frame);
                }
            }
            #[cfg(feature = "dvr")]
            for dvr in &taps.dvr {
                if let Some(recording) = self.recordings.find_mut(*dvr) {
                    recording.recorder.write(now, &when, frame);
                }
            }
            #[cfg(not(any(feature = "hls", feature = "dvr")))]
            let _ = frame;
        }
        #[cfg(feature = "hls")]
        for hls in taps.hls.clone() {
            self.drain_hls(now, hls);
        }
        #[cfg(feature = "dvr")]
        for dvr in self.taps.get(&id).map(|taps| taps.dvr.clone()).unwrap_or_default() {
            self.drain_dvr(dvr);
        }
        let _ = now;
        if let Some(stream) = self.hub.stream_mut(id) {
            stream.release();
        }
    }

    /// The loop ends: what reads streams, or the host's frames, ends what it has begun.
    pub(super) fn stop_taps(&mut self) {
        let now = self.now();
        for id in self.hub.ids() {
            self.end_taps(now, id);
        }
        #[cfg(feature = "hls")]
        for id in self.segments.ids() {
            if self.segments.find(id).is_some_and(|segments| segments.live) {
                self.end_hls(now, id);
            }
        }
        #[cfg(feature = "dvr")]
        self.recordings.ids().into_iter().for_each(|id| self.stop_dvr(now, id));
    }

    /// The settings have changed: streams that are published are read by them from now on.
    pub(super) fn configure_taps(&mut self, now: Time) {
        #[cfg(feature = "hls")]
        self.configure_hls(now);
        for id in self.hub.ids() {
            if self.wants_other_taps(id) {
                self.begin_taps(now, id);
            }
        }
    }

    /// Whether what reads the stream is not what the settings ask for.
    fn wants_other_taps(&self, id: u32) -> bool {
        let Some(stream) = self.hub.stream(id).filter(|stream| stream.publisher().is_some()) else {
            return false;
        };
        let taps = self.taps.get(&id);
        let other = false;
        #[cfg(feature = "hls")]
        let other = other || !self.hls_is_as_set(stream, taps.map_or(&[], |taps| &taps.hls));
        #[cfg(feature = "dvr")]
        let other = other || !self.dvr_is_as_set(stream, taps.map_or(&[], |taps| &taps.dvr));
        let _ = (stream, taps);
        other
    }
}
