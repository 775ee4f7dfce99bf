//! Listening and taking connections.

use std::net::SocketAddr;
use std::time::Duration;

use log::{info, warn};
use mio::net::TcpListener;
use mio::{Interest, Token};

use super::conn::Conn;
use super::link::{Layer, Link};
use super::session::Session;
use super::timers::Alarm;
#[cfg(feature = "http")]
use super::web::Web;
use super::{Engine, FIRST_LISTENER, sys};
use crate::config::Settings;
use crate::error::{Code, Error, Result};
use crate::rtmp::server::Session as Rtmp;
use crate::time::Time;

/// When descriptors have run out, connections are taken again after this long.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// Listeners at most.
const LISTENERS_MAX: usize = 64;

/// What is spoken at a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// RTMP.
    Rtmp,
    /// HTTP: files, streams and the page, the API, or both.
    Http {
        /// Files, streams and the page.
        server: bool,
        /// The API.
        api: bool,
    },
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Http { server: true, .. } => "http",
            Self::Http { .. } => "http api",
        }
    }
}

/// One listening socket. It keeps its place in the list, and with that its token, for good.
#[derive(Debug)]
pub(super) struct Listener {
    /// The address that was asked for.
    asked: SocketAddr,
    /// The address that it has: with the real port where 0 was asked for.
    address: SocketAddr,
    role: Role,
    socket: Option<TcpListener>,
}

impl Engine {
    /// The addresses that RTMP is served at, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(|role| role == Role::Rtmp)
    }

    /// The addresses that are served in one of the wanted roles, with their real ports.
    pub fn addresses_of(&self, wanted: impl Fn(Role) -> bool) -> Vec<SocketAddr> {
        let open = self.listeners.iter().filter(|l| l.socket.is_some() && wanted(l.role));
        open.map(|l| l.address).collect()
    }

    /// Listens at exactly these addresses: new ones are opened before old ones are closed, and if one
    /// can't be opened nothing changes.
    pub(super) fn listen(&mut self, settings: &Settings) -> Result<()> {
        let addresses = wanted(settings)?;
        if addresses.len() > LISTENERS_MAX {
            return Err(Error::new(Code::Limit, format!("listen: more than {LISTENERS_MAX} addresses")));
        }
        let mut opened = Vec::new();
        let mut kept = vec![None; self.listeners.len()];
        for (asked, role) in addresses {
            // A socket may change what is spoken at it, but port 0 is another one each time it is asked for.
            let open = |(i, l): &(usize, &Listener)| {
                let same = l.asked == asked && (l.role == role || asked.port() != 0);
                l.socket.is_some() && same && kept[*i].is_none()
            };
            if let Some((i, _)) = self.listeners.iter().enumerate().find(open) {
                kept[i] = Some(role);
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
            opened.push(Listener { asked, address, role, socket: Some(socket) });
        }
        for (listener, kept) in self.listeners.iter_mut().zip(kept) {
            if let Some(role) = kept {
                listener.role = role;
            } else if let Some(mut socket) = listener.socket.take() {
                let _ = self.poll.registry().deregister(&mut socket);
                info!("{} no longer listening on {}", listener.role.name(), listener.address);
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
            info!("{} listening on {}", listener.role.name(), listener.address);
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
            let Some(listener) = self.listeners.get(index) else { return };
            let Some(socket) = &listener.socket else { return };
            let role = listener.role;
            match socket.accept() {
                Ok((socket, peer)) => self.take(now, role, socket, peer),
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

    fn take(&mut self, now: Time, role: Role, mut socket: mio::net::TcpStream, peer: SocketAddr) {
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
        let session = match role {
            Role::Rtmp => Session::Rtmp(Box::new(Rtmp::new(now, entropy, self.settings.handshake_timeout))),
            #[cfg(feature = "http")]
            Role::Http { .. } => Session::Http(Box::new(Web::new(now, role))),
            #[cfg(not(feature = "http"))]
            Role::Http { .. } => return,
        };
        let registry = self.poll.registry();
        let mut failed = None;
        let id = self.conns.insert_with(|id| {
            failed = registry
                .register(&mut socket, Token(id as usize), Interest::READABLE | Interest::WRITABLE)
                .err();
            Conn::new(now, Link::new(socket, Layer::Plain), peer, session)
        });
        let Some(id) = id else { return };
        if let Some(e) = failed {
            self.conns.remove(id);
            warn!("connection from {peer}: {e}");
            return;
        }
        info!(id = id; "{} client from {peer}", role.name());
        self.arm(id);
    }
}

/// What is to be listened at, and what is spoken there. The web server and the API may name the same address.
fn wanted(settings: &Settings) -> Result<Vec<(SocketAddr, Role)>> {
    let mut list: Vec<_> = settings.listen.iter().map(|address| (*address, Role::Rtmp)).collect();
    let servers = [(&settings.http_server, true), (&settings.http_api, false)];
    for (http, is_server) in servers {
        for &address in http.iter().flat_map(|http| &http.listen) {
            let taken = list.iter_mut().find(|(a, _)| *a == address && address.port() != 0);
            match taken.map(|(_, role)| role) {
                None => list.push((address, Role::Http { server: is_server, api: !is_server })),
                Some(Role::Http { server, api }) => {
                    *server |= is_server;
                    *api |= !is_server;
                }
                Some(Role::Rtmp) => {
                    let message = format!("{address} is both for RTMP and for HTTP");
                    return Err(Error::new(Code::Config, message));
                }
            }
        }
    }
    Ok(list)
}
