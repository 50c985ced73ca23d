//! Floor 4: measurements.
