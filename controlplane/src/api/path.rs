//! `GET /v1/path`: where packets from one EID to another go, and why.

mod candidate;
mod packet;

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sterna_wire::lisp::control::acx::Attributes;

use super::failure;
use crate::context::{Candidate, Class, explain};
use crate::itr::{Basis, Considered, EntryState, EntryView};
use crate::outbox::Locator;
use crate::plane::ControlPlane;
use crate::shared::Shared;
use candidate::Row;
pub use packet::Asked;
use packet::{Classed, Packet};

/// The way of a packet.
#[derive(Debug, Serialize)]
pub struct Body {
    iid: u32,
    group: String,
    from: IpAddr,
    to: IpAddr,
    class: Classed,
    /// `sent`, `no_match`, `no_way`, `negative`, `unresolved`, `here`.
    verdict: &'static str,
    /// Why, in a sentence.
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<Mapping>,
    /// Best first; those that are left out come last.
    candidates: Vec<Row>,
    /// Those that new flows are spread over.
    winners: Vec<IpAddr>,
}

/// The mapping that is used.
#[derive(Debug, Serialize)]
struct Mapping {
    eid: String,
    /// `config`, `fresh`, `stale` or `negative`.
    state: &'static str,
    /// Where what is known of the locators comes from.
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<u64>,
}

