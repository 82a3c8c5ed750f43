//! Roles: which sections each one needs, and which stand there for a role that the gateway does not have.

use crate::Role;
use crate::code::Code;
use crate::draft::Draft;
use crate::field::Kind;
use crate::finding::{At, Findings};
use crate::rules::refuse_twins;

/// Each section that is for some roles only.
const SECTIONS: [(&str, &[Role]); 10] = [
    ("dataplane", &[Role::Xtr]),
    ("port", &[Role::Xtr]),
    ("group", &[Role::Xtr]),
    ("mapping", &[Role::Xtr]),
    ("mapping_system", &[Role::Xtr]),
    ("map_server", &[Role::MapServer, Role::MapResolver]),
    ("map_resolver", &[Role::MapResolver]),
    ("site", &[Role::MapServer]),
    ("class", &[Role::Xtr]),
    ("policy", &[Role::Xtr]),
];

pub(super) fn check(draft: &Draft, found: &Findings) {
    let roles = draft.gateway.roles.entries.iter();
    refuse_twins("role", roles, "a gateway has a role or has it not: leave one out", found);
    for (key, roles) in SECTIONS {
        check_use(draft, key, roles, found);
    }
    for (key, role) in [("port", Role::Xtr), ("group", Role::Xtr), ("site", Role::MapServer)] {
        check_need(draft, key, role, found);
    }
    check_resolver(draft, found);
    check_ports_of_locators(draft, found);
}

/// A section of a role that the gateway does not have was meant to do something, so the role was forgotten.
fn check_use(draft: &Draft, key: &str, roles: &[Role], found: &Findings) {
    let Some(at) = draft.given.get(key) else { return };
    if roles.iter().any(|&role| draft.has(role) != Some(false)) {
        return;
    }
    let words: Vec<String> = roles.iter().map(|role| format!("\"{role}\"")).collect();
    let (of, add) = (words.join(" or "), words.first().cloned().unwrap_or_default());
    let text = format!("`{key}` is for the role {of}, which this gateway does not have");
    found.push(Code::NeedsRole, at, text, format!("add {add} to `roles` of [gateway], or take `{key}` out"));
}

fn check_need(draft: &Draft, key: &str, role: Role, found: &Findings) {
    if draft.has(role) != Some(true) || draft.given.contains_key(key) {
        return;
    }
    let at = At { path: key.to_owned(), span: 0..0 };
    let section = crate::draft::SECTION.field(key).and_then(|field| match field.kind {
        Kind::List { of: Kind::Table(section), .. } => Some(*section),
        _ => None,
    });
    let Some(section) = section else { return };
    let other = if draft.gateway.roles.entries.is_empty() {
        "; without `roles` a gateway is an xTR".to_owned()
    } else {
        format!("; or take \"{role}\" out of `roles`")
    };
    let help = format!("add {}: {}{other}", section.name, section.meaning);
    found.push(Code::MissingField, &at, format!("the file lacks `{key}`"), help);
}

/// A map-resolver without a database of its own must know a map-server.
fn check_resolver(draft: &Draft, found: &Findings) {
    let alone = draft.has(Role::MapResolver) == Some(true) && draft.has(Role::MapServer) == Some(false);
    if !alone || draft.given.contains_key("map_resolver") {
        return;
    }
    let at = At { path: "map_resolver".to_owned(), span: 0..0 };
    let help = "add [map_resolver] with `map_servers`: where Map-Requests are forwarded to; \
                or make this box a map-server too";
    found.push(Code::MissingField, &at, "the map-resolver knows no map-server", help);
}

/// A mapping system without ports listens at the address alone.
fn check_ports_of_locators(draft: &Draft, found: &Findings) {
    if draft.has(Role::Xtr) != Some(false) {
        return;
    }
    for port in draft.rlocs.entries.iter().filter_map(|rloc| rloc.value.port.as_ref()) {
        if port.value.is_some() {
            let text = "`port` is for the role \"xtr\", which this gateway does not have";
            let help = "take it out: the address alone says where control messages come in";
            found.push(Code::NeedsRole, &port.at, text, help);
        }
    }
}
