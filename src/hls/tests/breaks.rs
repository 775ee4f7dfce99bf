//! Publishes, parameters and clocks that change, and restarts.

use super::*;

#[test]
fn a_publish_after_another_is_a_discontinuity() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()] {
        let mut disk = Disk::new(options);
        for n in 0..12 {
            disk.begin(&headers());
            live(&mut disk, 1_000_000, 9, 50);
            disk.end();
            let closed = disk.closed.iter().filter(|c| c.discontinuity).count();
            assert_eq!(closed, n);
        }
        assert_eq!(disk.last.as_ref().unwrap().segments.last().unwrap().discontinuity_seq, 11);
        let inits = disk.files.keys().filter(|name| name.contains("init")).count();
        assert!(inits <= 1, "the same parameters need the same section");
        assert_eq!(disk.known.len() as u64, disk.last.as_ref().unwrap().next_seq());
        disk.writer.finish();
        disk.drain();
        assert!(disk.last.as_ref().unwrap().ended);
    }
}

#[test]
fn a_change_of_parameters_is_a_discontinuity_with_a_section_of_its_own() {
    let mut disk = Disk::new(low_latency());
    disk.begin(&headers());
    live(&mut disk, 0, 10, 50);
    disk.write(&video_header(LARGE));
    live(&mut disk, 10_000_000, 10, 50);
    // The same again changes nothing; other audio waits for a keyframe.
    disk.write(&video_header(LARGE));
    disk.write(&audio_header(&[0x12, 0x10]));
    live(&mut disk, 20_000_000, 10, 50);
    disk.end();
    let at: Vec<_> = disk.closed.iter().filter(|c| c.discontinuity).map(|c| c.seq).collect();
    assert_eq!(at, [5, 10]);
    let maps: BTreeSet<_> = disk.known.values().map(|k| k.3.clone().unwrap()).collect();
    let maps: Vec<_> = maps.iter().map(String::as_str).collect();
    assert_eq!(maps, ["livestream/init-10.mp4", "livestream/init-5.mp4", "livestream/init.mp4"]);
    let Answer::Ready(master) = disk.writer.master("livestream.m3u8?hls_ctx=1") else { panic!() };
    let master = std::str::from_utf8(&master).unwrap();
    assert!(master.contains("RESOLUTION=1280x720\nlivestream.m3u8?hls_ctx=1\n"), "{master}");
    assert!(master.contains("CODECS=\"avc1.64001f,mp4a.40.2\""), "{master}");
    hls_m3u8::MasterPlaylist::try_from(master).unwrap();
    let rate: usize = attribute(master, "BANDWIDTH").unwrap().parse().unwrap();
    let listed = disk.closed.iter().filter(|c| c.seq >= disk.last.as_ref().unwrap().segments[0].seq);
    let peak = listed.map(|c| c.bytes.len() as f64 * 8e6 / c.duration_us as f64).fold(0.0, f64::max);
    assert_eq!(rate, peak.ceil() as usize);
}

#[test]
fn a_leap_is_a_discontinuity_and_an_audio_gap_is_not() {
    for to in [1_000_000_000, -50_000_000] {
        let mut disk = Disk::new(options(Format::Fmp4));
        disk.begin(&headers());
        live(&mut disk, 0, 7, 50);
        live(&mut disk, to, 7, 50);
        disk.end();
        let at: Vec<_> = disk.closed.iter().map(|c| (c.discontinuity, c.duration_us / 1000)).collect();
        let none = |ms| (false, ms);
        assert_eq!(
            at,
            [
                none(2000),
                none(2000),
                none(2000),
                none(1000),
                (true, 2000),
                none(2000),
                none(2000),
                none(1000)
            ]
        );
    }
    let mut disk = Disk::new(options(Format::Fmp4));
    disk.begin(&headers());
    live(&mut disk, 0, 8, 50);
    (200..2000).for_each(|n| disk.write(&video(n % 50 == 0, n * 40_000)));
    live(&mut disk, 80_000_000, 8, 50);
    assert!(disk.closed.iter().all(|c| !c.discontinuity && c.duration_us == 2_000_000));
}

#[test]
fn what_cannot_be_carried_is_left_out_or_refused() {
    let g711 = |dts| frame(Kind::Audio, Codec::G711A, Role::Key, dts, vec![0x55; 160]);
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[video_header(SMALL)]);
    for n in 0..200 {
        disk.write(&video(n % 50 == 0, n * 40_000));
        disk.write(&g711(n * 40_000));
    }
    assert_eq!(disk.others, [Output::LeftOut { codec: Codec::G711A }]);
    assert_eq!(disk.closed.len(), 3);

    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[]);
    (0..200).for_each(|n| disk.write(&g711(n * 20_000)));
    disk.end();
    let codec = Codec::G711A;
    assert_eq!(disk.others, [Output::LeftOut { codec }, Output::Refused { codec }]);
    assert_eq!((disk.closed.len(), disk.playlists), (0, 0));
    assert_eq!(disk.writer.playlist(&Reload::default(), None), Answer::NotYet);
}

