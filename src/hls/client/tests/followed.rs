//! Live streams.

use super::*;

/// A server of what a recording was at each time, which has begun `ms` ago.
fn live(recording: &Recording, ms: i64) -> impl Server + use<'_> {
    move |now: Time, path: &str| {
        let at = now.as_millis() as i64 + ms;
        if path == "main.m3u8" {
            let newest = recording.playlists.iter().rev().find(|(from, _)| *from <= at);
            return newest.map_or(Answer::Absent, |(_, text)| Answer::Body(text.clone()));
        }
        recording.files.get(path).map_or(Answer::Absent, |bytes| Answer::Body(bytes.clone()))
    }
}

#[test]
fn a_live_stream_is_followed_from_near_its_end() {
    for options in all() {
        let mut recording = Recording::new(WriterOptions { window_us: 10_000_000, ..options });
        recording.begin(&headers());
        recording.live(0, 120);
        let pulled = pull(Way { until: Time::from_millis(60_000), ..PACED }, live(&recording, 31_000));
        assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
        // The list ends at 30 s.
        let keys = pulled.paths("key").len();
        assert_eq!(pulled.paths("livestream-1")[usize::from(keys > 0)], {
            if recording.files.contains_key("livestream-12.m4s") {
                "livestream-12.m4s"
            } else {
                "livestream-12.ts"
            }
        });
        let (from, to) = (24 * 25, 24 * 25 + pulled.of(Kind::Video).len());
        assert!([1550, 1600].contains(&(to - from)), "{}", to - from);
        same(&pulled.of(Kind::Video), &of(&recording.frames, Kind::Video)[from..to]);
        // Every other second there is a segment, and every answer has one.
        let reloads: Vec<_> =
            pulled.fetched.iter().filter(|(_, p)| p == "main.m3u8").map(|(ms, _)| *ms).collect();
        assert_eq!(reloads, (0..=30).map(|n| n * 2000).collect::<Vec<_>>());
    }
}

#[test]
fn an_answer_without_news_is_asked_again_after_half_a_target_duration_until_it_has_stalled() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 21);
    let pulled = pull(PACED, live(&recording, 21_000));
    let stalled = Error::Stalled { playlist: PlaylistId::Main, ms: 12_000, why: None };
    assert_eq!(pulled.error, Some(stalled));
    let reloads: Vec<_> =
        pulled.fetched.iter().filter(|(_, p)| p == "main.m3u8").map(|(ms, _)| *ms).collect();
    assert_eq!(reloads, [0, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 11_000, 12_000]);
    assert_eq!(pulled.of(Kind::Video).len(), 150);

    // So is one that fails, and the reason is told.
    let mut server = live(&recording, 21_000);
    let failing = |now: Time, path: &str| match path {
        "main.m3u8" if now.as_millis() >= 6000 => Answer::Body("<html>".into()),
        "main.m3u8" if now.as_millis() >= 2000 => Answer::Broken("#EXTM3U\n".into()),
        _ => server.answer(now, path),
    };
    let error = pull(PACED, failing).error.unwrap();
    assert_eq!(
        error.to_string(),
        "HLS: the playlist brought no new segment for 12000 ms; the last answer: line 1: #EXTM3U was \
         expected"
    );
}

#[test]
fn a_server_that_begins_anew_is_believed_at_the_third_answer() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 60);
    let (mut early, mut late) = (live(&recording, 0), live(&recording, 0));
    // At 40 s of its own, it is 20 s again.
    let server = |now: Time, path: &str| {
        let ms = 30_000 + now.as_millis();
        if ms < 40_000 {
            late.answer(Time::from_millis(ms), path)
        } else {
            early.answer(Time::from_millis(ms - 20_000), path)
        }
    };
    let pulled = pull(Way { until: Time::from_millis(30_000), ..PACED }, server);
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let segments: Vec<_> = segments_of(&pulled);
    let back = segments.windows(2).position(|w| w[1] < w[0]).unwrap();
    // What was listed before 40 s, and from six seconds before the end of the third answer.
    assert_eq!((segments[0], segments[back], segments[back + 1]), (12, 18, 8));
    assert!(segments[back + 1..].windows(2).all(|w| w[1] == w[0] + 1));
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));

    // Twice an old copy, and nothing is wrong.
    let mut server = live(&recording, 0);
    let copies = |now: Time, path: &str| {
        let ms = 30_000 + now.as_millis();
        let is_old = path == "main.m3u8" && (40_000..42_000).contains(&ms);
        server.answer(Time::from_millis(if is_old { ms - 8000 } else { ms }), path)
    };
    let pulled = pull(Way { until: Time::from_millis(25_000), ..PACED }, copies);
    let segments = segments_of(&pulled);
    assert!(segments.windows(2).all(|w| w[1] == w[0] + 1), "{segments:?}");
    assert!(segments.len() > 12);
}

#[test]
fn who_has_fallen_behind_goes_on_near_the_end() {
    let mut recording = Recording::new(written::options(Format::Ts));
    recording.begin(&headers());
    recording.live(0, 90);
    let mut server = live(&recording, 0);
    // After ten seconds it is forty more.
    let jumps = |now: Time, path: &str| {
        let ms = now.as_millis() + if now.as_millis() < 10_000 { 30_000 } else { 70_000 };
        server.answer(Time::from_millis(ms), path)
    };
    let pulled = pull(Way { until: Time::from_millis(18_000), ..PACED }, jumps);
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    let segments = segments_of(&pulled);
    let jump = segments.windows(2).position(|w| w[1] != w[0] + 1).unwrap();
    // The list ends at 80 s then.
    assert_eq!(segments[jump + 1], 37);
    assert!(segments[jump + 1..].windows(2).all(|w| w[1] == w[0] + 1), "{segments:?}");
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));
}

#[test]
fn a_live_playlist_may_be_empty_at_first_and_over_in_the_end() {
    let mut recording = Recording::new(written::options(Format::Fmp4));
    recording.begin(&headers());
    recording.live(0, 20);
    recording.writer.finish();
    recording.drain();
    let empty = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
    let mut server = live(&recording, -10_000);
    let pulled = pull(PACED, |now: Time, path: &str| match path {
        "main.m3u8" if now.as_millis() < 8000 => Answer::Body(empty.into()),
        _ => server.answer(now + Duration::from_secs(10), path),
    });
    assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
    assert_eq!(pulled.paths("livestream-")[0], "livestream-1.m4s");
    same(&pulled.of(Kind::Video), &of(&recording.frames, Kind::Video)[50..]);
}
