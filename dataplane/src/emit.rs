//! Writing packets out: into the tunnel or to an attached host, each into a fresh transmit frame.

use crate::counters::Basic;
use crate::eid_side::AHEAD;
use crate::encap::{self, ETHERNET, OuterFields, ethertype};
use crate::inner::Inner;
use crate::mss;
use crate::state::Egress;
use crate::step::Step;
use crate::tables::{AdjacencyRow, HopRow, Tag};
use crate::verdict::DropReason;
use sterna_wire::{Family, Mac};
use sterna_xsk::Frame;

/// The way to another site.
#[derive(Clone, Copy)]
pub struct Tunnel<'v> {
    /// Outer header.
    pub row: &'v AdjacencyRow,
    /// Resolved next hop.
    pub hop: &'v HopRow,
    /// Largest inner packet that every usable locator of the mapping carries.
    pub payload_mtu: u16,
}

/// Where a packet goes.
#[derive(Clone, Copy)]
pub enum Way<'v> {
    /// To another site.
    Tunnel(Tunnel<'v>),
    /// To a host of this site.
    Host {
        /// Eid-side port.
        port: u16,
        /// VLAN, 0 for untagged.
        vlan: Tag,
        /// The group's gateway MAC: the source.
        gateway: Mac,
        /// The host's MAC.
        mac: Mac,
        /// Largest packet of the port.
        mtu: u16,
    },
}

impl Way<'_> {
    /// Largest inner packet, bytes.
    pub fn mtu(&self) -> u16 {
        match self {
            Way::Tunnel(tunnel) => tunnel.payload_mtu,
            Way::Host { mtu, .. } => *mtu,
        }
    }

    /// The outgoing port.
    pub fn port(&self) -> u16 {
        match self {
            Way::Tunnel(tunnel) => tunnel.hop.port,
            Way::Host { port, .. } => *port,
        }
    }
}

/// Changes to the inner packet on its way.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    /// New TTL.
    pub ttl: u8,
    /// New TOS.
    pub tos: u8,
    /// Clamp the MSS of a SYN to this inner packet size.
    pub mss_mtu: Option<u16>,
    /// How often the packet has been relayed with this time; 0 for all others.
    pub relays: u8,
}

impl Step<'_, '_> {
    /// Writes one inner packet (exactly `inner.len` bytes) out; it must fit the way's MTU.
    // Always, with what it is made of: the caller knows which way it is, and a call costs forty instructions.
    #[inline(always)]
    pub(crate) fn emit(
        &mut self,
        way: &Way<'_>,
        iid: u32,
        inner: &Inner,
        packet: &[u8],
        rewrite: &Rewrite,
    ) -> Result<u16, DropReason> {
        match way {
            Way::Tunnel(tunnel) => self.emit_tunnel(tunnel, iid, inner, packet, rewrite),
            Way::Host { port, vlan, gateway, mac, .. } => {
                let at = if *vlan == 0 { ETHERNET } else { ETHERNET + 4 };
                let egress = egress_of(&mut self.state.egress, *port)?;
                let out = egress.stage(at + packet.len())?.bytes_mut();
                copy_packet(&mut out[at..], packet);
                write_ethernet(out, *mac, *gateway, *vlan, inner.family);
                let clamped = rewrite_inner(&mut out[at..], inner, rewrite);
                egress.commit();
                self.count_clamped(*port, clamped);
                Ok(*port)
            }
        }
    }

    /// The same into a tunnel.
    #[inline(always)]
    pub(crate) fn emit_tunnel(
        &mut self,
        tunnel: &Tunnel<'_>,
        iid: u32,
        inner: &Inner,
        packet: &[u8],
        rewrite: &Rewrite,
    ) -> Result<u16, DropReason> {
        let (row, hop) = (tunnel.row, tunnel.hop);
        let at = encap::outer_len(row);
        let fields = OuterFields {
            tos: rewrite.tos,
            fixed_port: self.layout.settings.udp_source_fixed,
            identification: self.next_identification(),
            ..OuterFields::of(inner, iid, rewrite.ttl)
        };
        let egress = egress_of(&mut self.state.egress, hop.port)?;
        let out = egress.stage(at + packet.len())?.bytes_mut();
        encap::write_outer(out, row, hop, &fields);
        copy_packet(&mut out[at..], packet);
        let clamped = rewrite_inner(&mut out[at..], inner, rewrite);
        if rewrite.relays != 0 {
            encap::write_relays(&mut out[..at], rewrite.relays);
        }
        if row.udp_checksum && row.family == Family::V6 {
            encap::write_udp_checksum_v6(out);
        }
        egress.commit();
        self.count_clamped(hop.port, clamped);
        Ok(hop.port)
    }

