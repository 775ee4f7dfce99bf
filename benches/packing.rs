//! What it costs an encoder's thread to hand over a frame: of 100 KB as one write, in pieces, behind lengths, copied and
//! lent, beside the copy alone.
//!
//! ```text
//! cargo bench --bench packing
//! ```
//!
//! Time is that of the wall, the least of many runs: nothing waits here.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use camrill::media::{Codec, Input, Packer, Setup, Write};

/// Bytes of a frame, its slices, and how often each is packed.
const FRAME: usize = 100 * 1024;
const SLICES: usize = 4;
const RUNS: usize = 2000;

/// 640x360 of High profile.
const SETS: &[u8] = &[
    0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x61, 0x00, 0x00, 0x03, 0x00,
    0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x16, 0x2d, 0x96, 0, 0, 1, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
];

fn main() -> ExitCode {
    if std::env::args().len() < 2 {
        // As `cargo test --all-targets` does.
        println!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let slices = slices();
    let annexb: Vec<u8> = slices.iter().flat_map(|slice| [&[0, 0, 0, 1][..], slice].concat()).collect();
    let prefixed: Vec<u8> =
        slices.iter().flat_map(|slice| [&(slice.len() as u32).to_be_bytes()[..], slice].concat()).collect();
    println!("| a frame of {} KB in {SLICES} slices | µs |\n|---|---|", FRAME / 1024);
    let copy = least(|_| {
        let mut out = BytesMut::with_capacity(annexb.len());
        out.extend_from_slice(&annexb);
        out.freeze().len()
    });
    row("the copy alone", copy);
    for (name, data, length_prefixed) in
        [("behind start codes", &annexb, false), ("behind lengths", &prefixed, true)]
    {
        let pieces: Vec<&[u8]> = data.chunks(data.len() / 60 + 1).collect();
        let shared = [Bytes::copy_from_slice(data)];
        row(&format!("{name}, copied"), pack(length_prefixed, Input::Copied(&[data])));
        row(&format!("{name}, copied from 60 pieces"), pack(length_prefixed, Input::Copied(&pieces)));
        row(&format!("{name}, lent"), pack(length_prefixed, Input::Lent(&shared)));
    }
    ExitCode::SUCCESS
}

fn pack(length_prefixed: bool, input: Input<'_>) -> Duration {
    let setup = Setup { video: Some(Codec::H264), length_prefixed, video_config: SETS, ..Setup::default() };
    let mut packer = Packer::new(&setup).expect("sound tracks");
    least(|n| {
        let write = Write::whole(Codec::H264, n as i64 * 40_000);
        packer.pack(&write, input).expect("a sound frame").iter().map(|frame| frame.payload.len()).sum()
    })
}

/// Slices of an IDR picture that look coded: any bytes, emulation prevented.
fn slices() -> Vec<Vec<u8>> {
    let mut state = 1u32;
    let mut byte = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    };
    let slice = |n: usize| {
        let mut slice = vec![0x65, if n == 0 { 0x88 } else { 0x08 }];
        while slice.len() < FRAME / SLICES {
            let next = byte();
            if next < 4 && slice.ends_with(&[0, 0]) {
                slice.push(3);
            }
            slice.push(next);
        }
        slice
    };
    (0..SLICES).map(slice).collect()
}

fn least(mut run: impl FnMut(usize) -> usize) -> Duration {
    let once = |n| {
        let start = Instant::now();
        std::hint::black_box(run(n));
        start.elapsed()
    };
    (0..RUNS).map(once).min().unwrap_or_default()
}

fn row(name: &str, time: Duration) {
    println!("| {name} | {:.1} |", time.as_secs_f64() * 1e6);
}
