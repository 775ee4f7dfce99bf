//! Recordings that are pulled.

use super::*;

#[test]
fn a_recording_comes_back_as_it_went_in() {
    for options in all() {
        let mut recording = Recording::new(options);
        recording.begin(&headers());
        recording.live(5_000_000, 31);
        let (files, frames) = recording.finish();
        for way in [FAST, PACED, Way { size: 1, ..FAST }, Way { size: usize::MAX, ..FAST }] {
            let pulled = pull(way, serve(&files));
            assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
            for kind in [Kind::Video, Kind::Audio] {
                same(&pulled.of(kind), &of(&frames, kind));
            }
            let headers = pulled.frames.iter().filter(|f| f.role == Role::Header).count();
            assert_eq!(headers, 2);
            assert_eq!(pulled.paths("main"), ["main.m3u8"]);
            assert_eq!(pulled.paths("livestream-").len(), if files.len() > 18 { 16 + 6 } else { 16 });
        }
    }
}

#[test]
fn at_most_one_segment_comes_ahead() {
    let [ts, ..] = all();
    let mut recording = Recording::new(ts);
    recording.begin(&headers());
    recording.live(0, 40);
    let (files, _) = recording.finish();
    let pulled = pull(PACED, serve(&files));
    let first = pulled.frames[0].dts;
    for (frame, at) in pulled.frames.iter().zip(&pulled.times) {
        let ahead = frame.dts - first - at.as_micros() as i64;
        assert!((-40_000..=4_100_000).contains(&ahead), "{ahead}");
    }
    let at: Vec<_> = pulled.fetched.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(at[..5], [0, 0, 0, 2000, 4000]);
}

#[test]
fn a_discontinuity_goes_on_where_the_stream_was() {
    for options in all() {
        let mut recording = Recording::new(options);
        for from in [50_000_000, 1_000_000, 900_000_000] {
            recording.begin(&headers());
            recording.live(from, 8);
            recording.writer.end();
            recording.drain();
        }
        // Other parameters in the middle of a stream: its time goes on by itself.
        recording.write(written::video_header(LARGE));
        recording.live(908_000_000, 8);
        let (files, frames) = recording.finish();
        let pulled = pull(FAST, serve(&files));
        assert_eq!((pulled.error.as_ref(), &pulled.left_out[..]), (None, &[][..]));
        for (kind, count) in [(Kind::Video, 200), (Kind::Audio, 375)] {
            let (out, was) = (pulled.of(kind), of(&frames, kind));
            assert_eq!(out.len(), was.len());
            for n in 0..4 {
                same(&out[n * count..][..count], &was[n * count..][..count]);
            }
            same(&out[2 * count..], &was[2 * count..]);
            let steps: Vec<_> = out.windows(2).map(|w| w[1].dts - w[0].dts).collect();
            let longest = if kind == Kind::Video { 62_000 } else { 64_000 };
            assert!(steps.iter().all(|step| (21_000..=longest).contains(step)), "{kind:?} {steps:?}");
        }
        let sizes = pulled.frames.iter().filter_map(crate::media::video_track).map(|track| track.width);
        assert_eq!(sizes.collect::<Vec<_>>(), [640, 640, 640, 1280]);
    }
}

#[test]
fn ten_thousand_segments() {
    let (mut files, _, segments) = recorded(all()[0].clone());
    let mut text = String::from("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    for n in 0..10_000 {
        let uri = if n % 100 == 0 { &segments[n / 100 % 6] } else { "gap.ts" };
        let tag = if n % 100 == 0 { "#EXT-X-DISCONTINUITY" } else { "#EXT-X-GAP" };
        text.push_str(&format!("{tag}\n#EXTINF:2.000,\n{uri}\n"));
    }
    files.insert("main.m3u8".into(), text.into());
    let pulled = pull(FAST, serve(&files));
    assert_eq!((pulled.error.as_ref(), pulled.fetched.len()), (None, 101));
    assert_eq!(pulled.of(Kind::Video).len(), 5000);
    let video = pulled.of(Kind::Video);
    assert!(video.windows(2).all(|w| (39_000..62_000).contains(&(w[1].dts - w[0].dts))));
    assert!((200_000_000..202_000_000).contains(&(video[4999].dts - video[0].dts)));
}
