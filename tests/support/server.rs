//! The server under test: the C program, as a user starts it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::netns::Place;
use super::process::Process;
use super::{TempDir, repository, resolver};

/// A running `camrill-server` on a port of its own. Dropping it stops it, and fails the test if it does
/// not stop in time and cleanly.
pub(crate) struct Server {
    process: Option<Process>,
    ip: IpAddr,
    port: u16,
    http: Option<u16>,
    dir: TempDir,
}

impl Server {
    /// Starts the server; `vhost` goes into its default vhost, line by line as a user writes it.
    pub(crate) fn start(vhost: &str) -> Self {
        Self::configured("", vhost)
    }

    /// Starts a server that serves HTTP too.
    pub(crate) fn start_http(vhost: &str) -> Self {
        Self::configured("http_server { enabled on; listen 127.0.0.1:0; dir ./nowhere; }", vhost)
    }

    /// Starts the server with more settings at the top.
    pub(crate) fn configured(top: &str, vhost: &str) -> Self {
        Self::start_in(&Place::here(), top, vhost)
    }

    /// Starts the server at an end of a link.
    pub(crate) fn start_in(place: &Place, top: &str, vhost: &str) -> Self {
        Self::run(place.command(program()), place.ip(), top, vhost)
    }

    /// Starts a server for which names are what `resolver` says; `slow.test` takes so long.
    pub(crate) fn start_resolving(slow: Duration, top: &str, vhost: &str) -> Self {
        let mut command = Command::new(program());
        resolver::preload(&mut command, slow);
        Self::run(command, Place::here().ip(), top, vhost)
    }

    fn run(mut command: Command, ip: IpAddr, top: &str, vhost: &str) -> Self {
        let dir = TempDir::new();
        let config = write_config(&dir, ip, top, vhost);
        let process = Process::start(command.arg("-c").arg(&config).current_dir(repository("")));
        let port = port_of(&process, ip, "rtmp");
        let http = top.contains("http_server").then(|| port_of(&process, ip, "http"));
        Self { process: Some(process), ip, port, http, dir }
    }

    /// Has it take another configuration, the `n`th since it was started.
    pub(crate) fn reload(&self, n: usize, top: &str, vhost: &str) {
        write_config(&self.dir, self.ip, top, vhost);
        self.process().signal(libc::SIGHUP);
        self.wait_log(n, "camrill-server: reloaded");
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process().id()
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("a server that runs")
    }

    /// Where HTTP is served.
    pub(crate) fn http(&self) -> SocketAddr {
        (self.ip, self.http.expect("a server that serves HTTP")).into()
    }

    /// Where the API is served.
    pub(crate) fn api(&self) -> SocketAddr {
        (self.ip, port_of(self.process(), self.ip, "http api")).into()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.take().expect("a server that runs").kill();
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_log(&self, n: usize, pattern: &str) -> String {
        self.process().wait_log(n, pattern)
    }

    /// What it has said by now.
    pub(crate) fn said(&self) -> Vec<String> {
        self.process().said()
    }

    /// Where RTMP is served.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    pub(crate) fn url(&self, stream: &str) -> String {
        format!("rtmp://{}:{}/live/{stream}", self.ip, self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `n` players of `live/<stream>` have been accepted, counted from the start.
    pub(crate) fn wait_play(&self, stream: &str, n: usize) {
        self.process().wait_log(n, &format!("] plays __defaultVhost__/live/{stream}"));
    }

    /// Waits for the `n`th publisher of `live/<stream>`.
    pub(crate) fn wait_publish(&self, stream: &str, n: usize) {
        self.process().wait_log(n, &format!("] publishes __defaultVhost__/live/{stream}"));
    }

    /// Waits until the `n`th publisher of `live/<stream>` has gone.
    pub(crate) fn wait_unpublish(&self, stream: &str, n: usize) {
        self.process().wait_log(n, &format!("] stopped publishing __defaultVhost__/live/{stream}"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let Some(mut process) = self.process.take() else { return };
        assert!(process.is_running(), "the server has ended before it was asked to");
        process.terminate();
        let status = process.wait_end(Duration::from_secs(3));
        let status = status.expect("the server stops within three seconds of SIGTERM");
        assert!(status.success(), "the server stops cleanly: {status}");
    }
}

fn write_config(dir: &TempDir, ip: IpAddr, top: &str, vhost: &str) -> PathBuf {
    let config = dir.join("camrill.conf");
    let text =
        format!("listen {ip}:0;\nmax_connections 1000;\n{top}\nvhost __defaultVhost__ {{\n{vhost}\n}}\n");
    std::fs::write(&config, text).expect("the configuration");
    config
}

/// The port that a server's log says it listens at.
fn port_of(process: &Process, ip: IpAddr, role: &str) -> u16 {
    let ready = format!("] {role} listening on {ip}:");
    let line = process.wait_log(1, &ready);
    let digits = line.split(&ready).nth(1).and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no port in {line:?}"))
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
