//! What the fan-out holds, for tests of those who use it.

use super::Fanout;

impl Fanout {
    /// Bytes of all logs.
    pub(crate) fn bytes_held(&self) -> usize {
        self.groups.iter().map(|(_, group)| group.log().bytes()).sum()
    }
}
