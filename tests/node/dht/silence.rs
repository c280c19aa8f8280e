//! Packets that draw no answer, and that no answer outweighs.

use super::{asker, expect_silence, joined, lone};
use crate::kit::bencode::{Ben, list};
use crate::kit::krpc::{Id, MAX_PACKET, fresh_t, query};
use crate::kit::{Peer, SOON, noise};
use std::time::Duration;

const ID: Id = [b'a'; 20];

/// A good query, but for this change.
fn changed(change: impl FnOnce(&mut Ben)) -> Vec<u8> {
    let good = query(&fresh_t(), &ID, "ping", &[]);
    let mut packet = Ben::read(&good).unwrap();
    change(&mut packet);
    packet.written()
}

fn good() -> Vec<u8> {
    changed(|_| ())
}

#[test]
fn a_transaction_id_of_another_length_is_dropped() {
    let (node, peer) = (lone(), asker());
    let lengths = [0, 1, 2, 4, 8, 19, 21, 32, 200];
    let of_length = |len: &usize| changed(|query| query.insert("t", (&vec![b'x'; *len]).into()));
    let mut packets: Vec<_> = lengths.iter().map(of_length).collect();
    for t in [7.into(), list(&[fresh_t()])] {
        packets.push(changed(|query| query.insert("t", t)));
    }
    expect_silence(&peer, &node, &packets);
}

#[test]
fn what_lacks_t_y_q_or_a_is_dropped() {
    let (node, peer) = (lone(), asker());
    let keys = ["t", "y", "q", "a"];
    let mut packets = vec![b"de".to_vec()];
    for missing in keys {
        packets.push(changed(|query| query.remove(missing)));
        packets.push(changed(|query| {
            let others = keys.iter().filter(|key| **key != missing);
            others.for_each(|key| query.remove(key));
        }));
    }
    packets.push(changed(|query| {
        query.remove("q");
        query.remove("a");
    }));
    expect_silence(&peer, &node, &packets);
}

#[test]
fn another_kind_is_dropped() {
    let (node, peer) = (lone(), asker());
    let texts = ["x", "", "qq", "Q", "r", "e"].map(Ben::from);
    let kinds = texts.into_iter().chain([1.into(), list(&["q"])]);
    let packets: Vec<_> = kinds
        .map(|kind| changed(|query| query.insert("y", kind)))
        .collect();
    expect_silence(&peer, &node, &packets);
}

#[test]
fn what_does_not_decode_is_dropped() {
    let (node, peer) = (lone(), asker());
    let whole = good();
    let mut packets: Vec<_> = (0..whole.len()).map(|len| whole[..len].to_vec()).collect();
    packets.extend([
        [&whole[..], b"e"].concat(),
        [&whole[..], &whole[..]].concat(),
        [b"x", &whole[..]].concat(),
        b"i1e".to_vec(),
        b"4:ping".to_vec(),
        b"l4:pinge".to_vec(),
        b"0:".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 100],
        vec![0xFF; MAX_PACKET],
    ]);
    expect_silence(&peer, &node, &packets);
}

#[test]
fn the_queries_of_bittorrent_are_dropped() {
    let (node, peer) = (lone(), asker());
    let packets: [&[u8]; 3] = [
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e\
          1:q9:find_node1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e\
          1:q9:get_peers1:t4:aaaa1:v4:LT\x01\x021:y1:qe",
    ];
    expect_silence(&peer, &node, &packets);
}

#[test]
fn huge_numbers_and_lengths_are_dropped() {
    let (node, peer) = (lone(), asker());
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8(good()).unwrap();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    };
    let mut packets = vec![
        replaced("1:q4", "1:nie1:q4"),
        replaced("1:q4", &format!("1:ni{}e1:q4", "9".repeat(1000))),
    ];
    for length in [
        "99999999999999999999",
        "18446744073709551615",
        "4294967295",
        "2147483647",
        "-1",
        "1500",
    ] {
        packets.push(replaced("4:ping", &format!("{length}:ping")));
    }
    expect_silence(&peer, &node, &packets);
}

