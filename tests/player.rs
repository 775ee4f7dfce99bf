//! Players of the host's own: streams and URLs frame by frame, exact to the byte, and as decoders take them.

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use camrill::engine::{
    Event, Given, IngestOptions, Packet, PacketFormat, PlayerInfo, PlayerNews, PlayerOptions, PlayerSource,
    RelayState, RetryPolicy, Tracks,
};
use camrill::media::{Codec, Frame, Kind, Role};

use support::encoder::{Clip, Encoder};
use support::host::Host;
use support::nginx::Nginx;
use support::process::Feed;
use support::rtmp_client::Media;
use support::{PATIENCE, TempDir, clients, flv, free_port, repository};

/// A player and what it has given, in order.
struct Played<'a> {
    host: &'a Host,
    id: u32,
    given: Arc<Feed<Given>>,
}

fn options(source: PlayerSource) -> PlayerOptions {
    PlayerOptions {
        vhost: String::new(),
        source,
        format: PacketFormat::Stored,
        live: false,
        video: true,
        audio: true,
        data: false,
    }
}

fn stream(stream: &str) -> PlayerOptions {
    options(PlayerSource::Stream { app: "live".into(), stream: stream.into() })
}

fn url(url: &str) -> PlayerOptions {
    let (first, longest) = (Duration::from_millis(20), Duration::from_millis(50));
    let retry = RetryPolicy { first, longest, ..RetryPolicy::default() };
    options(PlayerSource::Url { url: url.to_owned(), looped: false, retry })
}

impl<'a> Played<'a> {
    fn start(host: &'a Host, options: PlayerOptions) -> Self {
        let given = Feed::new();
        let feed = Arc::clone(&given);
        let id = host.run(move |engine| engine.player_open(&options)).expect("a player");
        // It runs until the player is closed, and is looked at after each turn.
        let _ = host.watch(move |engine| {
            while let Some(given) = engine.player_next(id) {
                feed.push(given);
            }
            engine.player_info(id).is_err()
        });
        Self { host, id, given }
    }

    /// Waits until `enough` says so of what was given.
    #[track_caller]
    fn wait<R>(&self, what: &str, enough: impl FnMut(&[Given], bool) -> Option<R>) -> R {
        let found = self.given.wait(PATIENCE, enough);
        found.unwrap_or_else(|| panic!("{what} did not come, but {:?}", self.kinds()))
    }

    /// What was given, a letter for each: tracks, packets with their flags, states.
    fn kinds(&self) -> String {
        let letter = |given: &Given| match given {
            Given::Tracks(_) => 't',
            Given::Packet(packet) => match (packet.kind, packet.is_discontinuity) {
                (Kind::Video, false) if packet.is_key => 'k',
                (Kind::Video, true) if packet.is_key => 'K',
                (Kind::Video, false) => 'v',
                (Kind::Video, true) => 'V',
                (Kind::Audio, false) => 'a',
                (Kind::Audio, true) => 'A',
                (Kind::Data, _) => 'd',
            },
            Given::News(news) => match news.state {
                RelayState::Idle => '0',
                RelayState::Connecting => '1',
                RelayState::Running => '2',
                RelayState::Waiting => '3',
                RelayState::Ended => '4',
            },
        };
        self.all().iter().map(letter).collect()
    }

    fn all(&self) -> Vec<Given> {
        self.given.wait(Duration::ZERO, |given, _| Some(given.to_vec())).unwrap_or_default()
    }

    #[track_caller]
    fn packets(&self, count: usize) -> Vec<Packet> {
        self.wait(&format!("packet {count}"), |given, _| {
            let packets = packets(given);
            (packets.len() >= count).then_some(packets)
        })
    }

    #[track_caller]
    fn until(&self, state: RelayState, times: usize) -> PlayerNews {
        self.wait(&format!("{state:?} {times} times"), |given, _| {
            let mut news = given.iter().filter_map(|given| match given {
                Given::News(news) if news.state == state => Some(news.clone()),
                _ => None,
            });
            news.nth(times - 1)
        })
    }

    fn tracks(&self) -> Vec<Tracks> {
        let tracks = |given| match given {
            Given::Tracks(tracks) => Some(tracks),
            _ => None,
        };
        self.all().into_iter().filter_map(tracks).collect()
    }

