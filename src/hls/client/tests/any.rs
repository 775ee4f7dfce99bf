//! Any answers.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_answers_are_taken(
        seed in any::<u64>(),
        size in 1usize..3000,
        paced in any::<bool>(),
        which in 0usize..4,
    ) {
        let mut state = seed;
        let mut random = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n.max(1)
        };
        let (files, sum) = match which {
            3 => {
                let (files, frames) = with_rendition([Format::Ts, Format::Fmp4], [0, 0]);
                (files, frames.len())
            }
            _ => {
                let (files, frames, _) = recorded(all()[which].clone());
                (files, frames.len())
            }
        };
        let mut asked = 0;
        let server = |_: Time, path: &str| {
            asked += 1;
            let Some(bytes) = files.get(path) else { return Answer::Absent };
            let mut bytes = bytes.clone();
            let (cut, at) = (random(bytes.len()), random(bytes.len()));
            match random(if path.ends_with("m3u8") { 40 } else { 10 }) {
                0 => return Answer::Absent,
                1 => return Answer::Broken(bytes.slice(..cut)),
                2 => bytes.truncate(cut),
                3 => {
                    let mut other = BytesMut::from(&bytes[..]);
                    other[at] ^= 1 << random(8);
                    bytes = other.freeze();
                }
                _ => {}
            }
            Answer::Body(bytes)
        };
        let pulled = pull(Way { size, paced, until: Time::from_millis(300_000), ..FAST }, server);
        prop_assert!(asked < 1000);
        prop_assert!(pulled.frames.iter().filter(|f| f.role != Role::Header).count() <= sum + 20);
    }
}
