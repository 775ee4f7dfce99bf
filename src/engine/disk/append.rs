//! How much of an FLV file is whole, before it is gone on with.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::dvr::Tail;

use super::Kept;

/// Bytes of a file's header that tell that it is FLV.
const HEAD: usize = 13;

/// What is kept of the file: its whole tags. One that is empty, or has not even a header, is begun anew; one
/// that is something else is an error.
pub(in super::super) fn flv(file: &mut File) -> io::Result<Kept> {
    let length = file.metadata()?.len();
    if length < HEAD as u64 {
        return Ok(Kept::default());
    }
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    let no_flv = || io::Error::new(io::ErrorKind::InvalidData, "it is there and not an FLV file");
    let mut tail = Tail::new(length, &head).ok_or_else(no_flv)?;

    let mut size = [0; 4];
    let mut header = [0; Tail::HEADER];
    file.read_exact_at(&mut size, length - 4)?;
    let mut is_whole = false;
    if let Some(at) = tail.last_tag(u32::from_be_bytes(size)) {
        file.read_exact_at(&mut header, at)?;
        is_whole = tail.handle_input(at, &header);
    }
    while !is_whole && tail.at() + (Tail::HEADER as u64) <= length {
        let at = tail.at();
        file.read_exact_at(&mut header, at)?;
        is_whole = !tail.handle_input(at, &header);
    }
    Ok(Kept { bytes: tail.at(), last_ms: tail.last_ms().unwrap_or(0) })
}
