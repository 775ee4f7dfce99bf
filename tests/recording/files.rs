//! What is in the files, and when one begins and ends.

use std::time::Duration;

use camrill::dvr::Names;
use camrill::engine::DvrOptions;

use super::support::flv::{self, AUDIO, Tag, VIDEO};
use super::support::repository;
use super::support::rtmp_client::Media;
use super::*;

/// Records a clip, reads the one file and asserts that it is what was published.
#[track_caller]
fn record(dvr: &str, file: &Path, publisher: fn() -> Command, reader: fn() -> Command) -> PathBuf {
    let host = recording(dvr);
    publish(&host, publisher(), file, "cam");
    let recorded = closed(&host);
    assert_same(&packets(reader(), text(&recorded)), &packets(reader(), text(file)));
    recorded
}

#[test]
fn a_session_is_a_file_of_what_was_published() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 6);
    for (name, more) in [("a.flv", ""), ("a.mp4", "dvr_faststart off;"), ("b.mp4", "dvr_faststart on;")] {
        let dvr = format!("dvr_path {}/{name}; {more}", folder(&dir));
        let file = record(&dvr, &clip, clients::ffmpeg, clients::ffmpeg);
        let bytes = std::fs::read(&file).unwrap();
        let has = |name: &[u8]| bytes.windows(4).any(|w| w == name);
        assert_eq!(has(b"moof"), name == "a.mp4", "{name}");
        if name == "a.flv" {
            let (came, sent) = (flv::read(&file), flv::read(&clip));
            flv::assert_same(&flv::track(&came, VIDEO), &flv::track(&sent, VIDEO));
            flv::assert_same(&flv::track(&came, AUDIO), &flv::track(&sent, AUDIO));
            flv::assert_configs(&came, &sent);
        }
    }
}

#[test]
fn other_codecs_are_recorded_by_both_containers() {
    let dir = TempDir::new();
    let x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=2"];
    let av1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime"];
    let kinds = [
        ("hevc", [&x265[..], &["-c:a", "aac"]].concat()),
        ("av1", [&av1[..], &["-c:a", "libopus"]].concat()),
    ];
    for (name, codecs) in kinds {
        let file = clients::encode(clients::new_ffmpeg, &dir, &codecs);
        for suffix in ["flv", "mp4"] {
            let dvr = format!("dvr_path {}/{name}.{suffix};", folder(&dir));
            record(&dvr, &file, clients::new_ffmpeg, clients::new_ffmpeg);
        }
    }
}

#[test]
fn what_mp4_cannot_hold_is_said_and_the_rest_recorded() {
    let dir = TempDir::new();
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-ar", "11025", "-c:a", "adpcm_swf"];
    let file = clients::encode(clients::ffmpeg, &dir, &codecs);
    record(&format!("dvr_path {}/a.flv;", folder(&dir)), &file, clients::ffmpeg, clients::ffmpeg);
    let host = recording(&format!("dvr_path {}/a.mp4;", folder(&dir)));
    publish(&host, clients::ffmpeg(), &file, "cam");
    let why = host.event(|event| match event {
        Event::Recording { news: DvrNews::Failed(why), .. } => Some(why),
        _ => None,
    });
    assert!(why.contains("audio") && why.contains("not recorded"), "{why}");
    let recorded = closed(&host);
    let video = packets(clients::ffmpeg(), text(&file)).remove(0);
    assert_same(&packets(clients::ffmpeg(), text(&recorded)), &[video]);
}

