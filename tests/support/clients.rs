//! The real clients: each player writes what it receives as FLV to its standard output, each publisher
//! sends a file that is FLV too.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::sync::Arc;
use std::time::Duration;

use super::flv::{self, AUDIO, Role, Tag, VIDEO};
use super::netns::Place;
use super::process::{Feed, Process, pump};
use super::{PATIENCE, TempDir, repository};

/// Debian's ffmpeg: plain RTMP.
pub(crate) fn ffmpeg() -> Command {
    quiet(Command::new("ffmpeg"))
}

/// A newer ffmpeg, which speaks enhanced RTMP.
pub(crate) fn new_ffmpeg() -> Command {
    quiet(Command::new(repository("tests/.tools/ffmpeg-new")))
}

fn quiet(mut command: Command) -> Command {
    command.args(["-hide_banner", "-nostats", "-loglevel", "warning", "-y"]);
    command
}

/// What to announce in `connect`, where an ffmpeg can.
const ENHANCED: [&str; 2] = ["-rtmp_enhanced_codecs", "hvc1,av01,vp09,Opus"];

/// What to say to a newer ffmpeg so that it takes any certificate, as older ones and librtmp do.
fn unverified(url: &str) -> &'static [&'static str] {
    if url.starts_with("rtmps:") { &["-tls_verify", "0"] } else { &[] }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ffmpeg,
    NewFfmpeg,
    /// librtmp with the simple handshake.
    Rtmpdump,
    /// librtmp with the digest handshake, as Flash players and hardware encoders do it.
    RtmpdumpDigest,
    /// GStreamer over librtmp.
    RtmpSrc,
    /// GStreamer's own client.
    Rtmp2Src,
}

impl Kind {
    /// ffmpeg is a muxer too, which sorts the tracks among each other.
    fn remuxes(self) -> bool {
        matches!(self, Self::Ffmpeg | Self::NewFfmpeg)
    }

    /// How many of a track's last frames it may never hand on. ffmpeg keeps back the last packets until it
    /// has one of each track. rtmpsrc hands on what it has in pieces of 4 KB: what fills no piece never
    /// comes. rtmp2src may lose its last when the stream ends.
    pub(crate) fn slack(self) -> usize {
        match self {
            Self::Ffmpeg | Self::NewFfmpeg => 8,
            Self::RtmpSrc => 32,
            Self::Rtmp2Src => 2,
            Self::Rtmpdump | Self::RtmpdumpDigest => 0,
        }
    }
}

/// A player at work. Dropping it ends it.
pub(crate) struct Player {
    kind: Kind,
    process: Process,
    tags: Arc<Feed<Tag>>,
}

impl Player {
    pub(crate) fn start(kind: Kind, url: &str) -> Self {
        Self::start_in(&Place::here(), kind, url)
    }

    /// Starts a player at an end of a link.
    pub(crate) fn start_in(place: &Place, kind: Kind, url: &str) -> Self {
        let mut command = match kind {
            Kind::Ffmpeg => ffmpeg(),
            Kind::NewFfmpeg => new_ffmpeg(),
            // Without stdbuf the last 4 KB would stay in its buffer.
            Kind::Rtmpdump | Kind::RtmpdumpDigest => Command::new("stdbuf"),
            Kind::RtmpSrc | Kind::Rtmp2Src => Command::new("gst-launch-1.0"),
        };
        match kind {
            Kind::Ffmpeg | Kind::NewFfmpeg => {
                if kind == Kind::NewFfmpeg {
                    command.args(ENHANCED).args(unverified(url));
                }
                // Nothing is probed for longer than needed, shifted, dropped or held back.
                command.args(["-analyzeduration", "500k", "-copyts", "-i", url]);
                command.args(["-map", "0", "-c", "copy", "-copyinkf", "-max_interleave_delta", "1"]);
                command.args(["-flush_packets", "1", "-f", "flv", "pipe:1"]);
            }
            Kind::Rtmpdump => {
                command.args(["-o0", "rtmpdump", "-q", "-v", "-r", url, "-o", "-"]);
            }
            Kind::RtmpdumpDigest => {
                let hash = "3c".repeat(32);
                command.args(["-o0", "rtmpdump", "-q", "-v", "-r", url, "-o", "-"]);
                command.args(["-w", &hash, "-x", "12345"]);
            }
            Kind::RtmpSrc => {
                let location = format!("location={url} live=1");
                command.args(["-q", "rtmpsrc", &location, "!", "fdsink", "fd=1", "sync=false"]);
            }
            Kind::Rtmp2Src => {
                let location = format!("location={url}");
                command.args(["-q", "rtmp2src", &location]);
                if !unverified(url).is_empty() {
                    command.arg("tls-validation-flags=0");
                }
                command.args(["!", "fdsink", "fd=1", "sync=false"]);
            }
        }
        let (process, stdout) = Process::piped(&mut place.wrap(&command));
        let tags = Feed::new();
        let feed = Arc::clone(&tags);
        let mut parser = flv::Parser::default();
        pump(stdout, move |bytes| {
            parser.feed(bytes).into_iter().for_each(|tag| feed.push(tag));
            if bytes.is_empty() {
                feed.close();
            }
        });
        Self { kind, process, tags }
    }

