//! Recording from C: the host's own recorders, and control of the configuration's.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

use super::convert::{c_string, sized32, text};
use super::dispatch::{self, More};
use super::feed::{Feed, frame_and_pieces, names};
use super::handle::{call, camrill_engine_t};
use super::owned::{self, Handle, Owned, on};
use super::settings::Values;
use super::sink::{Sink, camrill_file_sink_t};
use super::types::*;
use crate::config;
use crate::engine::{DvrNews, DvrOptions, Engine, Event, Subject};
use crate::error::{Code, Error, Result};
use crate::media::Input;

/// A recorder's file ends with the publish.
pub const CAMRILL_RECORDER_SESSION: i32 = 1;
/// A recorder's file ends when it has its length, at the next keyframe.
pub const CAMRILL_RECORDER_SEGMENT: i32 = 2;
/// A recorder's file is gone on with by the next publish. FLV only: MP4 is as CAMRILL_RECORDER_SESSION.
pub const CAMRILL_RECORDER_APPEND: i32 = 3;

/// Flag of a recorder: nothing is written before camrill_recorder_start().
pub const CAMRILL_RECORDER_ON_DEMAND: u32 = 1;
/// Flag of a recorder: an MP4 file is rewritten as a plain one when it is finished.
pub const CAMRILL_RECORDER_FASTSTART: u32 = 2;

/// Flag of a cut: the file ends now, and what comes before the next keyframe is in no file.
pub const CAMRILL_CUT_AT_ONCE: u32 = 1;

/// A recorder's file is being written.
pub const CAMRILL_RECORDER_OPENED: i32 = 1;
/// A recorder's file is complete.
pub const CAMRILL_RECORDER_CLOSED: i32 = 2;
/// A recorder's file could not be written, or not to its end: another one is tried 10 s later. Without a path:
/// nothing, or not this track, can be recorded.
pub const CAMRILL_RECORDER_FAILED: i32 = 3;
/// Frames were left out, since the disk or the sink was too slow.
pub const CAMRILL_RECORDER_DROPPED: i32 = 4;

/// A recorder. Made by camrill_recorder_new(), freed by camrill_recorder_free().
#[derive(Debug)]
pub struct camrill_recorder_t {
    owned: Owned,
    /// Where the host writes frames.
    feed: Option<Feed>,
}

impl Handle for camrill_recorder_t {
    const NAME: &'static str = "recorder";

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// What became of a recorder's file. Strings are UTF-8, never NULL, and valid only during the callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_recorder_file_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_RECORDER_OPENED, CAMRILL_RECORDER_CLOSED, CAMRILL_RECORDER_FAILED or CAMRILL_RECORDER_DROPPED.
    pub what: i32,
    /// The file; empty where none is concerned.
    pub path: *const c_char,
    /// Why, for CAMRILL_RECORDER_FAILED; else empty.
    pub reason: *const c_char,
    /// How long it plays, in µs, for CAMRILL_RECORDER_CLOSED; else 0.
    pub duration_us: i64,
    /// Its length in bytes, for CAMRILL_RECORDER_CLOSED; else 0.
    pub bytes: u64,
    /// How many frames were left out, for CAMRILL_RECORDER_DROPPED; else 0.
    pub frames: u32,
    /// 0.
    pub reserved: u32,
}

