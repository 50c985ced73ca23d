//! How the connections of a crowd's process begin, leave, and come back, as their role has it.

use mio::{Interest, Token};

use super::CrowdProcess;
use crate::clock::monotonic_ns;
use crate::control::Answer;
use crate::crowd::churn::Churn;
use crate::crowd::order::Role;
use crate::crowd::returns::Returns;
use crate::crowd::storm::Storm;
use crate::fleet::connection::{Connection, OpenFault, Turn};
use crate::fleet::opening::HANDSHAKE_TIME_MAX;
use crate::fleet::plan::{Duty, source};
use crate::fleet::watch::{Start, Watch};

/// Handshakes of a storm that are under way at most: two processes stay within a backlog of 4,096.
const HANDSHAKES_MAX: u32 = 1024;

/// Handshakes of those who come, or come back, that are under way at most, so that fifty processes stay within the backlogs of as many
/// workers: who waits for its place here waits for the server, and that counts.
pub const UNDER_WAY_MAX: u32 = 256;

impl CrowdProcess {
    /// Begins the connection at a place as the role has it at first.
    pub(super) fn begin(&mut self, place: u32) -> Result<(), OpenFault> {
        let number = self.order.first + place;
        let stream = self.deal.stream_of(number);
        let name = self.order.streams[stream as usize].clone();
        let is_keeper = self.order.keeps_book(place);
        let (target, start) = match self.order.role {
            Role::Subscribe { with_snapshot: true } => (self.order.bare_target("snapshot=1"), Start::None),
            Role::Subscribe { with_snapshot: false } => (self.order.bare_target(""), Start::None),
            _ if is_keeper => (self.order.target(&name, "snapshot=1"), Start::Snapshot),
            Role::Stay | Role::Resume { .. } | Role::Leave | Role::Churn { .. } | Role::Return { .. } => {
                (self.order.target(&name, ""), Start::Next)
            }
        };
        let duty = if is_keeper { Duty::Books } else { Duty::Read };
        let mut connection = self.connect(place, &target, (&name, duty))?;
        connection.set_watch(Watch::new(stream, &name, start));
        self.connections.push(connection);
        Ok(())
    }

    /// Begins a connection anew in place of the one there, which has ended; it counts as asking from `asked_ns` on, and a
    /// further try of the same is not counted again.
    fn begin_again(&mut self, place: u32, asked_ns: u64, is_first: bool) -> Result<(), OpenFault> {
        let number = self.order.first + place;
        let stream = self.deal.stream_of(number);
        let name = self.order.streams[stream as usize].clone();
        let is_new = matches!(self.order.role, Role::Churn { .. });
        let before = self.connections[place as usize].watch();
        let asked_ns = match &before {
            Some(watch) if !is_first => watch.asked_ns().unwrap_or(asked_ns),
            _ => asked_ns,
        };
        let is_keeper = self.order.keeps_book(place);
        let with_snapshot = is_keeper || self.order.is_quiet;
        let position = before
            .and_then(|watch| watch.position())
            .filter(|_| !is_new && !with_snapshot);
        let (query, start) = match position {
            Some((last_id, epoch)) => {
                let symbol = name.split('@').next().unwrap_or(&name);
                (
                    format!("resume={symbol}:{last_id}&epoch={epoch}"),
                    Start::After(last_id),
                )
            }
            None if with_snapshot => ("snapshot=1".into(), Start::Snapshot),
            None => (String::new(), Start::Next),
        };
        let mut watch = Watch::new(stream, &name, Start::None);
        if let Some((_, epoch)) = position {
            watch.set_epoch(epoch);
        }
        match &mut self.tools.watching {
            Some(watching) if is_first => watch.ask(start, asked_ns, watching),
            _ => watch.ask_again(start, asked_ns),
        }
        let target = self.order.target(&name, &query);
        let duty = if is_keeper { Duty::Books } else { Duty::Read };
        let connected = self.connect(place, &target, (&name, duty));
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(fault) => {
                // What it asked for is remembered for its next try.
                self.connections[place as usize].set_watch(watch);
                return Err(fault);
            }
        };
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

    /// What the role does at a time of its own begins.
    pub(super) fn go(&mut self) {
        let now_ns = monotonic_ns();
        self.went_ns = now_ns;
        let over_ns = self.order.over_us * 1000;
        let connections = self.order.connections;
        let returns = |backoff| Returns::new(connections, backoff, UNDER_WAY_MAX, self.order.first.into());
        match self.order.role {
            Role::Stay => {}
            Role::Leave => self.leave_all(),
            Role::Subscribe { .. } => {
                self.storm = Some(Storm::new(connections, (now_ns, over_ns), u32::MAX));
            }
            Role::Resume { away_us } => {
                self.leave_all();
                let begun_ns = now_ns + away_us * 1000;
                self.storm = Some(Storm::new(connections, (begun_ns, over_ns), HANDSHAKES_MAX));
            }
            Role::Churn {
                per_million,
                for_us,
                backoff,
            } => {
                self.returns = Some(returns(backoff));
                let until_ns = now_ns.saturating_add(for_us.saturating_mul(1000));
                self.churn = Some(Churn::new(connections, per_million, (now_ns, until_ns)));
                self.is_returning = true;
            }
            Role::Return { backoff } => {
                let mut returns = returns(backoff);
                for place in 0..connections {
                    let connection = &mut self.connections[place as usize];
                    if connection.is_open() {
                        connection.abandon();
                        returns.report.left_without += 1;
                        returns.went_with_others(place, now_ns);
                    }
                }
                self.returns = Some(returns);
                self.is_returning = true;
            }
        }
    }

