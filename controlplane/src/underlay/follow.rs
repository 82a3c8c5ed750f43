//! Following the kernel: notifications and timers in, facts out.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::facts::{Facts, NeighbourKey, Questions};
use super::kernel::{Kernel, KernelError};
use super::resolve::Resolver;
use super::shadow::{Notice, Reaction, Shadow};

/// Pause between two complete readings. Notifications carry the news; this only heals what they missed.
const REREAD_EVERY: Duration = Duration::from_secs(10);

/// Shortest pause between two rounds of route lookups. The first notification acts at once; a storm (a routing
/// daemon that loads a full table) is answered fifty times a second.
const REROUTE_PAUSE: Duration = Duration::from_millis(20);

/// Shortest pause between two lookups for learned remotes, for which packets may wait; those that come meanwhile are
/// looked up together.
const ASK_PAUSE: Duration = Duration::from_millis(2);

/// Pause before the sockets are opened again after a failure.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// Follows the kernel for ever: answers `questions`, tells `facts`. Survives every failure of the sockets.
pub async fn follow(mut questions: watch::Receiver<Questions>, facts: watch::Sender<Facts>) {
    let mut follower = Follower::default();
    loop {
        let error = match Kernel::open() {
            Ok(mut kernel) => follower.turns(&mut kernel, &mut questions, &facts).await,
            Err(error) => error,
        };
        warn!(%error, "the kernel's links and routes cannot be followed; trying again");
        tokio::time::sleep(REOPEN_PAUSE).await;
    }
}

#[derive(Default)]
struct Follower {
    shadow: Shadow,
    resolver: Resolver,
    told_resolve_failure: bool,
}

/// Why a turn begins.
enum Cause {
    Notice(Notice),
    Asked,
    Reroute,
    Resolve,
    Reread,
}

