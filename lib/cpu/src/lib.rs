//! What the fast path asks of the processor itself, behind a small safe face.
//!
//! The dataplane and the tables work in bursts: they hash and [`prefetch_read()`] first, compare tags with
//! [`match_tags()`] a pass later, and touch the memory last, when it has arrived.
//! [`fold_multiply()`] is the mixing step of every keyed hash, [`clocks()`] is the ruler of every budget, and
//! [`pause()`] is what a spinning worker says to the core.
//!
//! Every function has a portable form that gives the same answer; the tests compare the two.
//! Only instruction sets that the target architecture guarantees are used without asking (SSE2 on x86-64),
//! so one binary runs on every machine of its architecture; [`features()`] reports what else is there.
//! Under Miri the portable forms are used throughout.

mod clocks;
mod features;
mod multiply;
mod prefetch;
mod spin;
mod tags;

pub use clocks::{clocks, clocks_fenced};
pub use features::features;
pub use multiply::fold_multiply;
pub use prefetch::{prefetch_address, prefetch_packet, prefetch_read, prefetch_slice_index};
pub use spin::pause;
pub use tags::match_tags;
