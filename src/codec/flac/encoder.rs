//! The encoder: mono, 16 bits and 8 kHz, which is what G.711 decodes to. Predictors are the fixed ones, and each
//! is tried; for a block of speech that costs less than a decoder does.

use bytes::{BufMut, Bytes, BytesMut};
use crc::{CRC_8_SMBUS, CRC_16_UMTS, Crc, NoTable};
use smallvec::SmallVec;

use super::{LAST, STREAMINFO, STREAMINFO_TYPE, with_marker};
use crate::codec::g711;
use crate::wire::limits::FLAC_BLOCK_SAMPLES;

/// Bits of a sample.
const BITS: u32 = 16;
/// The fewest samples that a stream may announce for a block; the last one may be shorter (8.2).
const BLOCK_MIN: u16 = 16;
/// The highest order of the fixed predictors (9.2.5).
const ORDER_MAX: u32 = 4;
/// The highest partition order that is tried: 8 partitions of a block.
const PARTITION_ORDER_MAX: u32 = 3;
/// The highest Rice parameter of 4 bits that is no escape code (9.2.7.1).
const RICE_MAX: u32 = 14;

/// The frame header's words for what never changes: 8 kHz, and a channel of 16 bits (9.1.2 to 9.1.4).
const RATE_8K: u8 = 0b0100;
const MONO_16: u8 = 0b0000_1000;
/// A block size of 16 bits, less one, stands behind the coded number (9.1.1).
const BLOCK_16: u8 = 0b0111;
/// The sync code, and blocks of various sizes: they are as long as the publisher's frames.
const SYNC_VARIABLE: u16 = 0xfff9;

// Types of subframes (9.2.1); a fixed one has its order added.
const CONSTANT: u32 = 0b00_0000;
const VERBATIM: u32 = 0b00_0001;
const FIXED: u32 = 0b00_1000;

/// Both are of some hundred bytes at most: a table would be longer than it is fast.
const CRC_HEADER: Crc<u8, NoTable> = Crc::<u8, NoTable>::new(&CRC_8_SMBUS);
const CRC_FRAME: Crc<u16, NoTable> = Crc::<u16, NoTable>::new(&CRC_16_UMTS);

/// The header of a stream of such frames, as [`super::StreamInfo::parse`] takes it.
pub fn header() -> Bytes {
    let mut blocks = BytesMut::with_capacity(4 + STREAMINFO);
    blocks.put_u8(LAST | STREAMINFO_TYPE);
    blocks.put_uint(STREAMINFO as u64, 3);
    blocks.put_u16(BLOCK_MIN);
    blocks.put_u16(u16::try_from(FLAC_BLOCK_SAMPLES).unwrap_or(u16::MAX));
    blocks.put_bytes(0, 3 + 3); // the sizes of frames aren't known
    // 20 bits of the rate, 3 of the channels less one, 5 of the bits less one, 36 of how many samples there are:
    // not known.
    blocks.put_u64(u64::from(g711::RATE) << 44 | u64::from(BITS - 1) << 36);
    blocks.put_bytes(0, 16); // MD5: not known
    with_marker(&blocks)
}

/// Appends the frame of a block of 1 to [`FLAC_BLOCK_SAMPLES`] samples; of more those that are too many are left
/// out. `first` is the number of the first of them in the stream.
pub fn encode(samples: &[i16], first: u64, out: &mut BytesMut) {
    let samples = samples.get(..FLAC_BLOCK_SAMPLES).unwrap_or(samples);
    let Some(last) = samples.len().checked_sub(1) else { return };
    out.reserve(samples.len().saturating_mul(2).saturating_add(32));
    let begin = out.len();
    out.put_u16(SYNC_VARIABLE);
    out.put_u8(BLOCK_16 << 4 | RATE_8K);
    out.put_u8(MONO_16);
    put_number(first, out);
    out.put_u16(u16::try_from(last).unwrap_or(u16::MAX));
    let crc = CRC_HEADER.checksum(out.get(begin..).unwrap_or_default());
    out.put_u8(crc);

    subframe(samples, out);
    let crc = CRC_FRAME.checksum(out.get(begin..).unwrap_or_default());
    out.put_u16(crc);
}