/// 200 with the explanation; 400 for a packet that cannot be, 404 for an unknown group or class.
pub async fn get(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let plane = shared.plane();
    match Packet::of(&asked, plane.config()) {
        Ok(packet) => Json(way(&plane, &packet, Instant::now())).into_response(),
        Err((unknown, sentence)) => {
            let status = if unknown { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            failure(status, &sentence)
        }
    }
}

/// What is known that decides about a packet.
struct Decision {
    mapping: Option<Mapping>,
    basis: Basis,
    considered: Vec<Considered>,
}

fn way(plane: &ControlPlane, packet: &Packet, now: Instant) -> Body {
    let class = packet.class(plane.config());
    let mut body = Body {
        iid: packet.iid.get(),
        group: packet.group.clone(),
        from: packet.from,
        to: packet.to,
        class: packet.classed(plane.config()),
        verdict: "unresolved",
        why: String::new(),
        mapping: None,
        candidates: Vec::new(),
        winners: Vec::new(),
    };
    let skill = plane.config().groups.iter().find(|group| group.iid == packet.iid);
    let skill = skill.is_some_and(|group| group.skills.iter().any(|skill| skill.contains(packet.to)));
    if !skill && is_here(plane, packet) {
        (body.verdict, body.why) = ("here", "it is attached here, or served here".to_owned());
        return body;
    }
    let decided = decision(plane, packet, class.id, now);
    body.mapping = decided.mapping;
    judge(plane, &mut body, &class, decided.basis, &decided.considered);
    if body.mapping.is_none() || decided.basis == Basis::Nothing {
        body.why = unresolved(plane, packet, now);
    }
    body
}

fn is_here(plane: &ControlPlane, packet: &Packet) -> bool {
    let group = plane.config().groups.iter().find(|group| group.iid == packet.iid);
    let served = group.is_some_and(|group| group.eids.iter().any(|served| served.prefix.contains(packet.to)));
    let mut agents = plane.agents().iter();
    served || agents.any(|(iid, eid, _)| (iid, eid) == (packet.iid, packet.to))
}

fn decision(plane: &ControlPlane, packet: &Packet, class: u8, now: Instant) -> Decision {
    let fixed =
        plane.config().mappings.iter().filter(|one| one.iid == packet.iid && one.eid.contains(packet.to));
    if let Some(fixed) = fixed.max_by_key(|one| one.eid.len()) {
        let considered = fixed.rlocs.iter().map(|rloc| Considered {
            locator: Locator { address: rloc.address, priority: rloc.priority, weight: rloc.weight },
            attributes: Attributes::default(),
            path: None,
        });
        let (eid, source) = (fixed.eid.to_string(), "a [[mapping]] of the config file");
        let mapping = Mapping { eid, state: "config", source, age_s: None, ttl_s: None };
        return Decision { mapping: Some(mapping), basis: Basis::Blind, considered: considered.collect() };
    }
    let meeting = plane.roles().itr().and_then(|itr| itr.meeting(packet.iid, packet.to, class, now));
    match meeting {
        Some(meeting) => Decision {
            mapping: Some(mapping(&meeting.entry, meeting.basis, now)),
            basis: meeting.basis,
            considered: meeting.considered,
        },
        None => Decision { mapping: None, basis: Basis::Nothing, considered: Vec::new() },
    }
}

fn mapping(entry: &EntryView, basis: Basis, now: Instant) -> Mapping {
    let state = match entry.state {
        EntryState::Fresh => "fresh",
        EntryState::Stale => "stale",
        EntryState::Negative => "negative",
        EntryState::Resolving => "resolving",
    };
    let source = match basis {
        Basis::Record => "the mapping system, which was not asked for context",
        Basis::Blind => "the mapping system, which knows nothing of context",
        Basis::All => "the mapping system, with the context of every locator",
        Basis::Filtered | Basis::Nobody => "the mapping system, which filtered for what the class needs",
        Basis::Nothing => "the mapping system, which was not asked for this class yet",
    };
    let (age_s, ttl_s) = (Some(entry.age(now).as_secs()), Some(entry.ttl_left(now).as_secs()));
    Mapping { eid: entry.prefix.to_string(), state, source, age_s, ttl_s }
}

/// Ranks the candidates and says what follows.
fn judge(plane: &ControlPlane, body: &mut Body, class: &Class, basis: Basis, considered: &[Considered]) {
    let candidates: Vec<Candidate<'_>> = considered
        .iter()
        .map(|one| Candidate {
            address: one.locator.address,
            priority: one.locator.priority,
            weight: one.locator.weight,
            attributes: &one.attributes,
            path: one.path,
        })
        .collect();
    let context = &plane.config().context;
    let ranking =
        crate::context::Ranking { topology_weight: context.topology_weight, spread: context.spread };
    let explained = explain(&candidates, &class.constraints, ranking);
    let rows = considered.iter().zip(explained);
    body.candidates = rows.map(|(one, why)| Row::of(plane, class, basis, one, why)).collect();
    body.candidates.sort_by_key(Row::rank);
    let usable = body.candidates.iter().filter(|row| row.is_usable());
    let best = usable.clone().filter_map(|row| row.priority).min();
    body.winners =
        usable.filter(|row| best.is_some() && row.priority == best).map(|row| row.address).collect();
    let winners = body.winners.clone();
    body.candidates.iter_mut().for_each(|row| row.winner = winners.contains(&row.address));
    let negative = body.mapping.as_ref().is_some_and(|mapping| mapping.state == "negative");
    (body.verdict, body.why) = match basis {
        _ if negative => ("negative", "the mapping system says that nobody is there".to_owned()),
        Basis::Nothing => return,
        Basis::Nobody => ("no_match", "the mapping system says that no locator will do".to_owned()),
        Basis::Blind if class.require_context => {
            let why = "the answer has no context, and the class requires it (require_context)";
            ("no_match", why.to_owned())
        }
        _ => outcome(&body.candidates, &winners, context.spread),
    };
    if body.verdict != "sent" {
        body.winners.clear();
        body.candidates.iter_mut().for_each(|row| row.winner = false);
    }
}

fn outcome(rows: &[Row], winners: &[IpAddr], spread: u32) -> (&'static str, String) {
    let fit: Vec<&Row> = rows.iter().filter(|row| row.priority.is_some()).collect();
    let why = match (winners, fit.as_slice()) {
        (_, []) => return ("no_match", "no locator will do".to_owned()),
        ([], _) => return ("no_way", "no locator that would do can be reached".to_owned()),
        ([only], [_]) => format!("{only} is the only one that will do"),
        ([only], [first, ..]) if first.address == *only => {
            format!("{only} has the lowest effective value, by more than the spread of {spread}")
        }
        ([only], _) => format!("{only} is the best that can be reached"),
        (several, _) => {
            let names: Vec<String> = several.iter().map(IpAddr::to_string).collect();
            let (last, others) =
                names.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
            let names = format!("{} and {last}", others.join(", "));
            format!("{names} are within the spread of {spread} of the best and share new flows")
        }
    };
    ("sent", why)
}

fn unresolved(plane: &ControlPlane, packet: &Packet, now: Instant) -> String {
    let Some(itr) = plane.roles().itr() else {
        return "nothing is known of it, and there is no mapping system to ask".to_owned();
    };
    match itr.asked_since(packet.iid, packet.to) {
        Some(since) => {
            let waited = now.saturating_duration_since(since).as_secs();
            format!("the mapping system was asked {waited} s ago and has not answered; packets wait")
        }
        None => "nothing is known of it for this class: the mapping system would be asked now".to_owned(),
    }
}
