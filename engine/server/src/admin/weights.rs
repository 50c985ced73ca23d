//! How much each address has asked for: a bounded table of weights over fixed minutes, as the exchange counts them.
//!
//! Past the limit a request is refused (429) until the minute is over. Who goes on all the same is banned (418): for two
//! minutes at first, twice as long each further time, three days at most. IPv6 addresses count by their /64.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::reactor::attempts::address_key;

/// Addresses that are counted at a time: about 4 MB. Past it, addresses that are not in the table yet are served uncounted:
/// whoever can come from so many is not stopped by a limit for each.
pub const ADDRESSES_MAX: usize = 65_536;

/// Microseconds of the window over which weight is counted.
const MINUTE_US: i64 = 60_000_000;

const SECOND_US: i64 = 1_000_000;

/// Refusals in one minute that a client may not have heard of yet, having sent its requests together; the next is a ban.
const REFUSALS_MAX: u32 = 10;

/// The first ban of an address.
const BAN_LEAST_US: i64 = 2 * MINUTE_US;

/// The longest ban; and how long after its end an offence is remembered.
const BAN_MOST_US: i64 = 3 * 24 * 60 * MINUTE_US;

/// How much an address may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightLimits {
    /// In one minute; 0 for any weight.
    pub weight_per_minute: u32,
    /// Whether the addresses of this host are limited as well.
    pub loopback: bool,
}

impl WeightLimits {
    /// Whether requests of this peer may be refused.
    pub fn apply_to(&self, peer: IpAddr) -> bool {
        self.weight_per_minute > 0 && (self.loopback || !peer.to_canonical().is_loopback())
    }
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered.
    Admitted,
    /// It is one too many.
    TooMuch {
        /// Seconds to the end of the minute, at least one.
        retry_after_s: u64,
    },
    /// Its address gets nothing.
    Banned {
        /// Up to this time, milliseconds since the Unix epoch.
        until_ms: i64,
        /// The seconds to it, at least one.
        retry_after_s: u64,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Which minute since 1970 the two below are of.
    minute: i64,
    weight: u32,
    refusals: u32,
    /// Bans that are not forgotten.
    bans: u32,
    /// When the last of them ends, or ended.
    banned_until_us: i64,
}

/// The weights of all addresses.
#[derive(Debug)]
pub(super) struct Weights {
    limits: WeightLimits,
    addresses_max: usize,
    addresses: HashMap<u64, Usage>,
    /// The minute in which what is over was last looked for: once a minute, since that looks at all.
    tidied_in: Option<i64>,
    /// The minute in which, for want of room, bans that are over were last forgotten.
    forgot_bans_in: Option<i64>,
}

impl Weights {
    /// An empty table of at most [`ADDRESSES_MAX`] addresses.
    pub(super) fn new(limits: WeightLimits) -> Weights {
        Weights::bounded(limits, ADDRESSES_MAX)
    }

    fn bounded(limits: WeightLimits, addresses_max: usize) -> Weights {
        Weights {
            limits,
            addresses_max,
            addresses: HashMap::new(),
            tidied_in: None,
            forgot_bans_in: None,
        }
    }

    /// Counts a request at `now_us` (since the Unix epoch); gives the weight that its address has used in this minute, this
    /// request included.
    pub(super) fn charge(&mut self, peer: IpAddr, weight: u32, now_us: i64) -> (u32, Verdict) {
        let minute = now_us.div_euclid(MINUTE_US);
        let key = address_key(peer);
        if self.addresses.len() >= self.addresses_max && !self.addresses.contains_key(&key) {
            self.tidy(minute, now_us);
            if self.addresses.len() >= self.addresses_max {
                self.forget_old_bans(minute, now_us);
            }
            if self.addresses.len() >= self.addresses_max {
                return (weight, Verdict::Admitted);
            }
        }
        let usage = self.addresses.entry(key).or_default();
        // A clock that was set back goes on in the minute it had.
        if minute > usage.minute {
            usage.minute = minute;
            usage.weight = 0;
            usage.refusals = 0;
        }
        let is_limited = self.limits.apply_to(peer);
        if is_limited && now_us < usage.banned_until_us {
            return (usage.weight, usage.banned(now_us));
        }
        usage.weight = usage.weight.saturating_add(weight);
        let verdict = if is_limited && usage.weight > self.limits.weight_per_minute {
            usage.refuse(now_us)
        } else {
            Verdict::Admitted
        };
        (usage.weight, verdict)
    }

