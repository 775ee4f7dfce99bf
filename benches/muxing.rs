//! What packing a stream costs: for each format that players get, each kind of HLS and each kind of
//! recording, the share of one core that a stream of 4 Mbit/s takes, however many watch it.
//!
//! ```text
//! cargo bench --bench muxing [-- --seconds 2]
//! ```
//!
//! Time is this thread's CPU time. No system call is made: frames go into a ring, images come out of a lane,
//! segments and files' bytes come out of their writers and are dropped.

#[allow(dead_code)]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;

use camrill::dvr::{self, Recorder};
use camrill::engine::Engine;
use camrill::hls::{self, Writer};
use camrill::media::{Codec, Frame, Headers, Kind, Lane, Ring, RingLimits, Role};
use camrill::template::Calendar;
use camrill::time::Time;

use support::media;

/// Frames in a second, and from keyframe to keyframe.
const FPS: usize = 30;
const GOP: usize = 60;
/// Bytes of a video frame on average, and of an audio frame: 4 Mbit/s with 128 kbit/s of AAC.
const VIDEO_BYTES: usize = (500_000 - 16_000) / FPS;
const AUDIO_BYTES: usize = 372;
/// How much longer than other frames a keyframe is.
const KEY_FACTOR: usize = 8;
/// How much of the stream there is; it is gone through again and again.
const STREAM_US: i64 = 20_000_000;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench").peekable();
    if std::env::args().len() < 2 {
        // As `cargo test --all-targets` does.
        println!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let seconds = match (args.next().as_deref(), args.next().map(|n| n.parse())) {
        (None, None) => 1,
        (Some("--seconds"), Some(Ok(n))) => n,
        _ => {
            eprintln!("muxing: takes --seconds N, for each format");
            return ExitCode::FAILURE;
        }
    };
    let stream = Stream::new();
    println!("| what | % of a core | µs for a second of the stream |\n|---|---|---|");
    for (name, mut consumer) in consumers(&stream.headers) {
        let us = stream.cost(Duration::from_secs(seconds), &mut *consumer);
        println!("| {name} | {:.3} | {us:.0} |", us / 10_000.0);
    }
    ExitCode::SUCCESS
}

/// Takes one frame.
type Consumer = Box<dyn FnMut(&Frame)>;

/// Everything that is measured, by its name.
fn consumers(headers: &Headers) -> Vec<(&'static str, Consumer)> {
    let lane = |suffix, websocket| lane(headers, Some((suffix, websocket)));
    let ts = || hls::Options { fragment_us: 2_000_000, window_us: 12_000_000, ..hls::Options::default() };
    let fmp4 = || hls::Options { format: hls::Format::Fmp4, segment: "[seq].m4s".into(), ..ts() };
    let keys = hls::Keys {
        seed: [7; 32],
        fragments_per_key: 5,
        url: String::new(),
        file: "[app]/[stream]-[seq].key".into(),
    };
    vec![
        ("the ring alone", self::lane(headers, None)),
        ("RTMP", lane("rtmp", false)),
        ("HTTP-FLV", lane("flv", false)),
        ("FLV over WebSocket", lane("flv", true)),
        ("HTTP-TS", lane("ts", false)),
        ("MP4, a fragment for each frame", lane("mp4", false)),
        ("MP4 over WebSocket", lane("mp4", true)),
        ("HLS, MPEG-TS", segments(headers, ts())),
        ("HLS, MPEG-TS with AES-128", segments(headers, hls::Options { keys: Some(keys), ..ts() })),
        ("HLS, fMP4", segments(headers, fmp4())),
        ("HLS, low latency", segments(headers, hls::Options { part_us: Some(300_000), ..fmp4() })),
        ("recording, FLV", recording(headers, "[timestamp].flv")),
        ("recording, MP4", recording(headers, "[timestamp].mp4")),
    ]
}

/// A ring, and a lane beside it that somebody plays from.
fn lane(headers: &Headers, format: Option<(&str, bool)>) -> Consumer {
    let limits = RingLimits {
        bytes: 16 << 20,
        frames: 4096,
        length_us: 10_000_000,
        linger_us: 0,
        gop_cache: true,
        gop_frames: 4096,
    };
    let mut ring = Ring::new(limits);
    let mut lane = format.map(|(suffix, websocket)| {
        let mux = Engine::mux(suffix, websocket).expect("a format that there is");
        let mut lane = Lane::new(mux);
        lane.join(0, headers, 0);
        lane
    });
    Box::new(move |frame| {
        if ring.push(frame.clone())
            && let Some(lane) = &mut lane
        {
            assert!(lane.image(&ring, ring.head() - 1).is_some());
        }
        ring.trim(ring.head());
    })
}

