//! What one run showed, and the figures that follow from it.

use serde::Serialize;

use super::slow::figures::SlowFigures;

/// Quantiles of a time, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half were at most this.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p999_us: f64,
    /// All.
    pub max_us: f64,
}

impl Quantiles {
    /// Those of a histogram of nanoseconds; None when nothing is in it.
    pub fn of(histogram: &hdrhistogram::Histogram<u64>) -> Option<Quantiles> {
        let us = |ns: u64| ns as f64 / 1000.0;
        (!histogram.is_empty()).then(|| Quantiles {
            p50_us: us(histogram.value_at_quantile(0.5)),
            p99_us: us(histogram.value_at_quantile(0.99)),
            p999_us: us(histogram.value_at_quantile(0.999)),
            max_us: us(histogram.max()),
        })
    }
}

/// Everything measured in one run of one server. Counts are of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Connections that were opened.
    pub connections: u32,
    /// From the first connect to the last answered request, seconds.
    pub open_s: f64,
    /// CPU of the server meanwhile, nanoseconds.
    pub open_server_ns: u64,
    /// Length of the window, nanoseconds.
    pub window_ns: u64,
    /// The fleet's window, nanoseconds: from when it began to count to when it was asked for its counts. A little longer than
    /// the other, in which everything else is read.
    pub fleet_window_ns: u64,
    /// Data frames that the fleet received, slow readers left out.
    pub frames: u64,
    /// Bytes that it received.
    pub bytes: u64,
    /// TCP segments with data that the server sent: one for each send call, while no send is larger than a segment.
    pub segments: u64,
    /// Send calls for each segment, counted at the kernel's tracepoints in a window of its own. None where they cannot be
    /// had.
    pub calls_per_segment: Option<f64>,
    /// CPU of the server's process in user mode, nanoseconds.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// Both, as the scheduler has it.
    pub run_ns: u64,
    /// Time that all cores were busy, softirq included and without what the host gave to others, nanoseconds.
    pub busy_ns: u64,
    /// Time that the server's core was.
    pub server_core_busy_ns: u64,
    /// Softirq among the busy time of all cores.
    pub softirq_ns: u64,
    /// Time that the host gave to others.
    pub steal_ns: u64,
    /// From publishing to receiving.
    pub latency: Option<Quantiles>,
    /// How long a round over all connections took, of the bare loop.
    pub pass: Option<Quantiles>,
    /// Anonymous memory of the server for each connection, bytes.
    pub server_bytes_per_connection: f64,
    /// Kernel slab for each connection, both ends, bytes.
    pub slab_bytes_per_connection: f64,
    /// Frames that a flush gives to one connection.
    pub frames_per_flush: u32,
    /// Depth events that kept a book.
    pub book_events: u64,
    /// Connections that were closed, by code.
    pub closed: std::collections::BTreeMap<u16, u32>,
    /// Segments that were sent again.
    pub retransmitted: u64,
    /// What became of slow readers, where there were any: none of the above is of them, but for memory and the server's work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<SlowFigures>,
    /// What was wrong: gaps, frames out of order, malformed frames, connections lost.
    pub faults: Vec<String>,
    /// What somebody who reads the figures should know.
    pub notes: Vec<String>,
}

impl Measured {
    /// Flushes that were delivered, over all connections.
    pub fn flushes(&self) -> f64 {
        self.frames as f64 / f64::from(self.frames_per_flush.max(1))
    }

    /// Send calls: as many as segments, corrected where both were counted.
    pub fn sends(&self) -> f64 {
        self.segments as f64 * self.calls_per_segment.unwrap_or(1.0)
    }

    /// Send calls a second.
    pub fn sends_per_s(&self) -> f64 {
        self.sends() / self.seconds()
    }

    /// Bytes of a send.
    pub fn bytes_per_send(&self) -> f64 {
        self.bytes as f64 / self.fleet_seconds() / self.sends_per_s()
    }

    /// Frames a second.
    pub fn frames_per_s(&self) -> f64 {
        self.frames as f64 / self.fleet_seconds()
    }

    /// Frames a second that the server's core would carry if it were busy all the time.
    pub fn frames_per_busy_s(&self) -> f64 {
        self.frames_per_s() * self.window_ns as f64 / self.server_core_busy_ns as f64
    }

    /// User time of the server for a send, nanoseconds.
    pub fn user_ns_per_send(&self) -> f64 {
        self.user_ns as f64 / self.sends()
    }

    /// CPU of the server for a send, nanoseconds.
    pub fn run_ns_per_send(&self) -> f64 {
        self.run_ns as f64 / self.sends()
    }

    /// CPU of the whole machine for a send, the fleet's included, nanoseconds.
    pub fn cpu_ns_per_send(&self) -> f64 {
        self.busy_ns as f64 / self.sends()
    }

    /// Send calls for each connection and flush.
    pub fn calls_per_flush(&self) -> f64 {
        self.sends_per_s() / (self.flushes() / self.fleet_seconds())
    }

    /// Connections a second.
    pub fn handshakes_per_s(&self) -> f64 {
        f64::from(self.connections) / self.open_s
    }

    /// Connections a second that the server's CPU time alone would allow.
    pub fn handshakes_per_server_s(&self) -> f64 {
        f64::from(self.connections) / (self.open_server_ns as f64 / 1e9)
    }

    fn fleet_seconds(&self) -> f64 {
        self.fleet_window_ns as f64 / 1e9
    }

    fn seconds(&self) -> f64 {
        self.window_ns as f64 / 1e9
    }
}
