//! The commands of a server: answers to ours, and what it says of the stream.

use super::*;
use crate::amf;

/// Codes that are about one call and not about the stream: a refusal of them ends nothing.
const OF_CALLS: [&str; 3] = ["NetConnection.Call.", "NetStream.Seek.", "NetStream.Record."];
/// How codes end that refuse; not every server says `error` beside them.
const REFUSALS: [&str; 6] = [".Rejected", ".Failed", ".BadName", ".Denied", ".StreamNotFound", ".InvalidApp"];
/// The code in `ex` that sends a client elsewhere, as in HTTP.
const FOUND: f64 = 302.0;

impl Session {
    pub(super) fn command(&mut self, now: Time, message: &Message) -> Result<(), Error> {
        let amf3 = message.type_id == type_id::COMMAND_AMF3;
        let values = amf::read_command(&message.payload, amf3)
            .map_err(|cause| Error::Message { what: "command", cause })?;
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::as_f64).unwrap_or_default();
        match name {
            "_result" => self.on_result(transaction, &values),
            "_error" if self.is_awaited(transaction) => self.refused(&Status::find(&values)),
            "onStatus" => self.on_status(now, &Status::find(&values)),
            "onBWDone" if !self.bandwidth_asked => {
                // Adobe's servers begin to measure when they are asked, and some wait for it.
                self.bandwidth_asked = true;
                self.call(crate::rtmp::COMMAND_CSID, 0, "_checkbw", &[Value::Null]);
                Ok(())
            }
            "_onbwcheck" => {
                self.answer("_result", transaction, 0.0.into());
                Ok(())
            }
            "ping" => {
                self.answer("pong", transaction, Value::Null);
                Ok(())
            }
            "close" => {
                self.end(Ended::Closed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_result(&mut self, transaction: f64, values: &[Value]) -> Result<(), Error> {
        if !self.is_awaited(transaction) {
            return Ok(());
        }
        match self.state {
            State::Connecting(_) => {
                let status = Status::find(values);
                if status.refuses() {
                    return self.refused(&status);
                }
                let capabilities = Capabilities::from_objects(values);
                if capabilities.enhanced {
                    self.hevc = match capabilities.knows(*b"hvc1") {
                        true => Hevc::Enhanced,
                        false => Hevc::Legacy,
                    };
                }
                self.event = Some(Event::Connected(Box::new(capabilities)));
                self.create_stream();
            }
            State::Creating(_) => {
                let number = values.iter().skip(2).find_map(Value::as_f64).unwrap_or_default();
                // What is no id becomes zero.
                match number as u32 {
                    0 => return Err(Error::NoStream),
                    id => self.publish_or_play(id),
                }
            }
            // What counts is the status that follows.
            _ => {}
        }
        Ok(())
    }

    fn on_status(&mut self, now: Time, status: &Status<'_>) -> Result<(), Error> {
        let (publishes, starting) =
            (self.options.purpose == Purpose::Publish, matches!(self.state, State::Starting(_)));
        match status.code {
            "NetStream.Publish.Start" if publishes && starting => self.start(now),
            "NetStream.Play.Start" | "NetStream.Play.PublishNotify" if !publishes && starting => {
                self.start(now);
            }
            "NetStream.Play.UnpublishNotify" | "NetStream.Unpublish.Success" if self.is_started() => {
                self.end(Ended::Unpublished);
            }
            "NetStream.Play.Stop" | "NetStream.Play.Complete" if self.is_started() => {
                self.end(Ended::Stopped);
            }
            "NetConnection.Connect.Closed" | "NetConnection.Connect.AppShutdown" => self.end(Ended::Closed),
            "NetConnection.Connect.ReconnectRequest" => {
                // Where to isn't always said; a URL that leads nowhere isn't worth the stream that flows.
                let to = status.text("tcUrl");
                if let Ok(url) = self.options.url.moved_to(to) {
                    self.event = Some(Event::Redirect { url: Box::new(url), goes_on: true });
                }
            }
            _ if status.refuses() => return self.refused(status),
            _ => {}
        }
        Ok(())
    }

    /// The server says no: it may also say where to go, or ask who we are.
    fn refused(&mut self, status: &Status<'_>) -> Result<(), Error> {
        if let Some(url) = self.redirect(status) {
            self.event = Some(Event::Redirect { url: Box::new(url), goes_on: false });
            self.state = State::Closing;
            return Ok(());
        }
        let description = status.text("description");
        let Options { url, auth, .. } = &self.options;
        if !self.is_started()
            && let Some(auth) = Auth::answer(description, url, auth.as_ref(), self.entropy)
        {
            self.event = Some(Event::Authenticate(auth));
            self.state = State::Closing;
            return Ok(());
        }
        let what = match (&self.state, self.options.purpose) {
            (State::Handshake(_) | State::Connecting(_) | State::Closing, _) => "connect",
            (State::Creating(_), _) => "createStream",
            (State::Starting(_), Purpose::Publish) => "publish",
            (State::Starting(_), Purpose::Play) => "play",
            (State::Started, _) => "to go on",
        };
        let (code, description) = (text(status.code), text(description));
        if !self.is_started() {
            let words = if description.is_empty() { &code } else { &description };
            self.refusal = Some(words.as_str().into());
        }
        Err(Error::Rejected { what, code, description })
    }

    /// Where a refusal sends us, as SRS and Wowza write it: `redirect` is the URL of an app, `redirect2` that
    /// of the stream.
    fn redirect(&self, status: &Status<'_>) -> Option<RtmpUrl> {
        let ex = status.info?.property("ex")?;
        if ex.property("code").and_then(Value::as_f64) != Some(FOUND) {
            return None;
        }
        let whole = ex.property("redirect2").and_then(Value::as_str).and_then(|url| RtmpUrl::parse(url).ok());
        if let Some(mut url) = whole {
            url.keep_user_of(&self.options.url);
            return Some(url);
        }
        self.options.url.moved_to(ex.property("redirect")?.as_str()?).ok()
    }

    fn end(&mut self, how: Ended) {
        self.event = Some(Event::Ended(how));
        if how == Ended::Closed {
            self.state = State::Closing;
        }
    }

    /// Whether the call of this number is the one whose answer the session goes on with.
    fn is_awaited(&self, transaction: f64) -> bool {
        match self.state {
            State::Connecting(call) | State::Creating(call) | State::Starting(call) => {
                f64::from(call) == transaction
            }
            _ => false,
        }
    }
}

/// A status: the object with a code, whichever argument it is.
#[derive(Debug, Clone, Copy)]
struct Status<'a> {
    info: Option<&'a Value>,
    code: &'a str,
}

impl<'a> Status<'a> {
    fn find(values: &'a [Value]) -> Self {
        let info = values.iter().find(|value| value.property("code").is_some());
        let code = info.and_then(|info| info.property("code")).and_then(Value::as_str).unwrap_or_default();
        Self { info, code }
    }

    fn text(&self, name: &str) -> &'a str {
        self.info.and_then(|info| info.property(name)).and_then(Value::as_str).unwrap_or_default()
    }

    fn refuses(&self) -> bool {
        let refuses = self.text("level") == "error" || REFUSALS.iter().any(|end| self.code.ends_with(end));
        refuses && !OF_CALLS.iter().any(|of| self.code.starts_with(of))
    }
}
