//! `GET /v1/mappings`: what the mapping system said of whom, and how sure that is.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::itr::{EntryState, EntryView};
use crate::outbox::Choice;
use crate::plane::ControlPlane;
use crate::shared::Shared;

/// An entry of the map-cache, or a question that has not been answered yet.
#[derive(Debug, Serialize)]
pub struct Row {
    iid: u32,
    group: Option<String>,
    eid: String,
    /// `fresh`, `stale`, `negative` or `resolving`.
    state: &'static str,
    /// Why it is not fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    locators: Vec<Locator>,
    /// What each context class uses, by its number; nothing where context plays no part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    classes: BTreeMap<u8, Class>,
    /// A Map-Server tells us of changes.
    subscribed: bool,
    age_s: u64,
    ttl_s: u64,
    /// Since the dataplane last used it.
    idle_s: u64,
}

#[derive(Debug, Serialize)]
struct Locator {
    address: IpAddr,
    priority: u8,
    weight: u8,
    usable: bool,
}

/// What a context class uses.
#[derive(Debug, Serialize)]
struct Class {
    /// No locator will do: its packets are dropped.
    no_match: bool,
    locators: Vec<Chosen>,
}

#[derive(Debug, Serialize)]
struct Chosen {
    address: IpAddr,
    /// What follows from its fitness.
    priority: u8,
    weight: u8,
    /// Flows that use it stay with it.
    keep: bool,
}

/// The map-cache by group and prefix; empty without a mapping system.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let entries = plane.roles().itr().into_iter().flat_map(|itr| itr.entries());
    entries.map(|entry| row(plane, &entry, now)).collect()
}

fn row(plane: &ControlPlane, entry: &EntryView, now: Instant) -> Row {
    let locators = entry.locators.iter().map(|locator| Locator {
        address: locator.address,
        priority: locator.priority,
        weight: locator.weight,
        usable: plane.is_usable(locator.address),
    });
    Row {
        iid: entry.iid.get(),
        group: plane.group_name(entry.iid).map(str::to_string),
        eid: entry.prefix.to_string(),
        state: match entry.state {
            EntryState::Fresh => "fresh",
            EntryState::Stale => "stale",
            EntryState::Negative => "negative",
            EntryState::Resolving => "resolving",
        },
        reason: reason(entry),
        locators: locators.collect(),
        classes: entry.classes.iter().map(|(id, choice)| (*id, class(choice))).collect(),
        subscribed: entry.subscribed,
        age_s: entry.age(now).as_secs(),
        ttl_s: entry.ttl_left(now).as_secs(),
        idle_s: now.saturating_duration_since(entry.used).as_secs(),
    }
}

fn class(choice: &Choice) -> Class {
    let Choice::Locators(chosen) = choice else { return Class { no_match: true, locators: Vec::new() } };
    let each = chosen.iter().map(|chosen| Chosen {
        address: chosen.locator.address,
        priority: chosen.locator.priority,
        weight: chosen.locator.weight,
        keep: chosen.keep,
    });
    Class { no_match: false, locators: each.collect() }
}

fn reason(entry: &EntryView) -> Option<&'static str> {
    match (entry.state, entry.asking) {
        (EntryState::Stale, true) => Some("no map-resolver answers; it is used on"),
        (EntryState::Stale, false) => Some("not confirmed yet since a restart, or no map-resolver answered"),
        (EntryState::Resolving, _) => Some("asked, not answered yet"),
        (EntryState::Fresh | EntryState::Negative, _) => None,
    }
}
