//! Frames as decoders take them: H.264 and H.265 behind start codes with their parameter sets (annex B), AAC
//! behind ADTS headers.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Chain, Codec, Frame, Gather, Headers, Kind, Mux, Role, SHARED_MIN};
use crate::codec::aac::AdtsHeader;
use crate::codec::avcc::AvcConfig;
use crate::codec::h265::HevcConfig;
use crate::codec::{h264, h265};
use crate::wire::{Malformed, limits};

/// The zero_byte and start code before a NAL unit (H.264, B.1.1).
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Bytes of an AV1CodecConfigurationRecord before its OBUs.
const AV1C_FIXED: usize = 4;
/// obu_type of a sequence header (AV1, 6.2.2).
const OBU_SEQUENCE_HEADER: u8 = 1;
/// obu_type of a temporal delimiter.
const OBU_TEMPORAL_DELIMITER: u8 = 2;

/// How a video track's access units are to be read, and what goes before those that decoding begins at.
#[derive(Debug, Clone)]
pub struct VideoConfig {
    /// Whether it is H.265.
    pub h265: bool,
    /// Bytes of the length before each NAL unit, 1 to 4.
    pub length_size: u8,
    /// Behind start codes.
    pub parameter_sets: Bytes,
}

/// What a NAL unit is to those who put access units together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nal {
    /// An access unit delimiter.
    Delimiter,
    /// A parameter set; the bit of its kind.
    ParameterSet(u8),
    /// A slice of a picture that decoding can begin at.
    Entry,
    /// Anything else.
    Other,
}

impl VideoConfig {
    /// From a header of H.264 or H.265.
    pub fn parse(codec: Codec, record: &Bytes) -> Result<Self, Malformed> {
        let mut parameter_sets = BytesMut::new();
        let mut put = |sets: &[Bytes]| {
            for set in sets.iter().filter(|set| !set.is_empty()) {
                parameter_sets.put_slice(&START_CODE);
                parameter_sets.put_slice(set);
            }
        };
        let h265 = codec == Codec::H265;
        let length_size = if h265 {
            let config = HevcConfig::parse(record)?;
            [&config.vps, &config.sps, &config.pps].into_iter().for_each(|sets| put(sets));
            config.length_size
        } else {
            let config = AvcConfig::parse(record)?;
            [&config.sps, &config.pps].into_iter().for_each(|sets| put(sets));
            config.length_size
        };
        Ok(Self { h265, length_size, parameter_sets: parameter_sets.freeze() })
    }

    /// What a NAL unit is, by its first bytes.
    pub fn kind(&self, nal: &[u8]) -> Nal {
        if self.h265 {
            match h265::nal_type(nal) {
                Some(h265::NAL_AUD) => Nal::Delimiter,
                Some(h265::NAL_VPS) => Nal::ParameterSet(0b001),
                Some(h265::NAL_SPS) => Nal::ParameterSet(0b010),
                Some(h265::NAL_PPS) => Nal::ParameterSet(0b100),
                _ if h265::is_irap(nal) => Nal::Entry,
                _ => Nal::Other,
            }
        } else {
            match h264::nal_type(nal) {
                Some(h264::NAL_AUD) => Nal::Delimiter,
                Some(h264::NAL_SPS) => Nal::ParameterSet(0b010),
                Some(h264::NAL_PPS) => Nal::ParameterSet(0b100),
                Some(h264::NAL_IDR) => Nal::Entry,
                _ => Nal::Other,
            }
        }
    }

    /// The parameter sets that an access unit lacks which has brought those of the bits in `seen`.
    pub fn lacking(&self, is_entry: bool, seen: u8) -> &[u8] {
        let complete = if self.h265 { 0b111 } else { 0b110 };
        if is_entry && seen != complete { &self.parameter_sets } else { &[] }
    }

