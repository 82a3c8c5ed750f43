//! The floor: a bare loop that does the least an encapsulation can do, to show what the machine allows.
//!
//! Bursts of 64 in three staged passes with prefetch, 64-byte buckets of eight 16-bit tags compared by SIMD, 64-byte
//! entries, a header template and the payload written into a fresh frame. No VLAN, checks, counters, classes or
//! reclamation; the headers of the received frames are warm. In safe Rust with the crates' own primitives: the hash
//! is the same multiply-fold as the product's, not CRC.

use crate::case::Order;
use crate::clocks::Clocks;
use crate::frames::Sequence;
use anyhow::{Result, ensure};
use sterna_cpu::{clocks_fenced, fold_multiply, match_tags, prefetch_read, prefetch_slice_index};
use sterna_xsk::BURST;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; 8],
    entries: [u32; 8],
    pad: [u8; 16],
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Entry {
    key: [u64; 3],
    adjacency: u32,
    pad: [u32; 9],
}

/// Bytes of the template: Ethernet, IPv4, UDP, LISP.
const HEADER: usize = 14 + 36;
/// Bytes of a packet behind its Ethernet header.
const PACKET: usize = 64;
const FRAME: usize = 2048;

/// The bare loop and its tables.
pub struct Floor {
    buckets: Vec<Bucket>,
    entries: Vec<Entry>,
    rx: Vec<[u8; 14 + PACKET]>,
    tx: Vec<u8>,
    next_tx: usize,
    template: [u8; HEADER],
    eids: u32,
}

fn key(n: u32) -> [u64; 3] {
    [0x04_0000_0064, u64::from(0x0a00_0000 + n) << 32, 0]
}

/// Address and group each in a factor of its own: with both in one the distance of two addresses is a multiple of
/// 2^32, and a million of them share 225 buckets.
fn hash(key: &[u64; 3]) -> u64 {
    fold_multiply(key[0] ^ 0x1234_5678_9abc_def1, key[1] ^ key[2] ^ 0xfedc_ba98_7654_3211)
}

impl Floor {
    /// A table of `eids` hosts, and `frames` transmit frames to cycle over.
    pub fn new(eids: u32, frames: usize) -> Floor {
        let count = (eids as usize / 4).next_power_of_two().max(64);
        let empty = Bucket { tags: [0; 8], entries: [0; 8], pad: [0; 16] };
        let mut floor = Floor {
            buckets: vec![empty; count],
            entries: vec![Entry { key: [0; 3], adjacency: 0, pad: [0; 9] }; eids as usize],
            rx: vec![[0x5a; 14 + PACKET]; BURST],
            tx: vec![0; frames * FRAME],
            next_tx: 0,
            template: [0x11; HEADER],
            eids,
        };
        for n in 0..eids {
            floor.insert(n);
        }
        floor
    }

    fn insert(&mut self, n: u32) {
        let key = key(n);
        self.entries[n as usize] = Entry { key, adjacency: 1, pad: [0; 9] };
        let hash = hash(&key);
        let mask = self.buckets.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.tags.iter().position(|t| *t == 0) {
                bucket.tags[slot] = tag(hash);
                bucket.entries[slot] = n;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Remote EIDs in the table.
    pub fn eids(&self) -> u32 {
        self.eids
    }

    /// Clocks per packet over `bursts` bursts; that all were found keeps the work from being optimised away.
    pub fn measure(&mut self, bursts: usize, order: Order) -> Result<Clocks> {
        let mut sequence = Sequence::new(self.eids, order)?;
        let (mut clocks, mut sum) = (Vec::with_capacity(bursts), 0);
        for _ in 0..bursts {
            for frame in &mut self.rx {
                frame[30..34].copy_from_slice(&(0x0a00_0000 + sequence.next()).to_be_bytes());
            }
            let start = clocks_fenced();
            sum += self.burst();
            clocks.push(clocks_fenced() - start);
        }
        // A lone candidate with the tag of another key is the bare loop's licence: some in a thousand.
        let packets = (bursts * BURST) as u64;
        ensure!(sum > packets / 100 * 99, "the bare loop found {sum} of {packets}");
        Clocks::per_packet(clocks)
    }

    fn burst(&mut self) -> u64 {
        let mask = self.buckets.len() - 1;
        let mut keys = [[0u64; 3]; BURST];
        let mut hashes = [0u64; BURST];
        for ((frame, key), to) in self.rx.iter().zip(&mut keys).zip(&mut hashes) {
            let address = u32::from_be_bytes([frame[30], frame[31], frame[32], frame[33]]);
            *key = [0x04_0000_0064, u64::from(address) << 32, 0];
            *to = hash(key);
            prefetch_slice_index(&self.buckets, *to as usize & mask);
        }
        let mut found = [0u32; BURST];
        for ((hash, key), to) in hashes.iter().zip(&keys).zip(&mut found) {
            *to = self.candidate(*hash, key, mask);
            prefetch_slice_index(&self.entries, *to as usize);
        }
        let mut sum = 0;
        for ((frame, key), found) in self.rx.iter().zip(&keys).zip(&found) {
            let entry = &self.entries[*found as usize];
            sum += u64::from(entry.key == *key) * u64::from(entry.adjacency);
            let out = &mut self.tx[self.next_tx..self.next_tx + HEADER + PACKET];
            out[..HEADER].copy_from_slice(&self.template);
            out[HEADER..].copy_from_slice(&frame[14..]);
            out[16..18].copy_from_slice(&(PACKET as u16 + 36).to_be_bytes());
            self.next_tx = (self.next_tx + FRAME) % self.tx.len();
        }
        prefetch_read(&self.template);
        sum
    }

    #[inline]
    fn candidate(&self, hash: u64, key: &[u64; 3], mask: usize) -> u32 {
        let mut at = hash as usize & mask;
        loop {
            let bucket = &self.buckets[at];
            let mut matches = match_tags(&bucket.tags, tag(hash));
            while matches != 0 {
                let entry = bucket.entries[matches.trailing_zeros() as usize];
                // With one candidate the full comparison can wait for the next pass.
                if matches & (matches - 1) == 0 || self.entries[entry as usize].key == *key {
                    return entry;
                }
                matches &= matches - 1;
            }
            at = (at + 1) & mask;
        }
    }
}

fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_eid_is_found_and_the_table_is_used_as_a_table_would_be() {
        let mut floor = Floor::new(100_000, 256);
        assert!(floor.measure(100, Order::Uniform).unwrap().mean > 0.0);
        let mask = floor.buckets.len() - 1;
        let homes: HashSet<_> = (0..100_000).map(|n| hash(&key(n)) as usize & mask).collect();
        assert!(homes.len() > floor.buckets.len() * 9 / 10, "{} of {}", homes.len(), floor.buckets.len());
    }
}
