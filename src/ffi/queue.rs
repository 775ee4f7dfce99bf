//! The way across the threads: a bounded queue without locks, from one encoder's thread to the loop.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use heapless::spsc::{Consumer, Producer, Queue};

use crate::engine::{FrameSource, Remote};
use crate::media::Frame;

/// Places in the queue: over a second of 60 fps video and audio. One stays free.
const PLACES: usize = 128;

/// What both ends share. On mipsel there are no 64-bit atomics: everything is a usize or a flag.
struct Shared {
    queue: UnsafeCell<Queue<Frame, PLACES>>,
    /// Bytes of the frames in the queue.
    bytes: AtomicUsize,
    /// The loop has been woken and has not looked yet.
    signaled: AtomicBool,
    /// Frames have been dropped since the loop last asked.
    dropped: AtomicBool,
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
pub(super) fn channel(remote: Remote) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        queue: UnsafeCell::new(Queue::new()),
        bytes: AtomicUsize::new(0),
        signaled: AtomicBool::new(false),
        dropped: AtomicBool::new(false),
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
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.producer.enqueue(frame).is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Says that frames were dropped.
    pub(super) fn set_dropped(&self) {
        self.shared.dropped.store(true, Ordering::Release);
    }

    /// Wakes the loop, unless it is about to look anyway.
    pub(super) fn wake(&self) {
        if !self.shared.signaled.swap(true, Ordering::AcqRel) {
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

    pub(super) fn queued_bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
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
        self.shared.signaled.store(false, Ordering::Release);
        let frame = self.consumer.dequeue()?;
        self.shared.bytes.fetch_sub(frame.size(), Ordering::Relaxed);
        Some(frame)
    }

    fn is_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    fn take_dropped(&mut self) -> bool {
        self.shared.dropped.swap(false, Ordering::AcqRel)
    }

    fn close(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}
