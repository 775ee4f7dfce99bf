//! Reading a recording back: what stands where in a file of fragments, without reading the samples.

use bytes::Bytes;

use super::boxes::{Boxes, Header, Name, version_and_flags};
use super::fragment::unix_us;
use super::{
    NON_SYNC, TFHD_BASE_DATA_OFFSET, TFHD_BASE_IS_MOOF, TFHD_DESCRIPTION, TFHD_DURATION, TFHD_FLAGS,
    TFHD_SIZE, TRUN_COMPOSITION, TRUN_DATA_OFFSET, TRUN_DURATION, TRUN_FIRST_FLAGS, TRUN_FLAGS, TRUN_SIZE,
    micros,
};
use crate::media::Kind;
use crate::wire::{Malformed, Reader, limits};

/// Finds the tracks and the fragments of a file.
///
/// It says which bytes it wants ([`Scanner::wanted`]), the caller reads them and hands them over
/// ([`Scanner::handle_input`]), until it wants nothing more: headers of boxes, and of the boxes only those
/// that are short. What is not whole at the end of the file, because writing it was cut off, is left out.
///
/// A file without fragments, such as [`Plain`](super::Plain) makes, is refused at its `moov`: nothing in it is
/// to be finished or cut away.
#[derive(Debug)]
pub struct Scanner {
    /// Bytes of the file.
    len: u64,
    state: State,
    init: Option<Traits>,
    /// Where the first box of the next fragment stands: `styp` and `prft` belong to it.
    begin: Option<u64>,
    clock: Option<Clock>,
    /// What a `moof` told whose `mdat` hasn't come yet.
    moof: Option<Vec<Run>>,
    end: u64,
}

/// Bytes of the file that a [`Scanner`] or a [`FileDemuxer`](super::FileDemuxer) wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub len: usize,
}

/// What a [`Scanner`] came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The tracks. They come once, before the first fragment.
    Init(Init),
    /// A fragment, whole in the file.
    Fragment(Fragment),
}

/// The tracks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The first video track.
    pub video: Option<InitTrack>,
    /// The first audio track.
    pub audio: Option<InitTrack>,
}

/// A track of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitTrack {
    /// Ticks per second, not 0.
    pub timescale: u32,
    /// Width in pixels; 0 for audio.
    pub width: u16,
    /// Height in pixels; 0 for audio.
    pub height: u16,
    /// `stsd`, whole.
    pub(super) descriptions: Bytes,
}

/// A fragment: `moof` and its `mdat`, and what stands before them for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Where it begins in the file: a reader may start here, after the init segment.
    pub offset: u64,
    /// Bytes of all of it.
    pub len: u64,
    /// When its first sample is decoded, in µs: of video or, if it has none, of audio.
    pub start_us: i64,
    /// How long that track's samples last, in µs.
    pub duration_us: i64,
    /// Whether decoding can begin here: its first video sample is a keyframe, or the file has no video.
    pub key: bool,
    /// What the wall clock showed at `start_us`, in µs since 1970, where the file says so.
    pub wall_us: Option<i64>,
    /// Its samples, in the order of the file's tables.
    pub runs: Vec<Run>,
}

/// Samples of one track that stand one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Video or audio.
    pub kind: Kind,
    /// When the first is decoded, in the track's ticks.
    pub time: u64,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// The samples; their bytes all stand in the fragment's `mdat`.
    pub samples: Vec<RunSample>,
}

/// What a fragment says of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSample {
    /// Bytes.
    pub size: u32,
    /// In the track's ticks.
    pub duration: u32,
    /// Ticks from decoding to showing.
    pub composition: i32,
    /// Whether decoding can begin here.
    pub key: bool,
}

impl Run {
    /// Bytes of all samples.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).fold(0, u64::saturating_add)
    }

    /// When the last sample ends, in the track's ticks.
    pub fn end(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.duration)).fold(self.time, u64::saturating_add)
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// At a box.
    Header(u64),
    /// In one that is read as a whole.
    Body {
        at: u64,
        header: Header,
        end: u64,
    },
    Done,
}

/// What fragments need to know of the tracks: video and audio.
type Traits = [Option<Trait>; 2];

