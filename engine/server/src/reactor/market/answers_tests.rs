//! What REST is answered, and when only that it is known already.

use depthcast_market::interval::KlineInterval;

use super::statistics_tests::trade;
use super::tests::Rig;
use super::*;
use crate::reactor::questions::{Ask, Content, NoAnswer, Question, Revision, Span, Symbols};

const BTC: usize = 0;

fn name(text: &str) -> SymbolName {
    SymbolName::new(text).unwrap()
}

pub(super) fn one(symbol: &str) -> Question {
    Question::Tickers {
        symbols: Symbols::One(name(symbol)),
    }
}

/// What is answered: the revision, and the content unless that is known.
pub(super) fn ask(
    rig: &mut Rig,
    question: Question,
    known: Option<Revision>,
) -> Result<(Revision, Option<Content>), NoAnswer> {
    let (reply, mut answer) = tokio::sync::oneshot::channel();
    let ask = Ask {
        question,
        known,
        reply,
    };
    rig.market.on_request(MarketRequest::Ask(ask));
    let answer = answer.try_recv().expect("an answer at once");
    answer.map(|answer| (answer.revision, answer.content))
}

fn questions() -> Vec<Question> {
    let symbol = name("BTCUSDT");
    vec![
        Question::Depth { symbol, limit: 5 },
        Question::Instruments,
        Question::Trades {
            symbol,
            from_id: None,
            limit: 2,
        },
        Question::AggTrades {
            symbol,
            from_id: None,
            span: Span::default(),
            limit: 2,
        },
        Question::Klines {
            symbol,
            interval: KlineInterval::S1,
            ahead_us: 0,
            span: Span::default(),
            limit: 3,
        },
        Question::AveragePrice { symbol },
        one("BTCUSDT"),
        Question::Tickers {
            symbols: Symbols::Several(vec![name("ETHUSDT"), symbol]),
        },
        Question::Tickers {
            symbols: Symbols::All,
        },
    ]
}

#[test]
fn what_is_known_is_not_told_again_and_what_changed_is() {
    let mut rig = Rig::new();
    for question in questions() {
        assert_eq!(ask(&mut rig, question, None).unwrap_err(), NoAnswer::NotNow);
    }
    rig.begin();
    let nobody = Question::AveragePrice {
        symbol: name("NOSUCH"),
    };
    assert_eq!(ask(&mut rig, nobody, None).unwrap_err(), NoAnswer::UnknownSymbol);
    rig.snapshot(1000, 10, &[(100, 1)], &[(110, 1)]);
    rig.depth(1100, 11..=11, &[(101, 1)], &[]);
    for n in 1..=4 {
        trade(&mut rig, BTC, 1100 + n, n, 100 + n);
    }
    rig.time(1200);
    let known: Vec<Revision> = questions()
        .into_iter()
        .map(|question| {
            let (revision, content) = ask(&mut rig, question.clone(), None).unwrap();
            assert!(content.is_some(), "{question:?}");
            let again = ask(&mut rig, question.clone(), Some(revision)).unwrap();
            assert!(again.0 == revision && again.1.is_none(), "{question:?}");
            revision
        })
        .collect();
    rig.depth(1300, 12..=12, &[(101, 2)], &[]);
    trade(&mut rig, BTC, 1400, 5, 105);
    rig.time(1500);
    for (question, known) in questions().into_iter().zip(known) {
        let (revision, content) = ask(&mut rig, question.clone(), Some(known)).unwrap();
        let has_changed = !matches!(question, Question::Instruments);
        assert_eq!(
            (revision != known, content.is_some()),
            (has_changed, has_changed),
            "{question:?}"
        );
    }
}

#[test]
fn answers_are_what_was_asked_for() {
    let mut rig = Rig::begun();
    rig.snapshot(100_000, 10, &[(100, 1), (99, 1)], &[(110, 1)]);
    for n in 0..6 {
        trade(&mut rig, BTC, 100_000 + 700 * n, n, 100 + n);
    }
    rig.time(104_300);
    let mut content = |question| ask(&mut rig, question, None).unwrap().1.unwrap();
    let symbol = name("BTCUSDT");
    let Content::Depth(_, top) = content(Question::Depth { symbol, limit: 1 }) else {
        panic!("a book")
    };
    assert_eq!((top.last_id, top.bids.len()), (10, 1));
    let mut trades = |from_id, limit| match content(Question::Trades {
        symbol,
        from_id,
        limit,
    }) {
        Content::Trades(_, trades) => trades.iter().map(|trade| trade.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(trades(None, 2), [4, 5]);
    assert_eq!(trades(Some(1), 2), [1, 2]);
    assert!(trades(Some(6), 2).is_empty());
    let mut aggregates = |from_id, from_us, to_us| {
        let span = Span { from_us, to_us };
        match content(Question::AggTrades {
            symbol,
            from_id,
            span,
            limit: 2,
        }) {
            Content::AggTrades(_, trades) => trades.iter().map(|trade| trade.id).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    // Each is one of its own; they count from 1.
    assert_eq!(aggregates(None, None, None), [5, 6]);
    assert_eq!(aggregates(Some(2), None, None), [2, 3]);
    assert_eq!(aggregates(None, Some(100_700_000), None), [2, 3]);
    assert_eq!(aggregates(None, None, Some(101_400_000)), [2, 3]);
    let mut seconds = |from_us, to_us, limit| {
        let span = Span { from_us, to_us };
        match content(Question::Klines {
            symbol,
            interval: KlineInterval::S1,
            ahead_us: 0,
            span,
            limit,
        }) {
            Content::Klines(_, candles) => {
                let of =
                    |candle: &depthcast_market::candle::Candle| (candle.open_us / 1_000_000, candle.trades);
                candles.iter().map(of).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(seconds(None, None, 3), [(102, 2), (103, 1), (104, 0)]);
    assert_eq!(seconds(Some(100_000_001), None, 2), [(101, 1), (102, 2)]);
    assert_eq!(
        seconds(Some(50_000_000), Some(101_000_000), 9),
        [(100, 2), (101, 1)]
    );
    assert_eq!(seconds(Some(200_000_000), None, 9), []);
}
