//! Files that ffmpeg has written, played as streams: what players get is what ffmpeg reads of the file, packet
//! by packet and round after round, and time goes on across each seam.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::TempDir;
use support::clients::{self, Kind, Player};
use support::flv;
use support::packets::{self, Audio, Packet, Video};
use support::process::Process;
use support::server::Server;

const H264: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "2"];
const H265: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=2",
    "-tag:v",
    "hvc1",
];

/// The formats, and how ffmpeg is told to write them. The files' names don't tell.
const FORMATS: [(&str, &[&str]); 5] = [
    ("flv", &["-f", "flv"]),
    ("mp4", &["-f", "mp4"]),
    ("faststart", &["-f", "mp4", "-movflags", "+faststart"]),
    ("fragmented", &["-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"]),
    ("mpegts", &["-f", "mpegts"]),
];

/// What times are rounded to on the way: RTMP's are in ms.
const ROUNDING_US: i64 = 1000 + packets::TICK_US;

/// Two seconds of pictures, reordered, and of sound that doesn't end with them.
fn encode(dir: &TempDir, codec: &[&str]) -> PathBuf {
    let path = dir.join("encoded.mkv");
    let mut command = clients::ffmpeg();
    command.args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2.1"]);
    command.args(["-pix_fmt", "yuv420p", "-g", "25"]).args(codec).args(["-c:a", "aac"]).arg(&path);
    Process::start(&mut command).finish();
    path
}

fn remux(dir: &TempDir, from: &Path, name: &str, format: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let mut command = clients::ffmpeg();
    command.arg("-i").arg(from).args(["-map", "0", "-c", "copy"]).args(format).arg(&path);
    Process::start(&mut command).finish();
    path
}

fn serve(files: &[(&str, PathBuf)]) -> Server {
    let ingest = |(name, file): &(&str, PathBuf)| {
        let file = file.display();
        format!("ingest {name} {{ enabled on; input {{ type file; url {file}; }} }}\n")
    };
    Server::start(&files.iter().map(ingest).collect::<String>())
}

/// Four rounds of a file's packets: each begins where the one before ends, which is when the longer track does.
fn rounds(file: &Path, video: Video) -> Vec<Packet> {
    let once = packets::of_file(file, None, (video, Audio::Aac));
    let ends = [true, false].map(|video| {
        let dts: Vec<i64> = packets::track(&once, video).iter().map(|packet| packet.dts).collect();
        let [.., before, last] = dts[..] else { panic!("two packets") };
        last + (last - before)
    });
    let begins = once.iter().map(|packet| packet.dts).min().expect("packets");
    let length = ends[0].max(ends[1]) - begins;
    let later =
        |packet: &Packet, by: i64| Packet { dts: packet.dts + by, pts: packet.pts + by, ..packet.clone() };
    (0..4).flat_map(|n| once.iter().map(move |packet| later(packet, n * length))).collect()
}

/// Asserts that what came is a part of the rounds, both tracks at the times that they have there.
#[track_caller]
fn assert_rounds(name: &str, came: &[Packet], rounds: &[Packet]) {
    let mut offset = None;
    for video in [true, false] {
        let (came, rounds) = (packets::track(came, video), packets::track(rounds, video));
        println!("{name}: {} packets, video: {video}", came.len());
        let start = packets::assert_part(&came, &rounds);
        let rounds = &rounds[start..];
        // The first picture's goes for all.
        let offset = *offset.get_or_insert(came[0].dts - rounds[0].dts);
        packets::assert_times(&came, rounds, offset, ROUNDING_US);
    }
}

/// How many pictures are waited for: two seams and something.
const PICTURES: usize = 120;

#[test]
fn files_of_all_formats_are_played_as_they_are() {
    let dir = TempDir::new();
    let encoded = encode(&dir, H264);
    let files = FORMATS.map(|(name, format)| (name, remux(&dir, &encoded, name, format)));
    let server = serve(&files);
    let players = files.each_ref().map(|(name, _)| Player::start(Kind::Rtmpdump, &server.url(name)));
    for ((name, file), player) in files.iter().zip(&players) {
        let mut tags = player.wait(name, |tags| flv::track(tags, flv::VIDEO).len() >= PICTURES);
        flv::assert_rising(&tags, 300);
        // Sounds that come before the first picture are from where the file has been joined.
        let first = tags.iter().position(flv::Tag::is_video_key).expect("a keyframe");
        let mut at = 0;
        tags.retain(|tag| {
            at += 1;
            at > first || !tag.is_frame()
        });
        let copy = dir.join(&format!("{name}.came"));
        flv::write(&copy, &tags);
        let came = packets::of_file(&copy, None, (Video::H264, Audio::Aac));
        assert_rounds(name, &came, &rounds(file, Video::H264));
    }
}

#[test]
fn h265_is_played_from_mp4_and_mpeg_ts() {
    let dir = TempDir::new();
    let encoded = encode(&dir, H265);
    let files = [FORMATS[1], FORMATS[3], FORMATS[4]]
        .map(|(name, format)| (name, remux(&dir, &encoded, name, format)));
    let server = serve(&files);
    let players = files.each_ref().map(|(name, _)| {
        let mut command: Command = clients::new_ffmpeg();
        command.args(["-analyzeduration", "500k", "-copyts", "-rtmp_enhanced_codecs", "hvc1"]);
        // Without metadata it takes what is sent beside the tracks for a track.
        command.args(["-i", &server.url(name), "-dn"]);
        packets::list(&mut command, (Video::Hevc, Audio::Aac));
        packets::pumped(&mut command)
    });
    for ((name, file), (_process, feed)) in files.iter().zip(&players) {
        let came = feed.wait(support::PATIENCE, |all, _| {
            (packets::track(all, true).len() >= PICTURES).then(|| all.to_vec())
        });
        assert_rounds(name, &came.expect("pictures"), &rounds(file, Video::Hevc));
    }
}
