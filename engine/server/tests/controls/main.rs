//! What clients ask for, in their URLs and in their requests, over real sockets: each way that the exchange's clients
//! have, with the exact answers.

#[path = "../common/mod.rs"]
pub mod common;

mod aggregates;
mod paths;
mod requests;
