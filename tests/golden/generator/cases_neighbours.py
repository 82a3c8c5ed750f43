"""ARP, neighbour discovery and pings on the eid side, and packets that wait for a neighbour or a mapping."""

import ipaddress

from scapy.all import (
    ARP,
    ICMP,
    IP,
    Ether,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)

from .world import *

NEW_MAC = "02:aa:00:00:00:77"
CS6 = 48 << 2


def gateway_says(ip, to_mac=A_MAC, to_ip=A4, mac=GW_MAC, vlan=None):
    """The gateway's ARP reply."""
    return arp(2, mac, ip, to_ip, hwdst=to_mac, dst=to_mac, vlan=vlan)


def solicit(target, src=A6, mac=A_MAC, option=True, hlim=255, dst=None, **icmp):
    """A neighbour solicitation from an agent, to the group of its target."""
    group, group_mac = solicited_node(target)
    message = ICMPv6ND_NS(tgt=target, **icmp)
    if option:
        message = message / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    return Ether(src=mac, dst=group_mac) / IPv6(src=src, dst=dst or group, hlim=hlim) / message


def solicited_node(address):
    """ff02::1:ff and the low 24 bits of the address (RFC 4291 section 2.7.1), with its MAC (RFC 2464 section 7)."""
    low = ipaddress.IPv6Address(address).packed[-3:]
    group = ipaddress.IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + low)
    return str(group), "33:33:ff:" + ":".join(f"{byte:02x}" for byte in low)


def advertise(target, to=A6, to_mac=A_MAC, router=1, solicited=1, override=1):
    """The gateway's advertisement."""
    return (Ether(src=GW_MAC, dst=to_mac) / IPv6(src=target, dst=to, hlim=255, tc=CS6)
            / ICMPv6ND_NA(tgt=target, R=router, S=solicited, O=override) / ICMPv6NDOptDstLLAddr(lladdr=GW_MAC))


case = Case("arp-gateway", "The gateway answers for its own address, to who asks and to who probes it, with its anycast MAC.",
            GROUP_100 + GROUP_200 + to_b4())
case.agents_send(arp(1, A_MAC, A4, GW4))
case.agents_get(gateway_says(GW4))
case.agents_send(arp(1, A_MAC, "0.0.0.0", GW4))
case.agents_get(gateway_says(GW4, to_ip="0.0.0.0"))
case.agents_send(arp(1, A_MAC, A4, GW4, dst=GW_MAC))
case.agents_get(gateway_says(GW4))
case.agents_send(arp(1, A_MAC_200, A4, GW4, vlan=20))
case.agents_get(gateway_says(GW4, to_mac=A_MAC_200, mac=GW_MAC_200, vlan=20))
case.count("eth1", punt_arp=4, made=4)

case = Case("arp-proxy", "The gateway answers for addresses of the subnet that are not here, and leaves local ones to answer themselves.",
            GROUP_100 + to_b4())
case.agents_send(arp(1, A_MAC, A4, R4), arp(1, A_MAC, A4, "10.1.77.7"))
case.agents_get(gateway_says(R4), gateway_says("10.1.77.7"))
silent = [
    arp(1, A_MAC, A4, A2_4),                    # another agent of this site
    arp(1, A_MAC, A4, "10.1.1.99"),             # served here, not seen yet
    arp(1, A_MAC, "0.0.0.0", R4),               # a probe: the prober may take the address
    arp(1, A_MAC, A4, "192.0.2.9"),             # not in the subnet
    arp(1, A_MAC, A4, A4),                      # an announcement
    arp(2, A_MAC, A4, GW4, hwdst=GW_MAC, dst=GW_MAC),
]
case.agents_send(*silent)
case.count("eth1", punt_arp=2 + len(silent), made=2)

case = Case("arp-proxy-off", "Without proxy_arp only the gateway's own address is answered for.",
            GROUP_100.replace("name =", "proxy_arp = false\nname =") + to_b4())
case.agents_send(arp(1, A_MAC, A4, R4), arp(1, A_MAC, A4, GW4))
case.agents_get(gateway_says(GW4))
case.count("eth1", punt_arp=2, made=1)

case = Case("arp-learns", "An agent that announces itself with another MAC is followed; a probe and a foreign address teach nothing.",
            GROUP_100 + to_b4())
