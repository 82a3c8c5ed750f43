//! Each need against what may be said, and what is not known.

use sterna_wire::lisp::control::acx::{Hardware, Load, Security};

use super::*;

fn hardware(names: &[&str]) -> Hardware {
    Hardware::from_names(names.iter().copied()).unwrap()
}

#[test]
fn latency_by_class_and_by_promise() {
    let said =
        |class, sla_us| Attributes { latency: Some(Latency { class, sla_us }), ..Attributes::default() };
    let needs = |class, max_us| Need::Latency { class, max_us };
    let (low, medium, high) = (Some(LatencyClass::Low), Some(LatencyClass::Medium), Some(LatencyClass::High));
    for (here, need, met) in [
        (said(low, 0), needs(medium, 0), Met::Yes),
        (said(medium, 0), needs(medium, 0), Met::Yes),
        (said(high, 0), needs(medium, 0), Met::No),
        (said(None, 0), needs(medium, 0), Met::Unknown),
        (said(low, 5000), needs(medium, 5000), Met::Yes),
        (said(low, 5001), needs(medium, 5000), Met::No),
        (said(low, 0), needs(medium, 5000), Met::Unknown),
        (said(None, 5000), needs(None, 5000), Met::Yes),
        (said(high, 0), needs(medium, 5000), Met::No),
        (Attributes::default(), needs(None, 0), Met::Yes),
        (Attributes::default(), needs(None, 1), Met::Unknown),
    ] {
        assert_eq!(meets(&here, &need), met, "{here:?} {need:?}");
    }
}

#[test]
fn the_other_needs() {
    let nothing = Attributes::default();
    let gpu = Attributes { hardware: Some(hardware(&["gpu", "h100"])), ..Attributes::default() };
    let wants = |names: &[&str]| Need::Hardware(hardware(names));
    let secure = |level, flags, domain| Attributes {
        security: Some(Security { level, flags, domain }),
        ..Attributes::default()
    };
    let at_least = Need::Security { level: 2, flags: Security::CRYPTO, domain: 7 };
    let loaded =
        |permille| Attributes { load: Some(Load { permille, queue: None }), ..Attributes::default() };
    let doing = |state| Attributes { state: Some(state), ..Attributes::default() };
    let ready = Need::State(AgentState::Active.bit() | AgentState::Idle.bit());
    let anything = Need::State(AgentState::Unknown.bit());
    for (here, need, met) in [
        (&gpu, wants(&["gpu"]), Met::Yes),
        (&gpu, wants(&["gpu", "h100"]), Met::Yes),
        (&gpu, wants(&["gpu", "tee"]), Met::No),
        (&gpu, wants(&["a100"]), Met::No),
        (&nothing, wants(&["gpu"]), Met::Unknown),
        (&secure(2, 5, 7), at_least.clone(), Met::Yes),
        (&secure(1, 5, 7), at_least.clone(), Met::No),
        (&secure(3, 4, 7), at_least.clone(), Met::No),
        (&secure(3, 1, 8), at_least.clone(), Met::No),
        (&secure(3, 1, 8), Need::Security { level: 0, flags: 0, domain: 0 }, Met::Yes),
        (&nothing, at_least, Met::Unknown),
        (&loaded(Some(700)), Need::Load(700), Met::Yes),
        (&loaded(Some(701)), Need::Load(700), Met::No),
        (&loaded(None), Need::Load(700), Met::Unknown),
        (&doing(AgentState::Idle), ready.clone(), Met::Yes),
        (&doing(AgentState::Busy), ready.clone(), Met::No),
        (&nothing, ready, Met::Unknown),
        (&nothing, anything, Met::Yes),
    ] {
        assert_eq!(meets(here, &need), met, "{here:?} {need:?}");
    }
}

#[test]
fn what_is_not_known_excludes_where_that_would_be_dangerous() {
    let nothing = Attributes::default();
    let security = Need::Security { level: 1, flags: 0, domain: 0 };
    let latency = Need::Latency { class: Some(LatencyClass::Low), max_us: 0 };
    for (need, hard) in [
        (Need::Hardware(hardware(&["gpu"])), false),
        (security, false),
        (latency, true),
        (Need::Load(1), true),
        (Need::State(2), true),
    ] {
        assert_eq!(passes(&nothing, &Constraint::hard(need.clone())), hard, "{need:?}");
        assert!(passes(&nothing, &Constraint::soft(need, 15)));
    }
}
