//! The programs that the configuration asks for. The host runs them: an engine starts no process.

use super::{Engine, Role};
use crate::config::Input;

/// A program for the host to run for as long as it is asked for, and to start again when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its block in the configuration, which no other has: `vhost/demo.example.com/ingest/camera`.
    pub name: String,
    /// The program's path or name, and its arguments.
    pub argv: Vec<String>,
    /// The file for what it writes to its standard output and error, if that is to be kept.
    pub log: Option<String>,
}

impl Engine {
    /// The programs that the configuration asks for, as it was last applied.
    pub fn programs(&self) -> Vec<Program> {
        let port =
            self.addresses_of(|role| role == Role::Rtmp).first().map(|address| address.port().to_string());
        let mut programs = Vec::new();
        for (vhost, settings) in &self.settings.vhosts {
            for ingest in &settings.ingests {
                let Input::Program(argv) = &ingest.input else { continue };
                let mut argv = argv.clone();
                if let (Some(output), Some(port)) = (argv.last_mut(), &port) {
                    *output = output.replace("[port]", port);
                }
                let log = self.settings.ff_log_dir.as_ref().map(|dir| {
                    let stream = format!("{vhost}-{}-{}", ingest.app, ingest.stream).replace('/', "-");
                    format!("{dir}/ffmpeg-ingest-{stream}.log")
                });
                programs.push(Program { name: format!("vhost/{vhost}/ingest/{}", ingest.name), argv, log });
            }
        }
        programs
    }
}
