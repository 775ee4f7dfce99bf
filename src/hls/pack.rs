//! The container that a publish's frames go into, cut into chunks: segments, or parts of them.

use bytes::{Bytes, BytesMut};

use super::Format;
use crate::fmp4::{self, Adapter, Sample, Tracks};
use crate::media::{Codec, Frame, Kind};
use crate::mpegts;
use crate::wire::limits;

/// How long audio is gathered in one PES packet of MPEG-TS, in µs.
const AUDIO_HOLD_US: i64 = 100_000;
/// How far the last frame of the one track may be behind the cut of the other, in µs, to wait for its
/// successor, which tells how long it is, and go to the next chunk.
const CARRY_US: i64 = 500_000;
/// More samples than a frame becomes, with those that are held back.
const FRAME_SAMPLES: usize = 32;
/// Room for what encryption adds at the end.
const CIPHER_BLOCK: usize = 16;
/// How long a frame is taken to be where nothing tells, in µs.
const VIDEO_FRAME_US: i64 = 40_000;
const AUDIO_FRAME_US: i64 = 23_000;

/// The tracks in force or to come, each by what describes it: its header, or any frame where the codec
/// has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
    pub(super) video: Option<Frame>,
    pub(super) audio: Option<Frame>,
}

impl Described {
    pub(super) fn slot(&self, kind: Kind) -> Option<&Frame> {
        match kind {
            Kind::Video => self.video.as_ref(),
            Kind::Audio => self.audio.as_ref(),
            Kind::Data => None,
        }
    }

    pub(super) fn slot_mut(&mut self, kind: Kind) -> Option<&mut Option<Frame>> {
        match kind {
            Kind::Video => Some(&mut self.video),
            Kind::Audio => Some(&mut self.audio),
            Kind::Data => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.video.is_none() && self.audio.is_none()
    }

    /// Whether both say the same of the track.
    pub(super) fn agree(&self, other: &Self, kind: Kind) -> bool {
        match (self.slot(kind), other.slot(kind)) {
            (Some(a), Some(b)) => a.codec == b.codec && (!a.codec.has_header() || a.payload == b.payload),
            (None, None) => true,
            _ => false,
        }
    }

    /// What is said of both tracks in MP4's terms, also where the container is another.
    pub(super) fn tracks(&self) -> Option<Tracks> {
        Tracks::new(self.video.as_ref(), self.audio.as_ref()).ok()
    }
}

/// Whether the container has a place for the track that `frame` describes.
pub(super) fn carries(format: Format, frame: &Frame) -> bool {
    match format {
        Format::Ts if mpegts::carries(frame.codec).is_err() => false,
        // MP4 files may have it, but no player of HLS knows it.
        Format::Fmp4 if frame.codec == Codec::Mjpeg => false,
        _ if frame.kind == Kind::Video => Tracks::new(Some(frame), None).is_ok(),
        _ => Tracks::new(None, Some(frame)).is_ok(),
    }
}

/// What a cut gives.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: BytesMut,
    /// Whether the first of it can be decoded by itself: it begins with a keyframe, or there is no video.
    pub(super) independent: bool,
    /// Whether any of it can.
    pub(super) has_key: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Pack {
    container: Container,
    /// The tracks that it was made for.
    pub(super) tracks: Described,
    /// Bytes of the chunk, what is not yet in the container included.
    len: usize,
}

#[derive(Debug)]
enum Container {
    Ts(Box<mpegts::Muxer>, BytesMut, Video),
    Fmp4(Box<Fragments>),
}

/// What a chunk's video is.
#[derive(Debug, Default)]
struct Video {
    /// Whether its first frame is a keyframe, if it has any.
    first_is_key: Option<bool>,
    has_key: bool,
}

impl Video {
    fn note(&mut self, frame: &Frame) {
        if frame.kind == Kind::Video {
            self.first_is_key.get_or_insert(frame.is_video_key());
            self.has_key |= frame.is_video_key();
        }
    }
}

impl Pack {
    /// For the tracks; `None` if the container has no place for them.
    pub(super) fn new(format: Format, tracks: Described) -> Option<Self> {
        let container = match format {
            Format::Ts => {
                let mut muxer = mpegts::Muxer::new(mpegts::Options { audio_hold_us: AUDIO_HOLD_US });
                for frame in [&tracks.video, &tracks.audio].into_iter().flatten() {
                    muxer.declare(frame.codec).ok()?;
                    if frame.codec.has_header() {
                        muxer.write(frame, &mut BytesMut::new()).ok()?;
                    }
                }
                Container::Ts(Box::new(muxer), BytesMut::new(), Video::default())
            }
            Format::Fmp4 => Container::Fmp4(Box::new(Fragments::new(tracks.tracks()?))),
        };
        Some(Self { container, tracks, len: 0 })
    }

    /// The initialization section, where the container has one.
    pub(super) fn init(&self) -> Option<Bytes> {
        match &self.container {
            Container::Ts(..) => None,
            Container::Fmp4(fragments) => Some(fragments.tracks.init()),
        }
    }

    /// A segment begins.
    pub(super) fn begin(&mut self) {
        match &mut self.container {
            Container::Ts(muxer, out, _) => muxer.tables(out),
            Container::Fmp4(fragments) => fragments.begins = true,
        }
    }

    /// The next frame; of one of the tracks, its time not before the one before it of the same track.
    pub(super) fn write(&mut self, frame: Frame) {
        match &mut self.container {
            Container::Ts(muxer, out, video) => {
                // A payload that isn't what its codec says is left out.
                if muxer.write(&frame, out).is_ok() {
                    video.note(&frame);
                }
                self.len = out.len();
            }
            Container::Fmp4(fragments) => {
                self.len = self.len.saturating_add(fragments.write(&frame));
            }
        }
    }

