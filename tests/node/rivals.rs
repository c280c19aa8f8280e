//! Every failure of other apt caches that `rivals.md` lists for this ground, as a promise.

use crate::kit::{
    Apt, Archive, Config, Manner, Node, Origin, Request, STALE_WITHIN, noise, sha256, until,
};
use std::thread;
use std::time::{Duration, Instant};

const DEB: &str = "/debian/pool/main/h/hello/hello_2.10-3_amd64.deb";
const INRELEASE: &str = "/debian/dists/sid/InRelease";

fn holding(path: &str, size: usize) -> (Node, Origin, Vec<u8>) {
    let origin = Origin::start();
    let body = noise(301, size);
    origin.put(path, &body);
    let node = Node::start();
    node.get(&origin.url(path)).expect(&body);
    node.until_number("/cache/files", 1);
    (node, origin, body)
}

#[test]
fn apt_cacher_ng_keep_alive_hits_do_not_stall() {
    let (node, origin, body) = holding(DEB, 50_000);
    let mut client = node.connect();
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            client
                .ask(&Request::get(&origin.url(DEB)))
                .unwrap()
                .expect(&body)
                .took
        })
        .collect();
    times.sort_unstable();
    assert!(
        times[50] < Duration::from_millis(20),
        "the median hit took {:?}",
        times[50]
    );
}

#[test]
fn apt_cacher_ng_cold_files_never_drop_the_connection() {
    let origin = Origin::start();
    let node = Node::start();
    let mut client = node.connect();
    for batch in 0..20 {
        let paths: Vec<_> = (0..10)
            .map(|file| format!("/pool/f{batch}-{file}_1_all.deb"))
            .collect();
        let mut requests = Vec::new();
        for (seed, path) in (batch * 10..).zip(&paths) {
            origin.put(path, &noise(seed, 50_000));
            requests.extend(Request::get(&origin.url(path)).bytes());
        }
        client.send_raw(&requests).unwrap();
        for seed in batch * 10..batch * 10 + 10 {
            let answer = client.answer(false).unwrap().expect(&noise(seed, 50_000));
            assert_ne!(answer.header("Connection"), Some("close"));
        }
    }
}

#[test]
fn apt_cacher_ng_first_client_leaves_and_nobody_notices() {
    let origin = Origin::start();
    let body = noise(302, 500_000);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().hold_after(100_000));
    let node = Node::start();
    let mut first = node.connect();
    first.send(&Request::get(&origin.url(DEB))).unwrap();
    first.head().unwrap();
    first.take(50_000).unwrap();
    let mut others: Vec<_> = (0..7)
        .map(|_| {
            let mut client = node.connect();
            client.send(&Request::get(&origin.url(DEB))).unwrap();
            client
        })
        .collect();
    for client in &mut others {
        assert_eq!(
            client.head().unwrap().header("Content-Length"),
            Some("500000")
        );
    }
    drop(first);
    thread::sleep(Duration::from_millis(100));
    origin.release(DEB);
    for client in &mut others {
        assert!(client.take(500_000).unwrap() == body);
    }
    assert_eq!(origin.hits(DEB), 1);
}

#[test]
fn apt_cacher_ng_a_stale_partial_with_if_range_gets_the_whole() {
    let (node, origin, _) = holding(INRELEASE, 9000);
    let old = node.get(&origin.url(INRELEASE));
    let dates = [
        old.header("Last-Modified").unwrap(),
        old.header("ETag").unwrap(),
    ];
    let new = noise(303, 9500);
    origin.put(INRELEASE, &new);
    for condition in dates {
        let resume = Request::get(&origin.url(INRELEASE)).header("Range", "bytes=4000-");
        node.ask(&resume.header("If-Range", condition)).expect(&new);
    }
}

#[test]
fn apt_cacher_ng_silent_upstream_stale_within_a_second() {
    let (node, origin, body) = holding(INRELEASE, 9000);
    origin.behave_all(Manner::silent());
    origin.behave(INRELEASE, Manner::silent());
    let answer = node.get(&origin.url(INRELEASE)).expect(&body);
    assert!(answer.took < STALE_WITHIN, "{:?}", answer.took);
}

