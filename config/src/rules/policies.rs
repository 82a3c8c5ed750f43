//! Policies: the classes and groups that they name, and whether any packet meets them.

use sterna_wire::Prefix;

use crate::code::Code;
use crate::draft::Draft;
use crate::finding::{Findings, Located};
use crate::policy::{self, PROTOCOLS, Protocol};
use crate::suggest::closest;

/// The protocols whose packets have destination ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

pub(super) fn check(draft: &Draft, found: &Findings) {
    for (index, policy) in draft.policies.entries.iter().enumerate() {
        check_class(draft, &policy.value, found);
        check_group(draft, &policy.value, found);
        let before = found.count();
        check_families(&policy.value, found);
        check_ports(&policy.value, found);
        if found.count() == before {
            let earlier = draft.policies.entries.get(..index).unwrap_or_default();
            check_late(earlier, policy, found);
        }
    }
}

fn check_class(draft: &Draft, policy: &policy::Draft, found: &Findings) {
    let Some(class) = policy.class.as_ref() else { return };
    let all_named = draft.classes.entries.iter().all(|class| class.value.name.is_some());
    if draft.class(&class.value).is_some() || !draft.classes.whole || !all_named {
        return;
    }
    let names = draft.classes.entries.iter().filter_map(|class| class.value.name.as_ref());
    let help = instead(&class.value, names, "[[class]]", "take the policy out");
    let text = format!("there is no class \"{}\", which this policy gives to packets", class.value);
    found.push(Code::UnknownClass, &class.at, text, help);
}

fn check_group(draft: &Draft, policy: &policy::Draft, found: &Findings) {
    let Some(group) = policy.group.as_ref() else { return };
    let Some(name) = &group.value else { return };
    let all_named = draft.groups.entries.iter().all(|group| group.value.name.is_some());
    if draft.group(name).is_some() || !draft.groups.whole || !all_named {
        return;
    }
    let names = draft.groups.entries.iter().filter_map(|group| group.value.name.as_ref());
    let help = instead(name, names, "[[group]]", "leave `group` out for all groups");
    found.push(Code::UnknownPolicyGroup, &group.at, format!("there is no group \"{name}\""), help);
}

/// What to write in place of a name that nothing has.
fn instead<'a>(
    name: &str,
    names: impl Iterator<Item = &'a Located<String>>,
    section: &str,
    otherwise: &str,
) -> String {
    let names: Vec<&str> = names.map(|name| name.value.as_str()).collect();
    match closest(name, &names) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if names.is_empty() => format!("add a {section} of that name, or {otherwise}"),
        None => format!("add a {section} of that name, or use one that exists: {}", names.join(", ")),
    }
}

fn check_families(policy: &policy::Draft, found: &Findings) {
    let (Some(from), Some(to)) = (&policy.from, &policy.to) else { return };
    let (Some(source), Some(destination)) = (from.value, to.value) else { return };
    if source.family() != destination.family() {
        let text = format!("no packet goes from {source} to {destination}: they are of two families");
        let help = "make a policy for each family";
        found.push_with(Code::VoidPolicy, &to.at, text, help, (&from.at, "from here"));
    }
}

fn check_ports(policy: &policy::Draft, found: &Findings) {
    let (Some(ports), Some(protocol)) = (&policy.ports, &policy.protocol) else { return };
    let (Some(_), Some(Protocol(number))) = (&ports.value, protocol.value) else { return };
    if !WITH_PORTS.contains(&number) {
        let name = PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(name, _)| (*name).to_owned());
        let name = name.unwrap_or_else(|| number.to_string());
        let text = format!("packets of protocol {name} have no ports");
        let help = "leave `ports` out, or name \"tcp\" or \"udp\"";
        found.push_with(Code::VoidPolicy, &ports.at, text, help, (&protocol.at, "the protocol"));
    }
}

/// The first policy that a packet meets holds, so one behind another that meets as much is a mistake.
fn check_late(earlier: &[Located<policy::Draft>], policy: &Located<policy::Draft>, found: &Findings) {
    let Some(first) = earlier.iter().find(|first| covers(&first.value, &policy.value) == Some(true)) else {
        return;
    };
    let text = "no packet comes to this policy: an earlier one takes them all";
    let help = "put it before that one, or take it out";
    found.push_with(Code::LatePolicy, &policy.at, text, help, (&first.at, "taken here"));
}

/// Whether whatever meets `inner` meets `outer`; nothing when that cannot be told.
fn covers(outer: &policy::Draft, inner: &policy::Draft) -> Option<bool> {
    let group = is_within(outer.group.as_ref()?, inner.group.as_ref()?, |outer, inner| outer == inner);
    let prefix = |outer: &Prefix, inner: &Prefix| outer.covers(inner);
    let from = is_within(outer.from.as_ref()?, inner.from.as_ref()?, prefix);
    let to = is_within(outer.to.as_ref()?, inner.to.as_ref()?, prefix);
    let dscp = is_within(outer.dscp.as_ref()?, inner.dscp.as_ref()?, |outer, inner| outer == inner);
    let protocol =
        is_within(outer.protocol.as_ref()?, inner.protocol.as_ref()?, |outer, inner| outer == inner);
    let ports = is_within(outer.ports.as_ref()?, inner.ports.as_ref()?, |outer, inner| {
        outer.start() <= inner.start() && inner.end() <= outer.end()
    });
    Some(group && from && to && dscp && protocol && ports)
}

/// Nothing stands for all.
fn is_within<T>(
    outer: &Located<Option<T>>,
    inner: &Located<Option<T>>,
    within: impl Fn(&T, &T) -> bool,
) -> bool {
    match (&outer.value, &inner.value) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(outer), Some(inner)) => within(outer, inner),
    }
}
