//! An independent encoder: what must have come out, built by etherparse from the frame that went in.

use crate::frames::{
    AGENT_MAC, Direction, Family, GATEWAY_MAC, IID, LOCAL_V4, LOCAL_V6, PORT_MAC, ROUTER_MAC,
};
use anyhow::{Context, Result, ensure};
use etherparse::{Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use std::net::IpAddr;

/// Checks one output against the input that made it; gives the remote locator of an encapsulated one.
pub fn check(
    direction: Direction,
    outer: Family,
    remotes: &[IpAddr],
    input: &[u8],
    output: &[u8],
) -> Result<Option<IpAddr>> {
    let (expected, remote) = match direction {
        Direction::Encap => {
            let remote = destination(outer, output)?;
            ensure!(remotes.contains(&remote), "{remote} is no locator of this site");
            (encapsulated(remote, input, output)?, Some(remote))
        }
        Direction::Decap => (decapsulated(outer, input)?, None),
    };
    ensure!(
        expected == output,
        "an output differs from the independent encoder's:\n{expected:02x?}\n{output:02x?}"
    );
    Ok(remote)
}

/// The outer destination: of several locators the gateway's own choice.
pub fn destination(outer: Family, output: &[u8]) -> Result<IpAddr> {
    let (at, len) = if outer == Family::V4 { (14 + 16, 4) } else { (14 + 24, 16) };
    let bytes = output.get(at..at + len).context("the output is too short")?;
    Ok(match outer {
        Family::V4 => <[u8; 4]>::try_from(bytes)?.into(),
        Family::V6 => <[u8; 16]>::try_from(bytes)?.into(),
    })
}

fn encapsulated(remote: IpAddr, input: &[u8], output: &[u8]) -> Result<Vec<u8>> {
    let inner = with_ttl(&input[14..], 63)?;
    let outer = if remote.is_ipv4() { Family::V4 } else { Family::V6 };
    let ip_len = outer.outer_len() - 16;
    // The source port is the gateway's own choice; everything else is not.
    let port = output.get(14 + ip_len..14 + ip_len + 2).context("the output is too short")?;
    let port = u16::from_be_bytes([port[0], port[1]]);
    ensure!(port >= 0xc000, "source port {port} is not ephemeral");
    let mut out = Vec::new();
    let udp_len = (16 + inner.len()) as u16;
    let ether_type =
        if outer == Family::V4 { etherparse::EtherType::IPV4 } else { etherparse::EtherType::IPV6 };
    Ethernet2Header { source: PORT_MAC, destination: ROUTER_MAC, ether_type }.write(&mut out)?;
    match remote {
        IpAddr::V4(remote) => {
            let mut ip = Ipv4Header::new(udp_len, 63, IpNumber::UDP, LOCAL_V4, remote.octets())?;
            ip.dont_fragment = true;
            ip.header_checksum = ip.calc_header_checksum();
            ip.write(&mut out)?;
        }
        IpAddr::V6(remote) => {
            let label = output.get(15..18).context("the output is too short")?;
            let label = u32::from_be_bytes([0, label[0] & 0x0f, label[1], label[2]]);
            let ip = Ipv6Header {
                traffic_class: 0,
                flow_label: label.try_into()?,
                payload_length: udp_len,
                next_header: IpNumber::UDP,
                hop_limit: 63,
                source: LOCAL_V6,
                destination: remote.octets(),
            };
            ip.write(&mut out)?;
        }
    }
    UdpHeader { source_port: port, destination_port: 4341, length: udp_len, checksum: 0 }.write(&mut out)?;
    out.extend([0x08, 0, 0, 0]);
    out.extend((IID << 8).to_be_bytes());
    out.extend(inner);
    Ok(out)
}

fn decapsulated(outer: Family, input: &[u8]) -> Result<Vec<u8>> {
    let packet = input.get(14 + outer.outer_len()..).context("the input is too short")?;
    // Inner 64, outer 62: the smaller one goes on.
    let inner = with_ttl(packet, 62)?;
    let mut out = Vec::new();
    let v4 = inner[0] >> 4 == 4;
    let ether_type = if v4 { etherparse::EtherType::IPV4 } else { etherparse::EtherType::IPV6 };
    Ethernet2Header { source: GATEWAY_MAC, destination: AGENT_MAC, ether_type }.write(&mut out)?;
    out.extend(inner);
    Ok(out)
}

fn with_ttl(packet: &[u8], ttl: u8) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if packet[0] >> 4 == 4 {
        let (mut ip, rest) = Ipv4Header::from_slice(packet)?;
        ip.time_to_live = ttl;
        ip.header_checksum = ip.calc_header_checksum();
        ip.write(&mut out)?;
        out.extend(rest);
    } else {
        let (mut ip, rest) = Ipv6Header::from_slice(packet)?;
        ip.hop_limit = ttl;
        ip.write(&mut out)?;
        out.extend(rest);
    }
    Ok(out)
}
