//! Live streams over HTTP and WebSocket, played by the programs that people have: what was published is
//! what comes, packet for packet and to the tick, whatever the container.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};

use camrill::media;
use support::TempDir;
use support::clients;
use support::encoder::{self, Encoder};
use support::flv::{self, Tag};
use support::host::Host;
use support::http::{self, Connection};
use support::http_player::{Kind, Player};
use support::packets::{self, Audio, Packet, Tracks, Video};
use support::process::Process;
use support::server::Server;

use Kind::{Ffmpeg, GStreamer, NewFfmpeg, Raw, Vlc, WebSocket};

const REMUX: &str = "http_remux { enabled on; }";
/// Frames' times in a transport stream are this much later, so that its clock can go before them.
const TS_OFFSET_US: i64 = 700_000;
/// Packets that a demuxer keeps until more of the stream, or its end, has come.
const SLACK: usize = 16;

/// What is published, and by whom.
struct Clip {
    ffmpeg: fn() -> Command,
    file: PathBuf,
    tracks: Tracks,
}

impl Clip {
    fn sent(&self) -> Vec<Packet> {
        packets::of_file(&self.file, None, self.tracks)
    }
}

/// Plays the clip as each of `plays` at once, all there before it is published, and asserts that all get
/// all of it.
#[track_caller]
fn relay(clip: &Clip, plays: &[(Kind, &str)]) {
    relay_by(clip, plays, clients::publish_pipe_with)
}

#[track_caller]
fn relay_by(clip: &Clip, plays: &[(Kind, &str)], publish: fn(Command, &str) -> (Process, ChildStdin)) {
    let server = Server::start_http(REMUX);
    let players: Vec<_> = plays
        .iter()
        .map(|(kind, suffix)| {
            let tracks = match *suffix {
                "aac" | "mp3" => (Video::None, clip.tracks.1),
                _ => clip.tracks,
            };
            (*suffix, Player::start(*kind, server.http(), &format!("/live/test.{suffix}"), tracks))
        })
        .collect();
    server.wait_play("test", players.len());
    let (publisher, mut pipe) = publish((clip.ffmpeg)(), &server.url("test"));
    pipe.write_all(&std::fs::read(&clip.file).expect("the clip")).expect("a publisher that reads");
    let sent = clip.sent();
    let [pictures, sounds] = [true, false].map(|video| packets::track(&sent, video).len());
    for (suffix, player) in &players {
        let pictures = if matches!(*suffix, "aac" | "mp3") { 0 } else { pictures };
        player.wait(pictures, sounds, SLACK);
    }
    // The rest comes with the end: the publisher's, and then each player's.
    drop(pipe);
    publisher.finish();
    server.wait_unpublish("test", 1);
    drop(server);
    for (suffix, player) in players {
        let kind = player.kind;
        println!("{kind:?} {suffix}");
        let (came, said) = player.finish();
        expect(kind, suffix, &came, &sent);
        assert_quiet(kind, suffix, &said);
    }
}

/// Holds what a player got against what was sent.
#[track_caller]
fn expect(kind: Kind, suffix: &str, came: &[Packet], sent: &[Packet]) {
    let is_sound = matches!(suffix, "aac" | "mp3");
    for video in [true, false] {
        let sent = packets::track(sent, video);
        let came = packets::track(came, video);
        if sent.is_empty() || (video && is_sound) {
            assert!(came.is_empty(), "{} packets of a track that is not there", came.len());
            continue;
        }
        assert_eq!(packets::assert_part(&came, &sent), 0, "from the first packet on");
        // VLC's muxer drops what it holds when its input ends.
        let lost = if kind == Vlc { SLACK } else { 0 };
        assert!(came.len() + lost >= sent.len(), "{} of {} came; video: {video}", came.len(), sent.len());
        // What has no times, or other ones, is held to its bytes alone.
        if !is_sound && !matches!(kind, GStreamer | Vlc) {
            packets::assert_times(
                &came,
                &sent,
                if suffix == "ts" { TS_OFFSET_US } else { 0 },
                packets::TICK_US,
            );
        }
    }
}

/// ffmpeg has nothing to say but that the stream, of which it expected no end, has ended.
#[track_caller]
fn assert_quiet(kind: Kind, suffix: &str, said: &[String]) {
    if !matches!(kind, Ffmpeg | NewFfmpeg) {
        return;
    }
    let ends = ["Stream ends prematurely", "Input/output error", "Last message repeated"];
    let known = |line: &&String| ends.iter().any(|end| line.contains(end)) || is_known(suffix, line);
    let other = said.iter().find(|line| !known(line));
    assert_eq!(other, None, "all it said: {said:#?}");
}

