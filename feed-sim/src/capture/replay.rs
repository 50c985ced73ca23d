//! Replay: says when each record of a capture is due. It reads no clock: the caller gives a monotonic time.

use depthcast_market::event::MarketEvent;

use super::error::CaptureError;
use super::head::CaptureHead;
use super::reader::{CaptureReader, Record};
use super::url::{AtEnd, CaptureOptions, Speed};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing before this many subscribers are there ([`Replay::note_subscribers`]).
    AwaitSubscribers(u32),
    /// Nothing before this time of the caller's clock, ns.
    Wait(u64),
    /// A record that is due.
    Record(Record),
    /// The capture starts over. Ids go back: what was before is another epoch.
    Rewound {
        /// How many times the capture was played to its end.
        epoch: u64,
    },
    /// Nothing any more.
    End(Finish),
}

/// How a replay ended, which says what is to happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The last record was given; the market stands still, its subscribers stay.
    Hold,
    /// The last record was given; the engine is to end.
    Exit,
    /// The capture could not be read further; the error was given before.
    Failed,
}

/// A capture being replayed.
pub struct Replay {
    reader: CaptureReader,
    speed: Speed,
    start_subscribers: u32,
    at_end: AtEnd,
    state: State,
    /// How many times the capture was played to its end.
    epoch: u64,
}

enum State {
    /// For enough subscribers.
    Awaiting,
    /// The next record of the capture is its first, and is due at the next poll.
    AtFirst,
    /// In the middle, with the next record if it was read already.
    Playing(Pace, Option<Record>),
    /// Past the last record, or stopped; without a pace when no record was ever read.
    Ended(Finish, Option<Pace>),
}

impl Replay {
    /// A replay of `reader` from its first record, as `options` say. Their path is not looked at again.
    pub fn new(reader: CaptureReader, options: &CaptureOptions) -> Replay {
        Replay {
            reader,
            speed: options.speed,
            start_subscribers: options.start_subscribers,
            at_end: options.at_end,
            state: match options.start_subscribers {
                0 => State::AtFirst,
                _ => State::Awaiting,
            },
            epoch: 0,
        }
    }

    /// What the first part of the capture tells.
    pub fn head(&self) -> &CaptureHead {
        self.reader.head()
    }

    /// How many events of partial depth streams this pass went over.
    pub fn partial_depths_passed_over(&self) -> u64 {
        self.reader.partial_depths_passed_over()
    }

    /// Says how many subscribers there are. Once there were enough, their going changes nothing.
    pub fn note_subscribers(&mut self, subscribers: u32) {
        if matches!(self.state, State::Awaiting) && subscribers >= self.start_subscribers {
            self.state = State::AtFirst;
        }
    }

    /// Takes a spent event back, so that a later one uses its memory.
    pub fn recycle(&mut self, event: MarketEvent) {
        self.reader.recycle(event);
    }

    /// What to do at `now_ns`, a time of any clock that never goes back. The first record is due at the first poll
    /// with enough subscribers; a caller that polls late gets what it missed as fast as it polls.
    ///
    /// A capture that cannot be read further is an error once, and ended from then on.
    pub fn poll(&mut self, now_ns: u64) -> Result<Next, CaptureError> {
        let outcome = self.advance(now_ns);
        if outcome.is_err() {
            let pace = match &self.state {
                State::Playing(pace, _) => Some(pace.ended(now_ns)),
                _ => None,
            };
            self.state = State::Ended(Finish::Failed, pace);
        }
        outcome
    }

