//! Context classes: who they are, and whether what they need can be asked for.

use std::fmt;

use sterna_wire::lisp::control::acx::Acx;

use crate::class::{self, Class};
use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};
use crate::rules::refuse_twins;

pub(super) fn check(draft: &Draft, found: &Findings) {
    let classes = || draft.classes.entries.iter().map(|class| &class.value);
    let ids: Vec<Located<Number>> = classes()
        .filter_map(|class| class.id.as_ref())
        .map(|id| Located { value: Number(id.value), at: id.at.clone() })
        .collect();
    refuse_twins("class", ids.iter(), "each number is one class: give one another number", found);
    refuse_twins("class", classes().filter_map(|class| class.name.as_ref()), "give one another name", found);
    for class in &draft.classes.entries {
        for preference in &class.value.prefer.entries {
            check_preference(preference, found);
        }
        check_size(class, found);
    }
}

/// A class's number as people call it.
#[derive(PartialEq, Eq, Hash)]
struct Number(u8);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {}", self.0)
    }
}

/// One weight is for one need.
fn check_preference(preference: &Located<class::Preference>, found: &Findings) {
    let kinds: Vec<&str> = preference.value.needs.kinds.iter().copied().collect();
    let (text, help) = match kinds.as_slice() {
        [_] => return,
        [] => (
            "the preference names nothing to prefer".to_owned(),
            "add one need, such as `max_load = 0.7`".to_owned(),
        ),
        many => (
            format!("the preference names {} needs: {}", many.len(), many.join(", ")),
            "a weight is for one need: make an entry of each".to_owned(),
        ),
    };
    found.push(Code::BadNeed, &preference.value.needs.at, text, help);
}

/// A Map-Request carries all that a class needs in one block.
fn check_size(class: &Located<class::Draft>, found: &Findings) {
    let Some(constraints) = class.value.constraints() else { return };
    let count = constraints.len();
    if count > Class::MAX_CONSTRAINTS {
        let text = format!("the class has {count} needs; {} are the most", Class::MAX_CONSTRAINTS);
        let help = format!("leave out {} of `require` and `prefer`", count - Class::MAX_CONSTRAINTS);
        return found.push(Code::BadNeed, &class.at, text, help);
    }
    let block = Acx { constraints, limit: Some(0), return_attributes: true, ..Acx::default() };
    if !block.fits() {
        let text = "the names of hardware are too long for a Map-Request";
        found.push(Code::BadNeed, &class.at, text, "use fewer or shorter ones");
    }
}
