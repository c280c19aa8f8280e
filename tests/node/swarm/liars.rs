//! Who sends wrong bytes is found out, and nobody else is blamed for it.

use super::{LARGE, PACE, SMALL, Scene};
use crate::kit::{Manner, PATIENCE, PIECE, Request, Seeding, Wrong, is_cut, noise, until, within};
use std::time::Duration;

const HONEST: Seeding = Seeding::Honest;
const LIAR: Seeding = Seeding::Corrupting(Wrong::Every);

#[test]
fn one_of_four_that_corrupts_all_is_named_and_no_other() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[LIAR, HONEST, HONEST, HONEST]);
    scene.limit(2_000_000);
    scene.seed(0);
    scene.fetch(0);
    scene.expect_blame(&[0]);
    // Only what was wrong was fetched again.
    let honest: usize = scene.sent(0)[1..].iter().sum();
    assert!(honest <= LARGE + 2 * PIECE, "{honest}");
}

#[test]
fn real_apt_notices_nothing_of_a_liar() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[LIAR, LIAR, HONEST, HONEST]);
    scene.limit(2_000_000);
    scene.seed(0);
    scene.apt.install(&["file0"]).expect();
    assert_eq!(scene.apt.archive("file0"), scene.file(0));
    scene.expect_blame(&[0, 1]);
}

#[test]
fn a_wrong_piece_alone_is_fetched_again() {
    let mut scene = Scene::new(&[LARGE]);
    let wrong = Seeding::Corrupting(Wrong::Piece(3));
    scene.add(&[wrong, wrong, HONEST]);
    scene.limit(PACE);
    scene.seed(0);
    scene.stage.origin.close();
    scene.fetch(0);
    let sent: usize = scene.sent(0).iter().sum();
    assert!(sent <= LARGE + 4 * PIECE, "{sent} bytes for {LARGE}");
    scene.expect_honest(&[0, 1]);
    assert!(scene.errors(0) <= 1 && scene.errors(1) <= 1);
}

#[test]
fn who_lies_now_and_then_or_differently_each_time_is_named() {
    let wrongs = [Wrong::EverySecond, Wrong::Differently];
    let mut scene = Scene::new(&[LARGE; 2]);
    for (number, wrong) in wrongs.into_iter().enumerate() {
        scene.slow_mirror(number);
        scene.add(&[Seeding::Corrupting(wrong), HONEST, HONEST]);
        scene.limit(2_000_000);
        scene.seed_by(number, &scene.seeders[3 * number..]);
        scene.fetch(number);
    }
    scene.expect_blame(&[0, 3]);
}

#[test]
fn after_three_errors_nobody_asks_a_peer_and_a_restart_forgets_nothing() {
    let mut scene = Scene::new(&[SMALL; 10]);
    scene.add(&[LIAR]);
    let slow = || Manner::good().delay(Duration::from_millis(700));
    let mut number = 0;
    // With one error a file it takes three files.
    while scene.errors(0) < 3 {
        assert!(number < 7, "{:?}", scene.row(0));
        scene.mirror(number, slow());
        scene.seed(number);
        scene.fetch(number);
        scene.stage.node.calm();
        number += 1;
    }
    scene.add(&[HONEST]);
    for restarts in 0..2 {
        let row = scene.row(0).expect("a liar is not forgotten");
        assert_eq!(row["score"], 0.0, "{row}");
        assert!(row["hash_errors_24h"].as_u64().unwrap() >= 3, "{row}");
        // Another peer shows that peers are asked at all.
        let next = 8 + restarts;
        scene.mirror(next, slow());
        scene.seed(next);
        scene.fetch(next);
        let [liar, honest] = [0, 1].map(|it| scene.seeders[it].asked(scene.file(next)).len());
        assert_eq!((liar, honest), (0, 1));
        scene.stage.node.stop();
        scene.stage.node.launch();
        until("the DHT is known again", || {
            scene.node().number("/dht/nodes") > 0
        });
    }
    scene.expect_blame(&[0]);
}

