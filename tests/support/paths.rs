//! The whole way of a stream: a file is published at one end and played at the other, and what came is held
//! against the file packet by packet. What lies in between may be anything, in any number.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use super::TempDir;
use super::clients::{self, Kind, Player};
use super::flv::{self, AUDIO, Role, Tag, VIDEO};
use super::packets::{self, Audio, Packet, Tracks, Video};

/// How far the distance of two packets may change where both are rounded to milliseconds, in µs.
const ROUNDING_US: i64 = 2000;

/// How far one track may be ahead of the other where a player begins or ends, in µs.
const INTERLEAVING_US: i64 = 1_000_000;

/// A way of a stream.
pub(crate) struct Route<'a> {
    /// What publishes.
    pub(crate) publisher: fn() -> Command,
    /// Where it is published.
    pub(crate) to: &'a str,
    pub(crate) player: Kind,
    /// What is played.
    pub(crate) from: &'a str,
}

impl Route<'_> {
    /// Publishes `file` in real time and plays until `pictures` have come from the first keyframe on.
    #[track_caller]
    pub(crate) fn live(&self, file: &Path, pictures: usize) -> Came {
        let player = Player::start(self.player, self.from);
        let _publisher = clients::publish_live_with((self.publisher)(), file, self.to);
        let enough = |tags: &[Tag]| flv::track(&from_key(tags), VIDEO).len() >= pictures;
        Came::compare(player.wait("so many pictures", enough), file)
    }

    /// Publishes `file` as fast as it goes, once `ready` returns, which waits until the player is served;
    /// plays to the end, but for what some players keep back.
    #[track_caller]
    pub(crate) fn at_once(&self, file: &Path, ready: impl FnOnce()) -> Came {
        let player = Player::start(self.player, self.from);
        ready();
        clients::publish((self.publisher)(), file, self.to).finish();
        let (frames, slack) = (flv::frames(&flv::read(file)).len(), self.player.slack());
        let enough = |tags: &[Tag]| flv::frames(tags).len() + 2 * slack >= frames;
        Came::compare(player.wait("the whole file", enough), file)
    }
}

/// What came out of a way: from its first keyframe on it is a part of what was published, without a hole.
pub(crate) struct Came {
    /// All of it, as the player wrote it.
    pub(crate) tags: Vec<Tag>,
    /// How many frames of the leading track, which is video where there is any, were over when it began.
    pub(crate) missed: usize,
    /// How many of them came.
    pub(crate) count: usize,
    /// How much later all times are than in the file, in µs.
    pub(crate) offset_us: i64,
}

impl Came {
    /// Holds `tags` against a file: in each track the payloads are the file's in their order, and all times
    /// are later than the file's by the same.
    #[track_caller]
    pub(crate) fn compare(tags: Vec<Tag>, file: &Path) -> Self {
        let published = flv::read(file);
        assert_configs_first(&tags, &published);
        let tracks = tracks(&published);
        let sent = packets::of_file(file, None, tracks);
        let came = {
            let dir = TempDir::new();
            let path = dir.join("came.flv");
            flv::write(&path, &from_key(&tags));
            packets::of_file(&path, None, tracks)
        };
        let leads = sent.iter().any(|packet| packet.video);
        let (leader, all) = (packets::track(&came, leads), packets::track(&sent, leads));
        let missed = packets::assert_part(&leader, &all);
        let offset_us = leader[0].dts - all[missed].dts;
        for video in [true, false] {
            let (came, sent) = (packets::track(&came, video), packets::track(&sent, video));
            assert_later_by(offset_us, &came, &sent);
            assert_covers(leader[0].dts..leader[leader.len() - 1].dts, offset_us, &came, &sent);
        }
        Self { tags, missed, count: leader.len(), offset_us }
    }

    /// Asserts that all frames and sequence headers are the file's to the byte and the millisecond, as they
    /// are where nobody took them apart.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, file: &Path) {
        let sent = flv::read(file);
        for kind in [VIDEO, AUDIO] {
            flv::assert_part(&flv::track(&self.tags, kind), &flv::track(&sent, kind));
        }
        flv::assert_configs(&self.tags, &sent);
    }
}

