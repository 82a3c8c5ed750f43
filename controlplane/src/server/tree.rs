//! An ordered map of EID-prefixes: longest match, what lies inside a prefix, and how far around a prefix there is
//! nothing. One map per address family, shared by all instance-IDs.
//!
//! Order does all the work: a prefix stands directly before what it covers, so the entry before a question either
//! covers it or shows how long a covering one can be at most.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sterna_wire::{Family, Iid, Prefix};

/// EID-prefixes with a number each.
#[derive(Debug, Default)]
pub(super) struct PrefixTree {
    v4: Ordered<u64>,
    v6: Ordered<[u8; 20]>,
}

macro_rules! by_family {
    ($tree:expr, $prefix:expr, $branch:ident => $body:expr) => {
        match $prefix.family() {
            Family::V4 => {
                let $branch = $tree.v4;
                $body
            }
            Family::V6 => {
                let $branch = $tree.v6;
                $body
            }
        }
    };
}

/// Both branches by reference, for `by_family!`.
struct Branches<A, B> {
    v4: A,
    v6: B,
}

impl PrefixTree {
    fn branches(&self) -> Branches<&Ordered<u64>, &Ordered<[u8; 20]>> {
        Branches { v4: &self.v4, v6: &self.v6 }
    }

    fn branches_mut(&mut self) -> Branches<&mut Ordered<u64>, &mut Ordered<[u8; 20]>> {
        Branches { v4: &mut self.v4, v6: &mut self.v6 }
    }

    /// The number of exactly this prefix.
    pub(super) fn get(&self, iid: Iid, prefix: &Prefix) -> Option<u32> {
        by_family!(self.branches(), prefix, branch => branch.get(iid, prefix))
    }

    /// Sets the number of this prefix and gives the one before.
    pub(super) fn insert(&mut self, iid: Iid, prefix: &Prefix, value: u32) -> Option<u32> {
        by_family!(self.branches_mut(), prefix, branch => branch.insert(iid, prefix, value))
    }

    /// Takes this prefix out.
    pub(super) fn remove(&mut self, iid: Iid, prefix: &Prefix) -> Option<u32> {
        by_family!(self.branches_mut(), prefix, branch => branch.remove(iid, prefix))
    }

    /// The longest prefix that covers this one; each covers itself.
    pub(super) fn longest(&self, iid: Iid, prefix: &Prefix) -> Option<(Prefix, u32)> {
        by_family!(self.branches(), prefix, branch => branch.longest(iid, prefix, *prefix))
    }

    /// The longest prefix that covers this one and is shorter.
    pub(super) fn cover(&self, iid: Iid, prefix: &Prefix) -> Option<(Prefix, u32)> {
        let wider = shortened(prefix)?;
        by_family!(self.branches(), prefix, branch => branch.longest(iid, prefix, wider))
    }

    /// All prefixes that cover this one, itself included, longest first.
    pub(super) fn covering(&self, iid: Iid, prefix: &Prefix) -> impl Iterator<Item = (Prefix, u32)> {
        let first = self.longest(iid, prefix);
        std::iter::successors(first, move |(prefix, _)| self.cover(iid, prefix))
    }

    /// All prefixes inside this one but not itself, in order.
    pub(super) fn inside(&self, iid: Iid, prefix: &Prefix) -> Box<dyn Iterator<Item = (Prefix, u32)> + '_> {
        self.inside_after(iid, prefix, *prefix)
    }

    /// As `inside`, going on behind `after`.
    pub(super) fn inside_after(
        &self,
        iid: Iid,
        prefix: &Prefix,
        after: Prefix,
    ) -> Box<dyn Iterator<Item = (Prefix, u32)> + '_> {
        by_family!(self.branches(), prefix, branch => Box::new(branch.inside(iid, *prefix, after)))
    }

    /// Whether something lies inside this prefix, itself not counted.
    pub(super) fn has_inside(&self, iid: Iid, prefix: &Prefix) -> bool {
        by_family!(self.branches(), prefix, branch => branch.inside(iid, *prefix, *prefix).next().is_some())
    }

    /// The shortest prefix of at least `min_len` bits around this one that overlaps no entry but those that cover
    /// this one. There must be nothing inside this one, and `min_len` is not below that of the longest cover.
    pub(super) fn widest_empty(&self, iid: Iid, prefix: &Prefix, min_len: u8) -> Prefix {
        let len = by_family!(self.branches(), prefix, branch => branch.free_len(iid, prefix)).max(min_len);
        Prefix::masked(prefix.addr(), len.min(prefix.len())).unwrap_or(*prefix)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.v4.map.len() + self.v6.map.len()
    }

    /// All of them, in order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Iid, Prefix, u32)> {
        let v4 = self.v4.map.iter().map(|(key, value)| (key.unpack(), *value));
        let v6 = self.v6.map.iter().map(|(key, value)| (key.unpack(), *value));
        v4.chain(v6).map(|((iid, prefix), value)| (iid, prefix, value))
    }
}

/// An instance-ID and a prefix of one family in few bytes that sort as they do.
trait Packed: Copy + Ord {
    fn pack(iid: Iid, prefix: &Prefix) -> Self;
    fn unpack(self) -> (Iid, Prefix);
}

