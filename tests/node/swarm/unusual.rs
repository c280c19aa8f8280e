//! Peers that do their work in another way than most.

use super::{LARGE, PACE, Scene};
use crate::kit::{Manner, PIECE, Seeding};

/// Fails unless such a peer is good enough while there is no mirror.
#[track_caller]
fn expect_served(seedings: &[Seeding]) {
    let mut scene = Scene::new(&[LARGE]);
    scene.add(seedings);
    scene.limit(2 * PACE);
    scene.seed(0);
    scene.stage.origin.close();
    scene.fetch(0);
    scene.expect_honest(&[]);
}

#[test]
fn one_request_a_connection() {
    expect_served(&[Seeding::Closing; 2]);
}

#[test]
fn one_that_gives_the_whole_file_to_every_range_among_others() {
    expect_served(&[Seeding::Whole, Seeding::Honest, Seeding::Honest]);
}

#[test]
fn one_that_breaks_off_each_answer_among_others() {
    expect_served(&[
        Seeding::Breaking(PIECE / 3),
        Seeding::Honest,
        Seeding::Refusing,
    ]);
}

#[test]
fn one_that_has_another_file_of_the_same_size_and_says_so() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(PACE));
    scene.add(&[Seeding::Honest; 4]);
    scene.limit(2_000_000);
    let file = scene.file(0).to_vec();
    let other = crate::kit::noise(67, LARGE);
    for (number, seeder) in scene.seeders.iter().enumerate() {
        seeder.add_as(&file, if number == 0 { &other } else { &file });
        seeder.tell(&scene.peers, &file);
        seeder.tell_torrent(&scene.peers, &file);
    }
    // The most common reference wins.
    scene.fetch(0);
    scene.expect_asked();
    scene.expect_honest(&[0]);
}

#[test]
fn hashes_of_sha_256_are_honoured() {
    let mut scene = Scene::new(&[LARGE]);
    scene.add(&[Seeding::Honest, Seeding::Honest]);
    scene.limit(2 * PACE);
    let file = scene.file(0).to_vec();
    for seeder in &scene.seeders {
        seeder.add_with_sha256(&file);
        seeder.tell(&scene.peers, &file);
    }
    scene.stage.origin.close();
    let status = scene.fetch(0).cache_status().to_owned();
    assert!(status.contains("detail=peers"), "{status}");
    scene.expect_honest(&[]);
}
