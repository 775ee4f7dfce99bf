//! When a file begins, what goes into it, and when it ends.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::media::{Codec, Frame, Headers, Kind, Role};
use crate::template::{self, Calendar, Unsafe, Variables};
use crate::time::Time;
use crate::wire::limits::{DVR_FILE_BYTES, DVR_FILE_BYTES_SOFT, DVR_OUTPUTS, DVR_QUEUE_BYTES};

use super::file::File;
use super::options::{Format, Options, Plan};
use super::preroll::{self, PreRoll};
use super::tracks::Tracks;

/// How long after a failure of the disk another file is tried.
const RETRY: Duration = Duration::from_secs(10);
/// How much longer than its duration a segment is at least that finds no keyframe to end at.
const OVERTIME_US: i64 = 10_000_000;

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a file. `file` is its number with this recorder and never used again.
    Open {
        /// Its number.
        file: u32,
        /// Its name. One that exists is not to be written over: a free one like it is taken instead.
        path: String,
        /// A file of this name is to be gone on with; [`Recorder::opened`] must be told of it. Nothing is
        /// written to it before.
        append: bool,
    },
    /// Write at the file's end.
    Write {
        /// The file's number.
        file: u32,
        /// Whole tags or fragments.
        bytes: Bytes,
    },
    /// Write over what stands in the file.
    Patch {
        /// The file's number.
        file: u32,
        /// Where, from the file's beginning.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// The file is complete.
    Close {
        /// Its number.
        file: u32,
        /// How long it plays, in µs: its last timestamp less its first.
        duration_us: i64,
        /// Its length, in bytes.
        bytes: u64,
        /// It is to be rewritten with its index in front.
        faststart: bool,
    },
    /// So many frames were left out since the outputs were not taken in time, or could not be held while a
    /// file was being opened. What follows begins with a keyframe.
    Dropped {
        /// How many.
        frames: u32,
    },
    /// Something can't be recorded; said once for each cause.
    Refused(Refusal),
}

