//! One run: a server and a fleet are started, the load runs, and a window of it is measured from outside.

use std::thread::sleep;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::measured::{Measured, Quantiles};
use super::progress::Progress;
use super::server::{Server, Side};
use super::slow::watch::SlowWatch;
use super::{Own, RunError};
use crate::clock::monotonic_ns;
use crate::fleet::order::FleetOrder;
use crate::fleet::{Fleet, FleetTotals};
use crate::limit::order::LimitReport;
use crate::probe::machine::{CoreUse, MachineSample};
use crate::probe::process::ProcessSample;
use crate::probe::sends::{SendCounter, SendCounterError};
use crate::run::options::LoadOptions;

/// How long opening all connections may take.
const OPEN_PATIENCE: Duration = Duration::from_secs(120);
/// What a run may take beyond its times: opening, reports, the end.
const SLACK: Duration = Duration::from_secs(300);
/// The window in which send calls are counted: it is apart, since counting slows every call of every process.
const CALLS_WINDOW: Duration = Duration::from_secs(3);
/// Where in the time between two flushes a window begins and ends: late, when a flush has reached everybody, unless the
/// server has no time left.
const PHASE: f64 = 0.95;
/// Bytes of a send from which on it may be more than one segment: a loopback segment has 65,483 at most.
const SEGMENT_BYTES_NEAR: f64 = 60_000.0;
/// How often progress is shown.
const STEP: Duration = Duration::from_millis(100);

/// What is read from outside at one moment.
struct Look {
    taken: Instant,
    machine: MachineSample,
    server: ProcessSample,
}

impl Look {
    fn at(server: &Server) -> Result<Look, RunError> {
        Ok(Look {
            taken: Instant::now(),
            machine: MachineSample::take()?,
            server: ProcessSample::of(server.id())?,
        })
    }
}

/// Runs the load once against one side.
pub fn run(own: &Own, load: &LoadOptions, side: &Side, progress: &Progress) -> Result<Measured, RunError> {
    let lifetime_s = (load.warm_up + load.window + OPEN_PATIENCE + SLACK).as_secs() as u32;
    progress.say(side.name(), "starting");
    let mut server = Server::start(own, load, side, lifetime_s)?;
    let empty = Look::at(&server)?;
    let orders = orders(load, &server, side, lifetime_s);
    let mut watch = SlowWatch::new(load, &orders, server.id(), server.stats());
    let mut fleet = Fleet::start(&own.program, &orders)?;
    progress.count(side.name(), "opening", load.connections.into());
    let opened = fleet.wait_open(OPEN_PATIENCE, &mut |open| progress.at(open.into()))?;
    let open = Look::at(&server)?;
    watch.opened();
    server.go()?;
    wait(load.warm_up, side, "warming up", progress, &mut || watch.look());

    let window = align(load, &mut fleet)?;
    // The bare loop answers between two rounds only: the fleet begins after that.
    server.begin()?;
    fleet.begin()?;
    let begun_ns = monotonic_ns();
    let first = Look::at(&server)?;
    wait(
        window.saturating_sub(first.taken.elapsed()),
        side,
        "measuring",
        progress,
        &mut || watch.look(),
    );
    let last = Look::at(&server)?;
    let fleet_window_ns = monotonic_ns() - begun_ns;
    let totals = fleet.report()?;
    let limit = server.report()?;
    watch.window(begun_ns, begun_ns + fleet_window_ns);
    progress.say(side.name(), "awaiting resets");
    let at_end = watch.await_gone(&mut fleet)?;
    let slow = watch.figures(&at_end);
    let calls_per_segment = count_calls(&server, side, progress);
    let is_alive = ProcessSample::of(server.id()).is_ok();
    fleet.end();
    let said = server.end();

    let mut measured = Measured {
        connections: opened.count,
        open_s: opened.seconds,
        open_server_ns: open.server.since(&empty.server)?.run_ns,
        frames_per_flush: load.frames_per_flush(),
        calls_per_segment: calls_per_segment.as_ref().ok().copied(),
        fleet_window_ns,
        ..Measured::default()
    };
    add_memory(&mut measured, &empty, &open);
    add_window(&mut measured, load, &first, &last, &totals)?;
    add_received(&mut measured, load, &totals);
    measured.pass = limit.as_ref().and_then(pass);
    add_faults(&mut measured, &at_end, limit.as_ref());
    if let Some(slow) = slow {
        measured.faults.extend(slow.faults());
        measured.notes.extend(slow.notes());
        measured.slow = Some(slow);
    }
    if !is_alive {
        measured.faults.push(format!("the server ended by itself:{said}"));
    }
    if let Err(error) = calls_per_segment {
        measured
            .notes
            .push(format!("send calls were not counted: {error}"));
    }
    if measured.bytes_per_send() > SEGMENT_BYTES_NEAR {
        measured.notes.push(
            "a send is more than a segment: without counted calls the figures of a send are of segments"
                .into(),
        );
    }
    Ok(measured)
}

fn orders(load: &LoadOptions, server: &Server, side: &Side, lifetime_s: u32) -> Vec<FleetOrder> {
    let template = FleetOrder {
        server: server.address(),
        first: 0,
        connections: 0,
        streams: load.stream_plan(),
        format: load.fleet_format(),
        stalled_per_mille: load.stalled_per_mille(),
        stalled_receive_buffer: load.stalled_buffer,
        slow: load.slow.plan(),
        // The bare loop tells no book that changes could be applied to.
        books: if matches!(side, Side::Engine { .. }) {
            load.books
        } else {
            0
        },
        pause_us: load.fleet_pause,
        core: Some(load.fleet_core),
        lifetime_s,
    };
    crate::fleet::orders(&template, load.connections)
}

