//! What the server says: the host's word on a request, and the answers that need none.

use bytes::BufMut;

use super::*;
use crate::amf::{Value, amf0};
use crate::rtmp::url::RtmpUrl;
use crate::rtmp::{COMMAND_CSID, CONTROL_CSID, DATA_CSID, STATUS_CSID};

/// What SRS and FMS ask peers for, in bytes.
const PEER_BANDWIDTH: u32 = 2_500_000;
/// Set peer bandwidth's limit type "dynamic" (RTMP 1.0, 5.4.5).
const DYNAMIC: u8 = 2;

impl Session {
    /// Lets the peer connect. How long the host has thought about it is not counted as the peer's time.
    pub fn accept_connect(&mut self, now: Time, options: &ConnectOptions) {
        let Some(Waiting::Connect { transaction, since }) = self.waiting.take() else { return };
        self.idle.0 = self.idle.0 + now.since(since);
        if options.in_ack_size > 0 {
            self.acks.fix(options.in_ack_size);
        }
        if options.out_ack_size > 0 {
            self.send_window_ack_size(options.out_ack_size);
        }
        let mut bandwidth = [0u8; 5];
        let (size, kind) = bandwidth.split_at_mut(4);
        size.copy_from_slice(&PEER_BANDWIDTH.to_be_bytes());
        kind.fill(DYNAMIC);
        self.send(CONTROL_CSID, type_id::SET_PEER_BANDWIDTH, 0, &bandwidth);
        self.send(CONTROL_CSID, type_id::SET_CHUNK_SIZE, 0, &options.chunk_size.to_be_bytes());
        self.writer.set_chunk_size(options.chunk_size);

        let (encoding, enhanced) =
            self.client.as_deref().map_or((0.0, false), |c| (c.object_encoding, c.enhanced));
        self.send_command(COMMAND_CSID, 0, "_result", transaction, |out| {
            amf0::object(
                out,
                &[
                    ("fmsVer", Value::String("FMS/3,5,3,888".into())),
                    ("capabilities", Value::Number(127.0)),
                    ("mode", Value::Number(1.0)),
                ],
            );
            let mut info = vec![
                ("level", Value::String("status".into())),
                ("code", Value::String("NetConnection.Connect.Success".into())),
                ("description", Value::String("Connection succeeded.".into())),
                ("objectEncoding", Value::Number(encoding)),
            ];
            if enhanced {
                // Every codec is relayed as it comes (Enhanced RTMP v2, "Enhancing NetConnection connect").
                info.push(("fourCcList", Value::StrictArray(vec![Value::String("*".into())])));
                info.push(("capsEx", Value::Number(0.0)));
            }
            amf0::object(out, &info);
        });
        self.send_command(COMMAND_CSID, 0, "onBWDone", 0.0, amf0::null);
    }

    /// Lets the peer publish.
    pub fn accept_publish(&mut self, now: Time, options: PublishOptions) {
        let Some(Waiting::Publish { stream }) = self.waiting.take() else { return };
        self.reader.set_message_limit(limits::RTMP_MESSAGE_BYTES);
        let clock = Unwrap::default();
        let publishing = Publishing { clock, last: now, seen: false, options };
        self.set_role(stream, StreamRole::Publishing(Box::new(publishing)));
        if self.fc_publish {
            self.fc_publish = false;
            self.send_on_fc("onFCPublish", "NetStream.Publish.Start", "Started publishing stream.");
        }
        self.send_user_control(user_control::STREAM_BEGIN, stream);
        self.send_status(stream, "status", "NetStream.Publish.Start", "Started publishing stream.");
    }

    /// Lets the peer play. What follows on the connection are the frames' images, which the host sends
    /// behind the session's own bytes.
    pub fn accept_play(&mut self) {
        let Some(Waiting::Play { stream, reset }) = self.waiting.take() else { return };
        self.set_role(stream, StreamRole::Playing);
        self.send_user_control(user_control::STREAM_BEGIN, stream);
        if reset {
            self.send_status(stream, "status", "NetStream.Play.Reset", "Playing and resetting stream.");
        }
        self.send_status(stream, "status", "NetStream.Play.Start", "Started playing stream.");
        let mut body = BytesMut::with_capacity(32);
        amf0::string(&mut body, "|RtmpSampleAccess");
        amf0::boolean(&mut body, true);
        amf0::boolean(&mut body, true);
        self.send(DATA_CSID, type_id::DATA_AMF0, stream, &body);
        body.clear();
        amf0::string(&mut body, "onStatus");
        amf0::object(&mut body, &[("code", Value::String("NetStream.Data.Start".into()))]);
        self.send(DATA_CSID, type_id::DATA_AMF0, stream, &body);
    }

