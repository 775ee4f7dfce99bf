//! Log lines, recorded with the session that each concerns.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use log::kv::{Key, Value};
use log::{Log, Metadata, Record};

use super::PATIENCE;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) level: log::Level,
    /// The session, if the line names one.
    pub(crate) id: Option<u64>,
    /// Which thread, and so which engine of this process, has said it.
    thread: ThreadId,
    pub(crate) text: String,
}

/// All lines since it was installed.
#[derive(Default)]
pub(crate) struct Logs {
    lines: Mutex<Vec<Line>>,
    came: Condvar,
}

/// The recorder of this process.
pub(crate) fn install() -> &'static Logs {
    static LOGS: OnceLock<Logs> = OnceLock::new();
    let logs = LOGS.get_or_init(Logs::default);
    if log::set_logger(logs).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    logs
}

impl Log for Logs {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let id = record.key_values().get(Key::from("id"));
        let id = id.as_ref().and_then(Value::to_u64);
        let line = Line {
            level: record.level(),
            id,
            text: record.args().to_string(),
            thread: std::thread::current().id(),
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.came.notify_all();
    }

    fn flush(&self) {}
}

impl Logs {
    /// The first line for which `is_it` says so, waited for if need be.
    #[track_caller]
    pub(crate) fn wait(&self, is_it: impl Fn(&Line) -> bool) -> Line {
        let end = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            if let Some(line) = lines[seen..].iter().find(|line| is_it(line)) {
                return line.clone();
            }
            seen = lines.len();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let last: Vec<_> = lines.iter().rev().take(20).collect();
                panic!("the line never came; the last ones, newest first: {last:#?}");
            }
            lines = self.came.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line of the engine that runs on `engine`.
    #[track_caller]
    pub(crate) fn wait_of(&self, engine: ThreadId, says: &str) -> Line {
        self.wait(|line| line.thread == engine && line.text.contains(says))
    }

    /// How many lines of the engine that runs on `engine` say so by now.
    pub(crate) fn count_of(&self, engine: ThreadId, says: &str) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.thread == engine && line.text.contains(says)).count()
    }

    /// The session of the connection from this address to the engine that runs on `engine`, by the line that
    /// says that it came. Another engine may have had one from the same port.
    #[track_caller]
    pub(crate) fn session(&self, engine: ThreadId, from: std::net::SocketAddr) -> Line {
        // Behind the protocol.
        let text = format!(" client from {from}");
        self.wait(|line| line.thread == engine && line.text.ends_with(&text) && line.id.is_some())
    }

    /// Waits for a line of a session that says something.
    #[track_caller]
    pub(crate) fn wait_for(&self, session: &Line, says: &str) -> Line {
        self.wait(|line| line.id == session.id && line.thread == session.thread && line.text.contains(says))
    }
}
