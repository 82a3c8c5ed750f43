"""From the agents into the tunnel, and between agents."""

from scapy.all import (
    ICMP,
    IP,
    TCP,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    IPOption,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    Raw,
    UDP,
    raw,
)

from .world import *

ONE_PORT = BASE.replace('[[port]]\nname = "eth1"\nside = "eid"\n\n', "").replace('side = "rloc"', 'side = "both"')


def carried(case, *packets, dst=B4, mac=A_MAC, gateway=GW_MAC, iid=100, vlan=None):
    """The agents send these packets, and each goes into the tunnel one hop older."""
    for packet in packets:
        case.agents_send(from_agent(packet, mac=mac, gateway=gateway, vlan=vlan))
        case.underlay_gets(to_tunnel(routed(packet), iid=iid, dst=dst))
    return case.count("eth0", encapsulated=len(packets))


LENGTHS = (0, 1, 18, 512, 1400)

carried(
    Case("encap-4-in-4", "IPv4 goes into an IPv4 tunnel, whatever its length.", GROUP_100 + to_b4()),
    *(udp4(length=length) for length in LENGTHS),
)
carried(
    Case("encap-6-in-4", "IPv6 goes into an IPv4 tunnel, whatever its length.", GROUP_100 + to_b4()),
    *(udp6(length=length) for length in LENGTHS),
)
carried(
    Case("encap-4-in-6", "IPv4 goes into an IPv6 tunnel, whatever its length.", GROUP_100 + to_b6()),
    *(udp4(length=length) for length in LENGTHS),
    dst=B6,
)
carried(
    Case("encap-6-in-6", "IPv6 goes into an IPv6 tunnel, whatever its length.", GROUP_100 + to_b6()),
    *(udp6(length=length) for length in LENGTHS[:-1] + (1396,)),
    dst=B6,
)

carried(
    Case("encap-other-protocols", "What is neither TCP nor UDP is carried too, and so are options and extension headers.",
         GROUP_100 + to_b4()),
    IP(src=A4, dst=R4, id=7) / ICMP(id=3, seq=4) / data(56),
    IPv6(src=A6, dst=R6) / ICMPv6EchoRequest(id=3, seq=4, data=b"ping"),
    IP(src=A4, dst=R4, id=7, proto=253) / data(40),
    IP(src=A4, dst=R4, id=7, proto=47) / data(4),
    IP(src=A4, dst=R4, id=7, options=[IPOption(b"\x94\x04\x00\x00")]) / UDP(sport=1, dport=2) / data(9),
    IPv6(src=A6, dst=R6) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2) / data(9),
    IPv6(src=A6, dst=R6) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2) / data(9),
    IPv6(src=A6, dst=R6, nh=59),
)

big = udp4(length=1200)
payload, payload6 = raw(fixed(big).payload), raw(fixed(udp6(length=1200)).payload)
carried(
    Case("encap-fragments", "Fragments are carried as they are, those of one datagram in one flow.", GROUP_100 + to_b4()),
    IP(src=A4, dst=R4, id=77, proto=17, flags="MF") / Raw(payload[:600]),
    IP(src=A4, dst=R4, id=77, proto=17, frag=75) / Raw(payload[600:]),
    IP(src=A4, dst=R4, id=77, proto=17, flags="MF+DF") / Raw(payload[:600]),
    IPv6(src=A6, dst=R6) / IPv6ExtHdrFragment(id=9, m=1, nh=17) / Raw(payload6[:600]),
    IPv6(src=A6, dst=R6) / IPv6ExtHdrFragment(id=9, offset=75, nh=17) / Raw(payload6[600:]),
)

case = Case("encap-ethernet-padding", "The zeros that Ethernet puts behind a short packet do not enter the tunnel.",
            GROUP_100 + to_b4())
for packet in (udp4(length=1), udp4(length=17)):
    case.agents_send(padded(from_agent(packet)))
    case.underlay_gets(to_tunnel(routed(packet)))

carried(
    Case("encap-dscp-ecn", "DSCP and ECN of the inner header are copied to the outer one (RFC 6040 normal mode).",
         GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("fd00:64::b:0/112", B6)),
    *(udp4(tos=dscp << 2 | ecn) for dscp in (0, 46, 63) for ecn in range(4)),
)
case = Case.all["encap-dscp-ecn"]
for dscp in (0, 46, 63):
    for ecn in range(4):
        packet = udp6(tc=dscp << 2 | ecn)
        case.agents_send(from_agent(packet))
        case.underlay_gets(to_tunnel(routed(packet), dst=B6))
