//! Feeds of a market that is not live: replay of recorded captures.
