//! One storm: the engine, those who are there, those who come, and what is looked at before, during and after.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::options::{Since, StormOptions};
use super::results::{self, Seen};
use crate::control::Went;
use crate::crowd::Crowd;
use crate::crowd::findings::Findings;
use crate::crowd::look::{Look, Peaks};
use crate::crowd::order::{self, CrowdOrder};
use crate::probe::process::ProcessSample;
use crate::run::progress::Progress;
use crate::run::{Own, RunError};

/// How long opening all connections may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(120);
/// How long the last may take to join, from the storm's begin on.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take until all who are to resume have an id to resume from.
const POSITION_PATIENCE: Duration = Duration::from_secs(30);
/// What a run may take beyond its times.
const SLACK: Duration = Duration::from_secs(120);
/// How often progress is shown.
const STEP: Duration = Duration::from_millis(100);
/// What progress calls the server.
const SERVER: &str = "engine";

/// Runs a storm and gives its figures.
pub fn run(own: &Own, options: &StormOptions) -> Result<Findings, RunError> {
    options.check()?;
    let progress = Progress::new(1);
    let found = storm(own, options, &progress);
    progress.end();
    found
}

fn storm(own: &Own, options: &StormOptions, progress: &Progress) -> Result<Findings, RunError> {
    let scene = &options.scene;
    let market = scene.market(options.symbols, &options.rate, &options.cadence)?;
    progress.say(SERVER, "starting");
    let engine = scene.start_engine(own, &market, options.connections())?;
    let empty = Look::at(engine.id())?;

    let times = options.warm_up + options.before + options.away + options.over + options.after;
    let patience = OPEN_PATIENCE * 2 + JOIN_PATIENCE + POSITION_PATIENCE + SLACK;
    let lifetime_s = (times + patience).as_secs() as u32;
    let there = scene.order(engine.address(), &market, options.there, lifetime_s);
    let mut those_there = Crowd::start(&own.program, std::slice::from_ref(&there))?;
    open(&mut those_there, "opening, those there", options.there, progress)?;
    let joiners = CrowdOrder {
        first: options.there,
        connections: options.joins,
        role: options.role(),
        books: 0,
        over_us: options.over.as_micros() as u64,
        ..there
    };
    let mut joiners = Crowd::start(&own.program, &order::orders(&joiners, options.joins))?;
    open(&mut joiners, "opening, those to join", options.joins, progress)?;
    wait(options.warm_up, "warming up", progress);
    let mut seen = Seen::default();
    if options.since == Since::Resume {
        seen.positioned = await_positions(&mut joiners, options.joins, progress)?;
    }

    those_there.begin()?;
    let first = Look::at(engine.id())?;
    wait(options.before, "before the storm", progress);
    seen.before = those_there.report()?;
    those_there.begin()?;
    joiners.begin()?;
    let before = Look::at(engine.id())?;
    progress.count(SERVER, "the storm", options.joins.into());
    joiners.go()?;
    let went = watch_storm(&mut joiners, &before, engine.id(), &mut seen.peaks, progress)?;
    let after = Look::at(engine.id())?;
    seen.peaks.see(&after, &before);
    seen.during = those_there.report()?;
    those_there.begin()?;
    wait(options.after, "after the storm", progress);
    seen.after = those_there.report()?;
    seen.joiners = joiners.report()?;
    let last = Look::at(engine.id())?;

    let is_alive = ProcessSample::of(engine.id()).is_ok();
    joiners.end();
    those_there.end();
    let said = engine.end();
    let cores = (scene.server_core, scene.fleet_core);
    seen.calm = before.since(&first, cores)?;
    seen.storm = after.since(&before, cores)?;
    seen.resident_bytes = [&empty, &before, &after, &last].map(|look: &Look| look.engine.resident_bytes);
    let mut findings = results::findings(options, &went, seen);
    if !is_alive {
        findings
            .faults
            .push(format!("the engine ended by itself: {said}"));
    }
    Ok(findings)
}

/// Opens all connections of a crowd.
pub(crate) fn open(crowd: &mut Crowd, what: &str, wanted: u32, progress: &Progress) -> Result<(), RunError> {
    progress.count(SERVER, what, wanted.into());
    let went = crowd.wait(OPEN_PATIENCE, &mut |open| progress.at(open.into()))?;
    if went.is_whole {
        return Ok(());
    }
    Err(crate::fleet::FleetError::NotOpen {
        open: went.count,
        wanted,
        within: OPEN_PATIENCE,
    }
    .into())
}

/// Waits for a time and shows how far it is.
pub(crate) fn wait(time: Duration, what: &str, progress: &Progress) {
    wait_and_look(time, what, progress, &mut || {});
}

/// The same, with a look at something now and then.
pub(crate) fn wait_and_look(time: Duration, what: &str, progress: &Progress, look: &mut dyn FnMut()) {
    progress.count(SERVER, what, time.as_millis() as u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        look();
        sleep(STEP.min(time.saturating_sub(begun.elapsed())));
        progress.at(begun.elapsed().as_millis() as u64);
    }
}

/// Waits until all have had an event, so that they have something to resume from. Gives how many have.
fn await_positions(joiners: &mut Crowd, wanted: u32, progress: &Progress) -> Result<u32, RunError> {
    progress.count(SERVER, "awaiting events", wanted.into());
    let until = Instant::now() + POSITION_PATIENCE;
    loop {
        let positioned = joiners.report()?.report.positioned;
        progress.at(positioned.into());
        if positioned >= wanted || Instant::now() >= until {
            return Ok(positioned);
        }
        sleep(STEP);
    }
}

/// Waits until all have joined, and looks at memory meanwhile.
fn watch_storm(
    joiners: &mut Crowd,
    before: &Look,
    engine: u32,
    peaks: &mut Peaks,
    progress: &Progress,
) -> Result<Went, RunError> {
    let mut failed = None;
    let went = joiners.wait(JOIN_PATIENCE, &mut |joined| {
        progress.at(joined.into());
        match Look::at(engine) {
            Ok(look) => peaks.see(&look, before),
            Err(error) => failed = Some(error),
        }
    })?;
    failed.map_or(Ok(went), |error| Err(error.into()))
}
