//! Serving connections: their input, what their sessions ask and bring, and their end.

use std::io::ErrorKind;

use log::info;

use super::conn::{Conn, Flushed, Playing};
use super::session::Said;
use super::timers::{Alarm, Timers};
use super::{Engine, Event, KEPT, READ_BUDGET, READ_BYTES, Subject, sys};
use crate::error::{Code, Error, Result};
use crate::hub::{Name, Source};
use crate::rtmp::url::StreamName;
use crate::time::Time;

impl Engine {
    /// Closes a client's connection.
    pub fn kick(&mut self, id: u32) -> Result<()> {
        #[cfg(all(feature = "hls", feature = "http"))]
        if self.kick_hls(id) {
            return Ok(());
        }
        if self.conns.find(id).is_none_or(|conn| conn.dead) {
            return Err(Error::new(Code::NotFound, format!("no client {id}")));
        }
        self.doom(id, "kicked by the host");
        Ok(())
    }

    /// Reads, understands and sends what there is for one connection.
    pub(super) fn serve(&mut self, now: Time, id: u32) {
        if let Some(conn) = self.conns.find_mut(id)
            && !conn.held.is_empty()
            && conn.takes_input()
        {
            let held = std::mem::take(&mut conn.held);
            self.feed(now, id, &held);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut budget = READ_BUDGET;
        while let Some(conn) = self.conns.find_mut(id) {
            if !conn.readable || !conn.takes_input() || !conn.held.is_empty() {
                break;
            }
            match conn.read(&mut buffer) {
                Ok(None) => conn.readable = false,
                // Who says no more may still be reading an answer.
                Ok(Some(0)) if conn.session.outlives_input() => conn.closing = true,
                Ok(Some(0)) => {
                    conn.readable = false;
                    if let Err(why) = conn.session.handle_end() {
                        self.doom(id, &why);
                    }
                    self.drain(now, id);
                }
                Ok(Some(n)) => {
                    // Less than was asked for is all there is: what comes later is announced again. But an
                    // end that was announced together with it is not, nor what a secure layer holds.
                    conn.readable = n == buffer.len() || conn.hung_up || conn.link.is_secure();
                    if conn.play.is_none() && conn.publishes.is_empty() {
                        sys::acknowledge(conn.link.socket());
                    }
                    self.feed(now, id, buffer.get(..n).unwrap_or_default());
                    budget = budget.saturating_sub(n);
                    if budget == 0 {
                        self.queue(id);
                        break;
                    }
                }
                Err(e) => self.doom(id, &fault("receiving", &e)),
            }
        }
        self.buffer = buffer;
        let gone = |conn: &Conn| conn.hung_up && conn.session.is_waiting() && !conn.session.outlives_input();
        if self.conns.find(id).is_some_and(gone) {
            // Nothing is read until the host has answered, so the end would not be seen.
            self.doom(id, "closed by the peer");
        }
        self.flush_conn(now, id);
    }

    pub(super) fn flush_conn(&mut self, now: Time, id: u32) {
        let Some(conn) = self.conns.find_mut(id).filter(|conn| !conn.dead) else { return };
        let stream = conn.play.as_ref().map(|playing| playing.stream);
        let stream = stream.and_then(|stream| self.hub.stream_mut(stream));
        let flushed = conn.flush(now, stream, &mut self.frames);
        let has_skipped = conn.owner.is_some() && conn.play.as_mut().is_some_and(Playing::has_skipped);
        match flushed {
            Ok(Flushed::All) if conn.closing => {
                // What came and is not read would make the close a reset, and the peer lose the reason.
                let mut has_ended = false;
                for _ in 0..READ_BUDGET / READ_BYTES {
                    match conn.link.discard(&mut self.buffer) {
                        Ok(1..) => {}
                        Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                        Ok(0) | Err(_) => {
                            has_ended = true;
                            break;
                        }
                    }
                }
                // So would what it says from now on, and of a stream's end much may still be on its way.
                if !has_ended && conn.ends.is_some_and(|at| at > now) {
                    conn.link.finish();
                    arm(&mut self.timers, id, conn);
                    return;
                }
                let why = conn.session.last_words();
                self.doom(id, why);
            }
            Ok(Flushed::All) if conn.play.as_ref().is_some_and(|play| play.until.is_some()) => {
                self.end_push(now, id);
            }
            #[cfg(feature = "http")]
            Ok(Flushed::All) if conn.session.has_source() => {
                if self.pump(now, id) {
                    self.queue(id);
                }
            }
            Ok(Flushed::All) => {
                if let Some(playing) = &conn.play
                    && let Some(stream) = self.hub.stream_mut(playing.stream)
                    && stream.publisher().is_none()
                    && !stream.ring().is_empty()
                {
                    // One player less needs what the last publisher has left.
                    let id = playing.stream;
                    stream.gather(now);
                    self.mark_dirty(id);
                }
                // The peer has read its answers: go on with what it had sent meanwhile.
                if self.conns.find(id).is_some_and(|conn| conn.readable && conn.takes_input()) {
                    self.queue(id);
                }
            }
            Ok(Flushed::More) => self.queue(id),
            Ok(Flushed::Blocked) => arm(&mut self.timers, id, conn),
            Err(e) => self.doom(id, &fault("sending", &e)),
        }
        if has_skipped {
            self.on_skip(now, id);
        }
    }

    /// Has a connection closed at the end of the turn.
    pub(super) fn doom(&mut self, id: u32, why: &str) {
        if let Some(conn) = self.conns.find_mut(id)
            && !conn.dead
        {
            conn.dead = true;
            self.doomed.push((id, why.to_owned()));
        }
    }

    /// A session is over. What it still had to say goes out if the socket takes it at once.
    fn fail(&mut self, now: Time, id: u32, cause: String) {
        self.flush_conn(now, id);
        self.doom(id, &cause);
        // That nothing was left to send is no reason.
        if let Some((_, why)) = self.doomed.iter_mut().rfind(|(doomed, _)| *doomed == id) {
            *why = cause;
        }
    }

    pub(super) fn close_doomed(&mut self, now: Time) {
        while let Some((id, why)) = self.doomed.pop() {
            self.close(now, id, &why);
        }
        if self.doomed.capacity() > KEPT {
            self.doomed = Vec::new();
        }
    }

    pub(super) fn arm(&mut self, id: u32) {
        if let Some(conn) = self.conns.find_mut(id) {
            conn.deadline = conn.session.timeout();
            arm(&mut self.timers, id, conn);
        }
    }

    pub(super) fn on_conn_alarm(&mut self, now: Time, at: Time, id: u32) {
        let Some(conn) = self.conns.find_mut(id).filter(|conn| !conn.dead) else { return };
        if conn.armed != Some(at) {
            return;
        }
        conn.armed = None;
        if conn.ready_by.is_some_and(|at| at <= now) {
            if !conn.link.is_ready() {
                let ms = now.since(conn.began).as_millis();
                self.doom(id, &format!("TLS: the handshake is not done after {ms} ms"));
                return;
            }
            conn.ready_by = None;
        }
        let result = conn.session.handle_timeout(now);
        #[cfg(feature = "http")]
        self.expire_answer(now, id);
        // A session may have something to say about it: a ping, why it ends, or that it does.
        self.drain(now, id);
        if let Err(e) = result {
            self.fail(now, id, e);
            return;
        }
        self.flush_conn(now, id);
        let Some(conn) = self.conns.find_mut(id).filter(|conn| !conn.dead) else { return };
        if let Some(since) = conn.blocked_since()
            && since + conn.stall <= now
        {
            let why = format!("the peer has taken nothing for {} ms", conn.stall.as_millis());
            self.doom(id, &why);
            return;
        }
        if conn.ends.is_some_and(|at| at <= now) {
            self.doom(id, "the peer has not taken what was left of the stream in time");
            return;
        }
        self.arm(id);
    }

    /// Gives a session its input and does what it says.
    fn feed(&mut self, now: Time, id: u32, input: &[u8]) {
        let mut input = input;
        loop {
            let Some(conn) = self.conns.find_mut(id).filter(|conn| !conn.dead) else { return };
            let result = conn.session.handle_input(now, &mut input);
            self.drain(now, id);
            if let Err(e) = result {
                self.fail(now, id, e);
                return;
            }
            let Some(conn) = self.conns.find_mut(id) else { return };
            if conn.session.is_waiting() || conn.closing {
                conn.held.extend_from_slice(input);
                return;
            }
            if input.is_empty() && !conn.session.has_more() {
                return;
            }
        }
    }

    /// Does what a session says, until it has no more to say.
    pub(super) fn drain(&mut self, now: Time, id: u32) {
        while let Some(conn) = self.conns.find_mut(id) {
            match conn.session.poll_output() {
                Said::Transmit(bytes) => conn.queue(bytes),
                Said::Rtmp(event) => self.on_said(now, id, event),
                Said::Client(event) => self.on_client(now, id, event),
                #[cfg(feature = "http")]
                Said::Answer(answer) => self.on_answer(now, id, answer),
                #[cfg(feature = "http")]
                Said::Request(request) => self.on_request(now, id, request),
                Said::Close => {
                    conn.closing = true;
                    return;
                }
                Said::Timeout(at) => {
                    conn.deadline = at;
                    arm(&mut self.timers, id, conn);
                    return;
                }
            }
        }
    }

    /// A publisher has lost its stream to another one.
    pub(super) fn replaced(&mut self, stream: u32, old: Source, by: u32) {
        match old {
            Source::Client(id, message_stream) => {
                if let Some(conn) = self.conns.find_mut(id) {
                    conn.publishes.retain(|(ms, _)| *ms != message_stream);
                }
                info!(id = id; "its stream is published by client {by} now");
                self.doom(id, "replaced by another publisher");
            }
            Source::Encoder(id) => self.end_encoder(id),
            Source::Ingest(id) => self.replace_ingest(id),
        }
        if let Some(name) = self.hub.stream(stream).map(|s| s.name().clone()) {
            let client = if let Source::Client(id, _) = old { id } else { 0 };
            let event = Event::Unpublished(self.subject(client, stream, &name, ""));
            self.tell(event);
        }
    }

    pub(super) fn unpublish(&mut self, now: Time, id: u32, message_stream: u32) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        let Some(at) = conn.publishes.iter().position(|(ms, _)| *ms == message_stream) else { return };
        let (_, stream) = conn.publishes.swap_remove(at);
        let Some(name) = self.hub.stream(stream).map(|s| s.name().clone()) else { return };
        if self.end_publish(now, stream, Source::Client(id, message_stream)) {
            info!(id = id; "stopped publishing {name}");
            self.on_unpublished(now, stream, &name, id);
        }
    }

