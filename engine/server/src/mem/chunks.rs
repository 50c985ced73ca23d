//! A vector that grows by fixed chunks: nothing moves when it grows, so a million slots never cost a copy of
//! themselves, nor twice their memory while they are copied.

/// Elements per chunk. At 64 bytes an element a chunk is 64 KiB: small beside an engine, large beside a page.
const CHUNK: usize = 1024;

/// A growable array of `T` in chunks of 1,024.
#[derive(Debug)]
pub struct Chunks<T> {
    chunks: Vec<Box<[T]>>,
}

impl<T: Default> Default for Chunks<T> {
    fn default() -> Self {
        Chunks { chunks: Vec::new() }
    }
}

impl<T: Default> Chunks<T> {
    /// How many elements exist.
    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Whether no chunk has been made yet.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Makes `index` valid, filling new elements with their default.
    pub fn reach(&mut self, index: u32) {
        while self.len() <= index as usize {
            self.chunks.push((0..CHUNK).map(|_| T::default()).collect());
        }
    }

    /// The element at `index`, if it was reached.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.chunks
            .get(index as usize / CHUNK)
            .map(|chunk| &chunk[index as usize % CHUNK])
    }

    /// The element at `index`, if it was reached.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.chunks
            .get_mut(index as usize / CHUNK)
            .map(|chunk| &mut chunk[index as usize % CHUNK])
    }
}

impl<T: Default> std::ops::Index<u32> for Chunks<T> {
    type Output = T;

    /// Panics when `index` was never reached: a bug of the caller.
    fn index(&self, index: u32) -> &T {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

impl<T: Default> std::ops::IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_moves_nothing() {
        let mut numbers: Chunks<u64> = Chunks::default();
        numbers.reach(0);
        numbers[5] = 7;
        let before = std::ptr::from_ref(&numbers[5]);
        numbers.reach(1_000_000);
        assert_eq!(std::ptr::from_ref(&numbers[5]), before);
        assert_eq!(numbers[5], 7);
        assert_eq!(numbers[1_000_000], 0);
        assert!(numbers.len() > 1_000_000);
        assert!(numbers.get(u32::MAX).is_none());
    }
}
