//! A crowd's process: its loop over all its connections, which are the fleet's, and what it tells the bench.

use std::collections::VecDeque;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};

use super::order::{CrowdOrder, CrowdReport, JoinReport, Role};
use super::storm::Storm;
use crate::clock::monotonic_ns;
use crate::control::{Answer, Command, process};
use crate::fleet::connection::{Connection, OpenFault, Tools, Turn};
use crate::fleet::counts::{LatencyError, encode_histogram};
use crate::fleet::opening::{Next, Opening};
use crate::fleet::plan::{Duty, source};
use crate::fleet::trail::Trail;
use crate::fleet::watch::{Start, Watch, Watching};

/// Events of one turn, as in a fleet process.
const EVENTS_PER_TURN_MAX: usize = 1024;
/// How often it tells how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// How long it waits for events while it opens connections.
const OPENING_WAIT_MAX: Duration = Duration::from_millis(50);
/// How long it sleeps while a storm goes on and nothing is to be read: a storm of 20,000 in a second has one due each 50 us.
const STORM_PAUSE: Duration = Duration::from_micros(100);
/// Handshakes of a storm that are under way at most: two processes stay within a backlog of 4,096.
const HANDSHAKES_MAX: u32 = 1024;
/// Ids of each symbol that a report tells.
const REPORTED_IDS_MAX: usize = 1024;
/// The commands' place among the connections' tokens.
const WAKER: Token = Token(usize::MAX);

/// The whole life of the hidden subcommand `crowd-process`, which is that of a fleet process with another order.
pub fn run_child() -> ExitCode {
    process::exit_code(run())
}

fn run() -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let order: CrowdOrder = process::order().map_err(|error| text(&error))?;
    order.check().map_err(|error| text(&error))?;
    process::settle(order.core, Duration::from_secs(order.lifetime_s.into()))
        .map_err(|error| text(&error))?;
    let poll = Poll::new().map_err(|error| text(&error))?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(|error| text(&error))?);
    let reader_waker = waker.clone();
    let commands = process::commands(move || {
        // A poll that is gone needs no waking.
        let _ = reader_waker.wake();
    })
    .map_err(|error| text(&error))?;
    let outcome = CrowdProcess::new(order, poll, commands).run();
    // Held until here, as a fleet process does.
    drop(waker);
    outcome
}

struct CrowdProcess {
    order: CrowdOrder,
    poll: Poll,
    commands: Receiver<Command>,
    /// By place: those begun so far.
    connections: Vec<Connection>,
    tools: Tools,
    /// Places of connections that have more to read than one turn does, each once: those whose flag is set.
    unread: VecDeque<u32>,
    is_unread: Vec<bool>,
    /// None once all are open.
    opening: Option<Opening>,
    /// From `Go` until all have joined.
    storm: Option<Storm>,
    /// Those of the storm that did not join and never will.
    lost: u32,
    begun_ns: u64,
    progress_ns: u64,
}

