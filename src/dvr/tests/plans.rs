//! When a file begins and ends, and which one is gone on with.

use super::*;

#[test]
fn a_segment_ends_at_the_first_keyframe_after_its_time() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 100_000, ..options() });
    b.begin(&headers());
    for at in [0, 80, 160, 240] {
        gop(at, 2).for_each(|f| b.write(&f));
    }
    b.end();
    assert_eq!(b.ids(), [[0, 40, 80, 120], [160, 200, 240, 280]]);
    assert_eq!(b.times(1), [0, 40, 80, 120]);
    assert_eq!(b.files[&1].all()[1].payload[..], *AVCC);
    assert_eq!(b.files[&1].path, "d/live/s-1.flv");
}

#[test]
fn a_segment_without_keyframes_ends_all_the_same() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 1_000_000, ..options() });
    b.begin(&headers());
    gop(0, 600).for_each(|f| b.write(&f));
    b.end();
    // One second and ten more; the frame at 11 s begins another file.
    assert_eq!(b.ids().iter().map(Vec::len).collect::<Vec<_>>(), [275, 275, 50]);
}

#[test]
fn audio_alone_begins_and_ends_anywhere() {
    let mut b = Bench::new(Options { plan: Plan::Segment, duration_us: 100_000, ..options() });
    b.begin(&sound());
    (0..10).for_each(|i| b.write(&audio(i * 30, i as u32)));
    b.end();
    assert_eq!(b.ids(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_eq!(b.files[&0].bytes[4], 4);
}

#[test]
fn without_waiting_a_file_begins_with_any_frame() {
    let mut b = Bench::new(Options { wait_keyframe: false, ..options() });
    b.begin(&headers());
    b.write(&video(Role::Mark, 0, 1));
    b.write(&video(Role::Delta, 0, 2));
    b.end();
    assert_eq!(b.ids(), [[2]]);
}

#[test]
fn cuts() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 3).for_each(|f| b.write(&f));
    b.recorder.cut(Cut::AtKeyframe);
    b.write(&video(Role::Delta, 120, 120));
    gop(160, 2).for_each(|f| b.write(&f));
    b.recorder.cut(Cut::AtOnce);
    b.take();
    assert!(b.files.values().all(|f| f.closed.is_some()));
    b.write(&video(Role::Delta, 240, 240));
    gop(280, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [vec![0, 40, 80, 120], vec![160, 200], vec![280, 320]]);
}

#[test]
fn a_publisher_that_returns_in_time_goes_on_in_the_same_file() {
    let mut b = Bench::new(Options { keep_us: 2_000_000, ..options() });
    b.begin(&headers());
    gop(1000, 2).for_each(|f| b.write(&f));
    b.end();
    b.pass(1000);
    b.begin(&headers());
    b.write(&audio(70_000, 1));
    gop(70_000, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids(), [[1000, 1040, 70_000, 70_040]]);
    // The clock goes on from where it was; audio before the keyframe is left out but counted.
    assert_eq!(b.times(0), [0, 40, 50, 90]);
    b.pass(1999);
    assert!(b.files[&0].closed.is_none());
    b.pass(1);
    assert_eq!(b.files[&0].closed.unwrap().0, 90_000);
    b.begin(&headers());
    gop(0, 1).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.ids().len(), 2);
}

#[test]
fn a_file_that_was_there_is_gone_on_with() {
    let mut b = Bench::new(Options { plan: Plan::Append, path: "x.flv".into(), ..options() });
    b.begin(&headers());
    gop(500, 2).for_each(|f| b.write(&f));
    assert!(b.files[&0].append && b.writes.is_empty(), "nobody knows what is in it");
    b.write(&video(Role::Delta, 580, 580));
    b.recorder.opened(b.now, 0, 1000, 7000);
    b.write(&video(Role::Delta, 620, 620));
    b.end();
    let (_, bytes) = b.files[&0].closed.unwrap();
    let image = b.files.get_mut(&0).unwrap();
    assert_eq!(bytes, 1000 + image.bytes.len() as u64);
    let found = tags(&[&flv::file::header(true, true), &image.bytes[..]].concat());
    let times: Vec<_> = found.iter().map(|f| (f.role, f.dts / 1000)).collect();
    let at = |role, ms: i32| (role, 7010 + i64::from(ms));
    assert_eq!(
        times,
        [
            at(Role::Header, 0),
            at(Role::Header, 0),
            at(Role::Key, 0),
            at(Role::Delta, 40),
            at(Role::Delta, 80),
            at(Role::Delta, 120)
        ]
    );
    // One that was not there is begun, and one whose publish has ended meanwhile is written all the same.
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    assert!(b.files[&1].closed.is_none());
    b.recorder.opened(b.now, 1, 0, 0);
    b.take();
    assert!(b.files[&1].closed.is_some());
    assert_eq!(b.files[&1].frames().len(), 2);
    // So is what the next publish has brought by then.
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.end();
    b.begin(&headers());
    gop(80, 2).for_each(|f| b.write(&f));
    b.recorder.opened(b.now, 2, 0, 0);
    b.end();
    assert_eq!(b.files[&2].frames().iter().map(id).collect::<Vec<_>>(), [0, 40, 80, 120]);
    assert_eq!(b.dropped, 0, "headers are no frames");
}
