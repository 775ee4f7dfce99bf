//! What our own muxer writes comes back; and streams as others write them, put together by hand.

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::psi::CRC;
use super::super::{Muxer, OFFSET_US, Options};
use super::*;
use crate::codec::{avcc, h265};
use crate::media::{Chain, Codec, Kind, Role};

const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
const VPS_265: &[u8] = &[
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
    0x00, 0x03, 0x00, 0x3c, 0x95, 0x98, 0x09,
];
const SPS_265: &[u8] = &[
    0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
    0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0x00,
    0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
];
const PPS_265: &[u8] = &[0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];
const ASC: &[u8] = &[0x12, 0x10];

fn frame(kind: Kind, codec: Codec, role: Role, ms: i64, payload: impl Into<Chain>) -> Frame {
    let dts = ms * 1000;
    Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay: bytes::Bytes::new() }
}

fn avc_header() -> Frame {
    frame(Kind::Video, Codec::H264, Role::Header, 0, avcc::build(&[SPS], &[PPS]).unwrap())
}

fn hevc_header() -> Frame {
    let record = h265::build(&[VPS_265], &[SPS_265], &[PPS_265]).unwrap();
    frame(Kind::Video, Codec::H265, Role::Header, 0, record)
}

fn aac_header() -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Header, 0, ASC)
}

fn prefixed(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

/// A picture of H.264 whose NAL unit ends in `fill`.
fn picture(role: Role, ms: i64, len: usize, fill: u8) -> Frame {
    let nal = [&[if role == Role::Key { 0x65 } else { 0x41 }][..], &vec![fill | 0x10; len]].concat();
    frame(Kind::Video, Codec::H264, role, ms, prefixed(&[&nal]))
}

fn sound(ms: i64, len: usize) -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Key, ms, vec![0x21; len])
}

fn mp3(ms: i64) -> Frame {
    let mut payload = vec![0x55; 417];
    payload[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    frame(Kind::Audio, Codec::Mp3, Role::Key, ms, payload)
}

fn muxed(frames: &[Frame], hold_us: i64) -> BytesMut {
    let mut muxer = Muxer::new(Options { audio_hold_us: hold_us });
    let mut out = BytesMut::new();
    for header in frames.iter().filter(|f| f.role == Role::Header) {
        muxer.write(header, &mut BytesMut::new()).unwrap();
    }
    for frame in frames {
        muxer.write(frame, &mut out).unwrap();
    }
    muxer.flush(&mut out);
    out
}

/// Two GOPs of five pictures with sound between them.
fn live() -> Vec<Frame> {
    let mut frames = vec![avc_header(), aac_header()];
    for n in 0..10 {
        let role = if n % 5 == 0 { Role::Key } else { Role::Delta };
        let mut picture = picture(role, n * 40, 400, n as u8);
        picture.pts += [80_000, 0, 40_000][(n % 3) as usize];
        frames.extend([picture, sound(n * 40, 150)]);
    }
    frames
}

fn taken(demuxer: &mut Demuxer, mut input: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = demuxer.handle_input(&mut input).unwrap() {
        frames.push(frame);
    }
    assert!(input.is_empty());
    frames
}

fn demuxed(bytes: &[u8]) -> Vec<Frame> {
    let mut demuxer = Demuxer::new();
    let mut frames = taken(&mut demuxer, bytes);
    demuxer.flush();
    frames.extend(taken(&mut demuxer, &[]));
    frames
}

/// What a stream of these frames is, in another order of the tracks: a header has the time of what follows.
fn expected(frames: &[Frame], kind: Kind) -> Vec<Frame> {
    let mut out: Vec<Frame> = frames.iter().filter(|f| f.kind == kind).cloned().collect();
    for at in (0..out.len()).rev() {
        match out[at].role {
            Role::Header => (out[at].dts, out[at].pts) = (out[at + 1].dts, out[at + 1].dts),
            _ => {
                out[at].dts += OFFSET_US;
                out[at].pts += OFFSET_US;
            }
        }
    }
    out
}

fn of(frames: &[Frame], kind: Kind) -> Vec<Frame> {
    frames.iter().filter(|f| f.kind == kind).cloned().collect()
}

fn dts_ms(frames: &[Frame], kind: Kind) -> Vec<i64> {
    let pictures = frames.iter().filter(|f| f.kind == kind && f.role != Role::Header);
    pictures.map(|f| (f.dts - OFFSET_US) / 1000).collect()
}

// Packets by hand.

fn packet(pid: u16, start: bool, counter: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= 184);
    let mut out = vec![0x47, u8::from(start) << 6 | (pid >> 8) as u8, pid as u8, 0x10 | counter & 15];
    let stuffing = 184 - payload.len();
    if stuffing > 0 {
        out[3] |= 0x20;
        out.push((stuffing - 1) as u8);
        if stuffing > 1 {
            out.push(0);
            out.resize(out.len() + stuffing - 2, 0xff);
        }
    }
    out.extend_from_slice(payload);
    out
}

