//! The file that is being recorded: its clock, the headers that it has, and what is gathered for it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::media::{Correction, Frame, Headers, Jitter, Kind};
use crate::time::Time;
use crate::wire::limits::DVR_GATHER_BYTES;

use super::flv::{self, FlvFile};
use super::mp4::Mp4File;
use super::options::Format;
use super::preroll;
use super::recorder::Patch;

/// How long small writes are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// What stands between the last frame of a file that is gone on with and the next one, in µs.
const STEP_US: i64 = 10_000;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Its number.
    pub(super) id: u32,
    /// It is to end as soon as it is open.
    pub(super) ends: bool,
    body: Body,
    with_index: bool,
    correction: Correction,
    jitter: Jitter,
    /// What is added to the clock: the file's times begin at zero, or where the file was left.
    base_us: i64,
    /// Whether the clock has begun.
    is_running: bool,
    /// The first time in it and the last, in µs.
    span: Option<(i64, i64)>,
    /// The headers that it has.
    headers: Headers,
    gathered: BytesMut,
    /// When what is gathered is written at the latest.
    due: Option<Time>,
}

#[derive(Debug)]
enum Body {
    /// It is not known yet what is in it.
    Opening,
    /// Nothing is in it.
    Empty(Format),
    Flv(FlvFile),
    Mp4(Box<Mp4File>),
}

impl File {
    /// An empty file of this format or, if it `is_opening`, one that may have been there before.
    pub(super) fn new(
        id: u32,
        format: Format,
        is_opening: bool,
        correction: Correction,
        with_index: bool,
    ) -> Self {
        Self {
            id,
            ends: false,
            body: if is_opening { Body::Opening } else { Body::Empty(format) },
            with_index,
            correction,
            jitter: Jitter::default(),
            base_us: 0,
            is_running: false,
            span: None,
            headers: Headers::default(),
            gathered: BytesMut::new(),
            due: None,
        }
    }

    /// Whether it is not known yet what is in it.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.body, Body::Opening)
    }

    /// The FLV file is open and holds `bytes`, up to the timestamp `last_ms`.
    pub(super) fn resume(&mut self, bytes: u64, last_ms: u32) {
        if bytes == 0 {
            self.body = Body::Empty(Format::Flv);
        } else {
            self.body = Body::Flv(FlvFile::resume(bytes));
            self.base_us = i64::from(last_ms).saturating_mul(1000).saturating_add(STEP_US);
        }
    }

    /// Another publisher goes on, with a clock of its own.
    pub(super) fn restart(&mut self) {
        self.jitter.restart();
    }

    /// Whether the frame can go into this file as it was begun.
    pub(super) fn takes(&self, frame: &Frame, headers: &Headers) -> bool {
        match &self.body {
            Body::Mp4(file) => file.takes(frame, headers),
            _ => true,
        }
    }

    /// Bytes of the file, those that are gathered with them.
    pub(super) fn position(&self) -> u64 {
        match &self.body {
            Body::Opening | Body::Empty(_) => 0,
            Body::Flv(file) => file.position(),
            Body::Mp4(file) => file.position().saturating_add(file.unwritten() as u64),
        }
    }

    /// How long the file plays, in µs.
    pub(super) fn duration_us(&self) -> i64 {
        self.span.map_or(0, |(first, last)| last.saturating_sub(first))
    }

    /// How long the file plays up to this frame, in µs.
    pub(super) fn elapsed_at(&self, frame: &Frame) -> i64 {
        let at = self.at(&mut { self.jitter }, frame);
        self.span.map_or(0, |(first, last)| at.max(last).saturating_sub(first))
    }

    /// The frame is left out, but time goes on.
    pub(super) fn pass(&mut self, frame: &Frame) {
        self.tick(frame);
    }

    /// Adds a frame that it takes, and before it the headers that the file lacks. Answers whether enough
    /// is gathered to be written.
    pub(super) fn write(
        &mut self,
        now: Time,
        wall_ms: i64,
        frame: &Frame,
        headers: &Headers,
        fragment_us: i64,
    ) -> bool {
        let at = self.tick(frame);
        let out = &mut self.gathered;
        match self.body {
            Body::Empty(Format::Flv) => {
                self.body = Body::Flv(FlvFile::new(headers, self.with_index, out));
            }
            Body::Empty(Format::Mp4) => self.body = Body::Mp4(Box::default()),
            _ => {}
        }
        match &mut self.body {
            Body::Flv(file) => {
                // Metadata behind the beginning would be taken for a track of text.
                for header in headers.iter().filter(|header| header.kind != Kind::Data) {
                    if !self.headers.holds(header) {
                        file.write(at, header, out);
                        preroll::set(&mut self.headers, header.clone());
                    }
                }
                // What is longer than a tag may be could not be read back.
                file.write(at, frame, out);
            }
            Body::Mp4(file) => file.write(at, wall_ms, frame, headers, fragment_us, out),
            Body::Opening | Body::Empty(_) => {}
        }
        if flv::has_time(frame) {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first, last.max(at)));
        }
        self.gather(now);
        self.gathered.len() >= DVR_GATHER_BYTES
    }

    /// Nothing waits for a frame that may never come.
    pub(super) fn settle(&mut self) {
        if let Body::Mp4(file) = &mut self.body {
            file.settle(&mut self.gathered);
        }
    }

    /// What is gathered, to be written.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.due = None;
        (!self.gathered.is_empty()).then(|| self.gathered.split().freeze())
    }

    /// When it is to be written at the latest.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Bytes that are not written yet.
    pub(super) fn unwritten(&self) -> usize {
        let fragment = if let Body::Mp4(file) = &self.body { file.unwritten() } else { 0 };
        self.gathered.len().saturating_add(fragment)
    }

    /// What is put right at its end.
    pub(super) fn finish(self) -> Vec<Patch> {
        let duration_us = self.duration_us();
        match self.body {
            Body::Flv(file) => file.finish(duration_us).collect(),
            _ => Vec::new(),
        }
    }

    fn gather(&mut self, now: Time) {
        if !self.gathered.is_empty() && self.due.is_none() {
            self.due = Some(now + GATHER);
        }
    }

    /// The frame's time in this file, in µs; the clock is there now.
    fn tick(&mut self, frame: &Frame) -> i64 {
        let mut jitter = self.jitter;
        if flv::has_time(frame) && !std::mem::replace(&mut self.is_running, true) {
            let first = { jitter }.correct(self.correction, frame.dts);
            self.base_us = self.base_us.saturating_sub(first);
        }
        let at = self.at(&mut jitter, frame);
        self.jitter = jitter;
        at
    }

    fn at(&self, jitter: &mut Jitter, frame: &Frame) -> i64 {
        let at = if flv::has_time(frame) { jitter.correct(self.correction, frame.dts) } else { jitter.now() };
        if self.correction == Correction::Off { at } else { at.saturating_add(self.base_us).max(0) }
    }
}
