//! Where the headers of a frame are: its IP packet, and the one within LISP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sterna_wire::checksum;

use crate::packet::LISP_DATA_PORT;

const ETHERNET: usize = 14;
const TAG: usize = 4;
const UDP_HEADER: usize = 8;
const LISP_HEADER: usize = 8;
/// IP protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// One IP packet of a frame; all places are bytes from the frame's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Its header.
    pub ip: usize,
    pub is_v6: bool,
    /// Behind its header.
    pub upper: usize,
    /// Behind the packet, by its own length.
    pub end: usize,
    pub protocol: u8,
    /// Bytes that the fragment's data is moved by; none for a whole packet.
    pub fragment: Option<usize>,
}

/// Where the packet behind Ethernet's header and tags begins, and what it is.
pub(crate) fn payload(frame: &[u8]) -> Option<(usize, u16)> {
    let be16 = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let mut at = ETHERNET;
    let mut kind = be16(12)?;
    while matches!(kind, 0x8100 | 0x88a8) {
        kind = be16(at + 2)?;
        at += TAG;
    }
    Some((at, kind))
}

/// The IP packets of a frame, the outermost first; empty when there is none that can be read whole.
pub(crate) fn of(frame: &[u8]) -> Vec<Layer> {
    let mut layers = Vec::new();
    let Some((mut at, 0x0800 | 0x86dd)) = payload(frame) else { return layers };
    while let Some(layer) = layer(frame, at) {
        layers.push(layer);
        let port = frame.get(layer.upper + 2..layer.upper + 4);
        let in_tunnel =
            layer.protocol == UDP && layer.fragment.is_none() && port == Some(&LISP_DATA_PORT.to_be_bytes());
        if !in_tunnel {
            break;
        }
        at = layer.upper + UDP_HEADER + LISP_HEADER;
        if at >= layer.end {
            break;
        }
    }
    layers
}

fn layer(frame: &[u8], ip: usize) -> Option<Layer> {
    let be16 = |at: usize| Some(usize::from(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?)));
    let first = *frame.get(ip)?;
    let layer = match first >> 4 {
        4 => {
            let header = usize::from(first & 0xf) * 4;
            let (more, offset) = (be16(ip + 6)? & 0x2000 != 0, (be16(ip + 6)? & 0x1fff) * 8);
            Layer {
                ip,
                is_v6: false,
                upper: ip + header.max(20),
                end: ip + be16(ip + 2)?,
                protocol: *frame.get(ip + 9)?,
                fragment: (more || offset > 0).then_some(offset),
            }
        }
        6 => Layer {
            ip,
            is_v6: true,
            upper: ip + 40,
            end: ip + 40 + be16(ip + 4)?,
            protocol: *frame.get(ip + 6)?,
            fragment: None,
        },
        _ => return None,
    };
    (layer.upper <= layer.end && layer.end <= frame.len()).then_some(layer)
}

impl Layer {
    /// Source and destination.
    pub fn addresses(&self, frame: &[u8]) -> [IpAddr; 2] {
        self.places().map(|(from, to)| match <[u8; 16]>::try_from(&frame[from..to]) {
            Ok(v6) => Ipv6Addr::from(v6).into(),
            Err(_) => {
                let mut v4 = [0; 4];
                v4.copy_from_slice(&frame[from..from + 4]);
                Ipv4Addr::from(v4).into()
            }
        })
    }

    /// Where source and destination are.
    pub fn places(&self) -> [(usize, usize); 2] {
        if self.is_v6 {
            [(self.ip + 8, self.ip + 24), (self.ip + 24, self.ip + 40)]
        } else {
            [(self.ip + 12, self.ip + 16), (self.ip + 16, self.ip + 20)]
        }
    }

    /// Where the checksum of what it carries is, if it has one there.
    pub fn sum_at(&self, frame: &[u8]) -> Option<usize> {
        let at = self.upper
            + match self.protocol {
                UDP => 6,
                TCP => 16,
                ICMP | ICMPV6 => 2,
                _ => return None,
            };
        let there = self.fragment.is_none_or(|moved| moved == 0) && at + 2 <= self.end;
        // A UDP checksum of 0 is none.
        let none = self.protocol == UDP && frame.get(at..at + 2) == Some(&[0, 0]);
        (there && !none).then_some(at)
    }

    /// The pseudo-header's part of that checksum.
    fn pseudo(&self, frame: &[u8]) -> u32 {
        let [from, to] = self.addresses(frame);
        match self.protocol {
            ICMP => 0,
            protocol => checksum::pseudo(from, to, protocol, self.end - self.upper).unwrap_or(0),
        }
    }

    /// Whether header checksum and the one behind it are right, as far as they are there and can be known.
    pub fn sums_up(&self, frame: &[u8]) -> [bool; 2] {
        let header = self.is_v6 || checksum::verify(&frame[self.ip..self.upper]);
        let upper = self.fragment.is_some()
            || self.sum_at(frame).is_none()
            || checksum::verify_with(self.pseudo(frame), &frame[self.upper..self.end]);
        [header, upper]
    }

    /// Makes the checksums anew, those that are said.
    pub fn mend(&self, frame: &mut [u8], [header, upper]: [bool; 2]) {
        if header && !self.is_v6 {
            frame[self.ip + 10..self.ip + 12].fill(0);
            let sum = checksum::fold(checksum::sum(&frame[self.ip..self.upper]));
            frame[self.ip + 10..self.ip + 12].copy_from_slice(&sum.to_be_bytes());
        }
        let Some(at) = self.sum_at(frame).filter(|_| upper && self.fragment.is_none()) else { return };
        frame[at..at + 2].fill(0);
        let sum = checksum::fold(self.pseudo(frame) + checksum::sum(&frame[self.upper..self.end]));
        let sum = if sum == 0 && self.protocol == UDP { 0xffff } else { sum };
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}
