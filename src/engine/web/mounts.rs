//! The host's own handlers of HTTP paths: which request is whose, and their answers, by ticket.
//!
//! A request for a mounted path becomes an [`Event::HttpRequest`]. The host answers it whenever it likes,
//! whole ([`Engine::http_respond`]) or piece by piece ([`Engine::http_begin`], [`Engine::http_write`],
//! [`Engine::http_end`]); its client waits, the others don't.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use log::warn;

use super::super::accept::Role;
use super::super::{Engine, Event};
use super::{Source, Web};
use crate::error::{Code, Error, Result};
use crate::http::{Body, Headers, Request, Response, mime};
use crate::table::Table;
use crate::time::Time;
use crate::wire::limits::PARAM_BYTES;

/// Paths that the host may mount.
pub const MOUNTS_MAX: usize = 64;
/// Requests that may wait for the host's word, over all mounts; one more is answered with 503.
pub const REQUESTS_WAITING_MAX: usize = 256;
/// How long the host may take until it answers or begins to; then the client gets 504.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of an answer that wait for the client's socket before no more of it are taken.
pub const ANSWER_WAITING_BYTES: usize = 256 * 1024;

/// What the session writes itself, so that no two servers or clients read a message differently.
const OWN_FIELDS: [&str; 5] = ["Connection", "Content-Length", "Date", "Server", "Transfer-Encoding"];

/// The ports at which a path is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Those of the web server.
    pub server: bool,
    /// Those of the API, which comes first there.
    pub api: bool,
}

/// A request for a path that the host has mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The mount.
    pub mount: u32,
    /// Names the request when it is answered.
    pub ticket: u32,
    /// The client.
    pub client: u32,
    /// The client's address.
    pub address: SocketAddr,
    /// What it asks for.
    pub request: Box<Request>,
}

/// What is mounted, and the requests that are being answered.
#[derive(Debug, Default)]
pub(in crate::engine) struct Mounts {
    mounts: Table<Mount>,
    tickets: Table<Asked>,
    /// How many of them wait for the host's first word.
    waiting: usize,
}

/// A path and what it stands for.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    path: String,
    /// The path is the beginning of those that are meant.
    is_prefix: bool,
    ports: Ports,
}

/// Who waits for which mount's answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    client: u32,
    mount: u32,
}

/// An answer by the host, as its connection knows it.
#[derive(Debug)]
pub(in crate::engine) struct Answer {
    ticket: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The host's first word is awaited until then.
    Awaited(Time),
    /// The host sends the body.
    Begun {
        /// Bytes that it still owes, where it has named a length.
        left: Option<u64>,
        /// It was told to wait, and waits for word.
        is_full: bool,
    },
}

impl Answer {
    /// Until when the host's first word is awaited.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.stage {
            Stage::Awaited(until) => Some(until),
            Stage::Begun { .. } => None,
        }
    }

    /// Whether the host is to be told when its bytes are sent.
    pub(super) fn is_full(&self) -> bool {
        matches!(self.stage, Stage::Begun { is_full: true, .. })
    }
}

impl Mount {
    /// A path, decoded as requests' are; with `*` at its end the beginning of paths.
    fn parse(path: &str, ports: Ports) -> Option<Self> {
        let stem = path.strip_suffix('*');
        let is_prefix = stem.is_some();
        let stem = stem.unwrap_or(path);
        // A request's path is normal, so that any other would never be asked for.
        let mut segments = stem.strip_prefix('/')?.split('/').rev();
        let last = segments.next().unwrap_or_default();
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        let is_normal = (is_prefix || !is_dots(last)) && segments.all(|s| !s.is_empty() && !is_dots(s));
        let is_sound = is_normal
            && stem.len() <= PARAM_BYTES
            && !stem.contains(|c: char| c.is_ascii_control() || matches!(c, '*' | '?' | '#'));
        (is_sound && (ports.server || ports.api)).then(|| Self { path: stem.to_owned(), is_prefix, ports })
    }

    fn matches(&self, role: Role, path: &str) -> bool {
        let Role::Http { server, api } = role else { return false };
        let here = (server && self.ports.server) || (api && self.ports.api);
        here && if self.is_prefix { path.starts_with(&self.path) } else { path == self.path }
    }
}

impl Mounts {
    /// Whose the path is: the exact one's, else the longest beginning's.
    fn find(&self, role: Role, path: &str) -> Option<u32> {
        let found = self.mounts.iter().filter(|(_, mount)| mount.matches(role, path));
        found.max_by_key(|(_, mount)| (!mount.is_prefix, mount.path.len())).map(|(id, _)| id)
    }
}