fn section(table: u8, id: u16, version: u8, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u16 + 9;
    let mut out = vec![table, 0xb0 | (len >> 8) as u8, len as u8, (id >> 8) as u8, id as u8];
    out.extend_from_slice(&[0xc1 | version << 1, 0, 0]);
    out.extend_from_slice(body);
    let crc = CRC.checksum(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

fn pat(programs: &[(u16, u16)]) -> Vec<u8> {
    let body: Vec<u8> = programs
        .iter()
        .flat_map(|(n, pid)| [n.to_be_bytes(), (0xe000 | pid).to_be_bytes()].concat())
        .collect();
    section(0, 1, 0, &body)
}

fn pmt(version: u8, streams: &[(u8, u16)]) -> Vec<u8> {
    // A descriptor of the program, and one of each stream.
    let mut body = vec![0xe1, 0x00, 0xf0, 3, 9, 1, 0];
    for (stream_type, pid) in streams {
        body.extend_from_slice(&[*stream_type, 0xe0 | (pid >> 8) as u8, *pid as u8, 0xf0, 2, 0x52, 0]);
    }
    section(2, 1, version, &body)
}

/// A section in packets, from its first byte on or behind the pointer.
fn sections(pid: u16, counter: u8, section: &[u8]) -> Vec<u8> {
    let mut payload = [&[0], section].concat();
    payload.resize(payload.len().next_multiple_of(184), 0xff);
    let pieces = payload.chunks(184).zip(0..);
    pieces.flat_map(|(piece, n)| packet(pid, n == 0, counter + n, piece)).collect()
}

/// A PES packet of the time `pts` in 90 kHz, `None` for none. Unbounded where told.
fn pes(pts: Option<u64>, bounded: bool, data: &[u8]) -> Vec<u8> {
    let stamp = pts.map(|pts| {
        let bits = 2u64 << 36
            | (pts >> 30 & 7) << 33
            | 1 << 32
            | (pts >> 15 & 0x7fff) << 17
            | 1 << 16
            | (pts & 0x7fff) << 1
            | 1;
        bits.to_be_bytes()[3..].to_vec()
    });
    let stamp = stamp.unwrap_or_default();
    let len = if bounded { (3 + stamp.len() + data.len()) as u16 } else { 0 };
    let flags = if stamp.is_empty() { 0 } else { 0x80 };
    let head = [0, 0, 1, 0xe0, (len >> 8) as u8, len as u8, 0x80, flags, stamp.len() as u8];
    [&head, &stamp[..], data].concat()
}

/// A PES packet over packets.
fn packets(pid: u16, counter: &mut u8, pes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (n, piece) in pes.chunks(184).enumerate() {
        out.extend(packet(pid, n == 0, *counter, piece));
        *counter = (*counter + 1) & 15;
    }
    out
}

fn tables(streams: &[(u8, u16)]) -> Vec<u8> {
    [sections(0, 0, &pat(&[(1, 0x1000)])), sections(0x1000, 0, &pmt(0, streams))].concat()
}

fn annexb(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 1], *nal].concat()).collect()
}

