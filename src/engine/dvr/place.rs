//! Where a recorder's files are written: by the disk's thread, or by the host. Both are given the same work in the
//! same order, and what they have no room for waits with the recorder, which knows when that is too much.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::Kept;
use crate::engine::disk::{FileId, How, Job, append};
use crate::time::Time;

/// When the host is asked again for what it could not do.
const AGAIN: Duration = Duration::from_millis(20);
/// After so many jobs one after the other the loop has its turn.
const JOBS_IN_A_ROW: u32 = 16;
/// How long that is at least.
const PAUSE: Duration = Duration::from_millis(1);

/// Something that the host is to do with a file of its own, asked for by [`super::super::Event::RecorderFile`] and
/// answered by [`super::super::Engine::dvr_done`]. `file` is the file's number with its recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileJob {
    /// Open a file.
    Open {
        /// Its number.
        file: u32,
        /// Its name.
        path: String,
    },
    /// Write to it: at its end, or over what stands there.
    Write {
        /// Its number.
        file: u32,
        /// Where, from the file's beginning.
        offset: u64,
        /// What.
        bytes: Bytes,
    },
    /// Close it.
    Close {
        /// Its number.
        file: u32,
        /// Whether all of it has been written.
        complete: bool,
    },
}

/// What the host has made of a [`FileJob`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAnswer {
    /// It is done.
    Done,
    /// Not now: it is to be asked for again. A file that is to be closed is closed, whatever is answered.
    Again,
    /// It can't be done, and why: the file has failed. One that is open is closed next.
    Failed(String),
}

/// What is to be done with a file.
#[derive(Debug)]
pub(super) enum Work {
    Open { path: PathBuf, append: bool },
    Append(Bytes),
    Patch { offset: u64, bytes: Bytes },
    Close,
}

impl Work {
    pub(super) fn for_disk(self, file: FileId) -> Job {
        match self {
            Self::Open { path, append: false } => Job::Open { file, path, how: How::New },
            Self::Open { path, append: true } => Job::Open { file, path, how: How::Append(append::flv) },
            Self::Append(bytes) => Job::Write { file, bytes },
            Self::Patch { offset, bytes } => Job::Patch { file, offset, bytes },
            Self::Close => Job::Close { file },
        }
    }

    /// The host goes on with no file ([`super::Engine::dvr_open`]). `kept` learns how long this one is now.
    pub(super) fn for_host(self, file: u32, kept: &mut Kept) -> FileJob {
        match self {
            Self::Open { path, .. } => FileJob::Open { file, path: path.to_string_lossy().into_owned() },
            Self::Append(bytes) => {
                let offset = kept.bytes;
                kept.bytes = offset.saturating_add(bytes.len() as u64);
                FileJob::Write { file, offset, bytes }
            }
            Self::Patch { offset, bytes } => FileJob::Write { file, offset, bytes },
            Self::Close => FileJob::Close { file, complete: true },
        }
    }
}

impl FileJob {
    pub(super) fn file(&self) -> u32 {
        match self {
            Self::Open { file, .. } | Self::Write { file, .. } | Self::Close { file, .. } => *file,
        }
    }

    /// What it does, for who is told that it can't be done.
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::Open { .. } => "opening",
            Self::Write { .. } => "writing to",
            Self::Close { .. } => "closing",
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) enum Place {
    Disk {
        /// What its queue had no room for.
        pending: Option<Job>,
    },
    Host(HostFiles),
}

impl Place {
    /// Whether something waits that is not the recorder's any more.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Disk { pending } => pending.is_some(),
            Self::Host(files) => files.is_busy(),
        }
    }

    /// What is too slow when frames are lost.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "the disk",
            Self::Host(_) => "the host's sink",
        }
    }
}

/// Files of the host's, which does one thing after the other.
#[derive(Debug, Default)]
pub(super) struct HostFiles {
    job: Option<FileJob>,
    /// When it is to be asked for; `None`: it has been.
    due: Option<Time>,
    in_a_row: u32,
}

impl HostFiles {
    /// Whether the host has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// The next job. There is no other.
    pub(super) fn put(&mut self, now: Time, job: FileJob) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let is_turn_over = self.in_a_row >= JOBS_IN_A_ROW;
        if is_turn_over {
            self.in_a_row = 0;
        }
        (self.job, self.due) = (Some(job), Some(if is_turn_over { now + PAUSE } else { now }));
    }

    /// The host could not do it.
    pub(super) fn put_back(&mut self, now: Time, job: FileJob) {
        (self.job, self.due) = (Some(job), Some(now + AGAIN));
    }

    /// When the host is to be asked.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// What the host is to be asked for at this time.
    pub(super) fn ask(&mut self, now: Time) -> Option<FileJob> {
        self.due.take_if(|due| *due <= now)?;
        self.job.clone()
    }

    /// Takes what the host has been asked for, since it has answered.
    pub(super) fn answered(&mut self) -> Option<FileJob> {
        if self.due.is_some() { None } else { self.job.take() }
    }
}

/// What a recorder can't have of the host's files: a folder that the library looks through, or a file that it reads.
pub(super) fn refuse(settings: &crate::config::Dvr) -> Option<&'static str> {
    [
        (settings.plan == crate::config::DvrPlan::Append, "going on with a file (append)"),
        (settings.faststart, "rewriting a file (faststart)"),
        (settings.timeshift, "time shift"),
        (!settings.max_age.is_zero(), "removing old recordings (max_age)"),
        (settings.max_bytes > 0, "removing the oldest recordings (max_bytes)"),
    ]
    .into_iter()
    .find_map(|(is_asked, what)| is_asked.then_some(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(offset: u64) -> FileJob {
        FileJob::Write { file: 1, offset, bytes: Bytes::from_static(b"x") }
    }

    #[test]
    fn the_host_is_asked_once_and_again_when_it_had_no_time() {
        let (mut files, now) = (HostFiles::default(), Time::from_millis(5));
        assert!(!files.is_busy() && files.ask(now).is_none() && files.answered().is_none());
        files.put(now, job(0));
        assert!(files.is_busy() && files.answered().is_none(), "it has not been asked");
        assert_eq!(files.ask(now), Some(job(0)));
        assert_eq!((files.ask(now), files.due()), (None, None));
        assert_eq!(files.answered(), Some(job(0)));
        assert!(files.answered().is_none() && !files.is_busy());
        files.put_back(now, job(0));
        assert_eq!((files.ask(now), files.due()), (None, Some(now + AGAIN)));
        assert_eq!(files.ask(now + AGAIN), Some(job(0)));
    }

    #[test]
    fn others_have_their_turn_between_many_jobs() {
        let (mut files, now) = (HostFiles::default(), Time::from_millis(5));
        let mut at_once = 0;
        for offset in 0..100 {
            files.put(now, job(offset));
            at_once += u32::from(files.ask(now).is_some());
            assert!(files.due().is_none_or(|due| due == now + PAUSE));
            files.ask(now + PAUSE);
            assert_eq!(files.answered(), Some(job(offset)));
        }
        assert_eq!(at_once, 100 - 100 / JOBS_IN_A_ROW);
    }
}
