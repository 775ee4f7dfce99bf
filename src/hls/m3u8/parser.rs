//! Line by line through a playlist.

use std::sync::Arc;

use super::attributes::{Attributes, byte_range, initialization_vector, range, resolution, seconds};
use super::{Error, Fault, Key, Map, Master, Media, MediaKind, Playlist, Rendition, Segment, Variant};
use crate::hls::decimal;
use crate::time::unix_ms;
use crate::wire::limits;

/// Characters told of a name that isn't known.
const NAME_CHARS: usize = 40;

pub(super) fn parse(bytes: &[u8]) -> Result<Playlist, Error> {
    if bytes.len() > limits::M3U8_BYTES {
        return Err(Error { line: 0, fault: Fault::TooLong });
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut parser = Parser::default();
    let mut lines = (1..).zip(text.lines());
    if lines.next().is_none_or(|(_, line)| line.trim() != "#EXTM3U") {
        return Err(Error { line: 1, fault: Fault::NotAPlaylist });
    }
    for (number, line) in lines {
        parser.line(line.trim()).map_err(|fault| Error { line: number, fault })?;
    }
    parser.end().map_err(|fault| Error { line: 0, fault })
}

#[derive(Debug, Default)]
struct Parser {
    version: Option<u64>,
    has_target: bool,
    /// A tag of media playlists was there, and one of multivariant playlists.
    is_media: bool,
    is_master: bool,
    media: Media,
    master: Master,
    /// What has been said of the next segment.
    next: Segment,
    has_duration: bool,
    length: Option<(u64, Option<u64>)>,
    encryption: Encryption,
    discontinuity_sequence: u64,
    /// What has been said of the next variant.
    variant: Option<Variant>,
}

/// What holds for the segments that follow.
#[derive(Debug, Default)]
enum Encryption {
    #[default]
    None,
    /// A key; whether a segment came since. If not, keys in other formats are others for the same segments.
    Aes(Arc<Key>, bool),
    Unknown(String),
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), Fault> {
        if line.len() > limits::M3U8_LINE_BYTES {
            return Err(Fault::LineTooLong);
        }
        if line.is_empty() {
            return Ok(());
        }
        let Some(tag) = line.strip_prefix('#') else { return self.uri(line) };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        let value = value.trim();
        match name {
            "EXT-X-VERSION" => self.version = Some(number_of(value, "EXT-X-VERSION")?),
            "EXT-X-STREAM-INF" => self.stream_inf(value)?,
            "EXT-X-MEDIA" => self.rendition(value)?,
            _ => return self.media_tag(name, value),
        }
        Ok(())
    }

    fn media_tag(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        match name {
            "EXT-X-TARGETDURATION" => {
                self.media.target_us = seconds(value).ok_or(DURATION.of("EXT-X-TARGETDURATION"))?;
                self.has_target = true;
            }
            "EXT-X-MEDIA-SEQUENCE" => {
                self.media.media_sequence = number_of(value, "EXT-X-MEDIA-SEQUENCE")?;
            }
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = number_of(value, "EXT-X-DISCONTINUITY-SEQUENCE")?;
            }
            "EXT-X-PLAYLIST-TYPE" => {
                self.media.kind = match value {
                    "VOD" => Some(MediaKind::Vod),
                    "EVENT" => Some(MediaKind::Event),
                    _ => return Err(Expected("VOD or EVENT").of("EXT-X-PLAYLIST-TYPE")),
                };
            }
            "EXT-X-ENDLIST" => self.media.ended = true,
            "EXTINF" => {
                let duration = value.split(',').next().unwrap_or_default();
                self.next.duration_us = seconds(duration.trim()).ok_or(DURATION.of("EXTINF"))?;
                self.has_duration = true;
            }
            "EXT-X-BYTERANGE" => {
                self.length = Some(byte_range(value).ok_or(BYTE_RANGE.of("EXT-X-BYTERANGE"))?);
            }
            "EXT-X-DISCONTINUITY" => {
                self.next.discontinuity = true;
                self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(1);
            }
            "EXT-X-KEY" => self.key(value)?,
            "EXT-X-MAP" => self.next.map = Some(Arc::new(self.map(value)?)),
            "EXT-X-PROGRAM-DATE-TIME" => self.next.date_ms = unix_ms(value),
            "EXT-X-GAP" => self.next.gap = true,
            _ => return Ok(()),
        }
        self.is_media = true;
        if self.is_master { Err(Fault::Mixed) } else { Ok(()) }
    }

    fn uri(&mut self, uri: &str) -> Result<(), Fault> {
        if let Some(variant) = self.variant.take() {
            push(&mut self.master.variants, Variant { uri: uri.into(), ..variant }, VARIANTS)?;
            return Ok(());
        }
        if !std::mem::take(&mut self.has_duration) {
            return Err(Fault::Uri);
        }
        let key = match &mut self.encryption {
            Encryption::None => None,
            Encryption::Aes(key, used) => {
                *used = true;
                Some(key.clone())
            }
            Encryption::Unknown(how) => return Err(Fault::Encryption(std::mem::take(how))),
        };
        let range = match self.length.take() {
            None => None,
            Some((len, offset)) => {
                // Without an offset it follows what came before of the same resource.
                let before = self.media.segments.last().filter(|before| before.uri == uri);
                let end = before.and_then(|before| before.range.as_ref()).map(|range| range.end);
                let range = offset.or(end).and_then(|offset| range(len, offset));
                Some(range.ok_or(BYTE_RANGE.of("EXT-X-BYTERANGE"))?)
            }
        };
        // A map holds on.
        let following = Segment { map: self.next.map.clone(), ..Segment::default() };
        let segment = Segment {
            uri: uri.into(),
            range,
            key,
            discontinuity_sequence: self.discontinuity_sequence,
            ..std::mem::replace(&mut self.next, following)
        };
        push(&mut self.media.segments, segment, SEGMENTS)
    }

    fn key(&mut self, value: &str) -> Result<(), Fault> {
        let tag = "EXT-X-KEY";
        let list = Attributes::parse(value).ok_or(ATTRIBUTES.of(tag))?;
        let method = list.value("METHOD").ok_or(Expected("METHOD").of(tag))?;
        let format = list.value("KEYFORMAT").unwrap_or("identity");
        self.encryption = match (method, format) {
            ("NONE", _) => Encryption::None,
            ("AES-128", "identity") => {
                let iv = list.value("IV").map(|iv| {
                    initialization_vector(iv).ok_or(Expected("IV of 0x and up to 32 digits").of(tag))
                });
                let uri = list.uri().ok_or(Expected("URI").of(tag))?;
                Encryption::Aes(Arc::new(Key { uri, iv: iv.transpose()? }), false)
            }
            // The same segments, by a key that is known.
            _ if matches!(self.encryption, Encryption::Aes(_, false)) => return Ok(()),
            ("AES-128", format) => Encryption::Unknown(name(format)),
            (method, _) => Encryption::Unknown(name(method)),
        };
        Ok(())
    }

    fn map(&self, value: &str) -> Result<Map, Fault> {
        let tag = "EXT-X-MAP";
        let list = Attributes::parse(value).ok_or(ATTRIBUTES.of(tag))?;
        let range = list.value("BYTERANGE").map(|text| {
            let (len, offset) = byte_range(text)?;
            range(len, offset.unwrap_or(0))
        });
        let range = match range {
            Some(None) => return Err(BYTE_RANGE.of(tag)),
            range => range.flatten(),
        };
        let key = match &self.encryption {
            Encryption::None => None,
            Encryption::Aes(key, _) if key.iv.is_some() => Some(key.clone()),
            // It has no number of its own to take instead.
            Encryption::Aes(..) => return Err(Expected("IV in the #EXT-X-KEY before it").of(tag)),
            Encryption::Unknown(how) => return Err(Fault::Encryption(how.clone())),
        };
        Ok(Map { uri: list.uri().ok_or(Expected("URI").of(tag))?, range, key })
    }

    fn stream_inf(&mut self, value: &str) -> Result<(), Fault> {
        let tag = "EXT-X-STREAM-INF";
        let list = Attributes::parse(value).ok_or(ATTRIBUTES.of(tag))?;
        let bandwidth = list.value("BANDWIDTH").and_then(decimal);
        self.variant = Some(Variant {
            uri: String::new(),
            bandwidth: bandwidth.ok_or(Expected("BANDWIDTH in bits per second").of(tag))?,
            resolution: list.value("RESOLUTION").and_then(resolution),
            codecs: list.text("CODECS"),
            audio: list.text("AUDIO"),
        });
        self.is_master = true;
        if self.is_media { Err(Fault::Mixed) } else { Ok(()) }
    }

    fn rendition(&mut self, value: &str) -> Result<(), Fault> {
        let tag = "EXT-X-MEDIA";
        let list = Attributes::parse(value).ok_or(ATTRIBUTES.of(tag))?;
        self.is_master = true;
        if self.is_media {
            return Err(Fault::Mixed);
        }
        if list.value("TYPE") != Some("AUDIO") {
            return Ok(());
        }
        let rendition = Rendition {
            group: list.text("GROUP-ID").ok_or(Expected("GROUP-ID").of(tag))?,
            name: list.text("NAME").unwrap_or_default(),
            language: list.text("LANGUAGE"),
            default: list.is_yes("DEFAULT"),
            uri: list.uri(),
        };
        push(&mut self.master.audio, rendition, RENDITIONS)
    }

    fn end(mut self) -> Result<Playlist, Fault> {
        if self.is_master {
            let has_variant = !self.master.variants.is_empty();
            return has_variant.then_some(Playlist::Master(self.master)).ok_or(Fault::NoVariant);
        }
        self.media.version = self.version.unwrap_or(1);
        self.media.ended |= self.media.kind == Some(MediaKind::Vod);
        if self.has_target { Ok(Playlist::Media(self.media)) } else { Err(Fault::NoTargetDuration) }
    }
}

