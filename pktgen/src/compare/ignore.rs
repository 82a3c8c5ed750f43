//! What may differ between two captures of the same.

use crate::layers::{Layer, UDP};

/// A part of frames that is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ignore {
    /// Ethernet addresses.
    Macs,
    /// The addresses of outer headers: RLOCs.
    OuterAddresses,
    /// The outer UDP source port, which spreads flows.
    EntropyPort,
    /// TTL and hop limit, of every header.
    Ttl,
    /// IPv4's identification and IPv6's flow label, of outer headers.
    Identification,
    /// What LISP's first word carries: nonce or map-version, and its flags but for the instance-ID's.
    Nonce,
}

/// Bytes of an outer UDP header before LISP's.
const LISP_AT: usize = 8;
/// LISP's flag for an instance-ID (RFC 9300 section 5.1).
const I_FLAG: u8 = 0x08;

/// Puts zeros where it does not matter, and into the checksums that cover it.
pub(super) fn clear(ignore: &[Ignore], layers: &[Layer], frame: &mut [u8]) {
    let has = |what| ignore.contains(&what);
    if has(Ignore::Macs)
        && let Some(macs) = frame.get_mut(..12)
    {
        macs.fill(0);
    }
    let outer = layers.len().saturating_sub(1);
    for (at, layer) in layers.iter().enumerate() {
        let is_outer = at < outer;
        let mut cleared = false;
        if is_outer && has(Ignore::OuterAddresses) {
            layer.places().iter().for_each(|(from, to)| frame[*from..*to].fill(0));
            cleared = true;
        }
        if has(Ignore::Ttl) {
            frame[layer.ip + if layer.is_v6 { 7 } else { 8 }] = 0;
            cleared = true;
        }
        if is_outer && has(Ignore::Identification) {
            match layer.is_v6 {
                true => {
                    frame[layer.ip + 1] &= 0xf0;
                    frame[layer.ip + 2..layer.ip + 4].fill(0);
                }
                false => frame[layer.ip + 4..layer.ip + 6].fill(0),
            }
            cleared = true;
        }
        if cleared && !layer.is_v6 {
            frame[layer.ip + 10..layer.ip + 12].fill(0);
        }
        if is_outer {
            clear_tunnel(&has, layer, frame);
        }
        // An outer UDP checksum covers everything further in.
        let covers = is_outer && layer.protocol == UDP && ignore.iter().any(|what| *what != Ignore::Macs);
        if covers && let Some(sum) = frame.get_mut(layer.upper + 6..layer.upper + 8) {
            // None at all, where the other has one, is a difference.
            let some = *sum != [0, 0];
            sum.fill(u8::from(some));
        }
    }
}

fn clear_tunnel(has: &impl Fn(Ignore) -> bool, layer: &Layer, frame: &mut [u8]) {
    if has(Ignore::EntropyPort) {
        frame[layer.upper..layer.upper + 2].fill(0);
    }
    let lisp = layer.upper + LISP_AT;
    if has(Ignore::Nonce)
        && let Some(word) = frame.get_mut(lisp..lisp + 4)
    {
        word[0] &= I_FLAG;
        word[1..].fill(0);
    }
}
