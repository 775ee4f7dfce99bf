//! The text of playlists, and when a blocked request is answered.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;

use super::list::{List, Part, Segment};
use super::{Answer, Reload, names};

/// Target durations before the end of the playlist in which parts are listed (rfc8216bis, 6.2.2).
const PARTS_LISTED: i64 = 3;
/// Target durations before the end of the playlist that a delta update has in any case (4.4.3.8).
const SKIP_UNTIL: i64 = 6;

impl List {
    /// The answer to a request for the playlist. `context` is added to the URIs of files as a query.
    pub(super) fn answer(&self, reload: &Reload, context: Option<&str>) -> Answer {
        if self.target_s.is_none() {
            return Answer::NotYet;
        }
        let (Some(part_target), false) = (self.part_target_us, self.finished) else {
            return Answer::Ready(self.text(false, context));
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
        Answer::Ready(self.text(reload.skip, context))
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
    pub(super) fn text(&self, delta: bool, context: Option<&str>) -> Bytes {
        let target = self.target_us().unwrap_or(0);
        let mut out = String::with_capacity(256 + self.listed.len().saturating_mul(128));
        // Writing to a String doesn't fail.
        let _ = self.write(&mut out, delta, target, context);
        Bytes::from(out)
    }

    fn write(&self, out: &mut String, delta: bool, target: i64, context: Option<&str>) -> std::fmt::Result {
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
                head(out, segment, before, context)?;
                if left.saturating_add(open_us) <= parts_from {
                    parts(out, segment, 0, context)?;
                } else if after.saturating_add(open_us) < parts_from {
                    let age = left.saturating_add(open_us).saturating_sub(parts_from);
                    parts(out, segment, past(&segment.parts, age), context)?;
                }
                writeln!(out, "#EXTINF:{},", seconds(segment.duration_us))?;
                line(out, &segment.uri, context);
                out.push('\n');
            }
            before = Some(segment);
        }
        if let Some(segment) = open {
            head(out, segment, before, context)?;
            parts(out, segment, past(&segment.parts, open_us.saturating_sub(parts_from)), context)?;
        }
        if open.is_none() && self.discontinuity && low_latency.is_some() && !self.finished {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some((segment, part)) = self.hint() {
            out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
            line(out, &names::marked(&segment.uri, &format!(".{part}")), context);
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

/// Part indexes that a request may be ahead of the last part (rfc8216bis, 6.2.5.2).
fn advance_part_limit(part_target_us: i64) -> u64 {
    let parts = 3_000_000u64.div_ceil(u64::try_from(part_target_us).unwrap_or(1).max(1));
    parts.max(3)
}

/// The tags before a segment's parts and its URI.
fn head(
    out: &mut String,
    segment: &Segment,
    before: Option<&Segment>,
    context: Option<&str>,
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
        line(out, map.tag.trim_end_matches('"'), context);
        out.push_str("\"\n");
    }
    if let Some(date_ms) = segment.date_ms {
        writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date(date_ms))?;
    }
    Ok(())
}

/// The parts of a segment from the `from`th on.
fn parts(out: &mut String, segment: &Segment, from: usize, context: Option<&str>) -> std::fmt::Result {
    for (n, part) in segment.parts.iter().enumerate().skip(from) {
        write!(out, "#EXT-X-PART:DURATION={},URI=\"", seconds(part.duration_us))?;
        line(out, &names::marked(&segment.uri, &format!(".{n}")), context);
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

/// A URI, with the context as its query.
fn line(out: &mut String, uri: &str, context: Option<&str>) {
    out.push_str(uri);
    if let Some(context) = context {
        out.push(if uri.contains('?') { '&' } else { '?' });
        out.extend(context.chars().filter(|c| c.is_ascii_graphic() && *c != '"'));
    }
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

/// A date as RFC 3339 has it, in UTC.
fn date(unix_ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    // The years 0000 to 9999.
    let ms = unix_ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
    let (days, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    // Howard Hinnant's civil_from_days: years begin in March, so that leap days come last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_180_389_714, "2026-11-20T13:13:09.714Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(ms), text);
        }
    }

    #[test]
    fn the_advance_part_limit_is_three_seconds_or_three() {
        assert_eq!(advance_part_limit(500_000), 6);
        assert_eq!(advance_part_limit(333_000), 10);
        assert_eq!(advance_part_limit(2_000_000), 3);
    }
}
