//! Listening and taking connections.

use std::net::SocketAddr;
use std::time::Duration;

use log::{info, warn};
use mio::net::TcpListener;
use mio::{Interest, Token};

use super::conn::Conn;
use super::timers::Alarm;
use super::{Engine, FIRST_LISTENER, sys};
use crate::error::{Code, Error, Result};
use crate::rtmp::server::Session;
use crate::time::Time;

/// When descriptors have run out, connections are taken again after this long.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// Listeners at most.
const LISTENERS_MAX: usize = 64;

/// One listening socket. It keeps its place in the list, and with that its token, for good.
#[derive(Debug)]
pub(super) struct Listener {
    /// The address that was asked for.
    asked: SocketAddr,
    /// The address that it has: with the real port where 0 was asked for.
    address: SocketAddr,
    socket: Option<TcpListener>,
}

impl Engine {
    /// The addresses that RTMP is served at, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter(|l| l.socket.is_some()).map(|l| l.address).collect()
    }

    /// Listens at exactly these addresses: new ones are opened before old ones are closed, and if one
    /// can't be opened nothing changes.
    pub(super) fn listen(&mut self, addresses: &[SocketAddr]) -> Result<()> {
        if addresses.len() > LISTENERS_MAX {
            return Err(Error::new(Code::Limit, format!("listen: more than {LISTENERS_MAX} addresses")));
        }
        let mut opened = Vec::new();
        let mut kept = vec![false; self.listeners.len()];
        for &asked in addresses {
            let open = |(i, l): &(usize, &Listener)| l.socket.is_some() && l.asked == asked && !kept[*i];
            if let Some((i, _)) = self.listeners.iter().enumerate().find(open) {
                kept[i] = true;
                continue;
            }
            let failed = |e: std::io::Error| {
                let hint = match e.kind() {
                    std::io::ErrorKind::AddrInUse => " (another program listens there)",
                    std::io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege)",
                    _ => "",
                };
                Error::new(Code::Address, format!("listen {asked}: {e}{hint}"))
            };
            let socket = sys::listen(asked).map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            opened.push(Listener { asked, address, socket: Some(socket) });
        }
        for (listener, kept) in self.listeners.iter_mut().zip(kept) {
            if !kept && let Some(mut socket) = listener.socket.take() {
                let _ = self.poll.registry().deregister(&mut socket);
                info!("rtmp no longer listening on {}", listener.address);
            }
        }
        for mut listener in opened {
            let free = self.listeners.iter().position(|l| l.socket.is_none());
            let index = free.unwrap_or(self.listeners.len());
            if let Some(socket) = &mut listener.socket {
                self.poll
                    .registry()
                    .register(socket, Token(FIRST_LISTENER + index), Interest::READABLE)
                    .map_err(|e| Error::new(Code::Io, format!("listen {}: {e}", listener.asked)))?;
            }
            info!("rtmp listening on {}", listener.address);
            match self.listeners.get_mut(index) {
                Some(place) => *place = listener,
                None => self.listeners.push(listener),
            }
        }
        Ok(())
    }

    /// Takes all connections that wait.
    pub(super) fn accept(&mut self, now: Time, index: usize) {
        loop {
            let Some(socket) = self.listeners.get(index).and_then(|l| l.socket.as_ref()) else { return };
            match socket.accept() {
                Ok((socket, peer)) => self.take(now, socket, peer),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(e) if sys::is_exhausted(&e) => {
                    warn!("taking a connection: {e}; trying again in {} ms", EXHAUSTED.as_millis());
                    self.timers.set(now + EXHAUSTED, Alarm::Listener(index));
                    return;
                }
                // That one connection failed before it was taken: the next may be well.
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, now: Time, mut socket: mio::net::TcpStream, peer: SocketAddr) {
        let limit = self.settings.max_connections;
        if self.conns.len() >= limit {
            self.totals.refused += 1;
            // Once is news, a storm isn't.
            if self.totals.refused.is_power_of_two() {
                let refused = self.totals.refused;
                warn!("connection from {peer} refused: max_connections {limit} reached ({refused} so far)");
            }
            return;
        }
        if let Err(e) = sys::prepare(&socket) {
            warn!("connection from {peer}: {e}");
            return;
        }
        self.totals.accepted += 1;
        let entropy = self.entropy(self.totals.accepted);
        let timeout = self.settings.handshake_timeout;
        let registry = self.poll.registry();
        let mut failed = None;
        let id = self.conns.insert_with(|id| {
            failed = registry
                .register(&mut socket, Token(id as usize), Interest::READABLE | Interest::WRITABLE)
                .err();
            Conn::new(now, socket, peer, Session::new(now, entropy, timeout))
        });
        let Some(id) = id else { return };
        if let Some(e) = failed {
            self.conns.remove(id);
            warn!("connection from {peer}: {e}");
            return;
        }
        info!(id = id; "rtmp client from {peer}");
        self.arm(id);
    }
}
