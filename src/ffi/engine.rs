//! Making, running and freeing engines.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::time::Duration;

use super::handle::{
    self, Callbacks, call, call_anywhere, call_outside, camrill_engine_t, engine, guarded,
    last_error_of_thread, no_engine,
};
use super::types::*;
use super::{convert, dispatch, logger};
use crate::engine::Engine;
use crate::error::{Code, Error};

/// The version of the library that is linked: major * 65536 + minor * 256 + patch, as CAMRILL_VERSION
/// is of the header. [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn camrill_version() -> u32 {
    CAMRILL_VERSION
}

/// What an error number means, in a few English words; never NULL. What exactly went wrong is in
/// camrill_engine_last_error(). [any thread]
#[unsafe(no_mangle)]
pub extern "C" fn camrill_strerror(error: i32) -> *const c_char {
    let text = match error {
        CAMRILL_OK => c"success",
        CAMRILL_EINVAL => c"invalid argument",
        CAMRILL_ECONFIG => c"wrong configuration",
        CAMRILL_ENOENT => c"no such thing",
        CAMRILL_EFRAME => c"not a frame of its codec",
        CAMRILL_ESTATE => c"not allowed in this state",
        CAMRILL_EREENTRANT => c"not allowed inside a callback",
        CAMRILL_EFORKED => c"not allowed in a forked child",
        CAMRILL_EBUSY => c"being published by somebody else",
        CAMRILL_EIO => c"socket or file call failed",
        CAMRILL_EADDRESS => c"address can't be listened at",
        CAMRILL_EPROTOCOL => c"the peer broke its protocol",
        CAMRILL_EAGAIN => c"queue full, try again later",
        CAMRILL_ELIMIT => c"limit reached",
        CAMRILL_ENOMEM => c"out of memory",
        CAMRILL_EBUFFER => c"buffer too small",
        CAMRILL_ETLS => c"no TLS with that certificate or key",
        CAMRILL_EPANIC => c"internal defect, free the engine",
        n if n > 0 => c"success",
        _ => c"unknown error",
    };
    text.as_ptr()
}

/// Makes an engine and writes it to `out`. It serves nothing until it is configured and
/// camrill_config_apply() is called. `config` may be NULL: all defaults, no callbacks. On failure
/// `user_free` is not called, and camrill_engine_last_error(NULL, …) has the sentence. [any thread]
///
/// Everything else on the engine is to be called from one thread at a time, and while a poll or run is
/// going on only from its callbacks, unless a function is marked [any thread].
///
/// # Safety
/// `config` is NULL or valid; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_new(
    config: *const camrill_engine_config_t,
    out: *mut *mut camrill_engine_t,
) -> i32 {
    no_engine(guarded(|| {
        if out.is_null() {
            return Err(Error::new(Code::InvalidArgument, "out is NULL"));
        }
        let (mut level, mut callbacks) = (
            0,
            Callbacks {
                user: ptr::null_mut(),
                user_free: None,
                on_log: None,
                on_event: None,
                on_admission: None,
                on_resolve: None,
            },
        );
        if !config.is_null() {
            // SAFETY: the caller's contract.
            let config = unsafe { convert::read(config) }?;
            level = config.log_level;
            callbacks = Callbacks {
                user: config.user,
                user_free: config.user_free,
                on_log: config.on_log,
                on_event: config.on_event,
                on_admission: config.on_admission,
                on_resolve: config.on_resolve,
            };
        }
        let wrong = || {
            let message =
                format!("log_level is {level}; 0 or CAMRILL_LOG_ERROR (1) to CAMRILL_LOG_TRACE (5) expected");
            Error::new(Code::InvalidArgument, message)
        };
        let filter = logger::filter(level).ok_or_else(wrong)?;
        let mut engine = Engine::new()?;
        engine.ask(callbacks.on_admission.is_some());
        engine.resolve_by_host(callbacks.on_resolve.is_some());
        let filter = if callbacks.on_log.is_some() { filter } else { log::LevelFilter::Off };
        let handle = Box::new(camrill_engine_t::new(engine, callbacks, filter));
        // SAFETY: not NULL, writable by the caller's contract.
        unsafe { out.write(Box::into_raw(handle)) };
        Ok(CAMRILL_OK)
    }))
}

/// Frees an engine: every connection is closed and every callback's `user_free` runs. NULL is allowed.
/// Inside a callback it is legal and done when the call that is going on returns; no callback but
/// `user_free` runs after it, and nothing may be called on the engine. Publishers, HLS, recorders, ingests and
/// forwards of it stay valid, to be freed, and calls with them answer CAMRILL_ESTATE. Their `user_free` come
/// before the engine's. Recordings that are going on are written to their ends, for which it waits up to 5 s,
/// without telling on_file; it waits for nothing else.
///
/// # Safety
/// `engine` is NULL or came from camrill_engine_new() and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_free(engine: *mut camrill_engine_t) {
    // SAFETY: the caller's contract.
    unsafe { handle::free(engine) };
}

