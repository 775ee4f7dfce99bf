//! What an encoder hands over becomes frames: Annex B and ADTS are taken apart, parameter sets become
//! sequence headers, and the access unit is copied once, on the encoder's own thread.

use std::fmt;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::frame::{Codec, Frame, Kind, Role};
use crate::codec::{aac, annexb, avcc, h264};
use crate::wire::{Malformed, limits};

/// The frames that one access unit becomes: its sequence header if that changed, then itself.
pub type Packed = SmallVec<[Frame; 2]>;

/// The bytes of what is packed, in pieces that may be cut anywhere.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// They are the caller's: what is kept of them is copied.
    Copied(&'a [&'a [u8]]),
    /// Each piece holds its memory: what is large is shared.
    Lent(&'a [Bytes]),
}

/// Samples in one AAC frame.
const AAC_SAMPLES: i64 = 1024;

/// How AAC is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioFormat {
    /// Each frame behind an ADTS header; several may follow one another.
    Adts,
    /// Raw frames; the AudioSpecificConfig was given before.
    Raw,
}

/// What is wrong with an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackError {
    /// No NAL unit of a picture and no parameter set in it.
    Empty,
    /// A picture came before a sequence and a picture parameter set.
    NoParameterSets,
    /// Raw AAC came before an AudioSpecificConfig.
    NoAudioConfig,
    /// It is larger than [`limits::RTMP_MESSAGE_BYTES`].
    TooLarge,
    /// The bitstream is broken.
    Bitstream(Malformed),
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no NAL unit of a picture behind an Annex B start code"),
            Self::NoParameterSets => f.write_str("a picture came before its SPS and PPS"),
            Self::NoAudioConfig => f.write_str("raw AAC came before its AudioSpecificConfig"),
            Self::TooLarge => write!(f, "an access unit of more than {} bytes", limits::RTMP_MESSAGE_BYTES),
            Self::Bitstream(cause) => write!(f, "bitstream: {cause}"),
        }
    }
}

impl std::error::Error for PackError {}

impl From<Malformed> for PackError {
    fn from(cause: Malformed) -> Self {
        Self::Bitstream(cause)
    }
}

/// Packs one publisher's access units. Remembers the parameter sets in force.
#[derive(Debug, Default)]
pub struct Packer {
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
    avc: Bytes,
    aac: Option<aac::AudioSpecificConfig>,
    aac_record: Bytes,
    /// The sequence header has not been handed out, or has been lost.
    avc_due: bool,
    aac_due: bool,
}

impl Packer {
    /// One H.264 access unit in Annex B, times in µs.
    pub fn h264(&mut self, data: &[u8], pts: i64, dts: i64) -> Result<Packed, PackError> {
        if data.len() > limits::RTMP_MESSAGE_BYTES {
            return Err(PackError::TooLarge);
        }
        let (mut sps, mut pps) = (Vec::new(), Vec::new());
        let (mut picture, mut key) = (false, false);
        for nal in annexb::nals(data) {
            match h264::nal_type(nal) {
                Some(h264::NAL_SPS) if sps.len() < limits::PARAMETER_SETS => sps.push(nal),
                Some(h264::NAL_PPS) if pps.len() < limits::PARAMETER_SETS => pps.push(nal),
                Some(h264::NAL_IDR) => (picture, key) = (true, true),
                Some(1..=4) => picture = true,
                _ => {}
            }
        }
        self.parameter_sets(&sps, &pps)?;
        let mut out = Packed::new();
        if !picture {
            return if sps.is_empty() && pps.is_empty() { Err(PackError::Empty) } else { Ok(out) };
        }
        if self.avc.is_empty() {
            return Err(PackError::NoParameterSets);
        }
        if self.avc_due {
            self.avc_due = false;
            out.push(header(Kind::Video, Codec::H264, dts, self.avc.clone()));
        }
        // Start codes of three bytes become lengths of four.
        let mut payload = BytesMut::with_capacity(data.len() + 16);
        let kept = |t: u8| !matches!(t, h264::NAL_SPS | h264::NAL_PPS | h264::NAL_AUD);
        avcc::annexb_to_length_prefixed(data, kept, &mut payload);
        let role = if key { Role::Key } else { Role::Delta };
        let payload = payload.freeze();
        out.push(Frame {
            kind: Kind::Video,
            codec: Codec::H264,
            role,
            dts,
            pts,
            payload: payload.into(),
            relay: Bytes::new(),
        });
        Ok(out)
    }

