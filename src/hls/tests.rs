//! A playlist's reader of its own, and what must hold of all playlists that a stream is given.

use std::collections::{BTreeMap, BTreeSet};

use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use bytes::{BufMut, Bytes, BytesMut};
use hls_m3u8::MediaPlaylist;
use proptest::prelude::*;

use super::*;
use crate::codec::avcc;
use crate::media::{Chain, Frame, Headers, Kind, Role};
use crate::template::Calendar;

const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
/// 640x360 and 1280x720.
pub(super) const SMALL: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
    0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
];
pub(super) const LARGE: &[u8] = &[
    0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
];
pub(super) const BEGAN_MS: i64 = 1_795_180_000_000;

pub(super) fn frame(kind: Kind, codec: Codec, role: Role, dts: i64, payload: impl Into<Chain>) -> Frame {
    Frame { kind, codec, role, dts, pts: dts, payload: payload.into(), relay: Bytes::new() }
}

pub(super) fn video_header(sps: &[u8]) -> Frame {
    frame(Kind::Video, Codec::H264, Role::Header, 0, avcc::build(&[sps], &[PPS]).unwrap())
}

pub(super) fn audio_header(config: &'static [u8]) -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Header, 0, config)
}

pub(super) fn video(is_key: bool, dts: i64) -> Frame {
    let (nal, len) = if is_key { (0x65, 900u32) } else { (0x41, 90) };
    let mut payload = BytesMut::new();
    payload.put_u32(len);
    payload.put_u8(nal);
    payload.put_bytes(0x55, len as usize - 1);
    frame(Kind::Video, Codec::H264, if is_key { Role::Key } else { Role::Delta }, dts, payload)
}

pub(super) fn audio(dts: i64) -> Frame {
    frame(Kind::Audio, Codec::Aac, Role::Key, dts, vec![0x21; 60])
}

pub(super) fn options(format: Format) -> Options {
    let segment = if format == Format::Ts { "[app]/[stream]-[seq].ts" } else { "[app]/[stream]-[seq].m4s" };
    Options {
        format,
        fragment_us: 2_000_000,
        window_us: 8_000_000,
        segment: segment.into(),
        ..Options::default()
    }
}

fn low_latency() -> Options {
    Options { part_us: Some(500_000), window_us: 30_000_000, ..options(Format::Fmp4) }
}

pub(super) fn encrypted() -> Options {
    let file = "[app]/[stream]-[seq].key".into();
    let keys = Keys { seed: [9; 32], fragments_per_key: 3, url: String::new(), file };
    Options { keys: Some(keys), ..options(Format::Ts) }
}

/// A segment as a playlist lists it.
#[derive(Debug, Clone, PartialEq)]
struct Listed {
    seq: u64,
    uri: String,
    duration: f64,
    discontinuity_seq: u64,
    key: Option<String>,
    map: Option<String>,
    parts: Vec<(String, f64)>,
}

/// A playlist, read by a reader that shares nothing with the writer.
#[derive(Debug, Default)]
struct Read {
    version: u32,
    target: u32,
    part_target: Option<f64>,
    independent: bool,
    segments: Vec<Listed>,
    open_parts: Vec<(String, f64)>,
    hint: Option<String>,
    /// The discontinuity sequence number of the segment to come.
    next_discontinuity_seq: u64,
    skipped: u64,
    ended: bool,
}

impl Read {
    fn duration(&self) -> f64 {
        self.segments.iter().map(|s| s.duration).sum()
    }

    fn next_seq(&self) -> u64 {
        self.segments.last().unwrap().seq + 1
    }
}

fn attribute<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let at = value.find(&format!("{name}="))? + name.len() + 1;
    let rest = &value[at..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    }
}

