//! What no honest client does. Each test does it to an engine over which a publisher and a player go on
//! streaming, and then holds four things: the log names the session and the cause, the connection is
//! closed or bounded, what it cost is given back, and the two have not missed a frame.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use camrill::amf::Value;
use camrill::rtmp::message::{type_id, user_control};
use socket2::{Domain, SockRef, Socket, Type};
use support::host::Host;
use support::logs::{Line, Logs};
use support::rtmp_client::{Client, Media};

/// Frames between two keyframes of the good stream, and their size.
const GOP: u32 = 25;
const SIZE: usize = 1000;

/// A publisher and a player who stream until they are told to stop.
struct Pair {
    stop: mpsc::Sender<()>,
    publisher: JoinHandle<u32>,
    player: JoinHandle<()>,
}

impl Pair {
    fn start(host: &Host) -> Self {
        let mut p = host.publish("good");
        let mut q = host.play("good");
        let (stop, stopped) = mpsc::channel();
        let publisher = std::thread::spawn(move || {
            p.send(&Media::video_header(0, 1));
            for n in 0.. {
                p.send(&frame(n));
                match stopped.recv_timeout(Duration::from_millis(5)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => {
                        p.send(&Media::audio(n * 40));
                        p.close();
                        return n + 1;
                    }
                }
            }
            0
        });
        let player = std::thread::spawn(move || {
            assert_eq!(q.media(), Some(Media::video_header(0, 1)));
            let mut n = 0;
            loop {
                let media = q.media().expect("the good player stays");
                if media == Media::audio((n.max(1) - 1) * 40) {
                    q.close();
                    return;
                }
                assert_eq!(media, frame(n), "the good player misses nothing");
                n += 1;
            }
        });
        Self { stop, publisher, player }
    }

    fn finish(self) {
        let _ = self.stop.send(());
        let frames = self.publisher.join().expect("the good publisher is undisturbed");
        self.player.join().expect("the good player is undisturbed");
        assert!(frames > 0);
    }
}

fn frame(n: u32) -> Media {
    if n.is_multiple_of(GOP) { Media::key(n * 40, SIZE) } else { Media::delta(n * 40, SIZE) }
}

/// Runs an attack against an engine with a good pair on it, and sees that nothing of it stays.
#[track_caller]
fn attack(config: &str, attack: impl FnOnce(&Host, &Logs)) {
    let logs = support::logs::install();
    let host = Host::start(&format!("max_connections 30000; {config}"));
    let pair = Pair::start(&host);
    host.until("the pair streams", |engine| engine.stats().players == 1);
    attack(&host, logs);
    host.until("the attackers are gone and what they cost too", |engine| {
        let stats = engine.stats();
        stats.connections == 2 && stats.streams == 1 && stats.media_bytes <= u64::from(GOP) * 2100 + 100
    });
    pair.finish();
    host.until("all is given back", |engine| {
        let stats = engine.stats();
        (stats.connections, stats.streams, stats.media_bytes) == (0, 0, 0)
    });
}

/// A raw connection and its session.
fn raw(host: &Host, logs: &Logs) -> (TcpStream, Line) {
    let socket = TcpStream::connect(host.address()).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let session = logs.session(host.thread(), socket.local_addr().unwrap());
    (socket, session)
}

fn session(host: &Host, logs: &Logs, client: &Client) -> Line {
    logs.session(host.thread(), client.socket.local_addr().unwrap())
}

/// Reads until the server has closed, whatever comes.
fn wait_closed(mut socket: &TcpStream) {
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// A raw connection that sends `bytes` and is then closed for `cause`.
fn sends(host: &Host, logs: &Logs, bytes: &[u8], cause: &str) {
    let (mut socket, session) = raw(host, logs);
    let _ = socket.write_all(bytes);
    logs.wait_for(&session, cause);
    wait_closed(&socket);
}

/// Numbers that look random and are the same each time.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..n).map(next).collect()
}

#[test]
fn other_protocols_in_place_of_a_handshake() {
    attack("", |host, logs| {
        sends(host, logs, &noise(10_000), "closed: handshake: not RTMP: the first byte is 0x");
        sends(host, logs, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "this looks like HTTP");
        sends(host, logs, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "this looks like TLS");
        sends(host, logs, &[6; 2000], "encrypted RTMP");
    });
}

