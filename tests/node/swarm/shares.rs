//! Who is asked for what, when all are well.

use super::{LARGE, LOADED, PACE, SHARED, SMALL, Scene};
use crate::kit::{Manner, PIECE, Request, Seeder, Seeding, until, within};
use std::time::{Duration, Instant};

const HONEST: Seeding = Seeding::Honest;

/// 95 of 100 bytes.
fn nearly_all(size: usize) -> u64 {
    size as u64 * 95 / 100
}

#[test]
fn a_large_file_comes_from_its_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    let (peers, mirrors) = scene.traffic();
    let answer = scene.fetch(0);
    let status = answer.cache_status().to_owned();
    assert!(
        answer.is_miss() && status.contains("detail=peers"),
        "{status}"
    );
    scene.stage.node.settle(&scene.url(0));
    let (from_peers, from_mirrors) = scene.traffic();
    let (from_peers, from_mirrors) = (from_peers - peers, from_mirrors - mirrors);
    assert!(from_peers >= nearly_all(LARGE), "{from_peers} from peers");
    let rest = LARGE as u64 - nearly_all(LARGE);
    assert!(from_mirrors <= rest, "{from_mirrors} from mirrors");
    assert!(
        scene.sent(0).iter().all(|sent| *sent > 0),
        "{:?}",
        scene.sent(0)
    );
    scene.expect_honest(&[]);
    // It is a file like any other from now on.
    let hit = scene.fetch(0);
    assert!(hit.is_hit(), "{}", hit.cache_status());
    assert!(hit.header("Last-Modified").is_some() && hit.header("ETag").is_some());
}

#[test]
fn real_apt_gets_a_large_file_from_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    scene.apt.install(&["file0"]).expect();
    assert_eq!(scene.apt.archive("file0"), scene.file(0));
    let from_peers: usize = scene.sent(0).iter().sum();
    assert!(
        from_peers as u64 >= nearly_all(LARGE),
        "{:?}",
        scene.sent(0)
    );
}

#[test]
fn a_piece_is_a_request_and_connections_are_kept() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    scene.fetch(0);
    let of = |seeder: &Seeder| seeder.asked(scene.file(0));
    let asked: Vec<_> = scene.seeders.iter().flat_map(of).collect();
    for upload in &asked {
        let (from, to) = upload.range.expect("a piece is a range");
        assert!(from % PIECE == 0 && to - from <= PIECE, "{upload:?}");
    }
    let connections = scene.seeders.iter().map(Seeder::connections);
    let connections: usize = connections.sum();
    let requests = asked.len();
    assert!(
        requests > connections,
        "{requests} on {connections} connections"
    );
}

#[test]
fn equal_peers_share_alike() {
    let mut scene = Scene::new(&[2 * LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 4]);
    scene.limit(2_000_000);
    scene.seed(0);
    scene.fetch(0);
    // Six pieces each.
    for sent in scene.sent(0) {
        assert!(
            (3 * PIECE..=9 * PIECE).contains(&sent),
            "{:?}",
            scene.sent(0)
        );
    }
}

#[test]
fn peers_together_are_faster_than_each() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(1_000_000));
    scene.add(&[HONEST; 4]);
    scene.limit(1_000_000);
    scene.seed(0);
    let took = scene.fetch(0).took;
    // 1.6 s from four, 6.3 s from one.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_file_nobody_else_has_comes_from_the_mirror() {
    let scene = Scene::new(&[LARGE, SMALL]);
    for number in [0, 1] {
        let answer = scene.fetch(number);
        assert!(answer.is_miss(), "{}", answer.cache_status());
        let status = answer.cache_status().to_owned();
        assert!(status.contains("detail=mirror"), "{status}");
    }
}

#[test]
fn a_small_file_comes_from_one_peer_where_the_mirror_is_slow() {
    let mut scene = Scene::new(&[SMALL]);
    scene.mirror(0, Manner::good().delay(Duration::from_secs(3)));
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    let answer = scene.fetch(0);
    assert!(answer.took < Duration::from_secs(1), "{:?}", answer.took);
    let status = answer.cache_status().to_owned();
    assert!(status.contains("detail=peers"), "{status}");
    let asked = scene.sent(0).iter().filter(|sent| **sent > 0).count();
    assert_eq!(asked, 1, "{:?}", scene.sent(0));
}

#[test]
fn what_peers_have_is_served_while_the_mirror_is_down() {
    let mut scene = Scene::new(&[LARGE, SMALL, 2 * PIECE]);
    scene.add(&[HONEST]);
    for number in [0, 1, 2] {
        scene.seed(number);
    }
    scene.stage.origin.close();
    for number in [0, 1, 2] {
        let status = scene.fetch(number).cache_status().to_owned();
        assert!(status.contains("detail=peers"), "{status}");
    }
}

