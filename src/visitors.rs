//! Who asks for files: what each address was given, in memory; a worker writes
//! it to rows.
//!
//! A connection looks its address up once. Each request then adds to what it
//! has in hand: no lock, and nothing to look up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;
use crate::meter::{Kind, Meters};

/// Addresses in memory; also rows that are kept.
pub const MOST: usize = 10_000;

/// What a visitor asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// What apt clients see.
    Apt,
    /// What other nodes see.
    Peer,
}

impl Face {
    /// The face as rows spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Peer => "peer",
        }
    }

    /// The face that rows spell so.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        [Self::Apt, Self::Peer]
            .into_iter()
            .find(|face| face.as_str() == text)
    }
}

/// What was counted of a visitor: of all time, or since it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visits {
    /// What it asked.
    pub face: Face,
    /// Its IP address.
    pub address: IpAddr,
    /// Requests answered from the cache; of the peer face: answered.
    pub hits: u64,
    /// Requests that somebody else had to answer.
    pub misses: u64,
    /// Bytes of bodies sent to it.
    pub bytes: u64,
    /// When it last asked, some seconds late.
    pub last_seen: Millis,
}

impl Visits {
    const fn requests(&self) -> u64 {
        self.hits.saturating_add(self.misses)
    }
}

/// One address at one face; its connections share it.
#[derive(Debug)]
pub struct Visitor {
    meters: Arc<Meters>,
    face: Face,
    address: IpAddr,
    hits: AtomicU64,
    misses: AtomicU64,
    bytes: AtomicU64,
    /// What rows have of it.
    written: Mutex<Visits>,
}

impl Visitor {
    fn new(meters: Arc<Meters>, known: Visits) -> Arc<Self> {
        Arc::new(Self {
            meters,
            face: known.face,
            address: known.address,
            hits: AtomicU64::new(known.hits),
            misses: AtomicU64::new(known.misses),
            bytes: AtomicU64::new(known.bytes),
            written: Mutex::new(known),
        })
    }