    pub(super) fn stop_play(&mut self, now: Time, id: u32) {
        let Some(playing) = self.conns.find_mut(id).and_then(Conn::stop_playing) else { return };
        let Some(stream) = self.hub.stream_mut(playing.stream) else { return };
        stream.detach(playing.format.lane());
        let name = stream.name().clone();
        self.hub.stop(now, playing.stream, id);
        self.unwatched(now, &name);
        self.watch_idle(playing.stream);
        info!(id = id; "stopped playing {name}");
        let event = Event::Stop(self.subject(id, playing.stream, &name, ""));
        self.tell(event);
    }

    fn close(&mut self, now: Time, id: u32, why: &str) {
        match self.conns.find(id).is_some_and(|conn| conn.session.is_outgoing()) {
            true => self.on_push_closed(now, id),
            false => self.stop_play(now, id),
        }
        while let Some((message_stream, _)) = self.conns.find(id).and_then(|c| c.publishes.first().copied()) {
            self.unpublish(now, id, message_stream);
        }
        let Some(mut conn) = self.conns.remove(id) else { return };
        conn.link.shutdown();
        // The descriptor leaves the poller with its close; this only says so earlier.
        let _ = self.poll.registry().deregister(conn.link.socket_mut());
        if let Some(pending) = conn.pending {
            self.tickets.remove(pending.ticket);
            self.unask(now, pending.ticket);
        }
        #[cfg(feature = "http")]
        if let Some(web) = conn.session.web() {
            self.end_answer(web);
        }
        let (received, sent) = (conn.session.received(), conn.sent);
        self.totals.received = self.totals.received.saturating_add(received);
        self.totals.sent = self.totals.sent.saturating_add(sent);
        let ms = now.since(conn.began).as_millis();
        info!(id = id; "closed: {why}; received {received} and sent {sent} bytes in {ms} ms");
        if conn.connected {
            let name = conn.session.name();
            let vhost = self.settings.vhost(&name.vhost).map_or(name.vhost.as_str(), |v| v.name.as_str());
            let subject = Subject {
                client: id,
                stream: 0,
                address: Some(conn.peer),
                name: hub_name(vhost, &name),
                param: name.param.clone(),
            };
            self.tell(Event::Closed(subject, why.to_owned()));
        }
        self.conns.shrink();
        if let Some(owner) = conn.owner {
            match conn.session.refusal() {
                Some(refusal) => self.on_refused(now, owner, refusal, why),
                None => self.on_owned_end(now, owner, why),
            }
        }
    }

