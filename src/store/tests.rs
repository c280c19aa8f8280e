//! Bodies on their way in, on a real disk.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::disk::{Disk, Temp};
use super::flight::{Flights, State};
use super::growing::{Break, Came, End, Growing, ReadError};
use super::hot::Described;
use super::incoming::{Incoming, WriteError};
use super::mapped::MappedFile;
use crate::debian::digest::Digest;
use crate::validators::Validators;

struct Ground {
    _folder: tempfile::TempDir,
    temp: Temp,
    growing: Arc<Growing>,
}

fn ground(total: Option<u64>) -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(folder.path()).unwrap());
    let temp = Temp::new(&disk);
    let described = Described::new(&Validators::default());
    let growing = Growing::new(described, total, MappedFile::new(temp.create().unwrap()));
    Ground {
        _folder: folder,
        temp,
        growing,
    }
}

async fn read_all(growing: &Arc<Growing>, start: u64) -> Result<Vec<u8>, ReadError> {
    let (mut reader, mut bytes) = (growing.reader(start, None), Vec::new());
    while let Some(frame) = reader.next().await? {
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}

#[tokio::test]
async fn the_last_byte_is_kept_back_until_the_body_is_noted_and_proved() {
    let ground = ground(Some(5));
    let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
    incoming.push(Bytes::from_static(b"hello")).await;
    let received = incoming.finish_if(true).await.unwrap();
    assert_eq!(received.size, 5);
    assert_eq!(ground.growing.progress().len, 0, "not even noted");
    ground.growing.noted();
    assert_eq!(ground.growing.progress().len, 4);
    ground.growing.proved();
    assert_eq!(read_all(&ground.growing, 1).await.unwrap(), b"ello");
}

#[tokio::test]
async fn a_second_coming_must_bring_the_same_bytes() {
    for (again, right) in [
        ("hello world", true),
        ("hellO world", false),
        ("hel", false),
    ] {
        let ground = ground(None);
        let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
        incoming.push(Bytes::from_static(b"hello ")).await;
        incoming.rewind().await;
        for byte in again.bytes() {
            incoming.push(Bytes::from(vec![byte])).await;
        }
        match incoming.finish_if(true).await {
            Ok(received) => assert!(right && received.size == 11, "{again}"),
            Err(WriteError::Changed) => assert!(!right, "{again}"),
            Err(other) => panic!("{again}: {other}"),
        }
    }
}

#[tokio::test]
async fn more_than_was_announced_is_refused() {
    let ground = ground(Some(3));
    let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
    incoming.push(Bytes::from_static(b"four")).await;
    assert!(matches!(
        incoming.finish_if(true).await,
        Err(WriteError::TooLong(3))
    ));
}

#[tokio::test]
async fn a_name_that_holds_another_hash_is_told() {
    for named in [
        Digest::Sha1([0; 20]),
        Digest::Sha256([0; 32]),
        Digest::Sha512([0; 64]),
    ] {
        let ground = ground(None);
        let incoming = Incoming::start(Arc::clone(&ground.growing), Some(named), false);
        incoming.push(Bytes::from_static(b"x")).await;
        assert!(!incoming.finish_if(true).await.unwrap().as_vouched);
    }
}

#[tokio::test]
async fn readers_of_a_broken_body_get_what_there_is_and_then_the_break() {
    let ground = ground(None);
    let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
    incoming.push(Bytes::from_static(b"half")).await;
    let mut reader = ground.growing.reader(0, None);
    assert_eq!(reader.next().await.unwrap().unwrap(), "half");
    ground.growing.end(End::Broken(Break::StoreFull));
    ground.growing.end(End::Whole);
    let broken = reader.next().await;
    assert!(
        matches!(broken, Err(ReadError::Broken(Break::StoreFull))),
        "the first word holds"
    );
    assert_eq!(reader.at(), 4);
}

#[tokio::test]
async fn a_body_comes_to_its_place_or_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(folder.path()).unwrap());
    let kept = Temp::new(&disk);
    std::fs::write(disk.temp_path(kept.name()), "x").unwrap();
    kept.keep(&[7; 32]).unwrap();
    let dropped = Temp::new(&disk);
    dropped.create().unwrap();
    drop(dropped);
    assert!(disk.temps(i64::MAX).unwrap().is_empty());
    assert!(disk.body(&[7; 32], 1).unwrap().is_some());
    assert!(
        disk.body(&[7; 32], 2).unwrap().is_none(),
        "another length is not it"
    );
    disk.remove_body(&[7; 32]);
    assert!(disk.body(&[7; 32], 1).unwrap().is_none());
    assert!(Disk::open(folder.path()).is_err(), "held by this process");
}