impl Follower {
    async fn turns(
        &mut self,
        kernel: &mut Kernel,
        questions: &mut watch::Receiver<Questions>,
        facts: &watch::Sender<Facts>,
    ) -> KernelError {
        match self.turns_until_error(kernel, questions, facts).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn turns_until_error(
        &mut self,
        kernel: &mut Kernel,
        questions: &mut watch::Receiver<Questions>,
        facts: &watch::Sender<Facts>,
    ) -> Result<std::convert::Infallible, KernelError> {
        let mut pending = Reaction::Reread;
        let mut rerouted = Instant::now() - REROUTE_PAUSE;
        let mut asked = rerouted;
        let mut reread = Instant::now();
        self.shadow.ask(questions.borrow_and_update().clone());
        loop {
            let now = Instant::now();
            if pending >= Reaction::Reroute && now >= rerouted + REROUTE_PAUSE {
                if pending == Reaction::Reread {
                    self.reread(kernel).await?;
                    reread = Instant::now();
                }
                self.reroute(kernel).await?;
                rerouted = Instant::now();
                pending = Reaction::None;
            }
            if pending == Reaction::Ask && now >= asked + ASK_PAUSE {
                self.look_up(kernel).await?;
                asked = Instant::now();
                pending = Reaction::None;
            }
            self.resolve(kernel).await?;
            self.tell(facts);
            let reroute_at = match pending {
                Reaction::None | Reaction::Changed => None,
                Reaction::Ask => Some(asked + ASK_PAUSE),
                Reaction::Reroute | Reaction::Reread => Some(rerouted + REROUTE_PAUSE),
            };
            match self.cause(kernel, questions, reroute_at, reread + REREAD_EVERY).await? {
                Cause::Notice(notice) => pending = pending.max(self.notices(kernel, notice)),
                Cause::Reread => pending = Reaction::Reread,
                Cause::Asked => {
                    let reaction = self.shadow.ask(questions.borrow_and_update().clone());
                    pending = pending.max(reaction);
                    if reaction == Reaction::Reroute {
                        rerouted = Instant::now() - REROUTE_PAUSE;
                    }
                }
                Cause::Reroute | Cause::Resolve => {}
            }
        }
    }

    /// Waits for whatever comes first.
    async fn cause(
        &self,
        kernel: &mut Kernel,
        questions: &mut watch::Receiver<Questions>,
        reroute_at: Option<Instant>,
        reread_at: Instant,
    ) -> Result<Cause, KernelError> {
        let resolve_at = self.resolver.next_deadline(&self.shadow.facts().neighbours, Instant::now());
        Ok(tokio::select! {
            notice = kernel.notice() => Cause::Notice(notice?),
            Ok(()) = questions.changed() => Cause::Asked,
            () = until(reroute_at) => Cause::Reroute,
            () = until(resolve_at) => Cause::Resolve,
            () = until(Some(reread_at)) => Cause::Reread,
        })
    }

    /// Takes a notification and all that wait behind it, so that a storm costs one round of lookups.
    fn notices(&mut self, kernel: &mut Kernel, first: Notice) -> Reaction {
        let mut reaction = self.shadow.observe(first);
        while let Some(notice) = kernel.waiting_notice() {
            reaction = reaction.max(self.shadow.observe(notice));
        }
        reaction
    }

    async fn reread(&mut self, kernel: &Kernel) -> Result<(), KernelError> {
        let (links, addresses) = (kernel.links().await?, kernel.addresses().await?);
        self.shadow.reread(links, addresses);
        Ok(())
    }

    async fn reroute(&mut self, kernel: &Kernel) -> Result<(), KernelError> {
        let routes = kernel.routes(self.shadow.questions().routes()).await?;
        self.shadow.rerouted(routes);
        if !self.shadow.facts().neighbours.is_empty() {
            let neighbours = kernel.neighbours().await?;
            self.shadow.neighbours_read(neighbours);
        }
        Ok(())
    }

    /// Looks up the remotes that were learned since the last time.
    async fn look_up(&mut self, kernel: &Kernel) -> Result<(), KernelError> {
        let remotes = self.shadow.unasked();
        let routes = kernel.routes(self.shadow.questions().routes_to(&remotes)).await?;
        self.shadow.asked(remotes, routes);
        if self.shadow.facts().neighbours.values().any(|neighbour| neighbour.mac.is_none()) {
            let neighbours = kernel.neighbours().await?;
            self.shadow.neighbours_read(neighbours);
        }
        Ok(())
    }

    async fn resolve(&mut self, kernel: &Kernel) -> Result<(), KernelError> {
        for key in self.resolver.due(&self.shadow.facts().neighbours, Instant::now()) {
            match kernel.resolve(key).await {
                Ok(()) => self.told_resolve_failure = false,
                Err(KernelError::Refused(error)) => self.resolve_failed(key, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Once per failure, not once per second: without the capability it fails for every next hop.
    fn resolve_failed(&mut self, key: NeighbourKey, error: &rtnetlink::Error) {
        if !std::mem::replace(&mut self.told_resolve_failure, true) {
            warn!(next_hop = %key.address, %error, "cannot ask the kernel to resolve a next hop (needs CAP_NET_ADMIN)");
        }
    }

    fn tell(&self, facts: &watch::Sender<Facts>) {
        let new = self.shadow.facts();
        facts.send_if_modified(|known| {
            if known == new {
                return false;
            }
            report(known, new);
            known.clone_from(new);
            true
        });
    }
}

/// Logs what an operator wants to know of a change.
fn report(old: &Facts, new: &Facts) {
    for (index, link) in &new.links {
        match old.links.get(index) {
            Some(before) if before.up != link.up => info!(link = link.name, up = link.up, "link"),
            _ => {}
        }
    }
    for (key, neighbour) in &new.neighbours {
        let before = old.neighbours.get(key).copied().unwrap_or_default();
        match (neighbour.mac, neighbour.failed) {
            (Some(mac), _) if before.mac != Some(mac) => {
                info!(next_hop = %key.address, %mac, "next hop resolved")
            }
            (None, true) if !before.failed => warn!(next_hop = %key.address, "next hop does not answer"),
            _ => {}
        }
    }
    debug!(routes = new.routes.len(), neighbours = new.neighbours.len(), "underlay changed");
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
