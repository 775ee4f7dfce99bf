//! What the disk's thread does, job by job: the files that are open, and what becomes of an error.

use std::any::Any;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::prune::{self, Quota};

/// Names like the one that is taken that are tried: `name-1.flv`, `name-2.flv`, …
const NAMES: u32 = 10_000;

/// A file, in its owner's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct FileId {
    /// Whose it is.
    pub(in super::super) owner: u32,
    /// Its number with that owner.
    pub(in super::super) number: u32,
}

/// Something to do. Folders that lack are made.
pub(in super::super) enum Job {
    /// Opens a file to write. Answered by [`Outcome::Opened`].
    Open { file: FileId, path: PathBuf, how: How },
    /// Writes at its end. Answered only if it fails, as is the next.
    Write { file: FileId, bytes: Bytes },
    /// Writes over what stands at `offset`.
    Patch { file: FileId, offset: u64, bytes: Bytes },
    /// Has the file's bytes on the disk and closes it. Answered by [`Outcome::Closed`], unless the file has
    /// failed before.
    Close { file: FileId },
    /// Makes a whole file at once: it is there with these bytes, or as it was before.
    Replace { id: u32, path: PathBuf, bytes: Bytes },
    /// Removes a file. One that isn't there is as good.
    Remove { id: u32, path: PathBuf },
    /// Removes the oldest files. Answered by [`Outcome::Pruned`].
    Prune { id: u32, quota: Quota },
    /// Runs a task. Answered by [`Outcome::Ran`].
    Run { id: u32, task: Task },
}

/// How a file is opened.
#[derive(Clone, Copy)]
pub(in super::super) enum How {
    /// One that was not there: if the name is taken, another like it.
    New,
    /// One that may be there. The function says how much of it is kept; the rest is cut off.
    Append(fn(&mut File) -> io::Result<Kept>),
}

/// What is kept of a file that is gone on with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Kept {
    /// Bytes from its beginning.
    pub(in super::super) bytes: u64,
    /// The last timestamp in them, in ms.
    pub(in super::super) last_ms: u32,
}

/// A task in slices: it is called until it gives an answer. A slice should be short, since writing waits
/// for it.
pub(in super::super) type Task = Box<dyn FnMut() -> Option<Answer> + Send>;
/// What a task has to say.
pub(in super::super) type Answer = Box<dyn Any + Send>;

/// What came of a job.
#[derive(Debug)]
pub(in super::super) enum Done {
    /// Of a file: after [`Outcome::Closed`] and [`Outcome::Failed`] nothing is heard of it.
    File(FileId, Outcome),
    /// Of the job of this id.
    Job(u32, Outcome),
}

/// See [`Job`].
#[derive(Debug)]
pub(in super::super) enum Outcome {
    /// The file is open, under this name.
    Opened { path: PathBuf, kept: Kept },
    /// The file is complete.
    Closed { path: PathBuf, bytes: u64 },
    /// The file or job has failed. What is written to such a file from now on is passed over.
    Failed(DiskError),
    /// The file is there, or gone.
    Replaced,
    /// So much was removed, and so much is left.
    Pruned { removed: u32, freed: u64, left: u64 },
    /// The task's answer.
    Ran(Answer),
    /// The task has panicked.
    Panicked,
}

/// What went wrong, with which file.
#[derive(Debug)]
pub(in super::super) struct DiskError {
    /// What was being done.
    pub(in super::super) doing: &'static str,
    /// The file.
    pub(in super::super) path: PathBuf,
    /// Why it could not be done.
    pub(in super::super) error: io::Error,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.doing, self.path.display(), self.error)
    }
}

impl std::error::Error for DiskError {}

/// What has become of a job.
pub(in super::super) enum Ran {
    /// There is something to tell.
    Done(Done),
    /// There is not.
    Nothing,
    /// The task wants another turn.
    Again(u32, Task),
}

impl Job {
    /// Bytes that it holds.
    pub(in super::super) fn size(&self) -> usize {
        match self {
            Self::Write { bytes, .. } | Self::Patch { bytes, .. } | Self::Replace { bytes, .. } => {
                bytes.len()
            }
            _ => 0,
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "Open",
            Self::Write { .. } => "Write",
            Self::Patch { .. } => "Patch",
            Self::Close { .. } => "Close",
            Self::Replace { .. } => "Replace",
            Self::Remove { .. } => "Remove",
            Self::Prune { .. } => "Prune",
            Self::Run { .. } => "Run",
        })
    }
}

/// Does jobs, one at a time, on whatever thread.
#[derive(Debug, Default)]
pub(in super::super) struct Worker {
    files: Vec<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    id: FileId,
    path: PathBuf,
    /// None after an error.
    file: Option<File>,
    /// Where it ends.
    end: u64,
    /// It was not there before.
    is_new: bool,
}

impl Worker {
    /// Does a job.
    pub(in super::super) fn run(&mut self, job: Job) -> Ran {
        let (id, outcome) = match job {
            Job::Open { file, path, how } => return Ran::Done(self.open(file, path, how)),
            Job::Write { file, bytes } => {
                return self.on_file(file, "writing to", |f, end| append(f, end, &bytes));
            }
            Job::Patch { file, offset, bytes } => {
                return self.on_file(file, "writing to", |f, _| f.write_all_at(&bytes, offset));
            }
            Job::Close { file } => return self.close(file),
            Job::Replace { id, path, bytes } => (id, tell("writing", path, |path| replace(path, &bytes))),
            Job::Remove { id, path } => (id, tell("removing", path, remove)),
            Job::Prune { id, quota } => (id, self.prune(&quota)),
            Job::Run { id, task } => return self.go_on(id, task),
        };
        Ran::Done(Done::Job(id, outcome))
    }

