//! The writer: where segments and parts begin and end, and what becomes of them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::list::{List, Part, Resource, Segment};
use super::names::{self, Facts};
use super::pack::{self, Chunk, Described, Pack};
use super::{Answer, Closed, Format, Invalid, Options, Output, Reload, cipher};
use crate::media::{Codec, Frame, Headers, Kind, Role};
use crate::template::Calendar;
use crate::wire::limits;

/// The range of `fragment_us`.
const FRAGMENT_US: (i64, i64) = (100_000, 600_000_000);
/// Parts of a segment of `fragment_us`, at most.
const PARTS: i64 = 256;
/// The range of `part_us`.
const PART_US: (i64, i64) = (50_000, 10_000_000);
/// How long audio waits for the video that a header has announced, in µs.
const VIDEO_WAIT_US: i64 = 5_000_000;
/// A leap: no frame of any track is nearer, in µs, forth or back.
const LEAP_US: i64 = 10_000_000;
const LEAP_BACK_US: i64 = 1_000_000;
/// By how much a frame is moved that is not after the one before it, in µs.
const STEP_US: i64 = 1_000;
/// A publish's first segment, if it is shorter and tracks come or go, is dropped, in µs.
const PRELUDE_US: i64 = 1_000_000;
/// A track that shows itself so soon behind a publish's first frame, in µs, is in its first segment too: MP3
/// has no header that would have said beforehand that it comes.
const OPENING_US: i64 = 500_000;
/// Frames of that time at most.
const OPENING_FRAMES: usize = 256;
/// How long nothing but what can't be carried comes, in µs, until the stream is refused.
const REFUSED_AFTER_US: i64 = 1_000_000;
/// How far a segment's date may be from the wall clock, in ms, before it is corrected; and by how much it
/// goes back at most then (rfc8216bis, 6.2.1: overlaps of less than a second).
const DATE_DRIFT_MS: i64 = 500;
/// How long a segment or a part is at least said to be, in µs.
const SHORTEST_US: i64 = 1_000;
/// How long the last frame of a publish is at most, in µs.
const MAX_FRAME_US: i64 = 1_000_000;
/// How far `[timestamp]` may be ahead of the clock, in fragments.
const FLOOR_AHEAD: i64 = 20;
/// The most that a segment may be longer than the target duration, in µs: rounded, EXTINF is at most that,
/// also when a part that has no time left for it adds the least that a part is said to be.
const ROUNDED_AWAY_US: i64 = 490_000;

/// Makes one stream's HLS. Outputs are to be taken with [`poll_output`](Self::poll_output) after each
/// call; of more than [`limits::HLS_OUTPUTS`] the oldest are lost.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    playlist: String,
    list: List,
    outputs: VecDeque<Output>,
    /// What describes the tracks by now; the next segment that can have them gets them.
    wanted: Described,
    pack: Option<Pack>,
    /// The initialization section of the last pack that had one, and its bytes.
    map: Option<(Arc<Resource>, Bytes)>,
    /// The number of the segment that it was made for, and how many were.
    maps: (u64, u32),
    /// The key, and for how many segments it was used.
    key: Option<(Arc<Resource>, [u8; 16], u32)>,
    /// Whether no segment of this publish has ended.
    is_first: bool,
    /// The first frames of this publish, until it is too late for another track to be in its first segment.
    opening: Option<Vec<(Calendar, Frame)>>,
    open: Option<Open>,
    video: Clock,
    audio: Clock,
    /// The time of the last frame of any track, in µs.
    last_dts: Option<i64>,
    gop: Gop,
    left_out: LeftOut,
    /// Since when audio waits for video, in µs.
    waits_since: Option<i64>,
    /// The last `[timestamp]` that counts fragments.
    floor: Option<i64>,
    /// When the last segment ended by its date, in ms since 1970.
    date_ms: Option<i64>,
    /// Whether the playlist is other than when it was given out last.
    is_dirty: bool,
}

/// The segment that has begun; the rest of it is in the list.
#[derive(Debug)]
struct Open {
    when: Calendar,
    /// `[timestamp]`
    timestamp: i64,
    /// What of the segment there is, and of its last part.
    span: Span,
    part: Span,
    /// How many frames of the leading track there are.
    frames: i64,
    /// Whether it is made in parts.
    in_parts: bool,
}

