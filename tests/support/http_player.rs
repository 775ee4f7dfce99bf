//! Programs that play a URL of HTTP, and what they got of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::http::{Connection, websocket};
use super::packets::{self, Audio, Packet, Tracks, Video};
use super::process::{Feed, Process};
use super::{PATIENCE, TempDir, clients};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ffmpeg,
    NewFfmpeg,
    /// GStreamer's demuxers, which write elementary streams.
    GStreamer,
    /// VLC, which writes a transport stream with times of its own.
    Vlc,
    /// A socket of ours: the body as it came.
    Raw,
    /// A WebSocket of ours: its messages as they came.
    WebSocket,
}

/// A player at work. Dropping it ends it.
pub(crate) struct Player {
    pub(crate) kind: Kind,
    suffix: String,
    tracks: Tracks,
    work: Work,
    dir: TempDir,
}

enum Work {
    Listing(Process, Arc<Feed<Packet>>),
    Files(Process),
    Body(JoinHandle<Vec<u8>>),
}

impl Player {
    /// Plays `path` of a server; the suffix says the container.
    pub(crate) fn start(kind: Kind, server: SocketAddr, path: &str, tracks: Tracks) -> Self {
        let dir = TempDir::new();
        let suffix = path.split('?').next().and_then(|path| path.rsplit('.').next());
        let suffix = suffix.expect("a suffix").to_owned();
        let url = format!("http://{server}{path}");
        let work = match kind {
            Kind::Ffmpeg | Kind::NewFfmpeg => {
                let mut command =
                    if kind == Kind::Ffmpeg { clients::ffmpeg() } else { clients::new_ffmpeg() };
                command.args(["-analyzeduration", "500k", "-copyts"]);
                if suffix == "m3u8" {
                    command.args(["-live_start_index", "0"]);
                }
                command.args(["-i", &url]);
                packets::list(&mut command, tracks);
                let (process, feed) = packets::pumped(&mut command);
                Work::Listing(process, feed)
            }
            Kind::GStreamer => {
                let source = match suffix.as_str() {
                    "flv" => vec!["flvdemux", "name=d"],
                    "ts" => vec!["tsdemux", "name=d"],
                    "mp4" => vec!["qtdemux", "name=d"],
                    "m3u8" => vec!["hlsdemux", "!", "parsebin", "name=d"],
                    _ => vec!["queue", "name=d"],
                };
                let mut command = Command::new("gst-launch-1.0");
                command.args(["-q", "souphttpsrc", &format!("location={url}"), "!"]).args(&source);
                Work::Files(Process::start(elementary(&mut command, tracks, &dir)))
            }
            Kind::Vlc => Work::Files(Process::start(&mut vlc(&url, &dir))),
            Kind::Raw => {
                let path = path.to_owned();
                Work::Body(std::thread::spawn(move || body(server, &path)))
            }
            Kind::WebSocket => {
                let path = path.to_owned();
                Work::Body(std::thread::spawn(move || {
                    let mut all = Vec::new();
                    websocket(server, &path, |message| all.extend_from_slice(message));
                    all
                }))
            }
        };
        Self { kind, suffix, tracks, work, dir }
    }

    /// Waits until all but `slack` of so many packets of pictures and of sound are there, where the player
    /// tells.
    #[track_caller]
    pub(crate) fn wait(&self, video: usize, audio: usize, slack: usize) -> Vec<Packet> {
        let Work::Listing(process, feed) = &self.work else { return Vec::new() };
        let count = |all: &[Packet], video: bool| all.iter().filter(|packet| packet.video == video).count();
        let done = feed.wait(PATIENCE, |all, _| {
            (count(all, true) + slack >= video && count(all, false) + slack >= audio).then(|| all.to_vec())
        });
        done.unwrap_or_else(|| {
            let all = feed.wait(PATIENCE / 100, |all, _| Some(all.to_vec())).unwrap_or_default();
            let (pictures, sounds) = (count(&all, true), count(&all, false));
            panic!(
                "{:?}, {}: {pictures} of {video} pictures and {sounds} of {audio} sounds came; it said {:?}",
                self.kind,
                self.suffix,
                process.said()
            )
        })
    }

    pub(crate) fn is_running(&mut self) -> bool {
        match &mut self.work {
            Work::Listing(process, _) | Work::Files(process) => process.is_running(),
            Work::Body(thread) => !thread.is_finished(),
        }
    }

    /// Ends it now, and gives what it got and what it said. One that tells nothing is first given time to
    /// write so many bytes.
    #[track_caller]
    pub(crate) fn stop(self, bytes: u64) -> (Vec<Packet>, Vec<String>) {
        match &self.work {
            Work::Listing(process, feed) => {
                // It would wait for more.
                let all = feed.wait(Duration::ZERO, |all, _| Some(all.to_vec()));
                return (all.unwrap_or_default(), process.said());
            }
            Work::Files(process) => {
                let size = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
                let end = Instant::now() + PATIENCE;
                let has = |name: &str, wanted: bool| !wanted || size(name) >= bytes / 8;
                let tracks = self.tracks;
                while size("video") + size("audio") + size("vlc.ts") < bytes
                    || self.kind != Kind::Vlc
                        && !(has("video", tracks.0 != Video::None) && has("audio", tracks.1 != Audio::None))
                {
                    assert!(
                        Instant::now() < end,
                        "{:?} wrote too little; it said {:?}",
                        self.kind,
                        process.said()
                    );
                    std::thread::sleep(Duration::from_millis(20));
                }
                // Both close their files then.
                process.signal(libc::SIGINT);
            }
            Work::Body(_) => {}
        }
        self.finish()
    }

