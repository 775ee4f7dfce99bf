//! Readers of HLS that share nothing with what is under test: each playlist goes through the crate
//! `hls_m3u8`, each transport stream through `mpeg2ts`, each fragment through `shiguredo_mp4`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hls_m3u8::MediaPlaylist;
use mpeg2ts::ts::{ReadTsPacket, TsPacketReader, TsPayload};
use shiguredo_mp4::TrackKind;
use shiguredo_mp4::demux::Fmp4SegmentDemuxer;

use super::http::Connection;

/// A segment as a playlist lists it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub(crate) seq: u64,
    pub(crate) uri: String,
    pub(crate) duration: f64,
    pub(crate) discontinuity_seq: u64,
    /// Whether EXT-X-DISCONTINUITY stands before it.
    pub(crate) discontinuity: bool,
    pub(crate) map: Option<String>,
    pub(crate) parts: Vec<String>,
}

/// A playlist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Playlist {
    pub(crate) target: u64,
    pub(crate) segments: Vec<Listed>,
    /// Parts of the segment that has begun.
    pub(crate) open_parts: Vec<String>,
    pub(crate) hint: Option<String>,
    pub(crate) skipped: u64,
    pub(crate) ended: bool,
}

impl Playlist {
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        let mut out = Self::default();
        let (mut seq, mut discontinuity_seq, mut discontinuity) = (0, 0, false);
        let (mut duration, mut map, mut parts) = (None, None, Vec::new());
        assert!(text.starts_with("#EXTM3U\n") && text.ends_with('\n'), "{text}");
        let number = |value: &str| value.parse::<u64>().unwrap_or_else(|e| panic!("{value}: {e}"));
        for line in text.lines() {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let uri = || value.split("URI=\"").nth(1).and_then(|rest| rest.split('"').next());
            let uri = || uri().expect("a URI").to_owned();
            match tag {
                "#EXT-X-TARGETDURATION" => out.target = number(value),
                "#EXT-X-MEDIA-SEQUENCE" => seq = number(value),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => discontinuity_seq = number(value),
                "#EXT-X-DISCONTINUITY" => {
                    discontinuity = true;
                    discontinuity_seq += 1;
                }
                "#EXT-X-SKIP" => {
                    out.skipped = number(value.trim_start_matches("SKIPPED-SEGMENTS="));
                    seq += out.skipped;
                }
                "#EXT-X-MAP" => map = Some(uri()),
                "#EXT-X-PART" => parts.push(uri()),
                "#EXT-X-PRELOAD-HINT" => out.hint = Some(uri()),
                "#EXT-X-ENDLIST" => out.ended = true,
                "#EXTINF" => duration = value.strip_suffix(',').and_then(|value| value.parse().ok()),
                _ if line.starts_with('#') => {}
                uri => {
                    out.segments.push(Listed {
                        seq,
                        uri: uri.to_owned(),
                        duration: duration.take().expect("an EXTINF that ends in a comma"),
                        discontinuity_seq,
                        discontinuity: std::mem::take(&mut discontinuity),
                        map: map.clone(),
                        parts: std::mem::take(&mut parts),
                    });
                    seq += 1;
                }
            }
        }
        out.open_parts = parts;
        assert!(out.target > 0, "{text}");
        out
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.seq + 1)
    }
}

/// Holds the text against RFC 8216 by a parser that doesn't know parts.
#[track_caller]
pub(crate) fn parse(text: &str) {
    let is_plain = |line: &&str| {
        !["#EXT-X-PART", "#EXT-X-SERVER", "#EXT-X-PRELOAD", "#EXT-X-SKIP"]
            .iter()
            .any(|tag| line.starts_with(tag))
    };
    let lines = text.lines().filter(is_plain);
    let lines = lines.map(|line| if line == "#EXT-X-VERSION:9" { "#EXT-X-VERSION:6" } else { line });
    let mut plain: Vec<&str> = lines.collect();
    // Nor does it know a segment that has begun.
    let last = plain.iter().rposition(|line| !line.starts_with('#')).expect("a segment");
    plain.truncate(last + 1);
    let plain = plain.join("\n") + "\n";
    let mut parser = MediaPlaylist::builder();
    // EXTINF is rounded to the target's seconds.
    let parser = parser.allowable_excess_duration(Duration::from_millis(499));
    parser.parse(&plain).unwrap_or_else(|e| panic!("{e}: {plain}"));
}

