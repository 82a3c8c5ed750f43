use std::os::unix::fs::PermissionsExt;

use super::*;

const XTR: &str = include_str!("../../examples/mapping-system-a.toml");
const SERVER: &str = include_str!("../../examples/map-server.toml");

/// A config whose key files hold these secrets.
fn config(text: &str, keys: &[(&str, &str)]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    for (name, secret) in keys {
        let path = folder.path().join(name);
        std::fs::write(&path, secret).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    match crate::parse_in(text, "x", folder.path()) {
        Ok(config) => config.into_config(),
        Err(report) => panic!("{report}"),
    }
}

const KEYS: [(&str, &str); 3] =
    [("site-a.key", "hunter2"), ("site-b.key", "hunter3"), ("new.key", "hunter4")];

/// The differences when `from` becomes `to` in a file.
fn changes(base: &str, from: &str, to: &str) -> Vec<String> {
    assert!(base.contains(from), "{from}");
    lines(&diff(&config(base, &KEYS), &config(&base.replacen(from, to, 1), &KEYS)))
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} {:?} {}", change.path, change.effect, change.text)).collect()
}

#[test]
fn nothing_changes_nothing() {
    for base in [XTR, SERVER] {
        assert_eq!(diff(&config(base, &KEYS), &config(base, &KEYS)), []);
    }
    assert_eq!(
        changes(SERVER, "[\"map-server\", \"map-resolver\"]", "[\"map-resolver\", \"map-server\"]"),
        [""; 0]
    );
}

#[test]
fn another_secret_in_a_key_file_is_told_without_it() {
    let other = [("site-a.key", "s3cret"), KEYS[1]];
    for (base, path) in [(XTR, "mapping_system.map_servers[0].keys[0]"), (SERVER, "site[0].keys[0]")] {
        let told = lines(&diff(&config(base, &KEYS), &config(base, &other)));
        assert_eq!(told, [format!("{path}.file Live key 1 has another secret")]);
    }
}

#[test]
fn a_key_is_changed_live_in_three_steps() {
    let key = "{ id = 1, file = \"site-a.key\" }";
    assert_eq!(
        changes(SERVER, key, "{ id = 1, file = \"site-a.key\" }, { id = 2, file = \"new.key\" }"),
        ["site[0].keys[1] Live key 2 comes"]
    );
    assert_eq!(
        changes(XTR, key, "{ id = 1, file = \"site-a.key\" }, { id = 2, file = \"new.key\", send = true }"),
        [
            "mapping_system.map_servers[0].keys[1] Live key 2 comes",
            "mapping_system.map_servers[0].keys Live registers are signed with key 2 in place of key 1",
        ]
    );
    assert_eq!(
        changes(SERVER, key, "{ id = 2, algorithm = \"sha1\", file = \"new.key\" }"),
        ["site[0].keys[0] Live key 1 goes", "site[0].keys[0] Live key 2 comes"]
    );
    assert_eq!(
        changes(SERVER, key, "{ id = 1, algorithm = \"sha1\", file = \"site-a.key\" }"),
        ["site[0].keys[0].algorithm Live sha256 becomes sha1"]
    );
}

#[test]
fn peers_timers_and_ranges_are_live() {
    for (from, to, told) in [
        (
            "map_resolvers = [\"192.0.2.10\"]",
            "map_resolvers = [\"192.0.2.11\"]",
            "mapping_system.map_resolvers Live 192.0.2.10 out; 192.0.2.11 in",
        ),
        ("site_id = 1", "site_id = 1\nregister_s = 30", "mapping_system.register_s Live 60 becomes 30"),
        ("site_id = 1", "site_id = 1\nsubscribe = false", "mapping_system.subscribe Live true becomes false"),
        (
            "\"site-a.key\" }] }",
            "\"site-a.key\" }], proxy_reply = false }",
            "mapping_system.map_servers[0].proxy_reply Live true becomes false",
        ),
        (
            "[\"10.1.0.0/16\"]",
            "[\"10.1.0.0/17\"]",
            "group[0].dynamic_eids Live 10.1.0.0/16 out; 10.1.0.0/17 in",
        ),
        ("priority = 2", "priority = 3", "rloc[1].priority Live 2 becomes 3"),
        ("priority = 2", "priority = 2\nweight = 7", "rloc[1].weight Live 100 becomes 7"),
    ] {
        assert_eq!(changes(XTR, from, to), [told]);
    }
}

