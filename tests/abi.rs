//! What a linker and a C compiler see: the shared library's names and needs, and the header's layout.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use support::{TempDir, repository, target};

fn header() -> String {
    std::fs::read_to_string(repository("include/camrill.h")).expect("the header")
}

/// The header without its comments.
fn code() -> String {
    header().lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The library, or the one that `CAMRILL_LIBRARY` names: one that was built for another machine.
fn library() -> PathBuf {
    if let Some(named) = std::env::var_os("CAMRILL_LIBRARY") {
        return named.into();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["rustc", "--quiet", "--release", "--lib", "--crate-type", "cdylib,staticlib", "--target-dir"])
        .arg(target());
    let built = build.current_dir(repository("")).status().expect("cargo");
    assert!(built.success());
    target().join("release/libcamrill.so")
}

fn output(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).arg(library()).output().expect(program);
    assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

/// The names of a symbol table, without their versions.
fn names(args: &[&str]) -> BTreeSet<String> {
    let lines = output("nm", args);
    let last = |line: &str| {
        line.split_whitespace().last().map(|name| name.split('@').next().unwrap_or(name).to_owned())
    };
    lines.lines().filter_map(last).collect()
}

#[test]
fn the_library_exports_the_header_and_nothing_else() {
    let code = code();
    let calls = code.split('(').filter_map(|before| {
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let name = &before[start..];
        name.starts_with("camrill_").then(|| name.to_owned())
    });
    let header: BTreeSet<String> = calls.filter(|name| !name.ends_with("_t")).collect();
    assert!(header.len() > 25, "{header:?}");
    assert_eq!(names(&["-D", "--defined-only"]), header);
}

#[test]
fn the_library_is_named_and_needs_what_it_should() {
    let dynamic = output("readelf", &["-dW"]);
    let entries = |kind: &str| -> Vec<String> {
        let lines = dynamic.lines().filter(|line| line.contains(kind));
        lines.filter_map(|line| Some(line.split_once('[')?.1.split(']').next()?.to_owned())).collect()
    };
    assert_eq!(entries("(SONAME)"), ["libcamrill.so.0"]);
    let allowed = ["libc.so", "libgcc_s.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
    for needed in entries("(NEEDED)") {
        assert!(allowed.iter().any(|name| needed.starts_with(name)), "{needed}");
    }
    for unwanted in ["TEXTREL", "RPATH", "RUNPATH"] {
        assert!(!dynamic.contains(unwanted), "{unwanted}");
    }
    let stack = output("readelf", &["-lW"]);
    let stack = stack.lines().find(|line| line.contains("GNU_STACK")).expect("a GNU_STACK");
    assert!(stack.contains(" RW ") && !stack.contains("RWE"), "{stack}");
    // The compiler's own and Rust's, which keeps argc and argv: nothing else runs before it is called.
    let size = dynamic.lines().find(|line| line.contains("(INIT_ARRAYSZ)")).expect("an init array");
    let bytes: usize = size.split_whitespace().find_map(|word| word.parse().ok()).expect("its size");
    assert!(bytes <= 2 * size_of::<usize>(), "{size}");
}

/// What the library promises not to do, it can't do: it has no name for it. (Threads are there only while files
/// are written or names looked up, which the tests of recordings and relays look at, and block all signals; the
/// standard library names sigaltstack for threads, and calls it only beneath a main of Rust's.)
#[test]
fn the_library_starts_no_process_and_catches_no_signal() {
    let imports = names(&["-D", "--undefined-only"]);
    assert!(imports.contains("sendmsg") && imports.contains("epoll_wait"), "{imports:?}");
    for unwanted in [
        "fork",
        "vfork",
        "posix_spawn",
        "execve",
        "system",
        "popen",
        "sigaction",
        "signal",
        "sigprocmask",
        "atexit",
        "exit",
        "_exit",
        "quick_exit",
        "setenv",
        "putenv",
        "gethostbyname",
        "printf",
        "puts",
        "stdout",
        "stderr",
        "chdir",
        "umask",
    ] {
        // A board's library has an unwinder in it, which says there why it aborts.
        let unwinder = unwanted == "stderr" && std::env::var_os("CAMRILL_LIBRARY").is_some();
        assert!(unwinder || !imports.contains(unwanted), "{unwanted} is imported");
    }
}

/// Fixed widths, `size_t` and pointers: what is the same for every compiler.
#[test]
fn the_header_says_nothing_that_compilers_differ_on() {
    let code: String = code().lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words {
        for unwanted in [
            "enum", "bool", "_Bool", "int", "short", "long", "unsigned", "signed", "float", "double",
            "time_t", "off_t", "ssize_t", "va_list", "union", "wchar_t",
        ] {
            assert_ne!(word, unwanted);
        }
    }
    assert!(!code.contains("..."), "varargs");
    assert!(!code.contains(" : ") && !code.lines().any(|line| line.contains(':')), "bitfields");
}

/// The structs of the header with their fields.
fn structs() -> BTreeMap<String, Vec<String>> {
    let code = code();
    let mut found = BTreeMap::new();
    for part in code.split("typedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once('{') else { continue };
        if name.contains(';') {
            continue; // declared, not defined
        }
        let body = rest.split("\n}").next().expect("its end");
        let field = |line: &str| {
            let line = line.trim();
            let line = line.split_once("(*").map_or(line, |(_, callback)| callback);
            let name = match line.find([')', '[', ';']) {
                Some(end) => &line[..end],
                None => return None,
            };
            Some(name.rsplit([' ', '*']).next().unwrap_or_default().to_owned())
        };
        found.insert(name.trim().to_owned(), body.split_inclusive(';').filter_map(field).collect());
    }
    found
}

macro_rules! layout {
    ($out:ident; $($t:ident { $($field:ident),* $(,)? })*) => {$(
        let all = size_of::<camrill::ffi::$t>();
        $out.push(format!("{} {} {}", stringify!($t), all, align_of::<camrill::ffi::$t>()));
        $($out.push(format!(
            "{} {} {}",
            stringify!($t),
            stringify!($field).trim_start_matches("r#"),
            std::mem::offset_of!(camrill::ffi::$t, $field)
        ));)*
    )*};
}

#[test]
fn structs_have_the_same_layout_in_c_and_in_rust() {
    let mut rust = Vec::new();
    layout! { rust;
        camrill_event_t {
            struct_size, r#type, client, stream, vhost, app, name, param, address, reason, path, duration_us,
            bytes, relay, state, next_ms, reserved, url
        }
        camrill_admission_t {
            struct_size, action, ticket, client, vhost, app, name, param, address, tc_url, page_url
        }
        camrill_engine_config_t {
            struct_size, log_level, user, user_free, on_log, on_event, on_admission, on_resolve
        }
        camrill_stats_t {
            struct_size, connections, streams, publishers, players, reserved, accepted, refused, received_bytes,
            sent_bytes, media_bytes, uptime_us
        }
        camrill_stream_info_t {
            struct_size, id, published, publisher, players, video_codec, width, height, audio_codec, sample_rate,
            channels, rate_hint, video_frames, audio_frames, dropped_frames, received_bytes, held_bytes, live_us,
            vhost, app, name
        }
        camrill_client_info_t {
            struct_size, id, doing, stream, skips, reserved, received_bytes, sent_bytes, alive_us, address, vhost,
            app, name
        }
        camrill_program_info_t { struct_size, argc, name, argv, log }
        camrill_publisher_config_t {
            struct_size, queue_bytes, vhost, app, name, tracks, user, user_free, need_keyframe, rate_hint,
            rate_min, rate_max, flags, max_hold_ms
        }
        camrill_tracks_t {
            video_codec, audio_codec, video_format, audio_rate, audio_channels, reserved, video_config,
            video_config_size, audio_config, audio_config_size
        }
        camrill_iov_t { data, size }
        camrill_frame_t {
            struct_size, codec, pts_us, dts_us, data, size, iov, iov_count, flags, reserved
        }
        camrill_publisher_stats_t { struct_size, written, dropped, queued_bytes, held, late_copies }
        camrill_hls_file_t { struct_size, kind, name, data, size, duration_us }
        camrill_hls_config_t {
            struct_size, format, vhost, app, name, tracks, fragment_ms, window_ms, part_ms, max_bytes, flags,
            fragments_per_key, path, playlist, segment, header, user, user_free, on_file, on_remove, key, key_url
        }
        camrill_recorder_file_t { struct_size, what, path, reason, duration_us, bytes, frames, reserved }
        camrill_recorder_config_t {
            struct_size, plan, vhost, app, name, tracks, path,
            duration_ms, fragment_ms, preroll_ms, preroll_bytes, keep_ms, max_age_s, max_bytes, flags, reserved,
            user, user_free, on_file, sink
        }
        camrill_file_sink_t { struct_size, reserved, open, write, close }
        camrill_retry_t { first_ms, longest_ms, tries, stable_ms, connect_ms, stall_ms, reserved }
        camrill_relay_state_t { struct_size, direction, relay, stream, state, next_ms, reason, url }
        camrill_ingest_config_t {
            struct_size, flags, vhost, app, name, inputs, input_count, linger_ms, reserved, retry, user, user_free,
            on_state
        }
        camrill_forward_config_t {
            struct_size, flags, vhost, app, name, url, retry, user, user_free, on_state
        }
        camrill_relay_info_t {
            struct_size, id, stream, direction, state, next_ms, failures, starts, skips, reserved, bytes,
            running_us, vhost, app, name, url, reason
        }
        camrill_packet_info_t {
            struct_size, track, codec, flags, pts_us, dts_us, data, size, iov, iov_count
        }
        camrill_track_info_t {
            struct_size, codec, fourcc, width, height, frame_rate_num, frame_rate_den, profile, level, sample_rate,
            channels, reserved, config, config_size
        }
        camrill_player_config_t {
            struct_size, flags, vhost, app, name, url, retry, user, user_free, on_tracks, on_packet, on_state
        }
        camrill_player_info_t {
            struct_size, state, stream, paused, next_ms, failures, starts, skips, packets, bytes, received_bytes,
            url, reason
        }
        camrill_http_request_t {
            struct_size, ticket, client, mount, method, path, query, address, headers, body, body_size
        }
        camrill_transport_t {
            struct_size, reserved, user, user_free, open, handshake, read, write, error, close
        }
        camrill_http_mount_t { struct_size, ports, path, user, user_free, on_request, on_writable, on_closed }
    }
    let mut program = String::from(
        "#include <stdio.h>\n#include <camrill.h>\n#define ALIGN(t) offsetof(struct { char c; t x; }, x)\n\
         int main(void) {\n",
    );
    for (name, fields) in structs() {
        program += &format!("printf(\"{name} %zu %zu\\n\", sizeof({name}), ALIGN({name}));\n");
        for field in fields {
            program += &format!("printf(\"{name} {field} %zu\\n\", offsetof({name}, {field}));\n");
        }
    }
    program += "return 0; }\n";
    let dir = TempDir::new();
    let (source, binary) = (dir.join("layout.c"), dir.join("layout"));
    std::fs::write(&source, program).expect("the program");
    let include = format!("-I{}", repository("include").display());
    let compiled = Command::new("cc").args(["-std=c11", &include, "-o"]).args([&binary, &source]).status();
    assert!(compiled.expect("a C compiler").success());
    let printed = Command::new(&binary).output().expect("the program").stdout;
    let mut c: Vec<String> = String::from_utf8_lossy(&printed).lines().map(str::to_owned).collect();
    c.sort();
    rust.sort();
    assert_eq!(c, rust);
}
