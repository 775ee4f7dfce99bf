//! Recordings over HTTP: time shift, ranges, and FLV from a keyframe on.

use std::time::{Duration, Instant};

use camrill::amf::{Value, amf0};

use super::support::flv::{self, VIDEO};
use super::*;

/// What a playlist lists: range and file.
fn ranges(playlist: &str) -> Vec<(u64, u64, String)> {
    let mut range = (0, 0);
    let mut all = Vec::new();
    for line in playlist.lines() {
        if let Some(said) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (len, at) = said.split_once('@').unwrap();
            range = (at.parse().unwrap(), len.parse().unwrap());
        } else if !line.starts_with('#') {
            all.push((range.0, range.1, line.to_owned()));
        }
    }
    all
}

fn seconds(playlist: &str) -> f64 {
    let lengths = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    lengths.map(|length| length.trim_end_matches(',').parse::<f64>().unwrap()).sum()
}

#[test]
fn what_was_recorded_plays_as_hls_by_the_time_it_was_recorded() {
    let dir = TempDir::new();
    let host = recording(&format!(
        "dvr_timeshift on; dvr_faststart on; dvr_path \"{}/[app]/[stream] [timestamp].mp4\";",
        folder(&dir)
    ));
    let to = host.run(|engine| web(engine));
    let clip = clients::cut(&dir, 0, 10);
    let began = unix_now();
    let publisher = clients::publish_live(&clip, &url(&host, "cam"));
    let playlist = |from: f64, end: &str| get(to, &format!("/live/cam.m3u8?start={from}{end}"));

    // While it is being recorded: a playlist that grows.
    let until = began + 3000.0;
    let end = Instant::now() + PATIENCE;
    let growing = loop {
        let (status, text) = playlist(began, &format!("&end={until}"));
        if status == 200 {
            break text;
        }
        assert!(status == 404 && Instant::now() < end, "{status} {text}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(growing.contains("TYPE:EVENT") && !growing.contains("ENDLIST"), "{growing}");
    publisher.finish();
    let first = closed(&host);
    let (_, grown) = playlist(began, &format!("&end={until}"));
    assert!(grown.starts_with(&growing), "{growing}{grown}");
    // With an end that has passed it is whole.
    let (status, all) = playlist(began - 5.0, "");
    assert_eq!(status, 200);
    assert!(
        all.contains("TYPE:VOD") && all.ends_with("#EXT-X-ENDLIST\n") && !all.contains("DISCONT"),
        "{all}"
    );
    assert!(all.contains("cam/dvr/cam%20"), "{all}");
    assert!((seconds(&all) - 10.0).abs() < 0.1, "{all}");
    let whole = packets(clients::ffmpeg(), &format!("http://{to}/live/cam.m3u8?start={}", began - 5.0));
    assert_same(&whole, &packets(clients::ffmpeg(), text(&clip)));

    // A part, from a keyframe on.
    let from = began + 4.0;
    let (_, part) = playlist(from, &format!("&end={}", from + 2.0));
    assert!(seconds(&part) < 7.0 && !ranges(&part).is_empty(), "{part}");
    assert!(ranges(&part).iter().all(|range| ranges(&all).iter().any(|known| known.2 == range.2)));

    // Another publish: another file, with a break between them.
    let second = clients::cut(&dir, 6, 4);
    clients::publish_live(&second, &url(&host, "cam")).finish();
    closed(&host);
    let url = format!("http://{to}/live/cam.m3u8?start={began}");
    let (_, both) = get(to, &format!("/live/cam.m3u8?start={began}"));
    // Both have the same tracks: the first one's init segment holds on.
    assert_eq!((both.matches("EXT-X-MAP").count(), both.matches("DISCONTINUITY").count()), (1, 1), "{both}");
    // All packets of both come. (Of what it decodes, ffmpeg leaves out a file's first fragment where times go
    // back, as its MP4 reader is not begun anew at a discontinuity.)
    let mut read = clients::ffmpeg();
    let output =
        read.args(["-i", &url, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let hashes = |text: &[u8]| -> Vec<String> {
        let lines = String::from_utf8_lossy(text);
        let packets = lines.lines().filter(|line| !line.starts_with('#'));
        packets.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
    };
    let sent = [&clip, &second].map(|file| packets(clients::ffmpeg(), text(file)).remove(0));
    let sent: Vec<_> = sent.iter().flatten().map(|packet| packet.hash.clone()).collect();
    assert_eq!(hashes(&output.stdout), sent);

    // What the playlist names is what is in the file.
    let (at, len, uri) = ranges(&all)[1].clone();
    let range = format!("Range: bytes={at}-{}\r\n", at + len - 1);
    let (status, head, body) = http(to, "GET", &format!("/live/{uri}"), &range);
    assert_eq!((status, body.len() as u64), (206, len), "{head}");
    assert!(head.contains("Content-Type: video/mp4"));
    assert_eq!(body, std::fs::read(&first).unwrap()[at as usize..][..len as usize]);
    let (status, head, body) = http(to, "HEAD", &format!("/live/cam.m3u8?start={began}"), "");
    assert_eq!((status, body.len()), (200, 0), "{head}");
}

#[test]
fn only_a_streams_own_recordings_are_served() {
    let dir = TempDir::new();
    let host =
        recording(&format!("dvr_timeshift on; dvr_path {}/[app]/[stream].[timestamp].mp4;", folder(&dir)));
    let to = host.run(|engine| web(engine));
    for name in ["live/cam.1.mp4", "live/cam.1.mp4.tmp", "live/cam.x.mp4", "live/other.1.mp4", "secret.mp4"] {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, name).unwrap();
    }
    std::os::unix::fs::symlink(dir.join("secret.mp4"), dir.join("live/cam.2.mp4")).unwrap();
    assert_eq!(get(to, "/live/cam/dvr/cam.1.mp4"), (200, "live/cam.1.mp4".into()));
    for path in [
        "/live/cam/dvr/cam.1.mp4.tmp",
        "/live/cam/dvr/cam.x.mp4",
        "/live/cam/dvr/other.1.mp4",
        "/live/cam/dvr/cam.2.mp4",
        "/live/cam/dvr/cam.3.mp4",
        "/live/cam/dvr/../dvr/secret.mp4",
        "/live/cam/dvr/..%2f..%2fsecret.mp4",
        "/live/cam/dvr/%2e%2e/secret.mp4",
        "/live/../dvr/secret.mp4",
        "/live/cam/dvr/",
        "/live/cam/dvr",
        "/dvr/cam.1.mp4",
        "/live/cam.m3u8?start=1&end=80000",
    ] {
        let (status, body) = get(to, path);
        assert_eq!(status, 404, "{path}: {body}");
    }
    for query in ["start=x", "start=5", "start=5&end=4", "start=0&end=90000", "start="] {
        let (status, body) = get(to, &format!("/live/cam.m3u8?{query}"));
        assert_eq!(status, 400, "{query}: {body}");
    }
    assert_eq!(http(to, "POST", "/live/cam.m3u8?start=1", "Content-Length: 0\r\n").0, 405);
}

#[test]
fn the_host_decides_who_sees_recordings() {
    let dir = TempDir::new();
    let config = config(&format!("dvr_timeshift on; dvr_path {}/[stream].mp4;", folder(&dir)));
    let host = Host::start_with(&config, |engine| engine.ask(true));
    let to = host.run(|engine| web(engine));
    for (verdict, status) in [(Ok(()), 404), (Err("not you"), 403)] {
        let answer = std::thread::spawn(move || get(to, "/live/cam.m3u8?start=1&end=2&token=x"));
        let asked = host.event(|event| match event {
            Event::Admission(admission) => Some(admission),
            _ => None,
        });
        assert_eq!(
            (asked.subject.name.to_string().as_str(), asked.subject.param.contains("token=x")),
            ("__defaultVhost__/live/cam", true)
        );
        host.run(move |engine| engine.reply(asked.ticket, verdict)).unwrap();
        assert_eq!(answer.join().unwrap().0, status);
    }
}

/// The positions and times of an FLV file's keyframes, as its own index has them.
fn index(file: &Path) -> Option<Vec<(u64, u32)>> {
    let tags = flv::read(file);
    let values = amf0::read_all(&tags[0].body).unwrap();
    let keyframes = values[1].property("keyframes")?;
    let list = |name| match keyframes.property(name) {
        Some(Value::StrictArray(values)) => values.iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let times = list("times").into_iter().map(|s| (s * 1000.0).round() as u32);
    Some(list("filepositions").into_iter().map(|at| at as u64).zip(times).collect())
}

#[test]
fn an_flv_file_plays_from_each_keyframe_of_its_index() {
    let dir = TempDir::new();
    let web_dir = folder(&dir);
    let dvr = format!("dvr_index on; dvr_plan append; dvr_path {web_dir}/[stream].flv;");
    let conf = format!("listen 127.0.0.1:0; {}", config_in(&web_dir, &dvr));
    let host = Host::start_with(&conf, |_| ());
    let to = host.run(|engine| web(engine));
    publish(&host, clients::ffmpeg(), &clients::cut(&dir, 0, 10), "cam");
    let file = closed(&host);
    let tags = flv::read(&file);
    let keys: Vec<_> = tags.iter().filter(|tag| tag.is_video_key()).map(|tag| tag.time).collect();
    let index_of_all = index(&file).expect("an index");
    assert_eq!(index_of_all.iter().map(|(_, time)| *time).collect::<Vec<_>>(), keys);
    for (at, time) in &index_of_all {
        let url = format!("http://{to}/cam.flv?start={at}");
        let (status, _, body) = http(to, "GET", &format!("/cam.flv?start={at}"), "");
        assert_eq!(status, 200);
        let rest = flv::Parser::default().feed(&body);
        let first = rest.iter().find(|tag| tag.is_frame()).unwrap();
        assert!(first.is_video_key() && first.time == *time, "{first:?}");
        flv::assert_configs(&rest, &tags);
        let sent = tags.iter().filter(|tag| tag.kind == VIDEO && tag.is_frame() && tag.time >= *time).count();
        let output =
            clients::ffmpeg().args(["-i", &url, "-map", "0:v", "-f", "framemd5", "-"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{url}");
        let frames =
            String::from_utf8(output.stdout).unwrap().lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(frames, sent, "{url}");
    }
    // A file that is gone on with keeps the index that it has: what it names is still there.
    publish(&host, clients::ffmpeg(), &clients::cut(&dir, 6, 4), "cam");
    closed(&host);
    assert_eq!(index(&file).as_ref(), Some(&index_of_all));
    packets(clients::ffmpeg(), text(&file));
}

#[test]
fn an_mp4_file_plays_from_anywhere_over_http() {
    let dir = TempDir::new();
    let web_dir = folder(&dir);
    let clip = clients::cut(&dir, 0, 10);
    for faststart in ["on", "off"] {
        let dvr = format!("dvr_faststart {faststart}; dvr_path {web_dir}/{faststart}.mp4;");
        let conf = format!("listen 127.0.0.1:0; {}", config_in(&web_dir, &dvr));
        let host = Host::start_with(&conf, |_| ());
        let to = host.run(|engine| web(engine));
        publish(&host, clients::ffmpeg(), &clip, "cam");
        let bytes = std::fs::read(closed(&host)).unwrap();
        let url = format!("http://{to}/{faststart}.mp4");
        for (range, from, len) in
            [("0-1", 0, 2), ("100-", 100, bytes.len() - 100), ("-7", bytes.len() - 7, 7)]
        {
            let curl = Command::new("curl").args(["-sf", "-r", range, &url]).output().unwrap();
            assert!(curl.status.success() && curl.stdout == bytes[from..from + len], "{range}");
        }
        let mut seek = clients::ffmpeg();
        seek.args(["-ss", "6.5", "-i", &url, "-map", "0:v", "-f", "framemd5", "-"]);
        let output = seek.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let frames =
            String::from_utf8(output.stdout).unwrap().lines().filter(|l| !l.starts_with('#')).count();
        let rate = flv::track(&flv::read(&clip), VIDEO).len() as f64 / 10.0;
        assert!((frames as f64 - 3.5 * rate).abs() <= 2.0, "{frames} frames at {rate}");
    }
}