#[test]
fn segments_follow_one_another_without_a_hole() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 10);
    let sent = packets(clients::ffmpeg(), text(&clip));
    for suffix in ["flv", "mp4"] {
        let host = recording(&format!(
            "dvr_plan segment; dvr_duration 3; dvr_path {}/[seq].{suffix};",
            folder(&dir)
        ));
        publish(&host, clients::ffmpeg(), &clip, "cam");
        let mut came = vec![Vec::new(), Vec::new()];
        for seq in 0..3 {
            let file = closed(&host);
            assert_eq!(file, dir.join(&format!("{seq}.{suffix}")));
            let part = packets(clients::ffmpeg(), text(&file));
            came.iter_mut().zip(part).for_each(|(all, part)| all.extend(part));
        }
        let hashes = |all: &[Vec<Packet>]| -> Vec<Vec<String>> {
            all.iter().map(|track| track.iter().map(|p| p.hash.clone()).collect()).collect()
        };
        assert_eq!(hashes(&came), hashes(&sent));
    }
}

#[test]
fn append_goes_on_with_the_file_and_keep_with_the_open_one() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 4);
    let frames = |file: &Path| flv::frames(&flv::read(file)).into_iter().map(|t| (t.kind, t.body)).collect();
    let once: Vec<(u8, Vec<u8>)> = frames(&clip);
    for (name, plan, files) in [("a", "dvr_plan append;", 2), ("b", "dvr_keep 20;", 1)] {
        let path = dir.join(&format!("{name}.flv"));
        let host = recording(&format!("{plan} dvr_path {};", text(&path)));
        publish(&host, clients::ffmpeg(), &clip, "cam");
        (1..files).for_each(|_| assert_eq!(closed(&host), path));
        publish(&host, clients::ffmpeg(), &clip, "cam");
        if files == 1 {
            host.run(|engine| {
                let id = engine.dvr_find(&name_of("cam")).expect("a recorder that waits");
                engine.dvr_cut(id, true).unwrap();
            });
        }
        assert_eq!(closed(&host), path);
        let both: Vec<(u8, Vec<u8>)> = frames(&path);
        let sorted = |mut all: Vec<(u8, Vec<u8>)>| {
            all.sort();
            all
        };
        assert!(sorted(both) == sorted([once.clone(), once.clone()].concat()), "other frames in {name}");
        // Time goes on, and ffmpeg has nothing to say.
        let tags = flv::read(&path);
        for kind in [VIDEO, AUDIO] {
            assert!(flv::track(&tags, kind).is_sorted_by_key(|tag| tag.time));
        }
        packets(clients::ffmpeg(), text(&path));
    }
}

#[test]
fn a_path_has_every_variable_and_the_time_is_utc() {
    let dir = TempDir::new();
    let path = format!(
        "{}/[vhost]/[app]/[stream]/[2006]-[01]-[02]T[15].[04].[05].[999]-[timestamp]-[seq].flv",
        folder(&dir)
    );
    let host = Host::start(&format!("utc_time on; {}", config(&format!("dvr_path {path};"))));
    let mut client = host.publish("cam.1");
    client.send_all(&[Media::video_header(0, 1), Media::key(0, 100)]);
    let file = opened(&host);
    let names = Names::of_stream(&path, "__defaultVhost__", "live", "cam.1").unwrap();
    let name = file.strip_prefix(names.root()).unwrap().to_str().unwrap();
    let ms = names.find(name).expect("a name by the path").expect("a time in it");
    assert!((ms as f64 / 1000.0 - unix_now()).abs() < 20.0);
    // The standard library's own date, by way of the program that has it.
    let at = format!("@{}", ms / 1000);
    let date = Command::new("date").args(["-u", "-d", &at, "+%Y-%m-%dT%H.%M.%S"]).output().unwrap().stdout;
    let date = String::from_utf8(date).unwrap();
    assert_eq!(name, format!("{}.{:03}-{ms}-0.flv", date.trim(), ms % 1000));
    assert!(names.root().ends_with("__defaultVhost__/live/cam.1"));
}

fn video(tags: &[Tag]) -> Vec<Vec<u8>> {
    flv::track(tags, VIDEO).into_iter().map(|tag| tag.body).collect()
}

fn bodies(media: &[Media]) -> Vec<Vec<u8>> {
    media.iter().map(|m| m.2.to_vec()).collect()
}

