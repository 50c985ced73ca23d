//! The encoding of a connection's events: everything beside the set of streams that decides its bytes.

use depthcast_wire::target::Format;
use depthcast_wire::time_unit::TimeUnit;

/// How events are written for a connection. SBE has one form: its messages are never wrapped and its times are
/// microseconds. Events that it has no message for are JSON in microseconds, and those may be wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON in text frames.
    Json {
        /// Wrapped as `{"stream":…,"data":…}`.
        combined: bool,
        /// The unit of its times.
        time_unit: TimeUnit,
    },
    /// Simple Binary Encoding in binary frames.
    Sbe {
        /// Events that are JSON nevertheless are wrapped.
        combined: bool,
    },
}

impl Default for Encoding {
    fn default() -> Self {
        Encoding::Json {
            combined: false,
            time_unit: TimeUnit::default(),
        }
    }
}

impl Encoding {
    /// What a URL asked for.
    pub fn new(format: Format, combined: bool, time_unit: TimeUnit) -> Encoding {
        match format {
            Format::Json => Encoding::Json { combined, time_unit },
            Format::Sbe => Encoding::Sbe { combined },
        }
    }

    /// Whether events are in SBE.
    pub fn is_sbe(self) -> bool {
        matches!(self, Encoding::Sbe { .. })
    }

    /// Whether JSON events are wrapped with their stream's name: the property `combined`.
    pub fn wraps_json(self) -> bool {
        match self {
            Encoding::Json { combined, .. } | Encoding::Sbe { combined } => combined,
        }
    }

    /// The event that announces the engine's end, at `at_us` (wall-clock time, microseconds): JSON whatever the format,
    /// in the unit and the wrapping of the connection's events.
    pub fn shutdown_event(self, at_us: i64) -> String {
        let time = match self {
            Encoding::Json { time_unit, .. } => time_unit.from_micros(at_us),
            Encoding::Sbe { .. } => at_us,
        };
        let event = format!(r#"{{"e":"serverShutdown","E":{time}}}"#);
        if self.wraps_json() {
            format!(r#"{{"stream":"!serverShutdown","data":{event}}}"#)
        } else {
            event
        }
    }

    /// The same with JSON events wrapped or not.
    #[must_use]
    pub fn with_combined(self, combined: bool) -> Encoding {
        match self {
            Encoding::Json { time_unit, .. } => Encoding::Json { combined, time_unit },
            Encoding::Sbe { .. } => Encoding::Sbe { combined },
        }
    }
}
