//! What an encoder hands over comes out as it went in: streams of x264 and x265 are written through the C API in every
//! way that encoders have, and read by ffmpeg in every way that players have. Access units are the same byte for
//! byte, times the same to the container's clock, and what is decoded of them the same picture for picture.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use camrill::codec::avcc::{AvcConfig, length_prefixed_nals};
use camrill::codec::h265::HevcConfig;
use camrill::ffi::*;
use camrill::media::{Codec, Kind, Role};

use support::c_api::{Engine, Facts, Given, Player, Publisher, tracks};
use support::packets::{self, Audio, Packet, Video};
use support::process::{Feed, Process};
use support::{TempDir, clients, flv};

/// Packets that a demuxer keeps until more of the stream has come.
const SLACK: usize = 16;
/// Frames that a decoder keeps besides.
const DECODER_SLACK: usize = 24;

/// How long players of HTTP are held until it is clear which tracks there are, and a little more. They begin with the
/// newest keyframe then, which has to be the first one.
const GUESS: Duration = Duration::from_millis(1200);

/// A stream as an encoder has made it.
struct Source {
    h265: bool,
    /// Its size changes.
    changes: bool,
    units: Vec<Unit>,
    file: PathBuf,
}

/// An access unit; times are in µs.
struct Unit {
    pts: i64,
    dts: i64,
    /// Parameter sets that it begins with.
    sets: Vec<Vec<u8>>,
    nals: Vec<Vec<u8>>,
    /// The decoder configuration record that holds from here on.
    record: Option<Bytes>,
}

impl Source {
    fn read(file: PathBuf) -> Self {
        let (mut units, mut record, mut sets, mut h265) = (Vec::new(), None, Vec::new(), false);
        for tag in flv::read(&file).into_iter().filter(|tag| tag.kind == flv::VIDEO) {
            let frame = camrill::flv::frame(Kind::Video, i64::from(tag.time) * 1000, tag.body.into());
            let frame = frame.expect("a frame of the clip");
            h265 = frame.codec == Codec::H265;
            let payload = frame.payload.bytes();
            match frame.role {
                Role::Header => {
                    let (vps, sps, pps) = if h265 {
                        let config = HevcConfig::parse(&payload).expect("an hvcC");
                        (config.vps, config.sps, config.pps)
                    } else {
                        let config = AvcConfig::parse(&payload).expect("an avcC");
                        (Vec::new(), config.sps, config.pps)
                    };
                    sets = [vps, sps, pps].concat().iter().map(|set| set.to_vec()).collect();
                    record = Some(payload);
                }
                Role::Key | Role::Delta => {
                    let nals = length_prefixed_nals(&payload, 4).map(|nal| nal.expect("a NAL unit").to_vec());
                    let begins = frame.role == Role::Key;
                    units.push(Unit {
                        pts: frame.pts,
                        dts: frame.dts,
                        sets: if begins { sets.clone() } else { Vec::new() },
                        nals: nals.collect(),
                        record: record.take(),
                    });
                }
                Role::Mark => {}
            }
        }
        let changes = units.iter().filter(|unit: &&Unit| unit.record.is_some()).count() > 1;
        Self { h265, changes, units, file }
    }

    fn codec(&self) -> i32 {
        if self.h265 { CAMRILL_CODEC_H265 } else { CAMRILL_CODEC_H264 }
    }

    fn tracks(&self) -> packets::Tracks {
        (if self.h265 { Video::Hevc } else { Video::H264 }, Audio::None)
    }

    fn delimiter(&self) -> &'static [u8] {
        if self.h265 { &[0x46, 0x01, 0x50] } else { &[0x09, 0xf0] }
    }
}

/// How an encoder hands over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Access units behind start codes, with both times.
    Whole,
    /// The same without times of decoding.
    WithoutDts,
    /// NAL unit by NAL unit, without times of decoding and without a word at the end of an access unit.
    NalByNal,
    /// Access units behind lengths, in pieces that are cut anywhere; parameter sets once.
    Lengths,
}

fn start_code(n: usize) -> &'static [u8] {
    if n.is_multiple_of(2) { &[0, 0, 0, 1] } else { &[0, 0, 1] }
}

