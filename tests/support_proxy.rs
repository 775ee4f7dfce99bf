//! The proxy that tests put between a client and a server: what it does to bytes is what it was told.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::PATIENCE;
use support::proxy::{Proxy, Way};

/// A client and the server's side of its connection, through a proxy.
struct Pair {
    proxy: Proxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap());
        let client = connect(proxy.address());
        let server = accept(&listener);
        Self { proxy, listener, client, server }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Bytes that repeat nowhere soon.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).take(len).collect()
}

fn read(mut socket: &TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// How long `socket` takes for so many bytes.
fn time_to_read(socket: &TcpStream, len: usize) -> Duration {
    let start = Instant::now();
    read(socket, len);
    start.elapsed()
}

fn is_quiet(socket: &TcpStream, duration: Duration) -> bool {
    socket.set_read_timeout(Some(duration)).unwrap();
    let peeked = socket.peek(&mut [0]);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[track_caller]
fn assert_reset(mut socket: &TcpStream) {
    let error = socket.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[track_caller]
fn assert_within(measured: f64, expected: f64, share: f64) {
    let off = (measured / expected - 1.0).abs();
    assert!(off <= share, "{measured:.3} is not within {share} of {expected:.3}");
}

#[test]
fn all_passes_both_ways_and_ends_pass_too() {
    let Pair { proxy, mut client, mut server, .. } = Pair::start();
    let bytes = noise(5_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(&bytes).unwrap());
        assert_eq!(read(&server, bytes.len()), bytes);
    });
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| server.write_all(&bytes[..3_000_000]).unwrap());
        assert_eq!(read(&client, 3_000_000), bytes[..3_000_000]);
    });
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let counts = proxy.wait("both have ended", |counts| counts.open == 0);
    assert_eq!((counts.connections, counts.up, counts.down), (1, 5_000_000, 3_000_000));
}

#[test]
fn each_byte_comes_later_by_the_delay() {
    let Pair { proxy, mut client, mut server, .. } = Pair::start();
    let delay = Duration::from_millis(150);
    proxy.delay(delay);
    let trips = (0..3).map(|_| {
        let start = Instant::now();
        client.write_all(b"ping").unwrap();
        read(&server, 4);
        let there = start.elapsed();
        server.write_all(b"pong").unwrap();
        read(&client, 4);
        let back = start.elapsed();
        assert!(there >= delay && back >= 2 * delay, "{there:?} and {back:?}");
        back
    });
    assert_within(trips.min().unwrap().as_secs_f64(), 0.3, 0.15);
    // Without it, what is under way comes at once.
    proxy.delay(Duration::from_secs(60));
    client.write_all(b"late").unwrap();
    assert!(is_quiet(&server, Duration::from_millis(50)));
    proxy.delay(Duration::ZERO);
    assert_eq!(read(&server, 4), b"late");
}

#[test]
fn each_way_has_its_rate() {
    let Pair { proxy, client, server, .. } = Pair::start();
    proxy.throttle(Way::Up, Some(200_000));
    proxy.throttle(Way::Down, Some(50_000));
    let bytes = noise(300_000);
    std::thread::scope(|scope| {
        scope.spawn(|| (&client).write_all(&bytes).unwrap());
        scope.spawn(|| (&server).write_all(&bytes).unwrap());
        let down = scope.spawn(|| time_to_read(&client, 50_000).as_secs_f64());
        let up = time_to_read(&server, 200_000).as_secs_f64();
        assert_within(up, 1.0, 0.15);
        assert_within(down.join().unwrap(), 1.0, 0.15);
        // The rest as fast as it goes, so that the writers end.
        proxy.throttle(Way::Up, None);
        proxy.throttle(Way::Down, None);
        let rest = scope.spawn(|| time_to_read(&client, 250_000));
        assert!(time_to_read(&server, 100_000) < Duration::from_millis(500));
        assert!(rest.join().unwrap() < Duration::from_millis(500));
    });
}

#[test]
fn bytes_trickle_one_by_one() {
    let Pair { proxy, mut client, server, .. } = Pair::start();
    proxy.throttle(Way::Up, Some(20));
    client.write_all(&noise(1000)).unwrap();
    assert!(time_to_read(&server, 1) < Duration::from_millis(50));
    assert_within(time_to_read(&server, 20).as_secs_f64(), 1.0, 0.15);
}

/// Whoever sends into a throttled proxy is held up soon: it takes what fits into its small buffers.
#[test]
fn the_sender_feels_what_is_held() {
    let Pair { proxy, mut client, server, .. } = Pair::start();
    proxy.stall();
    client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    socket2::SockRef::from(&client).set_send_buffer_size(16 * 1024).unwrap();
    let bytes = noise(2_000_000);
    let mut sent = 0;
    while let Ok(count) = client.write(&bytes[sent..]) {
        sent += count;
    }
    assert!((64 * 1024..256 * 1024).contains(&sent), "{sent} bytes went in");
    assert!(is_quiet(&server, Duration::from_millis(50)));
    proxy.resume();
    assert_eq!(read(&server, sent), bytes[..sent]);
}

#[test]
fn a_stalled_proxy_accepts_and_holds() {
    let Pair { proxy, listener, mut client, server } = Pair::start();
    proxy.stall();
    client.write_all(b"first").unwrap();
    let mut second = connect(proxy.address());
    second.write_all(b"second").unwrap();
    proxy.wait("both are accepted", |counts| counts.connections == 2 && counts.open == 2);
    let other = accept(&listener);
    assert!(is_quiet(&server, Duration::from_millis(100)) && is_quiet(&other, Duration::from_millis(1)));
    assert_eq!(proxy.counts().up, 0);
    proxy.resume();
    assert_eq!(read(&server, 5), b"first");
    assert_eq!(read(&other, 6), b"second");
}

#[test]
fn a_cut_resets_both_sides_and_new_ones_pass() {
    let Pair { proxy, listener, client, server } = Pair::start();
    proxy.cut();
    assert_reset(&client);
    assert_reset(&server);
    let mut client = connect(proxy.address());
    let server = accept(&listener);
    client.write_all(b"again").unwrap();
    assert_eq!(read(&server, 5), b"again");
    assert_eq!(proxy.wait("one is left", |counts| counts.open == 1).connections, 2);
}

#[test]
fn it_refuses_until_it_listens_again() {
    let Pair { proxy, listener, mut client, server } = Pair::start();
    proxy.refuse();
    let refused = TcpStream::connect(proxy.address()).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    client.write_all(b"still").unwrap();
    assert_eq!(read(&server, 5), b"still");
    proxy.listen_again();
    let mut client = connect(proxy.address());
    client.write_all(b"again").unwrap();
    assert_eq!(read(&accept(&listener), 5), b"again");
}

#[test]
fn a_reset_passes_and_a_server_that_is_not_there_is_one() {
    let Pair { proxy, listener, client, server } = Pair::start();
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    assert_reset(&client);
    drop(listener);
    assert_reset(&connect(proxy.address()));
    proxy.wait("none is left", |counts| counts.connections == 2 && counts.open == 0);
}
