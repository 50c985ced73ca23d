//! Cores: how many there are, staying on one, and sharing one.

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

/// The least urgent that a thread can be, as the kernel counts it.
const NICE_MAX: i32 = 19;

/// How many of `workers` share a core at most, where each is pinned by its index.
pub fn sharers(workers: usize) -> usize {
    let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len().max(1));
    workers.div_ceil(cores)
}

/// Lets the calling thread, one of `sharers` that share a core, have such a part of it that all of them together weigh as much
/// as one thread. Tells whether the host allowed it.
///
/// Without it whatever else runs there has one part of many more: where fourteen workers shared a core with the market thread,
/// that had 5.8 % of it and fell ever further behind the market.
pub fn share_core(sharers: usize) -> bool {
    be_less_urgent(nice_of(sharers))
}

/// Makes the calling thread less urgent by so many steps, each of which takes a fifth of its weight. Tells whether the host
/// allowed it.
pub fn be_less_urgent(nicer: i32) -> bool {
    // Of a thread, not of the process: Linux counts them so, against the letter of POSIX. On top of what it was started with.
    let begun = rustix::process::getpriority_process(None).unwrap_or(0);
    nicer == 0 || rustix::process::setpriority_process(None, (begun + nicer).min(NICE_MAX)).is_ok()
}

/// How nice `sharers` threads are that weigh as much as one: each step takes a fifth of a thread's weight.
fn nice_of(sharers: usize) -> i32 {
    let (mut nice, mut all) = (0, sharers as f64);
    while all > 1.0 && nice < NICE_MAX {
        all *= 0.8;
        nice += 1;
    }
    nice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharers_weigh_about_as_much_as_one() {
        assert_eq!([0, 1, 2, 4, 14, 56].map(nice_of), [0, 0, 4, 7, 12, 19]);
    }

    #[test]
    fn a_thread_that_shares_leaves_the_others_as_they_are() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let sharer = std::thread::spawn(move || {
            assert!(share_core(14));
            nice()
        });
        assert_eq!(sharer.join().unwrap(), (before + 12).min(NICE_MAX));
        assert_eq!(nice(), before);
    }
}
