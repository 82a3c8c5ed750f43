//! Authentication data of Map-Register, Map-Notify and Map-Notify-Ack (RFC 9301 section 5.6).
//!
//! The RFC says that it covers the message up to the last record, while all known implementations cover
//! the whole UDP payload. We sign the whole message, and verify the whole message first; only when that fails
//! and something follows the records, we verify up to them. In that case what follows is not authentic.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::{ControlError, Reader, kind};

/// Where the key id, the algorithm and the length stand in a message, and where the data begins.
const FIELD_AT: usize = 12;
const DATA_AT: usize = 16;
const MAX_DATA_LEN: usize = 32;

/// How authentication data is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Algorithm {
    /// Not at all. It can be read, never verified.
    None = 0,
    /// HMAC with SHA-1, 20 bytes on the wire.
    HmacSha1_96 = 1,
    /// HMAC with SHA-256, 32 bytes on the wire.
    HmacSha256_128 = 2,
}

impl Algorithm {
    /// The algorithm with this number on the wire, if we know it.
    pub const fn from_number(number: u8) -> Option<Algorithm> {
        match number {
            0 => Some(Algorithm::None),
            1 => Some(Algorithm::HmacSha1_96),
            2 => Some(Algorithm::HmacSha256_128),
            _ => None,
        }
    }

    /// Bytes of authentication data on the wire.
    pub const fn data_len(self) -> usize {
        match self {
            Algorithm::None => 0,
            Algorithm::HmacSha1_96 => 20,
            Algorithm::HmacSha256_128 => 32,
        }
    }

    /// Bytes that the algorithm's name promises, and that some old peers send.
    const fn short_len(self) -> usize {
        match self {
            Algorithm::None => 0,
            Algorithm::HmacSha1_96 => 12,
            Algorithm::HmacSha256_128 => 16,
        }
    }
}

/// A secret shared by an ETR and a Map-Server.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// The number by which messages name it.
    pub id: u8,
    /// How it is used.
    pub algorithm: Algorithm,
    secret: Box<[u8]>,
}