    /// Refuses what the peer asked for, with a sentence that it is told; the connection ends.
    pub fn refuse(&mut self, why: &str) {
        match self.waiting.take() {
            Some(Waiting::Connect { transaction, .. }) => {
                self.send_command(COMMAND_CSID, 0, "_error", transaction, |out| {
                    amf0::null(out);
                    amf0::object(out, &status("error", "NetConnection.Connect.Rejected", why));
                });
            }
            Some(Waiting::Publish { stream }) => {
                self.send_status(stream, "error", "NetStream.Publish.BadName", why);
            }
            Some(Waiting::Play { stream, .. }) => {
                self.send_status(stream, "error", "NetStream.Play.Failed", why);
            }
            None => return,
        }
        self.state = State::Closing;
    }

    /// Sends the peer to another server for what it asked for: `url` is the stream's there, of the form
    /// `rtmp://host[:port]/app/stream[?parameters]`. The connection ends. Players of SRS's clusters know this.
    pub fn redirect(&mut self, url: &RtmpUrl) {
        if self.waiting.take().is_none() {
            return;
        }
        let whole = format!("{}/{}", url.tc_url(), url.stream_with_param());
        let ex = [("code", 302.0.into()), ("redirect", url.tc_url().into()), ("redirect2", whole.into())];
        let ex = ex.map(|(name, value): (&str, Value)| (name.to_owned(), value));
        let [level, code, description] =
            status("error", "NetConnection.Connect.Rejected", "RTMP 302 Redirect");
        self.send_command(STATUS_CSID, 0, "onStatus", 0.0, |out| {
            amf0::null(out);
            amf0::object(out, &[level, code, description, ("ex", Value::Object(ex.to_vec()))]);
        });
        self.state = State::Closing;
    }

    /// Acknowledges what has come, if it is time.
    pub(super) fn acknowledge(&mut self) {
        if let Some(total) = self.acks.due() {
            self.send(CONTROL_CSID, type_id::ACK, 0, &total.to_be_bytes());
        }
    }

    pub(super) fn send_window_ack_size(&mut self, size: u32) {
        self.send(CONTROL_CSID, type_id::WINDOW_ACK_SIZE, 0, &size.to_be_bytes());
    }

    pub(super) fn send_user_control(&mut self, event: u16, value: u32) {
        let mut body = BytesMut::with_capacity(6);
        body.put_u16(event);
        body.put_u32(value);
        self.send(CONTROL_CSID, type_id::USER_CONTROL, 0, &body);
    }

    /// `_result` with nothing in it.
    pub(super) fn send_result(&mut self, transaction: f64) {
        self.send_command(COMMAND_CSID, 0, "_result", transaction, amf0::null);
    }

    pub(super) fn send_number_result(&mut self, transaction: f64, value: f64) {
        self.send_command(COMMAND_CSID, 0, "_result", transaction, |out| {
            amf0::null(out);
            amf0::number(out, value);
        });
    }

    pub(super) fn send_status(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        self.send_command(STATUS_CSID, stream, "onStatus", 0.0, |out| {
            amf0::null(out);
            amf0::object(out, &status(level, code, description));
        });
    }

    pub(super) fn send_on_fc(&mut self, name: &str, code: &str, description: &str) {
        self.send_command(COMMAND_CSID, 0, name, 0.0, |out| {
            amf0::null(out);
            amf0::object(out, &status("status", code, description));
        });
    }

    fn send_command(
        &mut self,
        csid: u32,
        stream: u32,
        name: &str,
        transaction: f64,
        arguments: impl FnOnce(&mut BytesMut),
    ) {
        let mut body = BytesMut::with_capacity(256);
        amf0::string(&mut body, name);
        amf0::number(&mut body, transaction);
        arguments(&mut body);
        self.send(csid, type_id::COMMAND_AMF0, stream, &body);
    }

    fn send(&mut self, csid: u32, type_id: u8, stream_id: u32, payload: &[u8]) {
        self.writer.write(&mut self.out, csid, 0, type_id, stream_id, payload);
    }
}

fn status(level: &str, code: &str, description: &str) -> [(&'static str, Value); 3] {
    [
        ("level", Value::String(level.into())),
        ("code", Value::String(code.into())),
        ("description", Value::String(description.into())),
    ]
}