/// What ffmpeg says of some streams whoever serves them.
fn is_known(suffix: &str, line: &str) -> bool {
    match suffix {
        // Raw streams have no times, and ffmpeg estimates how long they are.
        "aac" | "mp3" => line.contains("Estimating duration from bitrate"),
        _ => false,
    }
}

/// What ffmpeg finds in a stream that has been going on for a while.
#[test]
fn who_comes_late_finds_the_two_tracks() {
    let dir = TempDir::new();
    let server = Server::start_http(REMUX);
    let _publisher = clients::publish_live(&clip(&dir).file, &server.url("test"));
    let early = clients::Player::start(clients::Kind::Rtmpdump, &server.url("test"));
    early.wait("the second keyframe", |tags| tags.iter().filter(|tag| tag.is_video_key()).count() == 2);
    for url in [format!("http://{}/live/test.flv", server.http()), server.url("test")] {
        let mut command = Command::new("ffprobe");
        command.args(["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", &url]);
        let output = command.output().expect("ffprobe");
        let mut found: Vec<_> =
            std::str::from_utf8(&output.stdout).expect("text").split_whitespace().collect();
        // What RTMP says of the play itself.
        found.retain(|kind| *kind != "data" || url.starts_with("http"));
        assert_eq!(found, ["video", "audio"], "{url}");
    }
}

fn clip(dir: &TempDir) -> Clip {
    let file = clients::cut(dir, 0, 6);
    Clip { ffmpeg: clients::ffmpeg, file, tracks: (Video::H264, Audio::Aac) }
}

fn encoded(dir: &TempDir, ffmpeg: fn() -> Command, tracks: Tracks) -> Clip {
    let mut codecs = match tracks.0 {
        Video::None => vec!["-map", "1:a"],
        Video::H264 => vec!["-c:v", "libx264", "-preset", "veryfast", "-bf", "2"],
        Video::Hevc => {
            vec!["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2"]
        }
    };
    codecs.extend(match tracks.1 {
        Audio::None => vec!["-map", "0:v"],
        Audio::Aac => vec!["-c:a", "aac"],
        Audio::Mp3 => vec!["-c:a", "libmp3lame", "-ar", "44100"],
    });
    Clip { ffmpeg, file: clients::encode(ffmpeg, dir, &codecs), tracks }
}

const ALL: [Kind; 5] = [Ffmpeg, NewFfmpeg, GStreamer, Vlc, Raw];

#[test]
fn flv_is_played_by_five_kinds_of_players() {
    let dir = TempDir::new();
    relay(&clip(&dir), &ALL.map(|kind| (kind, "flv")));
}

#[test]
fn ts_is_played_by_five_kinds_of_players() {
    let dir = TempDir::new();
    relay(&clip(&dir), &ALL.map(|kind| (kind, "ts")));
}

#[test]
fn mp4_is_played_by_five_kinds_of_players() {
    let dir = TempDir::new();
    relay(&clip(&dir), &ALL.map(|kind| (kind, "mp4")));
}

#[test]
fn sound_alone_is_played_as_aac() {
    let dir = TempDir::new();
    relay(&clip(&dir), &ALL.map(|kind| (kind, "aac")));
}

#[test]
fn mp3_is_played_in_every_container() {
    let dir = TempDir::new();
    let clip = encoded(&dir, clients::ffmpeg, (Video::H264, Audio::Mp3));
    relay(&clip, &ALL.map(|kind| (kind, "mp3")));
    let plays = [(Ffmpeg, "flv"), (NewFfmpeg, "flv"), (Ffmpeg, "ts"), (NewFfmpeg, "ts"), (GStreamer, "ts")];
    relay(&clip, &[&plays[..], &[(Ffmpeg, "mp4"), (NewFfmpeg, "mp4"), (GStreamer, "mp4")]].concat());
}

#[test]
fn hevc_is_played_in_every_container() {
    let dir = TempDir::new();
    let clip = encoded(&dir, clients::new_ffmpeg, (Video::Hevc, Audio::Aac));
    // The older ffmpeg and GStreamer know no enhanced FLV.
    relay(&clip, &[(NewFfmpeg, "flv"), (Ffmpeg, "ts"), (NewFfmpeg, "ts"), (GStreamer, "ts"), (Vlc, "ts")]);
    relay(&clip, &[Ffmpeg, NewFfmpeg, GStreamer, Vlc, Raw].map(|kind| (kind, "mp4")));
}

