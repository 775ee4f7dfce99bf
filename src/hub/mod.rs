//! Streams: who publishes each, who plays it, what it keeps, and when its players are due.
//!
//! The hub knows frames and names. It knows no container and no socket: a client is a number that the
//! engine gives, a format's wire images lie in [`Lane`](crate::media::Lane)s that the engine fills.

mod player;
mod rate;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::{OnConflict, Vhost};
use crate::table::Table;
use crate::time::Time;

pub use player::{Player, Step};
pub use rate::{Flow, Held, Offered, RATE_MIN, RateHint, RateOptions, SAMPLE_EVERY, Sample};
pub use stream::{LaneKey, Stream, Totals};

/// A stream's name: three parts, as RTMP has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The vhost that was resolved, `__defaultVhost__` where none was named.
    pub vhost: String,
    /// The application, of one or several levels.
    pub app: String,
    /// The stream.
    pub stream: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.vhost, self.app, self.stream)
    }
}

/// Who publishes a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A connection, and the message stream in it.
    Client(u32, u32),
    /// An encoder of the host's.
    Encoder(u32),
    /// A virtual live.
    Ingest(u32),
}

/// A publisher has been let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The stream.
    pub stream: u32,
    /// The publisher that it takes the place of; it is to be closed.
    pub replaced: Option<Source>,
}

/// Why a publisher is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The stream is being published, and `on_conflict` is `refuse`.
    Busy,
    /// There are as many streams as ids.
    Full,
}

/// All streams.
#[derive(Debug, Default)]
pub struct Hub {
    streams: Table<Stream>,
    names: HashMap<Name, u32>,
}

impl Hub {
    /// Lets `source` publish `name`, by the vhost's rule for a name that is being published.
    pub fn publish(
        &mut self,
        now: Time,
        name: &Name,
        settings: &Arc<Vhost>,
        source: Source,
    ) -> Result<Published, Refused> {
        let id = self.open(now, name, settings).ok_or(Refused::Full)?;
        let stream = self.streams.find_mut(id).ok_or(Refused::Full)?;
        let replaced = stream.publisher();
        if replaced.is_some() && settings.publish.on_conflict == OnConflict::Refuse {
            return Err(Refused::Busy);
        }
        stream.begin(now, source, settings);
        Ok(Published { stream: id, replaced })
    }

    /// `source` no longer publishes. `false` if it wasn't the one: it had been replaced, or ended.
    pub fn unpublish(&mut self, now: Time, stream: u32, source: Source) -> bool {
        let Some(found) = self.streams.find_mut(stream) else { return false };
        if found.publisher() != Some(source) {
            return false;
        }
        found.end(now);
        self.close_if_unused(stream);
        true
    }

    /// Adds a player, who may wait for a publisher. `None` when there are as many streams as ids.
    pub fn play(
        &mut self,
        now: Time,
        name: &Name,
        settings: &Arc<Vhost>,
        client: u32,
    ) -> Option<(u32, Player)> {
        self.join(now, name, settings, client, false)
    }

    /// Adds a player that is a server which the stream is sent on to: nobody who watches.
    pub fn push(
        &mut self,
        now: Time,
        name: &Name,
        settings: &Arc<Vhost>,
        client: u32,
    ) -> Option<(u32, Player)> {
        self.join(now, name, settings, client, true)
    }

    /// Takes a player out that [`Hub::play`] has added.
    pub fn stop(&mut self, now: Time, stream: u32, client: u32) {
        self.leave(now, stream, client, false);
    }

    /// Takes a player out that [`Hub::push`] has added.
    pub fn stop_push(&mut self, now: Time, stream: u32, client: u32) {
        self.leave(now, stream, client, true);
    }

    /// The stream `id`.
    pub fn stream(&self, id: u32) -> Option<&Stream> {
        self.streams.find(id)
    }

    /// The stream `id`, to change.
    pub fn stream_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.find_mut(id)
    }

    /// The stream of that name.
    pub fn find(&self, name: &Name) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// All streams with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Stream)> {
        self.streams.iter()
    }

    /// All ids.
    pub fn ids(&self) -> Vec<u32> {
        self.streams.ids()
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Gives every stream its vhost's new settings.
    pub fn reload(&mut self, vhost: impl Fn(&str) -> Option<Arc<Vhost>>) {
        for id in self.streams.ids() {
            if let Some(stream) = self.streams.find_mut(id)
                && let Some(settings) = vhost(&stream.name().vhost)
            {
                stream.configure(&settings);
            }
        }
    }

    fn join(
        &mut self,
        now: Time,
        name: &Name,
        settings: &Arc<Vhost>,
        client: u32,
        is_push: bool,
    ) -> Option<(u32, Player)> {
        let id = self.open(now, name, settings)?;
        let player = self.streams.find_mut(id)?.join(client, is_push);
        Some((id, player))
    }

    fn leave(&mut self, now: Time, stream: u32, client: u32, is_push: bool) {
        if let Some(found) = self.streams.find_mut(stream) {
            found.leave(now, client, is_push);
            self.close_if_unused(stream);
        }
    }

    fn open(&mut self, now: Time, name: &Name, settings: &Arc<Vhost>) -> Option<u32> {
        if let Some(id) = self.names.get(name) {
            return Some(*id);
        }
        let id = self.streams.insert_with(|_| Stream::new(now, name.clone(), settings))?;
        self.names.insert(name.clone(), id);
        Some(id)
    }

    /// Taps a stream, or no longer.
    pub fn tap(&mut self, id: u32, tapped: bool) {
        if let Some(stream) = self.streams.find_mut(id) {
            stream.tap(tapped);
            self.close_if_unused(id);
        }
    }

    fn close_if_unused(&mut self, id: u32) {
        let unused = self
            .streams
            .find(id)
            .is_some_and(|s| s.publisher().is_none() && s.players().is_empty() && !s.is_tapped());
        if unused {
            if let Some(stream) = self.streams.remove(id) {
                self.names.remove(stream.name());
            }
            self.streams.shrink();
        }
    }
}
