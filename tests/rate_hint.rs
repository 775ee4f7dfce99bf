//! An encoder that follows the hint of what its way holds, over links of a rate that changes: real kernels' TCP,
//! a real server and a real player at the far end. The encoder is the C program that shows how it is done.

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::flv::{self, Tag};
use support::netns::{Link, Place};
use support::process::{Feed, Process, pump};
use support::proxy::{Proxy, Way};
use support::server::{Server, program};

/// The part of an Ethernet packet that TCP carries.
const PAYLOAD: f64 = 1448.0 / 1514.0;

/// The program that follows.
struct Following {
    _process: Process,
    port: u16,
    began: Instant,
    /// When, in ms since it began, and what was hinted, in bits per second.
    hints: Arc<Feed<(u64, u32)>>,
}

impl Following {
    /// It makes 4 Mbit/s where nothing limits it.
    fn start(place: &Place, url: &str) -> Self {
        let port = match place.ip().is_loopback() {
            true => support::free_port(),
            false => 1935,
        };
        let mut command = place.command(program().with_file_name("forward-following"));
        command.args([url, &port.to_string(), "4000"]);
        let (process, stdout) = Process::piped(&mut command);
        let (hints, ready) = (Feed::new(), Feed::new());
        let (to_hints, to_ready) = (Arc::clone(&hints), Arc::clone(&ready));
        let mut text = String::new();
        pump(stdout, move |bytes| {
            text.push_str(&String::from_utf8_lossy(bytes));
            while let Some((line, rest)) = text.split_once('\n') {
                let words: Vec<&str> = line.split([' ', ',']).collect();
                match words[..] {
                    ["rtmp", "port", _] => to_ready.push(()),
                    [ms, "ms:", "hint", bits, ..] => {
                        to_hints.push((ms.parse().expect("a time"), bits.parse().expect("a rate")));
                    }
                    _ => panic!("{line:?}"),
                }
                text = rest.to_owned();
            }
        });
        ready.wait(PATIENCE, |ready, _| ready.first().copied()).expect("a program that starts");
        Self { _process: process, port, began: Instant::now(), hints }
    }

    fn ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// The least and the most that was in force in a span of time, and the average, in kbit/s.
    fn hinted(&self, span: std::ops::Range<u64>) -> (f64, f64, f64) {
        let mut hints = self.hints.wait(Duration::ZERO, |hints, _| Some(hints.to_vec())).unwrap_or_default();
        hints.insert(0, (0, 4_000_000));
        let (mut least, mut most, mut sum) = (f64::INFINITY, 0.0_f64, 0.0);
        for (at, (from, bits)) in hints.iter().enumerate() {
            let to = hints.get(at + 1).map_or(u64::MAX, |(at, _)| *at).min(span.end);
            let from = (*from).max(span.start);
            if from < to {
                let kbps = if *bits == 0 { 4000.0 } else { f64::from(*bits) / 1000.0 };
                (least, most) = (least.min(kbps), most.max(kbps));
                sum += kbps * (to - from) as f64;
            }
        }
        (least, most, sum / (span.end - span.start) as f64)
    }
}

/// A player, and when each tag came.
struct Watching {
    _process: Process,
    tags: Arc<Feed<(Instant, Tag)>>,
}

impl Watching {
    fn start(place: &Place, url: &str) -> Self {
        let mut command = Command::new("stdbuf");
        command.args(["-o0", "rtmpdump", "-q", "-v", "-r", url, "-o", "-"]);
        let (process, stdout) = Process::piped(&mut place.wrap(&command));
        let tags = Feed::new();
        let feed = Arc::clone(&tags);
        let mut parser = flv::Parser::default();
        pump(stdout, move |bytes| {
            parser.feed(bytes).into_iter().for_each(|tag| feed.push((Instant::now(), tag)));
        });
        Self { _process: process, tags }
    }

    /// Waits for a frame of that time or later.
    #[track_caller]
    fn wait(&self, ms: u64) {
        let came = self.tags.wait(PATIENCE, |tags, _| {
            tags.last().is_some_and(|(_, tag)| u64::from(tag.time) >= ms).then_some(())
        });
        came.expect("a stream that goes on");
    }

