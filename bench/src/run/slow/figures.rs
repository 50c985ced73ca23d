//! What a run showed of its slow readers, in numbers, in sentences, and as what is wrong with it.

use std::time::Duration;

use serde::Serialize;

use super::blocks::{Kept, kept, late};
use super::watch::SlowCounts;
use crate::fleet::slow::SlowReport;
use crate::run::report::grouped;

/// What a connection that never catches up costs while it is blocked, beyond what it costs open and idle, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemoryPerDoomed {
    /// Anonymous memory of the server.
    pub user_bytes: f64,
    /// Pages of TCP's queues, both ends (`mem` in /proc/net/sockstat). The kernel counts them in portions of a megabyte a core
    /// (`net.core.mem_pcpu_rsv`): of a few connections this tells nothing, of a thousand it is good to 2 KB.
    pub tcp_bytes: f64,
    /// The kernel's objects, both ends (`Slab` in /proc/meminfo): buffers' own bytes are here and in `tcp_bytes`, so the two
    /// do not add up.
    pub slab_bytes: f64,
}

/// The times that figures are made from, CLOCK_MONOTONIC, ns.
#[derive(Clone, Debug, Default)]
pub struct SlowTimes {
    /// First blocks, ascending, as far as they are known.
    pub blocks_ns: Vec<u64>,
    /// Resets and closes, ascending.
    pub gone_ns: Vec<u64>,
    /// The window.
    pub window_ns: (u64, u64),
    /// When the fleet was asked last.
    pub now_ns: u64,
    /// How long after its first block a connection may be there.
    pub allowed: Duration,
}

/// What a run showed of its slow readers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SlowFigures {
    /// Connections from which nothing was read, and how many of them are gone.
    pub stalled: u32,
    /// See `stalled`.
    pub stalled_gone: u32,
    /// Connections that read a byte now and then, and how many of them are gone.
    pub one_byte: u32,
    /// See `one_byte`.
    pub one_byte_gone: u32,
    /// Of both, those that were blocked for good.
    pub blocked: u32,
    /// How long after its first block one may be there, seconds.
    pub allowed_s: f64,
    /// How long they were.
    pub kept: Option<Kept>,
    /// Those that were there for longer.
    pub late: u32,
    /// Of both, blocked before the window began.
    pub blocked_before_window: u32,
    /// Of both, gone after it ended, or not at all.
    pub gone_after_window: u32,
    /// What each costs while it is blocked.
    pub memory: Option<MemoryPerDoomed>,
    /// Connections that stopped and resumed, and how many of them are there at the end.
    pub pausing: u32,
    /// See `pausing`.
    pub pausing_open: u32,
    /// How often one resumed.
    pub resumes: u64,
    /// How often one was told in one event what the others were told in several.
    pub conflations: u64,
    /// How often its book was compared right behind that.
    pub conflations_compared: u64,
    /// Comparisons of books in all.
    pub books_compared: u64,
    /// Those that found a difference.
    pub books_different: u64,
    /// Whether the streams have books at all.
    pub tells_depth: bool,
    /// Conflations that the engine counted, of whomever.
    pub conflations_of_engine: Option<u64>,
    /// Data frames that slow readers received.
    pub frames: u64,
}

