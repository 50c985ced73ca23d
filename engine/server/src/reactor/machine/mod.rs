//! A whole worker as a state machine, on virtual sockets and virtual time, against a plain model of each connection:
//! whatever the sequence of publishing, short writes, blocking, requests, pings, timers, rounds and ends, each peer gets a
//! valid stream of bytes with every message that it is owed, whole, in order and exactly once, or is closed with a reason.
//!
//! Each seed is a sequence of steps. `DEPTHCAST_SEEDS=100000` runs seeds 0 to 99,999 of each profile in place of the usual
//! ones, `DEPTHCAST_SEEDS=4711..4712` that one alone: a seed that fails is told with the shortest sequence of steps that
//! proptest finds to fail in the same way, and found again by its number for as long as the steps are drawn as they are.
//!
//! - `steps` what may happen; `socket` a socket without a kernel; `speech` what peers say, and `reader` their own check of
//!   every byte they get; `market` the market thread's part;
//! - `idle` what connections cost, by counted allocations, and what they are lent;
//! - `peer`, `streams` and `owed` the model of one connection; `world` and `turn` all of it together.
//!
//! Here the market thread is a fake that has no books. `whole` has the real one, with whole workers before it.

mod idle;
mod market;
mod owed;
mod peer;
mod reader;
mod seeds;
mod socket;
mod speech;
mod steps;
mod streams;
mod turn;
mod whole;
mod world;

use std::cell::RefCell;

use depthcast_wire::target::LagPolicy;

use crate::fanout::FanoutLimits;
use crate::session::{EndCause, SessionLimits};
use seeds::{for_each_seed, seeds};
use steps::{Case, Step, case};
use world::World;

/// What went wrong.
type Checked<T = ()> = Result<T, String>;

/// Gives an error where the condition does not hold: unlike a panic it costs nothing to be found a thousand times while a
/// sequence is made shorter.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}
use ensure;

/// Seeds of each profile, unless told otherwise.
const SEEDS: u64 = 3000;

/// The bounds under which a worker runs.
#[derive(Clone, Copy, Debug)]
struct Rules {
    session: SessionLimits,
    fanout: FanoutLimits,
    /// Of what has arrived in part.
    buffer_bytes_max: usize,
}

/// Bytes that whatever is said in part never takes.
const ROOMY_BUFFER_BYTES: usize = 64 << 20;

/// What has happened in all cases, so that a run which never came to something is seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    got: u64,
    /// Of which events of the market, and snapshots.
    events: u64,
    turns: u64,
    short_writes: u64,
    overrun: u64,
    /// Given up for what waited for the connection alone.
    too_much: u64,
    /// Not read from while so much waits.
    paused: u64,
    /// Times that somebody had said something in part.
    in_part: u64,
    /// Closed since there was no memory for that.
    no_buffer: u64,
    joined: u64,
    joined_late: u64,
    handed_off: u64,
    ended: [u64; EndCause::ALL.len()],
}

impl World {
    fn run(&mut self, case: &Case) -> Checked {
        self.steps(&case.steps)?;
        if let Some(stop) = &case.stop {
            self.stop(stop.at_once)?;
            self.steps(&stop.then)
                .map_err(|what| format!("behind the engine's end, {what}"))?;
        }
        self.finish().map_err(|what| format!("at the end, {what}"))
    }

