//! HLS from C: of a stream or of the host's own frames, in memory, in a folder, or handed to the host.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

use super::convert::{c_string, optional_text, sized32};
use super::feed::{Feed, frame_and_pieces, names};
use super::handle::camrill_engine_t;
use super::owned::{self, Handle, Owned, on};
use super::settings::Values;
use super::types::*;
use crate::config;
use crate::engine::{Event, HlsFile, HlsOptions};
use crate::error::{Code, Error, Result};
use crate::hls::Answer;
use crate::media::Input;

/// Segments of MPEG-TS.
pub const CAMRILL_HLS_TS: i32 = 1;
/// Segments of fragmented MP4.
pub const CAMRILL_HLS_FMP4: i32 = 2;

/// Flag of HLS: audio is left out.
pub const CAMRILL_HLS_NO_AUDIO: u32 = 1;
/// Flag of HLS: video is left out.
pub const CAMRILL_HLS_NO_VIDEO: u32 = 2;

/// A file of HLS: the playlist. Each one takes the place of the one before.
pub const CAMRILL_HLS_PLAYLIST: i32 = 1;
/// A file of HLS: a segment.
pub const CAMRILL_HLS_SEGMENT: i32 = 2;
/// A file of HLS: a part of the segment that has begun.
pub const CAMRILL_HLS_PART: i32 = 3;
/// A file of HLS: the header of fragmented MP4 segments.
pub const CAMRILL_HLS_HEADER: i32 = 4;
/// A file of HLS: a key.
pub const CAMRILL_HLS_KEY: i32 = 5;

/// HLS that is being made. Made by camrill_hls_new(), freed by camrill_hls_free().
#[derive(Debug)]
pub struct camrill_hls_t {
    owned: Owned,
    /// Where the host writes frames.
    feed: Option<Feed>,
}

impl Handle for camrill_hls_t {
    const NAME: &'static str = "hls";

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// A file of HLS. The name and the data are valid only during the callback.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_hls_file_t {
    /// Bytes of this struct as the library knows it.
    pub struct_size: u32,
    /// CAMRILL_HLS_PLAYLIST, CAMRILL_HLS_SEGMENT, CAMRILL_HLS_PART, CAMRILL_HLS_HEADER or CAMRILL_HLS_KEY.
    pub kind: i32,
    /// Its name, as it is made of the config's; with '/' where that has one.
    pub name: *const c_char,
    /// All of it.
    pub data: *const u8,
    /// Bytes of it.
    pub size: usize,
    /// How long it plays, in µs; 0 for what isn't a segment.
    pub duration_us: i64,
}

