//! What the host is told, asks and decides.

use camrill::engine::{Action, Admission};
use camrill::error::Code;

use super::support::rtmp_client::code;
use super::*;

fn asking() -> Host {
    Host::start_with("listen 127.0.0.1:0;", |engine| engine.ask(true))
}

fn admission(host: &Host) -> Admission {
    host.event(|event| match event {
        Event::Admission(admission) => Some(admission),
        _ => None,
    })
}

fn reply(host: &Host, ticket: u32, verdict: Result<(), &'static str>) {
    host.run(move |engine| engine.reply(ticket, verdict)).expect("a ticket that is open");
}

#[test]
fn the_host_decides_later() {
    let host = asking();
    let address = host.address();
    let client = std::thread::spawn(move || {
        let mut p = Client::publish(address, "live", "a?token=x");
        p.send(&Media::key(0, 9));
        let mut q = Client::play(address, "live", "a");
        assert_eq!(q.media(), Some(Media::key(0, 9)));
        (p, q)
    });
    let connect = admission(&host);
    assert_eq!((connect.action, connect.tc_url.as_str()), (Action::Connect, "rtmp://127.0.0.1/live"));
    assert_eq!(connect.subject.name.vhost, "__defaultVhost__");
    assert_eq!((connect.subject.name.app.as_str(), connect.subject.name.stream.as_str()), ("live", ""));
    reply(&host, connect.ticket, Ok(()));
    let publish = admission(&host);
    assert_eq!((publish.action, publish.subject.param.as_str()), (Action::Publish, "token=x"));
    assert_eq!(publish.subject.name.stream, "a");
    assert_eq!(publish.subject.client, connect.subject.client);
    assert_eq!(host.stats().publishers, 0);
    reply(&host, publish.ticket, Ok(()));
    for action in [Action::Connect, Action::Play] {
        let asked = admission(&host);
        assert_eq!(asked.action, action);
        reply(&host, asked.ticket, Ok(()));
    }
    client.join().unwrap();
}

#[test]
fn the_host_refuses() {
    let host = asking();
    for refused in [Action::Connect, Action::Publish, Action::Play] {
        let address = host.address();
        let client = std::thread::spawn(move || {
            let mut c = Client::open(address);
            let answer = c.connect_command("h", "live").map(|info| code(&info));
            let told = match refused {
                Action::Connect => answer,
                Action::Publish => c.publish_as("a"),
                Action::Play => c.play_as("a"),
            };
            c.wait_closed();
            told
        });
        loop {
            let asked = admission(&host);
            if asked.action == refused {
                reply(&host, asked.ticket, Err("not you"));
                let again = host.run(move |engine| engine.reply(asked.ticket, Ok(())));
                assert_eq!(again.unwrap_err().code(), Code::NotFound);
                break;
            }
            reply(&host, asked.ticket, Ok(()));
        }
        let expected = match refused {
            Action::Connect => "NetConnection.Connect.Rejected",
            Action::Publish => "NetStream.Publish.BadName",
            Action::Play => "NetStream.Play.Failed",
        };
        assert_eq!(client.join().unwrap().as_deref(), Some(expected));
    }
    host.until("all are gone", |engine| engine.stats().connections == 0);
    assert_eq!(host.stats().streams, 0);
}

#[test]
fn a_client_that_goes_before_the_answer_takes_its_ticket_along() {
    let host = asking();
    let mut c = Client::open(host.address());
    c.command(0, "connect", &[camrill::amf::Value::Object(vec![("app".into(), "live".into())])]);
    let asked = admission(&host);
    drop(c);
    host.until("it is gone", |engine| engine.stats().connections == 0);
    let late = host.run(move |engine| engine.reply(asked.ticket, Ok(())));
    assert_eq!(late.unwrap_err().code(), Code::NotFound);
}

#[test]
fn the_host_throws_a_client_out() {
    let host = Host::start("");
    let mut p = publisher(&host);
    let mut q = host.play("a");
    let id = host.run(|engine| playing(engine).id);
    host.run(move |engine| engine.kick(id)).unwrap();
    q.wait_closed();
    assert_eq!(host.event(closed), "kicked by the host");
    let again = host.run(move |engine| engine.kick(id));
    assert_eq!(again.unwrap_err().code(), Code::NotFound);
    p.send(&Media::key(0, 9));
    p.sync();
    assert_eq!(host.stats().players, 0);
}

