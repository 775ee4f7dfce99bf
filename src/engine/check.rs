//! Asking an edge's origins whether a client may play (`token_traverse`): each client is asked for with a
//! connection of its own, which ends when the origin lets it play.

use std::net::SocketAddr;

use mio::net::TcpStream;

use super::Engine;
use super::conn::Wish;
use super::edge::{self, POLICY};
#[cfg(feature = "http")]
use super::fetch::{Fetched, Order, Purpose as FetchPurpose};
use super::outgoing::Owner;
use super::session::Session;
#[cfg(feature = "http")]
use super::via;
use crate::config::Edge;
#[cfg(feature = "http")]
use crate::config::Protocol;
#[cfg(feature = "http")]
use crate::http::client::Url;
use crate::hub::Name;
use crate::rtmp::client::{Event as Said, Options, Purpose, Session as Client};
use crate::rtmp::server::VIA;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

/// How often an origin may send us elsewhere.
const REDIRECTS_MAX: u32 = 5;

/// A client whose origin is asked.
#[derive(Debug)]
pub(super) struct Check {
    client: u32,
    ticket: u32,
    name: Name,
    edge: Edge,
    /// The client's parameters.
    param: String,
    /// The URLs that the client has connected to and comes from.
    tc_url: String,
    page_url: String,
    /// Which origin is asked.
    turn: usize,
    /// Where it has sent us.
    moved: Option<RtmpUrl>,
    redirects: u32,
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    None,
    Dialing(u32),
    Open(u32),
    #[cfg(feature = "http")]
    Fetching(u32),
}

impl Engine {
    /// Has the origins judge whether a client may play.
    pub(super) fn ask_to_play(&mut self, now: Time, id: u32, name: Name, edge: &Edge, wish: Wish) {
        let Some(conn) = self.conns.find(id) else { return };
        let (mut tc_url, page_url) = conn.session.urls();
        if !tc_url.starts_with("rtmp") {
            tc_url.clear();
        }
        let param = wish.asked().1.param.clone();
        let Some(ticket) = self.hold(id, wish) else { return };
        let check = self.checks.insert_with(|_| Check {
            client: id,
            ticket,
            name,
            edge: edge.clone(),
            param,
            tc_url,
            page_url,
            turn: 0,
            moved: None,
            redirects: 0,
            way: Way::None,
        });
        match check {
            Some(check) => self.start_check(now, check),
            None => self.judge(now, ticket, Err("too many clients wait to be let in")),
        }
    }

    fn start_check(&mut self, now: Time, id: u32) {
        let Some(check) = self.checks.find(id) else { return };
        let url = match check.url() {
            Ok(At::Rtmp(url)) => url,
            #[cfg(feature = "http")]
            Ok(At::Http(url)) => {
                let mut order = Order::get(url, POLICY.connect, POLICY.stall);
                order.headers.push(via::HEADER, &self.via_of_check(&check.name, check.client).to_string());
                let way = self.fetch(now, FetchPurpose::Check(id), order).map(Way::Fetching);
                self.go_check(now, id, way);
                return;
            }
            Err(why) => return self.end_check(now, id, Err(&why)),
        };
        let checked = self.check_place(&check.name, &url);
        match checked {
            Ok(()) => {
                let dial = self.dial(now, Owner::Check(id), &url.host, url.port, POLICY.connect);
                self.go_check(now, id, dial.map(Way::Dialing));
            }
            Err(why) => self.fail_check(now, id, &why),
        }
    }

    fn go_check(&mut self, now: Time, id: u32, way: Option<Way>) {
        match (way, self.checks.find_mut(id)) {
            (Some(way), Some(check)) => check.way = way,
            _ => self.fail_check(now, id, "too many connections are being made"),
        }
    }

    pub(super) fn on_check_dialed(&mut self, now: Time, id: u32, socket: TcpStream, peer: SocketAddr) {
        let entropy = self.entropy(now.as_micros() ^ u64::from(id).rotate_left(32));
        let Some(check) = self.checks.find(id) else { return };
        let Ok(At::Rtmp(url)) = check.url() else { return };
        let link = match self.link_to(socket, &url.host, url.scheme == "rtmps") {
            Ok(link) => link,
            Err(why) => return self.fail_check(now, id, &why),
        };
        let Some(check) = self.checks.find(id) else { return };
        let mut options = Options::new(Purpose::Play, url);
        options.timeout = POLICY.connect;
        options.page_url = check.page_url.clone();
        if !check.tc_url.is_empty() {
            options.tc_url = Some(check.tc_url.clone());
        }
        let via = self.via_of_check(&check.name, check.client);
        options.properties.push((VIA, via.to_string().into()));
        options.arguments = self.who_we_are(&check.name, check.client);
        let session = Session::RtmpClient(Box::new(Client::new(now, entropy, options)));
        if let Some(conn) = self.open(now, Owner::Check(id), link, peer, session)
            && let Some(check) = self.checks.find_mut(id)
        {
            check.way = Way::Open(conn);
        }
    }