fn adts(payload: &[u8]) -> Vec<u8> {
    let len = payload.len() + 7;
    let head = [0xff, 0xf1, 0x50, 0x80 | (len >> 11) as u8, (len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc];
    [&head, payload].concat()
}

#[test]
fn a_stream_comes_back() {
    let frames = live();
    let back = demuxed(&muxed(&frames, 0));
    for kind in [Kind::Video, Kind::Audio] {
        assert_eq!(of(&back, kind), expected(&frames, kind));
    }
}

#[test]
fn h265_and_mp3_come_back() {
    let mut frames = vec![hevc_header()];
    for n in 0..6 {
        let (role, nal) =
            if n % 3 == 0 { (Role::Key, &[0x26, 1, 9][..]) } else { (Role::Delta, &[2, 1, 8][..]) };
        frames.push(frame(Kind::Video, Codec::H265, role, n * 40, prefixed(&[&[0x4e, 1, 5], nal])));
        frames.push(mp3(n * 40));
    }
    let back = demuxed(&muxed(&frames, 0));
    for kind in [Kind::Video, Kind::Audio] {
        assert_eq!(of(&back, kind), expected(&frames, kind));
    }
}

#[test]
fn frames_come_as_soon_as_they_are_whole() {
    let frames = [avc_header(), picture(Role::Key, 0, 60_000, 1), picture(Role::Delta, 40, 70_000, 2)];
    let bytes = muxed(&frames, 0);
    let mut demuxer = Demuxer::new();
    // The second is too long to tell its length.
    assert_eq!(taken(&mut demuxer, &bytes).len(), 2);
    demuxer.flush();
    assert_eq!(taken(&mut demuxer, &[]), expected(&frames, Kind::Video)[2..]);
}

#[test]
fn new_parameter_sets_are_a_new_header() {
    let mut sps = SPS.to_vec();
    sps[3] = 0x28;
    let record = avcc::build(&[&sps], &[PPS]).unwrap();
    let mut frames = live();
    frames.push(frame(Kind::Video, Codec::H264, Role::Header, 0, record));
    frames.push(picture(Role::Key, 400, 9, 1));
    frames.push(frame(Kind::Video, Codec::H264, Role::Delta, 440, prefixed(&[&[0x41, 1]])));
    let mut muxer = Muxer::new(Options::default());
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| muxer.write(frame, &mut out).unwrap());
    assert_eq!(of(&demuxed(&out), Kind::Video), expected(&frames, Kind::Video));
}

#[test]
fn times_go_on_over_the_wrap() {
    let wrap_ms = (1i64 << 33) / 90;
    let mut frames = live();
    frames.iter_mut().for_each(|f| {
        f.dts += (wrap_ms - 1000) / 100 * 100_000;
        f.pts += (wrap_ms - 1000) / 100 * 100_000;
    });
    let back = demuxed(&muxed(&frames, 0));
    for kind in [Kind::Video, Kind::Audio] {
        assert_eq!(of(&back, kind), expected(&frames, kind));
    }
}

#[test]
fn what_a_lost_packet_breaks_is_dropped_up_to_the_next_keyframe() {
    let bytes = muxed(&live(), 0);
    let packets: Vec<&[u8]> = bytes.chunks(PACKET_BYTES).collect();
    // The second packet of the third picture.
    let video: Vec<usize> =
        (0..packets.len()).filter(|n| packets[*n][1] & 0x1f == 1 && packets[*n][2] == 0).collect();
    let starts: Vec<usize> = video.iter().copied().filter(|n| packets[*n][1] & 0x40 != 0).collect();
    let lost = starts[2] + 1;
    for remove in [vec![lost], vec![lost, lost + 1], vec![starts[2]]] {
        let left: Vec<u8> = packets
            .iter()
            .enumerate()
            .filter(|(n, _)| !remove.contains(n))
            .flat_map(|(_, p)| p.to_vec())
            .collect();
        let back = demuxed(&left);
        assert_eq!(dts_ms(&back, Kind::Video), [0, 40, 200, 240, 280, 320, 360], "{remove:?}");
        assert_eq!(dts_ms(&back, Kind::Audio).len(), 10);
    }
    // A packet with an error, or an encrypted one, is one that is missing.
    for (at, bit) in [(1, 0x80), (3, 0x80)] {
        let mut broken = bytes.to_vec();
        broken[lost * PACKET_BYTES + at] |= bit;
        assert_eq!(dts_ms(&demuxed(&broken), Kind::Video), [0, 40, 200, 240, 280, 320, 360]);
    }
    // Sixteen of them are told by no counter, but by the length.
    let long = [
        avc_header(),
        picture(Role::Key, 0, 5000, 1),
        picture(Role::Delta, 40, 99, 1),
        picture(Role::Key, 80, 9, 1),
    ];
    let mut bytes = muxed(&long, 0).to_vec();
    bytes.drain(5 * PACKET_BYTES..21 * PACKET_BYTES);
    assert_eq!(dts_ms(&demuxed(&bytes), Kind::Video), [80]);
}