#[test]
fn picture_alone_is_played_in_every_container() {
    let dir = TempDir::new();
    let clip = encoded(&dir, clients::ffmpeg, (Video::H264, Audio::None));
    relay_by(&clip, &["flv", "ts", "mp4"].map(|suffix| (Ffmpeg, suffix)), clients::publish_pipe_live);
}

#[test]
fn sound_alone_is_played_in_every_container() {
    let dir = TempDir::new();
    let clip = encoded(&dir, clients::ffmpeg, (Video::None, Audio::Aac));
    relay_by(&clip, &["flv", "ts", "mp4", "aac"].map(|suffix| (Ffmpeg, suffix)), clients::publish_pipe_live);
}

#[test]
fn websockets_bring_flv_and_mp4() {
    let dir = TempDir::new();
    relay(&clip(&dir), &[(Ffmpeg, "flv"), (WebSocket, "flv"), (WebSocket, "mp4")]);
}

/// What a client of ours gets of FLV: tags, once there are so many.
struct Tags {
    connection: Connection,
    parser: flv::Parser,
    tags: Vec<Tag>,
    /// The flags of the file's header.
    flags: Option<u8>,
}

impl Tags {
    fn open(server: SocketAddr, path: &str) -> Self {
        let mut connection = Connection::open(server);
        connection.send(path);
        let (status, head) = connection.head();
        assert_eq!(status, 200, "{head}");
        Self { connection, parser: flv::Parser::default(), tags: Vec::new(), flags: None }
    }

    #[track_caller]
    fn wait(&mut self, enough: impl Fn(&[Tag]) -> bool) -> &[Tag] {
        while !enough(&self.tags) {
            let bytes = self.connection.take();
            assert!(!bytes.is_empty(), "the stream ended after {} tags", self.tags.len());
            self.flags = self.flags.or(bytes.get(4).copied());
            self.tags.extend(self.parser.feed(&bytes));
        }
        &self.tags
    }

    #[track_caller]
    fn frames(&mut self, count: usize) -> Vec<Tag> {
        self.wait(|tags| tags.iter().filter(|tag| tag.is_frame()).count() >= count);
        flv::frames(&self.tags)
    }
}

/// The bytes of each tag are those that were published.
#[test]
fn flv_tags_are_the_publishers_own() {
    let dir = TempDir::new();
    let server = Server::start_http(REMUX);
    let mut players = [(); 5].map(|()| Tags::open(server.http(), "/live/test.flv"));
    server.wait_play("test", 5);
    let file = clients::cut(&dir, 0, 6);
    clients::publish(clients::ffmpeg(), &file, &server.url("test")).finish();
    let sent = flv::read(&file);
    for player in &mut players {
        let came = player.frames(flv::frames(&sent).len());
        flv::assert_same(&came, &flv::frames(&sent));
        flv::assert_configs(&player.tags, &sent);
        assert_eq!(player.flags, Some(5), "sound and picture");
    }
    server.wait_unpublish("test", 1);
    // The publisher returns, with its time set back: players stay, and their time goes on.
    let file = clients::cut(&dir, 6, 4);
    clients::publish(clients::ffmpeg(), &file, &server.url("test")).finish();
    let again = flv::read(&file);
    for player in &mut players {
        let came = player.frames(flv::frames(&sent).len() + flv::frames(&again).len());
        flv::assert_rising(&came, 500);
        for kind in [flv::VIDEO, flv::AUDIO] {
            let bodies = |tags: &[Tag]| -> Vec<Vec<u8>> {
                flv::track(tags, kind).into_iter().map(|tag| tag.body).collect()
            };
            assert!(bodies(&came) == [bodies(&sent), bodies(&again)].concat(), "track {kind}");
        }
    }
}

/// Who waits for a stream gets all of it, also where it has ended before anything was sent.
#[test]
fn a_publish_that_ends_at_once_is_played() {
    let dir = TempDir::new();
    let clip = encoder::Clip::read(&clients::cut(&dir, 0, 2), 2_000_000);
    let all: Vec<_> = clip.headers().into_iter().chain(clip.frames(0..2_000_000, 0)).collect();
    let host = Host::start(
        "http_server { enabled on; listen 127.0.0.1:0; } vhost __defaultVhost__ { http_remux { enabled on; } }",
    );
    for (track, flags) in [(None, 5), (Some(media::Kind::Video), 1), (Some(media::Kind::Audio), 4)] {
        let mut players = [(); 3].map(|()| Tags::open(host.http(), "/live/test.flv"));
        host.until("they wait", |engine| engine.stats().players == 3);
        let mut sent = all.clone();
        sent.retain(|frame| track.is_none_or(|track| frame.kind == track));
        Encoder::publish_at_once(&host, sent.clone());
        sent.retain(|frame| frame.role != media::Role::Header);
        for player in &mut players {
            let came = player.frames(sent.len());
            assert!(came.iter().zip(&sent).all(|(tag, frame)| tag.body.ends_with(&frame.payload.bytes())));
            assert_eq!(player.flags, Some(flags));
        }
        drop(players);
        host.until("they are gone", |engine| engine.stats().players == 0);
    }
}

