//! What an encoder's thread tells the loop by a flag. tests/loom goes through every order in which the two come.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag of which both ends only ever swap the value: so whoever finds it as the other has left it sees what the
/// other has done before.
#[derive(Debug)]
pub(super) struct Signal(AtomicBool);

impl Signal {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Says it. Whether it was not said before: else the loop has yet to look.
    pub(super) fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The loop looks: what comes after this look is said again. Whether it was said.
    pub(super) fn lower(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}
