//! The RTMP handshake (RTMP 1.0, 5.2), both ends, simple and with digests.
//!
//! The digest handshake is not in the specification: since Flash Player 9, C1 and S1 may each hide an
//! HMAC-SHA256 of themselves at an offset that four of their bytes tell, and C2 and S2 end in a
//! signature over the other side's digest. Some players and hardware encoders insist on it. It proves
//! nothing (the keys are known), so a server never refuses for want of it.

use std::fmt;

use bytes::{BufMut, BytesMut};
use hmac_sha256::HMAC;

/// Bytes of C1, C2, S1 and S2 each.
const PACKET: usize = 1536;
/// Bytes of a digest or signature.
const DIGEST: usize = 32;
/// The bytes of C2 and S2 that their signature covers.
const SIGNED: usize = PACKET - DIGEST;
/// The version in C0 and S0 (5.2.2).
const VERSION: u8 = 3;
/// What the digest offset is counted modulo: 764 bytes of block less offset field and digest.
const OFFSET_MODULUS: usize = 728;
/// The version that a client with digests puts in C1, as Flash Player 10 does.
const CLIENT_VERSION: [u8; 4] = [128, 0, 3, 2];
/// The version that S1 with a digest carries; players look for a digest from 3 on.
const SERVER_VERSION: [u8; 4] = [3, 5, 1, 1];

/// The servers' key: its text signs S1, the whole of it S2.
const SERVER_KEY: &[u8; 68] = b"Genuine Adobe Flash Media Server 001\
    \xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57\
    \x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";
/// The players' key: its text signs C1, the whole of it C2.
const CLIENT_KEY: &[u8; 62] = b"Genuine Adobe Flash Player 001\
    \xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57\
    \x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae";
const SERVER_KEY_TEXT: &[u8] = SERVER_KEY.split_at(36).0;
const CLIENT_KEY_TEXT: &[u8] = CLIENT_KEY.split_at(30).0;

type Packet = [u8; PACKET];
type Digest = [u8; DIGEST];

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// C0 asks for encrypted RTMP (RTMPE).
    Encrypted {
        /// The version in C0: 6 or 8.
        version: u8,
    },
    /// The first byte is a letter, as in an HTTP request.
    Http {
        /// That letter.
        first: u8,
    },
    /// The first byte is that of a TLS handshake.
    Tls,
    /// C0 or S0 is anything else but 3.
    NotRtmp {
        /// The byte.
        first: u8,
    },
    /// The server's S1 claims a digest handshake, but holds no valid digest.
    ServerDigest,
    /// The server's S2 is not signed over the digest that it was sent.
    ServerSignature,
}

