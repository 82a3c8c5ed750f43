"""Out of the tunnel to the agents."""

from scapy.all import IP, UDP, Ether, ICMP, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw, TCP, raw

from .world import *

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
DROP = None
ANSWER4, ANSWER6 = udp4(src=R4, dst=A4), udp6(src=R6, dst=A6)


def delivered(case, *pairs):
    """The underlay sends each frame, and the agent gets the packet."""
    for frame, packet in pairs:
        case.underlay_sends(frame)
        case.agents_get(to_agent(packet))
    return case


def outer_ttl(src, ttl):
    return {"hlim" if ":" in src else "ttl": ttl}


def outer_tos(src, tos):
    return {"tc" if ":" in src else "tos": tos}


LENGTHS = (0, 1, 18, 512, 1400)
for inner_family, answers in (("4", [udp4(src=R4, dst=A4, length=n, ttl=33) for n in LENGTHS]),
                              ("6", [udp6(src=R6, dst=A6, length=n, hlim=33) for n in LENGTHS[:-1] + (1396,)])):
    for outer_family, src, mappings in (("4", B4, to_b4()), ("6", B6, to_b6())):
        case = Case(f"decap-{inner_family}-in-{outer_family}",
                    f"IPv{inner_family} comes out of an IPv{outer_family} tunnel as it went in, and goes to its agent's MAC.",
                    GROUP_100 + mappings)
        delivered(case, *((from_tunnel(packet, src=src), packet) for packet in answers))
        case.count("eth0", decapsulated=len(answers))

case = Case("decap-other-protocols", "Fragments, options and extension headers come out of the tunnel untouched.",
            GROUP_100 + to_b4())
for packet in (
    IP(src=R4, dst=A4, id=7, ttl=60) / ICMP(type=0, id=3, seq=4) / data(56),
    IP(src=R4, dst=A4, id=7, ttl=60, proto=17, frag=10) / data(40),
    IP(src=R4, dst=A4, id=7, ttl=60, options=[IPOption(b"\x94\x04\x00\x00")]) / UDP(sport=1, dport=2) / data(9),
    IPv6(src=R6, dst=A6, hlim=60) / IPv6ExtHdrFragment(id=9, offset=75, nh=17) / data(40),
    IPv6(src=R6, dst=A6, hlim=60) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2) / data(9),
):
    delivered(case, (from_tunnel(packet), fixed(packet)))

case = Case("decap-padding", "What stands behind the outer packet, behind UDP or behind the inner packet is left out.",
            GROUP_100 + to_b4())
short = udp4(src=R4, dst=A4, length=0, ttl=60)
delivered(
    case,
    (padded(from_tunnel(short), 100), short),
    (from_tunnel(short, udp={"len": 16 + 28}, tail=b"\xee" * 9), short),
    (from_tunnel(short, tail=b"\xee" * 7), short),
)

# RFC 6040 figure 4. Rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer Not-ECT, ECT(0), ECT(1), CE.
ORDER = (NOT_ECT, ECT0, ECT1, CE)
FIGURE_4 = {
    NOT_ECT: (NOT_ECT, NOT_ECT, NOT_ECT, DROP),
    ECT0: (ECT0, ECT0, ECT1, CE),
    ECT1: (ECT1, ECT1, ECT1, CE),
    CE: (CE, CE, CE, CE),
}
# The pairs that the figure marks as "currently unused" (!): counted.
SUSPICIOUS = {(NOT_ECT, ECT1), (ECT1, NOT_ECT), (ECT1, ECT0), (CE, ECT1)}
for name, src, mappings, make in (("decap-ecn-4", B4, to_b4(), lambda ecn: udp4(src=R4, dst=A4, tos=ecn, ttl=60)),
                                  ("decap-ecn-6", B6, to_b6(), lambda ecn: udp6(src=R6, dst=A6, tc=ecn, hlim=60))):
    case = Case(name, "ECN of both headers combines as RFC 6040 figure 4 says, all sixteen pairs.", GROUP_100 + mappings)
    for inner, row in FIGURE_4.items():
        for outer, result in zip(ORDER, row):
            case.underlay_sends(from_tunnel(make(inner), src=src, ip=outer_tos(src, outer)))
            if result is not DROP:
                case.agents_get(to_agent(make(result)))
    case.count("eth0", drop_ecn_ce=1, ecn_suspicious=len(SUSPICIOUS), decapsulated=15)