impl CrowdProcess {
    fn new(order: CrowdOrder, poll: Poll, commands: Receiver<Command>) -> CrowdProcess {
        let now_ns = monotonic_ns();
        let mut tools = Tools::new(order.format);
        tools.watching = Some(Box::new(Watching::new(order.floor_ns, now_ns)));
        tools.books.trail = (order.books > 0).then(Trail::default);
        CrowdProcess {
            connections: Vec::with_capacity(order.connections as usize),
            tools,
            unread: VecDeque::new(),
            is_unread: vec![false; order.connections as usize],
            opening: Some(Opening::new(order.connections, now_ns)),
            storm: None,
            lost: 0,
            begun_ns: now_ns,
            progress_ns: now_ns,
            order,
            poll,
            commands,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        loop {
            self.open()?;
            self.go_on()?;
            let wait = self.rest(events.iter().count() == EVENTS_PER_TURN_MAX);
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(format!("the host's poll failed: {error}"));
                }
                _ => {}
            }
            // What was left of the turn before comes first, and once.
            for _ in 0..self.unread.len() {
                if let Some(place) = self.unread.pop_front() {
                    self.is_unread[place as usize] = false;
                    let turn = self.connections[place as usize].turn(&mut self.tools);
                    self.note(place, &turn);
                }
            }
            for event in &events {
                if event.token() == WAKER {
                    continue;
                }
                let place = event.token().0;
                let turn = self.connections[place].on_event(event, &mut self.tools);
                self.note(place as u32, &turn);
            }
            if !self.obey()? {
                return Ok(());
            }
        }
    }

    /// Sleeps outside of the poll, where that is wanted, and gives how long to wait in it.
    fn rest(&self, is_busy: bool) -> Option<Duration> {
        let pause = Duration::from_micros(self.order.pause_us.into());
        let pause = match (&self.opening, &self.storm) {
            _ if is_busy || !self.unread.is_empty() => return Some(Duration::ZERO),
            (Some(_), _) => return Some(OPENING_WAIT_MAX),
            (None, Some(_)) => STORM_PAUSE,
            (None, None) if pause.is_zero() => return None,
            (None, None) => pause,
        };
        std::thread::sleep(pause);
        Some(Duration::ZERO)
    }

    /// Puts down what a turn of a connection came to.
    fn note(&mut self, place: u32, turn: &Turn) {
        if let Turn::More { .. } = turn
            && !std::mem::replace(&mut self.is_unread[place as usize], true)
        {
            self.unread.push_back(place);
        }
        if let Some(opening) = &mut self.opening {
            match turn {
                Turn::Opened | Turn::More { opened: true } => opening.opened_one(monotonic_ns()),
                Turn::Failed(fault) => opening.failed_one(fault, monotonic_ns()),
                Turn::Nothing | Turn::More { opened: false } | Turn::Closed => {}
            }
            return;
        }
        let Some(storm) = &mut self.storm else {
            return;
        };
        match turn {
            Turn::Opened | Turn::More { opened: true } => storm.arrived(),
            Turn::Failed(fault) => {
                storm.arrived();
                self.lost += 1;
                self.tools.counts.fault(self.order.first + place, fault);
            }
            Turn::Closed => {
                let watch = self.connections[place as usize].watch();
                self.lost += u32::from(watch.is_some_and(|watch| watch.is_joining()));
            }
            Turn::Nothing | Turn::More { opened: false } => {}
        }
    }

    /// Begins connections as far as that may go now, and tells how far it has gone.
    fn open(&mut self) -> Result<(), String> {
        let Some(mut opening) = self.opening.take() else {
            return Ok(());
        };
        loop {
            let now_ns = monotonic_ns();
            let connections = &self.connections;
            match opening.next(now_ns, |place| connections[place as usize].is_opening()) {
                Next::Begin(place) => match self.begin(place) {
                    Ok(()) => opening.began(place, now_ns),
                    Err(fault) => opening.not_begun(&fault, now_ns),
                },
                Next::Wait => {
                    self.progress(opening.opened(), now_ns)?;
                    self.opening = Some(opening);
                    return Ok(());
                }
                Next::Done { begun_ns, done_ns } => {
                    return self.say(&Answer::Ready { begun_ns, done_ns });
                }
                Next::Failed(reason) => return Err(reason),
            }
        }
    }

    /// Begins the connection at a place as the role has it at first.
    fn begin(&mut self, place: u32) -> Result<(), OpenFault> {
        let number = self.order.first + place;
        let stream = self.order.stream_of(number);
        let name = self.order.streams[stream as usize].clone();
        let is_keeper = self.order.keeps_book(place);
        let (target, start) = match self.order.role {
            Role::Subscribe { with_snapshot: true } => (self.order.bare_target("snapshot=1"), Start::None),
            Role::Subscribe { with_snapshot: false } => (self.order.bare_target(""), Start::None),
            _ if is_keeper => (self.order.target(&name, "snapshot=1"), Start::Snapshot),
            Role::Stay | Role::Resume { .. } | Role::Leave => (self.order.target(&name, ""), Start::Next),
        };
        let duty = if is_keeper { Duty::Books } else { Duty::Read };
        let mut connection = self.connect(place, &target, (&name, duty))?;
        connection.set_watch(Watch::new(stream, &name, start));
        self.connections.push(connection);
        Ok(())
    }

    /// Begins a connection anew that goes on where the one at its place ended.
    fn begin_again(&mut self, place: u32, now_ns: u64) -> Result<(), OpenFault> {
        let number = self.order.first + place;
        let stream = self.order.stream_of(number);
        let name = self.order.streams[stream as usize].clone();
        let connection = &mut self.connections[place as usize];
        let position = connection.watch().and_then(|watch| watch.position());
        let (query, start) = match position {
            Some((last_id, epoch)) => {
                let symbol = name.split('@').next().unwrap_or(&name);
                (
                    format!("resume={symbol}:{last_id}&epoch={epoch}"),
                    Start::After(last_id),
                )
            }
            None => (String::new(), Start::Next),
        };
        let target = self.order.target(&name, &query);
        let mut connection = self.connect(place, &target, (&name, Duty::Read))?;
        let mut watch = Watch::new(stream, &name, Start::None);
        if let Some(watching) = &mut self.tools.watching {
            watch.ask(start, now_ns, watching);
        }
        connection.set_watch(watch);
        self.connections[place as usize] = connection;
        Ok(())
    }

    fn connect(
        &mut self,
        place: u32,
        target: &str,
        (name, duty): (&str, Duty),
    ) -> Result<Connection, OpenFault> {
        let number = self.order.first + place;
        let mut connection = Connection::open(
            number,
            (source(number), self.order.server),
            (target, &[name]),
            (duty, 0),
            self.order.format,
        )?;
        if let Some(socket) = connection.socket() {
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(socket, Token(place as usize), both);
            registered.map_err(OpenFault::Connect)?;
        }
        Ok(connection)
    }

    /// The storm begins.
    fn go(&mut self) {
        let now_ns = monotonic_ns();
        let over_ns = self.order.over_us * 1000;
        match self.order.role {
            Role::Stay => {}
            Role::Leave => self.leave_all(),
            Role::Subscribe { .. } => {
                self.storm = Some(Storm::new(self.order.connections, (now_ns, over_ns), u32::MAX));
            }
            Role::Resume { away_us } => {
                self.leave_all();
                let begun_ns = now_ns + away_us * 1000;
                let storm = Storm::new(self.order.connections, (begun_ns, over_ns), HANDSHAKES_MAX);
                self.storm = Some(storm);
            }
        }
    }

    fn leave_all(&mut self) {
        for connection in &mut self.connections {
            connection.leave(&mut self.tools);
        }
    }

    /// Lets come who is due in a storm, and tells how far it has gone.
    fn go_on(&mut self) -> Result<(), String> {
        let Some(mut storm) = self.storm.take() else {
            return Ok(());
        };
        let mut now_ns = monotonic_ns();
        while let Some(place) = storm.next(now_ns) {
            self.come(place, now_ns);
            now_ns = monotonic_ns();
        }
        let watching = self.tools.watching.as_deref();
        let joined = watching.map_or(0, |watching| watching.joined);
        storm.set_done(joined + self.lost);
        if storm.is_over() {
            let (begun_ns, _) = watching.and_then(|w| w.asked_ns).unwrap_or((now_ns, now_ns));
            let done_ns = watching.map_or(now_ns, |watching| watching.joined_ns);
            return self.say(&Answer::Ready { begun_ns, done_ns });
        }
        self.progress(storm.done(), now_ns)?;
        self.storm = Some(storm);
        Ok(())
    }

    fn come(&mut self, place: u32, now_ns: u64) {
        let number = self.order.first + place;
        if let Role::Resume { .. } = self.order.role {
            if let Err(fault) = self.begin_again(place, now_ns) {
                self.lost += 1;
                self.tools.counts.fault(number, &fault);
            }
            return;
        }
        let start = match self.order.role {
            Role::Subscribe { with_snapshot: true } => Start::Snapshot,
            _ => Start::Next,
        };
        let name = &self.order.streams[self.order.stream_of(number) as usize];
        let connection = &mut self.connections[place as usize];
        if !connection.is_open() {
            self.lost += 1;
            return;
        }
        if let (Some(watch), Some(watching)) = (connection.watch(), &mut self.tools.watching) {
            watch.ask(start, now_ns, watching);
        }
        let text = format!(r#"{{"method":"SUBSCRIBE","params":["{name}"],"id":1}}"#);
        if let Turn::Closed = connection.request(&text, &mut self.tools) {
            self.lost += 1;
        }
    }

    /// Carries out the commands that have come. Tells whether it goes on.
    fn obey(&mut self) -> Result<bool, String> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Go) => {
                    self.go();
                    self.say(&Answer::Done)?;
                }
                Ok(Command::Begin) => {
                    self.begun_ns = monotonic_ns();
                    self.tools.counts.begin();
                    if let Some(watching) = &mut self.tools.watching {
                        watching.begin(self.begun_ns);
                    }
                    self.say(&Answer::Done)?;
                }
                Ok(Command::Report) => {
                    let report = self.report().map_err(|error| error.to_string())?;
                    self.say(&Answer::Report(Box::new(report)))?;
                }
                Ok(Command::End) | Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    fn report(&mut self) -> Result<CrowdReport, LatencyError> {
        let mut report = CrowdReport {
            begun_ns: self.begun_ns,
            fleet: self.tools.counts.report(self.order.format)?,
            ..CrowdReport::default()
        };
        for connection in &mut self.connections {
            report.fleet.open += u32::from(connection.is_open());
            report.fleet.books += u32::from(connection.books().is_some());
            let watch = connection.watch();
            report.positioned += u32::from(watch.is_some_and(|watch| watch.position().is_some()));
        }
        if let Some(watching) = &self.tools.watching {
            add_watching(&mut report, watching)?;
        }
        if let Some(trail) = &self.tools.books.trail {
            report.compared = trail.compared;
            report.books = trail.newest(REPORTED_IDS_MAX / self.order.streams.len().max(1));
        }
        Ok(report)
    }

    fn progress(&mut self, count: u32, now_ns: u64) -> Result<(), String> {
        if now_ns.saturating_sub(self.progress_ns) < PROGRESS_INTERVAL.as_nanos() as u64 {
            return Ok(());
        }
        self.progress_ns = now_ns;
        self.say(&Answer::Connections(count))
    }

    fn say(&self, answer: &Answer<CrowdReport>) -> Result<(), String> {
        process::say(answer).map_err(|error| format!("nobody hears the answers: {error}"))
    }
}

fn add_watching(report: &mut CrowdReport, watching: &Watching) -> Result<(), LatencyError> {
    let (first_asked_ns, last_asked_ns) = watching.asked_ns.unwrap_or_default();
    report.events = watching.events;
    report.ids = watching.ids;
    report.gaps = watching.gaps;
    report.refused = watching.refused;
    report.floor_ns = watching.floor_ns();
    report.below_floor_ns = watching.below_floor_ns;
    report.moments = watching.moments.all();
    report.silence_ns = watching.silence_ns;
    if watching.floor_ns().is_some() {
        report.latency = Some(encode_histogram(&watching.latency)?);
    }
    report.joins = JoinReport {
        asked: watching.asked,
        answered: watching.answered,
        joined: watching.joined,
        continued: watching.continued,
        first_asked_ns,
        last_asked_ns,
        joined_ns: watching.joined_ns,
        bodies: watching.bodies.iter().copied().collect(),
        ..JoinReport::default()
    };
    if watching.asked > 0 {
        report.joins.answer_times = Some(encode_histogram(&watching.answer_times)?);
        report.joins.join_times = Some(encode_histogram(&watching.join_times)?);
        report.joins.continue_times = Some(encode_histogram(&watching.continue_times)?);
    }
    Ok(())
}
