//! What the engine does under one number: one action, or two in a row.

use std::collections::HashSet;

use super::{Ask, Crowd, Job, Recurring, Search, Single, Static};
use crate::dht::contact::Contact;
use crate::dht::id::Key;
use crate::dht::krpc::{Answer, Method};

/// Different values that one find collects.
const VALUES: usize = 1024;

/// Values that one answer can hold: the shortest with a contact in it takes 16
/// bytes. More would be junk that leaves no room for those of others.
const VALUES_OF_ONE: usize = 92;

/// One action, or two that belong together.
#[derive(Debug)]
pub enum Task {
    /// `find_value`, and `get_value` of each node as soon as it says that it
    /// has some.
    Find {
        /// The nodes around the key.
        search: Recurring,
        /// Those that have values.
        get: Static,
        /// Values that were told of.
        seen: HashSet<Vec<u8>>,
    },
    /// `find_node`, then `store_value` at the closest.
    Announce {
        /// The nodes around the key.
        search: Recurring,
        /// Those that are to keep it.
        store: Static,
        /// Whether the closest are known.
        is_storing: bool,
    },
    /// `find_node`, for the routing table's sake.
    Refresh(Recurring),
    /// `ping` or `join`.
    Single(Single),
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a find.
    Found {
        /// How many different values there were.
        values: usize,
        /// The nodes that answered, the closest first.
        closest: Vec<Contact>,
    },
    /// Of an announcement: how many nodes took it.
    Stored {
        /// Their number.
        nodes: usize,
    },
    /// Of a refresh or a single question.
    Done,
}

impl Task {
    /// Finds the values of a key.
    #[must_use]
    pub fn find(crowd: Crowd) -> Self {
        let (key, everybody) = (*crowd.target(), usize::MAX);
        Self::Find {
            search: Recurring::new(Search::Value, crowd),
            get: Static::new(Job::Get, Crowd::new(key, everybody, everybody)),
            seen: HashSet::new(),
        }
    }

    /// Stores a value at the `copies` closest nodes.
    #[must_use]
    pub fn announce(crowd: Crowd, value: Vec<u8>, copies: usize) -> Self {
        let key: Key = *crowd.target();
        Self::Announce {
            search: Recurring::new(Search::Node, crowd),
            store: Static::new(Job::Store(value), Crowd::new(key, copies, copies)),
            is_storing: false,
        }
    }

    /// Looks for the nodes around an id.
    #[must_use]
    pub const fn refresh(crowd: Crowd) -> Self {
        Self::Refresh(Recurring::new(Search::Node, crowd))
    }

    /// What is sent now.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        match self {
            Self::Find { search, get, .. } => {
                let mut asks = search.take_asks();
                asks.append(&mut get.take_asks());
                asks
            }
            Self::Announce {
                search,
                store,
                is_storing,
            } => {
                if *is_storing {
                    return store.take_asks();
                }
                let mut asks = search.take_asks();
                if asks.is_empty() && search.crowd().is_over() {
                    *is_storing = true;
                    // Those beyond the copies take the place of who fails.
                    for (contact, token) in search.crowd().those_who_answered() {
                        if let Some(token) = token {
                            store.crowd_mut().add(*contact, Some(token.clone()));
                        }
                    }
                }
                asks.append(&mut store.take_asks());
                asks
            }
            Self::Refresh(search) => search.take_asks(),
            Self::Single(single) => single.take_asks(),
        }
    }

    /// The crowd that a question of this kind went to.
    fn crowd_mut(&mut self, method: Method) -> Option<&mut Crowd> {
        match (self, method) {
            (Self::Find { search, .. }, Method::FindValue)
            | (Self::Announce { search, .. } | Self::Refresh(search), Method::FindNode) => {
                Some(search.crowd_mut())
            }
            (Self::Find { get, .. }, Method::GetValue) => Some(get.crowd_mut()),
            (Self::Announce { store, .. }, Method::StoreValue) => Some(store.crowd_mut()),
            _ => None,
        }
    }

    /// A node answered. Gives the values that are new.
    pub fn answered(
        &mut self,
        from: &Contact,
        method: Method,
        answer: &mut Answer,
        is_welcome: impl Fn(&Contact) -> bool,
    ) -> Vec<Vec<u8>> {
        match (self, method) {
            (Self::Find { search, get, .. }, Method::FindValue) => {
                search.answered(from, answer, is_welcome);
                if answer.num.is_some_and(|num| num > 0) {
                    get.crowd_mut().add(*from, None);
                }
            }
            (Self::Announce { search, .. } | Self::Refresh(search), Method::FindNode) => {
                search.answered(from, answer, is_welcome);
            }
            (Self::Find { get, seen, .. }, Method::GetValue) => {
                get.crowd_mut().answered(from, None);
                let values = answer.values.take().unwrap_or_default().into_iter();
                return values
                    .take(VALUES_OF_ONE)
                    .filter(|value| seen.len() < VALUES && seen.insert(value.clone()))
                    .collect();
            }
            (Self::Announce { store, .. }, Method::StoreValue) => {
                store.crowd_mut().answered(from, None);
            }
            (Self::Single(single), _) => single.end(),
            _ => {}
        }
        Vec::new()
    }

    /// A node is slower than others.
    pub fn stalled(&mut self, who: Option<&Contact>, method: Method) {
        if let (Some(crowd), Some(who)) = (self.crowd_mut(method), who) {
            crowd.stalled(who);
        }
    }

    /// A node has been slower than others for long: whoever asks for values is
    /// not kept waiting by one that said it had some. If it answers after all
    /// while the task is there, it is heard.
    pub fn overdue(&mut self, who: Option<&Contact>, method: Method) {
        if method == Method::GetValue {
            self.failed(who, method);
        }
    }

    /// A node did not answer, or wrongly.
    pub fn failed(&mut self, who: Option<&Contact>, method: Method) {
        if let Self::Single(single) = self {
            single.end();
        } else if let (Some(crowd), Some(who)) = (self.crowd_mut(method), who) {
            crowd.failed(who);
        }
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Find { search, get, seen } => (search.crowd().is_over() && get.crowd().is_over())
                .then(|| Outcome::Found {
                    values: seen.len(),
                    closest: closest(search),
                }),
            Self::Announce {
                store, is_storing, ..
            } => (*is_storing && store.crowd().is_over()).then(|| Outcome::Stored {
                nodes: store.crowd().those_who_answered().count(),
            }),
            Self::Refresh(search) => search.crowd().is_over().then_some(Outcome::Done),
            Self::Single(single) => single.is_over().then_some(Outcome::Done),
        }
    }

    /// The lookup of this task.
    #[must_use]
    pub const fn search(&self) -> Option<&Recurring> {
        match self {
            Self::Find { search, .. } | Self::Announce { search, .. } | Self::Refresh(search) => {
                Some(search)
            }
            Self::Single(_) => None,
        }
    }
}

fn closest(search: &Recurring) -> Vec<Contact> {
    let answered = search.crowd().those_who_answered();
    answered
        .map(|(contact, _)| *contact)
        .take(2 * search.crowd().wide())
        .collect()
}