fn read(text: &[u8]) -> Read {
    let text = std::str::from_utf8(text).unwrap();
    let mut out = Read::default();
    let (mut seq, mut discontinuity_seq, mut duration) = (0, 0, None);
    let (mut key, mut map, mut parts) = (None, None, Vec::new());
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"));
    assert!(text.ends_with('\n'));
    for line in lines {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        let uri = || attribute(value, "URI").unwrap().to_owned();
        match tag {
            "#EXT-X-VERSION" => out.version = value.parse().unwrap(),
            "#EXT-X-TARGETDURATION" => out.target = value.parse().unwrap(),
            "#EXT-X-MEDIA-SEQUENCE" => seq = value.parse().unwrap(),
            "#EXT-X-DISCONTINUITY-SEQUENCE" => discontinuity_seq = value.parse().unwrap(),
            "#EXT-X-INDEPENDENT-SEGMENTS" => out.independent = true,
            "#EXT-X-PART-INF" => {
                out.part_target = Some(attribute(value, "PART-TARGET").unwrap().parse().unwrap());
            }
            "#EXT-X-SERVER-CONTROL" => {
                let of = |name| attribute(value, name).unwrap().parse::<f64>().unwrap();
                assert!(value.contains("CAN-BLOCK-RELOAD=YES"));
                assert!(of("CAN-SKIP-UNTIL") >= 6.0 * f64::from(out.target));
                assert!(of("HOLD-BACK") >= 3.0 * f64::from(out.target));
            }
            "#EXT-X-SKIP" => {
                out.skipped = attribute(value, "SKIPPED-SEGMENTS").unwrap().parse().unwrap();
                seq += out.skipped;
            }
            "#EXT-X-DISCONTINUITY" => discontinuity_seq += 1,
            "#EXT-X-KEY" => key = (attribute(value, "METHOD") != Some("NONE")).then(uri),
            "#EXT-X-MAP" => map = Some(uri()),
            "#EXT-X-PART" => {
                parts.push((uri(), attribute(value, "DURATION").unwrap().parse::<f64>().unwrap()));
            }
            "#EXT-X-PRELOAD-HINT" => out.hint = Some(uri()),
            "#EXT-X-ENDLIST" => out.ended = true,
            "#EXTINF" => duration = Some(value.strip_suffix(',').expect("a comma").parse().unwrap()),
            "#EXT-X-PROGRAM-DATE-TIME" => assert_eq!(value.len(), 24),
            _ if line.starts_with('#') => panic!("{line}"),
            uri => {
                out.segments.push(Listed {
                    seq,
                    uri: uri.into(),
                    duration: duration.take().expect("an EXTINF"),
                    discontinuity_seq,
                    key: key.clone(),
                    map: map.clone(),
                    parts: std::mem::take(&mut parts),
                });
                seq += 1;
            }
        }
    }
    out.open_parts = parts;
    out.next_discontinuity_seq = discontinuity_seq;
    out
}

/// A directory that does as it is told, and holds every playlist to the rules.
struct Disk {
    writer: Writer,
    files: BTreeMap<String, Bytes>,
    /// All names that there ever were.
    used: BTreeSet<String>,
    /// All segments ever listed.
    known: BTreeMap<u64, (String, u64, Option<String>, Option<String>)>,
    last: Option<Read>,
    closed: Vec<Closed>,
    /// Seconds ever listed, and until when what has left the playlist is wanted.
    listed: f64,
    wanted_until: BTreeMap<String, f64>,
    playlists: usize,
    others: Vec<Output>,
    /// Whether bytes are bounded so that segments may go early.
    bounded: bool,
    /// A publish has ended, and no playlist came since.
    has_paused: bool,
}

impl Disk {
    fn new(options: Options) -> Self {
        let bounded = options.max_bytes < 1_000_000;
        Self {
            writer: Writer::new(options).unwrap(),
            files: BTreeMap::new(),
            used: BTreeSet::new(),
            known: BTreeMap::new(),
            last: None,
            closed: Vec::new(),
            listed: 0.0,
            wanted_until: BTreeMap::new(),
            playlists: 0,
            others: Vec::new(),
            bounded,
            has_paused: false,
        }
    }

    fn write(&mut self, frame: &Frame) {
        let unix_ms = BEGAN_MS + frame.dts / 1000;
        self.writer.write(&Calendar { unix_ms, ..Calendar::default() }, frame);
        self.drain();
    }

    fn begin(&mut self, headers: &[Frame]) {
        self.writer.begin(&Headers::default());
        headers.iter().for_each(|header| self.write(header));
    }

    fn end(&mut self) {
        self.writer.end();
        self.drain();
        self.has_paused = true;
    }

    fn drain(&mut self) {
        while let Some(output) = self.writer.poll_output() {
            match output {
                Output::Init { name, bytes } | Output::Part { name, bytes } => self.put(name, bytes),
                Output::Key { name, bytes } => self.put(name, Bytes::copy_from_slice(&bytes)),
                Output::Segment(closed) => {
                    self.put(closed.name.clone(), closed.bytes.clone());
                    self.closed.push(closed);
                }
                Output::Playlist { name, text } => {
                    assert_eq!(name, "live/livestream.m3u8");
                    self.check(&text);
                    assert_eq!(self.writer.playlist(&Reload::default(), None), Answer::Ready(text));
                }
                Output::Expired { name } => {
                    assert!(self.files.remove(&name).is_some(), "{name} never was");
                    assert!(self.writer.file(&name) == Answer::Absent, "{name} is still there");
                    let until = self.wanted_until.remove(&name).unwrap_or(0.0);
                    assert!(self.bounded || self.listed >= until - 0.01, "{name} went early");
                    assert!(!self.urls().contains(&name), "{name} is still listed");
                }
                other => self.others.push(other),
            }
        }
    }

    fn put(&mut self, name: String, bytes: Bytes) {
        assert!(!bytes.is_empty());
        assert!(self.files.insert(name.clone(), bytes).is_none(), "{name} is there already");
        assert!(self.used.insert(name.clone()), "{name} is used again");
    }

    /// The files that the last playlist names.
    fn urls(&self) -> BTreeSet<String> {
        let Some(last) = &self.last else { return BTreeSet::new() };
        let segments = last.segments.iter().flat_map(|s| {
            let parts = s.parts.iter().map(|p| p.0.clone());
            [Some(s.uri.clone()), s.key.clone(), s.map.clone()].into_iter().flatten().chain(parts)
        });
        segments.chain(last.open_parts.iter().map(|p| p.0.clone())).map(|uri| format!("live/{uri}")).collect()
    }

