//! A virtual live: files played in real time as a stream, over and over.

mod files;
#[cfg(any(feature = "http", feature = "hls"))]
mod merge;
mod reader;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::config::Ingest as Settings;
use crate::media::Frame;
use crate::time::Time;

use files::{FileError, Files};

/// How long after a failure the file is tried again (SRS's ingest does so every 3 s).
pub(super) const RETRY: Duration = Duration::from_secs(3);

/// One virtual live, open or waiting to try again.
#[derive(Debug)]
pub(super) struct Ingest {
    pub(super) settings: Settings,
    pub(super) stream: Option<u32>,
    files: Option<Files>,
}

impl Ingest {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, stream: None, files: None }
    }

    /// Opens the file and finds its first frame.
    pub(super) fn open(&mut self, now: Time) -> Result<(), FileError> {
        self.files = Some(Files::open(now, std::slice::from_ref(&self.settings.url), true)?);
        Ok(())
    }

    /// Closes the file.
    pub(super) fn close(&mut self) {
        self.files = None;
    }

    pub(super) fn is_open(&self) -> bool {
        self.files.as_ref().is_some_and(|files| !files.is_ended())
    }

    /// When the next frame is due.
    pub(super) fn due(&self) -> Option<Time> {
        self.files.as_ref()?.due()
    }

    /// The next frame, if it is due. After an error the file is to be closed.
    pub(super) fn poll(&mut self, now: Time) -> Result<Option<Frame>, FileError> {
        self.files.as_mut().map_or(Ok(None), |files| files.poll(now))
    }

    /// What was wrong with the file though it is played.
    pub(super) fn take_warning(&mut self) -> Option<String> {
        self.files.as_mut()?.take_warning()
    }
}
