//! The payload of every measured packet.
//!
//! ```text
//!  0       4       8               16              24         28        32
//!  | "STRN"| group | sequence      | due, ns       | answerer | CRC-32  | pattern ...
//! ```

/// Bytes before the pattern: the least a payload can be.
pub const HEADER: usize = 32;
const MAGIC: [u8; 4] = *b"STRN";
const CRC_AT: usize = 28;

/// What a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Instance-ID of the group whose agent sent it.
    pub group: u32,
    /// Number within the stream, from 0.
    pub sequence: u64,
    /// When it was meant to be sent, nanoseconds since the stream began.
    pub due_ns: u64,
    /// Tag of the host that answered; 0 in a question.
    pub answerer: u32,
}

/// Why bytes are not a payload of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not ours at all: another program's packet.
    Foreign,
    /// Ours, but changed on the way.
    Corrupted,
}

impl Payload {
    /// Writes the payload over the whole of `bytes`, which holds at least [`HEADER`] bytes.
    pub fn emit(&self, bytes: &mut [u8]) {
        let (header, pattern) = bytes.split_at_mut(HEADER);
        for (at, byte) in pattern.iter_mut().enumerate() {
            *byte = pattern_byte(self.sequence, at);
        }
        header[0..4].copy_from_slice(&MAGIC);
        header[4..8].copy_from_slice(&self.group.to_be_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        header[16..24].copy_from_slice(&self.due_ns.to_be_bytes());
        header[24..28].copy_from_slice(&self.answerer.to_be_bytes());
        let crc = crc(bytes);
        bytes[CRC_AT..HEADER].copy_from_slice(&crc.to_be_bytes());
    }

    /// Reads a payload whose every byte must be as it was sent.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let payload = Self::parse_header(bytes).ok_or(Refused::Foreign)?;
        let said = be32(bytes, CRC_AT).ok_or(Refused::Foreign)?;
        if crc(bytes) == said { Ok(payload) } else { Err(Refused::Corrupted) }
    }

    /// Reads the header alone, for a capture that cut the packet.
    pub fn parse_header(bytes: &[u8]) -> Option<Self> {
        if bytes.get(0..4)? != MAGIC || bytes.len() < HEADER {
            return None;
        }
        Some(Self {
            group: be32(bytes, 4)?,
            sequence: u64::from(be32(bytes, 8)?) << 32 | u64::from(be32(bytes, 12)?),
            due_ns: u64::from(be32(bytes, 16)?) << 32 | u64::from(be32(bytes, 20)?),
            answerer: be32(bytes, 24)?,
        })
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// CRC over everything but the CRC itself.
fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CRC_AT]);
    hasher.update(&bytes[HEADER..]);
    hasher.finalize()
}

/// Differs from packet to packet and from place to place, so that neither a stale nor a shifted frame passes.
fn pattern_byte(sequence: u64, at: usize) -> u8 {
    let [low, ..] = (sequence.wrapping_mul(31).wrapping_add(at as u64 * 7)).to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Payload = Payload { group: 100, sequence: 7, due_ns: 1 << 40, answerer: 21 };

    #[test]
    fn what_is_emitted_is_parsed() {
        let mut bytes = [0; 100];
        SAMPLE.emit(&mut bytes);
        assert_eq!(Payload::parse(&bytes), Ok(SAMPLE));
        assert_eq!(Payload::parse_header(&bytes[..HEADER]), Some(SAMPLE));
    }

    #[test]
    fn every_single_changed_bit_is_seen() {
        let mut bytes = [0; 64];
        SAMPLE.emit(&mut bytes);
        for bit in 0..64 * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Payload::parse(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_or_foreign_packet_is_refused() {
        let mut bytes = [0; 64];
        SAMPLE.emit(&mut bytes);
        assert_eq!(Payload::parse(&bytes[..63]), Err(Refused::Corrupted));
        assert_eq!(Payload::parse(&bytes[..31]), Err(Refused::Foreign));
        assert_eq!(Payload::parse(&[0; 64]), Err(Refused::Foreign));
    }
}
