//! Lists and hash chains over numbers `0..capacity`, with their links in arrays taken at start.

/// The number that stands for "none".
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
}

/// A doubly linked list in which each number stands at most once.
pub(super) struct List {
    first: u32,
    last: u32,
    links: Box<[Link]>,
}

impl List {
    pub(super) fn new(capacity: usize) -> List {
        let links = vec![Link { before: NONE, after: NONE }; capacity].into_boxed_slice();
        List { first: NONE, last: NONE, links }
    }

    /// The first number, or `NONE`.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The number after one that is in the list, or `NONE`.
    pub(super) fn after(&self, item: u32) -> u32 {
        self.links[item as usize].after
    }

    /// Puts a number that is not in the list behind all others.
    pub(super) fn push_back(&mut self, item: u32) {
        self.links[item as usize] = Link { before: self.last, after: NONE };
        match self.last {
            NONE => self.first = item,
            last => self.links[last as usize].after = item,
        }
        self.last = item;
    }

    /// Takes out a number that is in the list.
    pub(super) fn remove(&mut self, item: u32) {
        let Link { before, after } = self.links[item as usize];
        match before {
            NONE => self.first = after,
            before => self.links[before as usize].after = after,
        }
        match after {
            NONE => self.last = before,
            after => self.links[after as usize].before = before,
        }
    }
}

/// A hash index: numbers chained by the hash of whatever they stand for.
pub(super) struct Chains {
    heads: Box<[u32]>,
    next: Box<[u32]>,
}

impl Chains {
    pub(super) fn new(capacity: usize) -> Chains {
        // Twice as many heads as numbers: a chain is walked for each packet while anything waits.
        let heads = (2 * capacity).next_power_of_two();
        Chains { heads: vec![NONE; heads].into_boxed_slice(), next: vec![NONE; capacity].into_boxed_slice() }
    }

    fn head(&self, hash: u64) -> usize {
        hash as usize & (self.heads.len() - 1)
    }

    /// Adds a number that is not in the index.
    pub(super) fn insert(&mut self, hash: u64, item: u32) {
        let head = self.head(hash);
        self.next[item as usize] = self.heads[head];
        self.heads[head] = item;
    }

    /// Takes out a number that was added under this hash.
    pub(super) fn remove(&mut self, hash: u64, item: u32) {
        let after = self.next[item as usize];
        let head = self.head(hash);
        if self.heads[head] == item {
            self.heads[head] = after;
            return;
        }
        let before = self.walk(hash).find(|before| self.next[*before as usize] == item);
        if let Some(before) = before {
            self.next[before as usize] = after;
        }
    }

    /// The numbers whose hash may be this one.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let mut at = self.heads[self.head(hash)];
        std::iter::from_fn(move || {
            let here = at;
            at = *self.next.get(here as usize)?;
            Some(here)
        })
    }
}
