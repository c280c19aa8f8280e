//! Nodes on the same link are asked themselves who has a file, or is about to.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::gather::Gather;
use super::{Holder, Swarm, Target};
use crate::clock::millis;
use crate::core::Core;
use crate::dht::id::NodeId;
use crate::swarm::value::Pieces;
use crate::upstream::peer::{PeerError, Peers, Word};

/// Neighbours that are asked for one file.
const ASKED: usize = 32;

/// How long a download waits for their answers.
pub(super) const ANSWER: Duration = Duration::from_millis(50);

/// Who has not answered by then does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// Questions to one neighbour at the same time; others wait their turn. It
/// lets one address have a few dozen connections.
const QUESTIONS: usize = 8;

/// Files of one neighbour that are waited for at the same time.
const WAITS: usize = 12;

/// Neighbours whose lines are kept.
const LINES: usize = 1024;

/// What is under way to one neighbour.
#[derive(Debug, Clone)]
struct Line {
    questions: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    /// Since when it owes an answer.
    owes_since: Option<Instant>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            waits: Arc::new(Semaphore::new(WAITS)),
            owes_since: None,
        }
    }
}

/// Questions to neighbours under way.
#[derive(Debug, Default, Clone)]
pub(super) struct Lines(Arc<Mutex<HashMap<SocketAddr, Line>>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, contact: SocketAddr) -> Line {
        let mut lines = self.lock();
        if lines.len() >= LINES && !lines.contains_key(&contact) {
            lines.retain(|_, line| line.owes_since.is_some());
        }
        lines.entry(contact).or_default().clone()
    }

    /// Whether nobody waits for a neighbour: it has owed an answer for long.
    fn is_late(&self, contact: SocketAddr) -> bool {
        let lines = self.lock();
        let owes = lines.get(&contact).and_then(|line| line.owes_since);
        owes.is_some_and(|since| since.elapsed() > ANSWER)
    }

    /// It owes an answer until it gave one, or nobody wants it any more.
    fn asked(&self, contact: SocketAddr) -> Owing {
        if let Some(line) = self.lock().get_mut(&contact) {
            line.owes_since.get_or_insert_with(Instant::now);
        }
        Owing(self.clone(), contact)
    }

    /// A place for a file that is waited for; `None` where there is none.
    pub(super) fn wait(&self, contact: SocketAddr) -> Option<OwnedSemaphorePermit> {
        self.line(contact).waits.try_acquire_owned().ok()
    }
}

/// A question without an answer yet.
struct Owing(Lines, SocketAddr);

impl Drop for Owing {
    fn drop(&mut self) {
        if let Some(line) = self.0.lock().get_mut(&self.1) {
            line.owes_since = None;
        }
    }
}

/// A neighbour's word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub node_id: NodeId,
    pub contact: SocketAddr,
    pub word: Word,
}

/// Neighbours' words, as they come.
#[derive(Debug)]
pub(super) struct Asking(mpsc::UnboundedReceiver<Heard>);

impl Asking {
    /// The next; `None` when all have answered, or will not.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.0.recv().await
    }
}

impl Swarm {
    /// Asks the best of the neighbours for their word on a file, all at the
    /// same time; `None` where there is nobody to be asked.
    pub(super) fn ask_neighbours(&self, core: &Arc<Core>, target: Target) -> Option<Asking> {
        let all: Vec<_> = core.neighbours().all().collect();
        if all.is_empty() {
            return None;
        }
        let asked = self.best(core, &all);
        if asked.is_empty() {
            return None;
        }
        let (tell, told) = mpsc::unbounded_channel();
        for (node_id, contact) in asked {
            let (swarm, core, tell) = (self.questioner(), Arc::clone(core), tell.clone());
            // In a task of its own, for whoever does not answer is to be known
            // for it even where the download is over by then.
            tokio::spawn(async move {
                if let Ok(word) = swarm.word(&core, contact, target, PATIENCE).await {
                    // That nobody waits any more harms nothing.
                    let _ = tell.send(Heard {
                        node_id,
                        contact,
                        word,
                    });
                }
            });
        }
        Some(Asking(told))
    }

