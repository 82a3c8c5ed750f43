//! Capture files: read whole, with the place of whatever is wrong, and written with nanoseconds.
//!
//! The classic format (draft-ietf-opsawg-pcap): a header of 24 bytes, then records of 16 bytes and their frame, in either
//! byte order, with microseconds or nanoseconds.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::{DataLink, TsResolution};

use crate::clock::{Clock, Monotonic};

const HEADER: usize = 24;
const RECORD: usize = 16;
/// The longest frame that is believed; captures of whole frames have at most 65,535 bytes but for odd devices.
const LONGEST: u32 = 262_144;
/// Ethernet's number among link types.
const ETHERNET: u32 = 1;

/// Why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file cannot be opened.
    #[error("cannot read {} ({reason}): check the name, which in a profile is relative to it", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        reason: std::io::Error,
    },
    /// It is no pcap file.
    #[error("{} is not a pcap file (offset 0: {reason}): convert it with `tcpdump -r FILE -w NEW`", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Its frames are not Ethernet.
    #[error("{} holds frames of link type {found}, not Ethernet: capture on an Ethernet interface", path.display())]
    NotEthernet {
        /// The file.
        path: PathBuf,
        /// What they are.
        found: u32,
    },
    /// A record in it cannot be read.
    #[error("{}: record {number} at offset {offset} {reason}: the file is cut or damaged from there on", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Which record, from 1.
        number: usize,
        /// Where its header begins, in bytes from the file's begin.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, nanoseconds since the epoch.
    pub at_ns: u64,
    /// The frame without FCS, as much as was kept.
    pub bytes: Vec<u8>,
    /// Whether all of it was kept.
    pub whole: bool,
}

