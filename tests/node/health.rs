//! What a node says of itself: what is wrong, and what it holds.

use crate::kit::{
    Config, Dht, Files, Key, Manner, Node, Origin, Request, Stage, Suite, noise, until,
};
use crate::mirrors::{named, two_origins};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const DEB: &str = "/pool/main/h/hello/hello_1_all.deb";

/// Waits until exactly this is wrong: one finding that begins so and has all of these parts.
#[track_caller]
fn until_found(node: &Node, begin: &str, parts: &[&str]) {
    let mut last = Vec::new();
    until(&format!("{begin:?}, {parts:?}"), || {
        last = node.findings();
        let [only] = &last[..] else { return false };
        only.starts_with(begin) && parts.iter().all(|part| only.contains(part))
    });
}

#[track_caller]
fn until_healthy(node: &Node) {
    until("no findings", || node.findings().is_empty());
}

#[test]
fn a_mirror_that_is_away_is_told_of_until_it_answers_again() {
    let stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    assert_eq!(stage.node.findings(), Vec::<String>::new());
    stage.origin.close();
    apt.update().expect();
    let mirror = format!(
        "degraded: Mirror {} unreachable since ",
        stage.origin.url("")
    );
    until_found(&stage.node, &mirror, &[" UTC, serving stored copies"]);
    let told = stage.node.status()["failing_mirrors"][0].take();
    assert!(told["since"].as_i64().unwrap() > 0, "{told}");
    stage.origin.open();
    until_healthy(&stage.node);
}

#[test]
fn a_mirror_that_is_away_when_new_packages_are_wanted_is_told_of() {
    let mut suite = Suite::new();
    suite.package("wanted", "1.0", &noise(1, 50_000));
    let stage = Stage::new(suite);
    stage.client().update().expect();
    stage.until_current();
    stage.origin.close();
    let wanted = stage.url(&stage.suite.pool_path("wanted"));
    stage.node.get(&wanted).expect_status(502);
    let mirror = format!(
        "degraded: Mirror {} unreachable since ",
        stage.origin.url("")
    );
    until_found(&stage.node, &mirror, &["Connection refused"]);
    stage.origin.open();
    let body = stage.suite.deb("wanted");
    stage.node.get(&wanted).expect(body);
    until_healthy(&stage.node);
}

#[test]
fn an_error_for_one_package_is_that_package_s_trouble() {
    let mut suite = Suite::new();
    suite.package("wanted", "1.0", &noise(1, 50_000));
    let stage = Stage::new(suite);
    stage.client().update().expect();
    stage.until_current();
    let path = stage.suite.pool_path("wanted");
    let broken = Manner::status(503);
    stage.origin.behave(&format!("{}/{path}", stage.at), broken);
    stage.node.get(&stage.url(&path)).expect_status(502);
    assert_eq!(stage.node.findings(), Vec::<String>::new());
    assert_eq!(stage.node.status()["failing_mirrors"], json!([]));
    let inrelease = format!("{}InRelease", stage.suite.folder());
    let asked = stage.hits(&inrelease);
    stage.get("InRelease").expect(stage.bytes("InRelease"));
    assert_eq!(
        stage.hits(&inrelease),
        asked + 1,
        "it was asked nevertheless"
    );
}

#[test]
fn a_mirror_that_lags_behind_is_asked_again_and_told_of_when_it_goes_on() {
    let mut suite = Suite::new();
    suite.dated(SystemTime::now() - Duration::from_hours(2));
    let mut stage = Stage::new(suite);
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    let old = stage.shown.clone();
    stage
        .suite
        .dated(SystemTime::now() - Duration::from_hours(1));
    stage.advance();
    apt.update().expect();
    stage.until_current();
    let new = stage.shown.clone();
    stage.show(&old);
    stage.get("InRelease").expect_status(200);
    until("another question", || {
        let row = stage.row().unwrap();
        let at = stage.node.status()["at"].as_i64().unwrap();
        let minutes = |key: &str| row[key].as_i64().map(|time| (time - at) / 60_000);
        let soon = minutes("next_check_at").is_some_and(|next| (6..13).contains(&next));
        soon && minutes("older_since") == Some(0)
    });
    assert_eq!(stage.node.findings(), Vec::<String>::new());
    stage
        .node
        .sql("UPDATE suite SET older_since = older_since - 4 * 3600 * 1000");
    until_found(
        &stage.node,
        "degraded: The mirror of stable",
        &["has sent an older Release"],
    );
    stage.show(&new);
    stage.get("InRelease").expect_status(200);
    until_healthy(&stage.node);
}

#[test]
fn a_host_that_nobody_knows_is_no_mirror_that_fails() {
    let stage = Stage::new(Suite::new());
    stage.origin.close();
    let mistyped = stage.url("pool/main/x/x/x_1_all.deb");
    stage.node.get(&mistyped).expect_status(502);
    assert_eq!(stage.node.findings(), Vec::<String>::new());
}

#[test]
fn a_mirror_with_a_stand_in_is_told_of() {
    let (node, first, _second, body) = two_origins();
    first.behave_all(Manner::status(503));
    node.get(&named()).expect(&body);
    let mirror = format!("degraded: Mirror {} unreachable since ", first.url(""));
    until_found(&node, &mirror, &["asking its stand-ins", "503"]);
}