answer = udp4(src=R4, dst=A4, ttl=60)
case.agents_send(arp(1, NEW_MAC, A4, A4))
case.at(10).underlay_sends(from_tunnel(answer))
case.agents_get(to_agent(answer, mac=NEW_MAC))
case.at(20).agents_send(arp(1, A2_MAC, "0.0.0.0", A4), arp(2, A2_MAC, R4, R4), arp(1, A2_MAC, GW4, GW4))
case.agents_get(gateway_says(GW4, to_mac=A2_MAC, to_ip=GW4))
case.at(30).underlay_sends(from_tunnel(answer))
case.agents_get(to_agent(answer, mac=NEW_MAC))
case.count("eth1", punt_arp=4, neighbors_learned=1, made=1)

case = Case("arp-malformed", "ARP that cannot be is dropped.", GROUP_100 + to_b4())
right = arp(1, A_MAC, A4, GW4)
wrong = [
    right[:41],
    right[:15] + b"\x06" + right[16:],
    padded(Ether(src=A_MAC, dst=GW_MAC) / ARP(op=3, hwsrc=A_MAC, psrc=A4, pdst=GW4)),
    padded(Ether(src=A_MAC, dst=GW_MAC) / ARP(op=1, hwlen=8, hwsrc=A_MAC, psrc=A4, pdst=GW4)),
    arp(1, "03:aa:00:00:00:05", A4, GW4),
    arp(1, "00:00:00:00:00:00", A4, GW4),
    arp(1, A_MAC, "224.0.0.1", GW4),
    arp(2, A_MAC, "0.0.0.0", GW4),
]
case.agents_send(*wrong)
case.count("eth1", drop_malformed_arp=len(wrong))

LINK_LOCAL = "fe80::53:54ff:fe00:64"
case = Case("nd-gateway", "The gateway answers for its own address and for the link-local one of its MAC, as a router.",
            GROUP_100 + to_b4())
case.agents_send(solicit(GW6))
case.agents_get(advertise(GW6))
case.agents_send(solicit(LINK_LOCAL))
case.agents_get(advertise(LINK_LOCAL))
case.agents_send(solicit(GW6, option=False))
case.agents_get(advertise(GW6))
case.agents_send(solicit(GW6, src="::", option=False))
case.agents_get(advertise(GW6, to="ff02::1", to_mac="33:33:00:00:00:01", solicited=0))
case.count("eth1", punt_ndisc=4, made=4)

case = Case("nd-proxy", "The gateway answers for IPv6 EIDs that are elsewhere, as a proxy: no router, no override.",
            GROUP_100 + to_b4())
case.agents_send(solicit(R6))
case.agents_get(advertise(R6, router=0, override=0))
router_solicitation = (Ether(src=A_MAC, dst="33:33:00:00:00:02") / IPv6(src="fe80::5", dst="ff02::2", hlim=255)
                       / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC))
silent = [solicit(A2_6), solicit(R6, src="::", option=False), solicit("2001:db8::1"), router_solicitation]
case.agents_send(*silent)
case.count("eth1", punt_ndisc=1 + len(silent), made=1)

case = Case("nd-learns", "An agent that advertises another MAC is followed.", GROUP_100 + to_b4())
case.agents_send(Ether(src=NEW_MAC, dst="33:33:00:00:00:01") / IPv6(src=A6, dst="ff02::1", hlim=255)
                 / ICMPv6ND_NA(tgt=A6, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=NEW_MAC))
answer6 = udp6(src=R6, dst=A6, hlim=60)
case.at(10).underlay_sends(from_tunnel(answer6))
case.agents_get(to_agent(answer6, mac=NEW_MAC))
case.count("eth1", punt_ndisc=1, neighbors_learned=1)

case = Case("nd-malformed", "Neighbour discovery that crossed a router, does not add up or contradicts RFC 4861 is dropped.",
            GROUP_100 + to_b4())