#[derive(Debug, Clone, Copy)]
pub(super) struct Trait {
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) timescale: u32,
    /// What `trex` says where a fragment doesn't.
    defaults: Defaults,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    /// With what `tfhd` says instead, by its flags and from its fields on (8.8.7).
    pub(super) fn in_fragment(mut self, flags: u32, r: &mut Reader<'_>) -> Result<Self, Malformed> {
        for (flag, value) in
            [(TFHD_DURATION, &mut self.duration), (TFHD_SIZE, &mut self.size), (TFHD_FLAGS, &mut self.flags)]
        {
            if flags & flag != 0 {
                *value = r.u32()?;
            }
        }
        Ok(self)
    }
}

/// What `prft` says.
#[derive(Debug, Clone, Copy)]
struct Clock {
    id: u32,
    wall_us: i64,
    time: u64,
}

impl Scanner {
    /// At the first byte of a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let state = State::Header(0);
        Self { len, state, init: None, begin: None, clock: None, moof: None, end: 0 }
    }

    /// Which bytes it wants next, at most [`limits::MP4_BOX_BYTES`]; `None` when it has seen all that it will.
    pub fn wanted(&self) -> Option<Wanted> {
        match self.state {
            State::Header(offset) => {
                let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
                // Less than the shortest header is the rest of something cut off.
                (left >= 8).then_some(Wanted { offset, len: left.min(Header::LEN_MAX) })
            }
            State::Body { at, header, end } => {
                let offset = at.saturating_add(header.len);
                Some(Wanted { offset, len: usize::try_from(end.saturating_sub(offset)).ok()? })
            }
            State::Done => None,
        }
    }

    /// Takes the bytes that it wants. Fewer mean that the file is shorter than was said; that ends it.
    /// After an error, too, nothing more is wanted, and what was found stays right.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<Option<Found>, Malformed> {
        let wanted = self.wanted().and_then(|w| bytes.get(..w.len));
        match (std::mem::replace(&mut self.state, State::Done), wanted) {
            (State::Header(at), Some(bytes)) => self.at_box(at, bytes),
            (State::Body { at, header, end }, Some(body)) => {
                self.state = State::Header(end);
                let found = self.body(at, header, end, body);
                if found.is_err() {
                    self.state = State::Done;
                }
                found
            }
            _ => Ok(None),
        }
    }

    /// How many bytes from the start are of use: up to the end of the last fragment or, before the first,
    /// of the tracks. What follows may be cut away.
    pub fn end(&self) -> u64 {
        self.end
    }

    fn at_box(&mut self, at: u64, bytes: &[u8]) -> Result<Option<Found>, Malformed> {
        let header = match Header::parse(&mut Reader::new(bytes)) {
            Err(Malformed::Truncated { .. }) => return Ok(None),
            header => header?,
        };
        let end = if header.size == 0 { self.len } else { at.saturating_add(header.size) };
        if end > self.len {
            return Ok(None);
        }
        if matches!(&header.name, b"styp" | b"prft" | b"moof") && self.begin.is_none() {
            self.begin = Some(at);
        }
        match &header.name {
            b"moov" | b"moof" | b"prft" => {
                if end.saturating_sub(at) > limits::MP4_BOX_BYTES as u64 {
                    let limit = u32::try_from(limits::MP4_BOX_BYTES).unwrap_or(u32::MAX);
                    return Err(Malformed::Limit { what: "bytes of an MP4 box", limit });
                }
                self.state = State::Body { at, header, end };
                Ok(None)
            }
            b"mdat" => {
                let fragment = self.fragment(at.saturating_add(header.len), end)?;
                self.state = State::Header(end);
                Ok(fragment.map(Found::Fragment))
            }
            _ => {
                self.state = State::Header(end);
                Ok(None)
            }
        }
    }

    fn body(&mut self, at: u64, header: Header, end: u64, body: &[u8]) -> Result<Option<Found>, Malformed> {
        match &header.name {
            b"moov" if self.init.is_none() => {
                let (init, traits) = movie(body)?;
                self.init = Some(traits);
                (self.begin, self.end) = (None, end);
                Ok(Some(Found::Init(init)))
            }
            b"moof" => {
                let traits = self.init.as_ref().ok_or(missing(b"moov"))?;
                self.moof = Some(movie_fragment(at, body, traits)?);
                Ok(None)
            }
            b"prft" => {
                self.clock = Some(Clock::parse(body)?);
                Ok(None)
            }
            // A second moov would be of another stream.
            _ => Err(Malformed::Field { what: "second box", value: u32::from_be_bytes(header.name) }),
        }
    }

    /// The fragment that this `mdat` makes whole, if it is one's.
    fn fragment(&mut self, data: u64, end: u64) -> Result<Option<Fragment>, Malformed> {
        let (begin, clock) = (self.begin.take(), self.clock.take());
        let (Some(runs), Some(traits)) = (self.moof.take(), &self.init) else { return Ok(None) };
        for run in &runs {
            if run.offset < data || run.offset.saturating_add(run.bytes()) > end {
                let value = u32::try_from(run.offset).unwrap_or(u32::MAX);
                return Err(Malformed::Field { what: "trun data offset", value });
            }
        }
        let offset = begin.unwrap_or(data);
        self.end = end;

        // Video comes first in `traits`.
        let main = traits.iter().flatten().find_map(|t| {
            let first = runs.iter().find(|run| run.kind == t.kind)?;
            Some((t, first, runs.iter().rfind(|run| run.kind == t.kind)?))
        });
        let Some((main, first, last)) = main else { return Ok(None) };
        let start_us = micros(first.time, main.timescale);
        let wall_us = clock.and_then(|clock| {
            let reference = traits.iter().flatten().find(|t| t.id == clock.id)?;
            let since = start_us.saturating_sub(micros(clock.time, reference.timescale));
            Some(clock.wall_us.saturating_add(since))
        });
        let key = match traits {
            [Some(_), _] => main.kind == Kind::Video && first.samples.first().is_some_and(|s| s.key),
            _ => true,
        };
        Ok(Some(Fragment {
            offset,
            len: end.saturating_sub(offset),
            start_us,
            duration_us: micros(last.end(), main.timescale).saturating_sub(start_us),
            key,
            wall_us,
            runs,
        }))
    }
}

