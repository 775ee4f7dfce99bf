//! Both ends of our TLS against each other, over a socket.

#[path = "../../../tests/support/certificates.rs"]
mod certificates;

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mio::net::TcpStream;

use super::*;
use crate::config::{Config, Settings};
use crate::engine::link::{Layer, Link};
use certificates::{Authority, Pair, self_signed};

/// A folder with a pair in it, and the server that these are of.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("camrill-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, pair: &Pair) {
        std::fs::write(self.0.join("key.pem"), &pair.key).unwrap();
        std::fs::write(self.0.join("cert.pem"), &pair.cert).unwrap();
    }

    fn server(&self) -> TlsServer {
        let place = self.0.display();
        settings(&format!("rtmps {{ enabled on; key {place}/key.pem; cert {place}/cert.pem; }}"))
            .rtmps
            .unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(text: &str) -> Settings {
    let mut config = Config::new();
    config.load_text("t", text).unwrap();
    Settings::from_config(&config).unwrap().0
}

/// One that is somebody, and one that trusts.
fn both(pair: &Pair, roots: &str) -> (Tls, Tls) {
    let (mut server, mut client) = (Tls::new(), Tls::new());
    server.set_certificate(Some((pair.cert.as_bytes(), pair.key.as_bytes()))).unwrap();
    client.set_roots(Some(roots.as_bytes())).unwrap();
    (server, client)
}

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

/// A server's link and a client's to `host`, connected.
fn links(server: &mut Tls, client: &mut Tls, host: &str) -> (Link, Link) {
    let unused = settings("rtmps { enabled on; }").rtmps.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let link = |socket: std::net::TcpStream, channel| {
        socket.set_nonblocking(true).unwrap();
        Link::new(TcpStream::from_std(socket), Layer::secure(channel))
    };
    (link(far, server.server(at(0), &unused).unwrap()), link(near, client.client(host).unwrap()))
}

/// Has both go on until neither waits; the errors with which they ended.
fn shake(server: &mut Link, client: &mut Link) -> (Option<String>, Option<String>) {
    let mut ends = (None, None);
    let step = |link: &mut Link, end: &mut Option<String>| {
        match link.flush() {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) if end.is_none() => *end = Some(e.to_string()),
            _ => {}
        }
        link.is_ready()
    };
    for _ in 0..100_000 {
        let done = step(server, &mut ends.0) & step(client, &mut ends.1);
        if done {
            // In TLS 1.3 a client may be done before the server has refused it.
            break;
        }
        std::thread::yield_now();
    }
    ends
}

fn refusal(pair: &Pair, roots: &str, host: &str) -> String {
    let (mut server, mut client) = both(pair, roots);
    let (mut s, mut c) = links(&mut server, &mut client, host);
    let (server_end, client_end) = shake(&mut s, &mut c);
    assert!(server_end.is_some(), "the server is told");
    client_end.expect("the client refuses")
}

#[test]
fn a_trusted_name_or_address_is_connected_and_others_are_not() {
    let authority = Authority::new();
    let good = authority.pair(&["camera.example", "*.cams.example", "127.0.0.1", "::1"]);
    for host in ["camera.example", "a.cams.example", "127.0.0.1", "::1", "[::1]"] {
        let (mut server, mut client) = both(&good, &authority.pem);
        let (mut s, mut c) = links(&mut server, &mut client, host);
        assert_eq!(shake(&mut s, &mut c), (None, None), "{host}");
        assert!(s.is_ready() && c.is_ready());
    }
    assert_eq!(
        refusal(&good, &authority.pem, "other.example"),
        "TLS: the certificate of other.example is not trusted: it is for camera.example, *.cams.example, 127.0.0.1, \
         0::1"
    );
    assert_eq!(
        refusal(&authority.expired(&["camera.example"]), &authority.pem, "camera.example"),
        "TLS: the certificate of camera.example has expired"
    );
    assert_eq!(
        refusal(&authority.early(&["camera.example"]), &authority.pem, "camera.example"),
        "TLS: the certificate of camera.example is not valid yet, by this machine's clock"
    );
    let unknown = "TLS: the certificate of camera.example is not trusted: nobody trusted has issued it";
    assert_eq!(refusal(&good, &Authority::new().pem, "camera.example"), unknown);
    assert_eq!(refusal(&self_signed(&["camera.example"]), &authority.pem, "camera.example"), unknown);
    let mut nobody = Tls::new();
    assert_eq!(nobody.client("no name").unwrap_err(), "\"no name\" is neither a name nor an address");
}

/// OpenSSL's server, which sends each line back to front.
#[test]
fn another_implementation_is_connected_to() {
    let authority = Authority::new();
    let folder = Folder::new("openssl");
    folder.write(&authority.pair(&["localhost"]));
    let mut client = Tls::new();
    client.set_roots(Some(authority.pem.as_bytes())).unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut server = Command::new("openssl")
            .args(["s_server", "-rev", "-accept", "127.0.0.1:0", version, "-cert"])
            .arg(folder.0.join("cert.pem"))
            .arg("-key")
            .arg(folder.0.join("key.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(io::Result::ok);
        let port = lines.into_iter().find_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok());
        let port: u16 = port.unwrap();
        let socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let layer = Layer::secure(client.client("localhost").unwrap());
        let mut link = Link::new(TcpStream::from_std(socket), layer);
        let mut soon = |call: &mut dyn FnMut(&mut Link) -> io::Result<usize>| loop {
            match call(&mut link) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                result => return result.unwrap(),
            }
        };
        assert_eq!(soon(&mut |link| link.send(b"camera\n")), 7);
        let (mut came, mut buffer) = (Vec::new(), [0; 64]);
        while came.len() < 7 {
            let n = soon(&mut |link| link.read(&mut buffer));
            came.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(came, b"aremac\n", "{version}");
        link.shutdown();
        server.kill().unwrap();
        server.wait().unwrap();
    }
}

