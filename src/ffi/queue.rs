//! The way across the threads: a bounded queue without locks, from one encoder's thread to the loop.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use heapless::spsc::{Consumer, Producer, Queue};

use super::signal::Signal;
use crate::engine::{FrameSource, Remote};
use crate::media::Frame;
use crate::time::Time;

/// Places in the queue: over a second of 60 fps video and audio. One stays free.
const PLACES: usize = 128;

/// What both ends share. On mipsel there are no 64-bit atomics: everything is a usize or a flag.
struct Shared {
    queue: UnsafeCell<Queue<Frame, PLACES>>,
    counts: Arc<Counts>,
    /// The loop has been woken and has not looked yet.
    signaled: Signal,
    /// Frames have been dropped since the loop last asked.
    dropped: Signal,
    /// The encoder's end is gone.
    ended: AtomicBool,
    /// The loop no longer takes frames.
    closed: AtomicBool,
}

// SAFETY: the queue is only touched through its two ends, made once in `channel`, which synchronize;
// the rest is atomic.
unsafe impl Sync for Shared {}
// SAFETY: as above; frames may go to another thread.
unsafe impl Send for Shared {}

/// What either end counts and anybody may read.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Bytes of the frames in the queue.
    pub(super) queued: AtomicUsize,
    /// Buffers that the host has lent and that are still held, here or by the loop.
    pub(super) held: AtomicUsize,
    /// Frames in them that the loop has copied, since it held them for too long.
    pub(super) copied: AtomicUsize,
}

/// The encoder's end.
pub(super) struct Sender {
    // Before `shared`: it points into it.
    producer: Producer<'static, Frame>,
    shared: Arc<Shared>,
    remote: Remote,
    process: u32,
}

/// The loop's end.
pub(super) struct Receiver {
    consumer: Consumer<'static, Frame>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// A queue and its two ends. The sender wakes `remote`'s loop.
pub(super) fn channel(remote: Remote, counts: Arc<Counts>) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        queue: UnsafeCell::new(Queue::new()),
        counts,
        signaled: Signal::new(),
        dropped: Signal::new(),
        ended: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    });
    // SAFETY: the one place where the queue is split. Each end holds the Arc that it points into, and
    // lets go of it last, so the queue outlives both; it never moves, since the Arc owns it.
    let (producer, consumer) = unsafe { (*shared.queue.get()).split() };
    let process = std::process::id();
    (Sender { producer, shared: shared.clone(), remote, process }, Receiver { consumer, shared })
}

impl Sender {
    /// Whether `frames` frames of `bytes` bytes in all fit, with at most `limit` bytes in the queue.
    pub(super) fn has_room(&self, frames: usize, bytes: usize, limit: usize) -> bool {
        let free = self.producer.capacity().saturating_sub(self.producer.len());
        free >= frames && self.queued_bytes().saturating_add(bytes) <= limit
    }

