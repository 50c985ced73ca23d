//! What a connection's URL asks for: the format, raw or combined events, the time unit, and the streams to start with.
//!
//! | request target | |
//! |---|---|
//! | `/ws`, `/ws/<stream>[/<stream>…]` | raw events |
//! | `/stream?streams=<stream>[/<stream>…]` | combined events, each wrapped with its stream's name |
//! | `/sbe/ws…`, `/sbe/stream…` | the same in SBE |
//! | `/echo` | no market data: every message comes back (for testing WebSocket clients and this server) |
//!
//! Names are accepted in the path and in `streams=` alike, percent-encoded or not. A segment that is no stream name is
//! counted and otherwise ignored, because real clients open `/ws/0` and subscribe later.
//! Source: Binance Spot API documents, "WebSocket Streams: general information".

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::percent_decode_str;

use crate::stream::{StreamName, SymbolName, excerpt};
use crate::time_unit::TimeUnit;

/// The most names one URL may hold: as many streams as one connection may have on the exchange. It bounds the work and
/// memory that a single request line can cause.
pub const TARGET_STREAMS_MAX: usize = 1024;

/// The encoding of a connection's market data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON in text frames.
    #[default]
    Json,
    /// Simple Binary Encoding in binary frames.
    Sbe,
}

/// Where a client left off: the last update id of each symbol's book that it knows, in one history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The number of the history.
    pub epoch: u64,
    /// Symbols, each once, with the id; at most [`TARGET_STREAMS_MAX`].
    pub ids: Vec<(SymbolName, u64)>,
}

/// What becomes of a connection that cannot keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LagPolicy {
    /// What it missed is told to it as one event, or it skips to the newest; where neither is possible it is closed.
    #[default]
    Conflate,
    /// It is closed.
    Evict,
}

impl LagPolicy {
    /// The policy of that name; None where there is none.
    pub fn parse(text: &str) -> Option<LagPolicy> {
        match text {
            "conflate" => Some(LagPolicy::Conflate),
            "evict" => Some(LagPolicy::Evict),
            _ => None,
        }
    }
}

/// Whose a request target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A subscriber's: to be upgraded to WebSocket.
    Subscriber(SubscriberTarget),
    /// Any other path: the HTTP server's, or a 404.
    Other,
}

/// What a subscriber's URL asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberTarget {
    /// The encoding of market data.
    pub format: Format,
    /// Whether events come wrapped with their stream's name (`/stream`), or raw (`/ws`).
    pub combined: bool,
    /// The unit of times. SBE knows only microseconds, whatever the URL says.
    pub time_unit: TimeUnit,
    /// The streams to start with, in the order given, no two the same; at most [`TARGET_STREAMS_MAX`].
    pub streams: Vec<StreamName>,
    /// How many non-empty segments were no stream names.
    pub ignored: usize,
    /// The first of them, decoded and cut where it was long, for a log line.
    pub first_ignored: Option<Box<str>>,
    /// Whether each depth stream is to start with a snapshot (`snapshot=1`), which its next event then continues.
    pub snapshot: bool,
    /// Where the depth streams of some symbols go on (`resume=btcusdt:50093239218,…` with `epoch=`): with one merged event,
    /// or with a snapshot where that is not possible any more.
    pub resume: Option<Resume>,
    /// What becomes of the connection when it cannot keep up (`lag=`), where it says so itself.
    pub lag: Option<LagPolicy>,
    /// Whether this is `/echo`: no market data, every message comes back.
    pub echo: bool,
}

/// Why a subscriber's URL was refused. The fault is the client's; the answer is HTTP 400 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// `timeUnit` has a value that is no unit.
    #[error("parameter timeUnit must be MICROSECOND or MILLISECOND, not {value:?}")]
    TimeUnit {
        /// The value, cut where it was long.
        value: Box<str>,
    },
    /// `snapshot` has a value that is neither.
    #[error("parameter snapshot must be 1 or 0, not {value:?}")]
    Snapshot {
        /// The value, cut where it was long.
        value: Box<str>,
    },
    /// `resume` is no list of symbols, each once, with ids.
    #[error(
        "parameter resume must be SYMBOL:ID or several of them with commas, as btcusdt:50093239218, not {value:?}"
    )]
    Resume {
        /// What is wrong in it, cut where it was long.
        value: Box<str>,
    },
    /// `epoch` is no number.
    #[error(
        "parameter epoch must be the number that the header Depthcast-Epoch of an upgrade's answer gave, not {value:?}"
    )]
    Epoch {
        /// The value, cut where it was long.
        value: Box<str>,
    },
    /// `lag` has a value that is neither.
    #[error("parameter lag must be conflate or evict, not {value:?}")]
    Lag {
        /// The value, cut where it was long.
        value: Box<str>,
    },
    /// `resume` without `epoch`.
    #[error("parameter resume needs epoch= beside it: ids are of one history of the feed")]
    ResumeWithoutEpoch,
    /// More names than a connection may have streams.
    #[error("more than {TARGET_STREAMS_MAX} streams in one URL")]
    TooManyStreams,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("bad percent-encoding at {at:?}: '%' must be followed by two hexadecimal digits")]
    PercentEncoding {
        /// The text from the `%` on, cut where it was long.
        at: Box<str>,
    },
    /// Percent-encoded bytes that are not UTF-8.
    #[error("{text:?} does not decode to UTF-8")]
    NotUtf8 {
        /// The text as it was sent, cut where it was long.
        text: Box<str>,
    },
}

