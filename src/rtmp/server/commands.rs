//! The commands of a peer (RTMP 1.0, 7.2): what each means, and what the host is asked.

use super::*;
use crate::amf::{self, Value};
use crate::rtmp::url;

impl Session {
    pub(super) fn command(&mut self, now: Time, message: &Message) -> Result<(), SessionError> {
        let amf3 = message.type_id == type_id::COMMAND_AMF3;
        let values = amf::read_command(&message.payload, amf3)
            .map_err(|cause| SessionError::Message { what: "command", cause })?;
        let name = values.first().and_then(Value::as_str).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::as_f64).unwrap_or_default();
        if self.client.is_none() && name != "connect" {
            return Err(SessionError::Order { command: known(name), expected: "connect" });
        }
        let stream = message.stream_id;
        match name {
            "connect" => self.on_connect(now, transaction, &values),
            "createStream" => self.on_create_stream(transaction),
            "releaseStream" => {
                self.send_result(transaction);
                Ok(())
            }
            "FCPublish" => {
                self.fc_publish = true;
                self.send_result(transaction);
                Ok(())
            }
            "FCUnpublish" => {
                self.send_result(transaction);
                self.on_fc_unpublish(now, text(&values, 3));
                Ok(())
            }
            "FCSubscribe" => {
                self.send_on_fc("onFCSubscribe", "NetStream.Play.Start", text(&values, 3));
                Ok(())
            }
            "publish" => self.on_publish(now, stream, text(&values, 3)),
            "play" => self.on_play(stream, &values),
            "pause" | "pauseRaw" => {
                let paused = values.get(3).and_then(Value::as_bool).unwrap_or(true);
                self.on_pause(stream, paused);
                Ok(())
            }
            "receiveAudio" => {
                self.on_receive(stream, Kind::Audio, values.get(3));
                Ok(())
            }
            "receiveVideo" => {
                self.on_receive(stream, Kind::Video, values.get(3));
                Ok(())
            }
            "seek" => {
                self.send_status(stream, "error", "NetStream.Seek.Failed", "A live stream can't be sought.");
                Ok(())
            }
            "closeStream" => {
                self.end_stream(now, stream, true);
                Ok(())
            }
            "deleteStream" => {
                let id = values.get(3).and_then(Value::as_f64).unwrap_or_default();
                self.end_stream(now, id as u32, false);
                self.streams.retain(|s| s.id != id as u32);
                Ok(())
            }
            "getStreamLength" => {
                self.send_number_result(transaction, 0.0);
                Ok(())
            }
            "_result" | "_error" | "onStatus" => Ok(()),
            _ if transaction != 0.0 => {
                self.send_result(transaction);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_connect(&mut self, now: Time, transaction: f64, values: &[Value]) -> Result<(), SessionError> {
        if self.client.is_some() {
            return Err(SessionError::Order { command: "connect", expected: "a stream's command" });
        }
        let mut request = ConnectRequest::from_object(values.get(2));
        request.name = url::resolve(&request.tc_url, &request.app, "")?;
        self.client = Some(Box::new(request.clone()));
        self.waiting = Some(Waiting::Connect { transaction, since: now });
        self.event = Some(Event::Connect(Box::new(request)));
        Ok(())
    }

    fn on_create_stream(&mut self, transaction: f64) -> Result<(), SessionError> {
        let id = self.next_stream;
        self.open_stream(id)?;
        self.next_stream = self.next_stream.wrapping_add(1).max(1);
        self.send_number_result(transaction, f64::from(id));
        Ok(())
    }

    fn on_publish(&mut self, now: Time, stream: u32, name: &str) -> Result<(), SessionError> {
        let name = self.resolve(name)?;
        self.open_stream(stream)?;
        if self.role(stream).is_some_and(|role| !matches!(role, StreamRole::Idle)) {
            return Err(SessionError::Order { command: "publish", expected: "an idle message stream" });
        }
        self.idle.0 = now;
        self.waiting = Some(Waiting::Publish { stream });
        self.event = Some(Event::Publish(Box::new(StreamRequest { stream, name })));
        Ok(())
    }

    fn on_play(&mut self, stream: u32, values: &[Value]) -> Result<(), SessionError> {
        let name = self.resolve(text(values, 3))?;
        self.open_stream(stream)?;
        if self.streams.iter().any(|s| matches!(s.role, StreamRole::Playing)) {
            return Err(SessionError::Order { command: "play", expected: "the end of what is played" });
        }
        if self.role(stream).is_some_and(|role| !matches!(role, StreamRole::Idle)) {
            return Err(SessionError::Order { command: "play", expected: "an idle message stream" });
        }
        let reset = values.get(6).and_then(Value::as_bool).unwrap_or(true);
        self.waiting = Some(Waiting::Play { stream, reset });
        self.event = Some(Event::Play(Box::new(StreamRequest { stream, name })));
        Ok(())
    }

    fn on_pause(&mut self, stream: u32, paused: bool) {
        let Some(StreamRole::Playing) = self.role(stream) else { return };
        let (control, code, text) = match paused {
            true => (user_control::STREAM_EOF, "NetStream.Pause.Notify", "Paused."),
            false => (user_control::STREAM_BEGIN, "NetStream.Unpause.Notify", "Playing."),
        };
        self.send_user_control(control, stream);
        self.send_status(stream, "status", code, text);
        self.event = Some(Event::Pause { stream, paused });
    }

    fn on_receive(&mut self, stream: u32, kind: Kind, wanted: Option<&Value>) {
        let Some(StreamRole::Playing) = self.role(stream) else { return };
        let wanted = wanted.and_then(Value::as_bool).unwrap_or(true);
        self.event = Some(Event::Receive { stream, kind, wanted });
    }

    /// Ends what is published under that name; FCUnpublish comes without the message stream's id, so
    /// with one publish on the connection the name needn't be looked at.
    fn on_fc_unpublish(&mut self, now: Time, name: &str) {
        self.send_on_fc("onFCUnpublish", "NetStream.Unpublish.Success", name);
        let mut publishing =
            self.streams.iter().filter(|s| matches!(s.role, StreamRole::Publishing(_))).map(|s| s.id);
        if let (Some(id), None) = (publishing.next(), publishing.next()) {
            self.end_stream(now, id, true);
        }
    }

    fn end_stream(&mut self, now: Time, id: u32, tell: bool) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.id == id) else { return };
        let role = std::mem::replace(&mut stream.role, StreamRole::Idle);
        self.event = match role {
            StreamRole::Idle => return,
            StreamRole::Publishing(_) => Some(Event::Unpublish { stream: id }),
            StreamRole::Playing => Some(Event::Stop { stream: id }),
        };
        if tell && matches!(self.event, Some(Event::Unpublish { .. })) {
            self.send_status(id, "status", "NetStream.Unpublish.Success", "Stream is no longer published.");
        }
        self.idle_from(now);
    }