    /// Adds a frame. `false` if there is no place.
    pub(super) fn push(&mut self, frame: Frame) -> bool {
        // Counted before it can be taken, so that the count never goes below zero.
        let bytes = frame.size();
        self.shared.counts.queued.fetch_add(bytes, Ordering::Relaxed);
        if self.producer.enqueue(frame).is_err() {
            self.shared.counts.queued.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Says that frames were dropped.
    pub(super) fn set_dropped(&self) {
        self.shared.dropped.raise();
    }

    /// Wakes the loop, unless it is about to look anyway.
    pub(super) fn wake(&self) {
        if self.shared.signaled.raise() {
            // The loop may be gone; then nobody misses it.
            let _ = self.remote.wake();
        }
    }

    /// Whether this is a child's copy: behind the waker is the parent's loop.
    pub(super) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    fn queued_bytes(&self) -> usize {
        self.shared.counts.queued.load(Ordering::Relaxed)
    }

    /// The time on the loop's clock.
    pub(super) fn now(&self) -> Time {
        self.remote.now()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if !self.is_forked() {
            let _ = self.remote.wake();
        }
    }
}

impl FrameSource for Receiver {
    fn pop(&mut self) -> Option<Frame> {
        // Taken back before the queue is looked at: a frame that comes after this look wakes again.
        self.shared.signaled.lower();
        let frame = self.consumer.dequeue()?;
        self.shared.counts.queued.fetch_sub(frame.size(), Ordering::Relaxed);
        Some(frame)
    }

    fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    fn take_dropped(&mut self) -> bool {
        self.shared.dropped.lower()
    }

    fn copied(&mut self, frames: usize) {
        self.shared.counts.copied.fetch_add(frames, Ordering::Relaxed);
    }

    fn close(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
        // Nobody else takes what is in it, and the host waits for memory that it has lent.
        while self.pop().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::engine::Engine;
    use crate::media::{Codec, Kind, Role};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn frame(n: i64) -> Frame {
        let (kind, codec, role) = (Kind::Audio, Codec::Aac, Role::Key);
        let payload = Bytes::from(n.to_be_bytes().to_vec()).into();
        Frame { kind, codec, role, dts: n, pts: n, payload, relay: Bytes::new() }
    }

    fn ends() -> (Engine, Sender, Receiver) {
        let engine = Engine::new().unwrap();
        let (sender, receiver) = channel(engine.remote(), Arc::default());
        (engine, sender, receiver)
    }

    #[test]
    fn frames_come_once_in_order_and_are_counted() {
        const FRAMES: i64 = 20_000;
        let (mut engine, mut sender, mut receiver) = ends();
        let counts = sender.shared.counts.clone();
        let encoder = std::thread::spawn(move || {
            for n in 0..FRAMES {
                while !sender.has_room(1, 8, 1000) {
                    std::thread::yield_now();
                }
                assert!(sender.push(frame(n)));
                sender.wake();
            }
        });
        let mut next = 0;
        while next < FRAMES {
            engine.turn(Some(PATIENCE)).unwrap();
            while let Some(frame) = receiver.pop() {
                assert_eq!((frame.dts, &frame.payload), (next, &next.to_be_bytes()[..].to_vec().into()));
                next += 1;
            }
        }
        encoder.join().unwrap();
        assert!(receiver.is_ended() && receiver.pop().is_none());
        assert_eq!(counts.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_loop_is_woken_for_every_frame_that_it_has_not_seen() {
        let (mut engine, mut sender, mut receiver) = ends();
        let seen = Arc::new(AtomicU32::new(0));
        let taken = seen.clone();
        let encoder = std::thread::spawn(move || {
            for n in 1..=5_000 {
                sender.push(frame(n.into()));
                sender.wake();
                // The loop may be just about to wait: it takes this one only if it is woken.
                while taken.load(Ordering::Acquire) < n {
                    std::hint::spin_loop();
                    std::thread::yield_now();
                }
            }
        });
        while seen.load(Ordering::Relaxed) < 5_000 {
            engine.turn(Some(PATIENCE)).unwrap();
            let mut any = false;
            while receiver.pop().is_some() {
                seen.fetch_add(1, Ordering::Release);
                any = true;
            }
            assert!(any || encoder.is_finished() || engine.now().as_millis() < 10_000, "not woken");
        }
        encoder.join().unwrap();
    }

    #[test]
    fn what_is_in_the_queue_goes_with_the_loops_end() {
        let (_engine, mut sender, receiver) = ends();
        let (a, b) = (Arc::new(*b"lent"), Arc::new(*b"lent"));
        struct Memory(Arc<[u8; 4]>);
        impl AsRef<[u8]> for Memory {
            fn as_ref(&self) -> &[u8] {
                &*self.0
            }
        }
        let lent = |memory: &Arc<[u8; 4]>| {
            let payload = crate::media::Chain::lent([Bytes::from_owner(Memory(memory.clone()))]);
            Frame { payload, ..frame(0) }
        };
        sender.push(lent(&a));
        drop(receiver);
        assert_eq!((Arc::strong_count(&a), sender.is_closed()), (1, true));
        // One that came in between goes with the other end.
        sender.push(lent(&b));
        drop(sender);
        assert_eq!(Arc::strong_count(&b), 1);
    }
}
