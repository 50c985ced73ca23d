//! Numbers for people: prices with the decimals that the symbol's steps have, latencies in the unit that suits.

use std::fmt;

use depthcast_client::BookOrigin;
use depthcast_market::book::Book;
use depthcast_market::decimal::Decimal;
use depthcast_market::event::{Level, Side};
use depthcast_market::instrument::Instrument;

/// A number printed with the decimals that `step` needs; with all of its own where those do not hold it.
pub(super) struct InSteps {
    pub(super) mantissa: i64,
    pub(super) step: Decimal,
}

impl fmt::Display for InSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = Decimal {
            mantissa: self.mantissa,
            exponent: self.step.exponent,
        };
        number
            .rescale(shortest(self.step).exponent)
            .unwrap_or(number)
            .fmt(f)
    }
}

/// The same number without trailing zeros after the point.
fn shortest(mut decimal: Decimal) -> Decimal {
    while decimal.exponent < 0 && decimal.mantissa % 10 == 0 {
        decimal.mantissa /= 10;
        decimal.exponent += 1;
    }
    decimal
}

/// The best bid and ask of a book, as `bid 61737.63 x 0.12000  ask 61737.64 x 1.00000  spread 0.01`.
pub(super) struct Best<'a> {
    pub(super) book: &'a Book,
    pub(super) instrument: &'a Instrument,
}

impl fmt::Display for Best<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bid, ask) = (self.book.best(Side::Bid), self.book.best(Side::Ask));
        let step = self.instrument.tick_size();
        for (name, level) in [("bid", bid), ("  ask", ask)] {
            match level {
                Some(Level { price, qty }) => {
                    let price = InSteps {
                        mantissa: price,
                        step,
                    };
                    let qty = InSteps {
                        mantissa: qty,
                        step: self.instrument.lot_size(),
                    };
                    write!(f, "{name} {price} x {qty}")?;
                }
                None => write!(f, "{name} none")?,
            }
        }
        if let (Some(bid), Some(ask)) = (bid, ask) {
            let mantissa = ask.price.saturating_sub(bid.price);
            write!(f, "  spread {}", InSteps { mantissa, step })?;
        }
        Ok(())
    }
}

/// Where a book comes from that is in step: ` after 1 snapshot` for the first (true), ` after 1 new snapshot` for a later one,
/// ` after a new snapshot from the server`, or `, resumed at id 17`.
pub(super) struct Origin(pub(super) BookOrigin, pub(super) bool);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Origin(BookOrigin::Fetched { snapshots }, is_first) => {
                let new = if is_first { "" } else { "new " };
                let plural = if snapshots == 1 { "" } else { "s" };
                write!(f, " after {snapshots} {new}snapshot{plural}")
            }
            Origin(BookOrigin::Streamed, _) => f.write_str(" after a new snapshot from the server"),
            Origin(BookOrigin::Resumed { after_id }, _) => write!(f, ", resumed at id {after_id}"),
        }
    }
}

/// Microseconds, as `850 us`, `1.25 ms` or `3.10 s`.
pub(super) struct Latency(pub(super) u64);

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ 0..1000 => write!(f, "{us} us"),
            us @ 1000..1_000_000 => write!(f, "{:.2} ms", us as f64 / 1e3),
            us => write!(f, "{:.2} s", us as f64 / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_market::book::BookLimits;
    use depthcast_market::event::BookSnapshot;
    use depthcast_market::instrument::Exponents;

    #[test]
    fn prices_have_the_decimals_of_their_steps() {
        let instrument = Instrument::new("BTCUSDT", Exponents::default(), 1_000_000, 1_000).unwrap();
        let mut book = Book::new(BookLimits::default());
        let best = |book: &Book| {
            Best {
                book,
                instrument: &instrument,
            }
            .to_string()
        };
        assert_eq!(best(&book), "bid none  ask none");
        let mut snapshot = BookSnapshot {
            last_id: 1,
            bids: vec![Level {
                price: 6_173_763_000_000,
                qty: 12_000_000,
            }],
            asks: vec![Level {
                price: 6_173_764_000_000,
                qty: 100_000_000,
            }],
        };
        book.load(&snapshot).unwrap();
        assert_eq!(
            best(&book),
            "bid 61737.63 x 0.12000  ask 61737.64 x 1.00000  spread 0.01"
        );
        // Off the tick: all decimals, none lost.
        snapshot.asks[0].price += 1;
        book.load(&snapshot).unwrap();
        assert!(best(&book).contains("ask 61737.64000001 x"), "{}", best(&book));
    }

    #[test]
    fn whole_steps_have_no_point() {
        let in_steps = |mantissa, step| {
            let step = Decimal {
                mantissa: step,
                exponent: -2,
            };
            InSteps { mantissa, step }.to_string()
        };
        assert_eq!(in_steps(1200, 100), "12");
        assert_eq!(in_steps(1200, 1000), "12");
        assert_eq!(in_steps(1250, 50), "12.5");
        assert_eq!(in_steps(1250, 100), "12.50");
    }

    #[test]
    fn books_say_where_they_come_from() {
        let fetched = |snapshots| BookOrigin::Fetched { snapshots };
        assert_eq!(Origin(fetched(1), true).to_string(), " after 1 snapshot");
        assert_eq!(Origin(fetched(2), false).to_string(), " after 2 new snapshots");
        let streamed = Origin(BookOrigin::Streamed, false).to_string();
        assert_eq!(streamed, " after a new snapshot from the server");
        let resumed = BookOrigin::Resumed { after_id: 17 };
        assert_eq!(Origin(resumed, false).to_string(), ", resumed at id 17");
    }

    #[test]
    fn latencies_have_a_unit() {
        let texts = [0, 999, 1000, 12_345, 3_100_000].map(|us| Latency(us).to_string());
        assert_eq!(texts, ["0 us", "999 us", "1.00 ms", "12.35 ms", "3.10 s"]);
    }
}
