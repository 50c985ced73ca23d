//! The line of `serve --stats`: what the engine does, in numbers for people.

use std::fmt::Write;
use std::time::Duration;

use crate::reactor::counters::Totals;
use crate::session::EndCause;

/// What happened between two looks that lie `elapsed` apart, and what is there now:
///
/// ```text
/// stats: 12 connections (10 subscribed), 41.5 updates/s, 1.2k deliveries/s, 3.4 MB/s, 0 blocked, 0 conflated, 0 evicted, 0 refused
/// ```
///
/// An update is a depth event of the feed; a delivery is a frame that one connection's socket took. What follows counts since the
/// start. Conflated: how often slow consumers skipped ahead, because they owed bytes for too long (lag) or were further behind
/// than is kept for them (bytes). Evicted: slow consumers that were closed, for either or for being conflated too often (often).
/// Refused: those who did not get a connection, for want of room or because their address had opened too many. Where there are
/// any: gaps of the feed; workers that are full, and how often one became so; how often the host had no descriptor left; events that were merged and connections that were closed because the engine itself was behind.
pub fn line(before: &Totals, now: &Totals, elapsed: Duration) -> String {
    let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(1e-9);
    let ended = |cause: EndCause| now.ended[cause.index()];
    let mut line = format!(
        "stats: {} connections ({} subscribed), {} updates/s, {} deliveries/s, {}, {} blocked, {}, {}, {} refused",
        now.connections,
        now.subscribers,
        short(rate(before.depth_events, now.depth_events)),
        short(rate(before.deliveries, now.deliveries)),
        byte_rate(rate(before.bytes, now.bytes)),
        now.blocked,
        by_cause(
            "conflated",
            &[("lag", now.conflated_for_age), ("bytes", now.conflated_for_bytes)]
        ),
        by_cause(
            "evicted",
            &[
                ("lag", ended(EndCause::SlowConsumer)),
                ("bytes", ended(EndCause::TooFarBehind)),
                ("often", ended(EndCause::ConflatedTooOften)),
            ]
        ),
        now.refused + ended(EndCause::Attempts),
    );
    if now.feed_gaps > 0 {
        let _ = write!(line, ", {} feed gaps", now.feed_gaps);
    }
    if now.became_full > 0 {
        let _ = write!(
            line,
            ", {} of {} workers full ({} times)",
            now.workers_full,
            now.workers,
            short(now.became_full as f64)
        );
    }
    if now.starved > 0 {
        let _ = write!(line, ", no descriptor left {} times", short(now.starved as f64));
    }
    let closed = ended(EndCause::EngineBehind);
    if now.merged + closed > 0 {
        let _ = write!(
            line,
            ", engine behind: {} merged, {closed} closed",
            short(now.merged as f64)
        );
    }
    line
}

/// A sum of what happened, and behind it the causes where there are any: `5 evicted (3 lag, 2 bytes)`.
fn by_cause(what: &str, counts: &[(&str, u64)]) -> String {
    let sum: u64 = counts.iter().map(|(_, count)| count).sum();
    let parts = counts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> = parts.map(|(cause, count)| format!("{count} {cause}")).collect();
    if parts.is_empty() {
        return format!("0 {what}");
    }
    format!("{sum} {what} ({})", parts.join(", "))
}

/// Bytes a second, with a unit in powers of 1000: `3.4 MB/s`.
fn byte_rate(rate: f64) -> String {
    let (number, unit) = scaled(rate);
    format!("{number} {unit}B/s")
}

/// A number of up to four characters and a suffix: `0.4`, `950`, `1.2k`, `34.6k`, `120M`.
fn short(number: f64) -> String {
    let (number, unit) = scaled(number);
    format!("{number}{unit}")
}

fn scaled(number: f64) -> (String, &'static str) {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let mut unit = 0;
    let mut scaled = number;
    // What would be rounded to 1000 belongs to the next unit.
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    // One decimal where it says something: not of a whole number, nor behind three digits.
    let digits = if scaled >= 99.95 || (unit == 0 && scaled.fract() == 0.0) {
        format!("{scaled:.0}")
    } else {
        format!("{scaled:.1}")
    };
    (digits, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_their_size() {
        for (number, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (0.4, "0.4"),
            (7.0, "7"),
            (41.54, "41.5"),
            (99.94, "99.9"),
            (99.96, "100"),
            (950.4, "950"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1234.0, "1.2k"),
            (34_560.0, "34.6k"),
            (999_499.0, "999k"),
            (999_500.0, "1.0M"),
            (120_000_000.0, "120M"),
            (2e9, "2.0G"),
            (5e15, "5000T"),
        ] {
            assert_eq!(short(number), text, "{number}");
        }
        assert_eq!(byte_rate(3_400_000.0), "3.4 MB/s");
        assert_eq!(byte_rate(12.0), "12 B/s");
    }

    #[test]
    fn the_line_has_rates_of_the_time_between_and_counts_of_now() {
        let before = Totals {
            deliveries: 1_000_000,
            bytes: 5_000_000_000,
            depth_events: 17,
            feed_gaps: 0,
            ..Totals::default()
        };
        let mut now = Totals {
            connections: 12,
            subscribers: 10,
            blocked: 1,
            conflated_for_age: 5,
            conflated_for_bytes: 2,
            deliveries: 1_002_400,
            bytes: 5_006_800_000,
            refused: 2,
            depth_events: 100,
            ..before
        };
        now.ended[EndCause::SlowConsumer.index()] = 3;
        now.ended[EndCause::ConflatedTooOften.index()] = 1;
        now.ended[EndCause::Attempts.index()] = 4;
        now.ended[EndCause::Peer.index()] = 100;
        let text = "stats: 12 connections (10 subscribed), 41.5 updates/s, 1.2k deliveries/s, 3.4 MB/s, \
                    1 blocked, 7 conflated (5 lag, 2 bytes), 4 evicted (3 lag, 1 often), 6 refused";
        assert_eq!(line(&before, &now, Duration::from_secs(2)), text);
        now.feed_gaps = 5;
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)),
            format!("{text}, 5 feed gaps")
        );
        now = Totals {
            workers: 13,
            workers_full: 2,
            became_full: 1200,
            starved: 3,
            ..now
        };
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)),
            format!("{text}, 5 feed gaps, 2 of 13 workers full (1.2k times), no descriptor left 3 times")
        );
        (now.became_full, now.starved) = (0, 0);
        now.merged = 34_560;
        now.ended[EndCause::EngineBehind.index()] = 2;
        assert_eq!(
            line(&before, &now, Duration::from_secs(2)),
            format!("{text}, 5 feed gaps, engine behind: 34.6k merged, 2 closed")
        );
        // No time between two looks, and counts read in another order than they were written: still numbers.
        let none = line(&now, &before, Duration::ZERO);
        assert!(none.contains(" 0 updates/s, 0 deliveries/s, 0 B/s,"), "{none}");
    }
}
