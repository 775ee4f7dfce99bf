//! When what is due: a heap of times, with stale entries left in place and passed over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// What a time is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// A listener takes connections again.
    Listener(usize),
    /// A stream's gathered frames are due, or nobody has played it for long.
    Stream(u32),
    /// Memory that a stream has been lent is wanted back.
    Lent(u32),
    /// An ingest has its next frame, is tried again, or may end.
    Ingest(u32),
    /// A forward is tried again.
    Forward(u32),
    /// A connection that is kept for another request has been idle for too long.
    #[cfg(feature = "http")]
    Kept(u32),
    /// Who knows where a stream is forwarded to is asked again.
    #[cfg(feature = "http")]
    Backend(u32),
    /// A connection that is being made takes its next step, or too long.
    Dial(u32),
    /// An HLS writer's stream has not come back, or requests have waited for too long.
    #[cfg(feature = "hls")]
    Hls(u32),
    /// A player of HLS may be gone.
    #[cfg(all(feature = "hls", feature = "http"))]
    HlsPlayer(u32),
    /// A recording has something to write, or to end.
    #[cfg(feature = "dvr")]
    Dvr(u32),
    /// A player of the host's waits no longer for a track.
    Player(u32),
    /// A connection's limit.
    Conn(u32),
    /// The connections of an encoder's stream are looked at.
    Hint(u32),
    /// Bytes are counted, for the API.
    #[cfg(feature = "http")]
    Rates,
}

/// Times to come. Whoever is woken looks whether its time has really come, since what moves a deadline
/// to a later time leaves the entry alone.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Time, Alarm)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Time, alarm: Alarm) {
        self.heap.push(Reverse((at, alarm)));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due.
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, Alarm)> {
        if self.next()? > now {
            return None;
        }
        if self.heap.capacity() > 256 && self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(self.heap.len() * 2);
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_is_due_in_order() {
        let mut timers = Timers::default();
        timers.set(Time::from_millis(20), Alarm::Conn(2));
        timers.set(Time::from_millis(10), Alarm::Stream(1));
        assert_eq!(timers.next(), Some(Time::from_millis(10)));
        assert_eq!(timers.pop(Time::from_millis(9)), None);
        assert_eq!(timers.pop(Time::from_millis(30)), Some((Time::from_millis(10), Alarm::Stream(1))));
        assert_eq!(timers.pop(Time::from_millis(30)), Some((Time::from_millis(20), Alarm::Conn(2))));
        assert_eq!(timers.pop(Time::from_millis(30)), None);
    }
}
