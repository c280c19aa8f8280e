//! One client, one generation; and which generations are taken up.

use crate::kit::{
    Client, Files, Manner, Packing, Request, STALE_WITHIN, Signing, Stage, Suite, until,
};
use std::time::{Duration, SystemTime};

const PACKAGES: &str = "main/binary-amd64/Packages.xz";

fn xz() -> Suite {
    Suite::new().packings(&[Packing::Xz])
}

/// Asks on this connection for an index by path.
#[track_caller]
fn ask(client: &mut Client, request: &Request) -> Vec<u8> {
    client.ask(request).unwrap().expect_status(200).body
}

#[test]
fn two_connections_of_one_ip_have_a_generation_each() {
    for by_hash in [true, false] {
        let mut stage = Stage::new(Suite::new().by_hash(by_hash));
        let first = stage.shown.clone();
        let mut old = stage.node.connect();
        let mut new = stage.node.connect();
        let release = stage.ask("InRelease");
        assert_eq!(ask(&mut old, &release), stage.bytes("InRelease"));
        stage.advance();
        assert_eq!(ask(&mut new, &release), stage.bytes("InRelease"));

        let packages = stage.ask(PACKAGES);
        let path = format!("dists/stable/{PACKAGES}");
        for _ in 0..2 {
            let shown = ask(&mut old, &packages);
            assert!(
                shown == first.get(&path),
                "the first client, by hash {by_hash}"
            );
            let shown = ask(&mut new, &packages);
            assert!(
                shown == stage.bytes(PACKAGES),
                "the second client, by hash {by_hash}"
            );
        }
        if by_hash {
            // What nobody asked for yet is to be had by hash.
            let other = "main/binary-amd64/Packages.gz";
            let shown = ask(&mut old, &stage.ask(other));
            assert!(shown == first.get(&format!("dists/stable/{other}")), "gz");
        }
        assert_eq!(ask(&mut old, &release), stage.bytes("InRelease"));
        assert_eq!(ask(&mut old, &packages), stage.bytes(PACKAGES));
    }
}

#[test]
fn a_client_that_comes_again_on_another_connection_goes_on_with_its_generation() {
    let mut stage = Stage::new(xz().by_hash(false));
    let first = stage.shown.clone();
    let from = |stage: &Stage, host: u8, below: &str| {
        let client = Client::connect_from([127, 0, 0, host], stage.node.port());
        ask(&mut client.unwrap(), &stage.ask(below))
    };
    from(&stage, 2, "InRelease");
    stage.advance();
    assert_eq!(from(&stage, 3, "InRelease"), stage.bytes("InRelease"));
    let path = format!("dists/stable/{PACKAGES}");
    assert!(
        from(&stage, 2, PACKAGES) == first.get(&path),
        "127.0.0.2 was given the first"
    );
    assert!(
        from(&stage, 3, PACKAGES) == stage.bytes(PACKAGES),
        "127.0.0.3 was given the second"
    );
}

#[test]
fn a_client_whose_release_is_unchanged_goes_on_with_it() {
    let mut stage = Stage::new(xz().by_hash(false));
    let first = stage.shown.clone();
    let release = stage.get("InRelease").expect_status(200);
    let date = release.header("Last-Modified").unwrap();
    let mut old = stage.node.connect();
    let unchanged = stage.ask("InRelease").header("If-Modified-Since", date);
    old.ask(&unchanged).unwrap().expect_status(304);
    stage.advance();
    stage.get("InRelease").expect(stage.bytes("InRelease"));
    let shown = ask(&mut old, &stage.ask(PACKAGES));
    assert!(shown == first.get(&format!("dists/stable/{PACKAGES}")));
}

#[test]
fn a_client_goes_on_with_its_generation_after_a_restart() {
    let mut stage = Stage::new(xz().by_hash(false));
    let first = stage.shown.clone();
    let from = |stage: &Stage, host: u8, below: &str| {
        let client = Client::connect_from([127, 0, 0, host], stage.node.port());
        ask(&mut client.unwrap(), &stage.ask(below))
    };
    from(&stage, 2, "InRelease");
    stage.advance();
    assert_eq!(from(&stage, 3, "InRelease"), stage.bytes("InRelease"));
    stage.node.stop();
    stage.node.launch();
    let path = format!("dists/stable/{PACKAGES}");
    assert!(from(&stage, 2, PACKAGES) == first.get(&path));
    assert!(from(&stage, 3, PACKAGES) == stage.bytes(PACKAGES));
}

#[test]
fn a_client_without_inrelease_gets_what_is_current() {
    let mut stage = Stage::new(xz().by_hash(false));
    stage.get("InRelease").expect_status(200);
    stage.advance();
    stage.get("InRelease").expect(stage.bytes("InRelease"));
    let stranger = Client::connect_from([127, 0, 0, 9], stage.node.port());
    let shown = ask(&mut stranger.unwrap(), &stage.ask(PACKAGES));
    assert!(shown == stage.bytes(PACKAGES));
}

