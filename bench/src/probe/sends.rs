//! Counts a process's calls that send, from outside, at the kernel's tracepoints of system calls (perf_event_open(2),
//! Documentation/trace/events.rst).
//!
//! While any tracepoint of a system call is on, the kernel takes its slow way into *every* call of every process. So count
//! in a window of its own, and measure CPU in another.

use std::io;
use std::path::Path;

use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};

use super::proc_files::{ProbeError, is_gone};
use super::process::thread_ids;

/// Where the kernel shows its tracepoints, once that is mounted.
const TRACEFS: &str = "/sys/kernel/tracing";

/// The setting by which the kernel restricts counting.
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// The calls that are counted, as the kernel names them.
const CALLS: [&str; 5] = ["sendto", "sendmsg", "sendmmsg", "writev", "write"];

/// Why nothing can be counted.
#[derive(Debug, thiserror::Error)]
pub enum SendCounterError {
    /// Its threads cannot be learned.
    #[error(transparent)]
    Process(#[from] ProbeError),
    /// The kernel's tracepoints are not shown.
    #[error(
        "the kernel's tracepoints are not mounted: `mount -t tracefs nodev {TRACEFS}` as root shows them"
    )]
    NotMounted,
    /// They are root's alone.
    #[error("the kernel's tracepoints under {TRACEFS} are not this user's to read: count as root")]
    NotReadable,
    /// The kernel has none for system calls.
    #[error("this kernel has no tracepoints of system calls: it was built without CONFIG_FTRACE_SYSCALLS")]
    NoSyscalls,
    /// The host does not let this user count another process's calls.
    #[error(
        "the kernel does not let this user count the calls of process {pid} (kernel.perf_event_paranoid is {paranoid}): count as root, or `sysctl kernel.perf_event_paranoid=-1`"
    )]
    NotAllowed {
        /// The process.
        pid: u32,
        /// The setting.
        paranoid: String,
    },
    /// The host refuses for another reason; each thread of the process takes five descriptors.
    #[error("the kernel does not count the calls of process {pid}: {error}")]
    Refused {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Calls by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendCalls {
    /// `sendto`, which is also what `send` is. Sockets only.
    pub sendto: u64,
    /// `sendmsg`. Sockets only.
    pub sendmsg: u64,
    /// `sendmmsg`, each of several messages. Sockets only.
    pub sendmmsg: u64,
    /// `writev`: in the engine, to sockets only.
    pub writev: u64,
    /// `write`: in the engine and the bare loop never to a socket, but to wake a thread and to standard output.
    pub write: u64,
}

impl SendCalls {
    /// Calls that sent to a socket, of a program that uses `writev` for nothing else and `write` for none.
    pub fn to_sockets(&self) -> u64 {
        self.sendto + self.sendmsg + self.sendmmsg + self.writev
    }

    /// The calls since `earlier`.
    pub fn since(&self, earlier: &SendCalls) -> SendCalls {
        SendCalls {
            sendto: self.sendto.saturating_sub(earlier.sendto),
            sendmsg: self.sendmsg.saturating_sub(earlier.sendmsg),
            sendmmsg: self.sendmmsg.saturating_sub(earlier.sendmmsg),
            writev: self.writev.saturating_sub(earlier.writev),
            write: self.write.saturating_sub(earlier.write),
        }
    }
}

/// Counts until it is dropped.
#[derive(Debug)]
pub struct SendCounter {
    pid: u32,
    /// By call, as in [`CALLS`], one for each thread that was there.
    counters: [Vec<Counter>; CALLS.len()],
}

impl SendCounter {
    /// Begins to count the calls of all threads of process `pid`, those too that they start from here on.
    pub fn attach(pid: u32) -> Result<SendCounter, SendCounterError> {
        let ids = tracepoints(Path::new(TRACEFS))?;
        let threads = thread_ids(pid)?;
        let mut counters = [const { Vec::new() }; CALLS.len()];
        for (id, counters) in ids.into_iter().zip(&mut counters) {
            for &thread in &threads {
                match count(id, thread) {
                    Ok(counter) => counters.push(counter),
                    // The thread has ended since it was listed.
                    Err(error) if is_gone(&error) => {}
                    Err(error) => return Err(refusal(pid, error)),
                }
            }
        }
        if counters.iter().any(Vec::is_empty) {
            return Err(ProbeError::Gone { pid }.into());
        }
        Ok(SendCounter { pid, counters })
    }

    /// The calls so far. They are read one after the other while the process goes on, so they belong together only as far
    /// as it rests.
    pub fn read(&mut self) -> Result<SendCalls, SendCounterError> {
        let pid = self.pid;
        let mut sums = [0; CALLS.len()];
        for (sum, counters) in sums.iter_mut().zip(&mut self.counters) {
            for counter in counters {
                *sum += counter
                    .read()
                    .map_err(|error| SendCounterError::Refused { pid, error })?;
            }
        }
        let [sendto, sendmsg, sendmmsg, writev, write] = sums;
        Ok(SendCalls {
            sendto,
            sendmsg,
            sendmmsg,
            writev,
            write,
        })
    }
}

/// The kernel's numbers of the tracepoints.
fn tracepoints(tracefs: &Path) -> Result<[u64; CALLS.len()], SendCounterError> {
    let mut ids = [0; CALLS.len()];
    for (id, call) in ids.iter_mut().zip(CALLS) {
        let path = tracefs.join(format!("events/syscalls/sys_enter_{call}/id"));
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => SendCounterError::NotReadable,
            _ if tracefs.join("events").is_dir() => SendCounterError::NoSyscalls,
            _ => SendCounterError::NotMounted,
        })?;
        *id = text.trim().parse().map_err(|_| SendCounterError::NoSyscalls)?;
    }
    Ok(ids)
}

