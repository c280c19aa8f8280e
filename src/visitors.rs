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

/// Addresses of each face in memory; also rows that are kept.
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
    /// Both.
    pub const ALL: [Self; 2] = [Self::Apt, Self::Peer];

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
        Self::ALL.into_iter().find(|face| face.as_str() == text)
    }
}

/// What was counted of a visitor: of all time, or since it was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visits {
    /// What it asked.
    pub face: Face,
    /// Its IP address; of the peer face, the first of its household's.
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

    /// The row is this now. It has more than was written where it was counted
    /// before this visitor was dropped from memory: from there it goes on.
    fn written(&self, row: &Visits, news: &Visits) {
        let mut rows = self.rows();
        for (counter, row, known, news) in [
            (&self.hits, row.hits, rows.hits, news.hits),
            (&self.misses, row.misses, rows.misses, news.misses),
            (&self.bytes, row.bytes, rows.bytes, news.bytes),
        ] {
            counter.fetch_add(row.saturating_sub(known + news), Ordering::Relaxed);
        }
        *rows = *row;
    }
}

/// Those who asked last.
#[derive(Debug)]
pub struct Visitors {
    meters: Arc<Meters>,
    /// Of each face, so that neither takes the other's places.
    known: [Mutex<Known>; Face::ALL.len()],
}

type Known = HashMap<IpAddr, Arc<Visitor>>;

impl Visitors {
    /// Nobody yet; what they are given is counted in these meters too.
    #[must_use]
    pub fn new(meters: Arc<Meters>) -> Self {
        Self {
            meters,
            known: <[Mutex<Known>; Face::ALL.len()]>::default(),
        }
    }

    /// Takes the rows as they are at the start.
    pub fn load(&self, rows: Vec<Visits>) {
        for row in rows {
            let visitor = Visitor::new(Arc::clone(&self.meters), row);
            self.known(row.face).insert(row.address, visitor);
        }
    }

    /// Who asks this face from this address. Where all places are taken by
    /// those who are connected, one more counts in the sums only.
    #[must_use]
    pub fn of(&self, face: Face, address: IpAddr) -> Arc<Visitor> {
        let mut known = self.known(face);
        if let Some(visitor) = known.get(&address) {
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
            known.insert(address, Arc::clone(&visitor));
        }
        visitor
    }

    /// Those who asked this face for files, the latest first, at most so many.
    #[must_use]
    pub fn latest(&self, face: Face, most: usize, now: Millis) -> Vec<Visits> {
        let mut latest: Vec<_> = self
            .known(face)
            .values()
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
        let known = self.known(face);
        let visitor = known.get(&address);
        visitor.map_or(0, |visitor| visitor.bytes.load(Ordering::Relaxed))
    }

    /// What rows do not know yet.
    #[must_use]
    pub fn unwritten(&self, now: Millis) -> Vec<Visits> {
        let mut news = Vec::new();
        for face in Face::ALL {
            let known = self.known(face);
            news.extend(known.values().filter_map(|visitor| visitor.unwritten(now)));
        }
        news
    }

    /// Notes that these rows have the news now.
    pub fn written(&self, news: &[Visits], rows: &[Visits]) {
        let key = |visits: &Visits| (visits.face, visits.address);
        let rows: HashMap<_, _> = rows.iter().map(|row| (key(row), row)).collect();
        for visits in news {
            let visitor = self.known(visits.face).get(&visits.address).cloned();
            if let (Some(visitor), Some(row)) = (visitor, rows.get(&key(visits))) {
                visitor.written(row, visits);
            }
        }
    }

    /// Forgets who was not seen since then, and is not here.
    pub fn forget(&self, since: Millis) {
        for face in Face::ALL {
            self.known(face)
                .retain(|_, visitor| !is_away(visitor) || visitor.rows().last_seen >= since);
        }
    }

