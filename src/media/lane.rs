//! A format's wire images of a stream's frames: each made once, on first demand, and shared.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::chain::{Copies, own_due};
use super::{Chain, Frame, Headers, Ring};
use crate::time::Time;

/// Makes a format's wire images. Whoever knows the format supplies it; a lane drives it.
pub trait Mux: fmt::Debug + Send {
    /// The lane begins, or begins anew: the headers in force before the first frame that follows.
    fn start(&mut self, headers: &Headers);

    /// The image of the next frame, in the stream's order. Empty where the format has none for it.
    fn image(&mut self, frame: &Frame) -> Chain;

    /// What a player is sent before the frame at which it starts, or goes on after a jump: the headers in
    /// force there, given at the time `at` (µs).
    fn preamble(&mut self, headers: &Headers, at: i64) -> Bytes;
}

/// The wire images of one format beside a [`super::Ring`], by the ring's sequence numbers.
#[derive(Debug)]
pub struct Lane {
    mux: Box<dyn Mux>,
    base: u64,
    images: VecDeque<Chain>,
    /// The frame whose image is made next; `None` before the lane has begun.
    next: Option<u64>,
    /// The first frame of another publish: none of the headers before it holds.
    fresh: Option<u64>,
    /// A place further on at which a player goes on, and the headers in force there: frames before it may be lost,
    /// with headers among them.
    ahead: Option<(u64, Headers)>,
    /// How many players take from this lane; it goes when none does.
    pub users: usize,
}

impl Lane {
    /// An empty lane.
    pub fn new(mux: Box<dyn Mux>) -> Self {
        Self { mux, base: 0, images: VecDeque::new(), next: None, fresh: None, ahead: None, users: 0 }
    }

    /// A player starts at frame `seq`, where `headers` are in force, or goes on there after a jump.
    /// Answers what it is sent before.
    pub fn join(&mut self, seq: u64, headers: &Headers, at: i64) -> Bytes {
        if self.next.is_none() || seq < self.base {
            // Images that this player needs were never made, or are gone. Those that others still need are
            // made again on the way.
            self.images.clear();
            self.base = seq;
            self.next = Some(seq);
            self.fresh = self.fresh.filter(|fresh| *fresh > seq);
            self.ahead = None;
            self.mux.start(headers);
        } else if self.next.is_some_and(|next| next < seq) {
            self.ahead = Some((seq, headers.clone()));
        }
        self.mux.preamble(headers, at)
    }

    /// Another publish begins with the frame `seq`.
    pub fn begin(&mut self, seq: u64) {
        self.fresh = Some(seq);
    }

    /// The image of the frame `seq`. Images are made in order, since some formats count; those of frames
    /// that the ring has lost are left out.
    pub fn image(&mut self, ring: &Ring, seq: u64) -> Option<&Chain> {
        self.trim(ring.base());
        let mut next = self.next.unwrap_or(seq);
        if self.images.is_empty() {
            let base = ring.base();
            if next < base
                && let Some((at, headers)) = self.ahead.take_if(|(at, _)| (next..=seq).contains(at))
            {
                // Headers may be among the frames that were lost.
                next = at;
                self.mux.start(&headers);
                self.fresh.take_if(|fresh| *fresh <= at);
            }
            next = next.max(base);
            self.base = next;
        }
        while next <= seq {
            if self.fresh.take_if(|fresh| *fresh <= next).is_some() {
                self.mux.start(&Headers::default());
            }
            self.images.push_back(self.mux.image(ring.frame(next)?));
            next += 1;
            self.next = Some(next);
        }
        self.images.get(usize::try_from(seq.checked_sub(self.base)?).ok()?)
    }

    /// Has the images from the frame `from` on whose lent memory is wanted back by `until` lie in memory of our own.
    pub fn own(&mut self, from: u64, until: Time, copies: &mut Copies) {
        let skipped = usize::try_from(from.saturating_sub(self.base)).unwrap_or(usize::MAX);
        own_due(self.images.iter_mut().skip(skipped), until, copies);
    }

    /// Lets go of images older than `ring_base`.
    pub fn trim(&mut self, ring_base: u64) {
        while self.base < ring_base && self.images.pop_front().is_some() {
            self.base += 1;
        }
        if self.images.is_empty() && self.images.capacity() > 64 {
            self.images = VecDeque::new();
        }
    }

    /// Bytes that the images hold beyond those of the frames that they share.
    pub fn bytes(&self) -> usize {
        let own = |image: &Chain| match image.pieces() {
            [one] => one.len(),
            several => {
                let small: usize =
                    several.iter().map(Bytes::len).filter(|len| *len < image.shared_min()).sum();
                small.saturating_add(image.one().map_or(0, Bytes::len))
            }
        };
        self.images.iter().map(own).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Codec, Kind, RingLimits, Role};
    use super::*;