    /// Its IP address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// A request of an apt client was answered from the cache.
    pub fn hit(&self) {
        self.meters.add(Kind::Hits, 1);
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody else had to answer a request of an apt client.
    pub fn missed(&self) {
        self.meters.add(Kind::Misses, 1);
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// A request of another node is answered with bytes.
    pub fn took(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a body went out.
    pub fn sent(&self, kind: Kind, bytes: u64) {
        self.meters.add(kind, bytes);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn rows(&self) -> MutexGuard<'_, Visits> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was counted; who asked since it was last written was seen now.
    fn visits(&self, now: Millis) -> Visits {
        let written = *self.rows();
        let mut visits = Visits {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            ..written
        };
        if visits.requests() > written.requests() {
            visits.last_seen = now;
        }
        visits
    }

    /// What rows do not know yet, if anything.
    fn unwritten(&self, now: Millis) -> Option<Visits> {
        let (visits, written) = (self.visits(now), *self.rows());
        let news = Visits {
            hits: visits.hits - written.hits,
            misses: visits.misses - written.misses,
            bytes: visits.bytes - written.bytes,
            ..visits
        };
        (news.requests() > 0 || news.bytes > 0).then_some(news)
    }

    fn written(&self, news: &Visits) {
        let mut rows = self.rows();
        rows.hits += news.hits;
        rows.misses += news.misses;
        rows.bytes += news.bytes;
        rows.last_seen = news.last_seen;
    }
}

/// Those who asked last.
#[derive(Debug)]
pub struct Visitors {
    meters: Arc<Meters>,
    known: Mutex<HashMap<(Face, IpAddr), Arc<Visitor>>>,
}

impl Visitors {
    /// Nobody yet; what they are given is counted in these meters too.
    #[must_use]
    pub fn new(meters: Arc<Meters>) -> Self {
        Self {
            meters,
            known: Mutex::default(),
        }
    }

    /// Takes the rows as they are at the start.
    pub fn load(&self, rows: Vec<Visits>) {
        let mut known = self.known();
        for row in rows {
            let visitor = Visitor::new(Arc::clone(&self.meters), row);
            known.insert((row.face, row.address), visitor);
        }
    }

    /// Who asks this face from this address. Where all places are taken by
    /// those who are connected, one more counts in the sums only.
    #[must_use]
    pub fn of(&self, face: Face, address: IpAddr) -> Arc<Visitor> {
        let mut known = self.known();
        if let Some(visitor) = known.get(&(face, address)) {
            return Arc::clone(visitor);
        }
        if known.len() >= MOST {
            make_room(&mut known);
        }
        let visitor = Visitor::new(
            Arc::clone(&self.meters),
            Visits {
                face,
                address,
                hits: 0,
                misses: 0,
                bytes: 0,
                last_seen: 0,
            },
        );
        if known.len() < MOST {
            known.insert((face, address), Arc::clone(&visitor));
        }
        visitor
    }

    /// Those who asked this face for files, the latest first, at most so many.
    #[must_use]
    pub fn latest(&self, face: Face, most: usize, now: Millis) -> Vec<Visits> {
        let mut latest: Vec<_> = self
            .known()
            .values()
            .filter(|visitor| visitor.face == face)
            .map(|visitor| visitor.visits(now))
            .filter(|visits| visits.requests() > 0)
            .collect();
        let order = |visits: &Visits| (-visits.last_seen, visits.address);
        if latest.len() > most {
            latest.select_nth_unstable_by_key(most, order);
            latest.truncate(most);
        }
        latest.sort_unstable_by_key(order);
        latest
    }

    /// Bytes sent to this address.
    #[must_use]
    pub fn bytes_to(&self, face: Face, address: IpAddr) -> u64 {
        let known = self.known();
        let visitor = known.get(&(face, address));
        visitor.map_or(0, |visitor| visitor.bytes.load(Ordering::Relaxed))
    }

    /// What rows do not know yet.
    #[must_use]
    pub fn unwritten(&self, now: Millis) -> Vec<Visits> {
        let known = self.known();
        let news = known.values().filter_map(|visitor| visitor.unwritten(now));
        news.collect()
    }

    /// Notes that rows know this now.
    pub fn written(&self, news: &[Visits]) {
        let known = self.known();
        for visits in news {
            if let Some(visitor) = known.get(&(visits.face, visits.address)) {
                visitor.written(visits);
            }
        }
    }

    /// Forgets who was not seen since then, and is not here.
    pub fn forget(&self, since: Millis) {
        self.known()
            .retain(|_, visitor| !is_away(visitor) || visitor.rows().last_seen >= since);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(Face, IpAddr), Arc<Visitor>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody holds it, so that nothing more is counted, and rows have all
/// that was.
fn is_away(visitor: &mut Arc<Visitor>) -> bool {
    Arc::get_mut(visitor).is_some_and(|visitor| visitor.unwritten(0).is_none())
}

/// The tenth of them who were not seen for longest go: one search for many.
fn make_room(known: &mut HashMap<(Face, IpAddr), Arc<Visitor>>) {
    let mut away: Vec<_> = known
        .iter_mut()
        .filter_map(|(key, visitor)| is_away(visitor).then(|| (visitor.rows().last_seen, *key)))
        .collect();
    away.sort_unstable_by_key(|(last_seen, _)| *last_seen);
    for (_, key) in away.iter().take(MOST / 10) {
        known.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ip(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn visitors() -> Visitors {
        Visitors::new(Arc::default())
    }

    #[test]
    fn what_is_written_is_not_written_again_and_what_is_refused_is() {
        let visitors = visitors();
        let client = visitors.of(Face::Apt, ip(1));
        client.hit();
        client.missed();
        client.sent(Kind::ClientsFromCache, 7);
        let news = visitors.unwritten(10);
        assert_eq!((news[0].hits, news[0].misses, news[0].bytes), (1, 1, 7));
        client.sent(Kind::ClientsFromCache, 5);
        assert_eq!(visitors.unwritten(20)[0].bytes, 12, "nobody took it");
        visitors.written(&news);
        let rest = visitors.unwritten(30);
        assert_eq!((rest[0].hits, rest[0].bytes), (0, 5));
        assert_eq!(rest[0].last_seen, 10, "bytes are no request");
        visitors.written(&rest);
        assert!(visitors.unwritten(40).is_empty());
        assert!(visitors.latest(Face::Apt, 0, 40).is_empty());
        let seen = visitors.latest(Face::Apt, 1, 40);
        assert_eq!(
            (seen[0].hits, seen[0].bytes, seen[0].last_seen),
            (1, 12, 10)
        );
        assert_eq!(visitors.meters.pending().of(Kind::ClientsFromCache), 12);
    }

    #[test]
    fn a_restart_goes_on_and_faces_are_apart() {
        let before = visitors();
        before.of(Face::Apt, ip(1)).hit();
        before.of(Face::Peer, ip(1)).took();
        before.of(Face::Peer, ip(1)).sent(Kind::ToPeers, 9);
        let after = visitors();
        after.load(before.unwritten(5));
        assert!(after.unwritten(6).is_empty());
        after.of(Face::Apt, ip(1)).hit();
        assert_eq!(after.latest(Face::Apt, 9, 7)[0].hits, 2);
        let others: Vec<_> = (2..9)
            .map(|number| after.of(Face::Apt, ip(number)))
            .collect();
        for (now, other) in (10..).zip(&others) {
            other.hit();
            after.written(&after.unwritten(now));
        }
        let latest = after.latest(Face::Apt, 3, 20);
        let latest: Vec<_> = latest.iter().map(|visits| visits.address).collect();
        assert_eq!(latest, [ip(8), ip(7), ip(6)]);
        assert_eq!(after.latest(Face::Peer, 9, 7)[0].last_seen, 5);
        assert_eq!(after.bytes_to(Face::Peer, ip(1)), 9);
        assert_eq!(after.bytes_to(Face::Apt, ip(1)), 0);
        assert_eq!(before.meters.pending().of(Kind::Hits), 1, "of the apt face");
    }

    #[test]
    fn who_was_not_seen_for_longest_goes_but_nobody_who_is_here() {
        let visitors = visitors();
        let most = u32::try_from(MOST).unwrap();
        let here = visitors.of(Face::Apt, ip(0));
        visitors.of(Face::Apt, ip(1)).hit();
        for number in 2..most {
            visitors.of(Face::Apt, ip(number)).hit();
            if number == most / 2 {
                visitors.written(&visitors.unwritten(1000));
            }
        }
        let unwritten = visitors.unwritten(2000);
        visitors.of(Face::Apt, ip(most)).hit();
        let left = visitors.known().len();
        assert_eq!(left, MOST - MOST / 10 + 1);
        assert!(Arc::ptr_eq(&here, &visitors.of(Face::Apt, ip(0))));
        assert_eq!(visitors.unwritten(2000).len(), unwritten.len() + 1);
    }

    #[test]
    fn when_everybody_is_here_strangers_count_in_the_sums() {
        let visitors = visitors();
        let most = u32::try_from(MOST).unwrap();
        let here: Vec<_> = (0..most).map(|n| visitors.of(Face::Peer, ip(n))).collect();
        visitors.of(Face::Apt, ip(most)).hit();
        assert_eq!(visitors.known().len(), here.len());
        assert_eq!(visitors.meters.pending().of(Kind::Hits), 1);
    }

    #[test]
    fn who_did_not_come_for_long_is_forgotten() {
        let visitors = visitors();
        let here = visitors.of(Face::Apt, ip(1));
        for number in 1..=2 {
            visitors.of(Face::Apt, ip(number)).hit();
        }
        visitors.forget(100);
        assert_eq!(visitors.latest(Face::Apt, 9, 5).len(), 2, "not yet written");
        visitors.written(&visitors.unwritten(5));
        visitors.forget(100);
        assert_eq!(visitors.latest(Face::Apt, 9, 6)[0].address, here.address());
        assert_eq!(visitors.known().len(), 1);
    }
}
