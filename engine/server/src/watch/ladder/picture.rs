//! What one frame of the ladder shows, as plain values: made by the model, drawn by the view.

use depthcast_client::latency::{LatencyReport, NoLatency};
use depthcast_client::{BookOrigin, Counters};
use depthcast_market::decimal::Decimal;
use depthcast_market::event::{Level, Trade};
use depthcast_wire::stream::SymbolName;

/// Everything about the market that is shown. Times are cut to what is printed, so that pictures of an unchanged market
/// are equal and need not be drawn again.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::watch) struct Picture {
    pub(super) symbol: SymbolName,
    pub(super) sequence: Sequence,
    /// Why the book shown may be wrong by now.
    pub(super) stale: Option<Stale>,
    /// Known once the server has told the symbol's precision.
    pub(super) steps: Option<Steps>,
    /// Ticks that one row holds.
    pub(super) group: i64,
    /// Best first.
    pub(super) asks: Vec<Row>,
    /// Best first.
    pub(super) bids: Vec<Row>,
    /// The best levels themselves, whatever the grouping.
    pub(super) best_ask: Option<Level>,
    pub(super) best_bid: Option<Level>,
    /// The price of the last trade, and which way it went.
    pub(super) last: Option<(i64, Direction)>,
    /// Newest first.
    pub(super) trades: Vec<Trade>,
    /// Tenths of an update a second.
    pub(super) update_rate: u64,
    /// Tenths of a trade a second.
    pub(super) trade_rate: u64,
    pub(super) latency: Result<LatencyReport, NoLatency>,
    /// The id that the book stands at; `None` before the first snapshot.
    pub(super) last_id: Option<u64>,
    pub(super) counters: Counters,
    /// How the book came into step after a connection was lost; `None` where none was.
    pub(super) rejoined: Option<Rejoined>,
    /// The server has announced its end.
    pub(super) shutdown_announced: bool,
}

/// How a book came into step again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejoined {
    /// Where it comes from.
    pub(super) origin: BookOrigin,
    /// The id that it stood at.
    pub(super) last_id: u64,
}

/// Tick and lot size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) tick: Decimal,
    pub(super) lot: Decimal,
}

/// One row of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Price mantissa; of a group, its far edge.
    pub(super) price: i64,
    /// Quantity mantissa.
    pub(super) qty: i64,
    /// The quantities from the best row to this one.
    pub(super) total: i64,
    /// Changed a moment ago.
    pub(super) is_fresh: bool,
}

/// Which way a price went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
    /// As before, or the first one.
    Level,
}

/// How the book stands to its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// There has been no connection yet.
    Connecting,
    /// Connected; a snapshot is on its way.
    Synchronising,
    InStep,
    /// Updates were missing or wrong; a new snapshot is on its way.
    Broken {
        reason: String,
    },
    /// No connection; `in_tenths` of a second the next try, where that is known.
    Reconnecting {
        reason: String,
        in_tenths: Option<u64>,
    },
    /// Nothing more comes.
    Ended {
        reason: String,
    },
}

/// Why and since when the book shown may be wrong, in tenths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// Connected, and no update comes.
    Silent { tenths: u64 },
    /// The book is not in step.
    OutOfStep { tenths: u64 },
}
