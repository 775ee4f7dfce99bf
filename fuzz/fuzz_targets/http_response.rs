//! The client's HTTP session under a virtual clock, and the URLs that it comes by. The input begins with how
//! the rest is cut, what is asked bit by bit, and how the clock goes.

#![no_main]

use std::time::Duration;

use camrill::http::Method;
use camrill::http::client::{Error, Limits, Output, Request, ResponseHead, Session, Url};
use camrill::time::Time;
use camrill_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [how, words, clock, bytes @ ..] = data else { return };
    let cut = run(*how, *words, *clock, bytes);
    if *clock == 0 {
        // How it is cut changes nothing.
        assert_eq!(cut, run(0, *words, 0, bytes));
    }
    let text = String::from_utf8_lossy(bytes);
    let base = Url::parse("http://a/b/c?d").expect("a URL");
    for url in [Url::parse(&text), base.join(&text)].into_iter().flatten() {
        assert!(url.target().starts_with('/') && url.target().bytes().all(|b| b.is_ascii_graphic()));
        let again = Url::parse(&url.to_string()).expect("what was written");
        assert_eq!(again.to_string(), url.to_string());
        assert!(again.has_same_origin(&url));
    }
});

/// Heads and bodies, how many were whole, and how it ended.
type Outcome = (Vec<(ResponseHead, Vec<u8>)>, usize, Option<Error>);

fn run(how: u8, words: u8, clock: u8, bytes: &[u8]) -> Outcome {
    let method = if words & 1 == 0 { Method::Get } else { Method::Head };
    let body_bytes = if words & 2 == 0 { u64::MAX } else { 100 };
    let url = Url::parse("http://u:p@a.b/live/x?y").expect("a URL");
    let request = Request { method, ..Request::get(&url) };
    let mut session = Session::new(Limits { body_bytes, ..Limits::default() });
    let (mut answers, mut whole, mut now) = (Vec::new(), 0, Time::ZERO);
    assert!(session.request(now, &request));
    let mut error = drain(&mut session, &mut answers, &mut whole, Ok(()));
    for mut piece in pieces(how, bytes) {
        if error.is_some() {
            break;
        }
        now = now + Duration::from_millis(u64::from(clock) * 16);
        let result = session.handle_timeout(now).and_then(|()| session.handle_input(now, &mut piece));
        error = drain(&mut session, &mut answers, &mut whole, result);
    }
    if error.is_none() {
        let result = session.handle_end();
        error = drain(&mut session, &mut answers, &mut whole, result);
        assert_eq!(session.poll_output(), Output::Close);
    }
    (answers, whole, error)
}

fn drain(
    session: &mut Session,
    answers: &mut Vec<(ResponseHead, Vec<u8>)>,
    whole: &mut usize,
    result: Result<(), Error>,
) -> Option<Error> {
    loop {
        match session.poll_output() {
            Output::Transmit(bytes) => assert!(bytes.ends_with(b"\r\n\r\n")),
            Output::Head(head) => {
                assert_eq!(answers.len(), *whole);
                assert!(head.status >= 200);
                answers.push((*head, Vec::new()));
            }
            Output::Body(bytes) => {
                assert!(!bytes.is_empty() && answers.len() == *whole + 1);
                answers.last_mut().expect("a head").1.extend_from_slice(&bytes);
            }
            Output::End => *whole += 1,
            Output::Close => {
                assert!(!session.is_idle());
                return result.err();
            }
            Output::Timeout(at) => {
                assert!(result.is_ok() && at == session.timeout());
                return None;
            }
        }
    }
}
