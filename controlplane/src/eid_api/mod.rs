//! The context API for agents, at their group's gateway address on the eid side.
//!
//! The kernel has no address there, so this process speaks TCP itself (smoltcp): the dataplane hands over each segment
//! of an attached agent with its group, and takes the answers ([`sterna_shm::PacketLink`]).
//!
//! - [`agent`]: who speaks, read from a packet
//! - [`stack`]: one agent's TCP; every agent has a stack of its own, so that nothing that one sees (sequence numbers
//!   above all) tells anything about another's connections
//! - [`stacks`]: all of them, and what they may cost; sans-IO
//! - [`endpoint`], [`stream`]: the stacks as the tasks share them, and a connection as a byte stream
//! - [`serve`]: the packets' way in and out, and a task of HTTP per connection
//! - [`http`]: what there is to ask for
//!
//! It is deliberately small: at most [`bounds::PER_AGENT`] connections per agent, [`bounds::PER_GROUP`] per group and
//! [`bounds::IN_ALL`] in all, each with two buffers of [`bounds::BUFFER`] bytes, closed after [`bounds::IDLE`] without a
//! byte from the agent and after [`bounds::LIFE`] in any case.

pub mod agent;
pub mod bounds;
pub mod counters;
mod device;
pub mod endpoint;
pub mod http;
pub mod serve;
mod stack;
pub mod stacks;
pub mod stream;

pub use agent::Agent;
pub use endpoint::Endpoint;
