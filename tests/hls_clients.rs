//! HLS as the programs that people have play it, and as readers that look at everything find it.

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use camrill::engine::{Action, Event};

use support::clients;
use support::encoder::{Clip, Encoder};
use support::hls::{Follower, Playlist};
use support::host::Host;
use support::http::{self, Connection};
use support::http_player::{Kind, Player};
use support::packets::{self, Audio, Tracks, Video};
use support::server::Server;
use support::{TempDir, repository};

use Kind::{Ffmpeg, GStreamer, NewFfmpeg, Vlc};

/// Packets that a demuxer keeps until more of the stream has come.
const SLACK: usize = 16;
/// Times in a transport stream are later by this.
const TS_OFFSET_US: i64 = 700_000;
const SECOND_US: i64 = 1_000_000;

/// An engine that serves HLS; its streams' times are the encoder's own.
fn host(hls: &str) -> Host {
    Host::start(&format!(
        "http_server {{ enabled on; listen 127.0.0.1:0; dir ./nowhere; }}
         vhost __defaultVhost__ {{ play {{ time_jitter off; }} hls {{ enabled on; hls_ctx off; {hls} }} }}"
    ))
}

/// Follows a stream over more than a hundred segments, with a republish, a change of parameters, a wrap of
/// the 33-bit clock and a gap in the sound.
#[track_caller]
fn follow(settings: &str) -> Follower {
    let dir = TempDir::new();
    let small = Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US);
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
    let large = Clip::read(&clients::encode(clients::ffmpeg, &dir, &codecs), 2 * SECOND_US);
    let host = host(&format!("hls_fragment 2; hls_window 12; {settings}"));
    let mut follower = Follower::new(host.http(), "/live/test.m3u8");
    // The clock of 33 bits goes around after 95443.7 s.
    let mut now = 95_443 * SECOND_US - 60 * SECOND_US;
    let mut encoder = Encoder::publish(&host);
    encoder.write(small.headers());
    for step in 0..120 {
        if step == 40 {
            encoder.end();
            encoder = Encoder::publish(&host);
            encoder.write(small.headers());
        }
        let clip = if (60..80).contains(&step) { &large } else { &small };
        if step == 60 || step == 80 {
            encoder.write(clip.headers());
        }
        let from = (step * 2 * SECOND_US) % clip.length_us;
        let mut frames = clip.frames(from..from + 2 * SECOND_US, now);
        if (95..100).contains(&step) {
            frames.retain(|frame| frame.kind == camrill::media::Kind::Video);
        }
        encoder.write(frames);
        now += 2 * SECOND_US;
        if step > 0 {
            follower.look();
        }
    }
    encoder.end();
    follower.look();
    assert!(follower.known.len() >= 100, "{} segments", follower.known.len());
    let breaks: Vec<u64> = follower.known.values().filter(|s| s.discontinuity).map(|s| s.seq).collect();
    assert_eq!(breaks.len(), 3, "the republish and two changes: {breaks:?}");
    assert_eq!(follower.pictures, 120 * 50, "every picture is there");
    follower
}

#[test]
fn a_transport_stream_keeps_every_rule_over_a_hundred_segments() {
    assert_eq!(follow("").wraps, 1);
}

#[test]
fn fragments_keep_every_rule_over_a_hundred_segments() {
    let follower = follow("hls_use_fmp4 on;");
    assert_eq!(follower.maps.len(), 3, "{:?}", follower.maps);
}

#[test]
fn parts_keep_every_rule_over_a_hundred_segments() {
    follow("hls_low_latency on; hls_part 0.5;");
}