    /// Waits until `enough` says so of all the tags so far, and gives them.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&[Tag]) -> bool) -> Vec<Tag> {
        let tags = self.tags.wait(PATIENCE, |tags, _| enough(tags).then(|| tags.to_vec()));
        tags.unwrap_or_else(|| {
            let tags = self.so_far();
            panic!(
                "{:?}: {what} did not come, but {} tags, the last {:#?}",
                self.kind,
                tags.len(),
                tags.last()
            )
        })
    }

    fn so_far(&self) -> Vec<Tag> {
        self.tags.wait(Duration::ZERO, |tags, _| Some(tags.to_vec())).unwrap_or_default()
    }

    /// Waits until all frames of `sent` are there, and asserts that they and their sequence headers are
    /// the same; gives all tags that came.
    #[track_caller]
    pub(crate) fn expect(&self, sent: &[Tag]) -> Vec<Tag> {
        // Where tracks are sorted among each other, each is compared by itself.
        let (remuxes, slack) = (self.kind.remuxes(), self.kind.slack());
        let tracks = [VIDEO, AUDIO].map(|kind| flv::track(sent, kind));
        let received = self.tags.wait(PATIENCE, |tags, _| {
            let whole = [VIDEO, AUDIO].iter().zip(&tracks).all(|(kind, track)| {
                let count = tags.iter().filter(|tag| tag.kind == *kind && tag.is_frame()).count();
                count + slack >= track.len()
            });
            whole.then(|| tags.to_vec())
        });
        let received = received.unwrap_or_else(|| self.so_far());
        println!("{:?}: {} tags", self.kind, received.len());
        for (kind, track) in [VIDEO, AUDIO].into_iter().zip(&tracks) {
            let came = flv::track(&received, kind);
            let missing = track.len().saturating_sub(came.len()).min(slack);
            flv::assert_same(&came, &track[..track.len() - missing]);
        }
        if !remuxes {
            let came = flv::frames(&received);
            flv::assert_same(&came, &flv::frames(sent)[..came.len()]);
        }
        flv::assert_configs(&received, sent);
        received
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

/// A part of the clip from second `from` on, which must be even to meet a keyframe, as a file of its own
/// whose time starts at zero.
pub(crate) fn cut(dir: &TempDir, from: u32, seconds: u32) -> PathBuf {
    let path = dir.join(&format!("clip-{from}-{seconds}.flv"));
    let times = from * 1000..(from + seconds) * 1000;
    let mut tags = flv::read(&repository("assets/clip.flv"));
    tags.retain(|tag| matches!(tag.role(), Role::Meta | Role::Config) || times.contains(&tag.time));
    tags.iter_mut().for_each(|tag| tag.time = tag.time.saturating_sub(times.start));
    flv::write(&path, &tags);
    path
}

/// A few seconds made by an ffmpeg with the given encoders, as an FLV file that the same ffmpeg would
/// publish as it stands: what an encoder learns only late, it has written late or not at all, so the
/// file is copied once more.
pub(crate) fn encode(ffmpeg: fn() -> Command, dir: &TempDir, codecs: &[&str]) -> PathBuf {
    let (encoded, copied) = (dir.join("encoded.flv"), dir.join("copied.flv"));
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3"]);
    command.args(["-pix_fmt", "yuv420p", "-g", "25"]).args(codecs).args(["-f", "flv"]).arg(&encoded);
    Process::start(&mut command).finish();
    let mut command = ffmpeg();
    command.arg("-copyts").arg("-i").arg(&encoded).args(["-map", "0", "-c", "copy"]).arg(&copied);
    Process::start(&mut command).finish();
    copied
}

/// Publishes a file as it stands with `ffmpeg`, as fast as it goes.
pub(crate) fn publish(ffmpeg: Command, file: &Path, url: &str) -> Process {
    Process::start(&mut publishing(ffmpeg, &[], file, url))
}

/// Publishes a file in real time.
pub(crate) fn publish_live(file: &Path, url: &str) -> Process {
    publish_live_with(ffmpeg(), file, url)
}

/// The same with an ffmpeg of choice.
pub(crate) fn publish_live_with(ffmpeg: Command, file: &Path, url: &str) -> Process {
    Process::start(&mut publishing(ffmpeg, &["-re"], file, url))
}

/// Publishes a file in real time from an end of a link.
pub(crate) fn publish_live_in(place: &Place, file: &Path, url: &str) -> Process {
    Process::start(&mut place.wrap(&publishing(ffmpeg(), &["-re"], file, url)))
}

/// Publishes what is written to the pipe, and stays when there is nothing.
pub(crate) fn publish_pipe(url: &str) -> (Process, ChildStdin) {
    publish_pipe_with(ffmpeg(), url)
}

/// The same with an ffmpeg of choice.
pub(crate) fn publish_pipe_with(ffmpeg: Command, url: &str) -> (Process, ChildStdin) {
    let options = ["-analyzeduration", "500k", "-f", "flv"];
    Process::fed(&mut publishing(ffmpeg, &options, Path::new("pipe:0"), url))
}

/// The same in real time: where there is one track, the other is waited for.
pub(crate) fn publish_pipe_live(ffmpeg: Command, url: &str) -> (Process, ChildStdin) {
    let options = ["-re", "-analyzeduration", "500k", "-f", "flv"];
    Process::fed(&mut publishing(ffmpeg, &options, Path::new("pipe:0"), url))
}

fn publishing(mut ffmpeg: Command, options: &[&str], file: &Path, url: &str) -> Command {
    if ffmpeg.get_program() != "ffmpeg" {
        // An option of the output's protocol, so it stands before the URL.
        ffmpeg.args(options).args(["-copyts", "-i"]).arg(file).args(["-map", "0", "-c", "copy"]);
        ffmpeg.args(ENHANCED).args(unverified(url)).args(["-f", "flv", url]);
    } else {
        ffmpeg.args(options).args(["-copyts", "-i"]).arg(file);
        ffmpeg.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
    }
    ffmpeg
}

/// Publishes a file with one of GStreamer's sinks, and writes what was published to `copy` as well:
/// its muxer makes tags of its own.
pub(crate) fn publish_gstreamer(sink: &str, file: &Path, copy: &Path, url: &str) -> Process {
    let file = format!("location={}", file.display());
    let copy = format!("location={}", copy.display());
    let url = if sink == "rtmpsink" { format!("location={url} live=1") } else { format!("location={url}") };
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "filesrc", &file, "!", "flvdemux", "name=in"]);
    command.args(["flvmux", "name=out", "streamable=true", "!", "tee", "name=both"]);
    command.args(["in.video", "!", "queue", "!", "h264parse", "!", "out.video"]);
    command.args(["in.audio", "!", "queue", "!", "aacparse", "!", "out.audio"]);
    command.args(["both.", "!", "queue", "!", "filesink", &copy]);
    command.args(["both.", "!", "queue", "!", sink, &url, "sync=false"]);
    Process::start(&mut command)
}