    /// Ends the chunk before a frame of `kind` at `dts`, or for good. `None` where there is nothing.
    pub(super) fn cut(&mut self, before: Option<(Kind, i64)>) -> Option<Chunk> {
        let (bytes, video) = match &mut self.container {
            Container::Ts(muxer, out, video) => {
                muxer.flush(out);
                // Copied, so that what is kept is as long as it says, and not as what it grew in.
                let mut bytes = BytesMut::with_capacity(out.len().saturating_add(CIPHER_BLOCK));
                bytes.extend_from_slice(out);
                out.clear();
                (bytes, std::mem::take(video))
            }
            Container::Fmp4(fragments) => fragments.cut(before),
        };
        self.len = self.pending();
        let independent = video.first_is_key.unwrap_or(true);
        let has_key = video.has_key || video.first_is_key.is_none();
        if bytes.is_empty() { None } else { Some(Chunk { bytes, independent, has_key }) }
    }

    /// Bytes that the chunk is so far, about.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether the chunk can hold no further frame of `bytes`.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        let samples = match &self.container {
            Container::Ts(..) => 0,
            Container::Fmp4(fragments) => fragments.samples.len(),
        };
        // Two more are held back, and one frame may become several.
        samples.saturating_add(FRAME_SAMPLES) > limits::MP4_FRAGMENT_SAMPLES
            || self.len.saturating_add(bytes) > limits::HLS_SEGMENT_BYTES
    }

    /// Bytes that a cut has left for the next chunk.
    fn pending(&self) -> usize {
        match &self.container {
            Container::Ts(_, out, _) => out.len(),
            Container::Fmp4(fragments) => {
                [&fragments.video, &fragments.audio].into_iter().fold(0, |sum, lane| {
                    sum.saturating_add(lane.held.as_ref().map_or(0, |frame| frame.payload.len()))
                })
            }
        }
    }
}

/// Frames on their way into a fragment. One of each track is held back until the next tells how long it is.
#[derive(Debug)]
struct Fragments {
    tracks: Tracks,
    /// How many fragments there were.
    sequence: u32,
    /// Whether a segment begins with the next fragment.
    begins: bool,
    video: Lane,
    audio: Lane,
    adapter: Adapter,
    /// Frames and how long they are, in µs.
    samples: Vec<(Frame, i64)>,
}

#[derive(Debug)]
struct Lane {
    held: Option<Frame>,
    /// How long the frame before was, in µs.
    last_us: i64,
}

impl Fragments {
    fn new(tracks: Tracks) -> Self {
        let lane = |last_us| Lane { held: None, last_us };
        Self {
            tracks,
            sequence: 0,
            begins: false,
            video: lane(VIDEO_FRAME_US),
            audio: lane(AUDIO_FRAME_US),
            adapter: Adapter::default(),
            samples: Vec::new(),
        }
    }

    /// Answers how many bytes it has become.
    fn write(&mut self, frame: &Frame) -> usize {
        let lane = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        let mut bytes = 0usize;
        for frame in self.adapter.adapt(frame) {
            bytes = bytes.saturating_add(frame.payload.len());
            let sample = lane.release(Some(frame.dts));
            lane.held = Some(frame);
            self.samples.extend(sample);
        }
        bytes
    }

    fn cut(&mut self, before: Option<(Kind, i64)>) -> (BytesMut, Video) {
        for (kind, lane) in [(Kind::Video, &mut self.video), (Kind::Audio, &mut self.audio)] {
            let sample = match (&lane.held, before) {
                (None, _) => None,
                (Some(_), Some((of, dts))) if of == kind => lane.release(Some(dts)),
                (Some(held), Some((_, dts))) if dts.saturating_sub(held.dts) < CARRY_US => None,
                _ => lane.release(None),
            };
            self.samples.extend(sample);
        }
        let mut out = BytesMut::new();
        if self.samples.is_empty() {
            return (out, Video::default());
        }
        if std::mem::take(&mut self.begins) {
            fmp4::segment_type(&mut out);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let samples: Vec<_> = self
            .samples
            .iter()
            .map(|(frame, duration_us)| Sample { frame, duration_us: *duration_us })
            .collect();
        if fmp4::fragment(&self.tracks, self.sequence, &samples, &mut out).is_err() {
            // Beyond its limits, which a chunk is cut before, or of no track, which is not written.
            out.clear();
        }
        let mut video = Video::default();
        self.samples.iter().for_each(|(frame, _)| video.note(frame));
        self.samples.clear();
        (out, video)
    }
}

impl Lane {
    /// The frame held back, with its duration: until its successor at `next`, or else as the one before it.
    fn release(&mut self, next: Option<i64>) -> Option<(Frame, i64)> {
        let frame = self.held.take()?;
        if let Some(next) = next {
            self.last_us = next.saturating_sub(frame.dts).max(0);
        }
        Some((frame, self.last_us))
    }
}

/// Samples of a frame of audio that is counted in them, and how many there are in a second.
pub(super) fn audio_clock(header: &Frame) -> Option<(i64, i64)> {
    let samples = match header.codec {
        Codec::Aac => 1024,
        Codec::Mp3 => 1152,
        _ => return None,
    };
    let rate = crate::media::audio_track(header)?.sample_rate;
    (rate > 0).then_some((samples, i64::from(rate)))
}
