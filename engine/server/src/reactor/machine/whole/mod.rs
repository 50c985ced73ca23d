//! The engine without its threads, as a state machine: the real market thread with its books before real workers, on virtual
//! sockets and virtual time, against clients that know the public rules alone. Whatever happens (short writes, stalls,
//! conflation, resuming, ticks of all cadences, feeds that break and heal, new histories, full mailboxes), each client's book
//! is what the exchange's was at its last id, no id is missed or told twice, and nobody is closed without a reason that holds;
//! in a calm behind it everybody still there has the newest of everything.
//!
//! Seeds are as in the test beside it (`DEPTHCAST_SEEDS`).
//!
//! - `steps` what may happen; `exchange` the truth, and what an engine may know of it;
//! - `event` reads a frame, `flow` judges one stream of a connection (`derived` those that are worked out), `client` all of them;
//! - `world` turns the market thread, `turn` a worker; `calm` lets all come to rest and looks at what everybody has.

mod calm;
mod client;
mod derived;
mod event;
mod exchange;
mod flow;
mod steps;
mod turn;
mod world;

use std::cell::RefCell;

use depthcast_wire::target::LagPolicy;

use super::seeds::{for_each_seed, seeds};
use super::{Checked, PATIENT, SESSION};
use crate::fanout::FanoutLimits;
use crate::session::SessionLimits;
use steps::{Case, case};
use world::World;

use super::{ROOMY_BUFFER_BYTES, Rules};

/// Seeds of each profile, unless told otherwise.
const SEEDS: u64 = 1500;

/// What has happened in all cases, so that a run which never came to something is seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Differences by cadence.
    diffs: [u64; 8],
    snapshots: u64,
    tops: u64,
    bests: u64,
    trades: u64,
    aggregates: u64,
    /// Seconds with and without trades.
    seconds: u64,
    empty_seconds: u64,
    checksums: u64,
    resumed_by_diff: u64,
    resumed_by_snapshot: u64,
    conflated: u64,
    /// Closed as slow consumers: by the age of their lag, by bytes, by the count of conflations, for want of history.
    by_age: u64,
    by_bytes: u64,
    by_count: u64,
    by_history: u64,
    /// Closed with their history, and at the end of their life.
    epochs: u64,
    lives: u64,
    breaks: u64,
    healed: u64,
    gaps: u64,
    /// Events that a worker was told of later, in fewer, being behind.
    merged: u64,
    /// Turns at whose end a mailbox was full.
    full: u64,
    calms: u64,
}

impl World {
    fn run(&mut self, case: &Case) -> Checked {
        for (n, step) in case.steps.iter().enumerate() {
            self.step(step)
                .map_err(|what| format!("step {n}, {step:?}: {what}"))?;
        }
        self.calm(0).map_err(|what| format!("at the end, {what}"))?;
        let totals = self.counters.totals();
        self.seen.conflated += totals.conflated_for_age + totals.conflated_for_bytes;
        self.seen.gaps += totals.feed_gaps;
        self.seen.merged += totals.merged;
        Ok(())
    }
}

fn run(rules: &Rules) -> Seen {
    let seen = RefCell::new(Seen::default());
    for_each_seed(SEEDS, &case(), &format!("{rules:?}"), |case| {
        let mut world = World::new(rules, case, *seen.borrow());
        world.run(case)?;
        *seen.borrow_mut() = world.seen;
        Ok(())
    });
    let seen = seen.into_inner();
    println!("{seen:?}");
    seen
}

/// What a run of all seeds must have come to.
fn assert_came(came: &[(&str, u64)]) {
    if seeds(SEEDS).count() >= SEEDS as usize {
        for (what, came) in came {
            assert!(*came > 0, "no {what}");
        }
    }
}

fn always(seen: &Seen) -> [(&'static str, u64); 17] {
    [
        (
            "differences of some cadence",
            seen.diffs.into_iter().min().unwrap_or(0),
        ),
        ("snapshots", seen.snapshots),
        ("tops", seen.tops),
        ("bests", seen.bests),
        ("trades", seen.trades),
        ("aggregate trades", seen.aggregates),
        ("seconds with trades", seen.seconds),
        ("seconds without a trade", seen.empty_seconds),
        ("checksums", seen.checksums),
        ("resumed by a difference", seen.resumed_by_diff),
        ("resumed by a snapshot", seen.resumed_by_snapshot),
        ("closed with their history", seen.epochs),
        ("broken feeds", seen.breaks),
        ("healed books", seen.healed),
        ("gaps", seen.gaps),
        ("events merged for a worker that was behind", seen.merged),
        ("full mailboxes", seen.full),
    ]
}

#[test]
fn under_small_limits_every_book_is_right_or_closed_with_a_reason() {
    let seen = run(&Rules {
        session: SessionLimits {
            handshake_ticks: 1 << 20,
            pong_ticks: 1 << 20,
            messages_per_second: 0,
            streams_max: 64,
            lag_ticks: 30,
            conflate_ticks: 6,
            life_ticks: 800,
            lag_policy: LagPolicy::Conflate,
            ..SESSION
        },
        fanout: FanoutLimits {
            retention_bytes: 1500,
            prefix_bytes_max: 1 << 20,
            lossless: false,
        },
        buffer_bytes_max: ROOMY_BUFFER_BYTES,
    });
    assert_came(&always(&seen));
    assert_came(&[
        ("conflations", seen.conflated),
        ("closed for the age of their lag", seen.by_age),
        ("closed for bytes", seen.by_bytes),
        ("closed for too many conflations", seen.by_count),
        ("ends of life", seen.lives),
    ]);
}

#[test]
fn under_roomy_limits_every_book_is_right_and_nobody_is_closed_for_lagging() {
    let seen = run(&Rules {
        session: SessionLimits {
            ping_ticks: 1 << 20,
            streams_max: 64,
            ..PATIENT
        },
        fanout: FanoutLimits {
            retention_bytes: 1 << 30,
            prefix_bytes_max: 1 << 30,
            lossless: false,
        },
        buffer_bytes_max: ROOMY_BUFFER_BYTES,
    });
    assert_came(&always(&seen));
    let slow = (
        seen.conflated,
        seen.by_age,
        seen.by_bytes,
        seen.by_count,
        seen.by_history,
    );
    assert_eq!(slow, (0, 0, 0, 0, 0));
}
