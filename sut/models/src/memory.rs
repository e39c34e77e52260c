//! Memory between layers.

/// Lets the allocator keep what layers of a network give up: see [`media::memory::keep_freed`].
pub fn keep_freed() {
    media::memory::keep_freed(512 << 20);
}
