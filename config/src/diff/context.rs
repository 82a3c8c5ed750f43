//! What changes of context classes, policies and reports: all of it while packets flow.

use super::words::Words;
use super::{Changes, Effect};
use crate::{Class, Config, Context, Policy};

impl Changes {
    pub(super) fn classes(&mut self, old: &Config, new: &Config) {
        self.entries(
            "class",
            (&old.classes, &new.classes),
            |class| class.id,
            |class| format!("class {} ({})", class.id, class.name),
            |changes, path, before, after| {
                let Class { id: _, name, constraints, require_context } = before;
                changes.value(format!("{path}.name"), Effect::Live, name, &after.name);
                if *constraints != after.constraints {
                    changes.push(path, Effect::Live, format!("class {} needs something else", after.name));
                }
                let required = (require_context, &after.require_context);
                changes.value(format!("{path}.require_context"), Effect::Live, required.0, required.1);
            },
        );
    }

    /// The first policy that a packet meets holds, so they are compared in order.
    pub(super) fn policies(&mut self, old: &Config, new: &Config) {
        for index in 0..old.policies.len().max(new.policies.len()) {
            let path = format!("policy[{index}]");
            match (old.policies.get(index), new.policies.get(index)) {
                (Some(before), Some(after)) => {
                    self.value(path, Effect::Live, &words(old, before), &words(new, after));
                }
                (Some(gone), None) => {
                    self.push(path, Effect::Live, format!("policy {} goes", words(old, gone)))
                }
                (None, Some(come)) => {
                    self.push(path, Effect::Live, format!("policy {} comes", words(new, come)))
                }
                (None, None) => {}
            }
        }
    }

    pub(super) fn context(&mut self, old: &Context, new: &Context) {
        // Taken apart, so that a field added later cannot be forgotten here.
        let Context {
            ttl_s,
            load_threshold,
            min_interval_ms,
            register_rate,
            report_rate,
            max_agents,
            topology_weight,
            spread,
            drain_s,
            eid_api_port,
        } = old;
        let threshold = (Share(*load_threshold), Share(new.load_threshold));
        self.value("context.load_threshold", Effect::Live, &threshold.0, &threshold.1);
        for (key, old, new) in [
            ("ttl_s", ttl_s, &new.ttl_s),
            ("min_interval_ms", min_interval_ms, &new.min_interval_ms),
            ("register_rate", register_rate, &new.register_rate),
            ("report_rate", report_rate, &new.report_rate),
            ("topology_weight", topology_weight, &new.topology_weight),
            ("spread", spread, &new.spread),
            ("drain_s", drain_s, &new.drain_s),
        ] {
            self.value(format!("context.{key}"), Effect::Live, old, new);
        }
        self.value("context.max_agents", Effect::Live, max_agents, &new.max_agents);
        self.value("context.eid_api_port", Effect::Live, eid_api_port, &new.eid_api_port);
    }
}

/// Thousandths, shown as the file writes them.
#[derive(PartialEq)]
struct Share(u16);

impl Words for Share {
    fn words(&self) -> String {
        (f64::from(self.0) / 1000.0).to_string()
    }
}

/// A policy by all that it says.
fn words(config: &Config, policy: &Policy) -> String {
    let Policy { iid, from, to, dscp, protocol, ports, class } = policy;
    let named = config.classes.iter().find(|known| known.id == *class);
    let parts = [
        iid.map(|iid| format!("group {iid}")),
        from.map(|from| format!("from {from}")),
        to.map(|to| format!("to {to}")),
        dscp.map(|dscp| format!("dscp {dscp}")),
        protocol.map(|protocol| format!("protocol {protocol}")),
        ports.map(
            |(low, high)| if low == high { format!("port {low}") } else { format!("ports {low}-{high}") },
        ),
        named.map(|class| format!("class {}", class.name)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" ")
}
