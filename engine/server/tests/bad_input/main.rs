//! What goes wrong outside the engine, and what it makes of it: the fault is named to whoever is at fault, by status,
//! close code or exit code and in words, and nobody else notices anything.

#[path = "../common/mod.rs"]
pub mod common;

mod captures;
mod conflation;
mod endings;
mod gaps;
mod limits;
mod requests;
mod settings;
mod slow;
mod stats;
mod strangers;
mod witness;
