//! The HTTP API as SRS has it: what is asked for by which path, and what every answer begins with.
//!
//! A client's id is the number that the C API and the log have for it, in decimal; a stream's is that number
//! behind `vid-`; a vhost's and the server's are made up anew with each start. `relays` is ours: ingests and
//! forwards, by their numbers in the C API.

mod lists;
mod names;
pub(in crate::engine) mod system;

use bytes::Bytes;

use super::super::Engine;
use super::{Request, unix_time};
use crate::engine::accept::Role;
use crate::http::json::Object;
use crate::http::{Body, Method, Response, mime};
use crate::time::Time;

#[cfg(feature = "page")]
pub(super) use lists::{put_audio, put_video};

/// Salts of the ids that are made up.
const SERVER: u64 = u64::MAX;
const SERVICE: u64 = u64::MAX - 1;

/// SRS's numbers for what isn't there.
const NO_VHOST: i64 = 2014;
const NO_STREAM: i64 = 2048;
const NO_CLIENT: i64 = 2049;
/// What `tests/errors` answers.
const TEST_ERROR: i64 = 100;

/// The longest name of a function to call with the answer (JSONP), in bytes.
const CALLBACK_BYTES: usize = 128;

/// What is found at a path.
enum Found {
    /// JSON.
    Text(String),
    /// A number of SRS's errors.
    Code(i64),
    /// Another path.
    Elsewhere(&'static str),
    /// The path is there, the method isn't.
    Method,
    /// Nothing.
    Nothing,
}

impl Engine {
    /// Whether the path is the API's.
    pub(super) fn api(&mut self, now: Time, id: u32, role: Role, request: &Request) -> bool {
        let is_root = request.path == "/" && !matches!(role, Role::Http { server: true, .. });
        let Some(path) = under_api(&request.path).or(is_root.then_some("root")) else { return false };
        let jsonp =
            callback(request).filter(|_| self.settings.http_api.as_ref().is_some_and(|a| a.crossdomain));
        // A script element can do nothing but GET: it says what it means.
        let wants_delete = jsonp.is_some() && request.query_value("method").is_some_and(|m| m == "DELETE");
        let method = if wants_delete { Method::Delete } else { request.method };
        let text = match self.api_found(now, method, path, request) {
            Found::Text(text) => text,
            Found::Code(code) => {
                let mut text = String::new();
                Object::new(&mut text).key("code").int(code);
                text
            }
            Found::Elsewhere(to) => {
                let mut response = Response::new(302);
                response.headers.push("Location", to);
                self.respond(now, id, response);
                return true;
            }
            Found::Method => {
                self.answer_text(id, 405, "the API has other methods for this path");
                return true;
            }
            Found::Nothing => return false,
        };
        let response = match jsonp {
            None => {
                let mut response = Response::with_body(200, mime::JSON, text);
                response.headers.push("Cache-Control", "no-store");
                response
            }
            Some(function) => {
                let mut response = Response::new(200);
                response.headers.push("Content-Type", "text/javascript; charset=utf-8");
                response.headers.push("X-Content-Type-Options", "nosniff");
                response.body = Body::Full(Bytes::from(format!("{function}({text})")));
                response
            }
        };
        self.respond(now, id, response);
        true
    }

