//! A server of streams as a test wants it, good or bad: it takes HTTP requests and writes whatever it likes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::process::Feed;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<(usize, usize)>,
    /// The number of the connection, from 1.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
}

type Answer = dyn Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync;

/// A server at work. Dropping it closes what is connected.
pub(crate) struct Origin {
    address: SocketAddr,
    asked: Arc<Feed<Asked>>,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    answer: Box<Answer>,
    ended: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Origin {
    /// Starts a server that writes what `answer` writes, and takes the next request when that has returned; an
    /// error closes the connection.
    pub(crate) fn start(
        answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("a port");
        let asked = Feed::new();
        let inner =
            Inner { answer: Box::new(answer), ended: AtomicBool::new(false), sockets: Mutex::default() };
        let inner = Arc::new(inner);
        let (shared, feed) = (Arc::clone(&inner), Arc::clone(&asked));
        let thread = std::thread::spawn(move || accept(&listener, &shared, &feed));
        Self { address, asked, inner, thread: Some(thread) }
    }

    /// Starts a server of files.
    pub(crate) fn of(files: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::start(move |asked, out| match files(&asked.path) {
            Some(bytes) => file(out, asked, &bytes),
            None => whole(out, 404, "text/plain", b"no such file"),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The requests by now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.wait(Duration::ZERO, |all, _| Some(all.to_vec())).unwrap_or_default()
    }

    /// Waits for the `n`th request of paths that contain `part`.
    #[track_caller]
    pub(crate) fn wait(&self, n: usize, part: &str) -> Asked {
        let found = self.asked.wait(PATIENCE, |all, _| {
            all.iter().filter(|asked| asked.path.contains(part)).nth(n - 1).cloned()
        });
        found.unwrap_or_else(|| panic!("no request {n} of {part}, but {:?}", self.asked()))
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Release);
        for socket in self.inner.sockets.lock().expect("no thread panics").iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Inner>, feed: &Arc<Feed<Asked>>) {
    let mut threads = Vec::new();
    for (n, socket) in listener.incoming().enumerate() {
        let (Ok(socket), false) = (socket, inner.ended.load(Ordering::Acquire)) else { break };
        let _ = socket.set_nodelay(true);
        inner.sockets.lock().expect("no thread panics").push(socket.try_clone().expect("a socket"));
        if inner.ended.load(Ordering::Acquire) {
            break;
        }
        let (inner, feed) = (Arc::clone(inner), Arc::clone(feed));
        threads.push(std::thread::spawn(move || {
            let mut out = socket.try_clone().expect("a socket");
            let mut lines = BufReader::new(socket);
            while let Some(asked) = request(&mut lines, n + 1) {
                feed.push(asked.clone());
                if (inner.answer)(&asked, &mut out).is_err() {
                    break;
                }
            }
            let _ = out.shutdown(Shutdown::Both);
        }));
    }
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

fn request(lines: &mut impl BufRead, connection: usize) -> Option<Asked> {
    let mut line = String::new();
    lines.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut range = None;
    loop {
        line.clear();
        lines.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            return Some(Asked { path, range, connection, at: Instant::now() });
        }
        if let Some((first, last)) = line.strip_prefix("Range: bytes=").and_then(|v| v.trim().split_once('-'))
        {
            range = Some((first.parse().ok()?, last.parse().ok()?));
        }
    }
}

/// An answer with its length.
pub(crate) fn whole(out: &mut TcpStream, status: u16, kind: &str, body: &[u8]) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {status} S\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    out.write_all(&[head.as_bytes(), body].concat())
}

/// A file, or the range of it that is asked for.
pub(crate) fn file(out: &mut TcpStream, asked: &Asked, bytes: &[u8]) -> std::io::Result<()> {
    match asked.range {
        Some((first, last)) => whole(out, 206, "video/any", &bytes[first..=last]),
        None => whole(out, 200, "video/any", bytes),
    }
}

/// The head of an answer that ends with its connection.
pub(crate) fn endless(out: &mut TcpStream, kind: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")
}

/// Nothing more is said until the client has gone.
pub(crate) fn hang(out: &mut TcpStream) -> std::io::Result<()> {
    while out.read(&mut [0; 1024])? > 0 {}
    Err(ErrorKind::UnexpectedEof.into())
}
