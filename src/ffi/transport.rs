//! The host's own TLS: its functions behind the engine's trait, and the socket as these see it.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::io::{self, ErrorKind};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::convert::{Sized32, read};
use super::handle::{call, camrill_engine_t, guarded, no_engine};
use super::types::*;
use crate::engine::{Io, Secure, Transport};
use crate::error::{Code, Error, Result};

/// Bytes of a transport's sentence about an error.
const SENTENCE_BYTES: usize = 256;

/// The socket beneath one connection of a transport. It is the library's, stays at its place until `close` has
/// returned, and is to be used only inside the transport's functions.
#[allow(non_camel_case_types)]
#[derive(Debug)]
pub struct camrill_io_t {
    /// There while one of the transport's functions runs.
    io: Cell<Option<Io<'static>>>,
}

/// TLS of the host's: mbedTLS, OpenSSL or another. Start from CAMRILL_TRANSPORT_INIT. `open`, `handshake`,
/// `read`, `write` and `close` are not NULL.
///
/// Its functions run inside other calls, mostly camrill_engine_poll(), on the same thread, and end at once: what
/// camrill_io_send() or camrill_io_recv() can't do now they answer with CAMRILL_EAGAIN, and are called again
/// when the socket can do something, whatever that is. They must not use the engine: it answers
/// CAMRILL_EREENTRANT to all but what is marked [any thread].
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Debug)]
pub struct camrill_transport_t {
    /// sizeof(camrill_transport_t).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Given to `open`.
    pub user: *mut c_void,
    /// Called last and exactly once, when no connection needs it any more: inside poll,
    /// camrill_engine_set_transport() or camrill_engine_free(). It must not use the engine either. May be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Begins a connection over `io` and answers what the other functions are given. `host` is the name or
    /// address of the server that is connected to, which the handshake is to verify; NULL where this is the
    /// server. NULL: there is no connection. Nothing can be sent or received yet.
    pub open: Option<
        unsafe extern "C" fn(user: *mut c_void, io: *mut camrill_io_t, host: *const c_char) -> *mut c_void,
    >,
    /// Goes on with the handshake: 0 when it is done, CAMRILL_EAGAIN, or another negative number if it fails.
    pub handshake: Option<unsafe extern "C" fn(connection: *mut c_void) -> i32>,
    /// Reads up to `size` bytes; answers how many, 0 at the end, CAMRILL_EAGAIN, or another negative number.
    pub read: Option<unsafe extern "C" fn(connection: *mut c_void, buffer: *mut c_void, size: usize) -> i32>,
    /// Writes up to `size` bytes; answers how many, CAMRILL_EAGAIN, or another negative number. After
    /// CAMRILL_EAGAIN the next call has the same bytes, at the same place.
    pub write: Option<unsafe extern "C" fn(connection: *mut c_void, data: *const c_void, size: usize) -> i32>,
    /// Writes a sentence about the last error, without NUL, to `buffer` and answers its length; for the log. May
    /// be NULL.
    pub error:
        Option<unsafe extern "C" fn(connection: *mut c_void, buffer: *mut c_char, size: usize) -> usize>,
    /// Says goodbye to the peer, if the socket takes it at once, and frees the connection. The last call.
    pub close: Option<unsafe extern "C" fn(connection: *mut c_void)>,
}

// SAFETY: repr(C), struct_size first; integers, pointers and Option<fn> may all be zero.
unsafe impl Sized32 for camrill_transport_t {
    const NAME: &'static str = "camrill_transport_t";
}

/// Has connections made secure by the host's TLS from now on: RTMPS, HTTPS and WSS as the configuration turns
/// them on, without its `key` and `cert`, and outgoing ones. It goes before TLS of the library's own. Before
/// camrill_config_apply(), where that turns on ports behind TLS. NULL takes it back for new connections; those
/// that are there keep it. The struct is copied. `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `transport` is NULL or valid, and its functions do what they are to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_set_transport(
    engine: *mut camrill_engine_t,
    transport: *const camrill_transport_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let given = if transport.is_null() { None } else { Some(read(transport)?) };
            handle.with(|engine| {
                // Only in here: from now on `user_free` is called.
                let functions = given.as_ref().map(Functions::new).transpose()?;
                engine.set_transport(functions.map(|functions| -> Box<dyn Transport> {
                    Box::new(HostTransport { functions: Arc::new(functions) })
                }));
                Ok(CAMRILL_OK)
            })
        })
    }
}

