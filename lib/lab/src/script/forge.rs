//! Frames with any address on them, sent past a host's own stack.

use std::net::IpAddr;

use etherparse::PacketBuilder;

use crate::command;
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use crate::relay::port::{self, Port};

/// LISP's UDP port for data.
const DATA: u16 = 4341;
/// TTL of forged packets.
const TTL: u8 = 64;

/// An interface to forge frames on, and the MAC that all of them go to.
#[derive(Debug)]
pub struct Forge {
    port: Port,
    own: [u8; 6],
    next: [u8; 6],
}

/// Source and destination of a packet; of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// From whom it says it is.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
}

impl Forge {
    /// Opens an interface; frames go to the MAC `next`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(namespace: &Namespace, interface: &str, next: [u8; 6]) -> Result<Self> {
        let own = mac_of(namespace, interface)?;
        let (port, _) = namespace.run(|| port::open(interface))??;
        Ok(Self { port, own, next })
    }

    /// Sends a UDP datagram with any source.
    ///
    /// # Errors
    /// When the ends are of two families, or the kernel refuses.
    pub fn udp(&self, ends: Ends, ports: (u16, u16), payload: &[u8]) -> Result<()> {
        let packet = udp_packet(ends, ports, payload)?;
        self.ip(&packet)
    }

    /// Sends a LISP data packet with an inner UDP datagram.
    ///
    /// # Errors
    /// As [`Forge::udp`].
    pub fn lisp(&self, outer: Ends, iid: u32, inner: Ends, port: u16, payload: &[u8]) -> Result<()> {
        let [_, high, middle, low] = iid.to_be_bytes();
        // Only the I bit: an instance-ID, no nonce, no locator status.
        let mut body = vec![0x08, 0, 0, 0, high, middle, low, 0];
        body.extend(udp_packet(inner, (port, port), payload)?);
        self.udp(outer, (61_000, DATA), &body)
    }

    /// Sends an IP packet as it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn ip(&self, packet: &[u8]) -> Result<()> {
        let ether_type: u16 =
            if packet.first().is_some_and(|first| first >> 4 == 6) { 0x86dd } else { 0x0800 };
        let mut frame = Vec::with_capacity(14 + packet.len());
        frame.extend_from_slice(&self.next);
        frame.extend_from_slice(&self.own);
        frame.extend_from_slice(&ether_type.to_be_bytes());
        frame.extend_from_slice(packet);
        if self.port.send(&frame) {
            Ok(())
        } else {
            let refused = std::io::Error::other("the kernel refused it");
            Err(LabError::io("sending a forged frame")(refused))
        }
    }
}

fn udp_packet(ends: Ends, ports: (u16, u16), payload: &[u8]) -> Result<Vec<u8>> {
    let builder = match (ends.from, ends.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), TTL),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), TTL),
        _ => return Err(unbuildable("two families in one packet")),
    };
    let mut packet = Vec::new();
    builder
        .udp(ports.0, ports.1)
        .write(&mut packet, payload)
        .map_err(|error| unbuildable(&error.to_string()))?;
    Ok(packet)
}

fn unbuildable(why: &str) -> LabError {
    LabError::io("building a forged packet")(std::io::Error::other(why.to_owned()))
}

/// The MAC of an interface.
///
/// # Errors
/// When it is not there.
pub fn mac_of(namespace: &Namespace, interface: &str) -> Result<[u8; 6]> {
    let text = command::output("ip", &["-n", namespace.name(), "-o", "link", "show", "dev", interface])?;
    let mut mac = [0; 6];
    let word = text.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap_or_default();
    for (byte, digits) in mac.iter_mut().zip(word.split(':')) {
        *byte = u8::from_str_radix(digits, 16).unwrap_or(0);
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::sight::{Sight, look};

    #[test]
    fn a_forged_lisp_packet_is_one_to_the_witness() {
        let outer = Ends { from: [192, 0, 2, 1].into(), to: [198, 51, 100, 1].into() };
        let inner =
            udp_packet(Ends { from: [10, 1, 14, 1].into(), to: [10, 1, 24, 1].into() }, (7, 7), &[0; 40])
                .unwrap();
        let mut body = vec![0x08, 0, 0, 0, 0, 0, 100, 0];
        body.extend(inner);
        let packet = udp_packet(outer, (61_000, DATA), &body).unwrap();
        let mut frame = vec![0; 20];
        frame[..2].copy_from_slice(&0x0800_u16.to_be_bytes());
        frame.extend(packet);
        let Sight::Lisp(data) = look(&frame) else { panic!() };
        assert_eq!((data.iid, data.ports, data.to), (Some(100), Some((7, 7)), outer.to));
        assert!(udp_packet(Ends { from: [1, 1, 1, 1].into(), to: [1; 16].into() }, (1, 1), &[]).is_err());
    }
}