/// Writes a stream, a frame at a time.
fn write(engine: &Engine, source: &Source, way: Way, publishers: &[Publisher]) {
    let to = |facts: Facts, pieces: &[&[u8]]| publishers.iter().for_each(|to| to.write(facts, pieces));
    for (n, unit) in source.units.iter().enumerate() {
        let dts = if matches!(way, Way::WithoutDts | Way::NalByNal) { CAMRILL_TIME_NONE } else { unit.dts };
        let facts = Facts { codec: source.codec(), pts: unit.pts, dts, flags: 0 };
        let delimiter = [source.delimiter().to_vec()];
        let all = delimiter.iter().chain(&unit.sets).chain(&unit.nals).enumerate();
        match way {
            Way::Whole | Way::WithoutDts => {
                let mut data: Vec<u8> = all.flat_map(|(i, nal)| [start_code(n + i), nal].concat()).collect();
                data.extend_from_slice(&[0; 3][..n % 4]);
                to(facts, &[&data]);
            }
            Way::NalByNal => {
                for (i, nal) in all {
                    let flags = CAMRILL_FRAME_NAL;
                    to(Facts { flags, ..facts }, &[start_code(n + i), nal]);
                }
            }
            Way::Lengths => {
                let prefixed = |nal: &Vec<u8>| [&(nal.len() as u32).to_be_bytes()[..], nal].concat();
                // The record that was given is that of the beginning: others come in-band.
                let changed = if unit.record.is_some() && n > 0 { &unit.sets[..] } else { &[] };
                let data: Vec<u8> = changed.iter().chain(&unit.nals).flat_map(prefixed).collect();
                let pieces: Vec<&[u8]> = data.chunks(data.len() / 60 + 1 + n % 7).collect();
                to(facts, &pieces);
            }
        }
        engine.poll(0);
        if n == 1 {
            engine.run_for(GUESS);
        }
    }
}

/// A way out.
struct Out {
    name: &'static str,
    url: String,
    /// HLS, which plays what has been: the vhost that has it.
    hls: Option<&'static str>,
}

/// Every way that players have. One more is one more line.
fn outs(engine: &Engine) -> Vec<Out> {
    let (rtmp, http) = (engine.port("rtmp"), engine.port("http"));
    let out = |name, url: String, hls| Out { name, url, hls };
    vec![
        out("RTMP", format!("rtmp://127.0.0.1:{rtmp}/live/x"), None),
        out("HTTP-FLV", format!("http://127.0.0.1:{http}/live/x.flv"), None),
        out("HTTP-TS", format!("http://127.0.0.1:{http}/live/x.ts"), None),
        out("HTTP-MP4", format!("http://127.0.0.1:{http}/live/x.mp4"), None),
        out("HLS-TS", format!("http://127.0.0.1:{http}/live/x.m3u8"), Some("hls-ts")),
        out("HLS-fMP4", format!("http://127.0.0.1:{http}/live/x.m3u8"), Some("hls-fmp4")),
    ]
}

/// A program that lists what comes out.
struct Listing<'a> {
    out: &'a Out,
    decodes: bool,
    process: Process,
    packets: Arc<Feed<Packet>>,
}

impl<'a> Listing<'a> {
    fn start(out: &'a Out, source: &Source, decodes: bool) -> Self {
        // The older one knows no H.265 in FLV.
        let mut command = if source.h265 { clients::new_ffmpeg() } else { clients::ffmpeg() };
        if source.h265 && out.url.starts_with("rtmp:") {
            command.args(["-rtmp_enhanced_codecs", "hvc1"]);
        }
        command.args(["-analyzeduration", "500k", "-copyts"]);
        if let Some(vhost) = out.hls {
            command.args(["-live_start_index", "0", "-headers", &format!("Host: {vhost}\r\n")]);
        }
        command.args(["-threads", "1", "-i", &out.url]);
        list(&mut command, source, decodes);
        let (process, packets) = packets::pumped(&mut command);
        Self { out, decodes, process, packets }
    }

    /// What has come, if that is enough.
    fn enough(&self, count: usize) -> Option<Vec<Packet>> {
        let slack = if self.decodes { DECODER_SLACK } else { SLACK };
        Some(self.so_far()).filter(|all| all.len() + slack >= count)
    }

    fn so_far(&self) -> Vec<Packet> {
        self.packets.wait(Duration::ZERO, |all, _| Some(all.to_vec())).unwrap_or_default()
    }

