//! The C programs of `examples-c`, built with the sanitizers and used as their users do.

mod support;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use support::certificates::Authority;
use support::clients::{self, Kind, Player};
use support::flv::{self, VIDEO};
use support::process::Process;
use support::{TempDir, repository, target};

/// An example's program, on the static library, with AddressSanitizer and UBSan; or as it is in the folder that
/// `CAMRILL_EXAMPLES` names, built for another machine.
fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("CAMRILL_EXAMPLES") {
        return PathBuf::from(folder).join(name);
    }
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args([
                "rustc",
                "--quiet",
                "--release",
                "--lib",
                "--crate-type",
                "cdylib,staticlib",
                "--target-dir",
            ])
            .arg(target());
        assert!(build.current_dir(repository("")).status().expect("cargo").success());
        let folder = target().join("sanitized");
        std::fs::create_dir_all(&folder).expect("a folder");
        let names = [
            "auth",
            "camrill-camera",
            "camrill-server",
            "encoder-thread",
            "epoll-loop",
            "forward-following",
            "own-page",
            "play-url",
            "record-on-trigger",
            "relay",
            "serve-from-ram",
            "smallest-server",
            "transport-mbedtls",
            "transport-openssl",
        ];
        let children = names.map(|name| {
            let mut cc = Command::new("cc");
            cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-Iinclude"]);
            cc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o"]);
            cc.arg(folder.join(name)).arg(format!("examples-c/{name}.c"));
            if name == "camrill-server" {
                cc.arg("examples-c/programs.c");
            }
            cc.arg(target().join("release/libcamrill.a"));
            cc.args(match name {
                "transport-mbedtls" => &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"][..],
                "transport-openssl" => &["-lssl", "-lcrypto"],
                _ => &[],
            });
            cc.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"]);
            cc.current_dir(repository("")).spawn().expect("a C compiler")
        });
        for mut child in children {
            assert!(child.wait().expect("a C compiler").success());
        }
        folder
    });
    folder.join(name)
}

/// A command whose standard output joins its log.
fn logged(name: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >&2"]).arg(program(name));
    command
}

/// The number right behind `before` in a line.
fn number(line: &str, before: &str) -> u16 {
    let rest = line.split(before).nth(1).unwrap_or_else(|| panic!("no {before:?} in {line:?}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no port in {line:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn smallest_server_serves() {
    let server = Process::start(logged("smallest-server").arg("127.0.0.1:0"));
    let port = number(&server.wait_log(1, "rtmp listening on"), "127.0.0.1:");
    let url = format!("rtmp://127.0.0.1:{port}/live/test");
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 2);
    let player = Player::start(Kind::Rtmpdump, &url);
    server.wait_log(1, "plays");
    clients::publish(clients::ffmpeg(), &clip, &url).finish();
    player.expect(&flv::read(&clip));
    let taken = format!("127.0.0.1:{port}");
    let second = Command::new(program("smallest-server")).arg(&taken).output().expect("a second one");
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains(&taken), "{}", text(&second.stderr));
    let wrong = Command::new(program("smallest-server")).arg("port").output().expect("a wrong one");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("listen"), "{}", text(&wrong.stderr));
}

/// Real clients through another library's TLS, and whoever speaks none.
#[test]
fn transports_of_other_libraries_serve_rtmps() {
    for name in ["transport-openssl", "transport-mbedtls"] {
        let dir = TempDir::new();
        let pair = Authority::new().pair(&["localhost", "127.0.0.1"]);
        let (cert, key) = (dir.join("server.crt"), dir.join("server.key"));
        std::fs::write(&cert, pair.cert).expect("a file");
        std::fs::write(&key, pair.key).expect("a file");
        let mut server = Process::start(logged(name).arg("127.0.0.1:0").arg(&cert).arg(&key));
        let port = number(&server.wait_log(1, "rtmps listening on"), "127.0.0.1:");
        let url = format!("rtmps://127.0.0.1:{port}/live/test");
        let clip = clients::cut(&dir, 0, 6);
        let players = [Kind::Ffmpeg, Kind::NewFfmpeg, Kind::Rtmpdump].map(|kind| Player::start(kind, &url));
        server.wait_log(3, "] plays ");
        clients::publish(clients::ffmpeg(), &clip, &url).finish();
        for player in &players {
            player.expect(&flv::read(&clip));
        }
        drop(players);
        server.wait_log(3, "] stopped playing ");
        let mut plain = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a server");
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("a server that reads");
        let line = server.wait_log(1, "closed: TLS: ");
        assert!(!line.contains("transport answered"), "it says why: {line}");
        assert!(server.is_running());
        let wrong = Command::new(program(name)).arg("0").arg(&key).arg(&key).output().expect("a wrong one");
        assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stderr));
    }
}

