use super::*;
use crate::swarm::blame::HashError;

const MIRROR: Source = Source::Mirror;

fn peer(number: u32) -> Source {
    Source::Peer(number)
}

/// What one piece looks like.
fn hash(byte: u8) -> PieceHash {
    [byte; 20]
}

/// What came before the rounds: who sent which byte for pieces 0, 1, ….
fn before(sent: &[(Source, u8)]) -> Evidence {
    let mut evidence = Evidence::new();
    for (piece, &(source, byte)) in sent.iter().enumerate() {
        evidence.note(Delivery {
            source,
            piece,
            hash: hash(byte),
            round: 0,
        });
    }
    evidence
}

#[derive(Debug, Default)]
struct Log {
    /// Asks of each round.
    asks: Vec<Vec<(usize, Source)>>,
    tests: Vec<Vec<u8>>,
    verdict: Option<Verdict>,
}

impl Log {
    fn blamed(&self) -> Vec<(u32, usize)> {
        let errors = &self.verdict.as_ref().unwrap().hash_errors;
        errors
            .iter()
            .map(|HashError { peer, piece }| (*peer, *piece))
            .collect()
    }

    fn last_test(&self) -> &[u8] {
        self.tests.last().unwrap()
    }
}

/// Plays to the end: the file is `truth`, and sources answer with a byte for a
/// piece, or do not.
fn play(
    rounds: &mut Rounds,
    truth: &[u8],
    mut answer: impl FnMut(Source, usize) -> Option<u8>,
) -> Log {
    let mut log = Log::default();
    let mut waiting: Vec<Ask> = Vec::new();
    loop {
        match rounds.step() {
            Step::Ask(ask) => {
                log.asks.resize(ask.round as usize + 1, Vec::new());
                log.asks[ask.round as usize].push((ask.piece, ask.source));
                waiting.push(ask);
            }
            Step::Wait => {
                let ask = waiting.remove(0);
                match answer(ask.source, ask.piece) {
                    Some(byte) => rounds.delivered(ask, hash(byte)),
                    None => rounds.failed(ask),
                }
            }
            Step::Test(assembly) => {
                let bytes: Vec<u8> = assembly.iter().map(|hash| hash[0]).collect();
                let passed = bytes == truth;
                log.tests.push(bytes);
                log.verdict = log.verdict.or(rounds.tested(passed));
            }
            Step::Obtained | Step::NotObtained => return log,
        }
    }
}

#[test]
fn the_first_download_goes_round_the_peers_and_the_best_has_piece_0() {
    let mut rounds = Rounds::new(4, &[5, 6, 7], true, &Evidence::new());
    let log = play(&mut rounds, &[0; 4], |_, _| Some(0));
    let round = [(0, peer(5)), (1, peer(6)), (2, peer(7)), (3, peer(5))];
    assert_eq!(log.asks, [round]);
    assert_eq!(log.tests, [[0; 4]]);
    assert_eq!(log.blamed(), []);
}

#[test]
fn what_came_before_is_tested_before_anything_is_asked() {
    let sent = before(&[(peer(5), 0), (peer(6), 0)]);
    let mut rounds = Rounds::new(2, &[5, 6], true, &sent);
    let log = play(&mut rounds, &[0; 2], |_, _| None);
    assert_eq!((log.asks.len(), log.tests.len()), (0, 1));
}

#[test]
fn pieces_that_did_not_come_before_are_asked_alone() {
    let sent = before(&[(peer(5), 0)]);
    let mut rounds = Rounds::new(2, &[5, 6], true, &sent);
    let log = play(&mut rounds, &[0; 2], |_, _| Some(0));
    assert_eq!(log.asks, [[(1, peer(6))]]);
}