    /// Gives a task its next turn.
    pub(in super::super) fn go_on(&mut self, id: u32, mut task: Task) -> Ran {
        match task() {
            Some(answer) => Ran::Done(Done::Job(id, Outcome::Ran(answer))),
            None => Ran::Again(id, task),
        }
    }

    /// Whether it has no file.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.files.is_empty()
    }

    fn open(&mut self, id: FileId, mut path: PathBuf, how: How) -> Done {
        let opened = match how {
            How::New => create(&mut path).map(|file| (file, Kept::default())),
            How::Append(_) if self.is_open(&path) => Err(io::Error::other("it is being written to already")),
            How::Append(look) => reopen(&path, look),
        };
        let (file, outcome) = match opened {
            Ok((file, kept)) => (Some((file, kept.bytes)), Outcome::Opened { path: path.clone(), kept }),
            Err(error) => (None, Outcome::Failed(DiskError { doing: "opening", path: path.clone(), error })),
        };
        let (file, end) = file.map_or((None, 0), |(file, end)| (Some(file), end));
        self.files.push(OpenFile { id, path, file, end, is_new: matches!(how, How::New) });
        Done::File(id, outcome)
    }

    /// Whether this is one of its files, under whatever name.
    fn is_open(&self, path: &Path) -> bool {
        let Ok(meta) = fs::metadata(path) else { return false };
        self.inodes().any(|inode| inode == (meta.dev(), meta.ino()))
    }

    /// The open files by device and inode.
    fn inodes(&self) -> impl Iterator<Item = (u64, u64)> {
        let metas = self.files.iter().filter_map(|f| f.file.as_ref()?.metadata().ok());
        metas.map(|meta| (meta.dev(), meta.ino()))
    }

    /// What is done with a file that has not failed; if it fails now, that is told, once.
    fn on_file(
        &mut self,
        id: FileId,
        doing: &'static str,
        call: impl FnOnce(&mut File, &mut u64) -> io::Result<()>,
    ) -> Ran {
        let Some(open) = self.files.iter_mut().find(|f| f.id == id) else { return Ran::Nothing };
        let Some(file) = open.file.as_mut() else { return Ran::Nothing };
        match call(file, &mut open.end) {
            Ok(()) => Ran::Nothing,
            Err(error) => {
                open.file = None;
                let path = open.path.clone();
                if open.is_new && open.end == 0 {
                    // Nothing is in it: a disk that stays full would gather such files.
                    let _ = fs::remove_file(&path);
                }
                Ran::Done(Done::File(id, Outcome::Failed(DiskError { doing, path, error })))
            }
        }
    }

    fn close(&mut self, id: FileId) -> Ran {
        let Some(at) = self.files.iter().position(|f| f.id == id) else { return Ran::Nothing };
        let synced = self.on_file(id, "closing", |file, _| match file.sync_data() {
            // What is no file of a disk has nothing to be synced.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        });
        let open = self.files.swap_remove(at);
        if open.file.is_some() {
            return Ran::Done(Done::File(id, Outcome::Closed { path: open.path, bytes: open.end }));
        }
        synced
    }

    fn prune(&self, quota: &Quota) -> Outcome {
        let open: Vec<_> = self.inodes().collect();
        match prune::prune(quota, &open) {
            Ok(pruned) => pruned,
            Err(error) => {
                Outcome::Failed(DiskError { doing: "looking through", path: quota.folder.clone(), error })
            }
        }
    }
}

fn tell(doing: &'static str, path: PathBuf, call: impl FnOnce(&Path) -> io::Result<()>) -> Outcome {
    match call(&path) {
        Ok(()) => Outcome::Replaced,
        Err(error) => Outcome::Failed(DiskError { doing, path, error }),
    }
}

/// Makes a file that was not there; `path` becomes its name.
fn create(path: &mut PathBuf) -> io::Result<File> {
    make_folder(path)?;
    let wanted = path.clone();
    let mut number = 0;
    loop {
        match File::options().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && number < NAMES => {}
            result => return result,
        }
        number += 1;
        let mut name = wanted.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{number}"));
        if let Some(suffix) = wanted.extension() {
            name.push(".");
            name.push(suffix);
        }
        path.set_file_name(name);
    }
}

fn reopen(path: &Path, look: fn(&mut File) -> io::Result<Kept>) -> io::Result<(File, Kept)> {
    make_folder(path)?;
    // Not in the kernel's append mode: there a patch would go to the end too.
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok((file, Kept::default()));
    }
    let kept = look(&mut file)?;
    if kept.bytes < meta.len() {
        file.set_len(kept.bytes)?;
    }
    file.seek(SeekFrom::Start(kept.bytes))?;
    Ok((file, kept))
}

/// Writes at the file's end. What was written of it when it fails is cut off again, so that the file ends
/// with something whole.
fn append(file: &mut File, end: &mut u64, bytes: &[u8]) -> io::Result<()> {
    if let Err(e) = file.write_all(bytes) {
        // It may be no file that can be cut; the error is the same.
        let _ = file.set_len(*end);
        return Err(e);
    }
    *end = end.saturating_add(bytes.len() as u64);
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_folder(path)?;
    let beside = beside(path);
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // If it is not there, so much the better.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// A name in the same folder, for what is not whole yet.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}
