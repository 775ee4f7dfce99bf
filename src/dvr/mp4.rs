//! A recording's MP4 file: its init segment, and fragments that are written as they become whole.

use bytes::BytesMut;

use crate::flv;
use crate::fmp4;
use crate::media::{Frame, Headers, Kind};
use crate::wire::limits::{DVR_FRAGMENT_BYTES, DVR_FRAGMENT_FRAMES};

use super::tracks::description;

/// The longest fragment, in µs, where it is to be a GOP.
const GOP_US: i64 = 10_000_000;
/// How long a frame lasts, in µs, that is its track's only one.
const ALONE_US: i64 = 40_000;

/// One file.
#[derive(Debug, Default)]
pub(super) struct Mp4File {
    /// Bytes written.
    position: u64,
    /// The init segment's tracks, once it is written: with the first fragment, so that each track that
    /// comes up to then has its place.
    tracks: Option<fmp4::Tracks>,
    video: Track,
    audio: Track,
    adapter: fmp4::Adapter,
    /// The picture's size, in pixels, as the metadata has it: not every header says.
    size: Option<(u32, u32)>,
    /// The fragment that is gathered.
    pending: Vec<Frame>,
    /// Bytes of it.
    bytes: usize,
    /// When it begins; the frame that waited for the one after it aside.
    begin: i64,
    sequence: u32,
    /// A time of the file's, in µs, and the wall time that it came at, in ms.
    wall: (i64, i64),
}

#[derive(Debug, Default)]
struct Track {
    /// What describes it.
    description: Option<Frame>,
    /// The earliest time that the next frame may have: a track doesn't go back.
    next: i64,
    /// What the last frame lasted.
    step: Option<i64>,
}

impl Mp4File {
    /// Bytes written.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the fragment that is not written yet.
    pub(super) fn unwritten(&self) -> usize {
        self.bytes
    }

    /// Whether the frame can go into this file: a file's tracks are fixed, and so are their headers.
    pub(super) fn takes(&self, frame: &Frame, headers: &Headers) -> bool {
        let track = if frame.kind == Kind::Video { &self.video } else { &self.audio };
        match &track.description {
            None => self.tracks.is_none(),
            Some(held) => {
                let payload = description(frame, headers).map(|d| &d.payload);
                held.codec == frame.codec && (!frame.codec.has_header() || Some(&held.payload) == payload)
            }
        }
    }

    /// Adds a frame that [`Mp4File::takes`], at its time `dts_us` in this file and the wall time `wall_ms`.
    /// The fragment before it is written if it is long enough.
    pub(super) fn write(
        &mut self,
        dts_us: i64,
        wall_ms: i64,
        frame: &Frame,
        headers: &Headers,
        fragment_us: i64,
        out: &mut BytesMut,
    ) {
        let track = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        if track.description.is_none() {
            track.description = description(frame, headers).cloned();
            let metadata = headers.metadata.as_ref().filter(|_| frame.kind == Kind::Video);
            if let Some(Ok(Some(said))) = metadata.map(|m| flv::metadata(&m.payload.bytes())) {
                self.size = said.width.zip(said.height);
            }
        }
        let dts = dts_us.max(track.next);
        let pts = dts.saturating_add(frame.pts.saturating_sub(frame.dts));
        let frame = Frame { dts, pts, ..frame.clone() };
        for frame in self.adapter.adapt(&frame) {
            self.add(wall_ms, frame, fragment_us, out);
        }
    }

    /// Adds a frame as MP4 has it.
    fn add(&mut self, wall_ms: i64, frame: Frame, fragment_us: i64, out: &mut BytesMut) {
        let dts = frame.dts;
        if self.is_whole(&frame, fragment_us) {
            self.fragment(Some(&frame), out);
            self.begin = dts;
        } else if self.pending.is_empty() {
            self.begin = dts;
        }
        let track = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        track.next = dts;
        self.wall = (dts, wall_ms);
        self.bytes = self.bytes.saturating_add(frame.payload.len());
        self.pending.push(frame);
    }

