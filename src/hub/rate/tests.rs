//! An encoder that follows the hint, over links that are made up, under a virtual clock.

use proptest::prelude::*;

use super::*;

const MSS: f64 = 1448.0;

/// A bottleneck, and the TCP sender before it, in steps of a millisecond. Bytes are what counts; packets aren't.
struct Link {
    /// Bytes per second.
    rate: f64,
    /// Bytes that wait before the bottleneck at most.
    buffer: f64,
    rtt_ms: u64,
    /// Up to so many milliseconds come on top, at random.
    jitter_ms: u64,
    /// Between losses that aren't the queue's, in bytes on average; 0: none.
    loss_every: f64,
    /// Nothing leaves until then.
    stalls_until: u64,
    /// The peer reads nothing.
    shut: bool,
    unsent: f64,
    queue: f64,
    /// What has passed the bottleneck, and when that is known to the sender.
    passed: VecDeque<(u64, f64)>,
    in_passed: f64,
    window: f64,
    threshold: f64,
    /// The window is not made smaller again before.
    recovers_until: u64,
    taken: f64,
    delivered: f64,
    shut_for: Duration,
    random: u64,
}

impl Link {
    fn new(kbps: u32, buffer_ms: u32, rtt_ms: u64) -> Self {
        let rate = f64::from(kbps) * 125.0;
        Self {
            rate,
            buffer: (rate * f64::from(buffer_ms) / 1000.0).max(10.0 * MSS),
            rtt_ms,
            jitter_ms: 0,
            loss_every: 0.0,
            stalls_until: 0,
            shut: false,
            unsent: 0.0,
            queue: 0.0,
            passed: VecDeque::new(),
            in_passed: 0.0,
            window: 10.0 * MSS,
            threshold: f64::INFINITY,
            recovers_until: 0,
            taken: 0.0,
            delivered: 0.0,
            shut_for: Duration::ZERO,
            random: 88_172_645_463_325_252,
        }
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn take(&mut self, bytes: f64) {
        self.unsent += bytes;
        self.taken += bytes;
    }

    fn waiting(&self) -> f64 {
        self.unsent + self.queue + self.in_passed
    }

    /// How long what is taken now will take.
    fn delay(&self) -> f64 {
        (self.unsent + self.queue) / self.rate
    }

    fn lose(&mut self, ms: u64) {
        if ms >= self.recovers_until {
            self.window = (self.window * 0.7).max(2.0 * MSS);
            self.threshold = self.window;
            self.recovers_until = ms + self.rtt_ms + (self.delay() * 1000.0) as u64;
        }
    }

    fn step(&mut self, ms: u64) {
        if self.shut {
            self.shut_for += Duration::from_millis(1);
            return;
        }
        while let Some((_, bytes)) = self.passed.pop_front_if(|(at, _)| *at <= ms) {
            self.in_passed -= bytes;
            self.delivered += bytes;
            if self.unsent > 0.0 {
                let grows =
                    if self.window < self.threshold { bytes } else { 2.0 * MSS * bytes / self.window };
                self.window += grows;
            }
        }
        let room = (self.window - self.queue - self.in_passed).max(0.0);
        let sent = self.unsent.min(room);
        self.unsent -= sent;
        self.queue += sent;
        if self.queue > self.buffer {
            // What was lost is sent again.
            self.unsent += self.queue - self.buffer;
            self.queue = self.buffer;
            self.lose(ms);
        }
        if self.loss_every > 0.0 && self.random() < sent / self.loss_every {
            self.lose(ms);
        }
        if ms >= self.stalls_until {
            let passed = self.queue.min(self.rate / 1000.0);
            self.queue -= passed;
            self.in_passed += passed;
            let late = (self.random() * self.jitter_ms as f64) as u64;
            let last = self.passed.back().map_or(0, |(at, _)| *at);
            self.passed.push_back(((ms + self.rtt_ms + late).max(last), passed));
        }
    }

    fn sample(&self) -> Sample {
        Sample {
            delivered: self.delivered as u64,
            waiting: self.waiting().max(0.0) as u64,
            lag: 0,
            wire: self.taken as u64,
            media: (self.taken / 1.02) as u64,
            rtt: Duration::from_millis(self.rtt_ms),
            shut: Some(self.shut_for),
            skips: 0,
        }
    }
}

/// What an encoder makes, and how fast it obeys.
#[derive(Clone, Copy, Debug)]
struct Encoder {
    kbps: f64,
    fps: u64,
    /// Frames of a GOP, and how many others a keyframe is as long as.
    gop: u64,
    key: f64,
    /// How long it takes to change its rate.
    obeys_ms: u64,
    /// How much frames differ in length.
    varies: f64,
}

const CAMERA: Encoder = Encoder { kbps: 4000.0, fps: 25, gop: 50, key: 6.0, obeys_ms: 150, varies: 0.2 };

/// A stream and what it goes out to.
struct World {
    ms: u64,
    links: Vec<(bool, Link)>,
    flows: Vec<Flow>,
    hint: RateHint,
    encoder: Encoder,
    /// Told, and from when on it is obeyed.
    orders: VecDeque<(u64, u32)>,
    target: f64,
    frames: u64,
    media: f64,
    /// When which rate was told, and how long what was sent then took on the slowest way.
    told: Vec<(u64, u32)>,
    delays: Vec<(u64, f64)>,
}

impl World {
    fn new(encoder: Encoder, options: RateOptions, links: Vec<(bool, Link)>) -> Self {
        Self {
            ms: 0,
            flows: links.iter().map(|_| Flow::default()).collect(),
            links,
            hint: RateHint::new(options),
            encoder,
            orders: VecDeque::new(),
            target: encoder.kbps,
            frames: 0,
            media: 0.0,
            told: Vec::new(),
            delays: Vec::new(),
        }
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms {
            self.ms += 1;
            if self.ms.is_multiple_of(1000 / self.encoder.fps) {
                self.frame();
            }
            for (_, link) in &mut self.links {
                link.step(self.ms);
            }
            if self.ms.is_multiple_of(125) {
                self.look();
            }
        }
    }

