use proptest::prelude::*;

use super::*;

const END: Millis = 100_000;

fn equal(pieces: usize, sources: usize) -> Schedule {
    let mut schedule = Schedule::new(pieces, 0);
    for _ in 0..sources {
        schedule.add(0.5);
    }
    schedule
}

fn all(schedule: &mut Schedule, now: Millis) -> Vec<Ask> {
    std::iter::from_fn(|| schedule.next(Order::Front, now)).collect()
}

/// Runs a download where each source brings a piece in `took` of its own, two
/// pieces at a time in twice that. Answers what each brought and how long it took.
fn simulate(pieces: usize, took: &[Millis]) -> (Vec<usize>, Millis) {
    let mut schedule = equal(pieces, took.len());
    let (mut brought, mut links) = (
        vec![0; took.len()],
        vec![Vec::<(Ask, Millis)>::new(); took.len()],
    );
    let mut bytes = 0;
    for now in 0..END {
        schedule.measured(bytes, now);
        while let Some(ask) = schedule.next(Order::Front, now) {
            links[ask.source].push((ask, took[ask.source]));
        }
        let mut gone = Vec::new();
        for link in &mut links {
            let Some((ask, left)) = link.first_mut() else {
                continue;
            };
            *left -= 1;
            bytes += 524_288 / took[ask.source].unsigned_abs();
            if *left > 0 {
                continue;
            }
            let ask = *ask;
            link.remove(0);
            brought[ask.source] += 1;
            gone.extend(schedule.brought(ask, now));
        }
        for link in &mut links {
            link.retain(|(ask, _)| !gone.contains(ask));
        }
        if schedule.missing() == 0 {
            return (brought, now + 1);
        }
    }
    panic!("it does not end");
}

#[test]
fn the_first_piece_goes_to_the_best_source() {
    let mut schedule = Schedule::new(3, 0);
    schedule.add(0.2);
    schedule.add(0.9);
    schedule.add(0.5);
    assert_eq!(
        schedule.next(Order::Front, 0),
        Some(Ask {
            piece: 0,
            source: 1
        })
    );
    assert_eq!(
        schedule.next(Order::Front, 0),
        Some(Ask {
            piece: 1,
            source: 2
        })
    );
}

#[test]
fn four_requests_are_in_flight_at_first_and_two_at_most_to_one_source() {
    assert_eq!(all(&mut equal(20, 8), 0).len(), 4);
    let mut one = equal(20, 1);
    let first = all(&mut one, 0);
    assert_eq!(first.len(), 1);
    one.brought(first[0], 10);
    assert_eq!(all(&mut one, 10).len(), 2);
}

#[test]
fn at_the_end_who_is_idle_takes_what_waits_at_another() {
    let mut schedule = equal(6, 2);
    let first = all(&mut schedule, 0);
    assert_eq!(first.len(), 2);
    schedule.brought(first[0], 10);
    let two = all(&mut schedule, 10);
    assert_eq!(two.len(), 2);
    // The other one does all that is left.
    let mut now = 11;
    let mut ask = first[1];
    for _ in 0..2 {
        schedule.brought(ask, now);
        let next = all(&mut schedule, now);
        assert_eq!(next.len(), 1, "what is left waits behind nobody");
        ask = next[0];
        now += 1;
    }
    schedule.brought(ask, now);
    let taken = all(&mut schedule, now);
    assert_eq!(taken.len(), 1);
    assert_eq!(
        (taken[0].source, taken[0].piece),
        (ask.source, two[1].piece)
    );
}

#[test]
fn who_failed_is_forgiven_once_and_who_was_wrong_is_not() {
    let mut schedule = equal(4, 2);
    for _ in 0..2 {
        let ask = schedule.next(Order::Front, 0).unwrap();
        schedule.failed(ask);
    }
    let rest = all(&mut schedule, 0);
    for ask in rest {
        schedule.wrong(ask);
    }
    assert!(schedule.forgive());
    assert!(schedule.next(Order::Front, 0).is_some());
    assert!(!schedule.forgive());
}

