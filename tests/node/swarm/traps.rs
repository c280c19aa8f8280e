//! What strangers say in the name of honest peers, and mirrors that do not do as they are asked.

use super::{LARGE, PACE, Scene};
use crate::kit::bencode::dict;
use crate::kit::krpc::{compact_addr, key_of, sha1};
use crate::kit::{Manner, PIECE, Request, Seeding, noise, torrent};

const HONEST: Seeding = Seeding::Honest;

impl Scene {
    /// Somebody says that the seeders have a file, with this reference.
    fn slander(&self, number: usize, reference: [u8; 20]) {
        for seeder in &self.seeders {
            let contact = compact_addr(seeder.addr());
            let value = dict([("c", (&contact).into()), ("h", (&reference[..]).into())]);
            for peer in &self.peers {
                peer.keep(key_of(self.file(number)), &value.written());
            }
        }
    }
}

#[test]
fn who_gives_the_right_string_of_another_file_is_not_blamed() {
    let mut scene = Scene::new(&[LARGE, LARGE + 2 * PIECE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 3]);
    for seeder in &scene.seeders {
        seeder.add(scene.file(0));
        seeder.add(scene.file(1));
    }
    scene.slander(0, sha1(&torrent(scene.file(1)).written()));
    scene.expect_no_harm(0);
    scene.expect_honest(&[]);
}

#[test]
fn false_hashes_in_the_name_of_honest_peers_cost_no_file_while_the_mirror_is_down() {
    let mut scene = Scene::new(&[LARGE / 2]);
    scene.add(&[HONEST; 3]);
    for seeder in &scene.seeders {
        seeder.add(scene.file(0));
    }
    let string = torrent(&noise(77, LARGE / 2)).written();
    let reference = sha1(&string);
    for peer in &scene.peers {
        peer.keep(reference, &string);
    }
    scene.slander(0, reference);
    scene.stage.origin.close();
    scene.fetch(0);
    scene.expect_honest(&[]);
}

#[test]
fn a_mirror_that_knows_no_ranges_takes_over_from_peers_that_died() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::dumb().pace(PACE));
    scene.add(&[Seeding::Dying(LARGE / 6); 3]);
    scene.seed(0);
    scene.fetch(0);
    let (_, from_mirrors) = scene.traffic();
    // All of it again, once, and the piece that was compared.
    assert!(from_mirrors < 3 * LARGE as u64, "{from_mirrors}");
}

#[test]
fn who_has_false_pieces_of_those_who_then_died_does_not_get_the_rest_of_the_right_file() {
    let mut scene = Scene::new(&[LARGE / 2]);
    scene.add(&[Seeding::Dying(PIECE); 3]);
    scene.add(&[HONEST; 2]);
    scene.limit(2_000_000);
    let file = scene.file(0).to_vec();
    let other = noise(78, file.len());
    for (number, seeder) in scene.seeders.iter().enumerate() {
        if number < 3 {
            seeder.add_as(&file, &other);
        } else {
            seeder.add(&file);
        }
        seeder.tell(&scene.peers, &file);
        seeder.tell_torrent(&scene.peers, &file);
    }
    scene.stage.origin.close();
    let mut client = scene.node().connect();
    client.send(&Request::get(&scene.url(0))).unwrap();
    let head = client.head().unwrap();
    let first = client.rest(&head);
    let next = scene.fetch(0);
    if first.as_ref().is_ok_and(|body| *body == file) {
        return;
    }
    assert!(first.is_err(), "a wrong file was completed");
    assert_ne!(head.header("ETag"), next.header("ETag"));
    assert_ne!(head.header("Last-Modified"), next.header("Last-Modified"));
    scene.expect_honest(&[0, 1, 2]);
}