/// Plays what ffmpeg has published with each of the kinds: ffmpeg from the first segment on, the others from
/// where they choose to.
#[track_caller]
fn relay(settings: &str, file: &Path, tracks: Tracks, kinds: &[Kind]) {
    let is_ts = !settings.contains("fmp4") && !settings.contains("low_latency");
    let server = Server::start_http(&format!("hls {{ enabled on; hls_fragment 1; {settings} }}"));
    // The older ffmpeg knows no enhanced FLV.
    let ffmpeg = if tracks.0 == Video::Hevc { clients::new_ffmpeg() } else { clients::ffmpeg() };
    clients::publish(ffmpeg, file, &server.url("test")).finish();
    server.wait_unpublish("test", 1);
    let start = |kind: &Kind| Player::start(*kind, server.http(), "/live/test.m3u8", tracks);
    let players: Vec<_> = kinds.iter().map(start).collect();
    let sent = packets::of_file(file, None, tracks);
    let [pictures, sounds] = [true, false].map(|video| packets::track(&sent, video));
    for player in players {
        let kind = player.kind;
        println!("{kind:?}");
        player.wait(pictures.len(), sounds.len(), SLACK);
        let (came, said) = player.stop(60_000);
        for sent in [&pictures, &sounds] {
            let came = packets::track(&came, std::ptr::eq(sent, &pictures));
            if sent.is_empty() {
                assert!(came.is_empty(), "a track that is not there");
                continue;
            }
            assert!(came.len() >= 25, "only {} packets", came.len());
            let at = packets::assert_part(&came, sent);
            if matches!(kind, Ffmpeg | NewFfmpeg) {
                assert!(at == 0 && came.len() + SLACK >= sent.len(), "{} from {at} on", came.len());
                // Of sounds in one PES packet only the first has a time; RTMP has rounded all to ms.
                // Of sound alone ffmpeg gives the first time twice, of its own playlists too.
                let alone = if tracks.0 == Video::None { 21_334 } else { 0 };
                let (offset, rounding) =
                    if is_ts { (TS_OFFSET_US, 1000 + alone) } else { (0, packets::TICK_US) };
                packets::assert_times(&came, sent, offset, rounding);
                // It reads the section again when it has read a live playlist again.
                let other = said.iter().find(|line| !line.contains("Found duplicated MOOV Atom"));
                assert_eq!(other, None, "{said:#?}");
            }
        }
    }
}

const ALL: [Kind; 4] = [Ffmpeg, NewFfmpeg, GStreamer, Vlc];
const BOTH: Tracks = (Video::H264, Audio::Aac);

#[track_caller]
fn relay_clip(settings: &str, kinds: &[Kind]) {
    let dir = TempDir::new();
    relay(settings, &clients::cut(&dir, 0, 10), BOTH, kinds);
}

#[test]
fn transport_streams_are_played() {
    relay_clip("", &ALL);
}

#[test]
fn fragmented_mp4_is_played() {
    relay_clip("hls_use_fmp4 on; hls_ctx off;", &ALL);
}

#[test]
fn low_latency_is_played() {
    relay_clip("hls_low_latency on; hls_part 0.3;", &ALL);
}

#[test]
fn encrypted_segments_are_played() {
    relay_clip("hls_keys on; hls_fragments_per_key 2;", &ALL);
}

#[test]
fn segments_of_a_folder_are_played() {
    let dir = TempDir::new();
    let keys = "hls_keys on; hls_fragments_per_key 2; hls_key_file_path";
    let path = dir.join("hls").display().to_string();
    relay_clip(&format!("hls_path {path};"), &[Ffmpeg, NewFfmpeg, GStreamer]);
    relay_clip(&format!("hls_path {path}2; {keys} {path}-keys;"), &[Ffmpeg, NewFfmpeg]);
    relay_clip(&format!("hls_path {path}3; hls_use_fmp4 on;"), &[Ffmpeg, NewFfmpeg, Vlc]);
}

#[test]
fn sound_alone_is_played() {
    let dir = TempDir::new();
    let file = clients::encode(clients::ffmpeg, &dir, &["-map", "1:a", "-c:a", "aac"]);
    for settings in ["", "hls_use_fmp4 on;"] {
        relay(settings, &file, (Video::None, Audio::Aac), &[Ffmpeg, NewFfmpeg]);
    }
}

/// Both containers, with the clip's packets coded anew.
fn relay_coded(ffmpeg: fn() -> Command, codecs: &[&str], tracks: Tracks) {
    let dir = TempDir::new();
    let file = clients::encode(ffmpeg, &dir, codecs);
    for settings in ["", "hls_use_fmp4 on;"] {
        relay(settings, &file, tracks, &[Ffmpeg, NewFfmpeg]);
    }
}

#[test]
fn hevc_is_played() {
    let x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2"];
    relay_coded(clients::new_ffmpeg, &[&x265[..], &["-c:a", "aac"]].concat(), (Video::Hevc, Audio::Aac));
}