impl Key {
    /// A key of these very bytes: no padding, no NUL.
    pub fn new(id: u8, algorithm: Algorithm, secret: &[u8]) -> Key {
        Key { id, algorithm, secret: secret.into() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// What of a message is authentic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Coverage {
    /// All of it.
    Whole,
    /// Everything up to the last record; the xTR-ID, the site-ID and the tail must be ignored.
    RecordsOnly,
}

/// Why a message is not authentic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
pub enum AuthError {
    /// Not a message with authentication data, or shorter than that data.
    #[error("the message has no authentication data")]
    Missing,
    /// The message was made with another key.
    #[error("the message names another key")]
    KeyId,
    /// The message was made with another algorithm than the key's.
    #[error("the message names another algorithm than the key's")]
    Algorithm,
    /// The key has no algorithm: nothing can be verified with it.
    #[error("authentication without an algorithm is refused")]
    NoAlgorithm,
    /// The data is not as long as its algorithm says.
    #[error("the authentication data has the wrong length")]
    Length,
    /// The data is not what the key makes of this message.
    #[error("the authentication data is wrong")]
    Mismatch,
}

impl AuthError {
    /// Every reason, in the order of declaration.
    pub const ALL: [AuthError; 6] = [
        AuthError::Missing,
        AuthError::KeyId,
        AuthError::Algorithm,
        AuthError::NoAlgorithm,
        AuthError::Length,
        AuthError::Mismatch,
    ];
}

/// Authenticates an emitted message: fills in the key's id, its algorithm, and the data over the whole message.
/// A message whose field has another length than this algorithm needs stays as it is, and no peer will accept it;
/// [`MapRegister::signed`](super::MapRegister::signed) and [`MapNotify::signed`](super::MapNotify::signed) cannot
/// come to that.
pub fn sign(message: &mut [u8], key: &Key) {
    let data_len = key.algorithm.data_len();
    if !matches!(Parts::of(message), Ok(parts) if parts.data.len() == data_len) {
        return;
    }
    message[FIELD_AT] = key.id;
    message[FIELD_AT + 1] = key.algorithm as u8;
    let mut data = [0; MAX_DATA_LEN];
    if let Ok(parts) = Parts::of(message) {
        parts.authenticate(key, parts.behind.len(), &mut data[..data_len]);
    }
    message[DATA_AT..DATA_AT + data_len].copy_from_slice(&data[..data_len]);
}

/// Whether this key made the message's authentication data, which must be 20 or 32 bytes long.
/// `records_end` is where the last record ends, as parsing found it. The comparison takes constant time.
/// Key ids are compared too: choose the key by the message's.
pub fn verify(message: &[u8], records_end: usize, key: &Key) -> Result<Coverage, AuthError> {
    check(message, records_end, key, &[key.algorithm.data_len()])
}

/// As [`verify`], but data of 12 or 16 bytes will do too.
pub fn verify_short(message: &[u8], records_end: usize, key: &Key) -> Result<Coverage, AuthError> {
    check(message, records_end, key, &[key.algorithm.data_len(), key.algorithm.short_len()])
}

fn check(message: &[u8], records_end: usize, key: &Key, lens: &[usize]) -> Result<Coverage, AuthError> {
    let parts = Parts::of(message)?;
    if key.algorithm == Algorithm::None {
        return Err(AuthError::NoAlgorithm);
    }
    if parts.algorithm != key.algorithm as u8 {
        return Err(AuthError::Algorithm);
    }
    if parts.key_id != key.id {
        return Err(AuthError::KeyId);
    }
    if !lens.contains(&parts.data.len()) {
        return Err(AuthError::Length);
    }
    if parts.is_authentic(key, parts.behind.len()) {
        return Ok(Coverage::Whole);
    }
    let records_len = records_end.checked_sub(DATA_AT + parts.data.len());
    match records_len {
        Some(len) if len < parts.behind.len() && parts.is_authentic(key, len) => Ok(Coverage::RecordsOnly),
        _ => Err(AuthError::Mismatch),
    }
}

/// A message around its authentication data.
struct Parts<'a> {
    before: &'a [u8],
    key_id: u8,
    algorithm: u8,
    data: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(message: &'a [u8]) -> Result<Parts<'a>, AuthError> {
        let kind = message.first().map(|first| first >> 4);
        if !matches!(kind, Some(kind::MAP_REGISTER | kind::MAP_NOTIFY | kind::MAP_NOTIFY_ACK)) {
            return Err(AuthError::Missing);
        }
        let (before, rest) = message.split_at_checked(DATA_AT).ok_or(AuthError::Missing)?;
        let len = usize::from(u16::from_be_bytes([before[FIELD_AT + 2], before[FIELD_AT + 3]]));
        let (data, behind) = rest.split_at_checked(len).ok_or(AuthError::Missing)?;
        Ok(Parts { before, key_id: before[FIELD_AT], algorithm: before[FIELD_AT + 1], data, behind })
    }

    /// The HMAC over the message with its data zeroed and only this many bytes behind the data.
    fn hmac<M: Mac + KeyInit>(&self, key: &Key, behind: usize) -> Option<M> {
        // An HMAC takes a key of any length, so this is never none.
        let mut mac = <M as KeyInit>::new_from_slice(&key.secret).ok()?;
        mac.update(self.before);
        mac.update(&[0; MAX_DATA_LEN][..self.data.len().min(MAX_DATA_LEN)]);
        mac.update(&self.behind[..behind]);
        Some(mac)
    }

    fn is_authentic(&self, key: &Key, behind: usize) -> bool {
        fn matches<M: Mac + KeyInit>(parts: &Parts<'_>, key: &Key, behind: usize) -> bool {
            parts.hmac::<M>(key, behind).is_some_and(|mac| mac.verify_truncated_left(parts.data).is_ok())
        }
        match key.algorithm {
            Algorithm::None => false,
            Algorithm::HmacSha1_96 => matches::<Hmac<Sha1>>(self, key, behind),
            Algorithm::HmacSha256_128 => matches::<Hmac<Sha256>>(self, key, behind),
        }
    }

    fn authenticate(&self, key: &Key, behind: usize, out: &mut [u8]) {
        fn fill<M: Mac + KeyInit>(parts: &Parts<'_>, key: &Key, behind: usize, out: &mut [u8]) {
            if let Some(mac) = parts.hmac::<M>(key, behind) {
                out.copy_from_slice(&mac.finalize().into_bytes());
            }
        }
        match key.algorithm {
            Algorithm::None => {}
            Algorithm::HmacSha1_96 => fill::<Hmac<Sha1>>(self, key, behind, out),
            Algorithm::HmacSha256_128 => fill::<Hmac<Sha256>>(self, key, behind, out),
        }
    }
}

/// Key id, algorithm and the length of the data, as a message's values keep them.
pub(super) struct Field {
    pub(super) key_id: u8,
    pub(super) algorithm: u8,
}

impl Field {
    /// Reads the field and skips the data. Of algorithms that we do not know any length is right.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Field, ControlError> {
        let [key_id, number] = reader.array()?;
        let len = usize::from(reader.u16()?);
        let fits = match Algorithm::from_number(number) {
            Some(known) => len == known.data_len() || len == known.short_len(),
            None => true,
        };
        if !fits || len > reader.remaining() {
            return Err(ControlError::AuthLength);
        }
        reader.take(len)?;
        Ok(Field { key_id, algorithm: number })
    }

    /// Appends the field and data of zeros.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let len = Algorithm::from_number(self.algorithm).map_or(0, Algorithm::data_len);
        out.extend([self.key_id, self.algorithm]);
        out.extend((len as u16).to_be_bytes());
        out.resize(out.len() + len, 0);
    }
}

#[cfg(test)]
mod test;