#[test]
fn the_host_is_told_in_order() {
    let host = Host::start("");
    let p = publisher(&host);
    let q = host.play("a");
    let (from_p, from_q) = (p.socket.local_addr().unwrap(), q.socket.local_addr().unwrap());
    q.close();
    p.close();
    host.until("both are gone", |engine| engine.stats().connections == 0);
    host.stats();
    let told: Vec<_> = host
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Connected(s) => ("connected", s),
            Event::Closed(s, why) => {
                assert_eq!(why, "closed by the peer");
                ("closed", s)
            }
            Event::Published(s) => ("published", s),
            Event::Unpublished(s) => ("unpublished", s),
            Event::Play(s) => ("play", s),
            Event::Stop(s) => ("stop", s),
            other => panic!("{other:?}"),
        })
        .collect();
    let names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    let expected = ["connected", "published", "connected", "play", "stop", "closed", "unpublished", "closed"];
    assert_eq!(names, expected);
    let addresses: Vec<_> = told.iter().map(|(_, s)| s.address.unwrap()).collect();
    assert_eq!(addresses, [from_p, from_p, from_q, from_q, from_q, from_q, from_p, from_p]);
    for (name, subject) in &told {
        assert_eq!(subject.name.vhost, "__defaultVhost__", "{name}");
        assert_eq!(subject.name.app, "live", "{name}");
        assert_eq!(subject.stream != 0, ["published", "unpublished", "play", "stop"].contains(name));
    }
}

#[test]
fn the_host_asks_what_there_is() {
    let host = Host::start("");
    let mut p = host.publish("a");
    let sps: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x03, 0xe9, 0x00,
        0x00, 0xea, 0x60, 0x0f, 0x16, 0x2e, 0x48,
    ];
    let record = camrill::codec::avcc::build(&[sps], &[&[0x68, 0xce]]).unwrap();
    p.send(&Media(9, 0, [&[0x17, 0, 0, 0, 0], &record[..]].concat().into()));
    p.send(&Media::audio_header(0));
    p.send(&Media::delta(0, 9));
    p.send_all(&gop(0, 3, 1000));
    p.send_all(&[Media::audio(1), Media::audio(24)]);
    p.sync();
    let mut q = host.play("a");
    q.until(&Media::audio(24));
    let idle = Client::connect_to(host.address(), "cam.example", "other");

    let (stats, streams, clients) = host.run(|e| (e.stats(), e.streams(), e.clients()));
    assert_eq!((stats.connections, stats.accepted, stats.refused), (3, 3, 0));
    assert_eq!((stats.streams, stats.publishers, stats.players), (1, 1, 1));
    assert!(stats.received > 4000 + 3 * 3073 && stats.sent > 4000 + 3 * 3073);
    assert!(stats.media_bytes > 8000 && stats.uptime_us > 0);

    let [stream] = streams.as_slice() else { panic!("{streams:?}") };
    assert_eq!(stream.name.to_string(), "__defaultVhost__/live/a");
    assert!(stream.published && stream.publisher != 0 && stream.players == 1);
    let video = stream.video.unwrap();
    assert_eq!((video.width, video.height, video.profile, video.level), (640, 360, 66, 30));
    let audio = stream.audio.unwrap();
    assert_eq!((audio.sample_rate, audio.channels), (44_100, 2));
    assert_eq!((stream.audio_frames, stream.dropped), (2, 1));
    assert!(stream.video_frames >= 4 && stream.received > 4000 && stream.live_us > 0);
    assert_eq!(stream.held, stats.media_bytes);
    let id = stream.id;
    assert_eq!(host.run(move |e| e.stream(id).map(|s| s.name)), Some(stream.name.clone()));

    assert_eq!(clients.len(), 3);
    let of = |socket: &std::net::TcpStream| {
        let address = socket.local_addr().unwrap();
        clients.iter().find(|client| client.address == address).unwrap()
    };
    let (a, b, c) = (of(&p.socket), of(&q.socket), of(&idle.socket));
    assert_eq!([a.doing, b.doing, c.doing], [Doing::Publishing, Doing::Playing, Doing::Idle]);
    assert_eq!([a.stream, b.stream, c.stream], [id, id, 0]);
    assert_eq!(a.id, stream.publisher);
    assert_eq!(c.name.to_string(), "__defaultVhost__/other/");
    assert!(a.received > 4000 && b.sent > 4000 && b.skips == 0 && b.alive_us > 0);
    let gone = a.id;
    p.close();
    host.until("it is gone", move |engine| engine.client(gone).is_none());
    let streams = host.run(|e| e.streams());
    assert!(!streams[0].published && streams[0].publisher == 0 && streams[0].live_us == 0);
}

#[test]
fn other_threads_stop_and_call() {
    let host = Host::start("");
    let remote = host.remote().clone();
    let (tell, told) = std::sync::mpsc::channel();
    remote.call(Box::new(move || tell.send(7).unwrap())).unwrap();
    let calls = host.run(|engine| {
        let calls = engine.take_calls();
        let n = calls.len();
        calls.into_iter().for_each(|call| call());
        n
    });
    assert_eq!((calls, told.recv().unwrap()), (1, 7));
    remote.stop().unwrap();
    assert!(host.run(|engine| engine.take_stop()));
    assert!(!host.run(|engine| engine.take_stop()));
    drop(host);
    let _ = remote.wake();
}
