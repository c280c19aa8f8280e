use proptest::prelude::*;

use super::*;

const NOW: Millis = 1_700_000_000_000;
const PIECE: u64 = 512 * 1024;
const FILE: [u8; 32] = [7; 32];

fn peer(number: u32) -> SocketAddr {
    SocketAddr::from((number.to_be_bytes(), 9977))
}

/// A book in which the peer is measured, fast and at once.
fn with_measured(number: u32) -> Book {
    let mut book = Book::default();
    book.measured(peer(number), PIECE, 1000, 0, NOW);
    book
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

fn row(book: &mut Book, number: u32) -> PeerRow {
    let rows = book.changes().peers;
    rows.into_iter()
        .find(|row| row.address == peer(number))
        .unwrap()
}

#[test]
fn a_stranger_stands_between_the_good_and_the_bad() {
    let mut book = with_measured(1);
    book.measured(peer(2), PIECE, 10_000, 5000, NOW);
    assert!(near(book.score(peer(3), NOW), 0.5 * 0.5 * 0.9));
    let ranked = book.ranked(&[peer(2), peer(3), peer(1)], NOW);
    let order: Vec<_> = ranked.iter().map(|(addr, _)| *addr).collect();
    assert_eq!(order, [peer(1), peer(3), peer(2)]);
    assert!(near(ranked[0].1, 0.9));
}

#[test]
fn equals_stay_in_order() {
    let book = Book::default();
    let peers = [peer(3), peer(1), peer(2)];
    let ranked = book.ranked(&peers, NOW);
    assert_eq!(ranked, peers.map(|addr| (addr, 0.5 * 0.5 * 0.9)));
}

#[test]
fn three_hash_errors_within_24_hours_exclude_until_the_first_falls_out() {
    let mut book = with_measured(1);
    for hour in 0..3 {
        let at = NOW + hour * 3_600_000;
        book.hash_error(peer(1), FILE, Some(4), at);
        assert_eq!(book.excluded(peer(1), at), hour == 2);
    }
    let (before, after) = (NOW + DAY - 1, NOW + DAY);
    assert!(book.excluded(peer(1), before));
    assert_eq!(book.ranked(&[peer(1)], before), [(peer(1), 0.0)]);
    assert!(near(book.score(peer(1), after), 0.9 / 3.0));
    let stands = &book.standings(after)[0];
    assert_eq!(stands.properties.hash_errors, 2);
    assert_eq!(stands.last_error.as_deref(), Some("it sent wrong bytes"));
}

#[test]
fn each_hash_error_is_written_once() {
    let mut book = Book::default();
    book.hash_error(peer(1), FILE, Some(4), NOW);
    book.hash_error(peer(1), FILE, None, NOW + 1);
    let error = |at, piece| HashError {
        peer: peer(1),
        at,
        file: FILE,
        piece,
    };
    let changes = book.changes();
    assert_eq!(changes.errors, [error(NOW, Some(4)), error(NOW + 1, None)]);
    assert_eq!(changes.peers.len(), 1);
    assert!(book.changes().is_empty());
}

#[test]
fn speed_is_a_mean_by_bytes_of_the_latest() {
    let mut book = Book::default();
    book.measured(peer(1), PIECE, 1000, 0, NOW);
    assert_eq!(row(&mut book, 1).speed, Some(PIECE));
    book.measured(peer(1), PIECE, 500, 0, NOW);
    assert_eq!(row(&mut book, 1).speed, Some(PIECE * 3 / 2));
    // Four pieces are remembered: from then on a piece weighs a fifth.
    for _ in 0..40 {
        book.measured(peer(1), PIECE, 1000, 0, NOW);
    }
    let steady = row(&mut book, 1).speed.unwrap();
    assert!(steady.abs_diff(PIECE) < PIECE / 100, "{steady}");
    book.measured(peer(1), PIECE, 500, 0, NOW);
    let faster = row(&mut book, 1).speed.unwrap();
    assert!(faster.abs_diff(PIECE * 6 / 5) < PIECE / 100, "{faster}");
}

#[test]
fn small_transfers_tell_of_lag_and_not_of_speed() {
    let mut book = with_measured(1);
    for _ in 0..1000 {
        book.measured(peer(1), 900, 450, 400, NOW);
        book.measured(peer(2), 900, 450, 400, NOW);
    }
    let (one, other) = (book.changes(), book.standings(NOW));
    let speeds: Vec<_> = one.peers.iter().map(|row| row.speed).collect();
    assert!(speeds.contains(&Some(PIECE)) && speeds.contains(&None));
    assert!(other.iter().all(|stands| {
        let lag = stands.properties.lag.unwrap();
        (396..=400).contains(&lag) && stands.bytes >= 900_000
    }));
}

#[test]
fn a_peer_that_only_sent_small_files_gets_the_speed_of_its_first_large_one() {
    let mut book = Book::default();
    for _ in 0..5000 {
        book.measured(peer(1), 900, 450, 400, NOW);
    }
    let mut again = Book::default();
    again.load(Saved {
        peers: book.changes().peers,
        errors: Vec::new(),
    });
    again.measured(peer(1), PIECE, 1000, 0, NOW);
    assert_eq!(row(&mut again, 1).speed, Some(PIECE));
}

#[test]
fn a_lag_alone_counts_no_bytes() {
    let mut book = with_measured(1);
    book.measured(peer(1), 0, 20_000, 20_000, NOW);
    let row = row(&mut book, 1);
    let (speed, bytes) = (Some(PIECE), PIECE);
    assert_eq!((row.speed, row.bytes, row.lag), (speed, bytes, Some(5000)));
}

#[test]
fn requests_under_way_lower_the_score_until_they_end() {
    let mut book = with_measured(1);
    for _ in 0..10 {
        book.begin(peer(1));
    }
    assert!(book.excluded(peer(1), NOW));
    for _ in 0..8 {
        book.end(peer(1));
    }
    assert!(near(book.score(peer(1), NOW), 0.9 * 0.8));
    for _ in 0..8 {
        book.end(peer(1));
        book.end(peer(2));
    }
    assert!(near(book.score(peer(1), NOW), 0.9));
}

#[test]
fn equal_peers_share_alike() {
    let mut book = Book::default();
    let peers: Vec<_> = (1..=4).map(peer).collect();
    for _ in 0..16 {
        book.begin(book.ranked(&peers, NOW)[0].0);
    }
    let mut pending = book.standings(NOW).into_iter();
    assert!(pending.all(|stands| stands.properties.pending == 4));
}

#[test]
fn an_open_connection_counts_until_it_is_presumably_closed() {
    let mut book = with_measured(1);
    book.connected(peer(1), NOW + 100);
    assert!(near(book.score(peer(1), NOW + 99), 1.0));
    assert!(near(book.score(peer(1), NOW + 100), 0.9));
    book.connected(peer(1), 0);
    assert!(near(book.score(peer(1), NOW), 0.9));
    book.connected(peer(1), NOW + 100);
    book.failed(peer(1), "it broke off", NOW);
    assert!(near(book.score(peer(1), NOW), 0.9));
}

#[test]
fn who_does_not_answer_is_spared_for_longer_each_time() {
    let mut book = with_measured(1);
    let mut at = NOW;
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
        book.failed(peer(1), "it refuses connections", at);
        // One that was under way with it is the same failure.
        book.failed(peer(1), "it refuses connections", at);
        let end = at + pause * 1000;
        assert!(book.excluded(peer(1), end - 1), "{pause}");
        assert!(!book.excluded(peer(1), end), "{pause}");
        at = end;
    }
    book.missing(peer(1), at);
    book.failed(peer(1), "it refuses connections", at);
    assert!(!book.excluded(peer(1), at + 1000));
}