    fn info(&self) -> PlayerInfo {
        let id = self.id;
        self.host.run(move |engine| engine.player_info(id)).expect("a player")
    }

    fn pause(&self, paused: bool) {
        let id = self.id;
        self.host.run(move |engine| engine.player_pause(id, paused)).expect("a player");
    }

    fn close(self) {
        let id = self.id;
        self.host.run(move |engine| engine.player_close(id)).expect("a player");
        self.host.event(|event| (event == Event::PlayerEnded { player: id }).then_some(()));
    }
}

fn packets(given: &[Given]) -> Vec<Packet> {
    let packet = |given: &Given| match given {
        Given::Packet(packet) => Some(packet.clone()),
        _ => None,
    };
    given.iter().filter_map(packet).collect()
}

fn media(clip: &[Frame]) -> Vec<Frame> {
    clip.iter().filter(|frame| frame.role != Role::Header).cloned().collect()
}

/// Holds packets against the frames that they are.
#[track_caller]
fn assert_same(packets: &[Packet], frames: &[Frame], rounding_us: i64) {
    let first = frames[0].dts - packets[0].dts;
    for (at, (packet, frame)) in packets.iter().zip(frames).enumerate() {
        assert_eq!((packet.kind, packet.codec), (frame.kind, frame.codec), "packet {at}");
        assert!(packet.data == frame.payload, "packet {at}: {:?}", frame.kind);
        assert_eq!(packet.is_key, frame.role == Role::Key, "packet {at}");
        let (late, shown) = (frame.dts - packet.dts - first, frame.pts - packet.pts - first);
        assert!(late.abs() <= rounding_us && shown.abs() <= rounding_us, "packet {at}: {late} {shown} µs");
    }
    assert_eq!(packets.len(), frames.len());
}

fn of(packets: &[Packet], kind: Kind) -> Vec<Packet> {
    packets.iter().filter(|packet| packet.kind == kind).cloned().collect()
}

fn joined(packets: &[Packet], kind: Kind) -> Vec<u8> {
    of(packets, kind).iter().flat_map(|packet| packet.data.whole().to_vec()).collect()
}

