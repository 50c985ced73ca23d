//! How many connections each address has opened lately: a bounded table of windows, shared by all workers.
//!
//! A window begins with an address's first attempt and lasts a fixed time. IPv4 addresses count each for itself, IPv6
//! ones by their /64, since a host has all of one to choose from.

use std::collections::HashMap;
use std::net::IpAddr;

/// Addresses whose attempts are counted at a time: about 2 MB. Past it, addresses that are not in the table yet are let
/// in uncounted: whoever can come from so many is not stopped by a limit for each.
pub const ADDRESSES_MAX: usize = 65_536;

/// Bytes of the table when it is full: entries with a byte each that the table looks at first, in a power of two of places
/// of which at most 7 in 8 are used.
pub(super) const BYTES_MAX: usize =
    (ADDRESSES_MAX * 8 / 7).next_power_of_two() * (size_of::<(u64, Window)>() + 1);

/// What IPv4 addresses are counted under begins with this: as a network of IPv6 one of those that are never given to
/// anybody (0000::/8, RFC 4291).
const V4: u64 = 1 << 32;

/// How many connections an address may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// In one window; 0 for any number.
    pub attempts: u32,
    /// How long a window lasts, ticks.
    pub window_ticks: u32,
    /// Whether the addresses of this host count as well.
    pub loopback: bool,
}

impl AttemptLimits {
    /// Whether attempts of this peer are to be counted.
    pub fn apply_to(&self, peer: IpAddr) -> bool {
        self.attempts > 0 && (self.loopback || !peer.to_canonical().is_loopback())
    }
}

/// What is done with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is within the limit.
    Admitted,
    /// It is one too many; the next is admitted in so many ticks, at least one.
    TooMany(u32),
    /// The table is full: it is admitted and not counted.
    Untracked,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: u32,
    attempts: u32,
}

/// The attempts of all addresses that count.
#[derive(Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    addresses_max: usize,
    windows: HashMap<u64, Window>,
    /// The tick at which windows that are over were last looked for: once a tick, since that looks at all.
    tidied_at: Option<u32>,
}

impl Attempts {
    /// An empty table of at most [`ADDRESSES_MAX`] addresses.
    pub fn new(limits: AttemptLimits) -> Attempts {
        Attempts::bounded(limits, ADDRESSES_MAX)
    }

    fn bounded(limits: AttemptLimits, addresses_max: usize) -> Attempts {
        Attempts {
            limits,
            addresses_max,
            windows: HashMap::new(),
            tidied_at: None,
        }
    }

    /// Counts an attempt at tick `now`, of a peer to whom the limits apply.
    pub fn note(&mut self, peer: IpAddr, now: u32) -> Verdict {
        let key = address_key(peer);
        if self.windows.len() >= self.addresses_max && !self.windows.contains_key(&key) {
            self.tidy(now);
            if self.windows.len() >= self.addresses_max {
                return Verdict::Untracked;
            }
        }
        let window = self.windows.entry(key).or_insert(Window {
            began: now,
            attempts: 0,
        });
        // Workers may be a tick apart: what is a little in the past is now.
        let age = now.saturating_sub(window.began);
        if age >= self.limits.window_ticks {
            *window = Window {
                began: now,
                attempts: 0,
            };
        } else if window.attempts >= self.limits.attempts {
            return Verdict::TooMany(self.limits.window_ticks - age);
        }
        window.attempts += 1;
        Verdict::Admitted
    }

    /// Forgets windows that are over.
    fn tidy(&mut self, now: u32) {
        if self.tidied_at.replace(now) != Some(now) {
            let lasts = self.limits.window_ticks;
            self.windows
                .retain(|_, window| now.saturating_sub(window.began) < lasts);
        }
    }
}

