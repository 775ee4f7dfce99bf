//! What is made of a stream in this process besides its players' images: HLS segments and recordings.
//!
//! A tap reads the stream's ring like a player, but whenever there is something, and is never behind.

use smallvec::SmallVec;

use super::Engine;
#[cfg(any(feature = "hls", feature = "dvr"))]
use super::sys;
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
            dvr: self.begin_dvr(now, &name, &vhost, &headers, &[]),
        };
        if !taps.is_empty() {
            self.taps.insert(id, taps);
            self.hub.tap(id, true);
        }
    }

    /// Others are to read this stream from now on, for HLS or recording; those of the other kind go on
    /// undisturbed.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    pub(super) fn change_taps(&mut self, now: Time, id: u32, hls: bool, dvr: bool) {
        self.run_taps(now, id);
        let Some(stream) = self.hub.stream(id).filter(|stream| stream.publisher().is_some()) else { return };
        let (name, vhost) = (stream.name().clone(), stream.settings().clone());
        let (headers, cursor) = (stream.ring().headers().clone(), stream.ring().head());
        let mut taps = self.taps.remove(&id).unwrap_or(Taps { cursor, ..Taps::default() });
        #[cfg(feature = "hls")]
        if hls {
            taps.hls.iter().for_each(|hls| self.end_hls(now, *hls));
            taps.hls = self.begin_hls(now, &name, &vhost, &headers);
        }
        #[cfg(feature = "dvr")]
        if dvr {
            taps.dvr = self.begin_dvr(now, &name, &vhost, &headers, &taps.dvr);
        }
        let _ = (hls, dvr);
        self.hub.tap(id, !taps.is_empty());
        if !taps.is_empty() {
            self.taps.insert(id, taps);
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

    /// The settings have changed: streams that are published are read by them from now on.
    pub(super) fn configure_taps(&mut self, now: Time) {
        #[cfg(feature = "hls")]
        self.configure_hls(now);
        #[cfg(any(feature = "hls", feature = "dvr"))]
        for id in self.hub.ids() {
            let (hls, dvr) = self.other_taps(id);
            if hls || dvr {
                self.change_taps(now, id, hls, dvr);
            }
        }
        let _ = now;
    }

    /// Whether what reads the stream for HLS, and for recording, is not what the settings ask for.
    #[cfg(any(feature = "hls", feature = "dvr"))]
    fn other_taps(&self, id: u32) -> (bool, bool) {
        let Some(stream) = self.hub.stream(id).filter(|stream| stream.publisher().is_some()) else {
            return (false, false);
        };
        let taps = self.taps.get(&id);
        #[cfg(feature = "hls")]
        let hls = !self.hls_is_as_set(stream, taps.map_or(&[], |taps| &taps.hls));
        #[cfg(not(feature = "hls"))]
        let hls = false;
        #[cfg(feature = "dvr")]
        let dvr = !self.dvr_is_as_set(stream, taps.map_or(&[], |taps| &taps.dvr));
        #[cfg(not(feature = "dvr"))]
        let dvr = false;
        (hls, dvr)
    }
}