/// The other formats go on, too, for the programs that watch.
#[test]
fn players_stay_when_the_publisher_returns() {
    let dir = TempDir::new();
    let parts = [clients::cut(&dir, 0, 4), clients::cut(&dir, 4, 4)];
    let tracks = (Video::H264, Audio::Aac);
    let server = Server::start_http(REMUX);
    let plays = [(NewFfmpeg, "flv"), (Ffmpeg, "ts"), (NewFfmpeg, "mp4")];
    let mut players = plays
        .map(|(kind, suffix)| Player::start(kind, server.http(), &format!("/live/test.{suffix}"), tracks));
    server.wait_play("test", players.len());
    let mut sent = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        clients::publish(clients::ffmpeg(), part, &server.url("test")).finish();
        server.wait_unpublish("test", n + 1);
        sent.extend(packets::of_file(part, None, tracks));
        let [pictures, sounds] = [true, false].map(|video| packets::track(&sent, video).len());
        for player in &mut players {
            player.wait(pictures, sounds, SLACK);
            assert!(player.is_running());
        }
    }
    drop(server);
    for player in players {
        let (came, _) = player.finish();
        for video in [true, false] {
            let came = packets::track(&came, video);
            assert_eq!(packets::assert_part(&came, &packets::track(&sent, video)), 0);
            let steps = came.windows(2).map(|pair| pair[1].dts - pair[0].dts);
            assert!(steps.clone().all(|step| (1..500_000).contains(&step)), "{:?}", steps.max());
        }
    }
}

/// Publishes a part of the clip and stays.
fn publisher(server: &Server, file: &Path) -> (Process, ChildStdin) {
    let (publisher, mut pipe) = clients::publish_pipe(&server.url("test"));
    pipe.write_all(&std::fs::read(file).expect("the clip")).expect("a publisher that reads");
    (publisher, pipe)
}

#[test]
fn tracks_are_declared_and_dropped_as_set() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 4);
    for (settings, flags, audio, video) in [
        ("has_audio off; guess_has_av off;", 1, false, true),
        ("has_video off; guess_has_av off;", 4, true, false),
        ("has_video off; guess_has_av off; drop_if_not_match off;", 4, true, true),
        ("has_audio off; has_video off;", 5, true, true),
    ] {
        let server = Server::start_http(&format!("http_remux {{ enabled on; {settings} }}"));
        let mut player = Tags::open(server.http(), "/live/test.flv");
        server.wait_play("test", 1);
        let _publisher = publisher(&server, &file);
        let sent = flv::read(&file);
        let count = |kind: u8, wanted: bool| if wanted { flv::track(&sent, kind).len() - 4 } else { 0 };
        let (sounds, pictures) = (count(flv::AUDIO, audio), count(flv::VIDEO, video));
        player.wait(|tags| {
            flv::track(tags, flv::AUDIO).len() >= sounds && flv::track(tags, flv::VIDEO).len() >= pictures
        });
        assert_eq!(player.flags, Some(flags), "{settings}");
        for (kind, wanted) in [(flv::AUDIO, audio), (flv::VIDEO, video)] {
            let came = flv::track(&player.tags, kind);
            assert_eq!(!came.is_empty(), wanted, "{settings}: {} of {kind}", came.len());
            flv::assert_same(&came, &flv::track(&sent, kind)[..came.len()]);
        }
    }
}

/// What is guessed is what there is, once the publish has gone on for a second.
#[test]
fn a_single_track_is_declared_alone() {
    let dir = TempDir::new();
    for (tracks, flags) in [((Video::None, Audio::Aac), 4), ((Video::H264, Audio::None), 1)] {
        let clip = encoded(&dir, clients::ffmpeg, tracks);
        let server = Server::start_http(REMUX);
        let mut player = Tags::open(server.http(), "/live/test.flv");
        server.wait_play("test", 1);
        let _publisher = clients::publish_live(&clip.file, &server.url("test"));
        let came = player.frames(20);
        assert_eq!(player.flags, Some(flags));
        flv::assert_same(&came, &flv::frames(&flv::read(&clip.file))[..came.len()]);
    }
}