/// From one program to another, whose certificate is looked at.
#[test]
fn transports_of_other_libraries_send_on_to_whom_they_trust() {
    let (authority, dir) = (Authority::new(), TempDir::new());
    std::fs::write(dir.join("ca.pem"), &authority.pem).expect("a file");
    let clip = clients::cut(&dir, 0, 6);
    let start = |name: &str, host: &str, to: &[String]| {
        let pair = authority.pair(&[host]);
        let (cert, key) = (dir.join(&format!("{host}.crt")), dir.join(&format!("{host}.key")));
        std::fs::write(&cert, pair.cert).expect("a file");
        std::fs::write(&key, pair.key).expect("a file");
        let mut command = logged(name);
        command.arg("127.0.0.1:0").arg(&cert).arg(&key).args(to);
        if name == "transport-openssl" {
            command.env("SSL_CERT_FILE", dir.join("ca.pem"));
        }
        let program = Process::start(&mut command);
        let port = number(&program.wait_log(1, "rtmps listening on"), "127.0.0.1:");
        (program, port)
    };
    // mbedTLS's program trusts the system's authorities alone.
    let refusals = [
        ("transport-openssl", "TLS: hostname mismatch"),
        (
            "transport-mbedtls",
            "TLS: X509 - Certificate verification failed, e.g. CRL, CA or signature check failed",
        ),
    ];
    for (name, refusal) in refusals {
        let (_other, port) = start(name, "other.example", &[]);
        let url = format!("rtmps://localhost:{port}/live/[stream]");
        let (sender, port) = start(name, "sender", &[url]);
        let _publisher = clients::publish_live(&clip, &format!("rtmps://127.0.0.1:{port}/live/test"));
        let line = sender.wait_log(1, "trying again in");
        assert!(line.contains(&format!(": {refusal}; trying")), "{line}");
    }
    let (server, port) = start("transport-openssl", "localhost", &[]);
    let url = format!("rtmps://127.0.0.1:{port}/live/test");
    let player = Player::start(Kind::Rtmpdump, &url);
    server.wait_log(1, "] plays ");
    let (_sender, port) =
        start("transport-openssl", "sender", &[format!("rtmps://localhost:{port}/live/[stream]")]);
    let _publisher = clients::publish_live(&clip, &format!("rtmps://127.0.0.1:{port}/live/test"));
    let came = player.wait("pictures", |tags| flv::track(tags, VIDEO).len() > 50);
    flv::assert_part(&flv::frames(&came), &flv::frames(&flv::read(&clip)));
}

