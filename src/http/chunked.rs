//! The chunked transfer coding (RFC 9112, 7.1), for images of media that many answers share.

use smallvec::SmallVec;

/// What stands before a chunk of `len` bytes, which must not be zero: that would end the body.
pub fn head(len: usize) -> SmallVec<[u8; 18]> {
    let mut out = SmallVec::new();
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (len >> (place * 4)) & 0xf;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What stands after each chunk.
pub const TAIL: &[u8] = b"\r\n";

/// What ends the body.
pub const END: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_hexadecimal() {
        for len in [0, 1, 9, 10, 15, 16, 255, 256, 0x1234, 0xfffff, 0x100000, usize::MAX] {
            let head = head(len);
            assert_eq!(head.as_slice(), format!("{len:x}\r\n").as_bytes());
            assert!(!head.spilled());
        }
    }
}
