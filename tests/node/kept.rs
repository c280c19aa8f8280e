//! Generations that are kept: what was once handed out is there when the upstream has it no more.

use crate::kit::{Config, Packing, Stage, Suite, noise, until};

const PACKAGES: &str = "main/binary-amd64/Packages.xz";

fn xz() -> Suite {
    Suite::new().packings(&[Packing::Xz])
}

/// Four generations of an upstream that keeps one; a client updates at each. What by-hash names
/// there were, and their bytes.
fn four_generations() -> (Stage, Vec<(String, Vec<u8>)>) {
    let mut stage = Stage::new(xz().keep(0));
    let apt = stage.client();
    let mut names = Vec::new();
    for _ in 0..4 {
        apt.update().expect();
        names.push((stage.by_hash(PACKAGES), stage.bytes(PACKAGES).to_vec()));
        stage.advance();
    }
    stage.node.calm();
    stage.origin.forget();
    (stage, names)
}

#[track_caller]
fn expect_kept(stage: &Stage, names: &[(String, Vec<u8>)]) {
    for (generation, (name, bytes)) in (1..).zip(names) {
        let answer = stage.node.get(&stage.index_url(name));
        assert_eq!(answer.status, 200, "by hash of generation {generation}");
        assert!(answer.is_hit(), "generation {generation} is no hit");
        answer.expect_body(bytes);
        let asked = stage.hits(&format!("dists/stable/{name}"));
        assert_eq!(asked, 0, "the origin was asked about {generation}");
    }
}

#[test]
fn by_hash_names_outlive_their_generation_at_the_upstream() {
    let (stage, names) = four_generations();
    expect_kept(&stage, &names);
}

#[test]
fn by_hash_names_outlive_a_restart() {
    let (mut stage, names) = four_generations();
    stage.node.stop();
    stage.node.launch();
    expect_kept(&stage, &names);
    let apt = stage.client();
    apt.update().expect();
    assert_eq!(apt.generation(1), 5);
}

#[test]
fn by_hash_names_outlive_a_kill() {
    let (mut stage, names) = four_generations();
    stage.node.kill9();
    stage.node.launch();
    expect_kept(&stage, &names);
    stage.origin.close();
    let apt = stage.client();
    apt.update().expect();
    assert_eq!(apt.generation(1), 4);
}

#[test]
fn by_hash_names_are_kept_of_generations_whose_indexes_nobody_asked_for() {
    let mut stage = Stage::new(xz().keep(0));
    stage.client().update().expect();
    let mut names = vec![(stage.by_hash(PACKAGES), stage.bytes(PACKAGES).to_vec())];
    for _ in 0..3 {
        stage.advance();
        stage.get("InRelease").expect(stage.bytes("InRelease"));
        names.push((stage.by_hash(PACKAGES), stage.bytes(PACKAGES).to_vec()));
    }
    stage.advance();
    for (generation, (name, bytes)) in (1..).zip(&names) {
        let answer = stage.node.get(&stage.index_url(name));
        assert_eq!(answer.status, 200, "by hash of generation {generation}");
        answer.expect_body(bytes);
    }
}

#[test]
fn a_flip_and_a_kill_at_once_leave_one_generation() {
    for by_hash in [true, false] {
        let mut stage = Stage::new(xz().by_hash(by_hash).keep(0));
        let apt = stage.client();
        apt.update().expect();
        for requests in 1..4 {
            let next = stage.suite.publish();
            stage.show(&next);
            let after = stage.suite.publish();
            stage.origin.show_after(requests, "/debian", &after);
            stage.get("InRelease").expect_status(200);
            stage.node.kill9();
            stage.node.launch();
            apt.update().expect();
            apt.generation(1);
            stage.origin.show_now();
        }
        until("the newest generation", || {
            apt.update().expect();
            apt.generation(1) == stage.suite.number()
        });
    }
}

#[test]
fn indexes_in_use_are_not_evicted() {
    let config = Config {
        max_size: "2MiB".to_owned(),
        ..Config::default()
    };
    let stage = Stage::with(xz().keep(0), config);
    stage.client().update().expect();
    stage.until_current();
    for seed in 0..20 {
        let path = format!("pool/f{seed}_1_all.deb");
        stage
            .origin
            .put(&format!("/debian/{path}"), &noise(seed, 200_000));
        stage.node.get(&stage.url(&path)).expect_status(200);
    }
    stage.node.calm();
    stage.origin.close();
    let apt = stage.client();
    apt.update().expect();
    assert_eq!(apt.generation(1), 1);
}