#[test]
fn epoll_loop_takes_commands_beside_clients() {
    let (mut server, mut stdin) = Process::fed(logged("epoll-loop").arg("127.0.0.1:0"));
    let port = number(&server.wait_log(1, "rtmp on port"), "rtmp on port ");
    stdin.write_all(b"streams\n").expect("a program that reads");
    server.wait_log(1, "0 streams");
    let url = format!("rtmp://127.0.0.1:{port}/live/test");
    let player = Player::start(Kind::Rtmpdump, &url);
    server.wait_log(1, "play live/test 127.0.0.1:");
    server.wait_log(1, "1 players");
    let (publisher, pipe) = clients::publish_pipe(&url);
    let clip = std::fs::read(repository("assets/clip.flv")).expect("the clip");
    let mut pipe = pipe;
    pipe.write_all(&clip).expect("a publisher that reads");
    player.wait("pictures", |tags| flv::track(tags, VIDEO).len() > 50);
    stdin.write_all(b"streams\nstreams\n").expect("a program that reads");
    server.wait_log(2, "live/test 640x360, 1 players, ");
    drop(pipe);
    publisher.finish();
    server.wait_log(1, "unpublished live/test");
    drop(player);
    server.wait_log(1, "stop live/test");
    stdin.write_all(b"quit\n").expect("a program that reads");
    assert!(server.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
}

#[test]
fn own_page_shows_a_picture_and_keeps_settings() {
    let server = Process::start(logged("own-page").arg("127.0.0.1:0"));
    let port = number(&server.wait_log(1, "http on port"), "http on port ");
    let ask = |request: &str, body: &str| {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a server");
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        socket.write_all((head + body).as_bytes()).expect("a server that reads");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("a server that answers");
        answer
    };
    assert!(text(&ask("GET /config", "")).ends_with("\r\n\r\n{\"brightness\":50}\n"));
    assert!(text(&ask("POST /config", "brightness=70")).ends_with("\r\n\r\n{\"brightness\":70}\n"));
    for wrong in ["", "brightness=101", "x", &"brightness=1".repeat(10)] {
        assert!(text(&ask("POST /config", wrong)).starts_with("HTTP/1.1 400 "), "{wrong}");
    }
    assert!(text(&ask("GET /config", "")).ends_with("\r\n\r\n{\"brightness\":70}\n"));
    let picture = ask("GET /snapshot.jpg", "");
    let start = picture.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
    assert!(text(&picture).contains("Content-Type: image/jpeg\r\n"));
    let dir = TempDir::new();
    let (jpeg, grey) = (dir.join("snapshot.jpg"), dir.join("grey"));
    std::fs::write(&jpeg, &picture[start..]).expect("the picture");
    let args = ["-xerror", "-f", "rawvideo", "-pix_fmt", "gray", "-y"];
    let decoded = clients::ffmpeg().arg("-i").arg(&jpeg).args(args).arg(&grey).status().expect("ffmpeg");
    assert!(decoded.success() && std::fs::read(&grey).expect("its pixel").len() == 1);
}

/// Each packet of a video: its times and its hash.
fn packets(input: &str) -> Vec<[String; 3]> {
    let mut ffmpeg = clients::ffmpeg();
    ffmpeg.args(["-copyts", "-i", input, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-"]);
    let out = ffmpeg.output().expect("ffmpeg");
    let lines = text(&out.stdout);
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            [fields[1].to_owned(), fields[2].to_owned(), fields[5].to_owned()]
        })
        .collect()
}

/// What ffmpeg gets of the encoder is the clip, access unit by access unit, at the clip's times.
#[test]
fn encoder_thread_is_watched_with_ffmpeg() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 4);
    let mut encoder = Process::start(logged("encoder-thread").arg(&clip).args(["127.0.0.1:0", "1"]));
    let port = number(&encoder.wait_log(1, "rtmp://"), "127.0.0.1:");
    let came = packets(&format!("rtmp://127.0.0.1:{port}/live/camera"));
    assert!(encoder.wait_end(Duration::from_secs(5)).is_some_and(|status| status.success()));
    let sent = packets(&clip.display().to_string());
    assert_eq!(sent.len(), 100);
    // From the first keyframe on, or the second one on a busy machine; the end may be cut.
    let first = sent.iter().position(|packet| packet[2] == came[0][2]).expect("a frame of the clip");
    assert!(came.len() + 50 > sent.len(), "only {} packets", came.len());
    assert_eq!(came[..], sent[first..first + came.len()]);
}

