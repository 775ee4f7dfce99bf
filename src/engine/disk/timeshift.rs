//! Looking through a stream's recordings for what they hold of a span of time.

use std::fs::{self, File, ReadDir};
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dvr::{Init, Names, Span, TimeShift};
use crate::fmp4::{Found, Scanner};
use crate::wire::limits::{MP4_BOX_BYTES, TIMESHIFT_FILES, TIMESHIFT_NAMES};

use super::{Answer, Task};

/// Names of a folder looked at in one slice.
const ENTRIES: usize = 256;
/// Boxes looked at in one slice.
const BOXES: usize = 64;
/// How deep folders are looked into.
const DEPTH: usize = 8;
/// A file may hold frames that came this long before its name was given (dvr_preroll, and a GOP), in ms.
const PREROLL_MS: i64 = 120_000;
/// How coarse a file system may be about when a file was written to: FAT knows even seconds.
const COARSE: Duration = Duration::from_secs(2);

/// What the task answers.
#[derive(Debug)]
pub(in super::super) enum Shifted {
    /// The playlist.
    Playlist(String),
    /// Nothing was recorded then.
    Nothing,
    /// There are more recordings than are looked at.
    TooMany,
}

/// A task that makes the playlist of what the files of these `names` hold, in slices; it answers
/// [`Shifted`]. `uri` is what the playlist calls a file by its name beneath their root.
///
/// What can't be read, or is no file of fragments, is passed over.
pub(in super::super) fn task(
    names: Names,
    span: Span,
    uri: impl Fn(&str) -> String + Send + 'static,
) -> Task {
    let mut stage = Stage::Walk(Walk::new(&names));
    Box::new(move || {
        stage = match std::mem::replace(&mut stage, Stage::Done(Shifted::Nothing)) {
            Stage::Walk(walk) => walk.step(&names, span),
            Stage::Scan(scan) => scan.step(&names, &uri),
            Stage::Done(shifted) => return Some(Box::new(shifted) as Answer),
        };
        None
    })
}

enum Stage {
    Walk(Walk),
    Scan(Box<Scan>),
    Done(Shifted),
}

/// Finds the files that may hold something of the span.
struct Walk {
    /// Folders, each with its name beneath the root, ending with a slash.
    folders: Vec<(String, ReadDir)>,
    found: Vec<(SystemTime, String)>,
    seen: usize,
}

impl Walk {
    fn new(names: &Names) -> Self {
        let root = fs::read_dir(names.root()).ok();
        let folders = root.into_iter().map(|entries| (String::new(), entries)).collect();
        Self { folders, found: Vec::new(), seen: 0 }
    }

    fn step(mut self, names: &Names, span: Span) -> Stage {
        for _ in 0..ENTRIES {
            let depth = self.folders.len();
            let Some((folder, entries)) = self.folders.last_mut() else {
                // The order is of no matter, but that it is the same each time.
                self.found.sort_unstable();
                return Stage::Scan(Box::new(Scan::new(self.found, span)));
            };
            let Some(entry) = entries.next() else {
                self.folders.pop();
                continue;
            };
            self.seen = self.seen.saturating_add(1);
            if self.seen > TIMESHIFT_NAMES || self.found.len() >= TIMESHIFT_FILES {
                return Stage::Done(Shifted::TooMany);
            }
            // What vanishes meanwhile, or can't be looked at, is none of this.
            let Ok(entry) = entry else { continue };
            let Some(name) = entry.file_name().to_str().map(|name| [folder, name].concat()) else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth <= names.depth().unwrap_or(DEPTH).min(DEPTH)
                    && let Ok(entries) = fs::read_dir(entry.path())
                {
                    self.folders.push((name + "/", entries));
                }
                continue;
            }
            let Some(begun_ms) = names.find(&name).filter(|_| kind.is_file()) else { continue };
            let begun_us = begun_ms.map_or(i64::MIN, |ms| ms.saturating_sub(PREROLL_MS).saturating_mul(1000));
            let Ok(written) = entry.metadata().and_then(|meta| meta.modified()) else { continue };
            let last = written.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(COARSE);
            let last_us = i64::try_from(last.as_micros()).unwrap_or(i64::MAX);
            if begun_us < span.end_us && last_us >= span.start_us {
                self.found.push((written, name));
            }
        }
        Stage::Walk(self)
    }
}

/// Goes through the files one after another.
struct Scan {
    files: std::vec::IntoIter<(SystemTime, String)>,
    now: Option<Open>,
    buffer: Vec<u8>,
    shift: TimeShift,
}

struct Open {
    name: String,
    file: File,
    scanner: Scanner,
}

impl Scan {
    fn new(files: Vec<(SystemTime, String)>, span: Span) -> Self {
        Self { files: files.into_iter(), now: None, buffer: Vec::new(), shift: TimeShift::new(span) }
    }

    fn step(mut self: Box<Self>, names: &Names, uri: &dyn Fn(&str) -> String) -> Stage {
        for _ in 0..BOXES {
            let Some(open) = self.now.as_mut() else {
                let Some((_, name)) = self.files.next() else {
                    return Stage::Done(self.shift.finish().map_or(Shifted::Nothing, Shifted::Playlist));
                };
                self.now = Open::new(names, name);
                continue;
            };
            if open.step(&mut self.buffer, &mut self.shift, uri).is_none() {
                self.shift.end();
                self.now = None;
            }
        }
        if self.shift.is_full() { Stage::Done(Shifted::TooMany) } else { Stage::Scan(self) }
    }
}

impl Open {
    fn new(names: &Names, name: String) -> Option<Self> {
        let file = File::open(PathBuf::from(names.root()).join(&name)).ok()?;
        // What is written from now on is not seen.
        let scanner = Scanner::new(file.metadata().ok()?.len());
        Some(Self { name, file, scanner })
    }

    /// Looks at one box. `None` when nothing more of the file is of use.
    fn step(
        &mut self,
        buffer: &mut Vec<u8>,
        shift: &mut TimeShift,
        uri: &dyn Fn(&str) -> String,
    ) -> Option<()> {
        let wanted = self.scanner.wanted()?;
        buffer.resize(wanted.len, 0);
        self.file.read_exact_at(buffer, wanted.offset).ok()?;
        match self.scanner.handle_input(buffer).ok()? {
            Some(Found::Init(_)) => {
                // No longer than what the scanner takes as a whole, and what stands before that.
                let len = self.scanner.end();
                buffer.resize(usize::try_from(len).ok().filter(|len| *len <= 2 * MP4_BOX_BYTES)?, 0);
                self.file.read_exact_at(buffer, 0).ok()?;
                let mut hasher = DefaultHasher::new();
                hasher.write(buffer);
                shift.begin(uri(&self.name), Init { len, hash: hasher.finish() });
            }
            Some(Found::Fragment(fragment)) => return shift.push(&fragment).then_some(()),
            None => {}
        }
        Some(())
    }
}
