//! HLS in a folder, where any web server may take it from: what lies there is whole at every moment, and
//! goes, stays and goes on as set.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::clients;
use support::encoder::{Clip, Encoder};
use support::hls::{self, Playlist};
use support::host::Host;
use support::server::Server;
use support::{PATIENCE, TempDir, repository};

const SECOND_US: i64 = 1_000_000;

fn host(path: &Path, settings: &str) -> Host {
    Host::start(&format!(
        "vhost __defaultVhost__ {{ play {{ time_jitter off; }}
         hls {{ enabled on; hls_fragment 2; hls_window 6; hls_path {}; {settings} }} }}",
        path.display()
    ))
}

fn clip() -> Clip {
    Clip::read(&repository("assets/clip.flv"), 10 * SECOND_US)
}

/// So many seconds of the clip, two at a time.
fn write(encoder: &Encoder<'_>, clip: &Clip, from_s: i64, seconds: i64) {
    for at in (from_s..from_s + seconds).step_by(2) {
        let from = at * SECOND_US % clip.length_us;
        encoder.write(clip.frames(from..from + 2 * SECOND_US, at * SECOND_US));
    }
}

/// Waits for something of a folder, which changes behind our back.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(folder: &Path) -> Option<Playlist> {
    let text = std::fs::read_to_string(folder.join("live/test.m3u8")).ok()?;
    hls::parse(&text);
    Some(Playlist::read(&text))
}

/// Waits until the playlist names the segment `seq`.
#[track_caller]
fn wait_seq(folder: &Path, seq: u64) -> Playlist {
    until(&format!("segment {seq}"), || read(folder).is_some_and(|list| list.next_seq() > seq));
    read(folder).expect("a playlist")
}

fn files(folder: &Path) -> Vec<String> {
    let all = std::fs::read_dir(folder.join("live")).into_iter().flatten().flatten();
    let mut all: Vec<String> = all.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    all
}

/// Whether a transport stream is whole.
fn is_whole(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len().is_multiple_of(188) && bytes.chunks(188).all(|packet| packet[0] == 0x47)
}

#[test]
fn files_are_whole_at_every_moment_and_old_ones_go() {
    let dir = TempDir::new();
    let folder = dir.join("hls");
    let host = host(&folder, "");
    let done = Arc::new(AtomicBool::new(false));
    let (stop, seen) = (Arc::clone(&done), folder.clone());
    let watcher = std::thread::spawn(move || {
        let (mut looked, mut listed) = (0, std::collections::BTreeSet::new());
        while !stop.load(Ordering::Relaxed) {
            let Some(list) = read(&seen) else { continue };
            for segment in &list.segments {
                let Ok(bytes) = std::fs::read(seen.join("live").join(&segment.uri)) else {
                    // This encoder is faster than any: what was listed may have left by now.
                    let listed = read(&seen).is_some_and(|now| now.segments[0].seq <= segment.seq);
                    assert!(!listed, "{} is listed and not there", segment.uri);
                    continue;
                };
                assert!(is_whole(&bytes), "{} has {} bytes", segment.uri, bytes.len());
                listed.insert(segment.seq);
            }
            looked += 1;
        }
        (looked, listed.len())
    });
    let (encoder, clip) = (Encoder::publish(&host), clip());
    encoder.write(clip.headers());
    for n in 0..40 {
        write(&encoder, &clip, n * 2, 2);
        if n > 0 {
            wait_seq(&folder, n as u64 - 1);
        }
    }
    encoder.end();
    let last = wait_seq(&folder, 39);
    done.store(true, Ordering::Relaxed);
    let (looked, listed) = watcher.join().expect("a watcher who finds everything");
    assert!(looked >= 20 && listed >= 10, "{looked} playlists with {listed} segments");
    assert_eq!((last.next_seq(), last.segments.len()), (40, 3));
    // Those of the playlist, and of one more that somebody may have just fetched.
    let all = files(&folder);
    let segments: Vec<&String> = all.iter().filter(|name| name.ends_with(".ts")).collect();
    assert!((3..=8).contains(&segments.len()), "{all:?}");
    assert_eq!(segments.len() + 1, all.len(), "nothing half done is left: {all:?}");
}

#[test]
fn old_files_stay_where_nothing_is_cleaned_up() {
    let dir = TempDir::new();
    let folder = dir.join("hls");
    let host = host(&folder, "hls_cleanup off; hls_dispose 0;");
    let (encoder, clip) = (Encoder::publish(&host), clip());
    encoder.write(clip.headers());
    write(&encoder, &clip, 0, 40);
    encoder.end();
    wait_seq(&folder, 19);
    drop(host);
    let all = files(&folder);
    assert_eq!(all.iter().filter(|name| name.ends_with(".ts")).count(), 20, "{all:?}");
}

#[test]
fn everything_goes_when_the_stream_does_not_come_back() {
    let dir = TempDir::new();
    let folder = dir.join("hls");
    let host = host(&folder, "hls_dispose 1; hls_use_fmp4 on;");
    let (encoder, clip) = (Encoder::publish(&host), clip());
    encoder.write(clip.headers());
    write(&encoder, &clip, 0, 10);
    encoder.end();
    wait_seq(&folder, 4);
    assert!(folder.join("live/test/init.mp4").exists());
    let files_under = || {
        let mut all = files(&folder);
        all.retain(|name| !folder.join("live").join(name).is_dir());
        all
    };
    until("the files are gone", || files_under().is_empty() && !folder.join("live/test/init.mp4").exists());
}

