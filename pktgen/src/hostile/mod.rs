//! Packets that are wrong, by what is wrong with them.
//!
//! The classes are those that a gateway must survive and count; each is one entry of the list below, with the
//! function that builds it. Some take turns: the packet's number in its class decides which one comes.

mod control;
mod craft;
mod inner;
mod ipv4;
mod ipv6;
mod link;
mod outer;
mod sender;

use std::net::{Ipv4Addr, Ipv6Addr};

use sterna_wire::Mac;

use crate::profile::Hostile;

/// Addresses to be wrong with, each pair from and to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Two agents.
    pub eids_v4: Option<[Ipv4Addr; 2]>,
    /// Two agents.
    pub eids_v6: Option<[Ipv6Addr; 2]>,
    /// A remote gateway and the one under test.
    pub rlocs_v4: Option<[Ipv4Addr; 2]>,
    /// A remote gateway and the one under test.
    pub rlocs_v6: Option<[Ipv6Addr; 2]>,
}

/// Which pairs of [`Ground`] a class needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    E4,
    E6,
    R4,
    R6,
}

impl Ground {
    /// The key of a pair that a class needs and this ground does not have.
    pub fn lacks(&self, class: Class) -> Option<&'static str> {
        class.needs().iter().find_map(|need| match need {
            Need::E4 => self.eids_v4.is_none().then_some("eids_v4"),
            Need::E6 => self.eids_v6.is_none().then_some("eids_v6"),
            Need::R4 => self.rlocs_v4.is_none().then_some("rlocs_v4"),
            Need::R6 => self.rlocs_v6.is_none().then_some("rlocs_v6"),
        })
    }
}

/// What a builder knows. A pair that is not given is all zero; the profile's check does not let that happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub source_mac: Mac,
    pub destination_mac: Mac,
    pub e4: [Ipv4Addr; 2],
    pub e6: [Ipv6Addr; 2],
    pub r4: [Ipv4Addr; 2],
    pub r6: [Ipv6Addr; 2],
    /// The packet's number in its class, from 0.
    pub turn: u64,
}

macro_rules! classes {
    ($($name:ident $text:literal [$($need:ident)*] $build:path, $help:literal)*) => {
        /// What is wrong with a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Class {
            $(#[doc = $help] $name,)*
        }

        impl Class {
            /// All of them.
            pub const ALL: &'static [Class] = &[$(Class::$name),*];

            /// Its name in a profile.
            pub const fn name(self) -> &'static str {
                match self { $(Class::$name => $text),* }
            }

            /// What is wrong, in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Class::$name => $help),* }
            }

            const fn needs(self) -> &'static [Need] {
                match self { $(Class::$name => &[$(Need::$need),*]),* }
            }

            fn build(self, scene: &Scene) -> Vec<u8> {
                match self { $(Class::$name => $build(scene)),* }
            }
        }
    };
}

