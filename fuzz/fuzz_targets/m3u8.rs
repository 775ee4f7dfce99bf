//! Playlists as they come, and a session that pulls a stream from a server that answers anything. The input
//! begins with how bodies are cut and which variants may be chosen; then come operations.

#![no_main]

use std::time::Duration;

use camrill::hls::client::{Error, Failure, Options, Output, Session};
use camrill::hls::m3u8::Playlist;
use camrill::media::Frame;
use camrill::time::Time;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [how, bandwidth, ops @ ..] = data else { return };
    match Playlist::parse(ops) {
        Ok(Playlist::Media(media)) => {
            assert!(media.segments.iter().all(|segment| !segment.uri.is_empty() && segment.duration_us >= 0));
            let last =
                media.segments.len().checked_sub(1).map(|n| media.media_sequence.saturating_add(n as u64));
            assert!(last.is_none_or(|last| last == u64::MAX || media.segment(last).is_some()));
        }
        Ok(Playlist::Master(master)) => assert!(!master.variants.is_empty()),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    // How bodies are cut changes nothing.
    assert_eq!(run(*how, *bandwidth, ops), run(0, *bandwidth, ops));
});

/// Frames and other things that were given out, and how it ended.
type Outcome = (Vec<Frame>, Vec<String>, Option<Result<(), Error>>);

fn run(how: u8, bandwidth: u8, mut ops: &[u8]) -> Outcome {
    let mut now = Time::ZERO;
    let mut session = Session::new(now, Options { bandwidth_max: bandwidth.into(), live: false });
    let mut outcome = Outcome::default();
    let mut under_way = Vec::new();
    let mut timeout = drain(&mut session, &mut outcome, &mut under_way);
    while let [op, rest @ ..] = ops
        && outcome.2.is_none()
    {
        ops = rest;
        let id = under_way.get(usize::from(op >> 3) % 2).copied();
        match (op & 7, id) {
            (0, Some(id)) => {
                let [high, low, rest @ ..] = ops else { break };
                let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
                let (body, rest) = rest.split_at(len);
                ops = rest;
                pieces(how, body).for_each(|piece| session.handle_body(now, id, piece));
            }
            (1, Some(id)) => {
                session.handle_end(now, id);
                under_way.retain(|other| *other != id);
            }
            (2 | 3, Some(id)) => {
                let failure = if op & 7 == 2 { Failure::Refused } else { Failure::Broken };
                session.handle_failure(now, id, failure("why".into()));
                under_way.retain(|other| *other != id);
            }
            (4, _) => {
                if let Some(at) = timeout {
                    now = now.max(at);
                    session.handle_timeout(now);
                }
            }
            (5, _) => session.handle_position(now, outcome.0.last().map_or(0, |frame| frame.dts)),
            (6, _) => {
                now = now + Duration::from_millis(u64::from(op >> 3) * 200);
                session.handle_timeout(now);
            }
            _ => {}
        }
        timeout = drain(&mut session, &mut outcome, &mut under_way);
        assert!(under_way.len() <= 2);
        assert!(outcome.2.is_some() || timeout.is_none_or(|at| at > now), "it is due, and not asked for");
    }
    outcome
}

fn drain(session: &mut Session, outcome: &mut Outcome, under_way: &mut Vec<u32>) -> Option<Time> {
    loop {
        let output = session.poll_output();
        let said = format!("{output:?}");
        match output {
            Output::Fetch(fetch) => {
                assert!(fetch.range.is_none_or(|range| range.start < range.end));
                under_way.push(fetch.id);
                outcome.1.push(said);
            }
            Output::Cancel(id) => {
                assert!(under_way.contains(&id));
                under_way.retain(|other| *other != id);
                outcome.1.push(said);
            }
            Output::Frame(frame) => {
                assert!(!frame.payload.is_empty());
                outcome.0.push(frame);
            }
            Output::LeftOut { .. } => outcome.1.push(said),
            Output::End => {
                assert_eq!(session.poll_output(), Output::End);
                outcome.2 = Some(Ok(()));
                return None;
            }
            Output::Failed(e) => {
                assert_eq!(session.poll_output(), Output::Failed(e.clone()));
                outcome.2 = Some(Err(e));
                return None;
            }
            Output::Timeout(at) => return at,
        }
    }
}
