//! `GET /v1/registrations`: what this gateway registers, and what is registered with it.

use std::net::IpAddr;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::said::Said;
use crate::etr::{self, Registration};
use crate::plane::ControlPlane;
use crate::server::{self, Identity};
use crate::shared::Shared;

/// A registration.
#[derive(Debug, Serialize)]
pub struct Row {
    /// `ours`: we register it at `server`. `held`: `holder` registered it with us.
    role: &'static str,
    iid: u32,
    eid: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<IpAddr>,
    /// Since the Map-Server last confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    locators: Vec<Locator>,
    /// Until it expires; none for what the config registers.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_s: Option<u64>,
    /// Who answers for it: the Map-Server, or the ETR.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<bool>,
    /// What is said of it; that of a locator stands with the locator.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

/// What is said of a registration.
#[derive(Debug, Serialize)]
struct Context {
    /// Context-Seq of the last message.
    seq: u32,
    /// Since that came.
    age_s: u64,
    #[serde(flatten)]
    whole: Said,
}

#[derive(Debug, Serialize)]
struct Locator {
    address: IpAddr,
    priority: u8,
    weight: u8,
    /// What is said of it, that of the whole EID included.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Said>,
}

/// All registrations, by role, group and prefix.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane(), Instant::now()))
}

fn rows(plane: &ControlPlane, now: Instant) -> Vec<Row> {
    let etr = plane.roles().etr().into_iter().flat_map(|etr| etr.registrations());
    let server = plane.roles().server().into_iter().flat_map(|server| server.registrations(now));
    let mut held: Vec<_> = server.collect();
    held.sort_by_key(|registration| (registration.iid, registration.prefix, registration.holder));
    let ours = etr.map(|registration| ours(&registration, now));
    ours.chain(held.iter().map(|registration| self::held(registration, now))).collect()
}

fn ours(registration: &etr::RegistrationView, now: Instant) -> Row {
    Row {
        role: "ours",
        iid: registration.iid.get(),
        eid: registration.prefix.to_string(),
        state: match registration.state {
            Registration::Confirmed => "confirmed",
            Registration::Waiting => "waiting",
            Registration::Refused => "refused",
            Registration::Stale => "stale",
            Registration::Withdrawn => "withdrawn",
        },
        server: Some(registration.server),
        confirmed_s: registration.confirmed.map(|at| now.saturating_duration_since(at).as_secs()),
        site: None,
        holder: None,
        locators: Vec::new(),
        expires_s: None,
        proxy: None,
        context: None,
    }
}

fn held(registration: &server::RegistrationView, now: Instant) -> Row {
    let locators = registration.locators.iter();
    let said = registration.context.as_ref();
    Row {
        role: "held",
        iid: registration.iid.get(),
        eid: registration.prefix.to_string(),
        state: match (registration.holder, registration.frozen) {
            (Identity::Config, _) => "static",
            (_, true) => "frozen",
            _ => "registered",
        },
        server: None,
        confirmed_s: None,
        site: Some(registration.site.to_string()),
        holder: Some(holder(&registration.holder)),
        locators: locators
            .enumerate()
            .map(|(index, locator)| Locator {
                address: locator.address,
                priority: locator.priority,
                weight: locator.weight,
                context: said.and_then(|said| said.locators.get(index)).map(Said::of),
            })
            .collect(),
        expires_s: registration.expires.map(|at| at.saturating_duration_since(now).as_secs()),
        proxy: Some(registration.proxy),
        context: said.map(|said| Context {
            seq: said.seq,
            age_s: now.saturating_duration_since(said.heard).as_secs(),
            whole: Said::of(&said.whole),
        }),
    }
}

/// An xTR in words: its xTR-ID, or where it sends from.
pub(super) fn holder(identity: &Identity) -> String {
    match identity {
        Identity::Id(id) => hex(id),
        Identity::Address(address) => address.to_string(),
        Identity::Config => "config".to_string(),
    }
}

/// An xTR-ID as the config writes it.
pub(super) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