/// A number of 36 bits at most, coded as UTF-8 goes on beyond Unicode (9.1.5). It wraps.
fn put_number(number: u64, out: &mut BytesMut) {
    let number = number & 0xf_ffff_ffff;
    if number < 0x80 {
        out.put_u8(number.to_be_bytes()[7]);
        return;
    }
    // Six bits in each byte that follows; in the first as many as its ones and a zero leave.
    let (mut following, mut limit) = (1u32, 1u64 << 11);
    while number >= limit {
        following += 1;
        limit <<= 5;
    }
    let ones = !(0xffu8 >> (following + 1));
    out.put_u8(ones | (number >> (6 * following)).to_be_bytes()[7]);
    for at in (0..following).rev() {
        out.put_u8(0x80 | (number >> (6 * at)).to_be_bytes()[7] & 0x3f);
    }
}

fn subframe(samples: &[i16], out: &mut BytesMut) {
    let mut bits = BitWriter { out, held: 0, count: 0 };
    // G.711 leaves the lowest bits at zero: they are said once (9.2.2). All of them are where nothing is heard.
    let all = samples.iter().fold(0, |all, sample| all | sample);
    let wasted = if all == 0 { 0 } else { all.trailing_zeros() };
    let values: Vec<i32> = samples.iter().map(|sample| i32::from(*sample) >> wasted).collect();
    let width = BITS - wasted;
    let begin = |kind: u32, bits: &mut BitWriter<'_>| {
        bits.put(kind << 1 | u32::from(wasted > 0), 8);
        if let Some(zeros) = wasted.checked_sub(1) {
            bits.put_unary(zeros);
        }
    };
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|value| *value == first) {
        begin(CONSTANT, &mut bits);
        bits.put_signed(first, width);
        return bits.finish();
    }

    let mut best: Option<(u32, Partitions, Vec<i32>)> = None;
    let mut residual = values.clone();
    for order in 0..=ORDER_MAX {
        if order > 0 {
            differentiate(&mut residual);
        }
        let Some(rest) = residual.get(order as usize..).filter(|rest| !rest.is_empty()) else { break };
        let found = Partitions::find(rest, values.len(), order, width);
        if best.as_ref().is_none_or(|(_, best, _)| found.bits < best.bits) {
            best = Some((order, found, rest.to_vec()));
        }
    }
    let verbatim = values.len() as u64 * u64::from(width);
    match best.filter(|(_, partitions, _)| partitions.bits < verbatim) {
        None => {
            begin(VERBATIM, &mut bits);
            values.iter().for_each(|value| bits.put_signed(*value, width));
        }
        Some((order, partitions, residual)) => {
            begin(FIXED | order, &mut bits);
            values.iter().take(order as usize).for_each(|value| bits.put_signed(*value, width));
            partitions.put(&residual, values.len(), order, &mut bits);
        }
    }
    bits.finish();
}

/// Takes from each value the one before it: the next order's residual. The first ones, of which there are as many
/// as the order is high, no longer mean anything. Of 17 bits and more with each order: 20 at most.
fn differentiate(values: &mut [i32]) {
    let mut before = 0;
    for value in values {
        (*value, before) = (*value - before, *value);
    }
}

/// How a residual is cut into partitions, and what each one's Rice parameter is.
struct Partitions {
    order: u32,
    parameters: SmallVec<[u32; 1 << PARTITION_ORDER_MAX]>,
    /// What all of it takes, with the samples before it.
    bits: u64,
}

