//! An encoder in this process: it publishes frames as fast as a test gives them.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use camrill::engine::{Event, FrameSource};
use camrill::media::{Frame, Kind, Role};

use super::flv;
use super::host::Host;

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    ended: bool,
}

#[derive(Clone, Default)]
struct Source(Arc<Mutex<Queue>>);

impl FrameSource for Source {
    fn pop(&mut self) -> Option<Frame> {
        self.0.lock().expect("no user panics").frames.pop_front()
    }
    fn is_ended(&self) -> bool {
        self.0.lock().expect("no user panics").ended
    }
    fn take_dropped(&mut self) -> bool {
        false
    }
    fn close(&mut self) {}
}

/// A publisher of `live/test`. Dropping it leaves the stream published.
pub(crate) struct Encoder<'a> {
    host: &'a Host,
    source: Source,
}

impl<'a> Encoder<'a> {
    pub(crate) fn publish(host: &'a Host) -> Self {
        let source = Source::default();
        let given = Box::new(source.clone());
        host.run(move |engine| engine.publish("", "live", "test", given)).expect("a stream nobody publishes");
        Self { host, source }
    }

    /// Publishes these frames and no more, all within one turn.
    pub(crate) fn publish_at_once(host: &Host, frames: impl IntoIterator<Item = Frame>) {
        let queue = Queue { frames: frames.into_iter().collect(), ended: true };
        let source = Box::new(Source(Arc::new(Mutex::new(queue))));
        host.run(move |engine| engine.publish("", "live", "test", source))
            .expect("a stream nobody publishes");
    }

    /// Has these frames published; they are when this returns.
    pub(crate) fn write(&self, frames: impl IntoIterator<Item = Frame>) {
        self.source.0.lock().expect("no user panics").frames.extend(frames);
        self.host.remote().wake().expect("the engine wakes");
        let source = self.source.clone();
        self.host.until("the frames are taken", move |_| {
            source.0.lock().expect("no user panics").frames.is_empty()
        });
    }

    pub(crate) fn end(self) {
        self.source.0.lock().expect("no user panics").ended = true;
        self.host.remote().wake().expect("the engine wakes");
        self.host.event(|event| matches!(event, Event::EncoderEnded { .. }).then_some(()));
    }
}

/// A clip that can be given any time.
pub(crate) struct Clip {
    frames: Vec<Frame>,
    /// How long it is, in µs.
    pub(crate) length_us: i64,
}

impl Clip {
    /// A file that begins with a keyframe; `length_us` is a whole number of its GOPs.
    pub(crate) fn read(file: &Path, length_us: i64) -> Self {
        let kind = |tag: &flv::Tag| match tag.kind {
            flv::VIDEO => Some(Kind::Video),
            flv::AUDIO => Some(Kind::Audio),
            _ => None,
        };
        let frames = flv::read(file).into_iter().filter_map(|tag| {
            let frame = camrill::flv::frame(kind(&tag)?, i64::from(tag.time) * 1000, tag.body.into());
            let frame = frame.expect("a frame of the clip");
            (frame.role != Role::Mark).then_some(frame)
        });
        Self { frames: frames.collect(), length_us }
    }

    /// Its sequence headers.
    pub(crate) fn headers(&self) -> Vec<Frame> {
        self.frames.iter().filter(|frame| frame.role == Role::Header).cloned().collect()
    }

    /// Its frames of a span of time, at another time.
    pub(crate) fn frames(&self, span: std::ops::Range<i64>, at_us: i64) -> Vec<Frame> {
        let is_in = |frame: &&Frame| frame.role != Role::Header && span.contains(&frame.dts);
        let moved = self.frames.iter().filter(is_in).map(|frame| Frame {
            dts: frame.dts - span.start + at_us,
            pts: frame.pts - span.start + at_us,
            ..frame.clone()
        });
        moved.collect()
    }
}
