//! What REST is answered. Each answer has a revision made of counters that never go back, so that whether it is the one that is
//! known already is seen without making it.

use std::sync::Arc;

use depthcast_market::instrument::Instrument;
use depthcast_market::interval::SECOND_US;
use depthcast_market::record::{Changes, TradeRecord};
use depthcast_market::statistics::AveragePrice;
use depthcast_wire::stream::SymbolName;

use super::Market;
use super::feed_clock::EMPTIES_PER_STREAM;
use super::symbol::Symbol;
use crate::reactor::questions::{Answer, Ask, Content, NoAnswer, Question, Revision, Span, Symbols, Ticker};

impl Market {
    /// Answers a question. Who has gone away needs no answer.
    pub(super) fn answer(&mut self, ask: Ask) {
        let answer = match self.epoch {
            // Before the first history nobody knows which symbols there are.
            None => Err(NoAnswer::NotNow),
            Some(epoch) => self.answer_to(&ask.question, epoch, ask.known),
        };
        let _ = ask.reply.send(answer);
    }

    fn answer_to(
        &mut self,
        question: &Question,
        epoch: u64,
        known: Option<Revision>,
    ) -> Result<Answer, NoAnswer> {
        match question {
            Question::Depth { symbol, limit } => {
                let symbol = &self.symbols[self.place_of(*symbol)?];
                let top = || symbol.top(*limit).ok_or(NoAnswer::NotNow);
                if !symbol.is_synced() {
                    return Err(NoAnswer::NotNow);
                }
                let revision = revision(epoch, symbol.book_changes());
                of(revision, known, || {
                    Ok(Content::Depth(symbol.instrument().clone(), top()?))
                })
            }
            Question::Instruments => of(revision(epoch, 0), known, || {
                let instruments = self.symbols.iter().map(|symbol| symbol.instrument().clone());
                Ok(Content::Instruments(instruments.collect()))
            }),
            Question::Trades {
                symbol,
                from_id,
                limit,
            } => self.of_record(
                *symbol,
                epoch,
                known,
                |changes| changes.trades,
                |instrument, record| {
                    let trades = record
                        .into_iter()
                        .flat_map(|record| record.trades().iter().copied());
                    let from = from_id.unwrap_or(i64::MIN);
                    let trades = trades.filter(|trade| trade.id >= from).collect();
                    Content::Trades(instrument, first_or_last(trades, from_id.is_some(), *limit))
                },
            ),
            Question::AggTrades {
                symbol,
                from_id,
                span,
                limit,
            } => self.of_record(
                *symbol,
                epoch,
                known,
                |changes| changes.aggregates,
                |instrument, record| {
                    let trades = record
                        .into_iter()
                        .flat_map(|record| record.aggregates().iter().copied());
                    let from = from_id.unwrap_or(i64::MIN);
                    let is_asked_for = |id: i64, at_us: i64| id >= from && holds(span, at_us);
                    let trades = trades
                        .filter(|trade| is_asked_for(trade.id, trade.trade_time_us))
                        .collect();
                    let is_first = from_id.is_some() || span.from_us.is_some();
                    Content::AggTrades(instrument, first_or_last(trades, is_first, *limit))
                },
            ),
            Question::Klines {
                symbol,
                interval,
                ahead_us,
                span,
                limit,
            } => {
                let place = self.moved(*symbol)?;
                let symbol = &self.symbols[place];
                let record = symbol.record();
                let changes = record.map_or(0, |record| record.candle_changes(*interval, *ahead_us));
                of(revision(epoch, changes), known, || {
                    let candles = record.map(TradeRecord::candles);
                    let list = candles
                        .map(|candles| candles.list(*interval, *ahead_us, span.from_us, span.to_us, *limit));
                    Ok(Content::Klines(
                        symbol.instrument().clone(),
                        list.unwrap_or_default(),
                    ))
                })
            }
            Question::AveragePrice { symbol } => self.of_record(
                *symbol,
                epoch,
                known,
                |changes| changes.average,
                |instrument, record| {
                    let average = record.map_or(
                        AveragePrice {
                            price: 0,
                            last_trade_us: 0,
                        },
                        TradeRecord::average,
                    );
                    Content::AveragePrice(instrument, average)
                },
            ),
            Question::Tickers { symbols } => self.tickers(symbols, epoch, known),
        }
    }