#[test]
fn apt_cacher_ng_no_file_name_is_forbidden() {
    let origin = Origin::start();
    let node = Node::start();
    for name in [
        "cnf/Commands-amd64.xz",
        "hello_1_amd64.buildinfo",
        "dep11/Components-amd64.yml.gz",
        "netinst.iso",
        "README",
        "a.b.c.d",
    ] {
        let path = format!("/debian/dists/sid/main/{name}");
        origin.put(&path, name.as_bytes());
        node.get(&origin.url(&path)).expect(name.as_bytes());
    }
}

#[test]
fn apt_cacher_ng_a_republished_deb_of_the_same_name_is_noticed() {
    let (node, origin, _) = holding(DEB, 9000);
    origin.put(INRELEASE, &noise(320, 500));
    node.get(&origin.url(INRELEASE));
    let new = noise(304, 9000);
    origin.put(DEB, &new);
    origin.put(INRELEASE, &noise(321, 500));
    node.get(&origin.url(INRELEASE));
    node.calm();
    node.get(&origin.url(DEB)).expect(&new);
}

#[test]
fn apt_cacher_ng_a_republished_deb_does_not_stop_apt() {
    let mut archive = Archive::new();
    let origin = Origin::start();
    origin.mirror("/debian", &archive.path("debian"));
    let node = Node::start();
    let source = format!("{} stable main", origin.url("/debian"));
    let apt = Apt::new(&archive.key(), &[source], Some(&node.url()));
    apt.update().expect();
    apt.download(&["alpha"]).expect();
    node.until_number("/cache/files", 3);
    archive.package("alpha", "0.1", "", &noise(305, 7000));
    archive.publish();
    origin.mirror("/debian", &archive.path("debian"));
    apt.update().expect();
    apt.forget_debs();
    let fetched = crate::kit::within(Duration::from_secs(15), || apt.download(&["alpha"]).ok);
    assert!(fetched, "{}", apt.download(&["alpha"]).text);
}

#[test]
fn apt_cacher_ng_one_corrupt_body_is_not_kept_for_ever() {
    let origin = Origin::start();
    let body = noise(306, 20_000);
    let path = format!(
        "/debian/dists/sid/main/binary-all/by-hash/SHA256/{}",
        sha256(&body)
    );
    origin.put(&path, &body);
    origin.behave(&path, Manner::corrupt().times(1));
    let node = Node::start();
    let _spoilt = node.try_get(&origin.url(&path));
    until("the right bytes", || {
        node.try_get(&origin.url(&path))
            .is_ok_and(|answer| answer.body == body)
    });
}

#[test]
fn apt_cacher_ng_two_versions_of_inrelease_are_never_mixed() {
    let origin = Origin::start();
    origin.put(INRELEASE, &noise(310, 3000));
    let node = Node::start();
    for version in 311..331 {
        node.get(&origin.url(INRELEASE)).expect_status(200);
        node.calm();
        // Longer, shorter and of the same length: what a range refresh would glue together.
        let size = 3000 + usize::try_from(version % 3).unwrap() * 700;
        origin.put(INRELEASE, &noise(version, size));
        node.get(&origin.url(INRELEASE))
            .expect(&noise(version, size));
    }
}

#[test]
fn apt_cacher_ng_the_cache_is_bounded_without_cron() {
    let origin = Origin::start();
    let node = Node::with(Config {
        max_size: "2MiB".to_owned(),
        ..Config::default()
    });
    for seed in 0..40 {
        let path = format!("/pool/f{seed}_1_all.deb");
        origin.put(&path, &noise(seed, 200_000));
        node.get(&origin.url(&path)).expect(&noise(seed, 200_000));
        assert!(
            node.bytes_on_disk() <= 2 * 1024 * 1024,
            "{}",
            node.bytes_on_disk()
        );
    }
}

#[test]
fn apt_cacher_rs_the_pool_path_counts() {
    let origin = Origin::start();
    let main = "/debian/pool/main/h/hello/X.deb";
    let contrib = "/debian/pool/contrib/h/hello/X.deb";
    origin.put(main, b"main");
    origin.put(contrib, b"contrib");
    let node = Node::start();
    node.get(&origin.url(main)).expect(b"main");
    node.settle(&origin.url(main));
    node.get(&origin.url(contrib)).expect(b"contrib");
    node.get(&origin.url(main)).expect(b"main");
}