fn segments(headers: &Headers, options: hls::Options) -> Consumer {
    let mut writer = Writer::new(options).expect("sound options");
    writer.begin(headers);
    Box::new(move |frame| {
        let when = Calendar { unix_ms: frame.dts / 1000, ..Calendar::default() };
        writer.write(&when, frame);
        while let Some(output) = writer.poll_output() {
            drop(output);
        }
    })
}

fn recording(headers: &Headers, path: &str) -> Consumer {
    let mut recorder = Recorder::new(dvr::Options { path: path.into(), ..dvr::Options::default() });
    recorder.begin(Time::ZERO, headers);
    Box::new(move |frame| {
        let now = Time::from_micros(frame.dts as u64);
        recorder.write(now, &Calendar::default(), frame);
        while let Some(output) = recorder.poll_output() {
            assert!(!matches!(output, dvr::Output::Refused(_) | dvr::Output::Dropped { .. }));
        }
    })
}

struct Stream {
    headers: Headers,
    frames: Vec<Frame>,
}

impl Stream {
    fn new() -> Self {
        let mut headers = Headers::default();
        for message in media::headers() {
            let is_video = message.kind == support::rtmp::VIDEO;
            let frame = frame(is_video, Role::Header, 0, message.body);
            *if is_video { &mut headers.video } else { &mut headers.audio } = Some(frame);
        }
        let mut frames = Vec::new();
        let (mut video, mut audio) = (0, 0);
        let delta = VIDEO_BYTES * GOP / (GOP - 1 + KEY_FACTOR);
        loop {
            let (video_us, audio_us) = (video * 1_000_000 / FPS as i64, audio * 1_024_000_000 / 44_100);
            if video_us.min(audio_us) >= STREAM_US {
                return Self { headers, frames };
            }
            if audio_us < video_us {
                audio += 1;
                let mut body = vec![0xaf, 1];
                body.resize(AUDIO_BYTES, 0x5a);
                frames.push(frame(false, Role::Key, audio_us, body));
                continue;
            }
            let is_key = (video as usize).is_multiple_of(GOP);
            video += 1;
            let size = if is_key { delta * KEY_FACTOR } else { delta };
            let mut body = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
            body.extend((size as u32 - 9).to_be_bytes());
            body.push(if is_key { 0x65 } else { 0x41 });
            body.resize(size, 0x5a);
            frames.push(frame(true, if is_key { Role::Key } else { Role::Delta }, video_us, body));
        }
    }

    /// CPU time for one second of the stream, in µs.
    fn cost(&self, limit: Duration, consume: &mut dyn FnMut(&Frame)) -> f64 {
        let mut offset = 0;
        let mut pass = |consume: &mut dyn FnMut(&Frame)| {
            for frame in &self.frames {
                let (dts, pts) = (frame.dts + offset, frame.pts + offset);
                consume(&Frame { dts, pts, ..frame.clone() });
            }
            offset += STREAM_US;
        };
        // Until everything has its size.
        pass(consume);
        let (start, mut passes) = (thread_cpu_ns(), 0);
        while thread_cpu_ns() - start < limit.as_nanos() as u64 {
            pass(consume);
            passes += 1;
        }
        let stream_s = STREAM_US as f64 / 1e6 * f64::from(passes);
        (thread_cpu_ns() - start) as f64 / 1e3 / stream_s
    }
}

/// CPU time of this thread, in nanoseconds.
fn thread_cpu_ns() -> u64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid place to write one timespec to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut ts) };
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// A frame as a network publisher brings it: inside the body of an FLV tag.
fn frame(is_video: bool, role: Role, at: i64, body: Vec<u8>) -> Frame {
    let relay = Bytes::from(body);
    let (kind, codec, ahead) =
        if is_video { (Kind::Video, Codec::H264, 5) } else { (Kind::Audio, Codec::Aac, 2) };
    Frame { kind, codec, role, dts: at, pts: at, payload: relay.slice(ahead..).into(), relay }
}
