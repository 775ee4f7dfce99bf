//! RTMPS, HTTPS and WSS by real clients, and whom they meet: certificates that are right, wrong and swapped,
//! peers that speak no TLS, are slow, or say nothing.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ChildStdin, Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use camrill::engine::{Engine, Role};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use support::certificates::{Authority, Pair, self_signed};
use support::clients::{self, Kind, Player};
use support::host::Host;
use support::logs::{self, Logs};
use support::packets::{self, Audio, Video};
use support::process::Process;
use support::rtmp_client::Client;
use support::{PATIENCE, TempDir, flv, http};

type MakePair = fn(&Authority) -> Pair;

/// An engine behind TLS, and the authority that has signed for it.
struct Server {
    host: Host,
    authority: Authority,
    pair: Pair,
    dir: TempDir,
    logs: &'static Logs,
}

impl Server {
    fn start() -> Self {
        Self::with("", |authority| authority.pair(&["localhost", "127.0.0.1"]))
    }

    /// One with more settings, and a certificate of choice.
    fn with(more: &str, pair: impl FnOnce(&Authority) -> Pair) -> Self {
        let logs = logs::install();
        let (dir, authority) = (TempDir::new(), Authority::new());
        let pair = pair(&authority);
        write(&dir, &pair);
        std::fs::write(dir.join("ca.pem"), &authority.pem).expect("a file");
        let place = dir.join("");
        let place = place.display();
        let tls = format!("enabled on; listen 127.0.0.1:0; key {place}server.key; cert {place}server.crt;");
        let host = Host::start(&format!(
            "rtmps {{ {tls} }}
             http_server {{ enabled on; listen 127.0.0.1:0; dir {place}; https {{ {tls} }} }}
             http_api {{ enabled on; listen 127.0.0.1:0; https {{ {tls} }} }}
             vhost __defaultVhost__ {{ http_remux {{ enabled on; }} }} {more}"
        ));
        Self { host, authority, pair, dir, logs }
    }

    fn rtmps(&self) -> SocketAddr {
        self.host.run(|engine: &mut Engine| engine.secure_addresses_of(|role| role == Role::Rtmp)[0])
    }

    fn https(&self) -> SocketAddr {
        let is_server = |role| matches!(role, Role::Http { server: true, .. });
        self.host.run(move |engine: &mut Engine| engine.secure_addresses_of(is_server)[0])
    }

    fn api(&self) -> SocketAddr {
        let is_api = |role| matches!(role, Role::Http { api: true, .. });
        self.host.run(move |engine: &mut Engine| engine.secure_addresses_of(is_api)[0])
    }

    fn url(&self, stream: &str) -> String {
        format!("rtmps://{}/live/{stream}", self.rtmps())
    }

    /// Waits for `n` players, however many there were before.
    fn wait_players(&self, n: u32) {
        self.host.until("players", move |engine| engine.stats().players == n);
    }

    /// Publishes a file over RTMPS, and stays when it is through.
    fn publish(&self, clip: &Path) -> (Process, ChildStdin) {
        let (process, mut pipe) = clients::publish_pipe(&self.url("a"));
        pipe.write_all(&std::fs::read(clip).expect("the clip")).expect("a publisher that reads");
        (process, pipe)
    }

    /// curl, which verifies.
    fn curl(&self, arguments: &[&str]) -> Output {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--cacert"]).arg(self.dir.join("ca.pem"));
        curl.args(arguments).output().expect("curl")
    }

    /// A client that trusts the authority, connected; the handshake is still to come.
    fn connect(&self, to: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        secure(&self.authority.pem, to)
    }

    /// Waits for a line of the engine's log.
    #[track_caller]
    fn wait_log(&self, pattern: &str) {
        self.logs.wait_of(self.host.thread(), pattern);
    }
}

fn write(dir: &TempDir, pair: &Pair) {
    std::fs::write(dir.join("server.crt"), &pair.cert).expect("a file");
    std::fs::write(dir.join("server.key"), &pair.key).expect("a file");
}

fn secure(roots: &str, to: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(roots.as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(store)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let socket = TcpStream::connect(to).expect("a server");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    StreamOwned::new(connection, socket)
}

/// All that comes until the server closes.
fn rest(socket: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Err(e) if e.kind() != ErrorKind::ConnectionReset => panic!("{e}"),
        _ => all,
    }
}

#[test]
fn real_clients_publish_and_play_over_rtmps() {
    let server = Server::start();
    let clip = clients::cut(&server.dir, 0, 6);
    let sent = flv::read(&clip);
    let kinds = [Kind::Ffmpeg, Kind::NewFfmpeg, Kind::Rtmpdump, Kind::Rtmp2Src];
    for (name, ffmpeg) in [("a", clients::ffmpeg as fn() -> Command), ("b", clients::new_ffmpeg)] {
        let url = server.url(name);
        let players: Vec<_> = kinds.iter().map(|kind| Player::start(*kind, &url)).collect();
        server.wait_players(4);
        clients::publish(ffmpeg(), &clip, &url).finish();
        for player in &players {
            player.expect(&sent);
        }
        drop(players);
        server.wait_players(0);
    }
}