    fn known(&self, face: Face) -> MutexGuard<'_, Known> {
        self.known[face as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody holds it, so that nothing more is counted, and rows have all
/// that was.
fn is_away(visitor: &mut Arc<Visitor>) -> bool {
    Arc::get_mut(visitor).is_some_and(|visitor| visitor.unwritten(0).is_none())
}

/// The tenth of them who were not seen for longest go: one search for many.
fn make_room(known: &mut Known) {
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

    /// Writes to rows that had nothing before this process.
    fn write(visitors: &Visitors, now: Millis) {
        let news = visitors.unwritten(now);
        written(visitors, &news);
    }

    fn written(visitors: &Visitors, news: &[Visits]) {
        let row = |news: &Visits| {
            let known = *visitors.known(news.face)[&news.address].rows();
            Visits {
                hits: known.hits + news.hits,
                misses: known.misses + news.misses,
                bytes: known.bytes + news.bytes,
                ..*news
            }
        };
        let rows: Vec<_> = news.iter().map(row).collect();
        visitors.written(news, &rows);
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
        written(&visitors, &news);
        let rest = visitors.unwritten(30);
        assert_eq!((rest[0].hits, rest[0].bytes), (0, 5));
        assert_eq!(rest[0].last_seen, 10, "bytes are no request");
        written(&visitors, &rest);
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
            write(&after, now);
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
                write(&visitors, 1000);
            }
        }
        let unwritten = visitors.unwritten(2000);
        visitors.of(Face::Apt, ip(most)).hit();
        let left = visitors.known(Face::Apt).len();
        assert_eq!(left, MOST - MOST / 10 + 1);
        assert!(Arc::ptr_eq(&here, &visitors.of(Face::Apt, ip(0))));
        assert_eq!(visitors.unwritten(2000).len(), unwritten.len() + 1);
    }

    #[test]
    fn when_everybody_is_here_strangers_count_in_the_sums() {
        let visitors = visitors();
        let most = u32::try_from(MOST).unwrap();
        let here: Vec<_> = (0..most).map(|n| visitors.of(Face::Peer, ip(n))).collect();
        visitors.of(Face::Peer, ip(most)).sent(Kind::ToPeers, 1);
        assert_eq!(visitors.known(Face::Peer).len(), here.len());
        assert_eq!(visitors.meters.pending().of(Kind::ToPeers), 1);
    }

    #[test]
    fn no_number_of_nodes_takes_a_client_s_place() {
        let visitors = visitors();
        visitors.of(Face::Apt, ip(1)).hit();
        for number in 0..3 * u32::try_from(MOST).unwrap() {
            visitors.of(Face::Peer, ip(number)).took();
            if number % 1000 == 0 {
                write(&visitors, i64::from(number));
            }
        }
        assert!(visitors.known(Face::Peer).len() <= MOST);
        assert_eq!(visitors.latest(Face::Apt, 9, 0)[0].hits, 1);
    }

    #[test]
    fn who_comes_back_goes_on_from_its_row() {
        let visitors = visitors();
        let client = visitors.of(Face::Apt, ip(1));
        client.hit();
        client.sent(Kind::ClientsFromCache, 7);
        let news = visitors.unwritten(10);
        let row = Visits {
            hits: 101,
            misses: 5,
            bytes: 1007,
            ..news[0]
        };
        // Counted while it is written.
        client.hit();
        visitors.written(&news, &[row]);
        let seen = visitors.latest(Face::Apt, 1, 20)[0];
        assert_eq!((seen.hits, seen.misses, seen.bytes), (102, 5, 1007));
        let rest = visitors.unwritten(20);
        assert_eq!((rest[0].hits, rest[0].misses, rest[0].bytes), (1, 0, 0));
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
        write(&visitors, 5);
        visitors.forget(100);
        assert_eq!(visitors.latest(Face::Apt, 9, 6)[0].address, here.address());
        assert_eq!(visitors.known(Face::Apt).len(), 1);
    }
}