impl HandshakeError {
    fn version(first: u8) -> Self {
        match first {
            6 | 8 => Self::Encrypted { version: first },
            0x16 => Self::Tls,
            b if b.is_ascii_alphabetic() => Self::Http { first },
            first => Self::NotRtmp { first },
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypted { version } => {
                write!(
                    f,
                    "encrypted RTMP (RTMPE, version {version}) is not supported, version 3 was expected"
                )
            }
            Self::Http { first } => {
                write!(f, "not RTMP: the first byte is '{}', this looks like HTTP", char::from(*first))
            }
            Self::Tls => write!(f, "not RTMP: the first byte is 0x16, this looks like TLS"),
            Self::NotRtmp { first } => write!(f, "not RTMP: the first byte is 0x{first:02x}, 3 was expected"),
            Self::ServerDigest => write!(f, "the server's S1 holds no valid digest"),
            Self::ServerSignature => write!(f, "the server's S2 does not sign the digest in C1"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Where C1 or S1 hides its digest: in its first 764 bytes, or in the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    DigestFirst,
    KeyFirst,
}

impl Layout {
    /// Where the four bytes are whose sum is the offset.
    const fn base(self) -> usize {
        match self {
            Self::DigestFirst => 8,
            Self::KeyFirst => 772,
        }
    }

    /// Splits `packet` into what is before the digest, the digest, and what is after.
    fn split(self, packet: &mut Packet) -> Option<(&mut [u8], &mut Digest, &mut [u8])> {
        let field = packet.get(self.base()..)?.first_chunk::<4>()?;
        let sum: usize = field.iter().map(|b| usize::from(*b)).sum();
        let at = (sum % OFFSET_MODULUS).checked_add(self.base())?.checked_add(4)?;
        let (before, rest) = packet.split_at_mut_checked(at)?;
        let (digest, after) = rest.split_first_chunk_mut::<DIGEST>()?;
        Some((before, digest, after))
    }

    /// The digest in `packet`, if it is one by `key`.
    fn find(self, packet: &mut Packet, key: &[u8]) -> Option<Digest> {
        let (before, digest, after) = self.split(packet)?;
        (hmac(key, before, after) == *digest).then_some(*digest)
    }

    /// Puts the digest by `key` into `packet`.
    fn write(self, packet: &mut Packet, key: &[u8]) -> Option<Digest> {
        let (before, digest, after) = self.split(packet)?;
        *digest = hmac(key, before, after);
        Some(*digest)
    }
}

/// The layout and the digest of a C1 or S1 by `key`.
fn find_digest(packet: &mut Packet, key: &[u8]) -> Option<(Layout, Digest)> {
    [Layout::KeyFirst, Layout::DigestFirst].into_iter().find_map(|l| Some((l, l.find(packet, key)?)))
}

fn hmac(key: &[u8], a: &[u8], b: &[u8]) -> Digest {
    let mut mac = HMAC::new(key);
    mac.update(a);
    mac.update(b);
    mac.finalize()
}

/// The signature at the end of C2 or S2 over the other side's digest.
fn signature(signed: &[u8], their_digest: &Digest, key: &[u8]) -> Digest {
    let temporary = hmac(key, their_digest, &[]);
    hmac(&temporary, signed, &[])
}

/// splitmix64: enough for bytes that nothing depends on.
#[derive(Debug, Clone)]
struct Filler(u64);

impl Filler {
    fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            for (to, from) in part.iter_mut().zip(z.to_le_bytes()) {
                *to = from;
            }
        }
    }

    /// A C1 or S1: time 0, `version`, and random bytes.
    fn packet(&mut self, packet: &mut Packet, version: [u8; 4]) {
        self.fill(packet);
        let head = [0, 0, 0, 0].into_iter().chain(version);
        for (to, from) in packet.iter_mut().zip(head) {
            *to = from;
        }
    }

    /// Appends a C2 or S2 that is signed over the other side's digest.
    fn signed(&mut self, out: &mut BytesMut, their_digest: &Digest, key: &[u8]) {
        let mut body = [0; SIGNED];
        self.fill(&mut body);
        out.put_slice(&body);
        out.put_slice(&signature(&body, their_digest, key));
    }
}

/// A packet on its way in.
#[derive(Debug)]
struct Incoming {
    packet: Box<Packet>,
    have: usize,
}

impl Incoming {
    fn new() -> Self {
        Self { packet: Box::new([0; PACKET]), have: 0 }
    }

    /// Takes what belongs to the packet; says whether it is whole.
    fn take(&mut self, input: &mut &[u8]) -> bool {
        let room = self.packet.get_mut(self.have..).unwrap_or_default();
        let n = room.len().min(input.len());
        if let (Some((head, tail)), Some(room)) = (input.split_at_checked(n), room.get_mut(..n)) {
            room.copy_from_slice(head);
            *input = tail;
            self.have = self.have.saturating_add(n);
        }
        self.have >= PACKET
    }
}

/// Takes the version byte that C0 or S0 is, if it is there.
fn take_version(input: &mut &[u8]) -> Result<bool, HandshakeError> {
    let Some((first, rest)) = input.split_first() else { return Ok(false) };
    if *first != VERSION {
        return Err(HandshakeError::version(*first));
    }
    *input = rest;
    Ok(true)
}

#[derive(Debug)]
enum ServerState {
    C0,
    C1(Incoming),
    /// The bytes of C2 that are still to come.
    C2(usize),
    Done,
}

/// The server's end of the handshake.
#[derive(Debug)]
pub struct ServerHandshake {
    filler: Filler,
    state: ServerState,
}

impl ServerHandshake {
    /// A handshake that waits for C0. The random bytes of S1 and S2 come from `entropy`.
    pub fn new(entropy: u64) -> Self {
        Self { filler: Filler(entropy), state: ServerState::C0 }
    }

