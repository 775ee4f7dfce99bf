//! The configuration of nginx that is shipped, in front of a device: hundreds of viewers, and the device is
//! asked for each segment once.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use support::encoder::{Clip, Encoder};
use support::hls::Playlist;
use support::host::Host;
use support::http::{self, Connection};
use support::process::Process;
use support::{PATIENCE, TempDir, free_port, repository};

const VIEWERS: usize = 200;
const ROUNDS: u64 = 4;
const SECOND_US: i64 = 1_000_000;

/// nginx with the shipped file, which is changed in nothing but its address, its device's and its folder.
struct Cache {
    _process: Process,
    address: SocketAddr,
    dir: TempDir,
}

impl Cache {
    fn start(device: SocketAddr) -> Self {
        let dir = TempDir::new();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut shipped =
            std::fs::read_to_string(repository("examples-c/nginx-cache.conf")).expect("the shipped file");
        for (from, to) in [
            ("/var/cache/nginx/camrill", dir.join("cache").display().to_string()),
            ("192.168.1.10:8080", device.to_string()),
            ("listen 80;", format!("listen {address};")),
        ] {
            assert_eq!(shipped.matches(from).count(), 1, "{from}");
            shipped = shipped.replace(from, &to);
        }
        let config = dir.join("nginx.conf");
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr info;\n\
             events {{ worker_connections 2048; }}\n\
             http {{ log_format asked '$status $upstream_cache_status $uri'; access_log asked.log asked;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;\n\
             scgi_temp_path t5;\n{shipped}\n}}\n"
        );
        std::fs::write(&config, text).expect("the configuration");
        let mut nginx = Command::new("/usr/sbin/nginx");
        let process = Process::start(nginx.arg("-p").arg(dir.join("")).arg("-c").arg(&config));
        process.wait_log(1, "RLIMIT_NOFILE");
        Self { _process: process, address, dir }
    }

    /// How often each path was answered from the device and from the cache.
    fn asked(&self) -> BTreeMap<String, (usize, usize)> {
        let log = std::fs::read_to_string(self.dir.join("asked.log")).expect("nginx's log");
        let mut asked = BTreeMap::new();
        for line in log.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            assert_eq!(fields[0], "200", "{line}");
            let (device, cache) = asked.entry(fields[2].to_owned()).or_insert((0, 0));
            match fields[1] {
                "HIT" | "STALE" | "UPDATING" => *cache += 1,
                _ => *device += 1,
            }
        }
        asked
    }
}

/// Fetches what the playlist lists and wasn't fetched, until the segment `seq` is among it.
fn watch(connection: &mut Connection, next: &mut u64, seq: u64) {
    let end = Instant::now() + PATIENCE;
    while *next <= seq {
        assert!(Instant::now() < end, "segment {seq} never came");
        let answer = connection.get("/live/test.m3u8");
        assert_eq!(answer.status, 200);
        let list = Playlist::read(&answer.text());
        if list.next_seq() <= seq {
            // As players do, at an interval.
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        for segment in list.segments.iter().filter(|segment| segment.seq >= *next) {
            let answer = connection.get(&format!("/live/{}", segment.uri));
            assert_eq!(answer.status, 200);
            assert!(answer.body.len().is_multiple_of(188) && answer.body[0] == 0x47);
        }
        *next = list.next_seq();
    }
}

#[test]
fn the_device_is_asked_for_each_segment_once() {
    let host = Host::start(
        "http_server { enabled on; listen 127.0.0.1:0; dir ./nowhere; }
         vhost __defaultVhost__ { play { time_jitter off; }
             hls { enabled on; hls_ctx off; hls_fragment 2; hls_window 20; } }",
    );
    let clip = Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US);
    let encoder = Encoder::publish(&host);
    encoder.write(clip.headers());
    let write = |n: u64| {
        let at = n as i64 * 2 * SECOND_US;
        let from = at % clip.length_us;
        encoder.write(clip.frames(from..from + 2 * SECOND_US, at));
    };
    // The first of two has ended when the second has begun.
    (0..2).for_each(write);
    let cache = Cache::start(host.http());
    let barrier = Barrier::new(VIEWERS + 1);
    std::thread::scope(|scope| {
        for _ in 0..VIEWERS {
            scope.spawn(|| {
                let (mut connection, mut next) = (Connection::open(cache.address), 0);
                for round in 0..ROUNDS {
                    watch(&mut connection, &mut next, round);
                    barrier.wait();
                }
            });
        }
        for round in 0..ROUNDS {
            barrier.wait();
            write(round + 2);
        }
    });
    let asked = cache.asked();
    let segments: Vec<_> = asked.iter().filter(|(path, _)| path.ends_with(".ts")).collect();
    assert_eq!(segments.len() as u64, ROUNDS, "{asked:?}");
    for (path, (device, from_cache)) in segments {
        assert_eq!((*device, *from_cache), (1, VIEWERS - 1), "{path}");
    }
    let (device, from_cache) = asked["/live/test.m3u8"];
    assert!(device <= 2 + 2 * ROUNDS as usize && from_cache >= VIEWERS, "{device} and {from_cache}");

    // The device goes: what it has said last is still there.
    encoder.end();
    drop(host);
    for path in ["/live/test.m3u8", "/live/test-0.ts"] {
        let answer = http::get(cache.address, path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.head.matches("Access-Control-Allow-Origin: *").count(), 1, "{}", answer.head);
    }
}