/// What ffmpeg writes to its standard output.
fn ffmpeg(arguments: &[&str], input: &Path, output: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error"]).args(arguments).arg("-i").arg(input).args(output);
    let out = command.output().expect("ffmpeg");
    assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

const PICTURES: [&str; 8] = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-", "-an"];

/// The decoded pictures' sums, whatever their times.
fn pictures(format: &[&str], input: &Path) -> Vec<String> {
    let text = String::from_utf8(ffmpeg(format, input, &PICTURES)).expect("text");
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    sums.map(|line| line.rsplit(", ").next().expect("a sum").to_owned()).collect()
}

/// Asserts that what was given decodes to what the file does.
#[track_caller]
fn assert_decodes(packets: &[Packet], format: &str, file: &Path) {
    let dir = TempDir::new();
    let (video, audio) = (dir.join("video"), dir.join("audio"));
    std::fs::write(&video, joined(packets, Kind::Video)).expect("a file");
    std::fs::write(&audio, joined(packets, Kind::Audio)).expect("a file");
    let expected = pictures(&[], file);
    assert!(expected.len() > 40, "{}", expected.len());
    assert_eq!(pictures(&["-f", format], &video), expected);
    let adts = ffmpeg(&[], file, &["-map", "0:a", "-c", "copy", "-f", "adts", "-"]);
    assert!(std::fs::read(&audio).expect("a file") == adts, "ADTS as ffmpeg writes it");
}

fn clip() -> (Clip, Vec<Frame>) {
    let clip = Clip::read(&repository("assets/clip.flv"), 10_000_000);
    let mut all = clip.headers();
    all.extend(clip.frames(0..i64::MAX, 0));
    (clip, all)
}

#[test]
fn all_of_a_local_stream_comes_as_it_was_written_and_as_decoders_take_it() {
    let host = Host::start("");
    let stored = Played::start(&host, stream("test"));
    let elementary = PlayerOptions { format: PacketFormat::Elementary, ..stream("test") };
    let [one, two] = [(); 2].map(|()| Played::start(&host, elementary.clone()));
    let (_, all) = clip();
    let frames = media(&all);
    let encoder = Encoder::publish(&host);
    let half = all.len() / 2;
    encoder.write(all[..half].to_vec());
    assert_eq!(host.run(|engine| engine.streams()[0].players), 3);
    encoder.write(all[half..].to_vec());
    assert_same(&stored.packets(frames.len()), &frames, 0);
    let (one_packets, two_packets) = (one.packets(frames.len()), two.packets(frames.len()));
    assert_decodes(&one_packets, "h264", &repository("assets/clip.flv"));
    // What is made of a frame is made once.
    for (a, b) in one_packets.iter().zip(&two_packets) {
        assert_eq!(a, b);
        assert_eq!(a.data.whole().as_ptr(), b.data.whole().as_ptr());
    }
    let [tracks] = &stored.tracks()[..] else { panic!("{:?}", stored.tracks()) };
    let (video, config) = tracks.video.clone().expect("video");
    assert_eq!(
        (video.codec, video.width, video.height, video.frame_rate),
        (Codec::H264, 640, 360, Some((25, 1)))
    );
    assert!(all.iter().any(|frame| frame.role == Role::Header && frame.payload == config));
    let (audio, config) = tracks.audio.clone().expect("audio");
    assert_eq!((audio.codec, audio.sample_rate, audio.channels), (Codec::Aac, 44100, 2));
    assert!(all.iter().any(|frame| frame.role == Role::Header && frame.payload == config));
    assert_eq!(one.tracks(), stored.tracks());
    assert!(stored.kinds().starts_with("2tk"), "{}", stored.kinds());
    encoder.end();
    stored.until(RelayState::Idle, 1);
    let info = stored.info();
    assert_eq!((info.packets, info.starts, info.skips), (frames.len() as u64, 1, 0));
    assert_eq!(info.bytes, frames.iter().map(|frame| frame.payload.len() as u64).sum::<u64>());
    [stored, one, two].into_iter().for_each(Played::close);
    assert_eq!(host.stats().streams, 0);
}

#[test]
fn h265_comes_behind_start_codes_with_its_parameter_sets() {
    let dir = TempDir::new();
    let codecs = ["-c:v", "libx265", "-x265-params", "log-level=error", "-c:a", "aac"];
    let file = clients::encode(clients::new_ffmpeg, &dir, &codecs);
    let host = Host::start("");
    let played = Played::start(&host, PlayerOptions { format: PacketFormat::Elementary, ..stream("test") });
    let clip = Clip::read(&file, 3_000_000);
    let mut all = clip.headers();
    all.extend(clip.frames(0..i64::MAX, 0));
    let encoder = Encoder::publish(&host);
    encoder.write(all.clone());
    let packets = played.packets(media(&all).len());
    let [tracks] = &played.tracks()[..] else { panic!("{:?}", played.tracks()) };
    let video = tracks.video.as_ref().expect("video").0;
    assert_eq!((video.codec, video.width, video.height), (Codec::H265, 320, 180));
    let path = dir.join("video");
    std::fs::write(&path, joined(&packets, Kind::Video)).expect("a file");
    // An older ffmpeg than the one that made the file doesn't know it.
    let mkv = dir.join("clip.mkv");
    let made = clients::new_ffmpeg().arg("-i").arg(&file).args(["-c", "copy"]).arg(&mkv).status();
    assert!(made.expect("ffmpeg").success());
    assert_eq!(pictures(&["-f", "hevc"], &path), pictures(&[], &mkv));
    drop(encoder);
}

#[test]
fn who_comes_late_starts_at_a_keyframe_which_may_be_the_next() {
    let host = Host::start("");
    let mut publisher = host.publish("s");
    let first =
        [Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300), Media::delta(40, 100)];
    publisher.send_all(&first);
    publisher.sync();
    let [late, live] = [false, true].map(|live| Played::start(&host, PlayerOptions { live, ..stream("s") }));
    let sound = Played::start(&host, PlayerOptions { video: false, ..stream("s") });
    late.packets(2);
    assert_eq!(late.kinds(), "2tkv");
    let second = [Media::audio(60), Media::delta(80, 100), Media::key(120, 300), Media::delta(160, 100)];
    publisher.send_all(&second);
    assert_eq!(late.packets(6).last().map(|packet| packet.dts), Some(160_000));
    assert_eq!(late.kinds(), "2tkvavkv");
    live.packets(2);
    assert_eq!(live.kinds(), "2tkv");
    sound.packets(1);
    assert_eq!(sound.kinds(), "2ta");
    assert_eq!(sound.tracks()[0].video, None);
}

