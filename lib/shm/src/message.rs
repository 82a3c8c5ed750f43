//! What the planes say to each other over the socket, little-endian, one message per packet.
//!
//! Only the start of HELLO is fixed for all times, so that any two versions can at least refuse each other politely.

use crate::abi::{ABI_HASH, LAYOUT_VERSION};
use crate::port::{PortDesc, Side};

/// First bytes of every message.
const MAGIC: [u8; 8] = *b"STERNAHS";
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSED: u8 = 3;
const FAREWELL: u8 = 4;

/// Bytes a message may have.
pub(crate) const MAX_MESSAGE: usize = 32 << 10;
/// Ports a welcome may name.
pub(crate) const MAX_PORTS: usize = 256;
/// Bytes of a port's name.
const MAX_NAME: usize = 64;
/// Bytes of a refusal's sentence.
const MAX_SENTENCE: usize = 1024;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    Hello(Hello),
    Welcome { incarnation: u64, ports: Vec<PortDesc> },
    Refused { sentence: String },
    Farewell(Farewell),
}

/// Control plane to dataplane, the first word of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hello {
    pub(crate) oldest: u32,
    pub(crate) newest: u32,
    pub(crate) abi: u64,
    pub(crate) pid: u32,
}

impl Hello {
    pub(crate) fn ours() -> Hello {
        Hello { oldest: LAYOUT_VERSION, newest: LAYOUT_VERSION, abi: ABI_HASH, pid: std::process::id() }
    }
}

/// Why one side ends a session that works.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u8)]
pub enum Farewell {
    /// A newer control plane has connected.
    #[error("a newer control plane took over")]
    Replaced = 1,
    /// The peer broke the channel's rules: connect again and sync.
    #[error("the other plane found a fault in the channel")]
    ChannelFault = 2,
    /// The process stops.
    #[error("the other plane is stopping")]
    Stopping = 3,
}

/// Bytes that are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MessageFault {
    /// Not ours at all.
    #[error("the peer does not speak Sterna's handshake")]
    Magic,
    /// A kind that is unknown, or not due now.
    #[error("an unexpected message")]
    Kind,
    /// Too short, too long, or values out of range.
    #[error("a malformed message")]
    Malformed,
}

impl Message {
    /// The message as bytes; what is too long is cut.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        match self {
            Message::Hello(hello) => {
                out.push(HELLO);
                out.extend(hello.oldest.to_le_bytes());
                out.extend(hello.newest.to_le_bytes());
                out.extend(hello.abi.to_le_bytes());
                out.extend(hello.pid.to_le_bytes());
            }
            Message::Welcome { incarnation, ports } => {
                out.push(WELCOME);
                out.extend(incarnation.to_le_bytes());
                let ports = &ports[..ports.len().min(MAX_PORTS)];
                out.extend((ports.len() as u16).to_le_bytes());
                for port in ports {
                    let name = cut(&port.name, MAX_NAME);
                    out.extend([port.side as u8, name.len() as u8]);
                    out.extend(name.as_bytes());
                }
            }
            Message::Refused { sentence } => {
                out.push(REFUSED);
                out.extend(cut(sentence, MAX_SENTENCE).as_bytes());
            }
            Message::Farewell(farewell) => out.extend([FAREWELL, *farewell as u8]),
        }
        out
    }

    /// The message that these bytes are.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Message, MessageFault> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(MessageFault::Magic)?;
        let (&kind, rest) = rest.split_first().ok_or(MessageFault::Malformed)?;
        let mut input = Input(rest);
        let message = match kind {
            HELLO => hello(&mut input),
            WELCOME => welcome(&mut input),
            REFUSED => refused(&mut input),
            FAREWELL => farewell(&mut input),
            _ => return Err(MessageFault::Kind),
        };
        // A later version's HELLO may say more.
        let message = message.filter(|_| kind == HELLO || input.0.is_empty());
        message.ok_or(MessageFault::Malformed)
    }
}

/// The longest start of a text that has at most so many bytes and ends between characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

fn hello(input: &mut Input<'_>) -> Option<Message> {
    Some(Message::Hello(Hello {
        oldest: u32::from_le_bytes(input.array()?),
        newest: u32::from_le_bytes(input.array()?),
        abi: u64::from_le_bytes(input.array()?),
        pid: u32::from_le_bytes(input.array()?),
    }))
}

