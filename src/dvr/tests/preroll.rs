//! What is recorded of the time before the start.

use super::*;

#[test]
fn what_came_before_the_start_is_recorded_by_whole_gops() {
    let demand = Options { on_demand: true, preroll_us: 100_000, ..options() };
    let mut b = Bench::new(demand.clone());
    b.begin(&headers());
    for at in [0, 120, 240] {
        gop(at, 3).for_each(|f| b.write(&f));
    }
    assert!(b.files.is_empty());
    b.start();
    // 320 less 100 is in the second GOP.
    assert_eq!(b.files.len(), 1);
    gop(360, 1).for_each(|f| b.write(&f));
    b.recorder.stop();
    b.take();
    assert_eq!(b.ids(), [[120, 160, 200, 240, 280, 320, 360]]);
    assert_eq!(b.times(0)[..2], [0, 40]);
    // Again; what the last file has is in no other.
    gop(400, 2).for_each(|f| b.write(&f));
    b.start();
    b.end();
    assert_eq!(b.ids()[1], [400, 440]);

    // A GOP that is too long to be held is not recorded in part.
    let mut b = Bench::new(Options { preroll_bytes: 1000, ..demand });
    b.begin(&headers());
    gop(0, 100).for_each(|f| b.write(&f));
    b.start();
    b.write(&video(Role::Delta, 9000, 1));
    assert!(b.files.is_empty());
    gop(9040, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [[9040, 9080]]);
}

#[test]
fn headers_of_what_is_recorded_beforehand_are_those_of_its_time() {
    let other = frame(Kind::Video, Codec::H264, Role::Header, 0, [AVCC, b"\0"].concat());
    let mut b = Bench::new(Options { on_demand: true, preroll_us: 1_000_000, ..options() });
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.write(&other);
    gop(80, 2).for_each(|f| b.write(&f));
    b.start();
    b.end();
    let all = b.files[&0].all();
    let sets: Vec<_> = all.iter().filter(|f| f.kind == Kind::Video).map(|f| f.payload.len()).collect();
    assert_eq!(sets, [AVCC.len(), 9, 9, AVCC.len() + 1, 9, 9]);
}