/// Three who agree on another file and its piece hashes, and two honest ones.
#[track_caller]
fn collusion() -> Scene {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[HONEST; 5]);
    scene.limit(2_000_000);
    let file = scene.file(0).to_vec();
    let mut other = file.clone();
    // The beginning is the same, as with a file of another build.
    other[PIECE..].copy_from_slice(&noise(66, LARGE - PIECE));
    for (number, seeder) in scene.seeders.iter().enumerate() {
        if number < 3 {
            seeder.add_as(&file, &other);
        } else {
            seeder.add(&file);
        }
        seeder.tell(&scene.peers, &file);
        seeder.tell_torrent(&scene.peers, &file);
    }
    scene
}

/// Some of the three, and nobody else, are blamed, unless nothing whole was taken from them.
#[track_caller]
fn expect_colluders_named(scene: &Scene) {
    let sent = scene.sent(0);
    if sent[..3].iter().any(|sent| *sent >= 2 * PIECE) {
        let blamed = within(PATIENCE, || (0..3).any(|liar| scene.errors(liar) > 0));
        assert!(blamed, "no liar is blamed, and {sent:?} was sent");
    }
    scene.expect_honest(&[0, 1, 2]);
}

#[test]
fn who_agrees_on_false_hashes_breaks_an_answer_off_at_worst() {
    let scene = collusion();
    let mut client = scene.node().connect();
    client.send(&Request::get(&scene.url(0))).unwrap();
    let head = client.head().unwrap();
    let body = client.rest(&head).map(|body| crate::kit::Response {
        status: 200,
        body,
        ..Default::default()
    });
    let cut = is_cut(&body);
    if !cut {
        body.unwrap().expect(scene.file(0));
    }
    let next = scene.fetch(0);
    if cut {
        // What a client has of the broken one does not fit the right one.
        assert_ne!(head.header("ETag"), next.header("ETag"));
        assert_ne!(head.header("Last-Modified"), next.header("Last-Modified"));
    }
    scene.fetch(0);
    expect_colluders_named(&scene);
}

#[test]
fn real_apt_gets_the_right_file_from_those_who_agree_on_false_hashes() {
    let scene = collusion();
    // As apt has it where nobody says otherwise.
    scene.apt.add_config("Acquire::Retries \"3\";");
    let ran = scene.apt.install(&["file0"]);
    assert!(ran.ok, "{}", ran.text);
    assert!(!ran.text.contains("Hash Sum mismatch"), "{}", ran.text);
    assert_eq!(scene.apt.archive("file0"), scene.file(0));
    expect_colluders_named(&scene);
}

#[test]
fn those_who_agree_on_false_hashes_are_no_match_for_a_dead_mirror() {
    let scene = collusion();
    scene.stage.origin.close();
    // The first answers may be broken off; the file comes all the same.
    until("the right file comes", || {
        let answer = scene.node().try_get(&scene.url(0));
        match answer {
            Ok(answer) if answer.status == 200 => {
                answer.expect_body(scene.file(0));
                true
            }
            _ => false,
        }
    });
    expect_colluders_named(&scene);
}

#[test]
fn a_liar_alone_with_a_dead_mirror_gives_nobody_a_wrong_byte() {
    let mut scene = Scene::new(&[LARGE, SMALL]);
    scene.add(&[LIAR]);
    for number in [0, 1] {
        scene.seed(number);
    }
    scene.stage.origin.close();
    for number in [0, 1] {
        let answer = scene.node().try_get(&scene.url(number));
        assert!(
            answer.as_ref().is_ok_and(|answer| answer.status >= 500) || is_cut(&answer),
            "a wrong file was completed"
        );
        assert!(scene.node().copies_of(scene.file(number)).is_empty());
    }
    until("the liar is blamed", || scene.errors(0) > 0);
}