fn count(tracepoint: u64, thread: u32) -> io::Result<Counter> {
    let thread = i32::try_from(thread).map_err(|_| io::ErrorKind::NotFound)?;
    Builder::new(Tracepoint::with_id(tracepoint))
        .observe_pid(thread)
        .any_cpu()
        .inherit(true)
        .enabled(true)
        .build()
}

fn refusal(pid: u32, error: io::Error) -> SendCounterError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        let paranoid = std::fs::read_to_string(PARANOID).unwrap_or_default();
        SendCounterError::NotAllowed {
            pid,
            paranoid: paranoid.trim().into(),
        }
    } else {
        SendCounterError::Refused { pid, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_give_tracepoints_is_said() {
        let missing = tracepoints(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(missing, SendCounterError::NotMounted), "{missing}");
        assert!(missing.to_string().contains("mount -t tracefs"), "{missing}");

        let folder = std::env::temp_dir().join(format!("depthcast-bench-tracefs-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("events/syscalls/sys_enter_sendto")).unwrap();
        let incomplete = tracepoints(&folder);
        for (number, call) in CALLS.iter().enumerate() {
            let event = folder.join(format!("events/syscalls/sys_enter_{call}"));
            std::fs::create_dir_all(&event).unwrap();
            std::fs::write(event.join("id"), format!("{}\n", number + 900)).unwrap();
        }
        let complete = tracepoints(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(incomplete, Err(SendCounterError::NoSyscalls)));
        assert_eq!(complete.unwrap(), [900, 901, 902, 903, 904]);
    }

    #[test]
    fn refusals_name_the_setting() {
        let error = refusal(7, io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(error.contains("perf_event_paranoid"), "{error}");
        let error = refusal(7, io::ErrorKind::OutOfMemory.into());
        assert!(matches!(error, SendCounterError::Refused { pid: 7, .. }));
    }

    #[test]
    fn writes_are_not_sends() {
        let earlier = SendCalls {
            sendto: 1,
            sendmsg: 2,
            sendmmsg: 3,
            writev: 4,
            write: 5,
        };
        let later = SendCalls {
            sendto: 11,
            write: 50,
            ..earlier
        };
        assert_eq!(earlier.to_sockets(), 10);
        let calls = later.since(&earlier);
        assert_eq!((calls.to_sockets(), calls.sendto, calls.write), (10, 10, 45));
    }
}
