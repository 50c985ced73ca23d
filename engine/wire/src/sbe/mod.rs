//! Market events in Simple Binary Encoding, both ways.
