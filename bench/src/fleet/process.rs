//! A fleet process: its loop over all its connections, and what it tells the bench.

use std::collections::VecDeque;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::books::Books;
use super::connection::{Connection, OpenFault, Tools, Turn};
use super::ledger::Ledger;
use super::opening::{Next, Opening};
use super::order::{FleetOrder, FleetReport};
use super::pace::{Act, Pacer};
use super::plan::{Duty, source};
use crate::clock::monotonic_ns;
use crate::control::polled::{self, WAKER};
use crate::control::{Answer, Command, process};

/// Events of one turn: enough that a turn's fixed cost is nothing, few enough that commands and new connections have
/// their turn soon.
pub(crate) const EVENTS_PER_TURN_MAX: usize = 1024;

/// How often it tells how many connections are open, while it opens them.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// How long it waits for events while it opens connections, so that the times of handshakes are looked at.
pub(crate) const OPENING_WAIT_MAX: Duration = Duration::from_millis(50);

/// The whole life of the hidden subcommand `fleet-process`: takes its [`FleetOrder`] from standard input, opens the
/// connections, reads them, and answers commands, until it is told to end, its input ends, or its time is up.
pub fn run_child() -> ExitCode {
    polled::live(|order, poll, commands| FleetProcess::new(order, poll, commands).run())
}

/// What the process has.
struct FleetProcess {
    order: FleetOrder,
    duties: Vec<Duty>,
    poll: Poll,
    commands: Receiver<Command>,
    /// By place: those begun so far.
    connections: Vec<Connection>,
    tools: Tools,
    /// Places of connections that have more to read than one turn does, each once: those whose flag is set.
    unread: VecDeque<u32>,
    is_unread: Vec<bool>,
    /// When slow readers have their turn.
    pacer: Pacer,
    /// None once all are open.
    opening: Option<Opening>,
    progress_ns: u64,
}

impl FleetProcess {
    fn new(order: FleetOrder, poll: Poll, commands: Receiver<Command>) -> FleetProcess {
        let now_ns = monotonic_ns();
        let mut tools = Tools::new(order.format);
        if order.slow.pausing_per_mille > 0 {
            tools.books.ledger = Some(Ledger::default());
        }
        FleetProcess {
            duties: order.duties(),
            connections: Vec::with_capacity(order.connections as usize),
            tools,
            pacer: Pacer::new(order.slow.clone()),
            unread: VecDeque::new(),
            is_unread: vec![false; order.connections as usize],
            opening: Some(Opening::new(order.connections, now_ns)),
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
            let pause = Duration::from_micros(self.order.pause_us.into());
            let wait = match (self.unread.is_empty(), &self.opening) {
                (false, _) => Some(Duration::ZERO),
                (true, Some(_)) => Some(OPENING_WAIT_MAX),
                (true, None) if pause.is_zero() => {
                    self.pacer.wait_ns(monotonic_ns()).map(Duration::from_nanos)
                }
                // Not in the poll: who sends to somebody that sleeps there has to wake it.
                (true, None) => {
                    if events.iter().count() < EVENTS_PER_TURN_MAX {
                        std::thread::sleep(pause);
                    }
                    Some(Duration::ZERO)
                }
            };
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
            self.pace();
            if !self.obey()? {
                return Ok(());
            }
        }
    }

    /// Gives slow readers their turn whose moment has come, as many as there are connections at most.
    fn pace(&mut self) {
        for _ in 0..self.connections.len() {
            let now_ns = monotonic_ns();
            let Some((place, act)) = self.pacer.due(now_ns) else {
                return;
            };
            let connection = &mut self.connections[place as usize];
            let turn = match act {
                Act::OneByte => connection.read_one_byte(&mut self.tools),
                Act::Stop => {
                    connection.pause();
                    Turn::Nothing
                }
                Act::Resume => {
                    self.tools.counts.slow.resumes += 1;
                    connection.resume(&mut self.tools)
                }
            };
            if connection.is_open() {
                self.pacer.done(place, act, now_ns);
            }
            self.note(place, &turn);
        }
    }

    /// Puts down what a turn of a connection came to.
    fn note(&mut self, place: u32, turn: &Turn) {
        if let Turn::More { .. } = turn
            && !std::mem::replace(&mut self.is_unread[place as usize], true)
        {
            self.unread.push_back(place);
        }
        if let Turn::Opened | Turn::More { opened: true } = turn {
            let duty = self.duties[place as usize];
            self.pacer
                .opened(place, self.order.first + place, duty, monotonic_ns());
        }
        let Some(opening) = &mut self.opening else {
            return;
        };
        match turn {
            Turn::Opened | Turn::More { opened: true } => opening.opened_one(monotonic_ns()),
            Turn::Failed(fault) => opening.failed_one(fault, monotonic_ns()),
            Turn::Nothing | Turn::More { opened: false } | Turn::Closed => {}
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
                    if now_ns.saturating_sub(self.progress_ns) >= PROGRESS_INTERVAL.as_nanos() as u64 {
                        self.progress_ns = now_ns;
                        self.say(&Answer::Connections(opening.opened()))?;
                    }
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

    fn begin(&mut self, place: u32) -> Result<(), OpenFault> {
        let number = self.order.first + place;
        let duty = self.duties[place as usize];
        let mut connection = Connection::open(
            number,
            (source(number), self.order.server),
            (
                &self.order.target(number, duty),
                &self.order.streams.of_connection(number),
            ),
            (duty, self.order.stalled_receive_buffer),
            self.order.format,
        )?;
        if let Some(socket) = connection.socket() {
            let both = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(socket, Token(place as usize), both);
            registered.map_err(OpenFault::Connect)?;
        }
        self.connections.push(connection);
        Ok(())
    }

    /// Carries out the commands that have come. Tells whether it goes on.
    fn obey(&mut self) -> Result<bool, String> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Go) => self.say(&Answer::Done)?,
                Ok(Command::Begin) => {
                    self.tools.counts.begin();
                    self.say(&Answer::Done)?;
                }
                Ok(Command::Report) => {
                    let report = self.report()?;
                    self.say(&Answer::Report(Box::new(report)))?;
                }
                Ok(Command::End) | Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    fn report(&mut self) -> Result<FleetReport, String> {
        let on = |duty| self.connections.iter().filter(|c| c.is_on(duty)).count() as u32;
        let counted = self.tools.counts.report(self.order.format);
        let mut report = FleetReport {
            open: self.connections.iter().filter(|c| c.is_open()).count() as u32,
            stalled: on(Duty::Stall),
            books: self
                .connections
                .iter()
                .filter_map(Connection::books)
                .map(Books::len)
                .sum::<usize>() as u32,
            ..counted.map_err(|error| error.to_string())?
        };
        report.slow.one_byte = on(Duty::OneByte);
        report.slow.pausing = on(Duty::Pause);
        if let Some(ledger) = &mut self.tools.books.ledger {
            for books in self.connections.iter().filter_map(Connection::books) {
                books.compare(ledger);
            }
            report.slow.conflations = ledger.conflations;
            report.slow.conflations_compared = ledger.conflations_compared;
            report.slow.books_compared = ledger.compared;
            report.slow.books_different = ledger.different;
        }
        Ok(report)
    }

    fn say(&self, answer: &Answer<FleetReport>) -> Result<(), String> {
        process::say(answer).map_err(|error| format!("nobody hears the answers: {error}"))
    }
}
