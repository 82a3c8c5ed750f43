//! What became of the messages that came to UDP 4342, before any role looked at them.

use sterna_wire::lisp::control::ControlError;

/// Counters of the dispatch; each role has its own.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Datagrams received.
    pub received: u64,
    /// Messages that no role of this gateway is for.
    pub no_role: u64,
    /// Info-Requests and Info-Replies: NAT traversal is not there yet.
    pub info: u64,
    /// Map-Notifies that neither confirm a register nor publish to a subscription of ours.
    pub notify_unexpected: u64,
    /// Encapsulated Map-Requests that our own Map-Server handed to our own ETR.
    pub handed_over: u64,
    malformed: [u64; ControlError::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: 0,
            no_role: 0,
            info: 0,
            notify_unexpected: 0,
            handed_over: 0,
            malformed: [0; ControlError::COUNT],
        }
    }
}

impl Counters {
    /// A message could not be parsed.
    pub fn malformed(&mut self, error: ControlError) {
        if let Some(count) = self.malformed.get_mut(error.index()) {
            *count += 1;
        }
    }

    /// All counters by name, with what they mean.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64, String)> + '_ {
        let own = [
            ("received", self.received, "Datagrams received on UDP 4342."),
            ("no_role", self.no_role, "Messages that no role of this gateway is for."),
            ("info", self.info, "Info messages: there is no NAT traversal yet."),
            (
                "notify_unexpected",
                self.notify_unexpected,
                "Map-Notifies that answer no register and belong to no subscription.",
            ),
            ("handed_over", self.handed_over, "Map-Requests that our Map-Server gave to our own ETR."),
        ];
        let own = own.into_iter().map(|(name, count, help)| (name, count, help.to_string()));
        let malformed = ControlError::ALL.iter().map(|error| {
            let count = self.malformed.get(error.index()).copied().unwrap_or(0);
            (error.name(), count, error.to_string())
        });
        own.chain(malformed)
    }
}
