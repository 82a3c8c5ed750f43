//! Map-Replies (RFC 9301 sections 5.4 and 5.5): the nonce says what they answer, and what they claim is judged.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::MapReply;

use super::answer::{self, Answer, Answers, Says};
use super::cache::Known;
use super::counters::Counter;
use super::learn::Origin;
use super::pending::State;
use super::question::Question;
use super::said::{self, Chosen};
use super::{EidPrefix, Itr, Surroundings};
use crate::outbox::{CONTROL_PORT, Outbox};

/// How long after an answer its mapping is subscribed, if the request did not.
const SUBSCRIBE_LATER: Duration = Duration::from_secs(1);

impl Itr {
    /// A Map-Reply, to a Map-Request or to a probe. It may come from any address, for a Map-Server may answer for
    /// a site. What is refused leaves the question open: the true answer may follow.
    pub fn map_reply(&mut self, reply: MapReply, from: SocketAddr, now: Instant, out: &mut Outbox) {
        self.observe(now);
        if let Some(remote) = self.prober.of_nonce(reply.nonce) {
            if !reply.probe {
                return self.counters.count(Counter::ReplyWrongKind);
            }
            let around = Surroundings { settings: &self.settings, sets: &self.sets, cache: &self.cache };
            self.prober.reply(remote, &reply, &around, &mut self.counters, now, out);
            return self.follow_paths(now, out);
        }
        let Some(asked) = self.pendings.of_nonce(reply.nonce) else {
            let known = self.pendings.was_answered(reply.nonce);
            return self.counters.count(if known {
                Counter::ReplyDuplicate
            } else {
                Counter::ReplyUnknownNonce
            });
        };
        if let Err(reason) = self.accept_reply(&reply, asked, from, now, out) {
            self.counters.count(reason);
        }
        self.pump(now, out);
    }

