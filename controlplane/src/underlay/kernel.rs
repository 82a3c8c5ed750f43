//! Asking the kernel: two netlink sockets, one for questions, one for its notifications.
//!
//! They are apart because a burst of notifications that overruns a socket also loses the answers queued on it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, SocketAddr};
use rtnetlink::{Handle, MulticastGroup};
use rustix::io::Errno;
use tokio::task::JoinSet;

use super::decode;
use super::facts::{Link, NeighbourKey, Route, RouteQuestion};
use super::shadow::{NeighbourNews, Notice};

/// Longest wait for an answer. The kernel answers within microseconds; what takes longer was lost, for example
/// because the answer could not be decoded.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Lookups under way at once. Enough to hide the turn-around through the scheduler; each one occupies the
/// socket's receive buffer with less than 1 KB.
const LOOKUPS_AT_ONCE: usize = 32;

/// Receive buffer of the notification socket in bytes; a full one costs a complete re-reading.
const NOTICE_BUFFER: usize = 1 << 20;

const GROUPS: [MulticastGroup; 8] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Why the kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The netlink socket could not be opened or prepared.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[from] std::io::Error),
    /// The kernel refused a request, or answered something else.
    #[error("the kernel refused a netlink request: {0}")]
    Refused(#[from] rtnetlink::Error),
    /// No answer came in time.
    #[error("the kernel did not answer a netlink request within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    /// The socket with the kernel's notifications has ended.
    #[error("the netlink socket for notifications was closed")]
    Closed,
}

type Messages =
    Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send + Sync + Unpin>;

/// The kernel's side of the shadow. Dropping it closes both sockets.
pub struct Kernel {
    handle: Handle,
    notices: Messages,
    _connections: JoinSet<()>,
}

impl Kernel {
    /// Opens both sockets in the network namespace of the calling thread.
    pub fn open() -> Result<Self, KernelError> {
        let (questions, handle, _) = rtnetlink::new_connection()?;
        let (mut multicast, _, notices) = rtnetlink::new_multicast_connection(&GROUPS)?;
        multicast.socket_mut().socket_mut().set_rx_buf_sz(NOTICE_BUFFER)?;
        let mut connections = JoinSet::new();
        connections.spawn(questions);
        connections.spawn(multicast);
        Ok(Self { handle, notices: Box::new(notices), _connections: connections })
    }

    /// Waits for the next notification that concerns us.
    pub async fn notice(&mut self) -> Result<Notice, KernelError> {
        loop {
            let (message, _) = self.notices.next().await.ok_or(KernelError::Closed)?;
            if let Some(notice) = decode::notice(message) {
                return Ok(notice);
            }
        }
    }

    /// A notification that is already there.
    pub fn waiting_notice(&mut self) -> Option<Notice> {
        loop {
            let (message, _) = self.notices.next().now_or_never()??;
            if let Some(notice) = decode::notice(message) {
                return Some(notice);
            }
        }
    }

    /// All Ethernet links.
    pub async fn links(&self) -> Result<Vec<Link>, KernelError> {
        let read = self.handle.link().get().execute();
        in_time(read.try_filter_map(|message| async move { Ok(decode::link(&message)) }).try_collect()).await
    }

    /// All addresses with the link they are on.
    pub async fn addresses(&self) -> Result<BTreeSet<(u32, IpAddr)>, KernelError> {
        let read = self.handle.address().get().execute();
        let own = read.try_filter_map(|message| async move {
            Ok(decode::address(&message).map(|address| (message.header.index, address)))
        });
        in_time(own.try_collect()).await
    }

    /// The kernel's neighbour table, both families.
    pub async fn neighbours(&self) -> Result<Vec<(NeighbourKey, NeighbourNews)>, KernelError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let read = self.handle.neighbours().get().set_address_family(family).execute();
            let some = read.try_filter_map(|message| async move { Ok(decode::neighbour(&message)) });
            let some: Vec<_> = in_time(some.try_collect()).await?;
            all.extend(some);
        }
        Ok(all)
    }

    /// Looks up all questions; one that the kernel refuses (no route, source not ours) has no answer.
    pub async fn routes(
        &self,
        questions: impl Iterator<Item = RouteQuestion>,
    ) -> Result<BTreeMap<RouteQuestion, Route>, KernelError> {
        let asked = futures_util::stream::iter(questions.collect::<Vec<_>>())
            .map(|question| async move { (question, self.route(question).await) });
        let mut answers = asked.buffer_unordered(LOOKUPS_AT_ONCE);
        let mut routes = BTreeMap::new();
        while let Some((question, answer)) = answers.next().await {
            if let Some(route) = answer? {
                routes.insert(question, route);
            }
        }
        Ok(routes)
    }

    /// One lookup, as `ip route get` does it: by destination, not by walking the table.
    pub async fn route(&self, question: RouteQuestion) -> Result<Option<Route>, KernelError> {
        let mut message = RouteMessage::default();
        let (family, bits) =
            if question.remote.is_ipv4() { (AddressFamily::Inet, 32) } else { (AddressFamily::Inet6, 128) };
        message.header.address_family = family;
        message.header.destination_prefix_length = bits;
        message.attributes.push(RouteAttribute::Destination(question.remote.into()));
        if let Some(source) = question.source {
            message.header.source_prefix_length = bits;
            message.attributes.push(RouteAttribute::Source(source.into()));
        }
        let mut answers = Box::pin(self.handle.route().get(message).execute());
        match tokio::time::timeout(ANSWER_WITHIN, answers.try_next()).await {
            Ok(Ok(answer)) => Ok(answer.and_then(|message| decode::route(&message, question.remote))),
            Ok(Err(rtnetlink::Error::NetlinkError(error))) if means_no_route(error.raw_code()) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(KernelError::Silent),
        }
    }

    /// Asks the kernel to resolve or confirm a neighbour (`NTF_USE`), as if it had a packet for it.
    pub async fn resolve(&self, key: NeighbourKey) -> Result<(), KernelError> {
        let request = self.handle.neighbours().add(key.link, key.address);
        let request = request.state(NeighbourState::None).flags(NeighbourFlags::Use).replace();
        in_time(request.execute()).await
    }
}

/// Whether a lookup's error is an answer: no route, a prohibiting one, or a source that is not ours. Anything else
/// (no memory, no buffer) says nothing about the route.
fn means_no_route(code: i32) -> bool {
    let answers = [
        Errno::NETUNREACH,
        Errno::HOSTUNREACH,
        Errno::ACCESS,
        Errno::INVAL,
        Errno::AGAIN,
        Errno::ADDRNOTAVAIL,
        Errno::NODEV,
        Errno::SRCH,
    ];
    answers.iter().any(|errno| errno.raw_os_error() == code.saturating_abs())
}

async fn in_time<T>(answer: impl Future<Output = Result<T, rtnetlink::Error>>) -> Result<T, KernelError> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(KernelError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_count_as_no_route() {
        assert!(means_no_route(-Errno::NETUNREACH.raw_os_error()));
        assert!(means_no_route(-Errno::INVAL.raw_os_error()));
        assert!(!means_no_route(-Errno::NOBUFS.raw_os_error()));
        assert!(!means_no_route(-Errno::NOMEM.raw_os_error()));
        assert!(!means_no_route(0));
    }
}
