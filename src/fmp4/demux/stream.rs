//! A stream of MP4 as it comes: what the file's reader wants is held until it is there.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use super::{DemuxError, FileDemuxer};
use crate::media::Frame;
use crate::wire::{Malformed, limits};

/// Takes a stream apart as its bytes come: init segments and fragments, a new init segment among them too,
/// or a file whose tables stand before its samples.
///
/// Call [`Demuxer::handle_input`] until it answers `None`: then it has taken all bytes given and needs more.
/// After an error it answers the same error for ever. Frames are as [`FileDemuxer`] gives them; those of a
/// fragment come by their DTS, for which up to [`limits::MP4_STREAM_BYTES`] are held.
#[derive(Debug)]
pub struct Demuxer {
    file: FileDemuxer,
    held: BytesMut,
    /// Where what is held begins in the stream.
    base: u64,
    ready: VecDeque<Frame>,
    failed: Option<DemuxError>,
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demuxer {
    /// At the first byte of a stream.
    pub fn new() -> Self {
        let (held, ready) = (BytesMut::new(), VecDeque::new());
        Self { file: FileDemuxer::new(u64::MAX), held, base: 0, ready, failed: None }
    }

    /// Takes bytes from the front of `input` and gives the next frame when it is complete.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, DemuxError> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if let Some(e) = self.failed {
                return Err(e);
            }
            match self.read(input) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(e) => (self.failed, self.held) = (Some(e), BytesMut::new()),
            }
        }
    }

    /// What follows begins with a box, whatever came before: the next segment of HLS, after one that may have
    /// been cut off. Tracks stay until another init segment comes.
    pub fn segment(&mut self) {
        self.file.restart();
        self.held.clear();
        self.base = 0;
    }

    /// Hands over what is wanted; whether it was there.
    fn read(&mut self, input: &mut &[u8]) -> Result<bool, DemuxError> {
        let Some(wanted) = self.file.wanted() else {
            *input = &[];
            return Ok(false);
        };
        let from = self.file.needed_from();
        self.let_go(from, input);
        if self.base < from {
            return Ok(false);
        }
        let ahead = wanted.offset.checked_sub(self.base).ok_or(DemuxError::OutOfOrder)?;
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
        let end = ahead.saturating_add(wanted.len);
        if end > limits::MP4_STREAM_BYTES {
            let limit = u32::try_from(limits::MP4_STREAM_BYTES).unwrap_or(u32::MAX);
            return Err(Malformed::Limit { what: "distance of samples in an MP4 stream", limit }.into());
        }
        let missing = end.saturating_sub(self.held.len());
        let (now, later) = input.split_at_checked(missing.min(input.len())).unwrap_or((input, &[]));
        self.held.extend_from_slice(now);
        *input = later;
        let Some(bytes) = self.held.get(ahead..end) else { return Ok(false) };
        self.ready.extend(self.file.handle_input(bytes)?);
        Ok(true)
    }

    /// Lets go of what stands before `offset`, also of what is still to come.
    fn let_go(&mut self, offset: u64, input: &mut &[u8]) {
        let gone = |have: usize, base: u64| {
            let gone = usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX).min(have);
            (gone, base.saturating_add(gone as u64))
        };
        let (n, base) = gone(self.held.len(), self.base);
        self.held.advance(n);
        self.base = base;
        if self.held.is_empty() {
            let (n, base) = gone(input.len(), self.base);
            *input = input.get(n..).unwrap_or_default();
            self.base = base;
        }
    }
}