/// Where the tracks begin in a segment or a part, in µs. Each track is measured by its own times: there
/// are encoders whose tracks are far apart.
#[derive(Debug, Default)]
struct Span {
    video: Option<i64>,
    audio: Option<i64>,
}

/// The times of a track.
#[derive(Debug, Default)]
struct Clock {
    last_dts: Option<i64>,
    /// How long the frame before the last was, in µs.
    interval_us: i64,
    /// What a track counted in samples counts from, in µs, and how many frames there were since.
    anchor: Option<(i64, i64)>,
}

/// How long GOPs are, in µs.
#[derive(Debug, Default)]
struct Gop {
    began: Option<i64>,
    /// The longest that ended in this segment, and in the one before.
    longest_us: i64,
    before_us: i64,
}

/// What can't be carried of this publish.
#[derive(Debug, Default)]
struct LeftOut {
    video: Option<Codec>,
    audio: Option<Codec>,
    since_us: Option<i64>,
    refused: bool,
}

impl Writer {
    /// A writer that has nothing yet.
    pub fn new(mut options: Options) -> Result<Self, Invalid> {
        if options.format == Format::Ts && options.part_us.is_some() {
            return Err(Invalid::PartsOfTs);
        }
        if options.format == Format::Fmp4 && options.keys.is_some() {
            return Err(Invalid::KeysOfFmp4);
        }
        // A name that can be made now can be made later: only numbers change.
        let playlist = names::expand(&options, &options.playlist, &Facts::default())?;
        let keys = options.keys.as_ref().map(|keys| &keys.file);
        for template in [&options.segment, &options.init].into_iter().chain(keys) {
            names::expand(&options, template, &Facts::default())?;
        }
        options.fragment_us = options.fragment_us.clamp(FRAGMENT_US.0, FRAGMENT_US.1);
        let least = PART_US.0.max(options.fragment_us / PARTS);
        options.part_us = options.part_us.map(|us| us.clamp(least, PART_US.1.max(least)));
        Ok(Self {
            options,
            playlist,
            list: List::default(),
            outputs: VecDeque::new(),
            wanted: Described::default(),
            pack: None,
            map: None,
            maps: (0, 0),
            key: None,
            is_first: true,
            opening: None,
            open: None,
            video: Clock::default(),
            audio: Clock::default(),
            last_dts: None,
            gop: Gop::default(),
            left_out: LeftOut::default(),
            waits_since: None,
            floor: None,
            date_ms: None,
            is_dirty: false,
        })
    }

    /// Goes on with the playlist that another run has left: its numbers are not used again, and its
    /// segments stay listed where files are kept elsewhere. Of text that is no playlist nothing is taken.
    /// To be called before the first [`begin`](Self::begin).
    pub fn recover(&mut self, text: &str) {
        let least = seconds_up(times(self.options.fragment_us, self.options.td_ratio));
        let most = seconds_up(self.limit_us());
        let files = !self.options.keep_bytes && self.options.part_us.is_none();
        let fits = |target: u32| files && (least..=most.max(least)).contains(&i64::from(target));
        self.list.recover(text, &self.playlist, fits);
    }

    /// A publish begins, with what it has said so far of its tracks.
    pub fn begin(&mut self, headers: &Headers) {
        self.end();
        self.list.finished = false;
        self.is_first = true;
        self.opening = Some(Vec::new());
        self.wanted = Described::default();
        self.left_out = LeftOut::default();
        headers.iter().for_each(|header| self.describe(header));
    }

    /// The next frame, and the wall clock.
    pub fn write(&mut self, when: &Calendar, frame: &Frame) {
        match (frame.kind, frame.role) {
            (Kind::Data, _) | (_, Role::Mark) => return,
            (_, Role::Header) => return self.describe(frame),
            _ if frame.codec.has_header() => {}
            _ if self.wanted.slot(frame.kind).is_some_and(|track| track.codec == frame.codec) => {}
            _ => self.describe(frame),
        }
        if self.wanted.slot(frame.kind).is_none_or(|track| track.codec != frame.codec) {
            self.leave_out(frame);
            return;
        }
        let frame = self.in_time(frame);
        if self.has_changed() {
            self.begin_again();
        }
        let starts = match frame.kind {
            Kind::Video => frame.role == Role::Key,
            _ => self.wanted.video.is_none() || self.has_waited(frame.dts),
        };
        if self.open.is_some() {
            self.cut_before(&frame, starts);
        }
        if self.open.is_some() || self.begin_segment(when, starts) {
            self.remember(when, &frame);
            self.add(frame);
        }
        self.publish();
    }

