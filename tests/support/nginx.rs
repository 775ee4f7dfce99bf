//! nginx with its RTMP module: the server that cameras have talked to for years, here as a neighbour. It takes
//! publishers, is pulled from and pushed to, refuses, goes and comes back; and it does TLS for those who don't.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::certs::Certificate;
use super::netns::Place;
use super::process::Process;
use super::{TempDir, free_port};

/// An RTMP server. Dropping it ends it.
pub(crate) struct Nginx {
    running: Option<Process>,
    place: Place,
    address: SocketAddr,
    config: PathBuf,
    dir: TempDir,
}

impl Nginx {
    /// Starts nginx with `application` inside its application `live`.
    pub(crate) fn start(application: &str) -> Self {
        Self::start_in(&Place::here(), application)
    }

    /// The same at an end of a link.
    pub(crate) fn start_in(place: &Place, application: &str) -> Self {
        let address = SocketAddr::new(place.ip(), free_port());
        let text = format!(
            "rtmp {{ access_log off; server {{ listen {address}; chunk_size 4096; out_queue 4096; out_cork 8;\n\
             application live {{ live on; wait_key on; wait_video on;\n{application}\n}} }} }}\n"
        );
        let (config, dir) = configure("ngx_rtmp_module.so", &text);
        let mut nginx = Self { running: None, place: place.clone(), address, config, dir };
        nginx.start_again();
        nginx
    }

    /// Ends it at once, with all its connections; where it was, nobody listens.
    pub(crate) fn stop(&mut self) {
        self.running.take().expect("an nginx that runs").kill();
    }

    /// Starts it after `stop`, as it was and at the same port. What it logs counts from here.
    pub(crate) fn start_again(&mut self) {
        assert!(self.running.is_none(), "an nginx that was stopped");
        self.running = Some(run(&self.place, &self.config, &self.dir));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/live/{stream}", self.address)
    }

    /// Waits until `n` players of `stream` have been accepted, counted from the start.
    pub(crate) fn wait_play(&self, stream: &str, n: usize) {
        self.wait_log(n, &format!("play: name='{stream}'"));
    }

    /// Waits for the `n`th publisher of `stream`, also one that is refused then.
    pub(crate) fn wait_publish(&self, stream: &str, n: usize) {
        self.wait_log(n, &format!("publish: name='{stream}'"));
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_log(&self, n: usize, pattern: &str) -> String {
        self.running.as_ref().expect("an nginx that runs").wait_log(n, pattern)
    }
}

/// TLS in front of a server that has none, whatever it speaks: RTMP becomes RTMPS, HTTP becomes HTTPS.
pub(crate) struct TlsFront {
    process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl TlsFront {
    pub(crate) fn start(certificate: &Certificate, server: SocketAddr) -> Self {
        Self::start_with(certificate, server, "")
    }

    /// With directives of its own, like `ssl_protocols TLSv1.2;`.
    pub(crate) fn start_with(certificate: &Certificate, server: SocketAddr, directives: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (file, key) = (certificate.certificate.display(), certificate.key.display());
        let text = format!(
            "stream {{ server {{ listen {address} ssl; ssl_certificate {file}; ssl_certificate_key {key};\n\
             tcp_nodelay on; proxy_pass {server};\n{directives}\n}} }}\n"
        );
        let (config, dir) = configure("ngx_stream_module.so", &text);
        Self { process: run(&Place::here(), &config, &dir), address, _dir: dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_log(&self, n: usize, pattern: &str) -> String {
        self.process.wait_log(n, pattern)
    }
}

/// A web server of the files in a folder.
pub(crate) struct Files {
    _process: Process,
    address: SocketAddr,
    _dir: TempDir,
}

impl Files {
    pub(crate) fn start(folder: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let dir = TempDir::new();
        let config = dir.join("nginx.conf");
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr info;\n\
             events {{ worker_connections 256; }}\nhttp {{ access_log off;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;\n\
             scgi_temp_path t5;\nserver {{ listen {address}; root {}; }} }}\n",
            folder.display()
        );
        std::fs::write(&config, text).expect("the configuration");
        Self { _process: run(&Place::here(), &config, &dir), address, _dir: dir }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

/// Writes a configuration of one of nginx's modules into a folder of its own.
fn configure(module: &str, text: &str) -> (PathBuf, TempDir) {
    let folders = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"];
    let found =
        folders.iter().map(|folder| format!("{folder}/{module}")).find(|path| Path::new(path).exists());
    let module = found.unwrap_or_else(|| panic!("{module} of nginx is missing; `make test` installs it"));
    let dir = TempDir::new();
    let config = dir.join("nginx.conf");
    let text = format!(
        "load_module {module};\ndaemon off;\nmaster_process off;\npid nginx.pid;\n\
         error_log stderr info;\nevents {{ worker_connections 256; }}\n{text}"
    );
    std::fs::write(&config, text).expect("the configuration");
    (config, dir)
}

fn run(place: &Place, config: &Path, dir: &TempDir) -> Process {
    let mut command = place.command("/usr/sbin/nginx");
    let process = Process::start(command.arg("-p").arg(dir.join("")).arg("-c").arg(config));
    // It listens by then.
    process.wait_log(1, "RLIMIT_NOFILE");
    process
}
