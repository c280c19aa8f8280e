//! What was sent, and what became of it.

use std::collections::BTreeSet;

use aptmesh::dht::id::{Key, NodeId};

use super::address::Map;
use super::host::HostId;

/// Messages by their place in the protocol. Answers are told apart by what they hold, for they do not name their
/// query: an answer with nothing but an id is one to `ping` or to `store_value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ping,
    Join,
    FindNode,
    FindValue,
    GetValue,
    StoreValue,
    Done,
    Joined,
    Nodes,
    NodesAndNum,
    Values,
    Error,
    Other,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Ping,
        Self::Join,
        Self::FindNode,
        Self::FindValue,
        Self::GetValue,
        Self::StoreValue,
        Self::Done,
        Self::Joined,
        Self::Nodes,
        Self::NodesAndNum,
        Self::Values,
        Self::Error,
        Self::Other,
    ];

    /// Reads no more than the fixed places of a packet with sorted keys.
    pub fn of(packet: &[u8]) -> Self {
        let Some((head, tail)) = packet.split_last_chunk::<33>() else {
            return Self::Other;
        };
        if !tail.starts_with(b"1:t20:") {
            return Self::Other;
        }
        match tail[31] {
            b'q' => Self::of_query(head),
            b'r' => Self::of_answer(head),
            b'e' => Self::Error,
            _ => Self::Other,
        }
    }

    fn of_query(head: &[u8]) -> Self {
        let name = head.rsplit(|byte| *byte == b':').next();
        match name.unwrap_or_default() {
            b"ping" => Self::Ping,
            b"join" => Self::Join,
            b"find_node" => Self::FindNode,
            b"find_value" => Self::FindValue,
            b"get_value" => Self::GetValue,
            b"store_value" => Self::StoreValue,
            _ => Self::Other,
        }
    }

    fn of_answer(head: &[u8]) -> Self {
        match head.get(32..).unwrap_or_default() {
            b"e" => Self::Done,
            [b'7', ..] => Self::Joined,
            [b'6', b':', b'v', ..] => Self::Values,
            [b'5' | b'6', ..] if head.ends_with(b"ee") => Self::NodesAndNum,
            [b'5' | b'6', ..] => Self::Nodes,
            _ => Self::Other,
        }
    }

    pub const fn is_query(self) -> bool {
        (self as usize) < Self::Done as usize
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Lost,
    /// Nobody is there, or nobody any more.
    Nobody,
    /// A NAT dropped it.
    Filtered,
}

impl Fate {
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Lost, Self::Nobody, Self::Filtered];
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub packets: u64,
    /// UDP payload.
    pub bytes: u64,
}

/// What was asked for one watched key.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Of `find_value` and `get_value` queries.
    transactions: BTreeSet<[u8; 20]>,
    /// Of their packets, repeated ones included.
    fates: [u64; Fate::ALL.len()],
    /// Who got a `store_value` query.
    stored_at: Vec<HostId>,
}

impl Trace {
    pub fn queries(&self) -> usize {
        self.transactions.len()
    }

    pub fn packets(&self, fate: Fate) -> u64 {
        self.fates[fate as usize]
    }
}

#[derive(Default)]
pub struct Meter {
    counts: [[Count; Fate::ALL.len()]; Kind::ALL.len()],
    /// All that came to an end since the start.
    pub packets: u64,
    /// The longest packet of an engine, in bytes of UDP payload.
    pub longest: usize,
    /// How often an engine wanted to be woken again at the very time that it was woken for.
    pub restless: u64,
    /// Where two ask for the same key, they share a trace.
    watched: Map<Key, Trace>,
}

impl Meter {
    pub fn count(&self, kind: Kind, fate: Fate) -> Count {
        self.counts[kind as usize][fate as usize]
    }

    /// Forgets the counts, not the rest.
    pub fn reset_counts(&mut self) {
        self.counts = <[[Count; Fate::ALL.len()]; Kind::ALL.len()]>::default();
    }

    pub fn watch(&mut self, key: Key) {
        self.watched.entry(key).or_default();
    }

    pub fn unwatch(&mut self, key: &Key) -> Trace {
        self.watched.remove(key).unwrap_or_default()
    }

    /// To whom a value of a watched key was brought.
    pub fn stored_at(&self, key: &Key) -> &[HostId] {
        self.watched
            .get(key)
            .map_or(&[], |trace| &trace.stored_at[..])
    }

    /// A packet to `host` came to its end, wherever that was.
    pub(super) fn note(&mut self, packet: &[u8], fate: Fate, host: Option<HostId>) {
        let kind = Kind::of(packet);
        let count = &mut self.counts[kind as usize][fate as usize];
        self.packets += 1;
        count.packets += 1;
        count.bytes += packet.len() as u64;
        if self.watched.is_empty() {
            return;
        }
        match kind {
            Kind::FindValue | Kind::GetValue => {
                if let Some(trace) = self.trace(packet) {
                    let transaction = packet[packet.len() - 27..packet.len() - 7].try_into();
                    trace.transactions.insert(transaction.unwrap());
                    trace.fates[fate as usize] += 1;
                }
            }
            Kind::StoreValue if fate == Fate::Delivered => {
                if let Some(trace) = self.trace(packet) {
                    trace.stored_at.extend(host);
                }
            }
            _ => {}
        }
    }

    /// Of the key of a query that has one, where it is watched.
    fn trace(&mut self, packet: &[u8]) -> Option<&mut Trace> {
        let key = packet.get(40..60)?.try_into().ok()?;
        self.watched.get_mut(&NodeId(key))
    }
}
