//! Packed audio of HLS: AAC or MP3 without a container, and a tag that tells when it begins
//! (RFC 8216, 3.4).

use std::collections::VecDeque;
use std::fmt;

use super::audio::Audio;
use super::pes::{Clock, Times};
use crate::media::Frame;
use crate::wire::{Malformed, Reader};

/// Bytes of a tag's header (ID3v2.4, 3.1), and of one of its frames' (4).
const HEADER: usize = 10;
/// The owner of the private frame that holds a stamp of MPEG-TS.
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// The longest tag, in bytes: a picture may be in it.
const TAG_BYTES: usize = 256 * 1024;
/// A stamp has so many bits.
const STAMP_MASK: u64 = (1 << 33) - 1;

/// Takes packed audio apart as its bytes come: ADTS or MP3 behind an ID3 tag.
///
/// Call [`PackedAudio::handle_input`] until it answers `None`. Frames are as [`super::Demuxer`] gives them,
/// and so are their times. Each segment begins with its tag.
#[derive(Debug, Default)]
pub struct PackedAudio {
    /// What of a tag is there, or of what may be one.
    held: Vec<u8>,
    /// The tags are read.
    in_frames: bool,
    told: Option<Times>,
    audio: Option<(Audio, bool)>,
    clock: Clock,
    ready: VecDeque<Frame>,
    failed: bool,
}

/// No tag in front tells when the audio begins, so that it can't be played (RFC 8216, 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTimestamp;

impl fmt::Display for NoTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packed audio without a timestamp: an ID3 tag in front of it was expected to have one")
    }
}

impl std::error::Error for NoTimestamp {}

impl PackedAudio {
    /// At the first byte of a segment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `input` and gives the next frame when it is complete. After an error it
    /// answers the same error for ever.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, NoTimestamp> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if self.failed {
                return Err(NoTimestamp);
            }
            if input.is_empty() {
                return Ok(None);
            }
            if self.in_frames {
                if let Some((audio, _)) = &mut self.audio {
                    audio.unit(self.told.take(), input, &mut self.ready);
                }
                *input = &[];
            } else {
                self.tag(input);
            }
        }
    }

    /// The next segment begins here; what isn't whole is dropped. Times go on.
    pub fn segment(&mut self) {
        self.held.clear();
        self.in_frames = false;
        self.told = None;
        if let Some((audio, _)) = &mut self.audio {
            audio.lost();
        }
    }

    /// Reads a tag, once it is there, or finds that there is none and audio begins.
    fn tag(&mut self, input: &mut &[u8]) {
        let Some(head) = self.hold(3, input) else { return };
        if head != b"ID3" {
            self.begin();
            return;
        }
        let Some(len) = self.hold(HEADER, input).and_then(|head| tag_len(head).ok()) else { return };
        if len > TAG_BYTES {
            self.failed = true;
            return;
        }
        let Some(tag) = self.hold(len, input) else { return };
        if let Some(stamp) = stamp(tag) {
            self.told = Some(self.clock.times(stamp, stamp));
        }
        self.held.clear();
    }

    /// At least `need` bytes of what is held, once they are there.
    fn hold(&mut self, need: usize, input: &mut &[u8]) -> Option<&[u8]> {
        let missing = need.saturating_sub(self.held.len()).min(input.len());
        let (now, later) = input.split_at_checked(missing)?;
        self.held.extend_from_slice(now);
        *input = later;
        self.held.get(..need)
    }

    /// Audio begins with what is held.
    fn begin(&mut self) {
        if self.told.is_none() {
            self.failed = true;
            return;
        }
        self.in_frames = true;
        // The layer tells MPEG audio; ADTS has none.
        let is_aac = self.held.get(1).is_none_or(|byte| byte & 0x06 == 0);
        if self.audio.as_ref().is_none_or(|(_, was_aac)| *was_aac != is_aac) {
            self.audio = Some((Audio::new(is_aac), is_aac));
        }
        if let Some((audio, _)) = &mut self.audio {
            audio.unit(self.told.take(), &self.held, &mut self.ready);
        }
        self.held.clear();
    }
}

/// Bytes of a tag, its header included.
fn tag_len(head: &[u8]) -> Result<usize, Malformed> {
    let mut r = Reader::new(head);
    r.skip(3 + 2)?; // "ID3", version
    let flags = r.u8()?;
    let footer = if flags & 0x10 != 0 { HEADER } else { 0 };
    Ok(synchsafe(r.u32()?).saturating_add(HEADER).saturating_add(footer))
}

