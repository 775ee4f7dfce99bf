//! What breaks off, is not there, or makes no sense.

use super::*;

#[test]
fn what_breaks_off_is_gone_on_with_where_it_was() {
    for options in all() {
        let (files, frames, segments) = recorded(options);
        for cut in [0, 1, 17, 1000, 20_000, 30_000] {
            let mut broken = BTreeMap::new();
            let server = |_: Time, path: &str| {
                let Some(bytes) = files.get(path) else { return Answer::Absent };
                // Each file breaks off twice, the second time further on.
                let times: &mut usize = broken.entry(path.to_owned()).or_default();
                *times += 1;
                match *times {
                    1 => Answer::Broken(bytes.slice(..bytes.len().min(cut))),
                    2 => Answer::Broken(bytes.slice(..bytes.len().min(cut + cut / 2))),
                    _ => Answer::Body(bytes.clone()),
                }
            };
            let pulled = pull(Way { size: 333, ..FAST }, server);
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            for kind in [Kind::Video, Kind::Audio] {
                same(&pulled.of(kind), &of(&frames, kind));
            }
            assert_eq!(pulled.paths(&segments[0]).len(), 3);
            assert_eq!(
                pulled.fetched.iter().map(|(ms, _)| *ms).take(4).collect::<Vec<_>>(),
                [0, 1000, 2000, 2000]
            );
        }
    }
}

#[test]
fn a_segment_that_is_not_to_be_had_is_left_out() {
    for (n, options) in all().into_iter().enumerate() {
        let (files, frames, segments) = recorded(options);
        let gone = segments[2].clone();
        let without = |frame: &&Frame| !(4_000_000..6_000_000).contains(&frame.dts);
        for (absent, why) in [(true, "404"), (false, "it broke off")] {
            let server = |_: Time, path: &str| match files.get(path) {
                Some(_) if path == gone && absent => Answer::Absent,
                Some(_) if path == gone => Answer::Broken(Bytes::new()),
                Some(bytes) => Answer::Body(bytes.clone()),
                None => Answer::Absent,
            };
            let pulled = pull(FAST, server);
            assert_eq!(
                (pulled.error.as_ref(), pulled.paths(&gone).len()),
                (None, if absent { 1 } else { 3 })
            );
            assert_eq!(pulled.left_out, [(gone.clone(), why.to_owned())]);
            let (video, was) = (pulled.of(Kind::Video), of(&frames, Kind::Video));
            same(&video, &was.into_iter().filter(without).collect::<Vec<_>>());
        }
        // Cut off in its middle for good: what is whole of it is played, and from the next one on everything.
        let server = |_: Time, path: &str| match files.get(path) {
            Some(bytes) if path == gone => Answer::Broken(bytes.slice(..bytes.len() / 2)),
            Some(bytes) => Answer::Body(bytes.clone()),
            None => Answer::Absent,
        };
        let pulled = pull(FAST, server);
        assert_eq!((pulled.error.as_ref(), pulled.left_out.len()), (None, 1));
        let (video, was) = (pulled.of(Kind::Video), of(&frames, Kind::Video));
        let whole = video.len() - 250;
        // Fragments have their audio behind all video.
        assert_eq!(whole, [24, 0, 24][n]);
        same(&video, &[&was[..100 + whole], &was[150..]].concat());
    }
}

#[test]
fn six_segments_without_a_frame_are_the_end() {
    let (files, ..) = recorded(all()[0].clone());
    let with = |replace: &dyn Fn(&Bytes) -> Answer| {
        let server = |_: Time, path: &str| match files.get(path) {
            Some(bytes) if path.ends_with(".ts") => replace(bytes),
            Some(bytes) => Answer::Body(bytes.clone()),
            None => Answer::Absent,
        };
        let pulled = pull(FAST, server);
        assert!(pulled.frames.is_empty());
        (pulled.error.unwrap().to_string(), pulled.left_out.len(), pulled.cancelled)
    };
    let said = |why: &str| format!("HLS: no frame in 6 segments in a row; of the last: {why}");
    assert_eq!(with(&|_| Answer::Absent), (said("404"), 5, 0));
    // Without its tables.
    let (tables, nothing) = (2 * mpegts::PACKET_BYTES, said("a transport stream without a frame"));
    assert_eq!(with(&|bytes| Answer::Body(bytes.slice(tables..))), (nothing.clone(), 5, 0));
    assert_eq!(with(&|_| Answer::Body("<html>".into())), (said("nothing to play in it"), 5, 0));
    assert_eq!(with(&|_| Answer::Body("<html></html>".into())), (nothing, 5, 0));
    let page = Bytes::from(vec![b' '; 100_000]);
    let none = said("not a transport stream: no packets within 65536 bytes");
    assert_eq!(with(&|_| Answer::Body(page.clone())), (none, 5, 6));
    let audio = said("packed audio without a timestamp: an ID3 tag in front of it was expected to have one");
    assert_eq!(with(&|_| Answer::Body(b"\xff\xf1\x50\x80\x02\x1f\xfc\0"[..].into())), (audio, 5, 6));
}

