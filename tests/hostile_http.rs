//! What no honest HTTP client does. Each test does it to an engine over which a publisher and a player of
//! HTTP-FLV go on streaming, and then holds that the attacker was answered or closed as it should, that what
//! it cost is given back, and that the two have not missed a frame.

#![allow(unsafe_code)]
#![cfg(feature = "http")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use camrill::engine::{Engine, Role};
use camrill::http::websocket::{self, Opcode};
use socket2::{Domain, SockRef, Socket, Type};
use support::TempDir;
use support::host::Host;
use support::logs::{Line, Logs};
use support::rtmp_client::{Client, Media};

/// Frames between two keyframes of the good stream, and their size.
const GOP: u32 = 25;
const SIZE: usize = 1000;

/// Counts what a thread allocates and has not freed: an engine's, asked on its thread.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An engine with a web server on a folder.
struct Site {
    host: Host,
    logs: &'static Logs,
    address: SocketAddr,
    dir: TempDir,
}

impl Site {
    fn start(config: &str) -> Self {
        let logs = support::logs::install();
        let dir = TempDir::new();
        fs::create_dir(dir.join("www")).unwrap();
        fs::write(dir.join("www/small.txt"), "small").unwrap();
        fs::write(dir.join("secret.txt"), "SECRET").unwrap();
        let vhost = "http_remux { enabled on; mount [vhost]/[app]/[stream]; }";
        let config = format!(
            "listen 127.0.0.1:0; max_connections 30000;
            http_server {{ enabled on; listen 127.0.0.1:0; dir {}; }}
            vhost __defaultVhost__ {{ {vhost} {config} }}",
            dir.join("www").display()
        );
        let host = Host::start_with(&config, |_| ());
        let server = |role| matches!(role, Role::Http { server: true, .. });
        let address = host.run(move |engine: &mut Engine| engine.addresses_of(server)[0]);
        Self { host, logs, address, dir }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
        socket.set_write_timeout(Some(support::PATIENCE)).unwrap();
        socket
    }

    /// A client with a small buffer for what it doesn't read.
    fn deaf(&self, request: &str) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    /// All that comes for these bytes until the server closes, also by a reset.
    fn sends(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect();
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(Shutdown::Write);
        rest(&mut socket)
    }

    fn get(&self, target: &str) -> String {
        self.sends(get(target).as_bytes())
    }

    fn session(&self, socket: &TcpStream) -> Line {
        self.logs.session(self.host.thread(), socket.local_addr().unwrap())
    }

    fn file(&self, name: &str, bytes: usize) -> Vec<u8> {
        let content: Vec<u8> = (0..bytes).map(|i| (i / 1000) as u8).collect();
        fs::write(self.dir.join("www").join(name), &content).unwrap();
        content
    }

    /// Bytes that the engine holds.
    fn held(&self) -> i64 {
        self.host.run(|_| HELD.with(Cell::get))
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn rest(socket: &mut TcpStream) -> String {
    String::from_utf8_lossy(&rest_bytes(socket)).into_owned()
}

fn rest_bytes(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Err(e) if e.kind() != io::ErrorKind::ConnectionReset => panic!("{e}; so far {}", all.len()),
        _ => all,
    }
}

/// The status of an answer, empty if there is none.
fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default()
}

/// A publisher and a player who stream until they are told to stop.
struct Pair {
    stop: mpsc::Sender<()>,
    publisher: JoinHandle<u32>,
    player: JoinHandle<()>,
}

