//! The clock that processes share: CLOCK_MONOTONIC reads alike in all of them, so that a time taken in one can be
//! compared with a time taken in another.

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;

/// Nanoseconds since the host's start (CLOCK_MONOTONIC).
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // The clock counts from zero at the start of the host, so neither part is ever negative.
    now.tv_sec.unsigned_abs() * NS_PER_S + now.tv_nsec.unsigned_abs()
}

/// Sleeps until [`monotonic_ns`] reads `until_ns`, or until a signal comes.
pub fn sleep_until(until_ns: u64) {
    // An interrupted sleep is no error: who needs the exact time looks at the clock again.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &timespec(until_ns));
}

/// A time or a span of nanoseconds as the kernel takes it.
pub(crate) fn timespec(ns: u64) -> Timespec {
    Timespec {
        // Below 2^35, and below 10^9.
        tv_sec: (ns / NS_PER_S).cast_signed(),
        tv_nsec: (ns % NS_PER_S).cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_when_it_should_and_not_before() {
        let until = monotonic_ns() + 2_000_000;
        sleep_until(until);
        assert!(monotonic_ns() >= until);
        sleep_until(until - 1);
    }
}