const TOTAL: u64 = 1_000_000;

async fn parts(ground: &Ground, parts: &[(u64, &'static str)]) -> Incoming {
    let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
    for (at, bytes) in parts {
        incoming
            .push_part(*at, Bytes::from_static(bytes.as_bytes()), Came::Peers)
            .await;
    }
    incoming.settled().await;
    incoming
}

/// What a reader gets from there on, as far as it need not wait.
fn there(growing: &Arc<Growing>, start: u64) -> Vec<u8> {
    let (mut reader, mut bytes) = (growing.reader(start, None), Vec::new());
    while let Some(Ok(Some(frame))) = reader.next().now_or_never() {
        bytes.extend_from_slice(&frame);
    }
    bytes
}

#[tokio::test]
async fn what_is_there_is_read_whatever_is_missing_before_it() {
    let ground = ground(Some(TOTAL));
    let growing = &ground.growing;
    let _incoming = parts(
        &ground,
        &[(500_000, "world"), (100, "hello "), (106, "there")],
    )
    .await;
    assert_eq!(growing.progress().len, 0);
    assert_eq!(growing.written(), 16);
    assert_eq!(there(growing, 500_001), b"orld");
    assert_eq!(there(growing, 100), b"hello there");
    assert_eq!(there(growing, 99), b"");
}

#[tokio::test]
async fn bytes_are_whose_who_brought_them_first() {
    let ground = ground(Some(TOTAL));
    let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
    let parts = [
        (0, 40, Came::Mirror),
        (20, 100, Came::Peers),
        (90, 120, Came::Mirror),
        (0, 130, Came::Peers),
    ];
    for (from, to, came) in parts {
        let bytes = Bytes::from(vec![7; to - from]);
        incoming.push_part(from as u64, bytes, came).await;
    }
    incoming.settled().await;
    let whence = ground.growing.whence();
    assert_eq!(whence.from_peers(0, TOTAL), 60 + 10);
    assert_eq!(whence.from_peers(30, 50), 10);
    for (start, end, from_peers) in [(0, 130, 70), (39, 42, 2), (95, 125, 10), (100, 120, 0)] {
        let mut reader = ground.growing.reader(start, Some(end));
        let frame = reader.next().await.unwrap().unwrap();
        assert_eq!(reader.from_peers(frame.len() as u64), from_peers);
    }
}

#[tokio::test]
async fn who_waits_beyond_the_front_is_woken_by_the_part_that_comes() {
    let ground = ground(Some(TOTAL));
    let incoming = parts(&ground, &[(500_000, "hello")]).await;
    let growing = Arc::clone(&ground.growing);
    let begun = tokio::spawn(async move { growing.begun(500_007).await });
    let mut reader = ground.growing.reader(500_000, Some(500_010));
    let waiting = tokio::spawn(async move {
        let mut bytes = Vec::new();
        while let Some(frame) = reader.next().await.unwrap() {
            bytes.extend_from_slice(&frame);
        }
        bytes
    });
    tokio::task::yield_now().await;
    incoming
        .push_part(500_005, Bytes::from_static(b" world"), Came::Peers)
        .await;
    assert_eq!(waiting.await.unwrap(), b"hello worl");
    begun.await.unwrap();
}

#[tokio::test]
async fn the_last_byte_of_a_part_at_the_end_is_kept_back_as_well() {
    let ground = ground(Some(TOTAL));
    let growing = &ground.growing;
    let _incoming = parts(&ground, &[(TOTAL - 5, "hello")]).await;
    assert_eq!(there(growing, TOTAL - 5), b"");
    growing.noted();
    assert_eq!(there(growing, TOTAL - 5), b"hell");
    let mut reader = growing.reader(TOTAL - 1, None);
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    growing.proved();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap(), "o");
}

#[tokio::test]
async fn of_a_body_that_is_held_no_part_is_shown() {
    let ground = ground(Some(TOTAL));
    let growing = &ground.growing;
    growing.hold();
    let _incoming = parts(&ground, &[(100, "hello")]).await;
    assert_eq!(there(growing, 100), b"");
    growing.unhold();
    assert_eq!(there(growing, 100), b"hello");
}

#[tokio::test]
async fn who_waits_for_a_part_of_a_broken_body_is_told() {
    let ground = ground(Some(TOTAL));
    let _incoming = parts(&ground, &[(100, "hello")]).await;
    let mut reader = ground.growing.reader(103, None);
    assert_eq!(reader.next().await.unwrap().unwrap(), "lo");
    ground.growing.end(End::Broken(Break::Wrong));
    let broken = reader.next().await;
    assert!(matches!(broken, Err(ReadError::Broken(Break::Wrong))));
}

#[test]
fn a_flight_keeps_the_latest_ranges_in_mind() {
    let flights = Flights::<State>::default();
    let (flight, _) = flights.join("a");
    for start in (0..20).chain([19, 15]) {
        flight.want((start, None));
    }
    let starts: Vec<_> = flight.wanted().iter().map(|range| range.0).collect();
    assert_eq!(starts, [12, 13, 14, 16, 17, 18, 19, 15]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_chunks_are_read_as_they_were_written(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 1..12),
        start in 0_usize..3000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let body: Vec<u8> = chunks.concat();
        let start = start.min(body.len());
        let read = runtime.block_on(async {
            let ground = ground(Some(body.len() as u64));
            let growing = Arc::clone(&ground.growing);
            let reader = tokio::spawn(async move { read_all(&growing, start as u64).await });
            let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
            for chunk in chunks {
                incoming.push(Bytes::from(chunk)).await;
            }
            incoming.finish_if(true).await.unwrap();
            ground.growing.noted();
            ground.growing.proved();
            ground.temp.create().unwrap_err();
            reader.await.unwrap()
        });
        prop_assert_eq!(read.unwrap(), &body[start..]);
    }

    #[test]
    fn any_parts_are_read_as_they_were_written(
        body in proptest::collection::vec(any::<u8>(), 1..5000),
        cuts in proptest::collection::vec((0_usize..5000, 1_usize..2000), 0..20),
        start in 0_usize..5000,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let start = start.min(body.len() - 1);
        let read = runtime.block_on(async {
            let ground = ground(Some(body.len() as u64));
            let growing = Arc::clone(&ground.growing);
            let reader = tokio::spawn(async move { read_all(&growing, start as u64).await });
            let incoming = Incoming::start(Arc::clone(&ground.growing), None, false);
            ground.growing.noted();
            for (from, length) in cuts.into_iter().chain([(0, body.len())]) {
                let from = from.min(body.len());
                let to = (from + length).min(body.len());
                incoming.push_part(from as u64, Bytes::copy_from_slice(&body[from..to]), Came::Peers).await;
            }
            let received = incoming.finish_if(true).await.unwrap();
            assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest(&body)));
            ground.growing.proved();
            reader.await.unwrap()
        });
        prop_assert_eq!(read.unwrap(), &body[start..]);
    }
}
