//! What is written is read again by the crate `mpeg2ts`, which checks the tables' CRC and the stuffing,
//! and by what stands here: continuity, clock references, times and payloads.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader, TsPayload};
use proptest::prelude::*;

use super::*;
use crate::codec::{avcc, h265};
use crate::media::{Chain, Codec, Frame, Headers, Kind, Role};
use crate::wire::Malformed;

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const OFFSET: u64 = 63_000;

/// As x264 writes them.
const SPS: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
/// As x265 writes them.
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
const AUD: &[u8] = &[0x09, 0xf0];
const AUD_265: &[u8] = &[0x46, 0x01, 0x50];
/// AAC LC, 44100 Hz, 2 channels.
const ASC: &[u8] = &[0x12, 0x10];
const AAC_US: i64 = 23_220;

fn frame(kind: Kind, codec: Codec, role: Role, ms: i64, payload: impl Into<Chain>) -> Frame {
    let dts = ms * 1000;
    Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
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

fn prefixed(nals: &[&[u8]]) -> Bytes {
    let mut out = Vec::new();
    for nal in nals {
        out.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        out.extend_from_slice(nal);
    }
    out.into()
}

fn annexb(nals: &[&[u8]]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
}

fn video(role: Role, ms: i64, nals: &[&[u8]]) -> Frame {
    frame(Kind::Video, Codec::H264, role, ms, prefixed(nals))
}

fn audio(ms: i64, payload: &[u8]) -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Key, ms, payload.to_vec())
}

/// A frame of MP3, 44100 Hz, of `len` bytes.
fn mp3(ms: i64, len: usize) -> Frame {
    let mut payload = vec![0x55; len];
    payload[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    frame(Kind::Audio, Codec::Mp3, Role::Key, ms, payload)
}

fn adts(payload: &[u8]) -> Vec<u8> {
    let len = payload.len() + 7;
    let head = [0xff, 0xf1, 0x50, 0x80 | (len >> 11) as u8, (len >> 3) as u8, (len << 5) as u8 | 0x1f, 0xfc];
    [&head, payload].concat()
}

fn both() -> Muxer {
    let mut muxer = Muxer::new(Options::default());
    let headers = Headers { metadata: None, video: Some(avc_header()), audio: Some(aac_header()) };
    muxer.headers(&headers).unwrap();
    muxer
}

fn audio_only(audio_hold_us: i64) -> Muxer {
    let mut muxer = Muxer::new(Options { audio_hold_us });
    muxer.headers(&Headers { audio: Some(aac_header()), ..Headers::default() }).unwrap();
    muxer
}

fn write(muxer: &mut Muxer, frames: &[Frame]) -> BytesMut {
    let mut out = BytesMut::new();
    for frame in frames {
        muxer.write(frame, &mut out).unwrap();
    }
    out
}

/// A PES packet as it was read.
#[derive(Debug, Clone, PartialEq)]
struct Unit {
    pid: u16,
    pts: u64,
    dts: Option<u64>,
    /// PES_packet_length, and what it should be.
    len: (u16, usize),
    data: Vec<u8>,
    random_access: bool,
    discontinuity: bool,
    pcr: Option<u64>,
}

/// A PMT: its version, the PID of the clock, stream types and PIDs.
type Map = (u8, Option<u16>, Vec<(u8, u16)>);

#[derive(Debug, Default)]
struct Read {
    units: Vec<Unit>,
    /// PID and time in 27 MHz of each clock reference, and whether it stands in a packet of its own.
    clocks: Vec<(u16, u64, bool)>,
    discontinuities: Vec<u16>,
    maps: Vec<Map>,
    /// The continuity counter that each PID stands at.
    counters: BTreeMap<u16, u8>,
}

impl Read {
    fn of(bytes: &[u8]) -> Self {
        let mut read = Self::default();
        read.more(bytes);
        read
    }

    /// Reads on, which must begin with tables: the reader of packets is a new one.
    fn more(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len() % PACKET_BYTES, 0);
        let mut reader = TsPacketReader::new(bytes);
        let mut open: BTreeMap<u16, usize> = BTreeMap::new();
        while let Some(packet) = reader.read_ts_packet().unwrap() {
            let pid = packet.header.pid.as_u16();
            let counter = packet.header.continuity_counter.as_u8();
            let last = self.counters.insert(pid, counter).unwrap_or(15);
            let step = u8::from(packet.payload.is_some());
            assert_eq!(counter, (last + step) & 15, "continuity of PID {pid}");

            let field = packet.adaptation_field.as_ref();
            let pcr = field.and_then(|f| f.pcr).map(|pcr| pcr.as_u64());
            let discontinuity = field.is_some_and(|f| f.discontinuity_indicator);
            self.clocks.extend(pcr.map(|pcr| (pid, pcr, packet.payload.is_none())));
            self.discontinuities.extend(discontinuity.then_some(pid));
            match packet.payload {
                Some(TsPayload::PesStart(pes)) => {
                    open.insert(pid, self.units.len());
                    let stamps = if pes.header.dts.is_some() { 10 } else { 5 };
                    self.units.push(Unit {
                        pid,
                        pts: pes.header.pts.unwrap().as_u64(),
                        dts: pes.header.dts.map(|dts| dts.as_u64()),
                        len: (pes.pes_packet_len, 3 + stamps),
                        data: pes.data.to_vec(),
                        random_access: field.is_some_and(|f| f.random_access_indicator),
                        discontinuity,
                        pcr,
                    });
                    assert_eq!(pes.header.stream_id.as_u8(), if pid == VIDEO { 0xe0 } else { 0xc0 });
                    assert!(pes.header.data_alignment_indicator);
                }
                Some(TsPayload::PesContinuation(data)) => {
                    assert_eq!(field.and_then(|f| f.pcr), None);
                    self.units[open[&pid]].data.extend_from_slice(&data);
                }
                Some(TsPayload::Pat(pat)) => {
                    assert_eq!(pat.table.len(), 1);
                    assert_eq!(
                        (pat.table[0].program_num, pat.table[0].program_map_pid.as_u16()),
                        (1, 0x1000)
                    );
                }
                Some(TsPayload::Pmt(pmt)) => self.maps.push((
                    pmt.version_number.as_u8(),
                    pmt.pcr_pid.map(|pid| pid.as_u16()),
                    pmt.es_info.iter().map(|es| (es.stream_type as u8, es.elementary_pid.as_u16())).collect(),
                )),
                None => assert!(pcr.is_some(), "a packet with nothing in it"),
                other => panic!("{other:?}"),
            }
        }
        for unit in &mut self.units {
            unit.len.1 += unit.data.len();
            let len = if unit.len.1 > 0xffff && unit.pid == VIDEO { 0 } else { unit.len.1 };
            assert_eq!(usize::from(unit.len.0), len);
            unit.len.1 -= unit.data.len();
        }
    }

    fn data(&self, pid: u16) -> Vec<&[u8]> {
        self.units.iter().filter(|unit| unit.pid == pid).map(|unit| &unit.data[..]).collect()
    }
}

