//! RTMPS and HTTPS to other servers: streams that go out and come in behind TLS, whom a server's certificate has
//! to convince, and what is said of servers that don't get that far.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use camrill::engine::{Engine, Event, RelayNews, RelayState, RetryPolicy, Role};
use support::backend::{Backend, Reply};
use support::certificates::{self, Pair, self_signed};
use support::certs::{Authority, Certificate};
use support::host::Host;
use support::logs;
use support::nginx::{Nginx, TlsFront};
use support::proxy::{Proxy, Way};
use support::relays::{expected, forward_by, ingest_by, news_of, opening, policy, relay};
use support::rtmp_client::{Client, Media};

const MS: Duration = Duration::from_millis(1);

/// What an engine that serves behind TLS is configured with, besides who it is.
fn serving(identity: &str) -> String {
    let https = format!("enabled on; listen 127.0.0.1:0; {identity}");
    format!(
        "listen 127.0.0.1:0; rtmps {{ {https} }}
         http_server {{ enabled on; listen 127.0.0.1:0; page off; dir \"\"; https {{ {https} }} }}
         vhost __defaultVhost__ {{ http_remux {{ enabled on; }} play {{ time_jitter off; }} }}"
    )
}

/// An engine that serves by a certificate in files.
fn server(certificate: &Certificate) -> Host {
    let (cert, key) = (certificate.certificate.display(), certificate.key.display());
    Host::start_with(&serving(&format!("cert {cert}; key {key};")), |_| ())
}

/// An engine that serves by a certificate in memory.
fn server_of(pair: &Pair) -> Host {
    Host::start_with(&serving(""), |engine| identify(engine, pair))
}

fn identify(engine: &mut Engine, pair: &Pair) {
    engine.set_certificate(Some((pair.cert.as_bytes(), pair.key.as_bytes()))).expect("a sound pair");
}

/// An engine that trusts whom an authority has signed for.
fn client(authority: &Authority, more: &str) -> Host {
    Host::start(&format!("tls {{ ca_file {}; }} {more}", authority.file().display()))
}

/// The same, from memory.
fn client_of(roots: &str, more: &str) -> Host {
    Host::start_with(&format!("listen 127.0.0.1:0; {more}"), |engine| trust(engine, roots))
}

fn trust(engine: &mut Engine, roots: &str) {
    engine.set_roots(Some(roots.as_bytes())).expect("sound roots");
}

fn port(host: &Host, wanted: fn(Role) -> bool) -> u16 {
    host.run(move |engine| engine.secure_addresses_of(wanted)[0].port())
}

fn rtmps(host: &Host, stream: &str) -> String {
    format!("rtmps://localhost:{}/live/{stream}", port(host, |role| role == Role::Rtmp))
}

fn https(host: &Host, stream: &str) -> String {
    format!("https://localhost:{}/live/{stream}.flv", port(host, |role| role != Role::Rtmp))
}

fn forward(from: &Host, stream: &str, url: String) -> u32 {
    forward_by(from, stream, url, policy())
}

fn ingest(to: &Host, stream: &str, url: String) -> u32 {
    ingest_by(to, stream, url, policy())
}

/// Waits until this relay enters this state.
#[track_caller]
fn until_of(host: &Host, id: u32, state: RelayState) -> RelayNews {
    news_of(host, |news| (news.id == id && news.state == state).then_some(news))
}

/// Waits until a relay has failed for this reason and waits to be tried again.
#[track_caller]
fn until_failed(host: &Host, id: u32, why: &str) {
    loop {
        let news = until_of(host, id, RelayState::Waiting);
        if news.reason == why {
            assert!((15 * MS..=63 * MS).contains(&news.next), "{news:?}");
            return;
        }
    }
}

#[track_caller]
fn published(host: &Host, stream: &str, media: &[Media]) -> Client {
    let mut publisher = host.publish(stream);
    send(&mut publisher, media);
    publisher
}

#[track_caller]
fn send(publisher: &mut Client, media: &[Media]) {
    publisher.send_all(media);
    publisher.sync();
}

// Servers that are who they say.

/// Out over RTMPS, and in again over RTMPS and HTTPS, however the server is trusted.
#[test]
fn streams_go_out_and_come_in_to_the_byte() {
    let authority = Authority::new();
    let middle = server(&authority.sign(&["localhost"]));
    let roots = std::fs::read_to_string(authority.file()).expect("the roots");
    let clients = [client(&authority, ""), client_of(&roots, ""), Host::start("tls { verify off; }")];
    for (n, near) in clients.iter().enumerate() {
        let place = format!("p{n}");
        let out = forward(near, "a", rtmps(&middle, &place));
        let ins = [("b", rtmps(&middle, &place)), ("c", https(&middle, &place))];
        let ids = ins.map(|(stream, url)| ingest(near, stream, url));
        let mut players = ["b", "c"].map(|stream| near.play(stream));
        let sent = opening(150_000, 7000);
        let mut publisher = published(near, "a", &sent);
        for player in &mut players {
            assert_eq!(player.medias(sent.len()), expected(&sent));
        }
        let last = Media::key(1000, 100);
        publisher.send(&last);
        for player in &mut players {
            assert_eq!(player.media(), Some(last.clone()));
        }
        for id in [out, ids[0], ids[1]] {
            let relay = relay(near, id);
            assert_eq!((relay.state, relay.starts, relay.failures), (RelayState::Running, 1, 0), "{relay:?}");
        }
        // The end goes the same way.
        publisher.close();
        middle.until("the forward ends its publish", |engine| engine.stats().publishers == 0);
    }
}

#[test]
fn nginx_behind_tls_takes_streams_and_gives_them() {
    let authority = Authority::new();
    let certificate = authority.sign(&["127.0.0.1"]);
    let near = client(&authority, "vhost __defaultVhost__ { play { time_jitter off; } }");
    for version in ["TLSv1.2", "TLSv1.3"] {
        let nginx = Nginx::start("");
        let front = TlsFront::start_with(&certificate, nginx.address(), &format!("ssl_protocols {version};"));
        let url = format!("rtmps://{}/live/s", front.address());
        let back = ingest(&near, "back", url.clone());
        nginx.wait_play("s", 1);
        let out = forward(&near, "out", url);
        let sent = opening(150_000, 7000);
        let _publisher = published(&near, "out", &sent);
        let mut player = near.play("back");
        let frames = |all: &[Media]| {
            let is_frame = |media: &&Media| media.is_video() && !media.is_video_header();
            all.iter().filter(is_frame).cloned().collect::<Vec<_>>()
        };
        let (sent, mut came) = (frames(&sent), Vec::new());
        while frames(&came).len() < sent.len() {
            came.extend(player.media());
        }
        assert_eq!(frames(&came), sent, "{version}");
        for id in [back, out] {
            near.run(move |engine| match id == back {
                true => engine.ingest_close(id),
                false => engine.forward_close(id),
            })
            .expect("a relay");
        }
        near.until("the stream has ended", |engine| engine.stats().publishers == 1);
    }
}

#[test]
fn an_edge_fetches_over_https() {
    let authority = Authority::new();
    let origin = server(&authority.sign(&["localhost"]));
    let port = port(&origin, |role| role != Role::Rtmp);
    let edge = client(
        &authority,
        &format!(
            "vhost __defaultVhost__ {{ play {{ time_jitter off; }}
                 cluster {{ mode remote; protocol https; origin localhost:{port}; }} }}"
        ),
    );
    let sent = opening(150_000, 7000);
    let _publisher = published(&origin, "s", &sent);
    assert_eq!(edge.play("s").medias(sent.len()), expected(&sent));
    let relays = edge.run(|engine| engine.relays());
    assert_eq!(relays[0].url, format!("https://localhost:{port}/live/s.flv"));
}

