//! Telling an encoder which bitrate its stream's connections hold: they are looked at a few times a second while
//! frames go out, and not at all where no encoder wants to know. What it means is [`crate::hub::Flow`]'s affair.

use super::conn::Conn;
use super::outgoing::Owner;
use super::timers::Alarm;
use super::{Engine, Event, sys};
use crate::error::{Code, Error, Result};
use crate::hub::{Flow, Offered, RateHint, RateOptions, SAMPLE_EVERY, Sample, Stream};
use crate::time::Time;

/// What an encoder is told of the rate that is held.
#[derive(Debug)]
pub(super) struct Hint {
    rate: RateHint,
    /// When connections are looked at next, while there are any.
    due: Option<Time>,
}

impl Hint {
    /// Bits per second; 0 where nothing limits.
    pub(super) fn told(&self) -> u32 {
        self.rate.told()
    }
}

impl Engine {
    /// Has an encoder told ([`Event::Rate`]) which bitrate the connections hold that its stream goes out by.
    pub fn hint_rate(&mut self, encoder: u32, options: RateOptions) -> Result<()> {
        let found = self.encoders.find_mut(encoder);
        let found = found.ok_or_else(|| Error::new(Code::NotFound, format!("no encoder {encoder}")))?;
        found.hint = Some(Box::new(Hint { rate: RateHint::new(options), due: None }));
        Ok(())
    }

    /// An encoder has sent frames: from now on its stream's connections are looked at, if there are any.
    pub(super) fn begin_hints(&mut self, now: Time, id: u32) {
        let Some(encoder) = self.encoders.find(id) else { return };
        let is_due = encoder.hint.as_ref().is_some_and(|hint| hint.due.is_none());
        if is_due && self.hub.stream(encoder.stream).is_some_and(|stream| !stream.players().is_empty()) {
            self.look_at_ways(now, id);
        }
    }

    pub(super) fn on_hint_alarm(&mut self, now: Time, id: u32) {
        let hint = self.encoders.find(id).and_then(|encoder| encoder.hint.as_ref());
        if hint.and_then(|hint| hint.due).is_some_and(|due| due <= now) {
            self.look_at_ways(now, id);
        }
    }

    /// Looks at all connections of an encoder's stream, and tells what has changed.
    fn look_at_ways(&mut self, now: Time, id: u32) {
        let Some(encoder) = self.encoders.find_mut(id) else { return };
        let (Some(hint), Some(stream)) = (&mut encoder.hint, self.hub.stream(encoder.stream)) else { return };
        let conns = &mut self.conns;
        let bits = if stream.players().is_empty() {
            hint.due = None;
            hint.rate.clear(now)
        } else {
            let due = now + SAMPLE_EVERY;
            hint.due = Some(due);
            self.timers.set(due, Alarm::Hint(id));
            let offered = hint.rate.offer(now, stream.totals().bytes);
            let forwards_only = hint.rate.forwards_only();
            let held = stream.players().iter().filter_map(|player| {
                let conn = conns.find_mut(*player).filter(|conn| !conn.dead)?;
                let is_forward = matches!(conn.owner, Some(Owner::Forward(_) | Owner::Former(_)));
                if forwards_only && !is_forward {
                    return None;
                }
                Some((is_forward, conn.look_at_way(now, stream, &offered)?.held()))
            });
            hint.rate.settle(now, held)
        };
        if let Some(bits) = bits {
            self.tell(Event::Rate { encoder: id, bits });
        }
    }
}

impl Conn {
    /// Looks at how what it plays goes out. `None` while that is at rest.
    fn look_at_way(&mut self, now: Time, stream: &Stream, offered: &Offered) -> Option<&Flow> {
        let unsent = self.unsent().saturating_add(self.link.unsent());
        let playing = self.play.as_mut()?;
        let figures = sys::tcp_figures(self.link.socket()).ok();
        let Some(figures) = figures.filter(|_| playing.started && !playing.player.is_paused()) else {
            // What was known is old when it goes on.
            playing.flow = None;
            return None;
        };
        let lag = stream.ring().bytes_from(playing.player.cursor()) as u64;
        let sample = Sample {
            // Where the kernel doesn't count, what it has taken and needn't keep is there.
            delivered: figures.delivered.unwrap_or_else(|| self.sent.saturating_sub(figures.waiting)),
            waiting: figures.waiting.saturating_add(unsent as u64),
            lag,
            wire: self.sent.saturating_add(unsent as u64),
            media: stream.totals().bytes.saturating_sub(lag),
            rtt: figures.rtt,
            shut: figures.shut,
            skips: playing.player.skips(),
        };
        let flow = playing.flow.get_or_insert_default();
        flow.sample(now, &sample, offered);
        Some(flow)
    }
}