/// How a recorder is made. Start from CAMRILL_RECORDER_CONFIG_INIT. Strings and buffers are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_recorder_config_t {
    /// sizeof(camrill_recorder_config_t).
    pub struct_size: u32,
    /// CAMRILL_RECORDER_SESSION, CAMRILL_RECORDER_SEGMENT or CAMRILL_RECORDER_APPEND; 0 means SESSION.
    pub plan: i32,
    /// The vhost; NULL or "" means the default one.
    pub vhost: *const c_char,
    /// The application. With `name` NULL too it records the frames that camrill_recorder_write() is given.
    pub app: *const c_char,
    /// The stream's name. It is recorded whenever it is published, by whomever.
    pub name: *const c_char,
    /// What is written, without a stream: as of a publisher. With one of no meaning.
    pub tracks: camrill_tracks_t,
    /// A file's name, such as `/sd/[2006]-[01]-[02]/[15].[04].[05].mp4`: the suffix chooses FLV or MP4, and a
    /// path without either is a folder. `[vhost] [app] [stream] [seq] [timestamp]` are known too. One that is
    /// there is not written over: the next free name like it is taken, where the library writes it. Not NULL.
    pub path: *const c_char,
    /// Length of a file of CAMRILL_RECORDER_SEGMENT; 0 means 30000.
    pub duration_ms: u32,
    /// Length of an MP4 file's fragments, 100 to 60000: what a power cut may cost; 0 means 1000.
    pub fragment_ms: u32,
    /// How much of what came before camrill_recorder_start() is recorded too, up to 60000, and as much more as
    /// its GOP has; 0 means nothing.
    pub preroll_ms: u32,
    /// Most memory that this takes, in bytes, 64 KiB to 1 GiB; 0 means 16 MiB.
    pub preroll_bytes: u32,
    /// A publisher that returns within this time goes on with the same file; 0 means that a file ends with its
    /// publish.
    pub keep_ms: u32,
    /// Older recordings beneath the path's fixed folder are removed, in s; 0 means never.
    pub max_age_s: u32,
    /// Beyond this many bytes the oldest recordings beneath that folder are removed; 0 means never.
    pub max_bytes: u64,
    /// CAMRILL_RECORDER_ON_DEMAND, CAMRILL_RECORDER_FASTSTART.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Is told what became of each file. May be NULL.
    pub on_file: Option<unsafe extern "C" fn(user: *mut c_void, file: *const camrill_recorder_file_t)>,
    /// Who writes the files; copied. NULL: the library does, to the disk. With one there is no looking for a name that
    /// is free, and CAMRILL_EINVAL for what would have to look through a folder or to read a file: max_age_s,
    /// max_bytes, CAMRILL_RECORDER_APPEND, CAMRILL_RECORDER_FASTSTART.
    pub sink: *const camrill_file_sink_t,
}

sized32!(camrill_recorder_config_t);

/// The callbacks of one recorder.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecorderCallbacks {
    on_file: OnFile,
    pub(super) sink: Option<Sink>,
}

type OnFile = Option<unsafe extern "C" fn(*mut c_void, *const camrill_recorder_file_t)>;

/// Makes a recorder of a stream, or of frames that come with camrill_recorder_write(), and writes it to `out`.
/// It is apart from the configuration's, and joins a stream that is published at its next keyframe. Files are
/// written on the library's disk thread, so that a card that stalls holds nothing up, or by the config's `sink`.
/// CAMRILL_EINVAL for a value out of its range, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_recorder_config_t,
    out: *mut *mut camrill_recorder_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        owned::make(engine, config, out, |handle, config| {
            let is_fed = config.app.is_null() && config.name.is_null();
            let feed = if is_fed { Some(Feed::new(&config.tracks)?) } else { None };
            let name = if is_fed { None } else { Some(names(config.vhost, config.app, config.name)?) };
            let settings = settings(config)?;
            let callbacks = RecorderCallbacks { on_file: config.on_file, sink: Sink::read(config.sink)? };
            let id = handle.with(|engine| {
                let stream = name.map(|(vhost, app, name)| engine.name(vhost, app, name)).transpose()?;
                let id =
                    engine.dvr_open(DvrOptions { stream, settings, by_host: callbacks.sink.is_some() })?;
                handle.recorders.insert(id, config.user, config.user_free, callbacks);
                Ok(id)
            })?;
            Ok(camrill_recorder_t { owned: Owned::new(handle, id), feed })
        })
    }
}

/// Adds one frame, as camrill_publisher_write() does; what comes before the first keyframe is left out,
/// and what comes then is held until each track of the config has come, for at most 2 s of it. It
/// never waits for the disk: one that is too slow costs frames, which on_file is told. CAMRILL_EFRAME if it is
/// not what its codec says. CAMRILL_ESTATE if the recorder is of a stream, or the engine is freed.
///
/// # Safety
/// `recorder` is NULL or came from camrill_recorder_new() and has not been freed; `frame` is valid and its data
/// readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_write(
    recorder: *mut camrill_recorder_t,
    frame: *const camrill_frame_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(recorder, |handle, id| {
            let (frame, pieces) = frame_and_pieces(frame)?;
            handle.with(|engine| {
                // Only in here: a log line's callback, which comes after this, may free it.
                let feed = (*recorder).feed.as_mut();
                let feed = feed.ok_or_else(|| Error::new(Code::State, "this recorder is of a stream"))?;
                let packed = feed.pack_whole(&frame, Input::Copied(&pieces))?;
                engine.dvr_write(id, &packed).inspect_err(|_| feed.lost_headers()).map(|()| CAMRILL_OK)
            })
        })
    }
}

