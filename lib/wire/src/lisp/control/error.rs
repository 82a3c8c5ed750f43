//! Why a control message was refused.

/// Why a control message was refused: one reason, one sentence, one counter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, thiserror::Error)]
pub enum ControlError {
    /// The message ends before what its counts promise.
    #[error("the message is cut short")]
    Truncated,
    /// Its values would take more than [`MAX_HEAP`](super::MAX_HEAP) bytes.
    #[error("the message holds more than we are willing to keep")]
    TooLarge,
    /// A message type that no role of ours reads.
    #[error("message type {0} is not handled")]
    UnknownType(u8),
    /// An address family whose length is not known, so that nothing behind it can be found.
    #[error("an address family is unknown, so its length is too")]
    UnknownAfi,
    /// A distinguished name without its final NUL within 255 bytes (RFC 9735).
    #[error("a distinguished name does not end")]
    BadName,
    /// An LCAF whose length contradicts the message or its own content (RFC 8060).
    #[error("an LCAF length cannot be true")]
    BadLcaf,
    /// An LCAF of more than 1024 bytes.
    #[error("an LCAF is longer than 1024 bytes")]
    LcafTooLong,
    /// LCAFs nested more than four deep.
    #[error("LCAFs are nested more than four deep")]
    TooDeep,
    /// An AFI-list of more than 64 addresses.
    #[error("an AFI-list has more than 64 entries")]
    ListTooLong,
    /// The mask of a requested EID is longer than the address.
    #[error("an EID mask is longer than its address")]
    BadMaskLen,
    /// A Map-Request that asks for nothing.
    #[error("the Map-Request has no record")]
    NoRecords,
    /// A probe or SMR with more than one record.
    #[error("a probe or SMR must have exactly one record")]
    BadRecordCount,
    /// The I bit promises an xTR-ID and a site-ID that are not there (RFC 9301 section 5.6, RFC 9437).
    #[error("the xTR-ID and site-ID are missing")]
    TrailingXtr,
    /// The authentication data is not as long as its algorithm says.
    #[error("the authentication data has the wrong length for its algorithm")]
    AuthLength,
    /// An ECM with authentication data of a kind whose length is not known, or that runs past the end.
    #[error("the ECM's authentication data cannot be skipped")]
    EcmSecurity,
    /// The packet inside an ECM is not an IP packet, or its lengths or header checksum are wrong.
    #[error("the packet inside the ECM is malformed")]
    EcmInner,
    /// The packet inside an ECM is a fragment.
    #[error("the packet inside the ECM is a fragment")]
    EcmFragment,
    /// The packet inside an ECM is not UDP.
    #[error("the packet inside the ECM is not UDP")]
    EcmNotUdp,
    /// The UDP datagram inside an ECM has a wrong length or a wrong checksum.
    #[error("the UDP datagram inside the ECM is damaged")]
    EcmUdp,
    /// An ECM may carry a Map-Request, Map-Register or Map-Notify, and nothing else.
    #[error("the ECM carries a message that must not be encapsulated")]
    EcmInnerType,
    /// Probes and SMRs are sent to a locator, never through the mapping system.
    #[error("a probe or SMR came inside an ECM")]
    EcmProbe,
}

impl ControlError {
    /// How many reasons there are.
    pub const COUNT: usize = 21;

    /// Every reason in the order of declaration; [`UnknownType`](Self::UnknownType) stands here once, for type 0.
    pub const ALL: [ControlError; Self::COUNT] = [
        ControlError::Truncated,
        ControlError::TooLarge,
        ControlError::UnknownType(0),
        ControlError::UnknownAfi,
        ControlError::BadName,
        ControlError::BadLcaf,
        ControlError::LcafTooLong,
        ControlError::TooDeep,
        ControlError::ListTooLong,
        ControlError::BadMaskLen,
        ControlError::NoRecords,
        ControlError::BadRecordCount,
        ControlError::TrailingXtr,
        ControlError::AuthLength,
        ControlError::EcmSecurity,
        ControlError::EcmInner,
        ControlError::EcmFragment,
        ControlError::EcmNotUdp,
        ControlError::EcmUdp,
        ControlError::EcmInnerType,
        ControlError::EcmProbe,
    ];

    /// The place of this reason in [`ALL`](Self::ALL), for an array of counters.
    pub const fn index(self) -> usize {
        match self {
            ControlError::Truncated => 0,
            ControlError::TooLarge => 1,
            ControlError::UnknownType(_) => 2,
            ControlError::UnknownAfi => 3,
            ControlError::BadName => 4,
            ControlError::BadLcaf => 5,
            ControlError::LcafTooLong => 6,
            ControlError::TooDeep => 7,
            ControlError::ListTooLong => 8,
            ControlError::BadMaskLen => 9,
            ControlError::NoRecords => 10,
            ControlError::BadRecordCount => 11,
            ControlError::TrailingXtr => 12,
            ControlError::AuthLength => 13,
            ControlError::EcmSecurity => 14,
            ControlError::EcmInner => 15,
            ControlError::EcmFragment => 16,
            ControlError::EcmNotUdp => 17,
            ControlError::EcmUdp => 18,
            ControlError::EcmInnerType => 19,
            ControlError::EcmProbe => 20,
        }
    }

    /// The name of this reason's counter.
    pub const fn name(self) -> &'static str {
        match self {
            ControlError::Truncated => "truncated",
            ControlError::TooLarge => "too_large",
            ControlError::UnknownType(_) => "unknown_type",
            ControlError::UnknownAfi => "unknown_afi",
            ControlError::BadName => "bad_name",
            ControlError::BadLcaf => "bad_lcaf",
            ControlError::LcafTooLong => "lcaf_too_long",
            ControlError::TooDeep => "too_deep",
            ControlError::ListTooLong => "list_too_long",
            ControlError::BadMaskLen => "bad_mask_len",
            ControlError::NoRecords => "no_records",
            ControlError::BadRecordCount => "bad_record_count",
            ControlError::TrailingXtr => "trailing_xtr",
            ControlError::AuthLength => "auth_length",
            ControlError::EcmSecurity => "ecm_security",
            ControlError::EcmInner => "ecm_inner",
            ControlError::EcmFragment => "ecm_fragment",
            ControlError::EcmNotUdp => "ecm_not_udp",
            ControlError::EcmUdp => "ecm_udp",
            ControlError::EcmInnerType => "ecm_inner_type",
            ControlError::EcmProbe => "ecm_probe",
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use std::collections::HashSet;
    use std::string::ToString;

    #[test]
    fn all_lists_each_reason_once_at_its_index() {
        for (index, reason) in ControlError::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        let last = ControlError::ALL.last().unwrap();
        assert!(ControlError::ALL.iter().all(|reason| reason <= last), "in the order of declaration");
    }

    #[test]
    fn no_two_reasons_share_a_sentence_or_a_counter() {
        let sentences: HashSet<_> = ControlError::ALL.iter().map(ToString::to_string).collect();
        let counters: HashSet<_> = ControlError::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!((sentences.len(), counters.len()), (ControlError::COUNT, ControlError::COUNT));
    }

    #[test]
    fn an_unknown_type_is_named() {
        let reason = ControlError::UnknownType(9);
        assert_eq!(reason.to_string(), "message type 9 is not handled");
        assert_eq!(reason.index(), ControlError::UnknownType(0).index());
    }
}
