//! Answering what others ask.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::seq::SliceRandom;

use super::Engine;
use crate::clock::Millis;
use crate::dht::contact::{Contact, Family, usable};
use crate::dht::id::{Key, NodeId};
use crate::dht::krpc::{self, Incoming, Query, Reply, TransactionId, code};
use crate::dht::values::Stored;
use crate::swarm::value::FileValue;

impl Engine {
    /// A packet came. Whatever it holds, it draws at most one answer.
    pub fn receive(&mut self, from: SocketAddr, packet: &[u8], now: Millis) {
        let from = crate::dht::contact::canonical(from);
        self.received.count(packet.len(), now);
        match krpc::decode(packet) {
            Some(Incoming::Answer { t, answer }) => self.take_answer(from, &t, answer, now),
            Some(Incoming::Error { t, .. }) => self.take_error(from, &t, now),
            Some(Incoming::Refused { t, code, text }) => {
                // It never draws more bytes than it weighs.
                if self.budget.may_answer(from.ip(), now)
                    && let Some(error) = krpc::error(&t, code, text, packet.len())
                {
                    self.send(from, error, now);
                }
            }
            Some(Incoming::Query { t, id, query })
                if id != self.own && self.budget.may_answer(from.ip(), now) =>
            {
                if self.may_know(&from) {
                    self.reach.came(&from, now);
                }
                self.answer(from, &t, query, now);
                self.consider(Contact::new(id, from), now);
            }
            None | Some(Incoming::Query { .. }) => {}
        }
    }

    fn answer(&mut self, from: SocketAddr, t: &TransactionId, query: Query, now: Millis) {
        let is_v6 = Family::of(&from) == Family::V6;
        let reply = match query {
            Query::Ping => Ok(Reply::Ping),
            Query::Join => Ok(Reply::Join { seen: from }),
            Query::FindNode { target } => Ok(Reply::FindNode {
                nodes: self.closest(&target, is_v6),
                token: self.tokens.issue(from.ip()),
            }),
            Query::FindValue { key } => Ok(Reply::FindValue {
                nodes: self.closest(&key, is_v6),
                num: self.values.count(&key, now),
            }),
            Query::GetValue { key, num } => Ok(Reply::GetValue {
                values: self.some_values(&key, num, now),
            }),
            Query::StoreValue { key, value, token } => {
                if self.tokens.accepts(from.ip(), &token) {
                    self.keep(key, value, from, now)
                } else {
                    Err((code::INVALID_TOKEN, "the token is not good"))
                }
            }
        };
        let packet = match reply {
            Ok(reply) => krpc::reply(t, &self.own, &reply, is_v6, &mut self.rng),
            Err((code, text)) => match krpc::error(t, code, text, krpc::MAX_PACKET) {
                Some(packet) => packet,
                None => return,
            },
        };
        self.send(from, packet, now);
    }

    /// The closest nodes that we know; those of IPv6 only for who has it.
    fn closest(&self, target: &NodeId, with_v6: bool) -> Vec<Contact> {
        let mut nodes = self.tables[Family::V4 as usize].closest(target, self.settings.k);
        if with_v6 {
            nodes.append(&mut self.tables[Family::V6 as usize].closest(target, self.settings.k));
        }
        nodes
    }

    /// As many values as were asked for, by chance; 0 asks for all.
    fn some_values(&mut self, key: &Key, num: u32, now: Millis) -> Vec<Arc<[u8]>> {
        let mut values: Vec<_> = self.values.get(key, now).cloned().collect();
        let wanted = usize::try_from(num).unwrap_or(usize::MAX);
        if (1..values.len()).contains(&wanted) {
            values.shuffle(&mut self.rng);
            values.truncate(wanted);
        }
        values
    }

    /// Keeps a value for others.
    fn keep(
        &mut self,
        key: Key,
        value: Vec<u8>,
        from: SocketAddr,
        now: Millis,
    ) -> Result<Reply, (i64, &'static str)> {
        let names_a_private_address = FileValue::decode(&value)
            .is_ok_and(|file| !usable(&file.contact, self.settings.allow_private));
        if names_a_private_address {
            return Err((code::GENERIC, "the contact is not a public address"));
        }
        let expires = now + self.settings.key_expire;
        match self.values.store(key, value, from.ip(), expires) {
            Stored::New | Stored::Renewed => Ok(Reply::StoreValue),
            Stored::Refused => Err((code::GENERIC, "there is no room for the value")),
        }
    }

    /// Who asked may be a node for the routing table, if it answers as well.
    fn consider(&mut self, contact: Contact, now: Millis) {
        self.budget.note_query(contact.addr, now);
        let table = &self.tables[Family::of(&contact.addr) as usize];
        if self.is_welcome(&contact)
            && table.wants(&contact)
            && self.upkeep.may_probe(contact.addr, now)
        {
            self.probe(contact, now);
        }
    }
}