    fn check(&mut self, text: &Bytes) {
        let now = read(text);
        self.playlists += 1;
        let mut plain: String = std::str::from_utf8(text)
            .unwrap()
            .lines()
            .filter(|l| !["#EXT-X-PART", "#EXT-X-SERVER", "#EXT-X-PRELOAD"].iter().any(|t| l.starts_with(t)))
            .map(|l| if l == "#EXT-X-VERSION:9" { "#EXT-X-VERSION:6\n".into() } else { format!("{l}\n") })
            .collect();
        // Nor does it know a segment that has begun.
        let uri = &now.segments.last().unwrap().uri;
        plain.truncate(plain.rfind(uri).unwrap() + uri.len());
        let mut parsed = MediaPlaylist::builder();
        let parsed = parsed.allowable_excess_duration(std::time::Duration::from_millis(499));
        let parsed = parsed.parse(&plain).unwrap_or_else(|e| panic!("{e}: {plain}"));
        assert_eq!(parsed.segments.iter().count(), now.segments.len());
        m3u8::tests::agrees(text, &parsed);
        let has_map = now.segments.iter().any(|s| s.map.is_some());
        let version = if now.part_target.is_some() {
            9
        } else if has_map {
            6
        } else {
            3
        };
        assert_eq!(now.version, version);

        for s in &now.segments {
            assert!(s.duration.round() <= f64::from(now.target), "{} > {}", s.duration, now.target);
            assert!(s.duration > 0.0);
            let facts = (s.uri.clone(), s.discontinuity_seq, s.key.clone(), s.map.clone());
            if let std::collections::btree_map::Entry::Vacant(e) = self.known.entry(s.seq) {
                e.insert(facts.clone());
                self.listed += s.duration;
            }
            assert_eq!(self.known[&s.seq], facts, "segment {} has changed", s.seq);
        }
        let seqs: Vec<_> = now.segments.iter().map(|s| s.seq).collect();
        assert!(seqs.windows(2).all(|w| w[0] + 1 == w[1]));
        let all_known: Vec<_> = self.known.keys().copied().collect();
        assert!(all_known.windows(2).all(|w| w[0] + 1 == w[1]), "a number was left out");
        if let Some(last) = self.last.take() {
            assert_eq!((last.target, last.part_target), (now.target, now.part_target));
            assert!(last.independent || !now.independent);
            assert!(!last.ended);
            assert!(now.next_seq() >= last.next_seq());
            // Players of parts hold the segment to what was said before its first part: when that is listed,
            // and behind a publish that has ended. A change that nobody could see coming is one all the same.
            let next = now.segments.iter().find(|s| s.seq == last.next_seq());
            let is_said = std::mem::take(&mut self.has_paused) || !last.open_parts.is_empty();
            if is_said && last.part_target.is_some() && !now.ended {
                let seq = next.map_or(now.next_discontinuity_seq, |s| s.discontinuity_seq);
                assert_eq!(seq, last.next_discontinuity_seq);
            }
            let gone: Vec<_> = last.segments.iter().filter(|s| s.seq < seqs[0]).collect();
            if !gone.is_empty() && !self.bounded {
                assert!(now.duration() >= 3.0 * f64::from(now.target) - 0.01);
                for s in &gone {
                    self.wanted_until.insert(format!("live/{}", s.uri), self.listed + last.duration() - 0.01);
                }
            }
        }
        if now.independent {
            for s in &now.segments {
                let closed = self.closed.iter().find(|c| c.seq == s.seq).unwrap();
                assert!(closed.independent);
            }
        }
        self.check_parts(&now);
        self.last = Some(now);
        for name in self.urls() {
            let bytes = self.files.get(&name).unwrap_or_else(|| panic!("{name} is listed and not there"));
            assert!(self.writer.file(&name) == Answer::Ready(bytes.clone()), "{name} is another");
        }
        self.check_blocking();
    }

    fn check_parts(&self, now: &Read) {
        let Some(target) = now.part_target else {
            assert!(now.open_parts.is_empty() && now.hint.is_none());
            return;
        };
        for parts in now.segments.iter().map(|s| &s.parts).chain([&now.open_parts]) {
            assert!(parts.iter().all(|p| p.1 <= target && p.1 > 0.0));
        }
        let mut after = now.open_parts.iter().map(|p| p.1).sum::<f64>();
        for s in now.segments.iter().rev() {
            let closed = self.closed.iter().find(|c| c.seq == s.seq).unwrap();
            let of: Vec<_> =
                (0..).map_while(|n| self.files.get(&names::marked(&closed.name, &format!(".{n}")))).collect();
            if !of.is_empty() {
                assert_eq!(of.iter().flat_map(|b| b.iter().copied()).collect::<Vec<u8>>(), closed.bytes);
                if after + s.duration < 3.0 * f64::from(now.target) {
                    assert_eq!(s.parts.len(), of.len());
                    let sum: f64 = s.parts.iter().map(|p| p.1).sum();
                    assert!((sum - s.duration).abs() < 0.001 * (of.len() + 1) as f64);
                }
            }
            after += s.duration;
            if after - s.duration > 3.0 * f64::from(now.target) + 0.1 {
                assert!(s.parts.is_empty());
            }
        }
    }

