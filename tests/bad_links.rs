//! Streams between two servers whose way to each other is bad: long, narrow, stalled, cut, or gone for a while.
//! All comes back by itself, what is left out is left out up to a keyframe, and no connection brings anything twice.

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::clients::{self, Kind, Player};
use support::flv::{self, Tag, VIDEO};
use support::live::{Camera, Seen, Shot, Viewer};
use support::netns::Link;
use support::nginx::Nginx;
use support::process::Process;
use support::proxy::{Proxy, Way};
use support::server::Server;
use support::{PATIENCE, TempDir};

const MS: Duration = Duration::from_millis(1);
/// What a camera sends, in bytes per second: half a megabit.
const RATE: usize = 500_000 / 8;
/// The same for a way whose buffers are to be full soon.
const FAST: usize = 8 * RATE;
/// Two fifths of that: what a way takes that is too narrow.
const NARROW: u32 = 8 * 200_000 / 8;
/// What a server keeps of a stream where its memory is looked at, in bytes.
const RING: u64 = 1_048_576;

/// How a stream gets from one server to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Ingest,
    /// An ingest of FLV over HTTP.
    Http,
    Edge,
    Forward,
}

const ALL: [By; 4] = [By::Ingest, By::Http, By::Edge, By::Forward];

/// Two servers and a bad network between them.
struct Pair {
    by: By,
    /// The camera's.
    first: Server,
    proxy: Proxy,
    /// The viewers'.
    last: Server,
}

impl Pair {
    /// `play` goes into the first one's settings of that name.
    fn start(by: By, play: &str) -> Self {
        let play = format!("play {{ {play} }} http_remux {{ enabled on; }}");
        if by == By::Forward {
            let last = Server::start("");
            let proxy = Proxy::start(last.address());
            let to = proxy.address();
            let first = Server::start(&format!("{play} forward {{ enabled on; destination {to}; }}"));
            return Self { by, first, proxy, last };
        }
        let first = Server::start_http(&play);
        let proxy = Proxy::start(if by == By::Http { first.http() } else { first.address() });
        let from = proxy.address();
        let url = match by {
            By::Http => format!("http://{from}/live/test.flv"),
            _ => format!("rtmp://{from}/live/test"),
        };
        let last = Server::start(&match by {
            By::Edge => format!("cluster {{ mode remote; origin {from}; }}"),
            _ => ingest(&url, "stall 1; retry 0.2;"),
        });
        Self { by, first, proxy, last }
    }

    /// A viewer at the last one of what a camera sends to the first one. It comes before the camera.
    fn watch(&self, rate: usize) -> (Viewer, Camera) {
        let viewer = Viewer::start(self.last.address(), "test");
        if self.by != By::Forward {
            self.first.wait_play("test", 1);
        }
        (viewer, Camera::start(self.first.address(), "test", rate))
    }

    /// The one that makes the connections.
    fn client(&self) -> &Server {
        if self.by == By::Forward { &self.first } else { &self.last }
    }

    fn throttle(&self, bytes_per_second: Option<u32>) {
        let way = if self.by == By::Forward { Way::Up } else { Way::Down };
        self.proxy.throttle(way, bytes_per_second);
    }
}

/// An ingest of a URL, published as `live/test`.
fn ingest(url: &str, more: &str) -> String {
    format!("ingest test {{ enabled on; {more} input {{ type stream; url {url}; }} }}")
}

/// Has `check` done with each of these at the same time: most of it is waiting.
fn each(all: &[By], check: impl Fn(By) + Sync) {
    std::thread::scope(|scope| {
        let running: Vec<_> = all.iter().map(|by| (by, scope.spawn(|| check(*by)))).collect();
        let failed: Vec<_> =
            running.into_iter().filter_map(|(by, thread)| thread.join().is_err().then_some(by)).collect();
        assert!(failed.is_empty(), "{failed:?} failed");
    });
}

/// Waits until the viewer has a frame that is sent from now on; answers how long that took.
#[track_caller]
fn wait_live(viewer: &Viewer, camera: &Camera) -> Duration {
    let now = Instant::now();
    viewer.wait_sent_after(camera, now);
    now.elapsed()
}

