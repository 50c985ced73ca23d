//! When a worker takes no more messages: once it has had something to send without a pause for a while, it sends all that first.
//! So what it tells is never much older than a pass over its connections, and what comes meanwhile leaves together.
//!
//! It says that it is behind before it stops taking: what was on its way by then is sent with the rest, rather than lie in the
//! mailbox until all is sent and be the oldest of what is told next. And one that was behind says so again as soon as it has
//! taken something, so that a pass of it tells one event to each, as new as can be, and not what comes in its first part to
//! some and to the others a pass later.

use crate::session::TICK_MS;

/// How long there may be something to send without a pause before the worker counts as behind.
const WITHOUT_PAUSE_TICKS: u32 = 200 / TICK_MS;

/// How long one that is behind still takes messages: those that were on their way.
const STILL_TAKING_TICKS: u32 = 200 / TICK_MS;

/// Whether the worker is behind.
#[derive(Debug, Default)]
pub(super) struct CatchingUp {
    /// Since when there has always been something to send.
    busy_since: Option<u32>,
    /// Since when it has been behind.
    behind_since: Option<u32>,
    /// The last time that there was something to send it lasted long enough to be behind.
    was_behind: bool,
}

impl CatchingUp {
    /// Whether it is behind, so that whoever can should tell it less.
    pub(super) fn is_on(&self) -> bool {
        self.behind_since.is_some()
    }

    /// Whether messages are taken at `now`.
    pub(super) fn takes_messages(&self, now: u32) -> bool {
        self.behind_since
            .is_none_or(|since| now - since < STILL_TAKING_TICKS)
    }

    /// After each turn: whether there is something to send still.
    pub(super) fn note(&mut self, now: u32, has_work: bool) {
        if !has_work {
            if let Some(since) = self.busy_since.take() {
                self.was_behind = now - since >= WITHOUT_PAUSE_TICKS;
            }
            self.behind_since = None;
            return;
        }
        let since = *self.busy_since.get_or_insert(now);
        if self.was_behind || now - since >= WITHOUT_PAUSE_TICKS {
            self.behind_since.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHIND: u32 = WITHOUT_PAUSE_TICKS;

    /// Whether it is behind and whether it takes messages, after a turn at `now`.
    fn after(catching_up: &mut CatchingUp, now: u32, has_work: bool) -> (bool, bool) {
        catching_up.note(now, has_work);
        (catching_up.is_on(), catching_up.takes_messages(now))
    }

    #[test]
    fn one_pause_is_enough_to_be_behind_no_more() {
        let mut it = CatchingUp::default();
        assert_eq!(after(&mut it, 10, true), (false, true));
        assert_eq!(after(&mut it, 10 + BEHIND - 1, true), (false, true));
        assert_eq!(after(&mut it, 10 + BEHIND - 1, false), (false, true), "a pause");
        assert_eq!(after(&mut it, 20, true), (false, true));
        assert_eq!(
            after(&mut it, 20 + BEHIND, true),
            (true, true),
            "what is on its way"
        );
        assert_eq!(
            after(&mut it, 20 + BEHIND + STILL_TAKING_TICKS, true),
            (true, false)
        );
        assert_eq!(after(&mut it, 100, true), (true, false), "until all is sent");
        assert_eq!(after(&mut it, 100, false), (false, true));
    }

    #[test]
    fn who_was_behind_is_so_at_once_until_it_is_quick_again() {
        let mut it = CatchingUp::default();
        after(&mut it, 10, true);
        after(&mut it, 10 + BEHIND, false);
        assert_eq!(after(&mut it, 20, true), (true, true));
        assert_eq!(after(&mut it, 20 + STILL_TAKING_TICKS, true), (true, false));
        after(&mut it, 30, false);
        assert_eq!(after(&mut it, 40, true), (true, true));
        after(&mut it, 40 + BEHIND - 1, false);
        assert_eq!(after(&mut it, 50, true), (false, true), "quick the last time");
        // Turns with nothing to do say nothing of how quick it is.
        after(&mut it, 50 + BEHIND, false);
        after(&mut it, 60, false);
        assert_eq!(after(&mut it, 61, true), (true, true));
    }
}
