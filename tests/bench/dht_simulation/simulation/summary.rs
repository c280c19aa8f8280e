//! A network's figures, when its day is over.

use std::time::Instant;

use aptmesh::dht::engine::Snapshot;

use super::Simulation;
use crate::figures::{Details, Figures, costs, times};
use crate::network::Reach;
use crate::probes::Survival;

impl Simulation {
    pub(super) fn figures(self, started: Instant) -> Figures {
        let lookups = &self.lookups;
        let snapshots: Vec<_> = self
            .residents
            .iter()
            .map(|resident| {
                let engine = self.network.engine(resident.host);
                engine.snapshot(self.network.now())
            })
            .collect();
        let mean = |of: fn(&Snapshot) -> f64| {
            snapshots.iter().map(of).sum::<f64>() / snapshots.len() as f64
        };
        let stores = self.idle_stores.len();
        Figures {
            nodes: self.plan.nodes,
            settled: times(lookups, None, false),
            open: times(lookups, Some(Reach::Open), false),
            natted: times(lookups, Some(Reach::Natted), false),
            fresh: times(lookups, None, true),
            survival: Survival::of(&self.probes),
            rates: self.rates,
            details: Details {
                settled: costs(lookups, false),
                fresh: costs(lookups, true),
                traffic: self.idle_traffic,
                idle_seconds: (self.plan.idling.until - self.plan.idling.from) as f64 / 1000.0,
                announcements: stores,
                copies: self.idle_stores.iter().sum::<usize>() as f64 / stores as f64,
                known: mean(|snapshot| snapshot.nodes as f64),
                confirmed: mean(|snapshot| snapshot.confirmed_nodes as f64),
                values: mean(|snapshot| snapshot.values as f64),
                estimated: mean(|snapshot| snapshot.estimated_nodes as f64),
                restless: self.network.meter.restless,
                longest: self.network.meter.longest,
                took: started.elapsed(),
            },
        }
    }
}
