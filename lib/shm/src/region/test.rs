use rustix::fs::{ftruncate, memfd_create};

use super::*;

const BODY_BYTES: usize = 1000;

fn region(purpose: Purpose) -> Region {
    Region::create(purpose, BODY_BYTES, 7).unwrap()
}

fn copy(fd: BorrowedFd<'_>) -> OwnedFd {
    fd.try_clone_to_owned().unwrap()
}

/// A memfd with this header, sealed or not.
fn forged(bytes: u64, seals: SealFlags, words: &[(usize, u64)]) -> OwnedFd {
    let fd = memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, bytes).unwrap();
    for (word, value) in words {
        rustix::io::pwrite(&fd, &value.to_ne_bytes(), *word as u64 * 8).unwrap();
    }
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

#[test]
fn both_sides_see_the_same_words() {
    let ours = region(Purpose::Updates);
    let theirs = Region::open(copy(ours.fd()), Purpose::Updates, 7).unwrap();
    ours.part(HEADER_WORDS, 2).unwrap().words()[1].store(42, Ordering::Relaxed);
    assert_eq!(theirs.part(HEADER_WORDS + 1, 1).unwrap().words()[0].load(Ordering::Relaxed), 42);
}

#[test]
fn parts_stay_inside() {
    let region = region(Purpose::Updates);
    let all = 2 * HEADER_WORDS;
    assert_eq!(region.part(0, all).map(|part| part.words().len()), Some(all));
    for (start, count) in [(0, all + 1), (all, 1), (1, usize::MAX), (usize::MAX, 1)] {
        assert!(region.part(start, count).is_none(), "{start}, {count}");
    }
}

#[test]
fn a_part_outlives_its_region() {
    let region = region(Purpose::Updates);
    let part = region.part(HEADER_WORDS, 1).unwrap();
    drop(region);
    part.words()[0].store(3, Ordering::Relaxed);
    assert_eq!(part.words()[0].load(Ordering::Relaxed), 3);
}

#[test]
fn nobody_can_change_the_size() {
    for purpose in [Purpose::Updates, Purpose::Counters] {
        let region = region(purpose);
        for size in [0, 4096, 1 << 20] {
            assert_eq!(ftruncate(copy(region.fd()), size), Err(Errno::PERM), "{purpose:?} to {size}");
        }
        let seals = SealFlags::WRITE;
        assert_eq!(rustix::fs::fcntl_add_seals(copy(region.fd()), seals), Err(Errno::PERM));
    }
}

#[test]
fn only_the_creator_writes_counters() {
    let region = region(Purpose::Counters);
    let read_only = region.reopen_read_only().unwrap();
    let writable = ProtFlags::READ | ProtFlags::WRITE;
    assert!(Mapping::new(read_only.as_fd(), HEADER, writable).is_err(), "through the descriptor handed out");
    let again = reopen(read_only.as_fd(), OFlags::RDWR).unwrap();
    assert!(Mapping::new(again.as_fd(), HEADER, writable).is_err(), "through a descriptor opened once more");
    assert_eq!(rustix::io::pwrite(&again, &[1], 0), Err(Errno::PERM), "by write(2)");
    assert!(Mapping::new(again.as_fd(), HEADER, ProtFlags::READ).is_ok());
    region.word(WORD_OWN).store(5, Ordering::Relaxed);
    let view = open_read_only(read_only.as_fd(), Purpose::Counters).unwrap();
    assert_eq!(view.load(WORD_OWN), Some(5), "the creator still can");
    assert_eq!(view.load(view.bytes() / 8), None);
}

#[test]
fn unsealed_memory_is_not_mapped() {
    let honest = header(Purpose::Updates, 8192, 7);
    let size = SealFlags::SHRINK | SealFlags::GROW;
    for seals in [SealFlags::empty(), size, SealFlags::SEAL] {
        let fd = forged(8192, seals, &honest);
        assert!(matches!(Region::open(fd, Purpose::Updates, 7), Err(RegionError::Unsealed)), "{seals:?}");
    }
    let fd = forged(8192, size | SealFlags::SEAL, &honest);
    assert!(Region::open(fd, Purpose::Updates, 7).is_ok());
    let counters = forged(8192, size | SealFlags::SEAL, &header(Purpose::Counters, 8192, 7));
    let found = open_read_only(counters.as_fd(), Purpose::Counters);
    assert!(matches!(found, Err(RegionError::Unsealed)), "counters that others may write");
}

#[test]
fn what_is_no_memfd_is_not_mapped() {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    assert!(matches!(Region::open(null, Purpose::Updates, 7), Err(RegionError::System { .. })));
}

#[test]
fn foreign_headers_and_sizes_are_refused() {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    for size in [0, 100, 4096, 8193, (64 << 20) + 4096] {
        let fd = forged(size, seals, &[]);
        let found = Region::open(fd, Purpose::Updates, 7);
        assert!(matches!(found, Err(RegionError::Size(found)) if found == size), "{size}");
    }
    for word in [WORD_MAGIC, WORD_VERSION, WORD_ABI, WORD_SIZE, WORD_INCARNATION] {
        let mut words = header(Purpose::Updates, 8192, 7);
        words[word].1 ^= 1;
        let found = Region::open(forged(8192, seals, &words), Purpose::Updates, 7);
        assert!(matches!(found, Err(RegionError::Header(_))), "word {word}");
    }
    let events = forged(8192, seals, &header(Purpose::Events, 8192, 7));
    assert!(matches!(Region::open(events, Purpose::Updates, 7), Err(RegionError::Header(_))));
}

#[test]
fn a_ring_beyond_its_region_is_refused() {
    let region = region(Purpose::Updates);
    for words in [u64::MAX, 1 << 40, HEADER_WORDS as u64 + 1] {
        region.word(WORD_OWN).store(words, Ordering::Relaxed);
        assert!(matches!(region.ring(), Err(RegionError::Header(_))), "{words}");
    }
    region.word(WORD_OWN).store(HEADER_WORDS as u64, Ordering::Relaxed);
    assert_eq!(region.ring().unwrap().words().len(), HEADER_WORDS);
}

#[test]
fn a_region_that_is_too_large_is_not_made() {
    assert!(matches!(Region::create(Purpose::Updates, 64 << 20, 7), Err(RegionError::Size(_))));
}
