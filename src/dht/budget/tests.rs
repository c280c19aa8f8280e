//! Tests of budgets: what is allowed at once, what over time, and that floods
//! neither get more nor make the maps grow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::{Budget, KNOWN_FOR, OPEN_FOR, REMEMBERED};
use crate::clock::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const START: Millis = 1_700_000_000_000;

fn ip(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn allowed(budget: &mut Budget, ips: impl Iterator<Item = IpAddr>, now: Millis) -> usize {
    ips.filter(|ip| budget.may_answer(*ip, now)).count()
}

fn allowed_one(budget: &mut Budget, ip: IpAddr, now: Millis) -> usize {
    allowed(budget, std::iter::repeat_n(ip, 10_000), now)
}

#[test]
fn a_stranger_gets_thirty_at_once_and_thirty_a_minute() {
    let mut budget = Budget::default();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 1999), 0);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 2000), 1);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 20 * SECOND), 9);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 10 * MINUTE), 30);
    assert_eq!(allowed_one(&mut budget, ip(2), START + 10 * MINUTE), 30);
}

#[test]
fn who_answered_gets_more_for_an_hour() {
    let mut budget = Budget::default();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    budget.answered(ip(1), START);
    // Its bucket was empty, and fills as fast as that of a known one.
    assert_eq!(allowed_one(&mut budget, ip(1), START), 0);
    assert_eq!(allowed_one(&mut budget, ip(1), START + SECOND), 100);
    assert_eq!(allowed_one(&mut budget, ip(1), START + MINUTE), 250);
    let later = START + KNOWN_FOR + 2 * SECOND;
    assert_eq!(allowed_one(&mut budget, ip(1), later), 30);
}

#[test]
fn strangers_together_leave_room_for_who_is_known() {
    let mut budget = Budget::default();
    budget.answered(ip(1), START);
    let strangers = || (1000..100_000).map(ip);
    assert_eq!(allowed(&mut budget, strangers(), START), 2000);
    assert_eq!(allowed(&mut budget, strangers(), START + SECOND), 500);
    assert_eq!(allowed_one(&mut budget, ip(1), START + SECOND), 250);
}

#[test]
fn everybody_together_is_bounded() {
    let mut budget = Budget::default();
    (0..100).for_each(|at| budget.answered(ip(at), START));
    let all = || (0..100).flat_map(|at| std::iter::repeat_n(ip(at), 300));
    assert_eq!(allowed(&mut budget, all(), START), 5000);
    assert_eq!(allowed(&mut budget, all(), START + SECOND), 2500);
}

#[test]
fn an_ipv6_network_is_one() {
    let mut budget = Budget::default();
    let addr = |host| IpAddr::from(Ipv6Addr::new(0x2a01, 1, 2, 3, 0, 0, 0, host));
    assert_eq!(allowed(&mut budget, (0..1000).map(addr), START), 30);
    let mapped = IpAddr::from(Ipv4Addr::new(1, 2, 3, 4).to_ipv6_mapped());
    assert_eq!(allowed_one(&mut budget, mapped, START), 30);
    assert_eq!(
        allowed_one(&mut budget, Ipv4Addr::new(1, 2, 3, 4).into(), START),
        0
    );
}

#[test]
fn a_forged_flood_gives_nobody_a_fresh_budget() {
    let mut budget = Budget::default();
    let victim = ip(7);
    let (mut at_victim, mut at_all) = (0, 0);
    let seconds = 120;
    for step in 0..seconds * 10 {
        let now = START + Millis::from(step) * 100;
        at_victim += allowed(&mut budget, std::iter::repeat_n(victim, 20), now);
        let flood = (0..2000).map(|at| ip(0x0100_0000 + step * 2000 + at));
        at_all += allowed(&mut budget, flood, now);
        assert!(budget.buckets.len() < 2 * REMEMBERED);
    }
    assert!(at_victim <= 30 + 60, "{at_victim}");
    let most = 2000 + 500 * usize::try_from(seconds).unwrap();
    assert!(at_all + at_victim <= most, "{at_all}");
    assert!(at_all > most / 2);
    assert!(
        budget.buckets.capacity() < 2 * REMEMBERED,
        "{}",
        budget.buckets.capacity()
    );
}

