//! How much one process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors that database, listeners and folders take.
const OWN_DESCRIPTORS: u64 = 64;

/// How much this process may have open at once.
pub(super) struct Capacity {
    pub(super) connections: usize,
    /// Of other nodes: a crowd of them takes nothing from apt.
    pub(super) peer_connections: usize,
    pub(super) downloads: i64,
}

impl Capacity {
    /// Raises the limit of file descriptors as far as it goes, and divides it.
    pub(super) fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let soft = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        Self::of_descriptors(soft.unwrap_or(u64::MAX))
    }

    /// A connection takes a descriptor for itself and often one for the file
    /// it sends; a download takes a few while it connects and writes.
    fn of_descriptors(limit: u64) -> Self {
        let free = usize::try_from(limit.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(usize::MAX);
        Self {
            connections: (free / 3).clamp(4, 8192),
            peer_connections: (free / 16).clamp(2, 1024),
            downloads: i64::try_from(free / 8).unwrap_or(i64::MAX).clamp(2, 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_mean_few_connections_and_never_none() {
        let small = Capacity::of_descriptors(128);
        assert!(
            (small.connections + small.peer_connections) * 2 + 8 * 3 + 64 <= 140,
            "{}",
            small.connections
        );
        assert!(Capacity::of_descriptors(0).connections > 0);
        assert_eq!(Capacity::of_descriptors(u64::MAX).downloads, 64);
    }
}
