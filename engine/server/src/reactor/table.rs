//! How much room a worker's descriptor table has, and for what.

/// What a worker has for itself beside listeners and spares: the standard streams, its poll, its bell, its way to the admin
/// thread.
const OWN: u64 = 6;

/// Descriptors held in reserve, to be given up when the host has none left: so many connections can then be told so at a time.
pub const SPARES: usize = 4;

/// Connections over the bound that are told so at a time, each for as long as its request takes to arrive: at most two
/// seconds. Those beyond wait for one of these places, briefly, and are then told without being heard.
pub const REFUSALS_MAX: u32 = 256;

/// A small table keeps at most one in so many of its places for those it refuses.
const REFUSALS_SHARE: u64 = 8;

/// Workers before it whose listeners a worker has a copy of, to accept for them while they are full: with more workers than
/// this, one whose next so many are all full refuses, though others may have room.
pub const NEIGHBOURS_MAX: usize = 63;

/// A small table has at most one in so many of its places for those copies.
const NEIGHBOURS_SHARE: u64 = 16;

/// A full worker counts as full until one in so many of its connections has gone: who gives away its share of newcomers
/// with each one that comes, and takes it back with each one that goes, does little else.
const LOW_WATER_SHARE: u32 = 64;

/// The places of one worker's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Connections it serves at most.
    pub connections: u32,
    /// Connections beside these that it refuses at a time, at most.
    pub refusals: u32,
    /// Other workers whose listeners it has a copy of.
    pub neighbours: usize,
}

impl TableSize {
    /// The places where a table holds `limit` descriptors (None: any number) and there are `workers` of them, each to serve
    /// up to `asked` connections. None where there is no room for a single connection.
    pub fn plan(limit: Option<u64>, workers: usize, asked: u32) -> Option<TableSize> {
        let limit = limit.unwrap_or(u64::MAX);
        let few = usize::try_from(limit / NEIGHBOURS_SHARE).unwrap_or(usize::MAX);
        let neighbours = workers.saturating_sub(1).min(NEIGHBOURS_MAX).min(few);
        let listeners = neighbours as u64 + 1;
        let room = limit.checked_sub(OWN + listeners + SPARES as u64)?;
        let kept = room.div_ceil(REFUSALS_SHARE).min(REFUSALS_MAX.into());
        let connections = u32::try_from(room - kept).unwrap_or(u32::MAX).min(asked);
        let left = u32::try_from(room - u64::from(connections)).unwrap_or(u32::MAX);
        (connections > 0).then_some(TableSize {
            connections,
            refusals: left.min(REFUSALS_MAX),
            neighbours,
        })
    }

    /// A full worker has room again once it has no more connections than this.
    pub fn low_water(&self) -> u32 {
        self.connections - self.connections.div_ceil(LOW_WATER_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_what_the_host_allows_or_what_was_asked_for() {
        let plan = |limit, workers, asked| {
            TableSize::plan(limit, workers, asked)
                .map(|size| (size.connections, size.refusals, size.neighbours))
        };
        assert_eq!(plan(Some(20_000), 13, 500_000), Some((19_721, 256, 12)));
        assert_eq!(plan(Some(20_000), 52, 500_000), Some((19_682, 256, 51)));
        assert_eq!(plan(Some(20_000), 3, 50), Some((50, 256, 2)));
        assert_eq!(plan(Some(80), 3, 500_000), Some((58, 9, 2)));
        assert_eq!(plan(Some(1024), 1024, 500_000), Some((831, 119, 63)));
        assert_eq!(plan(None, 1, 500_000), Some((500_000, 256, 0)));
        assert_eq!(plan(Some(13), 1, 500_000), Some((1, 1, 0)));
        assert_eq!(plan(Some(12), 1, 500_000), None);
        assert_eq!(plan(Some(0), 1, 1), None);
    }

    #[test]
    fn the_low_water_mark_is_below_the_bound_however_small_that_is() {
        for (connections, low) in [(1, 0), (2, 1), (50, 49), (64, 63), (65, 63), (19_721, 19_412)] {
            let size = TableSize {
                connections,
                refusals: 1,
                neighbours: 0,
            };
            assert_eq!(size.low_water(), low);
        }
    }

    proptest! {
        #[test]
        fn a_table_is_never_planned_for_more_than_it_holds(
            limit in 0u64..3000, workers in 1usize..200, asked in 1u32..3000
        ) {
            if let Some(size) = TableSize::plan(Some(limit), workers, asked) {
                let all = OWN + 1 + (size.neighbours + SPARES) as u64 + u64::from(size.connections + size.refusals);
                prop_assert!(all <= limit);
                prop_assert!(size.connections <= asked && size.refusals > 0);
                prop_assert!(size.low_water() < size.connections);
            }
        }
    }
}
