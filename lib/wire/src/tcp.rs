//! The TCP header (RFC 9293), as far as a gateway looks: ports, flags, and the MSS option it clamps.

use core::fmt;
use core::net::IpAddr;

use crate::bytes::{get_u16, get_u32, set_u16, set_u32};
use crate::checksum;
use crate::error::Error;
use crate::protocol::Protocol;

mod field {
    use crate::bytes::{Field, Rest};

    pub(super) const SOURCE_PORT: Field = 0..2;
    pub(super) const DESTINATION_PORT: Field = 2..4;
    pub(super) const SEQUENCE: Field = 4..8;
    pub(super) const ACKNOWLEDGEMENT: Field = 8..12;
    /// Header length (4 bits, in words) and reserved bits (4).
    pub(super) const DATA_OFFSET: usize = 12;
    pub(super) const FLAGS: usize = 13;
    pub(super) const WINDOW: Field = 14..16;
    pub(super) const CHECKSUM: Field = 16..18;
    pub(super) const URGENT: Field = 18..20;
    pub(super) const OPTIONS: Rest = 20..;
}

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = field::OPTIONS.start;
/// Length of an MSS option in bytes.
pub const MSS_OPTION_LEN: usize = 4;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// The eight flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Sequence numbers begin here.
    pub const SYN: Flags = Flags(0x02);
    /// The connection is gone.
    pub const RST: Flags = Flags(0x04);
    /// Hand the data over now.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgement number counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);
    /// Congestion was echoed.
    pub const ECE: Flags = Flags(0x40);
    /// The congestion window was reduced.
    pub const CWR: Flags = Flags(0x80);

    /// Whether all of these are set.
    #[inline]
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[inline]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'].into_iter().enumerate() {
            let shown = if self.0 & 1 << bit != 0 { letter } else { '.' };
            write!(f, "{shown}")?;
        }
        Ok(())
    }
}

