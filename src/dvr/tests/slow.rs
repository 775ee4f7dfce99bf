//! Disks that are slow, or fail.

use super::*;

#[test]
fn a_file_that_takes_long_to_open_costs_the_oldest_gops() {
    let mut b = Bench::new(Options { plan: Plan::Append, path: "x.flv".into(), ..options() });
    b.begin(&headers());
    let payload = vec![7; DVR_QUEUE_BYTES / 10];
    for i in 0..20u32 {
        let role = if i % 4 == 0 { Role::Key } else { Role::Delta };
        let payload = [&payload[..], &i.to_be_bytes()].concat();
        b.write(&frame(Kind::Video, Codec::H264, role, 40 * i64::from(i), payload));
    }
    b.recorder.opened(b.now, 0, 0, 0);
    b.end();
    assert_eq!(b.ids(), [(12..20).collect::<Vec<_>>()]);
    assert_eq!(b.dropped, 12);
}

#[test]
fn outputs_that_nobody_takes_cost_frames_up_to_a_keyframe() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    let big = |role, ms: i64| {
        let mut payload = vec![0; 100_000];
        payload.extend_from_slice(&(ms as u32).to_be_bytes());
        frame(Kind::Video, Codec::H264, role, ms, payload)
    };
    b.write_only(&big(Role::Key, 0));
    for i in 1..100 {
        b.write_only(&big(Role::Delta, i * 40));
    }
    b.write_only(&big(Role::Key, 4000));
    b.take();
    let held = b.files[&0].bytes.len();
    assert!(held > DVR_QUEUE_BYTES - 300_000 && held <= DVR_QUEUE_BYTES);
    let kept = b.ids()[0].len();
    b.write(&big(Role::Delta, 4040));
    b.write(&big(Role::Key, 4080));
    b.end();
    assert_eq!(b.dropped as usize, 102 - kept);
    let times = b.times(0);
    assert_eq!((times.len(), times.last()), (kept + 1, Some(&4080)), "time has gone on");
}

#[test]
fn after_a_failure_another_file_is_tried_later() {
    let mut b = Bench::new(options());
    b.begin(&headers());
    gop(0, 2).for_each(|f| b.write(&f));
    b.recorder.failed(b.now, 0);
    b.recorder.failed(b.now, 0);
    b.take();
    b.pass(9999);
    gop(80, 2).for_each(|f| b.write(&f));
    assert_eq!(b.files.len(), 1);
    b.pass(1);
    b.write(&video(Role::Delta, 160, 160));
    gop(200, 2).for_each(|f| b.write(&f));
    b.end();
    assert_eq!(b.files[&1].frames().iter().map(id).collect::<Vec<_>>(), [200, 240]);
}
