//! What an index says of a file is what the file is: every source is checked, and only the index
//! can replace a file.

use crate::kit::{Apt, Archive, Manner, Node, Origin, Request, Stage, Suite, noise, until};
use std::time::{Duration, Instant};

/// Waits for a mismatch in the status that names this file and this origin.
#[track_caller]
fn until_blamed(node: &Node, file: &str, origin: &Origin) {
    let mut last = serde_json::Value::Null;
    let blamed = crate::kit::within(crate::kit::PATIENCE, || {
        last = node.status()["index"]["refusals"].take();
        let rows = last.as_array().into_iter().flatten();
        rows.into_iter().any(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            row["kind"] == "mismatch"
                && text("url").ends_with(file)
                && text("origin").contains(&origin.host())
        })
    });
    assert!(blamed, "no mismatch of {file} at {}: {last}", origin.host());
}

/// The bytes that a corrupt origin sends for a package are nowhere on the node's disk.
#[track_caller]
fn expect_not_stored(stage: &Stage, package: &str) {
    stage.node.calm();
    let mut spoilt = stage.suite.deb(package).to_vec();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 0xFF;
    assert!(
        stage.node.copies_of(&spoilt).is_empty(),
        "{package} is stored"
    );
}

#[test]
fn a_republished_package_is_replaced_when_the_index_says_so_and_not_before() {
    for suite in [Suite::new(), Suite::new().by_hash(false), Suite::flat()] {
        let mut stage = Stage::new(suite);
        let apt = stage.client();
        apt.update().expect();
        stage.until_current();
        let path = stage.suite.pool_path("fill05");
        let url = stage.url(&path);
        let old = stage.suite.deb("fill05").to_vec();
        stage.node.get(&url).expect(&old);
        stage.node.settle(&url);
        stage.suite.package("fill05", "1.0", b"published again");
        let new = stage.suite.deb("fill05").to_vec();
        let next = stage.suite.publish();

        let mut ahead = stage.shown.clone();
        ahead.put(&path, &new);
        stage.show(&ahead);
        stage.origin.forget();
        for _ in 0..2 {
            assert!(stage.node.get(&url).expect(&old).is_hit(), "{path}");
            apt.update().expect();
        }
        assert_eq!(stage.hits(&path), 0, "the origin was asked about {path}");
        apt.download(&["fill05"]).expect();

        stage.show(&next);
        apt.update().expect();
        stage.until_current();
        stage.node.get(&url).expect(&new);
        apt.forget_debs();
        apt.download(&["fill05"]).expect();
        stage.node.settle(&url);
        assert_eq!(stage.hits(&path), 1, "{path}");
    }
}

#[test]
fn a_pool_that_lags_behind_its_index_stores_nothing_wrong() {
    let mut stage = Stage::new(Suite::new());
    let apt = stage.client();
    let path = stage.suite.pool_path("fill05");
    let old = stage.suite.deb("fill05").to_vec();
    stage.suite.package("fill05", "1.0", &noise(5, 300));
    let next = stage.suite.publish();
    let mut behind = next.clone();
    behind.put(&path, &old);
    stage.show(&behind);
    apt.update().expect();
    stage.until_current();
    let _wrong = stage.node.try_get(&stage.url(&path));
    until_blamed(&stage.node, &path, &stage.origin);
    stage.node.calm();
    assert!(stage.node.copies_of(&old).is_empty(), "stored though wrong");
    stage.show(&next);
    until("the package of the index", || apt.download(&["fill05"]).ok);
}

#[test]
fn packages_of_a_known_flat_repository_are_hits_without_a_question() {
    let stage = Stage::new(Suite::flat());
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    apt.download(&["fill05", "fill06"]).expect();
    let url = stage.url(&stage.suite.pool_path("fill05"));
    stage.node.settle(&url);
    stage.node.calm();
    stage.origin.forget();
    let other = stage.client();
    other.update().expect();
    other.download(&["fill05", "fill06"]).expect();
    let seen = stage.origin.all_seen().into_iter().map(|seen| seen.path);
    let debs: Vec<_> = seen.filter(|path| path.contains("_amd64.deb")).collect();
    assert_eq!(debs, Vec::<String>::new());
}

