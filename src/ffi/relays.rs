//! Ingests and forwards from C: the host's own, and what there is to know of all.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};
use std::time::Duration;

use super::control::put_ids;
use super::convert::{array, c_string, sized32, text, write};
use super::dispatch::{self, More};
use super::feed::names;
use super::handle::{call, camrill_engine_t};
use super::owned::{self, Handle, Owned, on};
use super::types::*;
use crate::engine::{
    Direction, Engine, ForwardOptions, INPUTS_MAX, IngestOptions, RelayInfo, RelayNews, RelayState,
    RetryPolicy, Subject,
};
use crate::error::{Code, Error, Result};

/// How long an ingest on demand goes on after its last viewer where the host names no time.
const LINGER: Duration = Duration::from_secs(10);

/// An ingest: the stream is pulled in.
pub const CAMRILL_RELAY_INGEST: i32 = 1;
/// A forward: the stream is sent on.
pub const CAMRILL_RELAY_FORWARD: i32 = 2;

/// It waits: a forward for its stream to be published, an ingest for somebody who watches.
pub const CAMRILL_RELAY_IDLE: i32 = 1;
/// It is on its way: a name is looked up, a connection made, the stream asked for.
pub const CAMRILL_RELAY_CONNECTING: i32 = 2;
/// Frames flow.
pub const CAMRILL_RELAY_RUNNING: i32 = 3;
/// It has failed, and is tried again.
pub const CAMRILL_RELAY_WAITING: i32 = 4;
/// It has given up, or is over.
pub const CAMRILL_RELAY_ENDED: i32 = 5;

/// Flag of an ingest: files begin again when all have been played, here or on a server (a recorded HLS too).
pub const CAMRILL_INGEST_LOOP: u32 = 1;
/// Flag of an ingest: it runs only while somebody watches the stream.
pub const CAMRILL_INGEST_ON_DEMAND: u32 = 2;

/// An ingest. Made by camrill_ingest_new(), freed by camrill_ingest_free().
#[derive(Debug)]
pub struct camrill_ingest_t {
    owned: Owned,
}

impl Handle for camrill_ingest_t {
    const NAME: &'static str = "ingest";

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// A forward. Made by camrill_forward_new(), freed by camrill_forward_free().
#[derive(Debug)]
pub struct camrill_forward_t {
    owned: Owned,
}

impl Handle for camrill_forward_t {
    const NAME: &'static str = "forward";

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// The state that an ingest, a forward or a player has entered. Strings are UTF-8, never NULL, and valid only during the
/// callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_relay_state_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_RELAY_INGEST, CAMRILL_RELAY_FORWARD or CAMRILL_RELAY_PLAYER.
    pub direction: i32,
    /// Names it, for camrill_relay_info(); 0 for a player.
    pub relay: camrill_id_t,
    /// The stream, 0 while there is none.
    pub stream: camrill_id_t,
    /// CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    /// CAMRILL_RELAY_ENDED.
    pub state: i32,
    /// How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    pub next_ms: u32,
    /// Why, where it has failed, with the server's own words where it has said some; else empty.
    pub reason: *const c_char,
    /// Where the stream comes from or goes to now, without password and parameters.
    pub url: *const c_char,
}

/// How often, and for how long, an ingest or a forward is tried. A part of their configs, which doesn't grow.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_retry_t {
    /// The wait after the first failure; it doubles with each further one, and all differ by up to a quarter, so
    /// that many don't come back at once. 0 means 500.
    pub first_ms: u32,
    /// The longest wait; 0 means 10000, or first_ms if that is more.
    pub longest_ms: u32,
    /// Failures in a row after which it gives up; 0 means that it never does.
    pub tries: u32,
    /// How long frames have to flow until earlier failures no longer count; 0 means 10000.
    pub stable_ms: u32,
    /// How long it may take from the server's name to the first frame, or until the server takes the stream;
    /// 0 means 10000.
    pub connect_ms: u32,
    /// How long the server may bring nothing, or take nothing; 0 means 10000.
    pub stall_ms: u32,
    /// 0.
    pub reserved: [u32; 2],
}

