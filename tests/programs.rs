//! What camrill-server runs beside itself: FFmpeg for an ingest, started, started again, stopped, and nothing of it
//! left behind.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::clients::{self, Kind, Player};
use support::flv::{self, VIDEO};
use support::process::Process;
use support::server::{self, Server};
use support::{PATIENCE, TempDir};

/// Three seconds of pictures and sound in a container that only FFmpeg reads.
fn matroska(dir: &TempDir) -> PathBuf {
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
    let flv = clients::encode(clients::ffmpeg, dir, &codecs);
    let path = dir.join("clip.mkv");
    let mut copy = clients::ffmpeg();
    Process::start(copy.arg("-i").arg(flv).args(["-c", "copy"]).arg(&path)).finish();
    path
}

/// A shell script in FFmpeg's place.
fn script(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a script");
    path
}

/// An ingest that takes FFmpeg.
fn ingest(name: &str, input: &str, ffmpeg: &Path, engine: &str) -> String {
    let ffmpeg = ffmpeg.display();
    format!(
        "ingest {name} {{ enabled on; input {{ {input} }} ffmpeg \"{ffmpeg}\"; engine {{ {engine} }} }}\n"
    )
}

const STREAM: &str = "type stream; url rtsp://192.0.2.1/1;";
const NO_LOGS: &str = "ff_log_dir /dev/null;";

/// The process that the `n`th start of an ingest has made.
fn started(server: &Server, n: usize, name: &str) -> u32 {
    let line = server.wait_log(n, &format!("/ingest/{name}: runs as process "));
    let number = line.rsplit(' ').next().and_then(|pid| pid.parse().ok());
    number.unwrap_or_else(|| panic!("no process in {line:?}"))
}

/// The numbers after a process's state in /proc: its parent, its group; none once nobody has its number.
fn stat(pid: u32) -> Option<(char, u32, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, a bracket too.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The children of a process and their states.
fn children(parent: u32) -> Vec<(u32, char)> {
    let all = std::fs::read_dir("/proc").expect("/proc");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let of_parent = |pid: u32| stat(pid).filter(|(_, of, _)| *of == parent).map(|(state, ..)| (pid, state));
    pids.filter_map(of_parent).collect()
}

#[track_caller]
fn assert_children(server: &Server, expected: &[u32]) {
    let mut found = children(server.id());
    found.sort_unstable();
    let (pids, states): (Vec<u32>, String) = found.into_iter().unzip();
    assert_eq!(pids, expected);
    assert!(!states.contains('Z'), "a child that has ended is waited for: {states}");
}

/// Looks again and again until there is an answer: what is looked at has no event to wait for.
#[track_caller]
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a file holds, once it has so many lines.
#[track_caller]
fn wait_lines(path: &Path, lines: usize) -> String {
    until(&format!("line {lines} of {}", path.display()), || {
        let text = std::fs::read_to_string(path).ok()?;
        (text.matches('\n').count() >= lines).then_some(text)
    })
}

#[test]
fn a_file_that_ffmpeg_reads_is_transcoded_and_played() {
    let dir = TempDir::new();
    let file = format!("type file; url \"{}\";", matroska(&dir).display());
    let engine = "enabled on; perfile { stream_loop -1; }
        vcodec libx264; vbitrate 200; vfps 10; vwidth 160; vheight 90; vthreads 1; vprofile baseline;
        vpreset ultrafast; vparams { g 10; } acodec copy;";
    let camera = ingest("camera", &file, Path::new("ffmpeg"), engine);
    let top = format!("ff_log_dir {};", dir.join("").display());
    let server = Server::configured(&top, &camera);
    let first = started(&server, 1, "camera");
    server.wait_publish("camera", 1);
    let player = Player::start(Kind::Rtmpdump, &server.url("camera"));
    let tags = player.wait("a second of pictures", |tags| flv::track(tags, VIDEO).len() > 10);
    // Ten a second, as the engine says; the file has 25.
    let times: Vec<u32> = flv::track(&tags, VIDEO).iter().map(|tag| tag.time).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 100), "{times:?}");
    assert_children(&server, &[first]);
    let log = std::fs::read_to_string(dir.join("ffmpeg-ingest-__defaultVhost__-live-camera.log"));
    let log = log.expect("FFmpeg's log");
    assert!(log.contains("clip.mkv") && log.contains("160x90"), "{log}");

    // Killed, it comes again, and its player goes on.
    // SAFETY: kill takes plain numbers; the server waits for its child only once it has ended.
    unsafe { libc::kill(first as i32, libc::SIGKILL) };
    server.wait_log(1, "/ingest/camera: was ended by signal 9; starting it again in 3 s");
    assert_children(&server, &[]);
    let second = started(&server, 2, "camera");
    assert_ne!(first, second);
    server.wait_publish("camera", 2);
    let before = player.wait("pictures", |tags| !tags.is_empty()).len();
    player.wait("pictures of the second", |tags| flv::track(&tags[before..], VIDEO).len() > 10);
    assert_children(&server, &[second]);

    // No longer asked for, it goes, and not as one that has failed.
    server.reload(1, &top, "");
    server.wait_log(1, "/ingest/camera: stopped");
    server.wait_unpublish("camera", 2);
    assert_children(&server, &[]);
    assert!(stat(second).is_none());
}

