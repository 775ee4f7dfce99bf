//! What is made of a stream in this process besides its players' images: HLS segments and recordings.
//!
//! A tap reads the stream's ring like a player, but whenever there is something, and is never behind.

use smallvec::SmallVec;

use super::{Engine, sys};
use crate::time::Time;

/// What reads one stream while it is published.
#[derive(Debug, Default)]
pub(super) struct Taps {
    /// The frame that they are given next.
    cursor: u64,
    #[cfg(feature = "hls")]
    hls: SmallVec<[u32; 1]>,
    #[cfg(feature = "dvr")]
    dvr: SmallVec<[u32; 1]>,
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
    /// A publish of this stream has begun.
    pub(super) fn begin_taps(&mut self, now: Time, id: u32) {
        self.end_taps(now, id);
        self.set_taps(now, id);
    }

    /// Has the stream, if it is published, read by whoever should read it now. Who reads it already goes on.
    pub(super) fn set_taps(&mut self, now: Time, id: u32) {
        self.run_taps(now, id);
        let Some(stream) = self.hub.stream(id) else { return };
        if stream.publisher().is_none() {
            return;
        }
        let (name, vhost) = (stream.name().clone(), stream.settings().clone());
        let (headers, cursor) = (stream.ring().headers().clone(), stream.ring().head());
        let wanted = Taps {
            cursor,
            #[cfg(feature = "hls")]
            hls: self.hls_of(&name, &vhost),
            #[cfg(feature = "dvr")]
            dvr: self.dvr_of(now, &name, &vhost),
        };
        let old = self.taps.remove(&id).unwrap_or_default();
        #[cfg(feature = "hls")]
        {
            old.hls.iter().filter(|hls| !wanted.hls.contains(hls)).for_each(|hls| self.end_hls(now, *hls));
            wanted
                .hls
                .iter()
                .filter(|hls| !old.hls.contains(hls))
                .for_each(|hls| self.begin_hls(*hls, &headers));
        }
        #[cfg(feature = "dvr")]
        {
            old.dvr.iter().filter(|dvr| !wanted.dvr.contains(dvr)).for_each(|dvr| self.end_dvr(now, *dvr));
            let new = wanted.dvr.iter().filter(|dvr| !old.dvr.contains(dvr));
            new.for_each(|dvr| self.begin_dvr(now, *dvr, &headers));
        }
        let is_tapped = !wanted.is_empty();
        if is_tapped {
            self.taps.insert(id, wanted);
        }
        self.hub.tap(id, is_tapped);
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
        let Some(stream) = self.hub.stream_mut(id) else { return };
        let from = taps.cursor.max(stream.ring().base());
        taps.cursor = stream.ring().head();
        if from == stream.ring().head() {
            return;
        }
        // Segments and files hold frames for seconds: memory of the host's is copied, once for all.
        stream.own(from);
        let ring = stream.ring();
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
        }
        #[cfg(feature = "hls")]
        for hls in taps.hls.clone() {
            self.drain_hls(now, hls);
        }
        #[cfg(feature = "dvr")]
        for dvr in self.taps.get(&id).map(|taps| taps.dvr.clone()).unwrap_or_default() {
            self.drain_dvr(dvr);
        }
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
        self.finish_dvr();
    }

    /// The settings have changed: streams that are published are read by them from now on.
    pub(super) fn configure_taps(&mut self, now: Time) {
        #[cfg(feature = "hls")]
        self.configure_hls(now);
        for id in self.hub.ids() {
            self.set_taps(now, id);
        }
    }
}
