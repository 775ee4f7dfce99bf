//! Time shift: an HLS playlist of what recordings hold of a span of time (RFC 8216).
//!
//! Its segments are ranges of bytes of the recorded MP4 files, so nothing is copied or kept twice.

use std::fmt::Write;

use crate::fmp4::Fragment;
use crate::time::rfc3339;
use crate::wire::limits::TIMESHIFT_SEGMENTS;

/// A segment ends at the first keyframe after so long, in µs.
const SEGMENT_US: i64 = 3_000_000;
/// A segment without a keyframe to end at is so much longer than it should be, in µs.
const OVERTIME_US: i64 = 7_000_000;
/// What the wall clock may differ by from the one before and the lengths since, in µs, without being told
/// anew.
const DRIFT_US: i64 = 500_000;

/// What is asked for, in µs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The segment that is under way here is the first.
    pub start_us: i64,
    /// Nothing that begins here or later is listed.
    pub end_us: i64,
    /// Whether the end has passed: the playlist is complete. If not, more will be added to its end.
    pub is_over: bool,
}

/// Makes the playlist. For each file, in any order: [`TimeShift::begin`], its fragments with
/// [`TimeShift::push`], then [`TimeShift::end`].
///
/// As long as the span isn't over, a later playlist of the same span and files that have grown has the former
/// as its beginning.
#[derive(Debug)]
pub struct TimeShift {
    span: Span,
    /// How long a segment is at least, but a file's last.
    least_us: i64,
    files: Vec<File>,
    file: File,
    /// Segments that will be listed.
    count: usize,
}

#[derive(Debug, Default)]
struct File {
    uri: String,
    init: Init,
    segments: Vec<Segment>,
    /// The segment that the file ends in: more of it may come.
    open: Option<Segment>,
}

/// An init segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Init {
    /// Its bytes, from the file's beginning.
    pub len: u64,
    /// A hash of them: the same for two that are the same.
    pub hash: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    len: u64,
    wall_us: i64,
    start_us: i64,
    duration_us: i64,
}

impl TimeShift {
    /// A playlist of this span, without anything in it.
    pub fn new(span: Span) -> Self {
        let most = i64::try_from(TIMESHIFT_SEGMENTS).unwrap_or(i64::MAX);
        let least_us = SEGMENT_US.max(span.end_us.saturating_sub(span.start_us) / most);
        Self { span, least_us, files: Vec::new(), file: File::default(), count: 0 }
    }

    /// A file begins. `uri` is what the playlist calls it.
    pub fn begin(&mut self, uri: String, init: Init) {
        self.end();
        self.file = File { uri, init, ..File::default() };
    }

    /// Adds the file's next fragment. Answers whether those that follow are of use.
    pub fn push(&mut self, fragment: &Fragment) -> bool {
        // What has no date can't be asked for.
        let Some(wall_us) = fragment.wall_us else { return true };
        let most_us = self.least_us.saturating_add(OVERTIME_US);
        let end_us = fragment.start_us.saturating_add(fragment.duration_us);
        let is_beyond = wall_us >= self.span.end_us;
        if let Some(open) = self.file.open.as_mut() {
            let adjoins = open.offset.saturating_add(open.len) == fragment.offset;
            let is_due = fragment.key && open.duration_us >= self.least_us;
            let length_us = end_us.saturating_sub(open.start_us);
            if adjoins && !is_due && length_us <= most_us && !is_beyond {
                open.len = open.len.saturating_add(fragment.len);
                open.duration_us = length_us;
                return true;
            }
            self.close();
        }
        if is_beyond || self.is_full() {
            return false;
        }
        self.file.open = Some(Segment {
            offset: fragment.offset,
            len: fragment.len,
            wall_us,
            start_us: fragment.start_us,
            duration_us: fragment.duration_us,
        });
        true
    }

    /// The file has no more.
    pub fn end(&mut self) {
        let mut file = std::mem::take(&mut self.file);
        file.open = file.open.filter(|open| self.is_wanted(open));
        self.count = self.count.saturating_add(usize::from(file.open.is_some()));
        if file.first().is_some() {
            self.files.push(file);
        }
    }

    /// Whether it has as many segments as it may have: what is more is left out.
    pub fn is_full(&self) -> bool {
        self.count >= TIMESHIFT_SEGMENTS.saturating_mul(2)
    }