    fn frame(&mut self) {
        while let Some((_, bits)) = self.orders.pop_front_if(|(at, _)| *at <= self.ms) {
            let most = self.encoder.kbps;
            self.target = if bits == 0 { most } else { (f64::from(bits) / 1000.0).min(most) };
        }
        let Encoder { fps, gop, key, varies, .. } = self.encoder;
        let mean = self.target * 125.0 / fps as f64 * gop as f64 / (gop as f64 - 1.0 + key);
        let weight = if self.frames.is_multiple_of(gop) { key } else { 1.0 };
        self.frames += 1;
        let random = self.links[0].1.random();
        let bytes = mean * weight * (1.0 + varies * (2.0 * random - 1.0));
        self.media += bytes;
        for (_, link) in &mut self.links {
            link.take(bytes * 1.02);
        }
    }

    fn look(&mut self) {
        let now = Time::from_millis(self.ms);
        let offered = self.hint.offer(now, self.media as u64);
        for (flow, (_, link)) in self.flows.iter_mut().zip(&self.links) {
            flow.sample(now, &link.sample(), &offered);
        }
        let held = self.flows.iter().zip(&self.links).map(|(flow, (forward, _))| (*forward, flow.held()));
        if let Some(bits) = self.hint.settle(now, held) {
            self.told.push((self.ms, bits));
            self.orders.push_back((self.ms + self.encoder.obeys_ms, bits));
        }
        let slowest = self.links.iter().fold(0.0_f64, |most, (_, link)| most.max(link.delay()));
        self.delays.push((self.ms, slowest));
    }

    /// The least and the most that was in force from then on, in kbit/s.
    fn told_since(&self, ms: u64) -> (f64, f64) {
        let before = self.told.iter().rev().find(|(at, _)| *at <= ms).map(|(_, bits)| *bits);
        let after = self.told.iter().filter(|(at, _)| *at > ms).map(|(_, bits)| *bits);
        let all = before.or(Some(0)).into_iter().chain(after);
        let kbps = all.map(|bits| if bits == 0 { f64::INFINITY } else { f64::from(bits) / 1000.0 });
        kbps.fold((f64::INFINITY, 0.0), |(least, most), rate| (least.min(rate), most.max(rate)))
    }

