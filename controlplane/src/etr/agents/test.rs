use std::time::Duration;

use sterna_wire::lisp::control::EidRecord;

use super::super::scripted::{Single, eid, iid, record};
use super::*;
use crate::outbox::AgentState;

const OTHER: &str = "198.51.100.2";
const UNASKED: u64 = 1 << 50;

/// What can happen to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stimulus {
    Seen,
    Attach,
    Detach,
    /// The dataplane was told to ask, and the host is not there.
    Gone,
    Confirmed,
    /// The Map-Server says that another site has it.
    Taken,
    /// The mapping system, or the other gateway, says that nobody has it.
    Free,
    /// The mapping system, or the other gateway, says that it is elsewhere.
    Elsewhere,
    /// The Map-Server confirms the register.
    Registered,
    /// Nothing, for five minutes; the host answers when our dataplane is told to ask.
    Quiet,
}

use Stimulus::*;

const ALL: [Stimulus; 10] =
    [Seen, Attach, Detach, Gone, Confirmed, Taken, Free, Elsewhere, Registered, Quiet];

/// An agent in this phase, after everything that led there was confirmed.
fn in_phase(phase: Option<Phase>) -> Single {
    let mut single = match phase {
        None => Single::new(),
        Some(Phase::Expected) => {
            let mut single = Single::new();
            single.etr.attach(iid(), eid(5), single.now, &mut single.out).unwrap();
            single.confirm_all();
            single
        }
        Some(Phase::Attached | Phase::Held | Phase::Away) => Single::with_agent(5),
        Some(Phase::Asking | Phase::Probing | Phase::Greeting | Phase::Registering) => {
            let mut single = Single::new();
            single.see(5);
            single
        }
    };
    match phase {
        Some(Phase::Held) => single.etr.detach(iid(), eid(5), single.now, &mut single.out).unwrap(),
        Some(Phase::Away) => assert!(single.notify(UNASKED, vec![record(eid(5), &[OTHER])])),
        Some(Phase::Probing) => single.say(&single.question(), eid(5), &[OTHER]),
        Some(Phase::Greeting) => {
            single.say(&single.question(), eid(5), &[OTHER]);
            assert!(happen(&mut single, Free));
        }
        Some(Phase::Registering) => {
            single.say(&single.question(), eid(5), &[OTHER]);
            single.sent();
            single.pass(Duration::from_millis(1001));
            single.answer(5);
        }
        _ => {}
    }
    assert_eq!(single.phase(5), phase);
    single.changes();
    single
}

/// Lets it happen. False when there is nothing that it could be the answer to.
fn happen(single: &mut Single, stimulus: Stimulus) -> bool {
    let answer = |single: &mut Single, record: EidRecord| {
        let probe = single.requests().into_iter().find(|(_, request)| request.probe);
        let asked = match single.phase(5) {
            Some(Phase::Asking) => single.question().nonce,
            Some(Phase::Probing) => probe.unwrap().1.nonce,
            _ => return false,
        };
        single.reply(asked, true, record);
        true
    };
    let (now, out) = (single.now, &mut single.out);
    match stimulus {
        Seen => single.see(5),
        Attach => single.etr.attach(iid(), eid(5), now, out).unwrap(),
        Detach => return single.etr.detach(iid(), eid(5), now, out).is_ok(),
        Gone => {
            if let Some(agent) = single.etr.agents.take(&(iid(), eid(5))) {
                match agent.state {
                    State::Expected | State::Attached => {
                        single.etr.start_check((iid(), eid(5)), agent, None, now, out);
                    }
                    _ => single.etr.put((iid(), eid(5)), agent),
                }
            }
            single.etr.agent_gone(iid(), eid(5), now, &mut single.out);
        }
        Confirmed => single.answer(5),
        Taken => assert!(single.notify(UNASKED + 1, vec![record(eid(5), &[OTHER])])),
        Free => return answer(single, record(eid(5), &[])),
        Elsewhere => return answer(single, record(eid(5), &[OTHER])),
        Registered => {
            if single.registers().is_empty() {
                return false;
            }
            single.confirm_all();
        }
        Quiet => {
            for _ in 0..3000 {
                single.pass(Duration::from_millis(100));
                if single.out.agents.iter().any(|change| change.state == AgentState::Check) {
                    single.out.agents.retain(|change| change.state != AgentState::Check);
                    single.answer(5);
                }
            }
        }
    }
    true
}

