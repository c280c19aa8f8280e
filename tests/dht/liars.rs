//! Those who do not play fair.

use std::any::Any;
use std::net::{Ipv4Addr, SocketAddr};

use rand::SeedableRng;
use rand::rngs::StdRng;

use aptmesh::clock::Millis;
use aptmesh::dht::contact::Contact;
use aptmesh::dht::id::{Key, NodeId};
use aptmesh::dht::krpc::{self, Incoming, Query, Reply, TransactionId};

use crate::network::{Air, Dice, HOUR, HostId, Kind, MINUTE, Raw, SECOND};
use crate::village::Village;

/// What is wrong with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vice {
    /// Names made-up nodes right beside the target, and says that it has values.
    Invents,
    /// Names as many made-up nodes as fit into a packet.
    Overfills,
    /// Names its accomplices and nobody else.
    Conspires,
    /// Says that it has values, and tells none.
    Withholds,
    /// Has another id in each answer.
    Changes,
    /// Asks, and never answers.
    Silent,
    /// Answers with what is no answer.
    Garbles,
    /// Says of each query that it is wrong.
    Refuses,
}

/// A node that lies, and asks everybody so as to be known.
pub struct Liar {
    vice: Vice,
    id: NodeId,
    victims: Vec<SocketAddr>,
    accomplices: Vec<Contact>,
    rng: StdRng,
    /// Queries that it was asked.
    pub asked: usize,
}

/// How often a liar asks each of its victims: so seldom that no NAT's hole explains that it is reached.
const ASKS_EVERY: Millis = HOUR;

/// Moves `count` liars into `village`, and gives them time to become known.
pub fn move_in(village: &mut Village, vice: Vice, count: usize) -> Vec<HostId> {
    let victims: Vec<_> = village
        .nodes
        .iter()
        .map(|host| village.network.addresses(*host).main())
        .collect();
    let hosts: Vec<_> = (0..count)
        .map(|_| village.network.add(Kind::OPEN))
        .collect();
    let accomplices: Vec<_> = hosts
        .iter()
        .map(|host| {
            let addr = village.network.addresses(*host).main();
            Contact::new(village.network.id(*host), addr)
        })
        .collect();
    for (host, seed) in hosts.iter().zip(0..) {
        let liar = Liar {
            vice,
            id: village.network.id(*host),
            victims: victims.clone(),
            accomplices: accomplices.clone(),
            rng: StdRng::seed_from_u64(seed),
            asked: 0,
        };
        village.network.start_raw(*host, liar);
    }
    village.network.run_for(40 * MINUTE);
    hosts
}

/// An id that shares all but the last bytes with `target`.
fn beside(target: &Key, dice: &mut Dice) -> NodeId {
    let mut id = target.0;
    id[16..].copy_from_slice(&dice.bytes::<4>());
    NodeId(id)
}

impl Liar {
    fn nodes(&self, target: &Key, dice: &mut Dice) -> Vec<Contact> {
        if matches!(self.vice, Vice::Conspires | Vice::Withholds) {
            let mut nodes = self.accomplices.clone();
            nodes.sort_by_key(|contact| contact.id.distance(target));
            nodes.truncate(8);
            return nodes;
        }
        let somewhere = |dice: &mut Dice| {
            let octets = dice.bytes::<2>();
            SocketAddr::from((Ipv4Addr::new(81, 7, octets[0], octets[1]), 4000))
        };
        let count = if self.vice == Vice::Overfills { 44 } else { 8 };
        (0..count)
            .map(|_| Contact::new(beside(target, dice), somewhere(dice)))
            .collect()
    }

    fn answer(&mut self, t: &TransactionId, query: &Query, dice: &mut Dice) -> Option<Vec<u8>> {
        let id = match self.vice {
            Vice::Changes => NodeId(dice.bytes()),
            _ => self.id,
        };
        let reply = match query {
            Query::Ping => Reply::Ping,
            Query::Join => Reply::Join {
                seen: SocketAddr::from(([81, 7, 7, 7], 7)),
            },
            Query::FindNode { target } => Reply::FindNode {
                nodes: self.nodes(target, dice),
                token: dice.bytes(),
            },
            Query::FindValue { key } => Reply::FindValue {
                nodes: self.nodes(key, dice),
                num: 1000,
            },
            Query::GetValue { .. } => Reply::GetValue {
                values: (0..40).map(|_| dice.bytes::<20>().into()).collect(),
            },
            Query::StoreValue { .. } => Reply::StoreValue,
        };
        match self.vice {
            Vice::Silent => None,
            Vice::Withholds if matches!(query, Query::GetValue { .. }) => None,
            Vice::Garbles => Some(dice.bytes::<300>().to_vec()),
            Vice::Refuses => krpc::error(t, 201, "not today", 1472),
            _ => Some(krpc::reply(t, &id, &reply, false, &mut self.rng)),
        }
    }
}

impl Raw for Liar {
    fn hear(&mut self, from: SocketAddr, packet: &[u8], air: &mut Air) {
        if let Some(Incoming::Query { t, query, .. }) = krpc::decode(packet) {
            self.asked += 1;
            if let Some(answer) = self.answer(&t, &query, air.dice) {
                air.send(from, answer);
            }
        }
    }

    fn wake(&mut self, air: &mut Air) {
        for victim in &self.victims {
            let query = krpc::query(&air.dice.bytes(), &self.id, &Query::Ping);
            air.send(*victim, query.unwrap());
        }
        air.wake_at(air.now + ASKS_EVERY);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Sends the same kind of packet again and again, from its own address or from any.
pub struct Flooder {
    pub victim: SocketAddr,
    pub packets_per_second: usize,
    pub is_forging: bool,
    pub make: fn(&mut Dice) -> Vec<u8>,
    pub until: Millis,
    pub sent_bytes: u64,
    pub heard_bytes: u64,
}

impl Raw for Flooder {
    fn hear(&mut self, _from: SocketAddr, packet: &[u8], _air: &mut Air) {
        self.heard_bytes += packet.len() as u64;
    }

    fn wake(&mut self, air: &mut Air) {
        if air.now > self.until {
            return;
        }
        for _ in 0..self.packets_per_second / 20 {
            let packet = (self.make)(air.dice);
            self.sent_bytes += packet.len() as u64;
            if self.is_forging {
                let octets = air.dice.bytes::<2>();
                let ip = Ipv4Addr::new(81, 7, octets[0], octets[1]);
                air.send_as(SocketAddr::from((ip, 5000)), self.victim, packet);
            } else {
                air.send(self.victim, packet);
            }
        }
        air.wake_at(air.now + SECOND / 20);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
