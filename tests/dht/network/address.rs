//! Addresses: how hosts get them, and how they are found by them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aptmesh::dht::contact::{Family, usable};

use super::dice::{Dice, mix};

/// A hash for keys that no adversary chose: every packet is looked up by its address.
#[derive(Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        mix(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// A map for the hot path.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Which families of addresses a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    V4,
    V6,
    Both,
}

/// The addresses of one host: at least one of them.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub v4: Option<SocketAddr>,
    pub v6: Option<SocketAddr>,
}

impl Addresses {
    /// Public addresses that nobody has yet, in networks all over the world.
    pub fn fresh(families: Families, dice: &mut Dice, taken: &Map<SocketAddr, u32>) -> Self {
        let v4 = (families != Families::V6).then(|| unused(dice, taken, v4));
        let v6 = (families != Families::V4).then(|| unused(dice, taken, v6));
        Self { v4, v6 }
    }

    /// Exactly this address.
    pub const fn only(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Self {
                v4: Some(addr),
                v6: None,
            },
            SocketAddr::V6(_) => Self {
                v4: None,
                v6: Some(addr),
            },
        }
    }

    /// The one that others are told of.
    pub fn main(&self) -> SocketAddr {
        self.v4.or(self.v6).unwrap()
    }

    /// The one that a packet to `to` comes from.
    pub const fn towards(&self, to: &SocketAddr) -> Option<SocketAddr> {
        match to {
            SocketAddr::V4(_) => self.v4,
            SocketAddr::V6(_) => self.v6,
        }
    }

    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.all().map(|addr| Family::of(&addr))
    }

    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.v4.into_iter().chain(self.v6)
    }
}

fn unused(
    dice: &mut Dice,
    taken: &Map<SocketAddr, u32>,
    make: fn(&mut Dice) -> IpAddr,
) -> SocketAddr {
    loop {
        let port = 1024 + u16::try_from(dice.below(60_000)).unwrap();
        let addr = SocketAddr::new(make(dice), port);
        if usable(&addr, false) && !taken.contains_key(&addr) {
            return addr;
        }
    }
}

fn v4(dice: &mut Dice) -> IpAddr {
    Ipv4Addr::from(dice.bytes::<4>()).into()
}

fn v6(dice: &mut Dice) -> IpAddr {
    let mut octets = dice.bytes::<16>();
    octets[..2].copy_from_slice(&[0x2a, 0x01]);
    Ipv6Addr::from(octets).into()
}
