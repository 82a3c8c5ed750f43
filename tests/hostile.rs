//! What hostile or broken peers send, row by row of the table that the protocol notes keep: each input meets the
//! required behaviour, costs its one counter and nothing else, and floods cost a bounded share of everything.
//!
//! Control messages go through [`ControlPlane::datagram`], the entry that the socket uses; data packets through the
//! in-memory gateway that the live worker shares its code with. Rows of features that do not exist yet (key bits,
//! referrals, NAT traversal) must still be refused safely.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "hostile/case.rs"]
mod case;
#[path = "hostile/clock.rs"]
mod clock;
#[path = "hostile/data.rs"]
mod data;
#[path = "hostile/flood.rs"]
mod flood;
#[path = "hostile/messages.rs"]
mod messages;
#[path = "hostile/registers.rs"]
mod registers;
#[path = "hostile/replies.rs"]
mod replies;
#[path = "hostile/requests.rs"]
mod requests;
#[path = "hostile/world.rs"]
mod world;

// The small site of the dataplane's own tests.
#[path = "../dataplane/tests/site/mod.rs"]
mod site;

use case::Case;
use std::collections::BTreeSet;

/// Rows of the table.
const ROWS: u8 = 42;

fn control_cases() -> Vec<Case> {
    [messages::cases(), requests::cases(), replies::cases(), registers::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_hostile_control_message_meets_its_row() {
    let failures: Vec<String> = control_cases().iter().filter_map(|case| case.run().err()).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_hostile_data_packet_meets_its_row() {
    let failures: Vec<String> = data::cases().iter().filter_map(|case| case.run().err()).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_row_has_a_case() {
    let control = control_cases().into_iter().map(|case| case.row);
    let shown: BTreeSet<u8> = control.chain(data::cases().iter().map(|case| case.row)).collect();
    let missing: Vec<u8> = (1..=ROWS).filter(|row| !shown.contains(row)).collect();
    assert!(missing.is_empty(), "no case shows the rows {missing:?}");
    assert!(shown.iter().all(|row| (1..=ROWS).contains(row)), "{shown:?}");
}
