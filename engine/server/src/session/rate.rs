//! How fast a peer sends messages: a window of one second, which begins with a message when there is none.
//!
//! A fixed window rather than a sliding one takes eight bytes however high the limit, and is as strict where it counts:
//! more than the limit at once is always too much, and so is more than twice the limit in any second.

use super::TICK_MS;

/// The window.
const WINDOW_TICKS: u32 = 1000 / TICK_MS;

/// What one peer has sent in its window. Every connection has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MessageRate {
    window_began: u32,
    counted: u16,
    /// Pings that we sent and that were not answered yet.
    pongs_due: u16,
}

impl MessageRate {
    /// We sent a ping, which will be answered.
    pub(super) fn on_ping_sent(&mut self) {
        self.pongs_due = self.pongs_due.saturating_add(1);
    }

    /// A pong came. Whether it was still within `limit`, messages a second.
    ///
    /// One that we asked for counts like any message, but is never the one too many, nor does it use up the last place:
    /// a peer that was cut off for a minute answers all our pings at once.
    pub(super) fn on_pong(&mut self, now: u32, limit: u16) -> bool {
        let Some(left) = self.pongs_due.checked_sub(1) else {
            return self.on_message(now, limit);
        };
        self.pongs_due = left;
        self.begin_window(now);
        if self.counted + 1 < limit {
            self.counted += 1;
        }
        true
    }

    /// Another message came. Whether it was still within `limit`, messages a second.
    pub(super) fn on_message(&mut self, now: u32, limit: u16) -> bool {
        self.begin_window(now);
        if self.counted >= limit {
            return false;
        }
        self.counted += 1;
        true
    }

    fn begin_window(&mut self, now: u32) {
        if self.counted == 0 || now - self.window_began >= WINDOW_TICKS {
            self.window_began = now;
            self.counted = 0;
        }
    }
}

const _: () = assert!(size_of::<MessageRate>() == 8);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u16 = 5;

    #[test]
    fn the_sixth_in_a_second_is_one_too_many() {
        let mut rate = MessageRate::default();
        for now in [100, 100, 103, 109, 109] {
            assert!(rate.on_message(now, LIMIT));
        }
        assert!(!rate.on_message(109, LIMIT));
        assert!(rate.on_message(110, LIMIT), "a second after the first");
    }

    #[test]
    fn pongs_nobody_asked_for_count_as_messages() {
        let mut rate = MessageRate::default();
        rate.on_ping_sent();
        assert!((0..5).all(|_| rate.on_pong(7, LIMIT)));
        assert!(!rate.on_pong(7, LIMIT));
    }

    proptest! {
        #[test]
        fn answering_our_pings_alone_is_never_too_much(
            steps in proptest::collection::vec((any::<bool>(), 0u32..12), 0..300),
            limit in 1u16..8,
        ) {
            let (mut rate, mut now, mut due) = (MessageRate::default(), 0, 0);
            for (is_ping, passed) in steps {
                now += passed;
                if is_ping {
                    rate.on_ping_sent();
                    due += 1;
                } else if due > 0 {
                    due -= 1;
                    prop_assert!(rate.on_pong(now, limit));
                }
            }
            prop_assert!(limit == 1 || rate.on_message(now, limit), "and leaves place for a message");
        }

        #[test]
        fn a_peer_that_keeps_to_the_limit_passes_and_one_of_twice_that_does_not(
            limit in 1u16..20,
            begin in 0u32..1000,
        ) {
            let mut rate = MessageRate::default();
            for second in 0..20 {
                for n in 0..u32::from(limit) {
                    let now = begin + second * WINDOW_TICKS + n % WINDOW_TICKS;
                    prop_assert!(rate.on_message(now, limit));
                }
            }
            let mut rate = MessageRate::default();
            let all = (0..=2 * u32::from(limit)).all(|n| rate.on_message(begin + n % WINDOW_TICKS, limit));
            prop_assert!(!all);
        }
    }
}
