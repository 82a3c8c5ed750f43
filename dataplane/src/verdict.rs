//! Every end that a packet can meet, with a sentence and a counter each.
//!
//! A packet that came in ends in exactly one [`Verdict`]. The two reason enums are closed: a new reason is a
//! new line in the tables below, and its counter, its name in `sterna show drops` and its page in
//! `docs/ops/drop-reasons.md` follow from that line.

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Written to a transmit frame of this port.
    Transmit(u16),
    /// Copied into the hold pool until an answer comes.
    Held,
    /// Consumed by the gateway itself.
    Punt(PuntReason),
    /// Dropped.
    Drop(DropReason),
}

macro_rules! reasons {
    ($(#[$outer:meta])* $name:ident, $prefix:literal { $($variant:ident = $label:literal : $help:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $(#[doc = $help] $variant,)* }

        impl $name {
            /// Every reason, in counter order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The counter's name.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => concat!($prefix, $label),)* }
            }

            /// One sentence for operators.
            pub const fn help(self) -> &'static str {
                match self { $($name::$variant => $help,)* }
            }
        }
    };
}

reasons! {
    /// Why the gateway consumed a packet instead of forwarding it.
    PuntReason, "punt_" {
        Arp = "arp": "ARP from an eid-side host, handled by the gateway's own neighbour table.",
        Ndisc = "ndisc": "IPv6 neighbour discovery from an eid-side host, handled by the gateway's own neighbour table.",
        GatewayEcho = "gateway_echo": "Echo request to the group's gateway address, answered.",
        ContextApi = "context_api": "An agent's TCP segment to the context API at the group's gateway address, handed to the control plane.",
    }
}

reasons! {
    /// Why a packet was dropped.
    DropReason, "drop_" {
        Truncated = "truncated": "The frame ends before the header that it announces.",
        NotIp = "not_ip": "The frame carries neither IP nor ARP.",
        BadVersion = "bad_version": "The IP version field contradicts the frame's type.",
        BadHeader = "bad_header": "An IP header length or total length is impossible.",
        BadChecksum = "bad_checksum": "The IPv4 header checksum is wrong.",
        UnknownVlan = "unknown_vlan": "No group is configured for this port and VLAN.",
        MalformedArp = "malformed_arp": "An ARP packet with impossible fields.",
        MalformedNdisc = "malformed_ndisc": "A neighbour-discovery packet with a wrong hop limit, checksum or option.",
        SrcNotLocal = "src_not_local": "The inner source is not an EID that this site serves on this port.",
        Multicast = "multicast": "Inner multicast or broadcast destination; channels are not supported yet.",
        TtlExceeded = "ttl_exceeded": "The inner TTL or hop limit ran out here; the source was told (rate-limited).",
        Negative = "negative": "The mapping says that this EID does not exist.",
        NativeUnsupported = "native_unsupported": "The mapping says forward natively; this gateway does not send in the clear.",
        NoLocator = "no_locator": "The mapping has no usable locator now.",
        ClassNoMatch = "class_no_match": "No locator of the mapping meets what the packet's context class needs.",
        TooBig = "too_big": "The packet is larger than the path carries and may not be fragmented; the source was told (rate-limited).",
        GatewayNotServed = "gateway_not_served": "Addressed to the group's gateway address, and neither an echo request nor for the context API.",
        ContextTooLong = "context_too_long": "For the context API at the group's gateway address, and longer than 1500 bytes.",
        ContextRate = "context_rate": "For the context API at the group's gateway address, above the rate that an agent, or all together, may send there.",
        ContextBacklog = "context_backlog": "For the context API at the group's gateway address, while too many segments wait to be handed over.",
        HoldFull = "hold_full": "No room to hold a packet that waits for a mapping or a neighbour.",
        HoldExpired = "hold_expired": "A held packet's answer did not come in time.",
        AttachExpired = "attach_expired": "A host spoke in a range of dynamic EIDs and was not admitted in time: the control plane refused it, or did not answer.",
        OuterBadLength = "outer_bad_length": "An outer IP or UDP length contradicts the frame.",
        OuterBadChecksum = "outer_bad_checksum": "The outer IPv4 or UDP checksum is present and wrong.",
        OuterNotLisp = "outer_not_lisp": "Not UDP 4341, or a fragment, on an rloc-side port.",
        NotOurRloc = "not_our_rloc": "The outer destination is not one of this gateway's RLOCs.",
        OwnRlocSource = "own_rloc_source": "The outer source is one of this gateway's own RLOCs (a loop).",
        LispCrypto = "lisp_crypto": "The key-ID bits ask for decryption, and no key is present.",
        LispNextProtocol = "lisp_next_protocol": "A LISP-GPE payload that is not IP.",
        ControlInData = "control_in_data": "Instance-ID 0xFFFFFF: a control message in a data packet; not supported yet.",
        UnknownIid = "unknown_iid": "No group with this instance-ID is served here.",
        InnerMalformed = "inner_malformed": "The encapsulated packet is not a whole, sane IP packet.",
        RlocSpoof = "rloc_spoof": "The outer source is no locator of the inner source's mapping, and nothing told of a move in time.",
        DstNotLocal = "dst_not_local": "The inner destination is not attached to this site.",
        RelayLimit = "relay_limit": "For an agent that left, and relayed twice already.",
        EcnCe = "ecn_ce": "Outer congestion mark on an inner packet that cannot carry it (RFC 6040).",
        NoTxFrame = "no_tx_frame": "No free transmit frame on the outgoing port.",
        TxRingFull = "tx_ring_full": "The outgoing port's transmit ring was full.",
        TxBusy = "tx_busy": "The kernel's device queue refused the frame (EBUSY); the frame is lost.",
        PortGone = "port_gone": "The outgoing port does not exist in this dataplane.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_name_and_a_sentence_of_its_own() {
        let drops = DropReason::ALL.iter().map(|r| (r.name(), r.help()));
        let punts = PuntReason::ALL.iter().map(|r| (r.name(), r.help()));
        let (mut names, mut sentences) = (HashSet::new(), HashSet::new());
        for (name, help) in drops.chain(punts) {
            assert!(names.insert(name), "{name} twice");
            assert!(sentences.insert(help), "{help} twice");
            assert!(help.ends_with('.'), "{help}");
        }
    }

    #[test]
    fn discriminants_are_positions() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }
}
