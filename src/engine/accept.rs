//! Listening and taking connections.

use std::net::SocketAddr;
use std::sync::Arc;
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
use crate::config::{Settings, TlsServer};
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

/// One listening socket. It keeps its place in the list, and with that its token, for good.
#[derive(Debug)]
pub(super) struct Listener {
    /// The address that was asked for.
    asked: SocketAddr,
    /// The address that it has: with the real port where 0 was asked for.
    address: SocketAddr,
    service: Service,
    socket: Option<TcpListener>,
}

/// What is spoken at a listening socket, and how.
#[derive(Debug, Clone)]
struct Service {
    role: Role,
    /// Who this is, where it is behind TLS.
    secure: Option<Arc<TlsServer>>,
}

impl Service {
    fn name(&self) -> &'static str {
        match (self.role, self.secure.is_some()) {
            (Role::Rtmp, false) => "rtmp",
            (Role::Rtmp, true) => "rtmps",
            (Role::Http { server: true, .. }, false) => "http",
            (Role::Http { server: true, .. }, true) => "https",
            (Role::Http { .. }, false) => "http api",
            (Role::Http { .. }, true) => "https api",
        }
    }

    /// Speaks what another does at the same address too. If that can't be, answers what stands against it.
    fn join(&mut self, other: &Self) -> Result<(), String> {
        let (Role::Http { server, api }, Role::Http { server: and_server, api: and_api }) =
            (&mut self.role, other.role)
        else {
            return Err(format!("{} and for {}", self.name(), other.name()));
        };
        match (&self.secure, &other.secure) {
            (None, None) => {}
            (Some(ours), Some(others)) if ours.is_same_identity(others) => {}
            (Some(_), Some(_)) => return Err("https with one certificate and with another".to_owned()),
            _ => return Err(format!("{} and for {}", self.name(), other.name())),
        }
        *server |= and_server;
        *api |= and_api;
        Ok(())
    }

    fn is_like(&self, other: &Self) -> bool {
        self.role == other.role && self.secure.is_some() == other.secure.is_some()
    }
}

impl Engine {
    /// The addresses that RTMP is served at, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(|role| role == Role::Rtmp)
    }

    /// The addresses that are served in one of the wanted roles without TLS, with their real ports.
    pub fn addresses_of(&self, wanted: impl Fn(Role) -> bool) -> Vec<SocketAddr> {
        self.addresses_where(|service| service.secure.is_none() && wanted(service.role))
    }

    /// The addresses that are served in one of the wanted roles behind TLS, with their real ports.
    pub fn secure_addresses_of(&self, wanted: impl Fn(Role) -> bool) -> Vec<SocketAddr> {
        self.addresses_where(|service| service.secure.is_some() && wanted(service.role))
    }

    fn addresses_where(&self, wanted: impl Fn(&Service) -> bool) -> Vec<SocketAddr> {
        let open = self.listeners.iter().filter(|l| l.socket.is_some() && wanted(&l.service));
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
        let mut kept: Vec<Option<Service>> = vec![None; self.listeners.len()];
        for (asked, service) in addresses {
            // A socket may change what is spoken at it, but port 0 is another one each time it is asked for.
            let open = |(i, l): &(usize, &Listener)| {
                let same = l.asked == asked && (l.service.is_like(&service) || asked.port() != 0);
                l.socket.is_some() && same && kept[*i].is_none()
            };
            if let Some((i, _)) = self.listeners.iter().enumerate().find(open) {
                kept[i] = Some(service);
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
            opened.push(Listener { asked, address, service, socket: Some(socket) });
        }
        for (listener, kept) in self.listeners.iter_mut().zip(kept) {
            if let Some(service) = kept {
                listener.service = service;
            } else if let Some(mut socket) = listener.socket.take() {
                let _ = self.poll.registry().deregister(&mut socket);
                info!("{} no longer listening on {}", listener.service.name(), listener.address);
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
            info!("{} listening on {}", listener.service.name(), listener.address);
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
            let service = listener.service.clone();
            match socket.accept() {
                Ok((socket, peer)) => self.take(now, &service, socket, peer),
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

    fn take(&mut self, now: Time, service: &Service, mut socket: mio::net::TcpStream, peer: SocketAddr) {
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
        let layer = match &service.secure {
            None => Layer::Plain,
            Some(server) => match self.secure_server(now, server) {
                Ok(layer) => layer,
                Err(e) => {
                    warn!("connection from {peer} refused: {e}");
                    return;
                }
            },
        };
        let handshake = service.secure.as_ref().map(|_| now + self.settings.handshake_timeout);
        self.totals.accepted += 1;
        let entropy = self.entropy(self.totals.accepted);
        let session = match service.role {
            Role::Rtmp => Session::Rtmp(Box::new(Rtmp::new(now, entropy, self.settings.handshake_timeout))),
            #[cfg(feature = "http")]
            role @ Role::Http { .. } => Session::Http(Box::new(Web::new(now, role))),
            #[cfg(not(feature = "http"))]
            Role::Http { .. } => return,
        };
        let registry = self.poll.registry();
        let mut failed = None;
        let id = self.conns.insert_with(|id| {
            failed = registry
                .register(&mut socket, Token(id as usize), Interest::READABLE | Interest::WRITABLE)
                .err();
            let mut conn = Conn::new(now, Link::new(socket, layer), peer, session);
            conn.ready_by = handshake;
            conn
        });
        let Some(id) = id else { return };
        if let Some(e) = failed {
            self.conns.remove(id);
            warn!("connection from {peer}: {e}");
            return;
        }
        info!(id = id; "{} client from {peer}", service.name());
        self.arm(id);
    }
}

/// What is to be listened at, and what is spoken there. The web server and the API may name the same address.
fn wanted(settings: &Settings) -> Result<Vec<(SocketAddr, Service)>> {
    let (server, api) = (Role::Http { server: true, api: false }, Role::Http { server: false, api: true });
    let mut all = vec![(Role::Rtmp, &settings.listen[..], None)];
    all.extend(settings.rtmps.as_ref().map(|rtmps| (Role::Rtmp, &rtmps.listen[..], Some(rtmps))));
    for (role, http) in [(server, &settings.http_server), (api, &settings.http_api)] {
        all.extend(http.as_ref().map(|http| (role, &http.listen[..], None)));
        let https = http.as_ref().and_then(|http| http.https.as_ref());
        all.extend(https.map(|https| (role, &https.listen[..], Some(https))));
    }
    let mut list = Vec::<(SocketAddr, Service)>::new();
    for (role, addresses, secure) in all {
        let service = Service { role, secure: secure.cloned().map(Arc::new) };
        for &address in addresses {
            match list.iter_mut().find(|(a, _)| *a == address && address.port() != 0) {
                Some((_, taken)) => taken
                    .join(&service)
                    .map_err(|why| Error::new(Code::Config, format!("{address} is both for {why}")))?,
                None => list.push((address, service.clone())),
            }
        }
    }
    Ok(list)
}
