//! Recordings of streams: a recorder each, and what it says done by the disk's thread or the host.

mod place;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use smallvec::SmallVec;

use super::disk::{self, DiskError, FileId, Job, Outcome, Quota, faststart};
use super::jobs::Purpose;
use super::timers::Alarm;
use super::{Engine, Event, sys};
use crate::config::{Dvr as Settings, DvrPlan, TimeJitter, Vhost};
use crate::dvr::{Cut, Names, Options, Output, Plan, Recorder};
use crate::error::{Code, Error, Result};
use crate::hub::Name;
use crate::media::{Correction, Frame, Headers};
use crate::time::Time;

use place::{HostFiles, Place, Work};

pub use place::{FileAnswer, FileJob};

/// Recorders at most.
const RECORDERS_MAX: usize = 4096;
/// How long the end waits for the disk's queue to take what recorders still have.
const FINISH: Duration = Duration::from_millis(800);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(2);
/// When the disk's thread is tried to be started again.
const RETRY: Duration = Duration::from_secs(1);

/// The recording of one stream.
#[derive(Debug)]
pub(super) struct Recording {
    name: Name,
    pub(super) recorder: Recorder,
    settings: Arc<Settings>,
    owner: Owner,
    live: bool,
    /// Files that the disk, or the host, has not said the last word of.
    files: HashMap<u32, Kept>,
    place: Place,
    armed: Option<Time>,
}

/// What is known of a file that is being written, or rewritten.
#[derive(Debug, Default)]
struct Kept {
    path: PathBuf,
    duration_us: i64,
    bytes: u64,
    faststart: bool,
}

/// Whose a recorder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The vhost's `dvr` has it record.
    Vhost,
    /// The host has; the stream's frames, or its own.
    Host { fed: bool },
    /// Nobody's any more: it ends when its files are written.
    Nobody,
}

/// What the host wants of a recorder of its own.
#[derive(Debug, Clone)]
pub struct DvrOptions {
    /// The stream that is recorded, whenever that is published; `None`: the host gives it frames.
    pub stream: Option<Name>,
    /// As in the configuration.
    pub settings: Settings,
    /// Whether the host writes the files ([`Event::RecorderFile`]): a path is then the host's to understand. What
    /// needs a folder or reads files is refused: `append`, faststart, time shift and the removal of old recordings.
    pub by_host: bool,
}

/// What became of a recording's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DvrNews {
    /// It is being written.
    Opened,
    /// It is complete.
    Closed {
        /// How long it plays, in µs.
        duration_us: i64,
        /// Its length, in bytes.
        bytes: u64,
    },
    /// It could not be written, or not to its end.
    Failed(String),
    /// So many frames were left out, since the disk was too slow.
    Dropped(u32),
}