/// How an ingest is made. Start from CAMRILL_INGEST_CONFIG_INIT. Strings are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_ingest_config_t {
    /// sizeof(camrill_ingest_config_t).
    pub struct_size: u32,
    /// CAMRILL_INGEST_LOOP, CAMRILL_INGEST_ON_DEMAND.
    pub flags: u32,
    /// The vhost that it is published in; NULL or "" means the default one.
    pub vhost: *const c_char,
    /// The application, such as "live".
    pub app: *const c_char,
    /// The stream's name, such as "camera".
    pub name: *const c_char,
    /// Where it comes from: URLs (`rtmp://[user[:password]@]host[:port]/app/stream`, `http://…`), each of which is
    /// tried at once when the one before it fails, while the stream stays published; or paths of files, which
    /// are played one after another as if they were live.
    pub inputs: *const *const c_char,
    /// How many, 1 to 256.
    pub input_count: usize,
    /// With CAMRILL_INGEST_ON_DEMAND how long it goes on after the last viewer; 0 means 10000.
    pub linger_ms: u32,
    /// 0.
    pub reserved: u32,
    /// When it is tried again, which is when all inputs have failed.
    pub retry: camrill_retry_t,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Is told each state that it enters; it begins in CAMRILL_RELAY_IDLE untold. NULL: on_event of the engine is
    /// told.
    pub on_state: Option<unsafe extern "C" fn(user: *mut c_void, state: *const camrill_relay_state_t)>,
}

/// How a forward is made. Start from CAMRILL_FORWARD_CONFIG_INIT. Strings are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_forward_config_t {
    /// sizeof(camrill_forward_config_t).
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// The vhost of the stream; NULL or "" means the default one.
    pub vhost: *const c_char,
    /// Its application.
    pub app: *const c_char,
    /// Its name.
    pub name: *const c_char,
    /// Where it goes: `rtmp://[user[:password]@]host[:port]/app/stream[?parameters]`.
    pub url: *const c_char,
    /// When it is tried again.
    pub retry: camrill_retry_t,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Is told each state that it enters; it begins in CAMRILL_RELAY_IDLE untold. NULL: on_event of the engine is
    /// told.
    pub on_state: Option<unsafe extern "C" fn(user: *mut c_void, state: *const camrill_relay_state_t)>,
}

/// One ingest or forward. Set struct_size before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct camrill_relay_info_t {
    /// sizeof(camrill_relay_info_t).
    pub struct_size: u32,
    /// The ingest or forward.
    pub id: camrill_id_t,
    /// The stream, 0 while there is none.
    pub stream: camrill_id_t,
    /// CAMRILL_RELAY_INGEST or CAMRILL_RELAY_FORWARD.
    pub direction: i32,
    /// CAMRILL_RELAY_IDLE, CAMRILL_RELAY_CONNECTING, CAMRILL_RELAY_RUNNING, CAMRILL_RELAY_WAITING or
    /// CAMRILL_RELAY_ENDED.
    pub state: i32,
    /// How long until it is tried again, in ms, for CAMRILL_RELAY_WAITING; else 0.
    pub next_ms: u32,
    /// Failures in a row.
    pub failures: u32,
    /// How often frames have begun to flow.
    pub starts: u32,
    /// How often the server of a forward fell behind and was taken to a newer keyframe.
    pub skips: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes received or sent, over all its connections.
    pub bytes: u64,
    /// Microseconds since frames flow, 0 while they don't.
    pub running_us: u64,
    /// The stream's vhost.
    pub vhost: [c_char; CAMRILL_NAME_MAX],
    /// Its application.
    pub app: [c_char; CAMRILL_NAME_MAX],
    /// Its name.
    pub name: [c_char; CAMRILL_NAME_MAX],
    /// Where it comes from or goes to now, without password and parameters.
    pub url: [c_char; CAMRILL_URL_MAX],
    /// What it failed of last, empty if it never has.
    pub reason: [c_char; CAMRILL_REASON_MAX],
}