#[test]
fn packets_sent_twice_count_once() {
    let bytes = muxed(&live(), 0);
    let twice: Vec<u8> = bytes.chunks(PACKET_BYTES).flat_map(|p| [p, p].concat()).collect();
    assert_eq!(demuxed(&twice), demuxed(&bytes));
    let thrice: Vec<u8> = bytes.chunks(PACKET_BYTES).flat_map(|p| [p, p, p].concat()).collect();
    assert_ne!(demuxed(&thrice), demuxed(&bytes));
}

#[test]
fn an_announced_discontinuity_loses_nothing() {
    let (first, second) = (live(), live());
    let mut muxer = Muxer::new(Options::default());
    let mut out = BytesMut::new();
    first.iter().for_each(|f| muxer.write(f, &mut out).unwrap());
    let mut other = Muxer::new(Options::default());
    other.discontinuity();
    let mut head = BytesMut::new();
    second.iter().for_each(|f| other.write(f, &mut head).unwrap());
    // Of the counters of each PID, the second half goes on anywhere.
    let back = demuxed(&[&out[..], &head[..]].concat());
    let both = [first, second[2..].to_vec()].concat();
    assert_eq!(of(&back, Kind::Video), expected(&both, Kind::Video));
    assert_eq!(of(&back, Kind::Audio), expected(&both, Kind::Audio));
}

#[test]
fn segments_may_each_count_anew() {
    let mut demuxer = Demuxer::new();
    let mut back = Vec::new();
    for n in 0..3 {
        let mut frames = live();
        frames.iter_mut().for_each(|f| (f.dts, f.pts) = (f.dts + n * 400_000, f.pts + n * 400_000));
        // Cut off in a packet, too.
        back.extend(taken(&mut demuxer, &[&muxed(&frames, 0)[..], &[0x47; 5]].concat()));
        demuxer.flush();
        back.extend(taken(&mut demuxer, &[]));
    }
    let times: Vec<i64> = (0..30).map(|n| n * 40).collect();
    assert_eq!(dts_ms(&back, Kind::Video), times);
    assert_eq!(dts_ms(&back, Kind::Audio), times);
    assert_eq!(back.iter().filter(|f| f.role == Role::Header).count(), 2);
}

#[test]
fn packets_are_found_among_other_bytes() {
    let bytes = muxed(&live(), 0);
    let whole = demuxed(&bytes);
    for (before, after) in [(4, 0), (0, 16), (0, 4)] {
        let spaced: Vec<u8> = bytes
            .chunks(PACKET_BYTES)
            .flat_map(|p| [&vec![1; before], p, &vec![2; after]].concat())
            .collect();
        assert_eq!(demuxed(&spaced), whole, "{before} and {after}");
    }
    assert_eq!(demuxed(&[&[0x48, 0, 0x47][..], &bytes].concat()), whole);
    let junk: Vec<u8> = (0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x3f).collect();
    assert_eq!(demuxed(&[&junk[..], &bytes].concat()), whole);
    // In the middle they cost what they break.
    let at = 20 * PACKET_BYTES;
    let back = demuxed(&[&bytes[..at], &junk[..], &bytes[at..]].concat());
    assert_eq!(of(&back, Kind::Audio), of(&whole, Kind::Audio));
}

#[test]
fn what_is_no_transport_stream_is_told() {
    let page = b"<html><body>404 Not Found</body></html>".repeat(2000);
    let mut demuxer = Demuxer::new();
    let mut input = &page[..];
    assert_eq!(demuxer.handle_input(&mut input), Err(NoSync));
    assert!(page.len() - input.len() <= limits::TS_SYNC_BYTES + SEARCH_BYTES);
    assert_eq!(demuxer.handle_input(&mut &muxed(&live(), 0)[..]), Err(NoSync));
}