    /// Counts what it makes: each image is its number and the frame's bytes.
    #[derive(Debug, Default)]
    struct Counting {
        made: u8,
        starts: u8,
    }

    impl Mux for Counting {
        fn start(&mut self, _: &Headers) {
            self.starts += 1;
        }

        fn image(&mut self, frame: &Frame) -> Chain {
            self.made += 1;
            Bytes::from(vec![self.made, frame.payload.bytes()[0]]).into()
        }

        fn preamble(&mut self, _: &Headers, _: i64) -> Bytes {
            Bytes::from(vec![self.starts])
        }
    }

    fn ring(frames: u8) -> Ring {
        let limits = RingLimits {
            bytes: 1000,
            frames: 100,
            length_us: i64::MAX,
            linger_us: 0,
            gop_cache: true,
            gop_frames: 100,
        };
        let mut ring = Ring::new(limits);
        for n in 0..frames {
            let payload = Bytes::from(vec![n]);
            let (kind, codec, role, relay) = (Kind::Audio, Codec::Aac, Role::Key, Bytes::new());
            ring.push(Frame {
                kind,
                codec,
                role,
                dts: i64::from(n),
                pts: i64::from(n),
                payload: payload.into(),
                relay,
            });
        }
        ring
    }

    fn lane() -> Lane {
        Lane::new(Box::new(Counting::default()))
    }

    #[test]
    fn each_image_is_made_once_and_in_order() {
        let (ring, mut lane) = (ring(10), lane());
        lane.join(5, &Headers::default(), 0);
        for _ in 0..3 {
            for seq in [7, 5, 6, 8] {
                assert_eq!(lane.image(&ring, seq).unwrap(), &[seq as u8 - 4, seq as u8]);
            }
        }
        assert_eq!(lane.image(&ring, 10), None, "there is no such frame yet");
        lane.trim(9);
        assert_eq!(lane.bytes(), 2, "that of 9, made on the way to 10");
        lane.trim(100);
        assert_eq!(lane.bytes(), 0);
    }

    #[test]
    fn a_player_who_starts_earlier_begins_the_lane_anew() {
        let (ring, mut lane) = (ring(10), lane());
        assert_eq!(lane.join(5, &Headers::default(), 0).as_ref(), [1]);
        assert_eq!(lane.image(&ring, 5).unwrap(), &[1, 5]);
        assert_eq!(lane.join(6, &Headers::default(), 0).as_ref(), [1], "no new beginning for a later one");
        assert_eq!(lane.join(2, &Headers::default(), 0).as_ref(), [2]);
        assert_eq!(lane.image(&ring, 2).unwrap(), &[2, 2]);
        assert_eq!(lane.image(&ring, 5).unwrap(), &[5, 5]);
    }

    #[test]
    fn headers_that_were_lost_with_their_frames_are_those_of_the_place_where_a_player_goes_on() {
        let (mut ring, mut lane) = (ring(10), lane());
        lane.join(0, &Headers::default(), 0);
        lane.image(&ring, 0);
        assert_eq!(lane.join(5, &Headers::default(), 0).as_ref(), [1]);
        lane.image(&ring, 5);
        assert_eq!(lane.join(5, &Headers::default(), 0).as_ref(), [1], "none was lost on the way");
        ring.trim(8);
        assert_eq!(lane.join(9, &Headers::default(), 0).as_ref(), [1]);
        assert_eq!(lane.image(&ring, 9).unwrap(), &[7, 9]);
        assert_eq!(lane.join(9, &Headers::default(), 0).as_ref(), [2]);
    }

    #[test]
    fn headers_do_not_outlive_their_publish() {
        let (ring, mut lane) = (ring(10), lane());
        lane.join(0, &Headers::default(), 0);
        lane.begin(3);
        lane.image(&ring, 2);
        assert_eq!(lane.join(2, &Headers::default(), 0).as_ref(), [1]);
        lane.image(&ring, 5);
        assert_eq!(lane.join(5, &Headers::default(), 0).as_ref(), [2], "begun anew, once");
        lane.begin(7);
        assert_eq!(lane.join(0, &Headers::default(), 0).as_ref(), [2]);
        lane.image(&ring, 9);
        assert_eq!(lane.join(9, &Headers::default(), 0).as_ref(), [3]);
    }

    #[test]
    fn frames_that_the_ring_has_lost_are_left_out() {
        let (mut ring, mut lane) = (ring(10), lane());
        lane.join(0, &Headers::default(), 0);
        lane.image(&ring, 1);
        ring.trim(6);
        assert_eq!(lane.image(&ring, 7).unwrap(), &[4, 7]);
        assert_eq!(lane.image(&ring, 6).unwrap(), &[3, 6]);
        assert_eq!(lane.image(&ring, 5), None);
    }
}
