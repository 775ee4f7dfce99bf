//! Frames to packets: which tracks there are, when tables and clock references go out, and how audio
//! frames are gathered.

use bytes::{BufMut, BytesMut};

use super::packet::{First, PES_DATA_MAX, Pes, Stream};
use super::psi;
use super::track::{AacConfig, Audio, AudioFrame, Refused, Unsupported, Video, access_unit, carries};
use crate::media::{Codec, Frame, Headers, Kind, Role, VideoConfig};

/// The longest that audio frames may be gathered, in µs: they must be there before they are due, which is
/// [`OFFSET_US`](super::OFFSET_US) after the clock.
pub const AUDIO_HOLD_MAX_US: i64 = 500_000;

const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const VIDEO_STREAM: u8 = 0xe0;
const AUDIO_STREAM: u8 = 0xc0;
/// Clock references are so far apart at most, in µs (ISO/IEC 13818-1, 2.7.2).
const CLOCK_GAP_US: i64 = 100_000;
/// A frame that could carry a clock reference does so when the last was so long ago, in µs: with video of
/// 25 frames a second, each.
const CLOCK_EVERY_US: i64 = 40_000;
/// A step ahead of so much, in µs, is a new time: it is not filled with clock references.
const JUMP_US: i64 = 10_000_000;
/// A track's own step back of so much, in µs, is a new time.
const STEP_BACK_US: i64 = 1_000_000;

/// How a [`Muxer`] writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Audio frames are gathered into one PES packet for at most this long, in µs, up to
    /// [`AUDIO_HOLD_MAX_US`]; 0: one PES packet each.
    pub audio_hold_us: i64,
}

/// Writes one program of at most one video and one audio track. What it writes is whole packets, whatever
/// is put in.
///
/// PTS and DTS are a frame's times and [`OFFSET_US`](super::OFFSET_US), modulo 2^33; the clock reference
/// (PCR) is the frame's DTS itself, so the clock is never ahead of what it clocks.
#[derive(Debug)]
pub struct Muxer {
    hold_us: i64,
    video: Option<Video>,
    audio: Option<Audio>,
    held: Held,
    clock: Clock,

    pat: Stream,
    pmt: Stream,
    video_stream: Stream,
    audio_stream: Stream,
    /// The version of the newest PMT, and the stream types that it names.
    version: u8,
    named: Option<StreamTypes>,
}

/// The stream types of video and audio.
type StreamTypes = [Option<u8>; 2];

/// Audio frames, framed, that wait to become one PES packet.
#[derive(Debug, Default)]
struct Held {
    data: BytesMut,
    /// When the first is due, and when the next would be, in µs.
    dts: i64,
    next: i64,
}

/// Where the clock stands.
#[derive(Debug, Default)]
struct Clock {
    /// The last reference written, in µs; none at the beginning and after a discontinuity.
    last: Option<i64>,
    /// Whether the next frame must bring one: who joins at the tables waits for it.
    due: bool,
    /// The newest DTS of the track that carries the clock.
    dts: Option<i64>,
}

impl Muxer {
    /// A muxer that knows of no track.
    pub fn new(options: Options) -> Self {
        Self {
            hold_us: options.audio_hold_us.clamp(0, AUDIO_HOLD_MAX_US),
            video: None,
            audio: None,
            held: Held::default(),
            clock: Clock::default(),
            pat: Stream::new(psi::PAT_PID),
            pmt: Stream::new(psi::PMT_PID),
            video_stream: Stream::new(VIDEO_PID),
            audio_stream: Stream::new(AUDIO_PID),
            version: 0,
            named: None,
        }
    }

    /// Takes the headers in force: before the first frame, and after a jump. Each is taken that can be;
    /// the answer is why the first other was not. Tracks that they don't speak of stay.
    pub fn headers(&mut self, headers: &Headers) -> Result<(), Refused> {
        let refused = headers.iter().filter_map(|frame| self.header(frame).err());
        refused.reduce(|first, _| first).map_or(Ok(()), Err)
    }

    /// Says that there will be a track of this codec, so that tables name it before its header has come.
    pub fn declare(&mut self, codec: Codec) -> Result<(), Unsupported> {
        carries(codec)?;
        match (codec, &self.audio) {
            (Codec::Aac, Some(Audio::Aac(_))) | (Codec::Mp3, Some(Audio::Mp3 { .. })) => {}
            (Codec::Aac, _) => self.audio = Some(Audio::Aac(None)),
            (Codec::Mp3, _) => self.audio = Some(Audio::Mp3 { lower: false }),
            _ if self.video.as_ref().is_some_and(|video| video.codec == codec) => {}
            _ => self.video = Some(Video { codec, config: None }),
        }
        Ok(())
    }

