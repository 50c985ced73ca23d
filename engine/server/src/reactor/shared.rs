//! The atomics by which threads meet without a lock, each with its memory orderings and what they are for.
//!
//! They are written over whatever atomics the module beside them, `sync`, names: the engine's are the standard library's,
//! and `tests/interleavings.rs` compiles this file over loom's, to run every interleaving of the threads that use it.

use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Whether a receiver that sleeps while it has no messages has been woken already. However many messages wait, it is
/// woken once between two acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct WakeFlag {
    /// A wake-up is on its way, or the receiver is looking already.
    is_raised: AtomicBool,
}

impl WakeFlag {
    /// Call after a message was put in. Whether the receiver has to be woken for it; if not, it was, and will find the
    /// message.
    #[must_use]
    pub(crate) fn raise(&self) -> bool {
        // Release pairs with the receiver's acquire. A swap continues the releases before it, so the receiver sees what
        // all have put in who found the flag raised. Acquire pairs with its release: who finds the flag lowered wakes
        // after the wake-up that was acknowledged, and not into it.
        !self.is_raised.swap(true, Ordering::AcqRel)
    }

    /// Call when woken, before the messages are taken: one that comes after this wakes again.
    pub(crate) fn acknowledge(&self) {
        // A store would not do: it would not acquire what the senders released.
        self.is_raised.swap(false, Ordering::AcqRel);
    }
}

/// Connections that are subscribed to something, as all workers count them.
#[derive(Debug, Default)]
pub(crate) struct SubscriberCount {
    count: AtomicUsize,
}

impl SubscriberCount {
    /// Counts one more. What it needs of other threads must have been asked for before.
    pub(crate) fn join(&self) {
        // Release pairs with the reader's acquire: what was asked for comes before the count.
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Counts one less.
    pub(crate) fn leave(&self) {
        // It orders nothing of its own, and continues the releases of those that joined before.
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are. What any of them asked for before it was counted was asked for before this.
    pub(crate) fn get(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

/// Whether a thread has so much to do that others should wait before they ask more of it, and how often it had not any more.
/// Advice alone: it orders nothing.
#[derive(Debug, Default)]
pub(crate) struct BusyFlag {
    /// Twice the number of its pauses, and one where it is busy.
    state: AtomicU64,
}

impl BusyFlag {
    /// Only the thread itself may.
    pub(crate) fn set(&self, is_busy: bool) {
        let state = self.state.load(Ordering::Relaxed);
        if (state & 1 == 1) != is_busy {
            // From an odd number to the next even one it is a pause.
            self.state.store(state.wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// What the thread said last, or before, and how often it came to be busy no more.
    pub(crate) fn get_with_pauses(&self) -> (bool, u64) {
        let state = self.state.load(Ordering::Relaxed);
        (state & 1 == 1, state >> 1)
    }
}

/// The number of the last change of something that stands behind a lock, so that who has seen that change need not take the
/// lock to find nothing new.
#[derive(Debug, Default)]
pub(crate) struct Revision {
    number: AtomicU64,
}

impl Revision {
    /// Tells a change, by who holds the lock.
    pub(crate) fn advance(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of the last change, or of one before. It orders nothing, and need not: who then takes the lock sees that
    /// change, since it was told under the lock and before.
    pub(crate) fn get(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }
}

/// A count that one thread alone writes and any thread reads. It orders nothing: readers see each count as it was at some
/// moment, and never an older one after it.
#[derive(Debug, Default)]
pub(crate) struct OwnCount {
    count: AtomicU64,
}

impl OwnCount {
    /// Adds one. Only its one writer may: without another no atomic addition is needed.
    pub(crate) fn add_one(&self) {
        self.set(self.count.load(Ordering::Relaxed) + 1);
    }

    /// Puts in a count that its one writer keeps elsewhere.
    pub(crate) fn set(&self, count: u64) {
        self.count.store(count, Ordering::Relaxed);
    }

    /// The count.
    pub(crate) fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
