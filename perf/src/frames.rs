//! The packets that a case feeds in: written once, their one changing address rewritten long before each use.

use crate::case::Order;
use anyhow::{Context, Result, bail};
use etherparse::PacketBuilder;
use rand::distr::Distribution;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;
use sterna_wire::checksum;

/// Direction of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From an agent into the tunnel.
    Encap,
    /// From the tunnel to an agent.
    Decap,
}

/// Address family of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// As it stands in names.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Family> {
        match name {
            "v4" => Ok(Family::V4),
            "v6" => Ok(Family::V6),
            other => bail!("{other} is no address family: v4 or v6"),
        }
    }

    /// Bytes of the outer headers behind Ethernet.
    pub fn outer_len(self) -> usize {
        match self {
            Family::V4 => 36,
            Family::V6 => 56,
        }
    }
}

/// Ethernet addresses and RLOCs of the measured gateway.
pub const GATEWAY_MAC: [u8; 6] = [2, 0x53, 0x54, 0, 0, 100];
/// The agent's Ethernet address.
pub const AGENT_MAC: [u8; 6] = [2, 0xa, 0, 0, 0, 1];
/// The rloc-side port's address.
pub const PORT_MAC: [u8; 6] = [2, 0xd, 0, 0, 0, 1];
/// The underlay router's address.
pub const ROUTER_MAC: [u8; 6] = [2, 0xc, 0, 0, 0, 1];
/// Our RLOCs.
pub const LOCAL_V4: [u8; 4] = [192, 0, 2, 1];
/// See [`LOCAL_V4`].
pub const LOCAL_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The remote RLOCs.
pub const REMOTE_V4: [u8; 4] = [198, 51, 100, 1];
/// The second locator of mappings with two.
pub const OTHER_V4: [u8; 4] = [198, 51, 100, 2];
/// See [`OTHER_V4`].
pub const OTHER_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// See [`REMOTE_V4`].
pub const REMOTE_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// The local agent.
pub const AGENT_V4: [u8; 4] = [10, 255, 0, 5];
/// See [`AGENT_V4`].
pub const AGENT_V6: [u8; 16] = [0xfd, 0, 0, 0x64, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
/// Stands in a new frame until the first address is put there.
const FIRST_V4: [u8; 4] = [10, 0, 0, 0];
/// See [`FIRST_V4`].
const FIRST_V6: [u8; 16] = [0xfd, 0, 0, 0x64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The measured group.
pub const IID: u32 = 100;

/// One frame of a case, with EID 0 as the remote one; `size` is the inner packet's length in bytes.
pub fn template(direction: Direction, inner: Family, outer: Family, size: usize) -> Result<Vec<u8>> {
    let packet = inner_packet(direction, inner, size)?;
    let mut frame = Vec::new();
    match direction {
        Direction::Encap => {
            let ethertype = if inner == Family::V4 { [8, 0] } else { [0x86, 0xdd] };
            frame.extend([GATEWAY_MAC, AGENT_MAC].concat());
            frame.extend(ethertype);
            frame.extend(packet);
        }
        Direction::Decap => {
            let mut payload = vec![0x08, 0, 0, 0];
            payload.extend((IID << 8).to_be_bytes());
            payload.extend(packet);
            let ethernet = PacketBuilder::ethernet2(ROUTER_MAC, PORT_MAC);
            match outer {
                Family::V4 => {
                    ethernet.ipv4(REMOTE_V4, LOCAL_V4, 62).udp(50_000, 4341).write(&mut frame, &payload)?
                }
                Family::V6 => {
                    ethernet.ipv6(REMOTE_V6, LOCAL_V6, 62).udp(50_000, 4341).write(&mut frame, &payload)?
                }
            }
            // Senders do not compute the outer UDP checksum (RFC 6935), ours and others'.
            let at = 14 + outer.outer_len() - 10;
            frame[at..at + 2].fill(0);
        }
    }
    Ok(frame)
}

fn inner_packet(direction: Direction, inner: Family, size: usize) -> Result<Vec<u8>> {
    let headers = if inner == Family::V4 { 28 } else { 48 };
    let payload =
        vec![0x5a; size.checked_sub(headers).context("the size is smaller than the inner headers")?];
    let mut out = Vec::new();
    let away = direction == Direction::Encap;
    match inner {
        Family::V4 => {
            let (s, d) = if away { (AGENT_V4, FIRST_V4) } else { (FIRST_V4, AGENT_V4) };
            PacketBuilder::ipv4(s, d, 64).udp(4000, 5000).write(&mut out, &payload)?;
        }
        Family::V6 => {
            let (s, d) = if away { (AGENT_V6, FIRST_V6) } else { (FIRST_V6, AGENT_V6) };
            PacketBuilder::ipv6(s, d, 64).udp(4000, 5000).write(&mut out, &payload)?;
        }
    }
    // A zero UDP checksum is legal on IPv4; rewriting the address then needs the header's checksum only.
    let at = headers - 2;
    out[at..at + 2].fill(0);
    Ok(out)
}

/// Where the remote EID stands in a frame, and how to put another one there.
#[derive(Clone, Copy)]
pub struct Slot {
    inner: Family,
    inner_at: usize,
    address_at: usize,
}

impl Slot {
    /// The slot of a case's frames.
    pub fn new(direction: Direction, inner: Family, outer: Family) -> Slot {
        let inner_at = match direction {
            Direction::Encap => 14,
            Direction::Decap => 14 + outer.outer_len(),
        };
        let within = match (inner, direction) {
            (Family::V4, Direction::Encap) => 16,
            (Family::V4, Direction::Decap) => 12,
            (Family::V6, Direction::Encap) => 24,
            (Family::V6, Direction::Decap) => 8,
        };
        Slot { inner, inner_at, address_at: inner_at + within }
    }

    /// Puts a remote address into the frame and mends the inner header checksum; IPv4 is the first four bytes.
    pub fn put(&self, frame: &mut [u8], address: &[u8; 16]) {
        match self.inner {
            Family::V4 => {
                frame[self.address_at..self.address_at + 4].copy_from_slice(&address[..4]);
                let header = &mut frame[self.inner_at..self.inner_at + 20];
                header[10..12].fill(0);
                let sum = checksum::fold(checksum::sum(header));
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            Family::V6 => frame[self.address_at..self.address_at + 16].copy_from_slice(address),
        }
    }
}

/// The exponent of [`Order::Zipf`].
const EXPONENT: f64 = 1.1;

/// Numbers of remote EIDs, one after the other; the same in every run.
pub struct Sequence {
    eids: u32,
    turn: u32,
    random: Option<StdRng>,
    zipf: Option<Zipf<f64>>,
}

impl Sequence {
    /// Numbers below `eids`, which is not zero.
    pub fn new(eids: u32, order: Order) -> Result<Sequence> {
        let random = (order != Order::Sequential).then(|| StdRng::seed_from_u64(0x9e37_79b9_7f4a_7c15));
        let zipf = (order == Order::Zipf).then(|| Zipf::new(f64::from(eids), EXPONENT)).transpose()?;
        Ok(Sequence { eids, turn: 0, random, zipf })
    }

    /// The next one.
    pub fn next(&mut self) -> u32 {
        match (&mut self.random, &self.zipf) {
            (Some(random), Some(zipf)) => (zipf.sample(random) as u32).clamp(1, self.eids) - 1,
            (Some(random), None) => random.random_range(0..self.eids),
            (None, _) => {
                let number = self.turn;
                self.turn = (self.turn + 1) % self.eids;
                number
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]
    use super::*;

    #[test]
    fn orders_are_what_they_are_called() {
        let draw = |order| {
            let mut sequence = Sequence::new(1000, order).unwrap();
            let mut seen = [0u32; 1000];
            (0..100_000).for_each(|_| seen[sequence.next() as usize] += 1);
            seen
        };
        assert!(draw(Order::Sequential).iter().all(|n| *n == 100));
        assert!(draw(Order::Uniform).iter().all(|n| (50..200).contains(n)));
        let zipf = draw(Order::Zipf);
        // 1/H(1000, 1.1) of all draws are the first: 18 %; the second has 2^-1.1 of that.
        assert!((16_000..20_000).contains(&zipf[0]), "{}", zipf[0]);
        assert!((7_000..10_000).contains(&zipf[1]), "{}", zipf[1]);
    }
}