#[test]
fn all_comes_over_a_long_way() {
    each(&ALL, |by| {
        let pair = Pair::start(by, "");
        if by == By::Forward {
            // It connects when the camera comes; those who fetch have, by then.
            pair.proxy.delay(300 * MS);
        }
        let (viewer, camera) = pair.watch(RATE);
        pair.proxy.delay(300 * MS);
        camera.wait(4500 * MS);
        wait_live(&viewer, &camera);
        let (came, sent) = (viewer.shots(), camera.shots());
        let seen = Seen::compare(&came, &sent);
        assert_eq!((seen.holes, seen.repeats), (0, 0), "{by:?}: {seen:?}");
        assert!(seen.first == 0 || by == By::Forward, "{by:?}: {seen:?}");
        let last = Seen::compare(&came[came.len() - 20..], &sent);
        assert!(last.shortest >= 300 * MS && last.longest < 1000 * MS, "{by:?}: {last:?}");
    });
}

#[test]
fn what_fits_comes_over_a_narrow_way() {
    each(&ALL, |by| {
        let pair = Pair::start(by, &format!("queue_length 1; ring_bytes {RING};"));
        let (viewer, camera) = pair.watch(FAST);
        wait_live(&viewer, &camera);
        let servers = [&pair.first, &pair.last];
        let before = servers.map(memory);
        pair.throttle(Some(NARROW));
        camera.wait(8000 * MS);
        let after = servers.map(memory);
        pair.throttle(None);
        wait_live(&viewer, &camera);
        let seen = Seen::compare(&viewer.shots(), &camera.shots());
        println!("{by:?}: {seen:?}, {before:?} bytes became {after:?}");
        assert!(seen.holes > 0 && seen.repeats == 0, "{by:?}: {seen:?}");
        assert_eq!(pair.proxy.counts().connections, 1);
        for (before, after) in before.iter().zip(after) {
            // Frames, and their images for those who play.
            assert!(after < before + 2 * RING + 1_000_000, "{by:?}: {before} bytes became {after}");
        }
        if by == By::Forward {
            let said = "the server is too slow: frames up to a keyframe were left out, 1 times so far";
            pair.first.wait_log(1, said);
        }
    });
}

/// The memory of a server's process, in bytes.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Where frames are left out, a decoder finds nothing to complain of.
#[test]
fn what_comes_over_a_narrow_way_can_be_decoded() {
    let dir = TempDir::new();
    let file = noise(&dir, 8, "4M");
    // Times stay as they are: a picture that comes out of order has one that may lie behind a hole.
    let last = Server::start("play { time_jitter off; }");
    let proxy = Proxy::start(last.address());
    let to = proxy.address();
    let forward = format!("play {{ queue_length 1; }} forward {{ enabled on; destination {to}; }}");
    let first = Server::start(&forward);
    let player = Player::start(Kind::Rtmpdump, &last.url("test"));
    last.wait_play("test", 1);
    proxy.throttle(Way::Up, Some(NARROW));
    let publisher = clients::publish_live(&file, &first.url("test"));
    first.wait_log(1, "frames up to a keyframe were left out");
    proxy.throttle(Way::Up, None);
    publisher.finish();
    let sent = flv::track(&flv::read(&file), VIDEO);
    let is_last = |tag: &Tag| tag.body == sent[sent.len() - 1].body;
    let tags = player.wait("the last picture", |tags| tags.iter().any(is_last));
    assert_ne!(holes(&tags, &sent), 0);
    let copy = dir.join("came.flv");
    flv::write(&copy, &tags);
    let mut decoder = clients::ffmpeg();
    decoder.args(["-xerror", "-i"]).arg(&copy).args(["-f", "null", "-"]);
    let mut decoder = Process::start(&mut decoder);
    assert!(decoder.wait_end(PATIENCE).expect("a decoder that ends").success());
    assert_eq!(decoder.said(), [""; 0]);
}

