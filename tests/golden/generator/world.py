"""The world of the golden cases as packets see it, and how a case is written to disk.

Nothing here knows Sterna's code. What a gateway must do to a packet is said with scapy's headers,
from RFC 9300, RFC 6040, RFC 1812, RFC 4443, RFC 826, RFC 4861 and the design's rules.
"""

import struct
from pathlib import Path

from scapy.all import (
    ARP,
    IP,
    UDP,
    Dot1Q,
    Ether,
    IPv6,
    Raw,
    raw,
)

GOLDEN = Path(__file__).resolve().parent.parent

# Links and neighbours: the same as in world.toml.
ETH1, ETH0 = "02:00:00:00:01:01", "02:00:00:00:00:01"
ROUTER = "02:00:00:00:00:fe"
RLOC4, RLOC6 = "192.0.2.1", "2001:db8:a::1"
B4, B6, C4 = "198.51.100.2", "2001:db8:b::2", "198.51.100.3"
NARROW, SILENT, ASKED = "198.51.100.14", "203.0.113.53", "203.0.113.52"

# Group 100.
GW_MAC = "02:53:54:00:00:64"
GW4, GW6 = "10.1.0.1", "fd00:64::1"
A4, A6, A_MAC = "10.1.1.5", "fd00:64::a:5", "02:aa:00:00:00:05"
A2_4, A2_6, A2_MAC = "10.1.1.6", "fd00:64::a:6", "02:aa:00:00:00:06"
R4, R6 = "10.1.2.9", "fd00:64::b:9"
# Group 200, on VLAN 20, with the same addresses.
GW_MAC_200, A_MAC_200 = "02:53:54:00:00:c8", "02:bb:00:00:00:05"
# Group 0.
GW_MAC_0, A_MAC_0 = "02:53:54:00:00:00", "02:cc:00:00:00:05"

LISP = 4341
DF = "DF"

BASE = """\
[gateway]
name = "golden"

[dataplane]
cores = [0]
max_eids = 4096
max_sets = 64
{dataplane}
[[port]]
name = "eth1"
side = "eid"

[[port]]
name = "eth0"
side = "rloc"

[[rloc]]
address = "192.0.2.1"

[[rloc]]
address = "2001:db8:a::1"
"""

GROUP_100 = """
[[group]]
iid = 100
name = "research"
port = "eth1"
gateway = ["10.1.0.1/16", "fd00:64::1/64"]
eids = ["10.1.1.0/24", "fd00:64::a:0/112"]
"""

GROUP_200 = """
[[group]]
iid = 200
name = "trading"
port = "eth1"
vlan = 20
gateway = ["10.1.0.1/16"]
eids = ["10.1.1.0/24"]
"""


def mapping(eid, *rlocs, iid=100):
    """A [[mapping]]; an RLOC is an address or (address, more keys)."""
    pairs = [rloc if isinstance(rloc, tuple) else (rloc, "") for rloc in rlocs]
    rows = ", ".join(f'{{ address = "{address}"{", " if more else ""}{more} }}' for address, more in pairs)
    return f'\n[[mapping]]\niid = {iid}\neid = "{eid}"\nrlocs = [{rows}]\n'


def to_b4():
    """Both families of the remote EIDs behind site B's IPv4 locator."""
    return mapping("10.1.2.0/24", B4) + mapping("fd00:64::b:0/112", B4)


def to_b6():
    """Both families of the remote EIDs behind site B's IPv6 locator."""
    return mapping("10.1.2.0/24", B6) + mapping("fd00:64::b:0/112", B6)


# ------------------------------------------------------------------------------------------------ packets


def udp4(src=A4, dst=R4, length=18, sport=50001, dport=50002, **ip):
    """A UDP datagram of the agents; `length` is its payload."""
    return IP(src=src, dst=dst, **{"ttl": 64, "id": 0x1234, **ip}) / UDP(sport=sport, dport=dport) / data(length)


