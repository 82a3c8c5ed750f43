//! Why something was refused, cut short or given up: one reason, one sentence, one counter.

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $sentence:literal,)+) => {
        /// Why something was refused, cut short or given up.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, thiserror::Error)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[doc = $doc])+ #[error($sentence)] $variant,)+
        }

        impl Refusal {
            /// Every reason, in the order of declaration.
            pub const ALL: &[Refusal] = &[$(Refusal::$variant),+];

            /// The name of this reason's counter.
            pub const fn name(self) -> &'static str {
                match self { $(Refusal::$variant => $name,)+ }
            }
        }
    };
}

refusals! {
    /// A message that could not be parsed; its own reason is counted beside.
    Malformed "malformed" "the message is malformed",
    /// A message of a kind that a Map-Server never takes.
    Unexpected "unexpected" "the message is not for a Map-Server",
    /// Section 5.8: requests reach the mapping system in ECMs.
    RequestOutsideEcm "request_outside_ecm" "a Map-Request came without an ECM",
    /// A probe or an SMR: neither is for the mapping system.
    ProbeOrSmr "probe_or_smr" "a probe or SMR came to the mapping system",
    /// More Map-Requests from one source than it may send.
    RequestRateOfSource "request_rate_of_source" "one source sent too many Map-Requests",
    /// More Map-Requests than we look at.
    RequestRate "request_rate" "there were too many Map-Requests",
    /// More than 16 records; those behind are not looked at.
    TooManyRecords "too_many_records" "a Map-Request asked for more than 16 EIDs",
    /// The EID asked for is not an IP address.
    RequestedEidNotIp "requested_eid_not_ip" "the EID asked for is not an IP prefix",
    /// No ITR-RLOC that an answer may go to.
    NoUsableRloc "no_usable_rloc" "no ITR-RLOC is an address to answer to",
    /// The querier's sites have no part in this instance-ID.
    QuerierForeignIid "querier_foreign_iid" "the querier's site has no part in this instance-ID",
    /// The querier belongs to no site, and only sites may ask.
    QuerierUnknown "querier_unknown" "the querier belongs to no site",
    /// The request says that it wants no answer.
    NoReplyWanted "no_reply_wanted" "a Map-Request wanted no answer",
    /// The answer was cut to three times the request, or to what one message holds.
    AnswerCut "answer_cut" "an answer was cut to the size that its request allows",
    /// The ETR that should answer has no locator to forward to.
    NoLocatorUp "no_locator_up" "no locator of the ETR is up to forward a Map-Request to",
    /// A request came back from the Map-Server it would be forwarded to.
    ForwardLoop "forward_loop" "a Map-Request came from where it would be forwarded to",
    /// More Map-Registers from one source than it may send.
    RegisterRateOfSource "register_rate_of_source" "one source sent too many Map-Registers",
    /// More Map-Registers than we verify.
    RegisterRate "register_rate" "there were too many Map-Registers",
    /// Algorithm 0, or one that we do not know.
    AuthAlgorithm "auth_algorithm" "the authentication algorithm is none or not known",
    /// No site in question has a key of this id and algorithm.
    AuthKey "auth_key" "no key of this id and algorithm belongs to a site in question",
    /// No key in question made this authentication data.
    AuthData "auth_data" "the authentication data is wrong",
    /// The nonce is not above the last one of this xTR and key.
    Replayed "replayed" "the nonce is not above the last one",
    /// The same nonce came with the same key within ten minutes.
    Repeated "repeated" "the same nonce came before",
    /// The site has named as many xTRs as it may.
    XtrsFull "xtrs_full" "the site has too many xTRs",
    /// The site may not register this prefix.
    RecordForeign "record_foreign" "a record's prefix is not the site's",
    /// The record's EID is not an IP prefix.
    RecordEidNotIp "record_eid_not_ip" "a record's EID is not an IP prefix",
    /// A locator that is no address to send to; the others of its record count.
    LocatorUnusable "locator_unusable" "a locator is not an address to send to",
    /// A record whose every locator was unusable.
    RecordUnusable "record_unusable" "a record has locators but none that is an address to send to",
    /// More locators in one record than a mapping may have.
    TooManyLocators "too_many_locators" "a record has more than 32 locators",
    /// The site's xTRs may not merge, or the prefix is held without merging, or by another site.
    MergeRefused "merge_refused" "a record may not be merged with what is registered",
    /// The config says who holds the prefix.
    StaticHeld "static_held" "a record's prefix is registered by the config",
    /// The EID was taken by another xTR, and this one has not acknowledged that yet.
    Superseded "superseded" "an xTR refreshed an EID that moved away from it",
    /// The EID moved too often.
    Frozen "frozen" "an EID moved too often and stays where it is",
    /// The EID is a skill, and the site does not list it.
    SkillForeign "skill_foreign" "a record's EID is a skill that is not its site's",
    /// The skill has as many holders as it may.
    SkillFull "skill_full" "a skill has too many holders",
    /// What follows the content of a message is not ACX; it is ignored.
    TrailingUnknown "trailing_unknown" "a message has a tail that is not ACX",
    /// The ACX block of a register is not covered by the authentication data.
    ContextUnauthentic "context_unauthentic" "an ACX block is not authentic",
    /// The ACX block is malformed or too long, or a register's has no sequence; the message counts without it.
    ContextMalformed "context_malformed" "an ACX block is malformed",
    /// The ACX block has a critical type that we do not know; the message counts without it.
    ContextUnsupported "context_unsupported" "an ACX block has a critical type that is not known",
    /// A value that came twice in one scope; the first one counts.
    ContextDuplicate "context_duplicate" "an ACX block says a thing twice",
    /// The sequence is older than the last one of this EID and xTR.
    ContextStale "context_stale" "the sequence of a context is older than the last one",
    /// Context of an EID that is not the site's.
    ContextForeign "context_foreign" "a context is about an EID that is not its site's",
    /// Context of an EID that the sender has not registered.
    ContextUnregistered "context_unregistered" "a context is about an EID that its sender has not registered",
    /// Context of a locator, or of a record, that is not there.
    ContextOfNothing "context_of_nothing" "a context is about a locator or record that is not there",
    /// There are as many contexts, or as many bytes of them, as there may be.
    ContextsFull "contexts_full" "there are too many contexts",
    /// More Map-Requests with constraints from one source than it may send.
    ConstraintRate "constraint_rate" "one source sent too many Map-Requests with constraints",
    /// More different questions are subscribed to than are remembered.
    QuestionsFull "questions_full" "there are subscriptions to too many different questions",
    /// Too many questions of ours are open at other Map-Servers; the oldest was forgotten.
    UpstreamFull "upstream_full" "too many questions to other Map-Servers are open",
    /// Another Map-Server did not answer our question.
    UpstreamSilent "upstream_silent" "another Map-Server did not answer in time",
    /// An answer of another Map-Server that does not cover what it was asked.
    UpstreamOdd "upstream_odd" "an answer of another Map-Server does not cover the question",
    /// The tables are full.
    RegistrationsFull "registrations_full" "there are too many registrations",
    /// A withdrawal of what the xTR does not hold.
    WithdrawnNotHeld "withdrawn_not_held" "an xTR withdrew what it does not hold",
    /// Too many moved EIDs are remembered; the oldest was forgotten.
    MoveForgotten "move_forgotten" "too many EIDs moved and the oldest move was forgotten",
    /// A previous holder could not be told, because too many are being told.
    NoticesFull "notices_full" "too many previous holders are waited for",
    /// A previous holder never acknowledged.
    NoticeGivenUp "notice_given_up" "a previous holder did not acknowledge that its EID moved",
    /// An acknowledgement with a nonce that is not waited for.
    AckUnknown "ack_unknown" "an acknowledgement has a nonce that is not waited for",
    /// An acknowledgement whose authentication data is wrong.
    AckAuth "ack_auth" "an acknowledgement's authentication data is wrong",
    /// A Map-Notify to a Map-Server.
    NotifyUnknown "notify_unknown" "a Map-Notify came that nobody here waits for",
    /// A subscription without an xTR-ID.
    SubscriptionAnonymous "subscription_anonymous" "a subscription has no xTR-ID",
    /// A subscription of an xTR whose site, hence key, is not known.
    SubscriptionKeyless "subscription_keyless" "a subscription is of an xTR whose site is not known",
    /// None of the ITR-RLOCs belongs to the subscriber's site.
    SubscriptionForeignRloc "subscription_foreign_rloc" "a subscription's ITR-RLOCs are not its site's",
    /// The nonce is not above the last one of this subscription.
    SubscriptionStale "subscription_stale" "a subscription's nonce is not above the last one",
    /// The xTR, or all together, have as many subscriptions as they may.
    SubscriptionsFull "subscriptions_full" "there are too many subscriptions",
    /// A subscriber never acknowledged its subscription.
    SubscriptionGivenUp "subscription_given_up" "a subscriber did not acknowledge its subscription",
    /// A subscription was neither renewed nor acknowledged for days.
    SubscriptionExpired "subscription_expired" "a subscription was neither renewed nor acknowledged",
    /// A subscriber did not acknowledge a publication; the next change is published to it again.
    PublicationGivenUp "publication_given_up" "a subscriber did not acknowledge a publication",
    /// A subscriber has too many changes outstanding; the oldest was dropped.
    PublicationDropped "publication_dropped" "a subscriber has too many unacknowledged changes",
}

