//! Tests of budgets: what is allowed at once, what over time, and that floods
//! neither get more nor make the maps grow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use super::{Budget, KNOWN_FOR, REMEMBERED, TURN};
use crate::clock::Millis;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const START: Millis = 1_700_000_000_000;

fn budget() -> Budget {
    Budget::new([7; 16])
}

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
    let mut budget = budget();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 1999), 0);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 2000), 1);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 20 * SECOND), 9);
    assert_eq!(allowed_one(&mut budget, ip(1), START + 10 * MINUTE), 30);
    assert_eq!(allowed_one(&mut budget, ip(2), START + 10 * MINUTE), 30);
}

#[test]
fn who_answered_gets_more_for_an_hour() {
    let mut budget = budget();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    budget.answered(ip(1), START);
    // What it took as a stranger is taken, and comes back as fast as that of a
    // known one.
    assert_eq!(allowed_one(&mut budget, ip(1), START), 220);
    assert_eq!(allowed_one(&mut budget, ip(1), START + SECOND), 100);
    budget.answered(ip(1), START + SECOND);
    assert_eq!(allowed_one(&mut budget, ip(1), START + SECOND), 0);
    assert_eq!(allowed_one(&mut budget, ip(1), START + MINUTE), 250);
    let later = START + KNOWN_FOR + 2 * SECOND;
    assert_eq!(allowed_one(&mut budget, ip(1), later), 30);
}

#[test]
fn one_query_of_a_stranger_counts_as_one_when_it_is_known() {
    let mut budget = budget();
    assert!(budget.may_answer(ip(1), START));
    budget.answered(ip(1), START);
    assert_eq!(allowed_one(&mut budget, ip(1), START), 249);
}

#[test]
fn strangers_together_leave_room_for_who_is_known() {
    let mut budget = budget();
    budget.answered(ip(1), START);
    let strangers = || (1000..100_000).map(ip);
    assert_eq!(allowed(&mut budget, strangers(), START), 2000);
    assert_eq!(allowed(&mut budget, strangers(), START + SECOND), 500);
    assert_eq!(allowed_one(&mut budget, ip(1), START + SECOND), 250);
}

#[test]
fn everybody_together_is_bounded() {
    let mut budget = budget();
    (0..100).for_each(|at| budget.answered(ip(at), START));
    let all = || (0..100).flat_map(|at| std::iter::repeat_n(ip(at), 300));
    assert_eq!(allowed(&mut budget, all(), START), 5000);
    assert_eq!(allowed(&mut budget, all(), START + SECOND), 2500);
}

#[test]
fn an_ipv6_network_is_one() {
    let mut budget = budget();
    let addr = |host| IpAddr::from(Ipv6Addr::new(0x2a01, 1, 2, host, 0, 0, 0, host));
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
    let mut budget = budget();
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
    let mut budget = budget();
    assert_eq!(allowed_one(&mut budget, ip(1), START), 30);
    let before = START - 60 * MINUTE;
    assert_eq!(allowed_one(&mut budget, ip(1), before), 0);
    assert_eq!(allowed_one(&mut budget, ip(2), before), 0);
    let later = before + 10 * SECOND;
    assert_eq!(allowed_one(&mut budget, ip(1), later), 5);
    assert_eq!(allowed_one(&mut budget, ip(2), later), 30);
}

#[test]
fn who_asked_is_remembered_for_five_minutes_and_at_most_ten() {
    let mut budget = budget();
    let addr = |port| SocketAddr::new(ip(1), port);
    for at in (0..4 * TURN).step_by(7000) {
        let (port, now) = (u16::try_from(at / 1000).unwrap(), START + at);
        budget.note_query(addr(port), now);
        assert!(budget.asked_recently(&addr(port), now));
        let earlier = |age: Millis| addr(u16::try_from((at - age) / 1000).unwrap());
        if at >= TURN {
            assert!(budget.asked_recently(&earlier(TURN / 7000 * 7000), now));
        }
        if at > 2 * TURN + 7000 {
            assert!(!budget.asked_recently(&earlier(2 * TURN + 7000), now));
        }
    }
    assert!(!budget.asked_recently(&addr(60_000), START + 4 * TURN));
    let idle = START + 6 * TURN;
    assert!((0..60_000).all(|port| !budget.asked_recently(&addr(port), idle)));
}

#[test]
fn a_clock_set_back_forgets_nobody_who_just_asked() {
    let mut budget = budget();
    let addr = SocketAddr::new(ip(1), 1);
    budget.note_query(addr, START);
    assert!(budget.asked_recently(&addr, START - MINUTE));
    assert!(!budget.asked_recently(&addr, START - 60 * MINUTE));
    budget.note_query(addr, START - 60 * MINUTE);
    assert!(budget.asked_recently(&addr, START - 60 * MINUTE));
    assert!(!budget.asked_recently(&addr, START - 50 * MINUTE));
}

/// Of 10,000 addresses that never asked, how many seem to have, ten minutes into
/// a flood of forged queries.
fn confused(per_second: u32) -> usize {
    let mut budget = budget();
    assert_eq!(budget.asked.bytes(), 0);
    let addr = |bits| SocketAddr::new(ip(bits), 9);
    for at in 0..per_second * 598 {
        let now = START + Millis::from(at) * SECOND / Millis::from(per_second);
        budget.note_query(addr(at), now);
    }
    assert!(budget.asked.bytes() <= 64 * 1024);
    let others = (1 << 31..(1 << 31) + 10_000).map(addr);
    let end = START + 598 * SECOND;
    others.filter(|it| budget.asked_recently(it, end)).count()
}

#[test]
fn a_forged_flood_does_not_make_everybody_seem_to_have_asked() {
    // More than the 4,096 addresses in ten minutes that could be listed.
    assert!(confused(7) < 20);
    assert!(confused(50) < 400);
    // As fast as strangers are answered at all: a newcomer's chance is slim at
    // each try, and there is one.
    assert!((6000..8000).contains(&confused(500)));
}

#[test]
fn who_seems_to_have_asked_is_another_one_in_each_turn() {
    let mut budget = budget();
    let addr = |bits| SocketAddr::new(ip(bits), 9);
    // The same addresses again and again.
    let flood = |budget: &mut Budget, now| {
        (0..100_000).for_each(|at| budget.note_query(addr(at), now));
    };
    let mut confused: Vec<SocketAddr> = (1 << 31..(1 << 31) + 1000).map(addr).collect();
    for turn in 0..8 {
        let now = START + turn * 2 * TURN;
        flood(&mut budget, now);
        confused.retain(|it| budget.asked_recently(it, now));
    }
    assert!(confused.len() < 10, "{}", confused.len());
}

#[test]
fn many_that_answer_are_bounded() {
    let mut budget = budget();
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
    let mut budget = budget();
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
        let mut budget = budget();
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
