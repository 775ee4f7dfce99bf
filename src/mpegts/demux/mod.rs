//! Packets to frames: finding the packets, the program in them, and what of its streams is whole.

mod audio;
mod packed;
mod pes;
mod sections;
#[cfg(test)]
mod tests;
mod video;

use std::collections::VecDeque;
use std::fmt;

use super::PACKET_BYTES;
use super::psi::PAT_PID;
use crate::media::Frame;
use crate::wire::{Malformed, Reader, limits};

pub use packed::{NoTimestamp, PackedAudio};
use pes::{Clock, Track};
use sections::{Sections, StreamEntry};

/// The first byte of each packet.
const SYNC_BYTE: u8 = 0x47;
/// Bytes from packet to packet: alone, behind a time stamp (M2TS), before a code for error correction.
const STRIDES: [usize; 3] = [PACKET_BYTES, 192, 204];
/// The longest of them.
const STRIDE_MAX: usize = 204;
/// So many packets in a row are taken to be packets.
const SYNC_PACKETS: usize = 4;
/// What is looked through for them: as much as they take wherever the first begins.
const SEARCH_BYTES: usize = STRIDE_MAX * SYNC_PACKETS;
/// The PID of packets that fill the gaps.
const NULL_PID: u16 = 0x1fff;

/// Takes a transport stream apart as its bytes come (ISO/IEC 13818-1): the first video and the first audio
/// track of the first program that has one. H.264, H.265, AAC in ADTS and MP3 are taken.
///
/// Call [`Demuxer::handle_input`] until it answers `None`: then it has taken all bytes given and needs
/// more. Packets stand alone (188 bytes) or with something between them (192 and 204 bytes).
///
/// - Frames are as [`crate::media::Codec`] says: parameter sets and ADTS headers become a header frame, which
///   comes before the first frame and when it changes; access unit delimiters are left out.
/// - Times are the stream's own in µs, freed from their wrap at 33 bits: they begin where the stream's do.
/// - What a lost packet leaves broken is dropped; of video, everything up to the next keyframe. So is what is
///   encrypted, and video before the first keyframe.
/// - Nothing but bytes that aren't a transport stream at all ends it.
#[derive(Debug)]
pub struct Demuxer {
    /// Bytes from packet to packet; `None` while they are being looked for.
    stride: Option<usize>,
    held: Vec<u8>,
    /// Bytes passed over since the last packet.
    skipped: usize,
    pat: Sections,
    /// The programs' maps by PID.
    maps: Vec<Sections>,
    /// The PID of the map of the program that is taken.
    program: Option<u16>,
    video: Option<Track>,
    audio: Option<Track>,
    clock: Clock,
    refused: Option<u8>,
    ready: VecDeque<Frame>,
    failed: bool,
}

/// There are no packets in what was given, for [`limits::TS_SYNC_BYTES`]: it is no transport stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSync;

impl fmt::Display for NoSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a transport stream: no packets within {} bytes", limits::TS_SYNC_BYTES)
    }
}

impl std::error::Error for NoSync {}

impl Default for Demuxer {
    fn default() -> Self {
        Self::new()
    }
}

impl Demuxer {
    /// At any byte of a stream.
    pub fn new() -> Self {
        Self {
            stride: Some(PACKET_BYTES),
            held: Vec::new(),
            skipped: 0,
            pat: Sections::new(PAT_PID),
            maps: Vec::new(),
            program: None,
            video: None,
            audio: None,
            clock: Clock::default(),
            refused: None,
            ready: VecDeque::new(),
            failed: false,
        }
    }