#[test]
fn who_had_a_piece_has_the_next_one_and_a_fresh_peer_has_piece_0() {
    let sent = before(&[(peer(5), 9), (peer(6), 0), (peer(5), 9), (peer(6), 0)]);
    let mut rounds = Rounds::new(4, &[5, 6, 7], true, &sent);
    let log = play(&mut rounds, &[0; 4], |from, _| {
        Some(if from == peer(5) { 9 } else { 0 })
    });
    let round = [(0, peer(7)), (1, peer(5)), (2, peer(6)), (3, peer(5))];
    assert_eq!(log.asks[1], round);
}

#[test]
fn without_a_fresh_peer_piece_0_goes_to_who_had_the_last_one() {
    let sent = before(&[(peer(5), 9), (peer(6), 0), (peer(7), 0)]);
    let mut rounds = Rounds::new(3, &[5, 6, 7], true, &sent);
    let log = play(&mut rounds, &[0; 3], |_, _| Some(0));
    assert_eq!(log.asks[1], [(0, peer(7)), (1, peer(5)), (2, peer(6))]);
}

#[test]
fn where_two_differ_the_newer_piece_is_tried_first() {
    let sent = before(&[(peer(5), 0), (peer(6), 9)]);
    let mut rounds = Rounds::new(2, &[5, 6], true, &sent);
    let log = play(&mut rounds, &[0; 2], |_, _| Some(0));
    assert_eq!(log.tests, [[0, 9], [0, 0]]);
    assert_eq!(log.blamed(), [(6, 1)]);
}

#[test]
fn equal_pieces_of_two_peers_are_kept_and_only_the_others_asked_again() {
    let sent = before(&[(peer(5), 0), (peer(6), 0), (peer(5), 0)]);
    let mut rounds = Rounds::new(3, &[5, 6, 7], false, &sent);
    // Two lie about piece 1, each in its own way.
    let log = play(&mut rounds, &[0, 1, 0], |from, piece| {
        Some(match (from, piece) {
            (Source::Peer(7), 1) => 1,
            (Source::Peer(5), 1) => 9,
            _ => 0,
        })
    });
    assert_eq!(log.asks[2], [(1, peer(7))]);
    assert_eq!(log.blamed(), [(6, 1), (5, 1)]);
}

#[test]
fn a_third_copy_of_the_first_piece_decides_by_majority() {
    let sent = before(&[(peer(5), 0), (peer(5), 3)]);
    let mut rounds = Rounds::new(2, &[5, 6, 7], false, &sent);
    // Piece 1 is wrong as well, so that piece 0 stays in doubt for a round.
    let log = play(&mut rounds, &[0, 1], |from, piece| {
        Some(match (from, piece) {
            (Source::Peer(6), 0) => 9,
            (Source::Peer(7), 1) => 1,
            (_, 1) => 3,
            _ => 0,
        })
    });
    assert!(log.asks[2].contains(&(0, peer(7))), "{log:?}");
    let third = log.tests.iter().find(|test| test[1] == 1).unwrap();
    assert_eq!(third[0], 0);
    assert_eq!(log.blamed(), [(5, 1), (6, 0), (6, 1)]);
}

#[test]
fn agreement_on_a_wrong_piece_opens_all_again() {
    let sent = before(&[(peer(5), 9), (peer(6), 0)]);
    let mut rounds = Rounds::new(2, &[5, 6, 7], false, &sent);
    let log = play(&mut rounds, &[1, 0], |from, piece| {
        Some(match (from, piece) {
            (_, 1) => 0,
            (Source::Peer(7), _) => 1,
            _ => 9,
        })
    });
    let settled = |round: &[(usize, Source)]| round.len() == 2;
    assert!(settled(&log.asks[1]), "{log:?}");
    assert_eq!(log.last_test(), [1, 0]);
    assert_eq!(log.blamed().iter().filter(|(who, _)| *who == 7).count(), 0);
    assert!(log.blamed().contains(&(5, 0)));
}