/// A player that looks at everything.
pub(crate) struct Follower {
    connection: Connection,
    folder: String,
    path: String,
    /// Every segment that was ever listed.
    pub(crate) known: BTreeMap<u64, Listed>,
    pub(crate) last: Option<Playlist>,
    counters: BTreeMap<u16, u8>,
    /// The last clock reference, in 27 MHz.
    clock: Option<u64>,
    /// Times at which the clock went around.
    pub(crate) wraps: usize,
    /// Pictures and sounds that segments had.
    pub(crate) pictures: usize,
    pub(crate) sounds: usize,
    pub(crate) maps: Vec<String>,
    demuxer: Fmp4SegmentDemuxer,
}

impl Follower {
    pub(crate) fn new(server: SocketAddr, path: &str) -> Self {
        let folder = path.rsplit_once('/').expect("a path").0;
        Self {
            connection: Connection::open(server),
            folder: format!("{folder}/"),
            path: path.to_owned(),
            known: BTreeMap::new(),
            last: None,
            counters: BTreeMap::new(),
            clock: None,
            wraps: 0,
            pictures: 0,
            sounds: 0,
            maps: Vec::new(),
            demuxer: Fmp4SegmentDemuxer::new(),
        }
    }

    #[track_caller]
    fn file(&mut self, uri: &str) -> Vec<u8> {
        let answer = self.connection.get(&format!("{}{uri}", self.folder));
        assert_eq!(answer.status, 200, "{uri} is listed");
        assert!(!answer.body.is_empty(), "{uri} is empty");
        answer.body
    }

    /// Fetches the playlist, and looks at it and at all that is new in it.
    #[track_caller]
    pub(crate) fn look(&mut self) {
        let answer = self.connection.get(&self.path.clone());
        assert_eq!(answer.status, 200, "{}", answer.text());
        parse(&answer.text());
        let now = Playlist::read(&answer.text());
        for segment in &now.segments {
            assert!(segment.duration.round() <= now.target as f64, "{segment:?} beyond {}", now.target);
        }
        if let Some(last) = self.last.take() {
            assert_eq!(last.target, now.target, "the target duration stays");
            assert!(now.next_seq() >= last.next_seq(), "numbers go on");
            assert!(!last.ended, "what is over is over");
            // What has left may still be wanted by who has seen the last playlist.
            let first = now.segments.first().expect("segments").seq;
            for gone in last.segments.iter().filter(|segment| segment.seq < first) {
                self.file(&gone.uri);
                let length: f64 = now.segments.iter().map(|segment| segment.duration).sum();
                assert!(length + 0.01 >= 3.0 * now.target as f64, "only {length} s are left");
            }
        }
        for segment in &now.segments {
            if let Some(known) = self.known.get(&segment.seq) {
                // Parts are no longer listed after a while.
                let same = Listed {
                    parts: known.parts.clone(),
                    discontinuity: known.discontinuity,
                    ..segment.clone()
                };
                assert_eq!(*known, same, "a segment stays what it is");
                continue;
            }
            let next = self.known.last_key_value().map(|(seq, _)| seq + 1);
            assert!(next.is_none_or(|next| next == segment.seq), "{} after {next:?}", segment.seq);
            let bytes = self.file(&segment.uri);
            match &segment.map {
                None => self.transport_stream(&bytes, segment.discontinuity),
                Some(map) => self.fragments(&bytes, map, segment),
            }
            self.known.insert(segment.seq, segment.clone());
        }
        for part in &now.open_parts {
            self.file(part);
        }
        self.last = Some(now);
    }

