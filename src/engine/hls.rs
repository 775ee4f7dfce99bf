//! HLS of streams: a writer for each, and where goes what it makes.
//!
//! Segments stay in memory, where the web server or the host takes them; or they are written to a folder
//! by the disk's thread; or the host is told of each file.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use log::{info, warn};
use smallvec::SmallVec;

use super::disk::{Job, Outcome};
use super::jobs::Purpose;
use super::timers::Alarm;
use super::{Engine, Event};
use crate::config::{Hls as Settings, OnError, Vhost};
use crate::error::{Code, Error, Result};
use crate::fmp4;
use crate::hls::{Answer, Format, Keys, Options, Output, Reload, Writer};
use crate::hub::{Name, Source, Stream};
use crate::media::{Codec, Frame, Headers};
use crate::time::Time;

/// Writers at most.
const WRITERS_MAX: usize = 4096;

/// The HLS of one stream.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) name: Name,
    pub(super) writer: Writer,
    pub(super) settings: Arc<Settings>,
    owner: Owner,
    /// A publish goes on.
    pub(super) live: bool,
    /// When the last publish ended.
    ended: Time,
    /// Why there is no playlist, or not of all tracks.
    pub(super) trouble: Option<String>,
    /// What the disk's thread has been handed and not done yet, in its order: the files to be written, whose
    /// names a playlist may have told already, and those to be removed.
    pending: VecDeque<(String, Option<Bytes>)>,
    /// No track of this publish can be carried.
    pub(super) refused: bool,
    /// Bytes of files that the host has not taken out of the queue of events.
    untold: usize,
    #[cfg(feature = "http")]
    pub(super) waiting: Vec<super::web::hls::Waiting>,
}

impl Segments {
    fn format(&self) -> &'static str {
        if self.settings.fmp4 { "fragmented MP4" } else { "MPEG-TS" }
    }

    /// What to do about a codec that is left out.
    fn instead(&self, codec: Codec) -> &'static str {
        if !self.settings.fmp4 && fmp4::carries(codec) {
            ", fragmented MP4 can (hls_use_fmp4 on)"
        } else {
            ""
        }
    }
}

/// Whose a writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The vhost's `hls` has it made.
    Vhost,
    /// The host has; with the stream's frames or its own, and told of files or not.
    Host { fed: bool, told: bool },
}

/// What the host wants of a writer of its own.
#[derive(Debug, Clone)]
pub struct HlsOptions {
    /// The stream that it is made of, whenever that is published; `None`: the host gives it frames.
    pub stream: Option<Name>,
    /// As in the configuration; `path` is a folder, or empty for memory.
    pub settings: Settings,
    /// Whether the host is told of each file ([`Event::HlsFile`]).
    pub told: bool,
}

impl Engine {
    /// Has HLS made of a stream, or of the host's frames. Answers the writer's id.
    pub fn hls_open(&mut self, options: HlsOptions) -> Result<u32> {
        let fed = options.stream.is_none();
        let name = options.stream.unwrap_or_else(|| Name {
            vhost: crate::config::table::DEFAULT_VHOST.into(),
            app: "live".into(),
            stream: "livestream".into(),
        });
        let owner = Owner::Host { fed, told: options.told };
        let id = self.add_writer(&name, &Arc::new(options.settings), owner)?;
        let now = self.now();
        if fed {
            if let Some(segments) = self.segments.find_mut(id) {
                segments.live = true;
                segments.writer.begin(&Headers::default());
            }
        } else if let Some(stream) = self.hub.find(&name) {
            self.set_taps(now, stream);
        }
        Ok(id)
    }