/// What can't be recorded, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The path leads elsewhere. Nothing is recorded.
    Path(Unsafe),
    /// A track that the container doesn't take. The other one is recorded.
    Track {
        /// Which one.
        kind: Kind,
        /// How it is coded.
        codec: Codec,
        /// Why, in the container's words.
        why: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(e) => write!(f, "nothing is recorded: {e}"),
            Self::Track { kind, codec, why } => {
                let track = if *kind == Kind::Video { "video" } else { "audio" };
                write!(f, "{track} ({codec}) is not recorded: {why}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// When [`Recorder::cut`] ends the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The next keyframe begins another file.
    AtKeyframe,
    /// Now. What comes before the next keyframe is in no file.
    AtOnce,
}

/// Bytes to be put right at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
}

/// Records one stream. See the module's documentation.
///
/// After each call the outputs are taken until there are none, and [`Recorder::poll_timeout`] is asked
/// when [`Recorder::handle_timeout`] is due. Where the disk is busy they may be left for a while: beyond
/// a limit frames are dropped, up to a keyframe.
#[derive(Debug)]
pub struct Recorder {
    options: Options,
    format: Format,
    /// The path with a file's name.
    template: String,
    now: Time,
    when: Calendar,
    publishing: bool,
    triggered: bool,
    /// The headers in force.
    headers: Headers,
    /// Whether this publish has video that can be recorded.
    has_video: bool,
    tracks: Tracks,
    file: Option<File>,
    /// The number of the next file.
    next_file: u32,
    /// The next frame must be one that a file may begin with, though one is open.
    waiting: bool,
    /// The next keyframe is to begin another file.
    cut: bool,
    held: PreRoll,
    keep_until: Option<Time>,
    retry_at: Option<Time>,
    dropped: u32,
    outputs: VecDeque<Output>,
    /// Bytes in `outputs`.
    queued: usize,
    /// The path was refused.
    is_dead: bool,
    /// The last file ended because no file may be longer.
    is_full: bool,
}

impl Recorder {
    /// A recorder of a stream that nobody publishes.
    pub fn new(options: Options) -> Self {
        Self {
            format: options.format(),
            template: options.template(),
            triggered: !options.on_demand,
            options,
            now: Time::ZERO,
            when: Calendar::default(),
            publishing: false,
            headers: Headers::default(),
            has_video: false,
            tracks: Tracks::default(),
            file: None,
            next_file: 0,
            waiting: false,
            cut: false,
            held: PreRoll::default(),
            keep_until: None,
            retry_at: None,
            dropped: 0,
            outputs: VecDeque::new(),
            queued: 0,
            is_dead: false,
            is_full: false,
        }
    }

    /// A publish begins, or one that goes on is to be recorded from now on. `headers` are those in force.
    /// One that has not ended has ended now.
    pub fn begin(&mut self, now: Time, headers: &Headers) {
        if self.publishing {
            self.end(now);
        }
        self.now = now;
        self.publishing = true;
        self.keep_until = None;
        self.headers = headers.clone();
        self.has_video = false;
        match self.file.as_mut() {
            Some(file) if file.is_opening() => {
                file.ends = false;
                headers.iter().for_each(|h| self.hold(h, false));
            }
            file => {
                file.into_iter().for_each(File::restart);
                self.held.clear(headers);
            }
        }
        self.waiting = self.file.is_some();
        self.see_video();
    }

    /// A frame, or a header, of the publish that goes on; others are passed over. `when` is the wall time.
    pub fn write(&mut self, now: Time, when: &Calendar, frame: &Frame) {
        (self.now, self.when) = (now, *when);
        self.handle_timeout(now);
        if !self.publishing || self.is_dead {
            return;
        }
        if frame.role == Role::Header {
            preroll::set(&mut self.headers, frame.clone());
            self.see_video();
        } else if !self.takes(frame) {
            return;
        }
        if self.triggered {
            self.record(frame, when.unix_ms);
        } else if self.options.preroll_us > 0 && !self.is_opening() {
            let (length_us, bytes) = (self.options.preroll_us, self.options.preroll_bytes);
            let starts = self.starts(frame);
            self.held.push(frame, starts, length_us, bytes);
        }
    }

    /// The publish has ended. The file ends too, unless it is kept for the next publish.
    pub fn end(&mut self, now: Time) {
        self.now = now;
        self.publishing = false;
        if let Some(file) = self.file.as_mut()
            && self.options.keep_us > 0
        {
            file.settle();
            self.keep_until = Some(now + Duration::from_micros(self.options.keep_us));
            self.flush();
        } else {
            self.finish();
        }
        if !self.is_opening() {
            self.held.clear(&Headers::default());
        }
    }

    /// What was recorded beforehand is written, and what comes from now on, until [`Recorder::stop`]. `when`
    /// is the wall time.
    pub fn start(&mut self, now: Time, when: &Calendar) {
        (self.now, self.when) = (now, *when);
        if std::mem::replace(&mut self.triggered, true) || self.is_opening() {
            return;
        }
        self.replay();
    }

    /// The file ends, and frames are recorded beforehand again.
    pub fn stop(&mut self) {
        self.triggered = false;
        self.finish();
        if !self.is_opening() {
            self.held.clear(&self.headers);
        }
    }

    /// Ends the file and begins another one.
    pub fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::AtKeyframe => self.cut = self.file.is_some(),
            Cut::AtOnce => self.finish(),
        }
    }

    /// The file that was to be appended to is open, under this `path` or another. It holds `bytes`, all of
    /// them whole tags, the last one of the timestamp `last_ms`.
    pub fn opened(&mut self, now: Time, file: u32, bytes: u64, last_ms: u32) {
        self.now = now;
        let Some(open) = self.file.as_mut().filter(|f| f.id == file && f.is_opening()) else { return };
        open.resume(bytes, last_ms);
        let ends = open.ends;
        self.replay();
        if ends {
            self.finish();
        }
    }

    /// The disk refuses this file, which has ended; another one is begun some seconds later.
    pub fn failed(&mut self, now: Time, file: u32) {
        self.now = now;
        let Some(failed) = self.file.take_if(|f| f.id == file) else { return };
        if failed.is_opening() {
            self.held.clear(&self.headers);
        }
        self.keep_until = None;
        self.retry_at = Some(now + RETRY);
        self.push(Output::Close { file, duration_us: 0, bytes: 0, faststart: false });
    }

    /// When [`Recorder::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Time> {
        let gathered = self.file.as_ref().and_then(File::due);
        [gathered, self.keep_until].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = now;
        if self.keep_until.is_some_and(|until| until <= now) {
            self.finish();
        }
        if self.file.as_ref().and_then(File::due).is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        self.queued = self.queued.saturating_sub(length(&output));
        Some(output)
    }

    /// Whether a file is open.
    pub fn is_recording(&self) -> bool {
        self.file.is_some()
    }

    /// One frame or header, at the wall time `wall_ms`, for a file.
    fn record(&mut self, frame: &Frame, wall_ms: i64) {
        let starts = self.starts(frame);
        if self.is_opening() {
            return self.hold(frame, starts);
        }
        if frame.role == Role::Header {
            return;
        }
        if self.waiting && !starts {
            // The file's clock goes on.
            self.file.iter_mut().for_each(|file| file.pass(frame));
            self.dropped = self.dropped.saturating_add(u32::from(self.dropped > 0));
            return;
        }
        let is_coded = matches!(frame.role, Role::Key | Role::Delta);
        let mut begins = starts;
        if let Some(file) = &self.file {
            let (due, overdue) = self.is_due(file, frame);
            let is_full = file.position() >= DVR_FILE_BYTES_SOFT;
            begins = !file.takes(frame, &self.headers) || (is_coded && overdue);
            if begins || (starts && (due || self.cut)) {
                self.finish();
                self.is_full = is_full;
                begins = true;
            }
        }
        if self.file.is_none() {
            if !begins || !self.open() {
                return;
            }
            if self.is_opening() {
                return self.hold(frame, starts);
            }
        }
        self.append(frame, wall_ms);
    }

    /// Whether the file is to end before this frame if another may begin with it, and whether it is
    /// to end anyway.
    fn is_due(&self, file: &File, frame: &Frame) -> (bool, bool) {
        let bytes = file.position();
        let mut is_due = (bytes >= DVR_FILE_BYTES_SOFT, bytes >= DVR_FILE_BYTES);
        if self.options.plan == Plan::Segment {
            let elapsed = file.elapsed_at(frame);
            let duration = self.options.duration_us.max(0);
            is_due.0 |= elapsed >= duration;
            is_due.1 |= elapsed >= duration.saturating_add(duration.max(OVERTIME_US));
        }
        is_due
    }

    fn append(&mut self, frame: &Frame, wall_ms: i64) {
        if self.is_busy(frame) {
            self.file.iter_mut().for_each(|file| file.pass(frame));
            self.dropped = self.dropped.saturating_add(1);
            self.waiting = true;
            return;
        }
        self.waiting = false;
        if self.dropped > 0 {
            let frames = std::mem::take(&mut self.dropped);
            self.push(Output::Dropped { frames });
        }
        if let Some(file) = self.file.as_mut()
            && file.write(self.now, wall_ms, frame, &self.headers, self.options.fragment_us)
        {
            self.flush();
        }
    }

    /// Whether the outputs have not been taken for too long. Once frames were dropped half of them must
    /// have been.
    fn is_busy(&self, frame: &Frame) -> bool {
        // What was recorded beforehand comes all at once.
        let preroll = if self.options.preroll_us > 0 { self.options.preroll_bytes } else { 0 };
        let most = DVR_QUEUE_BYTES.saturating_add(preroll);
        let most = if self.dropped > 0 { most / 2 } else { most };
        let unwritten = self.file.as_ref().map_or(0, File::unwritten);
        let bytes = self.queued.saturating_add(unwritten).saturating_add(frame.size());
        // One frame that is longer than all of it is taken by itself.
        !self.outputs.is_empty() && (bytes > most || self.outputs.len() >= DVR_OUTPUTS)
    }

    /// Begins a file. `false` if there can be none.
    fn open(&mut self) -> bool {
        if self.retry_at.is_some_and(|at| self.now < at) {
            return false;
        }
        if self.outputs.len() >= DVR_OUTPUTS {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        }
        let variables = Variables {
            vhost: &self.options.vhost,
            app: &self.options.app,
            stream: &self.options.stream,
            seq: self.next_file.into(),
            duration_ms: 0,
            timestamp: self.when.unix_ms,
            when: self.when,
        };
        let path = match template::expand(&self.template, &variables) {
            Ok(path) => path,
            Err(e) => {
                self.is_dead = true;
                self.push(Output::Refused(Refusal::Path(e)));
                return false;
            }
        };
        let file = self.next_file;
        self.next_file = file.wrapping_add(1);
        let append = self.options.plan == Plan::Append
            && self.format == Format::Flv
            && !std::mem::take(&mut self.is_full);
        self.push(Output::Open { file, path, append });
        let (correction, with_index) = (self.options.jitter, self.options.keyframe_index);
        self.file = Some(File::new(file, self.format, append, correction, with_index));
        self.held.clear(&self.headers);
        self.retry_at = None;
        self.waiting = false;
        self.cut = false;
        true
    }

    /// Keeps the frame until the file is open.
    fn hold(&mut self, frame: &Frame, starts: bool) {
        let gone = self.held.push(frame, starts, i64::MAX, DVR_QUEUE_BYTES);
        self.dropped = self.dropped.saturating_add(gone);
    }

    /// Records what is held.
    fn replay(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let (headers, frames) = self.held.take();
        let in_force = std::mem::replace(&mut self.headers, headers);
        let newest = frames.back().map_or(0, |f| f.dts);
        for frame in frames {
            let ago_ms = newest.saturating_sub(frame.dts).max(0) / 1000;
            if frame.role == Role::Header {
                preroll::set(&mut self.headers, frame);
            } else {
                self.record(&frame, self.when.unix_ms.saturating_sub(ago_ms));
            }
        }
        self.headers = in_force;
    }

    /// Ends the file, or has it end once it is open.
    fn finish(&mut self) {
        self.cut = false;
        self.keep_until = None;
        if let Some(file) = self.file.as_mut().filter(|f| f.is_opening()) {
            file.ends = true;
            return;
        }
        let Some(mut file) = self.file.take() else { return };
        file.settle();
        if let Some(bytes) = file.take() {
            self.push(Output::Write { file: file.id, bytes });
        }
        let (id, duration_us, bytes) = (file.id, file.duration_us(), file.position());
        let patches = file.finish();
        for Patch { offset, bytes } in patches {
            self.push(Output::Patch { file: id, offset, bytes });
        }
        let faststart = self.options.faststart && self.format == Format::Mp4;
        self.push(Output::Close { file: id, duration_us, bytes, faststart });
    }

    /// Gives out what the file has gathered.
    fn flush(&mut self) {
        if let Some(file) = self.file.as_mut()
            && let Some(bytes) = file.take()
        {
            let file = file.id;
            self.push(Output::Write { file, bytes });
        }
    }

    fn push(&mut self, output: Output) {
        self.queued = self.queued.saturating_add(length(&output));
        self.outputs.push_back(output);
    }

    fn is_opening(&self) -> bool {
        self.file.as_ref().is_some_and(File::is_opening)
    }

    /// Whether the frame can be recorded in this format.
    fn takes(&mut self, frame: &Frame) -> bool {
        if self.format == Format::Mp4 {
            let taken = self.tracks.takes(frame, &self.headers);
            if !self.allow(taken) {
                return false;
            }
        }
        self.has_video |= frame.kind == Kind::Video;
        true
    }

    /// Looks whether the header in force announces video that can be recorded.
    fn see_video(&mut self) {
        let Some(header) = &self.headers.video else { return };
        let taken = if self.format == Format::Mp4 { self.tracks.takes_header(header) } else { Ok(true) };
        self.has_video = self.allow(taken);
    }

    fn allow(&mut self, taken: Result<bool, Refusal>) -> bool {
        taken.unwrap_or_else(|refusal| {
            self.push(Output::Refused(refusal));
            false
        })
    }

    /// Whether a file may begin with this frame.
    fn starts(&self, frame: &Frame) -> bool {
        match (frame.kind, frame.role) {
            (Kind::Video, Role::Key) => true,
            (Kind::Video | Kind::Audio, Role::Key | Role::Delta) if !self.options.wait_keyframe => true,
            (Kind::Audio, Role::Key) => !self.has_video,
            _ => false,
        }
    }
}

fn length(output: &Output) -> usize {
    match output {
        Output::Write { bytes, .. } | Output::Patch { bytes, .. } => bytes.len(),
        _ => 0,
    }
}
