//! Episodes: what may come and go many times in a second is told to people once when it begins and once when it is over.

/// How long something must not have come for its episode to be over, ticks: 10 s.
const CALM_TICKS: u32 = 10_000 / crate::session::TICK_MS;

/// Whether an episode is on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Episode {
    last: Option<u32>,
}

impl Episode {
    /// It is so now. True when an episode begins by it.
    pub(super) fn note(&mut self, now: u32) -> bool {
        self.last.replace(now).is_none()
    }

    /// True when the episode is over, the first time this is called then.
    pub(super) fn is_over(&mut self, now: u32) -> bool {
        let is_over = self.last.is_some_and(|last| now - last >= CALM_TICKS);
        if is_over {
            self.last = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_begins_once_and_is_over_after_a_calm() {
        let mut episode = Episode::default();
        assert!(!episode.is_over(5));
        assert!(episode.note(5));
        assert!(!episode.note(6) && !episode.note(50));
        assert!(!episode.is_over(50 + CALM_TICKS - 1));
        assert!(episode.is_over(50 + CALM_TICKS));
        assert!(!episode.is_over(50 + CALM_TICKS));
        assert!(episode.note(1000));
    }
}
