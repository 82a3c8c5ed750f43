//! A gateway of the lab: its config as text ([`plan`]), its two processes ([`process`]), what it says about
//! itself over its own API ([`api`]) and its books ([`books`]).

pub mod api;
pub mod books;
pub mod plan;
pub mod process;
