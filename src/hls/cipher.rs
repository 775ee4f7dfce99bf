//! AES-128 over whole segments (RFC 8216, 5.2).

use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use bytes::{BufMut, Bytes, BytesMut};
use hmac_sha256::HMAC;

const BLOCK: usize = 16;

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
