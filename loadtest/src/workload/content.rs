//! Object content derived from key and version: generated while it is sent, checked while it is received, never held.
//!
//! Any 8 bytes depend on the key, the version and their own offset, so bytes of another object, another version or
//! another place never pass for the right ones.

use sha2::{Digest, Sha256};

/// The bytes of one version of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    seed: u64,
    length: u64,
}

/// Received bytes are not the expected ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the byte at offset {offset} is wrong")]
    Byte { offset: u64 },
    #[error("the object has {received} bytes instead of {expected}")]
    Length { expected: u64, received: u64 },
}

impl Content {
    /// The content of `version` of `key`, `length` bytes of it.
    pub fn of(key: &str, version: u64, length: u64) -> Self {
        let digest = Sha256::new().chain_update(version.to_le_bytes()).chain_update(key).finalize();
        let mut seed = [0; 8];
        seed.copy_from_slice(&digest[..8]);
        Self { seed: u64::from_le_bytes(seed), length }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Writes the bytes that start at `offset` into `out`, whatever the content's length.
    pub fn fill(&self, offset: u64, out: &mut [u8]) {
        let (head, body) = out.split_at_mut(bytes_to_alignment(offset).min(out.len()));
        if !head.is_empty() {
            let within = (offset % 8) as usize;
            head.copy_from_slice(&self.word(offset / 8)[within..within + head.len()]);
        }
        let mut index = (offset + head.len() as u64) / 8;
        let mut words = body.chunks_exact_mut(8);
        for word in words.by_ref() {
            word.copy_from_slice(&self.word(index));
            index += 1;
        }
        let tail = words.into_remainder();
        let length = tail.len();
        tail.copy_from_slice(&self.word(index)[..length]);
    }

    /// Compares `received`, which starts at `offset`, with what it should be.
    ///
    /// # Errors
    /// [`Mismatch::Byte`] with the offset of the first wrong byte; [`Mismatch::Length`] when the bytes go on past the end.
    pub fn check(&self, offset: u64, received: &[u8]) -> Result<(), Mismatch> {
        let end = offset + received.len() as u64;
        if end > self.length {
            return Err(Mismatch::Length { expected: self.length, received: end });
        }
        let mut expected = [0; 4096];
        for (index, piece) in received.chunks(expected.len()).enumerate() {
            let start = offset + (index * expected.len()) as u64;
            self.fill(start, &mut expected[..piece.len()]);
            if piece != &expected[..piece.len()] {
                let within = piece.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                return Err(Mismatch::Byte { offset: start + within as u64 });
            }
        }
        Ok(())
    }

    /// SplitMix64 at position `index`.
    fn word(&self, index: u64) -> [u8; 8] {
        let mut z = self.seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

fn bytes_to_alignment(offset: u64) -> usize {
    ((8 - offset % 8) % 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; content.len() as usize];
        content.fill(0, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn any_piece_equals_the_same_piece_of_the_whole(offset in 0_usize..5000, length in 0_usize..5000) {
            let content = Content::of("a/key", 3, 10_000);
            let mut piece = vec![0; length];
            content.fill(offset as u64, &mut piece);
            prop_assert_eq!(&piece[..], &whole(&content)[offset..offset + length]);
            prop_assert_eq!(content.check(offset as u64, &piece), Ok(()));
        }

        #[test]
        fn one_wrong_byte_is_found_where_it_is(position in 0_usize..10_000, flip in 1_u8..) {
            let content = Content::of("a/key", 3, 10_000);
            let mut bytes = whole(&content);
            bytes[position] ^= flip;
            prop_assert_eq!(content.check(0, &bytes), Err(Mismatch::Byte { offset: position as u64 }));
        }
    }

    #[test]
    fn another_version_and_another_key_have_other_bytes() {
        let bytes = whole(&Content::of("k", 1, 64));
        for other in [Content::of("k", 2, 64), Content::of("l", 1, 64)] {
            assert_eq!(other.check(0, &bytes), Err(Mismatch::Byte { offset: 0 }));
        }
    }

    #[test]
    fn too_many_bytes_are_a_mismatch() {
        let content = Content::of("k", 1, 4);
        assert_eq!(content.check(0, &[0; 5]), Err(Mismatch::Length { expected: 4, received: 5 }));
    }
}
