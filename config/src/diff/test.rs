use super::*;

const BASE: &str = include_str!("../../examples/two-sites-a.toml");

fn config(text: &str) -> Config {
    match crate::parse(text, "x") {
        Ok(config) => config.into_config(),
        Err(report) => panic!("{report}"),
    }
}

/// The differences when `from` becomes `to` in the example.
fn changes(from: &str, to: &str) -> Vec<Change> {
    assert!(BASE.contains(from), "{from}");
    diff(&config(BASE), &config(&BASE.replacen(from, to, 1)))
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {:?} {}", change.path, change.effect, change.text)).collect()
}

#[test]
fn nothing_changes_nothing() {
    assert_eq!(diff(&config(BASE), &config(BASE)), []);
}

#[test]
fn another_order_or_another_comment_changes_nothing() {
    let (head, mappings) = BASE.split_once("[[mapping]]").unwrap();
    let (first, rest) = mappings.split_once("[[mapping]]").unwrap();
    let turned = format!("{head}[[mapping]]{rest}\n[[mapping]]{first}# a comment\n");
    assert_eq!(diff(&config(BASE), &config(&turned)), []);
}

#[test]
fn a_changed_locator_is_live() {
    let changes =
        changes("{ address = \"192.0.2.2\", priority = 1 }", "{ address = \"192.0.2.9\", priority = 1 }");
    assert_eq!(
        lines(&changes),
        ["mapping[0].rlocs Live 192.0.2.2 priority 1 weight 100 out; 192.0.2.9 priority 1 weight 100 in"]
    );
    assert_eq!(refusal(&changes), None);
}

#[test]
fn groups_and_mappings_come_and_go_live() {
    let changes = diff(&config(BASE), &config(&BASE.replace("iid = 200", "iid = 300")));
    assert_eq!(
        lines(&changes),
        [
            "group[1] Live group 200 (trading) goes",
            "group[1] Live group 300 (trading) comes",
            "mapping[1] Live mapping of 10.1.2.0/24 in 200 goes",
            "mapping[2] Live mapping of 10.9.2.0/24 in 200 goes",
            "mapping[1] Live mapping of 10.1.2.0/24 in 300 comes",
            "mapping[2] Live mapping of 10.9.2.0/24 in 300 comes",
        ]
    );
    assert_eq!(refusal(&changes), None);
}

#[test]
fn what_a_group_serves_changes_live() {
    let changes =
        changes("[\"10.1.1.0/24\"]", "[\"10.1.1.0/25\", { prefix = \"10.8.0.0/24\", via = \"10.1.1.9\" }]");
    assert_eq!(
        lines(&changes),
        ["group[0].eids Live 10.1.1.0/24 out; 10.1.1.0/25, 10.8.0.0/24 via 10.1.1.9 in"]
    );
}

#[test]
fn sizes_cores_and_ports_need_a_restart() {
    for (from, to, path) in [
        ("cores = [1]", "cores = [2]", "dataplane.cores"),
        ("cores = [1]", "cores = [1]\nmax_eids = 2_000_000", "dataplane.max_eids"),
        ("cores = [1]", "cores = [1]\npolling = \"spin\"", "dataplane.polling"),
        ("name = \"wan1\"\nside = \"rloc\"", "name = \"wan1\"\nside = \"rloc\"\nmtu = 1500", "port[2].mtu"),
        ("name = \"gw-a\"", "name = \"gw-x\"", "gateway.name"),
    ] {
        let changes = changes(from, to);
        let refusal = refusal(&changes).unwrap();
        assert!(refusal.starts_with(path), "{refusal}");
        assert!(refusal.contains("restart the gateway"), "{refusal}");
    }
}

#[test]
fn header_rules_are_live() {
    let changes = changes("cores = [1]", "cores = [1]\nmss_clamp = false\ndscp_decap = \"pipe\"");
    assert_eq!(
        lines(&changes),
        ["dataplane.mss_clamp Live true becomes false", "dataplane.dscp_decap Live uniform becomes pipe"]
    );
}
