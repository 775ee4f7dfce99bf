//! What a caller is told: a code with a fixed number, and a sentence.
//!
//! These are the host's errors. What a peer does wrong is a [`crate::wire::Malformed`] or a room's own
//! error; it ends that peer's session and reaches the host as a log line and an event, never as a
//! failed call.

use std::fmt;

/// The stable number of an error, the same in C (`CAMRILL_E…`).
///
/// Ranges: argument -1…-99, state -100…-199, I/O -200…-299, protocol -300…-399, resource -400…-499,
/// TLS -500…-599, internal -600…-699.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Code {
    /// An argument is NULL, out of its range, or not what the function takes.
    InvalidArgument = -1,
    /// A configuration's syntax, a directive or a value is wrong.
    Config = -2,
    /// There is no such thing: an id that has ended, an unknown path.
    NotFound = -3,
    /// The frame or the bitstream handed over is not what its codec says it is.
    BadFrame = -4,
    /// The call is not allowed in this state: not configured, already started, not pending.
    State = -100,
    /// The call is not allowed from inside a callback.
    Reentrant = -101,
    /// The call is not allowed after a `fork()`, in the child.
    Forked = -102,
    /// What was asked for exists already, or belongs to somebody else: a name that is being published.
    Busy = -103,
    /// A socket or file call failed; the sentence says which and why.
    Io = -200,
    /// The address is in use or not one of this machine's.
    Address = -201,
    /// The peer broke its protocol.
    Protocol = -300,
    /// Not now: a bounded queue is full. Try again later.
    Again = -400,
    /// A named limit is reached.
    Limit = -401,
    /// Out of memory.
    Memory = -402,
    /// The buffer given is too small; nothing was written.
    Buffer = -403,
    /// A certificate or a key can't be used, or there is no TLS.
    Tls = -500,
    /// A defect of the library was caught at the boundary; the engine answers nothing else from now on.
    Panic = -600,
}

impl Code {
    /// The number as the C API returns it.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// An error for the host: a [`Code`] and a sentence that says what was wrong, where, and what was
/// expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    /// An error with its sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The result of a call that the host makes.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A URL, or what was meant for one, as it may stand in a sentence: without user, password and parameters, which
/// are often secrets.
pub fn without_secrets(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at.saturating_add(3));
    let (scheme, rest) = url.split_at_checked(begin).unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    // A password that lacks its percent-encoding may go on behind a slash.
    let is_torn = |authority: &str| {
        let port = if authority.starts_with('[') { None } else { authority.split_once(':') };
        port.is_some_and(|(_, port)| !port.bytes().all(|b| b.is_ascii_digit()))
    };
    let place = match (authority.rsplit_once('@'), rest.rsplit_once('@')) {
        (Some((_, host)), _) => format!("***@{host}{path}"),
        (None, Some((_, place))) if is_torn(authority) => format!("***@{place}"),
        (None, _) => rest.to_owned(),
    };
    match place.split_once('?') {
        Some((place, _)) => format!("{scheme}{place}?***"),
        None => format!("{scheme}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, shown) in [
            ("rtmp://h:1935/live/s", "rtmp://h:1935/live/s"),
            ("rtmp://u:p@h:99999/live/s?token=x", "rtmp://***@h:99999/live/s?***"),
            ("http://u@[::1/s", "http://***@[::1/s"),
            ("u:p@h", "***@h"),
            ("rtmp://u:p@h/a/b@c", "rtmp://***@h/a/b@c"),
            ("rtmp://u:p/w?x@h/live/s", "rtmp://***@h/live/s"),
            ("rtmp://h:1/live/a@b", "rtmp://h:1/live/a@b"),
            ("rtmp://[::1]/live/a@b", "rtmp://[::1]/live/a@b"),
            ("camera.flv", "camera.flv"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
