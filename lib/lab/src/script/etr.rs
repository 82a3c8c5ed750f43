//! A scripted ETR: registers many EIDs and sees that each is acknowledged.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sterna_wire::lisp::control::acx::Acx;
use sterna_wire::lisp::control::auth::{Algorithm, Coverage, Key, verify};
use sterna_wire::lisp::control::{EidRecord, LocatorRecord, MapNotify, MapRegister, XtrId};
use sterna_wire::{Iid, Prefix};

use crate::error::{LabError, Result};
use crate::gateway::plan::KeyFile;
use crate::interrupt;
use crate::namespace::Namespace;

/// The port of all control messages.
pub const CONTROL: u16 = 4342;
/// Messages that wait for their answer at most.
const WINDOW: usize = 256;
/// How long an answer may take before the message is signed and sent again.
const AGAIN: Duration = Duration::from_millis(500);
/// How often that is tried.
const TRIES: u32 = 20;
/// Records of one message: it stays below 1200 bytes with one IPv4 locator each.
const RECORDS: usize = 26;
const TICK: Duration = Duration::from_millis(5);

/// The key of a file, as the wire crate takes it.
pub fn key(file: &KeyFile) -> Key {
    Key::new(1, Algorithm::HmacSha256_128, file.secret.as_bytes())
}

/// What an EID is registered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Instance-ID.
    pub iid: Iid,
    /// The prefix.
    pub prefix: Prefix,
    /// Its locators, all of priority 1 and weight 100.
    pub locators: Vec<IpAddr>,
}

impl Entry {
    fn record(&self) -> EidRecord {
        let locators = self.locators.iter().map(|address| LocatorRecord::unicast(*address, 1, 100));
        EidRecord { locators: locators.collect(), ..EidRecord::of(self.iid, self.prefix) }
    }
}

/// How a registration went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Registered {
    /// Records that a signed Map-Notify confirmed.
    pub confirmed: u64,
    /// Messages sent, repeated ones too.
    pub messages: u64,
    /// From the first message to the last confirmation.
    pub took: Duration,
}

/// One scripted ETR.
#[derive(Debug)]
pub struct ScriptedEtr {
    socket: UdpSocket,
    server: SocketAddr,
    key: Key,
    xtr: XtrId,
    nonce: u64,
    /// May the Map-Server answer in its name?
    pub proxy_reply: bool,
}