    /// Takes bytes from the front of `input` and gives the next frame when it is complete. After an error it
    /// answers the same error for ever.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, NoSync> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(Some(frame));
            }
            if self.failed {
                return Err(NoSync);
            }
            match self.next_packet(input) {
                Some(packet) => self.packet(&packet),
                None if self.failed => self.held = Vec::new(),
                None => return Ok(None),
            }
        }
    }

    /// The stream ends here, or what follows is not its continuation byte by byte, as the next segment of HLS
    /// needn't be: what is whole is given out by [`Demuxer::handle_input`] (which takes an empty input too),
    /// and packets are counted anew. Tracks and times go on.
    pub fn flush(&mut self) {
        if let Some(packet) = self.held.first_chunk::<PACKET_BYTES>().copied()
            && self.stride.is_some()
            && packet.first() == Some(&SYNC_BYTE)
        {
            self.packet(&packet);
        }
        self.held.clear();
        self.skipped = 0;
        self.stride = Some(PACKET_BYTES);
        for track in [&mut self.video, &mut self.audio].into_iter().flatten() {
            track.flush(&mut self.clock, &mut self.ready);
        }
        self.pat.reset();
        self.maps.iter_mut().for_each(Sections::reset);
    }

    /// The stream_type (table 2-34) of a stream that isn't taken, of a program without one that is: 0x11 is
    /// AAC in LATM, 0x02 MPEG-2 video, 0x81 AC-3.
    pub fn refused(&self) -> Option<u8> {
        self.refused.filter(|_| self.video.is_none() && self.audio.is_none())
    }

    /// Whether there is a track of video and one of audio, as far as is known by now.
    pub fn has_both(&self) -> bool {
        self.video.is_some() && self.audio.is_some()
    }

    /// The next packet, once it is there, without what stands around it.
    fn next_packet(&mut self, input: &mut &[u8]) -> Option<[u8; PACKET_BYTES]> {
        loop {
            let Some(stride) = self.stride else {
                self.search(input)?;
                continue;
            };
            // Packets that are whole in the input are not gathered first.
            if self.held.is_empty()
                && let Some((whole, rest)) = input.split_at_checked(stride)
                && let Some(packet) = whole.first_chunk::<PACKET_BYTES>()
                && packet.first() == Some(&SYNC_BYTE)
            {
                (*input, self.skipped) = (rest, 0);
                return Some(*packet);
            }
            self.fill(stride, input)?;
            let packet = self.held.first_chunk::<PACKET_BYTES>().copied()?;
            if packet.first() == Some(&SYNC_BYTE) {
                self.held.drain(..stride);
                self.skipped = 0;
                return Some(packet);
            }
            self.stride = None;
        }
    }

    /// Looks for packets. `None` if there is not enough to tell.
    fn search(&mut self, input: &mut &[u8]) -> Option<()> {
        self.fill(SEARCH_BYTES, input)?;
        let is_sync = |at: usize| self.held.get(at) == Some(&SYNC_BYTE);
        let found = (0..STRIDE_MAX).find_map(|at| {
            let begins = |stride: &usize| {
                (0..SYNC_PACKETS).all(|n| is_sync(at.saturating_add(stride.saturating_mul(n))))
            };
            Some((at, STRIDES.into_iter().find(begins)?))
        });
        let skip = found.map_or(STRIDE_MAX, |(at, _)| at);
        self.held.drain(..skip);
        self.stride = found.map(|(_, stride)| stride);
        self.skipped = self.skipped.saturating_add(skip);
        self.failed = self.skipped > limits::TS_SYNC_BYTES;
        (!self.failed).then_some(())
    }

    /// Holds at least `need` bytes, once they are there.
    fn fill(&mut self, need: usize, input: &mut &[u8]) -> Option<()> {
        let missing = need.saturating_sub(self.held.len());
        let (now, later) = input.split_at_checked(missing.min(input.len()))?;
        self.held.extend_from_slice(now);
        *input = later;
        (self.held.len() >= need).then_some(())
    }

    fn packet(&mut self, bytes: &[u8; PACKET_BYTES]) {
        let Ok(Some(packet)) = Packet::parse(bytes) else { return };
        for track in [&mut self.video, &mut self.audio].into_iter().flatten() {
            if track.pid() == packet.pid {
                track.packet(&packet, &mut self.clock, &mut self.ready);
                return;
            }
        }
        if packet.pid == PAT_PID {
            let mut pids = None;
            self.pat.packet(&packet, |section| pids = section.programs().or(pids.take()));
            if let Some(pids) = pids {
                self.programs(&pids);
            }
        } else if let Some(map) = self.maps.iter_mut().find(|map| map.pid() == packet.pid) {
            let mut entries = None;
            map.packet(&packet, |section| entries = section.streams().or(entries.take()));
            if let Some(entries) = entries {
                self.streams(packet.pid, &entries);
            }
        }
    }

    /// There are these programs.
    fn programs(&mut self, pids: &[u16]) {
        self.maps.retain(|map| pids.contains(&map.pid()));
        for pid in pids.iter().take(limits::TS_PROGRAMS) {
            if !self.maps.iter().any(|map| map.pid() == *pid) {
                self.maps.push(Sections::new(*pid));
            }
        }
        if self.program.is_some_and(|pid| !pids.contains(&pid)) {
            (self.program, self.video, self.audio) = (None, None, None);
            // Maps that were passed over because of this one are to be looked at again.
            self.maps.iter_mut().for_each(Sections::forget);
        }
    }

    /// The program whose map has this PID has these streams.
    fn streams(&mut self, pid: u16, entries: &[StreamEntry]) {
        if self.program.is_some_and(|chosen| chosen != pid) {
            return;
        }
        let video = entries.iter().find(|entry| entry.is_video());
        let audio = entries.iter().find(|entry| entry.is_audio());
        if video.is_none() && audio.is_none() {
            self.refused = self.refused.or(entries.first().map(|entry| entry.stream_type));
            if self.program.is_none() {
                return;
            }
        }
        self.program = Some(pid);
        for (slot, entry) in [(&mut self.video, video), (&mut self.audio, audio)] {
            if slot.as_ref().map(Track::entry) != entry.copied() {
                *slot = entry.map(|entry| Track::new(*entry));
            }
        }
    }
}

