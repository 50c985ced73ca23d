//! The rules by which a subscriber joins a snapshot and a stream of updates.
