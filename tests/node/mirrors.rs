//! `[[mirror]]`: a name of its own, several origins, tried in order.

use crate::kit::{Config, Manner, Node, Origin, noise, until};
use std::time::Duration;

const DEB: &str = "/pool/main/h/hello/hello_1_all.deb";

/// Two origins with the same file below `/debian`, and a node that has both as one mirror.
pub fn two_origins() -> (Node, Origin, Origin, Vec<u8>) {
    let body = noise(61, 20_000);
    let origins = [Origin::start(), Origin::start()];
    for origin in &origins {
        origin.put(&format!("/debian{DEB}"), &body);
    }
    let upstreams = origins.iter().map(|origin| origin.url("/debian")).collect();
    let node = Node::with(Config {
        mirrors: vec![("debian".to_owned(), upstreams)],
        ..Config::default()
    });
    let [first, second] = origins;
    (node, first, second, body)
}

/// That file below the mirror's name.
pub fn named() -> String {
    format!("/debian{DEB}")
}

#[test]
fn a_mirror_is_served_under_its_name_from_its_first_origin() {
    let (node, first, second, body) = two_origins();
    node.get(&named()).expect(&body);
    node.settle(&named());
    node.get(&named()).expect(&body);
    assert_eq!((first.hits(&named()), second.hits(&named())), (1, 0));
}

#[test]
fn the_second_origin_helps_when_the_first_refuses() {
    let (node, first, second, body) = two_origins();
    first.close();
    node.get(&named()).expect(&body);
    assert_eq!(second.hits(&named()), 1);
}

#[test]
fn the_second_origin_helps_when_the_first_answers_5xx() {
    let (node, first, second, body) = two_origins();
    first.behave_all(Manner::status(503));
    node.get(&named()).expect(&body);
    assert_eq!((first.hits(&named()), second.hits(&named())), (1, 1));
}

#[test]
fn the_second_origin_helps_when_the_first_is_silent() {
    let (node, first, second, body) = two_origins();
    first.behave_all(Manner::silent());
    let answer = node.get(&named()).expect(&body);
    assert!(answer.took < Duration::from_secs(12), "{:?}", answer.took);
    assert_eq!(second.hits(&named()), 1);
}

#[test]
fn the_second_origin_finishes_what_the_first_began() {
    let (node, first, second, body) = two_origins();
    first.behave(&named(), Manner::good().cut_after(8000).times(1));
    first.behave_all(Manner::status(503));
    node.get(&named()).expect(&body);
    assert!(first.hits(&named()) + second.hits(&named()) >= 2);
}

#[test]
fn a_file_missing_everywhere_is_404() {
    let (node, _first, _second, _) = two_origins();
    node.get("/debian/pool/none_1_all.deb").expect_status(404);
}

#[test]
fn all_origins_down_is_an_honest_5xx() {
    let (node, first, second, _) = two_origins();
    first.close();
    second.close();
    let answer = node.get(&named());
    assert!((502..=504).contains(&answer.status), "{}", answer.status);
    assert!(answer.took < Duration::from_secs(5), "{:?}", answer.took);
}

#[test]
fn an_index_of_a_mirror_is_revalidated_and_stale_when_all_are_down() {
    let (node, first, second, _) = two_origins();
    let path = "/debian/dists/sid/InRelease";
    for origin in [&first, &second] {
        origin.put(path, b"generation one");
    }
    node.get(path).expect(b"generation one");
    node.until_number("/cache/files", 1);
    first.put(path, b"generation two");
    node.get(path).expect(b"generation two");
    first.close();
    second.close();
    let stale = node.get(path).expect(b"generation two");
    assert!(stale.took < crate::kit::STALE_WITHIN, "{:?}", stale.took);
}

#[test]
fn an_origin_that_was_ill_is_asked_first_again_when_it_is_well() {
    let (node, first, _second, body) = two_origins();
    first.close();
    node.get(&named()).expect(&body);
    first.open();
    first.put("/debian/pool/a_1_all.deb", b"only the first has it");
    until("the first origin is used again", || {
        node.get("/debian/pool/a_1_all.deb").status == 200
    });
}

#[test]
fn a_name_that_is_no_mirror_is_a_host() {
    let (node, first, _second, body) = two_origins();
    node.get(&first.prefixed(&named())).expect(&body);
    let answer = node.get("/nomirror/pool/x.deb");
    assert!((400..=504).contains(&answer.status), "{}", answer.status);
    assert!(!answer.body.is_empty());
}
