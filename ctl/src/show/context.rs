//! `sterna show context`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::agents::span;
use crate::table::{Table, cell};

/// A row of `/v1/context`.
#[derive(Debug, Deserialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    context: Said,
    #[serde(default)]
    locators: BTreeMap<String, Said>,
    heard_s: u64,
    expired: bool,
    told_s: Option<u64>,
    waiting: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    latency: Option<Latency>,
    hardware: Option<Vec<String>>,
    state: Option<String>,
    load: Option<f64>,
    queue: Option<u16>,
    security: Option<Security>,
}

#[derive(Debug, Deserialize)]
struct Latency {
    class: Option<String>,
    sla_us: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Security {
    level: u8,
    flags: Vec<String>,
    domain: u16,
}

/// The text for people: a line for each agent, and below it one for each locator that has its own.
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "nobody has reported anything of an agent here\n".to_owned();
    }
    let heads =
        ["IID", "GROUP", "EID", "STATE", "LOAD", "QUEUE", "LATENCY", "HARDWARE", "SECURITY", "HEARD", "TOLD"];
    let mut table = Table::new(heads);
    for row in rows {
        let who = [row.iid.to_string(), cell(row.group.as_deref()), row.eid.clone()];
        let heard = format!("{}{}", span(row.heard_s), if row.expired { ", over" } else { "" });
        table.row(who.into_iter().chain(row.context.cells()).chain([heard, told(row)]));
        for (rloc, said) in &row.locators {
            let who = [String::new(), String::new(), format!("at {rloc}")];
            table.row(who.into_iter().chain(said.cells()));
        }
    }
    table.to_string()
}

fn told(row: &Row) -> String {
    let told = row.told_s.map_or_else(|| "not yet".to_owned(), span);
    if row.waiting { format!("{told}, waits") } else { told }
}

impl Said {
    fn cells(&self) -> [String; 6] {
        let latency = self.latency.as_ref().map(|Latency { class, sla_us }| {
            let promise = sla_us.map(|us| format!("{us} us"));
            [class.clone(), promise].into_iter().flatten().collect::<Vec<_>>().join(", ")
        });
        let security = self.security.as_ref().map(|Security { level, flags, domain }| {
            let domain = (*domain != 0).then(|| format!("domain {domain}"));
            let parts = std::iter::once(level.to_string()).chain(flags.iter().cloned()).chain(domain);
            parts.collect::<Vec<_>>().join(" ")
        });
        [
            cell(self.state.as_deref()),
            cell(self.load),
            cell(self.queue),
            cell(latency),
            cell(self.hardware.as_ref().map(|names| names.join(","))),
            cell(security),
        ]
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn agents_and_their_locators_are_listed() {
        let rows: Vec<Row> = serde_json::from_str(
            r#"[{"iid":100,"group":"research","eid":"10.1.0.7","ttl_s":90,"heard_s":3,"expired":false,"told_s":70,
                 "waiting":true,"context":{"latency":{"class":"low","sla_us":5000},"hardware":["gpu","h100"],
                 "state":"active","load":0.4,"queue":3,"security":{"level":3,"flags":["crypto"],"domain":7}},
                 "locators":{"192.0.2.1":{"state":"busy"}}},
                {"iid":100,"group":null,"eid":"10.1.0.8","ttl_s":90,"heard_s":99,"expired":true,"told_s":null,
                 "waiting":false,"context":{}}]"#,
        )
        .unwrap();
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>(),
            [
                "100",
                "research",
                "10.1.0.7",
                "active",
                "0.4",
                "3",
                "low, 5000 us",
                "gpu,h100",
                "3 crypto domain 7",
                "3 s",
                "1 min 10 s, waits"
            ]
        );
        assert!(lines[2].contains("at 192.0.2.1") && lines[2].contains("busy"), "{text}");
        assert!(lines[3].contains("1 min 39 s, over") && lines[3].ends_with("not yet"), "{text}");
        assert!(table(&[]).starts_with("nobody"));
    }
}