/// A real archive at an origin, and what its pool holds in a folder of another order.
fn imported() -> (Archive, Origin, Node, Apt) {
    let archive = Archive::new();
    let origin = Origin::start();
    origin.mirror("/debian", &archive.path("debian"));
    let node = Node::start();
    // One folder, and the names that apt's own cache has: with the epoch.
    let folder = tempfile::tempdir().unwrap();
    for (number, deb) in (0..).zip(crate::kit::files_under(&archive.path("debian/pool"))) {
        let name = format!("{number}_1%3a0_amd64.deb");
        std::fs::copy(deb, folder.path().join(name)).unwrap();
    }
    let output = node.cli(&["import", folder.path().to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let source = format!("{} stable main", origin.url("/debian"));
    let apt = Apt::new(&archive.key(), &[source], Some(&node.url()));
    (archive, origin, node, apt)
}

#[test]
fn imported_packages_answer_pool_paths_once_an_index_vouches_for_them() {
    let (archive, origin, mut node, apt) = imported();
    apt.update().expect();
    node.until_number("/index/packages", 12);
    apt.download(&["hello", "g++-odd", "libodd++6"]).expect();
    let path = format!("/debian/{}", archive.pool_path("zeta"));
    assert!(node.get(&origin.url(&path)).expect_status(200).is_hit());
    node.stop();
    node.launch();
    let path = format!("/debian/{}", archive.pool_path("eta"));
    assert!(node.get(&origin.url(&path)).expect_status(200).is_hit());
    let seen = origin.all_seen().into_iter().map(|seen| seen.path);
    let debs: Vec<_> = seen.filter(|path| path.contains("/pool/")).collect();
    assert_eq!(debs, Vec::<String>::new());
}

#[test]
fn imported_packages_answer_nothing_that_no_index_vouches_for() {
    let (archive, origin, node, _apt) = imported();
    let path = format!("/debian/{}", archive.pool_path("zeta"));
    let answer = node.get(&origin.url(&path)).expect_status(200);
    assert!(answer.is_miss(), "{:?}", answer.headers);
    assert_eq!(origin.hits(&path), 1);
}

/// A suite at two origins that are one mirror, `my-debian`.
fn two_origins(suite: Suite) -> (Stage, Origin, Apt) {
    let mut stage = Stage::new(suite);
    let second = Origin::start();
    second.show("/debian", &stage.shown);
    let upstreams = [&stage.origin, &second].map(|origin| origin.url("/debian"));
    stage.node.stop();
    let mirror = ("my-debian".to_owned(), upstreams.to_vec());
    stage.node.reconfigure(|config| config.mirrors.push(mirror));
    stage.node.launch();
    let lines = stage
        .suite
        .source_lines(&format!("{}/my-debian", stage.node.url()));
    let apt = Apt::new(&crate::kit::Key::good().file(), &lines, None);
    (stage, second, apt)
}

#[test]
fn the_second_origin_helps_when_the_first_corrupts_a_package() {
    let (stage, second, apt) = two_origins(Suite::new());
    apt.update().expect();
    stage.until_current();
    let file = stage.suite.pool_path("fill05");
    let path = format!("/debian/{file}");
    stage.origin.behave(&path, Manner::corrupt());
    apt.download(&["fill05"]).expect();
    until_blamed(&stage.node, &file, &stage.origin);
    assert_eq!((stage.origin.hits(&path), second.hits(&path)), (1, 1));
    let other = stage.node.get(&format!("/my-debian/{file}"));
    other.expect(stage.suite.deb("fill05"));
    expect_not_stored(&stage, "fill05");
}

#[test]
fn the_second_origin_helps_when_the_first_corrupts_an_index() {
    for by_hash in [true, false] {
        let (stage, second, apt) = two_origins(Suite::new().by_hash(by_hash));
        let packages = stage.shown.with("/binary-amd64/");
        for path in &packages {
            let path = format!("/debian/{path}");
            stage.origin.behave(&path, Manner::corrupt());
        }
        apt.update().expect();
        assert_eq!(apt.generation(1), 1);
        until_blamed(&stage.node, "", &stage.origin);
        let hits = packages
            .iter()
            .map(|path| second.hits(&format!("/debian/{path}")));
        assert!(hits.sum::<usize>() >= 1, "by hash {by_hash}");
    }
}

#[test]
fn the_second_origin_helps_when_the_first_has_another_generation() {
    for by_hash in [true, false] {
        let (mut stage, second, apt) = two_origins(Suite::new().by_hash(by_hash).keep(0));
        apt.update().expect();
        let next = stage.suite.publish();
        let mut mixed = next.clone();
        mixed.lag(&stage.shown, "/Packages.");
        stage.show(&mixed);
        second.show("/debian", &next);
        until(&format!("the next generation, by hash {by_hash}"), || {
            apt.update().expect();
            apt.generation(1) == 2
        });
    }
}

#[test]
fn a_second_origin_that_lags_behind_takes_nobody_back() {
    for by_hash in [true, false] {
        let (mut stage, second, apt) = two_origins(Suite::new().by_hash(by_hash));
        stage.advance();
        apt.update().expect();
        assert_eq!(apt.generation(1), 2);
        stage.origin.close();
        apt.update().expect();
        assert_eq!(apt.generation(1), 2, "by hash {by_hash}");
        let release = stage.node.get("/my-debian/dists/stable/InRelease");
        release.expect(stage.bytes("InRelease"));
        assert!(second.hits("/debian/dists/stable/InRelease") >= 1);
    }
}

#[test]
fn a_large_package_from_a_corrupt_origin_never_ends_well_for_it() {
    let mut suite = Suite::new();
    suite.package("large", "1.0", &noise(77, 12_000_000));
    let (stage, second, apt) = two_origins(suite);
    apt.update().expect();
    stage.until_current();
    let file = stage.suite.pool_path("large");
    let path = format!("/debian/{file}");
    stage.origin.behave(&path, Manner::corrupt());
    // What was sent on before the end was known cannot be taken back: one attempt may fail.
    let _may_fail = apt.download(&["large"]);
    until_blamed(&stage.node, &file, &stage.origin);
    apt.download(&["large"]).expect();
    assert!(second.hits(&path) >= 1);
    expect_not_stored(&stage, "large");
}

#[test]
fn one_corrupt_origin_leaves_nothing_wrong_behind() {
    for suite in [Suite::new(), Suite::flat()] {
        let stage = Stage::new(suite);
        let apt = stage.client();
        apt.update().expect();
        stage.until_current();
        let file = stage.suite.pool_path("fill05");
        let path = format!("/debian/{file}");
        stage.origin.behave(&path, Manner::corrupt());
        let url = stage.url(&file);
        for _ in 0..2 {
            if let Ok(answer) = stage.node.try_get(&url) {
                assert!((500..505).contains(&answer.status), "{}", answer.status);
            }
        }
        assert!(!apt.download(&["fill05"]).ok);
        until_blamed(&stage.node, &file, &stage.origin);
        expect_not_stored(&stage, "fill05");
        stage.origin.behave(&path, Manner::good());
        until("the right bytes", || apt.download(&["fill05"]).ok);
        stage.node.settle(&url);
    }
}

#[test]
fn a_file_with_a_known_hash_flows_while_it_comes() {
    for size in [30_000, 3_000_000] {
        let mut suite = Suite::new();
        suite.package("slow", "1.0", &noise(78, size));
        let stage = Stage::new(suite);
        stage.client().update().expect();
        stage.until_current();
        let path = stage.suite.pool_path("slow");
        let drip = Manner::good().drip(size / 30, Duration::from_millis(100));
        stage.origin.behave(&format!("/debian/{path}"), drip);
        let mut client = stage.node.connect();
        let asked = Instant::now();
        client.send(&Request::get(&stage.url(&path))).unwrap();
        client.head().unwrap();
        client.take(1).unwrap();
        let first = asked.elapsed();
        assert!(
            first < Duration::from_millis(900),
            "the first of {size} bytes came after {first:?} of a 3 s drip"
        );
        let rest = client.take(size + 7).unwrap();
        assert!(rest == stage.suite.deb("slow")[1..]);
    }
}

#[test]
fn a_mismatch_outlives_a_restart() {
    let mut stage = Stage::new(Suite::new());
    stage.client().update().expect();
    stage.until_current();
    let file = stage.suite.pool_path("fill05");
    let path = format!("/debian/{file}");
    stage.origin.behave(&path, Manner::corrupt());
    let _wrong = stage.node.try_get(&stage.url(&file));
    until_blamed(&stage.node, &file, &stage.origin);
    stage.node.stop();
    stage.node.launch();
    until_blamed(&stage.node, &file, &stage.origin);
}

#[test]
fn what_was_stored_before_its_index_was_known_is_checked_against_it() {
    let mut stage = Stage::new(Suite::new());
    let file = stage.suite.pool_path("fill05");
    let right = stage.shown.get(&file).to_vec();
    let mut wrong = stage.shown.clone();
    wrong.spoil(&file);
    stage.show(&wrong);
    let url = stage.url(&file);
    // Nothing says yet that these bytes are not the package.
    stage.node.get(&url).expect(wrong.get(&file));
    stage.node.settle(&url);
    let mut good = wrong.clone();
    good.put(&file, &right);
    stage.show(&good);
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    stage.node.get(&url).expect(&right);
    apt.download(&["fill05"]).expect();
}

#[test]
fn twenty_thousand_packages_become_rows() {
    const COUNT: u64 = 20_000;
    let paragraph = |number: u64| {
        format!(
            "Package: many{number}\nVersion: 1.0-{number}\nArchitecture: amd64\n\
             Maintainer: Nobody <nobody@example.org>\nDepends: libc6 (>= 2.36)\n\
             Filename: pool/main/m/many/many{number}_1.0-{number}_amd64.deb\nSize: {number}\n\
             SHA256: {number:064x}\nDescription: one of very many\n\n"
        )
    };
    let text: String = (0..COUNT).map(paragraph).collect();
    let mut suite = Suite::new();
    suite.replace("main/binary-amd64/Packages", text.as_bytes());
    let stage = Stage::new(suite);
    stage.client().update().expect();
    stage.node.until_number("/index/packages", COUNT);
    let memory = stage.node.peak_memory();
    assert!(memory < 256 << 20, "the node took {} MiB", memory >> 20);
}
