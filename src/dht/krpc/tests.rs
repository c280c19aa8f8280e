mod properties;

use std::collections::HashMap;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::swarm::torrent::{PIECE, TorrentString};

const T: TransactionId = *b"tttttttttttttttttttt";
const OWN: NodeId = NodeId(*b"abcdefghij0123456789");
const KEY: Key = NodeId(*b"mnopqrstuvwxyz123456");
const TOKEN: [u8; 20] = *b"kkkkkkkkkkkkkkkkkkkk";

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn contact(id: u8, addr: &str) -> Contact {
    Contact::new(NodeId([id; 20]), addr.parse().unwrap())
}

fn nodes() -> Vec<Contact> {
    vec![
        contact(b'n', "65.66.67.68:9977"),
        contact(b'm', "[6162:6364:6566:6768:696a:6b6c:6d6e:6f70]:258"),
        contact(b'o', "97.98.99.100:1"),
    ]
}

fn answer(packet: &[u8]) -> Answer {
    match decode(packet) {
        Some(Incoming::Answer { t: T, answer }) => answer,
        other => panic!("{other:?}"),
    }
}

fn empty() -> Answer {
    Answer {
        id: OWN,
        nodes: Vec::new(),
        token: None,
        num: None,
        values: None,
        seen: None,
    }
}

