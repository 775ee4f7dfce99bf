//! How the whole way of a stream is compared: another packet, another time and what is missing are seen.

mod support;

use support::clients::{self, Kind};
use support::flv::{self, Tag};
use support::nginx::Nginx;
use support::paths::{Came, Route};
use support::repository;

fn clip() -> Vec<Tag> {
    flv::read(&repository("assets/clip.flv"))
}

fn compare(tags: Vec<Tag>) -> Came {
    Came::compare(tags, &repository("assets/clip.flv"))
}

/// One nginx pushes to another in real time; one alone takes and gives at full speed.
#[test]
fn ways_are_compared_packet_by_packet() {
    let file = repository("assets/clip.flv");
    let last = Nginx::start("");
    let first = Nginx::start(&format!("push {};", last.url("").trim_end_matches('/')));
    let (to, from) = (first.url("test"), last.url("test"));
    let route = Route { publisher: clients::ffmpeg, to: &to, player: Kind::Rtmpdump, from: &from };
    let came = route.live(&file, 30);
    assert!(came.count >= 30, "{} pictures", came.count);

    let url = last.url("whole");
    let route = Route { publisher: clients::new_ffmpeg, to: &url, player: Kind::NewFfmpeg, from: &url };
    let came = route.at_once(&file, || last.wait_play("whole", 1));
    assert_eq!(came.missed, 0);
    let pictures = flv::track(&clip(), flv::VIDEO).len();
    assert!(came.count + 8 >= pictures, "{} of {pictures}", came.count);
}

/// Times may all be later; what a player has before its first keyframe doesn't count.
#[test]
fn a_part_at_another_time_is_found() {
    let mut tags = clip();
    tags.retain(|tag| !tag.is_frame() || (3_000..9_000).contains(&tag.time));
    tags.iter_mut().for_each(|tag| tag.time += 7_000);
    let came = compare(tags);
    let pictures = flv::track(&clip(), flv::VIDEO);
    // A keyframe comes every two seconds.
    let before = pictures.iter().filter(|picture| picture.time < 4_000).count();
    assert_eq!((came.missed, came.offset_us), (before, 7_000_000));
}

#[test]
#[should_panic(expected = "is another")]
fn a_hole_is_seen() {
    let mut tags = clip();
    let key = tags.iter().rposition(Tag::is_video_key).expect("keyframes");
    let picture = (key - 20..).find(|at| tags[*at].kind == flv::VIDEO).expect("a picture");
    tags.remove(picture);
    compare(tags);
}

#[test]
#[should_panic(expected = "at another time")]
fn a_wrong_time_is_seen() {
    let mut tags = clip();
    let sound = tags.iter().rposition(|tag| tag.kind == flv::AUDIO && tag.is_frame()).expect("sound");
    tags[sound].time += 5;
    compare(tags);
}

#[test]
#[should_panic(expected = "a track is not all there")]
fn a_track_that_ends_is_seen() {
    let mut tags = clip();
    tags.retain(|tag| tag.kind != flv::AUDIO || tag.time < 5_000);
    compare(tags);
}

#[test]
#[should_panic(expected = "a track is not all there")]
fn a_track_that_never_comes_is_seen() {
    let mut tags = clip();
    tags.retain(|tag| tag.kind != flv::AUDIO);
    compare(tags);
}