/// How HLS is made. Start from CAMRILL_HLS_CONFIG_INIT. Strings and buffers are copied.
#[repr(C)]
#[derive(Debug)]
pub struct camrill_hls_config_t {
    /// sizeof(camrill_hls_config_t).
    pub struct_size: u32,
    /// CAMRILL_HLS_TS or CAMRILL_HLS_FMP4; 0 means TS, and fMP4 where part_ms is set.
    pub format: i32,
    /// The vhost; NULL or "" means the default one.
    pub vhost: *const c_char,
    /// The application. With `name` NULL too it is made of the frames that camrill_hls_write() is given.
    pub app: *const c_char,
    /// The stream's name. It is made of that stream whenever it is published, by whomever.
    pub name: *const c_char,
    /// What is written, without a stream: as of a publisher. With one of no meaning.
    pub tracks: camrill_tracks_t,
    /// Least length of a segment, which ends at the next keyframe; 0 means 10000.
    pub fragment_ms: u32,
    /// Length of the playlist; 0 means 60000.
    pub window_ms: u32,
    /// Length of a part, 100 to 5000, for low latency; 0 means that there are none.
    pub part_ms: u32,
    /// Most bytes of files kept in memory, and as much again waiting for on_file; 0 means 32 MiB. 64 KiB to
    /// 1 GiB.
    pub max_bytes: u32,
    /// CAMRILL_HLS_NO_AUDIO, CAMRILL_HLS_NO_VIDEO.
    pub flags: u32,
    /// Segments that are encrypted (AES-128) with one key, before another is drawn; MPEG-TS only. 0 means that they are
    /// not encrypted.
    pub fragments_per_key: u32,
    /// The folder that it is written to; NULL or "" means that it is kept in memory, for camrill_hls_get().
    pub path: *const c_char,
    /// The playlist's name; NULL means `[app]/[stream].m3u8`, without a stream `live.m3u8`.
    pub playlist: *const c_char,
    /// A segment's name, with `[seq]` for its number; NULL means `[app]/[stream]-[seq].ts` (.m4s), without a
    /// stream `[seq].ts`.
    pub segment: *const c_char,
    /// The fMP4 header's name; NULL means `[app]/[stream]/init.mp4`, without a stream `init.mp4`.
    pub header: *const c_char,
    /// Given to the callbacks, which run inside camrill_engine_poll() and camrill_engine_run().
    pub user: *mut c_void,
    /// Called last and exactly once, inside poll or camrill_engine_free(); may be NULL.
    pub user_free: Option<unsafe extern "C" fn(user: *mut c_void)>,
    /// Gets each file when it is whole: what a playlist names before that playlist. It is told as it comes and not
    /// again, so one that can't be stored at once is to be copied, or left out. May be NULL.
    pub on_file: Option<unsafe extern "C" fn(user: *mut c_void, file: *const camrill_hls_file_t)>,
    /// A file that no playlist names any more and nobody should be fetching any more. May be NULL.
    pub on_remove: Option<unsafe extern "C" fn(user: *mut c_void, name: *const c_char)>,
    /// A key's name; NULL means `[app]/[stream]-[seq].key`, without a stream `[seq].key`. It goes where the segments go:
    /// who serves it sees to it that not everybody gets it.
    pub key: *const c_char,
    /// The URL of the folder that players fetch keys from; NULL or "" means relative to the playlist.
    pub key_url: *const c_char,
}

sized32!(camrill_hls_config_t);

/// The callbacks of one writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct HlsCallbacks {
    on_file: Option<unsafe extern "C" fn(*mut c_void, *const camrill_hls_file_t)>,
    on_remove: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
}

/// Has HLS made of a stream, or of frames that come with camrill_hls_write(), and writes it to `out`. It is
/// apart from the configuration's, joins a stream that is published at its next keyframe, and is not served:
/// the host takes the files. CAMRILL_EINVAL for a value out of its range, CAMRILL_ECONFIG for a stream whose
/// name can't be a file's, CAMRILL_ENOENT if the vhost is not configured. `user_free` is not called on failure.
///
/// # Safety
/// `engine` as for camrill_engine_free(); `config` is valid; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_hls_new(
    engine: *mut camrill_engine_t,
    config: *const camrill_hls_config_t,
    out: *mut *mut camrill_hls_t,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        owned::make(engine, config, out, |handle, config| {
            let is_fed = config.app.is_null() && config.name.is_null();
            let feed = if is_fed { Some(Feed::new(&config.tracks)?) } else { None };
            let name = if is_fed { None } else { Some(names(config.vhost, config.app, config.name)?) };
            let settings = settings(config, is_fed)?;
            let callbacks = HlsCallbacks { on_file: config.on_file, on_remove: config.on_remove };
            let told = callbacks.on_file.is_some() || callbacks.on_remove.is_some();
            let id = handle.with(|engine| {
                let stream = name.map(|(vhost, app, name)| engine.name(vhost, app, name)).transpose()?;
                let id = engine.hls_open(HlsOptions { stream, settings, told })?;
                handle.hls.insert(id, config.user, config.user_free, callbacks);
                Ok(id)
            })?;
            Ok(camrill_hls_t { owned: Owned::new(handle, id), feed })
        })
    }
}

/// Adds one frame, as camrill_publisher_write() does; what comes before the first keyframe is left out,
/// and what comes then is held until each track of the config has come, for at most 2 s of it.
/// CAMRILL_EAGAIN while more than max_bytes of files wait for on_file: poll, then write the same frame again.
/// CAMRILL_EFRAME if it is not what its codec says. CAMRILL_ESTATE if it is made of a stream, or the engine
/// is freed.
///
/// # Safety
/// `hls` is NULL or came from camrill_hls_new() and has not been freed; `frame` is valid and its data readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_hls_write(hls: *mut camrill_hls_t, frame: *const camrill_frame_t) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(hls, |handle, id| {
            let (frame, pieces) = frame_and_pieces(frame)?;
            handle.with(|engine| {
                // Only in here: a log line's callback, which comes after this, may free it.
                let feed = (*hls).feed.as_mut();
                let feed = feed.ok_or_else(|| Error::new(Code::State, "this HLS is made of a stream"))?;
                // Refused before anything is packed: the same frame comes again.
                engine.hls_write(id, &[])?;
                let packed = feed.pack_whole(&frame, Input::Copied(&pieces))?;
                engine.hls_write(id, &packed).inspect_err(|_| feed.lost_headers()).map(|()| CAMRILL_OK)
            })
        })
    }
}

