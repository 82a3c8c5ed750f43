"""TTL and size: what the gateway refuses, splits, and tells."""

from scapy.all import (
    ICMP,
    IP,
    UDP,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPOption,
    IPv6,
    Raw,
    raw,
)

from .world import *

CS6 = 48 << 2


def error4(icmp, original, to=A4, gateway=GW4):
    """An ICMP error from the gateway, quoting so much that it has 576 bytes at most (RFC 1812 section 4.3.2.3)."""
    return IP(src=gateway, dst=to, ttl=64, tos=CS6, id=0, flags=DF) / icmp / Raw(raw(original)[: 576 - 28])


def error6(icmp, original, to=A6):
    """An ICMPv6 error, quoting so much that it has 1280 bytes at most (RFC 4443 section 2.4 (c))."""
    return IPv6(src=GW6, dst=to, hlim=64, tc=CS6) / icmp / Raw(raw(original)[: 1280 - 48])


def time_exceeded(packet, **more):
    if isinstance(packet, IP):
        return error4(ICMP(type=11, code=0), packet, **more)
    return error6(ICMPv6TimeExceeded(code=0), packet, **more)


def too_big(packet, mtu, **more):
    if isinstance(packet, IP):
        return error4(ICMP(type=3, code=4, nexthopmtu=mtu), packet, **more)
    return error6(ICMPv6PacketTooBig(mtu=mtu), packet, **more)


def remote(n):
    return f"10.1.2.{n}"


case = Case("ttl-encap", "TTL 2 passes with 1 left; 1 and 0 end here and the source is told by its gateway.",
            GROUP_100 + GROUP_200 + to_b4() + mapping("10.1.2.0/24", B4, iid=200))
for packet in (udp4(ttl=2), udp4(ttl=255), udp6(hlim=2)):
    case.agents_send(from_agent(packet))
    case.underlay_gets(to_tunnel(routed(packet)))
dead = [udp4(ttl=1), udp4(ttl=0, dst=remote(1)), udp4(ttl=1, dst=remote(2), length=1400),
        udp6(hlim=1), udp6(hlim=0, dst="fd00:64::b:1"), udp6(hlim=1, dst="fd00:64::b:2", length=1300),
        udp4(ttl=1, dst=A2_4)]
for packet in dead:
    case.agents_send(from_agent(packet))
    case.agents_get(to_agent(time_exceeded(packet)))
packet = udp4(ttl=1, dst=remote(3))
case.agents_send(from_agent(packet, mac=A_MAC_200, gateway=GW_MAC_200, vlan=20))
case.agents_get(to_agent(time_exceeded(packet), mac=A_MAC_200, gateway=GW_MAC_200, vlan=20))
case.count("eth1", drop_ttl_exceeded=len(dead) + 1, icmp_errors=len(dead) + 1, made=len(dead) + 1)

case = Case("ttl-decap-zero", "A tunnel packet with TTL 0 inside is not delivered; its source is told through the tunnel.",
            GROUP_100 + to_b4())
for packet, answer in ((udp4(src=R4, dst=A4, ttl=0), lambda p: time_exceeded(p, to=R4)),
                       (udp6(src=R6, dst=A6, hlim=0), lambda p: time_exceeded(p, to=R6))):
    case.underlay_sends(from_tunnel(packet))
    case.underlay_gets(to_tunnel(answer(packet)))
case.count("eth0", drop_ttl_exceeded=2, icmp_errors=2, made=2)

case = Case("icmp-silence", "No error answers an error, a later fragment, or anything whose type cannot be told.",
            GROUP_100 + to_b4())
silent = [
    IP(src=A4, dst=R4, ttl=1) / ICMP(type=3, code=1) / Raw(raw(udp4())),
    IP(src=A4, dst=remote(1), ttl=1) / ICMP(type=11) / Raw(raw(udp4())),
    IP(src=A4, dst=remote(2), ttl=1, proto=17, frag=10) / data(40),
    IP(src=A4, dst=remote(3), ttl=1, proto=1),
    IPv6(src=A6, dst=R6, hlim=1) / ICMPv6DestUnreach() / Raw(raw(udp6())),
    IPv6(src=A6, dst="fd00:64::b:1", hlim=1) / ICMPv6PacketTooBig() / Raw(raw(udp6())),
]
case.agents_send(*(from_agent(packet) for packet in silent))
told = [IP(src=A4, dst=remote(4), ttl=1) / ICMP(type=8) / data(8), IPv6(src=A6, dst="fd00:64::b:4", hlim=1) / ICMPv6EchoRequest()]
for packet in told:
    case.agents_send(from_agent(packet))
    case.agents_get(to_agent(time_exceeded(packet)))
case.count("eth1", drop_ttl_exceeded=len(silent) + len(told), icmp_errors=len(told), made=len(told))

