//! Other programs: what they say is kept line by line, and they end when the test does.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// Something that a thread of ours adds to, and a test waits on.
pub(crate) struct Feed<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: Vec<T>,
    closed: bool,
}

impl<T> Feed<T> {
    pub(crate) fn new() -> Arc<Self> {
        let state = Mutex::new(State { items: Vec::new(), closed: false });
        Arc::new(Self { state, changed: Condvar::new() })
    }

    pub(crate) fn push(&self, item: T) {
        self.state.lock().expect("no reader panics").items.push(item);
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.state.lock().expect("no reader panics").closed = true;
        self.changed.notify_all();
    }

    /// Waits until `done` has an answer, and gives it; `None` once the feed has ended or the time is up
    /// and there still is none. `done` sees the items so far and whether more may come.
    pub(crate) fn wait<R>(
        &self,
        timeout: Duration,
        mut done: impl FnMut(&[T], bool) -> Option<R>,
    ) -> Option<R> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock().expect("no reader panics");
        loop {
            let answer = done(&state.items, !state.closed);
            let left = deadline.saturating_duration_since(Instant::now());
            if answer.is_some() || state.closed || left.is_zero() {
                return answer;
            }
            state = self.changed.wait_timeout(state, left).expect("no reader panics").0;
        }
    }
}

/// A program under way. Dropping it kills it.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: Arc<Feed<String>>,
}

impl Process {
    /// Starts `command` with its standard output thrown away.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }

    /// Starts `command` for what it can be given on its standard input.
    pub(crate) fn fed(command: &mut Command) -> (Self, ChildStdin) {
        let mut process = Self::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()));
        let stdin = process.child.stdin.take().expect("a pipe was asked for");
        (process, stdin)
    }

    /// Starts `command` for what it writes to its standard output.
    pub(crate) fn piped(command: &mut Command) -> (Self, ChildStdout) {
        let mut process = Self::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let stdout = process.child.stdout.take().expect("a pipe was asked for");
        (process, stdout)
    }

    fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; `make test` installs what the tests use"));
        let stderr = child.stderr.take().expect("a pipe was asked for");
        let log = Feed::new();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
            lines.close();
        });
        Self { name, child, log }
    }

    /// Waits for the `n`th line of the log that contains `pattern`.
    pub(crate) fn wait_log(&self, n: usize, pattern: &str) -> String {
        let found = self.log.wait(PATIENCE, |lines, _| {
            lines.iter().filter(|line| line.contains(pattern)).nth(n - 1).cloned()
        });
        found.unwrap_or_else(|| panic!("{}: no line {n} with {pattern:?} in its log", self.name))
    }

    /// What it has said by now.
    pub(crate) fn said(&self) -> Vec<String> {
        self.log.wait(Duration::ZERO, |lines, _| Some(lines.to_vec())).unwrap_or_default()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the program to end by itself. Its log ends with it, which is what is waited on.
    pub(crate) fn wait_end(&mut self, timeout: Duration) -> Option<ExitStatus> {
        self.log.wait(timeout, |_, open| (!open).then_some(()))?;
        Some(self.child.wait().expect("a child to wait for"))
    }

    /// Waits for the program to end by itself, and well.
    pub(crate) fn finish(mut self) {
        let status = self.wait_end(PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "{} ended with {status:?}", self.name);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the program to stop, as an init system would.
    pub(crate) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    pub(crate) fn signal(&self, number: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: kill takes plain numbers, and the child is not reaped before `wait` is called on it.
        unsafe { libc::kill(pid, number) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.log.wait(Duration::ZERO, |lines, _| {
                let skipped = lines.len().saturating_sub(60);
                eprintln!("--- {} said (the first {skipped} lines left out):", self.name);
                lines.iter().skip(skipped).for_each(|line| eprintln!("{line}"));
                Some(())
            });
        }
    }
}

/// Hands all that comes out of `source` to `sink`, on a thread of its own, until it ends.
pub(crate) fn pump(mut source: impl Read + Send + 'static, mut sink: impl FnMut(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            sink(&buffer[..count]);
        }
        sink(&[]);
    });
}