#[test]
fn the_first_program_with_media_is_taken() {
    let mut counter = 0;
    let unit = pes(Some(90_000), true, &annexb(&[SPS, PPS, &[0x65, 1]]));
    let stream = [
        // Programs over two packets: a table longer than one.
        sections(0, 0, &pat(&(0..60).map(|n| (n, 0x100 + n)).collect::<Vec<_>>())),
        sections(0x101, 0, &pmt(0, &[(0x06, 0x50)])),
        sections(0x102, 0, &pmt(0, &[(0x11, 0x51), (0x1b, 0x52), (0x1b, 0x53)])),
        sections(0x103, 0, &pmt(0, &[(0x1b, 0x54)])),
        packets(0x54, &mut 0, &unit),
        packets(0x53, &mut 0, &unit),
        packets(0x52, &mut counter, &unit),
    ]
    .concat();
    let mut demuxer = Demuxer::new();
    let frames = taken(&mut demuxer, &stream);
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[1].role, frames[1].dts), (Role::Key, 1_000_000));
    assert_eq!(demuxer.refused(), None);

    // The stream moves to another PID, and then the program to another map.
    let moved = [
        sections(0x102, 1, &pmt(1, &[(0x1b, 0x60)])),
        packets(0x52, &mut counter, &unit),
        packets(0x60, &mut 5, &unit),
        sections(0, 2, &pat(&[(1, 0x103)])),
        sections(0x103, 1, &pmt(0, &[(0x1b, 0x54)])),
        packets(0x60, &mut 6, &unit),
        packets(0x54, &mut 9, &unit),
    ]
    .concat();
    assert_eq!(taken(&mut demuxer, &moved).len(), 4);
}

#[test]
fn tables_that_are_broken_or_not_in_force_change_nothing() {
    let mut next = section(2, 1, 1, &[0xe1, 0, 0xf0, 0]);
    next[5] &= 0xfe;
    let len = next.len();
    let crc = CRC.checksum(&next[..len - 4]).to_be_bytes();
    next[len - 4..].copy_from_slice(&crc);
    let mut broken = pmt(1, &[]);
    broken[8] ^= 1;
    let unit = pes(Some(0), true, &adts(b"abc"));
    let stream = [
        tables(&[(0x0f, 0x101)]),
        sections(0x1000, 1, &next),
        sections(0x1000, 2, &broken),
        // One in which the other begins in the middle of a packet.
        packet(0x1000, true, 3, &[&[3, 0xff, 0xff, 0xff][..], &pmt(0, &[(0x0f, 0x101)])].concat()),
        packets(0x101, &mut 0, &unit),
    ]
    .concat();
    assert_eq!(demuxed(&stream).len(), 2);
}

#[test]
fn what_is_not_taken_is_told() {
    let mut demuxer = Demuxer::new();
    assert!(taken(&mut demuxer, &tables(&[(0x11, 0x101), (0x81, 0x102)])).is_empty());
    assert_eq!(demuxer.refused(), Some(0x11));
    taken(&mut demuxer, &sections(0x1000, 1, &pmt(1, &[(0x11, 0x101), (0x0f, 0x102)])));
    assert_eq!(demuxer.refused(), None);
}

#[test]
fn audio_frames_lie_across_packets_as_they_like() {
    let frames: Vec<Vec<u8>> = (0..9u8).map(|n| adts(&vec![n; 100 + usize::from(n)])).collect();
    let data = frames.concat();
    let mut counter = 0;
    let mut stream = tables(&[(0x0f, 0x101)]);
    let (first, second) = data.split_at(250);
    // The first that begins in the second is the fourth: 345 bytes from the start.
    stream.extend(packets(0x101, &mut counter, &pes(Some(90_000), true, first)));
    stream.extend(packets(0x101, &mut counter, &pes(Some(180_000), true, second)));
    let back = demuxed(&stream);
    assert_eq!(back[0].payload, ASC);
    let frame_us = |n: i64| n * 1024 * 1_000_000 / 44_100;
    let starts: Vec<usize> =
        frames.iter().scan(0, |at, f| Some(std::mem::replace(at, *at + f.len()))).collect();
    let before = starts.iter().filter(|at| **at < 250).count() as i64;
    assert_eq!(before, 3);
    for (n, frame) in (0..9).zip(&back[1..]) {
        let time = if n < before { 1_000_000 + frame_us(n) } else { 2_000_000 + frame_us(n - before) };
        assert_eq!((frame.pts, frame.payload.len()), (time, 100 + n as usize));
    }
    assert_eq!(back.len(), 10);
}

