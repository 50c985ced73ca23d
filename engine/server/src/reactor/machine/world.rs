//! A whole worker without threads, sockets and clocks: its connections, the market thread's part, the peers, and beside each
//! peer the model of what it must be sent. Every call into the engine is followed by what the model makes of it, and the two
//! are held against each other.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use depthcast_wire::stream::StreamName;

use super::market::Market;
use super::peer::{Peer, Phase};
use super::reader::Reader;
use super::socket::{Pipe, VirtualSocket};
use super::speech::{Hello, Said, Say, Speech};
use super::{Checked, ROOMY_BUFFER_BYTES, Rules, Seen, ensure};
use crate::fanout::Fanout;
use crate::reactor::connections::Connections;
use crate::reactor::counters::Counters;
use crate::reactor::messages::{MarketRequest, TopicToken};
use crate::reactor::topics::Topics;
use crate::session::encoding::Encoding;
use crate::session::ending::Goodbye;
use crate::session::{EndCause, TurnedAway};

/// Peers at a time.
pub(super) const PEERS: usize = 6;

/// Connections at a time: one less, so that some are turned away.
const CONNECTIONS_MAX: u32 = 5;

/// Requests that the market's mailbox holds: so few that the worker has to keep some.
const MAILBOX: usize = 2;

/// What the market thread was asked for by one connection that waits.
pub(super) struct Asked {
    pub(super) number: u32,
    pub(super) snapshots: Vec<StreamName>,
    pub(super) encoding: Encoding,
    /// The topics as they were then.
    pub(super) topics: HashMap<(StreamName, Encoding), TopicToken>,
}

/// A peer, and the model of its connection.
pub(super) struct Client {
    pub(super) id: u32,
    pub(super) pipe: Rc<RefCell<Pipe>>,
    pub(super) reader: Reader,
    pub(super) peer: Peer,
    pub(super) asked: Option<Asked>,
    /// It opens a WebSocket, and so may say more.
    is_subscriber: bool,
    speech: Speech,
    /// What it has said and what has not arrived.
    held: Vec<u8>,
    /// What the worker has not read to the end.
    pub(super) said: VecDeque<Said>,
    /// Bytes of what the worker has read to the end of a message.
    pub(super) heard: u64,
    /// The last of those stood between two fragments of another.
    pub(super) is_between_fragments: bool,
    /// It had said something in part before the worker's last reads.
    pub(super) was_in_part: bool,
    /// The worker has read its end of stream, and it is to be given what it is owed.
    pub(super) is_at_end: bool,
    pub(super) is_shut: bool,
    /// The round that is under way is for it.
    pub(super) is_to_go: bool,
}

pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) connections: Connections<VirtualSocket>,
    pub(super) counters: Arc<Counters>,
    from_worker: Receiver<MarketRequest>,
    pub(super) market: Market,
    pub(super) clients: Vec<Option<Client>>,
    /// What the worker wants, by its last word.
    pub(super) topics: HashMap<(StreamName, Encoding), TopicToken>,
    pub(super) now: u32,
    pub(super) epoch: Option<u64>,
    /// The engine is ending: nobody new is accepted.
    pub(super) is_stopping: bool,
    /// How a round over all connections says goodbye.
    pub(super) goodbye: Option<Goodbye>,
    /// What those that are gone were counted as.
    pub(super) ended: [u64; EndCause::ALL.len()],
    /// What sockets took: frames of those that are gone, and bytes of all.
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) seen: Seen,
}

impl World {
    pub(super) fn new(rules: &Rules) -> World {
        let (to_market, from_worker) = bounded(MAILBOX);
        let counters = Arc::new(Counters::of_workers(1));
        let mut connections = Connections::new(
            CONNECTIONS_MAX,
            Fanout::new(rules.fanout),
            Topics::new(0, to_market),
            rules.session,
            counters.clone(),
            0,
        );
        connections.bound_buffers(rules.buffer_bytes_max);
        World {
            rules: *rules,
            connections,
            counters,
            from_worker,
            market: Market::default(),
            clients: (0..PEERS).map(|_| None).collect(),
            topics: HashMap::new(),
            now: 0,
            epoch: None,
            is_stopping: false,
            goodbye: None,
            ended: Default::default(),
            frames: 0,
            bytes: 0,
            seen: Seen::default(),
        }
    }

