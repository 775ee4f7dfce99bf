//! Audio of its own.

use super::*;

#[test]
fn audio_of_its_own_is_brought_together_with_the_video() {
    for formats in [[Format::Ts, Format::Ts], [Format::Fmp4, Format::Fmp4]] {
        let (files, frames) = with_rendition(formats, [50_000_000, 3_000_000]);
        for way in [FAST, PACED, Way { size: usize::MAX, ..FAST }] {
            let pulled = pull(way, serve(&files));
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            assert!(pulled.frames.windows(2).all(|w| w[0].dts <= w[1].dts), "not in order");
            let first = pulled.frames[0].dts;
            for (kind, count) in [(Kind::Video, 250), (Kind::Audio, 469)] {
                let (out, was) = (pulled.of(kind), of(&frames, kind));
                same(&out[..count], &was[..count]);
                same(&out[count..], &was[count..]);
                // Both publishes begin together, and the second where the first ended.
                assert_eq!(out[0].dts, first);
                assert!((out[count].dts - first).abs_diff(10_005_000) < 20_000, "{}", out[count].dts - first);
            }
            assert_eq!(
                pulled.paths("other").len() + pulled.paths("small").len() + pulled.paths("dolby").len(),
                0
            );
        }
    }
    let (files, _) = with_rendition([Format::Ts, Format::Ts], [0, 10_000_000]);
    let small = Way { options: Options { bandwidth_max: 4, live: false }, ..FAST };
    assert_eq!(pull(small, serve(&files)).paths("small"), ["small.m3u8"]);
    let none = Way { options: Options { bandwidth_max: 2, live: false }, ..FAST };
    assert_eq!(pull(none, serve(&files)).paths("small"), ["small.m3u8"]);
}

#[test]
fn packed_audio_is_played() {
    let stamp = b"com.apple.streaming.transportStreamTimestamp\0";
    let segment = |ticks: u64| {
        let head = b"ID3\x04\0\0\0\0\0\x3fPRIV\0\0\0\x35\0\0";
        let adts = b"\xff\xf1\x4c\x80\x01\x5f\xfcabc";
        Bytes::from([&head[..], stamp, &ticks.to_be_bytes(), adts, adts].concat())
    };
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.aac\n#EXTINF:2,\n1.aac\n#EXT-X-ENDLIST\n";
    let files = [("main.m3u8", text.into()), ("0.aac", segment(9000)), ("1.aac", segment(189_000))];
    let pulled = pull(FAST, serve(&files.map(|(name, bytes)| (name.to_owned(), bytes)).into()));
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let frames: Vec<_> = pulled.of(Kind::Audio).iter().map(|f| (f.dts, &f.payload[..])).collect();
    let due = [100_000, 121_333, 2_100_000, 2_121_333].map(|dts| (dts, &b"abc"[..]));
    assert_eq!(frames, due);
}

#[test]
fn a_variant_that_is_its_own_audio_is_pulled_once() {
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"x\",URI=\"v.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO=\"g\"\nv.m3u8\n";
    let (files, frames, _) = recorded(all()[0].clone());
    let server = |_: Time, path: &str| match path {
        "main.m3u8" => Answer::Body(master.into()),
        "v.m3u8" => Answer::Body(files["main.m3u8"].clone()),
        _ => files.get(&path.replace("v/", "")).map_or(Answer::Absent, |bytes| Answer::Body(bytes.clone())),
    };
    let pulled = pull(FAST, server);
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 8));
    same(&pulled.of(Kind::Audio), &of(&frames, Kind::Audio));
}
