//! The engine's side of a feed link: messages in their order, checked; what they mean out.

use std::collections::HashSet;
use std::mem;

use depthcast_market::event::{BookSnapshot, MarketEvent};
use depthcast_market::instrument::Instrument;

use super::{LinkMessage, SYMBOLS_MAX};

/// What an engine learns from a feed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkStep {
    /// The exchange and its symbols are known.
    Announced {
        /// The number of its history.
        epoch: u64,
        /// A message comes at least this often, milliseconds.
        heartbeat_ms: u32,
        /// The exchange's time, microseconds.
        time_us: i64,
        /// What it is, for people.
        exchange: String,
        /// Its symbols, each with how often its depth events come, milliseconds.
        symbols: Vec<(Instrument, u32)>,
    },
    /// The whole book of a symbol.
    Book {
        /// The symbol's place.
        symbol: u32,
        /// The exchange's time, microseconds.
        time_us: i64,
        /// Every level.
        snapshot: BookSnapshot,
    },
    /// All books were given: events follow.
    Ready,
    /// Something happened.
    Event {
        /// Its sequence.
        sequence: u64,
        /// The exchange's time, microseconds.
        time_us: i64,
        /// The symbol's place.
        symbol: u32,
        /// What.
        event: MarketEvent,
    },
    /// Nothing happened.
    Heartbeat {
        /// The exchange's time, microseconds.
        time_us: i64,
    },
    /// The exchange ends the link.
    Ended {
        /// Why.
        reason: String,
    },
}

/// Why a message does not fit where it came. The fault is the exchange's, or of whatever stands between.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkSessionError {
    /// Another kind of message was due.
    #[error("the feed link gave {given} where {due} was due")]
    Order {
        /// What came.
        given: &'static str,
        /// What should have.
        due: &'static str,
    },
    /// More symbols than an exchange may have, or none.
    #[error("the feed link announces {0} symbols; it may have 1 to {SYMBOLS_MAX}")]
    Symbols(u32),
    /// A symbol or a book out of its order.
    #[error("the feed link gave symbol {given} where symbol {due} was due")]
    SymbolOrder {
        /// What came.
        given: u32,
        /// What should have.
        due: u32,
    },
    /// Two symbols of one name.
    #[error("the feed link announces the symbol {0} twice")]
    Twice(String),
    /// A symbol that was not announced.
    #[error("event {sequence} of the feed link is of symbol {symbol}, and there are {symbols}")]
    UnknownSymbol {
        /// The event.
        sequence: u64,
        /// The symbol's place.
        symbol: u32,
        /// How many there are.
        symbols: u32,
    },
    /// A time that no exchange has.
    #[error("the feed link tells the time {0} us, which is not within the years 1970 to 9999")]
    Time(i64),
    /// Events are missing, or come again.
    #[error("the feed link gave event {given} where {due} was due{}", missing(*given, *due))]
    Sequence {
        /// What came, or what a heartbeat says came.
        given: u64,
        /// What should have.
        due: u64,
    },
}

/// Where the conversation has come.
#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Greeting,
    /// The hello's fields, and the symbols so far.
    Symbols {
        epoch: u64,
        heartbeat_ms: u32,
        time_us: i64,
        exchange: String,
        given: Vec<(Instrument, u32)>,
    },
    /// How many books were given.
    Books(u32),
    Events,
    Ended,
}

/// The state of one link. It begins anew with each connection.
#[derive(Clone, Debug, Default)]
pub struct LinkSession {
    phase: Phase,
    symbols: u32,
    /// Their names, while they are announced.
    names: HashSet<String>,
    /// The sequence of the last event.
    sequence: u64,
    /// The last book was given, and that has not been said.
    is_ready_due: bool,
}

impl LinkSession {
    /// A link on which nothing was said yet.
    pub fn new() -> LinkSession {
        LinkSession::default()
    }

    /// Takes the next message. None when it means nothing by itself. After an error the link is over.
    pub fn on_message(&mut self, message: LinkMessage) -> Result<Option<LinkStep>, LinkSessionError> {
        check_time(&message)?;
        if let LinkMessage::End { reason } = message {
            self.phase = Phase::Ended;
            return Ok(Some(LinkStep::Ended { reason }));
        }
        match mem::take(&mut self.phase) {
            Phase::Greeting => self.on_hello(message).map(|()| None),
            Phase::Symbols {
                epoch,
                heartbeat_ms,
                time_us,
                exchange,
                mut given,
            } => {
                given.push(self.on_symbol(message, given.len())?);
                if given.len() < self.symbols as usize {
                    self.phase = Phase::Symbols {
                        epoch,
                        heartbeat_ms,
                        time_us,
                        exchange,
                        given,
                    };
                    return Ok(None);
                }
                self.phase = Phase::Books(0);
                self.names = HashSet::new();
                Ok(Some(LinkStep::Announced {
                    epoch,
                    heartbeat_ms,
                    time_us,
                    exchange,
                    symbols: given,
                }))
            }
            Phase::Books(due) => self.on_book(message, due).map(Some),
            Phase::Events => {
                self.phase = Phase::Events;
                self.on_event(message).map(Some)
            }
            Phase::Ended => {
                self.phase = Phase::Ended;
                Err(order(&message, "nothing"))
            }
        }
    }

