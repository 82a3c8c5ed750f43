//! The ITR as a whole, with a scripted mapping system and a clock that only the test moves.

mod abuse;
mod bench;
mod changes;
mod classes;
mod fitness;
mod foreign;
mod probing;
mod properties;
mod publishing;
mod resolving;
mod said;
mod skills;
mod soliciting;
mod upkeep;
