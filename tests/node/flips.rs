//! The upstream goes from one generation to the next between any two requests, and no client ever
//! sees two of them mixed.

use crate::kit::{Apt, Diffs, Files, Hash, Key, Packing, Signing, Stage, Suite, noise, until};
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

/// No update makes a node ask its upstream so often.
const MOST: usize = 60;

fn suite() -> Suite {
    Suite::new().two_components().packings(&[Packing::Xz])
}

/// What a client has that knows the suite: the node can have fetched all of it before.
fn known() -> Suite {
    suite().sources()
}

/// How a client asks.
#[derive(Clone, Copy)]
enum Way {
    /// As apt does by itself: by hash where that is offered.
    Usual,
    /// Never by hash.
    ByPath,
    /// Through the prefix form of URLs.
    Prefix,
}

use Way::{ByPath, Prefix, Usual};

fn client(stage: &Stage, way: Way) -> Apt {
    let apt = stage.client();
    match way {
        Usual => apt,
        ByPath => {
            apt.add_config("Acquire::By-Hash \"no\";");
            apt
        }
        Prefix => {
            let url = format!("{}{}", stage.node.url(), stage.origin.prefixed(&stage.at));
            let lines = stage.suite.source_lines(&url);
            Apt::new(&Key::good().file(), &lines, None)
        }
    }
}

/// Updates, with the moment of the flip in the failure; the generation must be one of these.
#[track_caller]
fn update(stage: &Stage, apt: &Apt, wanted: RangeInclusive<u64>, moment: &str) {
    let ran = apt.update();
    let clean = ran.ok && !ran.text.contains("W: ") && !ran.text.contains("Err:");
    let asked: Vec<_> = stage.origin.all_seen();
    let asked: Vec<_> = asked
        .iter()
        .map(|seen| (&seen.path, seen.answered))
        .collect();
    assert!(
        clean,
        "{moment}: {}\nthe origin was asked {asked:#?}",
        ran.text
    );
    let generation = apt.generation(stage.suite.indexes());
    assert!(
        wanted.contains(&generation),
        "{moment}: generation {generation}, not {wanted:?}"
    );
}

/// The newest generation is there when the flips are over.
#[track_caller]
fn settles(stage: &Stage, apt: &Apt, moment: &str) {
    until(&format!("{moment}: the newest generation"), || {
        apt.update().expect();
        apt.generation(stage.suite.indexes()) == stage.suite.number()
    });
}

/// A new client, an archive the node never saw, and a flip after every possible request.
fn cold(suite: Suite, way: Way) {
    let mut stage = Stage::new(suite);
    for requests in 1.. {
        assert!(requests < MOST, "an update asks for more than {MOST} files");
        stage.move_to(&format!("/cold{requests}"));
        let [first, second] = [stage.suite.publish(), stage.suite.publish()];
        let newest = stage.suite.number();
        stage.show(&first);
        stage.origin.forget();
        stage.origin.show_after(requests, &stage.at, &second);
        let apt = client(&stage, way);
        let moment = format!("cold, a flip after request {requests}");
        update(&stage, &apt, newest - 1..=newest, &moment);
        let over = stage.origin.show_now();
        if over || requests % 3 == 1 {
            settles(&stage, &apt, &moment);
        }
        if over {
            return;
        }
    }
}

/// Node and client know the archive; it is a generation further, and goes one further yet.
fn warm(suite: Suite, way: Way) {
    let mut stage = Stage::new(suite);
    let apt = client(&stage, way);
    apt.update().expect();
    let mut last = 1;
    for requests in 1.. {
        assert!(requests < MOST, "an update asks for more than {MOST} files");
        let whole = stage.advance();
        let next = stage.suite.publish();
        stage.origin.forget();
        stage.origin.show_after(requests, &stage.at, &next);
        let moment = format!("warm, a flip after request {requests}");
        update(&stage, &apt, last..=whole + 1, &moment);
        last = apt.generation(stage.suite.indexes());
        if stage.origin.show_now() {
            assert_eq!(last, whole, "warm, no flip at all");
            return settles(&stage, &apt, &moment);
        }
    }
}

/// The upstream shows something else after every single request.
fn restless(suite: Suite, way: Way) {
    let mut stage = Stage::new(suite);
    let apt = client(&stage, way);
    apt.update().expect();
    for _ in 0..12 {
        let next = stage.suite.publish();
        stage.origin.show_after(1, &stage.at, &next);
    }
    let newest = stage.suite.number();
    for run in 0..3 {
        let moment = format!("restless, update {run}");
        update(&stage, &apt, 1..=newest, &moment);
    }
    stage.origin.show_now();
    settles(&stage, &apt, "restless");
}