#[test]
fn audio_is_found_again_behind_other_bytes() {
    let mp3 = mp3(0).payload;
    for (stream_type, data, len) in [
        (0x0f, [&b"\xff\x00junk\xff"[..], &adts(b"abc"), b"\xff\xff", &adts(b"def")].concat(), 3),
        (0x03, [&b"ID3\xff"[..], &mp3, b"\0", &mp3].concat(), 417),
    ] {
        let stream =
            [tables(&[(stream_type, 0x101)]), packets(0x101, &mut 0, &pes(Some(9), true, &data))].concat();
        let back: Vec<Frame> = demuxed(&stream).into_iter().filter(|f| f.role == Role::Key).collect();
        assert_eq!(back.iter().map(|f| f.payload.len()).collect::<Vec<_>>(), [len, len]);
        assert_eq!(back[0].pts, 100);
        let samples = if len == 3 { 1024 } else { 1152 };
        assert_eq!(back[1].pts, 100 + samples * 1_000_000 / 44_100);
    }
    // Layer II has another decoder.
    let layer2 = [&[0xff, 0xfd, 0xa4, 0x00][..], &[1; 572]].concat();
    let stream = [tables(&[(0x03, 0x101)]), packets(0x101, &mut 0, &pes(Some(9), true, &layer2))].concat();
    assert!(demuxed(&stream).is_empty());
}

#[test]
fn decoding_begins_at_a_recovery_point_too() {
    let unit = |pts: u64, nals: &[&[u8]]| pes(Some(pts), false, &annexb(nals));
    let mut counter = 0;
    let mut stream = tables(&[(0x1b, 0x101)]);
    let user_data: &[u8] = &[6, 5, 2, 1, 1, 0x80];
    let recovery: &[u8] = &[6, 4, 1, 0, 6, 1, 0xc4, 0x80];
    for (pts, nals) in [
        (900, &[SPS, PPS, user_data, &[0x41, 1]][..]),
        (1800, &[SPS, PPS, recovery, &[0x41, 2]]),
        (2700, &[recovery, &[0x41, 3]]),
    ] {
        stream.extend(packets(0x101, &mut counter, &unit(pts, nals)));
    }
    let back = demuxed(&stream);
    assert_eq!(back.iter().map(|f| f.role).collect::<Vec<_>>(), [Role::Header, Role::Key, Role::Delta]);
    assert_eq!(back[1].payload, prefixed(&[recovery, &[0x41, 2]]));
}

#[test]
fn pictures_without_times_follow_those_before() {
    let mut counter = 0;
    let mut stream = tables(&[(0x1b, 0x101)]);
    let delta = annexb(&[&[0x41, 1]]);
    for unit in [
        pes(None, true, &annexb(&[SPS, PPS, &[0x65, 1]])),
        pes(Some(9000), true, &annexb(&[SPS, PPS, &[0x65, 1]])),
        pes(Some(12_600), true, &delta),
        pes(None, true, &delta),
        pes(None, true, &delta),
    ] {
        stream.extend(packets(0x101, &mut counter, &unit));
    }
    let dts: Vec<i64> = demuxed(&stream).iter().map(|f| f.dts).collect();
    assert_eq!(dts, [100_000, 100_000, 140_000, 180_000, 220_000]);
}

#[test]
fn what_is_encrypted_or_too_long_is_passed_over() {
    let mut scrambled = pes(Some(9), true, &annexb(&[SPS, PPS, &[0x65, 1]]));
    scrambled[6] |= 0x10;
    let stream = [tables(&[(0x1b, 0x101)]), packets(0x101, &mut 0, &scrambled)].concat();
    assert!(demuxed(&stream).is_empty());

    let mut long = annexb(&[SPS, PPS, &[0x65]]);
    long.resize(limits::TS_VIDEO_PES_BYTES, 0x11);
    let mut counter = 0;
    let mut stream = tables(&[(0x1b, 0x101)]);
    stream.extend(packets(0x101, &mut counter, &pes(Some(9), false, &long)));
    stream.extend(packets(0x101, &mut counter, &pes(Some(18), false, &annexb(&[&[0x41, 1]]))));
    stream.extend(packets(0x101, &mut counter, &pes(Some(27), false, &annexb(&[SPS, PPS, &[0x65, 1]]))));
    let back = demuxed(&stream);
    assert_eq!(back.iter().map(|f| f.dts).collect::<Vec<_>>(), [300, 300]);
}