/// A time in µs as ticks of `hz`, by arithmetic that can't overflow.
fn ticks(us: i64, hz: i128) -> u64 {
    (i128::from(us) * hz).div_euclid(1_000_000).rem_euclid((1 << 33) * hz / 90_000) as u64
}

fn pts(us: i64) -> u64 {
    (ticks(us, 90_000) + OFFSET) % (1 << 33)
}

fn pcr(us: i64) -> u64 {
    ticks(us, 27_000_000)
}

#[test]
fn what_is_carried() {
    for codec in [Codec::H264, Codec::H265, Codec::Aac, Codec::Mp3] {
        assert_eq!(carries(codec), Ok(()));
    }
    let why = |codec| carries(codec).unwrap_err().to_string();
    assert_eq!(why(Codec::G711A), "G.711 has no mapping in MPEG-TS");
    assert_eq!(why(Codec::Opus), "Opus in MPEG-TS is read by few players");
    assert_eq!(why(Codec::Vp8), "VP8 has no mapping in MPEG-TS");
}

#[test]
fn tables_name_the_tracks_and_count_their_changes() {
    let mut muxer = Muxer::new(Options::default());
    let mut out = BytesMut::new();
    muxer.tables(&mut out);
    assert!(!muxer.has_video() && !muxer.has_audio());
    muxer.declare(Codec::H264).unwrap();
    muxer.declare(Codec::Mp3).unwrap();
    assert!(muxer.has_video() && muxer.has_audio());
    muxer.tables(&mut out);
    muxer.tables(&mut out);
    // The header of what was declared changes nothing; another codec does, and tables come by themselves.
    muxer.write(&avc_header(), &mut out).unwrap();
    muxer.write(&video(Role::Key, 0, &[b"\x65"]), &mut out).unwrap();
    muxer.write(&hevc_header(), &mut out).unwrap();
    muxer.write(&mp3(0, 417), &mut out).unwrap();
    let mut lower = mp3(30, 192).payload.to_vec();
    lower[1] = 0xf3;
    muxer.write(&frame(Kind::Audio, Codec::Mp3, Role::Key, 30, lower), &mut out).unwrap();
    muxer.declare(Codec::Aac).unwrap();
    muxer.tables(&mut out);
    assert!(muxer.declare(Codec::G711U).is_err());

    let read = Read::of(&out);
    assert_eq!(
        read.maps,
        [
            (0, None, vec![]),
            (1, Some(VIDEO), vec![(0x1b, VIDEO), (0x03, AUDIO)]),
            (1, Some(VIDEO), vec![(0x1b, VIDEO), (0x03, AUDIO)]),
            (2, Some(VIDEO), vec![(0x24, VIDEO), (0x03, AUDIO)]),
            (3, Some(VIDEO), vec![(0x24, VIDEO), (0x04, AUDIO)]),
            (4, Some(VIDEO), vec![(0x24, VIDEO), (0x0f, AUDIO)]),
        ]
    );
}