    fn steps(&mut self, steps: &[Step]) -> Checked {
        for (n, step) in steps.iter().enumerate() {
            self.step(step)
                .map_err(|what| format!("step {n}, {step:?}: {what}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Checked {
        match *step {
            Step::Connect {
                place,
                ref hello,
                room,
                turned_away,
                hold,
            } => {
                return self.connect(place, hello, room, turned_away, hold);
            }
            Step::Say {
                places,
                ref say,
                cut,
                hold,
            } => self.say(places, say, cut, hold),
            Step::EndOfStream { place } => self.end_of_stream(place),
            Step::Reset { places } => self.reset(places),
            Step::Room { places, bytes } => self.make_room(places, bytes),
            Step::Publish { streams, count, len } => self.market.publish(streams, count, len),
            Step::Market { requests } => return self.market.read(requests),
            Step::Answer { which, is_good } => self.market.answer(which, is_good),
            Step::EndTopic { which } => self.market.end_topic(which),
            Step::Epoch => self.market.begin_epoch(),
            Step::Time { ticks } => self.pass_time(ticks),
            Step::Turn(slices) => {
                self.seen.turns += 1;
                return self.turn(slices);
            }
        }
        Ok(())
    }
}

fn run(rules: &Rules) -> Seen {
    let seen = RefCell::new(Seen::default());
    for_each_seed(SEEDS, &case(), &format!("{rules:?}"), |case| {
        let mut world = World::new(rules);
        world.seen = *seen.borrow();
        world.run(case)?;
        *seen.borrow_mut() = world.seen;
        Ok(())
    });
    seen.into_inner()
}

/// Times of which each comes in some cases.
const SESSION: SessionLimits = SessionLimits {
    handshake_ticks: 15,
    ping_ticks: 12,
    pong_ticks: 30,
    lag_ticks: 20,
    // Conflation changes what is owed: `tests/bad_input/slow.rs` has it.
    conflate_ticks: 1 << 20,
    lag_policy: LagPolicy::Evict,
    close_ticks: 6,
    life_ticks: 45,
    messages_per_second: 12,
    streams_max: 4,
    attempts_per_ip: 300,
    attempts_window_s: 60,
    echo: false,
};

/// Times that never come, but for those of pings and of a Close.
const PATIENT: SessionLimits = SessionLimits {
    handshake_ticks: 1 << 20,
    pong_ticks: 1 << 20,
    lag_ticks: 1 << 20,
    life_ticks: 1 << 20,
    messages_per_second: 0,
    ..SESSION
};

/// What a run of all seeds must have come to: what never came was not tested. `causes` are those of all ends.
fn assert_came(seen: &Seen, causes: &[EndCause], more: &[(&str, u64)]) {
    println!("{seen:?}");
    if seeds(SEEDS).count() < SEEDS as usize {
        return;
    }
    for cause in EndCause::ALL {
        let came = seen.ended[cause.index()];
        assert_eq!(came > 0, causes.contains(&cause), "{came} ends by {cause:?}");
    }
    let always = [
        ("events", seen.events),
        ("short writes", seen.short_writes),
        ("messages in part", seen.in_part),
        ("joins", seen.joined),
        ("joins of a topic that was forgotten meanwhile", seen.joined_late),
        ("requests for the HTTP server", seen.handed_off),
    ];
    for (what, came) in always.iter().chain(more) {
        assert!(*came > 0, "no {what}");
    }
}

/// All causes but these.
fn all_but(never: &[EndCause]) -> Vec<EndCause> {
    let causes = EndCause::ALL.into_iter();
    causes.filter(|cause| !never.contains(cause)).collect()
}

#[test]
fn under_small_limits_everybody_gets_all_or_a_reason() {
    let seen = run(&Rules {
        session: SESSION,
        fanout: FanoutLimits {
            retention_bytes: 900,
            prefix_bytes_max: 1800,
            lossless: false,
        },
        buffer_bytes_max: ROOMY_BUFFER_BYTES,
    });
    let more = [("overruns", seen.overrun), ("full prefixes", seen.too_much)];
    assert_came(&seen, &all_but(&[EndCause::ConflatedTooOften]), &more);
}

#[test]
fn under_roomy_limits_everybody_gets_all() {
    let seen = run(&Rules {
        session: PATIENT,
        fanout: FanoutLimits {
            retention_bytes: 1 << 30,
            prefix_bytes_max: 1 << 30,
            lossless: false,
        },
        buffer_bytes_max: ROOMY_BUFFER_BYTES,
    });
    let causes = [
        EndCause::HandshakeRefused,
        EndCause::Protocol,
        EndCause::Attempts,
        EndCause::NoRoom,
        EndCause::Peer,
        EndCause::Engine,
        EndCause::Overload,
        EndCause::EngineBehind,
    ];
    assert_came(&seen, &causes, &[("pauses", seen.paused)]);
}

#[test]
fn without_losses_nobody_is_given_up_for_bytes() {
    let seen = run(&Rules {
        session: SESSION,
        fanout: FanoutLimits {
            retention_bytes: 900,
            prefix_bytes_max: 1 << 30,
            lossless: true,
        },
        buffer_bytes_max: ROOMY_BUFFER_BYTES,
    });
    let never = [EndCause::ConflatedTooOften, EndCause::TooFarBehind];
    assert_came(&seen, &all_but(&never), &[]);
    assert_eq!((seen.overrun, seen.too_much), (0, 0));
}

#[test]
fn with_memory_for_few_parts_of_messages_all_others_get_all() {
    let seen = run(&Rules {
        session: PATIENT,
        fanout: FanoutLimits {
            retention_bytes: 1 << 30,
            prefix_bytes_max: 1 << 30,
            lossless: false,
        },
        buffer_bytes_max: 1000,
    });
    assert!(
        seeds(SEEDS).count() < SEEDS as usize || seen.no_buffer > 0,
        "{seen:?}"
    );
}