/// What follows the network is a stream that decoders take; the hints over a narrow way have a test of their own.
#[test]
fn forward_following_sends_a_picture_on() {
    let last = Process::start(logged("smallest-server").arg("127.0.0.1:0"));
    let port = number(&last.wait_log(1, "rtmp listening on"), "127.0.0.1:");
    let url = format!("rtmp://127.0.0.1:{port}/live/camera");
    let mut following = logged("forward-following");
    let mut following = Process::start(following.args([&url, "127.0.0.1:0", "2000", "4"]));
    last.wait_log(1, "publishes");
    let mut decoder = clients::ffmpeg();
    decoder.args(["-xerror", "-analyzeduration", "500k", "-i", &url, "-t", "1", "-f", "null", "-"]);
    let mut decoder = Process::start(&mut decoder);
    assert!(decoder.wait_end(Duration::from_secs(20)).is_some_and(|status| status.success()));
    assert_eq!(decoder.said(), [""; 0]);
    let end = following.wait_end(Duration::from_secs(10));
    assert!(end.is_some_and(|status| status.success()), "{:?}", following.said());
    let wrong = Command::new(program("forward-following")).arg("http://x").output().expect("a wrong one");
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong.stderr));
    assert!(text(&wrong.stderr).contains("http://x"), "{}", text(&wrong.stderr));
}

#[test]
fn encoder_thread_says_what_it_wants() {
    let out = Command::new(program("encoder-thread")).output().expect("the program");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).starts_with("usage: encoder-thread"));
}

/// Pictures as they come out of a decoder: when each is shown, in ms, and its hash.
fn pictures(mut ffmpeg: Command, input: &[&str]) -> Vec<(String, String)> {
    ffmpeg.args(input).args(["-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "1/1000"]);
    let out = ffmpeg.args(["-f", "framemd5", "-"]).output().expect("ffmpeg");
    assert!(out.stderr.is_empty(), "{}", text(&out.stderr));
    let lines = text(&out.stdout);
    let frames = lines.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].to_owned(), fields[5].to_owned())
    });
    frames.collect()
}

/// An elementary stream on standard input comes out as it went in, with several slices and with parameter sets before
/// each keyframe, whatever the pipe cuts it into.
#[test]
fn camrill_camera_serves_what_an_encoder_gives() {
    let dir = TempDir::new();
    for (format, options) in [("h264", &["libx264", "-x264-params", "slices=3"][..]), ("hevc", &["libx265"])]
    {
        let (stream, config) = (dir.join(format), dir.join("camera.conf"));
        let mut make = clients::ffmpeg();
        make.args([
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=320x240:r=25",
            "-t",
            "3",
            "-bf",
            "0",
            "-g",
            "25",
            "-c:v",
        ]);
        make.args(options).args(["-f", format]).arg(&stream);
        assert!(make.status().expect("ffmpeg").success());
        std::fs::write(&config, "listen 127.0.0.1:0; vhost __defaultVhost__ {}").expect("a file");
        let mut camera = logged("camrill-camera");
        camera.arg("-c").arg(&config).args(["-f", "25", "-s", "a/b"]);
        if format == "hevc" {
            camera.arg("-5");
        }
        let (mut camera, mut input) = Process::fed(&mut camera);
        let port = number(&camera.wait_log(1, "rtmp listening on"), "127.0.0.1:");
        let copy = dir.join("copy.flv");
        let mut player = clients::new_ffmpeg();
        let url = format!("rtmp://127.0.0.1:{port}/a/b");
        let mut player = Process::start(player.args(["-i", &url, "-c", "copy", "-y"]).arg(&copy));
        camera.wait_log(1, "plays");
        for piece in std::fs::read(&stream).expect("the stream").chunks(997) {
            input.write_all(piece).expect("it reads");
        }
        drop(input);
        assert!(camera.wait_end(Duration::from_secs(10)).is_some_and(|status| status.success()));
        player.wait_end(Duration::from_secs(10));
        let sent = pictures(clients::new_ffmpeg(), &["-r", "25", "-i", stream.to_str().expect("a path")]);
        let came = pictures(clients::new_ffmpeg(), &["-i", copy.to_str().expect("a path")]);
        assert_eq!(sent.len(), 75);
        assert_eq!(came, sent, "{format}");
    }
    let run = |args: &[&str]| {
        let out = Command::new(program("camrill-camera")).args(args).output().expect("the program");
        (out.status.code(), text(&out.stderr))
    };
    let (code, said) = run(&["/dev/null"]);
    assert_eq!((code, said.starts_with("camrill-camera: /dev/null: ")), (Some(1), true), "{said}");
    assert_eq!(run(&["-s", "live"]).0, Some(2));
}

