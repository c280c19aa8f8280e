//! Asking: queries go out, answers and their absence come back.

use std::net::SocketAddr;

use super::{ActionId, Engine, Event};
use crate::clock::Millis;
use crate::dht::actions::{Ask, Task};
use crate::dht::contact::{Contact, Family};
use crate::dht::krpc::{self, Answer, Method, TransactionId};
use crate::dht::routing::Entered;
use crate::dht::transactions::{Asked, Due};

/// Queries under way at most, whoever wants them.
const OPEN: usize = 2048;

impl Engine {
    /// Sends a query of an action.
    pub(super) fn ask(&mut self, action: ActionId, ask: Ask, now: Millis) {
        let Ask { to, id, query } = ask;
        let (t, method) = (self.random(), query.method());
        let packet = krpc::query(&t, &self.own, &query);
        let Some(packet) = packet.filter(|_| self.transactions.open() < OPEN) else {
            if let Some(running) = self.running.get_mut(&action) {
                let who = id.map(|id| Contact::new(id, to));
                running.task.failed(who.as_ref(), method);
            }
            return;
        };
        let sent = packet.clone();
        self.transactions
            .add(t, (to, id), method, action, packet, now);
        self.send(to, sent, now);
    }

    /// Puts a packet into the outbox.
    pub(super) fn send(&mut self, to: SocketAddr, packet: Vec<u8>, now: Millis) {
        self.sent.count(packet.len(), now);
        self.reach.sent(&to, now);
        self.outbox.push((to, packet));
    }

    /// An answer came, perhaps to a question of ours.
    pub(super) fn take_answer(
        &mut self,
        from: SocketAddr,
        t: &TransactionId,
        mut answer: Answer,
        now: Millis,
    ) {
        let Some(asked) = self.transactions.answered(t, &from, now) else {
            return;
        };
        if answer.id == self.own || asked.id.is_some_and(|id| id != answer.id) {
            // It is not who it was said to be.
            if let Some(who) = asked.who() {
                self.tables[who.family() as usize].remove(&who);
                self.acquaintances.forget(&who);
            }
            return self.fail(&asked, now);
        }
        let contact = Contact::new(answer.id, from);
        let table = &self.tables[Family::of(&from) as usize];
        let is_new_introducer = asked.id.is_none() && table.get(&contact.id).is_none();
        self.note_answer(contact, asked.method, now);
        if is_new_introducer && self.is_welcome(&contact) {
            self.look_beyond(contact, now);
        }
        self.settle(now);
        if asked.method == Method::Join
            && let Some(seen) = answer.seen
            && self.may_know(&seen)
        {
            self.take_vote(&from, seen, now);
        }
        let Some(mut running) = self.running.remove(&asked.task) else {
            return;
        };
        let values = running
            .task
            .answered(&contact, asked.method, &mut answer, |contact| {
                self.is_welcome(contact)
            });
        if !values.is_empty() {
            if !std::mem::replace(&mut running.has_values, true) {
                self.first_values.add(now - running.since);
            }
            let action = asked.task;
            self.events.push(Event::Values { action, values });
        }
        self.running.insert(asked.task, running);
        self.drive(asked.task, now);
    }

    /// A node answered a query of ours.
    fn note_answer(&mut self, contact: Contact, method: Method, now: Millis) {
        self.heard = now;
        self.budget.answered(contact.addr.ip(), now);
        if !self.is_welcome(&contact) {
            return;
        }
        // Who asked us just before may be behind a NAT that lets our answers
        // and questions in for a while, and those of nobody else.
        let is_reached = !self.budget.asked_recently(&contact.addr, now);
        let table = &mut self.tables[Family::of(&contact.addr) as usize];
        let entered = table.answered(contact, is_reached, now);
        if is_reached && matches!(method, Method::FindNode | Method::FindValue) {
            self.acquaintances.answered(contact, now);
        }
        if let Entered::Waits { oldest } = entered
            && self.upkeep.may_probe_oldest(oldest.addr, now)
        {
            self.probe(oldest, now);
        }
    }

    /// A query failed.
    fn fail(&mut self, asked: &Asked, now: Millis) {
        if let Some(mut running) = self.running.remove(&asked.task) {
            running.task.failed(asked.who().as_ref(), asked.method);
            self.running.insert(asked.task, running);
            self.drive(asked.task, now);
        }
    }

    /// An error came in place of an answer: the node is there, and does not
    /// help with this. (An apt-p2p node fails so at its own cut of
    /// `get_value`.)
    pub(super) fn take_error(&mut self, from: SocketAddr, t: &TransactionId, now: Millis) {
        if let Some(asked) = self.transactions.answered(t, &from, now) {
            self.fail(&asked, now);
        }
    }

    /// Sends again what was not answered, and gives up what never will be.
    pub(super) fn advance_transactions(&mut self, now: Millis) {
        while let Some(due) = self.transactions.take_due(now) {
            match due {
                Due::Again(to, packet) => self.send(to, packet, now),
                Due::Stalled { task, who, method } => {
                    if let Some(running) = self.running.get_mut(&task) {
                        running.task.stalled(who.as_ref(), method);
                        self.drive(task, now);
                    }
                }
                Due::Overdue { task, who, method } => {
                    if let Some(running) = self.running.get_mut(&task) {
                        running.task.overdue(who.as_ref(), method);
                        self.drive(task, now);
                    }
                }
                Due::Failed(asked) => {
                    if let Some(who) = asked.who() {
                        let is_gone = self.tables[who.family() as usize].failed(&who, now);
                        self.acquaintances.forget(&who);
                        // Where nobody answers, the fault may be near us.
                        if is_gone && self.heard < asked.sent {
                            self.tables[who.family() as usize].lose(who);
                        }
                        if is_gone && !self.knows_anybody() {
                            self.upkeep.join_soon(now);
                        }
                    }
                    self.fail(&asked, now);
                }
            }
        }
    }

    /// Asks a node whether it is there.
    pub(super) fn probe(&mut self, contact: Contact, now: Millis) {
        use crate::dht::actions::Single;
        self.start_own(Task::Single(Single::ping(contact)), now);
    }
}
