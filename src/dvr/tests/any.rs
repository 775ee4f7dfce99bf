//! Whatever a publisher does.

use super::*;

/// What a publisher may do.
#[derive(Debug, Clone)]
enum Act {
    Publish { video: bool },
    Gop { frames: u8 },
    Audio,
    Leap { ms: i64 },
    Header { audio: bool },
    Cut,
    Pass { ms: u16 },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        1 => any::<bool>().prop_map(|video| Act::Publish { video }),
        6 => (0..12u8).prop_map(|frames| Act::Gop { frames }),
        6 => Just(Act::Audio),
        1 => prop_oneof![-100_000_000..100_000_000i64, any::<i64>()].prop_map(|ms| Act::Leap { ms }),
        1 => any::<bool>().prop_map(|audio| Act::Header { audio }),
        1 => Just(Act::Cut),
        1 => (0..5000u16).prop_map(|ms| Act::Pass { ms }),
    ];
    prop::collection::vec(act, 0..60)
}

/// Lets a publisher act, and answers the ids of the frames that are to be recorded.
fn play(b: &mut Bench, acts: Vec<Act>, with_audio_header: bool) -> Vec<u32> {
    let (mut ms, mut next, mut expected) = (0i64, 0u32, vec![]);
    let (mut flowing, mut has_video, mut version) = (false, true, 0u8);
    b.begin(&headers());
    for act in acts {
        let mut frames = vec![];
        match act {
            Act::Publish { video } => {
                b.end();
                b.begin(&if video { headers() } else { sound() });
                (flowing, has_video) = (false, video);
            }
            Act::Gop { frames: n } if has_video => frames.extend((0..n).map(|i| {
                let role = if i == 0 { Role::Key } else { Role::Delta };
                video(role, ms.saturating_add(40 * i64::from(i)), 0)
            })),
            Act::Gop { .. } => {}
            Act::Audio => frames.push(audio(ms, 0)),
            Act::Leap { ms: by } => ms = by,
            Act::Header { audio } => {
                version = version.wrapping_add(1);
                if audio && with_audio_header {
                    b.write(&frame(Kind::Audio, Codec::Aac, Role::Header, ms, [ASC, &[version]].concat()));
                } else if has_video {
                    b.write(&frame(
                        Kind::Video,
                        Codec::H264,
                        Role::Header,
                        ms,
                        [&AVCC[..AVCC.len() - 1], &[version]].concat(),
                    ));
                }
            }
            Act::Cut => b.recorder.cut(Cut::AtKeyframe),
            Act::Pass { ms } => b.pass(ms.into()),
        }
        for mut f in frames {
            let at = f.payload.len() - 4;
            f.payload = [&f.payload[..at], &next.to_be_bytes()].concat().into();
            flowing |= f.is_video_key() || !has_video;
            if flowing {
                expected.push(next);
            }
            next += 1;
            ms = f.dts.div_euclid(1000).saturating_add(20);
            b.write(&f);
        }
    }
    b.end();
    b.pass(1_000_000);
    expected
}

proptest! {
    #[test]
    fn every_frame_is_in_one_file(
        acts in acts(),
        plan in prop_oneof![Just(Plan::Session), Just(Plan::Segment)],
        jitter in prop_oneof![Just(Correction::FULL), Just(Correction::Zero), Just(Correction::Off)],
        keep in any::<bool>(),
    ) {
        let keep_us = if keep { 1_000_000 } else { 0 };
        let mut b = Bench::new(Options { plan, jitter, keep_us, duration_us: 500_000, keyframe_index: keep, ..options() });
        let expected = play(&mut b, acts, true);
        let ids = b.ids();
        prop_assert!(ids.iter().all(|file| !file.is_empty()));
        prop_assert_eq!(ids.concat(), expected);
        prop_assert_eq!((b.dropped, b.refused.len()), (0, 0));
        for file in b.files.values() {
            prop_assert!(file.closed.is_some());
            if jitter != Correction::Off {
                prop_assert_eq!(file.frames()[0].dts, 0);
            }
        }
    }

    #[test]
    fn a_cut_file_still_plays(acts in acts(), cut in any::<prop::sample::Index>()) {
        let mut b = Bench::new(options());
        play(&mut b, acts, true);
        for file in b.files.values() {
            let whole = tags(&file.raw);
            let part = tags(&file.raw[..cut.index(file.raw.len() + 1)]);
            prop_assert_eq!(&part[..], &whole[..part.len()]);
        }
    }

    #[test]
    fn every_frame_is_in_one_mp4_file(
        acts in acts(),
        plan in prop_oneof![Just(Plan::Session), Just(Plan::Segment), Just(Plan::Append)],
        jitter in prop_oneof![Just(Correction::FULL), Just(Correction::Zero), Just(Correction::Off)],
        keep in any::<bool>(),
        fragment_us in prop_oneof![Just(0), 1..2_000_000i64],
    ) {
        let keep_us = if keep { 1_000_000 } else { 0 };
        let mut b = Bench::new(Options { plan, jitter, keep_us, fragment_us, duration_us: 500_000, ..mp4() });
        let expected = play(&mut b, acts, false);
        let mut all = vec![];
        for file in b.files.values() {
            prop_assert_eq!(file.closed.map(|(_, bytes)| bytes), Some(file.bytes.len() as u64));
            let (init, found) = fragments(&file.bytes);
            let init = init.expect("tracks");
            // An independent reader takes the boxes too.
            prop_assert_eq!(boxes(&file.bytes), found.len());
            for (kind, is_there) in [(Kind::Video, init.video.is_some()), (Kind::Audio, init.audio.is_some())] {
                let runs: Vec<_> = found.iter().flat_map(|(f, _)| &f.runs).filter(|r| r.kind == kind).collect();
                prop_assert!(runs.windows(2).all(|w| w[0].end() <= w[1].time), "a track goes back");
                prop_assert_eq!(runs.is_empty(), !is_there);
                if kind == Kind::Video && is_there {
                    prop_assert!(runs[0].samples[0].key);
                }
            }
            let from = all.len();
            all.extend(found.into_iter().flat_map(|(_, ids)| ids));
            // In one file the tracks stand one after the other.
            all[from..].sort_unstable();
        }
        prop_assert_eq!(all, expected);
        prop_assert_eq!((b.dropped, b.refused.len()), (0, 0));
    }
}

/// How many fragments shiguredo_mp4 finds, which knows nothing of this crate.
fn boxes(mut bytes: &[u8]) -> usize {
    use shiguredo_mp4::Decode;
    use shiguredo_mp4::boxes::RootBox;
    let mut fragments = 0;
    while !bytes.is_empty() {
        let (root, length) = RootBox::decode(bytes).expect("a box");
        fragments += usize::from(matches!(root, RootBox::Moof(_)));
        bytes = &bytes[length..];
    }
    fragments
}
