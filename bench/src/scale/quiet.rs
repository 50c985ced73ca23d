//! A market that stands still: a capture of one symbol's book that is replayed in an instant and then held (`end=hold`).
//!
//! Nothing comes of it but answers and pings. The simulated market is no such thing: it changes each symbol once a second at
//! least, which for 240,000 connections to one are 240,000 sends a second. Nor is the bench feed, which has no books.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The symbol.
const SYMBOL: &str = "btcusdt";

/// Levels of a side of its book: as many as one would show.
const LEVELS: u32 = 50;

/// When it was recorded, ns since 1970, and the id its book stands at.
const RECORDED_NS: u64 = 1_700_000_000_000_000_000;
const LAST_ID: u64 = 1_000;

/// The capture's file. It is removed when this is dropped.
#[derive(Debug)]
pub struct QuietMarket {
    path: PathBuf,
}

impl QuietMarket {
    /// Writes the capture among the host's temporary files, for a depth stream of this cadence.
    pub fn write(cadence: &str) -> io::Result<QuietMarket> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("depthcast-bench-quiet-{}-{number}.capture", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, capture(cadence))?;
        Ok(QuietMarket { path })
    }

    /// The URL of the feed.
    pub fn feed(&self) -> String {
        let path = self.path.to_string_lossy();
        let path = path.replace('%', "%25").replace('?', "%3f");
        format!("capture:{path}?end=hold")
    }

    /// Its depth stream.
    pub fn stream(cadence: &str) -> String {
        format!("{SYMBOL}@depth@{cadence}")
    }
}

impl Drop for QuietMarket {
    fn drop(&mut self) {
        // One that somebody has removed already needs no removing.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One update, by which an engine learns the stream's name and cadence, and the book.
fn capture(cadence: &str) -> String {
    let level = |price: u32| format!(r#"["{price}.00","1.00000"]"#);
    let side = |price: &dyn Fn(u32) -> u32| {
        let levels: Vec<String> = (0..LEVELS).map(|place| level(price(place))).collect();
        levels.join(",")
    };
    let upper = SYMBOL.to_uppercase();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        r#"{RECORDED_NS} {{"stream":"{}","data":{{"e":"depthUpdate","E":{},"s":"{upper}","U":{LAST_ID},"u":{LAST_ID},"b":[{}],"a":[{}]}}}}"#,
        QuietMarket::stream(cadence),
        RECORDED_NS / 1_000_000,
        level(30_000),
        level(30_001),
    );
    let _ = writeln!(
        text,
        r#"{RECORDED_NS} {{"lastUpdateId":{LAST_ID},"bids":[{}],"asks":[{}]}}"#,
        side(&|place| 30_000 - place),
        side(&|place| 30_001 + place),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_as_long_as_the_market() {
        let market = QuietMarket::write("100ms").unwrap();
        let other = QuietMarket::write("100ms").unwrap();
        assert_ne!(market.path, other.path);
        assert_eq!(
            market.feed(),
            format!("capture:{}?end=hold", market.path.display())
        );
        let text = std::fs::read_to_string(&market.path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains(r#""stream":"btcusdt@depth@100ms""#), "{text}");
        let path = market.path.clone();
        drop(market);
        assert!(!path.exists() && other.path.exists());
    }
}
