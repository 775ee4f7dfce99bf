//! Memory that encoders have lent, and want back: whatever still holds it in time has it copied.

use smallvec::SmallVec;

use super::Engine;
use super::timers::Alarm;
use crate::hub::Source;
use crate::media::Copies;
use crate::time::Time;

impl Engine {
    /// Sets the alarm for what a stream has been lent, if it is to be earlier than the one that is set.
    pub(super) fn arm_lent(&mut self, id: u32) {
        if let Some(at) = self.hub.stream_mut(id).and_then(|stream| stream.take_lent_alarm()) {
            self.timers.set(at, Alarm::Lent(id));
        }
    }

    /// Memory that a stream has been lent is wanted back: one copy for all who hold it.
    pub(super) fn on_lent_alarm(&mut self, now: Time, at: Time, id: u32) {
        let Some(stream) = self.hub.stream_mut(id).filter(|stream| stream.lent_alarm() == Some(at)) else {
            return;
        };
        let mut copies = Copies::default();
        let mut copied = stream.give_back(now, &mut copies);
        let mut parts = SmallVec::<[(usize, u32); 8]>::new();
        let mut kept = None::<Time>;
        for &player in stream.players() {
            match self.conns.find(player).and_then(|conn| conn.lent_rest()) {
                Some((at, len)) if at <= now => parts.push((len, player)),
                Some((at, _)) => kept = Some(kept.map_or(at, |kept| kept.min(at))),
                None => {}
            }
        }
        kept.into_iter().for_each(|at| stream.lend(at));
        let publisher = stream.publisher();
        // Of a frame that the ring no longer has, the longest part holds all the others.
        parts.sort_unstable_by(|a, b| b.cmp(a));
        for (_, player) in parts {
            let is_new = self.conns.find_mut(player).is_some_and(|conn| conn.own_rest(&mut copies));
            copied = copied.saturating_add(usize::from(is_new));
        }
        if let Some(Source::Encoder(encoder)) = publisher
            && let Some(source) = self.encoders.find_mut(encoder).and_then(|encoder| encoder.source.as_mut())
        {
            source.copied(copied);
        }
        self.arm_lent(id);
    }
}
