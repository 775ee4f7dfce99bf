//! Handing events, questions and calls to the host: between turns, with nothing borrowed.

use std::time::Duration;

use super::convert::c_string;
use super::handle::camrill_engine_t;
use super::types::*;
use crate::engine::{Action, Admission, Event, Subject};
use crate::error::{Code, Result};

/// Rounds of events and replies after one turn; what is left has its time after the next.
const ROUNDS: usize = 4;

/// One turn and everything that the host is to know of it; answers how many callbacks ran.
pub(super) fn turn(handle: &camrill_engine_t, timeout: Option<Duration>) -> Result<i32> {
    // A callback of the turn before may have forked, and this be the child in its parent's run().
    handle.check()?;
    handle.with(|engine| engine.turn(timeout))?;
    let mut count = 0;
    // Each of these may be the host's last word: once it has freed the engine, nothing more is told to it.
    for call in handle.with(|engine| Ok(engine.take_calls()))? {
        if handle.is_freed() {
            return Ok(count);
        }
        call();
        count += 1;
    }
    for _ in 0..ROUNDS {
        let mut any = false;
        while !handle.is_freed()
            && let Some(event) = handle.with(|engine| Ok(engine.poll_event()))?
        {
            any = true;
            count += 1;
            deliver(handle, event)?;
        }
        if !any || handle.is_freed() {
            break;
        }
        // What callbacks asked for is done at once, which may bring more.
        handle.with(|engine| {
            engine.flush();
            Ok(())
        })?;
    }
    Ok(count)
}

fn deliver(handle: &camrill_engine_t, event: Event) -> Result<()> {
    let (kind, subject, reason) = match event {
        Event::Connected(subject) => (CAMRILL_EVENT_CONNECTED, subject, String::new()),
        Event::Closed(subject, reason) => (CAMRILL_EVENT_CLOSED, subject, reason),
        Event::Published(subject) => (CAMRILL_EVENT_PUBLISHED, subject, String::new()),
        Event::Unpublished(subject) => (CAMRILL_EVENT_UNPUBLISHED, subject, String::new()),
        Event::Play(subject) => (CAMRILL_EVENT_PLAY, subject, String::new()),
        Event::Stop(subject) => (CAMRILL_EVENT_STOP, subject, String::new()),
        #[cfg(feature = "hls")]
        Event::HlsFile { .. } | Event::HlsGone { .. } | Event::HlsEnded { .. } => {
            super::hls::deliver(handle, event);
            return Ok(());
        }
        #[cfg(feature = "dvr")]
        Event::Recording { .. } | Event::RecorderEnded { .. } => {
            super::recorder::deliver(handle, event);
            return Ok(());
        }
        #[cfg(feature = "dvr")]
        Event::RecorderFile { recorder, job } => return super::sink::deliver(handle, recorder, job),
        Event::Relay(news) => {
            super::relays::deliver(handle, &news);
            return Ok(());
        }
        Event::RelayGone { relay } => {
            handle.relays.end(relay);
            return Ok(());
        }
        Event::PlayerReady { player } => return super::player::deliver(handle, player),
        Event::PlayerEnded { player } => {
            handle.players.end(player);
            return Ok(());
        }
        Event::Resolve { ticket, host, port } => {
            if let Some(on_resolve) = handle.callbacks.on_resolve {
                let host = c_string(&host);
                // SAFETY: the host's function; the string outlives the call.
                unsafe { on_resolve(handle.callbacks.user, ticket, host.as_ptr(), port) };
            }
            return Ok(());
        }
        Event::Admission(admission) => return ask(handle, &admission),
        Event::NeedKeyframe { encoder } => {
            if let Some((callbacks, user)) = handle.publishers.find(encoder)
                && let Some(need_keyframe) = callbacks.need_keyframe
            {
                // SAFETY: the host's function, with its own pointer; user_free has not run, since the
                // entry was there.
                unsafe { need_keyframe(user) };
            }
            return Ok(());
        }
        Event::Rate { encoder, bits } => {
            if let Some((callbacks, user)) = handle.publishers.find(encoder)
                && let Some(rate_hint) = callbacks.rate_hint
            {
                // SAFETY: as for need_keyframe.
                unsafe { rate_hint(user, bits) };
            }
            return Ok(());
        }
        Event::EncoderEnded { encoder } => {
            handle.publishers.end(encoder);
            return Ok(());
        }
        #[cfg(feature = "http")]
        Event::HttpRequest(request) => {
            super::http::on_request(handle, &request);
            return Ok(());
        }
        #[cfg(feature = "http")]
        Event::HttpWritable { mount, ticket } => {
            super::http::on_writable(handle, mount, ticket);
            return Ok(());
        }
        #[cfg(feature = "http")]
        Event::HttpClosed { mount, ticket } => {
            super::http::on_closed(handle, mount, ticket);
            return Ok(());
        }
        #[cfg(feature = "http")]
        Event::Unmounted { mount } => {
            handle.mounts.end(mount);
            return Ok(());
        }
    };
    tell(handle, kind, &subject, &reason, &More::default());
    Ok(())
}