/// Pictures that don't compress well, a keyframe a second, and sound.
fn noise(dir: &TempDir, seconds: u32, rate: &str) -> PathBuf {
    let path = dir.join("noise.flv");
    let source = format!("testsrc2=size=320x180:rate=25:duration={seconds},noise=alls=60:allf=t");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let mut command = clients::ffmpeg();
    command.args(["-f", "lavfi", "-i", &source, "-f", "lavfi", "-i", &sound, "-pix_fmt", "yuv420p"]);
    command.args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-sc_threshold", "0"]);
    command.args(["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-c:a", "aac", "-f", "flv"]).arg(&path);
    Process::start(&mut command).finish();
    path
}

/// A forward allows ten seconds.
#[test]
fn a_stall_is_noticed_and_got_over() {
    each(&ALL, |by| {
        let pair = Pair::start(by, "");
        let (viewer, camera) = pair.watch(FAST);
        wait_live(&viewer, &camera);
        let before = pair.proxy.counts().connections;
        pair.proxy.stall();
        pair.client().wait_log(1, "; trying again in ");
        pair.proxy.wait("it tries again", |counts| counts.connections > before);
        let took = comes_back(&pair, &viewer, &camera, || pair.proxy.resume());
        assert!(took < 2000 * MS, "{by:?}: {took:?}");
        assert_eq!(pair.proxy.counts().connections, before + 1, "{by:?}");
    });
}

#[test]
fn a_cut_is_got_over_with_the_first_try_that_can_succeed() {
    each(&ALL, |by| {
        let pair = Pair::start(by, "");
        let (viewer, camera) = pair.watch(RATE);
        wait_live(&viewer, &camera);
        pair.proxy.refuse();
        pair.proxy.cut();
        pair.client().wait_log(3, "Connection refused (os error 111)");
        let before = pair.proxy.counts().connections;
        let took = comes_back(&pair, &viewer, &camera, || pair.proxy.listen_again());
        // The longest wait of those with the longest, and a quarter more.
        assert!(took < 5000 * MS, "{by:?}: {took:?}");
        assert_eq!(pair.proxy.counts().connections, before + 1, "{by:?}");
    });
}

/// Has `back` repair the way, and waits until it is seen at the viewer's. A new connection begins with the newest
/// keyframe, which an old one may have brought already.
#[track_caller]
fn comes_back(pair: &Pair, viewer: &Viewer, camera: &Camera, back: impl FnOnce()) -> Duration {
    back();
    let took = wait_live(viewer, camera);
    let seen = Seen::compare(&viewer.shots(), &camera.shots());
    println!("{:?} is back after {took:?}: {seen:?}", pair.by);
    assert!(seen.holes + seen.repeats <= 1, "{:?}: {seen:?}", pair.by);
    took
}

/// One destination takes nothing: another one and the players don't feel it.
#[test]
fn a_dead_destination_holds_nobody_up() {
    let (dead, other) = (Server::start(""), Server::start(""));
    let proxy = Proxy::start(dead.address());
    let (to_dead, to_other) = (proxy.address(), other.address());
    let server = Server::start(&format!("forward {{ enabled on; destination {to_dead} {to_other}; }}"));
    let viewers = [&dead, &server, &other].map(|server| Viewer::start(server.address(), "test"));
    let camera = Camera::start(server.address(), "test", FAST);
    camera.wait(2000 * MS);
    viewers.iter().for_each(|viewer| assert!(wait_live(viewer, &camera) < PATIENCE));
    proxy.stall();
    let stalled = Instant::now();
    camera.wait(5000 * MS);
    for viewer in &viewers[1..] {
        wait_live(viewer, &camera);
        let (came, sent) = (viewer.shots(), camera.shots());
        let seen = Seen::compare(&came, &sent);
        assert_eq!((seen.first, seen.holes, seen.repeats), (0, 0, 0), "{seen:?}");
        let (before, after): (Vec<_>, Vec<_>) = came.into_iter().partition(|shot| shot.at < stalled);
        let [before, after] = [before, after].map(|came| lateness(&came, &sent));
        println!("{before:?} before, {after:?} after");
        assert!(after < before + 50 * MS, "{before:?} before, {after:?} after");
    }
}

/// How much later than it was sent a frame came, of all but the latest tenth.
fn lateness(came: &[Shot], sent: &[Shot]) -> Duration {
    let late = |shot: &Shot| {
        let number = shot.number()?;
        let sent = sent.iter().find(|sent| sent.number() == Some(number))?;
        Some(shot.at.saturating_duration_since(sent.at))
    };
    let mut all: Vec<Duration> = came.iter().filter_map(late).collect();
    all.sort();
    all[all.len() * 9 / 10]
}

