//! What the ITR counts: what it did, and every reason for which it refused something.

macro_rules! counters {
    ($($variant:ident = $label:literal : $help:literal,)*) => {
        /// One thing that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Counter { $(#[doc = $help] $variant,)* }

        impl Counter {
            /// Every counter, in the order of declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $label,)* }
            }

            /// One sentence for operators.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$variant => $help,)* }
            }
        }
    };
}

counters! {
    Misses = "misses": "Questions of the dataplane about an EID, repetitions included.",
    RequestsSent = "requests_sent": "Map-Requests sent to a map-resolver, retries included.",
    RequestsRetried = "requests_retried": "Map-Requests that repeat one without an answer.",
    RepliesAccepted = "replies_accepted": "Map-Replies from which something was learned.",
    NegativesLearned = "negatives_learned": "Negative entries learned or renewed.",
    EntriesExpired = "entries_expired": "Entries that nobody used and whose time was over.",
    EntriesStale = "entries_stale": "Entries whose time was over without an answer; they are kept in use.",
    StaleDropped = "stale_dropped": "Stale entries given up after the longest time they may be kept.",
    NotifiesAccepted = "notifies_accepted": "Map-Notifies accepted as confirmation or publication.",
    NotifiesAcknowledged = "notifies_acknowledged": "Map-Notify-Acks sent.",
    SubscriptionsConfirmed = "subscriptions_confirmed": "Subscriptions that a Map-Server confirmed.",
    UnsubscribesSent = "unsubscribes_sent": "Map-Requests sent to end a subscription.",
    SmrsAccepted = "smrs_accepted": "Solicit-Map-Requests that made us ask the mapping system.",
    ProbesSent = "probes_sent": "RLOC probes sent.",
    ProbeReplies = "probe_replies": "Answers to our RLOC probes.",
    ProbesUnanswered = "probes_unanswered": "RLOC probes without an answer in time.",
    LocatorsDown = "locators_down": "Times that probing took a remote RLOC out of use.",
    LocatorsUp = "locators_up": "Times that a remote RLOC came back into use.",
    AllLocatorsSilent = "all_locators_silent": "Times that no locator beside a silent one answered probes either, so that it stays in use.",

    RowsPublished = "rows_published": "Entries published because what a context class uses changed.",
    PathTermsMoved = "path_terms_moved": "Times that the round trip or the loss of a locator changed enough to rank anew.",

    MissUnknownClass = "miss_unknown_class": "A question for a context class that is not configured.",
    MissUnknownGroup = "miss_unknown_group": "A question about an EID of a group that is not configured.",
    MissBadEid = "miss_bad_eid": "A question about an address that cannot be an EID of one host.",
    MissOwnEid = "miss_own_eid": "A question about an EID in a prefix that is served here.",
    NoResolver = "no_resolver": "A question that cannot be asked because no map-resolver is configured.",
    NoItrRloc = "no_itr_rloc": "A question that cannot be asked because this gateway has no RLOC for the answer.",
    PendingFull = "pending_full": "A question refused because too many are waiting for an answer.",
    PendingEvicted = "pending_evicted": "A waiting question of a group with many given up for one of another group.",
    RequestsDelayed = "requests_delayed": "First Map-Requests for waiting packets that the rate limits delayed.",
    RequestsAbandoned = "requests_abandoned": "Questions given up because nobody waits for the answer any more.",
    RequestsPaused = "requests_paused": "Questions put aside for a while after many requests without an answer.",
    MissPaused = "miss_paused": "A question about an EID that is put aside for a while.",
    SourceCheckPaced = "source_check_paced": "A source check not asked again because it was asked within the last second.",
    SourceCheckAgain = "source_check_again": "A source check asked a second time, because the first answer said what was known.",
    SourceCheckLimited = "source_check_limited": "A source check refused by the rate limit of source checks.",

    ReplyUnknownNonce = "reply_unknown_nonce": "A Map-Reply that answers no request of ours.",
    ReplyDuplicate = "reply_duplicate": "A second answer to a request that was answered already.",
    ReplyWrongKind = "reply_wrong_kind": "A Map-Reply whose probe flag contradicts the request.",
    ReplySourcePort = "reply_source_port": "A Map-Reply that does not come from the control port.",
    ReplyNotIp = "reply_not_ip": "A Map-Reply with an EID that is no IP prefix.",
    ReplyForeignGroup = "reply_foreign_group": "A Map-Reply with a prefix of another group than the one asked for.",
    ReplyNotCovering = "reply_not_covering": "A Map-Reply of which no prefix contains the EID that was asked for.",
    ReplyOverclaim = "reply_overclaim": "A mapping for a prefix that is too short or that contains a prefix served here.",
    ReplyUnusable = "reply_unusable": "A mapping without any locator that we can use.",
    ReplyAskAgain = "reply_ask_again": "A negative answer that says to ask again.",
    ReplyOutdated = "reply_outdated": "A Map-Reply to a request that is older than what a Map-Server published since.",
    RecordOutside = "record_outside": "A record that lies outside of the mapping that answers the question.",
    RecordOwnEid = "record_own_eid": "A record for a prefix inside of one that is served here.",
    RecordsCut = "records_cut": "Records beyond the number that one message may bring.",
    LocatorOwn = "locator_own": "A locator that is an RLOC of this gateway, skipped.",
    LocatorUnknownForm = "locator_unknown_form": "A locator in a form that we do not know, skipped.",
    LocatorBadAddress = "locator_bad_address": "A locator that cannot be the address of one host, skipped.",
    LocatorDuplicate = "locator_duplicate": "A locator that the record names twice, skipped.",
    LocatorsCut = "locators_cut": "Locators beyond the best 16 of a mapping, skipped.",

    TailUnknown = "tail_unknown": "Bytes behind an answer that are no context block, ignored.",
    ContextMalformed = "context_malformed": "A context block that cannot be read; its message holds as one without.",
    ContextCritical = "context_critical": "A context block with a critical value that we do not know; its message holds as one without.",
    ContextUnauthentic = "context_unauthentic": "A context block of a Map-Notify that its authentication does not cover; ignored.",
    ContextForeign = "context_foreign": "An answer filtered for needs of no context class here, ignored.",
    ContextFull = "context_full": "What was said of locators and not kept because there is no room.",
    ClassTooLong = "class_too_long": "A question not asked because what its context class needs does not fit into a request.",
    NoMatches = "no_matches": "Answers that no locator will do for a context class.",

    NotifyNoKey = "notify_no_key": "A Map-Notify made with a key that is not configured.",
    NotifyAuth = "notify_auth": "A Map-Notify whose authentication data is wrong.",
    NotifyReplayed = "notify_replayed": "A Map-Notify older than the last one of its subscription.",
    NotifyDuplicate = "notify_duplicate": "A Map-Notify received before; acknowledged again.",
    NotifyForeignXtr = "notify_foreign_xtr": "A Map-Notify for another xTR-ID than ours.",
    NotifyUnrelated = "notify_unrelated": "A record of a Map-Notify that belongs to no subscription of ours.",

    SmrMalformed = "smr_malformed": "A Solicit-Map-Request without exactly one record or without an IP source EID.",
    SmrNotCached = "smr_not_cached": "A Solicit-Map-Request for an EID that is not in the map-cache.",
    SmrPaced = "smr_paced": "A Solicit-Map-Request too soon after another for the same EID.",
    SmrLimited = "smr_limited": "A Solicit-Map-Request refused by the rate limit of all of them.",

    CacheEvictedNegatives = "cache_evicted_negatives": "Negative entries removed because the map-cache was full, or full of them.",
    CacheEvicted = "cache_evicted": "Entries unused for longest, removed because the map-cache was full.",
    AdoptRefused = "adopt_refused": "Entries of the dataplane not taken over because the map-cache was full.",
    SubscriptionsFull = "subscriptions_full": "Requests sent without subscribing because there are too many subscriptions.",
    FarewellsDropped = "farewells_dropped": "Subscriptions left to the Map-Server because too many were to be ended at once.",
    RemotesFull = "remotes_full": "Remote RLOCs not probed because there are too many.",
    ProbesDelayed = "probes_delayed": "RLOC probes put off because of the rate limit.",
    ProbeNoRloc = "probe_no_rloc": "RLOC probes not sent because this gateway has no RLOC of that family.",
}

/// How often each thing happened since the start.
#[derive(Clone, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::ALL.len()])
    }
}

impl Counters {
    /// How often this happened.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// All of them with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)))
    }

    pub(super) fn bump(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    pub(super) fn add(&mut self, counter: Counter, count: usize) {
        let value = &mut self.0[counter as usize];
        *value = value.saturating_add(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_every_counter_has_a_sentence() {
        let mut names: Vec<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
        assert!(Counter::ALL.iter().all(|counter| counter.help().ends_with('.')));
    }

    #[test]
    fn each_counter_has_its_own_place() {
        let mut counters = Counters::default();
        for (index, counter) in Counter::ALL.iter().enumerate() {
            counters.add(*counter, index + 1);
        }
        let counts: Vec<u64> = counters.iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=Counter::ALL.len() as u64).collect::<Vec<_>>());
    }
}