#[test]
fn a_frame_of_mp3_stands_for_the_header_that_there_is_none_of() {
    let mut muxer = Muxer::new(Options::default());
    muxer.headers(&Headers { metadata: None, video: Some(avc_header()), audio: Some(mp3(0, 417)) }).unwrap();
    let mut out = BytesMut::new();
    muxer.tables(&mut out);
    assert_eq!(Read::of(&out).maps, [(0, Some(VIDEO), vec![(0x1b, VIDEO), (0x03, AUDIO)])]);
    let noise = frame(Kind::Audio, Codec::Mp3, Role::Key, 0, vec![0; 40]);
    assert!(muxer.headers(&Headers { audio: Some(noise), ..Headers::default() }).is_err());
}

#[test]
fn a_version_wraps_at_32() {
    let mut muxer = Muxer::new(Options::default());
    let mut out = BytesMut::new();
    for i in 0..40 {
        muxer.declare(if i % 2 == 0 { Codec::Aac } else { Codec::Mp3 }).unwrap();
        muxer.tables(&mut out);
    }
    let versions: Vec<u8> = Read::of(&out).maps.iter().map(|map| map.0).collect();
    assert_eq!(versions, (0..40).map(|i| i % 32).collect::<Vec<u8>>());
}

/// The same bytes as ffmpeg's for the same program.
#[test]
fn tables_to_the_byte() {
    let mut muxer = both();
    let mut out = BytesMut::new();
    muxer.tables(&mut out);
    let pat = b"\x47\x40\x00\x10\x00\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00\x2a\xb1\x04\xb2";
    let pmt = b"\x47\x50\x00\x10\x00\x02\xb0\x17\x00\x01\xc1\x00\x00\xe1\x00\xf0\x00\
        \x1b\xe1\x00\xf0\x00\x0f\xe1\x01\xf0\x00\x2f\x44\xb9\x9b";
    for (packet, expected) in out.chunks(PACKET_BYTES).zip([&pat[..], pmt]) {
        let (section, stuffing) = packet.split_at(expected.len());
        assert_eq!(section, expected);
        assert!(stuffing.iter().all(|b| *b == 0xff));
    }
    assert_eq!(out.len(), 2 * PACKET_BYTES);
}

#[test]
fn h264_gets_a_delimiter_and_what_it_lacks_of_parameter_sets() {
    let frames = [
        video(Role::Key, 0, &[b"\x06sei", b"\x65idr", b"", b"\x65more"]),
        video(Role::Delta, 40, &[b"\x41p"]),
        // Its own delimiter gives way, its own sets stay.
        video(Role::Key, 80, &[b"\x09\x10", SPS, PPS, b"\x65idr"]),
        // A picture that decoding begins at, though nobody said so; and one that only is said to be.
        video(Role::Delta, 120, &[b"\x65idr"]),
        video(Role::Key, 160, &[PPS, b"\x41i"]),
    ];
    let read = Read::of(&write(&mut both(), &frames));
    assert_eq!(
        read.data(VIDEO),
        [
            annexb(&[AUD, SPS, PPS, b"\x06sei", b"\x65idr", b"\x65more"]),
            annexb(&[AUD, b"\x41p"]),
            annexb(&[AUD, SPS, PPS, b"\x65idr"]),
            annexb(&[AUD, SPS, PPS, b"\x65idr"]),
            annexb(&[AUD, SPS, PPS, PPS, b"\x41i"]),
        ]
    );
    let random_access: Vec<bool> = read.units.iter().map(|unit| unit.random_access).collect();
    assert_eq!(random_access, [true, false, true, false, true]);
}