#[test]
fn sites_and_limits_are_live() {
    let limits =
        "roles = [\"map-server\", \"map-resolver\"]\n[map_server]\nmoves_max = 9\nmax_registrations = 10";
    assert_eq!(
        changes(SERVER, "roles = [\"map-server\", \"map-resolver\"]", limits),
        ["map_server.moves_max Live 5 becomes 9", "map_server.max_registrations Live 1000000 becomes 10"]
    );
    assert_eq!(
        changes(SERVER, "name = \"site-b\"", "name = \"site-c\""),
        ["site[1] Live site site-b goes", "site[1] Live site site-c comes"]
    );
    let more = "{ iid = 200, prefix = \"10.9.1.0/24\", more_specifics = true }";
    assert_eq!(
        changes(SERVER, "{ iid = 200, prefix = \"10.9.1.0/24\" }", more),
        ["site[0].eids Live 10.9.1.0/24 in 200 out; 10.9.1.0/24 in 200 with more specifics in"]
    );
    let knobs = "name = \"site-a\"\nproxy_reply = \"always\"\nlegacy_nonce = true\nallow_merge = false\n\
                 rlocs = [\"192.0.2.1\"]\n\
                 static = [{ iid = 100, eid = \"10.8.0.0/16\", rlocs = [{ address = \"192.0.2.8\" }] }]";
    assert_eq!(
        changes(SERVER, "name = \"site-a\"", knobs),
        [
            "site[0].proxy_reply Live asked becomes always",
            "site[0].legacy_nonce Live false becomes true",
            "site[0].allow_merge Live true becomes false",
            "site[0].rlocs Live 192.0.2.1 in",
            "site[0].static[0] Live static 10.8.0.0/16 in 100 comes",
        ]
    );
}

#[test]
fn a_map_resolvers_map_servers_are_live() {
    let forward = "[map_resolver]\nmap_servers = [{ address = \"192.0.2.11\" }]\n[[rloc]]";
    let base = SERVER.replacen("[[rloc]]", forward, 1);
    let eids = "{ address = \"192.0.2.11\", eids = [{ iid = 100, prefix = \"10.2.0.0/16\" }] }";
    assert_eq!(
        changes(&base, "{ address = \"192.0.2.11\" }", eids),
        ["map_resolver.map_servers[0].eids Live 10.2.0.0/16 in 100 in"]
    );
    assert_eq!(
        changes(SERVER, "[[rloc]]", forward),
        ["map_resolver.map_servers[0] Live map-server 192.0.2.11 comes"]
    );
}

#[test]
fn the_mapping_system_comes_and_goes_live_but_who_we_are_does_not() {
    let without = include_str!("../../examples/single-gateway.toml");
    let system = "[mapping_system]\nmap_resolvers = [\"192.0.2.10\"]\n";
    let (old, new) = (config(without, &[]), config(&format!("{without}\n{system}"), &[]));
    assert_eq!(lines(&diff(&old, &new)), ["mapping_system Live the mapping system is asked and told"]);
    assert_eq!(
        lines(&diff(&new, &old)),
        ["mapping_system Live the mapping system is no longer asked or told"]
    );
    let named = config(&format!("{without}\n{system}site_id = 7\n"), &[]);
    assert_eq!(
        lines(&diff(&old, &named)),
        [
            "mapping_system.site_id Restart 0 becomes 7",
            "mapping_system Live the mapping system is asked and told"
        ]
    );
}

#[test]
fn roles_identity_and_state_need_a_restart() {
    let id = "site_id = 1\nxtr_id = \"000102030405060708090a0b0c0d0e0f\"";
    for (base, from, to, told) in [
        (
            XTR,
            "site_id = 1",
            id,
            "mapping_system.xtr_id Restart none becomes 000102030405060708090a0b0c0d0e0f",
        ),
        (XTR, "site_id = 1", "site_id = 2", "mapping_system.site_id Restart 1 becomes 2"),
        (
            SERVER,
            "[\"map-server\", \"map-resolver\"]",
            "[\"map-server\"]",
            "gateway.roles Restart [map-server, map-resolver] becomes [map-server]",
        ),
        (
            SERVER,
            "[[rloc]]",
            "[paths]\nstate_dir = \"/srv/ms\"\n[[rloc]]",
            "paths.state_dir Restart /var/lib/sterna/ms becomes /srv/ms",
        ),
    ] {
        assert_eq!(changes(base, from, to), [told]);
        let changes = diff(&config(base, &KEYS), &config(&base.replacen(from, to, 1), &KEYS));
        assert!(refusal(&changes).unwrap().contains("restart the gateway"));
    }
}