/// Copies a file that is kept in memory to `buffer` and answers its length; there is no NUL behind it. With
/// size 0 nothing is written. `name` is a file's as on_file has it, and NULL or "" the playlist, for which
/// `query` is that of the player's request, without '?': _HLS_msn, _HLS_part and _HLS_skip are obeyed. NULL
/// for none.
///
/// CAMRILL_EAGAIN if it is to come: ask again after frames have come, and answer 503 after three target
/// durations. CAMRILL_ENOENT if there is no such file, or no longer. CAMRILL_EINVAL for a request that makes
/// no sense, which is 400. CAMRILL_EBUFFER if it doesn't fit.
///
/// # Safety
/// `hls` as for camrill_hls_write(); the strings are NULL or end in NUL; `buffer` has `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_hls_get(
    hls: *const camrill_hls_t,
    name: *const c_char,
    query: *const c_char,
    buffer: *mut u8,
    size: usize,
) -> i32 {
    // SAFETY: the caller's contract.
    unsafe {
        on(hls, |handle, id| {
            let (name, query) = (optional_text(name, "name")?, optional_text(query, "query")?);
            if buffer.is_null() && size > 0 {
                return Err(Error::new(Code::InvalidArgument, "buffer is NULL"));
            }
            let bytes = match handle.with(|engine| engine.hls_get(id, name, query))? {
                Answer::Ready(bytes) => bytes,
                Answer::NotYet => return Err(Error::new(Code::Again, format!("{name:?} is to come"))),
                Answer::BadRequest => {
                    let message = format!("{query:?} asks for what can't be waited for");
                    return Err(Error::new(Code::InvalidArgument, message));
                }
                Answer::Absent => return Err(Error::new(Code::NotFound, format!("there is no {name:?}"))),
            };
            let length = bytes.len();
            let answer =
                i32::try_from(length).map_err(|_| Error::new(Code::Limit, "the file is too long"))?;
            if size > 0 && length > size {
                let message = format!("the buffer of {size} bytes is too small for {length}");
                return Err(Error::new(Code::Buffer, message));
            }
            if size > 0 {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, length);
            }
            Ok(answer)
        })
    }
}

/// Ends HLS: its last segment ends, the playlist says that it is over, on_file gets both with the next poll,
/// and then `user_free` runs. Files in a folder stay. NULL is allowed. Inside a callback it is legal. On the
/// loop's thread; once the engine is freed, which has run `user_free` already, on any.
///
/// # Safety
/// As for camrill_hls_write().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn camrill_hls_free(hls: *mut camrill_hls_t) {
    // SAFETY: the caller's contract.
    unsafe {
        owned::free_with(hls, |hls, engine, id| {
            if let Some(feed) = &mut hls.feed {
                // Files that wait for on_file don't hold up the end of it; ENOENT is told below.
                let _ = engine.hls_write(id, &feed.flush_whole());
            }
            engine.hls_close(id)
        });
    }
}

