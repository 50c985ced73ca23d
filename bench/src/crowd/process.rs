//! A crowd's process: its loop over all its connections, which are the fleet's, and what it tells the bench.

mod comings;
mod report;

pub use comings::UNDER_WAY_MAX;

use std::collections::VecDeque;
use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::{Events, Poll};

use super::churn::Churn;
use super::deal::Deal;
use super::order::{CrowdOrder, CrowdReport};
use super::returns::Returns;
use super::storm::Storm;
use crate::clock::monotonic_ns;
use crate::control::polled::{self, WAKER};
use crate::control::{Answer, Command, process};
use crate::fleet::connection::{Connection, Tools, Turn};
use crate::fleet::opening::{Next, Opening};
use crate::fleet::process::{EVENTS_PER_TURN_MAX, OPENING_WAIT_MAX, PROGRESS_INTERVAL};
use crate::fleet::trail::Trail;
use crate::fleet::watch::Watching;

/// How long it sleeps while a storm goes on and nothing is to be read: a storm of 20,000 in a second has one due each 50 us.
const STORM_PAUSE: Duration = Duration::from_micros(100);
/// The longest that it sleeps while connections leave and come back.
const RETURN_PAUSE_MAX: Duration = Duration::from_millis(2);

/// The whole life of the hidden subcommand `crowd-process`, which is that of a fleet process with another order.
pub fn run_child() -> ExitCode {
    polled::live(|order, poll, commands| CrowdProcess::new(order, poll, commands).run())
}

struct CrowdProcess {
    order: CrowdOrder,
    deal: Deal,
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
    /// Who leaves in turn, where the role says so.
    churn: Option<Churn>,
    /// Who comes back, from `Go` on.
    returns: Option<Returns>,
    /// Not all are back.
    is_returning: bool,
    /// When `Go` came.
    went_ns: u64,
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
            opening: Some(
                Opening::new(order.connections, now_ns)
                    .paced(order.connects_per_s)
                    .with_at_once(order.at_once),
            ),
            storm: None,
            churn: None,
            returns: None,
            is_returning: false,
            went_ns: now_ns,
            lost: 0,
            begun_ns: now_ns,
            progress_ns: now_ns,
            deal: order.deal(),
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
            (None, None) if self.is_returning => pause.clamp(STORM_PAUSE, RETURN_PAUSE_MAX),
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
        if self.is_returning {
            return self.note_return(place, turn);
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
