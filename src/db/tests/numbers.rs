use std::collections::BTreeMap;

use super::*;
use crate::meter::{Amounts, Kind, Sums};
use crate::visitors::{Face, Visits};

fn amounts(counted: &[(Kind, u64)]) -> Amounts {
    let mut amounts = Amounts::default();
    for (kind, amount) in counted {
        amounts.add(*kind, *amount);
    }
    amounts
}

#[tokio::test]
async fn traffic_adds_up_by_the_hour_and_in_all() {
    let (_folder, db) = db().await;
    let counted = amounts(&[(Kind::ClientsFromCache, 7), (Kind::Hits, 1)]);
    for hour in [10, 10, 11, 12] {
        db.add_traffic(hour, &counted).await.unwrap();
    }
    db.add_traffic(12, &Amounts::default()).await.unwrap();
    let sums = db.traffic(11).await.unwrap();
    let expected = Sums {
        all: amounts(&[(Kind::ClientsFromCache, 28), (Kind::Hits, 4)]),
        hours: BTreeMap::from([(11, counted), (12, counted)]),
    };
    assert_eq!(sums, expected);
}

fn visits(face: Face, address: &str, last_seen: Millis) -> Visits {
    Visits {
        face,
        address: address.parse().unwrap(),
        hits: 1,
        misses: 2,
        bytes: 3,
        last_seen,
    }
}

#[tokio::test]
async fn visits_add_up_and_who_came_long_ago_is_forgotten() {
    let (_folder, db) = db().await;
    let (client, peer) = (
        visits(Face::Apt, "192.0.2.1", 10),
        visits(Face::Peer, "192.0.2.1", 20),
    );
    db.add_visits(&[client, peer]).await.unwrap();
    let again = visits(Face::Apt, "192.0.2.1", 30);
    let rows = db.add_visits(&[again]).await.unwrap();
    assert!(db.add_visits(&[]).await.unwrap().is_empty());
    let twice = Visits {
        hits: 2,
        misses: 4,
        bytes: 6,
        last_seen: 30,
        ..client
    };
    assert_eq!(rows, [twice], "what the row has now");
    assert_eq!(db.visitors(9).await.unwrap(), [twice, peer]);
    assert_eq!(db.visitors(1).await.unwrap(), [twice, peer], "of each face");
    let other = visits(Face::Apt, "2001:db8::1", 40);
    db.add_visits(&[other]).await.unwrap();
    let many: Vec<_> = (50..60)
        .map(|seen| visits(Face::Peer, &format!("192.0.2.{seen}"), seen))
        .collect();
    db.add_visits(&many).await.unwrap();
    db.forget_visitors(20, 2).await.unwrap();
    assert_eq!(
        db.visitors(9).await.unwrap(),
        [other, twice, many[9], many[8]],
        "the latest two of each face"
    );
    db.forget_visitors(31, 1).await.unwrap();
    assert_eq!(db.visitors(9).await.unwrap(), [other, many[9]]);
}

/// A database as it was before clients' bytes were told apart.
async fn before(folder: &tempfile::TempDir, hours: &[(i64, &str, i64)]) {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("t.db"))
        .create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let mut old = Migrator::DEFAULT;
    let migrations = MIGRATIONS.iter().filter(|migration| migration.version < 5);
    old.migrations = migrations.cloned().collect::<Vec<_>>().into();
    old.run(&mut connection).await.unwrap();
    for (hour, kind, amount) in hours {
        sqlx::query("INSERT INTO traffic (hour, kind, amount) VALUES (?, ?, ?)")
            .bind(hour)
            .bind(kind)
            .bind(amount)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_was_not_told_apart_is_split_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let hours = [
        (1, "to_clients", 100),
        (1, "from_mirrors", 30),
        (1, "from_peers", 20),
        (1, "hits", 5),
        (2, "to_clients", 40),
        (2, "from_mirrors", 30),
        (2, "from_peers", 20),
        (3, "to_clients", 7),
        (4, "from_mirrors", 9),
        (5, "to_clients", 10),
        (5, "from_mirrors", 11),
    ];
    before(&folder, &hours).await;
    let db = Db::open(&folder.path().join("t.db")).await.unwrap();
    let sums = db.traffic(0).await.unwrap();
    let split = |hour: i64| {
        let amounts = sums.hours[&hour];
        let kinds = [
            Kind::ClientsFromCache,
            Kind::ClientsFromPeers,
            Kind::ClientsFromMirrors,
        ];
        kinds.map(|kind| amounts.of(kind))
    };
    assert_eq!(split(1), [50, 20, 30]);
    assert_eq!(split(2), [0, 10, 30]);
    assert_eq!(split(3), [7, 0, 0]);
    assert_eq!(split(4), [0, 0, 0]);
    assert_eq!(split(5), [0, 0, 10]);
    assert_eq!(sums.all.of(Kind::FromMirrors), 80);
    assert_eq!(sums.all.of(Kind::FromPeers), 40);
    assert_eq!(sums.all.of(Kind::Hits), 5);
}

/// Prints how long a start takes to read two years of numbers:
/// `cargo test --release --lib two_years -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "measures"]
async fn two_years_of_numbers() {
    let (_folder, db) = db().await;
    let last = 2 * 365 * 24;
    for kind in Kind::ALL {
        let kind = kind.as_str();
        sqlx::query(
            "WITH RECURSIVE hours(hour) AS
                 (SELECT 1 UNION ALL SELECT hour + 1 FROM hours WHERE hour < ?)
             INSERT INTO traffic (hour, kind, amount) SELECT hour, ?, 1000000 FROM hours",
        )
        .bind(last)
        .bind(kind)
        .execute(&mut *db.writer().await)
        .await
        .unwrap();
    }
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let sums = db.traffic(last - 31 * 24).await.unwrap();
        assert_eq!(sums.all.of(Kind::Hits), 1_000_000 * last.unsigned_abs());
        println!("{:?}", begun.elapsed());
    }
}
