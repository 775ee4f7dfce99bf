//! A small HTTP client on blocking sockets, and a WebSocket client: they do what they are told.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
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
}

/// A connection, kept for any number of requests.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    held: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).expect("the server takes connections");
        socket.set_nodelay(true).expect("a socket option");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { socket, held: Vec::new() }
    }

    pub(crate) fn send(&mut self, target: &str) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.socket.write_all(request.as_bytes()).expect("a server that reads");
    }

    /// The answer's head, with its status.
    #[track_caller]
    pub(crate) fn head(&mut self) -> (u16, String) {
        loop {
            if let Some(end) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end + 4).collect();
                let head = String::from_utf8(head).expect("a head of ASCII");
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return (status.expect("a status"), head);
            }
            assert!(self.more() > 0, "the connection ended before the answer");
        }
    }

    /// What has been sent for is answered, with a length.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let (status, head) = self.head();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("Content-Length").and_then(|length| length.parse().ok());
        let length: usize = length.unwrap_or_else(|| panic!("no length: {}", answer.head));
        while self.held.len() < length {
            assert!(self.more() > 0, "the connection ended within the answer");
        }
        answer.body = self.held.drain(..length).collect();
        answer
    }

    #[track_caller]
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(target);
        self.answer()
    }

    /// The bytes that have come by now and were not taken yet; empty once the connection has ended.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        if self.held.is_empty() {
            self.more();
        }
        std::mem::take(&mut self.held)
    }

    /// Whether nothing comes for so long.
    pub(crate) fn is_quiet(&mut self, for_ms: u64) -> bool {
        self.socket
            .set_read_timeout(Some(std::time::Duration::from_millis(for_ms)))
            .expect("a socket option");
        let mut byte = [0];
        let peeked = self.socket.peek(&mut byte);
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let late = |e: &std::io::Error| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        self.held.is_empty() && peeked.as_ref().is_err_and(late)
    }

    fn more(&mut self) -> usize {
        let mut buffer = vec![0; 64 * 1024];
        let count = match self.socket.read(&mut buffer) {
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => 0,
            Err(e) => panic!("nothing came: {e}"),
        };
        self.held.extend_from_slice(&buffer[..count]);
        count
    }
}

#[track_caller]
pub(crate) fn get(server: SocketAddr, target: &str) -> Answer {
    Connection::open(server).get(target)
}

/// The messages of a WebSocket, as they came, until its end.
pub(crate) fn websocket(server: SocketAddr, target: &str, mut message: impl FnMut(&[u8])) {
    let mut connection = Connection::open(server);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    connection.socket.write_all(request.as_bytes()).expect("a server that reads");
    let (status, head) = connection.head();
    assert_eq!(status, 101, "{head}");
    // RFC 6455, 1.3, has this key and what is answered to it.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    loop {
        let held = &connection.held;
        let Some(parsed) = frame(held) else {
            if connection.more() == 0 {
                return;
            }
            continue;
        };
        let (opcode, from, to) = parsed;
        match opcode {
            0x82 => message(&held[from..to]),
            0x88 => return,
            other => panic!("a frame that begins with {other:#x}"),
        }
        connection.held.drain(..to);
    }
}

/// The first byte of a frame, and where its payload lies, once it is whole. A server doesn't mask.
pub(crate) fn frame(held: &[u8]) -> Option<(u8, usize, usize)> {
    let (opcode, short) = (*held.first()?, *held.get(1)?);
    let (from, len) = match short {
        126 => (4, usize::from(u16::from_be_bytes(held.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(held.get(2..10)?.try_into().ok()?) as usize),
        len => (2, usize::from(len)),
    };
    (held.len() >= from + len).then_some((opcode, from, from + len))
}
