//! The HTTP server of somebody who runs streams: it is asked about publishers, for the places to forward to,
//! who has a stream; it keeps each request and answers as the test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::PATIENCE;
use super::process::Feed;

/// A request as it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) target: String,
    /// As in the first line, like `HTTP/1.1`.
    pub(crate) version: String,
    /// All headers, a line each.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether its client expects to go on with the connection.
    fn keeps_connection(&self) -> bool {
        let says = |word| self.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case(word));
        if self.version == "HTTP/1.0" { says("keep-alive") } else { !says("close") }
    }
}

/// An answer: its status and its body, which is called JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    /// 200 with this body.
    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self { status: 200, body: body.into() }
    }

    /// A status without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, body: String::new() }
    }
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server at work. Dropping it closes what is connected.
pub(crate) struct Backend {
    address: SocketAddr,
    requests: Arc<Feed<Request>>,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    answer: Box<Answer>,
    ended: AtomicBool,
    /// All that were ever accepted; few enough to keep.
    sockets: Mutex<Vec<TcpStream>>,
}

impl Backend {
    /// Starts a server that answers by `answer`. It runs on a thread of the connection's own, and may take
    /// as long as it likes.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("a port");
        let requests = Feed::new();
        let (ended, sockets) = (AtomicBool::new(false), Mutex::default());
        let inner = Arc::new(Inner { answer: Box::new(answer), ended, sockets });
        let (shared, feed) = (Arc::clone(&inner), Arc::clone(&requests));
        let thread = std::thread::spawn(move || accept(&listener, &shared, &feed));
        Self { address, requests, inner, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests by now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.wait(Duration::ZERO, |all, _| Some(all.to_vec())).unwrap_or_default()
    }

    /// Waits for the `n`th request whose path and query begin with `target`.
    #[track_caller]
    pub(crate) fn wait(&self, n: usize, target: &str) -> Request {
        let found = self.requests.wait(PATIENCE, |all, _| {
            all.iter().filter(|request| request.target.starts_with(target)).nth(n - 1).cloned()
        });
        found.unwrap_or_else(|| panic!("no request {n} for {target}, but {:#?}", self.requests()))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Release);
        // Wakes the thread, which waits for the next to connect.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for socket in self.inner.sockets.lock().expect("no holder panics").iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Inner>, requests: &Arc<Feed<Request>>) {
    while let Ok((socket, _)) = listener.accept() {
        if inner.ended.load(Ordering::Acquire) {
            return;
        }
        let kept = socket.try_clone().expect("another handle of a socket");
        inner.sockets.lock().expect("no holder panics").push(kept);
        let (inner, requests) = (Arc::clone(inner), Arc::clone(requests));
        std::thread::spawn(move || serve(&socket, &inner, &requests));
    }
}

/// Answers what comes on one connection, until it ends or says what is no HTTP.
fn serve(mut socket: &TcpStream, inner: &Inner, requests: &Feed<Request>) {
    let mut reader = BufReader::new(socket);
    while let Some(request) = read(&mut reader) {
        requests.push(request.clone());
        let reply = (inner.answer)(&request);
        let head = format!(
            "HTTP/1.1 {} As the test says\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            reply.status,
            reply.body.len()
        );
        let written = socket.write_all((head + &reply.body).as_bytes());
        if written.is_err() || !request.keeps_connection() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request { method, target, version, ..Request::default() };
    while !request.head.ends_with("\r\n\r\n") && request.head != "\r\n" {
        if reader.read_line(&mut request.head).ok()? == 0 {
            return None;
        }
    }
    let length = request.header("Content-Length").map_or(Ok(0), str::parse).ok()?;
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
