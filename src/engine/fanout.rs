//! Handing a stream's frames to its players.

use smallvec::SmallVec;

use super::Engine;
use super::clients::{arm, fault};
use super::conn::{Conn, Flushed, Newest};
use super::player::needs_of;
use super::timers::Alarm;
use crate::hub::{Source, Stream};
use crate::time::Time;

impl Engine {
    /// Sends what is due of every stream that has gathered frames.
    pub(super) fn send_dirty(&mut self, now: Time) {
        for id in std::mem::take(&mut self.dirty) {
            self.run_taps(now, id);
            self.wake_players(id);
            let Some(stream) = self.hub.stream_mut(id) else { continue };
            match stream.due() {
                Some(due) if due <= now => self.fan_out(now, id),
                Some(due) if stream.wants_alarm(due) => self.timers.set(due, Alarm::Stream(id)),
                _ => {}
            }
        }
        self.tell_ready();
    }

    /// One send to each player of the stream who can take one.
    fn fan_out(&mut self, now: Time, id: u32) {
        let Some(stream) = self.hub.stream_mut(id) else { return };
        let (mut oldest, mut waits_for_key) = (u64::MAX, false);
        // One for each format: whoever is up to date gets it without further ado.
        let mut newest = SmallVec::<[Newest; 4]>::new();
        let mut skipped = SmallVec::<[u32; 4]>::new();
        let mut at = 0;
        while let Some(&player) = stream.players().get(at) {
            at += 1;
            let Some(conn) = self.conns.find_mut(player).filter(|conn| !conn.dead) else {
                // Those of the host's take by themselves.
                if let Some((needs, waits)) = needs_of(&self.players, player) {
                    oldest = oldest.min(needs);
                    waits_for_key |= waits;
                }
                continue;
            };
            if !conn.is_blocked() {
                let sent = newest_of(&mut newest, conn, stream).and_then(|n| conn.send_newest(now, n));
                match sent.unwrap_or_else(|| conn.flush(now, Some(&mut *stream), &mut self.frames)) {
                    Ok(Flushed::All) => {}
                    Ok(Flushed::Blocked) => arm(&mut self.timers, player, conn),
                    Ok(Flushed::More) if conn.queued => {}
                    Ok(Flushed::More) => {
                        conn.queued = true;
                        self.ready.push(player);
                    }
                    Err(e) => {
                        conn.dead = true;
                        self.doomed.push((player, fault("sending", &e)));
                    }
                }
            }
            if let Some(playing) = &mut conn.play {
                if conn.owner.is_some() && playing.has_skipped() {
                    skipped.push(player);
                }
                oldest = oldest.min(playing.player.cursor());
                waits_for_key |= playing.player.waits_for_key();
            }
        }
        stream.flushed(now, oldest);
        skipped.into_iter().for_each(|conn| self.on_skip(now, conn));
        if waits_for_key && let Some(stream) = self.hub.stream_mut(id) {
            stream.want_key();
            self.ask_for_key(id);
        }
    }

    /// A stream's gathered frames are due, or nobody has played it for as long as its publisher is
    /// suffered.
    pub(super) fn on_stream_alarm(&mut self, now: Time, id: u32) {
        let Some(stream) = self.hub.stream(id) else { return };
        if stream.due().is_some() {
            self.mark_dirty(id);
        }
        let Some(stream) = self.hub.stream(id) else { return };
        let limit = stream.settings().publish.kickoff_for_idle;
        let (Some(since), Some(Source::Client(publisher, _))) = (stream.idle_since(), stream.publisher())
        else {
            return;
        };
        if !limit.is_zero() && since + limit <= now {
            let why = format!("nobody has played its stream for {} ms (kickoff_for_idle)", limit.as_millis());
            self.doom(publisher, &why);
        }
    }

    /// Looks later whether somebody plays the stream, where its publisher is sent away otherwise.
    pub(super) fn watch_idle(&mut self, id: u32) {
        let Some(stream) = self.hub.stream(id) else { return };
        let limit = stream.settings().publish.kickoff_for_idle;
        if let (false, Some(since)) = (limit.is_zero(), stream.idle_since()) {
            self.timers.set(since + limit, Alarm::Stream(id));
        }
    }
}

/// The stream's newest frame in the format that the connection plays, made for the first of its players
/// who lacks only that.
fn newest_of<'a>(
    found: &'a mut SmallVec<[Newest; 4]>,
    conn: &Conn,
    stream: &mut Stream,
) -> Option<&'a Newest> {
    let playing = conn.play.as_ref()?;
    let key = playing.format.lane();
    if let Some(at) = found.iter().position(|newest| newest.lane == key) {
        return found.get(at);
    }
    found.push(playing.newest(stream)?);
    found.last()
}
