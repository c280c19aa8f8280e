//! What happens to packets, and to whoever sends and hears them.

use std::net::SocketAddr;

use aptmesh::clock::Millis;

use super::dice::mix;
use super::host::{Air, HostId, Occupant, Raw, Sent};
use super::meter::Fate;
use super::queue::Packet;
use super::{Happening, Network};

impl Network {
    pub(super) fn wake(&mut self, index: u32) {
        let host = &mut self.hosts[index as usize];
        if host.wake != self.now {
            return;
        }
        host.wake = Millis::MAX;
        match &mut host.occupant {
            Occupant::Nobody => {}
            Occupant::Engine(engine) => {
                // Its reason may have gone since it asked for this.
                if engine.next_wake() <= self.now {
                    engine.advance(self.now);
                    self.meter.restless += u64::from(engine.next_wake() <= self.now);
                }
                self.settle(index, self.now + 1);
            }
            Occupant::Raw(_) => self.raw(index, |raw, air| raw.wake(air)),
        }
    }

    pub(super) fn arrive(&mut self, index: u32, packet: &Packet) {
        let host = &mut self.hosts[index as usize];
        let fate = match (&host.occupant, &host.nat) {
            (Occupant::Nobody, _) => Fate::Nobody,
            (_, Some(nat)) if !nat.lets_in(&packet.from, self.now) => Fate::Filtered,
            _ => Fate::Delivered,
        };
        self.meter.note(&packet.bytes, fate, Some(HostId(index)));
        if fate != Fate::Delivered {
            return;
        }
        host.traffic.heard += packet.bytes.len() as u64;
        match &mut host.occupant {
            Occupant::Nobody => {}
            Occupant::Engine(engine) => {
                engine.receive(packet.from, &packet.bytes, self.now);
                self.settle(index, self.now);
            }
            Occupant::Raw(_) => {
                self.raw(index, |raw, air| raw.hear(packet.from, &packet.bytes, air));
            }
        }
    }

    /// After anything was done with an engine: its packets go out, its events are kept, and the queue holds one
    /// wake event for when it wants to go on, but not before `earliest`.
    pub(super) fn settle(&mut self, index: u32, earliest: Millis) {
        let host = &mut self.hosts[index as usize];
        let Occupant::Engine(engine) = &mut host.occupant else {
            return;
        };
        let (at, host_id) = (self.now, HostId(index));
        self.happened
            .extend(engine.take_events().into_iter().map(|event| Happening {
                at,
                host: host_id,
                event,
            }));
        if self.now >= host.flush_at {
            host.flush_at = self.now + self.conditions.flush_every;
            let changes = engine.take_changes();
            if self.conditions.disks {
                host.disk.write(changes);
            }
        }
        let outbox = engine.take_outbox();
        let due = engine.next_wake().max(earliest);
        if due < host.wake {
            host.wake = due;
            self.queue.wake(due, index);
        }
        for (to, bytes) in outbox {
            self.meter.longest = self.meter.longest.max(bytes.len());
            self.transmit(index, None, to, bytes);
        }
    }

    pub(super) fn raw(&mut self, index: u32, act: impl FnOnce(&mut dyn Raw, &mut Air)) {
        let host = &mut self.hosts[index as usize];
        let Occupant::Raw(raw) = &mut host.occupant else {
            return;
        };
        let mut air = Air {
            now: self.now,
            own: host.addresses,
            dice: &mut self.dice,
            sent: Vec::new(),
            wake: Millis::MAX,
        };
        act(&mut **raw, &mut air);
        let Air { sent, wake, .. } = air;
        if wake < host.wake {
            host.wake = wake.max(self.now + 1);
            self.queue.wake(host.wake, index);
        }
        for Sent { from, to, bytes } in sent {
            self.transmit(index, from, to, bytes);
        }
    }

    /// `from` is the sender's own address unless it forges one.
    pub(super) fn transmit(
        &mut self,
        index: u32,
        from: Option<SocketAddr>,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let sender = &mut self.hosts[index as usize];
        sender.traffic.sent += bytes.len() as u64;
        if let Some(nat) = &mut sender.nat {
            nat.sends(to, self.now);
        }
        let from = from.or_else(|| sender.addresses.towards(&to));
        let receiver = self.by_address.get(&to).copied();
        let (Some(from), Some(receiver)) = (from, receiver) else {
            self.meter.note(&bytes, Fate::Nobody, None);
            return;
        };
        let [sender, receiver_host] = [index, receiver].map(|index| &self.hosts[index as usize]);
        if sender.side != receiver_host.side || self.dice.chance(self.conditions.loss) {
            self.meter.note(&bytes, Fate::Lost, Some(HostId(receiver)));
            return;
        }
        let delay = self.one_way(sender.place ^ receiver_host.place);
        let packet = Packet { from, bytes };
        self.queue.arrival(self.now + delay, receiver, packet);
    }

    /// Half a round trip of the pair.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn one_way(&mut self, pair: u64) -> Millis {
        let (shortest, longest) = self.conditions.round_trip;
        let share = (mix(pair) >> 11) as f64 / (1_u64 << 53) as f64;
        let round_trip = shortest as f64 + share * (longest - shortest) as f64;
        let jitter = self.conditions.jitter * (2.0 * self.dice.unit() - 1.0);
        (round_trip / 2.0 * (1.0 + jitter)).round() as Millis
    }
}
