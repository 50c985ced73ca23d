//! A subscriber's connections: how each begins, what is done when one is lost, and where the next one goes on.

use std::time::Instant;

use super::Subscriber;
use crate::connection::Connection;
use crate::error::{ClientError, Fault, Staleness};
use crate::event::Event;
use crate::fetch::Fetch;
use crate::options::{HEARTBEAT_STREAM, SubscriberOptions};
use crate::resume::{self, Lost, ResumePoint};

pub(super) enum Link {
    Up(Box<Connection>),
    /// Lost; the next try is due then.
    Down(Instant),
    /// Lost for good.
    Ended,
}

impl Link {
    /// The number of the server's history when the connection was made, where there is one that says so.
    pub(super) fn epoch(&self) -> Option<u64> {
        match self {
            Link::Up(connection) => connection.epoch(),
            Link::Down(_) | Link::Ended => None,
        }
    }
}

impl Subscriber {
    pub(super) fn begin_connection(&mut self, connection: Connection) {
        let now = Instant::now();
        self.may_send_book = self.resume.is_some();
        // The ids of a book mean nothing in another history: the server sends its own book then.
        let goes_on = |point: &ResumePoint| connection.epoch() == Some(point.epoch);
        self.resume = self.resume.filter(goes_on);
        match self.resume {
            Some(_) => self.keeper.resume(),
            None => self.keeper.begin_connection(),
        }
        self.link = Link::Up(Box::new(connection));
        self.before_first_update = true;
        self.heartbeat = None;
        self.latency.on_reconnect();
        self.fetch = Some(Fetch::for_connection(now));
        self.last_progress = now;
        self.synced_told = false;
    }

    pub(super) fn advance_down(
        &mut self,
        due: Instant,
        deadline: Instant,
    ) -> Result<Option<Event>, ClientError> {
        let wake = due.min(deadline);
        std::thread::sleep(wake.saturating_duration_since(Instant::now()));
        if due <= deadline {
            let connection = open(&self.options, self.resume)?;
            self.begin_connection(connection);
        }
        Ok(None)
    }

    /// Puts the state in order after an error; a lost connection that will be made anew is an event.
    pub(super) fn recover(&mut self, error: ClientError) -> Result<Event, ClientError> {
        match &error {
            ClientError::Gap(_) | ClientError::Crossed { .. } => {
                self.counters.gaps += u64::from(matches!(error, ClientError::Gap(_)));
                self.synced_told = false;
                self.fetch = Some(Fetch::for_resync(Instant::now()));
                return Err(error);
            }
            ClientError::Stale(Staleness::NotReady { .. } | Staleness::SnapshotTooOld { .. })
            | ClientError::Ended => return Err(error),
            _ => {}
        }
        self.counters.evicted += u64::from(matches!(error, ClientError::Evicted { .. }));
        self.resume = resume::after(&error, self.how_lost(), self.resume);
        let was_up = self.hang_up(&error);
        if !self.options.reconnect || error.fault() == Fault::Request {
            self.link = Link::Ended;
            return Err(error);
        }
        let delay = self.backoff.next_delay();
        self.link = Link::Down(Instant::now() + delay);
        self.counters.reconnects += u64::from(was_up);
        if error.is_connection_lost() {
            Ok(Event::Reconnecting { reason: error, delay })
        } else {
            Err(error)
        }
    }

    /// How the connection stands that is lost.
    fn how_lost(&self) -> Lost {
        match &self.link {
            Link::Down(_) | Link::Ended => Lost::NotMade,
            Link::Up(_) if self.keeper.is_resuming() => Lost::Resuming,
            Link::Up(connection) if self.keeper.is_synced() => {
                Lost::InStep(connection.epoch().map(|epoch| ResumePoint {
                    epoch,
                    last_id: self.keeper.book().last_id(),
                }))
            }
            Link::Up(_) => Lost::OutOfStep,
        }
    }

    /// Drops the connection, if there is one, with the Close that the error asks for.
    fn hang_up(&mut self, error: &ClientError) -> bool {
        self.keeper.begin_connection();
        match std::mem::replace(&mut self.link, Link::Ended) {
            Link::Up(connection) => {
                if !error.is_connection_lost() {
                    connection.close(error.close_code(), &error.to_string());
                }
                true
            }
            Link::Down(_) | Link::Ended => false,
        }
    }
}

pub(super) fn open(
    options: &SubscriberOptions,
    resume: Option<ResumePoint>,
) -> Result<Connection, ClientError> {
    let target = options.target(resume);
    let mut connection = Connection::open(&options.url, &target, options.timing.connect_max)?;
    if resume.is_none() && connection.epoch().is_some() {
        // No other server knows such a stream, so it is asked for only now.
        let request = format!(r#"{{"method":"SUBSCRIBE","params":["{HEARTBEAT_STREAM}"],"id":1}}"#);
        connection.send_text(&request)?;
    }
    Ok(connection)
}
