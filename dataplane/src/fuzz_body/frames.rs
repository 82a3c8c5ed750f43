//! Bytes become frames: of agents, out of the tunnel, ARP and neighbour discovery.

use super::site::{CORE, DYNAMIC, GROUPS, OURS, UNDERLAY, gateway_mac, own, remote, v4, v6};
use std::net::IpAddr;
use sterna_wire::{Mac, checksum};

/// Reads the input; behind its end there are zeros.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(super) fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

/// Marks the number that each packet carries.
const MARK: [u8; 4] = [0xf0, 0x5e, 0xed, 0x0f];

/// A packet's number: what it carries, and how it is found again.
fn mark(number: u16) -> [u8; 8] {
    let [a, b] = number.to_be_bytes();
    [MARK[0], MARK[1], MARK[2], MARK[3], a, b, !a, !b]
}

pub(super) fn marks(frame: &[u8]) -> impl Iterator<Item = u16> {
    frame.windows(8).filter(|w| w[..4] == MARK).filter_map(|w| {
        let number = u16::from_be_bytes([w[4], w[5]]);
        (*w == mark(number)).then_some(number)
    })
}

fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(to) = bytes.get_mut(at..at + 2) {
        to.copy_from_slice(&value.to_be_bytes());
    }
}

fn ip_header(
    is_v6: bool,
    source: &[u8],
    destination: &[u8],
    ttl: u8,
    protocol: u8,
    payload: usize,
) -> Vec<u8> {
    let mut out = vec![0; if is_v6 { 40 } else { 20 }];
    if is_v6 {
        out[0] = 0x60;
        put_u16(&mut out, 4, payload as u16);
        (out[6], out[7]) = (protocol, ttl);
        out[8..24].copy_from_slice(source);
        out[24..].copy_from_slice(destination);
    } else {
        out[0] = 0x45;
        put_u16(&mut out, 2, 20 + payload as u16);
        (out[8], out[9]) = (ttl, protocol);
        out[12..16].copy_from_slice(source);
        out[16..].copy_from_slice(destination);
        let sum = checksum::fold(checksum::sum(&out));
        put_u16(&mut out, 10, sum);
    }
    out
}

fn mend_v4(packet: &mut [u8]) {
    if packet.first() == Some(&0x45) && packet.len() >= 20 {
        put_u16(packet, 10, 0);
        let sum = checksum::fold(checksum::sum(&packet[..20]));
        put_u16(packet, 10, sum);
    }
}

fn inner_packet(input: &mut Input<'_>, number: u16, from_net: u8) -> Vec<u8> {
    let shape = input.byte();
    let is_v6 = shape & 1 != 0;
    let (source, net, host, ttl) = (input.below(12), input.below(11), input.below(12), input.byte());
    let long = usize::from(input.byte()) * if shape & 2 != 0 { 6 } else { 0 };
    let (protocol, mut payload) = match (shape >> 2) & 3 {
        0 => (17, vec![3, 232, 7, 208, 0, 0, 0, 0]),
        // A SYN with an MSS option.
        1 => (6, vec![0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 2, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4]),
        2 if is_v6 => (58, vec![128, 0, 0, 0, 0, 1, 0, 2]),
        2 => (1, vec![8, 0, 0, 0, 0, 1, 0, 2]),
        // Behind an extension header, or a fragment's.
        _ if is_v6 => (44, vec![17, 0, 0, shape & 1, 0, 0, 0, 7, 3, 232, 7, 208, 0, 0, 0, 0]),
        _ => (1, vec![3, 4, 0, 0, 0, 0, 5, 0]),
    };
    payload.extend(mark(number));
    payload.resize(payload.len() + long, 0x5a);
    if protocol == 1 {
        let sum = checksum::fold(checksum::sum(&payload));
        put_u16(&mut payload, 2, sum);
    }
    let (from, to) = if is_v6 {
        (v6(from_net, source).to_vec(), v6(net, host).to_vec())
    } else {
        (v4(from_net, source).to_vec(), v4(net, host).to_vec())
    };
    if protocol == 58 {
        let sum =
            checksum::sum(&from) + checksum::sum(&to) + 58 + payload.len() as u32 + checksum::sum(&payload);
        put_u16(&mut payload, 2, checksum::fold(sum));
    }
    let mut packet = ip_header(is_v6, &from, &to, ttl, protocol, payload.len());
    if !is_v6 {
        // Don't-fragment and friends.
        packet[6] = input.byte() & 0x60;
        mend_v4(&mut packet);
    }
    packet.extend(payload);
    packet
}