    /// The recorded time, ns, at `now_ns`: what ticks are driven by where records are far apart. It never passes a
    /// record that is still to be given. `None` before the first record.
    ///
    /// Past the last record it goes on at the same speed (at that of the caller's clock where the speed is `max`), so
    /// that ticks still come and flush what the last records changed.
    pub fn recorded_now_ns(&self, now_ns: u64) -> Option<u64> {
        match &self.state {
            State::Awaiting | State::AtFirst => None,
            State::Playing(pace, None) => Some(pace.reached_ns),
            State::Playing(pace, Some(record)) => Some(match self.speed {
                Speed::Max => pace.reached_ns,
                Speed::Times(times) => pace
                    .recorded_ns(now_ns, times)
                    .clamp(pace.reached_ns, record.at_ns),
            }),
            State::Ended(_, pace) => {
                let times = match self.speed {
                    Speed::Max => 1.0,
                    Speed::Times(times) => times,
                };
                pace.as_ref().map(|pace| pace.recorded_ns(now_ns, times))
            }
        }
    }

    fn advance(&mut self, now_ns: u64) -> Result<Next, CaptureError> {
        match &mut self.state {
            State::Awaiting => Ok(Next::AwaitSubscribers(self.start_subscribers)),
            State::Ended(finish, _) => Ok(Next::End(*finish)),
            State::AtFirst => {
                let Some(record) = self.reader.next_record()? else {
                    // The head had a record, so the file was exchanged for another since.
                    return Err(self.reader.no_records());
                };
                self.state = State::Playing(Pace::starting(now_ns, record.at_ns), None);
                Ok(Next::Record(record))
            }
            State::Playing(pace, pending) => {
                let record = match pending.take() {
                    Some(record) => record,
                    None => match self.reader.next_record()? {
                        Some(record) => record,
                        None => return self.after_last(now_ns),
                    },
                };
                if let Speed::Times(times) = self.speed {
                    let due_ns = pace.due_ns(record.at_ns, times);
                    if now_ns < due_ns {
                        *pending = Some(record);
                        return Ok(Next::Wait(due_ns));
                    }
                }
                pace.reached_ns = record.at_ns;
                Ok(Next::Record(record))
            }
        }
    }

    fn after_last(&mut self, now_ns: u64) -> Result<Next, CaptureError> {
        let finish = match self.at_end {
            AtEnd::Loop => {
                self.reader.rewind()?;
                self.epoch += 1;
                self.state = State::AtFirst;
                return Ok(Next::Rewound { epoch: self.epoch });
            }
            AtEnd::Hold => Finish::Hold,
            AtEnd::Exit => Finish::Exit,
        };
        if let State::Playing(pace, _) = &self.state {
            self.state = State::Ended(finish, Some(pace.ended(now_ns)));
        }
        Ok(Next::End(finish))
    }
}

/// Two points that name one moment on both clocks, and the recorded time reached.
#[derive(Clone, Copy)]
struct Pace {
    /// The caller's clock at `origin_recorded_ns`.
    origin_now_ns: u64,
    origin_recorded_ns: u64,
    /// The time of the last record given; at least `origin_recorded_ns`.
    reached_ns: u64,
}

impl Pace {
    /// A pace at whose start `recorded_ns` is now.
    fn starting(now_ns: u64, recorded_ns: u64) -> Pace {
        Pace {
            origin_now_ns: now_ns,
            origin_recorded_ns: recorded_ns,
            reached_ns: recorded_ns,
        }
    }

    /// The pace after the last record: it goes on from there.
    fn ended(&self, now_ns: u64) -> Pace {
        Pace::starting(now_ns, self.reached_ns)
    }

    /// When the caller's clock reaches `recorded_ns`. Distances are exact to the nanosecond up to 104 days.
    fn due_ns(&self, recorded_ns: u64, times: f64) -> u64 {
        let distance = recorded_ns.saturating_sub(self.origin_recorded_ns) as f64 / times;
        self.origin_now_ns.saturating_add(distance.ceil() as u64)
    }

    /// The recorded time at `now_ns`.
    fn recorded_ns(&self, now_ns: u64, times: f64) -> u64 {
        let distance = now_ns.saturating_sub(self.origin_now_ns) as f64 * times;
        self.origin_recorded_ns.saturating_add(distance as u64)
    }
}
