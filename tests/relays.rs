//! Streams from one engine to the next: ingests and forwards, in the process of the test, with exact frames.

mod support;

use std::time::Duration;

use camrill::engine::{Event, IngestOptions, RelayState};
use camrill::error::Result;
use support::host::Host;
use support::relays::{expected, forward_by, forward_options, ingest_options, opening, policy, relay, until};
use support::rtmp_client::Media;

fn forward(from: &Host, stream: &str, url: String) -> u32 {
    forward_by(from, stream, url, policy())
}

fn ingest(to: &Host, stream: &str, inputs: &[String], on_demand: Option<Duration>) -> u32 {
    try_ingest(to, stream, inputs, on_demand).expect("an ingest")
}

fn try_forward(from: &Host, stream: &str, url: String) -> Result<u32> {
    let options = forward_options(stream, url, policy());
    from.run(move |engine| engine.forward_open(&options))
}

fn try_ingest(to: &Host, stream: &str, inputs: &[String], on_demand: Option<Duration>) -> Result<u32> {
    let options = IngestOptions { on_demand, ..ingest_options(stream, inputs, policy()) };
    to.run(move |engine| engine.ingest_open(&options))
}

fn url(host: &Host, stream: &str) -> String {
    format!("rtmp://{}/live/{stream}", host.address())
}

#[test]
fn a_stream_is_sent_on_and_pulled_in_to_the_byte() {
    let (a, b, c) = (Host::start(""), Host::start(""), Host::start(""));
    let forwarded = forward(&a, "a", url(&b, "b"));
    ingest(&c, "c", &[url(&b, "b")], None);
    let mut player = c.play("c");
    let mut publisher = a.publish("a");
    let sent = opening(5000, 700);
    publisher.send_all(&sent);
    publisher.sync();
    let news = until(&a, RelayState::Running);
    assert_eq!((news.id, news.url), (forwarded, format!("rtmp://{}/live/b", b.address())));
    assert_eq!(player.medias(sent.len()), expected(&sent));
    let last = Media::key(1000, 100);
    publisher.send(&last);
    assert_eq!(player.media(), Some(last));
    assert_eq!(relay(&a, forwarded).starts, 1);
    // The end goes the same way, and what comes next too.
    publisher.close();
    b.until("the forward ends its publish", |engine| engine.stats().publishers == 0);
    let mut publisher = a.publish("a");
    publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 50)]);
    publisher.sync();
    until(&a, RelayState::Running);
    assert!(player.media().is_some_and(|media| media.is_video_header()));
}

#[test]
fn an_ingest_goes_to_the_next_server_when_one_fails() {
    let (a, b, edge) = (Host::start(""), Host::start(""), Host::start(""));
    let mut publishers = [a.publish("s"), b.publish("s")];
    for publisher in &mut publishers {
        publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 50)]);
        publisher.sync();
    }
    let refused = support::free_port();
    let inputs = [format!("rtmp://127.0.0.1:{refused}/live/s"), url(&a, "s"), url(&b, "s")];
    let id = ingest(&edge, "s", &inputs, None);
    let mut player = edge.play("s");
    assert_eq!(player.medias(2), [Media::video_header(0, 1), Media::key(0, 50)]);
    drop(a);
    edge.until("it runs again", move |engine| {
        engine.relays().iter().any(|relay| relay.id == id && relay.starts == 2)
    });
    let next = Media::delta(40, 60);
    publishers[1].send(&next);
    let came: Vec<_> = std::iter::from_fn(|| player.media()).take_while(|media| media.2 != next.2).collect();
    // What the server has in its cache; the pictures go on with a keyframe.
    assert!(came.iter().all(|media| media.is_video_header() || media.is_key()), "{came:?}");
    assert!(!edge.events().iter().any(|event| matches!(event, Event::Unpublished(_))));
}

#[test]
fn an_ingest_on_demand_runs_while_somebody_watches() {
    let (origin, edge) = (Host::start(""), Host::start(""));
    let mut publisher = origin.publish("s");
    publisher.send_all(&[Media::video_header(0, 1), Media::key(0, 50)]);
    publisher.sync();
    let id = ingest(&edge, "s", &[url(&origin, "s")], Some(Duration::from_millis(1)));
    assert_eq!(relay(&edge, id).state, RelayState::Idle);
    for round in 1..=2 {
        let mut player = edge.play("s");
        assert!(player.media().is_some());
        assert_eq!(relay(&edge, id).starts, round);
        player.close();
        until(&edge, RelayState::Idle);
        origin.until("the pull ends", |engine| engine.stats().players == 0);
    }
}

