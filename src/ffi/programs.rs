//! The programs that the configuration asks for, handed to the host: the library starts no process.

use std::ffi::{CString, c_char};
use std::sync::PoisonError;

use super::convert::{c_string, write};
use super::handle::{call, camrill_engine_t};
use super::types::CAMRILL_OK;
use crate::engine::Program;
use crate::error::{Code, Error};

/// A program that the host is to run. Set struct_size before the call. The strings are the engine's: they
/// are valid until camrill_programs() is called again or the engine is freed.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct camrill_program_info_t {
    /// sizeof(camrill_program_info_t).
    pub struct_size: u32,
    /// Strings in `argv`, at least 1.
    pub argc: i32,
    /// The block that asks for it, which stays the same from one configuration to the next and is no other
    /// program's: "vhost/demo.example.com/ingest/camera".
    pub name: *const c_char,
    /// The program's path, or its name to be looked for in PATH, its arguments, and a NULL behind them.
    /// Addresses in them may have passwords.
    pub argv: *const *const c_char,
    /// The file that its standard output and error are to be added to; empty where they are not to be kept.
    pub log: *const c_char,
}

/// A program in C's terms.
pub(super) struct ProgramText {
    name: CString,
    log: CString,
    argv: Vec<CString>,
    /// Into `argv`, with a NULL at the end.
    pointers: Vec<*const c_char>,
}

impl ProgramText {
    fn new(program: &Program) -> Self {
        let argv: Vec<CString> = program.argv.iter().map(|word| c_string(word)).collect();
        let pointers = argv.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        let log = c_string(program.log.as_deref().unwrap_or_default());
        Self { name: c_string(&program.name), log, argv, pointers }
    }
}

/// Looks which programs the configuration, as it was last applied, asks for, and answers how many:
/// FFmpeg for an ingest that the library can't do itself. The library starts no process. The host runs them,
/// each once, starts them again when they end, and calls this after each camrill_config_apply() that
/// succeeded: those whose arguments have changed, or that are gone, are to be stopped.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_programs(engine: *mut camrill_engine_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let programs = handle.with(|engine| Ok(engine.programs()))?;
            let texts: Vec<_> = programs.iter().map(ProgramText::new).collect();
            let count = i32::try_from(texts.len()).unwrap_or(i32::MAX);
            *handle.programs.lock().unwrap_or_else(PoisonError::into_inner) = texts;
            Ok(count)
        })
    }
}

/// Writes what there is to say of one of the programs that camrill_programs() has counted, from 0 on.
/// CAMRILL_ENOENT if there are not so many.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `out` holds as many bytes as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_program_info(
    engine: *const camrill_engine_t,
    index: usize,
    out: *mut camrill_program_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let programs = handle.programs.lock().unwrap_or_else(PoisonError::into_inner);
            let program = programs.get(index).ok_or_else(|| {
                Error::new(Code::NotFound, format!("no program {index}: there are {}", programs.len()))
            })?;
            let info = camrill_program_info_t {
                struct_size: 0,
                argc: i32::try_from(program.argv.len()).unwrap_or(i32::MAX),
                name: program.name.as_ptr(),
                argv: program.pointers.as_ptr(),
                log: program.log.as_ptr(),
            };
            write(out, &info).map(|()| CAMRILL_OK)
        })
    }
}