/// Sends bytes of a transport's: answers how many the socket took, CAMRILL_EAGAIN if it takes none now, or
/// CAMRILL_EIO if the connection is lost. It raises no SIGPIPE. CAMRILL_ESTATE outside of the transport's
/// functions.
///
/// # Safety
/// `io` is NULL or what `open` was given, and `close` has not returned; `data` has `size` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_io_send(io: *mut camrill_io_t, data: *const c_void, size: usize) -> i32 {
    // SAFETY: the caller's contract.
    let sent = unsafe { socket(io, data.is_null(), size) }.map(|(io, size)| {
        // SAFETY: not NULL, and `size` bytes by the caller's contract.
        let bytes = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
        io.send(bytes)
    });
    answer(sent, "sending")
}

/// Receives bytes for a transport: answers how many, 0 at the end, CAMRILL_EAGAIN if there are none now, or
/// CAMRILL_EIO if the connection is lost. CAMRILL_ESTATE outside of the transport's functions.
///
/// # Safety
/// `io` as for camrill_io_send(); `buffer` has `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_io_recv(io: *mut camrill_io_t, buffer: *mut c_void, size: usize) -> i32 {
    // SAFETY: the caller's contract.
    let received = unsafe { socket(io, buffer.is_null(), size) }.map(|(io, size)| {
        // SAFETY: not NULL, and `size` bytes by the caller's contract; they are only written to.
        let bytes = unsafe {
            ptr::write_bytes(buffer.cast::<u8>(), 0, size);
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), size)
        };
        io.receive(bytes)
    });
    answer(received, "receiving")
}

/// The socket of a call, and how many bytes it may answer for.
///
/// # Safety
/// `io` is NULL or what `open` was given, and `close` has not returned.
unsafe fn socket(io: *const camrill_io_t, is_null: bool, size: usize) -> Result<(Io<'static>, usize)> {
    let wrong = |what| Err(Error::new(Code::InvalidArgument, what));
    // SAFETY: the caller's contract.
    let Some(io) = (unsafe { io.as_ref() }) else { return wrong("io is NULL") };
    if is_null || size == 0 {
        return wrong("there is no room and nothing to send");
    }
    let outside = || Error::new(Code::State, "io is used outside of the transport's functions");
    Ok((io.io.get().ok_or_else(outside)?, size.min(i32::MAX as usize)))
}

fn answer(result: Result<io::Result<usize>>, doing: &str) -> i32 {
    no_engine(guarded(|| match result? {
        Ok(n) => Ok(i32::try_from(n).unwrap_or(i32::MAX)),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(CAMRILL_EAGAIN),
        Err(e) => Err(Error::new(Code::Io, format!("{doing}: {e}"))),
    }))
}

/// The host's functions, none of them missing. What they are given goes when no connection needs it any more.
#[derive(Debug)]
struct Functions {
    user: *mut c_void,
    user_free: Option<unsafe extern "C" fn(*mut c_void)>,
    open: unsafe extern "C" fn(*mut c_void, *mut camrill_io_t, *const c_char) -> *mut c_void,
    handshake: unsafe extern "C" fn(*mut c_void) -> i32,
    read: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> i32,
    write: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> i32,
    error: Option<unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> usize>,
    close: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the host gives its pointer for use on the loop's thread, which may change only between calls.
unsafe impl Send for Functions {}
// SAFETY: as above; nothing in it is changed.
unsafe impl Sync for Functions {}

impl Functions {
    fn new(given: &camrill_transport_t) -> Result<Self> {
        let missing =
            |name| move || Error::new(Code::InvalidArgument, format!("the transport's {name} is NULL"));
        Ok(Self {
            user: given.user,
            user_free: given.user_free,
            open: given.open.ok_or_else(missing("open"))?,
            handshake: given.handshake.ok_or_else(missing("handshake"))?,
            read: given.read.ok_or_else(missing("read"))?,
            write: given.write.ok_or_else(missing("write"))?,
            error: given.error,
            close: given.close.ok_or_else(missing("close"))?,
        })
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        if let Some(user_free) = self.user_free {
            // SAFETY: the host's function, with its own pointer, once.
            unsafe { user_free(self.user) };
        }
    }
}

#[derive(Debug)]
struct HostTransport {
    functions: Arc<Functions>,
}

impl Transport for HostTransport {
    fn open(&mut self, host: Option<&str>) -> Result<Box<dyn Secure>, String> {
        let host = host.map(CString::new).transpose().map_err(|_| "the server's name has a NUL in it")?;
        let io = Box::into_raw(Box::new(camrill_io_t { io: Cell::new(None) }));
        let host = host.as_ref().map_or(ptr::null(), |host| host.as_ptr());
        // SAFETY: the host's function, with its own pointer; the string outlives the call, and `io` the
        // connection.
        let connection = unsafe { (self.functions.open)(self.functions.user, io, host) };
        let Some(connection) = NonNull::new(connection) else {
            // SAFETY: it came from Box::into_raw, and there is no connection that has it.
            drop(unsafe { Box::from_raw(io) });
            return Err("the host's transport opens no connection".to_owned());
        };
        Ok(Box::new(HostChannel { functions: self.functions.clone(), connection, io, is_closed: false }))
    }
}

/// A connection of the host's transport.
#[derive(Debug)]
struct HostChannel {
    functions: Arc<Functions>,
    connection: NonNull<c_void>,
    /// From Box::into_raw: the host holds it too.
    io: *mut camrill_io_t,
    is_closed: bool,
}

// SAFETY: as for Functions.
unsafe impl Send for HostChannel {}

impl HostChannel {
    /// Has one of the host's functions use the socket.
    fn with<T>(&self, io: Io<'_>, f: impl FnOnce(*mut c_void) -> T) -> T {
        // SAFETY: the socket is taken away again before the call ends for which it was lent.
        let lent = unsafe { std::mem::transmute::<Io<'_>, Io<'static>>(io) };
        // SAFETY: it is freed with this channel.
        let place = unsafe { &(*self.io).io };
        place.set(Some(lent));
        let result = f(self.connection.as_ptr());
        place.set(None);
        result
    }