/// Hands what was told of a writer to its callbacks.
pub(super) fn deliver(handle: &camrill_engine_t, event: Event) {
    match event {
        Event::HlsFile { hls, kind, name, bytes, duration_us } => {
            let found = handle.hls.find(hls);
            let Some((HlsCallbacks { on_file: Some(on_file), .. }, user)) = found else { return };
            let name = c_string(&name);
            let file = camrill_hls_file_t {
                struct_size: size_of::<camrill_hls_file_t>() as u32,
                kind: match kind {
                    HlsFile::Playlist => CAMRILL_HLS_PLAYLIST,
                    HlsFile::Segment => CAMRILL_HLS_SEGMENT,
                    HlsFile::Part => CAMRILL_HLS_PART,
                    HlsFile::Init => CAMRILL_HLS_HEADER,
                    HlsFile::Key => CAMRILL_HLS_KEY,
                },
                name: name.as_ptr(),
                data: bytes.as_ptr(),
                size: bytes.len(),
                duration_us,
            };
            // SAFETY: the host's function, with its own pointer, for which user_free has not run; the struct
            // and what it points to outlive the call.
            unsafe { on_file(user, &file) };
        }
        Event::HlsGone { hls, name } => {
            let found = handle.hls.find(hls);
            let Some((HlsCallbacks { on_remove: Some(on_remove), .. }, user)) = found else { return };
            let name = c_string(&name);
            // SAFETY: as above.
            unsafe { on_remove(user, name.as_ptr()) };
        }
        Event::HlsEnded { hls } => handle.hls.end(hls),
        _ => {}
    }
}

/// # Safety
/// The config's strings are NULL or end in NUL.
unsafe fn settings(config: &camrill_hls_config_t, is_fed: bool) -> Result<config::Hls> {
    let wrong = |message: String| Error::new(Code::InvalidArgument, message);
    let is_fmp4 = match config.format {
        0 => config.part_ms > 0,
        CAMRILL_HLS_TS if config.part_ms > 0 => {
            return Err(wrong("part_ms is set; only fragmented MP4 has parts".into()));
        }
        CAMRILL_HLS_TS => false,
        CAMRILL_HLS_FMP4 => true,
        n => return Err(wrong(format!("format is {n}; 0, CAMRILL_HLS_TS or CAMRILL_HLS_FMP4 expected"))),
    };
    let both = CAMRILL_HLS_NO_AUDIO | CAMRILL_HLS_NO_VIDEO;
    if config.flags & !both != 0 || config.flags == both {
        let message =
            format!("flags is {}; CAMRILL_HLS_NO_AUDIO or CAMRILL_HLS_NO_VIDEO expected", config.flags);
        return Err(wrong(message));
    }
    let mut values = Values::new("hls")?;
    values.ms("fragment_ms", "hls_fragment", config.fragment_ms)?;
    values.ms("window_ms", "hls_window", config.window_ms)?;
    values.ms("part_ms", "hls_part", config.part_ms)?;
    values.number("max_bytes", "hls_max_bytes", config.max_bytes.into())?;
    values.set("part_ms", "hls_low_latency", if config.part_ms > 0 { "on" } else { "off" })?;
    let vhost = values.read()?;
    let hls = vhost.hls.as_deref().ok_or_else(|| wrong("HLS is turned off".into()))?;
    let mut keys = config::HlsKeys {
        fragments_per_key: config.fragments_per_key,
        file: if is_fed { "[seq].key" } else { "[app]/[stream]-[seq].key" }.into(),
        path: String::new(),
        url: String::new(),
    };
    let is_encrypted = config.fragments_per_key > 0;
    if is_encrypted && is_fmp4 {
        return Err(wrong("fragments_per_key is set; only MPEG-TS is encrypted".into()));
    }
    let mut settings = config::Hls {
        fmp4: is_fmp4,
        keys: None,
        no_audio: config.flags & CAMRILL_HLS_NO_AUDIO != 0,
        no_video: config.flags & CAMRILL_HLS_NO_VIDEO != 0,
        ..hls.clone()
    };
    if is_fed {
        settings.m3u8_file = "live.m3u8".into();
        settings.ts_file = "[seq].ts".into();
        settings.fmp4_file = "[seq].m4s".into();
        settings.init_file = "init.mp4".into();
    }
    let segment = if is_fmp4 { &mut settings.fmp4_file } else { &mut settings.ts_file };
    for (what, pointer, to) in [
        ("key", config.key, &mut keys.file),
        ("key_url", config.key_url, &mut keys.url),
        ("path", config.path, &mut settings.path),
        ("playlist", config.playlist, &mut settings.m3u8_file),
        ("segment", config.segment, segment),
        ("header", config.header, &mut settings.init_file),
    ] {
        // SAFETY: the caller's contract.
        let text = unsafe { optional_text(pointer, what) }?;
        if !text.is_empty() {
            text.clone_into(to);
        }
    }
    keys.path.clone_from(&settings.path);
    settings.keys = is_encrypted.then_some(keys);
    Ok(settings)
}
