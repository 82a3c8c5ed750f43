//! `sterna show agents`.

use serde::Deserialize;

use crate::table::{Table, cell};

/// A row of `/v1/agents`.
#[derive(Debug, Deserialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    mac: Option<String>,
    port: Option<String>,
    vlan: Option<u16>,
    age_s: u64,
    state: Option<String>,
    by: Option<String>,
    #[serde(default)]
    relayed_to: Vec<String>,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no agent has shown itself yet\n".to_owned();
    }
    let mut table = Table::new(["IID", "GROUP", "EID", "MAC", "PORT", "VLAN", "SINCE", "STATE"]);
    for row in rows {
        table.row([
            row.iid.to_string(),
            cell(row.group.as_deref()),
            row.eid.clone(),
            cell(row.mac.as_deref()),
            cell(row.port.as_deref()),
            cell(row.vlan),
            span(row.age_s),
            state(row),
        ]);
    }
    table.to_string()
}

/// Of an agent that comes and goes: where it stands, and by whose word.
fn state(row: &Row) -> String {
    let state = row.state.as_deref().unwrap_or("here");
    let by = row.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    match row.relayed_to.as_slice() {
        [] => format!("{state}{by}"),
        to => format!("{state}, sent on to {}", to.join(", ")),
    }
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
                 "age_s":4000},
                {"iid":100,"group":"research","eid":"10.1.0.8","mac":null,"port":null,"vlan":null,"age_s":3,
                 "state":"away","by":"detection","seen_s":9,"relayed_to":["192.0.2.3"]},
                {"iid":100,"group":"research","eid":"10.1.0.9","mac":null,"port":null,"vlan":null,"age_s":1,
                 "state":"expected","by":"api","seen_s":9}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "IID  GROUP     EID       MAC                PORT  VLAN  SINCE      STATE\n\
             100  research  10.1.0.7  02:00:00:00:00:07  eth1  -     1 h 6 min  here\n\
             100  research  10.1.0.8  -                  -     -     3 s        away, sent on to 192.0.2.3\n\
             100  research  10.1.0.9  -                  -     -     1 s        expected by api\n"
        );
        assert_eq!(table(&[]), "no agent has shown itself yet\n");
    }

    #[test]
    fn spans_have_two_units() {
        let spans: Vec<String> = [0, 59, 60, 3599, 3600, 90_000].into_iter().map(span).collect();
        assert_eq!(spans, ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "1 d 1 h"]);
    }
}
