//! What was reported, what was told, and why something was not.

crate::counting::counters! {
    /// Something that happens to reports.
    Reports "reports" "Reports that were looked at."
    ReportsRate "reports_rate" "Reports above report_rate, not looked at."
    ReportsFull "reports_full" "Reports of agents beyond max_agents."
    ReportsMalformed "reports_malformed" "Reports with an unknown field or a value out of range."
    ReportsLong "reports_long" "Reports of more than a Map-Register carries for one EID."
    ReportsUnknown "reports_unknown" "Reports of agents that are not here."
    ReportsForeign "reports_foreign" "Reports of an agent about another one."
    Heartbeats "heartbeats" "Reports renewed without a change."
    HeartbeatsUnknown "heartbeats_unknown" "Heartbeats of agents that nothing is known of."
    Expired "expired" "Reports whose time was over: latency, state and load are unknown."
    Forgotten "forgotten" "Reports dropped because the agent is here no more."
    Told "told" "Agents of which the mapping system was told something new."
    SuppressedThreshold "suppressed_threshold" "Loads not told because they are too close to what was told."
    SuppressedInterval "suppressed_interval" "Changes that had to wait because the EID was told a moment ago."
    Overtaken "overtaken" "Changes never told, because another came while they waited."
    SuppressedRate "suppressed_rate" "Changes that had to wait for register_rate."
}