#[test]
fn media_over_https_is_what_was_published() {
    let server = Server::start();
    let clip = clients::cut(&server.dir, 0, 6);
    let tracks = (Video::H264, Audio::Aac);
    let sent = packets::of_file(&clip, None, tracks);
    let mut players = Vec::new();
    for path in ["a.flv", "a.flv"] {
        let mut command = clients::new_ffmpeg();
        command.args(["-tls_verify", "1", "-ca_file"]).arg(server.dir.join("ca.pem"));
        command.args(["-analyzeduration", "500k", "-copyts", "-i"]);
        command.arg(format!("https://{}/live/{path}", server.https()));
        packets::list(&mut command, tracks);
        players.push(packets::pumped(&mut command));
    }
    server.wait_players(2);
    let publisher = server.publish(&clip);
    for (process, feed) in &players {
        let count = |all: &[packets::Packet], video| packets::track(all, video).len();
        let (video, audio) = (count(&sent, true) - 16, count(&sent, false) - 16);
        let came = feed.wait(PATIENCE, |all, _| {
            (count(all, true) >= video && count(all, false) >= audio).then(|| all.to_vec())
        });
        let came = came.unwrap_or_else(|| panic!("too little came: {:?}", process.said()));
        for video in [true, false] {
            let (came, sent) = (packets::track(&came, video), packets::track(&sent, video));
            assert_eq!(packets::assert_part(&came, &sent), 0);
            packets::assert_times(&came, &sent, 0, packets::TICK_US);
        }
    }
    drop(publisher);
}