#[test]
fn secrets_are_said_to_nobody() {
    let logs = support::logs::install();
    let refused = support::free_port();
    let place = |what: &str| format!("{what}://u:secret@127.0.0.1:{refused}/live/s?key=secret");
    let (rtmp, http) = (place("rtmp"), place("http"));
    let ingest = |name: &str, url: &str| {
        format!("ingest {name} {{ enabled on; input {{ type stream; url \"{url}\"; }} }} ")
    };
    let blocks = [
        ingest("a", &rtmp),
        ingest("b", &http),
        format!("forward {{ enabled on; destination \"{rtmp}\"; backend \"{http}\"; }}"),
    ];
    let host = Host::start(&format!("vhost __defaultVhost__ {{ {} }}", blocks.concat()));
    let mut publisher = host.publish("s");
    publisher.send_all(&opening(5000, 700));
    host.until("all have failed", |engine| {
        let relays = engine.relays();
        relays.len() == 3 && relays.iter().all(|relay| relay.failures > 0)
    });
    let relays = host.run(|engine| engine.relays());
    assert!(relays.iter().all(|relay| relay.url.ends_with("/live/s")), "{relays:?}");
    let mut said = vec![format!("{relays:?}")];
    for url in ["rtmp://u:secret@h:70000/a/b?key=secret", "srt://u:secret@h/a?key=secret"] {
        said.push(try_forward(&host, "s", url.into()).expect_err("no URL").to_string());
        said.push(try_ingest(&host, "c", &[url.into()], None).expect_err("no URL").to_string());
    }
    host.run(|engine| {
        engine.config_mut().load_text("t", "listen 127.0.0.1:0;").expect("a sound configuration");
        engine.apply().expect("a configuration that can be applied");
    });
    logs.wait_of(host.thread(), &format!("ingest b of http://127.0.0.1:{refused}/live/s stopped"));
    said.extend(host.events().iter().map(|event| format!("{event:?}")));
    assert_eq!(said.iter().find(|text| text.contains("secret")), None);
    assert_eq!(logs.count_of(host.thread(), "secret"), 0);
    assert_eq!(
        &said[1..5],
        [
            "forward to \"rtmp://***@h:70000/a/b?***\": the URL's port is not a number from 1 to 65535",
            "ingest of \"rtmp://***@h:70000/a/b?***\": the URL's port is not a number from 1 to 65535",
            "forward to \"srt://***@h/a?***\": the URL's scheme is not rtmp:// or rtmps://",
            "ingest of \"srt://***@h/a?***\": rtmp[s]:// or http[s]:// was expected",
        ]
    );
}

#[test]
fn an_ingest_takes_no_stream_back() {
    let (origin, host) =
        (Host::start(""), Host::start("vhost __defaultVhost__ { publish { on_conflict replace; } }"));
    let opening = [Media::video_header(0, 1), Media::key(0, 50)];
    let mut source = origin.publish("s");
    source.send_all(&opening);
    let id = ingest(&host, "s", &[url(&origin, "s")], None);
    until(&host, RelayState::Running);
    let mut publisher = host.publish("s");
    for _ in 0..3 {
        until(&host, RelayState::Waiting);
    }
    assert_eq!(relay(&host, id).reason, "__defaultVhost__/live/s is being published");
    publisher.send_all(&opening);
    publisher.sync();
    publisher.close();
    until(&host, RelayState::Running);
    assert_eq!(relay(&host, id).starts, 2);
}

#[test]
fn what_fails_for_long_is_said_less_and_less_often() {
    let logs = support::logs::install();
    let host = Host::start("");
    let place = format!("127.0.0.1:{}", support::free_port());
    let id = ingest(&host, "s", &[format!("rtmp://{place}/a/b"), format!("rtmp://{place}/c/d")], None);
    host.until("nine failures", move |engine| {
        let is_enough = engine.relay(id).is_some_and(|relay| relay.failures == 9);
        is_enough && engine.ingest_close(id).is_ok()
    });
    for end in ["trying again in", "trying the next server"] {
        assert_eq!(logs.count_of(host.thread(), end), 4, "{end}: the first, second, fourth and eighth");
    }
}
