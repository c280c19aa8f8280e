//! Queries under way: sent again, stalled, failed, and how long answers take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;

use super::contact::Contact;
use super::id::NodeId;
use super::krpc::{Method, TransactionId};
use crate::clock::Millis;

/// Round trips that the time to stall is taken from.
const SAMPLES: usize = 64;

/// How soon, at least and at most, a query stalls.
const STALL: std::ops::RangeInclusive<Millis> = 120..=2000;

/// How soon a query stalls before enough round trips were measured.
const STALL_UNMEASURED: Millis = 700;

/// How long queries wait, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the first sending to the second; the third comes after three times
    /// as long.
    pub delay: Millis,
    /// From the first sending to failure.
    pub timeout: Millis,
}

/// A query under way.
#[derive(Debug)]
pub struct Asked {
    /// To where.
    pub to: SocketAddr,
    /// Who should answer.
    pub id: Option<NodeId>,
    /// What was asked.
    pub method: Method,
    /// For whom.
    pub task: u64,
    /// When it was first sent.
    pub sent: Millis,
    /// The packet.
    pub packet: Vec<u8>,
    sendings: u8,
    lateness: Lateness,
}

/// How late an answer is, as far as the task was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lateness {
    OnTime,
    Stalled,
    Overdue,
}

impl Asked {
    /// Who should answer, where that is known.
    #[must_use]
    pub fn who(&self) -> Option<Contact> {
        self.id.map(|id| Contact::new(id, self.to))
    }

    /// The answer is later than the task was told.
    fn later(&mut self) -> Option<Due> {
        let (task, who, method) = (self.task, self.who(), self.method);
        let (lateness, due) = match self.lateness {
            Lateness::OnTime => (Lateness::Stalled, Due::Stalled { task, who, method }),
            Lateness::Stalled => (Lateness::Overdue, Due::Overdue { task, who, method }),
            Lateness::Overdue => return None,
        };
        self.lateness = lateness;
        Some(due)
    }
}

/// What is due.
#[derive(Debug)]
pub enum Due {
    /// This query is to be sent again.
    Again(SocketAddr, Vec<u8>),
    /// This task's query to that node stalls.
    Stalled {
        /// For whom it was asked.
        task: u64,
        /// Who was asked.
        who: Option<Contact>,
        /// What was asked.
        method: Method,
    },
    /// This task's query to that node has stalled for long: the second sending
    /// was not answered either.
    Overdue {
        /// For whom it was asked.
        task: u64,
        /// Who was asked.
        who: Option<Contact>,
        /// What was asked.
        method: Method,
    },
    /// This query failed.
    Failed(Asked),
}

/// All queries under way.
#[derive(Debug)]
pub struct Transactions {
    patience: Patience,
    open: HashMap<TransactionId, Asked>,
    /// One entry for each query; those of answered ones go when they are due
    /// or come to the top.
    due: BinaryHeap<Reverse<(Millis, TransactionId)>>,
    round_trips: RoundTrips,
}

impl Transactions {
    /// None yet.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            open: HashMap::new(),
            due: BinaryHeap::new(),
            round_trips: RoundTrips::default(),
        }
    }

    /// A query was sent.
    pub fn add(
        &mut self,
        t: TransactionId,
        (to, id): (SocketAddr, Option<NodeId>),
        method: Method,
        task: u64,
        packet: Vec<u8>,
        now: Millis,
    ) {
        let asked = Asked {
            to,
            id,
            method,
            task,
            sent: now,
            packet,
            sendings: 1,
            lateness: Lateness::OnTime,
        };
        let due = self.next_due(&asked);
        self.open.insert(t, asked);
        self.due.push(Reverse((due, t)));
    }

    fn next_due(&self, asked: &Asked) -> Millis {
        let Patience { delay, timeout } = self.patience;
        let again = match asked.sendings {
            1 => delay,
            2 => delay * 3,
            _ => timeout,
        };
        asked.sent + again.min(timeout).min(self.next_lateness(asked))
    }

    /// After so long the answer is later than the task was told.
    fn next_lateness(&self, asked: &Asked) -> Millis {
        let Patience { delay, timeout } = self.patience;
        match asked.lateness {
            Lateness::OnTime => self.round_trips.stall,
            Lateness::Stalled => (delay + delay / 2).max(self.round_trips.stall),
            Lateness::Overdue => timeout,
        }
    }

    /// An answer came. The query that it answers, if it came from where that
    /// was sent: a transaction id alone proves nothing.
    pub fn answered(&mut self, t: &TransactionId, from: &SocketAddr, now: Millis) -> Option<Asked> {
        if self.open.get(t)?.to != *from {
            return None;
        }
        let asked = self.open.remove(t)?;
        // An answer to a query that was sent twice may be to either.
        if asked.sendings == 1 {
            self.round_trips.add(now - asked.sent);
        }
        Some(asked)
    }

    /// What is due now, one by one.
    pub fn take_due(&mut self, now: Millis) -> Option<Due> {
        loop {
            let Reverse((due, t)) = *self.due.peek()?;
            if due > now {
                return None;
            }
            self.due.pop();
            let Some(asked) = self.open.get(&t) else {
                continue;
            };
            if due >= asked.sent + self.patience.timeout {
                return self.open.remove(&t).map(Due::Failed);
            }
            let is_late = now >= asked.sent + self.next_lateness(asked);
            let Some(asked) = self.open.get_mut(&t) else {
                continue;
            };
            let result = if is_late {
                asked.later()
            } else if (asked.sendings == 1 && due >= asked.sent + self.patience.delay)
                || (asked.sendings == 2 && due >= asked.sent + self.patience.delay * 3)
            {
                asked.sendings += 1;
                Some(Due::Again(asked.to, asked.packet.clone()))
            } else {
                None
            };
            if let Some(asked) = self.open.get(&t) {
                self.due.push(Reverse((self.next_due(asked), t)));
            }
            if result.is_some() {
                return result;
            }
        }
    }

    /// When the next one is due.
    pub fn wake(&mut self) -> Option<Millis> {
        while let Some(Reverse((due, t))) = self.due.peek() {
            if self.open.contains_key(t) {
                return Some(*due);
            }
            self.due.pop();
        }
        None
    }

    /// How many queries wait for their answers.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

/// The round trips lately measured.
#[derive(Debug)]
struct RoundTrips {
    recent: VecDeque<u16>,
    stall: Millis,
    until_next: u8,
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self {
            recent: VecDeque::new(),
            stall: STALL_UNMEASURED,
            until_next: 8,
        }
    }
}

impl RoundTrips {
    /// A query stalls when nine of ten answers would have come, and a little.
    fn add(&mut self, round_trip: Millis) {
        if self.recent.len() == SAMPLES {
            self.recent.pop_front();
        }
        let round_trip = round_trip.clamp(0, *STALL.end());
        self.recent
            .push_back(u16::try_from(round_trip).unwrap_or(u16::MAX));
        self.until_next -= 1;
        if self.until_next == 0 {
            self.until_next = 8;
            let mut sorted: Vec<_> = self.recent.iter().copied().collect();
            sorted.sort_unstable();
            let late = Millis::from(sorted[(sorted.len() * 9 / 10).min(sorted.len() - 1)]);
            self.stall = (late + late / 4 + 20).clamp(*STALL.start(), *STALL.end());
        }
    }
}
