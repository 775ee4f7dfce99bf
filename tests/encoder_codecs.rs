//! Each codec that an encoder may hand over, written through the C API and read by both ffmpegs out of each container
//! that carries it: the same packets at the same times; and where one can't, that it says so.

mod support;

use std::path::Path;
use std::ptr;
use std::time::Duration;

use camrill::codec::mp3::Mp3Header;
use camrill::codec::{aac, av1};
use camrill::ffi::*;
use camrill::media::{Codec, Kind, Role};

use support::c_api::{Engine, Facts, Publisher, tracks};
use support::http::Connection;
use support::packets::{self, Audio, Packet, Video};
use support::{TempDir, clients, flv};

/// Packets that a demuxer keeps until more of the stream has come, or that were there before it.
const SLACK: usize = 20;
/// How long players of HTTP are held until it is clear which tracks there are, and a little more.
const GUESS: Duration = Duration::from_millis(1200);
/// Sound alone is joined where it is: those that were written while a player was held may be gone.
const JOINED: usize = 8;
/// What ffmpeg has of the header of Opus in FLV: an empty packet, of which its own parser complains.
const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";
const COMPLAINT: &str = "Error parsing the packet header.";
/// What times are rounded to in FLV.
const MS: i64 = 1000;

/// A track as an encoder hands it over.
struct Track {
    tracks: camrill_tracks_t,
    codec: i32,
    /// How the packets of a player are to be listed.
    listed: packets::Tracks,
    writes: Vec<Write>,
    /// (name of the container, who reads it, how far times are rounded)
    outs: Vec<(&'static str, Reader, i64)>,
    /// Containers that have no place for it.
    refused: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Reader {
    Both,
    /// It is newer than the older ffmpeg.
    New,
}

/// One write, and the packets that come of it.
struct Write {
    data: Vec<u8>,
    pts: i64,
    packets: Vec<(i64, Vec<u8>)>,
}

impl Write {
    fn one(pts: i64, data: &[u8]) -> Self {
        Self { data: data.to_vec(), pts, packets: vec![(pts, data.to_vec())] }
    }
}

fn run(track: &Track) {
    let engine = Engine::start(
        "listen 127.0.0.1:0;
         http_server { enabled on; listen 127.0.0.1:0; dir ./nowhere; }
         vhost __defaultVhost__ { http_remux { enabled on; } }",
    );
    let publisher = Publisher::new(&engine, "", "x", track.tracks);
    let is_video = track.tracks.video_codec != CAMRILL_CODEC_NONE;
    let mut players = Vec::new();
    for (container, reader, rounding) in &track.outs {
        let url = match *container {
            "rtmp" => format!("rtmp://127.0.0.1:{}/live/x", engine.port("rtmp")),
            suffix => format!("http://127.0.0.1:{}/live/x.{suffix}", engine.port("http")),
        };
        let new = [false, true].into_iter().filter(|new| *new || *reader == Reader::Both);
        for new in new {
            let mut command = if new { clients::new_ffmpeg() } else { clients::ffmpeg() };
            if new && *container == "rtmp" {
                command.args(["-rtmp_enhanced_codecs", "av01,Opus,hvc1"]);
            }
            command.args(["-analyzeduration", "500k", "-copyts", "-i", &url]);
            packets::list(&mut command, track.listed);
            let what =
                format!("{container} read by {}", if new { "the newer ffmpeg" } else { "the older ffmpeg" });
            players.push((what, *rounding, packets::pumped(&mut command)));
        }
    }
    let count = u32::try_from(players.len()).expect("few");
    engine.until(|| "all play".into(), || (engine.players() == count).then_some(()));
    for (i, write) in track.writes.iter().enumerate() {
        let facts = Facts { codec: track.codec, pts: write.pts, dts: CAMRILL_TIME_NONE, flags: 0 };
        publisher.write(facts, &[&write.data]);
        engine.poll(0);
        if i == 0 {
            engine.run_for(GUESS);
        }
    }
    let sent: Vec<Packet> = track
        .writes
        .iter()
        .flat_map(|write| &write.packets)
        .map(|(pts, data)| Packet {
            video: is_video,
            dts: *pts,
            pts: *pts,
            hash: format!("{:x}", md5::compute(data)),
        })
        .collect();
    for (what, rounding, (process, feed)) in &players {
        let so_far = || {
            let mut all = feed.wait(Duration::ZERO, |all, _| Some(all.to_vec())).unwrap_or_default();
            all.retain(|packet| packet.hash != EMPTY);
            all
        };
        let came = engine.until(
            || format!("{what}: {} of {}, it said {:?}", so_far().len(), sent.len(), process.said()),
            || Some(so_far()).filter(|all| all.len() + SLACK >= sent.len()),
        );
        let start = packets::assert_part(&came, &sent);
        assert!(start <= JOINED, "{what} begins with number {start}");
        let offset = came[0].dts - sent[start].dts;
        packets::assert_times(&came, &sent[start..], offset, *rounding);
        let mut said = process.said();
        said.retain(|line| !(track.codec == CAMRILL_CODEC_OPUS && line.ends_with(COMPLAINT)));
        assert_eq!(said, Vec::<String>::new(), "{what}");
    }
    for suffix in &track.refused {
        let mut connection = Connection::open(([127, 0, 0, 1], engine.port("http")).into());
        connection.send(&format!("/live/x.{suffix}"));
        let answer = std::thread::spawn(move || connection.head().0);
        engine.until(|| format!("an answer for .{suffix}"), || answer.is_finished().then_some(()));
        assert_eq!(answer.join().expect("an answer"), 415, ".{suffix}");
    }
    let info = engine.stream_info();
    let expected = if is_video { (track.codec, 0) } else { (0, track.codec) };
    assert_eq!((info.video_codec, info.audio_codec), expected);
    if is_video {
        assert_eq!((info.width, info.height), (320, 180));
    } else {
        assert!(info.sample_rate >= 8000 && (1..=2).contains(&info.channels));
    }
}

/// Two seconds of sound or of pictures in a file.
fn encode(dir: &TempDir, name: &str, source: &str, codec: &[&str]) -> Vec<u8> {
    let path = dir.join(name);
    let mut command = clients::new_ffmpeg();
    command.args(["-f", "lavfi", "-i", source]).args(codec).arg(&path);
    let out = command.output().expect("ffmpeg");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::read(Path::new(&path)).expect("the file")
}

fn sine(rate: u32) -> String {
    format!("sine=frequency=440:sample_rate={rate}:duration=4")
}

const PICTURES: &str = "testsrc2=size=320x180:rate=25:duration=4";

fn us(samples: usize, rate: usize) -> i64 {
    (samples as i64 * 1_000_000) / rate as i64
}

#[test]
fn aac_behind_adts_headers_and_raw() {
    let dir = TempDir::new();
    let file = encode(&dir, "a.aac", &sine(48_000), &["-c:a", "aac"]);
    let frames: Vec<_> = aac::adts_frames(&file).map(|frame| frame.expect("a frame")).collect();
    let config = frames[0].0.build().expect("a config");
    let both = |tracks, writes| Track {
        tracks,
        codec: CAMRILL_CODEC_AAC,
        listed: (Video::None, Audio::Aac),
        writes,
        outs: ["rtmp", "flv", "ts", "mp4"].map(|out| (out, Reader::Both, MS)).to_vec(),
        refused: vec!["mp3"],
    };
    // Three ADTS frames a write.
    let (mut writes, mut at, mut n) = (Vec::new(), 0, 0);
    for frames in frames.chunks(3) {
        let len: usize = frames.iter().map(|(_, raw)| raw.len() + 7).sum();
        let packets = frames.iter().enumerate();
        writes.push(Write {
            data: file[at..at + len].to_vec(),
            pts: us(n * 1024, 48_000),
            packets: packets.map(|(i, (_, raw))| (us((n + i) * 1024, 48_000), raw.to_vec())).collect(),
        });
        (at, n) = (at + len, n + frames.len());
    }
    run(&both(tracks(CAMRILL_CODEC_NONE, CAMRILL_CODEC_AAC), writes));

    let raw = frames.iter().enumerate().map(|(i, (_, raw))| Write::one(us(i * 1024, 48_000), raw)).collect();
    let mut given = tracks(CAMRILL_CODEC_NONE, CAMRILL_CODEC_AAC);
    (given.audio_config, given.audio_config_size) = (config.as_ptr(), config.len());
    run(&both(given, raw));
}

#[test]
fn mp3() {
    let dir = TempDir::new();
    let args = ["-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"];
    let file = encode(&dir, "a.mp3", &sine(44_100), &args);
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Ok(header) = Mp3Header::parse(&file[at..]) {
        frames.push(&file[at..at + header.frame_len]);
        at += header.frame_len;
    }
    let (mut writes, mut n) = (Vec::new(), 0);
    for frames in frames.chunks(2) {
        writes.push(Write {
            data: frames.concat(),
            pts: us(n * 1152, 44_100),
            packets: (n..).zip(frames).map(|(i, frame)| (us(i * 1152, 44_100), frame.to_vec())).collect(),
        });
        n += frames.len();
    }
    run(&Track {
        tracks: tracks(CAMRILL_CODEC_NONE, CAMRILL_CODEC_MP3),
        codec: CAMRILL_CODEC_MP3,
        listed: (Video::None, Audio::Mp3),
        writes,
        outs: ["rtmp", "flv", "ts", "mp4"].map(|out| (out, Reader::Both, MS)).to_vec(),
        refused: vec!["aac"],
    });
}

#[test]
fn g711() {
    let dir = TempDir::new();
    for (codec, format) in [(CAMRILL_CODEC_G711A, "alaw"), (CAMRILL_CODEC_G711U, "mulaw")] {
        let name = format!("a.{format}");
        let encoder = format!("pcm_{format}");
        let file = encode(&dir, &name, &sine(8000), &["-c:a", &encoder, "-f", format]);
        // Chunks of any size.
        let (mut writes, mut at) = (Vec::new(), 0);
        while at < file.len() {
            let len = [160, 37, 800, 1, 320][writes.len() % 5].min(file.len() - at);
            writes.push(Write::one(us(at, 8000), &file[at..at + len]));
            at += len;
        }
        run(&Track {
            tracks: tracks(CAMRILL_CODEC_NONE, codec),
            codec,
            listed: (Video::None, Audio::None),
            writes,
            outs: vec![("rtmp", Reader::Both, MS), ("flv", Reader::Both, MS)],
            refused: vec!["ts", "aac"],
        });
    }
}

#[test]
fn opus() {
    let dir = TempDir::new();
    encode(&dir, "a.flv", &sine(48_000), &["-c:a", "libopus", "-ac", "2"]);
    let (mut writes, mut head) = (Vec::new(), None);
    for tag in flv::read(&dir.join("a.flv")).into_iter().filter(|tag| tag.kind == flv::AUDIO) {
        let frame = camrill::flv::frame(Kind::Audio, 0, tag.body.into()).expect("a frame");
        assert_eq!(frame.codec, Codec::Opus);
        match frame.role {
            Role::Header => head = Some(frame.payload.bytes()),
            _ if frame.payload.is_empty() => {}
            _ => writes.push(Write::one(writes.len() as i64 * 20_000, &frame.payload.bytes())),
        }
    }
    let head = head.expect("an OpusHead");
    let mut given = tracks(CAMRILL_CODEC_NONE, CAMRILL_CODEC_OPUS);
    (given.audio_config, given.audio_config_size) = (head.as_ptr(), head.len());
    let track = |tracks, writes| Track {
        tracks,
        codec: CAMRILL_CODEC_OPUS,
        listed: (Video::None, Audio::None),
        writes,
        outs: vec![("rtmp", Reader::New, MS), ("flv", Reader::New, MS), ("mp4", Reader::Both, MS)],
        refused: vec!["ts", "aac"],
    };
    let again = writes.iter().map(|write| Write::one(write.pts, &write.data)).collect();
    run(&track(given, writes));
    run(&track(tracks(CAMRILL_CODEC_NONE, CAMRILL_CODEC_OPUS), again));
}

#[test]
fn av1_with_and_without_delimiters() {
    let dir = TempDir::new();
    let args =
        ["-pix_fmt", "yuv420p", "-c:v", "libaom-av1", "-cpu-used", "8", "-g", "25", "-lag-in-frames", "0"];
    let file = encode(&dir, "a.obu", PICTURES, &args);
    // A delimiter is 12 00; behind it stand units that tell their size.
    let (mut units, mut at) = (Vec::<Vec<u8>>::new(), 0);
    while at < file.len() {
        let head = av1::ObuHead::parse(&file[at..]).expect("an OBU");
        let end = at + head.len + head.payload.expect("a size");
        if head.kind == av1::OBU_TEMPORAL_DELIMITER {
            units.push(Vec::new());
        } else {
            units.last_mut().expect("a delimiter first").extend_from_slice(&file[at..end]);
        }
        at = end;
    }
    assert_eq!(units.len(), 100);
    for delimited in [true, false] {
        let writes = (0..).zip(&units).map(|(i, unit)| {
            let pts = i * 40_000;
            let data = if delimited { [&[0x12, 0][..], unit].concat() } else { unit.clone() };
            Write { data, pts, packets: vec![(pts, unit.clone())] }
        });
        run(&Track {
            tracks: tracks(CAMRILL_CODEC_AV1, CAMRILL_CODEC_NONE),
            codec: CAMRILL_CODEC_AV1,
            listed: (Video::None, Audio::None),
            writes: writes.collect(),
            outs: vec![("rtmp", Reader::New, MS), ("flv", Reader::New, MS), ("mp4", Reader::Both, MS)],
            refused: vec!["ts"],
        });
    }
}

/// The pictures in a file of JPEG after JPEG: each ends with its marker, which stands nowhere inside.
fn pictures(file: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut start) = (Vec::new(), 0);
    for (at, marker) in file.windows(2).enumerate() {
        if marker == [0xff, 0xd9] {
            all.push(&file[start..at + 2]);
            start = at + 2;
        }
    }
    all
}

#[test]
fn jpeg_is_recorded_and_refused_elsewhere() {
    let dir = TempDir::new();
    let file = encode(&dir, "a.mjpeg", PICTURES, &["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]);
    let pictures = pictures(&file);
    assert_eq!(pictures.len(), 100);
    run(&Track {
        tracks: tracks(CAMRILL_CODEC_MJPEG, CAMRILL_CODEC_NONE),
        codec: CAMRILL_CODEC_MJPEG,
        listed: (Video::None, Audio::None),
        writes: (0..).zip(&pictures).map(|(i, picture)| Write::one(i * 40_000, picture)).collect(),
        outs: Vec::new(),
        refused: vec!["flv", "ts", "mp4"],
    });

    let path = dir.join("recorded.mp4");
    record(&path, &pictures);
    for mut command in [clients::ffmpeg(), clients::new_ffmpeg()] {
        command.arg("-i").arg(&path);
        packets::list(&mut command, (Video::None, Audio::None));
        let out = command.output().expect("ffmpeg");
        assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        let came = packets::Reader::default().feed(&out.stdout);
        assert_eq!(came.len(), pictures.len());
        for ((i, picture), came) in (0..).zip(&pictures).zip(&came) {
            assert_eq!((came.pts, &came.hash), (i * 40_000, &format!("{:x}", md5::compute(picture))));
        }
    }
}

/// Records pictures through the C API.
fn record(path: &Path, pictures: &[&[u8]]) {
    let engine = Engine::start("");
    let path = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: all zero but for what is set is a config or a frame; what they point to outlives the calls, and the
    // recorder is freed once.
    unsafe {
        let mut config: camrill_recorder_config_t = std::mem::zeroed();
        config.struct_size = size_of::<camrill_recorder_config_t>() as u32;
        config.tracks = tracks(CAMRILL_CODEC_MJPEG, CAMRILL_CODEC_NONE);
        config.path = path.as_ptr();
        let mut recorder = ptr::null_mut();
        assert_eq!(camrill_recorder_new(engine.handle(), &config, &mut recorder), CAMRILL_OK);
        for (i, picture) in (0..).zip(pictures) {
            let mut frame: camrill_frame_t = std::mem::zeroed();
            frame.struct_size = size_of::<camrill_frame_t>() as u32;
            frame.codec = CAMRILL_CODEC_MJPEG;
            (frame.data, frame.size) = (picture.as_ptr(), picture.len());
            (frame.pts_us, frame.dts_us) = (i * 40_000, CAMRILL_TIME_NONE);
            assert_eq!(camrill_recorder_write(recorder, &frame), CAMRILL_OK);
            engine.poll(0);
        }
        camrill_recorder_free(recorder);
    }
    // The disk's thread has written all when the engine is gone.
}
