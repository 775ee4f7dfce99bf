//! When a picture is decoded, where the encoder tells only when it is shown.
//!
//! At most `depth` pictures are decoded before one that is shown earlier, as the parameter sets say. So of the
//! pictures that have come, all but the latest `depth` ones (by when they are shown) are known to be the earliest
//! there are: the times of display in their order, `depth` pictures late, are times of decoding that go up and are
//! never after those of display. x264 and x265 make theirs in the same way.

use smallvec::SmallVec;

/// From picture to picture where nothing says it.
const FRAME_US: i64 = 40_000;
/// The most pictures that may be out of order (H.264, A.3.1; H.265, A.4.2).
const DEPTH_MAX: usize = 16;
/// The reordering of encoders that don't tell it, once it shows: B-frames that others refer to, at most.
const DEPTH_USUAL: usize = 2;

/// What is known of a picture's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// How many pictures may come before one that is shown earlier, where that is told.
    pub(super) reorder: Option<u8>,
    /// Frames per second as a fraction, where that is told.
    pub(super) frame_rate: Option<(u32, u32)>,
    /// pic_order_cnt_lsb, where it is told.
    pub(super) order: Option<u32>,
    /// The order is counted from here on.
    pub(super) is_idr: bool,
}

/// The pictures of one track.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// When those are shown that are later than the last time of decoding, in order.
    waiting: SmallVec<[i64; DEPTH_MAX]>,
    /// The last time of decoding.
    last: Option<i64>,
    /// When the last pictures that came are shown: where the depth isn't told it is seen by them.
    recent: SmallVec<[i64; DEPTH_MAX]>,
    seen_depth: usize,
    /// Pictures since the order was counted anew.
    since_idr: u32,
    /// No picture to come is shown before this, as far as can be told.
    soonest: Option<i64>,
}

impl Order {
    /// A picture whose time of decoding is told. The answer goes up, and its time of display is not before it.
    pub(super) fn told(&mut self, dts: i64, pts: i64) -> (i64, i64) {
        let dts = self.last.map_or(dts, |last| dts.max(last));
        self.waiting.clear();
        self.last = Some(dts);
        (dts, pts.max(dts))
    }

    /// The times of decoding and of display of a picture that is shown at `pts`.
    pub(super) fn made(&mut self, pts: i64, place: &Place) -> (i64, i64) {
        let seen = self.see(pts, place);
        let depth = place.reorder.map_or(seen, usize::from).min(DEPTH_MAX);
        let at = self.waiting.partition_point(|waiting| *waiting <= pts);
        self.waiting.insert(at, pts);

        let mut due = None;
        while self.waiting.len() > depth {
            due = Some(self.waiting.remove(0));
        }
        let dts = match (due, self.last) {
            (Some(due), _) => due,
            (None, None) => pts.saturating_sub(duration(depth, place.frame_rate)),
            // The first few, and where the depth has grown: between what was and what will be.
            (None, Some(last)) => {
                let next = self.waiting.first().copied().unwrap_or(pts);
                let next = self.soonest.map_or(next, |soonest| soonest.min(next));
                let steps = depth.saturating_sub(self.waiting.len()).saturating_add(2);
                let steps = i64::try_from(steps).unwrap_or(i64::MAX);
                last.saturating_add(next.saturating_sub(last).checked_div(steps).unwrap_or(0))
            }
        };
        if due.is_some() {
            self.soonest = None;
        }
        // Only where more is out of order than was told.
        let dts = self.last.map_or(dts, |last| dts.max(last.saturating_add(1)));
        self.last = Some(dts);
        (dts, pts.max(dts))
    }

    /// The depth that shows.
    fn see(&mut self, pts: i64, place: &Place) -> usize {
        self.since_idr = if place.is_idr { 0 } else { self.since_idr.saturating_add(1) };
        let later = self.recent.iter().filter(|recent| **recent > pts).count();
        self.seen_depth = self.seen_depth.max(later);
        // Counted by two, or by one: behind the first picture comes one that isn't the next to be shown.
        if self.since_idr == 1
            && self.seen_depth < DEPTH_USUAL
            && let Some(order @ 3..) = place.order
            && let Some(before) = self.recent.last()
            && pts > *before
        {
            self.seen_depth = DEPTH_USUAL;
            let pictures = i64::from(order).checked_div(2).unwrap_or(1).max(1);
            let apart = pts.saturating_sub(*before).checked_div(pictures).unwrap_or(0);
            self.soonest = Some(before.saturating_add(apart));
        }
        if self.recent.len() >= DEPTH_MAX {
            self.recent.remove(0);
        }
        self.recent.push(pts);
        self.seen_depth
    }
}