#[test]
fn the_mirror_is_asked_only_where_peers_differ_and_settles_it() {
    let sent = before(&[(peer(5), 0), (peer(6), 0), (peer(5), 0)]);
    let mut rounds = Rounds::new(3, &[5, 6, 7], true, &sent);
    let log = play(&mut rounds, &[0, 1, 0], |from, piece| {
        Some(match (from, piece) {
            (MIRROR, 1) => 1,
            (_, 1) => 9,
            _ => 0,
        })
    });
    assert!(log.asks[1].iter().all(|(_, from)| *from != MIRROR));
    assert_eq!(log.asks[2], [(1, MIRROR)]);
    assert_eq!(log.last_test(), [0, 1, 0]);
    assert_eq!(log.blamed(), [(6, 1), (5, 1)]);
}

#[test]
fn where_colluders_agree_the_mirror_sends_the_rest() {
    let sent = before(&[(peer(5), 9), (peer(6), 0)]);
    let mut rounds = Rounds::new(2, &[5, 6, 7], true, &sent);
    let log = play(&mut rounds, &[1, 0], |from, piece| {
        Some(match (from, piece) {
            (_, 1) => 0,
            (MIRROR, _) => 1,
            _ => 9,
        })
    });
    assert_eq!(log.asks[2], [(0, MIRROR), (1, MIRROR)]);
    assert_eq!(log.blamed(), [(5, 0), (7, 0)]);
}

#[test]
fn a_wrong_mirror_is_noticed_and_not_blamed() {
    let sent = before(&[(peer(5), 9), (peer(5), 0)]);
    let mut rounds = Rounds::new(2, &[5, 6], true, &sent);
    let log = play(&mut rounds, &[1, 0], |from, piece| {
        Some(match (from, piece) {
            (_, 1) => 0,
            (MIRROR, _) => 8,
            _ => 1,
        })
    });
    let sent = before(&[(MIRROR, 8), (peer(5), 0)]);
    let mut begun_by_mirror = Rounds::new(2, &[5, 6], true, &sent);
    let other = play(&mut begun_by_mirror, &[1, 0], |_, piece| {
        Some([1, 0][piece])
    });
    assert_eq!(log.blamed(), [(5, 0)]);
    assert_eq!(other.verdict.unwrap().wrong_from_mirror, [0]);
}

#[test]
fn a_failed_ask_goes_to_the_next_source_in_the_same_round() {
    let mut rounds = Rounds::new(2, &[5, 6, 7], true, &Evidence::new());
    let log = play(&mut rounds, &[0; 2], |from, _| {
        (from != peer(5)).then_some(0)
    });
    assert_eq!(log.asks, [[(0, peer(5)), (1, peer(6)), (0, peer(6))]]);
}

#[test]
fn where_no_peer_answers_the_mirror_does() {
    let mut rounds = Rounds::new(1, &[5, 6], true, &Evidence::new());
    let log = play(&mut rounds, &[0], |from, _| (from == MIRROR).then_some(0));
    assert_eq!(log.asks, [[(0, peer(5)), (0, peer(6)), (0, MIRROR)]]);
}

#[test]
fn a_lost_source_gives_away_all_its_pieces_and_is_not_asked_again() {
    let mut rounds = Rounds::new(3, &[5, 6], false, &Evidence::new());
    let asked: Vec<Step> = (0..2).map(|_| rounds.step()).collect();
    assert!(matches!(asked[0], Step::Ask(ask) if ask.source == peer(5)));
    rounds.lost(peer(5));
    let log = play_on(&mut rounds);
    assert!(log.iter().all(|ask| ask.source == peer(6)), "{log:?}");
    assert_eq!(log.len(), 2);
}

/// The asks that are given out without any answer.
fn play_on(rounds: &mut Rounds) -> Vec<Ask> {
    std::iter::from_fn(|| match rounds.step() {
        Step::Ask(ask) => Some(ask),
        _ => None,
    })
    .collect()
}