/// A publisher with the key and a player with a ticket may come, the others are told why not, and nobody waits for
/// those who are asked about.
#[test]
fn auth_asks_who_comes() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 2);
    let auth = Process::start(logged("auth").arg("127.0.0.1:0"));
    let port = number(&auth.wait_log(1, "rtmp://"), "127.0.0.1:");
    let url = |param: &str| format!("rtmp://127.0.0.1:{port}/live/camera?{param}");
    let refused = clients::publish_live(&clip, &url("key=wrong"));
    refused.wait_log(1, "The key is wrong.");
    let refused = Player::start(Kind::Rtmpdump, &url("ticket=tin"));
    let player = Player::start(Kind::Rtmpdump, &url("ticket=gold"));
    clients::publish_live(&clip, &url("key=secret")).finish();
    player.expect(&flv::read(&clip));
    assert!(refused.wait("nothing", |_| true).is_empty());
}

/// A signal begins a file with what came before, another one makes it longer; the end ends it properly.
#[test]
fn record_on_trigger_records_what_came_before() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 4);
    let file = dir.join("alarm-[seq].mp4");
    let mut camera = Process::start(logged("record-on-trigger").arg(&clip).arg(&file).arg("2"));
    camera.wait_log(1, "live/camera is live");
    std::thread::sleep(Duration::from_secs(3));
    camera.signal(libc::SIGUSR1);
    camera.wait_log(1, "recording ");
    let line = camera.wait_log(1, "recorded ");
    let path = dir.join("alarm-0.mp4").display().to_string();
    assert!(line.contains(&path), "{line}");
    let recorded = packets(&path);
    // Three seconds before the signal and two after it, less what a busy machine takes.
    assert!(recorded.len() > 75 && recorded.len() < 175, "{} pictures", recorded.len());
    let sent = packets(&clip.display().to_string());
    let first = sent.iter().position(|packet| packet[2] == recorded[0][2]).expect("a frame of the clip");
    for (at, packet) in recorded.iter().enumerate() {
        assert_eq!(packet[2], sent[(first + at) % sent.len()][2], "picture {at}");
    }
    // Stopped while it records: the file is whole.
    camera.signal(libc::SIGUSR1);
    camera.wait_log(2, "recording ");
    camera.terminate();
    assert!(camera.wait_end(Duration::from_secs(5)).is_some_and(|status| status.success()));
    camera.wait_log(2, "recorded ");
    assert!(!packets(&dir.join("alarm-1.mp4").display().to_string()).is_empty());
    let out = Command::new(program("record-on-trigger")).output().expect("the program");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).starts_with("usage: record-on-trigger"));
}

