//! Nodes on the same link are asked themselves who has a file, or is about to.

use std::collections::{HashMap, HashSet, VecDeque};
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
use crate::health::pause;
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
const WAITS: usize = 4;

/// Neighbours whose lines are kept.
const LINES: usize = 1024;

/// The longest time that a neighbour is spared which is slow to answer, or
/// does not keep what it promises.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A neighbour is spared for a second, and twice as long each time again.
#[derive(Debug, Clone, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// What comes together counts once.
    fn failed(&mut self) {
        if !self.is_on() {
            self.failures = self.failures.saturating_add(1);
            self.until = Some(Instant::now() + pause(self.failures, LONGEST_PAUSE));
        }
    }

    fn went_well(&mut self) {
        *self = Self::default();
    }
}

/// What is under way to one neighbour.
#[derive(Debug, Clone)]
struct Line {
    questions: Arc<Semaphore>,
    waits: Arc<Semaphore>,
    /// When it was asked what it has not answered yet, the earliest first.
    owes: VecDeque<Instant>,
    /// It answered late, or not at all.
    late: Pause,
    /// It was waited for in vain.
    vain: Pause,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            waits: Arc::new(Semaphore::new(WAITS)),
            owes: VecDeque::new(),
            late: Pause::default(),
            vain: Pause::default(),
        }
    }
}

impl Line {
    /// Whether nobody waits for its answers.
    fn is_late(&self) -> bool {
        let owes_for_long = |asked_at: &Instant| asked_at.elapsed() > ANSWER;
        self.late.is_on() || self.owes.front().is_some_and(owes_for_long)
    }

    /// Whether it can be forgotten.
    fn is_idle(&self) -> bool {
        self.owes.is_empty() && self.late.failures == 0 && self.vain.failures == 0
    }
}

/// Questions to neighbours under way.
#[derive(Debug, Default, Clone)]
pub(super) struct Lines(Arc<Mutex<HashMap<SocketAddr, Line>>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, contact: SocketAddr, then: impl FnOnce(&mut Line) -> T) -> T {
        let mut lines = self.lock();
        if lines.len() >= LINES && !lines.contains_key(&contact) {
            lines.retain(|_, line| !line.is_idle());
        }
        if lines.len() >= LINES && !lines.contains_key(&contact) {
            lines.clear();
        }
        then(lines.entry(contact).or_default())
    }

    /// Whether nobody waits for a neighbour's answers: it has owed one for
    /// long, or was late.
    fn is_late(&self, contact: SocketAddr) -> bool {
        self.lock().get(&contact).is_some_and(Line::is_late)
    }

    /// Whether a neighbour lately promised a file that did not come.
    pub(super) fn is_vain(&self, contact: SocketAddr) -> bool {
        let lines = self.lock();
        lines.get(&contact).is_some_and(|line| line.vain.is_on())
    }

    /// It owes an answer until it gave one, or nobody wants it any more.
    fn asked(&self, contact: SocketAddr) -> Owing {
        let asked_at = Instant::now();
        self.with(contact, |line| line.owes.push_back(asked_at));
        Owing(self.clone(), contact, asked_at)
    }

    /// A place for a file that is waited for; `None` where there is none.
    pub(super) fn wait(&self, contact: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let waits = self.with(contact, |line| Arc::clone(&line.waits));
        waits.try_acquire_owned().ok()
    }

    /// A turn to ask, which comes soon or not at all.
    async fn turn(&self, contact: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let questions = self.with(contact, |line| Arc::clone(&line.questions));
        let turn = timeout(ANSWER, questions.acquire_owned()).await;
        turn.ok()?.ok()
    }
}

/// A question without an answer yet.
struct Owing(Lines, SocketAddr, Instant);

