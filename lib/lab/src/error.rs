//! What can go wrong while a lab is built, driven or measured.

use std::io;

/// The result of anything in the lab that can fail.
pub type Result<T> = std::result::Result<T, LabError>;

/// Why the lab could not do what it was asked; a packet that was lost is a figure, not an error.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The machine lacks something; `cure` is the sentence that mends it.
    #[error("{what}: {cure}")]
    Missing {
        /// What is missing.
        what: String,
        /// What the reader should do about it.
        cure: String,
    },
    /// A program we ran said no.
    #[error("`{command}` failed: {stderr}")]
    Command {
        /// The command as one would type it.
        command: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A process or a condition did not come in time.
    #[error("{what} did not happen within {seconds} s{detail}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long, in seconds.
        seconds: u64,
        /// What was seen instead; empty or ` (...)`.
        detail: String,
    },
    /// A process that should run has ended.
    #[error("{who} ended by itself ({status}); its last words: {log}")]
    Died {
        /// Which process.
        who: String,
        /// Exit status.
        status: String,
        /// The tail of its log.
        log: String,
    },
    /// The gateway's control API refused or answered nonsense.
    #[error("{gateway} answered {status} to {request}: {body}")]
    Api {
        /// Which gateway.
        gateway: String,
        /// Method and path.
        request: String,
        /// HTTP status code, 0 when the answer was not HTTP.
        status: u16,
        /// The body, shortened.
        body: String,
    },
    /// The witness saw less than passed by, so its word does not count.
    #[error("the witness cannot testify: {0}")]
    Witness(String),
    /// No scenario of that name.
    #[error("there is no scenario `{name}`; `sterna lab list` names them: {known}")]
    UnknownScenario {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No host of that name in any lab that is up.
    #[error("there is no host `{name}` in a lab that is up; hosts are: {known}")]
    UnknownHost {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A thread of the lab panicked.
    #[error("a thread of the lab panicked: {0}")]
    Panicked(String),
    /// Ctrl-C or a request to end.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    /// Wraps an I/O error with what was being done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// True when the run was ended from outside, so that it is no verdict on the gateway.
    pub fn is_interrupt(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}
