//! `sterna show locators`.

use serde::Deserialize;

use crate::table::{Table, cell, yes};

/// A row of `/v1/locators`.
#[derive(Debug, Deserialize)]
pub struct Row {
    address: String,
    local: Option<String>,
    reachable: Option<bool>,
    reason: Option<String>,
    next_hop: Option<String>,
    mac: Option<String>,
    mtu: Option<u16>,
    port: Option<String>,
    probe: Option<String>,
    rtt_us: Option<u32>,
    loss_permille: Option<u16>,
}

/// The text for people.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new([
        "LOCATOR",
        "FROM",
        "REACHABLE",
        "NEXT HOP",
        "MAC",
        "PORT",
        "MTU",
        "PROBE",
        "RTT",
        "LOSS",
        "WHY",
    ]);
    for row in rows {
        table.row([
            row.address.clone(),
            cell(row.local.as_deref()),
            yes(row.reachable).to_owned(),
            cell(row.next_hop.as_deref()),
            cell(row.mac.as_deref()),
            cell(row.port.as_deref()),
            cell(row.mtu),
            cell(row.probe.as_deref()),
            cell(row.rtt_us.map(|us| format!("{}.{:03} ms", us / 1000, us % 1000))),
            cell(row.loss_permille.map(|loss| format!("{}.{} %", loss / 10, loss % 10))),
            cell(row.reason.as_deref()),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_locator_without_a_path_is_shown_with_its_reason() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[
            {"address":"192.0.2.2","local":"192.0.2.1","reachable":true,"reason":"resolved","next_hop":"192.0.2.2",
             "mac":"02:00:00:00:00:02","mtu":1500,"port":"eth0","probe":"up","rtt_us":1234,"loss_permille":15},
            {"address":"2001:db8::2","local":null,"reachable":false,"reason":"we have no RLOC of this address family",
             "next_hop":null,"mac":null,"mtu":null,"port":null}]"#,
        )
        .unwrap();
        assert_eq!(
            table(&rows),
            "LOCATOR      FROM       REACHABLE  NEXT HOP   MAC                PORT   MTU  PROBE  RTT       LOSS   WHY\n\
             192.0.2.2    192.0.2.1  yes        192.0.2.2  02:00:00:00:00:02  eth0  1500  up     1.234 ms  1.5 %  resolved\n\
             2001:db8::2  -          no         -          -                  -        -  -      -         -      \
             we have no RLOC of this address family\n"
        );
    }
}