/// The phase that follows; none for "as before".
fn follows(phase: Option<Phase>, stimulus: Stimulus) -> Option<Option<Phase>> {
    let next = match (phase, stimulus) {
        (None, Seen) => Some(Phase::Asking),
        (None, Taken) => Some(Phase::Away),
        (Some(Phase::Asking), Free) => Some(Phase::Attached),
        (Some(Phase::Asking), Elsewhere) => Some(Phase::Probing),
        (Some(Phase::Probing), Free) => Some(Phase::Greeting),
        (Some(Phase::Greeting), Confirmed | Quiet) => Some(Phase::Attached),
        (Some(Phase::Probing), Elsewhere) => None,
        (Some(Phase::Registering), Registered) => Some(Phase::Attached),
        (Some(Phase::Expected), Confirmed | Quiet) => Some(Phase::Attached),
        (Some(Phase::Expected | Phase::Attached), Detach) => Some(Phase::Held),
        (Some(Phase::Expected | Phase::Attached), Gone) => None,
        (Some(Phase::Expected | Phase::Attached | Phase::Held), Taken) => Some(Phase::Away),
        (Some(Phase::Held), Attach) => Some(Phase::Attached),
        (Some(Phase::Away), Seen) => Some(Phase::Asking),
        (Some(Phase::Attached), Attach) => Some(Phase::Attached),
        (_, Attach) => Some(Phase::Expected),
        // Nobody answered, nobody took it, nobody speaks any more.
        (Some(Phase::Asking | Phase::Probing | Phase::Registering | Phase::Held | Phase::Away), Quiet) => {
            None
        }
        _ => return None,
    };
    Some(next)
}

#[test]
fn the_transition_table() {
    let phases = [
        None,
        Some(Phase::Asking),
        Some(Phase::Probing),
        Some(Phase::Greeting),
        Some(Phase::Registering),
        Some(Phase::Expected),
        Some(Phase::Attached),
        Some(Phase::Held),
        Some(Phase::Away),
    ];
    for phase in phases {
        for stimulus in ALL {
            let mut single = in_phase(phase);
            let happened = happen(&mut single, stimulus);
            let expected = follows(phase, stimulus).filter(|_| happened).unwrap_or(phase);
            // A register that is newer than a move is repeated; the claim goes on.
            let expected = match (phase, stimulus) {
                (Some(Phase::Registering), Taken) => phase,
                _ => expected,
            };
            assert_eq!(single.phase(5), expected, "{phase:?} {stimulus:?}");
            invariants(&mut single, phase, expected);
        }
    }
}

fn is_claim(phase: Phase) -> bool {
    matches!(phase, Phase::Asking | Phase::Probing | Phase::Greeting | Phase::Registering)
}

/// What holds of every transition: the dataplane, the registration and the answers agree with the phase.
fn invariants(single: &mut Single, before: Option<Phase>, after: Option<Phase>) {
    let what = format!("{before:?} -> {after:?}");
    let installed = single.changes().into_iter().rfind(|change| *change != AgentState::Check);
    let expected = match after {
        None => matches!(installed, None | Some(AgentState::Release)),
        Some(Phase::Attached) => matches!(installed, None | Some(AgentState::Admit { .. })),
        Some(Phase::Expected) => matches!(installed, None | Some(AgentState::Expect { .. })),
        Some(Phase::Held) => matches!(installed, None | Some(AgentState::Hold)),
        Some(Phase::Away) => matches!(installed, None | Some(AgentState::Relay { .. })),
        Some(phase) if is_claim(phase) => installed.is_none(),
        Some(_) => false,
    };
    assert!(expected, "{what}: {installed:?}");
    let was_claim = before.is_none_or(is_claim);
    if before != after && !was_claim {
        let claims_back = (before, after) == (Some(Phase::Away), Some(Phase::Asking));
        assert!(installed.is_some() || claims_back, "{what}: the dataplane was told nothing");
    }
    let entry = (iid(), sterna_wire::Prefix::host(eid(5)));
    let registered = single.etr.registrar.track(&entry).is_some_and(|track| !track.withdrawn);
    let should = matches!(after, Some(Phase::Registering | Phase::Expected | Phase::Attached | Phase::Held));
    assert_eq!(registered, should, "{what}");
    let serves = matches!(after, Some(Phase::Expected | Phase::Attached | Phase::Held));
    assert_eq!(single.etr.serves(iid(), eid(5)), serves, "{what}");
    assert!(single.etr.agents.next_deadline().is_some() == after.is_some(), "{what}");
    let claiming = after.is_some_and(is_claim);
    assert_eq!(single.etr.agents.claims(), usize::from(claiming), "{what}");
    let asking = matches!(after, Some(Phase::Asking | Phase::Probing));
    assert!(!asking || !single.etr.questions.is_empty(), "{what}");
    assert!(asking || single.etr.questions.is_empty(), "{what}: questions left behind");
}
