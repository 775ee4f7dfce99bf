//! The bitrate that what a stream goes out to holds, for the encoder to follow.
//!
//! A [`Flow`] watches one connection: what its peer's system has got, and what waits for it, in the kernel and in
//! the ring. While something waits, what arrives is what the network holds; that is the only time at which it
//! can be measured. A [`RateHint`] makes one figure of those of all connections and says it when it has changed.
//!
//! The rules of one connection:
//! - It is limited when bytes stand in the way that a round trip doesn't account for: what a keyframe leaves
//!   behind for a moment is none, so the least of a second counts.
//! - While it is limited the hint is its capacity less some headroom, and less the more stands, so that this
//!   drains in a few seconds.
//! - Afterwards it is the capacity less the headroom. If the encoder really sends that much, the hint goes up
//!   slowly to see whether more is possible; each time that it isn't, the next try waits for twice as long.
//! - When nothing has limited it for a while and the hint is beyond what the encoder has ever asked for, there is
//!   no hint.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;

/// How often connections are looked at.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(125);
/// What a hint is at least where the host names no rate, in bits per second.
pub const RATE_MIN: u32 = 100_000;

/// Points that are kept of one connection.
const POINTS: usize = 12;
/// Over how long a rate is measured, and for how long something must stand.
const LONG: Duration = Duration::from_millis(1000);
/// The same where much stands.
const SHORT: Duration = Duration::from_millis(400);
/// What is measured over less than this says nothing.
const MEASURE_MIN: Duration = Duration::from_millis(240);
/// What may be under way beyond a round trip: acknowledgements are delayed by up to 40 ms.
const ACK_DELAY: f64 = 0.04;
/// How much may stand, in seconds of what the connection takes, until it is limited; and where that is over less
/// than a second; and where the rate is beyond what is known to be held.
const STANDS_LONG: f64 = 0.15;
const STANDS_SHORT: f64 = 0.4;
const STANDS_BEYOND: f64 = 0.06;
/// How much still stands when it is no longer limited.
const DRAINED: f64 = 0.05;
/// The part of the capacity that is hinted.
const HEADROOM: f64 = 0.92;
/// How much of what is measured anew goes into what is known, while it stands.
const SMOOTH: f64 = 0.4;
/// The part of the capacity that is taken off for each second of what stands, and at most.
const DRAIN: f64 = 0.5;
const DRAIN_MAX: f64 = 0.6;
/// How much more is tried in a second, and when that has gone well for a while.
const CLIMB: f64 = 0.08;
const CLIMB_FAST: f64 = 0.3;
/// How far beyond what was known the fast climb begins, and what it waits for before: most of a GOP, since a
/// keyframe may show that it has been too far already.
const WELL_BEYOND: f64 = 1.1;
const DWELL: Duration = Duration::from_millis(1500);
/// How long nothing must have stood before more is tried: at first, and at most after tries that have failed.
const HOLD_MIN: Duration = Duration::from_secs(3);
const HOLD_MAX: Duration = Duration::from_secs(12);
/// More is tried while the encoder sends this part of what is hinted, and it arrives.
const USED: f64 = 0.8;
/// How long nothing must have stood until there is no hint.
const FREE_AFTER: Duration = Duration::from_secs(3);
/// How long a peer may take nothing until it is one that doesn't want to, or is not there.
const SHUT_AFTER: Duration = Duration::from_secs(2);
/// How long nothing may arrive until the network holds nothing.
const DEAD_AFTER: Duration = Duration::from_millis(600);
/// What is hinted of the capacity then, and right after.
const DEAD: f64 = 0.3;
/// Changes of the hint that are told, down and up, and how far apart.
const DOWN: f64 = 0.95;
const UP: f64 = 1.06;
const URGENT: f64 = 0.8;
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Over how long what the encoder sends is averaged, in seconds; for its peak over a GOP or two.
const OFFERED_OVER: f64 = 1.0;
const PEAK_OVER: f64 = 4.0;
/// From when on that is known: the first keyframe alone says nothing.
const PEAK_AFTER: f64 = 0.5;
/// Bytes over which a format's own bytes are weighed against those of frames.
const WEIGHED_BYTES: f64 = 1_000_000.0;
/// Bytes before which that says nothing.
const WEIGHED_MIN: f64 = 32_000.0;

