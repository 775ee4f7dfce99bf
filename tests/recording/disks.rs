//! What the disk does to recordings: it is full, it stalls, the power fails.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use super::support::flv;
use super::support::process::Process;
use super::support::rtmp_client::Media;
use super::support::server::program;
use super::*;

/// A GOP of 25 frames in a second, each of `size` bytes, `n` seconds after the start.
pub(super) fn second(n: u32, size: usize) -> Vec<Media> {
    let frame = |i: u32| {
        let ts = n * 1000 + i * 40;
        if i == 0 { Media::key(ts, size) } else { Media::delta(ts, size) }
    };
    (0..25).map(frame).collect()
}

/// A folder that takes a megabyte, if this process may mount one.
struct Small(PathBuf);

impl Small {
    fn new(dir: &TempDir) -> Option<Self> {
        let path = dir.join("small");
        std::fs::create_dir_all(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "camrill"]).arg(&path).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn failure(host: &Host) -> (PathBuf, String) {
    host.event(|event| match event {
        Event::Recording { path, news: DvrNews::Failed(why), .. } => Some((path.into(), why)),
        _ => None,
    })
}

#[test]
fn a_full_disk_ends_the_file_whole_and_disturbs_nobody() {
    let dir = TempDir::new();
    let small = Small::new(&dir);
    let folder = match &small {
        Some(small) => small.0.clone(),
        None => {
            println!("no tmpfs may be mounted here; /dev/full stands in for it");
            std::os::unix::fs::symlink("/dev/full", dir.join("a.flv")).unwrap();
            dir.join("")
        }
    };
    let plan = if small.is_some() { "session" } else { "append" };
    let host =
        recording(&format!("dvr_plan {plan}; dvr_path {}/a.flv;", text(&folder).trim_end_matches('/')));
    let mut client = host.publish("cam");
    client.send(&Media::video_header(0, 1));
    let mut player = host.play("cam");
    let mut sent = Vec::new();
    for n in 0..4 {
        let frames = second(n, 20_000);
        client.send_all(&frames);
        sent.extend(frames);
    }
    let (path, why) = failure(&host);
    assert_eq!(path, folder.join("a.flv"));
    assert!(why.contains("No space left"), "{why}");
    let last = sent.last().unwrap().clone();
    let came: Vec<_> =
        player.until(&last).into_iter().filter(|m| m.is_video() && !m.is_video_header()).collect();
    assert!(came == sent, "the player gets all of it");
    if small.is_some() {
        // Whole tags up to where there was room.
        let bytes = std::fs::read(folder.join("a.flv")).unwrap();
        let tags = flv::read(&folder.join("a.flv"));
        assert_eq!(13 + tags.iter().map(|tag| tag.body.len() + 15).sum::<usize>(), bytes.len());
        let frames = flv::frames(&tags);
        assert!(frames.len() > 30, "{}", frames.len());
        assert!(frames.iter().zip(&sent).all(|(tag, media)| tag.body == media.2 && tag.time == media.1));
    }
    client.close();
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said() {
    let dir = TempDir::new();
    std::fs::write(dir.join("file"), "").unwrap();
    let host = recording(&format!("dvr_path {}/a.flv;", text(&dir.join("file"))));
    let mut client = host.publish("cam");
    client.send_all(&[Media::video_header(0, 1), Media::key(0, 100), Media::delta(40, 100)]);
    let (path, why) = failure(&host);
    assert_eq!(path, dir.join("file/a.flv"));
    assert!(why.contains("Not a directory") || why.contains("File exists"), "{why}");
    client.sync();
    let bad = recording("dvr_path /proc/a.flv;");
    let mut client = bad.publish("cam");
    client.send_all(&[Media::video_header(0, 1), Media::key(0, 100)]);
    assert!(failure(&bad).1.starts_with("opening /proc/a.flv: "));
    client.sync();
}

/// A pipe that nobody reads takes 64 KB, and then what writes to it waits: as on a card that stalls.
#[test]
fn a_disk_that_stalls_holds_nobody_up() {
    let dir = TempDir::new();
    let path = dir.join("a.flv");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a string that ends in NUL, and lives until the call is over.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let mut pipe = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let host = recording(&format!("dvr_plan append; dvr_path {};", text(&path)));
    let mut client = host.publish("cam");
    client.send(&Media::video_header(0, 1));
    let mut player = host.play("cam");
    let mut sent = Vec::new();
    let began = Instant::now();
    // 40 MB while it stalls: far more than the recorder and the disk's queue hold together.
    let mut n = 0;
    while n < 80 || began.elapsed() < Duration::from_secs(5) {
        let frames = second(n, 20_000);
        client.send_all(&frames);
        let last = frames.last().unwrap().clone();
        let asked = Instant::now();
        let came = player.until(&last);
        assert!(asked.elapsed() < Duration::from_secs(2), "the player waited for the disk");
        assert_eq!(came.iter().filter(|m| m.is_video() && !m.is_video_header()).count(), 25);
        sent.extend(frames);
        n += 1;
        if n >= 80 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(host.stats().media_bytes < 16 << 20, "{}", host.stats().media_bytes);
    // It goes on: what was held is written, what was not is told, and then all is recorded again.
    let mut parser = flv::Parser::default();
    let mut tags = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let end = Instant::now() + PATIENCE;
    let mut told = 0;
    while !tags.last().is_some_and(|tag: &flv::Tag| told > 0 && tag.time >= n * 1000 - 40) {
        assert!(Instant::now() < end, "{told} dropped, {:?} of {n} s", tags.last());
        match pipe.read(&mut buffer) {
            Ok(count @ 1..) => tags.extend(parser.feed(&buffer[..count])),
            _ => {
                let frames = second(n, 1000);
                client.send_all(&frames);
                client.sync();
                sent.extend(frames);
                n += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        for event in host.events() {
            match event {
                Event::Recording { news: DvrNews::Dropped(frames), .. } => told += frames as usize,
                Event::Recording { news: DvrNews::Failed(why), .. } => panic!("{why}"),
                _ => {}
            }
        }
    }
    let frames = flv::frames(&tags);
    let recorded: Vec<_> = frames.iter().map(|tag| tag.time).collect();
    let upto: Vec<_> = sent.iter().filter(|m| m.1 <= *recorded.last().unwrap()).collect();
    assert_eq!(upto.len() - recorded.len(), told, "each frame that is not there was told");
    let holes: Vec<_> = frames.windows(2).filter(|pair| pair[1].time - pair[0].time != 40).collect();
    assert!(!holes.is_empty() && holes.iter().all(|pair| pair[1].is_video_key()), "{holes:?}");
    let held = recorded.iter().take_while(|at| **at < holes[0][1].time).count() * 20_000;
    assert!((16 << 20..24 << 20).contains(&held), "{held} bytes were held");
    for (tag, media) in frames.iter().map(|tag| (tag, sent.iter().find(|m| m.1 == tag.time).unwrap())) {
        assert!(tag.body == media.2);
    }
    client.close();
    drop(pipe);
}

#[test]
fn an_engine_that_ends_ends_its_files() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 6);
    for suffix in ["flv", "mp4"] {
        let path = dir.join(&format!("a.{suffix}"));
        let host = recording(&format!("dvr_path {};", text(&path)));
        let publisher = clients::publish_live(&clip, &url(&host, "cam"));
        assert_eq!(opened(&host), path);
        host.until("three seconds are there", |engine| {
            engine.streams().first().is_some_and(|s| s.video_frames > 75)
        });
        let began = Instant::now();
        drop(host);
        assert!(began.elapsed() < Duration::from_secs(3));
        drop(publisher);
        let came = packets(clients::ffmpeg(), text(&path));
        assert!(came[0].len() > 75, "{} frames", came[0].len());
        let sent = packets(clients::ffmpeg(), text(&clip));
        let sent: Vec<_> = sent.iter().zip(&came).map(|(all, came)| all[..came.len()].to_vec()).collect();
        assert_same(&came, &sent);
        if suffix == "flv" {
            assert!(flv::read(&path)[0].contains("filepositions"), "the index is written");
        }
    }
}

/// camrill-server that records; its RTMP port.
fn server(dir: &TempDir, dvr: &str) -> (Process, u16) {
    let conf = dir.join("camrill.conf");
    let vhost = format!("vhost __defaultVhost__ {{ dvr {{ enabled on; {dvr} }} }}");
    std::fs::write(&conf, format!("listen 127.0.0.1:0;\n{vhost}\n")).unwrap();
    let process = Process::start(Command::new(program()).arg("-c").arg(&conf));
    let line = process.wait_log(1, "rtmp listening on 127.0.0.1:");
    let port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
    (process, port)
}

#[test]
fn files_play_up_to_where_the_process_was_killed() {
    let dir = TempDir::new();
    let clip = clients::cut(&dir, 0, 8);
    let sent = packets(clients::ffmpeg(), text(&clip));
    for suffix in ["flv", "mp4"] {
        let path = dir.join(&format!("a.{suffix}"));
        let (mut process, port) = server(&dir, &format!("dvr_path {};", text(&path)));
        let publisher = clients::publish_live(&clip, &format!("rtmp://127.0.0.1:{port}/live/cam"));
        let end = Instant::now() + PATIENCE;
        let grown = || std::fs::metadata(&path).is_ok_and(|meta| meta.len() > 0);
        while !grown() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs(4));
        process.signal(libc::SIGKILL);
        process.wait_end(PATIENCE);
        drop(publisher);
        for player in [clients::ffmpeg, clients::new_ffmpeg] {
            let came = packets(player(), text(&path));
            assert!(came[0].len() > 60, "{suffix}: {} frames", came[0].len());
            let sent: Vec<_> = sent.iter().zip(&came).map(|(all, came)| all[..came.len()].to_vec()).collect();
            assert_same(&came, &sent);
        }
        if suffix == "flv" {
            assert!(flv::read(&path)[0].contains("unindexed"), "room for an index, but none");
        }
    }
}

/// The threads of a process that write, and the signals that they block.
fn disk_threads(process: &Process) -> Vec<u64> {
    let tasks = format!("/proc/{}/task", process.id());
    let of = |task: std::fs::DirEntry| {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"))?.trim().to_owned();
        (comm.trim() == "camrill-disk").then(|| u64::from_str_radix(&blocked, 16).unwrap())
    };
    std::fs::read_dir(tasks).unwrap().filter_map(|task| of(task.ok()?)).collect()
}

#[test]
fn the_disks_thread_takes_no_signals_and_is_there_only_when_needed() {
    let dir = TempDir::new();
    let path = dir.join("a.flv");
    let (mut process, port) = server(&dir, &format!("dvr_path {};", text(&path)));
    assert!(disk_threads(&process).is_empty());
    let clip = clients::cut(&dir, 0, 2);
    clients::publish(clients::ffmpeg(), &clip, &format!("rtmp://127.0.0.1:{port}/live/cam")).finish();
    process.wait_log(1, "recorded ");
    let [blocked] = disk_threads(&process)[..] else { panic!("one thread") };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD] {
        assert!(blocked & 1 << (signal - 1) != 0, "{signal} in {blocked:x}");
    }
    let end = Instant::now() + PATIENCE;
    while !disk_threads(&process).is_empty() {
        assert!(Instant::now() < end, "it stays");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It comes again, and SIGTERM in the midst of a recording ends the file well.
    let second = dir.join("a-1.flv");
    let publisher =
        clients::publish_live(&clients::cut(&dir, 0, 6), &format!("rtmp://127.0.0.1:{port}/live/cam"));
    let recorded = || std::fs::metadata(&second).is_ok_and(|meta| meta.len() > 100_000);
    while !recorded() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    process.terminate();
    assert!(process.wait_end(Duration::from_secs(3)).expect("it stops within 3 s").success());
    drop(publisher);
    packets(clients::ffmpeg(), text(&second));
    assert!(flv::read(&second)[0].contains("filepositions"));
}
