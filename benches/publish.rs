//! What a write costs an encoder's thread: by copy and by reference, while the loop is idle and while it stands
//! still, beside allocating and copying as many bytes and doing nothing else, which is the floor of a copy.
//!
//! ```text
//! cargo bench --bench publish [-- --writes 400]
//! ```
//!
//! Frames are H.264 in Annex B, of four slices. Times are of one call, in µs; `max` is often the scheduler's.

use std::ffi::c_void;
use std::process::ExitCode;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use camrill::ffi::*;

const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00,
    0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
];
const SIZES: [(&str, usize); 3] = [("10 KB", 10_000), ("100 KB", 100_000), ("4 MB", 4_000_000)];
/// Writes while the loop stands still: the queue has places for all of them.
const BURST: usize = 40;

static STALLED: AtomicBool = AtomicBool::new(false);
static GOES_ON: AtomicBool = AtomicBool::new(false);
static RELEASED: AtomicUsize = AtomicUsize::new(0);

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if std::env::args().len() < 2 {
        // As `cargo test --all-targets` does.
        println!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let writes = match (args.next().as_deref(), args.next().map(|n| n.parse())) {
        (None, None) => 400,
        (Some("--writes"), Some(Ok(n @ 1..))) => n,
        _ => {
            eprintln!("publish: takes --writes N, of each kind");
            return ExitCode::FAILURE;
        }
    };
    println!("| frame | write | loop | p50 | p99 | max |\n|---|---|---|---|---|---|");
    for (name, size) in SIZES {
        let frame = picture(size);
        row(name, "allocate and copy", "–", floor(&frame, writes));
        for by_reference in [false, true] {
            let how = if by_reference { "by reference" } else { "by copy" };
            row(name, how, "idle", Published::start().idle(&frame, by_reference, writes));
            row(name, how, "stalled", Published::start().stalled(&frame, by_reference, writes));
        }
    }
    ExitCode::SUCCESS
}

fn row(frame: &str, how: &str, state: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let us = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)].as_secs_f64() * 1e6;
    println!("| {frame} | {how} | {state} | {:.1} | {:.1} | {:.1} |", us(500), us(990), us(1000));
}

/// A picture of four slices.
fn picture(size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    let mut random = 1u32;
    for slice in 0..4 {
        out.extend([0, 0, 0, 1, 0x41, if slice == 0 { 0x80 } else { 0x40 }]);
        while out.len() < size * (slice + 1) / 4 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            out.push((random >> 24) as u8 | 1);
        }
    }
    out
}

fn floor(frame: &[u8], writes: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(writes);
    while times.len() < writes {
        // As many are held as in the queue of a loop that stands still, so that memory is as fresh.
        let mut held = Vec::with_capacity(BURST);
        for _ in 0..BURST {
            let begin = Instant::now();
            held.push(frame.to_vec());
            times.push(begin.elapsed());
        }
        std::hint::black_box(&held);
    }
    times
}

/// An engine that nobody plays from, its loop on a thread, and a publisher.
struct Published {
    engine: *mut camrill_engine_t,
    publisher: *mut camrill_publisher_t,
    thread: Option<std::thread::JoinHandle<()>>,
    clock: i64,
}

/// A pointer that another thread is given.
struct Given(*mut camrill_engine_t);

// SAFETY: the loop's thread alone uses the engine from then on, but for functions that any thread may call.
unsafe impl Send for Given {}