/// What a tag has to hold.
#[derive(Clone, Copy)]
struct Expected(&'static str);

impl Expected {
    fn of(self, tag: &'static str) -> Fault {
        Fault::Tag { tag, expected: self.0 }
    }
}

const ATTRIBUTES: Expected = Expected("a list of NAME=VALUE");
const BYTE_RANGE: Expected =
    Expected("a length@offset, the offset only where nothing of the same URI precedes,");
const DURATION: Expected = Expected("a number of seconds up to 86400");

const SEGMENTS: (&str, usize) = ("segments", limits::M3U8_SEGMENTS);
const VARIANTS: (&str, usize) = ("variants", limits::M3U8_VARIANTS);
const RENDITIONS: (&str, usize) = ("renditions", limits::M3U8_VARIANTS);

fn push<T>(to: &mut Vec<T>, item: T, (what, limit): (&'static str, usize)) -> Result<(), Fault> {
    if to.len() >= limit {
        return Err(Fault::TooMany { what, limit });
    }
    to.push(item);
    Ok(())
}

fn number_of(value: &str, tag: &'static str) -> Result<u64, Fault> {
    decimal(value).ok_or(Expected("a number").of(tag))
}

fn name(text: &str) -> String {
    text.chars().take(NAME_CHARS).collect()
}
