//! Who of the subscribers is told of a change of context: those whose answer is another one now.

use std::sync::Arc;
use std::time::Instant;

use sterna_wire::{Iid, Prefix};

use super::Server;
use crate::context::{Answered, Known, Manner, Question, answer};

impl Server {
    /// What is said of this prefix's locators has changed.
    pub(super) fn context_changed(
        &mut self,
        (iid, prefix): (Iid, &Prefix),
        before: &Known,
        after: &Known,
        now: Instant,
    ) {
        self.counters.context_changes += 1;
        if self.subscriptions.len() == 0 {
            return;
        }
        // Thousands of subscribers ask a few questions.
        let mut judged: Vec<(Option<Arc<Question>>, bool)> = Vec::new();
        let mut told = false;
        for (place, part) in self.watchers(iid, prefix) {
            let Some(subscription) = self.subscriptions.get(place) else { continue };
            let question = &subscription.question;
            let same = |(known, _): &&(Option<Arc<Question>>, bool)| match (known, question) {
                (Some(known), Some(question)) => Arc::ptr_eq(known, question),
                (known, question) => known.is_none() && question.is_none(),
            };
            let minds = judged.iter().find(same).map(|(_, minds)| *minds).unwrap_or_else(|| {
                let essence = |known: &Known| self.essence(known, question.as_deref());
                let minds = essence(before) != essence(after);
                judged.push((question.clone(), minds));
                minds
            });
            if minds {
                told = true;
                self.note(place, part, now);
            }
        }
        self.counters.context_quiet += u64::from(!told);
    }

    fn essence(&self, known: &Known, question: Option<&Question>) -> Answered {
        answer(std::slice::from_ref(known), self.manner(question, true)).essence()
    }

    /// How we answer.
    pub(super) fn manner<'a>(&self, question: Option<&'a Question>, subscribed: bool) -> Manner<'a> {
        Manner { question, ranking: self.settings.ranking, subscribed, filter: false }
    }
}
