//! Peers, their errors and pieces, in a real database.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{claim_one, db, said};
use crate::db::Db;
use crate::db::download::Claim;
use crate::db::neighbour::NeighbourRow;
use crate::db::piece::{PieceRow, PieceState};
use crate::swarm::book::{Book, Changes, DAY, HashError, PeerRow, Saved};

const NOW: i64 = 1_700_000_000_000;
const URL: &str = "http://o/pool/a.deb";

fn address(number: u32) -> SocketAddr {
    SocketAddr::from((number.to_be_bytes(), 9977))
}

fn peer(number: u32) -> PeerRow {
    PeerRow {
        address: address(number),
        speed: None,
        lag: None,
        connected_until: 0,
        bytes: 0,
        last_error: None,
        last_used: NOW - i64::from(number),
    }
}

fn of_peers(peers: Vec<PeerRow>) -> Changes {
    Changes {
        peers,
        ..Changes::default()
    }
}

fn error(number: u32, at: i64, piece: Option<u64>) -> HashError {
    HashError {
        peer: address(number),
        at,
        file: [7; 32],
        piece,
    }
}

fn piece(piece: u64, round: u32, peer: Option<u32>, state: PieceState) -> PieceRow {
    PieceRow {
        piece,
        round,
        peer: peer.map(address),
        state,
        sha1: None,
        at: NOW,
    }
}

#[tokio::test]
async fn peers_are_put_and_changed() {
    let (_folder, db) = db().await;
    let six = PeerRow {
        address: "[2001:db8::1]:9977".parse().unwrap(),
        last_error: Some("it refuses connections: \"'\0".into()),
        ..peer(2)
    };
    let changes = of_peers(vec![peer(1), six.clone(), peer(3)]);
    db.write_peers(&changes).await.unwrap();
    // The same again is no mistake.
    db.write_peers(&changes).await.unwrap();
    let better = PeerRow {
        speed: Some(5_000_000_000),
        lag: Some(0),
        connected_until: NOW + 9,
        bytes: u64::from(u32::MAX) * 9,
        ..peer(1)
    };
    db.write_peers(&of_peers(vec![better.clone()]))
        .await
        .unwrap();
    db.write_peers(&Changes::default()).await.unwrap();
    let saved = db.load_peers(NOW).await.unwrap();
    assert_eq!(saved.peers, [better, six, peer(3)]);
}

#[tokio::test]
async fn who_is_gone_takes_its_errors_along_even_if_it_comes_again() {
    let (_folder, db) = db().await;
    let changes = Changes {
        peers: vec![peer(1), peer(2)],
        errors: vec![error(1, NOW, Some(3)), error(2, NOW, None)],
        ..Changes::default()
    };
    db.write_peers(&changes).await.unwrap();
    let changes = Changes {
        gone: vec![address(1), address(2), address(9)],
        peers: vec![peer(2)],
        errors: vec![error(1, NOW, None), error(2, NOW + 1, None)],
    };
    db.write_peers(&changes).await.unwrap();
    let left = Saved {
        peers: vec![peer(2)],
        errors: vec![error(2, NOW + 1, None)],
    };
    assert_eq!(db.load_peers(NOW).await.unwrap(), left);
}

#[tokio::test]
async fn more_peers_than_a_statement_takes() {
    let (_folder, db) = db().await;
    let mut changes = of_peers((0..2500).map(peer).collect());
    changes.errors = (0..2500)
        .map(|number| error(number, NOW + i64::from(number), Some(number.into())))
        .collect();
    db.write_peers(&changes).await.unwrap();
    let saved = db.load_peers(NOW).await.unwrap();
    assert_eq!((saved.peers, saved.errors), (changes.peers, changes.errors));
    let changes = Changes {
        gone: (0..2500).map(address).collect(),
        ..Changes::default()
    };
    db.write_peers(&changes).await.unwrap();
    assert_eq!(db.load_peers(NOW).await.unwrap(), Saved::default());
}

#[tokio::test]
async fn a_liar_is_known_after_the_database_was_opened_again_and_for_24_hours() {
    let (folder, db) = db().await;
    let mut book = Book::default();
    for hour in 0..3 {
        book.hash_error(address(1), [7; 32], Some(1), NOW + hour * 3_600_000);
    }
    db.write_peers(&book.changes()).await.unwrap();
    db.close().await;
    let db = Db::open(&folder.path().join("t.db")).await.unwrap();
    for (now, errors, is_out) in [
        (NOW + DAY - 1, 3, true),
        (NOW + DAY, 2, false),
        (NOW + 2 * DAY, 0, false),
    ] {
        let saved = db.load_peers(now).await.unwrap();
        assert_eq!(saved.errors.len(), errors);
        let mut again = Book::default();
        again.load(saved);
        assert_eq!(again.excluded(address(1), now), is_out);
    }
}

#[tokio::test]
async fn old_errors_go_and_then_peers_that_nobody_used() {
    let (_folder, db) = db().await;
    let changes = Changes {
        peers: vec![peer(1), peer(2), peer(3)],
        errors: vec![error(2, NOW, None), error(3, NOW - 100, None)],
        ..Changes::default()
    };
    db.write_peers(&changes).await.unwrap();
    assert_eq!(db.forget_peers(NOW - 1, NOW - 50).await.unwrap(), 1);
    let left = db.load_peers(NOW).await.unwrap();
    assert_eq!(left.peers, [peer(1), peer(2)]);
    assert_eq!(db.hash_errors(0).await.unwrap(), [error(2, NOW, None)]);
    assert_eq!(db.forget_peers(NOW, NOW + 1).await.unwrap(), 2);
}

