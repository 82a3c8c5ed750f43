//! LISP control messages (RFC 9301, with what RFC 8060, RFC 9306, RFC 9437 and RFC 9735 add to them).
//!
//! Unlike the packets of the data plane these are owned values: [`parse`] judges a whole UDP payload at once,
//! `emit` writes one. There is no view level, because nobody edits a control message in place
//! but [`auth::sign`].
//!
//! # What a message may cost
//! Parsing goes by the counts in the message and is linear in its length. Every count is checked against the bytes
//! that are left before anything is allocated, and all values of one message together take at most
//! [`MAX_HEAP`] bytes; a message that needs more is [`ControlError::TooLarge`].
//!
//! # What is kept
//! - An LCAF type that we do not act upon is an [`LispAddress::Opaque`], byte for byte, and is sent on as it came.
//! - Whatever follows the content that the RFCs define is `tail`. It never makes a message fail.
//! - Reserved bits are zero when we send and ignored when we receive.
//!
//! # What is judged elsewhere
//! A record whose mask length or instance-ID cannot be true still parses, because one such record must not void
//! the others; its [`EidRecord::prefix`] is none. MACs are checked by [`auth::verify`], nonces by the roles.

pub mod acx;
mod address;
pub mod auth;
mod ecm;
mod error;
mod info;
mod lcaf;
mod locator;
mod map_notify;
mod map_register;
mod map_reply;
mod map_request;
mod reader;
mod record;
mod xtr_id;

pub use address::LispAddress;
pub use ecm::{Ecm, encapsulate, encapsulate_packet};
pub use error::ControlError;
pub use info::Info;
pub use locator::LocatorRecord;
pub use map_notify::MapNotify;
pub use map_register::MapRegister;
pub use map_reply::MapReply;
pub use map_request::{MapRequest, RequestRecord};
pub use reader::{MAX_HEAP, MAX_TAIL};
pub use record::{Act, EidRecord};
pub use xtr_id::XtrId;

use reader::Reader;

/// Message types, the upper four bits of the first byte (RFC 9301 section 5.1).
mod kind {
    pub(super) const MAP_REQUEST: u8 = 1;
    pub(super) const MAP_REPLY: u8 = 2;
    pub(super) const MAP_REGISTER: u8 = 3;
    pub(super) const MAP_NOTIFY: u8 = 4;
    pub(super) const MAP_NOTIFY_ACK: u8 = 5;
    pub(super) const INFO: u8 = 7;
    pub(super) const ECM: u8 = 8;
}

/// One control message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// Type 1.
    MapRequest(MapRequest),
    /// Type 2.
    MapReply(MapReply),
    /// Type 3.
    MapRegister(MapRegister),
    /// Types 4 and 5.
    MapNotify(MapNotify),
    /// Type 8.
    Ecm(Ecm<'a>),
    /// Type 7.
    Info(Info),
}

/// Judges a UDP payload that came to port 4342.
/// Types that Sterna has no role for (0, 6, and 9 upwards) are `UnknownType`.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, ControlError> {
    let first = *bytes.first().ok_or(ControlError::Truncated)?;
    if bytes.len() < 4 {
        return Err(ControlError::Truncated);
    }
    let mut reader = Reader::new(bytes);
    match first >> 4 {
        kind::MAP_REQUEST => MapRequest::read(&mut reader).map(Message::MapRequest),
        kind::MAP_REPLY => MapReply::read(&mut reader).map(Message::MapReply),
        kind::MAP_REGISTER => MapRegister::read(&mut reader).map(Message::MapRegister),
        kind::MAP_NOTIFY | kind::MAP_NOTIFY_ACK => MapNotify::read(&mut reader).map(Message::MapNotify),
        kind::INFO => Info::read(&mut reader).map(Message::Info),
        kind::ECM => Ecm::parse(bytes).map(Message::Ecm),
        other => Err(ControlError::UnknownType(other)),
    }
}

#[cfg(test)]
mod test;
