//! `sterna show control`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::table::Table;

/// The body of `/v1/lisp/counters`.
#[derive(Debug, Deserialize)]
pub struct Body {
    #[serde(default)]
    listening: Vec<String>,
    #[serde(default)]
    not_listening: BTreeMap<String, String>,
    #[serde(flatten)]
    parts: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The text for people: where we listen, and every counter that is not zero (or all).
pub fn table(body: &Body, all: bool) -> String {
    let mut text = String::new();
    for address in &body.listening {
        text += &format!("listening on UDP 4342 of {address}\n");
    }
    for (address, error) in &body.not_listening {
        text += &format!("not listening on UDP 4342 of {address}: {error}\n");
    }
    let mut table = Table::new(["PART", "COUNTER", "COUNT"]);
    for (part, counters) in &body.parts {
        for (name, count) in counters.iter().filter(|(_, count)| all || **count > 0) {
            table.row([part.clone(), name.clone(), count.to_string()]);
        }
    }
    if table.is_empty() { text + "nothing has been counted yet\n" } else { text + &table.to_string() }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn zeros_are_left_out_and_deaf_addresses_named() {
        let body: Body = serde_json::from_str(
            r#"{"listening":["192.0.2.1"],"not_listening":{"2001:db8::1":"no such address"},
                "socket":{"sent":3,"policed":0},"itr":{"misses":7}}"#,
        )
        .unwrap();
        assert_eq!(
            table(&body, false),
            "listening on UDP 4342 of 192.0.2.1\n\
             not listening on UDP 4342 of 2001:db8::1: no such address\n\
             PART    COUNTER  COUNT\n\
             itr     misses       7\n\
             socket  sent         3\n"
        );
        assert!(table(&body, true).contains("policed"));
    }
}
