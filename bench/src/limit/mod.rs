//! The bare loop: prepared bytes to each socket in turn, and nothing else. What an engine is compared with.
//!
//! It is a process of its own with one thread: a second one would make the kernel count references to the descriptor table
//! at every call. Its sockets are set as the engine's are: a listener with `SO_REUSEPORT`, `TCP_NODELAY`, `SO_SNDBUF` where
//! told, registered once with epoll for reading, writing and the peer's end, edge-triggered.
//!
//! - [`order`]: what it is told and what it answers; [`Limit`]: the bench's end of it;
//! - `child`: the process, from its order to its end; `input`: its commands;
//! - `accept`: connections, which is also the least that a handshake can cost;
//! - `frames`: the bytes; `rounds`: their sending.

mod accept;
mod child;
mod frames;
mod input;
pub mod order;
mod parent;
mod rounds;

pub use accept::{ACCEPT_ANSWER, ACCEPT_KEY, REQUEST_KEY};
pub use child::run_child;
pub use parent::{Limit, LimitReady, ROLE};