/// Reads every record.
///
/// # Errors
/// No such file, no pcap, not Ethernet, or a record that cannot be read, with its offset.
pub fn read(path: &Path) -> Result<Vec<Record>, PcapError> {
    let bytes = std::fs::read(path).map_err(|reason| PcapError::File { path: path.to_owned(), reason })?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Record>, PcapError> {
    let format = |reason| PcapError::Format { path: path.to_owned(), reason };
    let magic = bytes.first_chunk::<4>().ok_or_else(|| format("it is shorter than a magic number"))?;
    let (big, ns_per_tick) = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1000),
        [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1000),
        [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
        [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
        [0x0a, 0x0d, 0x0d, 0x0a] => return Err(format("it is a pcapng file")),
        _ => return Err(format("it does not begin with pcap's magic number")),
    };
    let word = |at: usize| -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let link = word(20).ok_or_else(|| format("its header is cut"))? & 0xffff;
    if link != ETHERNET {
        return Err(PcapError::NotEthernet { path: path.to_owned(), found: link });
    }
    let (mut records, mut offset) = (Vec::new(), HEADER);
    while offset < bytes.len() {
        let number = records.len() + 1;
        let wrong = |reason| PcapError::Record { path: path.to_owned(), number, offset, reason };
        let words: Option<Vec<u32>> = (0..4).map(|n| word(offset + 4 * n)).collect();
        let words = words.ok_or_else(|| wrong("has a header that is cut"))?;
        let [seconds, ticks, kept, length] = words[..] else { return Err(wrong("has no header")) };
        if kept > LONGEST || kept > length {
            return Err(wrong("says a length that cannot be true"));
        }
        let begin = offset + RECORD;
        let end = begin + kept as usize;
        let frame = bytes.get(begin..end).ok_or_else(|| wrong("is longer than what is left of the file"))?;
        let at_ns = u64::from(seconds) * 1_000_000_000 + u64::from(ticks) * ns_per_tick;
        records.push(Record { at_ns, bytes: frame.to_vec(), whole: kept == length });
        offset = end;
    }
    Ok(records)
}

/// A recording that is being written; several workers may write to it.
pub struct Recorder {
    path: PathBuf,
    /// From this program's clock to the epoch, in nanoseconds.
    epoch_ns: u64,
    writer: Mutex<Written>,
}

struct Written {
    writer: Option<PcapWriter<BufWriter<File>>>,
    frames: u64,
    failed: Option<String>,
}

impl Recorder {
    /// Begins a file; one of that name is overwritten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let wrong = |reason: String| {
            anyhow::anyhow!("cannot write {} ({reason}): check the folder and its mode", path.display())
        };
        let file = File::create(path).map_err(|error| wrong(error.to_string()))?;
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(BufWriter::with_capacity(1 << 20, file), header)
            .map_err(|error| wrong(error.to_string()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_ns = u64::try_from(now.as_nanos()).unwrap_or(0).saturating_sub(Monotonic.now_ns());
        let writer = Mutex::new(Written { writer: Some(writer), frames: 0, failed: None });
        Ok(Self { path: path.to_owned(), epoch_ns, writer })
    }

    /// Writes a frame that was sent or came at a moment of this program's clock. What cannot be written is told by
    /// [`Recorder::finish`].
    pub fn take(&self, frame: &[u8], now_ns: u64) {
        let mut written = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = &mut written.writer else { return };
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let packet = PcapPacket::new(Duration::from_nanos(self.epoch_ns + now_ns), length, frame);
        match writer.write_packet(&packet) {
            Ok(_) => written.frames += 1,
            Err(error) => {
                (written.failed, written.writer) = (Some(error.to_string()), None);
            }
        }
    }

    /// Ends the file; how many frames are in it.
    ///
    /// # Errors
    /// When not all could be written.
    pub fn finish(&self) -> anyhow::Result<u64> {
        let mut written = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = written.writer.take()
            && let Err(error) = writer.into_writer().flush()
        {
            written.failed = Some(error.to_string());
        }
        match &written.failed {
            None => Ok(written.frames),
            Some(reason) => {
                Err(anyhow::anyhow!("cannot write {} ({reason}): is the disk full?", self.path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[&[u8]]) -> Vec<u8> {
        let temporary = tempfile::NamedTempFile::new().unwrap();
        let recorder = Recorder::create(temporary.path()).unwrap();
        (0..).zip(frames).for_each(|(n, frame)| recorder.take(frame, n));
        assert_eq!(recorder.finish().unwrap(), frames.len() as u64);
        std::fs::read(temporary.path()).unwrap()
    }

    #[test]
    fn what_is_recorded_is_read_to_the_nanosecond() {
        let bytes = file(&[&[1; 60], &[2; 61]]);
        let read = parse(&bytes, Path::new("x")).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((&read[0].bytes[..], &read[1].bytes[..]), (&[1; 60][..], &[2; 61][..]));
        assert_eq!((read[1].at_ns - read[0].at_ns, read[0].whole), (1, true));
    }

    #[test]
    fn a_bad_record_is_named_with_its_offset() {
        let bytes = file(&[&[1; 60], &[2; 60]]);
        let second = HEADER + RECORD + 60;
        for cut in second + 1..bytes.len() {
            let error = parse(&bytes[..cut], Path::new("x.pcap")).unwrap_err();
            assert!(
                matches!(error, PcapError::Record { number: 2, offset, .. } if offset == second),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("record 2 at offset {second} ")), "{error}");
        }
        assert_eq!(parse(&bytes[..second], Path::new("x")).unwrap().len(), 1);
        let mut wild = bytes.clone();
        wild[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = parse(&wild, Path::new("x")).unwrap_err().to_string();
        assert!(error.contains(&format!("offset {second}")) && error.contains("cannot be true"), "{error}");
    }

    #[test]
    fn either_byte_order_and_microseconds() {
        let mut bytes = vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4];
        bytes.extend([0; 8]);
        for word in [65_535_u32, 1, 7, 5, 2, 3] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([9, 9]);
        let expected = Record { at_ns: 7_000_005_000, bytes: vec![9, 9], whole: false };
        assert_eq!(parse(&bytes, Path::new("x")).unwrap(), [expected]);
        bytes[23] = 113;
        assert!(matches!(parse(&bytes, Path::new("x")), Err(PcapError::NotEthernet { found: 113, .. })));
    }

    #[test]
    fn what_is_no_pcap_says_so() {
        for (bytes, word) in [(&b"no"[..], "shorter"), (b"no pcap", "magic"), (b"\x0a\x0d\x0d\x0a", "pcapng")]
        {
            let error = parse(bytes, Path::new("x")).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("offset 0"), "{error}");
        }
        assert!(matches!(read(Path::new("/nowhere.pcap")), Err(PcapError::File { .. })));
    }

    proptest::proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200), nano: bool) {
            let mut bytes = file(&[]);
            bytes[0] = if nano { 0x4d } else { 0xd4 };
            bytes[1] = if nano { 0x3c } else { 0xc3 };
            bytes.extend(noise);
            let _ = parse(&bytes, Path::new("x"));
        }
    }
}
