//! How fast bytes come and go, for the API: counts are taken every ten seconds while it is on, and while it
//! is off nothing is counted.

use std::collections::VecDeque;
use std::time::Duration;

use super::conn::Conn;
use super::timers::Alarm;
use super::web::api::system::Ticks;
use super::{Engine, Event};
use crate::hub::{Source, Stream};
use crate::time::Time;

/// How often counts are taken.
const EVERY: Duration = Duration::from_secs(10);
/// Counts that are kept: with the present they span 20 to 30 s.
const KEPT: usize = 3;

/// Bytes from peers and to peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Traffic {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            sent: self.sent.saturating_add(other.sent),
        }
    }

    /// What has come since there was `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
        }
    }
}

/// Whose bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Client(u32),
    Stream(u32),
    /// By its place in [`Rates::vhosts`].
    Vhost(u32),
}

/// What is counted while the API is on.
#[derive(Debug)]
pub(super) struct Rates {
    /// Oldest first.
    samples: VecDeque<Sample>,
    /// When counts are taken next.
    due: Time,
    /// What was sent to players who have left, by stream.
    left: Vec<(u32, u64)>,
    /// Vhosts, and the bytes of clients who have left.
    vhosts: Vec<(String, Traffic)>,
}

/// The counts of one moment.
#[derive(Debug)]
struct Sample {
    at: Time,
    /// In the keys' order, in KiB that wrap.
    counts: Vec<(Whose, [u32; 2])>,
    ticks: Ticks,
}

impl Rates {
    fn new(now: Time) -> Self {
        Self { samples: VecDeque::new(), due: now, left: Vec::new(), vhosts: Vec::new() }
    }

    /// kbit/s in and out over the last 20 to 30 s, or since `born` if that is later.
    pub(super) fn kbps(&self, now: Time, whose: Whose, born: Time, total: Traffic) -> [u64; 2] {
        let found = self.samples.front().and_then(|sample| {
            let at = sample.counts.binary_search_by_key(&whose, |(whose, _)| *whose).ok()?;
            sample.counts.get(at).map(|(_, counts)| (sample.at, *counts))
        });
        let (since, before) = found.unwrap_or((born, [0, 0]));
        let ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |total: u64, before: u32| {
            let kib = kib(total).wrapping_sub(before);
            u64::from(kib).saturating_mul(8 * 1024) / ms
        };
        let [received, sent] = before;
        [rate(total.received, received), rate(total.sent, sent)]
    }

    /// What the system had used up 20 to 30 s ago.
    pub(super) fn ticks(&self) -> Option<(Time, &Ticks)> {
        self.samples.front().map(|sample| (sample.at, &sample.ticks))
    }

    fn sent_to_left(&self, stream: u32) -> u64 {
        self.left.iter().find(|(id, _)| *id == stream).map_or(0, |(_, sent)| *sent)
    }

    /// The place of a vhost.
    fn vhost(&mut self, name: &str) -> usize {
        self.vhosts.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.vhosts.push((name.to_owned(), Traffic::default()));
            self.vhosts.len() - 1
        })
    }
}

fn kib(bytes: u64) -> u32 {
    // Wraps, as differences are all that is looked at.
    (bytes >> 10) as u32
}

impl Conn {
    /// What it has received and been sent since its last stream ended.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic { received: self.session.received(), sent: self.sent }.since(self.counted)
    }
}

impl Engine {
    /// Begins to count when the API is turned on, and ends when it is turned off.
    pub(super) fn configure_rates(&mut self) {
        let now = self.now();
        match (&self.settings.http_api, &self.rates) {
            (Some(_), None) => {
                self.rates = Some(Box::new(Rates::new(now)));
                self.on_rates_alarm(now);
            }
            (None, Some(_)) => self.rates = None,
            _ => {}
        }
    }

    /// Takes the counts of now, if it is time to.
    pub(super) fn on_rates_alarm(&mut self, now: Time) {
        let Some(mut rates) = self.rates.take() else { return };
        // An alarm from before the API was off and on again comes early.
        if rates.due <= now {
            let mut counts = Vec::new();
            let mut vhosts = Vec::new();
            for name in self.settings.vhosts.keys() {
                let place = rates.vhost(name);
                vhosts.resize(vhosts.len().max(place + 1), Traffic::default());
            }
            let count = |total: Traffic| [kib(total.received), kib(total.sent)];
            for (id, conn) in self.conns.iter().filter(|(_, conn)| conn.is_client()) {
                let total = Traffic { received: conn.session.received(), sent: conn.sent };
                counts.push((Whose::Client(id), count(total)));
            }
            #[cfg(feature = "hls")]
            for (id, player) in self.hls_clients() {
                counts.push((Whose::Client(id), count(Traffic { received: 0, sent: player.sent })));
            }
            for (id, stream) in self.hub.iter() {
                let (of_stream, of_clients) = self.traffic_of(id, stream, &rates);
                counts.push((Whose::Stream(id), count(of_stream)));
                let place = rates.vhost(&stream.name().vhost);
                vhosts.resize(vhosts.len().max(place + 1), Traffic::default());
                if let Some(vhost) = vhosts.get_mut(place) {
                    *vhost = vhost.plus(of_clients);
                }
            }
            for (place, ((_, left), live)) in rates.vhosts.iter().zip(vhosts).enumerate() {
                counts.push((Whose::Vhost(place as u32), count(left.plus(live))));
            }
            counts.sort_unstable_by_key(|(whose, _)| *whose);
            rates.left.retain(|(id, _)| self.hub.stream(*id).is_some());
            if rates.samples.len() >= KEPT {
                rates.samples.pop_front();
            }
            rates.samples.push_back(Sample { at: now, counts, ticks: Ticks::read() });
            rates.due = now + EVERY;
            self.timers.set(rates.due, Alarm::Rates);
        }
        self.rates = Some(rates);
    }

