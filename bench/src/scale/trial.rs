//! The cases, each from the engine's start to its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::course::MemoryCourse;
use super::options::{Case, RETURN_PATIENCE, ScaleOptions};
use super::ramp::{SERVER, Stage};
use super::requests::{RequestPlan, Requests};
use super::results;
use super::results::turnover::{self, Turnover};
use super::window::{self, Seen, Window};
use crate::control::Went;
use crate::crowd::findings::Findings;
use crate::crowd::rest::{self, RestSeen};
use crate::probe::process::{ProcessSample, anonymous_bytes};
use crate::run::progress::Progress;
use crate::run::{Own, RunError};
use crate::storm::trial::wait;

/// The time between two pings of an engine that is to send none: longer than any run.
const NO_PINGS_MS: u32 = 86_400_000;

/// How often memory is looked at while connections come and go.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is looked at whether all are back, and the memory of a reconnect.
const STEP: Duration = Duration::from_millis(200);

/// Books asked for by REST in the end: 40 ms lie between two, so these are ten seconds' worth.
const REST_BOOKS: u32 = 250;

/// How long it is tried until one of them can be compared.
const REST_PATIENCE: Duration = Duration::from_secs(60);

/// Symbols that these are of: the most wanted.
const REST_SYMBOLS: usize = 10;

/// Runs a case and gives its figures.
pub fn run(own: &Own, options: &ScaleOptions) -> Result<Findings, RunError> {
    let raised = options.make_ready(own)?;
    let progress = Progress::new(1);
    let found = case(own, options, &progress);
    progress.end();
    let set_back = raised.undo();
    let mut findings = found?;
    if let Err(error) = set_back {
        findings.faults.push(error.to_string());
    }
    Ok(findings)
}

fn case(own: &Own, options: &ScaleOptions, progress: &Progress) -> Result<Findings, RunError> {
    let mut findings = Findings::new();
    match options.case {
        Case::Quiet => {
            let mut without = None;
            if !options.pings_only {
                let seen = at_rest(
                    own,
                    options,
                    NO_PINGS_MS,
                    "without pings",
                    &mut findings,
                    progress,
                )?;
                if seen.is_none() {
                    return Ok(findings);
                }
                without = seen;
            }
            let with = at_rest(
                own,
                options,
                options.ping_ms,
                "with pings",
                &mut findings,
                progress,
            )?;
            if let Some(with) = &with {
                results::add_pings(&mut findings, options, without.as_ref(), with);
            }
        }
        Case::One | Case::Zipf => in_use(own, options, &mut findings, progress)?,
        Case::Requests => beside_requests(own, options, &mut findings, progress)?,
        Case::Churn | Case::Reconnect => leave_and_come_back(own, options, &mut findings, progress)?,
    }
    Ok(findings)
}

/// Opens all connections, and puts down how that went. None where it was stopped.
fn build(
    own: &Own,
    options: &ScaleOptions,
    ping_ms: u32,
    findings: &mut Findings,
    progress: &Progress,
) -> Result<Option<Stage>, RunError> {
    let stage = Stage::build(own, options, ping_ms, progress)?;
    results::add_ramp(findings, options, &stage.ramp);
    if stage.ramp.stopped.is_some() {
        end(stage, findings, progress);
        return Ok(None);
    }
    Ok(Some(stage))
}

/// Ends the engine and the load, and tells which limits of the host were met.
fn end(mut stage: Stage, findings: &mut Findings, progress: &Progress) {
    match stage.host.troubles() {
        Ok(troubles) => findings
            .notes
            .extend(troubles.iter().map(|trouble| format!("on this host, {trouble}"))),
        Err(error) => findings.notes.push(error.to_string()),
    }
    progress.say(SERVER, "ending");
    let is_alive = ProcessSample::of(stage.engine.id()).is_ok();
    stage.others.end();
    stage.first.end();
    let said = stage.engine.end();
    if !is_alive {
        findings
            .faults
            .push(format!("the engine ended by itself: {said}"));
    }
}

fn cores(options: &ScaleOptions) -> (usize, usize) {
    (options.scene.server_core, options.scene.fleet_core)
}

/// All connections at rest, with an engine that pings each `ping_ms`.
fn at_rest(
    own: &Own,
    options: &ScaleOptions,
    ping_ms: u32,
    what: &str,
    findings: &mut Findings,
    progress: &Progress,
) -> Result<Option<Seen>, RunError> {
    // What opening showed the first time is what it shows; the second time only what goes wrong counts.
    let mut again = Findings::default();
    let is_first = findings.figures.is_empty();
    let into = if is_first { &mut *findings } else { &mut again };
    let Some(mut stage) = build(own, options, ping_ms, into, progress)? else {
        findings.faults.append(&mut again.faults);
        return Ok(None);
    };
    let seen = window::watch(&mut stage, options.window(), what, cores(options), progress)?;
    results::add_rest(findings, options, what, &seen);
    let look = stage.memory("at rest")?;
    results::add_memory(findings, what, &look);
    let rest = compare_books(&mut stage)?;
    results::add_books(findings, &format!(", {what}"), &seen, &rest);
    end(stage, findings, progress);
    findings.faults.append(&mut again.faults);
    Ok(Some(seen))
}

/// All connections with a market that moves.
fn in_use(
    own: &Own,
    options: &ScaleOptions,
    findings: &mut Findings,
    progress: &Progress,
) -> Result<(), RunError> {
    let Some(mut stage) = build(own, options, options.ping_ms, findings, progress)? else {
        return Ok(());
    };
    let seen = window::watch(&mut stage, options.window(), "in use", cores(options), progress)?;
    results::add_use(findings, options, &stage.ramp.alone, &seen);
    let look = stage.memory("in use")?;
    results::add_memory(findings, "in use", &look);
    progress.say(SERVER, "books by REST");
    let rest = compare_books(&mut stage)?;
    results::add_books(findings, "", &seen, &rest);
    end(stage, findings, progress);
    Ok(())
}

