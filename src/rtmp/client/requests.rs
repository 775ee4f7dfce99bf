//! What the client says: commands in the order of encoders and players (RTMP 1.0, 7.2), and frames.

use bytes::BufMut;

use super::*;
use crate::flv;
use crate::rtmp::{COMMAND_CSID, CONTROL_CSID, relay};

/// What we ask the server to acknowledge after, in bytes, when we play: as FMS and its players do.
const WINDOW: u32 = 2_500_000;
/// The chunk stream of `publish` and `play`, as librtmp's and ffmpeg's.
const STREAM_CSID: u32 = 8;
/// From the chunk streams of [`relay`]'s images to those of frames that the session writes: their headers
/// count on the ones before them, and images may come between.
const BESIDE_IMAGES: u32 = 5;
/// `start_ms` of one who wants the live stream only.
const LIVE_ONLY_MS: i32 = -1000;
/// CapsExMask: reconnects, several tracks, modifiers (Enhanced RTMP v2).
const CAPS_EX: f64 = 7.0;
/// FourCcInfoMask.CanForward (Enhanced RTMP v2).
const CAN_FORWARD: f64 = 4.0;
/// The FourCCs that we name; every other is forwarded too.
const FOURCCS: [&str; 5] = ["av01", "vp09", "hvc1", "avc1", "Opus"];

impl Session {
    /// Writes a frame of what is published behind what is to be sent; nothing before [`Event::Started`].
    /// Metadata goes out as `@setDataFrame`, for the server to keep: one who sends images sends it so too.
    pub fn frame(&mut self, frame: &Frame) {
        if self.options.purpose != Purpose::Publish || !self.is_started() {
            return;
        }
        let Some(body) = relay::body_as(frame, self.hevc) else { return };
        let (csid, type_id) = relay::channel(frame.kind);
        let csid = csid.saturating_add(BESIDE_IMAGES);
        let timestamp = flv::timestamp(frame, frame.dts);
        self.writer.write(&mut self.out, csid, timestamp, type_id, self.stream, &body.bytes());
    }

    /// Ends the stream as the server expects it; then the connection is to be closed.
    pub fn finish(&mut self) {
        if self.stream != 0 && !matches!(self.state, State::Closing) {
            if self.options.purpose == Purpose::Publish {
                let name = self.options.url.stream_with_param();
                self.call(COMMAND_CSID, 0, "FCUnpublish", &[Value::Null, name.into()]);
            }
            let id = Value::Number(self.stream.into());
            self.call(COMMAND_CSID, 0, "deleteStream", &[Value::Null, id]);
        }
        self.state = State::Closing;
        self.event = None;
        self.aggregate = None;
        self.held = None;
    }

    pub(super) fn connect(&mut self) {
        let options = &self.options;
        let auth = options.auth.as_ref();
        let app = Auth::append(auth, options.url.app_with_param());
        let tc_url = Auth::append(auth, options.tc_url.clone().unwrap_or_else(|| options.url.tc_url()));
        let mut object: Vec<(&str, Value)> = vec![("app", app.into())];
        if options.purpose == Purpose::Publish {
            object.push(("type", "nonprivate".into()));
        }
        object.push(("flashVer", options.flash_ver().into()));
        if !options.swf_url.is_empty() {
            object.push(("swfUrl", options.swf_url.as_str().into()));
        }
        object.push(("tcUrl", tc_url.into()));
        if options.purpose == Purpose::Play {
            // What Flash said of itself: every codec but two that never were, and seeking.
            object.push(("fpad", false.into()));
            object.push(("capabilities", 15.0.into()));
            object.push(("audioCodecs", 4071.0.into()));
            object.push(("videoCodecs", 252.0.into()));
            object.push(("videoFunction", 1.0.into()));
        }
        if !options.page_url.is_empty() {
            object.push(("pageUrl", options.page_url.as_str().into()));
        }
        object.push(("objectEncoding", 0.0.into()));
        if options.enhanced {
            let any = || Value::Object(vec![("*".to_owned(), CAN_FORWARD.into())]);
            object.push(("fourCcList", Value::StrictArray(FOURCCS.map(Value::from).to_vec())));
            object.push(("videoFourCcInfoMap", any()));
            object.push(("audioFourCcInfoMap", any()));
            object.push(("capsEx", CAPS_EX.into()));
        }
        object.extend(options.properties.iter().cloned());
        let mut arguments = vec![object_of(object)];
        if !options.arguments.is_empty() {
            arguments.push(object_of(options.arguments.clone()));
        }
        self.state = State::Connecting(self.call(COMMAND_CSID, 0, "connect", &arguments));
    }

