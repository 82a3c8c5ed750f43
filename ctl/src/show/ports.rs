//! `sterna show ports`.

use serde::Deserialize;

use crate::table::{NOTHING, Table, cell, yes};

/// A row of `/v1/ports`.
#[derive(Debug, Deserialize)]
pub struct Row {
    name: String,
    side: String,
    index: Option<u16>,
    up: Option<bool>,
    mac: Option<String>,
    mtu: Option<u32>,
    #[serde(default)]
    rlocs: Vec<String>,
    #[serde(default)]
    groups: Vec<u32>,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["PORT", "INDEX", "SIDE", "UP", "MAC", "MTU", "CARRIES"]);
    for row in rows {
        table.row([
            row.name.clone(),
            cell(row.index),
            row.side.clone(),
            yes(row.up).to_owned(),
            cell(row.mac.as_deref()),
            cell(row.mtu),
            carries(row),
        ]);
    }
    table.to_string()
}

/// The locators and groups on a port.
fn carries(row: &Row) -> String {
    let locators = row.rlocs.iter().map(|address| format!("locator {address}"));
    let groups = row.groups.iter().map(|iid| format!("group {iid}"));
    let all: Vec<String> = locators.chain(groups).collect();
    if all.is_empty() { NOTHING.to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_port_without_an_interface_is_unknown_not_down() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[
            {"name":"eth1","side":"eid","index":0,"up":true,"mac":"02:00:00:00:00:01","mtu":1500,"rlocs":[],"groups":[100,200]},
            {"name":"eth0","side":"rloc","index":null,"up":null,"mac":null,"mtu":null,"rlocs":["192.0.2.1"],"groups":[]}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "PORT  INDEX  SIDE  UP       MAC                 MTU  CARRIES\n\
             eth1      0  eid   yes      02:00:00:00:00:01  1500  group 100, group 200\n\
             eth0      -  rloc  unknown  -                     -  locator 192.0.2.1\n"
        );
    }
}