#[test]
fn a_signature_that_is_refused_is_told_of_until_a_good_one_comes() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    let mut next = stage.suite.publish();
    Files::tamper(&mut next);
    stage.show(&next);
    apt.update().expect();
    let folder = stage.index_url("");
    let refused = format!("degraded: Signature of {folder}InRelease refused at ");
    until_found(
        &stage.node,
        &refused,
        &["the generation before stays in use"],
    );
    stage.advance();
    apt.update().expect();
    until_healthy(&stage.node);
}

#[test]
fn where_nothing_is_in_use_a_refused_signature_is_grave() {
    let config = Config {
        verify: Some("require"),
        ..Config::default()
    };
    let mut suite = Suite::new();
    suite.sign_by(&[Key::other()]);
    let stage = Stage::with(suite, config);
    stage.get("InRelease").expect_status(502);
    let refused = format!(
        "failing: Signature of {}InRelease refused at ",
        stage.index_url("")
    );
    until_found(&stage.node, &refused, &[]);
}

#[test]
fn a_clock_that_differs_from_the_mirrors_is_told_of() {
    let origin = Origin::start();
    origin.put(DEB, b"hello");
    let node = Node::start();
    let ask = || node.ask(&Request::get(&origin.url("/none")));
    origin.behave_all(Manner::good().clock(-3600));
    ask().expect_status(404);
    until_found(
        &node,
        "degraded: Clock is wrong",
        &["1h ahead of the clocks"],
    );
    // Another answer is of the right time.
    origin.behave_all(Manner::good().clock(0));
    ask().expect_status(404);
    until_healthy(&node);
    let node = Node::start();
    origin.behave_all(Manner::good().clock(3600));
    node.get(&origin.url(DEB)).expect(b"hello");
    until_found(&node, "degraded: Clock is wrong", &["1h behind the clocks"]);
}

#[test]
fn a_disk_without_room_is_told_of() {
    let origin = Origin::start();
    origin.put(DEB, b"hello");
    let node = Node::with(Config {
        min_free: "1000000GiB".to_owned(),
        ..Config::default()
    });
    node.get(&origin.url(DEB)).expect(b"hello");
    until_found(
        &node,
        "degraded: Disk is nearly full",
        &["new files may not be kept"],
    );
    assert!(node.number("/cache/free_bytes") > 0);
    assert_eq!(node.number("/cache/files"), 0);
}

#[test]
fn the_largest_and_the_latest_files_are_told() {
    let origin = Origin::start();
    let node = Node::start();
    let path = |number: usize| format!("/pool/f{number}_1_all.deb");
    let sizes = [5, 900, 20, 700, 40, 600, 1, 800, 3, 500, 30, 400];
    for (number, size) in sizes.into_iter().enumerate() {
        let body = noise(number as u64, size * 100);
        origin.put(&path(number), &body);
        node.get(&origin.url(&path(number))).expect(&body);
        node.settle(&origin.url(&path(number)));
    }
    let cache = node.status()["cache"].take();
    let urls = |of: &str| -> Vec<String> {
        let files = cache[of].as_array().unwrap().iter();
        files
            .map(|file| file["url"].as_str().unwrap().to_owned())
            .collect()
    };
    let named = |numbers: &[usize]| -> Vec<String> {
        let numbers = numbers.iter();
        numbers.map(|number| origin.url(&path(*number))).collect()
    };
    assert_eq!(urls("largest"), named(&[1, 7, 3, 5, 9, 11, 4, 10, 2, 0]));
    assert_eq!(urls("latest"), named(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]));
    assert_eq!(cache["largest"][0]["bytes"], 90_000);
    assert!(
        cache["eviction_age_seconds"].as_u64().unwrap() < 60,
        "{cache}"
    );
    assert!(cache["latest"][0]["added_at"].as_u64() > cache["latest"][9]["added_at"].as_u64());
}

#[test]
fn a_suite_says_when_it_was_taken_up_and_asked_and_will_be() {
    let stage = Stage::new(Suite::new());
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    let row = stage.row().unwrap();
    let now = stage.node.status()["at"].as_i64().unwrap();
    for key in ["taken_up_at", "asked_at"] {
        let at = row[key].as_i64().unwrap();
        assert!((now - 60_000..=now).contains(&at), "{key} in {row}");
    }
    assert_eq!(row["next_check_at"], Value::Null, "{row}");
    stage.origin.close();
    apt.update().expect();
    until("another question", || {
        let row = stage.row().unwrap();
        row["next_check_at"].is_i64() && row["last_error"].is_string()
    });
}

#[test]
fn a_download_tells_its_speed() {
    let origin = Origin::start();
    let body = noise(7, 4_000_000);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().pace(400_000));
    let node = Node::start();
    let mut client = node.connect();
    client.send(&Request::get(&origin.url(DEB))).unwrap();
    until("a speed near that of the origin", || {
        let status = node.status();
        let download = &status["downloads"][0];
        let speed = download["bytes_per_second"].as_u64().unwrap_or_default();
        (200_000..600_000).contains(&speed) && download["piece_size"] == 524_288
    });
}

#[test]
fn nobody_who_answers_is_told_of() {
    let node = Node::with(Config::from(Dht::default()));
    let dht = node.status()["dht"].take();
    assert_eq!(dht["buckets"], Value::Array(Vec::new()), "{dht}");
    assert_eq!(dht["reachable"], Value::Null, "{dht}");
    // Without anybody to join through it is no fault.
    assert_eq!(node.findings(), Vec::<String>::new());
}