    /// Those that are connected.
    pub(super) fn live(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut().flatten()
    }

    pub(super) fn pass_time(&mut self, ticks: u32) {
        self.now += ticks;
        self.connections.set_now(self.now);
    }

    /// A new connection in a place that is free.
    pub(super) fn connect(
        &mut self,
        place: usize,
        hello: &Hello,
        room: usize,
        turned_away: Option<TurnedAway>,
        hold: usize,
    ) -> Checked {
        if self.clients[place].is_some() || self.is_stopping {
            return Ok(());
        }
        let pipe = Rc::new(RefCell::new(Pipe::default()));
        pipe.borrow_mut().make_room(room);
        let inserted = self.connections.insert(VirtualSocket(pipe.clone()), turned_away);
        let Ok(id) = inserted else {
            ensure!(
                self.connections.len() == CONNECTIONS_MAX,
                "refused with room for more"
            );
            return Ok(());
        };
        // One that is turned away is told so behind its request, whatever that is.
        let upgrade = Hello::Upgrade {
            sbe: false,
            combined: false,
            snapshots: false,
            micros: false,
            streams: 3,
        };
        let hello = match hello {
            Hello::Bad(_) | Hello::Elsewhere if turned_away.is_some() => &upgrade,
            hello => hello,
        };
        let mut client = Client {
            id,
            pipe,
            reader: Reader::new(),
            peer: Peer::new(&self.rules, id, turned_away, self.now),
            asked: None,
            is_subscriber: matches!(hello, Hello::Upgrade { .. }),
            speech: Speech::default(),
            held: Vec::new(),
            said: VecDeque::new(),
            heard: 0,
            is_between_fragments: false,
            was_in_part: false,
            is_at_end: false,
            is_shut: false,
            is_to_go: false,
        };
        let (bytes, said) = client.speech.hello(hello);
        client.said.extend(said);
        client.utter(&bytes, hold);
        self.clients[place] = Some(client);
        self.settle("accepting")
    }

    /// Those in the places of which the mask has the bit.
    fn those(&mut self, places: u8) -> impl Iterator<Item = &mut Client> {
        let clients = self.clients.iter_mut().enumerate();
        clients.filter_map(move |(place, client)| client.as_mut().filter(|_| places >> place & 1 == 1))
    }

    pub(super) fn say(&mut self, places: u8, say: &Say, cut: Option<usize>, hold: usize) {
        for client in self.those(places).filter(|client| client.is_subscriber) {
            let (bytes, said) = client.speech.say(say, cut);
            client.said.extend(said);
            client.utter(&bytes, hold);
        }
    }

    pub(super) fn end_of_stream(&mut self, place: usize) {
        if let Some(client) = &mut self.clients[place] {
            client.pipe.borrow_mut().end();
        }
    }

    pub(super) fn reset(&mut self, places: u8) {
        self.those(places)
            .for_each(|client| client.pipe.borrow_mut().reset());
    }

    pub(super) fn make_room(&mut self, places: u8, bytes: usize) {
        self.those(places)
            .for_each(|client| client.pipe.borrow_mut().make_room(bytes));
    }

    /// Takes note of what the worker asked the market thread for, and holds all connections against their models. Called
    /// behind every call into the engine that changes something.
    pub(super) fn settle(&mut self, doing: &str) -> Checked {
        loop {
            let requests: Vec<MarketRequest> = self.from_worker.try_iter().collect();
            if requests.is_empty() {
                break;
            }
            for request in requests {
                self.on_request(request)?;
            }
            self.connections.topics.flush();
        }
        for place in 0..PEERS {
            self.hold_against_model(place)
                .map_err(|what| format!("peer {place}, {doing} at tick {}: {what}", self.now))?;
        }
        Ok(())
    }