#[test]
fn a_fast_cache_gives_sound_of_what_has_passed() {
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 6);
    let server = Server::start_http("http_remux { enabled on; fast_cache 2; }");
    let mut watcher = Tags::open(server.http(), "/live/test.flv");
    let _publisher = publisher(&server, &file);
    let sounds = flv::track(&flv::read(&file), flv::AUDIO);
    watcher.wait(|tags| flv::track(tags, flv::AUDIO).len() + 4 >= sounds.len());
    let newest = flv::frames(&watcher.tags).iter().map(|tag| tag.time).max().expect("frames");
    let mut connection = Connection::open(server.http());
    connection.send("/live/test.aac");
    assert_eq!(connection.head().0, 200);
    let mut came = Vec::new();
    while came.len() < 2000 {
        let bytes = connection.take();
        assert!(!bytes.is_empty(), "the stream ended");
        came.extend(bytes);
    }
    assert_eq!(came[..2], [0xff, 0xf1], "an ADTS header");
    let len = usize::from(came[3] & 3) << 11 | usize::from(came[4]) << 3 | usize::from(came[5] >> 5);
    let first = sounds.iter().find(|tag| tag.body[2..] == came[7..len]).expect("a sound of the clip");
    let age = newest - first.time;
    assert!((1900..2100).contains(&age), "the first sound is {age} ms old");
}

/// Players in browsers take a message for a tag.
#[test]
fn websocket_messages_are_whole_tags() {
    let dir = TempDir::new();
    let server = Server::start_http(REMUX);
    let address = server.http();
    let watcher = std::thread::spawn(move || {
        let (mut messages, mut tags) = (0, Vec::new());
        let mut parser = flv::Parser::default();
        http::websocket(address, "/live/test.flv", |message| {
            let came = parser.feed(message);
            let whole: usize = came.iter().map(|tag| 11 + tag.body.len() + 4).sum();
            assert_eq!(message.len(), if messages == 0 { 13 + whole } else { whole });
            messages += 1;
            tags.extend(came);
        });
        tags
    });
    server.wait_play("test", 1);
    let file = clients::cut(&dir, 0, 4);
    clients::publish(clients::ffmpeg(), &file, &server.url("test")).finish();
    server.wait_unpublish("test", 1);
    drop(server);
    let tags = watcher.join().expect("whole tags");
    flv::assert_same(&flv::frames(&tags), &flv::frames(&flv::read(&file)));
}

#[test]
fn what_a_container_cannot_carry_is_refused_with_a_reason() {
    let dir = TempDir::new();
    let codecs = ["-map", "1:a", "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    let server = Server::start_http(REMUX);
    // One that has come before is there to see that frames have.
    let mut player = Tags::open(server.http(), "/live/test.flv");
    server.wait_play("test", 1);
    let publisher = clients::publish_live(&file, &server.url("test"));
    player.frames(1);
    for (suffix, why) in
        [("ts", "G.711 has no mapping in MPEG-TS"), ("aac", "PCMA is not AAC"), ("mp3", "PCMA is not MP3")]
    {
        let answer = http::get(server.http(), &format!("/live/test.{suffix}"));
        assert_eq!(answer.status, 415, "{suffix}");
        assert!(answer.text().contains(why), "{suffix}: {}", answer.text());
    }
    drop((player, publisher));

    let file = clients::encode(clients::ffmpeg, &dir, &["-map", "1:a", "-c:a", "adpcm_swf", "-ar", "11025"]);
    let mut player = Tags::open(server.http(), "/live/other.flv");
    server.wait_play("other", 1);
    let _publisher = clients::publish_live(&file, &server.url("other"));
    player.frames(1);
    let answer = http::get(server.http(), "/live/other.mp4");
    assert_eq!(answer.status, 415);
    assert!(answer.text().contains("FLV1 has no mapping to MP4"), "{}", answer.text());
}

#[test]
fn a_stream_that_is_not_there_is_waited_for_or_not() {
    let server = Server::start_http("http_remux { enabled on; hstrs off; }");
    assert_eq!(http::get(server.http(), "/live/test.flv").status, 404);
    drop(server);
    // What may be a segment is not waited for.
    let server = Server::start_http(&format!("{REMUX} hls {{ enabled on; }}"));
    for suffix in ["ts", "mp4"] {
        assert_eq!(http::get(server.http(), &format!("/live/test.{suffix}")).status, 404);
    }
}