fn welcome(input: &mut Input<'_>) -> Option<Message> {
    let incarnation = u64::from_le_bytes(input.array()?);
    let count = usize::from(u16::from_le_bytes(input.array()?));
    if count > MAX_PORTS {
        return None;
    }
    let ports: Option<Vec<PortDesc>> = (0..count).map(|_| port(input)).collect();
    Some(Message::Welcome { incarnation, ports: ports? })
}

fn port(input: &mut Input<'_>) -> Option<PortDesc> {
    let [side, len] = input.array()?;
    let name = input.take(usize::from(len).min(MAX_NAME + 1))?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_NAME)?;
    Some(PortDesc { name: name.to_owned(), side: Side::from_number(side)? })
}

fn refused(input: &mut Input<'_>) -> Option<Message> {
    let sentence = input.take(input.0.len())?;
    let sentence = std::str::from_utf8(sentence).ok().filter(|text| text.len() <= MAX_SENTENCE)?;
    Some(Message::Refused { sentence: sentence.to_owned() })
}

fn farewell(input: &mut Input<'_>) -> Option<Message> {
    let [number] = input.array()?;
    let all = [Farewell::Replaced, Farewell::ChannelFault, Farewell::Stopping];
    all.into_iter().find(|farewell| *farewell as u8 == number).map(Message::Farewell)
}

#[cfg(test)]
mod test {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let side = proptest::sample::select(vec![Side::Eid, Side::Rloc, Side::Both]);
        let port = ("[a-zä.0-9]{0,16}", side).prop_map(|(name, side)| PortDesc { name, side });
        let farewells = vec![Farewell::Replaced, Farewell::ChannelFault, Farewell::Stopping];
        prop_oneof![
            any::<(u32, u32, u64, u32)>().prop_map(|(oldest, newest, abi, pid)| Message::Hello(Hello {
                oldest,
                newest,
                abi,
                pid
            })),
            (any::<u64>(), proptest::collection::vec(port, 0..20))
                .prop_map(|(incarnation, ports)| Message::Welcome { incarnation, ports }),
            "[a-zä ]{0,80}".prop_map(|sentence| Message::Refused { sentence }),
            proptest::sample::select(farewells).prop_map(Message::Farewell),
        ]
    }

    proptest! {
        #[test]
        fn round_trip(message in message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn noise_behind_the_magic_is_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&MAGIC[..], &noise].concat();
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert!(bytes.starts_with(&message.encode()));
            }
        }

        #[test]
        fn a_cut_message_is_refused(message in message(), cut in any::<prop::sample::Index>()) {
            let bytes = message.encode();
            let end = cut.index(bytes.len());
            // A refusal's sentence has no end of its own.
            if !matches!(message, Message::Refused { .. }) {
                prop_assert!(Message::decode(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_longer_hello_of_a_later_version_is_heard() {
        let mut bytes = Message::Hello(Hello::ours()).encode();
        bytes.extend([1, 2, 3]);
        assert_eq!(Message::decode(&bytes), Ok(Message::Hello(Hello::ours())));
        let mut bytes = Message::Farewell(Farewell::Stopping).encode();
        bytes.push(0);
        assert_eq!(Message::decode(&bytes), Err(MessageFault::Malformed));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äää", 3), "ä");
        assert_eq!(cut("abc", 9), "abc");
        let sentence = "ä".repeat(2000);
        let bytes = Message::Refused { sentence }.encode();
        assert!(
            matches!(Message::decode(&bytes), Ok(Message::Refused { sentence }) if sentence.len() == 1024)
        );
    }

    #[test]
    fn the_longest_welcome_fits() {
        let port = PortDesc { name: "x".repeat(100), side: Side::Both };
        let message = Message::Welcome { incarnation: 1, ports: vec![port; MAX_PORTS + 1] };
        let bytes = message.encode();
        assert!(bytes.len() <= MAX_MESSAGE);
        assert!(
            matches!(Message::decode(&bytes), Ok(Message::Welcome { ports, .. }) if ports.len() == MAX_PORTS)
        );
    }
}
