//! Playlists as RFC 8216 has them, as others write them, and as they are not.

use hls_m3u8::{Decryptable, MediaPlaylist};
use proptest::prelude::*;

use super::*;

/// Whether the text says what another reader has read.
pub(crate) fn agrees(text: &[u8], read: &MediaPlaylist<'_>) {
    let ours = media(text);
    assert_eq!(ours.target_us as u128, read.target_duration.as_micros());
    assert_eq!(ours.media_sequence, read.media_sequence as u64);
    assert_eq!(ours.segments.len(), read.segments.iter().count());
    let mut map = None;
    let mut discontinuities = read.discontinuity_sequence as u64;
    for (ours, theirs) in ours.segments.iter().zip(read.segments.values()) {
        assert_eq!(ours.uri, **theirs.uri());
        // Theirs are by way of a float.
        assert!(theirs.duration.duration().as_nanos().abs_diff(ours.duration_us as u128 * 1000) < 500);
        discontinuities += u64::from(theirs.has_discontinuity);
        assert_eq!(
            (ours.discontinuity, ours.discontinuity_sequence),
            (theirs.has_discontinuity, discontinuities)
        );
        let key = theirs.keys().first().map(|key| key.uri().to_string());
        assert_eq!(ours.key.as_ref().map(|key| key.uri.clone()), key);
        // Theirs stands at the tag only.
        map = theirs.map.as_ref().map(|map| map.uri().to_string()).or(map);
        assert_eq!(ours.map.as_ref().map(|map| map.uri.clone()), map);
    }
}

fn media(text: &[u8]) -> Media {
    match Playlist::parse(text) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?} of {}", String::from_utf8_lossy(text)),
    }
}