fn ethernet(destination: Mac, source: Mac, vlan: u16, ethertype: [u8; 2]) -> Vec<u8> {
    let mut out = [destination.0, source.0].concat();
    if vlan != 0 {
        out.extend([0x81, 0]);
        out.extend(vlan.to_be_bytes());
    }
    out.extend(ethertype);
    out
}

fn ethertype(packet: &[u8]) -> [u8; 2] {
    if packet.first().is_some_and(|b| b >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] }
}

pub(super) fn host_mac(host: u8) -> Mac {
    Mac([2, 0xa, 0, 0, 0, host])
}

pub(super) fn agent_frame(input: &mut Input<'_>, number: u16) -> (usize, Vec<u8>) {
    let (iid, port, vlan) = GROUPS[usize::from(input.below(4))];
    let net = if input.below(8) == 0 { input.below(11) } else { 1 };
    let packet = inner_packet(input, number, net);
    let mut frame = ethernet(gateway_mac(iid), host_mac(1), vlan, ethertype(&packet));
    frame.extend(packet);
    (usize::from(port), frame)
}

pub(super) fn tunnel_frame(input: &mut Input<'_>, number: u16) -> (usize, Vec<u8>) {
    let iid = GROUPS[usize::from(input.below(4))].0;
    let sender = if input.below(8) == 0 { GROUPS[usize::from(input.below(4))].0 } else { iid };
    let (far, flags, ttl, tos) =
        (remote(sender, input.below(3).into()), input.byte(), input.byte(), input.byte());
    let port = if input.below(4) == 0 { 3 } else { UNDERLAY };
    let net = 2 + input.below(6);
    let inner = inner_packet(input, number, net);
    let mut payload = vec![0xc3, 0, 0x10, 0xf5, 0, 0, 0, 0];
    put_u16(&mut payload, 4, 16 + inner.len() as u16);
    // The I bit unless the input insists; key bits now and then.
    payload.push(if flags & 0xf0 == 0xf0 { flags } else { 0x08 | flags & 0xf0 });
    // With a nonce and no more: relayed so often.
    payload.extend(if flags & 0xf0 == 0x80 { [b'S', b'T', flags & 3] } else { [0, 0, flags & 1] });
    payload.extend((iid << 8).to_be_bytes());
    payload.extend(inner);
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let (from, to) = (bytes(far), bytes(own(far.is_ipv6())));
    let mut packet = ip_header(far.is_ipv6(), &from, &to, ttl, 17, payload.len());
    if far.is_ipv4() {
        packet[1] = tos;
        mend_v4(&mut packet);
    }
    packet.extend(payload);
    let mut frame = ethernet(OURS, CORE, 0, ethertype(&packet));
    frame.extend(packet);
    (usize::from(port), frame)
}

pub(super) fn arp_frame(input: &mut Input<'_>) -> (usize, Vec<u8>) {
    let (iid, port, vlan) = GROUPS[usize::from(input.below(4))];
    let (operation, host, net, target) = (input.below(4), input.below(12), input.below(11), input.below(12));
    let net = if net > 5 && net != DYNAMIC { 1 } else { net };
    let mac = if operation == 3 { gateway_mac(iid) } else { host_mac(host) };
    let mut frame = ethernet(Mac([0xff; 6]), mac, vlan, [8, 6]);
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1 + (operation & 1)]);
    frame.extend(mac.0);
    frame.extend(v4(net, host));
    frame.extend([0; 6]);
    frame.extend(v4(1, target));
    (usize::from(port), frame)
}

pub(super) fn ndisc_frame(input: &mut Input<'_>) -> (usize, Vec<u8>) {
    let (_, port, vlan) = GROUPS[usize::from(input.below(4))];
    let (kind, host, net, target) = (input.below(4), input.below(12), input.below(3), input.below(12));
    let mac = host_mac(host);
    let (from, asked) = (v6(1, host), v6(1 + net, if kind & 1 == 0 { target } else { host }));
    let mut message = vec![135 + (kind & 1), 0, 0, 0, 0, 0, 0, 0];
    message.extend(asked);
    message.extend([1 + (kind & 1), 1]);
    message.extend(mac.0);
    let to = v6(1, 1);
    let sum = checksum::sum(&from) + checksum::sum(&to) + 58 + message.len() as u32 + checksum::sum(&message);
    put_u16(&mut message, 2, checksum::fold(sum));
    let mut frame = ethernet(gateway_mac(100), mac, vlan, [0x86, 0xdd]);
    frame.extend(ip_header(true, &from, &to, 255, 58, message.len()));
    frame.extend(message);
    (usize::from(port), frame)
}
