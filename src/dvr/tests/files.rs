//! What is in a file, and what it is called.

use super::*;

#[test]
fn a_session_is_a_file_with_its_headers_first_and_its_length_in_the_end() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    b.write(&video(Role::Delta, 4960, 1));
    b.write(&audio(4980, 2));
    for f in [video(Role::Key, 5000, 3), audio(5010, 4), video(Role::Delta, 5040, 5)] {
        b.write(&f);
    }
    assert!(b.recorder.is_recording());
    b.end();
    assert!(!b.recorder.is_recording());
    let file = &b.files[&0];
    assert_eq!((file.path.as_str(), file.append), ("d/live/s-0.flv", false));
    assert_eq!(file.closed, Some((40_000, file.bytes.len() as u64)));
    let all = file.all();
    let kinds: Vec<_> = all.iter().map(|f| (f.kind, f.role, f.dts / 1000)).collect();
    assert_eq!(
        kinds,
        [
            (Kind::Data, Role::Header, 0),
            (Kind::Video, Role::Header, 0),
            (Kind::Audio, Role::Header, 0),
            (Kind::Video, Role::Key, 0),
            (Kind::Audio, Role::Key, 10),
            (Kind::Video, Role::Delta, 40),
        ]
    );
    assert_eq!((&all[1].payload[..], &all[2].payload[..]), (AVCC, ASC));
    assert_eq!(b.ids(), [[3, 4, 5]]);
    let said = [("duration".to_owned(), 0.04.into()), ("filesize".into(), (file.bytes.len() as f64).into())];
    assert_eq!(file.metadata(), said);
    assert_eq!(file.bytes[4], 5);
}

#[test]
fn the_publishers_metadata_stays_but_for_what_is_true_of_other_files() {
    let mut body = BytesMut::new();
    amf::amf0::string(&mut body, "onMetaData");
    let nested = amf::Value::Object(vec![
        ("list".into(), amf::Value::StrictArray(vec![1.0.into(), "x".into(), amf::Value::Null])),
        ("date".into(), amf::Value::Date(5.0)),
    ]);
    let kept = [
        ("width".to_owned(), amf::Value::from(1280.0)),
        ("nested".into(), nested.clone()),
        ("encoder".into(), "Lavf".into()),
        ("array".into(), amf::Value::EcmaArray(vec![("a".into(), true.into())])),
        ("typed".into(), amf::Value::TypedObject("T".into(), vec![("a".into(), amf::Value::Undefined)])),
        ("long".into(), amf::Value::from("y".repeat(65_536))),
        ("xml".into(), amf::Value::Xml("<a/>".into())),
    ];
    let mut said = kept.to_vec();
    said.insert(1, ("keyframes".into(), nested));
    said.insert(3, ("lasttimestamp".into(), 7.0.into()));
    said.push(("filesize".into(), 9.0.into()));
    amf::amf0::ecma_array(&mut body, &said);
    let metadata = frame(Kind::Data, Codec::Script, Role::Header, 0, body);
    let mut b = Bench::new(options());
    b.begin(&Headers { metadata: Some(metadata), ..headers() });
    gop(0, 3).for_each(|f| b.write(&f));
    b.end();
    let found = b.files[&0].metadata();
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("duration", "filesize"));
    assert!(found[2..] == kept, "other values");
    let count = u32::from_be_bytes(b.files[&0].bytes[13 + 11 + 13 + 1..][..4].try_into().unwrap());
    assert_eq!(count as usize, found.len());
}

#[test]
fn a_file_tells_where_its_keyframes_are() {
    for gops in [0, 1, 2, DVR_INDEX_KEYFRAMES, DVR_INDEX_KEYFRAMES + 1, 5 * DVR_INDEX_KEYFRAMES + 7] {
        let mut b = Bench::new(Options { keyframe_index: true, ..options() });
        b.begin(&if gops == 0 { sound() } else { headers() });
        b.write(&audio(0, 0));
        for i in 0..gops as i64 {
            gop(i * 80, 2).for_each(|f| b.write(&f));
        }
        b.end();
        let file = &b.files[&0];
        let metadata = file.metadata();
        let (name, index) = &metadata[2];
        assert_eq!(name, if gops < 2 { "unindexed" } else { "keyframes" });
        let list = |name| match index.property(name).unwrap() {
            amf::Value::StrictArray(values) => values.iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>(),
            _ => panic!("an array"),
        };
        let (at, times) = (list("filepositions"), list("times"));
        assert_eq!(at.len(), times.len());
        assert_eq!(2 * at.len() + list("spacer").len(), 2 * DVR_INDEX_KEYFRAMES);
        let least = if gops > DVR_INDEX_KEYFRAMES { DVR_INDEX_KEYFRAMES / 2 } else { gops };
        assert!(at.len() >= least && at.len() <= DVR_INDEX_KEYFRAMES, "{} of {gops}", at.len());
        let steps: Vec<_> = times.windows(2).map(|w| ((w[1] - w[0]) * 1000.0).round()).collect();
        assert!(steps.windows(2).all(|w| w[0] == w[1]), "evenly spread");
        for (at, time) in at.iter().zip(times) {
            let tag = &tags(&[&flv::file::header(true, true), &file.bytes[*at as usize..]].concat())[0];
            assert!(tag.is_video_key());
            assert_eq!(tag.dts as f64 / 1e6, time);
        }
        // What a power cut leaves is a file of the same shape.
        assert_eq!(tags(&file.raw).len(), file.all().len());
    }
}

