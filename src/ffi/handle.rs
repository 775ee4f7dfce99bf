//! The engine's handle: the lock, the panic guard, the last error, and the deferred free.

use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use log::LevelFilter;

use super::logger;
use super::owned;
use super::publisher::PublisherCallbacks;
use super::relays::OnState;
use super::types::*;
use crate::engine::{Engine, Remote};
use crate::error::{Code, Error, Result};

/// An engine. Made by camrill_engine_new(), freed by camrill_engine_free().
#[allow(non_camel_case_types)]
pub struct camrill_engine_t {
    /// Held while the engine works, never while a callback runs. Gone once the engine is being freed.
    engine: Mutex<Option<Engine>>,
    pub(super) remote: Remote,
    pub(super) callbacks: Callbacks,
    pub(super) publishers: owned::Callbacks<PublisherCallbacks>,
    /// Of ingests and forwards.
    pub(super) relays: owned::Callbacks<OnState>,
    #[cfg(feature = "hls")]
    pub(super) hls: owned::Callbacks<super::hls::HlsCallbacks>,
    #[cfg(feature = "dvr")]
    pub(super) recorders: owned::Callbacks<super::recorder::RecorderCallbacks>,
    #[cfg(feature = "dvr")]
    pub(super) files: super::sink::Files,
    #[cfg(feature = "http")]
    pub(super) mounts: owned::Callbacks<super::http::MountCallbacks>,
    pub(super) players: owned::Callbacks<super::player::PlayerCallbacks>,
    /// Until the host's memory of it is gone; what is made of it asks first.
    pub(super) alive: Arc<AtomicBool>,
    /// What camrill_programs() has found: the host may hold pointers into it.
    pub(super) programs: Mutex<Vec<super::programs::ProgramText>>,
    level: LevelFilter,
    /// The thread whose call is going on ([`here`]), 0 if none; with [`FREED`] when the host has freed it.
    owner: AtomicUsize,
    poisoned: AtomicBool,
    process: u32,
    last_error: Mutex<String>,
}

impl std::fmt::Debug for camrill_engine_t {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("camrill_engine_t").finish_non_exhaustive()
    }
}

/// The host has given the engine up: whoever is inside it frees it on the way out.
const FREED: usize = 1;

/// The host's callbacks and what they are given.
#[derive(Debug)]
pub(super) struct Callbacks {
    pub(super) user: *mut c_void,
    pub(super) user_free: Option<unsafe extern "C" fn(*mut c_void)>,
    pub(super) on_log: Option<unsafe extern "C" fn(*mut c_void, i32, u32, *const std::ffi::c_char)>,
    pub(super) on_event: Option<unsafe extern "C" fn(*mut c_void, *const camrill_event_t)>,
    pub(super) on_admission: Option<unsafe extern "C" fn(*mut c_void, *const camrill_admission_t) -> i32>,
    pub(super) on_resolve: Option<unsafe extern "C" fn(*mut c_void, u32, *const std::ffi::c_char, u16)>,
}

thread_local! {
    /// The last error of a call that had no engine to keep it.
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
    /// Its address names the thread.
    static HERE: usize = const { 0 };
}