#[test]
fn sound_alone_comes_at_once() {
    let host = Host::start("");
    let mut publisher = host.publish("s");
    publisher.send_all(&[Media::audio_header(0), Media::audio(0), Media::audio(23)]);
    publisher.sync();
    let played = Played::start(&host, PlayerOptions { video: false, ..stream("s") });
    publisher.send(&Media::audio(46));
    assert_eq!(played.packets(1)[0].dts, 46_000);
}

#[test]
fn a_stream_that_is_published_anew_goes_on_with_new_tracks() {
    let host = Host::start("");
    let played = Played::start(&host, stream("s"));
    for (round, n) in [1, 2].into_iter().enumerate() {
        let mut publisher = host.publish("s");
        publisher.send_all(&[Media::video_header(0, n), Media::audio_header(0), Media::key(0, 300)]);
        publisher.send_all(&[Media::delta(40, 100), Media::audio(50)]);
        publisher.close();
        played.until(RelayState::Idle, round + 1);
    }
    assert_eq!(played.kinds(), "2tkva02tKva0");
    let tracks = played.tracks();
    assert_ne!(tracks[0], tracks[1]);
    assert_eq!(tracks[0].audio, tracks[1].audio);
    let packets = played.packets(6);
    assert!(packets.windows(2).all(|two| two[0].dts < two[1].dts), "time goes on");
}

#[test]
fn another_publisher_takes_the_stream_over() {
    let host = Host::start("vhost __defaultVhost__ { publish { on_conflict replace; } }");
    let played = Played::start(&host, stream("s"));
    let mut first = host.publish("s");
    first.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300)]);
    first.sync();
    let mut second = host.publish("s");
    second.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 200)]);
    played.packets(2);
    assert_eq!(played.kinds(), "2tktK", "the same tracks are told again");
}

#[test]
fn a_short_publish_of_one_track_is_not_waited_for_when_it_is_over() {
    let host = Host::start("");
    let played = Played::start(&host, stream("test"));
    let (clip, _) = clip();
    let video = |frame: &Frame| frame.kind == Kind::Video;
    let mut frames: Vec<Frame> = clip.headers().into_iter().filter(video).collect();
    frames.extend(clip.frames(0..200_000, 0).into_iter().filter(video));
    Encoder::publish_at_once(&host, frames.clone());
    played.until(RelayState::Idle, 1);
    assert_same(&played.packets(1), &media(&frames), 0);
    assert_eq!(played.tracks()[0].audio, None);
}

#[test]
fn one_frame_is_given_though_no_other_comes() {
    let host = Host::start("");
    let played = Played::start(&host, stream("s"));
    let mut publisher = host.publish("s");
    publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 300)]);
    played.packets(1);
    assert_eq!(played.kinds(), "2tk");
    publisher.close();
}

/// Each with a lane of its own, whoever comes first.
#[test]
fn who_wants_one_track_takes_nothing_from_who_wants_both() {
    let host = Host::start("");
    let elementary = PlayerOptions { format: PacketFormat::Elementary, ..stream("test") };
    let sound = Played::start(&host, PlayerOptions { video: false, ..elementary.clone() });
    let (clip, all) = clip();
    let encoder = Encoder::publish(&host);
    encoder.write(clip.headers());
    encoder.write(clip.frames(0..2_500_000, 0));
    let heard = |given: &[Given]| packets(given).last().is_some_and(|packet| packet.dts > 2_450_000);
    sound.wait("sound", |given, _| heard(given).then_some(()));
    let both = Played::start(&host, elementary.clone());
    let sight = Played::start(&host, PlayerOptions { audio: false, ..elementary });
    encoder.write(clip.frames(2_500_000..i64::MAX, 2_500_000));
    let end = |played: &Played| {
        played.wait("the last GOP", |given, _| {
            let all = packets(given);
            (all.last()?.dts > 9_900_000).then_some(all)
        })
    };
    let (both, sight, sound) = (end(&both), end(&sight), end(&sound));
    let start = both[0].dts;
    assert!(both[0].is_key && both[0].kind == Kind::Video && start <= 2_500_000 && start > 0);
    let expected = |kind| all.iter().filter(move |frame| frame.kind == kind && frame.role != Role::Header);
    let from_start = |frame: &&Frame| frame.dts >= start;
    let count = expected(Kind::Video).filter(from_start).count();
    assert!(of(&both, Kind::Video).len() >= count - 1 && of(&both, Kind::Video).len() <= count);
    let shared = sight.len().min(of(&both, Kind::Video).len());
    assert_eq!(sight[..shared], of(&both, Kind::Video)[..shared]);
    let sounds = of(&both, Kind::Audio);
    let from = sound.iter().position(|packet| packet.dts == sounds[0].dts).expect("the same sound");
    let shared = sounds.len().min(sound.len() - from);
    assert_eq!(sounds[..shared], sound[from..from + shared]);
}

