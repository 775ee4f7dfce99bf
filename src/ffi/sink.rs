//! Files of the host's own, which recorders are written to.

#![allow(non_camel_case_types)]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::convert::{c_string, read, sized32};
use super::engine::camrill_strerror;
use super::handle::camrill_engine_t;
use super::types::*;
use crate::engine::{Engine, FileAnswer, FileJob};
use crate::error::{Code, Error, Result};

/// Where a recorder's files go instead of the disk: a card with a file system of its own, an encrypted one, memory,
/// a socket. Start from CAMRILL_FILE_SINK_INIT; all functions must be there.
///
/// They are given the recorder's `user`, run on the loop's thread inside camrill_engine_poll() and
/// camrill_engine_run(), and may call what other callbacks may. They should return soon: meanwhile nothing else is
/// done. One that can't answers CAMRILL_EAGAIN and is asked for the same again, 20 ms later; what is to be written
/// until then waits, up to 4 MiB and preroll_bytes, and beyond that frames are left out up to a keyframe, which
/// on_file is told with CAMRILL_RECORDER_DROPPED.
///
/// camrill_engine_free() has what is left written and the files closed, before it calls `user_free`: then whoever
/// answers CAMRILL_EAGAIN is asked no more, and the file is closed as it is. In a child after fork() nothing is
/// called.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_file_sink_t {
    /// sizeof(camrill_file_sink_t).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Opens an empty file of this name, which is the config's `path` with its variables filled in; whether it may
    /// be there already, and what to do then, is the host's affair. Answers CAMRILL_OK and writes what the others
    /// are given as `file`, which may be NULL; or CAMRILL_EAGAIN, or another negative number: the file has failed.
    pub open:
        Option<unsafe extern "C" fn(user: *mut c_void, path: *const c_char, file: *mut *mut c_void) -> i32>,
    /// Writes all `size` bytes at `offset` from the file's beginning: most often at its end, and never beyond it. They
    /// come once 64 KiB are there, or a second has passed. When an FLV file is complete its duration and index are
    /// written over what stands near its beginning; MP4 is only written at its end. Answers CAMRILL_OK, CAMRILL_EAGAIN if it has written none of them, or another
    /// negative number: the file has failed, and is closed next. `data` is valid only during the call.
    pub write: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            file: *mut c_void,
            offset: u64,
            data: *const u8,
            size: usize,
        ) -> i32,
    >,
    /// Closes a file, once for each that was opened. `complete` is 1 if all of it was written, or 0: after a
    /// failure, or where the engine's end has cut it short, when it plays as far as it goes. Answers CAMRILL_OK, or a
    /// negative number: the file has failed; it is closed all the same.
    pub close: Option<unsafe extern "C" fn(user: *mut c_void, file: *mut c_void, complete: i32) -> i32>,
}

sized32!(camrill_file_sink_t);

/// The functions of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sink {
    open: unsafe extern "C" fn(*mut c_void, *const c_char, *mut *mut c_void) -> i32,
    write: unsafe extern "C" fn(*mut c_void, *mut c_void, u64, *const u8, usize) -> i32,
    close: unsafe extern "C" fn(*mut c_void, *mut c_void, i32) -> i32,
}

/// The files that are open, by recorder and number, as the host calls them. Nothing is locked while a function of
/// the host's runs.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<HashMap<(u32, u32), *mut c_void>>);

impl Files {
    fn lock(&self) -> MutexGuard<'_, HashMap<(u32, u32), *mut c_void>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// The sink of a config; `None` for NULL, which is the disk.
    ///
    /// # Safety
    /// `sink` is NULL or points to as many readable bytes as its `struct_size` says.
    pub(super) unsafe fn read(sink: *const camrill_file_sink_t) -> Result<Option<Self>> {
        if sink.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's contract.
        let given = unsafe { read(sink) }?;
        let lacks = |name| move || Error::new(Code::InvalidArgument, format!("the sink's {name} is NULL"));
        Ok(Some(Self {
            open: given.open.ok_or_else(lacks("open"))?,
            write: given.write.ok_or_else(lacks("write"))?,
            close: given.close.ok_or_else(lacks("close"))?,
        }))
    }
}

/// Has the host do what a recorder asks for, and tells the recorder what came of it.
pub(super) fn deliver(handle: &camrill_engine_t, recorder: u32, job: FileJob) -> Result<()> {
    let answer = act(handle, recorder, job);
    handle.with(|engine| engine.dvr_done(recorder, answer))
}

/// The engine, which the handle holds no more, is to end: so do the host's files, if it can still be asked and they are
/// this process's.
pub(super) fn finish(handle: &camrill_engine_t, mut engine: Engine) -> Engine {
    while handle.check().is_ok() && engine.finish_files() {
        while let Some(event) = engine.poll_event() {
            let crate::engine::Event::RecorderFile { recorder, job } = event else { continue };
            let answer = match act(handle, recorder, job) {
                FileAnswer::Again => FileAnswer::Failed("the engine has ended".to_owned()),
                answer => answer,
            };
            // It has asked.
            let _ = engine.dvr_done(recorder, answer);
        }
    }
    engine
}

/// Closes what is still open, since the engine can't any more.
pub(super) fn abandon(handle: &camrill_engine_t) {
    let open: Vec<(u32, u32)> = handle.files.lock().keys().copied().collect();
    for (recorder, file) in open {
        act(handle, recorder, FileJob::Close { file, complete: false });
    }
}

/// Calls the host.
fn act(handle: &camrill_engine_t, recorder: u32, job: FileJob) -> FileAnswer {
    let Some((Some(sink), user)) = handle.recorders.find(recorder).map(|(of, user)| (of.sink, user)) else {
        return FileAnswer::Failed("there is no sink".to_owned());
    };
    let no_file = || FileAnswer::Failed("the sink has no such file".to_owned());
    let answer = match job {
        FileJob::Open { file, path } => {
            let (path, mut opened) = (c_string(&path), std::ptr::null_mut());
            // SAFETY: the host's function, with its own pointer, for which user_free has not run; the string outlives
            // the call, and there is room for the pointer.
            let answer = unsafe { (sink.open)(user, path.as_ptr(), &mut opened) };
            if answer >= 0 {
                handle.files.lock().insert((recorder, file), opened);
            }
            answer
        }
        FileJob::Write { file, offset, bytes } => {
            let open = handle.files.lock().get(&(recorder, file)).copied();
            let Some(open) = open else { return no_file() };
            // SAFETY: as above, with a file that `open` gave and `close` has not had; the bytes outlive the call.
            unsafe { (sink.write)(user, open, offset, bytes.as_ptr(), bytes.len()) }
        }
        FileJob::Close { file, complete } => {
            let open = handle.files.lock().remove(&(recorder, file));
            let Some(open) = open else { return no_file() };
            // SAFETY: as above; it is taken out, so this is the only time.
            unsafe { (sink.close)(user, open, complete.into()) }
        }
    };
    match answer {
        0.. => FileAnswer::Done,
        CAMRILL_EAGAIN => FileAnswer::Again,
        error => {
            // SAFETY: it answers a string that lasts.
            let text = unsafe { CStr::from_ptr(camrill_strerror(error)) }.to_string_lossy();
            FileAnswer::Failed(format!("the sink answered {error} ({text})"))
        }
    }
}