    /// Takes from `input` what belongs to the handshake and appends S0, S1 and S2 to `out` once C1 is
    /// whole. Answers whether the handshake is complete; what follows C2 stays in `input`.
    pub fn handle_input(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<bool, HandshakeError> {
        loop {
            match &mut self.state {
                ServerState::C0 => {
                    if !take_version(input)? {
                        return Ok(false);
                    }
                    self.state = ServerState::C1(Incoming::new());
                }
                ServerState::C1(c1) => {
                    if !c1.take(input) {
                        return Ok(false);
                    }
                    answer(&mut self.filler, &mut c1.packet, out);
                    self.state = ServerState::C2(PACKET);
                }
                ServerState::C2(left) => {
                    let n = input.len().min(*left);
                    *input = input.get(n..).unwrap_or_default();
                    *left = left.saturating_sub(n);
                    if *left > 0 {
                        return Ok(false);
                    }
                    self.state = ServerState::Done;
                }
                ServerState::Done => return Ok(true),
            }
        }
    }
}

/// Appends S0, S1 and S2 to `out`, in the manner of `c1`.
fn answer(filler: &mut Filler, c1: &mut Packet, out: &mut BytesMut) {
    out.reserve(1 + 2 * PACKET);
    out.put_u8(VERSION);
    let mut s1 = [0; PACKET];
    // A client whose version is zero has no digest: the search is four hashes of 1.5 KB.
    let has_version = c1.get(4..8).is_some_and(|version| version != [0; 4]);
    match if has_version { find_digest(c1, CLIENT_KEY_TEXT) } else { None } {
        Some((layout, digest)) => {
            filler.packet(&mut s1, SERVER_VERSION);
            layout.write(&mut s1, SERVER_KEY_TEXT);
            out.put_slice(&s1);
            filler.signed(out, &digest, SERVER_KEY);
        }
        None => {
            // A version of zero keeps clients from looking for a digest in S1.
            filler.packet(&mut s1, [0; 4]);
            out.put_slice(&s1);
            out.put_slice(c1);
        }
    }
}

#[derive(Debug)]
enum ClientState {
    S0,
    S1(Incoming),
    S2(Incoming),
    Done,
}

/// The client's end of the handshake.
#[derive(Debug)]
pub struct ClientHandshake {
    filler: Filler,
    state: ClientState,
    wants_digest: bool,
    /// Takes an S1 or S2 without a valid digest for a plain one.
    lenient: bool,
    /// The digest in C1, while the server's signature over it is awaited.
    digest: Option<Digest>,
}

impl ClientHandshake {
    /// A handshake that has sent nothing yet; with a digest in C1 or without. The random bytes of C1 and
    /// C2 come from `entropy`.
    pub fn new(entropy: u64, digest: bool) -> Self {
        let state = ClientState::S0;
        Self { filler: Filler(entropy), state, wants_digest: digest, lenient: false, digest: None }
    }

    /// A handshake with a digest in C1 that takes whatever the server answers: one that knows nothing of
    /// digests may echo C1 and yet carry a version, or random bytes, where S1 would announce a digest.
    pub fn lenient(entropy: u64) -> Self {
        Self { lenient: true, ..Self::new(entropy, true) }
    }

    /// Appends C0 and C1 to `out`. To be called once, first.
    pub fn start(&mut self, out: &mut BytesMut) {
        let mut c1 = [0; PACKET];
        if self.wants_digest {
            self.filler.packet(&mut c1, CLIENT_VERSION);
            self.digest = Layout::KeyFirst.write(&mut c1, CLIENT_KEY_TEXT);
        } else {
            self.filler.packet(&mut c1, [0; 4]);
        }
        out.put_u8(VERSION);
        out.put_slice(&c1);
    }

