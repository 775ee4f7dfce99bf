//! The text of playlists, and when a blocked request is answered.

use std::fmt::Write;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::list::{List, Part, Segment};
use super::{Answer, Reload, names};
use crate::time::rfc3339;

/// Target durations before the end of the playlist in which parts are listed (rfc8216bis, 6.2.2).
const PARTS_LISTED: i64 = 3;
/// Target durations before the end of the playlist that a delta update has in any case (4.4.3.8).
const SKIP_UNTIL: i64 = 6;

/// A playlist's text, without a context, and where one goes. It is made when the playlist changes; what
/// differs from one player to another is only put in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    plain: Bytes,
    places: Vec<Place>,
}

/// Behind a URI, and whether that has a query.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    at: usize,
    has_query: bool,
}

impl Text {
    fn with(&self, context: Option<&str>) -> Bytes {
        let Some(context) = context else { return self.plain.clone() };
        let context: Vec<u8> = context.bytes().filter(|b| b.is_ascii_graphic() && *b != b'"').collect();
        let added = self.places.len().saturating_mul(context.len().saturating_add(1));
        let mut out = BytesMut::with_capacity(self.plain.len().saturating_add(added));
        let mut from = 0;
        for place in &self.places {
            out.put_slice(self.plain.get(from..place.at).unwrap_or_default());
            out.put_u8(if place.has_query { b'&' } else { b'?' });
            out.put_slice(&context);
            from = place.at;
        }
        out.put_slice(self.plain.get(from..).unwrap_or_default());
        out.freeze()
    }
}

impl List {
    /// The answer to a request for the playlist. `context` is added to the URIs of files as a query.
    pub(super) fn answer(&self, reload: &Reload, context: Option<&str>) -> Answer {
        if self.target_s.is_none() {
            return Answer::NotYet;
        }
        let (Some(part_target), false) = (self.part_target_us, self.finished) else {
            return Answer::Ready(self.whole(context));
        };
        if reload.part.is_some() && reload.msn.is_none() {
            return Answer::BadRequest;
        }
        if let Some(msn) = reload.msn {
            // The segment that has begun, or is the next to begin.
            let open = self.next_seq;
            if msn > open.saturating_add(1) {
                return Answer::BadRequest;
            }
            let there = match reload.part {
                None => msn < open,
                Some(part) => {
                    let parts = self.open.as_ref().map_or(0, |segment| segment.parts.len()) as u64;
                    let ahead = advance_part_limit(part_target);
                    if msn == open && part >= parts.saturating_add(ahead) {
                        return Answer::BadRequest;
                    }
                    if msn == open { part < parts } else { msn < open && self.has_part(msn, part, parts) }
                }
            };
            if !there {
                return Answer::NotYet;
            }
        }
        Answer::Ready(if reload.skip { self.text(true).with(context) } else { self.whole(context) })
    }

    /// Whether the part of a segment that has ended is there; one beyond its last is the next segment's
    /// first (rfc8216bis, 6.2.5.2).
    fn has_part(&self, msn: u64, part: u64, open_parts: u64) -> bool {
        let last = self.listed.back().filter(|segment| segment.seq == msn);
        last.is_none_or(|segment| part < segment.parts.len() as u64 || open_parts > 0)
    }

    /// The URI of the part that comes next.
    pub(super) fn hint(&self) -> Option<(&Segment, usize)> {
        let open = self.open.as_ref().filter(|_| self.part_target_us.is_some() && !self.finished)?;
        Some((open, open.parts.len()))
    }

    /// The playlist, or its delta update.
    fn text(&self, delta: bool) -> Text {
        let mut out = String::with_capacity(256 + self.listed.len().saturating_mul(128));
        let mut places = Vec::new();
        // Writing to a String doesn't fail.
        let _ = self.write(&mut out, delta, self.target_us().unwrap_or(0), &mut places);
        Text { plain: Bytes::from(out), places }
    }

    /// Makes the playlist's text, for all who ask until it changes.
    pub(super) fn render(&mut self) -> Bytes {
        let text = self.text(false);
        let plain = text.plain.clone();
        self.rendered = Some(text);
        plain
    }