    /// The AudioSpecificConfig of raw AAC (ISO 14496-3, 1.6.2.1).
    pub fn aac_config(&mut self, config: &[u8]) -> Result<(), PackError> {
        self.aac = Some(aac::AudioSpecificConfig::parse(config)?);
        self.aac_due |= self.aac_record != config;
        self.aac_record = Bytes::copy_from_slice(config);
        Ok(())
    }

    /// AAC frames, times in µs of the first.
    pub fn aac(&mut self, format: AudioFormat, data: &[u8], pts: i64) -> Result<Packed, PackError> {
        if data.len() > limits::RTMP_MESSAGE_BYTES {
            return Err(PackError::TooLarge);
        }
        let mut out = Packed::new();
        if format == AudioFormat::Raw {
            if self.aac.is_none() {
                return Err(PackError::NoAudioConfig);
            }
            self.push_aac(&mut out, data, pts);
            return Ok(out);
        }
        if let Err(e) = self.adts(&mut out, data, pts) {
            // Frames before the broken one are not handed out, nor is the header that was among them.
            self.aac_due = self.aac.is_some();
            return Err(e);
        }
        if out.is_empty() { Err(PackError::Empty) } else { Ok(out) }
    }

    fn adts(&mut self, out: &mut Packed, data: &[u8], pts: i64) -> Result<(), PackError> {
        for (i, frame) in aac::adts_frames(data).enumerate() {
            let (config, raw) = frame?;
            if self.aac.as_ref() != Some(&config) {
                self.aac_record = config.build()?;
                self.aac_due = true;
                self.aac = Some(config);
            }
            let rate = i64::from(config.sample_rate.max(1));
            let offset = (i as i64).saturating_mul(AAC_SAMPLES * 1_000_000) / rate;
            self.push_aac(out, raw, pts.saturating_add(offset));
        }
        Ok(())
    }

    /// A header that was handed out has been lost: it is due again.
    pub fn lost_headers(&mut self) {
        self.avc_due = !self.avc.is_empty();
        self.aac_due = self.aac.is_some();
    }

    fn push_aac(&mut self, out: &mut Packed, raw: &[u8], pts: i64) {
        if self.aac_due {
            self.aac_due = false;
            out.push(header(Kind::Audio, Codec::Aac, pts, self.aac_record.clone()));
        }
        out.push(Frame {
            kind: Kind::Audio,
            codec: Codec::Aac,
            role: Role::Key,
            dts: pts,
            pts,
            payload: Bytes::copy_from_slice(raw).into(),
            relay: Bytes::new(),
        });
    }

    /// Takes what an access unit brings of parameter sets: a kind that it brings replaces what was held.
    fn parameter_sets(&mut self, sps: &[&[u8]], pps: &[&[u8]]) -> Result<(), PackError> {
        let same = |held: &[Bytes], new: &[&[u8]]| new.is_empty() || held.iter().eq(new.iter());
        if same(&self.sps, sps) && same(&self.pps, pps) {
            return Ok(());
        }
        let owned = |held: &[Bytes], new: &[&[u8]]| -> Vec<Bytes> {
            if new.is_empty() {
                held.to_vec()
            } else {
                new.iter().map(|n| Bytes::copy_from_slice(n)).collect()
            }
        };
        let (sps, pps) = (owned(&self.sps, sps), owned(&self.pps, pps));
        if !sps.is_empty() && !pps.is_empty() {
            let (s, p): (Vec<&[u8]>, Vec<&[u8]>) =
                (sps.iter().map(Bytes::as_ref).collect(), pps.iter().map(Bytes::as_ref).collect());
            // Broken ones change nothing: what was in force stays, and they are refused again next time.
            self.avc = avcc::build(&s, &p)?;
            self.avc_due = true;
        }
        (self.sps, self.pps) = (sps, pps);
        Ok(())
    }
}

