//! What a player costs: no allocation per frame, and little memory.

#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
