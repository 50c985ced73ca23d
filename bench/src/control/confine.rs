//! What a process of the bench does to itself before anything else: it ends with its parent, stays on its core, and takes
//! as many descriptors as the host allows.

use std::io;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// What the host refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel does not promise to end the process with its parent.
    #[error("the kernel does not take the request to end this process with the one that started it: {0}")]
    Parent(#[source] io::Error),
    /// The core is not there, or not this process's to use.
    #[error("core {core} is not to be had: {error}")]
    Core {
        /// The core's number on the host.
        core: usize,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The limit of descriptors cannot be set to what the host allows.
    #[error("the limit of descriptors cannot be raised to the hard one: {0}")]
    Descriptors(#[source] io::Error),
}

/// Has the kernel kill this process when the *thread* that started it ends, also beyond an `exec`. A parent that ended
/// before this call is not noticed by it: look for that at an input which ends with the parent.
pub fn end_with_parent() -> Result<(), ConfineError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| ConfineError::Parent(error.into()))
}

/// Keeps the calling thread, and threads that it starts from here on, on `core`, a number on the host.
pub fn stay_on_core(core: usize) -> Result<(), ConfineError> {
    let refused = |error| ConfineError::Core { core, error };
    if core >= CpuSet::MAX_CPU {
        return Err(refused(io::ErrorKind::InvalidInput.into()));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| refused(error.into()))
}

/// Raises the soft limit of descriptors to the hard one and gives that; None where there is none.
pub fn raise_descriptor_limit() -> Result<Option<u64>, ConfineError> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| ConfineError::Descriptors(error.into()))?;
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let error = stay_on_core(1 << 20).unwrap_err();
        assert!(
            error.to_string().starts_with("core 1048576 is not to be had"),
            "{error}"
        );
        let error = stay_on_core(CpuSet::MAX_CPU - 1).unwrap_err();
        assert!(matches!(error, ConfineError::Core { core: 1023, .. }), "{error}");
    }

    #[test]
    fn the_soft_limit_of_descriptors_becomes_the_hard_one() {
        let hard = raise_descriptor_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, hard);
    }
}