    /// The publish has ended: its last segment ends and is listed.
    pub fn end(&mut self) {
        self.break_off();
        if self.wanted.is_empty() && !self.left_out.refused {
            self.refuse();
        }
        self.publish();
    }

    /// The stream is over for good: [`end`](Self::end), and the playlist says so (`EXT-X-ENDLIST`).
    pub fn finish(&mut self) {
        self.break_off();
        self.list.finished = true;
        self.is_dirty = true;
        self.publish();
    }

    /// Everything is given up: all files expire, the playlist too. Numbers go on.
    pub fn dispose(&mut self) {
        self.break_off();
        (self.map, self.key) = (None, None);
        let mut expired = Vec::new();
        self.list.clear(&mut expired);
        if self.list.target_s.take().is_some() {
            expired.push(self.playlist.clone());
        }
        self.list.part_target_us = None;
        self.list.rendered = None;
        self.is_dirty = false;
        expired.into_iter().for_each(|name| self.output(Output::Expired { name }));
    }

    /// What is next to be kept elsewhere or told.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The answer to a request for the media playlist. `context` (`hls_ctx=…`) becomes the query of the
    /// URIs in it, those of keys aside.
    pub fn playlist(&self, reload: &Reload, context: Option<&str>) -> Answer {
        self.list.answer(reload, context)
    }

    /// The multivariant playlist of the one media playlist at `uri`; [`Answer::NotYet`] until there is one.
    /// BANDWIDTH is that of the segments listed.
    pub fn master(&self, uri: &str) -> Answer {
        let tracks = self.wanted.tracks();
        let codecs = tracks.as_ref().map(|tracks| tracks.codecs()).unwrap_or_default();
        let size = tracks.as_ref().and_then(|tracks| tracks.resolution());
        self.list.master(uri, &codecs, size).map_or(Answer::NotYet, Answer::Ready)
    }

    /// The answer to a request for a file other than the playlist, where bytes are kept.
    pub fn file(&self, name: &str) -> Answer {
        if let Some(bytes) = self.list.file(name) {
            return Answer::Ready(bytes.clone());
        }
        let hinted = self.list.hint().is_some_and(|(segment, part)| {
            self.options.keep_bytes && names::part_of(&segment.name, name) == Some(part)
        });
        if hinted { Answer::NotYet } else { Answer::Absent }
    }

    /// The playlist's file.
    pub fn playlist_name(&self) -> &str {
        &self.playlist
    }

    /// The target duration in s, once it is chosen.
    pub fn target_duration(&self) -> Option<u32> {
        self.list.target_s
    }

    /// Bytes held: files that are kept, and the segment that has begun.
    pub fn bytes(&self) -> usize {
        self.list.held().saturating_add(self.open_bytes())
    }

    /// Bytes of the segment that has begun.
    fn open_bytes(&self) -> usize {
        let parts = self.list.open.iter().flat_map(|segment| &segment.parts);
        let pack = self.pack.as_ref().map_or(0, Pack::len);
        parts.fold(pack, |sum, part| sum.saturating_add(part.len))
    }

    /// Takes what describes a track.
    fn describe(&mut self, frame: &Frame) {
        let (allowed, left_out) = match frame.kind {
            Kind::Video => (self.options.video, &mut self.left_out.video),
            Kind::Audio => (self.options.audio, &mut self.left_out.audio),
            Kind::Data => return,
        };
        if !allowed {
            return;
        }
        let carried = pack::carries(self.options.format, frame);
        let told = std::mem::replace(left_out, (!carried).then_some(frame.codec));
        if !carried && told != Some(frame.codec) {
            self.output(Output::LeftOut { codec: frame.codec });
        }
        if let Some(slot) = self.wanted.slot_mut(frame.kind) {
            *slot = carried.then(|| frame.clone());
        }
    }

    /// A frame that goes nowhere.
    fn leave_out(&mut self, frame: &Frame) {
        if self.wanted.is_empty() && !self.left_out.refused {
            let since = *self.left_out.since_us.get_or_insert(frame.dts);
            if frame.dts.saturating_sub(since) >= REFUSED_AFTER_US {
                self.refuse();
            }
        }
    }

    fn refuse(&mut self) {
        if let Some(codec) = self.left_out.video.or(self.left_out.audio) {
            self.left_out.refused = true;
            self.output(Output::Refused { codec });
        }
    }

