//! What can go wrong for a subscriber, and whose fault it is.

use std::io;
use std::time::Duration;

use depthcast_market::book::BookError;
use depthcast_market::decimal::{Decimal, DecimalError};
use depthcast_market::sync::SyncError;
use depthcast_wire::http::HandshakeError;
use depthcast_wire::json::JsonError;
use depthcast_wire::sbe::SbeError;
use depthcast_wire::ws::{CloseCode, WsError};

use crate::rest::RestError;

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for does not exist: ask for something else.
    Request,
    /// There is no connection, or no longer: the server, the network, or the address.
    Connection,
    /// The market data cannot be trusted: the feed, or the server that passes it on.
    Market,
}

/// Why a subscription failed or was interrupted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody accepts connections there, or the name has no address.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server accepted the connection and did not answer the upgrade in time.
    #[error("{address} accepted the connection but did not answer within {waited:?}")]
    HandshakeTimeout {
        /// Host and port.
        address: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The server did not open the WebSocket.
    #[error("{address} opened no WebSocket: {source}")]
    Handshake {
        /// Host and port.
        address: String,
        /// Why.
        source: HandshakeError,
    },
    /// The socket broke.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The server ended the TCP connection without a Close frame.
    #[error("the server ended the connection without saying why")]
    Dropped,
    /// The server closed the WebSocket.
    #[error("the server closed the connection: {}", CloseText(*code, reason))]
    Closed {
        /// The code, where it gave one.
        code: Option<u16>,
        /// Its explanation; may be empty.
        reason: Box<str>,
    },
    /// The server closed the WebSocket because this subscriber did not keep up with what it subscribed to: a Close 1008
    /// whose reason says "slow consumer". Read more often, subscribe to less, or to a slower cadence. One that does not even
    /// read its Close in time is reset by the server and cannot tell it from any other [`ClientError::Broken`] connection.
    #[error("evicted as a slow consumer: {}", without_slow_consumer(reason))]
    Evicted {
        /// The server's reason, whole.
        reason: Box<str>,
    },
    /// The server broke the WebSocket protocol.
    #[error("the server does not speak WebSocket as RFC 6455 has it: {0}")]
    WebSocket(#[from] WsError),
    /// A JSON message that is no market event.
    #[error("a message cannot be read: {0}")]
    Json(#[from] JsonError),
    /// A binary message that is no SBE market event.
    #[error("a message cannot be read: the server sent SBE in which {0}")]
    Sbe(#[from] SbeError),
    /// A message of a kind that this subscription never asked for.
    #[error("the server sent {0}, which was not subscribed to")]
    Unasked(&'static str),
    /// An event of another symbol.
    #[error("the server sent an event of {got:?} to a subscriber of {symbol}")]
    WrongSymbol {
        /// The symbol subscribed to.
        symbol: Box<str>,
        /// The symbol of the event.
        got: Box<str>,
    },
    /// Numbers of an event do not fit the precision that exchangeInfo gives.
    #[error("an event has a number that the symbol's precision does not hold: {0}")]
    Precision(#[from] DecimalError),
    /// A REST request failed.
    #[error("{0}")]
    Rest(#[from] RestError),
    /// The server does not have the symbol.
    #[error("the server does not know the symbol {symbol}")]
    UnknownSymbol {
        /// The symbol asked for.
        symbol: Box<str>,
    },
    /// An update does not continue the book: updates are missing, or two overlap.
    #[error("gap: {0}")]
    Gap(#[from] SyncError),
    /// The book refused what the feed gave.
    #[error("the book refused an update: {0}")]
    Book(#[from] BookError),
    /// The best bid is at or above the best ask.
    #[error("crossed book: after update {last_id} the best bid {bid} is not below the best ask {ask}")]
    Crossed {
        /// The id the book stands at.
        last_id: u64,
        /// The best bid's price.
        bid: Decimal,
        /// The best ask's price.
        ask: Decimal,
    },
    /// There is no live book.
    #[error("stale market: {0}")]
    Stale(Staleness),
    /// The subscription ended with an error before, and was not to reconnect.
    #[error("the subscription has ended: subscribe again")]
    Ended,
}

/// In what way a market is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Staleness {
    /// No update came that would move the book.
    #[error("no depth update for {}", Seconds(*silent))]
    Silent {
        /// For how long.
        silent: Duration,
    },
    /// The server itself says that it has no live book (HTTP 503).
    #[error("the server has had no live book (HTTP 503) for {}", Seconds(*waited))]
    NotReady {
        /// How long was waited.
        waited: Duration,
    },
    /// Each snapshot was older than the first buffered update.
    #[error("after {} the newest snapshot, of id {snapshot_id}, still does not reach the updates", Seconds(*waited))]
    SnapshotTooOld {
        /// How long was waited.
        waited: Duration,
        /// The id of the last snapshot.
        snapshot_id: u64,
    },
}

/// What a server's reason begins with when it closes a subscriber that does not keep up (this engine's
/// `reactor/connections/lag.rs`; other servers close without such a word).
const SLOW_CONSUMER: &str = "slow consumer";

/// What a reason says beside that.
fn without_slow_consumer(reason: &str) -> &str {
    let detail = reason.strip_prefix(SLOW_CONSUMER).unwrap_or(reason);
    detail.trim_start_matches([':', ' '])
}

impl ClientError {
    /// What a server's Close means.
    pub(crate) fn of_close(code: Option<u16>, reason: &str) -> ClientError {
        let is_eviction = code == Some(CloseCode::POLICY_VIOLATION) && reason.starts_with(SLOW_CONSUMER);
        let reason = reason.into();
        if is_eviction {
            ClientError::Evicted { reason }
        } else {
            ClientError::Closed { code, reason }
        }
    }

    /// Who has to do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            ClientError::UnknownSymbol { .. } => Fault::Request,
            ClientError::Connect { .. }
            | ClientError::HandshakeTimeout { .. }
            | ClientError::Handshake { .. }
            | ClientError::Broken(_)
            | ClientError::Dropped
            | ClientError::Closed { .. }
            | ClientError::Evicted { .. }
            | ClientError::WebSocket(_)
            | ClientError::Rest(_)
            | ClientError::Ended => Fault::Connection,
            ClientError::Json(_)
            | ClientError::Sbe(_)
            | ClientError::Unasked(_)
            | ClientError::WrongSymbol { .. }
            | ClientError::Precision(_)
            | ClientError::Gap(_)
            | ClientError::Book(_)
            | ClientError::Crossed { .. }
            | ClientError::Stale(_) => Fault::Market,
        }
    }

    /// Whether a new connection may help by itself, so that a subscriber who reconnects need not be told of an error.
    pub fn is_connection_lost(&self) -> bool {
        match self {
            ClientError::Connect { .. }
            | ClientError::HandshakeTimeout { .. }
            | ClientError::Handshake { .. }
            | ClientError::Broken(_)
            | ClientError::Dropped
            | ClientError::Closed { .. }
            | ClientError::Evicted { .. } => true,
            ClientError::Rest(error) => error.is_transient(),
            _ => false,
        }
    }

    /// The code of the Close frame that tells the server.
    pub(crate) fn close_code(&self) -> u16 {
        match self {
            ClientError::WebSocket(fault) => fault.close_code(),
            ClientError::Json(_) | ClientError::Sbe(_) | ClientError::Precision(_) | ClientError::Book(_) => {
                CloseCode::INVALID_PAYLOAD
            }
            ClientError::Unasked(_) | ClientError::WrongSymbol { .. } => CloseCode::UNSUPPORTED_DATA,
            _ => CloseCode::NORMAL,
        }
    }
}

/// A code and a reason, as far as there are any.
struct CloseText<'a>(Option<u16>, &'a str);

impl std::fmt::Display for CloseText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            CloseText(None, _) => f.write_str("no code given"),
            CloseText(Some(code), "") => write!(f, "{code}"),
            CloseText(Some(code), reason) => write!(f, "{code} {reason}"),
        }
    }
}

/// A duration for people: `2.5 s`.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_well() {
        let closed = |code, reason: &str| {
            let reason = reason.into();
            ClientError::Closed { code, reason }.to_string()
        };
        assert_eq!(
            closed(Some(1008), "too slow"),
            "the server closed the connection: 1008 too slow"
        );
        assert_eq!(closed(Some(1001), ""), "the server closed the connection: 1001");
        assert_eq!(
            closed(None, ""),
            "the server closed the connection: no code given"
        );
        let evicted = ClientError::of_close(Some(1008), "slow consumer: 70000 bytes behind");
        assert_eq!(
            evicted.to_string(),
            "evicted as a slow consumer: 70000 bytes behind"
        );
        let silent = Duration::from_millis(2_500);
        assert_eq!(
            ClientError::Stale(Staleness::Silent { silent }).to_string(),
            "stale market: no depth update for 2.5 s"
        );
    }

    #[test]
    fn only_a_slow_consumers_close_is_an_eviction() {
        let is_evicted = |code, reason| {
            let error = ClientError::of_close(code, reason);
            assert!(error.is_connection_lost() && error.fault() == Fault::Connection);
            matches!(error, ClientError::Evicted { reason: kept } if *kept == *reason)
        };
        assert!(is_evicted(Some(1008), "slow consumer: 10.5 s behind"));
        assert!(is_evicted(Some(1008), "slow consumer"));
        assert!(!is_evicted(Some(1008), "more than 5 messages in a second"));
        assert!(!is_evicted(Some(1001), "slow consumer: 10.5 s behind"));
        assert!(!is_evicted(None, ""));
    }

    #[test]
    fn the_servers_faults_are_answered_with_their_codes() {
        assert_eq!(ClientError::from(WsError::MaskUnexpected).close_code(), 1002);
        assert_eq!(ClientError::from(JsonError::TooDeep).close_code(), 1007);
        assert_eq!(ClientError::Unasked("a binary message").close_code(), 1003);
    }
}
