//! `sterna show drops`.

use serde::Deserialize;

use crate::table::Table;

/// A row of `/v1/drops`.
#[derive(Debug, Deserialize)]
pub struct Row {
    reason: String,
    port: String,
    count: u64,
    #[serde(default)]
    help: String,
}

/// The text for people, the most frequent reason first.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no packet was dropped\n".to_owned();
    }
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| (std::cmp::Reverse(row.count), row.reason.as_str(), row.port.as_str()));
    let mut table = Table::new(["REASON", "PORT", "COUNT", "MEANS"]);
    for row in sorted {
        table.row([row.reason.clone(), row.port.clone(), row.count.to_string(), row.help.clone()]);
    }
    table.to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_most_frequent_reason_comes_first() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"reason":"bad_checksum","port":"eth0","count":2,"help":"The header checksum is wrong."},
                {"reason":"rloc_spoof","port":"eth0","count":70,"help":"The outer source may not send for the inner one."}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "REASON        PORT  COUNT  MEANS\n\
             rloc_spoof    eth0     70  The outer source may not send for the inner one.\n\
             bad_checksum  eth0      2  The header checksum is wrong.\n"
        );
        assert_eq!(table(&[]), "no packet was dropped\n");
    }
}