#[test]
fn a_track_that_comes_much_later_is_told_then() {
    let host = Host::start("");
    let played = Played::start(&host, stream("s"));
    let mut publisher = host.publish("s");
    publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 300)]);
    // Frames wake it: the second is waited for by the publish's own clock.
    let mut time = 0;
    while played.tracks().is_empty() {
        time += 40;
        publisher.send(&Media::delta(time, 50));
        // A camera's pace.
        std::thread::sleep(Duration::from_millis(40));
    }
    publisher.send_all(&[Media::audio_header(time), Media::audio(time + 5), Media::delta(time + 40, 50)]);
    let [.., audio, _] = &played.packets(3 + time as usize / 40)[..] else { panic!("packets") };
    assert_eq!(audio.kind, Kind::Audio);
    let kinds = played.kinds();
    assert!(kinds.starts_with("2tkv") && kinds.ends_with("vtav"), "{kinds}");
}

#[test]
fn a_paused_player_goes_on_with_the_next_keyframe_it_has_not_given() {
    let host = Host::start("");
    let mut publisher = host.publish("s");
    let played = Played::start(&host, stream("s"));
    publisher.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300)]);
    publisher.send(&Media::delta(40, 100));
    played.packets(2);
    played.pause(true);
    assert!(played.info().paused);
    publisher.send(&Media::delta(80, 100));
    publisher.sync();
    // Not with the keyframe that it has given.
    played.pause(false);
    publisher.send_all(&[Media::delta(120, 100), Media::key(160, 300), Media::delta(200, 100)]);
    played.packets(4);
    assert_eq!(played.kinds(), "2tkvKv");
    // With one that came meanwhile, and what is in force there.
    played.pause(true);
    publisher.send_all(&[Media::video_header(240, 2), Media::key(240, 300), Media::delta(280, 100)]);
    publisher.sync();
    played.pause(false);
    assert_eq!(played.packets(6)[4].dts, 240_000);
    assert_eq!(played.kinds(), "2tkvKvtKv");
    played.pause(true);
    publisher.close();
    played.until(RelayState::Idle, 1);
    assert_eq!(played.info().packets, 6);
}

/// One format's images are made with the headers that were in force, though nobody saw these.
#[test]
fn parameter_sets_that_change_during_a_pause_hold_after_it() {
    let dir = TempDir::new();
    let host = Host::start("");
    let played = Played::start(&host, PlayerOptions { format: PacketFormat::Elementary, ..stream("test") });
    let small =
        Clip::read(&clients::encode(clients::ffmpeg, &dir, &["-c:v", "libx264", "-c:a", "aac"]), 3_000_000);
    let (large, _) = clip();
    let encoder = Encoder::publish(&host);
    encoder.write(small.headers());
    let frames = small.frames(0..1_000_000, 0);
    encoder.write(frames.clone());
    played.packets(frames.len());
    played.pause(true);
    let later = |frames: Vec<Frame>, by: i64| {
        frames.into_iter().map(move |frame| Frame { dts: frame.dts + by, pts: frame.pts + by, ..frame })
    };
    encoder.write(large.headers());
    encoder.write(later(large.frames(0..4_000_000, 0), 1_000_000));
    played.pause(false);
    let rest = large.frames(4_000_000..6_000_000, 0);
    encoder.write(later(rest.clone(), 5_000_000));
    let after = played.wait("what follows", |given, _| {
        let all = packets(given);
        let at = all.iter().position(|packet| packet.is_discontinuity)?;
        (all.last()?.dts >= 6_900_000).then(|| all[at..].to_vec())
    });
    let (video, path) = (joined(&after, Kind::Video), dir.join("video"));
    std::fs::write(&path, video).expect("a file");
    let sums = pictures(&["-f", "h264"], &path);
    let all = pictures(&[], &repository("assets/clip.flv"));
    let count = of(&after, Kind::Video).len();
    assert_eq!(sums.len(), count);
    // It went on at a keyframe of the clip, which has one each two seconds.
    assert!(all.windows(count).step_by(50).any(|part| part == sums), "the pictures of the clip");
    assert_eq!(
        played.tracks().last().and_then(|tracks| tracks.video.as_ref()).map(|video| video.0.width),
        Some(640)
    );
}

