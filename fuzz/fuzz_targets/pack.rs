//! What an encoder may hand over: the first two bytes of the input choose the codec and how it is framed, then come
//! writes. Each goes to two packers, to one as a whole and to the other cut in pieces that are lent, and both have to
//! make the same of it.

#![no_main]

use bytes::Bytes;
use camrill::codec::avcc::length_prefixed_nals;
use camrill::media::{Codec, Frame, Input, Kind, Packer, Role, Setup, Write};
use camrill::wire::{Malformed, Reader};
use libfuzzer_sys::fuzz_target;

const VIDEO: [Codec; 4] = [Codec::H264, Codec::H265, Codec::Av1, Codec::Mjpeg];
const AUDIO: [Codec; 5] = [Codec::Aac, Codec::Mp3, Codec::Opus, Codec::G711A, Codec::G711U];

fuzz_target!(|data: &[u8]| {
    let _ = run(Reader::new(data));
});

fn run(mut r: Reader<'_>) -> Result<(), Malformed> {
    let (codec, how) = (usize::from(r.u8()?), r.u8()?);
    let is_video = codec & 1 == 0;
    let codec = if is_video { VIDEO[codec / 2 % 4] } else { AUDIO[codec / 2 % 5] };
    let len = usize::from(r.u8()?).min(r.remaining());
    let config = r.take(if how & 2 != 0 { len } else { 0 })?;
    let setup = Setup {
        video: is_video.then_some(codec),
        audio: (!is_video).then_some(codec),
        length_prefixed: how & 1 != 0,
        rate: if how & 4 != 0 { 8000 } else { 0 },
        channels: u32::from(how >> 6),
        video_config: if is_video { config } else { &[] },
        audio_config: if is_video { &[] } else { config },
    };
    let (Ok(mut whole), Ok(mut cut)) = (Packer::new(&setup), Packer::new(&setup)) else { return Ok(()) };
    let (mut pts, mut last) = (0i64, i64::MIN);
    while !r.is_empty() {
        let flags = r.u8()?;
        let step = i64::from(r.u16()?.cast_signed()) * 1000;
        pts = pts.saturating_add(if flags & 1 != 0 { step << 30 } else { step });
        let dts = if flags & 2 != 0 { Some(pts.saturating_sub(i64::from(r.u8()?) * 1000)) } else { None };
        let write = Write {
            codec,
            pts,
            dts,
            partial: flags & 4 != 0,
            last: flags & 8 != 0,
            is_key: flags & 16 != 0,
            discontinuity: flags & 32 != 0,
        };
        let (piece, len) = (usize::from(r.u8()?) + 1, usize::from(r.u16()?).min(r.remaining()));
        let data = r.take(len)?;
        let pieces: Vec<Bytes> = data.chunks(piece).map(Bytes::copy_from_slice).collect();
        let packed = whole.pack(&write, Input::Copied(&[data]));
        assert_eq!(packed, cut.pack(&write, Input::Lent(&pieces)));
        if flags & 64 != 0 {
            whole.lost_headers();
            cut.lost_headers();
        }
        packed.iter().flatten().for_each(|frame| check(frame, &mut last));
    }
    let rest = whole.flush();
    rest.iter().for_each(|frame| check(frame, &mut last));
    assert_eq!(rest, cut.flush());
    Ok(())
}

fn check(frame: &Frame, last: &mut i64) {
    assert!(frame.dts <= frame.pts && frame.dts >= *last);
    *last = frame.dts;
    if frame.kind != Kind::Video || frame.role == Role::Header {
        return;
    }
    let payload = frame.payload.bytes();
    if matches!(frame.codec, Codec::H264 | Codec::H265) {
        let nals: Vec<_> = length_prefixed_nals(&payload, 4).map(|nal| nal.expect("a NAL unit")).collect();
        assert!(!nals.is_empty());
        // Neither parameter sets nor delimiters.
        let dropped = |nal: &[u8]| match frame.codec {
            Codec::H264 => matches!(nal[0] & 0x1f, 7..=9),
            _ => matches!(nal[0] >> 1 & 0x3f, 32..=35),
        };
        assert!(!nals.into_iter().any(dropped));
    }
}
