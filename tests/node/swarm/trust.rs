//! What is asked of peers, and by whom, at all.

use super::{LARGE, SHARED, SMALL, Scene};
use crate::kit::{Config, Dht, Key, Manner, Node, PIECE, Request, Seeding, noise, until, within};
use std::net::TcpStream;

#[test]
fn what_no_index_vouches_for_is_asked_of_no_peer() {
    let mut scene = Scene::new(&[SMALL]);
    scene.add(&[Seeding::Honest; 3]);
    let unlisted = [b"!<arch>\n".as_slice(), &noise(91, 2 * PIECE)].concat();
    let elsewhere = noise(92, SMALL);
    for (path, body) in [
        ("/debian/pool/main/u/un/un_1_all.deb", &unlisted),
        ("/other/file.bin", &elsewhere),
    ] {
        scene.stage.origin.put(path, body);
        for seeder in &scene.seeders {
            seeder.add(body);
            seeder.tell(&scene.peers, body);
        }
        scene.node().get(&scene.stage.origin.url(path)).expect(body);
        assert!(!scene.was_looked_for(body));
    }
    for seeder in &scene.seeders {
        assert!(seeder.uploads().is_empty(), "{:?}", seeder.uploads());
    }
}

#[test]
fn who_does_not_share_asks_nobody() {
    let mut scene = Scene::with(&[LARGE, SMALL], |dht| dht.announces = false);
    scene.add(&[Seeding::Honest; 3]);
    for number in [0, 1] {
        scene.slow_mirror(number);
        scene.seed(number);
        let answer = scene.fetch(number);
        let status = answer.cache_status().to_owned();
        assert!(status.contains("detail=mirror"), "{status}");
        assert!(!scene.was_looked_for(scene.file(number)));
        scene.node().settle(&scene.url(number));
    }
    assert!(scene.seeders.iter().all(|it| it.uploads().is_empty()));
    // And shares nothing.
    assert!(TcpStream::connect(scene.node().peer_addr()).is_err());
}

#[test]
fn without_the_dht_the_mirror_is_all_there_is() {
    let mut scene = Scene::new(&[LARGE]);
    scene.add(&[Seeding::Honest; 3]);
    scene.slow_mirror(0);
    scene.seed(0);
    scene.stage.node.stop();
    scene.stage.node.reconfigure(|config| config.dht = None);
    scene.stage.node.launch();
    scene.expect_no_harm(0);
    assert_eq!(scene.sent(0), [0; 3]);
}

#[test]
fn a_node_does_not_ask_itself() {
    let scene = Scene::new(&[LARGE, SMALL]);
    for number in [0, 1] {
        scene.slow_mirror(number);
        let file = scene.file(number);
        let contact = crate::kit::krpc::compact_addr(scene.node().peer_addr());
        let value = [b"d1:c6:".as_slice(), &contact, b"e"].concat();
        for peer in &scene.peers {
            peer.keep(super::key_of(file), &value);
        }
        scene.expect_no_harm(number);
    }
    let own = scene.node().peer_addr().to_string();
    let status = scene.node().status();
    let rows = status["peers"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["address"] != *own), "{rows:?}");
}

#[test]
fn what_one_node_of_ours_has_another_gets_though_the_mirror_is_down() {
    let scene = Scene::new(&[LARGE, SMALL]);
    for number in [0, 1] {
        scene.fetch(number);
    }
    let second = Node::with(Config {
        keyrings: Some(vec![Key::good().file()]),
        ..Dht {
            bootstrap: vec![scene.node().dht_addr().to_string()],
            ..Dht::default()
        }
        .into()
    });
    let apt = scene.stage.client();
    apt.use_proxy(Some(&second.url()));
    apt.update().expect();
    second.until_number("/index/packages", scene.stage.suite.count());
    let told = within(SHARED, || scene.node().number("/dht/announced") >= 3);
    assert!(told, "{}", scene.node().status()["dht"]);
    scene.stage.origin.close();
    for (number, package) in ["file0", "file1"].into_iter().enumerate() {
        apt.install(&[package]).expect();
        assert_eq!(apt.archive(package), scene.file(number));
    }
    let both = (LARGE + SMALL) as u64;
    until("both count what went between them", || {
        let given = scene.node().number("/traffic/to_peers");
        let taken = second.number("/traffic/from_peers");
        given >= both && taken >= both
    });
}

#[test]
fn a_file_on_its_way_is_not_given_to_others() {
    let scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().hold_after(LARGE / 2));
    let mut client = scene.node().connect();
    client.send(&Request::get(&scene.url(0))).unwrap();
    client.head().unwrap().expect_status(200);
    client.take(PIECE).unwrap();
    assert!(!scene.shares(0));
    scene.stage.origin.release(&scene.path(0));
    drop(client);
    scene.fetch(0);
    let shared = within(SHARED, || scene.shares(0));
    assert!(shared, "others do not get it");
}
