//! How a value lies in a record: fixed size, little-endian, no padding that is not checked to be zero.
//!
//! A type says so once, by one of the macros; size, encoder, decoder and fingerprint follow from that.

mod macros;
mod values;

pub(crate) use macros::{layout_choice, layout_records, layout_struct};

use crate::record::BODY;

/// Why a value was refused; the text names what was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid(pub &'static str);

/// A value with a fixed place in a record.
pub trait Field: Sized {
    /// Bytes it takes.
    const SIZE: usize;
    /// Fingerprint of its layout.
    const SHAPE: u64;
    /// Appends it.
    fn put(&self, out: &mut Writer);
    /// Takes and checks it.
    fn take(from: &mut Reader<'_>) -> Result<Self, Invalid>;
}

/// A record body in the making. What was not written is zero.
pub struct Writer {
    bytes: [u8; BODY],
    at: usize,
}

impl Writer {
    /// An empty body.
    #[inline]
    pub fn new() -> Writer {
        Writer { bytes: [0; BODY], at: 0 }
    }

    /// Appends bytes. The macros prove at compile time that a record fits; what would not fit is left out.
    #[inline]
    pub fn raw<const N: usize>(&mut self, value: [u8; N]) {
        if let Some(place) = self.bytes.get_mut(self.at..self.at + N) {
            place.copy_from_slice(&value);
            self.at += N;
        }
    }

    /// Bytes written so far.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Leaves zeroes up to `end`.
    #[inline]
    pub fn zeros_to(&mut self, end: usize) {
        self.at = end.min(BODY).max(self.at);
    }

    /// The body and how many bytes of it are used.
    #[inline]
    pub fn finish(self) -> ([u8; BODY], usize) {
        (self.bytes, self.at)
    }
}

/// A record body being read.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// The next `N` bytes.
    #[inline]
    pub fn raw<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let rest = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let value = *rest.ok_or(Invalid("the record ends too early"))?;
        self.at += N;
        Ok(value)
    }

    /// Bytes read so far.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Skips to `end` and insists on zeroes there, so that one value has one encoding.
    #[inline]
    pub fn zeros_to(&mut self, end: usize) -> Result<(), Invalid> {
        let skipped = self.bytes.get(self.at..end).ok_or(Invalid("the record ends too early"))?;
        if skipped.iter().any(|&byte| byte != 0) {
            return Err(Invalid("reserved bytes are not zero"));
        }
        self.at = end;
        Ok(())
    }
}

/// The greatest of some sizes, for a choice of fields that share a place.
pub const fn greatest(sizes: &[usize]) -> usize {
    let mut best = 0;
    let mut at = 0;
    while at < sizes.len() {
        if sizes[at] > best {
            best = sizes[at];
        }
        at += 1;
    }
    best
}
