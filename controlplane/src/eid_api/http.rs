//! What an agent may ask for: to say something of itself, and nothing else.

use axum::Router;
use axum::extract::DefaultBodyLimit;

use super::agent::Agent;
use super::bounds::BODY;
use crate::api;
use crate::plane::Reporter;
use crate::shared::Shared;

/// These endpoints with the bounds that hold for agents.
pub fn bounded(endpoints: Router) -> Router {
    endpoints.layer(DefaultBodyLimit::max(BODY))
}

/// What there is for this agent.
pub fn endpoints(shared: Shared, agent: Agent) -> Router {
    let reporter = Reporter::Agent { iid: agent.iid, eid: agent.eid };
    bounded(api::context::endpoints(reporter).fallback(api::unknown).with_state(shared))
}