def udp6(src=A6, dst=R6, length=18, sport=50001, dport=50002, **ip):
    """The same over IPv6."""
    return IPv6(src=src, dst=dst, **{"hlim": 64, "fl": 0x54321, **ip}) / UDP(sport=sport, dport=dport) / data(length)


def data(length):
    """A payload whose bytes differ."""
    return Raw(bytes((7 * n + 3) % 256 for n in range(length)))


def fixed(packet):
    """The packet as bytes, with lengths and checksums filled in, then parsed again: nothing left to compute."""
    return packet.__class__(raw(packet))


def routed(packet, hops=1):
    """The packet after a router: TTL or hop limit lowered, IPv4 checksum anew."""
    packet = fixed(packet)
    if isinstance(packet, IP):
        packet.ttl -= hops
        del packet.chksum
    else:
        packet.hlim -= hops
    return fixed(packet)


def tos_of(packet):
    """TOS or traffic class."""
    return packet.tos if isinstance(packet, IP) else packet.tc


def ttl_of(packet):
    """TTL or hop limit."""
    return packet.ttl if isinstance(packet, IP) else packet.hlim


def with_tos_and_ttl(packet, tos=None, ttl=None):
    """The packet with these fields changed and its checksum made right."""
    packet = fixed(packet)
    if isinstance(packet, IP):
        packet.tos = packet.tos if tos is None else tos
        packet.ttl = packet.ttl if ttl is None else ttl
        del packet.chksum
    else:
        packet.tc = packet.tc if tos is None else tos
        packet.hlim = packet.hlim if ttl is None else ttl
    return fixed(packet)


def lisp(iid=100, flags=0x08, nonce=0, lsb=0):
    """The 8-byte LISP header (RFC 9300 section 5.1): flags, 24 bits of nonce or versions, IID, status bits."""
    return struct.pack("!II", flags << 24 | nonce, iid << 8 | lsb)


def from_agent(packet, mac=A_MAC, gateway=GW_MAC, vlan=None, pcp=0):
    """A frame from an attached agent to its gateway."""
    tag = Dot1Q(vlan=vlan, prio=pcp) if vlan is not None else None
    ether = Ether(src=mac, dst=gateway)
    return ether / tag / packet if tag is not None else ether / packet


def to_agent(packet, mac=A_MAC, gateway=GW_MAC, vlan=None):
    """A frame from the gateway to an attached agent."""
    return from_agent(packet, mac=gateway, gateway=mac, vlan=vlan)


def from_tunnel(inner, header=None, src=B4, dst=None, ip=None, udp=None, tail=b""):
    """A frame from the underlay: `inner` (bytes or packet) behind LISP header bytes.

    `ip` and `udp` change the outer headers; the outer UDP checksum is 0 unless `udp` says otherwise.
    """
    v6 = ":" in src
    dst = dst or (RLOC6 if v6 else RLOC4)
    outer = IPv6(src=src, dst=dst, hlim=64) if v6 else IP(src=src, dst=dst, ttl=64, id=0, flags=DF)
    for key, value in (ip or {}).items():
        setattr(outer, key, value)
    datagram = UDP(sport=0xC123, dport=LISP, chksum=0)
    for key, value in (udp or {}).items():
        setattr(datagram, key, value)
    payload = (lisp() if header is None else header) + raw(inner)
    return Ether(src=ROUTER, dst=ETH0) / outer / datagram / Raw(payload + tail)


def to_tunnel(inner, iid=100, dst=B4, sport=0, checksum=False, flags=DF):
    """What the gateway sends into the underlay for `inner`, which is already decremented.

    Outer TTL, DSCP and ECN are the inner ones (RFC 9300 section 5.3). A source port and flow label of 0 stand
    for the flow's entropy, which is the sender's own choice; and so, without DF, does the identification.
    """
    inner = fixed(inner)
    v6 = ":" in dst
    if v6:
        outer = IPv6(src=RLOC6, dst=dst, hlim=ttl_of(inner), tc=tos_of(inner))
    else:
        outer = IP(src=RLOC4, dst=dst, ttl=ttl_of(inner), tos=tos_of(inner), id=0, flags=flags)
    datagram = UDP(sport=sport, dport=LISP) if checksum else UDP(sport=sport, dport=LISP, chksum=0)
    return Ether(src=ETH0, dst=ROUTER) / outer / datagram / Raw(lisp(iid, 0x08 if iid else 0) + raw(inner))


