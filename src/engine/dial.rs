//! Making connections: a name's addresses, each tried, the slow ones beside the next (RFC 8305).
//!
//! A dial is one connection that is wanted. It ends with [`Engine::on_dialed`] or [`Engine::on_undialed`] for
//! its owner, within its time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use smallvec::SmallVec;

use super::outgoing::Owner;
use super::resolver::Resolver;
use super::timers::Alarm;
use super::{Engine, Event};
use crate::error::{Code, Error, Result};
use crate::time::Time;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305, 8: Connection Attempt
/// Delay).
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 16;

/// A connection that is wanted.
#[derive(Debug)]
pub(super) struct Dial {
    owner: Owner,
    host: String,
    port: u16,
    deadline: Time,
    limit: Duration,
    /// Those that are yet to be tried.
    addresses: VecDeque<SocketAddr>,
    attempts: SmallVec<[u32; 2]>,
    /// When the next one is tried though the last has not failed.
    next: Option<Time>,
    /// What the last one failed of.
    failure: Option<String>,
}

/// A connection that is being made. Its id is the socket's token.
#[derive(Debug)]
pub(super) struct Attempt {
    dial: u32,
    socket: TcpStream,
    address: SocketAddr,
}

impl Engine {
    /// Whether names are looked up by the host ([`Event::Resolve`]) instead of the system.
    pub fn resolve_by_host(&mut self, own: bool) {
        self.own_resolver = own;
    }

