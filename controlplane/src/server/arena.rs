//! Numbered places for values of one kind. It grows by chunks, so that a million values never have to be copied
//! to a larger place, and never takes twice what they need.

/// Values in numbered places.
#[derive(Debug)]
pub(super) struct Arena<T> {
    chunks: Vec<Box<[Option<T>]>>,
    free: Vec<u32>,
    len: usize,
}

/// The number of no place.
pub(super) const NONE: u32 = u32::MAX;

const CHUNK: usize = 1024;

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Arena { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Arena<T> {
    /// Puts a value into a free place and gives its number.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if self.free.is_empty() {
            self.grow();
        }
        let place = self.free.pop().unwrap_or(NONE);
        if let Some(slot) = self.slot(place) {
            *slot = Some(value);
            self.len += 1;
        }
        place
    }

    fn grow(&mut self) {
        let first = self.chunks.len() * CHUNK;
        self.chunks.push((0..CHUNK).map(|_| None).collect());
        self.free.extend((first..first + CHUNK).rev().map(|place| place as u32));
    }

    fn slot(&mut self, place: u32) -> Option<&mut Option<T>> {
        self.chunks.get_mut(place as usize / CHUNK)?.get_mut(place as usize % CHUNK)
    }

    /// The value at this place.
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.chunks.get(place as usize / CHUNK)?.get(place as usize % CHUNK)?.as_ref()
    }

    /// The value at this place, to be changed.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.slot(place)?.as_mut()
    }

    /// Takes the value out; its place may be used again.
    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.slot(place)?.take()?;
        self.free.push(place);
        self.len -= 1;
        Some(value)
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, used or free.
    pub(super) fn places(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// All values with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.chunks.iter().flat_map(|chunk| chunk.iter()).enumerate();
        places.filter_map(|(place, value)| Some((place as u32, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_and_values_stay_where_they_are() {
        let mut arena = Arena::default();
        let places: Vec<u32> = (0..3000).map(|value| arena.insert(value)).collect();
        assert_eq!((arena.len(), arena.get(places[2999])), (3000, Some(&2999)));
        assert_eq!(arena.remove(places[7]), Some(7));
        assert_eq!(arena.remove(places[7]), None);
        assert_eq!(arena.get(places[7]), None);
        let again = arena.insert(5000);
        assert_eq!((again, arena.len(), arena.places()), (places[7], 3000, 3072));
        assert_eq!(arena.iter().count(), 3000);
        *arena.get_mut(again).unwrap() += 1;
        assert_eq!(arena.get(again), Some(&5001));
        assert_eq!(arena.get(NONE), None);
        assert_eq!(arena.remove(1 << 30), None);
    }
}
