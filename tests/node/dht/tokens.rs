//! Who may store a value.

use super::{asker, beside, lone};
use crate::kit::bencode::Ben;
use crate::kit::krpc::Id;

const KEY: Id = *b"a key of that length";

#[test]
fn a_token_is_bound_to_the_address_and_not_to_the_port_or_the_id() {
    let (node, peer) = (lone(), asker());
    let token = peer.token(&node);
    let other = beside(&peer);
    assert_eq!(other.addr().ip(), peer.addr().ip());
    let stored = other.store_by(&node, KEY, b"value", token.clone());
    assert_eq!(stored.bytes_of("id"), node.id());
    assert_eq!(other.token(&node), token);
    // It is good for any key, and again.
    let again = peer.store_by(&node, [1; 20], b"value", token);
    assert_eq!(again.bytes_of("id"), node.id());
}

#[test]
fn the_token_of_another_address_is_205() {
    let (node, one, other) = (lone(), asker(), asker());
    let token = one.token(&node);
    assert_ne!(other.token(&node), token);
    other
        .store_by(&node, KEY, b"value", token)
        .expect_error(205);
    assert_eq!(one.count(&node, KEY), 0);
    assert_eq!(node.number("/dht/values"), 0);
}

#[test]
fn a_made_up_token_is_205() {
    let (node, peer) = (lone(), asker());
    let Ben::Bytes(mut token) = peer.token(&node) else {
        panic!("no token");
    };
    token[19] ^= 1;
    for token in [&token[..], &[0; 20], &[0xFF; 20]] {
        peer.store_by(&node, KEY, b"value", token.into())
            .expect_error(205);
    }
    assert_eq!(peer.count(&node, KEY), 0);
}

#[test]
fn a_token_of_another_length_is_refused() {
    let (node, peer) = (lone(), asker());
    let Ben::Bytes(token) = peer.token(&node) else {
        panic!("no token");
    };
    let longer = [&token[..], b"x"].concat();
    for token in [&token[..19], &longer, b"", &token.repeat(10)] {
        let answer = peer.store_by(&node, KEY, b"value", token.into());
        assert!([204, 205].contains(&answer.code()), "{answer:?}");
    }
    assert_eq!(peer.count(&node, KEY), 0);
}

#[test]
fn nodes_have_different_tokens() {
    let (one, other, peer) = (lone(), lone(), asker());
    let token = peer.token(&one);
    assert_ne!(peer.token(&other), token);
    peer.store_by(&other, KEY, b"value", token)
        .expect_error(205);
}
