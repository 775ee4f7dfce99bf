//! A cursor over a slice that never reads past its end.

use std::fmt;

use byteorder::{BigEndian, ByteOrder, LittleEndian};

/// What a peer, a file or an encoder sent is not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end before the structure does.
    Truncated {
        /// How many bytes the structure needs from where it was being read.
        needed: usize,
        /// How many there were.
        had: usize,
    },
    /// A field holds a value that the format doesn't allow.
    Field {
        /// The field, in the specification's words.
        what: &'static str,
        /// What it held.
        value: u32,
    },
    /// A part that must be there is not: a box's name.
    Missing([u8; 4]),
    /// A named limit is passed.
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u32,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, had } => write!(f, "truncated: {needed} bytes expected, {had} left"),
            Self::Field { what, value } => write!(f, "{what} is {value} (0x{value:x}), which is not allowed"),
            Self::Missing(name) => write!(f, "there is no box '{}'", name.escape_ascii()),
            Self::Limit { what, limit } => write!(f, "{what} is beyond the limit of {limit}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// A bounds-checked cursor over a slice. Integers are big-endian unless the name says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// How many bytes are read.
    pub fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without taking it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(Malformed::Truncated { needed: n, had: self.rest.len() }),
        }
    }

    /// Passes over `n` bytes.
    pub fn skip(&mut self, n: usize) -> Result<(), Malformed> {
        self.take(n).map(|_| ())
    }

    /// The next byte, without taking it.
    pub fn peek_u8(&self) -> Result<u8, Malformed> {
        self.rest.first().copied().ok_or(Malformed::Truncated { needed: 1, had: 0 })
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let b = self.peek_u8()?;
        self.skip(1)?;
        Ok(b)
    }

    /// A 16-bit unsigned integer.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.take(2).map(BigEndian::read_u16)
    }

    /// A 24-bit unsigned integer.
    pub fn u24(&mut self) -> Result<u32, Malformed> {
        self.take(3).map(BigEndian::read_u24)
    }

    /// A 24-bit two's complement integer.
    pub fn i24(&mut self) -> Result<i32, Malformed> {
        self.take(3).map(BigEndian::read_i24)
    }

    /// A 32-bit unsigned integer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.take(4).map(BigEndian::read_u32)
    }

    /// A 32-bit little-endian unsigned integer (RTMP's message stream id).
    pub fn u32_le(&mut self) -> Result<u32, Malformed> {
        self.take(4).map(LittleEndian::read_u32)
    }

    /// A 64-bit unsigned integer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.take(8).map(BigEndian::read_u64)
    }

    /// An IEEE 754 double.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        self.take(8).map(BigEndian::read_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_stops_at_the_end() {
        let mut r = Reader::new(&[1, 0, 2, 0, 0, 3, 0xff, 0xff, 0xfe, 4, 0, 0, 0]);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(2));
        assert_eq!(r.u24(), Ok(3));
        assert_eq!(r.i24(), Ok(-2));
        assert_eq!(r.position(), 9);
        assert_eq!(r.u32_le(), Ok(4));
        assert!(r.is_empty());
        assert_eq!(r.u16(), Err(Malformed::Truncated { needed: 2, had: 0 }));
    }

    #[test]
    fn a_failed_read_takes_nothing() {
        let mut r = Reader::new(&[7, 8]);
        assert!(r.u32().is_err());
        assert_eq!(r.u16(), Ok(0x0708));
    }
}