#[test]
fn noise_behind_a_handshake() {
    attack("", |host, logs| {
        for skip in 0..20 {
            let (mut socket, session) = raw(host, logs);
            let bytes = [&[3][..], &[0; 3072], &noise(100_000)[skip * 1000..]].concat();
            let _ = socket.write_all(&bytes);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            logs.wait_for(&session, "closed: ");
            wait_closed(&socket);
        }
    });
}

#[test]
fn handshakes_that_stop_half_way() {
    attack("handshake_timeout 1000;", |host, logs| {
        let mut all = Vec::new();
        for (bytes, cause) in [
            (vec![], "timeout: no whole handshake within 1000 ms"),
            (vec![3], "timeout: no whole handshake within 1000 ms"),
            (vec![3; 1000], "timeout: no whole handshake within 1000 ms"),
            (vec![3; 3000], "timeout: no whole handshake within 1000 ms"),
            (vec![3; 3073], "timeout: no connect command within 1000 ms"),
        ] {
            let (mut socket, session) = raw(host, logs);
            socket.write_all(&bytes).unwrap();
            all.push((socket, session, cause));
        }
        let client = Client::connect(host.address(), "live");
        let session = session(host, logs, &client);
        all.push((client.socket, session, "timeout: no publish or play command within 1000 ms"));
        for (socket, session, cause) in all {
            logs.wait_for(&session, cause);
            wait_closed(&socket);
        }
    });
}

#[test]
fn chunk_sizes_that_are_none() {
    attack("", |host, logs| {
        for size in [0u32, 1 << 31, u32::MAX] {
            let mut c = Client::connect(host.address(), "live");
            let session = session(host, logs, &c);
            c.message(2, 0, type_id::SET_CHUNK_SIZE, 0, &size.to_be_bytes());
            logs.wait_for(&session, &format!("closed: chunk stream: chunk size is {size}"));
            c.wait_closed();
        }
        // One byte is one that is allowed.
        let mut p = host.publish("tiny");
        let mut q = host.play("tiny");
        p.set_chunk_size(1);
        p.send(&Media::key(0, 3000));
        assert_eq!(q.media(), Some(Media::key(0, 3000)));
        p.set_chunk_size(0x7fff_ffff);
        p.writer.set_chunk_size(0xff_ffff);
        p.send(&Media::key(40, 300_000));
        assert_eq!(q.media(), Some(Media::key(40, 300_000)));
        p.close();
        q.close();
    });
}

/// Arrays of one, each in the one before.
fn nested(depth: usize) -> BytesMut {
    let mut out = BytesMut::new();
    for _ in 0..depth {
        out.extend_from_slice(&[0x0a, 0, 0, 0, 1]);
    }
    out
}

#[test]
fn values_a_million_deep() {
    attack("", |host, logs| {
        for (depth, cause) in [(1_000_000, "a message of 5000"), (12_000, "closed: command: ")] {
            let mut c = Client::open(host.address());
            let session = session(host, logs, &c);
            let body = support::rtmp_client::command("connect", 1.0, &[]);
            c.try_message(3, 0, type_id::COMMAND_AMF0, 0, &[&body[..], &nested(depth)].concat());
            logs.wait_for(&session, cause);
            c.wait_closed();
        }
        // A data message is left out, and its publisher goes on.
        let mut p = host.publish("deep");
        let session = session(host, logs, &p);
        let mut q = host.play("deep");
        let mut body = BytesMut::new();
        body.put_slice(b"\x02\x00\x0a");
        body.put_slice(b"onMetaData");
        body.extend_from_slice(&nested(1_000_000));
        p.message(4, 0, type_id::DATA_AMF0, 1, &body);
        p.send(&Media::key(0, 9));
        assert_eq!(q.media(), Some(Media::key(0, 9)));
        logs.wait_for(&session, "Data frame left out: ");
        p.close();
        q.close();
    });
}

/// The first chunk of a message: header and `part` of `announced` bytes.
fn begun(csid: u32, type_id: u8, announced: u32, part: &[u8]) -> Vec<u8> {
    let mut out = match csid {
        0..64 => vec![csid as u8],
        64..320 => vec![0, (csid - 64) as u8],
        _ => vec![1, (csid - 64) as u8, ((csid - 64) >> 8) as u8],
    };
    out.extend_from_slice(&[0, 0, 0]);
    out.extend_from_slice(&announced.to_be_bytes()[1..]);
    out.extend_from_slice(&[type_id, 1, 0, 0, 0]);
    out.extend_from_slice(part);
    out
}

