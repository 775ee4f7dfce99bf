//! FLV files, and streams of the same bytes (FLV, E.2 to E.4.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::{Chain, Kind};
use crate::wire::{Malformed, Reader, limits};

/// Bytes of the file's header.
const FILE_HEADER: usize = 9;
/// Bytes of a tag's header.
const TAG_HEADER: usize = 11;
/// Bytes of PreviousTagSize.
const PREVIOUS_TAG_SIZE: usize = 4;
/// The longest file header taken, in bytes; it is 9 everywhere.
const FILE_HEADER_MAX: u32 = 1024;
/// Memory taken at once for an announced size, in bytes. More comes as bytes do.
const STEP: usize = 64 * 1024;

const FLAG_VIDEO: u8 = 0x01;
const FLAG_AUDIO: u8 = 0x04;

const TYPE_AUDIO: u8 = 8;
const TYPE_VIDEO: u8 = 9;
const TYPE_SCRIPT: u8 = 18;
/// The tag's type, and the bit of an encrypted one.
const TYPE_AND_FILTER: u8 = 0x3f;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Which track, or data.
    pub kind: Kind,
    /// When it is decoded, in ms. Wraps.
    pub timestamp_ms: u32,
    /// The body, for [`crate::flv::frame`].
    pub body: Bytes,
}

/// Takes a file or a stream apart as its bytes come.
///
/// Call [`Demuxer::handle_input`] until it answers `None`: then it has taken all bytes given and needs
/// more. After an error it answers the same error for ever.
#[derive(Debug)]
pub struct Demuxer {
    state: State,
    /// Bytes of what is being read. Never more than were given, and a step ahead.
    partial: Vec<u8>,
    flags: Option<u8>,
    /// What the next PreviousTagSize should be.
    previous_size: u32,
    mismatches: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    FileHeader,
    PreviousTagSize,
    TagHeader,
    Body {
        kind: Kind,
        timestamp_ms: u32,
        size: usize,
    },
    /// Bytes that nobody wants, and then PreviousTagSize.
    Skip(usize),
    Failed(Malformed),
}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demuxer {
    /// At the first byte of a file.
    pub fn new() -> Self {
        Self { state: State::FileHeader, partial: Vec::new(), flags: None, previous_size: 0, mismatches: 0 }
    }

    /// Whether the header announces audio; `None` before it is read.
    pub fn has_audio(&self) -> Option<bool> {
        self.flags.map(|f| f & FLAG_AUDIO != 0)
    }

    /// Whether the header announces video; `None` before it is read.
    pub fn has_video(&self) -> Option<bool> {
        self.flags.map(|f| f & FLAG_VIDEO != 0)
    }

    /// Whether what was given ends where a file doesn't: within a header or a tag.
    pub fn is_cut_off(&self) -> bool {
        !self.partial.is_empty()
            || matches!(self.state, State::FileHeader | State::Body { .. } | State::Skip(_))
    }

    /// How many times PreviousTagSize was not the size of the tag before. Writers exist that get it
    /// wrong, and nothing depends on it, so it is no error.
    pub fn size_mismatches(&self) -> u32 {
        self.mismatches
    }

    /// Takes bytes from the front of `input` and gives the next tag when it is complete. Tags that are
    /// encrypted, or of a type that isn't audio, video or script, are passed over.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Tag>, Malformed> {
        let tag = self.read(input);
        if let Err(e) = tag {
            self.state = State::Failed(e);
            self.partial = Vec::new();
        }
        tag
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<Option<Tag>, Malformed> {
        loop {
            match self.state {
                State::FileHeader => {
                    let Some(header) = self.fill(FILE_HEADER, input) else { return Ok(None) };
                    self.file_header(&header)?;
                }
                State::PreviousTagSize => {
                    let Some(size) = self.fill(PREVIOUS_TAG_SIZE, input) else { return Ok(None) };
                    if Reader::new(&size).u32()? != self.previous_size {
                        self.mismatches = self.mismatches.saturating_add(1);
                    }
                    self.state = State::TagHeader;
                }
                State::TagHeader => {
                    let Some(header) = self.fill(TAG_HEADER, input) else { return Ok(None) };
                    self.tag_header(&header)?;
                }
                State::Body { kind, timestamp_ms, size } => {
                    let Some(body) = self.fill(size, input) else { return Ok(None) };
                    self.state = State::PreviousTagSize;
                    return Ok(Some(Tag { kind, timestamp_ms, body: body.into() }));
                }
                State::Skip(left) => {
                    let n = left.min(input.len());
                    *input = input.get(n..).unwrap_or_default();
                    let left = left.saturating_sub(n);
                    if left > 0 {
                        self.state = State::Skip(left);
                        return Ok(None);
                    }
                    self.state = State::PreviousTagSize;
                }
                State::Failed(e) => return Err(e),
            }
        }
    }

    fn file_header(&mut self, header: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(header);
        let signature = r.u24()?;
        if signature.to_be_bytes() != *b"\0FLV" {
            return Err(Malformed::Field { what: "FLV signature", value: signature });
        }
        let _version = r.u8()?;
        self.flags = Some(r.u8()?);
        let offset = r.u32()?;
        let extra = usize::try_from(offset).ok().and_then(|o| o.checked_sub(FILE_HEADER));
        match extra {
            Some(extra) if offset <= FILE_HEADER_MAX => self.state = State::Skip(extra),
            _ => return Err(Malformed::Field { what: "FLV data offset", value: offset }),
        }
        Ok(())
    }

    fn tag_header(&mut self, header: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(header);
        let tag_type = r.u8()? & TYPE_AND_FILTER;
        let size = r.u24()?;
        let timestamp_low = r.u24()?;
        let timestamp_ms = u32::from(r.u8()?) << 24 | timestamp_low;
        self.previous_size = previous_tag_size(size);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > limits::FLV_TAG_BYTES {
            return Err(too_long());
        }
        let kind = match tag_type {
            TYPE_AUDIO => Kind::Audio,
            TYPE_VIDEO => Kind::Video,
            TYPE_SCRIPT => Kind::Data,
            _ => {
                self.state = State::Skip(size);
                return Ok(());
            }
        };
        self.state = State::Body { kind, timestamp_ms, size };
        Ok(())
    }

    /// The next `need` bytes, once they are there.
    fn fill(&mut self, need: usize, input: &mut &[u8]) -> Option<Vec<u8>> {
        loop {
            let missing = need.saturating_sub(self.partial.len());
            if missing == 0 {
                return Some(std::mem::take(&mut self.partial));
            }
            if input.is_empty() {
                return None;
            }
            // Memory doubles at most, and at the end is what the tag needs: it may be kept for long.
            let spare = self.partial.capacity().saturating_sub(self.partial.len());
            if spare == 0 {
                self.partial.reserve_exact(missing.min(self.partial.len().max(STEP)));
            }
            let spare = self.partial.capacity().saturating_sub(self.partial.len());
            let (now, later) = input.split_at_checked(missing.min(spare).min(input.len()))?;
            self.partial.extend_from_slice(now);
            *input = later;
        }
    }
}

