//! Of nodes that want the same cold file at the same time, one fetches it from
//! the mirror and the others wait for it, where that is soon.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::Target;
use super::gather::Gather;
use super::lan::{Heard, Questioner};
use crate::clock::{Millis, millis};
use crate::dht::id::NodeId;
use crate::swarm::lead::{Alone, LONGEST, Progress, Rival, leader, patience};
use crate::upstream::peer::Word;

/// How often who is waited for is asked how far it is.
const PULSE: Duration = Duration::from_millis(100);

/// How long it may take to say.
const SAYS: Duration = Duration::from_millis(250);

/// The torrent string of a file that came, where it has one.
pub(super) type Came = Option<[u8; 20]>;

/// Who is waited for, and a place for the wait.
pub(super) struct Leader {
    pub contact: SocketAddr,
    place: OwnedSemaphorePermit,
}

const fn duration(time: Millis) -> Duration {
    Duration::from_millis(time.unsigned_abs())
}

impl Gather<'_> {
    /// What the mirror would take for the file.
    fn alone(&self) -> Option<Alone> {
        let origin = self.errand.plan.sources.first()?;
        let origins = &self.fetch.core.origins;
        origins.alone(origin.origin(), self.target.size)
    }

    /// Decides whether somebody else fetches the file, by the words of
    /// neighbours that want it as well. Who that is.
    pub(super) fn follow(&self, heard: &[Heard]) -> Option<Leader> {
        let lines = &self.swarm.lines;
        let arrival = self.errand.arrival.as_ref()?;
        let (mut contacts, mut answers) = (HashMap::new(), Vec::new());
        for heard in heard {
            let contact = heard.contact;
            contacts.insert(heard.node_id, contact);
            if let Word::Coming(progress) = heard.word
                && !lines.is_vain(contact)
            {
                let node_id = heard.node_id;
                answers.push(Rival { node_id, progress });
            }
        }
        arrival.decide(|asked| {
            let mut rivals = answers;
            for node_id in asked {
                // What it said itself is later than its question.
                if contacts.contains_key(node_id) {
                    continue;
                }
                if let Some(contact) = self.contact_of(*node_id)
                    && !lines.is_vain(contact)
                {
                    contacts.insert(*node_id, contact);
                    // Who asked had not decided either.
                    let progress = Progress {
                        size: self.target.size,
                        ..Progress::default()
                    };
                    let node_id = *node_id;
                    rivals.push(Rival { node_id, progress });
                }
            }
            let led = leader(&self.swarm.own, &self.target.sha256, &rivals, self.alone())?;
            let contact = *contacts.get(&led.node_id)?;
            let place = lines.wait(contact)?;
            tracing::debug!(url = self.errand.url.key(), peer = %contact, "another node fetches it");
            Some(Leader { contact, place })
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
    pub(super) fn wait_for(&self, leader: Leader) -> impl Future<Output = Option<Came>> + use<> {
        let questioner = self.swarm.questioner();
        let (target, alone) = (self.target, self.alone());
        async move {
            let Leader { contact, place } = leader;
            let wait = questioner.until_there(contact, target, alone);
            let came = timeout(duration(patience(alone)), wait).await;
            drop(place);
            let came = came.ok().flatten();
            questioner.promised(contact, came.is_some());
            came
        }
    }
}

impl Questioner {
    /// Whoever dies says nothing: so a neighbour is not only waited for, but
    /// asked at short intervals how far it is.
    async fn until_there(
        &self,
        contact: SocketAddr,
        target: Target,
        alone: Option<Alone>,
    ) -> Option<Came> {
        let begun = Instant::now();
        let pulse = async {
            loop {
                sleep(PULSE).await;
                let word = timeout(SAYS, self.progress(contact, target)).await;
                match word {
                    Ok(Ok(Word::Has(torrent))) => return Some(torrent),
                    Ok(Ok(Word::Coming(progress)))
                        if progress.is_worth_waiting(alone, millis(begun.elapsed())) => {}
                    _ => return None,
                }
            }
        };
        tokio::select! {
            word = self.wait(contact, target, duration(LONGEST)) => match word {
                Ok(Word::Has(torrent)) => Some(torrent),
                _ => None,
            },
            came = pulse => came,
        }
    }
}