    pub(super) fn create_stream(&mut self) {
        let name = self.options.url.stream_with_param();
        match self.options.purpose {
            Purpose::Publish => {
                let size =
                    self.options.chunk_size.clamp(limits::RTMP_CHUNK_SIZE_MIN, limits::RTMP_CHUNK_SIZE_MAX);
                self.send_control(type_id::SET_CHUNK_SIZE, &size.to_be_bytes());
                self.writer.set_chunk_size(size);
                self.call(COMMAND_CSID, 0, "releaseStream", &[Value::Null, name.as_str().into()]);
                self.call(COMMAND_CSID, 0, "FCPublish", &[Value::Null, name.into()]);
            }
            Purpose::Play => {
                self.send_control(type_id::WINDOW_ACK_SIZE, &WINDOW.to_be_bytes());
                // Networks of servers fetch a live stream when it is subscribed to.
                if self.options.start_ms == LIVE_ONLY_MS {
                    self.call(COMMAND_CSID, 0, "FCSubscribe", &[Value::Null, name.into()]);
                }
            }
        }
        self.state = State::Creating(self.call(COMMAND_CSID, 0, "createStream", &[Value::Null]));
    }

    pub(super) fn publish_or_play(&mut self, stream: u32) {
        self.stream = stream;
        let name = Value::from(self.options.url.stream_with_param());
        let call = match self.options.purpose {
            Purpose::Publish => {
                self.call(STREAM_CSID, stream, "publish", &[Value::Null, name, "live".into()])
            }
            Purpose::Play => {
                self.reader.set_message_limit(limits::RTMP_MESSAGE_BYTES);
                let start = f64::from(self.options.start_ms);
                let call = self.call(STREAM_CSID, stream, "play", &[Value::Null, name, start.into()]);
                let ms = u32::try_from(self.options.buffer.as_millis()).unwrap_or(u32::MAX);
                let mut value = [0; 8];
                let (id, length) = value.split_at_mut(4);
                id.copy_from_slice(&stream.to_be_bytes());
                length.copy_from_slice(&ms.to_be_bytes());
                self.send_user_control(user_control::SET_BUFFER_LENGTH, &value);
                call
            }
        };
        self.state = State::Starting(call);
    }

    /// A command that wants an answer, or says that it does. Answers its transaction's number.
    pub(super) fn call(&mut self, csid: u32, stream: u32, name: &str, arguments: &[Value]) -> u32 {
        self.transaction = self.transaction.wrapping_add(1);
        self.command_out(csid, stream, name, self.transaction.into(), arguments);
        self.transaction
    }

    /// An answer to the server's own call.
    pub(super) fn answer(&mut self, name: &str, transaction: f64, argument: Value) {
        self.command_out(COMMAND_CSID, 0, name, transaction, &[Value::Null, argument]);
    }

    pub(super) fn send_control(&mut self, type_id: u8, payload: &[u8]) {
        self.writer.write(&mut self.out, CONTROL_CSID, 0, type_id, 0, payload);
    }

    pub(super) fn send_user_control(&mut self, event: u16, value: &[u8]) {
        let mut body = BytesMut::with_capacity(10);
        body.put_u16(event);
        body.put_slice(value);
        self.send_control(type_id::USER_CONTROL, &body);
    }

    fn command_out(&mut self, csid: u32, stream: u32, name: &str, transaction: f64, arguments: &[Value]) {
        let mut body = BytesMut::with_capacity(256);
        amf0::string(&mut body, name);
        amf0::number(&mut body, transaction);
        for argument in arguments {
            amf0::write(&mut body, argument);
        }
        self.writer.write(&mut self.out, csid, 0, type_id::COMMAND_AMF0, stream, &body);
    }
}

fn object_of(properties: Vec<(&str, Value)>) -> Value {
    Value::Object(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
