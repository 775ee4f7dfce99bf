//! Where segments begin and end.

use super::*;

#[test]
fn segments_end_at_the_first_keyframe_that_is_late_enough() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()] {
        let mut disk = Disk::new(options);
        disk.begin(&headers());
        live(&mut disk, 0, 240, 30);
        disk.end();
        // Two GOPs of 1.2 s.
        assert_eq!(disk.target(), 2);
        assert!(disk.closed.len() >= 100);
        for closed in disk.closed.iter().rev().skip(1) {
            assert_eq!(closed.duration_us, 2_400_000);
            assert!(closed.independent && !closed.discontinuity);
        }
        assert!(disk.last.as_ref().unwrap().independent);
        assert!(disk.files.len() < 200, "what has expired is gone");
    }
}

#[test]
fn the_target_duration_is_chosen_by_the_gops() {
    for (gop, fragment_us, td_ratio, target) in
        [(50, 2_000_000, 1.0, 2), (50, 3_000_000, 1.0, 4), (250, 2_000_000, 1.0, 4), (50, 2_000_000, 1.5, 3)]
    {
        let mut disk = Disk::new(Options { fragment_us, td_ratio, ..options(Format::Ts) });
        disk.begin(&headers());
        live(&mut disk, 0, 60, gop);
        assert_eq!(disk.target(), target, "{gop}");
    }
}

#[test]
fn a_gop_that_becomes_longer_is_cut_rather_than_the_target_changed() {
    let mut disk = Disk::new(options(Format::Fmp4));
    disk.begin(&headers());
    live(&mut disk, 0, 20, 50);
    live(&mut disk, 20_000_000, 60, 225);
    assert_eq!(disk.target(), 2);
    assert!(disk.closed.iter().any(|c| !c.independent));
    assert!(!disk.last.as_ref().unwrap().independent);
}

#[test]
fn a_keyframe_is_taken_early_where_the_next_would_be_too_late() {
    let mut disk = Disk::new(Options { fragment_us: 10_000_000, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 22, 50);
    assert_eq!(disk.target(), 10);
    live(&mut disk, 22_000_000, 90, 225);
    let late: Vec<_> = disk.closed.iter().skip(4).map(|c| (c.duration_us, c.independent)).collect();
    assert!(late.len() > 4 && late.iter().all(|c| *c == (9_000_000, true)), "{late:?}");
}

#[test]
fn without_keyframes_to_wait_for_any_frame_will_do() {
    let mut disk = Disk::new(Options { wait_keyframe: false, ..options(Format::Ts) });
    disk.begin(&headers());
    live(&mut disk, 0, 30, 1000);
    assert!(disk.closed.iter().all(|c| c.duration_us == 2_000_000));
}

#[test]
fn audio_alone_and_video_alone() {
    for options in [options(Format::Ts), options(Format::Fmp4), low_latency()] {
        let mut disk = Disk::new(options.clone());
        disk.begin(&[audio_header(AAC)]);
        (0..5000).for_each(|n| disk.write(&audio(n * 1024 * 1000 / 48)));
        assert!(disk.closed.len() > 45);
        assert!(disk.closed.iter().all(|c| c.independent && (2_000_000..2_500_000).contains(&c.duration_us)));
        let mut disk = Disk::new(options);
        disk.begin(&[video_header(SMALL)]);
        (0..2000).for_each(|n| disk.write(&video(n % 50 == 0, n * 40_000)));
        assert!(disk.closed.len() > 35);
        assert!(disk.closed.iter().all(|c| c.independent && c.duration_us == 2_000_000));
    }
}

#[test]
fn nothing_begins_without_a_keyframe() {
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&headers());
    for n in 1..20 {
        disk.write(&video(false, n * 40_000));
        disk.write(&audio(n * 40_000));
    }
    assert_eq!(disk.writer.bytes(), 0);
    live(&mut disk, 800_000, 5, 50);
    assert_eq!(disk.closed[0].date_ms, BEGAN_MS + 800);
    assert!(disk.closed.iter().all(|c| c.independent));
}

#[test]
fn audio_that_comes_before_the_video_is_known_is_no_segment() {
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&[audio_header(AAC)]);
    (0..20).for_each(|n| disk.write(&audio(n * 21_333)));
    disk.write(&video_header(SMALL));
    live(&mut disk, 430_000, 7, 50);
    assert_eq!((disk.closed[0].seq, disk.closed[0].discontinuity), (0, false));
    assert_eq!(disk.closed.len(), 3);
    // And video that never comes is not waited for.
    let mut disk = Disk::new(options(Format::Ts));
    disk.begin(&headers());
    (0..2000).for_each(|n| disk.write(&audio(n * 21_333)));
    assert!(disk.closed.len() > 3);
}

#[test]
fn bytes_kept_are_bounded() {
    let mut disk = Disk::new(Options { max_bytes: 60_000, window_us: 60_000_000, ..options(Format::Fmp4) });
    disk.begin(&headers());
    for n in 0..3000 {
        disk.write(&video(n % 50 == 0, n * 40_000));
        assert!(disk.writer.bytes() <= 60_000 + 1500, "{}", disk.writer.bytes());
    }
    assert!(disk.last.as_ref().unwrap().segments.len() > 3);
    disk.writer.dispose();
    disk.drain_disposed();
    assert!(disk.files.is_empty());
    assert_eq!(disk.writer.bytes(), 0);
}

#[test]
fn times_counted_in_samples_are_even() {
    let mut disk = Disk::new(Options { dts_directly: false, ..options(Format::Fmp4) });
    disk.begin(&[audio_header(AAC)]);
    // As RTMP rounds them.
    (0..1000i64).for_each(|n| disk.write(&audio(n * 1024 * 1000 / 48 / 1000 * 1000)));
    // 94 frames are the first that are 2 s.
    assert!(disk.closed.iter().all(|c| c.duration_us.abs_diff(94 * 1024 * 1000 / 48) <= 1));
    assert!(disk.closed.len() > 8);
}