fn header(kind: Kind, codec: Codec, dts: i64, payload: Bytes) -> Frame {
    Frame { kind, codec, role: Role::Header, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[
        0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00,
        0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96,
    ];
    const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];

    fn annexb(nals: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, nal) in nals.iter().enumerate() {
            let start: &[u8] = if i % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] };
            out.extend_from_slice(start);
            out.extend_from_slice(nal);
        }
        out
    }

    #[test]
    fn a_keyframe_brings_its_header_once() {
        let mut p = Packer::default();
        let au = annexb(&[&[9, 0xf0], SPS, PPS, &[0x65, 1, 2, 3]]);
        let frames = p.h264(&au, 40_000, 0).unwrap();
        assert_eq!(frames.iter().map(|f| f.role).collect::<Vec<_>>(), [Role::Header, Role::Key]);
        assert_eq!(frames[1].payload.as_ref(), [0, 0, 0, 4, 0x65, 1, 2, 3]);
        assert_eq!((frames[1].dts, frames[1].pts), (0, 40_000));
        assert_eq!(p.h264(&au, 0, 0).unwrap().len(), 1, "the same parameter sets are no news");
        assert_eq!(p.h264(&annexb(&[&[0x41, 9]]), 0, 0).unwrap()[0].role, Role::Delta);
        p.lost_headers();
        assert_eq!(p.h264(&au, 0, 0).unwrap().len(), 2);
    }

    #[test]
    fn parameter_sets_may_come_alone_and_before() {
        let mut p = Packer::default();
        assert_eq!(p.h264(&annexb(&[&[0x65, 1]]), 0, 0), Err(PackError::NoParameterSets));
        assert!(p.h264(&annexb(&[SPS]), 0, 0).unwrap().is_empty());
        assert!(p.h264(&annexb(&[PPS]), 0, 0).unwrap().is_empty());
        assert_eq!(p.h264(&annexb(&[&[0x65, 1]]), 0, 0).unwrap().len(), 2);
        assert_eq!(p.h264(&[1, 2, 3], 0, 0), Err(PackError::Empty));
    }

    #[test]
    fn raw_aac_needs_its_config() {
        let mut p = Packer::default();
        assert_eq!(p.aac(AudioFormat::Raw, &[1, 2], 0), Err(PackError::NoAudioConfig));
        p.aac_config(&[0x12, 0x10]).unwrap();
        let frames = p.aac(AudioFormat::Raw, &[1, 2], 7).unwrap();
        assert_eq!(frames.iter().map(|f| f.role).collect::<Vec<_>>(), [Role::Header, Role::Key]);
        assert_eq!(frames[0].payload.as_ref(), [0x12, 0x10]);
    }

    #[test]
    fn adts_frames_in_one_buffer_get_their_own_times() {
        // AAC LC, 44.1 kHz, stereo, two frames of 7 + 2 bytes.
        let one = [0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc, 0xaa, 0xbb];
        let mut p = Packer::default();
        let frames = p.aac(AudioFormat::Adts, &[one, one].concat(), 1000).unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0].payload.as_ref(), [0x12, 0x10]);
        assert_eq!(frames[1].pts, 1000);
        assert_eq!(frames[2].pts, 1000 + 1024 * 1_000_000 / 44_100);
        assert!(p.aac(AudioFormat::Adts, &one[..8], 0).is_err());
    }

    #[test]
    fn what_is_refused_takes_no_header_with_it() {
        let one = [0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc, 0xaa, 0xbb];
        let mut p = Packer::default();
        assert!(p.aac(AudioFormat::Adts, &[&one[..], &[1, 2, 3]].concat(), 0).is_err());
        assert_eq!(p.aac(AudioFormat::Adts, &one, 0).unwrap()[0].role, Role::Header);

        let broken = annexb(&[&[0x67], PPS, &[0x65, 1]]);
        assert!(p.h264(&broken, 0, 0).is_err());
        assert!(p.h264(&broken, 0, 0).is_err(), "refused each time");
        assert_eq!(p.h264(&annexb(&[SPS, PPS, &[0x65, 1]]), 0, 0).unwrap()[0].role, Role::Header);
        assert!(p.h264(&broken, 0, 0).is_err());
        assert!(p.h264(&broken, 0, 0).is_err(), "also when others are in force");
    }
}
