//! The HTTP upgrade, both roles.
