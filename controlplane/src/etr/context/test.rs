use std::time::Duration;

use sterna_wire::lisp::control::acx::{
    Acx, AgentState, Attributes, Hardware, Load, Scope, Security, Status, StatusCode,
};
use sterna_wire::lisp::control::{EidRecord, MapNotify, MapRegister};

use super::*;
use crate::context::Telling;
use crate::etr::Counter;
use crate::etr::scripted::{IDENTITY, SERVER, Single, eid, iid, ip, key, settings};

const HOME: &str = "198.51.100.1";

fn says(state: AgentState, permille: u16) -> Reported {
    let load = Some(Load { permille: Some(permille), queue: None });
    Reported { own: Attributes { state: Some(state), load, ..Attributes::default() }, ..Reported::default() }
}

fn tell(single: &mut Single, last: u8, reported: Reported) {
    let telling = Telling { iid: iid(), eid: eid(last), reported, ttl: Duration::from_secs(90) };
    single.etr.tell_context(telling, single.now);
    single.etr.send_contexts(single.now, &mut single.out);
}

/// The registers since the last look, with their blocks.
fn registers(single: &mut Single) -> Vec<(MapRegister, Option<Acx>)> {
    let registers = single.registers();
    single.sent();
    let blocks = |register: &MapRegister| Acx::find(&register.tail).unwrap();
    registers.into_iter().map(|register| (register.clone(), blocks(&register))).collect()
}

fn only(single: &mut Single) -> (MapRegister, Acx) {
    let mut registers = registers(single);
    assert_eq!(registers.len(), 1, "{registers:?}");
    let (register, block) = registers.remove(0);
    (register, block.unwrap())
}

/// The Map-Server answers a register, and shows ACX or does not.
fn answer(single: &mut Single, register: &MapRegister, status: Option<(StatusCode, u32)>) {
    let tail = status.map(|(code, seq)| {
        let status = Some(Status { code, offending: 0 });
        Acx { reply: true, aware: true, seq, status, ..Acx::default() }.bytes()
    });
    let notify = MapNotify {
        nonce: register.nonce,
        records: register.records.clone(),
        xtr: Some(IDENTITY),
        tail: tail.unwrap_or_default(),
        ..MapNotify::default()
    };
    assert!(single.notify_bytes(&notify.signed(&key()), SERVER));
}

fn ok(single: &mut Single, register: &MapRegister, block: &Acx) {
    answer(single, register, Some((StatusCode::Ok, block.seq)));
}

/// An agent that is attached, and a Map-Server that has shown ACX and has its first snapshot.
fn known(last: u8) -> Single {
    let mut single = Single::with_agent(last);
    tell(&mut single, last, says(AgentState::Active, 400));
    let (register, block) = only(&mut single);
    ok(&mut single, &register, &block);
    assert!(registers(&mut single).is_empty());
    single
}

#[test]
fn the_first_report_goes_at_once_as_a_snapshot_beside_its_record() {
    let mut single = Single::with_agent(5);
    tell(&mut single, 5, says(AgentState::Active, 400));
    let (register, block) = only(&mut single);
    assert_eq!(
        register.records.iter().map(|record| record.prefix().unwrap().1).collect::<Vec<_>>(),
        [eid(5).into()]
    );
    assert!(register.xtr == Some(IDENTITY) && register.want_notify && block.complete && block.aware);
    assert_eq!((block.echo, block.seq), (Some(IDENTITY), register.nonce as u32));
    let [entry] = block.entries.as_slice() else { panic!("{block:?}") };
    assert_eq!((&entry.scope, &entry.attributes), (&Scope::Record(0), &says(AgentState::Active, 400).own));
    // It must outlast two refreshes.
    assert_eq!(entry.ttl_s, Some(120));
    // The echo is what stands at the very end.
    assert!(register.tail.ends_with(&[7; 16].into_iter().chain(1_u64.to_be_bytes()).collect::<Vec<u8>>()));
}

