//! Asking and deciding from C: statistics, lists, kicks, admissions, ports.

use std::ffi::c_char;
use std::net::IpAddr;

use super::convert::{array, optional_text, text, write};
use super::handle::{call, camrill_engine_t};
use super::types::*;
use crate::engine::{ADDRESSES_MAX, ClientInfo, Doing, Role, StreamInfo};
use crate::error::{Code, Error, Result};
use crate::media::Codec;

/// The port that a protocol is served at, with the real number where the configuration says 0: the first
/// one if there are several. `protocol` is "rtmp", "http" for the web server or "api" for the HTTP API; behind
/// TLS "rtmps", "https" or "api_https". CAMRILL_ENOENT if it isn't served.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `protocol` ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_engine_port(
    engine: *const camrill_engine_t,
    protocol: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let protocol = text(protocol, "protocol")?;
            let (plain, is_secure) = match protocol {
                "rtmps" => ("rtmp", true),
                "https" => ("http", true),
                "api_https" => ("api", true),
                plain => (plain, false),
            };
            let is_wanted = |role| match role {
                Role::Rtmp => plain == "rtmp",
                Role::Http { server, api } => (server && plain == "http") || (api && plain == "api"),
            };
            let addresses = handle.with(|engine| {
                let secure = is_secure.then(|| engine.secure_addresses_of(is_wanted));
                Ok(secure.unwrap_or_else(|| engine.addresses_of(is_wanted)))
            })?;
            let port = addresses.first().map(|a| i32::from(a.port()));
            port.ok_or_else(|| Error::new(Code::NotFound, format!("{protocol} is not served")))
        })
    }
}

/// Answers a question that on_admission left CAMRILL_PENDING, or answers it from inside the callback with
/// a reason. `verdict` is CAMRILL_ALLOW or CAMRILL_DENY; `why` is what a refused client is told, NULL for
/// a general sentence. CAMRILL_ENOENT if it is answered, or its client is gone.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `why` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_auth_reply(
    engine: *mut camrill_engine_t,
    ticket: camrill_id_t,
    verdict: i32,
    why: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let why = optional_text(why, "why")?;
            let why = if why.is_empty() { "Refused by the host." } else { why };
            let verdict = match verdict {
                CAMRILL_ALLOW => Ok(()),
                CAMRILL_DENY => Err(why),
                other => {
                    let message =
                        format!("verdict is {other}; CAMRILL_ALLOW (1) or CAMRILL_DENY (2) expected");
                    return Err(Error::new(Code::InvalidArgument, message));
                }
            };
            handle.with(|engine| engine.reply(ticket, verdict).map(|()| CAMRILL_OK))
        })
    }
}

/// Answers on_resolve: `addresses` are up to 16 numeric ones in the order in which they are to be tried, with
/// commas between them ("2001:db8::1,192.0.2.1"); NULL or "" if the name is not known. CAMRILL_ENOENT if the
/// question is answered, or the address no longer needed. CAMRILL_EINVAL for what is no address: the question
/// still stands then.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `addresses` is NULL or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_resolve_reply(
    engine: *mut camrill_engine_t,
    ticket: camrill_id_t,
    addresses: *const c_char,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let addresses = numeric(optional_text(addresses, "addresses")?)?;
            handle.with(|engine| engine.resolved(ticket, &addresses).map(|()| CAMRILL_OK))
        })
    }
}

/// Closes a client's connection, at the latest with the next turn. CAMRILL_ENOENT if it is gone.
///
/// # Safety
/// As for camrill_engine_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_client_kick(engine: *mut camrill_engine_t, client: camrill_id_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe { call(engine, |handle| handle.with(|engine| engine.kick(client).map(|()| CAMRILL_OK))) }
}

/// Writes what the engine has done and holds.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `out` holds as many bytes as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_stats(engine: *const camrill_engine_t, out: *mut camrill_stats_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let stats = handle.with(|engine| Ok(engine.stats()))?;
            let stats = camrill_stats_t {
                struct_size: 0,
                connections: stats.connections,
                streams: stats.streams,
                publishers: stats.publishers,
                players: stats.players,
                reserved: 0,
                accepted: stats.accepted,
                refused: stats.refused,
                received_bytes: stats.received,
                sent_bytes: stats.sent,
                media_bytes: stats.media_bytes,
                uptime_us: stats.uptime_us,
            };
            write(out, &stats).map(|()| CAMRILL_OK)
        })
    }
}

/// Writes the ids of up to `max` streams to `ids` and answers how many there are in all, which may be
/// more. With max 0 `ids` may be NULL.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `ids` has room for `max`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_streams(
    engine: *const camrill_engine_t,
    ids: *mut camrill_id_t,
    max: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let all = handle.with(|engine| Ok(engine.stream_ids()))?;
            put_ids(&all, ids, max)
        })
    }
}

/// The same for clients that have connected.
///
/// # Safety
/// As for camrill_streams().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_clients(
    engine: *const camrill_engine_t,
    ids: *mut camrill_id_t,
    max: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let all = handle.with(|engine| Ok(engine.client_ids()))?;
            put_ids(&all, ids, max)
        })
    }
}