    pub(super) fn subject(&self, id: u32, stream: u32, name: &Name, param: &str) -> Subject {
        let address = self.conns.find(id).map(|conn| conn.peer);
        Subject { client: id, stream, address, name: name.clone(), param: param.to_owned() }
    }
}

/// What went wrong on a connection. A layer's error says what it was doing, the system's doesn't.
pub(super) fn fault(doing: &str, error: &std::io::Error) -> String {
    match error.get_ref() {
        Some(layer) => layer.to_string(),
        None => format!("{doing}: {error}"),
    }
}

/// Sets the connection's alarm, if it is due earlier than the one that is set.
pub(super) fn arm(timers: &mut Timers, id: u32, conn: &mut Conn) {
    let stalled = conn.blocked_since().map(|since| since + conn.stall);
    let next = [conn.deadline, stalled, conn.ready_by, conn.ends].into_iter().flatten().min();
    if let Some(at) = next
        && conn.armed.is_none_or(|armed| at < armed)
    {
        conn.armed = Some(at);
        timers.set(at, Alarm::Conn(id));
    }
}

/// The name that the hub knows a stream by: with the vhost that serves it, not the one that was asked for.
pub(super) fn hub_name(vhost: &str, name: &StreamName) -> Name {
    Name { vhost: vhost.to_owned(), app: name.app.clone(), stream: name.stream.clone() }
}