    fn check_blocking(&self) {
        let now = self.last.as_ref().unwrap();
        let ask = |msn, part| self.writer.playlist(&Reload { msn, part, skip: false }, None);
        let text = self.writer.playlist(&Reload::default(), None);
        let next = now.next_seq();
        if now.part_target.is_none() || now.ended {
            assert_eq!(ask(Some(next + 9), None), text);
            return;
        }
        let parts = now.open_parts.len() as u64;
        let ahead = (3.0 / now.part_target.unwrap()).ceil().max(3.0) as u64;
        assert_eq!(ask(None, Some(0)), Answer::BadRequest);
        assert_eq!(ask(Some(next - 1), None), text);
        assert_eq!(ask(Some(next), None), Answer::NotYet);
        assert_eq!(ask(Some(next + 1), None), Answer::NotYet);
        assert_eq!(ask(Some(next + 2), None), Answer::BadRequest);
        assert_eq!(ask(Some(next), Some(parts)), Answer::NotYet);
        assert_eq!(ask(Some(next), Some(parts + ahead)), Answer::BadRequest);
        if parts > 0 {
            assert_eq!(ask(Some(next), Some(parts - 1)), text);
        }
        let of_last = now.segments.last().unwrap().parts.len() as u64;
        if of_last > 0 {
            assert_eq!(ask(Some(next - 1), Some(of_last - 1)), text);
        }
        let first_of_next = if parts > 0 { text.clone() } else { Answer::NotYet };
        assert_eq!(ask(Some(next - 1), Some(999)), first_of_next);
        if let Some(hint) = &now.hint {
            assert_eq!(self.writer.file(&format!("live/{hint}")), Answer::NotYet);
            let beyond = hint.replace(&format!(".{parts}.m4s"), &format!(".{}.m4s", parts + 1));
            assert_eq!(self.writer.file(&format!("live/{beyond}")), Answer::Absent);
        }

        let Answer::Ready(delta) = self.writer.playlist(&Reload { skip: true, ..Reload::default() }, None)
        else {
            panic!("no delta update");
        };
        let delta = read(&delta);
        assert_eq!(delta.skipped as usize + delta.segments.len(), now.segments.len());
        let rest: f64 = delta.segments.iter().map(|s| s.duration).sum();
        let skip_until = 6.0 * f64::from(now.target);
        assert!(rest >= skip_until.min(now.duration()) - 0.01);
        assert!(delta.segments.first().is_none_or(|s| rest - s.duration < skip_until + 0.01));
        for (a, b) in delta.segments.iter().zip(&now.segments[delta.skipped as usize..]) {
            assert_eq!((a.seq, &a.uri, a.duration, &a.parts), (b.seq, &b.uri, b.duration, &b.parts));
        }
    }

    fn target(&self) -> u32 {
        self.last.as_ref().unwrap().target
    }
}

/// `seconds` of 25 frames a second with a keyframe each `gop` frames, and AAC of 48 kHz beside it.
fn live(disk: &mut Disk, from: i64, seconds: i64, gop: i64) {
    for n in 0..seconds * 25 {
        disk.write(&video(n % gop == 0, from + n * 40_000));
        let first = |n: i64| (n * 40 * 48 + 1023) / 1024;
        for a in first(n)..first(n + 1) {
            disk.write(&audio(from + a * 1024 * 1000 / 48));
        }
    }
}

pub(super) const AAC: &[u8] = &[0x11, 0x90];

fn headers() -> [Frame; 2] {
    [video_header(SMALL), audio_header(AAC)]
}

#[test]
fn segments_end_at_the_first_keyframe_that_is_late_enough() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()] {
        let mut disk = Disk::new(options);
        disk.begin(&headers());
        live(&mut disk, 0, 240, 30);
        disk.end();
        // Two GOPs of 1.2 s.
        assert_eq!(disk.target(), 2);
        assert!(disk.closed.len() >= 100);
        for closed in disk.closed.iter().rev().skip(1) {
            assert_eq!(closed.duration_us, 2_400_000);
            assert!(closed.independent && !closed.discontinuity);
        }
        assert!(disk.last.as_ref().unwrap().independent);
        assert!(disk.files.len() < 200, "what has expired is gone");
    }
}

#[test]
fn the_target_duration_is_chosen_by_the_gops() {
    for (gop, fragment_us, td_ratio, target) in
        [(50, 2_000_000, 1.0, 2), (50, 3_000_000, 1.0, 4), (250, 2_000_000, 1.0, 4), (50, 2_000_000, 1.5, 3)]
    {
        let mut disk = Disk::new(Options { fragment_us, td_ratio, ..options(Format::Ts) });
        disk.begin(&headers());
        live(&mut disk, 0, 60, gop);
        assert_eq!(disk.target(), target, "{gop}");
    }
}

#[test]
fn a_gop_that_becomes_longer_is_cut_rather_than_the_target_changed() {
    let mut disk = Disk::new(options(Format::Fmp4));
    disk.begin(&headers());
    live(&mut disk, 0, 20, 50);
    live(&mut disk, 20_000_000, 60, 225);
    assert_eq!(disk.target(), 2);
    assert!(disk.closed.iter().any(|c| !c.independent));
    assert!(!disk.last.as_ref().unwrap().independent);
}

