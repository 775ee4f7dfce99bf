//! What an encoder hands over, looked at as if it were in one piece.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::chain::Gather;
use crate::codec::annexb;

/// The bytes of what is packed, in pieces that may be cut anywhere.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// They are the caller's: what is kept of them is copied.
    Copied(&'a [&'a [u8]]),
    /// Each piece holds its memory: what is large is shared.
    Lent(&'a [Bytes]),
}

/// The beginning of something.
pub(super) type Head = SmallVec<[u8; 32]>;

/// The pieces as one sequence of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    input: Input<'a>,
    len: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let mut view = Self { input, len: 0 };
        view.len = view.pieces().fold(0, |len, piece| len.saturating_add(piece.len()));
        view
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_lent(&self) -> bool {
        matches!(self.input, Input::Lent(_))
    }

    /// The bytes of a span, copied only if they lie in several pieces.
    pub(super) fn bytes(&self, span: Range<usize>) -> Cow<'a, [u8]> {
        let mut parts = self.parts(span.clone());
        match (parts.next(), parts.next()) {
            (None, _) => Cow::Borrowed(&[]),
            (Some((_, one, _)), None) => Cow::Borrowed(one),
            (Some(_), Some(_)) => {
                let mut all = Vec::with_capacity(span.len());
                self.parts(span).for_each(|(_, part, _)| all.extend_from_slice(part));
                Cow::Owned(all)
            }
        }
    }

    /// The first bytes of a span, up to `n`.
    pub(super) fn head(&self, span: Range<usize>, n: usize) -> Head {
        let end = span.end.min(span.start.saturating_add(n));
        let mut head = Head::new();
        self.parts(span.start..end).for_each(|(_, part, _)| head.extend_from_slice(part));
        head
    }

    /// Appends a span: copied, or shared as the pieces are lent.
    pub(super) fn put(&self, span: Range<usize>, out: &mut Gather) {
        for (i, part, range) in self.parts(span) {
            match self.input {
                Input::Copied(_) => out.small().extend_from_slice(part),
                Input::Lent(pieces) => match pieces.get(i) {
                    Some(piece) => out.share(piece.slice(range)),
                    None => out.small().extend_from_slice(part),
                },
            }
        }
    }

    /// A span without the zeros at its end.
    pub(super) fn without_trailing_zeros(&self, span: Range<usize>) -> Range<usize> {
        let parts: SmallVec<[&[u8]; 4]> = self.parts(span.clone()).map(|(_, part, _)| part).collect();
        let mut end = span.end;
        for part in parts.iter().rev() {
            let kept = part.iter().rposition(|b| *b != 0).map_or(0, |at| at.saturating_add(1));
            end = end.saturating_sub(part.len().saturating_sub(kept));
            if kept > 0 {
                break;
            }
        }
        span.start..end.max(span.start)
    }

    /// Calls `each` with where each 00 00 01 begins, in their order, until it answers `false`.
    pub(super) fn start_codes(&self, mut each: impl FnMut(usize) -> bool) {
        let code = &annexb::START_CODE;
        // The last two bytes before the piece: a code may begin in them.
        let mut tail: SmallVec<[u8; 4]> = SmallVec::new();
        let mut base = 0usize;
        for piece in self.pieces() {
            let before = tail.len();
            tail.extend_from_slice(piece.get(..2.min(piece.len())).unwrap_or_default());
            for (i, window) in tail.windows(code.len()).enumerate() {
                if i < before && window == code && !each(base.saturating_sub(before).saturating_add(i)) {
                    return;
                }
            }
            let mut at = 0usize;
            while let Some(found) = piece.get(at..).and_then(annexb::find) {
                at = at.saturating_add(found);
                if !each(base.saturating_add(at)) {
                    return;
                }
                at = at.saturating_add(code.len());
            }
            if piece.len() > 2 {
                tail.clear();
                tail.extend_from_slice(piece.get(piece.len().saturating_sub(2)..).unwrap_or_default());
            } else {
                tail.drain(..tail.len().saturating_sub(2));
            }
            base = base.saturating_add(piece.len());
        }
    }

    fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let count = match self.input {
            Input::Copied(pieces) => pieces.len(),
            Input::Lent(pieces) => pieces.len(),
        };
        (0..count).map(move |i| match self.input {
            Input::Copied(pieces) => pieces.get(i).copied().unwrap_or_default(),
            Input::Lent(pieces) => pieces.get(i).map_or(&[][..], |piece| piece),
        })
    }

    /// The parts of a span, none of them empty: of which piece, its bytes, and where in it they stand.
    fn parts(self, span: Range<usize>) -> impl Iterator<Item = (usize, &'a [u8], Range<usize>)> {
        let mut base = 0usize;
        self.pieces().enumerate().filter_map(move |(i, piece)| {
            let start = span.start.saturating_sub(base).min(piece.len());
            let end = span.end.saturating_sub(base).min(piece.len());
            base = base.saturating_add(piece.len());
            let part = piece.get(start..end)?;
            (!part.is_empty()).then_some((i, part, start..end))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_one_sequence(
            data in prop::collection::vec(0u8..3, 0..80),
            cuts in prop::collection::vec(0usize..80, 0..12),
            span in (0usize..80, 0usize..80),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(data.len())).collect();
            cuts.extend([0, data.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &data[w[0]..w[1]]).collect();
            let view = View::new(Input::Copied(&pieces));
            prop_assert_eq!(view.len(), data.len());

            let (start, end) = (span.0.min(data.len()), span.1.min(data.len()));
            let span = start.min(end)..start.max(end);
            let whole = &data[span.clone()];
            prop_assert_eq!(&*view.bytes(span.clone()), whole);
            prop_assert_eq!(&view.head(span.clone(), 5)[..], &whole[..whole.len().min(5)]);
            let mut out = Gather::with_capacity(0);
            view.put(span.clone(), &mut out);
            prop_assert_eq!(out.finish(false), whole.to_vec());
            let kept = whole.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            prop_assert_eq!(view.without_trailing_zeros(span.clone()), span.start..span.start + kept);

            let mut found = Vec::new();
            view.start_codes(|at| { found.push(at); true });
            let codes = data.windows(3).enumerate().filter(|(_, w)| w == &[0, 0, 1]);
            prop_assert_eq!(found, codes.map(|(at, _)| at).collect::<Vec<_>>());
        }
    }
}