case.count("eth0", encapsulated=24)

case = Case("udp-source-port-fixed", "With a fixed source port every flow leaves by it.",
            GROUP_100 + to_b4(), dataplane="udp_source_port = 61000")
for packet in (udp4(sport=1), udp4(sport=2), udp6(sport=3)):
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet), sport=61000))

case = Case("outer-df-off", "With outer_df off outer IPv4 headers may be fragmented, so each has an identification of its own.",
            GROUP_100 + to_b4() + mapping("10.1.3.0/24", B6), dataplane="outer_df = false")
for packet in (udp4(flags=DF), udp4(flags=DF), udp6()):
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet), flags=0))
case.agents_send(from_agent(udp4(dst="10.1.3.3")))
case.underlay_gets(to_tunnel(routed(udp4(dst="10.1.3.3")), dst=B6))

case = Case(
    "encap-udp-checksum",
    "A peer that wants outer UDP checksums gets right ones over IPv6, also where the sum would come out as zero.",
    GROUP_100 + mapping("10.1.2.0/24", (B6, "udp_checksum = true")) + mapping("fd00:64::b:0/112", (B6, "udp_checksum = true")),
    dataplane="udp_source_port = 61000",
)
for packet in (udp4(length=0), udp4(length=37), udp6(length=1001)):
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet), dst=B6, sport=61000, checksum=True))


def outer_sum(packet):
    frame = Ether(raw(to_tunnel(routed(packet), dst=B6, sport=61000, checksum=True)))
    return frame[UDP].chksum


def bare(sport):
    """A datagram without a checksum of its own, so that its source port moves the outer sum freely."""
    return IP(src=A4, dst=R4, id=5) / UDP(sport=sport, dport=9, chksum=0) / data(2)


# One of 65,535 source ports makes the outer sum come out as zero, which must be sent as 0xFFFF; one's-complement
# arithmetic says which.
packet = bare((1 + outer_sum(bare(1))) % 0xFFFF)
assert outer_sum(packet) == 0xFFFF
case.agents_send(from_agent(packet))
case.underlay_gets(to_tunnel(routed(packet), dst=B6, sport=61000, checksum=True))

case = Case("vlan", "Tagged agents belong to their VLAN's group, untagged ones to theirs: the same addresses never meet.",
            GROUP_100 + GROUP_200 + mapping("10.1.2.0/24", B4) + mapping("10.1.2.0/24", C4, iid=200))
case.agents_send(from_agent(udp4()), from_agent(udp4(), mac=A_MAC_200, gateway=GW_MAC_200, vlan=20, pcp=5))
case.underlay_gets(to_tunnel(routed(udp4())), to_tunnel(routed(udp4()), iid=200, dst=C4))
answer = udp4(src=R4, dst=A4)
case.underlay_sends(from_tunnel(answer, lisp(100)), from_tunnel(answer, lisp(200), src=C4))
case.agents_get(to_agent(answer), to_agent(answer, mac=A_MAC_200, gateway=GW_MAC_200, vlan=20))
case.at(10).agents_send(from_agent(udp4(), vlan=30), from_agent(udp4(), mac=A_MAC_200, gateway=GW_MAC_200, vlan=4095))
case.count("eth1", drop_unknown_vlan=2)
# A's locator is none of group 200's.
case.at(20).underlay_sends(from_tunnel(answer, lisp(200), src=B4), from_tunnel(answer, lisp(100), src=C4))
case.count("eth0", drop_rloc_spoof=2, encapsulated=2, decapsulated=2)

case = Case("vlan-priority-tag", "A tag with VLAN 0 carries a priority only: the packet counts as untagged.",
            GROUP_100 + to_b4())
case.agents_send(from_agent(udp4(), vlan=0, pcp=6))
case.underlay_gets(to_tunnel(routed(udp4())))

case = Case("vlan-two-tags", "A second tag is not looked behind.", GROUP_200 + mapping("10.1.2.0/24", B4, iid=200))
case.agents_send(Ether(src=A_MAC_200, dst=GW_MAC_200) / Dot1Q(vlan=20) / Dot1Q(vlan=20) / udp4())
case.count("eth1", drop_not_ip=1)

case = Case("one-port-for-both-sides", "One NIC carries LISP untagged and a group behind its tag.",
            GROUP_200.replace("eth1", "eth0") + mapping("10.1.2.0/24", B4, iid=200), base=ONE_PORT)