#[test]
fn mp3_is_played() {
    let dir = TempDir::new();
    let codecs = ["-c:v", "libx264", "-preset", "veryfast", "-c:a", "libmp3lame", "-ar", "44100"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    // In fragments it stands too, but ffmpeg wants a longer look there before it names the size of its frames.
    relay("", &file, (Video::H264, Audio::Mp3), &[Ffmpeg, NewFfmpeg]);
}

#[test]
fn picture_alone_is_played() {
    let codecs = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-map", "0:v"];
    relay_coded(clients::ffmpeg, &codecs, (Video::H264, Audio::None));
}

#[test]
fn tracks_are_left_out_and_names_prefixed_as_set() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 6);
    for (settings, codecs) in [
        ("", r#"CODECS="avc1.64001e,mp4a.40.2""#),
        ("hls_acodec an;", r#"CODECS="avc1.64001e""#),
        ("hls_vcodec vn;", r#"CODECS="mp4a.40.2""#),
    ] {
        let prefix = "hls_entry_prefix http://cdn/x/;";
        let server =
            Server::start_http(&format!("hls {{ enabled on; hls_fragment 1; {prefix} {settings} }}"));
        clients::publish(clients::ffmpeg(), &clip, &server.url("test")).finish();
        server.wait_unpublish("test", 1);
        let mut player = Connection::open(server.http());
        let master = player.get("/live/test.m3u8").text();
        assert!(master.contains(codecs), "{settings}: {master}");
        let uri = master.lines().last().expect("a playlist's name");
        let playlist = player.get(&format!("/live/{uri}")).text();
        let names: Vec<_> = playlist.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(
            names.len() >= 2 && names.iter().all(|name| name.starts_with("http://cdn/x/live/test-")),
            "{playlist}"
        );
    }
}

#[test]
fn what_hls_cannot_carry_has_no_playlist_and_a_reason() {
    let dir = TempDir::new();
    let codecs = ["-map", "1:a", "-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    let top = "http_server { enabled on; listen 127.0.0.1:0; } http_api { enabled on; listen 127.0.0.1:0; }";
    let server = Server::configured(top, "hls { enabled on; hls_fragment 1; }");
    let _publisher = clients::publish_live(&file, &server.url("test"));
    server.wait_publish("test", 1);
    // One that has come before it is known is told too.
    let address = server.http();
    let waits = std::thread::spawn(move || http::get(address, "/live/test.m3u8"));
    let why = "no HLS of __defaultVhost__/live/test: MPEG-TS can't carry PCMA, fragmented MP4 can (hls_use_fmp4 on)";
    server.wait_log(1, why);
    for answer in [waits.join().expect("an answer"), http::get(server.http(), "/live/test.m3u8")] {
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains(why), "{}", answer.text());
    }
    let api = http::get(server.api(), "/api/v1/streams").text();
    assert!(api.contains(&format!(r#""hls":{{"error":"{why}"}}"#)), "{api}");
}

/// What a host refuses gets no playlist, and with that nothing else.
#[test]
fn the_host_refuses_players() {
    let config = "listen 127.0.0.1:0; http_server { enabled on; listen 127.0.0.1:0; dir ./nowhere; }
        vhost __defaultVhost__ { hls { enabled on; hls_fragment 1; } }";
    let host = Host::start_with(config, |engine| engine.ask(true));
    let encoder = Encoder::publish(&host);
    let clip = Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US);
    encoder.write(clip.headers());
    encoder.write(clip.frames(0..6 * SECOND_US, 0));
    for allowed in [false, true] {
        let mut player = Connection::open(host.http());
        player.send("/live/test.m3u8?token=x");
        let asked = host.event(|event| match event {
            Event::Admission(asked) => Some(asked),
            _ => None,
        });
        assert_eq!((asked.action, asked.subject.param.as_str()), (Action::Play, "token=x"));
        let verdict = if allowed { Ok(()) } else { Err("not you") };
        host.run(move |engine| engine.reply(asked.ticket, verdict)).expect("a ticket that is open");
        let answer = player.answer();
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{}", answer.text());
        if allowed {
            let uri = answer.text().lines().last().expect("a variant").to_owned();
            assert!(uri.contains("hls_ctx=") && uri.contains("token=x"), "{uri}");
            assert_eq!(player.get(&format!("/live/{uri}")).status, 200);
        }
    }
    encoder.end();
}

/// A stream of parts that goes on as a test says.
struct Parts<'a> {
    encoder: Encoder<'a>,
    clip: Clip,
    now: i64,
}

impl Parts<'_> {
    /// So much more of it.
    fn write(&mut self, us: i64) {
        let from = self.now % self.clip.length_us;
        self.encoder.write(self.clip.frames(from..from + us, self.now));
        self.now += us;
    }
}

const PART_US: i64 = 520_000;
const LOW_LATENCY: &str = "hls_fragment 2; hls_window 30; hls_low_latency on; hls_part 0.52;";

fn parts<'a>(host: &'a Host) -> Parts<'a> {
    let clip = Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US);
    let encoder = Encoder::publish(host);
    encoder.write(clip.headers());
    let mut parts = Parts { encoder, clip, now: 0 };
    parts.write(4 * SECOND_US);
    parts.write(PART_US + 80_000);
    parts
}

fn playlist(host: &Host) -> Playlist {
    Playlist::read(&http::get(host.http(), "/live/test.m3u8").text())
}

