//! The fingerprint of a layout: folded at compile time from the very declarations that encode and decode.

/// Where every fingerprint starts (FNV-1a, 64 bit).
pub const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Folds bytes into a fingerprint.
pub const fn bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

/// Folds a name, with an end mark, so that "ab","c" and "a","bc" differ.
pub const fn text(hash: u64, name: &str) -> u64 {
    bytes(bytes(hash, name.as_bytes()), &[0])
}

/// Folds a number.
pub const fn number(hash: u64, value: u64) -> u64 {
    bytes(hash, &value.to_le_bytes())
}

/// Folds a field: what it is called and what it is made of.
pub const fn field(hash: u64, name: &str, shape: u64) -> u64 {
    number(text(hash, name), shape)
}

#[cfg(all(test, not(loom)))]
mod test {
    use super::*;

    #[test]
    fn any_change_of_a_field_changes_the_fingerprint() {
        let u16_shape = text(START, "u16");
        let u32_shape = text(START, "u32");
        let start = text(START, "Thing");
        let before = field(field(start, "port", u16_shape), "id", u32_shape);
        let renamed = field(field(start, "gate", u16_shape), "id", u32_shape);
        let retyped = field(field(start, "port", u32_shape), "id", u32_shape);
        let swapped = field(field(start, "id", u32_shape), "port", u16_shape);
        let longer = field(before, "more", u16_shape);
        for other in [renamed, retyped, swapped, longer, start] {
            assert_ne!(before, other);
        }
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        assert_ne!(text(text(START, "ab"), "c"), text(text(START, "a"), "bc"));
    }

    #[test]
    fn known_answer() {
        // FNV-1a of "a", from the published test vectors.
        assert_eq!(bytes(START, b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
