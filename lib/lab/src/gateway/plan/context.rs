//! `[[class]]`, `[[policy]]` and `[context]`: by what a gateway of the lab chooses locators.

use super::push;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextPlan {
    /// The classes.
    pub classes: Vec<ClassPlan>,
    /// The policies, the first match wins.
    pub policies: Vec<PolicyPlan>,
    /// Keys of `[context]` with their values, as TOML.
    pub knobs: Vec<(&'static str, String)>,
}

/// `[[class]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassPlan {
    /// 1 to 15.
    pub id: u8,
    /// Its name.
    pub name: &'static str,
    /// What it needs and prefers: lines of TOML.
    pub needs: String,
}

/// `[[policy]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPlan {
    /// What it matches: lines of TOML.
    pub matches: String,
    /// The class it gives.
    pub class: &'static str,
}

impl ContextPlan {
    pub(super) fn render(&self, text: &mut String) {
        for ClassPlan { id, name, needs } in &self.classes {
            push(text, format_args!("\n[[class]]\nid = {id}\nname = \"{name}\"\n{needs}\n"));
        }
        for PolicyPlan { matches, class } in &self.policies {
            push(text, format_args!("\n[[policy]]\n{matches}\nclass = \"{class}\"\n"));
        }
        render_knobs(&self.knobs, text);
    }
}

/// `[context]`, when there is anything to say.
pub(super) fn render_knobs(knobs: &[(&'static str, String)], text: &mut String) {
    if knobs.is_empty() {
        return;
    }
    text.push_str("\n[context]\n");
    for (key, value) in knobs {
        push(text, format_args!("{key} = {value}\n"));
    }
}