#[test]
fn by_hash() {
    cold(suite(), Usual);
    warm(known(), Usual);
}

#[test]
fn by_hash_where_the_upstream_drops_old_hashes_at_once() {
    warm(known().keep(0), Usual);
}

#[test]
fn without_by_hash() {
    cold(suite().by_hash(false), Usual);
    warm(known().by_hash(false), Usual);
}

#[test]
fn by_another_hash() {
    let hashes = [Hash::Sha256, Hash::Sha512];
    cold(suite().hashes(&hashes), Usual);
    warm(known().hashes(&hashes).keep(0), Usual);
    warm(known().hashes(&[Hash::Sha512]), Usual);
}

#[test]
fn by_prefix() {
    cold(suite().by_hash(false), Prefix);
    warm(known(), Prefix);
}

#[test]
fn a_flat_repository() {
    cold(Suite::flat(), Usual);
    warm(Suite::flat(), Usual);
}

#[test]
fn by_hash_offered_to_a_client_that_wants_none() {
    cold(suite(), ByPath);
    warm(known(), ByPath);
}

#[test]
fn by_hash_offered_to_a_client_that_wants_none_and_dropped_at_once() {
    warm(known().keep(0), ByPath);
}

#[test]
fn release_and_its_signature_apart() {
    cold(suite().signing(Signing::Detached), Usual);
    warm(known().signing(Signing::Detached), Usual);
}

#[test]
fn release_and_its_signature_apart_without_by_hash() {
    cold(suite().signing(Signing::Detached).by_hash(false), Usual);
    warm(known().signing(Signing::Detached).by_hash(false), Usual);
}

#[test]
fn with_patches() {
    for kind in [Diffs::Chained, Diffs::Merged] {
        warm(Suite::new().sources().diffs(kind), Usual);
    }
}

#[test]
fn with_patches_without_by_hash() {
    let suite = Suite::new().sources().by_hash(false);
    warm(suite.diffs(Diffs::Merged), Usual);
}

#[test]
fn after_every_single_request() {
    restless(known(), Usual);
    restless(known().keep(0), ByPath);
    restless(known().by_hash(false), Usual);
    restless(known().signing(Signing::Detached).by_hash(false), Usual);
}

/// Clients in threads, each with an update after the other, while the upstream goes on at moments
/// that the seed decides.
fn crowd(suite: Suite, ways: &[Way], seed: u64) {
    const GENERATIONS: usize = 8;
    let mut stage = Stage::new(suite);
    let later: Vec<Files> = (0..GENERATIONS).map(|_| stage.suite.publish()).collect();
    let newest = stage.suite.number();
    let pauses = noise(seed, GENERATIONS);
    let clients: Vec<_> = ways.iter().map(|way| client(&stage, *way)).collect();
    let stage = &stage;
    thread::scope(|scope| {
        scope.spawn(|| {
            for (files, pause) in later.iter().zip(pauses) {
                thread::sleep(Duration::from_millis(u64::from(pause)));
                stage.origin.show(&stage.at, files);
            }
        });
        for (number, apt) in clients.iter().enumerate() {
            scope.spawn(move || {
                let mut last = 1;
                for run in 0..6 {
                    let moment = format!("seed {seed}, client {number}, update {run}");
                    update(stage, apt, last..=newest, &moment);
                    last = apt.generation(stage.suite.indexes());
                }
            });
        }
    });
    for apt in &clients {
        settles(stage, apt, "the crowd");
    }
}

#[test]
fn under_a_crowd_by_hash() {
    crowd(suite(), &[Usual, Prefix], 1);
    crowd(suite(), &[Usual, ByPath, Usual], 2);
}

#[test]
fn under_a_crowd_without_by_hash() {
    crowd(suite().by_hash(false), &[Usual, Prefix], 3);
    crowd(suite().by_hash(false), &[Usual; 3], 4);
}

#[test]
fn under_a_crowd_that_wants_no_by_hash() {
    crowd(suite(), &[ByPath, ByPath], 5);
    crowd(suite(), &[ByPath; 3], 6);
}

#[test]
fn under_a_crowd_with_patches() {
    crowd(suite().diffs(Diffs::Merged), &[Usual, Prefix, ByPath], 7);
    crowd(suite().diffs(Diffs::Chained), &[Usual; 3], 8);
}