    /// Writes what is there: nobody knows when the next frame comes.
    pub(super) fn settle(&mut self, out: &mut BytesMut) {
        self.fragment(None, out);
    }

    /// Whether the fragment ends before this frame.
    fn is_whole(&self, frame: &Frame, fragment_us: i64) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let length = frame.dts.saturating_sub(self.begin);
        let most = if fragment_us > 0 { fragment_us } else { GOP_US };
        // A fragment that begins with a keyframe is worth being shorter.
        let at_key = if fragment_us > 0 { fragment_us / 2 } else { 1 };
        length >= most
            || (frame.is_video_key() && length >= at_key)
            || self.bytes.saturating_add(frame.payload.len()) > DVR_FRAGMENT_BYTES
            || self.pending.len() >= DVR_FRAGMENT_FRAMES
    }

    /// Writes the fragment before `next`. Of the other track the last frame waits for the one after it,
    /// since only then it is known how long it lasts.
    fn fragment(&mut self, next: Option<&Frame>, out: &mut BytesMut) {
        let held = next.and_then(|next| {
            let at = self.pending.iter().rposition(|f| f.kind != next.kind)?;
            // A track that has ended doesn't keep the fragment from being written.
            (self.pending.len() > 1).then(|| self.pending.remove(at))
        });
        let durations = self.durations(next, held.as_ref());
        let before = out.len();
        let tracks = if self.pending.is_empty() { None } else { self.tracks_with_init(out) };
        if let (Some(first), Some(tracks)) = (self.pending.first(), &tracks) {
            let samples: Vec<_> = self
                .pending
                .iter()
                .zip(durations)
                .map(|(frame, duration_us)| fmp4::Sample { frame, duration_us })
                .collect();
            let (dts, wall_ms) = self.wall;
            let unix_us = wall_ms.saturating_mul(1000).saturating_sub(dts.saturating_sub(first.dts));
            self.sequence = self.sequence.wrapping_add(1);
            fmp4::wall_clock(tracks, unix_us, first.dts, out);
            // Every frame was asked for its track, and the fragment's size is limited.
            let _ = fmp4::fragment(tracks, self.sequence, &samples, out);
        }
        self.tracks = tracks.or(self.tracks.take());
        self.position = self.position.saturating_add(out.len().saturating_sub(before) as u64);
        self.pending.clear();
        self.bytes = 0;
        if let Some(frame) = held {
            self.bytes = frame.payload.len();
            self.pending.push(frame);
        }
    }

    /// How long each frame of the fragment lasts: until the next of its track.
    fn durations(&mut self, next: Option<&Frame>, held: Option<&Frame>) -> Vec<i64> {
        let mut following = [None; 2];
        for frame in [next, held].into_iter().flatten() {
            following[slot(frame)] = Some(frame.dts);
        }
        let mut durations = vec![0; self.pending.len()];
        for (frame, duration) in self.pending.iter().zip(&mut durations).rev() {
            let track = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
            *duration = match following[slot(frame)].replace(frame.dts) {
                Some(next) => {
                    let step = next.saturating_sub(frame.dts);
                    if step > 0 {
                        track.step = Some(step);
                    }
                    step
                }
                None => {
                    let step = track.step.unwrap_or(ALONE_US);
                    track.next = track.next.max(frame.dts.saturating_add(step));
                    step
                }
            };
        }
        durations
    }

    /// The tracks; the first time the init segment is written.
    fn tracks_with_init(&mut self, out: &mut BytesMut) -> Option<fmp4::Tracks> {
        if let Some(tracks) = self.tracks.take() {
            return Some(tracks);
        }
        let (video, audio) = (self.video.description.as_ref(), self.audio.description.as_ref());
        let mut tracks = fmp4::Tracks::new(video, audio).ok()?;
        if let Some((width, height)) = self.size {
            tracks = tracks.with_size(width, height);
        }
        out.extend_from_slice(&tracks.init());
        Some(tracks)
    }
}

/// Which of two the frame's track is.
fn slot(frame: &Frame) -> usize {
    usize::from(frame.kind == Kind::Video)
}
