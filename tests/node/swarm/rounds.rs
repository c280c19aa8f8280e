//! Files of whose pieces nobody says the hashes.

use super::{LARGE, PACE, Scene};
use crate::kit::{Manner, PIECE, Seeding, Wrong};

const HONEST: Seeding = Seeding::Honest;
const LIAR: Seeding = Seeding::Corrupting(Wrong::Every);
/// Six pieces.
const SIZE: usize = LARGE / 2;

/// These peers have a file of six pieces, and no more is known of it.
#[track_caller]
fn scene(seedings: &[Seeding]) -> Scene {
    let mut scene = Scene::new(&[SIZE]);
    scene.add(seedings);
    scene.limit(PACE);
    let file = scene.file(0).to_vec();
    for seeder in &scene.seeders {
        seeder.add(&file);
        seeder.tell_contact(&scene.peers, &file);
    }
    scene
}

#[test]
fn honest_peers_are_all_it_takes() {
    let scene = scene(&[HONEST; 3]);
    scene.mirror(0, Manner::good().pace(PACE / 4));
    let answer = scene.fetch(0);
    let status = answer.cache_status().to_owned();
    assert!(
        status.contains("peers") || status.contains("mixed"),
        "{status}"
    );
    let sent: usize = scene.sent(0).iter().sum();
    assert!(sent >= SIZE / 2, "{:?}", scene.sent(0));
    scene.expect_honest(&[]);
}

#[test]
fn one_liar_of_three_is_found_without_a_mirror() {
    let scene = scene(&[HONEST, LIAR, HONEST]);
    scene.stage.origin.close();
    scene.fetch(0);
    scene.expect_blame(&[1]);
    let sent: usize = scene.sent(0).iter().sum();
    assert!(sent <= 4 * SIZE, "{sent} bytes for {SIZE}");
}

#[test]
fn one_liar_with_the_first_piece_is_found_without_a_mirror() {
    let wrong = Seeding::Corrupting(Wrong::Piece(0));
    for place in 0..3 {
        let mut seedings = [HONEST; 3];
        seedings[place] = wrong;
        let scene = scene(&seedings);
        scene.stage.origin.close();
        scene.fetch(0);
        // Whether it was asked for that piece is not said.
        scene.expect_honest(&[place]);
    }
}

#[test]
fn who_lies_differently_each_time_is_found_without_a_mirror() {
    let scene = scene(&[Seeding::Corrupting(Wrong::Differently), HONEST, HONEST]);
    scene.stage.origin.close();
    scene.fetch(0);
    scene.expect_blame(&[0]);
}

#[test]
fn two_liars_of_three_are_found_with_the_mirror() {
    let scene = scene(&[LIAR, Seeding::Corrupting(Wrong::Differently), HONEST]);
    scene.mirror(0, Manner::good().pace(PACE));
    scene.expect_no_harm(0);
    scene.expect_asked();
    scene.expect_honest(&[0, 1]);
}

#[test]
fn lying_peers_do_no_harm_where_no_hashes_tell() {
    let scene = scene(&[LIAR; 3]);
    scene.slow_mirror(0);
    scene.expect_no_harm(0);
    scene.expect_asked();
}

#[test]
fn a_torrent_string_that_nobody_can_give_is_done_without() {
    let mut scene = Scene::new(&[SIZE]);
    scene.add(&[Seeding::Forging; 3]);
    scene.limit(PACE);
    let file = scene.file(0).to_vec();
    for seeder in &scene.seeders {
        seeder.add(&file);
        seeder.tell(&scene.peers, &file);
    }
    scene.stage.origin.close();
    scene.fetch(0);
    let sent: usize = scene.sent(0).iter().sum();
    assert!(sent <= SIZE + 3 * PIECE, "{sent} bytes for {SIZE}");
}