#[test]
fn h265_gets_its_own_delimiter_and_three_kinds_of_sets() {
    let mut muxer = Muxer::new(Options::default());
    let cra: &[u8] = b"\x2a\x01cra";
    let frames = [
        hevc_header(),
        frame(Kind::Video, Codec::H265, Role::Key, 0, prefixed(&[cra])),
        frame(Kind::Video, Codec::H265, Role::Delta, 40, prefixed(&[b"\x02\x01p"])),
        frame(Kind::Video, Codec::H265, Role::Key, 80, prefixed(&[AUD_265, VPS_265, SPS_265, PPS_265, cra])),
        frame(Kind::Video, Codec::H265, Role::Delta, 120, prefixed(&[SPS_265, PPS_265, cra])),
    ];
    let read = Read::of(&write(&mut muxer, &frames));
    let sets = [AUD_265, VPS_265, SPS_265, PPS_265];
    assert_eq!(
        read.data(VIDEO),
        [
            annexb(&[&sets[..], &[cra]].concat()),
            annexb(&[AUD_265, b"\x02\x01p"]),
            annexb(&[&sets[..], &[cra]].concat()),
            annexb(&[&sets[..], &[SPS_265, PPS_265, cra]].concat()),
        ]
    );
    assert_eq!(read.maps, [(0, Some(VIDEO), vec![(0x24, VIDEO)])]);
}

#[test]
fn lengths_are_of_the_size_that_the_header_says() {
    let mut record = avc_header().payload.to_vec();
    record[4] = 0xfc | 1;
    let frames = [
        frame(Kind::Video, Codec::H264, Role::Header, 0, record),
        frame(Kind::Video, Codec::H264, Role::Delta, 0, &b"\x00\x02\x41a\x00\x01\x41"[..]),
    ];
    let read = Read::of(&write(&mut Muxer::new(Options::default()), &frames));
    assert_eq!(read.data(VIDEO), [annexb(&[AUD, b"\x41a", b"\x41"])]);
}

#[test]
fn every_size_is_stuffed_exactly() {
    // AAC frames of each size: one, two and three packets, with and without a clock reference.
    let mut muxer = audio_only(0);
    let mut with_clock = 0;
    for size in 1..560 {
        let payload: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
        let mut out = BytesMut::new();
        muxer.tables(&mut out);
        for ms in [0, 20] {
            muxer.write(&audio(size as i64 * 40 + ms, &payload), &mut out).unwrap();
        }
        let mut read = Read { counters: counters_before(&out), ..Default::default() };
        read.more(&out);
        assert_eq!(read.data(AUDIO), [adts(&payload), adts(&payload)], "{size} bytes");
        with_clock += read.units.iter().filter(|unit| unit.pcr.is_some()).count();
        // 14 bytes of PES header, 7 of ADTS; 8 for the first's clock reference, 2 for a flag alone.
        let packets = (size + 21 + 8usize).div_ceil(184) + (size + 21 + 2usize).div_ceil(184);
        assert_eq!(out.len() / PACKET_BYTES, packets + 2, "{size} bytes");
    }
    assert_eq!(with_clock, 559);
}

/// The counters of the packets before those in `bytes`.
fn counters_before(bytes: &[u8]) -> BTreeMap<u16, u8> {
    let mut counters = BTreeMap::new();
    for packet in bytes.chunks(PACKET_BYTES) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let step = packet[3] >> 4 & 1;
        counters.entry(pid).or_insert((packet[3] & 15).wrapping_sub(step) & 15);
    }
    counters
}

