//! `GET /v1/sites`: who may register with this Map-Server, and who does.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::registrations::holder;
use crate::plane::ControlPlane;
use crate::server::SiteView;
use crate::shared::Shared;

/// A site.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    keys: Vec<u8>,
    registrations: usize,
    xtrs: Vec<Xtr>,
}

#[derive(Debug, Serialize)]
struct Xtr {
    xtr: String,
    site_id: u64,
    from: SocketAddr,
    key: u8,
    registrations: u32,
}

/// All sites, in the file's order; none on a gateway that is no Map-Server.
pub async fn get(State(shared): State<Shared>) -> Json<Vec<Row>> {
    Json(rows(&shared.plane()))
}

fn rows(plane: &ControlPlane) -> Vec<Row> {
    plane.roles().server().map(|server| server.sites()).unwrap_or_default().into_iter().map(row).collect()
}

fn row(site: SiteView) -> Row {
    let xtrs = site.xtrs.iter().map(|xtr| Xtr {
        xtr: holder(&xtr.identity),
        site_id: xtr.site_id,
        from: xtr.source,
        key: xtr.key_id,
        registrations: xtr.registrations,
    });
    Row {
        name: site.name.to_string(),
        registrations: site.registrations,
        xtrs: xtrs.collect(),
        keys: site.key_ids,
    }
}
