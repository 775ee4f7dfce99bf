//! Names to addresses, off the loop: `getaddrinfo` blocks for as long as it likes.
//!
//! Threads are there only while names wait, and a few at most, so that one name that takes ten seconds
//! doesn't hold up the others. One that sits in `getaddrinfo` can't be ended: at the engine's end it is left
//! to itself, touches nothing but what it shares with its like, and is gone when its answer has come.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::sys;

/// Threads at most.
const THREADS_MAX: usize = 4;
/// Names that wait at most.
const WAITING_MAX: usize = 256;
/// What a thread needs for the C library's resolver and its plugins.
const STACK_BYTES: usize = 512 * 1024;

/// What became of a name.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Who asked.
    pub(super) id: u32,
    pub(super) result: io::Result<Vec<SocketAddr>>,
}

/// The threads, and what they share.
pub(super) struct Resolver {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Has the loop look at what is done.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u32, String, u16)>,
    done: Vec<Resolved>,
    threads: usize,
    closed: bool,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Without a thread yet. `wake` is called on a thread when there is something to [`Resolver::take`].
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), wake }) }
    }

    /// Has a name looked up.
    pub(super) fn ask(&self, id: u32, host: &str, port: u16) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.waiting.len() >= WAITING_MAX {
            return Err(io::Error::other(format!("{WAITING_MAX} names are waiting to be looked up")));
        }
        state.waiting.push_back((id, host.to_owned(), port));
        if state.threads >= THREADS_MAX {
            return Ok(());
        }
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("camrill-names".into()).stack_size(STACK_BYTES);
        match sys::without_signals(|| thread.spawn(move || shared.run())) {
            Ok(_) => state.threads += 1,
            // One that is there takes it up.
            Err(_) if state.threads > 0 => {}
            Err(e) => {
                state.waiting.pop_back();
                return Err(e);
            }
        }
        Ok(())
    }

    /// What has been looked up since this was last asked.
    pub(super) fn take(&self) -> Vec<Resolved> {
        std::mem::take(&mut self.shared.lock().done)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks names up until none waits.
    fn run(&self) {
        loop {
            let (id, host, port) = {
                let mut state = self.lock();
                match state.waiting.pop_front() {
                    Some(next) => next,
                    None => {
                        state.threads -= 1;
                        return;
                    }
                }
            };
            let result = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            let mut state = self.lock();
            if !state.closed {
                state.done.push(Resolved { id, result });
                drop(state);
                (self.wake)();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_are_looked_up_and_the_threads_go() {
        let (sender, woken) = mpsc::channel();
        let resolver = Resolver::new(Box::new(move || sender.send(()).unwrap_or_default()));
        for id in 0..20 {
            let host = if id % 2 == 0 { "localhost" } else { "no such name" };
            resolver.ask(id, host, 80).unwrap();
        }
        let mut done = Vec::new();
        while done.len() < 20 {
            woken.recv_timeout(Duration::from_secs(20)).expect("an answer");
            done.extend(resolver.take());
        }
        for Resolved { id, result } in done {
            match result {
                Ok(found) => {
                    assert!(id % 2 == 0 && found.iter().all(|a| a.ip().is_loopback() && a.port() == 80))
                }
                Err(_) => assert!(id % 2 == 1),
            }
        }
        // Each says before it ends that it is no longer there.
        while resolver.shared.lock().threads > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn no_more_names_wait_than_may() {
        let resolver = Resolver::new(Box::new(|| ()));
        // As if all threads were busy.
        resolver.shared.lock().threads = THREADS_MAX;
        for id in 0..WAITING_MAX {
            resolver.ask(id as u32, "localhost", 80).unwrap();
        }
        assert!(resolver.ask(9999, "localhost", 80).is_err());
    }
}