    /// The playlist's text; `None` if there is nothing of that time.
    pub fn finish(mut self) -> Option<String> {
        self.end();
        self.files.sort_by_key(File::first);
        let newest = self.files.len().saturating_sub(1);
        for (at, file) in self.files.iter_mut().enumerate() {
            // What may still grow is not told yet.
            let open = file.open.take().filter(|_| self.span.is_over || at < newest);
            file.segments.extend(open);
        }
        self.files.retain(|file| !file.segments.is_empty());
        if self.files.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(self.count.saturating_mul(96).saturating_add(512));
        // Writing to a String doesn't fail.
        let _ = self.write(&mut out);
        Some(out)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let longest = self.files.iter().flat_map(|f| &f.segments).map(|s| s.duration_us).max();
        // While the playlist grows this must not change, so it is what a segment may come to have.
        let most_us = if self.span.is_over { 0 } else { self.least_us.saturating_add(OVERTIME_US) };
        let target_s = longest.unwrap_or(0).max(most_us).saturating_add(999_999) / 1_000_000;
        let kind = if self.span.is_over { "VOD" } else { "EVENT" };
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target_s}")?;
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:{kind}")?;
        let mut in_force = None;
        for (at, file) in self.files.iter().enumerate() {
            let File { uri, init, .. } = file;
            if at > 0 {
                out.write_str("#EXT-X-DISCONTINUITY\n")?;
            }
            // One that holds already is not told again: ffmpeg would complain of a second moov.
            if in_force.replace(init) != Some(init) {
                writeln!(out, "#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"{}@0\"", init.len)?;
            }
            let mut expected = None;
            for segment in &file.segments {
                let Segment { offset, len, wall_us, duration_us, .. } = *segment;
                let told = expected.filter(|at| wall_us.abs_diff(*at) <= DRIFT_US.unsigned_abs());
                if told.is_none() {
                    writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(wall_us.div_euclid(1000)))?;
                }
                expected = Some(told.unwrap_or(wall_us).saturating_add(duration_us));
                let (seconds, us) = (duration_us.max(0) / 1_000_000, duration_us.max(0) % 1_000_000);
                writeln!(out, "#EXTINF:{seconds}.{us:06},\n#EXT-X-BYTERANGE:{len}@{offset}\n{uri}")?;
            }
        }
        if self.span.is_over {
            out.write_str("#EXT-X-ENDLIST\n")?;
        }
        Ok(())
    }

    /// The segment that the file is at is whole.
    fn close(&mut self) {
        if let Some(segment) = self.file.open.take()
            && self.is_wanted(&segment)
        {
            self.file.segments.push(segment);
            self.count = self.count.saturating_add(1);
        }
    }

    fn is_wanted(&self, segment: &Segment) -> bool {
        let end_us = segment.wall_us.saturating_add(segment.duration_us);
        end_us > self.span.start_us && segment.wall_us < self.span.end_us
    }
}