for name, sentence, knob, kept in (
    ("decap-dscp-uniform", "The outer DSCP, as the underlay left it, is copied inwards; ECN still follows RFC 6040.", "", 10),
    ("decap-dscp-pipe", "With dscp_decap pipe the inner DSCP stays; ECN still follows RFC 6040.", 'dscp_decap = "pipe"', 46),
):
    case = Case(name, sentence, GROUP_100 + to_b4(), dataplane=knob)
    delivered(case, (from_tunnel(udp4(src=R4, dst=A4, tos=46 << 2 | ECT0, ttl=60), ip={"tos": 10 << 2 | CE}),
                     udp4(src=R4, dst=A4, tos=kept << 2 | CE, ttl=60)))
    delivered(case, (from_tunnel(udp6(src=R6, dst=A6, tc=46 << 2 | ECT0, hlim=60), ip={"tos": 10 << 2 | ECT0}),
                     udp6(src=R6, dst=A6, tc=kept << 2 | ECT0, hlim=60)))

case = Case("decap-ttl", "The inner TTL becomes the smaller of both and is never raised; what is 0 is not delivered.",
            GROUP_100 + to_b4() + mapping("10.1.3.0/24", B6))
for inner, outer in ((64, 20), (20, 64), (1, 64), (64, 1), (255, 255), (1, 1)):
    left = min(inner, outer)
    delivered(case, (from_tunnel(udp4(src=R4, dst=A4, ttl=inner), ip={"ttl": outer}), udp4(src=R4, dst=A4, ttl=left)))
    delivered(case, (from_tunnel(udp6(src=R6, dst=A6, hlim=inner), ip={"ttl": outer}), udp6(src=R6, dst=A6, hlim=left)))
    delivered(case, (from_tunnel(udp4(src="10.1.3.3", dst=A4, ttl=inner), src=B6, ip={"hlim": outer}),
                     udp4(src="10.1.3.3", dst=A4, ttl=left)))

case = Case("lisp-flags", "Nonces, versions, status bits and reserved bits are nobody's business yet; the packet is delivered.",
            GROUP_100 + to_b4())
for header in (
    lisp(flags=0x88, nonce=0xABCDEF),           # N: a nonce
    lisp(flags=0xA8, nonce=0xABCDEF),           # N and E: please echo it
    lisp(flags=0x28),                           # E without N: meaningless
    lisp(flags=0x18, nonce=0x001002),           # V: map-versions
    lisp(flags=0x98, nonce=0x001002),           # N and V: never sent, taken as a nonce
    lisp(flags=0x48, lsb=0x03),                 # L: status bits
    lisp(flags=0x08, lsb=0xFF),                 # status bits without L
    lisp(flags=0x08, nonce=0xFFFFFF),           # bits that should be zero
):
    delivered(case, (from_tunnel(ANSWER4, header, ip={"ttl": 64}), ANSWER4))

case = Case("lisp-gpe", "With the P bit the last byte of the nonce field names the payload: IP is taken, nothing else.",
            GROUP_100 + to_b4())
delivered(case, (from_tunnel(ANSWER4, lisp(flags=0x0C, nonce=0x000001), ip={"ttl": 64}), ANSWER4),
          (from_tunnel(ANSWER6, lisp(flags=0x0C, nonce=0x000002), ip={"ttl": 64}), ANSWER6),
          (from_tunnel(ANSWER4, lisp(flags=0x0C, nonce=0xFFFF01), ip={"ttl": 64}), ANSWER4))
other = [lisp(flags=0x0C, nonce=protocol) for protocol in (0, 3, 4, 0x80, 0xFF)]
case.underlay_sends(*(from_tunnel(ANSWER4, header) for header in other))
case.count("eth0", drop_lisp_next_protocol=len(other))

case = Case("lisp-key-bits", "Encrypted packets without a key are not taken for clear text.", GROUP_100 + to_b4())
case.underlay_sends(*(from_tunnel(ANSWER4, lisp(flags=0x08 | kk)) for kk in (1, 2, 3)))
case.count("eth0", drop_lisp_crypto=3)

case = Case("unknown-iid", "A group that is not here, no instance-ID at all, and the one that is reserved.",
            GROUP_100 + to_b4())