#[test]
fn a_clock_set_back_does_not_silence_the_node() {
    let mut budget = Budget::default();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    let before = START - 60 * MINUTE;
    assert_eq!(allowed_one(&mut budget, ip(1), before), 0);
    assert_eq!(allowed_one(&mut budget, ip(2), before), 0);
    let later = before + 10 * SECOND;
    assert_eq!(allowed_one(&mut budget, ip(1), later), 5);
    assert_eq!(allowed_one(&mut budget, ip(2), later), 30);
}

#[test]
fn who_asked_is_remembered_for_ten_minutes() {
    let mut budget = Budget::default();
    let addr = |port| SocketAddr::new(ip(1), port);
    budget.note_query(addr(1), START);
    assert!(budget.asked_recently(&addr(1), START + OPEN_FOR));
    assert!(!budget.asked_recently(&addr(1), START + OPEN_FOR + 2 * SECOND));
    assert!(!budget.asked_recently(&addr(2), START));
    // The clock was set back: better too careful.
    assert!(budget.asked_recently(&addr(1), START - MINUTE));
}

#[test]
fn where_who_asked_was_forgotten_everybody_may_have() {
    let mut budget = Budget::default();
    let addr = |bits| SocketAddr::new(ip(bits), 9);
    for at in 0..20_000 {
        budget.note_query(addr(at), START + Millis::from(at) * 10);
        assert!(budget.asked.len() <= REMEMBERED);
    }
    let end = START + 200 * SECOND;
    assert!((0..20_000).all(|at| budget.asked_recently(&addr(at), end)));
    assert!(budget.asked_recently(&addr(77_777), end));
    let later = end + OPEN_FOR + 2 * SECOND;
    assert!(!budget.asked_recently(&addr(77_777), later));
}

#[test]
fn many_that_answer_are_bounded() {
    let mut budget = Budget::default();
    for at in 0..50_000 {
        budget.answered(ip(at), START + Millis::from(at));
        assert!(budget.answered.len() <= REMEMBERED);
    }
    let now = START + 50 * SECOND;
    assert_eq!(allowed_one(&mut budget, ip(49_999), now), 250);
    assert_eq!(allowed_one(&mut budget, ip(1), now), 30);
}

#[test]
fn an_idle_budget_is_small() {
    let mut budget = Budget::default();
    // A stranger a second, for hours.
    for at in 0..10_000 {
        assert!(budget.may_answer(ip(at), START + Millis::from(at) * SECOND));
    }
    assert!(budget.buckets.capacity() < 32);
}

#[derive(Debug, Clone)]
enum Step {
    Query(u8),
    Answer(u8),
    Pass(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..8_u8).prop_map(Step::Query),
        1 => (0..8_u8).prop_map(Step::Answer),
        3 => (0..4000_u16).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..600)
}

/// A token bucket as a textbook has it.
struct Textbook {
    tokens: f64,
    at: Millis,
}

proptest! {
    #[test]
    fn a_stranger_is_treated_as_by_the_textbook(steps in steps()) {
        let mut budget = Budget::default();
        let mut now = START;
        let mut buckets: Vec<_> = (0..8).map(|_| Textbook { tokens: 30.0, at: now }).collect();
        let mut answered = [false; 8];
        for step in steps {
            match step {
                Step::Query(who) => {
                    let may = budget.may_answer(ip(who.into()), now);
                    let who = usize::from(who);
                    if answered[who] {
                        continue;
                    }
                    let bucket = &mut buckets[who];
                    let passed = f64::from(u32::try_from(now - bucket.at).unwrap());
                    bucket.tokens = (bucket.tokens + passed / 2000.0).min(30.0);
                    bucket.at = now;
                    // Where rounding decides, either is right.
                    if (bucket.tokens - 1.0).abs() > 1e-6 {
                        prop_assert_eq!(may, bucket.tokens > 1.0);
                    }
                    if may {
                        bucket.tokens -= 1.0;
                    }
                }
                Step::Answer(who) => {
                    budget.answered(ip(who.into()), now);
                    answered[usize::from(who)] = true;
                }
                Step::Pass(millis) => now += Millis::from(millis),
            }
        }
    }
}
