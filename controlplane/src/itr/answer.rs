//! What the records of a Map-Reply or Map-Notify come to, before anything is believed.

use std::time::Duration;

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::{Act, EidRecord};
use sterna_wire::{Iid, Prefix};

use super::EidPrefix;
use super::counters::{Counter, Counters};
use super::locators::{self, Usable};
use super::said::{self, Chosen, Said};
use super::settings::{GroupRanges, ItrSettings, Timers};
use crate::outbox::Locator;

/// TTL of a record that leaves it to the receiver.
const TTL_UNSAID: u32 = u32::MAX;

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// The prefix is reached by these locators, for so long.
    Locators(Vec<Locator>, Duration),
    /// Nobody is there, for so long.
    Negative(Act, Duration),
    /// Somebody is there, but will not do for what was asked, for so long.
    Nobody(Duration),
    /// There is no such mapping any more.
    Gone,
    /// It is at this gateway.
    Here,
    /// Ask again.
    AskAgain,
    /// Nothing that we can use.
    Nothing,
}

/// One record that is about an IP prefix of the right group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its prefix.
    pub prefix: Prefix,
    /// What it says.
    pub says: Says,
    /// How its locators were chosen.
    pub chosen: Chosen,
    /// What is said of them, in their order; nothing where context plays no part.
    pub about: Vec<Said>,
}

/// The answer to a question, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The record that answers the question, and the more specific ones beside it. What goes comes last, so that
    /// nothing is missing in between.
    pub answers: Vec<Answer>,
    /// The longest prefix that contains the whole question. None when the answer splits the prefix asked for.
    pub covering: Option<Prefix>,
}

/// Judges the records of a Map-Reply to the question about `asked`; the reason why it is refused.
pub fn of_reply(
    records: &[EidRecord],
    block: Option<&Acx>,
    asked: EidPrefix,
    settings: &ItrSettings,
    group: &GroupRanges,
    counters: &mut Counters,
) -> Result<Answers, Counter> {
    let mut judged = Vec::new();
    for (index, record) in within(records, settings, counters).iter().enumerate() {
        let (iid, prefix) = record.prefix().ok_or(Counter::ReplyNotIp)?;
        if iid != asked.0 {
            return Err(Counter::ReplyForeignGroup);
        }
        judged.push((prefix, index, record));
    }
    let covering = judged.iter().map(|(prefix, ..)| *prefix).filter(|prefix| prefix.covers(&asked.1));
    let covering = covering.max_by_key(Prefix::len);
    let outer = covering.unwrap_or(asked.1);
    if covering.is_none() && (asked.1.is_host() || !judged.iter().any(|(prefix, ..)| asked.1.covers(prefix)))
    {
        return Err(Counter::ReplyNotCovering);
    }
    let mut answers = Vec::new();
    for (prefix, index, record) in judged {
        if !outer.covers(&prefix) {
            counters.count(Counter::RecordOutside);
        } else if let Some(refused) = overclaims(prefix, record, settings, group) {
            if covering == Some(prefix) {
                return Err(refused);
            }
            counters.count(refused);
        } else {
            answers.push(answer((asked.0, prefix), (index, record), block, settings, counters));
        }
    }
    answers.sort_by_key(|answer| answer.says == Says::Gone);
    Ok(Answers { answers, covering })
}

/// Judges the records of an authentic Map-Notify; `ours` tells which prefixes belong to subscriptions of ours.
/// What goes comes last.
pub fn of_notify(
    records: &[EidRecord],
    block: Option<&Acx>,
    ours: impl Fn(EidPrefix) -> bool,
    settings: &ItrSettings,
    counters: &mut Counters,
) -> Vec<(Iid, Answer)> {
    let mut answers = Vec::new();
    for (index, record) in within(records, settings, counters).iter().enumerate() {
        let named = record.prefix().filter(|key| ours(*key));
        let Some((iid, prefix)) = named else {
            counters.count(Counter::NotifyUnrelated);
            continue;
        };
        let Some(group) = settings.groups.get(&iid) else {
            counters.count(Counter::NotifyUnrelated);
            continue;
        };
        match overclaims(prefix, record, settings, group) {
            Some(refused) => counters.count(refused),
            None => {
                let said = answer((iid, prefix), (index, record), block, settings, counters);
                answers.push((iid, said));
            }
        }
    }
    answers.sort_by_key(|(_, answer)| answer.says == Says::Gone);
    answers
}

/// As many records as one message may bring.
fn within<'a>(records: &'a [EidRecord], settings: &ItrSettings, counters: &mut Counters) -> &'a [EidRecord] {
    let kept = records.len().min(settings.limits.records);
    counters.add(Counter::RecordsCut, records.len() - kept);
    &records[..kept]
}

