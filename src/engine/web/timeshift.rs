//! Time shift over HTTP: `/[app]/[stream].m3u8?start=T1&end=T2` is a playlist of what was recorded then, in
//! seconds since 1970, and `/[app]/[stream]/dvr/…` are the recordings that it names.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::Engine;
use super::super::conn::Wish;
use super::super::disk::timeshift::{self, Shifted};
use super::super::disk::{Job, Outcome};
use super::super::jobs::Purpose;
use super::{Source, unix_time, vhost_of};
use crate::config::{Dvr, Vhost};
use crate::dvr::{Names, Span};
use crate::http::{Method, Request, Response, mime};
use crate::rtmp::url::StreamName;
use crate::time::Time;
use crate::wire::limits::{TIMESHIFT_SCANS, TIMESHIFT_SECONDS};

/// What stands between a stream and its recordings in a URL.
const FOLDER: &str = "/dvr/";
/// What is not a letter, a digit or one of these is encoded in a URI.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// The latest time that can be asked for, in seconds since 1970: the year 9999's end.
const LATEST_S: f64 = 253_402_300_799.0;

/// What a player asks for.
#[derive(Debug)]
pub(in crate::engine) struct Shift {
    pub(in crate::engine) name: StreamName,
    span: Span,
}

impl Engine {
    /// Whether the path is a playlist's of recordings, or such a recording's.
    pub(super) fn time_shift(&mut self, now: Time, id: u32, request: &Request) -> bool {
        let asked = vhost_of(request);
        let Some(vhost) = self.settings.vhost(&asked) else { return false };
        let Some(dvr) = vhost.dvr.as_ref().filter(|dvr| dvr.timeshift) else { return false };
        let path = request.path.strip_prefix('/').unwrap_or_default();
        if let Some(found) = recording(vhost, dvr, path) {
            self.send_file(now, id, request, &found);
            return true;
        }
        let playlist = path.strip_suffix(".m3u8").and_then(|path| path.rsplit_once('/'));
        let (Some((app, stream)), Some(start)) = (playlist, request.query_value("start")) else {
            return false;
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            self.answer_text(id, 405, "a playlist is there to GET");
            return true;
        }
        match span(&start, request.query_value("end").as_deref()) {
            Ok(span) => {
                let (app, stream, param) = (app.to_owned(), stream.to_owned(), request.query.clone());
                let name = StreamName { vhost: asked, app, stream, param };
                self.wish(now, id, Wish::Shift(Box::new(Shift { name, span })));
            }
            Err(why) => self.answer_text(id, 400, why),
        }
        true
    }

    /// A player may see what was recorded: the disk's thread looks for it.
    pub(in crate::engine) fn grant_shift(&mut self, id: u32, shift: &Shift) {
        let vhost = self.settings.vhost(&shift.name.vhost);
        let Some((vhost, dvr)) = vhost.and_then(|vhost| Some((vhost, vhost.dvr.as_ref()?))) else {
            self.answer_text(id, 404, "the vhost is no longer recorded");
            return;
        };
        let Some(names) = names(vhost, dvr, &shift.name.app, &shift.name.stream) else {
            self.answer_text(id, 404, "only MP4 files of a dvr_path with [stream] in it are served");
            return;
        };
        if self.jobs.iter().filter(|(_, p)| matches!(p, Purpose::Shift(_))).count() >= TIMESHIFT_SCANS {
            self.answer_text(id, 503, "too many playlists of recordings are being made");
            return;
        }
        let prefix = format!("{}{FOLDER}", shift.name.stream);
        // The vhost may be known from the query alone.
        let plain = |pair: &&str| pair.bytes().all(|b| b.is_ascii_alphanumeric() || b"=.-_%:".contains(&b));
        let query = shift.name.param.split('&').find(|pair| pair.starts_with("vhost=")).filter(plain);
        let query = query.map_or(String::new(), |pair| format!("?{pair}"));
        let uri = move |name: &str| {
            let encoded = |text| utf8_percent_encode(text, ENCODED);
            format!("{}{}{query}", encoded(&prefix), encoded(name))
        };
        let task = timeshift::task(names, shift.span, uri);
        if self.submit(Purpose::Shift(id), |id| Job::Run { id, task }).is_err() {
            self.answer_text(id, 503, "the disk is busy");
            return;
        }
        self.give(id, Source::Waiting);
    }

