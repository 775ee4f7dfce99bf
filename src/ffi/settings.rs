//! Numbers of a config struct, held to the configuration's own table: its defaults, units and ranges.

use std::sync::Arc;

use crate::config::table::DEFAULT_VHOST;
use crate::config::{Config, Settings, Vhost};
use crate::error::{Code, Error, Result};

/// One block of a vhost, filled from a struct. A number that is 0 leaves the default.
pub(super) struct Values {
    config: Config,
    block: &'static str,
}

impl Values {
    /// A block that is turned on.
    pub(super) fn new(block: &'static str) -> Result<Self> {
        let mut values = Self { config: Config::new(), block };
        values.set("enabled", "enabled", "on")?;
        Ok(values)
    }

    /// Milliseconds of a directive in seconds.
    pub(super) fn ms(&mut self, field: &str, directive: &str, ms: u32) -> Result<()> {
        if ms == 0 {
            return Ok(());
        }
        self.set(field, directive, &format!("{}.{:03}", ms / 1000, ms % 1000))
    }

    /// A count in the directive's own unit.
    pub(super) fn number(&mut self, field: &str, directive: &str, number: u64) -> Result<()> {
        if number == 0 {
            return Ok(());
        }
        self.set(field, directive, &number.to_string())
    }

    /// One word. `field` is its name in the struct.
    pub(super) fn set(&mut self, field: &str, directive: &str, word: &str) -> Result<()> {
        let path = format!("vhost/{DEFAULT_VHOST}/{}/{directive}", self.block);
        let wrong = |e: Error| Error::new(Code::InvalidArgument, format!("{field}: {}", e.message()));
        self.config.set(&path, word).map(|_| ()).map_err(wrong)
    }

    /// What it means.
    pub(super) fn read(&self) -> Result<Arc<Vhost>> {
        let (settings, _) = Settings::from_config(&self.config)?;
        let vhost = settings.vhost(DEFAULT_VHOST).cloned();
        vhost.ok_or_else(|| Error::new(Code::Config, "the vhost is turned off"))
    }
}
