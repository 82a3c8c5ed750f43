//! Who an xTR is, wherever it is: the identity at the end of a message (RFC 9301 section 5.6, RFC 9437).

use alloc::vec::Vec;

use super::{ControlError, Reader};

/// The xTR-ID and the site-ID, which follow the last record when the I bit is set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct XtrId {
    /// 128 bits that name one xTR among all.
    pub xtr_id: [u8; 16],
    /// The site it belongs to.
    pub site_id: u64,
}

impl XtrId {
    const LEN: usize = 24;
    const XTR_ONLY: usize = 16;

    /// Reads it when `present` says that it is there.
    pub(super) fn read(reader: &mut Reader<'_>, present: bool) -> Result<Option<XtrId>, ControlError> {
        if !present {
            return Ok(None);
        }
        if reader.remaining() < Self::LEN {
            return Err(ControlError::TrailingXtr);
        }
        Ok(Some(XtrId { xtr_id: reader.array()?, site_id: reader.u64()? }))
    }

    /// As `read`, but an xTR-ID alone will do when nothing follows it: some peers send no site-ID in requests.
    pub(super) fn read_lenient(
        reader: &mut Reader<'_>,
        present: bool,
    ) -> Result<Option<XtrId>, ControlError> {
        if present && reader.remaining() == Self::XTR_ONLY {
            return Ok(Some(XtrId { xtr_id: reader.array()?, site_id: 0 }));
        }
        Self::read(reader, present)
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.xtr_id);
        out.extend(self.site_id.to_be_bytes());
    }
}
