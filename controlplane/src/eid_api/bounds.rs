//! What agents may cost the control plane here. The rate of their segments is bounded by the dataplane.

use std::time::Duration;

/// Connections of one agent at a time, half-open and closing ones included.
pub const PER_AGENT: usize = 4;

/// Connections of one group's agents.
pub const PER_GROUP: usize = 128;

/// Connections in all.
pub const IN_ALL: usize = 512;

/// Bytes of each connection's receive and of its send buffer: a context of the longest kind fits.
pub const BUFFER: usize = 4096;

/// How long a connection may take until it stands.
pub const OPENING: Duration = Duration::from_secs(5);

/// How long an agent may be silent on a connection.
pub const IDLE: Duration = Duration::from_secs(30);

/// How long a connection may last: an agent that reports for ever connects anew.
pub const LIFE: Duration = Duration::from_secs(300);

/// How long a connection may take to close once our side is done with it.
pub const CLOSING: Duration = Duration::from_secs(5);

/// Bytes of a request's body.
pub const BODY: usize = 16 << 10;

/// Bytes of a request's head, and what hyper buffers of a connection.
pub const HEAD: usize = 8 << 10;

/// Header lines of a request.
pub const HEADERS: usize = 32;

/// Packets that one turn takes from the dataplane, so that other tasks have theirs.
pub const TURN: usize = 32;