#[test]
fn times_wrap_at_33_bits_and_may_be_negative() {
    // The clock wraps after 2^33 ticks, PTS and DTS 0.7 s before.
    let wrap = (1i64 << 33) * 100 / 9;
    for at in [0, -1, -100, -1_000_000, wrap - 700_001, wrap - 699_999, wrap - 1, wrap, 3 * wrap + 77] {
        let mut key = video(Role::Key, 0, &[b"\x65"]);
        (key.dts, key.pts) = (at, at + 80_000);
        let read = Read::of(&write(&mut both(), &[key]));
        let unit = &read.units[0];
        assert_eq!((unit.pts, unit.dts, unit.pcr), (pts(at + 80_000), Some(pts(at)), Some(pcr(at))));
    }
    // No time overflows, and a PTS before its DTS is taken for it.
    for (dts, after) in [(i64::MAX, i64::MIN), (i64::MIN, i64::MIN), (0, -1)] {
        let mut key = video(Role::Key, 0, &[b"\x65"]);
        (key.dts, key.pts) = (dts, after);
        let read = Read::of(&write(&mut both(), &[key]));
        let unit = &read.units[0];
        assert_eq!((unit.pts, unit.dts, unit.pcr), (pts(dts), None, Some(pcr(dts))));
    }
}

#[test]
fn a_long_picture_has_no_length_and_a_long_frame_of_audio_is_refused() {
    let nal = |len| [&[0x41][..], &vec![7; len]].concat();
    // 8 bytes of PES header behind the length, 6 of delimiter, 4 + 1 before what follows.
    for len in [0xffff - 19, 0xffff - 18, 200_000] {
        let read = Read::of(&write(&mut both(), &[video(Role::Delta, 0, &[&nal(len)])]));
        assert_eq!(read.data(VIDEO), [annexb(&[AUD, &nal(len)])]);
        assert_eq!(read.units[0].len.0 == 0, len > 0xffff - 19);
    }
    let mut muxer = Muxer::new(Options::default());
    let mut out = BytesMut::new();
    let refused = muxer.write(&mp3(0, 65528), &mut out);
    assert!(matches!(refused, Err(Refused::Malformed(Malformed::Limit { .. }))));
    let refused = both().write(&audio(0, &[0; 8185]), &mut out);
    assert!(matches!(refused, Err(Refused::Malformed(Malformed::Limit { .. }))));
    assert!(out.is_empty());
    assert_eq!(Read::of(&write(&mut muxer, &[mp3(0, 65527)])).units[0].len.0, 0xffff);
}

/// The clock's steps, which must go on; in µs.
fn steps(read: &Read) -> Vec<u64> {
    read.clocks.windows(2).map(|pair| pair[1].1.checked_sub(pair[0].1).unwrap() / 27).collect()
}

#[test]
fn the_clock_is_never_more_than_100_ms_apart() {
    // Video once in two seconds, and audio.
    let mut frames = Vec::new();
    for i in 0..200 {
        if i % 86 == 0 {
            frames.push(video(Role::Key, i * AAC_US / 1000, &[b"\x65"]));
        }
        frames.push(audio(i * AAC_US / 1000, b"aac"));
    }
    let read = Read::of(&write(&mut both(), &frames));
    assert!(read.clocks.iter().all(|(pid, ..)| *pid == VIDEO));
    assert!(steps(&read).iter().all(|us| (1..=100_000).contains(us)));
    assert!(read.clocks.len() >= 46);

    // Video alone, 5 frames a second; the clock is never ahead of a frame.
    let frames: Vec<Frame> = (0..20).map(|i| video(Role::Delta, i * 200, &[b"\x41"])).collect();
    let read = Read::of(&write(&mut both(), &frames));
    assert_eq!(steps(&read), [100_000; 38]);
    assert_eq!(read.clocks.iter().filter(|(.., alone)| *alone).count(), 19);

    // 25 frames a second carry all of it themselves.
    let frames: Vec<Frame> = (0..20).map(|i| video(Role::Delta, i * 40, &[b"\x41"])).collect();
    let read = Read::of(&write(&mut both(), &frames));
    assert!(read.units.iter().zip(0..).all(|(unit, i)| unit.pcr == Some(pcr(i * 40_000))));

    // Audio alone, each frame or gathered.
    for hold in [0, 70_000, 400_000] {
        let frames: Vec<Frame> = (0..200).map(|i| audio(i * AAC_US / 1000, b"aac")).collect();
        let read = Read::of(&write(&mut audio_only(hold), &frames));
        assert!(read.clocks.iter().all(|(pid, ..)| *pid == AUDIO));
        assert!(steps(&read).iter().all(|us| (1..=100_000).contains(us)), "{:?}", steps(&read));
        assert!(read.clocks.len() >= 46);
        assert!(read.units.iter().all(|unit| unit.random_access));
    }
}