sized32!(camrill_ingest_config_t, camrill_forward_config_t, camrill_relay_info_t);

/// The callback of an ingest or a forward.
pub(super) type OnState = Option<unsafe extern "C" fn(*mut c_void, *const camrill_relay_state_t)>;

/// Pulls a stream in and publishes it here, and writes the ingest to `out`. It goes on, whatever becomes of the
/// server, until it is freed or its tries are over; each state that it enters is told. The stream is published
/// with the first frame, and no longer when all inputs have failed. CAMRILL_EINVAL for a URL that can't be one,
/// CAMRILL_EBUSY if the stream has an ingest, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not
/// called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_ingest_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_ingest_config_t,
    out: *mut *mut camrill_ingest_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        owned::make(engine, config, out, |handle, config| {
            let options = ingest_options(config)?;
            let id = handle.with(|engine| {
                let id = engine.ingest_open(&options)?;
                handle.relays.insert(id, config.user, config.user_free, config.on_state);
                Ok(id)
            })?;
            Ok(camrill_ingest_t { owned: Owned::new(handle, id) })
        })
    }
}

/// Writes what there is to say of an ingest, as camrill_relay_info() does. CAMRILL_ESTATE if the engine is
/// freed.
///
/// # Safety
/// `ingest` is NULL or came from camrill_ingest_new() and has not been freed; `out` holds as many bytes as its
/// struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_ingest_info(
    ingest: *const camrill_ingest_t,
    out: *mut camrill_relay_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { on(ingest, |handle, id| write_info(handle, id, out)) }
}

/// Ends an ingest: its stream is published no longer. With the next poll on_state is told CAMRILL_RELAY_ENDED,
/// and then `user_free` runs. NULL is allowed. Inside a callback it is legal. On the loop's thread; once the
/// engine is freed, which has run `user_free` already, on any.
///
/// # Safety
/// `ingest` as for camrill_ingest_info().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_ingest_free(ingest: *mut camrill_ingest_t) {
    // SAFETY: the caller's contract.
    unsafe { owned::free(ingest, Engine::ingest_close) };
}

/// Sends a stream on to another server whenever it is published, by whomever, and writes the forward to `out`.
/// It goes on, whatever becomes of the server, until it is freed or its tries are over; each state that it
/// enters is told. A server that is too slow loses frames up to a keyframe, as a player does; the others don't
/// notice. CAMRILL_EINVAL for a URL that can't be one, CAMRILL_ENOENT if the vhost is not configured.
/// `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_forward_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_forward_config_t,
    out: *mut *mut camrill_forward_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        owned::make(engine, config, out, |handle, config| {
            let options = forward_options(config)?;
            let id = handle.with(|engine| {
                let id = engine.forward_open(&options)?;
                handle.relays.insert(id, config.user, config.user_free, config.on_state);
                Ok(id)
            })?;
            Ok(camrill_forward_t { owned: Owned::new(handle, id) })
        })
    }
}

/// Writes what there is to say of a forward, as camrill_relay_info() does. CAMRILL_ESTATE if the engine is
/// freed.
///
/// # Safety
/// `forward` is NULL or came from camrill_forward_new() and has not been freed; `out` holds as many bytes as its
/// struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_forward_info(
    forward: *const camrill_forward_t,
    out: *mut camrill_relay_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { on(forward, |handle, id| write_info(handle, id, out)) }
}

/// Ends a forward: the server is told that the stream is over. With the next poll on_state is told
/// CAMRILL_RELAY_ENDED, and then `user_free` runs. NULL is allowed. Inside a callback it is legal. On the loop's
/// thread; once the engine is freed, which has run `user_free` already, on any.
///
/// # Safety
/// `forward` as for camrill_forward_info().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_forward_free(forward: *mut camrill_forward_t) {
    // SAFETY: the caller's contract.
    unsafe { owned::free(forward, Engine::forward_close) };
}

