//! Nodes that were given up while nobody at all answered: when the line is
//! back, they may be all that can introduce us. Their rows stay, so that who is
//! started again before that still knows whom to ask.

use std::collections::VecDeque;

use super::RoutingTable;
use crate::dht::contact::Contact;
use crate::dht::id::NodeId;

/// Nodes remembered.
pub(super) const LOST: usize = 32;

/// None of them has a place in the table, and no id and no address is there
/// twice.
#[derive(Debug, Default)]
pub(super) struct Lost(VecDeque<(Contact, HasRow)>);

type HasRow = bool;

impl Lost {
    fn take(&mut self, is_it: impl Fn(&Contact) -> bool) -> Option<(Contact, HasRow)> {
        let position = self.0.iter().position(|(contact, _)| is_it(contact))?;
        self.0.remove(position)
    }

    /// A node with this id has a place again; whether it has a row.
    pub fn found(&mut self, id: &NodeId) -> HasRow {
        let found = self.take(|contact| contact.id == *id);
        found.is_some_and(|(_, has_row)| has_row)
    }

    #[cfg(test)]
    pub fn rows(&self) -> impl Iterator<Item = &Contact> {
        let rows = self.0.iter().filter(|(_, has_row)| *has_row);
        rows.map(|(contact, _)| contact)
    }
}

impl RoutingTable {
    /// Remembers a node that was removed just now.
    pub fn lose(&mut self, contact: Contact) {
        if let Some(same) = self.lost.take(|lost| lost.addr == contact.addr) {
            self.forget(same);
        }
        let position = self.gone.iter().position(|gone| *gone == contact.id);
        if let Some(position) = position {
            self.gone.swap_remove(position);
        }
        self.lost.0.push_back((contact, position.is_some()));
        if self.lost.0.len() > LOST
            && let Some(oldest) = self.lost.0.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// The nodes that are remembered so.
    pub fn lost(&self) -> impl Iterator<Item = &Contact> {
        self.lost.0.iter().map(|(contact, _)| contact)
    }

    /// Others are known again: nobody who was lost is needed.
    pub fn forget_lost(&mut self) {
        for lost in std::mem::take(&mut self.lost).0 {
            self.forget(lost);
        }
    }

    fn forget(&mut self, (contact, has_row): (Contact, HasRow)) {
        if has_row {
            self.gone.push(contact.id);
        }
    }
}
