//! Which question a path and its parameters are, and what they weigh (binance-spot-api-docs, `rest-api.md`).
//!
//! | path under `/api/v3` | parameters | weight |
//! |---|---|---|
//! | `ping`, `time` | | 1 |
//! | `exchangeInfo` | symbol or symbols; or permissions, symbolStatus; showPermissionSets | 20 |
//! | `depth` | symbol, limit (100, at most 5000), symbolStatus | 5, 25, 50, 250 up to a limit of 100, 500, 1000, 5000 |
//! | `trades`, `historicalTrades` | symbol, limit (500, at most 1000); fromId of the latter | 25 |
//! | `aggTrades` | symbol, fromId or startTime and endTime, limit (500, at most 1000) | 4 |
//! | `klines`, `uiKlines` | symbol, interval, startTime, endTime, timeZone, limit (500, at most 1000) | 2 |
//! | `avgPrice` | symbol | 2 |
//! | `ticker/24hr` | symbol or symbols, type, symbolStatus | 2, 40, 80 for 1 to 20, to 100, more symbols |
//! | `ticker/price`, `ticker/bookTicker` | symbol or symbols, symbolStatus | 2 for one, 4 for several |
//!
//! A request that is refused before it is understood weighs 1.

use depthcast_wire::json::rest::TickerForm;
use depthcast_wire::stream::SymbolName;

use super::errors::{
    ApiError, BAD_COMBINATION, INVALID_INTERVAL, INVALID_TICKER_TYPE, NOT_FOUND, STATUS_MISMATCH,
};
use super::parameters::{Parameters, permits_spot, symbol, symbols};
use crate::reactor::questions::{Question, Span, Symbols};

/// Levels a side of a depth answer where the request does not say, and at most.
const DEPTH_LIMIT: (usize, usize) = (100, 5000);

/// Trades and candlesticks where the request does not say, and at most.
const LIST_LIMIT: (usize, usize) = (500, 1000);

/// What a request weighs that asks for nothing.
pub(super) const WEIGHT_LEAST: u32 = 1;

/// What is to be done for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Answer that we are there.
    Ping,
    /// Tell the time.
    Time,
    /// Ask the market.
    Ask(Wanted),
    /// Describe instruments.
    Describe(Description),
    /// If there are these symbols, refuse; else say that there are not.
    RefuseKnown(Symbols, ApiError),
    /// If there are these symbols, answer an empty list of such tickers.
    NoneOf(Symbols, TickerForm),
}

/// What is asked of the market.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) question: Question,
    /// What is told of each symbol, where the question is for tickers.
    pub(super) ticker: Option<TickerForm>,
}

impl Wanted {
    /// Whether the answer is of one symbol that the request names; else tickers are a list.
    pub(super) fn is_of_one(&self) -> bool {
        !matches!(
            self.question,
            Question::Tickers {
                symbols: Symbols::Several(_) | Symbols::All
            }
        )
    }
}

impl Wanted {
    /// Whether the answer is a list of all symbols.
    pub(super) fn is_of_all(&self) -> bool {
        let symbols = Symbols::All;
        self.question == Question::Tickers { symbols }
    }
}

/// Which instruments are described.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Selection {
    All,
    Named(Vec<SymbolName>),
    Nothing,
}

/// Instruments, and whether what may be done with them is told as well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Description {
    pub(super) of: Selection,
    pub(super) with_permissions: bool,
}

/// What a request asks for, and its weight.
pub(super) fn plan(path: &str, query: &str) -> Result<(Plan, u32), ApiError> {
    let Some(endpoint) = path.strip_prefix("/api/v3/") else {
        return Err(NOT_FOUND);
    };
    let read: fn(&Parameters) -> Result<(Plan, u32), ApiError> = match endpoint {
        "ping" => |sent| sent.none().map(|()| (Plan::Ping, 1)),
        "time" => |sent| sent.none().map(|()| (Plan::Time, 1)),
        "exchangeInfo" => exchange_info,
        "depth" => depth,
        "trades" => |sent| trades(sent, false),
        "historicalTrades" => |sent| trades(sent, true),
        "aggTrades" => agg_trades,
        "klines" | "uiKlines" => klines,
        "avgPrice" => average_price,
        "ticker/24hr" => day_tickers,
        "ticker/price" => |sent| tickers(sent, TickerForm::Price, several_weigh_four),
        "ticker/bookTicker" => |sent| tickers(sent, TickerForm::Book, several_weigh_four),
        _ => return Err(NOT_FOUND),
    };
    read(&Parameters::parse(query)?)
}

fn ask(question: Question) -> Plan {
    Plan::Ask(Wanted {
        question,
        ticker: None,
    })
}