    /// An access unit behind start codes. Of what is large nothing is copied. What is not built as it should be is
    /// nothing.
    fn annexb(&self, frame: &Frame) -> Option<Chain> {
        let (mut is_entry, mut seen, mut small) = (frame.role == Role::Key, 0u8, 0usize);
        let mut walk = Walk::new(&frame.payload);
        for _ in 0..limits::NALS_PER_ACCESS_UNIT {
            let Some((nal, len)) = self.next_nal(&mut walk)? else { break };
            match nal {
                Nal::Entry => is_entry = true,
                Nal::ParameterSet(kind) => seen |= kind,
                Nal::Delimiter | Nal::Other => {}
            }
            let copied = if len < SHARED_MIN { len } else { 0 };
            small = small.saturating_add(START_CODE.len()).saturating_add(copied);
            walk.skip(len)?;
        }
        if !walk.is_at_end() {
            return None;
        }
        let lacking = self.lacking(is_entry, seen);
        let mut out = Gather::with_capacity(small.saturating_add(lacking.len()));
        let mut lacking = Some(lacking);
        let mut walk = Walk::new(&frame.payload);
        while let Some((nal, len)) = self.next_nal(&mut walk)? {
            // An access unit delimiter stands first (H.264, 7.4.1.2.3).
            if nal != Nal::Delimiter
                && let Some(lacking) = lacking.take()
            {
                out.small().put_slice(lacking);
            }
            out.small().put_slice(&START_CODE);
            walk.take(len, |piece| out.share(piece))?;
        }
        Some(out.finish(frame.payload.is_lent()))
    }

    /// The next NAL unit and how long it is; empty ones are passed over.
    fn next_nal(&self, walk: &mut Walk<'_>) -> Option<Option<(Nal, usize)>> {
        loop {
            if walk.is_at_end() {
                return Some(None);
            }
            let mut len = 0usize;
            for _ in 0..self.length_size {
                len = len << 8 | usize::from(walk.byte()?);
            }
            if len > walk.left {
                return None;
            }
            if len > 0 {
                return Some(Some((self.kind(&walk.peek()), len)));
            }
        }
    }
}

/// A way through bytes that lie in several pieces.
#[derive(Debug, Clone)]
struct Walk<'a> {
    pieces: std::slice::Iter<'a, Bytes>,
    piece: Bytes,
    left: usize,
}

impl<'a> Walk<'a> {
    fn new(chain: &'a Chain) -> Self {
        Self { pieces: chain.pieces().iter(), piece: Bytes::new(), left: chain.len() }
    }

    fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// Takes `n` bytes and gives each piece of them.
    fn take(&mut self, n: usize, mut give: impl FnMut(Bytes)) -> Option<()> {
        let mut n = n;
        while n > 0 {
            if self.piece.is_empty() {
                self.piece = self.pieces.next()?.clone();
                continue;
            }
            let part = self.piece.split_to(n.min(self.piece.len()));
            n = n.saturating_sub(part.len());
            self.left = self.left.saturating_sub(part.len());
            give(part);
        }
        Some(())
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n, drop)
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = None;
        self.take(1, |piece| byte = piece.first().copied())?;
        byte
    }

    /// The next two bytes, which stay; 0 where there is none.
    fn peek(&self) -> [u8; 2] {
        let mut ahead = self.clone();
        [ahead.byte().unwrap_or(0), ahead.byte().unwrap_or(0)]
    }
}

/// Makes of each frame what a decoder takes. Headers become part of the frames that need them, and have no image of
/// their own; neither has a frame that isn't what its codec says, or whose header is missing. Codecs other than
/// H.264, H.265, AV1 and AAC stay as they are.
#[derive(Debug, Default)]
pub struct Elementary {
    video: Option<VideoConfig>,
    /// The OBUs of the track's configuration.
    av1: Bytes,
    audio: Option<AdtsHeader>,
}

impl Elementary {
    fn adopt(&mut self, header: &Frame) {
        let record = header.payload.bytes();
        match (header.kind, header.codec) {
            (Kind::Video, Codec::H264 | Codec::H265) => {
                self.video = VideoConfig::parse(header.codec, &record).ok();
            }
            (Kind::Video, Codec::Av1) => {
                self.av1 = record.get(AV1C_FIXED..).map(|obus| record.slice_ref(obus)).unwrap_or_default();
            }
            (Kind::Audio, Codec::Aac) => self.audio = AdtsHeader::new(&record).ok(),
            _ => {}
        }
    }

    fn video(&self, frame: &Frame) -> Option<Chain> {
        let config = self.video.as_ref()?;
        if config.h265 != (frame.codec == Codec::H265) {
            return None;
        }
        config.annexb(frame)
    }