#[test]
fn verification_may_be_turned_off() {
    let (mut server, mut client) = both(&self_signed(&["a.example"]), &Authority::new().pem);
    let off = settings("tls { verify off; }").tls;
    let prepared = client.prepare(&[], &off).unwrap();
    client.configure(prepared);
    let (mut s, mut c) = links(&mut server, &mut client, "b.example");
    assert_eq!(shake(&mut s, &mut c), (None, None));
}

#[test]
fn bytes_come_through_in_both_directions_and_goodbye_is_the_end() {
    let authority = Authority::new();
    let (mut server, mut client) = both(&authority.pair(&["a.example"]), &authority.pem);
    let (mut s, mut c) = links(&mut server, &mut client, "a.example");
    assert_eq!(shake(&mut s, &mut c), (None, None));
    let sent: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|n| (n / 251) as u8).collect();
    for (from, to) in [(true, false), (false, true)] {
        assert_ne!(from, to);
        let (from, to) = if from { (&mut s, &mut c) } else { (&mut c, &mut s) };
        let (mut taken, mut came, mut buffer) = (0, Vec::new(), vec![0; 64 * 1024]);
        let mut was_full = false;
        while came.len() < sent.len() {
            while taken < sent.len() {
                match from.send(&sent[taken..]) {
                    Ok(n) => taken += n,
                    Err(e) => {
                        assert_eq!(e.kind(), ErrorKind::WouldBlock);
                        was_full = true;
                        break;
                    }
                }
            }
            let flushed = from.flush();
            assert!(flushed.is_ok() || flushed.is_err_and(|e| e.kind() == ErrorKind::WouldBlock));
            match to.read(&mut buffer) {
                Ok(n) => came.extend_from_slice(&buffer[..n]),
                Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(came == sent && was_full);
    }
    s.shutdown();
    let mut buffer = [0; 8];
    loop {
        match c.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            end => {
                assert_eq!(end.unwrap(), 0);
                break;
            }
        }
    }
}

#[test]
fn whoever_speaks_no_tls_is_told_apart() {
    let authority = Authority::new();
    let (mut server, mut client) = both(&authority.pair(&["a.example"]), &authority.pem);
    for (said, expected) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "TLS: the peer speaks no TLS"),
        (b"\x03aaaaaaaaaaaaaaaaaaaa", "TLS: the peer speaks no TLS"),
        (b"", "TLS: the peer has closed the connection within the handshake"),
    ] {
        for is_server in [true, false] {
            let (s, c) = links(&mut server, &mut client, "a.example");
            let (mut ours, other) = if is_server { (s, c) } else { (c, s) };
            crate::engine::sys::send(other.socket(), said).unwrap();
            drop(other);
            let mut buffer = [0; 8];
            let error = loop {
                match ours.read(&mut buffer) {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    result => break result.unwrap_err(),
                }
            };
            // A socket that is closed while bytes are on their way to it says so by itself.
            let said = error.to_string();
            match said.strip_prefix("TLS: the connection is lost within the handshake: ") {
                None => assert_eq!(said, expected),
                Some(_) => assert!(!is_server, "{said}"),
            }
        }
    }
}

#[test]
fn files_are_taken_up_anew_and_a_broken_pair_is_not() {
    let authority = Authority::new();
    let folder = Folder::new("swap");
    let server = folder.server();
    let tls = Tls::new();
    let missing = tls.prepare(std::slice::from_ref(&server), &settings("").tls).unwrap_err();
    assert!(missing.message().starts_with("t:1: rtmps: cert "), "{missing}");
    assert!(missing.message().contains("No such file"), "{missing}");
    folder.write(&authority.pair(&["a.example"]));
    let mut identity = Identity::load(&tls.provider, &server).unwrap();
    let first = identity.current(at(0));
    assert!(Arc::ptr_eq(&first, &identity.current(at(5000))));
    // Within a second nobody looks.
    folder.write(&authority.pair(&["b.example", "longer.example"]));
    assert!(Arc::ptr_eq(&first, &identity.current(at(5999))));
    let second = identity.current(at(6000));
    assert!(!Arc::ptr_eq(&first, &second));
    // Half of a pair is none.
    std::fs::write(&server.key, authority.pair(&["c"]).key + "\n").unwrap();
    assert_eq!(
        load(&tls.provider, &server).unwrap_err(),
        format!("cert {} and key {}: the key is not the certificate's", server.cert, server.key)
    );
    assert!(Arc::ptr_eq(&second, &identity.current(at(8000))));
    folder.write(&authority.pair(&["c.example"]));
    assert!(!Arc::ptr_eq(&second, &identity.current(at(10_000))));
}

#[test]
fn what_is_no_certificate_or_key_is_refused() {
    let authority = Authority::new();
    let pair = authority.pair(&["a.example"]);
    let mut tls = Tls::new();
    for (cert, key, expected) in [
        ("", &pair.key[..], "there is no certificate: PEM is expected"),
        (&pair.cert, "", "the key is none: PEM of PKCS #8, PKCS #1 or SEC 1 is expected, without a password"),
        (&pair.cert, &authority.pair(&["b"]).key, "the key is not the certificate's"),
    ] {
        let error = tls.set_certificate(Some((cert.as_bytes(), key.as_bytes()))).unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Tls, expected));
    }
    assert!(tls.set_roots(Some(b"x")).is_err());
    let wrong = settings("tls { ca_file /dev/null; }").tls;
    assert_eq!(
        tls.prepare(&[], &wrong).unwrap_err().message(),
        "tls/ca_file /dev/null: there is no certificate: PEM is expected"
    );
}