#[test]
fn a_change_goes_to_a_server_that_shows_acx_as_a_delta_without_records() {
    let mut single = known(5);
    tell(&mut single, 5, says(AgentState::Busy, 400));
    let (register, block) = only(&mut single);
    assert!(register.records.is_empty() && register.xtr == Some(IDENTITY) && register.want_notify);
    assert!(!block.complete && block.aware && block.echo == Some(IDENTITY));
    let [entry] = block.entries.as_slice() else { panic!("{block:?}") };
    assert_eq!(entry.scope, Scope::Eid(iid(), eid(5).into()));
    assert_eq!(entry.attributes, Attributes { state: Some(AgentState::Busy), ..Attributes::default() });
    ok(&mut single, &register, &block);
    single.pass(Duration::from_secs(5));
    assert!(registers(&mut single).is_empty(), "confirmed, so it is not repeated");
}

#[test]
fn a_delta_is_repeated_with_all_that_changed_until_it_is_confirmed() {
    let mut single = known(5);
    tell(&mut single, 5, says(AgentState::Busy, 400));
    let (first, _) = only(&mut single);
    single.pass(Duration::from_millis(50));
    let (second, again) = only(&mut single);
    assert!(second.nonce > first.nonce && again.seq > first.nonce as u32);
    assert_eq!(again.entries[0].attributes.state, Some(AgentState::Busy));
    // It is active again, and the load is another: nobody can know which of the two the server has.
    tell(&mut single, 5, says(AgentState::Active, 700));
    let (third, block) = only(&mut single);
    assert_eq!(block.entries[0].attributes, says(AgentState::Active, 700).own);
    // The answer to an older one confirms nothing of it.
    ok(&mut single, &first, &block);
    single.pass(Duration::from_millis(50));
    let (fourth, block) = only(&mut single);
    assert_eq!(block.entries[0].attributes, says(AgentState::Active, 700).own);
    ok(&mut single, &third, &block);
    single.pass(Duration::from_secs(5));
    assert!(registers(&mut single).is_empty() && fourth.nonce > third.nonce);
}

#[test]
fn what_is_said_no_more_is_told_as_unknown_and_then_forgotten() {
    let mut single = known(5);
    tell(&mut single, 5, Reported::default());
    let (register, block) = only(&mut single);
    let unknown =
        Attributes { state: Some(AgentState::Unknown), load: Some(Load::default()), ..Attributes::default() };
    assert_eq!(block.entries[0].attributes, unknown);
    ok(&mut single, &register, &block);
    single.pass(Duration::from_secs(61));
    let (_, block) = registers(&mut single).remove(0);
    assert_eq!(block, None, "a refresh of it says nothing");
}

#[test]
fn locators_have_their_own_and_refreshes_carry_it() {
    let mut single = known(5);
    let mut said = says(AgentState::Active, 400);
    let tee =
        Attributes { security: Some(Security { level: 2, flags: 4, domain: 0 }), ..Attributes::default() };
    said.locators.insert(ip(HOME), tee.clone());
    said.locators.insert(ip("203.0.113.9"), tee.clone());
    tell(&mut single, 5, said);
    let (register, block) = only(&mut single);
    assert_eq!(block.entries[0].scope, Scope::EidLocator(iid(), eid(5).into(), ip(HOME)));
    assert_eq!(block.entries.len(), 2);
    ok(&mut single, &register, &block);
    single.pass(Duration::from_secs(61));
    let all = registers(&mut single);
    let (register, block) = all.into_iter().find_map(|(register, block)| Some((register, block?))).unwrap();
    let index =
        register.records.iter().position(|record| record.prefix().unwrap().1 == eid(5).into()).unwrap() as u8;
    let scopes: Vec<Scope> = block.entries.iter().map(|entry| entry.scope.clone()).collect();
    // A locator that is not ours has no place in a record.
    assert_eq!(scopes, [Scope::Record(index), Scope::Locator { record: index, locator: 0 }]);
    assert_eq!((&block.entries[1].attributes, block.entries[1].ttl_s), (&tee, None));
}

#[test]
fn a_server_that_shows_no_acx_gets_early_refreshes_and_after_three_answers_none() {
    let mut single = Single::with_agent(5);
    for state in [AgentState::Active, AgentState::Busy, AgentState::Idle] {
        tell(&mut single, 5, says(state, 400));
        let (register, block) = only(&mut single);
        assert!(register.records.len() == 1 && block.complete);
        answer(&mut single, &register, None);
    }
    assert_eq!(single.count(Counter::ContextLegacy), 1);
    tell(&mut single, 5, says(AgentState::Failed, 400));
    assert!(registers(&mut single).is_empty());
    // Harmless, and it may learn.
    single.pass(Duration::from_secs(61));
    let (register, block) = registers(&mut single).into_iter().find(|(_, block)| block.is_some()).unwrap();
    ok(&mut single, &register, &block.unwrap());
    tell(&mut single, 5, says(AgentState::Active, 400));
    assert!(only(&mut single).0.records.is_empty());
}

