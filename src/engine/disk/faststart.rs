//! A finished MP4 recording, rewritten with its index in front: players find it without reading on.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::fmp4::{Found, Plain, Scanner};

use super::worker::beside;
use super::{Answer, DiskError, Task};

/// Bytes copied in one slice: a card writes them in some tens of milliseconds.
const SLICE: u64 = 256 * 1024;
/// Boxes looked at in one slice.
const BOXES: u32 = 64;

/// What the task answers: the new file's length, in bytes.
pub(in super::super) type Rewritten = Result<u64, DiskError>;

/// A task that rewrites the file at `path`, in slices, beside it and then in its place. The file stays as
/// it is until then, and if it fails or is given up. It answers [`Rewritten`].
pub(in super::super) fn task(path: PathBuf) -> Task {
    let mut stage = Stage::Begin;
    Box::new(move || {
        let done: Rewritten = match std::mem::replace(&mut stage, Stage::Done).step(&path) {
            Ok(Stage::Done) => match fs::metadata(&path) {
                Ok(data) => Ok(data.len()),
                Err(error) => Err(DiskError { doing: "looking at", path: path.clone(), error }),
            },
            Ok(next) => {
                stage = next;
                return None;
            }
            Err(error) => Err(DiskError { doing: "rewriting", path: path.clone(), error }),
        };
        Some(Box::new(done) as Answer)
    })
}

enum Stage {
    Begin,
    Scan(Box<Scan>),
    Copy(Copy),
    Done,
}

struct Scan {
    old: File,
    scanner: Scanner,
    plain: Option<Plain>,
    buffer: Vec<u8>,
}

struct Copy {
    old: File,
    new: File,
    beside: Beside,
    ranges: std::vec::IntoIter<Range<u64>>,
    now: Range<u64>,
}

/// A file that is removed if it doesn't become another's.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It has become the other. Or it can't be removed: the next of that name begins it anew.
        let _ = fs::remove_file(&self.0);
    }
}

impl Stage {
    /// One slice.
    fn step(self, path: &Path) -> io::Result<Self> {
        match self {
            Self::Begin => {
                let old = File::open(path)?;
                let scanner = Scanner::new(old.metadata()?.len());
                Ok(Self::Scan(Box::new(Scan { old, scanner, plain: None, buffer: Vec::new() })))
            }
            Self::Scan(mut scan) => {
                if scan.step()? {
                    return Ok(Self::Scan(scan));
                }
                scan.finish(path).map(Self::Copy)
            }
            Self::Copy(mut copy) => {
                if copy.step()? {
                    return Ok(Self::Copy(copy));
                }
                copy.new.sync_data()?;
                fs::rename(&copy.beside.0, path)?;
                Ok(Self::Done)
            }
            Self::Done => Ok(Self::Done),
        }
    }
}

impl Scan {
    /// Looks at the next boxes. `false` if there are no more.
    fn step(&mut self) -> io::Result<bool> {
        for _ in 0..BOXES {
            let Some(wanted) = self.scanner.wanted() else { return Ok(false) };
            self.buffer.resize(wanted.len, 0);
            self.old.read_exact_at(&mut self.buffer, wanted.offset)?;
            let found = self.scanner.handle_input(&self.buffer).map_err(|e| invalid(&e.to_string()))?;
            match (found, self.plain.as_mut()) {
                (Some(Found::Init(init)), _) => self.plain = Some(Plain::new(&init)),
                (Some(Found::Fragment(fragment)), Some(plain)) => {
                    plain.push(&fragment).map_err(|e| invalid(&e.to_string()))?;
                }
                _ => {}
            }
        }
        Ok(true)
    }

    fn finish(self, path: &Path) -> io::Result<Copy> {
        let finished = self.plain.and_then(Plain::finish).ok_or_else(|| invalid("no fragment is in it"))?;
        let beside = Beside(beside(path));
        let mut new = File::create(&beside.0)?;
        new.write_all(&finished.head)?;
        Ok(Copy { old: self.old, new, beside, ranges: finished.ranges.into_iter(), now: 0..0 })
    }
}

impl Copy {
    /// Copies a slice. `false` if that was the last one.
    fn step(&mut self) -> io::Result<bool> {
        let mut left = SLICE;
        while left > 0 {
            if self.now.is_empty() {
                let Some(next) = self.ranges.next() else { return Ok(false) };
                self.now = next;
            }
            let wanted = left.min(self.now.end.saturating_sub(self.now.start));
            self.old.seek(SeekFrom::Start(self.now.start))?;
            if io::copy(&mut (&self.old).take(wanted), &mut self.new)? < wanted {
                return Err(invalid("it has become shorter"));
            }
            self.now.start = self.now.start.saturating_add(wanted);
            left = left.saturating_sub(wanted);
        }
        Ok(true)
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
