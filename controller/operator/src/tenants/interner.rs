//! Keeps one copy of every text that many tenants share (versions, reasons, namespaces, waves, owners). Pure.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use super::fields::Derived;

/// Below this many entries nothing is swept.
const FLOOR: usize = 1_024;

/// Shared values of one Rollout's tenants. Those that no tenant uses any more are swept when it has doubled.
#[derive(Debug, Default)]
pub struct Interner {
    texts: Shelf<str>,
    positions: Shelf<[u16]>,
    derived: Shelf<Derived>,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        self.texts.share(text, || text.into())
    }

    /// The shared copy of `positions`.
    pub fn positions(&mut self, positions: &[u16]) -> Arc<[u16]> {
        self.positions.share(positions, || positions.into())
    }

    /// The shared copy of `derived`.
    pub fn derived(&mut self, derived: Derived) -> Arc<Derived> {
        match self.derived.entries.get(&derived) {
            Some(shared) => shared.clone(),
            None => self.derived.share(&derived.clone(), || Arc::new(derived)),
        }
    }
}

#[derive(Debug)]
struct Shelf<T: ?Sized + Eq + Hash> {
    entries: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Shelf<T> {
    fn default() -> Self {
        Self { entries: HashSet::new(), sweep_at: FLOOR }
    }
}

impl<T: ?Sized + Eq + Hash> Shelf<T> {
    fn share(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(shared) = self.entries.get(value) {
            return shared.clone();
        }
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|entry| Arc::strong_count(entry) > 1);
            self.sweep_at = FLOOR.max(2 * self.entries.len());
        }
        let shared = make();
        self.entries.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_copy_and_unused_ones_are_swept() {
        let mut interner = Interner::default();
        let kept = interner.text("kept");
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
        for number in 0..10 * FLOOR {
            interner.text(&number.to_string());
        }
        assert!(interner.texts.entries.len() <= FLOOR);
        assert!(Arc::ptr_eq(&kept, &interner.text("kept")));
    }
}
