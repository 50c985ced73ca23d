//! When readers that are slow on purpose have their turn: each has one next moment, and the earliest comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::plan::Duty;
use super::slow::SlowPlan;

const NS_PER_MS: u64 = 1_000_000;

/// What a reader does at its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// It reads one byte.
    OneByte,
    /// It stops reading.
    Stop,
    /// It reads again, beginning with what has come meanwhile.
    Resume,
}

/// The next moments of all slow readers of a process, at most one each.
#[derive(Debug, Default)]
pub struct Pacer {
    plan: SlowPlan,
    next: BinaryHeap<Reverse<(u64, u32, Act)>>,
}

impl Pacer {
    /// For readers of this plan.
    pub fn new(plan: SlowPlan) -> Pacer {
        Pacer {
            plan,
            next: BinaryHeap::new(),
        }
    }

    /// The connection at `place`, of number `number`, is open. Those that stop do so one after the other, not all at once.
    pub fn opened(&mut self, place: u32, number: u32, duty: Duty, now_ns: u64) {
        let cycle_ms = self.plan.stop_ms + self.plan.read_ms;
        let (act, first_ms) = match duty {
            Duty::OneByte => (Act::OneByte, spread(number, self.plan.one_byte_every_ms)),
            Duty::Pause => (Act::Stop, spread(number, cycle_ms)),
            Duty::Read | Duty::Books | Duty::Stall => return,
        };
        self.put(place, act, now_ns + first_ms * NS_PER_MS);
    }

    /// Who has something to do at `now_ns`, each in its order; its next moment is then put down with [`Pacer::done`].
    pub fn due(&mut self, now_ns: u64) -> Option<(u32, Act)> {
        let &Reverse((due_ns, place, act)) = self.next.peek()?;
        if due_ns > now_ns {
            return None;
        }
        self.next.pop();
        Some((place, act))
    }

    /// The reader at `place` did that at `now_ns` and is still open. One that comes late is not made to hurry.
    pub fn done(&mut self, place: u32, act: Act, now_ns: u64) {
        let (next, wait_ms) = match act {
            Act::OneByte => (Act::OneByte, self.plan.one_byte_every_ms),
            Act::Stop => (Act::Resume, self.plan.stop_ms),
            Act::Resume => (Act::Stop, self.plan.read_ms),
        };
        self.put(place, next, now_ns + u64::from(wait_ms) * NS_PER_MS);
    }

    /// Nanoseconds from `now_ns` to the earliest moment; None where nobody waits for one.
    pub fn wait_ns(&self, now_ns: u64) -> Option<u64> {
        let Reverse((due_ns, ..)) = self.next.peek()?;
        Some(due_ns.saturating_sub(now_ns))
    }

    fn put(&mut self, place: u32, act: Act, due_ns: u64) {
        self.next.push(Reverse((due_ns, place, act)));
    }
}

/// A part of `span` for connection `number`: numbers that follow each other lie far apart (the golden ratio's multiples).
fn spread(number: u32, span: u32) -> u64 {
    let fraction = u64::from(number.wrapping_mul(0x9e37_79b9));
    (fraction * u64::from(span)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer() -> Pacer {
        Pacer::new(SlowPlan {
            one_byte_every_ms: 100,
            stop_ms: 3000,
            read_ms: 2000,
            ..SlowPlan::default()
        })
    }

    #[test]
    fn a_reader_stops_and_resumes_for_as_long_as_it_is_to() {
        let mut pacer = pacer();
        // Number 0 begins its round at once.
        pacer.opened(7, 0, Duty::Pause, 0);
        let mut now_ms = 0;
        let mut acts = Vec::new();
        while acts.len() < 4 {
            if let Some((place, act)) = pacer.due(now_ms * NS_PER_MS) {
                assert_eq!(place, 7);
                acts.push((now_ms, act));
                pacer.done(place, act, now_ms * NS_PER_MS);
            }
            now_ms += 10;
        }
        let expected = [
            (0, Act::Stop),
            (3000, Act::Resume),
            (5000, Act::Stop),
            (8000, Act::Resume),
        ];
        assert_eq!(acts, expected);
    }

    #[test]
    fn the_earliest_is_first_and_who_reads_all_or_nothing_waits_for_nothing() {
        let mut pacer = pacer();
        for (place, duty) in (0..).zip([Duty::Read, Duty::Books, Duty::Stall]) {
            pacer.opened(place, 0, duty, 0);
        }
        assert_eq!((pacer.due(u64::MAX), pacer.wait_ns(0)), (None, None));
        pacer.opened(4, 0, Duty::OneByte, 50);
        pacer.opened(5, 0, Duty::OneByte, 20);
        assert_eq!((pacer.wait_ns(5), pacer.wait_ns(30)), (Some(15), Some(0)));
        assert_eq!(pacer.due(19), None);
        assert_eq!(pacer.due(60), Some((5, Act::OneByte)));
        pacer.done(5, Act::OneByte, 60);
        assert_eq!(pacer.due(60), Some((4, Act::OneByte)));
        assert_eq!(pacer.wait_ns(60), Some(100 * NS_PER_MS));
    }

    #[test]
    fn stops_are_spread_over_the_round() {
        let mut quarters = [0; 4];
        for number in 0..1000 {
            quarters[(spread(number, 5000) / 1250) as usize] += 1;
        }
        assert!(
            quarters.iter().all(|count| (240..=260).contains(count)),
            "{quarters:?}"
        );
    }
}
