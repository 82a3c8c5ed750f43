//! Ports: their names, sides and queues.

use crate::Side;
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::Findings;
use crate::rules::refuse_twins;

pub(super) fn check(draft: &Draft, found: &Findings) {
    let names = draft.ports.entries.iter().filter_map(|port| port.value.name.as_ref());
    refuse_twins("port", names, "one interface is one port; for both sides write side = \"both\"", found);
    check_sides(draft, found);
    check_queues(draft, found);
}

fn check_sides(draft: &Draft, found: &Findings) {
    let sides: Option<Vec<Side>> =
        draft.ports.entries.iter().map(|port| port.value.side.as_ref().map(|side| side.value)).collect();
    let Some(sides) = sides.filter(|sides| draft.ports.whole && !sides.is_empty()) else {
        return;
    };
    if !sides.iter().any(|side| side.is_eid()) {
        let help = "add a [[port]] with side = \"eid\" for the interface that the agents are behind";
        found.push(Code::NoPortOfSide, &draft.ports.at, "no port faces agents", help);
    }
    if !sides.iter().any(|side| side.is_rloc()) {
        let help = "add a [[port]] with side = \"rloc\" for the interface that leads to the underlay";
        found.push(Code::NoPortOfSide, &draft.ports.at, "no port faces the underlay", help);
    }
}

fn check_queues(draft: &Draft, found: &Findings) {
    let Some(workers) = draft.dataplane.workers() else {
        return;
    };
    for port in &draft.ports.entries {
        let Some(queues) = &port.value.queues else {
            continue;
        };
        let Some(count) = queues.value.filter(|&count| usize::from(count) > workers) else {
            continue;
        };
        let text = format!("{count} queues need {count} workers and `cores` gives {workers}");
        let help = "each worker serves one queue of a port: add cores, or set the interface and `queues` to fewer \
                    (`ethtool -L IF combined N`)";
        found.push(Code::TooManyQueues, &queues.at, text, help);
    }
}
