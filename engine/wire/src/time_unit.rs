//! The unit of the time fields in JSON events: milliseconds, or microseconds where the subscriber asked for them.

/// The unit in which JSON events give their times. Inside the engine times are always microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// Milliseconds since the Unix epoch (the default).
    #[default]
    Millisecond,
    /// Microseconds since the Unix epoch (`timeUnit=MICROSECOND`).
    Microsecond,
}

impl TimeUnit {
    /// `time_us` (microseconds) in this unit, rounded down.
    pub fn from_micros(self, time_us: i64) -> i64 {
        match self {
            TimeUnit::Millisecond => time_us.div_euclid(1000),
            TimeUnit::Microsecond => time_us,
        }
    }
}