impl File {
    /// When it begins, if anything of it is listed.
    fn first(&self) -> Option<i64> {
        self.segments.first().or(self.open.as_ref()).map(|segment| segment.wall_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;
    /// 2026-11-21T00:00:00Z
    const NOON: i64 = 1_795_219_200 * S;

    fn span(from_s: i64, to_s: i64, is_over: bool) -> Span {
        Span { start_us: NOON + from_s * S, end_us: NOON + to_s * S, is_over }
    }

    /// Fragments of a second from `from_s` on, each `gop`th of which begins with a keyframe.
    fn fragments(from_s: i64, n: i64, gop: i64) -> Vec<Fragment> {
        let one = |i: i64| Fragment {
            offset: 1000 + 100 * i as u64,
            len: 100,
            start_us: i * S,
            duration_us: S,
            key: i % gop == 0,
            wall_us: Some(NOON + (from_s + i) * S),
            runs: vec![],
        };
        (0..n).map(one).collect()
    }

    fn init(kind: usize) -> Init {
        Init { len: 1000, hash: kind as u64 }
    }

    fn playlist(span: Span, files: &[(&str, Vec<Fragment>)]) -> Option<String> {
        let mut shift = TimeShift::new(span);
        for (uri, fragments) in files {
            shift.begin((*uri).into(), init(uri.len()));
            assert_eq!(
                fragments.iter().take_while(|f| shift.push(f)).count(),
                fragments.iter().take_while(|f| f.wall_us.is_none_or(|at| at < span.end_us)).count()
            );
            shift.end();
        }
        shift.finish()
    }

    #[test]
    fn what_was_recorded_then_is_listed_from_keyframe_to_keyframe() {
        let files = [("b.mp4", fragments(100, 10, 2)), ("a%20.mp4", fragments(0, 12, 2))];
        let text = playlist(span(6, 103, true), &files).unwrap();
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-MAP:URI=\"a%20.mp4\",BYTERANGE=\"1000@0\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:00:04.000Z\n\
             #EXTINF:4.000000,\n#EXT-X-BYTERANGE:400@1400\na%20.mp4\n\
             #EXTINF:4.000000,\n#EXT-X-BYTERANGE:400@1800\na%20.mp4\n\
             #EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"b.mp4\",BYTERANGE=\"1000@0\"\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-21T00:01:40.000Z\n\
             #EXTINF:3.000000,\n#EXT-X-BYTERANGE:300@1000\nb.mp4\n\
             #EXT-X-ENDLIST\n"
        );
        // The same init segment holds for both.
        let files = [("b.mp4", fragments(100, 10, 2)), ("a.mp4", fragments(0, 12, 2))];
        let same = playlist(span(6, 103, true), &files).unwrap();
        let break_only = text.replace("#EXT-X-MAP:URI=\"b.mp4\",BYTERANGE=\"1000@0\"\n", "");
        assert_eq!(same, break_only.replace("%20", ""));
        assert_eq!(playlist(span(12, 100, true), &files), None);
        assert_eq!(playlist(span(110, 200, true), &files), None);
    }

    #[test]
    fn a_span_that_is_not_over_ends_before_what_still_grows() {
        let text = playlist(span(0, 100, false), &[("a", fragments(0, 7, 2))]).unwrap();
        assert!(text.contains("TARGETDURATION:10\n") && text.contains("TYPE:EVENT\n"), "{text}");
        assert!(text.contains("400@1000") && !text.contains("@1400") && !text.contains("ENDLIST"), "{text}");
        assert_eq!(playlist(span(0, 100, false), &[("a", fragments(0, 3, 2))]), None);
        // Another file has begun: this one grows no more.
        let both = [("a", fragments(0, 7, 2)), ("b", fragments(8, 2, 2))];
        let text = playlist(span(0, 100, false), &both).unwrap();
        assert!(text.contains("300@1400") && !text.contains("\nb\n"), "{text}");
    }

    #[test]
    fn gops_that_are_long_and_holes_are_borne() {
        let text = playlist(span(0, 100, true), &[("a", fragments(0, 25, 100))]).unwrap();
        let lengths: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("#EXTINF:")).collect();
        assert_eq!(lengths, ["10.000000,", "10.000000,", "5.000000,"]);

        let mut torn = fragments(0, 6, 1);
        torn[1].len = 90; // what follows doesn't adjoin
        torn[3].wall_us = None;
        torn[4].wall_us = Some(NOON + 30 * S); // the clock was set
        let text = playlist(span(0, 100, true), &[("a", torn)]).unwrap();
        let ranges: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("#EXT-X-BYTERANGE:")).collect();
        assert_eq!(ranges, ["190@1000", "100@1200", "200@1400"]);
        assert!(text.contains("T00:00:30.000Z\n"));
    }

    #[test]
    fn a_long_span_has_longer_segments() {
        let n = 40_000;
        let text = playlist(span(0, n, true), &[("a", fragments(0, n, 1))]).unwrap();
        let count = text.matches("#EXTINF").count();
        assert!((TIMESHIFT_SEGMENTS - 2000..=TIMESHIFT_SEGMENTS).contains(&count), "{count}");
        // Files that are short make more, up to a limit.
        let mut shift = TimeShift::new(span(0, 1 << 20, true));
        for i in 0..TIMESHIFT_SEGMENTS as i64 * 3 {
            shift.begin(String::from("a"), init(1));
            shift.push(&fragments(i, 1, 1)[0]);
        }
        assert!(shift.is_full());
        assert_eq!(shift.finish().unwrap().matches("#EXTINF").count(), TIMESHIFT_SEGMENTS * 2);
    }

    proptest! {
        /// A playlist that grows only gets longer, and all that is listed is within what was recorded.
        #[test]
        fn what_was_told_stays(
            gops in proptest::collection::vec(1i64..15, 1..4), lengths in proptest::collection::vec(0i64..40, 1..4),
            from in 0i64..60, length in 1i64..100, seen in 0i64..130,
        ) {
            let mut files = vec![];
            let mut at = 0;
            for (i, (gop, n)) in gops.iter().zip(&lengths).enumerate() {
                files.push((["a", "b", "c"][i], fragments(at, *n, *gop)));
                at += n + 2;
            }
            let grown = |until: i64| -> Vec<_> {
                let there = |f: &&Fragment| f.wall_us.unwrap() < NOON + until * S;
                let cut = |(uri, all): &(&'static str, Vec<Fragment>)| {
                    (*uri, all.iter().filter(there).cloned().collect::<Vec<_>>())
                };
                files.iter().map(cut).collect()
            };
            let wanted = span(from, from + length, false);
            let before = playlist(wanted, &grown(seen.min(from + length)));
            let later = playlist(wanted, &grown((seen + 9).min(from + length)));
            if let Some(before) = &before {
                prop_assert!(later.as_ref().is_some_and(|later| later.starts_with(before)), "{before}{later:?}");
            }
            let last = playlist(Span { is_over: true, ..wanted }, &files);
            let segments = |text: &Option<String>| -> Vec<String> {
                let all = text.iter().flat_map(|text| text.lines());
                all.filter(|l| l.starts_with("#EXT-X-BYTERANGE")).map(str::to_owned).collect()
            };
            prop_assert!(segments(&last).starts_with(&segments(&later)));
            // Every fragment that begins in the span is in a segment.
            let bytes: u64 = segments(&last).iter().map(|l| l[17..].split('@').next().unwrap().parse::<u64>().unwrap()).sum();
            let begun = files.iter().flat_map(|(_, all)| all).filter(|f| {
                let at = f.wall_us.unwrap();
                at >= wanted.start_us && at < wanted.end_us
            });
            prop_assert!(bytes >= begun.count() as u64 * 100);
        }
    }
}
