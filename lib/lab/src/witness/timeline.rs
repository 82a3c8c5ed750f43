//! When what passed the core, by the kernel's clock: tcpdump with nanoseconds, read when it has ended.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::sight::{Sight, look};
use super::tcpdump::Tcpdump;
use crate::error::{LabError, Result};
use crate::namespace::Namespace;
use pcap_file::pcap::PcapReader;

/// Bytes kept of a frame: all of them, so that a message can be read; the frames of an experiment are small.
const SNAP: &str = "1600";
/// Cooked, outer IPv4 and UDP headers: what stands before a control message.
const BEFORE_CONTROL: usize = 20 + 20 + 8;

/// A frame that entered the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When the kernel took it off the link, since the epoch.
    pub at: Duration,
    /// What it was.
    pub sight: Sight,
    /// The message, where it was a control message over IPv4.
    pub message: Vec<u8>,
}

/// The running capture.
#[derive(Debug)]
pub struct Timeline {
    tcpdump: Tcpdump,
    path: PathBuf,
}

impl Timeline {
    /// Starts noting LISP packets and control messages that enter `namespace`.
    ///
    /// # Errors
    /// When tcpdump cannot be started or does not begin.
    pub fn start(namespace: &Namespace, folder: &Path) -> Result<Self> {
        let path = folder.join("timeline.pcap");
        let filter = "udp and (port 4341 or port 4342)";
        let (tcpdump, path) = Tcpdump::to_file(namespace, SNAP, path, filter, |command| {
            command.arg("--time-stamp-precision=nano").stderr(Stdio::piped());
        })?;
        Ok(Self { tcpdump, path })
    }

    /// Ends the capture and gives every frame in the order in which the kernel took them.
    ///
    /// # Errors
    /// [`LabError::Witness`] when the kernel had to leave frames out, or the file cannot be read.
    pub fn stop(mut self) -> Result<Vec<Moment>> {
        self.tcpdump.end()?;
        let mut words = String::new();
        if let Some(mut stderr) = self.tcpdump.child.stderr.take() {
            stderr.read_to_string(&mut words).map_err(LabError::io("reading tcpdump's last words"))?;
        }
        if !words.lines().any(|line| line.starts_with("0 packets dropped by kernel")) {
            return Err(LabError::Witness(format!("the timeline has gaps: {}", words.trim())));
        }
        let file = File::open(&self.path).map_err(LabError::io("reading a timeline"))?;
        let fault = |error: pcap_file::PcapError| LabError::Witness(format!("timeline: {error}"));
        let mut reader = PcapReader::new(BufReader::new(file)).map_err(fault)?;
        let mut moments = Vec::new();
        while let Some(packet) = reader.next_packet() {
            let packet = packet.map_err(fault)?;
            moments.push(moment(packet.timestamp, &packet.data));
        }
        // Interfaces have queues of their own in the kernel: what entered later may be written first.
        moments.sort_by_key(|moment| moment.at);
        Ok(moments)
    }
}

fn moment(at: Duration, frame: &[u8]) -> Moment {
    let sight = look(frame);
    let message = match sight {
        Sight::Control { from, .. } if from.is_ipv4() => frame.get(BEFORE_CONTROL..).unwrap_or(&[]).to_vec(),
        _ => Vec::new(),
    };
    Moment { at, sight, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::sight::Control;
    use etherparse::PacketBuilder;

    #[test]
    fn a_control_message_is_kept_and_its_kind_told() {
        let mut frame = vec![0; 20];
        frame[..2].copy_from_slice(&0x0800_u16.to_be_bytes());
        let builder = PacketBuilder::ipv4([192, 0, 2, 129], [192, 0, 2, 1], 64).udp(4342, 4342);
        builder.write(&mut frame, &[0x40, 1, 2, 3]).unwrap();
        let seen = moment(Duration::from_nanos(7), &frame);
        assert!(matches!(seen.sight, Sight::Control { kind: Control::Notify, .. }), "{seen:?}");
        assert_eq!((seen.at, seen.message.as_slice()), (Duration::from_nanos(7), &[0x40, 1, 2, 3][..]));
        for length in 0..frame.len() {
            moment(Duration::ZERO, &frame[..length]);
        }
    }
}
