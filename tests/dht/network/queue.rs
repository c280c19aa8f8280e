//! What is going to happen, in order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use aptmesh::clock::Millis;

/// A packet on its way.
pub struct Packet {
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What is due.
pub enum Due {
    /// The host may have something to do.
    Wake { host: u32 },
    /// The packet reaches the host's network.
    Arrival { host: u32, packet: Packet },
}

/// In `slot`, where the entry is no packet.
const NO_PACKET: u32 = u32::MAX;

/// `order` keeps what falls on the same millisecond in the order in which it was put in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    at: Millis,
    order: u64,
    host: u32,
    slot: u32,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One heap of small entries; packets lie beside it.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    packets: Vec<Option<Packet>>,
    free: Vec<u32>,
    order: u64,
}

impl Queue {
    pub fn wake(&mut self, at: Millis, host: u32) {
        self.push(at, host, NO_PACKET);
    }

    pub fn arrival(&mut self, at: Millis, host: u32, packet: Packet) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.packets.push(None);
            u32::try_from(self.packets.len() - 1).unwrap()
        });
        self.packets[slot as usize] = Some(packet);
        self.push(at, host, slot);
    }

    /// The next thing up to `end`, and when it happens.
    pub fn next(&mut self, end: Millis) -> Option<(Millis, Due)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        let Entry { at, host, slot, .. } = self.heap.pop()?.0;
        if slot == NO_PACKET {
            return Some((at, Due::Wake { host }));
        }
        self.free.push(slot);
        let packet = self.packets[slot as usize].take().unwrap();
        Some((at, Due::Arrival { host, packet }))
    }

    fn push(&mut self, at: Millis, host: u32, slot: u32) {
        self.order += 1;
        self.heap.push(Reverse(Entry {
            at,
            order: self.order,
            host,
            slot,
        }));
    }
}