#[test]
fn a_host_that_is_slow_loses_frames_up_to_a_keyframe() {
    let host = Host::start("vhost __defaultVhost__ { play { queue_length 3; } }");
    let options = PlayerOptions { format: PacketFormat::Elementary, ..stream("test") };
    let id = host.run(move |engine| engine.player_open(&options)).expect("a player");
    let (clip, _) = clip();
    let encoder = Encoder::publish(&host);
    encoder.write(clip.headers());
    host.event(|event| (event == Event::PlayerReady { player: id }).then_some(()));
    let mut given = Vec::new();
    let take = |given: &mut Vec<Given>| {
        given.extend(
            host.run(move |engine| std::iter::from_fn(|| engine.player_next(id)).collect::<Vec<_>>()),
        );
    };
    encoder.write(clip.frames(0..1_000_000, 0));
    while packets(&given).len() < 10 {
        take(&mut given);
    }
    encoder.write(clip.frames(1_000_000..i64::MAX, 1_000_000));
    let before = packets(&given).len();
    while packets(&given).last().is_some_and(|packet| packet.dts < 9_500_000) {
        take(&mut given);
    }
    let all = packets(&given);
    let gap = all.iter().position(|packet| packet.is_discontinuity).expect("a gap");
    assert!(gap >= before && all[gap].is_key && all[gap].kind == Kind::Video);
    assert!(all[gap].dts - all[gap - 1].dts > 1_000_000);
    assert_eq!(all.iter().filter(|packet| packet.is_discontinuity).count(), 1);
    assert_eq!(host.run(move |engine| engine.player_info(id)).expect("a player").skips, 1);
}

#[test]
fn what_comes_beside_the_tracks_is_given_to_who_asks() {
    let host = Host::start("");
    let mut publisher = host.publish("s");
    let played = Played::start(&host, PlayerOptions { data: true, ..stream("s") });
    let metadata = [("width", camrill::amf::Value::Number(1280.0))];
    publisher.send_all(&[Media::metadata(&metadata), Media::video_header(0, 1), Media::audio_header(0)]);
    publisher.send(&Media::key(0, 300));
    assert!(played.packets(2)[0].data == support::rtmp_client::metadata(&metadata));
    let late = Played::start(&host, PlayerOptions { data: true, ..stream("s") });
    assert!(late.packets(2)[0].data == support::rtmp_client::metadata(&metadata));
    assert_eq!(late.kinds(), "2dtk");
}

#[test]
fn a_player_has_an_ingest_on_demand_begin_and_end() {
    let (from, host) = (Host::start(""), Host::start(""));
    let mut publisher = from.publish("a");
    publisher.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300)]);
    publisher.sync();
    let options = IngestOptions {
        vhost: String::new(),
        app: "live".into(),
        stream: "s".into(),
        inputs: vec![format!("rtmp://{}/live/a", from.address())],
        looped: false,
        on_demand: Some(Duration::from_millis(10)),
        retry: RetryPolicy::default(),
    };
    host.run(move |engine| engine.ingest_open(&options)).expect("an ingest");
    assert_eq!(host.stats().publishers, 0);
    let played = Played::start(&host, stream("s"));
    played.packets(1);
    played.close();
    host.until("the ingest ends", |engine| engine.stats().publishers == 0);
}

#[test]
fn an_edge_fetches_what_a_player_plays() {
    let origin = Host::start("");
    let mut publisher = origin.publish("s");
    publisher.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300)]);
    publisher.sync();
    let address = origin.address();
    let edge =
        Host::start(&format!("vhost __defaultVhost__ {{ cluster {{ mode remote; origin {address}; }} }}"));
    let played = Played::start(&edge, stream("s"));
    assert!(played.packets(1)[0].is_key);
    played.close();
    edge.until("nothing is fetched any more", |engine| engine.relays().is_empty());
}

