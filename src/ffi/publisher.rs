//! Publishing from an encoder's thread.

#![allow(non_camel_case_types)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use super::convert::{read, write};
use super::feed::{Feed, frame_and_pieces, names};
use super::handle::{call, camrill_engine_t, guarded, no_engine};
use super::queue::{self, Sender};
use super::types::*;
use crate::error::{Code, Error, Result};
use crate::media::{Input, Kind, Packed};

/// Bytes that may wait where the host names no number.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// The least that it may name.
const QUEUE_BYTES_MIN: usize = 64 * 1024;

/// The callback of a publisher.
pub(super) type NeedKeyframe = Option<unsafe extern "C" fn(*mut c_void)>;

/// A stream that this process publishes. Made by camrill_publisher_new(), freed by
/// camrill_publisher_free().
#[derive(Debug)]
pub struct camrill_publisher_t {
    sender: Sender,
    feed: Feed,
    queue_bytes: usize,
    /// Video was dropped: nothing is taken until the next keyframe.
    waits_for_key: bool,
    written: AtomicU32,
    dropped: AtomicU32,
}

/// Publishes a stream of this process's own and writes the publisher to `out`. It is published at once;
/// frames come with camrill_publisher_write(). CAMRILL_EBUSY if the name is being published and the
/// vhost's on_conflict is refuse, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on failure. Called on the loop's thread.
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
        call(engine, |handle| {
            if out.is_null() {
                return Err(Error::new(Code::InvalidArgument, "out is NULL"));
            }
            let config = read(config)?;
            let (vhost, app, name) = names(config.vhost, config.app, config.name)?;
            let (sender, receiver) = queue::channel(handle.remote.clone());
            let publisher = Box::new(camrill_publisher_t::new(&config, sender)?);
            let encoder = handle.with(|engine| engine.publish(vhost, app, name, Box::new(receiver)))?;
            handle.publishers.insert(encoder, config.user, config.user_free, config.need_keyframe);
            out.write(Box::into_raw(publisher));
            Ok(CAMRILL_OK)
        })
    }
}

/// Queues one frame for the loop and returns at once; the data is copied. When the queue is full the
/// frame is dropped, and video up to the next keyframe with it: CAMRILL_EAGAIN, need_keyframe is called,
/// and the loss is counted. CAMRILL_EFRAME if it is not what its codec says. CAMRILL_ESTATE if the stream
/// is no longer this publisher's: the engine is freed, or another publisher took its place.
/// One thread at a time per publisher, any one.
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
        // SAFETY: the caller's contract: one thread at a time.
        let publisher = unsafe { publisher.as_mut() }
            .ok_or_else(|| Error::new(Code::InvalidArgument, "publisher is NULL"))?;
        // SAFETY: as above.
        let (frame, pieces) = unsafe { frame_and_pieces(frame) }?;
        publisher.write(&frame, Input::Copied(&pieces)).map(|()| CAMRILL_OK)
    }))
}

/// Writes what the publisher has done. On the thread that writes frames, or while none does.
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
        let publisher = unsafe { publisher.as_ref() }
            .ok_or_else(|| Error::new(Code::InvalidArgument, "publisher is NULL"))?;
        let stats = camrill_publisher_stats_t {
            struct_size: 0,
            written: publisher.written.load(Ordering::Relaxed),
            dropped: publisher.dropped.load(Ordering::Relaxed),
            queued_bytes: u32::try_from(publisher.sender.queued_bytes()).unwrap_or(u32::MAX),
        };
        // SAFETY: the caller's contract.
        unsafe { write(out, &stats) }.map(|()| CAMRILL_OK)
    }))
}

/// Ends a publisher: what is queued still goes out, then the stream is published no longer and
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
    let mut publisher = unsafe { Box::from_raw(publisher) };
    let _ = guarded(|| {
        publisher.flush();
        drop(publisher);
        Ok(())
    });
}

impl camrill_publisher_t {
    /// # Safety
    /// The config's buffers are as camrill_publisher_new() wants them.
    unsafe fn new(config: &camrill_publisher_config_t, sender: Sender) -> Result<Self> {
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
        Ok(Self {
            sender,
            feed,
            queue_bytes,
            waits_for_key: false,
            written: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        })
    }

    fn write(&mut self, frame: &camrill_frame_t, input: Input<'_>) -> Result<()> {
        if self.sender.is_forked() {
            return Err(Error::new(Code::Forked, "the publisher belongs to the process that made it"));
        }
        if self.sender.is_closed() {
            return Err(Error::new(Code::State, "the stream is no longer this publisher's"));
        }
        let packed = self.feed.pack(frame, input)?;
        if frame.flags & CAMRILL_FRAME_DISCONTINUITY != 0 && self.feed.waits_for_key() {
            // Asks for a keyframe.
            self.sender.set_dropped();
            self.sender.wake();
        }
        if packed.is_empty() {
            return Ok(());
        }
        self.queue(packed)
    }

    /// Sends what there is of an access unit that nothing says the end of.
    fn flush(&mut self) {
        if self.sender.is_forked() || self.sender.is_closed() {
            return;
        }
        let packed = self.feed.flush();
        if !packed.is_empty() {
            // Nobody is left to be told that it was dropped.
            let _ = self.queue(packed);
        }
    }

    fn queue(&mut self, packed: Packed) -> Result<()> {
        let video = packed.iter().any(|frame| frame.kind == Kind::Video);
        let key = packed.iter().any(|frame| frame.is_video_key());
        let bytes = packed.iter().map(|frame| frame.size()).sum();
        let waits = video && self.waits_for_key && !key;
        if waits || !self.sender.has_room(packed.len(), bytes, self.queue_bytes) {
            self.waits_for_key |= video;
            // A header may have been among them: it goes out again with the next frame of its track.
            self.feed.lost_headers();
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.sender.set_dropped();
            self.sender.wake();
            let message = "the queue to the loop is full: dropped until the next keyframe";
            return Err(Error::new(Code::Again, message));
        }
        if key {
            self.waits_for_key = false;
        }
        for frame in packed {
            self.sender.push(frame);
        }
        self.written.fetch_add(1, Ordering::Relaxed);
        self.sender.wake();
        Ok(())
    }
}
