//! The floor: hands the publisher's bytes to every player and does nothing else. No server that sends
//! these bytes to these sockets, message by message, can do with less.
//!
//! The publisher frames each message by its length; inside are the RTMP chunks as a server would send
//! them. One `send` per player per message, or, with a batch time, one per player per batch.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::sys::{self, Epoll};

const PLAYERS: usize = 0;
const INGEST: usize = 1;
/// Tokens from here on are players.
const FIRST: usize = 2;

struct Player {
    stream: TcpStream,
    /// What a full socket did not take; empty as a rule.
    rest: Vec<u8>,
}

struct Floor {
    epoll: Epoll,
    players: Vec<Option<Player>>,
}

/// Serves players on one port and takes the stream in on another, until the process is stopped.
pub(crate) fn run(port: u16, ingest_port: u16, batch_ms: u64) -> io::Result<()> {
    sys::raise_nofile(40_000);
    let players = TcpListener::bind(("127.0.0.1", port))?;
    let ingest = TcpListener::bind(("127.0.0.1", ingest_port))?;
    players.set_nonblocking(true)?;
    let epoll = Epoll::new(256)?;
    epoll.add(players.as_raw_fd(), libc::EPOLLIN, PLAYERS)?;
    epoll.add(ingest.as_raw_fd(), libc::EPOLLIN, INGEST)?;
    let mut floor = Floor { epoll, players: Vec::new() };
    let mut publisher: Option<TcpStream> = None;
    let mut input = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut batch = Vec::new();
    let mut batch_due = 0u64;
    let mut ready = Vec::new();
    loop {
        let timeout_ms = if batch.is_empty() {
            -1
        } else {
            batch_due.saturating_sub(sys::monotonic_ns()).div_ceil(1_000_000) as i32
        };
        floor.epoll.wait(timeout_ms, &mut ready)?;
        for &token in &ready {
            match (token, &publisher) {
                (PLAYERS, _) => floor.accept(&players)?,
                (INGEST, None) => {
                    let (stream, _) = ingest.accept()?;
                    floor.epoll.remove(ingest.as_raw_fd())?;
                    floor.epoll.add(stream.as_raw_fd(), libc::EPOLLIN, INGEST)?;
                    publisher = Some(stream);
                }
                (INGEST, Some(stream)) => {
                    let n = match sys::recv(stream.as_raw_fd(), &mut buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        result => result?,
                    };
                    if n == 0 {
                        return Ok(());
                    }
                    input.extend(&buffer[..n]);
                    let mut at = 0;
                    while let Some(message) = framed(&input[at..]) {
                        at += 4 + message.len();
                        if batch_ms == 0 {
                            floor.send(message);
                        } else {
                            if batch.is_empty() {
                                batch_due = sys::monotonic_ns() + batch_ms * 1_000_000;
                            }
                            batch.extend(message);
                        }
                    }
                    input.drain(..at);
                }
                (player, _) => floor.flush(player - FIRST),
            }
        }
        if !batch.is_empty() && sys::monotonic_ns() >= batch_due {
            floor.send(&batch);
            batch.clear();
        }
    }
}

fn framed(input: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*input.first_chunk()?) as usize;
    input.get(4..4 + length)
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nodelay(true)?;
                    // Watched for room to write only, and that by edges: a socket that takes what it is
                    // given costs nothing more than its sends.
                    let token = FIRST + self.players.len();
                    self.epoll.add(stream.as_raw_fd(), libc::EPOLLOUT | libc::EPOLLET, token)?;
                    self.players.push(Some(Player { stream, rest: Vec::new() }));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for slot in &mut self.players {
            let Some(player) = slot else { continue };
            if !player.rest.is_empty() {
                player.rest.extend(bytes);
                continue;
            }
            match sys::send(player.stream.as_raw_fd(), bytes) {
                Ok(n) if n == bytes.len() => {}
                Ok(n) => player.rest.extend(&bytes[n..]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => player.rest.extend(bytes),
                Err(_) => *slot = None,
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(player) = &mut self.players[index] else { return };
        while !player.rest.is_empty() {
            match sys::send(player.stream.as_raw_fd(), &player.rest) {
                Ok(n) => drop(player.rest.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.players[index] = None;
                    return;
                }
            }
        }
    }
}
