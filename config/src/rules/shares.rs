//! Priorities and weights of a locator set: something must be left to send by.

use std::collections::BTreeMap;

use crate::Rloc;
use crate::code::Code;
use crate::finding::{At, Findings};

/// A locator's priority and weight.
pub(super) type Share = (u8, u8);

/// Something must be left to send by, and at each priority some locator must have a share.
pub(super) fn check_shares(locators: &[Share], at: &At, found: &Findings) {
    let mut shares: BTreeMap<u8, u32> = BTreeMap::new();
    for &(priority, weight) in locators.iter().filter(|(priority, _)| *priority != Rloc::UNUSED_PRIORITY) {
        *shares.entry(priority).or_default() += u32::from(weight);
    }
    if shares.is_empty() && !locators.is_empty() {
        let text = "every locator has priority 255, which is never used for sending";
        found.push(Code::NoUsableLocator, at, text, "give at least one a priority from 0 to 254");
    }
    for (priority, _) in shares.into_iter().filter(|&(_, share)| share == 0) {
        let text = format!("every locator of priority {priority} has weight 0, so none would get a packet");
        let help = "give at least one a weight, or take them out of use with priority 255";
        found.push(Code::NoUsableLocator, at, text, help);
    }
}
