//! Who of a storm comes when: evenly over its time, so many at a time where each coming is a handshake.

/// The state of a storm, in terms of places: 0 up to the number of connections.
#[derive(Debug)]
pub struct Storm {
    connections: u32,
    /// When the first comes, and over what time all do, ns.
    begun_ns: u64,
    over_ns: u64,
    /// The next to come.
    next: u32,
    /// Those that have come and not arrived.
    under_way: u32,
    under_way_max: u32,
    /// Those that have arrived or have been lost.
    done: u32,
}

impl Storm {
    /// For so many connections from `begun_ns` on, with at most so many under way.
    pub fn new(connections: u32, (begun_ns, over_ns): (u64, u64), under_way_max: u32) -> Storm {
        Storm {
            connections,
            begun_ns,
            over_ns,
            next: 0,
            under_way: 0,
            under_way_max,
            done: 0,
        }
    }

    /// The next that is due at `now_ns`, if there is one: it comes now.
    pub fn next(&mut self, now_ns: u64) -> Option<u32> {
        let place = self.next;
        let is_due = now_ns >= self.due_ns(place);
        (place < self.connections && is_due && self.under_way < self.under_way_max).then(|| {
            self.next += 1;
            self.under_way += 1;
            place
        })
    }

    /// One that had come is there.
    pub fn arrived(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// So many have what they came for, or are lost.
    pub fn set_done(&mut self, done: u32) {
        self.done = done;
    }

    /// How many have.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// Whether all have.
    pub fn is_over(&self) -> bool {
        self.next == self.connections && self.done >= self.connections
    }

    /// When the one at a place is to come.
    fn due_ns(&self, place: u32) -> u64 {
        let share = u128::from(self.over_ns) * u128::from(place) / u128::from(self.connections.max(1));
        // No more than the whole time, which fits.
        self.begun_ns.saturating_add(share as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(storm: &mut Storm, now_ns: u64) -> Vec<u32> {
        std::iter::from_fn(|| storm.next(now_ns)).collect()
    }

    #[test]
    fn all_come_evenly_over_the_time() {
        let mut storm = Storm::new(10, (1000, 100), 10);
        assert_eq!(come(&mut storm, 999), [0; 0]);
        assert_eq!(come(&mut storm, 1000), [0]);
        assert_eq!(come(&mut storm, 1009), [0; 0]);
        assert_eq!(come(&mut storm, 1030), [1, 2, 3]);
        assert_eq!(come(&mut storm, 5000), [4, 5, 6, 7, 8, 9]);
        assert_eq!(come(&mut storm, 6000), [0; 0]);
        storm.set_done(9);
        assert!(!storm.is_over());
        storm.set_done(10);
        assert!(storm.is_over());
    }

    #[test]
    fn no_more_are_under_way_than_may_be() {
        let mut storm = Storm::new(5, (0, 0), 2);
        assert_eq!(come(&mut storm, 0), [0, 1]);
        storm.arrived();
        assert_eq!(come(&mut storm, 0), [2]);
        storm.arrived();
        storm.arrived();
        assert_eq!(come(&mut storm, 0), [3, 4]);
    }

    #[test]
    fn a_storm_of_nobody_is_over() {
        let mut storm = Storm::new(0, (0, 1), 1);
        assert_eq!(storm.next(5), None);
        assert!(storm.is_over());
    }
}