case.agents_send(from_agent(udp4(), mac=A_MAC_200, gateway=GW_MAC_200, vlan=20), port="eth0")
case.underlay_gets(to_tunnel(routed(udp4()), iid=200))
case.at(10).underlay_sends(from_tunnel(answer, lisp(200)))
case.agents_get(to_agent(answer, mac=A_MAC_200, gateway=GW_MAC_200, vlan=20), port="eth0")
case.count("eth0", encapsulated=1, decapsulated=1)

GROUP_0 = GROUP_100.replace("iid = 100", "iid = 0")
case = Case("iid-zero", "Instance-ID 0 is sent without the I bit, and its absence means 0.",
            GROUP_0 + mapping("10.1.2.0/24", B4, iid=0))
case.agents_send(from_agent(udp4(), mac=A_MAC_0, gateway=GW_MAC_0))
case.underlay_gets(to_tunnel(routed(udp4()), iid=0))
case.at(10).underlay_sends(from_tunnel(answer, bytes(8)), from_tunnel(answer, lisp(0)))
case.agents_get(*[to_agent(answer, mac=A_MAC_0, gateway=GW_MAC_0)] * 2)

case = Case("longest-prefix", "The longest prefix decides, down to a single host.",
            GROUP_100 + mapping("10.0.0.0/8", C4) + mapping("10.1.2.0/24", B4) + mapping("10.1.2.200/32", C4)
            + mapping("::/0", B6) + mapping("fd00:64::b:0/112", B4))
for packet, dst in ((udp4(), B4), (udp4(dst="10.1.2.200"), C4), (udp4(dst="10.1.3.1"), C4), (udp4(dst="10.200.0.1"), C4),
                    (udp6(), B4), (udp6(dst="2001:db8:ffff::1"), B6)):
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet), dst=dst))

case = Case(
    "locators",
    "The best locator that the underlay reaches is used; every other one of the mapping is still a valid source.",
    GROUP_100 + mapping("10.1.2.0/24", (C4, "priority = 3"), (B4, "priority = 2"), (SILENT, "priority = 1"),
                        (B6, "priority = 255")),
)
case.agents_send(from_agent(udp4()), from_agent(udp4(sport=5)))
case.underlay_gets(to_tunnel(routed(udp4())), to_tunnel(routed(udp4(sport=5))))
sources = (B4, C4, SILENT, B6)
case.at(10).underlay_sends(*(from_tunnel(answer, src=src) for src in sources), from_tunnel(answer, src=NARROW))
case.agents_get(*[to_agent(answer)] * len(sources))
case.count("eth0", drop_rloc_spoof=1)

case = Case("no-locator", "A mapping whose locators are all unusable or never for sending drops, and nothing leaves.",
            GROUP_100 + mapping("10.1.2.0/24", (B4, "priority = 255"), SILENT) + mapping("10.1.3.0/24", SILENT))
case.agents_send(from_agent(udp4()), from_agent(udp4(dst="10.1.3.3")))
case.count("eth1", drop_no_locator=2)

case = Case("local-switching", "Agents of one site reach each other through the gateway without a tunnel.", GROUP_100 + to_b4())
for packet, back in ((udp4(dst=A2_4), udp4(src=A2_4, dst=A4)), (udp6(dst=A2_6), udp6(src=A2_6, dst=A6))):
    case.agents_send(from_agent(packet), from_agent(back, mac=A2_MAC))
    case.agents_get(to_agent(routed(packet), mac=A2_MAC), to_agent(routed(back)))
case.count("eth1", switched=4)

case = Case("source-not-local", "An agent may use only source addresses that are served on its own port and VLAN.",
            GROUP_100 + GROUP_200 + to_b4() + mapping("10.1.2.0/24", B4, iid=200))
spoofed = [udp4(src=src) for src in (R4, "10.99.0.1", "0.0.0.0", "127.0.0.1", "255.255.255.255", GW4)]
spoofed += [udp6(src=src) for src in (R6, "::", "fe80::5", "2001:db8::1")]
case.agents_send(*(from_agent(packet) for packet in spoofed))
case.agents_send(from_agent(udp6(), mac=A_MAC_200, gateway=GW_MAC_200, vlan=20))
case.count("eth1", drop_src_not_local=len(spoofed) + 1)

case = Case("eid-side-malformed", "Frames that end too early or contradict themselves are counted by what is wrong.",
            GROUP_100 + to_b4())
