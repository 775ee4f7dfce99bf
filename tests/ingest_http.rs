//! Streams pulled over HTTP, HLS among them, from servers as they are in the field: all frames come, in their
//! time.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use camrill::engine::{Event, IngestOptions, RelayState};
use camrill::media::{Frame, Kind, Role};

use support::encoder::Clip;
use support::host::Host;
use support::nginx::Files;
use support::origin::{self, Origin};
use support::process::Process;
use support::relays::{ingest_by, ingest_options, policy, until};
use support::rtmp_client::Client;
use support::{TempDir, clients, free_port};

/// A tick of 1/16000 s and the ms of RTMP.
const ROUNDING_US: i64 = 1063;

/// A player of what an engine pulls from `url`, which is there before the first frame.
fn pull(host: &Host, stream: &str, url: &str) -> Client {
    let player = host.play(stream);
    ingest_by(host, stream, url, policy());
    player
}

/// The next frames up to `count` of video and of audio, headers left out.
#[track_caller]
fn frames(player: &mut Client, video: usize, audio: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let count = |frames: &[Frame], kind| frames.iter().filter(|frame| frame.kind == kind).count();
    while count(&frames, Kind::Video) < video || count(&frames, Kind::Audio) < audio {
        let media = player.media().unwrap_or_else(|| panic!("closed after {} frames", frames.len()));
        let kind = match media.0 {
            8 => Kind::Audio,
            9 => Kind::Video,
            _ => continue,
        };
        let frame = camrill::flv::frame(kind, i64::from(media.1) * 1000, media.2).expect("a frame");
        if frame.role != Role::Header {
            frames.push(frame);
        }
    }
    frames
}

fn of(frames: &[Frame], kind: Kind) -> Vec<&Frame> {
    frames.iter().filter(|frame| frame.kind == kind).collect()
}

/// What came are these frames, as far apart as they were.
#[track_caller]
fn assert_same(came: &[&Frame], sent: &[&Frame]) {
    for (n, (a, b)) in came.iter().zip(sent).enumerate() {
        assert_eq!((a.codec, a.role, &a.payload), (b.codec, b.role, &b.payload), "frame {n}");
        let off = |a: i64, b: i64| (a - came[0].dts) - (b - sent[0].dts);
        assert!(off(a.dts, b.dts).abs() <= ROUNDING_US, "frame {n}: {} is not {}", a.dts, b.dts);
        assert!(off(a.pts, b.pts).abs() <= ROUNDING_US, "frame {n}: {} is not {}", a.pts, b.pts);
    }
}

/// What came is a part of what was sent, from its beginning on or from somewhere.
#[track_caller]
fn assert_part(came: &[Frame], sent: &[Frame]) {
    for kind in [Kind::Video, Kind::Audio] {
        let (came, sent) = (of(came, kind), of(sent, kind));
        let start = sent
            .windows(2.min(came.len()))
            .position(|w| w.iter().zip(&came).all(|(a, b)| a.payload == b.payload));
        let start = start.unwrap_or_else(|| panic!("{kind:?}: what came first was never sent"));
        assert!(sent.len() - start >= came.len(), "{kind:?}: more came than was sent");
        assert_same(&came, &sent[start..]);
    }
}

/// The first seconds of the clip, and its frames.
fn clip(dir: &TempDir, seconds: u32) -> (PathBuf, Vec<Frame>) {
    let file = clients::cut(dir, 0, seconds);
    let length = i64::from(seconds) * 1_000_000;
    let frames = Clip::read(&file, length).frames(0..2 * length, 0);
    (file, frames)
}

/// Makes HLS of a file in `folder`.
#[track_caller]
fn make_hls(mut ffmpeg: Command, file: &Path, folder: &Path, options: &[&str]) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("a.key"), [7; 16]).expect("a key");
    std::fs::write(folder.join("key-info"), "a.key\na.key\n").expect("a file");
    ffmpeg.arg("-i").arg(file).current_dir(folder).args(["-c", "copy", "-f", "hls"]);
    let out = ffmpeg.args(options).output().expect("ffmpeg");
    assert!(out.status.success(), "{options:?}: {}", String::from_utf8_lossy(&out.stderr));
}

const VOD: [&str; 4] = ["-hls_time", "2", "-hls_playlist_type", "vod"];

