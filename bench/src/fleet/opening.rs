//! How a fleet process opens its connections: so many at a time, and a clear end where the server does not take them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::connection::OpenFault;

/// Handshakes under way at most, unless told otherwise. Fifty processes together stay within the backlog that a server's kernel keeps for it
/// (4,096 by default): past that it drops connections, and each costs a second or more.
pub const HANDSHAKES_MAX: usize = 64;

/// How long one handshake may take. The kernel tries a lost connect again after 1, 3, 7 and 15 s.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(20);

/// How long all of them may take: a million connections take a minute or two, in all processes together.
pub const OPENING_TIME_MAX: Duration = Duration::from_secs(600);

/// Once one has failed, how long those under way may take to tell how it went.
const AFTER_FAILURE_TIME: Duration = Duration::from_secs(1);

/// Different reasons that are told of. Past it a failure is only counted.
const REASONS_MAX: usize = 4;

/// The state of the opening, in terms of places: 0 up to the number of connections.
#[derive(Debug)]
pub struct Opening {
    connections: u32,
    /// Connects a second; 0 for as many as go.
    per_s: u32,
    /// Handshakes under way at most.
    at_once: usize,
    /// The next one to begin.
    next: u32,
    /// Those begun, in order, with when; done ones leave when they get to the front. At most `at_once` are not done.
    begun: VecDeque<(u32, u64)>,
    /// Handshakes under way.
    in_flight: usize,
    opened: u32,
    failed: u32,
    reasons: BTreeMap<String, u32>,
    /// When the first began, and when the last was opened.
    begun_ns: u64,
    done_ns: u64,
    /// When the first one failed.
    failed_ns: Option<u64>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Begin the connection at this place.
    Begin(u32),
    /// Wait for what is under way.
    Wait,
    /// All are open.
    Done {
        /// When the first began.
        begun_ns: u64,
        /// When the last was open.
        done_ns: u64,
    },
    /// It cannot be done: the reason, for people.
    Failed(String),
}

impl Opening {
    /// For so many connections, from `now_ns` on.
    pub fn new(connections: u32, now_ns: u64) -> Opening {
        Opening {
            connections,
            per_s: 0,
            at_once: HANDSHAKES_MAX,
            next: 0,
            begun: VecDeque::new(),
            in_flight: 0,
            opened: 0,
            failed: 0,
            reasons: BTreeMap::new(),
            begun_ns: now_ns,
            done_ns: now_ns,
            failed_ns: None,
        }
    }

    /// The same with so many handshakes under way at most.
    pub fn with_at_once(self, at_once: u32) -> Opening {
        Opening {
            at_once: at_once as usize,
            ..self
        }
    }

    /// The same with no more than so many connects a second; 0 for as many as go.
    pub fn paced(self, per_s: u32) -> Opening {
        Opening { per_s, ..self }
    }

    /// How many have been opened.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// What to do at `now_ns`. After `Begin` the caller says how that went before it asks again. `is_opening` tells whether
    /// the connection at a place is still on its way.
    pub fn next(&mut self, now_ns: u64, is_opening: impl Fn(u32) -> bool) -> Next {
        if self.opened == self.connections {
            return Next::Done {
                begun_ns: self.begun_ns,
                done_ns: self.done_ns,
            };
        }
        while self
            .begun
            .pop_front_if(|(place, _)| !is_opening(*place))
            .is_some()
        {}
        let passed = |since: u64| Duration::from_nanos(now_ns.saturating_sub(since));
        if let Some(failed_ns) = self.failed_ns {
            let is_over = self.in_flight == 0 || passed(failed_ns) > AFTER_FAILURE_TIME;
            return if is_over {
                Next::Failed(self.failure())
            } else {
                Next::Wait
            };
        }
        let oldest = self.begun.front().map_or(now_ns, |(_, begun_ns)| *begun_ns);
        if passed(oldest) > HANDSHAKE_TIME_MAX || passed(self.begun_ns) > OPENING_TIME_MAX {
            let limit = match passed(oldest) > HANDSHAKE_TIME_MAX {
                true => HANDSHAKE_TIME_MAX,
                false => OPENING_TIME_MAX,
            };
            self.note_failure(&OpenFault::Late(limit.as_secs()), self.in_flight as u32, now_ns);
            return Next::Failed(self.failure());
        }
        let is_due = self.per_s == 0
            || passed(self.begun_ns).as_nanos() * u128::from(self.per_s) / 1_000_000_000
                >= u128::from(self.next);
        if self.next < self.connections && self.in_flight < self.at_once && is_due {
            let place = self.next;
            self.next += 1;
            return Next::Begin(place);
        }
        Next::Wait
    }

