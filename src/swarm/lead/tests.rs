use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;

fn node(first: u8) -> NodeId {
    let mut id = [0; 20];
    id[0] = first;
    NodeId(id)
}

fn rival(first: u8, stage: Stage) -> Rival {
    let progress = Progress {
        stage,
        size: MIB,
        ..Progress::default()
    };
    Rival {
        node_id: node(first),
        progress,
    }
}

fn led_by(own: u8, rivals: &[Rival]) -> Option<NodeId> {
    leader(&node(own), &[0; 32], rivals, None).map(|rival| rival.node_id)
}

#[test]
fn of_those_that_have_not_decided_the_closest_goes() {
    let rivals = [rival(4, Stage::Asking), rival(2, Stage::Waiting)];
    assert_eq!(led_by(8, &rivals), Some(node(2)));
    assert_eq!(led_by(3, &rivals), Some(node(2)));
    assert_eq!(led_by(1, &rivals), None);
    assert_eq!(led_by(1, &[]), None);
    assert_eq!(led_by(4, &rivals[..1]), None, "it is its own rival");
}

#[test]
fn who_fetches_already_is_waited_for_however_far_it_is() {
    let rivals = [rival(2, Stage::Asking), rival(200, Stage::Fetching)];
    assert_eq!(led_by(1, &rivals), Some(node(200)));
}

fn progress(done: u64, size: u64, elapsed: Millis) -> Progress {
    Progress {
        stage: Stage::Fetching,
        done,
        size,
        elapsed,
        idle: 0,
    }
}

/// A mirror that answers at once and brings so many bytes a second.
fn alone(size: u64, rate: u64) -> Alone {
    let body = Millis::try_from(size * 1000 / rate).unwrap();
    Alone { lag: 0, body }
}

#[test]
fn what_takes_long_is_not_waited_for() {
    assert!(progress(0, MIB, 0).is_worth_waiting(None, 0));
    assert!(!progress(0, 60 * MIB, 0).is_worth_waiting(None, 0));
    // It is nearly there.
    let slow = Some(alone(24 * MIB, 10_000_000));
    assert!(progress(20 * MIB, 24 * MIB, 2000).is_worth_waiting(slow, 0));
    // It comes at a crawl.
    assert!(!progress(MIB / 2, MIB, 10_000).is_worth_waiting(None, 0));
    assert!(!progress(0, MIB, 0).is_worth_waiting(Some(alone(MIB, 100_000)), 0));
    // Alone it is there sooner.
    let half = progress(2 * MIB, 4 * MIB, 1500);
    assert!(!half.is_worth_waiting(Some(alone(4 * MIB, 100_000_000)), 0));
    assert!(half.is_worth_waiting(Some(alone(4 * MIB, 2_000_000)), 0));
}

#[test]
fn who_stalls_is_not_waited_for() {
    let stalled = Progress {
        idle: STALLED,
        ..progress(MIB / 2, MIB, 700)
    };
    assert!(progress(MIB / 2, MIB, 200).is_worth_waiting(None, 0));
    assert!(!stalled.is_worth_waiting(None, 0));
}

#[test]
fn who_gets_nothing_is_soon_waited_for_no_more() {
    // It takes a tenth of a second alone, and the leader never gets on.
    let quick = Some(alone(MIB, 10_000_000));
    for elapsed in [0, 100, 30_000] {
        let stuck = progress(0, MIB, elapsed);
        assert!(stuck.is_worth_waiting(quick, 0));
        assert!(!stuck.is_worth_waiting(quick, 200), "{elapsed}");
        assert!(!stuck.is_worth_waiting(None, UNTOLD), "{elapsed}");
    }
    // A few bytes now and then are as good as none.
    assert!(!progress(1, MIB, 0).is_worth_waiting(quick, 200));
}

#[test]
fn what_a_mirror_takes_to_answer_is_waited_for_once() {
    let late = Some(Alone { lag: 250, body: 10 });
    assert!(progress(0, MIB, 0).is_worth_waiting(late, 0));
    assert!(progress(0, MIB, 250).is_worth_waiting(late, 250));
    assert!(!progress(0, MIB, 500).is_worth_waiting(late, 500));
    // Its bytes come fast once they come.
    assert!(progress(MIB / 2, MIB, 350).is_worth_waiting(late, 300));
}

#[test]
fn words_that_are_none_say_nothing() {
    for text in [
        "",
        "done=1",
        "size",
        "size=0",
        "size=-1",
        "stage=away, size=1",
        "size=99999999999999999999",
        "size=1, elapsed=18446744073709551615",
    ] {
        assert_eq!(Progress::decode(text), None, "{text}");
    }
    let some = Progress::decode("size=5,more=x , done=1").unwrap();
    assert_eq!((some.size, some.done), (5, 1));
}

