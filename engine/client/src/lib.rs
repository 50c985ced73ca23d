//! Floor 2 of depthcast: a subscriber in Rust, over blocking sockets in the caller's thread.
//!
//! [`Subscriber`] connects, keeps a book in step with the stream by the exchange's rules, checks every update, reconnects
//! with backoff and jitter (resuming the book where the server can), and tells what happens as [`Event`]s:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use depthcast_client::{Event, Subscriber, SubscriberOptions};
//! # use depthcast_market::event::Side;
//! # use depthcast_wire::stream::SymbolName;
//! let symbol = SymbolName::new("BTCUSDT").expect("a symbol name");
//! let options = SubscriberOptions::new("ws://127.0.0.1:9443".parse()?, symbol);
//! let mut subscriber = Subscriber::connect(options)?;
//! loop {
//!     if let Some(Event::Update(update)) = subscriber.next(Duration::from_millis(100))? {
//!         println!("{}: {:?}", update.last_id, subscriber.book().best(Side::Bid));
//!     }
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`url`]: where a server is; [`options`]: what to subscribe to;
//! - [`subscriber`]: the state machine; [`event`]: what it tells; [`error`]: what can go wrong;
//! - [`tap`]: what is received, for those who keep it;
//! - [`connection`]: one WebSocket; [`rest`]: the snapshot, the precision, and which symbols there are;
//! - [`backoff`]: delays between tries; [`latency`]: how old events are on arrival.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod connection;
mod decode;
pub mod error;
pub mod event;
mod fetch;
mod keeper;
pub mod latency;
pub mod options;
pub mod rest;
mod resume;
pub mod subscriber;
pub mod tap;
pub mod url;

pub use error::{ClientError, Fault, Staleness};
pub use event::{BookOrigin, Counters, Event, Update};
pub use options::{SubscriberOptions, Timing};
pub use subscriber::Subscriber;
pub use url::Url;
