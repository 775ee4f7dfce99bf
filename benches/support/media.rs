//! The stream that everything is measured with: shaped like 720p H.264 and AAC from a camera, 2.16 Mbit/s
//! in all, the same bytes in every run but for the time of sending inside each video frame.

use super::rtmp::{AUDIO, VIDEO};

/// Frames in a second.
const FPS: u64 = 30;
/// Frames from keyframe to keyframe: two seconds.
const GOP: u64 = 60;
/// AAC's samples in a second, and in a frame.
const SAMPLE_RATE: u64 = 44_100;
const SAMPLES: u64 = 1024;
/// FLV bytes per second: 2.16 Mbit/s.
pub(crate) const BYTES_PER_SECOND: u64 = 270_000;
/// FLV bytes of an audio message: 128 kbit/s.
const AUDIO_SIZE: usize = 372;
/// FLV bytes of a P frame on average, and of a keyframe: ten times that.
const P_SIZE: usize = 7_362;
const KEY_SIZE: usize = 10 * P_SIZE;

const SPS: &[u8] = &[
    0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28, 0x02, 0xdd, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00,
    0x00, 0x03, 0x01, 0xe0, 0x78, 0xc1, 0x8c, 0xb0,
];
const PPS: &[u8] = &[0x68, 0xeb, 0xe3, 0xcb, 0x20];

const MAGIC: &[u8; 8] = b"camrill@";
/// Where the magic stands: FLV header 5, NAL length 4, NAL and slice header 4.
const MAGIC_AT: usize = 13;

/// One FLV message of the stream.
pub(crate) struct Message {
    /// The RTMP message type.
    pub(crate) kind: u8,
    /// When it is due, in nanoseconds from the start.
    pub(crate) due_ns: u64,
    /// The FLV tag's body.
    pub(crate) body: Vec<u8>,
}

/// The sequence headers, in the order that they are sent in.
pub(crate) fn headers() -> Vec<Message> {
    let mut avc = vec![0x17, 0, 0, 0, 0, 1, SPS[1], SPS[2], SPS[3], 0xff, 0xe1];
    avc.extend((SPS.len() as u16).to_be_bytes());
    avc.extend(SPS);
    avc.push(1);
    avc.extend((PPS.len() as u16).to_be_bytes());
    avc.extend(PPS);
    // AAC-LC, 44.1 kHz, stereo
    let aac = vec![0xaf, 0, 0x12, 0x10];
    vec![Message { kind: VIDEO, due_ns: 0, body: avc }, Message { kind: AUDIO, due_ns: 0, body: aac }]
}

/// The endless stream behind the headers.
pub(crate) struct Source {
    video: u64,
    audio: u64,
    random: u64,
}

impl Source {
    /// From its beginning, which is a keyframe.
    pub(crate) fn new() -> Self {
        Self { video: 0, audio: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// Bytes without zeros, so that no start code is feigned.
    fn fill(&mut self, body: &mut Vec<u8>, size: usize) {
        while body.len() < size {
            let bytes = self.random().to_le_bytes().map(|byte| byte | 1);
            let n = bytes.len().min(size - body.len());
            body.extend(&bytes[..n]);
        }
    }

    /// The next message in order of time.
    pub(crate) fn next(&mut self) -> Message {
        let video_ns = self.video * 1_000_000_000 / FPS;
        let audio_ns = self.audio * 1_000_000_000 * SAMPLES / SAMPLE_RATE;
        if audio_ns < video_ns {
            self.audio += 1;
            let mut body = vec![0xaf, 1];
            self.fill(&mut body, AUDIO_SIZE);
            return Message { kind: AUDIO, due_ns: audio_ns, body };
        }
        let key = self.video.is_multiple_of(GOP);
        self.video += 1;
        let mut body = if key { vec![0x17, 1, 0, 0, 0] } else { vec![0x27, 1, 0, 0, 0] };
        // P frames differ by a quarter up and down.
        let half = P_SIZE / 4;
        let size = if key { KEY_SIZE } else { P_SIZE - half + self.random() as usize % (2 * half + 1) };
        body.extend((size as u32 - 9).to_be_bytes());
        body.extend(if key { [0x65, 0x88, 0x84, 0x21] } else { [0x41, 0x9a, 0x24, 0x6c] });
        body.extend(MAGIC);
        body.extend([b'0'; 16]);
        self.fill(&mut body, size);
        Message { kind: VIDEO, due_ns: video_ns, body }
    }
}

/// Writes the time of sending into a video frame; in hexadecimal digits, for the sake of start codes.
pub(crate) fn stamp(body: &mut [u8], now_ns: u64) {
    let at = MAGIC_AT + MAGIC.len();
    if body.len() >= at + 16 && &body[MAGIC_AT..at] == MAGIC {
        body[at..at + 16].copy_from_slice(format!("{now_ns:016x}").as_bytes());
    }
}

/// When a video frame was sent, if it is one of ours.
pub(crate) fn read_stamp(body: &[u8]) -> Option<u64> {
    let rest = body.get(MAGIC_AT..)?.strip_prefix(MAGIC)?;
    u64::from_str_radix(std::str::from_utf8(rest.get(..16)?).ok()?, 16).ok()
}

/// Whether a video message is a keyframe's (and not a sequence header).
pub(crate) fn is_keyframe(body: &[u8]) -> bool {
    body.len() > 5 && body[0] == 0x17 && body[1] == 1
}
