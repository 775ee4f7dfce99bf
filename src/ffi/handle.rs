//! The engine's handle: the lock, the panic guard, the last error, and the deferred free.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use log::LevelFilter;

use super::logger;
use super::types::*;
use crate::engine::{Engine, Remote};
use crate::error::{Code, Error, Result};

/// An engine. Made by camrill_engine_new(), freed by camrill_engine_free().
#[allow(non_camel_case_types)]
pub struct camrill_engine_t {
    /// Held during a call, never while a callback runs. Other threads find it taken, not torn.
    engine: Mutex<Engine>,
    pub(super) remote: Remote,
    pub(super) callbacks: Callbacks,
    pub(super) publishers: Mutex<HashMap<u32, PublisherCallbacks>>,
    level: LevelFilter,
    /// Callbacks of poll or run are running.
    pub(super) dispatching: AtomicBool,
    /// Freed inside a callback: to be done when that returns.
    pub(super) free_later: AtomicBool,
    poisoned: AtomicBool,
    process: u32,
    last_error: Mutex<String>,
}

impl std::fmt::Debug for camrill_engine_t {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("camrill_engine_t").finish_non_exhaustive()
    }
}

/// The host's callbacks and what they are given.
#[derive(Debug)]
pub(super) struct Callbacks {
    pub(super) user: *mut c_void,
    pub(super) user_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(super) on_log: Option<unsafe extern "C" fn(*mut c_void, i32, u32, *const std::ffi::c_char)>,
    pub(super) on_event: Option<unsafe extern "C" fn(*mut c_void, *const camrill_event_t)>,
    pub(super) on_admission: Option<unsafe extern "C" fn(*mut c_void, *const camrill_admission_t) -> i32>,
}

/// The callbacks of one publisher.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublisherCallbacks {
    pub(super) user: *mut c_void,
    pub(super) user_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(super) need_keyframe: Option<unsafe extern "C" fn(*mut c_void)>,
}

thread_local! {
    /// The last error of a call that had no engine to keep it.
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

impl camrill_engine_t {
    pub(super) fn new(engine: Engine, callbacks: Callbacks, level: LevelFilter) -> Self {
        Self {
            remote: engine.remote(),
            engine: Mutex::new(engine),
            callbacks,
            publishers: Mutex::new(HashMap::new()),
            level,
            dispatching: AtomicBool::new(false),
            free_later: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            process: std::process::id(),
            last_error: Mutex::new(String::new()),
        }
    }

    /// Has `f` use the engine, then hands over the log lines. `f` must not call the host.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::new(Code::Panic, "the engine has failed before; free it"));
        }
        if self.process != std::process::id() {
            return Err(Error::new(Code::Forked, "the engine belongs to the process that made it"));
        }
        let mut engine = self.lock()?;
        let outer = logger::begin(self.level);
        let result = catch_unwind(AssertUnwindSafe(|| f(&mut engine)));
        drop(engine);
        let lines = logger::end(outer);
        if let Some(on_log) = self.callbacks.on_log {
            for line in lines {
                let text = super::convert::c_string(&line.text);
                // SAFETY: the host's function, with what its type says; nothing is borrowed.
                unsafe { on_log(self.callbacks.user, line.level as i32, line.client, text.as_ptr()) };
            }
        }
        result.unwrap_or_else(|payload| {
            self.poisoned.store(true, Ordering::Release);
            Err(Error::new(Code::Panic, format!("a defect of the library: {}", panic_text(&*payload))))
        })
    }

    /// Keeps the error's sentence and answers its number.
    pub(super) fn answer<T: Into<i32>>(&self, result: Result<T>) -> i32 {
        match result {
            Ok(value) => value.into(),
            Err(e) => {
                *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = e.message().to_owned();
                e.code().number()
            }
        }
    }

    pub(super) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> Result<MutexGuard<'_, Engine>> {
        match self.engine.try_lock() {
            Ok(engine) => Ok(engine),
            // Poisoned by a panic that was caught: `poisoned` says so already.
            Err(TryLockError::Poisoned(engine)) => Ok(engine.into_inner()),
            Err(TryLockError::WouldBlock) => {
                let message =
                    "another thread is in this engine; only functions marked [any thread] may be called";
                Err(Error::new(Code::State, message))
            }
        }
    }
}

/// The engine behind a pointer.
///
/// # Safety
/// `engine` is NULL or came from camrill_engine_new() and has not been freed.
pub(super) unsafe fn engine<'a>(engine: *const camrill_engine_t) -> Result<&'a camrill_engine_t> {
    // SAFETY: the caller's contract; only shared references are ever made of it.
    unsafe { engine.as_ref() }.ok_or_else(|| Error::new(Code::InvalidArgument, "engine is NULL"))
}

/// The usual function: the engine, a closure on it, a number.
///
/// # Safety
/// As for [`engine`].
pub(super) unsafe fn call<T: Into<i32>>(
    pointer: *const camrill_engine_t,
    f: impl FnOnce(&camrill_engine_t) -> Result<T>,
) -> i32 {
    // SAFETY: the caller's contract.
    match unsafe { engine(pointer) } {
        Ok(handle) => {
            let result = f(handle);
            handle.answer(result)
        }
        Err(e) => no_engine::<i32>(Err(e)),
    }
}

/// Keeps the error of a call that has no engine, for this thread, and answers its number.
pub(super) fn no_engine<T: Into<i32>>(result: Result<T>) -> i32 {
    match result {
        Ok(value) => value.into(),
        Err(e) => {
            LAST_ERROR.replace(e.message().to_owned());
            e.code().number()
        }
    }
}

pub(super) fn last_error_of_thread() -> String {
    LAST_ERROR.with_borrow(String::clone)
}

/// A guard for functions that touch no engine.
pub(super) fn guarded<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        Err(Error::new(Code::Panic, format!("a defect of the library: {}", panic_text(&*payload))))
    })
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}
