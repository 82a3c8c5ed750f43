//! `sterna show subscriptions`.

use serde::Deserialize;

use crate::table::{NOTHING, Table, cell};

/// A row of `/v1/subscriptions`.
#[derive(Debug, Deserialize)]
pub struct Row {
    role: String,
    iid: u32,
    eid: String,
    site: Option<String>,
    #[serde(default)]
    rlocs: Vec<String>,
    current: bool,
    outstanding: u64,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there are no subscriptions\n".to_owned();
    }
    let mut table = Table::new(["IID", "EID", "WHO IS TOLD", "SITE", "AT", "STATE"]);
    for row in rows {
        table.row([
            row.iid.to_string(),
            row.eid.clone(),
            if row.role == "ours" { "this gateway" } else { "the subscriber" }.to_owned(),
            cell(row.site.as_deref()),
            if row.rlocs.is_empty() { NOTHING.to_owned() } else { row.rlocs.join(", ") },
            match row.current {
                true => "current".to_owned(),
                false => format!("{} changes not acknowledged", row.outstanding),
            },
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn both_sides_are_told_apart() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"role":"ours","iid":100,"eid":"10.1.2.0/24","rlocs":[],"current":true,"outstanding":0},
                {"role":"held","iid":100,"eid":"10.1.3.0/24","site":"site-b","xtr_id":"00","rlocs":["192.0.2.2"],
                 "current":false,"outstanding":3}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  EID          WHO IS TOLD     SITE    AT         STATE\n\
             100  10.1.2.0/24  this gateway    -       -          current\n\
             100  10.1.3.0/24  the subscriber  site-b  192.0.2.2  3 changes not acknowledged\n"
        );
        assert_eq!(table(&[]), "there are no subscriptions\n");
    }
}
