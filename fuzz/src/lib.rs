//! What the targets share.

/// Cuts `bytes` into pieces as `how` says: 0 not at all, up to 127 into pieces of that size, from 128 on
/// into pieces of sizes that look random.
pub fn pieces(how: u8, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut state = u32::from(how);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let n = match how {
            0 => rest.len(),
            1..128 => how.into(),
            _ => {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                1 + (state >> 24) as usize % 29
            }
        };
        let (head, tail) = rest.split_at(n.min(rest.len()));
        rest = tail;
        Some(head)
    })
}
