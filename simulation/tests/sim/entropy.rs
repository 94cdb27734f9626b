//! Every random seed of the process, from one number: takes the place of libc's `getrandom`.
//!
//! The standard library's hash maps, tokio's choice among ready branches and `rand` all seed themselves from it. tokio's own
//! switch for this needs a compiler flag for the whole workspace.
#![expect(unsafe_code, reason = "a symbol of libc is replaced")]

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// Everything random in this process follows from `seed`.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// As libc's, but not random.
///
/// # Safety
/// `buffer` must have room for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, len: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises the room, and nothing else has it during the call.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, len) };
    for piece in bytes.chunks_mut(8) {
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        piece.copy_from_slice(&mixed(state).to_le_bytes()[..piece.len()]);
    }
    isize::try_from(len).unwrap_or(isize::MAX)
}

/// SplitMix64's output for a state.
pub fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