/// What only events of recordings, ingests and forwards say.
#[derive(Debug, Default)]
pub(super) struct More<'a> {
    pub(super) path: &'a str,
    pub(super) duration_us: i64,
    pub(super) bytes: u64,
    pub(super) relay: u32,
    pub(super) state: i32,
    pub(super) next_ms: u32,
    pub(super) url: &'a str,
}

/// Calls `on_event`.
pub(super) fn tell(handle: &camrill_engine_t, kind: i32, subject: &Subject, reason: &str, more: &More<'_>) {
    if let Some(on_event) = handle.callbacks.on_event {
        let text = Texts::new(subject);
        let (reason, path, url) = (c_string(reason), c_string(more.path), c_string(more.url));
        let event = camrill_event_t {
            struct_size: size_of::<camrill_event_t>() as u32,
            r#type: kind,
            client: subject.client,
            stream: subject.stream,
            vhost: text.vhost.as_ptr(),
            app: text.app.as_ptr(),
            name: text.name.as_ptr(),
            param: text.param.as_ptr(),
            address: text.address.as_ptr(),
            reason: reason.as_ptr(),
            path: path.as_ptr(),
            duration_us: more.duration_us,
            bytes: more.bytes,
            relay: more.relay,
            state: more.state,
            next_ms: more.next_ms,
            reserved: 0,
            url: url.as_ptr(),
        };
        // SAFETY: the host's function; the struct and its strings outlive the call.
        unsafe { on_event(handle.callbacks.user, &event) };
    }
}

fn ask(handle: &camrill_engine_t, admission: &Admission) -> Result<()> {
    let Some(on_admission) = handle.callbacks.on_admission else { return Ok(()) };
    let text = Texts::new(&admission.subject);
    let (tc_url, page_url) = (c_string(&admission.tc_url), c_string(&admission.page_url));
    let request = camrill_admission_t {
        struct_size: size_of::<camrill_admission_t>() as u32,
        action: match admission.action {
            Action::Connect => CAMRILL_ACTION_CONNECT,
            Action::Publish => CAMRILL_ACTION_PUBLISH,
            Action::Play => CAMRILL_ACTION_PLAY,
        },
        ticket: admission.ticket,
        client: admission.subject.client,
        vhost: text.vhost.as_ptr(),
        app: text.app.as_ptr(),
        name: text.name.as_ptr(),
        param: text.param.as_ptr(),
        address: text.address.as_ptr(),
        tc_url: tc_url.as_ptr(),
        page_url: page_url.as_ptr(),
    };
    // SAFETY: the host's function; the struct and its strings outlive the call.
    let verdict = unsafe { on_admission(handle.callbacks.user, &request) };
    let reply = match verdict {
        CAMRILL_PENDING => return Ok(()),
        CAMRILL_ALLOW => Ok(()),
        // Any other number is a defect of the host's: the safe answer is no.
        _ => Err("Refused by the host."),
    };
    // NotFound: the callback has answered already, by camrill_auth_reply() or a kick.
    match handle.with(|engine| engine.reply(admission.ticket, reply)) {
        Err(e) if e.code() == Code::NotFound => Ok(()),
        result => result,
    }
}

/// The strings of a subject as C has them.
struct Texts {
    vhost: std::ffi::CString,
    app: std::ffi::CString,
    name: std::ffi::CString,
    param: std::ffi::CString,
    address: std::ffi::CString,
}

impl Texts {
    fn new(subject: &Subject) -> Self {
        Self {
            vhost: c_string(&subject.name.vhost),
            app: c_string(&subject.name.app),
            name: c_string(&subject.name.stream),
            param: c_string(&subject.param),
            address: c_string(&subject.address.map(|a| a.to_string()).unwrap_or_default()),
        }
    }
}
