//! What a player costs: no allocation per frame, and little memory.

#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use camrill::engine::Role;
use support::host::Host;
use support::rtmp_client::{Client, Media};

/// Counts allocations of the engine's thread, and the bytes that the whole process holds.
struct Counting;

static ALLOCATIONS: AtomicI64 = AtomicI64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn count(bytes: i64) {
    LIVE.fetch_add(bytes, Ordering::Relaxed);
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the counters are the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes everything that is there, and goes on until `bytes` have come.
fn take(mut socket: &TcpStream, mut bytes: usize) {
    let mut buffer = [0; 16 * 1024];
    while bytes > 0 {
        let most = bytes.min(buffer.len());
        match socket.read(&mut buffer[..most]) {
            Ok(0) => panic!("closed"),
            Ok(n) => bytes -= n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// Allocations of the engine over `frames` frames to `players`.
fn allocations(players: usize, frames: u32) -> i64 {
    const SIZE: usize = 3000;
    let host = Host::start("");
    host.run(|_| COUNTED.with(|counted| counted.set(true)));
    let mut p = host.publish("a");
    let mut sockets = Vec::new();
    for _ in 0..players {
        sockets.push(host.play("a").into_socket());
    }
    let mut send = |n: u32| {
        p.send(&if n.is_multiple_of(10) { Media::key(n * 40, SIZE) } else { Media::delta(n * 40, SIZE) });
        for socket in &sockets {
            take(socket, SIZE + 12);
        }
    };
    // Until every buffer has the size that it needs.
    (0..50).for_each(&mut send);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (50..50 + frames).for_each(&mut send);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn a_frame_costs_no_allocation_per_player() {
    let _alone = alone();
    const FRAMES: u32 = 500;
    let (few, many) = (allocations(10, FRAMES), allocations(50, FRAMES));
    println!("{FRAMES} frames: {few} allocations with 10 players, {many} with 50");
    assert!(many <= few + i64::from(FRAMES) / 10, "{few} with 10 players, {many} with 50");
}

/// A second of the stream's time, as long as a lone track waits for the other.
const TRACKS_KNOWN: Duration = Duration::from_millis(1100);

/// A configuration with HTTP, and where that is served.
fn host_with_http(vhost: &str) -> (Host, SocketAddr) {
    let host = Host::start_with(
        &format!(
            "listen 127.0.0.1:0; max_connections 5000; http_server {{ enabled on; listen 127.0.0.1:0; }}
             vhost __defaultVhost__ {{ http_remux {{ enabled on; }} {vhost} }}"
        ),
        |_| (),
    );
    let address = host.run(|engine| engine.addresses_of(|role| role != Role::Rtmp)[0]);
    (host, address)
}

/// Asks for a path, and takes the answer's head.
fn get(address: SocketAddr, path: &str) -> TcpStream {
    let websocket = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (path, more) = path.strip_prefix("ws:").map_or((path, ""), |path| (path, websocket));
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n").unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "an answer");
        head.push(byte[0]);
    }
    let status = if more.is_empty() { "HTTP/1.1 200 " } else { "HTTP/1.1 101 " };
    assert!(head.starts_with(status.as_bytes()), "{}", String::from_utf8_lossy(&head));
    socket
}

/// Waits until the engine has gone round, whatever it was at.
fn gone_round(host: &Host) {
    // The first may be done by a turn that had begun before.
    host.stats();
    host.stats();
}

/// Takes at least `bytes`, and what is there behind them.
fn take_all(mut socket: &TcpStream, bytes: usize) {
    take(socket, bytes);
    socket.set_nonblocking(true).unwrap();
    while socket.read(&mut [0; 16 * 1024]).is_ok_and(|n| n > 0) {}
    socket.set_nonblocking(false).unwrap();
}

/// Allocations of the engine over `frames` frames to `players` over HTTP.
fn http_allocations(path: &str, players: usize, frames: u32) -> i64 {
    const SIZE: usize = 3000;
    let (host, address) = host_with_http("");
    let mut p = host.publish("a");
    p.send_all(&headers());
    p.sync();
    std::thread::sleep(TRACKS_KNOWN);
    host.run(|_| COUNTED.with(|counted| counted.set(true)));
    let sockets: Vec<TcpStream> = (0..players).map(|_| get(address, path)).collect();
    let mut send = |n: u32| {
        p.send(&if n.is_multiple_of(10) { key(n * 40, SIZE) } else { delta(n * 40, SIZE) });
        sockets.iter().for_each(|socket| take_all(socket, SIZE));
    };
    // Until every buffer has the size that it needs.
    (0..50).for_each(&mut send);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (50..50 + frames).for_each(&mut send);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The sequence header of 720p.
fn headers() -> [Media; 1] {
    let sps = [
        0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00,
        0x00, 0x03, 0x01, 0xe0, 0x78, 0xc1, 0x8c, 0xb0,
    ];
    let mut body = vec![0x17, 0, 0, 0, 0, 1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, sps.len() as u8];
    body.extend(sps);
    body.extend([1, 0, 5, 0x68, 0xeb, 0xe3, 0xcb, 0x20]);
    [Media(9, 0, body.into())]
}

/// A frame of one slice, as its codec has it.
fn slice(head: &[u8; 5], nal: u8, ts: u32, size: usize) -> Media {
    let mut body = head.to_vec();
    body.extend((size as u32).to_be_bytes());
    body.push(nal);
    body.resize(9 + size, 0x5a);
    Media(9, ts, body.into())
}

fn key(ts: u32, size: usize) -> Media {
    slice(&[0x17, 1, 0, 0, 0], 0x65, ts, size)
}

fn delta(ts: u32, size: usize) -> Media {
    slice(&[0x27, 1, 0, 0, 0], 0x41, ts, size)
}

#[test]
fn a_frame_costs_no_allocation_per_player_over_http() {
    let _alone = alone();
    const FRAMES: u32 = 200;
    for path in ["/live/a.flv", "/live/a.ts", "/live/a.mp4", "ws:/live/a.flv", "ws:/live/a.mp4"] {
        let (few, many) = (http_allocations(path, 10, FRAMES), http_allocations(path, 50, FRAMES));
        println!("{path}, {FRAMES} frames: {few} allocations with 10 players, {many} with 50");
        assert!(many <= few + i64::from(FRAMES) / 10, "{path}: {few} with 10 players, {many} with 50");
    }
}

#[test]
fn a_player_over_http_costs_little_memory() {
    let _alone = alone();
    let (host, address) = host_with_http("");
    let mut p = host.publish("a");
    p.send_all(&headers());
    p.send_all(&[key(0, 1000), delta(40, 1000)]);
    p.sync();
    std::thread::sleep(TRACKS_KNOWN);
    for path in ["/live/a.flv", "/live/a.ts", "/live/a.mp4", "ws:/live/a.flv", "ws:/live/a.mp4"] {
        let playing = || {
            let socket = get(address, path);
            let mut first = [0];
            (&socket).read_exact(&mut first).unwrap();
            socket
        };
        // The tables have their size.
        bytes_each(&host, 10, playing);
        let (with, after) = bytes_each(&host, 200, playing);
        println!("{path}: {with} bytes each, {after} each after they have gone");
        assert!(with < 2048, "{path}: {with} bytes each");
    }
}

#[test]
fn hls_holds_no_more_than_its_window_and_its_limit_of_bytes() {
    let _alone = alone();
    const SIZE: usize = 10_000;
    /// Bytes that the engine holds after so many seconds of 100 KB each.
    fn held(hls: &str, seconds: &[u32]) -> Vec<i64> {
        let (host, _) = host_with_http(&format!("hls {{ enabled on; hls_fragment 2; {hls} }}"));
        let mut p = host.publish("a");
        p.send_all(&headers());
        p.sync();
        let before = LIVE.load(Ordering::Relaxed);
        let mut sent = 0;
        let mut held = Vec::new();
        for end in seconds {
            while sent < end * 10 {
                p.send(&if sent.is_multiple_of(10) {
                    key(sent * 100, SIZE)
                } else {
                    delta(sent * 100, SIZE)
                });
                sent += 1;
            }
            p.sync();
            gone_round(&host);
            held.push(LIVE.load(Ordering::Relaxed) - before);
        }
        held
    }
    // As long again as the playlist is kept what has left it; the ring has a GOP or two.
    let window = held("hls_window 12;", &[60, 120, 240]);
    println!("by window: {window:?}");
    assert!(window.iter().all(|held| (2_400_000..3_300_000).contains(held)), "{window:?}");
    let limit = held("hls_window 60; hls_max_bytes 1000000;", &[60, 120, 240]);
    println!("by bytes: {limit:?}");
    // A third of the limit is the most that the segment which has begun has.
    assert!(limit.iter().all(|held| (500_000..1_800_000).contains(held)), "{limit:?}");
}

/// Bytes held for each of `n` clients that `make` adds, and for each after they have gone.
fn bytes_each(host: &Host, n: usize, make: impl Fn() -> TcpStream) -> (i64, i64) {
    bytes_each_until(host, n, make, Vec::clear)
}

/// The same of clients that go when `end` has been done.
fn bytes_each_until(
    host: &Host,
    n: usize,
    make: impl Fn() -> TcpStream,
    end: impl FnOnce(&mut Vec<TcpStream>),
) -> (i64, i64) {
    let live = || {
        host.stats();
        host.events();
        LIVE.load(Ordering::Relaxed)
    };
    let connections = host.stats().connections;
    let mut sockets = Vec::with_capacity(n);
    let before = live();
    for _ in 0..n {
        sockets.push(make());
        host.events();
    }
    let with = live() - before;
    end(&mut sockets);
    host.until("they are gone", move |engine| engine.stats().connections == connections);
    let after = live() - before;
    (with / n as i64, after / n as i64)
}

#[test]
fn a_player_costs_little_memory() {
    let _alone = alone();
    let host = Host::start("max_connections 5000;");
    let mut p = host.publish("a");
    p.send_all(&[Media::video_header(0, 1), Media::key(0, 1000), Media::delta(40, 1000)]);
    p.sync();
    let address = host.address();
    // The tables have their size.
    bytes_each(&host, 10, || Client::play(address, "live", "a").into_socket());
    let waiting = bytes_each(&host, 200, || Client::play(address, "live", "nothing").into_socket());
    let playing = bytes_each(&host, 200, || {
        let mut q = Client::play(address, "live", "a");
        q.medias(3);
        q.into_socket()
    });
    let silent = bytes_each(&host, 200, || TcpStream::connect(address).unwrap());
    println!("bytes each: waiting {waiting:?}, playing {playing:?}, silent {silent:?}");
    // What is left of so few says little: a table keeps up to 64 places.
    for (what, (with, _)) in [("waiting", waiting), ("playing", playing), ("silent", silent)] {
        assert!(with < 2048, "{what}: {with} bytes each");
    }
}

#[test]
fn thousands_that_time_out_leave_nothing() {
    let _alone = alone();
    let host = Host::start("max_connections 5000; handshake_timeout 2000;");
    let _p = host.publish("a");
    let address = host.address();
    let silent = || TcpStream::connect(address).unwrap();
    let (with, after) = bytes_each_until(&host, 3000, silent, |_| ());
    println!("3000 silent connections: {with} bytes each, {after} each after they have gone");
    assert!(with < 2048 && after < 24, "{with} bytes each, {after} after");
}
