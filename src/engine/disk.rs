//! The disk's thread: files are written where a card that stalls for seconds holds nobody up.
//!
//! [`Disk`] takes [`Job`]s into a bounded queue and never waits; what came of them is fetched with
//! [`Disk::poll_done`] after the wake function was called. The thread begins with the first job and ends
//! when there has been none for a while. What it does is in [`Worker`], which knows no thread.

// HLS needs one part of it, recording another.
#![cfg_attr(not(all(feature = "hls", feature = "dvr")), allow(dead_code, unused_imports))]

#[cfg(feature = "dvr")]
pub(super) mod append;
#[cfg(feature = "dvr")]
pub(super) mod faststart;
mod prune;
#[cfg(test)]
mod tests;
#[cfg(all(feature = "dvr", feature = "http"))]
pub(super) mod timeshift;
mod worker;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wire::limits::{DISK_BYTES, DISK_JOBS};

use super::sys;

pub(super) use prune::Quota;
pub(super) use worker::{Answer, DiskError, Done, FileId, How, Job, Kept, Outcome, Ran, Task, Worker};

/// How long the thread waits for another job before it ends.
const IDLE: Duration = Duration::from_secs(10);
/// How long the end waits for what is queued to be written.
const DRAIN: Duration = Duration::from_secs(2);
/// After so many jobs a task that takes long has its turn, though more jobs wait.
const JOBS_PER_TURN: u32 = 8;

/// A job that was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    /// The job, to be tried again after the next wake.
    pub(super) job: Job,
    /// Why the thread could not be started; else the queue is full.
    pub(super) error: Option<io::Error>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            None => f.write_str("the disk's queue is full"),
            Some(e) => write!(f, "starting the disk's thread: {e}"),
        }
    }
}

/// The queue to the disk's thread. Dropping it waits for what is queued, but not for ever: a thread that
/// hangs in the kernel is left to itself, and ends after that call.
pub(super) struct Disk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// There is work, or an end.
    work: Condvar,
    /// The thread has ended.
    ended: Condvar,
    /// Its files stay open while no thread runs.
    worker: Mutex<Worker>,
    wake: Box<dyn Fn() + Send + Sync>,
    idle: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Tasks that have begun.
    tasks: VecDeque<(u32, Task)>,
    /// Bytes of the jobs, the one being done with them.
    bytes: usize,
    /// Jobs being done: none or one.
    running: usize,
    done: VecDeque<Done>,
    has_thread: bool,
    /// A job was refused since the last wake.
    is_starved: bool,
    stage: Stage,
    jobs_in_turn: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// What is queued is done, and then it ends.
    Draining,
    /// It ends now.
    Abandoned,
}

enum Next {
    Job(Job),
    Task(u32, Task),
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Disk").field("jobs", &state.jobs.len()).field("bytes", &state.bytes).finish()
    }
}

impl Disk {
    /// A queue without a thread. `wake` is called on the disk's thread when there is something done, or
    /// room again after a job was refused; it must not wait.
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self::with_idle(wake, IDLE)
    }

    fn with_idle(wake: Box<dyn Fn() + Send + Sync>, idle: Duration) -> Self {
        let (work, ended, worker) = (Condvar::new(), Condvar::new(), Mutex::default());
        let shared = Shared { state: Mutex::default(), work, ended, worker, wake, idle };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Queues a job. Jobs are done in their order, tasks that take long aside. What isn't taken is given
    /// back: there are [`DISK_JOBS`] that are not done or not fetched, or [`DISK_BYTES`] to be written.
    pub(super) fn submit(&mut self, job: Job) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        let count = state.jobs.len() + state.tasks.len() + state.running + state.done.len();
        let bytes = state.bytes.saturating_add(job.size());
        // One that is longer than the limit is taken by itself.
        if count >= DISK_JOBS || (bytes > DISK_BYTES && state.bytes > 0) {
            state.is_starved = true;
            return Err(Refused { job, error: None });
        }
        if !state.has_thread {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("camrill-disk".into());
            match sys::without_signals(|| thread.spawn(move || shared.run())) {
                Ok(handle) => self.thread = Some(handle),
                Err(error) => return Err(Refused { job, error: Some(error) }),
            }
            state.has_thread = true;
        }
        state.bytes = bytes;
        state.jobs.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// What came of a job.
    pub(super) fn poll_done(&mut self) -> Option<Done> {
        self.shared.lock().done.pop_front()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let until = Instant::now() + DRAIN;
        let mut state = self.shared.lock();
        state.stage = Stage::Draining;
        self.shared.work.notify_all();
        while state.has_thread {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                state.stage = Stage::Abandoned;
                return;
            };
            let waited = self.shared.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            // It is past its last call; how it ended is of no use any more.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The thread.
    fn run(&self) {
        while let Some(next) = self.next() {
            let size = match &next {
                Next::Job(job) => job.size(),
                Next::Task(..) => 0,
            };
            let ran = self.execute(next);
            self.finished(size, ran);
        }
    }

    /// What is to be done next; `None` if the thread has ended.
    fn next(&self) -> Option<Next> {
        let mut state = self.lock();
        loop {
            if state.stage == Stage::Abandoned {
                break;
            }
            let is_task_due = state.jobs.is_empty() || state.jobs_in_turn >= JOBS_PER_TURN;
            let next = match state.stage {
                // A task that has begun is given up: what it makes is of use only when it is whole.
                Stage::Open if is_task_due && !state.tasks.is_empty() => {
                    state.jobs_in_turn = 0;
                    state.tasks.pop_front().map(|(id, task)| Next::Task(id, task))
                }
                _ => {
                    state.jobs_in_turn += 1;
                    state.jobs_in_turn = state.jobs_in_turn.min(JOBS_PER_TURN);
                    state.jobs.pop_front().map(Next::Job)
                }
            };
            if let Some(next) = next {
                state.running = 1;
                return Some(next);
            }
            if state.stage == Stage::Draining {
                break;
            }
            let (guard, waited) =
                self.work.wait_timeout(state, self.idle).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() && state.jobs.is_empty() && state.stage == Stage::Open {
                break;
            }
        }
        state.tasks.clear();
        state.has_thread = false;
        self.ended.notify_all();
        None
    }

    fn execute(&self, next: Next) -> Ran {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let id = match &next {
            Next::Task(id, _) | Next::Job(Job::Run { id, .. }) => Some(*id),
            Next::Job(_) => None,
        };
        // A task is anybody's code: its panic is its own end, not the thread's.
        let run = AssertUnwindSafe(|| match next {
            Next::Job(job) => worker.run(job),
            Next::Task(id, task) => worker.go_on(id, task),
        });
        catch_unwind(run).unwrap_or_else(|_| match id {
            Some(id) => Ran::Done(Done::Job(id, Outcome::Panicked)),
            None => Ran::Nothing,
        })
    }

    fn finished(&self, size: usize, ran: Ran) {
        let mut state = self.lock();
        state.running = 0;
        state.bytes = state.bytes.saturating_sub(size);
        let is_done = matches!(ran, Ran::Done(_));
        match ran {
            Ran::Done(done) => state.done.push_back(done),
            Ran::Again(id, task) => state.tasks.push_back((id, task)),
            Ran::Nothing => {}
        }
        let wakes = is_done || std::mem::take(&mut state.is_starved);
        drop(state);
        if wakes {
            (self.wake)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
