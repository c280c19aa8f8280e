//! Values that are stored once and never again by their publishers.

use aptmesh::dht::id::Key;

use crate::network::Network;

#[derive(Clone, Debug)]
pub struct Probe {
    pub key: Key,
    pub value: Vec<u8>,
    /// At how many nodes it was stored, as the publisher was told; `None` where it left before.
    pub stored: Option<usize>,
    pub is_asked: bool,
    pub is_found: bool,
    /// Share of those who were given it that were still there when it was asked for.
    pub kept_by: f64,
}

impl Probe {
    pub const fn new(key: Key, value: Vec<u8>) -> Self {
        Self {
            key,
            value,
            stored: None,
            is_asked: false,
            is_found: false,
            kept_by: 0.0,
        }
    }

    /// Somebody asks for it now.
    pub fn asked(&mut self, network: &Network) {
        self.is_asked = true;
        let holders = network.meter.stored_at(&self.key);
        let up = holders.iter().filter(|host| network.is_up(**host)).count();
        self.kept_by = up as f64 / holders.len().max(1) as f64;
    }
}

/// What became of the probes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survival {
    pub asked: usize,
    /// Share that was found.
    pub found: f64,
    /// Share that somebody still had: more cannot be found.
    pub kept: f64,
    /// Nodes that a value was stored at, on average.
    pub copies: f64,
    /// Share of these nodes that were still there.
    pub holders: f64,
}

impl Survival {
    pub fn of(probes: &[Probe]) -> Self {
        let asked: Vec<_> = probes.iter().filter(|probe| probe.is_asked).collect();
        let share = |is_so: fn(&Probe) -> bool| {
            asked.iter().filter(|probe| is_so(probe)).count() as f64 / asked.len() as f64
        };
        let copies: usize = asked.iter().filter_map(|probe| probe.stored).sum();
        Self {
            asked: asked.len(),
            found: share(|probe| probe.is_found),
            kept: share(|probe| probe.kept_by > 0.0),
            holders: asked.iter().map(|probe| probe.kept_by).sum::<f64>() / asked.len() as f64,
            copies: copies as f64 / asked.len() as f64,
        }
    }
}