/// One connection's figures at one moment. Counts are since it began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Bytes that the peer's system has got.
    pub delivered: u64,
    /// Bytes that it hasn't: in the network, in the kernel and before it.
    pub waiting: u64,
    /// Bytes of frames that wait before these.
    pub lag: u64,
    /// Bytes that were made of frames.
    pub wire: u64,
    /// Bytes of the frames that these are.
    pub media: u64,
    /// The least round trip.
    pub rtt: Duration,
    /// For how long the peer's window has held it up, where the system says so.
    pub shut: Option<Duration>,
    /// How often it has fallen behind and jumped to a keyframe.
    pub skips: u32,
}

/// What the encoder does.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// Bytes of frames per second.
    rate: f64,
    /// The rate from which on nothing limits.
    top: f64,
}

/// What a connection holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Held {
    /// It doesn't count: its peer takes nothing.
    Out,
    /// All that the encoder sends.
    All,
    /// So many bytes of frames per second.
    Rate(f64),
}

/// What is known of one connection's way. See the module's documentation.
#[derive(Debug, Default)]
pub struct Flow {
    /// Oldest first.
    past: VecDeque<Point>,
    last: Option<(Time, Sample)>,
    /// Bytes that were made of frames, and theirs; older ones weigh less.
    weighed: (f64, f64),
    limit: Option<Limit>,
    /// Since when the peer's window has been shut.
    shut_since: Option<Time>,
    /// Since when nothing has arrived though something waits.
    dead_since: Option<Time>,
}

/// A moment of the past second.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: Time,
    delivered: u64,
    /// Bytes that wait beyond what a round trip accounts for.
    excess: f64,
}

/// What limits a connection, in its own bytes per second.
#[derive(Debug, Clone, Copy)]
struct Limit {
    capacity: f64,
    hint: f64,
    /// Whether more stands than may.
    stands: bool,
    /// Since when it doesn't.
    quiet_since: Time,
    /// How long it is to be quiet before more is tried.
    hold: Duration,
    /// What was known when a try began.
    tried_from: Option<f64>,
    /// Since when it has been well beyond that.
    beyond_since: Option<Time>,
}

impl Flow {
    /// Looks at the connection as it is now.
    pub fn sample(&mut self, now: Time, sample: &Sample, offered: &Offered) {
        let Some((then, last)) = self.last.replace((now, *sample)) else {
            self.push(now, sample);
            return;
        };
        self.weigh(sample, &last);
        let arrived = sample.delivered > last.delivered || (sample.waiting, sample.lag) == (0, 0);
        if !arrived && is_shut(now.since(then), sample, &last) {
            // Its reader's doing, not the network's. One that is slow opens it every now and then, which is
            // waited for.
            self.shut_since.get_or_insert(then);
            return;
        }
        let since = if arrived { self.shut_since.take().or(self.dead_since.take()) } else { None };
        if since.is_some_and(|since| then.since(since) >= DEAD_AFTER) {
            // What comes now is measured by itself.
            self.past.clear();
        }
        if !arrived {
            self.dead_since.get_or_insert(then);
        }
        self.push(now, sample);
        self.judge(now, offered, sample.skips != last.skips);
    }

    /// What it holds.
    pub fn held(&self) -> Held {
        match (&self.last, self.shut_since, &self.limit) {
            (Some((now, _)), Some(since), _) if now.since(since) >= SHUT_AFTER => Held::Out,
            (_, _, Some(limit)) => Held::Rate(limit.hint / self.weight()),
            _ => Held::All,
        }
    }