impl Clock {
    fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        let (version, _) = version_and_flags(&mut r)?;
        let id = r.u32()?;
        let wall_us = unix_us(r.u64()?);
        let time = if version == 0 { r.u32()?.into() } else { r.u64()? };
        Ok(Self { id, wall_us, time })
    }
}

/// The tracks of `moov`: the first of video and the first of audio.
fn movie(body: &[u8]) -> Result<(Init, Traits), Malformed> {
    let mut init = Init { video: None, audio: None };
    let mut traits: Traits = [None, None];
    for child in Boxes::new(body) {
        let (name, trak) = child?;
        if name != *b"trak" {
            continue;
        }
        let Some((mut known, track)) = track(trak)? else { continue };
        let [video, audio] = &mut traits;
        let (slot, place) =
            if known.kind == Kind::Video { (video, &mut init.video) } else { (audio, &mut init.audio) };
        if slot.is_none() {
            known.defaults = defaults(body, known.id)?;
            (*slot, *place) = (Some(known), Some(track));
        }
    }
    if init.video.is_none() && init.audio.is_none() {
        return Err(missing(b"trak"));
    }
    Ok((init, traits))
}

/// A track that is video or audio.
pub(super) fn track(trak: &[u8]) -> Result<Option<(Trait, InitTrack)>, Malformed> {
    let mdia = Boxes::new(trak).find(b"mdia")?;
    let mut r = Reader::new(Boxes::new(mdia).find(b"hdlr")?);
    r.skip(8)?;
    let kind = match r.take(4)? {
        b"vide" => Kind::Video,
        b"soun" => Kind::Audio,
        _ => return Ok(None),
    };

    let mut r = Reader::new(Boxes::new(trak).find(b"tkhd")?);
    let (version, _) = version_and_flags(&mut r)?;
    r.skip(if version == 0 { 8 } else { 16 })?;
    let id = r.u32()?;
    r.skip(if version == 0 { 8 } else { 12 })?;
    r.skip(8 + 8 + 36)?;
    let (width, _, height) = (r.u16()?, r.u16()?, r.u16()?);

    let mut r = Reader::new(Boxes::new(mdia).find(b"mdhd")?);
    let (version, _) = version_and_flags(&mut r)?;
    r.skip(if version == 0 { 8 } else { 16 })?;
    let timescale = r.u32()?;
    if timescale == 0 {
        return Err(Malformed::Field { what: "timescale", value: 0 });
    }

    let stbl = Boxes::new(Boxes::new(mdia).find(b"minf")?).find(b"stbl")?;
    let body = Boxes::new(stbl).find(b"stsd")?;
    let size = u32::try_from(body.len().saturating_add(8)).unwrap_or(u32::MAX);
    let descriptions = [&size.to_be_bytes(), &b"stsd"[..], body].concat().into();
    let known = Trait { kind, id, timescale, defaults: Defaults::default() };
    Ok(Some((known, InitTrack { timescale, width, height, descriptions })))
}

