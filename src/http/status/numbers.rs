//! What the status tells of bytes and requests: sums folded into spans of
//! time, and who asked.

use std::net::IpAddr;

use super::shape::{Bin, Client, History, Served, Split, Traffic, Upload};
use crate::clock::Millis;
use crate::dht::contact::{household_name, household_of};
use crate::meter::{Amounts, HOUR, Kind, Sums};
use crate::visitors::{Face, Visitors};

/// Clock hours of the history.
const HOURS: i64 = 48;

/// Days of the history.
const DAYS: i64 = 30;

/// Hours of a day.
const DAY: i64 = 24;

/// Clients and uploads told of.
pub const VISITORS: usize = 100;

fn split(amounts: &Amounts) -> Split {
    Split {
        from_cache: amounts.of(Kind::ClientsFromCache),
        from_peers: amounts.of(Kind::ClientsFromPeers),
        from_mirrors: amounts.of(Kind::ClientsFromMirrors),
        hits: amounts.of(Kind::Hits),
        misses: amounts.of(Kind::Misses),
    }
}

pub(super) fn traffic(all: &Amounts) -> Traffic {
    Traffic {
        from_mirrors: all.of(Kind::FromMirrors),
        from_peers: all.of(Kind::FromPeers),
        to_clients: split(all).bytes(),
        to_peers: all.of(Kind::ToPeers),
    }
}

/// `hour` is the one that is not over, in hours since 1970; `since` is when
/// counting began.
pub(super) fn served(sums: &Sums, hour: i64, since: Millis) -> Served {
    let latest = |hours: i64| split(&sums.between(hour + 1 - hours, hour + 1));
    Served {
        hour: latest(1),
        day: latest(DAY),
        week: latest(7 * DAY),
        all: split(&sums.all),
        since,
    }
}

/// `hour` as with [`served`].
pub(super) fn history(sums: &Sums, hour: i64) -> History {
    let bin = |from: i64, length: i64| Bin {
        at: from * HOUR,
        split: split(&sums.between(from, from + length)),
    };
    let today = hour.div_euclid(DAY);
    History {
        hours: (hour + 1 - HOURS..=hour).map(|hour| bin(hour, 1)).collect(),
        days: (today + 1 - DAYS..=today)
            .map(|day| bin(day * DAY, DAY))
            .collect(),
    }
}

pub(super) fn clients(visitors: &Visitors, now: Millis) -> Vec<Client> {
    let latest = visitors.latest(Face::Apt, VISITORS, now).into_iter();
    let clients = latest.map(|visits| Client {
        address: visits.address.to_string(),
        hits: visits.hits,
        misses: visits.misses,
        bytes: visits.bytes,
        last_seen: visits.last_seen,
    });
    clients.collect()
}

pub(super) fn uploads(visitors: &Visitors, now: Millis) -> Vec<Upload> {
    let latest = visitors.latest(Face::Peer, VISITORS, now).into_iter();
    let uploads = latest.map(|visits| Upload {
        address: household_name(visits.address),
        requests: visits.hits,
        bytes: visits.bytes,
        last_seen: visits.last_seen,
    });
    uploads.collect()
}