    /// The whole playlist for those of a context.
    fn whole(&self, context: Option<&str>) -> Bytes {
        debug_assert!(self.rendered.as_ref().is_none_or(|text| *text == self.text(false)));
        match &self.rendered {
            Some(text) => text.with(context),
            None => self.text(false).with(context),
        }
    }

    fn write(&self, out: &mut String, delta: bool, target: i64, places: &mut Vec<Place>) -> std::fmt::Result {
        let low_latency = self.part_target_us;
        let has_map = self.listed.iter().any(|segment| segment.map.is_some());
        let version = match (low_latency, has_map) {
            (Some(_), _) => 9,
            (None, true) => 6,
            (None, false) => 3,
        };
        let first = self.listed.front().map_or(self.next_seq, |segment| segment.seq);
        write!(out, "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n", target / 1_000_000)?;
        if let Some(part_target) = low_latency {
            write!(
                out,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={},HOLD-BACK={},PART-HOLD-BACK={}\n\
                 #EXT-X-PART-INF:PART-TARGET={}\n",
                seconds(target.saturating_mul(SKIP_UNTIL)),
                seconds(target.saturating_mul(3)),
                seconds(part_target.saturating_mul(3)),
                seconds(part_target),
            )?;
        }
        write!(
            out,
            "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.discontinuities
        )?;
        if !self.dependent {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }

        // With what stands before its first part, also while that is only hinted at: a player that took the
        // hint for a continuation would not believe the playlist that says otherwise.
        let open = self.open.as_ref().filter(|_| low_latency.is_some());
        // How long it is from each segment's end to the end of the last one.
        let mut after = self.duration_us();
        let parts_from = target.saturating_mul(PARTS_LISTED);
        let skip_from = target.saturating_mul(SKIP_UNTIL);
        let skipped = match low_latency {
            Some(_) if delta => self.skipped(after, skip_from),
            _ => 0,
        };
        if skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
        }
        let mut before: Option<&Segment> = None;
        let open_us = open.map_or(0, |segment| segment.duration_us);
        for (n, segment) in self.listed.iter().enumerate() {
            let left = after;
            after = after.saturating_sub(segment.duration_us);
            if n >= skipped {
                head(out, segment, before, places)?;
                if left.saturating_add(open_us) <= parts_from {
                    parts(out, segment, 0, places)?;
                } else if after.saturating_add(open_us) < parts_from {
                    let age = left.saturating_add(open_us).saturating_sub(parts_from);
                    parts(out, segment, past(&segment.parts, age), places)?;
                }
                writeln!(out, "#EXTINF:{},", seconds(segment.duration_us))?;
                line(out, &segment.uri, places);
                out.push('\n');
            }
            before = Some(segment);
        }
        if let Some(segment) = open {
            head(out, segment, before, places)?;
            parts(out, segment, past(&segment.parts, open_us.saturating_sub(parts_from)), places)?;
        }
        if open.is_none() && self.discontinuity && low_latency.is_some() && !self.finished {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some((segment, part)) = self.hint() {
            out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
            line(out, &names::marked(&segment.uri, &format!(".{part}")), places);
            out.push_str("\"\n");
        }
        if self.finished {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        Ok(())
    }

    /// How many segments lie beyond the skip boundary of a playlist of `duration`.
    fn skipped(&self, duration: i64, boundary: i64) -> usize {
        let mut left = duration;
        let beyond = self.listed.iter().take_while(|segment| {
            left = left.saturating_sub(segment.duration_us);
            left >= boundary
        });
        beyond.count()
    }

    /// The multivariant playlist with the media playlist at `uri` as its one variant.
    pub(super) fn master(&self, uri: &str, codecs: &str, size: Option<(u32, u32)>) -> Option<Bytes> {
        // How long segments of another run are in bytes is not known.
        let known = || self.listed.iter().filter(|segment| segment.len > 0);
        let peak = known().map(|segment| bits_per_second(segment.len, segment.duration_us)).max()?;
        let (bytes, us) = known().fold((0usize, 0i64), |(bytes, us), segment| {
            (bytes.saturating_add(segment.len), us.saturating_add(segment.duration_us))
        });
        let average = bits_per_second(bytes, us);
        let mut out = String::with_capacity(256);
        let _ = write!(out, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}");
        if !codecs.is_empty() {
            let _ = write!(out, ",CODECS=\"{codecs}\"");
        }
        if let Some((width, height)) = size {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
        out.push('\n');
        out.extend(uri.chars().filter(|c| !c.is_control()));
        out.push('\n');
        Some(Bytes::from(out))
    }
}

/// Part indexes that a request may be ahead of the last part (rfc8216bis, 6.2.5.2), by the PART-TARGET that
/// the playlist names, which is in ms.
fn advance_part_limit(part_target_us: i64) -> u64 {
    let ms = u64::try_from(part_target_us.saturating_add(500) / 1000).unwrap_or(1);
    3000u64.div_ceil(ms.max(1)).max(3)
}

/// The tags before a segment's parts and its URI.
fn head(
    out: &mut String,
    segment: &Segment,
    before: Option<&Segment>,
    places: &mut Vec<Place>,
) -> std::fmt::Result {
    if segment.discontinuity {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    // Before the map, which it would apply to as well: keys are of MPEG-TS, which has no map.
    if let Some(key) = &segment.key
        && before.and_then(|before| before.key.as_ref()).is_none_or(|other| !Arc::ptr_eq(other, key))
    {
        writeln!(out, "{}", key.tag)?;
    }
    if segment.key.is_none() && before.is_some_and(|before| before.key.is_some()) {
        out.push_str("#EXT-X-KEY:METHOD=NONE\n");
    }
    if let Some(map) = &segment.map
        && before.and_then(|before| before.map.as_ref()).is_none_or(|other| !Arc::ptr_eq(other, map))
    {
        // The tag ends with its URI.
        line(out, map.tag.trim_end_matches('"'), places);
        out.push_str("\"\n");
    }
    if let Some(date_ms) = segment.date_ms {
        writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(date_ms))?;
    }
    Ok(())
}

/// The parts of a segment from the `from`th on.
fn parts(out: &mut String, segment: &Segment, from: usize, places: &mut Vec<Place>) -> std::fmt::Result {
    for (n, part) in segment.parts.iter().enumerate().skip(from) {
        write!(out, "#EXT-X-PART:DURATION={},URI=\"", seconds(part.duration_us))?;
        line(out, &names::marked(&segment.uri, &format!(".{n}")), places);
        out.push_str(if part.independent { "\",INDEPENDENT=YES\n" } else { "\"\n" });
    }
    Ok(())
}

/// How many of the first parts begin in the first `age` µs.
fn past(parts: &[Part], age: i64) -> usize {
    let mut at = 0i64;
    let begun = parts.iter().take_while(|part| {
        let is = at < age;
        at = at.saturating_add(part.duration_us);
        is
    });
    begun.count()
}

/// A URI, which a context may be added to as a query.
fn line(out: &mut String, uri: &str, places: &mut Vec<Place>) {
    out.push_str(uri);
    places.push(Place { at: out.len(), has_query: uri.contains('?') });
}

fn bits_per_second(bytes: usize, duration_us: i64) -> u64 {
    let bits = (bytes as u64).saturating_mul(8_000_000);
    bits.div_ceil(u64::try_from(duration_us).unwrap_or(1).max(1))
}

/// Seconds with as many decimals as a millisecond needs.
fn seconds(us: i64) -> Seconds {
    Seconds(us.saturating_add(500) / 1000)
}

struct Seconds(i64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, (self.0 % 1000).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advance_part_limit_is_three_seconds_or_three() {
        assert_eq!(advance_part_limit(500_000), 6);
        assert_eq!(advance_part_limit(333_000), 10);
        assert_eq!(advance_part_limit(499_600), 6, "which the playlist calls 0.500");
        assert_eq!(advance_part_limit(2_000_000), 3);
    }
}
