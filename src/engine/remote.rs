//! The engine as other threads see it: stop it, wake it, have it call a function.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Code, Error, Result};
use crate::time::Time;

/// Calls from other threads that wait for the loop at most.
pub const CALLS_MAX: usize = 1024;

/// A function to run on the loop's thread.
pub type Call = Box<dyn FnOnce() + Send>;

/// A handle on an engine for any thread. It outlives the engine: then it does nothing.
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

struct Shared {
    waker: mio::Waker,
    started: Instant,
    stop: AtomicBool,
    calls: Mutex<Vec<Call>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    pub(super) fn new(waker: mio::Waker, started: Instant) -> Self {
        let (stop, calls) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        Self { shared: Arc::new(Shared { waker, started, stop, calls }) }
    }

    /// The engine's clock.
    pub fn now(&self) -> Time {
        Time::ZERO + self.shared.started.elapsed()
    }

    /// Has the host stop taking turns ([`super::Engine::take_stop`]): the turn that is going on ends.
    pub fn stop(&self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        self.wake()
    }

    /// Ends the wait of the turn that is going on, or of the next one. Takes no lock: one write to a descriptor.
    pub fn wake(&self) -> Result<()> {
        self.shared.waker.wake().map_err(|e| Error::new(Code::Io, format!("waking the loop: {e}")))
    }

    /// Has the loop's thread run `call` after its next turn.
    pub fn call(&self, call: Call) -> Result<()> {
        {
            let mut calls = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
            if calls.len() >= CALLS_MAX {
                return Err(Error::new(Code::Again, format!("{CALLS_MAX} calls are waiting for the loop")));
            }
            calls.push(call);
        }
        self.wake()
    }

    /// Whether a stop has been asked for since this was last asked.
    pub fn take_stop(&self) -> bool {
        self.shared.stop.swap(false, Ordering::AcqRel)
    }

    pub(super) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