    /// Forgets also addresses that were banned lately, and are not now: those who come are to be counted rather than those who
    /// came. Looks at all, once in a minute.
    fn forget_old_bans(&mut self, minute: i64, now_us: i64) {
        if self.forgot_bans_in.replace(minute) != Some(minute) {
            self.addresses
                .retain(|_, usage| usage.minute >= minute || now_us < usage.banned_until_us);
        }
    }

    /// Forgets addresses whose minute is over and that are not banned, nor were lately.
    fn tidy(&mut self, minute: i64, now_us: i64) {
        if self.tidied_in.replace(minute) != Some(minute) {
            self.addresses
                .retain(|_, usage| usage.minute >= minute || usage.remembers_bans(now_us));
        }
    }
}

impl Usage {
    fn remembers_bans(&self, now_us: i64) -> bool {
        self.bans > 0 && now_us < self.banned_until_us.saturating_add(BAN_MOST_US)
    }

    fn refuse(&mut self, now_us: i64) -> Verdict {
        self.refusals += 1;
        if self.refusals <= REFUSALS_MAX {
            let left_us = (self.minute + 1) * MINUTE_US - now_us;
            return Verdict::TooMuch {
                retry_after_s: seconds(left_us),
            };
        }
        if !self.remembers_bans(now_us) {
            self.bans = 0;
        }
        let twice = 1i64.checked_shl(self.bans.min(32)).unwrap_or(i64::MAX);
        self.banned_until_us = now_us + BAN_LEAST_US.saturating_mul(twice).min(BAN_MOST_US);
        self.bans += 1;
        // The minute in which a ban ends may be the one in which it began, where clocks were set.
        self.refusals = 0;
        self.banned(now_us)
    }

    fn banned(&self, now_us: i64) -> Verdict {
        Verdict::Banned {
            until_ms: self.banned_until_us.div_euclid(1000),
            retry_after_s: seconds(self.banned_until_us - now_us),
        }
    }
}

/// The whole seconds that are sure to be over by then.
fn seconds(us: i64) -> u64 {
    u64::try_from((us + SECOND_US - 1).div_euclid(SECOND_US))
        .unwrap_or(1)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const LIMITS: WeightLimits = WeightLimits {
        weight_per_minute: 100,
        loopback: false,
    };

    /// Ten seconds into a minute.
    const NOW_US: i64 = 1_700_000_040_000_000 + 10 * SECOND_US;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn too_much(retry_after_s: u64) -> Verdict {
        Verdict::TooMuch { retry_after_s }
    }

    #[test]
    fn a_minute_has_its_weight_and_the_next_begins_anew() {
        assert_eq!(NOW_US.rem_euclid(MINUTE_US), 10 * SECOND_US);
        let mut weights = Weights::new(LIMITS);
        let peer = ip("192.0.2.1");
        assert_eq!(weights.charge(peer, 60, NOW_US), (60, Verdict::Admitted));
        assert_eq!(weights.charge(peer, 40, NOW_US), (100, Verdict::Admitted));
        assert_eq!(weights.charge(peer, 1, NOW_US), (101, too_much(50)));
        assert_eq!(weights.charge(ip("192.0.2.2"), 1, NOW_US), (1, Verdict::Admitted));
        assert_eq!(
            weights.charge(peer, 5, NOW_US + 49 * SECOND_US + 1),
            (106, too_much(1))
        );
        assert_eq!(
            weights.charge(peer, 5, NOW_US + 50 * SECOND_US),
            (5, Verdict::Admitted)
        );
        // A clock that was set back.
        assert_eq!(weights.charge(peer, 5, NOW_US), (10, Verdict::Admitted));
    }

    #[test]
    fn who_goes_on_is_banned_for_longer_each_time() {
        let mut weights = Weights::new(LIMITS);
        let peer = ip("192.0.2.1");
        let mut now_us = NOW_US;
        let mut minutes = Vec::new();
        for _ in 0..13 {
            assert_eq!(weights.charge(peer, 100, now_us).1, Verdict::Admitted);
            for _ in 0..REFUSALS_MAX {
                let (_, verdict) = weights.charge(peer, 5, now_us);
                assert!(matches!(verdict, Verdict::TooMuch { .. }), "{verdict:?}");
            }
            let (
                _,
                Verdict::Banned {
                    until_ms,
                    retry_after_s,
                },
            ) = weights.charge(peer, 5, now_us)
            else {
                panic!("no ban")
            };
            assert_eq!(until_ms * 1000, now_us + retry_after_s as i64 * SECOND_US);
            minutes.push(retry_after_s / 60);
            // To the very end, and it is not prolonged.
            let (_, verdict) = weights.charge(peer, 5, until_ms * 1000 - 1);
            assert_eq!(
                verdict,
                Verdict::Banned {
                    until_ms,
                    retry_after_s: 1
                }
            );
            now_us = until_ms * 1000;
        }
        assert_eq!(
            minutes,
            [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4320]
        );
        // Three days after the last it is forgotten.
        now_us += BAN_MOST_US;
        for _ in 0..=REFUSALS_MAX {
            weights.charge(peer, 101, now_us);
        }
        let (_, verdict) = weights.charge(peer, 1, now_us);
        assert!(
            matches!(
                verdict,
                Verdict::Banned {
                    retry_after_s: 120,
                    ..
                }
            ),
            "{verdict:?}"
        );
    }

    #[test]
    fn loopback_is_counted_and_not_limited_unless_it_is() {
        for (limits, is_limited) in [
            (LIMITS, false),
            (
                WeightLimits {
                    loopback: true,
                    ..LIMITS
                },
                true,
            ),
            (
                WeightLimits {
                    weight_per_minute: 0,
                    loopback: true,
                },
                false,
            ),
        ] {
            for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                let mut weights = Weights::new(limits);
                let (used, verdict) = weights.charge(ip(own), 250, NOW_US);
                assert_eq!(used, 250);
                assert_eq!(verdict != Verdict::Admitted, is_limited, "{limits:?} {own}");
            }
        }
    }

