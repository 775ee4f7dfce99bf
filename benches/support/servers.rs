//! The servers under test: how each is configured, started and found ready.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::load::Played;
use super::rtmp::CHUNK_SIZE;
use super::sys::{self, Proc, TempDir};
use super::{hls, http};

const READY_LIMIT: Duration = Duration::from_secs(5);

/// A contestant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Floor,
    Camrill,
    /// camrill's HTTP-FLV.
    CamrillFlv,
    /// camrill's MP4 over WebSocket.
    CamrillWsMp4,
    Nginx,
}

impl Kind {
    /// All of them, in the order that they run in.
    pub(crate) const ALL: [Kind; 5] =
        [Kind::Floor, Kind::Camrill, Kind::CamrillFlv, Kind::CamrillWsMp4, Kind::Nginx];

    /// What it is called on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Camrill => "camrill",
            Kind::CamrillFlv => "camrill-flv",
            Kind::CamrillWsMp4 => "camrill-ws-mp4",
            Kind::Nginx => "nginx",
        }
    }

    /// What stands above its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::CamrillFlv => "camrill HTTP-FLV",
            Kind::CamrillWsMp4 => "camrill WS-MP4",
            kind => kind.name(),
        }
    }

    /// What its players are sent.
    pub(crate) fn played(self) -> Played {
        match self {
            Kind::Floor => Played::Floor,
            Kind::Camrill | Kind::Nginx => Played::Rtmp,
            Kind::CamrillFlv => Played::Http(http::Format::Flv),
            Kind::CamrillWsMp4 => Played::Http(http::Format::WebSocketMp4),
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
            Kind::Camrill | Kind::CamrillFlv | Kind::CamrillWsMp4 => &[&self.camrill],
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
        let ingest_port = match kind {
            Kind::Camrill | Kind::Nginx => port,
            _ => other_port(port)?,
        };
        let command = match kind {
            Kind::Floor => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["role-floor".to_owned(), port.to_string(), ingest_port.to_string()]);
                command.arg(merge_ms.to_string());
                command
            }
            Kind::Camrill | Kind::CamrillFlv | Kind::CamrillWsMp4 => {
                let mut vhost = String::from("    http_remux { enabled on; }\n");
                if merge_ms > 0 {
                    vhost += &format!("    min_latency off;\n    play {{ mw_latency {merge_ms}; }}\n");
                }
                let web = (port != ingest_port).then_some(port);
                camrill(programs, &dir, ingest_port, web, &vhost)?
            }
            Kind::Nginx => nginx(programs, &dir, &nginx_rtmp(port, &programs.nginx_module))?,
        };
        let mut server = Self::launch(command, dir, (port, ingest_port), sys::SERVER_CORE)?;
        if kind == Kind::Nginx {
            server.find_worker()?;
        }
        Ok(server)
    }

    /// Starts a camrill that forwards its stream `count` times to `port`.
    pub(crate) fn start_forwards(programs: &Programs, port: u16, count: usize) -> io::Result<Self> {
        let dir = TempDir::new("forwards")?;
        let own = other_port(port)?;
        let urls: String = (0..count).map(|n| format!(" rtmp://127.0.0.1:{port}/live/camera-{n}")).collect();
        let vhost = format!("    forward {{ enabled on; destination{urls}; }}\n");
        let command = camrill(programs, &dir, own, None, &vhost)?;
        Self::launch(command, dir, (own, own), sys::SERVER_CORE)
    }

    /// Starts a camrill that makes HLS: in memory, or into a folder.
    pub(crate) fn start_hls(programs: &Programs, folder: Option<&Path>, core: usize) -> io::Result<Self> {
        let dir = TempDir::new("hls")?;
        let port = sys::free_port()?;
        let ingest_port = other_port(port)?;
        let path = folder.map_or(String::new(), |path| format!("hls_path {};", path.display()));
        let vhost =
            format!("    hls {{ enabled on; hls_fragment {}; hls_window 12; {path} }}\n", hls::FRAGMENT_S);
        let command = camrill(programs, &dir, ingest_port, Some(port), &vhost)?;
        Self::launch(command, dir, (port, ingest_port), core)
    }

    /// Starts an nginx that serves the files of a folder.
    pub(crate) fn start_files(programs: &Programs, folder: &Path, sendfile: bool) -> io::Result<Self> {
        let dir = TempDir::new("nginx")?;
        let port = sys::free_port()?;
        let command = nginx(programs, &dir, &nginx_files(port, folder, sendfile))?;
        let mut server = Self::launch(command, dir, (port, port), sys::SERVER_CORE)?;
        server.find_worker()?;
        Ok(server)
    }

    fn launch(mut command: Command, dir: TempDir, ports: (u16, u16), core: usize) -> io::Result<Self> {
        let (port, ingest_port) = ports;
        let output = fs::File::create(dir.path().join("output"))?;
        command.current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Proc::spawn(command, core)?;
        let pid = process.pid();
        let mut server = Self { process, dir, port, ingest_port, pid };
        server.wait_ready()?;
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

fn other_port(port: u16) -> io::Result<u16> {
    loop {
        match sys::free_port()? {
            other if other != port => return Ok(other),
            _ => {}
        }
    }
}

fn camrill(
    programs: &Programs,
    dir: &TempDir,
    port: u16,
    web: Option<u16>,
    vhost: &str,
) -> io::Result<Command> {
    let file = dir.path().join("camrill.conf");
    let web = web.map_or(String::new(), |web| {
        format!("http_server {{ enabled on; listen 127.0.0.1:{web}; dir {}; }}\n", dir.path().display())
    });
    let listen = format!("listen 127.0.0.1:{port};\nmax_connections 20000;\n");
    fs::write(&file, format!("{listen}{web}vhost __defaultVhost__ {{\n{vhost}}}\n"))?;
    let mut command = Command::new(&programs.camrill);
    command.arg("-c").arg(file);
    Ok(command)
}

fn nginx(programs: &Programs, dir: &TempDir, serves: &str) -> io::Result<Command> {
    let file = dir.path().join("nginx.conf");
    let at = dir.path().display();
    let (modules, serves) = serves.split_once('\n').unwrap_or(("", serves));
    fs::write(
        &file,
        format!(
            "{modules}\n\
             daemon off;\n\
             user root;\n\
             worker_processes 1;\n\
             worker_cpu_affinity 0001;\n\
             worker_rlimit_nofile 40000;\n\
             pid {at}/nginx.pid;\n\
             error_log {at}/error.log error;\n\
             events {{ worker_connections 20000; }}\n\
             {serves}"
        ),
    )?;
    let mut command = Command::new(&programs.nginx);
    command.arg("-p").arg(dir.path()).arg("-c").arg(file).arg("-e").arg(dir.path().join("error.log"));
    Ok(command)
}

/// nginx's part for RTMP, after the line of what it loads.
fn nginx_rtmp(port: u16, module: &Path) -> String {
    format!(
        "load_module {};\n\
         rtmp {{\n\
             access_log off;\n\
             server {{\n\
                 listen 127.0.0.1:{port};\n\
                 chunk_size {CHUNK_SIZE};\n\
                 application live {{ live on; }}\n\
             }}\n\
         }}\n",
        module.display()
    )
}

/// nginx's part for files, after the line of what it loads.
fn nginx_files(port: u16, folder: &Path, sendfile: bool) -> String {
    let (folder, sendfile) = (folder.display(), if sendfile { "on" } else { "off" });
    format!(
        "\n\
         http {{\n\
             access_log off;\n\
             sendfile {sendfile};\n\
             tcp_nopush {sendfile};\n\
             keepalive_requests 1000000;\n\
             server {{ listen 127.0.0.1:{port}; root {folder}; }}\n\
         }}\n"
    )
}

/// A publisher that has begun; dropping it ends it.
pub(crate) fn publisher(server: &Server, floor: bool) -> io::Result<Proc> {
    let mut command = Command::new(std::env::current_exe()?);
    let framing = if floor { "floor" } else { "rtmp" };
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
