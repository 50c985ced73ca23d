//! The load fleet: processes that open connections, read everything and check it.

pub mod order;
