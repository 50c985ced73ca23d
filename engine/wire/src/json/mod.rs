//! Market events as JSON, both ways.