/// The descriptor to wait for in the host's own loop: when it is readable, or when
/// camrill_engine_timeout_ms() has passed, call camrill_engine_poll(engine, 0). It stays the engine's
/// and stays the same; don't read, write or close it.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_fd(engine: *const camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call(engine, |handle| handle.with(|engine| Ok(engine.fd()))) }
}

/// How long the host's own loop may wait before the next camrill_engine_poll(), in milliseconds, rounded
/// up; 2147483647 (INT32_MAX) where nothing but the descriptor matters. Ask again after each poll.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_timeout_ms(engine: *const camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            handle.with(|engine| {
                Ok(engine.timeout().map_or(i32::MAX, |wait| {
                    i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
                }))
            })
        })
    }
}

/// One turn of the loop: waits up to `timeout_ms` (0: not at all, negative: without end) for something to
/// do, does it, and runs the callbacks. Answers how many events it handed out. CAMRILL_EREENTRANT from
/// inside a callback. After camrill_engine_stop() it returns at once, once.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_poll(engine: *mut camrill_engine_t, timeout_ms: i32) -> i32 {
    let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    // SAFETY: the caller's contract.
    unsafe {
        call_outside(engine, |handle| {
            let result = dispatch::turn(handle, timeout);
            // A stop is for run(); here it has done its work by ending the wait.
            handle.remote.take_stop();
            result
        })
    }
}

/// Runs the loop on the calling thread until camrill_engine_stop(), then answers 0. A stop that came
/// before it counts.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_run(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call_outside(engine, |handle| {
            while !handle.remote.take_stop() && !handle.is_freed() {
                dispatch::turn(handle, None)?;
            }
            Ok(CAMRILL_OK)
        })
    }
}

/// Makes camrill_engine_run() return soon. May be called from a signal handler, which keeps errno itself.
/// [any thread]
///
/// # Safety
/// As for camrill_engine_free(); the engine must not be freed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_stop(engine: *const camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call_anywhere(engine, |handle| handle.remote.stop().map(|()| CAMRILL_OK)) }
}

/// Ends the wait of the poll or run that is going on, or of the next one. May be called from a signal
/// handler, which keeps errno itself. [any thread]
///
/// # Safety
/// As for camrill_engine_stop().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_wake(engine: *const camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call_anywhere(engine, |handle| handle.remote.wake().map(|()| CAMRILL_OK)) }
}

/// Has the loop's thread run `fn(user)` after its current or next turn; from there everything may be
/// called but poll and run. Calls run in order. CAMRILL_EAGAIN while 1024 are waiting. A call that has
/// not run when the engine is freed never runs. [any thread]
///
/// # Safety
/// As for camrill_engine_stop(); `user` may be used on the loop's thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_call(
    engine: *const camrill_engine_t,
    r#fn: Option<unsafe extern "C" fn(user: *mut c_void)>,
    user: *mut c_void,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call_anywhere(engine, |handle| {
            let f = r#fn.ok_or_else(|| Error::new(Code::InvalidArgument, "fn is NULL"))?;
            let user = SendPointer(user);
            handle.remote.call(Box::new(move || {
                let user = user;
                // SAFETY: the host says that both may be used on the loop's thread.
                f(user.0);
            }))?;
            Ok(CAMRILL_OK)
        })
    }
}

/// Writes the sentence of the last error on this engine (what was wrong, where, what was expected) and a
/// NUL to `buffer`, cut to `size` bytes; answers its whole length. With NULL for the engine: of the last
/// call on this thread that had none, such as camrill_engine_new().
///
/// # Safety
/// `engine` as for camrill_engine_free(); `buffer` is NULL or has `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_last_error(
    engine: *const camrill_engine_t,
    buffer: *mut c_char,
    size: usize,
) -> usize {
    // SAFETY: the caller's contract.
    let text = unsafe { self::engine(engine) }.map_or_else(|_| last_error_of_thread(), |h| h.last_error());
    if buffer.is_null() || size == 0 {
        return text.len();
    }
    let mut end = text.len().min(size - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // SAFETY: `end + 1 <= size`.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), end);
        buffer.add(end).write(0);
    }
    text.len()
}

struct SendPointer(*mut c_void);

// SAFETY: camrill_engine_call's contract: the host says that it may be used on the loop's thread.
unsafe impl Send for SendPointer {}