#[test]
fn an_ingest_publishes_to_another_server() {
    let dir = TempDir::new();
    let other = Server::start("");
    let file = format!("type file; url \"{}\";", clients::cut(&dir, 0, 4).display());
    let engine = format!("output {};", other.url("copy"));
    let server = Server::configured(NO_LOGS, &ingest("camera", &file, Path::new("ffmpeg"), &engine));
    other.wait_publish("copy", 1);
    // The end of a file is no failure: it is played again.
    server.wait_log(1, "/ingest/camera: ended with code 0; starting it again in 3 s");
    other.wait_publish("copy", 2);
}

#[test]
fn what_cannot_be_run_is_said_and_tried_again() {
    let dir = TempDir::new();
    let missing = dir.join("ffmpeg");
    let server = Server::configured(NO_LOGS, &ingest("camera", STREAM, &missing, ""));
    let why = format!("/ingest/camera: can't run {}: No such file or directory; ", missing.display());
    server.wait_log(1, &format!("{why}trying again in 3 s"));
    // The others are served.
    let player = Player::start(Kind::Rtmpdump, &server.url("test"));
    server.wait_play("test", 1);
    let clip = clients::cut(&dir, 0, 2);
    clients::publish(clients::ffmpeg(), &clip, &server.url("test")).finish();
    player.expect(&flv::read(&clip));
    // Later and later.
    server.wait_log(1, &format!("{why}trying again in 6 s"));
    assert_children(&server, &[]);
    // Another path is tried at once.
    let program = script(&dir, "exit 7");
    server.reload(1, NO_LOGS, &ingest("camera", STREAM, &program, ""));
    server.wait_log(1, "/ingest/camera: ended with code 7; starting it again in 3 s");
    server.wait_log(1, "/ingest/camera: ended with code 7; starting it again in 6 s");
    assert_children(&server, &[]);
}

#[test]
fn a_program_has_nothing_of_the_servers() {
    let dir = TempDir::new();
    let seen = dir.join("seen");
    let text = format!(
        "{{ ls -l /proc/$$/fd; grep ^Sig /proc/self/status; for word in \"$@\"; do echo \"<$word>\"; done; \
         echo end; }} >{0}.part\nmv {0}.part {0}\nexec sleep 100",
        seen.display()
    );
    let config = dir.join("camrill.conf");
    let blocks = ingest("camera", "type stream; url 'rtsp://a b/$(c)';", &script(&dir, &text), "");
    let top = "listen 127.0.0.1:0; ff_log_dir /dev/null; http_server { enabled on; listen 127.0.0.1:0; }";
    std::fs::write(&config, format!("{top} vhost __defaultVhost__ {{ {blocks} }}"))
        .expect("the configuration");
    // A server that was started with signals ignored.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP PIPE USR2; exec \"$0\" -c \"$1\""]).arg(server::program()).arg(&config);
    let mut process = Process::start(&mut command);
    let line = process.wait_log(1, "/ingest/camera: runs as process ");
    let pid: u32 = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a process");
    let seen = wait_lines(&seen, 1);
    for open in ["socket:", "anon_inode:"] {
        assert!(!seen.contains(open), "{seen}");
    }
    // Of the signals that have names: the C library keeps two for itself.
    for mask in ["SigBlk:\t", "SigIgn:\t"] {
        let hex = seen.split(mask).nth(1).and_then(|rest| rest.lines().next()).expect("the mask");
        assert_eq!(u64::from_str_radix(hex, 16).expect("a number") & 0x7fff_ffff, 0, "{mask}{hex}");
    }
    assert!(seen.contains("<rtsp://a b/$(c)>\n"), "{seen}");
    assert_eq!(stat(pid).map(|(_, parent, group)| (parent, group)), Some((process.id(), pid)));
    process.terminate();
    assert!(process.wait_end(Duration::from_secs(3)).is_some_and(|status| status.success()));
    assert!(stat(pid).is_none());
}