impl Engine {
    /// Hands requests for a path to the host, before streams, HLS, files and the page are looked at: `/config`
    /// is that path, `/cam/*` all that begin with `/cam/`, and `/` the root alone. Of several that fit, the
    /// exact one is taken, else the longest. The path is written decoded (`/a b`). Answers the mount's id.
    ///
    /// [`Code::InvalidArgument`] for what no request's path can be, [`Code::Busy`] if the very path is mounted
    /// at one of these ports, [`Code::Limit`] beyond [`MOUNTS_MAX`].
    pub fn mount(&mut self, path: &str, ports: Ports) -> Result<u32> {
        let mount = Mount::parse(path, ports).ok_or_else(|| {
            let message = format!("{path:?} can't be mounted; \"/config\" or \"/config/*\" expected");
            Error::new(Code::InvalidArgument, message)
        })?;
        let is_same = |other: &Mount| {
            let shared = (other.ports.server && ports.server) || (other.ports.api && ports.api);
            shared && other.path == mount.path && other.is_prefix == mount.is_prefix
        };
        if self.mounts.mounts.iter().any(|(_, other)| is_same(other)) {
            return Err(Error::new(Code::Busy, format!("{path} is mounted")));
        }
        let full = || Error::new(Code::Limit, format!("{MOUNTS_MAX} paths are mounted"));
        if self.mounts.mounts.len() >= MOUNTS_MAX {
            return Err(full());
        }
        self.mounts.mounts.insert_with(|_| mount).ok_or_else(full)
    }

    /// Ends a mount. Who waits for its answer gets 503, an answer that has begun ends with its connection, and
    /// the tickets of both are over without [`Event::HttpClosed`]. [`Event::Unmounted`] is the last that is
    /// told of it. [`Code::NotFound`] for a mount that has ended.
    pub fn unmount(&mut self, mount: u32) -> Result<()> {
        let gone = || Error::new(Code::NotFound, format!("no mount {mount}"));
        self.mounts.mounts.remove(mount).ok_or_else(gone)?;
        let theirs: Vec<u32> = {
            let tickets = self.mounts.tickets.iter().filter(|(_, asked)| asked.mount == mount);
            tickets.map(|(ticket, _)| ticket).collect()
        };
        let now = self.now();
        for ticket in theirs {
            match self.settle(ticket) {
                Some((id, Stage::Awaited(_))) => {
                    self.answer_text(id, 503, "this path is no longer served");
                    self.send_on(now, id);
                }
                Some((id, Stage::Begun { .. })) => self.doom(id, "what answers it is no longer there"),
                None => {}
            }
        }
        self.tell(Event::Unmounted { mount });
        Ok(())
    }

    /// Answers a request as a whole and ends its ticket. `status` is 200 to 599; `headers` are the host's own,
    /// such as `Content-Type`: what the server writes itself (`Content-Length`, `Connection`, …) is refused.
    ///
    /// [`Code::NotFound`] if the ticket is over: answered, timed out, or its client gone. [`Code::State`] if
    /// the answer has begun. [`Code::InvalidArgument`] for another status or such a field; the ticket stays.
    pub fn http_respond(&mut self, ticket: u32, status: u16, headers: Headers, body: Bytes) -> Result<()> {
        self.awaited(ticket)?;
        let mut response = response(status, headers)?;
        response.body = Body::Full(body);
        if let Some((id, _)) = self.settle(ticket) {
            let now = self.now();
            self.respond(now, id, response);
            self.send_on(now, id);
        }
        Ok(())
    }

    /// Begins an answer whose body follows in pieces: `length` bytes of it, or as many as come. Fails as
    /// [`Engine::http_respond`] does.
    ///
    /// Where there is no body, since HEAD was asked or by the status, the answer is whole with this, and
    /// [`Event::HttpClosed`] is told.
    pub fn http_begin(
        &mut self,
        ticket: u32,
        status: u16,
        headers: Headers,
        length: Option<u64>,
    ) -> Result<()> {
        let id = self.awaited(ticket)?;
        let mut response = response(status, headers)?;
        response.body = length.map_or(Body::Chunked, Body::Length);
        let now = self.now();
        if self.respond(now, id, response) {
            if let Some(answer) = self.answer(ticket) {
                answer.stage = Stage::Begun { left: length, is_full: false };
                self.mounts.waiting = self.mounts.waiting.saturating_sub(1);
            }
        } else {
            self.lose(ticket);
        }
        self.send_on(now, id);
        Ok(())
    }

