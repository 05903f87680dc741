//! Checks of the tree itself, run by `cargo test`: see `tests/tidy`.
//!
//! What a compiler or linter does not see: how large files and functions are, habits of the house,
//! and whether the texts agree with the code. Nothing else depends on this crate, and nothing of
//! the program is in it.
