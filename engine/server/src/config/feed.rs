//! What `--feed` takes: the URL of a feed, or of several that carry the same market.

use std::fmt;

use depthcast_feed_sim::capture::{AtEnd, CaptureOptions, CaptureUrlError, Speed};
use depthcast_feed_sim::sim::{SimOptions, SimUrlError};

use crate::reactor::feed::{BenchOptions, BenchUrlError};

/// The most feeds of one engine: an exchange has a few ways in.
const FEEDS_MAX: usize = 8;

/// The kinds of feed, for errors.
const KINDS: &str = "sim:?symbols=20&rate=10..100&seed=1, tcp://HOST:PORT, capture:PATH?speed=1&start=0&end=hold or bench:?streams=1&hz=10&size=128&burst=1";

/// Where the market comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedOptions {
    /// A recorded market.
    Capture(CaptureOptions),
    /// The embedded simulated exchange.
    Sim(SimOptions),
    /// Feed links, `HOST:PORT` each: ways to the same market, of which one is used at a time.
    Links(Vec<String>),
    /// Frames of a fixed size, for measuring.
    Bench(BenchOptions),
}

/// Why a feed's URL was refused. The fault is the configuration's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedUrlError {
    /// A feed of an unknown kind.
    #[error("--feed {0:?} is of no kind that this engine has: it takes {KINDS}")]
    Kind(String),
    /// A capture's settings.
    #[error("--feed: {0}")]
    Capture(#[from] CaptureUrlError),
    /// A simulated exchange's settings.
    #[error("--feed: {0}")]
    Sim(#[from] SimUrlError),
    /// A bench feed's settings.
    #[error("--feed: {0}")]
    Bench(#[from] BenchUrlError),
    /// A feed link's address.
    #[error("--feed {0:?}: a feed link is tcp://HOST:PORT and nothing else, as tcp://127.0.0.1:9700")]
    Link(String),
    /// Several feeds that cannot be of one market.
    #[error(
        "--feed {0:?} cannot stand beside another feed: only feed links (tcp://HOST:PORT) of the same exchange can be several"
    )]
    NotAlone(String),
    /// The same address twice, or too many.
    #[error("--feed {0:?}: give each feed link once, and at most {FEEDS_MAX}")]
    TooMany(String),
}

impl FeedOptions {
    /// Reads the URLs given; none is the simulated exchange with its defaults.
    pub fn parse(urls: &[String]) -> Result<FeedOptions, FeedUrlError> {
        let mut links: Vec<String> = Vec::new();
        for url in urls {
            if let Some(address) = url.strip_prefix("tcp://") {
                let address = link_address(address).ok_or_else(|| FeedUrlError::Link(url.clone()))?;
                if links.contains(&address) || links.len() == FEEDS_MAX {
                    return Err(FeedUrlError::TooMany(url.clone()));
                }
                links.push(address);
                continue;
            }
            let alone = if let Some(capture) = url.strip_prefix("capture:") {
                FeedOptions::Capture(CaptureOptions::parse(capture)?)
            } else if let Some(sim) = url.strip_prefix("sim:") {
                FeedOptions::Sim(SimOptions::parse(sim)?)
            } else if let Some(bench) = url.strip_prefix("bench:") {
                FeedOptions::Bench(BenchOptions::parse(bench)?)
            } else {
                return Err(FeedUrlError::Kind(url.clone()));
            };
            return match urls.len() {
                1 => Ok(alone),
                _ => Err(FeedUrlError::NotAlone(url.clone())),
            };
        }
        Ok(if links.is_empty() {
            FeedOptions::Sim(SimOptions::default())
        } else {
            FeedOptions::Links(links)
        })
    }

    /// Whether the feed waits for its subscribers, so that none of them may be given up for what it is behind.
    pub fn is_lossless(&self) -> bool {
        matches!(self, FeedOptions::Capture(capture) if capture.speed == Speed::Max)
    }

    /// Whether the feed goes on while workers are behind. A replay has time, and one for measuring is to be told whole.
    pub fn goes_on(&self) -> bool {
        !matches!(self, FeedOptions::Capture(_) | FeedOptions::Bench(_))
    }