#[test]
fn when_only_registers_without_context_are_answered_it_is_left_out_for_ten_minutes() {
    let mut single = Single::with_agent(5);
    tell(&mut single, 5, says(AgentState::Active, 400));
    let (mut with, mut plain) = (1, None);
    registers(&mut single);
    for _ in 0..6 {
        let due = single.etr.next_deadline().unwrap();
        single.pass(due - single.now);
        for (register, block) in registers(&mut single) {
            match block {
                Some(_) => with += 1,
                None => plain = Some(register),
            }
        }
        if plain.is_some() {
            break;
        }
    }
    assert_eq!(with, 3, "three tries with context");
    single.confirm(&plain.unwrap());
    assert_eq!(single.count(Counter::ContextDowngraded), 1);
    tell(&mut single, 5, says(AgentState::Failed, 400));
    let early = registers(&mut single);
    assert!(early.iter().all(|(_, block)| block.is_none()));
    let end = single.now + Duration::from_secs(599);
    let mut last = None;
    while single.now < end + Duration::from_secs(70) {
        single.pass(Duration::from_secs(1));
        for (register, block) in registers(&mut single) {
            assert!(block.is_none() || single.now > end, "too soon: {:?}", end - single.now);
            last = block.clone().or(last);
            match block {
                Some(block) => ok(&mut single, &register, &block),
                None => single.confirm(&register),
            }
        }
    }
    assert_eq!(last.unwrap().entries[0].attributes.state, Some(AgentState::Failed));
}

#[test]
fn a_newer_sequence_at_the_server_is_taken_up_and_all_is_told_again() {
    let mut single = Single::with_agent(5);
    tell(&mut single, 5, says(AgentState::Active, 400));
    let (register, _) = only(&mut single);
    answer(&mut single, &register, Some((StatusCode::StaleSequence, 5_000_000)));
    let (register, block) = only(&mut single);
    assert!(block.complete && register.records.len() == 1 && block.seq > 5_000_000, "{block:?}");
    // One that is not newer is a late answer, and changes nothing.
    answer(&mut single, &register, Some((StatusCode::StaleSequence, 77)));
    assert!(registers(&mut single).is_empty() && single.count(Counter::ContextStale) == 2);
    tell(&mut single, 5, says(AgentState::Busy, 400));
    assert!(only(&mut single).1.seq > block.seq);
}

#[test]
fn a_server_that_lost_the_registration_gets_record_and_context_again() {
    let mut single = known(5);
    tell(&mut single, 5, says(AgentState::Busy, 400));
    let (register, block) = only(&mut single);
    answer(&mut single, &register, Some((StatusCode::Denied, block.seq)));
    let (register, block) = only(&mut single);
    assert!(register.records.len() == 1 && block.complete && single.count(Counter::ContextDenied) == 1);
    assert_eq!(block.entries[0].attributes, says(AgentState::Busy, 400).own);
}

#[test]
fn a_tail_that_is_not_authentic_says_nothing() {
    let mut single = Single::with_agent(5);
    tell(&mut single, 5, says(AgentState::Active, 400));
    let (register, block) = only(&mut single);
    let status = Some(Status { code: StatusCode::StaleSequence, offending: 0 });
    let tail = Acx { reply: true, aware: true, seq: 9_000_000, status, ..Acx::default() }.bytes();
    let notify =
        MapNotify { nonce: register.nonce, records: register.records.clone(), ..MapNotify::default() };
    // Signed as the RFC's older readers do, over the records alone; then somebody puts a block behind.
    let mut bytes = notify.signed(&key());
    bytes.extend(tail);
    single.notify_bytes(&bytes, SERVER);
    single.pass(Duration::from_secs(1));
    for (_, block) in registers(&mut single) {
        assert!(block.is_none_or(|later| later.seq < 9_000_000 && later.seq >= block_seq(&register)));
    }
    let _ = block;
}