/// `gops` GOPs of ten frames each, from `from` ms on.
fn frames(from: u32, gops: u32) -> Vec<Media> {
    let one = |i: u32| {
        let ts = from + i * 40;
        if i.is_multiple_of(10) { Media::key(ts, 500) } else { Media::delta(ts, 300) }
    };
    (0..gops * 10).map(one).collect()
}

#[test]
fn the_host_starts_cuts_and_stops_with_what_came_before() {
    let dir = TempDir::new();
    let host =
        recording(&format!("dvr_autostart off; dvr_preroll 0.5; dvr_path {}/[seq].flv;", folder(&dir)));
    let mut client = host.publish("cam");
    client.send(&Media::video_header(0, 1));
    let all = frames(0, 6);
    let (before, rest) = all.split_at(25);
    client.send_all(before);
    client.sync();
    let id = host.run(|engine| engine.dvr_find(&name_of("cam")).unwrap());
    host.run(move |engine| engine.dvr_start(id).unwrap());
    assert_eq!(opened(&host), dir.join("0.flv"));
    client.send_all(&rest[..20]); // up to 1800 ms
    client.sync();
    host.run(move |engine| engine.dvr_cut(id, false).unwrap());
    client.send_all(&rest[20..]);
    client.sync();
    host.run(move |engine| engine.dvr_stop(id).unwrap());
    assert_eq!((closed(&host), closed(&host)), (dir.join("0.flv"), dir.join("1.flv")));
    // Half a second before is in the GOP from 400 ms on; the cut is at the keyframe at 2000 ms.
    assert_eq!(video(&flv::read(&dir.join("0.flv"))), bodies(&all[10..50]));
    assert_eq!(video(&flv::read(&dir.join("1.flv"))), bodies(&all[50..]));
    client.send_all(&frames(2400, 1));
    client.close();
    host.until("the recorder is gone", move |engine| engine.dvr_stop(id).is_err());
    assert_eq!(names(&dir.join("")), ["0.flv", "1.flv"]);
}

#[test]
fn recorders_of_one_stream_do_not_disturb_each_other() {
    let dir = TempDir::new();
    let host = recording(&format!("dvr_path {}/vhost.flv;", folder(&dir)));
    let mut client = host.publish("cam");
    client.send(&Media::video_header(0, 1));
    let all = frames(0, 6);
    client.send_all(&all[..20]);
    client.sync();
    let own = settings(&format!("dvr_path {}/own.flv;", folder(&dir)));
    let id = host.run(move |engine| {
        engine.dvr_open(DvrOptions { stream: Some(name_of("cam")), settings: own, by_host: false }).unwrap()
    });
    client.send_all(&all[20..40]);
    client.sync();
    // The vhost's recording goes elsewhere; the host's goes on.
    let other = config(&format!("dvr_path {}/other.flv;", folder(&dir)));
    host.run(move |engine| {
        engine.config_mut().load_text("test", &format!("listen 127.0.0.1:0; {other}")).unwrap();
        engine.apply().unwrap();
    });
    client.send_all(&all[40..]);
    client.sync();
    host.run(move |engine| engine.dvr_close(id).unwrap());
    assert_eq!(
        host.run(move |engine| engine.dvr_close(id).unwrap_err().to_string()),
        "the recorder has ended"
    );
    client.close();
    let mut files: Vec<_> = (0..3).map(|_| closed(&host)).collect();
    files.sort();
    assert_eq!(files, ["other.flv", "own.flv", "vhost.flv"].map(|name| dir.join(name)));
    assert_eq!(video(&flv::read(&dir.join("vhost.flv"))), bodies(&all[..40]));
    assert_eq!(video(&flv::read(&dir.join("own.flv"))), bodies(&all[20..]));
    assert_eq!(video(&flv::read(&dir.join("other.flv"))), bodies(&all[40..]));
    host.until("all recorders are gone", |engine| engine.dvr_find(&name_of("cam")).is_none());
}