#[test]
fn release_and_its_signature_are_of_one_generation() {
    for by_hash in [true, false] {
        let mut stage = Stage::new(xz().by_hash(by_hash).signing(Signing::Detached));
        let mut old = stage.node.connect();
        let mut new = stage.node.connect();
        let [release, signature] = ["Release", "Release.gpg"].map(|name| stage.ask(name));
        let inline = old.ask(&stage.ask("InRelease")).unwrap();
        inline.expect_status(404);
        let first = stage.shown.clone();
        assert_eq!(ask(&mut old, &release), stage.bytes("Release"));
        stage.advance();
        assert_eq!(ask(&mut new, &release), stage.bytes("Release"));
        let old = ask(&mut old, &signature);
        assert!(
            old == first.get("dists/stable/Release.gpg"),
            "by hash {by_hash}"
        );
        let new = ask(&mut new, &signature);
        assert!(new == stage.bytes("Release.gpg"), "by hash {by_hash}");
    }
}

/// A generation that is not whole is not taken up, and is when it is whole.
fn incomplete(by_hash: bool, what: &str, spoil: fn(&mut Files, &Files, &str)) {
    let mut stage = Stage::new(Suite::new().by_hash(by_hash));
    let apt = stage.client();
    apt.update().expect();
    let first = stage.shown.clone();
    let whole = stage.suite.publish();
    let mut part = whole.clone();
    spoil(&mut part, &first, "/Packages.");
    stage.show(&part);
    for client in [&apt, &apt, &stage.client()] {
        client.update().expect();
        let generation = client.generation(1);
        assert_eq!(generation, 1, "{what}, by hash {by_hash}");
    }
    if what == "corrupt" {
        let row = stage.until_refused("mismatch", "/binary-amd64/");
        let origin = row["origin"].as_str().unwrap_or_default();
        assert!(origin.contains(&stage.origin.host()), "{row}");
    }
    stage.show(&whole);
    until(&format!("{what}, by hash {by_hash}, then whole"), || {
        apt.update().expect();
        apt.generation(1) == 2
    });
    let other = stage.client();
    other.update().expect();
    assert_eq!(other.generation(1), 2);
}

#[test]
fn a_generation_that_lacks_an_index_waits() {
    for by_hash in [true, false] {
        incomplete(by_hash, "missing", Files::lack);
    }
}

#[test]
fn a_generation_with_an_old_index_waits() {
    for by_hash in [true, false] {
        incomplete(by_hash, "old", Files::lag);
    }
}

#[test]
fn a_generation_with_a_corrupt_index_waits() {
    for by_hash in [true, false] {
        incomplete(by_hash, "corrupt", Files::rot);
    }
}

#[test]
fn a_generation_whose_index_does_not_come_keeps_nobody_waiting() {
    for by_hash in [true, false] {
        let mut stage = Stage::new(xz().by_hash(by_hash));
        let apt = stage.client();
        apt.update().expect();
        let first = stage.shown.clone();
        let next = stage.suite.publish();
        for path in next.since(&first, "/Packages.") {
            let path = format!("/debian/{path}");
            stage.origin.behave(&path, Manner::silent());
        }
        stage.show(&next);
        let answer = stage.get("InRelease");
        assert!(
            answer.took < STALE_WITHIN,
            "{:?}, by hash {by_hash}",
            answer.took
        );
        answer.expect(first.get("dists/stable/InRelease"));
        apt.update().expect();
        assert_eq!(apt.generation(1), 1, "by hash {by_hash}");
    }
}

#[test]
fn a_page_in_place_of_a_release_changes_nothing() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    let first = stage.shown.clone();
    let mut page = first.clone();
    page.put(
        "dists/stable/InRelease",
        b"<html><h1>Log in to the hotel's network</h1></html>",
    );
    stage.show(&page);
    for client in [&apt, &stage.client()] {
        client.update().expect();
        assert_eq!(client.generation(1), 1);
    }
    stage.until_refused("malformed", "/dists/stable/InRelease");
    stage
        .get("InRelease")
        .expect(first.get("dists/stable/InRelease"));
    stage.advance();
    until("the next generation", || {
        apt.update().expect();
        apt.generation(1) == 2
    });
}

#[test]
fn an_older_release_is_not_taken_up() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    let first = stage.shown.clone();
    let month = Duration::from_hours(30 * 24);
    stage.suite.dated(SystemTime::now() - month);
    stage.advance();
    for client in [&apt, &stage.client()] {
        client.update().expect();
        assert_eq!(client.generation(1), 1);
    }
    stage.until_refused("older", "/dists/stable/InRelease");
    stage
        .get("InRelease")
        .expect(first.get("dists/stable/InRelease"));
    stage.advance();
    stage.get("InRelease").expect(stage.bytes("InRelease"));
}

#[test]
fn the_status_shows_what_the_rows_hold() {
    let mut stage = Stage::new(Suite::new().two_components());
    stage.client().update().expect();
    stage.advance();
    stage.client().update().expect();
    stage.until_current();
    let row = stage.row().expect("no row of the suite");
    assert_eq!(row["suite"], "stable", "{row}");
    assert_eq!(row["codename"], "stable", "{row}");
    assert_eq!(row["generations"], 2, "{row}");
    assert_eq!(row["packages"], stage.suite.count(), "{row}");
    assert!(row["date"].is_string() || row["date"].is_number(), "{row}");
    assert!(row["valid_until"].is_null(), "{row}");
    assert!(stage.node.number("/index/releases") >= 1);
    // Two indexes, each unpacked, as xz and as gz.
    assert!(stage.node.number("/index/index_files") >= 6);
    assert_eq!(stage.node.number("/index/patches"), 0);
}
