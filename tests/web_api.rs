//! The HTTP API beside SRS's own answers, and what stands at the ports around it.

#![cfg(feature = "http")]

mod support;

#[path = "web_api/json.rs"]
mod json;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use camrill::engine::{Engine, ForwardOptions, IngestOptions, RelayState, RetryPolicy, Role};
use json::Json;
use support::host::Host;
use support::rtmp_client::{Client, Media};
use support::{PATIENCE, TempDir, repository};

const API: &str = "http_api { enabled on; listen 127.0.0.1:0; }";
const SERVER: &str = "http_server { enabled on; listen 127.0.0.1:0; dir ''; }";
const REMUX: &str = "vhost __defaultVhost__ { http_remux { enabled on; mount [vhost]/[app]/[stream]; } }";

/// An answer: its status, its head, its body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Json {
        assert_eq!(self.status, 200, "{}", self.body);
        assert_eq!(self.field("content-type"), Some("application/json"));
        Json::parse(&self.body)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

#[track_caller]
fn ask(at: SocketAddr, method: &str, path: &str, fields: &str) -> Answer {
    let mut socket = TcpStream::connect(at).expect("a server");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: cam.local\r\nConnection: close\r\n{fields}\r\n");
    socket.write_all(request.as_bytes()).expect("a server that reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer that ends");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

#[track_caller]
fn get(at: SocketAddr, path: &str) -> Json {
    ask(at, "GET", path, "").json()
}

fn api_of(host: &Host) -> SocketAddr {
    host.run(|e: &mut Engine| e.addresses_of(|role| matches!(role, Role::Http { api: true, .. }))[0])
}

fn server_of(host: &Host) -> SocketAddr {
    host.run(|e: &mut Engine| e.addresses_of(|role| matches!(role, Role::Http { server: true, .. }))[0])
}

/// What SRS answered.
fn sample(name: &str) -> Json {
    let file = repository(&format!("tests/data/srs-api/{name}.json"));
    Json::parse(&std::fs::read_to_string(file).expect("a sample"))
}

/// Publishes 640 × 360 H.264 and stereo AAC with a keyframe of `size` bytes.
fn camera(host: &Host, stream: &str, size: usize) -> Client {
    let mut client = host.publish(stream);
    let sps: &[u8] = &[
        0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
        0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
    ];
    let record = camrill::codec::avcc::build(&[sps], &[&[0x68, 0xce]]).expect("a record");
    client.send(&Media(9, 0, [&[0x17, 0, 0, 0, 0], &record[..]].concat().into()));
    client.send_all(&[Media::audio_header(0), Media::key(0, size), Media::audio(1)]);
    client.sync();
    client
}

#[test]
fn every_answer_has_the_keys_of_srs_in_their_order_and_types() {
    let host = Host::start(&format!("{API} {SERVER} {REMUX}"));
    let _publisher = camera(&host, "ext", 9000);
    let _player = host.play("ext");
    let at = api_of(&host);
    let mut seen = 0;
    for entry in std::fs::read_dir(repository("tests/data/srs-api")).expect("samples") {
        let file = entry.expect("a sample").file_name().into_string().expect("a name");
        let name = file.strip_suffix(".json").expect("JSON");
        let path = match name {
            "root" => "/".to_owned(),
            "api" => "/api/".to_owned(),
            "v1" => "/api/v1/".to_owned(),
            "v1_tests_errors" => "/api/v1/tests/errors".to_owned(),
            _ => format!("/api/v1/{}", name.strip_prefix("v1_").expect("a path")),
        };
        let (ours, srs) = (get(at, &path), sample(name));
        match name {
            // What isn't there isn't named.
            "root" | "api" | "v1" => {
                assert_eq!(ours.keys(), srs.keys(), "{path}");
                for part in ["urls", "tests"] {
                    let (mut ours, srs) = (ours.at(part).keys(), srs.at(part).keys());
                    // Ours alone, behind all of SRS's.
                    ours.pop_if(|key| *key == "relays");
                    let in_order: Vec<_> = srs.into_iter().filter(|key| ours.contains(key)).collect();
                    assert_eq!(ours, in_order, "{path}");
                }
            }
            "v1_vhosts" | "v1_streams" | "v1_clients" => {
                let list = name.strip_prefix("v1_").expect("a list");
                assert_eq!(ours.keys(), srs.keys(), "{path}");
                let known = srs.at(list).items().last().expect("one").shape();
                assert!(!ours.at(list).items().is_empty());
                for item in ours.at(list).items() {
                    let shape = item.shape().replace("hls:{enabled:b}", "hls:{enabled:b,fragment:n}");
                    assert_eq!(shape, known, "{path}");
                }
            }
            _ => assert_eq!(ours.shape(), srs.shape(), "{path}"),
        }
        // With and without the slash at the end.
        let other = if path.ends_with('/') { path.trim_end_matches('/').to_owned() } else { path + "/" };
        if !other.is_empty() {
            assert_eq!(get(at, &other).shape(), ours.shape(), "{other}");
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn the_server_is_another_with_each_start() {
    let of = |host: &Host| {
        let answer = get(api_of(host), "/api/v1/versions");
        assert_eq!(answer.at("pid").str(), std::process::id().to_string());
        assert_eq!(answer.at("data").at("version").str(), env!("CARGO_PKG_VERSION"));
        (answer.at("server").str().to_owned(), answer.at("service").str().to_owned())
    };
    let (a, b) = (Host::start(API), Host::start(API));
    assert_eq!(of(&a), of(&a));
    assert_ne!(of(&a).0, of(&b).0);
    assert_ne!(of(&a).1, of(&b).1);
    assert!(of(&a).0.starts_with("vid-"));
}

#[test]
fn streams_and_clients_are_told_as_they_are() {
    let host = Host::start(&format!("{API} {SERVER} {REMUX}"));
    let (at, server) = (api_of(&host), server_of(&host));
    let _publisher = camera(&host, "a\"<b>", 200_000);
    let mut q = host.play("a\"<b>");
    q.media();
    let mut flv = TcpStream::connect(server).expect("a server");
    let head = b"GET /live/a%22%3Cb%3E.flv HTTP/1.1\r\nHost: cam.local\r\nReferer: http://p/\r\n\r\n";
    flv.write_all(head).expect("a server that reads");
    flv.read_exact(&mut [0; 2000]).expect("a stream");

    let streams = get(at, "/api/v1/streams/");
    let [stream] = streams.at("streams").items() else { panic!("{streams:?}") };
    let id = stream.at("id").str();
    assert_eq!(get(at, &format!("/api/v1/streams/{id}")).at("stream").at("id").str(), id);
    assert_eq!((stream.at("name").str(), stream.at("app").str()), ("a\"<b>", "live"));
    assert_eq!(stream.at("url").str(), "/live/a\"<b>");
    assert_eq!(stream.at("tcUrl").str(), "rtmp://127.0.0.1/live");
    assert_eq!((stream.at("clients").num(), stream.at("frames").num()), (3.0, 1.0));
    assert!(stream.at("recv_bytes").num() > 200_000.0 && stream.at("send_bytes").num() > 200_000.0);
    assert!(stream.at("kbps").at("recv_30s").num() > 10.0 && stream.at("kbps").at("send_30s").num() > 10.0);
    let video = stream.at("video");
    assert_eq!((video.at("codec").str(), video.at("profile").str()), ("H264", "Baseline"));
    assert_eq!((video.at("level").str(), video.at("width").num()), ("1.3", 640.0));
    let audio = stream.at("audio");
    assert_eq!((audio.at("codec").str(), audio.at("profile").str()), ("AAC", "LC"));
    assert_eq!((audio.at("sample_rate").num(), audio.at("channel").num()), (44_100.0, 2.0));

    let answer = get(at, "/api/v1/clients");
    let clients = answer.at("clients").items();
    let types: Vec<_> = clients.iter().map(|c| c.at("type").str()).collect();
    assert_eq!(types, ["fmle-publish", "rtmp-play", "flv-play"]);
    let ids = host.run(|e| e.client_ids());
    for (client, id) in clients.iter().zip(ids) {
        assert_eq!(client.at("id").str(), id.to_string());
        assert_eq!(client.at("stream"), stream.at("id"));
        assert_eq!((client.at("vhost"), client.at("url")), (stream.at("vhost"), stream.at("url")));
        assert_eq!(client.at("ip").str(), "127.0.0.1");
        let one = get(at, &format!("/api/v1/clients/{id}"));
        assert_eq!(one.at("client").at("type"), client.at("type"));
    }
    assert_eq!(stream.at("publish").at("cid"), clients[0].at("id"));
    assert_eq!((clients[0].at("publish").bool(), clients[1].at("publish").bool()), (true, false));
    assert_eq!((clients[1].at("name").str(), clients[2].at("name").str()), ("a\"<b>", "a\"<b>.flv"));
    assert_eq!(clients[2].at("pageUrl").str(), "http://p/");
    assert_eq!(clients[2].at("tcUrl").str(), "http://cam.local/live");
}

#[test]
fn a_vhost_keeps_what_its_clients_have_brought_and_taken() {
    let host = Host::start(API);
    let at = api_of(&host);
    let vhost = |at| {
        let answer = get(at, "/api/v1/vhosts");
        let [vhost] = answer.at("vhosts").items() else { panic!("{answer:?}") };
        let one = get(at, &format!("/api/v1/vhosts/{}", vhost.at("id").str()));
        assert_eq!(one.at("vhost").at("name").str(), "__defaultVhost__");
        let number = |key: &str| vhost.at(key).num() as u64;
        (number("clients"), number("streams"), number("recv_bytes"), number("send_bytes"))
    };
    assert_eq!(vhost(at), (0, 0, 0, 0));
    let publisher = camera(&host, "a", 100_000);
    let mut q = host.play("a");
    q.media();
    host.until("all is sent", |e| e.clients().iter().any(|c| c.sent > 100_000));
    let before = vhost(at);
    assert_eq!((before.0, before.1), (2, 1));
    assert!(before.2 > 100_000 && before.3 > 100_000, "{before:?}");
    q.close();
    host.until("the player is gone", |e| e.client_ids().len() == 1);
    let stream = get(at, "/api/v1/streams");
    assert!(stream.at("streams").items()[0].at("send_bytes").num() > 100_000.0);
    publisher.close();
    host.until("all are gone", |e| e.client_ids().is_empty());
    let after = vhost(at);
    assert_eq!((after.0, after.1), (0, 0));
    assert!(after.2 >= before.2 && after.3 >= before.3, "{before:?} {after:?}");
    assert!(after.2 < before.2 + 5000 && after.3 < before.3 + 5000, "{before:?} {after:?}");
}

#[test]
fn a_client_is_kicked() {
    let host = Host::start(API);
    let at = api_of(&host);
    let mut publisher = camera(&host, "a", 100);
    let id = host.run(|e| e.client_ids()[0]);
    let answer = ask(at, "DELETE", &format!("/api/v1/clients/{id}"), "").json();
    assert_eq!(answer.keys(), ["code", "server", "service", "pid"]);
    publisher.wait_closed();
    host.until("it is gone", |e| e.client_ids().is_empty());
    let again = ask(at, "DELETE", &format!("/api/v1/clients/{id}"), "");
    assert_eq!(again.body, r#"{"code":2049}"#);
}

#[test]
fn what_is_not_there_has_srs_numbers() {
    let host = Host::start(API);
    let at = api_of(&host);
    for (path, code) in
        [("vhosts/vid-x", 2014), ("streams/vid-1", 2048), ("clients/1", 2049), ("tests/errors", 100)]
    {
        let answer = ask(at, "GET", &format!("/api/v1/{path}"), "");
        assert_eq!((answer.status, answer.body), (200, format!("{{\"code\":{code}}}")));
    }
    for path in ["/api/v2", "/api/v1/nothing", "/api/v1/versions/1", "/apis", "/live/a.flv", "/camrill.json"]
    {
        assert_eq!(ask(at, "GET", path, "").status, 404, "{path}");
    }
    for (method, path) in
        [("POST", "streams"), ("PUT", "clients"), ("DELETE", "vhosts"), ("POST", "versions")]
    {
        assert_eq!(
            ask(at, method, &format!("/api/v1/{path}"), "Content-Length: 0\r\n").status,
            405,
            "{path}"
        );
    }
    assert_eq!(ask(at, "DELETE", "/api/v1/clients", "").body, r#"{"code":2049}"#);
    let elsewhere = ask(at, "GET", "/api/v1/tests/redirects", "");
    assert_eq!((elsewhere.status, elsewhere.field("location")), (302, Some("/api/v1/tests/errors")));
}

#[test]
fn ingests_and_forwards_are_told() {
    let (host, other) = (Host::start(API), Host::start(""));
    let at = api_of(&host);
    let answer = get(at, "/api/v1/relays");
    assert_eq!(answer.keys()[..2], ["code", "server"]);
    assert!(answer.at("relays").items().is_empty());
    let retry = RetryPolicy { first: Duration::from_secs(60), ..RetryPolicy::default() };
    let url = |stream: &str| format!("rtmp://me:secret@{}/live/{stream}?token=x", other.address());
    let nowhere = format!("rtmp://127.0.0.1:{}/live/s", support::free_port());
    let (vhost, app) = (String::new(), "live".to_owned());
    let options = IngestOptions {
        vhost: vhost.clone(),
        app: app.clone(),
        stream: "\"in\"".into(),
        inputs: vec![nowhere.clone()],
        looped: false,
        on_demand: None,
        retry: RetryPolicy { longest: Duration::from_secs(60), ..retry },
    };
    let ingest = host.run(move |engine| engine.ingest_open(&options)).expect("an ingest");
    let options = ForwardOptions { vhost, app, stream: "out".into(), url: url("there"), retry };
    let forward = host.run(move |engine| engine.forward_open(&options)).expect("a forward");
    assert_ne!(ingest, forward);
    host.until("it waits", |engine| engine.relays()[0].state == RelayState::Waiting);
    let (_publisher, mut player) = (camera(&host, "out", 9000), other.play("there"));
    assert!(player.medias(2).iter().any(Media::is_video_header));
    host.until("the keyframe is sent", |engine| engine.relays()[1].bytes > 9000);

    let answer = get(at, "/api/v1/relays/");
    let [a, b] = answer.at("relays").items() else { panic!("{answer:?}") };
    assert_eq!((a.at("id").str(), b.at("id").str()), (&*ingest.to_string(), &*forward.to_string()));
    assert_eq!((a.at("type").str(), b.at("type").str()), ("ingest", "forward"));
    assert_eq!((a.at("name").str(), b.at("name").str()), ("\"in\"", "out"));
    let streams = get(at, "/api/v1/streams");
    let stream = &streams.at("streams").items()[0];
    for key in ["vhost", "app"] {
        assert_eq!(b.at(key).str(), stream.at(key).str());
    }
    assert_eq!((a.at("stream").str(), b.at("stream").str()), ("", stream.at("id").str()));
    assert_eq!(a.at("url").str(), nowhere);
    assert_eq!(b.at("url").str(), format!("rtmp://{}/live/there", other.address()));
    assert_eq!((a.at("state").str(), b.at("state").str()), ("waiting", "running"));
    assert!(a.at("reason").str().contains("refused") && b.at("reason").str().is_empty());
    assert!((40_000.0..80_000.0).contains(&a.at("next_ms").num()) && b.at("next_ms").num() == 0.0);
    assert_eq!((a.at("failures").num(), b.at("failures").num()), (1.0, 0.0));
    assert_eq!((a.at("starts").num(), b.at("starts").num()), (0.0, 1.0));
    assert_eq!((a.at("bytes").num(), a.at("running_ms").num()), (0.0, 0.0));
    assert!(b.at("bytes").num() > 9000.0);
    assert_eq!((a.at("skips").num(), b.at("skips").num()), (0.0, 0.0));

    let one = get(at, &format!("/api/v1/relays/{forward}"));
    assert_eq!(one.at("relay").at("id").str(), b.at("id").str());
    assert_eq!(get(at, "/api/v1/relays?start=1&count=1").at("relays").items().len(), 1);
    assert_eq!(ask(at, "DELETE", &format!("/api/v1/relays/{forward}"), "").status, 405);
    host.run(move |engine| engine.forward_close(forward)).expect("it is there");
    assert_eq!(ask(at, "GET", &format!("/api/v1/relays/{forward}"), "").body, r#"{"code":2048}"#);
}

#[test]
fn lists_come_in_parts() {
    let host = Host::start(API);
    let at = api_of(&host);
    let publishers: Vec<_> = (0..12).map(|i| host.publish(&format!("s{i}"))).collect();
    let names = |list: &str, query: &str| -> Vec<String> {
        let answer = get(at, &format!("/api/v1/{list}?{query}"));
        answer.at(list).items().iter().map(|item| item.at("name").str().to_owned()).collect()
    };
    for list in ["streams", "clients"] {
        let first = names(list, "");
        let rest = names(list, "start=10");
        assert_eq!((first.len(), rest.len()), (10, 2));
        let mut all = [first, rest].concat();
        assert_eq!(names(list, "start=0&count=100"), all);
        assert_eq!(names(list, "start=3&count=4"), all[3..7]);
        assert!(names(list, "start=12").is_empty());
        all.sort();
        let mut expected: Vec<_> = (0..12).map(|i| format!("s{i}")).collect();
        expected.sort();
        assert_eq!(all, expected);
    }
    drop(publishers);
}

#[test]
fn other_pages_and_heads_are_answered() {
    let host = Host::start(API);
    let at = api_of(&host);
    let whole = ask(at, "GET", "/api/v1/versions", "Origin: http://x.example\r\n");
    assert_eq!(whole.field("access-control-allow-origin"), Some("http://x.example"));
    let head = ask(at, "HEAD", "/api/v1/versions", "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.field("content-length"), whole.field("content-length"));
    let preflight = ask(at, "OPTIONS", "/api/v1/clients/1", "Access-Control-Request-Method: DELETE\r\n");
    assert_eq!(preflight.status, 204);
    assert!(preflight.field("access-control-allow-methods").is_some_and(|m| m.contains("DELETE")));

    let script = ask(at, "GET", "/api/v1/tests/errors?callback=a.b", "");
    assert_eq!(script.body, r#"a.b({"code":100})"#);
    assert_eq!(script.field("content-type"), Some("text/javascript; charset=utf-8"));
    let script = ask(at, "GET", "/api/v1/clients/1?callback=f&method=DELETE", "");
    assert_eq!(script.body, r#"f({"code":2049})"#);
    assert_eq!(ask(at, "GET", "/api/v1/tests/errors?callback=a(b", "").body, r#"{"code":100}"#);

    let own = Host::start("http_api { enabled on; listen 127.0.0.1:0; crossdomain off; }");
    let answer = ask(api_of(&own), "GET", "/api/v1/tests/errors?callback=f", "");
    assert_eq!(
        (answer.body.as_str(), answer.field("access-control-allow-origin")),
        (r#"{"code":100}"#, None)
    );
}

#[test]
fn the_api_is_at_its_port_alone_or_beside_the_server() {
    let apart = Host::start(&format!("{API} {SERVER}"));
    assert_eq!(ask(server_of(&apart), "GET", "/api/v1/versions", "").status, 404);
    assert_eq!(get(api_of(&apart), "/").at("urls").keys(), ["api"]);

    let port = support::free_port();
    let both = Host::start(&format!(
        "http_api {{ enabled on; listen 127.0.0.1:{port}; }}
        http_server {{ enabled on; listen 127.0.0.1:{port}; dir ''; }} {REMUX}"
    ));
    assert_eq!(api_of(&both), server_of(&both));
    let _publisher = camera(&both, "a", 100);
    let at = api_of(&both);
    assert_eq!(get(at, "/api/v1/streams").at("streams").items().len(), 1);
    assert_eq!(ask(at, "HEAD", "/live/a.flv", "").status, 200);
    #[cfg(feature = "page")]
    assert!(ask(at, "GET", "/", "").body.starts_with("<!doctype html>"));
}

#[cfg(feature = "page")]
#[test]
fn the_page_stands_where_no_other_does() {
    let host = Host::start(&format!("{SERVER} {REMUX}"));
    let at = server_of(&host);
    let page = ask(at, "GET", "/", "");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    let tag = page.field("etag").expect("a tag");
    assert_eq!(ask(at, "GET", "/", &format!("If-None-Match: {tag}\r\n")).status, 304);
    assert_eq!(ask(at, "HEAD", "/", "").field("content-length"), page.field("content-length"));
    assert_eq!(ask(at, "POST", "/", "Content-Length: 0\r\n").status, 405);
    assert_eq!(ask(at, "GET", "/other", "").status, 404);

    let off = Host::start("http_server { enabled on; listen 127.0.0.1:0; dir ''; page off; }");
    assert_eq!(ask(server_of(&off), "GET", "/", "").status, 404);
    assert_eq!(ask(server_of(&off), "GET", "/camrill.json", "").status, 404);

    let dir = TempDir::new();
    std::fs::write(dir.join("index.html"), "mine").expect("a file");
    let folder = dir.join("");
    let own =
        Host::start(&format!("http_server {{ enabled on; listen 127.0.0.1:0; dir {}; }}", folder.display()));
    assert_eq!(ask(server_of(&own), "GET", "/", "").body, "mine");
}

#[cfg(feature = "page")]
#[test]
fn the_page_s_list_says_where_streams_are() {
    let host = Host::start(&format!(
        "{SERVER}
        vhost __defaultVhost__ {{ http_remux {{ enabled on; mount /tv/[stream]/[app].flv [vhost]/[app]/[stream]; }}
            hls {{ enabled on; }} }}
        vhost other {{ http_remux {{ enabled off; }} }}"
    ));
    let at = server_of(&host);
    assert_eq!(get(at, "/camrill.json").at("streams").items().len(), 0);
    let _a = camera(&host, "a b", 5000);
    let mut other = Client::connect_to(host.address(), "other", "x");
    assert_eq!(other.publish_as("c").as_deref(), Some("NetStream.Publish.Start"));
    let _waits = host.play("nobody");
    let list = get(at, "/camrill.json");
    assert_eq!(list.at("rtmp").num() as u16, host.address().port());
    assert_eq!(list.at("total").num(), 2.0);
    let [a, c] = list.at("streams").items() else { panic!("{list:?}") };
    assert_eq!((a.at("name").str(), a.at("vhost").str()), ("a b", ""));
    assert_eq!((a.at("mp4").str(), a.at("hls").str()), ("/live/a b.mp4", "/live/a b.m3u8"));
    assert_eq!((a.at("from").str(), a.at("frames").num()), ("127.0.0.1", 1.0));
    assert_eq!((a.at("video").at("width").num(), a.at("players").num()), (640.0, 0.0));
    assert_eq!((c.at("vhost").str(), c.at("video"), c.at("mp4")), ("other", &Json::Null, &Json::Null));
    // Each path is the stream's.
    let flv = a.at("flv").str().replace(' ', "%20");
    assert_eq!(ask(at, "HEAD", &flv, "").status, 200, "{flv}");
}
