//! What is printed at the end of a run, whichever way it was shown.

use std::io::{self, Write};
use std::time::Duration;

use depthcast_client::{Subscriber, Url};
use depthcast_wire::stream::SymbolName;

use super::text::{Best, Latency};

/// What was watched.
pub(super) struct Watched<'a> {
    pub(super) symbol: SymbolName,
    pub(super) url: &'a Url,
    pub(super) elapsed: Duration,
}

/// Prints what `subscriber` has seen.
pub(super) fn print(subscriber: &Subscriber, watched: &Watched<'_>, out: &mut dyn Write) -> io::Result<()> {
    let counters = subscriber.counters();
    let seconds = watched.elapsed.as_secs_f64();
    let symbol = watched.symbol.to_upper();
    writeln!(out, "\n{symbol} over {seconds:.1} s from {}", watched.url)?;
    for (name, count) in [
        ("depth updates", counters.depth_updates),
        ("best bid/ask", counters.best_bid_asks),
        ("trades", counters.trades),
    ] {
        writeln!(out, "  {name:<15} {count:>9}  {:.1}/s", count as f64 / seconds)?;
    }
    for (name, count) in [
        ("gaps", counters.gaps),
        ("resyncs", counters.resyncs),
        ("reconnects", counters.reconnects),
        ("resumed", counters.resumed),
        ("conflated", counters.conflated),
        ("evicted", counters.evicted),
    ] {
        writeln!(out, "  {name:<15} {count:>9}")?;
    }
    let book = subscriber.book();
    if let Some(instrument) = subscriber.instrument().filter(|_| book.is_loaded()) {
        writeln!(out, "  last update id  {}", book.last_id())?;
        writeln!(out, "  book            {}", Best { book, instrument })?;
    }
    match subscriber.latency().report() {
        Ok(latency) => {
            let [p50, p99, max] = [latency.p50_us, latency.p99_us, latency.max_us].map(Latency);
            let basis = latency.basis;
            writeln!(out, "  latency         p50 {p50}  p99 {p99}  max {max}  {basis}")
        }
        Err(none) => writeln!(out, "  latency         {none}"),
    }
}
