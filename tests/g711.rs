//! G.711, which browsers and HLS don't know, goes as FLAC wherever MP4 is: what others decode of it is what its codes
//! mean, sample by sample and each at its time.

#![cfg(all(feature = "http", feature = "hls", feature = "dvr"))]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use support::TempDir;
use support::clients;
use support::flv::{self, AUDIO};
use support::hls::Playlist;
use support::http::{self, Connection};
use support::server::Server;

/// Ticks of a track of G.711 in a millisecond.
const TICKS_PER_MS: i64 = 8;

/// A few seconds as a camera would send them, of sound that comes and goes.
fn clip(dir: &TempDir, law: &str, with_video: bool) -> PathBuf {
    let mut codecs =
        vec!["-map", "1:a", "-af", "tremolo=f=3:d=0.9,volume=3", "-c:a", law, "-ar", "8000", "-ac", "1"];
    if with_video {
        codecs.extend(["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
    }
    clients::encode(clients::ffmpeg, dir, &codecs)
}

/// The bytes of a live stream over HTTP or, by messages, over WebSocket, until its end.
fn watch(server: SocketAddr, websocket: bool) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        if websocket {
            http::websocket(server, "/live/test.mp4", |message| all.extend_from_slice(message));
            return all;
        }
        let mut connection = Connection::open(server);
        connection.send("/live/test.mp4");
        assert_eq!(connection.head().0, 200);
        loop {
            match connection.take() {
                more if more.is_empty() => return all,
                more => all.extend(more),
            }
        }
    })
}

/// What an ffmpeg writes to its output, without a word of complaint.
#[track_caller]
fn said(mut ffmpeg: Command, file: &Path, options: &[&str]) -> Vec<u8> {
    ffmpeg.args(["-xerror", "-copyts", "-i"]).arg(file).args(["-map", "0:a"]).args(options);
    let output = ffmpeg.arg("-").output().expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", file.display());
    output.stdout
}

/// The decoded sound, as samples of 16 bits.
#[track_caller]
fn decoded(ffmpeg: Command, file: &Path) -> Vec<u8> {
    said(ffmpeg, file, &["-f", "s16le"])
}

/// When each packet of the sound is decoded, and how long it lasts, in ticks; 0 by an older ffmpeg, which doesn't say.
#[track_caller]
fn times(ffmpeg: Command, file: &Path) -> Vec<(i64, i64)> {
    let text = String::from_utf8(said(ffmpeg, file, &["-c", "copy", "-f", "framecrc"])).expect("text");
    assert!(text.contains("#tb 0: 1/8000") && text.contains("#codec_id 0: flac"), "{text}");
    let packets = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[1].parse().expect("a time"), fields[3].parse().expect("a duration"))
    });
    packets.collect()
}

/// Holds an MP4 file against the FLV file that was published.
#[track_caller]
fn assert_is(what: &str, bytes: &[u8], sent: &Path, dir: &TempDir) {
    let file = dir.join(&format!("{what}.mp4"));
    std::fs::write(&file, bytes).expect("a folder to write to");
    let samples = decoded(clients::ffmpeg(), sent);
    assert!(samples.len() > 2 * 8000 * 2 && samples.iter().any(|byte| *byte != 0));
    let sounds = flv::track(&flv::frames(&flv::read(sent)), AUDIO);
    for ffmpeg in [clients::ffmpeg, clients::new_ffmpeg] {
        assert!(decoded(ffmpeg(), &file) == samples, "{what}: other sound");
        let times = times(ffmpeg(), &file);
        assert_eq!(times.len(), sounds.len(), "{what}");
        let mut due = times[0].0;
        for ((time, said), sound) in times.into_iter().zip(&sounds) {
            // A byte of the tag says that it is G.711.
            let duration = sound.body.len() as i64 - 1;
            assert!(time == due && (said == 0 || said == duration), "{what}: {time} for {due}, {said}");
            let sent = i64::from(sound.time) * TICKS_PER_MS;
            assert!((time - sent).abs() <= TICKS_PER_MS, "{what}: {time} for {sent}");
            due += duration;
        }
    }
    println!("{what}: {} bytes with {} samples", bytes.len(), samples.len() / 2);
}

#[test]
fn live_streams_have_the_same_sound() {
    for (law, with_video) in [("pcm_alaw", true), ("pcm_mulaw", true), ("pcm_alaw", false)] {
        let dir = TempDir::new();
        let sent = clip(&dir, law, with_video);
        let server = Server::start_http("http_remux { enabled on; }");
        let watchers = [false, true].map(|websocket| watch(server.http(), websocket));
        server.wait_play("test", 2);
        clients::publish(clients::ffmpeg(), &sent, &server.url("test")).finish();
        server.wait_unpublish("test", 1);
        drop(server);
        for (watcher, over) in watchers.into_iter().zip(["HTTP", "WebSocket"]) {
            let bytes = watcher.join().expect("a whole stream");
            assert_is(&format!("{law}-{with_video}-{over}"), &bytes, &sent, &dir);
        }
    }
}

