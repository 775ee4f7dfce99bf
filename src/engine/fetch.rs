//! Requests over HTTP to other servers: made, followed where they are sent elsewhere, and handed to whoever
//! wanted the answer, whole or as it comes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use log::debug;
use mio::net::TcpStream;

use super::Engine;
use super::conn::Conn;
use super::outgoing::Owner;
use super::session::{Answer, Session};
use super::timers::Alarm;
use crate::http::client::{Limits, Request, ResponseHead, Session as Client, Url};
use crate::http::{Headers, Method};
use crate::time::Time;

/// How often a server may send us elsewhere.
const REDIRECTS_MAX: u32 = 5;
/// Connections that are kept for one purpose.
const KEPT_MAX: usize = 4;
/// How long a connection is kept without a request: longer than most segments of HLS.
const KEPT_FOR: Duration = Duration::from_secs(15);

/// What an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A stream, or a piece of one, for this ingest.
    Ingest(u32),
    /// Where a stream is forwarded to.
    Forward(u32),
    /// Whether a client may play.
    Check(u32),
    /// Where a stream is.
    Lookup(u32),
}

/// A request to be.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    /// How long it may take to the end of the answer's head, redirects included.
    pub(super) timeout: Duration,
    /// How long the body may pause.
    pub(super) stall: Duration,
    /// Where it is wanted whole, in one [`Fetched::Whole`]: how long the body may be, in bytes. Otherwise it
    /// comes in pieces, without a limit.
    pub(super) whole: Option<usize>,
}

impl Order {
    /// A GET whose answer comes in pieces.
    pub(super) fn get(url: Url, timeout: Duration, stall: Duration) -> Self {
        let (headers, body) = (Headers::new(), Bytes::new());
        Self { method: Method::Get, url, headers, body, timeout, stall, whole: None }
    }
}

/// What became of a request, piece by piece.
#[derive(Debug)]
pub(super) enum Fetched {
    /// The answer's head, where it comes in pieces; and the URL that it came from in the end.
    Head(Box<ResponseHead>, Url),
    /// More of its body.
    Body(Bytes),
    /// It is whole. Nothing more comes.
    End,
    /// All of it at once: its status and its body. Nothing more comes.
    Whole(u16, Bytes),
    /// There is no answer, or not all of one. Nothing more comes.
    Failed(String),
}

/// A request that is being made.
#[derive(Debug)]
pub(super) struct Fetch {
    purpose: Purpose,
    order: Order,
    /// When the answer's head has to be there.
    deadline: Time,
    redirects: u32,
    way: Way,
    /// The connection has served before.
    is_reused: bool,
    /// Of the answer; 0 before there is one.
    status: u16,
    /// What has come of a body that is wanted whole.
    held: BytesMut,
}

/// A connection that has served, and waits for another request of the same purpose to the same place.
#[derive(Debug)]
pub(super) struct Kept {
    conn: u32,
    purpose: Purpose,
    url: Url,
    until: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    None,
    Dialing(u32),
    Open(u32),
}

impl Engine {
    /// Makes a request; what becomes of it is told to its purpose, never before this has returned. `None`
    /// where that can't even be tried.
    pub(super) fn fetch(&mut self, now: Time, purpose: Purpose, order: Order) -> Option<u32> {
        let deadline = now + order.timeout;
        let id = self.fetches.insert_with(|_| Fetch {
            purpose,
            order,
            deadline,
            redirects: 0,
            way: Way::None,
            is_reused: false,
            status: 0,
            held: BytesMut::new(),
        })?;
        if !self.connect_fetch(now, id) {
            self.fetches.remove(id);
            return None;
        }
        Some(id)
    }

    /// The answer is no longer wanted.
    pub(super) fn abandon(&mut self, now: Time, id: u32) {
        match self.fetches.remove(id).map(|fetch| fetch.way) {
            Some(Way::Dialing(dial)) => self.undial(dial),
            Some(Way::Open(conn)) => self.let_go(now, conn, "no longer wanted"),
            Some(Way::None) | None => {}
        }
    }

    /// Nothing is read of the answer's body for a while, or again.
    pub(super) fn pause_fetch(&mut self, now: Time, id: u32, is_paused: bool) {
        let Some(Way::Open(id)) = self.fetches.find(id).map(|fetch| fetch.way) else { return };
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Session::HttpClient(session) = &mut conn.session else { return };
        if conn.paused != is_paused {
            session.pause(now, is_paused);
            conn.paused = is_paused;
            self.arm(id);
            self.queue(id);
        }
    }

