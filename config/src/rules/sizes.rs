//! Sizes: rings, frames, and tables that hold the file's own entries.

use std::collections::BTreeSet;

use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};
use crate::mapping::RlocDraft;
use crate::rules::refuse_twins;

pub(super) fn check(draft: &Draft, found: &Findings) {
    let dataplane = &draft.dataplane;
    refuse_twins(
        "core",
        dataplane.cores.entries.iter(),
        "two workers on one core would only take turns",
        found,
    );
    check_ring("rx_ring", dataplane.rx_ring.as_ref(), found);
    check_ring("tx_ring", dataplane.tx_ring.as_ref(), found);
    check_frames(draft, found);
    check_eids(draft, found);
    check_sets(draft, found);
}

fn check_ring(key: &str, ring: Option<&Located<u32>>, found: &Findings) {
    let Some(ring) = ring.filter(|ring| !ring.value.is_power_of_two()) else {
        return;
    };
    let (below, above) = (ring.value.next_power_of_two() / 2, ring.value.next_power_of_two());
    let text = format!("`{key}` must be a power of two, not {}", ring.value);
    found.push(Code::NotPowerOfTwo, &ring.at, text, format!("write {below} or {above}"));
}

/// The fill ring is twice the receive ring; with both it and the transmit ring full, as many frames again must be
/// left to the worker, or receiving would stall under a full transmit ring.
fn check_frames(draft: &Draft, found: &Findings) {
    let dataplane = &draft.dataplane;
    let (Some(rx), Some(tx), Some(frames)) = (&dataplane.rx_ring, &dataplane.tx_ring, &dataplane.frames)
    else {
        return;
    };
    if !rx.value.is_power_of_two() || !tx.value.is_power_of_two() {
        return;
    }
    let needed = 2 * (rx.value + tx.value);
    if frames.value < needed {
        let text = format!(
            "rings of {} and {} need {needed} frames, and there are {}",
            rx.value, tx.value, frames.value
        );
        let help = format!("write `frames = {needed}` or make the rings smaller");
        found.push(Code::FewFrames, &frames.at, text, help);
    }
}

fn check_eids(draft: &Draft, found: &Findings) {
    let Some(max) = &draft.dataplane.max_eids else {
        return;
    };
    let served: usize = draft.groups.entries.iter().map(|group| group.value.eids.entries.len()).sum();
    let entries = served + draft.mappings.entries.len();
    if entries > max.value {
        let text = format!("the file has {entries} EID-prefixes and the table holds {}", max.value);
        found.push(Code::TableTooSmall, &max.at, text, format!("raise `max_eids` well above {entries}"));
    }
}

fn check_sets(draft: &Draft, found: &Findings) {
    let Some(max) = &draft.dataplane.max_sets else {
        return;
    };
    // Fewer mappings than sets need no counting.
    if draft.mappings.entries.len() <= max.value {
        return;
    }
    let sets: BTreeSet<Vec<_>> = draft
        .mappings
        .entries
        .iter()
        .map(|mapping| mapping.value.rlocs.entries.iter().map(|rloc| key(&rloc.value)).collect())
        .collect();
    if sets.len() > max.value {
        let text =
            format!("the file has {} different locator sets and the table holds {}", sets.len(), max.value);
        found.push(Code::TableTooSmall, &max.at, text, format!("raise `max_sets` well above {}", sets.len()));
    }
}

type SetKey = (Option<std::net::IpAddr>, Option<u8>, Option<u8>, Option<bool>);

fn key(rloc: &RlocDraft) -> SetKey {
    (
        rloc.address.as_ref().map(|address| address.value),
        rloc.priority.as_ref().map(|priority| priority.value),
        rloc.weight.as_ref().map(|weight| weight.value),
        rloc.udp_checksum.as_ref().map(|knob| knob.value),
    )
}
