//! The worker in a DHT of a few nodes on this machine.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::enlist::Seen;
use super::*;
use crate::db::file::FileRow;
use crate::debian::digest::{Digest, Vouched};
use crate::store::share::Name;
use crate::worker::dispatcher::dispatch;
use crate::worker::testing::{CONTACT, core, overlay, refusing, until};

const REFRESH: Duration = Duration::from_hours(2);

/// Stores a body that a patch's row vouches for.
async fn file(core: &Core, size: usize) -> FileRow {
    let body: Vec<u8> = (0..size).map(|n| (n / 1000).to_le_bytes()[0]).collect();
    let sha256: [u8; 32] = Sha256::digest(&body).into();
    let path = core.disk.body_path(&sha256);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, body).unwrap();
    core.db.add_file(sha256, size as u64, 1).await.unwrap();
    let (folder, root) = ("http://o/debian/dists/sid/", "http://o/debian/");
    core.db.want_suite(folder, root, false, 1).await.unwrap();
    let vouched = Vouched {
        digest: Digest::Sha256(sha256),
        size: size as u64,
    };
    let listed = [(size.to_string(), vouched)];
    core.db.add_patches(1, 1, &listed).await.unwrap();
    core.db.file_by_hash(sha256).await.unwrap().unwrap()
}

async fn found(overlay: &Overlay, key: Key) -> Vec<Vec<u8>> {
    let (mut finding, mut found) = (overlay.find(key), Vec::new());
    while let Some(values) = finding.next().await {
        found.extend(values);
    }
    found
}

async fn is_ready(overlay: &Overlay) {
    until(async || overlay.is_ready()).await;
}

#[tokio::test]
async fn others_find_the_file_and_the_hashes_of_its_pieces() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let first = overlay(1, &[], &stop);
    let second = overlay(2, &[&first], &stop);
    let own = overlay(3, &[&first], &stop);
    let core = core(folder.path()).await;
    let piece = usize::try_from(crate::swarm::torrent::PIECE).unwrap();
    let sizes = [10, piece, 3 * piece, 5 * piece + 1];
    let mut files = Vec::new();
    for size in sizes {
        files.push(file(&core, size).await);
    }
    is_ready(&own).await;
    let work = Arc::new(Announce::new(Arc::clone(&core), own, REFRESH));
    let before = core.now();
    tokio::spawn(enlist(
        Arc::clone(&core),
        Some(Arc::clone(&work)),
        stop.clone(),
    ));
    tokio::spawn(dispatch(work, stop.clone(), stop.clone()));
    until(async || core.db.announcement_totals(0).await.unwrap().stored == 4).await;
    let next = core.db.next_announcement_at().await.unwrap().unwrap() - before;
    assert!(
        next > 60 * 60 * 1000 && next <= 3 * 60 * 60 * 1000,
        "{next}"
    );

    let mut hashes = Vec::new();
    for file in &files {
        let values = found(&second, Key::of_hash(&file.sha256)).await;
        assert_eq!(values.len(), 1, "{} bytes", file.size);
        let value = FileValue::decode(&values[0]).unwrap();
        assert_eq!(value.contact, CONTACT);
        hashes.push(value.pieces);
    }
    assert_eq!(hashes[..2], [None, None]);
    let Some(Pieces::Torrent(three)) = &hashes[2] else {
        panic!("{hashes:?}");
    };
    assert_eq!(three.count(), 3);
    let Some(Pieces::Reference(reference)) = hashes[3] else {
        panic!("{hashes:?}");
    };
    let torrent = found(&second, Key::of_hash(&reference)).await;
    let six = TorrentString::decode(&torrent[0], Some(files[3].size)).unwrap();
    assert_eq!((six.count(), six.reference()), (6, reference));
    stop.cancel();
}

#[tokio::test]
async fn alone_it_waits_and_that_is_no_failure() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let core = core(folder.path()).await;
    file(&core, 10).await;
    let work = Announce::new(Arc::clone(&core), overlay(1, &[], &stop), REFRESH);
    work.look(&mut Seen::default()).await.unwrap();
    assert!(work.claim(4).await.unwrap().is_empty());
    assert_eq!(work.next_in().await.unwrap(), None);
    let claim = core
        .db
        .claim_announcement(core.now())
        .await
        .unwrap()
        .unwrap();
    work.run(claim).await;
    let later = core.now() + 60_000;
    let claim = core.db.claim_announcement(later).await.unwrap().unwrap();
    assert_eq!(claim.lease.failures, 0);
    stop.cancel();
}

