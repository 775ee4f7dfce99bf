//! Profiles and levels in SRS's words.

use crate::codec::aac::AudioSpecificConfig;
use crate::media::{AudioTrack, Codec, VideoTrack};

/// What a profile that has no name here is called.
const OTHER: &str = "Other";

/// The profile of a video track (H.264, annex A; H.265, A.3).
pub(super) fn video_profile(video: &VideoTrack) -> &'static str {
    match (video.codec, video.profile) {
        (Codec::H264, 66) => "Baseline",
        (Codec::H264, 77) => "Main",
        (Codec::H264, 88) => "Extended",
        (Codec::H264, 100) => "High",
        (Codec::H264, 110) => "High(10)",
        (Codec::H264, 122) => "High(422)",
        (Codec::H264, 144) => "High(444)",
        (Codec::H264, 244) => "High(444+Predictive)",
        (Codec::H265, 1) => "Main",
        (Codec::H265, 2) => "Main10",
        (Codec::H265, 3) => "MainStillPicture",
        (Codec::H265, 4) => "Rext",
        _ => OTHER,
    }
}

/// The level of a video track: `1.3`, and `3` where nothing stands behind the point.
pub(super) fn video_level(video: &VideoTrack) -> String {
    let tenths = match video.codec {
        Codec::H264 => u32::from(video.level),
        Codec::H265 => u32::from(video.level) / 3,
        _ => 0,
    };
    match (tenths / 10, tenths % 10) {
        (0, _) => OTHER.to_owned(),
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    }
}

/// The profile of an audio track; its header says whether it is HE-AAC.
pub(super) fn audio_profile(audio: &AudioTrack, header: Option<&[u8]>) -> &'static str {
    if audio.codec != Codec::Aac {
        return OTHER;
    }
    let config = header.and_then(|header| AudioSpecificConfig::parse(header).ok());
    match config {
        Some(config) if config.ps => "HEv2",
        Some(config) if config.sbr_sample_rate.is_some() => "HE",
        _ => match audio.profile {
            1 => "Main",
            2 => "LC",
            3 => "SSR",
            _ => OTHER,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_levels_have_names() {
        let track = |codec, profile, level| {
            let video = VideoTrack { codec, profile, level, width: 0, height: 0, frame_rate: None };
            format!("{} {}", video_profile(&video), video_level(&video))
        };
        assert_eq!(track(Codec::H264, 66, 13), "Baseline 1.3");
        assert_eq!(track(Codec::H264, 100, 30), "High 3");
        assert_eq!(track(Codec::H265, 1, 93), "Main 3.1");
        assert_eq!(track(Codec::H265, 2, 120), "Main10 4");
        assert_eq!(track(Codec::Av1, 0, 0), "Other Other");
    }

    #[test]
    fn he_aac_is_told_from_its_core() {
        let audio = AudioTrack { codec: Codec::Aac, profile: 2, sample_rate: 44_100, channels: 2 };
        assert_eq!(audio_profile(&audio, Some(&[0x12, 0x10])), "LC");
        assert_eq!(audio_profile(&audio, None), "LC");
        // Object type 5 and 29 before that of the core.
        assert_eq!(audio_profile(&audio, Some(&[0x2b, 0x92, 0x08, 0x00])), "HE");
        assert_eq!(audio_profile(&audio, Some(&[0xeb, 0x8a, 0x08, 0x00])), "HEv2");
        assert_eq!(audio_profile(&AudioTrack { codec: Codec::Mp3, ..audio }, None), "Other");
    }
}