#[test]
fn after_tables_the_clock_comes_at_once() {
    let mut muxer = both();
    write(&mut muxer, &[video(Role::Key, 0, &[b"\x65"]), audio(10, b"a"), audio(20, b"a")]);
    let mut out = BytesMut::new();
    muxer.tables(&mut out);
    muxer.write(&audio(25, b"a"), &mut out).unwrap();
    muxer.write(&video(Role::Key, 20, &[b"\x65"]), &mut out).unwrap();
    let mut read = Read { counters: counters_before(&out), ..Default::default() };
    read.more(&out);
    // Audio brought it to 25 ms; the keyframe, behind that, doesn't turn it back.
    assert_eq!(read.clocks, [(VIDEO, pcr(25_000), true), (VIDEO, pcr(25_001), false)]);
}

#[test]
fn audio_is_gathered_up_to_the_time_that_is_asked_for() {
    let mut muxer = audio_only(100_000);
    let mut out = write(&mut muxer, &[0, 23, 46, 70, 93, 116].map(|ms| audio(ms, b"aac")));
    assert_eq!(Read::of(&out).data(AUDIO), [adts(b"aac").repeat(5)]);
    // A gap, and a step back: what follows has its own time.
    out.unsplit(write(&mut muxer, &[audio(190, b"b"), audio(213, b"c"), audio(100, b"d")]));
    muxer.flush(&mut out);
    muxer.flush(&mut out);
    let read = Read::of(&out);
    let units: Vec<_> = read.units.iter().map(|unit| (unit.pts, unit.data.len())).collect();
    let [five, one, two] = [50, 10, 16];
    assert_eq!(units, [(pts(0), five), (pts(116_000), one), (pts(190_000), two), (pts(100_000), 8)]);
}

#[test]
fn video_does_not_wait_for_audio_that_is_held() {
    let mut muxer = Muxer::new(Options { audio_hold_us: i64::MAX });
    write(&mut muxer, &[avc_header(), aac_header()]);
    let frames = [audio(0, b"a"), video(Role::Delta, 499, &[b"\x41"]), video(Role::Delta, 500, &[b"\x41"])];
    let read = Read::of(&write(&mut muxer, &frames));
    assert_eq!(read.units.iter().map(|unit| unit.pid).collect::<Vec<_>>(), [VIDEO, AUDIO, VIDEO]);
}

#[test]
fn gathered_audio_never_outgrows_its_length() {
    let mut muxer = audio_only(AUDIO_HOLD_MAX_US);
    let mut out = write(&mut muxer, &[0, 23, 46, 70, 93, 116, 139, 162, 186].map(|ms| audio(ms, &[1; 8184])));
    muxer.flush(&mut out);
    let sizes: Vec<_> = Read::of(&out).units.iter().map(|unit| unit.data.len() / 8191).collect();
    assert_eq!(sizes, [7, 2]);
}

#[test]
fn a_discontinuity_is_said_once_by_each_track() {
    let mut muxer = both();
    let mut out = write(&mut muxer, &[video(Role::Key, 5000, &[b"\x65"]), audio(5000, b"a")]);
    muxer.discontinuity();
    muxer.tables(&mut out);
    let frames = [100, 140].map(|ms| [video(Role::Key, ms, &[b"\x65"]), audio(ms, b"a")]);
    out.unsplit(write(&mut muxer, frames.as_flattened()));
    let read = Read::of(&out);
    assert_eq!(read.discontinuities, [VIDEO, AUDIO]);
    assert!(read.units[2].discontinuity && read.units[3].discontinuity);
    assert_eq!(read.units[2].pcr, Some(pcr(100_000)));
}

#[test]
fn a_jump_is_a_discontinuity() {
    for to in [16_000, 3_000, i64::MAX / 1000, i64::MIN / 1000] {
        let frames = [5000, to].map(|ms| video(Role::Delta, ms, &[b"\x41"]));
        let read = Read::of(&write(&mut both(), &frames));
        assert_eq!(read.discontinuities, [VIDEO], "{to}");
        assert_eq!(read.clocks, [5000, to].map(|ms| (VIDEO, pcr(ms * 1000), false)));
    }
    // Audio behind video is none, and doesn't move the clock.
    let frames =
        [video(Role::Key, 5000, &[b"\x65"]), audio(2000, b"a"), video(Role::Delta, 5040, &[b"\x41"])];
    let read = Read::of(&write(&mut both(), &frames));
    assert_eq!(read.discontinuities, [] as [u16; 0]);
    assert_eq!(read.clocks.len(), 2);
}

