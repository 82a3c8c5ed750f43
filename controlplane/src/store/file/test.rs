use super::*;
use crate::context::Question;
use crate::server::{
    Identity, RegisteredLocator, RegistrationKey, SavedContext, SavedRegistration, SavedSaid,
    SavedSubscription, SavedXtr, SubscriptionKey,
};
use sterna_wire::lisp::control::Act;
use sterna_wire::lisp::control::acx::{AgentState, Attributes};
use sterna_wire::{Iid, Prefix};

fn xtr(number: u8) -> SavedXtr {
    SavedXtr {
        site: "site-a".into(),
        identity: Identity::Id([number; 16]),
        site_id: 9,
        source: "192.0.2.1:4342".parse().unwrap(),
        local: Some("192.0.2.10".parse().unwrap()),
        key_id: 1,
        algorithm: 2,
        identified: true,
        marks: vec![(1, 77)],
    }
}

fn registration(number: u32) -> SavedRegistration {
    let eid = std::net::Ipv4Addr::from_bits(0x0a01_0000 + number);
    SavedRegistration {
        key: RegistrationKey {
            iid: Iid::new(100).unwrap(),
            prefix: Prefix::host(eid.into()),
            site: "site-a".into(),
            holder: Identity::Id([1; 16]),
        },
        ttl: 1440,
        act: Act::NoAction,
        version: 3,
        flags: 1,
        locators: [RegisteredLocator::unicast("192.0.2.1".parse().unwrap(), 1, 100)].into(),
    }
}

fn subscription() -> SavedSubscription {
    let key = SubscriptionKey {
        xtr_id: [1; 16],
        iid: Iid::new(100).unwrap(),
        prefix: "10.1.0.7/32".parse().unwrap(),
        hash: Some([7; 8]),
    };
    SavedSubscription {
        key,
        answered: "10.1.0.0/16".parse().unwrap(),
        site: "site-a".into(),
        site_id: 9,
        rlocs: ["192.0.2.1".parse().unwrap()].into(),
        local: None,
        seen: 5,
        reserved: 1029,
        question: Some(Question { limit: Some(3), ..Question::default() }),
    }
}

fn context(number: u32, seq: u32) -> SavedContext {
    let state = Some(AgentState::Failed);
    let whole = SavedSaid { attributes: Attributes { state, ..Attributes::default() }, ttl_s: 90 };
    SavedContext { key: registration(number).key, seq, whole, locators: Vec::new() }
}

fn all(store: &mut FileStore) -> (Saved, Loaded) {
    let mut whole = Saved::default();
    let loaded = store.load(&mut |part| {
        assert!(whole.registrations.is_empty() || part.xtrs.is_empty(), "xTRs come first");
        assert!(whole.contexts.is_empty() || part.registrations.is_empty(), "registrations come first");
        whole.xtrs.extend(part.xtrs);
        whole.registrations.extend(part.registrations);
        whole.contexts.extend(part.contexts);
        whole.subscriptions.extend(part.subscriptions);
        whole.notice_nonces = whole.notice_nonces.max(part.notice_nonces);
    });
    (whole, loaded.unwrap())
}

#[test]
fn what_was_written_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map-server.redb");
    let mut store = FileStore::open(&path).unwrap();
    assert_eq!(all(&mut store), (Saved::default(), Loaded::default()));
    let saves = [
        Save::Xtr(xtr(1)),
        Save::Xtr(xtr(2)),
        Save::Registration(registration(1)),
        Save::Registration(registration(2)),
        Save::Context(context(1, 5)),
        Save::Subscription(subscription()),
        Save::NoticeNonces(65_536),
    ];
    store.write(&saves).unwrap();
    assert!(matches!(FileStore::open(&path), Err(StoreError::Open(_))), "another process has it");
    drop(store);
    let mut store = FileStore::open(&path).unwrap();
    let (saved, loaded) = all(&mut store);
    assert_eq!(loaded, Loaded { values: 6, unreadable: 0 });
    assert_eq!(saved.contexts, [context(1, 5)]);
    assert_eq!(saved.xtrs, [xtr(1), xtr(2)]);
    assert_eq!(saved.registrations, [registration(1), registration(2)]);
    assert_eq!((saved.subscriptions, saved.notice_nonces), (vec![subscription()], 65_536));
}

