//! What connections take in memory: of the engine, of the load, of the kernel; and per connection, as the slope between two
//! numbers of connections, which leaves out what is there without any.

use serde::Serialize;

use crate::probe::ProbeError;
use crate::probe::machine::MachineSample;
use crate::probe::process::anonymous_bytes;
use crate::probe::slabs::{Slab, socket_slabs};

/// Sockets of a connection, over loopback: both ends.
const SOCKETS: f64 = 2.0;

/// Memory at a moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryLook {
    /// When, for people.
    pub when: String,
    /// Connections that were open.
    pub connections: u32,
    /// Anonymous memory of the engine, bytes.
    pub engine_bytes: u64,
    /// Of all processes of the load together.
    pub fleet_bytes: u64,
    /// The kernel's objects.
    pub slab_bytes: u64,
    /// Of those, what it cannot give back.
    pub slab_unreclaimable_bytes: u64,
    /// Those that connections are made of, by cache; none where they are not this user's to read.
    pub slabs: Vec<Slab>,
    /// TCP's queues.
    pub tcp_queue_bytes: u64,
    /// TCP sockets.
    pub tcp_sockets: u64,
    /// What programs could still get.
    pub available_bytes: u64,
}

/// What one more connection takes, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PerConnection {
    /// Of the engine.
    pub engine_bytes: f64,
    /// Of the load.
    pub fleet_bytes: f64,
    /// Of the kernel's objects, for each of its two sockets.
    pub slab_bytes_per_socket: f64,
    /// Of those, in the caches of sockets, handshakes, files and polls.
    pub socket_slab_bytes_per_socket: f64,
    /// Of TCP's queues.
    pub tcp_queue_bytes: f64,
    /// Of the machine's memory, all together.
    pub whole_bytes: f64,
}

impl MemoryLook {
    /// Looks at the engine, the load and the kernel now.
    pub fn at(when: &str, connections: u32, engine: u32, fleet: &[u32]) -> Result<MemoryLook, ProbeError> {
        let fleet: Result<Vec<u64>, ProbeError> = fleet.iter().map(|pid| anonymous_bytes(*pid)).collect();
        let memory = MachineSample::take()?.memory;
        Ok(MemoryLook {
            when: when.into(),
            connections,
            engine_bytes: anonymous_bytes(engine)?,
            fleet_bytes: fleet?.iter().sum(),
            slab_bytes: memory.slab_bytes,
            slab_unreclaimable_bytes: memory.slab_unreclaimable_bytes,
            // Root's to read; what is told without is enough.
            slabs: socket_slabs().unwrap_or_default(),
            tcp_queue_bytes: memory.tcp_queue_bytes,
            tcp_sockets: memory.tcp_sockets,
            available_bytes: memory.available_bytes,
        })
    }

    /// What each connection took that came since `earlier`; None where none did.
    pub fn per_connection(&self, earlier: &MemoryLook) -> Option<PerConnection> {
        let more = self
            .connections
            .checked_sub(earlier.connections)
            .filter(|more| *more > 0)?;
        let slope = |now: u64, before: u64| (now as f64 - before as f64) / f64::from(more);
        let slabs = |look: &MemoryLook| look.slabs.iter().map(|slab| slab.bytes).sum();
        Some(PerConnection {
            engine_bytes: slope(self.engine_bytes, earlier.engine_bytes),
            fleet_bytes: slope(self.fleet_bytes, earlier.fleet_bytes),
            slab_bytes_per_socket: slope(self.slab_bytes, earlier.slab_bytes) / SOCKETS,
            socket_slab_bytes_per_socket: slope(slabs(self), slabs(earlier)) / SOCKETS,
            tcp_queue_bytes: slope(self.tcp_queue_bytes, earlier.tcp_queue_bytes),
            // What is available shrinks.
            whole_bytes: slope(earlier.available_bytes, self.available_bytes),
        })
    }

    /// Why so many `connections` would not fit, as far as the slope since `earlier` tells, with `reserve_bytes` left to the rest of
    /// the host: a sentence.
    pub fn shortage(&self, earlier: &MemoryLook, connections: u32, reserve_bytes: u64) -> Option<String> {
        let each = self.per_connection(earlier)?.whole_bytes.max(1.0);
        let left = f64::from(connections.saturating_sub(self.connections));
        let free = self.available_bytes.saturating_sub(reserve_bytes) as f64;
        let fitting = f64::from(self.connections) + (free / each).floor();
        (left * each > free).then(|| {
            format!(
                "memory is going to stop it: each of the first {} connections took {:.1} KB of this host, both ends, so that about \
                 {fitting:.0} fit into the {:.0} MB that are left",
                self.connections,
                each / 1e3,
                free / 1e6
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(connections: u32, each: u64) -> MemoryLook {
        let grown = u64::from(connections) * each;
        let slab = |bytes| Slab {
            name: "TCP".into(),
            objects: 1,
            bytes,
        };
        MemoryLook {
            when: String::new(),
            connections,
            engine_bytes: 5_000_000 + grown,
            fleet_bytes: 1_000_000 + 4 * grown,
            slab_bytes: 70_000_000 + 20 * grown,
            slab_unreclaimable_bytes: 0,
            slabs: vec![slab(3_000 + 10 * grown), slab(4 * grown)],
            tcp_queue_bytes: 0,
            tcp_sockets: 0,
            available_bytes: 10_000_000_000 - 30 * grown,
        }
    }

    #[test]
    fn slopes_leave_out_what_is_there_anyway() {
        let each = look(240_000, 100).per_connection(&look(24_000, 100)).unwrap();
        let expected = PerConnection {
            engine_bytes: 100.0,
            fleet_bytes: 400.0,
            slab_bytes_per_socket: 1000.0,
            socket_slab_bytes_per_socket: 700.0,
            tcp_queue_bytes: 0.0,
            whole_bytes: 3000.0,
        };
        assert_eq!(each, expected);
        assert_eq!(look(7, 100).per_connection(&look(7, 100)), None);
    }

    #[test]
    fn what_will_not_fit_is_told_before() {
        let (empty, tenth) = (look(0, 100), look(100_000, 100));
        // 9.7 GB are left, 3 KB each.
        let shortage = |connections, reserve| tenth.shortage(&empty, connections, reserve);
        assert_eq!(shortage(1_000_000, 0), None);
        assert_eq!(shortage(3_333_333, 0), None);
        let told = shortage(3_333_334, 0).unwrap();
        assert!(
            told.contains("took 3.0 KB") && told.contains("about 3333333 fit into the 9700 MB"),
            "{told}"
        );
        assert!(
            shortage(1_000_000, 9_000_000_000)
                .unwrap()
                .contains("about 333333 fit")
        );
    }

    #[test]
    fn this_process_is_looked_at() {
        let own = std::process::id();
        let look = MemoryLook::at("now", 0, own, &[own, own]).unwrap();
        // Tests that run beside this one change it from one look to the next.
        assert!(look.engine_bytes > 0 && look.fleet_bytes > 0 && look.available_bytes > 0);
    }
}