#[test]
fn recordings_are_played_in_time_to_their_end() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 4);
    let host = Host::start("");
    let nginx = Files::start(&dir.join(""));
    let streams = ["-var_stream_map", "v:0,agroup:a a:0,agroup:a,default:yes", "-master_pl_name", "m.m3u8"];
    let apart = [&["-map", "0:v", "-map", "0:a"][..], &streams, &["%v.m3u8"]].concat();
    let ways: [(&str, &[&str], &str); 5] = [
        ("ts", &["i.m3u8"], "i.m3u8"),
        ("mp4", &["-hls_segment_type", "fmp4", "i.m3u8"], "i.m3u8"),
        ("one", &["-hls_segment_type", "fmp4", "-hls_flags", "single_file", "i.m3u8"], "i.m3u8"),
        ("aes", &["-hls_key_info_file", "key-info", "i.m3u8"], "i.m3u8"),
        ("apart", &apart, "m.m3u8"),
    ];
    let begun = Instant::now();
    let mut players = Vec::new();
    for (name, options, main) in ways {
        make_hls(clients::ffmpeg(), &file, &dir.join(name), &[&VOD[..], options].concat());
        players.push((name, pull(&host, name, &nginx.url(&format!("{name}/{main}")))));
    }
    std::fs::copy(&file, dir.join("whole.flv")).expect("a copy");
    players.push(("whole.flv", pull(&host, "flv", &nginx.url("whole.flv"))));
    let (video, audio) = (of(&sent, Kind::Video), of(&sent, Kind::Audio));
    for (name, player) in &mut players {
        let came = frames(player, video.len(), audio.len());
        // Never before their time.
        assert!(begun.elapsed() >= Duration::from_millis(3900), "{name} in {:?}", begun.elapsed());
        assert_eq!(came.len(), sent.len(), "{name}");
        assert_same(&of(&came, Kind::Video), &video);
        assert_same(&of(&came, Kind::Audio), &audio);
    }
    for _ in &players {
        assert_eq!(until(&host, RelayState::Ended).reason, "everything has been played");
    }
}

#[test]
fn a_recording_begins_again_and_its_time_goes_on() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 2);
    make_hls(clients::ffmpeg(), &file, &dir.join("ts"), &[&VOD[..], &["i.m3u8"]].concat());
    std::fs::copy(&file, dir.join("ts/whole.flv")).expect("a copy");
    let folder = dir.join("ts");
    let origin = Origin::of(move |path| std::fs::read(folder.join(&path[1..])).ok());
    let host = Host::start("");
    for name in ["i.m3u8", "whole.flv"] {
        let mut player = host.play(name);
        let options = IngestOptions { looped: true, ..ingest_options(name, &[origin.url(name)], policy()) };
        host.run(move |engine| engine.ingest_open(&options)).expect("an ingest");
        let (video, audio) = (of(&sent, Kind::Video), of(&sent, Kind::Audio));
        let came = frames(&mut player, 2 * video.len(), 2 * audio.len());
        for (kind, sent) in [(Kind::Video, video), (Kind::Audio, audio)] {
            let came = of(&came, kind);
            assert_same(&came[..sent.len()], &sent);
            assert_same(&came[sent.len()..2 * sent.len()], &sent);
            let steps = came.windows(2).map(|pair| pair[1].dts - pair[0].dts);
            assert!(
                steps.clone().all(|step| (20_000..=90_000).contains(&step)),
                "{:?}",
                steps.collect::<Vec<_>>()
            );
        }
        assert!(host.events().iter().all(|event| !matches!(event, Event::Unpublished(_))));
    }
}