/// How long so many pictures last, in µs.
fn duration(pictures: usize, frame_rate: Option<(u32, u32)>) -> i64 {
    let pictures = i64::try_from(pictures).unwrap_or(0);
    let (num, den) = frame_rate.map_or((1_000_000, FRAME_US), |(num, den)| (num.into(), den.into()));
    pictures.saturating_mul(1_000_000).saturating_mul(den).checked_div(num).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T: i64 = 40_000;

    /// In units of 40 ms: (decoding, display) of pictures shown at these times.
    fn made(times: &[i64], place: Place) -> Vec<(f64, i64)> {
        let mut order = Order::default();
        let rate = Some((25, 1));
        let place = |i: usize| Place {
            frame_rate: rate,
            is_idr: i == 0,
            order: place.order.map(|_| 2 * times[i] as u32),
            ..place
        };
        let made = times.iter().enumerate().map(|(i, t)| order.made(t * T, &place(i)));
        made.map(|(dts, pts)| (dts as f64 / T as f64, pts / T)).collect()
    }

    fn decoding(times: &[i64], place: Place) -> Vec<f64> {
        made(times, place).into_iter().map(|(dts, _)| dts).collect()
    }

    #[test]
    fn what_is_in_order_is_decoded_when_it_is_shown() {
        let told = Place { reorder: Some(0), ..Place::default() };
        let seen = Place { order: Some(0), ..Place::default() };
        for place in [told, seen, Place::default()] {
            assert_eq!(decoding(&[0, 1, 2, 5, 6], place), [0.0, 1.0, 2.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn told_depths_of_one_and_two() {
        let place = |reorder| Place { reorder: Some(reorder), ..Place::default() };
        assert_eq!(decoding(&[0, 2, 1, 4, 3, 5], place(1)), [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(
            decoding(&[0, 4, 2, 1, 3, 8, 6, 5, 7], place(2)),
            [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        // Deeper than was needed: still in order, and no later.
        assert_eq!(decoding(&[0, 1, 2, 3], place(2)), [-2.0, -1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_depth_that_is_not_told_shows_by_the_order_of_pictures() {
        let place = Place { order: Some(0), ..Place::default() };
        let all = made(&[0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11], place);
        assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "{all:?}");
        assert!(all.iter().all(|(dts, pts)| *dts <= *pts as f64), "{all:?}");
        assert_eq!(
            all.iter().map(|(_, pts)| *pts).collect::<Vec<_>>(),
            [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]
        );
        assert_eq!(
            all[3..].iter().map(|(dts, _)| *dts).collect::<Vec<_>>(),
            (1..=10).map(f64::from).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_depth_that_changes() {
        let mut order = Order::default();
        let mut at = |t: i64, reorder| {
            order
                .made(t * T, &Place { reorder: Some(reorder), frame_rate: Some((25, 1)), ..Place::default() })
                .0
        };
        assert_eq!([at(0, 0), at(1, 0)], [0, T]);
        assert_eq!([at(2, 2), at(6, 2), at(4, 2), at(3, 2)], [T + T / 3, T + 2 * T / 3, 2 * T, 3 * T]);
        assert_eq!([at(5, 2), at(7, 0), at(8, 0)], [4 * T, 7 * T, 8 * T]);
    }

    #[test]
    fn told_and_made_go_on_from_each_other() {
        let mut order = Order::default();
        let place = Place { reorder: Some(1), frame_rate: Some((25, 1)), ..Place::default() };
        assert_eq!(order.told(0, T), (0, T));
        assert_eq!(order.made(3 * T, &place), (T * 3 / 2, 3 * T));
        assert_eq!(order.made(2 * T, &place), (2 * T, 2 * T));
        assert_eq!(order.told(T, T), (2 * T, 2 * T), "never back");
    }

    proptest! {
        #[test]
        fn decoding_goes_up_and_is_never_after_display(
            pictures in prop::collection::vec((-20i64..20, prop::option::of(0u8..20), 0u32..20, any::<bool>()), 0..60),
        ) {
            let mut order = Order::default();
            let mut last = i64::MIN;
            for (i, (step, reorder, count, is_idr)) in pictures.into_iter().enumerate() {
                let place = Place { reorder, frame_rate: None, order: Some(count), is_idr };
                let given = (i as i64 + step) * T;
                let (dts, pts) = order.made(given, &place);
                prop_assert!(dts > last && dts <= pts && pts >= given);
                last = dts;
            }
        }

        #[test]
        fn a_depth_that_is_kept_to_changes_no_time_of_display(
            swaps in prop::collection::vec(0usize..4, 1..50), depth in 3u8..6,
        ) {
            // Each picture is decoded at most three before its place.
            let mut times: Vec<(usize, usize)> = swaps.iter().enumerate().map(|(i, back)| (i.saturating_sub(*back), i)).collect();
            let shown: Vec<usize> = { times.sort(); times.iter().map(|(_, i)| *i).collect() };
            let mut order = Order::default();
            for i in shown {
                let place = Place { reorder: Some(depth), frame_rate: Some((25, 1)), ..Place::default() };
                prop_assert_eq!(order.made(i as i64 * T, &place).1, i as i64 * T);
            }
        }

        #[test]
        fn any_times_are_taken(times in prop::collection::vec((any::<i64>(), any::<bool>()), 0..40)) {
            let mut order = Order::default();
            for (time, told) in times {
                let (dts, pts) = if told { order.told(time, time) } else { order.made(time, &Place::default()) };
                prop_assert!(dts <= pts);
            }
        }
    }
}