#[test]
fn messages_that_are_announced_and_never_come() {
    attack("vhost __defaultVhost__ { publish { firstpkt_timeout 500; } }", |host, logs| {
        for mut c in
            [Client::open(host.address()), Client::connect(host.address(), "live"), host.publish("x")]
        {
            let session = session(host, logs, &c);
            c.raw(&begun(6, type_id::VIDEO, 0xff_ffff, &[0; 128]));
            logs.wait_for(&session, "closed: chunk stream: a message of 16777215 bytes");
            c.wait_closed();
        }
        // What may be announced costs nothing until it comes, and its time is the publisher's.
        let mut c = host.publish("x");
        let session = session(host, logs, &c);
        c.raw(&begun(6, type_id::VIDEO, 8_000_000, &[0; 128]));
        logs.wait_for(&session, "firstpkt_timeout");
        c.wait_closed();
    });
}

#[test]
fn half_messages_on_sixty_thousand_chunk_streams() {
    attack("", |host, logs| {
        for mut c in [Client::open(host.address()), host.publish("x")] {
            let session = session(host, logs, &c);
            let mut all = Vec::new();
            for csid in 3..60_003 {
                all.extend(begun(csid, type_id::VIDEO, 5000, &[0; 128]));
            }
            let _ = c.socket.write_all(&all);
            logs.wait_for(&session, "is one too many, at most 64 may be used");
            c.wait_closed();
        }
    });
}

#[test]
fn begun_messages_do_not_add_up() {
    attack("", |host, logs| {
        let mut c = Client::connect(host.address(), "live");
        let session = session(host, logs, &c);
        c.set_chunk_size(60_000);
        for csid in 3..10 {
            let _ = c.socket.write_all(&begun(csid, type_id::VIDEO, 64 * 1024, &[0; 60_000]));
        }
        logs.wait_for(&session, "closed: chunk stream: unfinished messages hold");
        c.wait_closed();
    });
}

#[test]
fn timestamps_that_leap_a_day() {
    attack("", |host, _| {
        let mut p = host.publish("leaps");
        let mut q = host.play("leaps");
        let day = 86_400_000;
        let mut last = None;
        for i in 0..200u32 {
            let media = Media::key([5, day, u32::MAX, 0, day * 40][i as usize % 5].wrapping_add(i), 100);
            p.send(&media);
            let got = q.media().expect("a frame");
            assert_eq!(got.2, media.2);
            assert!(last.is_none_or(|last| got.1 >= last && got.1 < last + 300), "{last:?} then {}", got.1);
            last = Some(got.1);
        }
        p.close();
        q.close();
    });
}

#[test]
fn a_second_publisher_and_players_of_nothing() {
    attack("", |host, logs| {
        for _ in 0..20 {
            let mut c = Client::connect(host.address(), "live");
            let session = session(host, logs, &c);
            assert_eq!(c.publish_as("good").as_deref(), Some("NetStream.Publish.BadName"));
            logs.wait_for(&session, "publish of __defaultVhost__/live/good refused: the stream is being");
            c.wait_closed();
        }
        let waiting: Vec<_> = (0..20).map(|i| host.play(&format!("nothing{i}"))).collect();
        assert_eq!(host.stats().streams, 21);
        for c in waiting {
            let session = session(host, logs, &c);
            c.close();
            logs.wait_for(&session, "closed: closed by the peer");
        }
    });
}

#[test]
fn ten_thousand_silent_connections() {
    const N: usize = 10_000;
    // SAFETY: plain calls that fill a struct of this function and read one.
    let room = unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        limit.rlim_max as usize
    };
    // Both ends are in this process.
    let n = N.min(room.saturating_sub(1000) / 2);
    attack("handshake_timeout 4000;", |host, logs| {
        let mut all = Vec::with_capacity(n);
        for _ in 0..n {
            all.push(TcpStream::connect(host.address()).unwrap());
        }
        let last: SocketAddr = all[n - 1].local_addr().unwrap();
        let last = logs.session(host.thread(), last);
        logs.wait_for(&last, "closed: timeout: no whole handshake within 4000 ms");
        host.until("all are closed", |engine| engine.stats().connections == 2);
        assert!(host.stats().accepted as usize >= n + 2);
        for socket in &all[n - 10..] {
            wait_closed(socket);
        }
    });
}

