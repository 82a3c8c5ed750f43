use super::*;
use crate::profile::finding::Finding;
use proptest::prelude::*;
use std::collections::HashSet;

const WHOLE: &str = r#"
about = "two groups at two places"
settle_s = 1.5
connects_per_s = 50
mtu = 1400
[[place]]
name = "a"
interface = "eth0"
netns = "st-1-a"
[[place]]
name = "b"
interface = "eth1"
[[group]]
name = "red"
vlan = 31
gateway = "10.1.0.1"
first = "10.1.100.1"
agents = 7
[[group]]
name = "blue"
gateway = "fd00:64::1"
first = "fd00:64::100:1"
agents = 4
[requests]
rate = 2
peers = 3
[streams]
rate = 10
agents = 2
[messages]
rate = 0.5
size = 100
[moves]
rate = 1
"#;

fn findings(text: &str) -> Vec<Finding> {
    Profile::parse(text).expect_err("it is wrong")
}

#[test]
fn a_whole_profile_is_read() {
    let profile = Profile::parse(WHOLE).unwrap();
    assert_eq!((profile.places.len(), profile.groups.len()), (2, 2));
    assert_eq!(profile.places[0].namespace.as_deref(), Some("st-1-a"));
    assert_eq!(profile.requests, Some(Requests { rate: 2.0, peers: 3, size: 64, answer: 256 }));
    assert_eq!(profile.streams, Some(Streams { agents: 2, rate: 10.0, size: 1000 }));
    assert_eq!(profile.messages, Some(Messages { rate: 0.5, peers: 1, size: 100 }));
    assert_eq!((profile.moves_per_s, profile.connects_per_s, profile.mtu), (Some(1.0), 50, 1400));
}

#[test]
fn every_agent_is_somebody_and_has_others_for_peers() {
    let profile = Profile::parse(WHOLE).unwrap();
    let members = profile.members();
    assert_eq!(members.len(), 11);
    let macs: HashSet<_> = members.iter().map(|member| member.link.mac).collect();
    let eids: HashSet<_> = members.iter().map(|member| (member.link.vlan, member.link.eid)).collect();
    assert_eq!((macs.len(), eids.len()), (11, 11));
    assert_eq!((members[6].name.as_str(), members[6].home), ("red/6", 0));
    for member in &members {
        let peers: HashSet<_> = (0..3).map(|which| profile.peer(member, which)).collect();
        assert!(peers.len() == 3 && !peers.contains(&member.link.eid), "{member:?}");
    }
    assert_eq!(profile.peer(&members[6], 0), profile.groups[0].first);
}

#[test]
fn each_mistake_is_told_at_its_place() {
    for (from, to, line, key) in [
        ("settle_s = 1.5", "settle_s = \"soon\"", 3, "settle_s"),
        ("mtu = 1400", "mtu = 900", 19, "mtu"),
        ("mtu = 1400", "mtu = 9000", 5, "mtu"),
        ("name = \"b\"", "name = \"a\"", 11, "place.name"),
        ("name = \"b\"", "name = \"b b\"", 11, "place.name"),
        ("interface = \"eth1\"", "speed = 1", 10, "place.interface"),
        ("vlan = 31", "vlan = 4095", 15, "group.vlan"),
        ("vlan = 31", "", 19, "group.vlan"),
        ("gateway = \"10.1.0.1\"", "gateway = \"fd00::1\"", 16, "group.gateway"),
        ("gateway = \"10.1.0.1\"", "gateway = \"10.1.100.3\"", 13, "group.gateway"),
        ("first = \"10.1.100.1\"", "first = \"255.255.255.254\"", 17, "group.first"),
        ("first = \"10.1.100.1\"", "first = \"here\"", 17, "group.first"),
        ("agents = 7", "agents = 1", 18, "group.agents"),
        ("agents = 7", "agents = 65_536", 19, "group.agents"),
        ("peers = 3", "peers = 4", 26, "requests.peers"),
        ("rate = 2", "rate = 0", 25, "requests.rate"),
        ("agents = 2\n", "agents = 5\n", 29, "streams.agents"),
        ("size = 100", "size = 1353", 32, "messages.size"),
        ("size = 100", "size = 23", 32, "messages.size"),
        ("[moves]\nrate = 1", "[moves]\nspeed = 1", 33, "moves.rate"),
        ("about", "abuot", 2, "abuot"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let found = findings(&text);
        assert!(
            found.iter().any(|f| (f.line, f.key.as_str()) == (line, key)),
            "{from} -> {to}: {line} {key} is not among {found:?}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text =
        WHOLE.replace("rate = 2\n", "rate = -1\n").replace("vlan = 31", "vlan = 0").replace("\"red\"", "7");
    let keys: Vec<_> = findings(&text).into_iter().map(|finding| finding.key).collect();
    for key in ["requests.rate", "group.vlan", "group.name"] {
        assert!(keys.iter().any(|found| found == key), "{keys:?}");
    }
}

#[test]
fn who_has_no_place_no_group_or_nothing_to_say_is_told() {
    let found = findings("[requests]\nrate = 1\n");
    let keys: Vec<_> = found.iter().map(|finding| finding.key.as_str()).collect();
    assert!(keys.contains(&"place") && keys.contains(&"group"), "{found:?}");
    let silent = &WHOLE[..WHOLE.find("[requests]").unwrap()];
    assert_eq!(findings(silent)[0].text, "the agents have nothing to say");
    let text = WHOLE.replacen("[[place]]\nname = \"b\"\ninterface = \"eth1\"\n", "", 1);
    assert_eq!(findings(&text)[0].key, "moves");
}

#[test]
fn the_profile_that_explains_every_key_is_right() {
    Profile::parse(super::MANUAL).unwrap();
}

proptest! {
    #[test]
    fn noise_is_refused_without_harm(at in 0..WHOLE.len(), noise in "\\PC{0,20}") {
        let mut text = WHOLE.to_owned();
        text.insert_str(at, &noise);
        let _ = Profile::parse(&text);
    }
}