classes! {
    RuntFrame "runt_frame" [] link::runt, "A frame of 15 bytes: an EtherType and one byte behind it."
    FrameOverMtu "frame_over_mtu" [E4] link::over_mtu, "A frame of 1,600 bytes, beyond an MTU of 1,500."
    VlanDepth1 "vlan_depth_1" [E4] link::vlan_depth_1, "A packet behind one VLAN tag that nobody was told of."
    VlanDepth2 "vlan_depth_2" [E4] link::vlan_depth_2, "A packet behind a service tag and a VLAN tag."
    VlanDepth3 "vlan_depth_3" [E4] link::vlan_depth_3, "A packet behind three VLAN tags."
    BadEthertype "bad_ethertype" [E4] link::bad_ethertype, "An IPv4 packet under an EtherType for experiments."
    Ipv4IhlBelow5 "ipv4_ihl_below_5" [E4] ipv4::ihl_below_5, "An IPv4 header that says it is 16 bytes long."
    Ipv4IhlPastEnd "ipv4_ihl_past_end" [E4] ipv4::ihl_past_end, "An IPv4 header of 60 bytes in a packet of 40."
    Ipv4LengthBelowHeader "ipv4_length_below_header" [E4] ipv4::length_below_header, "A total length of 19 bytes."
    Ipv4LengthPastFrame "ipv4_length_past_frame" [E4] ipv4::length_past_frame, "A total length beyond the frame."
    Ipv4BadChecksum "ipv4_bad_checksum" [E4] ipv4::bad_checksum, "An IPv4 header checksum that is off by one bit."
    Ipv4Ttl0 "ipv4_ttl_0" [E4] ipv4::ttl_0, "A time to live of 0, which must not have arrived."
    Ipv4Ttl1 "ipv4_ttl_1" [E4] ipv4::ttl_1, "A time to live of 1, which ends here."
    Ipv6HopLimit0 "ipv6_hop_limit_0" [E6] ipv6::hop_limit_0, "A hop limit of 0."
    Ipv4Options "ipv4_options" [E4] ipv4::options, "A record-route option."
    FragmentFirst "fragment_first" [E4] ipv4::fragment_first, "The first fragment, the others never come."
    FragmentMiddle "fragment_middle" [E4] ipv4::fragment_middle, "A fragment from the middle."
    FragmentLast "fragment_last" [E4] ipv4::fragment_last, "The last fragment alone."
    FragmentOverlapping "fragment_overlapping" [E4] ipv4::fragment_overlapping, "Two fragments of one packet, in turn, that overlap."
    FragmentTiny "fragment_tiny" [E4] ipv4::fragment_tiny, "A first fragment of 8 bytes."
    Ipv6LengthZero "ipv6_length_zero" [E6] ipv6::length_zero, "A payload length of 0 without a jumbo option."
    Ipv6Jumbogram "ipv6_jumbogram" [E6] ipv6::jumbogram, "A jumbo payload option that speaks of 70,000 bytes."
    Ipv6ExtensionChain "ipv6_extension_chain" [E6] ipv6::extension_chain, "Nine destination-options headers in a row."
    Ipv6RoutingHeader "ipv6_routing_header" [E6] ipv6::routing_header, "A routing header of type 0, forbidden since RFC 5095."
    Ipv6HopByHop "ipv6_hop_by_hop" [E6] ipv6::hop_by_hop, "A hop-by-hop header that is not the first."
    SourceMulticastV4 "source_multicast_v4" [E4] sender::multicast_v4, "A multicast address as the sender."
    SourceMulticastV6 "source_multicast_v6" [E6] sender::multicast_v6, "An IPv6 multicast address as the sender."
    SourceBroadcast "source_broadcast" [E4] sender::broadcast, "255.255.255.255 as the sender."
    SourceLoopbackV4 "source_loopback_v4" [E4] sender::loopback_v4, "127.0.0.1 as the sender."
    SourceLoopbackV6 "source_loopback_v6" [E6] sender::loopback_v6, "::1 as the sender."
    SourceUnspecifiedV4 "source_unspecified_v4" [E4] sender::unspecified_v4, "0.0.0.0 as the sender."
    SourceUnspecifiedV6 "source_unspecified_v6" [E6] sender::unspecified_v6, ":: as the sender."
    SourceOwnAddress "source_own_address" [E4 R4] sender::own_address, "LISP data whose outer source is the gateway's own RLOC."
    UdpLengthBelow8 "udp_length_below_8" [E4 R4] outer::udp_length_below_8, "A UDP length of 7 bytes on the LISP port."
    UdpLengthPastIp "udp_length_past_ip" [E4 R4] outer::udp_length_past_ip, "A UDP length beyond the outer IP packet."
    UdpLengthZero "udp_length_zero" [E4 R4] outer::udp_length_zero, "A UDP length of 0 on the LISP port."
    OuterChecksumZeroV4 "outer_checksum_zero_v4" [E4 R4] outer::checksum_zero_v4, "No outer UDP checksum over IPv4, as senders should."
    OuterChecksumZeroV6 "outer_checksum_zero_v6" [E4 R6] outer::checksum_zero_v6, "No outer UDP checksum over IPv6, as tunnels may."
    OuterChecksumWrongV4 "outer_checksum_wrong_v4" [E4 R4] outer::checksum_wrong_v4, "A wrong outer UDP checksum over IPv4."
    OuterChecksumWrongV6 "outer_checksum_wrong_v6" [E4 R6] outer::checksum_wrong_v6, "A wrong outer UDP checksum over IPv6."
    LispShort "lisp_short" [R4] outer::lisp_short, "Seven bytes on the LISP port, shorter than its header."
    LispFlags "lisp_flags" [E4 R4] outer::lisp_flags, "All 256 first bytes of a LISP header, in turn."
    LispReservedBits "lisp_reserved_bits" [E4 R4] outer::lisp_reserved_bits, "The reserved bit and both key bits set."
    LispUnknownIid "lisp_unknown_iid" [E4 R4] outer::lisp_unknown_iid, "Instance-ID 16,000,000, which nobody has."
    LispNonceEcho "lisp_nonce_echo" [E4 R4] outer::lisp_nonce_echo, "A nonce that asks to be echoed, new in each packet."
    LispStaleVersion "lisp_stale_version" [E4 R4] outer::lisp_stale_version, "Map-versions that are long gone."
    LispInLisp "lisp_in_lisp" [E4 R4] outer::lisp_in_lisp, "LISP in LISP in LISP."
    GueOnLispPort "gue_on_lisp_port" [E4 R4] outer::gue, "Generic UDP encapsulation on the LISP port."
    VxlanOnLispPort "vxlan_on_lisp_port" [E4 R4] outer::vxlan, "VXLAN, whose flags look like ours, on the LISP port."
    GpeOnLispPort "gpe_on_lisp_port" [E4 R4] outer::gpe, "LISP-GPE with an Ethernet frame."
    OuterFragment "outer_fragment" [E4 R4] outer::fragment, "The first fragment of an outer packet."
    IcmpQuotesTruncated "icmp_quotes_truncated" [R4] outer::icmp_quotes_truncated, "An ICMP error that quotes 12 bytes of an outer header."
    InnerVersion "inner_version" [E4 R4] inner::version, "An inner packet of IP version 5."
    InnerLength "inner_length" [E4 R4] inner::length, "An inner length that is not what is left."
    InnerTtl0 "inner_ttl_0" [E4 R4] inner::ttl_0, "An inner time to live of 0."
    InnerSpoofed "inner_spoofed" [E4 R4] inner::spoofed, "An inner source that the outer source has no mapping for."
    InnerEcn "inner_ecn" [E4 R4] inner::ecn, "All sixteen pairs of inner and outer ECN, in turn; CE over not-ECT must be dropped."
    InnerDscp "inner_dscp" [E4 R4] inner::dscp, "All 64 outer DSCP values over an inner one of 0, in turn."
    RequestItrRlocs32 "request_itr_rlocs_32" [E4 R4] control::request_itr_rlocs_32, "A Map-Request with 32 ITR-RLOCs."
    RequestRecords0 "request_records_0" [R4] control::request_records_0, "A Map-Request for nothing."
    RequestRecords255 "request_records_255" [E4 R4] control::request_records_255, "A Map-Request that says 255 records and has one."
    RequestMask33 "request_mask_33" [E4 R4] control::request_mask_33, "An IPv4 EID with a mask of 33 bits."
    RequestMask129 "request_mask_129" [E6 R4] control::request_mask_129, "An IPv6 EID with a mask of 129 bits."
    RequestAfiUnknown "request_afi_unknown" [R4] control::request_afi_unknown, "An EID of address family 0x1234."
    LcafNested16 "lcaf_nested_16" [E4 R4] control::lcaf_nested_16, "An EID in sixteen canonical addresses, one in the other."
    LcafLengthLies "lcaf_length_lies" [E4 R4] control::lcaf_length_lies, "A canonical address that says it is 65,535 bytes long."
    RegisterAuthLength "register_auth_length" [E4 R4] control::register_auth_length, "A Map-Register with 7 bytes of authentication for SHA-1."
    RegisterAlgorithm0 "register_algorithm_0" [E4 R4] control::register_algorithm_0, "A Map-Register without authentication."
    RegisterMacTruncated "register_mac_truncated" [R4] control::register_mac_truncated, "A Map-Register that ends within its authentication."
    RegisterKeyUnknown "register_key_unknown" [E4 R4] control::register_key_unknown, "A Map-Register under key 255."
    EcmInEcm "ecm_in_ecm" [E4 R4] control::ecm_in_ecm, "An encapsulated control message in another."
    InfoRequestFlood "info_request_flood" [R4] control::info_request, "Info-Requests, each with a nonce of its own."
    NonceZero "nonce_zero" [E4 R4] control::nonce_zero, "A Map-Request with nonce 0."
    NonceWrap "nonce_wrap" [E4 R4] control::nonce_wrap, "Map-Registers whose nonces go over the end, in turn."
    ReplyTtl0 "reply_ttl_0" [E4 R4] control::reply_ttl_0, "A Map-Reply nobody asked for, with a TTL of 0."
    ReplyTtlMax "reply_ttl_max" [E4 R4] control::reply_ttl_max, "A Map-Reply nobody asked for, with a TTL of 8,000 years."
    SmrUnknownRloc "smr_unknown_rloc" [E4 R4] control::smr_unknown_rloc, "A solicit-map-request from an RLOC that nobody knows."
}

