//! Strangers judge our bytes, and our parsers read strangers' bytes,
//! so that no parser of ours certifies our emitter alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod dissector;

mod foreign {
    mod built;
    mod captured;
    mod control;
    mod judged;
}