impl SlowFigures {
    /// From what was seen. `engine` is how many conflations the engine counted, and whether the streams have books.
    pub fn new(
        counts: SlowCounts,
        seen: &SlowReport,
        times: &SlowTimes,
        memory: Option<MemoryPerDoomed>,
        engine: (Option<u64>, bool),
    ) -> SlowFigures {
        let (begun_ns, ended_ns) = times.window_ns;
        let doomed = counts.doomed() as usize;
        let before = |all: &[u64], ns: u64| all.partition_point(|&at| at <= ns);
        SlowFigures {
            stalled: counts.stalled,
            stalled_gone: seen.stalled_gone_us.len() as u32,
            one_byte: counts.one_byte,
            one_byte_gone: seen.one_byte_gone_us.len() as u32,
            blocked: times.blocks_ns.len() as u32,
            allowed_s: times.allowed.as_secs_f64(),
            kept: kept(&times.blocks_ns, &times.gone_ns),
            late: late(&times.blocks_ns, &times.gone_ns, times.allowed, times.now_ns) as u32,
            blocked_before_window: before(&times.blocks_ns, begun_ns) as u32,
            gone_after_window: doomed.saturating_sub(before(&times.gone_ns, ended_ns)) as u32,
            memory,
            pausing: counts.pausing,
            pausing_open: seen.pausing,
            resumes: seen.resumes,
            conflations: seen.conflations,
            conflations_compared: seen.conflations_compared,
            books_compared: seen.books_compared,
            books_different: seen.books_different,
            tells_depth: engine.1,
            conflations_of_engine: engine.0,
            frames: seen.frames,
        }
    }

