//! The plain output: lines of text for logs and pipes.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use depthcast_client::{Event, Subscriber, Update};

use super::text::{Best, Latency, Origin};
use super::{STALE_AFTER, WatchOptions};

/// How often a line comes, without `--every-update`.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Prints what happens.
pub(super) struct Plain {
    start: Instant,
    every_update: bool,
    /// When the last line came, and how many updates there were by then.
    line: (Instant, u64),
    /// Updates applied to the book.
    updates: u64,
    /// When the last one was.
    updated_at: Instant,
}

impl Plain {
    pub(super) fn new(options: &WatchOptions, start: Instant) -> Plain {
        Plain {
            start,
            every_update: options.every_update,
            line: (start, 0),
            updates: 0,
            updated_at: start,
        }
    }

    /// How long there has been no update.
    pub(super) fn silent(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.updated_at)
    }

    /// How many updates have been applied to the book.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// When it began.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// When [`Plain::on_time`] has something to print next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.every_update).then(|| self.line.0 + LINE_INTERVAL)
    }

    /// Takes note of an event, and prints what is worth a line of its own.
    pub(super) fn on_event(
        &mut self,
        subscriber: &Subscriber,
        event: &Event,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        match event {
            Event::Synced { last_id, origin } => {
                let is_first = subscriber.counters().resyncs == 0;
                writeln!(out, "in step at id {last_id}{}", Origin(*origin, is_first))
            }
            Event::Update(update) => {
                self.updates += 1;
                self.updated_at = Instant::now();
                if self.every_update {
                    print_update(subscriber, update, out)?;
                }
                Ok(())
            }
            Event::Conflated { heartbeats } => writeln!(
                out,
                "conflated: not read in time, so the server told some {heartbeats} s in fewer events"
            ),
            Event::ServerShutdown => writeln!(out, "the server announces its shutdown"),
            // Quotes and trades are counted; a lost connection is told on standard error.
            Event::BestBidAsk(_) | Event::Trade(_) | Event::Reconnecting { .. } => Ok(()),
        }
    }

    /// Prints the line that is due.
    pub(super) fn on_time(
        &mut self,
        subscriber: &Subscriber,
        now: Instant,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if self.due().is_none_or(|due| now < due) {
            return Ok(());
        }
        let (last, updates_before) = std::mem::replace(&mut self.line, (now, self.updates));
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        let rate = (self.updates - updates_before) as f64 / seconds;
        write!(
            out,
            "{:>5.0} s  ",
            now.saturating_duration_since(self.start).as_secs_f64()
        )?;
        let silent = self.silent(now);
        if silent >= STALE_AFTER {
            write!(out, "STALE, no update for {:.0} s  ", silent.as_secs_f64())?;
        }
        match subscriber.instrument().filter(|_| subscriber.is_synced()) {
            Some(instrument) => {
                let book = subscriber.book();
                let best = Best { book, instrument };
                write!(out, "{best}  {rate:.1} updates/s  id {}", book.last_id())?;
                if let Ok(latency) = subscriber.latency().report() {
                    write!(out, "  latency p50 {}", Latency(latency.p50_us))?;
                }
                writeln!(out)
            }
            None => writeln!(out, "the book is not in step"),
        }
    }
}

fn print_update(subscriber: &Subscriber, update: &Update, out: &mut dyn Write) -> io::Result<()> {
    let levels = subscriber.last_update();
    write!(
        out,
        "update {} to {}  {} bids {} asks",
        update.first_id,
        update.last_id,
        levels.bids.len(),
        levels.asks.len()
    )?;
    if let Some(instrument) = subscriber.instrument() {
        let book = subscriber.book();
        write!(out, "  {}", Best { book, instrument })?;
    }
    writeln!(out)
}
