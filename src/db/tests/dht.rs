//! Nodes, values, secrets, torrent strings and announcements, in a real database.

use std::net::{IpAddr, SocketAddr};

use super::db;
use crate::db::Db;
use crate::db::announcement::{Announced, AnnouncementClaim, AnnouncementTotals, Enlisted};
use crate::db::file::FileRow;
use crate::db::torrent::TorrentRow;
use crate::debian::naming::to_hex;
use crate::dht::contact::{Contact, Family};
use crate::dht::engine::Changes;
use crate::dht::id::NodeId;
use crate::dht::routing::{Node, NodeChange};
use crate::dht::token::Secret;
use crate::dht::values::{Saved, ValueChange};

const NOW: i64 = 1_700_000_000_000;

fn node(id: u8, addr: &str) -> Node {
    Node {
        contact: Contact::new(NodeId([id; 20]), addr.parse().unwrap()),
        confirmed: true,
        failures: 0,
        last_answer: NOW,
        last_try: NOW + 1,
    }
}

fn of_nodes(nodes: Vec<(Family, NodeChange)>) -> Changes {
    Changes {
        nodes,
        ..Changes::default()
    }
}

fn value(key: u8, value: &[u8], publisher: &str, expires: i64) -> Saved {
    Saved {
        key: NodeId([key; 20]),
        value: value.to_vec(),
        publisher: publisher.parse::<IpAddr>().unwrap(),
        expires,
    }
}

fn of_values(values: Vec<ValueChange>) -> Changes {
    Changes {
        values,
        ..Changes::default()
    }
}

fn contact(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 7], port))
}

async fn sql(db: &Db, text: &'static str) {
    sqlx::raw_sql(text)
        .execute(&mut *db.writer().await)
        .await
        .unwrap();
}

/// A suite with a generation and a list that is read.
async fn suite(db: &Db) {
    sql(
        db,
        "INSERT INTO suite (id, folder, root, asked_at) VALUES (1, 'http://o/dists/sid/', 'http://o/', 0);
         INSERT INTO release (id, suite_id, identity, by_hash, signed, seen_at)
             VALUES (1, 1, zeroblob(32), 1, 'unsigned', 0);
         INSERT INTO list (id, suite_id, path, release_id, content)
             VALUES (1, 1, 'main/binary-amd64/Packages', 1, zeroblob(32));",
    )
    .await;
}

/// A file whose SHA-256 a package has.
async fn file(db: &Db, byte: u8, size: u64) -> FileRow {
    let hash = [byte; 32];
    assert!(db.add_file(hash, size, NOW).await.unwrap());
    let (path, bytes) = (format!("pool/{byte}"), hash.as_slice());
    sqlx::query("INSERT INTO package (list_id, path, since, hash, size) VALUES (1, ?, 1, ?, 5)")
        .bind(path)
        .bind(bytes)
        .execute(&mut *db.writer().await)
        .await
        .unwrap();
    db.file_by_hash(hash).await.unwrap().unwrap()
}

async fn claimed(db: &Db, now: i64) -> AnnouncementClaim {
    db.claim_announcement(now).await.unwrap().unwrap()
}

fn announced(port: u16, at: i64) -> Announced {
    Announced {
        at,
        contact: contact(port),
        nodes: 6,
        next: at + 1000,
    }
}

#[tokio::test]
async fn a_node_has_a_row_of_each_family() {
    let (_folder, db) = db().await;
    let (four, six) = (node(1, "192.0.2.1:9977"), node(1, "[2001:db8::1]:9977"));
    let put = |family, node: &Node| (family, NodeChange::Put(node.clone()));
    let changes = of_nodes(vec![
        put(Family::V4, &four),
        put(Family::V6, &six),
        put(Family::V4, &node(2, "192.0.2.2:1")),
    ]);
    db.write_dht(&changes).await.unwrap();
    // The same again is no mistake.
    db.write_dht(&changes).await.unwrap();
    let moved = Node {
        failures: 2,
        confirmed: false,
        last_try: NOW + 9,
        ..node(1, "192.0.2.9:7")
    };
    let gone = (Family::V4, NodeChange::Gone(NodeId([2; 20])));
    db.write_dht(&of_nodes(vec![gone, put(Family::V4, &moved)]))
        .await
        .unwrap();
    assert_eq!(db.dht_nodes().await.unwrap(), [moved, six]);
    db.write_dht(&Changes::default()).await.unwrap();
    assert_eq!(db.dht_nodes().await.unwrap().len(), 2);
}