#[test]
fn clients_that_die_in_the_middle_of_a_message() {
    attack("", |host, logs| {
        for part in [0, 1, 11, 100, 140, 5000] {
            let c = host.publish("dies");
            let session = session(host, logs, &c);
            let mut out = BytesMut::new();
            let mut c = c;
            c.writer.write(&mut out, 6, 0, type_id::VIDEO, 1, &Media::key(0, 100_000).2);
            c.raw(&out[..part]);
            SockRef::from(&c.socket).set_linger(Some(Duration::ZERO)).unwrap();
            drop(c);
            logs.wait_for(&session, "closed: ");
        }
        let c = host.play("good");
        let session = session(host, logs, &c);
        SockRef::from(&c.socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop(c);
        logs.wait_for(&session, "closed: ");
    });
}

/// A client with a small buffer for what it doesn't read.
fn deaf(host: &Host) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(&host.address().into()).unwrap();
    let mut client = Client::handshake(socket.into());
    client.connect_command("flood.com", "live").expect("an answer");
    client
}

#[test]
fn clients_that_never_read() {
    let config = "handshake_timeout 60000; vhost __defaultVhost__ { }
        vhost flood.com { play { queue_length 1; ring_bytes 262144; } }";
    attack(config, |host, logs| {
        let mut player = deaf(host);
        player.play_as("flood").unwrap();
        let player_session = session(host, logs, &player);
        let mut p = Client::connect_to(host.address(), "flood.com", "live");
        p.publish_as("flood").unwrap();
        p.set_chunk_size(60_000);
        // More than all buffers hold, the kernel's too.
        for n in 0..400 {
            p.send(&Media::key(n * 40, 50_000));
            p.sync();
            assert!(host.stats().media_bytes < 3 * 262_144 + 60_000);
        }
        // Pings, each of which asks for an answer, until the socket takes no more.
        let mut pinger = deaf(host);
        let pinger_session = session(host, logs, &pinger);
        pinger.socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut pings = BytesMut::new();
        for _ in 0..5000 {
            let body = [&user_control::PING_REQUEST.to_be_bytes()[..], &[1, 2, 3, 4]].concat();
            pinger.writer.write(&mut pings, 2, 0, type_id::USER_CONTROL, 0, &body);
        }
        while pinger.socket.write_all(&pings).is_ok() {}
        p.close();
        for session in [player_session, pinger_session] {
            logs.wait_for(&session, "closed: the peer has taken nothing for 10000 ms");
        }
    });
}

#[test]
fn more_message_streams_than_anybody_needs() {
    attack("", |host, logs| {
        let mut c = Client::connect(host.address(), "live");
        let session = session(host, logs, &c);
        for _ in 0..1000 {
            let body = support::rtmp_client::command("createStream", 5.0, &[Value::Null]);
            if !c.try_message(3, 0, type_id::COMMAND_AMF0, 0, &body) {
                break;
            }
        }
        logs.wait_for(&session, "closed: createStream: more than 16 message streams");
        c.wait_closed();
    });
}

#[test]
fn messages_of_no_length() {
    attack("", |host, logs| {
        let mut p = host.publish("empty");
        let session = session(host, logs, &p);
        let mut q = host.play("empty");
        for kind in 0..=255 {
            // Four kinds are wrong when empty, and said to be.
            if ![1, 2, 4, 5, 6].contains(&kind) {
                p.message(4, 0, kind, 1, &[]);
            }
        }
        p.message(6, 0, type_id::VIDEO, 1, &[]);
        // Each byte is a message from here on.
        p.raw(&vec![0xc6; 200_000]);
        p.send(&Media::key(40, 9));
        p.sync();
        while q.media().expect("frames") != Media::key(40, 9) {}
        p.close();
        logs.wait_for(&session, "closed: closed by the peer");
        q.close();
        for kind in [1, 2, 4, 5, 6] {
            let mut c = Client::connect(host.address(), "live");
            let session = self::session(host, logs, &c);
            c.message(2, 0, kind, 0, &[]);
            logs.wait_for(&session, "closed: ");
            c.wait_closed();
        }
    });
}

#[test]
fn a_client_that_plays_and_stops_and_never_tires() {
    attack("", |host, logs| {
        let mut c = Client::connect(host.address(), "live");
        let session = session(host, logs, &c);
        for i in 0..300 {
            c.command(1, "play", &[Value::Null, "good".into()]);
            c.command(1, "pause", &[Value::Null, (i % 2 == 0).into(), 0.0.into()]);
            c.command(1, "receiveVideo", &[Value::Null, (i % 3 == 0).into()]);
            c.command(1, "closeStream", &[Value::Null]);
        }
        c.sync();
        c.close();
        logs.wait_for(&session, "closed: closed by the peer");
    });
}