/// Why the record claims more than anyone may: too short a prefix, or one that is served here.
/// A negative record claims nothing.
fn overclaims(
    prefix: Prefix,
    record: &EidRecord,
    settings: &ItrSettings,
    group: &GroupRanges,
) -> Option<Counter> {
    if record.locators.is_empty() || record.ttl == 0 {
        return None;
    }
    if prefix.len() < settings.limits.min_prefix_len || group.served.iter().any(|own| prefix.covers(own)) {
        return Some(Counter::ReplyOverclaim);
    }
    group.served.iter().any(|own| own.covers(&prefix)).then_some(Counter::RecordOwnEid)
}

/// What one record says, with what the block says of its locators.
fn answer(
    key: EidPrefix,
    (index, record): (usize, &EidRecord),
    block: Option<&Acx>,
    settings: &ItrSettings,
    counters: &mut Counters,
) -> Answer {
    let matters = settings.uses_context(key.0, key.1);
    let chosen = said::chosen(block.filter(|_| matters), index);
    // One of the locators of a skill may be ourselves.
    let own = if settings.is_skill(key.0, key.1) { &[][..] } else { settings.local_rlocs.as_slice() };
    let mut says = says(record, own, settings, counters);
    let about = match &says {
        Says::Locators(locators, _) if matters => said::of_record(block, index, record, locators),
        _ => Vec::new(),
    };
    if let (Says::Negative(_, lifetime), Chosen::Nobody(_)) = (&says, chosen) {
        counters.count(Counter::NoMatches);
        says = Says::Nobody(*lifetime);
    }
    Answer { prefix: key.1, says, chosen, about }
}

fn says(
    record: &EidRecord,
    own: &[std::net::IpAddr],
    settings: &ItrSettings,
    counters: &mut Counters,
) -> Says {
    if record.ttl == 0 {
        return Says::Gone;
    }
    let lifetime = lifetime(record.ttl, &settings.timers);
    if record.locators.is_empty() {
        return match record.act {
            Act::SendMapRequest => Says::AskAgain,
            act => Says::Negative(act, lifetime),
        };
    }
    match locators::usable(&record.locators, own, counters) {
        Usable::Some(locators) => Says::Locators(locators, lifetime),
        Usable::OnlyOwn => Says::Here,
        Usable::Nothing => Says::Nothing,
    }
}

fn lifetime(minutes: u32, timers: &Timers) -> Duration {
    match minutes {
        TTL_UNSAID => timers.ttl_default,
        minutes => timers.ttl_max.min(Duration::from_secs(u64::from(minutes) * 60)),
    }
}

#[cfg(test)]
mod tests {
    use sterna_wire::lisp::control::{LispAddress, LocatorRecord};

    use super::*;

    const GROUP: Iid = Iid::DEFAULT;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn settings() -> ItrSettings {
        let mut settings = ItrSettings { local_rlocs: vec![[192, 0, 2, 1].into()], ..ItrSettings::default() };
        let served = vec![prefix("10.9.0.0/24")];
        settings.groups.insert(GROUP, GroupRanges { ranges: vec![prefix("10.0.0.0/8")], served });
        settings
    }

    fn record(text: &str) -> EidRecord {
        let locators = vec![LocatorRecord::unicast([192, 0, 2, 2].into(), 1, 100)];
        EidRecord { locators, ..EidRecord::of(GROUP, prefix(text)) }
    }

    fn judge(records: &[EidRecord], asked: &str) -> (Result<Vec<String>, Counter>, Counters) {
        let (settings, mut counters) = (settings(), Counters::default());
        let group = &settings.groups[&GROUP];
        let asked = (GROUP, prefix(asked));
        let got = of_reply(records, None, asked, &settings, group, &mut counters);
        let names = |got: Answers| got.answers.iter().map(|answer| answer.prefix.to_string()).collect();
        (got.map(names), counters)
    }

    #[test]
    fn row_18_the_answer_covers_the_question() {
        assert_eq!(judge(&[record("10.1.0.0/16")], "10.1.2.3/32").0, Ok(vec!["10.1.0.0/16".into()]));
        assert_eq!(judge(&[record("10.2.0.0/16")], "10.1.2.3/32").0, Err(Counter::ReplyNotCovering));
        assert_eq!(judge(&[], "10.1.2.3/32").0, Err(Counter::ReplyNotCovering));
        let mut foreign = record("10.1.0.0/16");
        foreign.eid = LispAddress::for_eid(Iid::new(7).unwrap(), [10, 1, 0, 0].into());
        assert_eq!(
            judge(&[record("10.1.0.0/16"), foreign], "10.1.2.3/32").0,
            Err(Counter::ReplyForeignGroup)
        );
        let name = EidRecord { eid: LispAddress::Name(b"x".to_vec()), ..record("10.1.0.0/16") };
        assert_eq!(judge(&[name], "10.1.2.3/32").0, Err(Counter::ReplyNotIp));
    }

