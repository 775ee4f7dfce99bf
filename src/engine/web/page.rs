//! The player page at `/`, and the list of streams that it shows.
//!
//! The page asks for nothing but this list and the streams, at the port that it came from: it works whether
//! or not the API is on, and knows no other port.

use std::time::Duration;

use super::super::Engine;
use super::api::{put_audio, put_video};
use super::live;
use crate::config::Vhost;
use crate::engine::accept::Role;
use crate::http::conditional::Validators;
use crate::http::json::Object;
use crate::http::{Body, Method, Request, Response, mime};
use crate::hub::{Source, Stream};
use crate::template::{self, Variables};
use crate::time::Time;

const PAGE: &[u8] = include_bytes!("page.html");
/// Tells this page from others: beyond every date, so that none passes for it.
const STATE: u64 = 1 << 63 | hash(PAGE) >> 1;
/// The list's path.
const LIST: &str = "/camrill.json";
/// Streams in the list at most.
const STREAMS_MAX: usize = 200;

impl Engine {
    /// Whether the path is the page's. A folder's own `index.html` stands before it.
    pub(super) fn page(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let is_list = request.path == LIST;
        let is_on = self.settings.http_server.as_ref().is_some_and(|server| server.page);
        if !is_on || !(is_list || request.path == "/") {
            return false;
        }
        if !matches!(request.method, Method::Get | Method::Head) {
            self.answer_text(id, 405, "the page is there to GET");
            return true;
        }
        let mut response = Response::new(200);
        if is_list {
            response.headers.push("Content-Type", mime::JSON);
            response.headers.push("Cache-Control", "no-store");
            response.body = Body::Full(self.page_list(now, request).into());
        } else {
            let validators = Validators::new(STATE, PAGE.len() as u64);
            response.headers.push("ETag", validators.etag());
            response.headers.push("Cache-Control", "no-cache");
            if validators.not_modified(request) {
                response.status = 304;
            } else {
                response.headers.push("Content-Type", mime::of(".html"));
                response.headers.push("X-Content-Type-Options", "nosniff");
                response.headers.push("Referrer-Policy", "no-referrer");
                response.body = Body::Full(bytes::Bytes::from_static(PAGE));
            }
        }
        self.respond(now, id, response);
        true
    }

    /// The streams that are published, and where they are.
    fn page_list(&self, now: Time, request: &Request) -> String {
        let published = || self.hub.iter().filter(|(_, stream)| stream.publisher().is_some());
        let here = self.settings.vhost(request.host()).map(|vhost| vhost.name.as_str());
        let mut text = String::with_capacity(1024);
        let mut root = Object::new(&mut text);
        root.key("version").str(env!("CARGO_PKG_VERSION"));
        match self.addresses_of(|role| role == Role::Rtmp).first() {
            Some(address) => root.key("rtmp").uint(address.port().into()),
            None => root.key("rtmp").null(),
        }
        root.key("now_ms").uint(now.as_millis());
        root.key("total").uint(published().count() as u64);
        let mut streams = root.key("streams").array();
        for (id, stream) in published().take(STREAMS_MAX) {
            let name = stream.name();
            let Some(vhost) = self.settings.vhost(&name.vhost) else { continue };
            let mut out = streams.item().object();
            out.key("id").uint(id.into());
            out.key("name").str(&name.stream);
            out.key("app").str(&name.app);
            // What a URL needs where the host's name alone means another vhost.
            out.key("vhost").str(if here == Some(&name.vhost) { "" } else { &name.vhost });
            for container in ["mp4", "flv", "ts"] {
                match live_path(vhost, request.host(), stream, container) {
                    Some(path) => out.key(container).str(&path),
                    None => out.key(container).null(),
                }
            }
            match hls_path(vhost, stream) {
                Some(path) => out.key("hls").str(&path),
                None => out.key("hls").null(),
            }
            let peer = match stream.publisher() {
                Some(Source::Client(client, _)) => self.conns.find(client).map(|conn| conn.peer.ip()),
                _ => None,
            };
            match (peer, stream.publisher()) {
                (Some(ip), _) => out.key("from").str(&ip.to_canonical().to_string()),
                (None, Some(Source::Ingest(_))) => out.key("from").str("file"),
                (None, _) => out.key("from").str("encoder"),
            }
            out.key("live_ms").uint(millis(now.since(stream.publish_began())));
            out.key("players").uint(stream.viewers() as u64);
            out.key("bytes").uint(stream.totals().bytes);
            out.key("frames").uint(stream.totals().video_frames);
            put_video(stream.video(), out.key("video"));
            let header = stream.ring().headers().audio.as_ref();
            put_audio(stream.audio(), header.map(|frame| frame.payload.bytes()).as_deref(), out.key("audio"));
        }
        drop(streams);
        drop(root);
        text
    }
}

