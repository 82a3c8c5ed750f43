//! What a comparison came to.

use std::fmt;

use serde::Serialize;

use super::Rules;

/// One packet that is not in both captures as it is in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Difference {
    /// In the first capture only.
    Missing {
        /// Its number in the first capture, from 1.
        a: usize,
        /// Bytes without padding.
        length: usize,
    },
    /// In the second capture only.
    Extra {
        /// Its number in the second capture, from 1.
        b: usize,
        /// Bytes without padding.
        length: usize,
    },
    /// In both, and not the same.
    Different {
        /// Its number in the first capture, from 1.
        a: usize,
        /// Its number in the second one.
        b: usize,
        /// The first byte that differs, from the frame's begin.
        offset: usize,
        /// That byte in the first capture; none behind its end.
        byte_a: Option<u8>,
        /// And in the second one.
        byte_b: Option<u8>,
    },
}

impl Difference {
    /// Where it stands in the capture that has it.
    fn place(&self) -> usize {
        match *self {
            Self::Missing { a, .. } | Self::Different { a, .. } => a,
            Self::Extra { b, .. } => b,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let byte = |byte: Option<u8>| byte.map_or("the end".to_owned(), |byte| format!("{byte:02x}"));
        match *self {
            Self::Missing { a, length } => write!(f, "packet {a} of the first ({length} bytes) is missing"),
            Self::Extra { b, length } => write!(f, "packet {b} of the second ({length} bytes) is more"),
            Self::Different { a, b, offset, byte_a, byte_b } => write!(
                f,
                "packet {a} of the first and {b} of the second differ from offset {offset} on: {} and {}",
                byte(byte_a),
                byte(byte_b)
            ),
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Nothing is different.
    pub same: bool,
    /// Packets of the first capture that were compared.
    pub a: u64,
    /// Packets of the second one.
    pub b: u64,
    /// Packets that both have, the same in every byte that counts.
    pub equal: u64,
    /// Packets that differ.
    pub different: u64,
    /// Packets of the first that the second does not have.
    pub missing: u64,
    /// Packets of the second that the first does not have.
    pub extra: u64,
    /// Equal packets that come after a later one.
    pub reordered: u64,
    /// The first of the differences, by their place in the first capture.
    pub differences: Vec<Difference>,
}

impl Verdict {
    pub(super) fn missing(&mut self, a: usize, bytes: &[u8]) {
        self.missing += 1;
        self.differences.push(Difference::Missing { a, length: bytes.len() });
    }

    pub(super) fn extra(&mut self, b: usize, bytes: &[u8]) {
        self.extra += 1;
        self.differences.push(Difference::Extra { b, length: bytes.len() });
    }

    pub(super) fn different(&mut self, (a, left): (usize, &[u8]), (b, right): (usize, &[u8])) {
        self.different += 1;
        let same = left.iter().zip(right).take_while(|(left, right)| left == right).count();
        let (byte_a, byte_b) = (left.get(same).copied(), right.get(same).copied());
        self.differences.push(Difference::Different { a, b, offset: same, byte_a, byte_b });
    }

    pub(super) fn finish(mut self, rules: &Rules) -> Self {
        self.differences.sort_by_key(Difference::place);
        self.differences.truncate(rules.most);
        self.same = self.different + self.missing + self.extra == 0 && !(rules.order && self.reordered > 0);
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { a, b, equal, different, missing, extra, reordered, .. } = self;
        writeln!(f, "{}", if self.same { "the same" } else { "DIFFERENT" })?;
        writeln!(
            f,
            "{a} and {b} packets: {equal} equal, {different} different, {missing} missing, {extra} more, {reordered} in \
             another order"
        )?;
        self.differences.iter().try_for_each(|difference| writeln!(f, "  {difference}"))
    }
}
