//! Reading bit by bit, with the Exp-Golomb codes of H.264 and, where asked, without its emulation
//! prevention bytes. For headers of some dozen bytes: it is short rather than fast.

use crate::wire::{Malformed, Reader};

/// A cursor over the bits of a slice, most significant first.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: Reader<'a>,
    /// The byte being read, and how many of its low bits are left.
    byte: u8,
    left: u32,
    /// Zero bytes just passed, where emulation prevention is to be undone.
    zeros: Option<u8>,
}

impl<'a> Bits<'a> {
    /// The bits as they stand.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Reader::new(bytes), byte: 0, left: 0, zeros: None }
    }

    /// The bits of a NAL unit's payload: 00 00 03 counts as 00 00 (H.264, 7.3.1).
    pub(super) fn rbsp(bytes: &'a [u8]) -> Self {
        Self { zeros: Some(0), ..Self::new(bytes) }
    }

    /// How many bits are left, emulation prevention included.
    pub(super) fn remaining(&self) -> usize {
        let left = usize::try_from(self.left).unwrap_or(0);
        self.bytes.remaining().saturating_mul(8).saturating_add(left)
    }

    /// One bit.
    pub(super) fn bit(&mut self) -> Result<bool, Malformed> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left = self.left.saturating_sub(1);
        Ok(self.byte >> self.left & 1 != 0)
    }

    /// The next `n` bits as an unsigned integer; `n` is at most 32.
    pub(super) fn bits(&mut self, n: u32) -> Result<u32, Malformed> {
        debug_assert!(n <= 32);
        let mut value = 0;
        for _ in 0..n {
            value = value << 1 | u32::from(self.bit()?);
        }
        Ok(value)
    }

    /// The next `n` bits, at most 8.
    pub(super) fn byte(&mut self, n: u32) -> Result<u8, Malformed> {
        debug_assert!(n <= 8);
        Ok(self.bits(n)?.to_be_bytes()[3])
    }

    /// Passes over `n` bits.
    pub(super) fn skip(&mut self, n: u32) -> Result<(), Malformed> {
        for _ in 0..n {
            self.bit()?;
        }
        Ok(())
    }

    /// ue(v) (H.264, 9.1).
    pub(super) fn ue(&mut self) -> Result<u32, Malformed> {
        let mut zeros = 0u32;
        while !self.bit()? {
            zeros = zeros.saturating_add(1);
            if zeros > 31 {
                return Err(Malformed::Field { what: "Exp-Golomb prefix", value: zeros });
            }
        }
        // At most 31 bits below a leading one: 2^32 - 1, less one.
        Ok((1u32 << zeros | self.bits(zeros)?).saturating_sub(1))
    }

    /// se(v) (H.264, 9.1.1).
    pub(super) fn se(&mut self) -> Result<i32, Malformed> {
        let code = self.ue()?;
        let magnitude = i32::try_from(code.div_ceil(2)).unwrap_or(i32::MAX);
        Ok(if code & 1 == 1 { magnitude } else { magnitude.saturating_neg() })
    }

    fn next_byte(&mut self) -> Result<u8, Malformed> {
        let mut b = self.bytes.u8()?;
        if let Some(zeros) = self.zeros {
            let mut passed = zeros;
            if passed >= 2 && b == 3 {
                b = self.bytes.u8()?;
                passed = 0;
            }
            self.zeros = Some(if b == 0 { passed.saturating_add(1) } else { 0 });
        }
        Ok(b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_golomb_codes() {
        // 1 010 011 00100 00101 as ue, then again as se.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut b = Bits::new(&bytes);
        assert_eq!([b.ue(), b.ue(), b.ue(), b.ue(), b.ue()], [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
        let mut b = Bits::new(&bytes);
        assert_eq!([b.se(), b.se(), b.se(), b.se(), b.se()], [Ok(0), Ok(1), Ok(-1), Ok(2), Ok(-2)]);
    }

    #[test]
    fn the_longest_code_and_one_too_long() {
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Bits::new(&longest).ue(), Ok(u32::MAX - 1));
        assert!(Bits::new(&[0, 0, 0, 0, 0xff]).ue().is_err());
    }

    #[test]
    fn emulation_prevention_is_undone_only_where_asked() {
        let bytes = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 2];
        let mut plain = Bits::new(&bytes);
        assert_eq!(plain.bits(32), Ok(0x0000_0301));
        let mut rbsp = Bits::rbsp(&bytes);
        assert_eq!(rbsp.bits(32), Ok(0x0000_0100));
        assert_eq!(rbsp.bits(32), Ok(0x0000_0002));
        assert_eq!(rbsp.remaining(), 0);
        assert!(rbsp.bit().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut b = Bits::rbsp(&bytes);
            while b.ue().is_ok() {}
            let mut b = Bits::new(&bytes);
            while b.se().is_ok() {}
        }
    }
}
