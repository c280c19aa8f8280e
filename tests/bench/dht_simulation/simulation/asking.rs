//! Questions and probes, and what comes of them.

use std::cmp::Reverse;

use aptmesh::clock::Millis;
use aptmesh::dht::announce::next_time;
use aptmesh::dht::engine::{ActionId, Event};
use aptmesh::dht::id::NodeId;

use super::{Duty, Purpose, Simulation};
use crate::lookups::{Asker, Lookup};
use crate::network::{Happening, HostId, Reach, START};
use crate::plan::{ANNOUNCEMENTS, PROBE_AGE, REFRESH, SETTLED_AGE};
use crate::probes::Probe;
use crate::residents::{key, value};

impl Simulation {
    /// A place where somebody has lived for a while.
    pub(super) fn settled(&mut self, reach_is_open: Option<bool>) -> usize {
        loop {
            let place = self.dice.below(self.residents.len());
            let resident = &self.residents[place];
            let is_open = self.network.reach(resident.host) == Reach::Open;
            if resident.since <= self.time() - SETTLED_AGE
                && reach_is_open.is_none_or(|wanted| wanted == is_open)
            {
                return place;
            }
        }
    }

    /// Looks for what another one has published.
    pub(super) fn ask(&mut self, place: usize, is_fresh: bool) {
        let (publisher, number) = loop {
            let other = self.dice.below(self.residents.len());
            if let Some(number) = self.residents[other].any_stored(&mut self.dice)
                && other != place
            {
                break (self.residents[other].host, number);
            }
        };
        let host = self.residents[place].host;
        let asker = Asker {
            reach: self.network.reach(host),
            is_fresh,
        };
        let (key, contact) = (key(publisher, number), self.network.addresses(publisher));
        let lookup = Lookup::new(
            asker,
            key,
            value(contact.main(), number),
            self.network.now(),
        );
        self.network.meter.watch(key);
        let action = self.network.find(host, key);
        self.purposes
            .insert((host, action), Purpose::Lookup(Box::new(lookup)));
    }

    pub(super) fn store_probe(&mut self) {
        let place = self.settled(None);
        let host = self.residents[place].host;
        let key = NodeId(self.dice.bytes());
        let number = self.dice.below(ANNOUNCEMENTS) as u8;
        let value = value(self.network.addresses(host).main(), number);
        self.network.meter.watch(key);
        let probe = self.probes.len() as u32;
        self.probes.push(Probe::new(key, value.clone()));
        let action = self.network.announce(host, key, value);
        self.purposes
            .insert((host, action), Purpose::Probe { probe });
    }

    pub(super) fn ask_probe(&mut self, probe: u32) {
        let place = self.settled(None);
        let host = self.residents[place].host;
        self.probes[probe as usize].asked(&self.network);
        let key = self.probes[probe as usize].key;
        let action = self.network.find(host, key);
        self.purposes
            .insert((host, action), Purpose::FindProbe { probe });
    }

    pub(super) fn note(&mut self, Happening { at, host, event }: &Happening) {
        match event {
            Event::Values { action, values } => match self.purposes.get_mut(&(*host, *action)) {
                Some(Purpose::Lookup(lookup)) => lookup.values(values, *at),
                Some(Purpose::FindProbe { probe }) => {
                    let probe = &mut self.probes[*probe as usize];
                    probe.is_found |= values.contains(&probe.value);
                }
                _ => {}
            },
            Event::Found { action, .. } => {
                if let Some(Purpose::Lookup(mut lookup)) = self.purposes.remove(&(*host, *action)) {
                    lookup.complete = Some(at - lookup.since);
                    lookup.trace = self.network.meter.unwatch(&lookup.key);
                    self.lookups.push(*lookup);
                }
            }
            Event::Stored { action, nodes } => self.stored(*host, *action, *nodes, *at - START),
        }
    }

    fn stored(&mut self, host: HostId, action: ActionId, nodes: usize, at: Millis) {
        match self.purposes.remove(&(host, action)) {
            Some(Purpose::Announcement { place, number }) => {
                let resident = &mut self.residents[place as usize];
                if nodes > 0 {
                    resident.stored(number);
                }
                let next = next_time(at, REFRESH, &mut self.rng);
                let was_first = resident.due.peek().copied();
                resident.due.push(Reverse((next, number)));
                // The duty that is planned is for the earliest; it stays that unless there was none.
                if was_first.is_none() {
                    self.plan_announcement(place);
                }
                if self.plan.idling.has(at) {
                    self.idle_stores.push(nodes);
                }
            }
            Some(Purpose::Probe { probe }) => {
                self.probes[probe as usize].stored = Some(nodes);
                if nodes > 0 {
                    self.plan_at(at + PROBE_AGE, Duty::AskProbe { probe });
                }
            }
            _ => {}
        }
    }
}
