//! Suites, generations, lists and what they vouch for, in a real database.

use crate::db::Db;
use crate::db::list::{Finished, ListClaim, PackageRow, ReadList};
use crate::db::refusal::Kind;
use crate::db::release::{Forms, Signed};
use crate::db::view::ViewRow;
use crate::debian::digest::{Digest, Vouched};
use crate::debian::release::Release;

const NOW: i64 = 1_700_000_000_000;
const FOLDER: &str = "http://o/debian/dists/sid/";
const ROOT: &str = "http://o/debian/";
const LIST: &str = "main/binary-amd64/Packages";

struct Opened {
    db: Db,
    _folder: tempfile::TempDir,
}

async fn open() -> Opened {
    let (folder, db) = super::db().await;
    Opened {
        db,
        _folder: folder,
    }
}

fn vouched(byte: u8) -> Vouched {
    Vouched {
        digest: Digest::Sha256([byte; 32]),
        size: u64::from(byte),
    }
}

fn release(number: u8, packages: u8) -> Release {
    let hex = |byte: u8| format!("{byte:02x}").repeat(32);
    let text = format!(
        "Suite: sid\nDate: Sat, 10 Jun 2023 09:01:{number:02} UTC\nAcquire-By-Hash: yes\nSHA256:\n \
         {} {packages} {LIST}.xz\n {} 7 main/Contents-all.gz\n",
        hex(packages),
        hex(7)
    );
    Release::parse(&text).unwrap()
}

async fn claimed(db: &Db) -> i64 {
    db.want_suite(FOLDER, ROOT, false, NOW).await.unwrap();
    db.claim_suites(NOW, 9).await.unwrap().remove(0).lease.id
}

async fn add(db: &Db, suite: i64, number: u8, packages: u8) -> i64 {
    let forms = Forms {
        inrelease: Some([number; 32]),
        ..Forms::default()
    };
    let who = Signed {
        how: "unsigned",
        key: None,
        signer: None,
    };
    let release = release(number, packages);
    db.add_release(suite, &release, forms, &who, NOW)
        .await
        .unwrap()
}

async fn claim_list(db: &Db) -> ListClaim {
    db.claim_lists(NOW, 1).await.unwrap().remove(0)
}

fn finished(release: i64, packages: u64) -> Finished {
    Finished {
        release,
        read: Some(ReadList {
            content: [1; 32],
            body: [2; 32],
            suffix: ".xz".into(),
        }),
        packages,
        patches: 0,
    }
}

fn row(path: &str, byte: u8) -> PackageRow {
    PackageRow {
        path: path.into(),
        vouched: vouched(byte),
    }
}

/// A suite whose first generation is read: `a` and `b`.
async fn read_once() -> (Opened, i64, i64, ListClaim) {
    let opened = open().await;
    let db = &opened.db;
    let suite = claimed(db).await;
    let first = add(db, suite, 1, 11).await;
    db.take_up(suite, first, NOW).await.unwrap();
    assert!(db.want_lists(suite, &[LIST.into()], NOW).await.unwrap());
    let claim = claim_list(db).await;
    assert_eq!(claim.target, Some(first));
    let rows = [row("pool/a", 1), row("pool/b", 2)];
    db.add_packages(claim.lease.id, first, &rows).await.unwrap();
    db.finish_list(&claim.lease, &finished(first, 2), None)
        .await
        .unwrap();
    (opened, suite, first, claim)
}