#[tokio::test]
async fn values_are_renewed_replaced_and_forgotten() {
    let (_folder, db) = db().await;
    let long: Vec<u8> = (0..1400_u32).map(|n| n.to_le_bytes()[0]).collect();
    let first = [
        value(1, b"\0'\xff", "192.0.2.1", NOW + 10),
        value(1, b"a", "192.0.2.1", NOW + 10),
        value(2, &long, "2001:db8::", NOW + 20),
        value(3, b"", "192.0.2.1", NOW),
    ];
    db.write_dht(&of_values(first.clone().map(ValueChange::Put).to_vec()))
        .await
        .unwrap();
    assert_eq!(db.dht_values(NOW - 1).await.unwrap(), first);
    let renewed = value(1, b"a", "192.0.2.3", NOW + 30);
    let changes = vec![
        ValueChange::Put(renewed.clone()),
        ValueChange::Gone {
            key: NodeId([1; 20]),
            value: b"\0'\xff".to_vec(),
        },
        ValueChange::Gone {
            key: NodeId([2; 20]),
            value: b"another".to_vec(),
        },
    ];
    db.write_dht(&of_values(changes)).await.unwrap();
    let left = [renewed, first[2].clone()];
    assert_eq!(db.dht_values(NOW).await.unwrap(), left, "one has expired");
    assert_eq!(db.expire_dht_values(NOW).await.unwrap(), 1);
    assert_eq!(db.dht_values(NOW - 1).await.unwrap(), left);
}

#[tokio::test]
async fn more_values_than_a_statement_takes() {
    let (_folder, db) = db().await;
    let many: Vec<_> = (0..1000_u32)
        .map(|n| value(9, &n.to_be_bytes(), "192.0.2.1", NOW + 1))
        .collect();
    let put = many.iter().cloned().map(ValueChange::Put).collect();
    db.write_dht(&of_values(put)).await.unwrap();
    assert_eq!(db.dht_values(NOW).await.unwrap(), many);
    let gone = many.into_iter().map(|saved| ValueChange::Gone {
        key: saved.key,
        value: saved.value,
    });
    db.write_dht(&of_values(gone.collect())).await.unwrap();
    assert!(db.dht_values(NOW).await.unwrap().is_empty());
}

#[tokio::test]
async fn secrets_take_the_place_of_older_ones() {
    let (_folder, db) = db().await;
    let secret = |byte, made_at| Secret {
        bytes: [byte; 20],
        made_at,
    };
    for secrets in [
        vec![secret(9, 1)],
        vec![secret(1, 3), secret(9, 1), secret(5, 2)],
        vec![],
    ] {
        let changes = Changes {
            secrets: Some(secrets.clone()),
            ..Changes::default()
        };
        db.write_dht(&changes).await.unwrap();
        // Changes without secrets leave them alone.
        db.write_dht(&Changes::default()).await.unwrap();
        let mut expected = secrets;
        expected.sort_by_key(|secret| secret.made_at);
        assert_eq!(db.load_dht(NOW).await.unwrap().secrets, expected);
    }
}

