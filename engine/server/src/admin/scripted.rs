//! A market thread for tests: it answers every question at once, with contents that a test can foresee, of a revision that the
//! test sets.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use depthcast_market::candle::Candle;
use depthcast_market::event::{AggTrade, BestBidAsk, BookSnapshot, Level, Trade};
use depthcast_market::instrument::{Exponents, Instrument};
use depthcast_market::statistics::{AveragePrice, DayStatistics};
use depthcast_wire::stream::SymbolName;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::rest::Rest;
use super::weights::WeightLimits;
use crate::reactor::messages::MarketRequest;
use crate::reactor::questions::{Answer, Ask, Content, NoAnswer, Question, Revision, Span, Symbols, Ticker};

/// The symbols there are.
pub(super) const NAMES: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

/// Noon of some day, microseconds.
pub(super) const NOON_US: i64 = 1_723_161_600_123_456;

/// A market that is asked and does not know that it is a test's.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) rest: Rest,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    runtime: tokio::runtime::Runtime,
}

#[derive(Debug, Default)]
struct Shared {
    change: AtomicU64,
    is_stale: AtomicBool,
    copies: AtomicU64,
    questions: Mutex<Vec<(Question, Option<Revision>)>>,
}

/// What a test sees of an answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

impl Scripted {
    pub(super) fn start() -> Scripted {
        Scripted::limited(WeightLimits {
            weight_per_minute: 0,
            loopback: false,
        })
    }

    pub(super) fn limited(limits: WeightLimits) -> Scripted {
        let (market, requests) = bounded(64);
        Scripted::over(market, limits, |shared| {
            std::thread::spawn(move || answer_all(&requests, &shared))
        })
    }

    /// One whose market thread takes nothing, and has room for so many questions.
    pub(super) fn deaf(room: usize) -> (Scripted, Receiver<MarketRequest>) {
        let (market, requests) = bounded(room);
        let limits = WeightLimits {
            weight_per_minute: 0,
            loopback: false,
        };
        (
            Scripted::over(market, limits, |_| std::thread::spawn(|| {})),
            requests,
        )
    }

    fn over(
        market: Sender<MarketRequest>,
        limits: WeightLimits,
        start: impl FnOnce(Arc<Shared>) -> JoinHandle<()>,
    ) -> Scripted {
        let shared = Arc::<Shared>::default();
        Scripted {
            rest: Rest::new(market, limits),
            thread: Some(start(shared.clone())),
            shared,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime"),
        }
    }

    /// Everything has changed.
    pub(super) fn change(&self) {
        self.shared.change.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is known for now, or again.
    pub(super) fn set_stale(&self, is_stale: bool) {
        self.shared.is_stale.store(is_stale, Ordering::Relaxed);
    }

    /// How many contents were copied.
    pub(super) fn copies(&self) -> u64 {
        self.shared.copies.load(Ordering::Relaxed)
    }

    /// The questions since the last call.
    pub(super) fn questions(&self) -> Vec<Question> {
        let all = std::mem::take(&mut *self.shared.questions.lock().expect("a lock"));
        all.into_iter().map(|(question, _)| question).collect()
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(super) fn get(&self, target: &str) -> Seen {
        self.ask(Method::GET, target, &[], "192.0.2.1", NOON_US)
    }

    pub(super) fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&'static str, &'static str)],
        peer: &str,
        now_us: i64,
    ) -> Seen {
        self.block_on(self.asked(method, target, headers, peer, now_us))
    }

    pub(super) async fn asked(
        &self,
        method: Method,
        target: &str,
        headers: &[(&'static str, &'static str)],
        peer: &str,
        now_us: i64,
    ) -> Seen {
        use http_body_util::BodyExt;
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target.replace('"', "%22").parse().expect("a target");
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        let peer = peer.parse().expect("an address");
        let response = self.rest.answer(&request, peer, now_us).await;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .expect("a body in memory")
            .to_bytes()
            .to_vec();
        Seen {
            status: head.status,
            headers: head.headers,
            body,
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // The thread ends with the last way to it.
        let (nobody, _) = bounded(0);
        self.rest = Rest::new(
            nobody,
            WeightLimits {
                weight_per_minute: 0,
                loopback: false,
            },
        );
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking(),
            "the market's thread failed"
        );
    }
}

fn answer_all(requests: &Receiver<MarketRequest>, shared: &Shared) {
    for request in requests {
        let MarketRequest::Ask(Ask {
            question,
            known,
            reply,
        }) = request
        else {
            panic!("REST only asks")
        };
        let answer = answer(&question, known, shared);
        shared.questions.lock().expect("a lock").push((question, known));
        let _ = reply.send(answer);
    }
}