/// How often each refusal happened, and what was done besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    refused: [u64; Refusal::ALL.len()],
    malformed: [u64; ControlError::COUNT],
    /// Map-Registers that were authentic and not replayed.
    pub registers: u64,
    /// Records of those that were accepted, refreshes and withdrawals included.
    pub records: u64,
    /// Registrations that were new, changed, withdrawn or expired.
    pub changes: u64,
    /// EIDs that went from one xTR to another.
    pub moves: u64,
    /// Registrations that expired.
    pub expired: u64,
    /// Map-Notifies in answer to registers.
    pub notifies: u64,
    /// Map-Requests that were looked at.
    pub requests: u64,
    /// Map-Replies with locators.
    pub replies: u64,
    /// Map-Replies without.
    pub negatives: u64,
    /// Map-Requests forwarded to an ETR.
    pub forwarded: u64,
    /// Map-Requests forwarded to another Map-Server.
    pub forwarded_upstream: u64,
    /// Map-Requests answered for an ETR that did not ask for it, because others hold parts of its prefix.
    pub answered_for_parts: u64,
    /// Subscriptions confirmed, renewals included.
    pub subscribed: u64,
    /// Subscriptions ended by the subscriber.
    pub unsubscribed: u64,
    /// Records published to subscribers.
    pub published: u64,
    /// Messages that were sent again for want of an acknowledgement.
    pub retransmitted: u64,
    /// Acknowledgements that were waited for.
    pub acknowledged: u64,
    /// Contexts of registrations that were taken, refreshes included.
    pub contexts: u64,
    /// Changes of context, by messages or because their time was over.
    pub context_changes: u64,
    /// Changes of context that nobody had to be told of who was looked at.
    pub context_quiet: u64,
    /// Map-Requests answered with a list that was filtered.
    pub filtered: u64,
    /// Map-Requests answered with no match.
    pub no_matches: u64,
    /// Map-Requests that were asked again of another Map-Server in our own name.
    pub asked_upstream: u64,
}

