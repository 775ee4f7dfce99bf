//! What the playlist lists, what has left it and is still fetched, and the files behind both.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::names;
use super::playlist::Text;
use crate::wire::limits;

/// A file that segments need beside their own: a key or an initialization section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Its file.
    pub(super) name: String,
    /// The tag that names it, as it stands in the playlist.
    pub(super) tag: String,
    /// All of it; empty where it isn't kept.
    pub(super) bytes: Bytes,
}

/// A part of a segment.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) duration_us: i64,
    pub(super) independent: bool,
    /// How many bytes it is.
    pub(super) len: usize,
    /// All of it; a slice of the segment once that has ended. Empty where it isn't kept.
    pub(super) bytes: Bytes,
}

/// A segment, ended or begun.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) seq: u64,
    pub(super) name: String,
    pub(super) uri: String,
    pub(super) date_ms: Option<i64>,
    /// Until it has ended, what its parts have come to.
    pub(super) duration_us: i64,
    /// How many bytes it is.
    pub(super) len: usize,
    /// All of it; empty where it isn't kept, or hasn't ended.
    pub(super) bytes: Bytes,
    pub(super) independent: bool,
    pub(super) discontinuity: bool,
    pub(super) key: Option<Arc<Resource>>,
    pub(super) map: Option<Arc<Resource>>,
    pub(super) parts: Vec<Part>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct List {
    /// In the playlist, the oldest first.
    pub(super) listed: VecDeque<Segment>,
    /// The segment that has begun.
    pub(super) open: Option<Segment>,
    /// EXT-X-DISCONTINUITY-SEQUENCE
    pub(super) discontinuities: u64,
    /// EXT-X-TARGETDURATION in s; `None` before the first segment has ended.
    pub(super) target_s: Option<u32>,
    /// PART-TARGET in µs, where there are parts.
    pub(super) part_target_us: Option<i64>,
    /// The number that the next segment to begin will get.
    pub(super) next_seq: u64,
    /// Whether the next segment to begin doesn't continue the one before it.
    pub(super) discontinuity: bool,
    /// Whether the stream is over for good.
    pub(super) finished: bool,
    /// Whether a segment that doesn't begin with a keyframe was ever listed.
    pub(super) dependent: bool,
    /// The playlist's text since it last changed.
    pub(super) rendered: Option<Text>,
    /// Out of the playlist, and until when by `listed_us` they are kept.
    lingering: VecDeque<(i64, Segment)>,
    resources: Vec<Arc<Resource>>,
    /// How much was ever listed, in µs: the clock by which things expire.
    listed_us: i64,
    /// Bytes of listed and lingering segments that are kept.
    held: usize,
}

impl List {
    /// The target duration in µs, if it is chosen.
    pub(super) fn target_us(&self) -> Option<i64> {
        self.target_s.map(|s| i64::from(s).saturating_mul(1_000_000))
    }

    /// How long the playlist is, in µs.
    pub(super) fn duration_us(&self) -> i64 {
        self.listed.iter().fold(0, |sum: i64, segment| sum.saturating_add(segment.duration_us))
    }

    /// Bytes kept, the open segment's aside.
    pub(super) fn held(&self) -> usize {
        self.resources.iter().fold(self.held, |sum, resource| sum.saturating_add(resource.bytes.len()))
    }

    /// Segments kept, listed or not.
    pub(super) fn len(&self) -> usize {
        self.listed.len().saturating_add(self.lingering.len())
    }

    /// Keeps a resource for as long as a segment, or anyone else, refers to it.
    pub(super) fn keep(&mut self, resource: Resource) -> Arc<Resource> {
        let resource = Arc::new(resource);
        self.resources.push(Arc::clone(&resource));
        resource
    }

    /// Whether a file of this name is there already.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.segments().any(|segment| segment.name == name)
            || self.resources.iter().any(|resource| resource.name == name)
    }

    /// Lists a segment that has ended.
    pub(super) fn push(&mut self, segment: Segment) {
        self.listed_us = self.listed_us.saturating_add(segment.duration_us);
        self.held = self.held.saturating_add(segment.bytes.len());
        self.dependent |= !segment.independent;
        self.listed.push_back(segment);
    }

    /// Lets go of what no longer has to be kept, and names the files.
    pub(super) fn trim(&mut self, window_us: i64, max_bytes: usize, expired: &mut Vec<String>) {
        let least = window_us.max(self.target_us().unwrap_or(0).saturating_mul(3));
        let mut duration = self.duration_us();
        while let Some(first) = self.listed.front() {
            let left = duration.saturating_sub(first.duration_us);
            let forced = self.listed.len() > limits::HLS_SEGMENTS;
            if left < least && !forced {
                break;
            }
            self.unlist(duration);
            duration = left;
        }
        let due = |list: &Self| {
            let crowded = list.held() > max_bytes || list.len() > limits::HLS_SEGMENTS;
            list.lingering.front().is_some_and(|(until, _)| crowded || *until <= list.listed_us)
        };
        while due(self) {
            self.expire(expired);
        }
        while self.held() > max_bytes && self.listed.len() > 1 {
            self.unlist(0);
            self.expire(expired);
        }
        self.drop_resources(expired);
    }

    /// Lets go of everything, and names the files.
    pub(super) fn clear(&mut self, expired: &mut Vec<String>) {
        while !self.listed.is_empty() {
            self.unlist(0);
        }
        while !self.lingering.is_empty() {
            self.expire(expired);
        }
        self.drop_resources(expired);
    }

    /// The file `name`, if it is kept.
    pub(super) fn file(&self, name: &str) -> Option<&Bytes> {
        let resource = self.resources.iter().find(|resource| resource.name == name);
        let segment = || self.segments().find(|segment| segment.name == name).map(|segment| &segment.bytes);
        let part = || {
            self.segments().find_map(|segment| {
                let number = names::part_of(&segment.name, name)?;
                segment.parts.get(number).map(|part| &part.bytes)
            })
        };
        // What isn't kept, or has only begun, is empty.
        let bytes = resource.map(|resource| &resource.bytes).or_else(segment).or_else(part);
        bytes.filter(|bytes| !bytes.is_empty())
    }

    fn segments(&self) -> impl Iterator<Item = &Segment> {
        // What is fetched most comes first.
        let ended = self.listed.iter().rev().chain(self.lingering.iter().rev().map(|(_, segment)| segment));
        self.open.iter().chain(ended)
    }

    /// Takes the oldest segment out of the playlist, which is `duration` long. A player that has just
    /// fetched that playlist may want the segment for as long (rfc8216bis, 6.2.2).
    fn unlist(&mut self, duration: i64) {
        let Some(segment) = self.listed.pop_front() else { return };
        self.discontinuities = self.discontinuities.saturating_add(u64::from(segment.discontinuity));
        let until = self.listed_us.saturating_add(duration);
        self.lingering.push_back((until, segment));
    }

    fn expire(&mut self, expired: &mut Vec<String>) {
        let Some((_, segment)) = self.lingering.pop_front() else { return };
        self.held = self.held.saturating_sub(segment.bytes.len());
        if segment.name.is_empty() {
            return;
        }
        expired.extend((0..segment.parts.len()).map(|n| names::marked(&segment.name, &format!(".{n}"))));
        expired.push(segment.name);
    }

    /// Lets go of the resources that nobody refers to, and names the files.
    pub(super) fn drop_resources(&mut self, expired: &mut Vec<String>) {
        self.resources.retain(|resource| {
            let used = Arc::strong_count(resource) > 1;
            if !used && !resource.name.is_empty() {
                expired.push(resource.name.clone());
            }
            used
        });
    }
}