    fn leave_all(&mut self) {
        for connection in &mut self.connections {
            connection.leave(&mut self.tools);
        }
    }

    /// Lets come who is due in a storm, and tells how far it has gone.
    pub(super) fn go_on(&mut self) -> Result<(), String> {
        self.turn_over()?;
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
            if let Err(fault) = self.begin_again(place, now_ns, true) {
                self.lost += 1;
                self.tools.counts.fault(number, &fault);
            }
            return;
        }
        let start = match self.order.role {
            Role::Subscribe { with_snapshot: true } => Start::Snapshot,
            _ => Start::Next,
        };
        let name = &self.order.streams[self.deal.stream_of(number) as usize];
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

    /// Lets leave and come back who is due, and tells how far it has gone.
    fn turn_over(&mut self) -> Result<(), String> {
        if !self.is_returning {
            return Ok(());
        }
        let Some(mut returns) = self.returns.take() else {
            return Ok(());
        };
        let now_ns = monotonic_ns();
        self.leave_in_turn(&mut returns, now_ns);
        loop {
            let connections = &self.connections;
            let late = returns.late(now_ns, |place| connections[place as usize].is_opening());
            let Some(place) = late else {
                break;
            };
            self.connections[place as usize].abandon();
            returns.failed(place, &OpenFault::Late(HANDSHAKE_TIME_MAX.as_secs()), now_ns);
        }
        // One that fails at once may be due at once again: no more than there are have their turn.
        for _ in 0..self.order.connections {
            let Some((place, is_first)) = returns.next(now_ns) else {
                break;
            };
            let asked_ns = if self.churn.is_some() {
                now_ns
            } else {
                self.went_ns
            };
            if let Err(fault) = self.begin_again(place, asked_ns, is_first) {
                returns.failed(place, &fault, now_ns);
            }
        }
        let is_churn_over = self.churn.as_ref().is_none_or(|churn| churn.is_over(now_ns));
        let watching = self.tools.watching.as_deref();
        let (asked, joined) = watching.map_or((0, 0), |watching| (watching.asked, watching.joined));
        let joined_ns = watching.map_or(now_ns, |watching| watching.joined_ns);
        if is_churn_over && returns.is_over() && joined >= asked {
            self.is_returning = false;
            self.say(&Answer::Ready {
                begun_ns: self.went_ns,
                done_ns: joined_ns.max(self.went_ns),
            })?;
        } else {
            self.progress(joined, now_ns)?;
        }
        self.returns = Some(returns);
        Ok(())
    }

    fn leave_in_turn(&mut self, returns: &mut Returns, now_ns: u64) {
        let Some(churn) = &mut self.churn else {
            return;
        };
        while let Some((place, turns)) = churn.next(now_ns) {
            let connection = &mut self.connections[place as usize];
            let is_joining = connection.watch().is_some_and(|watch| watch.is_joining());
            // Who has not come back yet, or was lost, leaves no second time.
            if self.order.keeps_book(place) || !connection.is_open() || is_joining {
                continue;
            }
            // In each round over all places the other way than in the one before.
            let rounds = turns / u64::from(self.order.connections.max(1));
            if (turns + rounds).is_multiple_of(2) {
                connection.leave(&mut self.tools);
                returns.report.left_with_close += 1;
            } else {
                connection.abandon();
                returns.report.left_without += 1;
            }
            returns.went(place, now_ns);
        }
    }

    /// Puts down what a turn of a connection came to that is on its way back.
    pub(super) fn note_return(&mut self, place: u32, turn: &Turn) {
        let Some(returns) = &mut self.returns else {
            return;
        };
        let now_ns = monotonic_ns();
        let connection = &mut self.connections[place as usize];
        match turn {
            Turn::Opened | Turn::More { opened: true } => returns.opened(),
            Turn::Failed(fault) => return returns.failed(place, fault, now_ns),
            Turn::Closed => {}
            Turn::Nothing | Turn::More { opened: false } => return,
        }
        // One may have been opened and closed in the same turn.
        let is_joining = connection.watch().is_some_and(|watch| watch.is_joining());
        if !connection.is_open() && is_joining {
            returns.closed(place, now_ns);
        }
    }
}
