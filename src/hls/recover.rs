//! Going on with a playlist that another run has left.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::list::{List, Resource, Segment};
use crate::wire::limits;

/// What a playlist says.
#[derive(Debug, Default)]
struct Found {
    target_s: Option<u32>,
    media_sequence: u64,
    discontinuity_sequence: u64,
    independent: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Default, Clone)]
struct Entry {
    uri: String,
    duration_us: i64,
    discontinuity: bool,
    key: Option<Arc<str>>,
    map: Option<Arc<str>>,
}

impl List {
    /// Takes over the numbers, and where `fits` says that the target duration can stay, in s, the segments
    /// too.
    pub(super) fn recover(&mut self, text: &str, playlist: &str, fits: impl Fn(u32) -> bool) {
        let Some(found) = parse(text) else { return };
        let count = found.entries.len() as u64;
        let discontinuities = found.entries.iter().filter(|entry| entry.discontinuity).count() as u64;
        self.next_seq = found.media_sequence.saturating_add(count);
        let Some(target) = found.target_s.filter(|s| fits(*s)) else {
            self.discontinuities = found.discontinuity_sequence.saturating_add(discontinuities);
            return;
        };
        self.target_s = Some(target);
        self.discontinuities = found.discontinuity_sequence;
        let folder = playlist.rfind('/').and_then(|at| playlist.get(..=at)).unwrap_or_default();
        // The file, if it is in the playlist's folder or below; what isn't known is not removed.
        let name = |uri: &str| match String::from_utf8(percent_decode_str(uri).collect()) {
            Ok(path) if is_below(&path) && !uri.contains([':', '?']) => [folder, &path].concat(),
            _ => String::new(),
        };
        let (mut key, mut map): (Option<Arc<Resource>>, Option<Arc<Resource>>) = (None, None);
        for (seq, entry) in (found.media_sequence..).zip(found.entries) {
            let mut resource = |tag: &Option<Arc<str>>, held: &mut Option<Arc<Resource>>| {
                let same = match (tag, &*held) {
                    (Some(tag), Some(held)) => **tag == *held.tag,
                    (None, None) => true,
                    _ => false,
                };
                if !same {
                    *held = tag.as_ref().map(|tag| {
                        let name = quoted_uri(tag).map(name).unwrap_or_default();
                        self.keep(Resource { name, tag: tag.to_string(), bytes: Bytes::new() })
                    });
                }
                held.clone()
            };
            let (key, map) = (resource(&entry.key, &mut key), resource(&entry.map, &mut map));
            self.push(Segment {
                seq,
                name: name(&entry.uri),
                uri: entry.uri,
                date_ms: None,
                duration_us: entry.duration_us,
                len: 0,
                bytes: Bytes::new(),
                independent: found.independent,
                discontinuity: entry.discontinuity,
                key,
                map,
                parts: Vec::new(),
            });
        }
    }
}

/// Reads a media playlist that a writer has made. `None` if it isn't one, or is over.
fn parse(text: &str) -> Option<Found> {
    if text.len() > limits::HLS_PLAYLIST_BYTES {
        return None;
    }
    let mut lines = text.lines();
    lines.next().filter(|line| line.trim_end() == "#EXTM3U")?;
    let mut found = Found::default();
    let mut entry = Entry::default();
    for line in lines.map(str::trim_end) {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-TARGETDURATION" => found.target_s = value.parse().ok().filter(|s| *s > 0),
            "#EXT-X-MEDIA-SEQUENCE" => found.media_sequence = value.parse().ok()?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => found.discontinuity_sequence = value.parse().ok()?,
            "#EXT-X-INDEPENDENT-SEGMENTS" => found.independent = true,
            "#EXT-X-DISCONTINUITY" => entry.discontinuity = true,
            "#EXT-X-KEY" if value.contains("METHOD=NONE") => entry.key = None,
            "#EXT-X-KEY" => entry.key = Some(Arc::from(line)),
            "#EXT-X-MAP" => entry.map = Some(Arc::from(line)),
            "#EXTINF" => entry.duration_us = duration_us(value)?,
            _ if line.is_empty() || line.starts_with('#') => {}
            _ => {
                if found.entries.len() >= limits::HLS_SEGMENTS {
                    return None;
                }
                entry.uri = line.to_owned();
                found.entries.push(entry.clone());
                (entry.duration_us, entry.discontinuity) = (0, false);
            }
        }
    }
    Some(found)
}

/// A duration of EXTINF, in µs.
fn duration_us(value: &str) -> Option<i64> {
    let seconds: f64 = value.split(',').next()?.trim().parse().ok()?;
    (0.0..=86_400.0).contains(&seconds).then_some((seconds * 1e6) as i64)
}

/// Whether a path leads neither up nor elsewhere.
fn is_below(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn quoted_uri(tag: &str) -> Option<&str> {
    tag.split_once("URI=\"")?.1.split_once('"').map(|(uri, _)| uri)
}
