//! Any stream.

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Frames: how many, a keyframe each how many, how far apart in ms, whether there is audio.
    Play(u16, u16, u16, bool),
    AudioOnly(u16),
    Leap(i32),
    Republish(bool, bool),
    Change(bool),
    OtherAudio(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1u16..120, 1u16..90, 20u16..300, any::<bool>()).prop_map(|(n, g, ms, a)| Op::Play(n, g, ms, a)),
        1 => (1u16..300).prop_map(Op::AudioOnly),
        1 => (-20_000..30_000).prop_map(Op::Leap),
        1 => any::<(bool, bool)>().prop_map(|(v, a)| Op::Republish(v, a)),
        1 => any::<bool>().prop_map(Op::Change),
        1 => any::<bool>().prop_map(Op::OtherAudio),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_stream_keeps_every_rule(
        ops in prop::collection::vec(op(), 1..40),
        which in 0usize..4,
        fragment_ms in 500i64..6000,
        wait_keyframe in any::<bool>(),
        small in any::<bool>(),
    ) {
        let options = [options(Format::Ts), options(Format::Fmp4), low_latency(), encrypted()][which].clone();
        let max_bytes = if small { 100_000 } else { options.max_bytes };
        let mut disk =
            Disk::new(Options { fragment_us: fragment_ms * 1000, wait_keyframe, max_bytes, ..options });
        let mut dts = 0i64;
        disk.begin(&headers());
        for op in ops {
            match op {
                Op::Play(count, gop, ms, has_audio) => {
                    for n in 0..i64::from(count) {
                        disk.write(&video(n % i64::from(gop) == 0, dts));
                        if has_audio {
                            disk.write(&audio(dts));
                        }
                        dts += i64::from(ms) * 1000;
                    }
                }
                Op::AudioOnly(count) => {
                    for _ in 0..count {
                        disk.write(&audio(dts));
                        dts += 21_333;
                    }
                }
                Op::Leap(ms) => dts += i64::from(ms) * 1000,
                Op::Republish(has_video, has_audio) => {
                    let [v, a] = headers();
                    let both = [has_video.then_some(v), has_audio.then_some(a)];
                    disk.begin(&both.into_iter().flatten().collect::<Vec<_>>());
                }
                Op::Change(large) => disk.write(&video_header(if large { LARGE } else { SMALL })),
                Op::OtherAudio(other) => disk.write(&audio_header(if other { &[0x12, 0x10] } else { AAC })),
            }
        }
        disk.end();
        prop_assert!(disk.writer.bytes() <= 64 << 20);
    }
}