#[test]
fn queries_have_these_bytes() {
    let store = Query::StoreValue {
        key: KEY,
        value: b"hello".to_vec(),
        token: TOKEN.to_vec(),
    };
    for (asked, bytes) in [
        (
            Query::Ping,
            "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        ),
        (
            Query::Join,
            "d1:ad2:id20:abcdefghij0123456789e1:q4:join1:t20:tttttttttttttttttttt1:y1:qe",
        ),
        (
            Query::FindNode { target: KEY },
            "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e\
             1:q9:find_node1:t20:tttttttttttttttttttt1:y1:qe",
        ),
        (
            Query::FindValue { key: KEY },
            "d1:ad2:id20:abcdefghij01234567893:key20:mnopqrstuvwxyz123456e\
             1:q10:find_value1:t20:tttttttttttttttttttt1:y1:qe",
        ),
        (
            Query::GetValue { key: KEY, num: 0 },
            "d1:ad2:id20:abcdefghij01234567893:key20:mnopqrstuvwxyz1234563:numi0ee\
             1:q9:get_value1:t20:tttttttttttttttttttt1:y1:qe",
        ),
        (
            store,
            "d1:ad2:id20:abcdefghij01234567893:key20:mnopqrstuvwxyz123456\
             5:token20:kkkkkkkkkkkkkkkkkkkk5:value5:helloe\
             1:q11:store_value1:t20:tttttttttttttttttttt1:y1:qe",
        ),
    ] {
        assert_eq!(query(&T, &OWN, &asked).unwrap(), bytes.as_bytes());
        let read = decode(bytes.as_bytes());
        let (t, id, query) = (T, OWN, asked);
        assert_eq!(read, Some(Incoming::Query { t, id, query }));
    }
}

#[test]
#[allow(clippy::too_many_lines)]
fn responses_have_these_bytes() {
    let seen = |addr: &str| addr.parse().unwrap();
    let found = Reply::FindNode {
        nodes: nodes(),
        token: TOKEN,
    };
    let (first, third) = (nodes()[0], nodes()[2]);
    let id_alone = b"d1:rd2:id20:abcdefghij0123456789e1:t20:tttttttttttttttttttt1:y1:re";
    let cases: [(Reply, bool, &[u8], Answer); 9] = [
        (Reply::Ping, false, id_alone, empty()),
        (Reply::StoreValue, true, id_alone, empty()),
        (
            Reply::Join {
                seen: seen("[::ffff:1.2.3.4]:9977"),
            },
            false,
            b"d1:rd2:id20:abcdefghij01234567897:ip_addr7:1.2.3.44:porti9977ee\
              1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                seen: Some(seen("1.2.3.4:9977")),
                ..empty()
            },
        ),
        (
            Reply::Join {
                seen: seen("[2001:db8::7]:1"),
            },
            true,
            b"d1:rd2:id20:abcdefghij01234567897:ip_addr11:2001:db8::74:porti1ee\
              1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                seen: Some(seen("[2001:db8::7]:1")),
                ..empty()
            },
        ),
        (
            found.clone(),
            false,
            b"d1:rd2:id20:abcdefghij01234567895:nodesl\
              26:nnnnnnnnnnnnnnnnnnnnABCD\x26\xf926:ooooooooooooooooooooabcd\x00\x01e\
              5:token20:kkkkkkkkkkkkkkkkkkkke1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                nodes: vec![first, third],
                token: Some(TOKEN.to_vec()),
                ..empty()
            },
        ),
        (
            found,
            true,
            b"d1:rd2:id20:abcdefghij01234567895:nodesl\
              26:nnnnnnnnnnnnnnnnnnnnABCD\x26\xf926:ooooooooooooooooooooabcd\x00\x01e\
              6:nodes6l38:mmmmmmmmmmmmmmmmmmmmabcdefghijklmnop\x01\x02e\
              5:token20:kkkkkkkkkkkkkkkkkkkke1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                nodes: vec![first, third, nodes()[1]],
                token: Some(TOKEN.to_vec()),
                ..empty()
            },
        ),
        (
            Reply::FindValue {
                nodes: vec![first],
                num: 12,
            },
            false,
            b"d1:rd2:id20:abcdefghij01234567895:nodesl26:nnnnnnnnnnnnnnnnnnnnABCD\x26\xf9e\
              3:numi12ee1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                nodes: vec![first],
                num: Some(12),
                ..empty()
            },
        ),
        (
            Reply::GetValue {
                values: vec![Arc::from(*b"one"), Arc::default()],
            },
            false,
            b"d1:rd2:id20:abcdefghij01234567896:valuesl3:one0:ee\
              1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                values: Some(vec![b"one".to_vec(), Vec::new()]),
                ..empty()
            },
        ),
        (
            Reply::FindNode {
                nodes: Vec::new(),
                token: TOKEN,
            },
            false,
            b"d1:rd2:id20:abcdefghij01234567895:nodesle5:token20:kkkkkkkkkkkkkkkkkkkke\
              1:t20:tttttttttttttttttttt1:y1:re",
            Answer {
                token: Some(TOKEN.to_vec()),
                ..empty()
            },
        ),
    ];
    for (given, with_nodes6, bytes, expected) in cases {
        let packet = reply(&T, &OWN, &given, with_nodes6, &mut rng());
        assert_eq!(packet, bytes, "{given:?}");
        assert_eq!(answer(bytes), expected);
    }
}

#[test]
fn errors_have_these_bytes() {
    let bytes = b"d1:eli203e14:unknown methode1:t20:tttttttttttttttttttt1:y1:ee";
    let packet = error(&T, code::UNKNOWN_METHOD, "unknown method", MAX_PACKET);
    assert_eq!(packet.unwrap(), bytes);
    assert_eq!(decode(bytes), Some(Incoming::Error { t: T, code: 203 }));
}

#[test]
fn an_error_is_cut_to_what_it_may_weigh() {
    let whole = error(&T, 204, "twelve chars", 1000).unwrap();
    assert_eq!(error(&T, 204, "twelve chars", whole.len()).unwrap(), whole);
    let cut = error(&T, 204, "twelve chars", whole.len() - 1).unwrap();
    assert_eq!(cut.len(), whole.len() - 1);
    // One digit of the length goes with the third character.
    let cut = error(&T, 204, "twelve chars", whole.len() - 3).unwrap();
    assert_eq!(cut.len(), whole.len() - 4);
    let least = whole.len() - "twelve chars".len() - 1;
    assert_eq!(error(&T, 204, "twelve chars", least).unwrap().len(), least);
    assert_eq!(error(&T, 204, "twelve chars", least - 1), None);
    assert_eq!(error(&T, 204, "", 0), None);
    let accents = error(&T, 204, "éé", least + 3).unwrap();
    assert_eq!(accents.len(), least + 2);
}

