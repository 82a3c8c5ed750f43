//! The roles as a whole, with scripted peers and a clock that the test moves.

mod context;
mod informing;
mod malformed;
mod model;
mod moves;
mod peers;
mod pubsub;
mod queries;
mod registering;
mod restart;
mod skills;
mod transcripts;
mod watching;
