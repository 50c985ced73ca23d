//! A look at everything that a subscriber receives, in the order of reception and before it is judged: what a recording
//! is made of.

use std::collections::VecDeque;

use depthcast_market::event::{BestBidAsk, BookSnapshot, DepthUpdate, Trade};
use depthcast_market::instrument::Instrument;

use crate::decode::Content;

/// One thing that was received.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// A depth update, whether the book will take it, keep it waiting, or hold it already.
    Depth {
        /// The update.
        update: &'a DepthUpdate,
        /// It is the first of its connection. Only there may ids go back: the server has begun anew.
        is_first_of_connection: bool,
        /// The number of the server's history when the connection was made, where it says so (`Depthcast-Epoch`).
        epoch: Option<u64>,
    },
    /// Best bid and ask.
    BestBidAsk(&'a BestBidAsk),
    /// A trade; those of one message come one after the other.
    Trade(&'a Trade),
    /// A whole book: over REST, one that is too old included, or from the server where it could not resume.
    Snapshot {
        /// The book.
        snapshot: &'a BookSnapshot,
        /// The number of the server's history when the connection was made, where it says so (`Depthcast-Epoch`).
        epoch: Option<u64>,
    },
}

/// Is called with the receive time (microseconds since the Unix epoch in this host's clock), whose mantissas they are,
/// and what was received. It is called between reads of the socket, so it must not take long.
pub type Tap = Box<dyn FnMut(i64, &Instrument, Received<'_>) + Send>;

/// Shows a message to the tap; `trades` are those of this message.
pub(crate) fn show(
    tap: &mut Tap,
    received_us: i64,
    instrument: &Instrument,
    content: &Content,
    trades: &VecDeque<Trade>,
    (is_first_of_connection, epoch): (bool, Option<u64>),
) {
    match content {
        Content::Depth(update) => {
            let received = Received::Depth {
                update,
                is_first_of_connection,
                epoch,
            };
            tap(received_us, instrument, received);
        }
        Content::BestBidAsk(best) => tap(received_us, instrument, Received::BestBidAsk(best)),
        Content::Trades => {
            for trade in trades {
                tap(received_us, instrument, Received::Trade(trade));
            }
        }
        Content::Snapshot(snapshot) => tap(received_us, instrument, Received::Snapshot { snapshot, epoch }),
        Content::Heartbeat(_) | Content::Reply | Content::ServerShutdown => {}
    }
}
