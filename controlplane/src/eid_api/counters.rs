//! What became of what agents sent to the context API, before HTTP saw it.

crate::counting::counters! {
    /// Something that is counted.
    Segments "segments" "Segments from agents to the context API that the dataplane handed over."
    Malformed "malformed" "What it handed over that is no whole TCP segment."
    Accepted "accepted" "Connections that agents opened."
    RefusedAgent "refused_agent" "Connections refused because the agent has as many as it may."
    RefusedGroup "refused_group" "Connections refused because the group's agents have as many as they may."
    RefusedAll "refused_all" "Connections refused because all agents together have as many as they may."
    Idle "idle" "Connections reset because the agent was silent, or never completed them."
    Expired "expired" "Connections reset because they lasted too long."
    AnswersLost "answers_lost" "Our segments that the dataplane had no room for; TCP repeats them."
}
