//! `sterna show mappings`.

use serde::Deserialize;

use super::agents::span;
use crate::table::{NOTHING, Table, cell};

/// A row of `/v1/mappings`.
#[derive(Debug, Deserialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    state: String,
    reason: Option<String>,
    #[serde(default)]
    locators: Vec<Locator>,
    subscribed: bool,
    age_s: u64,
    ttl_s: u64,
}

#[derive(Debug, Deserialize)]
struct Locator {
    address: String,
    priority: u8,
    weight: u8,
    usable: bool,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "the mapping system has been asked nothing\n".to_owned();
    }
    let mut table =
        Table::new(["IID", "GROUP", "EID", "STATE", "LOCATORS", "TOLD OF CHANGES", "AGE", "TTL", "WHY"]);
    for row in rows {
        let locators: Vec<String> = row.locators.iter().map(locator).collect();
        table.row([
            row.iid.to_string(),
            cell(row.group.as_deref()),
            row.eid.clone(),
            row.state.clone(),
            if locators.is_empty() { NOTHING.to_owned() } else { locators.join(", ") },
            if row.subscribed { "yes" } else { "no" }.to_owned(),
            span(row.age_s),
            if row.ttl_s == 0 { NOTHING.to_owned() } else { span(row.ttl_s) },
            cell(row.reason.as_deref()),
        ]);
    }
    table.to_string()
}

fn locator(locator: &Locator) -> String {
    let Locator { address, priority, weight, usable } = locator;
    format!("{address} {priority}/{weight}{}", if *usable { "" } else { " (not usable)" })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_stale_mapping_is_shown_with_its_reason() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"iid":100,"group":"research","eid":"10.1.2.7/32","state":"stale","reason":"no map-resolver answers",
                 "locators":[{"address":"192.0.2.2","priority":1,"weight":100,"usable":true},
                             {"address":"192.0.2.3","priority":2,"weight":0,"usable":false}],
                 "subscribed":true,"age_s":90,"ttl_s":0,"idle_s":1},
                {"iid":200,"group":null,"eid":"10.9.9.9/32","state":"negative","locators":[],"subscribed":false,
                 "age_s":1,"ttl_s":59,"idle_s":1}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  GROUP     EID          STATE     LOCATORS                                     TOLD OF CHANGES  AGE         TTL   WHY\n\
             100  research  10.1.2.7/32  stale     192.0.2.2 1/100, 192.0.2.3 2/0 (not usable)  yes              1 min 30 s  -     no map-resolver answers\n\
             200  -         10.9.9.9/32  negative  -                                            no               1 s         59 s  -\n"
        );
        assert!(table(&[]).starts_with("the mapping system"));
    }
}
