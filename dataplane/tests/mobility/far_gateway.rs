//! What the gateway at the far end may tell of packets that went there.

use super::*;

/// An ICMP error of this type from the gateway address, out of site B's tunnel, about a packet of 10.1.0.5.
fn error_from_b(kind: u8, quoted_source: &str, quoted_destination: &str) -> Vec<u8> {
    let quoted = udp(quoted_source, quoted_destination, 63, 20);
    let mut packet = ping("10.1.0.1", "10.1.0.5")[14..34].to_vec();
    let mut icmp = vec![kind, 1, 0, 0, 0, 0, 0, 0];
    icmp.extend(&quoted[14..]);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    let len = (packet.len() + icmp.len()) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[10..12].fill(0);
    let sum = sterna_wire::checksum::fold(sterna_wire::checksum::sum(&packet));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(icmp);
    tunnelled(SITE_B, 100, &packet)
}

#[test]
fn the_far_gateway_may_tell_of_what_was_sent_there() {
    let mut rig = mobile_site();
    rig.pass(2_000_000_000);
    for kind in [3, 11, 12] {
        rig.inject(1, &error_from_b(kind, "10.1.0.5", "10.1.2.9"));
    }
    rig.settle();
    assert_eq!(rig.collect(0).len(), 3);
    let refused = [
        error_from_b(5, "10.1.0.5", "10.1.2.9"), // a redirect is nothing a tunnel tells of
        error_from_b(0, "10.1.0.5", "10.1.2.9"), // no error
        error_from_b(3, "10.1.0.6", "10.1.2.9"), // about a packet of another agent
        error_from_b(3, "10.1.0.5", "10.1.77.1"), // about one that went elsewhere
        error_from_b(3, "10.1.0.5", "10.1.0.6"), // or nowhere outside
    ];
    for frame in &refused {
        rig.inject(1, frame);
    }
    let events = rig.settle();
    assert_eq!((rig.collect(0).len(), rig.counter("drop_rloc_spoof")), (0, refused.len() as u64));
    assert_eq!(source_misses(&events), 0, "the gateway's address is never asked for");
    assert_balanced(&rig);
}