    /// Closes the connections that are kept for this purpose.
    pub(super) fn drop_kept(&mut self, now: Time, purpose: Purpose) {
        let dropped = self.kept.extract_if(.., |kept| kept.purpose == purpose).collect::<Vec<_>>();
        dropped.iter().for_each(|kept| self.let_go(now, kept.conn, "no longer wanted"));
    }

    pub(super) fn on_kept_alarm(&mut self, now: Time, conn: u32) {
        if let Some(at) = self.kept.iter().position(|kept| kept.conn == conn && kept.until <= now) {
            self.kept.swap_remove(at);
            self.let_go(now, conn, "idle for too long");
        }
    }

    fn connect_fetch(&mut self, now: Time, id: u32) -> bool {
        if let Some(conn) = self.take_kept(id) {
            self.request(now, id, conn);
            return true;
        }
        self.dial_fetch(now, id)
    }

    fn dial_fetch(&mut self, now: Time, id: u32) -> bool {
        let Some(fetch) = self.fetches.find(id) else { return false };
        let url = &fetch.order.url;
        let (host, port, limit) = (url.host().to_owned(), url.port(), fetch.deadline.since(now));
        let Some(dial) = self.dial(now, Owner::Fetch(id), &host, port, limit) else { return false };
        if let Some(fetch) = self.fetches.find_mut(id) {
            fetch.way = Way::Dialing(dial);
        }
        true
    }

    pub(super) fn on_fetch_dialed(&mut self, now: Time, id: u32, socket: TcpStream, peer: SocketAddr) {
        let Some(fetch) = self.fetches.find(id) else { return };
        let mut session = Client::new(fetch.limits(now));
        fetch.request(now, &mut session);
        let session = Session::HttpClient(Box::new(session));
        let url = &fetch.order.url;
        let (host, is_tls) = (url.host().to_owned(), url.is_tls());
        let link = match self.link_to(socket, &host, is_tls) {
            Ok(link) => link,
            Err(why) => return self.fail_fetch(now, id, &why),
        };
        if let Some(conn) = self.open(now, Owner::Fetch(id), link, peer, session)
            && let Some(fetch) = self.fetches.find_mut(id)
        {
            fetch.way = Way::Open(conn);
        }
    }

    /// Makes the request over a connection that has served before.
    fn request(&mut self, now: Time, id: u32, conn: u32) {
        let Some(fetch) = self.fetches.find_mut(id) else { return };
        (fetch.way, fetch.is_reused) = (Way::Open(conn), true);
        if let Some(found) = self.conns.find_mut(conn)
            && let Session::HttpClient(session) = &mut found.session
        {
            found.owner = Some(Owner::Fetch(id));
            session.set_limits(fetch.limits(now));
            fetch.request(now, session);
        }
        self.drain(now, conn);
        self.queue(conn);
    }

    /// A kept connection that serves for this request.
    fn take_kept(&mut self, id: u32) -> Option<u32> {
        let Self { fetches, kept, conns, .. } = self;
        let fetch = fetches.find(id).filter(|fetch| fetch.order.method == Method::Get)?;
        let at = kept.iter().rposition(|kept| {
            kept.purpose == fetch.purpose
                && kept.url.has_same_origin(&fetch.order.url)
                && conns.find(kept.conn).is_some_and(Conn::serves_again)
        })?;
        Some(kept.swap_remove(at).conn)
    }

    /// What the server answers on this connection.
    pub(super) fn on_answer(&mut self, now: Time, conn: u32, answer: Answer) {
        let Some(Owner::Fetch(id)) = self.conns.find(conn).and_then(|conn| conn.owner) else { return };
        let Some(fetch) = self.fetches.find_mut(id) else { return };
        match answer {
            Answer::Head(head) => {
                fetch.status = head.status;
                if let Some(url) = head.redirect {
                    self.redirect_fetch(now, id, conn, url);
                } else if fetch.order.whole.is_none() {
                    let (purpose, url) = (fetch.purpose, fetch.order.url.clone());
                    self.on_fetched(now, id, purpose, Fetched::Head(head, url));
                }
            }
            Answer::Body(bytes) if fetch.order.whole.is_some() => fetch.held.extend_from_slice(&bytes),
            Answer::Body(bytes) => {
                let purpose = fetch.purpose;
                self.on_fetched(now, id, purpose, Fetched::Body(bytes));
            }
            Answer::End => self.end_fetch(now, id, conn),
        }
    }