#[test]
fn a_blocked_reload_is_answered_with_the_part_it_waits_for() {
    let host = host(LOW_LATENCY);
    let mut live = parts(&host);
    let now = playlist(&host);
    let (msn, part) = (now.next_seq(), now.open_parts.len());
    let hint = now.hint.clone().expect("a hint");
    let ask = |target: &str| {
        let mut connection = Connection::open(host.http());
        connection.send(target);
        connection
    };
    let mut reload = ask(&format!("/live/test.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
    let mut hinted = ask(&format!("/live/{hint}"));
    let mut segment = ask(&format!("/live/test.m3u8?_HLS_msn={msn}"));
    for held in [&mut reload, &mut hinted, &mut segment] {
        assert!(held.is_quiet(50), "it is held");
    }
    live.write(PART_US);
    let (answer, bytes) = (reload.answer(), hinted.answer());
    assert_eq!((answer.status, bytes.status), (200, 200));
    let then = Playlist::read(&answer.text());
    assert_eq!(then.open_parts.get(part), Some(&hint), "the part that was hinted at");
    assert!(http::get(host.http(), &format!("/live/{hint}")).body == bytes.body);
    assert!(segment.is_quiet(50), "the segment goes on");
    live.write(2 * SECOND_US);
    let answer = segment.answer();
    assert_eq!(answer.status, 200);
    assert!(Playlist::read(&answer.text()).next_seq() > msn);
}

#[test]
fn reloads_that_make_no_sense_are_refused_and_updates_are_short() {
    let host = host(LOW_LATENCY);
    let mut live = parts(&host);
    let status = |query: &str| http::get(host.http(), &format!("/live/test.m3u8?{query}")).status;
    let msn = playlist(&host).next_seq();
    assert_eq!(status(&format!("_HLS_msn={}", msn + 2)), 400, "two ahead");
    assert_eq!(status(&format!("_HLS_msn={msn}&_HLS_part=99")), 400);
    assert_eq!(status("_HLS_part=1"), 400);
    assert_eq!(status("_HLS_msn=x"), 400);
    assert_eq!(status(&format!("_HLS_msn={}", msn - 1)), 200, "what is there");
    (0..12).for_each(|_| live.write(2 * SECOND_US));
    let text = |query: &str| http::get(host.http(), &format!("/live/test.m3u8{query}")).text();
    let (all, delta) = (Playlist::read(&text("")), Playlist::read(&text("?_HLS_skip=YES")));
    assert!(delta.skipped > 0 && all.skipped == 0);
    assert_eq!(delta.skipped as usize + delta.segments.len(), all.segments.len());
    let (rest, newest) = (&delta.segments, &all.segments[delta.skipped as usize..]);
    let facts = |all: &[support::hls::Listed]| -> Vec<(u64, String)> {
        all.iter().map(|segment| (segment.seq, segment.uri.clone())).collect()
    };
    assert_eq!(facts(rest), facts(newest));
}

/// Whoever is held gets an answer when the stream ends, and when it is given up; who has gone needs none.
#[test]
fn held_requests_are_answered_when_the_stream_ends() {
    let host = host(&format!("{LOW_LATENCY} hls_dispose 1;"));
    let live = parts(&host);
    let now = playlist(&host);
    let (msn, part, hint) = (now.next_seq(), now.open_parts.len(), now.hint.clone().expect("a hint"));
    let ask = |target: &str| {
        let mut connection = Connection::open(host.http());
        connection.send(target);
        connection
    };
    let mut next = ask(&format!("/live/test.m3u8?_HLS_msn={msn}&_HLS_part={part}"));
    let mut hinted = ask(&format!("/live/{hint}"));
    let mut later = ask(&format!("/live/test.m3u8?_HLS_msn={}", msn + 1));
    let gone = ask(&format!("/live/test.m3u8?_HLS_msn={}", msn + 1));
    assert!(later.is_quiet(50) && next.is_quiet(50));
    let connections = host.stats().connections;
    drop(gone);
    host.until("who has gone is gone", move |engine| engine.stats().connections + 1 == connections);
    live.encoder.end();
    // Two frames were there of the part.
    let (answer, bytes) = (next.answer(), hinted.answer());
    assert_eq!((answer.status, bytes.status), (200, 200), "{}", bytes.text());
    assert_eq!(Playlist::read(&answer.text()).next_seq(), msn + 1);
    let began = Instant::now();
    assert_eq!(later.answer().status, 404, "the stream is given up");
    assert!(began.elapsed() < Duration::from_millis(2500));
    assert_eq!(http::get(host.http(), "/live/test-0.m4s").status, 404);
}