/// What the encoder has given is what a player sees, picture by picture; who asks for what is to come waits for it.
#[test]
fn serve_from_ram_has_every_picture_of_the_encoders() {
    let dir = TempDir::new();
    let clip = dir.join("clip.h264");
    let mut encoder = clients::ffmpeg();
    encoder.args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=9", "-c:v", "libx264"]);
    encoder.args(["-bf", "0", "-g", "25", "-x264-params", "aud=1"]).arg(&clip);
    assert!(encoder.status().expect("ffmpeg").success());
    let clip = clip.display().to_string();
    // 150 pictures are three segments; the fourth needs a keyframe more.
    let pictures = |options: &[&str], input: &str| {
        let mut ffmpeg = clients::ffmpeg();
        ffmpeg.args(options).args(["-i", input, "-map", "0:v", "-frames:v", "150", "-f", "framemd5", "-"]);
        let out = ffmpeg.output().expect("ffmpeg");
        let lines = text(&out.stdout);
        let hash = |line: &str| line.rsplit(',').next().map(|hash| hash.trim().to_owned());
        lines.lines().filter(|line| !line.starts_with('#')).filter_map(hash).collect::<Vec<_>>()
    };

    let (mut server, mut stdin) = Process::fed(logged("serve-from-ram").arg("127.0.0.1:0"));
    let port = number(&server.wait_log(1, "http://127.0.0.1:"), "127.0.0.1:");
    let ask = |path: &str| {
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("a server");
        write!(socket, "GET /camera/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("a server that answers");
        text(&answer)
    };
    let url = format!("http://127.0.0.1:{port}/camera/live.m3u8");
    let all = std::fs::read(&clip).expect("the clip");
    let (first, rest) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        // Both ask before there is anything.
        let player = scope.spawn(|| pictures(&["-live_start_index", "0"], &url));
        let waiting = scope.spawn(|| ask("live.m3u8"));
        stdin.write_all(first).expect("a program that reads");
        let list = waiting.join().expect("an answer");
        assert!(list.starts_with("HTTP/1.1 200 ") && list.contains("\n0.m4s\n"), "{list}");
        let to_come = scope.spawn(|| ask("live.m3u8?_HLS_msn=3"));
        assert!(ask("9.m4s").starts_with("HTTP/1.1 404 "));
        assert!(ask("live.m3u8?_HLS_msn=x").starts_with("HTTP/1.1 400 "));
        stdin.write_all(rest).expect("a program that reads");
        let list = to_come.join().expect("an answer");
        assert!(list.contains("\n3.m4s\n") && list.contains("#EXT-X-PART:"), "{list}");
        let (seen, made) = (player.join().expect("pictures"), pictures(&[], &clip));
        assert_eq!((seen.len(), made.len()), (150, 150));
        assert!(seen == made, "a picture differs");
    });
    drop(stdin);
    assert!(server.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
    assert!(server.said().iter().all(|line| !line.contains("left out")), "{:?}", server.said());
    let taken = Command::new(program("serve-from-ram")).arg("port").output().expect("the program");
    assert_eq!(taken.status.code(), Some(1));
    assert!(text(&taken.stderr).contains("listen"), "{}", text(&taken.stderr));
}

/// What one server is sent another one has, tag by tag, also when that comes only later.
/// What it has written, decoded, against the source.
#[test]
fn play_url_writes_what_decoders_take() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 2);
    let server = Process::start(logged("smallest-server").arg("127.0.0.1:0"));
    let port = number(&server.wait_log(1, "rtmp listening on"), "127.0.0.1:");
    let url = format!("rtmp://127.0.0.1:{port}/live/test");
    let ffmpeg = |file: &Path, output: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "error", "-i"]).arg(file).args(output).arg("-");
        let out = command.output().expect("ffmpeg");
        assert!(out.status.success() && out.stderr.is_empty(), "{}", text(&out.stderr));
        out.stdout
    };
    let pictures = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "md5"];
    let sounds = ["-map", "0:a", "-c", "copy", "-f", "adts"];
    // From a server until it is told to end, and a file to its own end.
    for from in [&url, &clip.display().to_string()] {
        let (video, audio) = (dir.join("out.h264"), dir.join("out.aac"));
        let mut player = Process::start(logged("play-url").arg(from).args([&video, &audio]));
        if from == &url {
            server.wait_log(1, "plays");
            clients::publish(clients::ffmpeg(), &clip, &url).finish();
            player.wait_log(1, "; again in ");
            player.terminate();
        } else {
            player.wait_log(1, "everything has been played");
        }
        assert!(player.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
        player.wait_log(1, "video: codec 1, 640x360");
        player.wait_log(1, "audio: codec 2, 44100 Hz, 2 channels");
        let count = flv::frames(&flv::read(&clip)).len();
        player.wait_log(1, &format!("{count} frames, "));
        assert_eq!(text(&ffmpeg(&video, &pictures)), text(&ffmpeg(&clip, &pictures)), "{from}");
        assert!(std::fs::read(&audio).expect("a file") == ffmpeg(&clip, &sounds), "{from}");
    }
    let wrong =
        Command::new(program("play-url")).arg("ftp://a/b").args([dir.join("v"), dir.join("a")]).output();
    let wrong = wrong.expect("the program");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("rtmp[s]://"), "{}", text(&wrong.stderr));
    let out = Command::new(program("play-url")).output().expect("the program");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).starts_with("usage: play-url"));
}

