//! Boxes (ISO/IEC 14496-12, 4.2): written with their sizes filled in at the end, read one after another.

use bytes::{BufMut, BytesMut};

use crate::wire::{Malformed, Reader};

/// A box's type: four letters.
pub(super) type Name = [u8; 4];

/// Begins a box; [`end`] needs what this answers.
pub(super) fn begin(out: &mut BytesMut, name: &Name) -> usize {
    let at = out.len();
    out.put_u32(0);
    out.put_slice(name);
    at
}

/// Begins a box that has a version and flags; flags are of 24 bits.
pub(super) fn begin_full(out: &mut BytesMut, name: &Name, version: u8, flags: u32) -> usize {
    let at = begin(out, name);
    out.put_u8(version);
    out.put_uint(u64::from(flags), 3);
    at
}

/// Ends the box begun at `at`. Boxes that are written this way are far shorter than 4 GB: what they hold
/// has its limits.
pub(super) fn end(out: &mut BytesMut, at: usize) {
    let size = u32::try_from(out.len().saturating_sub(at)).unwrap_or(u32::MAX);
    patch(out, at, size);
}

/// Writes an integer over the one that stands at `at`.
pub(super) fn patch(out: &mut BytesMut, at: usize, value: u32) {
    if let Some(field) = out.get_mut(at..at.saturating_add(4)) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// A box's type and its size, header included, from its header's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Name,
    /// Bytes of the whole box; 0 for one that ends with the file.
    pub(super) size: u64,
    /// Bytes of the header.
    pub(super) len: u64,
}

impl Header {
    /// The most bytes that a header has, user types aside: those are part of the body here.
    pub(super) const LEN_MAX: usize = 16;

    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let short = r.u32()?;
        let name = r.u32()?.to_be_bytes();
        let (size, len) = match short {
            1 => (r.u64()?, 16),
            0 => (0, 8),
            size => (u64::from(size), 8),
        };
        if short != 0 && size < len {
            return Err(Malformed::Field { what: "box size", value: u32::try_from(size).unwrap_or(0) });
        }
        Ok(Self { name, size, len })
    }
}

/// The boxes that stand one after another in a body. After an error there is nothing more.
#[derive(Debug, Clone)]
pub(super) struct Boxes<'a> {
    r: Reader<'a>,
}

impl<'a> Boxes<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { r: Reader::new(body) }
    }

    /// The body of the first box of this name.
    pub(super) fn find(self, name: &Name) -> Result<&'a [u8], Malformed> {
        for child in self {
            let (found, body) = child?;
            if found == *name {
                return Ok(body);
            }
        }
        Err(Malformed::Missing(*name))
    }

    fn read(&mut self) -> Result<(Name, &'a [u8]), Malformed> {
        let header = Header::parse(&mut self.r)?;
        let len = match header.size {
            0 => self.r.remaining(),
            size => usize::try_from(size.saturating_sub(header.len)).unwrap_or(usize::MAX),
        };
        Ok((header.name, self.r.take(len)?))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<(Name, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.r.is_empty() {
            return None;
        }
        let child = self.read();
        if child.is_err() {
            self.r = Reader::new(&[]);
        }
        Some(child)
    }
}

/// The version and the flags that a full box begins with.
pub(super) fn version_and_flags(r: &mut Reader<'_>) -> Result<(u8, u32), Malformed> {
    Ok((r.u8()?, r.u24()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_read_as_they_were_written() {
        let mut out = BytesMut::new();
        let outer = begin(&mut out, b"moov");
        let inner = begin_full(&mut out, b"mvhd", 1, 0x02_0304);
        out.put_u8(7);
        end(&mut out, inner);
        end(&mut out, outer);
        assert_eq!(out, &b"\0\0\0\x15moov\0\0\0\x0dmvhd\x01\x02\x03\x04\x07"[..]);
        let moov = Boxes::new(&out).find(b"moov").unwrap();
        let mvhd = Boxes::new(moov).find(b"mvhd").unwrap();
        let mut r = Reader::new(mvhd);
        assert_eq!(version_and_flags(&mut r), Ok((1, 0x02_0304)));
        assert_eq!(r.rest(), [7]);
        let missing = Malformed::Missing(*b"trak");
        assert_eq!(Boxes::new(moov).find(b"trak"), Err(missing));
    }

    #[test]
    fn sizes_of_all_three_kinds() {
        let long = b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x11x\0\0\0\0freeabc";
        let all: Vec<_> = Boxes::new(long).collect::<Result<_, _>>().unwrap();
        assert_eq!(all, [(*b"mdat", &b"x"[..]), (*b"free", b"abc")]);
        for wrong in [&b"\0\0\0\x07free"[..], b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f", b"\0\0\0\x09free", b"\0\0"]
        {
            let mut boxes = Boxes::new(wrong);
            assert!(boxes.next().unwrap().is_err(), "{wrong:x?}");
            assert!(boxes.next().is_none());
        }
    }
}