#[test]
fn who_is_spared_comes_last_but_before_liars() {
    let mut book = Book::default();
    for _ in 0..3 {
        book.hash_error(peer(1), FILE, None, NOW);
    }
    book.failed(peer(2), "it refuses connections", NOW);
    let ranked = book.ranked(&[peer(1), peer(2), peer(3)], NOW);
    let order: Vec<_> = ranked.iter().map(|(addr, _)| *addr).collect();
    assert_eq!(order, [peer(3), peer(2), peer(1)]);
    assert!(near(ranked[1].1, 0.0) && near(ranked[2].1, 0.0));
}

#[test]
fn to_lack_a_file_is_no_failure() {
    let mut book = with_measured(1);
    book.missing(peer(1), NOW + 1);
    assert!(near(book.score(peer(1), NOW + 1), 0.9));
    assert!(row(&mut book, 1).last_error.is_some());
}

#[test]
fn what_was_measured_is_forgotten_after_a_day_without_use() {
    let mut book = Book::default();
    book.measured(peer(1), PIECE, 100, 60_000, NOW);
    book.measured(peer(2), PIECE, 1000, 0, NOW + DAY / 2);
    assert!(book.excluded(peer(1), NOW + DAY - 1));
    let stranger = book.score(peer(9), NOW + DAY);
    assert!(near(book.score(peer(1), NOW + DAY), stranger));
    // And it is no measure for others any more.
    assert!(near(book.score(peer(2), NOW + DAY), 0.9));
    book.measured(peer(1), PIECE, 2000, 0, NOW + DAY);
    let row = row(&mut book, 1);
    assert_eq!((row.speed, row.lag), (Some(PIECE / 2), Some(0)));
}