    fn end_fetch(&mut self, now: Time, id: u32, conn: u32) {
        let Some(fetch) = self.fetches.remove(id) else { return };
        self.keep(now, &fetch, conn);
        let fetched = match fetch.order.whole {
            Some(_) => Fetched::Whole(fetch.status, fetch.held.freeze()),
            None => Fetched::End,
        };
        self.on_fetched(now, id, fetch.purpose, fetched);
    }

    /// Keeps a connection for the next request, if it serves for one and there are not too many.
    fn keep(&mut self, now: Time, fetch: &Fetch, conn: u32) {
        let Self { kept, conns, .. } = self;
        kept.retain(|kept| conns.find(kept.conn).is_some_and(|conn| !conn.dead));
        let has_room = kept.iter().filter(|kept| kept.purpose == fetch.purpose).count() < KEPT_MAX;
        let idle = conns.find_mut(conn).filter(|conn| conn.serves_again() && has_room);
        let Some(idle) = idle else { return self.let_go(now, conn, "answered") };
        idle.owner = None;
        let until = now + KEPT_FOR;
        self.kept.push(Kept { conn, purpose: fetch.purpose, url: fetch.order.url.clone(), until });
        self.timers.set(until, Alarm::Kept(conn));
    }

    fn redirect_fetch(&mut self, now: Time, id: u32, conn: u32, url: Url) {
        self.let_go(now, conn, "sent elsewhere");
        let Some(fetch) = self.fetches.find_mut(id) else { return };
        fetch.redirects = fetch.redirects.saturating_add(1);
        (fetch.way, fetch.held, fetch.is_reused) = (Way::None, BytesMut::new(), false);
        if fetch.redirects > REDIRECTS_MAX {
            let why = format!("the server sends us elsewhere, {REDIRECTS_MAX} times in a row");
            self.fail_fetch(now, id, &why);
            return;
        }
        // 301, 302 and 303 make a GET of a POST (RFC 9110, 15.4).
        if !matches!(fetch.status, 307 | 308) && fetch.order.method == Method::Post {
            (fetch.order.method, fetch.order.body) = (Method::Get, Bytes::new());
        }
        (fetch.order.url, fetch.status) = (url, 0);
        if !self.connect_fetch(now, id) {
            self.fail_fetch(now, id, "too many connections are being made");
        }
    }

    pub(super) fn fail_fetch(&mut self, now: Time, id: u32, why: &str) {
        let Some(fetch) = self.fetches.find_mut(id) else { return };
        if fetch.is_reused && fetch.status == 0 && now < fetch.deadline {
            // The server has closed what was kept: that says nothing of the request.
            (fetch.way, fetch.is_reused) = (Way::None, false);
            if self.dial_fetch(now, id) {
                return;
            }
        }
        let Some(purpose) = self.fetches.find(id).map(|fetch| fetch.purpose) else { return };
        self.abandon(now, id);
        self.on_fetched(now, id, purpose, Fetched::Failed(why.to_owned()));
    }

    fn on_fetched(&mut self, now: Time, id: u32, purpose: Purpose, fetched: Fetched) {
        match purpose {
            Purpose::Ingest(ingest) => self.on_ingest_fetched(now, ingest, id, fetched),
            Purpose::Forward(backend) => self.on_backend_fetched(now, backend, fetched),
            Purpose::Check(check) => self.on_check_fetched(now, check, fetched),
            Purpose::Lookup(lookup) => self.on_lookup_fetched(now, lookup, fetched),
        }
    }
}

impl Fetch {
    fn limits(&self, now: Time) -> Limits {
        let Order { stall, whole, .. } = &self.order;
        let body_bytes = whole.map_or(u64::MAX, |limit| limit as u64);
        Limits { head: self.deadline.since(now), stall: *stall, body_bytes }
    }

    fn request(&self, now: Time, session: &mut Client) {
        let Order { method, url, headers, body, .. } = &self.order;
        session.request(now, &Request { method: *method, url, headers: headers.clone(), body: body.clone() });
        debug!("{} {url}", method.as_str());
    }
}