#[test]
fn only_the_streams_that_are_named_are_recorded() {
    let dir = TempDir::new();
    let host = recording(&format!("dvr_apply live/a other/b; dvr_path {}/[stream].flv;", folder(&dir)));
    for stream in ["a", "b", "c"] {
        let mut client = host.publish(stream);
        client.send_all(&[Media::video_header(0, 1), Media::key(0, 100)]);
        client.close();
    }
    assert_eq!(closed(&host), dir.join("a.flv"));
    assert_eq!(names(&dir.join("")), ["a.flv"]);
}

#[test]
fn a_publisher_who_takes_over_begins_another_file() {
    let dir = TempDir::new();
    let dvr = config(&format!("dvr_path {}/[seq].flv;", folder(&dir)));
    let host = Host::start(&dvr.replace("dvr {", "publish { on_conflict replace; } dvr {"));
    let all = frames(0, 4);
    let mut clients = Vec::new();
    for (n, part) in all.chunks(10).enumerate() {
        let mut client = host.publish("cam");
        client.send(&Media::video_header(0, n as u8));
        client.send_all(part);
        client.sync();
        clients.push(client);
    }
    host.until("one publishes", |engine| engine.stats().publishers == 1);
    drop(clients);
    let mut seen: Vec<_> = (0..4).map(|_| video(&flv::read(&closed(&host)))).collect();
    seen.sort();
    let mut sent: Vec<_> = all.chunks(10).map(bodies).collect();
    sent.sort();
    assert_eq!(seen, sent);
}

#[test]
fn a_storm_of_publishes_leaves_nothing_behind() {
    let dir = TempDir::new();
    let host = recording(&format!("dvr_path {}/[stream].flv;", folder(&dir)));
    const N: usize = 200;
    for i in 0..N {
        let mut client = host.publish(&format!("s{}", i % 7));
        client.send_all(&[Media::video_header(0, 1), Media::key(0, 100), Media::audio(1)]);
        drop(client);
    }
    let mut files: Vec<_> = (0..N).map(|_| closed(&host)).collect();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), N);
    files.iter().for_each(|file| assert_eq!(video(&flv::read(file)).len(), 1));
    host.until("all recorders are gone", |engine| {
        (0..7).all(|i| engine.dvr_find(&name_of(&format!("s{i}"))).is_none())
    });
}

#[test]
fn the_oldest_recordings_go_and_nothing_else() {
    let dir = TempDir::new();
    for (name, age) in
        [("live/cam.1.flv", 500), ("live/cam.2.flv", 100), ("live/mine.flv", 900), ("x.flv", 900)]
    {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, vec![0; 1000]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    let left = |gone: &'static str| {
        let gone = dir.join(gone);
        let end = std::time::Instant::now() + PATIENCE;
        while gone.exists() {
            assert!(std::time::Instant::now() < end, "{} stays", gone.display());
            std::thread::yield_now();
        }
        names(&dir.join("live")).len()
    };
    for (limit, gone) in
        [("dvr_max_age 300", "live/cam.1.flv"), ("dvr_max_bytes 1200; dvr_index off", "live/cam.2.flv")]
    {
        let host = recording(&format!("{limit}; dvr_path {}/[app]/[stream].[timestamp].flv;", folder(&dir)));
        let mut client = host.publish("cam");
        client.send_all(&[Media::video_header(0, 1), Media::key(0, 100)]);
        let _ = opened(&host);
        left(gone);
        client.close();
        closed(&host);
    }
    for name in ["live/mine.flv", "x.flv"] {
        assert!(dir.join(name).exists(), "{name} is nobody's recording");
    }
}

#[test]
fn a_clip_of_the_repository_is_whole() {
    let dir = TempDir::new();
    let clip = repository("assets/clip.flv");
    record(&format!("dvr_path {}/clip.mp4;", folder(&dir)), &clip, clients::ffmpeg, clients::ffmpeg);
}
