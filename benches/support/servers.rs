//! The servers under test: how each is configured, started and found ready.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::rtmp::CHUNK_SIZE;
use super::sys::{self, Proc, TempDir};

const READY_LIMIT: Duration = Duration::from_secs(5);

/// A contestant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Floor,
    Camrill,
    Nginx,
}

impl Kind {
    /// All of them, in the order that they run in.
    pub(crate) const ALL: [Kind; 3] = [Kind::Floor, Kind::Camrill, Kind::Nginx];

    /// What it is called on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Camrill => "camrill",
            Kind::Nginx => "nginx",
        }
    }
}

/// Where the programs are.
pub(crate) struct Programs {
    pub(crate) camrill: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) nginx_module: PathBuf,
}

impl Programs {
    /// Why a contestant cannot take part, if so.
    pub(crate) fn missing(&self, kind: Kind) -> Option<String> {
        let needed: &[&Path] = match kind {
            Kind::Floor => &[],
            Kind::Camrill => &[&self.camrill],
            Kind::Nginx => &[&self.nginx, &self.nginx_module],
        };
        let lacking = needed.iter().find(|path| !path.is_file())?;
        let name = lacking.file_name().unwrap_or_default().to_string_lossy();
        Some(format!("{} was left out: there is no {name} here", kind.name()))
    }
}

/// A server that runs; dropping it ends it.
pub(crate) struct Server {
    /// Stands first: it ends before the directory that it writes to goes.
    process: Proc,
    dir: TempDir,
    /// Where players go, and where the publisher goes.
    pub(crate) port: u16,
    pub(crate) ingest_port: u16,
    /// The process that does the work.
    pub(crate) pid: u32,
}

impl Server {
    /// Starts one that merges `merge_ms` worth of messages (0: as it comes).
    pub(crate) fn start(kind: Kind, programs: &Programs, merge_ms: u64) -> io::Result<Self> {
        let dir = TempDir::new(kind.name())?;
        let port = sys::free_port()?;
        let mut ingest_port = port;
        let mut command = match kind {
            Kind::Floor => {
                while ingest_port == port {
                    ingest_port = sys::free_port()?;
                }
                let mut command = Command::new(std::env::current_exe()?);
                command.args([
                    "role-floor",
                    &port.to_string(),
                    &ingest_port.to_string(),
                    &merge_ms.to_string(),
                ]);
                command
            }
            Kind::Camrill => {
                let file = dir.path().join("camrill.conf");
                fs::write(&file, camrill_conf(port, merge_ms))?;
                let mut command = Command::new(&programs.camrill);
                command.arg("-c").arg(file);
                command
            }
            Kind::Nginx => {
                let file = dir.path().join("nginx.conf");
                fs::write(&file, nginx_conf(port, dir.path(), &programs.nginx_module))?;
                let mut command = Command::new(&programs.nginx);
                let log = dir.path().join("error.log");
                command.arg("-p").arg(dir.path()).arg("-c").arg(file).arg("-e").arg(log);
                command
            }
        };
        let output = fs::File::create(dir.path().join("output"))?;
        command.current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Proc::spawn(command, sys::SERVER_CORE)?;
        let pid = process.pid();
        let mut server = Self { process, dir, port, ingest_port, pid };
        server.wait_ready()?;
        if kind == Kind::Nginx {
            server.find_worker()?;
        }
        Ok(server)
    }

    fn wait_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        // The floor's one publisher may not be taken by a trial: only its players' port is tried.
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if !self.process.alive() {
                return Err(io::Error::other(format!("ended at once: {}", self.last_words())));
            }
            if Instant::now() > deadline || sys::interrupted() {
                return Err(io::Error::other(format!("not ready within 5 s: {}", self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn find_worker(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        while Instant::now() < deadline {
            if let [worker] = sys::children(self.process.pid())[..] {
                self.process.adopt(worker);
                self.pid = worker;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("nginx started no worker"))
    }

    /// The last line that it wrote.
    pub(crate) fn last_words(&self) -> String {
        let text = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        let all = text("output") + &text("error.log");
        all.lines().last().unwrap_or("no message").to_owned()
    }
}

fn camrill_conf(port: u16, merge_ms: u64) -> String {
    let vhost = match merge_ms {
        0 => String::new(),
        ms => format!("    min_latency off;\n    play {{\n        mw_latency {ms};\n    }}\n"),
    };
    format!("listen 127.0.0.1:{port};\nmax_connections 20000;\nvhost __defaultVhost__ {{\n{vhost}}}\n")
}

fn nginx_conf(port: u16, dir: &Path, module: &Path) -> String {
    let (dir, module) = (dir.display(), module.display());
    format!(
        "load_module {module};\n\
         daemon off;\n\
         user root;\n\
         worker_processes 1;\n\
         worker_cpu_affinity 0001;\n\
         worker_rlimit_nofile 40000;\n\
         pid {dir}/nginx.pid;\n\
         error_log {dir}/error.log error;\n\
         events {{ worker_connections 20000; }}\n\
         rtmp {{\n\
             access_log off;\n\
             server {{\n\
                 listen 127.0.0.1:{port};\n\
                 chunk_size {CHUNK_SIZE};\n\
                 application live {{ live on; }}\n\
             }}\n\
         }}\n"
    )
}

/// A publisher that has begun; dropping it ends it.
pub(crate) fn publisher(server: &Server, kind: Kind) -> io::Result<Proc> {
    let mut command = Command::new(std::env::current_exe()?);
    let framing = if kind == Kind::Floor { "floor" } else { "rtmp" };
    command.args(["role-publish", &server.ingest_port.to_string(), framing]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Proc::spawn(command, sys::LOAD_CORE)?;
    let stdout = process.child().stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    use std::os::fd::AsRawFd;
    let mut line = String::new();
    if sys::wait_readable(stdout.as_raw_fd(), READY_LIMIT) {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim() != "publishing" {
        return Err(io::Error::other(format!("would not take the stream: {}", server.last_words())));
    }
    Ok(process)
}