no_length = fixed(solicit(GW6))
no_length[ICMPv6NDOptSrcLLAddr].len = 0
del no_length[ICMPv6ND_NS].cksum
wrong = [
    solicit(GW6, hlim=254),
    solicit(GW6, cksum=0xBAD0),
    solicit(GW6, code=1),
    solicit("ff02::1"),
    solicit(GW6, src="::"),
    solicit(GW6, src="::", option=False, dst=GW6),
    no_length,
    Ether(src=A_MAC, dst=GW_MAC) / IPv6(src=A6, dst=GW6, hlim=255) / ICMPv6ND_NA(tgt=A6)
    / ICMPv6NDOptDstLLAddr(lladdr="33:33:00:00:00:01"),
]
case.agents_send(*wrong)
case.count("eth1", drop_malformed_ndisc=len(wrong))

case = Case("echo-gateway", "The gateway answers pings to its own address; nothing else is served there.", GROUP_100 + to_b4())
ping = IP(src=A4, dst=GW4, id=0x4242, ttl=1, tos=46 << 2 | 2) / ICMP(type=8, id=5, seq=6) / data(57)
pong = IP(src=GW4, dst=A4, id=0x4242, ttl=64, tos=46 << 2) / ICMP(type=0, id=5, seq=6) / data(57)
case.agents_send(from_agent(ping))
case.agents_get(to_agent(pong))
body = bytes(range(100))
ping6 = IPv6(src=A6, dst=GW6, hlim=1, tc=46 << 2 | 2, fl=0x12345) / ICMPv6EchoRequest(id=5, seq=6, data=body)
pong6 = IPv6(src=GW6, dst=A6, hlim=64, tc=46 << 2) / ICMPv6EchoReply(id=5, seq=6, data=body)
case.agents_send(from_agent(ping6))
case.agents_get(to_agent(pong6))
others = [udp4(dst=GW4), udp6(dst=GW6), IP(src=A4, dst=GW4) / ICMP(type=13, ts_ori=1, ts_rx=0, ts_tx=0),
          IP(src=A4, dst=GW4, flags="MF") / ICMP(type=8) / data(40)]
case.agents_send(*(from_agent(packet) for packet in others))
case.count("eth1", punt_gateway_echo=2, made=2, drop_gateway_not_served=len(others))

case = Case("echo-gateway-wrong-checksum", "A ping that does not add up is taken in and not answered.", GROUP_100 + to_b4())
case.agents_send(from_agent(IP(src=A4, dst=GW4) / ICMP(type=8, chksum=0xBAD0) / data(8)))
case.count("eth1", punt_gateway_echo=1)

case = Case("neighbour-resolution", "Packets for an agent not seen yet wait, in order, while it is asked for by ARP.",
            GROUP_100 + to_b4())
new = "10.1.1.77"
waiting = [udp4(src=R4, dst=new, ttl=60, sport=n) for n in (1, 2, 3)]
case.underlay_sends(*(from_tunnel(packet) for packet in waiting[:2]))
case.agents_get(arp(1, GW_MAC, GW4, new))
case.at(5).agents_send(from_agent(udp4(dst=new, sport=4)))
case.at(7).underlay_sends(from_tunnel(waiting[2]))
case.at(10).agents_send(arp(2, NEW_MAC, new, GW4, hwdst=GW_MAC, dst=GW_MAC))
case.agents_get(*(to_agent(packet, mac=NEW_MAC) for packet in waiting[:2]))
case.agents_get(to_agent(routed(udp4(dst=new, sport=4)), mac=NEW_MAC), to_agent(waiting[2], mac=NEW_MAC))
case.count("eth1", punt_arp=1, made=1, neighbors_learned=1, held_total=1, switched=1)
case.count("eth0", held_total=3, decapsulated=3)

case = Case("neighbour-resolution-6", "The same by neighbour discovery.", GROUP_100 + to_b4())
new6 = "fd00:64::a:77"
waiting = udp6(src=R6, dst=new6, hlim=60)
case.underlay_sends(from_tunnel(waiting))
group, group_mac = solicited_node(new6)
case.agents_get(Ether(src=GW_MAC, dst=group_mac) / IPv6(src=GW6, dst=group, hlim=255, tc=CS6)
                / ICMPv6ND_NS(tgt=new6) / ICMPv6NDOptSrcLLAddr(lladdr=GW_MAC))
case.at(10).agents_send(Ether(src=NEW_MAC, dst=GW_MAC) / IPv6(src=new6, dst=GW6, hlim=255)
                        / ICMPv6ND_NA(tgt=new6, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=NEW_MAC))
