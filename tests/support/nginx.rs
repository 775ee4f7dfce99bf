//! nginx with its RTMP module: the server that cameras have talked to for years, here as a neighbour.

use std::process::Command;

use super::process::Process;
use super::{TempDir, free_port};

pub(crate) struct Nginx {
    process: Process,
    port: u16,
    _dir: TempDir,
}

impl Nginx {
    /// Starts nginx with `application` inside its application `live`.
    pub(crate) fn start(application: &str) -> Self {
        let dir = TempDir::new();
        let port = free_port();
        let config = dir.join("nginx.conf");
        let modules = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"];
        let module = modules
            .iter()
            .map(|folder| format!("{folder}/ngx_rtmp_module.so"))
            .find(|path| std::path::Path::new(path).exists())
            .expect("nginx's RTMP module; `make test` installs it");
        let text = format!(
            "load_module {module};\ndaemon off;\nmaster_process off;\npid nginx.pid;\n\
             error_log stderr info;\nevents {{ worker_connections 256; }}\n\
             rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; out_queue 4096; out_cork 8;\n\
             application live {{ live on; wait_key on; wait_video on;\n{application}\n}} }} }}\n"
        );
        std::fs::write(&config, text).expect("the configuration");
        let process = Process::start(
            Command::new("/usr/sbin/nginx").arg("-p").arg(dir.join("")).arg("-c").arg(&config),
        );
        process.wait_log(1, "RLIMIT_NOFILE");
        Self { process, port, _dir: dir }
    }

    pub(crate) fn url(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.port)
    }

    /// Waits until `n` players of `stream` have been accepted, counted from the start.
    pub(crate) fn wait_play(&self, stream: &str, n: usize) {
        self.process.wait_log(n, &format!("play: name='{stream}'"));
    }
}
