"""Agents that come, leave, and are elsewhere: attach, hold, relay, and errors from the gateway at the far end."""

from scapy.all import ICMP, IP, ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, Raw, raw

from .cases_limits import time_exceeded
from .world import *

# An agent in a range where agents come and go, and its MAC.
M4, M6, M_MAC = "10.1.5.5", "fd00:64::5:5", "02:aa:00:00:05:05"
RANGES = ("10.1.5.0/24", "fd00:64::5:0/112")
MAPPINGS = to_b4()
TO_M4 = udp4(src=R4, dst=M4)


def mobile(name, sentence, **options):
    case = Case(name, sentence, GROUP_100 + MAPPINGS, **options)
    for prefix in RANGES:
        case.record(dynamic=prefix)
    return case


def mark(times):
    """The LISP header of a packet that was relayed so often: N, and the nonce "ST" and the count."""
    return lisp(flags=0x88, nonce=0x535400 | times)


def relayed(inner, times=1, dst=C4):
    """What the gateway sends on for an inner packet from the tunnel: one hop less, and the mark."""
    outer = fixed(to_tunnel(routed(inner), dst=dst))
    payload = bytearray(raw(outer[Raw]))
    payload[:8] = mark(times)
    outer[Raw].load = bytes(payload)
    return outer


case = mobile("attach", "A host that appears in a dynamic range waits until it is admitted; then its packets leave in order.")
first = [udp4(src=M4, length=n) for n in (1, 2, 3)] + [udp6(src=M6, length=4)]
case.agents_send(*(from_agent(packet, mac=M_MAC) for packet in first))
case.record(at=300, eid=M4, becomes="here", mac=M_MAC).record(at=300, eid=M6, becomes="here", mac=M_MAC)
case.at(400).agents_send(from_agent(udp4(src=M4, length=9), mac=M_MAC))
case.underlay_gets(*(to_tunnel(routed(packet)) for packet in first), to_tunnel(routed(udp4(src=M4, length=9))))
case.count("eth1", held_total=4, attaches=2).count("eth0", encapsulated=5)

case = mobile("attach-refused", "A host in a dynamic range that nobody admits is dropped when its time is over; outside the range at once.",
              until_ms=4000)
case.agents_send(from_agent(udp4(src=M4), mac=M_MAC), from_agent(udp4(src="10.1.6.5"), mac=M_MAC))
case.count("eth1", held_total=1, drop_attach_expired=1, drop_src_not_local=1)

case = mobile("attach-unmapped", "A destination in a dynamic range without an entry is asked of the mapping system, not by ARP.")
case.agents_send(from_agent(udp4(dst="10.1.5.77")))
case.count("eth1", held_total=1, misses=1, drop_negative=1)

case = mobile("hold-entry", "What is sent to an agent that is about to leave waits, from either side, and then follows it in order.")
case.record(eid=M4, becomes="hold").record(eid=M6, becomes="hold")
case.underlay_sends(from_tunnel(TO_M4))
case.at(100).agents_send(from_agent(udp4(dst=M4)), from_agent(udp6(dst=M6)))
case.record(at=500, eid=M4, becomes="away", locators=[C4]).record(at=500, eid=M6, becomes="away", locators=[C4])
case.at(600).underlay_sends(from_tunnel(TO_M4))
case.underlay_gets(relayed(TO_M4), to_tunnel(routed(udp4(dst=M4)), dst=C4), to_tunnel(routed(udp6(dst=M6)), dst=C4), relayed(TO_M4))
case.count("eth1", held_total=2).count("eth0", held_total=1, relayed=2, encapsulated=2)

case = mobile("hold-entry-expired", "What waited for an agent that never went anywhere is dropped.", until_ms=4000)
case.record(eid=M4, becomes="hold")
case.underlay_sends(from_tunnel(TO_M4))
case.count("eth0", held_total=1, drop_hold_expired=1)

case = mobile("relay", "What arrives for an agent that left goes on to its new locator, marked, with one hop less and DSCP and ECN as after decapsulation.")
case.record(eid=M4, becomes="away", locators=[C4]).record(eid=M6, becomes="away", locators=[C4])
plain = udp4(src=R4, dst=M4, ttl=64, tos=46 << 2 | 2)
case.underlay_sends(from_tunnel(plain, ip={"ttl": 33, "tos": 10 << 2 | 3}))
case.underlay_gets(relayed(with_tos_and_ttl(plain, 10 << 2 | 3, 33)))
six = udp6(src=R6, dst=M6, hlim=20)
case.underlay_sends(from_tunnel(six, ip={"ttl": 64}))
case.underlay_gets(relayed(six))
case.count("eth0", relayed=2)

case = mobile("relay-limit", "A packet is relayed twice at most; another one's nonce is no mark.")
case.record(eid=M4, becomes="away", locators=[C4])
case.underlay_sends(*(from_tunnel(TO_M4, mark(times)) for times in (1, 2, 3, 255)))
case.underlay_sends(from_tunnel(TO_M4, lisp(flags=0xA8, nonce=0x535402)), from_tunnel(TO_M4, lisp(flags=0x88, nonce=0xABCD02)))
case.underlay_gets(relayed(TO_M4, 2), relayed(TO_M4), relayed(TO_M4))
case.count("eth0", relayed=3, drop_relay_limit=3)

case = mobile("relay-back", "A packet for the site it came from waits: until that site knows better, and for an agent that comes back.",
              until_ms=5000)