/// Asserts that `came` is a part of `sent` without a hole, and later by so much. Where it begins is told by
/// its time: one silence is like another.
#[track_caller]
fn assert_later_by(offset_us: i64, came: &[Packet], sent: &[Packet]) {
    let Some(first) = came.first() else { return };
    let begins = |packet: &Packet| (first.dts - packet.dts - offset_us).abs() <= ROUNDING_US;
    let start = sent.iter().position(begins);
    let start = start.unwrap_or_else(|| panic!("nothing was sent {offset_us} µs before {first:?}"));
    assert!(came.len() <= sent.len() - start, "more came than was sent");
    for (n, (came, sent)) in came.iter().zip(&sent[start..]).enumerate() {
        assert_eq!(came.hash, sent.hash, "packet {n} is another: {came:?}, and {sent:?} was sent");
    }
    packets::assert_times(came, &sent[start..], offset_us, ROUNDING_US);
}

/// Asserts that a track did not begin much later than the time that came, nor end much earlier.
#[track_caller]
fn assert_covers(time: Range<i64>, offset_us: i64, came: &[Packet], sent: &[Packet]) {
    let inside = time.start + INTERLEAVING_US..time.end - INTERLEAVING_US;
    let due = sent.iter().map(|packet| packet.dts + offset_us).filter(|dts| inside.contains(dts));
    let (first, last) = (due.clone().min(), due.max());
    let begins = came.first().map(|packet| packet.dts - ROUNDING_US);
    let ends = came.last().map(|packet| packet.dts + ROUNDING_US);
    let covers = first.is_none_or(|first| begins.is_some_and(|begins| begins <= first))
        && last.is_none_or(|last| ends.is_some_and(|ends| ends >= last));
    assert!(covers, "a track is not all there: {begins:?} to {ends:?} of {first:?} to {last:?}");
}

/// What a decoder can begin with: the first picture that is a keyframe, and what says how to decode before
/// it. All, where there are no pictures.
fn from_key(tags: &[Tag]) -> Vec<Tag> {
    let has_pictures = tags.iter().any(|tag| tag.kind == VIDEO && tag.is_frame());
    let mut begun = !has_pictures;
    let begins = |tag: &&Tag| {
        begun |= tag.is_video_key();
        begun || matches!(tag.role(), Role::Config | Role::Meta)
    };
    tags.iter().filter(begins).cloned().collect()
}

/// Asserts that each track that was published with a sequence header begins with one. Who takes the frames
/// apart on their way may write it anew, so that its bytes may differ.
#[track_caller]
fn assert_configs_first(came: &[Tag], sent: &[Tag]) {
    for kind in [VIDEO, AUDIO] {
        let mut of_kind = came.iter().filter(|tag| tag.kind == kind && tag.role() != Role::Meta);
        if sent.iter().any(|tag| tag.kind == kind && tag.role() == Role::Config)
            && let Some(first) = of_kind.next()
        {
            assert_eq!(first.role(), Role::Config, "a track starts with its sequence header: {first:?}");
        }
    }
}

/// How a file's tracks are coded, as far as their packets have to be made comparable.
fn tracks(tags: &[Tag]) -> Tracks {
    let head = |kind: u8| {
        let config = tags.iter().find(|tag| tag.kind == kind && tag.role() == Role::Config);
        config.and_then(|tag| tag.body.first_chunk::<5>()).copied().unwrap_or_default()
    };
    let video = match head(VIDEO) {
        [first, b'h', b'v', b'c', b'1'] if first & 0x80 != 0 => Video::Hevc,
        [first, ..] if first & 0x8F == 7 => Video::H264,
        _ => Video::None,
    };
    let audio = if head(AUDIO)[0] >> 4 == 10 { Audio::Aac } else { Audio::None };
    (video, audio)
}
