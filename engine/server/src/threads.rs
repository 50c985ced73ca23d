//! The engine's threads: each with a name, and a witness that tells if it fails.

use std::io;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Sender;

/// Runs `run` on a thread of its own; if that panics, `failed` is told the thread's name.
pub(crate) fn spawn(
    name: &str,
    failed: Sender<String>,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name(name.into())
        .spawn(witnessed(name, failed, run))
}

/// `run`; if that panics, `failed` is told the thread's name.
pub(crate) fn witnessed<F: FnOnce()>(name: &str, failed: Sender<String>, run: F) -> impl FnOnce() + use<F> {
    let witness = Witness {
        name: name.into(),
        failed,
    };
    move || {
        let _witness = witness;
        run();
    }
}

/// Tells of a thread that ended by a panic.
struct Witness {
    name: String,
    failed: Sender<String>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // One failure is enough to end the engine: there is no room for more.
            let _ = self.failed.try_send(std::mem::take(&mut self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn a_thread_that_fails_is_named_and_one_that_ends_is_not() {
        let (failed, failure) = bounded(1);
        spawn("calm", failed.clone(), || {}).unwrap().join().unwrap();
        assert!(failure.try_recv().is_err());
        let hasty = spawn("hasty", failed, || panic!("as the test wants it")).unwrap();
        assert!(hasty.join().is_err());
        assert_eq!(failure.recv(), Ok("hasty".to_string()));
    }
}