#[test]
fn a_keyframe_is_taken_early_where_the_next_would_be_too_late() {
    let mut disk = Disk::new(Options { fragment_us: 10_000_000, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 22, 50);
    assert_eq!(disk.target(), 10);
    live(&mut disk, 22_000_000, 90, 225);
    let late: Vec<_> = disk.closed.iter().skip(4).map(|c| (c.duration_us, c.independent)).collect();
    assert!(late.len() > 4 && late.iter().all(|c| *c == (9_000_000, true)), "{late:?}");
}

#[test]
fn without_keyframes_to_wait_for_any_frame_will_do() {
    let mut disk = Disk::new(Options { wait_keyframe: false, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 30, 1000);
    assert!(disk.closed.iter().all(|c| c.duration_us == 2_000_000));
}

#[test]
fn audio_alone_and_video_alone() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency()] {
        let mut disk = Disk::new(options.clone());
        disk.begin(&[audio_header(AAC)]);
        (0..5000).for_each(|n| disk.write(&audio(n * 1024 * 1000 / 48)));
        assert!(disk.closed.len() > 45);
        assert!(disk.closed.iter().all(|c| c.independent && (2_000_000..2_500_000).contains(&c.duration_us)));
        let mut disk = Disk::new(options);
        disk.begin(&[video_header(SMALL)]);
        (0..2000).for_each(|n| disk.write(&video(n % 50 == 0, n * 40_000)));
        assert!(disk.closed.len() > 35);
        assert!(disk.closed.iter().all(|c| c.independent && c.duration_us == 2_000_000));
    }
}

#[test]
fn a_publish_after_another_is_a_discontinuity() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()] {
        let mut disk = Disk::new(options);
        for n in 0..12 {
            disk.begin(&headers());
            live(&mut disk, 1_000_000, 9, 50);
            disk.end();
            let closed = disk.closed.iter().filter(|c| c.discontinuity).count();
            assert_eq!(closed, n);
        }
        assert_eq!(disk.last.as_ref().unwrap().segments.last().unwrap().discontinuity_seq, 11);
        let inits = disk.files.keys().filter(|name| name.contains("init")).count();
        assert!(inits <= 1, "the same parameters need the same section");
        assert_eq!(disk.known.len() as u64, disk.last.as_ref().unwrap().next_seq());
        disk.writer.finish();
        disk.drain();
        assert!(disk.last.as_ref().unwrap().ended);
    }
}

#[test]
fn a_change_of_parameters_is_a_discontinuity_with_a_section_of_its_own() {
    let mut disk = Disk::new(low_latency());
    disk.begin(&headers());
    live(&mut disk, 0, 10, 50);
    disk.write(&video_header(LARGE));
    live(&mut disk, 10_000_000, 10, 50);
    // The same again changes nothing; other audio waits for a keyframe.
    disk.write(&video_header(LARGE));
    disk.write(&audio_header(&[0x12, 0x10]));
    live(&mut disk, 20_000_000, 10, 50);
    disk.end();
    let at: Vec<_> = disk.closed.iter().filter(|c| c.discontinuity).map(|c| c.seq).collect();
    assert_eq!(at, [5, 10]);
    let maps: BTreeSet<_> = disk.known.values().map(|k| k.3.clone().unwrap()).collect();
    let maps: Vec<_> = maps.iter().map(String::as_str).collect();
    assert_eq!(maps, ["livestream/init-10.mp4", "livestream/init-5.mp4", "livestream/init.mp4"]);
    let Answer::Ready(master) = disk.writer.master("livestream.m3u8?hls_ctx=1") else { panic!() };
    let master = std::str::from_utf8(&master).unwrap();
    assert!(master.contains("RESOLUTION=1280x720\nlivestream.m3u8?hls_ctx=1\n"), "{master}");
    assert!(master.contains("CODECS=\"avc1.64001f,mp4a.40.2\""), "{master}");
    hls_m3u8::MasterPlaylist::try_from(master).unwrap();
    let rate: usize = attribute(master, "BANDWIDTH").unwrap().parse().unwrap();
    let listed = disk.closed.iter().filter(|c| c.seq >= disk.last.as_ref().unwrap().segments[0].seq);
    let peak = listed.map(|c| c.bytes.len() as f64 * 8e6 / c.duration_us as f64).fold(0.0, f64::max);
    assert_eq!(rate, peak.ceil() as usize);
}