proptest! {
    #[test]
    fn any_frames_come_back_however_they_are_cut(
        pictures in prop::collection::vec((any::<bool>(), 0i64..50, 0i64..3, 1usize..2000, any::<u8>()), 1..12),
        sounds in prop::collection::vec(1usize..600, 0..12),
        cuts in prop::collection::vec(1usize..700, 1..10),
        start_ms in 0i64..200_000_000,
    ) {
        let mut frames = vec![avc_header()];
        let mut ms = start_ms;
        for (n, (key, step, shown, len, fill)) in pictures.into_iter().enumerate() {
            ms += step;
            let role = if key || n == 0 { Role::Key } else { Role::Delta };
            let mut picture = picture(role, ms, len, fill);
            picture.pts += shown * 20_000;
            frames.push(picture);
        }
        if !sounds.is_empty() {
            frames.push(aac_header());
        }
        frames.extend(sounds.into_iter().zip(0..).map(|(len, n)| sound(start_ms + n * 30, len)));
        frames[1..].sort_by_key(|f| if f.role == Role::Header { 0 } else { f.dts });
        let bytes = muxed(&frames, 0);
        let whole = demuxed(&bytes);
        for kind in [Kind::Video, Kind::Audio] {
            let expected = expected(&frames, kind);
            let times = |frames: &[Frame]| frames.iter().map(|f| f.dts).collect::<Vec<_>>();
            let back = of(&whole, kind);
            prop_assert_eq!(times(&back).len(), times(&expected).len());
            let first = back.first().map_or(0, |f| f.dts) - expected.first().map_or(0, |f| f.dts);
            let wrap_us = (1i64 << 33) * 100 / 9;
            prop_assert!(first.rem_euclid(wrap_us).min((-first).rem_euclid(wrap_us)) <= 100);
            for (mine, theirs) in back.iter().zip(&expected) {
                prop_assert!((mine.dts - theirs.dts - first).abs() <= 1);
                prop_assert!((mine.pts - theirs.pts - first).abs() <= 1);
                prop_assert_eq!((mine.role, &mine.payload), (theirs.role, &theirs.payload));
            }
        }

        let mut demuxer = Demuxer::new();
        let (mut cut, mut rest) = (Vec::new(), &bytes[..]);
        for n in cuts.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*n));
            cut.extend(taken(&mut demuxer, piece));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        demuxer.flush();
        cut.extend(taken(&mut demuxer, &[]));
        prop_assert_eq!(cut, whole);
    }

    #[test]
    fn held_audio_keeps_its_times(hold_ms in 0i64..500, count in 1i64..60) {
        let mut frames = vec![aac_header()];
        let at = |n: i64| n * 1024 * 1_000_000 / 44_100;
        frames.extend((0..count).map(|n| Frame { dts: at(n), pts: at(n), ..sound(0, 90) }));
        let back = demuxed(&muxed(&frames, hold_ms * 1000));
        prop_assert_eq!(back.len(), frames.len());
        for (n, frame) in (0..count).zip(&back[1..]) {
            prop_assert!((frame.pts - OFFSET_US - at(n)).abs() <= 12, "{} {}", frame.pts - OFFSET_US, at(n));
        }
    }

    #[test]
    fn broken_streams_give_fewer_frames_and_no_others(
        errors in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = muxed(&live(), 0).to_vec();
        for (at, value) in &errors {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let mut demuxer = Demuxer::new();
        let mut input = &bytes[..];
        while let Ok(Some(frame)) = demuxer.handle_input(&mut input) {
            prop_assert!(!frame.payload.is_empty());
        }
    }

    #[test]
    fn lost_packets_break_nothing_else(lost in prop::collection::vec(any::<prop::sample::Index>(), 1..6)) {
        let bytes = muxed(&live(), 0);
        let mut packets: Vec<&[u8]> = bytes.chunks(PACKET_BYTES).collect();
        for at in &lost {
            packets.remove(at.index(packets.len()));
        }
        let whole = demuxed(&bytes);
        let back = demuxed(&packets.concat());
        let same = |f: &Frame| whole.iter().any(|w| w.role == f.role && w.dts == f.dts && w.payload == f.payload);
        prop_assert!(back.iter().filter(|f| f.role != Role::Header).all(same));
        let mut waiting = false;
        let mut shown = back.iter().filter(|f| f.kind == Kind::Video && f.role != Role::Header).peekable();
        for picture in whole.iter().filter(|f| f.kind == Kind::Video && f.role != Role::Header) {
            match shown.next_if(|f| f.dts == picture.dts) {
                Some(f) => {
                    prop_assert!(!waiting || f.role == Role::Key);
                    waiting = false;
                }
                None => waiting = true,
            }
        }
    }
}
