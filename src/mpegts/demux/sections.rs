//! Tables as they are read: sections put together from packets, and what they say
//! (ISO/IEC 13818-1, 2.4.4).

use smallvec::SmallVec;

use super::super::psi::{CRC, PAT_TABLE, PMT_TABLE};
use super::{Arrival, Continuity, Packet};
use crate::wire::{Malformed, Reader};

/// The longest section, in bytes (2.4.4.4): with it, what is held has its limit.
const SECTION_BYTES: usize = 1024;
/// Bytes up to the end of section_length.
const HEADER: usize = 3;
/// Bytes of the checksum.
const CHECKSUM: usize = 4;

pub(super) const H264: u8 = 0x1b;
pub(super) const H265: u8 = 0x24;
pub(super) const AAC_ADTS: u8 = 0x0f;
const MPEG1_AUDIO: u8 = 0x03;
const MPEG2_AUDIO: u8 = 0x04;

/// A stream in a program's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamEntry {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
}

impl StreamEntry {
    pub(super) fn is_video(&self) -> bool {
        matches!(self.stream_type, H264 | H265)
    }

    pub(super) fn is_audio(&self) -> bool {
        matches!(self.stream_type, AAC_ADTS | MPEG1_AUDIO | MPEG2_AUDIO)
    }
}

/// The sections of one PID.
#[derive(Debug)]
pub(super) struct Sections {
    pid: u16,
    continuity: Continuity,
    held: Vec<u8>,
    /// The checksum of the newest: a table is news when its content is, whatever its version.
    checksum: Option<u32>,
}

impl Sections {
    pub(super) fn new(pid: u16) -> Self {
        Self { pid, continuity: Continuity::default(), held: Vec::new(), checksum: None }
    }

    pub(super) fn pid(&self) -> u16 {
        self.pid
    }

    /// What follows is not the continuation of what came before.
    pub(super) fn reset(&mut self) {
        self.continuity = Continuity::default();
        self.held.clear();
    }

    /// The next section is news, also if it is as the last was.
    pub(super) fn forget(&mut self) {
        self.checksum = None;
    }

    /// Takes a packet, and shows each section that is whole, right, in force and news.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, mut show: impl FnMut(&Section<'_>)) {
        let payload = match self.continuity.arrival(packet) {
            Arrival::Next(payload) => payload,
            Arrival::AfterLoss(payload) => {
                self.held.clear();
                payload
            }
            Arrival::Nothing => return,
        };
        if !packet.start {
            // Without a beginning there is nothing to continue.
            if !self.held.is_empty() {
                self.held.extend_from_slice(payload);
                self.take(&mut show);
            }
            return;
        }
        let Some((pointer, rest)) = payload.split_first() else { return };
        let Some((end, begin)) = rest.split_at_checked(usize::from(*pointer)) else { return };
        if !self.held.is_empty() {
            self.held.extend_from_slice(end);
            self.take(&mut show);
        }
        self.held.clear();
        self.held.extend_from_slice(begin);
        self.take(&mut show);
    }

    /// Takes the sections that are whole off what is held.
    fn take(&mut self, show: &mut impl FnMut(&Section<'_>)) {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        while let [table, high, low, ..] = rest {
            let len = usize::from(u16::from_be_bytes([high & 0xf, *low])).saturating_add(HEADER);
            // 0xff is stuffing up to the packet's end.
            if *table == 0xff || len > SECTION_BYTES {
                rest = &[];
                break;
            }
            let Some((section, more)) = rest.split_at_checked(len) else { break };
            rest = more;
            self.section(section, show);
        }
        if rest.first() != Some(&0xff) {
            self.held = rest.to_vec();
        }
    }

    fn section(&mut self, bytes: &[u8], show: &mut impl FnMut(&Section<'_>)) {
        // Over a section with its checksum, the checksum is 0.
        let Some((_, stored)) = bytes.split_last_chunk::<CHECKSUM>() else { return };
        let stored = u32::from_be_bytes(*stored);
        if CRC.checksum(bytes) != 0 || self.checksum == Some(stored) {
            return;
        }
        if let Ok(Some(section)) = Section::parse(bytes) {
            self.checksum = Some(stored);
            show(&section);
        }
    }
}

/// A section in force.
#[derive(Debug)]
pub(super) struct Section<'a> {
    table: u8,
    body: &'a [u8],
}

impl<'a> Section<'a> {
    /// `None` for one that isn't in force yet. Of a table of several sections the first is taken: who needs
    /// more than a thousand bytes has a hundred programs.
    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut r = Reader::new(bytes);
        let table = r.u8()?;
        r.skip(2 + 2)?; // section_length, transport_stream_id or program_number
        let current = r.u8()? & 1 != 0;
        let number = r.u8()?;
        r.skip(1)?; // last_section_number
        let body = r.take(r.remaining().saturating_sub(CHECKSUM))?;
        Ok((current && number == 0).then_some(Self { table, body }))
    }

    /// The PIDs of the programs' maps, if this is a program association table (2.4.4.3).
    pub(super) fn programs(&self) -> Option<SmallVec<[u16; 4]>> {
        if self.table != PAT_TABLE {
            return None;
        }
        let mut pids = SmallVec::new();
        let mut r = Reader::new(self.body);
        while let (Ok(number), Ok(pid)) = (r.u16(), r.u16()) {
            // Program 0 is the network's table.
            if number != 0 {
                pids.push(pid & 0x1fff);
            }
        }
        Some(pids)
    }

    /// The program's streams, if this is a program map table (2.4.4.8).
    pub(super) fn streams(&self) -> Option<SmallVec<[StreamEntry; 4]>> {
        if self.table != PMT_TABLE {
            return None;
        }
        let mut entries = SmallVec::new();
        let mut r = Reader::new(self.body);
        let descriptors = |r: &mut Reader<'_>| {
            let len = r.u16()? & 0xfff;
            r.skip(len.into())
        };
        let mut entry = |r: &mut Reader<'_>| {
            let (stream_type, pid) = (r.u8()?, r.u16()? & 0x1fff);
            descriptors(r)?;
            entries.push(StreamEntry { stream_type, pid });
            Ok::<(), Malformed>(())
        };
        let _pcr_pid = r.u16().ok()?;
        descriptors(&mut r).ok()?;
        while !r.is_empty() {
            entry(&mut r).ok()?;
        }
        Some(entries)
    }
}
