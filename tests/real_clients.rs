//! camrill-server among the programs that people have: what they publish is what they get, byte for
//! byte and to the millisecond.
//!
//! Where a player is there before the publisher, everything goes at full speed and every frame counts;
//! only what is about real time takes real time.

mod support;

use std::io::Write;

use support::clients::{self, Kind, Player};
use support::flv::{self, AUDIO, SCRIPT, Tag, VIDEO};
use support::nginx::Nginx;
use support::paths::Route;
use support::server::Server;
use support::{TempDir, repository};

/// Plays with each of `kinds` at once what ffmpeg publishes from `file`, and asserts that all of them
/// get all of it.
#[track_caller]
fn relay(publisher: std::process::Command, file: &std::path::Path, kinds: &[Kind]) {
    let server = Server::start("");
    let url = server.url("test");
    let players: Vec<Player> = kinds.iter().map(|kind| Player::start(*kind, &url)).collect();
    server.wait_play("test", players.len());
    clients::publish(publisher, file, &url).finish();
    let sent = flv::read(file);
    assert!(sent.iter().any(Tag::is_frame));
    players.iter().for_each(|player| {
        player.expect(&sent);
    });
}

fn relay_part(kinds: &[Kind]) {
    let dir = TempDir::new();
    relay(clients::ffmpeg(), &clients::cut(&dir, 0, 6), kinds);
}

#[test]
fn ffmpeg_plays_what_ffmpeg_publishes() {
    relay_part(&[Kind::Ffmpeg, Kind::NewFfmpeg]);
}

#[test]
fn rtmpdump_plays_with_the_simple_handshake() {
    relay_part(&[Kind::Rtmpdump]);
}

#[test]
fn rtmpdump_plays_with_the_digest_handshake() {
    relay_part(&[Kind::RtmpdumpDigest]);
}

#[test]
fn gstreamer_plays_with_both_of_its_clients() {
    relay_part(&[Kind::RtmpSrc, Kind::Rtmp2Src]);
}

#[test]
fn all_kinds_of_players_at_once_get_the_whole_clip() {
    use Kind::*;
    let clip = repository("assets/clip.flv");
    relay(clients::ffmpeg(), &clip, &[Ffmpeg, NewFfmpeg, Rtmpdump, RtmpdumpDigest, RtmpSrc, Rtmp2Src]);
}

#[test]
fn the_newer_ffmpeg_publishes_plain_rtmp() {
    let dir = TempDir::new();
    let kinds = [Kind::Ffmpeg, Kind::NewFfmpeg, Kind::Rtmpdump];
    relay(clients::new_ffmpeg(), &clients::cut(&dir, 0, 6), &kinds);
}

#[track_caller]
fn relay_gstreamer(sink: &str) {
    let dir = TempDir::new();
    let server = Server::start("");
    let url = server.url("test");
    let players = [Kind::Ffmpeg, Kind::Rtmpdump].map(|kind| Player::start(kind, &url));
    server.wait_play("test", players.len());
    let copy = dir.join("published.flv");
    clients::publish_gstreamer(sink, &clients::cut(&dir, 0, 4), &copy, &url).finish();
    let sent = flv::read(&copy);
    assert!(flv::track(&sent, VIDEO).len() > 90 && flv::track(&sent, AUDIO).len() > 160);
    players.iter().for_each(|player| {
        player.expect(&sent);
    });
}

#[test]
fn gstreamer_publishes_over_librtmp() {
    relay_gstreamer("rtmpsink");
}

#[test]
fn gstreamer_publishes_with_its_own_client() {
    relay_gstreamer("rtmp2sink");
}

#[test]
fn mp3_passes() {
    let dir = TempDir::new();
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "libmp3lame", "-ar", "44100"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    relay(clients::ffmpeg(), &file, &[Kind::Ffmpeg, Kind::Rtmpdump]);
}

#[test]
fn sound_alone_passes() {
    let dir = TempDir::new();
    let file = clients::encode(clients::ffmpeg, &dir, &["-map", "1:a", "-c:a", "aac"]);
    relay(clients::ffmpeg(), &file, &[Kind::Ffmpeg, Kind::Rtmpdump]);
}