    /// The frame with times that go forward within its track. After a leap the segment ends.
    fn in_time(&mut self, frame: &Frame) -> Frame {
        if self.leaps(frame) {
            self.break_off();
        }
        let samples = match &self.wanted.audio {
            Some(header) if frame.kind == Kind::Audio && !self.options.dts_directly => {
                pack::audio_clock(header)
            }
            _ => None,
        };
        let clock = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        let counted = samples.map_or(frame.dts, |samples| clock.counted(frame.dts, samples));
        let dts = match clock.last_dts {
            Some(last) if counted <= last => last.saturating_add(STEP_US),
            Some(last) => {
                clock.interval_us = counted.saturating_sub(last);
                counted
            }
            None => counted,
        };
        clock.last_dts = Some(dts);
        self.last_dts = Some(dts);
        let mut frame = frame.clone();
        frame.pts = match frame.kind {
            Kind::Video => frame.pts.max(dts),
            _ => dts,
        };
        frame.dts = dts;
        frame
    }

    /// Whether the frame is far from all frames before it: those of its track, and those of any.
    fn leaps(&self, frame: &Frame) -> bool {
        let far = |last: i64| {
            let ahead = frame.dts.saturating_sub(last);
            !(-LEAP_BACK_US..=LEAP_US).contains(&ahead)
        };
        let track = if frame.kind == Kind::Video { &self.video } else { &self.audio };
        self.last_dts.is_some_and(far) && track.last_dts.is_none_or(far)
    }

    /// Whether audio has waited for video long enough.
    fn has_waited(&mut self, dts: i64) -> bool {
        if self.open.is_some() {
            return false;
        }
        let since = *self.waits_since.get_or_insert(dts);
        dts.saturating_sub(since) >= VIDEO_WAIT_US
    }

    /// Ends the segment or the part before this frame, where it is time to.
    fn cut_before(&mut self, frame: &Frame, starts: bool) {
        let (Some(open), Some(pack)) = (&self.open, &self.pack) else { return };
        if starts && self.has_changed() {
            let is_prelude = self.is_first && self.open_us(Some(frame)) < PRELUDE_US;
            self.end_segment(Some(frame), is_prelude);
            return;
        }
        let more = frame.payload.len();
        if pack.is_full(more) || self.open_bytes().saturating_add(more) > self.options.max_bytes / 3 {
            self.end_segment(Some(frame), false);
            return;
        }
        let (track, other) = match frame.kind {
            Kind::Video => (&self.video, &self.audio),
            _ => (&self.audio, &self.video),
        };
        let elapsed = open.span.elapsed(frame, other);
        if elapsed <= 0 {
            return;
        }
        let leads = frame.kind == Kind::Video || pack.tracks.video.is_none();
        let limit = self.limit_us();
        let beyond = |us: i64| elapsed.saturating_add(us) > limit;
        let is_due = elapsed >= self.options.fragment_us && leads;
        let next_key = self.gop.longest_us.max(self.gop.before_us);
        if (is_due && (starts || !self.options.wait_keyframe))
            || (starts && next_key > 0 && beyond(next_key))
            || beyond(if leads { track.interval_us } else { 0 })
        {
            self.end_segment(Some(frame), false);
            return;
        }
        if let Some(target) = self.list.part_target_us
            && open.in_parts
            && leads
            && open.part.elapsed(frame, other).saturating_add(track.interval_us) > target
        {
            self.end_part(Some(frame));
        }
    }

    /// Whether the tracks have changed since the pack was made.
    fn has_changed(&self) -> bool {
        let kinds = [Kind::Video, Kind::Audio];
        self.pack
            .as_ref()
            .is_some_and(|pack| kinds.iter().any(|kind| !pack.tracks.agree(&self.wanted, *kind)))
    }

    /// Ends the segment with nothing to follow it at once: a leap, or the publish's end.
    fn break_off(&mut self) {
        self.opening = None;
        self.end_segment(None, false);
        self.pack = None;
        self.list.discontinuity |= self.list.next_seq > 0;
        (self.video, self.audio, self.last_dts) = (Clock::default(), Clock::default(), None);
        self.gop = Gop::default();
        self.waits_since = None;
    }

