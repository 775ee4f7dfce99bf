//! Frames held against a decoder of these tests' own, by RFC 9639 alone, and against ffmpeg's.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::codec::g711;
use crate::wire::limits::FLAC_BLOCK_SAMPLES;

/// The remainder of a division by a polynomial, bit by bit, the highest first.
fn remainder(bytes: &[u8], polynomial: u32, width: u32) -> u32 {
    let top = 1 << width;
    let mut crc = 0;
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        crc = crc << 1 | bit;
        crc = if crc & top != 0 { crc ^ top ^ polynomial } else { crc };
    }
    crc
}

/// Takes a frame apart: the number of its first sample, the samples, and what follows.
fn decoded(frame: &[u8]) -> (u64, Vec<i32>, &[u8]) {
    let mut b = Bits::new(frame);
    let whole = b.remaining();
    let at = |b: &Bits<'_>| (whole - b.remaining()) / 8;
    assert_eq!(b.bits(16), Ok(0b1111_1111_1111_1001));
    assert_eq!(b.bits(16), Ok(0b0111_0100_0000_1000), "a block size of 16 bits, 8 kHz, mono of 16 bits");
    let first = b.bits(8).unwrap();
    let following = (first as u8).leading_ones().saturating_sub(1);
    let mut number = u64::from(if following == 0 { first } else { first & (0x3f >> following) });
    for _ in 0..following {
        assert_eq!(b.bits(2), Ok(0b10));
        number = number << 6 | u64::from(b.bits(6).unwrap());
    }
    let count = b.bits(16).unwrap() as usize + 1;
    assert_eq!(remainder(&frame[..=at(&b)], 0x07, 8), 0);
    b.skip(8).unwrap();

    assert_eq!(b.bits(1), Ok(0));
    let kind = b.bits(6).unwrap();
    let mut wasted = 0;
    if b.bit().unwrap() {
        wasted = 1;
        while !b.bit().unwrap() {
            wasted += 1;
        }
    }
    let width = 16 - wasted;
    let signed = |b: &mut Bits<'_>| (b.bits(width).unwrap() << (32 - width)).cast_signed() >> (32 - width);
    let mut values: Vec<i32> = match kind {
        0 => vec![signed(&mut b); count],
        1 => (0..count).map(|_| signed(&mut b)).collect(),
        order @ 8..=12 => (0..order - 8).map(|_| signed(&mut b)).collect(),
        _ => panic!("{kind} is no subframe of this encoder's"),
    };
    if kind >= 8 {
        let order = values.len();
        assert_eq!(b.bits(2), Ok(0));
        let partitions = 1 << b.bits(4).unwrap();
        assert_eq!(count % partitions, 0);
        for partition in 0..partitions {
            let parameter = b.bits(4).unwrap();
            assert_ne!(parameter, 15, "no escape code");
            for _ in 0..count / partitions - if partition == 0 { order } else { 0 } {
                let mut folded = 0;
                while !b.bit().unwrap() {
                    folded += 1;
                }
                folded = folded << parameter | b.bits(parameter).unwrap();
                let residual = (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed();
                let back = |n: usize| values[values.len() - n];
                let predicted = match order {
                    0 => 0,
                    1 => back(1),
                    2 => 2 * back(1) - back(2),
                    3 => 3 * back(1) - 3 * back(2) + back(3),
                    _ => 4 * back(1) - 6 * back(2) + 4 * back(3) - back(4),
                };
                values.push(predicted + residual);
            }
        }
    }
    while !b.remaining().is_multiple_of(8) {
        assert_eq!(b.bits(1), Ok(0), "padding");
    }
    let end = at(&b) + 2;
    assert_eq!(remainder(&frame[..end], 0x8005, 16), 0);
    values.iter_mut().for_each(|value| *value <<= wasted);
    (number, values, &frame[end..])
}

#[track_caller]
fn assert_comes_back(samples: &[i16], first: u64) -> usize {
    let mut out = BytesMut::new();
    encode(samples, first, &mut out);
    let (number, values, rest) = decoded(&out);
    assert_eq!((number, rest), (first, &[][..]));
    assert_eq!(values, samples.iter().copied().map(i32::from).collect::<Vec<_>>());
    assert_eq!(block_samples(&out), Ok(samples.len() as u32));
    // What can't be foretold costs no more than it is, beside what stands around it.
    assert!(out.len() <= samples.len() * 2 + 20, "{} bytes of {} samples", out.len(), samples.len());
    out.len()
}

/// A voice as G.711 has it: a tone with overtones that comes and goes, and noise, by A-law or µ-law.
fn speech(samples: usize, is_ulaw: bool) -> Vec<i16> {
    let mut noise = 1u32;
    let all = (0..samples).map(|n| {
        let t = n as f64 / 8000.0;
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let loud = (t * 2.5 * std::f64::consts::TAU).sin().max(0.0).powi(2) * 6000.0;
        let overtone = |k: f64| (t * 130.0 * k * std::f64::consts::TAU).sin() / k;
        let value = loud * (1..9).map(|k| overtone(f64::from(k))).sum::<f64>() / 2.0;
        to_g711((value + f64::from(noise >> 16) / 1000.0 - 32.0) as i16, is_ulaw)
    });
    all.collect()
}

/// The value of G.711 nearest to a sample.
fn to_g711(sample: i16, is_ulaw: bool) -> i16 {
    let all = (0..=255).map(if is_ulaw { g711::ulaw } else { g711::alaw });
    all.min_by_key(|value| value.abs_diff(sample)).unwrap()
}

#[test]
fn blocks_of_every_kind() {
    let ramp = |by: i32| move |n: i32| (n * by - 16_000) as i16;
    for n in [1, 2, 3, 4, 5, 15, 16, 17, 160, 161, 320, 1024, 4607, FLAC_BLOCK_SAMPLES as i32] {
        let all = |sample: &dyn Fn(i32) -> i16| (0..n).map(sample).collect::<Vec<_>>();
        let constant = assert_comes_back(&all(&|_| -8), 7);
        assert!(constant <= 16, "{constant}");
        assert_comes_back(&all(&|_| 0), 0);
        assert_comes_back(&all(&|n| if n % 2 == 0 { i16::MIN } else { i16::MAX }), 1);
        assert_comes_back(&all(&ramp(1)), 2);
        assert_comes_back(&all(&ramp(7)), 3);
        assert_comes_back(&all(&|n| (n * n % 32_768) as i16), 4);
        assert_comes_back(&all(&|n| i16::MIN >> (n % 16)), 5);
        assert_comes_back(&all(&|n| if n == 0 { i16::MIN } else { 0 }), 6);
    }
    // Nothing is appended for nothing, and no more than a block.
    let mut out = BytesMut::new();
    encode(&[], 0, &mut out);
    assert_eq!(out, Bytes::new());
    encode(&[5; FLAC_BLOCK_SAMPLES + 1], 0, &mut out);
    assert_eq!(decoded(&out).1.len(), FLAC_BLOCK_SAMPLES);
}

#[test]
fn numbers_of_every_length() {
    for bits in 0..36 {
        for number in [(1u64 << bits) - 1, 1 << bits] {
            assert_comes_back(&[1, 2, 4], number);
        }
    }
    let mut out = BytesMut::new();
    encode(&[1], 1 << 36 | 5, &mut out);
    assert_eq!(decoded(&out).0, 5, "it wraps");
}

#[test]
fn speech_takes_far_less_than_its_samples() {
    for is_ulaw in [false, true] {
        let samples = speech(80_000, is_ulaw);
        for (block, most) in [(160, 60), (320, 58), (1024, 56)] {
            let bytes: usize = samples.chunks(block).map(|chunk| assert_comes_back(chunk, 0)).sum();
            let percent = bytes * 100 / (samples.len() * 2);
            println!("µ-law {is_ulaw}, blocks of {block}: {percent} % of 16 bits");
            assert!(percent <= most, "{percent} %");
        }
    }
}

#[test]
fn another_decoder_hears_the_same() {
    let mut samples = speech(20_000, false);
    samples.extend(speech(20_000, true));
    samples.extend((0..5000i32).map(|n| (n * 7919 % 65_536 - 32_768) as i16));
    samples.extend([0; 2000]);
    let (mut file, mut at) = (BytesMut::from(&header()[..]), 0);
    for block in [160, 161, 16, 4608, 320, 1000].into_iter().cycle() {
        let end = samples.len().min(at + block);
        encode(&samples[at..end], at as u64, &mut file);
        at = end;
        if at == samples.len() {
            break;
        }
    }
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-err_detect", "crccheck+bitstream+explode"])
        .args(["-f", "flac", "-i", "-", "-f", "s16le", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg; `make test` installs what the tests use");
    let mut input = child.stdin.take().expect("a pipe was asked for");
    let writer = std::thread::spawn(move || input.write_all(&file));
    let said = child.wait_with_output().expect("a decoder that ends");
    writer.join().expect("a writer").expect("a decoder that reads");
    assert!(said.status.success());
    assert!(said.stdout == samples.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<_>>());
}

#[test]
fn headers() {
    let own = header();
    let said = Ok(StreamInfo { sample_rate: 8000, channels: 1, bits: 16 });
    assert_eq!(StreamInfo::parse(&own), said);
    assert_eq!(StreamInfo::parse(&own[8..]), said, "a STREAMINFO alone");
    assert_eq!(blocks(&own).unwrap(), own[4..]);
    assert_eq!(with_marker(&blocks(&own[8..]).unwrap()), own);
    // ffmpeg's, of 48 kHz in stereo with 24 bits, and with a comment behind it.
    let mut other = b"fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0b\xb8\x03\x70\0\0\0\0".to_vec();
    other.resize(8 + 34, 0xab);
    other.extend(b"\x84\0\0\x02xx");
    let said = StreamInfo { sample_rate: 48_000, channels: 2, bits: 24 };
    assert_eq!(StreamInfo::parse(&other), Ok(said));
    assert_eq!(blocks(&other).unwrap()[..4], *b"\x80\0\0\x22");
    assert_eq!(blocks(&other).unwrap()[4..], other[8..42]);

    for (at, byte, what) in [
        (0, b'F', "FLAC marker"),
        (4, 4, "FLAC metadata block before STREAMINFO"),
        (7, 33, "length of FLAC STREAMINFO"),
    ] {
        let mut wrong = own.to_vec();
        wrong[at] = byte;
        let said = StreamInfo::parse(&wrong);
        assert!(matches!(said, Err(Malformed::Field { what: said, .. }) if said == what), "{said:?}");
        assert!(blocks(&wrong).is_err());
    }
    let no_rate = [&own[..18], &[0, 0, 0, 0xf0], &own[22..]].concat();
    assert!(StreamInfo::parse(&no_rate).is_err());
    (0..own.len()).for_each(|len| assert!(StreamInfo::parse(&own[..len]).is_err() || len == 34, "{len}"));
}

#[test]
fn block_sizes() {
    // ffmpeg's frames, of a common size and of others.
    for (frame, samples) in [
        (&b"\xff\xf8\xaa\x08\0\xed"[..], 1024),
        (b"\xff\xf8\xca\x08\x05", 4096),
        (b"\xff\xf8\x1a\x08\x05", 192),
        (b"\xff\xf8\x5a\x08\x05", 4608),
        (b"\xff\xf9\x6a\x08\xc2\x80\x9f", 160),
        (b"\xff\xf9\x7a\x08\xfe\x80\x80\x80\x80\x80\x80\xff\xff", 65_536),
    ] {
        assert_eq!(block_samples(frame), Ok(samples));
    }
    for wrong in
        [&b""[..], b"\xff\xf8", b"\xff\xf0\xaa\x08\0", b"\xff\xf8\x0a\x08\0", b"\xff\xf9\x7a\x08\xfe\x80"]
    {
        assert!(block_samples(wrong).is_err(), "{wrong:x?}");
    }
}

proptest! {
    #[test]
    fn any_samples_come_back(
        samples in prop::collection::vec(any::<i16>(), 1..400),
        shift in 0u32..16,
        walk: bool,
        first in 0u64..1 << 36,
    ) {
        let mut last = 0i16;
        let samples: Vec<i16> = samples.iter().map(|sample| {
            last = if walk { last.wrapping_add(sample >> shift) } else { sample >> shift << (shift / 3) };
            last
        }).collect();
        assert_comes_back(&samples, first);
    }

    #[test]
    fn any_bytes_are_a_header_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = (StreamInfo::parse(&bytes), blocks(&bytes), block_samples(&bytes));
        let _ = StreamInfo::parse(&with_marker(&bytes));
    }
}
