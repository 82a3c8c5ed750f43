//! Writing packets out: into the tunnel or to an attached host, each into a fresh transmit frame.

use crate::counters::Basic;
use crate::encap::{self, ETHERNET, OuterFields, ethertype};
use crate::inner::Inner;
use crate::mss;
use crate::step::Step;
use crate::tables::{AdjacencyRow, HopRow, Tag};
use crate::verdict::DropReason;
use sterna_wire::{Family, Mac};
use sterna_xsk::Frame;

/// Where a packet goes.
#[derive(Clone, Copy)]
pub enum Way<'v> {
    /// To another site.
    Tunnel {
        /// Outer header.
        row: &'v AdjacencyRow,
        /// Resolved next hop.
        hop: &'v HopRow,
        /// Largest inner packet that every usable locator of the mapping carries.
        payload_mtu: u16,
    },
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
            Way::Tunnel { payload_mtu, .. } => *payload_mtu,
            Way::Host { mtu, .. } => *mtu,
        }
    }

    /// The outgoing port.
    pub fn port(&self) -> u16 {
        match self {
            Way::Tunnel { hop, .. } => hop.port,
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
    #[inline]
    pub(crate) fn emit(
        &mut self,
        way: &Way<'_>,
        iid: u32,
        inner: &Inner,
        packet: &[u8],
        rewrite: &Rewrite,
    ) -> Result<u16, DropReason> {
        match way {
            Way::Tunnel { row, hop, .. } => self.emit_tunnel(row, hop, iid, inner, packet, rewrite),
            Way::Host { port, vlan, gateway, mac, .. } => {
                let at = if *vlan == 0 { ETHERNET } else { ETHERNET + 4 };
                let mut frame = self.take_frame(*port, at + packet.len())?;
                let out = frame.bytes_mut();
                out[at..].copy_from_slice(packet);
                write_ethernet(out, *mac, *gateway, *vlan, inner.family);
                let clamped = rewrite_inner(&mut out[at..], inner, rewrite);
                self.finish(*port, frame, clamped);
                Ok(*port)
            }
        }
    }

    #[inline]
    fn emit_tunnel(
        &mut self,
        row: &AdjacencyRow,
        hop: &HopRow,
        iid: u32,
        inner: &Inner,
        packet: &[u8],
        rewrite: &Rewrite,
    ) -> Result<u16, DropReason> {
        let at = encap::outer_len(row);
        let mut frame = self.take_frame(hop.port, at + packet.len())?;
        let out = frame.bytes_mut();
        out[at..].copy_from_slice(packet);
        let fields = OuterFields {
            tos: rewrite.tos,
            fixed_port: self.layout.settings.udp_source_fixed,
            identification: self.next_identification(),
            ..OuterFields::of(inner, iid, rewrite.ttl)
        };
        encap::write_outer(out, row, hop, &fields);
        let clamped = rewrite_inner(&mut out[at..], inner, rewrite);
        if rewrite.relays != 0 {
            encap::write_relays(&mut out[..at], rewrite.relays);
        }
        if row.udp_checksum && row.family == Family::V6 {
            encap::write_udp_checksum_v6(out);
        }
        self.finish(hop.port, frame, clamped);
        Ok(hop.port)
    }

    /// 0 with don't-fragment (RFC 6864 section 4.1), else a number that does not repeat soon.
    #[inline]
    fn next_identification(&mut self) -> u16 {
        if self.layout.settings.outer_df {
            return 0;
        }
        self.state.identification = self.state.identification.wrapping_add(1);
        self.state.identification
    }

    /// A fresh frame of the port, `len` bytes long.
    #[inline]
    fn take_frame(&mut self, port: u16, len: usize) -> Result<Frame, DropReason> {
        let egress = self.state.egress.get_mut(usize::from(port)).ok_or(DropReason::PortGone)?;
        let mut frame = egress.fresh.pop().ok_or(DropReason::NoTxFrame)?;
        if frame.set_len(len) {
            return Ok(frame);
        }
        egress.fresh.push(frame);
        Err(DropReason::TooBig)
    }

    #[inline]
    fn finish(&mut self, port: u16, frame: Frame, clamped: bool) {
        if let Some(egress) = self.state.egress.get_mut(usize::from(port)) {
            egress.ready.push(frame);
        }
        if clamped {
            self.state.tally(port).add(Basic::MssClamped, 1);
        }
    }

    /// Sends a whole Ethernet frame that this gateway made; false when no frame was free.
    pub(crate) fn emit_made(&mut self, port: u16, bytes: &[u8]) -> bool {
        match self.take_frame(port, bytes.len()) {
            Ok(mut frame) => {
                frame.bytes_mut().copy_from_slice(bytes);
                self.finish(port, frame, false);
                self.state.tally(port).add(Basic::Made, 1);
                true
            }
            Err(_) => false,
        }
    }
}

#[inline]
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
#[inline]
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
