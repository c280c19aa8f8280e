//! `find_node` and `find_value`: over a set of nodes that grows by the answers.

use super::{Ask, Crowd};
use crate::dht::contact::Contact;
use crate::dht::krpc::{Answer, Query};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Nodes, and tokens for storing at them.
    Node,
    /// Nodes, and how many values they have.
    Value,
}

/// A lookup.
#[derive(Debug, Clone)]
pub struct Recurring {
    search: Search,
    crowd: Crowd,
}

impl Recurring {
    /// A lookup around what `crowd` is around.
    #[must_use]
    pub const fn new(search: Search, crowd: Crowd) -> Self {
        Self { search, crowd }
    }

    /// What is sent now.
    pub fn take_asks(&mut self) -> Vec<Ask> {
        let target = *self.crowd.target();
        let query = match self.search {
            Search::Node => Query::FindNode { target },
            Search::Value => Query::FindValue { key: target },
        };
        let asked = self.crowd.take_next().into_iter();
        asked
            .map(|(contact, _)| Ask {
                to: contact.addr,
                id: Some(contact.id),
                query: query.clone(),
            })
            .collect()
    }

    /// A node answered. Of the nodes that it names, `is_welcome` decides, and
    /// of each family no more than an honest answer holds are looked at.
    pub fn answered(
        &mut self,
        from: &Contact,
        answer: &mut Answer,
        is_welcome: impl Fn(&Contact) -> bool,
    ) {
        self.crowd.answered(from, answer.token.take());
        let mut room = [self.crowd.wide(); 2];
        for contact in answer.nodes.iter().filter(|contact| is_welcome(contact)) {
            let room = &mut room[contact.family() as usize];
            if *room > 0 {
                *room -= 1;
                self.crowd.add(*contact, None);
            }
        }
    }

    /// Who is asked.
    #[must_use]
    pub const fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Who is asked.
    pub const fn crowd_mut(&mut self) -> &mut Crowd {
        &mut self.crowd
    }
}
