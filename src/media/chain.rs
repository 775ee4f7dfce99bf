//! Bytes in one piece or in several: what lets a frame go from an encoder's memory to sockets without being
//! put together on the way.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes, BytesMut};

use crate::time::Time;

/// Bytes from which on a piece of lent memory is shared rather than copied: below, keeping it costs more.
pub const SHARED_MIN: usize = 2048;

/// The same for an image of a frame that is our own. Its copy is made once, whereas another piece costs something
/// with each player's send: with frames of 7 KB and 300 RTMP players sharing took 1.40 s of CPU time per GB, copying
/// 1.19; over HTTP-FLV there was no difference.
const IMAGE_SHARED_MIN: usize = 16 * 1024;

/// Bytes that belong together, in the order of their pieces. Cloning shares them.
#[derive(Clone, Default)]
pub struct Chain {
    repr: Repr,
    /// Whether memory of the host's is among it, and when it wants that back.
    lent: Option<Until>,
}

/// The time at which lent memory is wanted back. Never 0, so that it takes no more room than the time.
#[derive(Debug, Clone, Copy)]
struct Until(NonZeroU64);

#[derive(Clone)]
enum Repr {
    One(Bytes),
    Many(Arc<Many>),
}

struct Many {
    pieces: Box<[Bytes]>,
    len: usize,
    /// All of them in one piece, once somebody has asked.
    whole: OnceLock<Bytes>,
}

impl Default for Repr {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Chain {
    /// The pieces in their order; empty ones are left out.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut pieces: Vec<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let repr = match pieces.len() {
            0 | 1 => Repr::One(pieces.pop().unwrap_or_default()),
            _ => {
                let len = pieces.iter().map(Bytes::len).sum();
                Repr::Many(Arc::new(Many { pieces: pieces.into(), len, whole: OnceLock::new() }))
            }
        };
        Self { repr, lent: None }
    }

    /// The same, with memory of the host's among it, which is wanted back at once unless
    /// [`Chain::lend_until`] says otherwise.
    pub fn lent(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { lent: Some(Until::new(Time::ZERO)), ..Self::new(pieces) }
    }

    /// Of lent memory: when it is wanted back.
    pub fn lend_until(&mut self, at: Time) {
        if self.lent.is_some() {
            self.lent = Some(Until::new(at));
        }
    }

    /// When the host's memory that is among it is wanted back, if any is.
    pub fn lent_until(&self) -> Option<Time> {
        self.lent.map(|Until(us)| Time::from_micros(us.get()))
    }

    /// The same pieces, lent as `from` is: for what shares its bytes.
    pub fn lent_as(self, from: &Chain) -> Self {
        Self { lent: from.lent, ..self }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::One(bytes) => bytes.len(),
            Repr::Many(many) => many.len,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its pieces, none of them empty where there are several.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.repr {
            Repr::One(bytes) => std::slice::from_ref(bytes),
            Repr::Many(many) => &many.pieces,
        }
    }

    /// All of it in one piece, for which several are copied.
    pub fn bytes(&self) -> Bytes {
        match &self.repr {
            Repr::One(bytes) => bytes.clone(),
            Repr::Many(_) => self.copied(),
        }
    }

    /// All of it in one piece, for which several are copied once for all who share the chain, and kept with it.
    pub fn whole(&self) -> &Bytes {
        match &self.repr {
            Repr::One(bytes) => bytes,
            Repr::Many(many) => many.whole.get_or_init(|| self.copied()),
        }
    }

    /// All of it in one piece, if it is in one already.
    pub fn one(&self) -> Option<&Bytes> {
        match &self.repr {
            Repr::One(bytes) => Some(bytes),
            Repr::Many(many) => many.whole.get(),
        }
    }

    /// Appends all of it to `out`.
    pub fn put(&self, out: &mut BytesMut) {
        self.pieces().iter().for_each(|piece| out.extend_from_slice(piece));
    }

    /// Whether memory of the host's is among it.
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// The same bytes in memory of our own: copied if they are lent.
    pub fn owned(&self) -> Self {
        if self.is_lent() { Self::from(self.copied()) } else { self.clone() }
    }

    /// Bytes from which on a piece is shared by images.
    pub fn shared_min(&self) -> usize {
        if self.is_lent() { SHARED_MIN } else { IMAGE_SHARED_MIN }
    }

    /// Bytes in pieces that images copy.
    pub fn unshared(&self) -> usize {
        self.pieces().iter().map(Bytes::len).filter(|len| *len < self.shared_min()).sum()
    }

    /// What is left when the first `n` bytes are gone.
    pub fn without(&self, n: usize) -> Self {
        let mut n = n;
        let rest = self.pieces().iter().filter_map(|piece| {
            let gone = n.min(piece.len());
            n -= gone;
            let mut piece = piece.clone();
            piece.advance(gone);
            (!piece.is_empty()).then_some(piece)
        });
        let rest = Self::new(rest);
        Self { lent: self.lent.filter(|_| !rest.is_empty()), ..rest }
    }

    fn copied(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.len());
        self.put(&mut out);
        out.freeze()
    }
}

