//! One process, looked at from outside: what CPU time it has used and what memory it holds.

use std::fs;

use super::proc_files::{ProbeError, foreign, is_gone, kilobytes, read_of, ticks_ns};
use crate::clock::monotonic_ns;

/// A process at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSample {
    /// Its id.
    pub pid: u32,
    /// When it was looked at, CLOCK_MONOTONIC, ns.
    pub taken_ns: u64,
    /// When it began, in clock ticks since the host's start: another number is another process.
    pub started_ticks: u64,
    /// CPU time in user mode, of all its threads that are or were, ns in steps of a clock tick (10 ms). The kernel measures
    /// the sum of user and system time exactly and divides it by what each timer tick (1 to 10 ms) met.
    pub user_ns: u64,
    /// The same in the kernel on its behalf. Interrupts that come meanwhile count here, too, so that of a sender this has
    /// the kernel's work for loopback receivers.
    pub system_ns: u64,
    /// Resident memory (VmRSS), bytes.
    pub resident_bytes: u64,
    /// Of that, what is not of files: heap and stacks (RssAnon), bytes.
    pub anonymous_bytes: u64,
    /// The most resident memory that it ever had (VmHWM), bytes.
    pub resident_peak_bytes: u64,
    /// Its threads that are alive, by id.
    pub threads: Vec<ThreadSample>,
}

/// A thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSample {
    /// Its id.
    pub id: u32,
    /// Its name, of 15 bytes at most.
    pub name: String,
    /// How long it has run on a core, ns, exact but for the time since the last timer tick if it is running now.
    pub run_ns: u64,
}

/// What a process used from one sample to a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// Time from one to the other, ns.
    pub wall_ns: u64,
    /// User time, ns in steps of a clock tick.
    pub user_ns: u64,
    /// System time, likewise.
    pub system_ns: u64,
    /// User and system time together, ns, over the threads that were alive at the end: finer than the two above.
    pub run_ns: u64,
    /// The same by thread, as they were alive at the end.
    pub threads: Vec<ThreadSample>,
    /// By how much resident memory grew, bytes.
    pub resident_bytes: i64,
    /// By how much heap and stacks grew, bytes.
    pub anonymous_bytes: i64,
}

impl ProcessSample {
    /// Looks at process `pid` now. One that has ended, though nobody has waited for it yet, is an error.
    pub fn of(pid: u32) -> Result<ProcessSample, ProbeError> {
        let folder = format!("/proc/{pid}");
        let taken_ns = monotonic_ns();
        let path = format!("{folder}/stat");
        let stat = Stat::parse(&read_of(pid, &path)?).ok_or_else(|| foreign(path, "times of a process"))?;
        if stat.has_ended() {
            return Err(ProbeError::Gone { pid });
        }
        let status = read_of(pid, format!("{folder}/status"))?;
        // Only a process that is ending, and kernel threads, have none.
        let bytes = |name| kilobytes(&status, name).ok_or(ProbeError::Gone { pid });
        Ok(ProcessSample {
            pid,
            taken_ns,
            started_ticks: stat.started_ticks,
            user_ns: ticks_ns(stat.user_ticks),
            system_ns: ticks_ns(stat.system_ticks),
            resident_bytes: bytes("VmRSS")?,
            anonymous_bytes: bytes("RssAnon")?,
            resident_peak_bytes: bytes("VmHWM")?,
            threads: threads_of(pid)?,
        })
    }

    /// How long its threads have run, ns.
    pub fn run_ns(&self) -> u64 {
        self.threads.iter().map(|thread| thread.run_ns).sum()
    }

    /// What it used since `earlier`. A sample of another process that had the same id means that the one is gone.
    pub fn since(&self, earlier: &ProcessSample) -> Result<ProcessUse, ProbeError> {
        if (self.pid, self.started_ticks) != (earlier.pid, earlier.started_ticks) {
            return Err(ProbeError::Gone { pid: earlier.pid });
        }
        let threads: Vec<ThreadSample> = self
            .threads
            .iter()
            .map(|thread| {
                let before = earlier.threads.iter().find(|before| before.id == thread.id);
                ThreadSample {
                    run_ns: thread
                        .run_ns
                        .saturating_sub(before.map_or(0, |before| before.run_ns)),
                    ..thread.clone()
                }
            })
            .collect();
        Ok(ProcessUse {
            wall_ns: self.taken_ns.saturating_sub(earlier.taken_ns),
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
            run_ns: threads.iter().map(|thread| thread.run_ns).sum(),
            threads,
            resident_bytes: growth(earlier.resident_bytes, self.resident_bytes),
            anonymous_bytes: growth(earlier.anonymous_bytes, self.anonymous_bytes),
        })
    }
}

/// The anonymous memory of a process as its page tables have it (smaps_rollup), bytes: `RssAnon` is summed up from counts that
/// each core keeps, and may be some 100 KB off.
pub fn anonymous_bytes(pid: u32) -> Result<u64, ProbeError> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = read_of(pid, &path)?;
    kilobytes(&text, "Anonymous").ok_or_else(|| foreign(path, "Anonymous"))
}

/// From one size to another.
pub(super) fn growth(from: u64, to: u64) -> i64 {
    // Sizes of memory are far below 2^63.
    to.cast_signed().saturating_sub(from.cast_signed())
}