/// The header of a file, with the PreviousTagSize that stands before the first tag.
pub fn header(audio: bool, video: bool) -> [u8; 13] {
    let flags = if audio { FLAG_AUDIO } else { 0 } | if video { FLAG_VIDEO } else { 0 };
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// Appends a tag and its PreviousTagSize. `timestamp_ms` wraps at 32 bits. Nothing is appended where the
/// body is longer than a tag may be.
pub fn tag(kind: Kind, timestamp_ms: u32, body: &Chain, out: &mut BytesMut) -> Result<(), Malformed> {
    let (head, tail) = around(kind, timestamp_ms, body.len())?;
    out.reserve(body.len().saturating_add(TAG_HEADER + PREVIOUS_TAG_SIZE));
    out.put_slice(&head);
    body.put(out);
    out.put_slice(&tail);
    Ok(())
}

/// What stands before a tag's body of `len` bytes and what stands after it: for a writer that doesn't
/// copy the body.
pub fn around(kind: Kind, timestamp_ms: u32, len: usize) -> Result<([u8; 11], [u8; 4]), Malformed> {
    let size = u32::try_from(len).ok().filter(|n| *n < 1 << 24).ok_or(too_long())?;
    let tag_type = match kind {
        Kind::Audio => TYPE_AUDIO,
        Kind::Video => TYPE_VIDEO,
        Kind::Data => TYPE_SCRIPT,
    };
    let [_, s2, s1, s0] = size.to_be_bytes();
    let [t3, t2, t1, t0] = timestamp_ms.to_be_bytes();
    let head = [tag_type, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0];
    Ok((head, previous_tag_size(size).to_be_bytes()))
}

fn previous_tag_size(body_size: u32) -> u32 {
    body_size.saturating_add(11)
}

fn too_long() -> Malformed {
    Malformed::Limit { what: "FLV tag", limit: u32::try_from(limits::FLV_TAG_BYTES).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(demuxer: &mut Demuxer, mut input: &[u8]) -> Result<Vec<Tag>, Malformed> {
        let mut tags = vec![];
        while let Some(tag) = demuxer.handle_input(&mut input)? {
            tags.push(tag);
        }
        assert!(input.is_empty());
        Ok(tags)
    }

    fn written(tags: &[Tag]) -> BytesMut {
        let mut out = BytesMut::from(&header(true, false)[..]);
        for t in tags {
            tag(t.kind, t.timestamp_ms, &t.body.clone().into(), &mut out).unwrap();
        }
        out
    }

    #[test]
    fn timestamps_have_their_high_byte_last() {
        let mut out = BytesMut::new();
        tag(Kind::Video, 0x0102_0304, &b"x".to_vec().into(), &mut out).unwrap();
        assert_eq!(out[..], *b"\x09\x00\x00\x01\x02\x03\x04\x01\x00\x00\x00x\x00\x00\x00\x0c");
    }

    #[test]
    fn flags_and_longer_headers() {
        let mut d = Demuxer::new();
        assert_eq!((d.has_audio(), d.has_video()), (None, None));
        let mut file = b"FLV\x01\x01\x00\x00\x00\x0bxx\x00\x00\x00\x00".to_vec();
        file.extend_from_slice(&written(&[])[13..]);
        assert_eq!(all(&mut d, &file), Ok(vec![]));
        assert_eq!((d.has_audio(), d.has_video()), (Some(false), Some(true)));
        assert!(matches!(d.state, State::TagHeader));
    }

    #[test]
    fn other_tags_are_passed_over_and_wrong_sizes_counted() {
        let kept = Tag { kind: Kind::Audio, timestamp_ms: 5, body: Bytes::from_static(b"a") };
        let mut file = BytesMut::from(&header(true, true)[..]);
        file.put_slice(b"\x0f\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00xx\x00\x00\x00\x0d");
        file.put_slice(b"\x28\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00xx\xff\x00\x00\x0d");
        tag(kept.kind, kept.timestamp_ms, &kept.body.clone().into(), &mut file).unwrap();
        let mut d = Demuxer::new();
        assert_eq!(all(&mut d, &file), Ok(vec![kept]));
        assert_eq!(d.size_mismatches(), 1);
    }

    #[test]
    fn what_is_no_file_stays_no_file() {
        let mut d = Demuxer::new();
        let e = all(&mut d, b"FLW\x01\x05\x00\x00\x00\x09");
        assert!(e.is_err());
        assert_eq!(all(&mut d, &header(true, true)), e);
        assert!(all(&mut Demuxer::new(), b"FLV\x01\x05\x00\x00\x00\x08").is_err());
        assert!(all(&mut Demuxer::new(), b"FLV\x01\x05\xff\x00\x00\x09").is_err());
    }

    #[test]
    fn an_end_within_a_tag_is_seen() {
        let file = written(&[Tag { kind: Kind::Audio, timestamp_ms: 5, body: Bytes::from_static(b"abc") }]);
        let is_cut_off = |len: usize| {
            let mut d = Demuxer::new();
            all(&mut d, &file[..len]).unwrap();
            d.is_cut_off()
        };
        // Behind the header, PreviousTagSize and the tag's body, and at the end.
        let whole: Vec<usize> = (0..=file.len()).filter(|len| !is_cut_off(*len)).collect();
        assert_eq!(whole, [9, 13, 27, 31]);
    }

    #[test]
    fn announced_sizes_take_no_memory() {
        let mut d = Demuxer::new();
        let mut file = header(true, true).to_vec();
        file.extend_from_slice(b"\x09\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00x");
        assert_eq!(all(&mut d, &file), Ok(vec![]));
        assert!(d.partial.capacity() <= STEP);

        let mut file = header(true, true).to_vec();
        file.extend_from_slice(b"\x09\x80\x00\x01\x00\x00\x00\x00\x00\x00\x00");
        assert!(matches!(all(&mut Demuxer::new(), &file), Err(Malformed::Limit { .. })));
        assert!(tag(Kind::Video, 0, &vec![0; 1 << 24].into(), &mut BytesMut::new()).is_err());
    }

    #[test]
    fn a_long_body_takes_no_more_than_its_size() {
        let body = Bytes::from(vec![7; 300_000]);
        let tags = [Tag { kind: Kind::Video, timestamp_ms: 0, body }];
        let mut d = Demuxer::new();
        let file = written(&tags);
        let mut got = vec![];
        for piece in file.chunks(1000) {
            got.append(&mut all(&mut d, piece).unwrap());
            assert!(d.partial.capacity() <= (2 * d.partial.len()).max(STEP));
        }
        assert_eq!(got, tags);
    }

    fn any_tag() -> impl Strategy<Value = Tag> {
        let kind = prop_oneof![Just(Kind::Audio), Just(Kind::Video), Just(Kind::Data)];
        (kind, any::<u32>(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(kind, t, body)| Tag {
            kind,
            timestamp_ms: t,
            body: body.into(),
        })
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_tags_as_the_whole(
            tags in prop::collection::vec(any_tag(), 0..8),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let file = written(&tags);
            let mut whole = Demuxer::new();
            prop_assert_eq!(&all(&mut whole, &file).unwrap(), &tags);
            prop_assert_eq!(whole.size_mismatches(), 0);

            let mut d = Demuxer::new();
            let (mut got, mut rest) = (vec![], &file[..]);
            for n in cuts.iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(*n));
                got.append(&mut all(&mut d, piece).unwrap());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, tags);
        }

        #[test]
        fn any_bytes_are_tags_or_malformed(
            bytes in prop::collection::vec(any::<u8>(), 0..200), with_header in any::<bool>(),
        ) {
            let mut file = if with_header { header(true, true).to_vec() } else { vec![] };
            file.extend_from_slice(&bytes);
            let mut d = Demuxer::new();
            let mut input = &file[..];
            while let Ok(Some(_)) = d.handle_input(&mut input) {}
        }
    }
}