fn refused(text: &str) -> String {
    Playlist::parse(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_media_playlist_with_everything_in_it() {
    let text = "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:7\r\n#EXT-X-TARGETDURATION:6\r\n#EXT-X-MEDIA-SEQUENCE:40\r\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:3\r\n#EXT-X-PLAYLIST-TYPE:EVENT\r\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"k?a=1,2\",IV=0x000102030405060708090a0b0c0d0e0f\r\n\
        #EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@0\"\r\n\
        #EXT-X-PROGRAM-DATE-TIME:2026-11-20T13:13:09.714Z\r\n# a comment\r\n\r\n\
        #EXTINF:6.006,A title, with a comma\r\n#EXT-X-BYTERANGE:1000@720\r\nall.mp4\r\n\
        #EXTINF:5\r\n#EXT-X-BYTERANGE:500\r\nall.mp4\r\n\
        #EXT-X-KEY:METHOD=NONE\r\n#EXT-X-DISCONTINUITY\r\n#EXT-X-GAP\r\n#EXTINF:0.5,\r\nhttp://b/gap.mp4\r\n\
        #EXT-X-FUTURE:x\r\n#EXT-X-MAP:URI=\"other.mp4\"\r\n#EXTINF:1,\r\nlast.mp4\r\n#EXT-X-DISCONTINUITY\r\n";
    let read = media(text.as_bytes());
    let iv = Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    let key = Some(Arc::new(Key { uri: "k?a=1,2".into(), iv }));
    let map = Some(Arc::new(Map { uri: "init.mp4".into(), range: Some(0..720), key: key.clone() }));
    let other = Some(Arc::new(Map { uri: "other.mp4".into(), range: None, key: None }));
    let first = Segment {
        uri: "all.mp4".into(),
        duration_us: 6_006_000,
        range: Some(720..1720),
        discontinuity_sequence: 3,
        key,
        map,
        date_ms: Some(1_795_180_389_714),
        ..Segment::default()
    };
    let second = Segment { duration_us: 5_000_000, range: Some(1720..2220), date_ms: None, ..first.clone() };
    let gap = Segment {
        uri: "http://b/gap.mp4".into(),
        duration_us: 500_000,
        discontinuity: true,
        discontinuity_sequence: 4,
        map: first.map.clone(),
        gap: true,
        ..Segment::default()
    };
    let last = Segment {
        uri: "last.mp4".into(),
        duration_us: 1_000_000,
        discontinuity_sequence: 4,
        map: other,
        ..Segment::default()
    };
    assert_eq!(
        read,
        Media {
            version: 7,
            target_us: 6_000_000,
            media_sequence: 40,
            kind: Some(MediaKind::Event),
            ended: false,
            segments: vec![first, second, gap, last],
        }
    );
    assert_eq!(read.end(), 44);
    assert_eq!(read.segment(43).map(|s| s.uri.as_str()), Some("last.mp4"));
    assert_eq!((read.segment(39), read.segment(44)), (None, None));
}

#[test]
fn low_latency_is_passed_over() {
    let text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n#EXT-X-PART-INF:PART-TARGET=0.33\n\
        #EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PART:DURATION=0.33,URI=\"a.0.mp4\"\n#EXTINF:4.0,\na.mp4\n\
        #EXT-X-PART:DURATION=0.33,URI=\"b.0.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.1.mp4\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"../1M.m3u8\",LAST-MSN=7\n";
    let read = media(text.as_bytes());
    assert_eq!((read.end(), read.segments[0].uri.as_str()), (8, "a.mp4"));
}

#[test]
fn a_multivariant_playlist() {
    let text = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"en.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"x\",URI=\"s.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"Inside\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1280000,AVERAGE-BANDWIDTH=1000000,RESOLUTION=640x360,\
        CODECS=\"avc1.4d401e,mp4a.40.2\",AUDIO=\"aac\"\nlow/a.m3u8?x=1\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI=\"low/i.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=7680000\n# between\nhigh.m3u8\n";
    let audio = |name: &str, language: Option<&str>, default, uri: Option<&str>| Rendition {
        group: "aac".into(),
        name: name.into(),
        language: language.map(str::to_owned),
        default,
        uri: uri.map(str::to_owned),
    };
    let low = Variant {
        uri: "low/a.m3u8?x=1".into(),
        bandwidth: 1_280_000,
        resolution: Some((640, 360)),
        codecs: Some("avc1.4d401e,mp4a.40.2".into()),
        audio: Some("aac".into()),
    };
    let high = Variant {
        uri: "high.m3u8".into(),
        bandwidth: 7_680_000,
        resolution: None,
        codecs: None,
        audio: None,
    };
    let audio = vec![audio("English", Some("en"), true, Some("en.m3u8")), audio("Inside", None, false, None)];
    let master = Master { variants: vec![low, high], audio };
    assert_eq!(Playlist::parse(text.as_bytes()), Ok(Playlist::Master(master)));
}

#[test]
fn what_is_no_playlist_is_refused_with_its_line() {
    let with = |lines: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{lines}");
    for (text, said) in [
        (String::new(), "line 1: #EXTM3U was expected"),
        ("<html>".into(), "line 1: #EXTM3U was expected"),
        ("#EXTM3U8\n".into(), "line 1: #EXTM3U was expected"),
        ("#EXTM3U\n#EXTINF:1,\na\n".into(), "#EXT-X-TARGETDURATION was expected"),
        (with("a.ts\n"), "line 3: a URI; #EXTINF or #EXT-X-STREAM-INF was expected before it"),
        (with("#EXTINF:-1,x\n"), "line 3: #EXTINF: a number of seconds up to 86400 was expected"),
        (with("#EXT-X-MEDIA-SEQUENCE:-1\n"), "line 3: #EXT-X-MEDIA-SEQUENCE: a number was expected"),
        (
            with("#EXTINF:1,\n#EXT-X-BYTERANGE:5\na\n"),
            "line 5: #EXT-X-BYTERANGE: a length@offset, the offset only where nothing of the same URI \
             precedes, was expected",
        ),
        (
            with("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:1,\na\n"),
            "line 5: #EXT-X-KEY: encrypted by \"SAMPLE-AES\"; AES-128 with a plain key was expected",
        ),
        (
            with("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"com.x\"\n#EXTINF:1,\na\n"),
            "line 5: #EXT-X-KEY: encrypted by \"com.x\"; AES-128 with a plain key was expected",
        ),
        (with("#EXT-X-KEY:METHOD=AES-128\n"), "line 3: #EXT-X-KEY: URI was expected"),
        (
            with("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=7\n"),
            "line 3: #EXT-X-KEY: IV of 0x and up to 32 digits was expected",
        ),
        (
            with("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"m\"\n"),
            "line 4: #EXT-X-MAP: IV in the #EXT-X-KEY before it was expected",
        ),
        (with("#EXT-X-MAP:URI=\"m\n"), "line 3: #EXT-X-MAP: a list of NAME=VALUE was expected"),
        (
            with("#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n"),
            "line 3: tags of segments and of variants; one kind was expected",
        ),
        (
            "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"x\"\n".into(),
            "line 2: #EXT-X-STREAM-INF: BANDWIDTH in bits per second was expected",
        ),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n".into(), "#EXT-X-STREAM-INF was expected"),
        (format!("#EXTM3U\n#{}\n", "x".repeat(16 * 1024)), "line 2: at most 16384 bytes were expected"),
        ("#EXTM3U\n".repeat(1024 * 1024 + 1), "at most 8388608 bytes were expected"),
        (with(&"#EXTINF:1,\na\n".repeat(20_001)), "line 40004: at most 20000 segments were expected"),
        (
            format!("#EXTM3U\n{}", "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(257)),
            "line 515: at most 256 variants were expected",
        ),
    ] {
        assert_eq!(refused(&text), said);
    }
}

#[test]
fn keys_in_other_formats_may_stand_beside_one_that_is_known() {
    let keys =
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"x\",KEYFORMAT=\"com.x\"\n";
    let swapped: String = keys.lines().rev().map(|line| format!("{line}\n")).collect();
    for keys in [keys, &swapped] {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{keys}#EXTINF:1,\na\n");
        assert_eq!(media(text.as_bytes()).segments[0].key.as_ref().unwrap().uri, "k");
    }
    let other = keys.lines().last().unwrap();
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{keys}#EXTINF:1,\na\n{other}\n#EXTINF:1,\nb\n");
    assert!(refused(&text).contains("SAMPLE-AES"), "they hold for what follows");
}

#[test]
fn as_many_segments_as_there_may_be() {
    let uri = "x".repeat(390);
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    (0..limits::M3U8_SEGMENTS).for_each(|n| text.push_str(&format!("#EXTINF:6.006,\n{uri}{n}.ts\n")));
    let read = media(text.as_bytes());
    assert_eq!((read.end(), read.ended), (20_000, true));
    assert!(read.segment(19_999).unwrap().uri.ends_with("x19999.ts"));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "#EXT-X-TARGETDURATION:6",
            "#EXT-X-MEDIA-SEQUENCE:18446744073709551615",
            "#EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551615",
            "#EXT-X-DISCONTINUITY",
            "#EXTINF:6.006,",
            "#EXT-X-BYTERANGE:18446744073709551615@1",
            "#EXT-X-BYTERANGE:5@0",
            "#EXT-X-BYTERANGE:5",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1",
            "#EXT-X-KEY:METHOD=NONE",
            "#EXT-X-KEY:METHOD=SAMPLE-AES",
            "#EXT-X-MAP:URI=\"m\",BYTERANGE=\"1@2\"",
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-20T13:13:09.714Z",
            "#EXT-X-ENDLIST",
            "#EXT-X-GAP",
            "a.ts",
            "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"",
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\"",
        ])
        .prop_map(str::to_owned),
        "#EXT(INF|-X-[A-Z]{3,9})?:\\PC{0,20}",
        "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_lines_are_a_playlist_or_an_error(lines in prop::collection::vec(line(), 0..20), cut in any::<usize>()) {
        let text = format!("#EXTM3U\n{}", lines.join("\n"));
        let text = &text.as_bytes()[..text.len() - cut % text.len()];
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) => {
                prop_assert!(media.segments.iter().all(|s| !s.uri.is_empty() && s.duration_us >= 0));
                prop_assert!(media.segments.iter().filter_map(|s| s.range.as_ref()).all(|r| r.start < r.end));
            }
            Ok(Playlist::Master(master)) => prop_assert!(!master.variants.is_empty()),
            Err(e) => prop_assert!(e.line <= 1 + lines.len() && !e.to_string().contains('\n')),
        }
    }
}