pub(super) fn bytes_sent(visitors: &Visitors, address: IpAddr) -> u64 {
    visitors.bytes_to(Face::Peer, household_of(address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2023-11-14, 22 o'clock.
    const NOW: i64 = 472_222;

    fn sums(counted: &[(i64, usize, u64)]) -> Sums {
        let mut sums = Sums::default();
        for (ago, kind, amount) in counted {
            let mut amounts = Amounts::default();
            amounts.add(Kind::ALL[*kind], *amount);
            sums.add(NOW - ago, &amounts);
        }
        sums
    }

    fn add(bins: &[Bin]) -> Split {
        let add = |sum: Split, bin: &Bin| Split {
            from_cache: sum.from_cache + bin.split.from_cache,
            from_peers: sum.from_peers + bin.split.from_peers,
            from_mirrors: sum.from_mirrors + bin.split.from_mirrors,
            hits: sum.hits + bin.split.hits,
            misses: sum.misses + bin.split.misses,
        };
        bins.iter().fold(Split::default(), add)
    }

    #[test]
    fn a_span_ends_with_the_clock_hour_that_is_not_over() {
        let hits = Kind::Hits as usize;
        let sums = sums(&[
            (0, hits, 1),
            (1, hits, 10),
            (23, hits, 100),
            (24, hits, 1000),
            (167, hits, 10_000),
            (168, hits, 100_000),
        ]);
        let served = served(&sums, NOW, 7);
        assert_eq!(served.hour.hits, 1);
        assert_eq!(served.day.hits, 111);
        assert_eq!(served.week.hits, 11_111);
        assert_eq!((served.all.hits, served.since), (111_111, 7));
        let history = history(&sums, NOW);
        assert_eq!(history.days[29].split.hits, 11, "since midnight");
        assert_eq!(history.days[29].at, 1_699_920_000_000);
        assert_eq!(history.hours[47].at, NOW * HOUR);
    }

    #[test]
    fn who_is_known_by_ipv4_is_the_same_by_its_ipv6_form() {
        let visitors = Visitors::new(std::sync::Arc::default());
        let address = "192.0.2.1".parse().unwrap();
        visitors.of(Face::Peer, address).sent(Kind::ToPeers, 5);
        assert_eq!(
            bytes_sent(&visitors, "::ffff:192.0.2.1".parse().unwrap()),
            5
        );
        assert_eq!(bytes_sent(&visitors, "192.0.2.2".parse().unwrap()), 0);
        assert!(uploads(&visitors, 1).is_empty(), "it asked for nothing");
    }

    #[test]
    fn nodes_of_one_network_of_ipv6_are_told_of_as_that() {
        let visitors = Visitors::new(std::sync::Arc::default());
        let network = household_of("2001:db8:1:2::3".parse().unwrap());
        let node = visitors.of(Face::Peer, network);
        node.took();
        node.sent(Kind::ToPeers, 5);
        assert_eq!(uploads(&visitors, 1)[0].address, "2001:db8:1::/48");
        let sent = |address: &str| bytes_sent(&visitors, address.parse().unwrap());
        assert_eq!(sent("2001:db8:1:9::9"), 5);
        assert_eq!(sent("2001:db8:2::3"), 0);
    }

    proptest! {
        #[test]
        fn bins_sum_to_the_spans(
            counted in prop::collection::vec((0..800_i64, 0..Kind::ALL.len(), 0..1000_u64), 0..200),
        ) {
            let sums = sums(&counted);
            let (served, history) = (served(&sums, NOW, 0), history(&sums, NOW));
            prop_assert_eq!((history.hours.len(), history.days.len()), (48, 30));
            prop_assert_eq!(add(&history.hours[47..]), served.hour);
            prop_assert_eq!(add(&history.hours[24..]), served.day);
            let today = usize::try_from(NOW % DAY + 1).unwrap();
            prop_assert_eq!(add(&history.hours[48 - today..]), history.days[29].split);
            let of_kind = |kind: Kind, within: i64| -> u64 {
                let is_it = |(ago, of, _): &&(i64, usize, u64)| *of == kind as usize && *ago < within;
                counted.iter().filter(is_it).map(|(_, _, amount)| amount).sum()
            };
            let shown = 29 * DAY + NOW % DAY + 1;
            for (within, split) in [(168, served.week), (shown, add(&history.days)), (800, served.all)] {
                prop_assert_eq!(split.from_cache, of_kind(Kind::ClientsFromCache, within));
                prop_assert_eq!(split.from_peers, of_kind(Kind::ClientsFromPeers, within));
                prop_assert_eq!(split.from_mirrors, of_kind(Kind::ClientsFromMirrors, within));
                prop_assert_eq!((split.hits, split.misses),
                    (of_kind(Kind::Hits, within), of_kind(Kind::Misses, within)));
            }
            for pair in history.hours.windows(2) {
                prop_assert_eq!(pair[1].at - pair[0].at, HOUR);
            }
            for pair in history.days.windows(2) {
                prop_assert_eq!(pair[1].at - pair[0].at, DAY * HOUR);
            }
        }
    }
}
