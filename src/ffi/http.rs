//! HTTP paths that the host answers for.

use std::ffi::{CStr, c_char};
use std::ptr;

use bytes::Bytes;

use super::convert::{c_string, optional_text, read, text};
use super::handle::{call, camrill_engine_t};
use super::types::*;
use crate::engine::{HttpRequest, Ports};
use crate::error::{Code, Error, Result};
use crate::http::Headers;

/// The callbacks of one mount.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MountCallbacks {
    on_request: Option<unsafe extern "C" fn(*mut std::ffi::c_void, *const camrill_http_request_t)>,
    on_writable: Option<unsafe extern "C" fn(*mut std::ffi::c_void, camrill_id_t)>,
    on_closed: Option<unsafe extern "C" fn(*mut std::ffi::c_void, camrill_id_t)>,
}

/// Answers for a path from now on, before streams, HLS and files are looked at, and writes the mount's id to
/// `out`, which may be NULL. Of several mounts that fit a path the exact one is taken, else the longest.
/// OPTIONS and CORS are the server's, as it is configured. CAMRILL_EINVAL for a path that can't be asked for,
/// CAMRILL_EBUSY if it is mounted, CAMRILL_ELIMIT while 64 are. `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_mount(
    engine: *mut camrill_engine_t,
    config: *const camrill_http_mount_t,
    out: *mut camrill_id_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let config = read(config)?;
            let path = text(config.path, "path")?;
            if config.on_request.is_none() {
                return Err(Error::new(Code::InvalidArgument, "on_request is NULL"));
            }
            let mount = handle.with(|engine| engine.mount(path, ports(config.ports)?))?;
            let callbacks = MountCallbacks {
                on_request: config.on_request,
                on_writable: config.on_writable,
                on_closed: config.on_closed,
            };
            handle.mounts.insert(mount, config.user, config.user_free, callbacks);
            if !out.is_null() {
                out.write(mount);
            }
            Ok(CAMRILL_OK)
        })
    }
}

/// Ends a mount: none of its callbacks runs any more but `user_free`, with the next poll. Who waits for its
/// answer gets 503, an answer that has begun is cut, and their tickets are over. CAMRILL_ENOENT if it has
/// ended.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_unmount(engine: *mut camrill_engine_t, mount: camrill_id_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            handle.with(|engine| engine.unmount(mount))?;
            handle.mounts.replace(mount, MountCallbacks::default());
            Ok(CAMRILL_OK)
        })
    }
}

/// The value of the first header field of that name, in any case; valid as long as the request is. NULL if
/// there is none.
///
/// # Safety
/// `request` is NULL or what on_request was given, or a copy of it, inside that callback; `name` is NULL or
/// ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_request_header(
    request: *const camrill_http_request_t,
    name: *const c_char,
) -> *const c_char {
    if name.is_null() {
        return ptr::null();
    }
    // SAFETY: the caller's contract.
    let (Ok(request), name) = (unsafe { read(request) }, unsafe { CStr::from_ptr(name) }) else {
        return ptr::null();
    };
    let mut at = request.headers;
    while !at.is_null() {
        // SAFETY: the list is as on_request has made it: name, NUL, value, NUL, until an empty name.
        let field = unsafe { CStr::from_ptr(at) };
        if field.is_empty() {
            break;
        }
        // SAFETY: behind a name with its NUL stands its value, and behind that with its NUL the next name.
        let value = unsafe { CStr::from_ptr(at.add(field.count_bytes() + 1)) };
        if field.to_bytes().eq_ignore_ascii_case(name.to_bytes()) {
            return value.as_ptr();
        }
        // SAFETY: as above.
        at = unsafe { value.as_ptr().add(value.count_bytes() + 1) };
    }
    ptr::null()
}

/// Answers a request as a whole, and ends its ticket. `status` is 200 to 599. `headers` are lines of
/// "Name: value" as in "Content-Type: image/jpeg\r\nCache-Control: no-store", without those that the server
/// writes itself (Content-Length, Connection, Transfer-Encoding, Date, Server); NULL for none. The body is
/// copied; it is left out where HEAD was asked.
///
/// CAMRILL_ENOENT if the ticket is over: answered, its client gone, or 60 s passed. CAMRILL_ESTATE if the
/// answer has begun. CAMRILL_EINVAL for a wrong status or line: the request still waits then.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `headers` is NULL or ends in NUL; `body` has `size` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_respond(
    engine: *mut camrill_engine_t,
    ticket: camrill_id_t,
    status: i32,
    headers: *const c_char,
    body: *const u8,
    size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let (status, headers, body) = (status_of(status)?, fields(headers)?, bytes(body, size)?);
            handle.with(|engine| engine.http_respond(ticket, status, headers, body).map(|()| CAMRILL_OK))
        })
    }
}

/// Begins an answer whose body follows with camrill_http_write(): `length` bytes of it, or as many as come
/// where `length` is negative. It may take as long as it likes. Fails as camrill_http_respond() does. Where
/// HEAD was asked, or the status has no body (204, 304), the answer is whole with this: on_closed is called,
/// and the ticket is over.
///
/// # Safety
/// As for camrill_http_respond().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_begin(
    engine: *mut camrill_engine_t,
    ticket: camrill_id_t,
    status: i32,
    headers: *const c_char,
    length: i64,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let (status, headers) = (status_of(status)?, fields(headers)?);
            let length = u64::try_from(length).ok();
            handle.with(|engine| engine.http_begin(ticket, status, headers, length).map(|()| CAMRILL_OK))
        })
    }
}

