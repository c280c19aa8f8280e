//! Of nodes that want the same cold file at the same time, one fetches it from
//! the mirror and the others wait for it, where that is soon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Target;
use super::gather::Gather;
use super::lan::{Heard, Questioner};
use crate::clock::millis;
use crate::core::Core;
use crate::dht::id::NodeId;
use crate::swarm::lead::{LONGEST, Progress, Rival, leader};
use crate::upstream::peer::Word;

/// How often who is waited for is asked how far it is, and how long it may
/// take to say.
const PULSE: Duration = Duration::from_millis(250);

/// The torrent string of a file that came, where it has one.
pub(super) type Came = Option<[u8; 20]>;

impl Gather<'_> {
    /// Decides whether somebody else fetches the file, by the words of
    /// neighbours that want it as well. Who that is.
    pub(super) fn follow(&self, heard: &[Heard]) -> Option<SocketAddr> {
        let swarm = self.swarm;
        let arrival = self.errand.arrival.as_ref()?;
        let origin = self.errand.plan.sources.first();
        let mirror = origin.and_then(|origin| swarm.rate_of(origin.origin()));
        let of = |heard: &Heard| match heard.word {
            Word::Coming(progress) => Some(Rival {
                node_id: heard.node_id,
                progress,
            }),
            Word::Has(_) | Word::Missing => None,
        };
        let answers: Vec<_> = heard.iter().filter_map(of).collect();
        arrival.decide(|asked| {
            // Who asked had not decided either.
            let asked = asked.iter().map(|node_id| Rival {
                node_id: *node_id,
                progress: Progress {
                    size: self.target.size,
                    ..Progress::default()
                },
            });
            let unheard = |rival: &Rival| !answers.iter().any(|it| it.node_id == rival.node_id);
            let mut rivals: Vec<_> = asked.filter(unheard).collect();
            rivals.extend(&answers);
            let led = leader(&swarm.own, &self.target.sha256, &rivals, mirror)?;
            let contact = (heard.iter().find(|it| it.node_id == led.node_id))
                .map(|heard| heard.contact)
                .or_else(|| self.contact_of(led.node_id))?;
            tracing::debug!(url = self.errand.url.key(), peer = %contact, "another node fetches it");
            Some(contact)
        })
    }

    fn contact_of(&self, node_id: NodeId) -> Option<SocketAddr> {
        let core = &self.fetch.core;
        let addresses = core.neighbours().addresses(&node_id).to_vec();
        let of: Vec<_> = addresses.into_iter().map(|at| (node_id, at)).collect();
        let best = self.swarm.best(core, &of);
        best.first().map(|(_, contact)| *contact)
    }

    /// Waits for a file that is on its way to a neighbour; `None` where that
    /// is not worth it any more.
    pub(super) fn wait_for(
        &self,
        contact: SocketAddr,
    ) -> impl Future<Output = Option<Came>> + use<> {
        let (questioner, core) = (self.swarm.questioner(), Arc::clone(&self.fetch.core));
        let place = self.swarm.lines.wait(contact);
        let origin = self.errand.plan.sources.first();
        let mirror = origin.and_then(|origin| self.swarm.rate_of(origin.origin()));
        let target = self.target;
        async move {
            let _place = place?;
            questioner.until_there(&core, contact, target, mirror).await
        }
    }
}

impl Questioner {
    /// Whoever dies says nothing: so a neighbour is not only waited for, but
    /// asked at short intervals how far it is.
    async fn until_there(
        &self,
        core: &Core,
        contact: SocketAddr,
        target: Target,
        mirror: Option<f64>,
    ) -> Option<Came> {
        let begun = Instant::now();
        let longest = Duration::from_millis(LONGEST.unsigned_abs());
        let mut held = std::pin::pin!(self.wait(contact, target, longest));
        loop {
            let word = tokio::select! {
                word = &mut held => {
                    return match word {
                        Ok(Word::Has(torrent)) => Some(torrent),
                        _ => None,
                    };
                }
                () = sleep(PULSE) => self.word(core, contact, target, PULSE).await,
            };
            match word {
                Ok(Word::Has(torrent)) => return Some(torrent),
                Ok(Word::Coming(progress))
                    if progress.is_worth_waiting(mirror, millis(begun.elapsed())) => {}
                _ => return None,
            }
        }
    }
}