fn block_seq(register: &MapRegister) -> u32 {
    Acx::find(&register.tail).unwrap().unwrap().seq
}

#[test]
fn many_changes_share_messages_within_their_bounds() {
    let mut single = Single::unstarted(settings(&[HOME, "2001:db8::1"]));
    single.tick();
    single.confirm_all();
    for last in 2..=200 {
        single.etr.attach(iid(), eid(last), single.now, &mut single.out).unwrap();
    }
    single.pass(Duration::from_secs(1));
    single.confirm_all();
    single.sent();
    let said = |state: AgentState, permille: u16| {
        let mut said = says(state, permille);
        said.own.hardware = Hardware::from_names(["gpu", "h100-with-a-long-name-that-takes-room"]).ok();
        said.locators.insert(ip("2001:db8::1"), says(AgentState::Busy, permille).own);
        said
    };
    for (round, state) in [AgentState::Active, AgentState::Busy].into_iter().enumerate() {
        for last in 2..=200 {
            let reported = said(state, 100 * round as u16);
            let telling = Telling { iid: iid(), eid: eid(last), reported, ttl: Duration::from_secs(90) };
            single.etr.tell_context(telling, single.now);
        }
        single.tick();
        single.pass(Duration::from_millis(30));
        let all: Vec<(MapRegister, Acx)> =
            registers(&mut single).into_iter().map(|(register, block)| (register, block.unwrap())).collect();
        let mut told = std::collections::BTreeSet::new();
        for (register, block) in &all {
            assert!(register.signed(&key()).len() <= 1400, "{}", register.signed(&key()).len());
            assert!(block.fits() && block.complete == (round == 0));
            assert_eq!(register.records.is_empty(), round == 1);
            told.extend(register.records.iter().filter_map(EidRecord::prefix));
            told.extend(block.entries.iter().filter_map(|entry| entry.scope.eid()));
        }
        assert_eq!(told.len(), 199);
        assert!(all.len() < 70, "{} messages", all.len());
        for (register, block) in all {
            ok(&mut single, &register, &block);
        }
        single.sent();
    }
}

mod with_our_map_server {
    use std::net::SocketAddr;
    use std::time::Instant;

    use super::*;
    use crate::etr::Etr;
    use crate::etr::scripted::prefix;
    use crate::outbox::{CONTROL_PORT, Outbox};
    use crate::random::Random;
    use crate::server::{Scope, Server, ServerSettings, SiteSettings};

    /// An ETR of ours and a Map-Server of ours, who hear each other at once.
    struct Pair {
        etr: Etr,
        server: Server,
        now: Instant,
    }

    fn server() -> Server {
        let scope = Scope { iid: iid(), prefix: prefix("10.1.0.0/16"), more_specifics: true };
        let site = SiteSettings { keys: vec![key()], scopes: vec![scope], ..SiteSettings::named("site-a") };
        let settings =
            ServerSettings { addresses: vec![SERVER], sites: vec![site], ..ServerSettings::default() };
        let mut server = Server::new(settings.clone(), Random::seeded(3));
        server.configure(settings, Instant::now(), &mut Outbox::default());
        server
    }

    fn etr(first_nonce: u64) -> Etr {
        Etr::new(settings(&[HOME]), IDENTITY, Random::seeded(1), first_nonce)
    }

    impl Pair {
        fn new() -> Self {
            let mut pair = Pair { etr: etr(1000), server: server(), now: Instant::now() };
            pair.pass(0);
            pair.attach();
            pair
        }

        fn attach(&mut self) {
            let mut out = Outbox::default();
            self.etr.attach(iid(), eid(5), self.now, &mut out).unwrap();
            self.carry(out);
        }