    /// The next bytes of an answer that has begun. They are taken whole, or not at all: [`Code::Again`] while
    /// [`ANSWER_WAITING_BYTES`] wait for the client's socket, and [`Event::HttpWritable`] says when to go on.
    ///
    /// [`Code::NotFound`] as above; [`Code::State`] if the answer has not begun; [`Code::InvalidArgument`] for
    /// more than the length that was named.
    pub fn http_write(&mut self, ticket: u32, bytes: Bytes) -> Result<()> {
        let id = self.begun(ticket)?;
        let unsent = self.conns.find(id).map_or(0, |conn| conn.unsent());
        let Some(Answer { stage: Stage::Begun { left, is_full }, .. }) = self.answer(ticket) else {
            return Err(over());
        };
        if unsent >= ANSWER_WAITING_BYTES {
            *is_full = true;
            return Err(Error::new(Code::Again, "the client has not taken what was written before"));
        }
        if let Some(left) = left {
            let more = || Error::new(Code::InvalidArgument, "more bytes than the answer's length");
            *left = left.checked_sub(bytes.len() as u64).ok_or_else(more)?;
        }
        if let Some(web) = self.web(id) {
            web.session.body(bytes);
        }
        let now = self.now();
        self.send_on(now, id);
        Ok(())
    }

    /// Ends an answer and its ticket. One that is shorter than the length that was named ends with its
    /// connection, by which the client knows. [`Code::NotFound`] and [`Code::State`] as for
    /// [`Engine::http_write`].
    pub fn http_end(&mut self, ticket: u32) -> Result<()> {
        let id = self.begun(ticket)?;
        self.settle(ticket);
        let now = self.now();
        if let Some(web) = self.web(id) {
            web.session.end(now);
        }
        self.send_on(now, id);
        Ok(())
    }

    /// Whether the path is one of the host's own.
    pub(super) fn hand_over(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let Some(role) = self.web(id).map(|web| web.role) else { return false };
        let Some(mount) = self.mounts.find(role, &request.path) else { return false };
        let Some(address) = self.conns.find(id).map(|conn| conn.peer) else { return false };
        let asked = Asked { client: id, mount };
        let has_room = self.mounts.waiting < REQUESTS_WAITING_MAX;
        let Some(ticket) = has_room.then(|| self.mounts.tickets.insert_with(|_| asked)).flatten() else {
            warn!(id = id; "{} is not answered: {REQUESTS_WAITING_MAX} requests wait for the host", request.path);
            let mut response = Response::with_body(503, mime::TEXT, "too many requests wait\n");
            response.headers.push("Retry-After", "1");
            self.respond(now, id, response);
            return true;
        };
        self.mounts.waiting = self.mounts.waiting.saturating_add(1);
        if let Some(web) = self.web(id) {
            web.source = Source::Host(Answer { ticket, stage: Stage::Awaited(now + ANSWER_TIMEOUT) });
        }
        let request = Box::new(request.clone());
        self.tell(Event::HttpRequest(HttpRequest { mount, ticket, client: id, address, request }));
        true
    }

    /// The socket has taken all there was: says so to a host that waits for it.
    pub(super) fn tell_writable(&mut self, id: u32) {
        let Some(Web { source: Source::Host(answer), .. }) = self.web(id) else { return };
        let ticket = answer.ticket;
        if let Stage::Begun { is_full, .. } = &mut answer.stage
            && std::mem::take(is_full)
            && let Some(asked) = self.mounts.tickets.find(ticket)
        {
            let mount = asked.mount;
            self.tell(Event::HttpWritable { mount, ticket });
        }
    }

    /// Looks whether the host has taken too long to answer.
    pub(in crate::engine) fn expire_answer(&mut self, now: Time, id: u32) {
        let Some(Web { source: Source::Host(answer), request, .. }) = self.web(id) else { return };
        if answer.deadline().is_none_or(|until| until > now) {
            return;
        }
        let ticket = answer.ticket;
        let path = request.as_ref().map_or("", |request| &request.path);
        warn!(id = id; "the host has not answered {path} within {} s", ANSWER_TIMEOUT.as_secs());
        self.lose(ticket);
        self.answer_text(id, 504, "no answer within its time");
        self.send_on(now, id);
    }

    /// A connection has ended.
    pub(in crate::engine) fn end_answer(&mut self, web: &Web) {
        let Source::Host(Answer { ticket, stage }) = &web.source else { return };
        let Some(asked) = self.mounts.forget(*ticket, *stage) else { return };
        self.tell(Event::HttpClosed { mount: asked.mount, ticket: *ticket });
    }

    /// Ends a ticket, and says so to the host.
    fn lose(&mut self, ticket: u32) {
        let Some(mount) = self.mounts.tickets.find(ticket).map(|asked| asked.mount) else { return };
        if self.settle(ticket).is_some() {
            self.tell(Event::HttpClosed { mount, ticket });
        }
    }

