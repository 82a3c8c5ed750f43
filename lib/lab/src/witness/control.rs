//! The control messages of the underlay, kept whole: tshark judges them byte by byte, and a replay sends them again.

use std::fs::File;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::sight::{COOKED, Control, control};
use super::tcpdump::Tcpdump;
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use pcap_file::pcap::PcapReader;

/// More than any message of the lab is long. The kernel keeps a slot of this size for each frame: whole frames of any
/// size, as tcpdump would have it, leave room for eight, and a burst is lost.
const SNAP: &str = "9216";
const UDP_HEADER: usize = 8;
const IPV6_HEADER: usize = 40;

/// A captured control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When, since the epoch.
    pub at: Duration,
    /// Outer source.
    pub from: IpAddr,
    /// Outer destination.
    pub to: IpAddr,
    /// The UDP payload.
    pub message: Vec<u8>,
}

impl Captured {
    /// Which message it is.
    pub fn kind(&self) -> Control {
        control(&self.message)
    }
}

/// The running capture.
#[derive(Debug)]
pub struct ControlCapture {
    tcpdump: Tcpdump,
    path: PathBuf,
}

impl ControlCapture {
    /// Starts keeping what enters `namespace` for or from the control port; an outsider's messages, which are wrong
    /// on purpose, are left out.
    pub(super) fn start(namespace: &Namespace, folder: &Path) -> Result<Self> {
        let path = folder.join("control.pcap");
        let outsider = crate::underlay::Node::Outsider;
        let (v4, v6) = (outsider.address(crate::site::Family::V4), outsider.address(crate::site::Family::V6));
        let filter = format!("udp port 4342 and not host {v4} and not host {v6}");
        let (tcpdump, path) = Tcpdump::to_file(namespace, SNAP, path, &filter, |_| ())?;
        Ok(Self { tcpdump, path })
    }

    /// Every message kept so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn messages(&self) -> Result<Vec<Captured>> {
        let file = File::open(&self.path).map_err(LabError::io("reading the captured control messages"))?;
        let mut reader = PcapReader::new(BufReader::new(file))
            .map_err(|error| LabError::Witness(format!("control capture: {error}")))?;
        let mut messages = Vec::new();
        // The last packet may be half written: what follows it comes the next time.
        while let Some(Ok(packet)) = reader.next_raw_packet() {
            let at = Duration::new(packet.ts_sec.into(), packet.ts_frac.saturating_mul(1000));
            messages.extend(packet.data.get(COOKED..).and_then(|bytes| captured(bytes, at)));
        }
        Ok(messages)
    }

    /// Ends the capture; the file and how many frames are in it.
    pub(super) fn stop(mut self) -> Result<(PathBuf, u64)> {
        self.tcpdump.end()?;
        let file = File::open(&self.path).map_err(LabError::io("reading the captured control messages"))?;
        let fault = |error| LabError::Witness(format!("control capture: {error}"));
        let mut reader = PcapReader::new(BufReader::new(file)).map_err(fault)?;
        let mut frames = 0;
        while let Some(packet) = reader.next_raw_packet() {
            packet.map_err(fault)?;
            frames += 1;
        }
        Ok((self.path.clone(), frames))
    }
}

/// A control message out of an IP packet without options.
fn captured(packet: &[u8], at: Duration) -> Option<Captured> {
    let (from, to, udp): (IpAddr, IpAddr, _) = match packet.first()? >> 4 {
        4 => {
            let (from, to): ([u8; 4], [u8; 4]) =
                (packet.get(12..16)?.try_into().ok()?, packet.get(16..20)?.try_into().ok()?);
            (Ipv4Addr::from(from).into(), Ipv4Addr::from(to).into(), usize::from(packet[0] & 0xf) * 4)
        }
        6 => {
            let (from, to): ([u8; 16], [u8; 16]) =
                (packet.get(8..24)?.try_into().ok()?, packet.get(24..40)?.try_into().ok()?);
            (Ipv6Addr::from(from).into(), Ipv6Addr::from(to).into(), IPV6_HEADER)
        }
        _ => return None,
    };
    Some(Captured { at, from, to, message: packet.get(udp + UDP_HEADER..)?.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    #[test]
    fn a_message_is_taken_out_of_its_packet() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 129], 64)
            .udp(4342, 4342)
            .write(&mut packet, &[0x30, 1, 2])
            .unwrap();
        let seen = captured(&packet, Duration::ZERO).unwrap();
        assert_eq!(
            (seen.from.to_string().as_str(), seen.message.as_slice()),
            ("192.0.2.1", &[0x30, 1, 2][..])
        );
        for length in 0..packet.len() {
            captured(&packet[..length], Duration::ZERO);
        }
    }
}