    /// Takes from `input` what belongs to the handshake and appends C2 to `out` once S1 is whole. Answers
    /// whether the handshake is complete; what follows S2 stays in `input`.
    ///
    /// A server that answers a digest with a plain S1 (version 0) is taken as it is.
    pub fn handle_input(&mut self, input: &mut &[u8], out: &mut BytesMut) -> Result<bool, HandshakeError> {
        loop {
            match &mut self.state {
                ClientState::S0 => {
                    if !take_version(input)? {
                        return Ok(false);
                    }
                    self.state = ClientState::S1(Incoming::new());
                }
                ClientState::S1(s1) => {
                    if !s1.take(input) {
                        return Ok(false);
                    }
                    if s1.packet.get(4) == Some(&0) {
                        self.digest = None;
                    }
                    let theirs = match self.digest {
                        Some(_) => find_digest(&mut s1.packet, SERVER_KEY_TEXT),
                        None => None,
                    };
                    match theirs {
                        Some((_, theirs)) => self.filler.signed(out, &theirs, CLIENT_KEY),
                        None if self.digest.is_some() && !self.lenient => {
                            return Err(HandshakeError::ServerDigest);
                        }
                        None => out.put_slice(s1.packet.as_slice()),
                    }
                    self.state = ClientState::S2(Incoming::new());
                }
                ClientState::S2(s2) => {
                    if !s2.take(input) {
                        return Ok(false);
                    }
                    if let Some(digest) = self.digest.take() {
                        let (signed, theirs) = s2.packet.split_at(SIGNED);
                        if !self.lenient && signature(signed, &digest, SERVER_KEY) != *theirs {
                            return Err(HandshakeError::ServerSignature);
                        }
                    }
                    self.state = ClientState::Done;
                }
                ClientState::Done => return Ok(true),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// C0 C1, S0 S1 S2 and C2 of a handshake between our two ends.
    fn whole(digest: bool) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let mut client = ClientHandshake::new(1, digest);
        let mut server = ServerHandshake::new(2);
        let (mut c01, mut s012, mut c2) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        client.start(&mut c01);
        assert_eq!(server.handle_input(&mut &c01[..], &mut s012), Ok(false));
        assert_eq!(client.handle_input(&mut &s012[..], &mut c2), Ok(true));
        let mut nothing = BytesMut::new();
        assert_eq!(server.handle_input(&mut &c2[..], &mut nothing), Ok(true));
        assert!(nothing.is_empty());
        (c01.to_vec(), s012.to_vec(), c2.to_vec())
    }

    #[test]
    fn simple_handshake_echoes() {
        let (c01, s012, c2) = whole(false);
        assert_eq!((c01.len(), s012.len(), c2.len()), (1537, 3073, 1536));
        assert_eq!(c01[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(s012[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(s012[1537..], c01[1..]);
        assert_eq!(c2, s012[1..1537]);
    }

    #[test]
    fn digest_handshake_signs_in_the_same_layout() {
        let (c01, s012, c2) = whole(true);
        assert_eq!((c01.len(), s012.len(), c2.len()), (1537, 3073, 1536));
        assert_eq!(s012[5..9], SERVER_VERSION);
        let mut s1: Packet = s012[1..1537].try_into().unwrap();
        assert_eq!(find_digest(&mut s1, SERVER_KEY_TEXT).unwrap().0, Layout::KeyFirst);
        assert_ne!(c2, s012[1..1537]);
    }

    #[test]
    fn digest_first_is_answered_digest_first() {
        let mut c1 = [7; PACKET];
        let digest = Layout::DigestFirst.write(&mut c1, CLIENT_KEY_TEXT).unwrap();
        let mut c01 = vec![3];
        c01.extend_from_slice(&c1);
        let mut out = BytesMut::new();
        assert_eq!(ServerHandshake::new(9).handle_input(&mut &c01[..], &mut out), Ok(false));
        let mut s1: Packet = out[1..1537].try_into().unwrap();
        assert_eq!(find_digest(&mut s1, SERVER_KEY_TEXT).unwrap().0, Layout::DigestFirst);
        assert_eq!(out[1537 + SIGNED..], signature(&out[1537..1537 + SIGNED], &digest, SERVER_KEY));
    }

    #[test]
    fn a_wrong_digest_falls_back_to_simple() {
        let mut c01 = vec![3, 0, 0, 0, 0, 128, 0, 3, 2];
        c01.resize(1537, 5);
        let mut out = BytesMut::new();
        assert_eq!(ServerHandshake::new(9).handle_input(&mut &c01[..], &mut out), Ok(false));
        assert_eq!(out[5..9], [0; 4]);
        assert_eq!(out[1537..], c01[1..]);
    }

    #[test]
    fn a_client_with_digest_takes_a_plain_server() {
        let mut client = ClientHandshake::new(1, true);
        let mut out = BytesMut::new();
        client.start(&mut out);
        let mut s012 = vec![3];
        s012.resize(3073, 0);
        out.clear();
        assert_eq!(client.handle_input(&mut &s012[..], &mut out), Ok(true));
        assert_eq!(out[..], s012[1..1537]);
    }

    #[test]
    fn the_client_verifies_the_server() {
        let (_, s012, _) = whole(true);
        for (at, error) in [(1536, HandshakeError::ServerDigest), (3072, HandshakeError::ServerSignature)] {
            let mut client = ClientHandshake::new(1, true);
            let mut out = BytesMut::new();
            client.start(&mut out);
            let mut bad = s012.clone();
            bad[at] ^= 1;
            assert_eq!(client.handle_input(&mut &bad[..], &mut out), Err(error));
        }
    }

    #[test]
    fn a_lenient_client_takes_any_server() {
        let (c01, s012, c2) = whole(true);
        let answer = |s012: &[u8]| {
            let mut client = ClientHandshake::lenient(1);
            let (mut start, mut out) = (BytesMut::new(), BytesMut::new());
            client.start(&mut start);
            assert_eq!(start[..], c01);
            assert_eq!(client.handle_input(&mut &s012[..], &mut out), Ok(true));
            out.to_vec()
        };
        assert_eq!(answer(&s012), c2, "a digest is answered by one");
        let mut bad = s012.clone();
        bad[3072] ^= 1;
        assert_eq!(answer(&bad), c2);
        bad[1536] ^= 1;
        assert_eq!(answer(&bad), bad[1..1537], "none is echoed");
    }

    #[test]
    fn any_split_of_the_input_gives_the_same() {
        for digest in [false, true] {
            let (c01, s012, c2) = whole(digest);
            let mut to_server = c01.clone();
            to_server.extend_from_slice(&c2);
            to_server.extend_from_slice(b"connect");
            for at in 0..=to_server.len() {
                let mut server = ServerHandshake::new(2);
                let mut out = BytesMut::new();
                let (mut head, mut tail) = to_server.split_at(at);
                let early = server.handle_input(&mut head, &mut out).unwrap();
                assert_eq!(early, at >= 3073);
                assert!(head.is_empty() || early);
                assert_eq!(server.handle_input(&mut tail, &mut out), Ok(true));
                assert_eq!([head, tail].concat(), b"connect");
                assert_eq!(out[..], s012[..]);
            }
            let mut client = ClientHandshake::new(1, digest);
            let (mut out, mut done) = (BytesMut::new(), false);
            client.start(&mut out);
            for byte in &s012 {
                assert!(!done);
                done = client.handle_input(&mut std::slice::from_ref(byte), &mut out).unwrap();
            }
            assert!(done);
            assert_eq!(out[..], [c01, c2].concat());
        }
    }

    #[test]
    fn half_a_handshake_answers_nothing() {
        let mut server = ServerHandshake::new(2);
        let mut out = BytesMut::new();
        assert_eq!(server.handle_input(&mut &[][..], &mut out), Ok(false));
        assert_eq!(server.handle_input(&mut &[3; 1536][..], &mut out), Ok(false));
        assert!(out.is_empty());
    }

    #[test]
    fn other_protocols_are_told_apart() {
        let refuse = |b: u8| ServerHandshake::new(0).handle_input(&mut &[b, 1][..], &mut BytesMut::new());
        assert_eq!(refuse(6), Err(HandshakeError::Encrypted { version: 6 }));
        assert_eq!(refuse(8), Err(HandshakeError::Encrypted { version: 8 }));
        assert_eq!(refuse(b'G'), Err(HandshakeError::Http { first: b'G' }));
        assert_eq!(refuse(0x16), Err(HandshakeError::Tls));
        assert_eq!(refuse(0), Err(HandshakeError::NotRtmp { first: 0 }));
        assert!(refuse(b'G').unwrap_err().to_string().contains("HTTP"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4000), good in any::<bool>()) {
            let mut bytes = bytes;
            if let (true, Some(first)) = (good, bytes.first_mut()) {
                *first = 3;
            }
            let mut out = BytesMut::new();
            let _ = ServerHandshake::new(3).handle_input(&mut &bytes[..], &mut out);
            prop_assert!(out.len() <= 3073);
            let _ = ClientHandshake::new(3, true).handle_input(&mut &bytes[..], &mut out);
            let _ = ClientHandshake::lenient(3).handle_input(&mut &bytes[..], &mut out);
        }
    }
}
