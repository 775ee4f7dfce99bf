//! What the configuration forwards: under which names, for how long, by whose word, and what a reload does.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use camrill::amf::Value;
use camrill::engine::RelayState;
use camrill::http::json::Json;
use support::PATIENCE;
use support::host::Host;
use support::relays::until;
use support::rtmp_client::{Client, Media};
use support::rtmp_server::Server;

/// An engine with a vhost `a.b` that forwards.
fn engine(forward: &str) -> Host {
    Host::start(&format!("vhost a.b {{ forward {{ enabled on; {forward} }} }} vhost __defaultVhost__ {{}}"))
}

fn set(host: &Host, directive: &'static str, value: String) {
    host.run(move |engine| {
        engine.config_mut().set(&format!("vhost/a.b/forward/{directive}"), &value).expect("a directive");
        engine.apply().expect("a configuration");
    });
}

#[track_caller]
fn publish(host: &Host, stream: &str) -> Client {
    let mut publisher = Client::connect_to(host.address(), "a.b", "live");
    assert_eq!(publisher.publish_as(stream).as_deref(), Some("NetStream.Publish.Start"));
    publisher.send_all(&opening());
    publisher.sync();
    publisher
}

fn opening() -> [Media; 2] {
    [Media::video_header(0, 1), Media::key(0, 500)]
}

/// The next connection to a server, which gets the stream under this name.
#[track_caller]
fn expect(server: &Server, name: &str) -> Client {
    let (mut peer, found) = server.publish();
    assert_eq!(found, name);
    assert_eq!(peer.medias(2), opening());
    peer
}

fn urls(host: &Host) -> Vec<String> {
    let mut urls: Vec<_> = host.run(|engine| engine.relays()).into_iter().map(|relay| relay.url).collect();
    urls.sort();
    urls
}

#[test]
fn a_stream_is_forwarded_under_its_own_name_while_it_is_published() {
    let (plain, shaped) = (Server::start(), Server::start());
    let template = format!("rtmp://{}/[vhost]/x/[app]-[stream]?[param]&k=v", shaped.address());
    let host = engine(&format!("destination {} {template};", plain.address()));
    assert!(urls(&host).is_empty());
    for _ in 0..2 {
        let publisher = publish(&host, "s?token=x");
        let peers = [expect(&plain, "s?token=x&vhost=a.b"), expect(&shaped, "live-s?token=x&k=v")];
        assert_eq!(urls(&host).len(), 2);
        publisher.close();
        for mut peer in peers {
            peer.wait_command("deleteStream");
            peer.wait_closed();
            until(&host, RelayState::Ended);
        }
        assert!(urls(&host).is_empty());
    }
    // Another vhost's streams stay here.
    let mut publisher = host.publish("t");
    publisher.sync();
    assert!(urls(&host).is_empty());
}

#[test]
fn a_reload_leaves_what_has_not_changed_alone() {
    let servers: [Server; 3] = std::array::from_fn(|_| Server::start());
    let [a, b, c] = servers.each_ref().map(Server::address);
    let host = engine(&format!("destination {a} {b};"));
    let mut publisher = publish(&host, "s");
    let name = "s?vhost=a.b";
    let [mut at_a, mut at_b] = [expect(&servers[0], name), expect(&servers[1], name)];
    set(&host, "destination", format!("{c} {a} {a}"));
    let mut at_c = expect(&servers[2], name);
    at_b.wait_command("deleteStream");
    at_b.wait_closed();
    let next = Media::delta(40, 300);
    publisher.send(&next);
    for peer in [&mut at_a, &mut at_c] {
        assert_eq!(peer.media(), Some(next.clone()));
    }
    // Something else.
    host.run(|engine| {
        engine.config_mut().set("vhost/a.b/play/queue_length", "7").expect("a directive");
        engine.apply().expect("a configuration");
    });
    set(&host, "enabled", "off".into());
    for mut peer in [at_a, at_c] {
        peer.wait_command("deleteStream");
        peer.wait_closed();
    }
    assert!(urls(&host).is_empty());
    set(&host, "enabled", "on".into());
    servers.iter().step_by(2).for_each(|server| drop(expect(server, name)));
    assert!(servers[1].is_quiet());
}

