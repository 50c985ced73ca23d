//! Crowds: connections to real streams that come, or go, all within a moment, and others that are there meanwhile.
//!
//! - [`order`]: what a process is told and what it answers; [`process`]: its loop, over the fleet's connections;
//! - [`storm`]: who comes when; [`churn`] and [`returns`]: who leaves when, and comes back; [`deal`]: to which stream;
//! - [`crowds`]: all processes of one role, as the bench has them;
//! - [`scene`]: the engine they come to, and the options that all commands with crowds take; [`look`]: what is read of it from
//!   outside; [`rest`]: the books that REST tells; [`findings`]: the figures, for people and for programs.

pub mod churn;
pub mod crowds;
pub mod deal;
pub mod findings;
pub mod look;
pub mod order;
pub mod process;
pub mod rest;
pub mod returns;
pub mod scene;
pub mod storm;

pub use crowds::{Crowd, CrowdError};
pub use process::run_child;