#[test]
fn apt_cacher_rs_an_accept_error_does_not_end_the_daemon() {
    let mut node = Node::with(Config {
        wrap: vec!["prlimit".to_owned(), "--nofile=96".to_owned()],
        ..Config::default()
    });
    let crowd = crate::kit::Client::crowd(node.port(), 150);
    thread::sleep(Duration::from_millis(500));
    assert!(node.is_running());
    drop(crowd);
    until("the node answers again", || {
        node.try_get("/healthz")
            .is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn apt_cacher_rs_forty_cold_files_are_never_503() {
    let origin = Origin::start();
    origin.behave_all(Manner::good().delay(Duration::from_millis(150)));
    let node = Node::start();
    thread::scope(|scope| {
        for seed in 0..40 {
            let path = format!("/pool/f{seed}_1_all.deb");
            origin.put(&path, &noise(seed, 5000));
            let (node, url) = (&node, origin.url(&path));
            scope.spawn(move || node.get(&url).expect(&noise(seed, 5000)));
        }
    });
}

#[test]
fn apt_cacher_rs_a_refusing_upstream_gives_the_copy_within_a_second() {
    for path in [DEB, INRELEASE] {
        let (node, origin, body) = holding(path, 9000);
        origin.close();
        let answer = node.get(&origin.url(path)).expect(&body);
        assert!(answer.took < STALE_WITHIN, "{path}: {:?}", answer.took);
    }
}

#[test]
fn apt_cacher_rs_a_client_sees_one_generation() {
    for by_hash in [true, false] {
        let mut archive = Archive::new().by_hash(by_hash);
        archive.publish();
        let origin = Origin::start();
        let node = Node::start();
        let source = format!("{} stable main", origin.url("/debian"));
        for version in ["3.0", "3.1", "3.2"] {
            archive.package("delta", version, "", &noise(307, 4000));
            archive.publish();
            origin.mirror("/debian", &archive.path("debian"));
            for _ in 0..2 {
                let apt = Apt::new(
                    &archive.key(),
                    std::slice::from_ref(&source),
                    Some(&node.url()),
                );
                apt.update().expect();
                assert_eq!(apt.candidate("delta"), version);
            }
        }
    }
}

#[test]
fn apt_cacher_ultra_the_first_byte_comes_before_the_last_is_there() {
    let origin = Origin::start();
    let body = noise(308, 30_000);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().drip(1000, Duration::from_millis(100)));
    let node = Node::start();
    let asked = Instant::now();
    let mut client = node.connect();
    client.send(&Request::get(&origin.url(DEB))).unwrap();
    client.head().unwrap();
    client.take(1).unwrap();
    let first = asked.elapsed();
    assert!(
        first < Duration::from_millis(700),
        "the first byte came after {first:?} of a 3 s drip"
    );
    assert!(client.take(29_999).unwrap() == body[1..]);
}

#[test]
fn apt_cacher_ultra_by_hash_of_the_previous_generation_is_there_after_the_switch() {
    let mut archive = Archive::new();
    let origin = Origin::start();
    origin.mirror("/debian", &archive.path("debian"));
    let node = Node::start();
    let source = format!("{} stable main", origin.url("/debian"));
    let apt = Apt::new(
        &archive.key(),
        std::slice::from_ref(&source),
        Some(&node.url()),
    );
    apt.update().expect();
    let previous = format!("/{}", archive.by_hash_path());
    let index = node.get(&origin.url(&previous)).expect_status(200).body;
    node.settle(&origin.url(&previous));

    archive.package("delta", "9.9", "", &noise(309, 4000));
    archive.publish();
    archive.forget_old_hashes();
    origin.mirror("/debian", &archive.path("debian"));
    apt.update().expect();
    assert_eq!(apt.candidate("delta"), "9.9");
    node.get(&origin.url(&previous)).expect(&index);
}

#[test]
fn apt_cacher_ultra_flat_repositories_are_revalidated() {
    for path in [
        "/repo/./InRelease",
        "/repo/./Packages",
        "/repo/./Packages.gz",
    ] {
        let stored = path.replace("/./", "/");
        let origin = Origin::start();
        origin.put(&stored, b"generation one");
        let node = Node::start();
        node.get(&origin.url(path)).expect(b"generation one");
        node.until_number("/cache/files", 1);
        origin.put(&stored, b"generation two");
        node.get(&origin.url(path)).expect(b"generation two");
    }
}

#[test]
fn apt_cacher_ultra_inrelease_is_refreshed_by_default() {
    let (node, origin, _) = holding(INRELEASE, 3000);
    origin.put(INRELEASE, b"the next generation");
    node.get(&origin.url(INRELEASE))
        .expect(b"the next generation");
}
