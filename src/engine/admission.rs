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
        let id = self.tickets.remove(ticket).ok_or_else(gone)?;
        let conn = self.conns.find_mut(id).filter(|conn| !conn.dead).ok_or_else(gone)?;
        let pending = conn.pending.take().ok_or_else(gone)?;
        let now = self.now();
        match verdict {
            Ok(()) => self.grant(now, id, pending.wish),
            Err(why) => {
                info!(id = id; "refused by the host: {why}");
                self.refuse(id, why);
            }
        }
        self.drain(now, id);
        self.queue(id);
        Ok(())
    }

    /// A client asks for something: the configuration's word comes first, then the host's.
    pub(super) fn wish(&mut self, now: Time, id: u32, wish: Wish) {
        let (action, name) = match &wish {
            Wish::Connect(request) => (Action::Connect, &request.name),
            Wish::Publish(request) => (Action::Publish, &request.name),
            Wish::Play(request) => (Action::Play, &request.name),
            #[cfg(feature = "http")]
            Wish::Watch(watch) => (Action::Play, &watch.name),
            #[cfg(all(feature = "http", feature = "hls"))]
            Wish::Hls(open) => (Action::Play, &open.name),
            #[cfg(all(feature = "http", feature = "dvr"))]
            Wish::Shift(shift) => (Action::Play, &shift.name),
        };
        let Some(vhost) = self.settings.vhost(&name.vhost) else {
            let why = format!("vhost {} is not served", name.vhost);
            warn!(id = id; "{why}");
            self.refuse(id, &why);
            return;
        };
        if !self.asks {
            self.grant(now, id, wish);
            return;
        }
        let param = name.param.clone();
        let name = hub_name(&vhost.name, name);
        let Some(ticket) = self.tickets.insert_with(|_| id) else {
            self.refuse(id, "too many clients wait for the host's word");
            return;
        };
        let Some(conn) = self.conns.find_mut(id) else { return };
        let (tc_url, page_url) = conn.session.urls();
        conn.pending = Some(Pending { ticket, wish });
        let subject = Subject { client: id, stream: 0, address: Some(conn.peer), name, param };
        self.tell(Event::Admission(Admission { ticket, action, subject, tc_url, page_url }));
    }

    fn grant(&mut self, now: Time, id: u32, wish: Wish) {
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