    fn on_request(&mut self, request: MarketRequest) -> Checked {
        match &request {
            MarketRequest::Want {
                token,
                name,
                encoding,
                ..
            } => {
                let before = self.topics.insert((*name, *encoding), *token);
                ensure!(before.is_none(), "{name} is wanted twice");
            }
            MarketRequest::Unwant { token, .. } => {
                let before = self.topics.len();
                self.topics.retain(|_, wanted| wanted != token);
                ensure!(self.topics.len() < before, "{token:?} is not wanted anyhow");
            }
            MarketRequest::Join {
                connection,
                number,
                begins,
                encoding,
                ..
            } => {
                let asked = Asked {
                    number: *number,
                    snapshots: begins.iter().map(|begin| begin.name).collect(),
                    encoding: *encoding,
                    topics: self.topics.clone(),
                };
                if let Some(client) = self.clients.iter_mut().flatten().find(|c| c.id == *connection) {
                    client.asked = Some(asked);
                }
            }
            MarketRequest::Leave { connection, .. } => {
                if let Some(client) = self.live().find(|client| client.id == *connection) {
                    client.asked = None;
                }
            }
            other => return Err(format!("asked for {other:?}")),
        }
        self.market.inbox.push_back(request);
        Ok(())
    }

    fn hold_against_model(&mut self, place: usize) -> Checked {
        let Some(client) = &mut self.clients[place] else {
            return Ok(());
        };
        let pipe = client.pipe.borrow();
        ensure!(!pipe.is_closed, "dropped without a cause");
        ensure!(!pipe.was_misused, "written to behind our end of stream");
        let session = self.connections.session(client.id).ok_or("not in the table")?;
        let excess = std::mem::take(&mut client.peer.owed.excess);
        let cause = session.end_cause();
        let is_over = session.is_closing() && cause == Some(EndCause::TooFarBehind) && excess.may;
        if cause == Some(EndCause::Overload) && session.is_closing() && !client.peer.is_closing() {
            drop(pipe);
            client.refuse_for_room(&self.rules, self.now)?;
            self.seen.no_buffer += 1;
        }
        match client.peer.phase {
            Phase::Closing(expected) if cause == Some(expected) && !excess.must => {
                ensure!(session.is_closing(), "not closed for {expected:?}");
            }
            Phase::Open if session.is_open() && !excess.must => {}
            Phase::Hello => {
                ensure!(
                    !session.is_open() && !session.is_closing(),
                    "open without a request"
                );
            }
            Phase::Open | Phase::Closing(_) if is_over => {
                let reason = "the connection has too many bytes";
                client
                    .peer
                    .give_up(1008, reason, EndCause::TooFarBehind, self.now);
                self.seen.too_much += 1;
            }
            phase => {
                return Err(format!(
                    "{phase:?} and {excess:?} where the session is {session:?}"
                ));
            }
        }
        let (deadline, expected) = (session.deadline(&self.rules.session), client.peer.deadline());
        ensure!(
            deadline == expected,
            "a deadline at {deadline} where {expected} was due"
        );
        for stream in client.peer.received() {
            ensure!(
                self.topics.contains_key(&stream),
                "{stream:?} is received and not wanted"
            );
        }
        client.check_asked()
    }

    /// A connection that the worker was to close is gone.
    pub(super) fn on_gone(&mut self, place: usize, cause: Option<EndCause>) -> Checked {
        let Some(client) = self.clients[place].take() else {
            return Ok(());
        };
        let pipe = client.pipe.borrow();
        ensure!(pipe.is_closed, "peer {place} is kept, in {:?}", client.peer.phase);
        // The peer has not ended its side in the time that it had for that.
        let is_overdue = pipe.is_shut && !client.is_at_end;
        ensure!(
            pipe.will_reset == (!client.peer.owed.is_empty() || is_overdue),
            "peer {place} is closed with a reset: {}, where this is owed: {:?}",
            pipe.will_reset,
            client.peer.owed
        );
        self.ended[cause.unwrap_or(client.peer.cause()).index()] += 1;
        self.frames += client.peer.owed.frames;
        Ok(())
    }