/// A query with `arguments` in its `a` (each with its key) beside an id.
fn asked(method: &str, arguments: &[u8]) -> Vec<u8> {
    let (length, own) = (method.len(), OWN.0);
    [
        b"d1:ad2:id20:",
        own.as_slice(),
        arguments,
        format!("e1:q{length}:{method}1:t20:").as_bytes(),
        T.as_slice(),
        b"1:y1:qe",
    ]
    .concat()
}

fn refusal(packet: &[u8]) -> i64 {
    match decode(packet) {
        Some(Incoming::Refused { t: T, code, .. }) => code,
        other => panic!("{other:?} of {}", packet.escape_ascii()),
    }
}

#[test]
fn bad_queries_draw_the_right_error() {
    for packet in [
        "d1:ad2:id20:abcdefghij0123456789e1:qi1e1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:qle1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ale1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:a2:id1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ai0e1:q4:nope1:t20:tttttttttttttttttttt1:y1:qe",
    ] {
        assert_eq!(refusal(packet.as_bytes()), 202, "{packet}");
    }
    for method in ["", "PING", "ping ", "find_nodes", "\u{fe}", "get_peers"] {
        assert_eq!(refusal(&asked(method, b"")), 203, "{method}");
    }
    let key = b"3:key20:mnopqrstuvwxyz123456".as_slice();
    let num = b"3:numi3e".as_slice();
    let token = b"5:token20:kkkkkkkkkkkkkkkkkkkk".as_slice();
    let value = b"5:value2:vv".as_slice();
    let target = b"6:target20:mnopqrstuvwxyz123456".as_slice();
    for (method, arguments) in [
        ("ping", vec![target]),
        ("ping", vec![b"4:want2:n4"]),
        ("ping", vec![b"1:\xff0:"]),
        ("join", vec![num]),
        ("find_node", vec![]),
        ("find_node", vec![key]),
        ("find_node", vec![key, target]),
        ("find_node", vec![b"6:target19:mnopqrstuvwxyz12345"]),
        ("find_node", vec![b"6:targeti20e"]),
        ("find_value", vec![target]),
        ("find_value", vec![b"3:key21:mnopqrstuvwxyz1234567"]),
        ("find_value", vec![b"3:keyl20:mnopqrstuvwxyz123456e"]),
        ("get_value", vec![key]),
        ("get_value", vec![num]),
        ("get_value", vec![key, b"3:numi-1e"]),
        ("get_value", vec![key, b"3:num1:3"]),
        ("get_value", vec![key, num, token]),
        ("store_value", vec![key, token]),
        ("store_value", vec![key, value]),
        ("store_value", vec![token, value]),
        ("store_value", vec![key, token, b"5:valuei2e"]),
        ("store_value", vec![key, b"5:tokende", value]),
        ("store_value", vec![key, token, value, b"6:value21:v"]),
    ] {
        let packet = asked(method, &arguments.concat());
        assert_eq!(refusal(&packet), 204, "{}", packet.escape_ascii());
    }
    for packet in [
        "d1:ade1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ad2:idi7ee1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
    ] {
        assert_eq!(refusal(packet.as_bytes()), 204, "{packet}");
    }
}