#[test]
fn what_peers_have_is_served_while_the_mirror_fails_or_is_silent() {
    let mut scene = Scene::new(&[LARGE, SMALL, LARGE, SMALL]);
    scene.add(&[HONEST; 2]);
    let bad = [Manner::status(503), Manner::silent()];
    for (number, manner) in (0..4).zip(bad.iter().cycle().cloned()) {
        scene.mirror(number, manner);
        scene.seed(number);
        scene.fetch(number);
    }
}

#[test]
fn one_peer_does_not_keep_the_mirror_away() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST]);
    scene.limit(1_000_000);
    scene.seed(0);
    scene.expect_no_harm(0);
    assert!(scene.sent(0)[0] > 0);
}

#[test]
fn a_range_is_answered_before_the_rest_is_there() {
    let mut scene = Scene::new(&[2 * LARGE]);
    scene.mirror(0, Manner::good().pace(500_000));
    scene.add(&[HONEST; 3]);
    scene.limit(1_000_000);
    scene.seed(0);
    let (from, to) = (10_000_000, 10_999_999);
    let request = Request::get(&scene.url(0)).header("Range", &format!("bytes={from}-{to}"));
    let answer = scene.node().ask(&request).expect_status(206);
    let range = format!("bytes {from}-{to}/{}", 2 * LARGE);
    assert_eq!(answer.header("Content-Range"), Some(range.as_str()));
    let answer = answer.expect_body(&scene.file(0)[from..=to]);
    // The whole takes four seconds.
    assert!(
        answer.took < Duration::from_millis(2500),
        "{:?}",
        answer.took
    );
    scene.expect_asked();
    // Who wants the whole gets it all the same.
    scene.fetch(0);
}

#[test]
fn a_range_is_answered_by_peers_while_the_mirror_is_down_or_lost_the_file() {
    let mut scene = Scene::new(&[2 * LARGE, 2 * LARGE]);
    scene.mirror(0, Manner::status(404));
    scene.add(&[HONEST; 3]);
    scene.limit(1_000_000);
    for number in [0, 1] {
        scene.seed(number);
        if number == 1 {
            scene.stage.origin.close();
        }
        let (from, to) = (10_000_000, 10_999_999);
        let request =
            Request::get(&scene.url(number)).header("Range", &format!("bytes={from}-{to}"));
        let answer = scene.node().ask(&request).expect_status(206);
        let answer = answer.expect_body(&scene.file(number)[from..=to]);
        // The whole takes four seconds.
        let took = answer.took;
        assert!(took < Duration::from_secs(3), "{number}: {took:?}");
        let status = answer.cache_status();
        assert!(status.contains("detail=peers"), "{number}: {status}");
    }
}

#[test]
fn real_apt_resumes_with_pieces_of_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    // A partial file with the mirror's own time of change.
    let direct = scene.stage.direct();
    direct.update().expect();
    direct.install(&["file0"]).expect();
    direct.cut_archive("file0", 3_333_333);
    direct.use_proxy(Some(&scene.node().url()));
    direct.install(&["file0"]).expect();
    assert_eq!(direct.archive("file0"), scene.file(0));
    scene.expect_asked();
}

#[test]
fn several_clients_of_one_file_cost_its_peers_once() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.limit(2_000_000);
    scene.seed(0);
    std::thread::scope(|scope| {
        for client in 0..5 {
            let scene = &scene;
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(100 * client));
                scene.fetch(0);
            });
        }
    });
    let sent: usize = scene.sent(0).iter().sum();
    let enough = LARGE / 2..=LARGE + 3 * PIECE;
    assert!(enough.contains(&sent), "{sent} bytes for {LARGE}");
}

#[test]
fn bytes_flow_before_the_file_is_whole() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(500_000));
    scene.add(&[HONEST; 3]);
    scene.limit(700_000);
    scene.seed(0);
    let mut client = scene.node().connect();
    let began = Instant::now();
    client.send(&Request::get(&scene.url(0))).unwrap();
    let head = client.head().unwrap().expect_status(200);
    let first = client.take(PIECE).unwrap();
    // The whole takes three seconds.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(first, &scene.file(0)[..PIECE]);
    assert_eq!(
        head.header("Content-Length"),
        Some(LARGE.to_string().as_str())
    );
    let rest = client.take(LARGE - PIECE).unwrap();
    assert!(rest == scene.file(0)[PIECE..]);
    scene.expect_asked();
}