impl SubscriberTarget {
    /// Reads a request target in origin form (RFC 9112, 3.2.1) as the request line has it: path and query, encoded.
    ///
    /// A target that is not a subscriber's is [`TargetKind::Other`] and not looked into further.
    pub fn parse(target: &str) -> Result<TargetKind, TargetError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some((mut found, names)) = route(path) else {
            return Ok(TargetKind::Other);
        };
        check_percent_encoding(target)?;
        let mut names_seen = Names::default();
        let (mut ids, mut epoch) = (None, None);
        names_seen.read(&mut found, names)?;
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("timeUnit", value)) => found.time_unit = parse_time_unit(&decode(value)?)?,
                Some(("snapshot", value)) => found.snapshot = parse_snapshot(&decode(value)?)?,
                Some(("resume", value)) => ids = Some(parse_resume(&decode(value)?)?),
                Some(("lag", value)) => found.lag = Some(parse_lag(&decode(value)?)?),
                Some(("epoch", value)) => epoch = Some(parse_epoch(&decode(value)?)?),
                Some(("streams", value)) if !found.echo => names_seen.read(&mut found, value)?,
                _ => {}
            }
        }
        found.resume = match (ids, epoch) {
            (Some(ids), Some(epoch)) => Some(Resume { epoch, ids }),
            (Some(_), None) => return Err(TargetError::ResumeWithoutEpoch),
            (None, _) => None,
        };
        if found.format == Format::Sbe {
            found.time_unit = TimeUnit::Microsecond;
        }
        Ok(TargetKind::Subscriber(found))
    }
}

/// The target that a path begins, and the rest of the path, which holds names; `None` where it is no subscriber's.
fn route(path: &str) -> Option<(SubscriberTarget, &str)> {
    if matches!(path, "/echo" | "/echo/") {
        let echo = SubscriberTarget {
            echo: true,
            ..SubscriberTarget::default()
        };
        return Some((echo, ""));
    }
    let (format, path) = match path.strip_prefix("/sbe") {
        Some(rest) => (Format::Sbe, rest),
        None => (Format::Json, path),
    };
    let (combined, names) = match (path.strip_prefix("/ws"), path.strip_prefix("/stream")) {
        (Some(names), _) => (false, names),
        (_, Some(names)) => (true, names),
        _ => return None,
    };
    // `/wsx` is another path, `/ws/x` has a name.
    if !names.is_empty() && !names.starts_with('/') {
        return None;
    }
    let target = SubscriberTarget {
        format,
        combined,
        ..SubscriberTarget::default()
    };
    Some((target, names))
}

/// The names met so far in one URL.
#[derive(Default)]
struct Names {
    seen: HashSet<StreamName>,
    /// Segments read, duplicates and ignored ones too: the bound is on the work.
    count: usize,
}

impl Names {
    /// Adds the names of an encoded list to `found`. The list is split after decoding: clients that encode a whole
    /// `streams=` value encode its slashes too.
    fn read(&mut self, found: &mut SubscriberTarget, list: &str) -> Result<(), TargetError> {
        for segment in decode(list)?.split('/').filter(|segment| !segment.is_empty()) {
            self.count += 1;
            if self.count > TARGET_STREAMS_MAX {
                return Err(TargetError::TooManyStreams);
            }
            match StreamName::parse(segment) {
                Ok(name) => {
                    if self.seen.insert(name) {
                        found.streams.push(name);
                    }
                }
                Err(_) => {
                    found.ignored += 1;
                    found.first_ignored.get_or_insert_with(|| excerpt(segment));
                }
            }
        }
        Ok(())
    }
}

fn parse_time_unit(value: &str) -> Result<TimeUnit, TargetError> {
    if value.eq_ignore_ascii_case("MICROSECOND") {
        Ok(TimeUnit::Microsecond)
    } else if value.eq_ignore_ascii_case("MILLISECOND") {
        Ok(TimeUnit::Millisecond)
    } else {
        Err(TargetError::TimeUnit {
            value: excerpt(value),
        })
    }
}

fn parse_snapshot(value: &str) -> Result<bool, TargetError> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(TargetError::Snapshot {
            value: excerpt(value),
        }),
    }
}

fn parse_resume(list: &str) -> Result<Vec<(SymbolName, u64)>, TargetError> {
    let mut ids = Vec::new();
    let mut seen = HashSet::new();
    for item in list.split(',') {
        if ids.len() == TARGET_STREAMS_MAX {
            return Err(TargetError::TooManyStreams);
        }
        let parsed = item
            .split_once(':')
            .and_then(|(symbol, id)| {
                Some((SymbolName::new(&symbol.to_ascii_lowercase())?, parse_number(id)?))
            })
            .filter(|(symbol, _)| seen.insert(*symbol));
        ids.push(parsed.ok_or_else(|| TargetError::Resume { value: excerpt(item) })?);
    }
    Ok(ids)
}

fn parse_lag(value: &str) -> Result<LagPolicy, TargetError> {
    LagPolicy::parse(value).ok_or_else(|| TargetError::Lag {
        value: excerpt(value),
    })
}

fn parse_epoch(value: &str) -> Result<u64, TargetError> {
    parse_number(value).ok_or_else(|| TargetError::Epoch {
        value: excerpt(value),
    })
}

/// Digits and nothing else: the standard library would take a plus sign, too.
fn parse_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The decoding library passes a malformed `%` through; here it is the client's mistake and said so.
fn check_percent_encoding(text: &str) -> Result<(), TargetError> {
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(TargetError::PercentEncoding {
                at: excerpt(&text[at..]),
            });
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<Cow<'_, str>, TargetError> {
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| TargetError::NotUtf8 { text: excerpt(text) })
}

#[cfg(test)]
mod tests;