    #[track_caller]
    fn transport_stream(&mut self, bytes: &[u8], discontinuity: bool) {
        if discontinuity {
            // A new encoding may count anew.
            self.clock = None;
            self.counters.clear();
        }
        assert_eq!(bytes.len() % 188, 0);
        let pid = |at: usize| u16::from_be_bytes([bytes[at + 1] & 0x1f, bytes[at + 2]]);
        assert_eq!((pid(0), pid(188)), (0, 0x1000), "the tables come first");
        let mut reader = TsPacketReader::new(bytes);
        let (mut lens, mut first) = (BTreeMap::<u16, (usize, usize)>::new(), BTreeMap::new());
        // The reader checks the tables' CRC.
        while let Some(packet) = reader.read_ts_packet().expect("a sound transport stream") {
            let pid = packet.header.pid.as_u16();
            let counter = packet.header.continuity_counter.as_u8();
            let step = u8::from(packet.payload.is_some());
            if let Some(last) = self.counters.insert(pid, counter) {
                assert_eq!(counter, (last + step) & 15, "continuity of PID {pid:#x} across segments");
            }
            let field = packet.adaptation_field.as_ref();
            if let Some(now) = field.and_then(|field| field.pcr).map(|pcr| pcr.as_u64()) {
                const AROUND: u64 = (1 << 33) * 300;
                if let Some(last) = self.clock.replace(now) {
                    self.wraps += usize::from(now < last);
                    let gap = (now + AROUND - last) % AROUND;
                    assert!(gap <= 2_700_000, "{} ms without a clock reference", gap / 27_000);
                }
            }
            match packet.payload {
                Some(TsPayload::PesStart(pes)) => {
                    let is_video = pes.header.stream_id.is_video();
                    if is_video {
                        self.pictures += 1;
                        // An access unit begins with a delimiter (ISO 13818-1, 2.14.1).
                        assert!(pes.data.starts_with(&[0, 0, 0, 1, 9]), "{:02x?}", &pes.data[..8]);
                        let random = field.is_some_and(|field| field.random_access_indicator);
                        first.entry(pid).or_insert(random);
                    } else {
                        assert_eq!(pes.data[..2], [0xff, 0xf1], "an ADTS header");
                        self.sounds += 1;
                    }
                    let stamps = if pes.header.dts.is_some() { 10 } else { 5 };
                    let said = usize::from(pes.pes_packet_len);
                    assert!(said > 0 || is_video, "only video may be without a length");
                    let whole = lens.insert(pid, (said, 3 + stamps + pes.data.len()));
                    assert!(whole.is_none_or(|(said, len)| said == 0 || said == len), "{whole:?}");
                }
                Some(TsPayload::PesContinuation(data)) => {
                    lens.get_mut(&pid).expect("a PES packet that has begun").1 += data.len();
                }
                _ => {}
            }
        }
        assert!(lens.values().all(|(said, len)| *said == 0 || said == len), "{lens:?}");
        assert!(first.values().all(|random| *random), "a segment begins with a keyframe");
    }

    #[track_caller]
    fn fragments(&mut self, bytes: &[u8], map: &str, segment: &Listed) {
        if self.maps.last().is_none_or(|last| last != map) {
            let init = self.file(map);
            self.demuxer = Fmp4SegmentDemuxer::new();
            self.demuxer.handle_init_segment(&init).expect("an initialization section");
            self.maps.push(map.to_owned());
        }
        let parts: Vec<Vec<u8>> = segment.parts.clone().iter().map(|part| self.file(part)).collect();
        if !parts.is_empty() {
            assert!(parts.concat() == bytes, "a segment is its parts");
        }
        let mut rest = bytes;
        let (mut pictures, mut sounds) = (Vec::new(), 0);
        while !rest.is_empty() {
            let fragment = fragment_len(rest);
            let (fragment, after) = rest.split_at(fragment);
            // The reader knows no segment type, with which a segment may begin.
            let typed = if &fragment[4..8] == b"styp" { usize::from(fragment[3]) } else { 0 };
            let fragment = &fragment[typed..];
            for sample in self.demuxer.handle_media_segment(fragment).expect("a fragment") {
                match sample.track.kind {
                    TrackKind::Video => pictures.push(sample.keyframe),
                    _ => sounds += 1,
                }
            }
            rest = after;
        }
        assert!(pictures.first().is_none_or(|key| *key), "a segment begins with a keyframe");
        self.pictures += pictures.len();
        self.sounds += sounds;
    }
}

/// Up to the end of the first `mdat`.
#[track_caller]
fn fragment_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("a box")) as usize;
        let is_data = &bytes[at + 4..at + 8] == b"mdat";
        assert!(size >= 8 && at + size <= bytes.len(), "a box of {size} bytes");
        at += size;
        if is_data {
            return at;
        }
    }
}
