//! What to subscribe to, and how long to be patient.

use std::time::Duration;

use depthcast_wire::stream::{Cadence, StreamKind, StreamName, SymbolName};
use depthcast_wire::target::Format;

use crate::rest::SNAPSHOT_LIMIT_MAX;
use crate::resume::ResumePoint;
use crate::url::Url;

/// The server's own numbered heartbeats, once a second.
pub(crate) const HEARTBEAT_STREAM: &str = "!heartbeat";

/// What a subscriber asks for.
#[derive(Clone, Debug)]
pub struct SubscriberOptions {
    /// The server.
    pub url: Url,
    /// The symbol, in any case.
    pub symbol: SymbolName,
    /// JSON or SBE.
    pub format: Format,
    /// The cadence of the depth stream; `None` leaves it to the format: 100 ms for JSON, the server's 20 ms for SBE.
    pub cadence: Option<Cadence>,
    /// Whether best bid/ask events are wanted too.
    pub best_bid_ask: bool,
    /// Whether trades are wanted too.
    pub trades: bool,
    /// Whether to connect again when the connection is lost.
    pub reconnect: bool,
    /// The levels a side of a snapshot, at most [`SNAPSHOT_LIMIT_MAX`].
    pub snapshot_limit: u16,
    /// How long to be patient.
    pub timing: Timing,
}

/// How long to be patient.
#[derive(Clone, Debug)]
pub struct Timing {
    /// The longest that one address may take to accept a connection, and then the server to answer the upgrade. 5 s:
    /// two lost packets at the start of a connection.
    pub connect_max: Duration,
    /// The longest that one REST request may take. 5 s: a snapshot is half a megabyte.
    pub rest_max: Duration,
    /// How long to wait for a first update before fetching the snapshot without one, as a quiet market needs it. 1.5 s:
    /// longer than the slowest cadence, so that the subscription is surely in force by then.
    pub first_update_max: Duration,
    /// How long a server may go without a snapshot that joins the updates, before the market counts as stale. 5 s.
    pub snapshot_max: Duration,
    /// How long no depth update may come before the market counts as stale. 10 s.
    pub silence_max: Duration,
    /// The bound of the first delay before a reconnect; it doubles with every try. 250 ms.
    pub reconnect_delay_base: Duration,
    /// The bound that the doubling ends at. 10 s.
    pub reconnect_delay_cap: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect_max: Duration::from_secs(5),
            rest_max: Duration::from_secs(5),
            first_update_max: Duration::from_millis(1500),
            snapshot_max: Duration::from_secs(5),
            silence_max: Duration::from_secs(10),
            reconnect_delay_base: Duration::from_millis(250),
            reconnect_delay_cap: Duration::from_secs(10),
        }
    }
}

impl SubscriberOptions {
    /// Depth only, in JSON, with reconnects.
    pub fn new(url: Url, symbol: SymbolName) -> SubscriberOptions {
        SubscriberOptions {
            url,
            symbol,
            format: Format::Json,
            cadence: None,
            best_bid_ask: false,
            trades: false,
            reconnect: true,
            snapshot_limit: SNAPSHOT_LIMIT_MAX,
            timing: Timing::default(),
        }
    }

    /// The request target that subscribes to everything asked for, and goes on at `resume` where there is such a point.
    pub(crate) fn target(&self, resume: Option<ResumePoint>) -> String {
        let best_bid_ask = match self.format {
            Format::Json => StreamKind::BookTicker,
            Format::Sbe => StreamKind::BestBidAsk,
        };
        let mut path = String::from(match self.format {
            Format::Json => "/ws",
            Format::Sbe => "/sbe/ws",
        });
        let kinds = [
            (true, StreamKind::Depth),
            (self.best_bid_ask, best_bid_ask),
            (self.trades, StreamKind::Trade),
        ];
        for (_, kind) in kinds.into_iter().filter(|(wanted, _)| *wanted) {
            let name = StreamName {
                symbol: self.symbol,
                kind,
                cadence: self.named_cadence().filter(|_| kind.takes_cadence()),
            };
            path.push('/');
            // Stream names are lower case; the stream type keeps its capitals.
            let text = name.to_string();
            let (symbol, stream) = text.split_at(self.symbol.as_str().len());
            path.push_str(&symbol.to_ascii_lowercase());
            path.push_str(stream);
        }
        if resume.is_some() {
            // A server that numbers its history has them; the first connection asks once it knows.
            path.push('/');
            path.push_str(HEARTBEAT_STREAM);
        }
        // Milliseconds would hide what a nearby server's latency is.
        let time_unit = (self.format == Format::Json).then(|| "timeUnit=MICROSECOND".to_owned());
        let resume = resume.map(|point| point.query(self.symbol));
        for (parameter, mark) in time_unit.into_iter().chain(resume).zip(['?', '&']) {
            path.push(mark);
            path.push_str(&parameter);
        }
        self.url.target(&path)
    }

    /// How often depth updates come at most: the cadence asked for, else the format's own.
    pub fn depth_cadence(&self) -> Cadence {
        self.named_cadence().unwrap_or(Cadence::Ms20)
    }

    /// The cadence that the name of the depth stream ends in; without one SBE has 20 ms.
    fn named_cadence(&self) -> Option<Cadence> {
        match (self.cadence, self.format) {
            (None, Format::Json) => Some(Cadence::Ms100),
            (cadence, _) => cadence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_the_streams() {
        let symbol = SymbolName::new("BtcUsdt").unwrap();
        let mut options = SubscriberOptions::new("ws://h:1/base".parse().unwrap(), symbol);
        assert_eq!(
            options.target(None),
            "/base/ws/btcusdt@depth@100ms?timeUnit=MICROSECOND"
        );
        options.best_bid_ask = true;
        options.trades = true;
        options.cadence = Some(Cadence::Ms1000);
        assert_eq!(
            options.target(None),
            "/base/ws/btcusdt@depth@1000ms/btcusdt@bookTicker/btcusdt@trade?timeUnit=MICROSECOND"
        );
        options.format = Format::Sbe;
        options.cadence = None;
        assert_eq!(
            options.target(None),
            "/base/sbe/ws/btcusdt@depth/btcusdt@bestBidAsk/btcusdt@trade"
        );
        assert_eq!(options.depth_cadence(), Cadence::Ms20);
        let point = ResumePoint {
            epoch: 7,
            last_id: 50,
        };
        options.trades = false;
        options.best_bid_ask = false;
        assert_eq!(
            options.target(Some(point)),
            "/base/sbe/ws/btcusdt@depth/!heartbeat?resume=btcusdt:50&epoch=7"
        );
        options.format = Format::Json;
        assert_eq!(
            options.target(Some(point)),
            "/base/ws/btcusdt@depth@100ms/!heartbeat?timeUnit=MICROSECOND&resume=btcusdt:50&epoch=7"
        );
        assert_eq!(options.depth_cadence(), Cadence::Ms100);
        options.cadence = Some(Cadence::Ms0);
        assert_eq!(options.depth_cadence(), Cadence::Ms0);
    }
}