        /// Carries what the ETR sends to the server, and its answers back, until nobody says anything.
        fn carry(&mut self, mut out: Outbox) {
            let home = SocketAddr::new(ip(HOME), CONTROL_PORT);
            for _ in 0..20 {
                let mut back = Outbox::default();
                let promises = std::mem::take(&mut out.promises);
                for datagram in std::mem::take(&mut out.datagrams).into_iter().chain(promises) {
                    if let Ok(register) = MapRegister::parse(&datagram.bytes) {
                        self.server.map_register(
                            &register,
                            &datagram.bytes,
                            home,
                            SERVER,
                            self.now,
                            &mut back,
                        );
                    }
                }
                self.server.tick(self.now, &mut back);
                for datagram in back.datagrams {
                    let notify = MapNotify::parse(&datagram.bytes).unwrap();
                    let from = SocketAddr::new(SERVER, CONTROL_PORT);
                    self.etr.map_notify(&notify, &datagram.bytes, from, self.now, &mut out);
                }
                if out.datagrams.is_empty() && out.promises.is_empty() {
                    return;
                }
            }
            panic!("they never come to rest");
        }

        fn pass(&mut self, seconds: u64) {
            let end = self.now + Duration::from_secs(seconds);
            while let Some(due) = self.etr.next_deadline().filter(|due| *due <= end) {
                self.now = self.now.max(due);
                let mut out = Outbox::default();
                self.etr.tick(self.now, &mut out);
                self.carry(out);
            }
            self.now = end;
            let mut out = Outbox::default();
            self.etr.tick(self.now, &mut out);
            self.carry(out);
        }

        fn tell(&mut self, reported: Reported) {
            let telling = Telling { iid: iid(), eid: eid(5), reported, ttl: Duration::from_secs(90) };
            let mut out = Outbox::default();
            self.etr.tell_context(telling, self.now);
            self.etr.send_contexts(self.now, &mut out);
            self.carry(out);
        }

        fn known(&self) -> Option<Attributes> {
            let all = self.server.registrations(self.now);
            let one = all.into_iter().find(|view| view.prefix == eid(5).into());
            let told: Vec<_> = self.server.counters().all().filter(|(_, count)| *count > 0).collect();
            let one = one.unwrap_or_else(|| panic!("{told:?}"));
            one.context.map(|context| context.whole)
        }

        fn count(&self, counter: Counter) -> u64 {
            self.etr.counters().get(counter)
        }
    }

    #[test]
    fn what_is_told_is_what_is_known() {
        let mut pair = Pair::new();
        pair.tell(says(AgentState::Active, 400));
        assert_eq!(pair.known(), Some(says(AgentState::Active, 400).own));
        assert_eq!(pair.count(Counter::ContextDeltasSent), 0);
        pair.tell(says(AgentState::Busy, 400));
        assert_eq!(
            (pair.known(), pair.count(Counter::ContextDeltasSent)),
            (Some(says(AgentState::Busy, 400).own), 1)
        );
        // Refreshes keep it.
        pair.pass(600);
        assert_eq!(pair.known(), Some(says(AgentState::Busy, 400).own));
        pair.tell(Reported::default());
        assert_eq!(pair.known().unwrap_or_default(), Attributes::default());
        assert_eq!((pair.count(Counter::ContextDenied), pair.count(Counter::ContextRefused)), (0, 0));
    }

    #[test]
    fn a_gateway_that_lost_its_sequence_goes_on_above_the_stored_one() {
        let mut pair = Pair::new();
        pair.tell(says(AgentState::Active, 400));
        // Its next life has higher nonces, whose lower halves are lower.
        pair.etr = etr((1 << 40) | 7);
        pair.pass(0);
        pair.attach();
        assert_eq!(
            pair.known(),
            Some(says(AgentState::Active, 400).own),
            "nothing was said of it, so it stays"
        );
        pair.tell(says(AgentState::Failed, 400));
        assert_eq!(
            (pair.known(), pair.count(Counter::ContextStale)),
            (Some(says(AgentState::Failed, 400).own), 1)
        );
        pair.tell(says(AgentState::Idle, 400));
        assert_eq!(
            (pair.known(), pair.count(Counter::ContextStale)),
            (Some(says(AgentState::Idle, 400).own), 1)
        );
    }

    #[test]
    fn a_server_that_lost_everything_is_told_everything() {
        let mut pair = Pair::new();
        pair.tell(says(AgentState::Active, 400));
        pair.server = server();
        pair.tell(says(AgentState::Busy, 400));
        assert_eq!(
            (pair.known(), pair.count(Counter::ContextDenied)),
            (Some(says(AgentState::Busy, 400).own), 1)
        );
    }
}
