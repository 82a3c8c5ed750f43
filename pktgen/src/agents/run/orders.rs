//! Commands from standard input, and what became of them.

use std::io;

use crate::agents::places::Places;
use crate::agents::{Command, Crowd, Unclear};

use super::Script;

/// The longest line.
const LONGEST: usize = 4096;

/// What came so far.
#[derive(Debug, Default)]
pub struct Orders {
    pending: Vec<u8>,
    is_over: bool,
    /// Whoever gave the order to connect is waiting.
    connecting: bool,
}

impl Orders {
    /// Whether more may come.
    pub fn is_listening(&self) -> bool {
        !self.is_over
    }

    /// Carries out what came by now.
    pub fn obey(
        &mut self,
        crowd: &mut Crowd,
        places: &mut Places,
        script: &mut Script,
        now_ns: u64,
        answer: &mut impl FnMut(&str),
    ) {
        while let Some(line) = self.line() {
            let done = Command::parse(&line).and_then(|command| {
                // What came in before an agent goes is its own.
                while matches!(command, Command::Lift(_) | Command::Move(..)) && places.receive(crowd) {}
                crowd.turn(now_ns);
                self.carry_out(command, crowd, script, now_ns)
            });
            match done {
                Ok(Some(said)) => answer(&format!("{said} {now_ns}")),
                Ok(None) => {}
                Err(unclear) => answer(&format!("error {}: {unclear}", line.trim())),
            }
        }
        self.tell_connected(crowd, script, now_ns, answer);
        if self.is_over {
            script.end(crowd, now_ns);
        }
    }

    fn carry_out(
        &mut self,
        command: Command,
        crowd: &mut Crowd,
        script: &mut Script,
        now_ns: u64,
    ) -> Result<Option<String>, Unclear> {
        Ok(match command {
            Command::Connect => {
                script.connect(crowd, now_ns);
                self.connecting = true;
                None
            }
            Command::Begin(phase) => {
                script.begin(&phase, crowd, now_ns);
                Some(format!("began {phase}"))
            }
            Command::Lift(agent) => {
                crowd.lift(&agent)?;
                Some(format!("lifted {agent}"))
            }
            Command::Put(agent, place) => {
                crowd.put(&agent, &place, now_ns)?;
                Some(format!("put {agent} {place}"))
            }
            Command::Move(agent, place) => {
                crowd.put(&agent, &place, now_ns)?;
                Some(format!("moved {agent} {place}"))
            }
            Command::End => {
                script.end(crowd, now_ns);
                Some("ended".to_owned())
            }
        })
    }

    fn tell_connected(&mut self, crowd: &Crowd, script: &Script, now_ns: u64, answer: &mut impl FnMut(&str)) {
        if !self.connecting {
            return;
        }
        let (wanted, open) = crowd.connections();
        if open == wanted || script.connects_until().is_none_or(|until| until <= now_ns) {
            self.connecting = false;
            answer(&format!("connected {open} {wanted} {now_ns}"));
        }
    }

    /// The next whole line, if one came.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line = self.pending.drain(..=end).collect::<Vec<_>>();
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if self.is_over || !is_readable() {
                return None;
            }
            let mut bytes = [0; LONGEST];
            match rustix::io::read(io::stdin(), &mut bytes) {
                Ok(0) | Err(_) => self.is_over = true,
                Ok(count) if self.pending.len() + count > 16 * LONGEST => self.is_over = true,
                Ok(count) => self.pending.extend_from_slice(&bytes[..count]),
            }
        }
    }
}

/// Whether reading standard input would not wait.
fn is_readable() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = io::stdin();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}
