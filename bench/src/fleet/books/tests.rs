//! Books are kept in both formats, raw and wrapped, and every fault of a stream is found.

use depthcast_market::instrument::Instrument;
use depthcast_wire::json::encode as json;
use depthcast_wire::sbe::encode as sbe;
use depthcast_wire::time_unit::TimeUnit;
use depthcast_wire::ws::{Opcode, server_frame};

use super::*;

fn instrument(name: &str) -> Instrument {
    Instrument::new(name, Exponents::default(), 1_000_000, 1000).unwrap()
}

fn snapshot(last_id: u64) -> BookSnapshot {
    let levels = |prices: [i64; 2]| prices.map(|price| Level { price, qty: 5000 }).to_vec();
    BookSnapshot {
        last_id,
        bids: levels([99_000_000, 98_000_000]),
        asks: levels([101_000_000, 102_000_000]),
    }
}

fn update(first_id: u64, last_id: u64, bid: i64) -> DepthUpdate {
    DepthUpdate {
        event_time_us: 1_000_000,
        first_id,
        last_id,
        bids: vec![Level {
            price: bid,
            qty: 1000,
        }],
        asks: Vec::new(),
    }
}

/// What a server can say, as a frame.
struct Server {
    format: Format,
    /// Whether JSON is wrapped.
    combined: bool,
    instrument: Instrument,
}

impl Server {
    fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let name = self.instrument.name().to_lowercase();
        match (self.format, self.combined) {
            (Format::Sbe, _) => server_frame(Opcode::Binary, payload),
            (_, false) => server_frame(Opcode::Text, payload),
            (_, true) => {
                let head = format!(r#"{{"stream":"{name}@depth@100ms","data":"#);
                server_frame(Opcode::Text, &[head.as_bytes(), payload, b"}"].concat())
            }
        }
    }

    fn snapshot(&self, snapshot: &BookSnapshot) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Sbe => sbe::depth_snapshot(&mut out, &self.instrument, 1_000_000, snapshot).unwrap(),
            _ => json::depth_snapshot(
                &mut out,
                &self.instrument,
                TimeUnit::Millisecond,
                1_000_000,
                7,
                snapshot,
            ),
        }
        self.frame(&out)
    }

    fn update(&self, update: &DepthUpdate) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Sbe => sbe::depth_diff(&mut out, &self.instrument, update).unwrap(),
            _ => json::depth_update(&mut out, &self.instrument, TimeUnit::Millisecond, update),
        }
        self.frame(&out)
    }
}

const STREAMS: [&str; 2] = ["btcusdt@depth@100ms", "ethusdt@depth@100ms"];

fn servers() -> impl Iterator<Item = (Server, Books)> {
    let ways = [
        (Format::Json, false),
        (Format::Json, true),
        (Format::Sbe, false),
        (Format::Sbe, true),
    ];
    ways.into_iter().map(|(format, combined)| {
        let server = Server {
            format,
            combined,
            instrument: instrument("BTCUSDT"),
        };
        let streams = if combined { &STREAMS[..] } else { &STREAMS[..1] };
        (server, Books::new(format, streams))
    })
}

#[test]
fn a_book_is_kept_whatever_pieces_it_comes_in() {
    for (server, mut books) in servers() {
        let mut tools = BookTools::default();
        let bytes = [
            server.snapshot(&snapshot(10)),
            server.update(&update(11, 12, 97_000_000)),
            server_frame(Opcode::Ping, b"x"),
            server.update(&update(13, 13, 100_000_000)),
            // A stream that could not merge what was missed goes on with another.
            server.snapshot(&snapshot(50)),
            server.update(&update(51, 60, 96_000_000)),
        ]
        .concat();
        let (mut events, mut gaps) = (0, 0);
        for piece in bytes.chunks(7) {
            let news = books.take(piece, &mut tools);
            assert_eq!(news.first_fault, None);
            events += news.events;
            gaps += news.gaps;
        }
        assert_eq!((events, gaps), (3, 0));
        assert_eq!(books.len(), if server.combined { 2 } else { 1 });
        let (_, book) = books.books.first_key_value().unwrap();
        assert_eq!(book.last_id, Some(60));
        assert_eq!(
            book.book
                .as_ref()
                .unwrap()
                .level_count(depthcast_market::event::Side::Bid),
            3
        );
    }
}