    #[track_caller]
    fn compare(&self, engine: &Engine, expected: &[Packet], way: Way) {
        let what =
            format!("{} of {way:?}, {}", self.out.name, if self.decodes { "decoded" } else { "copied" });
        let came = engine.until(
            || {
                format!(
                    "{what}: {} of {}, {:?} to {:?}",
                    self.so_far().len(),
                    expected.len(),
                    self.so_far().first(),
                    self.so_far().last()
                )
            },
            || self.enough(expected.len()),
        );
        let relative = |all: &[Packet]| -> Vec<(i64, i64, String)> {
            let start = all.first().map_or(0, |first| if self.decodes { first.pts } else { first.dts });
            all.iter()
                .map(|p| (if self.decodes { 0 } else { p.dts - start }, p.pts - start, p.hash.clone()))
                .collect()
        };
        let (came, expected) = (relative(&came), relative(expected));
        for (i, (came, expected)) in came.iter().zip(&expected).enumerate() {
            assert_eq!(came, expected, "{what}: number {i}");
        }
        // ffmpeg keeps to the first header of HLS in MP4, and goes on with the samples.
        let mut said = self.process.said();
        said.retain(|line| {
            !(self.out.name == "HLS-fMP4" && line.ends_with("Found duplicated MOOV Atom. Skipped it"))
        });
        assert_eq!(said, Vec::<String>::new(), "{what}");
    }
}

/// A player of this process gets every access unit as it was made, at its times.
#[track_caller]
fn compare_given(engine: &Engine, player: &Player, source: &Source, way: Way) {
    let units = &source.units;
    // Without a word at its end the last one isn't known to be whole.
    let count = units.len() - usize::from(way == Way::NalByNal);
    let what = || format!("a player of {way:?}: {} of {count}", player.given().len());
    let came: Vec<Given> = engine.until(what, || Some(player.given()).filter(|all| all.len() >= count));
    let start = |all: &[Given]| all.first().map_or(0, |(dts, ..)| *dts);
    let prefixed = |nal: &Vec<u8>| [&(nal.len() as u32).to_be_bytes()[..], nal].concat();
    let made = units.iter().map(|unit| (unit.dts, unit.pts, unit.nals.iter().flat_map(prefixed).collect()));
    let made: Vec<Given> = made.take(count).collect();
    for (i, (came, made)) in came.iter().zip(&made).enumerate() {
        assert_eq!(came.2, made.2, "a player of {way:?}: number {i}");
    }
    let times = |all: &[Given]| {
        all.iter().map(|(dts, pts, _)| (dts - start(all), pts - start(all))).collect::<Vec<_>>()
    };
    assert_eq!(times(&came), times(&made), "a player of {way:?}");
}

fn list(command: &mut Command, source: &Source, decodes: bool) {
    if decodes {
        command.args(["-map", "0:v", "-fps_mode", "passthrough", "-flush_packets", "1"]);
        command.args(["-f", "framehash", "-hash", "md5", "pipe:1"]);
    } else {
        packets::list(command, source.tracks());
    }
}

/// What ffmpeg makes of a file.
fn reference(source: &Source, decodes: bool) -> Vec<Packet> {
    let mut command = if source.h265 { clients::new_ffmpeg() } else { clients::ffmpeg() };
    command.args(["-copyts", "-threads", "1", "-i"]).arg(&source.file);
    list(&mut command, source, decodes);
    let out = command.output().expect("ffmpeg");
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    packets::Reader::default().feed(&out.stdout)
}

fn check(source: &Source, ways: &[Way], decodes: bool) {
    let expected = reference(source, false);
    assert_eq!(expected.len(), source.units.len());
    let decoded = if decodes { reference(source, true) } else { Vec::new() };
    for way in ways {
        check_way(source, *way, &expected, &decoded);
    }
}

