//! Captured frames made to fit another network: other EIDs, other MAC addresses, other sizes, with checksums that are
//! right where they were right before. A checksum that was wrong stays wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::checksum;
use sterna_wire::{Mac, Prefix};

use crate::layers::{self, ICMP, ICMPV6, Layer, TCP, UDP};

const ARP: u16 = 0x0806;
/// ARP over Ethernet for IPv4: where hardware and protocol addresses are, from its begin.
const ARP_MACS: [usize; 2] = [8, 18];
const ARP_ADDRESSES: [usize; 2] = [14, 24];
const ARP_LEN: usize = 28;
/// Bytes of FCS, which captures leave out and sizes count.
const FCS: usize = 4;

/// What to change; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewriting {
    /// Addresses in the first prefix get the second one's begin instead; families and lengths are the same. The first
    /// pair that fits an address holds. In a LISP packet, inner and outer addresses.
    pub eids: Vec<(Prefix, Prefix)>,
    /// MAC addresses and what stands there instead.
    pub macs: Vec<(Mac, Mac)>,
    /// Bytes of every frame, FCS included: payloads are padded with zeros or cut.
    pub size: Option<usize>,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rewritten {
    /// Frames with other addresses than before, of either kind.
    pub readdressed: u64,
    /// Frames with another size than before.
    pub resized: u64,
    /// Frames that could not get the size: fragments, what has no payload that may be cut, what is no IP.
    pub unfit: u64,
}

impl Rewriting {
    /// Changes a frame.
    pub fn apply(&self, frame: &mut Vec<u8>, done: &mut Rewritten) {
        let before = layers::of(frame);
        let sums: Vec<[bool; 2]> = before.iter().map(|layer| layer.sums_up(frame)).collect();
        let mut changed = self.macs(frame);
        for layer in &before {
            changed |= self.addresses(layer, frame);
        }
        if before.is_empty() {
            changed |= self.arp(frame);
        }
        done.readdressed += u64::from(changed);
        if let Some(size) = self.size {
            match resize(frame, &before, size.saturating_sub(FCS)) {
                Some(resized) => done.resized += u64::from(resized),
                None => done.unfit += 1,
            }
        }
        // The innermost first: outer checksums cover it.
        for (layer, sums) in layers::of(frame).iter().zip(&sums).rev() {
            layer.mend(frame, *sums);
        }
    }

    fn macs(&self, frame: &mut [u8]) -> bool {
        let mut changed = false;
        for at in [0, 6] {
            changed |= self.mac(frame, at);
        }
        changed
    }

    fn mac(&self, frame: &mut [u8], at: usize) -> bool {
        let Some(place) = frame.get_mut(at..at + 6) else { return false };
        let new = self.macs.iter().find(|(from, _)| from.octets() == *place).map(|(_, to)| to.octets());
        new.inspect(|new| place.copy_from_slice(new)).is_some()
    }

    fn address(&self, old: IpAddr) -> Option<IpAddr> {
        let (from, to) = self.eids.iter().find(|(from, _)| from.contains(old))?;
        let host = |bits: u32| u32::MAX.checked_shr(bits).unwrap_or(0);
        let new = match (old, to.addr()) {
            (IpAddr::V4(old), IpAddr::V4(to)) => {
                Ipv4Addr::from(u32::from(to) | (u32::from(old) & host(from.len().into()))).into()
            }
            (IpAddr::V6(old), IpAddr::V6(to)) => {
                let mask = u128::MAX.checked_shr(from.len().into()).unwrap_or(0);
                Ipv6Addr::from(u128::from(to) | (u128::from(old) & mask)).into()
            }
            _ => return None,
        };
        (new != old).then_some(new)
    }

    fn addresses(&self, layer: &Layer, frame: &mut [u8]) -> bool {
        let mut changed = false;
        for ((from, to), old) in layer.places().into_iter().zip(layer.addresses(frame)) {
            let Some(new) = self.address(old) else { continue };
            let before = frame[from..to].to_vec();
            match new {
                IpAddr::V4(v4) => frame[from..to].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => frame[from..to].copy_from_slice(&v6.octets()),
            }
            adjust_fragment(layer, frame, &before, from);
            changed = true;
        }
        changed
    }

    fn arp(&self, frame: &mut [u8]) -> bool {
        let Some((at, ARP)) = layers::payload(frame) else { return false };
        if frame.len() < at + ARP_LEN || frame[at..at + 6] != [0, 1, 8, 0, 6, 4] {
            return false;
        }
        let mut changed = false;
        for place in ARP_MACS {
            changed |= self.mac(frame, at + place);
        }
        for place in ARP_ADDRESSES {
            let mut old = [0; 4];
            old.copy_from_slice(&frame[at + place..at + place + 4]);
            if let Some(IpAddr::V4(new)) = self.address(Ipv4Addr::from(old).into()) {
                frame[at + place..at + place + 4].copy_from_slice(&new.octets());
                changed = true;
            }
        }
        changed
    }
}

/// A first fragment's checksum covers what is in the others: it is changed by what changed (RFC 1624).
fn adjust_fragment(layer: &Layer, frame: &mut [u8], before: &[u8], from: usize) {
    let covers = matches!(layer.protocol, UDP | TCP | ICMPV6) && layer.fragment.is_some();
    let Some(at) = layer.sum_at(frame).filter(|_| covers) else { return };
    for word in (0..before.len()).step_by(2) {
        let be16 = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let sum = checksum::update16(be16(frame, at), be16(before, word), be16(frame, from + word));
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Gives a frame so many bytes; whether it had others. None when it cannot have them.
fn resize(frame: &mut Vec<u8>, layers: &[Layer], bytes: usize) -> Option<bool> {
    let was = frame.len();
    let Some(inner) = layers.last() else {
        // Behind what is no IP there may be zeros, and nothing can be cut.
        if bytes < was {
            return None;
        }
        frame.resize(bytes, 0);
        return Some(bytes != was);
    };
    let least = inner.upper
        + match inner.protocol {
            UDP | ICMP | ICMPV6 => 8,
            TCP => usize::from(frame.get(inner.upper + 12)? >> 4) * 4,
            _ => return None,
        };
    // Bytes behind the outermost packet pad a short frame: they are not the packet's.
    let tail = layers.first()?.end - inner.end;
    let end = bytes.checked_sub(tail)?;
    if layers.iter().any(|layer| layer.fragment.is_some()) || end < least || least > inner.end {
        return None;
    }
    frame.truncate(layers.first()?.end);
    let cut = end.min(inner.end);
    frame.splice(cut..inner.end, std::iter::repeat_n(0, end - cut));
    for layer in layers {
        lengthen(frame, layer, end as isize - inner.end as isize)?;
    }
    Some(frame.len() != was)
}

fn lengthen(frame: &mut [u8], layer: &Layer, by: isize) -> Option<()> {
    let mut add = |at: usize| -> Option<()> {
        let old = isize::try_from(u16::from_be_bytes([frame[at], frame[at + 1]])).ok()?;
        let new = u16::try_from(old + by).ok()?;
        frame[at..at + 2].copy_from_slice(&new.to_be_bytes());
        Some(())
    };
    add(layer.ip + if layer.is_v6 { 4 } else { 2 })?;
    if layer.protocol == UDP { add(layer.upper + 4) } else { Some(()) }
}

#[cfg(test)]
mod test;