impl Packed for u64 {
    fn pack(iid: Iid, prefix: &Prefix) -> u64 {
        let address = match prefix.addr() {
            IpAddr::V4(v4) => v4.to_bits(),
            IpAddr::V6(_) => 0,
        };
        u64::from(iid.get()) << 40 | u64::from(address) << 8 | u64::from(prefix.len())
    }

    fn unpack(self) -> (Iid, Prefix) {
        let address = std::net::Ipv4Addr::from_bits((self >> 8) as u32);
        (iid((self >> 40) as u32), prefix(address.into(), self as u8))
    }
}

impl Packed for [u8; 20] {
    fn pack(iid: Iid, prefix: &Prefix) -> [u8; 20] {
        let mut out = [0; 20];
        out[..3].copy_from_slice(&iid.get().to_be_bytes()[1..]);
        if let IpAddr::V6(v6) = prefix.addr() {
            out[3..19].copy_from_slice(&v6.octets());
        }
        out[19] = prefix.len();
        out
    }

    fn unpack(self) -> (Iid, Prefix) {
        let mut address = [0; 16];
        address.copy_from_slice(&self[3..19]);
        let number = u32::from_be_bytes([0, self[0], self[1], self[2]]);
        (iid(number), prefix(std::net::Ipv6Addr::from_octets(address).into(), self[19]))
    }
}

/// The instance-ID that was packed; only valid ones are.
fn iid(number: u32) -> Iid {
    Iid::new(number).unwrap_or(Iid::DEFAULT)
}

/// The prefix that was packed; only valid ones are.
fn prefix(address: IpAddr, len: u8) -> Prefix {
    Prefix::masked(address, len).unwrap_or(Prefix::host(address))
}

/// One family's prefixes.
#[derive(Debug)]
struct Ordered<K> {
    map: BTreeMap<K, u32>,
    /// How many entries have each length: a search skips lengths that nobody has.
    lengths: Box<[u32; 129]>,
}

impl<K> Default for Ordered<K> {
    fn default() -> Self {
        Ordered { map: BTreeMap::new(), lengths: Box::new([0; 129]) }
    }
}

impl<K: Packed> Ordered<K> {
    fn get(&self, iid: Iid, prefix: &Prefix) -> Option<u32> {
        self.map.get(&K::pack(iid, prefix)).copied()
    }

    fn insert(&mut self, iid: Iid, prefix: &Prefix, value: u32) -> Option<u32> {
        let before = self.map.insert(K::pack(iid, prefix), value);
        if before.is_none() {
            self.lengths[usize::from(prefix.len())] += 1;
        }
        before
    }

    fn remove(&mut self, iid: Iid, prefix: &Prefix) -> Option<u32> {
        let before = self.map.remove(&K::pack(iid, prefix));
        if before.is_some() {
            self.lengths[usize::from(prefix.len())] -= 1;
        }
        before
    }

    /// The longest entry that covers `prefix` and is at most as long as `from`, which covers it too.
    fn longest(&self, iid: Iid, prefix: &Prefix, from: Prefix) -> Option<(Prefix, u32)> {
        let mut probe = self.present(prefix, from.len())?;
        loop {
            let (key, value) = self.map.range(..=K::pack(iid, &probe)).next_back()?;
            let (found_iid, found) = key.unpack();
            if found_iid != iid {
                return None;
            }
            if found.covers(prefix) {
                return Some((found, *value));
            }
            // Whatever covers `prefix` stands before `found`, hence covers that too.
            probe = self.present(prefix, common_len(found.addr(), prefix.addr()).min(probe.len() - 1))?;
        }
    }

    /// `prefix` shortened to the longest length of at most `len` bits that some entry has.
    fn present(&self, prefix: &Prefix, len: u8) -> Option<Prefix> {
        let len = (0..=len).rev().find(|len| self.lengths[usize::from(*len)] > 0)?;
        Prefix::masked(prefix.addr(), len).ok()
    }

    fn inside(&self, iid: Iid, prefix: Prefix, after: Prefix) -> impl Iterator<Item = (Prefix, u32)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.map
            .range((Excluded(K::pack(iid, &after)), Unbounded))
            .map(|(key, value)| (key.unpack(), *value))
            .take_while(move |((found_iid, found), _)| *found_iid == iid && prefix.covers(found))
            .map(|((_, found), value)| (found, value))
    }

    /// The shortest length at which `prefix` overlaps no entry that does not cover it.
    fn free_len(&self, iid: Iid, prefix: &Prefix) -> u8 {
        use std::ops::Bound::{Excluded, Unbounded};
        let key = K::pack(iid, prefix);
        let before = self.map.range(..key).next_back().map(|(key, _)| key.unpack());
        let behind = self.map.range((Excluded(key), Unbounded)).next().map(|(key, _)| key.unpack());
        let mut len = 0;
        for (found_iid, found) in before.into_iter().chain(behind) {
            if found_iid == iid && !found.covers(prefix) {
                len = len.max(common_len(found.addr(), prefix.addr()).saturating_add(1));
            }
        }
        len
    }
}

/// The prefix one bit shorter; none when it has no bits left.
fn shortened(prefix: &Prefix) -> Option<Prefix> {
    Prefix::masked(prefix.addr(), prefix.len().checked_sub(1)?).ok()
}

/// How many leading bits two addresses of one family share.
pub(super) fn common_len(a: IpAddr, b: IpAddr) -> u8 {
    let zeros = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    };
    zeros as u8
}

#[cfg(test)]
#[path = "tree/test.rs"]
mod test;
