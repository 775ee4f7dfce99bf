//! Frames out of segments, in whichever container they are.

use crate::fmp4;
use crate::media::Frame;
use crate::mpegts::{self, PackedAudio};

/// Bytes by which a container is told.
const TELLING: usize = 8;
/// What a segment or an initialization section of MP4 begins with.
const BOXES: [&[u8; 4]; 9] =
    [b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"mdat"];

/// The demuxer of segments that continue each other, once the first bytes have told which it is.
#[derive(Debug, Default)]
pub(super) enum Container {
    #[default]
    Unknown,
    /// Not enough bytes yet.
    Telling(Vec<u8>),
    Ts(Box<mpegts::Demuxer>),
    Mp4(Box<fmp4::Demuxer>),
    Packed(Box<PackedAudio>),
}

impl Container {
    /// A segment or an initialization section begins, whatever came before.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Unknown | Self::Ts(_) => {}
            Self::Telling(_) => *self = Self::Unknown,
            Self::Mp4(demuxer) => demuxer.segment(),
            Self::Packed(demuxer) => demuxer.segment(),
        }
    }

    /// Takes bytes of it. An error is for ever.
    pub(super) fn handle_input(&mut self, bytes: &[u8], out: impl FnMut(Frame)) -> Result<(), String> {
        let mut held = Vec::new();
        match self {
            Self::Unknown => held.extend_from_slice(bytes),
            Self::Telling(before) => {
                held = std::mem::take(before);
                held.extend_from_slice(bytes);
            }
            _ => return self.demux(bytes, out),
        }
        match told(&held) {
            Some(container) => *self = container,
            None => {
                *self = Self::Telling(held);
                return Ok(());
            }
        }
        self.demux(&held, out)
    }

    /// It ends: what is whole is given out.
    pub(super) fn end(&mut self, out: impl FnMut(Frame)) -> Result<(), String> {
        if let Self::Ts(demuxer) = self {
            demuxer.flush();
        }
        self.demux(&[], out)
    }

    /// Why no frame came of what was no error.
    pub(super) fn nothing(&self) -> String {
        match self {
            Self::Ts(demuxer) => match demuxer.refused() {
                Some(kind) => format!("a transport stream without a known codec (stream_type 0x{kind:02x})"),
                None => "a transport stream without a frame".into(),
            },
            _ => "nothing to play in it".into(),
        }
    }

    fn demux(&mut self, mut bytes: &[u8], mut out: impl FnMut(Frame)) -> Result<(), String> {
        let input = &mut bytes;
        loop {
            let frame = match self {
                Self::Unknown | Self::Telling(_) => None,
                Self::Ts(demuxer) => demuxer.handle_input(input).map_err(|e| e.to_string())?,
                Self::Mp4(demuxer) => demuxer.handle_input(input).map_err(|e| e.to_string())?,
                Self::Packed(demuxer) => demuxer.handle_input(input).map_err(|e| e.to_string())?,
            };
            match frame {
                Some(frame) => out(frame),
                None => return Ok(()),
            }
        }
    }
}

/// The container that begins like this; packets of MPEG-TS may have something before them.
fn told(bytes: &[u8]) -> Option<Container> {
    let (head, _) = bytes.split_at_checked(TELLING)?;
    Some(match head {
        [b'I', b'D', b'3', ..] | [0xff, 0xe0..=0xff, ..] => Container::Packed(Box::default()),
        [_, _, _, _, name @ ..] if BOXES.iter().any(|known| known[..] == *name) => {
            Container::Mp4(Box::default())
        }
        _ => Container::Ts(Box::default()),
    })
}
