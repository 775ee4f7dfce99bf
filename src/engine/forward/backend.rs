//! The HTTP server that knows where a stream is to be sent on to: asked at each publish, as SRS does, and again
//! until it answers.

use bytes::Bytes;
use log::{info, log, warn};

use super::shown;
use crate::engine::Engine;
use crate::engine::fetch::{Fetched, Order, Purpose};
use crate::engine::relays::level_of;
use crate::engine::retry::{Retry, RetryPolicy};
use crate::engine::timers::Alarm;
use crate::error::without_secrets;
use crate::http::client::Url;
use crate::http::json::{Json, Object};
use crate::http::{Headers, Method, mime};
use crate::hub::{Name, Source};
use crate::rtmp::url::RtmpUrl;
use crate::time::Time;

/// The longest answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Places that one answer may name.
const URLS_MAX: usize = 64;

/// A backend that is asked, or has been, about one stream that is published.
#[derive(Debug)]
pub(in crate::engine) struct Backend {
    stream: u32,
    name: Name,
    /// As the settings have it.
    url: String,
    state: State,
    retry: Retry,
    /// What it has answered last.
    urls: Vec<RtmpUrl>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is to be asked then.
    Due(Time),
    Asking(u32),
    Answered,
}

impl Engine {
    /// Has the backend of a stream asked, if there is one and it has not been. What another one has answered
    /// holds until the new one does.
    pub(super) fn configure_backend(&mut self, now: Time, stream: u32) {
        let Some(found) = self.hub.stream(stream).filter(|stream| stream.publisher().is_some()) else {
            return;
        };
        let name = found.name().clone();
        let settings = self.settings.vhost(&name.vhost).and_then(|vhost| vhost.forward.as_ref());
        let url = settings.map_or(String::new(), |settings| settings.backend.clone());
        let before = self.backend_of(&name);
        let mut urls = Vec::new();
        if let Some(before) = before.and_then(|id| self.backends.find_mut(id)) {
            if before.url == url && before.stream == stream {
                return;
            }
            urls = std::mem::take(&mut before.urls);
        }
        self.end_backend(now, &name);
        if url.is_empty() {
            return;
        }
        let (state, retry) = (State::Due(now), Retry::default());
        let id = self.backends.insert_with(|_| Backend { stream, name, url, state, retry, urls });
        match id {
            Some(id) => self.ask_backend(now, id),
            None => warn!("too many streams for the backend of forwards"),
        }
    }

    /// It need not answer any longer.
    pub(super) fn end_backend(&mut self, now: Time, name: &Name) {
        let found = self.backend_of(name).and_then(|id| self.backends.remove(id));
        if let Some(State::Asking(fetch)) = found.map(|backend| backend.state) {
            self.abandon(now, fetch);
        }
    }

    /// Where it has said that a stream is to be sent on to.
    pub(super) fn answered_by_backend(&self, name: &Name) -> Vec<RtmpUrl> {
        let found = self.backend_of(name).and_then(|id| self.backends.find(id));
        found.map(|backend| backend.urls.clone()).unwrap_or_default()
    }

    pub(in crate::engine) fn on_backend_alarm(&mut self, now: Time, id: u32) {
        if self.backends.find(id).is_some_and(|b| matches!(b.state, State::Due(at) if at <= now)) {
            self.ask_backend(now, id);
        }
    }

    pub(in crate::engine) fn on_backend_fetched(&mut self, now: Time, id: u32, fetched: Fetched) {
        let answer = match fetched {
            Fetched::Whole(200, body) => urls_in(&body),
            Fetched::Whole(status, _) => {
                Err(format!("it answers with the status {status}, 200 was expected"))
            }
            Fetched::Failed(why) => Err(why),
            // Only for answers that come in pieces.
            Fetched::Head(..) | Fetched::Body(_) | Fetched::End => return,
        };
        let Some(backend) = self.backends.find_mut(id) else { return };
        match answer {
            Ok(urls) => {
                backend.state = State::Answered;
                backend.urls.clear();
                for url in urls {
                    match RtmpUrl::parse(&url) {
                        Ok(url) => backend.urls.push(url),
                        Err(e) => {
                            let url = without_secrets(&url);
                            warn!("forward of {}: the backend names {url:?}: {e}", backend.name);
                        }
                    }
                }
                let shown: Vec<_> = backend.urls.iter().map(shown).collect();
                info!("the backend has {} forwarded to [{}]", backend.name, shown.join(", "));
                let stream = backend.stream;
                self.match_forwards(now, stream);
            }
            Err(why) => self.fail_backend(now, id, &why),
        }
    }

