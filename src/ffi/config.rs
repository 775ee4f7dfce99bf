//! The configuration from C: one tree of directives under SRS's names.

use std::ffi::c_char;

use log::warn;

use super::convert::{put_text, text};
use super::handle::{call, camrill_engine_t};
use super::types::CAMRILL_OK;
use crate::config::{Settings, StdFiles, Warning};

/// Loads a file in SRS's syntax and what it includes, in place of what was loaded or set before.
/// It holds from camrill_config_apply() on. CAMRILL_ECONFIG with "file:line: directive: what was
/// expected" as the last error; CAMRILL_ENOENT or CAMRILL_EIO if it can't be read: then what stood
/// before still stands. Directives of SRS that the library has not are logged as warnings.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `path` ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_load_file(engine: *mut camrill_engine_t, path: *const c_char) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let path = text(path, "path")?;
            handle.with(|engine| engine.config_mut().load(&StdFiles, path).map(told))
        })
    }
}

/// The same from a string; `name` stands for the file in messages. It can't include files.
///
/// # Safety
/// `engine` as for camrill_engine_free(); the strings end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_load_text(
    engine: *mut camrill_engine_t,
    name: *const c_char,
    content: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let (name, content) = (text(name, "name")?, text(content, "content")?);
            handle.with(|engine| engine.config_mut().load_text(name, content).map(told))
        })
    }
}

/// Takes this process's environment variables that begin with SRS_ (SRS_LISTEN=1935). They stand above
/// the file and camrill_config_set(), the vhost ones for every vhost. Nothing else ever reads the
/// environment.
///
/// # Safety
/// `engine` as for camrill_engine_free(); no other thread changes the environment meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_load_env(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            handle.with(|engine| {
                let pairs = std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                    .filter(|(name, _)| name.starts_with("SRS_"));
                engine.config_mut().load_env(pairs).map(told)
            })
        })
    }
}

/// Sets one directive: camrill_config_set(e, "listen", "1935"),
/// camrill_config_set(e, "vhost/cam.example.com/play/gop_cache", "off"). Blocks on the way are made.
/// It holds from camrill_config_apply() on. CAMRILL_ENOENT for a path that isn't one, CAMRILL_ECONFIG
/// for a value that doesn't fit.
///
/// # Safety
/// `engine` as for camrill_engine_free(); the strings end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_set(
    engine: *mut camrill_engine_t,
    path: *const c_char,
    value: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let (path, value) = (text(path, "path")?, text(value, "value")?);
            handle.with(|engine| engine.config_mut().set(path, value).map(told))
        })
    }
}

/// Writes the value that a directive has, by environment, file, camrill_config_set() or default, and a
/// NUL to `buffer`; answers its length without the NUL. With size 0 nothing is written. CAMRILL_ENOENT
/// for a path that isn't one, CAMRILL_EBUFFER if it doesn't fit.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `path` ends in NUL; `buffer` has `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_get(
    engine: *const camrill_engine_t,
    path: *const c_char,
    buffer: *mut c_char,
    size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let path = text(path, "path")?;
            let value = handle.with(|engine| engine.config().value(path))?;
            put_text(&value, buffer, size)
        })
    }
}

/// Writes the whole configuration as it stands, in the file's syntax, and a NUL to `buffer`; answers and
/// fails as camrill_config_get() does.
///
/// # Safety
/// As for camrill_config_get().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_print(
    engine: *const camrill_engine_t,
    buffer: *mut c_char,
    size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let value = handle.with(|engine| Ok(engine.config().print()))?;
            put_text(&value, buffer, size)
        })
    }
}

/// Looks whether the configuration as it stands could be applied, without listening or changing
/// anything. CAMRILL_ECONFIG with the sentence as the last error.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_check(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            handle.with(|engine| Settings::from_config(engine.config()).map(|(_, warnings)| told(warnings)))
        })
    }
}

/// Takes the configuration as it stands: the first time this starts serving, later it is a reload, which
/// leaves connections and streams as they are. All of it holds afterwards, or nothing has changed:
/// CAMRILL_ECONFIG, CAMRILL_EADDRESS.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_apply(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call(engine, |handle| handle.with(|engine| engine.apply().map(|()| CAMRILL_OK))) }
}

/// Forgets what was loaded or set since the last camrill_config_apply() that succeeded, such as what that
/// one has refused; before the first one, everything.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_config_revert(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            handle.with(|engine| {
                engine.revert();
                Ok(CAMRILL_OK)
            })
        })
    }
}

fn told(warnings: Vec<Warning>) -> i32 {
    for warning in warnings {
        warn!("{warning}");
    }
    CAMRILL_OK
}
