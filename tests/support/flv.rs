//! FLV as the tests see it: tags in order, byte for byte. Every player here writes FLV, so one way of
//! comparing serves them all, and nothing of the library under test takes part in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const SCRIPT: u8 = 18;

/// One tag: its kind, its decoding time in milliseconds and its body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) kind: u8,
    pub(crate) time: u32,
    pub(crate) body: Vec<u8>,
}

/// What the body of a tag is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Metadata, of the stream or of its colours.
    Meta,
    /// A sequence header: what a decoder must know first.
    Config,
    /// A frame that a decoder can start with; of sound, every one.
    Key,
    /// A frame that needs others.
    Delta,
    /// The end of a sequence, or nothing at all.
    Empty,
}

impl Tag {
    pub(crate) fn role(&self) -> Role {
        let body = |at: usize| self.body.get(at).copied().unwrap_or(0);
        let (first, second) = (body(0), body(1));
        match self.kind {
            _ if self.body.len() < 2 => Role::Empty,
            // Enhanced: the packet type stands in the first byte, a FourCC follows, then the frame.
            VIDEO if first & 0x80 != 0 && self.body.len() <= 5 => Role::Empty,
            AUDIO if first >> 4 == 9 && self.body.len() <= 5 => Role::Empty,
            VIDEO if first & 0x80 != 0 => match first & 0x0F {
                0 => Role::Config,
                1 | 3 if first >> 4 & 7 == 1 => Role::Key,
                1 | 3 => Role::Delta,
                2 => Role::Empty,
                4 => Role::Meta,
                other => panic!("an enhanced video packet of type {other}"),
            },
            AUDIO if first >> 4 == 9 => match first & 0x0F {
                0 => Role::Config,
                1 => Role::Key,
                2 => Role::Empty,
                4 => Role::Meta,
                other => panic!("an enhanced audio packet of type {other}"),
            },
            // AVC and AAC: the packet type is the second byte.
            VIDEO if first & 0x0F == 7 => match second {
                0 => Role::Config,
                1 if first >> 4 == 1 => Role::Key,
                1 => Role::Delta,
                _ => Role::Empty,
            },
            AUDIO if first >> 4 == 10 && second == 0 => Role::Config,
            AUDIO => Role::Key,
            VIDEO if first >> 4 == 1 => Role::Key,
            VIDEO => Role::Delta,
            _ => Role::Meta,
        }
    }

    /// Whether this is a frame of picture or sound.
    pub(crate) fn is_frame(&self) -> bool {
        matches!(self.role(), Role::Key | Role::Delta)
    }

    pub(crate) fn is_video_key(&self) -> bool {
        self.kind == VIDEO && self.role() == Role::Key
    }

    /// Whether the body holds `text`, as metadata holds its names.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            AUDIO => "audio",
            VIDEO => "video",
            _ => "script",
        };
        let head = &self.body[..self.body.len().min(8)];
        write!(out, "{kind} {:?} at {} ms, {} bytes {head:02x?}", self.role(), self.time, self.body.len())
    }
}

/// Takes an FLV stream apart as it arrives.
#[derive(Default)]
pub(crate) struct Parser {
    held: Vec<u8>,
    started: bool,
}

impl Parser {
    /// The tags that are whole once `bytes` are there.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Tag> {
        self.held.extend_from_slice(bytes);
        let mut tags = Vec::new();
        let mut at = 0;
        if !self.started && self.held.len() >= 13 {
            assert_eq!(&self.held[..3], b"FLV", "a stream that is no FLV");
            self.started = true;
            at = 13;
        }
        while self.started && self.held.len() >= at + 11 {
            let header = &self.held[at..at + 11];
            let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let end = at + 11 + size + 4;
            if self.held.len() < end {
                break;
            }
            tags.push(Tag {
                kind: header[0],
                time: u32::from_be_bytes([header[7], header[4], header[5], header[6]]),
                body: self.held[at + 11..end - 4].to_vec(),
            });
            at = end;
        }
        self.held.drain(..at);
        tags
    }
}

pub(crate) fn read(path: &Path) -> Vec<Tag> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Parser::default().feed(&bytes)
}

pub(crate) fn write(path: &Path, tags: &[Tag]) {
    let mut bytes = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    for tag in tags {
        let (size, time) = ((tag.body.len() as u32).to_be_bytes(), tag.time.to_be_bytes());
        let header = [tag.kind, size[1], size[2], size[3], time[1], time[2], time[3], time[0], 0, 0, 0];
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&tag.body);
        bytes.extend_from_slice(&(tag.body.len() as u32 + 11).to_be_bytes());
    }
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The frames alone, which is what a relay must not change.
pub(crate) fn frames(tags: &[Tag]) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.is_frame()).cloned().collect()
}

pub(crate) fn track(tags: &[Tag], kind: u8) -> Vec<Tag> {
    tags.iter().filter(|tag| tag.kind == kind && tag.is_frame()).cloned().collect()
}

/// Asserts that both have the same tags, and shows where they part.
#[track_caller]
pub(crate) fn assert_same(received: &[Tag], sent: &[Tag]) {
    if let Some(at) = received.iter().zip(sent).position(|(received, sent)| received != sent) {
        panic!("tag {at} differs:\n  sent {:?}\n  came {:?}", sent[at], received[at]);
    }
    assert_eq!(received.len(), sent.len(), "tags came, and tags were sent");
}

/// Asserts that `received` is a part of `sent` without a hole, and says where it starts.
#[track_caller]
pub(crate) fn assert_part(received: &[Tag], sent: &[Tag]) -> usize {
    let first = received.first().expect("at least one tag");
    let start = sent.iter().position(|tag| tag == first);
    let start = start.unwrap_or_else(|| panic!("the first that came was never sent: {first:?}"));
    assert!(received.len() <= sent.len() - start, "more came than was sent");
    assert_same(received, &sent[start..start + received.len()]);
    start
}

/// Asserts that each track's sequence header is the one sent, and came before the track's frames.
#[track_caller]
pub(crate) fn assert_configs(received: &[Tag], sent: &[Tag]) {
    for kind in [VIDEO, AUDIO] {
        let config = |tag: &&Tag| tag.kind == kind && tag.role() == Role::Config;
        let Some(expected) = sent.iter().find(config) else { continue };
        let first = received.iter().find(|tag| tag.kind == kind && tag.role() != Role::Meta);
        let first = first.expect("a track that was sent");
        assert_eq!(first.role(), Role::Config, "a track starts with its sequence header: {first:?}");
        assert_eq!(first.body, expected.body, "the sequence header as it was sent");
    }
}

/// Asserts that in each track time only goes forward, by no more than `gap` milliseconds.
#[track_caller]
pub(crate) fn assert_rising(tags: &[Tag], gap: u32) {
    let mut last: BTreeMap<u8, &Tag> = BTreeMap::new();
    for tag in tags.iter().filter(|tag| tag.is_frame()) {
        if let Some(before) = last.insert(tag.kind, tag) {
            let step = i64::from(tag.time) - i64::from(before.time);
            assert!(step > 0 && step <= i64::from(gap), "a step of {step} ms:\n  {before:?}\n  {tag:?}");
        }
    }
}