unsafe extern "C" fn stand_still(_: *mut c_void) {
    STALLED.store(true, Ordering::Release);
    while !GOES_ON.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

unsafe extern "C" fn release(_: *mut c_void) {
    RELEASED.fetch_add(1, Ordering::Release);
}

impl Published {
    fn start() -> Self {
        // SAFETY: all zero is a value of these structs, and of theirs alone; pointers are valid for the calls.
        unsafe {
            let mut config: camrill_engine_config_t = std::mem::zeroed();
            config.struct_size = size_of_val(&config) as u32;
            let mut engine = null_mut();
            assert_eq!(camrill_engine_new(&config, &mut engine), CAMRILL_OK);
            let set = |key: &std::ffi::CStr, value: &std::ffi::CStr| {
                assert_eq!(camrill_config_set(engine, key.as_ptr(), value.as_ptr()), CAMRILL_OK);
            };
            set(c"listen", c"127.0.0.1:0");
            set(c"vhost/__defaultVhost__/play/gop_cache", c"off");
            assert_eq!(camrill_config_apply(engine), CAMRILL_OK);
            let mut config: camrill_publisher_config_t = std::mem::zeroed();
            config.struct_size = size_of_val(&config) as u32;
            config.tracks.video_codec = CAMRILL_CODEC_H264;
            config.queue_bytes = 1 << 30;
            config.app = c"live".as_ptr();
            config.name = c"bench".as_ptr();
            let mut publisher = null_mut();
            assert_eq!(camrill_publisher_new(engine, &config, &mut publisher), CAMRILL_OK);
            let given = Given(engine);
            let run = move || {
                let given = given;
                assert_eq!(camrill_engine_run(given.0), CAMRILL_OK);
            };
            let thread = Some(std::thread::spawn(run));
            let mut published = Self { engine, publisher, thread, clock: 0 };
            let key = [SETS, &[0, 0, 1, 0x65, 0x80, 1, 2, 3]].concat();
            published.write(&key, false);
            published
        }
    }

    fn write(&mut self, data: &[u8], by_reference: bool) -> Duration {
        self.clock += 16_667;
        // SAFETY: all zero is a value of it, and the data outlives the publisher.
        unsafe {
            let mut frame: camrill_frame_t = std::mem::zeroed();
            frame.struct_size = size_of_val(&frame) as u32;
            frame.codec = CAMRILL_CODEC_H264;
            frame.data = data.as_ptr();
            frame.size = data.len();
            frame.pts_us = self.clock;
            frame.dts_us = self.clock;
            let begin = Instant::now();
            let answer = match by_reference {
                true => camrill_publisher_write_ref(self.publisher, &frame, Some(release), null_mut()),
                false => camrill_publisher_write(self.publisher, &frame),
            };
            let took = begin.elapsed();
            assert_eq!(answer, CAMRILL_OK);
            took
        }
    }

    /// Waits until the loop has taken all.
    fn settle(&self) {
        loop {
            // SAFETY: all zero is a value of it, and the publisher is there.
            let queued = unsafe {
                let mut stats: camrill_publisher_stats_t = std::mem::zeroed();
                stats.struct_size = size_of_val(&stats) as u32;
                assert_eq!(camrill_publisher_stats(self.publisher, &mut stats), CAMRILL_OK);
                stats.queued_bytes + stats.held
            };
            if queued == 0 {
                return;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Each write finds the loop waiting.
    fn idle(mut self, frame: &[u8], by_reference: bool, writes: usize) -> Vec<Duration> {
        let one = |_| {
            self.settle();
            std::thread::sleep(Duration::from_micros(200));
            self.write(frame, by_reference)
        };
        (0..writes).map(one).collect()
    }

    fn stalled(mut self, frame: &[u8], by_reference: bool, writes: usize) -> Vec<Duration> {
        let mut times = Vec::with_capacity(writes);
        while times.len() < writes {
            STALLED.store(false, Ordering::Release);
            GOES_ON.store(false, Ordering::Release);
            // SAFETY: any thread may call it; the engine is there.
            let answer = unsafe { camrill_engine_call(self.engine, Some(stand_still), null_mut()) };
            assert_eq!(answer, CAMRILL_OK);
            while !STALLED.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_micros(100));
            }
            times.extend((0..BURST).map(|_| self.write(frame, by_reference)));
            GOES_ON.store(true, Ordering::Release);
            self.settle();
        }
        times
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // SAFETY: each is freed once, the loop's thread being gone.
        unsafe {
            camrill_publisher_free(self.publisher);
            camrill_engine_stop(self.engine);
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
            camrill_engine_free(self.engine);
        }
    }
}