#[test]
fn every_fault_is_counted_and_the_first_described() {
    for (server, mut books) in servers() {
        let mut tools = BookTools::default();
        let mut take = |bytes: Vec<u8>| {
            let news = books.take(&bytes, &mut tools);
            (
                news.events,
                news.gaps,
                news.first_fault.map(|fault| fault.to_string()),
            )
        };
        let stream = match server.format {
            Format::Sbe => "BTCUSDT",
            _ => STREAMS[0],
        };
        let fault = |what: &str| Some(format!("{stream}: {what}"));
        assert_eq!(
            take(server.update(&update(5, 6, 99_000_000))),
            (0, 1, fault("update 5 to 6 came before a snapshot"))
        );
        assert_eq!(take(server.snapshot(&snapshot(10))), (0, 0, None));
        assert_eq!(
            take(server.update(&update(12, 13, 99_000_000))),
            (0, 1, fault("update 12 to 13 came where 11 was expected"))
        );
        assert_eq!(
            take(server.update(&update(14, 15, 99_000_000))),
            (1, 0, None),
            "ids go on"
        );
        // An overlap is as wrong as a hole.
        assert_eq!(
            take(server.update(&update(15, 16, 99_000_000))),
            (0, 1, fault("update 15 to 16 came where 16 was expected"))
        );
        assert_eq!(take(server.snapshot(&snapshot(20))), (0, 0, None));
        assert_eq!(
            take(server.update(&update(21, 21, 101_000_000))),
            (0, 1, fault("the book is crossed after 21"))
        );
        let (events, gaps, what) = take(server.frame(b"{]"));
        assert_eq!((events, gaps), (0, 1));
        assert!(what.as_ref().unwrap().starts_with("undecodable: "), "{what:?}");
    }
}

#[test]
fn what_is_no_depth_event_is_passed_over() {
    let mut tools = BookTools::default();
    let mut books = Books::new(Format::Json, &["btcusdt@depth", "btcusdt@aggTrade", "!heartbeat"]);
    assert_eq!(books.len(), 1);
    for text in [
        r#"{"stream":"!heartbeat","data":{"e":"heartbeat","E":1,"ep":7,"n":3}}"#,
        r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000123}}"#,
        r#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"1.0","B":"1.0","a":"2.0","A":"1.0"}}"#,
    ] {
        let news = books.take(&server_frame(Opcode::Text, text.as_bytes()), &mut tools);
        assert_eq!((news.events, news.gaps, news.first_fault), (0, 0, None), "{text}");
    }
    let mut books = Books::new(Format::Sbe, &["btcusdt@depth", "btcusdt@trade"]);
    let text = r#"{"e":"serverShutdown","E":1700000000123}"#;
    let news = books.take(&server_frame(Opcode::Text, text.as_bytes()), &mut tools);
    assert_eq!((books.len(), news.events, news.gaps), (1, 0, 0));
}

#[test]
fn streams_that_sbe_cannot_tell_apart_have_no_book() {
    let streams = [
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "ethusdt@depth",
        "ethusdt@depth20",
        "bnbusdt@depth",
    ];
    let books = Books::new(Format::Sbe, &streams);
    assert_eq!(books.books.keys().collect::<Vec<_>>(), ["BNBUSDT"]);
    assert_eq!(Books::new(Format::Json, &streams).len(), 4);
    assert!(Books::new(Format::Json, &["btcusdt@trade"]).is_empty());
}

#[test]
fn a_slow_readers_book_is_held_against_anothers() {
    for (server, mut healthy) in servers() {
        let streams = if server.combined {
            &STREAMS[..]
        } else {
            &STREAMS[..1]
        };
        let mut slow = Books::of_slow_reader(server.format, streams);
        let mut tools = BookTools {
            ledger: Some(Ledger::default()),
            ..BookTools::default()
        };
        let mut take = |books: &mut Books, bytes: &[Vec<u8>]| {
            let news = books.take(&bytes.concat(), &mut tools);
            let ledger = tools.ledger.as_ref().unwrap();
            let counts = (ledger.conflations, ledger.conflations_compared, ledger.different);
            (counts, news.first_fault.map(|fault| fault.to_string()))
        };
        let singles = [97, 96, 95, 94].map(|price| price * 1_000_000);
        let updates = (11..)
            .zip(singles)
            .map(|(id, bid)| server.update(&update(id, id, bid)));
        let begun = [vec![server.snapshot(&snapshot(10))], updates.collect()].concat();
        assert_eq!(take(&mut healthy, &begun), ((0, 0, 0), None));
        // What is told one by one is no conflation; two in one are.
        let mut merged = update(12, 13, singles[1]);
        merged.bids.push(Level {
            price: singles[2],
            qty: 1000,
        });
        let first = [begun[0].clone(), begun[1].clone()];
        assert_eq!(take(&mut slow, &first), ((0, 0, 0), None));
        assert_eq!(take(&mut slow, &[server.update(&merged)]), ((1, 1, 0), None));
        // One that lacks a change is found out, though its ids are right.
        let mut slow = Books::of_slow_reader(server.format, streams);
        assert_eq!(take(&mut slow, &first), ((1, 1, 0), None));
        let (counts, fault) = take(&mut slow, &[server.update(&update(12, 14, singles[1]))]);
        assert_eq!(counts, (2, 2, 1));
        let fault = fault.unwrap();
        assert!(
            fault.ends_with("at 14 the book differs from what another connection's said there"),
            "{fault}"
        );
        // A whole book again stands for what could not be told.
        let mut slow = Books::of_slow_reader(server.format, streams);
        assert_eq!(take(&mut slow, &first).0.0, 2);
        assert_eq!(take(&mut slow, &[server.snapshot(&snapshot(10))]).0, (3, 3, 1));
    }
}