impl ScriptedEtr {
    /// Opens its socket; `number` tells scripted ETRs at one address apart.
    ///
    /// # Errors
    /// When the address is not there.
    pub fn open(
        namespace: &Namespace,
        address: IpAddr,
        server: IpAddr,
        key: Key,
        number: u8,
    ) -> Result<Self> {
        let what = || LabError::io(format!("opening a scripted ETR at {address}"));
        let socket = namespace.run(|| UdpSocket::bind(SocketAddr::new(address, 0)))?.map_err(what())?;
        socket.set_read_timeout(Some(TICK)).map_err(what())?;
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 16 << 20)
            .map_err(|errno| what()(errno.into()))?;
        // Above anything that an earlier life of this script may have used.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            socket,
            server: SocketAddr::new(server, CONTROL),
            key,
            xtr: XtrId { xtr_id: [number; 16], site_id: number.into() },
            nonce: u64::try_from(since.as_nanos()).unwrap_or(0),
            proxy_reply: true,
        })
    }

    /// A signed Map-Register for these entries, with the next nonce.
    pub fn register_message(&mut self, entries: &[Entry]) -> Vec<u8> {
        self.nonce += 1;
        MapRegister {
            proxy_reply: self.proxy_reply,
            want_notify: true,
            nonce: self.nonce,
            records: entries.iter().map(Entry::record).collect(),
            xtr: Some(self.xtr),
            ..MapRegister::default()
        }
        .signed(&self.key)
    }

    /// Registers records with what is said of them, and gives the confirmation and what it says of the context.
    ///
    /// # Errors
    /// [`LabError::Late`] when it is never confirmed.
    pub fn register_with(
        &mut self,
        records: &[EidRecord],
        context: Option<&Acx>,
    ) -> Result<(MapNotify, Option<Acx>)> {
        for _ in 0..TRIES {
            self.nonce += 1;
            let echo = Some(self.xtr);
            let register = MapRegister {
                proxy_reply: self.proxy_reply,
                want_notify: true,
                nonce: self.nonce,
                records: records.to_vec(),
                xtr: Some(self.xtr),
                tail: context.map(|context| Acx { echo, ..context.clone() }.bytes()).unwrap_or_default(),
                ..MapRegister::default()
            };
            self.send(&register.signed(&self.key))?;
            let (sent, mut buffer) = (Instant::now(), [0; 4096]);
            while sent.elapsed() < AGAIN {
                interrupt::check()?;
                let Ok((length, _)) = self.socket.recv_from(&mut buffer) else { continue };
                if self.confirmed(&buffer[..length]) == Some(self.nonce)
                    && let Ok(notify) = MapNotify::parse(&buffer[..length])
                {
                    // A block that cannot be read is as none, and whoever wanted one finds it missing.
                    let context = Acx::find(&notify.tail).ok().flatten();
                    return Ok((notify, context));
                }
            }
        }
        Err(LabError::Late {
            what: "the confirmation of a scripted register".to_owned(),
            seconds: (AGAIN * TRIES).as_secs(),
            detail: String::new(),
        })
    }

    /// Sends a message as it is.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.socket
            .send_to(message, self.server)
            .map(|_| ())
            .map_err(LabError::io("sending a scripted register"))
    }

    /// Registers everything, several messages on their way at once, and waits for every confirmation.
    ///
    /// # Errors
    /// [`LabError::Late`] when some are never confirmed.
    pub fn register_all(&mut self, entries: impl Iterator<Item = Entry>) -> Result<Registered> {
        let start = Instant::now();
        let mut entries = entries.peekable();
        let mut outstanding: BTreeMap<u64, (Instant, u32, Vec<Entry>)> = BTreeMap::new();
        let mut told = Registered::default();
        while entries.peek().is_some() || !outstanding.is_empty() {
            interrupt::check()?;
            while outstanding.len() < WINDOW && entries.peek().is_some() {
                let batch: Vec<Entry> = entries.by_ref().take(RECORDS).collect();
                self.put(&mut outstanding, batch, 0, &mut told)?;
            }
            self.hear(&mut outstanding, &mut told)?;
            let now = Instant::now();
            let late: Vec<u64> = outstanding
                .iter()
                .filter(|(_, (sent, ..))| now - *sent > AGAIN)
                .map(|(nonce, _)| *nonce)
                .collect();
            for nonce in late {
                if let Some((_, tries, batch)) = outstanding.remove(&nonce) {
                    if tries >= TRIES {
                        return Err(LabError::Late {
                            what: "the confirmation of a scripted register".to_owned(),
                            seconds: (AGAIN * TRIES).as_secs(),
                            detail: format!(" ({} records confirmed)", told.confirmed),
                        });
                    }
                    self.put(&mut outstanding, batch, tries + 1, &mut told)?;
                }
            }
        }
        told.took = start.elapsed();
        Ok(told)
    }

    fn put(
        &mut self,
        outstanding: &mut BTreeMap<u64, (Instant, u32, Vec<Entry>)>,
        batch: Vec<Entry>,
        tries: u32,
        told: &mut Registered,
    ) -> Result<()> {
        let message = self.register_message(&batch);
        self.send(&message)?;
        told.messages += 1;
        outstanding.insert(self.nonce, (Instant::now(), tries, batch));
        Ok(())
    }

    /// Hears at least one answer, or a tick of silence, and all that wait.
    fn hear(
        &self,
        outstanding: &mut BTreeMap<u64, (Instant, u32, Vec<Entry>)>,
        told: &mut Registered,
    ) -> Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..WINDOW {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, _)) => {
                    let confirmed = self.confirmed(&buffer[..length]);
                    if let Some((.., batch)) = confirmed.and_then(|nonce| outstanding.remove(&nonce)) {
                        told.confirmed += batch.len() as u64;
                    }
                    if outstanding.len() < WINDOW / 2 {
                        return Ok(());
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(());
                }
                // A Map-Server that is being restarted answers with ICMP.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
                Err(error) => return Err(LabError::io("hearing a Map-Server")(error)),
            }
        }
        Ok(())
    }

    /// The nonce of a Map-Notify that our key signed.
    fn confirmed(&self, message: &[u8]) -> Option<u64> {
        let notify = MapNotify::parse(message).ok()?;
        let coverage = verify(message, notify.records_end, &self.key).ok()?;
        (coverage == Coverage::Whole && !notify.ack).then_some(notify.nonce)
    }
}