    /// What arrived in part is lent to those who have said something in part, and to nobody else.
    fn check_buffers(&mut self) -> Checked {
        let lent = self.connections.bytes_lent();
        ensure!(lent <= self.rules.buffer_bytes_max, "{lent} bytes are lent");
        let speaking = self.live().filter(|client| {
            let read = client.pipe.borrow().read;
            !client.peer.is_closing() && client.is_in_part(read)
        });
        let speaking = speaking.count();
        self.seen.in_part += speaking as u64;
        ensure!(speaking > 0 || lent == 0, "{lent} bytes are lent to nobody");
        Ok(())
    }

    /// Holds what the worker counts against the sums of the models.
    pub(super) fn check_counts(&mut self) -> Checked {
        self.check_buffers()?;
        self.connections.publish_counts();
        let totals = self.counters.totals();
        let (mut live, mut subscribers, mut blocked) = (0, 0, 0);
        let (mut ended, mut frames) = (self.ended, self.frames);
        for client in self.live() {
            // Those for whom there is no room are not counted.
            live += u64::from(client.peer.cause() != EndCause::NoRoom);
            subscribers += u64::from(client.peer.has_streams());
            blocked += u64::from(client.peer.is_lagging);
            frames += client.peer.owed.frames;
            if let Phase::Closing(cause) = client.peer.phase {
                ended[cause.index()] += 1;
            }
        }
        let expected = (live, subscribers, blocked, frames, self.bytes, ended);
        let counted = (
            totals.connections,
            totals.subscribers,
            totals.blocked,
            totals.deliveries,
            totals.bytes,
            totals.ended,
        );
        ensure!(
            counted == expected,
            "counted {counted:?} where it was {expected:?}"
        );
        ensure!(
            self.counters.subscribers.get() as u64 == subscribers,
            "subscribers"
        );
        Ok(())
    }

    /// Whether nothing is left to do without anybody's doing.
    pub(super) fn is_at_rest(&self) -> bool {
        let market = &self.market;
        self.connections.reads_waiting() == 0
            && !self.connections.fanout.has_work()
            && !self.connections.is_sweeping()
            && market.outbox.is_empty()
            && market.inbox.is_empty()
            && market.waiting() == 0
    }
}

impl Client {
    /// Lets all arrive that was said, but for the last `hold` bytes.
    pub(super) fn utter(&mut self, bytes: &[u8], hold: usize) {
        let mut arriving = std::mem::take(&mut self.held);
        arriving.extend_from_slice(bytes);
        self.held = arriving.split_off(arriving.len().saturating_sub(hold));
        self.pipe.borrow_mut().arrive(&arriving);
    }

    /// Whether the worker has read more of it than whole messages, where it has read so many bytes.
    pub(super) fn is_in_part(&self, read: u64) -> bool {
        read > self.heard || self.is_between_fragments
    }

    /// The worker has refused it memory for what it has said in part.
    pub(super) fn refuse_for_room(&mut self, rules: &Rules, now: u32) -> Checked {
        let is_in_part = self.was_in_part || self.is_in_part(self.pipe.borrow().read);
        ensure!(
            is_in_part && rules.buffer_bytes_max < ROOMY_BUFFER_BYTES,
            "refused memory that it needs not or that there is"
        );
        self.peer.on_no_buffer(now);
        Ok(())
    }

    /// What the market thread was asked for is what the model waits for.
    fn check_asked(&self) -> Checked {
        let (wait, asked) = match (&self.peer.wait, &self.asked) {
            (None, None) => return Ok(()),
            (Some(wait), Some(asked)) => (wait, asked),
            (wait, _) => return Err(format!("waits for {wait:?}, and has (not) asked")),
        };
        let (mut expected, mut snapshots) = (wait.snapshots.clone(), asked.snapshots.clone());
        expected.sort_unstable();
        snapshots.sort_unstable();
        ensure!(
            snapshots == expected && asked.encoding == wait.encoding,
            "asked for {snapshots:?} where {wait:?} was due"
        );
        for name in &wait.joined {
            ensure!(
                asked.topics.contains_key(&(*name, wait.encoding)),
                "asked to join {name}, which was not wanted"
            );
        }
        Ok(())
    }
}
