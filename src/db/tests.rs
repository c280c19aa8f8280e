use super::*;

mod dht;
mod numbers;
mod port_mapping;
mod swarm;
mod truth;

use crate::clock::Millis;
use crate::db::download::{Claim, Limits};
use crate::db::file::{FileRow, FileStatus, FilesStatus};
use crate::db::url::UrlRow;
use crate::health::Failing;
use crate::validators::Validators;

async fn db() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(&folder.path().join("t.db")).await.unwrap();
    (folder, db)
}

fn limits(slots: i64, per_origin: i64) -> Limits {
    Limits {
        slots,
        per_origin,
        lease: 100,
    }
}

fn file(id: i64, hash: u8) -> FileRow {
    FileRow {
        id,
        sha256: [hash; 32],
        size: 10,
    }
}

/// Limits under which no row is born leased.
fn none() -> Limits {
    limits(0, 0)
}

fn said() -> Validators {
    Validators {
        etag: "\"e\"".into(),
        last_modified: 1000,
        ..Validators::default()
    }
}

fn row(url: &str, hash: u8) -> UrlRow {
    UrlRow {
        url: url.into(),
        file_id: 0,
        sha256: [hash; 32],
        size: 10,
        validators: said(),
        checked_at: 5,
        index_changed_at: 0,
        proof: None,
    }
}

async fn claim_one(db: &Db, url: &str) -> Claim {
    db.want_download(url, "http://o", 0, &none()).await.unwrap();
    let mut claims = db.claim_downloads(0, 9, &limits(9, 9)).await.unwrap();
    claims.retain(|claim| claim.url == url);
    claims.pop().unwrap()
}

async fn store(db: &Db, url: &str, hash: u8) -> i64 {
    let claim = claim_one(db, url).await;
    let finished = db
        .finish_download(&row(url, hash), claim.id, claim.lease, 5)
        .await;
    finished.unwrap().unwrap().0
}

#[tokio::test]
async fn finishing_needs_the_lease() {
    let (_folder, db) = db().await;
    let claim = claim_one(&db, "http://o/a").await;
    let lost = db
        .finish_download(&row("http://o/a", 1), claim.id, claim.lease ^ 1, 5)
        .await;
    assert_eq!(lost.unwrap(), None);
    assert_eq!(db.find_url("http://o/a").await.unwrap(), None);
    let kept = db
        .finish_download(&row("http://o/a", 1), claim.id, claim.lease, 5)
        .await;
    assert!(kept.unwrap().unwrap().1, "a new file");
    assert_eq!(
        db.find_url("http://o/a").await.unwrap().unwrap().sha256,
        [1; 32]
    );
    assert_eq!(db.next_download_at().await.unwrap(), None);
}

#[tokio::test]
async fn one_file_for_two_addresses() {
    let (_folder, db) = db().await;
    let first = store(&db, "http://o/a", 1).await;
    let second = store(&db, "http://o/b", 1).await;
    assert_eq!(first, second);
    let totals = db.file_totals().await.unwrap();
    assert_eq!((totals.files, totals.bytes), (1, 10));
    let (mut urls, gone) = db
        .forget_files(&[file(first, 1), file(first, 2), file(999, 1)])
        .await
        .unwrap();
    urls.sort();
    assert_eq!(urls, ["http://o/a", "http://o/b"]);
    assert_eq!(gone, [first]);
}

#[tokio::test]
async fn one_origin_can_not_hold_every_slot() {
    let (_folder, db) = db().await;
    for n in 0..5 {
        db.want_download(&format!("http://slow/{n}"), "http://slow", 0, &none())
            .await
            .unwrap();
    }
    db.want_download("http://quick/0", "http://quick", 0, &none())
        .await
        .unwrap();
    let urls =
        |claims: Vec<Claim>| -> Vec<String> { claims.into_iter().map(|claim| claim.url).collect() };
    let first = urls(db.claim_downloads(0, 10, &limits(9, 2)).await.unwrap());
    assert_eq!(first, ["http://slow/0", "http://slow/1", "http://quick/0"]);
    assert!(
        db.claim_downloads(0, 10, &limits(9, 2))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        urls(db.claim_downloads(0, 10, &limits(9, 3)).await.unwrap()),
        ["http://slow/2"]
    );
}

