//! Where a subscriber left off when its connection was lost, and whether the next connection may go on from there.
//!
//! A server that can tell what was missed numbers its history in the answer to an upgrade (`Depthcast-Epoch`), and takes
//! `resume=SYMBOL:ID&epoch=N` in a URL. Ids are of one history: without its number there is nothing to go on from.

use depthcast_wire::http::HandshakeError;
use depthcast_wire::stream::SymbolName;

use crate::error::{ClientError, Staleness};

/// A book's place in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResumePoint {
    /// The number of the history.
    pub(crate) epoch: u64,
    /// The last update id that the book holds.
    pub(crate) last_id: u64,
}

/// How a connection stood when it was lost, or that there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The book was in step, here; `None` where the server does not number its history.
    InStep(Option<ResumePoint>),
    /// It was to go on from the point before, and nothing had come that said so.
    Resuming,
    /// The book was not in step.
    OutOfStep,
    /// The next connection was not even made.
    NotMade,
}

impl ResumePoint {
    /// The parameters of a URL that ask to go on here.
    pub(crate) fn query(&self, symbol: SymbolName) -> String {
        let symbol = symbol.as_str().to_ascii_lowercase();
        format!("resume={symbol}:{}&epoch={}", self.last_id, self.epoch)
    }
}

/// Where the connection after `error` is to go on; `before` is where the one that was lost was to.
///
/// A server that has refused to resume says so by a Close, or by refusing the request: it is not asked the same again.
pub(crate) fn after(error: &ClientError, lost: Lost, before: Option<ResumePoint>) -> Option<ResumePoint> {
    let is_loss = error.is_connection_lost() || matches!(error, ClientError::Stale(Staleness::Silent { .. }));
    match lost {
        // What the server sent last could not be taken: what it would make of it is not to be taken either.
        _ if !is_loss => None,
        Lost::InStep(point) => point,
        Lost::Resuming if is_said_by_server(error) => None,
        Lost::NotMade if is_refused_request(error) => None,
        Lost::Resuming | Lost::NotMade => before,
        Lost::OutOfStep => None,
    }
}

fn is_said_by_server(error: &ClientError) -> bool {
    matches!(error, ClientError::Closed { .. } | ClientError::Evicted { .. })
}

/// Whether a request was refused for what it says. Too many requests (429) and servers that are not ready are no such thing.
fn is_refused_request(error: &ClientError) -> bool {
    match error {
        ClientError::Handshake {
            source: HandshakeError::Refused { status, .. },
            ..
        } => (400..500).contains(status) && *status != 429,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OLD: ResumePoint = ResumePoint {
        epoch: 7,
        last_id: 40,
    };
    const NEW: ResumePoint = ResumePoint {
        epoch: 7,
        last_id: 50,
    };

    fn refused(status: u16) -> ClientError {
        ClientError::Handshake {
            address: "h:1".into(),
            source: HandshakeError::Refused {
                status,
                text: String::new(),
            },
        }
    }

    #[test]
    fn a_lost_connection_goes_on_where_its_book_stood() {
        let evicted = || ClientError::of_close(Some(1008), "slow consumer");
        let silent = Duration::from_secs(10);
        for error in [
            ClientError::Dropped,
            ClientError::of_close(Some(1012), ""),
            evicted(),
            ClientError::Stale(Staleness::Silent { silent }),
        ] {
            assert_eq!(
                after(&error, Lost::InStep(Some(NEW)), Some(OLD)),
                Some(NEW),
                "{error}"
            );
            assert_eq!(after(&error, Lost::InStep(None), Some(OLD)), None, "{error}");
            assert_eq!(after(&error, Lost::OutOfStep, Some(OLD)), None, "{error}");
        }
        let unread = ClientError::Unasked("market data in JSON");
        assert_eq!(after(&unread, Lost::InStep(Some(NEW)), None), None);
    }

    #[test]
    fn a_point_outlives_connections_that_come_to_nothing_but_no_refusal() {
        assert_eq!(after(&ClientError::Dropped, Lost::Resuming, Some(OLD)), Some(OLD));
        assert_eq!(after(&ClientError::Dropped, Lost::NotMade, Some(OLD)), Some(OLD));
        for status in [429, 500, 503] {
            assert_eq!(after(&refused(status), Lost::NotMade, Some(OLD)), Some(OLD));
        }
        assert_eq!(after(&refused(400), Lost::NotMade, Some(OLD)), None);
        let too_much = ClientError::of_close(Some(1013), "reconnect without resume=");
        assert_eq!(after(&too_much, Lost::Resuming, Some(OLD)), None);
    }
}