    /// One address of each, the best first; nobody that failed lately or owes
    /// an answer.
    pub(super) fn best(
        &self,
        core: &Core,
        of: &[(NodeId, SocketAddr)],
    ) -> Vec<(NodeId, SocketAddr)> {
        let who: HashMap<_, _> = of.iter().map(|(id, contact)| (*contact, *id)).collect();
        let contacts: Vec<_> = of.iter().map(|(_, contact)| *contact).collect();
        let ranked = core.peers().ranked(&contacts, core.now());
        let mut seen = HashSet::new();
        ranked
            .into_iter()
            .filter(|(contact, score)| *score > 0.0 && !self.lines.is_late(*contact))
            .filter_map(|(contact, _)| Some((*who.get(&contact)?, contact)))
            .filter(|(id, _)| seen.insert(*id))
            .take(ASKED)
            .collect()
    }

    pub(super) fn questioner(&self) -> Questioner {
        Questioner {
            peers: self.peers.clone(),
            lines: self.lines.clone(),
            own: self.own,
        }
    }
}

/// Asks one neighbour, for longer than a download may last.
pub(super) struct Questioner {
    peers: Peers,
    lines: Lines,
    own: NodeId,
}

impl Questioner {
    /// A neighbour's word on a file; who does not answer is spared for a while.
    pub(super) async fn word(
        &self,
        core: &Core,
        contact: SocketAddr,
        target: Target,
        patience: Duration,
    ) -> Result<Word, PeerError> {
        let line = self.lines.line(contact);
        let Ok(_turn) = line.questions.acquire().await else {
            return Err(PeerError::Silent);
        };
        let owing = self.lines.asked(contact);
        let asked_at = Instant::now();
        let file = (&target.sha256, target.size);
        let word = timeout(patience, self.peers.word(contact, file, &self.own, None)).await;
        let word = word.unwrap_or(Err(PeerError::Silent));
        drop(owing);
        let now = core.now();
        match &word {
            Ok(_) => {
                let lag = millis(asked_at.elapsed());
                core.peers().measured(contact, 0, lag, lag, now);
            }
            Err(error) => {
                tracing::debug!(peer = %contact, %error, "a node on the LAN does not answer");
                core.peers().failed(contact, &error.to_string(), now);
            }
        }
        word
    }

    /// A neighbour's word on a file that is on its way there, once it is whole
    /// or `wait` has passed.
    pub(super) async fn wait(
        &self,
        contact: SocketAddr,
        target: Target,
        wait: Duration,
    ) -> Result<Word, PeerError> {
        let file = (&target.sha256, target.size);
        self.peers.word(contact, file, &self.own, Some(wait)).await
    }
}

impl Gather<'_> {
    /// A neighbour has the file.
    pub(super) fn is_near(&mut self, contact: SocketAddr, torrent: Option<[u8; 20]>) {
        if self.is_holder(contact) {
            return;
        }
        let source = self.schedule.add(0.0);
        self.holders.push(Holder {
            contact,
            is_near: true,
        });
        let pieces = torrent.map(Pieces::Reference);
        self.references.add(source, pieces.as_ref());
        self.help.one_is_enough();
        self.rank();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_who_owes_an_answer_for_long() {
        let (lines, contact) = (Lines::default(), ([10, 0, 0, 1], 9977).into());
        lines.line(contact);
        let owing = lines.asked(contact);
        assert!(!lines.is_late(contact));
        tokio::time::sleep(ANSWER + Duration::from_millis(10)).await;
        assert!(lines.is_late(contact));
        drop(owing);
        assert!(!lines.is_late(contact));
    }

    #[test]
    fn lines_and_waits_are_bounded() {
        let lines = Lines::default();
        for number in 0..5000_u16 {
            lines.line(([10, 0, 0, 1], number).into());
        }
        assert!(lines.lock().len() <= LINES);
        let contact = ([10, 0, 0, 2], 1).into();
        let waits: Vec<_> = std::iter::from_fn(|| lines.wait(contact)).collect();
        assert_eq!(waits.len(), WAITS);
    }
}
