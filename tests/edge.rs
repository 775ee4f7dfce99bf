//! Edges and origins, in the process of the test, with exact frames: what is fetched for players, what is handed
//! on for publishers, who is let in by whose word, and what must not go round in a ring.

#![cfg(all(feature = "http", feature = "hls"))]

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use camrill::amf::Value;
use camrill::engine::{Action, Direction, Event, ForwardOptions, RelayInfo, RelayState, RetryPolicy};
use support::host::Host;
use support::http::{self, Connection};
use support::nginx::Nginx;
use support::relays::{ingest_by, news_of};
use support::rtmp_client::{Client, Media};

/// An engine that has its streams from `origins`.
fn edge(origins: &[&Host], more: &str) -> Host {
    let origins: Vec<_> = origins.iter().map(|origin| origin.address().to_string()).collect();
    edge_of(&origins, more)
}

fn edge_of(origins: &[String], more: &str) -> Host {
    Host::start(&edge_config(origins, more))
}

fn edge_config(origins: &[String], more: &str) -> String {
    let origins = origins.join(" ");
    format!(
        "http_server {{ enabled on; listen 127.0.0.1:0; page off; dir \"\"; }}
        vhost __defaultVhost__ {{
            http_remux {{ enabled on; }}
            hls {{ enabled on; hls_path \"\"; hls_fragment 1; }}
            cluster {{ mode remote; origin {origins}; {more} }}
        }}"
    )
}

/// A keyframe and what goes before it.
fn opening(ts: u32) -> [Media; 2] {
    [Media::video_header(ts, 1), Media::key(ts, 500)]
}

/// What makes segments behind it.
fn seconds() -> Vec<Media> {
    (1..=15).map(|i| Media::key(i * 200, 500)).collect()
}

/// A publisher of `live/STREAM` whose first frames are there.
fn published(host: &Host, stream: &str) -> Client {
    let mut publisher = host.publish(stream);
    publisher.send_all(&opening(0));
    publisher.sync();
    publisher
}

fn relays(host: &Host) -> Vec<RelayInfo> {
    host.run(|engine| engine.relays())
}

/// The next reason that a relay has failed of which has `word` in it.
#[track_caller]
fn failure(host: &Host, word: &str) -> String {
    news_of(host, |news| news.reason.contains(word).then_some(news.reason))
}

/// The answer to a publish or play: its code and description.
#[track_caller]
fn answer(client: &mut Client, command: &str, stream: &str) -> (String, String) {
    let id = client.create_stream().expect("a message stream");
    client.command(id, command, &[Value::Null, stream.into(), "live".into()]);
    loop {
        let values = client.command_from_server().expect("an answer");
        if values[0].as_str() != Some("onStatus") {
            continue;
        }
        let text =
            |name: &str| values[3].property(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let code = text("code");
        if code != "NetStream.Play.Reset" {
            return (code, text("description"));
        }
    }
}

/// Has a host judge clients, so many of them, by their parameters; answers it when it has.
fn judged(host: Host, clients: usize, may: fn(Action, &str) -> bool) -> JoinHandle<(Host, Vec<Action>)> {
    host.run(|engine| engine.ask(true));
    std::thread::spawn(move || {
        let mut asked = Vec::new();
        while asked.len() < clients {
            let admission = host.event(|event| match event {
                Event::Admission(admission) => Some(admission),
                _ => None,
            });
            let (ticket, action) = (admission.ticket, admission.action);
            let verdict = if action == Action::Connect || may(action, &admission.subject.param) {
                Ok(())
            } else {
                Err("no such token")
            };
            // The client may have gone meanwhile.
            let _ = host.run(move |engine| {
                let done = engine.reply(ticket, verdict);
                engine.flush();
                done
            });
            if action != Action::Connect {
                asked.push(action);
            }
        }
        (host, asked)
    })
}

#[test]
fn a_stream_is_fetched_once_for_all_who_play_it() {
    let origin = Host::start("");
    let edge = edge(&[&origin], "");
    let mut publisher = published(&origin, "s");
    let mut players: Vec<_> = (0..20).map(|_| edge.play("s")).collect();
    for player in &mut players {
        assert_eq!(player.medias(2), opening(0));
    }
    let next = Media::delta(40, 100);
    publisher.send(&next);
    for player in &mut players {
        assert_eq!(player.media(), Some(next.clone()));
    }
    assert_eq!((origin.stats().players, relays(&edge).len()), (1, 1));
    assert_eq!(relays(&edge)[0].url, format!("rtmp://{}/live/s", origin.address()));
    let mut last = players.pop().unwrap();
    players.into_iter().for_each(Client::close);
    publisher.send(&Media::delta(80, 100));
    assert_eq!(last.media(), Some(Media::delta(80, 100)));
    last.close();
    origin.until("the pull ends", |engine| engine.stats().players == 0);
    edge.until("it is gone", |engine| engine.relays().is_empty() && engine.stats().streams == 0);
}

#[test]
fn one_who_comes_before_the_stream_waits_for_it() {
    let origin = Host::start("");
    let edge = edge(&[&origin], "");
    let mut player = edge.play("s");
    origin.until("the edge waits too", |engine| engine.stats().players == 1);
    let _publisher = published(&origin, "s");
    assert_eq!(player.medias(2), opening(0));
}

#[test]
fn players_over_http_have_it_fetched_too() {
    let origin = Host::start(&edge_config(&[], "").replace("mode remote; origin ;", ""));
    for (more, scheme) in [("", "rtmp"), ("follow_client on;", "http"), ("protocol flv;", "http")] {
        let place = if scheme == "http" { origin.http() } else { origin.address() };
        let edge = edge_of(&[place.to_string()], more);
        let mut publisher = published(&origin, "s");
        publisher.send_all(&[Media::audio_header(0), Media::audio(0)]);
        publisher.sync();
        let mut player = Connection::open(edge.http());
        player.send("/live/s.flv");
        let (status, _) = player.head();
        assert_eq!(status, 200);
        let mut body = Vec::new();
        while body.len() < 500 {
            body.extend(player.take());
        }
        assert!(body.starts_with(b"FLV"));
        assert!(relays(&edge)[0].url.starts_with(scheme), "{:?}", relays(&edge));
        // The playlist is waited for.
        let mut playlist = Connection::open(edge.http());
        playlist.send("/live/s.m3u8?k=v");
        edge.event(|event| matches!(event, Event::Play(subject) if subject.param == "k=v").then_some(()));
        publisher.send_all(&seconds());
        publisher.sync();
        let master = playlist.answer();
        assert_eq!(master.status, 200, "{}", master.text());
        let uri = master.text().lines().find(|line| line.contains("hls_ctx=")).map(str::to_owned);
        let media =
            http::get(edge.http(), &format!("/live/{}", uri.expect("a session").trim_start_matches('/')));
        assert!(media.text().contains("#EXTINF:1."), "{}", media.text());
        publisher.close();
        origin.until("the stream ends", |engine| engine.stats().publishers == 0);
    }
}

#[test]
fn hls_alone_has_a_stream_fetched() {
    let origin = Host::start("");
    for ctx in ["on", "off"] {
        let config = edge_config(&[origin.address().to_string()], "");
        let edge =
            Host::start(&config.replace("hls_fragment 1;", &format!("hls_fragment 1; hls_ctx {ctx};")));
        let mut publisher = origin.publish("s");
        let mut playlist = Connection::open(edge.http());
        playlist.send("/live/s.m3u8");
        origin.until("the edge fetches it", |engine| engine.stats().players == 1);
        publisher.send_all(&opening(0));
        publisher.send_all(&seconds());
        publisher.sync();
        let answer = playlist.answer();
        assert_eq!(answer.status, 200, "{}", answer.text());
        if ctx == "on" {
            // Its player is the last one to go.
            let player = edge.event(|event| match event {
                Event::Play(subject) => Some(subject.client),
                _ => None,
            });
            edge.run(move |engine| engine.kick(player)).unwrap();
            origin.until("the pull ends", |engine| engine.stats().players == 0);
        }
        publisher.close();
        origin.until("the stream ends", |engine| engine.stats().publishers == 0);
    }
}

#[test]
fn a_playlist_that_never_comes_leaves_nothing() {
    let origin = Host::start("");
    let edge = edge(&[&origin], "");
    let mut playlist = Connection::open(edge.http());
    playlist.send("/live/never.m3u8");
    let player = edge.event(|event| match event {
        Event::Play(subject) => Some(subject.client),
        _ => None,
    });
    origin.until("the edge fetches it", |engine| engine.stats().players == 1);
    edge.run(move |engine| engine.kick(player)).unwrap();
    let answer = playlist.answer();
    assert_eq!(answer.status, 404, "{}", answer.text());
    edge.until("the pull ends", |engine| engine.relays().is_empty());
}

#[test]
fn the_next_origin_takes_over_when_one_stalls() {
    let (a, b) = (Host::start(""), Host::start(""));
    let edge = edge(&[&a, &b], "");
    let mut stalls = published(&a, "s");
    let mut goes_on = published(&b, "s");
    let mut player = edge.play("s");
    assert_eq!(player.medias(2), opening(0));
    for ts in 1..50 {
        stalls.send(&Media::delta(ts * 20, 100));
    }
    let mut came = player.medias(49);
    // Nothing more comes from the first.
    let running = news_of(&edge, |news| {
        let is_other = news.url.contains(&b.address().to_string()) && news.state == RelayState::Running;
        is_other.then_some(news.direction)
    });
    assert_eq!(running, Direction::Ingest);
    let last = Media::delta(20, 77);
    goes_on.send(&last);
    came.extend(std::iter::from_fn(|| player.media()).take_while(|media| media.2 != last.2));
    let times: Vec<_> = came.iter().map(|media| media.1).collect();
    assert!(times.is_sorted(), "{times:?}");
    // What depends on another comes behind a keyframe of the same origin.
    let behind = came.iter().skip(49).find(|media| media.is_video() && !media.is_video_header());
    assert!(behind.is_some_and(Media::is_key), "{came:?}");
    assert_eq!(edge.stats().publishers, 1);
    // The publisher of the first is still there, and the edge no longer.
    assert_eq!((a.stats().publishers, a.stats().players), (1, 0));
}

#[test]
fn the_origin_judges_each_player_where_it_is_asked_to() {
    let origin = Host::start("");
    let _publisher = published(&origin, "s");
    let edge = edge(&[&origin], "token_traverse on;");
    // A check for each, and the pull.
    let judge = judged(origin, 4, |_, param| param == "token=good");
    let mut refused = Client::connect(edge.address(), "live");
    let (code, why) = answer(&mut refused, "play", "s?token=bad");
    assert_eq!((code.as_str(), why.as_str()), ("NetStream.Play.Failed", "no such token"));
    let mut first = Client::connect(edge.address(), "live");
    assert_eq!(answer(&mut first, "play", "s?token=good").0, "NetStream.Play.Start");
    assert_eq!(first.medias(2), opening(0));
    let mut player = Connection::open(edge.http());
    player.send("/live/s.flv?token=bad");
    let (status, _) = player.head();
    assert_eq!(status, 403);
    let (origin, asked) = judge.join().expect("the origin judges");
    assert_eq!(asked, [Action::Play; 4]);
    origin.until("the checks have ended", |engine| engine.stats().players == 1);
}

#[test]
fn without_an_origin_to_ask_nobody_is_let_in() {
    let nobody = format!("127.0.0.1:{}", support::free_port());
    let edge = edge_of(&[nobody], "token_traverse on;");
    let mut player = Client::connect(edge.address(), "live");
    let (code, why) = answer(&mut player, "play", "s");
    assert_eq!(code, "NetStream.Play.Failed");
    assert!(why.starts_with("no origin lets it play: connecting to"), "{why}");
    let mut publisher = Client::connect(edge.address(), "live");
    let (code, why) = answer(&mut publisher, "publish", "s");
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(why.starts_with("no origin can be reached: connecting to"), "{why}");
    edge.until("nothing is left", |engine| engine.relays().is_empty());
}

#[test]
fn a_publish_goes_through_the_edge_and_is_judged_by_the_origin() {
    let origin = Host::start("");
    let edge = edge(&[&origin], "");
    // Who waits at the edge gets it from there.
    let mut near = edge.play("s");
    let mut far = origin.play("s");
    let mut publisher = published(&edge, "s");
    assert_eq!(near.medias(2), opening(0));
    assert_eq!(far.medias(2), opening(0));
    assert_eq!((edge.stats().players, origin.stats().players), (1, 1));
    // The origin says no to a second one, whichever edge it comes through.
    let other = self::edge(&[&origin], "");
    for host in [&edge, &other] {
        let mut second = Client::connect(host.address(), "live");
        let refused = ("NetStream.Publish.BadName".to_owned(), "The stream is being published.".to_owned());
        assert_eq!(answer(&mut second, "publish", "s"), refused);
    }
    assert!(relays(&other).is_empty());
    publisher.send(&Media::delta(40, 50));
    assert_eq!((near.media(), far.media()), (Some(Media::delta(40, 50)), Some(Media::delta(40, 50))));
    // The end goes the same way; who waits at the edge has the next one fetched.
    publisher.close();
    origin.until("the publish ends", |engine| engine.stats().publishers == 0);
    let mut publisher = origin.publish("s");
    publisher.send_all(&[Media::video_header(0, 2), Media::key(0, 60)]);
    publisher.sync();
    assert!(near.media().is_some_and(|media| media.is_video_header()));
}

#[test]
fn a_publisher_brings_its_token_to_the_origin() {
    let edge;
    let judge = {
        let origin = Host::start("");
        edge = self::edge(&[&origin], "");
        judged(origin, 2, |action, param| action == Action::Publish && param == "token=good")
    };
    let mut refused = Client::connect(edge.address(), "live");
    let (code, why) = answer(&mut refused, "publish", "s?token=bad");
    assert_eq!((code.as_str(), why.as_str()), ("NetStream.Publish.BadName", "no such token"));
    let mut publisher = Client::connect(edge.address(), "live");
    assert_eq!(answer(&mut publisher, "publish", "s?token=good").0, "NetStream.Publish.Start");
    let (origin, asked) = judge.join().expect("the origin judges");
    assert_eq!(asked, [Action::Publish; 2]);
    assert_eq!(origin.stats().publishers, 1);
}

#[test]
fn a_publish_outlives_its_origin() {
    let (a, b) = (Host::start(""), Host::start(""));
    let edge = edge(&[&a, &b], "");
    let mut publisher = published(&edge, "s");
    let mut near = edge.play("s");
    a.until("it is published there", |engine| engine.stats().publishers == 1);
    drop(a);
    b.until("it goes to the next origin", |engine| engine.stats().publishers == 1);
    let mut far = b.play("s");
    let key = Media::key(100, 300);
    publisher.send(&key);
    assert_eq!(near.until(&key).len(), 3);
    assert!(std::iter::from_fn(|| far.media()).any(|media| media.2 == key.2));
    assert_eq!(edge.stats().publishers, 1);
}

#[test]
fn one_who_goes_while_the_origin_thinks_leaves_nothing() {
    let origin = Host::start("");
    origin.run(|engine| engine.ask(true));
    let edge = edge(&[&origin], "token_traverse on;");
    for command in ["publish", "play"] {
        let mut client = Client::connect(edge.address(), "live");
        let id = client.create_stream().expect("a message stream");
        client.command(id, command, &[Value::Null, "s".into()]);
        // It gets no further than to connect, which the origin says nothing to.
        origin.event(|event| matches!(event, Event::Admission(_)).then_some(()));
        drop(client);
        origin.until("the edge has gone too", |engine| engine.stats().connections == 0);
        edge.until("nothing is left", |engine| {
            engine.relays().is_empty() && engine.stats().connections == 0 && engine.stats().streams == 0
        });
    }
}

#[test]
fn nginx_is_an_origin_too() {
    let nginx = Nginx::start("");
    let url = nginx.url("s");
    let place = url.trim_start_matches("rtmp://").trim_end_matches("/live/s").to_owned();
    let (near, far) = (edge_of(std::slice::from_ref(&place), ""), edge_of(&[place], "token_traverse on;"));
    let mut publisher = published(&near, "s");
    // One that nginx knows already.
    let mut second = Client::connect(far.address(), "live");
    assert_eq!(answer(&mut second, "publish", "s").0, "NetStream.Publish.BadName");
    let mut player = far.play("s");
    nginx.wait_play("s", 2);
    let mut came = Vec::new();
    for ts in (40..).step_by(40) {
        publisher.send(&Media::key(ts, 300));
        publisher.sync();
        if let Some(Some(message)) = player.receive_within(Duration::from_millis(20)) {
            came.push(message.payload);
        }
        if came.iter().any(|body| body.starts_with(&[0x17, 1])) {
            break;
        }
    }
    assert_eq!(relays(&near).len() + relays(&far).len(), 2);
}

/// So many edges, each of which has the next one for its origin.
fn ring(edges: usize, more: &str) -> Vec<Host> {
    let ports: Vec<_> = (0..edges).map(|_| support::free_port()).collect();
    let start = |i: usize| {
        let origin = format!("127.0.0.1:{}", ports[(i + 1) % edges]);
        let config = edge_config(&[origin], more);
        Host::start_with(&format!("listen 127.0.0.1:{}; {config}", ports[i]), |_| ())
    };
    (0..edges).map(start).collect()
}

#[test]
fn edges_that_stand_in_a_ring_are_refused() {
    for count in [2, 3] {
        let hosts = ring(count, "");
        let _player = hosts[0].play("s");
        let why = failure(&hosts[count - 1], "a ring");
        assert_eq!(
            why,
            "the server refuses play: NetStream.Play.Failed (a ring: this stream comes from here)"
        );
        // A publish is answered along the whole way.
        let mut publisher = Client::connect(hosts[0].address(), "live");
        let refused =
            ("NetStream.Publish.BadName".to_owned(), "a ring: this stream comes from here".to_owned());
        assert_eq!(answer(&mut publisher, "publish", "t"), refused);
        let hosts = ring(count, "token_traverse on;");
        let mut player = Client::connect(hosts[0].address(), "live");
        let refused = ("NetStream.Play.Failed".to_owned(), "a ring: this stream comes from here".to_owned());
        assert_eq!(answer(&mut player, "play", "s"), refused);
    }
}

#[test]
fn an_edge_of_itself_is_refused_without_a_connection() {
    let hosts = ring(1, "");
    let _player = hosts[0].play("s");
    assert_eq!(failure(&hosts[0], "a ring"), "a ring: this stream comes from here");
    assert_eq!(hosts[0].stats().connections, 1);
    let mut publisher = Client::connect(hosts[0].address(), "live");
    let (_, why) = answer(&mut publisher, "publish", "t");
    assert_eq!(why, "a ring: this stream comes from here");
}

#[test]
fn ingests_and_forwards_close_no_ring_either() {
    let (a, b) =
        (Host::start(""), Host::start("vhost __defaultVhost__ { publish { on_conflict replace; } }"));
    let url = |host: &Host, stream: &str| format!("rtmp://{}/live/{stream}", host.address());
    // Of oneself, plainly and by another name of the machine's.
    ingest_by(&a, "own", url(&a, "own"), RetryPolicy::default());
    assert_eq!(failure(&a, "a ring"), "a ring: this stream comes from here");
    let wait = relays(&a)[0].next;
    assert!(wait > Duration::from_secs(6), "{wait:?}");
    // Two of each other.
    ingest_by(&a, "x", url(&b, "x"), RetryPolicy::default());
    b.until("it waits there", |engine| engine.stats().players == 1);
    ingest_by(&b, "x", url(&a, "x"), RetryPolicy::default());
    assert!(failure(&b, "a ring").contains("this stream comes from here"));
    // What is fetched from a server is not sent back to it.
    let _publisher = published(&b, "y");
    ingest_by(&a, "z", url(&b, "y"), RetryPolicy::default());
    a.until("it is fetched", |engine| engine.stats().publishers == 1);
    let options = ForwardOptions {
        vhost: String::new(),
        app: "live".into(),
        stream: "z".into(),
        url: url(&b, "y"),
        retry: RetryPolicy::default(),
    };
    a.run(move |engine| engine.forward_open(&options)).expect("a forward");
    assert!(failure(&a, "refuses publish").contains("a ring: this stream comes from here"));
    assert_eq!(b.stats().publishers, 1);
}

#[test]
fn http_tells_a_ring_by_its_status() {
    let (a, b) = (support::free_port(), support::free_port());
    let host = |own: u16, other: u16| {
        let config = edge_config(&[format!("127.0.0.1:{other}")], "protocol flv;");
        Host::start(&config.replacen("127.0.0.1:0", &format!("127.0.0.1:{own}"), 1))
    };
    let hosts = [host(a, b), host(b, a)];
    let _player = hosts[0].play("s");
    let why = failure(&hosts[1], "a ring");
    assert_eq!(why, format!("a ring: http://127.0.0.1:{a}/live/s.flv says that the stream comes from here"));
}

#[test]
fn a_reload_makes_an_edge_of_another_origin() {
    let (a, b) = (Host::start(""), Host::start(""));
    let (_first, _second) = (published(&a, "s"), published(&b, "s"));
    let edge = edge(&[&a], "");
    let mut player = edge.play("s");
    assert_eq!(player.medias(2), opening(0));
    let origin = b.address().to_string();
    edge.run(move |engine| {
        engine.config_mut().set("vhost/__defaultVhost__/cluster/origin", &origin).unwrap();
        engine.apply().unwrap();
    });
    b.until("it is fetched there", |engine| engine.stats().players == 1);
    a.until("and no longer here", |engine| engine.stats().players == 0);
    assert!(player.media().is_some_and(|media| media.is_video_header()));
    edge.run(|engine| {
        engine.config_mut().set("vhost/__defaultVhost__/cluster/mode", "local").unwrap();
        engine.apply().unwrap();
    });
    b.until("nor there", |engine| engine.stats().players == 0);
    // What is published and played already counts when it becomes an edge again.
    let _publisher = published(&edge, "own");
    edge.run(|engine| {
        engine.config_mut().set("vhost/__defaultVhost__/cluster/mode", "remote").unwrap();
        engine.apply().unwrap();
    });
    b.until("both are there", |engine| (engine.stats().players, engine.stats().publishers) == (1, 2));
}

#[test]
fn origins_send_players_to_the_one_that_has_the_stream() {
    let ports: Vec<_> = (0..3).map(|_| support::free_port()).collect();
    let origin = |i: usize| {
        let coworkers: Vec<_> =
            (0..3).filter(|j| *j != i).map(|j| format!("127.0.0.1:{}", ports[j])).collect();
        Host::start(&format!(
            "http_api {{ enabled on; listen 127.0.0.1:{}; }} http_server {{ enabled on; listen 127.0.0.1:0; }}
            vhost __defaultVhost__ {{
                http_remux {{ enabled on; }}
                cluster {{ origin_cluster on; coworkers {}; }}
            }}",
            ports[i],
            coworkers.join(" ")
        ))
    };
    let origins: Vec<_> = (0..3).map(origin).collect();
    // Without the stream at any of them one waits where one is.
    let mut waits = origins[0].play("later");
    let _later = published(&origins[0], "later");
    assert_eq!(waits.medias(2), opening(0));
    let _publisher = published(&origins[2], "s");
    let mut player = Client::connect(origins[0].address(), "live");
    let id = player.create_stream().expect("a message stream");
    player.command(id, "play", &[Value::Null, "s?token=x".into()]);
    let status = loop {
        let values = player.command_from_server().expect("an answer");
        if values[0].as_str() == Some("onStatus") {
            break values[3].clone();
        }
    };
    let ex = status.property("ex").expect("where to");
    let there = origins[2].address();
    assert_eq!(status.property("code"), Some(&"NetConnection.Connect.Rejected".into()));
    assert_eq!(ex.property("code"), Some(&302.0.into()));
    assert_eq!(ex.property("redirect"), Some(&format!("rtmp://{there}/live").into()));
    assert_eq!(ex.property("redirect2"), Some(&format!("rtmp://{there}/live/s?token=x").into()));
    player.wait_closed();
    // Over HTTP with HTTP's own.
    let web = |host: &Host| {
        let role = |role| matches!(role, camrill::engine::Role::Http { server: true, .. });
        host.run(move |engine| engine.addresses_of(role)[0])
    };
    let moved = http::get(web(&origins[0]), "/live/s.flv?token=x");
    assert_eq!(moved.status, 302);
    assert_eq!(
        moved.header("Location"),
        Some(format!("http://{}/live/s.flv?token=x", web(&origins[2])).as_str())
    );
    // Ingests and edges go where they are sent.
    let edge = edge(&[&origins[0]], "token_traverse on;");
    assert_eq!(edge.play("s").medias(2), opening(0));
    let pulled = Host::start("");
    ingest_by(&pulled, "s", format!("rtmp://{}/live/s", origins[1].address()), RetryPolicy::default());
    assert_eq!(pulled.play("s").medias(2), opening(0));
    // The API answers as SRS's does.
    let path = "/api/v1/clusters?vhost=__defaultVhost__&ip=1.2.3.4&app=live&stream=s&coworker=a.b:99";
    let api = |i: usize| http::get(([127, 0, 0, 1], ports[i]).into(), path).text();
    let query = r#""data":{"query":{"ip":"1.2.3.4","vhost":"__defaultVhost__","app":"live","stream":"s"},"#;
    assert!(api(0).contains(&format!("{query}\"origin\":null")), "{}", api(0));
    let (rtmp, http_port, own) = (there.port(), web(&origins[2]).port(), ports[2]);
    let origin = format!(
        r#""origin":{{"ip":"a.b","port":{rtmp},"http_port":{http_port},"vhost":"__defaultVhost__","api":"a.b:{own}","routers":["a.b:{own}"]}}"#
    );
    assert!(api(2).contains(&format!("{query}{origin}")), "{}", api(2));
}

#[test]
fn nobody_is_asked_for_a_player_who_has_gone() {
    let coworkers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [first, second] = coworkers.each_ref().map(|coworker| coworker.local_addr().expect("an address"));
    let host = Host::start(&format!(
        "vhost __defaultVhost__ {{ cluster {{ origin_cluster on; coworkers {first} {second}; }} }}"
    ));
    let mut player = Client::connect(host.address(), "live");
    let id = player.create_stream().expect("a message stream");
    player.command(id, "play", &[Value::Null, "s".into()]);
    let (mut asked, _) = coworkers[0].accept().expect("the first one is asked");
    player.close();
    host.until("the player is gone", |engine| engine.stats().connections == 1);
    asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").expect("an answer");
    host.until("it has answered", |engine| engine.stats().connections == 0);
    // Whoever was to be asked next would be by now.
    (0..3).for_each(|_| host.run(|_| ()));
    coworkers[1].set_nonblocking(true).expect("a socket option");
    assert_eq!(coworkers[1].accept().expect_err("nobody asks").kind(), ErrorKind::WouldBlock);
}