/// The next bytes of an answer; they are copied. All are taken or none: CAMRILL_EAGAIN while 256 KiB wait for
/// the client, and on_writable says when to go on. CAMRILL_ENOENT if the ticket is over, CAMRILL_ESTATE if the
/// answer has not begun, CAMRILL_EINVAL for more than the length that was named.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `data` has `size` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_write(
    engine: *mut camrill_engine_t,
    ticket: camrill_id_t,
    data: *const u8,
    size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let data = bytes(data, size)?;
            handle.with(|engine| engine.http_write(ticket, data).map(|()| CAMRILL_OK))
        })
    }
}

/// Ends an answer and its ticket. One that is shorter than the length that was named ends with its connection.
/// CAMRILL_ENOENT and CAMRILL_ESTATE as for camrill_http_write().
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_http_end(engine: *mut camrill_engine_t, ticket: camrill_id_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call(engine, |handle| handle.with(|engine| engine.http_end(ticket).map(|()| CAMRILL_OK))) }
}

/// Hands a request to its mount.
pub(super) fn on_request(handle: &camrill_engine_t, asked: &HttpRequest) {
    let found = handle.mounts.find(asked.mount);
    let Some((MountCallbacks { on_request: Some(on_request), .. }, user)) = found else { return };
    let request = &asked.request;
    let method = c_string(request.method.as_str());
    let (path, query) = (c_string(&request.path), c_string(&request.query));
    let address = c_string(&asked.address.to_string());
    let mut headers = Vec::with_capacity(request.headers.as_str().len());
    for (name, value) in request.headers.iter() {
        headers.extend_from_slice(c_string(name).as_bytes_with_nul());
        headers.extend_from_slice(c_string(value).as_bytes_with_nul());
    }
    headers.push(0);
    let body = if request.body.is_empty() { ptr::null() } else { request.body.as_ptr() };
    let request = camrill_http_request_t {
        struct_size: size_of::<camrill_http_request_t>() as u32,
        ticket: asked.ticket,
        client: asked.client,
        mount: asked.mount,
        method: method.as_ptr(),
        path: path.as_ptr(),
        query: query.as_ptr(),
        address: address.as_ptr(),
        headers: headers.as_ptr().cast(),
        body,
        body_size: request.body.len(),
    };
    // SAFETY: the host's function, with its own pointer, for which user_free has not run; the struct and what
    // it points to outlive the call.
    unsafe { on_request(user, &request) };
}

/// Tells a mount that a client has taken what was written.
pub(super) fn on_writable(handle: &camrill_engine_t, mount: u32, ticket: u32) {
    let found = handle.mounts.find(mount);
    if let Some((MountCallbacks { on_writable: Some(on_writable), .. }, user)) = found {
        // SAFETY: as for `on_request`.
        unsafe { on_writable(user, ticket) };
    }
}

/// Tells a mount that a ticket is over.
pub(super) fn on_closed(handle: &camrill_engine_t, mount: u32, ticket: u32) {
    let found = handle.mounts.find(mount);
    if let Some((MountCallbacks { on_closed: Some(on_closed), .. }, user)) = found {
        // SAFETY: as for `on_request`.
        unsafe { on_closed(user, ticket) };
    }
}

fn ports(mask: u32) -> Result<Ports> {
    match mask {
        0 => Ok(Ports { server: true, api: true }),
        1..=3 => Ok(Ports { server: mask & CAMRILL_PORTS_SERVER != 0, api: mask & CAMRILL_PORTS_API != 0 }),
        other => {
            let message =
                format!("ports is {other}; CAMRILL_PORTS_SERVER (1), CAMRILL_PORTS_API (2) or both expected");
            Err(Error::new(Code::InvalidArgument, message))
        }
    }
}

fn status_of(status: i32) -> Result<u16> {
    let wrong = |_| Error::new(Code::InvalidArgument, format!("status is {status}; 200 to 599 expected"));
    u16::try_from(status).map_err(wrong)
}

/// Header fields from lines.
///
/// # Safety
/// `lines` is NULL or ends in NUL.
unsafe fn fields(lines: *const c_char) -> Result<Headers> {
    // SAFETY: the caller's contract.
    let lines = unsafe { optional_text(lines, "headers") }?;
    let mut headers = Headers::new();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or_default();
        headers.push(name, value);
        // What can't stand in a name is left out by it.
        if name.is_empty() || headers.iter().last().is_none_or(|(pushed, _)| pushed != name) {
            let message = format!("{line:?} is no header field; \"Name: value\" expected");
            return Err(Error::new(Code::InvalidArgument, message));
        }
    }
    Ok(headers)
}

/// A copy of the host's bytes.
///
/// # Safety
/// `data` is NULL or has `size` readable bytes.
unsafe fn bytes(data: *const u8, size: usize) -> Result<Bytes> {
    if size == 0 {
        return Ok(Bytes::new());
    }
    if data.is_null() || isize::try_from(size).is_err() {
        return Err(Error::new(Code::InvalidArgument, format!("there are no {size} bytes at {data:p}")));
    }
    // SAFETY: not NULL, and `size` bytes by the caller's contract.
    Ok(Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(data, size) }))
}