/// Puts a chain together: what is small is copied into one piece with its neighbours, what is large is shared.
#[derive(Debug)]
pub struct Gather {
    small: BytesMut,
    pieces: Vec<Bytes>,
    /// Bytes from which on a piece is shared.
    shared_min: usize,
}

impl Gather {
    /// With room for so many bytes that are copied.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { small: BytesMut::with_capacity(bytes), pieces: Vec::new(), shared_min: SHARED_MIN }
    }

    /// For an image of `payload`, with room for so many bytes that are copied.
    pub fn image_of(payload: &Chain, bytes: usize) -> Self {
        Self { shared_min: payload.shared_min(), ..Self::with_capacity(bytes) }
    }

    /// Where bytes are appended that are copied.
    pub fn small(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    /// Appends bytes.
    pub fn share(&mut self, piece: Bytes) {
        if piece.len() < self.shared_min {
            self.small.extend_from_slice(&piece);
            return;
        }
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
        self.pieces.push(piece);
    }

    /// The chain; `lent` as the bytes are that were appended, and wanted back at once.
    pub fn finish(mut self, lent: bool) -> Chain {
        if self.pieces.is_empty() {
            return self.small.freeze().into();
        }
        self.pieces.push(self.small.freeze());
        if lent { Chain::lent(self.pieces) } else { Chain::new(self.pieces) }
    }

    /// The chain, lent as `source` is, whose bytes were appended, if it shares any.
    pub fn finish_as(self, source: &Chain) -> Chain {
        let mut chain = self.finish(source.is_lent());
        source.lent_until().into_iter().for_each(|at| chain.lend_until(at));
        chain
    }
}

impl Until {
    fn new(at: Time) -> Self {
        Self(NonZeroU64::new(at.as_micros()).unwrap_or(NonZeroU64::MIN))
    }
}

/// Copies of lent memory, by where that lies: whoever shares a piece shares its copy. What was copied is held
/// until this goes, so that no other memory can come to lie there meanwhile.
#[derive(Debug, Default)]
pub struct Copies {
    pieces: Vec<(Bytes, Bytes)>,
}

impl Copies {
    /// Has `chain` lie in memory of our own. What of it has a copy shares that; the rest is copied, into one
    /// piece if that is all of it. Whether it was all of it.
    pub fn own(&mut self, chain: &mut Chain) -> bool {
        if !chain.is_lent() {
            return false;
        }
        let copied: usize =
            chain.pieces().iter().filter(|piece| self.find(piece).is_none()).map(Bytes::len).sum();
        let mut out = BytesMut::with_capacity(copied);
        let mut pieces = Vec::with_capacity(chain.pieces().len());
        let mut fresh = Vec::new();
        for piece in chain.pieces() {
            if let Some(copy) = self.find(piece) {
                pieces.extend((!out.is_empty()).then(|| out.split().freeze()));
                pieces.push(copy);
            } else {
                fresh.push((piece.clone(), pieces.len(), out.len()));
                out.extend_from_slice(piece);
            }
        }
        pieces.push(out.freeze());
        for (old, at, from) in fresh {
            let new = pieces.get(at).filter(|new| new.len() >= from.saturating_add(old.len()));
            let new = new.map(|new| new.slice(from..from + old.len()));
            self.pieces.extend(new.map(|new| (old, new)));
        }
        let is_new = copied == chain.len();
        *chain = Chain::new(pieces);
        is_new
    }

