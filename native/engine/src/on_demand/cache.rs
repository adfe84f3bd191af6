//! Computed blocks, the most recently used of them, and who is computing which.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stfusion_core::Region;
use stfusion_raster::Buffer;

use super::Product;

/// A block of a product at a level: (product, level, block row, block column).
pub(super) type Key = (Product, usize, usize, usize);

/// A computed block as it would be stored in a file.
#[derive(Debug)]
pub struct Block {
    /// Pixels of the level that it holds.
    pub region: Region,
    /// The stored values of each band, row by row.
    pub bands: Vec<Buffer>,
}

impl Block {
    fn bytes(&self) -> usize {
        self.bands.iter().map(|b| b.as_bytes().len()).sum()
    }
}

/// Blocks within a number of bytes, and the claims of those who compute more.
#[derive(Debug)]
pub(super) struct Cache {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    blocks: HashMap<Key, (u64, Arc<Block>)>,
    /// Keys by the time of their last use.
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    claimed: HashSet<Key>,
}

/// What [`Cache::claim`] found.
pub(super) enum Claim {
    /// The block is here.
    Held(Arc<Block>),
    /// The caller has to compute it.
    Granted,
    /// Somebody else is computing it.
    Taken,
}

impl Cache {
    pub fn new(capacity: usize) -> Self {
        Cache { capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block, or the duty to compute it, or neither when somebody else has that duty.
    pub fn claim(&self, key: Key) -> Claim {
        let mut state = self.state();
        match state.touched(key) {
            Some(block) => Claim::Held(block),
            None if state.claimed.insert(key) => Claim::Granted,
            None => Claim::Taken,
        }
    }

    /// As [`Cache::claim`], but waits for somebody else to finish, though not longer than `most`.
    pub fn wait(&self, key: Key, most: Duration) -> Claim {
        let mut state = self.state();
        let start = Instant::now();
        loop {
            if let Some(block) = state.touched(key) {
                return Claim::Held(block);
            }
            if state.claimed.insert(key) {
                return Claim::Granted;
            }
            let Some(left) = most.checked_sub(start.elapsed()) else { return Claim::Taken };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps a computed block; the least recently used ones make room. A claim on it ends.
    pub fn insert(&self, key: Key, block: Arc<Block>) {
        let mut state = self.state();
        state.remove(key);
        state.clock += 1;
        let now = state.clock;
        state.bytes += block.bytes();
        state.by_use.insert(now, key);
        state.blocks.insert(key, (now, block));
        while state.bytes > self.capacity && state.blocks.len() > 1 {
            let Some(oldest) = state.by_use.first_key_value().map(|(_, key)| *key) else { break };
            state.remove(oldest);
        }
        state.claimed.remove(&key);
        self.changed.notify_all();
    }

    /// Gives up claims whose blocks were not computed.
    pub fn abandon(&self, keys: &[Key]) {
        let mut state = self.state();
        for key in keys {
            state.claimed.remove(key);
        }
        self.changed.notify_all();
    }
}

impl State {
    fn touched(&mut self, key: Key) -> Option<Arc<Block>> {
        self.clock += 1;
        let now = self.clock;
        let (used, block) = self.blocks.get_mut(&key)?;
        self.by_use.remove(used);
        *used = now;
        self.by_use.insert(now, key);
        Some(Arc::clone(block))
    }

    fn remove(&mut self, key: Key) {
        if let Some((used, block)) = self.blocks.remove(&key) {
            self.by_use.remove(&used);
            self.bytes -= block.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use stfusion_core::source::OutputOptions;
    use stfusion_core::Grid;
    use stfusion_raster::OutputSpec;

    fn block() -> Arc<Block> {
        let spec = OutputSpec::support(&Grid::pixels(4, 4), &["a"], &OutputOptions::default());
        Arc::new(Block { region: Region::whole(4, 4), bands: vec![spec.stored(0, Array2::zeros((4, 4)).view()).unwrap()] })
    }

    fn key(n: usize) -> Key {
        (Product::Prediction, 0, n, 0)
    }

    fn holds(cache: &Cache, n: usize) -> bool {
        match cache.claim(key(n)) {
            Claim::Held(_) => true,
            Claim::Granted => {
                cache.abandon(&[key(n)]);
                false
            }
            Claim::Taken => panic!("claimed"),
        }
    }

    #[test]
    fn the_least_recently_used_block_goes_first() {
        let cache = Cache::new(3 * 64);
        (0..3).for_each(|n| cache.insert(key(n), block()));
        assert!(holds(&cache, 0));
        cache.insert(key(3), block());
        assert_eq!([0, 1, 2, 3].map(|n| holds(&cache, n)), [true, false, true, true]);
        cache.insert(key(3), block());
        assert!(holds(&cache, 2), "a block that is computed again takes no more room");
    }

    #[test]
    fn a_cache_that_is_too_small_keeps_the_last_block() {
        let cache = Cache::new(0);
        cache.insert(key(0), block());
        cache.insert(key(1), block());
        assert_eq!([holds(&cache, 0), holds(&cache, 1)], [false, true]);
    }

    #[test]
    fn one_computes_and_the_others_wait() {
        let cache = Cache::new(1 << 20);
        assert!(matches!(cache.claim(key(0)), Claim::Granted));
        assert!(matches!(cache.claim(key(0)), Claim::Taken));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| matches!(cache.wait(key(0), Duration::from_secs(60)), Claim::Held(_)));
            cache.insert(key(0), block());
            assert!(waiting.join().unwrap());
        });
        assert!(matches!(cache.claim(key(2)), Claim::Granted));
        assert!(matches!(cache.wait(key(2), Duration::ZERO), Claim::Taken));
        assert!(matches!(cache.claim(key(1)), Claim::Granted));
        cache.abandon(&[key(1)]);
        assert!(matches!(cache.wait(key(1), Duration::ZERO), Claim::Granted), "what one gave up another can compute");
    }
}