/// An HTTP server that answers one request after another.
struct Backend {
    listener: TcpListener,
}

impl Backend {
    fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a port") }
    }

    fn url(&self) -> String {
        format!("http://{}/api/v1/forward?key=x", self.listener.local_addr().expect("an address"))
    }

    /// Takes the next request, answers it, and gives out its head and its body.
    #[track_caller]
    fn answer(&self, status: &str, body: &str) -> (String, Json) {
        let (mut socket, _) = self.listener.accept().expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let (head, asked) = request(&mut socket);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).expect("the answer goes out");
        (head, Json::parse(&asked).expect("JSON"))
    }
}

fn request(socket: &mut TcpStream) -> (String, Vec<u8>) {
    let (mut came, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let n = socket.read(&mut buffer).expect("a request in time");
        assert!(n > 0, "the request is not whole: {}", String::from_utf8_lossy(&came));
        came.extend_from_slice(&buffer[..n]);
        let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&came[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
        if came.len() >= end + 4 + length {
            return (head, came.split_off(end + 4));
        }
    }
}

fn answer_of(servers: &[SocketAddr]) -> String {
    let urls: Vec<_> = servers.iter().map(|address| format!("\"rtmp://{address}/away/t?key=v\"")).collect();
    format!("{{\"code\":0,\"data\":{{\"urls\":[{}]}}}}", urls.join(","))
}

#[test]
fn a_backend_says_where_a_stream_goes() {
    let (backend, fixed, named) = (Backend::start(), Server::start(), Server::start());
    let host = engine(&format!("destination {}; backend {};", fixed.address(), backend.url()));
    let mut publisher = publish(&host, "s?token=x");
    let mut at_fixed = expect(&fixed, "s?token=x&vhost=a.b");
    // Until it answers well it is asked again.
    for (status, body) in [("500 No", "{}"), ("200 OK", "<html>")] {
        backend.answer(status, body);
    }
    let (head, asked) = backend.answer("200 OK", &answer_of(&[named.address(), named.address()]));
    assert!(head.starts_with("POST /api/v1/forward?key=x HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
    let text = |name: &str| asked.member(name).and_then(Json::as_str).unwrap_or("?").to_owned();
    let client = host.run(|engine| engine.streams()[0].publisher);
    for (name, expected) in [
        ("action", "on_forward"),
        ("client_id", &client.to_string()),
        ("ip", "127.0.0.1"),
        ("vhost", "a.b"),
        ("app", "live"),
        ("tcUrl", "rtmp://a.b/live"),
        ("stream", "s"),
        ("param", "?token=x"),
    ] {
        assert_eq!(text(name), expected, "{name}");
    }
    assert!(text("server_id").starts_with("vid-") && text("service_id").len() == 8, "{asked:?}");
    let mut at_named = expect(&named, "t?key=v");
    assert_eq!(urls(&host).len(), 2, "each place once");

    // Another backend: until it has answered what the last one said holds.
    let (other, elsewhere) = (Backend::start(), Server::start());
    set(&host, "backend", other.url());
    other.answer("503 Later", "");
    let next = Media::delta(40, 300);
    publisher.send(&next);
    assert_eq!((at_fixed.media(), at_named.media()), (Some(next.clone()), Some(next)));
    other.answer("200 OK", &answer_of(&[elsewhere.address()]));
    expect(&elsewhere, "t?key=v");
    assert_eq!(at_named.wait_command("deleteStream")[3], Value::Number(1.0));
    publisher.close();
    at_fixed.wait_closed();

    // It is asked at each publish, by an encoder of the host's too.
    set(&host, "destination", "\"\"".into());
    let _publisher = publish(&host, "u");
    let (_, asked) = other.answer("200 OK", "0");
    assert_eq!(asked.member("stream").and_then(Json::as_str), Some("u"));
    assert_eq!(asked.member("param").and_then(Json::as_str), Some(""));
    host.until("no forward is left", |engine| engine.relays().is_empty());
}
