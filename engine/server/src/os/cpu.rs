//! Cores: how many there are, and staying on one.

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