    /// The copy of `piece`, which may be a part of what was copied.
    fn find(&self, piece: &Bytes) -> Option<Bytes> {
        let begin = piece.as_ptr().addr();
        self.pieces.iter().rev().find_map(|(old, new)| {
            let from = begin.checked_sub(old.as_ptr().addr())?;
            let to = from.checked_add(piece.len()).filter(|to| *to <= new.len())?;
            Some(new.slice(from..to))
        })
    }
}

/// Has the chains whose lent memory is wanted back by `until` lie in memory of our own. Answers how many there
/// were, and when the next is wanted back.
pub(super) fn own_due<'a>(
    chains: impl Iterator<Item = &'a mut Chain>,
    until: Time,
    copies: &mut Copies,
) -> (usize, Option<Time>) {
    let (mut owned, mut next) = (0, None::<Time>);
    for chain in chains {
        match chain.lent_until() {
            Some(at) if at <= until => {
                copies.own(chain);
                owned += 1;
            }
            Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
            None => {}
        }
    }
    (owned, next)
}

impl<T: Into<Bytes>> From<T> for Chain {
    fn from(bytes: T) -> Self {
        Self { repr: Repr::One(bytes.into()), lent: None }
    }
}

/// Tests look into chains of one piece as if they were slices.
#[cfg(test)]
impl std::ops::Deref for Chain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let [one] = self.pieces() else { panic!("a chain of several pieces") };
        one
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        match (self.pieces(), other.pieces()) {
            ([a], [b]) => a == b,
            (a, b) => self.len() == other.len() && a.iter().flatten().eq(b.iter().flatten()),
        }
    }
}

impl Eq for Chain {}

impl PartialEq<[u8]> for Chain {
    fn eq(&self, other: &[u8]) -> bool {
        self.len() == other.len() && self.pieces().iter().flatten().eq(other)
    }
}

