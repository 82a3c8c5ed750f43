//! LISP headers as values.

use super::{
    FLAG_ECHO, FLAG_GPE, FLAG_INSTANCE, FLAG_NONCE, FLAG_STATUS, FLAG_VERSIONS, HEADER_LEN, KEY_MASK,
    NextProtocol, Packet, VERSION_MASK,
};
use crate::addr::Iid;
use crate::error::Error;

/// What the 24 bits behind the flags are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tag {
    /// Nothing: zero when sent, ignored when received.
    #[default]
    None,
    /// A nonce (RFC 9300 section 10.1).
    Nonce {
        /// 24 bits, with a next protocol 16.
        nonce: u32,
        /// The sender wants it back.
        echo: bool,
    },
    /// Map-versions of the sender's and of the receiver's mapping (RFC 9302).
    Versions {
        /// 12 bits, with a next protocol 8.
        source: u16,
        /// 12 bits, with a next protocol 8.
        destination: u16,
    },
}

/// Which instance the inner packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Instance {
    /// The header has none: instance 0.
    #[default]
    Absent,
    /// This one.
    Id(Iid),
    /// The reserved instance-ID 0xFFFFFF: the payload is a control message (NAT traversal).
    Control,
}

impl Instance {
    /// The instance of a data packet; none for a control message.
    #[inline]
    pub const fn iid(self) -> Option<Iid> {
        match self {
            Instance::Absent => Some(Iid::DEFAULT),
            Instance::Id(iid) => Some(iid),
            Instance::Control => None,
        }
    }
}

/// A LISP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Repr {
    /// Nonce or map-versions.
    pub tag: Tag,
    /// The instance.
    pub instance: Instance,
    /// Locator-status-bits: 32 of them, only 8 beside an instance-ID.
    pub status: Option<u32>,
    /// The key that encrypts the payload, 1 to 3; 0 for clear text.
    pub key_id: u8,
    /// The payload's protocol, for LISP-GPE peers.
    pub next_protocol: Option<NextProtocol>,
}

impl Repr {
    /// Judges a header: `Truncated` only, since RFC 9300 lets the receiver ignore whatever makes no sense.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&T>) -> Result<Repr, Error> {
        let packet = Packet::new_checked(packet.buffer)?;
        let tag = if let Some(nonce) = packet.nonce() {
            Tag::Nonce { nonce, echo: packet.wants_echo() }
        } else if let Some((source, destination)) = packet.versions() {
            Tag::Versions { source, destination }
        } else {
            Tag::None
        };
        let instance = match (packet.has_instance(), Iid::new(packet.raw_iid())) {
            (false, _) => Instance::Absent,
            (true, Some(iid)) => Instance::Id(iid),
            (true, None) => Instance::Control,
        };
        Ok(Repr {
            tag,
            instance,
            status: packet.status(),
            key_id: packet.key_id(),
            next_protocol: packet.next_protocol(),
        })
    }

    /// Bytes that `emit` writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the header. Bits that do not fit their field are not sent.
    /// Panics when the buffer is shorter than `buffer_len`.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) {
        packet.set_flags(self.flags());
        packet.set_tag(self.tag_bits());
        packet.set_second_word(self.second_word());
    }

    fn flags(&self) -> u8 {
        let tag = match self.tag {
            Tag::None => 0,
            Tag::Nonce { echo: false, .. } => FLAG_NONCE,
            Tag::Nonce { echo: true, .. } => FLAG_NONCE | FLAG_ECHO,
            Tag::Versions { .. } => FLAG_VERSIONS,
        };
        let status = if self.status.is_some() { FLAG_STATUS } else { 0 };
        let instance = if self.instance == Instance::Absent { 0 } else { FLAG_INSTANCE };
        let gpe = if self.next_protocol.is_some() { FLAG_GPE } else { 0 };
        tag | status | instance | gpe | self.key_id & KEY_MASK
    }

    fn tag_bits(&self) -> u32 {
        match (self.tag, self.next_protocol) {
            (Tag::None, None) => 0,
            (Tag::Nonce { nonce, .. }, None) => nonce & 0x00ff_ffff,
            (Tag::Versions { source, destination }, None) => {
                (u32::from(source) & VERSION_MASK) << 12 | u32::from(destination) & VERSION_MASK
            }
            (Tag::None, Some(next)) => next.0.into(),
            (Tag::Nonce { nonce, .. }, Some(next)) => (nonce & 0xffff) << 8 | u32::from(next.0),
            (Tag::Versions { source, destination }, Some(next)) => {
                u32::from_be_bytes([0, source as u8, destination as u8, next.0])
            }
        }
    }

    fn second_word(&self) -> u32 {
        let status = self.status.unwrap_or(0);
        match self.instance {
            Instance::Absent => status,
            Instance::Id(iid) => iid.get() << 8 | status & 0xff,
            Instance::Control => Iid::RESERVED << 8 | status & 0xff,
        }
    }
}