#[test]
fn equal_sources_share_alike() {
    for sources in [2, 3, 5, 8] {
        let (brought, _) = simulate(120, &vec![20; sources]);
        let (least, most) = (brought.iter().min().unwrap(), brought.iter().max().unwrap());
        assert!(most - least <= 5, "{brought:?}");
    }
}

#[test]
fn eight_links_are_in_use_for_nine_tenths_of_the_time() {
    let (_, took) = simulate(115, &[200; 8]);
    let ideal = 115 * 200 / 8;
    assert!(took * 93 <= ideal * 100, "{took} of {ideal}");
}

#[test]
fn a_slow_source_does_not_hold_the_others_up() {
    let (_, took) = simulate(60, &[20, 20, 20, 4000]);
    assert!(took < 60 * 20 / 3 + 200, "{took}");
}

#[test]
fn a_stalled_piece_is_given_to_another_and_the_first_to_bring_it_ends_the_rest() {
    let mut schedule = equal(1, 2);
    let first = schedule.next(Order::Front, 0).unwrap();
    assert_eq!(schedule.next(Order::Front, UNKNOWN), None);
    let second = schedule.next(Order::Front, UNKNOWN * HURRIED + 1).unwrap();
    assert_ne!(first.source, second.source);
    assert_eq!(schedule.brought(second, 2000), [first]);
    assert_eq!((schedule.missing(), schedule.in_flight()), (0, 0));
    assert!(schedule.brought(first, 2001).is_empty());
}

#[test]
fn who_failed_with_a_piece_is_not_asked_for_it_again_and_twice_is_enough() {
    let mut schedule = equal(3, 1);
    let first = schedule.next(Order::Front, 0).unwrap();
    schedule.failed(first);
    let second = schedule.next(Order::Front, 0).unwrap();
    assert_ne!(first.piece, second.piece);
    schedule.failed(second);
    assert_eq!(
        (schedule.next(Order::Front, 0), schedule.usable()),
        (None, 0)
    );
}

#[test]
fn who_sent_three_wrong_pieces_is_asked_no_more() {
    let mut schedule = equal(10, 2);
    let mut asks = all(&mut schedule, 0);
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(schedule.usable(), 2);
        let at = asks.iter().position(|ask| ask.source == 0).unwrap();
        let wrong = asks.remove(at);
        schedule.wrong(wrong);
        assert_eq!(schedule.sound(), 1);
        assert!(schedule.can_go_on());
        seen.push(wrong.piece);
        asks.extend(all(&mut schedule, 0));
        let again = |ask: &Ask| ask.source == 0 && seen.contains(&ask.piece);
        assert!(!asks.iter().any(again));
    }
    assert_eq!(schedule.usable(), 1);
}

#[test]
fn who_sent_the_only_piece_wrong_can_do_no_more() {
    let mut schedule = equal(1, 1);
    let ask = schedule.next(Order::Front, 0).unwrap();
    assert!(schedule.can_go_on());
    schedule.wrong(ask);
    assert_eq!((schedule.usable(), schedule.can_go_on()), (1, false));
}

#[test]
fn who_is_dismissed_is_asked_for_nothing() {
    let mut schedule = equal(10, 2);
    let asks = all(&mut schedule, 0);
    let dismissed = schedule.dismiss(0);
    assert_eq!(dismissed.len(), 1);
    assert_eq!(asks.iter().filter(|ask| ask.source == 0).count(), 1);
    assert!(all(&mut schedule, 0).iter().all(|ask| ask.source == 1));
}

