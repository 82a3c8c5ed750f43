//! `sterna show eids`.

use serde::Deserialize;

use crate::table::{NOTHING, Table, cell};

/// A row of `/v1/eids`.
#[derive(Debug, Deserialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    kind: String,
    #[serde(default)]
    locators: Vec<Locator>,
    action: Option<String>,
    expires_s: Option<u64>,
    port: Option<String>,
    vlan: Option<u16>,
    via: Option<String>,
    mac: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Locator {
    address: String,
    priority: Option<u8>,
    weight: Option<u8>,
    usable: Option<bool>,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["IID", "GROUP", "EID", "KIND", "GOES TO"]);
    for row in rows {
        let whither = whither(row);
        table.row([
            row.iid.to_string(),
            cell(row.group.as_deref()),
            row.eid.clone(),
            row.kind.clone(),
            whither,
        ]);
    }
    table.to_string()
}

/// Where an EID's packets go, in words.
fn whither(row: &Row) -> String {
    if !row.locators.is_empty() {
        return row.locators.iter().map(locator).collect::<Vec<_>>().join(", ");
    }
    if let Some(action) = &row.action {
        let expires = row.expires_s.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
        return format!("{action}{expires}");
    }
    let Some(port) = &row.port else {
        return NOTHING.to_owned();
    };
    let vlan = row.vlan.map(|vlan| format!(" vlan {vlan}")).unwrap_or_default();
    let via = row.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default();
    let mac = row.mac.as_ref().map(|mac| format!(" at {mac}")).unwrap_or_default();
    format!("{port}{vlan}{via}{mac}")
}

/// An address with priority/weight, and whether it can be used.
fn locator(locator: &Locator) -> String {
    let share = match (locator.priority, locator.weight) {
        (Some(priority), Some(weight)) => format!(" {priority}/{weight}"),
        _ => String::new(),
    };
    let state = match locator.usable {
        Some(false) => " (not usable)",
        Some(true) | None => "",
    };
    format!("{}{share}{state}", locator.address)
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_kind_says_where_it_goes() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[
            {"iid":100,"group":"research","eid":"10.1.2.0/24","kind":"static","locators":[
                {"address":"192.0.2.2","priority":1,"weight":100,"usable":true},
                {"address":"198.51.100.2","priority":2,"weight":100,"usable":false}]},
            {"iid":100,"group":"research","eid":"10.1.0.0/24","kind":"local","locators":[],"port":"eth1","vlan":10},
            {"iid":100,"group":"research","eid":"10.9.0.0/24","kind":"local","locators":[],"port":"eth1","via":"10.1.0.9"},
            {"iid":100,"group":"research","eid":"10.1.0.7/32","kind":"agent","locators":[],"port":"eth1",
             "mac":"02:00:00:00:00:07"},
            {"iid":200,"group":null,"eid":"10.7.7.7/32","kind":"negative","locators":[],"action":"drop","expires_s":42}
            ]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  GROUP     EID          KIND      GOES TO\n\
             100  research  10.1.2.0/24  static    192.0.2.2 1/100, 198.51.100.2 2/100 (not usable)\n\
             100  research  10.1.0.0/24  local     eth1 vlan 10\n\
             100  research  10.9.0.0/24  local     eth1 via 10.1.0.9\n\
             100  research  10.1.0.7/32  agent     eth1 at 02:00:00:00:00:07\n\
             200  -         10.7.7.7/32  negative  drop for 42 s\n"
        );
    }
}