#[test]
fn a_leap_is_a_discontinuity_and_an_audio_gap_is_not() {
    for to in [1_000_000_000, -50_000_000] {
        let mut disk = Disk::new(options(Format::Fmp4));
        disk.begin(&headers());
        live(&mut disk, 0, 7, 50);
        live(&mut disk, to, 7, 50);
        disk.end();
        let at: Vec<_> = disk.closed.iter().map(|c| (c.discontinuity, c.duration_us / 1000)).collect();
        let none = |ms| (false, ms);
        assert_eq!(
            at,
            [
                none(2000),
                none(2000),
                none(2000),
                none(1000),
                (true, 2000),
                none(2000),
                none(2000),
                none(1000)
            ]
        );
    }
    let mut disk = Disk::new(options(Format::Fmp4));
    disk.begin(&headers());
    live(&mut disk, 0, 8, 50);
    (200..2000).for_each(|n| disk.write(&video(n % 50 == 0, n * 40_000)));
    live(&mut disk, 80_000_000, 8, 50);
    assert!(disk.closed.iter().all(|c| !c.discontinuity && c.duration_us == 2_000_000));
}

#[test]
fn what_cannot_be_carried_is_left_out_or_refused() {
    let g711 = |dts| frame(Kind::Audio, Codec::G711A, Role::Key, dts, vec![0x55; 160]);
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[video_header(SMALL)]);
    for n in 0..200 {
        disk.write(&video(n % 50 == 0, n * 40_000));
        disk.write(&g711(n * 40_000));
    }
    assert_eq!(disk.others, [Output::LeftOut { codec: Codec::G711A }]);
    assert_eq!(disk.closed.len(), 3);

    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[]);
    (0..200).for_each(|n| disk.write(&g711(n * 20_000)));
    disk.end();
    let codec = Codec::G711A;
    assert_eq!(disk.others, [Output::LeftOut { codec }, Output::Refused { codec }]);
    assert_eq!((disk.closed.len(), disk.playlists), (0, 0));
    assert_eq!(disk.writer.playlist(&Reload::default(), None), Answer::NotYet);
}

#[test]
fn nothing_begins_without_a_keyframe() {
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&headers());
    for n in 1..20 {
        disk.write(&video(false, n * 40_000));
        disk.write(&audio(n * 40_000));
    }
    assert_eq!(disk.writer.bytes(), 0);
    live(&mut disk, 800_000, 5, 50);
    assert_eq!(disk.closed[0].date_ms, BEGAN_MS + 800);
    assert!(disk.closed.iter().all(|c| c.independent));
}

#[test]
fn audio_that_comes_before_the_video_is_known_is_no_segment() {
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[audio_header(AAC)]);
    (0..20).for_each(|n| disk.write(&audio(n * 21_333)));
    disk.write(&video_header(SMALL));
    live(&mut disk, 430_000, 7, 50);
    assert_eq!((disk.closed[0].seq, disk.closed[0].discontinuity), (0, false));
    assert_eq!(disk.closed.len(), 3);
    // And video that never comes is not waited for.
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&headers());
    (0..2000).for_each(|n| disk.write(&audio(n * 21_333)));
    assert!(disk.closed.len() > 3);
}

#[test]
fn encrypted_segments_are_what_they_would_be_in_the_clear() {
    let (mut clear, mut secret) = (Disk::new(options(Format::Ts)), Disk::new(encrypted()));
    for disk in [&mut clear, &mut secret] {
        disk.begin(&headers());
        live(disk, 0, 20, 50);
        disk.end();
    }
    let mut keys = BTreeSet::new();
    assert_eq!((secret.closed.len(), clear.closed.len()), (10, 10));
    for (a, b) in clear.closed.iter().zip(&secret.closed) {
        let Some((_, _, Some(key), _)) = secret.known.get(&b.seq) else { panic!("no key") };
        let key: [u8; 16] = secret.files[&format!("live/{key}")].as_ref().try_into().unwrap();
        let mut iv = [0; 16];
        iv[8..].copy_from_slice(&b.seq.to_be_bytes());
        let mut bytes = b.bytes.to_vec();
        assert_eq!(bytes.len() % 16, 0);
        let mut cipher = cbc::Decryptor::<aes::Aes128>::new((&key).into(), (&iv).into());
        for block in bytes.chunks_exact_mut(16) {
            cipher.decrypt_block(block.try_into().unwrap());
        }
        let padding = usize::from(*bytes.last().unwrap());
        assert!((1..=16).contains(&padding));
        assert!(bytes[bytes.len() - padding..].iter().all(|b| usize::from(*b) == padding));
        assert_eq!(bytes[..bytes.len() - padding], a.bytes);
        keys.insert(key);
    }
    assert_eq!(keys.len(), 4, "three segments each");
}

#[test]
fn bytes_kept_are_bounded() {
    let mut disk = Disk::new(Options { max_bytes: 60_000, window_us: 60_000_000, ..options(Format::Fmp4) });
    disk.begin(&headers());
    for n in 0..3000 {
        disk.write(&video(n % 50 == 0, n * 40_000));
        assert!(disk.writer.bytes() <= 60_000 + 1500, "{}", disk.writer.bytes());
    }
    assert!(disk.last.as_ref().unwrap().segments.len() > 3);
    disk.writer.dispose();
    disk.drain_disposed();
    assert!(disk.files.is_empty());
    assert_eq!(disk.writer.bytes(), 0);
}

impl Disk {
    fn drain_disposed(&mut self) {
        let mut gone = Vec::new();
        while let Some(output) = self.writer.poll_output() {
            match output {
                Output::Expired { name } => gone.push(name),
                Output::Segment(closed) => self.put(closed.name, closed.bytes),
                _ => {}
            }
        }
        assert_eq!(gone.pop().as_deref(), Some("live/livestream.m3u8"));
        gone.iter().for_each(|name| assert!(self.files.remove(name).is_some(), "{name}"));
    }
}

