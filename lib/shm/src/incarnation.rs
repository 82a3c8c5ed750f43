//! The random number that tells one run of the dataplane from the next.

use rustix::io::Errno;
use rustix::rand::GetRandomFlags;

/// A fresh number, never zero.
pub(crate) fn fresh() -> Result<u64, Errno> {
    let mut bytes = [0; 8];
    loop {
        match rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty()) {
            Ok(8) if bytes != [0; 8] => return Ok(u64::from_ne_bytes(bytes)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