fn answer(question: &Question, known: Option<Revision>, shared: &Shared) -> Result<Answer, NoAnswer> {
    if shared.is_stale.load(Ordering::Relaxed) {
        return Err(NoAnswer::NotNow);
    }
    let change = shared.change.load(Ordering::Relaxed);
    let revision = Revision { epoch: 1, change };
    let content = content(question, change)?;
    if known == Some(revision) {
        return Ok(Answer {
            revision,
            content: None,
        });
    }
    shared.copies.fetch_add(1, Ordering::Relaxed);
    Ok(Answer {
        revision,
        content: Some(content),
    })
}

pub(super) fn instrument(name: &str) -> Arc<Instrument> {
    Arc::new(Instrument::new(name, Exponents::default(), 1_000_000, 1_000).expect("a valid instrument"))
}

fn known(symbol: &SymbolName) -> Result<Arc<Instrument>, NoAnswer> {
    let name = NAMES.iter().find(|name| **name == symbol.as_str());
    Ok(instrument(name.ok_or(NoAnswer::UnknownSymbol)?))
}

/// What is answered: as many as asked for, with the number of the change and what the question says in it.
fn content(question: &Question, change: u64) -> Result<Content, NoAnswer> {
    Ok(match question {
        Question::Depth { symbol, limit } => {
            let side = |from: i64, step: i64| {
                (0..*limit as i64)
                    .map(|n| Level {
                        price: from + n * step,
                        qty: 100 + n,
                    })
                    .collect()
            };
            let top = BookSnapshot {
                last_id: 1000 + change,
                bids: side(10_000_000, -1),
                asks: side(10_000_001, 1),
            };
            Content::Depth(known(symbol)?, top)
        }
        Question::Instruments => Content::Instruments(NAMES.map(instrument).to_vec()),
        Question::Trades {
            symbol,
            from_id,
            limit,
        } => {
            let first = from_id.unwrap_or(500);
            let trade = |n| Trade {
                event_time_us: NOON_US,
                trade_time_us: NOON_US,
                id: first.saturating_add(n),
                price: 200_000_000,
                qty: 50_000_000,
                is_buyer_maker: true,
                is_best_match: true,
                aggregate: None,
            };
            Content::Trades(known(symbol)?, (0..*limit as i64).map(trade).collect())
        }
        Question::AggTrades {
            symbol,
            from_id,
            span,
            limit,
        } => {
            let first = from_id.unwrap_or(70);
            let trade = |n| AggTrade {
                event_time_us: NOON_US,
                id: first.saturating_add(n),
                price: 200_000_000,
                qty: 50_000_000,
                first_trade_id: n,
                last_trade_id: n,
                trade_time_us: span.from_us.unwrap_or(NOON_US),
                is_buyer_maker: false,
                is_best_match: true,
            };
            Content::AggTrades(known(symbol)?, (0..*limit as i64).map(trade).collect())
        }
        Question::Klines {
            symbol,
            span: Span { from_us, .. },
            limit,
            ..
        } => {
            let begin = from_us.unwrap_or(0);
            let candle = |n: i64| Candle {
                open_us: begin.saturating_add(n * 60_000_000),
                end_us: begin.saturating_add((n + 1) * 60_000_000),
                open: 1,
                high: 4,
                low: 1,
                close: 2,
                volume: 5,
                quote_volume: 600_000_000,
                taker_buy_volume: 3,
                taker_buy_quote_volume: 200_000_000,
                first_trade_id: 1,
                last_trade_id: 2,
                trades: 2,
            };
            Content::Klines(known(symbol)?, (0..*limit as i64).map(candle).collect())
        }
        Question::AveragePrice { symbol } => Content::AveragePrice(
            known(symbol)?,
            AveragePrice {
                price: 935_751_834,
                last_trade_us: NOON_US,
            },
        ),
        Question::Tickers { symbols } => {
            let all: Vec<Arc<Instrument>> = match symbols {
                Symbols::One(name) => vec![known(name)?],
                Symbols::Several(names) => names.iter().map(known).collect::<Result<_, _>>()?,
                Symbols::All => NAMES.map(instrument).to_vec(),
            };
            Content::Tickers(all.into_iter().map(ticker).collect())
        }
    })
}

fn ticker(instrument: Arc<Instrument>) -> Ticker {
    let level = |price, qty| Level { price, qty };
    Ticker {
        instrument,
        statistics: DayStatistics {
            open_us: NOON_US - 86_400_000_000,
            close_us: NOON_US,
            before: Some(90),
            open: 100,
            high: 130,
            low: 95,
            last: 110,
            last_qty: 7,
            volume: 1000,
            quote_volume: 105_500,
            first_trade_id: 1,
            last_trade_id: 9,
            trades: 9,
        },
        best: Some(BestBidAsk {
            event_time_us: None,
            update_id: 1,
            bid: level(109, 5),
            ask: level(111, 6),
        }),
    }
}
