//! The hard kind of NAT.

use std::net::SocketAddr;

use aptmesh::clock::Millis;

use super::address::Map;

/// How long a hole stays open after the inside last sent through it, in milliseconds.
pub const HOLE: Millis = 120_000;

/// A NAT with address-and-port-dependent filtering (RFC 4787 §5): a packet gets in only from the very address and
/// port to which the inside sent within [`HOLE`]. What comes in does not keep the hole open.
#[derive(Default)]
pub struct Nat {
    holes: Map<SocketAddr, Millis>,
    /// Closed holes are swept out when there are so many.
    sweep_at: usize,
}

impl Nat {
    /// The inside sends to `to`.
    pub fn sends(&mut self, to: SocketAddr, now: Millis) {
        if self.holes.len() >= self.sweep_at {
            self.holes.retain(|_, opened| now - *opened <= HOLE);
            self.sweep_at = (2 * self.holes.len()).max(64);
        }
        self.holes.insert(to, now);
    }

    /// Whether a packet from `from` gets in.
    pub fn lets_in(&self, from: &SocketAddr, now: Millis) -> bool {
        self.holes
            .get(from)
            .is_some_and(|opened| now - opened <= HOLE)
    }
}
