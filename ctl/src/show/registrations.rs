//! `sterna show registrations`.

use serde::Deserialize;

use super::agents::span;
use crate::table::{NOTHING, Table, cell};

/// A row of `/v1/registrations`.
#[derive(Debug, Deserialize)]
pub struct Row {
    role: String,
    iid: u32,
    eid: String,
    state: String,
    server: Option<String>,
    confirmed_s: Option<u64>,
    site: Option<String>,
    holder: Option<String>,
    #[serde(default)]
    locators: Vec<Locator>,
    expires_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Locator {
    address: String,
    priority: u8,
    weight: u8,
}

/// The text for people: what we register, then what is registered with us.
pub fn table(rows: &[Row]) -> String {
    let (ours, held): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.role == "ours");
    let parts =
        [(!ours.is_empty()).then(|| table_of_ours(&ours)), (!held.is_empty()).then(|| table_of_held(&held))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing is registered\n".to_owned() } else { parts.join("\n") }
}

fn table_of_ours(rows: &[&Row]) -> String {
    let mut table = Table::new(["IID", "EID", "MAP-SERVER", "STATE", "CONFIRMED"]);
    for row in rows {
        table.row([
            row.iid.to_string(),
            row.eid.clone(),
            cell(row.server.as_deref()),
            row.state.clone(),
            row.confirmed_s.map_or(NOTHING.to_owned(), |seconds| format!("{} ago", span(seconds))),
        ]);
    }
    table.to_string()
}

fn table_of_held(rows: &[&Row]) -> String {
    let mut table = Table::new(["IID", "EID", "SITE", "LOCATORS", "STATE", "EXPIRES", "HELD BY"]);
    for row in rows {
        let locators: Vec<String> = row
            .locators
            .iter()
            .map(|locator| format!("{} {}/{}", locator.address, locator.priority, locator.weight))
            .collect();
        table.row([
            row.iid.to_string(),
            row.eid.clone(),
            cell(row.site.as_deref()),
            locators.join(", "),
            row.state.clone(),
            row.expires_s.map_or(NOTHING.to_owned(), span),
            cell(row.holder.as_deref()),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn ours_and_held_are_two_tables() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"role":"ours","iid":100,"eid":"10.1.0.0/24","state":"confirmed","server":"192.0.2.10","confirmed_s":7,
                 "locators":[]},
                {"role":"held","iid":100,"eid":"10.1.2.0/24","state":"registered","site":"site-b","holder":"192.0.2.2",
                 "locators":[{"address":"192.0.2.2","priority":1,"weight":100}],"expires_s":170,"proxy":true}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  EID          MAP-SERVER  STATE      CONFIRMED\n\
             100  10.1.0.0/24  192.0.2.10  confirmed  7 s ago\n\
             \n\
             IID  EID          SITE    LOCATORS         STATE       EXPIRES     HELD BY\n\
             100  10.1.2.0/24  site-b  192.0.2.2 1/100  registered  2 min 50 s  192.0.2.2\n"
        );
        assert_eq!(table(&[]), "nothing is registered\n");
    }
}