#[tokio::test]
async fn a_damaged_row_keeps_no_other_from_being_read() {
    let (_folder, db) = db().await;
    sql(
        &db,
        "PRAGMA ignore_check_constraints = ON;
         INSERT INTO dht_node VALUES
             (4, zeroblob(19), '192.0.2.1:1', 1, 0, 0, 0),
             (4, zeroblob(20), 'nowhere', 1, 0, 0, 0),
             (4, x'0101010101010101010101010101010101010101', CAST(x'ff' AS TEXT), 1, 0, 0, 0),
             (6, x'0202020202020202020202020202020202020202', '192.0.2.2:1', 1, 0, 0, 0),
             (9, x'0303030303030303030303030303030303030303', '192.0.2.3:1', 1, 0, 0, 0);
         INSERT INTO dht_value VALUES
             (zeroblob(21), x'00', '192.0.2.1', 1900000000000),
             (zeroblob(20), x'', 'nobody', 1900000000000),
             (zeroblob(20), x'01', CAST(x'ff' AS TEXT), 1900000000000);
         INSERT INTO dht_secret VALUES (zeroblob(19), 1);
         PRAGMA ignore_check_constraints = OFF;",
    )
    .await;
    let good = (
        node(9, "192.0.2.9:1"),
        value(9, b"v", "192.0.2.9", NOW + 10),
        Secret {
            bytes: [9; 20],
            made_at: 2,
        },
    );
    let mut changes = Changes {
        nodes: vec![(Family::V4, NodeChange::Put(good.0.clone()))],
        values: vec![ValueChange::Put(good.1.clone())],
        secrets: None,
    };
    db.write_dht(&changes).await.unwrap();
    let insert =
        "INSERT INTO dht_secret VALUES (unhex('0909090909090909090909090909090909090909'), 2)";
    sql(&db, insert).await;
    let saved = db.load_dht(NOW).await.unwrap();
    assert_eq!(saved.nodes, [good.0]);
    assert_eq!(saved.values, [good.1]);
    assert_eq!(saved.secrets, [good.2]);
    changes.secrets = Some(saved.secrets);
    db.write_dht(&changes).await.unwrap();
    for table in ["dht_node", "dht_value", "dht_secret"] {
        let count = format!("SELECT count(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(db.reader())
            .await
            .unwrap();
        assert_eq!(rows, 1, "{table}");
    }
}

#[tokio::test]
async fn what_an_index_vouches_for_is_announced() {
    let (_folder, db) = db().await;
    suite(&db).await;
    for byte in [2, 3, 4] {
        db.add_file([byte; 32], 5, NOW).await.unwrap();
    }
    let package = file(&db, 1, 5).await;
    sql(
        &db,
        "INSERT INTO index_file VALUES (1, 'a', unhex(replace(hex(zeroblob(32)), '00', '02')), NULL, 5);
         INSERT INTO patch VALUES (1, 'b', unhex(replace(hex(zeroblob(32)), '00', '03')), 5, 1);",
    )
    .await;
    let enlisted = db.enlist(NOW).await.unwrap();
    let (files, added, removed) = (3, 3, 0);
    assert_eq!(
        enlisted,
        Enlisted {
            files,
            added,
            removed
        }
    );
    assert_eq!(db.enlist(NOW).await.unwrap().added, 0);
    sql(&db, "DELETE FROM patch").await;
    assert_eq!(db.enlist(NOW).await.unwrap().removed, 1);
    db.forget_files(&[package]).await.unwrap();
    let totals = db.announcement_totals(0).await.unwrap();
    assert_eq!((totals.files, totals.stored), (1, 0));
    let last = claimed(&db, NOW).await;
    assert_eq!(last.file.sha256, [2; 32]);
    assert!(db.claim_announcement(NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn the_mark_changes_with_files_and_lists_and_else_stands_still() {
    let (_folder, db) = db().await;
    let mut last = db.announceable_mark().await.unwrap();
    suite(&db).await;
    for (step, changes) in [
        ("SELECT 1", true), // of the suite above
        ("UPDATE suite SET asked_at = 7", false),
        (
            "INSERT INTO file VALUES (1, zeroblob(32), 5, 1, 1, 0)",
            true,
        ),
        ("UPDATE file SET last_use = 9", false),
        (
            "DELETE FROM file; INSERT INTO file VALUES (1, zeroblob(32), 5, 2, 1, 0)",
            true,
        ),
        (
            "INSERT INTO announcement (file_id, not_before) VALUES (1, 5)",
            false,
        ),
        ("UPDATE list SET content = NULL", true),
        ("UPDATE list SET release_id = 8", true),
        ("UPDATE list SET state = 'wanted'", false),
        (
            "INSERT INTO patch VALUES (1, 'b', zeroblob(32), 5, 1)",
            true,
        ),
        ("DELETE FROM release", true),
    ] {
        sql(&db, step).await;
        let mark = db.announceable_mark().await.unwrap();
        assert_eq!(mark != last, changes, "{step}: {last} {mark}");
        last = mark;
    }
}

#[tokio::test]
async fn finishing_an_announcement_needs_the_lease() {
    let (_folder, db) = db().await;
    suite(&db).await;
    file(&db, 1, 5).await;
    db.enlist(NOW).await.unwrap();
    let lost = claimed(&db, NOW).await;
    assert!(db.claim_announcement(NOW).await.unwrap().is_none());
    db.recover_announcements().await.unwrap();
    let claim = claimed(&db, NOW).await;
    db.finish_announcement(&lost.lease, &announced(1, NOW))
        .await
        .unwrap();
    db.postpone_announcement(&lost.lease, NOW, "late")
        .await
        .unwrap();
    db.return_announcement(&lost.lease, NOW).await.unwrap();
    assert!(db.claim_announcement(NOW).await.unwrap().is_none());
    db.finish_announcement(&claim.lease, &announced(1, NOW))
        .await
        .unwrap();
    assert_eq!(db.next_announcement_at().await.unwrap(), Some(NOW + 1000));
    let totals = db.announcement_totals(0).await.unwrap();
    let (files, stored) = (1, 1);
    assert_eq!(totals, AnnouncementTotals { files, stored });
    assert!(db.claim_announcement(NOW + 999).await.unwrap().is_none());
    // Its worker is no more.
    claimed(&db, NOW + 1000).await;
    db.renew_announcements(&[], NOW + 100_000).await.unwrap();
    claimed(&db, NOW + 100_000).await;
}

#[tokio::test]
async fn only_failures_are_counted() {
    let (_folder, db) = db().await;
    suite(&db).await;
    file(&db, 1, 5).await;
    db.enlist(NOW).await.unwrap();
    let claim = claimed(&db, NOW).await;
    db.return_announcement(&claim.lease, NOW + 1).await.unwrap();
    let claim = claimed(&db, NOW + 1).await;
    assert_eq!(claim.lease.failures, 0);
    db.postpone_announcement(&claim.lease, NOW + 2, "no node took it")
        .await
        .unwrap();
    let claim = claimed(&db, NOW + 2).await;
    assert_eq!(claim.lease.failures, 1);
    db.finish_announcement(&claim.lease, &announced(1, NOW))
        .await
        .unwrap();
    assert_eq!(claimed(&db, NOW + 1000).await.lease.failures, 0);
}

#[tokio::test]
async fn a_torrent_string_lives_as_long_as_its_file() {
    let (_folder, db) = db().await;
    suite(&db).await;
    let file = file(&db, 1, 600_000).await;
    db.enlist(NOW).await.unwrap();
    let claim = claimed(&db, NOW).await;
    assert_eq!(claim.torrent, None);
    let torrent = TorrentRow {
        sha1: [7; 20],
        file: file.sha256,
        size: file.size,
        body: b"de".to_vec(),
    };
    db.keep_torrent(&claim.lease, &torrent).await.unwrap();
    db.keep_torrent(&claim.lease, &torrent).await.unwrap();
    db.return_announcement(&claim.lease, NOW).await.unwrap();
    assert_eq!(claimed(&db, NOW).await.torrent, Some(b"de".to_vec()));
    assert_eq!(db.forget_torrents().await.unwrap(), 0);
    db.forget_files(&[file]).await.unwrap();
    assert_eq!(db.forget_torrents().await.unwrap(), 1);
}

#[tokio::test]
async fn at_another_address_everybody_is_told_anew_but_not_twice_at_once() {
    let (_folder, db) = db().await;
    suite(&db).await;
    for (byte, at, port) in [(1, NOW - 900, 1), (2, NOW - 10, 1), (3, NOW - 900, 2)] {
        file(&db, byte, 5).await;
        db.enlist(at).await.unwrap();
        let claim = claimed(&db, at).await;
        db.finish_announcement(&claim.lease, &announced(port, at))
            .await
            .unwrap();
    }
    file(&db, 4, 5).await;
    db.enlist(NOW + 7000).await.unwrap();
    assert_eq!(db.moved_to(contact(2), NOW - 600, NOW).await.unwrap(), 1);
    let claim = claimed(&db, NOW).await;
    assert_eq!(to_hex(&claim.file.sha256), "01".repeat(32));
    assert!(db.claim_announcement(NOW).await.unwrap().is_none());
    assert_eq!(db.moved_to(contact(2), NOW - 600, NOW).await.unwrap(), 0);
}
