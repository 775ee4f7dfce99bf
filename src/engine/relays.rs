//! What ingests and forwards have in common for those who ask: their state, and what is told of it.

use std::time::Duration;

use log::Level;

use super::Engine;
use crate::hub::Name;
use crate::time::Time;

/// Which way a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is pulled in.
    Ingest,
    /// It is sent on.
    Forward,
}

/// What an ingest or a forward does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// It waits: a forward for its stream to be published, an ingest for somebody who watches.
    Idle,
    /// It is on its way: a name is looked up, a connection made, a stream asked for.
    Connecting,
    /// Media flows.
    Running,
    /// It has failed and is tried again.
    Waiting,
    /// It has given up, or is over.
    Ended,
}

/// A state has been entered; or a forward, which goes on, has left frames out or stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayNews {
    /// Which way.
    pub direction: Direction,
    /// The ingest's or forward's id: no forward has an ingest's.
    pub id: u32,
    /// The stream's id, 0 while there is none.
    pub stream: u32,
    /// The stream here.
    pub name: Name,
    /// Where it comes from or goes to, without password and parameters.
    pub url: String,
    /// What it does now.
    pub state: RelayState,
    /// Why, where it has failed or the peer is too slow; the peer's own words where it has said some.
    pub reason: String,
    /// When it is tried again, from now; zero if it isn't.
    pub next: Duration,
}

/// One ingest or forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayInfo {
    /// Which way.
    pub direction: Direction,
    /// Its id.
    pub id: u32,
    /// The stream's id, 0 while there is none.
    pub stream: u32,
    /// The stream here.
    pub name: Name,
    /// Where it comes from or goes to, without password and parameters.
    pub url: String,
    /// What it does now.
    pub state: RelayState,
    /// What it failed of last.
    pub reason: String,
    /// When it is tried again, from now; zero if it isn't.
    pub next: Duration,
    /// Failures in a row.
    pub failures: u32,
    /// How often media has begun to flow.
    pub starts: u32,
    /// Bytes sent or received, over all its connections.
    pub bytes: u64,
    /// How often the peer fell behind, so that frames up to the next keyframe were left out.
    pub skips: u32,
    /// How long media has been flowing.
    pub running: Duration,
}

impl Engine {
    /// All ingests and forwards.
    pub fn relays(&self) -> Vec<RelayInfo> {
        self.relay_ids().into_iter().filter_map(|id| self.relay(id)).collect()
    }

    /// Their ids.
    pub fn relay_ids(&self) -> Vec<u32> {
        let ids = self.ingests.iter().filter(|(_, ingest)| !ingest.is_of_player()).map(|(id, _)| id);
        ids.chain(self.forwards.iter().map(|(id, _)| id)).collect()
    }

    /// One of them.
    pub fn relay(&self, id: u32) -> Option<RelayInfo> {
        let now = self.now();
        match self.ingests.find(id) {
            Some(ingest) => Some(ingest.info(now, id, self)).filter(|_| !ingest.is_of_player()),
            None => self.forwards.find(id).map(|forward| forward.info(now, id, self)),
        }
    }
}

/// How a failure is told in the log, `failures` being how many there have been in a row: one that ends what `ran`,
/// and else the first, second, fourth, eighth and so on. What is down for days doesn't fill the log.
pub(super) fn level_of(failures: u32, ran: bool) -> Level {
    if ran || failures.is_power_of_two() { Level::Warn } else { Level::Debug }
}

/// How long it is until then.
pub(super) fn until(now: Time, at: Option<Time>) -> Duration {
    at.map_or(Duration::ZERO, |at| at.since(now))
}