/// What `trex` says of the track, if it stands there. Without `mvex` the file is one without fragments.
pub(super) fn defaults(moov: &[u8], id: u32) -> Result<Defaults, Malformed> {
    let mvex = Boxes::new(moov).find(b"mvex")?;
    for child in Boxes::new(mvex) {
        let (name, body) = child?;
        let mut r = Reader::new(body);
        if name != *b"trex" {
            continue;
        }
        r.skip(4)?;
        if r.u32()? == id {
            r.skip(4)?; // sample_description_index
            return Ok(Defaults { duration: r.u32()?, size: r.u32()?, flags: r.u32()? });
        }
    }
    Ok(Defaults::default())
}

/// The runs of a `moof` that stands at `at`, those of tracks that are known.
fn movie_fragment(at: u64, body: &[u8], traits: &Traits) -> Result<Vec<Run>, Malformed> {
    let mut runs = Vec::new();
    let mut left = limits::MP4_FRAGMENT_SAMPLES;
    for child in Boxes::new(body) {
        let (name, traf) = child?;
        if name == *b"traf" {
            track_fragment(at, traf, traits, &mut left, &mut runs)?;
        }
    }
    Ok(runs)
}

fn track_fragment(
    at: u64,
    traf: &[u8],
    traits: &Traits,
    left: &mut usize,
    runs: &mut Vec<Run>,
) -> Result<(), Malformed> {
    let mut r = Reader::new(Boxes::new(traf).find(b"tfhd")?);
    let (_, flags) = version_and_flags(&mut r)?;
    let id = r.u32()?;
    let Some(known) = traits.iter().flatten().find(|t| t.id == id) else { return Ok(()) };
    if flags & TFHD_BASE_IS_MOOF == 0 || flags & TFHD_BASE_DATA_OFFSET != 0 {
        // Offsets from elsewhere are of other writers, whose files aren't read here.
        return Err(Malformed::Field { what: "tfhd flags", value: flags });
    }
    if flags & TFHD_DESCRIPTION != 0 {
        r.skip(4)?;
    }
    let defaults = known.defaults.in_fragment(flags, &mut r)?;

    let mut r = Reader::new(Boxes::new(traf).find(b"tfdt")?);
    let (version, _) = version_and_flags(&mut r)?;
    let mut time = if version == 0 { r.u32()?.into() } else { r.u64()? };
    let mut offset = at;
    for child in Boxes::new(traf) {
        let (name, body) = child?;
        if name != *b"trun" {
            continue;
        }
        let run = track_run(at, body, known.kind, (time, offset), defaults, left)?;
        (time, offset) = (run.end(), run.offset.saturating_add(run.bytes()));
        if !run.samples.is_empty() {
            runs.push(run);
        }
    }
    Ok(())
}

/// `trun` (8.8.8), whose first sample is at this time and offset unless it says otherwise.
pub(super) fn track_run(
    at: u64,
    body: &[u8],
    kind: Kind,
    (time, mut offset): (u64, u64),
    defaults: Defaults,
    left: &mut usize,
) -> Result<Run, Malformed> {
    let mut r = Reader::new(body);
    let (_, flags) = version_and_flags(&mut r)?;
    let count = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    *left = left.checked_sub(count).ok_or(Malformed::Limit {
        what: "samples of a fragment",
        limit: u32::try_from(limits::MP4_FRAGMENT_SAMPLES).unwrap_or(u32::MAX),
    })?;
    let mut field = |wanted: u32, default: u32| if flags & wanted != 0 { r.u32() } else { Ok(default) };
    if flags & TRUN_DATA_OFFSET != 0 {
        // Unsigned at first, and added as what it is.
        offset = at.saturating_add_signed(field(TRUN_DATA_OFFSET, 0)?.cast_signed().into());
    }
    let mut first_flags = Some(field(TRUN_FIRST_FLAGS, defaults.flags)?);
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let duration = field(TRUN_DURATION, defaults.duration)?;
        let size = field(TRUN_SIZE, defaults.size)?;
        let flags = field(TRUN_FLAGS, first_flags.take().unwrap_or(defaults.flags))?;
        // Of version 0, unsigned, only what is beyond any real offset differs.
        let composition = field(TRUN_COMPOSITION, 0)?.cast_signed();
        samples.push(RunSample { size, duration, composition, key: flags & NON_SYNC == 0 });
    }
    Ok(Run { kind, time, offset, samples })
}

pub(super) fn missing(name: &Name) -> Malformed {
    Malformed::Missing(*name)
}