    /// The disk's thread has looked for what a connection waits for.
    pub(in crate::engine) fn on_shifted(&mut self, now: Time, id: u32, outcome: Outcome) {
        let Some(conn) = self.conns.find_mut(id).filter(|conn| !conn.dead) else { return };
        let Some(web) = conn.session.web().filter(|web| matches!(web.source, Source::Waiting)) else {
            return;
        };
        web.source = Source::None;
        let shifted = match outcome {
            Outcome::Ran(answer) => answer.downcast::<Shifted>().ok(),
            _ => None,
        };
        match shifted.map(|shifted| *shifted) {
            Some(Shifted::Playlist(text)) => {
                let mut response = Response::with_body(200, mime::M3U8, Bytes::from(text));
                response.headers.push("Cache-Control", "max-age=1");
                self.respond(now, id, response);
            }
            Some(Shifted::Nothing) => self.answer_text(id, 404, "nothing was recorded then"),
            Some(Shifted::TooMany) => {
                self.answer_text(id, 503, "there are more recordings than are looked through");
            }
            None => self.answer_text(id, 500, "the recordings cannot be looked through"),
        }
        self.drain(now, id);
        self.queue(id);
    }
}

/// The times that are asked for, as they stand in the query. Without an end: up to now.
fn span(start: &str, end: Option<&str>) -> Result<Span, &'static str> {
    let us = |text: &str| {
        let seconds: f64 = text.parse().ok()?;
        // In this range it has no more digits than an integer of µs.
        (0.0..=LATEST_S).contains(&seconds).then_some((seconds * 1e6) as i64)
    };
    let now_us = i64::try_from(unix_time().unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
    let start_us = us(start).ok_or("start is a time in seconds since 1970")?;
    let end_us = match end.filter(|end| !end.is_empty()) {
        Some(end) => us(end).ok_or("end is a time in seconds since 1970")?,
        None => now_us.max(start_us),
    };
    if end_us < start_us {
        return Err("the end is before the start");
    }
    if end_us.saturating_sub(start_us) > TIMESHIFT_SECONDS.saturating_mul(1_000_000) {
        return Err("no more than a day can be asked for at once");
    }
    Ok(Span { start_us, end_us, is_over: end_us <= now_us })
}

/// The recording that a path means, links resolved: none but files of the stream that the path names.
fn recording(vhost: &Vhost, dvr: &Dvr, path: &str) -> Option<PathBuf> {
    // An app may have several levels, and one of them may be called like the folder.
    let find = |(at, _)| {
        let (stream, file) = (path.get(..at)?, path.get(at.checked_add(FOLDER.len())?..)?);
        let (app, stream) = stream.rsplit_once('/')?;
        let names = names(vhost, dvr, app, stream)?;
        names.find(file)?;
        let root = fs::canonicalize(names.root()).ok()?;
        let found = fs::canonicalize(Path::new(&root).join(file)).ok()?;
        (found.starts_with(&root) && found.is_file()).then_some(found)
    };
    path.match_indices(FOLDER).find_map(find)
}

/// What a stream's recordings are called, where they can be told from others'.
fn names(vhost: &Vhost, dvr: &Dvr, app: &str, stream: &str) -> Option<Names> {
    if !dvr.path.ends_with(".mp4") || !dvr.path.contains("[stream]") {
        return None;
    }
    Names::of_stream(&dvr.path, &vhost.name, app, stream).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_fractions() {
        let at = |start: &str, end: Option<&str>| span(start, end).map(|s| (s.start_us, s.end_us, s.is_over));
        assert_eq!(at("1000.5", Some("1002.000001")), Ok((1_000_500_000, 1_002_000_001, true)));
        assert_eq!(at("0", Some("0")), Ok((0, 0, true)));
        let now = unix_time().unwrap().as_secs();
        let (_, end, is_over) = at(&(now - 5).to_string(), None).unwrap();
        assert!(is_over && (end / 1_000_000).abs_diff(now as i64) <= 1);
        assert!(!at(&now.to_string(), Some(&(now + 60).to_string())).unwrap().2);
        assert!(at("5", None).is_err(), "more than a day");
        for (start, end) in [
            ("", None),
            ("x", None),
            ("-1", None),
            ("NaN", Some("1")),
            ("inf", None),
            ("1e300", None),
            ("5", Some("4")),
            ("5", Some("x")),
            ("0", Some("86400.1")),
        ] {
            assert!(at(start, end).is_err(), "{start} {end:?}");
        }
    }
}
