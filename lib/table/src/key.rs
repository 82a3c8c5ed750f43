//! What is looked up: the packed key of an entry, the question a packet asks, and the keyed hash of both.
//!
//! A key is three words: `iid | family << 24 | prefix length << 32`, then the 16 address bytes as two big-endian
//! numbers (an IPv4 address fills the first four bytes). All bits past the prefix length are zero.

use std::net::IpAddr;
use sterna_cpu::fold_multiply;
use sterna_wire::{Family, Iid, Prefix, addr_bytes, addr_from_bytes};

const IID_MASK: u64 = 0x00ff_ffff;
const FAMILY_SHIFT: u32 = 24;
const LENGTH_SHIFT: u32 = 32;

/// The key of an entry: an EID prefix in an instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EidKey(pub(crate) [u64; 3]);

impl EidKey {
    /// The key of a single EID (/32 or /128).
    pub fn host(iid: Iid, eid: IpAddr) -> EidKey {
        Question::new(iid, eid).key(Family::of(eid).bits())
    }

    /// The key of an EID prefix.
    pub fn prefix(iid: Iid, prefix: Prefix) -> EidKey {
        Question::new(iid, prefix.addr()).key(prefix.len())
    }

    /// The instance-ID.
    pub fn iid(&self) -> u32 {
        (self.0[0] & IID_MASK) as u32
    }

    /// The address family.
    #[inline(always)]
    pub fn family(&self) -> Family {
        if (self.0[0] >> FAMILY_SHIFT) as u8 == Family::V6 as u8 { Family::V6 } else { Family::V4 }
    }

    /// The prefix length in bits.
    #[inline(always)]
    pub fn prefix_len(&self) -> u8 {
        (self.0[0] >> LENGTH_SHIFT) as u8
    }

    /// The first address of the prefix.
    pub fn addr(&self) -> IpAddr {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[1].to_be_bytes());
        bytes[8..].copy_from_slice(&self.0[2].to_be_bytes());
        addr_from_bytes(self.family(), &bytes)
    }

    /// Whether it is a single EID.
    pub fn is_host(&self) -> bool {
        self.prefix_len() == self.family().bits()
    }

    /// The key of a prefix of this one, no longer than it is.
    #[inline(always)]
    pub(crate) fn shortened(&self, len: u8) -> EidKey {
        let [high, low] = MASKS[usize::from(len)];
        let realm = u64::from(self.realm());
        EidKey([realm | u64::from(len) << LENGTH_SHIFT, self.0[1] & high, self.0[2] & low])
    }

    /// How many bits of the address are free in this prefix: 0 for a single EID.
    #[inline(always)]
    pub(crate) fn free_bits(&self) -> u8 {
        self.family().bits() - self.prefix_len()
    }

    /// Equality without a branch per word: it is nearly always true.
    #[inline(always)]
    pub(crate) fn equals(&self, other: &EidKey) -> bool {
        let differ = |word: usize| self.0[word] ^ other.0[word];
        differ(0) | differ(1) | differ(2) == 0
    }

    /// The instance and family it belongs to.
    #[inline(always)]
    pub(crate) fn realm(&self) -> u32 {
        self.0[0] as u32
    }
}

impl std::fmt::Debug for EidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}/{}", self.iid(), self.addr(), self.prefix_len())
    }
}

/// What a packet asks: which entry covers this address in this instance?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Question {
    /// The instance-ID, 24 bits; higher bits are ignored.
    pub iid: u32,
    /// The address family.
    pub family: Family,
    /// The 16 address bytes as two big-endian numbers; an IPv4 address is the upper half of the first.
    pub addr: [u64; 2],
}

impl Question {
    /// A question about any address.
    #[inline]
    pub fn new(iid: Iid, eid: IpAddr) -> Question {
        let bytes = addr_bytes(eid);
        let (high, low) = bytes.split_at(8);
        let word = |half: &[u8]| half.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Question { iid: iid.get(), family: Family::of(eid), addr: [word(high), word(low)] }
    }

    /// A question about an IPv4 address, given as it stands in the header.
    #[inline(always)]
    pub const fn v4(iid: u32, eid: [u8; 4]) -> Question {
        Question { iid, family: Family::V4, addr: [(u32::from_be_bytes(eid) as u64) << 32, 0] }
    }

    /// A question about an IPv6 address, given as it stands in the header.
    #[inline(always)]
    pub const fn v6(iid: u32, eid: [u8; 16]) -> Question {
        let number = u128::from_be_bytes(eid);
        Question { iid, family: Family::V6, addr: [(number >> 64) as u64, number as u64] }
    }

    /// The key that an entry of this prefix length would have if it covers the address.
    #[inline(always)]
    pub(crate) fn key(&self, len: u8) -> EidKey {
        EidKey([u64::from(self.realm()), self.addr[0], self.addr[1]]).shortened(len)
    }

    /// The instance and family it asks in; never 0.
    #[inline(always)]
    pub(crate) fn realm(&self) -> u32 {
        (self.iid & IID_MASK as u32) | (self.family as u32) << FAMILY_SHIFT
    }
}

