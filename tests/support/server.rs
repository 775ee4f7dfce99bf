//! The server under test: the C program, as a user starts it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::process::Process;
use super::{TempDir, repository};

/// A running `camrill-server` on a port of its own. Dropping it stops it, and fails the test if it does
/// not stop in time and cleanly.
pub(crate) struct Server {
    process: Process,
    port: u16,
    _dir: TempDir,
}

impl Server {
    /// Starts the server; `vhost` goes into its default vhost, line by line as a user writes it.
    pub(crate) fn start(vhost: &str) -> Self {
        let dir = TempDir::new();
        let config = dir.join("camrill.conf");
        let text =
            format!("listen 127.0.0.1:0;\nmax_connections 100;\nvhost __defaultVhost__ {{\n{vhost}\n}}\n");
        std::fs::write(&config, text).expect("the configuration");
        let process =
            Process::start(Command::new(program()).arg("-c").arg(&config).current_dir(repository("")));
        let ready = "rtmp listening on 127.0.0.1:";
        let line = process.wait_log(1, ready);
        let port = line.split(ready).nth(1).and_then(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
        });
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        Self { process, port, _dir: dir }
    }

    pub(crate) fn url(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `n` players of `live/<stream>` have been accepted, counted from the start.
    pub(crate) fn wait_play(&self, stream: &str, n: usize) {
        self.process.wait_log(n, &format!("] plays __defaultVhost__/live/{stream}"));
    }

    /// Waits for the `n`th publisher of `live/<stream>`.
    pub(crate) fn wait_publish(&self, stream: &str, n: usize) {
        self.process.wait_log(n, &format!("] publishes __defaultVhost__/live/{stream}"));
    }

    /// Waits until the `n`th publisher of `live/<stream>` has gone.
    pub(crate) fn wait_unpublish(&self, stream: &str, n: usize) {
        self.process.wait_log(n, &format!("] stopped publishing __defaultVhost__/live/{stream}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        assert!(self.process.is_running(), "the server has ended before it was asked to");
        self.process.terminate();
        let status = self.process.wait_end(Duration::from_secs(3));
        let status = status.expect("the server stops within three seconds of SIGTERM");
        assert!(status.success(), "the server stops cleanly: {status}");
    }
}

pub(crate) fn program() -> PathBuf {
    let path = match std::env::var_os("CAMRILL_SERVER") {
        Some(path) => PathBuf::from(path),
        None => {
            let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            repository("").join(target).join("release/camrill-server")
        }
    };
    assert!(path.is_file(), "{} is missing; run `make test`, or `make build` first", path.display());
    path
}
