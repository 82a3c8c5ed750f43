//! The Info-Request and Info-Reply of NAT traversal. Sterna reads them, so that they can be counted, and sends none.

use alloc::vec::Vec;

use super::auth;
use super::{ControlError, LispAddress, Reader, kind};

const REPLY: u32 = 0x0800_0000;

/// An Info-Request or Info-Reply.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Info {
    /// It is an Info-Reply (R bit).
    pub reply: bool,
    /// What the answer repeats.
    pub nonce: u64,
    /// Which key made the authentication data.
    pub key_id: u8,
    /// Which algorithm made it.
    pub algorithm: u8,
    /// How long the answer may be kept, in minutes.
    pub ttl: u32,
    /// How many bits of the EID count.
    pub mask_len: u8,
    /// The EID.
    pub eid: LispAddress,
    /// What a reply tells of the NAT: an LCAF of type 7, unread. None in a request.
    pub nat: LispAddress,
    /// What follows the defined content.
    pub tail: Vec<u8>,
}

impl Info {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Info, ControlError> {
        let word = reader.word(&[kind::INFO])?;
        let nonce = reader.u64()?;
        let auth = auth::Field::read(reader)?;
        let ttl = reader.u32()?;
        let [_reserved, mask_len] = reader.array()?;
        Ok(Info {
            reply: word & REPLY != 0,
            nonce,
            key_id: auth.key_id,
            algorithm: auth.algorithm,
            ttl,
            mask_len,
            eid: LispAddress::read(reader)?,
            nat: LispAddress::read(reader)?,
            tail: reader.tail(),
        })
    }
}