    /// How much later than the earliest frames of a span came at most, and how often frames are missing.
    fn late(&self, span: std::ops::Range<u64>) -> (Duration, usize) {
        let tags = self.tags.wait(Duration::ZERO, |tags, _| Some(tags.to_vec())).unwrap_or_default();
        let frames: Vec<_> = tags.iter().filter(|(_, tag)| tag.is_frame()).collect();
        let first = frames.first().expect("frames").0;
        let late = |(at, tag): &&(Instant, Tag)| {
            let came = at.duration_since(first).as_millis() as i64;
            came - i64::from(tag.time)
        };
        let least = frames.iter().map(late).min().unwrap_or(0);
        let inside: Vec<_> =
            frames.iter().filter(|(_, tag)| span.contains(&u64::from(tag.time))).copied().collect();
        let most = inside.iter().map(late).max().unwrap_or(0) - least;
        let holes = inside.windows(2).filter(|pair| pair[1].1.time > pair[0].1.time + 60).count();
        (Duration::from_millis(most as u64), holes)
    }
}

/// Gives the way one rate after another, in kbit/s, and after so many ms holds what was hinted against what it
/// holds, of which `payload` is the stream's. It may hide so much itself from those who measure it.
fn follows(
    what: &str,
    following: &Following,
    watching: &Watching,
    (payload, hidden): (f64, Duration),
    rates: &[(u32, u64)],
    mut change: impl FnMut(u32),
) {
    for (kbps, settles) in rates {
        change(*kbps);
        let changed = following.ms();
        let span = changed + settles..changed + settles + 5000;
        watching.wait(span.end);
        let holds = f64::from(*kbps) * payload;
        let (least, most, mean) = following.hinted(span.clone());
        let (late, holes) = watching.late(span.clone());
        let part = |rate: f64| (rate / holds * 100.0).round() / 100.0;
        let found = format!(
            "{what}: {kbps} kbit/s after {settles} ms: {} of what it holds, from {} to {}, {late:?} late, {holes} holes",
            part(mean),
            part(least),
            part(most)
        );
        println!("{found}");
        let all = || following.hints.wait(Duration::ZERO, |hints, _| Some(hints.to_vec()));
        assert!((0.8..1.2).contains(&part(mean)), "{found}: {:?}", all());
        assert!(most / least < 1.7, "{found}: {:?}", all());
        assert!(late < Duration::from_millis(700) + hidden, "{found}: {:?}", all());
        assert_eq!(holes, 0, "{found}: {:?}", all());
    }
}

#[test]
fn a_forward_over_a_narrow_link_is_followed() {
    if !Link::available() {
        return;
    }
    let mut link = Link::new(1500);
    let last = Server::start_in(link.far(), "", "");
    let watching = Watching::start(link.far(), &last.url("camera"));
    last.wait_play("camera", 1);
    let following = Following::start(link.near(), &last.url("camera"));
    let rates = [(1500, 5000), (700, 5000), (2000, 15_000)];
    follows("forward", &following, &watching, (PAYLOAD, Duration::ZERO), &rates, |kbps| link.rate(kbps));
}

#[test]
fn a_player_over_a_narrow_link_is_followed() {
    if !Link::available() {
        return;
    }
    let mut link = Link::new(2500);
    let following = Following::start(link.near(), "-");
    let url = format!("rtmp://{}:{}/live/camera", link.near().ip(), following.port);
    let watching = Watching::start(link.far(), &url);
    let rates = [(2500, 6000), (1000, 6000)];
    follows("player", &following, &watching, (PAYLOAD, Duration::ZERO), &rates, |kbps| link.rate(kbps));
}

/// There it is a reader who is slow: its window is what limits. It has some 100 KB in its own buffers.
#[test]
fn a_forward_through_a_slow_proxy_is_followed() {
    let last = Server::start("");
    let proxy = Proxy::start(last.address());
    proxy.delay(Duration::from_millis(20));
    proxy.throttle(Way::Up, Some(1500 * 125));
    let watching = Watching::start(&Place::here(), &last.url("camera"));
    last.wait_play("camera", 1);
    let url = format!("rtmp://{}/live/camera", proxy.address());
    let following = Following::start(&Place::here(), &url);
    let rates = [(1500, 6000), (800, 6000)];
    follows("proxy", &following, &watching, (1.0, Duration::from_secs(1)), &rates, |kbps| {
        proxy.throttle(Way::Up, Some(kbps * 125));
    });
}