/// A view of a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// A view without any check, for writing.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Packet<T> {
        Packet { buffer }
    }

    /// A view whose accessors cannot panic.
    /// `Truncated` when the header does not fit; `BadLength` when its length is below 20.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Packet<T>, Error> {
        let have = buffer.as_ref().len();
        if have < HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self::new_unchecked(buffer);
        if packet.header_len() < HEADER_LEN {
            return Err(Error::BadLength);
        }
        if have < packet.header_len() {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// The buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Source port.
    #[inline]
    pub fn source_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SOURCE_PORT)
    }

    /// Destination port.
    #[inline]
    pub fn destination_port(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::DESTINATION_PORT)
    }

    /// Sequence number.
    #[inline]
    pub fn sequence(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::SEQUENCE)
    }

    /// Acknowledgement number.
    #[inline]
    pub fn acknowledgement(&self) -> u32 {
        get_u32(self.buffer.as_ref(), field::ACKNOWLEDGEMENT)
    }

    /// Header length in bytes, options included.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[field::DATA_OFFSET] >> 4) * 4
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.buffer.as_ref()[field::FLAGS])
    }

    /// Window, not scaled.
    #[inline]
    pub fn window(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::WINDOW)
    }

    /// Checksum field.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Urgent pointer.
    #[inline]
    pub fn urgent(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::URGENT)
    }

    /// Where the two bytes of the MSS value lie, in bytes from the start of the header; the first such option counts.
    /// Nothing when there is none, or when the options break off before it.
    /// The offset may be odd: see [`Packet::clamp_mss`].
    pub fn mss_option_offset(&self) -> Option<usize> {
        let header = &self.buffer.as_ref()[..self.header_len()];
        let mut at = HEADER_LEN;
        // Ends: each turn takes a byte at least, and a header has at most 40 of them.
        loop {
            match *header.get(at)? {
                OPTION_END => return None,
                OPTION_NOP => at += 1,
                kind => {
                    let len = usize::from(*header.get(at + 1)?);
                    if kind == OPTION_MSS && len == MSS_OPTION_LEN {
                        return (at + len <= header.len()).then_some(at + 2);
                    }
                    if len < 2 {
                        return None;
                    }
                    at += len;
                }
            }
        }
    }

    /// The value of the MSS option in bytes, if there is one.
    #[inline]
    pub fn mss(&self) -> Option<u16> {
        let at = self.mss_option_offset()?;
        Some(get_u16(self.buffer.as_ref(), at..at + 2))
    }

    /// Whether the segment, which fills the buffer, adds up between these addresses.
    #[inline]
    pub fn verify_checksum(&self, source: IpAddr, destination: IpAddr) -> bool {
        let segment = self.buffer.as_ref();
        checksum::pseudo(source, destination, Protocol::TCP.0, segment.len())
            .is_some_and(|pseudo| checksum::verify_with(pseudo, segment))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// The option bytes, 0 to 40 of them.
    #[inline]
    pub fn options(&self) -> &'a [u8] {
        &self.buffer.as_ref()[HEADER_LEN..self.header_len()]
    }

    /// Everything behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.buffer.as_ref()[self.header_len()..]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the source port.
    #[inline]
    pub fn set_source_port(&mut self, port: u16) {
        set_u16(self.buffer.as_mut(), field::SOURCE_PORT, port);
    }

    /// Sets the destination port.
    #[inline]
    pub fn set_destination_port(&mut self, port: u16) {
        set_u16(self.buffer.as_mut(), field::DESTINATION_PORT, port);
    }

    /// Sets the sequence number.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u32) {
        set_u32(self.buffer.as_mut(), field::SEQUENCE, sequence);
    }

    /// Sets the acknowledgement number.
    #[inline]
    pub fn set_acknowledgement(&mut self, acknowledgement: u32) {
        set_u32(self.buffer.as_mut(), field::ACKNOWLEDGEMENT, acknowledgement);
    }

    /// Sets the header length in bytes (a multiple of four up to 60); the reserved bits become zero.
    #[inline]
    pub fn set_header_len(&mut self, len: usize) {
        self.buffer.as_mut()[field::DATA_OFFSET] = ((len / 4) as u8) << 4;
    }

    /// Sets the flags.
    #[inline]
    pub fn set_flags(&mut self, flags: Flags) {
        self.buffer.as_mut()[field::FLAGS] = flags.0;
    }

    /// Sets the window.
    #[inline]
    pub fn set_window(&mut self, window: u16) {
        set_u16(self.buffer.as_mut(), field::WINDOW, window);
    }

    /// Sets the checksum field.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        set_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the urgent pointer.
    #[inline]
    pub fn set_urgent(&mut self, urgent: u16) {
        set_u16(self.buffer.as_mut(), field::URGENT, urgent);
    }

    /// Computes the checksum of the segment, which fills the buffer, between these addresses.
    /// Addresses of different families leave the field zero.
    pub fn fill_checksum(&mut self, source: IpAddr, destination: IpAddr) {
        self.set_checksum(0);
        let segment = self.buffer.as_ref();
        if let Some(pseudo) = checksum::pseudo(source, destination, Protocol::TCP.0, segment.len()) {
            let checksum = checksum::fold(pseudo + checksum::sum(segment));
            self.set_checksum(checksum);
        }
    }

    /// Lowers the MSS option of a SYN to at most `limit` bytes, with the checksum corrected by the difference.
    /// Tells whether it changed anything. The view must be a checked one; a cut payload does not matter.
    pub fn clamp_mss(&mut self, limit: u16) -> bool {
        if !self.flags().contains(Flags::SYN) {
            return false;
        }
        let Some(at) = self.mss_option_offset() else {
            return false;
        };
        let old = get_u16(self.buffer.as_ref(), at..at + 2);
        if old <= limit {
            return false;
        }
        set_u16(self.buffer.as_mut(), at..at + 2, limit);
        // On an odd offset the value's bytes belong to two words of the sum,
        // which counts for as much as the value with its bytes swapped on an even offset.
        let (old, new) = if at % 2 == 0 { (old, limit) } else { (old.swap_bytes(), limit.swap_bytes()) };
        self.set_checksum(checksum::update16(self.checksum(), old, new));
        true
    }

    /// Everything behind the header, to write into.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let header_len = self.header_len();
        &mut self.buffer.as_mut()[header_len..]
    }
}

/// A TCP header; of the options only the MSS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repr {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// The flags.
    pub flags: Flags,
    /// Window, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// The largest segment the sender takes, in bytes.
    pub mss: Option<u16>,
}

impl Repr {
    /// Judges a segment between these addresses: what `new_checked` refuses, and `BadChecksum`.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(
        packet: &Packet<&T>,
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        if !packet.verify_checksum(source, destination) {
            return Err(Error::BadChecksum);
        }
        Ok(Repr {
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
            sequence: packet.sequence(),
            acknowledgement: packet.acknowledgement(),
            flags: packet.flags(),
            window: packet.window(),
            urgent: packet.urgent(),
            mss: packet.mss(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        match self.mss {
            Some(_) => HEADER_LEN + MSS_OPTION_LEN,
            None => HEADER_LEN,
        }
    }

    /// Writes the header without a checksum; [`Packet::fill_checksum`] adds it once the payload stands.
    /// Panics when the buffer is shorter than `buffer_len`.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_source_port(self.source_port);
        packet.set_destination_port(self.destination_port);
        packet.set_sequence(self.sequence);
        packet.set_acknowledgement(self.acknowledgement);
        packet.set_header_len(self.buffer_len());
        packet.set_flags(self.flags);
        packet.set_window(self.window);
        packet.set_checksum(0);
        packet.set_urgent(self.urgent);
        if let Some(mss) = self.mss {
            let option = &mut packet.buffer.as_mut()[field::OPTIONS];
            option[0] = OPTION_MSS;
            option[1] = MSS_OPTION_LEN as u8;
            set_u16(option, 2..4, mss);
        }
    }
}

#[cfg(test)]
mod test;
