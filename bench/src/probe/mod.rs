//! What is read of a process and of the host from outside, by a program that is not being measured.
//!
//! - [`process`]: a process's CPU time and memory; [`sends`]: its calls that send;
//! - [`machine`]: every core's time, TCP's counts and the kernel's memory;
//! - [`queues`]: what lies in the queues of a server's connections; [`slabs`]: the kernel's objects that they are made of; [`drops`]:
//!   which of its network limits were met;
//! - [`host`]: what the host allows, looked at before a start; [`host_facts`]: the settings that say so;
//! - [`launch`]: a program that is to be measured, on its core and never outliving the bench; [`stats`]: what it says of itself.

pub mod drops;
pub mod host;
pub mod host_facts;
mod host_shortage;
pub mod launch;
pub mod machine;
mod proc_files;
pub mod process;
pub mod queues;
pub mod sends;
pub mod slabs;
pub mod stats;

pub use proc_files::ProbeError;