    /// Whether the tables name a video track.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Whether the tables name an audio track: its header or its first MP3 frame has been seen, or it was
    /// declared.
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Appends PAT and PMT, and has the next frame bring a clock reference: who joins can begin here. If
    /// the tracks have changed since they were last written, audio that is held goes out before them,
    /// and the PMT's version goes up.
    pub fn tables(&mut self, out: &mut BytesMut) {
        let types = self.stream_types();
        if self.named.is_some_and(|named| named != types) {
            self.flush(out);
            self.version = self.version.wrapping_add(1) & 0x1f;
            self.clock.dts = None;
        }
        self.named = Some(types);
        self.clock.due = true;

        psi::put_pat(&mut self.pat, out);
        let pcr_pid = match types {
            [Some(_), _] => VIDEO_PID,
            [None, Some(_)] => AUDIO_PID,
            [None, None] => psi::NO_PID,
        };
        let streams = types.into_iter().zip([VIDEO_PID, AUDIO_PID]);
        let streams = streams.filter_map(|(stream_type, pid)| Some((stream_type?, pid)));
        psi::put_pmt(&mut self.pmt, self.version, pcr_pid, streams, out);
    }

    /// Appends the packets of one frame, tables first if they have never been written or the tracks have
    /// changed. A header takes effect for what follows and gives no packets; marks and data give none. A
    /// frame that is refused leaves no trace.
    pub fn write(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Refused> {
        match (frame.kind, frame.role) {
            (Kind::Data, _) | (_, Role::Mark) => Ok(()),
            (_, Role::Header) => self.header(frame),
            (Kind::Video, _) => self.video_frame(frame, out),
            (Kind::Audio, _) => self.audio_frame(frame, out),
        }
    }

    /// Appends what audio is held.
    pub fn flush(&mut self, out: &mut BytesMut) {
        if self.held.data.is_empty() {
            return;
        }
        let dts = self.held.dts;
        let carries_clock = self.video.is_none() && self.clock.last.is_some_and(|last| dts > last);
        let pcr = carries_clock.then_some(dts);
        self.clock.last = pcr.or(self.clock.last);
        let first = First { pcr, random_access: self.video.is_none() };
        let len = self.held.data.len();
        let mut pes = Pes::begin(&mut self.audio_stream, AUDIO_STREAM, first, (dts, dts), len, out);
        pes.put(&self.held.data);
        self.held.data.clear();
    }

    /// Time begins anew with the next frame: the next packet of each track, and of the clock, says so
    /// (discontinuity_indicator). What audio is held belongs to the time before: flush first.
    pub fn discontinuity(&mut self) {
        self.video_stream.discontinuity = true;
        self.audio_stream.discontinuity = true;
        self.clock = Clock::default();
    }

    /// Another publish begins: tracks and headers are forgotten, and audio that is held; counters and
    /// versions go on, and there is a [`Self::discontinuity`].
    pub fn restart(&mut self) {
        (self.video, self.audio) = (None, None);
        self.held.data.clear();
        self.discontinuity();
    }

    fn header(&mut self, frame: &Frame) -> Result<(), Refused> {
        match (frame.kind, frame.codec) {
            (Kind::Data, _) => {}
            // It has no header, and says itself what it is.
            (Kind::Audio, Codec::Mp3) => self.audio = Some(AudioFrame::parse(frame, self.audio)?.1),
            (Kind::Video, codec @ (Codec::H264 | Codec::H265)) => {
                let config = VideoConfig::parse(codec, &frame.payload.bytes())?;
                self.video = Some(Video { codec, config: Some(config) });
            }
            (Kind::Audio, Codec::Aac) => {
                self.audio = Some(Audio::Aac(Some(AacConfig::parse(&frame.payload.bytes())?)));
            }
            (_, codec) => return Err(Unsupported { codec }.into()),
        }
        Ok(())
    }

    fn video_frame(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Refused> {
        if !matches!(frame.codec, Codec::H264 | Codec::H265) {
            return Err(Unsupported { codec: frame.codec }.into());
        }
        let video = self.video.as_ref().filter(|video| video.codec == frame.codec);
        let config = video.and_then(|video| video.config.clone());
        let config = config.ok_or(Refused::NoHeader(frame.codec))?;
        let unit = access_unit(&config, frame)?;

        self.prepare(frame.dts, out);
        let key = frame.role == Role::Key;
        let pcr = self.tick(Kind::Video, frame.dts, true, key, out);
        let first = First { pcr, random_access: key };
        // What is shown before it is decoded can't be said.
        let times = (frame.pts.max(frame.dts), frame.dts);
        unit.put(&mut Pes::begin(&mut self.video_stream, VIDEO_STREAM, first, times, unit.len, out));
        Ok(())
    }

    fn audio_frame(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Refused> {
        if !matches!(frame.codec, Codec::Aac | Codec::Mp3) {
            return Err(Unsupported { codec: frame.codec }.into());
        }
        let (audio, track) = AudioFrame::parse(frame, self.audio)?;
        self.audio = Some(track);

        self.prepare(frame.dts, out);
        if !self.held.continues(frame.dts, &audio) {
            self.flush(out);
        }
        let (dts, alone) = (frame.dts, self.hold_us == 0);
        let pcr = self.tick(Kind::Audio, dts, alone && self.video.is_none(), false, out);
        if alone {
            let first = First { pcr, random_access: self.video.is_none() };
            let stream = &mut self.audio_stream;
            let mut pes = Pes::begin(stream, AUDIO_STREAM, first, (dts, dts), audio.len(), out);
            pes.put(audio.header());
            pes.put(&audio.payload);
        } else {
            self.held.put(dts, &audio);
        }
        Ok(())
    }

    /// What goes before a frame of the time `dts`: tables, where the frame's track isn't named yet, and
    /// audio that has been held long enough.
    fn prepare(&mut self, dts: i64, out: &mut BytesMut) {
        if self.named != Some(self.stream_types()) {
            self.tables(out);
        }
        if dts.abs_diff(self.held.dts) >= self.hold_us.unsigned_abs() {
            self.flush(out);
        }
    }

    /// Brings the clock up to a frame of the time `dts`: appends packets of clock references where the
    /// last is too long ago. Answers the reference that the frame's own first packet is to have, where
    /// it can `carry` one; a `key` frame always has.
    fn tick(&mut self, kind: Kind, dts: i64, carry: bool, key: bool, out: &mut BytesMut) -> Option<i64> {
        let leads = (kind == Kind::Video) == self.video.is_some();
        if self.clock.jumps(leads, dts) {
            self.discontinuity();
        }
        if leads {
            self.clock.dts = Some(dts);
        }
        let stream = if self.video.is_some() { &mut self.video_stream } else { &mut self.audio_stream };

        let mut due = self.clock.due || (carry && key);
        let mut at = dts;
        if let Some(mut last) = self.clock.last {
            while dts.saturating_sub(last) > CLOCK_GAP_US {
                last = last.saturating_add(CLOCK_GAP_US);
                stream.put_clock(last, out);
            }
            self.clock.last = Some(last);
            due |= carry && dts.saturating_sub(last) >= CLOCK_EVERY_US;
            // Another track may have brought the clock further: it must not go back.
            at = dts.max(last.saturating_add(1));
        } else {
            due = true;
        }
        if !due {
            return None;
        }
        self.clock.last = Some(at);
        self.clock.due = false;
        if !carry {
            stream.put_clock(at, out);
            return None;
        }
        Some(at)
    }

    fn stream_types(&self) -> StreamTypes {
        [self.video.as_ref().map(Video::stream_type), self.audio.as_ref().map(Audio::stream_type)]
    }
}

impl Held {
    /// Whether a frame goes on where the last one ends, and has room: a PES packet tells the time of its
    /// first frame only, the others follow by their durations.
    fn continues(&self, dts: i64, audio: &AudioFrame) -> bool {
        dts.abs_diff(self.next) <= audio.duration_us.unsigned_abs()
            && self.data.len().saturating_add(audio.len()) <= PES_DATA_MAX
    }

    fn put(&mut self, dts: i64, audio: &AudioFrame) {
        if self.data.is_empty() {
            (self.dts, self.next) = (dts, dts);
        }
        self.data.put_slice(audio.header());
        self.data.put_slice(&audio.payload);
        self.next = self.next.saturating_add(audio.duration_us);
    }
}

impl Clock {
    /// Whether a frame is of another time than the clock. Only the track that carries the clock can lead
    /// it back: another may lie behind.
    fn jumps(&self, leads: bool, dts: i64) -> bool {
        let ahead = |last: i64| dts.saturating_sub(last) > JUMP_US;
        let behind = |last: i64, most: i64| last.saturating_sub(dts) > most;
        self.last.is_some_and(|last| ahead(last) || leads && behind(last, JUMP_US))
            || leads && self.dts.is_some_and(|last| behind(last, STEP_BACK_US))
    }
}