#[test]
fn a_changed_header_goes_before_the_frames_that_need_it() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 1).for_each(|f| b.write(&f));
    b.write(&headers().video.unwrap());
    b.write(&other);
    gop(40, 1).for_each(|f| b.write(&f));
    b.end();
    let sets: Vec<_> =
        b.files[&0].all().iter().filter(|f| f.kind == Kind::Video).map(|f| (f.role, f.dts / 1000)).collect();
    assert_eq!(sets, [(Role::Header, 0), (Role::Key, 0), (Role::Header, 40), (Role::Key, 40)]);
}

#[test]
fn small_writes_are_gathered() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    for f in gop(0, 100) {
        b.write(&f);
        b.pass(40);
    }
    assert_eq!((b.writes.len(), b.recorder.poll_timeout()), (4, None));
    b.write(&video(Role::Delta, 4000, 0));
    b.pass(999);
    assert_eq!(b.writes.len(), 4);
    b.pass(1);
    assert_eq!(b.writes.len(), 5);
    b.write(&frame(Kind::Video, Codec::H264, Role::Delta, 4040, vec![0; DVR_GATHER_BYTES]));
    assert_eq!(b.writes.len(), 6, "enough is written at once");
}

#[test]
fn names() {
    let path = |path: &str, stream: &str| {
        let mut b = Bench::new(Options { path: path.into(), stream: stream.into(), ..options() });
        b.begin(&headers());
        gop(0, 2).for_each(|f| b.write(&f));
        b.end();
        (b.files.get(&0).map(|f| f.path.clone()), b.refused)
    };
    let name = "[vhost]/[2006]/[01]/[02]/[15].[04].[05].[999].flv";
    assert_eq!(path(name, "s").0.unwrap(), "v/2026/11/21/00.01.02.714.flv");
    assert_eq!(path("/rec/[app]", "s").0.unwrap(), "/rec/live/s.1795180389714.flv");
    assert_eq!(path("/rec/", "s").0.unwrap(), "/rec/s.1795180389714.flv");
    let (file, refused) = path("/rec/[stream].flv", "..");
    assert_eq!(file, None);
    assert!(matches!(refused[..], [Refusal::Path(_)]), "said once");
}

#[test]
fn corrections() {
    let at = |jitter, ms: [i64; 3]| {
        let mut b = Bench::new(Options { jitter, ..options() });
        b.begin(&headers());
        b.write(&video(Role::Key, ms[0], 0));
        b.write(&video(Role::Delta, ms[1], 1));
        b.write(&video(Role::Delta, ms[2], 2));
        b.end();
        b.times(0)
    };
    assert_eq!(at(Correction::FULL, [5000, 5040, 90_000]), [0, 40, 50]);
    assert_eq!(at(Correction::Zero, [5000, 5040, 90_000]), [0, 40, 85_000]);
    assert_eq!(at(Correction::Off, [5000, 5040, 90_000]), [5000, 5040, 90_000]);
}

#[test]
fn the_end_of_a_file_that_lost_power() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 4).for_each(|f| b.write(&f));
    b.end();
    let bytes = &b.files[&0].bytes;
    let ends: Vec<_> = {
        let mut tail = Tail::new(bytes.len() as u64, &bytes[..13]).unwrap();
        let mut ends = vec![13];
        while tail.at() < bytes.len() as u64 {
            let at = tail.at() as usize;
            assert!(tail.handle_input(tail.at(), &bytes[at..at + Tail::HEADER]));
            ends.push(tail.at());
        }
        assert_eq!(tail.last_ms(), Some(120));
        ends
    };
    assert_eq!(ends.len(), 1 + 7);
    for length in 13..=bytes.len() {
        let mut tail = Tail::new(length as u64, &bytes[..13]).unwrap();
        while let Some(header) = bytes[..length].get(tail.at() as usize..tail.at() as usize + Tail::HEADER)
            && tail.handle_input(tail.at(), header)
        {}
        let whole = ends.iter().rfind(|end| **end <= length as u64);
        assert_eq!(Some(&tail.at()), whole);
        let size = u32::from_be_bytes(bytes[length - 4..length].try_into().unwrap());
        let mut tail = Tail::new(length as u64, &bytes[..13]).unwrap();
        if let Some(at) = tail.last_tag(size)
            && tail.handle_input(at, &bytes[at as usize..at as usize + Tail::HEADER])
        {
            assert_eq!(Some(&tail.at()), whole, "the short way leads to the same place");
        }
    }
    assert_eq!(Tail::new(100, b"\0\0\0\x18ftypiso6\0"), None);
}