case.underlay_sends(from_tunnel(ANSWER4, lisp(101)), from_tunnel(ANSWER4, lisp(0xFFFFFE)), from_tunnel(ANSWER4, bytes(8)))
case.underlay_sends(from_tunnel(ANSWER4, lisp(0xFFFFFF)))
case.count("eth0", drop_unknown_iid=3, drop_control_in_data=1)

case = Case("rloc-spoof", "What does not come from a locator of the inner source's mapping is refused, and so is our own EID.",
            GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("10.1.3.0/24", C4) + mapping("fd00:64::b:0/112", B6))
spoofed = [
    from_tunnel(ANSWER4, src=C4),
    from_tunnel(ANSWER4, src="198.51.100.77"),
    from_tunnel(ANSWER4, src=B6),
    from_tunnel(udp4(src="10.1.3.3", dst=A4), src=B4),
    from_tunnel(ANSWER6, src=B4),
    from_tunnel(ANSWER6, src="2001:db8:b::3"),
    from_tunnel(udp4(src=A2_4, dst=A4), src=B4),
]
case.underlay_sends(*spoofed)
case.count("eth0", drop_rloc_spoof=len(spoofed))

case = Case(
    "unknown-source",
    "A source nobody has mapped is resolved before the packet is judged; the answer is that it does not exist.",
    GROUP_100 + to_b4(),
)
case.underlay_sends(from_tunnel(udp4(src="10.9.9.9", dst=A4)))
case.count("eth0", held_total=1, misses=1, drop_rloc_spoof=1)

case = Case("destination-not-local", "What is not for an agent of this site is not forwarded: no transit, no gateway address.",
            GROUP_100 + to_b4())
elsewhere = [udp4(src=R4, dst=dst) for dst in ("10.1.2.10", "10.9.9.9", GW4)] + [udp6(src=R6, dst="fd00:64::c:1")]
case.underlay_sends(*(from_tunnel(packet) for packet in elsewhere))
case.count("eth0", drop_dst_not_local=len(elsewhere))

case = Case("decap-multicast", "Multicast out of a tunnel is not delivered.", GROUP_100 + to_b4())
case.underlay_sends(*(from_tunnel(udp4(src=R4, dst=dst)) for dst in ("224.0.0.251", "255.255.255.255")),
                    from_tunnel(udp6(src=R6, dst="ff02::fb")))
case.count("eth0", drop_multicast=3)

case = Case("outer-addresses", "Only what is sent to one of our RLOCs, and not by ourselves, is taken.", GROUP_100 + to_b4())
case.underlay_sends(from_tunnel(ANSWER4, dst="192.0.2.77"), from_tunnel(ANSWER4, src=B6, dst="2001:db8:a::77"))
case.underlay_sends(from_tunnel(ANSWER4, src=RLOC4), from_tunnel(ANSWER4, src=RLOC6))
case.count("eth0", drop_not_our_rloc=2, drop_own_rloc_source=2)

case = Case("outer-not-lisp", "Other ports, other protocols and outer fragments are not LISP.", GROUP_100 + to_b4())
fragment6 = (Ether(src=ROUTER, dst=ETH0) / IPv6(src=B6, dst=RLOC6) / IPv6ExtHdrFragment(m=1, id=4, nh=17)
             / UDP(sport=1, dport=LISP, chksum=0) / Raw(lisp() + raw(ANSWER4)))
not_lisp = [
    from_tunnel(ANSWER4, udp={"dport": 4342}),
    from_tunnel(ANSWER4, ip={"flags": "MF"}),
    from_tunnel(ANSWER4, ip={"frag": 2}),
    Ether(src=ROUTER, dst=ETH0) / IP(src=B4, dst=RLOC4) / TCP(dport=LISP) / data(40),
    fragment6,
    Ether(src=ROUTER, dst=ETH0) / IPv6(src=B6, dst=RLOC6) / TCP(dport=LISP) / data(40),
]
case.underlay_sends(*not_lisp)
case.count("eth0", drop_outer_not_lisp=len(not_lisp))

case = Case("outer-options", "Outer IPv4 options and IPv6 extension headers are stepped over.", GROUP_100 + to_b4() + mapping("10.1.3.0/24", B6))
behind = (Ether(src=ROUTER, dst=ETH0) / IPv6(src=B6, dst=RLOC6, hlim=64) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])
          / UDP(sport=1, dport=LISP, chksum=0) / Raw(lisp() + raw(udp4(src="10.1.3.3", dst=A4))))
