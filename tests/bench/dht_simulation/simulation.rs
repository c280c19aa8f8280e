//! One network from its first node to its last figure.

mod asking;
mod summary;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;

use aptmesh::clock::Millis;
use aptmesh::dht::engine::{ActionId, Settings};

use crate::figures::Figures;
use crate::lookups::Lookup;
use crate::network::{Conditions, Dice, Fate, HostId, Kind, MINUTE, Map, Message, Network, START};
use crate::plan::{ANNOUNCEMENTS, FRESH_AGE, FRESH_QUESTIONS, Plan, REFRESH};
use crate::probes::Probe;
use crate::progress::Progress;
use crate::residents::{Resident, key, value};
use crate::sessions::Sessions;
use crate::traffic::{Rates, TrafficSums};

/// What the simulation itself has to do. Ordered only so that a heap can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Duty {
    Join { place: u32 },
    Leave { place: u32, host: HostId },
    Announce { place: u32, host: HostId },
    AskFresh { place: u32, host: HostId },
    Ask { reach_is_open: bool },
    StoreProbe,
    AskProbe { probe: u32 },
    StartIdling,
    EndIdling,
}

/// What an action of an engine is for.
enum Purpose {
    Announcement { place: u32, number: u8 },
    Probe { probe: u32 },
    Lookup(Box<Lookup>),
    FindProbe { probe: u32 },
}

pub struct Simulation {
    plan: Plan,
    network: Network,
    sessions: Sessions,
    dice: Dice,
    rng: StdRng,
    agenda: BinaryHeap<Reverse<(Millis, u64, Duty)>>,
    order: u64,
    residents: Vec<Resident>,
    bootstrap: Vec<SocketAddr>,
    purposes: Map<(HostId, ActionId), Purpose>,
    lookups: Vec<Lookup>,
    probes: Vec<Probe>,
    sums: TrafficSums,
    rates: Rates,
    idle_traffic: Vec<(Message, Fate, crate::network::Count)>,
    idle_stores: Vec<usize>,
}

impl Simulation {
    pub fn new(plan: Plan) -> Self {
        let conditions = Conditions {
            flush_every: 10 * MINUTE,
            disks: false,
            ..Conditions::default()
        };
        let network = Network::new(plan.seed, conditions, Settings::default());
        let mut simulation = Self {
            network,
            sessions: Sessions::new(),
            dice: Dice::new(plan.seed ^ 0x5151),
            rng: StdRng::seed_from_u64(plan.seed),
            agenda: BinaryHeap::new(),
            order: 0,
            residents: Vec::new(),
            bootstrap: Vec::new(),
            purposes: Map::default(),
            lookups: Vec::new(),
            probes: Vec::new(),
            sums: TrafficSums::default(),
            rates: Rates::default(),
            idle_traffic: Vec::new(),
            idle_stores: Vec::new(),
            plan,
        };
        simulation.prepare();
        simulation
    }

    /// Everybody's place, and what is known of the day beforehand.
    fn prepare(&mut self) {
        for place in 0..self.plan.nodes {
            let is_bootstrap = place < self.plan.bootstraps;
            let host = self.network.add(if is_bootstrap {
                Kind::OPEN
            } else {
                self.kind(place)
            });
            self.residents.push(Resident::new(host, Millis::MAX));
            if is_bootstrap {
                self.bootstrap.push(self.network.addresses(host).main());
            }
            let joins = if is_bootstrap {
                self.plan.joining.from
            } else {
                self.any_time(self.plan.joining.from, self.plan.joining.until)
            };
            let place = place as u32;
            self.plan_at(joins, Duty::Join { place });
        }
        for number in 0..self.plan.questions {
            let at = self.any_time(self.plan.asking.from, self.plan.asking.until);
            let reach_is_open = number % 2 == 0;
            self.plan_at(at, Duty::Ask { reach_is_open });
        }
        for _ in 0..self.plan.probes {
            let at = self.any_time(self.plan.probing.from, self.plan.probing.until);
            self.plan_at(at, Duty::StoreProbe);
        }
        self.plan_at(self.plan.idling.from, Duty::StartIdling);
        self.plan_at(self.plan.idling.until, Duty::EndIdling);
    }

    /// Half of the places are behind NATs.
    const fn kind(&self, place: usize) -> Kind {
        if (place + self.plan.bootstraps).is_multiple_of(2) {
            Kind::OPEN
        } else {
            Kind::NATTED
        }
    }

