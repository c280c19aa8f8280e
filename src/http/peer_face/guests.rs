//! Who is connected, and that nobody takes all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::limit::Turn;
use crate::dht::contact::household_of;
use crate::visitors::{Face, Visitor, Visitors};

/// Connections that one address may have.
const OF_ONE: usize = 32;

/// Connections now.
#[derive(Debug)]
pub struct Guests {
    places: usize,
    of_one: usize,
    visitors: Arc<Visitors>,
    here: Mutex<Here>,
}

#[derive(Debug, Default)]
struct Here {
    connections: usize,
    /// By IPv4 address or IPv6 network.
    households: HashMap<IpAddr, Household>,
}

#[derive(Debug, Default)]
struct Household {
    connections: usize,
    turn: Arc<Turn>,
}

impl Guests {
    /// Room for so many connections.
    pub fn new(places: usize, visitors: Arc<Visitors>) -> Arc<Self> {
        Arc::new(Self {
            places,
            of_one: OF_ONE.min(places.div_ceil(2)),
            visitors,
            here: Mutex::default(),
        })
    }

    /// Takes a place for a connection, where there is one for its address.
    pub fn admit(self: &Arc<Self>, from: IpAddr) -> Option<Guest> {
        let address = household_of(from);
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        let others = here.households.get(&address);
        let is_full = here.connections >= self.places
            || others.is_some_and(|others| others.connections >= self.of_one);
        if is_full {
            return None;
        }
        here.connections += 1;
        let household = here.households.entry(address).or_default();
        household.connections += 1;
        Some(Guest {
            guests: Arc::clone(self),
            from,
            address,
            turn: Arc::clone(&household.turn),
            visitor: self.visitors.of(Face::Peer, address),
        })
    }

    fn leave(&self, address: IpAddr) {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.connections = here.connections.saturating_sub(1);
        if let Some(household) = here.households.get_mut(&address) {
            household.connections = household.connections.saturating_sub(1);
            if household.connections == 0 {
                here.households.remove(&address);
            }
        }
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    guests: Arc<Guests>,
    from: IpAddr,
    address: IpAddr,
    turn: Arc<Turn>,
    visitor: Arc<Visitor>,
}

impl Guest {
    /// Whose it is: what one address has in common.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The one address that it is connected from.
    pub const fn from(&self) -> IpAddr {
        self.from
    }

    /// Who it is, for the numbers.
    pub const fn visitor(&self) -> &Arc<Visitor> {
        &self.visitor
    }

    /// Its address's place in the line for the upload limit.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(number: usize) -> Arc<Guests> {
        Guests::new(number, Arc::new(Visitors::new(Arc::default())))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_gets_half_of_the_places_at_most() {
        let guests = places(10);
        let mut here: Vec<_> = std::iter::from_fn(|| guests.admit(ip("192.0.2.1"))).collect();
        assert_eq!(here.len(), 5);
        assert!(guests.admit(ip("::ffff:192.0.2.1")).is_none());
        here.extend(std::iter::from_fn(|| guests.admit(ip("192.0.2.2"))));
        assert_eq!(here.len(), 10);
        assert!(guests.admit(ip("192.0.2.3")).is_none());
        here.pop();
        assert!(guests.admit(ip("192.0.2.3")).is_some());
        assert_eq!(places(1000).of_one, OF_ONE);
        assert!(places(1).admit(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let guests = places(8);
        let first = guests.admit(ip("2001:db8::1")).unwrap();
        let second = guests.admit(ip("2001:db8::2")).unwrap();
        let other = guests.admit(ip("2001:db8:1::1")).unwrap();
        assert!(Arc::ptr_eq(&first.turn, &second.turn));
        assert!(!Arc::ptr_eq(&first.turn, &other.turn));
        let near = ["fd00::1", "fd00::2"].map(|near| guests.admit(ip(near)).unwrap());
        assert!(!Arc::ptr_eq(&near[0].turn, &near[1].turn));
        assert!(Arc::ptr_eq(first.visitor(), second.visitor()));
        assert!(!Arc::ptr_eq(first.visitor(), other.visitor()));
    }

    #[test]
    fn nothing_is_remembered_of_those_who_left() {
        let guests = places(8);
        for _ in 0..100 {
            let here = [guests.admit(ip("192.0.2.1")), guests.admit(ip("192.0.2.2"))];
            assert!(here.iter().all(Option::is_some));
        }
        let here = guests.here.lock().unwrap();
        assert_eq!((here.connections, here.households.len()), (0, 0));
    }
}
