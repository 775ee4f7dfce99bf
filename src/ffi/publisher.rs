//! Publishing from an encoder's thread.

#![allow(non_camel_case_types)]

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use super::convert::write;
use super::feed::{Feed, frame_and_pieces, names};
use super::handle::{camrill_engine_t, guarded, no_engine};
use super::lent::Lender;
use super::owned::make;
use super::queue::{self, Counts, Sender};
use super::types::*;
use crate::error::{Code, Error, Result};
use crate::hub::{RATE_MIN, RateOptions};
use crate::media::{Input, Kind, Packed, Role};

/// Bytes that may wait where the host names no number.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// The least that it may name.
const QUEUE_BYTES_MIN: usize = 64 * 1024;

/// How long memory that is lent may be held where the host names no time.
const HOLD_MS: u32 = 500;
/// The longest that it may name.
const HOLD_MS_MAX: u32 = 60_000;

/// The callbacks of a publisher.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublisherCallbacks {
    pub(super) need_keyframe: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(super) rate_hint: Option<unsafe extern "C" fn(*mut c_void, u32)>,
}

/// A stream that this process publishes. Made by camrill_publisher_new(), freed by
/// camrill_publisher_free().
#[derive(Debug)]
pub struct camrill_publisher_t {
    /// A thread is in `writer`.
    writing: AtomicBool,
    writer: UnsafeCell<Writer>,
    counts: Arc<Counts>,
    written: AtomicU32,
    dropped: AtomicU32,
}

// SAFETY: of several threads only the one that has set `writing` gets at the writer; the rest is atomic.
unsafe impl Sync for camrill_publisher_t {}

/// What a thread has while it writes.
#[derive(Debug)]
struct Writer {
    sender: Sender,
    feed: Feed,
    queue_bytes: usize,
    hold: Duration,
    /// Video was dropped: nothing is taken until the next keyframe.
    waits_for_key: bool,
}

/// The writer, for one thread at a time.
struct Writing<'a>(&'a camrill_publisher_t);

/// Publishes a stream of this process's own and writes the publisher to `out`. It is published at once;
/// frames come with camrill_publisher_write(). CAMRILL_EBUSY if the name is being published and the
/// vhost's on_conflict is refuse, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on
/// failure. On the loop's thread.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_publisher_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_publisher_config_t,
    out: *mut *mut camrill_publisher_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        make(engine, config, out, |handle, config: &camrill_publisher_config_t| {
            let (vhost, app, name) = names(config.vhost, config.app, config.name)?;
            let rate = rate_options(config)?;
            let counts = Arc::<Counts>::default();
            let (sender, receiver) = queue::channel(handle.remote.clone(), counts.clone());
            let publisher = camrill_publisher_t::new(config, sender, counts)?;
            let encoder = handle.with(|engine| {
                let encoder = engine.publish(vhost, app, name, Box::new(receiver))?;
                let tracks = &config.tracks;
                let (video, audio) = (tracks.video_codec, tracks.audio_codec);
                engine.declare_tracks(encoder, video != CAMRILL_CODEC_NONE, audio != CAMRILL_CODEC_NONE);
                if video == CAMRILL_CODEC_MJPEG {
                    log::warn!(
                        "RTMP, FLV, MPEG-TS and HLS have no place for MJPEG: {app}/{name} plays without video"
                    );
                }
                if config.rate_hint.is_some() {
                    engine.hint_rate(encoder, rate)?;
                }
                Ok(encoder)
            })?;
            let callbacks =
                PublisherCallbacks { need_keyframe: config.need_keyframe, rate_hint: config.rate_hint };
            handle.publishers.insert(encoder, config.user, config.user_free, callbacks);
            Ok(publisher)
        })
    }
}

/// Queues one frame for the loop and returns at once; the data is copied. Parameter sets alone, and NAL units of
/// an access unit that isn't complete, are kept for what follows. What is refused changes nothing. When the queue
/// is full the frame is dropped, and video up to the next keyframe with it: CAMRILL_EAGAIN, need_keyframe is called,
/// and the loss is counted. CAMRILL_EFRAME if it is not what its codec says. CAMRILL_ESTATE if the stream
/// is no longer this publisher's: the engine is freed, or another publisher took its place.
/// Never waits, neither for the loop nor for a lock. One thread at a time per publisher, any one: a second
/// one gets CAMRILL_ESTATE, and its frame is not taken. [any thread]
///
/// # Safety
/// `publisher` is NULL or came from camrill_publisher_new() and has not been freed; `frame` is valid and
/// its data readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_publisher_write(
    publisher: *mut camrill_publisher_t,
    frame: *const camrill_frame_t,
) -> i32 {
    no_engine(guarded(|| {
        // SAFETY: the caller's contract.
        let publisher = unsafe { publisher_of(publisher) }?;
        // SAFETY: as above.
        let (frame, pieces) = unsafe { frame_and_pieces(frame) }?;
        publisher.write(&frame, Input::Copied(&pieces))
    }))
}