#[test]
fn one_connection_serves_until_the_server_closes_it() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 4);
    let options = ["-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "i.m3u8"];
    make_hls(clients::ffmpeg(), &file, &dir.join("hls"), &options);
    let count = of(&sent, Kind::Video).len();
    for closes in [false, true] {
        let folder = dir.join("hls");
        let origin = Origin::start(move |asked, out| {
            let bytes = std::fs::read(folder.join(&asked.path[1..]))?;
            origin::file(out, asked, &bytes)?;
            // It doesn't say that it will.
            if closes { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
        });
        let host = Host::start("");
        let mut player = pull(&host, "s", &origin.url("i.m3u8"));
        assert_same(&of(&frames(&mut player, count, 0), Kind::Video), &of(&sent, Kind::Video));
        let asked = origin.asked();
        let connections = asked.iter().map(|asked| asked.connection).max();
        assert_eq!(asked.len(), 4, "a playlist, an initialization section and segments: {asked:?}");
        assert_eq!(connections, Some(if closes { 4 } else { 1 }), "{asked:?}");
    }
}

#[test]
fn a_live_playlist_is_followed() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 8);
    let nginx = Files::start(&dir.join(""));
    let host = Host::start("");
    let mut ffmpeg = clients::ffmpeg();
    ffmpeg.arg("-re").arg("-i").arg(&file).args(["-c", "copy", "-f", "hls", "-hls_time", "1"]);
    ffmpeg.args(["-hls_list_size", "4", "-hls_flags", "delete_segments+temp_file"]).arg(dir.join("l.m3u8"));
    let player = pull(&host, "s", &nginx.url("l.m3u8"));
    let process = Process::start(&mut ffmpeg);
    let mut player = player;
    let came = frames(&mut player, of(&sent, Kind::Video).len() - 30, 0);
    assert_part(&came, &sent);
    // What it ends with isn't played again when it is tried again.
    process.finish();
    let mut reasons = Vec::new();
    while reasons.last().is_none_or(|last| last != "HLS: the stream is over") {
        reasons.push(until(&host, RelayState::Waiting).reason);
    }
    assert!(reasons.iter().any(|reason| reason == "the stream is over"), "{reasons:?}");
}

#[test]
fn our_own_streams_come_back() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 8);
    let origin = Host::start(
        "http_server { enabled on; listen 127.0.0.1:0; }
         vhost __defaultVhost__ { http_remux { enabled on; mount [vhost]/[app]/[stream]; }
         hls { enabled on; hls_fragment 1; hls_window 6; } }",
    );
    let edge = Host::start("");
    let ways = ["s.flv", "s.ts", "s.m3u8"];
    let mut players: Vec<Client> =
        ways.iter().map(|name| pull(&edge, name, &format!("http://{}/live/{name}", origin.http()))).collect();
    let publisher = clients::publish_live(&file, &format!("rtmp://{}/live/s", origin.address()));
    for (name, player) in ways.iter().zip(&mut players) {
        let came = frames(player, 60, 60);
        assert_part(&came, &sent);
        assert!(came.len() >= 120, "{name}");
    }
    drop(publisher);
}

#[test]
fn what_ffmpeg_serves_comes_back() {
    let dir = TempDir::new();
    let (file, sent) = clip(&dir, 4);
    let host = Host::start("");
    for (stream, format) in [("f", "flv"), ("t", "mpegts")] {
        let url = format!("http://127.0.0.1:{}/{stream}", free_port());
        let mut ffmpeg = clients::ffmpeg();
        ffmpeg.arg("-re").arg("-i").arg(&file).args(["-c", "copy", "-f", format, "-listen", "1", &url]);
        let _process = Process::start(&mut ffmpeg);
        let mut player = pull(&host, stream, &url);
        let came = frames(&mut player, of(&sent, Kind::Video).len() - 5, 0);
        assert_part(&came, &sent);
        assert!(!until(&host, RelayState::Waiting).reason.is_empty());
    }
}

#[test]
fn a_body_far_ahead_of_its_time_is_held_back() {
    let dir = TempDir::new();
    let file = dir.join("long.flv");
    // Frames of 100 kB, 25 a second: no more of them is taken in than there is room for.
    let tag = |kind: u8, ms: u32, body: &[u8]| {
        let (len, ms) = (body.len() as u32, ms.to_be_bytes());
        let head = [&[kind][..], &len.to_be_bytes()[1..], &ms[1..], &ms[..1], &[0; 3]].concat();
        [&head, body, &(len + 11).to_be_bytes()].concat()
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).expect("a file"));
    out.write_all(b"FLV\x01\x01\0\0\0\x09\0\0\0\0").expect("a file");
    let header = [0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe0, 0];
    out.write_all(&tag(9, 0, &header)).expect("a file");
    for n in 0..2000 {
        out.write_all(&tag(9, n * 40, &[&[0x17, 1, 0, 0, 0][..], &[0; 100_000]].concat())).expect("a file");
    }
    drop(out);
    let nginx = Files::start(&dir.join(""));
    let host = Host::start("");
    let mut player = pull(&host, "s", &nginx.url("long.flv"));
    frames(&mut player, 30, 0);
    let taken = host.run(|engine| engine.relays()[0].bytes);
    assert!((16 << 20..24 << 20).contains(&taken), "{taken} bytes were taken in");
    frames(&mut player, 30, 0);
}
