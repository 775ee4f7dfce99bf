//! What the host owns of an engine: the handle that it holds and gives back, which may outlive the engine, and
//! the callbacks that run until its end.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::convert::{Sized32, read};
use super::handle::{call, camrill_engine_t, guarded, no_engine};
use super::types::CAMRILL_OK;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};

/// A pointer that the host holds.
pub(super) trait Handle {
    /// What it is called in errors.
    const NAME: &'static str;

    /// What it stands for.
    fn owned(&self) -> &Owned;
}

/// Something in an engine, which may be freed before.
#[derive(Debug)]
pub(super) struct Owned {
    engine: *const camrill_engine_t,
    alive: Arc<AtomicBool>,
    id: u32,
}

impl Owned {
    pub(super) fn new(handle: &camrill_engine_t, id: u32) -> Self {
        Self { engine: handle, alive: Arc::clone(&handle.alive), id }
    }

    fn engine(&self) -> Result<*const camrill_engine_t> {
        if self.alive.load(Ordering::Acquire) {
            return Ok(self.engine);
        }
        Err(Error::new(Code::State, "the engine has been freed"))
    }
}

/// Has `make` make something in an engine as a config wants it, and gives the host its handle.
///
/// # Safety
/// `engine` as for [`call`]; `config` is NULL or points to as many readable bytes as its `struct_size` says; `out`
/// is NULL or writable.
pub(super) unsafe fn make<C: Sized32, H>(
    engine: *mut camrill_engine_t,
    config: *const C,
    out: *mut *mut H,
    make: impl FnOnce(&camrill_engine_t, &C) -> Result<H>,
) -> i32 {
    let make = |engine: &camrill_engine_t| {
        if out.is_null() {
            return Err(Error::new(Code::InvalidArgument, "out is NULL"));
        }
        // SAFETY: the caller's contract.
        let config = unsafe { read(config) }?;
        let made = Box::new(make(engine, &config)?);
        // SAFETY: it is not NULL, so it is writable.
        unsafe { out.write(Box::into_raw(made)) };
        Ok(CAMRILL_OK)
    };
    // SAFETY: the caller's contract.
    unsafe { call(engine, make) }
}

/// A function on what a handle stands for: its engine and id. `f` may be the last that sees the handle.
///
/// # Safety
/// `handle` is NULL or was given to the host and has not been freed.
pub(super) unsafe fn on<H: Handle, T: Into<i32>>(
    handle: *const H,
    f: impl FnOnce(&camrill_engine_t, u32) -> Result<T>,
) -> i32 {
    let found = guarded(|| {
        // SAFETY: the caller's contract.
        let handle = unsafe { handle.as_ref() };
        let is_null = || Error::new(Code::InvalidArgument, format!("{} is NULL", H::NAME));
        let owned = handle.ok_or_else(is_null)?.owned();
        Ok((owned.engine()?, owned.id))
    });
    match found {
        // SAFETY: the engine is there.
        Ok((engine, id)) => unsafe { call(engine, |handle| f(handle, id)) },
        Err(e) => no_engine::<i32>(Err(e)),
    }
}

/// Takes a handle back and has what it stands for closed, if the engine is there.
///
/// # Safety
/// As for [`on`]; it came from Box::into_raw, and the caller gives it up.
pub(super) unsafe fn free<H: Handle>(handle: *mut H, close: impl FnOnce(&mut Engine, u32) -> Result<()>) {
    // SAFETY: the caller's contract.
    unsafe { free_with(handle, |_, engine, id| close(engine, id)) };
}

/// The same for what has a last word to the engine.
///
/// # Safety
/// As for [`free`].
pub(super) unsafe fn free_with<H: Handle>(
    handle: *mut H,
    close: impl FnOnce(&mut H, &mut Engine, u32) -> Result<()>,
) {
    if handle.is_null() {
        return;
    }
    // SAFETY: the caller's contract.
    let mut freed = unsafe { Box::from_raw(handle) };
    let id = freed.owned().id;
    if let Ok(engine) = freed.owned().engine() {
        // SAFETY: the engine is there. ENOENT: it has ended by itself.
        unsafe {
            call(engine, |handle| handle.with(|engine| close(&mut freed, engine, id)).map(|()| CAMRILL_OK))
        };
    }
}

/// The callbacks `C` of everything of one kind, by id. Nothing is locked while one of them runs.
#[derive(Debug)]
pub(super) struct Callbacks<C>(Mutex<HashMap<u32, Given<C>>>);

/// What the host has given with one of them.
#[derive(Debug, Clone, Copy)]
struct Given<C> {
    user: *mut c_void,
    user_free: Option<unsafe extern "C" fn(*mut c_void)>,
    callbacks: C,
}

impl<C> Default for Callbacks<C> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<C: Copy> Callbacks<C> {
    pub(super) fn insert(
        &self,
        id: u32,
        user: *mut c_void,
        user_free: Option<unsafe extern "C" fn(*mut c_void)>,
        callbacks: C,
    ) {
        self.lock().insert(id, Given { user, user_free, callbacks });
    }

    /// The callbacks, and what they are given: while they are found `user_free` has not run.
    pub(super) fn find(&self, id: u32) -> Option<(C, *mut c_void)> {
        self.lock().get(&id).map(|given| (given.callbacks, given.user))
    }

    /// Has others take their place.
    #[cfg(feature = "http")]
    pub(super) fn replace(&self, id: u32, callbacks: C) {
        if let Some(given) = self.lock().get_mut(&id) {
            given.callbacks = callbacks;
        }
    }

    /// They are over.
    pub(super) fn end(&self, id: u32) {
        let ended = self.lock().remove(&id);
        ended.into_iter().for_each(Given::end);
    }

    /// The engine is gone, and all of them with it.
    pub(super) fn end_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.into_values().for_each(Given::end);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Given<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Given<C> {
    /// The caller has taken it out of its table.
    fn end(self) {
        if let Some(user_free) = self.user_free {
            // SAFETY: the host's function, with its own pointer, once: the entry is gone.
            unsafe { user_free(self.user) };
        }
    }
}
