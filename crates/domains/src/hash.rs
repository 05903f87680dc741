//! Hashes of what callers chose, for rows that only have to tell one from another.

/// The first 16 bytes of BLAKE3 over `parts`, each ended by a zero, which no name has.
pub(crate) fn hash_of(parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    first
}

/// The first half of the same.
pub(crate) fn fingerprint_of(parts: &[&str]) -> u64 {
    let hash = hash_of(parts);
    let (first, _) = hash.split_first_chunk::<8>().expect("a hash has 16 bytes");
    u64::from_le_bytes(*first)
}