impl PartialEq<&[u8]> for Chain {
    fn eq(&self, other: &&[u8]) -> bool {
        *self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Chain {
    fn eq(&self, other: &[u8; N]) -> bool {
        *self == other[..]
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Chain {
    fn eq(&self, other: &&[u8; N]) -> bool {
        *self == other[..]
    }
}

impl PartialEq<Vec<u8>> for Chain {
    fn eq(&self, other: &Vec<u8>) -> bool {
        *self == other[..]
    }
}

impl PartialEq<Bytes> for Chain {
    fn eq(&self, other: &Bytes) -> bool {
        *self == other[..]
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pieces()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(pieces: &[&'static [u8]]) -> Chain {
        Chain::new(pieces.iter().map(|piece| Bytes::from_static(piece)))
    }

    #[test]
    fn one_piece_is_never_copied() {
        let bytes = Bytes::from(vec![1, 2, 3]);
        let chain = Chain::new([Bytes::new(), bytes.clone()]);
        assert_eq!(chain.bytes().as_ptr(), bytes.as_ptr());
        assert_eq!(chain.without(1).bytes().as_ptr(), bytes[1..].as_ptr());
        assert!(Chain::new([]).is_empty() && chain.without(3).is_empty());
    }

    #[test]
    fn several_pieces_are_put_together_once_for_all_who_share_them() {
        let several = chain(&[b"ab", b"c"]);
        let other = several.clone();
        assert_eq!(several.one(), None);
        assert_eq!(several.whole(), &b"abc"[..]);
        assert_eq!(other.one().map(|bytes| bytes.as_ptr()), Some(several.whole().as_ptr()));
        let bytes = Bytes::from(vec![1, 2, 3]);
        assert_eq!(Chain::from(bytes.clone()).whole().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn what_is_lent_is_copied_when_it_is_to_be_our_own() {
        let bytes = Bytes::from_static(b"ab");
        let lent = Chain::lent([bytes.clone()]);
        assert!(lent.is_lent() && lent.without(1).is_lent() && !lent.without(2).is_lent());
        let owned = lent.owned();
        assert_eq!(owned, lent);
        assert!(!owned.is_lent());
        assert_ne!(owned.bytes().as_ptr(), bytes.as_ptr());
        assert_eq!(owned.owned().bytes().as_ptr(), owned.bytes().as_ptr());
    }

    #[test]
    fn gathered_is_what_was_put_with_large_pieces_shared() {
        let large = Bytes::from(vec![7; SHARED_MIN]);
        let mut gather = Gather::with_capacity(16);
        gather.small().extend_from_slice(b"head");
        gather.share(Bytes::from_static(b"+"));
        gather.share(large.clone());
        gather.share(Bytes::from_static(b"tail"));
        let chain = gather.finish(false);
        assert_eq!(chain, [&b"head+"[..], &large, b"tail"].concat());
        assert_eq!(chain.pieces().len(), 3);
        assert_eq!(chain.pieces()[1].as_ptr(), large.as_ptr());
        let mut gather = Gather::with_capacity(16);
        gather.share(Bytes::from_static(b"small"));
        let small = gather.finish(true);
        assert!(small.pieces().len() == 1 && !small.is_lent(), "nothing is shared");
    }

    #[test]
    fn what_shares_a_piece_shares_its_copy() {
        let memory = [Bytes::from(vec![1; 5000]), Bytes::from(vec![2; 3000])];
        let mut payload = Chain::lent(memory.clone());
        payload.lend_until(Time::from_millis(7));
        assert_eq!(payload.lent_until(), Some(Time::from_millis(7)));
        let mut gather = Gather::with_capacity(16);
        gather.small().extend_from_slice(b"head");
        gather.share(memory[0].slice(..4000));
        gather.small().extend_from_slice(b"chunk");
        gather.share(memory[0].slice(4000..));
        gather.share(memory[1].clone());
        let mut image = gather.finish_as(&payload);
        assert_eq!(image.lent_until(), payload.lent_until());
        let mut rest = image.without(100);
        let (whole, before) = (image.bytes(), payload.bytes());
        let mut copies = Copies::default();
        copies.own(&mut payload);
        copies.own(&mut image);
        copies.own(&mut rest);
        assert_eq!(
            (&payload, &image, &rest),
            (&Chain::from(before), &whole.clone().into(), &whole.slice(100..).into())
        );
        for chain in [&payload, &image, &rest] {
            let is_lent =
                |piece: &Bytes| memory.iter().any(|lent| lent.as_ptr_range().contains(&piece.as_ptr()));
            assert!(!chain.is_lent() && !chain.pieces().iter().any(is_lent));
        }
        let copy = payload.bytes().as_ptr();
        assert_eq!(image.pieces()[1].as_ptr(), copy, "one copy of the frame for all");
        assert_eq!(rest.pieces()[0].as_ptr(), copy.wrapping_add(96));
    }

    #[test]
    fn equal_is_what_has_the_same_bytes() {
        assert_eq!(chain(&[b"ab", b"c"]), chain(&[b"a", b"bc"]));
        assert_eq!(chain(&[b"ab", b"c"]), chain(&[b"abc"]));
        assert_ne!(chain(&[b"ab", b"c"]), chain(&[b"ab", b"d"]));
        assert_ne!(chain(&[b"ab"]), chain(&[b"ab", b"c"]));
    }

    proptest! {
        #[test]
        fn without_what_is_gone(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6),
            n in 0usize..40,
        ) {
            let chain = Chain::new(pieces.iter().cloned().map(Bytes::from));
            let whole: Vec<u8> = pieces.concat();
            prop_assert_eq!(chain.len(), whole.len());
            prop_assert_eq!(&chain, &whole);
            let rest = chain.without(n);
            prop_assert_eq!(&rest, &whole[n.min(whole.len())..]);
            prop_assert_eq!(rest.len(), whole.len().saturating_sub(n));
        }
    }
}
