//! Ingests and forwards of an engine in the test's process: how they are begun, and what is told of them.

use std::time::Duration;

use camrill::amf::Value;
use camrill::engine::{Event, ForwardOptions, IngestOptions, RelayInfo, RelayNews, RelayState, RetryPolicy};

use super::host::Host;
use super::rtmp_client::{self, Media};

/// Tries again at once.
pub(crate) fn policy() -> RetryPolicy {
    let (first, longest) = (Duration::from_millis(20), Duration::from_millis(50));
    RetryPolicy { first, longest, ..RetryPolicy::default() }
}

/// `live/STREAM` is sent on.
pub(crate) fn forward_options(stream: &str, url: String, retry: RetryPolicy) -> ForwardOptions {
    ForwardOptions { vhost: String::new(), app: "live".into(), stream: stream.into(), url, retry }
}

/// Sends `live/STREAM` on, and answers the forward's id.
#[track_caller]
pub(crate) fn forward_by(from: &Host, stream: &str, url: String, retry: RetryPolicy) -> u32 {
    let options = forward_options(stream, url, retry);
    from.run(move |engine| engine.forward_open(&options)).expect("a forward")
}

/// `live/STREAM` is pulled in from these places.
pub(crate) fn ingest_options(stream: &str, inputs: &[String], retry: RetryPolicy) -> IngestOptions {
    IngestOptions {
        vhost: String::new(),
        app: "live".into(),
        stream: stream.into(),
        inputs: inputs.to_vec(),
        looped: false,
        on_demand: None,
        retry,
    }
}

/// Pulls `live/STREAM` in from one place, and answers the ingest's id.
#[track_caller]
pub(crate) fn ingest_by(to: &Host, stream: &str, url: impl Into<String>, retry: RetryPolicy) -> u32 {
    let options = ingest_options(stream, &[url.into()], retry);
    to.run(move |engine| engine.ingest_open(&options)).expect("an ingest")
}

/// What there is to say of one.
#[track_caller]
pub(crate) fn relay(host: &Host, id: u32) -> RelayInfo {
    host.run(move |engine| engine.relay(id)).expect("a relay")
}

/// The next state of one of them for which `pick` has an answer.
#[track_caller]
pub(crate) fn news_of<R>(host: &Host, mut pick: impl FnMut(RelayNews) -> Option<R>) -> R {
    host.event(|event| match event {
        Event::Relay(news) => pick(news),
        _ => None,
    })
}

/// Waits until one of them enters this state.
#[track_caller]
pub(crate) fn until(host: &Host, state: RelayState) -> RelayNews {
    news_of(host, |news| (news.state == state).then_some(news))
}

/// Metadata, headers, a keyframe of so many bytes, and frames behind it.
pub(crate) fn opening(key: usize, delta: usize) -> Vec<Media> {
    let mut all = vec![
        Media::metadata(&[("width", Value::Number(1280.0))]),
        Media::video_header(0, 1),
        Media::audio_header(0),
        Media::key(0, key),
    ];
    all.extend((1..50).map(|i| if i % 3 == 0 { Media::audio(i * 20) } else { Media::delta(i * 20, delta) }));
    all
}

/// What players get of that.
pub(crate) fn expected(all: &[Media]) -> Vec<Media> {
    let metadata = rtmp_client::metadata(&[("width", Value::Number(1280.0))]);
    let first = Media(all[0].0, 0, metadata);
    std::iter::once(first).chain(all[1..].iter().cloned()).collect()
}
