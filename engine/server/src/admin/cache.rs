//! Encoded bodies, each under the question that it answers and the revision that it is of. Bounded in bytes; the least
//! recently used go first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use lru::LruCache;

use super::answer::Representation;
use super::http::compressed;
use super::routes::{Description, Selection, Wanted};
use crate::reactor::questions::{Question, Revision, Symbols};

/// Bytes of bodies and their keys that are kept.
pub(super) const CACHE_BYTES_MAX: usize = 64 << 20;

/// Bytes of bodies, kept or on their way to clients that read slowly; past it no body is made.
const BODIES_BYTES_MAX: usize = 256 << 20;

/// What an entry takes beside its body and its list of symbols.
const ENTRY_BYTES: usize = 512;

/// What a body answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A question to the market.
    Wanted(Wanted, Representation),
    /// The description of instruments.
    Description(Description, Representation),
}

impl Key {
    fn bytes(&self) -> usize {
        let symbols = match self {
            Key::Wanted(wanted, _) => match &wanted.question {
                Question::Tickers {
                    symbols: Symbols::Several(names),
                } => names,
                _ => return ENTRY_BYTES,
            },
            Key::Description(
                Description {
                    of: Selection::Named(names),
                    ..
                },
                _,
            ) => names,
            Key::Description(..) => return ENTRY_BYTES,
        };
        ENTRY_BYTES + size_of_val(symbols.as_slice())
    }
}

/// A body, encoded.
#[derive(Debug)]
pub(super) struct Body {
    /// What it is of.
    pub(super) revision: Revision,
    /// When it was made, microseconds since the Unix epoch.
    pub(super) made_us: i64,
    pub(super) plain: Bytes,
    /// Made when it is first asked for.
    gzip: OnceLock<Bytes>,
}

/// Counts the bytes of all bodies that somebody holds.
#[derive(Clone, Debug, Default)]
pub(super) struct BodyBytes(Arc<AtomicUsize>);

/// Bytes of a body, counted for as long as somebody holds them.
struct Counted {
    bytes: Vec<u8>,
    all: BodyBytes,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
    }
}

impl BodyBytes {
    /// Whether one more body may be made.
    pub(super) fn has_room(&self) -> bool {
        self.0.load(Ordering::Relaxed) < BODIES_BYTES_MAX
    }

    fn counted(&self, mut bytes: Vec<u8>) -> Bytes {
        bytes.shrink_to_fit();
        self.0.fetch_add(bytes.capacity(), Ordering::Relaxed);
        Bytes::from_owner(Counted {
            bytes,
            all: self.clone(),
        })
    }
}

/// The bodies that are kept.
#[derive(Debug)]
pub(super) struct Cache {
    bodies: LruCache<Key, Arc<Body>>,
    bytes_max: usize,
    /// Of the bodies and keys in it.
    bytes: usize,
    all: BodyBytes,
}

impl Cache {
    /// One that keeps at most so many bytes.
    pub(super) fn new(bytes_max: usize, all: BodyBytes) -> Cache {
        Cache {
            bodies: LruCache::unbounded(),
            bytes_max,
            bytes: 0,
            all,
        }
    }

    /// The newest body under a key.
    pub(super) fn get(&mut self, key: &Key) -> Option<Arc<Body>> {
        self.bodies.get(key).cloned()
    }

    /// Keeps a body in the place of the one before it. One that is larger than the whole cache is not kept.
    pub(super) fn put(&mut self, key: Key, revision: Revision, made_us: i64, bytes: Vec<u8>) -> Arc<Body> {
        let body = Arc::new(Body {
            revision,
            made_us,
            plain: self.all.counted(bytes),
            gzip: OnceLock::new(),
        });
        if let Some(before) = self.bodies.pop(&key) {
            self.bytes -= key.bytes() + before.bytes();
        }
        let bytes = key.bytes() + body.bytes();
        if bytes <= self.bytes_max {
            self.bytes += bytes;
            self.bodies.put(key, body.clone());
            self.shrink();
        }
        body
    }

