//! The configuration's forwards: there while their stream is published.

use std::time::Duration;

use log::warn;

use super::Forward;
use crate::engine::Engine;
use crate::engine::retry::RetryPolicy;
use crate::hub::Name;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

impl RetryPolicy {
    /// That of what the configuration forwards. SRS waits for 3 s.
    pub(super) fn configured() -> Self {
        Self { longest: Duration::from_secs(3), ..Self::default() }
    }
}

impl Engine {
    /// The settings have changed: forwards that they still have go on, others end, new ones begin.
    pub(in crate::engine) fn configure_forwards(&mut self, now: Time) {
        for stream in self.hub.ids() {
            self.configure_forwards_of(now, stream);
        }
    }

    /// Has a stream, if it is published, sent on to where the settings say.
    pub(super) fn configure_forwards_of(&mut self, now: Time, stream: u32) {
        #[cfg(feature = "http")]
        self.configure_backend(now, stream);
        self.match_forwards(now, stream);
    }

    /// Begins and ends forwards of a stream, so that there are those that the settings and their backend name.
    pub(super) fn match_forwards(&mut self, now: Time, stream: u32) {
        let Some(found) = self.hub.stream(stream).filter(|stream| stream.publisher().is_some()) else {
            return;
        };
        let (name, param) = (found.name().clone(), found.param().to_owned());
        let wanted = self.destinations(&name, &param);
        for id in self.configured_of(&name) {
            if self.forwards.find(id).is_some_and(|forward| !wanted.contains(&forward.url)) {
                self.remove_forward(now, id, true);
            }
        }
        for url in wanted {
            let is_there =
                |forward: &Forward| forward.configured && forward.name == name && forward.url == url;
            if self.forwards.iter().any(|(_, forward)| is_there(forward)) {
                continue;
            }
            let forward = Forward::new(name.clone(), url, RetryPolicy::configured(), true);
            if let Err(e) = self.add_forward(forward) {
                warn!("forward of {name}: {e}");
            }
        }
    }

    /// A stream is published no longer.
    pub(super) fn end_configured(&mut self, now: Time, name: &Name) {
        #[cfg(feature = "http")]
        self.end_backend(now, name);
        self.configured_of(name).into_iter().for_each(|id| self.remove_forward(now, id, true));
    }

    fn configured_of(&self, name: &Name) -> Vec<u32> {
        let own = self.forwards.iter().filter(|(_, forward)| forward.configured && forward.name == *name);
        own.map(|(id, _)| id).collect()
    }

    /// Where the settings have a stream sent on to. Each place stands once.
    fn destinations(&self, name: &Name, param: &str) -> Vec<RtmpUrl> {
        let vhost = self.settings.vhost(&name.vhost);
        let Some(settings) = vhost.and_then(|vhost| vhost.forward.as_ref()) else { return Vec::new() };
        let mut list: Vec<RtmpUrl> = Vec::new();
        for destination in &settings.destinations {
            match RtmpUrl::parse(&destination.url(&name.vhost, &name.app, &name.stream, param)) {
                Ok(url) => list.push(url),
                Err(e) => warn!("forward of {name}: {e}"),
            }
        }
        #[cfg(feature = "http")]
        list.extend(self.answered_by_backend(name));
        let mut once: Vec<RtmpUrl> = Vec::new();
        list.into_iter().for_each(|url| {
            if !once.contains(&url) {
                once.push(url);
            }
        });
        once
    }
}
