//! How a verb ends.

use std::io;
use std::process::ExitCode;

use crate::client::Unreachable;

/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// Something was found.
    Found,
    /// The verb failed.
    Failed,
    /// Nothing can be told.
    CannotTell,
}

/// The statuses, for `--help`.
pub const HELP: &str = "Exit status: 0 all is well; 1 something was found (a mistake, a gateway not in order); \
                        2 the verb failed or was called wrongly; 3 nothing can be told (unreadable file, no gateway \
                        answers).";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Found => 1,
            Exit::Failed => 2,
            Exit::CannotTell => 3,
        })
    }
}

/// Says what went wrong, in one line, and gives the status.
pub fn conclude(outcome: anyhow::Result<Exit>) -> ExitCode {
    let error = match outcome {
        Ok(exit) => return exit.into(),
        Err(error) => error,
    };
    let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    if io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        // Whoever read us has seen enough, as in `sterna show eids | head`.
        return Exit::Ok.into();
    }
    eprintln!("sterna: {error:#}");
    if error.is::<Unreachable>() { Exit::CannotTell.into() } else { Exit::Failed.into() }
}