#[test]
fn segments_and_recordings_have_the_same_sound() {
    for (law, with_video, hls, dvr) in [
        ("pcm_alaw", true, "hls_use_fmp4 on;", "dvr_faststart off;"),
        ("pcm_mulaw", true, "hls_low_latency on; hls_part 0.3;", "dvr_faststart on;"),
        ("pcm_mulaw", false, "hls_use_fmp4 on;", "dvr_faststart off;"),
    ] {
        let dir = TempDir::new();
        let sent = clip(&dir, law, with_video);
        let recorded = dir.join("recorded.mp4");
        let server = Server::start_http(&format!(
            "hls {{ enabled on; hls_fragment 1; hls_ctx off; {hls} }}
             dvr {{ enabled on; dvr_path {}; {dvr} }}",
            recorded.display()
        ));
        clients::publish(clients::ffmpeg(), &sent, &server.url("test")).finish();
        server.wait_unpublish("test", 1);
        let mut connection = Connection::open(server.http());
        let segments = Playlist::read(&connection.get("/live/test.m3u8").text()).segments;
        let map = segments[0].map.clone().expect("an initialization section");
        let uris = [map].into_iter().chain(segments.into_iter().map(|segment| segment.uri));
        let whole: Vec<u8> = uris.flat_map(|uri| connection.get(&format!("/live/{uri}")).body).collect();
        drop(server);
        assert_is(&format!("{law}-{with_video}-HLS"), &whole, &sent, &dir);
        let file = std::fs::read(&recorded).expect("a recording");
        assert_is(&format!("{law}-{with_video}-recorded"), &file, &sent, &dir);
    }
}

/// What a master playlist says of the sound is what Apple's players want to read.
#[test]
fn a_playlist_names_the_codec() {
    let dir = TempDir::new();
    let server = Server::start_http("hls { enabled on; hls_fragment 1; hls_use_fmp4 on; }");
    clients::publish(clients::ffmpeg(), &clip(&dir, "pcm_alaw", true), &server.url("test")).finish();
    server.wait_unpublish("test", 1);
    let master = http::get(server.http(), "/live/test.m3u8").text();
    assert!(master.contains(r#",fLaC""#), "{master}");
}

/// In MPEG-TS the picture goes on without it, and the log says what to do.
#[test]
fn transport_streams_are_without_it_and_say_so() {
    let dir = TempDir::new();
    let sent = clip(&dir, "pcm_mulaw", true);
    let server = Server::start_http("hls { enabled on; hls_fragment 1; }");
    clients::publish(clients::ffmpeg(), &sent, &server.url("test")).finish();
    server.wait_unpublish("test", 1);
    let why = "HLS of __defaultVhost__/live/test is without PCMU: MPEG-TS can't carry it, \
               fragmented MP4 can (hls_use_fmp4 on)";
    server.wait_log(1, why);
    assert_eq!(server.said().iter().filter(|line| line.contains("is without")).count(), 1);
    let master = http::get(server.http(), "/live/test.m3u8").text();
    assert!(master.contains(r#"CODECS="avc1."#) && !master.contains("fLaC"), "{master}");
}

/// FLAC that was published as such, in stereo and of another rate.
#[test]
fn flac_is_carried_as_it_is() {
    let dir = TempDir::new();
    let codecs = ["-map", "1:a", "-c:a", "flac", "-ac", "2", "-map", "0:v", "-c:v", "libx264", "-g", "25"];
    let sent = clients::encode(clients::new_ffmpeg, &dir, &codecs);
    let recorded = dir.join("recorded.mp4");
    let server = Server::start_http(&format!(
        "hls {{ enabled on; hls_fragment 1; hls_ctx off; hls_use_fmp4 on; }}
         dvr {{ enabled on; dvr_path {}; }}",
        recorded.display()
    ));
    clients::publish(clients::new_ffmpeg(), &sent, &server.url("test")).finish();
    server.wait_unpublish("test", 1);
    let mut connection = Connection::open(server.http());
    let segments = Playlist::read(&connection.get("/live/test.m3u8").text()).segments;
    let map = segments[0].map.clone().expect("an initialization section");
    let uris = [map].into_iter().chain(segments.into_iter().map(|segment| segment.uri));
    let whole: Vec<u8> = uris.flat_map(|uri| connection.get(&format!("/live/{uri}")).body).collect();
    let hls = dir.join("hls.mp4");
    std::fs::write(&hls, whole).expect("a folder to write to");
    drop(server);

    let samples = decoded(clients::new_ffmpeg(), &sent);
    assert!(samples.len() > 2 * 48_000 * 2 * 2);
    for ffmpeg in [clients::ffmpeg, clients::new_ffmpeg] {
        for file in [&hls, &recorded] {
            assert!(decoded(ffmpeg(), file) == samples, "{}: other sound", file.display());
        }
    }
}
