//! Origins that know of each other (`origin_cluster`): a player of a stream that isn't here is sent to the
//! origin that has it, which its HTTP API tells.

use std::net::IpAddr;
use std::time::Duration;

use log::info;

use super::conn::Wish;
use super::fetch::{Fetched, Order, Purpose};
use super::{Engine, Role};
use crate::config::Origin;
use crate::config::Vhost;
use crate::config::table::DEFAULT_VHOST;
use crate::http::client::Url;
use crate::http::json::{Json, Object};
use crate::http::{Request, Response};
use crate::hub::Name;
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

/// How long a coworker may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer of a coworker's, in bytes.
const ANSWER_BYTES: usize = 16 * 1024;

/// A player whose stream is looked for.
#[derive(Debug)]
pub(super) struct Lookup {
    ticket: u32,
    name: Name,
    /// Its parameters.
    param: String,
    /// The host that it has connected to.
    host: String,
    coworkers: Vec<String>,
    /// Which of them is asked.
    turn: usize,
}

/// Where a coworker says that a stream is.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    host: String,
    port: u16,
    http_port: Option<u16>,
}

impl Engine {
    /// Has a player's stream looked for where it isn't here. The wish is given back if that needn't be.
    pub(super) fn ask_coworkers(
        &mut self,
        now: Time,
        id: u32,
        name: Name,
        vhost: &Vhost,
        wish: Wish,
    ) -> Option<Wish> {
        let coworkers = &vhost.cluster.coworkers;
        // Of HLS there is a playlist here or none.
        let can_move = matches!(wish, Wish::Play(_) | Wish::Watch(_));
        if coworkers.is_empty() || !can_move || self.is_published(&name) || self.has_ingest(&name) {
            return Some(wish);
        }
        let asked = wish.asked().1;
        let (param, host) = (asked.param.clone(), asked.vhost.clone());
        let ticket = self.hold(id, wish)?;
        let coworkers = coworkers.clone();
        let lookup = Lookup { ticket, name, param, host, coworkers, turn: 0 };
        match self.lookups.insert_with(|_| lookup) {
            Some(lookup) => self.look(now, lookup),
            None => self.judge(now, ticket, Ok(())),
        }
        None
    }

    /// Asks the coworker whose turn it is. If none is left the player waits here, if it hasn't gone.
    fn look(&mut self, now: Time, id: u32) {
        while let Some(lookup) = self.lookups.find_mut(id) {
            let is_awaited = self.tickets.find(lookup.ticket).is_some();
            let Some(coworker) = lookup.coworkers.get(lookup.turn).filter(|_| is_awaited) else {
                let ticket = lookup.ticket;
                self.lookups.remove(id);
                self.judge(now, ticket, Ok(()));
                return;
            };
            let Name { vhost, app, stream } = &lookup.name;
            let text = format!(
                "http://{coworker}/api/v1/clusters?vhost={}&ip={}&app={}&stream={}&coworker={}",
                encoded(vhost),
                encoded(&lookup.host),
                encoded(app),
                encoded(stream),
                encoded(coworker)
            );
            lookup.turn = lookup.turn.saturating_add(1);
            let Ok(url) = Url::parse(&text) else { continue };
            let order = Order { whole: Some(ANSWER_BYTES), ..Order::get(url, PATIENCE, PATIENCE) };
            if self.fetch(now, Purpose::Lookup(id), order).is_some() {
                return;
            }
        }
    }

    pub(super) fn on_lookup_fetched(&mut self, now: Time, id: u32, fetched: Fetched) {
        let Some(lookup) = self.lookups.find(id) else { return };
        let found = match &fetched {
            Fetched::Whole(200, body) => Found::parse(body),
            _ => None,
        };
        // The player may have gone, or the stream come here meanwhile.
        let is_here = self.is_published(&lookup.name);
        match found.filter(|_| !is_here) {
            Some(found) => {
                if self.send_away(now, id, &found) {
                    self.lookups.remove(id);
                } else {
                    self.look(now, id);
                }
            }
            None => self.look(now, id),
        }
    }

    /// Sends a player to the origin that has its stream. `false` if it can't be sent there.
    fn send_away(&mut self, now: Time, id: u32, found: &Found) -> bool {
        let Some(lookup) = self.lookups.find(id) else { return false };
        let Lookup { ticket, name, param, .. } = lookup;
        let (ticket, name) = (*ticket, name.clone());
        let rtmp = rtmp_url(found, &name, param);
        let Some(client) = self.tickets.find(ticket).copied() else { return true };
        let Some(conn) = self.conns.find_mut(client) else { return true };
        let to = match (conn.pending.as_ref().map(|pending| &pending.wish), rtmp) {
            (Some(Wish::Play(_)), Some(url)) => {
                let Some(session) = conn.session.rtmp() else { return true };
                session.redirect(&url);
                format!("{}:{}", url.host, url.port)
            }
            (Some(Wish::Watch(_)), _) => {
                let Some(port) = found.http_port else { return false };
                let Some(request) = conn.session.web().and_then(|web| web.asked()) else { return true };
                let origin = Origin { host: found.host.clone(), port: Some(port) };
                let location = http_url(&origin, &name, &request);
                let mut response = Response::new(302);
                response.headers.push("Location", &location);
                self.respond(now, client, response);
                origin.authority(port)
            }
            _ => return false,
        };
        self.take_pending(ticket);
        info!(id = client; "{name} is at {to}: sent there");
        self.drain(now, client);
        self.queue(client);
        true
    }