use sterna_wire::lisp::control::ControlError;

impl Default for Counters {
    fn default() -> Self {
        Counters {
            refused: [0; Refusal::ALL.len()],
            malformed: [0; ControlError::COUNT],
            registers: 0,
            records: 0,
            changes: 0,
            moves: 0,
            expired: 0,
            notifies: 0,
            requests: 0,
            replies: 0,
            negatives: 0,
            forwarded: 0,
            forwarded_upstream: 0,
            answered_for_parts: 0,
            subscribed: 0,
            unsubscribed: 0,
            published: 0,
            retransmitted: 0,
            acknowledged: 0,
            contexts: 0,
            context_changes: 0,
            context_quiet: 0,
            filtered: 0,
            no_matches: 0,
            asked_upstream: 0,
        }
    }
}

impl Counters {
    /// How often this happened.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize]
    }

    /// How many messages could not be parsed for this reason.
    pub fn malformed(&self, reason: ControlError) -> u64 {
        self.malformed[reason.index()]
    }

    /// All counters by name, zeros included: what was done, then the refusals.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let done = [
            ("registers", self.registers),
            ("records", self.records),
            ("changes", self.changes),
            ("moves", self.moves),
            ("expired", self.expired),
            ("notifies", self.notifies),
            ("requests", self.requests),
            ("replies", self.replies),
            ("negatives", self.negatives),
            ("forwarded", self.forwarded),
            ("forwarded_upstream", self.forwarded_upstream),
            ("answered_for_parts", self.answered_for_parts),
            ("subscribed", self.subscribed),
            ("unsubscribed", self.unsubscribed),
            ("published", self.published),
            ("retransmitted", self.retransmitted),
            ("acknowledged", self.acknowledged),
            ("contexts", self.contexts),
            ("context_changes", self.context_changes),
            ("context_quiet", self.context_quiet),
            ("filtered", self.filtered),
            ("no_matches", self.no_matches),
            ("asked_upstream", self.asked_upstream),
        ];
        done.into_iter().chain(Refusal::ALL.iter().map(|refusal| (refusal.name(), self.refused(*refusal))))
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal as usize] += 1;
    }

    pub(super) fn malform(&mut self, reason: ControlError) {
        self.refuse(Refusal::Malformed);
        self.malformed[reason.index()] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_refusal_has_a_counter_and_a_sentence_of_its_own() {
        let sentences: HashSet<String> = Refusal::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), Refusal::ALL.len());
        let names: Vec<&str> = Counters::default().all().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for (index, refusal) in Refusal::ALL.iter().enumerate() {
            let mut counters = Counters::default();
            counters.refuse(*refusal);
            assert_eq!((*refusal as usize, counters.refused(*refusal)), (index, 1));
            assert_eq!(counters.all().map(|(_, count)| count).sum::<u64>(), 1);
        }
    }
}