/// A power cut in the middle of a stream: the next run goes on with the playlist that is there.
#[test]
fn a_playlist_outlives_a_power_cut() {
    let dir = TempDir::new();
    let folder = dir.join("hls");
    let settings = format!("hls {{ enabled on; hls_fragment 1; hls_path {}; }}", folder.display());
    let first = Server::start(&settings);
    let (publisher, mut pipe) = clients::publish_pipe(&first.url("test"));
    let clip = std::fs::read(clients::cut(&dir, 0, 10)).expect("the clip");
    // In the middle of a segment.
    std::io::Write::write_all(&mut pipe, &clip[..clip.len() * 9 / 10]).expect("a publisher that reads");
    wait_seq(&folder, 2);
    first.kill();
    drop((publisher, pipe));
    let before = read(&folder).expect("a playlist");
    assert!(before.segments.iter().all(|segment| {
        is_whole(&std::fs::read(folder.join("live").join(&segment.uri)).expect("a file that is listed"))
    }));

    let second = Server::start(&settings);
    let again = clients::cut(&dir, 4, 4);
    clients::publish(clients::ffmpeg(), &again, &second.url("test")).finish();
    second.wait_unpublish("test", 1);
    let after = wait_seq(&folder, before.next_seq() + 1);
    assert_eq!(after.target, before.target);
    let (old, new) = after.segments.split_at(before.segments.len());
    let named = |all: &[hls::Listed]| -> Vec<(u64, String)> {
        all.iter().map(|segment| (segment.seq, segment.uri.clone())).collect()
    };
    assert_eq!(named(old), named(&before.segments), "what was there is still listed");
    assert_eq!(new[0].seq, before.next_seq(), "numbers go on");
    assert!(new[0].discontinuity && new.iter().skip(1).all(|segment| !segment.discontinuity));
    // All of it plays.
    let mut ffmpeg = clients::new_ffmpeg();
    let mut text = std::fs::read_to_string(folder.join("live/test.m3u8")).expect("the playlist");
    text.push_str("#EXT-X-ENDLIST\n");
    let ended = folder.join("live/ended.m3u8");
    std::fs::write(&ended, text).expect("a copy of it");
    ffmpeg.arg("-i").arg(&ended).args(["-map", "0:v", "-f", "framehash", "-"]);
    let out = ffmpeg.output().expect("ffmpeg");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let pictures = String::from_utf8_lossy(&out.stdout).lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(pictures, after.segments.iter().map(|s| (s.duration * 25.0).round() as usize).sum::<usize>());
}

/// Publishes live to a server whose folder can't be written, and answers what it says in the end.
#[track_caller]
fn write_to(path: &Path, on_error: &str, says: &str) -> (Server, support::process::Process) {
    let server = Server::start(&format!(
        "hls {{ enabled on; hls_fragment 1; hls_path {}; hls_on_error {on_error}; }}",
        path.display()
    ));
    let publisher = clients::publish_live(&repository("assets/clip.flv"), &server.url("test"));
    server.wait_log(1, says);
    (server, publisher)
}

#[test]
fn a_folder_that_cannot_be_written_is_handled_as_set() {
    let dir = TempDir::new();
    // A file where a folder should be refuses root too.
    let path = dir.join("file");
    std::fs::write(&path, "").expect("a file");
    let path = path.join("hls");
    let (server, mut publisher) = write_to(&path, "disconnect", "hls_on_error disconnect");
    server.wait_unpublish("test", 1);
    assert!(!publisher.wait_end(PATIENCE).expect("the publisher ends").success());
    let (_server, mut publisher) = write_to(&path, "ignore", "ends (hls_on_error ignore)");
    assert!(publisher.is_running());
    let (server, mut publisher) = write_to(&path, "continue", "HLS of __defaultVhost__/live/test: ");
    assert!(publisher.is_running());
    let text = server.said().join("\n");
    assert!(!text.contains("stopped publishing"), "{text}");
}

/// A small file system of its own, where the test may have one.
struct Small(PathBuf);

impl Small {
    fn new(path: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&path);
        mount.output().is_ok_and(|out| out.status.success()).then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A card that is full: what is listed is whole, and once there is room it goes on.
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let dir = TempDir::new();
    let Some(small) = Small::new(dir.join("small")) else {
        eprintln!("SKIPPED: a full disk needs the right to mount a file system");
        return;
    };
    let folder = small.0.clone();
    let host = host(&folder, "hls_on_error continue;");
    let (encoder, clip) = (Encoder::publish(&host), clip());
    encoder.write(clip.headers());
    write(&encoder, &clip, 0, 4);
    wait_seq(&folder, 0);
    // Something else fills it.
    let filler = folder.join("filler");
    let fill = || (1..2048).rev().find(|kb| std::fs::write(&filler, vec![1; kb * 1024]).is_ok());
    fill().expect("room for something");
    write(&encoder, &clip, 4, 8);
    host.until("it is said", |engine| {
        let name = engine.streams().first().map(|stream| stream.name.clone());
        name.is_some_and(|name| engine.hls_trouble(&name).is_some())
    });
    for name in files(&folder).iter().filter(|name| name.ends_with(".ts")) {
        let bytes = std::fs::read(folder.join("live").join(name)).expect("a file");
        assert!(is_whole(&bytes), "{name} has {} bytes", bytes.len());
    }
    std::fs::remove_file(&filler).expect("the filler");
    let next = read(&folder).expect("a playlist").next_seq();
    write(&encoder, &clip, 12, 12);
    let last = wait_seq(&folder, next + 2);
    let newest = last.segments.last().expect("segments");
    until("the newest is there", || folder.join("live").join(&newest.uri).exists());
    encoder.end();
}