#[test]
fn later_changes_win_and_what_is_gone_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(&folder.path().join("map-server.redb")).unwrap();
    let later = SavedRegistration { ttl: 5, ..registration(2) };
    store.write(&[Save::Registration(registration(1)), Save::Registration(registration(2))]).unwrap();
    store
        .write(&[
            Save::Xtr(xtr(1)),
            Save::Subscription(subscription()),
            Save::Registration(later.clone()),
            Save::RegistrationGone(registration(1).key),
            Save::Context(context(1, 5)),
            Save::Context(context(2, 6)),
            Save::Context(context(2, 7)),
            Save::ContextGone(registration(1).key),
            Save::XtrGone("site-a".into(), Identity::Id([1; 16])),
            Save::SubscriptionGone(subscription().key),
        ])
        .unwrap();
    let (saved, _) = all(&mut store);
    let contexts = vec![context(2, 7)];
    assert_eq!(saved, Saved { registrations: vec![later], contexts, ..Saved::default() });
}

/// Within one write too: a change that came later stands, wherever its neighbours are.
#[test]
fn of_changes_written_together_the_last_of_each_place_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(&folder.path().join("map-server.redb")).unwrap();
    let with_ttl = |number, ttl| Save::Registration(SavedRegistration { ttl, ..registration(number) });
    let saves = [
        Save::NoticeNonces(2),
        with_ttl(9, 1),
        with_ttl(3, 1),
        Save::RegistrationGone(registration(3).key),
        Save::XtrGone("site-a".into(), Identity::Id([1; 16])),
        with_ttl(5, 1),
        Save::RegistrationGone(registration(9).key),
        with_ttl(9, 2),
        Save::Xtr(xtr(1)),
        with_ttl(5, 2),
        with_ttl(5, 3),
        Save::NoticeNonces(1),
        with_ttl(1, 1),
    ];
    assert_eq!(in_place(&saves).len(), 6, "one change of each place");
    store.write(&saves).unwrap();
    let (saved, _) = all(&mut store);
    let of = |number, ttl| SavedRegistration { ttl, ..registration(number) };
    let registrations = vec![of(1, 1), of(5, 3), of(9, 2)];
    assert_eq!(saved, Saved { xtrs: vec![xtr(1)], registrations, notice_nonces: 1, ..Saved::default() });
}

/// A restart finds what is in the file in its order: changes that are written in that order touch each page once.
#[test]
fn changes_are_written_in_the_order_of_the_file() {
    let spread = |number: u32| Save::Registration(registration(number.wrapping_mul(40_503) % 65_536));
    let saves: Vec<Save> = (0..4096).map(spread).collect();
    let keys = |saves: &[&Save]| -> Vec<Vec<u8>> {
        let key = |save: &&Save| match save {
            Save::Registration(saved) => code::registration_key(&saved.key),
            other => panic!("{other:?}"),
        };
        saves.iter().map(key).collect()
    };
    assert!(keys(&in_place(&saves)).is_sorted());
    assert!(!keys(&saves.iter().collect::<Vec<_>>()).is_sorted(), "or this shows nothing");
}

#[test]
fn many_come_in_parts_and_unreadable_ones_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(&folder.path().join("map-server.redb")).unwrap();
    let saves: Vec<Save> = (0..10_000).map(|number| Save::Registration(registration(number))).collect();
    store.write(&saves).unwrap();
    store
        .change(|transaction| {
            transaction.open_table(REGISTRATIONS)?.insert(b"noise".as_slice(), b"noise".as_slice())?;
            Ok(())
        })
        .unwrap();
    let mut parts = Vec::new();
    let loaded = store.load(&mut |part| parts.push(part.registrations.len())).unwrap();
    assert_eq!(loaded, Loaded { values: 10_000, unreadable: 1 });
    parts.retain(|len| *len > 0);
    assert_eq!(parts, [4096, 4096, 1808]);
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("map-server.redb");
    std::fs::write(&path, b"this is not a store at all, but it is long enough to be read as one").unwrap();
    assert!(matches!(FileStore::open(&path), Err(StoreError::Open(_))));
}