impl Class {
    /// The class of a name.
    pub fn by_name(name: &str) -> Option<Class> {
        Self::ALL.iter().copied().find(|class| class.name() == name)
    }
}

/// Builds wrong packets, class after class.
#[derive(Debug)]
pub struct Forger {
    classes: Vec<Class>,
    scene: Scene,
    next: u64,
    packet: Vec<u8>,
}

impl Forger {
    /// For a profile's classes, from and to these MAC addresses; a worker's number makes its packets begin elsewhere.
    pub fn new(hostile: &Hostile, (source_mac, destination_mac): (Mac, Mac), worker: u32) -> Self {
        let Ground { eids_v4, eids_v6, rlocs_v4, rlocs_v6 } = hostile.ground;
        let scene = Scene {
            source_mac,
            destination_mac,
            e4: eids_v4.unwrap_or([Ipv4Addr::UNSPECIFIED; 2]),
            e6: eids_v6.unwrap_or([Ipv6Addr::UNSPECIFIED; 2]),
            r4: rlocs_v4.unwrap_or([Ipv4Addr::UNSPECIFIED; 2]),
            r6: rlocs_v6.unwrap_or([Ipv6Addr::UNSPECIFIED; 2]),
            turn: 0,
        };
        Self { classes: hostile.classes.clone(), scene, next: worker.into(), packet: Vec::new() }
    }