case = Case("icmp-rate", "One error a second for one source and destination, and each pair has its own.", GROUP_100 + to_b4())
packet, other = udp4(ttl=1), udp4(ttl=1, dst=remote(1))
for clock_ms, frames, answers in ((0, [packet, packet], [packet]), (500, [packet, other], [other]), (999, [packet], []), (1000, [packet], [packet])):
    case.at(clock_ms).agents_send(*map(from_agent, frames))
    case.agents_get(*(to_agent(time_exceeded(answer)) for answer in answers))
case.count("eth1", drop_ttl_exceeded=6, icmp_errors=3, icmp_suppressed=3, made=3)

case = Case("mtu-dont-fragment", "A packet that fits to the byte passes; one byte more with DF, or IPv6, and the source is told what fits.",
            GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("10.1.3.0/24", B6) + mapping("fd00:64::b:0/112", B4)
            + mapping("fd00:64::c:0/112", B6))


def sized4(total, **ip):
    return udp4(length=total - 28, **ip)


def sized6(total, **ip):
    return udp6(length=total - 48, **ip)


for fits, over, mtu, dst in (
    (sized4(1464, flags=DF), sized4(1465, flags=DF), 1464, B4),
    (sized4(1444, flags=DF, dst="10.1.3.3"), sized4(1445, flags=DF, dst="10.1.3.3"), 1444, B6),
    (sized6(1464), sized6(1465), 1464, B4),
    (sized6(1444, dst="fd00:64::c:9"), sized6(1500, dst="fd00:64::c:9"), 1444, B6),
):
    case.agents_send(from_agent(fits), from_agent(over))
    case.underlay_gets(to_tunnel(routed(fits), dst=dst))
    case.agents_get(to_agent(too_big(over, mtu)))
case.count("eth1", drop_too_big=4, icmp_errors=4, made=4)

case = Case("mtu-smallest-locator", "The size that counts is the smallest over the usable locators of a mapping.",
            GROUP_100 + mapping("10.1.2.0/24", B4, (NARROW, "priority = 2"), (SILENT, "priority = 3")))
packet = sized4(1365, flags=DF)
case.agents_send(from_agent(packet), from_agent(sized4(1364, flags=DF)))
case.underlay_gets(to_tunnel(routed(sized4(1364, flags=DF))))
case.agents_get(to_agent(too_big(packet, 1364)))
case.count("eth1", drop_too_big=1, icmp_errors=1, made=1)


def halves(packet, cut, second_options=None):
    """Two fragments of an IPv4 packet, cut behind this many bytes of its payload: half of it, up to the next eighth."""
    packet = fixed(packet)
    payload = raw(packet.payload)
    first, second = packet.copy(), packet.copy()
    for part, body in ((first, payload[:cut]), (second, payload[cut:])):
        part.remove_payload()
        part.add_payload(Raw(body))
        del part.len, part.chksum, part.ihl
    first.flags = "MF"
    second.frag = packet.frag + cut // 8
    if second_options is not None:
        second.options = second_options
    return IP(raw(first)), IP(raw(second))


case = Case("mtu-split", "Without DF a packet that is too big becomes two fragments of about half its size, each in its own tunnel packet.",
            GROUP_100 + mapping("10.1.2.0/24", B4) + mapping("10.1.3.0/24", B6))
not_copied, copied = IPOption(b"\x5e\x04\xaa\xbb"), IPOption(b"\x9e\x04\xcc\xdd")
with_options = IP(src=A4, dst=R4, id=9, options=[not_copied, copied]) / UDP(sport=1, dport=2) / data(1440)
middle = IP(src=A4, dst=R4, id=8, proto=17, flags="MF", frag=100) / data(1480)
last = IP(src=A4, dst=R4, id=8, proto=17, frag=300) / data(1479)
for packet, cut, dst, options in (
    (sized4(1465), 728, B4, None),
    (sized4(1500), 744, B4, None),
    (sized4(1445, dst="10.1.3.3"), 712, B6, None),
    (middle, 744, B4, None),
    (last, 744, B4, None),
    (with_options, 728, B4, [copied]),
):
    case.agents_send(from_agent(packet))
    case.underlay_gets(*(to_tunnel(routed(part), dst=dst) for part in halves(packet, cut, options)))
case.count("eth0", fragmented=6, made=6)

case = Case("mtu-agents-link", "Out of the tunnel the agents' own link sets the size, with the same answers.", GROUP_100 + to_b4())
over = sized4(1501, src=R4, dst=A4, ttl=60)
over_df = sized4(1501, src=R4, dst=A4, flags=DF)
over6 = sized6(1501, src=R6, dst=A6)
case.underlay_sends(from_tunnel(over), from_tunnel(over_df), from_tunnel(over6))
case.agents_get(*map(to_agent, halves(over, 744)))
case.underlay_gets(to_tunnel(too_big(over_df, 1500, to=R4)), to_tunnel(too_big(over6, 1500, to=R6)))
case.count("eth1", made=1, fragmented=1).count("eth0", drop_too_big=2, icmp_errors=2, made=2)
