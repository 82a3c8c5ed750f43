//! Times measured in a lab: how soon packets follow a change, how long an exchange takes. Nothing is judged here:
//! what must never happen is counted, and `sterna-perf reaction` holds the rest against the budgets.

pub mod exchange;
pub mod following;
pub mod notify;
pub mod restarting;

use std::time::Duration;

use crate::error::{LabError, Result};
use crate::lab::Lab;

/// What an experiment leaves behind when its lab is taken down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The balances of all gateways, their errors' amounts added up: must be 0.
    pub balance_error: u64,
    /// Nothing was left: no namespace, program, pin or process.
    pub clean: bool,
}

/// Waits until the gateways are at rest, reads their balance and takes the lab down.
fn close(lab: Lab) -> Result<Accounts> {
    let mut balance_error = 0;
    for gateway in lab.gateways() {
        balance_error += gateway.books_at_rest()?.balance.error.unsigned_abs();
    }
    Ok(Accounts { balance_error, clean: lab.down()?.is_clean() })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The error of an experiment whose lab is not what it asked for.
fn absent(what: &str) -> LabError {
    LabError::Missing {
        what: format!("the lab has no {what}"),
        cure: "ask for it in the topology".to_owned(),
    }
}