    fn push(&mut self, at: Time, sample: &Sample) {
        while self.past.len() >= POINTS {
            self.past.pop_front();
        }
        let mut point = Point { at, delivered: sample.delivered, excess: 0.0 };
        let rate = self.before(SHORT, at).map_or(0.0, |past| rate(past, &point));
        let on_its_way = rate * (sample.rtt.as_secs_f64() + ACK_DELAY);
        let waiting = sample.waiting as f64 + sample.lag as f64 * self.weight();
        point.excess = waiting - on_its_way;
        self.past.push_back(point);
    }

    /// How much a format's own bytes add to those of frames; less than one where it has not all tracks.
    fn weigh(&mut self, sample: &Sample, last: &Sample) {
        if sample.skips != last.skips || sample.media < last.media {
            return;
        }
        let (wire, media) = &mut self.weighed;
        *wire += sample.wire.saturating_sub(last.wire) as f64;
        *media += sample.media.saturating_sub(last.media) as f64;
        if *media > WEIGHED_BYTES {
            *wire /= 2.0;
            *media /= 2.0;
        }
    }

    fn weight(&self) -> f64 {
        let (wire, media) = self.weighed;
        if media < WEIGHED_MIN { 1.0 } else { (wire / media).clamp(0.05, 3.0) }
    }

    /// The newest point that is so much older than `at`.
    fn before(&self, at_least: Duration, at: Time) -> Option<&Point> {
        self.past.iter().rev().find(|point| at.since(point.at) >= at_least)
    }

    /// What has stood for so long, in seconds of what has arrived meanwhile; 0 where less is known.
    fn standing(&self, over: Duration) -> f64 {
        let Some(newest) = self.past.back() else { return 0.0 };
        let Some(oldest) = self.before(over, newest.at) else { return 0.0 };
        let points = self.past.iter().filter(|point| point.at >= oldest.at);
        let least = points.fold(f64::INFINITY, |least, point| least.min(point.excess)).max(0.0);
        if least == 0.0 { 0.0 } else { least / rate(oldest, newest).max(1.0) }
    }

    /// What has arrived per second while something was waiting all the time.
    fn measured(&self) -> Option<f64> {
        let newest = self.past.back()?;
        let busy = |point: &&Point| point.excess > 0.0 && newest.at.since(point.at) <= LONG;
        let oldest = self.past.iter().rev().take_while(busy).last()?;
        if newest.at.since(oldest.at) < MEASURE_MIN {
            return None;
        }
        let long = rate(oldest, newest);
        // It has changed within that time.
        let short = self.before(SHORT, newest.at).filter(|point| point.at > oldest.at);
        let short = short.map(|point| rate(point, newest));
        Some(short.filter(|short| *short < 0.7 * long).unwrap_or(long))
    }

    fn judge(&mut self, now: Time, offered: &Offered, skipped: bool) {
        let weight = self.weight();
        let (sent, top) = (offered.rate * weight, offered.top * weight);
        let (long, short) = (self.standing(LONG), self.standing(SHORT));
        let measured = self.measured();
        let passed = self.passed();
        if let Some(since) = self.dead_since
            && now.since(since) >= DEAD_AFTER
        {
            let limit = self.limit.get_or_insert_with(|| Limit::new(now, sent));
            limit.fail_dead(now.since(since) >= SHUT_AFTER);
            return;
        }
        let stands = long > STANDS_LONG || short > STANDS_SHORT || skipped;
        match &mut self.limit {
            None => {
                // What drains by itself, as that of a player who has just joined, is nobody's concern.
                if let Some(capacity) = measured.filter(|capacity| stands && *capacity < 1.1 * sent) {
                    let mut limit = Limit::new(now, capacity);
                    limit.limited(now, capacity, short);
                    self.limit = Some(limit);
                }
            }
            Some(limit) => {
                let beyond = limit.tried_from.is_some() && short > STANDS_BEYOND;
                match measured {
                    Some(capacity) if stands || beyond || limit.stands => limit.limited(now, capacity, short),
                    Some(capacity) => limit.capacity = limit.capacity.max(capacity),
                    None => {}
                }
                if limit.stands && !stands && short < DRAINED {
                    limit.stands = false;
                    limit.quiet_since = now;
                }
                if !limit.stands {
                    limit.capacity = limit.capacity.max(passed);
                    limit.quiet(now, sent.min(passed));
                    if limit.hint >= top && now.since(limit.quiet_since) >= FREE_AFTER {
                        self.limit = None;
                    }
                }
            }
        }
    }

