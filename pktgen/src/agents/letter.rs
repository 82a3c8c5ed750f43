//! What agents tell each other: a number, when it was due, and bytes that are known beforehand.

/// Bytes before the filling.
pub const HEAD: usize = 24;

const MAGIC: [u8; 4] = *b"sagl";

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number, from 0 up.
    pub number: u64,
    /// When it was due to be sent, in nanoseconds of the crowd's clock.
    pub due_ns: u64,
}

impl Letter {
    /// Appends it, so many bytes long; at least [`HEAD`].
    pub fn write(&self, size: usize, into: &mut Vec<u8>) {
        let size = size.max(HEAD);
        into.extend_from_slice(&MAGIC);
        into.extend_from_slice(&(size as u32).to_be_bytes());
        into.extend_from_slice(&self.number.to_be_bytes());
        into.extend_from_slice(&self.due_ns.to_be_bytes());
        into.extend((HEAD..size).map(|at| filling(self.number, at)));
    }

    /// The letter that these bytes are, when they are one from the first to the last.
    pub fn read(bytes: &[u8]) -> Option<Letter> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let word = |at: usize| head.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        let length: [u8; 4] = head.get(4..8)?.try_into().ok()?;
        let letter = Letter { number: word(8)?, due_ns: word(16)? };
        let whole = head.starts_with(&MAGIC) && u32::from_be_bytes(length) as usize == bytes.len();
        let right = (HEAD..).zip(rest).all(|(at, byte)| *byte == filling(letter.number, at));
        (whole && right).then_some(letter)
    }
}

/// The byte of a letter at a place behind its head.
fn filling(number: u64, at: usize) -> u8 {
    (number as u8).wrapping_mul(31).wrapping_add(at as u8)
}

/// Cuts a stream of bytes into letters of one size.
#[derive(Debug)]
pub struct Reader {
    size: usize,
    pending: Vec<u8>,
}

impl Reader {
    /// For letters of so many bytes.
    pub fn new(size: usize) -> Self {
        Self { size: size.max(HEAD), pending: Vec::new() }
    }

    /// Forgets what is not whole yet: the connection is another.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// Takes bytes, and gives what is whole by now to `found`; `None` is something that is no letter.
    pub fn take(&mut self, bytes: &[u8], mut found: impl FnMut(Option<Letter>)) {
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.len() / self.size * self.size;
        self.pending[..whole].chunks_exact(self.size).for_each(|bytes| found(Letter::read(bytes)));
        self.pending.drain(..whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stream_is_cut_where_letters_end(
            numbers in proptest::collection::vec(any::<(u64, u64)>(), 0..20),
            size in HEAD..200,
            cuts in proptest::collection::vec(1_usize..50, 1..100),
        ) {
            let letters: Vec<_> = numbers.iter().map(|&(number, due_ns)| Letter { number, due_ns }).collect();
            let mut stream = Vec::new();
            letters.iter().for_each(|letter| letter.write(size, &mut stream));
            let (mut reader, mut found, mut rest) = (Reader::new(size), Vec::new(), &stream[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.take(now, |letter| found.push(letter));
                rest = later;
            }
            prop_assert_eq!(found, letters.into_iter().map(Some).collect::<Vec<_>>());
        }

        #[test]
        fn one_changed_byte_is_seen(number: u64, due_ns: u64, size in HEAD + 1..200, at: usize, change in 1_u8..) {
            let (letter, mut bytes) = (Letter { number, due_ns }, Vec::new());
            letter.write(size, &mut bytes);
            prop_assert_eq!(Letter::read(&bytes), Some(letter));
            let at = at % size;
            bytes[at] ^= change;
            // A change of the moment alone cannot be known.
            prop_assert!((16..HEAD).contains(&at) || Letter::read(&bytes) != Some(letter));
        }

        #[test]
        fn noise_is_no_letter(noise in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(Letter::read(&noise), None);
        }
    }
}