/// A number that no other living thread has: never 0, and without the bit of [`FREED`].
fn here() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl camrill_engine_t {
    pub(super) fn new(engine: Engine, callbacks: Callbacks, level: LevelFilter) -> Self {
        Self {
            remote: engine.remote(),
            engine: Mutex::new(Some(engine)),
            callbacks,
            publishers: owned::Callbacks::default(),
            relays: owned::Callbacks::default(),
            #[cfg(feature = "hls")]
            hls: owned::Callbacks::default(),
            #[cfg(feature = "dvr")]
            recorders: owned::Callbacks::default(),
            #[cfg(feature = "dvr")]
            files: super::sink::Files::default(),
            #[cfg(feature = "http")]
            mounts: owned::Callbacks::default(),
            players: owned::Callbacks::default(),
            alive: Arc::new(AtomicBool::new(true)),
            programs: Mutex::default(),
            level,
            owner: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
            process: std::process::id(),
            last_error: Mutex::new(String::new()),
        }
    }

    /// Whether anything may still be asked of it, by any thread.
    pub(super) fn check(&self) -> Result<()> {
        if self.process != std::process::id() {
            return Err(Error::new(Code::Forked, "the engine belongs to the process that made it"));
        }
        self.sound()
    }

    /// Whether it has not failed.
    fn sound(&self) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::new(Code::Panic, "the engine has failed before; free it"));
        }
        Ok(())
    }

    /// Begins a call on this thread; answers whether it is one from inside another, by a callback.
    fn enter(&self) -> Result<bool> {
        self.check()?;
        match self.owner.compare_exchange(0, here(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(false),
            Err(owner) if owner == here() => Ok(true),
            Err(owner) if owner & FREED != 0 => Err(Error::new(Code::State, "the engine has been freed")),
            Err(_) => {
                let message =
                    "another thread is in this engine; only functions marked [any thread] may be called";
                Err(Error::new(Code::State, message))
            }
        }
    }

    /// Whether the host has freed it while a call was going on: nothing is told to it any more.
    pub(super) fn is_freed(&self) -> bool {
        self.owner.load(Ordering::Acquire) & FREED != 0
    }

    /// The host gives it up; answers whether nobody is inside, so that it is the caller's to free.
    fn give_up(&self) -> bool {
        let mut owner = self.owner.load(Ordering::Acquire);
        loop {
            let new = if owner == 0 { here() | FREED } else { owner | FREED };
            match self.owner.compare_exchange(owner, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return owner == 0,
                Err(now) => owner = now,
            }
        }
    }

    /// Has `f` use the engine, then hands over the log lines. `f` must not call the host. The call that it
    /// is part of has been let in by [`Self::enter`].
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        self.sound()?;
        let gone = || Error::new(Code::State, "the engine has been freed");
        // Who isn't the owner doesn't come here: if it is held, then by the call that this is made from.
        let mut engine = match self.engine.try_lock() {
            Ok(engine) => engine,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = "neither the functions of a transport nor release may use the engine";
                return Err(Error::new(Code::Reentrant, message));
            }
        };
        let engine_ref = engine.as_mut().ok_or_else(gone)?;
        let outer = logger::begin(self.level);
        let result = catch_unwind(AssertUnwindSafe(|| f(engine_ref)));
        drop(engine);
        self.hand_over(logger::end(outer));
        result.unwrap_or_else(|payload| {
            self.poisoned.store(true, Ordering::Release);
            Err(Error::new(Code::Panic, format!("a defect of the library: {}", panic_text(&*payload))))
        })
    }

    fn hand_over(&self, lines: Vec<logger::Line>) {
        let Some(on_log) = self.callbacks.on_log else { return };
        for line in lines {
            if self.is_freed() {
                return;
            }
            let text = super::convert::c_string(&line.text);
            // SAFETY: the host's function, with what its type says; nothing is borrowed.
            unsafe { on_log(self.callbacks.user, line.level as i32, line.client, text.as_ptr()) };
        }
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
}

/// The engine behind a pointer.
///
/// # Safety
/// `engine` is NULL or came from camrill_engine_new() and has not been freed.
pub(super) unsafe fn engine<'a>(engine: *const camrill_engine_t) -> Result<&'a camrill_engine_t> {
    // SAFETY: the caller's contract; only shared references are ever made of it.
    unsafe { engine.as_ref() }.ok_or_else(|| Error::new(Code::InvalidArgument, "engine is NULL"))
}

/// The usual function: the engine, a closure on it, a number. The engine may be gone when it returns.
///
/// # Safety
/// As for [`engine`].
pub(super) unsafe fn call<T: Into<i32>>(
    pointer: *const camrill_engine_t,
    f: impl FnOnce(&camrill_engine_t) -> Result<T>,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { enter(pointer, |handle, _| f(handle)) }
}

/// A function that may not be called from inside a callback.
///
/// # Safety
/// As for [`engine`].
pub(super) unsafe fn call_outside<T: Into<i32>>(
    pointer: *const camrill_engine_t,
    f: impl FnOnce(&camrill_engine_t) -> Result<T>,
) -> i32 {
    let f = |handle: &camrill_engine_t, inside: bool| {
        if inside {
            return Err(Error::new(Code::Reentrant, "poll and run can't be called from inside a callback"));
        }
        f(handle)
    };
    // SAFETY: the caller's contract.
    unsafe { enter(pointer, f) }
}