#[test]
fn a_restart_goes_on_with_the_playlist_that_is_there() {
    let mut options = options(Format::Fmp4);
    options.keep_bytes = false;
    let mut first = Writer::new(options.clone()).unwrap();
    let mut text = Bytes::new();
    let run = |writer: &mut Writer, text: &mut Bytes, expired: &mut Vec<String>| {
        writer.begin(&Headers::default());
        headers().iter().for_each(|h| writer.write(&Calendar::default(), h));
        for n in 0..700 {
            writer
                .write(&Calendar { unix_ms: n * 40, ..Calendar::default() }, &video(n % 50 == 0, n * 40_000));
        }
        writer.end();
        while let Some(output) = writer.poll_output() {
            match output {
                Output::Playlist { text: now, .. } => *text = now,
                Output::Expired { name } => expired.push(name),
                _ => {}
            }
        }
    };
    let mut expired = Vec::new();
    run(&mut first, &mut text, &mut expired);
    assert_eq!(first.bytes(), 0);
    let before = read(&text);
    assert_eq!(before.segments[0].seq, 10);

    let mut second = Writer::new(options.clone()).unwrap();
    second.recover(std::str::from_utf8(&text).unwrap());
    let Answer::Ready(listed) = second.playlist(&Reload::default(), None) else { panic!() };
    let facts = |read: Read| -> Vec<_> {
        read.segments.into_iter().map(|s| (s.seq, s.uri, s.map, s.discontinuity_seq, s.duration)).collect()
    };
    let (was, is) = (facts(before), facts(read(&listed)));
    assert_eq!(was, is);
    expired.clear();
    run(&mut second, &mut text, &mut expired);
    let after = read(&text);
    assert_eq!(after.next_seq(), 28);
    assert_eq!(after.segments.last().unwrap().discontinuity_seq, 1);
    for name in ["live/livestream-10.m4s", "live/livestream-13.m4s", "live/livestream/init.mp4"] {
        assert!(expired.iter().any(|e| e == name), "{name} in {expired:?}");
    }

    // Kept in memory there is nothing to list, but numbers go on.
    let mut memory = Writer::new(Options { keep_bytes: true, ..options }).unwrap();
    memory.recover(std::str::from_utf8(&listed).unwrap());
    assert_eq!(memory.playlist(&Reload::default(), None), Answer::NotYet);
    run(&mut memory, &mut text, &mut expired);
    assert_eq!(read(&text).next_seq(), 28);

    let evil = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n%2e%2e/%2e%2e/x\n#EXTINF:2.0,\n/etc/x\n";
    let mut writer = Writer::new(Options { keep_bytes: false, ..self::options(Format::Ts) }).unwrap();
    writer.recover(evil);
    writer.dispose();
    assert_eq!(writer.poll_output(), Some(Output::Expired { name: "live/livestream.m3u8".into() }));
    assert_eq!(writer.poll_output(), None);
}