/// A packet with payload, or one that announces a discontinuity.
#[derive(Debug)]
struct Packet<'a> {
    pid: u16,
    /// payload_unit_start_indicator: a PES packet or a section begins here.
    start: bool,
    /// discontinuity_indicator.
    discontinuity: bool,
    counter: u8,
    /// `None` for one that is nothing but an adaptation field.
    payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// 2.4.3.2. `None` for one that is broken, encrypted or of no use; that it is missing will be seen.
    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut r = Reader::new(bytes);
        r.skip(1)?;
        let word = r.u16()?;
        let flags = r.u8()?;
        let (error, start, pid) = (word & 0x8000 != 0, word & 0x4000 != 0, word & 0x1fff);
        if error || pid == NULL_PID || flags & 0xc0 != 0 {
            return Ok(None);
        }
        let mut discontinuity = false;
        if flags & 0x20 != 0 {
            let len = r.u8()?;
            discontinuity = r.take(len.into())?.first().is_some_and(|flags| flags & 0x80 != 0);
        }
        let payload = (flags & 0x10 != 0).then_some(r.rest());
        Ok(Some(Self { pid, start, discontinuity, counter: flags & 0xf, payload }))
    }
}

/// The continuity_counter of a PID (2.4.3.3).
#[derive(Debug, Default)]
struct Continuity {
    last: Option<u8>,
    /// The last packet was sent twice.
    repeated: bool,
    /// A packet without payload has announced a discontinuity.
    announced: bool,
}

/// What a packet is to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival<'a> {
    /// The next one.
    Next(&'a [u8]),
    /// One that comes after others that are missing.
    AfterLoss(&'a [u8]),
    /// One that has been here, or has nothing in it.
    Nothing,
}

impl Continuity {
    fn arrival<'a>(&mut self, packet: &Packet<'a>) -> Arrival<'a> {
        let Some(payload) = packet.payload else {
            self.announced |= packet.discontinuity;
            return Arrival::Nothing;
        };
        let announced = std::mem::take(&mut self.announced) || packet.discontinuity;
        let repeated = std::mem::take(&mut self.repeated);
        let Some(last) = self.last.replace(packet.counter) else { return Arrival::Next(payload) };
        if packet.counter == last.wrapping_add(1) & 0xf || announced && packet.start {
            return Arrival::Next(payload);
        }
        if packet.counter == last && !announced && !repeated {
            self.repeated = true;
            return Arrival::Nothing;
        }
        Arrival::AfterLoss(payload)
    }
}