#[test]
fn picture_alone_passes() {
    let dir = TempDir::new();
    let codecs = ["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    relay(clients::ffmpeg(), &file, &[Kind::Ffmpeg, Kind::Rtmpdump]);
}

/// Enhanced RTMP as the newer ffmpeg speaks it; rtmpdump knows none of it and shows that the bytes
/// pass as they are.
#[track_caller]
fn relay_enhanced(four_cc: &str, codecs: &[&str]) {
    let dir = TempDir::new();
    let file = clients::encode(clients::new_ffmpeg, &dir, codecs);
    let sent = flv::read(&file);
    assert!(sent.iter().any(|tag| tag.is_frame() && tag.contains(four_cc)), "no {four_cc} in the file");
    relay(clients::new_ffmpeg(), &file, &[Kind::NewFfmpeg, Kind::Rtmpdump]);
}

#[test]
fn hevc_passes() {
    let codecs = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2"];
    relay_enhanced("hvc1", &[&codecs[..], &["-c:a", "aac"]].concat());
}

#[test]
fn av1_passes() {
    let codecs = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-c:a", "aac"];
    relay_enhanced("av01", &codecs);
}

#[test]
fn vp9_passes() {
    let codecs = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "aac"];
    relay_enhanced("vp09", &codecs);
}

#[test]
fn opus_passes() {
    relay_enhanced("Opus", &["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "libopus"]);
}

/// ffmpeg to nginx, pushed to us: what arrives is a part of what was sent, from a keyframe on. nginx
/// keeps nothing for us while it connects, so this publisher goes in real time.
#[test]
fn nginx_pushes_to_us() {
    let server = Server::start("");
    let nginx = Nginx::start(&format!("push {};", server.url("").trim_end_matches('/')));
    let clip = repository("assets/clip.flv");
    let (to, from) = (nginx.url("test"), server.url("test"));
    let route = Route { publisher: clients::ffmpeg, to: &to, player: Kind::Rtmpdump, from: &from };
    let came = route.live(&clip, 26);
    assert_starts_with_key(&came.tags);
    came.assert_untouched(&clip);
}

/// nginx pulls from us by itself and hands on what it gets.
#[test]
fn nginx_pulls_from_us() {
    let server = Server::start("");
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 6);
    let nginx = Nginx::start(&format!("pull {} name=test static;", server.url("test")));
    server.wait_play("test", 1);
    let (to, from) = (server.url("test"), nginx.url("test"));
    let route = Route { publisher: clients::ffmpeg, to: &to, player: Kind::Rtmpdump, from: &from };
    let came = route.at_once(&file, || nginx.wait_play("test", 1));
    assert!(came.count > 125, "five seconds of picture");
    came.assert_untouched(&file);
}

/// A file loops as if it were live: the frames return in order, and time goes on across each seam.
#[test]
fn virtual_live_loops_without_a_seam() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 2);
    let server = Server::start(&ingest(&file));
    let player = Player::start(Kind::Rtmpdump, &server.url("camera"));
    let sent = flv::read(&file);
    let pictures = flv::track(&sent, VIDEO).len();
    let received = player.wait("two seams", |tags| flv::track(tags, VIDEO).len() > 2 * pictures + 10);
    assert_starts_with_key(&received);
    flv::assert_rising(&received, 150);
    flv::assert_configs(&received, &sent);
    for kind in [VIDEO, AUDIO] {
        let bodies = |tags: &[Tag]| -> Vec<Vec<u8>> {
            flv::track(tags, kind).into_iter().map(|tag| tag.body).collect()
        };
        let (came, looped) = (bodies(&received), bodies(&sent));
        let start = looped.iter().position(|body| *body == came[0]).expect("a frame of the file");
        let expected = looped.iter().cycle().skip(start).take(came.len());
        let differs = came.iter().zip(expected).position(|(came, expected)| came != expected);
        assert_eq!(differs, None, "frames of kind {kind} in the file's order, loop after loop");
    }
}

/// The newer and the older ffmpeg see a camera that never ends, too.
#[test]
fn virtual_live_is_watched_with_ffmpeg() {
    let dir = TempDir::new();
    let server = Server::start(&ingest(&clients::cut(&dir, 4, 2)));
    let url = server.url("camera");
    let players = [Kind::Ffmpeg, Kind::NewFfmpeg].map(|kind| Player::start(kind, &url));
    for player in &players {
        let received = player.wait("one seam", |tags| flv::track(tags, VIDEO).len() > 60);
        assert!(flv::track(&received, VIDEO)[0].is_video_key());
        flv::assert_rising(&received, 150);
    }
}

