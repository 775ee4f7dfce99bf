//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) and ADTS framing (1.A.2.2).

use bytes::Bytes;

use super::bits::Bits;
use crate::wire::{Malformed, Reader};

/// AAC LC, the object type of nearly all AAC (table 1.17).
pub const OBJECT_LC: u8 = 2;
/// Spectral band replication: HE-AAC.
const OBJECT_SBR: u8 = 5;
/// Parametric stereo: HE-AAC v2.
const OBJECT_PS: u8 = 29;
/// The object type that says that a longer one follows.
const OBJECT_ESCAPE: u8 = 31;
/// The sampling frequency index that says that the frequency follows in 24 bits.
const RATE_ESCAPE: u8 = 15;
/// Samples per second by index (table 1.18).
const RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// How AAC is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Audio object type of the core: 1 Main, 2 LC, … For HE-AAC it is still that of the core.
    pub object_type: u8,
    /// Samples per second of the core.
    pub sample_rate: u32,
    /// Channels of the core, as its configuration or its program config element counts them. 0 where an
    /// ADTS header leaves them to the frame.
    pub channels: u8,
    /// Samples per second after spectral band replication, where it is signalled: HE-AAC.
    pub sbr_sample_rate: Option<u32>,
    /// Whether parametric stereo is signalled: HE-AAC v2, one channel that becomes two.
    pub ps: bool,
}

impl AudioSpecificConfig {
    /// Without the extensions of HE-AAC.
    pub fn new(object_type: u8, sample_rate: u32, channels: u8) -> Self {
        Self { object_type, sample_rate, channels, sbr_sample_rate: None, ps: false }
    }

    /// Reads a configuration, with the extensions signalled before the core's (hierarchical) or after it
    /// (backward compatible).
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::new(bytes);
        let mut object_type = object_type_of(&mut b)?;
        let sample_rate = sample_rate_of(&mut b)?;
        let channel_configuration = b.byte(4)?;
        let mut sbr_sample_rate = None;
        let ps = object_type == OBJECT_PS;
        if matches!(object_type, OBJECT_SBR | OBJECT_PS) {
            sbr_sample_rate = Some(sample_rate_of(&mut b)?);
            object_type = object_type_of(&mut b)?;
        }

        let mut config = Self { object_type, sample_rate, channels: 0, sbr_sample_rate, ps };
        config.channels = match channels_of(channel_configuration)? {
            0 if has_ga_config(object_type) => ga_config(&mut b, true)?.unwrap_or(0),
            channels => {
                // What follows is optional for us: encoders exist that leave it out.
                if !has_ga_config(object_type) || ga_config(&mut b, false).is_err() {
                    return Ok(Self { channels, ..config });
                }
                channels
            }
        };
        if config.sbr_sample_rate.is_none() {
            (config.sbr_sample_rate, config.ps) = sync_extension(&mut b).unwrap_or((None, false));
        }
        Ok(config)
    }

    /// Builds a configuration, the extensions signalled hierarchically.
    pub fn build(&self) -> Result<Bytes, Malformed> {
        let channel_configuration = match self.channels {
            channels @ 1..=6 => channels,
            8 => 7,
            7 => 11,
            other => return Err(Malformed::Field { what: "AAC channels", value: u32::from(other) }),
        };
        let mut out = Packer::default();
        if let Some(rate) = self.sbr_sample_rate {
            out.object_type(if self.ps { OBJECT_PS } else { OBJECT_SBR })?;
            out.sample_rate(self.sample_rate)?;
            out.bits(4, channel_configuration.into());
            out.sample_rate(rate)?;
            out.object_type(self.object_type)?;
        } else {
            out.object_type(self.object_type)?;
            out.sample_rate(self.sample_rate)?;
            out.bits(4, channel_configuration.into());
        }
        // GASpecificConfig: frames of 1024 samples, no core coder, no extension.
        out.bits(3, 0);
        Ok(out.finish())
    }

    /// Channels that are heard: parametric stereo makes two of one.
    pub fn output_channels(&self) -> u8 {
        if self.ps && self.channels == 1 { 2 } else { self.channels }
    }

    /// Samples per second that are heard.
    pub fn output_sample_rate(&self) -> u32 {
        self.sbr_sample_rate.unwrap_or(self.sample_rate)
    }
}

/// An ADTS header (ISO/IEC 14496-3, 1.A.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adts {
    /// The same in the terms of MPEG-4.
    pub config: AudioSpecificConfig,
    /// Bytes of the header: 7, or 9 with a checksum.
    pub header_len: usize,
    /// Bytes of the frame, header included.
    pub frame_len: usize,
}

