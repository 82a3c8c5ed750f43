//! `sterna show sites`.

use serde::Deserialize;

use crate::table::{NOTHING, Table};

/// A row of `/v1/sites`.
#[derive(Debug, Deserialize)]
pub struct Row {
    name: String,
    keys: Vec<u8>,
    registrations: u64,
    #[serde(default)]
    xtrs: Vec<Xtr>,
}

#[derive(Debug, Deserialize)]
struct Xtr {
    xtr: String,
    from: String,
    key: u8,
    registrations: u64,
}

/// The text for people: a line per xTR, and one for a site that nobody registers for.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "this gateway is no map-server\n".to_owned();
    }
    let mut table = Table::new(["SITE", "KEYS", "REGISTRATIONS", "XTR", "FROM", "SIGNS WITH"]);
    for row in rows {
        let keys: Vec<String> = row.keys.iter().map(u8::to_string).collect();
        let site = [row.name.clone(), keys.join(", ")];
        if row.xtrs.is_empty() {
            let rest = [row.registrations.to_string(), NOTHING.into(), NOTHING.into(), NOTHING.into()];
            table.row(site.iter().cloned().chain(rest));
        }
        for xtr in &row.xtrs {
            let rest = [
                xtr.registrations.to_string(),
                xtr.xtr.clone(),
                xtr.from.clone(),
                format!("key {}", xtr.key),
            ];
            table.row(site.iter().cloned().chain(rest));
        }
    }
    table.to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn each_xtr_has_a_line() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"name":"site-a","keys":[1,2],"registrations":3,"xtrs":[
                    {"xtr":"0a","site_id":1,"from":"192.0.2.1:4342","key":1,"registrations":3}]},
                {"name":"site-b","keys":[1],"registrations":0,"xtrs":[]}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "SITE    KEYS  REGISTRATIONS  XTR  FROM            SIGNS WITH\n\
             site-a  1, 2              3  0a   192.0.2.1:4342  key 1\n\
             site-b  1                 0  -    -               -\n"
        );
        assert_eq!(table(&[]), "this gateway is no map-server\n");
    }
}
