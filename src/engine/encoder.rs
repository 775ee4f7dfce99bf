//! A stream that the host's own encoder publishes: frames come over a bounded queue from its thread.

use std::fmt;
use std::time::Duration;

use crate::media::Frame;
use crate::time::Time;

/// How long a keyframe that was asked for may take.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The loop's end of the queue from an encoder's thread.
pub trait FrameSource: Send {
    /// The next frame, if there is one. Never blocks.
    fn pop(&mut self) -> Option<Frame>;
    /// Whether the encoder's end is gone: no frame will come after those that are there.
    fn is_ended(&self) -> bool;
    /// Whether frames have been dropped since this was last asked, so that a keyframe would help.
    fn take_dropped(&mut self) -> bool;
    /// So many frames in memory that it has lent have been copied, since they were still held when it was wanted
    /// back.
    fn copied(&mut self, _frames: usize) {}
    /// The stream is no longer this encoder's: what it writes from now on is refused.
    fn close(&mut self);
}

/// One encoder.
pub(super) struct Encoder {
    pub(super) stream: u32,
    /// There but while it is being let in.
    pub(super) source: Option<Box<dyn FrameSource>>,
    /// Since when a keyframe has been asked for and has not come.
    pub(super) asked: Option<Time>,
    /// Where it wants to know which rate is held.
    pub(super) hint: Option<Box<super::hint::Hint>>,
}

impl Encoder {
    /// Whether it is to be asked for a keyframe now: once, and again while none comes, since the one that
    /// was made may have been dropped.
    pub(super) fn ask(&mut self, now: Time) -> bool {
        let due = self.asked.is_none_or(|since| since + ASK_AGAIN <= now);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("stream", &self.stream).finish_non_exhaustive()
    }
}
