//! Who lives where, and what they announce.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use aptmesh::clock::Millis;
use aptmesh::dht::id::{Key, NodeId};

use crate::network::{Dice, HostId};
use crate::plan::ANNOUNCEMENTS;

/// A place in the network: whoever leaves is followed by another at another address, of the same kind.
pub struct Resident {
    pub host: HostId,
    pub since: Millis,
    /// When each announcement is to be stored next.
    pub due: BinaryHeap<Reverse<(Millis, u8)>>,
    /// A bit for each that was stored.
    stored: u128,
}

impl Resident {
    pub fn new(host: HostId, since: Millis) -> Self {
        Self {
            host,
            since,
            due: BinaryHeap::new(),
            stored: 0,
        }
    }

    pub const fn stored(&mut self, number: u8) {
        self.stored |= 1 << number;
    }

    /// One of its announcements that was stored.
    pub fn any_stored(&self, dice: &mut Dice) -> Option<u8> {
        let number = dice.below(ANNOUNCEMENTS) as u8;
        (self.stored >> number & 1 == 1).then_some(number)
    }
}

/// Under which key a host publishes: the hash of a file.
pub fn key(host: HostId, number: u8) -> Key {
    let seed = (host.index() as u64) << 8 | u64::from(number);
    NodeId(Dice::new(seed).bytes())
}

/// What it publishes: its contact, and for larger files the pieces' hashes or their hash. Of the packages in an
/// archive about seven of ten have one piece.
pub fn value(contact: SocketAddr, number: u8) -> Vec<u8> {
    let SocketAddr::V4(contact) = contact else {
        panic!("the simulation has no IPv6")
    };
    let mut value = b"d1:c6:".to_vec();
    value.extend_from_slice(&contact.ip().octets());
    value.extend_from_slice(&contact.port().to_be_bytes());
    match number % 20 {
        0..14 => {}
        14..17 => {
            let pieces = 2 + usize::from(number) % 3;
            value.extend_from_slice(b"1:td1:li20e1:pi524288e1:t");
            value.extend_from_slice(format!("{}:", 20 * pieces).as_bytes());
            value.extend(std::iter::repeat_n(number, 20 * pieces));
            value.push(b'e');
        }
        _ => {
            value.extend_from_slice(b"1:h20:");
            value.extend_from_slice(&[number; 20]);
        }
    }
    value.push(b'e');
    value
}