    /// What has arrived over the last second, whatever was waiting.
    fn passed(&self) -> f64 {
        let newest = self.past.back();
        newest.and_then(|newest| Some(rate(self.before(LONG, newest.at)?, newest))).unwrap_or(0.0)
    }
}

impl Limit {
    fn new(now: Time, capacity: f64) -> Self {
        Self {
            capacity,
            hint: HEADROOM * capacity,
            stands: false,
            quiet_since: now,
            hold: HOLD_MIN,
            tried_from: None,
            beyond_since: None,
        }
    }

    /// More stands than may: this is what it holds.
    fn limited(&mut self, now: Time, capacity: f64, standing: f64) {
        if let Some(from) = self.tried_from.take() {
            self.hold = if capacity > 1.1 * from { HOLD_MIN } else { (self.hold * 2).min(HOLD_MAX) };
        }
        if capacity < 0.8 * self.capacity {
            self.hold = HOLD_MIN;
        }
        self.beyond_since = None;
        self.capacity =
            if self.stands { self.capacity + SMOOTH * (capacity - self.capacity) } else { capacity };
        self.stands = true;
        self.quiet_since = now;
        let drain = (DRAIN * (standing - DRAINED).max(0.0)).min(DRAIN_MAX);
        self.hint = self.capacity * (HEADROOM - drain);
    }

    /// Nothing stands, while so much is sent and arrives.
    fn quiet(&mut self, now: Time, used: f64) {
        let base = HEADROOM * self.capacity;
        self.hint = self.hint.max(base);
        let quiet = now.since(self.quiet_since);
        if quiet < self.hold || used < USED * self.hint {
            return;
        }
        let from = *self.tried_from.get_or_insert(self.capacity);
        let mut climb = CLIMB;
        if self.hint > WELL_BEYOND * from {
            climb = CLIMB_FAST;
            if now.since(*self.beyond_since.get_or_insert(now)) < DWELL {
                return;
            }
        }
        self.hint *= 1.0 + climb * SAMPLE_EVERY.as_secs_f64();
    }

    /// Nothing arrives. What it has held is kept for when it does again.
    fn fail_dead(&mut self, for_long: bool) {
        self.stands = true;
        (self.tried_from, self.beyond_since) = (None, None);
        self.hint = if for_long { 0.0 } else { DEAD * self.capacity };
    }
}

fn is_shut(elapsed: Duration, sample: &Sample, last: &Sample) -> bool {
    match (sample.shut, last.shut) {
        (Some(now), Some(then)) => now.saturating_sub(then).as_secs_f64() >= 0.8 * elapsed.as_secs_f64(),
        _ => true,
    }
}

/// Bytes per second from one point to another.
fn rate(from: &Point, to: &Point) -> f64 {
    let seconds = to.at.since(from.at).as_secs_f64();
    if seconds > 0.0 { to.delivered.saturating_sub(from.delivered) as f64 / seconds } else { 0.0 }
}

/// What the host wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateOptions {
    /// The least that is hinted, in bits per second; 0 means [`RATE_MIN`].
    pub min: u32,
    /// The most, in bits per second; 0 means no bound.
    pub max: u32,
    /// Whether viewers count for nothing.
    pub forwards_only: bool,
}

/// An average in which what is older weighs less.
#[derive(Debug)]
struct Average {
    value: f64,
    /// Seconds over which it is taken, and those that it knows of.
    over: f64,
    known: f64,
}

impl Average {
    fn over(seconds: f64) -> Self {
        Self { value: 0.0, over: seconds, known: 0.0 }
    }