    /// Ends a ticket; answers whose it was, and how far its answer.
    fn settle(&mut self, ticket: u32) -> Option<(u32, Stage)> {
        let stage = self.answer(ticket)?.stage;
        let id = self.mounts.forget(ticket, stage)?.client;
        if let Some(web) = self.web(id) {
            web.source = Source::None;
        }
        Some((id, stage))
    }

    /// The client whose request waits for the host's first word.
    fn awaited(&mut self, ticket: u32) -> Result<u32> {
        match self.answer(ticket).ok_or_else(over)?.stage {
            Stage::Awaited(_) => self.client_of(ticket),
            Stage::Begun { .. } => Err(Error::new(Code::State, "the answer has begun")),
        }
    }

    /// The client whose answer the host sends.
    fn begun(&mut self, ticket: u32) -> Result<u32> {
        match self.answer(ticket).ok_or_else(over)?.stage {
            Stage::Awaited(_) => Err(Error::new(Code::State, "the answer has not begun")),
            Stage::Begun { .. } => self.client_of(ticket),
        }
    }

    fn client_of(&self, ticket: u32) -> Result<u32> {
        self.mounts.tickets.find(ticket).map(|asked| asked.client).ok_or_else(over)
    }

    /// The answer that a ticket names, while its client is there.
    fn answer(&mut self, ticket: u32) -> Option<&mut Answer> {
        let id = self.mounts.tickets.find(ticket)?.client;
        let conn = self.conns.find_mut(id).filter(|conn| !conn.dead)?;
        match &mut conn.session.web()?.source {
            Source::Host(answer) if answer.ticket == ticket => Some(answer),
            _ => None,
        }
    }

    /// What was put into a session goes out, and what its client has sent meanwhile comes in.
    fn send_on(&mut self, now: Time, id: u32) {
        self.drain(now, id);
        self.queue(id);
    }
}

impl Mounts {
    fn forget(&mut self, ticket: u32, stage: Stage) -> Option<Asked> {
        let asked = self.tickets.remove(ticket)?;
        if let Stage::Awaited(_) = stage {
            self.waiting = self.waiting.saturating_sub(1);
        }
        self.tickets.shrink();
        Some(asked)
    }
}

fn over() -> Error {
    Error::new(Code::NotFound, "the ticket is over, or its client is gone")
}

