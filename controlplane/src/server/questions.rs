//! What subscribers asked in ACX. Thousands ask the same few questions, so equal ones are kept once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::context::Question;

/// The most different questions that are remembered: those of 64 sites with a thousand classes each.
const MAX_QUESTIONS: usize = 65_536;

/// All questions of subscribers.
#[derive(Debug, Default)]
pub(super) struct Questions(HashSet<Arc<Question>>);

impl Questions {
    /// The question, shared with everybody who asks the same; none when there are too many different ones.
    pub(super) fn share(&mut self, question: Question) -> Option<Arc<Question>> {
        if let Some(known) = self.0.get(&question) {
            return Some(Arc::clone(known));
        }
        if self.0.len() >= MAX_QUESTIONS {
            self.0.retain(|question| Arc::strong_count(question) > 1);
        }
        if self.0.len() >= MAX_QUESTIONS {
            return None;
        }
        let question = Arc::new(question);
        self.0.insert(Arc::clone(&question));
        Some(question)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_questions_are_one_and_those_nobody_asks_any_more_make_room() {
        let mut questions = Questions::default();
        let asking = |place: usize| Question {
            constraints: vec![sterna_wire::lisp::control::acx::Constraint::hard(
                sterna_wire::lisp::control::acx::Need::State(place as u32),
            )],
            ..Question::default()
        };
        let first = questions.share(asking(0)).unwrap();
        assert!(Arc::ptr_eq(&first, &questions.share(asking(0)).unwrap()));
        let mut asked: Vec<_> =
            (1..MAX_QUESTIONS).map(|place| questions.share(asking(place)).unwrap()).collect();
        assert_eq!(questions.share(asking(MAX_QUESTIONS)), None);
        asked.truncate(5);
        assert!(questions.share(asking(MAX_QUESTIONS)).is_some());
        assert_eq!(questions.0.len(), 7);
    }
}