impl Adts {
    /// Reads the header at the first byte. Frames that bundle several raw blocks are refused: nobody
    /// sends them, and they aren't one access unit.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut b = Bits::new(bytes);
        let syncword = b.bits(12)?;
        if syncword != 0xfff {
            return Err(Malformed::Field { what: "ADTS syncword", value: syncword });
        }
        b.skip(1)?; // ID: MPEG-2 or MPEG-4
        let layer = b.bits(2)?;
        if layer != 0 {
            return Err(Malformed::Field { what: "ADTS layer", value: layer });
        }
        let header_len = if b.bit()? { 7 } else { 9 };
        let object_type = b.byte(2)?.saturating_add(1);
        let sample_rate = rate_by_index(b.byte(4)?)?;
        b.skip(1)?; // private_bit
        let channels = channels_of(b.byte(3)?)?;
        b.skip(4)?; // original, home, copyright
        let len = b.bits(13)?;
        b.skip(11)?; // adts_buffer_fullness
        let blocks = b.bits(2)?;
        if blocks != 0 {
            return Err(Malformed::Field { what: "ADTS raw data blocks", value: blocks });
        }
        let frame_len = usize::try_from(len).unwrap_or(0);
        if frame_len < header_len {
            return Err(Malformed::Field { what: "ADTS frame length", value: len });
        }
        let config = AudioSpecificConfig::new(object_type, sample_rate, channels);
        Ok(Self { config, header_len, frame_len })
    }
}

/// What stands before each raw frame of a stream as ADTS, all but the frame's length
/// (ISO/IEC 14496-3, 1.A.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdtsHeader {
    profile: u8,
    rate_index: u8,
    channel_configuration: u8,
}

impl AdtsHeader {
    /// Bytes of a header; there is no checksum.
    pub const LEN: usize = 7;
    /// The longest raw frame that a header can tell the length of, in bytes.
    pub const FRAME_MAX: usize = 0x1fff - Self::LEN;

    /// From an AudioSpecificConfig. HE-AAC becomes its core: a decoder finds the extensions in the frames
    /// (1.6.5). What a header can't say is refused: object types beyond 4, rates that are not in the
    /// table, and channels that only a program config element tells.
    pub fn new(config: &[u8]) -> Result<Self, Malformed> {
        let AudioSpecificConfig { object_type, sample_rate, .. } = AudioSpecificConfig::parse(config)?;
        let profile = object_type.checked_sub(1).filter(|p| *p <= 3);
        let rate_index = RATES.iter().zip(0u8..).find(|(rate, _)| **rate == sample_rate);
        let mut b = Bits::new(config);
        let (_, _, channel_configuration) = (object_type_of(&mut b)?, sample_rate_of(&mut b)?, b.byte(4)?);
        if !(1..=7).contains(&channel_configuration) {
            let value = channel_configuration.into();
            return Err(Malformed::Field { what: "channel configuration for ADTS", value });
        }
        Ok(Self {
            profile: profile
                .ok_or(Malformed::Field { what: "object type for ADTS", value: object_type.into() })?,
            rate_index: rate_index
                .map(|(_, index)| index)
                .ok_or(Malformed::Field { what: "sampling frequency for ADTS", value: sample_rate })?,
            channel_configuration,
        })
    }

    /// The header of a raw frame of `len` bytes, at most [`Self::FRAME_MAX`].
    pub fn of_frame(&self, len: usize) -> Result<[u8; Self::LEN], Malformed> {
        let len = u16::try_from(len.saturating_add(Self::LEN)).ok().filter(|len| *len <= 0x1fff);
        let [high, low] =
            len.ok_or(Malformed::Limit { what: "AAC frame in ADTS", limit: 0x1fff - 7 })?.to_be_bytes();
        Ok([
            0xff,
            0xf1, // MPEG-4, no checksum
            self.profile << 6 | self.rate_index << 2 | self.channel_configuration >> 2,
            self.channel_configuration << 6 | high >> 3,
            high << 5 | low >> 3,
            low << 5 | 0x1f, // adts_buffer_fullness 0x7ff: not told
            0xfc,
        ])
    }
}

/// The raw frames of `data`, which begins at an ADTS header, each with its configuration. After an error
/// there is nothing more.
pub fn adts_frames(data: &[u8]) -> AdtsFrames<'_> {
    AdtsFrames { r: Reader::new(data) }
}

/// The iterator of [`adts_frames`].
#[derive(Debug, Clone)]
pub struct AdtsFrames<'a> {
    r: Reader<'a>,
}