    fn aac(&self, frame: &Frame) -> Option<Chain> {
        let header = self.audio.as_ref()?.of_frame(frame.payload.len()).ok()?;
        let mut out = Gather::with_capacity(header.len().saturating_add(frame.payload.len().min(SHARED_MIN)));
        out.small().put_slice(&header);
        frame.payload.pieces().iter().for_each(|piece| out.share(piece.clone()));
        Some(out.finish(frame.payload.is_lent()))
    }

    /// A temporal unit, with the sequence header before a keyframe that has none (AV1, 7.5).
    fn av1(&self, frame: &Frame) -> Chain {
        let mut walk = Walk::new(&frame.payload);
        let obu_type = |first: u8| first >> 3 & 0x0f;
        let mut delimiter = BytesMut::new();
        // A delimiter is empty: a byte that says that its size follows, or none, and that size, which is 0.
        if obu_type(walk.peek()[0]) == OBU_TEMPORAL_DELIMITER {
            let len = if walk.peek()[0] & 2 == 0 { 1 } else { 2 };
            if walk.take(len, |piece| delimiter.put_slice(&piece)).is_none() {
                return frame.payload.clone();
            }
        }
        if frame.role != Role::Key || self.av1.is_empty() || obu_type(walk.peek()[0]) == OBU_SEQUENCE_HEADER {
            return frame.payload.clone();
        }
        let mut out = Gather::with_capacity(delimiter.len().saturating_add(self.av1.len()));
        out.small().put_slice(&delimiter);
        out.small().put_slice(&self.av1);
        let len = walk.left;
        match walk.take(len, |piece| out.share(piece)) {
            Some(()) => out.finish(frame.payload.is_lent()),
            None => frame.payload.clone(),
        }
    }
}

impl Mux for Elementary {
    fn start(&mut self, headers: &Headers) {
        *self = Self::default();
        headers.iter().for_each(|header| self.adopt(header));
    }

    fn image(&mut self, frame: &Frame) -> Chain {
        match (frame.kind, frame.role) {
            (_, Role::Header) => {
                self.adopt(frame);
                Chain::default()
            }
            (_, Role::Mark) => Chain::default(),
            _ => match frame.codec {
                Codec::H264 | Codec::H265 => self.video(frame).unwrap_or_default(),
                Codec::Aac => self.aac(frame).unwrap_or_default(),
                Codec::Av1 => self.av1(frame),
                _ => frame.payload.clone(),
            },
        }
    }

    fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
        Bytes::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{aac, avcc};