    /// What a function's answer means, where it may be up to `most`.
    fn understand(&self, answer: i32, most: usize) -> io::Result<usize> {
        match usize::try_from(answer) {
            Ok(n) if n <= most => Ok(n),
            Ok(n) => {
                Err(io::Error::other(format!("TLS: the host's transport answered {n} for {most} bytes")))
            }
            Err(_) if answer == CAMRILL_EAGAIN => Err(ErrorKind::WouldBlock.into()),
            Err(_) => Err(io::Error::other(format!("TLS: {}", self.sentence(answer)))),
        }
    }

    fn sentence(&self, answer: i32) -> String {
        let mut buffer = [0_u8; SENTENCE_BYTES];
        let length = self.functions.error.map_or(0, |error| {
            // SAFETY: the host's function, with its own connection and as much room as is said.
            unsafe { error(self.connection.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
        });
        let text = buffer.get(..length.min(buffer.len())).unwrap_or_default();
        match String::from_utf8_lossy(text).trim_end_matches('\0') {
            "" => format!("the host's transport answered {answer}"),
            text => text.to_owned(),
        }
    }
}

impl Secure for HostChannel {
    fn handshake(&mut self, io: Io<'_>) -> io::Result<()> {
        // SAFETY: the host's function, with its own connection.
        let answer = self.with(io, |connection| unsafe { (self.functions.handshake)(connection) });
        self.understand(answer, usize::MAX).map(drop)
    }

    fn read(&mut self, io: Io<'_>, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, size) = (buffer.as_mut_ptr().cast(), buffer.len().min(i32::MAX as usize));
        // SAFETY: the host's function, with its own connection and as much room as is said.
        let answer = self.with(io, |connection| unsafe { (self.functions.read)(connection, at, size) });
        self.understand(answer, size)
    }

    fn write(&mut self, io: Io<'_>, bytes: &[u8]) -> io::Result<usize> {
        let (at, size) = (bytes.as_ptr().cast(), bytes.len().min(i32::MAX as usize));
        // SAFETY: the host's function, with its own connection and as many bytes as are said.
        let answer = self.with(io, |connection| unsafe { (self.functions.write)(connection, at, size) });
        self.understand(answer, size)
    }

    fn close(&mut self, io: Io<'_>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            // SAFETY: the host's function, with its own connection, once.
            self.with(io, |connection| unsafe { (self.functions.close)(connection) });
        }
    }
}

impl Drop for HostChannel {
    fn drop(&mut self) {
        if !self.is_closed {
            // SAFETY: the host's function, with its own connection, once.
            unsafe { (self.functions.close)(self.connection.as_ptr()) };
        }
        // SAFETY: it came from Box::into_raw, and the host has no connection with it any more.
        drop(unsafe { Box::from_raw(self.io) });
    }
}