    fn accept_reply(
        &mut self,
        reply: &MapReply,
        asked: Question,
        from: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Counter> {
        if reply.probe {
            return Err(Counter::ReplyWrongKind);
        }
        if from.port() != CONTROL_PORT {
            return Err(Counter::ReplySourcePort);
        }
        self.silence.broken();
        if let Some(resolver) = self.pendings.get(asked).and_then(|pending| pending.resolver_of(reply.nonce))
        {
            self.preferred = resolver;
        }
        let group = self.settings.groups.get(&asked.iid()).ok_or(Counter::MissUnknownGroup)?;
        let block = said::block(&reply.tail, &mut self.counters);
        let (settings, counters) = (&self.settings, &mut self.counters);
        let answers = answer::of_reply(&reply.records, block.as_ref(), asked.key, settings, group, counters)?;
        if self.is_outdated(asked) {
            self.settle(asked, Chosen::For(asked.needs), false, now);
            return Err(Counter::ReplyOutdated);
        }
        let subscribed = !self.subscriptions.about(asked.key).is_empty();
        self.accept(&answers, asked, Origin::default(), now, out)?;
        self.counters.count(Counter::RepliesAccepted);
        if !subscribed {
            self.subscribe_later(asked.key, now);
        }
        Ok(())
    }

    /// The request did not subscribe, because new EIDs get only a part of the subscriptions. Now that there is a
    /// mapping it is worth one.
    fn subscribe_later(&mut self, asked: EidPrefix, now: Instant) {
        let Some(key) = self.cache.covering(asked.0, asked.1.addr()).next() else { return };
        let positive = self.cache.get(key).is_some_and(super::cache::Entry::is_positive);
        let new = self.subscriptions.about(key).is_empty() && self.has_subscription_for(Question::plain(key));
        if positive && new && self.settings.subscribes() {
            self.cache.refresh_from(key, now);
            self.cache.set_due(key, now + SUBSCRIBE_LATER);
        }
    }

    /// Takes over the answer to a question; the reason why the question stays open.
    pub(super) fn accept(
        &mut self,
        answers: &Answers,
        asked: Question,
        origin: Origin,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Counter> {
        let why = self.pendings.get(asked).map(|pending| pending.why).unwrap_or_default();
        let origin = Origin { confirm: origin.confirm || self.decides(asked), ..origin };
        let known = self.known(asked);
        let solicited = self.cache.covering(asked.iid(), asked.prefix().addr()).next().filter(|_| why.smr);
        let covering = covering(answers);
        if covering.is_some_and(|answer| self.is_foreign(answer)) {
            return Err(Counter::ContextForeign);
        }
        let open = still_open(answers);
        if let Some(reason @ (Counter::ReplyUnusable | Counter::ReplyAskAgain)) = open {
            return Err(reason);
        }
        let chosen = covering.map_or(Chosen::All, |answer| answer.chosen);
        let before = out.mappings.len();
        let taken = answers.answers.iter().map(|answer| self.take_over(answer, asked.key, origin, now, out));
        let made: Vec<EidPrefix> = taken.flatten().collect();
        self.forget_longer(asked.key, answers.covering, &made, now, out);
        if let Some(solicited) = solicited.filter(|_| out.mappings.len() > before) {
            self.smr_paces.reset(solicited);
        }
        // Without an entry those who wait would ask anew; the question goes on at its own pace instead.
        if open.is_none() || !why.waits {
            self.settle(asked, chosen, self.known(asked) != known, now);
        }
        Ok(())
    }

    /// The entry that holds for what is asked.
    pub(super) fn known(&self, asked: Question) -> Option<(EidPrefix, Known)> {
        let key = self.cache.covering(asked.iid(), asked.prefix().addr()).next()?;
        self.cache.get(key).map(|entry| (key, entry.known))
    }

    /// Whether the dataplane shall judge a packet's source by the next answer, even if it says what was known.
    pub(super) fn decides(&self, asked: Question) -> bool {
        self.pendings.get(asked).is_some_and(|pending| pending.why.confirm && pending.looked)
    }

    /// The questions about this prefix that an answer so chosen answers: all, or those for the same needs. Without
    /// `news` a doubtful source is asked for a second time.
    pub(super) fn settle(&mut self, asked: Question, chosen: Chosen, news: bool, now: Instant) {
        let answered = match chosen {
            Chosen::For(needs) | Chosen::Nobody(needs @ Some(_)) => vec![Question { needs, ..asked }],
            Chosen::All | Chosen::Blindly | Chosen::Nobody(None) => {
                self.pendings.about(asked.key).collect::<Vec<_>>()
            }
        };
        for asked in answered {
            let doubt =
                self.pendings.get(asked).is_some_and(|pending| pending.why.confirm && !pending.looked);
            if doubt && !news {
                self.look_again(asked, now);
            } else if let Some(pending) = self.pendings.finish(asked)
                && let State::Queued(ticket) = pending.state
            {
                self.gate.leave(asked.iid(), ticket);
            }
        }
    }

    /// The mapping system said of a doubtful source what was known. Its packets may have overtaken the news, so they
    /// wait a little longer.
    fn look_again(&mut self, asked: Question, now: Instant) {
        self.counters.count(Counter::SourceCheckAgain);
        if let Some(State::Queued(ticket)) = self.pendings.get(asked).map(|pending| pending.state) {
            self.gate.leave(asked.iid(), ticket);
        }
        self.pendings.look_again(asked, now + self.settings.timers.second_look);
    }

    /// Whether a Map-Server published something about it after the last request went out.
    fn is_outdated(&self, asked: Question) -> bool {
        let sent = self.pendings.get(asked).and_then(|pending| pending.sent);
        let known = self.cache.covering(asked.iid(), asked.prefix().addr()).next();
        let published = known.and_then(|key| match self.contexts.get(key) {
            Some(context) => context.answer(asked.needs)?.published,
            None => self.cache.get(key)?.published,
        });
        matches!((sent, published), (Some(sent), Some(published)) if published > sent)
    }
}

/// Why an accepted answer does not settle the question, if so.
fn still_open(answers: &Answers) -> Option<Counter> {
    match covering(answers)?.says {
        Says::Locators(..) | Says::Negative(..) | Says::Nobody(_) => None,
        Says::Gone => Some(Counter::RepliesAccepted),
        Says::Here => Some(Counter::LocatorOwn),
        Says::AskAgain => Some(Counter::ReplyAskAgain),
        Says::Nothing => Some(Counter::ReplyUnusable),
    }
}

/// The record that answers the question.
fn covering(answers: &Answers) -> Option<&Answer> {
    answers.answers.iter().find(|answer| Some(answer.prefix) == answers.covering)
}