#[test]
fn names_have_their_variables_and_are_never_used_twice() {
    let segment = "[app]/[stream]-[timestamp]-[duration].ts".into();
    let mut disk = Disk::new(Options { ts_floor: true, segment, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 9, 50);
    let floor = BEGAN_MS / 2000;
    let names: Vec<_> = disk.closed.iter().map(|c| c.name.clone()).collect();
    let due = (0..4).map(|n| format!("live/livestream-{}-2000.ts", floor + n)).collect::<Vec<_>>();
    assert_eq!(names, due);

    let mut disk = Disk::new(Options { segment: "[app]/x.ts".into(), ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 9, 50);
    let names: Vec<_> = disk.closed.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["live/x.ts", "live/x-1.ts", "live/x-2.ts", "live/x-3.ts"]);
}

#[test]
fn what_makes_no_sense_is_no_writer() {
    let new = |options| Writer::new(options).map(|_| ());
    assert_eq!(new(Options { part_us: Some(1), ..options(Format::Ts) }), Err(Invalid::PartsOfTs));
    let keys = encrypted().keys;
    assert_eq!(new(Options { keys, ..options(Format::Fmp4) }), Err(Invalid::KeysOfFmp4));
    assert!(matches!(new(Options { stream: "..".into(), ..Options::default() }), Err(Invalid::Name(_))));
}

#[test]
fn dates_follow_the_clock_and_hardly_go_back() {
    let dates = |clock: &dyn Fn(i64) -> i64| {
        let mut writer = Writer::new(options(Format::Ts)).unwrap();
        writer.begin(&Headers { video: Some(video_header(SMALL)), ..Headers::default() });
        let mut dates = Vec::new();
        for n in 0..400 {
            let when = Calendar { unix_ms: clock(n * 40), ..Calendar::default() };
            writer.write(&when, &video(n % 50 == 0, n * 40_000));
            while let Some(output) = writer.poll_output() {
                if let Output::Segment(closed) = output {
                    dates.push(closed.date_ms);
                }
            }
        }
        dates
    };
    // What comes late or early by a little is not in the dates.
    assert_eq!(
        dates(&|ms| 1000 + ms + (ms / 2000 % 2) * 300),
        [1000, 3000, 5000, 7000, 9000, 11_000, 13_000]
    );
    // A clock that is set leaps forth, and back by little at a time.
    let set = |by: i64| move |ms: i64| if ms < 6000 { ms } else { ms + by };
    assert_eq!(dates(&set(1_000_000))[2..5], [4000, 1_006_000, 1_008_000]);
    assert_eq!(dates(&set(-1200))[2..], [4000, 5500, 7000, 9000, 11_000]);
}

#[test]
fn directives_of_a_request() {
    let reload = Reload { msn: Some(5), part: Some(2), skip: true };
    assert_eq!(Reload::parse("hls_ctx=1&_HLS_msn=5&_HLS_part=2&_HLS_skip=v2"), Some(reload));
    assert_eq!(Reload::parse(""), Some(Reload::default()));
    for bad in ["_HLS_msn=", "_HLS_msn=-1", "_HLS_part=+1", "_HLS_msn=1.5", "_HLS_msn=99999999999999999999"] {
        assert_eq!(Reload::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_context_is_in_every_uri_but_those_of_keys() {
    for (options, keys) in [(low_latency(), 0), (encrypted(), 1)] {
        let mut disk = Disk::new(options);
        disk.begin(&headers());
        live(&mut disk, 0, 7, 50);
        let Answer::Ready(text) = disk.writer.playlist(&Reload::default(), Some("hls_ctx=a\n\"b")) else {
            panic!()
        };
        let text = std::str::from_utf8(&text).unwrap();
        let uris = text.lines().filter(|l| l.contains("URI=") || !l.starts_with('#'));
        let (with, without): (Vec<_>, Vec<_>) = uris.partition(|l| l.contains("?hls_ctx=ab"));
        assert!(with.len() > 2);
        assert_eq!(without.len(), keys, "{without:?}");
    }
}

#[test]
fn times_counted_in_samples_are_even() {
    let mut disk = Disk::new(Options { dts_directly: false, ..options(Format::Fmp4) });
    disk.begin(&[audio_header(AAC)]);
    // As RTMP rounds them.
    (0..1000i64).for_each(|n| disk.write(&audio(n * 1024 * 1000 / 48 / 1000 * 1000)));
    // 94 frames are the first that are 2 s.
    assert!(disk.closed.iter().all(|c| c.duration_us.abs_diff(94 * 1024 * 1000 / 48) <= 1));
    assert!(disk.closed.len() > 8);
}

#[derive(Debug, Clone)]
enum Op {
    /// Frames: how many, a keyframe each how many, how far apart in ms, whether there is audio.
    Play(u16, u16, u16, bool),
    AudioOnly(u16),
    Leap(i32),
    Republish(bool, bool),
    Change(bool),
    OtherAudio(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1u16..120, 1u16..90, 20u16..300, any::<bool>()).prop_map(|(n, g, ms, a)| Op::Play(n, g, ms, a)),
        1 => (1u16..300).prop_map(Op::AudioOnly),
        1 => (-20_000..30_000).prop_map(Op::Leap),
        1 => any::<(bool, bool)>().prop_map(|(v, a)| Op::Republish(v, a)),
        1 => any::<bool>().prop_map(Op::Change),
        1 => any::<bool>().prop_map(Op::OtherAudio),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_stream_keeps_every_rule(
        ops in prop::collection::vec(op(), 1..40),
        which in 0usize..4,
        fragment_ms in 500i64..6000,
        wait_keyframe in any::<bool>(),
        small in any::<bool>(),
    ) {
        let options = [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()][which].clone();
        let max_bytes = if small { 100_000 } else { options.max_bytes };
        let mut disk =
            Disk::new(Options { fragment_us: fragment_ms * 1000, wait_keyframe, max_bytes, ..options });
        let mut dts = 0i64;
        disk.begin(&headers());
        for op in ops {
            match op {
                Op::Play(count, gop, ms, has_audio) => {
                    for n in 0..i64::from(count) {
                        disk.write(&video(n % i64::from(gop) == 0, dts));
                        if has_audio {
                            disk.write(&audio(dts));
                        }
                        dts += i64::from(ms) * 1000;
                    }
                }
                Op::AudioOnly(count) => {
                    for _ in 0..count {
                        disk.write(&audio(dts));
                        dts += 21_333;
                    }
                }
                Op::Leap(ms) => dts += i64::from(ms) * 1000,
                Op::Republish(has_video, has_audio) => {
                    let [v, a] = headers();
                    let both = [has_video.then_some(v), has_audio.then_some(a)];
                    disk.begin(&both.into_iter().flatten().collect::<Vec<_>>());
                }
                Op::Change(large) => disk.write(&video_header(if large { LARGE } else { SMALL })),
                Op::OtherAudio(other) => disk.write(&audio_header(if other { &[0x12, 0x10] } else { AAC })),
            }
        }
        disk.end();
        prop_assert!(disk.writer.bytes() <= 64 << 20);
    }
}
