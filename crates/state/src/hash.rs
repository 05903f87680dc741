//! The state hash: what two replicas compare at a checkpoint.

use evenkeel_log::Hash;

/// BLAKE3 over every row in order of key: key length, key, row length, row (lengths in 32 bits,
/// little-endian). It does not depend on which layer a row is in, nor on how it got there.
#[derive(Default)]
pub(crate) struct StateHasher {
    hasher: blake3::Hasher,
    /// Rows are gathered, since BLAKE3 is slow on small pieces.
    buffer: Vec<u8>,
}

const BUFFER_BYTES: usize = 64 * 1024;

impl StateHasher {
    pub(crate) fn row(&mut self, key: &[u8], row: &[u8]) {
        for part in [key, row] {
            // Rows come out of records, which are far smaller than 4 GiB.
            self.buffer.extend_from_slice(&(part.len() as u32).to_le_bytes());
            self.buffer.extend_from_slice(part);
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    pub(crate) fn finish(mut self) -> Hash {
        self.hasher.update(&self.buffer);
        self.hasher.finalize().into()
    }
}