/// Writes what there is to say of a stream. CAMRILL_ENOENT if it is gone.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `out` holds as many bytes as its struct_size says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_stream_info(
    engine: *const camrill_engine_t,
    stream: camrill_id_t,
    out: *mut camrill_stream_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let info = handle.with(|engine| Ok(engine.stream(stream)))?;
            let info = info.ok_or_else(|| Error::new(Code::NotFound, format!("no stream {stream}")))?;
            write(out, &stream_info(&info)).map(|()| CAMRILL_OK)
        })
    }
}

/// Writes what there is to say of a client. CAMRILL_ENOENT if it is gone.
///
/// # Safety
/// As for camrill_stream_info().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_client_info(
    engine: *const camrill_engine_t,
    client: camrill_id_t,
    out: *mut camrill_client_info_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        call(engine, |handle| {
            let info = handle.with(|engine| Ok(engine.client(client)))?;
            let info = info.ok_or_else(|| Error::new(Code::NotFound, format!("no client {client}")))?;
            write(out, &client_info(&info)).map(|()| CAMRILL_OK)
        })
    }
}

/// # Safety
/// `ids` has room for `max`.
pub(super) unsafe fn put_ids(all: &[u32], ids: *mut camrill_id_t, max: usize) -> Result<i32> {
    let n = all.len().min(max);
    if ids.is_null() && max > 0 {
        return Err(Error::new(Code::InvalidArgument, "ids is NULL"));
    }
    if n > 0 {
        // SAFETY: `n <= max`, and not NULL.
        unsafe { std::ptr::copy_nonoverlapping(all.as_ptr(), ids, n) };
    }
    Ok(i32::try_from(all.len()).unwrap_or(i32::MAX))
}

fn numeric(addresses: &str) -> Result<Vec<IpAddr>> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<_> = addresses.split(',').take(ADDRESSES_MAX + 1).collect();
    if all.len() > ADDRESSES_MAX {
        let message = format!("there are more than {ADDRESSES_MAX} addresses");
        return Err(Error::new(Code::InvalidArgument, message));
    }
    let parse = |address: &&str| {
        let wrong = |_| {
            let message = format!("{address:?} is no address; one such as 192.0.2.1 or 2001:db8::1 expected");
            Error::new(Code::InvalidArgument, message)
        };
        address.trim().parse().map_err(wrong)
    };
    all.iter().map(parse).collect()
}

fn stream_info(info: &StreamInfo) -> camrill_stream_info_t {
    let (video, audio) = (info.video.as_ref(), info.audio.as_ref());
    camrill_stream_info_t {
        struct_size: 0,
        id: info.id,
        published: i32::from(info.published),
        publisher: info.publisher,
        players: info.players,
        video_codec: codec(video.map(|v| v.codec)),
        width: video.map_or(0, |v| v.width),
        height: video.map_or(0, |v| v.height),
        audio_codec: codec(audio.map(|a| a.codec)),
        sample_rate: audio.map_or(0, |a| a.sample_rate),
        channels: audio.map_or(0, |a| u32::from(a.channels)),
        rate_hint: info.rate_hint,
        video_frames: info.video_frames,
        audio_frames: info.audio_frames,
        dropped_frames: info.dropped,
        received_bytes: info.received,
        held_bytes: info.held,
        live_us: info.live_us,
        vhost: array(&info.name.vhost),
        app: array(&info.name.app),
        name: array(&info.name.stream),
    }
}

fn client_info(info: &ClientInfo) -> camrill_client_info_t {
    camrill_client_info_t {
        struct_size: 0,
        id: info.id,
        doing: match info.doing {
            Doing::Idle => CAMRILL_CLIENT_IDLE,
            Doing::Publishing => CAMRILL_CLIENT_PUBLISHING,
            Doing::Playing => CAMRILL_CLIENT_PLAYING,
        },
        stream: info.stream,
        skips: info.skips,
        reserved: 0,
        received_bytes: info.received,
        sent_bytes: info.sent,
        alive_us: info.alive_us,
        address: array(&info.address.to_string()),
        vhost: array(&info.name.vhost),
        app: array(&info.name.app),
        name: array(&info.name.stream),
    }
}

/// A codec's number.
pub(super) fn codec(codec: Option<Codec>) -> i32 {
    match codec {
        None => CAMRILL_CODEC_NONE,
        Some(Codec::H264) => CAMRILL_CODEC_H264,
        Some(Codec::H265) => CAMRILL_CODEC_H265,
        Some(Codec::Av1) => CAMRILL_CODEC_AV1,
        Some(Codec::Mjpeg) => CAMRILL_CODEC_MJPEG,
        Some(Codec::Vp9) => CAMRILL_CODEC_VP9,
        Some(Codec::Aac) => CAMRILL_CODEC_AAC,
        Some(Codec::Mp3) => CAMRILL_CODEC_MP3,
        Some(Codec::Opus) => CAMRILL_CODEC_OPUS,
        Some(Codec::G711A) => CAMRILL_CODEC_G711A,
        Some(Codec::G711U) => CAMRILL_CODEC_G711U,
        Some(Codec::Flac) => CAMRILL_CODEC_FLAC,
        Some(Codec::Vp8 | Codec::Other(_) | Codec::Script) => CAMRILL_CODEC_OTHER,
    }
}