/// The stamp in a tag, in ticks of 90 kHz.
fn stamp(tag: &[u8]) -> Option<u64> {
    let mut r = Reader::new(tag);
    r.skip(HEADER).ok()?;
    loop {
        let name = r.take(4).ok()?;
        // Those of version 2.3 are plain numbers, the same up to 127.
        let len = synchsafe(r.u32().ok()?);
        r.skip(2).ok()?;
        let body = r.take(len).ok()?;
        if name == b"PRIV"
            && let Some(stamp) = body.strip_prefix(OWNER)
        {
            return Some(Reader::new(stamp).u64().ok()? & STAMP_MASK);
        }
    }
}

/// A number of four times seven bits (ID3v2.4, 6.2).
fn synchsafe(value: u32) -> usize {
    let [a, b, c, d] = value.to_be_bytes().map(|byte| usize::from(byte & 0x7f));
    a << 21 | b << 14 | c << 7 | d
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::aac::AdtsHeader;
    use crate::media::{Codec, Role};

    fn tag(ticks: u64) -> Vec<u8> {
        let body = [OWNER, &ticks.to_be_bytes()].concat();
        let len = body.len() as u8;
        [b"ID3\x04\0\0\0\0\0".as_slice(), &[len + 10], b"PRIV\0\0\0", &[len], b"\0\0", &body].concat()
    }

    fn adts(frames: usize) -> Vec<u8> {
        let header = AdtsHeader::new(&[0x11, 0x90]).unwrap();
        (0..frames)
            .flat_map(|n| [&header.of_frame(40 + n).unwrap()[..], &vec![n as u8; 40 + n]].concat())
            .collect()
    }

    fn read(audio: &mut PackedAudio, size: usize, bytes: &[u8]) -> Result<Vec<Frame>, NoTimestamp> {
        let mut frames = Vec::new();
        for mut piece in bytes.chunks(size) {
            while let Some(frame) = audio.handle_input(&mut piece)? {
                frames.push(frame);
            }
            assert!(piece.is_empty());
        }
        Ok(frames)
    }

    #[test]
    fn segments_begin_when_their_tags_say() {
        for size in [1, 7, 1000, usize::MAX] {
            let mut audio = PackedAudio::new();
            let wrap = 1 << 33;
            let first = read(&mut audio, size, &[tag(wrap - 90_000), adts(3)].concat()).unwrap();
            audio.segment();
            let other = [tag(7), tag(90_000), b"ID3\x04\0\0\0\0\0\x03abc".to_vec(), adts(2)].concat();
            let second = read(&mut audio, size, &other).unwrap();
            let begin = (wrap as i64 - 90_000) * 100 / 9;
            let dts: Vec<_> = first.iter().chain(&second).map(|f| (f.role, f.dts - begin)).collect();
            let (header, key) = (Role::Header, Role::Key);
            let due = [(header, 0), (key, 0), (key, 21333), (key, 42666), (key, 2_000_000), (key, 2_021_333)];
            assert_eq!(dts, due);
            assert_eq!(first[3].payload, vec![2u8; 42]);
        }
    }

    #[test]
    fn mp3_is_told_by_its_layer() {
        let frame = [b"\xff\xfb\x90\0".as_slice(), &[0; 413]].concat();
        let bytes = [tag(9000), frame.clone(), frame].concat();
        let frames = read(&mut PackedAudio::new(), 100, &bytes).unwrap();
        let facts: Vec<_> = frames.iter().map(|f| (f.codec, f.dts, f.payload.len())).collect();
        assert_eq!(facts, [(Codec::Mp3, 100_000, 417), (Codec::Mp3, 126_122, 417)]);
    }

    #[test]
    fn without_a_time_there_is_nothing() {
        let other = b"ID3\x04\0\0\0\0\0\x0fPRIV\0\0\0\x05\0\0abcd\0".to_vec();
        for bytes in
            [adts(2), [other, adts(2)].concat(), b"ID3\x04\0\0\x7f\0\0\0".to_vec(), b"WEBVTT".to_vec()]
        {
            let mut audio = PackedAudio::new();
            assert_eq!(read(&mut audio, 50, &bytes), Err(NoTimestamp));
            assert_eq!(audio.handle_input(&mut &b"x"[..]), Err(NoTimestamp));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_audio_or_none(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            has_tag in any::<bool>(),
            size in 1usize..50,
        ) {
            let bytes = if has_tag { [tag(1), bytes].concat() } else { bytes };
            let whole = read(&mut PackedAudio::new(), usize::MAX, &bytes);
            prop_assert_eq!(read(&mut PackedAudio::new(), size, &bytes), whole);
        }
    }
}