/// camrill_publisher_write() without a copy: the frame's memory is lent, and goes to RTMP and FLV players as it
/// stands. Until `release` has run it must stay as it is. `release(user)` runs exactly once whatever is answered:
/// inside this call where the frame is refused, dropped or too small to be worth it (below 2 KiB), else from any
/// thread that lets go of the last piece: the loop's as a rule, inside camrill_engine_poll(),
/// camrill_engine_run() or camrill_engine_free(), or one that calls camrill_publisher_free(), or this one, where
/// the loop was done with the frame before the call was. It must be quick and use no engine; it may write to a
/// publisher. After a fork it runs in the parent only.
///
/// What the loop still holds after max_hold_ms (camrill_publisher_config_t), for slow players or as the GOP cache,
/// it copies, so that the encoder gets its memory back; the copies are counted (late_copies). HLS and recordings
/// copy each frame at once. While the loop stands still what is in the queue stays held, up to queue_bytes.
/// Answers as camrill_publisher_write() does, and CAMRILL_EINVAL if `release` is NULL. [any thread]
///
/// ```c
/// static void give_back(void *buffer) { encoder_queue_buffer(buffer); }
/// ...
/// frame.data = buffer->data;
/// frame.size = buffer->used;
/// camrill_publisher_write_ref(publisher, &frame, give_back, buffer);
/// ```
///
/// # Safety
/// As for camrill_publisher_write(), and the data stays readable and unchanged until `release` has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_publisher_write_ref(
    publisher: *mut camrill_publisher_t,
    frame: *const camrill_frame_t,
    release: Option<unsafe extern "C" fn(user: *mut c_void)>,
    user: *mut c_void,
) -> i32 {
    let Some(release) = release else {
        let message = "release is NULL; a function expected that takes the memory back";
        return no_engine::<i32>(Err(Error::new(Code::InvalidArgument, message)));
    };
    // Outlives the writing, so that the host's function may write when this is the last that holds the memory.
    let lender = Arc::new(Lender::new(release, user));
    no_engine(guarded(|| {
        // SAFETY: the caller's contract.
        let publisher = unsafe { publisher_of(publisher) }?;
        // SAFETY: as above.
        let (frame, pieces) = unsafe { frame_and_pieces(frame) }?;
        // SAFETY: the pieces stay until `release` has run, by the caller's contract.
        let pieces = unsafe { lender.lend(&pieces, &publisher.counts) };
        publisher.write(&frame, Input::Lent(&pieces))
    }))
}

/// Writes what the publisher has done. [any thread]
///
/// # Safety
/// `publisher` as for camrill_publisher_write(); `out` holds as many bytes as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_publisher_stats(
    publisher: *const camrill_publisher_t,
    out: *mut camrill_publisher_stats_t,
) -> i32 {
    no_engine(guarded(|| {
        // SAFETY: the caller's contract.
        let publisher = unsafe { publisher_of(publisher) }?;
        let count = |n: &AtomicUsize| u32::try_from(n.load(Ordering::Acquire)).unwrap_or(u32::MAX);
        let stats = camrill_publisher_stats_t {
            struct_size: 0,
            written: publisher.written.load(Ordering::Relaxed),
            dropped: publisher.dropped.load(Ordering::Relaxed),
            queued_bytes: count(&publisher.counts.queued),
            held: count(&publisher.counts.held),
            late_copies: publisher.counts.copied.load(Ordering::Relaxed) as u32,
        };
        // SAFETY: the caller's contract.
        unsafe { write(out, &stats) }.map(|()| CAMRILL_OK)
    }))
}

/// Ends a publisher: what is queued and what has come of an access unit still goes out, then the stream is published no longer and
/// `user_free` runs on the loop's thread. NULL is allowed. Not while a write is going on; before or after
/// camrill_engine_free(). [any thread]
///
/// # Safety
/// As for camrill_publisher_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_publisher_free(publisher: *mut camrill_publisher_t) {
    if publisher.is_null() {
        return;
    }
    // SAFETY: it came from Box::into_raw, and the caller gives it up.
    let publisher = unsafe { Box::from_raw(publisher) };
    let _ = guarded(|| {
        // Nobody is left to be told that it was dropped.
        let _ = publisher.flush();
        drop(publisher);
        Ok(())
    });
}

fn rate_options(config: &camrill_publisher_config_t) -> Result<RateOptions> {
    let camrill_publisher_config_t { rate_min: min, rate_max: max, flags, .. } = *config;
    let unknown = flags & !CAMRILL_PUBLISHER_RATE_FORWARDS;
    let least = if min == 0 { RATE_MIN } else { min };
    let message = if unknown != 0 {
        format!("flags are {flags:#x}, of which {unknown:#x} is unknown; 0 or CAMRILL_PUBLISHER_… expected")
    } else if max != 0 && max < least {
        format!("rate_max is {max}; 0 or at least rate_min, which is {least}, expected")
    } else {
        return Ok(RateOptions { min, max, forwards_only: flags != 0 });
    };
    Err(Error::new(Code::InvalidArgument, message))
}