#[test]
fn a_forward_comes_back_when_nginx_does() {
    let mut nginx = Nginx::start("");
    let server = Server::start(&format!("forward {{ enabled on; destination {}; }}", nginx.address()));
    let camera = Camera::start(server.address(), "test", RATE);
    nginx.wait_publish("test", 1);
    nginx.stop();
    server.wait_log(1, "; trying again in ");
    nginx.start_again();
    let viewer = Viewer::start(nginx.address(), "test");
    wait_live(&viewer, &camera);
    let seen = Seen::compare(&viewer.shots(), &camera.shots());
    assert_eq!((seen.holes, seen.repeats), (0, 0), "{seen:?}");
}

/// The camera has to come back to nginx too.
#[test]
fn an_ingest_comes_back_when_nginx_does() {
    let mut nginx = Nginx::start("");
    let server = Server::start(&ingest(&nginx.url("test"), "retry 0.2;"));
    nginx.wait_play("test", 1);
    let viewer = Viewer::start(server.address(), "test");
    wait_live(&viewer, &Camera::start(nginx.address(), "test", RATE));
    nginx.stop();
    server.wait_log(1, "Connection refused");
    nginx.start_again();
    nginx.wait_play("test", 1);
    let before = viewer.shots().len();
    let camera = Camera::start(nginx.address(), "test", RATE);
    viewer.wait("frames", |shots| (shots.len() > before + 50).then_some(()));
    let seen = Seen::compare(&viewer.shots()[before..], &camera.shots());
    assert_eq!((seen.first, seen.holes, seen.repeats), (0, 0, 0), "{seen:?}");
}

/// Half a megabit over a fifth of one; then the cable is out for ten seconds.
#[test]
fn a_forward_comes_back_over_a_link_that_was_down() {
    if !Link::available() {
        return;
    }
    let dir = TempDir::new();
    let file = noise(&dir, 40, "430k");
    let sent = flv::track(&flv::read(&file), VIDEO);
    let mut link = Link::new(200);
    let last = Server::start_in(link.far(), "", "");
    let to = last.address();
    let forward = format!("play {{ queue_length 1; }} forward {{ enabled on; destination {to}; }}");
    let first = Server::start_in(link.near(), "", &forward);
    let player = Player::start_in(link.far(), Kind::Rtmpdump, &last.url("test"));
    last.wait_play("test", 1);
    let _publisher = clients::publish_live_in(link.near(), &file, &first.url("test"));
    first.wait_publish("test", 1);
    let begun = Instant::now();
    player.wait("a hole", |tags| holes(tags, &sent) > 0);
    link.down();
    std::thread::sleep(10_000 * MS);
    link.up();
    let up = Instant::now();
    // One picture takes 40 ms.
    let live = begun.elapsed().as_millis() as usize / 40;
    // The far end has not waited for so long: whoever played has been told that the stream is over.
    let player = Player::start_in(link.far(), Kind::Rtmpdump, &last.url("test"));
    let is_live = |tag: &Tag| sent.iter().position(|sent| sent.body == tag.body) > Some(live);
    let tags = player.wait("pictures that are sent from now on", |tags| tags.iter().any(is_live));
    assert!(up.elapsed() < 8_000 * MS, "{:?}", up.elapsed());
    assert!(flv::track(&tags, VIDEO)[0].is_video_key());
    holes(&tags, &sent);
}

/// How many holes there are between pictures. After each they go on with a keyframe.
#[track_caller]
fn holes(tags: &[Tag], sent: &[Tag]) -> usize {
    let place = |tag: &Tag| sent.iter().position(|sent| sent.body == tag.body).expect("what was sent");
    let places: Vec<usize> = flv::track(tags, VIDEO).iter().map(place).collect();
    let holes: Vec<_> = places.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    for pair in &holes {
        assert!(pair[1] > pair[0] && sent[pair[1]].is_video_key(), "picture {} after {}", pair[1], pair[0]);
    }
    holes.len()
}