/// What an address is counted under, here and by others who count addresses: IPv6 ones by their upper half, the /64.
pub fn address_key(peer: IpAddr) -> u64 {
    match peer.to_canonical() {
        IpAddr::V4(v4) => V4 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LIMITS: AttemptLimits = AttemptLimits {
        attempts: 3,
        window_ticks: 100,
        loopback: false,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_fourth_in_a_window_is_one_too_many_until_it_is_over() {
        let mut attempts = Attempts::new(LIMITS);
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for now in [10, 50, 109] {
            assert_eq!(attempts.note(one, now), Verdict::Admitted);
        }
        assert_eq!(attempts.note(one, 109), Verdict::TooMany(1));
        assert_eq!(attempts.note(other, 109), Verdict::Admitted);
        assert_eq!(attempts.note(one, 110), Verdict::Admitted);
        assert_eq!(
            attempts.note(one, 108),
            Verdict::Admitted,
            "a worker that is behind"
        );
        assert_eq!(attempts.note(one, 111), Verdict::Admitted);
        assert_eq!(attempts.note(one, 112), Verdict::TooMany(98));
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_what_it_is() {
        let mut attempts = Attempts::new(LIMITS);
        for peer in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
            assert_eq!(attempts.note(ip(peer), 0), Verdict::Admitted);
        }
        assert_eq!(attempts.note(ip("2001:db8::3"), 0), Verdict::TooMany(100));
        assert_eq!(attempts.note(ip("2001:db8:0:1::1"), 0), Verdict::Admitted);
        for _ in 0..3 {
            assert_eq!(attempts.note(ip("::ffff:192.0.2.1"), 0), Verdict::Admitted);
        }
        assert_eq!(attempts.note(ip("192.0.2.1"), 0), Verdict::TooMany(100));
        assert_eq!(attempts.note(ip("::"), 0), Verdict::Admitted);
    }

    #[test]
    fn loopback_is_exempt_unless_it_is_not() {
        for own in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            assert!(!LIMITS.apply_to(ip(own)));
            assert!(
                AttemptLimits {
                    loopback: true,
                    ..LIMITS
                }
                .apply_to(ip(own))
            );
        }
        assert!(LIMITS.apply_to(ip("192.0.2.1")));
        let unlimited = AttemptLimits {
            attempts: 0,
            loopback: true,
            ..LIMITS
        };
        assert!(!unlimited.apply_to(ip("192.0.2.1")));
    }

    #[test]
    fn a_full_table_forgets_what_is_over_and_else_lets_in() {
        let mut attempts = Attempts::bounded(LIMITS, 2);
        let peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"].map(ip);
        assert_eq!(attempts.note(peers[0], 0), Verdict::Admitted);
        assert_eq!(attempts.note(peers[1], 50), Verdict::Admitted);
        for _ in 0..5 {
            assert_eq!(attempts.note(peers[2], 99), Verdict::Untracked);
        }
        assert_eq!(attempts.note(peers[2], 100), Verdict::Admitted);
        assert_eq!(attempts.note(peers[3], 100), Verdict::Untracked);
        assert_eq!(attempts.windows.len(), 2);
    }

    proptest! {
        /// Against a list of every admission: in no window are there more than the limit, and nobody is turned away who
        /// has had no full window.
        #[test]
        fn no_window_of_any_address_holds_more_than_the_limit(
            steps in proptest::collection::vec((0u8..6, 0u32..15), 0..300),
            addresses_max in 1usize..8,
        ) {
            let mut attempts = Attempts::bounded(LIMITS, addresses_max);
            let mut admitted: HashMap<IpAddr, Vec<u32>> = HashMap::new();
            let mut now = 0;
            for (host, passed) in steps {
                now += passed;
                let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
                let times = admitted.entry(peer).or_default();
                match attempts.note(peer, now) {
                    Verdict::Admitted => times.push(now),
                    Verdict::TooMany(ticks) => {
                        prop_assert!((1..=LIMITS.window_ticks).contains(&ticks));
                        let full = &times[times.len() - LIMITS.attempts as usize..];
                        prop_assert_eq!(full[0] + LIMITS.window_ticks, now + ticks);
                    }
                    Verdict::Untracked => prop_assert_eq!(attempts.windows.len(), addresses_max),
                }
                prop_assert!(attempts.windows.len() <= addresses_max);
                // Windows do not overlap: twice the limit is the most that two of them hold.
                let lately = times.iter().filter(|&&time| time + LIMITS.window_ticks > now).count();
                prop_assert!(lately <= 2 * LIMITS.attempts as usize);
            }
        }
    }
}
