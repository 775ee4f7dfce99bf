//! Log lines on their way to the host.
//!
//! The `log` facade is one per process, engines are many: lines are gathered per call, on the thread
//! that is in an engine, and handed to that engine's callback when the engine is let go again.

use std::cell::RefCell;
use std::sync::Once;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Lines gathered in one call at most; more are counted.
const LINES_MAX: usize = 4096;

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) client: u32,
    pub(super) text: String,
}

/// The lines of the call that is going on on this thread.
#[derive(Debug)]
pub(super) struct Gathering {
    level: LevelFilter,
    lines: Vec<Line>,
    lost: usize,
}

thread_local! {
    static GATHERING: RefCell<Option<Gathering>> = const { RefCell::new(None) };
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let wanted = |g: &Gathering| metadata.level() <= g.level;
        GATHERING.try_with(|g| g.borrow().as_ref().is_some_and(wanted)).unwrap_or_default()
    }

    fn log(&self, record: &Record<'_>) {
        if !record.target().starts_with("camrill") {
            return;
        }
        let client = record.key_values().get("id".into()).and_then(|id| id.to_u64()).unwrap_or_default();
        let _ = GATHERING.try_with(|gathering| {
            let mut gathering = gathering.borrow_mut();
            let Some(g) = gathering.as_mut().filter(|g| record.level() <= g.level) else { return };
            if g.lines.len() >= LINES_MAX {
                g.lost += 1;
                return;
            }
            let (level, text) = (record.level(), record.args().to_string());
            g.lines.push(Line { level, client: client as u32, text });
        });
    }

    fn flush(&self) {}
}

/// Begins to gather; answers what the call further out was gathering.
pub(super) fn begin(level: LevelFilter) -> Option<Gathering> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A host in Rust may have a logger of its own: then it has the lines.
        if log::set_logger(&Logger).is_ok() {
            log::set_max_level(LevelFilter::Trace);
        }
    });
    // A thread that is ending may have lost its place to gather in: then nothing is gathered.
    GATHERING.try_with(|g| g.replace(Some(Gathering { level, lines: Vec::new(), lost: 0 }))).ok().flatten()
}

/// Ends gathering; `outer` is what [`begin`] answered.
pub(super) fn end(outer: Option<Gathering>) -> Vec<Line> {
    let Some(mut g) = GATHERING.try_with(|g| g.replace(outer)).ok().flatten() else { return Vec::new() };
    if g.lost > 0 {
        let text = format!("{} more lines were left out", g.lost);
        g.lines.push(Line { level: Level::Warn, client: 0, text });
    }
    g.lines
}

/// The filter that a number of the C API names.
pub(super) fn filter(level: i32) -> Option<LevelFilter> {
    Some(match level {
        0 => LevelFilter::Info,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        5 => LevelFilter::Trace,
        _ => return None,
    })
}
