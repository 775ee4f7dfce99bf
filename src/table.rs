//! A table whose entries are named by 32-bit ids that go stale when the entry ends.
//!
//! What the network creates (a viewer, a remote publisher, a stream) the host only ever sees as such
//! an id: index in the low bits, generation in the high ones, never 0.

use slab::Slab;

/// How many of an id's bits are the index; the rest is the generation.
const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;

/// The most entries that a [`Table`] can hold.
pub const TABLE_MAX: usize = 1 << (INDEX_BITS - 1);

/// The bit of the index that tells the ids of a table that stands apart from those of all others.
const APART: u32 = 1 << (INDEX_BITS - 1);

/// A slab with generations. Looking up an id that has ended answers `None`, also when its place has
/// been given to another.
#[derive(Debug)]
pub struct Table<T> {
    /// A bit that all its ids have.
    mark: u32,
    slots: Slab<(u32, T)>,
    generation: u32,
    /// The most entries since memory was last given back, or how many there were then.
    most: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { mark: 0, slots: Slab::new(), generation: 0, most: 0 }
    }
}

impl<T> Table<T> {
    /// An empty table whose ids no other table gives, but one that stands apart too: where entries of two
    /// tables are one kind of thing to the host.
    pub fn apart() -> Self {
        Self { mark: APART, ..Self::default() }
    }

    /// Adds what `make` builds from its id; `None` when the table is full.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> Option<u32> {
        if self.slots.len() >= TABLE_MAX {
            return None;
        }
        // One counter for the whole table: a slot that is reused at once still gets a new generation.
        self.generation = if self.generation >= (u32::MAX >> INDEX_BITS) { 1 } else { self.generation + 1 };
        let generation = self.generation;
        let entry = self.slots.vacant_entry();
        let id = (generation << INDEX_BITS) | self.mark | (entry.key() as u32 & INDEX_MASK);
        entry.insert((generation, make(id)));
        self.most = self.most.max(self.slots.len());
        Some(id)
    }

    /// The entry, if the id is not stale.
    pub fn find(&self, id: u32) -> Option<&T> {
        let (generation, value) = self.slots.get(self.index(id)?)?;
        (*generation == id >> INDEX_BITS).then_some(value)
    }

    /// The entry to change, if the id is not stale.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut T> {
        let index = self.index(id)?;
        let (generation, value) = self.slots.get_mut(index)?;
        (*generation == id >> INDEX_BITS).then_some(value)
    }

    /// Takes the entry out.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        self.find(id)?;
        self.slots.try_remove(self.index(id)?).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All entries with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().map(|(index, (generation, value))| {
            ((generation << INDEX_BITS) | self.mark | index as u32, value)
        })
    }

    /// All ids.
    pub fn ids(&self) -> Vec<u32> {
        self.iter().map(|(id, _)| id).collect()
    }

    fn index(&self, id: u32) -> Option<usize> {
        (id & APART == self.mark).then_some((id & INDEX_MASK & !APART) as usize)
    }

    /// Gives memory back after many entries have ended. It goes through all places, and an entry in a late
    /// one keeps those before it: so it is tried again only when half of what was left has ended too.
    pub fn shrink(&mut self) {
        if self.slots.capacity() > 64 && self.slots.len() <= self.most / 4 {
            self.slots.shrink_to_fit();
            self.most = self.slots.len().saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_stands_apart_has_ids_of_its_own() {
        let (mut a, mut b) = (Table::default(), Table::apart());
        for _ in 0..3 {
            let (x, y) = (a.insert_with(|id| id).unwrap(), b.insert_with(|id| id).unwrap());
            assert_ne!(x, y);
            assert_eq!((a.find(x), b.find(x)), (Some(&x), None));
            assert_eq!((a.find(y), b.find(y).copied()), (None, Some(y)));
            assert!(b.find_mut(x).is_none() && b.find_mut(y).is_some());
        }
        let first = b.ids()[0];
        assert_eq!(b.remove(first), Some(first));
    }

    #[test]
    fn an_ended_id_stays_ended_when_its_place_is_reused() {
        let mut t = Table::default();
        let a = t.insert_with(|id| id).unwrap();
        assert_ne!(a, 0);
        assert_eq!(t.remove(a), Some(a));
        assert_eq!(t.remove(a), None);
        let b = t.insert_with(|id| id).unwrap();
        assert_eq!(a & INDEX_MASK, b & INDEX_MASK);
        assert_eq!(t.find(a), None);
        assert_eq!(t.find(b), Some(&b));
        assert_eq!(t.ids(), vec![b]);
    }

    #[test]
    fn memory_is_given_back_and_late_entries_do_not_make_it_slow() {
        let mut t = Table::default();
        let ids: Vec<u32> = (0..20_000).map(|_| t.insert_with(|_| ()).unwrap()).collect();
        let (last, others) = ids.split_last().unwrap();
        for id in others {
            t.remove(*id);
            t.shrink();
        }
        assert_eq!(t.find(*last), Some(&()));
        t.remove(*last);
        t.shrink();
        assert!(t.slots.capacity() <= 64, "{}", t.slots.capacity());
        assert!(t.insert_with(|_| ()).is_some());
    }

    #[test]
    fn generations_wrap_without_reaching_zero() {
        let mut t = Table::default();
        for _ in 0..10_000 {
            let id = t.insert_with(|_| ()).unwrap();
            assert_ne!(id >> INDEX_BITS, 0);
            t.remove(id);
        }
    }
}