#[test]
fn a_restart_goes_on_with_the_playlist_that_is_there() {
    let mut options = options(Format::Fmp4);
    options.keep_bytes = false;
    let mut first = Writer::new(options.clone()).unwrap();
    let mut text = Bytes::new();
    let run = |writer: &mut Writer, text: &mut Bytes, expired: &mut Vec<String>| {
        writer.begin(&Headers::default());
        headers().iter().for_each(|h| writer.write(&Calendar::default(), h));
        for n in 0..700 {
            writer
                .write(&Calendar { unix_ms: n * 40, ..Calendar::default() }, &video(n % 50 == 0, n * 40_000));
        }
        writer.end();
        while let Some(output) = writer.poll_output() {
            match output {
                Output::Playlist { text: now, .. } => *text = now,
                Output::Expired { name } => expired.push(name),
                _ => {}
            }
        }
    };
    let mut expired = Vec::new();
    run(&mut first, &mut text, &mut expired);
    assert_eq!(first.bytes(), 0);
    let before = read(&text);
    assert_eq!(before.segments[0].seq, 10);

    let mut second = Writer::new(options.clone()).unwrap();
    second.recover(std::str::from_utf8(&text).unwrap());
    let Answer::Ready(listed) = second.playlist(&Reload::default(), None) else { panic!() };
    let facts = |read: Read| -> Vec<_> {
        read.segments.into_iter().map(|s| (s.seq, s.uri, s.map, s.discontinuity_seq, s.duration)).collect()
    };
    let (was, is) = (facts(before), facts(read(&listed)));
    assert_eq!(was, is);
    expired.clear();
    run(&mut second, &mut text, &mut expired);
    let after = read(&text);
    assert_eq!(after.next_seq(), 28);
    assert_eq!(after.segments.last().unwrap().discontinuity_seq, 1);
    for name in ["live/livestream-10.m4s", "live/livestream-13.m4s", "live/livestream/init.mp4"] {
        assert!(expired.iter().any(|e| e == name), "{name} in {expired:?}");
    }

    // Kept in memory there is nothing to list, but numbers go on.
    let mut memory = Writer::new(Options { keep_bytes: true, ..options }).unwrap();
    memory.recover(std::str::from_utf8(&listed).unwrap());
    assert_eq!(memory.playlist(&Reload::default(), None), Answer::NotYet);
    run(&mut memory, &mut text, &mut expired);
    assert_eq!(read(&text).next_seq(), 28);

    let evil = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n%2e%2e/%2e%2e/x\n#EXTINF:2.0,\n/etc/x\n";
    let mut writer = Writer::new(Options { keep_bytes: false, ..self::options(Format::Ts) }).unwrap();
    writer.recover(evil);
    writer.dispose();
    assert_eq!(writer.poll_output(), Some(Output::Expired { name: "live/livestream.m3u8".into() }));
    assert_eq!(writer.poll_output(), None);
}

#[test]
fn dates_follow_the_clock_and_hardly_go_back() {
    let dates = |clock: &dyn Fn(i64) -> i64| {
        let mut writer = Writer::new(options(Format::Ts)).unwrap();
        writer.begin(&Headers { video: Some(video_header(SMALL)), ..Headers::default() });
        let mut dates = Vec::new();
        for n in 0..400 {
            let when = Calendar { unix_ms: clock(n * 40), ..Calendar::default() };
            writer.write(&when, &video(n % 50 == 0, n * 40_000));
            while let Some(output) = writer.poll_output() {
                if let Output::Segment(closed) = output {
                    dates.push(closed.date_ms);
                }
            }
        }
        dates
    };
    // What comes late or early by a little is not in the dates.
    assert_eq!(
        dates(&|ms| 1000 + ms + (ms / 2000 % 2) * 300),
        [1000, 3000, 5000, 7000, 9000, 11_000, 13_000]
    );
    // A clock that is set leaps forth, and back by little at a time.
    let set = |by: i64| move |ms: i64| if ms < 6000 { ms } else { ms + by };
    assert_eq!(dates(&set(1_000_000))[2..5], [4000, 1_006_000, 1_008_000]);
    assert_eq!(dates(&set(-1200))[2..], [4000, 5500, 7000, 9000, 11_000]);
}