/// # Safety
/// `publisher` is NULL or came from camrill_publisher_new() and is not freed meanwhile.
unsafe fn publisher_of<'a>(publisher: *const camrill_publisher_t) -> Result<&'a camrill_publisher_t> {
    // SAFETY: the caller's contract; only shared references are ever made of it.
    unsafe { publisher.as_ref() }.ok_or_else(|| Error::new(Code::InvalidArgument, "publisher is NULL"))
}

impl camrill_publisher_t {
    /// # Safety
    /// The config's buffers are as camrill_publisher_new() wants them.
    unsafe fn new(config: &camrill_publisher_config_t, sender: Sender, counts: Arc<Counts>) -> Result<Self> {
        // SAFETY: the caller's contract.
        let feed = unsafe { Feed::new(&config.tracks) }?;
        let queue_bytes = match config.queue_bytes as usize {
            0 => QUEUE_BYTES,
            n if n >= QUEUE_BYTES_MIN => n,
            n => {
                let message = format!("queue_bytes is {n}; 0 or at least {QUEUE_BYTES_MIN} expected");
                return Err(Error::new(Code::InvalidArgument, message));
            }
        };
        let hold_ms = match config.max_hold_ms {
            0 => HOLD_MS,
            ms if ms <= HOLD_MS_MAX => ms,
            ms => {
                let message = format!("max_hold_ms is {ms}; 0 to {HOLD_MS_MAX} expected");
                return Err(Error::new(Code::InvalidArgument, message));
            }
        };
        let hold = Duration::from_millis(hold_ms.into());
        let writer = Writer { sender, feed, queue_bytes, hold, waits_for_key: false };
        Ok(Self {
            writing: AtomicBool::new(false),
            writer: UnsafeCell::new(writer),
            counts,
            written: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        })
    }

    fn write(&self, frame: &camrill_frame_t, input: Input<'_>) -> Result<i32> {
        let mut writing = self.enter()?;
        let writer = writing.writer();
        writer.check()?;
        let packed = writer.pack(frame, input)?;
        self.queue(writer, packed)
    }

    fn queue(&self, writer: &mut Writer, packed: Packed) -> Result<i32> {
        if packed.is_empty() {
            return Ok(CAMRILL_OK);
        }
        let queued = writer.queue(packed);
        if queued.is_ok() { &self.written } else { &self.dropped }.fetch_add(1, Ordering::Relaxed);
        queued.map(|()| CAMRILL_OK)
    }

    /// Sends what there is of an access unit that nothing says the end of.
    fn flush(&self) -> Result<i32> {
        let mut writing = self.enter()?;
        let writer = writing.writer();
        writer.check()?;
        let packed = writer.feed.flush();
        self.queue(writer, packed)
    }

    fn enter(&self) -> Result<Writing<'_>> {
        if self.writing.swap(true, Ordering::Acquire) {
            return Err(Error::new(Code::State, "another thread is writing to this publisher"));
        }
        Ok(Writing(self))
    }
}

impl Writing<'_> {
    fn writer(&mut self) -> &mut Writer {
        // SAFETY: this is there once, by `writing`, and borrowed for as long as the writer.
        unsafe { &mut *self.0.writer.get() }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.writing.store(false, Ordering::Release);
    }
}

impl Writer {
    fn check(&self) -> Result<()> {
        if self.sender.is_forked() {
            return Err(Error::new(Code::Forked, "the publisher belongs to the process that made it"));
        }
        if self.sender.is_closed() {
            return Err(Error::new(Code::State, "the stream is no longer this publisher's"));
        }
        Ok(())
    }

    fn pack(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<Packed> {
        let packed = self.feed.pack(frame, input)?;
        if frame.flags & CAMRILL_FRAME_DISCONTINUITY != 0 && self.feed.waits_for_key() {
            // Asks for a keyframe.
            self.sender.set_dropped();
            self.sender.wake();
        }
        Ok(packed)
    }

    fn queue(&mut self, mut packed: Packed) -> Result<()> {
        if packed.iter().any(|frame| frame.payload.is_lent()) {
            let until = self.sender.now() + self.hold;
            packed.iter_mut().for_each(|frame| frame.payload.lend_until(until));
        }
        let video = packed.iter().any(|frame| frame.kind == Kind::Video);
        let key = packed.iter().any(|frame| frame.is_video_key());
        let bytes = packed.iter().map(|frame| frame.size()).sum();
        let waits = video && self.waits_for_key && !key;
        if waits || !self.sender.has_room(packed.len(), bytes, self.queue_bytes) {
            self.waits_for_key |= video;
            // A header may have been among them: it goes out again with the next frame of its track.
            self.feed.lost_headers();
            self.sender.set_dropped();
            self.sender.wake();
            let message = "the queue to the loop is full: dropped until the next keyframe";
            return Err(Error::new(Code::Again, message));
        }
        for frame in packed {
            // Of an access unit that the keyframe has only completed.
            if self.waits_for_key && frame.kind == Kind::Video && frame.role == Role::Delta {
                continue;
            }
            self.waits_for_key &= !frame.is_video_key();
            self.sender.push(frame);
        }
        self.sender.wake();
        Ok(())
    }
}