/// Waits for the pause between two flushes, so that a window has whole flushes only; gives its length, in which there is a
/// whole number of them. Where frames do not say when they were published, the window begins and ends anywhere.
fn align(load: &LoadOptions, fleet: &mut Fleet) -> Result<Duration, RunError> {
    let published_ns = fleet.report()?.report.published_ns;
    if published_ns == 0 || load.rate == 0 {
        return Ok(load.window);
    }
    let period_ns = 1_000_000_000 / u64::from(load.rate);
    let since_ns = monotonic_ns().saturating_sub(published_ns);
    let phase_ns = (period_ns as f64 * PHASE) as u64;
    let wait_ns = (phase_ns + period_ns - since_ns % period_ns) % period_ns;
    sleep(Duration::from_nanos(wait_ns));
    let periods = (load.window.as_nanos() as u64 / period_ns).max(1);
    Ok(Duration::from_nanos(periods * period_ns))
}

/// Waits, and looks at something a few times a second.
fn wait(time: Duration, side: &Side, what: &str, progress: &Progress, look: &mut dyn FnMut()) {
    progress.count(side.name(), what, time.as_millis() as u64);
    let begun = Instant::now();
    while begun.elapsed() < time {
        sleep(STEP.min(time.saturating_sub(begun.elapsed())));
        progress.at(begun.elapsed().as_millis() as u64);
        look();
    }
}

/// Send calls for each data segment.
fn count_calls(server: &Server, side: &Side, progress: &Progress) -> Result<f64, SendCounterError> {
    let mut counter = SendCounter::attach(server.id())?;
    let before = MachineSample::take()?;
    let calls_before = counter.read()?;
    wait(CALLS_WINDOW, side, "counting send calls", progress, &mut || {});
    let calls = counter.read()?.since(&calls_before).to_sockets();
    let segments = MachineSample::take()?.since(&before).tcp.data_segments;
    Ok(calls as f64 / segments.max(1) as f64)
}

fn add_memory(measured: &mut Measured, empty: &Look, open: &Look) {
    let connections = f64::from(measured.connections.max(1));
    let anonymous = open.server.anonymous_bytes as f64 - empty.server.anonymous_bytes as f64;
    let slab = open.machine.since(&empty.machine).slab_bytes as f64;
    measured.server_bytes_per_connection = anonymous / connections;
    measured.slab_bytes_per_connection = slab / connections;
}

fn add_window(
    measured: &mut Measured,
    load: &LoadOptions,
    first: &Look,
    last: &Look,
    totals: &FleetTotals,
) -> Result<(), RunError> {
    let server = last.server.since(&first.server)?;
    let machine = last.machine.since(&first.machine);
    measured.window_ns = machine.wall_ns;
    measured.user_ns = server.user_ns;
    measured.system_ns = server.system_ns;
    measured.run_ns = server.run_ns;
    let busy_ns = |core: &CoreUse| core.busy_ns.saturating_sub(core.steal_ns);
    measured.busy_ns = machine.cores.iter().map(busy_ns).sum();
    measured.softirq_ns = machine.cores.iter().map(|core| core.softirq_ns).sum();
    measured.steal_ns = machine.cores.iter().map(|core| core.steal_ns).sum();
    let server_core = machine.cores.iter().find(|core| core.core == load.server_core);
    measured.server_core_busy_ns = server_core.map_or(0, busy_ns);
    // The fleet's pongs are segments, too.
    measured.segments = machine.tcp.data_segments.saturating_sub(totals.report.sends);
    measured.retransmitted = machine.tcp.retransmitted;
    Ok(())
}

fn add_received(measured: &mut Measured, load: &LoadOptions, totals: &FleetTotals) {
    measured.frames = totals.report.frames;
    measured.bytes = totals.report.bytes;
    measured.book_events = totals.report.book_events;
    measured.closed = totals.report.closed.clone();
    measured.latency = totals.latency.as_ref().and_then(Quantiles::of);
    if load.fleet_format() != crate::fleet::order::Format::Bench {
        measured.frames_per_flush = load.streams_per_connection;
    }
}

fn pass(report: &LimitReport) -> Option<Quantiles> {
    Quantiles::of(&decode(report.pass.as_deref()?)?)
}

fn decode(text: &str) -> Option<Histogram<u64>> {
    crate::fleet::counts::decode_histogram(text).ok()
}

fn add_faults(measured: &mut Measured, totals: &FleetTotals, limit: Option<&LimitReport>) {
    let report = &totals.report;
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            measured.faults.push(format!("{count} {what}"));
        }
    };
    note(report.malformed, "malformed frames");
    note(
        report.out_of_order,
        "frames that were not the next of their stream",
    );
    note(report.book_gaps, "depth events that did not continue their book");
    note(
        limit.map_or(0, |limit| limit.refused + limit.gone),
        "connections that the bare loop gave up, their sockets being full or gone: its figures are of fewer",
    );
    let lost: u64 = report.closed.values().map(|count| u64::from(*count)).sum();
    // Those that never catch up are to be closed.
    note(
        lost.saturating_sub(report.closed_stalled.into()),
        "connections closed by the server",
    );
    note(u64::from(measured.frames == 0), "run without a frame");
    if let (Some(fault), false) = (&report.first_fault, measured.faults.is_empty()) {
        measured.faults.push(format!("first: {fault}"));
    }
}