/// Begins to write, with preroll_ms of what came before, from a keyframe on. Nothing happens if it has begun.
///
/// # Safety
/// As for camrill_recorder_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_start(recorder: *mut camrill_recorder_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { on(recorder, |handle, id| handle.with(|engine| engine.dvr_start(id)).map(|()| CAMRILL_OK)) }
}

/// Ends the file, and writes no more until camrill_recorder_start().
///
/// # Safety
/// As for camrill_recorder_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_stop(recorder: *mut camrill_recorder_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { on(recorder, |handle, id| handle.with(|engine| engine.dvr_stop(id)).map(|()| CAMRILL_OK)) }
}

/// Ends the file and begins another, at the next keyframe or with CAMRILL_CUT_AT_ONCE now. Nothing happens if
/// there is no file.
///
/// # Safety
/// As for camrill_recorder_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_cut(recorder: *mut camrill_recorder_t, flags: u32) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(recorder, |handle, id| {
            let at_once = cut(flags)?;
            handle.with(|engine| engine.dvr_cut(id, at_once)).map(|()| CAMRILL_OK)
        })
    }
}

/// Ends a recorder: its file is written to its end, on_file is told, and then `user_free` runs, inside a poll
/// that may come some time later. NULL is allowed. Inside a callback it is legal. On the loop's thread; once
/// the engine is freed, which has run `user_free` already, on any.
///
/// # Safety
/// As for camrill_recorder_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_recorder_free(recorder: *mut camrill_recorder_t) {
    // SAFETY: the caller's contract.
    unsafe {
        owned::free_with(recorder, |recorder, engine, id| {
            if let Some(feed) = &mut recorder.feed {
                // ENOENT is told below.
                let _ = engine.dvr_write(id, &feed.flush_whole());
            }
            engine.dvr_close(id)
        });
    }
}

/// Has the recorder that the configuration (`dvr`) keeps for a stream begin to write, as
/// camrill_recorder_start() does. `vhost` NULL or "" means the default one. CAMRILL_ENOENT if the stream is not
/// published, or not to be recorded.
///
/// # Safety
/// `engine` as for camrill_engine_free(); the strings are NULL or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_dvr_start(
    engine: *mut camrill_engine_t,
    vhost: *const c_char,
    app: *const c_char,
    name: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { of_vhost(engine, (vhost, app, name), Engine::dvr_start) }
}

/// The same as camrill_recorder_stop(): the configuration's recorder ends its file and waits for
/// camrill_dvr_start(). CAMRILL_ENOENT as there.
///
/// # Safety
/// As for camrill_dvr_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_dvr_stop(
    engine: *mut camrill_engine_t,
    vhost: *const c_char,
    app: *const c_char,
    name: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { of_vhost(engine, (vhost, app, name), Engine::dvr_stop) }
}

/// The same as camrill_recorder_cut(). CAMRILL_ENOENT as in camrill_dvr_start().
///
/// # Safety
/// As for camrill_dvr_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_dvr_cut(
    engine: *mut camrill_engine_t,
    vhost: *const c_char,
    app: *const c_char,
    name: *const c_char,
    flags: u32,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        of_vhost(engine, (vhost, app, name), |engine, id| {
            let at_once = cut(flags)?;
            engine.dvr_cut(id, at_once)
        })
    }
}

/// Hands what became of a recording to its recorder's callbacks, or where it is the configuration's to the
/// engine's.
pub(super) fn deliver(handle: &camrill_engine_t, event: Event) {
    match event {
        Event::Recording { recorder, stream, name, path, news } => {
            if let Some((callbacks, user)) = handle.recorders.find(recorder) {
                return tell(callbacks.on_file, user, &path, news);
            }
            let (kind, reason, duration_us, bytes) = match news {
                DvrNews::Opened => (CAMRILL_EVENT_RECORDING, String::new(), 0, 0),
                DvrNews::Closed { duration_us, bytes } => {
                    (CAMRILL_EVENT_RECORDED, String::new(), duration_us, bytes)
                }
                DvrNews::Failed(reason) => (CAMRILL_EVENT_RECORD_FAILED, reason, 0, 0),
                // The log has it.
                DvrNews::Dropped(_) => return,
            };
            let subject = Subject { client: 0, stream, address: None, name, param: String::new() };
            let more = More { path: &path, duration_us, bytes, ..More::default() };
            dispatch::tell(handle, kind, &subject, &reason, &more);
        }
        Event::RecorderEnded { recorder } => handle.recorders.end(recorder),
        _ => {}
    }
}

