//! One media playlist over time: which segment is next, and when the playlist is to be asked for again
//! (RFC 8216, 6.3.3 and 6.3.4).

use std::time::Duration;

use super::super::m3u8::{Media, Segment};
use crate::time::Time;

/// Target durations before the end of a live playlist at which playing begins (6.3.3).
const START_TARGETS: i64 = 3;
/// Target durations before its end at which it is gone on with as at first: nobody gets that far behind who
/// plays in time.
const BEHIND_TARGETS: i64 = 3 * START_TARGETS;
/// Target durations without a new segment after which a live playlist is given up.
const STALLED_TARGETS: u32 = 6;
/// Answers in a row that are behind what was seen before they are believed: the server has begun anew. Fewer are
/// old copies from a cache.
const BACKWARD_ANSWERS: u32 = 3;
/// The least that is taken as a target duration, in µs: it paces requests.
const TARGET_MIN_US: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Following {
    media: Option<Media>,
    /// The media sequence number of the segment that is next, once there was one.
    next: Option<u64>,
    /// When the playlist was asked for, when it is to be again, and when it last had news.
    asked: Time,
    due: Option<Time>,
    news: Time,
    /// Answers in a row that were behind.
    backward: u32,
    /// Nothing that comes continues what came before.
    is_anew: bool,
    /// There were answers that were not the stream's end.
    is_live: bool,
    /// The last request failed.
    why: Option<String>,
}

/// There was no news for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stalled {
    /// For how long, in ms.
    pub(super) ms: u64,
    /// The last request failed.
    pub(super) why: Option<String>,
}

impl Following {
    /// The playlist has been here.
    pub(super) fn is_loaded(&self) -> bool {
        self.media.is_some()
    }

    /// Whether the playlist has been one that goes on.
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// How long it is gone on without news.
    pub(super) fn patience(&self) -> Duration {
        self.target().saturating_mul(STALLED_TARGETS)
    }

    /// When the playlist is to be asked for; `None` if not again.
    pub(super) fn due(&self) -> Option<Time> {
        if self.is_loaded() { self.due } else { Some(self.asked) }
    }

    /// It is asked for.
    pub(super) fn ask(&mut self, now: Time) {
        self.asked = now;
    }

    /// It has come.
    pub(super) fn update(&mut self, now: Time, media: Media) -> Result<(), Stalled> {
        self.why = None;
        let mut is_news = true;
        if let Some(old) = &self.media {
            if media.media_sequence < old.media_sequence || media.end() < old.end() {
                self.backward = self.backward.saturating_add(1);
                if self.backward < BACKWARD_ANSWERS {
                    return self.nothing_new(now, self.asked);
                }
                (self.next, self.is_anew) = (None, true);
            } else {
                is_news = media.end() > old.end() || media.ended;
            }
        }
        self.backward = 0;
        self.next = match self.next {
            Some(next) if !media.ended && is_behind(&media, next) => {
                self.is_anew = true;
                Some(start(&media))
            }
            Some(next) => Some(next.max(media.media_sequence)),
            None if media.segments.is_empty() => None,
            None if media.ended && !self.is_anew => Some(media.media_sequence),
            None => Some(start(&media)),
        };
        let is_over = media.ended;
        self.is_live |= !is_over;
        self.media = Some(media);
        if !is_news {
            return self.nothing_new(now, self.asked);
        }
        self.news = now;
        self.due = (!is_over).then_some(now.max(self.asked + self.target()));
        Ok(())
    }

    /// A request for a playlist that had been here failed, which is nothing new.
    pub(super) fn failed(&mut self, now: Time, why: String) -> Result<(), Stalled> {
        self.why = Some(why);
        self.nothing_new(now, now)
    }

    /// The segment that is next, and its media sequence number.
    pub(super) fn next(&self) -> Option<(u64, &Segment)> {
        let next = self.next?;
        Some((next, self.media.as_ref()?.segment(next)?))
    }

    /// The segment that is next has been dealt with.
    pub(super) fn advance(&mut self) {
        self.next = self.next.map(|next| next.saturating_add(1));
    }

    /// The server has begun anew: what is next doesn't continue what came before.
    pub(super) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// What is next has been begun with.
    pub(super) fn begin(&mut self) {
        self.is_anew = false;
    }

    /// No segment is left, and none will come.
    pub(super) fn is_over(&self) -> bool {
        self.media.as_ref().is_some_and(|media| media.ended) && self.next().is_none()
    }

    fn nothing_new(&mut self, now: Time, from: Time) -> Result<(), Stalled> {
        let since = now.since(self.news);
        if since >= self.patience() {
            let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            return Err(Stalled { ms, why: self.why.take() });
        }
        self.due = Some(now.max(from + self.target() / 2));
        Ok(())
    }

    fn target(&self) -> Duration {
        let us = self.media.as_ref().map_or(0, |media| media.target_us);
        Duration::from_micros(u64::try_from(us).unwrap_or(0).max(TARGET_MIN_US))
    }
}

/// Whether that segment has left a live playlist, or is so far before its end that it soon will have.
fn is_behind(media: &Media, next: u64) -> bool {
    let ahead =
        media.segments.iter().rev().take(media.end().saturating_sub(next).try_into().unwrap_or(usize::MAX));
    let left = ahead.map(|segment| segment.duration_us).fold(0, i64::saturating_add);
    next < media.media_sequence || left > media.target_us.saturating_mul(BEHIND_TARGETS)
}

/// Where to begin in a live playlist that has segments: at the last one that begins early enough, or else at
/// the first.
fn start(media: &Media) -> u64 {
    let early = media.target_us.saturating_mul(START_TARGETS);
    let mut left = 0i64;
    let behind = media.segments.iter().rev().position(|segment| {
        left = left.saturating_add(segment.duration_us);
        left >= early
    });
    let back = behind.map_or(u64::MAX, |behind| behind as u64).saturating_add(1);
    media.end().saturating_sub(back).max(media.media_sequence)
}
