//! `sterna show agents`.

use serde::Deserialize;

use crate::table::{Table, cell};

/// A row of `/v1/agents`.
#[derive(Debug, Deserialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    mac: String,
    port: Option<String>,
    vlan: Option<u16>,
    age_s: u64,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no agent has shown itself yet\n".to_owned();
    }
    let mut table = Table::new(["IID", "GROUP", "EID", "MAC", "PORT", "VLAN", "HERE FOR"]);
    for row in rows {
        table.row([
            row.iid.to_string(),
            cell(row.group.as_deref()),
            row.eid.clone(),
            row.mac.clone(),
            cell(row.port.as_deref()),
            cell(row.vlan),
            span(row.age_s),
        ]);
    }
    table.to_string()
}

/// Seconds as people say them, in the two largest units.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn agents_are_listed() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"iid":100,"group":"research","eid":"10.1.0.7","mac":"02:00:00:00:00:07","port":"eth1","vlan":null,
                 "age_s":4000}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  GROUP     EID       MAC                PORT  VLAN  HERE FOR\n\
             100  research  10.1.0.7  02:00:00:00:00:07  eth1  -     1 h 6 min\n"
        );
        assert_eq!(table(&[]), "no agent has shown itself yet\n");
    }

    #[test]
    fn spans_have_two_units() {
        let spans: Vec<String> = [0, 59, 60, 3599, 3600, 90_000].into_iter().map(span).collect();
        assert_eq!(spans, ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "1 d 1 h"]);
    }
}