    /// A stream's frames in and what its players were sent; and what all its clients sent and received.
    pub(super) fn traffic_of(&self, id: u32, stream: &Stream, rates: &Rates) -> (Traffic, Traffic) {
        let conns = stream.players().iter().filter_map(|player| self.conns.find(*player));
        let players = conns.fold(Traffic::default(), |sum, conn| sum.plus(conn.traffic()));
        let publisher = match stream.publisher() {
            Some(Source::Client(client, _)) => self.conns.find(client),
            _ => None,
        };
        // One connection may publish several streams: its bytes count once.
        let publisher =
            publisher.filter(|conn| conn.publishes.first().is_some_and(|(_, first)| *first == id));
        let of_clients = publisher.map_or(players, |conn| players.plus(conn.traffic()));
        let sent = players.sent.saturating_add(rates.sent_to_left(id));
        (Traffic { received: stream.totals().bytes, sent }, of_clients)
    }

    /// What all clients of a vhost have sent and received, those who have left too, and kbit/s of it.
    pub(super) fn traffic_of_vhost(&self, now: Time, name: &str, rates: &Rates) -> (Traffic, [u64; 2]) {
        let Some(place) = rates.vhosts.iter().position(|(known, _)| known == name) else {
            return Default::default();
        };
        let left = rates.vhosts.get(place).map_or(Traffic::default(), |(_, left)| *left);
        let streams = self.hub.iter().filter(|(_, stream)| stream.name().vhost == name);
        let total = streams.fold(left, |sum, (id, stream)| sum.plus(self.traffic_of(id, stream, rates).1));
        (total, rates.kbps(now, Whose::Vhost(place as u32), Time::ZERO, total))
    }

    /// A client leaves a stream: what it has sent and received stays with the stream and the vhost.
    pub(super) fn count_left(&mut self, event: &Event) {
        let (Event::Stop(subject) | Event::Unpublished(subject)) = event else { return };
        let Some(rates) = &mut self.rates else { return };
        let Some(conn) = self.conns.find_mut(subject.client) else { return };
        let traffic = conn.traffic();
        conn.counted = conn.counted.plus(traffic);
        let place = rates.vhost(&subject.name.vhost);
        if let Some((_, left)) = rates.vhosts.get_mut(place) {
            *left = left.plus(traffic);
        }
        if matches!(event, Event::Stop(_)) && self.hub.stream(subject.stream).is_some() {
            match rates.left.iter_mut().find(|(id, _)| *id == subject.stream) {
                Some((_, sent)) => *sent = sent.saturating_add(traffic.sent),
                None => rates.left.push((subject.stream, traffic.sent)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, counts: &[(Whose, [u32; 2])]) -> Sample {
        Sample { at: Time::from_millis(at), counts: counts.to_vec(), ticks: Ticks::default() }
    }

    #[test]
    fn rates_are_averages_since_the_oldest_count_or_the_birth() {
        let mut rates = Rates::new(Time::ZERO);
        let (old, new) = (Whose::Client(7), Whose::Stream(7));
        rates.samples.push_back(sample(10_000, &[(old, [100, u32::MAX])]));
        rates.samples.push_back(sample(20_000, &[(old, [200, 0]), (new, [5, 5])]));
        let now = Time::from_millis(30_000);
        // 20 s: 400 KiB in, and 600 KiB out over the counter's end.
        let total = Traffic { received: 500 << 10, sent: (1 << 42) + (599 << 10) };
        assert_eq!(rates.kbps(now, old, Time::ZERO, total), [163, 245]);
        // Five seconds old: everything that it has.
        let total = Traffic { received: 10 << 10, sent: 0 };
        assert_eq!(rates.kbps(now, new, Time::from_millis(25_000), total), [16, 0]);
        assert_eq!(rates.kbps(now, new, now, Traffic::default()), [0, 0]);
    }
}