#[test]
fn what_is_odd_but_harmless_is_understood() {
    let ping = Some(Incoming::Query {
        t: T,
        id: OWN,
        query: Query::Ping,
    });
    let unsorted = b"d1:y1:q1:t20:tttttttttttttttttttt1:q4:ping1:ad2:id20:abcdefghij0123456789ee";
    let with_more = b"d0:i0e1:ad2:id20:abcdefghij0123456789e1:eli1ee1:q4:ping1:ri7e\
        1:t20:tttttttttttttttttttt1:v4:\xff\xfe\xfd\xfc1:xd1:ylee1:y1:q2:yy0:1:\xff0:e";
    assert_eq!(decode(unsorted), ping);
    assert_eq!(decode(with_more), ping);
    for (token, length) in [("", 0), ("short", 5), ("a token longer than our own", 27)] {
        let arguments = format!("3:key20:mnopqrstuvwxyz1234565:token{length}:{token}5:value0:");
        let Some(Incoming::Query { query, .. }) =
            decode(&asked("store_value", arguments.as_bytes()))
        else {
            panic!("{token}");
        };
        let (key, value, token) = (KEY, Vec::new(), token.into());
        assert_eq!(query, Query::StoreValue { key, value, token });
    }
    let much = b"3:key20:mnopqrstuvwxyz1234563:numi5000000000e";
    let Some(Incoming::Query { query, .. }) = decode(&asked("get_value", much)) else {
        panic!();
    };
    let (key, num) = (KEY, u32::MAX);
    assert_eq!(query, Query::GetValue { key, num });
}

#[test]
fn what_is_of_no_kind_is_dropped() {
    for packet in [
        "",
        "hello",
        "i1e",
        "le",
        "de",
        // Another length of t, as BitTorrent's nodes have.
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t19:ttttttttttttttttttt1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:ti20e1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttte",
        "d1:ad2:id20:abcdefghij0123456789e1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:q4:ping1:t20:tttttttttttttttttttt1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y1:xe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y2:qqe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y0:e",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:yi1ee",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y1:q",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t20:tttttttttttttttttttt1:y1:qee",
        "d1:rd2:id20:abcdefghij0123456789e1:t20:tttttttttttttttttttt1:y1:qe",
        // Responses and errors.
        "d1:t20:tttttttttttttttttttt1:y1:re",
        "d1:rde1:t20:tttttttttttttttttttt1:y1:re",
        "d1:rle1:t20:tttttttttttttttttttt1:y1:re",
        "d1:rd2:id19:abcdefghij012345678e1:t20:tttttttttttttttttttt1:y1:re",
        "d1:rd2:idlee1:t20:tttttttttttttttttttt1:y1:re",
        "d1:t20:tttttttttttttttttttt1:y1:ee",
        "d1:e0:1:t20:tttttttttttttttttttt1:y1:ee",
        "d1:ele1:t20:tttttttttttttttttttt1:y1:ee",
        "d1:eli203ee1:t20:tttttttttttttttttttt1:y1:ee",
        "d1:el3:2034:texte1:t20:tttttttttttttttttttt1:y1:ee",
        "d1:eli203ei1ee1:t20:tttttttttttttttttttt1:y1:ee",
    ] {
        assert_eq!(decode(packet.as_bytes()), None, "{packet}");
    }
}

#[test]
fn only_a_whole_packet_of_the_right_length_is_read() {
    let padded = |len: usize| {
        let room = len - asked("ping", b"").len() - "1:z0:".len();
        let digits = room.to_string().len() - 1;
        let pad = "p".repeat(room - digits);
        let tail = format!("1:z{}:{pad}e", pad.len());
        let mut packet = asked("ping", b"");
        packet.pop();
        packet.extend_from_slice(tail.as_bytes());
        packet
    };
    assert_eq!((padded(1472).len(), padded(1473).len()), (1472, 1473));
    assert!(decode(&padded(1472)).is_some());
    assert_eq!(decode(&padded(1473)), None);
}