#[test]
fn a_backend_is_asked_over_https() {
    let logs = logs::install();
    let authority = Authority::new();
    let target = server(&authority.sign(&["localhost"]));
    let answer = format!(r#"{{"code":0,"data":{{"urls":["{}"]}}}}"#, rtmps(&target, "t"));
    let backend = Backend::start(move |_| Reply::json(answer.clone()));
    let front = TlsFront::start(&authority.sign(&["localhost"]), backend.address());
    let port = front.address().port();
    let vhost = format!(
        "vhost __defaultVhost__ {{ forward {{ enabled on; backend https://localhost:{port}/forward; }} }}"
    );
    let near = client(&authority, &vhost);
    let sent = opening(150_000, 7000);
    let mut player = target.play("t");
    let _publisher = published(&near, "s", &sent);
    assert_eq!(player.medias(sent.len()), expected(&sent));
    assert!(backend.wait(1, "/forward").text().contains(r#""action":"on_forward""#));
    // Whoever else answers there is not asked.
    let stranger = Authority::new();
    let wary = client(&stranger, &vhost);
    let _publisher = published(&wary, "s", &sent);
    logs.wait_of(
        wary.thread(),
        "asking the backend: TLS: the certificate of localhost is not trusted: nobody trusted has issued it",
    );
    assert_eq!(backend.requests().len(), 1);
}

// Servers that are not.

/// One server whose certificate is wrong in every way in turn, and then right.
#[test]
fn a_wrong_certificate_is_named_and_a_right_one_is_taken() {
    let (authority, stranger) = (certificates::Authority::new(), certificates::Authority::new());
    let names = &["localhost"];
    let unknown = "TLS: the certificate of localhost is not trusted: nobody trusted has issued it";
    let wrong = [
        (
            authority.pair(&["other.example", "127.0.0.1"]),
            "TLS: the certificate of localhost is not trusted: it is for other.example, 127.0.0.1",
        ),
        (authority.expired(names), "TLS: the certificate of localhost has expired"),
        (
            authority.early(names),
            "TLS: the certificate of localhost is not valid yet, by this machine's clock",
        ),
        (self_signed(names), unknown),
        (stranger.pair(names), unknown),
    ];
    let far = server_of(&wrong[0].0);
    let near = client_of(&authority.pem, "");
    let sent = opening(150_000, 7000);
    let _publishers = [published(&near, "out", &sent), published(&far, "in", &sent)];
    let relays = [
        forward(&near, "out", rtmps(&far, "out")),
        ingest(&near, "b", rtmps(&far, "in")),
        ingest(&near, "c", https(&far, "in")),
    ];
    for (pair, why) in wrong {
        far.run(move |engine| identify(engine, &pair));
        relays.iter().for_each(|id| until_failed(&near, *id, why));
    }
    let right = authority.pair(names);
    far.run(move |engine| identify(engine, &right));
    near.until("all run", |engine| engine.relays().iter().all(|relay| relay.state == RelayState::Running));
    for mut player in [far.play("out"), near.play("b"), near.play("c")] {
        assert_eq!(player.medias(sent.len()), expected(&sent));
    }
    assert!(relays.iter().all(|id| relay(&near, *id).failures >= 5));
}

#[test]
fn an_authority_that_is_trusted_at_last_is_enough() {
    let authority = certificates::Authority::new();
    let far = server_of(&authority.pair(&["localhost"]));
    let near = Host::start("");
    let _publisher = published(&near, "s", &opening(150_000, 7000));
    let id = forward(&near, "s", rtmps(&far, "s"));
    // The system trusts others, or nobody.
    let news = until_of(&near, id, RelayState::Waiting);
    let unknown = "TLS: the certificate of localhost is not trusted: nobody trusted has issued it";
    let is_right = |why: &str| why == unknown || why.starts_with("there are no trusted certificates: ");
    assert!(is_right(&news.reason), "{news:?}");
    near.run(move |engine| trust(engine, &authority.pem));
    until_of(&near, id, RelayState::Running);
    // It goes on when trust is withdrawn, but who is connected to anew is looked at anew.
    near.run(|engine| engine.set_roots(None).expect("none is fine"));
    assert_eq!(relay(&near, id).state, RelayState::Running);
    far.run(|engine| {
        let clients = engine.clients();
        clients.iter().for_each(|client| engine.kick(client.id).expect("a client"));
    });
    while !is_right(&until_of(&near, id, RelayState::Waiting).reason) {}
}

/// A policy that gives servers so long.
fn within(connect: Duration) -> RetryPolicy {
    RetryPolicy { connect, ..policy() }
}

/// How long a handshake went on that has been given up, in ms: what connecting took counts too.
#[track_caller]
fn handshake_ms(reason: &str) -> u64 {
    let ms = reason.strip_prefix("TLS: the handshake is not done after ");
    let ms = ms.and_then(|ms| ms.strip_suffix(" ms")?.parse().ok());
    ms.unwrap_or_else(|| panic!("another reason: {reason}"))
}

/// Both ways to a server: RTMPS out and HTTPS in, and what they fail of.
#[track_caller]
fn failures(near: &Host, address: SocketAddr) -> [String; 2] {
    let out = forward_by(near, "s", format!("rtmps://{address}/live/t"), within(500 * MS));
    let back = ingest_by(near, "t", format!("https://{address}/live/t.flv"), within(500 * MS));
    let reasons = [out, back].map(|id| {
        near.event(|event| match event {
            Event::Relay(news) if news.id == id && news.state == RelayState::Waiting => Some(news.reason),
            _ => None,
        })
    });
    near.run(move |engine| engine.forward_close(out).and(engine.ingest_close(back))).expect("relays");
    reasons
}

#[test]
fn servers_that_speak_no_tls_are_told_apart() {
    let near = Host::start("tls { verify off; }");
    let plain = Host::start("http_server { enabled on; listen 127.0.0.1:0; page off; }");
    let _publisher = published(&near, "s", &opening(150_000, 7000));
    let cut = "TLS: the peer has closed the connection within the handshake";
    assert_eq!(failures(&near, plain.address()), [cut; 2]);
    assert_eq!(failures(&near, plain.http()), ["TLS: the peer speaks no TLS"; 2]);
    // It waits for more of RTMP's handshake.
    let nginx = Nginx::start("");
    for reason in failures(&near, nginx.address()) {
        assert!((400..5000).contains(&handshake_ms(&reason)), "{reason}");
    }
    // And one that speaks none that is spoken today.
    let old = TlsFront::start_with(
        &Authority::new().sign(&["127.0.0.1"]),
        plain.address(),
        "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;",
    );
    assert_eq!(failures(&near, old.address()), ["TLS: the peer has ended it: ProtocolVersion"; 2]);
}

#[test]
fn a_handshake_that_does_not_get_on_is_given_up_in_time() {
    let authority = Authority::new();
    let far = server(&authority.sign(&["localhost", "127.0.0.1"]));
    let near = client(&authority, "");
    let _publisher = published(&near, "s", &opening(150_000, 7000));
    for wanted in [|role| role == Role::Rtmp, |role| role != Role::Rtmp] {
        let proxy = Proxy::start(([127, 0, 0, 1], port(&far, wanted)).into());
        // Nothing, and a byte now and then.
        for stalls in [true, false] {
            if stalls {
                proxy.stall();
            } else {
                proxy.throttle(Way::Down, Some(200));
                proxy.resume();
            }
            for reason in failures(&near, proxy.address()) {
                assert!((400..5000).contains(&handshake_ms(&reason)), "{reason}");
            }
        }
        assert!(proxy.counts().down > 0, "some of the server's answer came");
    }
    near.until("nothing is left of them", |engine| engine.stats().connections == 1);
}

#[test]
fn a_handshake_that_is_cut_is_done_again() {
    let authority = Authority::new();
    let far = server(&authority.sign(&["127.0.0.1"]));
    let near = client(&authority, "");
    let sent = opening(150_000, 7000);
    let _publisher = published(&near, "s", &sent);
    let proxy = Proxy::start(([127, 0, 0, 1], port(&far, |role| role == Role::Rtmp)).into());
    proxy.throttle(Way::Down, Some(1000));
    let id = forward(&near, "s", format!("rtmps://{}/live/t", proxy.address()));
    proxy.wait("a part of the server's answer", |counts| counts.down > 10);
    proxy.cut();
    let reason = until_of(&near, id, RelayState::Waiting).reason;
    let expected_reason =
        "TLS: the connection is lost within the handshake: Connection reset by peer (os error 104)";
    assert_eq!(reason, expected_reason);
    proxy.throttle(Way::Down, None);
    until_of(&near, id, RelayState::Running);
    assert_eq!(far.play("t").medias(sent.len()), expected(&sent));
    assert_eq!(relay(&near, id).failures, 1);
}

/// How long a server may take nothing counts from where it could take something.
#[test]
fn a_long_way_is_no_stall() {
    let authority = Authority::new();
    let far = server(&authority.sign(&["127.0.0.1"]));
    let near = client(&authority, "");
    // The way holds all of it.
    let sent = [Media::video_header(0, 1), Media::key(0, 1000)];
    let _publisher = published(&near, "s", &sent);
    let proxy = Proxy::start(([127, 0, 0, 1], port(&far, |role| role == Role::Rtmp)).into());
    proxy.delay(150 * MS);
    let retry = RetryPolicy { stall: 200 * MS, ..policy() };
    let id = forward_by(&near, "s", format!("rtmps://{}/live/t", proxy.address()), retry);
    let mut player = far.play("t");
    assert_eq!(player.medias(sent.len()), sent);
    assert_eq!((relay(&near, id).starts, relay(&near, id).reason.as_str()), (1, ""));
}

/// Headers, a keyframe, and frames behind it, from `ts` on.
fn gop(ts: u32) -> Vec<Media> {
    let first = [Media::video_header(ts, 1), Media::key(ts, 40_000)];
    first.into_iter().chain((1..25).map(|i| Media::delta(ts + i * 40, 40_000))).collect()
}

/// What a secure layer has in its hands when the socket is full is sent in the end, and nothing is torn.
#[test]
fn a_slow_server_gets_whole_gops() {
    let authority = Authority::new();
    let far = server(&authority.sign(&["127.0.0.1"]));
    let near = client(&authority, "vhost __defaultVhost__ { play { time_jitter off; queue_length 1; } }");
    let proxy = Proxy::start(([127, 0, 0, 1], port(&far, |role| role == Role::Rtmp)).into());
    let id = forward(&near, "s", format!("rtmps://{}/live/t", proxy.address()));
    let mut player = far.play("t");
    let mut sent = gop(0);
    let mut publisher = published(&near, "s", &sent);
    let mut came = player.medias(sent.len());
    proxy.stall();
    let mut most = 0;
    for n in 1..20 {
        let next = gop(n * 1000);
        send(&mut publisher, &next);
        sent.extend(next);
        most = most.max(near.stats().media_bytes);
    }
    // A second of the ring and its images.
    assert!(most < 3_000_000, "{most} bytes");
    proxy.resume();
    let end = [Media::video_header(30_000, 1), Media::key(30_000, 100)];
    send(&mut publisher, &end);
    sent.extend(end.clone());
    came.extend(player.until(&end[1]));
    assert!(came.len() < sent.len(), "some was left out");
    for (before, next) in came.iter().zip(&came[1..]) {
        let follows = next.1 <= before.1 + 40 || next.is_video_header();
        assert!(follows && next.1 >= before.1, "{next:?} behind {before:?}");
        assert!(sent.contains(before), "{before:?}");
    }
    let relay = relay(&near, id);
    assert!(relay.skips >= 1 && relay.starts == 1, "{relay:?}");
}