    fn ask_backend(&mut self, now: Time, id: u32) {
        let Some(backend) = self.backends.find(id) else { return };
        let policy = RetryPolicy::configured();
        let url = match Url::parse(&backend.url) {
            Ok(url) => url,
            Err(e) => return self.fail_backend(now, id, &e.to_string()),
        };
        let mut headers = Headers::new();
        headers.push("Content-Type", mime::JSON);
        let order = Order {
            method: Method::Post,
            url,
            headers,
            body: Bytes::from(self.question(backend)),
            timeout: policy.connect,
            stall: policy.stall,
            whole: Some(ANSWER_BYTES),
        };
        let asked = self.fetch(now, Purpose::Forward(id), order);
        match (asked, self.backends.find_mut(id)) {
            (Some(fetch), Some(backend)) => backend.state = State::Asking(fetch),
            _ => self.fail_backend(now, id, "too many connections are being made"),
        }
    }

    /// What it is told of the publish, in SRS's words.
    fn question(&self, backend: &Backend) -> String {
        let stream = self.hub.stream(backend.stream);
        let client = match stream.and_then(|stream| stream.publisher()) {
            Some(Source::Client(client, _)) => client,
            _ => 0,
        };
        let conn = self.conns.find(client);
        let param = stream.map_or("", |stream| stream.param());
        let mark = if param.is_empty() { "" } else { "?" };
        let mut text = String::new();
        let mut root = Object::new(&mut text);
        root.key("action").str("on_forward");
        root.key("server_id").str(&self.server_id());
        root.key("service_id").str(&self.service_id());
        root.key("client_id").str(&client.to_string());
        root.key("ip").str(&conn.map_or(String::new(), |conn| conn.peer.ip().to_string()));
        root.key("vhost").str(&backend.name.vhost);
        root.key("app").str(&backend.name.app);
        root.key("tcUrl").str(&conn.map_or(String::new(), |conn| conn.session.urls().0));
        root.key("stream").str(&backend.name.stream);
        root.key("param").str(&format!("{mark}{param}"));
        drop(root);
        text
    }

    fn fail_backend(&mut self, now: Time, id: u32, why: &str) {
        let entropy = self.entropy(now.as_micros() ^ u64::from(id));
        let Some(backend) = self.backends.find_mut(id) else { return };
        let Some(at) = backend.retry.failed(now, &RetryPolicy::configured(), entropy) else { return };
        backend.state = State::Due(at);
        self.timers.set(at, Alarm::Backend(id));
        let (name, ms) = (&backend.name, at.since(now).as_millis());
        let level = level_of(backend.retry.failures(), false);
        log!(level, "forward of {name}: asking the backend: {why}; trying again in {ms} ms");
    }

    fn backend_of(&self, name: &Name) -> Option<u32> {
        self.backends.iter().find(|(_, backend)| backend.name == *name).map(|(id, _)| id)
    }
}

/// The URLs in an answer.
fn urls_in(body: &[u8]) -> Result<Vec<String>, String> {
    let json = Json::parse(body).map_err(|e| e.to_string())?;
    let code = if let Json::Number(_) = json { Some(&json) } else { json.member("code") };
    match code.and_then(Json::as_f64) {
        Some(0.0) => {}
        Some(code) => return Err(format!("it answers with the code {code}, 0 was expected")),
        None => {
            return Err("its answer has no code, {\"code\":0,\"data\":{\"urls\":[]}} was expected".to_owned());
        }
    }
    let Some(urls) = json.member("data").and_then(|data| data.member("urls")) else { return Ok(Vec::new()) };
    let urls: Option<Vec<_>> = urls.items().iter().map(|url| url.as_str().map(str::to_owned)).collect();
    match urls {
        Some(urls) if urls.len() > URLS_MAX => {
            Err(format!("it names {} URLs, the limit is {URLS_MAX}", urls.len()))
        }
        Some(urls) => Ok(urls),
        None => Err("not all of its urls are strings".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_as_srs_takes_them() {
        let of = |body: &str| urls_in(body.as_bytes());
        assert_eq!(
            of(r#"{"code":0,"data":{"urls":["rtmp://a/b/c","x"]}}"#),
            Ok(vec!["rtmp://a/b/c".into(), "x".into()])
        );
        for nothing in ["0", r#"{"code":0}"#, r#"{"code":0,"data":null}"#, r#"{"code":0,"data":{"urls":[]}}"#]
        {
            assert_eq!(of(nothing), Ok(vec![]), "{nothing}");
        }
        for (wrong, why) in [
            ("", "JSON: a value expected at byte 0"),
            ("1", "it answers with the code 1, 0 was expected"),
            (r#"{"code":100}"#, "it answers with the code 100, 0 was expected"),
            (r#"{"data":{}}"#, "its answer has no code, {\"code\":0,\"data\":{\"urls\":[]}} was expected"),
            (r#"{"code":0,"data":{"urls":[1]}}"#, "not all of its urls are strings"),
        ] {
            assert_eq!(of(wrong).unwrap_err(), why, "{wrong}");
        }
        let many = format!(r#"{{"code":0,"data":{{"urls":[{}"x"]}}}}"#, r#""x","#.repeat(URLS_MAX));
        assert_eq!(
            of(&many).unwrap_err(),
            format!("it names {} URLs, the limit is {URLS_MAX}", URLS_MAX + 1)
        );
    }
}