    /// What a coworker is told of a stream: where it is, if it is published here (SRS's `/api/v1/clusters`).
    pub(super) fn clusters(&self, request: &Request, data: &mut Object<'_>) {
        let value = |key: &str| request.query_value(key).unwrap_or_default().into_owned();
        {
            let mut query = data.key("query").object();
            for key in ["ip", "vhost", "app", "stream"] {
                query.key(key).str(&value(key));
            }
        }
        let asked = value("vhost");
        let vhost = if asked.is_empty() { DEFAULT_VHOST } else { &asked };
        let name = self.settings.vhost(vhost).map(|vhost| Name {
            vhost: vhost.name.clone(),
            app: value("app"),
            stream: value("stream"),
        });
        let Some(name) = name.filter(|name| self.is_published(name)) else {
            data.key("origin").null();
            return;
        };
        let first = |wanted: fn(Role) -> bool| self.addresses_of(wanted).first().copied();
        let rtmp = first(|role| role == Role::Rtmp);
        let api = first(|role| matches!(role, Role::Http { api: true, .. }));
        let web = first(|role| matches!(role, Role::Http { server: true, .. }));
        // What listens at every address is reached at the one that the coworker has asked.
        let is_told = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_loopback();
        let coworker = Origin::parse(&value("coworker")).map(|coworker| coworker.host);
        let ip = rtmp.map(|rtmp| rtmp.ip()).filter(is_told).map(|ip| ip.to_string());
        let ip = ip.or(coworker).unwrap_or_else(|| request.host().to_owned());
        let api = Origin { host: ip.clone(), port: api.map(|api| api.port()) }.authority(80);
        let mut origin = data.key("origin").object();
        origin.key("ip").str(&ip);
        origin.key("port").uint(rtmp.map_or(0, |rtmp| rtmp.port()).into());
        origin.key("http_port").uint(web.map_or(0, |web| web.port()).into());
        origin.key("vhost").str(&name.vhost);
        origin.key("api").str(&api);
        origin.key("routers").array().item().str(&api);
    }
}

impl Found {
    /// Reads a coworker's answer; `None` where it doesn't have the stream.
    fn parse(body: &[u8]) -> Option<Self> {
        let json = Json::parse(body).ok()?;
        let origin = json.member("data")?.member("origin")?;
        let port = |key: &str| {
            let port = origin.member(key).and_then(Json::as_f64)?;
            // What is no port becomes zero.
            Some(port as u16).filter(|port| *port != 0)
        };
        // An address, and nothing that would make another URL of it.
        let host = origin.member("ip")?.as_str()?;
        let host = Origin { port: None, ..Origin::parse(host)? }.host;
        Some(Self { host, port: port("port")?, http_port: port("http_port") })
    }
}

fn rtmp_url(found: &Found, name: &Name, param: &str) -> Option<RtmpUrl> {
    let place = Origin { host: found.host.clone(), port: Some(found.port) }.authority(found.port);
    let vhost = if name.vhost == DEFAULT_VHOST { String::new() } else { format!("?vhost={}", name.vhost) };
    let param = if param.is_empty() { String::new() } else { format!("?{param}") };
    RtmpUrl::parse(&format!("rtmp://{place}/{}{vhost}/{}{param}", name.app, name.stream)).ok()
}

/// The same path at another server; the vhost is named, since the host is another.
fn http_url(origin: &Origin, name: &Name, request: &Request) -> String {
    let mut query = request.query.clone();
    if name.vhost != DEFAULT_VHOST && request.query_value("vhost").is_none() {
        let join = if query.is_empty() { "" } else { "&" };
        query = format!("{query}{join}vhost={}", name.vhost);
    }
    let mark = if query.is_empty() { "" } else { "?" };
    format!("http://{}{}{mark}{query}", origin.authority(80), request.raw_path)
}

fn encoded(value: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_the_stream_is() {
        let srs = r#"{"code":0,"data":{"query":{"ip":"1.2.3.4","vhost":"v","app":"live","stream":"s"},
            "origin":{"ip":"10.0.0.1","port":1936,"vhost":"v","api":"10.0.0.1:1985","routers":["10.0.0.1:1985"]}}}"#;
        let found = Found { host: "10.0.0.1".into(), port: 1936, http_port: None };
        assert_eq!(Found::parse(srs.as_bytes()), Some(found));
        for none in [
            "",
            "{}",
            r#"{"code":0,"data":{"origin":null}}"#,
            r#"{"data":{"origin":{"ip":"a/b","port":1}}}"#,
            r#"{"data":{"origin":{"ip":"a","port":0}}}"#,
            r#"{"data":{"origin":{"ip":1,"port":1}}}"#,
        ] {
            assert_eq!(Found::parse(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_player_keeps_its_parameters_and_names_its_vhost() {
        let found = Found { host: "::1".into(), port: 1936, http_port: Some(81) };
        let mut name = Name { vhost: DEFAULT_VHOST.into(), app: "a/b".into(), stream: "s".into() };
        let text = |url: RtmpUrl| format!("{}/{}", url.tc_url(), url.stream_with_param());
        let rtmp = |name: &Name, param: &str| text(rtmp_url(&found, name, param).unwrap());
        let origin = Origin { host: "h".into(), port: Some(81) };
        let mut request = Request { raw_path: "/a/b/s.flv".into(), ..Request::default() };
        assert_eq!(rtmp(&name, "t=1"), "rtmp://[::1]:1936/a/b/s?t=1");
        assert_eq!(http_url(&origin, &name, &request), "http://h:81/a/b/s.flv");
        name.vhost = "v.w".into();
        request.query = "t=1".into();
        assert_eq!(rtmp(&name, ""), "rtmp://[::1]:1936/a/b?vhost=v.w/s");
        assert_eq!(http_url(&origin, &name, &request), "http://h:81/a/b/s.flv?t=1&vhost=v.w");
    }
}