    fn api_found(&mut self, now: Time, method: Method, path: &str, request: &Request) -> Found {
        let (path, rest) = path.split_once('/').unwrap_or((path, ""));
        let (list, item) = match path {
            "v1" => rest.split_once('/').unwrap_or((rest, "")),
            _ => (path, rest),
        };
        let reads = matches!(method, Method::Get | Method::Head);
        let text = match (path, list, item) {
            ("root", _, _) => self.urls(&[("api", "the api root")], &[]),
            ("", _, _) => self.urls(&[("v1", "the api version 1.0")], &[]),
            ("v1", "", _) => self.urls(&PATHS, &TESTS),
            ("v1", "clients", client) if method == Method::Delete => return self.kick_client(client),
            ("v1", "vhosts" | "streams" | "clients" | "relays", _) if !reads => return Found::Method,
            ("v1", "vhosts", vhost) => return self.vhosts(now, vhost),
            ("v1", "streams", stream) => return self.list_streams(now, stream, request),
            ("v1", "clients", client) => return self.list_clients(now, client, request),
            ("v1", "relays", relay) => return self.list_relays(relay, request),
            ("v1", "tests", "errors") => return Found::Code(TEST_ERROR),
            ("v1", "tests", "redirects") => return Found::Elsewhere("/api/v1/tests/errors"),
            ("v1", "versions", "") => self.data(versions),
            ("v1", "authors", "") => self.data(|data| {
                data.key("license").str(env!("CARGO_PKG_LICENSE"));
                data.key("contributors").str("");
            }),
            ("v1", "features", "") => self.data(features),
            ("v1", "requests", "") | ("v1", "tests", "requests") => self.data(|data| about(request, data)),
            ("v1", "summaries", "") => self.data(|data| self.summaries(now, data)),
            ("v1", "rusages", "") => self.data(system::rusages),
            ("v1", "self_proc_stats", "") => {
                self.data(|data| system::self_proc_stats(self.busy(now).own, data))
            }
            ("v1", "system_proc_stats", "") => {
                self.data(|data| system::system_proc_stats(self.busy(now).all, data))
            }
            ("v1", "clusters", "") => self.data(|data| self.clusters(request, data)),
            ("v1", "meminfos", "") => self.data(system::meminfos),
            _ => return Found::Nothing,
        };
        if reads { Found::Text(text) } else { Found::Method }
    }

    /// An answer with what all have, and then what `fill` adds.
    fn envelope(&self, fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut text = String::with_capacity(512);
        let mut root = Object::new(&mut text);
        root.key("code").int(0);
        root.key("server").str(&self.server_id());
        root.key("service").str(&self.service_id());
        root.key("pid").str(&std::process::id().to_string());
        fill(&mut root);
        drop(root);
        text
    }

    /// The name of this server, which is made up.
    pub(in crate::engine) fn server_id(&self) -> String {
        format!("vid-{}", Word(self.entropy(SERVER), 7))
    }

    /// The name of this start of it.
    pub(in crate::engine) fn service_id(&self) -> String {
        Word(self.entropy(SERVICE), 8).to_string()
    }

