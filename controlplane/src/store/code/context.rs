//! How context lies in the store: as the ACX blocks that say it, which are read with all their checks.

use std::net::IpAddr;

use sterna_wire::lisp::control::acx::{Acx, Attributes, Scope, Scoped};

use super::{Reader, Writer, read_registration_key};
use crate::context::Question;
use crate::server::{SavedContext, SavedSaid};

impl Writer {
    fn block(&mut self, block: &Acx) -> &mut Self {
        let bytes = block.bytes();
        self.bytes(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()).bytes(&bytes)
    }

    fn said(&mut self, said: &SavedSaid, seq: u32) -> &mut Self {
        let ttl_s = Some(said.ttl_s);
        let entry = Scoped { ttl_s, ..Scoped::new(Scope::Message, said.attributes.clone()) };
        self.block(&Acx { seq, complete: true, entries: vec![entry], ..Acx::default() })
    }

    /// What somebody asked, as the block of a Map-Request; nothing as no bytes.
    pub(super) fn question(&mut self, question: Option<&Question>) -> &mut Self {
        match question {
            Some(question) => self.block(&question.block()),
            None => self.bytes(&[0, 0]),
        }
    }
}

impl Reader<'_> {
    fn block(&mut self) -> Option<Option<Acx>> {
        let len = self.u16()?;
        Acx::find(self.take(len.into())?).ok()
    }

    fn said(&mut self) -> Option<(u32, SavedSaid)> {
        let block = self.block()??;
        let entry = block.entries.into_iter().next();
        let (attributes, ttl_s) =
            entry.map_or((Attributes::default(), None), |one| (one.attributes, one.ttl_s));
        Some((block.seq, SavedSaid { attributes, ttl_s: ttl_s? }))
    }

    pub(super) fn question(&mut self) -> Option<Option<Question>> {
        Some(self.block()?.map(|block| Question::of(&block)))
    }
}

pub(in super::super) fn context(saved: &SavedContext) -> Vec<u8> {
    let mut out = Writer::value();
    out.said(&saved.whole, saved.seq);
    for (address, said) in &saved.locators {
        out.address(*address).said(said, saved.seq);
    }
    out.0
}

pub(in super::super) fn read_context(key: &[u8], value: &[u8]) -> Option<SavedContext> {
    let key = read_registration_key(key)?;
    let mut reader = Reader::value(value)?;
    let (seq, whole) = reader.said()?;
    let mut locators: Vec<(IpAddr, SavedSaid)> = Vec::new();
    while !reader.0.is_empty() {
        let address = reader.address()?;
        locators.push((address, reader.said()?.1));
    }
    Some(SavedContext { key, seq, whole, locators })
}

#[cfg(test)]
mod tests {
    use super::super::registration_key;
    use super::*;
    use crate::server::{Identity, RegistrationKey};
    use proptest::prelude::*;
    use sterna_wire::lisp::control::acx::{AgentState, Constraint, Hardware, Load, Need, Security};

    fn attributes() -> impl Strategy<Value = Attributes> {
        let load = prop::option::of((0u16..=1000, 0u16..0xffff));
        let tags = prop::option::of(prop::collection::btree_set("[a-z0-9._-]{1,63}", 0..17));
        (load, tags, prop::option::of(0usize..8), prop::option::of(any::<(u8, u8, u16)>())).prop_map(
            |(load, tags, state, security)| Attributes {
                load: load.map(|(permille, queue)| Load { permille: Some(permille), queue: Some(queue) }),
                hardware: tags.map(|tags| Hardware::from_names(tags.iter().map(String::as_str)).unwrap()),
                state: state.map(|state| AgentState::ALL[state]),
                security: security.map(|(level, flags, domain)| Security { level, flags, domain }),
                latency: None,
            },
        )
    }

    fn said() -> impl Strategy<Value = SavedSaid> {
        (attributes(), any::<u32>()).prop_map(|(attributes, ttl_s)| SavedSaid { attributes, ttl_s })
    }

    proptest! {
        #[test]
        fn context_that_was_written_is_read(
            seq in any::<u32>(),
            whole in said(),
            locators in prop::collection::vec((any::<IpAddr>(), said()), 0..32),
        ) {
            let key = RegistrationKey {
                iid: sterna_wire::Iid::new(100).unwrap(),
                prefix: "10.1.0.7/32".parse().unwrap(),
                site: "site-a".into(),
                holder: Identity::Id([7; 16]),
            };
            let saved = SavedContext { key, seq, whole, locators };
            let (key, value) = (registration_key(&saved.key), context(&saved));
            prop_assert_eq!(read_context(&key, &value), Some(saved));
            for end in 0..value.len().min(200) {
                let _ = read_context(&key, &value[..end]);
            }
        }
    }

    #[test]
    fn a_question_that_was_written_is_read() {
        let question = Question {
            constraints: vec![Constraint::soft(Need::Load(300), 7)],
            limit: Some(4),
            attributes: true,
        };
        for question in [None, Some(question)] {
            let mut out = Writer::default();
            out.question(question.as_ref());
            assert_eq!(Reader(&out.0).question(), Some(question));
        }
    }
}