    /// 0 with don't-fragment (RFC 6864 section 4.1), else a number that does not repeat soon.
    #[inline(always)]
    fn next_identification(&mut self) -> u16 {
        if self.layout.settings.outer_df {
            return 0;
        }
        self.state.identification = self.state.identification.wrapping_add(1);
        self.state.identification
    }

    #[inline(always)]
    fn count_clamped(&mut self, port: u16, clamped: bool) {
        if clamped {
            self.state.tally(port).add(Basic::MssClamped, 1);
        }
    }

    /// Sends a whole Ethernet frame that this gateway made; false when no frame was free.
    pub(crate) fn emit_made(&mut self, port: u16, bytes: &[u8]) -> bool {
        let Ok(egress) = egress_of(&mut self.state.egress, port) else { return false };
        let Ok(frame) = egress.stage(bytes.len()) else { return false };
        frame.bytes_mut().copy_from_slice(bytes);
        egress.commit();
        self.state.tally(port).add(Basic::Made, 1);
        true
    }
}

#[inline(always)]
fn egress_of(all: &mut [Egress], port: u16) -> Result<&mut Egress, DropReason> {
    all.get_mut(usize::from(port)).ok_or(DropReason::PortGone)
}

impl Egress {
    /// A fresh frame, `len` bytes long, to be written where it lies.
    #[inline(always)]
    fn stage(&mut self, len: usize) -> Result<&mut Frame, DropReason> {
        if let Some(ahead) = self.fresh.len().checked_sub(1 + AHEAD).and_then(|at| self.fresh.get(at)) {
            sterna_cpu::prefetch_packet(ahead.bytes());
        }
        let frame = self.fresh.last_mut().ok_or(DropReason::NoTxFrame)?;
        if frame.set_len(len) { Ok(frame) } else { Err(DropReason::TooBig) }
    }

    /// The staged frame is written, and goes out.
    #[inline(always)]
    fn commit(&mut self) {
        if let Some(frame) = self.fresh.pop() {
            self.ready.push(frame);
        }
    }
}

/// Copies a packet to where there is as much room. Most packets are short: two blocks that overlap need no loop, and no
/// call, around which everything else would have to be put aside.
#[inline(always)]
fn copy_packet(out: &mut [u8], packet: &[u8]) {
    #[inline(always)]
    fn ends<const N: usize>(out: &mut [u8], packet: &[u8]) -> bool {
        if out.len() != packet.len() {
            return false;
        }
        if let (Some(to), Some(from)) = (out.first_chunk_mut::<N>(), packet.first_chunk()) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (out.last_chunk_mut::<N>(), packet.last_chunk()) {
            *to = *from;
        }
        true
    }
    let done = match packet.len() {
        32..=64 => ends::<32>(out, packet),
        65..=128 => ends::<64>(out, packet),
        _ => false,
    };
    if !done {
        out.copy_from_slice(packet);
    }
}

#[inline(always)]
fn write_ethernet(out: &mut [u8], destination: Mac, source: Mac, vlan: Tag, family: Family) {
    out[..6].copy_from_slice(&destination.0);
    out[6..12].copy_from_slice(&source.0);
    if vlan == 0 {
        out[12..14].copy_from_slice(&ethertype(family));
    } else {
        out[12..14].copy_from_slice(&[0x81, 0x00]);
        out[14..16].copy_from_slice(&vlan.to_be_bytes());
        out[16..18].copy_from_slice(&ethertype(family));
    }
}

/// Applies TTL, TOS and MSS to the copied packet; true when the MSS was lowered.
#[inline(always)]
fn rewrite_inner(packet: &mut [u8], inner: &Inner, rewrite: &Rewrite) -> bool {
    if rewrite.ttl != inner.ttl {
        encap::set_ttl(packet, inner.family, rewrite.ttl);
    }
    if rewrite.tos != inner.tos {
        encap::set_tos(packet, inner.family, rewrite.tos);
    }
    match rewrite.mss_mtu {
        Some(mtu) if inner.syn => mss::clamp(packet, mtu),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_of_any_length_is_copied() {
        for len in 0..300 {
            let packet: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut out = vec![0xff; len];
            copy_packet(&mut out, &packet);
            assert_eq!(out, packet);
        }
    }
}
