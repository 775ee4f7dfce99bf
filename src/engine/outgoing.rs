//! Connections that we have made: whose they are, and what their sessions say to whom.

use log::debug;
use mio::net::TcpStream;
use mio::{Interest, Token};

use super::conn::Conn;
use super::link::{Layer, Link};
use super::session::Session;
use super::{Engine, sys};
use crate::rtmp::client;
use crate::time::Time;

use std::net::SocketAddr;

/// Who wants a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A stream is sent over it.
    Forward(u32),
    /// A stream was sent over it: what is left of it still is, or it goes on until another connection stands.
    Former(u32),
    /// A stream comes over it.
    Ingest(u32),
    /// An origin is asked over it whether a client may play.
    Check(u32),
    /// A request is made over it.
    #[cfg(feature = "http")]
    Fetch(u32),
}

impl Engine {
    pub(super) fn on_dialed(&mut self, now: Time, owner: Owner, socket: TcpStream, address: SocketAddr) {
        match owner {
            Owner::Forward(id) => self.on_forward_dialed(now, id, socket, address),
            Owner::Former(_) => {}
            Owner::Ingest(id) => self.on_ingest_dialed(now, id, socket, address),
            Owner::Check(id) => self.on_check_dialed(now, id, socket, address),
            #[cfg(feature = "http")]
            Owner::Fetch(id) => self.on_fetch_dialed(now, id, socket, address),
        }
    }

    pub(super) fn on_undialed(&mut self, now: Time, owner: Owner, why: &str) {
        self.on_owned_end(now, owner, why);
    }

    /// A connection has ended that had an owner.
    pub(super) fn on_owned_end(&mut self, now: Time, owner: Owner, why: &str) {
        match owner {
            Owner::Forward(id) => self.fail_forward(now, id, why),
            Owner::Former(id) => self.lose_former(now, id, why),
            Owner::Ingest(id) => self.fail_ingest(now, id, why),
            Owner::Check(id) => self.fail_check(now, id, why),
            #[cfg(feature = "http")]
            Owner::Fetch(id) => self.fail_fetch(now, id, why),
        }
    }

    /// What a session with `host` goes over. The reason where it can't be secure.
    pub(super) fn link_to(&mut self, socket: TcpStream, host: &str, is_secure: bool) -> Result<Link, String> {
        let layer = if is_secure { self.secure_client(host)? } else { Layer::Plain };
        Ok(Link::new(socket, layer))
    }

    /// A connection has ended since the server has refused what we asked for.
    pub(super) fn on_refused(&mut self, now: Time, owner: Owner, refusal: &str, why: &str) {
        match owner {
            Owner::Forward(id) if self.refuse_publisher(now, id, refusal) => {}
            Owner::Check(id) => self.end_check(now, id, Err(refusal)),
            _ => self.on_owned_end(now, owner, why),
        }
    }

    /// Begins a session over a socket that has been connected. `None` if that can't be: its owner has been
    /// told.
    pub(super) fn open(
        &mut self,
        now: Time,
        owner: Owner,
        mut link: Link,
        peer: SocketAddr,
        session: Session,
    ) -> Option<u32> {
        // A failure costs latency, nothing else.
        let _ = sys::prepare(link.socket());
        let registry = self.poll.registry();
        let mut failed = None;
        let id = self.conns.insert_with(|id| {
            failed = registry
                .register(link.socket_mut(), Token(id as usize), Interest::READABLE | Interest::WRITABLE)
                .err();
            let mut conn = Conn::new(now, link, peer, session);
            conn.owner = Some(owner);
            conn
        });
        if let (Some(id), Some(_)) = (id, &failed) {
            self.conns.remove(id);
        }
        let why = match (id, failed) {
            (Some(id), None) => {
                debug!(id = id; "connected to {peer}");
                self.drain(now, id);
                self.queue(id);
                return Some(id);
            }
            (_, Some(e)) => format!("{peer}: {e}"),
            (None, None) => "too many connections".to_owned(),
        };
        self.on_owned_end(now, owner, &why);
        None
    }

    /// What a server says to us who are its client.
    pub(super) fn on_client(&mut self, now: Time, id: u32, event: client::Event) {
        let Some(owner) = self.conns.find(id).and_then(|conn| conn.owner) else { return };
        match owner {
            Owner::Forward(forward) => self.on_forward_event(now, forward, id, event),
            // It has said what it had to say.
            Owner::Former(_) => {}
            Owner::Ingest(ingest) => self.on_ingest_event(now, ingest, id, event),
            Owner::Check(check) => self.on_check_event(now, check, event),
            #[cfg(feature = "http")]
            Owner::Fetch(_) => {}
        }
    }

    /// Closes a connection that its owner has no more use for; the owner hears nothing more of it.
    pub(super) fn let_go(&mut self, now: Time, id: u32, why: &str) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        conn.owner = None;
        if conn.play.is_some() {
            self.stop_push(now, id);
        }
        let Some(conn) = self.conns.find_mut(id) else { return };
        if let Session::RtmpClient(session) = &mut conn.session {
            session.finish();
            self.drain(now, id);
            self.queue(id);
        } else {
            self.doom(id, why);
        }
    }
}
