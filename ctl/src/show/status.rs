//! `sterna show status`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::exit::Exit;

/// The body of `/v1/status`.
#[derive(Debug, Deserialize)]
pub struct Body {
    gateway: String,
    synced: bool,
    generation: Option<u64>,
    dataplane: Option<Dataplane>,
    /// None of an older control plane, which was always an xTR.
    roles: Option<Vec<String>>,
    eids: Option<u64>,
    registrations: Option<u64>,
    mappings: Option<u64>,
    stale: Option<u64>,
    #[serde(default)]
    refused: BTreeMap<String, u64>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Dataplane {
    incarnation: u64,
    heartbeat_age_ms: Option<u64>,
}

/// The dataplane beats many times a second; one that was silent for this long has hung.
const SILENT_MS: u64 = 3000;

/// The text for people, and whether the gateway is in order.
pub fn text(body: &Body) -> (String, Exit) {
    let is_xtr = body.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| role == "xtr"));
    let (dataplane, alive) = match &body.dataplane {
        None if !is_xtr => ("none: this gateway has no role that forwards".to_owned(), true),
        None => ("not connected; start it or look at its log".to_owned(), false),
        Some(dataplane) => describe(dataplane),
    };
    let generation = body.generation.map(|number| format!(" (generation {number})")).unwrap_or_default();
    let tables = if body.synced { "in step with the file" } else { "being brought up" };
    let eids = body.eids.map(|count| format!(", {count} EIDs")).unwrap_or_default();
    let mut text = format!("gateway    {}\n", body.gateway);
    text += &format!("dataplane  {dataplane}\n");
    if is_xtr {
        text += &format!("tables     {tables}{generation}{eids}\n");
    }
    if let Some(count) = body.mappings.filter(|count| *count > 0) {
        let stale = body.stale.filter(|stale| *stale > 0);
        let stale = stale.map(|stale| format!(", {stale} of them stale: no map-resolver answers for them"));
        text += &format!("mappings   {count} learned{}\n", stale.unwrap_or_default());
    }
    if let Some(count) = body.registrations.filter(|count| *count > 0 || !is_xtr) {
        text += &format!("server     {count} registrations\n");
    }
    for (reason, count) in body.refused.iter().filter(|(_, count)| **count > 0) {
        text += &format!("refused    {count} updates: {reason}\n");
    }
    for warning in &body.warnings {
        text += &format!("warning    {warning}\n");
    }
    let well = alive
        && (body.synced || !is_xtr)
        && body.stale.is_none_or(|stale| stale == 0)
        && body.warnings.is_empty()
        && body.refused.values().all(|&count| count == 0);
    (text, if well { Exit::Ok } else { Exit::Found })
}

fn describe(dataplane: &Dataplane) -> (String, bool) {
    let who = format!("connected (incarnation {})", dataplane.incarnation);
    match dataplane.heartbeat_age_ms {
        None => (format!("{who}, no heartbeat yet"), true),
        Some(age) if age < SILENT_MS => (format!("{who}, heartbeat {age} ms ago"), true),
        Some(age) => (format!("{who}, but no heartbeat for {age} ms"), false),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn shown(json: &str) -> (String, Exit) {
        text(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_gateway_in_order() {
        let (text, exit) = shown(
            r#"{"gateway":"gw-a","synced":true,"generation":7,"eids":12,
                "dataplane":{"incarnation":3,"heartbeat_age_ms":40}}"#,
        );
        assert_eq!(exit, Exit::Ok);
        assert_eq!(
            text,
            "gateway    gw-a\n\
             dataplane  connected (incarnation 3), heartbeat 40 ms ago\n\
             tables     in step with the file (generation 7), 12 EIDs\n"
        );
    }

    #[test]
    fn a_map_server_needs_no_dataplane_and_stale_mappings_are_told() {
        let (text, exit) = shown(
            r#"{"gateway":"ms","synced":false,"generation":null,"dataplane":null,"roles":["map-server"],
                "registrations":3}"#,
        );
        assert_eq!(exit, Exit::Ok);
        assert_eq!(
            text,
            "gateway    ms\n\
             dataplane  none: this gateway has no role that forwards\n\
             server     3 registrations\n"
        );
        let (text, exit) = shown(
            r#"{"gateway":"a","synced":true,"generation":1,"dataplane":{"incarnation":1,"heartbeat_age_ms":1},
                "roles":["xtr"],"mappings":5,"stale":2,"registrations":0}"#,
        );
        assert_eq!(exit, Exit::Found);
        assert!(text.contains("mappings   5 learned, 2 of them stale"), "{text}");
    }

    #[test]
    fn whatever_is_not_in_order_shows_in_the_exit_status() {
        for json in [
            r#"{"gateway":"a","synced":false,"generation":null,"dataplane":null}"#,
            r#"{"gateway":"a","synced":false,"generation":1,"dataplane":{"incarnation":1,"heartbeat_age_ms":1}}"#,
            r#"{"gateway":"a","synced":true,"generation":1,"dataplane":{"incarnation":1,"heartbeat_age_ms":9000}}"#,
            r#"{"gateway":"a","synced":true,"generation":1,"dataplane":{"incarnation":1,"heartbeat_age_ms":1},
                "warnings":["RLOC 192.0.2.1 is not on eth0"]}"#,
            r#"{"gateway":"a","synced":true,"generation":1,"dataplane":{"incarnation":1,"heartbeat_age_ms":1},
                "refused":{"eid_table_full":2}}"#,
        ] {
            assert_eq!(shown(json).1, Exit::Found, "{json}");
        }
    }
}
