//! AES-128 over whole segments (RFC 8216, 5.2).

use std::fmt;

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use bytes::{BufMut, Bytes, BytesMut};
use hmac_sha256::HMAC;

/// Bytes of a block, and of a key.
pub(super) const BLOCK: usize = 16;

/// The key whose first segment is `seq`, drawn from the seed.
pub(super) fn key(seed: &[u8; 32], seq: u64) -> [u8; BLOCK] {
    let mut key = [0; BLOCK];
    for (to, from) in key.iter_mut().zip(HMAC::mac(seq.to_be_bytes(), seed)) {
        *to = from;
    }
    key
}

/// The segment `seq` in CBC with PKCS7 padding, its number as IV (RFC 8216, 5.2).
pub(super) fn encrypt(key: &[u8; BLOCK], seq: u64, mut segment: BytesMut) -> Bytes {
    let iv = u128::from(seq).to_be_bytes();
    // As many bytes as are missing, and their number in each; a whole block where none is.
    let padding = BLOCK - segment.len() % BLOCK;
    segment.put_bytes(padding as u8, padding);
    let mut cipher = cbc::Encryptor::<aes::Aes128>::new(key.into(), (&iv).into());
    for block in segment.chunks_exact_mut(BLOCK) {
        if let Ok(block) = block.try_into() {
            cipher.encrypt_block(block);
        }
    }
    segment.freeze()
}

/// Decrypts a segment as its bytes come.
pub(super) struct Decrypter {
    cipher: cbc::Decryptor<aes::Aes128>,
    /// Encrypted: at most the last block, which has the padding, and what isn't a block yet.
    held: BytesMut,
}

impl fmt::Debug for Decrypter {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypter").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Decrypter {
    pub(super) fn new(key: &[u8; BLOCK], iv: &[u8; BLOCK]) -> Self {
        Self { cipher: cbc::Decryptor::new(key.into(), iv.into()), held: BytesMut::new() }
    }

    /// What the bytes are in the clear, as far as that is certain.
    pub(super) fn update(&mut self, bytes: &[u8]) -> BytesMut {
        self.held.extend_from_slice(bytes);
        let blocks = self.held.len().saturating_sub(1) / BLOCK;
        let mut clear = self.held.split_to(blocks.saturating_mul(BLOCK));
        self.decrypt(&mut clear);
        clear
    }

    /// What is left at the end of the segment, without its padding. A segment that was cut off has none, and
    /// what isn't a whole block is lost.
    pub(super) fn finish(&mut self) -> BytesMut {
        let mut last = self.held.split();
        if last.len() != BLOCK {
            return BytesMut::new();
        }
        self.decrypt(&mut last);
        let padding = usize::from(last.last().copied().unwrap_or(0));
        let kept = BLOCK.checked_sub(padding).filter(|_| padding > 0);
        if let Some(kept) = kept
            && last.iter().skip(kept).all(|byte| usize::from(*byte) == padding)
        {
            last.truncate(kept);
        }
        last
    }

    fn decrypt(&mut self, bytes: &mut [u8]) {
        for block in bytes.chunks_exact_mut(BLOCK) {
            if let Ok(block) = block.try_into() {
                self.cipher.decrypt_block(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encrypted_comes_back_however_it_is_cut() {
        let key = key(&[7; 32], 3);
        let iv = 9u128.to_be_bytes();
        for len in [0usize, 1, 15, 16, 17, 32, 100] {
            let clear: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let secret = encrypt(&key, 9, BytesMut::from(&clear[..]));
            for size in [1, 5, 16, 31, 1000] {
                let mut decrypter = Decrypter::new(&key, &iv);
                let mut out = Vec::new();
                secret.chunks(size).for_each(|piece| out.extend_from_slice(&decrypter.update(piece)));
                assert!(out.len() <= len && out.len() + BLOCK >= len);
                out.extend_from_slice(&decrypter.finish());
                assert_eq!(out, clear);
            }
            // Cut off: whole blocks are kept.
            let mut decrypter = Decrypter::new(&key, &iv);
            let cut = &secret[..secret.len() - 1];
            let out = [decrypter.update(cut), decrypter.finish()].concat();
            assert_eq!(out, clear[..len / BLOCK * BLOCK]);
        }
    }
}
