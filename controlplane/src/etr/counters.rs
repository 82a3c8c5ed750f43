//! What the ETR did and what it refused: one counter and one sentence each.

/// Declares the closed set of counters: variant, name, sentence.
macro_rules! counters {
    ($($variant:ident $name:literal $sentence:literal)*) => {
        /// Something that the ETR counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Counter {
            $(#[doc = $sentence] $variant,)*
        }

        impl Counter {
            /// All of them, in the order of declaration.
            pub const ALL: &[Counter] = &[$(Counter::$variant),*];

            /// Its name, in lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// What it counts, in one sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Counter::$variant => $sentence,)* }
            }
        }
    };
}

counters! {
    RegistersSent "registers_sent" "Map-Registers sent."
    RegisterRecordsSent "register_records_sent" "Records in the Map-Registers sent."
    RegisterRetries "register_retries" "Records registered again because no Map-Notify came."
    RegistersUnsigned "registers_unsigned" "Map-Registers not sent because the server has no key to send with."
    RegistrationsConfirmed "registrations_confirmed" "Records that a Map-Notify confirmed."
    RegistrationsRefused "registrations_refused" "Records that a Map-Notify left out: the Map-Server does not take them from us."
    RegistersReasserted "registers_reasserted" "Registrations repeated because the Map-Server told us of a move older than our register."
    ContextsSent "contexts_sent" "Agents' contexts sent to Map-Servers, with records and without."
    ContextDeltasSent "context_deltas_sent" "Map-Registers sent without records, for what changed of agents' contexts."
    ContextsConfirmed "contexts_confirmed" "Map-Registers whose context a Map-Notify confirmed."
    ContextStale "context_stale" "Contexts that a Map-Server has newer: the sequence goes on above its own."
    ContextDenied "context_denied" "Contexts that a Map-Server does not take from us."
    ContextRefused "context_refused" "Contexts that a Map-Server could not read."
    ContextLegacy "context_legacy" "Map-Servers found not to know of context: they get it with refreshes only."
    ContextDowngraded "context_downgraded" "Map-Servers that answer registers without context only: they get none for ten minutes."
    NotifyUnknown "notify_unknown" "Map-Notifies with an unknown nonce, from an address that is no Map-Server of ours."
    NotifyBadAuth "notify_bad_auth" "Map-Notifies that no key of the Map-Server made."
    NotifyOtherXtr "notify_other_xtr" "Map-Notifies meant for another xTR."
    NotifyReplayed "notify_replayed" "Unsolicited Map-Notifies with an old nonce."
    NotifyRepeated "notify_repeated" "Unsolicited Map-Notifies that came again and were only acknowledged."
    NotifyNotOurs "notify_not_ours" "Unsolicited Map-Notifies about nothing of ours."
    NotifyNoChange "notify_no_change" "Records of unsolicited Map-Notifies that name no other locator."
    NotifyStatic "notify_static" "Prefixes served here that a Map-Notify gives to others; they are kept."
    NotifyAcked "notify_acked" "Map-Notify-Acks sent."
    AckIgnored "ack_ignored" "Map-Notify-Acks, which an ETR never waits for."
    RequestsAnswered "requests_answered" "Map-Replies sent."
    RequestsNarrowed "requests_narrowed" "Map-Replies with a longer prefix than ours, because parts of ours differ."
    RepliesCut "replies_cut" "Locators left out of Map-Replies, or whole replies, to stay below three times the request."
    RequestNotOurs "request_not_ours" "EIDs asked for that are not served here."
    RequestNotIp "request_not_ip" "EIDs asked for that are not IP addresses."
    RequestNoReply "request_no_reply" "Map-Requests that want no Map-Reply."
    RequestSolicitation "request_solicitation" "Solicitations (SMR), which an ETR does not answer."
    RequestNoRloc "request_no_rloc" "Map-Requests without an address that a reply may go to."
    RequestTailUnknown "request_tail_unknown" "Map-Requests with something behind them that is no sound ACX block; they are answered without."
    RequestTooMany "request_too_many" "Records of a Map-Request beyond the sixteenth."
    RequestRate "request_rate" "Map-Requests above the limit of one address."
    RequestRateTotal "request_rate_total" "Map-Requests above the limit for all."
    ProbesAnswered "probes_answered" "Probes answered for an EID served here."
    ProbesNotOurs "probes_not_ours" "Probes answered that the EID is not served here."
    ProbeEncapsulated "probe_encapsulated" "Probes inside an ECM."
    ProbeRecords "probe_records" "Probes for other than exactly one EID."
    ProbeRate "probe_rate" "Probes above the limit of one address."
    ClaimsUnjudged "claims_unjudged" "Claims of other gateways not answered because of the limit."
    ProbeRateTotal "probe_rate_total" "Probes above the limit for all."
    SmrSent "smr_sent" "Solicitations (SMR) sent."
    SmrLimited "smr_limited" "Times that solicitations had to wait because of their rate."
    CorrespondentsFull "correspondents_full" "Correspondents not remembered because there are too many."
    AttachUnknownGroup "attach_unknown_group" "Agents seen in a group that is not served here."
    AttachOutOfRange "attach_out_of_range" "Agents seen outside the group's dynamic ranges."
    AttachGateway "attach_gateway" "Agents seen with a gateway's address."
    AttachNotAHost "attach_not_a_host" "Agents seen with a network, broadcast or multicast address."
    AgentsFull "agents_full" "Agents not taken because there are too many."
    AgentsAdopted "agents_adopted" "Agents taken over from the dataplane after a restart."
    ClaimsStarted "claims_started" "Claims of an EID by detection."
    ClaimsFull "claims_full" "Claims not made because too many are waiting."
    ClaimsRate "claims_rate" "Claims not made because there were too many in this second."
    ClaimsTooSoon "claims_too_soon" "Claims not made because the EID was refused a moment ago."
    ClaimsFrozen "claims_frozen" "Claims not made because the EID moved too often."
    ClaimsFree "claims_free" "Claims granted: nobody had the EID, or we had it."
    ClaimsMoved "claims_moved" "Claims granted: the previous gateway does not see the agent any more."
    ClaimsRefused "claims_refused" "Claims refused: the agent is still where it was."
    ClaimsDenied "claims_denied" "Claims refused: the mapping system does not tell us whose the EID is."
    ClaimsUnverifiable "claims_unverifiable" "Claims refused: the EID has locators, but none that can be asked."
    ClaimsLost "claims_lost" "Claims refused: the Map-Server leaves the EID with another site."
    ClaimsSilent "claims_silent" "Claims refused: the agent left where it was, and the host does not answer here."
    ClaimsUnanswered "claims_unanswered" "Claims given up: the mapping system does not answer."
    ClaimsOverruled "claims_overruled" "Claims that ended because the agent was attached by the API."
    SkillTaken "skill_taken" "Further instances of a skill that has one here already: one per site."
    SkillSeen "skill_seen" "Instances of skills that came because they were seen."
    EvidenceWhileLeaving "evidence_while_leaving" "Agents seen although they were detached a moment ago."
    ReplyWrongEid "reply_wrong_eid" "Map-Replies with our nonce and without the EID we asked for."
    ChecksSent "checks_sent" "Hosts that the dataplane was told to ask."
    Disputes "disputes" "Agents that somebody else on their link spoke as; the host was asked."
    ChecksUnreported "checks_unreported" "Hosts that the dataplane was told to ask and did not report."
    ChecksLimited "checks_limited" "Claims of other gateways answered without asking the host, because of the limit."
    ClaimsUpheld "claims_upheld" "Claims of other gateways that we refused: the agent is here."
    ClaimsYielded "claims_yielded" "Claims of other gateways that we granted: the agent does not answer here any more."
    AgentsSilent "agents_silent" "Agents withdrawn because they do not answer any more."
    AgentsMoved "agents_moved" "Agents that another site took over."
    RelaysEnded "relays_ended" "Agents that left and whose packets are no longer sent on."
    HoldsExpired "holds_expired" "Agents that were detached and attached nowhere else in time."
    AssignTaken "assign_taken" "EIDs picked for an agent that somebody has already."
    AssignFailed "assign_failed" "Agents that could not be given an EID."
}

/// The counters' values.
#[derive(Clone, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    pub(super) fn new() -> Self {
        Self([0; Counter::ALL.len()])
    }

    pub(super) fn add(&mut self, counter: Counter, count: usize) {
        self.0[counter as usize] = self.0[counter as usize].wrapping_add(count as u64);
    }

    pub(super) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// The value of one counter.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// All counters with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counter_has_a_name_and_a_sentence_of_its_own() {
        let names: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        let sentences: BTreeSet<_> = Counter::ALL.iter().map(|counter| counter.sentence()).collect();
        assert_eq!((names.len(), sentences.len()), (Counter::ALL.len(), Counter::ALL.len()));
        assert!(sentences.iter().all(|sentence| sentence.ends_with('.')));
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }

    #[test]
    fn counting_one_leaves_the_others() {
        let mut counters = Counters::new();
        counters.count(Counter::SmrSent);
        counters.add(Counter::SmrSent, 2);
        assert!(
            counters.iter().all(|(counter, value)| value == if counter == Counter::SmrSent { 3 } else { 0 })
        );
    }
}
