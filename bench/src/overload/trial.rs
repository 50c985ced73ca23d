//! One overload: what the core can send, those who stay, those who make the load and leave, and the books at the end.

use std::time::Duration;

use super::options::OverloadOptions;
use super::plan::Offer;
use super::results::{self, Seen};
use crate::clock::monotonic_ns;
use crate::crowd::Crowd;
use crate::crowd::findings::Findings;
use crate::crowd::look::Look;
use crate::crowd::order::{self, CrowdOrder, Role};
use crate::crowd::rest;
use crate::probe::process::ProcessSample;
use crate::probe::queues::Queues;
use crate::run::options::{FormatOption, LoadOptions};
use crate::run::progress::Progress;
use crate::run::server::Side;
use crate::run::slow::options::SlowOptions;
use crate::run::trial as fixed;
use crate::run::{Own, RunError};
use crate::storm::trial::{open, wait};

/// What a run may take beyond its times: opening in an overload, closing, REST.
const SLACK: Duration = Duration::from_secs(420);
/// Bytes of a frame of the bare loop: about what a simulated event is in JSON.
const FRAME_BYTES: u32 = 180;
/// Connections of the bare loop where their number follows from what it finds.
const LIMIT_CONNECTIONS: u32 = 10_000;
/// How long the bare loop is measured, and runs before.
const LIMIT_WINDOW: Duration = Duration::from_secs(4);
const LIMIT_WARM_UP: Duration = Duration::from_secs(1);
/// Books asked for by REST in the end. One can be compared where a stream told the same id; at 0ms that is every one.
const REST_BOOKS: u32 = 25;

/// Runs an overload and gives its figures.
pub fn run(own: &Own, options: &OverloadOptions) -> Result<Findings, RunError> {
    options.check()?;
    let progress = Progress::new(1);
    let found = find_and_run(own, options, &progress);
    progress.end();
    found
}

fn find_and_run(own: &Own, options: &OverloadOptions, progress: &Progress) -> Result<Findings, RunError> {
    let is_told = options.connections.is_some() && options.rate.is_some();
    let sends_per_s = match options.sends {
        Some(sends) => Some(f64::from(sends)),
        None if is_told => None,
        None => Some(core_sends_per_s(own, options, progress)?),
    };
    // Where both are told it is of no effect.
    let offer = options.offer(sends_per_s.unwrap_or(1.0))?;
    overload(own, options, &offer, sends_per_s, progress)
}

/// How many sends a second the server's core makes one by one: the bare loop without a pause.
fn core_sends_per_s(own: &Own, options: &OverloadOptions, progress: &Progress) -> Result<f64, RunError> {
    let scene = &options.scene;
    let connections = options
        .connections
        .unwrap_or(LIMIT_CONNECTIONS)
        .min(LIMIT_CONNECTIONS);
    let load = LoadOptions {
        connections,
        rate: 0,
        size: FRAME_BYTES,
        frames: 1,
        streams: 1,
        streams_per_connection: 1,
        format: FormatOption::Bench,
        feed: None,
        names: Vec::new(),
        stalled: 0.0,
        stalled_buffer: 4096,
        slow: SlowOptions::default(),
        books: 0,
        window: LIMIT_WINDOW,
        warm_up: LIMIT_WARM_UP,
        send_buffer: None,
        server_core: scene.server_core,
        fleet_core: scene.fleet_core,
        fleet_pause: scene.fleet_pause,
        seed: scene.seed,
        json: None,
    };
    load.check()?;
    crate::run::check_host(&load)?;
    let side = Side::Limit {
        frames_per_send: None,
    };
    let measured = fixed::run(own, &load, &side, progress)?;
    Ok(measured.sends_per_s())
}

fn overload(
    own: &Own,
    options: &OverloadOptions,
    offer: &Offer,
    sends_per_s: Option<f64>,
    progress: &Progress,
) -> Result<Findings, RunError> {
    let scene = &options.scene;
    let market = scene.market(1, &offer.rate.to_string(), &options.cadence)?;
    progress.say("engine", "starting");
    let engine = scene.start_engine(own, &market, offer.connections)?;
    let times = options.warm_up + options.before + options.window + options.after;
    let lifetime_s = (times + SLACK).as_secs() as u32;
    let stay = scene.order(engine.address(), &market, options.stay, lifetime_s);
    let mut staying = Crowd::start(&own.program, std::slice::from_ref(&stay))?;
    open(&mut staying, "opening, those who stay", options.stay, progress)?;
    wait(options.warm_up, "warming up", progress);
    staying.begin()?;
    let first = Look::at(engine.id())?;
    wait(options.before, "before the load", progress);
    let mut seen = Seen {
        before: staying.report()?,
        ..Seen::default()
    };
    let before = Look::at(engine.id())?;

    let leaving = CrowdOrder {
        first: options.stay,
        role: Role::Leave,
        books: 0,
        floor_ns: seen.before.report.floor_ns,
        ..stay
    };
    let others = offer.connections - options.stay;
    let mut leaving = Crowd::start(&own.program, &order::orders(&leaving, others))?;
    open(&mut leaving, "opening, the load", others, progress)?;
    staying.begin()?;
    leaving.begin()?;
    let begun = Look::at(engine.id())?;
    wait(options.window, "the overload", progress);
    let over = Look::at(engine.id())?;
    seen.queues = Queues::to(engine.address())?;
    seen.during = staying.report()?;
    seen.load = leaving.report()?;

    staying.begin()?;
    progress.say("engine", "the load leaves");
    leaving.go()?;
    let ended_ns = monotonic_ns();
    wait(options.after, "after the load", progress);
    seen.after = staying.report()?;
    seen.ended_ns = ended_ns;
    let last = Look::at(engine.id())?;
    progress.say("engine", "books by REST");
    let symbol = rest::symbol_of(&market.streams[0]);
    seen.rest = rest::compare(engine.address(), &[symbol], REST_BOOKS, &mut staying)?;

    let is_alive = ProcessSample::of(engine.id()).is_ok();
    leaving.end();
    staying.end();
    let said = engine.end();
    let cores = (scene.server_core, scene.fleet_core);
    seen.calm = before.since(&first, cores)?;
    seen.overload = over.since(&begun, cores)?;
    seen.resident_bytes = [&before, &over, &last].map(|look: &Look| look.engine.resident_bytes);
    let mut findings = results::findings(options, offer, sends_per_s, seen);
    if !is_alive {
        findings
            .faults
            .push(format!("the engine ended by itself: {said}"));
    }
    Ok(findings)
}
