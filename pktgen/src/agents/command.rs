//! What a crowd can be told while it runs, a line each.

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Everybody opens his connections.
    Connect,
    /// A phase of this name begins; with the first one, everybody begins to talk.
    Begin(String),
    /// The agent is taken off its place: it neither hears nor speaks.
    Lift(String),
    /// The agent is put at the place, and says that it is there.
    Put(String, String),
    /// Both at once.
    Move(String, String),
    /// The run is over.
    End,
}

/// Why an order cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// It is none that there is.
    #[error(
        "there is no such command: use connect, begin PHASE, lift AGENT, put AGENT PLACE, move AGENT PLACE or end"
    )]
    Unknown,
    /// No such agent.
    #[error("there is no such agent: agents are called GROUP/NUMBER, the first one is number 0")]
    NoAgent,
    /// No such place.
    #[error("there is no such place: the profile names them")]
    NoPlace,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// [`Unclear::Unknown`].
    pub fn parse(line: &str) -> Result<Command, Unclear> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let own = |word: &str| word.to_owned();
        match words[..] {
            ["connect"] => Ok(Command::Connect),
            ["begin", phase] => Ok(Command::Begin(own(phase))),
            ["lift", agent] => Ok(Command::Lift(own(agent))),
            ["put", agent, place] => Ok(Command::Put(own(agent), own(place))),
            ["move", agent, place] => Ok(Command::Move(own(agent), own(place))),
            ["end"] => Ok(Command::End),
            _ => Err(Unclear::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_orders_or_not() {
        let own = |word: &str| word.to_owned();
        assert_eq!(Command::parse(" move red/7  b "), Ok(Command::Move(own("red/7"), own("b"))));
        assert_eq!(Command::parse("begin moves"), Ok(Command::Begin(own("moves"))));
        for wrong in ["", "move red/7", "lift", "put red/7 b now", "Connect", "end it"] {
            assert_eq!(Command::parse(wrong), Err(Unclear::Unknown), "{wrong}");
        }
    }
}
