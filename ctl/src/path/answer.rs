//! The gateway's answer, and how it is told to people.

use std::fmt;

use serde::Deserialize;

use crate::exit::Exit;
use crate::show::span;
use crate::table::{NOTHING, Table, cell};

/// The answer of `/v1/path`.
#[derive(Debug, Deserialize)]
pub struct Answer {
    group: String,
    from: String,
    to: String,
    class: Class,
    verdict: String,
    why: String,
    mapping: Option<Mapping>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Deserialize)]
struct Class {
    id: u8,
    name: Option<String>,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    eid: String,
    state: String,
    source: String,
    age_s: Option<u64>,
    ttl_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    address: String,
    here: bool,
    registered_priority: u8,
    attributes: serde_json::Map<String, serde_json::Value>,
    constraints: Vec<Judged>,
    terms: Terms,
    score: u16,
    effective: u32,
    priority: Option<u8>,
    path: Way,
    excluded: Option<String>,
    winner: bool,
}

#[derive(Debug, Deserialize)]
struct Judged {
    need: String,
    hard: bool,
    weight: u8,
    met: String,
}

#[derive(Debug, Deserialize)]
struct Terms {
    latency: i32,
    load: i32,
    state: i32,
    soft: Vec<i32>,
    path: i32,
}

#[derive(Debug, Deserialize)]
struct Way {
    state: String,
    rtt_us: Option<u32>,
    loss_permille: Option<u16>,
}

impl Answer {
    /// Whether the packet would leave.
    pub fn exit(&self) -> Exit {
        if matches!(self.verdict.as_str(), "sent" | "here") { Exit::Ok } else { Exit::Found }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { group, from, to, class, .. } = self;
        let name = class.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        writeln!(f, "packet   {from} -> {to} in the group {group}")?;
        writeln!(f, "class    {}{name}: {}", class.id, class.why)?;
        if let Some(Mapping { eid, state, source, age_s, ttl_s }) = &self.mapping {
            let age = age_s.map(|age| format!(", learned {} ago", span(age))).unwrap_or_default();
            let ttl =
                ttl_s.filter(|ttl| *ttl > 0).map(|ttl| format!(", {} left", span(ttl))).unwrap_or_default();
            writeln!(f, "mapping  {eid}, {state}{age}{ttl}: {source}")?;
        }
        let verdict = match self.verdict.as_str() {
            "sent" => "sent",
            "here" => "delivered here",
            "no_match" => "dropped, no locator will do",
            "no_way" => "dropped, no way there",
            "negative" => "not sent",
            _ => "waits",
        };
        writeln!(f, "verdict  {verdict}: {}", self.why)?;
        if !self.candidates.is_empty() {
            write!(f, "\n{}", self.ranking())?;
            write!(f, "\n{}", self.details())?;
        }
        Ok(())
    }
}

impl Answer {
    fn ranking(&self) -> Table {
        let heads =
            ["", "LOCATOR", "LATENCY", "LOAD", "STATE", "SOFT", "PATH", "SCORE", "REGISTERED", "EFFECTIVE"];
        let mut table =
            Table::new(heads.into_iter().chain(["PRIORITY", "WAY", "RTT us", "LOSS permille", "LEFT OUT"]));
        for one in &self.candidates {
            let Terms { latency, load, state, soft, path } = &one.terms;
            table.row([
                if one.winner { "*" } else { "" }.to_owned(),
                if one.here { format!("{} (here)", one.address) } else { one.address.clone() },
                latency.to_string(),
                load.to_string(),
                state.to_string(),
                soft.iter().sum::<i32>().to_string(),
                path.to_string(),
                one.score.to_string(),
                one.registered_priority.to_string(),
                one.effective.to_string(),
                cell(one.priority),
                one.path.state.clone(),
                cell(one.path.rtt_us),
                cell(one.path.loss_permille),
                one.excluded.clone().unwrap_or_else(|| NOTHING.to_owned()),
            ]);
        }
        table
    }

