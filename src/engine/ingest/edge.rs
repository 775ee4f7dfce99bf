//! The ingests that edges make for their players, and take away with them.

use super::{Ingest, Input};
use crate::config::Edge;
use crate::engine::Engine;
use crate::engine::edge::{LINGER, POLICY};
use crate::error::Result;
use crate::hub::Name;
use crate::time::Time;

impl Engine {
    /// Adds an edge's ingest of a stream that somebody watches.
    pub(in crate::engine) fn add_pull(
        &mut self,
        now: Time,
        name: &Name,
        urls: &[String],
        edge: Edge,
    ) -> Result<()> {
        let input = Input::parse(urls, false)?;
        let mut ingest = Ingest::new(name.clone(), input, Some(LINGER), POLICY);
        ingest.edge = Some(edge);
        let id = self.add_ingest(ingest)?;
        self.start_ingest(now, id);
        Ok(())
    }

    /// Ends an edge's ingest of a stream, if there is one.
    pub(in crate::engine) fn drop_pull(&mut self, now: Time, name: &Name) {
        if let Some(id) = self.ingest_of(name).filter(|_| self.edge_of_pull(name).is_some()) {
            self.remove_ingest(now, id);
        }
    }

    /// The streams that edges fetch.
    pub(in crate::engine) fn pulls(&self) -> Vec<Name> {
        let pulls = self.ingests.iter().filter(|(_, ingest)| ingest.edge.is_some());
        pulls.map(|(_, ingest)| ingest.name.clone()).collect()
    }

    /// The edge that fetches a stream.
    pub(in crate::engine) fn edge_of_pull(&self, name: &Name) -> Option<&Edge> {
        self.ingests.find(self.ingest_of(name)?)?.edge.as_ref()
    }

    pub(in crate::engine) fn has_ingest(&self, name: &Name) -> bool {
        self.ingest_of(name).is_some()
    }

    /// Whether a stream comes when somebody watches it.
    #[cfg(feature = "http")]
    pub(in crate::engine) fn is_on_demand(&self, name: &Name) -> bool {
        let ingest = self.ingest_of(name).and_then(|id| self.ingests.find(id));
        ingest.is_some_and(|ingest| ingest.on_demand.is_some())
    }
}