#[test]
fn relay_takes_a_stream_from_one_server_to_another() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 2);
    let from = Process::start(logged("smallest-server").arg("127.0.0.1:0"));
    let to = Process::start(logged("smallest-server").arg("127.0.0.1:0"));
    let [from_url, to_url] = [&from, &to].map(|server| {
        let port = number(&server.wait_log(1, "rtmp listening on"), "127.0.0.1:");
        format!("rtmp://127.0.0.1:{port}/live/test")
    });
    let mut relay = Process::start(logged("relay").arg(&from_url).arg(format!("{to_url}?key=secret")));
    relay.wait_log(1, &format!("from {from_url}: connecting"));
    from.wait_log(1, "plays");
    let player = Player::start(Kind::Rtmpdump, &to_url);
    to.wait_log(1, "plays");
    clients::publish_live(&clip, &from_url).finish();
    relay.wait_log(1, &format!("from {from_url}: running"));
    relay.wait_log(1, &format!("to {to_url}: running"));
    player.expect(&flv::read(&clip));
    to.kill();
    let line = relay.wait_log(1, &format!("to {to_url}: waiting "));
    assert!(line.contains(" ms: "), "{line}");
    relay.terminate();
    assert!(relay.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
    relay.wait_log(1, "begun 1 times");
    relay.wait_log(1, &format!("to {to_url}: ended"));
    assert!(relay.said().iter().all(|line| !line.contains("secret")));

    let wrong = Command::new(program("relay")).args([&from_url, "http://127.0.0.1/live/a"]).output();
    let wrong = wrong.expect("the program");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("rtmp://"), "{}", text(&wrong.stderr));
    let out = Command::new(program("relay")).output().expect("the program");
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).starts_with("usage: relay"));
}

fn server(args: &[&str]) -> Command {
    let mut command = Command::new(program("camrill-server"));
    command.args(args).env_remove("SRS_LISTEN");
    command
}

/// Runs it to its end, which must come by itself.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=1", "20"]).arg(program("camrill-server")).args(args).env_remove("SRS_LISTEN");
    let Output { status, stdout, stderr } = limited.output().expect("camrill-server");
    (status.code(), text(&stdout), text(&stderr))
}

fn write(path: &Path, content: &str) -> String {
    std::fs::write(path, content).expect("a file");
    path.display().to_string()
}

#[test]
fn camrill_server_has_the_usual_options() {
    let (code, out, _) = run(&["-v"]);
    assert_eq!((code, out.as_str()), (Some(0), concat!("camrill ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, out, _) = run(&["-h"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("usage: camrill-server"), "{out}");
    let wrong: [&[&str]; 4] = [&["-x"], &["-c"], &["extra"], &["-t", "extra"]];
    for args in wrong {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("usage: camrill-server"), "{args:?}: {err}");
    }
}

#[test]
fn camrill_server_checks_a_configuration() {
    let dir = TempDir::new();
    let file = dir.join("a.conf");
    let path = write(&file, "listen 1935;\nvhost __defaultVhost__ { }\n");
    let (code, _, err) = run(&["-t", "-c", &path]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("the configuration is right"), "{err}");
    write(&file, "listen 1935;\nmax_connections lots;\n");
    let (code, _, err) = run(&["-t", "-c", &path]);
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("{path}:2: max_connections")), "{err}");
    let (code, _, err) = run(&["-c", &path]);
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("{path}:2: max_connections")), "{err}");
    let (code, _, err) = run(&["-t", "-c", "/nowhere/a.conf"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("/nowhere/a.conf"), "{err}");
    let (code, _, err) = run(&["-t"]);
    assert_eq!(code, Some(0), "{err}");
    // What the environment says is checked too.
    let out = server(&["-t", "-e"]).env("SRS_LISTEN", "everywhere").output().expect("camrill-server");
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("SRS_LISTEN"), "{}", text(&out.stderr));
}

