//! Streams that the process publishes itself: encoders and files.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use camrill::engine::FrameSource;
use camrill::flv::file;
use camrill::media::{Codec, Frame, Kind, Role};

use super::support::TempDir;
use super::*;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    ended: bool,
    dropped: bool,
    closed: bool,
}

/// An encoder's queue that the test fills.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<Queue>>);

impl FrameSource for Source {
    fn pop(&mut self) -> Option<Frame> {
        self.0.lock().unwrap().frames.pop_front()
    }
    fn is_ended(&self) -> bool {
        self.0.lock().unwrap().ended
    }
    fn take_dropped(&mut self) -> bool {
        std::mem::take(&mut self.0.lock().unwrap().dropped)
    }
    fn close(&mut self) {
        self.0.lock().unwrap().closed = true;
    }
}

impl Source {
    fn change(&self, host: &Host, change: impl FnOnce(&mut Queue)) {
        change(&mut self.0.lock().unwrap());
        host.remote().wake().unwrap();
        host.stats();
    }

    fn write(&self, host: &Host, frames: impl IntoIterator<Item = Frame>) {
        self.change(host, |queue| queue.frames.extend(frames));
    }

    fn publish(&self, host: &Host) -> Result<u32, String> {
        let source = Box::new(self.clone());
        host.run(move |engine| engine.publish("", "live", "a", source)).map_err(|e| e.to_string())
    }
}

fn frame(role: Role, ms: i64, payload: &'static [u8]) -> Frame {
    let (dts, payload) = (ms * 1000, Bytes::from_static(payload));
    Frame {
        kind: Kind::Video,
        codec: Codec::H264,
        role,
        dts,
        pts: dts,
        payload: payload.into(),
        relay: Bytes::new(),
    }
}

fn need_key(event: Event) -> Option<u32> {
    match event {
        Event::NeedKeyframe { encoder } => Some(encoder),
        _ => None,
    }
}

#[test]
fn an_encoder_is_a_publisher() {
    let host = Host::start("");
    let source = Source::default();
    let id = source.publish(&host).unwrap();
    let mut q = host.play("a");
    source.write(&host, [frame(Role::Header, 0, &[1, 2]), frame(Role::Key, 0, b"key")]);
    source.write(&host, [frame(Role::Delta, 3000, b"delta")]);
    let got = q.medias(3);
    let bodies: Vec<_> = got.iter().map(|media| media.2.to_vec()).collect();
    let body = |head: [u8; 5], rest: &[u8]| [&head[..], rest].concat();
    assert_eq!(
        bodies,
        [
            body([0x17, 0, 0, 0, 0], &[1, 2]),
            body([0x17, 1, 0, 0, 0], b"key"),
            body([0x27, 1, 0, 0, 0], b"delta")
        ]
    );
    assert_eq!(got[2].1, 3000, "an encoder's step of seconds is one");
    let mut second = Client::connect(host.address(), "live");
    assert_eq!(second.publish_as("a").as_deref(), Some("NetStream.Publish.BadName"));
    let info = host.run(|engine| engine.streams());
    assert!(info[0].published && info[0].publisher == 0);
    // What was written before the end is not lost.
    source.change(&host, |queue| {
        queue.frames.push_back(frame(Role::Delta, 3040, b"last"));
        queue.ended = true;
    });
    assert!(q.media().unwrap().2.ends_with(b"last"));
    host.event(|event| matches!(event, Event::Unpublished(_)).then_some(()));
    assert!(source.0.lock().unwrap().closed && id != 0);
    assert_eq!(host.stats().publishers, 0);
}

#[test]
fn frames_written_before_the_publish_are_not_forgotten() {
    let host = Host::start("");
    let source = Source::default();
    source.0.lock().unwrap().frames.extend([frame(Role::Header, 0, &[1]), frame(Role::Key, 0, b"key")]);
    source.publish(&host).unwrap();
    let mut q = host.play("a");
    assert!(q.medias(2)[1].2.ends_with(b"key"));
}

#[test]
fn an_encoder_is_asked_for_a_keyframe() {
    let host = Host::start("vhost __defaultVhost__ { play { gop_cache off; } }");
    let source = Source::default();
    let id = source.publish(&host).unwrap();
    source.write(&host, [frame(Role::Header, 0, &[1]), frame(Role::Key, 0, b"key")]);
    source.write(&host, [frame(Role::Delta, 40, b"d")]);
    host.stats();
    assert!(host.events().into_iter().filter_map(need_key).next().is_none(), "nobody waits for one");
    let mut q = host.play("a");
    assert_eq!(host.event(need_key), id);
    source.write(&host, [frame(Role::Delta, 80, b"d")]);
    let _second = host.play("a");
    host.stats();
    assert!(host.events().into_iter().filter_map(need_key).next().is_none(), "once is enough");
    source.write(&host, [frame(Role::Key, 120, b"key2")]);
    assert!(q.medias(2)[1].2.ends_with(b"key2"));
    // A player goes on after a pause.
    for paused in [true, false] {
        q.command(1, "pause", &[camrill::amf::Value::Null, paused.into(), 0.0.into()]);
        q.status();
    }
    q.sync();
    source.write(&host, [frame(Role::Delta, 160, b"d")]);
    assert_eq!(host.event(need_key), id);
    source.write(&host, [frame(Role::Key, 200, b"key3")]);
    // Frames were dropped on the encoder's side.
    source.change(&host, |queue| queue.dropped = true);
    assert_eq!(host.event(need_key), id);
}