#[tokio::test]
async fn only_differences_are_written_and_the_newest_speaks() {
    let (opened, suite, first, claim) = read_once().await;
    let db = &opened.db;
    assert_eq!(
        db.packages_at(&[suite], "pool/a").await.unwrap(),
        [vouched(1)]
    );
    let second = add(db, suite, 2, 22).await;
    db.take_up(suite, second, NOW).await.unwrap();
    assert!(db.suites().await.unwrap()[0].pending);
    let again = claim_list(db).await;
    assert_eq!(
        (again.lease.id, again.target),
        (claim.lease.id, Some(second))
    );
    let list = again.lease.id;
    db.add_packages(list, second, &[row("pool/a", 9)])
        .await
        .unwrap();
    // A worker that died half-way begins anew.
    db.add_packages(list, second, &[row("pool/a", 9), row("pool/c", 3)])
        .await
        .unwrap();
    db.end_packages(list, second, &["pool/b".into()])
        .await
        .unwrap();
    db.finish_list(&again.lease, &finished(second, 2), None)
        .await
        .unwrap();
    assert_eq!(
        db.packages_at(&[suite], "pool/a").await.unwrap(),
        [vouched(9)]
    );
    assert!(db.packages_at(&[suite], "pool/b").await.unwrap().is_empty());
    assert!(
        db.packages_at(&[suite + 1], "pool/a")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(db.index_totals().await.unwrap().packages, 2);
    assert!(!db.suites().await.unwrap()[0].pending);
    let places = db
        .places_of(
            &vouched(11).digest,
            "http://o/debian/dists/sid/main/binary-amd64/",
        )
        .await
        .unwrap();
    assert_eq!(
        (places.len(), places[0].release_id, places[0].in_use),
        (1, first, false)
    );
}

#[tokio::test]
async fn a_folder_without_a_release_is_no_suite() {
    let opened = open().await;
    let db = &opened.db;
    let rows = async || {
        db.want_suite(FOLDER, ROOT, false, NOW).await.unwrap();
        db.claim_suites(NOW, 9).await.unwrap().remove(0)
    };
    let claim = rows().await;
    assert_eq!(claim.release_id, None);
    db.rest_suite(&claim.lease).await.unwrap();
    let claim = rows().await;
    let first = add(db, claim.lease.id, 1, 11).await;
    db.take_up(claim.lease.id, first, NOW).await.unwrap();
    db.rest_suite(&claim.lease).await.unwrap();
    assert_eq!(rows().await.release_id, Some(first));
    assert_eq!(
        db.forget_suites(NOW + 1).await.unwrap(),
        0,
        "it is asked after"
    );
    db.recover_indexes().await.unwrap();
    assert_eq!(db.forget_suites(NOW).await.unwrap(), 0);
    assert_eq!(db.forget_suites(NOW + 1).await.unwrap(), 1);
    assert!(db.suites().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_that_did_not_change_moves_along() {
    let (opened, suite, _, _) = read_once().await;
    let second = add(&opened.db, suite, 2, 11).await;
    opened.db.take_up(suite, second, NOW).await.unwrap();
    assert!(!opened.db.suites().await.unwrap()[0].pending);
    assert!(opened.db.claim_lists(NOW, 9).await.unwrap().is_empty());
    assert!(
        !opened
            .db
            .want_lists(suite, &[LIST.into()], NOW)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_list_that_was_overtaken_while_it_was_read_is_wanted_again() {
    let (opened, suite, _, _) = read_once().await;
    let db = &opened.db;
    let second = add(db, suite, 2, 22).await;
    db.take_up(suite, second, NOW).await.unwrap();
    let reading = claim_list(db).await;
    let third = add(db, suite, 3, 33).await;
    db.take_up(suite, third, NOW).await.unwrap();
    assert!(db.claim_lists(NOW, 9).await.unwrap().is_empty());
    db.finish_list(&reading.lease, &finished(second, 2), None)
        .await
        .unwrap();
    assert_eq!(claim_list(db).await.target, Some(third));
}

#[tokio::test]
async fn what_a_lost_lease_brings_is_thrown_away() {
    let (opened, suite, _, _) = read_once().await;
    let db = &opened.db;
    let second = add(db, suite, 2, 22).await;
    db.take_up(suite, second, NOW).await.unwrap();
    let mut lost = claim_list(db).await.lease;
    lost.lease ^= 1;
    db.finish_list(&lost, &finished(second, 99), None)
        .await
        .unwrap();
    db.drop_list(&lost).await.unwrap();
    assert_eq!(db.index_totals().await.unwrap().packages, 2);
    db.recover_indexes().await.unwrap();
    assert_eq!(claim_list(db).await.target, Some(second));
}

#[tokio::test]
async fn the_last_three_generations_and_the_young_ones_are_kept() {
    let (opened, suite, first, _) = read_once().await;
    let db = &opened.db;
    let mut ids = vec![first];
    for number in 2..7 {
        let id = add(db, suite, number, number * 10).await;
        db.take_up(suite, id, NOW + i64::from(number))
            .await
            .unwrap();
        ids.push(id);
    }
    assert_eq!(db.retire(3, NOW).await.unwrap(), 0);
    assert_eq!(db.retire(3, NOW + 100).await.unwrap(), 3);
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(
            db.release(*id).await.unwrap().is_some(),
            index >= 3,
            "{index}"
        );
    }
    assert_eq!(
        db.suites().await.unwrap()[0].release_id,
        ids.last().copied()
    );
}

#[tokio::test]
async fn what_clients_use_is_needed_of_the_next_generation() {
    let (opened, suite, _, _) = read_once().await;
    let db = &opened.db;
    let second = add(db, suite, 2, 22).await;
    assert_eq!(db.needed(suite, second, 0).await.unwrap(), None);
    let used = [
        (suite, format!("{LIST}.xz")),
        (suite, "main/gone".into()),
        (suite + 1, "x".into()),
    ];
    db.note_index_uses(&used, NOW).await.unwrap();
    let needed = db.needed(suite, second, 0).await.unwrap().unwrap();
    assert_eq!(needed.len(), 1);
    assert_eq!(needed[0].vouched, vouched(22));
    db.add_file([22; 32], 22, NOW).await.unwrap();
    assert_eq!(db.needed(suite, second, 0).await.unwrap(), Some(vec![]));
    assert_eq!(db.needed(suite, second, NOW + 1).await.unwrap(), None);
    let paths = [format!("{LIST}.xz")];
    assert!(db.is_used(suite, &paths, NOW).await.unwrap());
    assert!(!db.is_used(suite, &paths, NOW + 1).await.unwrap());
    assert!(!db.is_used(suite + 1, &paths, NOW).await.unwrap());
}

#[tokio::test]
async fn views_go_with_their_generation_and_with_time() {
    let (opened, suite, first, _) = read_once().await;
    let db = &opened.db;
    let view = |release| ViewRow {
        client: "192.0.2.1".into(),
        suite_id: suite,
        release_id: release,
        given_at: NOW,
    };
    db.write_views(&[view(first)], 0).await.unwrap();
    db.write_views(&[view(first + 100)], 0).await.unwrap();
    assert_eq!(db.views().await.unwrap(), [view(first)]);
    db.write_views(&[], NOW + 1).await.unwrap();
    assert!(db.views().await.unwrap().is_empty());
}

#[tokio::test]
async fn refusals_are_counted_and_bounded() {
    let opened = open().await;
    let db = &opened.db;
    for at in 0..20 {
        let url = format!("http://o/{}", at % 10);
        db.refuse(Kind::Mismatch, &url, "http://o", "why", NOW + at)
            .await
            .unwrap();
    }
    let refusals = db.refusals(None, 99).await.unwrap();
    assert_eq!((refusals.len(), refusals[0].times), (10, 2));
    db.refuse(Kind::Signature, "http://o/InRelease", "http://o", "bad", 0)
        .await
        .unwrap();
    let signatures = db.refusals(Some(Kind::Signature), 1).await.unwrap();
    assert_eq!(signatures.len(), 1, "it is the oldest of all");
    let files = db.refused_files().await.unwrap();
    let files: Vec<_> = files.iter().map(|it| (it.kind, it.files)).collect();
    assert_eq!(files, [(Kind::Mismatch, 10), (Kind::Signature, 1)]);
    db.forget_refusals(NOW + 12, 99).await.unwrap();
    assert_eq!(db.refusals(None, 99).await.unwrap().len(), 8);
    db.forget_refusals(0, 3).await.unwrap();
    assert!(db.refusals(None, 99).await.unwrap().len() <= 4);
}

#[tokio::test]
async fn patches_are_known_by_their_last_generation() {
    let (opened, suite, first, _) = read_once().await;
    let db = &opened.db;
    let path = format!("{LIST}.diff/T-1-F-0.gz");
    db.add_patches(suite, first + 1, &[(path.clone(), vouched(5))])
        .await
        .unwrap();
    db.add_patches(suite, first, &[(path.clone(), vouched(4))])
        .await
        .unwrap();
    assert_eq!(db.patch(suite, &path).await.unwrap(), Some(vouched(5)));
    assert_eq!(db.patch(suite + 1, &path).await.unwrap(), None);
    assert_eq!(db.index_totals().await.unwrap().patches, 1);
}

#[tokio::test]
async fn patches_count_once_and_only_with_the_lease() {
    let (opened, suite, first, claim) = read_once().await;
    let db = &opened.db;
    let applied = async || db.suite_status().await.unwrap()[0].patches_applied;
    assert_eq!(applied().await, 0);
    // The lease was given back when it was read.
    let patched = |release| Finished {
        patches: 3,
        ..finished(release, 2)
    };
    db.finish_list(&claim.lease, &patched(first), None)
        .await
        .unwrap();
    assert_eq!(applied().await, 0);
    let second = add(db, suite, 2, 22).await;
    db.take_up(suite, second, NOW).await.unwrap();
    let again = claim_list(db).await;
    db.finish_list(&again.lease, &patched(second), None)
        .await
        .unwrap();
    assert_eq!(applied().await, 3);
}