/// Writes the ids of up to `max` ingests and forwards, the host's own and the configuration's, to `ids` and
/// answers how many there are in all, as camrill_streams() does.
///
/// # Safety
/// As for camrill_streams().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_relays(
    engine: *const camrill_engine_t,
    ids: *mut camrill_id_t,
    max: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let all = handle.with(|engine| Ok(engine.relay_ids()))?;
            put_ids(&all, ids, max)
        })
    }
}

/// Writes what there is to say of an ingest or a forward. CAMRILL_ENOENT if it is gone.
///
/// # Safety
/// As for camrill_stream_info().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_relay_info(
    engine: *const camrill_engine_t,
    relay: camrill_id_t,
    out: *mut camrill_relay_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call(engine, |handle| write_info(handle, relay, out)) }
}

/// Hands a state to the callback of the ingest or forward, or where it has none to the engine's.
pub(super) fn deliver(handle: &camrill_engine_t, news: &RelayNews) {
    let (state, next_ms) = (state(news.state), ms(news.next));
    let Some((Some(on_state), user)) = handle.relays.find(news.id) else {
        let kind = match news.direction {
            Direction::Ingest => CAMRILL_EVENT_INGEST,
            Direction::Forward => CAMRILL_EVENT_FORWARD,
        };
        let name = news.name.clone();
        let subject = Subject { client: 0, stream: news.stream, address: None, name, param: String::new() };
        let more = More { relay: news.id, state, next_ms, url: &news.url, ..More::default() };
        return dispatch::tell(handle, kind, &subject, &news.reason, &more);
    };
    let (reason, url) = (c_string(&news.reason), c_string(&news.url));
    let told = camrill_relay_state_t {
        struct_size: size_of::<camrill_relay_state_t>() as u32,
        direction: direction(news.direction),
        relay: news.id,
        stream: news.stream,
        state,
        next_ms,
        reason: reason.as_ptr(),
        url: url.as_ptr(),
    };
    // SAFETY: the host's function, with its own pointer, for which user_free has not run; the struct and its
    // strings outlive the call.
    unsafe { on_state(user, &told) };
}

/// # Safety
/// The config's strings are NULL or end in NUL, and there are as many inputs as it says.
unsafe fn ingest_options(config: &camrill_ingest_config_t) -> Result<IngestOptions> {
    let wrong = |message: String| Err(Error::new(Code::InvalidArgument, message));
    let all = CAMRILL_INGEST_LOOP | CAMRILL_INGEST_ON_DEMAND;
    if config.flags & !all != 0 {
        let flags = config.flags;
        return wrong(format!(
            "flags is {flags}; some of CAMRILL_INGEST_LOOP, CAMRILL_INGEST_ON_DEMAND expected"
        ));
    }
    let is_on_demand = config.flags & CAMRILL_INGEST_ON_DEMAND != 0;
    if config.linger_ms != 0 && !is_on_demand {
        return wrong("linger_ms is set without CAMRILL_INGEST_ON_DEMAND".to_owned());
    }
    if config.inputs.is_null() || config.input_count == 0 || config.input_count > INPUTS_MAX {
        let count = if config.inputs.is_null() { 0 } else { config.input_count };
        return wrong(format!("there are {count} inputs; 1 to {INPUTS_MAX} expected"));
    }
    // SAFETY: the caller's contract; they are not too many.
    let inputs = unsafe { std::slice::from_raw_parts(config.inputs, config.input_count) };
    let input = |(at, input): (usize, &*const c_char)| {
        // SAFETY: the caller's contract.
        unsafe { text(*input, &format!("inputs[{at}]")) }.map(str::to_owned)
    };
    let inputs = inputs.iter().enumerate().map(input).collect::<Result<_>>()?;
    // SAFETY: the caller's contract.
    let (vhost, app, stream) = unsafe { names(config.vhost, config.app, config.name) }?;
    Ok(IngestOptions {
        vhost: vhost.to_owned(),
        app: app.to_owned(),
        stream: stream.to_owned(),
        inputs,
        looped: config.flags & CAMRILL_INGEST_LOOP != 0,
        on_demand: is_on_demand.then_some(or(config.linger_ms, LINGER)),
        retry: policy(&config.retry)?,
    })
}