/// The address bits that a prefix length covers. A table: two loads in place of two shifts that must each mind 64;
/// as long as its index type, so that there is nothing to check.
static MASKS: [[u64; 2]; 256] = {
    let mut masks = [[u64::MAX; 2]; 256];
    masks[0] = [0; 2];
    let mut len = 1;
    while len < 128 {
        let bits = u128::MAX << (128 - len);
        masks[len] = [(bits >> 64) as u64, bits as u64];
        len += 1;
    }
    masks
};

/// The realm (instance and family) of prefixes, for questions about a whole instance.
pub(crate) fn realm_of(iid: Iid, family: Family) -> u32 {
    Question { iid: iid.get(), family, addr: [0, 0] }.realm()
}

/// The secret of a table's hash: who chooses EIDs cannot choose buckets without it.
#[derive(Clone, Copy)]
pub(crate) struct Secret([u64; 3]);

impl Secret {
    /// Spreads the caller's random seed; the constants keep a poor seed (all zero, say) working.
    pub(crate) fn new(seed: [u64; 2]) -> Secret {
        let first = seed[0] ^ 0x9e37_79b9_7f4a_7c15;
        let second = seed[1] ^ 0xd1b5_4a32_d192_ed03;
        let third =
            fold_multiply(first ^ 0x8cb9_2ba7_2f3d_8dd7, second.rotate_left(32) ^ 0xaef1_7502_108e_f2d9);
        // Odd: a factor of zero would send every key to one bucket.
        Secret([first, second | 1, third | 1])
    }

    /// The hash of a key: its upper half picks the bucket, its lowest 16 bits are the tag.
    #[inline(always)]
    pub(crate) fn hash(&self, key: &EidKey) -> u64 {
        let [realm, high, low] = key.0;
        let address = fold_multiply(high ^ self.0[0], low ^ self.0[1]);
        fold_multiply(address ^ realm, self.0[2])
    }

    /// The hash of an instance and family.
    #[inline(always)]
    pub(crate) fn hash_realm(&self, realm: u32) -> u64 {
        fold_multiply(u64::from(realm) ^ self.0[0], self.0[2])
    }
}

/// Maps the upper half of a hash to `0..len` without a division and without needing a power of two.
#[inline(always)]
pub(crate) fn spread(hash: u64, len: usize) -> usize {
    (((hash >> 32) * len as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iid(value: u32) -> Iid {
        Iid::new(value).unwrap()
    }

    #[test]
    fn packs_as_documented() {
        let key = EidKey::host(iid(0x1234), "10.1.2.3".parse().unwrap());
        assert_eq!(key.0, [0x1234 | 4 << 24 | 32 << 32, 0x0a01_0203_0000_0000, 0]);
        let key = EidKey::prefix(iid(7), "2001:db8::/65".parse().unwrap());
        assert_eq!(key.0, [7 | 6 << 24 | 65 << 32, 0x2001_0db8_0000_0000, 0]);
    }

    #[test]
    fn unpacks_what_was_packed() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::/64", "2001:db8::1/128"] {
            let prefix: Prefix = text.parse().unwrap();
            let key = EidKey::prefix(iid(99), prefix);
            assert_eq!(
                (key.iid(), key.family(), key.addr(), key.prefix_len(), key.is_host()),
                (99, prefix.family(), prefix.addr(), prefix.len(), prefix.is_host())
            );
        }
    }

    #[test]
    fn a_question_masks_to_the_prefixes_that_cover_it() {
        let v6: IpAddr = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        for (address, bits) in [("203.0.113.255".parse().unwrap(), 32), (v6, 128)] {
            for len in 0..=bits {
                let prefix = Prefix::masked(address, len).unwrap();
                assert_eq!(Question::new(iid(3), address).key(len), EidKey::prefix(iid(3), prefix));
            }
        }
    }

    #[test]
    fn the_three_ways_to_ask_are_one() {
        let v4 = std::net::Ipv4Addr::new(203, 0, 113, 9);
        assert_eq!(Question::v4(5, v4.octets()), Question::new(iid(5), v4.into()));
        let v6: std::net::Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(Question::v6(5, v6.octets()), Question::new(iid(5), v6.into()));
    }

    #[test]
    fn spread_covers_its_range() {
        assert_eq!(spread(0, 10), 0);
        assert_eq!(spread(u64::MAX, 10), 9);
        assert_eq!(spread(1 << 63, 10), 5);
    }

    #[test]
    fn sequential_keys_spread_evenly_even_with_a_poor_seed() {
        let seeds = [[0, 0], [1, 2], [u64::MAX, 0]];
        for seed in &seeds[..if cfg!(miri) { 1 } else { 3 }] {
            let secret = Secret::new(*seed);
            let mut buckets = [0_u32; 256];
            for number in 0..256 * 64_u32 {
                let key = EidKey::host(iid(1), std::net::Ipv4Addr::from(number).into());
                buckets[spread(secret.hash(&key), 256)] += 1;
            }
            // Mean 64, standard deviation 8: six of them either side.
            assert!(buckets.iter().all(|count| (16..=112).contains(count)), "{seed:?} {buckets:?}");
        }
    }
}