/// The same, in turn without and with requests to REST: A B B A, so that what drifts meets both alike.
fn beside_requests(
    own: &Own,
    options: &ScaleOptions,
    findings: &mut Findings,
    progress: &Progress,
) -> Result<(), RunError> {
    let Some(mut stage) = build(own, options, options.ping_ms, findings, progress)? else {
        return Ok(());
    };
    let symbol = rest::symbol_of(stage.market.streams.first().map_or("", String::as_str));
    let plan = RequestPlan {
        server: stage.engine.address(),
        target: options
            .request
            .clone()
            .unwrap_or(format!("/api/v3/depth?symbol={symbol}")),
        per_second: options.requests,
        core: options.scene.fleet_core,
    };
    let mut windows = Vec::new();
    for is_beside in [false, true, true, false] {
        let asking = is_beside.then(|| Requests::begin(&plan)).transpose();
        let asking = asking.map_err(|error| RunError::Usage(format!("no requests can be made: {error}")))?;
        let what = if is_beside {
            "beside requests"
        } else {
            "without requests"
        };
        let seen = window::watch(&mut stage, options.window(), what, cores(options), progress)?;
        windows.push((seen, asking.map(Requests::end)));
    }
    results::requests::add(findings, options, &windows);
    let rest = compare_books(&mut stage)?;
    if let Some((seen, _)) = windows.last() {
        results::add_books(findings, "", seen, &rest);
    }
    end(stage, findings, progress);
    Ok(())
}

/// Some leave and come back all the time, or all at once.
fn leave_and_come_back(
    own: &Own,
    options: &ScaleOptions,
    findings: &mut Findings,
    progress: &Progress,
) -> Result<(), RunError> {
    let Some(mut stage) = build(own, options, options.ping_ms, findings, progress)? else {
        return Ok(());
    };
    let is_churn = options.case == Case::Churn;
    let (before, doing, after, time, interval) = if is_churn {
        let time = options.window();
        (
            "before the churn",
            "churn",
            "after the churn",
            time,
            MEMORY_INTERVAL,
        )
    } else {
        (
            "before all went",
            "coming back",
            "after all came back",
            Duration::ZERO,
            STEP,
        )
    };
    let before = stage.memory(before)?;
    let begun = Window::begin(&mut stage)?;
    let (course, went) = turn_over(&mut stage, time, progress, doing, interval)?;
    let seen = begun.end(&mut stage, cores(options))?;
    wait(options.settle, "settling", progress);
    let turnover = Turnover {
        before,
        after: stage.memory(after)?,
        course,
        went,
    };
    if is_churn {
        turnover::add_churn(findings, options, &turnover, &seen);
    } else {
        turnover::add_reconnect(findings, options, &turnover, &seen);
    }
    let rest = compare_books(&mut stage)?;
    results::add_books(findings, "", &seen, &rest);
    end(stage, findings, progress);
    Ok(())
}

/// Lets all do what their role is, for a time and until all are back, and looks at the engine's memory meanwhile.
fn turn_over(
    stage: &mut Stage,
    time: Duration,
    progress: &Progress,
    what: &str,
    interval: Duration,
) -> Result<(MemoryCourse, Went), RunError> {
    let engine = stage.engine.id();
    let connections = stage.ramp.open;
    let mut course = MemoryCourse::default();
    let length = if time.is_zero() {
        connections.into()
    } else {
        time.as_millis() as u64
    };
    progress.count(SERVER, what, length);
    let begun = Instant::now();
    stage.first.go()?;
    stage.others.go()?;
    let mut went;
    let mut looked = begun;
    course.push(0.0, anonymous_bytes(engine)?);
    loop {
        went = stage.others.wait(STEP, &mut |_| {})?;
        stage.host.look()?;
        let at = if time.is_zero() {
            went.count.into()
        } else {
            begun.elapsed().as_millis() as u64
        };
        progress.at(at);
        if looked.elapsed() >= interval && (time.is_zero() || begun.elapsed() < time) {
            looked = Instant::now();
            course.push(begun.elapsed().as_secs_f64(), anonymous_bytes(engine)?);
        }
        if went.is_whole || begun.elapsed() > time + RETURN_PATIENCE {
            break;
        }
    }
    // Those with books only stay, in a churn, and say nothing of having come back.
    let returns = stage.first.report()?.report.returns;
    if returns.left_without > 0 {
        let left = RETURN_PATIENCE.saturating_sub(begun.elapsed());
        let first = stage.first.wait(left.max(STEP), &mut |_| {})?;
        went.is_whole &= first.is_whole;
        went.seconds = went.seconds.max(first.seconds);
    }
    Ok((course, went))
}

/// Holds REST's books against those of the connections that were there first.
fn compare_books(stage: &mut Stage) -> Result<RestSeen, RunError> {
    let symbols: Vec<String> = stage
        .market
        .streams
        .iter()
        .take(REST_SYMBOLS)
        .map(|stream| rest::symbol_of(stream))
        .collect();
    let mut all = RestSeen::default();
    let until = Instant::now() + REST_PATIENCE;
    // A busy engine ends few events at an id at which REST told the book: it is asked until some could be compared.
    while all.compared == 0 && Instant::now() < until {
        let seen = rest::compare(
            stage.engine.address(),
            &symbols,
            REST_BOOKS / 10,
            &mut stage.first,
        )?;
        all.compared += seen.compared;
        all.different += seen.different;
        all.error = seen.error.or(all.error);
        sleep(STEP);
    }
    Ok(all)
}
