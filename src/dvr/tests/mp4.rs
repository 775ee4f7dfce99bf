//! Files of fragments.

use super::*;

#[test]
fn an_mp4_file_is_an_init_segment_and_fragments() {
    let mut b = Bench::new(mp4());
    b.begin(&headers());
    b.write(&frame(Kind::Data, Codec::Script, Role::Mark, 1000, &b"\x02\x00\x01x"[..]));
    for at in [1000, 2000] {
        for f in gop(at, 25) {
            b.now = Time::from_millis(f.dts as u64 / 1000);
            b.write(&f);
            b.now = Time::from_millis(f.dts as u64 / 1000 + 10);
            b.write(&audio(f.dts / 1000 + 10, 100_000 + f.dts as u32 / 1000));
        }
    }
    b.end();
    let file = &b.files[&0];
    assert_eq!(file.path, "s-0.mp4");
    assert_eq!(file.closed, Some((1_970_000, file.bytes.len() as u64)));
    let (init, found) = fragments(&file.bytes);
    assert_eq!(init.map(|i| (i.video.is_some(), i.audio.is_some())), Some((true, true)));
    let spans: Vec<_> = found.iter().map(|(f, _)| (f.start_us, f.duration_us, f.key, f.wall_us)).collect();
    let wall = (1_795_180_389_714 + 1000) * 1000;
    assert_eq!(
        spans,
        [(0, 1_000_000, true, Some(wall)), (1_000_000, 1_000_000, true, Some(wall + 1_000_000))]
    );
    // The first fragment's last audio frame waits for the next one, to know how long it lasts.
    let video: Vec<u32> = (0..25).map(|i| 1000 + 40 * i).collect();
    let mut expected = video.clone();
    expected.extend((0..24).map(|i| 101_000 + 40 * i));
    assert_eq!(found[0].1, expected);
    for (_, ids) in &found {
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(&sorted, ids);
    }
    assert_eq!(found.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 100);
    // Each track's fragments join.
    for kind in [Kind::Video, Kind::Audio] {
        let runs: Vec<_> = found.iter().flat_map(|(f, _)| &f.runs).filter(|r| r.kind == kind).collect();
        assert!(runs.windows(2).all(|w| w[0].end() == w[1].time), "{kind:?}");
    }
}

#[test]
fn what_mp4_has_no_place_for_is_said_once() {
    let mut b = Bench::new(mp4());
    b.begin(&Headers { video: headers().video, ..Headers::default() });
    let speex = |ms| frame(Kind::Audio, Codec::Other(11), Role::Key, ms, &b"....."[..]);
    for f in gop(0, 3) {
        b.write(&f);
        b.write(&speex(f.dts / 1000));
    }
    b.end();
    assert_eq!(b.refused.len(), 1);
    assert_eq!(
        b.refused[0].to_string(),
        "audio (FLV11) is not recorded: FLV11 has no mapping to MP4 that players know"
    );
    assert_eq!(fragments(&b.files[&0].bytes).1[0].1, [0, 40, 80]);

    // Video that can't be recorded doesn't keep audio waiting for its keyframe.
    let mut b = Bench::new(mp4());
    b.begin(&sound());
    b.write(&frame(Kind::Video, Codec::Vp8, Role::Key, 0, &b"1234"[..]));
    b.write(&audio(0, 5));
    b.end();
    assert!(matches!(b.refused[..], [Refusal::Track { kind: Kind::Video, codec: Codec::Vp8, .. }]));
    assert_eq!(fragments(&b.files[&0].bytes).1[0].1, [5]);

    // Frames whose header has not come can't be described.
    let mut b = Bench::new(mp4());
    b.begin(&Headers::default());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!((b.files.len(), b.refused.len()), (0, 1));
}

#[test]
fn the_picture_has_the_size_that_the_metadata_says_where_its_header_does_not() {
    let vp9 = |role, payload: &'static [u8]| frame(Kind::Video, Codec::Vp9, role, 0, payload);
    let mut body = BytesMut::new();
    amf::amf0::string(&mut body, "onMetaData");
    amf::amf0::ecma_array(&mut body, &[("width".into(), 1280.0.into()), ("height".into(), 720.0.into())]);
    let mut b = Bench::new(mp4());
    b.begin(&Headers {
        metadata: Some(frame(Kind::Data, Codec::Script, Role::Header, 0, body)),
        video: Some(vp9(Role::Header, b"\x01\0\0\0\0\x1f\x82\x01\x01\x01\0\0")),
        audio: None,
    });
    b.write(&vp9(Role::Key, b"1234"));
    b.end();
    assert_eq!(b.refused, []);
    let video = fragments(&b.files[&0].bytes).0.unwrap().video.unwrap();
    assert_eq!((video.width, video.height), (1280, 720));
}

#[test]
fn another_header_makes_another_mp4_file() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(mp4());
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.write(&headers().video.unwrap());
    gop(80, 2).for_each(|f| b.write(&f));
    b.write(&other);
    b.write(&audio(160, 160));
    gop(170, 2).for_each(|f| b.write(&f));
    b.end();
    let ids: Vec<Vec<u32>> = b
        .files
        .values()
        .map(|f| fragments(&f.bytes).1.into_iter().flat_map(|(_, ids)| ids).collect())
        .collect();
    assert_eq!(ids, [vec![0, 40, 80, 120, 160], vec![170, 210]]);
}

#[test]
fn a_power_cut_costs_a_fragment() {
    let mut b = Bench::new(Options { fragment_us: 200_000, ..mp4() });
    b.begin(&headers());
    for f in gop(0, 101) {
        b.now = Time::from_millis(f.dts as u64 / 1000);
        b.write(&f);
        b.pass(0);
    }
    // Four seconds: what is gathered is at most a second, and a fragment of 0.2 s.
    let whole: usize = fragments(&b.files[&0].raw).1.iter().map(|(_, ids)| ids.len()).sum();
    assert!(whole >= 101 - 25 - 5 - 1, "{whole}");
    let mut b = Bench::new(Options { fragment_us: 0, ..mp4() });
    b.begin(&headers());
    for at in [0, 400, 800] {
        gop(at, 10).for_each(|f| b.write(&f));
    }
    b.end();
    let lengths: Vec<_> = fragments(&b.files[&0].bytes).1.iter().map(|(_, ids)| ids.len()).collect();
    assert_eq!(lengths, [10, 10, 10], "GOP by GOP");
}
