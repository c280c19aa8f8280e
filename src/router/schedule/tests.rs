use proptest::prelude::*;

use super::*;

const NOW: Millis = 1_000_000;
const MINUTE: Duration = Duration::from_mins(1);

fn at(last: u8) -> Place {
    Place {
        gateway: [192, 168, 1, last].into(),
        own: [192, 168, 1, 200].into(),
    }
}

fn later(by: Duration) -> Millis {
    NOW + millis(by)
}

/// A schedule that asked the router, which forwards for so long.
fn mapped(lifetime: Option<Duration>) -> Schedule {
    let mut schedule = Schedule::default();
    assert!(schedule.look(Some(at(1)), NOW).is_due);
    schedule.mapped(lifetime, NOW);
    schedule
}

#[test]
fn a_mapping_is_asked_for_again_at_half_of_its_time() {
    for (lifetime, again) in [
        (Some(MINUTE), MINUTE / 2),
        (Some(MINUTE * 12), MINUTE * 6),
        (Some(LEASE), LATEST),
        (Some(Duration::from_secs(u32::MAX.into())), LATEST),
        (Some(Duration::ZERO), SOONEST),
        (None, LATEST),
    ] {
        let mut schedule = mapped(lifetime);
        let just_before = later(again) - 1;
        assert!(
            !schedule.look(Some(at(1)), just_before).is_due,
            "{lifetime:?}"
        );
        assert!(
            schedule.look(Some(at(1)), later(again)).is_due,
            "{lifetime:?}"
        );
    }
}

#[test]
fn one_answer_that_does_not_come_is_no_loss() {
    let mut schedule = mapped(Some(LEASE));
    assert!(!schedule.failed(later(LATEST)));
    assert!(schedule.failed(later(LATEST + MINUTE)));
    schedule.mapped(Some(LEASE), later(LATEST + MINUTE * 2));
    assert!(!schedule.failed(later(LATEST + MINUTE * 3)));
    // But for a mapping whose time is over.
    let mut schedule = mapped(Some(MINUTE));
    assert!(schedule.failed(later(MINUTE)));
    // Who was never told of any has none to lose.
    assert!(Schedule::default().failed(NOW));
}

#[test]
fn another_router_is_asked_at_once() {
    let mut schedule = mapped(Some(LEASE));
    let moved = Look {
        is_moved: true,
        is_due: true,
    };
    assert_eq!(schedule.look(Some(at(2)), NOW + 1), moved);
    schedule.failed(NOW + 1);
    schedule.failed(NOW + 1);
    assert!(!schedule.look(Some(at(2)), NOW + 2).is_due);
    assert_eq!(schedule.look(Some(at(1)), NOW + 3), moved);
    let gone = schedule.look(None, NOW + 4);
    assert_eq!((gone.is_moved, gone.is_due), (true, false));
    assert!(!schedule.look(None, later(LEASE)).is_due);
    assert_eq!(schedule.look(Some(at(1)), later(LEASE)), moved);
}

#[test]
fn pauses_grow_to_an_hour() {
    let pauses: Vec<_> = (1..9).map(|failures| pause(failures).as_secs()).collect();
    assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600]);
    assert_eq!(pause(u32::MAX), Duration::from_hours(1));
}

proptest! {
    /// Whatever a router grants, refuses or keeps to itself: it is not asked more often than
    /// every five seconds while this machine stays where it is, and not more seldom than hourly.
    #[test]
    fn a_router_is_asked_neither_too_often_nor_never(
        answers in prop::collection::vec(prop::option::of(prop::option::of(0..100_000_u64)), 1..40),
    ) {
        let mut schedule = Schedule::default();
        let mut now = NOW;
        schedule.look(Some(at(1)), now);
        for answer in answers {
            match answer {
                Some(lifetime) => schedule.mapped(lifetime.map(Duration::from_secs), now),
                None => drop(schedule.failed(now)),
            }
            let soonest = now + millis(SOONEST) - 1;
            prop_assert!(!schedule.look(Some(at(1)), soonest).is_due);
            now += millis(Duration::from_hours(1));
            prop_assert!(schedule.look(Some(at(1)), now).is_due);
        }
    }
}
