//! `sterna show map-servers`.

use serde::Deserialize;

use super::agents::span;
use crate::exit::Exit;
use crate::table::{NOTHING, Table};

/// A row of `/v1/map-servers`.
#[derive(Debug, Deserialize)]
pub struct Row {
    address: String,
    role: String,
    state: String,
    reason: String,
    registrations: u64,
    confirmed: u64,
    answered_s: Option<u64>,
}

/// The text for people, and whether all of them answer.
pub fn table(rows: &[Row]) -> (String, Exit) {
    if rows.is_empty() {
        return ("this gateway has no mapping system\n".to_owned(), Exit::Ok);
    }
    let mut table = Table::new(["ADDRESS", "ROLE", "STATE", "CONFIRMED", "LAST", "WHY"]);
    for row in rows {
        let confirmed = match row.role.as_str() {
            "map-server" => format!("{} of {}", row.confirmed, row.registrations),
            _ => NOTHING.to_owned(),
        };
        table.row([
            row.address.clone(),
            row.role.clone(),
            row.state.clone(),
            confirmed,
            row.answered_s.map_or(NOTHING.to_owned(), |seconds| format!("{} ago", span(seconds))),
            row.reason.clone(),
        ]);
    }
    let silent = rows.iter().any(|row| row.state == "silent");
    (table.to_string(), if silent { Exit::Found } else { Exit::Ok })
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_silent_server_shows_in_the_exit_status() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"address":"192.0.2.10","role":"map-server","state":"silent","reason":"2 refreshes were not confirmed",
                 "registrations":2,"confirmed":0,"refused":0,"answered_s":200},
                {"address":"192.0.2.10","role":"map-resolver","state":"answers","reason":"no question is open",
                 "registrations":0,"confirmed":0,"refused":0}]"#,
        )
        .unwrap();
        let (text, exit) = table(&rows);
        assert_eq!(exit, Exit::Found);
        assert_eq!(
            text,
            "ADDRESS     ROLE          STATE    CONFIRMED  LAST            WHY\n\
             192.0.2.10  map-server    silent   0 of 2     3 min 20 s ago  2 refreshes were not confirmed\n\
             192.0.2.10  map-resolver  answers  -          -               no question is open\n"
        );
        assert_eq!(table(&rows[1..]).1, Exit::Ok);
        assert_eq!(table(&[]).1, Exit::Ok);
    }
}