impl Drop for Owing {
    fn drop(&mut self) {
        let Self(lines, contact, asked_at) = self;
        if let Some(line) = lines.lock().get_mut(contact)
            && let Some(place) = line.owes.iter().position(|at| at == asked_at)
        {
            line.owes.remove(place);
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
                if let Ok(word) = swarm.word(&core, contact, target).await {
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
    /// A neighbour's word on a file; who does not answer in time is spared for
    /// a while. Its uploads are not: of these it says nothing.
    async fn word(
        &self,
        core: &Core,
        contact: SocketAddr,
        target: Target,
    ) -> Result<Word, PeerError> {
        let turn = self.lines.turn(contact).await;
        let Some(_turn) = turn.filter(|_| !self.lines.is_late(contact)) else {
            return Err(PeerError::Silent);
        };
        let owing = self.lines.asked(contact);
        let asked_at = Instant::now();
        let word = timeout(PATIENCE, self.ask(contact, target, None)).await;
        let word = word.unwrap_or(Err(PeerError::Silent));
        drop(owing);
        let took = asked_at.elapsed();
        self.lines.with(contact, |line| {
            if word.is_ok() && took <= ANSWER {
                line.late.went_well();
            } else {
                line.late.failed();
            }
        });
        match &word {
            Ok(_) => {
                let lag = millis(took);
                core.peers().measured(contact, 0, lag, lag, core.now());
            }
            Err(error) => {
                tracing::debug!(peer = %contact, %error, "a node on the LAN does not answer");
            }
        }
        word
    }

    async fn ask(
        &self,
        contact: SocketAddr,
        target: Target,
        wait: Option<Duration>,
    ) -> Result<Word, PeerError> {
        let file = (&target.sha256, target.size);
        self.peers.word(contact, file, &self.own, wait).await
    }

    /// How far a file is on its way to a neighbour that is waited for.
    pub(super) async fn progress(
        &self,
        contact: SocketAddr,
        target: Target,
    ) -> Result<Word, PeerError> {
        let turn = self.lines.turn(contact).await;
        let Some(_turn) = turn else {
            return Err(PeerError::Silent);
        };
        self.ask(contact, target, None).await
    }

    /// A neighbour that was waited for kept what it promised, or did not.
    pub(super) fn promised(&self, contact: SocketAddr, kept: bool) {
        self.lines.with(contact, |line| {
            if kept {
                line.vain.went_well();
            } else {
                line.vain.failed();
            }
        });
    }

    /// A neighbour's word on a file that is on its way there, once it is whole
    /// or `wait` has passed.
    pub(super) async fn wait(
        &self,
        contact: SocketAddr,
        target: Target,
        wait: Duration,
    ) -> Result<Word, PeerError> {
        self.ask(contact, target, Some(wait)).await
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

    const CONTACT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9977);

    #[tokio::test]
    async fn nobody_waits_for_who_owes_an_answer_for_long() {
        let lines = Lines::default();
        let owing = lines.asked(CONTACT);
        assert!(!lines.is_late(CONTACT));
        tokio::time::sleep(ANSWER + Duration::from_millis(10)).await;
        assert!(lines.is_late(CONTACT));
        // That it answers another question pays no debt.
        drop(lines.asked(CONTACT));
        assert!(lines.is_late(CONTACT));
        drop(owing);
        assert!(!lines.is_late(CONTACT));
    }

    #[tokio::test]
    async fn a_turn_that_does_not_come_soon_does_not_come() {
        let lines = Lines::default();
        let mut turns = Vec::new();
        for _ in 0..QUESTIONS {
            turns.push(lines.turn(CONTACT).await.unwrap());
        }
        let began = Instant::now();
        assert!(lines.turn(CONTACT).await.is_none());
        assert!(began.elapsed() >= ANSWER);
        turns.pop();
        assert!(lines.turn(CONTACT).await.is_some());
    }

    #[test]
    fn who_fails_again_and_again_is_spared_longer_each_time() {
        let mut pause = Pause::default();
        let mut left: Vec<u64> = Vec::new();
        for _ in 0..10 {
            pause.failed();
            // What comes together counts once.
            pause.failed();
            assert!(pause.is_on());
            let until = pause.until.unwrap();
            left.push((until - Instant::now() + Duration::from_millis(500)).as_secs());
            pause.until = Some(Instant::now());
        }
        assert_eq!(left[..4], [1, 2, 4, 8]);
        assert_eq!(left[9], LONGEST_PAUSE.as_secs());
        pause.went_well();
        assert!(!pause.is_on());
        pause.failed();
        assert!(pause.until.unwrap() < Instant::now() + Duration::from_millis(1100));
    }

    #[test]
    fn lines_and_waits_are_bounded() {
        let lines = Lines::default();
        for number in 0..5000_u16 {
            let contact = ([10, 0, 0, 1], number).into();
            lines.with(contact, |line| line.late.failed());
        }
        assert!(lines.lock().len() <= LINES);
        let waits: Vec<_> = std::iter::from_fn(|| lines.wait(CONTACT)).collect();
        assert_eq!(waits.len(), WAITS);
    }
}