#[test]
fn of_a_response_what_has_the_right_shape_is_taken() {
    let response = |inner: &str| {
        answer(
            format!("d1:rd2:id20:abcdefghij0123456789{inner}e1:t20:tttttttttttttttttttt1:y1:re")
                .as_bytes(),
        )
    };
    let odd = "5:nodesl25:nnnnnnnnnnnnnnnnnnnnABCDEi7e26:nnnnnnnnnnnnnnnnnnnnABCDEFle0:de\
               38:mmmmmmmmmmmmmmmmmmmmabcdefghijklmnopABe\
               6:nodes6l26:nnnnnnnnnnnnnnnnnnnnABCDEF38:mmmmmmmmmmmmmmmmmmmmabcdefghijklmnopABe\
               6:valuesl2:v1i7elede2:v2e4:zeroi0e";
    let port = u16::from_be_bytes(*b"EF");
    let port6 = u16::from_be_bytes(*b"AB");
    let expected = Answer {
        nodes: vec![
            Contact::new(NodeId([b'n'; 20]), SocketAddr::from((*b"ABCD", port))),
            Contact::new(
                NodeId([b'm'; 20]),
                SocketAddr::from((*b"abcdefghijklmnop", port6)),
            ),
        ],
        values: Some(vec![b"v1".to_vec(), b"v2".to_vec()]),
        ..empty()
    };
    assert_eq!(response(odd), expected);
    for nothing in [
        "",
        "5:nodes26:nnnnnnnnnnnnnnnnnnnnABCDEF6:nodes6de3:num1:35:tokeni1e6:values3:abc",
        "3:numi-1e",
        "7:ip_addr7:1.2.3.4",
        "4:porti9977e",
        "7:ip_addr7:1.2.3.44:porti65536e",
        "7:ip_addr7:1.2.3.44:porti-1e",
        "7:ip_addr7:1.2.3.x4:porti1e",
        "7:ip_addr4:\u{1}\u{2}\u{3}\u{4}4:porti1e",
    ] {
        assert_eq!(response(nothing), empty(), "{nothing}");
    }
    assert_eq!(response("3:numi99999999999e").num, Some(u32::MAX));
    let seen = response("7:ip_addr14:::ffff:1.2.3.44:porti5e").seen;
    assert_eq!(seen, Some("1.2.3.4:5".parse().unwrap()));
}

#[test]
fn not_more_than_so_many_nodes_are_looked_at() {
    let list = |count: usize| "0:".repeat(count) + "26:nnnnnnnnnnnnnnnnnnnnABCDEF";
    for (before, found) in [(MAX_NODES - 1, 1), (MAX_NODES, 0), (600, 0)] {
        let list = list(before);
        let packet = format!(
            "d1:rd2:id20:abcdefghij01234567895:nodesl{list}e5:token1:xe\
             1:t20:tttttttttttttttttttt1:y1:re"
        );
        let answer = answer(packet.as_bytes());
        assert_eq!(
            (answer.nodes.len(), answer.token),
            (found, Some(b"x".to_vec()))
        );
    }
}

#[test]
fn sixty_four_pieces_fit_both_packets() {
    let torrent = |pieces: usize| {
        TorrentString::new(20, PIECE, vec![7; 20 * pieces])
            .unwrap()
            .encode()
    };
    let store = |value: Vec<u8>| Query::StoreValue {
        key: KEY,
        value,
        token: TOKEN.to_vec(),
    };
    let framed = |frame: Vec<u8>, value: &[u8]| {
        frame.len() - "0:".len() + format!("{}:", value.len()).len() + value.len()
    };
    let query_len = |value: &[u8]| framed(query(&T, &OWN, &store(Vec::new())).unwrap(), value);
    let response_len = |value: &[u8]| {
        let values = vec![Arc::default()];
        framed(
            reply(&T, &OWN, &Reply::GetValue { values }, false, &mut rng()),
            value,
        )
    };
    assert!(query_len(&torrent(64)) <= MAX_PACKET && response_len(&torrent(64)) <= MAX_PACKET);
    assert_eq!(query(&T, &OWN, &store(torrent(64))).unwrap().len(), 1461);
    assert_eq!(query_len(&torrent(65)), 1481);
    assert_eq!(query(&T, &OWN, &store(torrent(65))), None);
    assert!(response_len(&torrent(68)) <= MAX_PACKET);
    assert_eq!(response_len(&torrent(69)), 1489);
    for pieces in 0..100 {
        assert_eq!(store_fits(torrent(pieces).len()), pieces <= 64, "{pieces}");
    }
    for len in 0..2000 {
        let value = vec![0; len];
        let fits = query_len(&value) <= MAX_PACKET && response_len(&value) <= MAX_PACKET;
        assert_eq!(store_fits(len), fits, "{len}");
        assert_eq!(
            query(&T, &OWN, &store(value)).is_some(),
            query_len(&vec![0; len]) <= MAX_PACKET
        );
    }
    assert!(!store_fits(usize::MAX));
}