fn exchange_info(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let named = named(sent)?;
    let permissions = sent.optional("permissions")?;
    let permitted = permissions.map_or(Ok(true), permits_spot)?;
    let has_status = sent.has("symbolStatus");
    let is_trading = sent.wants_trading()?;
    let with_permissions = sent.boolean("showPermissionSets")?.unwrap_or(true);
    sent.all_read()?;
    let of = match named {
        Some(_) if permissions.is_some() || has_status => return Err(BAD_COMBINATION),
        Some(Symbols::One(name)) => Selection::Named(vec![name]),
        Some(Symbols::Several(names)) => Selection::Named(names),
        _ if permitted && is_trading => Selection::All,
        _ => Selection::Nothing,
    };
    let description = Description { of, with_permissions };
    Ok((Plan::Describe(description), 20))
}

fn depth(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let symbol = sent.symbol()?;
    let limit = sent.limit(DEPTH_LIMIT.0, DEPTH_LIMIT.1)?;
    let is_trading = sent.wants_trading()?;
    sent.all_read()?;
    let weight = match limit {
        0..=100 => 5,
        101..=500 => 25,
        501..=1000 => 50,
        _ => 250,
    };
    let plan = if is_trading {
        ask(Question::Depth { symbol, limit })
    } else {
        Plan::RefuseKnown(Symbols::One(symbol), STATUS_MISMATCH)
    };
    Ok((plan, weight))
}

fn trades(sent: &Parameters, may_be_old: bool) -> Result<(Plan, u32), ApiError> {
    let symbol = sent.symbol()?;
    let limit = sent.limit(LIST_LIMIT.0, LIST_LIMIT.1)?;
    let from_id = if may_be_old { sent.id("fromId")? } else { None };
    sent.all_read()?;
    let question = Question::Trades {
        symbol,
        from_id,
        limit,
    };
    Ok((ask(question), 25))
}

fn span(sent: &Parameters) -> Result<Span, ApiError> {
    Ok(Span {
        from_us: sent.begin("startTime")?,
        to_us: sent.end("endTime")?,
    })
}

fn agg_trades(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let symbol = sent.symbol()?;
    let from_id = sent.id("fromId")?;
    let span = span(sent)?;
    let limit = sent.limit(LIST_LIMIT.0, LIST_LIMIT.1)?;
    sent.all_read()?;
    if from_id.is_some() && span != Span::default() {
        return Err(BAD_COMBINATION);
    }
    let question = Question::AggTrades {
        symbol,
        from_id,
        span,
        limit,
    };
    Ok((ask(question), 4))
}

fn klines(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let symbol = sent.symbol()?;
    let interval = sent.interval()?;
    let span = span(sent)?;
    let ahead_us = sent.zone("timeZone")?;
    let limit = sent.limit(LIST_LIMIT.0, LIST_LIMIT.1)?;
    sent.all_read()?;
    let plan = match interval {
        Some(interval) => ask(Question::Klines {
            symbol,
            interval,
            ahead_us,
            span,
            limit,
        }),
        // The exchange looks for the symbol first.
        None => Plan::RefuseKnown(Symbols::One(symbol), INVALID_INTERVAL),
    };
    Ok((plan, 2))
}

fn average_price(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let symbol = sent.symbol()?;
    sent.all_read()?;
    Ok((ask(Question::AveragePrice { symbol }), 2))
}

fn day_tickers(sent: &Parameters) -> Result<(Plan, u32), ApiError> {
    let form = match sent.optional("type")? {
        None | Some("FULL") => TickerForm::Full,
        Some("MINI") => TickerForm::Mini,
        Some(_) => return Err(INVALID_TICKER_TYPE),
    };
    tickers(sent, form, |symbols| match symbols {
        Symbols::One(_) => 2,
        Symbols::Several(names) if names.len() <= 20 => 2,
        Symbols::Several(names) if names.len() <= 100 => 40,
        Symbols::Several(_) | Symbols::All => 80,
    })
}

fn several_weigh_four(symbols: &Symbols) -> u32 {
    match symbols {
        Symbols::One(_) => 2,
        Symbols::Several(_) | Symbols::All => 4,
    }
}

fn tickers(
    sent: &Parameters,
    form: TickerForm,
    weight: fn(&Symbols) -> u32,
) -> Result<(Plan, u32), ApiError> {
    let symbols = named(sent)?.unwrap_or(Symbols::All);
    let is_trading = sent.wants_trading()?;
    sent.all_read()?;
    let weight = weight(&symbols);
    let plan = match symbols {
        symbols if is_trading => Plan::Ask(Wanted {
            question: Question::Tickers { symbols },
            ticker: Some(form),
        }),
        Symbols::One(_) => Plan::RefuseKnown(symbols, STATUS_MISMATCH),
        _ => Plan::NoneOf(symbols, form),
    };
    Ok((plan, weight))
}

/// What `symbol=S` or `symbols=["S","T"]` names; None when neither is there.
fn named(sent: &Parameters) -> Result<Option<Symbols>, ApiError> {
    let one = sent.optional("symbol")?.map(symbol).transpose()?;
    let several = sent.optional("symbols")?.map(symbols).transpose()?;
    match (one, several) {
        (Some(_), Some(_)) => Err(BAD_COMBINATION),
        (Some(one), None) => Ok(Some(Symbols::One(one))),
        (None, several) => Ok(several.map(Symbols::Several)),
    }
}