/// The path of a stream in a container, by the first of its vhost's mounts that has one.
fn live_path(vhost: &Vhost, host: &str, stream: &Stream, container: &str) -> Option<String> {
    let remux = vhost.remux.as_ref()?;
    let name = stream.name();
    remux.mounts.iter().find_map(|mount| {
        let path = mount.find('/').and_then(|at| mount.get(at..))?;
        let stem = path.rsplit_once('.').filter(|(_, suffix)| !suffix.contains([']', '/']));
        let stem = stem.map_or(path, |(stem, _)| stem);
        let path = stem.replacen("[app]", &name.app, 1).replacen("[stream]", &name.stream, 1);
        let path = format!("{path}.{container}");
        // A mount may be another host's or another container's, and names may hold what divides them.
        let (app, found, _) = live::find(remux, host, &path)?;
        (app == name.app && found == name.stream).then_some(path)
    })
}

/// The path of a stream's playlist.
fn hls_path(vhost: &Vhost, stream: &Stream) -> Option<String> {
    let hls = vhost.hls.as_ref()?;
    let name = stream.name();
    let variables =
        Variables { vhost: &name.vhost, app: &name.app, stream: &name.stream, ..Variables::default() };
    template::expand(&hls.m3u8_file, &variables).ok().map(|file| format!("/{file}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// FNV-1a.
const fn hash(bytes: &[u8]) -> u64 {
    let (mut hash, mut rest) = (0xcbf2_9ce4_8422_2325_u64, bytes);
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
        rest = tail;
    }
    hash
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// What stands in the page's only element of that name.
    fn element<'a>(page: &'a str, name: &str) -> &'a str {
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        let (inside, rest) = rest.split_once(&format!("</{name}>")).unwrap();
        assert!(!rest.contains(&format!("<{name}")), "one {name}");
        inside
    }

    /// With `CAMRILL_PAGE=write` the hashes are put into the page.
    #[test]
    fn the_page_runs_its_own_script_and_no_other() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/engine/web/page.html");
        let page = std::fs::read_to_string(file).unwrap();
        let mut sound = page.clone();
        for name in ["script", "style"] {
            let hash = STANDARD.encode(hmac_sha256::Hash::hash(element(&page, name).as_bytes()));
            let (before, rest) = sound.split_once(&format!("{name}-src 'sha256-")).unwrap();
            let (_, after) = rest.split_once('\'').unwrap();
            sound = format!("{before}{name}-src 'sha256-{hash}'{after}");
        }
        if std::env::var_os("CAMRILL_PAGE").is_some_and(|word| word == "write") {
            std::fs::write(file, &sound).unwrap();
        }
        assert!(page == sound, "page.html has changed: run this test with CAMRILL_PAGE=write");
    }

    #[test]
    fn the_page_is_small_and_makes_no_html_of_names() {
        let page = str::from_utf8(PAGE).unwrap();
        assert!(page.len() < 40 * 1024, "{} bytes", page.len());
        for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", " style=", " on"]
        {
            let at = page.match_indices(word).find(|(at, _)| {
                word != " on"
                    || page[at + 3..].split('=').next().is_some_and(|rest| {
                        !rest.is_empty() && rest.len() < 16 && rest.bytes().all(|b| b.is_ascii_lowercase())
                    })
            });
            assert_eq!(at, None, "{word}");
        }
        for scheme in ["http://", "https://"] {
            // Namespaces and what a URL is made of, never a place.
            let places = page.match_indices(scheme).filter(|(at, _)| {
                let rest = &page[at + scheme.len()..];
                !rest.starts_with("www.w3.org/") && rest.starts_with(|c: char| c.is_ascii_alphanumeric())
            });
            assert_eq!(places.count(), 0);
        }
    }

    #[test]
    fn the_tag_is_no_date() {
        const { assert!(STATE > 1 << 62) };
        let validators = Validators::new(STATE, 1);
        let mut request = Request::default();
        request.headers.push("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT");
        assert!(!validators.not_modified(&request));
    }
}
