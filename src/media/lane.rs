//! A format's wire images of a stream's frames: each made once, on first demand, and shared.

use std::collections::VecDeque;

use bytes::Bytes;

/// The wire images of one format beside a [`super::Ring`], by the ring's sequence numbers.
#[derive(Debug, Default)]
pub struct Lane {
    base: u64,
    images: VecDeque<Bytes>,
    /// How many players take from this lane; it goes when none does.
    pub users: usize,
}

impl Lane {
    /// The image of frame `seq`, from `make` if it is asked for the first time. `ring_base` is the
    /// ring's oldest sequence number: images older than that are let go.
    pub fn image(&mut self, ring_base: u64, seq: u64, make: impl FnOnce() -> Bytes) -> &Bytes {
        self.trim(ring_base);
        if seq < self.base {
            // Nobody asks for a frame that the ring has lost; start anew rather than answer wrongly.
            self.images.clear();
            self.base = seq;
        }
        if self.images.is_empty() {
            self.base = seq;
        }
        let at = (seq - self.base) as usize;
        if at >= self.images.len() {
            self.images.resize(at + 1, Bytes::new());
        }
        let slot = &mut self.images[at];
        if slot.is_empty() {
            *slot = make();
        }
        slot
    }

    /// Lets go of images older than `ring_base`.
    pub fn trim(&mut self, ring_base: u64) {
        while self.base < ring_base && self.images.pop_front().is_some() {
            self.base += 1;
        }
        if self.images.is_empty() {
            self.base = self.base.max(ring_base);
        }
    }

    /// Bytes that the images hold.
    pub fn bytes(&self) -> usize {
        self.images.iter().map(Bytes::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_image_is_made_once() {
        let mut lane = Lane::default();
        let mut made = 0;
        for _ in 0..3 {
            for seq in 5..9 {
                let image = lane.image(5, seq, || {
                    made += 1;
                    Bytes::from(vec![seq as u8; 3])
                });
                assert_eq!(image.as_ref(), [seq as u8; 3]);
            }
        }
        assert_eq!(made, 4);
        lane.trim(8);
        assert_eq!(lane.bytes(), 3);
        lane.trim(100);
        assert_eq!(lane.bytes(), 0);
    }

    #[test]
    fn a_player_far_behind_and_one_at_the_head_share_it() {
        let mut lane = Lane::default();
        assert_eq!(lane.image(0, 10, || Bytes::from_static(b"ten")).as_ref(), b"ten");
        assert_eq!(lane.image(0, 2, || Bytes::from_static(b"two")).as_ref(), b"two");
        assert_eq!(lane.image(0, 10, || Bytes::from_static(b"TEN")).as_ref(), b"TEN");
        assert_eq!(lane.image(0, 2, || Bytes::from_static(b"no")).as_ref(), b"two");
    }
}