#[test]
fn one_that_does_not_listen_is_killed_and_what_it_has_started_too() {
    let dir = TempDir::new();
    let pids = dir.join("pids");
    let text = format!(
        "trap '' TERM\nsleep 100 &\necho \"$$ $!\" >{0}.part\nmv {0}.part {0}\nwhile :; do wait; done",
        pids.display()
    );
    let server = Server::configured(NO_LOGS, &ingest("camera", STREAM, &script(&dir, &text), ""));
    let both = wait_lines(&pids, 1);
    let both: Vec<u32> = both.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    assert_eq!(both[0], started(&server, 1, "camera"));
    assert_eq!(stat(both[1]).map(|(_, parent, group)| (parent, group)), Some((both[0], both[0])));
    // Within the three seconds that a server has.
    drop(server);
    assert!(stat(both[0]).is_none());
    // Its own child has been killed, and is for the system to wait for.
    until("its end", || stat(both[1]).is_none_or(|(state, ..)| state == 'Z').then_some(()));
}

#[test]
fn a_reload_touches_only_what_has_changed() {
    let dir = TempDir::new();
    let program = script(&dir, "echo \"$@\"\nexec sleep 100");
    let log = |name: &str| dir.join(&format!("ffmpeg-ingest-__defaultVhost__-live-{name}.log"));
    // What was written before goes on, unless it has become too much.
    std::fs::write(log("a"), "before\n").expect("a log");
    std::fs::write(log("b"), vec![b'x'; 1024 * 1024 + 1]).expect("a log");
    let top = format!("ff_log_dir {};", dir.join("").display());
    let [a, b] = ["a", "b"].map(|name| ingest(name, STREAM, &program, ""));
    let server = Server::configured(&top, &format!("{a}{b}"));
    let (first, kept) = (started(&server, 1, "a"), started(&server, 1, "b"));
    let port = server.port();
    let said = |bitrate: &str| {
        format!(
            "-loglevel info -nostats -i rtsp://192.0.2.1/1 {bitrate} -f flv \
             -y rtmp://127.0.0.1:{port}/live/a?vhost=__defaultVhost__\n"
        )
    };
    let old = said("-vcodec copy -acodec copy");
    assert_eq!(wait_lines(&log("a"), 2), format!("before\n{old}"));
    assert_eq!(wait_lines(&log("b"), 1), old.replace("/a?", "/b?"));

    let changed = ingest("a", STREAM, &program, "enabled on; vcodec libx264; vbitrate 100;");
    server.reload(1, &top, &format!("{changed}{b}"));
    let second = started(&server, 2, "a");
    // The old one had ended before the new one began.
    let lines = server.said();
    let at = |what: &str| lines.iter().position(|line| line.contains(what)).expect("the line");
    assert!(at("/ingest/a: stopped") < at(&format!("/ingest/a: runs as process {second}")));
    assert!(stat(first).is_none());
    let mut both = [kept, second];
    both.sort_unstable();
    assert_children(&server, &both);
    let new = said("-vcodec libx264 -b:v 100000 -acodec copy");
    assert_eq!(wait_lines(&log("a"), 3), format!("before\n{old}{new}"));

    // One that is asked for again while it ends is there again.
    server.reload(2, &top, &b);
    server.reload(3, &top, &format!("{changed}{b}"));
    let third = started(&server, 3, "a");
    assert_ne!(second, third);
    drop(server);
    for pid in [kept, second, third] {
        assert!(stat(pid).is_none());
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let dir = TempDir::new();
    let top = format!("ff_log_dir {};", dir.join("nowhere").display());
    let server = Server::configured(&top, &ingest("camera", STREAM, &script(&dir, "exit 1"), ""));
    server.wait_log(1, "is left out: No such file or directory");
    server.wait_log(1, "/ingest/camera: ended with code 1; starting it again in 6 s");
    assert_eq!(server.said().iter().filter(|line| line.contains("is left out")).count(), 1);
}