#[tokio::test]
async fn backoff_holds_and_a_client_outweighs_it() {
    let (_folder, db) = db().await;
    let claim = claim_one(&db, "http://o/a").await;
    db.postpone_download(&claim, 500, "refused").await.unwrap();
    assert!(
        db.claim_downloads(499, 9, &limits(9, 9))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(db.next_download_at().await.unwrap(), Some(500));
    db.want_download_later("http://o/a", "http://o", 100, 100)
        .await
        .unwrap();
    assert_eq!(
        db.next_download_at().await.unwrap(),
        Some(500),
        "wanted already"
    );
    db.want_download("http://o/a", "http://o", 100, &none())
        .await
        .unwrap();
    let again = db.claim_downloads(100, 9, &limits(9, 9)).await.unwrap();
    assert_eq!(again[0].attempts, 2);
    db.want_download("http://o/a", "http://o", 100, &none())
        .await
        .unwrap();
    assert!(
        db.claim_downloads(100, 9, &limits(9, 9))
            .await
            .unwrap()
            .is_empty(),
        "it runs"
    );
}

#[tokio::test]
async fn leases_are_renewed_and_lost_ones_are_found() {
    let (_folder, db) = db().await;
    let kept = claim_one(&db, "http://o/a").await;
    let lost = claim_one(&db, "http://o/b").await;
    assert_eq!(db.renew_downloads(&[kept.id], 101, 200).await.unwrap(), 1);
    let again = db.claim_downloads(101, 9, &limits(9, 9)).await.unwrap();
    assert_eq!(again[0].url, "http://o/b");
    assert_ne!(again[0].lease, lost.lease);
}

#[tokio::test]
async fn a_start_keeps_what_is_worth_it() {
    let (_folder, db) = db().await;
    store(&db, "http://o/stored", 1).await;
    claim_one(&db, "http://o/stored").await;
    claim_one(&db, "http://o/nobody-waits").await;
    let left = claim_one(&db, "http://o/left").await;
    db.identity("boot-1", 0).await.unwrap();
    db.note_answer(left.id, left.lease, "temp-1", 10, &said())
        .await
        .unwrap();
    db.identity("boot-1", 1).await.unwrap();
    db.recover_downloads().await.unwrap();
    assert_eq!(db.temps_in_use().await.unwrap(), ["temp-1"]);
    let claims = db.claim_downloads(0, 9, &limits(9, 9)).await.unwrap();
    let urls: Vec<_> = claims.iter().map(|claim| claim.url.as_str()).collect();
    assert_eq!(urls, ["http://o/stored", "http://o/left"]);
    let left = claims[1].left_behind.clone().unwrap();
    assert_eq!(
        (left.temp.as_str(), left.size, left.validators),
        ("temp-1", 10, said())
    );
    db.identity("another boot", 0).await.unwrap();
    db.recover_downloads().await.unwrap();
    let after_reboot = db.claim_downloads(0, 9, &limits(9, 9)).await.unwrap();
    assert_eq!(
        after_reboot.len(),
        1,
        "what a power cut left is not believed"
    );
}

#[tokio::test]
async fn uses_decide_who_goes_first() {
    let (_folder, db) = db().await;
    let old = store(&db, "http://o/a", 1).await;
    let used = store(&db, "http://o/b", 2).await;
    let newer: Millis = 1_000_000;
    db.touch_files(&[(old, newer), (used, newer + 1)])
        .await
        .unwrap();
    db.touch_files(&[(used, 3)]).await.unwrap();
    let order = db.least_recently_used(9, 0, true).await.unwrap();
    assert_eq!(
        order.iter().map(|file| file.id).collect::<Vec<_>>(),
        [old, used]
    );
    assert_eq!(
        db.least_recently_used(9, 1, true).await.unwrap()[0].id,
        used
    );
}

#[tokio::test]
async fn what_waits_for_an_origin_goes_on_when_it_answers() {
    let (_folder, db) = db().await;
    let claim = claim_one(&db, "http://o/a").await;
    db.postpone_download(&claim, 500, "refused").await.unwrap();
    let mut failing = Failing {
        origin: "http://o".into(),
        failures: 1,
        not_before: 500,
        last_error: "refused".into(),
        failing_since: 10,
    };
    db.mirror_failed(&failing).await.unwrap();
    failing.failures = 2;
    db.mirror_failed(&failing).await.unwrap();
    assert_eq!(db.failing_mirrors().await.unwrap(), [failing]);
    db.mirror_recovered("http://o", 20).await.unwrap();
    assert!(db.failing_mirrors().await.unwrap().is_empty());
    assert_eq!(db.next_download_at().await.unwrap(), Some(20));
}

#[tokio::test]
async fn a_node_keeps_its_name() {
    let (_folder, db) = db().await;
    let first = db.identity("boot-1", 0).await.unwrap();
    assert_eq!(db.identity("boot-2", 2).await.unwrap(), first);
}

#[tokio::test]
async fn hashes_without_a_row_are_found() {
    let (_folder, db) = db().await;
    assert!(db.add_file([0xab; 32], 1, 0).await.unwrap());
    assert!(!db.add_file([0xab; 32], 1, 0).await.unwrap());
    let names = ["ab".repeat(32), "cd".repeat(32), "no hash".to_owned()];
    assert_eq!(db.unknown_hashes(&names).await.unwrap(), names[1..]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_in_a_clear_sentence() {
    let (folder, db) = db().await;
    sqlx::raw_sql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 0)")
        .execute(&mut *db.writer().await)
        .await
        .unwrap();
    db.close().await;
    let refused = Db::open(&folder.path().join("t.db")).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("t.db has schema 99,"), "{told}");
}

#[tokio::test]
async fn a_changed_index_casts_doubt_on_the_pool_of_its_archive_only() {
    let (_folder, db) = db().await;
    let (index, deb, other) = (
        "http://o/debian/dists/sid/InRelease",
        "http://o/debian/pool/x.deb",
        "http://o/ubuntu/pool/x.deb",
    );
    for (url, hash) in [(index, 1), (deb, 2), (other, 3)] {
        store(&db, url, hash).await;
    }
    let doubt = async |url| db.find_url(url).await.unwrap().unwrap().index_changed_at;
    assert_eq!(
        doubt(deb).await,
        0,
        "an index seen for the first time changes nothing"
    );
    store(&db, index, 1).await;
    assert_eq!(doubt(deb).await, 0, "nor does one that stayed the same");
    store(&db, index, 4).await;
    assert_eq!(doubt(deb).await, 5);
    assert_eq!(doubt(other).await, 0);
    assert_eq!(doubt(index).await, 0);
}

#[tokio::test]
async fn the_status_names_the_largest_and_the_latest_bodies() {
    let (_folder, db) = db().await;
    assert_eq!(db.files_status(3).await.unwrap(), FilesStatus::default());
    for (hash, size) in [30, 10, 40, 20].into_iter().enumerate() {
        let hash = u8::try_from(hash).unwrap();
        let now = 1000 + Millis::from(hash);
        db.add_file([hash; 32], size, now).await.unwrap();
    }
    let known = db.file_by_hash([2; 32]).await.unwrap().unwrap();
    for url in ["http://o/b", "http://o/a"] {
        db.name_file(url, known.id, &said(), 5).await.unwrap();
    }
    let status = db.files_status(3).await.unwrap();
    assert_eq!((status.files, status.least_recent_use), (4, Some(1000)));
    let sizes = |files: &[FileStatus]| -> Vec<u64> { files.iter().map(|file| file.size).collect() };
    assert_eq!(sizes(&status.largest), [40, 30, 20]);
    assert_eq!(sizes(&status.latest), [20, 40, 10]);
    let largest = FileStatus {
        sha256: [2; 32],
        url: Some("http://o/b".to_owned()),
        size: 40,
        added_at: 1002,
        last_use: 1002,
    };
    assert_eq!(status.largest[0], largest);
    assert_eq!(status.latest[0].url, None);
    // A new row's place is the last one, though ids are given again.
    let last = db.file_by_hash([3; 32]).await.unwrap().unwrap();
    db.forget_files(&[last]).await.unwrap();
    db.add_file([9; 32], 15, 1009).await.unwrap();
    let status = db.files_status(3).await.unwrap();
    assert_eq!(sizes(&status.latest), [15, 40, 10]);
}