    /// Gives a writer that isn't made of a stream its next frames. [`Code::Again`] while the host has left more
    /// than the settings' `max_bytes` of what it is told in the queue: then nothing was taken.
    pub fn hls_write(&mut self, id: u32, frames: &[Frame]) -> Result<()> {
        let when = super::sys::calendar(self.settings.utc_time);
        let segments = self.segments.find_mut(id).ok_or_else(gone)?;
        if !matches!(segments.owner, Owner::Host { fed: true, .. }) {
            return Err(Error::new(Code::State, "this writer is made of a stream"));
        }
        if segments.untold > segments.settings.max_bytes {
            return Err(Error::new(Code::Again, "finished files wait for a poll to hand them over"));
        }
        frames.iter().for_each(|frame| segments.writer.write(&when, frame));
        let now = self.now();
        self.drain_hls(now, id);
        Ok(())
    }

    /// What a request for a file of a writer's is to be answered with: `name` as it stands in the playlist,
    /// or the playlist's own, with the URL's query.
    pub fn hls_get(&self, id: u32, name: &str, query: &str) -> Result<Answer> {
        let segments = self.segments.find(id).ok_or_else(gone)?;
        if name.is_empty() || name == segments.writer.playlist_name() {
            let Some(reload) = Reload::parse(query) else { return Ok(Answer::BadRequest) };
            return Ok(segments.writer.playlist(&reload, None));
        }
        Ok(segments.file(name))
    }

    /// Ends a writer of the host's: the last segment ends, the playlist says that it is over, and then all of
    /// it is given up, files in a folder aside. [`Event::HlsEnded`] is the last that is told of it.
    pub fn hls_close(&mut self, id: u32) -> Result<()> {
        let now = self.now();
        let segments = self.segments.find_mut(id).ok_or_else(gone)?;
        if segments.owner == Owner::Vhost {
            return Err(Error::new(Code::State, "this writer is the configuration's"));
        }
        segments.writer.finish();
        let name = segments.name.clone();
        self.drain_hls(now, id);
        self.drop_writer(id);
        if let Some(stream) = self.hub.find(&name) {
            self.set_taps(now, stream);
        }
        Ok(())
    }

    /// The writers that a stream is to be read by: its vhost's, which is made if it isn't there, and the
    /// host's.
    pub(super) fn hls_of(&mut self, name: &Name, vhost: &Vhost) -> SmallVec<[u32; 1]> {
        if let Some(settings) = &vhost.hls
            && !self.segments.iter().any(|(_, s)| s.owner == Owner::Vhost && s.name == *name)
            && let Err(e) = self.add_writer(name, settings, Owner::Vhost)
        {
            warn!("no HLS of {name}: {e}");
        }
        let reads = |s: &Segments| s.name == *name && !matches!(s.owner, Owner::Host { fed: true, .. });
        self.segments.iter().filter(|(_, s)| reads(s)).map(|(id, _)| id).collect()
    }

    /// A writer is to read a stream from now on, which has these headers.
    pub(super) fn begin_hls(&mut self, id: u32, headers: &Headers) {
        if let Some(segments) = self.segments.find_mut(id) {
            segments.live = true;
            segments.trouble = None;
            segments.refused = false;
            segments.writer.begin(headers);
        }
    }

    /// The stream has ended.
    pub(super) fn end_hls(&mut self, now: Time, id: u32) {
        let Some(segments) = self.segments.find_mut(id) else { return };
        segments.live = false;
        segments.ended = now;
        segments.writer.end();
        let dispose = segments.settings.dispose;
        if !dispose.is_zero() {
            self.timers.set(now + dispose, Alarm::Hls(id));
        }
        self.drain_hls(now, id);
    }

    /// A stream has not come back, or requests have waited for too long.
    pub(super) fn on_hls_alarm(&mut self, now: Time, id: u32) {
        #[cfg(feature = "http")]
        self.answer_waiting(now, id);
        let Some(segments) = self.segments.find_mut(id) else { return };
        let dispose = segments.settings.dispose;
        let over = !segments.live && !dispose.is_zero() && segments.ended + dispose <= now;
        if !over || matches!(segments.owner, Owner::Host { fed: true, .. }) {
            return;
        }
        info!("HLS of {} is given up after {} ms without its stream", segments.name, dispose.as_millis());
        segments.writer.dispose();
        let is_ours = segments.owner == Owner::Vhost;
        self.drain_hls(now, id);
        if is_ours {
            self.drop_writer(id);
        }
    }