def arp(op, hwsrc, psrc, pdst, hwdst="00:00:00:00:00:00", dst="ff:ff:ff:ff:ff:ff", vlan=None):
    """An ARP frame, padded to Ethernet's least length (and the tag's four bytes)."""
    message = ARP(op=op, hwsrc=hwsrc, psrc=psrc, hwdst=hwdst, pdst=pdst)
    if vlan is None:
        return padded(Ether(src=hwsrc, dst=dst) / message, 60)
    return padded(Ether(src=hwsrc, dst=dst) / Dot1Q(vlan=vlan) / message, 64)


def padded(frame, length=60):
    """The frame with zeros behind it up to `length` bytes."""
    frame = raw(frame)
    return frame + bytes(max(0, length - len(frame)))


# --------------------------------------------------------------------------------------------------- cases


def capture(frames):
    """A pcap file of (milliseconds, frame): little-endian, microseconds, Ethernet, the same bytes on every machine."""
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for clock_ms, frame in frames:
        seconds, ms = divmod(clock_ms, 1000)
        records.append(struct.pack("<IIII", seconds, ms * 1000, len(frame), len(frame)) + frame)
    return b"".join(records)


def record_text(record):
    """One record as TOML: numbers, words and lists of words."""
    value = lambda v: str(v).lower() if isinstance(v, (bool, int)) else str(v).replace("'", '"') if isinstance(v, list) else f'"{v}"'
    return "[[record]]\n" + "".join(f"{key} = {value(v)}\n" for key, v in record.items())


class Case:
    """One case: a sentence, a config, packets in and out by port and time, counters."""

    all = {}

    def __init__(self, name, sentence, config=GROUP_100, base=BASE, dataplane="", until_ms=0):
        assert name not in Case.all, name
        assert "\n" not in sentence
        Case.all[name] = self
        self.name, self.sentence = name, sentence
        self.config = base.format(dataplane=dataplane + "\n" if dataplane else "") + config
        self.packets = {}
        self.records = []
        self.counters = {}
        self.until_ms = until_ms
        self.clock_ms = 0

    def at(self, clock_ms):
        """What follows happens at this time; packets of one time and port are one burst."""
        self.clock_ms = clock_ms
        return self

    def put(self, way, port, frames):
        for frame in frames:
            self.packets.setdefault(f"{way}-{port}", []).append((self.clock_ms, raw(frame)))
        return self

    def agents_send(self, *frames, port="eth1"):
        return self.put("in", port, frames)

    def underlay_sends(self, *frames, port="eth0"):
        return self.put("in", port, frames)

    def agents_get(self, *frames, port="eth1"):
        return self.put("out", port, frames)

    def underlay_gets(self, *frames, port="eth0"):
        return self.put("out", port, frames)

    def record(self, at=0, **fields):
        """What the control plane says at this time beside what follows from the config: see harness/record.rs."""
        self.records.append({"at_ms": at, **fields})
        return self

    def count(self, port, **counters):
        self.counters.setdefault(port, {}).update(counters)
        return self

    def write(self):
        folder = GOLDEN / self.name
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        (folder / "config.toml").write_text(f"# {self.sentence}\n\n{self.config}")
        (folder / "counters.toml").write_text(self.counters_text())
        if self.records:
            (folder / "records.toml").write_text("\n".join(record_text(record) for record in self.records))
        for stem, frames in self.packets.items():
            (folder / f"{stem}.pcap").write_bytes(capture(frames))

    def counters_text(self):
        lines = [f"until_ms = {self.until_ms}", ""] if self.until_ms else []
        for port, counters in self.counters.items():
            lines += [f"[{port}]", *(f"{name} = {value}" for name, value in counters.items()), ""]
        return "\n".join(lines)