#[test]
fn video_before_its_keyframe_has_one_asked_for() {
    let host = Host::start("");
    let source = Source::default();
    let id = source.publish(&host).unwrap();
    source.write(&host, [frame(Role::Header, 0, &[1]), frame(Role::Delta, 0, b"d")]);
    assert_eq!(host.event(need_key), id);
}

#[test]
fn an_encoder_and_a_client_conflict() {
    let host = Host::start("");
    let _p = publisher(&host);
    let source = Source::default();
    assert_eq!(source.publish(&host).unwrap_err(), "__defaultVhost__/live/a is being published");
    let host = Host::start("vhost __defaultVhost__ { publish { on_conflict replace; } }");
    let source = Source::default();
    source.publish(&host).unwrap();
    let mut p = publisher(&host);
    assert!(source.0.lock().unwrap().closed);
    source.publish(&host).unwrap();
    p.wait_closed();
}

/// A file of one GOP, `n` frames, 40 ms apart.
fn write_flv(path: &Path, n: u32) {
    let mut out = BytesMut::new();
    out.extend_from_slice(&file::header(true, true));
    for media in headers(0).iter().chain(&gop(0, n - 1, 20)) {
        let kind = if media.is_video() { Kind::Video } else { Kind::Audio };
        file::tag(kind, media.1, &media.2.clone().into(), &mut out).unwrap();
    }
    std::fs::write(path, &out).unwrap();
}

fn ingest(path: &Path) -> String {
    let path = path.display();
    format!("vhost __defaultVhost__ {{ ingest a {{ enabled on; input {{ type file; url \"{path}\"; }} }} }}")
}

#[test]
fn a_file_is_played_over_and_over() {
    let dir = TempDir::new();
    let path = dir.join("a.flv");
    write_flv(&path, 5);
    let host = Host::start(&ingest(&path));
    let mut q = host.play("a");
    let got: Vec<_> = (0..16).map(|_| q.media().unwrap()).filter(|m| !m.is_video_header()).collect();
    let video: Vec<_> = got.iter().filter(|media| media.is_video()).collect();
    for pair in video.windows(2) {
        assert_eq!(pair[1].1, pair[0].1 + 40, "the clock goes on across the loop");
        assert_eq!(pair[1].is_key(), pair[0].2 == Media::delta(160, 20).2);
    }
    assert!(video.iter().filter(|media| media.is_key()).count() >= 2);
    // Taken out of the configuration it ends.
    host.run(|engine| {
        engine.config_mut().load_text("t", "listen 127.0.0.1:0;").unwrap();
        engine.apply().unwrap();
    });
    host.event(|event| matches!(event, Event::Unpublished(_)).then_some(()));
    assert_eq!(host.stats().publishers, 0);
}

#[test]
fn a_file_that_cannot_be_played_is_tried_again_and_harms_nobody() {
    let logs = super::support::logs::install();
    let dir = TempDir::new();
    let (missing, empty, broken, bare, good) = (
        dir.join("missing.flv"),
        dir.join("empty.flv"),
        dir.join("broken.flv"),
        dir.join("bare.flv"),
        dir.join("g"),
    );
    std::fs::write(&empty, b"").unwrap();
    std::fs::write(&broken, b"RIFF this is no such file at all, but long enough to be looked at").unwrap();
    std::fs::write(&bare, file::header(true, true)).unwrap();
    write_flv(&good, 5);
    let block = |name: &str, path: &Path| {
        let path = path.display();
        format!("ingest {name} {{ enabled on; input {{ type file; url \"{path}\"; }} }}")
    };
    let blocks = [
        block("missing", &missing),
        block("empty", &empty),
        block("broken", &broken),
        block("bare", &bare),
        block("good", &good),
    ];
    let host = Host::start(&format!("vhost __defaultVhost__ {{ {} }}", blocks.concat()));
    for (path, why) in [
        (&missing, "No such file"),
        (&empty, "no audio or video frame in it"),
        (&broken, "FLV, MP4 or MPEG-TS was expected"),
        (&bare, "no audio or video frame in it"),
    ] {
        let line =
            logs.wait(|line| line.text.contains(&path.display().to_string()) && line.text.contains(why));
        assert!(line.text.contains("trying again in "), "{}", line.text);
    }
    let mut q = host.play("good");
    assert!(q.medias(3)[2].is_key());
    assert_eq!(host.stats().publishers, 1);
    // Once it is there it is played.
    write_flv(&missing, 5);
    let mut q = host.play("missing");
    assert!(q.medias(3)[2].is_key());
}