    /// Answers an [`Event::Resolve`] with up to [`ADDRESSES_MAX`] addresses, which are tried in this order; with
    /// none the name is not known.
    pub fn resolved(&mut self, ticket: u32, addresses: &[IpAddr]) -> Result<()> {
        let found = self.dials.find(ticket).filter(|dial| dial.is_resolving());
        let port = found.map(|dial| dial.port).ok_or_else(|| {
            Error::new(Code::NotFound, "the name is no longer waited for, or has been answered")
        })?;
        let now = self.now();
        let addresses = addresses.iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(*ip, port)).collect();
        self.on_resolved(now, ticket, Ok(addresses));
        Ok(())
    }

    /// Has a connection to `host` made, within `limit`.
    pub(super) fn dial(
        &mut self,
        now: Time,
        owner: Owner,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Option<u32> {
        let deadline = now + limit;
        let id = self.dials.insert_with(|_| Dial {
            owner,
            host: host.to_owned(),
            port,
            deadline,
            limit,
            addresses: VecDeque::new(),
            attempts: SmallVec::new(),
            next: None,
            failure: None,
        })?;
        self.timers.set(deadline, Alarm::Dial(id));
        if let Ok(ip) = host.parse::<IpAddr>() {
            // Not at once: whoever dials has first to note that it does.
            self.dials.find_mut(id)?.addresses.push_back(SocketAddr::new(ip, port));
            self.timers.set(now, Alarm::Dial(id));
        } else if self.own_resolver {
            self.tell(Event::Resolve { ticket: id, host: host.to_owned(), port });
        } else if let Err(e) = self.resolver().ask(id, host, port) {
            self.dials.find_mut(id)?.failure = Some(format!("{host}: {e}"));
            self.timers.set(now, Alarm::Dial(id));
        }
        Some(id)
    }

    /// The connection is no longer wanted.
    pub(super) fn undial(&mut self, id: u32) {
        let Some(dial) = self.dials.remove(id) else { return };
        if let Some(resolver) = self.resolver.as_ref().filter(|_| dial.is_resolving()) {
            resolver.forget(id);
        }
        dial.attempts.iter().for_each(|attempt| self.drop_attempt(*attempt));
    }

    fn resolver(&mut self) -> &mut Resolver {
        let remote = &self.remote;
        self.resolver.get_or_insert_with(|| {
            let remote = remote.clone();
            Resolver::new(Box::new(move || {
                // A waker that fails leaves the answer for the next turn.
                let _ = remote.wake();
            }))
        })
    }

    /// Takes what has been looked up.
    pub(super) fn drain_resolver(&mut self, now: Time) {
        for found in self.resolver.as_ref().map(Resolver::take).unwrap_or_default() {
            self.on_resolved(now, found.id, found.result.map(interleaved));
        }
    }

    fn on_resolved(&mut self, now: Time, id: u32, result: Result<VecDeque<SocketAddr>, String>) {
        let Some(dial) = self.dials.find_mut(id).filter(|dial| dial.is_resolving()) else { return };
        match result {
            Ok(found) if found.is_empty() => {
                dial.failure = Some(format!("{}: no address is known of that name", dial.host));
            }
            Ok(found) => dial.addresses = found,
            Err(e) => dial.failure = Some(format!("{}: {e}", dial.host)),
        }
        self.try_next(now, id);
    }

    /// Tries the next address, if there is one; if nothing is left that could succeed, the dial has failed.
    fn try_next(&mut self, now: Time, id: u32) {
        loop {
            let Some(dial) = self.dials.find_mut(id) else { return };
            dial.next = None;
            let Some(address) = dial.addresses.pop_front() else { break };
            match self.attempt(id, address) {
                Ok(attempt) => {
                    let Some(dial) = self.dials.find_mut(id) else { return };
                    dial.attempts.push(attempt);
                    if !dial.addresses.is_empty() {
                        dial.next = Some(now + STAGGER);
                        self.timers.set(now + STAGGER, Alarm::Dial(id));
                    }
                    return;
                }
                Err(e) => {
                    let Some(dial) = self.dials.find_mut(id) else { return };
                    dial.failure = Some(format!("{address}: {e}"));
                }
            }
        }
        if let Some(dial) = self.dials.find_mut(id)
            && dial.attempts.is_empty()
        {
            let why = dial.failure.take().unwrap_or_default();
            self.fail_dial(now, id, &format!("connecting to {why}"));
        }
    }

    fn attempt(&mut self, dial: u32, address: SocketAddr) -> io::Result<u32> {
        let mut socket = TcpStream::connect(address)?;
        let registry = self.poll.registry();
        let mut registered = Ok(());
        let id = self.attempts.insert_with(|id| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registered = registry.register(&mut socket, Token(id as usize), interest);
            Attempt { dial, socket, address }
        });
        let id = id.ok_or_else(|| io::Error::other("too many connections are being made"))?;
        registered.inspect_err(|_| {
            self.attempts.remove(id);
        })?;
        Ok(id)
    }

    /// Something has happened to a socket that is being connected.
    pub(super) fn on_attempt(&mut self, now: Time, id: u32) {
        let Some(attempt) = self.attempts.find(id) else { return };
        let failure = match (attempt.socket.take_error(), attempt.socket.peer_addr()) {
            (Ok(None), Ok(_)) => None,
            (Ok(None), Err(e)) if e.kind() == io::ErrorKind::NotConnected => return,
            (Ok(Some(e)) | Err(e), _) | (_, Err(e)) => Some(e),
        };
        let dial_id = attempt.dial;
        let Some(attempt) = self.attempts.remove(id) else { return };
        let Attempt { mut socket, address, .. } = attempt;
        // The connection gets a token of its own.
        let _ = self.poll.registry().deregister(&mut socket);
        let Some(dial) = self.dials.find_mut(dial_id) else { return };
        dial.attempts.retain(|other| *other != id);
        if let Some(e) = failure {
            dial.failure = Some(format!("{address}: {e}"));
            self.try_next(now, dial_id);
            return;
        }
        let owner = dial.owner;
        self.undial(dial_id);
        self.on_dialed(now, owner, socket, address);
    }

    pub(super) fn on_dial_alarm(&mut self, now: Time, id: u32) {
        let Some(dial) = self.dials.find_mut(id) else { return };
        if dial.deadline <= now {
            let (host, port, ms) = (&dial.host, dial.port, dial.limit.as_millis());
            let what = if dial.is_resolving() { "address of" } else { "connection to" };
            let why = match &dial.failure {
                Some(why) => format!("timeout: no connection to {host} within {ms} ms; {why}"),
                None => format!("timeout: no {what} {host}:{port} within {ms} ms"),
            };
            self.fail_dial(now, id, &why);
        } else if dial.next.is_some_and(|at| at <= now) || dial.attempts.is_empty() && !dial.is_resolving() {
            self.try_next(now, id);
        }
    }

    fn fail_dial(&mut self, now: Time, id: u32, why: &str) {
        let Some(owner) = self.dials.find(id).map(|dial| dial.owner) else { return };
        self.undial(id);
        self.on_undialed(now, owner, why);
    }

    fn drop_attempt(&mut self, id: u32) {
        if let Some(mut attempt) = self.attempts.remove(id) {
            let _ = self.poll.registry().deregister(&mut attempt.socket);
        }
    }
}

impl Dial {
    /// Whether its addresses are still looked up.
    fn is_resolving(&self) -> bool {
        self.addresses.is_empty() && self.attempts.is_empty() && self.failure.is_none()
    }
}

/// The families in turn, in the order that they came in (RFC 8305, 4); no address twice.
fn interleaved(found: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let mut order = VecDeque::new();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] || order.len() >= ADDRESSES_MAX {
            return order;
        }
        for address in pair.into_iter().flatten() {
            if !order.contains(&address) {
                order.push_back(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_none_comes_twice() {
        let addresses = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "127.0.0.1:1", "127.0.0.2:1"]);
        let expected = addresses(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1"]);
        assert_eq!(interleaved(found), expected);
        let many = (0..100).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        assert_eq!(interleaved(many).len(), ADDRESSES_MAX);
    }
}