#[test]
fn fragments_need_their_map() {
    let (mut files, frames, _) = recorded(all()[1].clone());
    let text = std::str::from_utf8(&files["main.m3u8"]).unwrap();
    let without = text.lines().filter(|line| !line.starts_with("#EXT-X-MAP")).map(|line| format!("{line}\n"));
    let without = Bytes::from(without.collect::<String>());
    let with = std::mem::replace(files.get_mut("main.m3u8").unwrap(), without);
    let pulled = pull(FAST, serve(&files));
    let why = "MP4: there is no box 'moov'";
    assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));

    files.insert("main.m3u8".into(), with);
    let init = files.remove("livestream/init.mp4").unwrap();
    let pulled = pull(FAST, serve(&files));
    let why = "its initialization section: 404";
    assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));

    // All in one file, told by ranges.
    let mut all = BytesMut::from(&init[..]);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"{}@0\"\n",
        init.len()
    );
    for n in 0..6 {
        let segment = &files[&format!("livestream-{n}.m4s")];
        let offset = if n == 0 { format!("@{}", all.len()) } else { String::new() };
        text.push_str(&format!("#EXTINF:2,\n#EXT-X-BYTERANGE:{}{offset}\nall.mp4\n", segment.len()));
        all.extend_from_slice(segment);
    }
    text.push_str("#EXT-X-ENDLIST");
    let files =
        Files::from([("main.m3u8".to_owned(), Bytes::from(text)), ("all.mp4".to_owned(), all.freeze())]);
    let pulled = pull(FAST, serve(&files));
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 8));
    same(&pulled.of(Kind::Video), &of(&frames, Kind::Video));
}

#[test]
fn a_key_has_sixteen_bytes_and_is_the_right_one() {
    let (files, ..) = recorded(all()[2].clone());
    let with = |key: &'static [u8]| {
        let mut files = files.clone();
        files
            .iter_mut()
            .filter(|(name, _)| name.ends_with(".key"))
            .for_each(|(_, bytes)| *bytes = key.into());
        pull(FAST, serve(&files))
    };
    for (key, why) in [
        (&[0; 15][..], "its key: 15 bytes; the 16 of a key were expected"),
        (&[0; 17], "its key: more than the 16 bytes of a key"),
        (&[], "its key: 0 bytes; the 16 of a key were expected"),
        (&[0; 16], "a transport stream without a frame"),
    ] {
        let pulled = with(key);
        assert_eq!(pulled.error, Some(Error::Barren { segments: 6, why: why.into() }));
        assert_eq!(pulled.cancelled, if key.len() > 16 { 6 } else { 0 });
    }
    assert_eq!(pull(FAST, serve(&files)).paths(".key").len(), 2, "each is asked for once");
}

#[test]
fn playlists_that_are_none() {
    let with = |text: &'static str| {
        let server = |_: Time, path: &str| {
            if path == "main.m3u8" { Answer::Body(text.into()) } else { Answer::Absent }
        };
        pull(FAST, server).error.map(|e| e.to_string())
    };
    let none = "HLS: the playlist: line 1: #EXTM3U was expected";
    assert_eq!(with("\0\u{1}garbage").as_deref(), Some(none));
    let inf = "HLS: the playlist: line 3: #EXTINF: a number of seconds up to 86400 was expected";
    assert_eq!(with("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:x\na.ts").as_deref(), Some(inf));
    let variant = "HLS: the variant's playlist: 404";
    assert_eq!(with("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8").as_deref(), Some(variant));
    assert_eq!(with("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST").as_deref(), None);
    let absent = pull(FAST, serve(&Files::new()));
    assert_eq!(
        (absent.error.unwrap().to_string(), absent.fetched.len()),
        ("HLS: the playlist: 404".into(), 1)
    );

    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n";
    let pulled = pull(FAST, |_: Time, _: &str| Answer::Body(master.into()));
    assert_eq!((pulled.error, pulled.fetched.len()), (Some(Error::Nested), 2));
    let long = Bytes::from(vec![b'\n'; 9 << 20]);
    let pulled = pull(Way { size: 1 << 16, ..FAST }, |_: Time, _: &str| Answer::Body(long.clone()));
    let why = "at most 8388608 bytes were expected".to_owned();
    assert_eq!(pulled.error, Some(Error::Unreachable { playlist: PlaylistId::Main, why }));
    assert_eq!(pulled.cancelled, 1);
    // What is unreachable is tried three times.
    let pulled = pull(FAST, |_: Time, _: &str| Answer::Broken(Bytes::new()));
    let why = "it broke off".to_owned();
    assert_eq!(pulled.error, Some(Error::Unreachable { playlist: PlaylistId::Main, why }));
    assert_eq!(pulled.fetched.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 1000, 2000]);
}

#[test]
fn what_comes_to_an_id_that_is_not_under_way_changes_nothing() {
    let mut session = Session::new(Time::ZERO, Options::default());
    let Output::Fetch(fetch) = session.poll_output() else { panic!("no fetch") };
    assert_eq!((fetch.id, fetch.resource), (0, Resource::Playlist(PlaylistId::Main)));
    session.handle_body(Time::ZERO, 7, b"x");
    session.handle_end(Time::ZERO, 7);
    session.handle_failure(Time::ZERO, 7, Failure::Refused("404".into()));
    session.handle_timeout(DAY);
    assert_eq!(session.poll_output(), Output::Timeout(None));
    session.handle_body(Time::ZERO, 0, b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n");
    session.handle_end(Time::ZERO, 0);
    assert_eq!((session.poll_output(), session.poll_output()), (Output::End, Output::End));
}