impl<'a> AdtsFrames<'a> {
    fn read(&mut self) -> Result<(AudioSpecificConfig, &'a [u8]), Malformed> {
        let header = Adts::parse(self.r.rest())?;
        let mut frame = Reader::new(self.r.take(header.frame_len)?);
        frame.skip(header.header_len)?;
        Ok((header.config, frame.rest()))
    }
}

impl<'a> Iterator for AdtsFrames<'a> {
    type Item = Result<(AudioSpecificConfig, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.r.is_empty() {
            return None;
        }
        let frame = self.read();
        if frame.is_err() {
            self.r = Reader::new(&[]);
        }
        Some(frame)
    }
}

fn object_type_of(b: &mut Bits<'_>) -> Result<u8, Malformed> {
    match b.byte(5)? {
        0 => Err(Malformed::Field { what: "audio object type", value: 0 }),
        OBJECT_ESCAPE => Ok(b.byte(6)?.saturating_add(32)),
        short => Ok(short),
    }
}

fn sample_rate_of(b: &mut Bits<'_>) -> Result<u32, Malformed> {
    match b.byte(4)? {
        RATE_ESCAPE => match b.bits(24)? {
            0 => Err(Malformed::Field { what: "sampling frequency", value: 0 }),
            rate => Ok(rate),
        },
        index => rate_by_index(index),
    }
}

fn rate_by_index(index: u8) -> Result<u32, Malformed> {
    let rate = RATES.get(usize::from(index)).copied();
    rate.ok_or(Malformed::Field { what: "sampling frequency index", value: u32::from(index) })
}

/// Channels of a channel configuration (table 1.19); 0 where a program config element says.
fn channels_of(configuration: u8) -> Result<u8, Malformed> {
    match configuration {
        0..=6 => Ok(configuration),
        7 | 12 | 14 => Ok(8),
        11 => Ok(7),
        13 => Ok(24),
        _ => Err(Malformed::Field { what: "channel configuration", value: u32::from(configuration) }),
    }
}

/// The object types with a GASpecificConfig (1.6.2.1).
fn has_ga_config(object_type: u8) -> bool {
    matches!(object_type, 1..=4 | 6 | 7 | 17 | 19..=23)
}

/// GASpecificConfig (4.4.1); the channels of its program config element, where `with_elements`. Only up
/// to what AAC's common object types have.
fn ga_config(b: &mut Bits<'_>, with_elements: bool) -> Result<Option<u8>, Malformed> {
    b.skip(1)?; // frameLengthFlag
    if b.bit()? {
        b.skip(14)?; // coreCoderDelay
    }
    b.skip(1)?; // extensionFlag
    if with_elements { program_config_element(b).map(Some) } else { Ok(None) }
}