#[test]
fn an_encoder_is_asked_for_the_keyframe_that_a_player_waits_for() {
    let host = Host::start("vhost __defaultVhost__ { play { gop_cache off; } }");
    let (clip, _) = clip();
    let encoder = Encoder::publish(&host);
    encoder.write(clip.headers());
    encoder.write(clip.frames(0..1_000_000, 0));
    assert!(!host.events().iter().any(|event| matches!(event, Event::NeedKeyframe { .. })));
    let played = Played::start(&host, stream("test"));
    host.event(|event| matches!(event, Event::NeedKeyframe { .. }).then_some(()));
    encoder.write(clip.frames(0..500_000, 1_000_000));
    assert!(played.packets(1)[0].is_key);
}

// URLs.

/// What is played of a URL is nobody else's, and leaves nothing.
#[test]
fn what_comes_of_a_url_is_no_stream_of_the_engine() {
    let from = Host::start("");
    let host = Host::start(
        "http_api { enabled on; listen 127.0.0.1:0; }
         vhost __defaultVhost__ { forward { enabled on; destination 127.0.0.1:1; } }",
    );
    let mut publisher = from.publish("a");
    let sent = [Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300), Media::audio(30)];
    publisher.send_all(&sent);
    publisher.sync();
    let place = format!("rtmp://{}/live/a?key=secret", from.address());
    let retry = RetryPolicy {
        stall: Duration::from_millis(500),
        first: Duration::from_millis(20),
        ..RetryPolicy::default()
    };
    let played = Played::start(&host, options(PlayerSource::Url { url: place, looped: false, retry }));
    let packets = played.packets(2);
    assert_eq!(played.kinds(), "12tka");
    assert!(packets[0].data == sent[2].2[5..] && packets[1].data == sent[3].2[2..]);
    let stats = host.stats();
    assert_eq!((stats.streams, stats.publishers, stats.players), (0, 0, 0));
    assert_eq!(host.run(|engine| (engine.streams(), engine.clients(), engine.relays())), Default::default());
    for event in host.events() {
        let own = matches!(event, Event::PlayerReady { .. });
        assert!(own, "{event:?}");
    }
    for path in ["/api/v1/streams/", "/api/v1/relays/", "/api/v1/clients/"] {
        let body = support::http::get(host.http(), path).text();
        assert!(!body.contains("player") && !body.contains("/a"), "{path}: {body}");
    }
    // The name that it has inside is not to be found.
    let ids: Vec<u32> = vec![played.id];
    let mut stranger = support::rtmp_client::Client::connect_to(host.address(), "", "player");
    stranger.play_as(&ids[0].to_string());
    assert_eq!(host.run(|engine| engine.stats().publishers), 0);
    let info = played.info();
    assert_eq!((info.stream, info.state, info.starts, info.failures), (0, RelayState::Running, 1, 0));
    assert!(info.received > 300 && info.url == format!("rtmp://{}/live/a", from.address()), "{info:?}");
    // The server goes, and its stream comes back.
    publisher.close();
    let news = played.until(RelayState::Waiting, 1);
    assert!(news.reason.contains("no media within 500 ms"), "{}", news.reason);
    assert!(news.next > Duration::ZERO);
    let mut publisher = from.publish("a");
    publisher.send_all(&sent);
    publisher.sync();
    played.packets(4);
    let kinds = played.kinds();
    assert!(kinds.starts_with("12tka3") && kinds.ends_with("2tKa"), "{kinds}");
    played.close();
    from.until("the player is gone", |engine| engine.stats().players == 0);
}

#[test]
fn a_url_that_is_dead_is_tried_until_it_lives() {
    let port = free_port();
    let host = Host::start("");
    let played = Played::start(&host, url(&format!("rtmp://127.0.0.1:{port}/live/a")));
    let news = played.until(RelayState::Waiting, 3);
    assert!(news.reason.contains("refused"), "{}", news.reason);
    assert!(played.info().failures >= 3);
    let server = Host::start_with(&format!("listen 127.0.0.1:{port};"), |_| ());
    let mut publisher = server.publish("a");
    publisher.send_all(&[Media::video_header(0, 1), Media::audio_header(0), Media::key(0, 300)]);
    publisher.sync();
    played.packets(1);
    played.until(RelayState::Running, 1);
    assert_eq!(played.info().reason, news.reason, "what it failed of last");
}

