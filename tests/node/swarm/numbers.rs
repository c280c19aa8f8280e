//! What the status tells of bytes that came from peers.

use super::{LARGE, SMALL, Scene};
use crate::kit::{Client, Manner, PIECE, Request, Seeding, path_of, until, within};
use serde_json::Value;

const HONEST: Seeding = Seeding::Honest;

impl Scene {
    /// What clients got from cache, peers and mirrors so far.
    #[track_caller]
    fn served(&self) -> [u64; 3] {
        let status = self.node().status();
        let number = |key: &str| status["served"]["all"][key].as_u64().unwrap();
        ["from_cache", "from_peers", "from_mirrors"].map(number)
    }

    /// What they got more than that.
    #[track_caller]
    fn served_since(&self, before: [u64; 3]) -> [u64; 3] {
        let now = self.served();
        std::array::from_fn(|at| now[at] - before[at])
    }
}

#[test]
fn what_peers_sent_for_a_client_is_from_peers_and_the_next_time_from_the_cache() {
    let mut scene = Scene::new(&[LARGE, SMALL]);
    scene.add(&[HONEST; 3]);
    scene.seed(0);
    scene.seed(1);
    scene.stage.origin.close();
    for number in [0, 1] {
        let size = scene.file(number).len() as u64;
        let (before, came) = (scene.served(), scene.traffic());
        let status = scene.fetch(number).cache_status().to_owned();
        assert!(status.contains("detail=peers"), "{status}");
        scene.node().calm();
        assert_eq!(scene.served_since(before), [0, size, 0]);
        assert!(scene.traffic().0 - came.0 >= size);
        assert!(scene.fetch(number).is_hit());
        assert_eq!(scene.served_since(before), [size, size, 0]);
    }
    let [cache, peers, mirrors] = scene.served();
    until("rows say so", || {
        let query = "SELECT group_concat(amount) FROM (SELECT sum(amount) AS amount FROM traffic
                     WHERE kind GLOB 'clients_from_*' GROUP BY kind ORDER BY kind)";
        scene.node().sql(query) == format!("{cache},{mirrors},{peers}")
    });
}

#[test]
fn of_a_file_from_both_each_byte_is_counted_where_it_came_from() {
    let mut scene = Scene::new(&[2 * LARGE]);
    scene.mirror(0, Manner::good().pace(3_000_000));
    scene.add(&[HONEST]);
    scene.limit(3_000_000);
    scene.seed(0);
    let size = scene.file(0).len() as u64;
    let (before, came) = (scene.served(), scene.traffic());
    let status = scene.fetch(0).cache_status().to_owned();
    scene.node().calm();
    let [cache, peers, mirrors] = scene.served_since(before);
    let now = scene.traffic();
    assert_eq!((cache, peers + mirrors), (0, size), "{status}");
    assert!(peers >= PIECE as u64 && mirrors > 0, "{peers} {mirrors}");
    assert!(peers <= now.0 - came.0, "{peers} of {}", now.0 - came.0);
    assert!(mirrors <= now.1 - came.1, "{mirrors} of {}", now.1 - came.1);
}

#[test]
fn who_takes_files_is_told_with_what_it_took() {
    let scene = Scene::new(&[LARGE, SMALL]);
    for number in [0, 1] {
        scene.fetch(number);
        scene.node().settle(&scene.url(number));
    }
    let shared = || scene.shares(0) && scene.shares(1);
    assert!(within(super::SHARED, shared), "nothing is shared");
    let uploads = || scene.node().status()["uploads"].clone();
    let told = |uploads: &Value, key: &str| uploads[0][key].as_u64().unwrap();
    let before = uploads();
    let mut face = Client::to(scene.node().peer_addr()).unwrap();
    let (large, small) = (path_of(scene.file(0)), path_of(scene.file(1)));
    face.ask(&Request::get(&small))
        .unwrap()
        .expect(scene.file(1));
    let part = Request::get(&large).header("Range", "bytes=7-16");
    face.ask(&part).unwrap().expect_status(206);
    face.ask(&Request::new("HEAD", &large))
        .unwrap()
        .expect_status(200);
    let missing = Request::get(&path_of(b"nobody has it"));
    face.ask(&missing).unwrap().expect_status(404);
    let after = uploads();
    assert_eq!(after[0]["address"], "127.0.0.1");
    assert_eq!(after.as_array().unwrap().len(), 1);
    assert_eq!(told(&after, "requests") - told(&before, "requests"), 2);
    let bytes = scene.file(1).len() as u64 + 10;
    assert_eq!(told(&after, "bytes") - told(&before, "bytes"), bytes);
    let all = told(&after, "bytes");
    assert_eq!(scene.node().number("/traffic/to_peers"), all);
    let query = "SELECT bytes, misses FROM visitor WHERE face = 'peer'";
    let written = || scene.node().sql(query) == format!("{all}|0");
    until("the row says so", written);
}