#[test]
fn another_publish_forgets_tracks_and_goes_on_counting() {
    let mut muxer = both();
    let mut out = write(&mut muxer, &[video(Role::Key, 5000, &[b"\x65"]), audio(5000, b"a")]);
    muxer.restart();
    assert!(!muxer.has_video() && !muxer.has_audio());
    assert_eq!(muxer.write(&audio(0, b"a"), &mut out), Err(Refused::NoHeader(Codec::Aac)));
    out.unsplit(write(&mut muxer, &[aac_header(), audio(0, b"a")]));
    let read = Read::of(&out);
    assert_eq!(read.maps.len(), 2);
    assert_eq!(read.maps[1], (1, Some(AUDIO), vec![(0x0f, AUDIO)]));
    assert_eq!(read.clocks.last(), Some(&(AUDIO, 0, false)));
    assert_eq!(read.discontinuities, [AUDIO]);
}

#[test]
fn what_is_refused_leaves_no_trace() {
    let mut muxer = both();
    let mut clean = both();
    let mut out = write(&mut muxer, &[video(Role::Key, 0, &[b"\x65"])]);
    let before = out.clone();
    let cut = prefixed(&[b"\x65idr", b"\x65idr"]).slice(..12);
    let many = prefixed(&vec![&b"\x41"[..]; 513]);
    for frame in [
        frame(Kind::Video, Codec::H264, Role::Key, 40, cut),
        frame(Kind::Video, Codec::H264, Role::Key, 40, many),
        frame(Kind::Video, Codec::H264, Role::Key, 40, Bytes::new()),
        video(Role::Key, 40, &[AUD]),
        audio(40, b""),
        frame(Kind::Audio, Codec::Mp3, Role::Key, 40, &b"no mp3"[..]),
        frame(Kind::Video, Codec::H264, Role::Header, 40, &b"\x01"[..]),
        frame(Kind::Video, Codec::H265, Role::Header, 40, &b"\x01"[..]),
        frame(Kind::Audio, Codec::Aac, Role::Header, 40, &b"\x12"[..]),
        // A rate that ADTS can't say.
        frame(Kind::Audio, Codec::Aac, Role::Header, 40, &b"\x17\x80\x56\x0c\x10"[..]),
    ] {
        let refused = muxer.write(&frame, &mut out);
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{frame:?} {refused:?}");
    }
    let other = frame(Kind::Video, Codec::H265, Role::Key, 40, prefixed(&[b"\x26\x01"]));
    assert_eq!(muxer.write(&other, &mut out), Err(Refused::NoHeader(Codec::H265)));
    for (kind, codec) in [
        (Kind::Audio, Codec::G711A),
        (Kind::Video, Codec::Av1),
        (Kind::Audio, Codec::H264),
        (Kind::Video, Codec::Aac),
    ] {
        for role in [Role::Header, Role::Key] {
            let refused = muxer.write(&frame(kind, codec, role, 40, &b"x"[..]), &mut out);
            assert_eq!(refused, Err(Refused::Unsupported(Unsupported { codec })));
        }
    }
    // What gives no packets.
    for (kind, codec, role) in [
        (Kind::Data, Codec::Script, Role::Header),
        (Kind::Video, Codec::H264, Role::Mark),
        (Kind::Audio, Codec::G711A, Role::Mark),
    ] {
        assert_eq!(muxer.write(&frame(kind, codec, role, 40, Bytes::new()), &mut out), Ok(()));
    }
    assert_eq!(out, before);
    let rest = [audio(40, b"a"), video(Role::Delta, 80, &[b"\x41"])];
    write(&mut clean, &[video(Role::Key, 0, &[b"\x65"])]);
    assert_eq!(write(&mut muxer, &rest), write(&mut clean, &rest));
}