    fn tickers(
        &mut self,
        symbols: &Symbols,
        epoch: u64,
        known: Option<Revision>,
    ) -> Result<Answer, NoAnswer> {
        let clock_us = self.clock.now_us();
        // A ticker says until when it is: that is told by seconds, so that it follows from the revision.
        let second_us = clock_us - clock_us.rem_euclid(SECOND_US);
        let windows = second_us.unsigned_abs() / SECOND_US.unsigned_abs();
        let places = match symbols {
            Symbols::One(name) => vec![self.moved(*name)?],
            Symbols::Several(names) => names
                .iter()
                .map(|name| self.moved(*name))
                .collect::<Result<_, _>>()?,
            Symbols::All => {
                let revision = revision(epoch, self.ticker_changes + windows);
                if known == Some(revision) {
                    return Ok(Answer {
                        revision,
                        content: None,
                    });
                }
                for place in 0..self.symbols.len() {
                    self.move_symbol(place);
                }
                (0..self.symbols.len()).collect()
            }
        };
        let change = match symbols {
            Symbols::All => self.ticker_changes,
            _ => places
                .iter()
                .map(|&place| self.symbols[place].ticker_changes())
                .sum(),
        };
        of(revision(epoch, change + windows), known, || {
            let ticker = |symbol: &Symbol| {
                let (mut statistics, best) = symbol.ticker(clock_us);
                let last_trade_us = symbol.record().map_or(0, TradeRecord::last_trade_us);
                statistics.close_us = second_us.max(last_trade_us);
                Ticker {
                    instrument: symbol.instrument().clone(),
                    statistics,
                    best,
                }
            };
            let symbols = places.iter().map(|&place| &self.symbols[place]);
            Ok(Content::Tickers(symbols.map(ticker).collect()))
        })
    }

    /// Answers with something of a symbol's record, of which `change` counts the changes.
    fn of_record(
        &mut self,
        symbol: SymbolName,
        epoch: u64,
        known: Option<Revision>,
        change: impl FnOnce(Changes) -> u64,
        content: impl FnOnce(Arc<Instrument>, Option<&TradeRecord>) -> Content,
    ) -> Result<Answer, NoAnswer> {
        let place = self.moved(symbol)?;
        let symbol = &self.symbols[place];
        let record = symbol.record();
        let change = change(record.map(TradeRecord::changes).unwrap_or_default());
        of(revision(epoch, change), known, || {
            Ok(content(symbol.instrument().clone(), record))
        })
    }

    /// The place of a symbol, which is named in upper case; its statistics are brought up to now.
    fn moved(&mut self, name: SymbolName) -> Result<usize, NoAnswer> {
        let place = self.place_of(name)?;
        self.move_symbol(place);
        Ok(place)
    }

    fn move_symbol(&mut self, place: usize) {
        let (clock_us, at_us) = (self.clock.now_us(), self.ticks.now_us().unwrap_or_default());
        let symbol = &mut self.symbols[place];
        let before = symbol.ticker_changes();
        symbol.move_to(clock_us, at_us, EMPTIES_PER_STREAM, &mut self.outbox);
        self.ticker_changes += symbol.ticker_changes() - before;
    }

    fn place_of(&self, name: SymbolName) -> Result<usize, NoAnswer> {
        let lower = SymbolName::new(&name.as_str().to_ascii_lowercase());
        let place = lower.and_then(|name| self.by_name.get(&name).copied());
        place.ok_or(NoAnswer::UnknownSymbol)
    }
}

fn revision(epoch: u64, change: u64) -> Revision {
    Revision { epoch, change }
}

/// The answer of a revision; without its content where that is known.
fn of(
    revision: Revision,
    known: Option<Revision>,
    content: impl FnOnce() -> Result<Content, NoAnswer>,
) -> Result<Answer, NoAnswer> {
    let content = if known == Some(revision) {
        None
    } else {
        Some(content()?)
    };
    Ok(Answer { revision, content })
}

fn holds(span: &Span, at_us: i64) -> bool {
    span.from_us.is_none_or(|from_us| at_us >= from_us) && span.to_us.is_none_or(|to_us| at_us <= to_us)
}

/// The first or the last of what is in order.
fn first_or_last<T>(mut all: Vec<T>, is_first: bool, limit: usize) -> Vec<T> {
    if is_first {
        all.truncate(limit);
    } else {
        all.drain(..all.len().saturating_sub(limit));
    }
    all
}