#[test]
fn an_answer_with_the_most_nodes_that_may_be_configured_fits() {
    let most = 19; // of `dht.k`
    let nodes: Vec<_> = (0..most)
        .flat_map(|n| {
            [
                contact(n, "8.8.8.8:65535"),
                contact(n, "[2001:4860::1]:65535"),
            ]
        })
        .collect();
    let reply = Reply::FindNode {
        nodes: nodes.clone(),
        token: [1; 20],
    };
    let own = NodeId([0; 20]);
    let packet = super::reply(&[0; 20], &own, &reply, true, &mut rng());
    let Some(Incoming::Answer { answer, .. }) = decode(&packet) else {
        panic!("it became an error");
    };
    assert_eq!(answer.nodes.len(), nodes.len());
}

#[test]
fn what_could_only_be_too_long_becomes_an_error() {
    let nodes = vec![contact(1, "1.2.3.4:5"); 60];
    for given in [
        Reply::FindNode {
            nodes: nodes.clone(),
            token: TOKEN,
        },
        Reply::FindValue { nodes, num: 7 },
    ] {
        let packet = reply(&T, &OWN, &given, true, &mut rng());
        assert_eq!(decode(&packet), Some(Incoming::Error { t: T, code: 206 }));
    }
    let huge = Reply::GetValue {
        values: vec![Arc::from([0; 5000]), Arc::from(*b"small")],
    };
    let packet = reply(&T, &OWN, &huge, false, &mut rng());
    assert_eq!(answer(&packet).values, Some(vec![b"small".to_vec()]));
}

#[test]
fn exactly_as_much_as_a_packet_holds_is_allowed() {
    let frame = reply(
        &T,
        &OWN,
        &Reply::GetValue { values: Vec::new() },
        false,
        &mut rng(),
    )
    .len();
    let room = MAX_PACKET - frame - "1000:".len();
    for (len, taken) in [(room, 1), (room + 1, 0)] {
        let given = Reply::GetValue {
            values: vec![vec![b'v'; len].into()],
        };
        let packet = reply(&T, &OWN, &given, false, &mut rng());
        assert_eq!(answer(&packet).values.unwrap().len(), taken);
        assert!(taken == 0 || packet.len() == MAX_PACKET);
    }
}

#[test]
fn each_value_has_its_chance() {
    let values = (0..200_u8).map(|value| Arc::from([value; 20])).collect();
    let given = Reply::GetValue { values };
    let mut times = HashMap::<Vec<u8>, u32>::new();
    let mut rng = rng();
    for _ in 0..400 {
        for value in answer(&reply(&T, &OWN, &given, false, &mut rng))
            .values
            .unwrap()
        {
            *times.entry(value).or_default() += 1;
        }
    }
    // 60 of 200 fit, so that each comes 120 times, give or take four deviations.
    assert_eq!(times.len(), 200);
    assert!(
        times.values().all(|times| (80..=160).contains(times)),
        "{times:?}"
    );
}