    /// The connection at `place` is on its way.
    pub fn began(&mut self, place: u32, now_ns: u64) {
        self.begun.push_back((place, now_ns));
        self.in_flight += 1;
    }

    /// One that was on its way is open.
    pub fn opened_one(&mut self, now_ns: u64) {
        self.in_flight -= 1;
        self.opened += 1;
        self.done_ns = now_ns;
    }

    /// One that was on its way failed.
    pub fn failed_one(&mut self, fault: &OpenFault, now_ns: u64) {
        self.in_flight -= 1;
        self.note_failure(fault, 1, now_ns);
    }

    /// One could not even begin.
    pub fn not_begun(&mut self, fault: &OpenFault, now_ns: u64) {
        self.note_failure(fault, 1, now_ns);
    }

    fn note_failure(&mut self, fault: &OpenFault, count: u32, now_ns: u64) {
        self.failed += count;
        self.failed_ns.get_or_insert(now_ns);
        let reason = fault.to_string();
        if self.reasons.contains_key(&reason) || self.reasons.len() < REASONS_MAX {
            *self.reasons.entry(reason).or_default() += count;
        }
    }

    fn failure(&self) -> String {
        let reasons: Vec<String> = self
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} x {reason}"))
            .collect();
        format!(
            "{} of {} connections did not open ({}); {} were open by then",
            self.failed,
            self.connections,
            reasons.join("; "),
            self.opened
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn begin_all(opening: &mut Opening, now_ns: u64) -> usize {
        let mut begun = 0;
        while let Next::Begin(place) = opening.next(now_ns, |_| true) {
            opening.began(place, now_ns);
            begun += 1;
        }
        begun
    }

    #[test]
    fn so_many_are_under_way_at_a_time() {
        let mut opening = Opening::new(100, 5);
        assert_eq!(begin_all(&mut opening, 5), HANDSHAKES_MAX);
        assert_eq!(opening.next(6, |_| true), Next::Wait);
        for _ in 0..10 {
            opening.opened_one(7);
        }
        assert_eq!(begin_all(&mut opening, 8), 10);
        for now_ns in 10..100 {
            opening.opened_one(now_ns);
            begin_all(&mut opening, now_ns);
        }
        let done = Next::Done {
            begun_ns: 5,
            done_ns: 99,
        };
        assert_eq!(opening.next(1000, |_| false), done);
        assert_eq!(
            Opening::new(0, 3).next(4, |_| false),
            Next::Done {
                begun_ns: 3,
                done_ns: 3
            }
        );
    }

    #[test]
    fn a_pace_is_kept() {
        let mut opening = Opening::new(30, SECOND).paced(10);
        assert_eq!(begin_all(&mut opening, SECOND), 1);
        assert_eq!(begin_all(&mut opening, 3 * SECOND / 2), 5);
        assert_eq!(begin_all(&mut opening, 2 * SECOND), 5);
        assert_eq!(begin_all(&mut opening, 9 * SECOND), 19);
    }

    #[test]
    fn a_failure_ends_it_once_those_under_way_have_told() {
        let mut opening = Opening::new(100, 0);
        begin_all(&mut opening, 0);
        opening.opened_one(1);
        for _ in 0..HANDSHAKES_MAX - 2 {
            opening.failed_one(&OpenFault::Ended, 2);
            assert_eq!(opening.next(2, |_| true), Next::Wait, "no more are begun");
        }
        opening.failed_one(&OpenFault::Connect(std::io::Error::from_raw_os_error(111)), 3);
        let expected = "63 of 100 connections did not open (1 x Connection refused (os error 111); \
                        62 x the server closed the connection instead of answering); 1 were open by then";
        assert_eq!(opening.next(4, |_| false), Next::Failed(expected.into()));
    }

    #[test]
    fn a_failure_does_not_wait_for_ever() {
        let mut opening = Opening::new(3, 0);
        begin_all(&mut opening, 0);
        opening.failed_one(&OpenFault::Ended, 0);
        assert_eq!(opening.next(SECOND, |_| true), Next::Wait);
        assert!(matches!(opening.next(2 * SECOND, |_| true), Next::Failed(_)));
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let mut opening = Opening::new(3, 0);
        begin_all(&mut opening, 0);
        opening.opened_one(SECOND);
        let still = |place: u32| place != 0;
        assert_eq!(opening.next(20 * SECOND, still), Next::Wait);
        let expected = "2 of 3 connections did not open (2 x no answer within 20 s); 1 were open by then";
        assert_eq!(opening.next(21 * SECOND, still), Next::Failed(expected.into()));
    }
}
