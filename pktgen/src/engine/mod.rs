//! What sends and receives: workers over AF_XDP, and the kernel's live frames.

mod bulk;
mod control;
mod parts;
mod sender;
mod worker;

pub use bulk::{Bulk, BulkError, MOST_PICKS};
pub use control::{Control, Update};
pub use sender::{Sender, Sent};
pub use worker::{Outcome, Worker};