    fn resolve(&self, stream: &str) -> Result<StreamName, SessionError> {
        let (tc_url, app) = self.client.as_deref().map_or(("", ""), |c| (&c.tc_url, &c.app));
        let name = url::resolve(tc_url, app, stream)?;
        if name.stream.is_empty() {
            return Err(SessionError::Url(UrlError::NoStream));
        }
        Ok(name)
    }

    fn role(&self, stream: u32) -> Option<&StreamRole> {
        self.streams.iter().find(|s| s.id == stream).map(|s| &s.role)
    }

    pub(super) fn open_stream(&mut self, id: u32) -> Result<(), SessionError> {
        if self.role(id).is_some() {
            return Ok(());
        }
        if self.streams.len() >= limits::RTMP_MESSAGE_STREAMS {
            return Err(SessionError::Streams);
        }
        self.streams.push(MessageStream { id, role: StreamRole::Idle });
        Ok(())
    }

    pub(super) fn set_role(&mut self, id: u32, role: StreamRole) {
        if let Some(stream) = self.streams.iter_mut().find(|s| s.id == id) {
            stream.role = role;
        }
    }
}

fn text(values: &[Value], at: usize) -> &str {
    values.get(at).and_then(Value::as_str).unwrap_or_default()
}

/// The name of a command, where it is one of ours: an error carries no text of the peer's.
fn known(name: &str) -> &'static str {
    const KNOWN: [&str; 6] =
        ["createStream", "releaseStream", "FCPublish", "publish", "play", "deleteStream"];
    KNOWN.into_iter().find(|k| *k == name).unwrap_or("(another)")
}