    /// An answer whose data `fill` writes.
    fn data(&self, fill: impl FnOnce(&mut Object<'_>)) -> String {
        self.envelope(|root| fill(&mut root.key("data").object()))
    }

    /// An answer that says what there is.
    fn urls(&self, paths: &[(&str, &str)], tests: &[(&str, &str)]) -> String {
        self.envelope(|root| {
            {
                let mut urls = root.key("urls").object();
                paths.iter().for_each(|(path, what)| urls.key(path).str(what));
            }
            if !tests.is_empty() {
                let mut urls = root.key("tests").object();
                tests.iter().for_each(|(path, what)| urls.key(path).str(what));
            }
        })
    }
}

const PATHS: [(&str, &str); 14] = [
    ("versions", "the version of camrill"),
    ("summaries", "the summary(pid, argv, pwd, cpu, mem) of the process"),
    ("rusages", "the rusage of the process"),
    ("self_proc_stats", "the self process stats"),
    ("system_proc_stats", "the system process stats"),
    ("meminfos", "the meminfo of system"),
    ("authors", "the license and contributors"),
    ("features", "the supported features"),
    ("requests", "the request itself, for http debug"),
    ("vhosts", "manage all vhosts or specified vhost"),
    ("streams", "manage all streams or specified stream"),
    ("clients", "manage all clients or specified client, default query top 10 clients"),
    ("clusters", "origin cluster server API"),
    ("relays", "all ingests and forwards or specified one, default query first 10"),
];
const TESTS: [(&str, &str); 3] = [
    ("requests", "show the request info"),
    ("errors", "always return an error 100"),
    ("redirects", "always redirect to /api/v1/tests/errors"),
];

fn versions(data: &mut Object<'_>) {
    let number = |text: &str| text.parse().unwrap_or_default();
    data.key("major").uint(number(env!("CARGO_PKG_VERSION_MAJOR")));
    data.key("minor").uint(number(env!("CARGO_PKG_VERSION_MINOR")));
    data.key("revision").uint(number(env!("CARGO_PKG_VERSION_PATCH")));
    data.key("version").str(env!("CARGO_PKG_VERSION"));
}

fn features(data: &mut Object<'_>) {
    let built = [
        ("ssl", false),
        ("hls", cfg!(feature = "hls")),
        ("hds", false),
        ("callback", false),
        ("api", true),
        ("httpd", true),
        ("dvr", cfg!(feature = "dvr")),
        ("transcode", false),
        ("ingest", true),
        ("stat", true),
        ("caster", false),
        ("complex_send", true),
        ("tcp_nodelay", true),
        ("so_sendbuf", false),
        ("mr", true),
    ];
    for key in ["options", "options2", "build", "build2"] {
        data.key(key).str("");
    }
    let mut features = data.key("features").object();
    built.iter().for_each(|(name, is_built)| features.key(name).bool(*is_built));
}

/// The request as it was understood.
fn about(request: &Request, data: &mut Object<'_>) {
    let query = if request.query.is_empty() { "" } else { "?" };
    data.key("uri").str(&format!("http://{}{}{query}{}", request.authority, request.raw_path, request.query));
    data.key("path").str(&request.path);
    data.key("METHOD").str(request.method.as_str());
    {
        let mut headers = data.key("headers").object();
        request.headers.iter().for_each(|(name, value)| headers.key(name).str(value));
    }
    let mut server = data.key("server").object();
    server.key("sigature").str("camrill");
    server.key("version").str(env!("CARGO_PKG_VERSION"));
    server.key("link").str(env!("CARGO_PKG_REPOSITORY"));
    server.key("time").uint(now_ms());
}

/// What stands behind `/api/`, without a slash at its end.
fn under_api(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/api")?;
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
    Some(rest.strip_suffix('/').unwrap_or(rest))
}

/// The function that a script element asks the answer to be handed to, where its name is one.
fn callback(request: &Request) -> Option<String> {
    let is_part = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'.');
    let name = request.query_value("callback")?;
    let ok = (1..=CALLBACK_BYTES).contains(&name.len()) && name.bytes().all(is_part);
    ok.then(|| name.into_owned())
}

/// Milliseconds since 1970; 0 where no clock is set.
fn now_ms() -> u64 {
    unix_time().map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A number as so many letters and digits.
struct Word(u64, usize);

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.0;
        for _ in 0..self.1 {
            let digit = (rest % 36) as u32;
            rest /= 36;
            std::fmt::Write::write_char(f, char::from_digit(digit, 36).unwrap_or('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_what_stands_under_its_path() {
        assert_eq!(under_api("/api"), Some(""));
        assert_eq!(under_api("/api/"), Some(""));
        assert_eq!(under_api("/api/v1/"), Some("v1"));
        assert_eq!(under_api("/api/v1/clients/7"), Some("v1/clients/7"));
        assert_eq!(under_api("/apis"), None);
        assert_eq!(under_api("/live/api"), None);
    }

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        let of = |query: &str| callback(&Request { query: query.into(), ..Request::default() });
        assert_eq!(of("callback=jQuery_1.x$").as_deref(), Some("jQuery_1.x$"));
        for bad in
            ["", "callback=", "callback=a(b)", "callback=%3Cscript%3E", "callback=a+b", "callback=%C3%A9"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of(&format!("callback={}", "a".repeat(CALLBACK_BYTES + 1))), None);
    }

    #[test]
    fn words_have_their_length() {
        assert_eq!(Word(0, 4).to_string(), "0000");
        assert_eq!(Word(35 + 36, 3).to_string(), "z10");
        assert_eq!(Word(u64::MAX, 8).to_string().len(), 8);
    }
}
