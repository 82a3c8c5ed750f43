//! Why bytes or text were refused.

/// Why a parser refused a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum Error {
    /// The buffer ends before the header or the length the header claims.
    #[error("the packet is cut short")]
    Truncated,
    /// A length field contradicts the header it belongs to.
    #[error("a length field cannot be true")]
    BadLength,
    /// The IP version is not the one this parser reads.
    #[error("the version is wrong")]
    BadVersion,
    /// The checksum does not match the bytes.
    #[error("the checksum is wrong")]
    BadChecksum,
    /// A header field has a value its protocol forbids.
    #[error("a header field has a forbidden value")]
    BadHeader,
    /// An address stands where its protocol forbids it (a multicast sender, for example).
    #[error("an address stands where it must not")]
    BadAddress,
    /// An option runs past its header or has no length.
    #[error("an option is malformed")]
    BadOption,
    /// The hop limit shows that the packet crossed a router, which its protocol forbids.
    #[error("the hop limit is not 255")]
    BadHopLimit,
    /// More extension headers than we are willing to walk.
    #[error("too many extension headers")]
    TooManyHeaders,
    /// Well formed as far as we look, but of a kind we do not act upon.
    #[error("the packet is of a kind that is not handled")]
    Unsupported,
    /// The buffer to write into is too small.
    #[error("the buffer to write into is too small")]
    NoRoom,
}

impl Error {
    /// Every reason, in the order of declaration, so that counters and tests can enumerate them.
    pub const ALL: [Error; 11] = [
        Error::Truncated,
        Error::BadLength,
        Error::BadVersion,
        Error::BadChecksum,
        Error::BadHeader,
        Error::BadAddress,
        Error::BadOption,
        Error::BadHopLimit,
        Error::TooManyHeaders,
        Error::Unsupported,
        Error::NoRoom,
    ];
}

/// Why a text or a number is not an address, a prefix or an identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum AddrError {
    /// Not six colon-separated pairs of hexadecimal digits.
    #[error("not a MAC address: write six pairs of hexadecimal digits, as in 02:53:54:00:00:64")]
    BadMac,
    /// Not an IPv4 or IPv6 address.
    #[error("not an IPv4 or IPv6 address")]
    BadAddress,
    /// The prefix length is missing, not a number, or longer than the address.
    #[error("the prefix length must be 0 to 32 for IPv4 and 0 to 128 for IPv6")]
    BadPrefixLength,
    /// Bits behind the prefix length are set.
    #[error("the address has bits set behind the prefix length")]
    HostBits,
    /// Not an instance-ID: 0 to 16777214 (16777215 is reserved).
    #[error("an instance-ID is a number from 0 to 16777214")]
    BadIid,
    /// Not a VLAN ID.
    #[error("a VLAN ID is a number from 1 to 4094")]
    BadVlanId,
}

#[cfg(test)]
mod test {
    use super::*;
    use std::collections::HashSet;
    use std::string::ToString;

    #[test]
    fn no_two_reasons_share_a_sentence() {
        let sentences: HashSet<_> = Error::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), Error::ALL.len());
    }

    #[test]
    fn all_lists_each_reason_once_in_order() {
        for (index, reason) in Error::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
        assert_eq!(size_of::<Error>(), 1);
    }

    #[test]
    fn no_two_address_reasons_share_a_sentence() {
        let all = [
            AddrError::BadMac,
            AddrError::BadAddress,
            AddrError::BadPrefixLength,
            AddrError::HostBits,
            AddrError::BadIid,
            AddrError::BadVlanId,
        ];
        let sentences: HashSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), all.len());
    }
}