fn check_way(source: &Source, way: Way, expected: &[Packet], decoded: &[Packet]) {
    let engine = Engine::start(
        "listen 127.0.0.1:0;
         http_server { enabled on; listen 127.0.0.1:0; dir ./nowhere; }
         vhost __defaultVhost__ { http_remux { enabled on; } }
         vhost hls-ts { hls { enabled on; hls_ctx off; hls_fragment 1; hls_window 60; } }
         vhost hls-fmp4 { hls { enabled on; hls_ctx off; hls_fragment 1; hls_window 60; hls_use_fmp4 on; } }",
    );
    let mut tracks = tracks(source.codec(), CAMRILL_CODEC_NONE);
    let record = source.units[0].record.clone().expect("a header");
    if way == Way::Lengths {
        tracks.video_format = CAMRILL_FORMAT_LENGTH_PREFIXED;
        (tracks.video_config, tracks.video_config_size) = (record.as_ptr(), record.len());
    }
    // HLS of one vhost has segments of one kind.
    let publishers = ["", "hls-ts", "hls-fmp4"].map(|vhost| Publisher::new(&engine, vhost, "x", tracks));
    let mut outs = outs(&engine);
    // ffmpeg takes one header of a file, and a file is what it takes this for.
    outs.retain(|out| !(source.changes && out.name == "HTTP-MP4"));
    let mut listings: Vec<Listing> = Vec::new();
    for out in outs.iter().filter(|out| out.hls.is_none()) {
        listings.push(Listing::start(out, source, false));
        if !decoded.is_empty() {
            listings.push(Listing::start(out, source, true));
        }
    }
    let count = u32::try_from(listings.len()).expect("few");
    engine.until(|| "all play".into(), || (engine.players() == count).then_some(()));
    let player = Player::new(&engine, "x", CAMRILL_PLAYER_STORED);
    write(&engine, source, way, &publishers);
    compare_given(&engine, &player, source, way);
    for listing in &listings {
        listing.compare(&engine, if listing.decodes { decoded } else { expected }, way);
    }
    let info = engine.stream_info();
    assert_eq!((info.video_codec, info.audio_codec), (source.codec(), CAMRILL_CODEC_NONE));
    drop(publishers);
    engine.poll(0);
    for out in outs.iter().filter(|out| out.hls.is_some()) {
        let listing = Listing::start(out, source, false);
        listing.compare(&engine, expected, way);
    }
}

const ALL: [Way; 4] = [Way::Whole, Way::WithoutDts, Way::NalByNal, Way::Lengths];

fn encode(dir: &TempDir, name: &str, size: &str, seconds: u32, codec: &[&str]) -> PathBuf {
    let path = dir.join(&format!("{name}.flv"));
    let mut command = clients::new_ffmpeg();
    command.args(["-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=25:duration={seconds}")]);
    command.args(["-pix_fmt", "yuv420p", "-g", "25", "-preset", "veryfast"]).args(codec).arg(&path);
    let out = command.output().expect("ffmpeg");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    path
}

const X264: [&str; 6] =
    ["-c:v", "libx264", "-bf", "3", "-x264-params", "keyint=25:b-pyramid=normal:slices=4"];

#[test]
fn h264_with_b_frames_in_slices() {
    let dir = TempDir::new();
    check(&Source::read(encode(&dir, "a", "320x180", 4, &X264)), &ALL, true);
}

#[test]
fn h264_with_open_gops() {
    let dir = TempDir::new();
    let codec = ["-c:v", "libx264", "-bf", "2", "-x264-params", "keyint=25:open-gop=1"];
    check(&Source::read(encode(&dir, "a", "320x180", 4, &codec)), &[Way::WithoutDts, Way::NalByNal], false);
}

#[test]
fn h264_whose_size_changes() {
    let dir = TempDir::new();
    let first = encode(&dir, "a", "320x180", 2, &X264);
    let second = encode(&dir, "b", "640x360", 2, &X264);
    let both = dir.join("both.flv");
    join(&first, &second, &both);
    check(&Source::read(both), &ALL, true);
}

/// One file after the other.
fn join(first: &Path, second: &Path, to: &Path) {
    let mut tags = flv::read(first);
    let end = tags.iter().map(|tag| tag.time).max().unwrap_or(0) + 40;
    tags.retain(|tag| tag.role() != flv::Role::Empty);
    tags.extend(flv::read(second).into_iter().filter(|tag| tag.kind == flv::VIDEO).map(|mut tag| {
        tag.time += end;
        tag
    }));
    flv::write(to, &tags);
}

#[test]
fn h265_with_b_frames_and_open_gops() {
    let dir = TempDir::new();
    let codec = [
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=error:keyint=25:bframes=3:b-pyramid=1:open-gop=1:slices=2",
    ];
    check(&Source::read(encode(&dir, "a", "416x240", 4, &codec)), &ALL, true);
}