impl Pair {
    fn start(site: &Site) -> Self {
        let mut player = site.connect();
        player.write_all(get("/live/good.flv").as_bytes()).unwrap();
        site.host.until("the player waits", |engine| engine.stats().players == 1);
        let mut p = site.host.publish("good");
        let (stop, stopped) = mpsc::channel();
        let publisher = std::thread::spawn(move || {
            p.send_all(&[Media::audio_header(0), Media::video_header(0, 1)]);
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
            let mut flv = Flv::new(player);
            let headers = [flv.tag(), flv.tag()];
            assert!(
                headers.contains(&Media::audio_header(0)) && headers.contains(&Media::video_header(0, 1))
            );
            for n in 0.. {
                let media = flv.tag();
                if media == Media::audio((n.max(1) - 1) * 40) {
                    return;
                }
                assert_eq!(media, frame(n), "the good player misses nothing");
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

/// The tags of an answer.
struct Flv(TcpStream);

impl Flv {
    fn new(mut socket: TcpStream) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
        let mut flv = [0; 13];
        socket.read_exact(&mut flv).expect("FLV's header");
        assert_eq!(flv, *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        Self(socket)
    }

    /// The next tag of audio or video.
    fn tag(&mut self) -> Media {
        loop {
            let mut head = [0; 11];
            self.0.read_exact(&mut head).expect("the good player stays");
            let size = u32::from_be_bytes([0, head[1], head[2], head[3]]);
            let mut body = vec![0; size as usize + 4];
            self.0.read_exact(&mut body).expect("the good player stays");
            let end = body.split_off(size as usize);
            assert_eq!(end, (size + 11).to_be_bytes());
            if head[0] != 18 {
                let timestamp = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
                return Media(head[0], timestamp, body.into());
            }
        }
    }
}

/// Runs an attack against an engine with a good pair on it, and sees that nothing of it stays.
#[track_caller]
fn attack(config: &str, attack: impl FnOnce(&Site)) {
    let site = Site::start(config);
    let pair = Pair::start(&site);
    attack(&site);
    site.host.until("the attackers are gone and what they cost too", |engine| {
        let stats = engine.stats();
        stats.connections == 2 && stats.streams == 1 && stats.media_bytes <= u64::from(GOP) * 2200 + 5000
    });
    pair.finish();
    site.host.until("all is given back", |engine| {
        let stats = engine.stats();
        (stats.connections, stats.streams, stats.media_bytes) == (0, 0, 0)
    });
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

fn mkfifo(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

#[test]
fn paths_that_lead_out() {
    attack("", |site| {
        let www = site.dir.join("www");
        fs::create_dir_all(www.join("folder")).unwrap();
        fs::create_dir_all(www.join("index/index.html")).unwrap();
        fs::write(www.join(".hidden"), "SECRET").unwrap();
        std::os::unix::fs::symlink(site.dir.join("secret.txt"), www.join("link.txt")).unwrap();
        std::os::unix::fs::symlink(site.dir.join("."), www.join("up")).unwrap();
        std::os::unix::fs::symlink(www.join("small.txt"), www.join("inside.txt")).unwrap();
        std::os::unix::fs::symlink(www.join("loop"), www.join("loop")).unwrap();
        mkfifo(&www.join("fifo"));
        for target in [
            "/../secret.txt",
            "/folder/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/%2E./secret.txt",
            "/..%2fsecret.txt",
            "/folder/..%2f..%2fsecret.txt",
            "/%252e%252e/secret.txt",
            "/..%5csecret.txt",
            "/..\\secret.txt",
            "/\\..\\secret.txt",
            "/small.txt%00.flv",
            "/%00",
            "//../secret.txt",
            "/.hidden",
            "/%2ehidden",
            "/link.txt",
            "/up/secret.txt",
            "/loop",
            "/folder",
            "/folder/",
            "/index",
            "/fifo",
            "/small.txt/",
            "/small.txt/x",
            "/%",
            "/%zz",
            "/%c0%ae%c0%ae/secret.txt",
            "/%ff",
            "/c:/secret.txt",
            "/live/%2e%2e%2f.flv",
        ] {
            let answer = site.get(target);
            assert!(matches!(status(&answer), "400" | "404"), "{target}: {answer}");
            assert!(!answer.contains("SECRET"), "{target}: {answer}");
        }
        let long = format!("/{}", "a/".repeat(7000));
        assert_eq!(status(&site.get(&long)), "404");
        for target in [
            "/small.txt",
            "/inside.txt",
            "/up/www/small.txt",
            "/folder/../small.txt",
            "//small.txt",
            "/%73mall.txt",
        ] {
            let answer = site.get(target);
            assert!(status(&answer) == "200" && answer.ends_with("\r\n\r\nsmall"), "{target}: {answer}");
        }
        for method in ["POST", "PUT", "DELETE"] {
            let answer = site.sends(format!("{method} /small.txt HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            assert_eq!(status(&answer), "405");
        }
    });
}

#[test]
fn heads_without_end() {
    attack("", |site| {
        let megabyte = "x".repeat(1 << 20);
        let many = "A: b\r\n".repeat(65);
        for (head, expected, cause) in [
            (format!("GET /{megabyte}"), "414", "request: 414"),
            (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {megabyte}"), "431", "request: 431"),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "A: b\r\n".repeat(100_000)), "431", "request: 431"),
            (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431", "request: 431"),
            (
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n{megabyte}"),
                "413",
                "request: 413",
            ),
        ] {
            let mut socket = site.connect();
            let session = site.session(&socket);
            let _ = socket.write_all(head.as_bytes());
            site.logs.wait_for(&session, cause);
            assert_eq!(status(&rest(&mut socket)), expected);
        }
        // Empty lines before a request are no request.
        let mut socket = site.connect();
        let _ = socket.write_all("\r\n".repeat(1 << 19).as_bytes());
        let _ = socket.write_all(get("/small.txt").as_bytes());
        let _ = socket.shutdown(Shutdown::Write);
        assert_eq!(status(&rest(&mut socket)), "200");
    });
}

#[test]
fn other_protocols_at_each_others_ports() {
    attack("", |site| {
        let rtmp = [&[3][..], &[0; 3072]].concat();
        let tls = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for bytes in [&rtmp[..], &tls, &noise(10_000), b"\0\0\0\0", b"GET\0/ HTTP/1.1\r\n\r\n"] {
            let mut socket = site.connect();
            let session = site.session(&socket);
            let _ = socket.write_all(bytes);
            let answer = rest(&mut socket);
            assert!(matches!(status(&answer), "" | "400"), "{answer}");
            site.logs.wait_for(&session, "closed: request: 400");
        }
        for (line, expected) in [
            ("GET / HTTP/2.0", "505"),
            ("PRI * HTTP/2.0", "505"),
            ("GET / HTTP/1.9", "505"),
            ("GET / RTSP/1.0", "400"),
            ("BREW /pot HTTP/1.1", "501"),
            ("get / HTTP/1.1", "501"),
            ("GET  / HTTP/1.1", "400"),
            ("CONNECT a:80 HTTP/1.1", "501"),
        ] {
            let answer = site.sends(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
            let got = status(&answer);
            assert_eq!(got, expected, "{line}: {answer}");
        }
        let mut socket = TcpStream::connect(site.host.address()).unwrap();
        let session = site.session(&socket);
        socket.write_all(get("/small.txt").as_bytes()).unwrap();
        site.logs.wait_for(&session, "this looks like HTTP");
    });
}

/// What two servers in a row might read differently is refused, and nothing behind it is answered.
#[test]
fn requests_smuggled_into_others() {
    attack("", |site| {
        let hidden = get("/small.txt");
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5, 6",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: -1",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length:",
            "Content-Length: \u{665}",
            "Content-Length: 99999999999999999999999999",
            "Content-Length : 5",
            " Content-Length: 5",
            "X: y\r\n Content-Length: 5",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding:\x0bchunked",
            "Transfer-Encoding: \0chunked",
            "X: y\rTransfer-Encoding: chunked",
            "Host: b",
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n{hidden}");
            let answer = site.sends(request.as_bytes());
            assert!(matches!(status(&answer), "400" | "413" | "501"), "{fields:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{fields:?}: {answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{fields:?}: {answer}");
        }
        // In HTTP/1.0 there are no chunks, and without a Host there is no HTTP/1.1.
        for head in ["POST / HTTP/1.0\r\nTransfer-Encoding: chunked", "GET / HTTP/1.1"] {
            let answer = site.sends(format!("{head}\r\n\r\n0\r\n\r\n{hidden}").as_bytes());
            assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), ("400", 1), "{answer}");
        }
    });
}

#[test]
fn chunks_that_never_end() {
    attack("", |site| {
        let head = "POST /small.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (body, expected) in [
            ("FFFFFFFFFFFFFFFFF\r\n".to_owned(), "413"),
            ("FFFFFFFFFFFFFFFF\r\n".to_owned(), "413"),
            ("7fffffff\r\nx".to_owned(), "413"),
            ("1\r\nx\r\n".repeat(300_000), "413"),
            (format!("1;{}", "x".repeat(1 << 20)), "400"),
            (format!("0\r\n{}", "X: y\r\n".repeat(100_000)), "400"),
            (format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(1000)), "400"),
            ("-1\r\n".to_owned(), "400"),
            ("1\r\nxy\r\n0\r\n\r\n".to_owned(), "400"),
            ("\r\n".to_owned(), "400"),
            ("g\r\n".to_owned(), "400"),
        ] {
            let answer = site.sends(format!("{head}{body}").as_bytes());
            let start = body.get(..20.min(body.len())).unwrap();
            assert_eq!(status(&answer), expected, "{start:?}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{start:?}: {answer}");
        }
    });
}

#[test]
fn a_thousand_requests_at_once() {
    attack("", |site| {
        let socket = site.connect();
        let mut writer = socket.try_clone().unwrap();
        let requests: String = (0..1000)
            .map(|n| match n % 4 {
                0 => get("/small.txt"),
                1 => format!("HEAD /small.txt?{n} HTTP/1.1\r\nHost: a\r\n\r\n"),
                2 => get("/nothing"),
                _ => format!(
                    "POST /small.txt HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}",
                    get("/").len(),
                    get("/")
                ),
            })
            .collect();
        let writer = std::thread::spawn(move || {
            writer.write_all(requests.as_bytes()).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let answers = rest(&mut { socket });
        writer.join().unwrap();
        let statuses: Vec<&str> =
            answers.match_indices("HTTP/1.1 ").map(|(at, _)| status(&answers[at..])).collect();
        let expected: Vec<&str> = ["200", "200", "404", "405"].into_iter().cycle().take(1000).collect();
        assert_eq!(statuses, expected);
        assert_eq!(answers.matches("\r\n\r\nsmall").count(), 250);
    });
}

#[test]
fn ranges_of_nothing() {
    attack("", |site| {
        for (range, expected, content_range) in [
            ("bytes=5-", "416", "bytes */5"),
            ("bytes=5-9", "416", "bytes */5"),
            ("bytes=99999999999999999999-", "416", "bytes */5"),
            ("bytes=-0", "416", "bytes */5"),
            ("bytes=4-", "206", "bytes 4-4/5"),
            ("bytes=4-99999999999999999999", "206", "bytes 4-4/5"),
            ("bytes=-99", "206", "bytes 0-4/5"),
            ("bytes=3-1", "200", ""),
            ("bytes=-", "200", ""),
            ("lines=1-2", "200", ""),
            ("bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0", "200", ""),
        ] {
            let request = format!("GET /small.txt HTTP/1.1\r\nHost: a\r\nRange: {range}\r\n\r\n");
            let answer = site.sends(request.as_bytes());
            assert_eq!(status(&answer), expected, "{range}: {answer}");
            let line = format!("\r\nContent-Range: {content_range}\r\n");
            assert_eq!(answer.contains("Content-Range: b"), !content_range.is_empty(), "{range}: {answer}");
            assert!(content_range.is_empty() || answer.contains(&line), "{range}: {answer}");
        }
    });
}

#[test]
fn five_thousand_idle_connections() {
    const N: usize = 5_000;
    // SAFETY: plain calls that fill a struct of this function and read one.
    let room = unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        limit.rlim_max as usize
    };
    // Both ends are in this process.
    let n = N.min(room.saturating_sub(2000) / 2);
    attack("", |site| {
        let before = site.held();
        let all: Vec<TcpStream> = (0..n).map(|_| site.connect()).collect();
        let mut last = all.last().unwrap();
        site.host.until("all are there", move |engine| engine.stats().connections as usize == n + 2);
        let each = (site.held() - before) / n as i64;
        assert!(each < 2048, "{each} bytes each");
        last.write_all(b"GET / HT").unwrap();
        let session = site.session(last);
        // They have 10 s for the head of a request.
        site.logs.wait_for(&session, "closed: timeout: no whole head of a request within 10000 ms");
        site.host.until("all are closed", |engine| engine.stats().connections == 2);
        let mut answer = String::new();
        last.read_to_string(&mut answer).unwrap();
        assert_eq!(status(&answer), "408");
    });
}

#[test]
fn clients_that_never_read() {
    let config = "play { queue_length 1; ring_bytes 262144; }";
    attack(config, |site| {
        site.file("big.bin", 20 << 20);
        let before = site.held();
        let deaf: Vec<TcpStream> = ["/big.bin", "/live/flood.flv", "/live/flood.mp4", "/live/flood.flv"]
            .iter()
            .map(|target| site.deaf(&get(target)))
            .collect();
        let mut p = site.host.publish("flood");
        p.set_chunk_size(60_000);
        p.send_all(&[Media::audio_header(0), Media::video_header(0, 1)]);
        for n in 0..400 {
            p.send(&Media::key(n * 40, 50_000));
            p.sync();
        }
        let grown = site.held() - before;
        // The ring and its images in two formats, a piece of the file, and what is half sent.
        assert!(grown < 8 * 262_144, "{grown} bytes");
        p.close();
        for socket in deaf {
            let session = site.session(&socket);
            site.logs.wait_for(&session, "closed: the peer has taken nothing for 10000 ms");
        }
    });
}

#[test]
fn a_client_that_says_no_more_gets_its_answer() {
    attack("", |site| {
        let content = site.file("big.bin", 5 << 20);
        for twice in [false, true] {
            let mut socket = site.connect();
            let request = get("/big.bin").repeat(if twice { 2 } else { 1 });
            socket.write_all(request.as_bytes()).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            let answer = rest_bytes(&mut socket);
            assert!(answer.ends_with(&content));
            let answers = answer.windows(9).filter(|w| w == b"HTTP/1.1 ").count();
            assert_eq!(answers, if twice { 2 } else { 1 });
        }
    });
}

#[test]
fn clients_that_go_in_the_middle_of_a_file() {
    attack("", |site| {
        site.file("big.bin", 20 << 20);
        for abrupt in [true, false] {
            let mut socket = site.deaf(&get("/big.bin"));
            let session = site.session(&socket);
            socket.read_exact(&mut [0; 1000]).unwrap();
            if abrupt {
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(socket);
            site.logs.wait_for(&session, "closed: ");
        }
    });
}

#[test]
fn a_file_that_shrinks_while_it_is_sent() {
    attack("", |site| {
        site.file("shrinks.bin", 20 << 20);
        let mut socket = site.deaf(&get("/shrinks.bin"));
        let mut head = [0; 4096];
        socket.read_exact(&mut head).unwrap();
        assert!(String::from_utf8_lossy(&head).contains(&format!("Content-Length: {}\r\n", 20 << 20)));
        let file = File::options().write(true).open(site.dir.join("www/shrinks.bin")).unwrap();
        file.set_len(1000).unwrap();
        // Less comes than was promised, and the connection's end says so.
        let more = rest_bytes(&mut socket).len();
        assert!(more < 20 << 20, "{more}");
        // One that grows is as long as it was.
        site.file("grows.bin", 4 << 20);
        let mut socket = site.deaf("GET /grows.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        socket.read_exact(&mut head).unwrap();
        site.file("grows.bin", 6 << 20);
        let all = head.len() + rest_bytes(&mut socket).len();
        let length = String::from_utf8_lossy(&head).find("\r\n\r\n").unwrap() + 4;
        assert_eq!(all - length, 4 << 20);
    });
}

/// A WebSocket on the good stream.
fn websocket(site: &Site) -> TcpStream {
    let mut socket = site.connect();
    let request = "GET /live/good.flv HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    socket
}

/// The next frame from the server: its first byte and its payload.
fn server_frame(socket: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    socket.read_exact(&mut head)?;
    assert_eq!(head[1] & 0x80, 0, "a server doesn't mask");
    let size = match head[1] {
        126 => {
            let mut size = [0; 2];
            socket.read_exact(&mut size)?;
            u64::from(u16::from_be_bytes(size))
        }
        127 => {
            let mut size = [0; 8];
            socket.read_exact(&mut size)?;
            u64::from_be_bytes(size)
        }
        size => u64::from(size),
    };
    let mut payload = vec![0; size as usize];
    socket.read_exact(&mut payload)?;
    Ok((head[0], payload))
}

/// A client's frame, masked with nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = websocket::head(Opcode::Binary, payload.len()).to_vec();
    head[0] = first;
    head[1] |= 0x80;
    [&head[..], &[0; 4], payload].concat()
}

#[test]
fn websockets_that_break_the_rules() {
    attack("", |site| {
        let mut long = vec![0x82, 0xff];
        long.extend(u64::MAX.to_be_bytes());
        long.extend([0; 4]);
        let mut big = vec![0x82, 0xff];
        big.extend((1u64 << 20).to_be_bytes());
        big.extend([0; 4]);
        for (what, bytes, code) in [
            ("no mask", vec![0x81, 2, b'h', b'i'], 1002),
            ("a reserved bit", masked(0xc2, b"x"), 1002),
            ("an unknown opcode", masked(0x83, b"x"), 1002),
            ("an unknown control frame", masked(0x8b, b"x"), 1002),
            ("a ping in pieces", masked(0x09, b"x"), 1002),
            ("a long ping", masked(0x89, &[0; 126]), 1002),
            ("the rest of nothing", masked(0x80, b"x"), 1002),
            ("a message in a message", [masked(0x02, b"x"), masked(0x82, b"y")].concat(), 1002),
            ("no text", masked(0x81, b"\xff"), 1007),
            ("a length of 64 bits", long, 1002),
            ("a megabyte", big, 1009),
            (
                "pieces without end",
                masked(0x02, &[0; 40_000]).into_iter().chain(masked(0x00, &[0; 40_000])).collect(),
                1009,
            ),
        ] {
            let mut socket = websocket(site);
            let session = site.session(&socket);
            socket.write_all(&bytes).unwrap();
            let closed = loop {
                match server_frame(&mut socket) {
                    Ok((0x88, payload)) => break payload,
                    Ok((first, _)) => assert_eq!(first, 0x82, "{what}"),
                    Err(e) => panic!("{what}: {e} before a close"),
                }
            };
            assert_eq!(closed, u16::to_be_bytes(code), "{what}");
            site.logs.wait_for(&session, "closed: WebSocket: ");
        }
        for skip in 0..20 {
            let mut socket = websocket(site);
            let session = site.session(&socket);
            let _ = socket.write_all(&noise(10_000)[skip * 100..]);
            let _ = socket.shutdown(Shutdown::Write);
            site.logs.wait_for(&session, "closed: ");
        }
        // A flood of pings, the pongs unread: neither grows nor lasts.
        let before = site.held();
        let mut socket = websocket(site);
        socket.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let pings = masked(0x89, &[7; 125]).repeat(1000);
        let end = Instant::now() + Duration::from_secs(20);
        while socket.write_all(&pings).is_ok() && Instant::now() < end {}
        // 256 KiB of answers, each small and with its own cost, and what was read of more.
        let held = site.held() - before;
        assert!(held < 2 << 20, "{held}");
        drop(socket);
        for upgrade in [
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            let answer =
                site.sends(format!("GET /live/good.flv HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n\r\n").as_bytes());
            assert!(matches!(status(&answer), "400" | "426"), "{upgrade}: {answer}");
        }
    });
}

#[test]
fn players_that_come_and_go() {
    attack("", |site| {
        for n in 0..200 {
            let target =
                ["/live/good.flv", "/live/good.ts", "/live/good.mp4", "/live/good.aac", "/live/none.flv"]
                    [n % 5];
            let mut socket = site.connect();
            socket.write_all(get(target).as_bytes()).unwrap();
            if n % 3 == 0 {
                let _ = socket.read(&mut [0; 100]);
            }
            if n % 2 == 0 {
                SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
        // Requests behind one for a stream are never answered.
        let mut socket = site.connect();
        socket.write_all(format!("{}{}", get("/live/good.flv"), get("/small.txt")).as_bytes()).unwrap();
        let mut got = vec![0; 20_000];
        socket.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got).matches("HTTP/1.1 ").count(), 1);
        drop(socket);
        let head = site.sends(b"HEAD /live/good.flv HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
        // One more stream than there are names for it.
        let mut c = Client::connect(site.host.address(), "live");
        assert!(c.play_as("good").is_some());
        c.close();
    });
}