    /// The next packet; empty when there are no classes.
    pub fn forge(&mut self) -> &[u8] {
        let count = self.classes.len() as u64;
        if count > 0 {
            let class = self.classes[(self.next % count) as usize];
            self.packet = self.one(class, self.next / count);
            self.next += 1;
        }
        &self.packet
    }

    /// Packet number `turn` of a class.
    pub fn one(&self, class: Class, turn: u64) -> Vec<u8> {
        class.build(&Scene { turn, ..self.scene })
    }

    /// The longest packet of these classes in bytes.
    pub fn longest(&self) -> usize {
        let lengths = |&class: &Class| (0..2).map(move |turn| self.one(class, turn).len());
        self.classes.iter().flat_map(lengths).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

    fn forger() -> Forger {
        let hostile = Hostile {
            share: 1.0,
            classes: Class::ALL.to_vec(),
            ground: Ground {
                eids_v4: Some([[10, 1, 0, 10].into(), [10, 2, 0, 10].into()]),
                eids_v6: Some(["fd00:1::10", "fd00:2::10"].map(|text| text.parse().unwrap())),
                rlocs_v4: Some([[192, 0, 2, 1].into(), [192, 0, 2, 2].into()]),
                rlocs_v6: Some(["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap())),
            },
        };
        Forger::new(&hostile, (Mac([2; 6]), Mac([4; 6])), 0)
    }

    #[test]
    fn every_turn_of_every_class_is_a_frame_of_the_promised_length() {
        let (mut forger, mut seen) = (forger(), std::collections::BTreeSet::new());
        let longest = forger.longest();
        for class in Class::ALL {
            for turn in 0..600 {
                let packet = forger.one(*class, turn);
                assert!((15..=longest).contains(&packet.len()), "{class:?}, turn {turn}");
            }
            // Some begin as another class does and differ in the next turn.
            let turns = [0, 1].map(|turn| forger.one(*class, turn));
            assert!(seen.insert(turns), "{class:?} is as another class");
            assert_eq!(Class::by_name(class.name()), Some(*class));
            assert_eq!(forger.forge(), forger_at(*class));
        }
    }

    fn forger_at(class: Class) -> Vec<u8> {
        forger().one(class, 0)
    }

    /// Whether the IPv4 header at a place reads well, by somebody else's parser, and its checksum is right.
    fn ipv4_at(frame: &[u8], at: usize) -> (bool, bool) {
        Ipv4HeaderSlice::from_slice(&frame[at..]).map_or((false, false), |header| {
            (true, header.to_header().calc_header_checksum() == header.header_checksum())
        })
    }

    #[test]
    fn only_what_the_name_says_is_wrong() {
        const INNER: usize = 14 + 20 + 8 + 8;
        for (class, at, expected) in [
            (Class::Ipv4IhlBelow5, 14, (false, false)),
            (Class::Ipv4BadChecksum, 14, (true, false)),
            (Class::Ipv4Ttl0, 14, (true, true)),
            (Class::Ipv4Options, 14, (true, true)),
            (Class::VlanDepth2, 22, (true, true)),
            (Class::FragmentTiny, 14, (true, true)),
            (Class::OuterChecksumWrongV4, 14, (true, true)),
            (Class::InnerVersion, 14, (true, true)),
            (Class::InnerVersion, INNER, (false, false)),
            (Class::InnerTtl0, INNER, (true, true)),
            (Class::InnerSpoofed, INNER, (true, true)),
        ] {
            assert_eq!(ipv4_at(&forger_at(class), at), expected, "{class:?} at {at}");
        }
        let ttl = |class, at: usize| Ipv4HeaderSlice::from_slice(&forger_at(class)[at..]).unwrap().ttl();
        assert_eq!(
            (ttl(Class::Ipv4Ttl0, 14), ttl(Class::Ipv4Ttl1, 14), ttl(Class::InnerTtl0, INNER)),
            (0, 1, 0)
        );
        let frame = forger_at(Class::Ipv6HopLimit0);
        assert_eq!(Ipv6HeaderSlice::from_slice(&frame[14..]).unwrap().hop_limit(), 0);
        let frame = forger_at(Class::InnerSpoofed);
        assert_eq!(Ipv4HeaderSlice::from_slice(&frame[INNER..]).unwrap().source(), [203, 0, 113, 66]);
        assert_eq!(forger_at(Class::FrameOverMtu).len(), 1_600);
        assert_eq!(forger_at(Class::RuntFrame).len(), 15);
    }
}