case.record(eid=M4, becomes="away", locators=[B4])
case.underlay_sends(from_tunnel(TO_M4), from_tunnel(TO_M4, mark(2)))
case.underlay_gets(relayed(TO_M4, dst=B4))
case.at(3598).underlay_sends(from_tunnel(udp4(src=R4, dst=M4, length=5)))
case.record(at=3600, eid=M4, becomes="here", mac=M_MAC)
case.agents_get(to_agent(udp4(src=R4, dst=M4, length=5), mac=M_MAC))
case.count("eth0", held_total=3, relayed=1, drop_hold_expired=1, decapsulated=1)

case = mobile("relay-spoof", "Only what passes the source check is relayed.")
case.record(eid=M4, becomes="away", locators=[C4])
case.underlay_sends(from_tunnel(TO_M4, src=C4), from_tunnel(udp4(src=A4, dst=M4)))
case.count("eth0", drop_rloc_spoof=2)

case = mobile("relay-ttl", "The relay is a hop: a packet whose TTL ends there is told of.")
case.record(eid=M4, becomes="away", locators=[C4])
ending = udp4(src=R4, dst=M4, ttl=1)
case.underlay_sends(from_tunnel(ending))
case.underlay_gets(to_tunnel(time_exceeded(fixed(ending), to=R4)))
case.count("eth0", drop_ttl_exceeded=1, icmp_errors=1, made=1)

case = mobile("relayed-source", "Frames that a permitted relay sends for an agent pass the source check; they may come a little before the permission.")
case.record(eid=M4, becomes="here", mac=M_MAC)
early, late, other = (udp4(src=R4, dst=M4, length=n) for n in (1, 2, 3))
case.underlay_sends(from_tunnel(early, mark(1), src=C4))
case.record(at=200, eid=M4, relay_from=C4)
case.at(300).underlay_sends(from_tunnel(late, src=C4), from_tunnel(udp4(src=R4, dst=A4), src=C4))
case.record(at=400, eid=M4, relay_from=C4, forbid=True)
case.at(500).underlay_sends(from_tunnel(other, src=C4))
case.agents_get(to_agent(early, mac=M_MAC), to_agent(late, mac=M_MAC))
case.count("eth0", held_total=2, decapsulated=2, drop_rloc_spoof=2)

case = Case("rloc-spoof-old", "A source whose entry is old may have moved: the packet waits until the entry is confirmed, and is refused then.",
            GROUP_100 + MAPPINGS)
case.at(5000).underlay_sends(from_tunnel(udp4(src=R4, dst=A4), src=C4), from_tunnel(udp6(src=R6, dst=A6), src=C4))
case.at(5500).underlay_sends(from_tunnel(udp4(src=R4, dst=A4), src=C4))
case.count("eth0", held_total=2, misses=2, drop_rloc_spoof=3)

# Errors that the gateway of another site tells of, from the address that is every site's gateway.
QUOTED4, QUOTED6 = raw(fixed(udp4(src=A4, dst=R4, ttl=63)))[:28], raw(fixed(udp6(src=A6, dst=R6, hlim=63)))[:48]


def error4(kind, code=0, quoted=QUOTED4):
    return IP(src=GW4, dst=A4, ttl=64, id=9, tos=0xC0) / ICMP(type=kind, code=code) / Raw(quoted)


def error6(message, quoted=QUOTED6):
    return IPv6(src=GW6, dst=A6, hlim=64, tc=0xC0) / message / Raw(quoted)


case = Case("icmp-far-gateway", "Errors from the gateway address reach the agent whose packet went to the site that they come from.",
            GROUP_100 + MAPPINGS)
for packet in (error4(3, 4), error4(11), error4(12), error6(ICMPv6DestUnreach()), error6(ICMPv6PacketTooBig(mtu=1300)),
               error6(ICMPv6TimeExceeded()), error6(ICMPv6ParamProblem())):
    case.underlay_sends(from_tunnel(fixed(packet), ip={"tos": 0xC0}))
    case.agents_get(to_agent(fixed(packet)))
case.count("eth0", decapsulated=7)

case = Case("icmp-far-gateway-forged", "Nothing else may come from the gateway address, nor an error about what did not go there.",
            GROUP_100 + MAPPINGS + mapping("10.1.3.0/24", C4))
quoted = lambda source, destination: raw(fixed(udp4(src=source, dst=destination, ttl=63)))[:28]
forged = [
    from_tunnel(udp4(src=GW4, dst=A4)),                                          # no ICMP
    from_tunnel(IP(src=GW4, dst=A4) / ICMP(type=8)),                             # no error
    from_tunnel(error4(5)),                                                      # a redirect
    from_tunnel(error4(4)),                                                      # a source quench
    from_tunnel(error4(3, quoted=quoted(A4, "10.1.3.3"))),                       # about what went to site C
    from_tunnel(error4(3, quoted=quoted(A4, "10.1.9.9"))),                       # about what went nowhere
    from_tunnel(error4(3, quoted=quoted(A2_4, R4))),                             # about another agent's packet
    from_tunnel(error4(3, quoted=quoted(A4, A2_4))),                             # about what stayed here
    from_tunnel(error4(3, quoted=QUOTED4[:19])),                                 # about nothing whole
    from_tunnel(error4(3), src=C4),                                              # from another site
    from_tunnel(error6(ICMPv6PacketTooBig(mtu=1300)), src=C4),
    from_tunnel(error6(ICMPv6PacketTooBig(mtu=1300), QUOTED6[:39])),
]
case.underlay_sends(*forged)
case.count("eth0", drop_rloc_spoof=len(forged))
