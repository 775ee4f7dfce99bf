//! A playlist's reader of its own, and what must hold of all playlists that a stream is given.

mod any;
mod breaks;
mod playlists;
mod segments;

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