    /// Settings have changed: writers of vhosts that ask for something else end.
    pub(super) fn configure_hls(&mut self, now: Time) {
        for id in self.segments.ids() {
            let Some(segments) = self.segments.find_mut(id).filter(|s| s.owner == Owner::Vhost) else {
                continue;
            };
            let vhost = self.settings.vhost(&segments.name.vhost);
            if vhost.and_then(|vhost| vhost.hls.as_ref()) == Some(&segments.settings) {
                continue;
            }
            segments.writer.dispose();
            self.drain_hls(now, id);
            self.drop_writer(id);
        }
    }

    /// Takes out what a writer has made.
    pub(super) fn drain_hls(&mut self, now: Time, id: u32) {
        while let Some(segments) = self.segments.find_mut(id) {
            let Some(output) = segments.writer.poll_output() else { break };
            match output {
                Output::Init { name, bytes } => self.keep_hls(now, id, HlsFile::Init, name, bytes, 0),
                Output::Key { name, bytes } => {
                    self.keep_hls(now, id, HlsFile::Key, name, Bytes::copy_from_slice(&bytes), 0);
                }
                Output::Part { name, bytes } => self.keep_hls(now, id, HlsFile::Part, name, bytes, 0),
                Output::Segment(closed) => {
                    let duration_us = closed.duration_us;
                    self.keep_hls(now, id, HlsFile::Segment, closed.name, closed.bytes, duration_us);
                }
                Output::Playlist { name, text } => {
                    self.keep_hls(now, id, HlsFile::Playlist, name, text, 0);
                }
                Output::Expired { name } => self.expire_hls(now, id, name),
                Output::LeftOut { codec } => {
                    let (format, instead) = (segments.format(), segments.instead(codec));
                    let why = format!(
                        "HLS of {} is without {codec}: {format} can't carry it{instead}",
                        segments.name
                    );
                    warn!("{why}");
                    segments.trouble = Some(why);
                }
                Output::Refused { codec } => {
                    let (format, instead) = (segments.format(), segments.instead(codec));
                    let why = format!("no HLS of {}: {format} can't carry {codec}{instead}", segments.name);
                    warn!("{why}");
                    segments.trouble = Some(why);
                    segments.refused = true;
                }
            }
        }
        #[cfg(feature = "http")]
        self.answer_waiting(now, id);
    }

    /// A file of a writer's could not be written.
    pub(super) fn hls_failed(&mut self, now: Time, id: u32, why: &str) {
        let Some(segments) = self.segments.find_mut(id) else { return };
        let (name, on_error) = (segments.name.clone(), segments.settings.on_error);
        warn!("HLS of {name}: {why}");
        segments.trouble = Some(format!("HLS of {name}: {why}"));
        match on_error {
            OnError::Continue => {}
            OnError::Ignore => {
                info!("HLS of {name} ends (hls_on_error ignore)");
                segments.writer.dispose();
                self.drain_hls(now, id);
                self.drop_writer(id);
            }
            OnError::Disconnect => {
                let stream = self.hub.find(&name).and_then(|sid| self.hub.stream(sid));
                if let Some(Source::Client(client, _)) = stream.and_then(Stream::publisher) {
                    self.doom(client, "its HLS can't be written (hls_on_error disconnect)");
                }
            }
        }
    }

    /// What keeps a stream from being carried whole, by its name.
    pub fn hls_trouble(&self, name: &Name) -> Option<&str> {
        let found = self.segments.iter().find(|(_, s)| s.name == *name && s.trouble.is_some());
        found.and_then(|(_, segments)| segments.trouble.as_deref())
    }