#[test]
fn deep_nesting_is_dropped_and_harms_nothing() {
    let (node, peer) = (lone(), asker());
    let depth = 250;
    let lists = [b"l".repeat(depth), b"e".repeat(depth)].concat();
    let dicts = [b"d1:x".repeat(depth), b"de".to_vec(), b"e".repeat(depth)].concat();
    let end = |more: &[u8]| {
        let whole = good();
        [&whole[..whole.len() - 1], b"1:z", more, b"e"].concat()
    };
    let packets = [
        vec![b'l'; MAX_PACKET],
        b"d1:a".repeat(MAX_PACKET / 4),
        lists.clone(),
        dicts.clone(),
        end(&lists),
        end(&dicts),
    ];
    assert!(packets.iter().all(|packet| packet.len() <= MAX_PACKET));
    expect_silence(&peer, &node, &packets);
}

#[test]
fn a_packet_that_is_too_long_is_dropped() {
    let (node, peer) = (lone(), asker());
    let long = |len: usize| {
        let filled =
            |filler: usize| changed(|query| query.insert("zz", (&vec![b'z'; filler]).into()));
        let packet = filled(1000 + len - filled(1000).len());
        assert_eq!(packet.len(), len);
        packet
    };
    expect_silence(&peer, &node, &[1473, 1474, 2000, 9000].map(long));
    peer.send(node.dht_addr(), &long(MAX_PACKET));
    crate::kit::until("an answer to the longest", || peer.answers().len() == 2);
}

#[test]
fn random_bytes_never_draw_an_answer() {
    let (node, peer) = (lone(), asker());
    let mut packets: Vec<_> = (0..3000)
        .map(|seed| noise(seed, usize::try_from(seed % 1472).unwrap()))
        .collect();
    // Those that begin as a packet does, and those with a wrong byte.
    for seed in 0..1000 {
        let bytes = noise(seed, 60);
        packets.push([b"d1:ad2:id20:".as_slice(), &bytes].concat());
        let mut packet = good();
        let end = packet.len() - 1;
        packet[end] = bytes[0] | 0x80;
        packets.push(packet);
    }
    expect_silence(&peer, &node, &packets);
}

/// Queries that are broken in many ways, each with a transaction id of its own.
fn broken() -> Vec<(Id, Vec<u8>)> {
    let arguments = [
        "de",
        "le",
        "i1e",
        "0:",
        "d2:id0:e",
        "d2:idi1ee",
        "d2:id20:aaaaaaaaaaaaaaaaaaaa1:x0:e",
        "d2:id20:aaaaaaaaaaaaaaaaaaaa3:key20:aaaaaaaaaaaaaaaaaaaa3:num0:e",
        "d3:key20:aaaaaaaaaaaaaaaaaaaa5:token0:5:value0:e",
        "d2:id20:aaaaaaaaaaaaaaaaaaaa3:key20:aaaaaaaaaaaaaaaaaaaa5:token0:5:valuei0ee",
    ];
    let methods = [
        "0:",
        "1:p",
        "i1e",
        "le",
        "de",
        "9:get_peers",
        "4:ping",
        "4:join",
        "9:find_node",
        "10:find_value",
        "9:get_value",
        "11:store_value",
    ];
    let packet = |a: &str, q: &str| {
        let t = fresh_t();
        let text = format!("d1:a{a}1:q{q}1:t20:{}1:y1:qe", String::from_utf8_lossy(&t));
        (t, text.into_bytes())
    };
    let all = arguments.iter().map(|a| methods.map(|q| packet(a, q)));
    all.flatten().collect()
}

#[test]
fn a_broken_query_never_draws_more_bytes_than_it_weighs() {
    // One that answers, lest its budget hides the answers.
    let peer = Peer::new();
    let node = joined(&[&peer]);
    let packets = broken();
    for (_, packet) in &packets {
        peer.send(node.dht_addr(), packet);
        std::thread::sleep(Duration::from_millis(2));
    }
    peer.ask_node(&node, "ping", &[]);
    std::thread::sleep(SOON);
    let answers = peer.answers();
    let mut drawn = 0;
    for (t, packet) in &packets {
        let mut here = answers.iter().filter(|answer| answer.t == t);
        let Some(answer) = here.next() else {
            continue;
        };
        let (question, answered) = (packet.escape_ascii(), answer.bytes.escape_ascii());
        assert!(answer.code() != 0, "{question} drew {answered}");
        assert!(
            answer.bytes.len() <= packet.len(),
            "{question} drew {answered}"
        );
        assert!(here.next().is_none(), "{question} drew two answers");
        drawn += 1;
    }
    assert!(drawn > packets.len() / 2, "{drawn} of {}", packets.len());
}
