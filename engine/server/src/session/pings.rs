//! When a subscriber is pinged, and given up for its silence, or for a message that it does not end.
//!
//! Each connection has a moment of its own in the period of the pings, by its key: so those who came together are not pinged
//! together. Keys are dense, and so each tick has as many pings as any other, or one more: with a period of 200 ticks and
//! 120,000 connections of a worker 600, however they came.

use depthcast_wire::ws::CloseCode;

use super::conversation::PING;
use super::{EndCause, Host, MaybeTick, Next, Session, Turn, seconds};

/// The first moment after `now` of the connection with this key: within a period. The first keys have the last moments, so that
/// an engine that was just started pings nobody at once.
pub(super) fn next_ping(now: u32, key: u32, ping_ticks: u32) -> u32 {
    let period = ping_ticks.max(1);
    let moment = period - 1 - key % period;
    let ahead = (moment + period - now % period) % period;
    now + if ahead == 0 { period } else { ahead }
}

impl Session {
    /// A ping is due, or a pong that has not come. What has come of a message may be as old as a pong may be late, and up to
    /// a ping's period more, since it is looked at only here.
    pub(super) fn on_ping_due(&mut self, turn: &mut Turn<'_, impl Host>) -> Next {
        let (now, limits) = (turn.now, turn.limits);
        let since = self.unanswered_since.get().unwrap_or(now);
        if now - since >= limits.pong_ticks {
            let reason = format!("no pong in {}", seconds(limits.pong_ticks));
            return self.give_up(CloseCode::POLICY_VIOLATION, &reason, EndCause::PongTimeout, turn);
        }
        let message_since = self.partial.as_ref().map_or(now, |partial| partial.began());
        if now - message_since >= limits.pong_ticks {
            let reason = format!("a message was not whole in {}", seconds(limits.pong_ticks));
            return self.give_up(CloseCode::POLICY_VIOLATION, &reason, EndCause::Protocol, turn);
        }
        self.unanswered_since = MaybeTick::at(since);
        let pong_due = since + limits.pong_ticks;
        self.due = next_ping(now, turn.host.key(), limits.ping_ticks).min(pong_due);
        self.rate.on_ping_sent();
        self.send(PING, turn)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_period_has_one_ping_of_each(now in 0u32..2_000_000, key in any::<u32>(), period in 1u32..2000) {
            let first = next_ping(now, key, period);
            prop_assert!(first > now && first - now <= period);
            prop_assert_eq!(next_ping(first, key, period), first + period);
            prop_assert_eq!(next_ping(first - 1, key, period), first);
            // One that is late does not move those that come.
            prop_assert_eq!(next_ping(first + period / 2, key, period), first + period);
        }
    }

    #[test]
    fn those_who_come_in_one_second_are_pinged_evenly() {
        const KEYS: u32 = 18_000;
        const PERIOD: u32 = 200;
        let mut pings = [0; PERIOD as usize];
        for key in 0..KEYS {
            let opened = 1_000_003 + key % 10;
            pings[(next_ping(opened, key, PERIOD) % PERIOD) as usize] += 1;
        }
        assert_eq!(pings, [KEYS / PERIOD; PERIOD as usize]);
    }
}