four, six = raw(from_agent(udp4())), raw(from_agent(udp6()))
cut = [four[:13], four[:14], four[:33], four[:-1], six[:53], six[:-1], raw(from_agent(udp4(), vlan=0))[:17]]
case.agents_send(*cut)
version5 = fixed(udp4())
version5.version = 5
wrong_version = [from_agent(raw(version5)), Ether(src=A_MAC, dst=GW_MAC, type=0x0800) / raw(udp6()),
                 Ether(src=A_MAC, dst=GW_MAC, type=0x86DD) / raw(udp4())]
wrong_version[0] = Ether(src=A_MAC, dst=GW_MAC, type=0x0800) / raw(version5)
case.agents_send(*wrong_version)
wrong_header = [from_agent(udp4(ihl=4)), from_agent(udp4(len=19)), from_agent(udp4(ihl=15, len=46))]
case.agents_send(*wrong_header)
case.agents_send(from_agent(udp4(chksum=0xDEAD)), from_agent(udp4(chksum=0)))
case.agents_send(Ether(src=A_MAC, dst=GW_MAC, type=0x88CC) / data(46), Ether(src=A_MAC, dst=GW_MAC, type=46) / data(46))
case.count("eth1", drop_truncated=len(cut), drop_bad_version=3, drop_bad_header=3, drop_bad_checksum=2, drop_not_ip=2)

case = Case("eid-side-multicast", "Multicast and broadcast are not forwarded.", GROUP_100 + to_b4())
groups = [udp4(dst=dst) for dst in ("224.0.0.251", "239.1.2.3", "255.255.255.255", "240.0.0.1")]
groups += [udp6(dst=dst) for dst in ("ff02::fb", "ff0e::1")]
case.agents_send(*(from_agent(packet) for packet in groups))
case.count("eth1", drop_multicast=len(groups))

SYN = [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]


def syn4(mss, flags="S", options=None, **ip):
    options = options or [("MSS", mss)] + SYN[1:]
    return IP(src=ip.pop("src", A4), dst=ip.pop("dst", R4), id=1, **ip) / TCP(sport=40000, dport=80, flags=flags, options=options)


def syn6(mss, flags="S", **ip):
    return IPv6(src=ip.pop("src", A6), dst=ip.pop("dst", R6), **ip) / TCP(sport=40000, dport=80, flags=flags, options=[("MSS", mss)] + SYN[1:])


case = Case("mss-encap", "The MSS of a SYN into the tunnel is lowered to what fits, its checksum with it; nothing else is touched.",
            GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("fd00:64::b:0/112", B6) + mapping("10.1.3.0/24", NARROW))
odd = [("NOP", None)]
clamped = [
    (syn4(1460), syn4(1424), B4),
    (syn4(1460, "SA"), syn4(1424, "SA"), B4),
    (syn4(1460, options=odd + [("MSS", 1460)]), syn4(1424, options=odd + [("MSS", 1424)]), B4),
    (syn4(9000, dst="10.1.3.3"), syn4(1324, dst="10.1.3.3"), NARROW),
    (syn6(1440), syn6(1384), B6),
]
alone = [
    (syn4(1424), B4),
    (syn4(536), B4),
    (syn4(1460, "A"), B4),
    (IP(src=A4, dst=R4, id=1) / TCP(sport=40000, dport=80, flags="S"), B4),
    (syn6(1384), B6),
]
for before, after, dst in clamped:
    case.agents_send(from_agent(before))
    case.underlay_gets(to_tunnel(routed(after), dst=dst))
for packet, dst in alone:
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet), dst=dst))
case.count("eth0", mss_clamped=len(clamped))

case = Case("mss-decap", "The MSS of a SYN out of the tunnel is lowered to what the way back carries.",
            GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("fd00:64::b:0/112", B6))
for before, after, src in ((syn4(1460, src=R4, dst=A4), syn4(1424, src=R4, dst=A4), B4),
                           (syn6(1440, "SA", src=R6, dst=A6), syn6(1384, "SA", src=R6, dst=A6), B6),
                           (syn4(1000, src=R4, dst=A4), syn4(1000, src=R4, dst=A4), B4)):
    outer = dict(hlim=64) if src == B6 else dict(ttl=64)
    case.underlay_sends(from_tunnel(before, src=src, ip=outer))
    case.agents_get(to_agent(after))
case.count("eth1", mss_clamped=2)

case = Case("mss-off", "With mss_clamp off a SYN keeps its MSS.", GROUP_100 + to_b4(), dataplane="mss_clamp = false")
case.agents_send(from_agent(syn4(1460)))
case.underlay_gets(to_tunnel(routed(syn4(1460))))