/// What is used of /proc/PID/stat.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    user_ticks: u64,
    system_ticks: u64,
    started_ticks: u64,
}

impl Stat {
    /// Fields are counted from 1 in proc_pid_stat(5); the second is a name that may hold blanks and brackets, and the third
    /// follows the last bracket.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse().ok();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            user_ticks: number(14)?,
            system_ticks: number(15)?,
            started_ticks: number(22)?,
        })
    }

    /// Zombies have their times still, but no memory and no threads.
    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// The ids of the threads that are alive.
pub(super) fn thread_ids(pid: u32) -> Result<Vec<u32>, ProbeError> {
    let path = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&path).map_err(|error| {
        if is_gone(&error) {
            ProbeError::Gone { pid }
        } else {
            ProbeError::Unreadable {
                path: path.into(),
                error,
            }
        }
    })?;
    let mut ids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

fn threads_of(pid: u32) -> Result<Vec<ThreadSample>, ProbeError> {
    let mut threads = Vec::new();
    for id in thread_ids(pid)? {
        match thread_of(pid, id) {
            Ok(thread) => threads.push(thread),
            // It has ended since it was listed.
            Err(ProbeError::Gone { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if threads.is_empty() {
        return Err(ProbeError::Gone { pid });
    }
    Ok(threads)
}

fn thread_of(pid: u32, id: u32) -> Result<ThreadSample, ProbeError> {
    let folder = format!("/proc/{pid}/task/{id}");
    let path = format!("{folder}/schedstat");
    let run_ns = run_time(&read_of(pid, &path)?).ok_or_else(|| foreign(path, "run time"))?;
    let name = read_of(pid, format!("{folder}/comm"))?.trim_end().to_string();
    Ok(ThreadSample { id, name, run_ns })
}

/// The first field of a schedstat file: time on a core, ns (Documentation/scheduler/sched-stats.rst).
fn run_time(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of Linux 6.18; the name is made worse.
    const STAT: &str = "13302 (a) R (b c) S 13294 13294 8152 0 -1 4194304 99 0 0 0 17 42 0 0 20 0 3 0 2319752 3133440 358 \
        18446744073709551615 94153919148032 94153919167913 140728565886576 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 94153919183920 \
        94153919185536 94154006560768 140728565889762 140728565889782 140728565889782 140728565891051 0\n";

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let stat = Stat::parse(STAT).unwrap();
        assert_eq!(
            stat,
            Stat {
                state: 'S',
                user_ticks: 17,
                system_ticks: 42,
                started_ticks: 2_319_752
            }
        );
        assert!(!stat.has_ended());
        assert!(Stat::parse(&STAT.replace(") S", ") Z")).unwrap().has_ended());
        assert_eq!(Stat::parse("13302 (cat) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn run_time_is_the_first_of_schedstat() {
        assert_eq!(run_time("81327011 3797262 1\n"), Some(81_327_011));
        assert_eq!(run_time("\n"), None);
    }

    #[test]
    fn the_own_process_is_there_and_its_times_go_on() {
        let before = ProcessSample::of(std::process::id()).unwrap();
        assert!(before.resident_bytes > before.anonymous_bytes && before.anonymous_bytes > 0);
        assert!(anonymous_bytes(before.pid).unwrap() > 0);
        let first = &before.threads[0];
        assert_eq!(first.id, before.pid, "the first thread has the id of the process");
        // Until the kernel has counted some more of it.
        let later = loop {
            let later = ProcessSample::of(std::process::id()).unwrap();
            if later.run_ns() > before.run_ns() {
                break later;
            }
        };
        let used = later.since(&before).unwrap();
        assert!(used.wall_ns > 0 && used.run_ns > 0);
        assert!(used.threads.iter().any(|thread| thread.run_ns > 0));
    }

    #[test]
    fn threads_that_came_later_count_whole() {
        let thread = |id, run_ns| ThreadSample {
            id,
            name: "t".into(),
            run_ns,
        };
        let mut earlier = ProcessSample::of(std::process::id()).unwrap();
        let mut later = earlier.clone();
        earlier.threads = vec![thread(1, 100), thread(2, 50)];
        later.threads = vec![thread(1, 130), thread(3, 7)];
        later.taken_ns += 5;
        later.resident_bytes -= 4096;
        let used = later.since(&earlier).unwrap();
        assert_eq!(used.threads, [thread(1, 30), thread(3, 7)]);
        assert_eq!((used.wall_ns, used.run_ns, used.resident_bytes), (5, 37, -4096));
    }

    #[test]
    fn a_process_that_is_gone_is_said_to_be() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(matches!(ProcessSample::of(pid), Err(ProbeError::Gone { pid: gone }) if gone == pid));
        assert!(matches!(anonymous_bytes(pid), Err(ProbeError::Gone { .. })));
        let own = ProcessSample::of(std::process::id()).unwrap();
        let another = ProcessSample {
            started_ticks: own.started_ticks + 1,
            ..own.clone()
        };
        assert!(matches!(another.since(&own), Err(ProbeError::Gone { .. })));
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_gone_too() {
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        ProcessSample::of(child.id()).unwrap();
        drop(child.stdin.take());
        // Once it has ended, which closes its output first and makes it a zombie a moment later.
        std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        let error = loop {
            match ProcessSample::of(child.id()) {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), format!("process {} is gone", child.id()));
        child.wait().unwrap();
    }
}