fn ingest(file: &std::path::Path) -> String {
    format!(
        "ingest camera {{ enabled on; input {{ type file; url {}; }}
         engine {{ enabled off; output rtmp://127.0.0.1:[port]/live/camera?vhost=[vhost]; }} }}",
        file.display()
    )
}

/// Whoever comes later gets the metadata, the sequence headers and the newest group of pictures from
/// its keyframe on, and then the same as everybody.
#[test]
fn late_players_start_with_a_keyframe() {
    let server = Server::start("");
    let url = server.url("test");
    let dir = TempDir::new();
    let bytes = std::fs::read(clients::cut(&dir, 0, 10)).expect("the clip");
    let sent = flv::Parser::default().feed(&bytes);

    let early = Player::start(Kind::Rtmpdump, &url);
    server.wait_play("test", 1);
    let (_publisher, mut pipe) = clients::publish_pipe(&url);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    pipe.write_all(first).expect("a publisher that reads");
    // The clip has a keyframe every 50 pictures: half of it ends in the third group.
    let so_far =
        early.wait("three keyframes", |tags| tags.iter().filter(|tag| tag.is_video_key()).count() == 3);
    let newest = so_far.iter().rfind(|tag| tag.is_video_key()).expect("three of them").clone();

    let late = [Kind::Rtmpdump, Kind::Rtmp2Src].map(|kind| Player::start(kind, &url));
    server.wait_play("test", 3);
    pipe.write_all(rest).expect("a publisher that reads");

    let last = sent.iter().rfind(|tag| tag.is_video_key()).expect("keyframes").clone();
    let whole = early.wait("the last keyframe", |tags| tags.contains(&last));
    assert_starts_with_key(&whole);
    flv::assert_part(&flv::frames(&whole), &flv::frames(&sent));
    for player in &late {
        let received = player.wait("the last keyframe", |tags| tags.contains(&last));
        assert_starts_with_key(&received);
        flv::assert_configs(&received, &sent);
        let pictures = flv::track(&received, VIDEO);
        assert_eq!(pictures[0], newest, "the newest group of pictures comes first");
        let last = |tags: &[Tag]| tags.iter().rposition(|tag| *tag == last).expect("waited for");
        let received = &received[..=last(&received)];
        let whole = &whole[..=last(&whole)];
        flv::assert_part(&flv::frames(received), &flv::frames(whole));
        assert_metadata(received);
    }
    assert_metadata(&whole);
}

/// The publisher goes and comes back with its time set back: the player stays and time goes on.
#[test]
fn players_stay_when_the_publisher_returns() {
    let dir = TempDir::new();
    let (first, second) = (clients::cut(&dir, 0, 4), clients::cut(&dir, 4, 4));
    let server = Server::start("");
    let url = server.url("test");
    let mut players = [Kind::Ffmpeg, Kind::Rtmpdump, Kind::Rtmp2Src].map(|kind| Player::start(kind, &url));
    server.wait_play("test", players.len());
    clients::publish(clients::ffmpeg(), &first, &url).finish();
    server.wait_unpublish("test", 1);
    let before = flv::read(&first);
    // ffmpeg keeps the last packets of one track until it has more of the other.
    let count = |tags: &[Tag]| tags.iter().filter(|tag| tag.is_frame()).count();
    for player in &players {
        player.wait("the first part", |tags| count(tags) + 16 > count(&before));
    }
    clients::publish(clients::ffmpeg(), &second, &url).finish();
    server.wait_unpublish("test", 2);
    let after = flv::read(&second);
    for player in &mut players {
        let total = count(&before) + count(&after);
        let received = player.wait("the second part", |tags| count(tags) + 16 > total);
        assert!(player.is_running(), "the player is still connected");
        flv::assert_rising(&received, 500);
        for kind in [VIDEO, AUDIO] {
            let came = flv::track(&received, kind);
            let sent = [flv::track(&before, kind), flv::track(&after, kind)].concat();
            let differs = came.iter().zip(&sent).position(|(came, sent)| came.body != sent.body);
            assert_eq!(differs, None, "frames of kind {kind} of both parts in their order");
        }
    }
}

#[track_caller]
fn assert_starts_with_key(tags: &[Tag]) {
    let first = flv::track(tags, VIDEO).into_iter().next().expect("pictures");
    assert!(first.is_video_key(), "the first picture is {first:?}");
}

/// The publisher's metadata as a live stream has it: what was sent, without what only a file knows.
#[track_caller]
fn assert_metadata(tags: &[Tag]) {
    let meta = tags.iter().find(|tag| tag.kind == SCRIPT && tag.contains("onMetaData"));
    let meta = meta.expect("metadata");
    let first_frame = tags.iter().position(Tag::is_frame).expect("frames");
    assert!(tags[..first_frame].contains(meta), "the metadata comes before the frames");
    assert!(meta.contains("videocodecid") && meta.contains("encoder"), "what was sent is kept");
    for gone in ["@setDataFrame", "duration", "filesize"] {
        assert!(!meta.contains(gone), "{gone} has no place in a live stream");
    }
}
