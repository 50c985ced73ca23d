//! The load fleet: processes that open connections, read everything and check it.
//!
//! - [`order`]: what a process is told and what it answers; [`plan`]: what follows from that for each connection;
//! - [`processes`]: all of them, as the bench has them;
//! - [`process`]: the loop of one; [`opening`] and [`connection`]: the life of a connection;
//! - [`scan`]: frames; [`sequence`]: their numbers; [`books`]: what they say; [`trail`]: whether all books say the same;
//! - [`head`]: the start of a message; [`watch`]: how a stream begins and goes on, and how late; [`moments`]: that by time;
//! - [`slow`]: readers that are slow on purpose; [`pace`]: when they have their turn; [`ledger`]: their books against others';
//! - [`counts`]: what is counted.

pub mod books;
pub mod connection;
pub mod counts;
pub mod head;
pub mod ledger;
pub mod moments;
pub mod opening;
pub mod order;
pub mod pace;
pub mod plan;
pub mod process;
pub mod processes;
pub mod scan;
pub mod sequence;
pub mod slow;
pub mod trail;
pub mod watch;

pub use plan::orders;
pub use process::run_child;
pub use processes::{Fleet, FleetError, FleetTotals};
