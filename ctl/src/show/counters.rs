//! `sterna show counters`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::table::Table;

/// The body of `/v1/counters`.
#[derive(Debug, Deserialize)]
pub struct Body {
    scopes: Vec<Scope>,
    balance: Balance,
}

#[derive(Debug, Deserialize)]
struct Scope {
    port: String,
    side: String,
    counters: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Balance {
    rx: u64,
    made: u64,
    tx: u64,
    punted: u64,
    held: u64,
    dropped: u64,
    error: i64,
}

/// One column per port, over all workers (the JSON has them one by one), and the balance.
pub fn table(body: &Body, all: bool) -> String {
    let ports = by_port(&body.scopes);
    let names: BTreeSet<&str> = ports.iter().flat_map(|(_, counters)| counters.keys().copied()).collect();
    let heads = ports.iter().map(|(head, _)| head.clone());
    let mut table = Table::new(["COUNTER".to_owned()].into_iter().chain(heads));
    for name in names {
        let values: Vec<u64> =
            ports.iter().map(|(_, counters)| counters.get(name).copied().unwrap_or_default()).collect();
        if all || values.iter().any(|&value| value > 0) {
            table.row([name.to_owned()].into_iter().chain(values.iter().map(u64::to_string)));
        }
    }
    let counted =
        if table.is_empty() { "nothing has been counted yet\n".to_owned() } else { table.to_string() };
    format!("{counted}\n{}\n", sentence(&body.balance))
}

/// Each port in the order of its first scope, with its counters summed over workers.
fn by_port(scopes: &[Scope]) -> Vec<(String, BTreeMap<&str, u64>)> {
    let mut ports: Vec<(String, BTreeMap<&str, u64>)> = Vec::new();
    for scope in scopes {
        let head = format!("{} ({})", scope.port, scope.side);
        let at = match ports.iter().position(|(known, _)| *known == head) {
            Some(at) => at,
            None => {
                ports.push((head, BTreeMap::new()));
                ports.len() - 1
            }
        };
        for (name, value) in &scope.counters {
            let sum = ports[at].1.entry(name).or_default();
            *sum = sum.wrapping_add(*value);
        }
    }
    ports
}

fn sentence(balance: &Balance) -> String {
    let Balance { rx, made, tx, punted, held, dropped, error } = balance;
    let sum = format!("rx {rx} + made {made} = tx {tx} + punted {punted} + held {held} + dropped {dropped}");
    match error {
        0 => format!("balance holds: {sum}"),
        error => format!(
            "balance is off by {error}: {sum} (packets on their way while this was read count as well)"
        ),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    const BODY: &str = r#"{"scopes":[
        {"worker":0,"port":"eth1","side":"eid","counters":{"rx_packets":10,"src_not_local":0}},
        {"worker":0,"port":"eth0","side":"rloc","counters":{"rx_packets":5,"src_not_local":0}},
        {"worker":1,"port":"eth1","side":"eid","counters":{"rx_packets":7,"src_not_local":0}}],
        "balance":{"rx":22,"made":1,"tx":20,"punted":1,"held":0,"dropped":2,"error":0}}"#;

    #[test]
    fn workers_are_summed_and_zeros_left_out() {
        let body: Body = serde_json::from_str(BODY).unwrap();
        assert_eq!(
            table(&body, false),
            "COUNTER     eth1 (eid)  eth0 (rloc)\n\
             rx_packets          17            5\n\
             \n\
             balance holds: rx 22 + made 1 = tx 20 + punted 1 + held 0 + dropped 2\n"
        );
        assert!(table(&body, true).contains("src_not_local           0            0\n"));
    }

    #[test]
    fn an_error_in_the_balance_is_said() {
        let body: Body = serde_json::from_str(&BODY.replace("\"error\":0", "\"error\":-3")).unwrap();
        assert!(table(&body, false).contains("balance is off by -3"));
    }

    #[test]
    fn nothing_counted_is_said() {
        let body: Body = serde_json::from_str(
            r#"{"scopes":[],"balance":{"rx":0,"made":0,"tx":0,"punted":0,"held":0,"dropped":0,"error":0}}"#,
        )
        .unwrap();
        assert!(table(&body, false).starts_with("nothing has been counted yet\n"));
    }
}