#[test]
fn camrill_server_takes_the_environment_above_the_file() {
    let dir = TempDir::new();
    let path = write(&dir.join("a.conf"), "listen 192.0.2.1:1935;\nvhost __defaultVhost__ { }\n");
    for args in [&["-e"][..], &["-e", "-c", &path]] {
        let mut server = Process::start(server(args).env("SRS_LISTEN", "127.0.0.1:0"));
        server.wait_log(1, "rtmp listening on 127.0.0.1:");
        server.terminate();
        assert!(server.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
    }
}

#[test]
fn camrill_server_says_which_port_is_taken() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address").to_string();
    let dir = TempDir::new();
    let path = write(&dir.join("a.conf"), &format!("listen {address};\n"));
    let (code, _, err) = run(&["-c", &path]);
    assert_eq!(code, Some(1));
    assert!(err.contains(&format!("listen {address}")) && err.contains("another program"), "{err}");
}

#[test]
fn camrill_server_obeys_its_signals() {
    let dir = TempDir::new();
    let file = dir.join("a.conf");
    let vhost = "vhost __defaultVhost__ { }\n";
    let path = write(&file, &format!("listen 127.0.0.1:0;\nmax_connections 50;\n{vhost}"));
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut server = Process::start(&mut server(&["-c", &path]));
        let port = number(&server.wait_log(1, "rtmp listening on"), "127.0.0.1:");
        let url = format!("rtmp://127.0.0.1:{port}/live/test");
        let _players = [Kind::Rtmpdump, Kind::Ffmpeg].map(|kind| Player::start(kind, &url));
        let (_publisher, _pipe) = clients::publish_pipe(&url);
        server.wait_log(2, "plays");
        // Somebody who has connected and says nothing.
        let _silent = std::net::TcpStream::connect(("127.0.0.1", port)).expect("the server");

        write(&file, &format!("listen 127.0.0.1:0;\nmax_connections 60;\n{vhost}"));
        server.signal(libc::SIGHUP);
        server.wait_log(1, "reloaded");
        write(&file, "listen 127.0.0.1:0;\nmax_connections some;\n");
        server.signal(libc::SIGHUP);
        let why = server.wait_log(1, "going on as before");
        assert!(why.contains(":2: max_connections"), "{why}");
        // What is refused only when it is applied leaves no trace either.
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = held.local_addr().expect("its address");
        write(&file, &format!("listen {taken};\nmax_connections 70;\n"));
        server.signal(libc::SIGHUP);
        let why = server.wait_log(2, "going on as before");
        assert!(why.contains(&taken.to_string()), "{why}");
        server.signal(libc::SIGUSR1);
        server.wait_log(1, "the configuration is written to");
        let running = std::fs::read_to_string(dir.join("a.conf.running")).expect("what is running");
        assert!(running.contains("max_connections") && running.contains("60"), "{running}");
        assert!(!dir.join("a.conf.running.tmp").exists());
        // It is a configuration, and the same one.
        let written = dir.join("a.conf.running").display().to_string();
        assert_eq!(run(&["-t", "-c", &written]).0, Some(0));
        assert!(server.is_running());

        let began = Instant::now();
        server.signal(signal);
        let status = server.wait_end(Duration::from_secs(3)).expect("it stops within three seconds");
        assert_eq!(status.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(3));
        write(&file, &format!("listen 127.0.0.1:0;\nmax_connections 50;\n{vhost}"));
    }
}

/// Without `listen` nothing is served over the network: that is for hosts that only publish to themselves,
/// so for a server it is worth a word.
#[test]
fn camrill_server_without_listen() {
    let dir = TempDir::new();
    let path = write(&dir.join("a.conf"), "vhost __defaultVhost__ { }\n");
    let (code, _, err) = run(&["-c", &path]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("listen"), "{err}");
    assert_eq!(run(&["-t", "-c", &path]).0, Some(1));
}