    /// The sequence of the last event; none before the first book.
    pub fn sequence(&self) -> Option<u64> {
        matches!(self.phase, Phase::Books(_) | Phase::Events).then_some(self.sequence)
    }

    /// What is known without another message: that the last book was given.
    pub fn next_step(&mut self) -> Option<LinkStep> {
        mem::take(&mut self.is_ready_due).then_some(LinkStep::Ready)
    }

    fn on_hello(&mut self, message: LinkMessage) -> Result<(), LinkSessionError> {
        let LinkMessage::Hello {
            epoch,
            sequence,
            time_us,
            heartbeat_ms,
            symbols,
            exchange,
        } = message
        else {
            return Err(order(&message, "the exchange's hello"));
        };
        if !(1..=SYMBOLS_MAX).contains(&symbols) {
            return Err(LinkSessionError::Symbols(symbols));
        }
        (self.symbols, self.sequence) = (symbols, sequence);
        self.phase = Phase::Symbols {
            epoch,
            heartbeat_ms,
            time_us,
            exchange,
            given: Vec::new(),
        };
        Ok(())
    }

    fn on_symbol(&mut self, message: LinkMessage, due: usize) -> Result<(Instrument, u32), LinkSessionError> {
        let LinkMessage::Symbol {
            index,
            instrument,
            depth_cadence_ms,
        } = message
        else {
            return Err(order(&message, "a symbol"));
        };
        if index as usize != due {
            return Err(LinkSessionError::SymbolOrder {
                given: index,
                due: u32::try_from(due).unwrap_or(u32::MAX),
            });
        }
        if !self.names.insert(instrument.name().to_string()) {
            return Err(LinkSessionError::Twice(instrument.name().into()));
        }
        Ok((instrument, depth_cadence_ms))
    }

    fn on_book(&mut self, message: LinkMessage, due: u32) -> Result<LinkStep, LinkSessionError> {
        let LinkMessage::Book {
            symbol,
            time_us,
            snapshot,
        } = message
        else {
            return Err(order(&message, "a book"));
        };
        if symbol != due {
            return Err(LinkSessionError::SymbolOrder { given: symbol, due });
        }
        self.is_ready_due = due + 1 == self.symbols;
        self.phase = if self.is_ready_due {
            Phase::Events
        } else {
            Phase::Books(due + 1)
        };
        Ok(LinkStep::Book {
            symbol,
            time_us,
            snapshot,
        })
    }

    fn on_event(&mut self, message: LinkMessage) -> Result<LinkStep, LinkSessionError> {
        match message {
            LinkMessage::Event {
                sequence,
                time_us,
                symbol,
                event,
            } => {
                let due = self.sequence.wrapping_add(1);
                if sequence != due {
                    return Err(LinkSessionError::Sequence { given: sequence, due });
                }
                if symbol >= self.symbols {
                    return Err(LinkSessionError::UnknownSymbol {
                        sequence,
                        symbol,
                        symbols: self.symbols,
                    });
                }
                self.sequence = sequence;
                Ok(LinkStep::Event {
                    sequence,
                    time_us,
                    symbol,
                    event,
                })
            }
            LinkMessage::Heartbeat { sequence, time_us } if sequence == self.sequence => {
                Ok(LinkStep::Heartbeat { time_us })
            }
            // What it counts and we do not have was lost on the way.
            LinkMessage::Heartbeat { sequence, .. } => Err(LinkSessionError::Sequence {
                given: sequence,
                due: self.sequence,
            }),
            message => Err(order(&message, "an event or a heartbeat")),
        }
    }
}

/// How many events a leap of the sequence has lost.
fn missing(given: u64, due: u64) -> String {
    match given.checked_sub(due) {
        None | Some(0) => ": it came before".into(),
        Some(1) => ": one was lost".into(),
        Some(lost) => format!(": {lost} were lost"),
    }
}

/// The last microsecond of the year 9999: a time past it is in another unit, or none.
const TIME_US_MAX: i64 = 253_402_300_799_999_999;

fn check_time(message: &LinkMessage) -> Result<(), LinkSessionError> {
    let time_us = match *message {
        LinkMessage::Hello { time_us, .. }
        | LinkMessage::Book { time_us, .. }
        | LinkMessage::Event { time_us, .. }
        | LinkMessage::Heartbeat { time_us, .. } => time_us,
        LinkMessage::EngineHello { .. } | LinkMessage::Symbol { .. } | LinkMessage::End { .. } => {
            return Ok(());
        }
    };
    if (0..=TIME_US_MAX).contains(&time_us) {
        Ok(())
    } else {
        Err(LinkSessionError::Time(time_us))
    }
}

fn order(message: &LinkMessage, due: &'static str) -> LinkSessionError {
    let given = match message {
        LinkMessage::EngineHello { .. } => "an engine's hello",
        LinkMessage::Hello { .. } => "the exchange's hello",
        LinkMessage::Symbol { .. } => "a symbol",
        LinkMessage::Book { .. } => "a book",
        LinkMessage::Event { .. } => "an event",
        LinkMessage::Heartbeat { .. } => "a heartbeat",
        LinkMessage::End { .. } => "its end",
    };
    LinkSessionError::Order { given, due }
}
