//! A short look whether an address may be in the table, in place of a long one
//! through all buckets for every node that is not.

use std::net::{IpAddr, SocketAddr};

/// Of how many addresses that are gone prints are left, beside as many as
/// there are addresses.
const STALE: usize = 32;

/// Prints of all addresses in the table, and of some that have gone.
#[derive(Debug, Default)]
pub(super) struct Prints {
    prints: Vec<u32>,
    /// How many they may become until those of the gone are cleared out.
    at_most: usize,
}

impl Prints {
    /// Adds an address that enters beside `all` there are, or is one of them.
    pub fn add<'a, I>(&mut self, addr: &SocketAddr, all: impl Fn() -> I)
    where
        I: Iterator<Item = &'a SocketAddr>,
    {
        if self.prints.len() >= self.at_most {
            self.prints.clear();
            self.prints.extend(all().map(print));
            self.at_most = 2 * self.prints.len() + STALE;
            self.prints.reserve_exact(self.at_most - self.prints.len());
        }
        self.prints.push(print(addr));
    }

    /// `false`: it is certainly not there.
    pub fn may_have(&self, addr: &SocketAddr) -> bool {
        self.prints.contains(&print(addr))
    }
}

fn print(addr: &SocketAddr) -> u32 {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => ip.segments().chunks_exact(2).fold(0, |print: u32, pair| {
            let pair = pair
                .iter()
                .fold(0, |bits, half| bits << 16 | u32::from(*half));
            print.wrapping_mul(0x9e37_79b1) ^ pair
        }),
    };
    // Odd multipliers, so that neighbours differ in all of the upper bits.
    ip.wrapping_mul(0x9e37_79b1) ^ u32::from(addr.port()).wrapping_mul(0x85eb_ca6b)
}
