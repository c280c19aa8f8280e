//! Bytes a second of nodes that do nothing but keep their announcements alive.

use aptmesh::clock::Millis;

use crate::network::{Network, Reach};
use crate::residents::Resident;

/// Since when, and from how many bytes on, a resident is counted.
#[derive(Clone, Copy, Debug)]
struct Mark {
    since: Millis,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    bytes: u64,
    time: Millis,
}

impl Sum {
    fn rate(&self) -> f64 {
        self.bytes as f64 * 1000.0 / self.time as f64
    }
}

/// Sums over everybody who is there, for as long as they are.
#[derive(Default)]
pub struct TrafficSums {
    marks: Vec<Option<Mark>>,
    open: Sum,
    natted: Sum,
    /// Of those who were there all the time, in bytes a second.
    rates: Vec<f64>,
}

/// UDP payload in and out, in bytes a second and node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub all: f64,
    pub open: f64,
    pub natted: f64,
    /// The node that 99 of 100 nodes have less than.
    pub p99: f64,
}

impl TrafficSums {
    pub fn start(&mut self, network: &Network, residents: &[Resident]) {
        self.marks = residents
            .iter()
            .map(|resident| {
                Some(Mark {
                    since: network.now(),
                    bytes: network.traffic(resident.host).bytes(),
                })
            })
            .collect();
    }

    /// Somebody moved in at this place.
    pub fn comes(&mut self, network: &Network, place: usize) {
        if let Some(mark) = self.marks.get_mut(place) {
            *mark = Some(Mark {
                since: network.now(),
                bytes: 0,
            });
        }
    }

    /// This resident leaves.
    pub fn goes(&mut self, network: &Network, place: usize, resident: &Resident) -> Option<f64> {
        let mark = self.marks.get_mut(place)?.take()?;
        let time = network.now() - mark.since;
        let bytes = network.traffic(resident.host).bytes() - mark.bytes;
        let sum = match network.reach(resident.host) {
            Reach::Open => &mut self.open,
            Reach::Natted => &mut self.natted,
        };
        sum.bytes += bytes;
        sum.time += time;
        Some(Sum { bytes, time }.rate())
    }

    pub fn end(&mut self, network: &Network, residents: &[Resident], since: Millis) -> Rates {
        for (place, resident) in residents.iter().enumerate() {
            let was_there = resident.since <= since;
            if let Some(rate) = self.goes(network, place, resident)
                && was_there
            {
                self.rates.push(rate);
            }
        }
        self.marks.clear();
        self.rates.sort_by(f64::total_cmp);
        let all = Sum {
            bytes: self.open.bytes + self.natted.bytes,
            time: self.open.time + self.natted.time,
        };
        Rates {
            all: all.rate(),
            open: self.open.rate(),
            natted: self.natted.rate(),
            p99: self.rates[self.rates.len() * 99 / 100],
        }
    }
}
