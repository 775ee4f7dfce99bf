//! Names to addresses, off the loop: `getaddrinfo` blocks for as long as it likes.
//!
//! Threads are there only while names wait, and a few at most, so that one name that takes ten seconds
//! doesn't hold up the others: however many ask for it, and however often, it takes one thread. One that sits
//! in `getaddrinfo` can't be ended: at the engine's end it is left to itself, touches nothing but what it shares
//! with its like, and is gone when its answer has come.

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
    pub(super) result: Result<Vec<SocketAddr>, String>,
}

/// A name, and who has asked for it with which port.
#[derive(Debug)]
struct Query {
    host: String,
    asked: Vec<(u32, u16)>,
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
    waiting: VecDeque<Query>,
    /// Those that threads are at.
    running: Vec<Query>,
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
        if let Some(query) = state.queries().find(|query| query.host == host) {
            query.asked.push((id, port));
            return Ok(());
        }
        if state.waiting.len() >= WAITING_MAX {
            return Err(io::Error::other(format!("{WAITING_MAX} names are waiting to be looked up")));
        }
        state.waiting.push_back(Query { host: host.to_owned(), asked: vec![(id, port)] });
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

    /// The answer is no longer wanted.
    pub(super) fn forget(&self, id: u32) {
        let mut state = self.shared.lock();
        state.queries().for_each(|query| query.asked.retain(|(other, _)| *other != id));
        state.waiting.retain(|query| !query.asked.is_empty());
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
            let host = {
                let mut state = self.lock();
                let Some(next) = state.waiting.pop_front() else {
                    state.threads -= 1;
                    return;
                };
                let host = next.host.clone();
                state.running.push(next);
                host
            };
            let result = (host.as_str(), 0).to_socket_addrs();
            let result = result.map(Iterator::collect::<Vec<_>>).map_err(|e| e.to_string());
            let mut state = self.lock();
            let at = state.running.iter().position(|query| query.host == host);
            let asked = at.map(|at| state.running.swap_remove(at).asked).unwrap_or_default();
            if !state.closed && !asked.is_empty() {
                let of =
                    |(id, port)| Resolved { id, result: result.clone().map(|found| at_port(found, port)) };
                state.done.extend(asked.into_iter().map(of));
                drop(state);
                (self.wake)();
            }
        }
    }
}

impl State {
    fn queries(&mut self) -> impl Iterator<Item = &mut Query> {
        self.running.iter_mut().chain(&mut self.waiting)
    }
}

fn at_port(mut found: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    found.iter_mut().for_each(|address| address.set_port(port));
    found
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
            resolver.ask(id, host, id as u16).unwrap();
        }
        let mut done = Vec::new();
        while done.len() < 20 {
            woken.recv_timeout(Duration::from_secs(20)).expect("an answer");
            done.extend(resolver.take());
        }
        for Resolved { id, result } in done {
            match result {
                Ok(found) => {
                    assert!(
                        id % 2 == 0
                            && found.iter().all(|a| a.ip().is_loopback() && u32::from(a.port()) == id)
                    )
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
            resolver.ask(id as u32, &format!("host{id}"), 80).unwrap();
        }
        assert!(resolver.ask(9999, "one more", 80).is_err());
        // One that waits already needs no more room, and one whose answer nobody wants leaves some.
        resolver.ask(9999, "host7", 80).unwrap();
        resolver.forget(7);
        assert!(resolver.ask(9998, "one more", 80).is_err());
        resolver.forget(9999);
        resolver.ask(9998, "one more", 80).unwrap();
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_ask() {
        let resolver = Resolver::new(Box::new(|| ()));
        resolver.shared.lock().threads = THREADS_MAX;
        for id in 0..20 {
            resolver.ask(id, "slow.test", 80).unwrap();
        }
        let mut state = resolver.shared.lock();
        assert_eq!(state.waiting.len(), 1);
        // As if a thread were at it.
        let query = state.waiting.pop_front().unwrap();
        state.running.push(query);
        drop(state);
        resolver.ask(20, "slow.test", 1935).unwrap();
        let state = resolver.shared.lock();
        assert_eq!((state.waiting.len(), state.running[0].asked.len()), (0, 21));
    }
}
