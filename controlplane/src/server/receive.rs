//! All messages of a process that is nothing but a Map-Server.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::{self, ControlError, Ecm, MapNotify, MapRegister, Message};

use super::{Handled, Refusal, Server};
use crate::outbox::Outbox;

impl Server {
    /// Takes a UDP payload that came from `from` to port 4342 of our address `to`. For processes without other
    /// roles; where there are some, the runtime parses and gives each role its messages.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        match control::parse(bytes) {
            Ok(Message::MapRegister(register)) => self.map_register(&register, bytes, from, to, now, out),
            Ok(Message::MapNotify(notify)) if notify.ack => {
                self.map_notify_ack(&notify, bytes, from, now, out);
            }
            Ok(Message::MapNotify(_)) => self.notify_unexpected(),
            Ok(Message::MapRequest(request)) => self.request_outside_ecm(&request),
            Ok(Message::Ecm(ecm)) => return self.ecm(&ecm, from, to, now, out),
            Ok(Message::MapReply(reply)) => {
                if !self.map_reply(&reply, from, out) {
                    self.counters.refuse(Refusal::Unexpected);
                }
            }
            Ok(Message::Info(_)) => self.counters.refuse(Refusal::Unexpected),
            Err(reason) => self.malformed(reason),
        }
        Handled::Yes
    }

    /// Takes an ECM: a Map-Request, or, through a NAT, a Map-Register (its source is then that of the packet).
    pub fn ecm(
        &mut self,
        ecm: &Ecm<'_>,
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Handled {
        match ecm.message.first().map(|first| first >> 4) {
            Some(1) => match ecm.map_request() {
                Ok(request) => return self.map_request(&request, ecm, from, to, now, out),
                Err(ControlError::EcmProbe) => self.counters.refuse(Refusal::ProbeOrSmr),
                Err(reason) => self.malformed(reason),
            },
            Some(3) => match MapRegister::parse(ecm.message) {
                Ok(register) => self.map_register(&register, ecm.message, from, to, now, out),
                Err(reason) => self.malformed(reason),
            },
            _ => match MapNotify::parse(ecm.message) {
                Ok(_) => self.notify_unexpected(),
                Err(reason) => self.malformed(reason),
            },
        }
        Handled::Yes
    }

    /// Counts a message that could not be parsed.
    pub fn malformed(&mut self, reason: ControlError) {
        self.counters.malform(reason);
    }

    /// Counts a Map-Notify that nobody in this process waits for.
    pub fn notify_unexpected(&mut self) {
        self.counters.refuse(Refusal::NotifyUnknown);
    }
}
