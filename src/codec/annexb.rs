//! H.264 and H.265 as encoders hand them out: NAL units behind start codes (H.264, annex B).

/// The NAL units of `data`, whatever mix of 3-byte and 4-byte start codes stands between them, without
/// trailing zero bytes (B.1.1) and without empty ones. What stands before the first start code is no
/// NAL unit.
pub fn nals(data: &[u8]) -> Nals<'_> {
    Nals { rest: split(data).map(|(_, rest)| rest) }
}

/// The iterator of [`nals`].
#[derive(Debug, Clone)]
pub struct Nals<'a> {
    /// What follows the last start code found.
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let body = self.rest.take()?;
            let nal = match split(body) {
                Some((nal, rest)) => {
                    self.rest = Some(rest);
                    nal
                }
                None => body,
            };
            let nal = without_trailing_zeros(nal);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

/// What stands before and after the first 00 00 01.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = find(data)?;
    Some((data.get(..at)?, data.get(at.saturating_add(START_CODE.len())..)?))
}

/// A start code without the zero that may stand before it.
pub const START_CODE: [u8; 3] = [0, 0, 1];

/// Where the first 00 00 01 begins.
///
/// Coded data seldom has a zero, so that it is passed in steps of eight words; a word that has one is looked at
/// byte by byte.
pub fn find(data: &[u8]) -> Option<usize> {
    const WORD: usize = size_of::<u64>();
    const WORDS: usize = 8;
    let mut at = 0usize;
    for block in data.chunks(WORD * WORDS) {
        let mut zeros = 0;
        for word in block.chunks_exact(WORD) {
            zeros |= zero_bytes(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        if zeros != 0 || block.len() < WORD * WORDS {
            for (i, byte) in block.iter().enumerate() {
                let from = at.saturating_add(i);
                if *byte == 0 && data.get(from..).is_some_and(|rest| rest.starts_with(&START_CODE)) {
                    return Some(from);
                }
            }
        }
        at = at.saturating_add(block.len());
    }
    None
}

/// A bit for at least the lowest byte that is zero, and none where there is no such byte.
fn zero_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    word.wrapping_sub(LOW) & !word & (LOW << 7)
}

fn without_trailing_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|b| *b != 0).map_or(0, |i| i.saturating_add(1));
    nal.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(data: &[u8]) -> Vec<&[u8]> {
        nals(data).collect()
    }

    #[test]
    fn both_start_codes_in_any_mix() {
        let data = [0, 0, 0, 1, 7, 8, 0, 0, 1, 9, 0, 0, 0, 1, 5];
        assert_eq!(all(&data), [&[7u8, 8][..], &[9], &[5]]);
    }

    #[test]
    fn trailing_zeros_and_empty_units_are_left_out() {
        assert_eq!(all(&[0, 0, 1, 7, 0, 0, 0, 0, 0, 1, 0, 0, 1, 8, 0]), [&[7u8][..], &[8]]);
        assert_eq!(all(&[0, 0, 1, 0, 0, 1]), [&[] as &[u8]; 0]);
    }

    #[test]
    fn without_a_start_code_there_is_nothing() {
        assert!(all(&[]).is_empty());
        assert!(all(&[7, 8, 9, 10]).is_empty());
        assert!(all(&[0, 0, 2, 1]).is_empty());
        assert_eq!(all(&[9, 9, 0, 0, 1, 7]), [&[7u8][..]]);
    }

    #[test]
    fn a_one_amid_zeros_is_no_code() {
        assert_eq!(all(&[0, 0, 1, 5, 1, 0, 1, 0, 0, 1, 6]), [&[5u8, 1, 0, 1][..], &[6]]);
    }

    proptest! {
        #[test]
        fn units_come_out_as_they_went_in(
            units in prop::collection::vec((prop::collection::vec(1u8.., 1..20), any::<bool>()), 0..10),
        ) {
            let mut data = Vec::new();
            for (unit, long) in &units {
                data.extend_from_slice(if *long { &[0, 0, 0, 1] } else { &[0, 0, 1] });
                data.extend_from_slice(unit);
            }
            let expected: Vec<&[u8]> = units.iter().map(|(u, _)| &u[..]).collect();
            prop_assert_eq!(all(&data), expected);
        }

        #[test]
        fn the_fast_search_finds_what_the_slow_one_does(
            before in 0usize..200, data in prop::collection::vec(0u8..4, 0..60), zeros in 0usize..3,
        ) {
            let data = [vec![9; before], data, vec![0; zeros], vec![1; 70]].concat();
            let slow = data.windows(3).position(|w| w == [0, 0, 1]);
            prop_assert_eq!(split(&data).map(|(before, _)| before.len()), slow);
        }
    }
}