    /// Begins a segment, where one may begin.
    fn begin_segment(&mut self, when: &Calendar, starts: bool) -> bool {
        if starts && self.has_changed() {
            self.pack = None;
            self.list.discontinuity |= self.list.next_seq > 0;
        }
        // After a segment that was ended without a keyframe, the next begins with what follows.
        if !starts && self.pack.is_none() {
            return false;
        }
        self.waits_since = None;
        let seq = self.list.next_seq;
        if self.pack.is_none() {
            let Some(pack) = Pack::new(self.options.format, self.wanted.clone()) else { return false };
            self.use_map(pack.init(), seq, when);
            self.pack = Some(pack);
        }
        if let Some(pack) = &mut self.pack {
            pack.begin();
        }
        let timestamp = self.timestamp(when);
        let in_parts = self.list.part_target_us.is_some();
        let date_ms = match self.date_ms {
            Some(due) if when.unix_ms.saturating_sub(due).saturating_abs() <= DATE_DRIFT_MS => due,
            Some(due) => when.unix_ms.max(due.saturating_sub(DATE_DRIFT_MS)),
            None => when.unix_ms,
        };
        let (name, uri) = match in_parts {
            true => {
                self.file_name(&self.options.segment, &Facts { seq, duration_ms: 0, timestamp, when: *when })
            }
            false => Default::default(),
        };
        self.list.open = Some(Segment {
            seq,
            name,
            uri,
            date_ms: Some(date_ms),
            duration_us: 0,
            len: 0,
            bytes: Bytes::new(),
            independent: true,
            discontinuity: std::mem::take(&mut self.list.discontinuity),
            key: None,
            map: self.map.as_ref().map(|(map, _)| Arc::clone(map)),
            parts: Vec::new(),
        });
        self.open = Some(Open {
            when: *when,
            timestamp,
            span: Span::default(),
            part: Span::default(),
            frames: 0,
            in_parts,
        });
        self.gop.before_us = std::mem::take(&mut self.gop.longest_us);
        // What comes next is hinted at.
        self.is_dirty |= in_parts;
        true
    }

    /// Keeps a publish's first frames, for as long as its first segment may begin again.
    fn remember(&mut self, when: &Calendar, frame: &Frame) {
        let Some(opening) = &mut self.opening else { return };
        let first = opening.first().map_or(frame.dts, |(_, first)| first.dts);
        let is_early = frame.dts.saturating_sub(first) < OPENING_US && opening.len() < OPENING_FRAMES;
        let is_whole = self.open.as_ref().is_some_and(|open| !open.in_parts);
        if self.is_first && is_whole && is_early {
            opening.push((*when, frame.clone()));
        } else {
            self.opening = None;
        }
    }

    /// A track has shown itself right behind the publish's first frames: the first segment begins again, with
    /// all tracks.
    fn begin_again(&mut self) {
        let opening = self.opening.take().unwrap_or_default();
        let Some((when, _)) = opening.first() else { return };
        self.end_segment(None, true);
        self.pack = None;
        if self.begin_segment(when, true) {
            opening.into_iter().for_each(|(_, frame)| self.add(frame));
        }
    }

    /// Adds a frame to the segment. One whose track has changed has to wait for the next segment.
    fn add(&mut self, frame: Frame) {
        let (Some(open), Some(pack)) = (&mut self.open, &mut self.pack) else { return };
        if !pack.tracks.agree(&self.wanted, frame.kind) {
            return;
        }
        open.span.note(&frame);
        open.part.note(&frame);
        if frame.kind == Kind::Video || pack.tracks.video.is_none() {
            open.frames = open.frames.saturating_add(1);
        }
        if frame.is_video_key() {
            self.gop.key(frame.dts);
        }
        pack.write(frame);
    }

    /// How long the segment is up to this frame, or to the end of its last, in µs.
    fn open_us(&self, before: Option<&Frame>) -> i64 {
        self.open.as_ref().map_or(0, |open| self.span_us(&open.span, before))
    }

    fn span_us(&self, span: &Span, before: Option<&Frame>) -> i64 {
        let us = match before {
            Some(frame) if frame.kind == Kind::Video => span.elapsed(frame, &self.audio),
            Some(frame) => span.elapsed(frame, &self.video),
            None => span.until_end(&self.video, &self.audio),
        };
        us.max(SHORTEST_US)
    }

