//! Memory that the host lends: it goes round by reference, and the host is told when nobody holds it any more.

use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::queue::Counts;

/// The host's function for memory that is free again.
pub(super) type Release = unsafe extern "C" fn(*mut c_void);

/// Has the host told, once, when this and all pieces that were lent with it are gone.
pub(super) struct Lender {
    release: Release,
    user: *mut c_void,
    /// The process that lent it: in a child of that the host's function is not to run a second time.
    process: u32,
    /// Where it counts once there are pieces.
    held: OnceLock<Arc<Counts>>,
}

// SAFETY: the host's function may be called by any thread, by its contract, and its pointer is only given to that.
unsafe impl Send for Lender {}
// SAFETY: as above; nothing of it is changed while it is shared.
unsafe impl Sync for Lender {}

/// One piece of memory that was lent.
struct Piece {
    data: *const u8,
    len: usize,
    _lender: Arc<Lender>,
}

// SAFETY: the memory is only read, and the host leaves it alone until its function has run.
unsafe impl Send for Piece {}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `lend`'s contract: readable and unchanged until the lender is gone, which this holds.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl Lender {
    pub(super) fn new(release: Release, user: *mut c_void) -> Self {
        Self { release, user, process: std::process::id(), held: OnceLock::new() }
    }

    /// The pieces as bytes that tell the host when they are gone.
    ///
    /// # Safety
    /// They stay readable and unchanged until the host's function has run.
    pub(super) unsafe fn lend(self: &Arc<Self>, pieces: &[&[u8]], counts: &Arc<Counts>) -> Vec<Bytes> {
        if self.held.set(counts.clone()).is_ok() {
            counts.held.fetch_add(1, Ordering::Relaxed);
        }
        let piece = |piece: &&[u8]| {
            Bytes::from_owner(Piece { data: piece.as_ptr(), len: piece.len(), _lender: self.clone() })
        };
        pieces.iter().map(piece).collect()
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        // SAFETY: the host's function with its own pointer, once: this is all that calls it.
        unsafe { (self.release)(self.user) };
        // Only now, so that who sees none held may free what he has lent.
        if let Some(counts) = self.held.get() {
            counts.held.fetch_sub(1, Ordering::Release);
        }
    }
}