    fn keep_hls(&mut self, now: Time, id: u32, kind: HlsFile, name: String, bytes: Bytes, duration_us: i64) {
        let Some(segments) = self.segments.find_mut(id) else { return };
        let settings = segments.settings.clone();
        if let Owner::Host { told: true, .. } = segments.owner {
            segments.untold = segments.untold.saturating_add(bytes.len());
            self.tell(Event::HlsFile {
                hls: id,
                kind,
                name: name.clone(),
                bytes: bytes.clone(),
                duration_us,
            });
        }
        // Parts are for those who wait: they are asked for before a disk would have them.
        if kind == HlsFile::Part || settings.path.is_empty() {
            return;
        }
        let path = folder(&settings, kind).join(&name);
        self.submit_hls(now, id, name, Some(bytes.clone()), |id| Job::Replace { id, path, bytes });
    }

    /// Hands a job of a writer's to the disk.
    fn submit_hls(
        &mut self,
        now: Time,
        id: u32,
        name: String,
        bytes: Option<Bytes>,
        make: impl FnOnce(u32) -> Job,
    ) {
        match self.submit(Purpose::Hls(id), make) {
            Ok(()) => {
                if let Some(segments) = self.segments.find_mut(id) {
                    segments.pending.push_back((name, bytes));
                }
            }
            Err(e) => self.hls_failed(now, id, &format!("{name}: {e}")),
        }
    }

    /// The disk has done the first of a writer's jobs, or failed.
    pub(super) fn hls_done(&mut self, now: Time, id: u32, outcome: &Outcome) {
        if let Some(segments) = self.segments.find_mut(id) {
            segments.pending.pop_front();
        }
        if let Outcome::Failed(e) = outcome {
            self.hls_failed(now, id, &e.to_string());
        }
    }

    fn expire_hls(&mut self, now: Time, id: u32, name: String) {
        let Some(segments) = self.segments.find_mut(id) else { return };
        let settings = segments.settings.clone();
        if let Owner::Host { told: true, .. } = segments.owner {
            self.tell(Event::HlsGone { hls: id, name: name.clone() });
        }
        if settings.path.is_empty() || !settings.cleanup {
            return;
        }
        let is_key = settings.keys.is_some() && name.ends_with(".key");
        let path = folder(&settings, if is_key { HlsFile::Key } else { HlsFile::Segment }).join(&name);
        self.submit_hls(now, id, name, None, |id| Job::Remove { id, path });
    }

    fn add_writer(&mut self, name: &Name, settings: &Arc<Settings>, owner: Owner) -> Result<u32> {
        if self.segments.len() >= WRITERS_MAX {
            return Err(Error::new(Code::Limit, format!("more than {WRITERS_MAX} HLS writers")));
        }
        let options = options(name, settings)?;
        let mut writer =
            Writer::new(options).map_err(|e| Error::new(Code::Config, format!("HLS of {name}: {e}")))?;
        if settings.recover && !settings.path.is_empty() {
            // A small file, read once when a stream begins.
            let path = PathBuf::from(&settings.path).join(writer.playlist_name());
            if let Ok(text) = std::fs::read_to_string(path) {
                writer.recover(&text);
            }
        }
        let id = self.segments.insert_with(|_| Segments {
            name: name.clone(),
            writer,
            settings: settings.clone(),
            owner,
            live: false,
            ended: Time::ZERO,
            trouble: None,
            pending: VecDeque::new(),
            refused: false,
            untold: 0,
            #[cfg(feature = "http")]
            waiting: Vec::new(),
        });
        id.ok_or_else(|| Error::new(Code::Limit, "too many HLS writers"))
    }