    /// Ends the part before this frame, or after the last one.
    fn end_part(&mut self, before: Option<&Frame>) {
        let Some(chunk) = self.pack.as_mut().and_then(|pack| pack.cut(before.map(|f| (f.kind, f.dts))))
        else {
            return;
        };
        let Some(open) = &mut self.open else { return };
        let span = std::mem::take(&mut open.part);
        // Nor may all of them be longer than a segment may be.
        let before_us = self.list.open.as_ref().map_or(0, |segment| segment.duration_us);
        let most = self.limit_us().saturating_sub(before_us).max(SHORTEST_US);
        let most = self.list.part_target_us.map_or(most, |target| target.min(most));
        let duration_us = self.span_us(&span, before).min(most);
        let Chunk { bytes, independent, has_key } = chunk;
        let bytes = bytes.freeze();
        let Some(segment) = &mut self.list.open else { return };
        let number = segment.parts.len();
        segment.independent &= number > 0 || independent;
        segment.duration_us = segment.duration_us.saturating_add(duration_us);
        let name = names::marked(&segment.name, &format!(".{number}"));
        segment.parts.push(Part {
            duration_us,
            independent: has_key,
            len: bytes.len(),
            bytes: bytes.clone(),
        });
        self.output(Output::Part { name, bytes });
        self.is_dirty = true;
    }

    /// Ends the segment before this frame, or after its last one. It is listed, unless it is a prelude.
    fn end_segment(&mut self, before: Option<&Frame>, is_prelude: bool) {
        let Some(in_parts) = self.open.as_ref().map(|open| open.in_parts) else { return };
        let ended = if in_parts { self.end_in_parts(before) } else { self.end_whole(before, is_prelude) };
        let began = self.list.open.take();
        let Some(open) = self.open.take() else { return };
        let Some((mut segment, bytes)) = ended else {
            // As if it had never begun.
            self.list.discontinuity |= began.is_some_and(|segment| segment.discontinuity);
            return;
        };
        if self.list.target_s.is_none() {
            self.choose_targets(&segment, open.frames);
        }
        segment.len = bytes.len();
        if self.options.keep_bytes {
            segment.bytes = bytes.clone();
        }
        self.output(Output::Segment(Closed {
            name: segment.name.clone(),
            uri: segment.uri.clone(),
            bytes,
            seq: segment.seq,
            duration_us: segment.duration_us,
            date_ms: segment.date_ms.unwrap_or(0),
            independent: segment.independent,
            discontinuity: segment.discontinuity,
        }));
        self.date_ms = segment.date_ms.map(|ms| ms.saturating_add(segment.duration_us / 1000));
        self.list.next_seq = segment.seq.saturating_add(1);
        self.list.push(segment);
        self.is_first = false;
        self.is_dirty = true;
    }

    /// The segment with its last part, and all of its bytes.
    fn end_in_parts(&mut self, before: Option<&Frame>) -> Option<(Segment, Bytes)> {
        self.end_part(before);
        let mut segment = self.list.open.take_if(|segment| !segment.parts.is_empty())?;
        let len = segment.parts.iter().fold(0usize, |sum, part| sum.saturating_add(part.len));
        let mut whole = BytesMut::with_capacity(len);
        segment.parts.iter().for_each(|part| whole.extend_from_slice(&part.bytes));
        let whole = whole.freeze();
        let mut rest = whole.clone();
        for part in &mut segment.parts {
            // The parts were copied together.
            let bytes = rest.split_to(part.len.min(rest.len()));
            part.bytes = if self.options.keep_bytes { bytes } else { Bytes::new() };
        }
        Some((segment, whole))
    }

    /// The segment that was not made in parts, named and encrypted.
    fn end_whole(&mut self, before: Option<&Frame>, is_prelude: bool) -> Option<(Segment, Bytes)> {
        let duration_us = self.open_us(before).min(self.limit_us());
        let chunk = self.pack.as_mut().and_then(|pack| pack.cut(before.map(|f| (f.kind, f.dts))));
        let chunk = chunk.filter(|_| !is_prelude)?;
        let open = self.open.as_ref()?;
        let seq = self.list.next_seq;
        let duration_ms = u64::try_from(duration_us / 1000).unwrap_or(0);
        let facts = Facts { seq, duration_ms, timestamp: open.timestamp, when: open.when };
        let (name, uri) = self.file_name(&self.options.segment, &facts);
        let (key, bytes) = match self.use_key(&facts) {
            Some((resource, key)) => (Some(resource), cipher::encrypt(&key, seq, chunk.bytes)),
            None => (None, chunk.bytes.freeze()),
        };
        let mut segment = self.list.open.take()?;
        (segment.name, segment.uri, segment.key) = (name, uri, key);
        (segment.duration_us, segment.independent) = (duration_us, chunk.independent);
        Some((segment, bytes))
    }