/// A function for any thread, which must leave the engine itself alone.
///
/// # Safety
/// As for [`engine`]; the engine is not freed meanwhile.
pub(super) unsafe fn call_anywhere<T: Into<i32>>(
    pointer: *const camrill_engine_t,
    f: impl FnOnce(&camrill_engine_t) -> Result<T>,
) -> i32 {
    // SAFETY: the caller's contract.
    match unsafe { engine(pointer) } {
        Ok(handle) => handle.answer(handle.check().and_then(|()| f(handle))),
        Err(e) => no_engine::<i32>(Err(e)),
    }
}

/// # Safety
/// As for [`engine`].
unsafe fn enter<T: Into<i32>>(
    pointer: *const camrill_engine_t,
    f: impl FnOnce(&camrill_engine_t, bool) -> Result<T>,
) -> i32 {
    // SAFETY: the caller's contract.
    let handle = match unsafe { engine(pointer) } {
        Ok(handle) => handle,
        Err(e) => return no_engine::<i32>(Err(e)),
    };
    let inside = match handle.enter() {
        Ok(inside) => inside,
        Err(e) => return handle.answer::<i32>(Err(e)),
    };
    let answer = handle.answer(f(handle, inside));
    if !inside && handle.owner.compare_exchange(here(), 0, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: it was given up while this call was going on, and nobody can come in any more.
        unsafe { destroy(pointer.cast_mut(), false) };
    }
    answer
}

/// Frees an engine, now or when the call that is going on returns.
///
/// # Safety
/// As for [`engine`]; the caller gives it up.
pub(super) unsafe fn free(pointer: *mut camrill_engine_t) {
    // SAFETY: the caller's contract.
    let Some(handle) = (unsafe { pointer.as_ref() }) else { return };
    let remote = handle.remote.clone();
    if handle.give_up() {
        // SAFETY: the caller's contract, and nobody is inside.
        unsafe { destroy(pointer, true) };
    } else {
        // Whoever waits in it shall return soon.
        let _ = remote.wake();
    }
}

/// # Safety
/// `pointer` came from Box::into_raw, the host has given it up and nobody is inside.
unsafe fn destroy(pointer: *mut camrill_engine_t, tells: bool) {
    // SAFETY: the caller's contract.
    let handle = unsafe { Box::from_raw(pointer) };
    handle.alive.store(false, Ordering::Release);
    let outer = logger::begin(handle.level);
    // A panic while it is torn down must not keep the host from its memory.
    let _ = guarded(|| {
        let engine = handle.engine.lock().unwrap_or_else(PoisonError::into_inner).take();
        #[cfg(feature = "dvr")]
        let engine = engine.map(|engine| super::sink::finish(&handle, engine));
        drop(engine);
        Ok(())
    });
    let lines = logger::end(outer);
    if let Some(on_log) = handle.callbacks.on_log.filter(|_| tells) {
        for line in lines {
            let text = super::convert::c_string(&line.text);
            // SAFETY: as in `hand_over`.
            unsafe { on_log(handle.callbacks.user, line.level as i32, line.client, text.as_ptr()) };
        }
    }
    #[cfg(feature = "dvr")]
    if handle.process == std::process::id() {
        super::sink::abandon(&handle);
    }
    handle.publishers.end_all();
    handle.relays.end_all();
    handle.players.end_all();
    #[cfg(feature = "hls")]
    handle.hls.end_all();
    #[cfg(feature = "dvr")]
    handle.recorders.end_all();
    #[cfg(feature = "http")]
    handle.mounts.end_all();
    let (user, user_free) = (handle.callbacks.user, handle.callbacks.user_free);
    drop(handle);
    if let Some(user_free) = user_free {
        // SAFETY: the host's function, with its own pointer, once: the handle is gone.
        unsafe { user_free(user) };
    }
}

/// Keeps the error of a call that has no engine, for this thread, and answers its number.
pub(super) fn no_engine<T: Into<i32>>(result: Result<T>) -> i32 {
    match result {
        Ok(value) => value.into(),
        Err(e) => {
            // Not there any more while the thread ends; nobody will ask then.
            let _ = LAST_ERROR.try_with(|last| last.replace(e.message().to_owned()));
            e.code().number()
        }
    }
}

pub(super) fn last_error_of_thread() -> String {
    LAST_ERROR.try_with(|last| last.borrow().clone()).unwrap_or_default()
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
