//! The LISP canonical address format (RFC 8060): instances and lists are read, all other types are kept as they are.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::address::{LispAddress, MIN_LEN, afi, put_afi};
use super::{ControlError, Reader};

/// AFI, reserved, flags, type, reserved, length.
pub(super) const HEADER_LEN: usize = 8;
/// An instance in front of its address.
pub(super) const INSTANCE_LEN: usize = HEADER_LEN + 4;
/// The longest LCAF we read, header included.
const MAX_LEN: usize = 1024;
const MAX_DEPTH: usize = 4;
const MAX_ENTRIES: usize = 64;

const AFI_LIST: u8 = 1;
const INSTANCE_ID: u8 = 2;

/// Reads what follows the AFI; `start` are the bytes from the AFI on, `depth` is 1 for an LCAF outside all others.
pub(super) fn read(reader: &mut Reader<'_>, start: &[u8], depth: usize) -> Result<LispAddress, ControlError> {
    let [_reserved, _flags, kind, reserved2] = reader.array()?;
    let len = usize::from(reader.u16()?);
    if HEADER_LEN + len > MAX_LEN {
        return Err(ControlError::LcafTooLong);
    }
    if depth > MAX_DEPTH {
        return Err(ControlError::TooDeep);
    }
    reader.within(len, |body| match kind {
        INSTANCE_ID => read_instance(body, reserved2, depth),
        AFI_LIST => read_list(body, depth),
        _ => {
            body.take(len)?;
            Ok(LispAddress::Opaque(body.copy(&start[..HEADER_LEN + len])?))
        }
    })
}

fn read_instance(body: &mut Reader<'_>, mask_len: u8, depth: usize) -> Result<LispAddress, ControlError> {
    let iid = body.u32()?;
    let address = LispAddress::read_at(body, depth)?;
    body.charge(size_of::<LispAddress>())?;
    Ok(LispAddress::Instance { iid, mask_len, address: Box::new(address) })
}

fn read_list(body: &mut Reader<'_>, depth: usize) -> Result<LispAddress, ControlError> {
    let room = (body.remaining() / MIN_LEN).min(MAX_ENTRIES);
    let mut entries = body.room(room, MIN_LEN)?;
    while body.remaining() != 0 {
        if entries.len() == MAX_ENTRIES {
            return Err(ControlError::ListTooLong);
        }
        entries.push(LispAddress::read_at(body, depth)?);
    }
    Ok(LispAddress::List(entries))
}

pub(super) fn emit_instance(out: &mut Vec<u8>, iid: u32, mask_len: u8, address: &LispAddress) {
    emit_header(out, INSTANCE_ID, mask_len, 4 + address.encoded_len());
    out.extend(iid.to_be_bytes());
    address.emit(out);
}

pub(super) fn emit_list(out: &mut Vec<u8>, entries: &[LispAddress]) {
    emit_header(out, AFI_LIST, 0, entries.iter().map(LispAddress::encoded_len).sum());
    for entry in entries {
        entry.emit(out);
    }
}

fn emit_header(out: &mut Vec<u8>, kind: u8, reserved2: u8, len: usize) {
    put_afi(out, afi::LCAF);
    out.extend([0, 0, kind, reserved2]);
    // What does not fit here no receiver would read either: it is far above every limit.
    out.extend(u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
}