    const SPS: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
        0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
    ];
    const PPS: &[u8] = &[0x68, 0xce];

    fn frame(kind: Kind, codec: Codec, role: Role, payload: impl Into<Chain>) -> Frame {
        Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay: Bytes::new() }
    }

    fn video(role: Role, payload: impl Into<Chain>) -> Frame {
        frame(Kind::Video, Codec::H264, role, payload)
    }

    fn begun() -> Elementary {
        let mut mux = Elementary::default();
        let record = avcc::build(&[SPS], &[PPS]).unwrap();
        mux.start(&Headers { video: Some(video(Role::Header, record)), ..Headers::default() });
        mux
    }

    fn prefixed(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
    }

    fn annexb(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&START_CODE[..], nal].concat()).collect()
    }

    #[test]
    fn parameter_sets_go_before_a_keyframe_that_lacks_them() {
        let mut mux = begun();
        let (aud, idr, slice): (&[u8], &[u8], &[u8]) = (&[9, 0xf0], &[0x65, 1, 2], &[0x41, 3]);
        for (role, nals, expected) in [
            (Role::Key, vec![idr], vec![SPS, PPS, idr]),
            (Role::Key, vec![aud, idr], vec![aud, SPS, PPS, idr]),
            (Role::Key, vec![SPS, PPS, idr], vec![SPS, PPS, idr]),
            (Role::Key, vec![PPS, idr], vec![SPS, PPS, PPS, idr]),
            // A place to start that is no IDR picture.
            (Role::Key, vec![slice], vec![SPS, PPS, slice]),
            (Role::Delta, vec![aud, slice, &[], slice], vec![aud, slice, slice]),
        ] {
            let image = mux.image(&video(role, prefixed(&nals)));
            assert_eq!(image, annexb(&expected), "{nals:?}");
        }
    }

    #[test]
    fn what_is_large_is_shared() {
        let nal = [&[0x41][..], &[7; SHARED_MIN]].concat();
        let payload = Bytes::from(prefixed(&[&nal]));
        let image = begun().image(&video(Role::Delta, payload.clone()));
        assert_eq!(image, annexb(&[&nal]));
        assert_eq!(image.pieces()[1].as_ptr(), payload[4..].as_ptr());
        assert!(begun().image(&video(Role::Delta, Chain::lent([payload]))).is_lent());
    }

    #[test]
    fn what_is_malformed_or_has_no_header_is_nothing() {
        for bad in [&[0, 0, 0, 3, 0x41, 1][..], &[0, 0], &[0, 0, 0, 1], &[0xff; 8]] {
            assert!(begun().image(&video(Role::Delta, bad.to_vec())).is_empty(), "{bad:?}");
        }
        let many = prefixed(&vec![&[0x41u8][..]; limits::NALS_PER_ACCESS_UNIT + 1]);
        assert!(begun().image(&video(Role::Delta, many)).is_empty());
        let sound = video(Role::Key, prefixed(&[&[0x65]]));
        assert!(Elementary::default().image(&sound).is_empty());
        let other = Frame { codec: Codec::H265, ..sound };
        assert!(begun().image(&other).is_empty());
    }

    #[test]
    fn aac_comes_behind_adts_and_other_sounds_as_they_are() {
        let mut mux = Elementary::default();
        let raw = frame(Kind::Audio, Codec::Aac, Role::Key, vec![0x21; 40]);
        assert!(mux.image(&raw).is_empty());
        assert!(mux.image(&frame(Kind::Audio, Codec::Aac, Role::Header, vec![0x12, 0x10])).is_empty());
        let image = mux.image(&raw).bytes();
        let frames: Vec<_> = aac::adts_frames(&image).collect::<Result<_, _>>().unwrap();
        let [(header, payload)] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!((header.sample_rate, header.channels), (44100, 2));
        assert_eq!(*payload, &[0x21; 40][..]);
        let opus = frame(Kind::Audio, Codec::Opus, Role::Key, vec![1, 2]);
        assert_eq!(mux.image(&opus), opus.payload);
    }

    #[test]
    fn an_av1_keyframe_has_its_sequence_header() {
        let mut mux = Elementary::default();
        let (sequence, picture): (&[u8], &[u8]) = (&[0x0a, 1, 5], &[0x32, 1, 6]);
        let record = [&[0x81, 0, 0, 0], sequence].concat();
        mux.image(&frame(Kind::Video, Codec::Av1, Role::Header, record));
        let delimiter: &[u8] = &[0x12, 0];
        for (role, obus, expected) in [
            (Role::Key, vec![picture], vec![sequence, picture]),
            (Role::Key, vec![delimiter, picture], vec![delimiter, sequence, picture]),
            (Role::Key, vec![delimiter, sequence, picture], vec![delimiter, sequence, picture]),
            (Role::Delta, vec![picture], vec![picture]),
        ] {
            let image = mux.image(&frame(Kind::Video, Codec::Av1, role, obus.concat()));
            assert_eq!(image, expected.concat(), "{obus:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_may_be_cut_anywhere(
            nals in prop::collection::vec(prop::collection::vec(0u8..0x60, 1..3000), 1..4),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let nals: Vec<&[u8]> = nals.iter().map(|nal| &nal[..]).collect();
            let payload = Bytes::from(prefixed(&nals));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len())).collect();
            cuts.sort_unstable();
            let mut rest = payload.clone();
            let mut pieces: Vec<_> =
                cuts.iter().map(|cut| rest.split_to(cut + rest.len() - payload.len())).collect();
            pieces.push(rest);
            let whole = begun().image(&video(Role::Delta, payload));
            prop_assert_eq!(begun().image(&video(Role::Delta, Chain::new(pieces))), whole);
        }

        #[test]
        fn any_payload_is_an_image_or_none(
            payload in prop::collection::vec(any::<u8>(), 0..80),
            header in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for codec in [Codec::H264, Codec::H265, Codec::Av1] {
                let mut mux = begun();
                let _ = mux.image(&frame(Kind::Video, codec, Role::Header, header.clone()));
                let _ = mux.image(&frame(Kind::Video, codec, Role::Key, payload.clone()));
            }
        }
    }
}