#[test]
fn from_the_back_while_the_mirror_sends_the_front() {
    let mut schedule = equal(4, 2);
    schedule.stream(Some(0));
    assert_eq!(schedule.next(Order::Back, 0).unwrap().piece, 3);
    let ask = schedule.next(Order::Back, 0).unwrap();
    assert_eq!(ask.piece, 2);
    schedule.brought(ask, 10);
    assert_eq!(schedule.next_missing(2), 3);
    schedule.arrived(0);
    schedule.stream(Some(1));
    assert!(
        schedule
            .next(Order::Back, 10)
            .is_none_or(|ask| ask.piece == 3)
    );
}

fn asked(schedule: &mut Schedule, order: Order) -> Vec<usize> {
    let asks = std::iter::from_fn(|| {
        let ask = schedule.next(order, 0)?;
        schedule.brought(ask, 0);
        Some(ask.piece)
    });
    asks.collect()
}

#[test]
fn what_somebody_waits_for_is_asked_for_first_and_in_order() {
    for (order, rest) in [(Order::Front, [0, 1, 2, 5]), (Order::Back, [5, 2, 1, 0])] {
        let mut schedule = equal(6, 2);
        schedule.prefer(&[(3, 5)]);
        assert_eq!(asked(&mut schedule, order), [&[3, 4], &rest[..]].concat());
    }
}

#[test]
fn of_two_who_wait_each_gets_its_next_piece_in_turn() {
    let mut schedule = equal(9, 1);
    schedule.prefer(&[(6, usize::MAX), (2, 4), (usize::MAX, 1)]);
    let asked = asked(&mut schedule, Order::Front);
    assert_eq!(asked[..5], [6, 2, 7, 3, 8]);
    assert_eq!(asked[5..], [0, 1, 4, 5]);
}

#[test]
fn what_the_mirror_sends_or_is_here_is_not_asked_for_whoever_waits() {
    let mut schedule = equal(5, 2);
    schedule.prefer(&[(2, 5)]);
    schedule.stream(Some(2));
    schedule.arrived(3);
    assert_eq!(schedule.next(Order::Front, 0).unwrap().piece, 4);
    schedule.prefer(&[]);
    assert_eq!(schedule.next(Order::Front, 0).unwrap().piece, 0);
}

proptest! {
    #[test]
    fn every_piece_comes_whatever_fails(
        pieces in 1..60_usize,
        conduct in prop::collection::vec((1..80 as Millis, 0..4_u8), 1..9),
        seed: u64,
    ) {
        use rand::{RngExt, SeedableRng, rngs::SmallRng};
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut schedule = equal(pieces, conduct.len());
        // One source that never fails.
        let honest = schedule.add(0.1);
        let mut under_way: Vec<(Ask, Millis)> = Vec::new();
        let mut now = 0;
        while schedule.missing() > 0 {
            prop_assert!(now < END);
            while let Some(ask) = schedule.next(Order::Front, now) {
                prop_assert!(!schedule.is_here(ask.piece));
                prop_assert!(under_way.iter().all(|(other, _)| *other != ask));
                let takes = conduct.get(ask.source).map_or(30, |(takes, _)| *takes);
                under_way.push((ask, now + takes));
            }
            prop_assert_eq!(schedule.in_flight(), under_way.len());
            now += 1;
            while let Some(at) = under_way.iter().position(|(_, due)| *due <= now) {
                let (ask, _) = under_way.swap_remove(at);
                let fails = ask.source != honest && rng.random_range(0..4) < conduct[ask.source].1;
                if fails && rng.random_bool(0.2) {
                    let gone = schedule.dismiss(ask.source);
                    under_way.retain(|(other, _)| !gone.contains(other));
                    prop_assert!(gone.contains(&ask));
                } else if fails {
                    schedule.failed(ask);
                } else {
                    let gone = schedule.brought(ask, now);
                    under_way.retain(|(other, _)| !gone.contains(other));
                }
            }
        }
        prop_assert_eq!(schedule.front(), pieces);
        prop_assert_eq!(schedule.in_flight(), 0);
    }
}