    /// The body, compressed: once, however many ask.
    pub(super) fn gzip(&mut self, key: &Key, body: &Arc<Body>) -> Bytes {
        if let Some(gzip) = body.gzip.get() {
            return gzip.clone();
        }
        let gzip = body
            .gzip
            .get_or_init(|| self.all.counted(compressed(&body.plain)));
        // It may be gone from here already, or have been replaced.
        if self.bodies.peek(key).is_some_and(|kept| Arc::ptr_eq(kept, body)) {
            self.bytes += gzip.len();
            self.shrink();
        }
        gzip.clone()
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max
            && let Some((key, body)) = self.bodies.pop_lru()
        {
            self.bytes -= key.bytes() + body.bytes();
        }
    }
}

impl Body {
    fn bytes(&self) -> usize {
        self.plain.len() + self.gzip.get().map_or(0, Bytes::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use depthcast_wire::stream::SymbolName;
    use proptest::prelude::*;

    fn key(limit: usize) -> Key {
        let symbol = SymbolName::new("BTCUSDT").unwrap();
        let wanted = Wanted {
            question: Question::Depth { symbol, limit },
            ticker: None,
        };
        Key::Wanted(wanted, Representation::default())
    }

    fn revision(change: u64) -> Revision {
        Revision { epoch: 1, change }
    }

    #[test]
    fn the_least_recently_used_goes_and_what_is_too_large_is_not_kept() {
        let all = BodyBytes::default();
        let mut cache = Cache::new(3 * (ENTRY_BYTES + 1000), all.clone());
        for limit in 1..=3 {
            cache.put(key(limit), revision(1), 0, vec![b' '; 1000]);
        }
        assert!(cache.get(&key(1)).is_some());
        cache.put(key(4), revision(1), 0, vec![b' '; 1000]);
        let kept = |cache: &mut Cache| [1, 2, 3, 4].map(|limit| cache.get(&key(limit)).is_some());
        assert_eq!(kept(&mut cache), [true, false, true, true]);
        let large = cache.put(key(4), revision(2), 0, vec![b' '; 5000]);
        assert_eq!(kept(&mut cache), [true, false, true, false]);
        assert_eq!(all.0.load(Ordering::Relaxed), 2 * 1000 + 5000);
        drop(large);
        assert_eq!(all.0.load(Ordering::Relaxed), 2 * 1000);
    }

    #[test]
    fn a_body_is_compressed_once_and_counted() {
        let mut cache = Cache::new(1 << 20, BodyBytes::default());
        let body = cache.put(key(1), revision(1), 0, vec![b'x'; 10_000]);
        let before = cache.bytes;
        let gzip = cache.gzip(&key(1), &body);
        assert_eq!(cache.bytes, before + gzip.len());
        assert_eq!(cache.gzip(&key(1), &body).as_ptr(), gzip.as_ptr());
        assert_eq!(cache.bytes, before + gzip.len());
        // One that was replaced meanwhile counts for nothing any more.
        let next = cache.put(key(1), revision(2), 0, vec![b'x'; 10_000]);
        assert_eq!(cache.bytes, before);
        drop(next);
        let other = cache.put(key(2), revision(2), 0, vec![b'x'; 10_000]);
        cache.put(key(2), revision(3), 0, Vec::new());
        let bytes = cache.bytes;
        cache.gzip(&key(2), &other);
        assert_eq!(cache.bytes, bytes);
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_what_is_in_it(
            steps in proptest::collection::vec((0usize..6, 0usize..4000, any::<bool>()), 0..100),
        ) {
            let all = BodyBytes::default();
            let mut cache = Cache::new(8_000, all.clone());
            for (n, (limit, len, gzip)) in steps.into_iter().enumerate() {
                let body = cache.put(key(limit), revision(n as u64), 0, vec![b'x'; len]);
                if gzip {
                    cache.gzip(&key(limit), &body);
                }
                drop(body);
                let inside: usize = cache.bodies.iter().map(|(key, body)| key.bytes() + body.bytes()).sum();
                prop_assert_eq!(cache.bytes, inside);
                prop_assert!(cache.bytes <= 8_000);
            }
            drop(cache);
            prop_assert_eq!(all.0.load(Ordering::Relaxed), 0);
        }
    }
}