    fn any_time(&mut self, from: Millis, until: Millis) -> Millis {
        from + self.dice.below((until - from) as usize) as Millis
    }

    fn plan_at(&mut self, at: Millis, duty: Duty) {
        self.order += 1;
        self.agenda.push(Reverse((at, self.order, duty)));
    }

    fn time(&self) -> Millis {
        self.network.now() - START
    }

    pub fn run(mut self, progress: &mut Progress) -> Figures {
        let started = Instant::now();
        while let Some(Reverse((at, _, duty))) = self.agenda.pop() {
            if at > self.plan.end {
                break;
            }
            self.network.run_until(START + at);
            self.take_happened();
            self.fulfil(duty);
            progress.is_at((at / MINUTE) as u64, || self.packets());
        }
        self.network.run_until(START + self.plan.end);
        self.take_happened();
        self.figures(started)
    }

    /// Sent so far.
    fn packets(&self) -> u64 {
        self.network.meter.packets
    }

    fn fulfil(&mut self, duty: Duty) {
        match duty {
            Duty::Join { place } => self.join(place),
            Duty::Leave { place, host } => self.leave(place, host),
            Duty::Announce { place, host } => self.announce(place, host),
            Duty::AskFresh { place, host } => {
                if self.lives(place, host) && self.plan.asking.has(self.time()) {
                    for _ in 0..FRESH_QUESTIONS {
                        self.ask(place as usize, true);
                    }
                }
            }
            Duty::Ask { reach_is_open } => {
                let place = self.settled(Some(reach_is_open));
                self.ask(place, false);
            }
            Duty::StoreProbe => self.store_probe(),
            Duty::AskProbe { probe } => self.ask_probe(probe),
            Duty::StartIdling => {
                self.network.meter.reset_counts();
                self.sums.start(&self.network, &self.residents);
            }
            Duty::EndIdling => self.end_idling(),
        }
    }

    fn lives(&self, place: u32, host: HostId) -> bool {
        self.residents[place as usize].host == host && self.network.is_up(host)
    }

    fn join(&mut self, place: u32) {
        let now = self.time();
        let index = place as usize;
        let host = self.residents[index].host;
        let bootstrap = self.bootstrap.clone();
        self.network.start(host, &bootstrap);
        self.residents[index] = Resident::new(host, now);
        self.sums.comes(&self.network, index);
        for number in 0..ANNOUNCEMENTS {
            let due = self.any_time(now + MINUTE / 2, now + REFRESH);
            self.residents[index].due.push(Reverse((due, number as u8)));
        }
        self.plan_announcement(place);
        if index >= self.plan.bootstraps {
            let stays = if self.plan.joining.has(now) {
                self.sessions.rest(&mut self.dice)
            } else {
                self.plan_at(now + FRESH_AGE, Duty::AskFresh { place, host });
                self.sessions.whole(&mut self.dice)
            };
            self.plan_at(now + stays, Duty::Leave { place, host });
        }
    }

    fn leave(&mut self, place: u32, host: HostId) {
        let index = place as usize;
        self.sums.goes(&self.network, index, &self.residents[index]);
        self.network.stop(host);
        self.purposes.retain(|(of, _), _| *of != host);
        self.residents[index].host = self.network.add(self.kind(index));
        self.join(place);
    }

    fn plan_announcement(&mut self, place: u32) {
        let resident = &self.residents[place as usize];
        let host = resident.host;
        if let Some(Reverse((due, _))) = resident.due.peek() {
            self.plan_at(*due, Duty::Announce { place, host });
        }
    }

    fn announce(&mut self, place: u32, host: HostId) {
        if !self.lives(place, host) {
            return;
        }
        if let Some(Reverse((_, number))) = self.residents[place as usize].due.pop() {
            let value = value(self.network.addresses(host).main(), number);
            let action = self.network.announce(host, key(host, number), value);
            self.purposes
                .insert((host, action), Purpose::Announcement { place, number });
        }
        self.plan_announcement(place);
    }

    fn end_idling(&mut self) {
        let since = self.plan.idling.from;
        self.rates = self.sums.end(&self.network, &self.residents, since);
        for kind in Message::ALL {
            for fate in Fate::ALL {
                let count = self.network.meter.count(kind, fate);
                if count.packets > 0 {
                    self.idle_traffic.push((kind, fate, count));
                }
            }
        }
    }

    fn take_happened(&mut self) {
        for happening in self.network.take_happened() {
            self.note(&happening);
        }
    }
}
