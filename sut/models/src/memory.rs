//! Memory between layers.

/// Lets the allocator keep freed memory. By default glibc gives blocks of the size of a layer's output back to the system
/// and gets them again, zeroed page by page, for the next layer: on a busy machine that is a quarter of a frame's time.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGEST: libc::c_int = 512 << 20;
        // SAFETY: mallopt only sets parameters of the allocator, under its own lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGEST);
        }
    }
}