    #[test]
    fn a_full_table_forgets_what_is_over_and_else_serves() {
        let mut weights = Weights::bounded(LIMITS, 2);
        let peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(ip);
        // The first is banned for longer than a minute.
        for _ in 0..=REFUSALS_MAX {
            weights.charge(peers[0], 101, NOW_US);
        }
        weights.charge(peers[1], 1, NOW_US);
        for _ in 0..3 {
            assert_eq!(weights.charge(peers[2], 101, NOW_US), (101, Verdict::Admitted));
        }
        let later_us = NOW_US + MINUTE_US;
        assert_eq!(weights.charge(peers[2], 90, later_us), (90, Verdict::Admitted));
        assert_eq!(weights.charge(peers[1], 101, later_us), (101, Verdict::Admitted));
        assert!(matches!(
            weights.charge(peers[0], 1, later_us).1,
            Verdict::Banned { .. }
        ));
        assert_eq!(weights.addresses.len(), 2);
    }

    proptest! {
        /// Against a list of what was admitted: no address gets more than its weight in a minute, and none is refused that has
        /// not asked for more.
        #[test]
        fn no_minute_of_an_address_has_more_than_its_weight(
            steps in proptest::collection::vec((0u8..4, 1u32..60, 0i64..20), 0..300),
            addresses_max in 1usize..6,
        ) {
            let mut weights = Weights::bounded(LIMITS, addresses_max);
            let mut asked: HashMap<(IpAddr, i64), (u32, u32)> = HashMap::new();
            let mut now_us = NOW_US;
            for (host, weight, seconds) in steps {
                now_us += seconds * SECOND_US;
                let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
                let (all, admitted) = asked.entry((peer, now_us.div_euclid(MINUTE_US))).or_default();
                *all += weight;
                match weights.charge(peer, weight, now_us).1 {
                    Verdict::Admitted => {
                        *admitted += weight;
                        // There are four addresses.
                        prop_assert!(*admitted <= LIMITS.weight_per_minute || addresses_max < 4);
                    }
                    Verdict::TooMuch { retry_after_s } => {
                        prop_assert!(*all > LIMITS.weight_per_minute);
                        prop_assert!((1..=60).contains(&retry_after_s));
                    }
                    Verdict::Banned { .. } => prop_assert!(weights.addresses.len() <= addresses_max),
                }
                prop_assert!(weights.addresses.len() <= addresses_max);
            }
        }
    }
}
