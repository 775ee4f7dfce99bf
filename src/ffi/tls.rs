//! Certificates from the host's memory.

use std::ffi::c_char;

use super::handle::{call, camrill_engine_t};
use super::types::*;
use crate::error::{Code, Error, Result};

/// Takes certificate and key from memory instead of from files, for all ports behind TLS and from the next
/// connection on. Both are PEM: the certificate with those that it was issued by, the key in PKCS #8, PKCS #1 or
/// SEC 1 without a password. They are copied. NULL for both: from files again. CAMRILL_ETLS if they can't be
/// used or don't belong together, or if the library is built without TLS; what was before holds on then.
///
/// # Safety
/// `engine` as for camrill_engine_free(); both are NULL or have as many readable bytes as is said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_tls_set_certificate(
    engine: *mut camrill_engine_t,
    cert_pem: *const c_char,
    cert_size: usize,
    key_pem: *const c_char,
    key_size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let pair = match (pem(cert_pem, cert_size)?, pem(key_pem, key_size)?) {
                (Some(cert), Some(key)) => Some((cert, key)),
                (None, None) => None,
                (None, _) => return Err(Error::new(Code::InvalidArgument, "cert_pem is NULL")),
                (_, None) => return Err(Error::new(Code::InvalidArgument, "key_pem is NULL")),
            };
            handle.with(|engine| engine.set_certificate(pair).map(|()| CAMRILL_OK))
        })
    }
}

/// Takes the certificates that servers are trusted by from memory, in PEM; they are copied. NULL: those of
/// `tls/ca_file`, or the system's. CAMRILL_ETLS if none can be used, or if the library is built without TLS.
///
/// # Safety
/// As for camrill_tls_set_certificate().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_tls_set_roots(
    engine: *mut camrill_engine_t,
    roots_pem: *const c_char,
    roots_size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let roots = pem(roots_pem, roots_size)?;
            handle.with(|engine| engine.set_roots(roots).map(|()| CAMRILL_OK))
        })
    }
}

/// The host's bytes, where there are some.
///
/// # Safety
/// `data` is NULL or has `size` readable bytes.
unsafe fn pem<'a>(data: *const c_char, size: usize) -> Result<Option<&'a [u8]>> {
    if data.is_null() {
        return Ok(None);
    }
    if isize::try_from(size).is_err() {
        return Err(Error::new(Code::InvalidArgument, format!("there are no {size} bytes at {data:p}")));
    }
    // SAFETY: not NULL, and `size` bytes by the caller's contract.
    Ok(Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) }))
}