impl Partitions {
    /// The best ones for what is left of a block of `block` samples behind those that the predictor of this order
    /// begins with, each of so many bits.
    fn find(residual: &[i32], block: usize, order: u32, width: u32) -> Self {
        let tried = (0..=PARTITION_ORDER_MAX).filter(|partition_order| {
            let len = block >> partition_order;
            len << partition_order == block && len > order as usize
        });
        let all = tried.map(|partition_order| {
            let mut bits = u64::from(order * width) + 6;
            let mut parameters = SmallVec::new();
            for part in parts(residual, block, order, partition_order) {
                let (parameter, cost) = rice(part);
                parameters.push(parameter);
                bits += 4 + cost;
            }
            Self { order: partition_order, parameters, bits }
        });
        // Order 0 fits any block.
        let none = Self { order: 0, parameters: SmallVec::new(), bits: u64::MAX };
        all.min_by_key(|partitions| partitions.bits).unwrap_or(none)
    }

    /// Writes the coded residual (9.2.7).
    fn put(&self, residual: &[i32], block: usize, order: u32, bits: &mut BitWriter<'_>) {
        bits.put(0, 2); // parameters of 4 bits
        bits.put(self.order, 4);
        for (part, parameter) in parts(residual, block, order, self.order).zip(&self.parameters) {
            bits.put(*parameter, 4);
            for value in part {
                let folded = fold(*value);
                bits.put_unary(folded >> parameter);
                bits.put(folded & !(u32::MAX << parameter), *parameter);
            }
        }
    }
}

/// The partitions of a residual: of equal lengths, had the first not lost those that the predictor begins with.
fn parts(
    residual: &[i32],
    block: usize,
    order: u32,
    partition_order: u32,
) -> impl Iterator<Item = &[i32]> + use<'_> {
    let len = (block >> partition_order).max(1);
    let (first, rest) = residual.split_at(len.saturating_sub(order as usize).min(residual.len()));
    std::iter::once(first).chain(rest.chunks(len))
}

/// The Rice parameter with which a partition takes the fewest bits, and how many.
fn rice(part: &[i32]) -> (u32, u64) {
    let sum: u64 = part.iter().map(|value| u64::from(fold(*value))).sum();
    let mean = sum.checked_div(part.len() as u64).unwrap_or(0);
    // The best one is near the logarithm of the mean.
    let near = mean.checked_ilog2().unwrap_or(0);
    let cost = |parameter: u32| {
        let fixed = part.len() as u64 * u64::from(parameter + 1);
        part.iter().fold(fixed, |bits, value| bits + u64::from(fold(*value) >> parameter))
    };
    let tried = near.saturating_sub(1).min(RICE_MAX)..=(near + 1).min(RICE_MAX);
    tried.map(|parameter| (parameter, cost(parameter))).min_by_key(|(_, bits)| *bits).unwrap_or((0, u64::MAX))
}

/// 0, -1, 1, -2, … as 0, 1, 2, 3, … (9.2.7.2).
fn fold(value: i32) -> u32 {
    (value << 1 ^ value >> 31).cast_unsigned()
}

/// Bits, the highest first, into whole bytes.
struct BitWriter<'a> {
    out: &'a mut BytesMut,
    held: u64,
    /// How many bits are held: 7 at most between calls.
    count: u32,
}

impl BitWriter<'_> {
    /// Adds the lowest `count` bits, 32 at most; the others are zero.
    fn put(&mut self, value: u32, count: u32) {
        self.held = self.held << count | u64::from(value);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.put_u8((self.held >> self.count).to_be_bytes()[7]);
        }
    }

    /// Adds a two's complement of so many bits.
    fn put_signed(&mut self, value: i32, count: u32) {
        self.put(value.cast_unsigned() & !(u32::MAX << count), count);
    }

    /// Adds so many zeros and a one.
    fn put_unary(&mut self, zeros: u32) {
        (0..zeros / 32).for_each(|_| self.put(0, 32));
        self.put(1, zeros % 32 + 1);
    }

    /// Fills the last byte up with zeros.
    fn finish(mut self) {
        self.put(0, self.count.wrapping_neg() % 8);
    }
}
