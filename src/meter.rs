//! Counters that requests add to and a worker writes to rows.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of bodies from origins.
    FromMirrors,
    /// Bytes of bodies from other nodes.
    FromPeers,
    /// Bytes of bodies to apt clients.
    ToClients,
    /// Bytes of bodies to other nodes.
    ToPeers,
    /// Requests answered from the cache.
    Hits,
    /// Requests that an origin had to answer.
    Misses,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 6] = [
        Self::FromMirrors,
        Self::FromPeers,
        Self::ToClients,
        Self::ToPeers,
        Self::Hits,
        Self::Misses,
    ];

    /// The kind as rows spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FromMirrors => "from_mirrors",
            Self::FromPeers => "from_peers",
            Self::ToClients => "to_clients",
            Self::ToPeers => "to_peers",
            Self::Hits => "hits",
            Self::Misses => "misses",
        }
    }
}

/// What was counted since it was last written to rows.
#[derive(Debug, Default)]
pub struct Meters([AtomicU64; Kind::ALL.len()]);

impl Meters {
    /// Adds to a counter.
    pub fn add(&self, kind: Kind, amount: u64) {
        self.0[kind as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// What waits to be written.
    #[must_use]
    pub fn pending(&self, kind: Kind) -> u64 {
        self.0[kind as usize].load(Ordering::Relaxed)
    }

    /// Notes that these amounts are in rows now.
    pub fn written(&self, amounts: &[(Kind, u64)]) {
        for (kind, amount) in amounts {
            self.0[*kind as usize].fetch_sub(*amount, Ordering::Relaxed);
        }
    }
}
