//! Which role a message is for.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sterna_wire::lisp::control::{self, Ecm, MapNotify, MapReply, MapRequest, Message};

use super::Roles;
use crate::etr::Arrival;
use crate::outbox::Outbox;
use crate::server::Handled;

impl Roles {
    /// A datagram came to UDP 4342 of our address `to`.
    pub fn datagram(&mut self, bytes: &[u8], from: SocketAddr, to: IpAddr, now: Instant, out: &mut Outbox) {
        self.counters.received += 1;
        let message = match control::parse(bytes) {
            Ok(message) => message,
            Err(error) => return self.counters.malformed(error),
        };
        let known = match message {
            Message::Ecm(ecm) => self.encapsulated(&ecm, from, to, now, out),
            Message::MapRequest(request) => self.request(&request, from, to, now, out),
            Message::MapReply(reply) => self.reply(reply, from, now, out),
            Message::MapRegister(register) => match &mut self.server {
                Some(server) => {
                    server.map_register(&register, bytes, from, to, now, out);
                    true
                }
                None => false,
            },
            Message::MapNotify(notify) if notify.ack => match &mut self.server {
                Some(server) => {
                    server.map_notify_ack(&notify, bytes, from, now, out);
                    true
                }
                None => false,
            },
            Message::MapNotify(notify) => self.notify(&notify, bytes, from, now, out),
            Message::Info(_) => {
                self.counters.info += 1;
                true
            }
        };
        self.counters.no_role += u64::from(!known);
    }

    /// Through the mapping system: the Map-Server and Map-Resolver first, for it also knows what our own ETR
    /// registered.
    fn encapsulated(
        &mut self,
        ecm: &Ecm<'_>,
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        let request = match ecm.map_request() {
            Ok(request) => request,
            Err(error) => {
                self.counters.malformed(error);
                return true;
            }
        };
        if let Some(server) = &mut self.server {
            match server.map_request(&request, ecm, from, to, now, out) {
                Handled::Yes => return true,
                Handled::ForwardToOwnEtr => self.counters.handed_over += 1,
            }
        }
        let arrival = Arrival { from, to, ecm_inner: Some(ecm.source) };
        self.hand_to_etr(&request, arrival, now, out)
    }

    /// Straight to us: a probe, a solicitation, or a plain question.
    fn request(
        &mut self,
        request: &MapRequest,
        from: SocketAddr,
        to: IpAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        match (&mut self.itr, &mut self.server) {
            (Some(itr), _) if request.smr => itr.smr(request, from, now, out),
            (Some(_), _) => {
                return self.hand_to_etr(request, Arrival { from, to, ecm_inner: None }, now, out);
            }
            (None, Some(server)) => server.request_outside_ecm(request),
            (None, None) => return false,
        }
        true
    }

    fn hand_to_etr(&mut self, request: &MapRequest, via: Arrival, now: Instant, out: &mut Outbox) -> bool {
        match &mut self.etr {
            Some(etr) => {
                etr.map_request(request, via, now, out);
                true
            }
            None => false,
        }
    }

    /// The nonce tells whose question it answers.
    fn reply(&mut self, reply: MapReply, from: SocketAddr, now: Instant, out: &mut Outbox) -> bool {
        if let Some(etr) = &mut self.etr
            && etr.map_reply(&reply, from, now, out)
        {
            return true;
        }
        if let Some(server) = &mut self.server
            && server.map_reply(&reply, from, out)
        {
            return true;
        }
        match &mut self.itr {
            Some(itr) => {
                itr.map_reply(reply, from, now, out);
                true
            }
            None => false,
        }
    }

    /// Publications are told by their nonces, answers to registers by theirs; the rest is about our own EIDs.
    fn notify(
        &mut self,
        notify: &MapNotify,
        message: &[u8],
        from: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> bool {
        if self.itr.is_none() && self.etr.is_none() {
            return false;
        }
        let published = self.itr.as_mut().is_some_and(|itr| itr.map_notify(notify, message, from, now, out));
        let known =
            published || self.etr.as_mut().is_some_and(|etr| etr.map_notify(notify, message, from, now, out));
        self.counters.notify_unexpected += u64::from(!known);
        true
    }
}