#[tokio::test]
async fn starts_are_spaced() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let first = overlay(1, &[], &stop);
    let core = core(folder.path()).await;
    for size in [10, 11] {
        file(&core, size).await;
    }
    let work = Announce::new(Arc::clone(&core), overlay(2, &[&first], &stop), REFRESH);
    is_ready(&work.overlay).await;
    work.look(&mut Seen::default()).await.unwrap();
    assert_eq!(work.pace().between, PACE);
    let long = Duration::from_hours(1);
    work.pace().between = long;
    assert_eq!(work.claim(4).await.unwrap().len(), 1);
    assert!(work.claim(4).await.unwrap().is_empty());
    let pause = work.next_in().await.unwrap().unwrap();
    assert!(pause > long / 2 && pause <= long, "{pause:?}");
    work.pace().next = Instant::now();
    assert_eq!(work.claim(4).await.unwrap().len(), 1);
    // So many that they would not be done in time.
    work.set_pace(72_000);
    assert_eq!(work.pace().between, Duration::from_millis(50));
    work.set_pace(usize::MAX);
    assert!(work.pace().between < Duration::from_millis(1));
    stop.cancel();
}

#[tokio::test]
async fn what_nobody_took_is_tried_after_a_pause() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let core = core(folder.path()).await;
    file(&core, 10).await;
    let first = refusing(1, &stop);
    let work = Announce::new(Arc::clone(&core), overlay(2, &[&first], &stop), REFRESH);
    is_ready(&work.overlay).await;
    work.look(&mut Seen::default()).await.unwrap();
    let claim = work.claim(4).await.unwrap().remove(0);
    let before = core.now();
    work.run(claim).await;
    let next = core.db.next_announcement_at().await.unwrap().unwrap();
    assert!(next - before >= 24_000, "{}", next - before);
    let claim = core.db.claim_announcement(next).await.unwrap().unwrap();
    assert_eq!(claim.lease.failures, 1);
    assert_eq!(core.db.announcement_totals(0).await.unwrap().stored, 0);
    stop.cancel();
}

#[tokio::test]
async fn a_body_that_is_missing_is_forgotten() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let first = overlay(1, &[], &stop);
    let core = core(folder.path()).await;
    let lost = file(&core, 1_000_000).await;
    let path = core.disk.body_path(&lost.sha256);
    std::fs::write(path, "cut short").unwrap();
    let work = Announce::new(Arc::clone(&core), overlay(2, &[&first], &stop), REFRESH);
    is_ready(&work.overlay).await;
    work.look(&mut Seen::default()).await.unwrap();
    let claim = work.claim(4).await.unwrap().remove(0);
    work.run(claim).await;
    assert_eq!(core.db.file_totals().await.unwrap().files, 0);
    assert_eq!(core.db.announcement_totals(0).await.unwrap().files, 0);
    stop.cancel();
}

#[tokio::test]
async fn at_another_address_files_are_announced_anew() {
    let (folder, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
    let core = core(folder.path()).await;
    file(&core, 10).await;
    let work = Announce::new(Arc::clone(&core), overlay(1, &[], &stop), REFRESH);
    let mut seen = Seen::default();
    work.look(&mut seen).await.unwrap();
    let claim = core
        .db
        .claim_announcement(core.now())
        .await
        .unwrap()
        .unwrap();
    let an_hour_ago = core.now() - 60 * 60 * 1000;
    let told = Announced {
        at: an_hour_ago,
        contact: "127.0.0.2:1".parse().unwrap(),
        nodes: 1,
        next: core.now() + 60 * 60 * 1000,
    };
    core.db
        .finish_announcement(&claim.lease, &told)
        .await
        .unwrap();
    let mut after_start = Seen::default();
    work.look(&mut after_start).await.unwrap();
    assert!(
        core.db
            .claim_announcement(core.now())
            .await
            .unwrap()
            .is_none()
    );
    work.look(&mut after_start).await.unwrap();
    assert!(
        core.db
            .claim_announcement(core.now())
            .await
            .unwrap()
            .is_some()
    );
    stop.cancel();
}

#[tokio::test]
async fn what_is_here_and_vouched_for_is_shared_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let core = core(folder.path()).await;
    let [first, second] = [file(&core, 10).await, file(&core, 20).await];
    let names = [&first, &second].map(|file| Name::File(file.sha256));
    let shared = async || {
        let [one, other] = names.map(|name| core.share(name));
        [one.await.unwrap().is_some(), other.await.unwrap().is_some()]
    };
    assert_eq!(shared().await, [false, false], "nobody looked yet");
    Seen::default().rows_of(&core).await.unwrap();
    assert_eq!(shared().await, [true, true]);
    assert!(names.iter().all(|name| core.shares.get(name).is_some()));
    // The index has another patch in the place of the first.
    let other = Vouched {
        digest: Digest::Sha256([7; 32]),
        size: 7,
    };
    let listed = [(first.size.to_string(), other)];
    core.db.add_patches(1, 1, &listed).await.unwrap();
    Seen::default().rows_of(&core).await.unwrap();
    assert_eq!(shared().await, [false, true]);
    core.forget(vec![second]).await.unwrap();
    assert_eq!(shared().await, [false, false]);
}
