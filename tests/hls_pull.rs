//! What ffmpeg makes of a clip as HLS, pulled from where it lies: all frames come back.

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use camrill::hls::client::{Failure, Options, Output, PlaylistId, Resource, Session};
use camrill::media::{Frame, Kind, Role};
use camrill::time::Time;

use support::encoder::Clip;
use support::{TempDir, clients, repository};

const CLIP_US: i64 = 10_000_000;
/// A tick of 1/16000 s, in which ffmpeg counts pictures in MP4, and the least of an audio frame in MPEG-TS.
const ROUNDING_US: i64 = 63;

/// Pulls the playlist at `main` to its end.
#[track_caller]
fn pull(main: &Path) -> Vec<Frame> {
    let now = Time::ZERO;
    let mut session = Session::new(now, Options::default());
    let mut playlists: HashMap<PlaylistId, PathBuf> = HashMap::new();
    let mut frames = Vec::new();
    loop {
        match session.poll_output() {
            Output::Fetch(fetch) => {
                let folder = |playlist| playlists[&playlist].parent().expect("a folder").to_owned();
                let path = fetch.base.map_or(main.to_owned(), |playlist| folder(playlist).join(&fetch.uri));
                if let Resource::Playlist(playlist) = fetch.resource {
                    playlists.insert(playlist, path.clone());
                }
                match std::fs::read(&path) {
                    Ok(bytes) => {
                        let range = fetch.range.map(|range| range.start as usize..range.end as usize);
                        let bytes = &bytes[range.unwrap_or(0..bytes.len())];
                        bytes.chunks(4096).for_each(|piece| session.handle_body(now, fetch.id, piece));
                        session.handle_end(now, fetch.id);
                    }
                    Err(e) => session.handle_failure(now, fetch.id, Failure::Refused(e.to_string())),
                }
            }
            Output::Frame(frame) => {
                session.handle_position(now, frame.dts);
                frames.push(frame);
            }
            Output::End => return frames,
            other => panic!("{}: {other:?}", main.display()),
        }
    }
}

/// The clip as ffmpeg makes it HLS with these options, and as it comes back.
#[track_caller]
fn comes_back(mut ffmpeg: Command, options: &[&str], main: &str) {
    let dir = TempDir::new();
    std::fs::write(dir.join("a.key"), [7; 16]).expect("a key");
    let key = dir.join("a.key");
    std::fs::write(dir.join("key-info"), format!("a.key\n{}\n", key.display())).expect("a file");
    std::fs::create_dir(dir.join("hls")).expect("a folder");
    std::fs::copy(&key, dir.join("hls/a.key")).expect("a key");
    ffmpeg.arg("-i").arg(repository("assets/clip.flv")).current_dir(dir.join("hls"));
    ffmpeg.args(["-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"]);
    let out = ffmpeg.args(options).output().expect("ffmpeg");
    assert!(out.status.success(), "{options:?}: {}", String::from_utf8_lossy(&out.stderr));

    let came = pull(&dir.join("hls").join(main));
    let sent = Clip::read(&repository("assets/clip.flv"), CLIP_US).frames(0..2 * CLIP_US, 0);
    for kind in [Kind::Video, Kind::Audio] {
        let of = |frames: &[Frame]| -> Vec<Frame> {
            let is_one = |frame: &&Frame| frame.kind == kind && frame.role != Role::Header;
            frames.iter().filter(is_one).cloned().collect()
        };
        let (came, sent) = (of(&came), of(&sent));
        assert_eq!(came.len(), sent.len(), "{kind:?} of {options:?}");
        for (a, b) in came.iter().zip(&sent) {
            assert_eq!((a.codec, a.role, &a.payload), (b.codec, b.role, &b.payload));
            let off = |a: i64, b: i64, from: (i64, i64)| ((a - from.0) - (b - from.1)).abs();
            // FLV has rounded all to ms.
            let rounding = if kind == Kind::Audio { 1000 } else { ROUNDING_US };
            let from = (came[0].dts, sent[0].dts);
            assert!(off(a.dts, b.dts, from) <= rounding, "{} is not {} of {options:?}", a.dts, b.dts);
            assert!(off(a.pts, b.pts, from) <= rounding, "{} is not {} of {options:?}", a.pts, b.pts);
        }
    }
}

#[test]
fn what_ffmpeg_makes_comes_back() {
    for ffmpeg in [clients::ffmpeg, clients::new_ffmpeg] {
        for options in [
            &["i.m3u8"][..],
            &["-hls_segment_type", "fmp4", "i.m3u8"],
            &["-hls_segment_type", "fmp4", "-hls_flags", "single_file", "i.m3u8"],
            &["-hls_flags", "single_file", "i.m3u8"],
            &["-hls_key_info_file", "../key-info", "i.m3u8"],
        ] {
            comes_back(ffmpeg(), options, "i.m3u8");
        }
        for format in ["mpegts", "fmp4"] {
            let streams = ["-var_stream_map", "v:0,agroup:a a:0,agroup:a,default:yes"];
            let master = ["-master_pl_name", "m.m3u8", "%v.m3u8"];
            let format = ["-map", "0:v", "-map", "0:a", "-hls_segment_type", format];
            comes_back(ffmpeg(), &[&format[..], &streams, &master].concat(), "m.m3u8");
        }
    }
}
