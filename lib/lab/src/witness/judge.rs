//! tshark's verdict on the sample: LISP throughout, nothing malformed, every checksum that is there right.

use crate::command;
use crate::error::{LabError, Result};
use crate::witness::capture::Testimony;

/// What tshark found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Frames it read.
    pub judged: u64,
    /// Frames with a LISP data header.
    pub lisp: u64,
    /// Frames it calls malformed, or with a wrong checksum, inner or outer.
    pub malformed: u64,
}

const FIELDS: [&str; 8] = [
    "_ws.malformed",
    "tcp.checksum",
    "lisp-data.flags",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];
/// Where the verdicts on checksums begin in [`FIELDS`].
const FIRST_STATUS: usize = 3;
/// Linux writes a TCP checksum that comes out as zero as all ones, which is the same number in one's complement
/// (RFC 1624 section 3) and fits; tshark takes it for wrong.
const OTHER_ZERO: &str = "0xffff";
/// What tshark takes our payload for, and calls malformed, when a flow has drawn one of these protocols' ports above
/// 32767 (`tshark -G decodes`); a name that a version does not know is no fault to it. Whole ranges of ports must not be
/// declared ours instead: LISP's source ports are among them, and what the user says of one port goes before what is
/// known of the other.
const STRANGERS: [&str; 17] = [
    "ams",
    "ath",
    "bvlc",
    "cbsp",
    "ecatf",
    "elasticsearch",
    "enip",
    "eobi",
    "hcrt",
    "irc",
    "manolito",
    "nxp_802154_sniffer",
    "pcp",
    "pmproxy",
    "pn_rt",
    "ssyncp",
    "tzsp",
];
/// tshark's number for a checksum that does not fit.
const BAD: &str = "0";

/// Lets tshark read the samples.
///
/// # Errors
/// When tshark fails, or read another number of frames than were written.
pub fn judge(testimony: &Testimony) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for (path, frames) in &testimony.samples {
        let before = verdict.judged;
        let text = read(&path.display().to_string())?;
        text.lines().for_each(|line| verdict.add(line));
        let read = verdict.judged - before;
        if read != *frames {
            let name = path.display();
            return Err(LabError::Witness(format!("tshark read {read} of {frames} frames of {name}")));
        }
    }
    Ok(verdict)
}

fn read(path: &str) -> Result<String> {
    let mut arguments = vec!["-n", "-r", path, "-T", "fields", "-E", "separator=;", "-E", "occurrence=a"];
    for check in ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE"] {
        arguments.extend(["-o", check]);
    }
    for protocol in STRANGERS {
        arguments.extend(["--disable-protocol", protocol]);
    }
    for field in FIELDS {
        arguments.extend(["-e", field]);
    }
    command::output("tshark", &arguments)
}

impl Verdict {
    fn add(&mut self, line: &str) {
        let mut columns = line.split(';');
        let malformed = columns.next().is_some_and(|column| !column.is_empty());
        let other_zero = columns.next() == Some(OTHER_ZERO);
        let lisp = columns.next().is_some_and(|column| !column.is_empty());
        let bad_sum = FIELDS[FIRST_STATUS..].iter().zip(columns).any(|(field, statuses)| {
            let forgiven = other_zero && *field == "tcp.checksum.status";
            !forgiven && statuses.split(',').any(|status| status == BAD)
        });
        self.judged += 1;
        self.lisp += u64::from(lisp);
        self.malformed += u64::from(malformed || bad_sum);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use etherparse::PacketBuilder;
    use pcap_file::DataLink;
    use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};

    use super::*;

    /// A datagram of scenarios between two ports, as an IPv4 packet.
    fn datagram(source_port: u16, destination_port: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        let packet = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
        packet.udp(source_port, destination_port).write(&mut bytes, &[0x53; 72]).unwrap();
        bytes
    }

    #[test]
    fn a_port_of_ours_that_is_another_protocols_to_tshark_makes_nothing_malformed() {
        let path = std::env::temp_dir().join(format!("sterna-judge-{}.pcap", std::process::id()));
        let header = PcapHeader { datalink: DataLink::RAW, ..Default::default() };
        let mut file = PcapWriter::with_header(File::create(&path).unwrap(), header).unwrap();
        // 54328 is Elasticsearch's, 44818 EtherNet/IP's.
        // And one of them that LISP draws stays LISP.
        let packets =
            [datagram(54_328, 4007), datagram(44_818, 4007), datagram(4007, 54_328), datagram(54_328, 4341)];
        for packet in &packets {
            let len = u32::try_from(packet.len()).unwrap();
            file.write_packet(&PcapPacket::new(std::time::Duration::ZERO, len, packet)).unwrap();
        }
        drop(file.into_writer());
        let testimony = Testimony {
            sightings: Default::default(),
            followed: Default::default(),
            samples: vec![(path.clone(), 4)],
        };
        let verdict = judge(&testimony);
        std::fs::remove_file(path).unwrap();
        assert_eq!(verdict.unwrap(), Verdict { judged: 4, lisp: 1, malformed: 0 });
    }

    #[test]
    fn lines_of_tshark_are_read() {
        let mut verdict = Verdict::default();
        for line in [
            ";;0x08;1,1;3;;1;",
            ";;0x08;1,0;3;;1;",
            "1;;0x08;1;3;;;",
            ";;;;;;;1",
            ";0xffff;0x08;1,1;3;0;;",
            ";0xfffe;0x08;1,1;3;0;;",
        ] {
            verdict.add(line);
        }
        assert_eq!(verdict, Verdict { judged: 6, lisp: 5, malformed: 3 });
    }
}