/// What the host answers, without its body.
fn response(status: u16, headers: Headers) -> Result<Response> {
    if !(200..600).contains(&status) {
        let message = format!("status is {status}; 200 to 599 expected");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let own = |name: &str| OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name));
    if let Some((name, _)) = headers.iter().find(|(name, _)| own(name)) {
        return Err(Error::new(Code::InvalidArgument, format!("{name} is written by the server itself")));
    }
    let mut response = Response::new(status);
    response.headers = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};

    use proptest::prelude::*;

    use super::*;
    use crate::http::path::normalise;

    const BOTH: Ports = Ports { server: true, api: true };
    const SERVER: Ports = Ports { server: true, api: false };
    const API: Ports = Ports { server: false, api: true };

    /// An engine with a web server.
    struct Site(Engine);

    impl Site {
        fn new(paths: &[&str]) -> (Self, Vec<u32>) {
            let mut engine = Engine::new().unwrap();
            let config = "http_server { enabled on; listen 127.0.0.1:0; dir /nonexistent; }
                http_api { enabled on; listen 127.0.0.1:0; }";
            engine.config_mut().load_text("test", config).unwrap();
            engine.apply().unwrap();
            let ids = paths.iter().map(|path| engine.mount(path, BOTH).unwrap()).collect();
            (Self(engine), ids)
        }

        fn connect(&self) -> TcpStream {
            let server = |role| matches!(role, Role::Http { server: true, .. });
            TcpStream::connect(self.0.addresses_of(server)[0]).unwrap()
        }

        /// A client that has sent this.
        fn client(&self, sent: &str) -> TcpStream {
            let mut client = self.connect();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.write_all(sent.as_bytes()).unwrap();
            client
        }

        fn event(&mut self) -> Event {
            for _ in 0..1000 {
                if let Some(event) = self.0.poll_event() {
                    return event;
                }
                self.0.turn(Some(Duration::from_millis(10))).unwrap();
            }
            panic!("no event came");
        }

        fn request(&mut self) -> HttpRequest {
            match self.event() {
                Event::HttpRequest(request) => request,
                other => panic!("{other:?}"),
            }
        }

        /// A client, and the ticket of its request.
        fn ask(&mut self, target: &str) -> (TcpStream, u32) {
            let client = self.client(&get(target));
            (client, self.request().ticket)
        }

        /// Turns until the client's answer is whole, as far as its length says, or the connection is closed.
        fn answer(&mut self, client: &mut TcpStream) -> String {
            client.set_nonblocking(true).unwrap();
            let mut got = Vec::new();
            let mut buffer = [0; 65536];
            for _ in 0..2000 {
                match client.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => got.extend_from_slice(&buffer[..n]),
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                        if is_whole(&got) {
                            break;
                        }
                        self.0.turn(Some(Duration::from_millis(5))).unwrap();
                    }
                    Err(e) => panic!("{e}"),
                }
            }
            String::from_utf8(got).unwrap()
        }

        fn status(&mut self, client: &mut TcpStream) -> String {
            self.answer(client).split(' ').nth(1).unwrap_or_default().to_owned()
        }

        /// Has the one connection's deadline come.
        fn come_to_deadline(&mut self) {
            let (id, until) = self.0.conns.iter().map(|(id, c)| (id, c.deadline.unwrap())).next().unwrap();
            self.0.conns.find_mut(id).unwrap().armed = Some(until);
            self.0.on_conn_alarm(until, until, id);
            self.0.flush();
        }

        /// What is left of requests.
        fn left(&self) -> (usize, usize) {
            (self.0.mounts.tickets.len(), self.0.mounts.waiting)
        }
    }

    fn get(target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
    }

    fn is_whole(got: &[u8]) -> bool {
        let text = String::from_utf8_lossy(got);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        match length {
            Some(length) => body.len() as u64 >= length.parse().unwrap(),
            None => body.ends_with("0\r\n\r\n") || head.contains(" 204 "),
        }
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> Code {
        result.unwrap_err().code()
    }

    fn text(name: &str, value: &str) -> Headers {
        let mut headers = Headers::new();
        headers.push(name, value);
        headers
    }

    #[test]
    fn a_request_is_answered_as_a_whole_and_the_next_one_too() {
        let (mut site, mounts) = Site::new(&["/config"]);
        let put = "PUT /config?a=1 HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nContent-Length: 3\r\n\r\nxyz";
        let mut client = site.client(&format!("{put}{}", get("/config")));
        let asked = site.request();
        assert_eq!((asked.mount, asked.address), (mounts[0], client.local_addr().unwrap()));
        assert_eq!((asked.request.method.as_str(), asked.request.query.as_str()), ("PUT", "a=1"));
        assert_eq!((asked.request.header("x-y"), &asked.request.body[..]), (Some("z"), &b"xyz"[..]));
        // The second one waits for the first's answer.
        site.0.turn(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(site.0.poll_event(), None);
        let body = Bytes::from_static(b"done");
        site.0.http_respond(asked.ticket, 201, text("X-A", "b"), body.clone()).unwrap();
        let answer = site.answer(&mut client);
        assert!(
            answer.starts_with("HTTP/1.1 201 Created\r\n") && answer.ends_with("\r\n\r\ndone"),
            "{answer}"
        );
        assert!(
            answer.contains("\r\nX-A: b\r\n") && answer.contains("\r\nContent-Length: 4\r\n"),
            "{answer}"
        );
        assert_eq!(code(site.0.http_respond(asked.ticket, 200, Headers::new(), body)), Code::NotFound);
        let second = site.request();
        assert_ne!(second.ticket, asked.ticket);
        assert_eq!(site.left(), (1, 1));
        site.0.http_respond(second.ticket, 204, Headers::new(), Bytes::new()).unwrap();
        assert_eq!(site.status(&mut client), "204");
        assert_eq!(site.left(), (0, 0));
    }

    #[test]
    fn an_answer_goes_out_in_pieces() {
        let (mut site, _) = Site::new(&["/a"]);
        let (mut client, ticket) = site.ask("/a");
        assert_eq!(code(site.0.http_write(ticket, Bytes::from_static(b"x"))), Code::State);
        assert_eq!(code(site.0.http_end(ticket)), Code::State);
        site.0.http_begin(ticket, 200, Headers::new(), None).unwrap();
        assert_eq!(site.left(), (1, 0));
        assert_eq!(code(site.0.http_begin(ticket, 200, Headers::new(), None)), Code::State);
        assert_eq!(code(site.0.http_respond(ticket, 200, Headers::new(), Bytes::new())), Code::State);
        site.0.http_write(ticket, Bytes::from_static(b"abc")).unwrap();
        site.0.http_write(ticket, Bytes::new()).unwrap();
        site.0.http_write(ticket, Bytes::from_static(b"d")).unwrap();
        site.0.http_end(ticket).unwrap();
        assert_eq!(code(site.0.http_end(ticket)), Code::NotFound);
        let answer = site.answer(&mut client);
        assert!(answer.ends_with("\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"), "{answer}");
        assert_eq!(site.left(), (0, 0));

        // Of a length, neither more nor, on a connection that stays, less.
        let (mut client, ticket) = site.ask("/a");
        site.0.http_begin(ticket, 200, Headers::new(), Some(4)).unwrap();
        site.0.http_write(ticket, Bytes::from_static(b"abc")).unwrap();
        assert_eq!(code(site.0.http_write(ticket, Bytes::from_static(b"de"))), Code::InvalidArgument);
        site.0.http_end(ticket).unwrap();
        let answer = site.answer(&mut client);
        assert!(answer.contains("\r\nContent-Length: 4\r\n") && answer.ends_with("\r\n\r\nabc"), "{answer}");
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn the_host_waits_for_a_client_who_does_not_read() {
        let (mut site, mounts) = Site::new(&["/a"]);
        let (mut client, ticket) = site.ask("/a");
        site.0.http_begin(ticket, 200, Headers::new(), Some(1 << 30)).unwrap();
        let piece = Bytes::from(vec![b'x'; 100_000]);
        let mut written = 0usize;
        let refused = loop {
            match site.0.http_write(ticket, piece.clone()) {
                Ok(()) => written += piece.len(),
                Err(e) => break e,
            }
            site.0.flush();
            let unsent = site.0.conns.iter().map(|(_, conn)| conn.unsent()).sum::<usize>();
            assert!(unsent < ANSWER_WAITING_BYTES + piece.len(), "{unsent}");
        };
        assert_eq!(refused.code(), Code::Again);
        assert_eq!(code(site.0.http_write(ticket, piece.clone())), Code::Again);
        client.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut got = 0;
        let told = loop {
            got += client.read(&mut buffer).unwrap_or(0);
            site.0.turn(Some(Duration::from_millis(1))).unwrap();
            if let Some(event) = site.0.poll_event() {
                break event;
            }
            assert!(got < 2 * written, "never told");
        };
        assert_eq!(told, Event::HttpWritable { mount: mounts[0], ticket });
        assert_eq!(site.0.http_write(ticket, piece), Ok(()));
        // Once is enough.
        site.0.turn(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(site.0.poll_event(), None);
    }

    #[test]
    fn a_client_that_goes_takes_its_ticket_along() {
        let (mut site, mounts) = Site::new(&["/a"]);
        for begun in [false, true] {
            let (client, ticket) = site.ask("/a");
            if begun {
                site.0.http_begin(ticket, 200, Headers::new(), None).unwrap();
            }
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            assert_eq!(site.event(), Event::HttpClosed { mount: mounts[0], ticket });
            assert_eq!(code(site.0.http_respond(ticket, 200, Headers::new(), Bytes::new())), Code::NotFound);
            assert_eq!(code(site.0.http_write(ticket, Bytes::new())), Code::NotFound);
            assert_eq!(site.left(), (0, 0));
        }
        // Kicked: over from that moment on.
        let client = site.client(&get("/a"));
        let asked = site.request();
        site.0.kick(asked.client).unwrap();
        assert_eq!(
            code(site.0.http_respond(asked.ticket, 200, Headers::new(), Bytes::new())),
            Code::NotFound
        );
        assert_eq!(site.event(), Event::HttpClosed { mount: mounts[0], ticket: asked.ticket });
        drop(client);
    }

    #[test]
    fn who_says_no_more_still_gets_the_answer() {
        let (mut site, _) = Site::new(&["/a"]);
        for whole in [true, false] {
            let mut client = site.client(&get("/a"));
            client.shutdown(Shutdown::Write).unwrap();
            let ticket = site.request().ticket;
            for _ in 0..5 {
                site.0.turn(Some(Duration::from_millis(5))).unwrap();
            }
            if whole {
                site.0.http_respond(ticket, 200, Headers::new(), Bytes::from_static(b"hello")).unwrap();
            } else {
                site.0.http_begin(ticket, 200, Headers::new(), Some(5)).unwrap();
                site.0.http_write(ticket, Bytes::from_static(b"he")).unwrap();
                site.0.turn(Some(Duration::from_millis(5))).unwrap();
                site.0.http_write(ticket, Bytes::from_static(b"llo")).unwrap();
                site.0.http_end(ticket).unwrap();
            }
            assert!(site.answer(&mut client).ends_with("\r\n\r\nhello"));
        }
    }

    #[test]
    fn a_host_that_never_answers_has_a_minute() {
        let (mut site, mounts) = Site::new(&["/a"]);
        let mut client = site.client(&format!("{}{}", get("/a"), get("/b")));
        let asked = site.request();
        let conn = site.0.conns.find(asked.client).unwrap();
        let (until, alarm) = (conn.deadline.unwrap(), conn.armed.unwrap());
        let wait = until.since(site.0.now());
        assert!(wait <= ANSWER_TIMEOUT && wait > ANSWER_TIMEOUT - Duration::from_secs(20), "{wait:?}");
        // The alarm that is set may be that of the request's head; then it is set anew.
        site.0.on_conn_alarm(alarm, alarm, asked.client);
        assert_eq!(site.0.conns.find(asked.client).unwrap().armed, Some(until));
        let early = Time::ZERO + (until.since(Time::ZERO) - Duration::from_micros(1));
        site.0.expire_answer(early, asked.client);
        assert_eq!(site.left(), (1, 1));
        site.0.on_conn_alarm(until, until, asked.client);
        assert_eq!(site.left(), (0, 0));
        assert_eq!(site.event(), Event::HttpClosed { mount: mounts[0], ticket: asked.ticket });
        assert_eq!(
            code(site.0.http_respond(asked.ticket, 200, Headers::new(), Bytes::new())),
            Code::NotFound
        );
        let answer = site.answer(&mut client);
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        // The connection goes on.
        assert!(answer.contains("HTTP/1.1 404 ") || site.status(&mut client) == "404");
    }

    #[test]
    fn an_idle_connection_is_closed_when_its_time_comes() {
        let (mut site, _) = Site::new(&["/a"]);
        let (mut client, ticket) = site.ask("/a");
        site.0.http_respond(ticket, 200, Headers::new(), Bytes::new()).unwrap();
        assert_eq!(site.status(&mut client), "200");
        site.come_to_deadline();
        assert_eq!(site.0.conns.len(), 0);
        // One that stops in a request's middle is told why.
        let mut client = site.client("GET /a HTT");
        site.0.turn(Some(Duration::from_millis(50))).unwrap();
        site.0.turn(Some(Duration::from_millis(50))).unwrap();
        site.come_to_deadline();
        assert_eq!(site.status(&mut client), "408");
    }

    #[test]
    fn head_has_no_body() {
        let (mut site, mounts) = Site::new(&["/a"]);
        let mut client = site.client("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
        let ticket = site.request().ticket;
        site.0.http_respond(ticket, 200, Headers::new(), Bytes::from_static(b"hello")).unwrap();
        client.write_all(b"HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let ticket = site.request().ticket;
        site.0.http_begin(ticket, 200, Headers::new(), Some(7)).unwrap();
        assert_eq!(code(site.0.http_write(ticket, Bytes::from_static(b"x"))), Code::NotFound);
        assert_eq!(site.event(), Event::HttpClosed { mount: mounts[0], ticket });
        let mut answer = String::new();
        for _ in 0..100 {
            answer += &site.answer(&mut client);
        }
        let lengths: Vec<_> = answer.lines().filter(|line| line.starts_with("Content-Length")).collect();
        assert_eq!(lengths, ["Content-Length: 5", "Content-Length: 7"]);
        assert!(answer.ends_with("\r\n\r\n") && !answer.contains("hello"), "{answer}");
        assert_eq!(site.left(), (0, 0));
    }

    #[test]
    fn an_ended_mount_ends_its_answers() {
        let (mut site, mounts) = Site::new(&["/a", "/b"]);
        let (mut awaiting, awaited) = site.ask("/a");
        let (mut reading, begun) = site.ask("/a");
        let (mut other, others) = site.ask("/b");
        site.0.http_begin(begun, 200, Headers::new(), Some(9)).unwrap();
        site.0.unmount(mounts[0]).unwrap();
        assert_eq!(code(site.0.unmount(mounts[0])), Code::NotFound);
        assert_eq!(site.left(), (1, 1));
        assert_eq!(site.event(), Event::Unmounted { mount: mounts[0] });
        for ticket in [awaited, begun] {
            assert_eq!(code(site.0.http_respond(ticket, 200, Headers::new(), Bytes::new())), Code::NotFound);
        }
        assert_eq!(site.status(&mut awaiting), "503");
        let cut = site.answer(&mut reading);
        assert!(cut.is_empty() || cut.ends_with("\r\n\r\n"), "{cut}");
        awaiting.set_nonblocking(false).unwrap();
        awaiting.write_all(get("/a").as_bytes()).unwrap();
        assert_eq!(site.status(&mut awaiting), "404");
        site.0.http_respond(others, 200, Headers::new(), Bytes::new()).unwrap();
        assert_eq!(site.status(&mut other), "200");
        assert_eq!(site.0.poll_event(), None);
        assert!(site.0.mount("/a", BOTH).is_ok());
    }

    #[test]
    fn so_many_requests_wait_and_no_more() {
        let (mut site, mounts) = Site::new(&["/a"]);
        let clients: Vec<_> = (0..REQUESTS_WAITING_MAX).map(|_| site.ask("/a")).collect();
        assert_eq!(site.left(), (REQUESTS_WAITING_MAX, REQUESTS_WAITING_MAX));
        let mut refused = site.client(&get("/a"));
        assert_eq!(site.status(&mut refused), "503");
        // An answer that has begun is none of them.
        site.0.http_begin(clients[0].1, 200, Headers::new(), None).unwrap();
        let (_stays, _) = site.ask("/a");
        site.0.unmount(mounts[0]).unwrap();
        assert_eq!(site.left(), (0, 0));
    }

    #[test]
    fn what_is_wrong_with_an_answer_leaves_the_request_waiting() {
        let (mut site, _) = Site::new(&["/a"]);
        let (mut client, ticket) = site.ask("/a");
        for status in [0, 100, 101, 199, 600, u16::MAX] {
            let result = site.0.http_respond(ticket, status, Headers::new(), Bytes::new());
            assert_eq!(code(result), Code::InvalidArgument, "{status}");
        }
        for name in ["content-length", "Transfer-Encoding", "CONNECTION", "date", "Server"] {
            assert_eq!(code(site.0.http_begin(ticket, 200, text(name, "0"), None)), Code::InvalidArgument);
        }
        site.0.http_respond(ticket, 599, text("X-Content-Length", "1"), Bytes::new()).unwrap();
        assert_eq!(site.status(&mut client), "599");
    }

    #[test]
    fn the_best_fit_is_asked() {
        let all = ["/", "/*", "/cam/*", "/cam/one", "/cam/one*", "/a b"];
        let mut mounts = Mounts::default();
        for path in all {
            mounts.mounts.insert_with(|_| Mount::parse(path, SERVER).unwrap());
        }
        let server = Role::Http { server: true, api: false };
        let of = |path: &str| {
            let found = mounts.mounts.find(mounts.find(server, path).unwrap()).unwrap();
            format!("{}{}", found.path, if found.is_prefix { "*" } else { "" })
        };
        for (path, mount) in [
            ("/", "/"),
            ("/x", "/*"),
            ("/cam", "/*"),
            ("/cam/", "/cam/*"),
            ("/cam/two/x", "/cam/*"),
            ("/cam/one", "/cam/one"),
            ("/cam/one/", "/cam/one*"),
            ("/a b", "/a b"),
        ] {
            assert_eq!(of(path), mount, "{path}");
        }
        assert_eq!(mounts.find(Role::Http { server: false, api: true }, "/"), None);
        assert_eq!(mounts.find(Role::Rtmp, "/"), None);
        assert!(mounts.find(Role::Http { server: true, api: true }, "/").is_some());
    }

    #[test]
    fn ports_and_paths_that_are_taken() {
        let (mut site, _) = Site::new(&[]);
        site.0.mount("/a", SERVER).unwrap();
        assert_eq!(code(site.0.mount("/a", BOTH)), Code::Busy);
        site.0.mount("/a", API).unwrap();
        site.0.mount("/a*", SERVER).unwrap();
        assert_eq!(code(site.0.mount("/b", Ports { server: false, api: false })), Code::InvalidArgument);
        for path in [
            "", "a", "*", "a*", "//", "/a//b", "/a//", "/./a", "/a/..", "/..", "/../*", "/a?b", "/a#b",
            "/a*b", "/a\n",
        ] {
            assert_eq!(code(site.0.mount(path, SERVER)), Code::InvalidArgument, "{path:?}");
        }
        let free = MOUNTS_MAX - 3;
        let ids: Vec<_> = (0..free).map(|i| site.0.mount(&format!("/{i}"), SERVER).unwrap()).collect();
        assert_eq!(code(site.0.mount("/x", SERVER)), Code::Limit);
        site.0.unmount(ids[0]).unwrap();
        assert!(site.0.mount("/x", SERVER).is_ok());
    }

    proptest! {
        /// Whatever can be mounted can be asked for.
        #[test]
        fn mounted_paths_are_normal(path in "/[a./ %\\\\é]{0,8}") {
            let encoded: String = path.replace('%', "%25");
            prop_assert_eq!(Mount::parse(&path, BOTH).is_some(), normalise(&encoded) == Some(path));
        }
    }
}