    /// How long a segment may be, in µs.
    fn limit_us(&self) -> i64 {
        match self.list.target_us() {
            Some(us) => us.saturating_add(ROUNDED_AWAY_US),
            None => times(self.options.fragment_us, self.options.aof_ratio),
        }
    }

    /// Chooses the target durations by the first segment, which ends. See the room's documentation.
    fn choose_targets(&mut self, first: &Segment, frames: i64) {
        let fragment = self.options.fragment_us;
        let gop = self.gop.longest_us;
        let gops = match fragment.checked_div(gop) {
            // A GOP's times are rounded: one that is less by a ms still counts.
            Some(n) if gop > 0 && n.saturating_mul(gop).saturating_add(10_000) < fragment => {
                n.saturating_add(1).saturating_mul(gop)
            }
            Some(n) if gop > 0 => n.saturating_mul(gop),
            _ => 0,
        };
        let longest = gops.min(self.limit_us()).max(first.duration_us);
        let rounded = longest.saturating_add(1_000_000 - ROUNDED_AWAY_US - 1) / 1_000_000;
        let configured = seconds_up(times(fragment, self.options.td_ratio));
        self.list.target_s = Some(u32::try_from(rounded.max(configured).max(1)).unwrap_or(u32::MAX));
        let longest = self.limit_us();
        self.list.part_target_us = self.options.part_us.map(|part| {
            let frame = first.duration_us.checked_div(frames).unwrap_or(0).max(1);
            let whole = (part / frame).max(1).saturating_mul(frame);
            // Parts may not be less than 85 % of their target (rfc8216bis, 4.4.4.9).
            let fits = whole <= part && whole.saturating_mul(100) >= part.saturating_mul(85);
            if fits { part } else { whole.saturating_add(frame / 16).min(longest) }
        });
    }

    /// `[timestamp]` of a segment that begins.
    fn timestamp(&mut self, when: &Calendar) -> i64 {
        if !self.options.ts_floor {
            return when.unix_ms;
        }
        let now = when.unix_ms.saturating_mul(1000).div_euclid(self.options.fragment_us);
        // One further each time, unless the clock was set.
        let next = match self.floor {
            Some(last) if (now..=now.saturating_add(FLOOR_AHEAD)).contains(&last) => last.saturating_add(1),
            _ => now,
        };
        self.floor = Some(next);
        next
    }

    /// The name and URI of a file that begins.
    fn file_name(&self, template: &str, facts: &Facts) -> (String, String) {
        // It could be made when the writer was.
        let mut name = names::expand(&self.options, template, facts).unwrap_or_default();
        if self.list.has_name(&name) {
            name = names::marked(&name, &format!("-{}", facts.seq));
        }
        let uri = names::uri(&self.options.entry_prefix, &self.playlist, &name);
        (name, uri)
    }

    /// Takes an initialization section, unless it is the one in use.
    fn use_map(&mut self, init: Option<Bytes>, seq: u64, when: &Calendar) {
        let Some(bytes) = init else { return };
        if self.map.as_ref().is_some_and(|(_, used)| *used == bytes) {
            return;
        }
        self.map = None;
        let mut expired = Vec::new();
        self.list.drop_resources(&mut expired);
        expired.into_iter().for_each(|name| self.output(Output::Expired { name }));
        let facts = Facts { seq, when: *when, timestamp: when.unix_ms, duration_ms: 0 };
        let plain = names::expand(&self.options, &self.options.init, &facts).unwrap_or_default();
        // No name is used again, also where none of a segment's sections has come to be listed.
        let (mut name, (last, mut count)) = (String::new(), self.maps);
        if last != seq {
            count = 0;
        }
        while name.is_empty() || self.list.has_name(&name) {
            name = match (seq, count) {
                (0, 0) => plain.clone(),
                (_, 0) => names::marked(&plain, &format!("-{seq}")),
                _ => names::marked(&plain, &format!("-{seq}-{count}")),
            };
            count = count.saturating_add(1);
        }
        self.maps = (seq, count);
        let uri = names::uri(&self.options.entry_prefix, &self.playlist, &name);
        let kept = if self.options.keep_bytes { bytes.clone() } else { Bytes::new() };
        let tag = format!("#EXT-X-MAP:URI=\"{uri}\"");
        let map = self.list.keep(Resource { name: name.clone(), tag, bytes: kept });
        self.map = Some((map, bytes.clone()));
        self.output(Output::Init { name, bytes });
    }