    /// What is said of each, and how that stands to each need.
    fn details(&self) -> Table {
        let mut table = Table::new(["LOCATOR", "SAID OF IT", "NEED", "KIND", "MET"]);
        for one in &self.candidates {
            let known: Vec<String> =
                one.attributes.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            if one.constraints.is_empty() {
                table.row([
                    one.address.clone(),
                    known.clone(),
                    NOTHING.to_owned(),
                    NOTHING.to_owned(),
                    NOTHING.to_owned(),
                ]);
            }
            for (place, judged) in one.constraints.iter().enumerate() {
                let first = place == 0;
                table.row([
                    if first { one.address.clone() } else { String::new() },
                    if first { known.clone() } else { String::new() },
                    judged.need.clone(),
                    if judged.hard { "hard".to_owned() } else { format!("soft, weight {}", judged.weight) },
                    judged.met.clone(),
                ]);
            }
        }
        table
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) if list.is_empty() => "none".to_owned(),
        serde_json::Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod test {
    use super::*;

    const SENT: &str = r#"{"iid":100,"group":"research","from":"10.1.1.2","to":"10.1.2.3",
        "class":{"id":1,"name":"gpu-fast","why":"policy 2 of the config file"},"verdict":"sent",
        "why":"192.0.2.2 is the only one that will do",
        "mapping":{"eid":"10.1.2.3/32","state":"fresh","source":"the mapping system","age_s":3,"ttl_s":57},
        "candidates":[
          {"address":"192.0.2.2","here":false,"registered_priority":1,"weight":100,
           "attributes":{"hardware":["gpu","h100"],"load_permille":400},
           "constraints":[{"need":"hardware gpu","hard":true,"weight":0,"met":"met","passes":true},
                          {"need":"load 700 permille or less","hard":false,"weight":8,"met":"met","passes":true}],
           "terms":{"latency":-50,"load":-100,"state":-50,"soft":[80],"path":-7},"score":373,"effective":827,
           "priority":1,"path":{"state":"up","usable":true,"rtt_us":712,"loss_permille":0},"winner":true},
          {"address":"192.0.2.3","here":true,"registered_priority":1,"weight":100,"attributes":{},
           "constraints":[{"need":"hardware gpu","hard":true,"weight":0,"met":"unknown","passes":false},
                          {"need":"load 700 permille or less","hard":false,"weight":8,"met":"unknown","passes":true}],
           "terms":{"latency":-50,"load":-125,"state":-50,"soft":[-80],"path":0},"score":195,"effective":1005,
           "priority":null,"path":{"state":"here","usable":true},"excluded":"the class requires hardware gpu",
           "winner":false}],
        "winners":["192.0.2.2"]}"#;

    #[test]
    fn the_choice_is_told_with_all_that_counted() {
        let answer: Answer = serde_json::from_str(SENT).unwrap();
        assert_eq!(answer.exit(), Exit::Ok);
        let text = answer.to_string();
        for line in [
            "packet   10.1.1.2 -> 10.1.2.3 in the group research",
            "class    1 (gpu-fast): policy 2 of the config file",
            "mapping  10.1.2.3/32, fresh, learned 3 s ago, 57 s left: the mapping system",
            "verdict  sent: 192.0.2.2 is the only one that will do",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is missing in\n{text}");
        }
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(words).collect();
        for line in [
            "* 192.0.2.2 -50 -100 -50 80 -7 373 1 827 1 up 712 0 -",
            "192.0.2.3 (here) -50 -125 -50 -80 0 195 1 1005 - here - - the class requires hardware gpu",
            "192.0.2.2 hardware gpu+h100, load_permille 400 hardware gpu hard met",
            "load 700 permille or less soft, weight 8 met",
            "192.0.2.3 nothing hardware gpu hard unknown",
        ] {
            assert!(lines.iter().any(|told| told == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_not_known_yet_has_no_candidates_and_is_no_success() {
        let text = r#"{"group":"research","from":"10.1.1.2","to":"10.1.2.9","class":{"id":0,"name":null,"why":"no policy"},
            "verdict":"unresolved","why":"the mapping system would be asked now","candidates":[],"winners":[]}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert_eq!(answer.exit(), Exit::Found);
        assert_eq!(
            answer.to_string(),
            "packet   10.1.1.2 -> 10.1.2.9 in the group research\nclass    0: no policy\n\
             verdict  waits: the mapping system would be asked now\n"
        );
    }
}