    /// A stream that nobody watches is no longer fetched: without anything to show its writer goes.
    pub(super) fn drop_idle_writer(&mut self, name: &Name) {
        let is_idle = |s: &Segments| {
            s.name == *name && s.owner == Owner::Vhost && !s.live && s.writer.target_duration().is_none()
        };
        let idle = self.segments.iter().find(|(_, s)| is_idle(s)).map(|(id, _)| id);
        if let Some(id) = idle {
            self.drop_writer(id);
        }
    }

    fn drop_writer(&mut self, id: u32) {
        #[cfg(feature = "http")]
        self.refuse_waiting(id);
        let dropped = self.segments.remove(id);
        if dropped.is_some_and(|segments| segments.owner != Owner::Vhost) {
            self.tell(Event::HlsEnded { hls: id });
        }
    }

    /// The host has taken a file out of the queue of events.
    pub(super) fn hls_told(&mut self, id: u32, bytes: usize) {
        if let Some(segments) = self.segments.find_mut(id) {
            segments.untold = segments.untold.saturating_sub(bytes);
        }
    }
}

/// What a file of HLS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HlsFile {
    /// A playlist.
    Playlist,
    /// A segment.
    Segment,
    /// A part of a segment (low latency).
    Part,
    /// The header of fMP4 segments.
    Init,
    /// A key.
    Key,
}

impl Segments {
    /// The answer to a request for a file: also for one that the disk has not written yet.
    pub(super) fn file(&self, name: &str) -> Answer {
        let answer = self.writer.file(name);
        let on_its_way = || self.pending.iter().rev().find(|(file, _)| file == name)?.1.clone();
        match answer {
            Answer::Absent => on_its_way().map_or(Answer::Absent, Answer::Ready),
            answer => answer,
        }
    }

    /// Whether the web server answers for it.
    #[cfg(feature = "http")]
    pub(super) fn is_served(&self) -> bool {
        self.owner == Owner::Vhost
    }

    /// How long a request may wait (rfc8216bis, 6.2.5.2).
    #[cfg(feature = "http")]
    pub(super) fn patience(&self) -> Duration {
        let target =
            self.writer.target_duration().map_or(Duration::from_secs(3), |s| Duration::from_secs(s.into()));
        target * 3
    }
}

/// The folder that a file goes to.
fn folder(settings: &Settings, kind: HlsFile) -> PathBuf {
    match &settings.keys {
        Some(keys) if kind == HlsFile::Key => PathBuf::from(&keys.path),
        _ => PathBuf::from(&settings.path),
    }
}

fn options(name: &Name, settings: &Settings) -> Result<Options> {
    let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let keys = match &settings.keys {
        None => None,
        Some(keys) => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed)
                .map_err(|e| Error::new(Code::Io, format!("random bytes for keys: {e}")))?;
            let (url, file) = (keys.url.clone(), keys.file.clone());
            Some(Keys { seed, fragments_per_key: keys.fragments_per_key, url, file })
        }
    };
    Ok(Options {
        format: if settings.fmp4 { Format::Fmp4 } else { Format::Ts },
        fragment_us: us(settings.fragment),
        window_us: us(settings.window),
        td_ratio: settings.td_ratio,
        aof_ratio: settings.aof_ratio,
        wait_keyframe: settings.wait_keyframe,
        ts_floor: settings.ts_floor,
        part_us: settings.part.map(us),
        keys,
        entry_prefix: settings.entry_prefix.clone(),
        playlist: settings.m3u8_file.clone(),
        segment: if settings.fmp4 { settings.fmp4_file.clone() } else { settings.ts_file.clone() },
        init: settings.init_file.clone(),
        vhost: name.vhost.clone(),
        app: name.app.clone(),
        stream: name.stream.clone(),
        video: !settings.no_video,
        audio: !settings.no_audio,
        dts_directly: settings.dts_directly,
        keep_bytes: settings.path.is_empty() || settings.part.is_some(),
        max_bytes: settings.max_bytes,
    })
}

fn gone() -> Error {
    Error::new(Code::NotFound, "the HLS writer has ended")
}
