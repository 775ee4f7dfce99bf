//! A camera and viewers of it, which note when each frame was sent and when it came. Frames say in their bodies
//! which they are, so that their order is seen whatever becomes of their timestamps on the way.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::process::Feed;
use super::rtmp_client::{Client, Media};

/// From one picture to the next; between them is a sound.
const FRAME: Duration = Duration::from_millis(40);
/// Pictures from one keyframe to the next: a second's.
const GOP: u32 = 25;

/// A frame, and when it was sent or came.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) at: Instant,
    pub(crate) media: Media,
}

impl Shot {
    /// Which of the camera's frames it is: its time there, in ms. `None` of headers.
    pub(crate) fn number(&self) -> Option<u32> {
        let head = match *self.media.2 {
            [0x17 | 0x27, 1, ..] => 5,
            [0xaf, 1, ..] => 2,
            _ => return None,
        };
        self.media.2.get(head..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// A camera at work: 25 pictures a second, one of them a keyframe. Dropping it ends it.
pub(crate) struct Camera {
    shots: Arc<Feed<Shot>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Publishes `live/STREAM` with so many bytes a second.
    pub(crate) fn start(server: SocketAddr, stream: &str, bytes_per_second: usize) -> Self {
        let mut client = Client::publish(server, "live", stream);
        let shots = Feed::new();
        let ends = Arc::new(AtomicBool::new(false));
        let (feed, end) = (Arc::clone(&shots), Arc::clone(&ends));
        // A keyframe is as long as five others.
        let size = bytes_per_second / (GOP as usize + 4);
        let thread = std::thread::spawn(move || {
            client.send_all(&[Media::video_header(0, 1), Media::audio_header(0)]);
            let begin = Instant::now();
            for n in 0.. {
                let time = n * FRAME.as_millis() as u32;
                let picture =
                    if n % GOP == 0 { Media::key(time, 5 * size) } else { Media::delta(time, size) };
                for (media, at) in [(picture, FRAME * n), (Media::audio(time + 20), FRAME * n + FRAME / 2)] {
                    std::thread::sleep((begin + at).saturating_duration_since(Instant::now()));
                    if end.load(Ordering::Relaxed) {
                        return client.close();
                    }
                    // Noted before it can come anywhere.
                    feed.push(Shot { at: Instant::now(), media: media.clone() });
                    client.send(&media);
                }
            }
        });
        Self { shots, ends, thread: Some(thread) }
    }

    /// What it has sent by now.
    pub(crate) fn shots(&self) -> Vec<Shot> {
        self.shots.wait(Duration::ZERO, |shots, _| Some(shots.to_vec())).unwrap_or_default()
    }

    /// Waits until it has sent for so much longer.
    pub(crate) fn wait(&self, longer: Duration) {
        let until = Instant::now() + longer;
        self.shots.wait(PATIENCE, |shots, _| shots.last().is_some_and(|shot| shot.at >= until).then_some(()));
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the camera's thread panicked");
        }
    }
}

/// A player who stays whatever becomes of the stream. Dropping it ends it.
pub(crate) struct Viewer {
    shots: Arc<Feed<Shot>>,
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    pub(crate) fn start(server: SocketAddr, stream: &str) -> Self {
        let mut client = Client::play(server, "live", stream);
        let socket = client.socket.try_clone().expect("another handle of a socket");
        let shots = Feed::new();
        let feed = Arc::clone(&shots);
        let thread = std::thread::spawn(move || {
            while let Some(media) = client.media() {
                feed.push(Shot { at: Instant::now(), media });
            }
            feed.close();
        });
        Self { shots, socket, thread: Some(thread) }
    }

    /// Waits until `done` has an answer, given all that came.
    #[track_caller]
    pub(crate) fn wait<R>(&self, what: &str, mut done: impl FnMut(&[Shot]) -> Option<R>) -> R {
        let found = self.shots.wait(PATIENCE, |shots, _| done(shots));
        found.unwrap_or_else(|| {
            let shots = self.shots();
            panic!("{what} did not come, but {} frames, the last {:?}", shots.len(), shots.last())
        })
    }

    /// Waits for a frame that was sent at this time or later.
    #[track_caller]
    pub(crate) fn wait_sent_after(&self, camera: &Camera, time: Instant) -> Shot {
        self.wait("a frame that was sent later", |shots| {
            let sent = camera.shots();
            let first = sent.iter().find(|shot| shot.at >= time)?.number()?;
            shots.iter().find(|shot| shot.number() >= Some(first)).cloned()
        })
    }

    /// What has come by now.
    pub(crate) fn shots(&self) -> Vec<Shot> {
        self.shots.wait(Duration::ZERO, |shots, _| Some(shots.to_vec())).unwrap_or_default()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the viewer's thread panicked");
        }
    }
}

/// What a viewer has seen of a camera's frames: all in order, with parts missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// Which frame came first, counted from the camera's first.
    pub(crate) first: usize,
    /// How often frames are missing from within.
    pub(crate) holes: usize,
    /// How often it went on with an earlier keyframe, as it may over a new connection.
    pub(crate) repeats: usize,
    /// How much later than it was sent a frame came, at least and at most.
    pub(crate) shortest: Duration,
    pub(crate) longest: Duration,
}

impl Seen {
    /// Holds what came against what was sent. Where it doesn't go on with the next frame, it goes on with a
    /// keyframe behind its header.
    #[track_caller]
    pub(crate) fn compare(came: &[Shot], sent: &[Shot]) -> Self {
        let (mut first, mut holes, mut repeats) = (None, 0, 0);
        let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
        let (mut expected, mut header) = (0, false);
        for shot in came {
            header |= shot.media.is_video_header();
            let Some(number) = shot.number() else { continue };
            let at = sent.partition_point(|sent| sent.number() < Some(number));
            let original = sent.get(at).filter(|sent| sent.media.2 == shot.media.2);
            let original = original.unwrap_or_else(|| panic!("{shot:?} was never sent"));
            let late = shot.at.saturating_duration_since(original.at);
            (shortest, longest) = (shortest.min(late), longest.max(late));
            if first.is_some() && at != expected {
                let begins = shot.media.is_key() && header;
                assert!(
                    begins,
                    "frame {at} came instead of {expected}, and is no keyframe behind its header"
                );
                holes += usize::from(at > expected);
                repeats += usize::from(at < expected);
            }
            header &= !shot.media.is_video();
            first = first.or(Some(at));
            expected = at + 1;
        }
        Self { first: first.expect("frames"), holes, repeats, shortest, longest }
    }
}