    #[test]
    fn row_18_nobody_claims_everything_or_what_is_served_here() {
        assert_eq!(judge(&[record("0.0.0.0/0")], "10.1.2.3/32").0, Err(Counter::ReplyOverclaim));
        assert_eq!(judge(&[record("10.0.0.0/8")], "10.1.2.3/32").0, Err(Counter::ReplyOverclaim));
        let (got, counters) = judge(&[record("10.8.0.0/15"), record("10.8.0.0/16")], "10.8.2.3/32");
        assert_eq!((got, counters.get(Counter::RecordOutside)), (Ok(vec!["10.8.0.0/16".into()]), 1));
        let negative = EidRecord { locators: vec![], ..record("0.0.0.0/0") };
        assert_eq!(judge(&[negative], "10.1.2.3/32").0, Ok(vec!["0.0.0.0/0".into()]));
    }

    #[test]
    fn more_specific_records_come_along_and_others_do_not() {
        let records = [record("10.1.0.0/16"), record("10.1.7.0/24"), record("10.2.0.0/16")];
        let (got, counters) = judge(&records, "10.1.2.3/32");
        assert_eq!(got, Ok(vec!["10.1.0.0/16".into(), "10.1.7.0/24".into()]));
        assert_eq!(counters.get(Counter::RecordOutside), 1);
    }

    #[test]
    fn a_prefix_that_was_split_is_answered_by_its_parts() {
        let halves = [record("10.1.0.0/17"), record("10.1.128.0/17")];
        assert_eq!(judge(&halves, "10.1.0.0/16").0.map(|got| got.len()), Ok(2));
        assert_eq!(judge(&halves, "10.2.0.0/16").0, Err(Counter::ReplyNotCovering));
    }

    #[test]
    fn a_message_brings_a_bounded_number_of_records() {
        let records: Vec<_> = std::iter::once(record("10.1.0.0/16"))
            .chain((0..200_u8).map(|third| record(&format!("10.1.{third}.0/24"))))
            .collect();
        let (got, counters) = judge(&records, "10.1.250.3/32");
        assert_eq!((got.map(|got| got.len()), counters.get(Counter::RecordsCut)), (Ok(64), 137));
    }

    #[test]
    fn row_39_ttl() {
        let settings = settings();
        let says =
            |ttl| says(&EidRecord { ttl, ..record("10.1.0.0/16") }, &[], &settings, &mut Counters::default());
        let minutes = |count: u64| Duration::from_secs(count * 60);
        let found = vec![Locator { address: [192, 0, 2, 2].into(), priority: 1, weight: 100 }];
        assert_eq!(says(0), Says::Gone);
        assert_eq!(says(10), Says::Locators(found.clone(), minutes(10)));
        assert_eq!(says(u32::MAX), Says::Locators(found.clone(), minutes(1440)));
        assert_eq!(says(86_400), Says::Locators(found, minutes(1440)), "VPP's sixty days");
    }

    #[test]
    fn what_a_record_without_locators_says() {
        let settings = settings();
        let says = |act| {
            let record = EidRecord { act, ttl: 1, locators: vec![], ..record("10.1.0.0/16") };
            says(&record, &[], &settings, &mut Counters::default())
        };
        assert_eq!(says(Act::SendMapRequest), Says::AskAgain);
        assert_eq!(
            says(Act::DropPolicyDenied),
            Says::Negative(Act::DropPolicyDenied, Duration::from_secs(60))
        );
        assert_eq!(says(Act::NativelyForward), Says::Negative(Act::NativelyForward, Duration::from_secs(60)));
    }

    #[test]
    fn a_notify_brings_only_what_was_subscribed() {
        let (settings, mut counters) = (settings(), Counters::default());
        let subscribed = |key: EidPrefix| prefix("10.1.0.0/16").covers(&key.1);
        let records = [record("10.1.2.0/24"), record("10.2.0.0/16"), record("10.1.3.0/24")];
        let got = of_notify(&records, None, subscribed, &settings, &mut counters);
        assert_eq!((got.len(), counters.get(Counter::NotifyUnrelated)), (2, 1));
        let served = of_notify(&[record("10.9.0.7/32")], None, |_| true, &settings, &mut counters);
        assert_eq!((served, counters.get(Counter::RecordOwnEid)), (vec![], 1));
    }
}
