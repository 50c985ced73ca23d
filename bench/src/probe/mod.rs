//! What is read of a process and of the host from outside, by a program that is not being measured.
//!
//! - [`process`]: a process's CPU time and memory; [`sends`]: its calls that send;
//! - [`machine`]: every core's time, TCP's counts and the kernel's memory;
//! - [`launch`]: a program that is to be measured, on its core and never outliving the bench.

pub mod launch;
pub mod machine;
mod proc_files;
pub mod process;
pub mod sends;

pub use proc_files::ProbeError;