    /// The key for the segment that ends, a new one where it is time to.
    fn use_key(&mut self, facts: &Facts) -> Option<(Arc<Resource>, [u8; 16])> {
        let keys = self.options.keys.as_ref()?;
        if let Some((resource, key, used)) = &mut self.key
            && *used < keys.fragments_per_key
        {
            *used = used.saturating_add(1);
            return Some((Arc::clone(resource), *key));
        }
        let key = cipher::key(&keys.seed, facts.seq);
        let (name, _) = self.file_name(&keys.file, facts);
        let uri = names::uri(&keys.url, &self.playlist, &name);
        let tag = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"");
        let bytes = if self.options.keep_bytes { Bytes::copy_from_slice(&key) } else { Bytes::new() };
        let resource = self.list.keep(Resource { name: name.clone(), tag, bytes });
        self.key = Some((Arc::clone(&resource), key, 1));
        self.output(Output::Key { name, bytes: key });
        Some((resource, key))
    }

    /// Gives the playlist out, if it has changed, and what it has let go of.
    fn publish(&mut self) {
        if !std::mem::take(&mut self.is_dirty) || self.list.target_s.is_none() {
            return;
        }
        let mut expired = Vec::new();
        let room = self.options.max_bytes.saturating_sub(self.open_bytes());
        self.list.trim(self.options.window_us, room, &mut expired);
        let text = self.list.render();
        self.output(Output::Playlist { name: self.playlist.clone(), text });
        expired.into_iter().for_each(|name| self.output(Output::Expired { name }));
    }

    fn output(&mut self, output: Output) {
        if self.outputs.len() >= limits::HLS_OUTPUTS {
            self.outputs.pop_front();
        }
        self.outputs.push_back(output);
    }
}

impl Span {
    fn note(&mut self, frame: &Frame) {
        let start = if frame.kind == Kind::Video { &mut self.video } else { &mut self.audio };
        start.get_or_insert(frame.dts);
    }

    /// How long it is up to this frame; by the other track where there is none of this frame's in it.
    fn elapsed(&self, frame: &Frame, other: &Clock) -> i64 {
        let (track, beside) = match frame.kind {
            Kind::Video => (self.video, self.audio),
            _ => (self.audio, self.video),
        };
        match (track, beside, other.last_dts) {
            (Some(start), ..) => frame.dts.saturating_sub(start),
            (None, Some(start), Some(last)) => last.saturating_add(other.interval_us).saturating_sub(start),
            _ => 0,
        }
    }

    /// How long it is up to the end of the last frame.
    fn until_end(&self, video: &Clock, audio: &Clock) -> i64 {
        let end = |start: Option<i64>, clock: &Clock| {
            let last = clock.last_dts?.saturating_add(clock.interval_us.min(MAX_FRAME_US));
            Some(last.saturating_sub(start?))
        };
        end(self.video, video).or(end(self.audio, audio)).unwrap_or(0)
    }
}

impl Clock {
    /// The time by samples, as long as it is near to what came.
    fn counted(&mut self, dts: i64, (samples, rate): (i64, i64)) -> i64 {
        if let Some((from, frames)) = &mut self.anchor {
            *frames = frames.saturating_add(1);
            let us = frames.saturating_mul(samples).saturating_mul(1_000_000).checked_div(rate).unwrap_or(0);
            let due = from.saturating_add(us);
            let half = samples.saturating_mul(500_000).checked_div(rate).unwrap_or(0);
            if due.saturating_sub(dts).saturating_abs() < half {
                return due;
            }
        }
        self.anchor = Some((dts, 0));
        dts
    }
}

impl Gop {
    fn key(&mut self, dts: i64) {
        if let Some(began) = self.began.replace(dts) {
            self.longest_us = self.longest_us.max(dts.saturating_sub(began));
        }
    }
}

/// µs in s, rounded up.
fn seconds_up(us: i64) -> i64 {
    us.saturating_add(999_999) / 1_000_000
}

/// `us` times a ratio; a ratio below 1, or that is no number, counts as 1.
fn times(us: i64, ratio: f64) -> i64 {
    // A float becomes the nearest integer that there is.
    (us as f64 * ratio.max(1.0)) as i64
}