#[test]
fn a_clock_put_back_freezes_nothing() {
    let mut book = Book::default();
    for _ in 0..3 {
        book.hash_error(peer(1), FILE, None, NOW);
    }
    assert!(book.excluded(peer(1), NOW - 1000));
    assert!(!book.excluded(peer(1), NOW - DAY));
}

#[test]
fn the_next_process_knows_what_this_one_knew_but_has_no_connections() {
    let mut book = with_measured(1);
    book.hash_error(peer(1), FILE, None, NOW);
    book.connected(peer(1), NOW + 5000);
    book.failed(peer(2), &"x".repeat(5000), NOW);
    let changes = book.changes();
    assert_eq!(changes.peers.len(), 2);
    let mut again = Book::default();
    again.load(Saved {
        peers: changes.peers,
        errors: changes.errors,
    });
    assert!(again.changes().is_empty(), "nothing is new");
    let connected = again.score(peer(1), NOW) / 0.9;
    assert!(near(book.score(peer(1), NOW), connected));
    let last_error = again.standings(NOW)[1].last_error.clone();
    assert_eq!(last_error.unwrap().len(), LONGEST_ERROR);
    // What was measured then weighs as much as it did.
    again.measured(peer(1), PIECE, 500, 0, NOW);
    assert_eq!(row(&mut again, 1).speed, Some(PIECE * 3 / 2));
}

#[test]
fn the_least_recently_used_goes_but_no_liar_while_others_can() {
    let mut book = Book::default();
    let most = u32::try_from(MOST_PEERS).unwrap();
    book.hash_error(peer(0), FILE, None, NOW);
    book.missing(peer(1), NOW);
    book.begin(peer(1));
    for number in 2..most {
        book.missing(peer(number), NOW + Millis::from(number));
    }
    book.missing(peer(most), NOW + 9000);
    let changes = book.changes();
    assert_eq!(changes.gone, [peer(2)]);
    assert_eq!(changes.peers.len(), MOST_PEERS);
    assert_eq!(book.peers.len(), MOST_PEERS);
    // A day later its error counts no more.
    book.missing(peer(most + 1), NOW + DAY);
    assert_eq!(book.changes().gone, [peer(0)]);
}

#[test]
fn where_all_are_liars_one_goes_too() {
    let mut book = Book::default();
    for number in 0..=u32::try_from(MOST_PEERS).unwrap() {
        book.hash_error(peer(number), FILE, None, NOW + Millis::from(number));
    }
    assert_eq!(book.changes().gone, [peer(0)]);
}

#[derive(Debug, Clone)]
enum Event {
    Measured(u64, Millis, Millis),
    Failed,
    Missing,
    HashError,
    Begin,
    End,
    Connected(Millis),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<(u64, Millis, Millis)>().prop_map(|(a, b, c)| Event::Measured(a, b, c)),
        (0..2_000_000_u64, 0..9000_i64, 0..900_i64).prop_map(|(a, b, c)| Event::Measured(a, b, c)),
        Just(Event::Failed),
        Just(Event::Missing),
        Just(Event::HashError),
        Just(Event::Begin),
        Just(Event::End),
        any::<Millis>().prop_map(Event::Connected),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_scores_are_scores_and_rows_make_the_same_book(
        events in prop::collection::vec((0..5_u32, 0..DAY / 4, event()), 0..80)
    ) {
        let (mut book, mut now) = (Book::default(), NOW);
        for (number, later, event) in events {
            now += later;
            let addr = peer(number);
            match event {
                Event::Measured(bytes, elapsed, lag) => book.measured(addr, bytes, elapsed, lag, now),
                Event::Failed => book.failed(addr, "it refuses connections", now),
                Event::Missing => book.missing(addr, now),
                Event::HashError => book.hash_error(addr, FILE, None, now),
                Event::Begin => book.begin(addr),
                Event::End => book.end(addr),
                Event::Connected(until) => book.connected(addr, until),
            }
        }
        let changes = book.changes();
        let mut again = Book::default();
        again.load(Saved { peers: changes.peers, errors: changes.errors });
        let peers: Vec<_> = (0..6).map(peer).collect();
        for addr in &peers {
            prop_assert!((0.0..=1.0).contains(&book.score(*addr, now)));
            for number in 0..5 {
                (0..99).for_each(|_| book.end(peer(number)));
                book.connected(peer(number), 0);
            }
            prop_assert!(near(book.score(*addr, now), again.score(*addr, now)));
        }
        let ranked = book.ranked(&peers, now);
        prop_assert!(ranked.is_sorted_by(|one, next| one.1 >= next.1));
        let excluded = ranked.iter().filter(|(_, score)| *score <= 0.0).map(|(addr, _)| *addr);
        prop_assert!(excluded.into_iter().all(|addr| book.excluded(addr, now)));
    }
}
