//! Peers and a DHT that are worth nothing cost nothing.

use super::{LARGE, PACE, SMALL, Scene};
use crate::kit::{Conduct, Manner, PIECE, Request, Seeding, Wrong};
use std::time::{Duration, Instant};

/// Fails unless a large file comes as fast as from the mirror alone, with three such peers.
#[track_caller]
fn expect_no_harm(seeding: Seeding) -> Scene {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[seeding; 3]);
    scene.seed(0);
    scene.expect_no_harm(0);
    if !matches!(seeding, Seeding::Dead) {
        scene.expect_asked();
    }
    scene
}

#[test]
fn dead_peers() {
    expect_no_harm(Seeding::Dead).expect_honest(&[]);
}

#[test]
fn peers_that_refuse() {
    expect_no_harm(Seeding::Refusing).expect_honest(&[]);
}

#[test]
fn silent_peers() {
    expect_no_harm(Seeding::Silent).expect_honest(&[]);
}

#[test]
fn peers_that_fall_silent_at_the_first_bytes() {
    expect_no_harm(Seeding::Stalling(1000)).expect_honest(&[]);
}

#[test]
fn peers_that_fall_silent_in_the_middle_of_a_piece() {
    expect_no_harm(Seeding::Stalling(PIECE / 2)).expect_honest(&[]);
}

#[test]
fn peers_that_break_off() {
    expect_no_harm(Seeding::Breaking(PIECE / 2)).expect_honest(&[]);
}

#[test]
fn peers_that_answer_after_a_while() {
    expect_no_harm(Seeding::Lagging(Duration::from_secs(5))).expect_honest(&[]);
}

#[test]
fn who_resumes_waits_for_no_peers_that_are_worth_nothing() {
    for seeding in [Seeding::Dead, Seeding::Silent, Seeding::Stalling(1000)] {
        let mut scene = Scene::new(&[2 * LARGE]);
        // The whole takes six seconds.
        scene.mirror(0, Manner::good().pace(2_000_000));
        scene.add(&[seeding; 3]);
        scene.seed(0);
        let from = 2 * LARGE - 500_000;
        let request = Request::get(&scene.url(0)).header("Range", &format!("bytes={from}-"));
        let answer = scene.node().ask(&request).expect_status(206);
        let took = answer.expect_body(&scene.file(0)[from..]).took;
        assert!(took < Duration::from_secs(2), "{seeding:?}: {took:?}");
    }
}

#[test]
fn lying_peers() {
    let scene = expect_no_harm(Seeding::Corrupting(Wrong::Every));
    let errors: u64 = (0..3).map(|seeder| scene.errors(seeder)).sum();
    assert!(errors > 0);
}

#[test]
fn peers_that_say_it_is_longer() {
    expect_no_harm(Seeding::Longer);
}

#[test]
fn peers_that_say_it_is_shorter() {
    expect_no_harm(Seeding::Shorter);
}

#[test]
fn peers_with_other_torrent_strings_than_they_say() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[Seeding::Forging; 3]);
    let file = scene.file(0).to_vec();
    for seeder in &scene.seeders {
        seeder.add(&file);
        seeder.tell(&scene.peers, &file);
    }
    scene.expect_no_harm(0);
}

#[test]
fn slow_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[Seeding::Honest; 3]);
    scene.limit(20_000);
    scene.seed(0);
    scene.expect_no_harm(0);
    scene.expect_asked();
    scene.expect_honest(&[]);
}

#[test]
fn peers_half_as_fast_as_they_would_have_to_be() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[Seeding::Honest; 4]);
    scene.limit(PACE / 8);
    scene.seed(0);
    scene.expect_no_harm(0);
    scene.expect_asked();
    scene.expect_honest(&[]);
}

#[test]
fn a_silent_dht() {
    let scene = Scene::new(&[LARGE, SMALL]);
    for number in [0, 1] {
        scene.slow_mirror(number);
    }
    for peer in &scene.peers {
        peer.behave(Conduct::Silent);
    }
    scene.expect_no_harm(0);
    scene.expect_no_harm(1);
}

#[test]
fn a_dht_that_tells_nonsense() {
    let scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    let key = super::key_of(scene.file(0));
    for (peer, nonsense) in scene.peers.iter().zip([
        b"".as_slice(),
        b"d1:c6:\x7f\0\0\x01\0\0e",
        b"d1:c6:\x7f\x01\x02\x031\x09e garbage",
        b"d1:c6:\x7f\x01\x02\x031\x091:h3:abce",
    ]) {
        peer.keep(key, nonsense);
    }
    scene.expect_no_harm(0);
}

#[test]
fn a_dht_that_names_many_who_are_not_there() {
    let mut scene = Scene::new(&[LARGE, SMALL]);
    scene.add(&[Seeding::Dead; 16]);
    for number in [0, 1] {
        scene.slow_mirror(number);
        scene.seed(number);
        scene.expect_no_harm(number);
    }
}