impl Engine {
    /// Records a stream, or the host's frames. Answers the recorder's id.
    pub fn dvr_open(&mut self, options: DvrOptions) -> Result<u32> {
        if let Some(what) = place::refuse(&options.settings).filter(|_| options.by_host) {
            let message = format!("{what} needs the disk; it can't be done with files of the host's own");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        let fed = options.stream.is_none();
        let name = options.stream.unwrap_or_else(|| Name {
            vhost: crate::config::table::DEFAULT_VHOST.into(),
            app: "live".into(),
            stream: "livestream".into(),
        });
        let place =
            if options.by_host { Place::Host(HostFiles::default()) } else { Place::Disk { pending: None } };
        let id = self.add_recorder(&name, &Arc::new(options.settings), Owner::Host { fed }, place)?;
        let now = self.now();
        if fed {
            if let Some(recording) = self.recordings.find_mut(id) {
                recording.live = true;
                recording.recorder.begin(now, &Headers::default());
            }
        } else if let Some(stream) = self.hub.find(&name) {
            self.set_taps(now, stream);
        }
        Ok(id)
    }

    /// Gives a recorder that isn't of a stream its next frames.
    pub fn dvr_write(&mut self, id: u32, frames: &[Frame]) -> Result<()> {
        let (now, when) = (self.now(), sys::calendar(self.settings.utc_time));
        let recording = self.recordings.find_mut(id).ok_or_else(gone)?;
        if recording.owner != (Owner::Host { fed: true }) {
            return Err(Error::new(Code::State, "this recorder is of a stream"));
        }
        frames.iter().for_each(|frame| recording.recorder.write(now, &when, frame));
        self.drain_dvr(id);
        Ok(())
    }

    /// The recorder that a vhost's `dvr` keeps for a stream that is published.
    pub fn dvr_find(&self, name: &Name) -> Option<u32> {
        self.recordings.iter().find(|(_, r)| r.owner == Owner::Vhost && r.name == *name).map(|(id, _)| id)
    }

    /// Begins to write, with what was kept of what came before.
    pub fn dvr_start(&mut self, id: u32) -> Result<()> {
        let (now, when) = (self.now(), sys::calendar(self.settings.utc_time));
        self.held_dvr(id)?.recorder.start(now, &when);
        self.drain_dvr(id);
        Ok(())
    }

    /// Ends the file, and writes no more until it is started again.
    pub fn dvr_stop(&mut self, id: u32) -> Result<()> {
        self.held_dvr(id)?.recorder.stop();
        self.drain_dvr(id);
        Ok(())
    }

    /// Ends the file and begins another: at the next keyframe, or at once, so that the file is complete as
    /// soon as it can be.
    pub fn dvr_cut(&mut self, id: u32, at_once: bool) -> Result<()> {
        let cut = if at_once { Cut::AtOnce } else { Cut::AtKeyframe };
        self.held_dvr(id)?.recorder.cut(cut);
        self.drain_dvr(id);
        Ok(())
    }

    fn held_dvr(&mut self, id: u32) -> Result<&mut Recording> {
        self.recordings.find_mut(id).filter(|recording| recording.owner != Owner::Nobody).ok_or_else(gone)
    }

    /// Ends a recorder of the host's. What it has recorded is still written, and told;
    /// [`Event::RecorderEnded`] comes last.
    pub fn dvr_close(&mut self, id: u32) -> Result<()> {
        let now = self.now();
        let recording = self.recordings.find_mut(id).ok_or_else(gone)?;
        match recording.owner {
            Owner::Host { .. } => {}
            Owner::Vhost => return Err(Error::new(Code::State, "this recorder is the configuration's")),
            Owner::Nobody => return Err(gone()),
        }
        let name = recording.name.clone();
        self.retire(now, id);
        if let Some(stream) = self.hub.find(&name) {
            self.set_taps(now, stream);
        }
        Ok(())
    }

    /// The recorders that a stream is to be read by: its vhost's, which is made if it isn't there, and the
    /// host's.
    pub(super) fn dvr_of(&mut self, now: Time, name: &Name, vhost: &Vhost) -> SmallVec<[u32; 1]> {
        let settings = vhost.dvr.as_ref().filter(|dvr| dvr.applies(&name.app, &name.stream));
        let other =
            |r: &Recording| r.owner == Owner::Vhost && r.name == *name && Some(&r.settings) != settings;
        let others: SmallVec<[u32; 1]> =
            self.recordings.iter().filter(|(_, r)| other(r)).map(|(id, _)| id).collect();
        others.iter().for_each(|id| self.retire(now, *id));
        if let Some(settings) = settings
            && self.dvr_find(name).is_none()
            && let Err(e) = self.add_recorder(name, settings, Owner::Vhost, Place::Disk { pending: None })
        {
            warn!("{name} is not recorded: {e}");
        }
        let reads =
            |r: &Recording| r.name == *name && matches!(r.owner, Owner::Vhost | Owner::Host { fed: false });
        self.recordings.iter().filter(|(_, r)| reads(r)).map(|(id, _)| id).collect()
    }

    /// A recorder is to read a stream from now on, which has these headers.
    pub(super) fn begin_dvr(&mut self, now: Time, id: u32, headers: &Headers) {
        if let Some(recording) = self.recordings.find_mut(id) {
            recording.live = true;
            recording.recorder.begin(now, headers);
        }
    }

    /// The stream has ended.
    pub(super) fn end_dvr(&mut self, now: Time, id: u32) {
        if let Some(recording) = self.recordings.find_mut(id) {
            recording.live = false;
            recording.recorder.end(now);
        }
        self.drain_dvr(id);
    }

    /// Ends a recorder for good: it goes when its files are written.
    fn retire(&mut self, now: Time, id: u32) {
        let Some(recording) = self.recordings.find_mut(id) else { return };
        recording.owner = Owner::Nobody;
        recording.live = false;
        recording.recorder.stop();
        recording.recorder.end(now);
        self.drain_dvr(id);
    }

    /// The engine ends: so do all files. What the disk's queue has no room for is waited for, a while.
    pub(super) fn finish_dvr(&mut self) {
        let now = self.now();
        for stream in self.hub.ids() {
            self.run_taps(now, stream);
        }
        for id in self.recordings.ids() {
            self.retire(now, id);
        }
        let is_waiting = |(_, r): (u32, &Recording)| matches!(&r.place, Place::Disk { pending: Some(_) });
        while self.recordings.iter().any(is_waiting) && self.now().since(now) < FINISH {
            std::thread::sleep(LOOK);
            self.drain_disk(self.now());
        }
    }

    pub(super) fn on_dvr_alarm(&mut self, now: Time, at: Time, id: u32) {
        let Some(recording) = self.recordings.find_mut(id).filter(|r| r.armed == Some(at)) else { return };
        recording.armed = None;
        recording.recorder.handle_timeout(now);
        self.drain_dvr(id);
    }

    /// Hands the disk what recorders still have for it, since it has room again.
    pub(super) fn resume_dvr(&mut self) {
        let is_waiting = |r: &Recording| matches!(&r.place, Place::Disk { pending: Some(_) });
        let waiting: Vec<u32> =
            self.recordings.iter().filter(|(_, r)| is_waiting(r)).map(|(id, _)| id).collect();
        for id in waiting {
            self.drain_dvr(id);
        }
    }

    /// Takes out what a recorder has to be done.
    pub(super) fn drain_dvr(&mut self, id: u32) {
        let now = self.now();
        while let Some(recording) = self.recordings.find_mut(id) {
            let pending = match &mut recording.place {
                Place::Disk { pending } => pending.take(),
                Place::Host(files) if files.is_busy() => break,
                Place::Host(_) => None,
            };
            let is_again = pending.is_some();
            let job = match pending {
                Some(job) => job,
                None => match recording.recorder.poll_output() {
                    None => break,
                    Some(output) => match self.job_of(now, id, output) {
                        None => continue,
                        Some(job) => job,
                    },
                },
            };
            let Err(refused) = self.disk().submit(job) else { continue };
            let Some(recording) = self.recordings.find_mut(id) else { return };
            recording.place = Place::Disk { pending: Some(refused.job) };
            // When the queue has room again it wakes the loop; a thread that there isn't does not.
            if let Some(e) = refused.error {
                if !is_again {
                    warn!("recording {}: starting the disk's thread: {e}", recording.name);
                }
                self.arm_dvr(id, now + RETRY);
            }
            return;
        }
        let Some(recording) = self.recordings.find_mut(id) else { return };
        let mut due = recording.recorder.poll_timeout();
        let is_written = recording.files.is_empty() && !recording.place.is_waiting();
        let over = !recording.live && !recording.recorder.is_recording() && is_written;
        if let Place::Host(files) = &mut recording.place {
            let job = files.ask(now);
            due = [due, files.due()].into_iter().flatten().min();
            if let Some(job) = job {
                self.tell(Event::RecorderFile { recorder: id, job });
            }
        }
        if over && self.recordings.find(id).is_some_and(|r| matches!(r.owner, Owner::Vhost | Owner::Nobody)) {
            self.recordings.remove(id);
            self.tell(Event::RecorderEnded { recorder: id });
        } else if let Some(at) = due {
            self.arm_dvr(id, at);
        }
    }

    fn arm_dvr(&mut self, id: u32, at: Time) {
        if let Some(recording) = self.recordings.find_mut(id)
            && recording.armed.is_none_or(|armed| at < armed)
        {
            recording.armed = Some(at);
            self.timers.set(at, Alarm::Dvr(id));
        }
    }

    /// The disk's word on a recording's file, or the host's.
    pub(super) fn on_file_done(&mut self, now: Time, file: FileId, outcome: Outcome) {
        let (id, number) = (file.owner, file.number);
        let Some(recording) = self.recordings.find_mut(id) else { return };
        match outcome {
            Outcome::Opened { path, kept } => {
                info!("recording {} to {}", recording.name, path.display());
                recording.files.entry(number).or_default().path.clone_from(&path);
                recording.recorder.opened(now, number, kept.bytes, kept.last_ms);
                self.tell_dvr(id, &path, DvrNews::Opened);
                self.make_room(id);
            }
            Outcome::Closed { path, bytes } => {
                let mut kept = recording.files.remove(&number).unwrap_or_default();
                (kept.path, kept.bytes) = (path, bytes);
                self.finish_file(file, kept);
            }
            Outcome::Failed(e) => {
                warn!("recording {}: {e}", recording.name);
                recording.files.remove(&number);
                recording.recorder.failed(now, number);
                self.tell_dvr(id, &e.path, DvrNews::Failed(e.to_string()));
                self.make_room(id);
            }
            _ => {}
        }
        self.drain_dvr(id);
    }

    /// The host has done, or not, what [`Event::RecorderFile`] asked for. Each such event is answered once.
    pub fn dvr_done(&mut self, recorder: u32, answer: FileAnswer) -> Result<()> {
        let now = self.now();
        let recording = self.recordings.find_mut(recorder).ok_or_else(gone)?;
        let Place::Host(files) = &mut recording.place else {
            return Err(Error::new(Code::State, "this recorder's files are the disk's"));
        };
        let asked_nothing = || Error::new(Code::State, "the recorder has asked for nothing");
        let job = files.answered().ok_or_else(asked_nothing)?;
        let number = job.file();
        let path = recording.files.get(&number).map(|kept| kept.path.clone()).unwrap_or_default();
        let outcome = match (&job, answer) {
            (FileJob::Open { .. } | FileJob::Write { .. }, FileAnswer::Again) => {
                files.put_back(now, job);
                None
            }
            (FileJob::Open { .. }, FileAnswer::Done) => {
                Some(Outcome::Opened { path, kept: disk::Kept::default() })
            }
            (FileJob::Write { .. }, FileAnswer::Done) | (FileJob::Close { complete: false, .. }, _) => None,
            (FileJob::Close { .. }, FileAnswer::Done) => {
                let bytes = recording.files.get(&number).map_or(0, |kept| kept.bytes);
                Some(Outcome::Closed { path, bytes })
            }
            (_, answer) => {
                if matches!(job, FileJob::Write { .. }) {
                    files.put(now, FileJob::Close { file: number, complete: false });
                }
                let why = if let FileAnswer::Failed(why) = answer { why } else { String::from("not now") };
                Some(Outcome::Failed(DiskError { doing: job.doing(), path, error: io::Error::other(why) }))
            }
        };
        match outcome {
            Some(outcome) => self.on_file_done(now, FileId { owner: recorder, number }, outcome),
            None => self.drain_dvr(recorder),
        }
        Ok(())
    }

    /// Ends what is recorded to files of the host's, which are to be whole when the engine is dropped. Answers
    /// whether there is something to do for it: [`Event::RecorderFile`] is to be answered, and this called again.
    /// An [`FileAnswer::Again`] is of no use now.
    pub fn finish_files(&mut self) -> bool {
        let now = self.now();
        for stream in self.hub.ids() {
            self.run_taps(now, stream);
        }
        let mut is_asked = false;
        for id in self.recordings.ids() {
            if self.recordings.find(id).is_some_and(|r| matches!(r.place, Place::Host(_))) {
                self.retire(now, id);
            }
            let Some(recording) = self.recordings.find_mut(id) else { continue };
            if let Place::Host(files) = &mut recording.place
                && let Some(job) = files.due().and_then(|due| files.ask(due))
            {
                is_asked = true;
                self.tell(Event::RecorderFile { recorder: id, job });
            }
        }
        is_asked || self.told.iter().any(|event| matches!(event, Event::RecorderFile { .. }))
    }

    /// A file is written: it is rewritten first, where that is asked for.
    fn finish_file(&mut self, file: FileId, kept: Kept) {
        if kept.faststart {
            let path = kept.path.clone();
            match self.submit(Purpose::Faststart(file), |id| Job::Run { id, task: faststart::task(path) }) {
                Ok(()) => {
                    if let Some(recording) = self.recordings.find_mut(file.owner) {
                        recording.files.insert(file.number, kept);
                    }
                    return;
                }
                Err(e) => warn!("{} stays in fragments: {e}", kept.path.display()),
            }
        }
        self.complete(file.owner, &kept.path, kept.duration_us, kept.bytes);
    }

    /// A file has been rewritten, or stays as it was.
    pub(super) fn on_faststart(&mut self, file: FileId, outcome: Outcome) {
        let Some(recording) = self.recordings.find_mut(file.owner) else { return };
        let Some(kept) = recording.files.remove(&file.number) else { return };
        let rewritten = match outcome {
            Outcome::Ran(answer) => answer.downcast::<faststart::Rewritten>().ok(),
            _ => None,
        };
        let bytes = match rewritten.as_deref() {
            Some(Ok(bytes)) => *bytes,
            Some(Err(e)) => {
                warn!("{} stays in fragments: {e}", kept.path.display());
                kept.bytes
            }
            None => kept.bytes,
        };
        self.complete(file.owner, &kept.path, kept.duration_us, bytes);
        self.drain_dvr(file.owner);
    }

    fn complete(&mut self, id: u32, path: &Path, duration_us: i64, bytes: u64) {
        info!("recorded {}: {} ms, {bytes} bytes", path.display(), duration_us / 1000);
        self.tell_dvr(id, path, DvrNews::Closed { duration_us, bytes });
        self.make_room(id);
    }

    /// Has the recordings removed that are too old, or too much. One look at a time is enough for all who
    /// write to the same place.
    fn make_room(&mut self, id: u32) {
        let Some(recording) = self.recordings.find(id) else { return };
        let (max_age, max_bytes) = (recording.settings.max_age, recording.settings.max_bytes);
        if max_age.is_zero() && max_bytes == 0 {
            return;
        }
        let purpose = Purpose::Room(self.entropy.hash_one(&recording.settings.path));
        if self.jobs.iter().any(|(_, other)| *other == purpose) {
            return;
        }
        let names = Names::of_all(&recording.settings.path);
        if matches!(names.root(), "." | "/") {
            // Whatever lies there might look like a recording.
            warn!("dvr_max_age and dvr_max_bytes need a dvr_path that begins with a folder");
            return;
        }
        let quota = Quota {
            folder: PathBuf::from(names.root()),
            is_ours: Box::new(move |name| names.find(name).is_some()),
            max_age: (!max_age.is_zero()).then_some(max_age),
            max_bytes: (max_bytes > 0).then_some(max_bytes),
        };
        if let Err(e) = self.submit(purpose, |id| Job::Prune { id, quota }) {
            warn!("making room for recordings: {e}");
        }
    }

    /// What a recorder asks for: the disk's job, if it is one.
    fn job_of(&mut self, now: Time, id: u32, output: Output) -> Option<Job> {
        let recording = self.recordings.find_mut(id)?;
        let (number, work) = match output {
            Output::Open { file, path, append } => {
                let path = PathBuf::from(path);
                recording.files.insert(file, Kept { path: path.clone(), ..Kept::default() });
                (file, Work::Open { path, append })
            }
            Output::Write { file, bytes } => (file, Work::Append(bytes)),
            Output::Patch { file, offset, bytes } => (file, Work::Patch { offset, bytes }),
            Output::Close { file, duration_us, faststart, .. } => {
                if let Some(kept) = recording.files.get_mut(&file) {
                    (kept.duration_us, kept.faststart) = (duration_us, faststart);
                }
                (file, Work::Close)
            }
            Output::Dropped { frames } => {
                let (name, place) = (&recording.name, recording.place.name());
                warn!("recording {name}: {place} is too slow, {frames} frames are left out");
                self.tell_dvr(id, Path::new(""), DvrNews::Dropped(frames));
                return None;
            }
            Output::Refused(why) => {
                warn!("recording {}: {why}", recording.name);
                self.tell_dvr(id, Path::new(""), DvrNews::Failed(why.to_string()));
                return None;
            }
        };
        match &mut recording.place {
            Place::Disk { .. } => Some(work.for_disk(FileId { owner: id, number })),
            Place::Host(files) => {
                // What is left of a file that has failed is passed over.
                if let Some(kept) = recording.files.get_mut(&number) {
                    files.put(now, work.for_host(number, kept));
                }
                None
            }
        }
    }

    fn tell_dvr(&mut self, recorder: u32, path: &Path, news: DvrNews) {
        let Some(recording) = self.recordings.find(recorder) else { return };
        let (name, path) = (recording.name.clone(), path.to_string_lossy().into_owned());
        let stream = match recording.owner {
            Owner::Host { fed: true } => 0,
            _ => self.hub.find(&name).unwrap_or(0),
        };
        self.tell(Event::Recording { recorder, stream, name, path, news });
    }

    fn add_recorder(
        &mut self,
        name: &Name,
        settings: &Arc<Settings>,
        owner: Owner,
        place: Place,
    ) -> Result<u32> {
        if self.recordings.len() >= RECORDERS_MAX {
            return Err(Error::new(Code::Limit, format!("more than {RECORDERS_MAX} recorders")));
        }
        let is_mp4 = settings.path.ends_with(".mp4");
        if settings.timeshift && (!is_mp4 || !settings.path.contains("[stream]")) {
            warn!("{name}: dvr_timeshift needs MP4 files, with [stream] in their dvr_path");
        } else if settings.timeshift && settings.faststart {
            warn!("{name}: with dvr_timeshift files stay in fragments, whatever dvr_faststart says");
        }
        let recorder = Recorder::new(options(name, settings));
        let id = self.recordings.insert_with(|_| Recording {
            name: name.clone(),
            recorder,
            settings: settings.clone(),
            owner,
            live: false,
            files: HashMap::new(),
            place,
            armed: None,
        });
        id.ok_or_else(|| Error::new(Code::Limit, "too many recorders"))
    }
}

fn options(name: &Name, settings: &Settings) -> Options {
    let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Options {
        path: settings.path.clone(),
        vhost: name.vhost.clone(),
        app: name.app.clone(),
        stream: name.stream.clone(),
        plan: match settings.plan {
            DvrPlan::Session => Plan::Session,
            DvrPlan::Segment => Plan::Segment,
            DvrPlan::Append => Plan::Append,
        },
        duration_us: us(settings.duration),
        wait_keyframe: settings.wait_keyframe,
        jitter: match settings.time_jitter {
            TimeJitter::Full => Correction::FULL,
            TimeJitter::Zero => Correction::Zero,
            TimeJitter::Off => Correction::Off,
        },
        faststart: settings.faststart && !settings.timeshift,
        keyframe_index: settings.index,
        on_demand: !settings.autostart,
        preroll_us: us(settings.preroll),
        preroll_bytes: settings.preroll_bytes,
        fragment_us: us(settings.fragment),
        keep_us: u64::try_from(settings.keep.as_micros()).unwrap_or(u64::MAX),
    }
}

fn gone() -> Error {
    Error::new(Code::NotFound, "the recorder has ended")
}
