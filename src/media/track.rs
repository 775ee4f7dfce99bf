//! What a track is, as far as its header says: for statistics, and for the API.

use super::{Codec, Frame, Kind, Role};
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::av1;
use crate::codec::avcc::AvcConfig;
use crate::codec::flac::StreamInfo;
use crate::codec::g711;
use crate::codec::h264::Sps;
use crate::codec::h265::{self, HevcConfig};
use crate::codec::jpeg;
use crate::codec::mp3::Mp3Header;

/// A video track. What isn't known is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTrack {
    /// How it is coded.
    pub codec: Codec,
    /// profile_idc (H.264), general_profile_idc (H.265) or seq_profile (AV1).
    pub profile: u8,
    /// level_idc (H.264), ten times the level, or general_level_idc (H.265), thirty times the level,
    /// or seq_level_idx (AV1).
    pub level: u8,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames per second as a fraction, where the header says.
    pub frame_rate: Option<(u32, u32)>,
}

/// An audio track. What isn't known is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTrack {
    /// How it is coded.
    pub codec: Codec,
    /// Audio object type (AAC), that of the core for HE-AAC.
    pub profile: u8,
    /// Samples per second that are heard.
    pub sample_rate: u32,
    /// Channels that are heard.
    pub channels: u8,
}

/// The video track that `frame` describes: any video header, or any picture of JPEG, which has none. `None` for
/// other frames, and for a header of H.264, H.265 or AV1 or a picture that isn't one.
pub fn video_track(frame: &Frame) -> Option<VideoTrack> {
    let describes = if frame.codec == Codec::Mjpeg { Role::Key } else { Role::Header };
    if frame.kind != Kind::Video || frame.role != describes {
        return None;
    }
    let mut track =
        VideoTrack { codec: frame.codec, profile: 0, level: 0, width: 0, height: 0, frame_rate: None };
    match frame.codec {
        Codec::H264 => {
            let config = AvcConfig::parse(&frame.payload.bytes()).ok()?;
            (track.profile, track.level) = (config.profile, config.level);
            if let Some(sps) = config.sps.first().and_then(|nal| Sps::parse(nal).ok()) {
                (track.width, track.height) = (sps.width, sps.height);
                track.frame_rate = sps.frame_rate;
            }
        }
        Codec::H265 => {
            let config = HevcConfig::parse(&frame.payload.bytes()).ok()?;
            (track.profile, track.level) = (config.profile.idc, config.profile.level_idc);
            if let Some(sps) = config.sps.first().and_then(|nal| h265::Sps::parse(nal).ok()) {
                (track.width, track.height) = (sps.width, sps.height);
                track.frame_rate = sps.frame_rate;
            }
        }
        Codec::Av1 => {
            let record = frame.payload.bytes();
            // Players are told by the sequence header in it, which may be left out.
            if let Some((sequence, _)) = av1::of_record(&record).ok()? {
                (track.profile, track.level) = (sequence.profile, sequence.level);
                (track.width, track.height) = (sequence.width, sequence.height);
                track.frame_rate = sequence.frame_rate;
            }
        }
        Codec::Mjpeg => {
            (track.width, track.height) = jpeg::size(&frame.payload.bytes()).ok()?;
        }
        _ => {}
    }
    Some(track)
}