/// Tells a recorder's callback.
fn tell(on_file: OnFile, user: *mut c_void, path: &str, news: DvrNews) {
    let Some(on_file) = on_file else { return };
    let mut reason = String::new();
    let (mut duration, mut length, mut dropped) = (0, 0, 0);
    let what = match news {
        DvrNews::Opened => CAMRILL_RECORDER_OPENED,
        DvrNews::Closed { duration_us, bytes } => {
            (duration, length) = (duration_us, bytes);
            CAMRILL_RECORDER_CLOSED
        }
        DvrNews::Failed(why) => {
            reason = why;
            CAMRILL_RECORDER_FAILED
        }
        DvrNews::Dropped(frames) => {
            dropped = frames;
            CAMRILL_RECORDER_DROPPED
        }
    };
    let (path, reason) = (c_string(path), c_string(&reason));
    let file = camrill_recorder_file_t {
        struct_size: size_of::<camrill_recorder_file_t>() as u32,
        what,
        path: path.as_ptr(),
        reason: reason.as_ptr(),
        duration_us: duration,
        bytes: length,
        frames: dropped,
        reserved: 0,
    };
    // SAFETY: the host's function, with its own pointer, for which user_free has not run; the struct and
    // its strings outlive the call.
    unsafe { on_file(user, &file) };
}

/// A function on the configuration's recorder of a stream.
///
/// # Safety
/// As for camrill_dvr_start().
unsafe fn of_vhost(
    engine: *mut camrill_engine_t,
    (vhost, app, name): (*const c_char, *const c_char, *const c_char),
    f: impl FnOnce(&mut Engine, u32) -> Result<()>,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let (vhost, app, name) = names(vhost, app, name)?;
            handle.with(|engine| {
                let name = engine.name(vhost, app, name)?;
                let id = engine.dvr_find(&name);
                let id = id.ok_or_else(|| {
                    Error::new(Code::NotFound, format!("{name} has no recorder of the configuration's"))
                })?;
                f(engine, id).map(|()| CAMRILL_OK)
            })
        })
    }
}

fn cut(flags: u32) -> Result<bool> {
    match flags {
        0 => Ok(false),
        CAMRILL_CUT_AT_ONCE => Ok(true),
        n => {
            let message = format!("flags is {n}; 0 or CAMRILL_CUT_AT_ONCE expected");
            Err(Error::new(Code::InvalidArgument, message))
        }
    }
}

/// # Safety
/// The config's strings are NULL or end in NUL.
unsafe fn settings(config: &camrill_recorder_config_t) -> Result<config::Dvr> {
    let wrong = |message: String| Error::new(Code::InvalidArgument, message);
    // SAFETY: the caller's contract.
    let path = unsafe { text(config.path, "path") }?;
    if path.is_empty() {
        return Err(wrong("path is empty".into()));
    }
    let plan = match config.plan {
        0 | CAMRILL_RECORDER_SESSION => "session",
        CAMRILL_RECORDER_SEGMENT => "segment",
        CAMRILL_RECORDER_APPEND => "append",
        n => return Err(wrong(format!("plan is {n}; 0 or one of CAMRILL_RECORDER_SESSION… expected"))),
    };
    let all = CAMRILL_RECORDER_ON_DEMAND | CAMRILL_RECORDER_FASTSTART;
    if config.flags & !all != 0 {
        let message = format!("flags is {}; some of CAMRILL_RECORDER_ON_DEMAND… expected", config.flags);
        return Err(wrong(message));
    }
    let mut values = Values::new("dvr")?;
    values.set("plan", "dvr_plan", plan)?;
    values.ms("duration_ms", "dvr_duration", config.duration_ms)?;
    values.ms("fragment_ms", "dvr_fragment", config.fragment_ms)?;
    values.ms("preroll_ms", "dvr_preroll", config.preroll_ms)?;
    values.number("preroll_bytes", "dvr_preroll_bytes", config.preroll_bytes.into())?;
    values.ms("keep_ms", "dvr_keep", config.keep_ms)?;
    values.number("max_age_s", "dvr_max_age", config.max_age_s.into())?;
    values.number("max_bytes", "dvr_max_bytes", config.max_bytes)?;
    let vhost = values.read()?;
    let dvr = vhost.dvr.as_deref().ok_or_else(|| wrong("recording is turned off".into()))?;
    Ok(config::Dvr {
        path: path.to_owned(),
        autostart: config.flags & CAMRILL_RECORDER_ON_DEMAND == 0,
        faststart: config.flags & CAMRILL_RECORDER_FASTSTART != 0,
        ..dvr.clone()
    })
}