#[test]
fn a_download_shows_its_pieces_while_it_runs() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(500_000));
    scene.add(&[HONEST; 3]);
    scene.limit(700_000);
    scene.seed(0);
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| scene.fetch(0));
        until("the download shows pieces and peers", || {
            let status = scene.node().status();
            let row = status["downloads"][0].clone();
            let pieces = row["pieces"].as_array().map_or(0, Vec::len);
            let peers = status["peers"].as_array().unwrap().iter();
            let busy = peers.filter(|peer| peer["connected"] == true).count();
            pieces > 0 && row["size"] == LARGE as u64 && row["source"] != "mirror" && busy > 0
        });
        fetching.join().unwrap();
    });
    scene.stage.node.calm();
    for seeder in 0..3 {
        let row = scene
            .row(seeder)
            .expect("a peer that gave something has a row");
        let score = row["score"].as_f64().unwrap();
        assert!(score > 0.0 && score <= 1.0, "{row}");
        assert!(row["bytes_per_second"].as_u64().unwrap() > 100_000, "{row}");
        assert!(row["lag_seconds"].as_f64().unwrap() < 5.0, "{row}");
        assert_eq!(row["pending"], 0, "{row}");
    }
}

#[test]
fn an_index_of_a_known_hash_comes_from_a_peer_too() {
    let mut scene = Scene::new(&[SMALL]);
    scene.stage.advance();
    let below = scene.stage.by_hash("main/binary-amd64/Packages.xz");
    let index = scene.stage.bytes(&below).to_vec();
    let path = format!("{}/{}{below}", scene.stage.at, scene.stage.suite.folder());
    scene.stage.origin.behave(&path, Manner::status(503));
    scene.add(&[HONEST]);
    let seeder = &scene.seeders[0];
    seeder.add(&index);
    seeder.tell(&scene.peers, &index);
    scene.apt.update().expect();
    assert!(seeder.sent(&index) >= index.len());
    assert_eq!(scene.apt.candidate("tick"), "2");
}

#[test]
fn a_torrent_string_that_is_in_no_dht_is_asked_of_its_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    let file = scene.file(0).to_vec();
    for seeder in &scene.seeders {
        seeder.add(&file);
        seeder.tell(&scene.peers, &file);
    }
    let answer = scene.fetch(0);
    assert!(answer.cache_status().contains("detail=peers"));
    let uploads = scene.seeders.iter().flat_map(Seeder::uploads);
    let strings = uploads.filter(|upload| upload.path.len() == 43).count();
    assert!((1..=3).contains(&strings), "{strings} torrent strings");
}

#[test]
fn a_faster_peer_gives_more() {
    let mut scene = Scene::new(&[2 * LARGE]);
    scene.mirror(0, Manner::good().pace(PACE / 8));
    scene.add(&[HONEST; 4]);
    scene.limit(500_000);
    scene.seeders[0].limit(PACE);
    scene.seed(0);
    let took = scene.fetch(0).took;
    let sent = scene.sent(0);
    assert!(sent[1..].iter().all(|slow| *slow < sent[0]), "{sent:?}");
    // 2.3 s where all links are full.
    assert!(took < Duration::from_millis(4600) + LOADED, "{took:?}");
}

#[test]
fn what_was_taken_from_peers_is_served_to_others_in_turn() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    scene.fetch(0);
    scene.stage.node.settle(&scene.url(0));
    let shared = within(SHARED, || scene.shares(0));
    assert!(shared, "others do not get it");
    let key = super::key_of(scene.file(0));
    let told = within(SHARED, || {
        scene.peers.iter().any(|peer| !peer.stored(&key).is_empty())
    });
    assert!(told, "nobody is told that it is here now");
}

#[test]
fn page_metrics_and_command_line_tell_of_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    scene.fetch(0);
    scene.stage.node.calm();
    let text = |path: &str| scene.node().get(path).expect_status(200).text();
    let page = text("/");
    for seeder in &scene.seeders {
        assert!(page.contains(&seeder.addr().to_string()), "{page}");
    }
    let (from_peers, _) = scene.traffic();
    // Metrics tell what stands in rows, which is written every two seconds.
    let line = format!("aptmesh_fetched_bytes_total{{source=\"peers\"}} {from_peers}\n");
    until(&line, || text("/metrics").contains(&line));
    let output = scene.node().cli(&["status"]);
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(
        summary.contains("Peers  3 known, 3 of use now, 0 sent wrong"),
        "{summary}"
    );
}