#[test]
fn a_small_file_with_peers_of_every_bad_kind() {
    let kinds = [
        Seeding::Dead,
        Seeding::Refusing,
        Seeding::Silent,
        Seeding::Stalling(100),
        Seeding::Breaking(100),
        Seeding::Lagging(Duration::from_secs(5)),
        Seeding::Corrupting(Wrong::Every),
        Seeding::Longer,
        Seeding::Shorter,
    ];
    let mut scene = Scene::new(&[SMALL; 9]);
    for (number, kind) in kinds.into_iter().enumerate() {
        scene.add(&[kind]);
        scene.seed_by(number, &scene.seeders[number..]);
        scene.expect_no_harm(number);
    }
}

#[test]
fn nothing_anywhere_is_said_soon() {
    let mut scene = Scene::new(&[LARGE, SMALL, SMALL]);
    scene.add(&[Seeding::Dead; 3]);
    for number in [0, 1] {
        scene.seed(number);
    }
    scene.stage.origin.close();
    for number in [0, 1, 2] {
        let answer = scene.get(number);
        assert!((500..600).contains(&answer.status), "{}", answer.status);
        assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
        assert!(answer.text().trim().contains(' '), "{:?}", answer.text());
    }
}

#[test]
fn where_the_mirror_says_404_and_no_peer_has_it_it_is_404() {
    let scene = Scene::new(&[SMALL]);
    scene.mirror(0, Manner::status(404));
    let answer = scene.get(0).expect_status(404);
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
}

#[test]
fn a_peer_that_dies_in_the_middle() {
    let mut scene = Scene::new(&[LARGE]);
    scene.add(&[Seeding::Dying(700_000), Seeding::Honest, Seeding::Honest]);
    scene.limit(2_000_000);
    scene.seed(0);
    scene.stage.origin.close();
    scene.fetch(0);
    scene.expect_honest(&[]);
}

#[test]
fn all_peers_that_die_in_the_middle() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[Seeding::Dying(1_000_000); 3]);
    scene.limit(PACE);
    scene.seed(0);
    scene.expect_no_harm(0);
    scene.expect_asked();
    scene.expect_honest(&[]);
}

#[test]
fn a_stalled_piece_is_given_to_another_while_the_mirror_is_down() {
    let mut scene = Scene::new(&[LARGE]);
    scene.add(&[Seeding::Stalling(1000), Seeding::Honest, Seeding::Honest]);
    scene.limit(PACE);
    scene.seed(0);
    scene.stage.origin.close();
    let took = scene.fetch(0).took;
    assert!(took < Duration::from_secs(6), "{took:?}");
    scene.expect_honest(&[]);
}

#[test]
fn a_mirror_that_breaks_off_is_helped_out_by_peers() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(PACE).cut_after(1_000_000));
    scene.add(&[Seeding::Honest]);
    scene.limit(PACE);
    scene.seed(0);
    scene.fetch(0);
}

#[test]
fn a_client_that_leaves_does_no_harm_to_the_next() {
    let mut scene = Scene::new(&[LARGE]);
    scene.slow_mirror(0);
    scene.add(&[Seeding::Honest; 3]);
    scene.limit(1_000_000);
    scene.seed(0);
    let mut client = scene.node().connect();
    client.send(&Request::get(&scene.url(0))).unwrap();
    client.head().unwrap().expect_status(200);
    client.take(100_000).unwrap();
    drop(client);
    scene.fetch(0);
    scene.expect_asked();
}

#[test]
fn killed_in_the_middle_it_is_right_afterwards() {
    let mut scene = Scene::new(&[LARGE]);
    scene.mirror(0, Manner::good().pace(500_000));
    scene.add(&[Seeding::Honest; 3]);
    scene.limit(700_000);
    scene.seed(0);
    let mut client = scene.node().connect();
    client.send(&Request::get(&scene.url(0))).unwrap();
    let began = Instant::now();
    crate::kit::until("a third is here", || {
        scene.sent(0).iter().sum::<usize>() > LARGE / 3
    });
    assert!(began.elapsed() < Duration::from_secs(6));
    scene.stage.node.kill9();
    assert!(crate::kit::is_cut(&client.answer(false)));
    let before: usize = scene.sent(0).iter().sum();
    scene.stage.node.launch();
    scene.limit(0);
    scene.fetch(0);
    // What had come is not asked for again, but for what was under way.
    let again: usize = scene.sent(0).iter().sum::<usize>() - before;
    assert!(
        again <= LARGE - LARGE / 6,
        "{again} bytes of {LARGE} after {before}"
    );
    scene.stage.node.settle(&scene.url(0));
    scene.stage.node.calm();
    assert_eq!(scene.node().copies_of(scene.file(0)).len(), 1);
    scene.expect_honest(&[]);
}