#[tokio::test]
async fn pieces_are_written_and_come_to_other_states() {
    let (folder, db) = db().await;
    let claim = claim_one(&db, URL).await;
    let (running, verified) = (PieceState::Running, PieceState::Verified);
    let first = [
        piece(0, 0, None, running),
        piece(0, 0, Some(1), running),
        piece(1, 0, Some(2), PieceState::Wrong),
        piece(1, 1, Some(1), PieceState::Unproved),
        piece(2, 1, Some(1), PieceState::Failed),
    ];
    assert!(write(&db, &claim, &first).await);
    let done = PieceRow {
        sha1: Some([5; 20]),
        at: NOW + 5,
        ..piece(0, 0, Some(1), verified)
    };
    assert!(write(&db, &claim, std::slice::from_ref(&done)).await);
    assert!(write(&db, &claim, &[]).await);
    let mut expected = first.to_vec();
    expected[1] = done.clone();
    db.close().await;
    let db = Db::open(&folder.path().join("t.db")).await.unwrap();
    assert_eq!(db.pieces_of(claim.id).await.unwrap(), expected);
    assert!(db.pieces_of(claim.id + 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn more_pieces_than_a_statement_takes() {
    let (_folder, db) = db().await;
    let claim = claim_one(&db, URL).await;
    let pieces: Vec<_> = (0..2500)
        .map(|place| piece(place, 0, Some(1), PieceState::Running))
        .collect();
    assert!(write(&db, &claim, &pieces).await);
    assert_eq!(db.pieces_of(claim.id).await.unwrap(), pieces);
}

#[tokio::test]
async fn whoever_lost_the_lease_writes_no_pieces() {
    let (_folder, db) = db().await;
    let lost = claim_one(&db, URL).await;
    db.postpone_download(&lost, 0, "slow").await.unwrap();
    let claim = claim_one(&db, URL).await;
    assert_eq!(claim.id, lost.id);
    let pieces = [piece(0, 0, None, PieceState::Running)];
    assert!(!write(&db, &lost, &pieces).await);
    assert!(!write(&db, &lost, &[]).await);
    assert!(db.pieces_of(claim.id).await.unwrap().is_empty());
    assert!(write(&db, &claim, &pieces).await);
}

#[tokio::test]
async fn pieces_go_with_their_download_and_with_its_temp_file() {
    let (_folder, db) = db().await;
    let pieces = [piece(0, 0, Some(1), PieceState::Verified)];
    let claim = claim_one(&db, URL).await;
    db.identity("boot", 0).await.unwrap();
    db.note_answer(claim.id, claim.lease, "t", 10, &said())
        .await
        .unwrap();
    write(&db, &claim, &pieces).await;
    // A process that was killed finds them again,
    db.recover_downloads().await.unwrap();
    db.identity("boot", 0).await.unwrap();
    assert_eq!(db.pieces_of(claim.id).await.unwrap(), pieces);
    // but not after the machine went down,
    db.identity("another", 0).await.unwrap();
    assert!(db.pieces_of(claim.id).await.unwrap().is_empty());
    // nor does who tries again after a failure.
    let claim = claim_one(&db, URL).await;
    write(&db, &claim, &pieces).await;
    db.postpone_download(&claim, 0, "slow").await.unwrap();
    assert!(db.pieces_of(claim.id).await.unwrap().is_empty());
    let claim = claim_one(&db, URL).await;
    write(&db, &claim, &pieces).await;
    db.drop_download(&claim).await.unwrap();
    assert!(db.pieces_of(claim.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn neighbours_are_those_of_the_last_time() {
    let (_folder, db) = db().await;
    let row = |id: u8, last: u8, seen_at| NeighbourRow {
        node_id: [id; 20],
        address: std::net::SocketAddr::from(([10, 0, 0, last], 9977)),
        seen_at,
    };
    let first = [row(2, 3, 5), row(1, 1, 6), row(1, 2, 6), row(1, 1, 6)];
    db.keep_neighbours(&first).await.unwrap();
    let rows = db.neighbours().await.unwrap();
    assert_eq!(rows, [row(1, 1, 6), row(1, 2, 6), row(2, 3, 5)]);
    db.keep_neighbours(&[row(1, 4, 7)]).await.unwrap();
    assert_eq!(db.neighbours().await.unwrap(), [row(1, 4, 7)]);
    db.forget_neighbours().await.unwrap();
    assert!(db.neighbours().await.unwrap().is_empty());
}

#[tokio::test]
async fn pieces_are_shown_of_downloads_that_run() {
    let (_folder, db) = db().await;
    assert!(db.running_pieces().await.unwrap().is_empty());
    let pieces = [
        piece(0, 0, Some(1), PieceState::Verified),
        piece(1, 0, None, PieceState::Running),
    ];
    let one = claim_one(&db, URL).await;
    let other = claim_one(&db, "http://o/b").await;
    claim_one(&db, "http://o/c").await;
    write(&db, &one, &pieces).await;
    write(&db, &other, &pieces[..1]).await;
    let expected = HashMap::from([
        (URL.to_owned(), pieces.to_vec()),
        ("http://o/b".to_owned(), pieces[..1].to_vec()),
    ]);
    assert_eq!(db.running_pieces().await.unwrap(), expected);
    db.recover_downloads().await.unwrap();
    assert!(db.running_pieces().await.unwrap().is_empty());
}

async fn write(db: &Db, claim: &Claim, pieces: &[PieceRow]) -> bool {
    let written = db.write_pieces(claim.id, claim.lease, pieces);
    written.await.unwrap()
}
