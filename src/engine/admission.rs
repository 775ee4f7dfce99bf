//! Who may do what: the configuration's word, then the host's, and what is done when both agree.

use log::{info, warn};

use super::clients::hub_name;
use super::conn::{Pending, Wish};
use super::session::Session;
use super::{Action, Admission, Engine, Event, Subject};
use crate::error::{Code, Error, Result};
use crate::time::Time;

impl Engine {
    /// Answers an [`Event::Admission`]: `Err` refuses with a sentence that the client is told.
    pub fn reply(&mut self, ticket: u32, verdict: Result<(), &str>) -> Result<()> {
        let gone = || Error::new(Code::NotFound, "the ticket is answered, or its client is gone");
        let (id, wish) = self.take_pending(ticket).ok_or_else(gone)?;
        let now = self.now();
        match verdict {
            Ok(()) => self.grant(now, id, wish),
            Err(why) => {
                info!(id = id; "refused by the host: {why}");
                self.refuse(id, why);
            }
        }
        self.drain(now, id);
        self.queue(id);
        Ok(())
    }

    /// A client asks for something: the configuration's word comes first, then the host's, then that of the
    /// servers that this one works with.
    pub(super) fn wish(&mut self, now: Time, id: u32, wish: Wish) {
        let (action, name) = wish.asked();
        let Some(vhost) = self.settings.vhost(&name.vhost) else {
            let why = format!("vhost {} is not served", name.vhost);
            warn!(id = id; "{why}");
            self.refuse(id, &why);
            return;
        };
        let param = name.param.clone();
        let name = hub_name(&vhost.name, name);
        if action != Action::Connect
            && let Err(why) = self.check_way(id, &name, action == Action::Publish)
        {
            warn!(id = id; "{} of {name} refused: {why}", action.name());
            self.refuse_way(id, &why);
            return;
        }
        if !self.asks {
            self.grant(now, id, wish);
            return;
        }
        let Some(ticket) = self.hold(id, wish) else { return };
        let Some(conn) = self.conns.find(id) else { return };
        let (tc_url, page_url) = conn.session.urls();
        let subject = Subject { client: id, stream: 0, address: Some(conn.peer), name, param };
        self.tell(Event::Admission(Admission { ticket, action, subject, tc_url, page_url }));
    }

    /// Has a wish wait for somebody's word. Without a ticket it has been refused.
    pub(super) fn hold(&mut self, id: u32, wish: Wish) -> Option<u32> {
        let ticket = self.tickets.insert_with(|_| id);
        let Some(ticket) = ticket else {
            self.refuse(id, "too many clients wait to be let in");
            return None;
        };
        self.conns.find_mut(id)?.pending = Some(Pending { ticket, wish });
        Some(ticket)
    }

    /// The client that a ticket is for, and what it waits for.
    pub(super) fn take_pending(&mut self, ticket: u32) -> Option<(u32, Wish)> {
        let id = self.tickets.remove(ticket)?;
        let conn = self.conns.find_mut(id).filter(|conn| !conn.dead)?;
        Some((id, conn.pending.take()?.wish))
    }

    /// Another server has judged what a client asks for.
    pub(super) fn judge(&mut self, now: Time, ticket: u32, verdict: Result<(), &str>) {
        let Some((id, wish)) = self.take_pending(ticket) else { return };
        match verdict {
            Ok(()) => self.admit(now, id, wish),
            Err(why) => {
                info!(id = id; "refused: {why}");
                self.refuse(id, why);
            }
        }
        self.drain(now, id);
        self.queue(id);
    }

    /// The host agrees.
    fn grant(&mut self, now: Time, id: u32, wish: Wish) {
        if let Some(wish) = self.ask_servers(now, id, wish) {
            self.admit(now, id, wish);
        }
    }

    /// All agree.
    fn admit(&mut self, now: Time, id: u32, wish: Wish) {
        match wish {
            Wish::Connect(request) => self.grant_connect(now, id, &request),
            Wish::Publish(request) => self.grant_publish(now, id, &request),
            Wish::Play(request) => self.grant_play(now, id, &request),
            #[cfg(feature = "http")]
            Wish::Watch(watch) => self.grant_watch(now, id, &watch),
            #[cfg(all(feature = "http", feature = "hls"))]
            Wish::Hls(open) => self.grant_hls(now, id, &open),
            #[cfg(all(feature = "http", feature = "dvr"))]
            Wish::Shift(shift) => self.grant_shift(id, &shift),
        }
    }

    /// Refuses what would close a ring: HTTP has a status for it.
    fn refuse_way(&mut self, id: u32, why: &str) {
        #[cfg(feature = "http")]
        if self.conns.find(id).is_some_and(|conn| matches!(conn.session, Session::Http(_))) {
            self.answer_text(id, super::via::LOOP_DETECTED, why);
            return;
        }
        self.refuse(id, why);
    }

    pub(super) fn refuse(&mut self, id: u32, why: &str) {
        let Some(conn) = self.conns.find_mut(id) else { return };
        match &mut conn.session {
            Session::Rtmp(session) => session.refuse(why),
            #[cfg(feature = "http")]
            Session::Http(_) => self.answer_text(id, 403, why),
            // They ask nothing of us.
            _ => {}
        }
    }
}