#[test]
fn what_comes_after_it_was_given_up_is_not_taken() {
    let mut rounds = Rounds::new(1, &[5, 6], false, &Evidence::new());
    let Step::Ask(first) = rounds.step() else {
        panic!("nothing is asked");
    };
    rounds.failed(first);
    rounds.delivered(first, hash(9));
    assert_eq!(rounds.evidence().deliveries(), []);
    assert_eq!(play_on(&mut rounds).len(), 1);
    assert_eq!(rounds.step(), Step::Wait);
}

#[test]
fn the_only_honest_source_is_found_among_liars_that_differ_everywhere() {
    let peers: Vec<u32> = (0..8).collect();
    let mut rounds = Rounds::new(12, &peers, false, &Evidence::new());
    let log = play(&mut rounds, &[0; 12], |from, _| match from {
        Source::Peer(3) => Some(0),
        Source::Peer(other) => Some(10 + u8::try_from(other).unwrap()),
        Source::Mirror => None,
    });
    assert!(log.blamed().iter().all(|(who, _)| *who != 3));
}

#[test]
fn honest_sources_that_have_the_file_only_together_are_found() {
    let mut rounds = Rounds::new(10, &[0, 1, 2, 3, 4, 5], false, &Evidence::new());
    let log = play(&mut rounds, &[0; 10], |from, piece| match from {
        Source::Peer(1) => (piece < 6).then_some(0),
        Source::Peer(4) => (piece > 4).then_some(0),
        // Three collude.
        Source::Peer(0 | 2 | 3) => Some(9),
        _ => Some(8),
    });
    assert_eq!(log.last_test(), [0; 10]);
    assert!(log.blamed().iter().all(|(who, _)| ![1, 4].contains(who)));
}

#[test]
fn a_single_liar_is_not_asked_for_ever_and_nobody_is_blamed() {
    let mut rounds = Rounds::new(3, &[5], false, &Evidence::new());
    let log = play(&mut rounds, &[0; 3], |_, _| Some(9));
    assert!(log.verdict.is_none());
    assert_eq!(log.asks.concat().len(), 3 * usize::from(LAPS));
    assert_eq!(log.tests.len(), 1);
    // The truth is known later, from elsewhere.
    let verdict = rounds.evidence().judge(&[hash(0); 3]);
    assert_eq!(verdict.hash_errors.len(), 3 * usize::from(LAPS));
}

#[test]
fn a_peer_that_lies_at_times_gets_a_second_chance() {
    let mut first = true;
    let mut rounds = Rounds::new(3, &[5], false, &Evidence::new());
    let log = play(&mut rounds, &[0; 3], |_, piece| {
        let lies = piece == 1 && first;
        first &= !lies;
        Some(if lies { 9 } else { 0 })
    });
    assert_eq!(log.blamed(), [(5, 1)]);
}

#[test]
fn peers_that_agree_are_not_asked_once_more() {
    let mut rounds = Rounds::new(3, &[5, 6], false, &Evidence::new());
    let log = play(&mut rounds, &[0; 3], |_, _| Some(9));
    assert_eq!(log.asks.concat().len(), 6);
    assert!(log.verdict.is_none());
}

#[test]
fn without_sources_it_ends_at_once() {
    let mut rounds = Rounds::new(3, &[], false, &Evidence::new());
    assert_eq!(rounds.step(), Step::NotObtained);
    assert_eq!(rounds.tested(true), None);
}

#[test]
fn no_assembly_is_tested_twice_and_no_more_than_the_limit() {
    let mut rounds = Rounds::new(20, &[5, 6], false, &Evidence::new());
    // No combination is right: piece 0 never comes.
    let log = play(&mut rounds, &[0; 20], |from, piece| match from {
        Source::Peer(5) => Some(if piece == 0 { 7 } else { 0 }),
        _ => Some(9),
    });
    let distinct: HashSet<_> = log.tests.iter().collect();
    assert_eq!(distinct.len(), log.tests.len());
    let between = TESTS_A_ROUND * log.asks.len();
    assert!(log.tests.len() <= tests_at_the_end(20) + between);
}
