//! Frames of any kind into the transport stream's muxer, and what else can be done to it: the first byte
//! of the input is how long audio is held, then come operations. What comes out is read packet by packet.

#![no_main]

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use camrill::media::{Codec, Frame, Kind, Role};
use camrill::mpegts::{Muxer, Options, PACKET_BYTES};
use camrill::wire::{Malformed, Reader};
use libfuzzer_sys::fuzz_target;

const CODECS: [Codec; 6] = [Codec::H264, Codec::H265, Codec::Aac, Codec::Mp3, Codec::Opus, Codec::G711A];

fuzz_target!(|data: &[u8]| {
    let Some((hold, ops)) = data.split_first() else { return };
    let mut muxer = Muxer::new(Options { audio_hold_us: i64::from(*hold) * 4000 });
    let mut out = BytesMut::new();
    let _ = run(&mut muxer, Reader::new(ops), &mut out);
    muxer.flush(&mut out);
    check(&out);
});

fn run(muxer: &mut Muxer, mut ops: Reader<'_>, out: &mut BytesMut) -> Result<(), Malformed> {
    let mut dts = 0i64;
    loop {
        let before = out.len();
        match ops.u8()? % 8 {
            0 => {
                muxer.tables(out);
                assert!(out.len() - before >= 2 * PACKET_BYTES);
            }
            1 => muxer.flush(out),
            2 => muxer.discontinuity(),
            3 => muxer.restart(),
            4 => {
                let _ = muxer.declare(CODECS[usize::from(ops.u8()?) % CODECS.len()]);
            }
            op => {
                let what = ops.u8()?;
                let step = i64::from(ops.u16()?.cast_signed()) * 1000;
                dts = dts.saturating_add(if op == 6 { step << 24 } else { step });
                let pts = dts.saturating_add(i64::from(ops.u8()?.cast_signed()) * 1000);
                let len = usize::from(ops.u16()?).min(ops.remaining());
                let mut payload = ops.take(len)?.to_vec();
                if op == 7 {
                    // More than an input can hold.
                    payload.resize(len * 64, 0xaa);
                }
                let frame = Frame {
                    kind: [Kind::Audio, Kind::Video, Kind::Video, Kind::Data][usize::from(what & 3)],
                    codec: CODECS[usize::from(what >> 2 & 7) % CODECS.len()],
                    role: [Role::Header, Role::Key, Role::Delta, Role::Mark][usize::from(what >> 5 & 3)],
                    dts,
                    pts,
                    payload: payload.into(),
                    relay: Bytes::new(),
                };
                let written = muxer.write(&frame, out);
                let packets = matches!(frame.role, Role::Key | Role::Delta) && frame.kind != Kind::Data;
                assert!(out.len() == before || written.is_ok() && packets);
                let tracks = (muxer.has_video(), muxer.has_audio());
                if written.is_ok() && packets {
                    assert!(if frame.kind == Kind::Video { tracks.0 } else { tracks.1 });
                }
            }
        }
    }
}

/// Whole packets, each as it must be, and PES packets as long as they say.
fn check(out: &[u8]) {
    assert_eq!(out.len() % PACKET_BYTES, 0);
    let mut counters = BTreeMap::new();
    let mut units: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for packet in out.chunks(PACKET_BYTES) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        assert!([0, 0x1000, 0x100, 0x101].contains(&pid));
        let (start, adaptation, payload) =
            (packet[1] & 0x40 != 0, packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = counters.entry(pid).or_insert(15);
        *counter = (*counter + u8::from(payload)) & 15;
        assert_eq!(packet[3] & 15, *counter, "continuity of PID {pid}");
        let len = if adaptation { 1 + usize::from(packet[4]) } else { 0 };
        assert!(if payload { len < 184 } else { len == 184 });
        if pid == 0 || pid == 0x1000 {
            assert!(start && payload && !adaptation);
        } else if payload {
            if start && let Some(unit) = units.insert(pid, Vec::new()) {
                check_unit(pid, &unit);
            }
            units.get_mut(&pid).expect("the start of a PES packet").extend_from_slice(&packet[4 + len..]);
        }
    }
    units.into_iter().for_each(|(pid, unit)| check_unit(pid, &unit));
}

fn check_unit(pid: u16, unit: &[u8]) {
    let (video, len) = (pid == 0x100, usize::from(u16::from_be_bytes([unit[4], unit[5]])));
    assert_eq!(unit[..4], [0, 0, 1, if video { 0xe0 } else { 0xc0 }]);
    assert!(len == unit.len() - 6 || len == 0 && video && unit.len() - 6 > 0xffff);
    let data = &unit[9 + usize::from(unit[8])..];
    assert!(if video { data.starts_with(&[0, 0, 0, 1]) } else { data[0] == 0xff });
}