#[test]
fn headers_are_taken_where_they_can_be() {
    let mut muxer = Muxer::new(Options::default());
    let opus = frame(Kind::Audio, Codec::Opus, Role::Header, 0, &b"OpusHead"[..]);
    let metadata = frame(Kind::Data, Codec::Script, Role::Header, 0, Bytes::new());
    let headers = Headers { metadata: Some(metadata), video: Some(avc_header()), audio: Some(opus) };
    let refused = muxer.headers(&headers);
    assert_eq!(refused, Err(Refused::Unsupported(Unsupported { codec: Codec::Opus })));
    assert!(muxer.has_video() && !muxer.has_audio());
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let size = prop_oneof![0usize..3000, 150usize..190, 330usize..375];
    let payload =
        (size, any::<u8>(), any::<[u8; 8]>(), any::<bool>()).prop_map(|(size, fill, head, whole)| {
            let mut payload = vec![fill; size];
            let n = size.min(8);
            payload[..n].copy_from_slice(&head[..n]);
            if whole && size > 4 {
                payload[..4].copy_from_slice(&(size as u32 - 4).to_be_bytes());
            }
            payload
        });
    let codec = prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Aac, Codec::Mp3, Codec::Opus]);
    let kind = prop::sample::select(vec![Kind::Audio, Kind::Video, Kind::Data]);
    let role = prop::sample::select(vec![Role::Header, Role::Key, Role::Key, Role::Delta, Role::Mark]);
    let wrap = (1i64 << 33) * 100 / 9;
    let time = prop_oneof![any::<i64>(), -500_000i64..5_000_000, wrap - 1_000_000..wrap + 1_000_000];
    let known = prop::sample::select(vec![avc_header(), hevc_header(), aac_header(), mp3(0, 417)]);
    let arbitrary = (kind, codec, role, payload, time, any::<i32>());
    let arbitrary = arbitrary.prop_map(|(kind, codec, role, payload, dts, offset)| Frame {
        pts: dts.saturating_add(offset.into()),
        dts,
        ..frame(kind, codec, role, 0, payload)
    });
    prop_oneof![8 => arbitrary, 1 => known]
}

proptest! {
    #[test]
    fn whatever_is_put_in_whole_packets_come_out(
        frames in prop::collection::vec(any_frame(), 0..40),
        hold in prop_oneof![Just(0i64), any::<i64>(), 0..500_000i64],
        tables in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut muxer = Muxer::new(Options { audio_hold_us: hold });
        let mut out = BytesMut::new();
        for (frame, tables) in frames.iter().zip(tables) {
            if tables {
                muxer.tables(&mut out);
            }
            let before = out.len();
            if muxer.write(frame, &mut out).is_err() {
                prop_assert_eq!(out.len(), before);
            }
        }
        muxer.flush(&mut out);
        Read::of(&out);
    }

    /// What is put in comes out: units of any sizes at times that go on by what steps they like.
    #[test]
    fn units_come_out_as_they_went_in(
        start in prop_oneof![any::<i64>(), -1_000_000i64..1_000_000, Just((1i64 << 33) * 100 / 9 - 800_000)],
        units in prop::collection::vec(
            (any::<bool>(), 1usize..3000, 0i64..300_000, 0i64..200_000, any::<u8>()), 1..40,
        ),
        hold in prop_oneof![Just(0i64), 1..500_000i64],
    ) {
        let mut muxer = Muxer::new(Options { audio_hold_us: hold });
        let mut out = write(&mut muxer, &[avc_header(), aac_header()]);
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        let mut dts = start.clamp(i64::MIN / 2, i64::MAX / 2);
        for (is_video, size, step, offset, fill) in units {
            dts += step;
            let mut unit = if is_video {
                let nal = [&[0x41][..], &vec![fill; size]].concat();
                pictures.push((pts(dts + offset), (offset > 11).then(|| pts(dts)), annexb(&[AUD, &nal])));
                video(Role::Delta, 0, &[&nal])
            } else {
                sound.extend(adts(&vec![fill; size]));
                audio(0, &vec![fill; size])
            };
            (unit.dts, unit.pts) = (dts, dts + offset);
            muxer.write(&unit, &mut out).unwrap();
        }
        muxer.flush(&mut out);

        let read = Read::of(&out);
        let seen = read.units.iter().filter(|unit| unit.pid == VIDEO);
        for (unit, (pts, dts, data)) in seen.zip(&pictures) {
            // Less than a tick apart, they may be one or two.
            if dts.is_some() {
                prop_assert_eq!(unit.dts, *dts);
            }
            prop_assert_eq!((unit.pts, &unit.data), (*pts, data));
        }
        prop_assert_eq!(read.data(VIDEO).len(), pictures.len());
        prop_assert_eq!(read.data(AUDIO).concat(), sound);
        prop_assert!(read.discontinuities.is_empty());
        let ring = (27_000_000 / 90_000) << 33;
        for pair in read.clocks.windows(2) {
            let step = (pair[1].1 + ring - pair[0].1) % ring;
            prop_assert!((27..=2_700_000).contains(&step), "a step of {} µs", step / 27);
        }
    }
}
