//! The disk's thread and its worker, on real files, pipes and devices.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::SystemTime;

use bytes::Bytes;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("camrill-disk-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id(number: u32) -> FileId {
    FileId { owner: 7, number }
}

fn open(number: u32, path: impl Into<PathBuf>) -> Job {
    Job::Open { file: id(number), path: path.into(), how: How::New }
}

fn write(number: u32, bytes: &'static [u8]) -> Job {
    Job::Write { file: id(number), bytes: Bytes::from_static(bytes) }
}

fn close(number: u32) -> Job {
    Job::Close { file: id(number) }
}

fn once(f: impl FnOnce() -> Answer + Send + 'static) -> Task {
    let mut f = Some(f);
    Box::new(move || f.take().map(|f| f()))
}

/// What the job has to tell.
fn run(worker: &mut Worker, job: Job) -> Option<Outcome> {
    match worker.run(job) {
        Ran::Done(Done::File(file, outcome)) => {
            assert_eq!(file.owner, 7);
            Some(outcome)
        }
        Ran::Done(Done::Job(_, outcome)) => Some(outcome),
        Ran::Nothing => None,
        Ran::Again(..) => panic!("only tasks come again"),
    }
}

fn opened(outcome: Option<Outcome>) -> PathBuf {
    match outcome {
        Some(Outcome::Opened { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

fn error(outcome: Option<Outcome>) -> DiskError {
    match outcome {
        Some(Outcome::Failed(e)) => e,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_written_put_right_and_closed() {
    let folder = Folder::new();
    let path = folder.join("a/b/x.flv");
    let mut w = Worker::default();
    assert_eq!(opened(run(&mut w, open(1, &path))), path);
    assert!(run(&mut w, write(1, b"hello ")).is_none());
    let patch = Job::Patch { file: id(1), offset: 1, bytes: Bytes::from_static(b"E") };
    assert!(run(&mut w, patch).is_none());
    assert!(run(&mut w, write(1, b"world")).is_none());
    match run(&mut w, close(1)) {
        Some(Outcome::Closed { path: closed, bytes: 11 }) => assert_eq!(closed, path),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&path).unwrap(), b"hEllo world");
    assert!(run(&mut w, write(1, b"x")).is_none(), "it is closed");
    assert!(run(&mut w, close(1)).is_none());
}

#[test]
fn names_that_are_taken_are_left_alone() {
    let folder = Folder::new();
    let mut w = Worker::default();
    let names: Vec<_> = (0..3)
        .map(|i| opened(run(&mut w, open(i, folder.join("x.flv")))))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["x.flv", "x-1.flv", "x-2.flv"]);
    assert_eq!(opened(run(&mut w, open(3, folder.join("plain")))), folder.join("plain"));
    assert_eq!(opened(run(&mut w, open(4, folder.join("plain")))), folder.join("plain-1"));
    assert_eq!(opened(run(&mut w, open(5, folder.join("a.b.c")))), folder.join("a.b.c"));
    assert_eq!(opened(run(&mut w, open(6, folder.join("a.b.c")))), folder.join("a.b-1.c"));
}

#[test]
fn a_full_disk_is_told_once() {
    let mut w = Worker::default();
    let full = |file: &mut File| file.metadata().map(|_| Kept::default());
    let how = How::Append(full);
    opened(run(&mut w, Job::Open { file: id(1), path: "/dev/full".into(), how }));
    let e = error(run(&mut w, write(1, b"x")));
    assert_eq!((e.doing, e.path.to_str()), ("writing to", Some("/dev/full")));
    assert_eq!(e.error.raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(e.to_string(), "writing to /dev/full: No space left on device (os error 28)");
    for job in [write(1, b"x"), close(1), close(1)] {
        assert!(run(&mut w, job).is_none());
    }
    assert!(w.is_idle());
}

#[test]
fn what_is_written_of_a_write_that_fails_is_cut_off() {
    let folder = Folder::new();
    // Bytes that a small file system, or `ulimit -f`, would stop at: here in a child, since it is its own.
    let path = folder.join("x");
    let status = Command::new("sh")
        .args(["-c", "ulimit -f 1 && exec \"$0\" --exact --ignored engine::disk::tests::limited --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env("CAMRILL_DISK_TEST", &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read(&path).unwrap(), [1; 300]);
}

#[test]
#[ignore = "part of another test, which runs it with a limit on files"]
fn limited() {
    let path = std::env::var_os("CAMRILL_DISK_TEST").expect("run by its other half");
    let woken = mpsc::channel();
    let mut disk = Disk::new(Box::new(move || woken.0.send(()).unwrap_or_default()));
    disk.submit(open(1, path)).unwrap();
    disk.submit(Job::Write { file: id(1), bytes: vec![1; 300].into() }).unwrap();
    // SIGXFSZ comes with it; it is blocked on the disk's thread and would end this process elsewhere.
    disk.submit(Job::Write { file: id(1), bytes: vec![2; 3000].into() }).unwrap();
    for expected in [None, Some(libc::EFBIG)] {
        woken.1.recv().unwrap();
        match disk.poll_done() {
            Some(Done::File(_, Outcome::Opened { .. })) => assert_eq!(expected, None),
            Some(Done::File(_, Outcome::Failed(e))) => assert_eq!(e.error.raw_os_error(), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn folders_that_take_no_files() {
    let folder = Folder::new();
    let mut w = Worker::default();
    // No folder can be made under a file, whoever asks.
    fs::write(folder.join("file"), b"").unwrap();
    let e = error(run(&mut w, open(1, folder.join("file/x/y.flv"))));
    assert_eq!(e.doing, "opening");
    assert_eq!(e.error.raw_os_error(), Some(libc::ENOTDIR));
    assert!(run(&mut w, write(1, b"x")).is_none());
    // /proc takes none either, even from root.
    let e = error(run(&mut w, open(2, "/proc/self/x.flv")));
    assert!(matches!(e.error.raw_os_error(), Some(libc::ENOENT | libc::EACCES | libc::EPERM)));
    let locked = folder.join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    let is_root = File::create(locked.join("probe")).is_ok();
    let result = run(&mut w, open(3, locked.join("x.flv")));
    assert!(is_root || error(result).error.kind() == io::ErrorKind::PermissionDenied);
    for number in 1..4 {
        run(&mut w, close(number));
    }
    assert!(w.is_idle());
}

#[test]
fn a_file_is_replaced_at_once_or_not_at_all() {
    let folder = Folder::new();
    let mut w = Worker::default();
    let replace = |path: PathBuf, bytes: &'static [u8]| Job::Replace { id: 5, path, bytes: bytes.into() };
    let path = folder.join("hls/live.m3u8");
    for text in [&b"one"[..], b"two, longer", b"3"] {
        assert!(matches!(run(&mut w, replace(path.clone(), text)), Some(Outcome::Replaced)));
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    fs::create_dir(folder.join("hls/folder")).unwrap();
    let e = error(run(&mut w, replace(folder.join("hls/folder"), b"x")));
    assert_eq!(e.doing, "writing");
    let names: Vec<_> = fs::read_dir(folder.join("hls")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside them: {names:?}");

    let remove = |path| Job::Remove { id: 6, path };
    assert!(matches!(run(&mut w, remove(path.clone())), Some(Outcome::Replaced)));
    assert!(matches!(run(&mut w, remove(path.clone())), Some(Outcome::Replaced)));
    assert!(!path.exists());
    assert_eq!(error(run(&mut w, remove(folder.join("hls")))).doing, "removing");
}

#[test]
fn the_oldest_files_go() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let file = |name: &str, bytes: usize, age_s: u64| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        let mut file = File::create(folder.join(name)).unwrap();
        file.write_all(&vec![0; bytes]).unwrap();
        file.set_modified(now - Duration::from_secs(age_s)).unwrap();
    };
    let left = || {
        let all = ["a/old.flv", "a/open.flv", "a/b/2.mp4", "3.flv", "4.flv", "5.txt"];
        all.into_iter().filter(|name| folder.join(name).exists()).collect::<Vec<_>>()
    };
    let quota = |max_age: Option<u64>, max_bytes| Quota {
        folder: folder.0.clone(),
        is_ours: Box::new(|name| name == "a/b/2.mp4" || name.ends_with(".flv")),
        max_age: max_age.map(Duration::from_secs),
        max_bytes,
    };
    let mut w = Worker::default();
    run(&mut w, open(1, folder.join("a/open.flv")));
    run(&mut w, write(1, b"0123456789"));
    File::options()
        .write(true)
        .open(folder.join("a/open.flv"))
        .unwrap()
        .set_modified(now - Duration::from_secs(9999))
        .unwrap();
    for (name, bytes, age) in [
        ("a/old.flv", 100, 5000),
        ("a/b/2.mp4", 200, 3000),
        ("3.flv", 300, 2000),
        ("4.flv", 400, 1000),
        ("5.txt", 9, 9000),
    ] {
        file(name, bytes, age);
    }
    std::os::unix::fs::symlink("/", folder.join("link")).unwrap();
    let mut prune = |quota| match run(&mut w, Job::Prune { id: 1, quota }) {
        Some(Outcome::Pruned { removed, freed, left }) => (removed, freed, left),
        other => panic!("{other:?}"),
    };
    assert_eq!(prune(quota(None, None)), (0, 0, 1010));
    assert_eq!(prune(quota(Some(4000), None)), (1, 100, 910));
    assert_eq!(left(), ["a/open.flv", "a/b/2.mp4", "3.flv", "4.flv", "5.txt"]);
    assert_eq!(prune(quota(None, Some(710))), (1, 200, 710));
    assert_eq!(left(), ["a/open.flv", "3.flv", "4.flv", "5.txt"]);
    assert_eq!(prune(quota(None, Some(0))), (2, 700, 10));
    assert_eq!(left(), ["a/open.flv", "5.txt"], "what is open stays");
    let nowhere = Quota { folder: folder.join("nowhere"), ..quota(None, None) };
    assert_eq!(error(run(&mut w, Job::Prune { id: 1, quota: nowhere })).doing, "looking through");
}

/// A disk, and the wakes that it gives.
fn disk() -> (Disk, mpsc::Receiver<()>) {
    let (tell, woken) = mpsc::channel();
    (Disk::with_idle(Box::new(move || tell.send(()).unwrap_or_default()), Duration::from_millis(50)), woken)
}

fn wait(disk: &mut Disk, woken: &mpsc::Receiver<()>) -> Done {
    loop {
        if let Some(done) = disk.poll_done() {
            return done;
        }
        woken.recv_timeout(Duration::from_secs(20)).expect("a wake");
    }
}

#[test]
fn the_thread_is_there_while_there_is_work() {
    let folder = Folder::new();
    let (mut disk, woken) = disk();
    let names = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks.filter_map(|t| fs::read_to_string(t.path().join("comm")).ok()).collect::<String>()
    };
    assert!(!disk.shared.lock().has_thread);
    for round in 0..2 {
        let name = Job::Run { id: 9, task: once(move || Box::new(names())) };
        disk.submit(name).unwrap();
        match wait(&mut disk, &woken) {
            Done::Job(9, Outcome::Ran(answer)) => {
                assert!(answer.downcast::<String>().unwrap().contains("camrill-disk"))
            }
            other => panic!("{other:?}"),
        }
        if round == 0 {
            disk.submit(open(1, folder.join("x"))).unwrap();
            assert!(matches!(wait(&mut disk, &woken), Done::File(_, Outcome::Opened { .. })));
        }
        let mut state = disk.shared.lock();
        while state.has_thread {
            state = disk.shared.ended.wait_timeout(state, Duration::from_secs(20)).unwrap().0;
        }
    }
    // A file stays open while there is no thread.
    disk.submit(write(1, b"later")).unwrap();
    disk.submit(close(1)).unwrap();
    assert!(matches!(wait(&mut disk, &woken), Done::File(_, Outcome::Closed { bytes: 5, .. })));
    assert_eq!(folder.names(), ["x"]);
}

#[test]
fn signals_are_blocked_on_the_thread_and_not_here() {
    let blocked = |path: &str| {
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let (mut disk, woken) = disk();
    let before = blocked("/proc/thread-self/status");
    disk.submit(Job::Run { id: 1, task: once(move || Box::new(blocked("/proc/thread-self/status"))) })
        .unwrap();
    assert_eq!(blocked("/proc/thread-self/status"), before);
    let Done::Job(1, Outcome::Ran(answer)) = wait(&mut disk, &woken) else { panic!("an answer") };
    let there = *answer.downcast::<u64>().unwrap();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGPIPE, libc::SIGUSR1, libc::SIGXFSZ, libc::SIGALRM] {
        assert_ne!(there & 1 << (signal - 1), 0, "signal {signal}");
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody_but_the_thread() {
    let folder = Folder::new();
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (mut disk, woken) = disk();
    let how = How::Append(|_| Ok(Kept::default()));
    disk.submit(Job::Open { file: id(1), path: pipe.clone(), how }).unwrap();
    // The thread waits for a reader from here on; everything else fills the queue.
    let mut taken = 0;
    let refused = loop {
        let job = Job::Write { file: id(1), bytes: vec![3; 1 << 20].into() };
        match disk.submit(job) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(taken, DISK_BYTES >> 20);
    assert!(refused.error.is_none());
    assert_eq!(refused.to_string(), "the disk's queue is full");
    let Job::Write { bytes, .. } = refused.job else { panic!("the job") };
    assert_eq!(bytes.len(), 1 << 20, "it is given back");
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        File::open(pipe).unwrap().read_to_end(&mut all).unwrap();
        all.len()
    });
    assert!(matches!(wait(&mut disk, &woken), Done::File(_, Outcome::Opened { .. })));
    // A wake tells that it is worth trying again.
    let mut job = Job::Write { file: id(1), bytes };
    while let Err(refused) = disk.submit(job) {
        job = refused.job;
        woken.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    disk.submit(close(1)).unwrap();
    assert!(matches!(wait(&mut disk, &woken), Done::File(_, Outcome::Closed { .. })));
    assert_eq!(reader.join().unwrap(), (taken + 1) << 20);
}

#[test]
fn jobs_are_bounded_with_those_whose_answer_is_not_fetched() {
    let (mut disk, woken) = disk();
    let ran = std::sync::Arc::new(AtomicUsize::new(0));
    let mut taken = 0;
    loop {
        let ran = std::sync::Arc::clone(&ran);
        let task = once(move || {
            ran.fetch_add(1, Ordering::SeqCst);
            Box::new(())
        });
        match disk.submit(Job::Run { id: taken, task }) {
            Ok(()) => taken += 1,
            Err(_) => break,
        }
    }
    assert_eq!(taken as usize, DISK_JOBS);
    for expected in 0..taken {
        assert!(matches!(wait(&mut disk, &woken), Done::Job(id, Outcome::Ran(_)) if id == expected));
        if expected == 0 {
            disk.submit(Job::Remove { id: taken, path: "/nowhere/at/all".into() }).unwrap();
        }
    }
    assert!(matches!(wait(&mut disk, &woken), Done::Job(id, Outcome::Replaced) if id == taken));
    assert!(disk.poll_done().is_none());
    assert_eq!(ran.load(Ordering::SeqCst), DISK_JOBS);
}

#[test]
fn tasks_in_slices_let_writing_go_first() {
    let (mut disk, woken) = disk();
    let (hold, held) = mpsc::channel::<()>();
    // Everything is queued behind this one, so that the order is certain.
    disk.submit(Job::Run { id: 0, task: once(move || Box::new(held.recv().is_ok())) }).unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let note = |c: char| {
        let log = Arc::clone(&log);
        move || log.lock().unwrap().push(c)
    };
    let (slice, mut left) = (note('s'), 3);
    let task = Box::new(move || {
        slice();
        left -= 1;
        (left == 0).then(|| Box::new(()) as Answer)
    });
    disk.submit(Job::Run { id: 1, task }).unwrap();
    for id in 2..14 {
        let job = note('j');
        let task = once(move || {
            job();
            Box::new(())
        });
        disk.submit(Job::Run { id, task }).unwrap();
    }
    hold.send(()).unwrap();
    for _ in 0..14 {
        wait(&mut disk, &woken);
    }
    // The first slice in its place, one after eight jobs, and the rest when there is time.
    assert_eq!(*log.lock().unwrap(), "sjjjjjjsjjjjjjs");
}

#[test]
fn a_task_that_panics_ends_alone() {
    let (mut disk, woken) = disk();
    disk.submit(Job::Run { id: 1, task: Box::new(|| panic!("on purpose")) }).unwrap();
    disk.submit(Job::Run { id: 2, task: once(|| Box::new(5u8)) }).unwrap();
    assert!(matches!(wait(&mut disk, &woken), Done::Job(1, Outcome::Panicked)));
    assert!(matches!(wait(&mut disk, &woken), Done::Job(2, Outcome::Ran(_))));
}

#[test]
fn the_end_waits_for_what_is_queued() {
    let folder = Folder::new();
    let (mut disk, _woken) = disk();
    disk.submit(open(1, folder.join("x"))).unwrap();
    for _ in 0..500 {
        disk.submit(write(1, b"0123456789")).unwrap();
    }
    disk.submit(close(1)).unwrap();
    let given_up = Arc::new(());
    let still = Arc::clone(&given_up);
    let endless = Box::new(move || {
        let _still = &still;
        None
    });
    disk.submit(Job::Run { id: 1, task: endless }).unwrap();
    drop(disk);
    assert_eq!(fs::metadata(folder.join("x")).unwrap().len(), 5000);
    assert_eq!(Arc::strong_count(&given_up), 1);
}

#[cfg(feature = "dvr")]
mod recordings {
    use super::*;

    fn tag(ms: u32, body: &[u8]) -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        crate::flv::file::tag(crate::media::Kind::Video, ms, &body.to_vec().into(), &mut out).unwrap();
        out.to_vec()
    }

    #[test]
    fn a_torn_file_is_gone_on_with_after_its_last_whole_tag() {
        let folder = Folder::new();
        let path = folder.join("x.flv");
        let (first, second) = (tag(40, &[0x27; 30]), tag(80, &[0x27; 50]));
        let all = [&crate::flv::file::header(true, true), &first[..], &second].concat();
        let mut w = Worker::default();
        let mut number = 0;
        let mut reopen = |length: usize| {
            number += 1;
            fs::write(&path, &all[..length]).unwrap();
            let how = How::Append(append::flv);
            let kept = match run(&mut w, Job::Open { file: id(number), path: path.clone(), how }) {
                Some(Outcome::Opened { kept, .. }) => kept,
                other => panic!("{other:?}"),
            };
            run(&mut w, write(number, b"new"));
            run(&mut w, close(number));
            (kept, fs::read(&path).unwrap())
        };
        for length in 0..=all.len() {
            let whole = match length {
                0..13 => 0,
                _ if length == all.len() => length,
                _ if length >= 13 + first.len() => 13 + first.len(),
                _ => 13,
            };
            let last_ms = if length == all.len() {
                80
            } else if whole > 13 {
                40
            } else {
                0
            };
            let (kept, bytes) = reopen(length);
            assert_eq!(kept, Kept { bytes: whole as u64, last_ms }, "of {length}");
            assert_eq!(bytes, [&all[..whole], b"new"].concat());
        }
        fs::write(&path, b"a letter to the editor").unwrap();
        let how = How::Append(append::flv);
        let e = error(run(&mut w, Job::Open { file: id(999), path: path.clone(), how }));
        assert_eq!(e.error.to_string(), "it is there and not an FLV file");
        assert_eq!(fs::read(&path).unwrap(), b"a letter to the editor");
    }

    fn rewrite(path: &Path) -> (faststart::Rewritten, usize) {
        let (mut w, mut slices) = (Worker::default(), 1);
        let mut ran = w.run(Job::Run { id: 1, task: faststart::task(path.into()) });
        loop {
            ran = match ran {
                Ran::Again(id, task) => w.go_on(id, task),
                Ran::Done(Done::Job(1, Outcome::Ran(answer))) => {
                    return (*answer.downcast::<faststart::Rewritten>().unwrap(), slices);
                }
                _ => panic!("an answer"),
            };
            slices += 1;
        }
    }

    #[test]
    fn a_recording_gets_its_index_in_front() {
        use crate::media::{Codec, Frame, Headers, Kind, Role};
        let folder = Folder::new();
        let path = folder.join("x.mp4");
        let frame = |role, ms: i64, payload: Vec<u8>| Frame {
            kind: Kind::Video,
            codec: Codec::H264,
            role,
            dts: ms * 1000,
            pts: ms * 1000,
            payload: payload.into(),
            relay: Bytes::new(),
        };
        let avcc =
            b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\
            \x03\x00\x10\x00\x00\x03\x03\x20\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0";
        let header = frame(Role::Header, 0, avcc.to_vec());
        let options = crate::dvr::Options {
            path: path.to_str().unwrap().into(),
            vhost: "v".into(),
            app: "a".into(),
            stream: "s".into(),
            ..Default::default()
        };
        let mut recorder = crate::dvr::Recorder::new(options);
        let now = crate::time::Time::ZERO;
        recorder.begin(now, &Headers { video: Some(header), ..Headers::default() });
        let mut expected = Vec::new();
        for i in 0..200u8 {
            let payload = vec![i; 5000 + usize::from(i)];
            let role = if i % 25 == 0 { Role::Key } else { Role::Delta };
            expected.extend_from_slice(&payload);
            recorder.write(now, &Default::default(), &frame(role, i64::from(i) * 40, payload));
        }
        recorder.end(now);
        let mut bytes = Vec::new();
        while let Some(output) = recorder.poll_output() {
            if let crate::dvr::Output::Write { bytes: more, .. } = output {
                bytes.extend_from_slice(&more);
            }
        }
        let names = |bytes: &[u8]| {
            let (mut names, mut at) = (vec![], 0);
            while let Some(head) = bytes.get(at..at + 8) {
                names.push(String::from_utf8(head[4..].to_vec()).unwrap());
                at += u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            }
            assert_eq!(at, bytes.len());
            names
        };
        assert_eq!(names(&bytes)[..5], ["ftyp", "moov", "prft", "moof", "mdat"]);
        // The file is cut off in its last fragment, as if the power had failed.
        let cut = &bytes[..bytes.len() - 100];
        fs::write(&path, cut).unwrap();
        let (result, slices) = rewrite(&path);
        result.unwrap();
        assert!(slices > 4, "in slices: {slices}");
        let plain = fs::read(&path).unwrap();
        assert_eq!(names(&plain), ["ftyp", "moov", "mdat"]);
        assert_eq!(folder.names(), ["x.mp4"]);
        let at = plain.windows(4).position(|w| w == b"mdat").unwrap() + 4;
        assert_eq!(plain[at..], expected[..plain.len() - at]);
        assert!(plain.len() - at > expected.len() * 8 / 10);

        // What is no recording stays as it is, and one that is given up too.
        fs::write(&path, b"\0\0\0\x08free").unwrap();
        assert_eq!(rewrite(&path).0.unwrap_err().error.to_string(), "no fragment is in it");
        fs::write(&path, &bytes).unwrap();
        let mut task = faststart::task(path.clone());
        while !folder.join("x.mp4.tmp").exists() {
            assert!(task().is_none());
        }
        drop(task);
        assert_eq!(folder.names(), ["x.mp4"]);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(rewrite(&folder.join("nothing.mp4")).0.unwrap_err().doing, "rewriting");
    }
}