    /// Whether the engine ends with its feed.
    pub fn exits_at_end(&self) -> bool {
        matches!(self, FeedOptions::Capture(capture) if capture.at_end == AtEnd::Exit)
    }
}

impl fmt::Display for FeedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedOptions::Capture(capture) => write!(f, "the recorded market {}", capture.path.display()),
            FeedOptions::Sim(sim) => {
                let (low, high) = (sim.rate.start(), sim.rate.end());
                let rate = if low == high {
                    low.to_string()
                } else {
                    format!("{low}..{high}")
                };
                write!(
                    f,
                    "the simulated exchange sim:?symbols={}&rate={rate}&seed={}",
                    sim.symbols, sim.seed
                )
            }
            FeedOptions::Bench(bench) => write!(f, "frames for measuring, {bench}"),
            FeedOptions::Links(addresses) => {
                let urls: Vec<String> = addresses
                    .iter()
                    .map(|address| format!("tcp://{address}"))
                    .collect();
                write!(f, "the exchange at {}", urls.join(" or "))
            }
        }
    }
}

/// The address of a link, `HOST:PORT`; None where it has anything else.
fn link_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit());
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    (is_host && is_port).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(urls: &[&str]) -> Result<FeedOptions, String> {
        let urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
        FeedOptions::parse(&urls).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_is_taken_and_none_is_the_simulated_exchange() {
        assert_eq!(parse(&[]), Ok(FeedOptions::Sim(SimOptions::default())));
        let Ok(FeedOptions::Sim(sim)) = parse(&["sim:?symbols=1000&rate=50&seed=7"]) else {
            panic!("no simulated exchange");
        };
        assert_eq!((sim.symbols, sim.rate, sim.seed), (1000, 50..=50, 7));
        assert!(matches!(parse(&["capture:day.gz"]), Ok(FeedOptions::Capture(_))));
        assert_eq!(
            parse(&["tcp://127.0.0.1:9700", "tcp://[::1]:9700"]),
            Ok(FeedOptions::Links(vec![
                "127.0.0.1:9700".into(),
                "[::1]:9700".into()
            ]))
        );
    }

    #[test]
    fn people_are_told_where_the_market_comes_from() {
        let told = |urls: &[&str]| parse(urls).unwrap().to_string();
        assert_eq!(
            told(&[]),
            "the simulated exchange sim:?symbols=20&rate=10..100&seed=1"
        );
        assert_eq!(
            told(&["sim:?rate=50&symbols=3"]),
            "the simulated exchange sim:?symbols=3&rate=50&seed=1"
        );
        assert_eq!(told(&["capture:a/b.gz?speed=2"]), "the recorded market a/b.gz");
        assert_eq!(
            told(&["tcp://a:1", "tcp://b:2"]),
            "the exchange at tcp://a:1 or tcp://b:2"
        );
    }

    #[test]
    fn refusals_name_the_url_and_what_is_right() {
        for (urls, reason) in [
            (&["udp://x"][..], "--feed \"udp://x\" is of no kind"),
            (&["sim:?speed=1"], "a simulated feed has no setting \"speed\""),
            (&["sim:?rate=100..10"], "rate is \"100..10\"; it takes"),
            (&["sim:?rate=0"], "rate is \"0\"; it takes"),
            (&["sim:?symbols=0"], "symbols is \"0\"; it takes"),
            (&["capture:a?sped=1"], "sped"),
            (&["bench:?size=10"], "size is \"10\"; it takes"),
            (&["bench:?speed=1"], "a bench feed has no setting \"speed\""),
            (&["tcp://127.0.0.1"], "is tcp://HOST:PORT and nothing else"),
            (&["tcp://127.0.0.1:9700/x"], "is tcp://HOST:PORT and nothing else"),
            (
                &["tcp://127.0.0.1:9700?rate=3"],
                "is tcp://HOST:PORT and nothing else",
            ),
            (&["tcp://127.0.0.1:0"], "is tcp://HOST:PORT and nothing else"),
            (&["tcp://a:1", "tcp://a:1"], "give each feed link once"),
            (
                &["tcp://a:1", "sim:"],
                "--feed \"sim:\" cannot stand beside another feed",
            ),
            (&["sim:", "sim:"], "cannot stand beside another feed"),
        ] {
            let error = parse(urls).unwrap_err();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        }
    }
}
