//! A place in a message, and what the message has cost so far.

use alloc::vec::Vec;

use super::ControlError;

/// The most bytes that the values of one message take on the heap.
pub const MAX_HEAP: usize = 64 * 1024;

/// A tail longer than this many bytes is not kept: no extension is that long (ACX ends at 1200), and
/// a tail must not make a message fail, so it cannot count against the message either.
pub const MAX_TAIL: usize = 8 * 1024;

/// Reads a message from front to back. The first error ends it, so no state is restored after one.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    heap_left: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0, heap_left: MAX_HEAP - MAX_TAIL }
    }

    /// How far we have come, in bytes from the front.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(super) const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What is left, without taking it.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], ControlError> {
        let taken = self.rest().get(..len).ok_or(ControlError::Truncated)?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ControlError> {
        let (taken, _) = self.rest().split_first_chunk::<N>().ok_or(ControlError::Truncated)?;
        self.at += N;
        Ok(*taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ControlError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ControlError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ControlError> {
        self.array().map(u64::from_be_bytes)
    }

    /// The first word of a message, whose upper four bits must be one of these types.
    pub(super) fn word(&mut self, types: &[u8]) -> Result<u32, ControlError> {
        let word = self.u32()?;
        let kind = (word >> 28) as u8;
        if types.contains(&kind) { Ok(word) } else { Err(ControlError::UnknownType(kind)) }
    }

    /// Counts bytes about to be allocated.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ControlError> {
        self.heap_left = self.heap_left.checked_sub(bytes).ok_or(ControlError::TooLarge)?;
        Ok(())
    }

    /// Room for `count` values of at least `min_len` bytes each, unless the message is too short to hold them.
    pub(super) fn room<T>(&mut self, count: usize, min_len: usize) -> Result<Vec<T>, ControlError> {
        if count * min_len > self.remaining() {
            return Err(ControlError::Truncated);
        }
        self.charge(count * size_of::<T>())?;
        Ok(Vec::with_capacity(count))
    }

    /// A copy of bytes of this message.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ControlError> {
        self.charge(bytes.len())?;
        Ok(bytes.to_vec())
    }

    /// Runs `parse` over the next `len` bytes as if the message ended behind them; it must use them all.
    /// Every lie of the length is `BadLcaf`.
    pub(super) fn within<T>(
        &mut self,
        len: usize,
        parse: impl FnOnce(&mut Reader<'a>) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let whole = self.bytes;
        self.bytes = whole.get(..self.at + len).ok_or(ControlError::BadLcaf)?;
        let value = parse(self).map_err(|reason| match reason {
            ControlError::Truncated => ControlError::BadLcaf,
            other => other,
        })?;
        if self.remaining() != 0 {
            return Err(ControlError::BadLcaf);
        }
        self.bytes = whole;
        Ok(value)
    }

    /// All that is left: kept when it is at most [`MAX_TAIL`] bytes, otherwise empty.
    pub(super) fn tail(&mut self) -> Vec<u8> {
        let rest = self.rest();
        self.at = self.bytes.len();
        if rest.len() > MAX_TAIL { Vec::new() } else { rest.to_vec() }
    }
}
