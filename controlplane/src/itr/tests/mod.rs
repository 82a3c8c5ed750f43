//! The ITR as a whole, with a scripted mapping system and a clock that only the test moves.

mod abuse;
mod bench;
mod foreign;
mod probing;
mod properties;
mod publishing;
mod resolving;
mod soliciting;
mod upkeep;
