//! Networks that one person may own all of: few nodes of each are believed.

use std::net::{IpAddr, SocketAddr};

use crate::dht::contact::usable;

/// Nodes of one neighbourhood in a bucket.
pub(super) const IN_BUCKET: usize = 2;

/// Nodes of one neighbourhood in the table.
pub(super) const IN_TABLE: usize = 10;

/// An IPv4 /24 or an IPv6 /48 of public addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dht) struct Neighbourhood(u64);

impl Neighbourhood {
    /// That of an address; private ones, which nobody rents by the thousand,
    /// have none.
    pub fn of(addr: &SocketAddr) -> Option<Self> {
        usable(addr, false).then(|| Self::around(addr))
    }

    fn around(addr: &SocketAddr) -> Self {
        match addr.ip() {
            IpAddr::V4(ip) => Self(u64::from(ip.to_bits() & 0xffff_ff00)),
            // The first 48 bits, and a set one that no IPv4 address has.
            IpAddr::V6(ip) => {
                let [first, second, third, ..] = ip.segments().map(u64::from);
                Self(1 << 48 | first << 32 | second << 16 | third)
            }
        }
    }

    pub fn has(self, addr: &SocketAddr) -> bool {
        Self::around(addr) == self
    }

    pub fn count<'a>(self, addrs: impl Iterator<Item = &'a SocketAddr>) -> usize {
        addrs.filter(|addr| self.has(addr)).count()
    }
}

/// Whether nodes at these addresses are not too many of any neighbourhood for
/// one bucket.
pub(super) fn may_share_bucket<'a>(addrs: &(impl Iterator<Item = &'a SocketAddr> + Clone)) -> bool {
    let mut neighbourhoods = addrs.clone().filter_map(Neighbourhood::of);
    neighbourhoods.all(|it| it.count(addrs.clone()) <= IN_BUCKET)
}