    fn longest_delay_since(&self, ms: u64) -> f64 {
        self.delays.iter().filter(|(at, _)| *at > ms).fold(0.0, |most, (_, delay)| most.max(*delay))
    }
}

const ANY: RateOptions = RateOptions { min: 0, max: 0, forwards_only: false };

/// What the last part of a run was like, as parts of what the first way holds.
#[derive(Debug)]
struct Settled {
    least: f64,
    most: f64,
    mean: f64,
    /// For how long a frame was under way at most, in seconds.
    delay: f64,
}

/// Gives the first way another rate, and looks at the last eight seconds of the next `ms`.
fn settle(world: &mut World, kbps: u32, ms: u64) -> Settled {
    world.links[0].1.rate = f64::from(kbps) * 125.0;
    world.run(ms - 8000);
    let since = world.ms;
    let mut sum = 0.0;
    for _ in 0..80 {
        world.run(100);
        sum += f64::from(world.hint.told()) / 80.0;
    }
    let (least, most) = world.told_since(since);
    let part = |rate: f64| rate / f64::from(kbps);
    let delay = world.longest_delay_since(since);
    Settled { least: part(least), most: part(most), mean: part(sum / 1000.0), delay }
}

#[track_caller]
fn assert_settled(settled: &Settled, what: impl std::fmt::Debug) {
    let Settled { least, most, mean, delay } = settled;
    assert!((0.8..1.1).contains(mean), "{what:?}: {settled:?}");
    assert!(*least > 0.7 && *most < 1.3, "{what:?}: {settled:?}");
    assert!(*delay < 0.5, "{what:?}: {settled:?}");
}

fn one(encoder: Encoder, link: Link) -> World {
    World::new(encoder, ANY, vec![(true, link)])
}

#[test]
fn settles_soon_and_follows() {
    for (rtt, buffer) in [(0, 200), (20, 200), (20, 2000), (100, 500)] {
        let mut world = one(CAMERA, Link::new(1500, buffer, rtt));
        // Within six seconds.
        assert_settled(&settle(&mut world, 1500, 14_000), (rtt, buffer));
        assert_settled(&settle(&mut world, 600, 14_000), (rtt, buffer));
        // More than three times as much is not found as fast.
        assert_settled(&settle(&mut world, 2000, 26_000), (rtt, buffer));
        assert_settled(&settle(&mut world, 1000, 14_000), (rtt, buffer));
    }
}

#[test]
fn comes_down_within_a_second() {
    let mut world = one(CAMERA, Link::new(6000, 200, 20));
    world.run(10_000);
    assert_eq!(world.told, [], "it holds all");
    world.links[0].1.rate = 1000.0 * 125.0;
    world.run(1000);
    assert!(world.hint.told() < 1_000_000, "{:?}", world.told);
    world.run(8000);
    let (least, most) = world.told_since(17_000);
    assert!(least > 800.0 && most < 1100.0, "{:?}", world.told);
}

#[test]
fn says_when_nothing_limits_any_more() {
    let mut world = one(CAMERA, Link::new(2000, 200, 20));
    world.run(10_000);
    assert!(world.hint.told() > 0);
    world.links[0].1.rate = 20_000.0 * 125.0;
    world.run(30_000);
    assert_eq!(world.hint.told(), 0, "{:?}", world.told);
    let told = world.told.len();
    world.run(60_000);
    assert_eq!(world.told.len(), told, "{:?}", world.told);
}

/// A still picture needs little: that is no sign that more is held.
#[test]
fn stands_while_the_encoder_sends_little() {
    let mut world = one(CAMERA, Link::new(2000, 200, 20));
    world.run(15_000);
    let told = world.hint.told();
    (world.target, world.encoder.kbps) = (300.0, 300.0);
    world.run(120_000);
    assert!(world.hint.told() <= told * 11 / 10, "{:?}", world.told);
    assert!(world.hint.told() >= told * 9 / 10, "{:?}", world.told);
}

#[test]
fn keeps_within_the_bounds() {
    let bounds = RateOptions { min: 1_200_000, max: 3_000_000, forwards_only: false };
    let mut world = World::new(CAMERA, bounds, vec![(true, Link::new(1000, 200, 20))]);
    world.run(5000);
    assert_eq!(world.hint.told(), 1_200_000);
    world.links[0].1.rate = 20_000.0 * 125.0;
    world.run(40_000);
    assert_eq!(world.hint.told(), 0, "{:?}", world.told);
    assert!(world.told.iter().all(|(_, bits)| *bits <= 3_000_000), "{:?}", world.told);
}

/// It gets a whole GOP at once, which takes a moment on any way.
#[test]
fn who_joins_doesnt_count_as_slow() {
    for forward in [false, true] {
        let mut world = World::new(CAMERA, ANY, vec![(forward, Link::new(6000, 200, 20))]);
        world.links[0].1.take(4000.0 * 125.0 * 2.0);
        world.run(20_000);
        assert_eq!(world.told, []);
    }
}

#[test]
fn who_stops_reading_doesnt_count() {
    let mut world = World::new(CAMERA, ANY, vec![(false, Link::new(20_000, 200, 20))]);
    world.run(5000);
    world.links[0].1.shut = true;
    world.run(10_000);
    assert_eq!(world.flows[0].held(), Held::Out);
    assert_eq!(world.told, []);
    // What it has missed comes at once.
    world.links[0].1.shut = false;
    world.run(10_000);
    assert_eq!(world.told, []);
}

#[test]
fn an_outage_is_felt_and_got_over() {
    let mut world = one(CAMERA, Link::new(2000, 200, 20));
    world.run(12_000);
    world.links[0].1.stalls_until = 15_000;
    world.run(3000);
    assert_eq!(world.hint.told(), RATE_MIN, "{:?}", world.told);
    world.run(8000);
    let (least, _) = world.told_since(22_000);
    assert!(least > 1500.0, "{:?}", world.told);
}

#[test]
fn one_hopeless_viewer_of_four_doesnt_count() {
    let links = |viewers: &[u32], forward: u32| {
        let viewers = viewers.iter().map(|kbps| (false, Link::new(*kbps, 200, 20)));
        viewers.chain([(true, Link::new(forward, 200, 20))]).collect::<Vec<_>>()
    };
    let told = |options: RateOptions, links: Vec<(bool, Link)>| {
        let mut world = World::new(CAMERA, options, links);
        world.run(12_000);
        world.hint.told() / 1000
    };
    assert_eq!(told(ANY, links(&[200, 9000, 9000, 9000], 9000)), 0);
    assert_eq!(told(ANY, links(&[200, 9000, 9000], 9000)), 0);
    let two = told(ANY, links(&[1000, 9000], 9000));
    assert!((800..1100).contains(&two), "{two}");
    let half = told(ANY, links(&[1000, 1000, 9000, 9000], 9000));
    assert!((800..1100).contains(&half), "{half}");
    // A forward always does.
    let forward = told(ANY, links(&[9000, 9000, 9000, 9000, 9000, 9000], 1000));
    assert!((800..1100).contains(&forward), "{forward}");
    let only = RateOptions { forwards_only: true, ..ANY };
    assert_eq!(told(only, links(&[200, 200], 9000)), 0);
}

#[test]
fn the_hint_is_of_frames_whatever_their_format_adds() {
    let mut flow = Flow::default();
    let mut sample = Sample { shut: Some(Duration::ZERO), ..Sample::default() };
    let offered = Offered { rate: 400_000.0, top: f64::INFINITY };
    for i in 0..16 {
        // A quarter on top, and 200 KB of frames a second arrive.
        sample.delivered = 25_000 * 5 / 4 * i;
        sample.wire = 50_000 * 5 / 4 * i;
        sample.media = 50_000 * i;
        sample.waiting = sample.wire - sample.delivered;
        flow.sample(Time::from_millis(125 * i), &sample, &offered);
    }
    let Held::Rate(rate) = flow.held() else { panic!("{flow:?}") };
    let drained = HEADROOM - DRAIN_MAX;
    assert!((rate / (200_000.0 * drained) - 1.0).abs() < 0.01, "{rate}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn settles_over_any_way(
        kbps in 600u32..4000,
        over in 2.0..4.0f64,
        rtt in 0u64..150,
        buffer in 100u32..1500,
        jitter in 0u64..25,
        obeys in 0u64..700,
        gop in 25u64..100,
        key in 1.0..9.0f64,
        varies in 0.0..0.5f64,
        down in 0.3..0.9f64,
        up in 1.2..2.0f64,
    ) {
        let encoder = Encoder { kbps: f64::from(kbps) * over, obeys_ms: obeys, gop, key, varies, ..CAMERA };
        let mut link = Link::new(kbps, buffer, rtt);
        link.jitter_ms = jitter;
        let mut world = one(encoder, link);
        for (kbps, ms) in [
            (f64::from(kbps), 18_000),
            (f64::from(kbps) * down, 18_000),
            (f64::from(kbps) * down * up, 32_000),
        ] {
            let settled = settle(&mut world, kbps as u32, ms);
            prop_assert!((0.7..1.15).contains(&settled.mean), "{settled:?} {:?}", world.told);
            prop_assert!(settled.least > 0.5 && settled.most < 1.4, "{settled:?} {:?}", world.told);
        }
    }

    /// Nothing that a system may say breaks it, and it keeps to its bounds.
    #[test]
    fn takes_any_figures(
        samples in proptest::collection::vec(
            (0u64..5_000_000, any::<[u64; 5]>(), any::<u32>(), proptest::option::of(any::<u32>()), 0u32..3), 1..60)
    ) {
        let mut flow = Flow::default();
        let mut hint = RateHint::new(RateOptions { min: 200_000, max: 5_000_000, forwards_only: false });
        let mut now = Time::ZERO;
        for (later, [delivered, waiting, lag, wire, media], rtt, shut, skips) in samples {
            now = now + Duration::from_micros(later);
            let offered = hint.offer(now, media);
            let rtt = Duration::from_micros(rtt.into());
            let shut = shut.map(|us| Duration::from_micros(us.into()));
            flow.sample(now, &Sample { delivered, waiting, lag, wire, media, rtt, shut, skips }, &offered);
            if let Some(bits) = hint.settle(now, [(true, flow.held())].into_iter()) {
                prop_assert!(bits == 0 || (200_000..=5_000_000).contains(&bits), "{bits}");
            }
        }
    }
}
