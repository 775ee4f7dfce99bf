//! Frames that no file has yet: what is recorded beforehand, and what comes while a file is being opened.

use std::collections::VecDeque;

use crate::media::{Frame, Headers, Kind, Role};

/// What a frame takes beside its bytes.
const OVERHEAD: usize = size_of::<Frame>();

/// A bounded queue that begins with a frame that a file may begin with.
#[derive(Debug, Default)]
pub(super) struct PreRoll {
    frames: VecDeque<Frame>,
    /// The headers in force before the first frame.
    headers: Headers,
    bytes: usize,
    /// The number of the first frame, of all that there were.
    base: u64,
    /// The numbers of the frames that a file may begin with; the first one is the queue's.
    starts: VecDeque<u64>,
}

impl PreRoll {
    /// Nothing is held, and these headers are in force.
    pub(super) fn clear(&mut self, headers: &Headers) {
        *self = Self { headers: headers.clone(), ..Self::default() };
    }

    /// Adds a frame, and lets go of the oldest GOPs: those that are not needed for the newest `length_us`,
    /// and those that don't fit in `bytes`. Answers how many frames went.
    pub(super) fn push(&mut self, frame: &Frame, starts: bool, length_us: i64, bytes: usize) -> u32 {
        if starts {
            self.starts.push_back(self.base.saturating_add(self.frames.len() as u64));
        }
        self.bytes = self.bytes.saturating_add(cost(frame));
        self.frames.push_back(frame.clone());
        let mut gone = self.drop_to_start();
        while let Some(next) = self.starts.get(1).copied() {
            let rest = self.frame(next).map_or(0, |f| frame.dts.saturating_sub(f.dts));
            if self.bytes <= bytes && rest < length_us {
                break;
            }
            gone += self.pop() + self.drop_to_start();
        }
        // Of a GOP that is too long, the rest is of no use.
        if self.bytes > bytes {
            gone += self.pop() + self.drop_to_start();
        }
        gone
    }

    /// All of it, and the headers in force before it.
    pub(super) fn take(&mut self) -> (Headers, VecDeque<Frame>) {
        let held = std::mem::take(self);
        (held.headers, held.frames)
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn frame(&self, number: u64) -> Option<&Frame> {
        self.frames.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// Lets go of what comes before the first frame that a file may begin with.
    fn drop_to_start(&mut self) -> u32 {
        let mut gone = 0;
        while self.starts.front() != Some(&self.base) && !self.frames.is_empty() {
            gone += self.pop();
        }
        gone
    }

    /// Lets go of the first frame. Answers how many frames that is: a header stays in force.
    fn pop(&mut self) -> u32 {
        let Some(frame) = self.frames.pop_front() else { return 0 };
        self.bytes = self.bytes.saturating_sub(cost(&frame));
        if self.starts.front() == Some(&self.base) {
            self.starts.pop_front();
        }
        self.base = self.base.saturating_add(1);
        if frame.role == Role::Header {
            set(&mut self.headers, frame);
            return 0;
        }
        1
    }
}

fn cost(frame: &Frame) -> usize {
    frame.size().saturating_add(OVERHEAD)
}

/// The header is in force from now on.
pub(super) fn set(headers: &mut Headers, frame: Frame) {
    match frame.kind {
        Kind::Data => headers.metadata = Some(frame),
        Kind::Video => headers.video = Some(frame),
        Kind::Audio => headers.audio = Some(frame),
    }
}