case.agents_get(to_agent(waiting, mac=NEW_MAC))
case.count("eth1", punt_ndisc=1, made=1, neighbors_learned=1)
case.count("eth0", held_total=1, decapsulated=1)

case = Case("neighbour-silent", "An agent that does not answer is asked once a second until its packets have waited long enough.",
            GROUP_100 + to_b4(), until_ms=2200)
case.underlay_sends(from_tunnel(udp4(src=R4, dst=new)))
case.agents_get(*[arp(1, GW_MAC, GW4, new)] * 2)
case.count("eth1", made=2)
case.count("eth0", held_total=1, drop_hold_expired=1)

case = Case("via-inner-router", "EIDs behind an inner router go to that router's MAC, which is asked for by its own address.",
            GROUP_100.replace('"fd00:64::a:0/112"', '"fd00:64::a:0/112", { prefix = "10.1.9.0/24", via = "10.1.1.6" }, '
                              '{ prefix = "10.1.8.0/24", via = "10.1.1.77" }') + to_b4())
behind = udp4(src=R4, dst="10.1.9.200", ttl=60)
case.underlay_sends(from_tunnel(behind))
case.agents_get(to_agent(behind, mac=A2_MAC))
case.at(10).agents_send(from_agent(udp4(src="10.1.9.200"), mac=A2_MAC))
case.underlay_gets(to_tunnel(routed(udp4(src="10.1.9.200"))))
case.at(20).underlay_sends(from_tunnel(udp4(src=R4, dst="10.1.8.8", ttl=60)))
case.agents_get(arp(1, GW_MAC, GW4, new))
case.at(30).agents_send(arp(2, NEW_MAC, new, GW4, hwdst=GW_MAC, dst=GW_MAC))
case.agents_get(to_agent(udp4(src=R4, dst="10.1.8.8", ttl=60), mac=NEW_MAC))
case.count("eth1", punt_arp=1, made=1, neighbors_learned=1)

case = Case("miss-negative", "An EID that nobody has mapped is asked for once; the packets that waited and those that follow are dropped.",
            GROUP_100 + to_b4())
case.agents_send(from_agent(udp4(dst="10.1.200.1")), from_agent(udp4(dst="10.1.200.1", sport=2)))
case.at(10).agents_send(from_agent(udp4(dst="10.1.200.1")))
case.count("eth1", misses=1, held_total=2, drop_negative=3)

case = Case("miss-native", "A group that wants native forwarding still sends nothing in the clear by this gateway.",
            GROUP_100 + 'on_negative = "native"\n' + to_b4())
case.agents_send(from_agent(udp4(dst="10.1.200.1")))
case.count("eth1", misses=1, held_total=1, drop_native_unsupported=1)

case = Case("next-hop-resolving", "Packets wait while the underlay's next hop is asked for, and not for ever.",
            GROUP_100 + mapping("10.1.2.0/24", ASKED), dataplane="hold_ms = 200", until_ms=400)
case.agents_send(from_agent(udp4()))
case.count("eth1", held_total=1, drop_hold_expired=1)

case = Case("hold-off", "Without a hold pool the first packet is dropped and still asked for.", GROUP_100 + to_b4(),
            dataplane="hold_packets = 0")
case.underlay_sends(from_tunnel(udp4(src=R4, dst=new)))
case.agents_get(arp(1, GW_MAC, GW4, new))
case.count("eth1", made=1)
case.count("eth0", drop_hold_full=1)

case = Case("hold-share", "One silent EID fills its share of the hold pool, not another EID's.", GROUP_100 + to_b4(),
            dataplane="hold_packets = 16\nhold_ms = 400", until_ms=600)
case.underlay_sends(*(from_tunnel(udp4(src=R4, dst=new, sport=n)) for n in range(5)))
case.underlay_sends(from_tunnel(udp4(src=R4, dst="10.1.1.78")))
case.agents_get(*[arp(1, GW_MAC, GW4, new), arp(1, GW_MAC, GW4, "10.1.1.78")])
case.count("eth1", made=2)
case.count("eth0", held_total=3, drop_hold_full=3, drop_hold_expired=3)
