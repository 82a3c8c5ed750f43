//! How answers write what is said of an agent or a locator: as reports write it.

use serde::Serialize;
use sterna_wire::lisp::control::acx::{self, AgentState, Attributes, LatencyClass};

/// Attributes; what is unknown is left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Security>,
}

#[derive(Debug, Serialize)]
struct Latency {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sla_us: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Security {
    level: u8,
    flags: Vec<&'static str>,
    domain: u16,
}

impl Said {
    pub(super) fn of(attributes: &Attributes) -> Said {
        let load = attributes.load.unwrap_or_default();
        Said {
            latency: attributes.latency.map(|latency| Latency {
                class: latency.class.map(LatencyClass::name),
                sla_us: Some(latency.sla_us).filter(|sla_us| *sla_us != 0),
            }),
            hardware: attributes.hardware.as_ref().map(|one| one.names().map(str::to_owned).collect()),
            state: attributes.state.map(AgentState::name),
            load: load.permille.map(|permille| f64::from(permille) / 1000.0),
            queue: load.queue,
            security: attributes.security.map(|acx::Security { level, flags, domain }| Security {
                level,
                flags: acx::Security::names(flags).collect(),
                domain,
            }),
        }
    }
}