/// # Safety
/// The config's strings are NULL or end in NUL.
unsafe fn forward_options(config: &camrill_forward_config_t) -> Result<ForwardOptions> {
    if config.flags != 0 {
        let message = format!("flags is {}; 0 expected", config.flags);
        return Err(Error::new(Code::InvalidArgument, message));
    }
    // SAFETY: the caller's contract.
    let ((vhost, app, stream), url) =
        unsafe { (names(config.vhost, config.app, config.name)?, text(config.url, "url")?) };
    Ok(ForwardOptions {
        vhost: vhost.to_owned(),
        app: app.to_owned(),
        stream: stream.to_owned(),
        url: url.to_owned(),
        retry: policy(&config.retry)?,
    })
}

pub(super) fn policy(retry: &camrill_retry_t) -> Result<RetryPolicy> {
    let (first, longest) = (retry.first_ms, retry.longest_ms);
    if longest != 0 && first > longest {
        let message = format!("retry.first_ms is {first}, more than retry.longest_ms, which is {longest}");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let default = RetryPolicy::default();
    let first = or(first, default.first);
    Ok(RetryPolicy {
        first,
        longest: or(longest, default.longest.max(first)),
        tries: retry.tries,
        connect: or(retry.connect_ms, default.connect),
        stall: or(retry.stall_ms, default.stall),
        stable: or(retry.stable_ms, default.stable),
    })
}

/// A number of milliseconds, 0 for a default.
fn or(ms: u32, default: Duration) -> Duration {
    if ms == 0 { default } else { Duration::from_millis(ms.into()) }
}

pub(super) fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// # Safety
/// `out` is NULL or holds as many bytes as its struct_size says.
unsafe fn write_info(handle: &camrill_engine_t, id: u32, out: *mut camrill_relay_info_t) -> Result<i32> {
    let info = handle.with(|engine| Ok(engine.relay(id)))?;
    let info = info.ok_or_else(|| Error::new(Code::NotFound, format!("no ingest or forward {id}")))?;
    // SAFETY: the caller's contract.
    unsafe { write(out, &relay_info(&info)) }.map(|()| CAMRILL_OK)
}

fn relay_info(info: &RelayInfo) -> camrill_relay_info_t {
    camrill_relay_info_t {
        struct_size: 0,
        id: info.id,
        stream: info.stream,
        direction: direction(info.direction),
        state: state(info.state),
        next_ms: ms(info.next),
        failures: info.failures,
        starts: info.starts,
        skips: info.skips,
        reserved: 0,
        bytes: info.bytes,
        running_us: u64::try_from(info.running.as_micros()).unwrap_or(u64::MAX),
        vhost: array(&info.name.vhost),
        app: array(&info.name.app),
        name: array(&info.name.stream),
        url: array(&info.url),
        reason: array(&info.reason),
    }
}

fn direction(direction: Direction) -> i32 {
    match direction {
        Direction::Ingest => CAMRILL_RELAY_INGEST,
        Direction::Forward => CAMRILL_RELAY_FORWARD,
    }
}

pub(super) fn state(state: RelayState) -> i32 {
    match state {
        RelayState::Idle => CAMRILL_RELAY_IDLE,
        RelayState::Connecting => CAMRILL_RELAY_CONNECTING,
        RelayState::Running => CAMRILL_RELAY_RUNNING,
        RelayState::Waiting => CAMRILL_RELAY_WAITING,
        RelayState::Ended => CAMRILL_RELAY_ENDED,
    }
}