    /// Waits for its end, which its server's brings about, and gives what it got and what it said.
    #[track_caller]
    pub(crate) fn finish(self) -> (Vec<Packet>, Vec<String>) {
        let tracks = self.tracks;
        match self.work {
            Work::Listing(mut process, feed) => {
                process.wait_end(PATIENCE).expect("the player ends");
                let all = feed.wait(PATIENCE, |all, open| (!open).then(|| all.to_vec()));
                (all.expect("its list ends"), process.said())
            }
            Work::Files(mut process) => {
                process.wait_end(PATIENCE).expect("the player ends");
                let all = if self.kind == Kind::Vlc {
                    // It ends in the middle of a packet.
                    let mut all = packets::of_file(&self.dir.join("vlc.ts"), None, tracks);
                    for video in [true, false] {
                        let last = all.iter().rposition(|packet| packet.video == video);
                        last.map(|last| all.remove(last));
                    }
                    all
                } else {
                    let mut all = Vec::new();
                    if let Some(format) = video_format(tracks) {
                        let path = self.dir.join("video");
                        all.extend(packets::of_file(&path, Some(format), (tracks.0, Audio::None)));
                    }
                    if let Some(format) = audio_format(tracks) {
                        let path = self.dir.join("audio");
                        all.extend(packets::of_file(&path, Some(format), (Video::None, tracks.1)));
                    }
                    all
                };
                (all, process.said())
            }
            Work::Body(thread) => {
                let bytes = thread.join().expect("a client that gets what it asks for");
                let path = self.dir.join(&format!("body.{}", self.suffix));
                std::fs::write(&path, bytes).expect("a file");
                (packets::of_file(&path, None, tracks), Vec::new())
            }
        }
    }

    /// The body as it came.
    #[track_caller]
    pub(crate) fn bytes(self) -> Vec<u8> {
        let Work::Body(thread) = self.work else { panic!("a program's body is its own") };
        thread.join().expect("a client that gets what it asks for")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The body of an answer without end, until its end.
fn body(server: SocketAddr, path: &str) -> Vec<u8> {
    let mut connection = Connection::open(server);
    connection.send(path);
    let (status, head) = connection.head();
    assert_eq!(status, 200, "{head}");
    let mut all = Vec::new();
    loop {
        let bytes = connection.take();
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

fn video_format(tracks: Tracks) -> Option<&'static str> {
    match tracks.0 {
        Video::None => None,
        Video::H264 => Some("h264"),
        Video::Hevc => Some("hevc"),
    }
}

fn audio_format(tracks: Tracks) -> Option<&'static str> {
    match tracks.1 {
        Audio::None => None,
        Audio::Aac => Some("aac"),
        Audio::Mp3 => Some("mp3"),
    }
}

/// Has each of the tracks of `d` written to a file.
fn elementary<'a>(command: &'a mut Command, tracks: Tracks, dir: &TempDir) -> &'a mut Command {
    let parsers = match tracks.0 {
        Video::None => None,
        Video::H264 => Some(("h264parse", "video/x-h264,stream-format=byte-stream,alignment=au")),
        Video::Hevc => Some(("h265parse", "video/x-h265,stream-format=byte-stream,alignment=au")),
    };
    if let Some((parser, caps)) = parsers {
        let sink = format!("location={}", dir.join("video").display());
        command.args(["d.", "!", "queue", "!", parser, "!", caps, "!", "filesink", &sink, "async=false"]);
    }
    let parsers = match tracks.1 {
        Audio::None => None,
        Audio::Aac => Some(("aacparse", "audio/mpeg,stream-format=adts")),
        Audio::Mp3 => Some(("mpegaudioparse", "audio/mpeg")),
    };
    if let Some((parser, caps)) = parsers {
        let sink = format!("location={}", dir.join("audio").display());
        command.args(["d.", "!", "queue", "!", parser, "!", caps, "!", "filesink", &sink, "async=false"]);
    }
    command
}

/// VLC refuses to be root.
fn vlc(url: &str, dir: &TempDir) -> Command {
    let script =
        "if [ $(id -u) = 0 ]; then set -- setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"; fi
                  exec \"$@\" > \"$OUT\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", "cvlc", "-q", "-I", "dummy", "--no-sout-all", "--sout-all"]);
    command.args([url, "--sout", "#std{access=file,mux=ts,dst=-}", "vlc://quit"]);
    command.env("OUT", dir.join("vlc.ts")).env("HOME", "/tmp");
    command
}
