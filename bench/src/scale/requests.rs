//! Answers of REST asked for beside the streams, at a steady rate, over connections that are kept alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::process::setpriority_process;

use crate::control::confine;

/// Connections, each with a thread that asks and waits for the answer.
const CONNECTIONS: u32 = 16;

/// The weight of these threads against the load's where they share its core: the least (nice +19).
const LEAST_URGENT: i32 = 19;

/// How long an answer may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer taken: exchange information of 10,000 symbols.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Times of answers are told up to this, ns.
const TIME_MAX_NS: u64 = 60_000_000_000;

/// What is asked, how often, and from which core.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// Whom.
    pub server: SocketAddr,
    /// The path with its parameters.
    pub target: String,
    /// How many a second.
    pub per_second: u32,
    /// Where the threads stay.
    pub core: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Answers with status 200.
    pub count: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// From when each was to be asked for to its last byte, ns: one that has to wait for the one before counts from when it
    /// was due.
    pub times: Histogram<u64>,
    /// Those that were refused or did not come.
    pub failed: u64,
    /// Why, of one of them.
    pub error: Option<String>,
}

impl Default for Answered {
    fn default() -> Answered {
        let times = Histogram::new_with_bounds(1000, TIME_MAX_NS, 3);
        Answered {
            count: 0,
            bytes: 0,
            times: times.expect("bounds and digits are constants"),
            failed: 0,
            error: None,
        }
    }
}

impl Answered {
    fn add(&mut self, other: &Answered) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.failed += other.failed;
        if self.times.add(&other.times).is_err() {
            // All have the same bounds.
            self.error.get_or_insert_with(|| "times were lost".into());
        }
        if self.error.is_none() {
            self.error.clone_from(&other.error);
        }
    }
}

/// Requests that go on. Dropping it leaves the threads to end by themselves at their next turn.
#[derive(Debug)]
pub struct Requests {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Answered>>,
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Requests {
    /// Begins to ask. An error is the host's.
    pub fn begin(plan: &RequestPlan) -> std::io::Result<Requests> {
        let mut requests = Requests {
            is_over: Arc::default(),
            threads: Vec::new(),
        };
        let begun = Instant::now();
        for number in 0..CONNECTIONS.min(plan.per_second) {
            let (plan, is_over) = (plan.clone(), requests.is_over.clone());
            let thread = std::thread::Builder::new()
                .name(format!("requests {number}"))
                .spawn(move || ask(&plan, number, begun, &is_over))?;
            requests.threads.push(thread);
        }
        Ok(requests)
    }

    /// Ends it, and gives what came of it.
    pub fn end(mut self) -> Answered {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Answered::default();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(answered) => all.add(&answered),
                Err(_) => all.failed += 1,
            }
        }
        all
    }
}

/// One connection's share of the requests, each at its time.
fn ask(plan: &RequestPlan, number: u32, begun: Instant, is_over: &AtomicBool) -> Answered {
    let mut answered = Answered::default();
    if let Err(error) = confine::stay_on_core(plan.core) {
        answered.error = Some(error.to_string());
    }
    // What is to be seen is what the engine does to its subscribers, not what this thread does to the load beside it.
    if let Err(error) = setpriority_process(None, LEAST_URGENT) {
        answered.error = Some(error.to_string());
    }
    let agent = ureq::Agent::from(
        ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .build(),
    );
    let url = format!("http://{}{}", plan.server, plan.target);
    let share = CONNECTIONS.min(plan.per_second);
    for turn in 0_u64.. {
        let nth = turn * u64::from(share) + u64::from(number);
        let due = begun + Duration::from_nanos(nth * 1_000_000_000 / u64::from(plan.per_second));
        sleep(due.saturating_duration_since(Instant::now()));
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        match body(&agent, &url) {
            Ok(bytes) => {
                answered.count += 1;
                answered.bytes += bytes;
                let ns = u64::try_from(due.elapsed().as_nanos()).unwrap_or(TIME_MAX_NS);
                answered.times.saturating_record(ns);
            }
            Err(error) => {
                answered.failed += 1;
                answered.error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    answered
}

fn body(agent: &ureq::Agent, url: &str) -> Result<u64, ureq::Error> {
    let mut answer = agent.get(url).call()?;
    let body = answer
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()?;
    Ok(body.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn answers_and_refusals_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = RequestPlan {
            server: listener.local_addr().unwrap(),
            target: "/x?y=1".into(),
            per_second: 100,
            core: 0,
        };
        let requests = Requests::begin(&RequestPlan {
            per_second: 1,
            ..plan.clone()
        })
        .unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut answer = |head: &str, body: &str| {
            let mut head_seen = Vec::new();
            while !head_seen.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head_seen.push(byte[0]);
            }
            assert!(head_seen.starts_with(b"GET /x?y=1 HTTP/1.1\r\n"));
            write!(
                stream,
                "HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        };
        answer("200 OK", "{\"a\":1}");
        answer("429 Too Many Requests", "{}");
        let answered = requests.end();
        assert_eq!((answered.count, answered.bytes, answered.failed), (1, 7, 1));
        assert!(answered.error.unwrap().contains("429"));
        drop((stream, listener));
        let requests = Requests::begin(&plan).unwrap();
        sleep(Duration::from_millis(100));
        let answered = requests.end();
        assert_eq!(answered.count, 0);
        assert!(answered.failed > 0 && answered.error.is_some());
    }
}