    /// For people, a sentence each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let number = |number: u64| grouped(number as f64, 0);
        for (what, count, gone) in [
            ("stalled", self.stalled, self.stalled_gone),
            ("one byte now and then", self.one_byte, self.one_byte_gone),
        ] {
            if count > 0 {
                lines.push(format!(
                    "{what}: {}, gone {}",
                    number(count.into()),
                    number(gone.into())
                ));
            }
        }
        if let Some(kept) = &self.kept {
            lines.push(format!(
                "gone after first block (of {}, taken in order): p50 {:.2} s, p99 {:.2} s, max {:.2} s; in any order at most \
                 {:.2} s; allowed {:.1} s",
                number(kept.count as u64),
                kept.p50_s,
                kept.p99_s,
                kept.max_s,
                kept.at_most_s,
                self.allowed_s
            ));
        }
        if let Some(memory) = &self.memory {
            lines.push(format!(
                "memory of each while it is blocked, beyond an idle one: server {} B; kernel: TCP's queues {} B, slab {} B",
                grouped(memory.user_bytes, 0),
                grouped(memory.tcp_bytes, 0),
                grouped(memory.slab_bytes, 0)
            ));
        }
        if self.pausing > 0 {
            lines.push(format!(
                "stop and resume: {}, open {}, resumed {} times",
                number(self.pausing.into()),
                number(self.pausing_open.into()),
                number(self.resumes)
            ));
            if self.tells_depth {
                lines.push(format!(
                    "their books: told several events in one {} times (the engine counts {} conflations), {} of these compared \
                     right behind; {} comparisons in all, {} different",
                    number(self.conflations),
                    self.conflations_of_engine.map_or_else(|| "?".into(), number),
                    number(self.conflations_compared),
                    number(self.books_compared),
                    number(self.books_different)
                ));
            }
        }
        lines
    }

    /// What is wrong.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.late > 0 {
            faults.push(format!(
                "{} connections that never catch up were still there {:.1} s after their first block",
                self.late, self.allowed_s
            ));
        }
        if self.books_different > 0 {
            faults.push(format!(
                "{} books of readers that stop and resume differed from those of readers that kept up",
                self.books_different
            ));
        }
        faults
    }

    /// What somebody should know who reads the figures.
    pub fn notes(&self) -> Vec<String> {
        let doomed = self.stalled + self.one_byte;
        let mut notes = Vec::new();
        let mut note = |holds: bool, text: String| {
            if holds {
                notes.push(text);
            }
        };
        let gone = self.stalled_gone + self.one_byte_gone;
        note(
            self.blocked < doomed && gone < doomed,
            format!(
                "{} of the {doomed} that never catch up were seen to be blocked: give a longer --for or a larger --size",
                self.blocked
            ),
        );
        note(
            self.blocked < gone && self.pausing > 0,
            format!(
                "of {} no block can be told from those of --pausing: their times are left out",
                gone.saturating_sub(self.blocked)
            ),
        );
        note(
            self.blocked_before_window > 0,
            format!(
                "{} were blocked before the window began: give a shorter --warm-up to have that in it",
                self.blocked_before_window
            ),
        );
        note(
            self.gone_after_window > 0,
            format!(
                "{} were not gone by the end of the window: give a longer --for to have that in it",
                self.gone_after_window
            ),
        );
        note(
            doomed > 0 && self.memory.is_none(),
            "there was no moment with all of them blocked and none given up: their memory is not known"
                .into(),
        );
        let has_pausing_books = self.pausing > 0 && self.tells_depth;
        note(
            has_pausing_books && self.conflations == 0,
            "no reader that stops and resumes was conflated, so nothing is shown of books after that: let them stop for longer, \
             or give a livelier market"
                .into(),
        );
        note(
            has_pausing_books && self.conflations_compared < self.conflations,
            format!(
                "{} of {} conflated books could be compared: no reader with a book of the stream kept up with the others in \
                 its process",
                self.conflations_compared, self.conflations
            ),
        );
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn figures(gone_s: &[u64], now_s: u64) -> SlowFigures {
        let counts = SlowCounts {
            stalled: 3,
            ..SlowCounts::default()
        };
        let seen = SlowReport {
            stalled_gone_us: gone_s.iter().map(|s| s * 1_000_000).collect(),
            ..SlowReport::default()
        };
        let times = SlowTimes {
            blocks_ns: vec![2 * S, 2 * S, 3 * S],
            gone_ns: gone_s.iter().map(|s| s * S).collect(),
            window_ns: (S, 14 * S),
            now_ns: now_s * S,
            allowed: Duration::from_secs(12),
        };
        SlowFigures::new(counts, &seen, &times, None, (Some(0), false))
    }

    #[test]
    fn those_that_went_in_time_are_no_fault() {
        let figures = figures(&[13, 13, 14], 20);
        assert_eq!(figures.faults(), [""; 0]);
        assert_eq!(
            figures.lines(),
            [
                "stalled: 3, gone 3",
                "gone after first block (of 3, taken in order): p50 11.00 s, p99 11.00 s, max 11.00 s; in any order at most \
                 12.00 s; allowed 12.0 s"
            ]
        );
        assert_eq!((figures.blocked_before_window, figures.gone_after_window), (0, 0));
    }

    #[test]
    fn one_that_is_kept_is_a_fault_once_its_time_is_over() {
        assert_eq!(figures(&[13, 13], 14).faults(), [""; 0], "it has a second left");
        let kept = figures(&[13, 13], 16);
        assert_eq!((kept.late, kept.gone_after_window), (1, 1));
        assert_eq!(
            kept.faults(),
            ["1 connections that never catch up were still there 12.0 s after their first block"]
        );
        assert_eq!(figures(&[13, 15, 16], 16).late, 2, "or that went too late");
    }

    #[test]
    fn a_run_that_shows_nothing_says_so() {
        let figures = SlowFigures {
            pausing: 5,
            tells_depth: true,
            ..SlowFigures::default()
        };
        assert!(figures.notes()[0].starts_with("no reader that stops and resumes was conflated"));
        let figures = SlowFigures {
            conflations: 3,
            conflations_compared: 2,
            books_different: 1,
            ..figures
        };
        assert!(figures.notes()[0].starts_with("2 of 3 conflated books"));
        assert_eq!(figures.faults().len(), 1);
        // Blocks of others hide some of theirs; or there was no time for them.
        let figures = SlowFigures {
            stalled: 4,
            stalled_gone: 4,
            blocked: 3,
            pausing: 5,
            memory: Some(MemoryPerDoomed::default()),
            ..SlowFigures::default()
        };
        assert!(
            figures.notes()[0].starts_with("of 1 no block can be told"),
            "{:?}",
            figures.notes()
        );
        let figures = SlowFigures {
            stalled_gone: 3,
            ..figures
        };
        assert!(figures.notes()[0].starts_with("3 of the 4 that never catch up were seen"));
        // The bench feed has no books.
        let figures = SlowFigures {
            pausing: 5,
            ..SlowFigures::default()
        };
        assert_eq!(figures.notes(), [""; 0]);
    }
}
