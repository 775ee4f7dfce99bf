//! The disk's thread as the engine uses it: jobs go out with what they are for, and what came of them is
//! handed to whoever asked.

#[cfg(feature = "dvr")]
use log::{debug, warn};

use super::Engine;
#[cfg(feature = "dvr")]
use super::disk::FileId;
use super::disk::{Disk, Done, Job, Outcome, Refused};
use crate::time::Time;

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A file of this HLS writer.
    #[cfg(feature = "hls")]
    Hls(u32),
    /// Room for recordings; the number tells places apart.
    #[cfg(feature = "dvr")]
    Room(u64),
    /// This file of a recorder's is rewritten.
    #[cfg(feature = "dvr")]
    Faststart(FileId),
    /// This connection waits for a playlist of recordings.
    #[cfg(all(feature = "dvr", feature = "http"))]
    Shift(u32),
}

impl Engine {
    /// Hands a job to the disk's thread, which is made for it if there is none. `make` gets the id that its
    /// answer comes back under.
    pub(super) fn submit(&mut self, purpose: Purpose, make: impl FnOnce(u32) -> Job) -> Result<(), Refused> {
        // As many as the disk's queue holds: a full table is a full queue.
        let Some(id) = self.jobs.insert_with(|_| purpose) else {
            return Err(Refused { job: make(0), error: None });
        };
        let job = make(id);
        self.disk().submit(job).inspect_err(|_| {
            self.jobs.remove(id);
        })
    }

    /// The disk's queue.
    pub(super) fn disk(&mut self) -> &mut Disk {
        let remote = &self.remote;
        self.disk.get_or_insert_with(|| {
            let remote = remote.clone();
            Disk::new(Box::new(move || {
                // A waker that fails leaves the answers for the next turn.
                let _ = remote.wake();
            }))
        })
    }

    /// Takes what the disk's thread has done.
    pub(super) fn drain_disk(&mut self, now: Time) {
        while let Some(done) = self.disk.as_mut().and_then(Disk::poll_done) {
            match done {
                #[cfg(feature = "dvr")]
                Done::File(file, outcome) => self.on_file_done(now, file, outcome),
                #[cfg(not(feature = "dvr"))]
                Done::File(..) => {}
                Done::Job(id, outcome) => {
                    if let Some(purpose) = self.jobs.remove(id) {
                        self.on_job_done(now, purpose, outcome);
                    }
                }
            }
        }
        #[cfg(feature = "dvr")]
        self.resume_dvr();
    }

    #[cfg_attr(not(feature = "hls"), allow(unused_variables))]
    fn on_job_done(&mut self, now: Time, purpose: Purpose, outcome: Outcome) {
        match (purpose, outcome) {
            #[cfg(feature = "hls")]
            (Purpose::Hls(id), outcome) => self.hls_done(now, id, &outcome),
            #[cfg(feature = "dvr")]
            (Purpose::Room(_), Outcome::Pruned { removed, freed, left }) => {
                debug!("{removed} recordings removed, {freed} bytes; {left} bytes are left");
            }
            #[cfg(feature = "dvr")]
            (Purpose::Room(_), Outcome::Failed(e)) => warn!("making room for recordings: {e}"),
            #[cfg(feature = "dvr")]
            (Purpose::Room(_), _) => {}
            #[cfg(feature = "dvr")]
            (Purpose::Faststart(file), outcome) => self.on_faststart(file, outcome),
            #[cfg(all(feature = "dvr", feature = "http"))]
            (Purpose::Shift(conn), outcome) => self.on_shifted(now, conn, outcome),
        }
        #[cfg(not(any(feature = "hls", feature = "http")))]
        let _ = now;
    }
}
