//! The generator program's tables, byte for byte as in `bpf/live.bpf.c`.

use crate::error::Error;

/// A frame's first bytes, which are written anew for each frame.
pub const HEAD: usize = 160;
/// The shortest frame in bytes: an Ethernet header.
const SHORTEST: usize = 14;
/// An image's bytes in its table: length, two sums, six places, head.
const IMAGE_LEN: usize = 24 + HEAD;
/// `struct state` of the program.
pub(crate) const STATE_LEN: usize = 56;
/// Where the program counts in it.
const SENT_AT: usize = 32;

/// A frame to send again and again, and where an address, a port and a number are put into it.
/// Places are byte offsets in the frame below 160 and before the end of the head; 0 means that nothing is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The frame's length in bytes.
    pub length: u32,
    /// The frame's first bytes.
    pub head: [u8; HEAD],
    /// Sum of the IPv4 header that holds the address, its checksum and the address taken as 0.
    pub ip_base: u32,
    /// Sum of pseudo header, UDP header and payload, all that is put in taken as 0.
    /// Both sums are of 16-bit words in this machine's byte order, not complemented.
    pub udp_base: u32,
    /// The destination address, or the last 32 bits of it.
    pub address_at: u16,
    /// The IPv4 header checksum.
    pub ip_sum_at: u16,
    /// The UDP source port.
    pub port_at: u16,
    /// The UDP checksum; 0 leaves what is in the head.
    pub udp_sum_at: u16,
    /// The frame's number, of 48 bits.
    pub number_at: u16,
    /// The outer UDP source port; it gets the same port with its two highest bits set.
    pub outer_port_at: u16,
}

impl Image {
    pub(crate) fn to_bytes(&self) -> [u8; IMAGE_LEN] {
        let mut out = [0; IMAGE_LEN];
        out[..4].copy_from_slice(&self.length.to_ne_bytes());
        out[4..8].copy_from_slice(&self.ip_base.to_ne_bytes());
        out[8..12].copy_from_slice(&self.udp_base.to_ne_bytes());
        let places = [
            self.address_at,
            self.ip_sum_at,
            self.port_at,
            self.udp_sum_at,
            self.number_at,
            self.outer_port_at,
        ];
        for (to, place) in out[12..24].chunks_exact_mut(2).zip(places) {
            to.copy_from_slice(&place.to_ne_bytes());
        }
        out[24..].copy_from_slice(&self.head);
        out
    }
}

/// What is put into an image for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The destination address, or the last 32 bits of it.
    pub address: [u8; 4],
    /// The UDP source port.
    pub port: u16,
    /// Which image, from 0.
    pub image: u16,
}

impl Pick {
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.address;
        let [p, q] = self.port.to_be_bytes();
        let [i, j] = self.image.to_ne_bytes();
        [a, b, c, d, p, q, i, j]
    }
}

/// `struct state` as it begins.
pub(crate) struct State {
    pub start_ns: u64,
    pub rate: u64,
    pub limit: u64,
    pub burst: u64,
    pub ifindex: u32,
    pub longest: u32,
    pub picks: u32,
}

impl State {
    pub(crate) fn to_bytes(&self) -> [u8; STATE_LEN] {
        let mut out = [0; STATE_LEN];
        for (at, word) in [self.start_ns, self.rate, self.limit, self.burst].into_iter().enumerate() {
            out[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
        }
        for (at, word) in [self.ifindex, self.longest, self.picks].into_iter().enumerate() {
            out[40 + at * 4..44 + at * 4].copy_from_slice(&word.to_ne_bytes());
        }
        out
    }
}

/// How many frames the program has counted.
pub(crate) fn sent(state: &[u8; STATE_LEN]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&state[SENT_AT..SENT_AT + 8]);
    u64::from_ne_bytes(word)
}

/// The longest image in bytes, when all are right.
pub(crate) fn longest(images: &[Image], picks: &[Pick], filler: usize) -> Result<usize, Error> {
    let bad = |what, value: usize, rule| Error::BadSize {
        what,
        value: u32::try_from(value).unwrap_or(u32::MAX),
        rule,
    };
    if images.is_empty() || images.len() > usize::from(u16::MAX) {
        return Err(bad("the number of images", images.len(), "from 1 to 65535"));
    }
    if picks.is_empty() || picks.len() > 1 << 24 {
        return Err(bad("the number of picks", picks.len(), "from 1 to 16777216"));
    }
    if let Some(pick) = picks.iter().find(|pick| usize::from(pick.image) >= images.len()) {
        return Err(bad("a pick's image", usize::from(pick.image), "the number of an image"));
    }
    let lengths = || images.iter().map(|image| image.length as usize);
    if let Some(length) = lengths().find(|&length| length < SHORTEST || length > filler) {
        return Err(bad("an image's length", length, "from 14 bytes to the filler's length"));
    }
    Ok(lengths().max().unwrap_or(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(length: u32) -> Image {
        Image {
            length,
            head: [0xab; HEAD],
            ip_base: 2,
            udp_base: 3,
            address_at: 4,
            ip_sum_at: 5,
            port_at: 6,
            udp_sum_at: 7,
            number_at: 8,
            outer_port_at: 9,
        }
    }

    const PICK: Pick = Pick { address: [10, 2, 0, 1], port: 0x1234, image: 0 };

    #[test]
    fn layouts_are_those_of_the_c_program() {
        let source = include_str!("../../bpf/live.bpf.c");
        assert!(source.contains("HEAD = 160,"));
        let bytes = image(60).to_bytes();
        assert_eq!(bytes[..12], [60_u32, 2, 3].map(u32::to_ne_bytes).concat());
        assert_eq!(bytes[12..24], [4_u16, 5, 6, 7, 8, 9].map(u16::to_ne_bytes).concat());
        assert!(bytes[24..].iter().all(|&byte| byte == 0xab) && bytes.len().is_multiple_of(4));
        assert_eq!(PICK.to_bytes()[..6], [10, 2, 0, 1, 0x12, 0x34]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert_eq!(longest(&[image(60), image(1000)], &[PICK], 1000).ok(), Some(1000));
        assert!(longest(&[], &[PICK], 1000).is_err());
        assert!(longest(&[image(60)], &[], 1000).is_err());
        assert!(longest(&[image(60)], &[Pick { image: 1, ..PICK }], 1000).is_err());
        assert!(longest(&[image(13)], &[PICK], 1000).is_err());
        assert!(longest(&[image(1001)], &[PICK], 1000).is_err());
    }
}
