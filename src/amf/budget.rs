//! What one message may still take: shared by both formats, since one nests in the other.

use crate::wire::Malformed;
use crate::wire::limits;

/// What is left for the message being read.
#[derive(Debug)]
pub(super) struct Budget {
    values: usize,
    text: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { values: limits::AMF_VALUES, text: limits::AMF_TEXT_BYTES }
    }

    /// Takes one value, or one name of a class's property.
    pub(super) fn value(&mut self) -> Result<(), Malformed> {
        self.values = self.values.checked_sub(1).ok_or(limit("AMF values", limits::AMF_VALUES))?;
        Ok(())
    }

    /// Takes `len` bytes of one string. A string that is referred to counts each time, because each
    /// time it is copied.
    pub(super) fn text(&mut self, len: usize) -> Result<(), Malformed> {
        if len > limits::AMF_STRING_BYTES {
            return Err(limit("AMF string", limits::AMF_STRING_BYTES));
        }
        self.text = self.text.checked_sub(len).ok_or(limit("AMF text", limits::AMF_TEXT_BYTES))?;
        Ok(())
    }
}

/// The depth one level below `depth`.
pub(super) fn deeper(depth: usize) -> Result<usize, Malformed> {
    if depth < limits::AMF_DEPTH {
        Ok(depth.saturating_add(1))
    } else {
        Err(limit("AMF depth", limits::AMF_DEPTH))
    }
}

fn limit(what: &'static str, limit: usize) -> Malformed {
    Malformed::Limit { what, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
}
