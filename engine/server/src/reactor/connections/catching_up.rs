//! When a worker takes no more messages: once it has had something to send without a pause for a while, it sends all that first.
//! So what it tells is never much older than a pass over its connections, and what comes meanwhile leaves together.

use crate::session::TICK_MS;

/// How long there may be something to send without a pause before no more is taken.
const WITHOUT_PAUSE_TICKS: u32 = 200 / TICK_MS;

/// Whether the worker takes no more for now.
#[derive(Debug, Default)]
pub(super) struct CatchingUp {
    /// Since when there has always been something to send.
    busy_since: Option<u32>,
    is_on: bool,
}

impl CatchingUp {
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// After each turn: whether there is something to send still.
    pub(super) fn note(&mut self, now: u32, has_work: bool) {
        if has_work {
            let since = *self.busy_since.get_or_insert(now);
            self.is_on |= now - since >= WITHOUT_PAUSE_TICKS;
        } else {
            *self = CatchingUp::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pause_is_enough_to_take_more() {
        let mut catching_up = CatchingUp::default();
        let mut after = |now, has_work| {
            catching_up.note(now, has_work);
            catching_up.is_on()
        };
        assert!(!after(10, true));
        assert!(!after(10 + WITHOUT_PAUSE_TICKS - 1, true));
        assert!(!after(20, false), "a pause");
        assert!(!after(20, true));
        assert!(after(20 + WITHOUT_PAUSE_TICKS, true));
        assert!(after(100, true), "until all is sent");
        assert!(!after(100, false));
        assert!(!after(100, true));
    }
}