delivered(case, (from_tunnel(ANSWER4, ip={"options": [IPOption(b"\x94\x04\x00\x00")], "ttl": 64}), ANSWER4),
          (behind, udp4(src="10.1.3.3", dst=A4)))

case = Case("checksums", "Checksums that are there must be right; an outer UDP checksum of zero is none, also over IPv6.",
            GROUP_100 + to_b4() + mapping("10.1.3.0/24", B6))
from_c = udp4(src="10.1.3.3", dst=A4)
delivered(
    case,
    (from_tunnel(ANSWER4, udp={"chksum": None}, ip={"ttl": 64}), ANSWER4),
    (from_tunnel(udp4(src=R4, dst=A4, length=333), udp={"chksum": None}, ip={"ttl": 64}), udp4(src=R4, dst=A4, length=333)),
    (from_tunnel(from_c, src=B6, udp={"chksum": None}, ip={"hlim": 64}), from_c),
    (from_tunnel(from_c, src=B6, ip={"hlim": 64}), from_c),
)
wrong_outer = [
    from_tunnel(ANSWER4, udp={"chksum": 0xBAD0}),
    from_tunnel(from_c, src=B6, udp={"chksum": 0xBAD0}),
    from_tunnel(ANSWER4, ip={"chksum": 0xBAD0}),
]
case.underlay_sends(*wrong_outer)
case.underlay_sends(from_tunnel(udp4(src=R4, dst=A4, chksum=0xBAD0)))
# The agents' own transport checksums are theirs to check.
careless = fixed(udp4(src=R4, dst=A4))
careless[UDP].chksum = 0xBAD0
delivered(case, (from_tunnel(careless, ip={"ttl": 64}), careless))
case.count("eth0", drop_outer_bad_checksum=3, drop_bad_checksum=1)

case = Case("rloc-side-malformed", "Tunnel packets whose lengths cannot be true, outer and inner.", GROUP_100 + to_b4() + mapping("10.1.3.0/24", B6))
whole, whole6 = raw(from_tunnel(ANSWER4)), raw(from_tunnel(from_c, src=B6))
cut = [whole[:10], whole[:14], whole[:30], whole6[:50]]
bad_length = [
    whole[:-1],
    whole6[:-1],
    whole[:50],
    from_tunnel(ANSWER4, ip={"ihl": 4}),
    from_tunnel(ANSWER4, ip={"len": 19}),
    from_tunnel(ANSWER4, udp={"len": 15}),
    from_tunnel(ANSWER4, udp={"len": 200}),
    Ether(src=ROUTER, dst=ETH0) / IP(src=B4, dst=RLOC4) / UDP(sport=1, dport=LISP, chksum=0) / Raw(b"\x08\0\0"),
    Ether(src=ROUTER, dst=ETH0) / IP(src=B4, dst=RLOC4, proto=17) / Raw(b"\x12\x34\x10\xf5"),
]
odd = [
    (Ether(src=ROUTER, dst=ETH0, type=0x0800) / raw(ANSWER6), "version"),
    (Ether(src=ROUTER, dst=ETH0, type=0x86DD) / raw(ANSWER4), "version"),
]
five = bytes([0x55]) + raw(ANSWER4)[1:]
inner = [b"", raw(ANSWER4)[:19], raw(ANSWER4)[:-1], five, raw(udp4(src=R4, dst=A4, ihl=4)), raw(udp4(src=R4, dst=A4, len=19)),
         raw(ANSWER6)[:39], raw(ANSWER6)[:-1], b"\x45", b"\x60"]
inner = [from_tunnel(packet) for packet in inner]
# The inner packet ends behind the UDP datagram, though its bytes are there.
inner.append(from_tunnel(ANSWER4, udp={"len": 16 + len(raw(ANSWER4)) - 1}))
case.underlay_sends(*cut, *bad_length, *(frame for frame, _ in odd), *inner)
case.underlay_sends(arp(1, ROUTER, "192.0.2.254", RLOC4))
case.count("eth0", drop_truncated=len(cut), drop_outer_bad_length=len(bad_length), drop_bad_version=len(odd),
           drop_inner_malformed=len(inner), drop_not_ip=1)