    pub(super) fn on_check_event(&mut self, now: Time, id: u32, said: Said) {
        match said {
            Said::Started => self.end_check(now, id, Ok(())),
            Said::Redirect { url, .. } => {
                let Some(check) = self.checks.find_mut(id) else { return };
                check.redirects = check.redirects.saturating_add(1);
                if check.redirects > REDIRECTS_MAX {
                    let why = format!("the origin sends us elsewhere, {REDIRECTS_MAX} times in a row");
                    self.fail_check(now, id, &why);
                    return;
                }
                check.moved = Some(*url);
                self.leave_check(now, id);
                self.start_check(now, id);
            }
            Said::Authenticate(_) => self.fail_check(now, id, "the origin asks who plays"),
            Said::Ended(_) => self.fail_check(now, id, "the origin closes the connection"),
            Said::Connected(_) | Said::Frame { .. } | Said::Bad { .. } => {}
        }
    }

    #[cfg(feature = "http")]
    pub(super) fn on_check_fetched(&mut self, now: Time, id: u32, fetched: Fetched) {
        match fetched {
            Fetched::Head(head, _) if head.status == 200 => self.end_check(now, id, Ok(())),
            Fetched::Head(head, url) if head.status == via::LOOP_DETECTED => {
                self.end_check(now, id, Err(&via::closes_ring(&url)));
            }
            Fetched::Head(head, _) if (400..500).contains(&head.status) => {
                self.end_check(now, id, Err(&format!("the origin answers {}", head.status)));
            }
            Fetched::Head(head, _) => {
                self.fail_check(now, id, &format!("the origin answers {}", head.status));
            }
            Fetched::Failed(why) => self.fail_check(now, id, &why),
            Fetched::Body(_) | Fetched::End | Fetched::Whole(..) => {}
        }
    }

    /// An origin can't be asked: the next one is, or the client is refused.
    pub(super) fn fail_check(&mut self, now: Time, id: u32, why: &str) {
        self.leave_check(now, id);
        let Some(check) = self.checks.find_mut(id) else { return };
        check.turn = check.turn.saturating_add(1);
        (check.moved, check.redirects) = (None, 0);
        if check.turn < check.edge.origins.len() {
            self.start_check(now, id);
        } else {
            self.end_check(now, id, Err(&format!("no origin lets it play: {why}")));
        }
    }

    /// An origin has judged.
    pub(super) fn end_check(&mut self, now: Time, id: u32, verdict: Result<(), &str>) {
        self.leave_check(now, id);
        if let Some(check) = self.checks.remove(id) {
            self.judge(now, check.ticket, verdict);
        }
    }

    /// The client has gone.
    pub(super) fn drop_check(&mut self, now: Time, ticket: u32) {
        let check = self.checks.iter().find(|(_, check)| check.ticket == ticket).map(|(id, _)| id);
        if let Some(id) = check {
            self.leave_check(now, id);
            self.checks.remove(id);
        }
    }

    fn leave_check(&mut self, now: Time, id: u32) {
        let Some(check) = self.checks.find_mut(id) else { return };
        match std::mem::replace(&mut check.way, Way::None) {
            Way::None => {}
            Way::Dialing(dial) => self.undial(dial),
            Way::Open(conn) => self.let_go(now, conn, "the origin has been asked"),
            #[cfg(feature = "http")]
            Way::Fetching(fetch) => self.abandon(now, fetch),
        }
    }
}

/// Where an origin is asked.
enum At {
    Rtmp(RtmpUrl),
    #[cfg(feature = "http")]
    Http(Url),
}

impl Check {
    fn url(&self) -> Result<At, String> {
        if let Some(moved) = &self.moved {
            return Ok(At::Rtmp(moved.clone()));
        }
        let origin = self.edge.origins.get(self.turn).ok_or("there is no origin")?;
        let text = edge::url(&self.edge, origin, self.edge.protocol, &self.name, &self.param);
        #[cfg(feature = "http")]
        if self.edge.protocol != Protocol::Rtmp {
            return Url::parse(&text).map(At::Http).map_err(|e| e.to_string());
        }
        RtmpUrl::parse(&text).map(At::Rtmp).map_err(|e| e.to_string())
    }
}
