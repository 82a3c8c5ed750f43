//! A gateway of the lab: its config as text ([`plan`]), its two processes ([`process`]), what it says about
//! itself over its own API ([`api`]) and its books ([`books`]); and the Map-Server's node ([`server`]).

pub mod api;
pub mod books;
pub mod daemon;
pub mod plan;
pub mod process;
pub mod server;
