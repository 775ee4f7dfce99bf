//! The clock of what is played one after another: timestamps that begin anew, or jump, go on.

use crate::media::{Frame, Kind, Role};

/// What the last frame of a track counts as when there is only one, in µs.
const STEP_US: i64 = 10_000;
/// A step ahead beyond which a file's timestamps are taken to have jumped, in µs.
const JUMP_US: i64 = 10_000_000;
/// A step back of one track beyond which they are, in µs.
const JUMP_BACK_US: i64 = 1_000_000;

/// Where frames stand on the clock of the whole live, in µs from its start.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Where the file begins, or what follows a jump.
    base: i64,
    /// What is added to its timestamps; `None` before its first frame.
    offset: Option<i64>,
    /// The latest place given.
    latest: i64,
    tracks: [Track; 2],
}

#[derive(Debug, Default, Clone, Copy)]
struct Track {
    last: Option<i64>,
    step: i64,
}

impl Timeline {
    /// What follows has timestamps of its own, and begins where this ends.
    pub(super) fn begin_next(&mut self) {
        let ends = self.tracks.iter().filter_map(|track| {
            let step = if track.step > 0 { track.step } else { STEP_US };
            Some(track.last?.saturating_add(step))
        });
        let base = ends.max().unwrap_or(self.base);
        *self = Self { base, latest: base, ..Self::default() };
    }

    /// Gives a frame its place. Headers and data stand where the frame before them does.
    pub(super) fn place(&mut self, frame: Frame) -> (i64, Frame) {
        let composition = frame.pts.saturating_sub(frame.dts);
        let at = match (frame.kind, frame.role) {
            (Kind::Data, _) | (_, Role::Header) => self.latest,
            (kind, _) if is_media(&frame) => self.media(kind, frame.dts),
            _ => self.at(frame.dts),
        };
        (at, Frame { dts: at, pts: at.saturating_add(composition), ..frame })
    }

    /// The timestamp that has this place, as its file has it.
    #[cfg(feature = "http")]
    pub(super) fn source(&self, at: i64) -> i64 {
        at.saturating_sub(self.offset.unwrap_or(0))
    }

    fn media(&mut self, kind: Kind, dts: i64) -> i64 {
        let index = usize::from(kind == Kind::Video);
        let last = self.tracks.get(index).and_then(|track| track.last);
        let at = self.at(dts);
        let has_jumped = at > self.latest.saturating_add(JUMP_US)
            || last.is_some_and(|last| at < last.saturating_sub(JUMP_BACK_US));
        if has_jumped {
            self.begin_next();
        }
        self.offset.get_or_insert(self.base.saturating_sub(dts));
        let at = self.at(dts);
        if let Some(track) = self.tracks.get_mut(index) {
            let step = track.last.map_or(0, |last| at.saturating_sub(last));
            if step > 0 {
                track.step = step.min(JUMP_US);
            }
            track.last = Some(at);
        }
        self.latest = self.latest.max(at);
        at
    }

    pub(super) fn at(&self, dts: i64) -> i64 {
        self.offset.map_or(self.base, |offset| dts.saturating_add(offset).max(self.base))
    }
}

/// Whether time goes on with this frame.
pub(super) fn is_media(frame: &Frame) -> bool {
    frame.kind != Kind::Data && matches!(frame.role, Role::Key | Role::Delta)
}
