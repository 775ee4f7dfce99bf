//! Packets as ffmpeg reads them: each with its times and the hash of its payload. Whatever container they
//! came in, a picture is hashed as NAL units without those that each container keeps elsewhere (parameter
//! sets, delimiters, what x265 says of itself), and AAC without ADTS headers: so what came can be held against what was published.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::clients;
use super::process::{Feed, Process, pump};

/// How a track of pictures is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Video {
    None,
    H264,
    Hevc,
}

/// How a track of sound is coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audio {
    None,
    Aac,
    Mp3,
}

/// What there is of tracks.
pub(crate) type Tracks = (Video, Audio);

/// One packet; its times are in µs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) video: bool,
    pub(crate) dts: i64,
    pub(crate) pts: i64,
    pub(crate) hash: String,
}

/// The options that have ffmpeg list packets of an input on its standard output.
pub(crate) fn list(command: &mut Command, tracks: Tracks) {
    // Metadata is a track of data to ffmpeg, unless it stands at the very beginning.
    command.args(["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-copyinkf"]);
    match tracks.0 {
        Video::H264 => command.args(["-bsf:v", "h264_mp4toannexb,filter_units=remove_types=7-9"]),
        Video::Hevc => command.args(["-bsf:v", "hevc_mp4toannexb,filter_units=remove_types=32-35|39"]),
        Video::None => command,
    };
    if tracks.1 == Audio::Aac {
        command.args(["-bsf:a", "aac_adtstoasc"]);
    }
    command.args(["-max_interleave_delta", "1", "-flush_packets", "1"]);
    command.args(["-f", "framehash", "-hash", "md5", "pipe:1"]);
}

/// Reads such a list as it comes.
#[derive(Default)]
pub(crate) struct Reader {
    held: Vec<u8>,
    /// Of each stream: whether it is video, and its unit of time as a fraction of a second.
    streams: Vec<(bool, i64, i64)>,
}

impl Reader {
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Packet> {
        self.held.extend_from_slice(bytes);
        let whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.held.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().filter_map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &str) -> Option<Packet> {
        let stream = |text: &str| text.trim().parse::<usize>().expect("a stream's number");
        if let Some(line) = line.strip_prefix('#') {
            let (name, value) = line.split_once(':')?;
            let (name, number) = name.split_once(' ')?;
            if !matches!(name, "tb" | "media_type") {
                return None;
            }
            let number = stream(number);
            self.streams.resize(self.streams.len().max(number + 1), (false, 0, 0));
            if name == "tb" {
                let (unit, second) = value.trim().split_once('/').expect("a fraction");
                (self.streams[number].1, self.streams[number].2) =
                    (unit.parse().expect("a number"), second.parse().expect("a number"));
            } else {
                self.streams[number].0 = value.trim() == "video";
            }
            return None;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let (video, unit, second) = self.streams[stream(fields[0])];
        let us = |ticks: &str| {
            let ticks: i64 = ticks.parse().expect("a time");
            // An elementary stream has no times.
            ticks.checked_mul(unit * 2_000_000).map_or(i64::MIN, |n| (n + second).div_euclid(second * 2))
        };
        Some(Packet { video, dts: us(fields[1]), pts: us(fields[2]), hash: fields[5].to_owned() })
    }
}

/// The packets of a file; an elementary stream's `format` has to be named.
#[track_caller]
pub(crate) fn of_file(path: &Path, format: Option<&str>, tracks: Tracks) -> Vec<Packet> {
    let mut command = clients::new_ffmpeg();
    command.arg("-copyts");
    command.args(format.map(|format| ["-f", format]).into_iter().flatten());
    command.arg("-i").arg(path);
    list(&mut command, tracks);
    let out = command.output().expect("ffmpeg");
    assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
    Reader::default().feed(&out.stdout)
}

/// Starts a program that lists packets.
pub(crate) fn pumped(command: &mut Command) -> (Process, Arc<Feed<Packet>>) {
    let (process, stdout) = Process::piped(command);
    let packets = Feed::new();
    let feed = Arc::clone(&packets);
    let mut reader = Reader::default();
    pump(stdout, move |bytes| {
        reader.feed(bytes).into_iter().for_each(|packet| feed.push(packet));
        if bytes.is_empty() {
            feed.close();
        }
    });
    (process, packets)
}

/// The packets of one kind.
pub(crate) fn track(packets: &[Packet], video: bool) -> Vec<Packet> {
    packets.iter().filter(|packet| packet.video == video).cloned().collect()
}

/// Asserts that what came is a part of what was sent, without a hole, and answers where it begins.
#[track_caller]
pub(crate) fn assert_part(came: &[Packet], sent: &[Packet]) -> usize {
    let first = came.first().expect("packets");
    // A silent frame is the same as the next: any place will do at which all fits.
    let fits = |start: usize| came.iter().zip(&sent[start..]).take_while(|(a, b)| a.hash == b.hash).count();
    let starts = (0..sent.len()).filter(|start| sent[*start].hash == first.hash);
    let start = starts.max_by_key(|start| fits(*start)).expect("what came first was never sent");
    let same = fits(start);
    let rest = came.len() - same;
    assert_eq!(
        rest,
        0,
        "packet {same} is another: {:?}, and {:?} was sent",
        came[same],
        sent.get(start + same)
    );
    start
}

/// A tick of 1/44100 s, the longest that there is.
pub(crate) const TICK_US: i64 = 23;

/// Asserts that the times of what came are those of what was sent, all of them later by `offset`, but for so
/// much of rounding, in µs.
#[track_caller]
pub(crate) fn assert_times(came: &[Packet], sent: &[Packet], offset: i64, rounding: i64) {
    for (n, (a, b)) in came.iter().zip(sent).enumerate() {
        let off = |a: i64, b: i64| (a - b - offset).abs() > rounding;
        let differs = off(a.dts, b.dts) || off(a.pts, b.pts);
        assert!(!differs, "packet {n} is at another time: {a:?}, and {b:?} was sent");
    }
}
