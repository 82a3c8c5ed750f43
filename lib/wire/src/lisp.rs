//! The Locator/ID Separation Protocol.

pub mod control;
pub mod data;

/// UDP destination port of encapsulated packets (RFC 9300).
pub const DATA_PORT: u16 = 4341;
/// UDP port of control messages (RFC 9301).
pub const CONTROL_PORT: u16 = 4342;
