//! Cores: how many there are, staying on one, and telling one what memory is needed next.

/// How many cores this process may use; 1 where the host does not say.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling thread on one core, worker `index` of the cores in turn. Tells whether the host allowed it.
pub fn pin_to_core(index: usize) -> bool {
    let Some(cores) = core_affinity::get_core_ids() else {
        return false;
    };
    match cores.get(index % cores.len().max(1)) {
        Some(core) => core_affinity::set_for_current(*core),
        None => false,
    }
}

/// Bytes that a core fetches at once.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;

/// Tells the core that `value` is needed soon, so that it is in the cache by then: worth it where a system call lies between,
/// which takes longer than memory does. Without effect on the program, and where the core has no such hint.
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let first: *const i8 = std::ptr::from_ref(value).cast();
        for offset in (0..size_of::<T>()).step_by(CACHE_LINE_BYTES) {
            // SAFETY: a hint that reads nothing and never faults, whatever the address; every x86-64 core has it (SSE).
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