#[test]
fn tries_that_are_over_end_it() {
    let host = Host::start("");
    let options = PlayerOptions {
        source: PlayerSource::Url {
            url: format!("rtmp://127.0.0.1:{}/live/a", free_port()),
            looped: false,
            retry: RetryPolicy { first: Duration::from_millis(5), tries: 2, ..RetryPolicy::default() },
        },
        ..stream("")
    };
    let played = Played::start(&host, options);
    assert!(played.until(RelayState::Ended, 1).reason.contains("refused"));
    assert_eq!(played.info().state, RelayState::Ended);
    played.close();
}

#[test]
fn nginx_is_played_to_the_last_frame() {
    let nginx = Nginx::start("");
    let host = Host::start("");
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 4);
    let played =
        Played::start(&host, PlayerOptions { format: PacketFormat::Elementary, ..url(&nginx.url("a")) });
    nginx.wait_play("a", 1);
    clients::publish(clients::ffmpeg(), &file, &nginx.url("a")).finish();
    let count = flv::frames(&flv::read(&file)).len();
    let packets = played.packets(count);
    assert_decodes(&packets, "h264", &file);
}

#[test]
fn http_flv_and_hls_are_played_in_their_time() {
    let server = Host::start(
        "http_server { enabled on; listen 127.0.0.1:0; }
         vhost __defaultVhost__ {
             http_remux { enabled on; }
             hls { enabled on; hls_fragment 1; hls_window 30; hls_dispose 0; }
         }",
    );
    let host = Host::start("");
    let (_, all) = clip();
    let frames = media(&all);
    let encoder = Encoder::publish(&server);
    encoder.write(all);
    let http = server.http();
    let flv = Played::start(&host, url(&format!("http://{http}/live/test.flv")));
    // What the server has in its cache: the newest GOP.
    let last = frames.iter().rposition(Frame::is_video_key).expect("a keyframe");
    assert_same(&flv.packets(frames.len() - last), &frames[last..], 1000);
    let hls = Played::start(&host, url(&format!("http://{http}/live/test.m3u8")));
    let packets = hls.wait("frames of a second", |given, _| {
        let all = packets(given);
        (of(&all, Kind::Video).len() >= 25).then_some(all)
    });
    assert!(of(&packets, Kind::Video)[0].is_key && !of(&packets, Kind::Audio).is_empty());
    let first = of(&packets, Kind::Video)[0].clone();
    assert!(frames.iter().any(|frame| frame.is_video_key() && frame.payload.len() <= first.data.len()));
    encoder.end();
    flv.until(RelayState::Waiting, 1);
}

#[test]
fn a_file_is_played_in_its_time_and_ends() {
    let host = Host::start("");
    let dir = TempDir::new();
    let file = clients::cut(&dir, 0, 2);
    let options = PlayerOptions { format: PacketFormat::Elementary, ..url(&file.display().to_string()) };
    let played = Played::start(&host, options.clone());
    assert_eq!(played.until(RelayState::Ended, 1).reason, "everything has been played");
    assert_decodes(&played.packets(1), "h264", &file);
    let kinds = played.kinds();
    assert!(kinds.starts_with("2tk") && kinds.ends_with('4'), "{kinds}");
    let missing = PlayerOptions { source: url("/no/such/file").source, ..options };
    let played = Played::start(&host, missing);
    assert!(played.until(RelayState::Waiting, 1).reason.contains("No such file"));
}

#[test]
fn what_can_not_be_played_is_refused() {
    let host = Host::start("");
    for (wrong, why) in [("ftp://a/b", "rtmp[s]://"), ("rtmp://", "host")] {
        let options = url(wrong);
        let error = host.run(move |engine| engine.player_open(&options)).expect_err(wrong);
        assert!(error.message().contains(why), "{wrong:?}: {}", error.message());
    }
    let elsewhere = PlayerOptions { vhost: "a.b".into(), ..stream("s") };
    let other = Host::start("vhost c.d { }");
    let error = other.run(move |engine| engine.player_open(&elsewhere)).expect_err("no such vhost");
    assert!(error.message().contains("a.b is not configured"), "{}", error.message());
    assert_eq!(other.stats().streams, 0);
}