/// Channels of a program_config_element (4.4.1.1), up to its list of elements.
fn program_config_element(b: &mut Bits<'_>) -> Result<u8, Malformed> {
    b.skip(4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let elements = b.bits(4)?.saturating_add(b.bits(4)?).saturating_add(b.bits(4)?);
    let low_frequency = b.byte(2)?;
    b.skip(3 + 4)?; // associated data and coupling channel elements
    for mixdown_bits in [4, 4, 3] {
        if b.bit()? {
            b.skip(mixdown_bits)?;
        }
    }
    let mut channels = low_frequency;
    for _ in 0..elements {
        channels = channels.saturating_add(if b.bit()? { 2 } else { 1 });
        b.skip(4)?;
    }
    Ok(channels)
}

/// The extension's rate and whether there is parametric stereo, signalled after the core's configuration
/// (1.6.6.1).
fn sync_extension(b: &mut Bits<'_>) -> Result<(Option<u32>, bool), Malformed> {
    if b.remaining() < 16 || b.bits(11)? != 0x2b7 || object_type_of(b)? != OBJECT_SBR || !b.bit()? {
        return Ok((None, false));
    }
    let rate = sample_rate_of(b)?;
    let ps = b.remaining() >= 12 && b.bits(11)? == 0x548 && b.bit()?;
    Ok((Some(rate), ps))
}

/// Writes bit by bit.
#[derive(Default)]
struct Packer {
    bytes: Vec<u8>,
    byte: u8,
    filled: u8,
}

impl Packer {
    fn bits(&mut self, n: u32, value: u32) {
        for i in (0..n).rev() {
            self.byte = self.byte << 1 | u8::from(value >> i & 1 != 0);
            self.filled = self.filled.saturating_add(1);
            if self.filled == 8 {
                self.bytes.push(self.byte);
                (self.byte, self.filled) = (0, 0);
            }
        }
    }

    fn object_type(&mut self, object_type: u8) -> Result<(), Malformed> {
        match object_type {
            1..=30 => self.bits(5, object_type.into()),
            32..=95 => {
                self.bits(5, OBJECT_ESCAPE.into());
                self.bits(6, u32::from(object_type.saturating_sub(32)));
            }
            _ => return Err(Malformed::Field { what: "audio object type", value: object_type.into() }),
        }
        Ok(())
    }

    fn sample_rate(&mut self, rate: u32) -> Result<(), Malformed> {
        match RATES.iter().zip(0u32..).find(|(r, _)| **r == rate) {
            Some((_, index)) => self.bits(4, index),
            None if rate > 0 && rate < 1 << 24 => {
                self.bits(4, RATE_ESCAPE.into());
                self.bits(24, rate);
            }
            None => return Err(Malformed::Field { what: "sampling frequency", value: rate }),
        }
        Ok(())
    }

    fn finish(mut self) -> Bytes {
        while self.filled != 0 {
            self.bits(1, 0);
        }
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_two_bytes() {
        let config = AudioSpecificConfig::new(OBJECT_LC, 44100, 2);
        assert_eq!(AudioSpecificConfig::parse(&[0x12, 0x10]), Ok(config));
        assert_eq!(config.build().unwrap(), &[0x12, 0x10][..]);
    }

    #[test]
    fn a_rate_of_its_own() {
        let config = AudioSpecificConfig::new(OBJECT_LC, 44056, 1);
        assert_eq!(AudioSpecificConfig::parse(&config.build().unwrap()), Ok(config));
    }

    #[test]
    fn he_aac_signalled_before_and_after() {
        // Hierarchical: 5, 22050, 2, 44100, 2.
        let before = AudioSpecificConfig::parse(&[0x2b, 0x92, 0x08, 0x00]).unwrap();
        // Backward compatible: 2, 22050, 2, then 0x2b7, 5, 1, 44100.
        let after = AudioSpecificConfig::parse(&[0x13, 0x90, 0x56, 0xe5, 0xa0]).unwrap();
        assert_eq!(before, after);
        assert_eq!((before.object_type, before.sample_rate, before.channels), (2, 22050, 2));
        assert_eq!(before.output_sample_rate(), 44100);
        assert!(!before.ps);
        assert_eq!(AudioSpecificConfig::parse(&before.build().unwrap()), Ok(before));
    }

    #[test]
    fn he_aac_v2_has_two_channels_at_the_end() {
        let config = AudioSpecificConfig {
            ps: true,
            sbr_sample_rate: Some(48000),
            ..AudioSpecificConfig::new(OBJECT_LC, 24000, 1)
        };
        let parsed = AudioSpecificConfig::parse(&config.build().unwrap()).unwrap();
        assert_eq!(parsed, config);
        assert_eq!(parsed.output_channels(), 2);
        // 0x2b7, 5, 1, 48000, 0x548, 1 after the core's.
        let after = AudioSpecificConfig::parse(&[0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80]).unwrap();
        assert_eq!(after, config);
    }

    #[test]
    fn channels_from_a_program_config_element() {
        let mut p = Packer::default();
        p.object_type(2).unwrap();
        p.sample_rate(48000).unwrap();
        p.bits(4, 0);
        p.bits(3, 0);
        p.bits(10, 0);
        // One single and one pair in front, one pair behind, one for low frequencies.
        for (n, v) in [(4, 2), (4, 0), (4, 1), (2, 1), (7, 0), (3, 0), (5, 0), (5, 16), (5, 16), (4, 0)] {
            p.bits(n, v);
        }
        assert_eq!(AudioSpecificConfig::parse(&p.finish()).unwrap().channels, 6);
    }

    #[test]
    fn what_is_no_configuration() {
        for bytes in [&[][..], &[0x12], &[0x00, 0x10], &[0x16, 0x90], &[0x12, 0x7c]] {
            assert!(AudioSpecificConfig::parse(bytes).is_err(), "{bytes:x?}");
        }
        assert!(AudioSpecificConfig::new(OBJECT_LC, 44100, 9).build().is_err());
        assert!(AudioSpecificConfig::new(0, 44100, 2).build().is_err());
        assert!(AudioSpecificConfig::new(OBJECT_LC, 1 << 24, 2).build().is_err());
    }

    #[test]
    fn adts_frames_with_and_without_checksum() {
        let mut data = vec![0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc, 1, 2];
        data.extend_from_slice(&[0xff, 0xf0, 0x50, 0x80, 0x01, 0x5f, 0xfc, 0xaa, 0xbb, 3]);
        let config = AudioSpecificConfig::new(OBJECT_LC, 44100, 2);
        let frames: Result<Vec<_>, _> = adts_frames(&data).collect();
        assert_eq!(frames, Ok(vec![(config, &[1u8, 2][..]), (config, &[3])]));

        data.push(0xff);
        let mut frames = adts_frames(&data).skip(2);
        assert!(frames.next().unwrap().is_err());
        assert!(frames.next().is_none());
    }

    #[test]
    fn adts_headers_from_a_configuration() {
        let lc = AdtsHeader::new(&[0x12, 0x10]).unwrap();
        assert_eq!(lc.of_frame(2), Ok([0xff, 0xf1, 0x50, 0x80, 0x01, 0x3f, 0xfc]));
        // HE-AAC, signalled before and after: its core of 22050 Hz.
        let he = AdtsHeader::new(&[0x2b, 0x92, 0x08, 0x00]).unwrap();
        assert_eq!(Ok(he), AdtsHeader::new(&[0x13, 0x90, 0x56, 0xe5, 0xa0]));
        let core = AudioSpecificConfig::new(OBJECT_LC, 22050, 2);
        assert_eq!(Adts::parse(&he.of_frame(100).unwrap()).unwrap().config, core);
        // Eight channels are configuration 7.
        let config = AudioSpecificConfig::new(OBJECT_LC, 48000, 8);
        let eight = AdtsHeader::new(&config.build().unwrap()).unwrap();
        assert_eq!(Adts::parse(&eight.of_frame(0).unwrap()).unwrap().config, config);
    }

    #[test]
    fn what_adts_cannot_say() {
        let refused = [
            AudioSpecificConfig::new(5, 48000, 2),
            AudioSpecificConfig::new(OBJECT_LC, 44056, 2),
            AudioSpecificConfig::new(OBJECT_LC, 48000, 7),
        ];
        for config in refused {
            assert!(AdtsHeader::new(&config.build().unwrap()).is_err(), "{config:?}");
        }
        assert!(AdtsHeader::new(&[0x11, 0x80, 0x04, 0xc8, 0x00]).is_err());
        let header = AdtsHeader::new(&[0x12, 0x10]).unwrap();
        let longest = Adts::parse(&header.of_frame(AdtsHeader::FRAME_MAX).unwrap()).unwrap();
        assert_eq!(longest.frame_len, 0x1fff);
        assert!(header.of_frame(AdtsHeader::FRAME_MAX + 1).is_err());
        assert!(header.of_frame(usize::MAX).is_err());
    }

    #[test]
    fn an_adts_frame_shorter_than_its_header() {
        let data = [0xff, 0xf1, 0x50, 0x80, 0x00, 0xdf, 0xfc];
        assert!(matches!(Adts::parse(&data), Err(Malformed::Field { what: "ADTS frame length", value: 6 })));
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed(
            object_type in prop_oneof![1u8..5, Just(6), Just(17), Just(23), Just(42)],
            sample_rate in prop_oneof![prop::sample::select(&RATES[..]), 1u32..1 << 24],
            channels in 1u8..=8,
            sbr in prop::option::of(1u32..1 << 24),
            ps in any::<bool>(),
        ) {
            let config = AudioSpecificConfig {
                sbr_sample_rate: sbr,
                ps: ps && sbr.is_some(),
                ..AudioSpecificConfig::new(object_type, sample_rate, channels)
            };
            prop_assert_eq!(AudioSpecificConfig::parse(&config.build().unwrap()), Ok(config));
        }

        #[test]
        fn an_adts_header_says_what_it_was_made_of(
            object_type in 1u8..5,
            sample_rate in prop::sample::select(&RATES[..]),
            channels in prop::sample::select(&[1u8, 2, 3, 4, 5, 6, 8][..]),
            len in 0..=AdtsHeader::FRAME_MAX,
        ) {
            let config = AudioSpecificConfig::new(object_type, sample_rate, channels);
            let header = AdtsHeader::new(&config.build().unwrap()).unwrap().of_frame(len).unwrap();
            let frame_len = len + AdtsHeader::LEN;
            prop_assert_eq!(Adts::parse(&header), Ok(Adts { config, header_len: 7, frame_len }));
        }

        #[test]
        fn any_bytes_are_something_or_malformed(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = AudioSpecificConfig::parse(&bytes);
            let _ = AdtsHeader::new(&bytes);
            let mut data = vec![0xff, 0xf1];
            data.extend_from_slice(&bytes);
            for frame in adts_frames(&data) {
                let _ = frame;
            }
        }
    }
}