/// One node of many that want the same file: what it heard, and what it does.
#[derive(Default)]
struct Player {
    wants: bool,
    stage: Stage,
    heard: Vec<Rival>,
    waits_for: Option<usize>,
}

/// A step of some node, with other nodes' steps in between as it comes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Want(usize),
    Ask(usize, usize),
    Decide(usize),
    /// Whoever it waited for failed.
    Lose(usize),
}

fn step(nodes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..nodes).prop_map(Step::Want),
        (0..nodes, 0..nodes).prop_map(|(one, other)| Step::Ask(one, other)),
        (0..nodes, 0..nodes).prop_map(|(one, other)| Step::Ask(one, other)),
        (0..nodes).prop_map(Step::Decide),
        (0..nodes).prop_map(Step::Lose),
    ]
}

fn is_circular(players: &[Player]) -> bool {
    (0..players.len()).any(|start| {
        let mut at = start;
        for _ in 0..players.len() {
            match players[at].waits_for {
                Some(next) => at = next,
                None => return false,
            }
        }
        true
    })
}

proptest! {
    #[test]
    fn words_come_back(stage in 0..3_usize, done: u32, size in 1..u64::MAX, elapsed in 0..Millis::MAX, idle in 0..Millis::MAX) {
        let stage = [Stage::Asking, Stage::Waiting, Stage::Fetching][stage];
        let progress = Progress { stage, done: done.into(), size, elapsed, idle };
        prop_assert_eq!(Progress::decode(&progress.encode()), Some(progress));
    }

    #[test]
    fn any_text_is_read_in_peace(text in ".{0,80}") {
        let _ = Progress::decode(&text);
    }

    #[test]
    fn nobody_waits_longer_than_it_would_take_alone(done: u64, size in 1..u64::MAX, elapsed in 0..Millis::MAX, idle: bool, lag in 0..Millis::MAX, body in 0..Millis::MAX, over in 1..Millis::MAX) {
        let idle = Millis::from(idle) * STALLED;
        let said = Progress { idle, ..progress(done, size, elapsed) };
        for alone in [None, Some(Alone { lag, body }), Some(Alone { lag: lag % 1000, body: body % 1000 })] {
            let patience = patience(alone);
            prop_assert!(patience <= LONGEST);
            prop_assert!(!said.is_worth_waiting(alone, patience.saturating_add(over)));
            if let Some(Alone { lag, body }) = alone {
                let all = lag.saturating_add(body);
                prop_assert!(patience <= all.saturating_add(all / 10 + SLACK));
            }
        }
    }

    /// However words cross and get lost, no two nodes wait for each other, and
    /// once all have decided, somebody fetches.
    #[test]
    fn no_two_wait_for_each_other(
        firsts in proptest::collection::hash_set(any::<u8>(), 2..6),
        steps in proptest::collection::vec(step(5), 0..120),
        sha256: [u8; 32],
    ) {
        let ids: Vec<_> = firsts.into_iter().map(node).collect();
        let place: HashMap<_, _> = ids.iter().copied().zip(0..).collect();
        let mut players: Vec<_> = ids.iter().map(|_| Player::default()).collect();
        let said = |player: &Player, node_id| {
            let progress = Progress { stage: player.stage, size: MIB, ..Progress::default() };
            Rival { node_id, progress }
        };
        let of = |number: usize| number % ids.len();
        let all = (0..ids.len()).flat_map(|one| [Step::Want(one), Step::Decide(one)]);
        for step in steps.into_iter().chain(all) {
            match step {
                Step::Want(one) => players[of(one)].wants = true,
                Step::Ask(one, other) => {
                    let (one, other) = (of(one), of(other));
                    let asks = players[one].wants && players[one].stage == Stage::Asking;
                    if one == other || !asks || !players[other].wants {
                        continue;
                    }
                    let answer = said(&players[other], ids[other]);
                    players[one].heard.push(answer);
                    let question = said(&players[one], ids[one]);
                    players[other].heard.push(question);
                }
                Step::Decide(one) => {
                    let one = of(one);
                    if players[one].wants && players[one].stage == Stage::Asking {
                        let led = leader(&ids[one], &sha256, &players[one].heard, None);
                        let led = led.map(|rival| place[&rival.node_id]);
                        let player = &mut players[one];
                        player.waits_for = led;
                        player.stage = led.map_or(Stage::Fetching, |_| Stage::Waiting);
                    }
                }
                Step::Lose(one) => {
                    let player = &mut players[of(one)];
                    if player.waits_for.take().is_some() {
                        player.stage = Stage::Fetching;
                    }
                }
            }
            prop_assert!(!is_circular(&players));
        }
        prop_assert!(players.iter().any(|player| player.stage == Stage::Fetching));
    }
}