/// The audio track that `frame` describes: any audio header, or any frame of MP3, G.711 or a codec that isn't
/// understood, which have none. `None` for other frames, and for a header of AAC or FLAC or a frame of MP3 that isn't one.
pub fn audio_track(frame: &Frame) -> Option<AudioTrack> {
    if frame.kind != Kind::Audio {
        return None;
    }
    let track = AudioTrack { codec: frame.codec, profile: 0, sample_rate: 0, channels: 0 };
    match (frame.codec, frame.role) {
        (Codec::Aac, Role::Header) => {
            let config = AudioSpecificConfig::parse(&frame.payload.bytes()).ok()?;
            Some(AudioTrack {
                profile: config.object_type,
                sample_rate: config.output_sample_rate(),
                channels: config.output_channels(),
                ..track
            })
        }
        (Codec::Mp3, Role::Key) => {
            let header = Mp3Header::parse(&frame.payload.bytes()).ok()?;
            Some(AudioTrack { sample_rate: header.sample_rate, channels: header.channels, ..track })
        }
        (Codec::G711A | Codec::G711U, Role::Key) => {
            Some(AudioTrack { sample_rate: g711::RATE, channels: 1, ..track })
        }
        // Opus decodes at 48 kHz whatever went in; OpusHead (RFC 7845, 5.1) has the channels.
        (Codec::Opus, Role::Header) => {
            let channels = frame.payload.bytes().get(9).copied().unwrap_or(0);
            Some(AudioTrack { sample_rate: 48000, channels, ..track })
        }
        (Codec::Flac, Role::Header) => {
            let info = StreamInfo::parse(&frame.payload.bytes()).ok()?;
            Some(AudioTrack { sample_rate: info.sample_rate, channels: info.channels, ..track })
        }
        // Which codec it is decides what can carry it.
        (_, Role::Header) | (Codec::Other(_), Role::Key) => Some(track),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::Chain;
    use super::*;
    use crate::codec::avcc;

    fn frame(kind: Kind, codec: Codec, role: Role, payload: impl Into<Chain>) -> Frame {
        Frame { kind, codec, role, dts: 0, pts: 0, payload: payload.into(), relay: Bytes::new() }
    }

    #[test]
    fn a_video_track_from_its_header() {
        let sps: &[u8] = &[
            0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9,
            0x00, 0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
        ];
        let record = avcc::build(&[sps], &[&[0x68, 0xce]]).unwrap();
        let track = video_track(&frame(Kind::Video, Codec::H264, Role::Header, record.clone())).unwrap();
        assert_eq!((track.profile, track.level), (66, 30));
        assert_eq!((track.width, track.height, track.frame_rate), (640, 360, Some((30000, 1001))));
        assert_eq!(video_track(&frame(Kind::Video, Codec::H264, Role::Key, record)), None);
        assert_eq!(video_track(&frame(Kind::Video, Codec::H264, Role::Header, &b"\x02"[..])), None);
    }

    #[test]
    fn an_h265_track_from_its_header() {
        let sps: &[u8] = &[
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03,
            0x00, 0x3c, 0xa0, 0x0a, 0x48, 0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80,
            0x80, 0x00, 0x01, 0xf4, 0x80, 0x00, 0x3a, 0x98, 0x04,
        ];
        let record = h265::build(&[], &[sps], &[]).unwrap();
        let track = video_track(&frame(Kind::Video, Codec::H265, Role::Header, record)).unwrap();
        assert_eq!((track.profile, track.level), (1, 60));
        assert_eq!((track.width, track.height, track.frame_rate), (322, 182, Some((30000, 1001))));
        assert_eq!(video_track(&frame(Kind::Video, Codec::H265, Role::Header, &b"\x02"[..])), None);
    }

    #[test]
    fn an_av1_track_from_its_header_and_a_jpeg_one_from_any_picture() {
        let record: &[u8] = &[
            0x81, 0x00, 0x0c, 0x00, 0x0a, 0x0b, 0x00, 0x00, 0x00, 0x04, 0x3d, 0x06, 0xd4, 0xda, 0xf9, 0x00,
            0x40,
        ];
        let size = |codec, role, payload: &'static [u8]| {
            video_track(&frame(Kind::Video, codec, role, payload)).map(|track| (track.width, track.height))
        };
        assert_eq!(size(Codec::Av1, Role::Header, record), Some((322, 182)));
        assert_eq!(size(Codec::Av1, Role::Header, &record[..4]), Some((0, 0)));
        assert_eq!(size(Codec::Av1, Role::Header, &record[..3]), None);
        let picture: &[u8] = &[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0x01, 0x00, 0x02, 0x80];
        assert_eq!(size(Codec::Mjpeg, Role::Key, picture), Some((640, 256)));
        assert_eq!(size(Codec::Mjpeg, Role::Key, &picture[..5]), None);
    }

    #[test]
    fn audio_tracks() {
        let says = |codec, role, payload: &'static [u8]| {
            audio_track(&frame(Kind::Audio, codec, role, payload))
                .map(|t| (t.profile, t.sample_rate, t.channels))
        };
        assert_eq!(says(Codec::Aac, Role::Header, b"\x12\x10"), Some((2, 44100, 2)));
        assert_eq!(says(Codec::Aac, Role::Key, b"\x12\x10"), None);
        assert_eq!(says(Codec::Mp3, Role::Key, b"\xff\xfb\x90\x00"), Some((0, 44100, 2)));
        assert_eq!(says(Codec::G711U, Role::Key, b"x"), Some((0, 8000, 1)));
        assert_eq!(says(Codec::Other(11), Role::Key, b"x"), Some((0, 0, 0)));
        assert_eq!(says(Codec::Other(11), Role::Mark, b""), None);
        assert_eq!(says(Codec::Opus, Role::Header, b"OpusHead\x01\x02"), Some((0, 48000, 2)));
        let streaminfo = b"\x10\0\x10\0\0\0\0\0\0\0\x0b\xb8\x02\xf0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(says(Codec::Flac, Role::Header, streaminfo), Some((0, 48000, 2)));
        assert_eq!(says(Codec::Flac, Role::Header, b"fLaC"), None);
    }

    proptest! {
        #[test]
        fn any_payload_is_a_track_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let bytes = Bytes::from(bytes);
            for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Mjpeg] {
                let role = if codec == Codec::Mjpeg { Role::Key } else { Role::Header };
                let _ = video_track(&frame(Kind::Video, codec, role, bytes.clone()));
            }
            for codec in [Codec::Aac, Codec::Mp3, Codec::Opus, Codec::Flac] {
                for role in [Role::Header, Role::Key] {
                    let _ = audio_track(&frame(Kind::Audio, codec, role, bytes.clone()));
                }
            }
        }
    }
}