#[test]
fn wss_brings_the_same_bytes_as_ws() {
    let server = Server::start();
    let clip = clients::cut(&server.dir, 0, 6);
    let plain = server.host.http();
    let ws = std::thread::spawn(move || {
        let mut all = Vec::new();
        http::websocket(plain, "/live/a.flv", |message| all.extend_from_slice(message));
        all
    });
    let mut wss = server.connect(server.https());
    wss.write_all(
        b"GET /live/a.flv HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .expect("a server that reads");
    server.wait_players(2);
    let publisher = server.publish(&clip);
    let (mut held, mut came, mut buffer) = (Vec::new(), Vec::new(), vec![0; 64 * 1024]);
    // The publisher keeps its last ones back.
    let sent = flv::frames(&flv::read(&clip)).len() - 16;
    let mut parser = flv::Parser::default();
    let mut tags = Vec::new();
    while flv::frames(&tags).len() < sent {
        let n = wss.read(&mut buffer).expect("a server that sends");
        assert!(n > 0, "closed after {} tags", tags.len());
        held.extend_from_slice(&buffer[..n]);
        if came.is_empty()
            && let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n")
            && held.starts_with(b"HTTP/1.1 101")
        {
            held.drain(..end + 4);
        }
        while let Some((opcode, from, to)) = http::frame(&held).filter(|(opcode, ..)| *opcode != b'H') {
            assert_eq!(opcode, 0x82);
            tags.extend(parser.feed(&held[from..to]));
            came.extend_from_slice(&held[from..to]);
            held.drain(..to);
        }
    }
    drop((publisher, server.host));
    let all = ws.join().expect("a client that gets what it asks for");
    assert!(all.starts_with(&came), "{} and {} bytes", came.len(), all.len());
}

#[test]
fn curl_verifies_whom_it_asks() {
    let server = Server::start();
    std::fs::write(server.dir.join("a.txt"), "hello").expect("a file");
    let (https, api) = (server.https(), server.api());
    let out = server.curl(&[&format!("https://{https}/a.txt")]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "hello", "{}", String::from_utf8_lossy(&out.stderr));
    let out = server.curl(&["--tls-max", "1.2", &format!("https://localhost:{}/a.txt", https.port())]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "hello", "{}", String::from_utf8_lossy(&out.stderr));
    let out = server.curl(&[&format!("https://{api}/api/v1/versions")]);
    assert!(String::from_utf8_lossy(&out.stdout).contains("\"code\":0"), "{out:?}");
    // TLS 1.1 is too old.
    let old = server.curl(&["--tls-max", "1.1", &format!("https://{https}/a.txt")]);
    assert_eq!(old.status.code(), Some(35), "{old:?}");
    // It looks at the name when the handshake is done, and just goes.
    let wrong: [(_, MakePair); 3] = [
        ("closed: done", |authority| authority.pair(&["other.example"])),
        ("closed: TLS: the peer has ended it: CertificateExpired", |a| a.expired(&["127.0.0.1"])),
        ("closed: TLS: the peer doesn't trust this certificate", |_| self_signed(&["127.0.0.1"])),
    ];
    for (said, pair) in wrong {
        let server = Server::with("", pair);
        let out = server.curl(&[&format!("https://{}/", server.https())]);
        assert_eq!(out.status.code(), Some(60), "{said}: {out:?}");
        server.wait_log(said);
    }
}

#[test]
fn a_certificate_is_swapped_while_it_runs() {
    let server = Server::start();
    let der = |pair: &Pair| CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("PEM");
    let served = || {
        let mut client = server.connect(server.rtmps());
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).expect("a handshake");
        }
        client.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let wait = |pair: &Pair| {
        let end = Instant::now() + PATIENCE;
        while served() != der(pair) {
            assert!(Instant::now() < end, "the new certificate is never served");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    assert_eq!(served(), der(&server.pair));
    let second = server.authority.pair(&["localhost"]);
    write(&server.dir, &second);
    wait(&second);
    // A broken pair is reported, and the last one stays.
    std::fs::write(server.dir.join("server.key"), "no key").expect("a file");
    let reported = || server.logs.count_of(server.host.thread(), "the last certificate stays in use: ");
    let end = Instant::now() + PATIENCE;
    while reported() == 0 {
        assert_eq!(served(), der(&second));
        assert!(Instant::now() < end, "it is never looked at");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(served(), der(&second));
    assert_eq!(reported(), 1);
    // From memory it holds at once, and taken back the files hold again.
    let third = server.authority.pair(&["localhost"]);
    let pair = third.clone();
    server.host.run(move |engine: &mut Engine| {
        engine.set_certificate(Some((pair.cert.as_bytes(), pair.key.as_bytes()))).expect("a pair");
    });
    assert_eq!(served(), der(&third));
    write(&server.dir, &server.pair);
    server.host.run(|engine: &mut Engine| engine.set_certificate(None).expect("none is fine"));
    wait(&server.pair);
}

#[test]
fn whoever_speaks_no_tls_is_sent_away_and_so_is_tls_where_none_is() {
    let server = Server::start();
    for said in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\x03\0\0\0\0\0\0\0\0"] {
        for to in [server.rtmps(), server.https(), server.api()] {
            let mut socket = TcpStream::connect(to).expect("a server");
            socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
            socket.write_all(said).expect("a server that reads");
            // An alert and nothing else (RFC 8446, 6).
            let answer = rest(&mut socket);
            assert!(answer.is_empty() || answer.starts_with(&[21, 3]), "{answer:?}");
        }
    }
    server.wait_log("closed: TLS: the peer speaks no TLS");
    for to in [server.host.address(), server.host.http()] {
        let mut client = server.connect(to);
        let failed = client.conn.complete_io(&mut client.sock).expect_err("no TLS there");
        assert_ne!(failed.kind(), ErrorKind::WouldBlock, "{failed}");
    }
    // It all went on.
    let out = server.curl(&[&format!("https://{}/api/v1/versions", server.api())]);
    assert!(out.status.success(), "{out:?}");
}

#[test]
fn a_handshake_may_come_byte_by_byte_but_not_forever() {
    let server = Server::with("handshake_timeout 2000;", |a| a.pair(&["localhost"]));
    let mut client = server.connect(server.https());
    let mut hello = Vec::new();
    client.conn.write_tls(&mut hello).expect("a hello");
    client.sock.set_nodelay(true).expect("a socket option");
    for byte in &hello {
        client.sock.write_all(&[*byte]).expect("a server that reads");
    }
    client.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n").expect("a server that reads");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    // Nothing, and a byte now and then: both end in time.
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.https()).expect("a server");
    silent.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    let mut slow = TcpStream::connect(server.rtmps()).expect("a server");
    slow.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket option");
    let mut bytes = hello.iter();
    loop {
        let mut buffer = [0; 1];
        match slow.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            _ => break,
        }
        assert!(began.elapsed() < PATIENCE, "never closed");
        if slow.write_all(&[*bytes.next().expect("it is closed before that")]).is_err() {
            break;
        }
    }
    // A goodbye at most.
    assert!(rest(&mut silent).len() < 10);
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    server.wait_log("closed: TLS: the handshake is not done after 20");
}

/// The socket is full again and again, and nothing is lost, doubled or mixed up.
#[test]
fn a_slow_reader_gets_the_same_bytes() {
    let server = Server::start();
    let sent: Vec<u8> = (0..24 * 1024 * 1024_u32).map(|n| (n / 251) as u8).collect();
    std::fs::write(server.dir.join("large"), &sent).expect("a file");
    let mut client = server.connect(server.https());
    client.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a server");
    // Nothing is read until the server has filled what there is between them.
    let mut last = 0;
    loop {
        let sent = server.host.stats().sent;
        if sent == last && sent > 1024 * 1024 {
            break;
        }
        last = sent;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(last < 24 * 1024 * 1024, "it was to be full");
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an answer that ends properly");
    let body = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    assert!(all[body..] == sent);
}

/// One engine, both ports: a publisher of one and players of the other don't notice.
#[test]
fn rtmp_and_rtmps_are_one_server() {
    let server = Server::start();
    let clip = clients::cut(&server.dir, 0, 6);
    let player = Player::start(Kind::Rtmpdump, &server.url("a"));
    server.wait_players(1);
    let plain = format!("rtmp://{}/live/a", server.host.address());
    clients::publish(clients::ffmpeg(), &clip, &plain).finish();
    player.expect(&flv::read(&clip));
    Client::play(server.host.address(), "live", "a").close();
}