    fn add(&mut self, value: f64, seconds: f64) {
        self.known += seconds;
        // At first there is nothing older.
        let weight = |seconds: f64| 1.0 - (-seconds / self.over).exp();
        self.value += (value - self.value) * weight(seconds) / weight(self.known).max(f64::MIN_POSITIVE);
    }
}

/// One figure of what all connections of a stream hold. See the module's documentation.
#[derive(Debug)]
pub struct RateHint {
    options: RateOptions,
    last: Option<(Time, u64)>,
    offered: Average,
    /// The same over longer, and the most that this has ever been.
    average: Average,
    peak: f64,
    /// What was told, 0 for nothing, and when.
    told: (u32, Time),
}

impl RateHint {
    /// Nothing limits as yet.
    pub fn new(options: RateOptions) -> Self {
        Self {
            options,
            last: None,
            offered: Average::over(OFFERED_OVER),
            average: Average::over(PEAK_OVER),
            peak: 0.0,
            told: (0, Time::ZERO),
        }
    }

    /// Whether only forwards count.
    pub fn forwards_only(&self) -> bool {
        self.options.forwards_only
    }

    /// What was told last, in bits per second; 0 where nothing limits.
    pub fn told(&self) -> u32 {
        self.told.0
    }

    /// The encoder has sent so many bytes of frames since it began.
    pub fn offer(&mut self, now: Time, bytes: u64) -> Offered {
        if let Some((then, before)) = self.last.replace((now, bytes)) {
            let elapsed = now.since(then).as_secs_f64();
            let rate = bytes.saturating_sub(before) as f64 / elapsed.max(0.001);
            self.offered.add(rate, elapsed);
            self.average.add(rate, elapsed);
            if self.average.known >= PEAK_AFTER {
                self.peak = self.peak.max(self.average.value);
            }
        }
        let max = if self.options.max == 0 { f64::INFINITY } else { f64::from(self.options.max) / 8.0 };
        Offered { rate: self.offered.value, top: max.min(1.1 * self.peak) }
    }

    /// Takes what each connection holds, and whether it is a forward's. Answers what is to be told, if anything:
    /// bits per second, 0 where nothing limits.
    ///
    /// Every forward counts. Of viewers a quarter may be left out, rounded up from half: the slowest of the
    /// fastest three quarters counts, so that one on a hopeless line doesn't take all others' picture away.
    pub fn settle(&mut self, now: Time, held: impl Iterator<Item = (bool, Held)>) -> Option<u32> {
        let mut viewers = Vec::new();
        let mut least = f64::INFINITY;
        for (is_forward, held) in held {
            let rate = match held {
                Held::Out => continue,
                Held::All => f64::INFINITY,
                Held::Rate(rate) => rate,
            };
            if is_forward {
                least = least.min(rate);
            } else if !self.options.forwards_only {
                viewers.push(rate);
            }
        }
        viewers.sort_unstable_by(f64::total_cmp);
        if let Some(slowest) = viewers.get((viewers.len() + 1) / 4) {
            least = least.min(*slowest);
        }
        self.tell(now, self.bits(least))
    }

    /// Nobody is sent the stream any more.
    pub fn clear(&mut self, now: Time) -> Option<u32> {
        self.tell(now, 0)
    }

    fn bits(&self, rate: f64) -> u32 {
        if rate.is_infinite() {
            return 0;
        }
        let min = if self.options.min == 0 { RATE_MIN } else { self.options.min };
        let max = if self.options.max == 0 { u32::MAX } else { self.options.max };
        // A float's cast saturates.
        ((rate * 8.0) as u32).clamp(min.min(max), max)
    }

    fn tell(&mut self, now: Time, bits: u32) -> Option<u32> {
        let (told, at) = self.told;
        let by = f64::from(bits) / f64::from(told.max(1));
        let is_news = match (told, bits) {
            (0, 0) => false,
            (0, _) | (_, 0) => true,
            _ if by <= URGENT => true,
            _ => (by <= DOWN || by >= UP) && now.since(at) >= TELL_EVERY,
        };
        is_news.then(|| {
            self.told = (bits, now);
            bits
        })
    }
}

#[cfg(test)]
mod tests;
