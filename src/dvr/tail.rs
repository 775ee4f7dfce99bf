//! Where the last whole tag of an FLV file ends, for a file that is gone on with: its writer may have
//! lost power in the middle of one.

use crate::wire::Reader;

/// Bytes that stand before the first tag: the file's header and PreviousTagSize.
const FIRST_TAG: u64 = 13;

/// Walks a file from tag to tag by their headers (FLV, E.4.1), without the bodies.
///
/// Read [`Tail::HEADER`] bytes at [`Tail::at`] and give them to [`Tail::handle_input`], until it answers
/// `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    length: u64,
    at: u64,
    last_ms: Option<u32>,
}

impl Tail {
    /// Bytes of a tag's header.
    pub const HEADER: usize = 11;

    /// At the first tag of a file of `length` bytes that begins with `head`. `None` if that is no FLV
    /// file.
    pub fn new(length: u64, head: &[u8]) -> Option<Self> {
        let is_flv = head.starts_with(b"FLV\x01") && head.get(5..13) == Some(&[0, 0, 0, 9, 0, 0, 0, 0]);
        (is_flv && length >= FIRST_TAG).then_some(Self { length, at: FIRST_TAG, last_ms: None })
    }

    /// Where the next tag's header stands, and how many bytes of the file are whole so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The timestamp of the last whole tag, in ms.
    pub fn last_ms(&self) -> Option<u32> {
        self.last_ms
    }

    /// Where the last tag begins if what stands at the end, its PreviousTagSize, is true: the header
    /// there is the short way to the end.
    pub fn last_tag(&self, previous_tag_size: u32) -> Option<u64> {
        self.length
            .checked_sub(4)?
            .checked_sub(u64::from(previous_tag_size))
            .filter(|at| *at >= FIRST_TAG && previous_tag_size >= Self::HEADER as u32)
    }

    /// Takes the header that was read at `at`, which is [`Tail::at`] or [`Tail::last_tag`]. `false` if
    /// no whole tag stands there.
    pub fn handle_input(&mut self, at: u64, header: &[u8]) -> bool {
        let mut r = Reader::new(header);
        let (Ok(tag_type), Ok(size), Ok(low), Ok(high), Ok(0)) = (r.u8(), r.u24(), r.u24(), r.u8(), r.u24())
        else {
            return false;
        };
        let end = at.saturating_add(u64::from(size)).saturating_add(Self::HEADER as u64 + 4);
        if !matches!(tag_type, 8 | 9 | 18) || end > self.length || (at != self.at && end != self.length) {
            return false;
        }
        self.at = end;
        self.last_ms = Some(u32::from(high) << 24 | low);
        true
    }
}
