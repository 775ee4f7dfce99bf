//! The signal between an encoder's thread and the loop, in every order in which the two can come and with every
//! value that memory can show them.

#![cfg(test)]

#[path = "../../../src/ffi/signal.rs"]
mod signal;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use signal::Signal;

/// What the two threads share; the queue is what is left of it: how many frames there are.
struct Shared {
    frames: AtomicUsize,
    dropped: Signal,
    signal: Signal,
    /// The descriptor that wakes the loop. Swapped like the signals: the checker also shows a reader orders of plain
    /// stores that can't be.
    event: AtomicBool,
}

impl Shared {
    fn wake(&self) {
        if self.signal.raise() {
            self.event.swap(true, Ordering::AcqRel);
        }
    }

    /// One look of the loop: what it sees.
    fn look(&self) -> (usize, bool) {
        self.signal.lower();
        (self.frames.load(Ordering::Acquire), self.dropped.lower())
    }
}

#[test]
fn no_frame_and_no_loss_stays_unseen() {
    loom::model(|| {
        let shared = Arc::new(Shared {
            frames: AtomicUsize::new(0),
            dropped: Signal::new(),
            signal: Signal::new(),
            event: AtomicBool::new(false),
        });
        let encoder = {
            let shared = shared.clone();
            thread::spawn(move || {
                shared.frames.store(1, Ordering::Release);
                shared.wake();
                shared.frames.store(2, Ordering::Release);
                shared.wake();
                shared.dropped.raise();
                shared.wake();
            })
        };
        // The loop is awake for another reason and looks while frames come.
        let (mut seen, mut told) = shared.look();
        for _ in 0..2 {
            if shared.event.swap(false, Ordering::AcqRel) {
                let (frames, dropped) = shared.look();
                (seen, told) = (frames, told || dropped);
            }
        }
        // Then it waits, and looks only if it is woken.
        encoder.join().unwrap();
        while shared.event.swap(false, Ordering::AcqRel) {
            let (frames, dropped) = shared.look();
            (seen, told) = (frames, told || dropped);
        }
        assert_eq!((seen, told), (2, true));
    });
}
