//! What workers and the admin thread ask for: topics that are wanted or not any more, joins, and what REST answers.

use depthcast_wire::stream::StreamName;

use super::Market;
use super::channel::Outlet;
use super::joins::Join;
use super::{Counters, MarketRequest, Stop};
use crate::session::encoding::Encoding;

impl Market {
    pub(super) fn on_request(&mut self, request: MarketRequest) {
        match request {
            MarketRequest::Want {
                worker,
                token,
                name,
                encoding,
            } => {
                self.wanted.insert((worker, token), (name, encoding));
                if !self.attach(Outlet { worker, token }, name, encoding) && self.epoch.is_some() {
                    Counters::bump(&self.counters.unknown_symbols);
                }
            }
            MarketRequest::Unwant { worker, token } => {
                if let Some((name, encoding)) = self.wanted.remove(&(worker, token)) {
                    self.detach(Outlet { worker, token }, name, encoding);
                }
            }
            MarketRequest::Join {
                worker,
                connection,
                number,
                begins,
                encoding,
            } => {
                let join = Join {
                    worker,
                    connection,
                    number,
                    begins,
                    encoding,
                    pauses: self.outbox.standing(worker).pauses,
                };
                let (joins, books, outbox) = self.joins_and_books();
                joins.add(join, books, outbox);
            }
            MarketRequest::Leave { worker, connection } => self.joins.remove(worker, connection),
            MarketRequest::Ask(ask) => self.answer(ask),
            MarketRequest::Stop { at_once } => {
                self.stop = Some(if at_once { Stop::AtOnce } else { Stop::AfterFeed });
            }
        }
    }

    /// Connects a worker's topic to its symbol; false when there is no such symbol.
    pub(super) fn attach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) -> bool {
        if name.kind.is_of_market() {
            self.market_wide.attach(outlet, name, encoding);
            return true;
        }
        let Some(&symbol) = self.by_name.get(&name.symbol) else {
            return false;
        };
        self.symbols[symbol].attach(outlet, name, encoding);
        true
    }

    fn detach(&mut self, outlet: Outlet, name: StreamName, encoding: Encoding) {
        if name.kind.is_of_market() {
            self.market_wide.detach(outlet, name, encoding);
        } else if let Some(&symbol) = self.by_name.get(&name.symbol) {
            self.symbols[symbol].detach(outlet, name, encoding);
        }
    }
}
